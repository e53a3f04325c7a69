//! What two OPENs agree on.

use core::time::Duration;

use bgp_wire::{Asn, Codec, FamilySet, GracefulRestart, Open, PeerKind, Role, RouterId};

/// What both sides of an Established session agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// How messages are read and written from here on.
    pub codec: Codec,
    /// The peer's OPEN, as it came.
    pub peer_open: Open,
    /// Our AS on this session.
    pub local_as: Asn,
    /// The peer's AS.
    pub peer_as: Asn,
    /// The peer's BGP Identifier.
    pub peer_router_id: RouterId,
    /// Internal or external.
    pub kind: PeerKind,
    /// Hold Time in force; zero when off.
    pub hold_time: Duration,
    /// Time between our keepalives before jitter; zero when off.
    pub keepalive: Duration,
    /// Families that both announced.
    pub families: FamilySet,
    /// The peer understands ROUTE-REFRESH (RFC 2918).
    pub route_refresh: bool,
    /// Both understand the begin and end marks (RFC 7313).
    pub enhanced_refresh: bool,
    /// What the peer said about graceful restart, when we do it too.
    pub graceful_restart: Option<GracefulRestart>,
    /// Both keep routes over a NOTIFICATION (RFC 8538).
    pub notification_restart: bool,
    /// Families whose routes are kept, stale, when this session ends in a way that permits it.
    pub retained: FamilySet,
    /// The peer's role (RFC 9234).
    pub peer_role: Option<Role>,
}
