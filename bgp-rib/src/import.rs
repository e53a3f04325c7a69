//! What a received route must pass before it takes part in the decision.

use core::fmt;

use bgp_wire::{AttributeBlock, ClusterId, PeerKind, RouterId};

use crate::config::PeerParams;

/// Why a path is kept in the Adj-RIB-In but takes no part in the decision (RFC 4271 §9.1.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Ineligible {
    /// The import policy rejects it, or an external session has none (RFC 8212).
    ImportPolicy = 1,
    /// Our own AS stands in its AS_PATH more often than allowed (RFC 4271 §9.1.2).
    AsPathLoop,
    /// An external peer's AS does not stand first in its AS_PATH (RFC 4271 §6.3).
    FirstAs,
    /// Our BGP identifier is its ORIGINATOR_ID (RFC 4456 §8).
    OriginatorLoop,
    /// Our cluster stands in its CLUSTER_LIST (RFC 4456 §8).
    ClusterLoop,
    /// Its next hop is an address of this speaker (RFC 4271 §5.1.3).
    OwnNextHop,
    /// There is no way to its next hop (RFC 4271 §9.1.2.1).
    UnreachableNextHop,
}

impl Ineligible {
    /// The verdicts of import as paths keep them: 0 is none.
    const BY_NUMBER: [Self; 5] =
        [Self::ImportPolicy, Self::AsPathLoop, Self::FirstAs, Self::OriginatorLoop, Self::ClusterLoop];

    pub(crate) fn from_verdict(verdict: u8) -> Option<Self> {
        Self::BY_NUMBER.into_iter().find(|&reason| reason as u8 == verdict)
    }
}

impl fmt::Display for Ineligible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ImportPolicy => "rejected by import policy (an external session needs one, RFC 8212)",
            Self::AsPathLoop => "own AS in AS_PATH",
            Self::FirstAs => "the peer's AS is not first in AS_PATH",
            Self::OriginatorLoop => "own BGP identifier as ORIGINATOR_ID",
            Self::ClusterLoop => "own cluster in CLUSTER_LIST",
            Self::OwnNextHop => "next hop is an address of this speaker",
            Self::UnreachableNextHop => "next hop unreachable",
        })
    }
}

/// What this speaker recognises as itself in received attributes.
#[derive(Debug)]
pub(crate) struct Identity<'a> {
    pub(crate) router_id: RouterId,
    pub(crate) clusters: &'a [ClusterId],
}

/// Judges the attributes of one UPDATE; the verdict is the same for all its prefixes.
pub(crate) fn judge(peer: &PeerParams, us: &Identity<'_>, block: &AttributeBlock<'_>) -> Option<Ineligible> {
    if peer.import.rejects_all() {
        return Some(Ineligible::ImportPolicy);
    }
    if as_path_loops(peer, block) {
        return Some(Ineligible::AsPathLoop);
    }
    if first_as_is_wrong(peer, block) {
        return Some(Ineligible::FirstAs);
    }
    if block.originator_id() == Some(us.router_id) {
        return Some(Ineligible::OriginatorLoop);
    }
    if block.cluster_list().iter().any(|cluster| us.clusters.contains(&cluster)) {
        return Some(Ineligible::ClusterLoop);
    }
    None
}

fn as_path_loops(peer: &PeerParams, block: &AttributeBlock<'_>) -> bool {
    block.as_path().contains_count(peer.local_as) > usize::from(peer.allow_own_as)
}

fn first_as_is_wrong(peer: &PeerParams, block: &AttributeBlock<'_>) -> bool {
    peer.kind == PeerKind::External && peer.enforce_first_as && block.as_path().first() != Some(peer.peer_as)
}
