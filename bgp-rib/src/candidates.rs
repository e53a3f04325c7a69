//! Paths as the decision process sees them: who takes part, and with what.

use core::num::NonZeroU32;

use bgp_wire::{PeerKind, RouterId};

use crate::attributes::Marks;
use crate::decision::{Candidate, Ladder};
use crate::import::Ineligible;
use crate::next_hops::Way;
use crate::path::{LOCAL, Path};
use crate::peer::address_rank;
use crate::preference;
use crate::prefix::Key;
use crate::table::{Shared, Table};

impl<K: Key> Table<K> {
    /// Why a path takes no part in the decision, or the cost of the way to its next hop.
    pub(crate) fn eligible(&self, shared: &Shared, path: &Path) -> Result<u32, Ineligible> {
        if let Some(reason) = Ineligible::from_verdict(path.verdict) {
            return Err(reason);
        }
        match shared.next_hops.get(shared.attributes[path.attributes].next_hop).map(|entry| entry.way) {
            None => Ok(0),
            Some(Way::Metric(metric)) => Ok(metric),
            // What this speaker originates is its own word: the next hop is for those who hear it (RFC 4271 §9.1.2.1 is
            // about what others tell).
            Some(_) if path.peer == LOCAL => Ok(0),
            Some(Way::Own) => Err(Ineligible::OwnNextHop),
            Some(Way::Unreachable) => Err(Ineligible::UnreachableNextHop),
        }
    }

    /// Fills the ladder with the paths of a prefix and climbs it.
    pub(crate) fn climb(&self, shared: &Shared, ladder: &mut Ladder, id: u32) -> Option<u32> {
        self.climb_with(shared, ladder, self.paths_of(id))
    }

    /// Fills the ladder with some paths and climbs it.
    pub(crate) fn climb_with<'a>(
        &'a self,
        shared: &Shared,
        ladder: &mut Ladder,
        paths: impl Iterator<Item = (u32, &'a Path)>,
    ) -> Option<u32> {
        self.fill(shared, ladder, paths);
        ladder.climb(shared.config.decision)
    }

    /// Fills the ladder with those of some paths that are eligible.
    pub(crate) fn fill<'a>(
        &'a self,
        shared: &Shared,
        ladder: &mut Ladder,
        paths: impl Iterator<Item = (u32, &'a Path)>,
    ) {
        ladder.clear();
        ladder.extend(paths.filter_map(|(at, path)| self.candidate(shared, at, path)));
    }

    /// Whether a path is the best so far and external, or of the same router as that (RFC 5004 §3).
    fn is_oldest(&self, shared: &Shared, at: u32, path: &Path) -> bool {
        let usable = |best: &&Path| self.eligible(shared, best).is_ok();
        let Some(best) = self.best_path(path.prefix).filter(usable) else { return false };
        let router = |path: &Path| self.external_router(shared, path);
        router(path).is_some_and(|id| self.entries[path.prefix].paths == at || router(best) == Some(id))
    }

    /// The BGP identifier of the external peer that told a path.
    pub(crate) fn external_router(&self, shared: &Shared, path: &Path) -> Option<RouterId> {
        let peer = shared.peers.get(path.peer).filter(|peer| peer.params.kind == PeerKind::External);
        peer.map(|peer| peer.params.peer_router_id)
    }

    /// A path as the ladder sees it, if it is eligible.
    pub(crate) fn candidate(&self, shared: &Shared, at: u32, path: &Path) -> Option<Candidate> {
        let interior_cost = self.eligible(shared, path).ok()?;
        let set = &shared.attributes[path.attributes];
        let summary = &set.summary;
        let peer = shared.peers.get(path.peer);
        let of_peer = || peer.map(|peer| peer.params.peer_router_id.0);
        let router_id = summary.originator.map(NonZeroU32::get).or_else(of_peer);
        let has_aigp = summary.marks.has(Marks::AIGP);
        let usual = if path.peer == LOCAL { preference::OWN } else { preference::PEER };
        Some(Candidate {
            aigp: if has_aigp { set.block().aigp() } else { None },
            oldest: shared.config.decision.prefer_oldest && self.is_oldest(shared, at, path),
            path: at,
            preference: set.facts().and_then(|facts| facts.kernel.preference).unwrap_or(usual),
            local: path.peer == LOCAL,
            long_lived_stale: summary.marks.has(Marks::LLGR_STALE),
            local_pref: summary.local_pref,
            as_path_length: u32::from(summary.as_path_length),
            origin: summary.origin,
            med: summary.med,
            neighbour_as: summary.neighbour_as,
            external: peer.is_some_and(|peer| peer.params.kind == PeerKind::External),
            interior_cost,
            router_id: router_id.unwrap_or(0),
            cluster_list_length: u32::from(summary.cluster_list_length),
            peer_address: peer.map_or(0, |peer| address_rank(peer.params.peer_address)),
            path_id: path.path_id,
        })
    }
}
