//! What must hold when everybody has been drained.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bgp_rib::{OwnerId, PathVerdict, PeerId, PeerParams, RouteFilter, Source};
use bgp_wire::NextHop;
use ipnet::IpNet;

use super::scene::prefixes;
use super::world::World;
use crate::naive::Teller;
use crate::naive_policy::{POLICIES, policy};
use crate::support::*;

fn all_prefixes() -> Vec<IpNet> {
    prefixes(255)
}

impl World {
    /// Every peer that is idle holds exactly what the rules say, and the counters and explanations agree.
    pub(super) fn check(&mut self) {
        self.lab.settle();
        self.facts.aggregate();
        for prefix in all_prefixes() {
            self.check_loc_rib(prefix);
        }
        let up: Vec<PeerId> =
            self.facts.sessions.iter().filter(|(_, (_, up))| *up).map(|(id, _)| *id).collect();
        for peer in up {
            let remote = &self.lab.remotes[&peer];
            if !remote.idle {
                continue;
            }
            let several = !remote.params.add_path_send.is_empty();
            for prefix in all_prefixes().into_iter().filter(|_| several) {
                self.check_paths(peer, prefix);
            }
            for prefix in all_prefixes().into_iter().filter(|_| !several) {
                let expected = self.facts.expected(peer, prefix);
                assert_eq!(remote.view.get(&prefix), expected.as_ref(), "{peer} {prefix}");
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
        }
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
            let route = self.facts.route_of(peer, prefix, &from, &path);
            assert_eq!(
                told.verdict.ok(),
                route.as_ref().map(|route| route.next_hop),
                "{peer} {prefix} {told:?}"
            );
            expected.extend(route.map(|route| (told.path_id.0, route)));
        }
        let held = &self.lab.remotes[&peer].paths;
        let held: BTreeMap<u32, Route> = held
            .iter()
            .filter(|((p, _), _)| *p == prefix)
            .map(|((_, id), route)| (*id, route.clone()))
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
            if !self.next_hop_is_a_peer() {
                assert_eq!(counters.advertised as usize, view, "{peer} {family} advertised");
            }
        }
    }

    /// The advertised count does not know of routes that are held back because the peer itself is the next hop.
    fn next_hop_is_a_peer(&self) -> bool {
        let addresses: Vec<IpAddr> =
            self.facts.sessions.values().map(|(params, _)| params.peer_address).collect();
        let sets_one =
            |params: &PeerParams| [&params.import, &params.export].contains(&&policy(POLICIES - 1));
        self.facts.sessions.values().any(|(params, _)| sets_one(params))
            || self
                .facts
                .told
                .values()
                .any(|path| path.next_hop.is_some_and(|hop| addresses.contains(&hop.address())))
    }

    /// The follower's table is the Loc-RIB.
    pub(super) fn check_follower(&mut self) {
        self.lab.settle();
        self.facts.aggregate();
        while let Some(batch) = self.lab.rib.poll_reader(self.reader, 3) {
            for change in batch.changes {
                match change.best {
                    Some(best) => {
                        let seen = (best.attributes.next_hop, best.next_hops);
                        self.follower.insert(change.prefix, seen);
                    }
                    None => {
                        self.follower.remove(&change.prefix);
                    }
                }
            }
        }
        for prefix in all_prefixes() {
            let best = self.facts.best(prefix).map(|(_, path)| path.next_hop);
            let got = self.follower.get(&prefix);
            assert_eq!(got.map(|(next_hop, _)| *next_hop), best, "{prefix}");
            let Some(explained) = self.lab.rib.explain(prefix) else { continue };
            let mut hops: Vec<NextHop> = Vec::new();
            for path in explained.paths {
                let within = matches!(path.verdict, PathVerdict::Best | PathVerdict::Multipath(_));
                hops.extend(path.attributes.next_hop.filter(|hop| within && !hops.contains(hop)));
            }
            if let [_, others @ ..] = &mut hops[..] {
                others.sort_unstable();
            }
            hops.truncate(self.lab.rib.config().max_paths);
            assert_eq!(got.map(|(_, hops)| hops.clone()).unwrap_or_default(), hops, "{prefix}");
        }
    }
}
