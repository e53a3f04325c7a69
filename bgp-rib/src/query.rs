//! Questions that callers ask: what is in the tables, how much, from whom.

use bgp_wire::{Asn, Family, NextHop, PathId, PeerKind, RouterId};
use bytes::Bytes;
use ipnet::IpNet;
use std::net::IpAddr;

use crate::nlri::Destination;
use crate::policy::KernelTag;
use crate::{Ineligible, OwnerId, PeerId, Rung};

/// Where a path came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// Originated on this speaker by this owner.
    Local(OwnerId),
    /// Learned from a peer.
    Peer {
        /// Which.
        id: PeerId,
        /// Its address.
        address: IpAddr,
        /// Its AS.
        asn: Asn,
        /// Its BGP identifier.
        router_id: RouterId,
        /// Internal or external, by the AS numbers in effect on the session.
        kind: PeerKind,
        /// A client of this route reflector (RFC 4456 §5).
        client: bool,
    },
}

/// The canonical block of a route's path attributes and its next hop.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteAttributes {
    /// The path attributes as [`bgp_wire::AttributeBlock`] reads them.
    pub block: Bytes,
    /// Where to send to; `None` for routes of this speaker's own.
    pub next_hop: Option<NextHop>,
    /// What import policy tells the followers of the Loc-RIB.
    pub kernel: KernelTag,
}

/// What [`Rib::routes`](crate::Rib::routes) should show.
#[derive(Clone, Debug)]
pub struct RouteFilter {
    /// Of which family.
    pub family: Family,
    /// Only this prefix, behind whatever labels and distinguisher; none in families without prefixes.
    pub prefix: Option<IpNet>,
    /// With `prefix`: also everything inside it.
    pub longer: bool,
    /// Only what this peer told.
    pub peer: Option<PeerId>,
    /// The Adj-RIB-Out of this peer instead of the tables: what it is told, with attributes and path identifiers as they go
    /// out. Nothing for a peer that is not up in the family.
    pub advertised_to: Option<PeerId>,
    /// Only the best path of each prefix.
    pub best_only: bool,
}

impl RouteFilter {
    /// Everything of one family.
    #[must_use]
    pub fn all(family: Family) -> Self {
        Self { family, prefix: None, longer: false, peer: None, advertised_to: None, best_only: false }
    }
}

/// Where the next page of an answer begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PageToken(pub(crate) u32);

/// One path of one destination, as the tables hold it.
#[derive(Clone, Debug)]
pub struct RouteInfo {
    /// Where it leads.
    pub destination: Destination,
    /// Who told it.
    pub source: Source,
    /// The ADD-PATH identifier that it was received with (RFC 7911 §3).
    pub path_id: PathId,
    /// Its attributes, as they take part in the decision.
    pub attributes: RouteAttributes,
    /// Its attributes as they were received, where import policy changed them.
    pub received: Option<RouteAttributes>,
    /// Whether it is the best path of its prefix.
    pub best: bool,
    /// Why it takes no part in the decision, if so.
    pub ineligible: Option<Ineligible>,
    /// The rung at which it lost to the best path of its prefix, if it did.
    pub lost: Option<Rung>,
    /// It lost where several next hops are used, and goes beside the best.
    pub multipath: bool,
    /// Whether its session ended and it has not been told again.
    pub stale: bool,
}

/// How many routes one peer told and was told, in one family.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PeerCounters {
    /// Paths in its Adj-RIB-In, eligible or not.
    pub received: u32,
    /// Of these, the ones that take part in the decision.
    pub accepted: u32,
    /// Of `received`, the ones that import policy rejects, or that an external session without one does (RFC 8212).
    pub import_rejected: u32,
    /// Prefixes, or paths where it is told several, that export policy keeps from it, or that an external session without one
    /// does; its own among them. As far as any peer with the same rules has read.
    pub export_rejected: u32,
    /// Of `received`, the ones that its ended session left behind.
    pub stale: u32,
    /// Paths that were not stored for a limit, since there was room last.
    pub refused: u32,
    /// Of `received`, the ones that take no part for a limit.
    pub over_limit: u32,
    /// Prefixes that it was told and that still stand. Exact whenever the peer is drained; while it is behind, prefixes
    /// that changed since it last was drained may be counted as they were or as they are. Routes that are kept from it
    /// because it is itself their next hop are counted.
    pub advertised: u32,
    /// Routes that it is not told because it has as many as it may be told.
    pub withheld: u32,
    /// Whether everything there is to tell it has been handed out.
    pub drained: bool,
    /// Changes between what it was last given and the newest, at most: some of them may be none of its business.
    pub behind: u64,
}

/// How much there is in one table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TableCounters {
    /// Prefixes with at least one path.
    pub prefixes: usize,
    /// Paths of all prefixes.
    pub paths: usize,
    /// Prefixes with a best path.
    pub best: usize,
    /// Withdrawn prefixes that some reader has still to hear of.
    pub tombstones: usize,
    /// Distinct attribute sets, all tables together.
    pub attribute_sets: usize,
    /// Update groups.
    pub groups: usize,
}

/// Why the best path is best: the rung at which the last rival fell, or that it had none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// There is no other eligible path.
    Only,
    /// The last rival lost at this rung.
    Won(Rung),
}
