//! VPN routes and route target constraint (RFC 4684) against a naive recomputation: what each peer holds of both families,
//! made of the bytes that it was sent.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use bgp_rib::{
    Destination, Input, PeerId, PeerParams, PeerRole, Policy, Reachability, Retain, RibConfig, RouteNlri,
};
use bgp_wire::{ExtendedCommunity, Family, PathAttributes, PeerKind};
use proptest::prelude::*;

use crate::support::*;

const VPN: Family = Family::IPV4_VPN;
const RTC: Family = Family::ROUTE_TARGET;
const PEERS: u8 = 6;
const ROUTES: u8 = 3;
const MEMBERSHIPS: u8 = 4;

/// A client, a client that says nothing of route targets, a non-client, an external peer, a client that promises no
/// End-of-RIB, a non-client that says nothing of route targets.
fn params(peer: u8) -> PeerParams {
    let base = match peer {
        1 | 2 | 5 => client(peer),
        4 => external(4, 65004),
        _ => internal(peer),
    };
    let families = if [2, 6].contains(&peer) { &[VPN][..] } else { &[VPN, RTC] };
    PeerParams { graceful_restart: peer != 5, ..of_families(base, families) }
}

fn speaks(peer: u8) -> bool {
    ![2, 6].contains(&peer)
}

/// A route as one peer tells it: the label is its own.
fn route(n: u8, peer: u8) -> RouteNlri {
    nlri(VPN, &format!("70 0001{peer:x}1 0000fde800000001 c000{n:02x}"))
}

/// Everything, one route target, another one, all route targets that begin with the same bits.
fn membership(which: u8) -> RouteNlri {
    let rows =
        ["00", "60 0000fde8 0002fde800000001", "60 0000fde8 0002fde800000002", "50 0000fde8 0002fde80000"];
    nlri(RTC, rows[usize::from(which)])
}

fn wants(which: u8, targets: u8) -> bool {
    match which {
        0 => true,
        3 => targets > 0,
        one => targets & one > 0,
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Up(u8),
    Down(u8, bool),
    /// A route: which, with which route targets, whether preferred, through which next hop.
    Tell(u8, u8, u8, bool, u8),
    Withdraw(u8, u8),
    Ask(u8, u8, bool),
    AskNoMore(u8, u8),
    EndOfRib(u8, bool),
    Refresh(u8, bool),
    NextHop(u8, bool),
    Policies(u8, bool, bool),
    Client(u8, bool),
    Later(u16),
    Read(u8),
    Settle,
}

fn step() -> impl Strategy<Value = Step> {
    let peer = 1..=PEERS;
    prop_oneof![
        5 => peer.clone().prop_map(Step::Up),
        2 => (peer.clone(), any::<bool>()).prop_map(|(peer, stale)| Step::Down(peer, stale)),
        8 => (peer.clone(), 0..ROUTES, 0..4u8, any::<bool>(), 20..22u8)
            .prop_map(|(peer, n, targets, preferred, hop)| Step::Tell(peer, n, targets, preferred, hop)),
        3 => (peer.clone(), 0..ROUTES).prop_map(|(peer, n)| Step::Withdraw(peer, n)),
        6 => (peer.clone(), 0..MEMBERSHIPS, any::<bool>()).prop_map(|(peer, which, pref)| Step::Ask(peer, which, pref)),
        4 => (peer.clone(), 0..MEMBERSHIPS).prop_map(|(peer, which)| Step::AskNoMore(peer, which)),
        5 => (peer.clone(), prop::bool::weighted(0.7)).prop_map(|(peer, rtc)| Step::EndOfRib(peer, rtc)),
        1 => (peer.clone(), any::<bool>()).prop_map(|(peer, rtc)| Step::Refresh(peer, rtc)),
        1 => (20..22u8, any::<bool>()).prop_map(|(hop, there)| Step::NextHop(hop, there)),
        2 => (peer.clone(), any::<bool>(), any::<bool>()).prop_map(|(peer, import, export)| Step::Policies(peer, import, export)),
        1 => (peer.clone(), any::<bool>()).prop_map(|(peer, client)| Step::Client(peer, client)),
        2 => prop_oneof![Just(1), Just(60), Just(130), Just(400)].prop_map(Step::Later),
        8 => peer.prop_map(Step::Read),
        3 => Just(Step::Settle),
    ]
}

/// What one peer told in one family: a route, or a membership with no route targets.
#[derive(Clone, Copy, Debug)]
struct Told {
    targets: u8,
    preferred: bool,
    hop: u8,
    stale: bool,
}

/// A session: what it is, whether it is up, since when what it wants is known or until when that is waited for, until when
/// what a former session left stays.
struct Session {
    params: PeerParams,
    up: bool,
    known: Result<(), Duration>,
    ends: BTreeMap<Family, Duration>,
}

struct World {
    lab: Lab,
    sessions: BTreeMap<u8, Session>,
    told: BTreeMap<(Family, u8, u8), Told>,
    away: BTreeSet<u8>,
}

fn id(peer: u8) -> PeerId {
    PeerId(u32::from(peer))
}

fn policy(accepts: bool) -> Policy {
    if accepts { Policy::accept_all() } else { Policy::reject_all() }
}

impl World {
    fn new() -> Self {
        let mut config = RibConfig::new(LOCAL_AS, router_id(254));
        (config.batch_prefixes, config.turn, config.batch_cache) = (2, 2, 2048);
        let (sessions, told, away) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Self { lab: Lab::with(config), sessions, told, away }
    }

    fn is_up(&self, peer: u8) -> bool {
        self.sessions.get(&peer).is_some_and(|session| session.up)
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Up(peer) if !self.is_up(peer) => self.up(peer),
            Step::Down(peer, stale) if self.is_up(peer) => self.down(peer, stale),
            Step::Tell(peer, n, targets, preferred, hop) if self.is_up(peer) => {
                let told = Told { targets, preferred, hop, stale: false };
                self.lab.announce_nlri(
                    id(peer),
                    0,
                    &[route(n, peer)],
                    next_hop(hop),
                    &self.attributes(peer, told),
                );
                self.told.insert((VPN, n, peer), told);
            }
            Step::Withdraw(peer, n) if self.is_up(peer) => {
                self.lab.withdraw_nlri(id(peer), 0, &[route(n, peer)]);
                self.told.remove(&(VPN, n, peer));
            }
            Step::Ask(peer, which, preferred) if self.is_up(peer) && speaks(peer) => {
                let told = Told { targets: 0, preferred, hop: 23, stale: false };
                self.lab.announce_nlri(
                    id(peer),
                    0,
                    &[membership(which)],
                    next_hop(23),
                    &self.attributes(peer, told),
                );
                self.told.insert((RTC, which, peer), told);
            }
            Step::AskNoMore(peer, which) if self.is_up(peer) && speaks(peer) => {
                self.lab.withdraw_nlri(id(peer), 0, &[membership(which)]);
                self.told.remove(&(RTC, which, peer));
            }
            Step::EndOfRib(peer, rtc) if self.is_up(peer) && (speaks(peer) || !rtc) => {
                let family = if rtc { RTC } else { VPN };
                self.lab.end_of_rib(id(peer), family);
                self.sweep(peer, family);
                let session = self.sessions.get_mut(&peer).unwrap();
                session.ends.remove(&family);
                if rtc {
                    session.known = Ok(());
                }
            }
            Step::Refresh(peer, rtc) if self.is_up(peer) && (speaks(peer) || !rtc) => {
                self.lab.refresh(id(peer), if rtc { RTC } else { VPN }, bgp_wire::RefreshKind::REQUEST);
            }
            Step::NextHop(hop, there) => {
                let way = if there { Reachability::Metric(0) } else { Reachability::Unreachable };
                self.lab.input(Input::NextHop(address(hop), way));
                if there {
                    self.away.remove(&hop)
                } else {
                    self.away.insert(hop)
                };
            }
            Step::Policies(peer, import, export) if self.is_up(peer) => {
                let (import, export) = (policy(import), policy(export));
                let params = &mut self.sessions.get_mut(&peer).unwrap().params;
                (params.import, params.export) = (import.clone(), export.clone());
                self.lab.input(Input::SetPolicy {
                    peer: id(peer),
                    import: Some(import),
                    export: Some(export),
                });
            }
            Step::Client(peer, client) if self.is_up(peer) && peer != 4 => {
                let params = &mut self.sessions.get_mut(&peer).unwrap().params;
                params.role = if client { PeerRole::Client } else { PeerRole::Plain };
                let params = params.clone();
                self.lab.input(Input::PeerChange(id(peer), Box::new(params)));
            }
            Step::Later(seconds) => self.later(seconds),
            Step::Read(peer) if self.is_up(peer) => {
                self.lab.read_once(id(peer), 64);
            }
            Step::Settle => self.check(),
            _ => {}
        }
    }

    fn attributes(&self, peer: u8, told: Told) -> PathAttributes {
        let targets = (1..=2u8).filter(|target| told.targets & target > 0);
        let targets = targets.map(|target| ExtendedCommunity::route_target(65000, u32::from(target)));
        let base = if peer == 4 { external_attributes(&[65004]) } else { attributes(&[]) };
        let local_pref = base.local_pref.map(|pref| if told.preferred { 200 } else { pref });
        PathAttributes { local_pref, extended_communities: targets.collect(), ..base }
    }

    fn up(&mut self, peer: u8) {
        let params = params(peer);
        // Who comes back in another role does not inherit.
        if self.sessions.get(&peer).is_some_and(|former| former.params.role != params.role) {
            self.told.retain(|(_, _, from), _| *from != peer);
        }
        self.lab.up(peer, params.clone());
        let known = match speaks(peer) {
            true => Err(self.lab.now + Duration::from_secs(if params.graceful_restart { 60 } else { 1 })),
            false => Ok(()),
        };
        let keeps = |family: &Family| self.told.keys().any(|(of, _, from)| (of, *from) == (family, peer));
        let end = self.lab.now + Duration::from_secs(360);
        let ends = [VPN, RTC].into_iter().filter(keeps).map(|family| (family, end)).collect();
        self.sessions.insert(peer, Session { params, up: true, known, ends });
    }

    fn down(&mut self, peer: u8, stale: bool) {
        self.lab.down(id(peer), if stale { Retain::Stale } else { Retain::Nothing });
        let end = self.lab.now + Duration::from_secs(120);
        let session = self.sessions.get_mut(&peer).unwrap();
        session.up = false;
        session.ends = [VPN, RTC].map(|family| (family, end)).into();
        self.told.retain(|(_, _, from), told| *from != peer || stale && !told.stale);
        self.told
            .iter_mut()
            .filter(|((_, _, from), _)| *from == peer)
            .for_each(|(_, told)| told.stale = true);
    }

    fn sweep(&mut self, peer: u8, family: Family) {
        self.told.retain(|(of, _, from), told| (*of, *from) != (family, peer) || !told.stale);
    }

    fn later(&mut self, seconds: u16) {
        self.lab.now += Duration::from_secs(u64::from(seconds));
        self.lab.input(Input::Tick);
        let now = self.lab.now;
        let mut over = Vec::new();
        for (peer, session) in &mut self.sessions {
            if session.up && session.known.is_err_and(|until| until <= now) {
                session.known = Ok(());
            }
            let ended: Vec<Family> =
                session.ends.iter().filter(|(_, end)| **end <= now).map(|(of, _)| *of).collect();
            for family in ended {
                session.ends.remove(&family);
                over.push((*peer, family));
            }
        }
        over.into_iter().for_each(|(peer, family)| self.sweep(peer, family));
    }

    /// Who tells the best of some paths: `None` is this speaker.
    fn best(&self, family: Family, n: u8, takes_part: impl Fn(u8) -> bool) -> Option<Option<u8>> {
        if family == RTC && n == 0 && self.sessions.iter().any(|(peer, session)| session.up && !speaks(*peer))
        {
            return Some(None);
        }
        let paths = self.told.range((family, n, 0)..=(family, n, u8::MAX));
        let usable = |peer: u8, told: &Told| {
            self.sessions[&peer].params.import.clone() == Policy::accept_all()
                && !self.away.contains(&told.hop)
        };
        let usable = paths.filter(|((_, _, peer), told)| usable(*peer, told) && takes_part(*peer));
        let rank = |peer: u8, told: &Told| (peer == 4 || !told.preferred, peer == 4, peer);
        // The external peer has no LOCAL_PREF and a longer AS_PATH.
        usable.map(|((_, _, peer), told)| (rank(*peer, told), *peer)).min().map(|(_, peer)| Some(peer))
    }

    fn role(&self, peer: u8) -> (PeerKind, PeerRole) {
        let params = &self.sessions[&peer].params;
        (params.kind, params.role)
    }

    fn is_plain(&self, peer: u8) -> bool {
        self.role(peer) == (PeerKind::Internal, PeerRole::Plain)
    }

    /// The VPN routes that a peer should hold: octets, with who told them.
    fn routes_of(&self, to: u8) -> BTreeMap<Vec<u8>, u8> {
        let session = &self.sessions[&to];
        let asked: Vec<u8> =
            self.told.keys().filter(|(of, _, from)| (*of, *from) == (RTC, to)).map(|key| key.1).collect();
        let accepts = session.params.import == Policy::accept_all();
        let wanted =
            |targets: u8| !speaks(to) || (accepts && asked.iter().any(|&which| wants(which, targets)));
        let mut routes = BTreeMap::new();
        if session.known.is_err() || session.params.export != Policy::accept_all() {
            return routes;
        }
        for n in 0..ROUTES {
            let Some(Some(from)) = self.best(VPN, n, |_| true) else { continue };
            let told = self.told[&(VPN, n, from)];
            if from != to && wanted(told.targets) && !(self.is_plain(from) && self.is_plain(to)) {
                routes.insert(route(n, from).as_bytes().to_vec(), from);
            }
        }
        routes
    }

    /// The memberships that a peer should hold (RFC 4684 §3.2).
    fn memberships_of(&self, to: u8) -> BTreeSet<Vec<u8>> {
        let params = &self.sessions[&to].params;
        let mut held = BTreeSet::new();
        for which in (0..MEMBERSHIPS).filter(|_| speaks(to) && params.export == Policy::accept_all()) {
            let best = self.best(RTC, which, |_| true);
            let goes = match (self.role(to), best) {
                (_, None) => false,
                (_, Some(None)) | ((PeerKind::Internal, PeerRole::Client), _) => true,
                ((PeerKind::Internal, _), Some(Some(_))) => {
                    self.best(RTC, which, |from| !self.is_plain(from)).is_some()
                }
                ((PeerKind::External, _), Some(Some(from))) => from != to,
            };
            if goes {
                held.insert(membership(which).as_bytes().to_vec());
            }
        }
        held
    }

    fn check(&mut self) {
        self.lab.drain_all();
        let up: Vec<u8> = (1..=PEERS).filter(|&peer| self.is_up(peer)).collect();
        for peer in up {
            let routes = self.routes_of(peer);
            let held = self.lab.further(id(peer), VPN).into_iter().map(|(octets, _)| octets);
            let held: BTreeSet<Vec<u8>> = held.collect();
            assert_eq!(held, routes.keys().cloned().collect(), "{peer}");
            let asked: BTreeSet<Vec<u8>> =
                self.lab.further(id(peer), RTC).into_iter().map(|(octets, _)| octets).collect();
            assert_eq!(asked, self.memberships_of(peer), "{peer}");
            for n in 0..ROUTES {
                let explained = self.lab.rib.explain(Destination::from(route(n, 1)));
                let told = explained.iter().flat_map(|e| &e.peers).find(|told| told.peer == id(peer));
                let best = self.best(VPN, n, |_| true).flatten();
                let goes = best.is_some_and(|from| routes.contains_key(route(n, from).as_bytes()));
                assert_eq!(told.is_some_and(|told| told.verdict.is_ok()), goes, "{peer} {n} {told:?}");
            }
            let counters = self.lab.rib.peer_counters(id(peer), VPN);
            assert_eq!(counters.advertised as usize, held.len(), "{peer}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn vpn_routes_go_to_who_wants_their_route_targets(steps in prop::collection::vec(step(), 1..80)) {
        let mut world = World::new();
        steps.into_iter().for_each(|step| world.take(step));
        world.check();
        (1..=PEERS).for_each(|peer| world.take(Step::Down(peer, false)));
        (1..=PEERS).for_each(|peer| world.lab.input(Input::PeerDown(id(peer), Retain::Nothing)));
        world.lab.settle();
        for family in [VPN, RTC] {
            let left = world.lab.rib.table_counters(family);
            assert_eq!((left.prefixes, left.paths, left.attribute_sets), (0, 0, 0), "{family}");
        }
    }
}
