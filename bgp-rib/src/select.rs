//! From paths to the Loc-RIB: decides a prefix and tells the logs what its readers would see changed.

use bgp_wire::ClusterId;

use crate::attributes::{Marks, Scope};
use crate::decision::Ladder;
use crate::path::Path;
use crate::prefix::Key;
use crate::slab::NONE;
use crate::table::{MANY, Seen, Shared, State, Table, Touched};

/// How many times as much it costs to judge a path by a policy as to decide with it.
const JUDGED: u32 = 4;

impl<K: Key> Table<K> {
    /// Decides a prefix anew.
    pub(crate) fn decide(&mut self, shared: &mut Shared, id: u32, touched: Touched) {
        let first = self.entries[id].paths;
        let alone = first != NONE && self.paths[first].next == NONE;
        let mut multipath_changed = touched.multipath;
        let best = if first == NONE {
            None
        } else if alone {
            let usable = self.eligible(shared, &self.paths[first]).is_ok();
            multipath_changed |= core::mem::replace(&mut self.paths[first].multipath, usable) != usable;
            usable.then_some(first)
        } else if self.entries[id].long {
            let best = self.decide_long(shared, id, touched);
            if self.multipath.is_some() {
                let mut ladder = core::mem::take(&mut shared.ladder);
                self.climb_front(shared, &mut ladder, id);
                multipath_changed |= self.mark_members(id, best, self.equals(shared, &ladder, best));
                shared.ladder = ladder;
            }
            best
        } else if let Some(rival) = self.sole_rival(id, touched) {
            let mut ladder = core::mem::take(&mut shared.ladder);
            let both = [Some(first), rival].into_iter().flatten().map(|at| (at, &self.paths[at]));
            let best = self.climb_with(shared, &mut ladder, both);
            shared.ladder = ladder;
            best
        } else {
            let mut ladder = core::mem::take(&mut shared.ladder);
            let best = self.climb(shared, &mut ladder, id);
            if self.multipath.is_some() {
                multipath_changed |= self.mark_multipath(id, best, self.equals(shared, &ladder, best));
            }
            shared.ladder = ladder;
            best
        };
        self.put_first(shared, id, best);
        if !self.path_logs.is_empty() {
            self.choose(shared, id, (touched.only, touched.before));
        }
        let after = self.seen(id);
        // Who may not be told the best membership is told another one.
        let inside = self.is_membership() && self.choose_inside(shared, id, touched.only);
        let changed = touched.before != after || (best.is_some() && touched.renamed == best) || inside;
        let choose = self.groups.choose();
        let stood = if choose { self.log.position(id) } else { None };
        if changed {
            self.best_changed(shared, id, touched.before, after);
        }
        if choose {
            self.follow_choices(shared, id, touched, (changed, stood));
        }
        if let Some(log) = self.multipath.as_mut().filter(|_| multipath_changed || changed) {
            log.touch(id);
        }
        self.look_for_origins(shared, id);
        if after.is_none() {
            self.forget_if_unused(id);
        }
    }

    /// Where one path came, changed or went that is not the best, it alone can be better than the best: preference is a
    /// total order as long as no path has a MED. So thousands of paths of one prefix cost no more than a few each. `None`:
    /// all have to be looked at.
    fn sole_rival(&self, id: u32, touched: Touched) -> Option<Option<u32>> {
        let entry = &self.entries[id];
        let total =
            !entry.med && entry.state == State::Best && self.multipath.is_none() && self.rescan.is_none();
        let rival = touched.only.filter(|&path| total && path != entry.paths)?;
        Some((rival != NONE).then_some(rival))
    }

    /// The multipath set beside the best: what is as good through the interior cost, and of an AS_PATH that may go with it.
    pub(crate) fn equals(&self, shared: &Shared, ladder: &Ladder, best: Option<u32>) -> Vec<u32> {
        let Some(best) = best else { return Vec::new() };
        ladder.equals().filter(|&at| self.goes_along(shared, at, best)).collect()
    }

    fn mark_multipath(&mut self, id: u32, best: Option<u32>, equals: Vec<u32>) -> bool {
        let mut members: Vec<u32> = best.into_iter().chain(equals).collect();
        members.sort_unstable();
        let is_member = |at: u32| members.binary_search(&at).is_ok();
        let others = self.paths_of(id).filter(|&(at, path)| path.multipath != is_member(at));
        let others: Vec<u32> = others.map(|(at, _)| at).collect();
        for &at in &others {
            self.paths[at].multipath ^= true;
        }
        !others.is_empty()
    }

    fn put_first(&mut self, shared: &Shared, id: u32, best: Option<u32>) {
        // Who is of the same router as the best is placed by that.
        let oldest = shared.config.decision.prefer_oldest;
        let former =
            self.best_path(id).filter(|_| oldest).and_then(|path| self.external_router(shared, path));
        let Some(best) = best else {
            self.entries[id].state = State::NoBest;
            return;
        };
        self.entries[id].state = State::Best;
        self.move_to_front(id, best);
        if oldest && former != self.external_router(shared, &self.paths[best]) {
            self.reorder_long(shared, id);
        }
    }

    fn best_changed(&mut self, shared: &mut Shared, id: u32, before: Option<Seen>, after: Option<Seen>) {
        self.count_best(shared, before, u32::wrapping_sub);
        self.count_best(shared, after, u32::wrapping_add);
        if !shared.aggregates.is_empty() {
            self.count_in_aggregates(shared, id, before, after);
        }
        self.best = self.best + usize::from(after.is_some()) - usize::from(before.is_some());
        let membership = self.is_membership();
        if let Some(after) = after {
            let entry = &mut self.entries[id];
            let same = entry.sole == NONE || entry.sole == after.peer;
            entry.sole = if same && !membership { after.peer } else { MANY };
        }
        self.log.touch(id);
    }

    fn count_best(&mut self, shared: &Shared, seen: Option<Seen>, change: fn(u32, u32) -> u32) {
        let Some(seen) = seen else { return };
        let scope = scope_index(shared.attributes[seen.attributes].summary.scope);
        if let Some(peer) = self.peers.get_mut(seen.peer as usize) {
            peer.best[scope] = change(peer.best[scope], 1);
        }
    }

    /// Prefixes without best path that some reader may still have to hear of.
    pub(crate) fn tombstones(&self) -> usize {
        self.log.len() - self.best
    }

    /// Whether there are tombstones that every reader has passed.
    pub(crate) fn reapable(&self) -> bool {
        let passed = |log: &crate::log::Log, from: u64| log.len() > self.best && from < log.read_by_all();
        self.path_logs.is_busy()
            || self.is_looking()
            || passed(&self.log, self.reaped[0])
            || self.multipath.as_ref().is_some_and(|log| passed(log, self.reaped[1]))
    }

    /// Takes tombstones that every reader has passed out of the logs, looking at no more than `turn` prefixes.
    pub(crate) fn reap(&mut self, turn: usize) {
        self.reap_paths(turn);
        for which in 0..2 {
            let log = if which == 0 { Some(&self.log) } else { self.multipath.as_ref() };
            let Some(log) = log else { continue };
            let end = log.read_by_all();
            let looked: Vec<(u64, u32)> = log.walk(self.reaped[which], end).take(turn).collect();
            self.reaped[which] = match looked.last() {
                Some(&(position, _)) if looked.len() == turn => position + 1,
                _ => end.max(self.reaped[which]),
            };
            for (id, hash) in self.tombstones_of(&looked) {
                let log = if which == 0 { Some(&mut self.log) } else { self.multipath.as_mut() };
                if let Some(log) = log {
                    log.remove(id);
                }
                if which == 0 {
                    self.groups.forget(NONE, id);
                }
                if self.is_unused(id) {
                    self.forget(id, hash);
                }
            }
        }
    }

    /// A next hop changed: every prefix will be decided anew, in turns.
    pub(crate) fn begin_rescan(&mut self) {
        if self.rescan.is_some() {
            self.rescan_again = true;
        } else if self.entries.bound() > 0 {
            self.rescan = Some(0);
        }
    }

    /// Paths whose peer is something else now than when they were told are told again; the best path, if it is one.
    fn tell_again(&mut self, shared: &Shared, id: u32) -> Option<u32> {
        self.mark_rerouted(shared, id);
        let validated = shared.vrps.retells(self.entries[id].key.prefix());
        if !shared.peers.judging && !validated && !shared.next_hops.moved && !shared.next_hops.retells {
            return None;
        }
        // AIGP is told with the way to the next hop.
        let moved = |path: &Path| {
            let set = &shared.attributes[path.attributes];
            let entry = || shared.next_hops.get(set.next_hop);
            set.summary.marks.has(Marks::AIGP) && entry().is_some_and(|entry| entry.moved)
        };
        let renamed = |path: &Path| shared.peers.get(path.peer).is_some_and(|peer| peer.retold);
        let rerouted = |path: &Path| shared.next_hops.retells && shared.is_rerouted(path.attributes);
        let retold = |path: &Path| validated || renamed(path) || moved(path) || rerouted(path);
        let paths: Vec<u32> = self.paths_of(id).filter(|(_, path)| retold(path)).map(|(at, _)| at).collect();
        paths.iter().for_each(|&path| self.path_logs.touch(path));
        self.retell_choices(id, &paths);
        let best = self.entries[id].paths;
        (self.entries[id].state == State::Best && paths.contains(&best)).then_some(best)
    }

    /// What it costs to look at a prefix: one for each path, and one.
    pub(crate) fn weight(&self, id: u32) -> u32 {
        u32::try_from(1 + self.path_count(id)).unwrap_or(u32::MAX)
    }

    /// Decides prefixes anew, with `turn` paths or a few more.
    pub(crate) fn continue_rescan(&mut self, shared: &mut Shared, clusters: &[ClusterId], turn: u32) {
        let Some(from) = self.rescan else { return };
        let judged = if shared.peers.judging { JUDGED } else { 1 };
        let (mut end, mut left) = (from, turn);
        while left > 0 && end < self.entries.bound() {
            let id = end;
            end += 1;
            if self.entries[id].state == State::Free {
                left -= 1;
                continue;
            }
            left = left.saturating_sub(self.weight(id).saturating_mul(judged));
            if shared.peers.judging {
                self.judge_again(shared, clusters, id);
                // The prefix may have gone with its last path, and with it the table.
                if id >= self.entries.bound() || self.entries[id].state == State::Free {
                    continue;
                }
            }
            let renamed = self.tell_again(shared, id);
            let before = self.seen(id);
            self.decide(shared, id, Touched { renamed, ..Touched::new(before) });
            if self.tells_ways {
                self.tell_ways(id);
            }
        }
        self.rescan = (end < self.entries.bound()).then_some(end);
        if self.rescan.is_none() {
            self.rescan = core::mem::take(&mut self.rescan_again).then_some(0);
            self.tells_ways &= self.rescan.is_some();
        }
    }
}

/// Index of [`Scope`] in per-scope counts.
pub(crate) fn scope_index(scope: Scope) -> usize {
    match scope {
        Scope::All => 0,
        Scope::Inside => 1,
        Scope::Nobody => 2,
    }
}
