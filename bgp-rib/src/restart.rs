//! Routes that outlive their session: generations, End-of-RIB, refresh from the peer, and the sweep in bounded turns.

use crate::prefix::Key;
use crate::slab::NONE;
use crate::table::{Shared, Table};

impl<K: Key> Table<K> {
    /// The session ended, or the peer begins to tell everything again (RFC 7313 §4.2 BoRR): what it told is stale.
    pub(crate) fn age(&mut self, slot: u32) {
        let peer = self.peer_mut(slot);
        peer.begin_generation();
        peer.sweep_older();
    }

    /// The peer has told everything (End-of-RIB, EoRR) or had time enough: what it did not tell again goes.
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
            self.remove_path(shared, oldest);
        }
        0
    }
}
