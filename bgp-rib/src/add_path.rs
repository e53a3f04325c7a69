//! Sending more than the best path (RFC 7911): which paths of a prefix go, and the logs in which their changes stand.
//!
//! Peers that are told several paths read a log of *paths*, one for each way to choose them that some peer asks for; a table
//! without such peers has none. A path is in the chosen set of such a log or not; it moves to the head when it comes into
//! the set, leaves it, or changes within. So what is sent is exactly what changed: a path that others overtake is not told
//! again. Its name in the slab is its path identifier for as long as it lives, the same for every peer and through new
//! attributes, ranks and restarts. The name of a path that went is given to no other before the last reader has passed its
//! tombstone, and a route that comes back meanwhile takes up its old one: flapping costs no memory.

use std::collections::BTreeMap;

use bgp_wire::{Family, PathId};
use core::hash::BuildHasher;

use crate::batch::Mode;
use crate::config::AddPathSend;
use crate::decision::Ladder;
use crate::group::Group;
use crate::index::Index;
use crate::log::Log;
use crate::long_sets::{Moves, Sets};
use crate::pack;
use crate::path::Path;
use crate::prefix::Key;
use crate::slab::{BitSet, NONE};
use crate::table::{MANY, Seen, Shared, State, Table};

/// The verdict of a path that is gone and of which some reader has still to hear.
const GONE: u8 = u8::MAX;

/// How the paths of a prefix are chosen that a session is told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Selection {
    from: Pool,
    /// The most paths of one prefix, in the order of rank; `None` for no bound.
    most: Option<u16>,
}

/// What a selection is made from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Pool {
    All,
    EqualCost,
    PerAs,
}

impl Selection {
    /// The selection of a session; `None` where it comes to the best path alone, which needs no log of its own.
    pub(crate) fn of(send: AddPathSend, limit: Option<u16>) -> Option<Self> {
        let (from, most) = match send {
            AddPathSend::Best(most) => (Pool::All, Some(most)),
            AddPathSend::All => (Pool::All, None),
            AddPathSend::EqualCost => (Pool::EqualCost, None),
            AddPathSend::PerAs => (Pool::PerAs, None),
        };
        let most = most.into_iter().chain(limit).min();
        most.is_none_or(|most| most > 1).then_some(Self { from, most })
    }
}

/// The changes of the paths that one selection chooses.
#[derive(Debug)]
pub(crate) struct PathLog {
    selection: Selection,
    readers: u32,
    pub(crate) log: Log,
    /// By the names of paths.
    chosen: BitSet,
    chosen_count: usize,
    /// The next prefix whose paths have never been looked at; until all have been no End-of-RIB is due.
    building: Option<u32>,
    /// How far tombstones have been looked for.
    reaped: u64,
}

impl PathLog {
    fn new(selection: Selection, prefixes: u32) -> Self {
        Self {
            selection,
            readers: 0,
            log: Log::new(),
            chosen: BitSet::default(),
            chosen_count: 0,
            building: (prefixes > 0).then_some(0),
            reaped: 0,
        }
    }

    /// Chooses a path or no longer; whether that is news.
    fn choose(&mut self, path: u32, chosen: bool) -> bool {
        let news = if chosen { self.chosen.insert(path) } else { self.chosen.remove(path) };
        if news {
            self.chosen_count = if chosen { self.chosen_count + 1 } else { self.chosen_count - 1 };
            self.log.touch(path);
        }
        news
    }

    fn apply(&mut self, moves: Moves) {
        for (path, chosen) in moves {
            self.choose(path, chosen);
        }
    }

    fn reapable(&self) -> bool {
        self.log.len() > self.chosen_count && self.reaped < self.log.read_by_all()
    }
}

/// All logs of paths of one table.
#[derive(Debug, Default)]
pub(crate) struct PathLogs {
    slots: Vec<Option<Box<PathLog>>>,
    /// Paths that are gone and of which some reader has still to hear, by what they were.
    gone: Index,
    /// How many of them a prefix has.
    held: BTreeMap<u32, u32>,
    /// Heads of the logs that are no more: the sum of all heads only grows.
    retired: u64,
    /// A log was built to its end since it was last asked.
    built: bool,
}

impl PathLogs {
    pub(crate) fn get(&self, at: u32) -> Option<&PathLog> {
        self.slots.get(at as usize)?.as_deref()
    }

    fn get_mut(&mut self, at: u32) -> Option<&mut PathLog> {
        self.slots.get_mut(at as usize)?.as_deref_mut()
    }

    fn iter(&self) -> impl Iterator<Item = &PathLog> {
        self.slots.iter().flatten().map(|log| &**log)
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut PathLog> {
        self.slots.iter_mut().flatten().map(|log| &mut **log)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.iter().all(Option::is_none)
    }

    /// The log of a selection, with one reader more.
    fn join(&mut self, selection: Selection, prefixes: u32) -> u32 {
        let same = |log: &Option<Box<PathLog>>| log.as_ref().is_some_and(|log| log.selection == selection);
        let at = self.slots.iter().position(same).unwrap_or_else(|| {
            let free = self.slots.iter().position(Option::is_none).unwrap_or_else(|| {
                self.slots.push(None);
                self.slots.len() - 1
            });
            self.slots[free] = Some(Box::new(PathLog::new(selection, prefixes)));
            free
        });
        let at = u32::try_from(at).expect("there are no more selections than peers");
        if let Some(log) = self.get_mut(at) {
            log.readers += 1;
        }
        at
    }

    /// One more than the sum of all positions ever given: tells whether any log grew.
    fn heads(&self) -> u64 {
        self.retired + self.iter().map(|log| log.log.head()).sum::<u64>()
    }

    /// Whether a path stands in any log.
    fn logs(&self, path: u32) -> bool {
        self.iter().any(|log| log.log.position(path).is_some())
    }

    /// A path changed within the sets that it is in.
    pub(crate) fn touch(&mut self, path: u32) {
        for log in self.iter_mut().filter(|log| log.chosen.contains(path)) {
            log.log.touch(path);
        }
    }

    /// Forgets positions that an empty table has no use for.
    pub(crate) fn forget_positions(&mut self) {
        self.iter_mut().for_each(|log| log.log.forget_positions());
    }

    /// Whether a prefix has paths that are gone and not forgotten.
    pub(crate) fn holds(&self, prefix: u32) -> bool {
        self.held.contains_key(&prefix)
    }

    /// Octets that they hold.
    pub(crate) fn memory(&self) -> usize {
        let logs: usize = self.iter().map(|log| log.log.memory() + log.chosen.memory()).sum();
        logs + self.gone.memory()
    }

    /// Whether there is work left over.
    pub(crate) fn is_busy(&self) -> bool {
        self.iter().any(|log| log.readers == 0 || log.building.is_some() || log.reapable())
    }
}

/// What a path is called where it is sent: 0 is left out, as some take it for "none".
pub(crate) fn path_id(path: u32) -> PathId {
    PathId(path.wrapping_add(1))
}

impl<K: Key> Table<K> {
    /// The log that a group reads: of best paths, or of the paths of a selection.
    pub(crate) fn log_of(&self, at: u32) -> &Log {
        self.path_logs.get(at).map_or(&self.log, |paths| &paths.log)
    }

    /// The log that a stretch of a group is of.
    pub(crate) fn log_read<'a>(&'a self, group: &'a Group, mode: Mode) -> &'a Log {
        match &group.own {
            Some(own) if mode == Mode::Own => own.log(),
            _ => self.log_of(group.log),
        }
    }

    pub(crate) fn log_of_mut(&mut self, at: u32) -> &mut Log {
        self.path_logs.get_mut(at).map_or(&mut self.log, |paths| &mut paths.log)
    }

    /// Whether a log holds End-of-RIB back, as it is not built to its end.
    pub(crate) fn is_building(&self, at: u32) -> bool {
        self.path_logs.get(at).is_some_and(|paths| paths.building.is_some())
    }

    /// The path that stands under a name of a log.
    pub(crate) fn standing_path(&self, at: u32, id: u32) -> Option<&Path> {
        match self.path_logs.get(at) {
            None => self.best_path(id),
            Some(paths) => paths.chosen.contains(id).then(|| &self.paths[id]),
        }
    }

    /// What those who read a log are told under a name: the NLRI of its path.
    pub(crate) fn told_nlri(&self, at: u32, id: u32) -> (PathId, &K) {
        if self.path_logs.get(at).is_some() {
            return (path_id(id), self.nlri(id));
        }
        let entry = &self.entries[id];
        (pack::BEST, if K::VARIES && entry.paths != NONE { self.nlri(entry.paths) } else { &entry.key })
    }

    /// What is withdrawn under a name of a log.
    pub(crate) fn withdrawn_nlri(&self, at: u32, id: u32) -> (PathId, &K) {
        match self.path_logs.get(at) {
            None => (pack::BEST, &self.entries[id].key),
            Some(_) => (path_id(id), &self.entries[self.paths[id].prefix].key),
        }
    }

    /// The only slot that what stood under a name ever came from, `NONE`, or [`MANY`].
    pub(crate) fn sole_source(&self, at: u32, id: u32) -> u32 {
        match self.path_logs.get(at) {
            None => self.entries[id].sole,
            // A membership is told to who told it, too.
            Some(_) if self.is_membership() => MANY,
            Some(_) => self.paths[id].peer,
        }
    }

    /// Whether any log of a table grew: a number that grows with them.
    pub(crate) fn news(&self) -> u64 {
        self.log.head() + self.path_logs.heads() + self.groups.own_news
    }

    /// Whether a log of paths was built to its end since this was asked last: End-of-RIB may be due.
    pub(crate) fn take_built(&mut self) -> bool {
        core::mem::take(&mut self.path_logs.built)
    }

    /// A reader comes to the log of a selection; which it is.
    pub(crate) fn join_paths(&mut self, selection: Option<Selection>) -> u32 {
        let prefixes = self.entries.bound();
        selection.map_or(NONE, |selection| self.path_logs.join(selection, prefixes))
    }

    /// A reader goes from the log of a selection. After the last one the log stays until what is gone has been taken out of
    /// it, in bounded turns: a thousand names of paths may wait for that.
    pub(crate) fn leave_paths(&mut self, at: u32) {
        if let Some(log) = self.path_logs.get_mut(at) {
            log.readers -= 1;
        }
    }

    /// Drops a log that nobody reads and of which nothing is to be taken out any more.
    fn drop_unread(&mut self, at: u32) {
        let Some(slot) = self.path_logs.slots.get_mut(at as usize) else { return };
        if let Some(gone) = slot.take_if(|log| log.readers == 0 && !log.reapable()) {
            self.path_logs.retired += gone.log.head();
        }
    }

    /// Brings the chosen sets of a prefix up to date. `only`: no other path came, changed or went; `before` was the best.
    pub(crate) fn choose(&mut self, shared: &Shared, id: u32, (only, before): (Option<u32>, Option<Seen>)) {
        let mut logs = core::mem::take(&mut self.path_logs);
        let asks = |from: Pool| logs.iter().any(|log| log.selection.from == from);
        let asked = Sets { per_as: asks(Pool::PerAs), equal: asks(Pool::EqualCost) };
        let known = self.renew_sets(shared, id, (only, before), asked);
        let places_stay = !shared.config.decision.prefer_oldest;
        for log in logs.iter_mut() {
            match only {
                Some(path) if log.selection == (Selection { from: Pool::All, most: None }) => {
                    if path != NONE {
                        log.choose(path, self.eligible(shared, &self.paths[path]).is_ok());
                    }
                }
                Some(path)
                    if places_stay && self.in_order(id).is_some() && log.selection.from == Pool::All =>
                {
                    self.choose_first(log, id, path);
                }
                Some(path) if known.per_as && log.selection.from == Pool::PerAs => {
                    log.apply(self.head_moves(shared, id, log.selection.most, path));
                }
                Some(path) if known.equal && log.selection.from == Pool::EqualCost => {
                    log.apply(self.equal_moves(shared, id, log.selection.most, path));
                }
                _ => {
                    let mut picked = self.pick(shared, log.selection, id);
                    picked.sort_unstable();
                    for (at, _) in self.paths_of(id) {
                        log.choose(at, picked.binary_search(&at).is_ok());
                    }
                }
            }
        }
        self.path_logs = logs;
        self.close_sets(id);
    }

    /// Where many paths stand in order and one came, changed or went: the set changes by it and by the one at its end.
    fn choose_first(&self, log: &mut PathLog, id: u32, path: u32) {
        let Some(order) = self.in_order(id) else { return };
        let most = log.selection.most.map_or(order.len(), usize::from).min(order.len());
        let (first, behind) = order.split_at(most);
        if path != NONE && !first.contains(&path) {
            log.choose(path, false);
        }
        if let Some(&next) = behind.first() {
            log.choose(next, false);
        }
        for &at in first {
            log.choose(at, true);
        }
    }

    /// The paths of a prefix that a selection chooses.
    pub(crate) fn pick(&self, shared: &Shared, selection: Selection, id: u32) -> Vec<u32> {
        let most = selection.most.map_or(usize::MAX, usize::from);
        let mut ladder = Ladder::default();
        let options = shared.config.decision;
        match selection.from {
            Pool::All if selection.most.is_none() => {
                let eligible = self.paths_of(id).filter(|(_, path)| self.eligible(shared, path).is_ok());
                eligible.map(|(at, _)| at).collect()
            }
            Pool::All => {
                self.fill(shared, &mut ladder, self.paths_of(id));
                ladder.rank(options, most).iter().map(|c| c.path).collect()
            }
            Pool::EqualCost => {
                let best = self.climb(shared, &mut ladder, id);
                let mut equal: Vec<u32> =
                    best.into_iter().chain(self.equals(shared, &ladder, best)).collect();
                equal.sort_unstable();
                self.fill(
                    shared,
                    &mut ladder,
                    self.paths_of(id).filter(|(at, _)| equal.binary_search(at).is_ok()),
                );
                ladder.rank(options, most).iter().map(|c| c.path).collect()
            }
            Pool::PerAs => {
                self.fill(shared, &mut ladder, self.paths_of(id));
                let mut met = Vec::new();
                let ranked = ladder.rank(options, usize::MAX);
                let first = ranked.iter().filter(|c| {
                    let at = met.binary_search(&c.neighbour_as);
                    at.map_err(|at| met.insert(at, c.neighbour_as)).is_err()
                });
                first.map(|c| c.path).take(most).collect()
            }
        }
    }

    /// A path of a prefix went: it leaves every set, and its name stays until every reader has heard of that.
    pub(crate) fn bury(&mut self, path: u32) {
        let mut logged = false;
        for log in self.path_logs.iter_mut() {
            log.choose(path, false);
            logged |= log.log.position(path).is_some();
        }
        if !logged {
            self.paths.remove(path);
            return;
        }
        self.paths[path].verdict = GONE;
        *self.path_logs.held.entry(self.paths[path].prefix).or_insert(0) += 1;
        let (paths, hasher) = (&self.paths, &self.hasher);
        let hash_of = |at: u32| hasher.hash_one(identity(&paths[at]));
        self.path_logs.gone.insert(hash_of(path), path, hash_of);
    }

    /// The name that a route had before it went, if some reader has still to hear of that.
    pub(crate) fn dig_up(&mut self, wanted: (u32, u32, u32)) -> Option<u32> {
        if self.path_logs.gone.is_empty() {
            return None;
        }
        let paths = &self.paths;
        let path =
            self.path_logs.gone.remove(self.hasher.hash_one(wanted), |at| identity(&paths[at]) == wanted)?;
        self.release_held(wanted.0);
        Some(path)
    }

    fn release_held(&mut self, prefix: u32) {
        if let Some(count) = self.path_logs.held.get_mut(&prefix) {
            *count -= 1;
            if *count == 0 {
                self.path_logs.held.remove(&prefix);
            }
        }
    }

    /// Names of paths that a prefix had and of whose end some reader has still to hear.
    pub(crate) fn gone_paths(&self, prefix: u32) -> impl Iterator<Item = u32> + '_ {
        let all = self.path_logs.holds(prefix).then(|| self.path_logs.gone.iter());
        all.into_iter().flatten().filter(move |&path| self.paths[path].prefix == prefix)
    }

    /// Frees the name of a path that is gone once it stands in no log.
    fn free_if_read(&mut self, path: u32) {
        if self.paths[path].verdict != GONE || self.path_logs.logs(path) {
            return;
        }
        let paths = &self.paths;
        let hash = self.hasher.hash_one(identity(&paths[path]));
        if self.path_logs.gone.remove(hash, |at| at == path).is_none() {
            return;
        }
        let prefix = self.paths[path].prefix;
        self.paths.remove(path);
        self.release_held(prefix);
        self.forget_if_unused(prefix);
    }

    /// Looks at prefixes that a new log has not seen yet, at `turn` paths of them or a few more.
    pub(crate) fn continue_building(&mut self, shared: &Shared, turn: u32) {
        let bound = self.entries.bound();
        let from = self.path_logs.iter().filter(|log| log.readers > 0).filter_map(|log| log.building).min();
        let Some(from) = from else { return };
        let (mut end, mut left) = (from, turn);
        while end < bound && left > 0 {
            if self.entries[end].state != State::Free {
                self.choose(shared, end, (None, None));
            }
            left = left.saturating_sub(self.weight(end));
            end += 1;
        }
        let mut built = false;
        // One that nobody reads may be further behind: it goes on from there if somebody comes to read it.
        let was_there = |log: &&mut PathLog| log.building.is_some_and(|at| from <= at && at <= end);
        for log in self.path_logs.iter_mut().filter(was_there) {
            log.building = (end < bound).then_some(end);
            built |= log.building.is_none();
        }
        self.path_logs.built |= built;
    }

    /// Takes paths that are not chosen and that every reader has passed out of the logs, looking at `turn` of them at most.
    pub(crate) fn reap_paths(&mut self, turn: usize) {
        for at in 0..u32::try_from(self.path_logs.slots.len()).unwrap_or(0) {
            let Some(paths) = self.path_logs.get_mut(at) else { continue };
            let end = paths.log.read_by_all();
            let looked: Vec<(u64, u32)> = paths.log.walk(paths.reaped, end).take(turn).collect();
            paths.reaped = match looked.last() {
                Some(&(position, _)) if looked.len() == turn => position + 1,
                _ => end.max(paths.reaped),
            };
            let passed: Vec<u32> =
                looked.iter().map(|&(_, path)| path).filter(|&path| !paths.chosen.contains(path)).collect();
            for path in passed {
                if let Some(paths) = self.path_logs.get_mut(at) {
                    paths.log.remove(path);
                }
                self.groups.forget(at, path);
                self.free_if_read(path);
            }
            self.drop_unread(at);
        }
    }
}

/// What makes a route of one prefix that comes back the same (RFC 7911 §3).
fn identity(path: &Path) -> (u32, u32, u32) {
    (path.prefix, path.peer, path.path_id)
}

/// The selection of a session in one family.
pub(crate) fn selection(
    sends: &[(Family, AddPathSend)],
    limits: &[(Family, u16)],
    family: Family,
) -> Option<Selection> {
    let send = sends.iter().find(|(of, _)| *of == family).map(|(_, send)| *send).unwrap_or_default();
    // A limit of none at all is no limit (draft-abraitis-idr-addpath-paths-limit §2).
    let limit = limits.iter().find(|(of, limit)| *of == family && *limit > 0).map(|(_, limit)| *limit);
    Selection::of(send, limit)
}
