//! A laboratory: one `Rib` and the far ends of its sessions, whose tables are made of nothing but the bytes they were sent.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bgp_rib::{
    Event, Input, LimitAction, Origination, OwnerId, PeerId, PeerParams, PeerRole, Retain, Rib, RibConfig,
    RouteNlri,
};
use bgp_wire::{
    AsPath, Asn, AttributeBlock, Codec, Family, FamilySet, Message, NextHop, Nlri, PathAttributes, PathId,
    PeerKind, Reaction, RefreshKind, Rewrite, RouteRefresh, RouterId, WriteNlri,
};
use bytes::{Bytes, BytesMut};
use ipnet::IpNet;

pub(crate) const LOCAL_AS: Asn = Asn(65000);
pub(crate) const V4: Family = Family::IPV4_UNICAST;
pub(crate) const V6: Family = Family::IPV6_UNICAST;

/// A route as a far end holds it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Route {
    pub(crate) next_hop: NextHop,
    pub(crate) attributes: PathAttributes,
}

/// The far end of a session.
pub(crate) struct Remote {
    pub(crate) params: PeerParams,
    pub(crate) view: BTreeMap<IpNet, Route>,
    /// The same by path identifier: what is told of one path replaces nothing of another.
    pub(crate) paths: BTreeMap<(IpNet, u32), Route>,
    /// What it holds in other families, by the octets that make the route: all octets, with the route.
    pub(crate) further: BTreeMap<(Family, Vec<u8>), (Vec<u8>, Route)>,
    /// Routes withdrawn in other families, in order.
    pub(crate) further_withdrawn: Vec<Vec<u8>>,
    pub(crate) end_of_rib: BTreeSet<Family>,
    /// What it held of a family when that was said.
    pub(crate) held_at_end: BTreeMap<Family, BTreeSet<(IpNet, u32)>>,
    /// UPDATE messages that carried routes; prefixes announced and withdrawn, in order.
    pub(crate) updates: usize,
    pub(crate) announced: Vec<IpNet>,
    pub(crate) withdrawn: Vec<IpNet>,
    pub(crate) markers: Vec<RefreshKind>,
    /// Whatever it is told has to be news to it.
    pub(crate) strict: bool,
    /// It has been drained and was not told since that there is more.
    pub(crate) idle: bool,
    pub(crate) up: bool,
}

pub(crate) struct Lab {
    pub(crate) rib: Rib,
    pub(crate) now: Duration,
    pub(crate) remotes: BTreeMap<PeerId, Remote>,
    pub(crate) events: Vec<Event>,
}

pub(crate) fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

pub(crate) fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, last).into()
}

pub(crate) fn next_hop(last: u8) -> NextHop {
    NextHop::V4(Ipv4Addr::new(10, 0, 0, last))
}

pub(crate) fn next_hop6(last: u16) -> NextHop {
    NextHop::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last))
}

pub(crate) fn router_id(last: u8) -> RouterId {
    Ipv4Addr::new(10, 0, 0, last).into()
}

pub(crate) fn internal_codec() -> Codec {
    let families = FamilySet::of(&[V4, V6]);
    Codec { peer: PeerKind::Internal, four_octet_as: true, families, ..Codec::before_open() }
}

/// Peer `n` lives at 10.0.0.n; we are 10.0.0.254 to everybody.
pub(crate) fn internal(n: u8) -> PeerParams {
    let mut params =
        PeerParams::new(LOCAL_AS, LOCAL_AS, router_id(n), address(n), address(254), internal_codec());
    params.local_ipv6 = Some("2001:db8::fe".parse().unwrap());
    params
}

pub(crate) fn client(n: u8) -> PeerParams {
    PeerParams { role: PeerRole::Client, ..internal(n) }
}

pub(crate) fn external(n: u8, asn: u32) -> PeerParams {
    let codec = Codec { peer: PeerKind::External, ..internal_codec() };
    let mut params = PeerParams::new(LOCAL_AS, Asn(asn), router_id(n), address(n), address(254), codec);
    params.local_ipv6 = Some("2001:db8::fe".parse().unwrap());
    params.import = bgp_rib::Policy::accept_all();
    params.export = bgp_rib::Policy::accept_all();
    params
}

/// Attributes as an internal peer tells them.
pub(crate) fn attributes(asns: &[u32]) -> PathAttributes {
    let as_path = AsPath::sequence(asns.iter().copied().map(Asn));
    PathAttributes { as_path, local_pref: Some(100), ..PathAttributes::default() }
}

/// Attributes as an external peer tells them.
pub(crate) fn external_attributes(asns: &[u32]) -> PathAttributes {
    PathAttributes { local_pref: None, ..attributes(asns) }
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self::with(RibConfig::new(LOCAL_AS, router_id(254)))
    }

    pub(crate) fn with(config: RibConfig) -> Self {
        Self { rib: Rib::new(config), now: Duration::ZERO, remotes: BTreeMap::new(), events: Vec::new() }
    }

    /// Handles once, then takes the events out; a peer that is said to be pending must have been idle.
    pub(crate) fn input(&mut self, input: Input<'_>) {
        self.rib.handle(self.now, input);
        self.take_events();
    }

    fn take_events(&mut self) {
        while let Some(event) = self.rib.poll_event() {
            if let Event::Pending(peer) = event {
                let remote = self.remotes.get_mut(&peer).expect("only peers that are up become pending");
                assert!(remote.idle, "{peer} was said to be pending twice");
                remote.idle = false;
            }
            self.events.push(event);
        }
    }

    pub(crate) fn up(&mut self, n: u8, params: PeerParams) -> PeerId {
        let peer = PeerId(u32::from(n));
        let remote = Remote {
            params: params.clone(),
            view: BTreeMap::new(),
            paths: BTreeMap::new(),
            further: BTreeMap::new(),
            further_withdrawn: Vec::new(),
            end_of_rib: BTreeSet::new(),
            held_at_end: BTreeMap::new(),
            updates: 0,
            announced: Vec::new(),
            withdrawn: Vec::new(),
            markers: Vec::new(),
            strict: false,
            idle: true,
            up: true,
        };
        self.remotes.insert(peer, remote);
        self.input(Input::PeerUp(peer, Box::new(params)));
        peer
    }

    pub(crate) fn down(&mut self, peer: PeerId, retain: Retain) {
        self.remotes.get_mut(&peer).unwrap().up = false;
        self.input(Input::PeerDown(peer, retain));
    }

    /// Lets the background work come to its end.
    pub(crate) fn settle(&mut self) {
        for _ in 0..10_000 {
            if self.rib.poll_timeout().is_none_or(|at| at > self.now) {
                return;
            }
            self.input(Input::Tick);
        }
        panic!("the background work has no end");
    }

    /// Routes of a family beyond unicast.
    pub(crate) fn announce_nlri(
        &mut self,
        peer: PeerId,
        path: u32,
        nlri: &[RouteNlri],
        next_hop: NextHop,
        attributes: &PathAttributes,
    ) {
        let codec = far(&self.remotes[&peer].params.codec);
        let (mut out, mut block) = (BytesMut::new(), Vec::new());
        attributes.encode_block(&mut block).unwrap();
        for nlri in nlri {
            let one = [(PathId(path), nlri)];
            let packed = bgp_wire::announce(&mut out, &codec, nlri.family(), &next_hop, &block, one);
            assert_eq!(packed.routes, 1, "the test announces what can be announced");
        }
        self.receive(peer, &out);
    }

    pub(crate) fn withdraw_nlri(&mut self, peer: PeerId, path: u32, nlri: &[RouteNlri]) {
        let codec = far(&self.remotes[&peer].params.codec);
        let mut out = BytesMut::new();
        for nlri in nlri {
            bgp_wire::withdraw(&mut out, &codec, nlri.family(), [(PathId(path), nlri)]);
        }
        self.receive(peer, &out);
    }

    /// What a far end holds of a family beyond unicast: octets with the route.
    pub(crate) fn further(&self, peer: PeerId, family: Family) -> Vec<(Vec<u8>, Route)> {
        let all = self.remotes[&peer].further.iter();
        all.filter(|((of, _), _)| *of == family).map(|(_, told)| told.clone()).collect()
    }

    /// Gives an UPDATE's bytes to the `Rib`, as a codec of that session reads them.
    pub(crate) fn receive(&mut self, peer: PeerId, bytes: &[u8]) {
        let codec = self.remotes[&peer].params.codec;
        let mut rest = bytes;
        while let Some(frame) = codec.frame(rest).expect("the test sends whole messages") {
            let (message, more) = rest.split_at(frame.len);
            let view = codec.decode_update(message).expect("the test sends lawful messages");
            assert_eq!(view.outcome(), Reaction::Accept, "{:?}", view.faults().collect::<Vec<_>>());
            self.input(Input::Update(peer, &view));
            rest = more;
        }
    }

    pub(crate) fn announce(
        &mut self,
        peer: PeerId,
        prefixes: &[IpNet],
        next_hop: NextHop,
        attributes: &PathAttributes,
    ) {
        self.announce_path(peer, 0, prefixes, next_hop, attributes);
    }

    pub(crate) fn announce_path(
        &mut self,
        peer: PeerId,
        path: u32,
        prefixes: &[IpNet],
        next_hop: NextHop,
        attributes: &PathAttributes,
    ) {
        let codec = far(&self.remotes[&peer].params.codec);
        let (mut out, mut block) = (BytesMut::new(), Vec::new());
        attributes.encode_block(&mut block).unwrap();
        let how = Rewrite { two_octet_as: !codec.four_octet_as, ..Rewrite::default() };
        let mut written = Vec::new();
        bgp_wire::rewrite(AttributeBlock::parse(&block).unwrap(), &how, &mut written).unwrap();
        for family in [V4, V6] {
            let of_family = prefixes.iter().filter(|prefix| family_of(prefix) == family);
            let nlri: Vec<_> = of_family.map(|prefix| (PathId(path), *prefix)).collect();
            let count = nlri.len();
            let packed = bgp_wire::announce(&mut out, &codec, family, &next_hop, &written, nlri);
            assert_eq!(packed.routes, count, "the test announces what can be announced");
        }
        self.receive(peer, &out);
    }

    pub(crate) fn withdraw(&mut self, peer: PeerId, prefixes: &[IpNet]) {
        self.withdraw_path(peer, 0, prefixes);
    }

    pub(crate) fn withdraw_path(&mut self, peer: PeerId, path: u32, prefixes: &[IpNet]) {
        let codec = far(&self.remotes[&peer].params.codec);
        let mut out = BytesMut::new();
        for family in [V4, V6] {
            let of_family = prefixes.iter().filter(|prefix| family_of(prefix) == family);
            bgp_wire::withdraw(&mut out, &codec, family, of_family.map(|prefix| (PathId(path), *prefix)));
        }
        self.receive(peer, &out);
    }

    pub(crate) fn end_of_rib(&mut self, peer: PeerId, family: Family) {
        let mut out = BytesMut::new();
        bgp_wire::end_of_rib(&mut out, family);
        self.receive(peer, &out);
    }

    pub(crate) fn refresh(&mut self, peer: PeerId, family: Family, kind: RefreshKind) {
        self.input(Input::Refresh(peer, RouteRefresh { family, kind }));
    }

    pub(crate) fn originate(&mut self, owner: u32, routes: &[Origination]) {
        self.input(Input::Originate(OwnerId(owner), routes));
    }

    /// Reads once for a peer; whether there was anything.
    pub(crate) fn read_once(&mut self, peer: PeerId, budget: usize) -> bool {
        let Some(transmit) = self.rib.poll_transmit(peer, budget) else {
            self.remotes.get_mut(&peer).unwrap().idle = true;
            return false;
        };
        let bytes: Vec<u8> = transmit.chunks().iter().flatten().copied().collect();
        assert_eq!(bytes.len(), transmit.len());
        let remote = self.remotes.get_mut(&peer).unwrap();
        remote.idle = transmit.is_last();
        remote.hear(&bytes.into());
        true
    }

    pub(crate) fn drain(&mut self, peer: PeerId) {
        for _ in 0..10_000 {
            if !self.read_once(peer, 4096) {
                return;
            }
        }
        panic!("{peer} is never drained");
    }

    pub(crate) fn drain_all(&mut self) {
        self.settle();
        let peers: Vec<PeerId> =
            self.remotes.iter().filter(|(_, remote)| remote.up).map(|(&id, _)| id).collect();
        peers.into_iter().for_each(|peer| self.drain(peer));
    }

    pub(crate) fn view(&self, peer: PeerId) -> &BTreeMap<IpNet, Route> {
        &self.remotes[&peer].view
    }

    /// Drains a peer and forgets what it heard, but not its table.
    pub(crate) fn quiet(&mut self, peer: PeerId) {
        self.drain(peer);
        let remote = self.remotes.get_mut(&peer).unwrap();
        remote.announced.clear();
        remote.withdrawn.clear();
        remote.markers.clear();
        remote.updates = 0;
    }
}

pub(crate) fn family_of(prefix: &IpNet) -> Family {
    match prefix {
        IpNet::V4(_) => V4,
        IpNet::V6(_) => V6,
    }
}

fn unicast(family: Family, nlri: Nlri<'_>) -> Result<IpNet, ()> {
    if [V4, V6].contains(&family) { Ok(IpNet::try_from(nlri).expect("prefixes are")) } else { Err(()) }
}

fn key_of(nlri: &Nlri<'_>) -> Vec<u8> {
    let mut key = Vec::new();
    nlri.append_key(&mut key);
    key
}

fn octets_of(nlri: &Nlri<'_>) -> Vec<u8> {
    let mut octets = BytesMut::new();
    nlri.write(&mut octets);
    octets.to_vec()
}

/// A session about these families.
pub(crate) fn of_families(params: PeerParams, families: &[Family]) -> PeerParams {
    let families = FamilySet::of(families);
    let codec = Codec { families, ..params.codec };
    PeerParams { codec, families, retained: families, keep_stale: families, ..params }
}

/// The octets, in hex, as one NLRI of a family.
pub(crate) fn nlri(family: Family, hex: &str) -> RouteNlri {
    let digits: Vec<char> = hex.chars().filter(|c| !c.is_whitespace()).collect();
    let octet = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
    let octets: Vec<u8> = digits.chunks(2).map(octet).collect();
    RouteNlri::parse(family, &octets).unwrap_or_else(|| panic!("{family} {hex}"))
}

/// The codec of the other side.
pub(crate) fn far(codec: &Codec) -> Codec {
    Codec { add_path_rx: codec.add_path_tx, add_path_tx: codec.add_path_rx, ..*codec }
}

impl Remote {
    /// Reads bytes as the far end's codec does, faults being ours, and brings the table up to date.
    fn hear(&mut self, bytes: &Bytes) {
        let codec = far(&self.params.codec);
        let mut at = 0;
        while at < bytes.len() {
            let frame =
                codec.frame(&bytes[at..]).expect("we send lawful headers").expect("we send whole messages");
            let message = codec.decode(&bytes.slice(at..at + frame.len)).expect("we send lawful messages");
            match message {
                Message::Update(update) => {
                    self.hear_update(&update.view());
                    self.is_within_bounds();
                }
                Message::RouteRefresh(refresh) => {
                    assert!(
                        self.end_of_rib.contains(&refresh.family),
                        "BoRR before End-of-RIB (RFC 7313 §4)"
                    );
                    self.markers.push(refresh.kind);
                }
                other => panic!("the tables send no {other:?}"),
            }
            at += frame.len;
        }
    }

    /// With no message is more there than the bound that it is known to have.
    fn is_within_bounds(&self) {
        for family in [V4, V6] {
            let limit = self.params.limits.of(family).advertised;
            let limit = limit.filter(|limit| limit.action != LimitAction::Warn);
            assert!(
                limit.is_none_or(|limit| self.held(family).len() as u64 <= limit.max),
                "more than {limit:?}"
            );
        }
    }

    /// Prefixes with path identifiers that it holds of a family.
    pub(crate) fn held(&self, family: Family) -> BTreeSet<(IpNet, u32)> {
        self.paths.keys().filter(|(prefix, _)| family_of(prefix) == family).copied().collect()
    }

    fn hear_update(&mut self, update: &bgp_wire::UpdateView<'_>) {
        assert_eq!(update.faults().count(), 0, "{:?}", update.faults().collect::<Vec<_>>());
        if let Some(family) = update.end_of_rib() {
            assert!(self.end_of_rib.insert(family), "End-of-RIB is said once");
            self.held_at_end.insert(family, self.held(family));
            return;
        }
        self.updates += 1;
        for block in update.unreach() {
            for (path, nlri) in block.iter() {
                let Ok(prefix) = unicast(block.family(), nlri) else {
                    let key = key_of(&nlri);
                    self.further.remove(&(block.family(), key.clone()));
                    self.further_withdrawn.push(key);
                    continue;
                };
                self.view.remove(&prefix);
                let held = self.paths.remove(&(prefix, path.0));
                assert!(!self.strict || held.is_some(), "{prefix} is withdrawn and was not there");
                self.withdrawn.push(prefix);
            }
        }
        let mut block = Vec::new();
        update.canonical_attributes(&mut block);
        for reach in update.reach() {
            let attributes = PathAttributes::from_block(AttributeBlock::parse(&block).unwrap());
            for (path, nlri) in reach.nlri.iter() {
                let route = Route { next_hop: reach.next_hop, attributes: attributes.clone() };
                let Ok(prefix) = unicast(reach.family, nlri) else {
                    let key = (reach.family, key_of(&nlri));
                    self.further.insert(key, (octets_of(&nlri), route));
                    continue;
                };
                self.view.insert(prefix, route.clone());
                let held = self.paths.insert((prefix, path.0), route);
                assert!(
                    !self.strict || held != self.paths.get(&(prefix, path.0)).cloned(),
                    "{prefix} is told again"
                );
                self.announced.push(prefix);
            }
        }
    }
}
