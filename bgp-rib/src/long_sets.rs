//! What ADD-PATH selections choose of a prefix with many paths, kept beside their order, so that one path that comes, changes
//! or goes costs no more than finding its place and telling what is news.
//!
//! | selection | what is kept | one change costs |
//! |---|---|---|
//! | the best of each neighbouring AS | the paths of each AS in order; their heads in order | a few binary searches |
//! | the equal ones | all that are equal to the best, in order | a binary search while the best stays what it is, and no MULTI_EXIT_DISC counts; else the length of the set |
//!
//! They are made when a log first asks for them, and anew with the order.

use core::cmp::Ordering;
use std::collections::BTreeMap;

use bgp_wire::PeerKind;

use crate::attributes::AttributesId;
use crate::decision::Candidate;
use crate::long_list::{LongList, by_preference, same_group};
use crate::path::Path;
use crate::prefix::Key;
use crate::slab::NONE;
use crate::table::{Seen, Shared, Table};

/// What is kept of one prefix for selections.
#[derive(Debug, Default)]
pub(crate) struct LongSets {
    heads: Option<Heads>,
    equal: Option<Equal>,
}

/// The best of each neighbouring AS.
#[derive(Debug, Default)]
struct Heads {
    by_as: BTreeMap<u32, Vec<u32>>,
    /// The first of each, in the order of rank.
    order: Vec<u32>,
    /// Those that came to be the first of their AS, or are it no more, since the logs were told.
    moved: Vec<u32>,
}

/// Those that are as good as the best through the interior cost.
#[derive(Debug, Default)]
struct Equal {
    /// In the order of rank.
    order: Vec<u32>,
    /// The best that they are equal to.
    front: Option<Candidate>,
    /// What they were before, if they are others now.
    was: Option<Vec<u32>>,
}

/// Which sets the logs ask for, or which of them are known by what came and went.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sets {
    pub(crate) per_as: bool,
    pub(crate) equal: bool,
}

/// Paths that may have come into what a selection chooses, or left it, each once: whether it is in it now.
pub(crate) type Moves = Vec<(u32, bool)>;

/// Each path of `looked` that is not dead, once, and whether it is among the first `most` of an order.
fn among(order: &[u32], most: Option<u16>, looked: impl Iterator<Item = u32>) -> Moves {
    let most = most.map_or(order.len(), usize::from).min(order.len());
    let mut first = order.get(..most).unwrap_or_default().to_vec();
    first.sort_unstable();
    let mut looked: Vec<u32> = looked.filter(|&at| at != NONE).chain(first.iter().copied()).collect();
    looked.sort_unstable();
    looked.dedup();
    looked.into_iter().map(|at| (at, first.binary_search(&at).is_ok())).collect()
}

impl Equal {
    /// What became of the first `most` by the change of one path, which is in the set or not.
    fn moves(&self, most: Option<u16>, path: u32, is_equal: bool) -> Moves {
        match (&self.was, most) {
            (Some(was), _) => among(&self.order, most, was.iter().copied().chain([path])),
            // The one at the end makes room, or takes it.
            (None, Some(most)) => {
                let next = self.order.get(usize::from(most)).copied();
                among(&self.order, Some(most), next.into_iter().chain([path]))
            }
            (None, None) if path == NONE => Vec::new(),
            (None, None) => vec![(path, is_equal)],
        }
    }
}

impl<K: Key> Table<K> {
    /// Brings what is kept of a prefix up to date; `only`: no other path came, changed or went, and `before` is what readers
    /// saw as the best. What is known by its changes, of what is asked.
    pub(crate) fn renew_sets(
        &mut self,
        shared: &Shared,
        id: u32,
        (only, before): (Option<u32>, Option<Seen>),
        asked: Sets,
    ) -> Sets {
        if !self.entries[id].long || shared.config.decision.prefer_oldest {
            return Sets::default();
        }
        let Some(mut list) = self.long.get_mut(&id).map(core::mem::take) else { return Sets::default() };
        let kept = Sets { per_as: list.sets.heads.is_some(), equal: list.sets.equal.is_some() };
        if asked.per_as && !kept.per_as {
            list.sets.heads = Some(self.make_heads(shared, &list));
        }
        list.sets.heads = list.sets.heads.take().filter(|_| asked.per_as);
        let equal = list.sets.equal.take().filter(|_| asked.equal);
        if asked.equal {
            list.sets.equal = Some(self.renew_equal(shared, &list, equal, (only, before)));
        }
        self.long.insert(id, list);
        Sets { per_as: asked.per_as && kept.per_as, equal: asked.equal && kept.equal }
    }

    /// What became of the best of each AS, `most` of them, by the change of one path.
    pub(crate) fn head_moves(&self, shared: &Shared, id: u32, most: Option<u16>, path: u32) -> Moves {
        let Some(heads) = self.long.get(&id).and_then(|list| list.sets.heads.as_ref()) else {
            return Vec::new();
        };
        let moved = heads.moved.iter().copied().chain([path]);
        if let Some(most) = most {
            // It is in one AS before and in one after: no more than two come before the others, or go.
            let behind = heads.order.iter().skip(usize::from(most)).take(2).copied();
            return among(&heads.order, Some(most), moved.chain(behind));
        }
        let mut moved: Vec<u32> = moved.filter(|&at| at != NONE).collect();
        moved.sort_unstable();
        moved.dedup();
        let is_head = |at: u32| {
            let of_as = heads.by_as.get(&self.neighbour(shared, at));
            of_as.and_then(|of| of.first()) == Some(&at)
        };
        moved.into_iter().map(|at| (at, is_head(at))).collect()
    }

    /// What became of the equal ones, `most` of them, by the change of one path.
    pub(crate) fn equal_moves(&self, shared: &Shared, id: u32, most: Option<u16>, path: u32) -> Moves {
        let Some(list) = self.long.get(&id) else { return Vec::new() };
        let Some(equal) = &list.sets.equal else { return Vec::new() };
        let is_equal = || {
            let looks = self.candidate(shared, path, &self.paths[path])?;
            let at = self.place_among(shared, list, &equal.order, &looks);
            (equal.order.get(at) == Some(&path)).then_some(())
        };
        let is_equal = path != NONE && is_equal().is_some();
        equal.moves(most, path, is_equal)
    }

    /// The logs were told.
    pub(crate) fn close_sets(&mut self, id: u32) {
        let Some(list) = self.entries[id].long.then(|| self.long.get_mut(&id)).flatten() else { return };
        if let Some(heads) = &mut list.sets.heads {
            heads.moved.clear();
        }
        if let Some(equal) = &mut list.sets.equal {
            equal.was = None;
        }
    }

    /// A path leaves the order; it still looks as it did in it.
    pub(crate) fn leave_sets(&self, shared: &Shared, list: &mut LongList, path: u32) {
        let mut sets = core::mem::take(&mut list.sets);
        let looks = self.candidate(shared, path, &self.paths[path]);
        if let Some(heads) = &mut sets.heads {
            let of_as = self.neighbour(shared, path);
            let mut paths = heads.by_as.remove(&of_as).unwrap_or_default();
            let at = self.find_among(shared, list, &paths, path, looks.as_ref());
            if let Some(at) = at {
                paths.remove(at);
            }
            if at == Some(0) {
                if let Some(at) = self.find_head(shared, list, &heads.order, path, looks.as_ref()) {
                    heads.order.remove(at);
                }
                if let Some(&next) = paths.first() {
                    self.insert_head(shared, list, &mut heads.order, next);
                    heads.moved.push(next);
                }
            }
            if !paths.is_empty() {
                heads.by_as.insert(of_as, paths);
            }
        }
        if let Some(equal) = &mut sets.equal {
            // With a MULTI_EXIT_DISC they are looked for anew.
            let at = self.find_among(shared, list, &equal.order, path, looks.as_ref().filter(|_| !list.med));
            if let Some(at) = at {
                equal.order.remove(at);
            }
        }
        list.sets = sets;
    }

    /// A path has come into the order.
    pub(crate) fn enter_sets(&self, shared: &Shared, list: &mut LongList, new: &Candidate) {
        let Some(mut heads) = list.sets.heads.take() else { return };
        let paths = heads.by_as.entry(new.neighbour_as).or_default();
        let at = self.place_among(shared, list, paths, new);
        paths.insert(at, new.path);
        let former = paths.get(1).copied();
        if at == 0 {
            if let Some(former) = former {
                let looks = self.candidate(shared, former, &self.paths[former]);
                if let Some(at) = self.find_head(shared, list, &heads.order, former, looks.as_ref()) {
                    heads.order.remove(at);
                }
                heads.moved.push(former);
            }
            self.insert_head(shared, list, &mut heads.order, new.path);
        }
        list.sets.heads = Some(heads);
    }

    fn make_heads(&self, shared: &Shared, list: &LongList) -> Heads {
        let mut heads = Heads::default();
        for &at in &list.order {
            heads.by_as.entry(self.neighbour(shared, at)).or_default().push(at);
        }
        // Those of one AS lie in the order of rank, wherever the others are.
        let firsts = heads.by_as.values().filter_map(|of| of.first());
        let mut firsts: Vec<Candidate> =
            firsts.filter_map(|&at| self.candidate(shared, at, &self.paths[at])).collect();
        firsts.sort_unstable_by(|a, b| rank(shared, list, a, b));
        heads.order.extend(firsts.iter().map(|c| c.path));
        heads
    }

    fn renew_equal(
        &self,
        shared: &Shared,
        list: &LongList,
        kept: Option<Equal>,
        (only, before): (Option<u32>, Option<Seen>),
    ) -> Equal {
        let best = if list.med { list.champions.first() } else { list.order.first() };
        let Some(best) = best.and_then(|&at| self.candidate(shared, at, &self.paths[at])) else {
            let was = kept.map(|kept| kept.order);
            return Equal { was, ..Equal::default() };
        };
        let stays = |kept: &Equal| {
            let front = kept.front.is_some_and(|front| front.costs_the_same(&best));
            !list.med && front && before.is_some_and(|before| self.leads_the_same(shared, before, best.path))
        };
        let path = only.unwrap_or(NONE);
        match kept {
            Some(mut kept) if stays(&kept) => {
                let looks = (path != NONE).then(|| self.candidate(shared, path, &self.paths[path])).flatten();
                let joins =
                    |c: &Candidate| c.costs_the_same(&best) && self.goes_along(shared, path, best.path);
                if let Some(new) = looks.filter(joins) {
                    let at = self.place_among(shared, list, &kept.order, &new);
                    kept.order.insert(at, path);
                }
                Equal { front: Some(best), was: None, ..kept }
            }
            kept => {
                let order = self.find_equal(shared, list, &best);
                Equal { order, front: Some(best), was: kept.map(|kept| kept.order) }
            }
        }
    }

    /// All that are as good as the best and go along with it, in the order of rank.
    fn find_equal(&self, shared: &Shared, list: &LongList, best: &Candidate) -> Vec<u32> {
        let looks = |&at: &u32| self.candidate(shared, at, &self.paths[at]);
        let mut equal: Vec<Candidate> = Vec::new();
        if list.med {
            // Of each neighbouring AS those with the least MULTI_EXIT_DISC; the best of them stand first among the best of each.
            let heads = list.champions.iter().filter_map(looks);
            for head in heads.take_while(|head| head.costs_the_same(best)) {
                let from =
                    list.order.get(self.place_among(shared, list, &list.order, &head)..).unwrap_or_default();
                let options = shared.config.decision;
                let stands = |c: &Candidate| {
                    same_group(shared, c, &head)
                        && c.ranks_by_med(&head, options).is_eq()
                        && c.costs_the_same(best)
                };
                equal.extend(from.iter().map_while(looks).take_while(stands));
            }
            equal.sort_unstable_by(by_preference);
        } else {
            equal.extend(list.order.iter().map_while(looks).take_while(|c| c.costs_the_same(best)));
        }
        let along = equal.iter().map(|c| c.path).filter(|&at| self.goes_along(shared, at, best.path));
        along.collect()
    }

    /// Whether the AS_PATH of a path lets it stand beside the best.
    pub(crate) fn goes_along(&self, shared: &Shared, at: u32, best: u32) -> bool {
        let (path, best) = (&self.paths[at], &self.paths[best]);
        let kind = shared.peers.get(best.peer).map(|peer| peer.params.kind);
        goes_along(shared, kind, path.attributes, best.attributes)
    }

    /// Whether the same paths go along with the best as with the one before.
    fn leads_the_same(&self, shared: &Shared, before: Seen, best: u32) -> bool {
        let best: &Path = &self.paths[best];
        let kind = |slot: u32| shared.peers.get(slot).map(|peer| peer.params.kind);
        kind(before.peer) == kind(best.peer)
            && goes_along(shared, kind(best.peer), before.attributes, best.attributes)
    }

    fn neighbour(&self, shared: &Shared, at: u32) -> u32 {
        shared.attributes[self.paths[at].attributes].summary.neighbour_as
    }

    /// Where a path has its place among some that are in order.
    fn place_among(&self, shared: &Shared, list: &LongList, order: &[u32], new: &Candidate) -> usize {
        let place = |a: &Candidate, b: &Candidate| a.place(b, list.med, shared.config.decision);
        order.partition_point(|&at| self.compare(shared, at, new, place).is_lt())
    }

    /// Where a path stands among some that are in order, by what it looks like if that is known.
    fn find_among(
        &self,
        shared: &Shared,
        list: &LongList,
        order: &[u32],
        path: u32,
        looks: Option<&Candidate>,
    ) -> Option<usize> {
        let found = looks.map(|looks| self.place_among(shared, list, order, looks));
        let found = found.filter(|&at| order.get(at) == Some(&path));
        // What it looks like may have changed at a distance: then the table is being walked over.
        let searched = || order.iter().position(|&at| at == path);
        found.or_else(|| (looks.is_none() || self.rescan.is_some()).then(searched).flatten())
    }

    fn find_head(
        &self,
        shared: &Shared,
        list: &LongList,
        heads: &[u32],
        path: u32,
        looks: Option<&Candidate>,
    ) -> Option<usize> {
        let by = |a: &Candidate, b: &Candidate| rank(shared, list, a, b);
        let at = looks.map(|looks| heads.partition_point(|&at| self.compare(shared, at, looks, by).is_lt()));
        let at = at.filter(|&at| heads.get(at) == Some(&path));
        at.or_else(|| heads.iter().position(|&at| at == path))
    }

    fn insert_head(&self, shared: &Shared, list: &LongList, heads: &mut Vec<u32>, path: u32) {
        let Some(new) = self.candidate(shared, path, &self.paths[path]) else { return };
        let by = |a: &Candidate, b: &Candidate| rank(shared, list, a, b);
        let at = heads.partition_point(|&at| self.compare(shared, at, &new, by).is_lt());
        heads.insert(at, path);
    }
}

/// Compares the best of two neighbouring AS: MULTI_EXIT_DISC says nothing about them, unless it is compared between all.
fn rank(shared: &Shared, list: &LongList, a: &Candidate, b: &Candidate) -> Ordering {
    let options = shared.config.decision;
    if options.always_compare_med { a.place(b, list.med, options) } else { by_preference(a, b) }
}

/// Whether the AS_PATH of a set lets its path stand beside the best, of a peer of that kind or of this speaker's own.
fn goes_along(shared: &Shared, kind: Option<PeerKind>, path: AttributesId, best: AttributesId) -> bool {
    let of = |id: AttributesId| &shared.attributes[id];
    match kind {
        _ if shared.config.multipath_relax || path == best => true,
        Some(PeerKind::External) => of(path).summary.neighbour_as == of(best).summary.neighbour_as,
        Some(PeerKind::Internal) => of(path).block().as_path() == of(best).block().as_path(),
        None => true,
    }
}
