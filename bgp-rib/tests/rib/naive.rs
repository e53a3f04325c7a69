//! The rules once more, from scratch and without haste: what should be best, and what each peer should hold.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bgp_rib::policy::RpkiState;
use bgp_rib::{
    AddPathSend, DecisionOptions, NextHopMode, PeerId, PeerParams, PeerRole, Policy, Reachability, Vrp,
};
use bgp_wire::{Aggregator, Asn, ClusterId, Community, Family, NextHop, PathAttributes, PeerKind, RouterId};
use ipnet::IpNet;

use crate::naive_policy::{apply, policy, preference};
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

    fn asns(&self) -> Vec<Asn> {
        self.attributes.as_path.segments.iter().flat_map(|s| s.asns.clone()).collect()
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
    /// Equal ways may lead through other AS.
    pub(crate) relax: bool,
    pub(crate) options: DecisionOptions,
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
struct Runner(Teller, u32, Naive, u32);

fn keep(left: &mut Vec<Runner>, key: impl Fn(&Runner) -> i64) {
    let least = left.iter().map(&key).min();
    left.retain(|c| Some(key(c)) == least);
}

impl Facts {
    /// A path behind its import policy, if it takes part in the decision, and the interior cost.
    fn usable(&self, prefix: IpNet, from: &Teller, told: &Naive) -> Option<(Naive, u32)> {
        let (mut attributes, next_hop) = self.apply(&told.import, prefix, &told.attributes)?;
        if let Teller::Peer(peer) = from
            && self.sessions[peer].0.kind == PeerKind::External
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
        (!self.is_looped(told)).then_some((path, metric))
    }

    fn is_looped(&self, told: &Naive) -> bool {
        let of_sessions =
            self.sessions.values().filter(|(_, up)| *up).filter_map(|(params, _)| params.cluster_id);
        let mut clusters = of_sessions.chain([self.names.cluster_id()]);
        [LOCAL_AS, self.names.local_as].iter().any(|asn| told.asns().contains(asn))
            || told.attributes.originator_id == Some(self.names.router_id)
            || clusters.any(|cluster| told.attributes.cluster_list.contains(&cluster))
    }

    /// What a policy makes of a route.
    fn apply(
        &self,
        which: &Policy,
        prefix: IpNet,
        attributes: &PathAttributes,
    ) -> Option<(PathAttributes, Option<NextHop>)> {
        apply(which, prefix, attributes, self.rpki(prefix, attributes))
    }

    fn rpki(&self, prefix: IpNet, attributes: &PathAttributes) -> RpkiState {
        let Some(vrps) = &self.vrps else { return RpkiState::Unknown };
        let last = attributes.as_path.segments.last().and_then(|segment| segment.asns.last());
        let origin = last.copied().unwrap_or(self.names.local_as);
        let around: Vec<&Vrp> = vrps.iter().filter(|vrp| vrp.prefix.contains(&prefix)).collect();
        let fits =
            |vrp: &&Vrp| vrp.asn == origin && vrp.asn != Asn(0) && prefix.prefix_len() <= vrp.max_length;
        match around.iter().any(fits) {
            true => RpkiState::Valid,
            false if around.is_empty() => RpkiState::NotFound,
            false => RpkiState::Invalid,
        }
    }

    /// Whether import lets a path of a peer pass, as far as no bound keeps it out.
    pub(crate) fn passes(&self, prefix: IpNet, told: &Naive) -> bool {
        self.apply(&told.import, prefix, &told.attributes).is_some() && !self.is_looped(told)
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
            if inside.iter().any(|a| !a.as_path.segments.is_empty()) {
                attributes.atomic_aggregate = true;
                attributes.aggregator =
                    Some(Aggregator { asn: self.names.local_as, router_id: self.names.router_id });
            }
            let naive = Naive::new(attributes, None, Policy::accept_all());
            self.told.insert((prefix, Teller::Local, owner), naive);
        }
    }

    /// Whether an aggregate stands for a path.
    fn is_suppressed(&self, prefix: IpNet, path: &Naive) -> bool {
        self.aggregates.iter().any(|((net, owner), (_, suppresses, except))| {
            *suppresses
                && *net != prefix
                && net.contains(&prefix)
                && self.told.contains_key(&(*net, Teller::Local, *owner))
                && self.apply(except, prefix, &path.attributes).is_none()
        })
    }

    /// The paths of a prefix that take part.
    fn runners(&self, prefix: IpNet) -> Vec<Runner> {
        let paths = self.told.range((prefix, Teller::Local, 0)..);
        let paths = paths.take_while(|((p, ..), _)| *p == prefix);
        let usable = paths.filter_map(|((_, from, id), path)| {
            let over = self.over.contains(&(prefix, from.clone(), *id));
            let (path, metric) = self.usable(prefix, from, path).filter(|_| !over)?;
            Some(Runner(from.clone(), *id, path, metric))
        });
        usable.collect()
    }

    /// The best path of a prefix, by comparing from scratch: one filter per rung.
    pub(crate) fn best(&self, prefix: IpNet) -> Option<(Teller, Naive)> {
        let Runner(from, _, path, _) = self.climb(self.runners(prefix)).0?;
        Some((from, path))
    }

    /// All that take part, each the best of those that are left.
    fn ranked(&self, prefix: IpNet) -> Vec<Runner> {
        let mut left = self.runners(prefix);
        let mut ranked = Vec::new();
        while let Some(best) = self.climb(left.clone()).0 {
            left.retain(|c| (&c.0, c.1) != (&best.0, best.1));
            ranked.push(best);
        }
        ranked
    }

    /// The paths of a prefix that a peer is told, as far as the choice goes: who told each, its identifier, the path.
    pub(crate) fn chosen(&self, to: PeerId, prefix: IpNet) -> Vec<(Teller, u32, Naive)> {
        let params = &self.sessions[&to].0;
        let of = |family: &Family| *family == family_of(&prefix);
        let send = params.add_path_send.iter().find(|(family, _)| of(family)).map(|(_, send)| *send);
        let limit = params.paths_limit.iter().find(|(family, _)| of(family)).map(|(_, limit)| *limit);
        let limit = limit.map_or(usize::MAX, usize::from);
        let mut ranked = self.ranked(prefix);
        let chosen: Vec<Runner> = match send.unwrap_or_default() {
            AddPathSend::Best(most) => ranked.into_iter().take(usize::from(most)).collect(),
            AddPathSend::All => ranked,
            AddPathSend::EqualCost => {
                let equal = self.climb(self.runners(prefix)).1;
                let best = ranked.first().cloned();
                let is_equal = |c: &Runner| {
                    best.as_ref().is_some_and(|b| self.goes_along(c, b))
                        && equal.iter().any(|e| (&e.0, e.1) == (&c.0, c.1))
                };
                ranked.into_iter().filter(is_equal).collect()
            }
            AddPathSend::PerAs => {
                let neighbour = |c: &Runner| {
                    c.2.attributes.as_path.segments.first().and_then(|s| s.asns.first().copied())
                };
                let mut met = Vec::new();
                ranked.retain(|c| {
                    let new = !met.contains(&neighbour(c));
                    met.push(neighbour(c));
                    new
                });
                ranked
            }
        };
        chosen.into_iter().take(limit).map(|Runner(from, id, path, _)| (from, id, path)).collect()
    }

    /// Whether the AS_PATH of a path lets it stand beside the best.
    fn goes_along(&self, path: &Runner, best: &Runner) -> bool {
        let Teller::Peer(peer) = &best.0 else { return true };
        let asns = |c: &Runner| {
            c.2.attributes.as_path.segments.iter().flat_map(|s| s.asns.clone()).collect::<Vec<_>>()
        };
        match self.sessions[peer].0.kind {
            _ if self.relax => true,
            PeerKind::External => asns(path).first() == asns(best).first(),
            PeerKind::Internal => asns(path) == asns(best),
        }
    }

    /// The best of some paths, and those that are as good through the interior cost.
    fn climb(&self, mut left: Vec<Runner>) -> (Option<Runner>, Vec<Runner>) {
        let peer = |from: &Teller| match from {
            Teller::Local => None,
            Teller::Peer(peer) => Some(self.sessions[peer].0.clone()),
        };
        let asns =
            |p: &Naive| p.attributes.as_path.segments.iter().flat_map(|s| s.asns.clone()).collect::<Vec<_>>();
        keep(&mut left, |c| i64::from(c.2.attributes.communities.contains(&Community::LLGR_STALE)));
        keep(&mut left, |c| {
            let usual = if c.0 == Teller::Local { 200 } else { 100 };
            -i64::from(c.2.preference.unwrap_or(usual))
        });
        keep(&mut left, |c| i64::from(c.0 != Teller::Local));
        keep(&mut left, |c| -i64::from(c.2.attributes.local_pref.unwrap_or(100)));
        keep(&mut left, |c| c.2.attributes.aigp().map_or(i64::MAX, |aigp| aigp as i64 + i64::from(c.3)));
        keep(&mut left, |c| asns(&c.2).len() as i64);
        keep(&mut left, |c| i64::from(c.2.attributes.origin.octet()));
        let all = left.clone();
        left.retain(|c| {
            let options = self.options;
            let same = |o: &&Runner| options.always_compare_med || asns(&o.2).first() == asns(&c.2).first();
            let missing = if options.missing_med_as_worst { u64::MAX } else { 0 };
            let med = |o: &Runner| o.2.attributes.med.map_or(missing, u64::from);
            all.iter().filter(same).map(med).min() == Some(med(c))
        });
        keep(&mut left, |c| i64::from(peer(&c.0).is_none_or(|p| p.kind == PeerKind::Internal)));
        keep(&mut left, |c| i64::from(c.3));
        let equal = left.clone();
        keep(&mut left, |c| {
            let own = peer(&c.0).map_or(0, |p| p.peer_router_id.0);
            i64::from(c.2.attributes.originator_id.map_or(own, |id| id.0))
        });
        keep(&mut left, |c| c.2.attributes.cluster_list.len() as i64);
        keep(&mut left, |c| match peer(&c.0).map(|p| p.peer_address) {
            Some(IpAddr::V4(address)) => i64::from(u32::from(address)),
            _ => 0,
        });
        keep(&mut left, |c| i64::from(c.1));
        (left.into_iter().next(), equal)
    }

    /// The next hops that a follower has of a prefix: that of the best path, then those of the paths that are as good.
    pub(crate) fn ways(&self, prefix: IpNet, most: usize) -> Vec<NextHop> {
        let (best, equal) = self.climb(self.runners(prefix));
        let Some(best) = best else { return Vec::new() };
        let beside = equal.iter().filter(|c| self.goes_along(c, &best)).filter_map(|c| c.2.next_hop);
        let own = best.2.next_hop;
        let beside: BTreeSet<NextHop> = beside.filter(|hop| most > 1 && Some(*hop) != own).collect();
        own.into_iter().chain(beside).take(most).collect()
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
        let (mut attributes, set) = self.apply(&target.export, prefix, &path.attributes)?;
        let from_external = source.as_ref().is_some_and(|source| source.kind == PeerKind::External);
        let by_mode = match target.next_hop {
            NextHopMode::SelfAlways => true,
            NextHopMode::Unchanged => false,
            NextHopMode::SelfForExternal => external || from_external,
            _ => external,
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
        let aigp = attributes.aigp().filter(|_| !external);
        attributes.set_aigp(aigp.map(|aigp| aigp + way.unwrap_or(0)));
        if external {
            attributes.local_pref = None;
            let policy_says = target.export == policy(3) && attributes.med == Some(7);
            if source.is_some() && !policy_says {
                attributes.med = None;
            }
            let asns = attributes.as_path.segments.iter().flat_map(|s| s.asns.clone()).map(|asn| asn.0);
            let asns: Vec<u32> = core::iter::once(LOCAL_AS.0).chain(asns).collect();
            attributes.as_path = crate::support::attributes(&asns).as_path;
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
        Some(Route { next_hop, attributes })
    }
}
