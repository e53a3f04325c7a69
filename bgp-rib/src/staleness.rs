//! What followers are told where nothing of a route changes but that it is stale (its session ended and it is kept, or it
//! has been told again as it was), or the interface that it leaves by. Neither peers nor the kernel have any use for that, so it stands in a log of its own,
//! which is there as long as somebody reads it.

use bgp_wire::NextHop;

use crate::decision::Ladder;
use crate::follower::{PASSED_OVER, Place};
use crate::log::Log;
use crate::path::Path;
use crate::prefix::Key;
use crate::reader::RouteChange;
use crate::slab::NONE;
use crate::table::{Shared, State, Table};

/// Prefixes whose best route, or another of the multipath set, became stale or ceased to be, or leaves by another interface.
#[derive(Debug)]
pub(crate) struct Marks {
    log: Log,
    /// Peers whose routes are walked over.
    walks: Vec<u32>,
}

impl<K: Key> Table<K> {
    /// Whether a path's session ended and it has not been told since. What a refresh asks for anew is not stale by that: its
    /// session stands.
    pub(crate) fn is_former(&self, path: &Path) -> bool {
        self.peer(path.peer).is_some_and(|peer| peer.is_former(path.generation))
    }

    /// Those of some next hops to which none but stale paths lead.
    pub(crate) fn only_stale<'a>(
        &'a self,
        shared: &Shared,
        next_hops: &[NextHop],
        paths: impl Iterator<Item = &'a Path> + Clone,
    ) -> Vec<NextHop> {
        if !paths.clone().any(|path| self.is_former(path)) {
            return Vec::new();
        }
        let fresh = paths.filter(|path| !self.is_former(path));
        let fresh: Vec<NextHop> = fresh.filter_map(|path| shared.next_hop(path.attributes)).collect();
        next_hops.iter().copied().filter(|next_hop| !fresh.contains(next_hop)).collect()
    }

    /// Whether anybody reads marks.
    pub(crate) fn is_marked(&self) -> bool {
        self.marks.is_some()
    }

    /// One past the newest mark; 0 while nobody reads them.
    pub(crate) fn marked(&self) -> u64 {
        self.marks.as_ref().map_or(0, |marks| marks.log.head())
    }

    /// Somebody reads marks from here on.
    pub(crate) fn open_marks(&mut self) -> u64 {
        let marks = self.marks.get_or_insert_with(|| Box::new(Marks { log: Log::new(), walks: Vec::new() }));
        let head = marks.log.head();
        marks.log.join(head);
        head
    }

    /// Who stood there reads no more.
    pub(crate) fn close_marks(&mut self, cursor: u64) {
        let Some(marks) = &mut self.marks else { return };
        marks.log.leave(cursor);
        if !marks.log.is_followed() {
            self.marks = None;
        }
    }

    /// A session ended and its routes stay: those who want to know are told of each, in bounded turns.
    pub(crate) fn begin_marking(&mut self, slot: u32) {
        if self.marks.is_none() || !self.keeps(slot) {
            return;
        }
        let peer = self.peer_mut(slot);
        peer.to_mark = peer.newest;
        if let Some(marks) = self.marks.as_mut().filter(|marks| !marks.walks.contains(&slot)) {
            marks.walks.push(slot);
        }
    }

    /// Whether there are routes of which it has still to be told.
    pub(crate) fn is_marking(&self) -> bool {
        self.marks.as_ref().is_some_and(|marks| !marks.walks.is_empty())
    }

    /// Goes on with up to `turn` paths. The list of a peer's paths is in the order of generations: what is told again
    /// meanwhile is behind the walk.
    pub(crate) fn continue_marking(&mut self, turn: u32) {
        for _ in 0..turn {
            let Some(slot) = self.marks.as_ref().and_then(|marks| marks.walks.last().copied()) else {
                return;
            };
            let at = self.peer(slot).map_or(NONE, |peer| peer.to_mark);
            if at == NONE {
                self.marks.as_mut().and_then(|marks| marks.walks.pop());
                continue;
            }
            self.peer_mut(slot).to_mark = self.paths[at].older;
            self.mark(at);
        }
    }

    /// A path goes from its place in the list of its peer: a walk that was about to look at it goes on with the next.
    pub(crate) fn pass_by(&mut self, slot: u32, path: u32, next: u32) {
        if let Some(peer) = self.peers.get_mut(slot as usize).filter(|peer| peer.to_mark == path) {
            peer.to_mark = next;
        }
    }

    /// A path became stale or ceased to be, or leaves by another interface: followers hear of its prefix if they are shown it.
    pub(crate) fn mark(&mut self, at: u32) {
        let Some(marks) = &mut self.marks else { return };
        let path = &self.paths[at];
        let entry = &self.entries[path.prefix];
        let best = entry.paths == at || (path.multipath && self.multipath.is_some());
        if entry.state == State::Best && best {
            marks.log.touch(path.prefix);
        }
    }

    /// A prefix is gone, and its number may be another's.
    pub(crate) fn unmark(&mut self, id: u32) {
        if let Some(marks) = &mut self.marks {
            marks.log.remove(id);
        }
    }

    /// Octets of the log.
    pub(crate) fn marks_memory(&self) -> usize {
        self.marks.as_ref().map_or(0, |marks| marks.log.memory())
    }

    /// The table is empty.
    pub(crate) fn forget_marks(&mut self) {
        if let Some(marks) = &mut self.marks {
            marks.log.forget_positions();
        }
    }

    /// Fills changes up to `max` with prefixes that were marked, but for those that the walk over changed routes has just
    /// shown, or has still to show; where the follower stands now.
    pub(crate) fn follow_marks(
        &mut self,
        shared: &mut Shared,
        before: Place,
        cursor: u64,
        max: usize,
        changes: &mut Vec<RouteChange>,
    ) -> u64 {
        let Some(marks) = &self.marks else { return cursor };
        let head = marks.log.head();
        let mut ladder: Ladder = core::mem::take(&mut shared.ladder);
        let mut reached = head;
        for (count, (position, id)) in marks.log.walk(cursor, head).enumerate() {
            if changes.len() >= max || count >= max.saturating_mul(PASSED_OVER) {
                reached = position;
                break;
            }
            let shown = self.followed().position(id).is_none_or(|at| at >= before.cursor);
            if shown {
                continue;
            }
            let best = self.best_of(shared, &mut ladder, id);
            let prefix = self.entries[id].key.prefix().filter(|_| best.is_some());
            changes.extend(prefix.map(|prefix| RouteChange { prefix, best }));
        }
        shared.ladder = ladder;
        if let Some(marks) = &mut self.marks {
            marks.log.leave(cursor);
            marks.log.join(reached);
            if marks.log.len() > 0 && marks.log.read_by_all() == marks.log.head() {
                marks.log.clear();
            }
        }
        reached
    }
}
