//! Random steps against a naive recomputation. After each step every peer that has been drained must hold, made of the
//! bytes that it was sent, exactly what the rules say.

use core::time::Duration;
use std::collections::BTreeMap;
use std::net::IpAddr;

use bgp_rib::{
    Event, Input, Origination, OwnerId, PathVerdict, PeerId, PeerParams, PeerRole, Policy, Reachability,
    Retain, RibConfig, RouteFilter, Source,
};
use bgp_wire::{
    Asn, ClusterId, Community, FamilySet, NextHop, PathAttributes, PeerKind, RefreshKind, RouterId,
};
use ipnet::IpNet;
use proptest::prelude::*;

use crate::support::*;

/// What can be done in one step.
#[derive(Clone, Debug)]
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
    Unoriginate { owner: u8, prefixes: u8 },
    NextHop { which: u8, metric: Option<u8> },
    Read { peer: u8 },
    Drain { peer: u8 },
    Tick,
    Later,
    Settle,
}

const PEERS: u8 = 7;

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
        2 => (0..3u8, any::<u8>()).prop_map(|(owner, prefixes)| Step::Unoriginate { owner, prefixes }),
        1 => (0..10u8, proptest::option::of(0..3u8)).prop_map(|(which, metric)| Step::NextHop { which, metric }),
        8 => peer.clone().prop_map(|peer| Step::Read { peer }),
        8 => peer.prop_map(|peer| Step::Drain { peer }),
        2 => Just(Step::Tick),
        1 => Just(Step::Later),
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
        _ => client(7),
    };
    match peer {
        2 => params.codec.add_path_rx = FamilySet::of(&[V4, V6]),
        4 => params.enhanced_refresh = true,
        6 if variant == 0 => (params.import, params.export) = (Policy::RejectAll, Policy::RejectAll),
        7 => {
            params.codec.add_path_tx = FamilySet::of(&[V4]);
            params.codec.four_octet_as = false;
            params.local_ipv6 = None;
            params.cluster_id = Some(ClusterId(77));
        }
        _ => {}
    }
    if variant == 1 && peer < 5 {
        params.peer_router_id = RouterId(params.peer_router_id.0 + 0x100);
    }
    params.enhanced_refresh |= peer == 1;
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

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum From {
    Local,
    Peer(PeerId),
}

#[derive(Clone, Debug)]
struct Naive {
    attributes: PathAttributes,
    next_hop: Option<NextHop>,
    /// What the import policy said when it was told.
    accepted: bool,
    /// How often its session ended, or began anew to tell, since it was told.
    stale: u32,
}

/// Everything that was told, and what follows from it.
struct World {
    lab: Lab,
    told: BTreeMap<(IpNet, From, u32), Naive>,
    /// Parameters of the last session of each peer; whether it is up.
    sessions: BTreeMap<PeerId, (PeerParams, bool)>,
    metrics: BTreeMap<IpAddr, Reachability>,
    deadlines: BTreeMap<PeerId, Duration>,
    follower: BTreeMap<IpNet, (Option<NextHop>, Vec<NextHop>)>,
    reader: bgp_rib::ReaderId,
}

impl World {
    fn new(max_paths: usize) -> Self {
        let mut config = RibConfig::new(LOCAL_AS, router_id(254));
        config.max_paths = max_paths;
        // Small enough that batches are thrown away and made again.
        config.batch_cache = 2048;
        (config.batch_prefixes, config.turn) = (2, 2);
        let mut lab = Lab::with(config);
        let reader = lab.rib.open_reader();
        Self {
            lab,
            told: BTreeMap::new(),
            sessions: BTreeMap::new(),
            metrics: BTreeMap::new(),
            deadlines: BTreeMap::new(),
            follower: BTreeMap::new(),
            reader,
        }
    }

    fn is_up(&self, peer: PeerId) -> bool {
        self.sessions.get(&peer).is_some_and(|(_, up)| *up)
    }

    fn forget_stale(&mut self, peer: PeerId, older_than: u32) {
        self.forget_stale_of(peer, older_than, |_| true);
    }

    fn forget_stale_of(&mut self, peer: PeerId, older_than: u32, of: impl Fn(&IpNet) -> bool) {
        self.told.retain(|(prefix, from, _), path| {
            *from != From::Peer(peer) || path.stale <= older_than || !of(prefix)
        });
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Announce { peer, path, prefixes: bits, attributes, next_hop } => {
                let peer = PeerId(u32::from(peer));
                if !self.is_up(peer) {
                    return;
                }
                let params = self.sessions[&peer].0.clone();
                let path = if params.codec.add_path_rx.is_empty() { 0 } else { u32::from(path) };
                let attributes = set(attributes, Some(&params));
                let accepted = params.import == Policy::AcceptAll;
                for prefix in prefixes(bits) {
                    let hop = hop(next_hop, &prefix);
                    self.lab.announce_path(peer, path, &[prefix], hop, &attributes);
                    let naive =
                        Naive { attributes: attributes.clone(), next_hop: Some(hop), accepted, stale: 0 };
                    self.told.insert((prefix, From::Peer(peer), path), naive);
                }
            }
            Step::Withdraw { peer, path, prefixes: bits } => {
                let peer = PeerId(u32::from(peer));
                if !self.is_up(peer) {
                    return;
                }
                let path =
                    if self.sessions[&peer].0.codec.add_path_rx.is_empty() { 0 } else { u32::from(path) };
                self.lab.withdraw_path(peer, path, &prefixes(bits));
                for prefix in prefixes(bits) {
                    self.told.remove(&(prefix, From::Peer(peer), path));
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
                if self
                    .sessions
                    .get(&id)
                    .is_some_and(|(former, _)| former.peer_router_id != params.peer_router_id)
                {
                    self.forget_stale(id, 0);
                }
                if self.told.keys().any(|(_, from, _)| *from == From::Peer(id)) {
                    self.deadlines.insert(id, self.lab.now + params.stale_time);
                }
                self.sessions.insert(id, (params, true));
            }
            Step::Down { peer, stale } => {
                let peer = PeerId(u32::from(peer));
                if !self.is_up(peer) {
                    return;
                }
                self.lab.down(peer, if stale { Retain::Stale } else { Retain::Nothing });
                self.sessions.get_mut(&peer).unwrap().1 = false;
                self.age(peer);
                self.forget_stale(peer, if stale { 1 } else { 0 });
                self.deadlines.remove(&peer);
                if stale {
                    self.deadlines.insert(peer, self.lab.now + self.sessions[&peer].0.stale_time);
                }
            }
            Step::EndOfRib { peer } => {
                let peer = PeerId(u32::from(peer));
                if self.is_up(peer) {
                    self.lab.end_of_rib(peer, V4);
                    self.forget_stale_of(peer, 0, |prefix| family_of(prefix) == V4);
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
                if self.is_up(peer) && self.sessions[&peer].0.enhanced_refresh {
                    self.lab.refresh(peer, V4, RefreshKind::BEGIN);
                    self.lab.refresh(peer, V6, RefreshKind::BEGIN);
                    self.age(peer);
                    self.forget_stale(peer, 1);
                }
            }
            Step::End { peer } => {
                let peer = PeerId(u32::from(peer));
                if self.is_up(peer) && self.sessions[&peer].0.enhanced_refresh {
                    self.lab.refresh(peer, V6, RefreshKind::END);
                    self.forget_stale_of(peer, 0, |prefix| family_of(prefix) == V6);
                }
            }
            Step::Originate { owner, prefixes: bits, attributes } => {
                let attributes = set(attributes, None);
                let next_hop = if owner == 2 { Some(next_hop(30)) } else { None };
                for prefix in prefixes(bits) {
                    let next_hop = next_hop.filter(|_| family_of(&prefix) == V4);
                    let route = Origination { prefix, next_hop, attributes: attributes.clone() };
                    self.lab.originate(u32::from(owner), &[route]);
                    let naive = Naive { attributes: attributes.clone(), next_hop, accepted: true, stale: 0 };
                    self.told.insert((prefix, From::Local, u32::from(owner)), naive);
                }
            }
            Step::Unoriginate { owner, prefixes: bits } => {
                let owner = u32::from(owner);
                self.lab.input(Input::Withdraw(OwnerId(owner), &prefixes(bits)));
                for prefix in prefixes(bits) {
                    self.told.remove(&(prefix, From::Local, owner));
                }
            }
            Step::NextHop { which, metric } => {
                let to = hop(which, &net("10.0.0.0/8")).address();
                let reachability =
                    metric.map_or(Reachability::Unreachable, |m| Reachability::Metric(u32::from(m)));
                self.lab.input(Input::NextHop(to, reachability));
                self.metrics.insert(to, reachability);
            }
            Step::Read { peer } => {
                let peer = PeerId(u32::from(peer));
                if self.is_up(peer) {
                    self.lab.read_once(peer, 64);
                }
            }
            Step::Drain { peer } => {
                let peer = PeerId(u32::from(peer));
                if self.is_up(peer) {
                    self.lab.drain(peer);
                }
            }
            Step::Tick => self.lab.input(Input::Tick),
            Step::Later => {
                self.lab.now += Duration::from_secs(70);
                self.lab.input(Input::Tick);
                let due: Vec<PeerId> = self
                    .deadlines
                    .iter()
                    .filter(|(_, at)| **at <= self.lab.now)
                    .map(|(peer, _)| *peer)
                    .collect();
                for peer in due {
                    self.deadlines.remove(&peer);
                    self.forget_stale(peer, 0);
                }
            }
            Step::Settle => self.lab.settle(),
        }
    }

    fn age(&mut self, peer: PeerId) {
        for ((_, from, _), path) in &mut self.told {
            path.stale += u32::from(*from == From::Peer(peer));
        }
    }

    /// Whether a path takes part in the decision, and the interior cost.
    fn usable(&self, from: &From, path: &Naive) -> Option<u32> {
        let metric = path.next_hop.map_or(Some(0), |hop| match self.metrics.get(&hop.address()) {
            Some(Reachability::Unreachable) => None,
            Some(Reachability::Metric(metric)) => Some(*metric),
            None => Some(0),
        })?;
        if *from == From::Local {
            return Some(metric);
        }
        let ups = self.sessions.values().filter(|(_, up)| *up);
        let own = |address: IpAddr| {
            let mut ups = ups.clone();
            ups.any(|(params, _)| {
                address == params.local_address || params.local_ipv6.map(IpAddr::V6) == Some(address)
            })
        };
        if path.next_hop.is_some_and(|hop| own(hop.address())) {
            return None;
        }
        let asns: Vec<Asn> = path.attributes.as_path.segments.iter().flat_map(|s| s.asns.clone()).collect();
        let clusters = [ClusterId(router_id(254).0)];
        let looped = asns.contains(&LOCAL_AS)
            || path.attributes.originator_id == Some(router_id(254))
            || path.attributes.cluster_list.iter().any(|cluster| clusters.contains(cluster));
        (path.accepted && !looped).then_some(metric)
    }

    /// The best path of a prefix, by comparing from scratch: one filter per rung.
    fn best(&self, prefix: IpNet) -> Option<(From, Naive)> {
        let paths = self.told.range((prefix, From::Local, 0)..);
        let mut left: Vec<(From, u32, Naive, u32)> = paths
            .take_while(|((p, ..), _)| *p == prefix)
            .filter_map(|((_, from, id), path)| {
                Some((from.clone(), *id, path.clone(), self.usable(from, path)?))
            })
            .collect();
        let peer = |from: &From| match from {
            From::Local => None,
            From::Peer(peer) => Some(self.sessions[peer].0.clone()),
        };
        let asns =
            |p: &Naive| p.attributes.as_path.segments.iter().flat_map(|s| s.asns.clone()).collect::<Vec<_>>();
        let keep = |left: &mut Vec<(From, u32, Naive, u32)>,
                    key: &dyn Fn(&(From, u32, Naive, u32)) -> i64| {
            let least = left.iter().map(key).min();
            left.retain(|c| Some(key(c)) == least);
        };
        keep(&mut left, &|c| i64::from(c.0 != From::Local));
        keep(&mut left, &|c| -i64::from(c.2.attributes.local_pref.unwrap_or(100)));
        keep(&mut left, &|c| asns(&c.2).len() as i64);
        keep(&mut left, &|c| i64::from(c.2.attributes.origin.octet()));
        let all = left.clone();
        left.retain(|c| {
            let same = all.iter().filter(|o| asns(&o.2).first() == asns(&c.2).first());
            let lowest = same.map(|o| o.2.attributes.med.unwrap_or(0)).min();
            lowest == Some(c.2.attributes.med.unwrap_or(0))
        });
        keep(&mut left, &|c| i64::from(peer(&c.0).is_none_or(|p| p.kind == PeerKind::Internal)));
        keep(&mut left, &|c| i64::from(c.3));
        keep(&mut left, &|c| {
            let own = peer(&c.0).map_or(0, |p| p.peer_router_id.0);
            i64::from(c.2.attributes.originator_id.map_or(own, |id| id.0))
        });
        keep(&mut left, &|c| c.2.attributes.cluster_list.len() as i64);
        keep(&mut left, &|c| match peer(&c.0).map(|p| p.peer_address) {
            Some(IpAddr::V4(address)) => i64::from(u32::from(address)),
            _ => 0,
        });
        keep(&mut left, &|c| i64::from(c.1));
        left.into_iter().next().map(|(from, _, path, _)| (from, path))
    }

    /// What a peer should hold of a prefix.
    fn expected(&self, to: PeerId, prefix: IpNet) -> Option<Route> {
        let (from, path) = self.best(prefix)?;
        let target = &self.sessions[&to].0;
        let communities = &path.attributes.communities;
        let external = target.kind == PeerKind::External;
        if target.export == Policy::RejectAll
            || from == From::Peer(to)
            || communities.contains(&Community::NO_ADVERTISE)
            || (external && communities.contains(&Community::NO_EXPORT))
        {
            return None;
        }
        let source = match &from {
            From::Local => None,
            From::Peer(peer) => Some(self.sessions[peer].0.clone()),
        };
        let from_internal = source.as_ref().filter(|source| source.kind == PeerKind::Internal);
        let own_next_hop = match prefix {
            IpNet::V4(_) => Some(next_hop(254)),
            IpNet::V6(_) => target.local_ipv6.map(NextHop::V6),
        };
        let next_hop = if external { own_next_hop } else { path.next_hop.or(own_next_hop) }?;
        if !external && path.next_hop.is_some() && next_hop.address() == target.peer_address {
            return None;
        }
        let mut attributes = path.attributes.clone();
        if external {
            attributes.local_pref = None;
            if source.is_some() {
                attributes.med = None;
            }
            let asns = attributes.as_path.segments.iter().flat_map(|s| s.asns.clone()).map(|asn| asn.0);
            let asns: Vec<u32> = core::iter::once(LOCAL_AS.0).chain(asns).collect();
            attributes.as_path = crate::support::attributes(&asns).as_path;
        } else {
            attributes.local_pref = Some(attributes.local_pref.unwrap_or(100));
        }
        if let Some(source) = from_internal.filter(|_| !external) {
            if source.role == PeerRole::Plain && target.role == PeerRole::Plain {
                return None;
            }
            attributes.originator_id = Some(attributes.originator_id.unwrap_or(source.peer_router_id));
            let of = if source.role == PeerRole::Client { source } else { target };
            let cluster = of.cluster_id.unwrap_or(ClusterId(router_id(254).0));
            attributes.cluster_list.insert(0, cluster);
        } else {
            attributes.originator_id = None;
            attributes.cluster_list.clear();
        }
        Some(Route { next_hop, attributes })
    }

    fn all_prefixes() -> Vec<IpNet> {
        prefixes(255)
    }

    /// Every peer that is idle holds exactly what the rules say, and the counters and explanations agree.
    fn check(&mut self) {
        self.lab.settle();
        for prefix in Self::all_prefixes() {
            self.check_loc_rib(prefix);
        }
        let up: Vec<PeerId> = self.sessions.iter().filter(|(_, (_, up))| *up).map(|(id, _)| *id).collect();
        for peer in up {
            let remote = &self.lab.remotes[&peer];
            if !remote.idle {
                continue;
            }
            for prefix in Self::all_prefixes() {
                let expected = self.expected(peer, prefix);
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
            assert_eq!(remote.end_of_rib.len(), 2, "{peer} was drained without End-of-RIB");
            self.check_counters(peer);
        }
    }

    fn check_loc_rib(&self, prefix: IpNet) {
        let filter =
            RouteFilter { prefix: Some(prefix), best_only: true, ..RouteFilter::all(family_of(&prefix)) };
        let (routes, _) = self.lab.rib.routes(&filter, Default::default(), 10);
        let got = routes.first().map(|route| match route.source {
            Source::Local(_) => From::Local,
            Source::Peer { id, .. } => From::Peer(id),
        });
        assert_eq!(got, self.best(prefix).map(|(from, _)| from), "{prefix}");
        if let Some(explained) = self.lab.rib.explain(prefix) {
            let best = explained.paths.iter().filter(|path| path.verdict == PathVerdict::Best).count();
            assert_eq!(best, usize::from(!routes.is_empty()));
        }
    }

    fn check_counters(&self, peer: PeerId) {
        for family in [V4, V6] {
            let counters = self.lab.rib.peer_counters(peer, family);
            let mine = || {
                self.told
                    .iter()
                    .filter(|((prefix, from, _), _)| *from == From::Peer(peer) && family_of(prefix) == family)
            };
            assert_eq!(counters.received as usize, mine().count());
            assert_eq!(counters.stale as usize, mine().filter(|(_, path)| path.stale > 0).count());
            assert!(counters.drained);
            let view = self.lab.view(peer).keys().filter(|prefix| family_of(prefix) == family).count();
            if !self.next_hop_is_a_peer() {
                assert_eq!(counters.advertised as usize, view, "{peer} {family} advertised");
            }
        }
    }

    /// The advertised count does not know of routes that are held back because the peer itself is the next hop.
    fn next_hop_is_a_peer(&self) -> bool {
        let addresses: Vec<IpAddr> = self.sessions.values().map(|(params, _)| params.peer_address).collect();
        self.told.values().any(|path| path.next_hop.is_some_and(|hop| addresses.contains(&hop.address())))
    }

    /// The follower's table is the Loc-RIB.
    fn check_follower(&mut self) {
        self.lab.settle();
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
            let best = self.best(prefix).map(|(_, path)| path.next_hop);
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

fn run(steps: Vec<Step>, max_paths: usize) {
    let mut world = World::new(max_paths);
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
    assert!(gone >= world.sessions.len(), "every peer that went is said to be gone");
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_view_replayed_from_its_bytes_is_what_the_rules_say(steps in prop::collection::vec(step(), 1..120)) {
        run(steps, 1);
    }

    #[test]
    fn multipath_followers_do_not_disturb_the_peers(steps in prop::collection::vec(step(), 1..80)) {
        run(steps, 3);
    }
}
