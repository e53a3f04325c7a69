//! Followers of the Loc-RIB that are no peers: the kernel, subscribers.

use std::sync::Arc;

use bgp_wire::NextHop;
use ipnet::IpNet;

use crate::policy::RpkiState;
use crate::{RouteAttributes, Source, Why};

/// The newest state of one prefix. A follower that is slow sees each prefix once, as it is now.
#[derive(Clone, Debug)]
pub struct RouteChange {
    /// The destination.
    pub prefix: IpNet,
    /// Its best route, or nothing: the prefix is gone.
    pub best: Option<Best>,
}

/// The best route of a prefix.
#[derive(Clone, Debug)]
pub struct Best {
    /// The next hops of the multipath set, none twice: the best path's first, the others in the order of addresses. Empty
    /// for a route of this speaker's own without next hop.
    pub next_hops: Vec<NextHop>,
    /// The weights of those next hops, in their order: what import policy gave, else in proportion to the link bandwidths
    /// that all carry, from 1 to 256. Empty where they weigh the same.
    pub weights: Vec<u32>,
    /// Path attributes and next hop of the best path.
    pub attributes: RouteAttributes,
    /// Who told it.
    pub source: Source,
    /// What origin validation makes of it, as it is read (RFC 6811 §2).
    pub rpki: RpkiState,
    /// Why it is best.
    pub why: Why,
    /// It is kept from a session that ended, and has not been told since (RFC 4724 §4.2, RFC 9494 §4.2).
    pub stale: bool,
    /// The interface that it leaves by: that of an own route, as its originator says, or that of the way to its next hop, where
    /// somebody tells it ([`Input::NextHopInterface`](crate::Input::NextHopInterface)).
    pub interface: Option<Arc<str>>,
    /// Those of the next hops to which none but stale routes lead.
    pub stale_next_hops: Vec<NextHop>,
}

/// What a follower reads at once.
#[derive(Clone, Debug, Default)]
pub struct ReaderBatch {
    /// Changes in order; no prefix twice within one walk.
    pub changes: Vec<RouteChange>,
    /// Grows with every batch that brings changes.
    pub revision: u64,
    /// The follower was too far behind, and the tombstones that were kept for it have gone: nothing that it was told before
    /// holds any more. This batch is the first of another snapshot.
    pub anew: bool,
    /// Everything that stood when the reader was opened has been read: the snapshot is whole.
    pub synced: bool,
}
