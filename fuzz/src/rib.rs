//! Operations on the tables, as octets say. What each peer holds, made of the bytes that it was sent, must be what the
//! tables say that it was told, to the last route; and when everybody has gone nothing may be left.
use core::time::Duration;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bgp_rib::policy::{Action, CommunityEdit, Condition, PolicyConfig, RpkiState, Rule, Verdict};
use bgp_rib::{
    Aggregation, Destination, Event, FamilyLimits, Input, Limit, LimitAction, Limits, NextHopMode,
    Origination, OwnerId, PageToken, PeerId, PeerParams, PeerRole, Policy, Reachability, Retain, Rib,
    RibConfig, RouteFilter, RouteNlri, Vrp, VrpChange, VrpSet,
};
use bgp_wire::{
    AsPath, Asn, ClusterId, Codec, Community, ExtendedCommunity, Family, FamilySet, Message, NextHop,
    PathAttributes, PathId, PeerKind, RefreshKind, RouteRefresh, RouterId,
};
use bytes::{Bytes, BytesMut};
use ipnet::{IpNet, Ipv4Net};

const AS: Asn = Asn(65000);
const FAMILIES: [Family; 4] = [Family::IPV4_UNICAST, Family::IPV4_VPN, Family::EVPN, Family::ROUTE_TARGET];
/// Two clients, a non-client, an external peer, a client that has no route target constraint.
const PEERS: u8 = 5;
/// Turns after which background work must have come to its end.
const TURNS: usize = 10_000;

/// The far end of a session: what it holds, by the octets that make the route.
#[derive(Default)]
struct Remote {
    codec: Option<Codec>,
    params: Option<PeerParams>,
    view: BTreeMap<(Family, Vec<u8>), NextHop>,
}

struct World {
    rib: Rib,
    payloads: Vec<Vrp>,
    told_payloads: Option<Arc<VrpSet>>,
    now: Duration,
    remotes: Vec<Remote>,
}

/// Runs the operations that the octets say.
pub fn rib(data: &[u8]) {
    let mut world = World::new();
    let mut rest = data;
    while let Some((&[what, peer, a, b], more)) = rest.split_first_chunk::<4>() {
        rest = more;
        world.step(what, peer % PEERS, a, b);
    }
    world.check();
    (0..PEERS).for_each(|peer| world.down(peer, Retain::Nothing));
    for prefix in
        (0..8).flat_map(|n| [24, 16].map(|length| Ipv4Net::new_assert(Ipv4Addr::new(192, 0, n, 0), length)))
    {
        (0..2).for_each(|owner| world.input(Input::Withdraw(OwnerId(owner), &[prefix.trunc().into()])));
    }
    world.settle();
    for family in FAMILIES {
        let left = world.rib.table_counters(family);
        assert_eq!((left.prefixes, left.paths, left.attribute_sets), (0, 0, 0), "{family}");
    }
}

impl World {
    fn new() -> Self {
        let mut config = RibConfig::new(AS, RouterId(0x0a00_00fe));
        (config.batch_prefixes, config.turn, config.batch_cache) = (2, 2, 2048);
        let remotes = (0..PEERS).map(|_| Remote::default()).collect();
        Self {
            rib: Rib::new(config),
            payloads: Vec::new(),
            told_payloads: None,
            now: Duration::ZERO,
            remotes,
        }
    }

    fn input(&mut self, input: Input<'_>) {
        self.rib.handle(self.now, input);
        while let Some(event) = self.rib.poll_event() {
            assert!(!matches!(event, Event::PeerRefused(_)));
        }
    }

    fn step(&mut self, what: u8, peer: u8, a: u8, b: u8) {
        let id = PeerId(u32::from(peer));
        let codec = self.remotes.get(usize::from(peer)).and_then(|remote| remote.codec);
        match (what % 16, codec) {
            (0..=2, Some(codec)) => self.announce(id, &codec, a, b),
            (3, Some(codec)) => self.withdraw(id, &codec, a, b),
            (4, None) => self.up(peer),
            (5, Some(_)) => self.down(peer, if a & 1 == 0 { Retain::Nothing } else { Retain::Stale }),
            (6, Some(codec)) => {
                let mut out = BytesMut::new();
                bgp_wire::end_of_rib(&mut out, family(a));
                self.hear(id, &codec, &out);
            }
            (7, Some(_)) => {
                let refresh = RouteRefresh { family: family(a), kind: RefreshKind(b % 3) };
                self.input(Input::Refresh(id, refresh));
            }
            (8, Some(_)) => {
                self.read(peer, 1);
            }
            (9, _) => {
                self.now += Duration::from_secs(u64::from(a));
                self.input(Input::Tick);
            }
            (10, Some(_)) => self.change(peer, a, b),
            (11, Some(_)) => {
                let (import, export) = (policy(a), policy(b));
                self.input(Input::SetPolicy { peer: id, import: Some(import), export: Some(export) });
            }
            (12, _) => {
                let to = IpAddr::V4(Ipv4Addr::new(10, 0, 1, 1 + (a & 1)));
                let metric = Reachability::Metric(u32::from(b & 3));
                let way = if b & 4 == 0 { metric } else { Reachability::Unreachable };
                self.input(Input::NextHop(to, way));
            }
            (13, _) => {
                let row = |n: u8| {
                    let prefix = IpNet::from(Ipv4Net::new_assert(Ipv4Addr::new(192, 0, n & 7, 0), 24));
                    let asn = [AS, Asn(65001), Asn(64512), Asn(0)][usize::from(n >> 3 & 3)];
                    Vrp { prefix, max_length: 24, asn }
                };
                self.payloads.retain(|vrp| *vrp != row(b));
                self.payloads.push(row(a));
                self.payloads.drain(..self.payloads.len().saturating_sub(8));
                let to = Arc::new(VrpSet::new(self.payloads.iter().copied()));
                let from = self.told_payloads.replace(to.clone());
                self.input(Input::Vrps(VrpChange::new(from, to)));
            }
            (14, _) => {
                let router_id = RouterId(0x0a00_00fe - u32::from(a & 1));
                let cluster_id = (a & 2 != 0).then_some(ClusterId(5));
                self.input(Input::Rename { local_as: Asn(AS.0 + u32::from(b & 1)), router_id, cluster_id });
            }
            (15, _) => match a & 3 {
                0 => {
                    self.input(Input::DeferSelection(b & 2 != 0));
                    self.input(Input::DeferEndOfRib(b & 1 != 0));
                }
                1 => self.up(peer),
                _ => self.originate(a, b),
            },
            _ => {}
        }
    }

    /// Another configuration for a session that goes on.
    fn change(&mut self, peer: u8, a: u8, b: u8) {
        let Some(remote) = self.remotes.get_mut(usize::from(peer)) else { return };
        let Some(params) = remote.params.as_mut() else { return };
        if params.kind == PeerKind::Internal {
            params.role = if a & 1 == 0 { PeerRole::Client } else { PeerRole::Plain };
        }
        params.leaving = a & 2 != 0;
        params.best_per_client = a & 4 != 0;
        params.cluster_id = (a & 8 != 0).then_some(ClusterId(77));
        params.next_hop = if a & 16 == 0 { NextHopMode::Auto } else { NextHopMode::SelfAlways };
        let bound = |bits: u8| (bits < 4).then(|| Limit::new(u64::from(bits), LimitAction::Drop));
        let limits =
            FamilyLimits { accepted: bound(b & 15), advertised: bound(b >> 4), ..FamilyLimits::default() };
        params.limits = Limits::default().family(Family::IPV4_UNICAST, limits);
        let params = Box::new(params.clone());
        self.input(Input::PeerChange(PeerId(u32::from(peer)), params));
    }

    /// Routes of this speaker's own, aggregates among them.
    fn originate(&mut self, a: u8, b: u8) {
        let length = if a & 4 == 0 { 24 } else { 16 };
        let prefix = IpNet::from(Ipv4Net::new_assert(Ipv4Addr::new(192, 0, b & 7, 0), length)).trunc();
        let owner = OwnerId(u32::from(b >> 3 & 1));
        if a & 8 != 0 {
            return self.input(Input::Withdraw(owner, &[prefix]));
        }
        let aggregation = Aggregation { always: a & 16 != 0, suppress: a & 32 != 0, except: policy(b >> 4) };
        let aggregation = (length == 16).then(|| Arc::new(aggregation));
        self.input(Input::Originate(owner, &[Origination { aggregation, ..Origination::new(prefix) }]));
    }

    fn up(&mut self, peer: u8) {
        let kind = if peer == 3 { PeerKind::External } else { PeerKind::Internal };
        let spoken = if peer == 4 { &FAMILIES[..3] } else { &FAMILIES[..] };
        let families = FamilySet::of(spoken);
        let add_path_rx = if peer == 1 { families } else { FamilySet::empty() };
        let codec = Codec { peer: kind, four_octet_as: true, families, add_path_rx, ..Codec::before_open() };
        let peer_as = if peer == 3 { Asn(65001) } else { AS };
        let address = |last: u8| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last));
        let router_id = RouterId(0x0a00_0001 + u32::from(peer));
        let mut params = PeerParams::new(AS, peer_as, router_id, address(peer + 1), address(254), codec);
        params.role = if peer == 0 || peer == 1 || peer == 4 { PeerRole::Client } else { PeerRole::Plain };
        (params.import, params.export) = (Policy::accept_all(), Policy::accept_all());
        params.enhanced_refresh = peer != 2;
        if let Some(remote) = self.remotes.get_mut(usize::from(peer)) {
            *remote = Remote { codec: Some(codec), params: Some(params.clone()), view: BTreeMap::new() };
        }
        self.input(Input::PeerUp(PeerId(u32::from(peer)), Box::new(params)));
    }

    fn down(&mut self, peer: u8, retain: Retain) {
        if let Some(remote) = self.remotes.get_mut(usize::from(peer)) {
            *remote = Remote::default();
        }
        self.input(Input::PeerDown(PeerId(u32::from(peer)), retain));
    }

    fn announce(&mut self, id: PeerId, codec: &Codec, a: u8, b: u8) {
        let codec = far(codec);
        let first = if codec.peer == PeerKind::External { vec![Asn(65001)] } else { Vec::new() };
        let longer = (b & 1 != 0).then_some(Asn(64512));
        let targets =
            (0..2).filter(|bit| b & (2 << bit) != 0).map(|bit| ExtendedCommunity::route_target(65000, bit));
        let attributes = PathAttributes {
            as_path: AsPath::sequence(first.into_iter().chain(longer)),
            local_pref: (codec.peer == PeerKind::Internal).then_some(100 + u32::from(b >> 6)),
            extended_communities: targets.collect(),
            communities: if b & 0x18 == 0x18 { vec![Community::NO_EXPORT] } else { Vec::new() },
            ..PathAttributes::default()
        };
        let (mut out, mut block) = (BytesMut::new(), Vec::new());
        attributes.encode_block(&mut block).expect("nothing in it is refused");
        let nlri = nlri(a);
        let next_hop = NextHop::V4(Ipv4Addr::new(10, 0, 1, 1 + (b >> 5 & 1)));
        let one = [(PathId(u32::from(b & 1)), &nlri)];
        bgp_wire::announce(&mut out, &codec, nlri.family(), &next_hop, &block, one);
        self.hear(id, &far(&codec), &out);
    }

    fn withdraw(&mut self, id: PeerId, codec: &Codec, a: u8, b: u8) {
        let (mut out, nlri) = (BytesMut::new(), nlri(a));
        bgp_wire::withdraw(&mut out, &far(codec), nlri.family(), [(PathId(u32::from(b & 1)), &nlri)]);
        self.hear(id, codec, &out);
    }

    fn hear(&mut self, id: PeerId, codec: &Codec, bytes: &[u8]) {
        if let Ok(update) = codec.decode_update(bytes) {
            self.input(Input::Update(id, &update));
        }
    }

    fn read(&mut self, peer: u8, budget: usize) -> bool {
        let Some(transmit) = self.rib.poll_transmit(PeerId(u32::from(peer)), budget) else { return false };
        let bytes: Bytes = transmit.chunks().iter().flatten().copied().collect();
        if let Some(remote) = self.remotes.get_mut(usize::from(peer)) {
            remote.replay(&bytes);
        }
        true
    }

    fn settle(&mut self) {
        for _ in 0..TURNS {
            if self.rib.poll_timeout().is_none_or(|at| at > self.now) {
                return;
            }
            self.input(Input::Tick);
        }
        panic!("background work has no end");
    }

    /// Each view is what is explained: a route is there, with that next hop, exactly if it is told.
    fn check(&mut self) {
        self.settle();
        let up: Vec<u8> = (0..PEERS).filter(|&p| self.remotes[usize::from(p)].codec.is_some()).collect();
        for &peer in &up {
            let drained = (0..TURNS).any(|_| !self.read(peer, 4096));
            assert!(drained, "peer {peer} is never drained");
        }
        let mut expected: Vec<BTreeMap<(Family, Vec<u8>), NextHop>> =
            vec![BTreeMap::new(); usize::from(PEERS)];
        for family in FAMILIES {
            let (routes, _) = self.rib.routes(&RouteFilter::all(family), PageToken::default(), usize::MAX);
            for route in routes {
                let Some(told) = self.rib.explain(route.destination.clone()) else { panic!("it is listed") };
                for peer in told.peers {
                    if let (Ok(next_hop), Ok(at)) = (peer.verdict, usize::try_from(peer.peer.0)) {
                        expected[at].insert((family, key(&route.destination)), next_hop);
                    }
                }
            }
        }
        for peer in up {
            let (held, told) = (&self.remotes[usize::from(peer)].view, &expected[usize::from(peer)]);
            assert_eq!(held, told, "peer {peer}");
        }
    }
}

impl Remote {
    fn replay(&mut self, bytes: &Bytes) {
        let Some(codec) = self.codec.map(|codec| far(&codec)) else { return };
        let mut rest = bytes.clone();
        while let Some(frame) = codec.frame(&rest).expect("we send lawful headers") {
            let one = rest.split_to(frame.len);
            let Message::Update(update) = codec.decode(&one).expect("we send lawful messages") else {
                continue;
            };
            let update = update.view();
            assert_eq!(update.faults().count(), 0);
            for block in update.unreach() {
                for (_, nlri) in block.iter() {
                    self.view.remove(&(block.family(), key_of(&nlri)));
                }
            }
            for reach in update.reach() {
                for (_, nlri) in reach.nlri.iter() {
                    self.view.insert((reach.family, key_of(&nlri)), reach.next_hop);
                }
            }
        }
        assert!(rest.is_empty(), "we send whole messages");
    }
}

/// One of a few policies: all, nothing, by origin validation, with another attribute.
fn policy(which: u8) -> Policy {
    let rule = match which & 3 {
        0 => return Policy::accept_all(),
        1 => return Policy::reject_all(),
        2 => Rule::reject("invalid").when(Condition::Rpki(RpkiState::Invalid)),
        _ => {
            Rule::accept("mark").then(Action::Communities(CommunityEdit::Add(vec![Community::new(65000, 1)])))
        }
    };
    let config = PolicyConfig::new("some", Verdict::Accept).rule(rule);
    Policy::compile(config).unwrap_or_else(|_| Policy::accept_all())
}

/// The codec of the other side.
fn far(codec: &Codec) -> Codec {
    Codec { add_path_rx: codec.add_path_tx, add_path_tx: codec.add_path_rx, ..*codec }
}

fn family(a: u8) -> Family {
    FAMILIES[usize::from(a) % FAMILIES.len()]
}

/// One of a few routes of each family; some differ in labels alone.
fn nlri(a: u8) -> RouteNlri {
    let (n, label) = (a >> 2 & 7, a >> 5);
    let octets = match a & 3 {
        0 => vec![24, 192, 0, n],
        1 => vec![112, 0, label, 1, 0, 0, 0xfd, 0xe8, 0, 0, 0, 1, 192, 0, n],
        2 => {
            let mut mac = vec![2, 33, 0, 0, 0xfd, 0xe8, 0, 0, 0, 1];
            mac.extend([label; 10]);
            mac.extend([0, 0, 0, 0, 48, 2, 0, 0, 0, 0, n, 0, 0, 0, label]);
            mac
        }
        _ if n == 7 => vec![0],
        _ => vec![96, 0, 0, 0xfd, 0xe8, 0, 2, 0xfd, 0xe8, 0, 0, 0, n & 1],
    };
    RouteNlri::parse(family(a & 3), &octets).expect("each is an NLRI")
}

fn key_of(nlri: &bgp_wire::Nlri<'_>) -> Vec<u8> {
    let mut key = Vec::new();
    nlri.append_key(&mut key);
    key
}

fn key(destination: &Destination) -> Vec<u8> {
    match destination {
        Destination::Prefix(IpNet::V4(net)) => key_of(&bgp_wire::Nlri::Ipv4(*net)),
        Destination::Prefix(IpNet::V6(net)) => key_of(&bgp_wire::Nlri::Ipv6(*net)),
        Destination::Nlri(nlri) => key_of(&nlri.nlri().expect("it was received")),
    }
}
