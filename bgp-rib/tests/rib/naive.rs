//! The rules once more, from scratch and without haste: what should be best, and what each peer should hold.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bgp_rib::policy::RpkiState;
use bgp_rib::{
    DecisionOptions, Multipath, NextHopMode, PeerId, PeerParams, PeerRole, Policy, Reachability, Vrp,
};
use bgp_wire::{
    Aggregator, Asn, ClusterId, Community, NextHop, PathAttributes, PeerKind, RouterId, SegmentKind,
};
use ipnet::IpNet;

use crate::naive_border::{
    begins_elsewhere, has_own_as, leaks, leave, received, seen, told_in_two_octets, would_leak,
};
use crate::naive_decision::Name;
use crate::naive_policy::{apply, policy, preference, sets_aigp};
use crate::support::*;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Teller {
    Local,
    Peer(PeerId),
}

#[derive(Clone, Debug)]
pub(crate) struct Naive {
    pub(crate) attributes: PathAttributes,
    pub(crate) next_hop: Option<NextHop>,
    /// The import policy that it is under.
    pub(crate) import: Policy,
    /// How often its session ended, or began anew to tell, since it was told.
    pub(crate) stale: u32,
    /// The session that told it, counted from the peer's first.
    pub(crate) session: u32,
    /// It is long-lived stale.
    pub(crate) long_lived: bool,
    /// Its preference where that is not the usual one of its source.
    pub(crate) preference: Option<u32>,
}

impl Naive {
    /// As it is told.
    pub(crate) fn new(attributes: PathAttributes, next_hop: Option<NextHop>, import: Policy) -> Self {
        Self { attributes, next_hop, import, stale: 0, session: 0, long_lived: false, preference: None }
    }
}

/// What this speaker is called.
#[derive(Clone, Copy)]
pub(crate) struct Names {
    pub(crate) local_as: Asn,
    pub(crate) router_id: RouterId,
    pub(crate) cluster_id: Option<ClusterId>,
}

impl Names {
    fn cluster_id(&self) -> ClusterId {
        self.cluster_id.unwrap_or(ClusterId(self.router_id.0))
    }
}

impl Default for Names {
    fn default() -> Self {
        Self { local_as: LOCAL_AS, router_id: router_id(254), cluster_id: None }
    }
}

/// Everything that was told, and by whom.
#[derive(Default)]
pub(crate) struct Facts {
    pub(crate) told: BTreeMap<(IpNet, Teller, u32), Naive>,
    /// Parameters of the last session of each peer; whether it is up.
    pub(crate) sessions: BTreeMap<PeerId, (PeerParams, bool)>,
    pub(crate) metrics: BTreeMap<IpAddr, Reachability>,
    /// Paths that a bound keeps out of the decision; which ones depends on the order of what came.
    pub(crate) over: BTreeSet<(IpNet, Teller, u32)>,
    /// How many ways a follower is shown, and whether they may lead through other AS.
    pub(crate) multipath: Multipath,
    pub(crate) options: DecisionOptions,
    /// What was best before, where that has a say.
    pub(crate) before: BTreeMap<IpNet, Name>,
    pub(crate) names: Names,
    /// Peers with graceful restart are told own routes alone.
    pub(crate) deferring: bool,
    /// Who may originate what, once somebody said so.
    pub(crate) vrps: Option<BTreeSet<Vrp>>,
    /// By prefix and owner: whether it is always told, whether it suppresses, and all but what.
    pub(crate) aggregates: BTreeMap<(IpNet, u32), (bool, bool, Policy)>,
}

/// A path in the race: who told it, its identifier, the path, its interior cost.
#[derive(Clone)]
pub(crate) struct Runner(pub(crate) Teller, pub(crate) u32, pub(crate) Naive, pub(crate) u32);

impl Runner {
    pub(crate) fn name(&self) -> Name {
        (self.0.clone(), self.1)
    }
}

impl Facts {
    /// A path behind its import policy, if it takes part in the decision, and the interior cost.
    fn usable(&self, prefix: IpNet, from: &Teller, told: &Naive) -> Option<(Naive, u32)> {
        let (mut attributes, next_hop) = self.imported(prefix, from, told)?;
        if let Teller::Peer(peer) = from
            && self.sessions[peer].0.kind == PeerKind::External
            && self.sessions[peer].0.honour_graceful_shutdown
            && told.attributes.communities.contains(&Community::GRACEFUL_SHUTDOWN)
        {
            attributes.local_pref = Some(0);
        }
        if told.long_lived {
            attributes.communities.push(Community::LLGR_STALE);
        }
        let preference = preference(&told.import, prefix).or(told.preference);
        let path = Naive { attributes, next_hop: next_hop.or(told.next_hop), preference, ..told.clone() };
        let metric = path.next_hop.map_or(Some(0), |hop| match self.metrics.get(&hop.address()) {
            Some(Reachability::Unreachable | Reachability::Own) => (*from == Teller::Local).then_some(0),
            Some(Reachability::Metric(metric)) => Some(*metric),
            None => Some(0),
        })?;
        if *from == Teller::Local {
            return Some((path, metric));
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
        (!self.is_refused(from, told)).then_some((path, metric))
    }

    /// What import makes of a route as it was told.
    fn imported(
        &self,
        prefix: IpNet,
        from: &Teller,
        told: &Naive,
    ) -> Option<(PathAttributes, Option<NextHop>)> {
        let Teller::Peer(peer) = from else { return Some((told.attributes.clone(), None)) };
        let params = &self.sessions[peer].0;
        let attributes = received(params, &self.names, &told.attributes);
        apply(&told.import, prefix, &attributes, self.rpki(prefix, &told.attributes), params.local_as)
    }

    /// A loop, a leak, or what cannot come from there (RFC 4271 §9.1.2, RFC 4456 §8, RFC 9234 §5).
    fn is_refused(&self, from: &Teller, told: &Naive) -> bool {
        let Teller::Peer(peer) = from else { return false };
        let params = &self.sessions[peer].0;
        let of_sessions =
            self.sessions.values().filter(|(_, up)| *up).filter_map(|(params, _)| params.cluster_id);
        let mut clusters = of_sessions.chain([self.names.cluster_id()]);
        has_own_as(params, &self.names, &told.attributes.as_path)
            || begins_elsewhere(params, &told.attributes.as_path)
            || leaks(params, &told.attributes)
            || told.attributes.originator_id == Some(self.names.router_id)
            || clusters.any(|cluster| told.attributes.cluster_list.contains(&cluster))
    }

    fn rpki(&self, prefix: IpNet, attributes: &PathAttributes) -> RpkiState {
        let Some(vrps) = &self.vrps else { return RpkiState::Unknown };
        // RFC 6811 §2: the last of a final AS_SEQUENCE; our own where the path is empty or ends in a confederation; else none.
        let origin = match attributes.as_path.segments.last() {
            Some(segment) if segment.kind == SegmentKind::Sequence => segment.asns.last().copied(),
            Some(segment) if segment.kind == SegmentKind::Set => None,
            _ => Some(self.names.local_as),
        };
        let around: Vec<&Vrp> = vrps.iter().filter(|vrp| vrp.prefix.contains(&prefix)).collect();
        let fits = |vrp: &&Vrp| {
            Some(vrp.asn) == origin && vrp.asn != Asn(0) && prefix.prefix_len() <= vrp.max_length
        };
        match around.iter().any(fits) {
            true => RpkiState::Valid,
            false if around.is_empty() => RpkiState::NotFound,
            false => RpkiState::Invalid,
        }
    }

    /// Whether import lets a path of a peer pass, as far as no bound keeps it out.
    pub(crate) fn passes(&self, prefix: IpNet, from: &Teller, told: &Naive) -> bool {
        self.imported(prefix, from, told).is_some() && !self.is_refused(from, told)
    }

    /// What each aggregate is told with, from the longest on: a shorter one may stand for it.
    pub(crate) fn aggregate(&mut self) {
        self.told.retain(|(prefix, from, owner), _| {
            *from != Teller::Local || !self.aggregates.contains_key(&(*prefix, *owner))
        });
        let mut all: Vec<_> = self.aggregates.clone().into_iter().collect();
        all.sort_by_key(|((prefix, _), _)| core::cmp::Reverse(prefix.prefix_len()));
        for ((prefix, owner), (always, ..)) in all {
            let prefixes: BTreeSet<IpNet> = self.told.keys().map(|(inside, ..)| *inside).collect();
            let inside = prefixes.into_iter().filter(|inside| *inside != prefix && prefix.contains(inside));
            let inside: Vec<PathAttributes> =
                inside.filter_map(|inside| Some(self.best(inside)?.1.attributes)).collect();
            if inside.is_empty() && !always {
                continue;
            }
            let mut attributes = attributes(&[]);
            let worst = inside.iter().map(|a| a.origin).max_by_key(|origin| origin.octet());
            attributes.origin = worst.unwrap_or_default();
            // What a confederation says of itself is of our own AS.
            let from_others =
                |a: &PathAttributes| a.as_path.segments.iter().any(|s| !s.kind.is_confederation());
            if inside.iter().any(from_others) {
                attributes.atomic_aggregate = true;
                attributes.aggregator =
                    Some(Aggregator { asn: self.names.local_as, router_id: self.names.router_id });
            }
            let naive = Naive::new(attributes, None, Policy::accept_all());
            self.told.insert((prefix, Teller::Local, owner), naive);
        }
    }

    /// What a policy makes of a route, on a session on which we are that AS.
    fn judged(
        &self,
        which: &Policy,
        prefix: IpNet,
        attributes: &PathAttributes,
        own: Asn,
    ) -> Option<(PathAttributes, Option<NextHop>)> {
        apply(which, prefix, attributes, self.rpki(prefix, attributes), own)
    }

    /// Whether an aggregate stands for a path.
    fn is_suppressed(&self, prefix: IpNet, path: &Naive) -> bool {
        self.aggregates.iter().any(|((net, owner), (_, suppresses, except))| {
            *suppresses
                && *net != prefix
                && net.contains(&prefix)
                && self.told.contains_key(&(*net, Teller::Local, *owner))
                && self.judged(except, prefix, &path.attributes, self.names.local_as).is_none()
        })
    }

    /// The paths of a prefix that take part.
    pub(crate) fn runners(&self, prefix: IpNet) -> Vec<Runner> {
        let paths = self.told.range((prefix, Teller::Local, 0)..);
        let paths = paths.take_while(|((p, ..), _)| *p == prefix);
        let usable = paths.filter_map(|((_, from, id), path)| {
            let over = self.over.contains(&(prefix, from.clone(), *id));
            let (path, metric) = self.usable(prefix, from, path).filter(|_| !over)?;
            Some(Runner(from.clone(), *id, path, metric))
        });
        usable.collect()
    }

    /// What a peer should hold of a prefix.
    pub(crate) fn expected(&self, to: PeerId, prefix: IpNet) -> Option<Route> {
        let ranked = self.ranked(prefix);
        let most = if self.sessions[&to].0.best_per_client { ranked.len() } else { 1 };
        ranked.iter().take(most).find_map(|c| self.route_of(to, prefix, &c.0, &c.2))
    }

    /// What a peer should hold of one path.
    pub(crate) fn route_of(&self, to: PeerId, prefix: IpNet, from: &Teller, path: &Naive) -> Option<Route> {
        let target = &self.sessions[&to].0;
        let communities = &path.attributes.communities;
        let external = target.kind == PeerKind::External;
        let deferred = self.deferring && target.graceful_restart && *from != Teller::Local;
        if *from == Teller::Peer(to)
            || deferred
            || communities.contains(&Community::NO_ADVERTISE)
            || (external && communities.contains(&Community::NO_EXPORT))
            || self.is_suppressed(prefix, path)
        {
            return None;
        }
        let source = match from {
            Teller::Local => None,
            Teller::Peer(peer) => Some(self.sessions[peer].0.clone()),
        };
        let from_internal = source.as_ref().filter(|source| source.kind == PeerKind::Internal);
        let own_next_hop = match prefix {
            IpNet::V4(_) => Some(next_hop(254)),
            IpNet::V6(_) => target.local_ipv6.map(NextHop::V6),
        };
        let stale = communities.contains(&Community::LLGR_STALE);
        let knows = target.long_lived.is_some();
        let as_last = stale && !knows && !external && target.long_lived_partial;
        if stale && !knows && !as_last {
            return None;
        }
        if would_leak(target, &path.attributes) {
            return None;
        }
        let learned = source.is_some();
        let as_path = seen(target, &self.names, learned, &path.attributes.as_path);
        let shown = PathAttributes { as_path, ..path.attributes.clone() };
        let rpki = self.rpki(prefix, &path.attributes);
        let (mut attributes, set) = apply(&target.export, prefix, &shown, rpki, target.local_as)?;
        let from_external = source.as_ref().is_some_and(|source| source.kind == PeerKind::External);
        let by_mode = match target.next_hop {
            NextHopMode::SelfAlways => true,
            NextHopMode::Unchanged => false,
            NextHopMode::SelfForExternal => external || from_external,
            NextHopMode::ThirdParty => {
                let shares =
                    |hop: NextHop| target.shared_network.is_some_and(|net| net.contains(&hop.address()));
                external && !path.next_hop.is_some_and(shares)
            }
            // RFC 7947 §2.2.1: a route server leaves the next hop as it is.
            NextHopMode::Auto => external && !(target.route_server_client && learned),
        };
        let is_own = by_mode || path.next_hop.is_none();
        let usual = if is_own { own_next_hop } else { path.next_hop };
        let next_hop = set.or(usual)?;
        if !(is_own && set.is_none()) && next_hop.address() == target.peer_address {
            return None;
        }
        let way = path.next_hop.filter(|hop| hop.address() != next_hop.address()).map(|hop| {
            match self.metrics.get(&hop.address()) {
                Some(Reachability::Metric(metric)) => u64::from(*metric).max(1),
                _ => 1,
            }
        });
        // RFC 7311 §3.4.3, but what a policy says is told as it says.
        let way = way.filter(|_| !sets_aigp(&target.export, prefix)).unwrap_or(0);
        let aigp = attributes.aigp().filter(|_| target.aigp);
        attributes.set_aigp(aigp.and_then(|aigp| aigp.checked_add(way)).filter(|aigp| *aigp < u64::MAX));
        if external {
            attributes.local_pref = None;
            let policy_says = target.export == policy(3) && attributes.med == Some(7);
            // RFC 7947 §2.2.3: a route server passes MULTI_EXIT_DISC on.
            if learned && !policy_says && !target.route_server_client {
                attributes.med = None;
            }
            leave(target, learned, &mut attributes);
        } else {
            attributes.local_pref = Some(attributes.local_pref.unwrap_or(100));
        }
        if as_last {
            attributes.local_pref = Some(0);
            if !attributes.communities.contains(&Community::NO_EXPORT) {
                attributes.communities.push(Community::NO_EXPORT);
            }
        }
        if target.leaving {
            attributes.local_pref = attributes.local_pref.map(|_| 0);
            if !attributes.communities.contains(&Community::GRACEFUL_SHUTDOWN) {
                attributes.communities.push(Community::GRACEFUL_SHUTDOWN);
            }
        }
        if let Some(source) = from_internal.filter(|_| !external) {
            if source.role == PeerRole::Plain && target.role == PeerRole::Plain {
                return None;
            }
            let ours = |params: &PeerParams| params.cluster_id.unwrap_or(self.names.cluster_id());
            let clients = source.role == PeerRole::Client && target.role == PeerRole::Client;
            if clients && !target.client_to_client && ours(source) == ours(target) {
                return None;
            }
            attributes.originator_id = Some(attributes.originator_id.unwrap_or(source.peer_router_id));
            let of = if source.role == PeerRole::Client { source } else { target };
            attributes.cluster_list.insert(0, ours(of));
        } else {
            attributes.originator_id = None;
            attributes.cluster_list.clear();
        }
        if !target.codec.four_octet_as {
            attributes.as_path = told_in_two_octets(&attributes.as_path);
        }
        Some(Route { next_hop, attributes })
    }
}
