//! Prefixes with many paths: what costs a step for each of a few paths must not for each of thousands.
//!
//! The paths of a prefix are a linked list, which is all that a few need. A prefix that has more is given a list of its own
//! beside it: an index by who told a path, and the eligible paths in order, so that one that comes, changes or goes is found
//! and placed in logarithmic time and the best is at hand. MULTI_EXIT_DISC makes preference no total order; the routes of
//! one neighbouring AS are in order nevertheless, so the best of each of these stand in a second list, and the first there
//! is the best of all.
//!
//! The order is by what paths look like now. What changes many paths at once (a next hop, a session that means another
//! peer) has the table walked over, and each order made anew.

use core::cmp::Ordering;
use core::hash::BuildHasher;
use core::slice;

use hashbrown::HashTable;

use crate::decision::{Candidate, Ladder};
use crate::long_sets::LongSets;
use crate::path::Path;
use crate::prefix::Key;
use crate::slab::{NONE, Slab};
use crate::table::{Shared, Table, Touched};

/// The paths of one prefix, where there are many.
#[derive(Debug, Default)]
pub(crate) struct LongList {
    /// All of them, the best first if there is one; [`Path::next`] is a path's place.
    all: Vec<u32>,
    /// By who told them under which identifier.
    index: HashTable<u32>,
    /// What selections choose of it.
    pub(crate) sets: LongSets,
    /// The eligible ones: those of one neighbouring AS together where a MULTI_EXIT_DISC counts, else by preference.
    pub(crate) order: Vec<u32>,
    /// Where a MULTI_EXIT_DISC counts: the best of each neighbouring AS, by preference.
    pub(crate) champions: Vec<u32>,
    /// The multipath set, in the order of names.
    members: Vec<u32>,
    /// Whether a MULTI_EXIT_DISC counts.
    pub(crate) med: bool,
    /// Whether it was put in order since it was made.
    ordered: bool,
}

/// The paths of a prefix.
pub(crate) enum Paths<'a> {
    Linked(&'a Slab<Path>, u32),
    Listed(&'a Slab<Path>, slice::Iter<'a, u32>),
}

impl<'a> Iterator for Paths<'a> {
    type Item = (u32, &'a Path);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Linked(_, NONE) => None,
            Self::Linked(paths, at) => {
                let path = &paths[*at];
                Some((core::mem::replace(at, path.next), path))
            }
            Self::Listed(paths, rest) => rest.next().map(|&at| (at, &paths[at])),
        }
    }
}

impl<K: Key> Table<K> {
    /// The paths of a prefix, the best first.
    #[inline]
    pub(crate) fn paths_of(&self, id: u32) -> Paths<'_> {
        let entry = &self.entries[id];
        if entry.long
            && let Some(list) = self.long.get(&id)
        {
            return Paths::Listed(&self.paths, list.all.iter());
        }
        Paths::Linked(&self.paths, entry.paths)
    }

    /// How many paths a prefix has.
    pub(crate) fn path_count(&self, id: u32) -> usize {
        match self.entries[id].long.then(|| self.long.get(&id)).flatten() {
            Some(list) => list.all.len(),
            None => self.paths_of(id).count(),
        }
    }

    /// The path that a peer told under an identifier.
    pub(crate) fn find_path(&self, id: u32, peer: u32, path_id: u32) -> Option<u32> {
        let is = |path: &Path| path.peer == peer && path.path_id == path_id;
        if self.entries[id].long
            && let Some(list) = self.long.get(&id)
        {
            let hash = self.hasher.hash_one((peer, path_id));
            return list.index.find(hash, |&at| is(&self.paths[at])).copied();
        }
        self.paths_of(id).find(|(_, path)| is(path)).map(|(at, _)| at)
    }

    /// Puts a new path behind the first, which stays the best until the decision says otherwise.
    pub(crate) fn link_to_prefix(&mut self, id: u32, path: u32) {
        let first = self.entries[id].paths;
        if self.entries[id].long {
            return self.push_to_list(id, path);
        }
        if first == NONE {
            self.entries[id].paths = path;
            return;
        }
        self.paths[path].next = self.paths[first].next;
        self.paths[first].next = path;
        if self.paths_of(id).nth(self.many_paths).is_some() {
            self.lengthen(id);
        }
    }

    /// Takes a path out of the list of its prefix, whose first is no longer known to be the best if it was that.
    /// Whether it was the first.
    pub(crate) fn unlink_from_prefix(&mut self, id: u32, path: u32) -> bool {
        let was_first = self.entries[id].paths == path;
        if self.entries[id].long {
            self.take_from_list(id, path);
            return was_first;
        }
        let next = self.paths[path].next;
        if was_first {
            self.entries[id].paths = next;
        } else if let Some((previous, _)) = self.paths_of(id).find(|(_, other)| other.next == path) {
            self.paths[previous].next = next;
        }
        was_first
    }

    /// Moves a path to the front.
    pub(crate) fn move_to_front(&mut self, id: u32, path: u32) {
        let first = self.entries[id].paths;
        if first == path {
            return;
        }
        if self.entries[id].long {
            if let Some(list) = self.long.get_mut(&id) {
                let at = self.paths[path].next;
                list.all.swap(0, at as usize);
                self.paths[first].next = at;
                self.paths[path].next = 0;
            }
        } else if let Some((previous, _)) = self.paths_of(id).find(|(_, other)| other.next == path) {
            self.paths[previous].next = self.paths[path].next;
            self.paths[path].next = first;
        }
        self.entries[id].paths = path;
    }

    /// A prefix gets a list of its own. The order is made by the decision that follows.
    fn lengthen(&mut self, id: u32) {
        let all: Vec<u32> = self.paths_of(id).map(|(at, _)| at).collect();
        let mut list = LongList::default();
        for (place, &at) in (0..).zip(&all) {
            self.paths[at].next = place;
            self.add_to_index(&mut list.index, at);
        }
        list.members = all.iter().copied().filter(|&at| self.paths[at].multipath).collect();
        list.members.sort_unstable();
        list.all = all;
        self.entries[id].long = true;
        self.long.insert(id, list);
    }

    fn add_to_index(&self, index: &mut HashTable<u32>, path: u32) {
        let hash = |&at: &u32| self.hasher.hash_one((self.paths[at].peer, self.paths[at].path_id));
        index.insert_unique(hash(&path), path, hash);
    }

    fn push_to_list(&mut self, id: u32, path: u32) {
        let Some(mut list) = self.long.get_mut(&id).map(core::mem::take) else { return };
        self.paths[path].next = u32::try_from(list.all.len()).expect("paths have names of 32 bits");
        list.all.push(path);
        self.add_to_index(&mut list.index, path);
        self.long.insert(id, list);
    }

    fn take_from_list(&mut self, id: u32, path: u32) {
        let Some(mut list) = self.long.remove(&id) else { return };
        let hash = self.hasher.hash_one((self.paths[path].peer, self.paths[path].path_id));
        if let Ok(found) = list.index.find_entry(hash, |&at| at == path) {
            found.remove();
        }
        if let Ok(at) = list.members.binary_search(&path) {
            list.members.remove(at);
        }
        let at = self.paths[path].next;
        list.all.swap_remove(at as usize);
        if let Some(&moved) = list.all.get(at as usize) {
            self.paths[moved].next = at;
        }
        self.entries[id].paths = list.all.first().copied().unwrap_or(NONE);
        // Well below where it was made, so that no path that flaps has it made and dropped.
        if list.all.len() > self.many_paths / 2 {
            self.long.insert(id, list);
            return;
        }
        self.entries[id].long = false;
        for (place, &at) in list.all.iter().enumerate() {
            self.paths[at].next = list.all.get(place + 1).copied().unwrap_or(NONE);
        }
    }

    /// Before a path changes or goes: it leaves the order while it can be found there by what it looks like.
    pub(crate) fn leave_order(&mut self, shared: &Shared, id: u32, path: u32) {
        if !self.entries[id].long {
            return;
        }
        let Some(mut list) = self.long.get_mut(&id).map(core::mem::take) else { return };
        if let Some(at) = self.position(shared, &list, path) {
            self.leave_sets(shared, &mut list, path);
            self.remove_at(shared, &mut list, at);
        }
        self.long.insert(id, list);
    }

    /// Decides a prefix with many paths: brings their order up to date and gives the best.
    pub(crate) fn decide_long(&mut self, shared: &Shared, id: u32, touched: Touched) -> Option<u32> {
        let mut list = self.long.get_mut(&id).map(core::mem::take)?;
        let med = self.entries[id].med;
        // While the table is walked over, some paths may not look as they did when they were placed.
        // Where what was best is no more, nothing has its place by that.
        let usable = || self.best_path(id).is_some_and(|best| self.eligible(shared, best).is_ok());
        let settled = !shared.config.decision.prefer_oldest || usable();
        let whole = !list.ordered || list.med != med || self.rescan.is_some() || !settled;
        match touched.only.filter(|_| !whole) {
            Some(NONE) => {}
            Some(path) => self.enter_order(shared, &mut list, path),
            None => self.order_anew(shared, &mut list, med),
        }
        let best = if med { list.champions.first() } else { list.order.first() }.copied();
        self.long.insert(id, list);
        best
    }

    /// Another route is best, and places depend on that: the order of a prefix with many paths is made anew.
    pub(crate) fn reorder_long(&mut self, shared: &Shared, id: u32) {
        if let Some(mut list) = self.long.get_mut(&id).map(core::mem::take) {
            let med = self.entries[id].med;
            self.order_anew(shared, &mut list, med);
            self.long.insert(id, list);
        }
    }

    /// The eligible paths of a prefix with many in the order of preference, where no MULTI_EXIT_DISC stands in the way.
    pub(crate) fn in_order(&self, id: u32) -> Option<&[u32]> {
        let list = self.entries[id].long.then(|| self.long.get(&id)).flatten()?;
        (!list.med).then_some(&list.order[..])
    }

    /// Fills the ladder with the paths that may be in the multipath set or are the last to fall before it, and climbs it.
    /// Where no MULTI_EXIT_DISC stands in the way these stand at the front, however many there are behind.
    pub(crate) fn climb_front(&self, shared: &Shared, ladder: &mut Ladder, id: u32) -> Option<u32> {
        let Some(order) = self.in_order(id) else { return self.climb(shared, ladder, id) };
        let mut candidates = order.iter().filter_map(|&at| self.candidate(shared, at, &self.paths[at]));
        ladder.clear();
        let first = candidates.next();
        ladder.extend(first.into_iter());
        for next in candidates {
            ladder.extend([next].into_iter());
            if first.is_some_and(|first| !first.costs_the_same(&next)) {
                break;
            }
        }
        ladder.climb(shared.config.decision)
    }

    /// Notes what the multipath set of a prefix with many paths is now; whether it was another.
    pub(crate) fn mark_members(&mut self, id: u32, best: Option<u32>, equals: Vec<u32>) -> bool {
        let Some(list) = self.long.get_mut(&id) else { return false };
        let mut now: Vec<u32> = best.into_iter().chain(equals).collect();
        now.sort_unstable();
        if list.members == now {
            return false;
        }
        let before = core::mem::replace(&mut list.members, now.clone());
        before.into_iter().for_each(|at| self.paths[at].multipath = false);
        now.into_iter().for_each(|at| self.paths[at].multipath = true);
        true
    }

    fn order_anew(&self, shared: &Shared, list: &mut LongList, med: bool) {
        let options = shared.config.decision;
        let eligible = list.all.iter().filter_map(|&at| self.candidate(shared, at, &self.paths[at]));
        let mut candidates: Vec<Candidate> = eligible.collect();
        candidates.sort_unstable_by(|a, b| a.place(b, med, options));
        list.order.clear();
        list.order.extend(candidates.iter().map(|c| c.path));
        (list.med, list.ordered) = (med, true);
        // What was found by places that are no more is made anew, too.
        list.sets = LongSets::default();
        list.champions.clear();
        if med {
            let same = |a: &Candidate, b: &Candidate| same_group(shared, a, b);
            let mut heads: Vec<Candidate> =
                candidates.chunk_by(same).filter_map(|group| group.first().copied()).collect();
            heads.sort_unstable_by(by_preference);
            list.champions.extend(heads.iter().map(|c| c.path));
        }
    }

    fn enter_order(&self, shared: &Shared, list: &mut LongList, path: u32) {
        let Some(new) = self.candidate(shared, path, &self.paths[path]) else { return };
        let at = self.place_in(shared, list, &new);
        list.order.insert(at, path);
        self.enter_sets(shared, list, &new);
        if !list.med {
            return;
        }
        if at > 0 && self.in_group(shared, list, at - 1, &new) {
            return;
        }
        if let Some(&former) = list.order.get(at + 1).filter(|_| self.in_group(shared, list, at + 1, &new)) {
            self.leave_champions(shared, list, former);
        }
        self.enter_champions(shared, list, &new);
    }

    fn remove_at(&self, shared: &Shared, list: &mut LongList, at: usize) {
        let path = list.order.remove(at);
        if !list.med {
            return;
        }
        let Some(gone) = self.candidate(shared, path, &self.paths[path]) else { return };
        if at > 0 && self.in_group(shared, list, at - 1, &gone) {
            return;
        }
        self.leave_champions(shared, list, path);
        if let Some(next) = self.listed(shared, list, at).filter(|next| same_group(shared, next, &gone)) {
            self.enter_champions(shared, list, &next);
        }
    }

    fn enter_champions(&self, shared: &Shared, list: &mut LongList, new: &Candidate) {
        let before = |&at: &u32| self.compare(shared, at, new, by_preference).is_lt();
        let at = list.champions.partition_point(before);
        list.champions.insert(at, new.path);
    }

    fn leave_champions(&self, shared: &Shared, list: &mut LongList, path: u32) {
        let at = self.candidate(shared, path, &self.paths[path]).map(|gone| {
            list.champions.partition_point(|&at| self.compare(shared, at, &gone, by_preference).is_lt())
        });
        let at = at.filter(|&at| list.champions.get(at) == Some(&path));
        if let Some(at) = at.or_else(|| list.champions.iter().position(|&other| other == path)) {
            list.champions.remove(at);
        }
    }

    /// Where a path stands in the order. What it looks like may have changed at a distance: then it is looked for.
    fn position(&self, shared: &Shared, list: &LongList, path: u32) -> Option<usize> {
        let at = self.candidate(shared, path, &self.paths[path]).map(|c| self.place_in(shared, list, &c));
        let at = at.filter(|&at| list.order.get(at) == Some(&path));
        at.or_else(|| list.order.iter().position(|&other| other == path))
    }

    fn place_in(&self, shared: &Shared, list: &LongList, new: &Candidate) -> usize {
        let place = |a: &Candidate, b: &Candidate| a.place(b, list.med, shared.config.decision);
        list.order.partition_point(|&at| self.compare(shared, at, new, place).is_lt())
    }

    /// Compares a path that stands in an order; one that is no longer eligible goes behind.
    pub(crate) fn compare(
        &self,
        shared: &Shared,
        at: u32,
        with: &Candidate,
        by: impl Fn(&Candidate, &Candidate) -> Ordering,
    ) -> Ordering {
        self.candidate(shared, at, &self.paths[at]).map_or(Ordering::Greater, |c| by(&c, with))
    }

    fn listed(&self, shared: &Shared, list: &LongList, at: usize) -> Option<Candidate> {
        let &path = list.order.get(at)?;
        self.candidate(shared, path, &self.paths[path])
    }

    fn in_group(&self, shared: &Shared, list: &LongList, at: usize, with: &Candidate) -> bool {
        self.listed(shared, list, at).is_some_and(|c| same_group(shared, &c, with))
    }
}

/// Whether two are compared by MULTI_EXIT_DISC.
pub(crate) fn same_group(shared: &Shared, a: &Candidate, b: &Candidate) -> bool {
    let options = shared.config.decision;
    a.above_med(b).is_eq() && a.med_group(options) == b.med_group(options)
}

/// Compares two that MULTI_EXIT_DISC says nothing about.
pub(crate) fn by_preference(a: &Candidate, b: &Candidate) -> Ordering {
    a.above_med(b).then_with(|| a.below_med(b))
}
