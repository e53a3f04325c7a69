//! A bound on how much a peer is told, where more is kept from it.
//!
//! Which routes such a peer has depends on the order in which they came to it. So it shares its bytes with nobody: its
//! group has no other member, and its cursor has one bit for each route that it was told and one for each that waits. No
//! other peer costs memory by route. What stands stays while it may be told; what would be one too many waits, and is told,
//! in the order of names, when there is room. Withdrawals make room for the next batch and not for their own, in which they
//! come last: at no moment does the peer hold more than the bound.

use crate::config::PeerParams;
use crate::limits::{self, FamilyLimits};
use crate::slab::BitSet;

/// The peer of a group of its own, and the most that it may be told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Bound {
    pub(crate) slot: u32,
    pub(crate) max: u32,
}

impl Bound {
    /// The bound of a peer in one family, if more is kept from it.
    pub(crate) fn of(slot: u32, params: &PeerParams, family: bgp_wire::Family) -> Option<Self> {
        let FamilyLimits { advertised, .. } = params.limits.of(family);
        let max = limits::threshold(advertised);
        (max < u32::MAX).then_some(Self { slot, max })
    }
}

/// What a peer with a bound has been told.
#[derive(Debug, Default)]
pub(crate) struct Bounded {
    pub(crate) max: u32,
    told: BitSet,
    count: u32,
    waiting: BitSet,
    waits: u32,
    /// New routes that the batch in the making may still tell.
    room: u32,
}

impl Bounded {
    pub(crate) fn new(max: u32) -> Self {
        Self { max, ..Self::default() }
    }

    /// How many routes stand.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// How many wait for room.
    pub(crate) fn waits(&self) -> u32 {
        self.waits
    }

    pub(crate) fn has(&self, id: u32) -> bool {
        self.told.contains(id)
    }

    /// All that stand.
    pub(crate) fn told(&self) -> &BitSet {
        &self.told
    }

    pub(crate) fn is_waiting(&self, id: u32) -> bool {
        self.waiting.contains(id)
    }

    /// Whether there is room for some that wait.
    pub(crate) fn can_refill(&self) -> bool {
        self.waits > 0 && self.count < self.max
    }

    /// The next ones that there is room for.
    pub(crate) fn refill(&self, most: usize) -> Vec<u32> {
        let room = self.max.saturating_sub(self.count) as usize;
        self.waiting.iter().take(room.min(most)).collect()
    }

    /// A batch begins.
    pub(crate) fn open(&mut self) {
        self.room = self.max.saturating_sub(self.count);
    }

    /// What stands may stay, unless there is too much; whether it does.
    pub(crate) fn keep(&mut self, id: u32) -> bool {
        self.tell(id);
        let stays = self.count <= self.max;
        if !stays {
            self.lose(id);
        }
        stays
    }

    /// A new route is told if there is room; whether there is.
    pub(crate) fn admit(&mut self, id: u32) -> bool {
        let has_room = self.room > 0 && self.count < self.max;
        if has_room {
            self.room -= 1;
            self.tell(id);
        }
        has_room
    }

    fn tell(&mut self, id: u32) {
        self.waits -= u32::from(self.waiting.remove(id));
        self.count += u32::from(self.told.insert(id));
    }

    /// A route neither stands nor waits.
    pub(crate) fn lose(&mut self, id: u32) {
        self.waits -= u32::from(self.waiting.remove(id));
        self.count -= u32::from(self.told.remove(id));
    }

    /// A route that could be told has to wait.
    pub(crate) fn wait(&mut self, id: u32) {
        self.waits += u32::from(self.waiting.insert(id));
    }
}
