//! The decision once more: one filter per rung over all that take part.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bgp_rib::{AddPathSend, PeerId, PeerParams, Rung};
use bgp_wire::{Community, NextHop, PeerKind};
use ipnet::IpNet;

use crate::naive::{Facts, Naive, Runner, Teller};
use crate::naive_border::{length, neighbour};
use crate::support::*;

/// A path of a prefix: who told it, and under which identifier.
pub(crate) type Name = (Teller, u32);

/// Who is left, and at which rung the others fell.
struct Race {
    left: Vec<Runner>,
    fallen: BTreeMap<Name, Rung>,
}

impl Race {
    /// Those with the least stay.
    fn keep(&mut self, rung: Rung, key: impl Fn(&Runner) -> i128) {
        let least = self.left.iter().map(&key).min();
        self.retain(rung, |c| Some(key(c)) == least);
    }

    fn retain(&mut self, rung: Rung, stays: impl Fn(&Runner) -> bool) {
        let (stay, fall): (Vec<Runner>, _) = self.left.drain(..).partition(stays);
        self.fallen.extend(fall.into_iter().map(|c| (c.name(), rung)));
        self.left = stay;
    }
}

/// What the race came to: the best, those as good through the interior cost, where all others fell.
pub(crate) struct Outcome {
    best: Option<Runner>,
    equal: Vec<Runner>,
    fallen: BTreeMap<Name, Rung>,
}

impl Facts {
    /// The best path of a prefix, by comparing from scratch.
    pub(crate) fn best(&self, prefix: IpNet) -> Option<(Teller, Naive)> {
        let Runner(from, _, path, _) = self.decide(prefix).best?;
        Some((from, path))
    }

    /// What it is called.
    pub(crate) fn best_name(&self, prefix: IpNet) -> Option<Name> {
        self.decide(prefix).best.map(|best| best.name())
    }

    /// All that are as good through the interior cost.
    pub(crate) fn equals(&self, prefix: IpNet) -> Vec<Name> {
        self.decide(prefix).equal.iter().map(Runner::name).collect()
    }

    /// At which rung each of the others fell.
    pub(crate) fn fallen(&self, prefix: IpNet) -> BTreeMap<Name, Rung> {
        self.decide(prefix).fallen
    }

    fn decide(&self, prefix: IpNet) -> Outcome {
        self.climb(prefix, self.runners(prefix))
    }

    /// All that take part, each the best of those that are left.
    pub(crate) fn ranked(&self, prefix: IpNet) -> Vec<Runner> {
        let mut left = self.runners(prefix);
        let mut ranked = Vec::new();
        while let Some(best) = self.climb(prefix, left.clone()).best {
            left.retain(|c| c.name() != best.name());
            ranked.push(best);
        }
        ranked
    }

    /// The paths of a prefix that a peer is told, as far as the choice goes: who told each, its identifier, the path.
    pub(crate) fn chosen(&self, to: PeerId, prefix: IpNet) -> Vec<(Teller, u32, Naive)> {
        let params = &self.sessions[&to].0;
        let of = |family: &bgp_wire::Family| *family == family_of(&prefix);
        let send = params.add_path_send.iter().find(|(family, _)| of(family)).map(|(_, send)| *send);
        let limit = params.paths_limit.iter().find(|(family, _)| of(family)).map(|(_, limit)| *limit);
        let limit = limit.map_or(usize::MAX, usize::from);
        let mut ranked = self.ranked(prefix);
        let chosen: Vec<Runner> = match send.unwrap_or_default() {
            AddPathSend::Best(most) => ranked.into_iter().take(usize::from(most)).collect(),
            AddPathSend::All => ranked,
            AddPathSend::EqualCost => {
                let equal = self.equals(prefix);
                let best = ranked.first().cloned();
                let is_equal = |c: &Runner| {
                    best.as_ref().is_some_and(|b| self.goes_along(c, b)) && equal.contains(&c.name())
                };
                ranked.into_iter().filter(is_equal).collect()
            }
            AddPathSend::PerAs => {
                let mut met = Vec::new();
                ranked.retain(|c| {
                    let from = neighbour(&c.2.attributes.as_path);
                    let new = !met.contains(&from);
                    met.push(from);
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
        let of = |c: &Runner| c.2.attributes.as_path.clone();
        match self.sessions[peer].0.kind {
            _ if self.multipath.relax => true,
            PeerKind::External => neighbour(&of(path)) == neighbour(&of(best)),
            PeerKind::Internal => of(path) == of(best),
        }
    }

    fn teller(&self, from: &Teller) -> Option<&PeerParams> {
        match from {
            Teller::Local => None,
            Teller::Peer(peer) => Some(&self.sessions[peer].0),
        }
    }

    /// "Avoid BGP Best Path Transitions from One External to Another" (RFC 5004 §3): whether a path is the external one that was
    /// best before, which still takes part, or of the same router as that.
    fn was_best(&self, prefix: IpNet, c: &Runner) -> bool {
        let Some(before) = self.before.get(&prefix).filter(|_| self.options.prefer_oldest) else {
            return false;
        };
        let usable = self.runners(prefix).iter().any(|runner| runner.name() == *before);
        let router = |from: &Teller| {
            let external = self.teller(from).filter(|params| params.kind == PeerKind::External);
            external.map(|params| params.peer_router_id)
        };
        let Some(own) = router(&c.0).filter(|_| usable) else { return false };
        c.name() == *before || router(&before.0) == Some(own)
    }

    /// The best of some paths of a prefix (RFC 4271 §9.1.2, RFC 4456 §9, RFC 7311 §4, RFC 9494 §4.3).
    fn climb(&self, prefix: IpNet, left: Vec<Runner>) -> Outcome {
        let peer = |c: &Runner| self.teller(&c.0);
        let mut race = Race { left, fallen: BTreeMap::new() };
        race.keep(Rung::LongLivedStale, |c| {
            i128::from(c.2.attributes.communities.contains(&Community::LLGR_STALE))
        });
        race.keep(Rung::Preference, |c| {
            let usual = if c.0 == Teller::Local { 200 } else { 100 };
            -i128::from(c.2.preference.unwrap_or(usual))
        });
        race.keep(Rung::Local, |c| i128::from(c.0 != Teller::Local));
        race.keep(Rung::LocalPref, |c| -i128::from(c.2.attributes.local_pref.unwrap_or(100)));
        race.keep(Rung::Aigp, |c| {
            c.2.attributes.aigp().map_or(i128::MAX, |aigp| i128::from(aigp.saturating_add(u64::from(c.3))))
        });
        race.keep(Rung::AsPathLength, |c| length(&c.2.attributes.as_path) as i128);
        race.keep(Rung::Origin, |c| i128::from(c.2.attributes.origin.octet()));
        let all = race.left.clone();
        race.retain(Rung::MultiExitDisc, |c| {
            let options = self.options;
            let from = |o: &Runner| neighbour(&o.2.attributes.as_path);
            let same = |o: &&Runner| options.always_compare_med || from(o) == from(c);
            let missing = if options.missing_med_as_worst { u64::MAX } else { 0 };
            let med = |o: &Runner| o.2.attributes.med.map_or(missing, u64::from);
            all.iter().filter(same).map(med).min() == Some(med(c))
        });
        race.keep(Rung::External, |c| i128::from(peer(c).is_none_or(|p| p.kind == PeerKind::Internal)));
        race.keep(Rung::InteriorCost, |c| i128::from(c.3));
        let equal = race.left.clone();
        race.keep(Rung::Oldest, |c| i128::from(!self.was_best(prefix, c)));
        race.keep(Rung::RouterId, |c| {
            let own = peer(c).map_or(0, |p| p.peer_router_id.0);
            i128::from(c.2.attributes.originator_id.map_or(own, |id| id.0))
        });
        race.keep(Rung::ClusterListLength, |c| c.2.attributes.cluster_list.len() as i128);
        race.keep(Rung::PeerAddress, |c| match peer(c).map(|p| p.peer_address) {
            Some(IpAddr::V4(address)) => i128::from(u32::from(address)),
            _ => 0,
        });
        race.keep(Rung::PathId, |c| i128::from(c.1));
        Outcome { best: race.left.into_iter().next(), equal, fallen: race.fallen }
    }

    /// The next hops that a follower has of a prefix: that of the best path, then those of the paths that are as good.
    pub(crate) fn ways(&self, prefix: IpNet) -> Vec<NextHop> {
        let Outcome { best: Some(best), equal, .. } = self.decide(prefix) else { return Vec::new() };
        let internal = self.teller(&best.0).is_some_and(|params| params.kind == PeerKind::Internal);
        let most = if internal {
            self.multipath.internal.unwrap_or(self.multipath.paths)
        } else {
            self.multipath.paths
        };
        let beside = equal.iter().filter(|c| self.goes_along(c, &best)).filter_map(|c| c.2.next_hop);
        let own = best.2.next_hop;
        let beside: BTreeSet<NextHop> = beside.filter(|hop| most > 1 && Some(*hop) != own).collect();
        own.into_iter().chain(beside).take(most.max(1)).collect()
    }
}
