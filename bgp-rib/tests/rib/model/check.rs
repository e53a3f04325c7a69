//! What must hold when everybody has been drained.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bgp_rib::{
    HeldBack, Ineligible, OwnerId, PathExplanation, PathVerdict, PeerId, PeerParams, RouteFilter, Source,
};
use ipnet::IpNet;

use super::scene::prefixes;
use super::world::World;
use crate::naive::Teller;
use crate::naive_border;
use crate::naive_decision::Name;
use crate::naive_policy::{SETS_NEXT_HOP, policy};
use crate::support::*;

fn all_prefixes() -> Vec<IpNet> {
    prefixes(255)
}

/// What a path is called.
pub(super) fn name(path: &PathExplanation) -> Name {
    match path.source {
        Source::Local(owner) => (Teller::Local, owner.0),
        Source::Peer { id, .. } => (Teller::Peer(id), path.path_id.0),
    }
}

/// A route whose path says the same in as few segments as can be.
fn joined(mut route: Route) -> Route {
    route.attributes.as_path = naive_border::joined(&route.attributes.as_path);
    route
}

impl World {
    /// Every peer that is idle holds exactly what the rules say, and the counters and explanations agree.
    pub(super) fn check(&mut self) {
        self.lab.settle();
        self.hear();
        self.see_who_is_over();
        self.facts.aggregate();
        for prefix in all_prefixes() {
            self.check_loc_rib(prefix);
        }
        let up: Vec<PeerId> =
            self.facts.sessions.iter().filter(|(_, (_, up))| *up).map(|(id, _)| *id).collect();
        for peer in up {
            let limits = self.facts.sessions[&peer].0.limits.clone();
            let remote = self.lab.remotes.get_mut(&peer).unwrap();
            if !remote.idle {
                continue;
            }
            remote.params.limits = limits;
            let remote = &self.lab.remotes[&peer];
            let several = !remote.params.add_path_send.is_empty();
            for prefix in all_prefixes().into_iter().filter(|_| several) {
                self.check_paths(peer, prefix);
            }
            for prefix in all_prefixes().into_iter().filter(|_| !several) {
                let mut expected = self.facts.expected(peer, prefix).map(joined);
                if expected.is_some() && self.waits(peer, prefix) {
                    expected = None;
                }
                let held = remote.view.get(&prefix).cloned().map(joined);
                assert_eq!(held, expected, "{peer} {prefix}");
                let explained = self.lab.rib.explain(prefix);
                let explained = explained.as_ref().and_then(|e| e.peers.iter().find(|p| p.peer == peer));
                assert_eq!(
                    explained.and_then(|p| p.verdict.ok()),
                    expected.map(|route| route.next_hop),
                    "{peer} {prefix} {explained:?}"
                );
                assert!(explained.is_none_or(|p| p.sent));
            }
            assert!(self.defers || remote.end_of_rib.len() == 2, "{peer} was drained without End-of-RIB");
            self.check_counters(peer);
            self.check_memory(peer);
        }
    }

    /// While nothing new is stored of a peer there is something that takes up its memory, and else there is not too much.
    fn check_memory(&self, peer: PeerId) {
        let Some(limit) = self.facts.sessions[&peer].0.limits.memory else { return };
        let used = self.lab.rib.peer_memory(peer);
        assert!(self.full.contains(&peer) || used < limit.max, "{peer}: {used}");
        assert!(!self.full.contains(&peer) || used > 0, "{peer} is refused routes and has none");
    }

    /// Which paths a bound keeps out of the decision depends on the order of what came. That there are as many in it as may
    /// be, and no more, does not.
    pub(super) fn see_who_is_over(&mut self) {
        self.facts.over.clear();
        for prefix in all_prefixes() {
            for path in self.lab.rib.explain(prefix).iter().flat_map(|explained| &explained.paths) {
                let over = path.verdict == PathVerdict::Ineligible(Ineligible::OverLimit);
                if let Source::Peer { id, .. } = path.source
                    && over
                {
                    self.facts.over.insert((prefix, Teller::Peer(id), path.path_id.0));
                }
            }
        }
        for (peer, (params, _)) in &self.facts.sessions {
            for family in [V4, V6] {
                let passes = self.facts.told.iter().filter(|((prefix, from, _), path)| {
                    *from == Teller::Peer(*peer)
                        && family_of(prefix) == family
                        && self.facts.passes(*prefix, from, path)
                });
                let (over, within): (Vec<_>, Vec<_>) =
                    passes.partition(|(key, _)| self.facts.over.contains(key));
                let Some(limit) = params.limits.of(family).accepted else {
                    assert!(over.is_empty(), "{peer} {family}");
                    continue;
                };
                assert!(within.len() as u64 <= limit.max, "{peer} {family}");
                assert!(
                    over.is_empty() || within.len() as u64 == limit.max,
                    "{peer} {family}: there is room"
                );
            }
        }
    }

    /// Whether a route waits for room at a peer that may be told so many.
    fn waits(&self, peer: PeerId, prefix: IpNet) -> bool {
        let explained = self.lab.rib.explain(prefix);
        let told = explained.as_ref().and_then(|e| e.peers.iter().find(|told| told.peer == peer));
        told.is_some_and(|told| told.verdict == Err(HeldBack::OverLimit))
    }

    /// A peer that is told several paths holds exactly those that it should, each under the name that is its own.
    fn check_paths(&self, peer: PeerId, prefix: IpNet) {
        let explained = self.lab.rib.explain(prefix);
        let explained = explained.as_ref().and_then(|e| e.peers.iter().find(|p| p.peer == peer));
        assert!(explained.is_none_or(|p| p.sent), "{peer} {prefix}");
        let name = |from: &Teller, id: u32| {
            let mut paths = explained.iter().flat_map(|p| &p.paths);
            let path = paths.find(|path| match (path.source, from) {
                (Source::Local(owner), Teller::Local) => owner == OwnerId(id),
                (Source::Peer { id: peer, .. }, Teller::Peer(from)) => peer == *from && path.received.0 == id,
                _ => false,
            });
            path.expect("every eligible path is explained")
        };
        let mut expected = BTreeMap::new();
        for (from, id, path) in self.facts.chosen(peer, prefix) {
            let told = name(&from, id);
            let mut route = self.facts.route_of(peer, prefix, &from, &path);
            if told.verdict == Err(HeldBack::OverLimit) {
                assert!(route.take().is_some(), "{peer} {prefix} could be told");
            }
            assert_eq!(
                told.verdict.ok(),
                route.as_ref().map(|route| route.next_hop),
                "{peer} {prefix} {told:?}"
            );
            expected.extend(route.map(|route| (told.path_id.0, joined(route))));
        }
        let held = &self.lab.remotes[&peer].paths;
        let held: BTreeMap<u32, Route> = held
            .iter()
            .filter(|((p, _), _)| *p == prefix)
            .map(|((_, id), route)| (*id, joined(route.clone())))
            .collect();
        assert_eq!(held, expected, "{peer} {prefix}");
        let told = explained.iter().flat_map(|p| &p.paths).filter(|path| path.verdict.is_ok());
        assert_eq!(told.count(), expected.len(), "{peer} {prefix}");
    }

    fn check_loc_rib(&self, prefix: IpNet) {
        let filter =
            RouteFilter { prefix: Some(prefix), best_only: true, ..RouteFilter::all(family_of(&prefix)) };
        let (routes, _) = self.lab.rib.routes(&filter, Default::default(), 10);
        let got = routes.first().map(|route| match route.source {
            Source::Local(_) => Teller::Local,
            Source::Peer { id, .. } => Teller::Peer(id),
        });
        assert_eq!(got, self.facts.best(prefix).map(|(from, _)| from), "{prefix}");
        if let Some(explained) = self.lab.rib.explain(prefix) {
            let lost = explained.paths.iter().filter_map(|path| match path.verdict {
                PathVerdict::Lost(rung) | PathVerdict::Multipath(rung) => Some((name(path), rung)),
                _ => None,
            });
            assert_eq!(lost.collect::<BTreeMap<_, _>>(), self.facts.fallen(prefix), "{prefix}");
            let best = explained.paths.iter().filter(|path| path.verdict == PathVerdict::Best).count();
            assert_eq!(best, usize::from(!routes.is_empty()));
        }
    }

    fn check_counters(&self, peer: PeerId) {
        for family in [V4, V6] {
            let counters = self.lab.rib.peer_counters(peer, family);
            let mine = || {
                self.facts.told.iter().filter(|((prefix, from, _), _)| {
                    *from == Teller::Peer(peer) && family_of(prefix) == family
                })
            };
            assert_eq!(counters.received as usize, mine().count());
            assert_eq!(counters.stale as usize, mine().filter(|(_, path)| path.stale > 0).count());
            assert!(counters.drained);
            let remote = &self.lab.remotes[&peer];
            let view = if remote.params.add_path_send.is_empty() {
                remote.view.keys().filter(|prefix| family_of(prefix) == family).count()
            } else {
                remote.paths.keys().filter(|(prefix, _)| family_of(prefix) == family).count()
            };
            let limit = remote.params.limits.of(family).advertised;
            if let Some(limit) = limit {
                assert!(view as u64 <= limit.max, "{peer} {family}");
                assert!(counters.withheld == 0 || view as u64 == limit.max, "{peer} {family}: there is room");
            } else {
                assert_eq!(counters.withheld, 0);
            }
            if limit.is_some() || !self.next_hop_is_a_peer() {
                assert_eq!(counters.advertised as usize, view, "{peer} {family} advertised");
            }
        }
    }

    /// The advertised count does not know of routes that are held back because the peer itself is the next hop.
    fn next_hop_is_a_peer(&self) -> bool {
        let addresses: Vec<IpAddr> =
            self.facts.sessions.values().map(|(params, _)| params.peer_address).collect();
        let sets_one =
            |params: &PeerParams| [&params.import, &params.export].contains(&&policy(SETS_NEXT_HOP));
        self.facts.sessions.values().any(|(params, _)| sets_one(params))
            || self
                .facts
                .told
                .values()
                .any(|path| path.next_hop.is_some_and(|hop| addresses.contains(&hop.address())))
    }

    /// A follower reads so much; whether there was anything.
    pub(super) fn follow(&mut self, most: usize) -> bool {
        let Some(batch) = self.lab.rib.poll_reader(self.reader, most) else { return false };
        for change in batch.changes {
            let seen = change.best.map(|best| (best.attributes.next_hop, best.next_hops));
            match seen {
                Some(seen) => self.follower.insert(change.prefix, seen),
                None => self.follower.remove(&change.prefix),
            };
        }
        true
    }

    /// The follower's table is the Loc-RIB.
    pub(super) fn check_follower(&mut self) {
        self.lab.settle();
        self.see_who_is_over();
        self.facts.aggregate();
        while self.follow(3) {}
        for prefix in all_prefixes() {
            let best = self.facts.best(prefix).map(|(_, path)| path.next_hop);
            let got = self.follower.get(&prefix);
            assert_eq!(got.map(|(next_hop, _)| *next_hop), best, "{prefix}");
            let hops = self.facts.ways(prefix);
            assert_eq!(got.map(|(_, hops)| hops.clone()).unwrap_or_default(), hops, "{prefix}");
        }
    }
}
