//! Routes that outlive their session: generations, End-of-RIB, refresh from the peer, and the sweep in bounded turns.

use core::time::Duration;

use crate::prefix::Key;
use crate::slab::NONE;
use crate::table::{Shared, Table};

/// Generations are numbers that wrap: of what stands none may be so far behind that it passes for a newer one. Half the
/// range is more than any peer needs that has its routes swept in between.
const FARTHEST: u16 = u16::MAX / 2;

impl<K: Key> Table<K> {
    /// The session ended: what it told is stale, and may stay until `until`. What a refresh had made stale has been told in
    /// this session and stays too; so does, with `keeps`, what was stale when it began.
    pub(crate) fn age(&mut self, slot: u32, shared: &mut Shared, keeps: bool, until: Duration) {
        // Before so many sessions have passed the sweep has had its turns; if not, they are taken here.
        while self.is_far_behind(slot) && self.sweep(shared, slot, 1) == 0 {}
        let keeps = keeps && !self.is_far_behind(slot);
        let peer = self.peer_mut(slot);
        peer.end_session(keeps, until);
        peer.sweep_older();
        (peer.initial, peer.refreshing) = (false, false);
    }

    /// A session is up and tells everything. Refreshes wait for its End-of-RIB if the peer is bound to say one, and while
    /// kept routes of the former session stand (RFC 7313 §4). Whether such routes stand.
    pub(crate) fn begin_initial(&mut self, slot: u32, says_end: bool) -> bool {
        let keeps = self.keeps(slot);
        let peer = self.peer_mut(slot);
        peer.initial = says_end || keeps;
        if !keeps {
            // What this session tells has nothing to do with a time that began when others were lost.
            (peer.long_lived, peer.kept_until) = (None, None);
        }
        keeps
    }

    /// Until when a peer's stale routes stay as long-lived ones, if they do.
    pub(crate) fn long_lived(&self, slot: u32) -> Option<Duration> {
        self.peer(slot).and_then(|peer| peer.long_lived)
    }

    /// Until when stale routes of the first of several losses stay, if there are such.
    pub(crate) fn kept_until(&self, slot: u32) -> Option<Duration> {
        self.peer(slot).and_then(|peer| peer.kept_until)
    }

    /// The time of stale routes of the first of several losses is over, or not yet; whether there is anything to sweep.
    pub(crate) fn expire_first_loss(&mut self, slot: u32, now: Duration) -> bool {
        let over = self.kept_until(slot).is_some_and(|until| until <= now);
        if over {
            self.peer_mut(slot).end_first_loss();
        }
        over
    }

    /// Whether any route of a peer stands that is not to be swept: the newest is the last to go.
    pub(crate) fn keeps(&self, slot: u32) -> bool {
        let Some(peer) = self.peer(slot).filter(|peer| peer.newest != NONE) else { return false };
        !peer.sweeps(self.paths[peer.newest].generation)
    }

    /// Whether the oldest path of a peer is of a generation long ago.
    fn is_far_behind(&self, slot: u32) -> bool {
        let Some(peer) = self.peer(slot).filter(|peer| peer.oldest != NONE) else { return false };
        peer.behind(self.paths[peer.oldest].generation) >= FARTHEST
    }

    /// BoRR: the peer begins to tell everything again, and what it told before is stale (RFC 7313 §4). Before its
    /// End-of-RIB the message is to be ignored: routes that were kept from the former session would lose their stay.
    pub(crate) fn begin_refresh(&mut self, slot: u32) {
        if self.is_far_behind(slot) {
            tracing::warn!(peer = slot, family = %self.family, "a flood of BoRRs: ignored until old routes are swept");
            return;
        }
        let peer = self.peer_mut(slot);
        if peer.initial {
            tracing::warn!(peer = slot, family = %self.family, "BoRR before End-of-RIB: ignored");
            return;
        }
        peer.begin_generation();
        peer.refreshing = true;
    }

    /// EoRR: what was not told since BoRR goes (RFC 7313 §4); without BoRR it says nothing. Whether there is anything to sweep.
    pub(crate) fn end_refresh(&mut self, slot: u32) -> bool {
        let refreshing = self.peer(slot).is_some_and(|peer| peer.refreshing);
        refreshing && self.told_everything(slot)
    }

    /// End-of-RIB: what was kept from the former session and not told again goes (RFC 4724 §4.2). Within a refresh it
    /// speaks of nothing that is stale by that. Whether there is anything to sweep.
    pub(crate) fn end_initial(&mut self, slot: u32) -> bool {
        let refreshing = self.peer(slot).is_some_and(|peer| peer.refreshing);
        !refreshing && self.told_everything(slot)
    }

    /// The peer has told everything or had time enough: what it did not tell again goes.
    /// Whether there is anything to sweep.
    pub(crate) fn told_everything(&mut self, slot: u32) -> bool {
        let peer = self.peer_mut(slot);
        peer.sweep_stale();
        peer.sweeping
    }

    /// Removes up to `turn` paths that are to be swept; how many are left of the turn. The list is in the order of generations, the oldest at its end, so
    /// that nothing that stays is ever looked at twice.
    pub(crate) fn sweep(&mut self, shared: &mut Shared, slot: u32, turn: usize) -> usize {
        for removed in 0..turn {
            let Some(peer) = self.peers.get_mut(slot as usize).filter(|peer| peer.sweeping) else {
                return turn - removed;
            };
            let oldest = peer.oldest;
            if oldest == NONE || !peer.sweeps(self.paths[oldest].generation) {
                peer.sweeping = false;
                return turn - removed;
            }
            peer.swept = peer.swept.saturating_add(1);
            self.remove_path(shared, oldest);
        }
        0
    }

    /// How many paths of a peer were removed, once that is over.
    pub(crate) fn take_swept(&mut self, slot: u32) -> Option<u32> {
        let peer = self.peers.get_mut(slot as usize).filter(|peer| !peer.sweeping && peer.swept > 0)?;
        Some(core::mem::take(&mut peer.swept))
    }
}
