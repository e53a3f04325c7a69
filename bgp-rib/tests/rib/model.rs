//! Random steps against a naive recomputation. After each step every peer that has been drained must hold, made of the
//! bytes that it was sent, exactly what the rules say.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use bgp_rib::{
    AddPathSend, Aggregation, Event, Input, Origination, OwnerId, PathVerdict, PeerId, PeerParams, Policy,
    Reachability, Retain, RibConfig, RouteFilter, Source,
};
use bgp_wire::{
    ClusterId, Community, Family, FamilySet, NextHop, PathAttributes, PeerKind, RefreshKind, RouterId,
};
use ipnet::IpNet;
use proptest::prelude::*;

use crate::naive::{Facts, Naive, Teller};
use crate::naive_policy::{POLICIES, policy};
use crate::support::*;

/// What can be done in one step.
#[derive(Clone, Copy, Debug)]
enum Step {
    Announce { peer: u8, path: u8, prefixes: u8, attributes: u8, next_hop: u8 },
    Withdraw { peer: u8, path: u8, prefixes: u8 },
    Up { peer: u8, variant: u8 },
    Down { peer: u8, stale: bool },
    EndOfRib { peer: u8 },
    RefreshFromPeer { peer: u8 },
    Begin { peer: u8 },
    End { peer: u8 },
    Originate { owner: u8, prefixes: u8, attributes: u8 },
    Aggregate { owner: u8, prefixes: u8, always: bool, suppress: bool, except: u8 },
    Unoriginate { owner: u8, prefixes: u8 },
    NextHop { which: u8, metric: Option<u8> },
    SetPolicy { peer: u8, import: Option<u8>, export: Option<u8> },
    Change { peer: u8, client: bool, cluster: bool },
    Read { peer: u8 },
    Drain { peer: u8 },
    Tick,
    Later { seconds: u16 },
    Defer { on: bool },
    Settle,
}

const PEERS: u8 = 10;

fn step() -> impl Strategy<Value = Step> {
    let peer = 1..=PEERS;
    prop_oneof![
        12 => (peer.clone(), 0..2u8, any::<u8>(), 0..12u8, 0..10u8).prop_map(
            |(peer, path, prefixes, attributes, next_hop)| Step::Announce { peer, path, prefixes, attributes, next_hop }
        ),
        6 => (peer.clone(), 0..2u8, any::<u8>()).prop_map(|(peer, path, prefixes)| Step::Withdraw { peer, path, prefixes }),
        4 => (peer.clone(), 0..2u8).prop_map(|(peer, variant)| Step::Up { peer, variant }),
        2 => (peer.clone(), any::<bool>()).prop_map(|(peer, stale)| Step::Down { peer, stale }),
        1 => peer.clone().prop_map(|peer| Step::EndOfRib { peer }),
        1 => peer.clone().prop_map(|peer| Step::RefreshFromPeer { peer }),
        1 => peer.clone().prop_map(|peer| Step::Begin { peer }),
        1 => peer.clone().prop_map(|peer| Step::End { peer }),
        2 => (0..3u8, any::<u8>(), 0..12u8).prop_map(|(owner, prefixes, attributes)| Step::Originate { owner, prefixes, attributes }),
        2 => (0..3u8, prop_oneof![Just(16u8), Just(128), any::<u8>()], any::<bool>(), any::<bool>(), 0..POLICIES)
            .prop_map(|(owner, prefixes, always, suppress, except)| Step::Aggregate { owner, prefixes, always, suppress, except }),
        2 => (0..3u8, any::<u8>()).prop_map(|(owner, prefixes)| Step::Unoriginate { owner, prefixes }),
        1 => (0..10u8, proptest::option::of(0..3u8)).prop_map(|(which, metric)| Step::NextHop { which, metric }),
        3 => (peer.clone(), proptest::option::of(0..POLICIES), proptest::option::of(0..POLICIES))
            .prop_map(|(peer, import, export)| Step::SetPolicy { peer, import, export }),
        2 => (peer.clone(), any::<bool>(), any::<bool>())
            .prop_map(|(peer, client, cluster)| Step::Change { peer, client, cluster }),
        8 => peer.clone().prop_map(|peer| Step::Read { peer }),
        8 => peer.prop_map(|peer| Step::Drain { peer }),
        2 => Just(Step::Tick),
        1 => prop_oneof![Just(70), Just(400)].prop_map(|seconds| Step::Later { seconds }),
        1 => any::<bool>().prop_map(|on| Step::Defer { on }),
        3 => Just(Step::Settle),
    ]
}

/// The peers: clients, non-clients, external ones, one of them without policies, one with ADD-PATH. The second variant
/// has another BGP identifier.
fn params(peer: u8, variant: u8) -> PeerParams {
    let mut params = match peer {
        1 | 2 => client(peer),
        3 | 4 => internal(peer),
        5 => external(5, 65005),
        6 => external(6, 65006),
        7 => client(7),
        8 => client(8),
        9 => internal(9),
        _ => external(10, 65010),
    };
    match peer {
        2 => params.codec.add_path_rx = FamilySet::of(&[V4, V6]),
        4 => params.enhanced_refresh = true,
        6 if variant == 0 => (params.import, params.export) = (Policy::reject_all(), Policy::reject_all()),
        7 => {
            params.codec.add_path_tx = FamilySet::of(&[V4]);
            params.codec.four_octet_as = false;
            params.local_ipv6 = None;
            params.cluster_id = Some(ClusterId(77));
        }
        8 => {
            params.codec.add_path_tx = FamilySet::of(&[V4, V6]);
            params.add_path_send = vec![(V4, AddPathSend::All), (V6, AddPathSend::EqualCost)];
            params.enhanced_refresh = true;
        }
        9 => {
            (params.codec.add_path_tx, params.codec.add_path_rx) =
                (FamilySet::of(&[V4, V6]), FamilySet::of(&[V4, V6]));
            params.add_path_send = vec![(V4, AddPathSend::Best(2)), (V6, AddPathSend::All)];
            params.paths_limit = vec![(V6, 3)];
        }
        10 => {
            params.codec.add_path_tx = FamilySet::of(&[V4, V6]);
            params.add_path_send = vec![(V4, AddPathSend::PerAs), (V6, AddPathSend::Best(3))];
            params.add_path_send.rotate_left(usize::from(variant));
        }
        _ => {}
    }
    if variant == 1 && peer < 5 {
        params.peer_router_id = RouterId(params.peer_router_id.0 + 0x100);
    }
    params.enhanced_refresh |= peer == 1;
    params.retained = if peer == 3 { FamilySet::of(&[V6]) } else { params.retained };
    params.graceful_restart = peer == 4 && variant == 1;
    params
}

fn prefixes(bits: u8) -> Vec<IpNet> {
    let all = [
        "10.1.0.0/26",
        "10.1.0.64/26",
        "10.1.0.128/26",
        "192.0.2.1/32",
        "0.0.0.0/0",
        "2001:db8:1::/64",
        "2001:db8:2::/122",
        "10.1.0.0/24",
    ];
    (0..8).filter(|bit| bits & (1 << bit) != 0).map(|bit| net(all[bit])).collect()
}

/// Attribute sets as peer `peer` tells them.
fn set(which: u8, peer: Option<&PeerParams>) -> PathAttributes {
    let external = peer.filter(|peer| peer.kind == PeerKind::External);
    let first = external.map(|peer| peer.peer_as.0);
    let path = |asns: &[u32]| first.into_iter().chain(asns.iter().copied()).collect::<Vec<u32>>();
    let mut attributes = attributes(&path(&[]));
    match which {
        0 => {}
        1 => attributes = crate::support::attributes(&path(&[64512])),
        2 => attributes.local_pref = Some(200),
        3 => attributes.med = Some(10),
        4 => {
            attributes = PathAttributes { med: Some(5), ..crate::support::attributes(&path(&[64512, 70000])) }
        }
        5 => attributes.communities = vec![Community::NO_EXPORT],
        6 => attributes.communities = vec![Community::NO_ADVERTISE],
        7 => attributes = crate::support::attributes(&path(&[LOCAL_AS.0])),
        8 => attributes.originator_id = Some(router_id(254)),
        9 => attributes.cluster_list = vec![ClusterId(router_id(254).0)],
        10 => (attributes.originator_id, attributes.cluster_list) = (Some(router_id(99)), vec![ClusterId(5)]),
        _ => attributes.origin = bgp_wire::Origin::Incomplete,
    }
    if external.is_some() {
        (attributes.local_pref, attributes.originator_id) = (None, None);
        attributes.cluster_list.clear();
    }
    attributes
}

/// 10.0.0.1..7 are the peers' own addresses, 254 is ours.
fn hop(which: u8, prefix: &IpNet) -> NextHop {
    let last = [1, 2, 3, 4, 5, 7, 20, 21, 22, 254][usize::from(which)];
    match prefix {
        IpNet::V4(_) => next_hop(last),
        IpNet::V6(_) if last == 254 => next_hop6(0xfe),
        IpNet::V6(_) => next_hop6(u16::from(last)),
    }
}

/// The tables, and everything that was told to them.
struct World {
    lab: Lab,
    facts: Facts,
    deadlines: BTreeMap<PeerId, Duration>,
    /// Whose End-of-RIB has to come before a refresh; who said BoRR and not yet EoRR.
    initial: BTreeSet<(PeerId, Family)>,
    refreshing: BTreeSet<(PeerId, Family)>,
    /// End-of-RIB is held back; who has read nothing since its session came up but while that was so.
    defers: bool,
    unread: BTreeSet<PeerId>,
    follower: BTreeMap<IpNet, (Option<NextHop>, Vec<NextHop>)>,
    reader: bgp_rib::ReaderId,
}

impl World {
    fn new(max_paths: usize, many_paths: usize) -> Self {
        let mut config = RibConfig::new(LOCAL_AS, router_id(254));
        config.max_paths = max_paths;
        config.multipath_relax = many_paths == 2;
        // Small enough that batches are thrown away and made again.
        config.batch_cache = 2048;
        (config.batch_prefixes, config.turn, config.many_paths) = (2, 2, many_paths);
        let mut lab = Lab::with(config);
        let reader = lab.rib.open_reader();
        Self {
            lab,
            facts: Facts { relax: many_paths == 2, ..Facts::default() },
            deadlines: BTreeMap::new(),
            initial: BTreeSet::new(),
            refreshing: BTreeSet::new(),
            defers: false,
            unread: BTreeSet::new(),
            follower: BTreeMap::new(),
            reader,
        }
    }

    fn is_up(&self, peer: PeerId) -> bool {
        self.facts.sessions.get(&peer).is_some_and(|(_, up)| *up)
    }

    fn forget_stale(&mut self, peer: PeerId, older_than: u32) {
        self.forget_stale_of(peer, older_than, |_| true);
    }

    fn forget_stale_of(&mut self, peer: PeerId, older_than: u32, of: impl Fn(&IpNet) -> bool) {
        self.facts.told.retain(|(prefix, from, _), path| {
            *from != Teller::Peer(peer) || path.stale <= older_than || !of(prefix)
        });
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Announce { peer, path, prefixes: bits, attributes, next_hop } => {
                let peer = PeerId(u32::from(peer));
                if !self.is_up(peer) {
                    return;
                }
                let params = self.facts.sessions[&peer].0.clone();
                let path = if params.codec.add_path_rx.is_empty() { 0 } else { u32::from(path) };
                let attributes = set(attributes, Some(&params));
                for prefix in prefixes(bits) {
                    let hop = hop(next_hop, &prefix);
                    self.lab.announce_path(peer, path, &[prefix], hop, &attributes);
                    let import = params.import.clone();
                    let naive =
                        Naive { attributes: attributes.clone(), next_hop: Some(hop), import, stale: 0 };
                    self.facts.told.insert((prefix, Teller::Peer(peer), path), naive);
                }
            }
            Step::Withdraw { peer, path, prefixes: bits } => {
                let peer = PeerId(u32::from(peer));
                if !self.is_up(peer) {
                    return;
                }
                let path = if self.facts.sessions[&peer].0.codec.add_path_rx.is_empty() {
                    0
                } else {
                    u32::from(path)
                };
                self.lab.withdraw_path(peer, path, &prefixes(bits));
                for prefix in prefixes(bits) {
                    self.facts.told.remove(&(prefix, Teller::Peer(peer), path));
                }
            }
            Step::Up { peer, variant } => {
                let id = PeerId(u32::from(peer));
                if self.is_up(id) {
                    return;
                }
                let params = params(peer, variant);
                self.lab.up(peer, params.clone());
                self.deadlines.remove(&id);
                self.unread.insert(id);
                // Who comes back as another, or in another role, does not inherit.
                let inside = |params: &PeerParams| params.kind == PeerKind::Internal;
                let role = |params: &PeerParams| inside(params).then_some((params.role, params.cluster_id));
                let is = |params: &PeerParams| (params.peer_router_id, role(params));
                if self.facts.sessions.get(&id).is_some_and(|(former, _)| is(former) != is(&params)) {
                    self.forget_stale(id, 0);
                }
                if self.facts.told.keys().any(|(_, from, _)| *from == Teller::Peer(id)) {
                    self.deadlines.insert(id, self.lab.now + Duration::from_secs(360));
                }
                for family in [V4, V6] {
                    if params.graceful_restart || self.has_routes(id, family) {
                        self.initial.insert((id, family));
                    }
                }
                self.judge(id, &params.import);
                self.facts.sessions.insert(id, (params, true));
            }
            Step::Down { peer, stale } => {
                let peer = PeerId(u32::from(peer));
                if !self.is_up(peer) {
                    return;
                }
                self.lab.down(peer, if stale { Retain::Stale } else { Retain::Nothing });
                self.facts.sessions.get_mut(&peer).unwrap().1 = false;
                for family in [V4, V6] {
                    self.initial.remove(&(peer, family));
                    // What a refresh made stale was told in this session.
                    let refreshing = self.refreshing.remove(&(peer, family));
                    self.age(peer, family, if refreshing { 1 } else { u32::MAX });
                }
                self.forget_stale(peer, if stale { 1 } else { 0 });
                let retained = self.facts.sessions[&peer].0.retained;
                self.forget_stale_of(peer, 0, |prefix| !retained.contains(family_of(prefix)));
                self.deadlines.remove(&peer);
                if stale {
                    self.deadlines.insert(peer, self.lab.now + self.facts.sessions[&peer].0.stale_time);
                }
            }
            Step::EndOfRib { peer } => {
                let peer = PeerId(u32::from(peer));
                if self.is_up(peer) {
                    self.lab.end_of_rib(peer, V4);
                    self.initial.remove(&(peer, V4));
                    if !self.initial.contains(&(peer, V6)) {
                        self.deadlines.remove(&peer);
                    }
                    if !self.refreshing.contains(&(peer, V4)) {
                        self.forget_stale_of(peer, 0, |prefix| family_of(prefix) == V4);
                    }
                }
            }
            Step::RefreshFromPeer { peer } => {
                let peer = PeerId(u32::from(peer));
                if self.is_up(peer) {
                    self.lab.refresh(peer, V4, RefreshKind::REQUEST);
                }
            }
            Step::Begin { peer } => {
                let peer = PeerId(u32::from(peer));
                if self.is_up(peer) && self.facts.sessions[&peer].0.enhanced_refresh {
                    for family in [V4, V6] {
                        self.lab.refresh(peer, family, RefreshKind::BEGIN);
                        if !self.initial.contains(&(peer, family)) {
                            self.refreshing.insert((peer, family));
                            self.age(peer, family, 1);
                        }
                    }
                }
            }
            Step::End { peer } => {
                let peer = PeerId(u32::from(peer));
                if self.is_up(peer) && self.facts.sessions[&peer].0.enhanced_refresh {
                    self.lab.refresh(peer, V6, RefreshKind::END);
                    if self.refreshing.remove(&(peer, V6)) {
                        self.forget_stale_of(peer, 0, |prefix| family_of(prefix) == V6);
                    }
                }
            }
            Step::Originate { owner, prefixes: bits, attributes } => {
                let attributes = set(attributes, None);
                let next_hop = if owner == 2 { Some(next_hop(30)) } else { None };
                for prefix in prefixes(bits) {
                    self.facts.aggregates.remove(&(prefix, u32::from(owner)));
                    let next_hop = next_hop.filter(|_| family_of(&prefix) == V4);
                    let shown = attributes.clone();
                    let route = Origination { next_hop, attributes: shown, ..Origination::new(prefix) };
                    self.lab.originate(u32::from(owner), &[route]);
                    let import = Policy::accept_all();
                    let naive = Naive { attributes: attributes.clone(), next_hop, import, stale: 0 };
                    self.facts.told.insert((prefix, Teller::Local, u32::from(owner)), naive);
                }
            }
            Step::Aggregate { owner, prefixes: bits, always, suppress, except } => {
                let except = policy(except);
                for prefix in prefixes(bits) {
                    let aggregation = Aggregation { always, suppress, except: except.clone() };
                    let attributes = attributes(&[]);
                    let aggregation = Some(Arc::new(aggregation));
                    let route = Origination { attributes, aggregation, ..Origination::new(prefix) };
                    self.lab.originate(u32::from(owner), &[route]);
                    self.facts.told.remove(&(prefix, Teller::Local, u32::from(owner)));
                    let row = (always, suppress, except.clone());
                    self.facts.aggregates.insert((prefix, u32::from(owner)), row);
                }
            }
            Step::Unoriginate { owner, prefixes: bits } => {
                let owner = u32::from(owner);
                self.lab.input(Input::Withdraw(OwnerId(owner), &prefixes(bits)));
                for prefix in prefixes(bits) {
                    self.facts.aggregates.remove(&(prefix, owner));
                    self.facts.told.remove(&(prefix, Teller::Local, owner));
                }
            }
            Step::NextHop { which, metric } => {
                let to = hop(which, &net("10.0.0.0/8")).address();
                let reachability =
                    metric.map_or(Reachability::Unreachable, |m| Reachability::Metric(u32::from(m)));
                self.lab.input(Input::NextHop(to, reachability));
                self.facts.metrics.insert(to, reachability);
            }
            Step::SetPolicy { peer, import, export } => {
                let peer = PeerId(u32::from(peer));
                if !self.is_up(peer) {
                    return;
                }
                let (import, export) = (import.map(policy), export.map(policy));
                let params = &mut self.facts.sessions.get_mut(&peer).unwrap().0;
                params.import = import.clone().unwrap_or(params.import.clone());
                params.export = export.clone().unwrap_or(params.export.clone());
                let now = params.import.clone();
                self.judge(peer, &now);
                self.lab.input(Input::SetPolicy { peer, import, export });
            }
            Step::Change { peer, client, cluster } => {
                let peer = PeerId(u32::from(peer));
                if !self.is_up(peer) {
                    return;
                }
                let params = &mut self.facts.sessions.get_mut(&peer).unwrap().0;
                if params.kind == PeerKind::Internal {
                    params.role = if client { bgp_rib::PeerRole::Client } else { bgp_rib::PeerRole::Plain };
                }
                params.cluster_id = cluster.then_some(ClusterId(77));
                let params = params.clone();
                self.lab.input(Input::PeerChange(peer, Box::new(params)));
            }
            Step::Read { peer } => {
                let peer = PeerId(u32::from(peer));
                if self.is_up(peer) {
                    self.lab.read_once(peer, 64);
                    if !self.defers {
                        self.unread.remove(&peer);
                    }
                }
            }
            Step::Drain { peer } => {
                let peer = PeerId(u32::from(peer));
                if self.is_up(peer) {
                    self.drain(peer);
                }
            }
            Step::Tick => self.lab.input(Input::Tick),
            Step::Later { seconds } => {
                self.lab.now += Duration::from_secs(u64::from(seconds));
                self.lab.input(Input::Tick);
                let due: Vec<PeerId> = self
                    .deadlines
                    .iter()
                    .filter(|(_, at)| **at <= self.lab.now)
                    .map(|(peer, _)| *peer)
                    .collect();
                for peer in due {
                    self.deadlines.remove(&peer);
                    for family in [V4, V6] {
                        // What a refresh made stale is not bounded by this time.
                        if self.initial.remove(&(peer, family)) || !self.is_up(peer) {
                            self.forget_stale_of(peer, 0, |prefix| family_of(prefix) == family);
                        }
                    }
                }
            }
            Step::Defer { on } => {
                self.defers = on;
                self.lab.input(Input::DeferEndOfRib(on));
            }
            Step::Settle => self.lab.settle(),
        }
    }

    /// Drains a peer; nothing of what stood when it began follows End-of-RIB.
    fn drain(&mut self, peer: PeerId) {
        let said = self.lab.remotes[&peer].end_of_rib.clone();
        self.lab.drain(peer);
        let remote = &self.lab.remotes[&peer];
        for family in remote.end_of_rib.difference(&said).filter(|_| self.unread.contains(&peer)) {
            assert_eq!(remote.held_at_end[family], remote.held(*family), "{peer} {family} at End-of-RIB");
        }
        if !self.defers {
            self.unread.remove(&peer);
        }
    }

    /// Everything that a peer told is under this import policy now.
    fn judge(&mut self, peer: PeerId, import: &Policy) {
        for ((_, from, _), path) in &mut self.facts.told {
            if *from == Teller::Peer(peer) {
                path.import = import.clone();
            }
        }
    }

    /// What a peer told becomes staler by one, `most` at most.
    fn age(&mut self, peer: PeerId, family: Family, most: u32) {
        for ((prefix, from, _), path) in &mut self.facts.told {
            if *from == Teller::Peer(peer) && family_of(prefix) == family {
                path.stale = most.min(path.stale + 1);
            }
        }
    }

    fn has_routes(&self, peer: PeerId, family: Family) -> bool {
        let mut routes = self.facts.told.keys();
        routes.any(|(prefix, from, _)| *from == Teller::Peer(peer) && family_of(prefix) == family)
    }

    fn all_prefixes() -> Vec<IpNet> {
        prefixes(255)
    }

    /// Every peer that is idle holds exactly what the rules say, and the counters and explanations agree.
    fn check(&mut self) {
        self.lab.settle();
        self.facts.aggregate();
        for prefix in Self::all_prefixes() {
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
            for prefix in Self::all_prefixes().into_iter().filter(|_| several) {
                self.check_paths(peer, prefix);
            }
            for prefix in Self::all_prefixes().into_iter().filter(|_| !several) {
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
    fn check_follower(&mut self) {
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
        for prefix in Self::all_prefixes() {
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

fn run(steps: Vec<Step>, max_paths: usize, many_paths: usize) {
    let mut world = World::new(max_paths, many_paths);
    for step in steps {
        let settles = matches!(step, Step::Settle | Step::Drain { .. });
        world.take(step);
        if settles {
            world.check();
        }
    }
    world.lab.drain_all();
    world.check();
    world.check_follower();
    for peer in 1..=PEERS {
        world.take(Step::Down { peer, stale: false });
        world.forget_stale(PeerId(u32::from(peer)), 0);
        world.lab.input(Input::PeerDown(PeerId(u32::from(peer)), Retain::Nothing));
    }
    for owner in 0..3 {
        world.take(Step::Unoriginate { owner, prefixes: 255 });
    }
    world.check_follower();
    world.lab.settle();
    for family in [V4, V6] {
        let counters = world.lab.rib.table_counters(family);
        assert_eq!((counters.prefixes, counters.paths, counters.best), (0, 0, 0), "everything is given back");
        assert_eq!((counters.tombstones, counters.attribute_sets, counters.groups), (0, 0, 0));
    }
    let gone = world.lab.events.iter().filter(|event| matches!(event, Event::PeerGone(_))).count();
    assert!(gone >= world.facts.sessions.len(), "every peer that went is said to be gone");
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_view_replayed_from_its_bytes_is_what_the_rules_say(steps in prop::collection::vec(step(), 1..120)) {
        run(steps, 1, 16);
    }

    #[test]
    fn multipath_followers_do_not_disturb_the_peers(steps in prop::collection::vec(step(), 1..80)) {
        run(steps, 3, 16);
    }

    #[test]
    fn prefixes_with_many_paths_are_decided_like_those_with_few(steps in prop::collection::vec(step(), 1..120)) {
        run(steps, 1, 2);
    }

    #[test]
    fn multipath_sets_of_prefixes_with_many_paths(steps in prop::collection::vec(step(), 1..80)) {
        run(steps, 3, 2);
    }
}
