//! What holds the first words about an owner's routes back until its data path is there: for as long as that takes. Everybody's
//! End-of-RIB waits with them, but not for ever: until it comes, peers forward by what a former process told.

use std::collections::BTreeMap;
use std::time::Duration;

use bgp_rib::{Origination, OwnerId};
use ipnet::IpNet;

/// Owners that have something to prepare before peers may be told of their routes, and how long they may take.
#[derive(Debug, Default)]
pub(crate) struct Barrier {
    /// Who is waited for, with what it wants to be announced: one route for each of its prefixes at most.
    waiting: BTreeMap<OwnerId, BTreeMap<IpNet, Origination>>,
    /// Until when End-of-RIB waits; `None`: no longer.
    until: Option<Duration>,
}

impl Barrier {
    pub(crate) fn new(owners: impl IntoIterator<Item = OwnerId>, until: Duration) -> Self {
        let waiting = owners.into_iter().map(|owner| (owner, BTreeMap::new())).collect();
        Self { waiting, until: Some(until) }
    }

    /// Whether End-of-RIB waits for somebody.
    pub(crate) fn holds(&self) -> bool {
        self.deadline().is_some()
    }

    /// When End-of-RIB waits no longer, whoever is missing.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.until.filter(|_| !self.waiting.is_empty())
    }

    /// Who is waited for.
    pub(crate) fn missing(&self) -> Vec<OwnerId> {
        self.waiting.keys().copied().collect()
    }

    /// Keeps what an owner that is waited for announces; back if it is not.
    pub(crate) fn announce<R: IntoIterator<Item = Origination>>(
        &mut self,
        owner: OwnerId,
        routes: R,
    ) -> Option<R> {
        let Some(kept) = self.waiting.get_mut(&owner) else { return Some(routes) };
        kept.extend(routes.into_iter().map(|route| (route.prefix, route)));
        None
    }

    /// Forgets what an owner that is waited for withdraws; back if it is not.
    pub(crate) fn withdraw<P: IntoIterator<Item = IpNet>>(
        &mut self,
        owner: OwnerId,
        prefixes: P,
    ) -> Option<P> {
        let Some(kept) = self.waiting.get_mut(&owner) else { return Some(prefixes) };
        prefixes.into_iter().for_each(|prefix| _ = kept.remove(&prefix));
        None
    }

    /// This owner is ready; what was kept for it, if it was waited for.
    pub(crate) fn ready(&mut self, owner: OwnerId) -> Option<impl Iterator<Item = Origination> + use<>> {
        Some(self.waiting.remove(&owner)?.into_values())
    }

    /// Lets End-of-RIB wait no longer once the time is over; whether it is over just now. What is held back stays so.
    pub(crate) fn expire(&mut self, now: Duration) -> bool {
        if self.deadline().is_none_or(|until| now < until) {
            return false;
        }
        self.until = None;
        let owners = self.missing();
        tracing::warn!(
            ?owners,
            "owners are not ready: End-of-RIB waits no longer, their routes are held back on"
        );
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(third: u8) -> Origination {
        Origination::new(IpNet::new([10, 0, third, 0].into(), 24).unwrap())
    }

    fn prefixes(routes: impl Iterator<Item = Origination>) -> Vec<IpNet> {
        routes.map(|route| route.prefix).collect()
    }

    #[test]
    fn an_owner_gets_what_it_wants_in_the_end_and_others_all_at_once() {
        let (slow, other) = (OwnerId(1), OwnerId(2));
        let mut barrier = Barrier::new([slow], Duration::from_secs(9));
        assert!(barrier.announce(other, vec![route(1)]).is_some());
        assert!(barrier.announce(slow, vec![route(1), route(2)]).is_none());
        assert!(barrier.withdraw(slow, vec![route(1).prefix]).is_none());
        assert!(barrier.announce(slow, vec![route(3)]).is_none());
        assert!(barrier.ready(other).is_none());
        assert_eq!(barrier.ready(slow).map(prefixes), Some(vec![route(2).prefix, route(3).prefix]));
        assert!(!barrier.holds());
        assert!(barrier.withdraw(slow, vec![route(2).prefix]).is_some());
    }

    #[test]
    fn end_of_rib_waits_for_its_time_and_routes_until_their_owner_is_ready() {
        let mut barrier = Barrier::new([OwnerId(1), OwnerId(2)], Duration::from_secs(9));
        assert_eq!(barrier.deadline(), Some(Duration::from_secs(9)));
        assert!(!barrier.expire(Duration::from_secs(8)));
        assert!(barrier.announce(OwnerId(1), vec![route(1)]).is_none());
        assert!(barrier.expire(Duration::from_secs(9)));
        assert!(!barrier.holds() && !barrier.expire(Duration::from_secs(10)), "it is over once");
        assert!(barrier.announce(OwnerId(1), vec![route(2)]).is_none(), "its routes are held back on");
        assert_eq!(barrier.missing(), [OwnerId(1), OwnerId(2)]);
        assert_eq!(barrier.ready(OwnerId(1)).map(prefixes), Some(vec![route(1).prefix, route(2).prefix]));
        assert_eq!(barrier.missing(), [OwnerId(2)]);
    }
}
