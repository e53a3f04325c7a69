//! What holds the tables' first words back until the node's data path is there.

use std::collections::BTreeSet;
use std::time::Duration;

use bgp_rib::OwnerId;

/// Owners that have something to prepare before peers may be told anything, and how long they may take.
#[derive(Debug, Default)]
pub(crate) struct Barrier {
    waiting_for: BTreeSet<OwnerId>,
    until: Duration,
}

impl Barrier {
    pub(crate) fn new(owners: impl IntoIterator<Item = OwnerId>, until: Duration) -> Self {
        Self { waiting_for: owners.into_iter().collect(), until }
    }

    pub(crate) fn holds(&self) -> bool {
        !self.waiting_for.is_empty()
    }

    /// When it is lifted whoever is missing.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.holds().then_some(self.until)
    }

    /// This owner is ready; whether that lifted the barrier.
    pub(crate) fn ready(&mut self, owner: OwnerId) -> bool {
        self.waiting_for.remove(&owner) && !self.holds()
    }

    /// Gives up waiting once the time is over; whether that lifted the barrier.
    pub(crate) fn expire(&mut self, now: Duration) -> bool {
        if !self.holds() || now < self.until {
            return false;
        }
        let owners: Vec<u32> = self.waiting_for.iter().map(|owner| owner.0).collect();
        tracing::warn!(
            ?owners,
            "owners that are not ready are waited for no longer: peers are told what there is"
        );
        self.waiting_for.clear();
        true
    }
}
