//! A route as a policy sees it.

use std::net::IpAddr;

use bgp_wire::{Asn, AttributeBlock, Family, NextHop, PeerKind};
use ipnet::IpNet;

use crate::OwnerId;

/// Everything that a policy may ask about a route. What the caller does not know stays as [`RouteView::new`] left it.
#[derive(Clone, Copy, Debug)]
pub struct RouteView<'a> {
    /// Its family.
    pub family: Family,
    /// Its destination; `None` in families whose NLRI are no prefixes.
    pub prefix: Option<IpNet>,
    /// Its attributes.
    pub attributes: AttributeBlock<'a>,
    /// Its next hop; `None` for a route of this speaker's own.
    pub next_hop: Option<NextHop>,
    /// Where it came from.
    pub source: RouteSource,
    /// Whether this session is internal or external, by the AS numbers in effect. External without a session, as a
    /// follower of the Loc-RIB is.
    pub peer: PeerKind,
    /// The AS that this speaker is on the session.
    pub local_as: Asn,
    /// The metric that the route has outside BGP, as one learned from the kernel has.
    pub metric: Option<u32>,
    /// A number that whoever originated the route gave it; 0 is none.
    pub tag: u32,
    /// The interface that it leaves by.
    pub interface: Option<&'a str>,
    /// An aggregate stands for it on this session ([`Aggregation`](crate::Aggregation)); in export policies only.
    pub suppressed: bool,
    /// What origin validation made of it (RFC 6811 §2).
    pub rpki: RpkiState,
}

impl<'a> RouteView<'a> {
    /// A route of this speaker's own on an internal session, of which nothing more is known.
    #[must_use]
    pub fn new(prefix: IpNet, attributes: AttributeBlock<'a>, owner: OwnerId) -> Self {
        let family = if let IpNet::V4(_) = prefix { Family::IPV4_UNICAST } else { Family::IPV6_UNICAST };
        Self::of(family, Some(prefix), attributes, owner)
    }

    /// The same in any family, with the prefix where it has one.
    #[must_use]
    pub fn of(family: Family, prefix: Option<IpNet>, attributes: AttributeBlock<'a>, owner: OwnerId) -> Self {
        Self {
            family,
            prefix,
            attributes,
            next_hop: None,
            source: RouteSource::Local(owner),
            peer: PeerKind::Internal,
            local_as: Asn(0),
            metric: None,
            tag: 0,
            interface: None,
            suppressed: false,
            rpki: RpkiState::Unknown,
        }
    }
}

/// Where a route came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RouteSource {
    /// This speaker, on behalf of an owner.
    Local(OwnerId),
    /// A peer.
    Peer {
        /// Internal or external.
        kind: PeerKind,
        /// A client of this route reflector (RFC 4456 §5).
        client: bool,
        /// Its address.
        address: IpAddr,
    },
}

/// What kind of source a route came from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SourceKind {
    /// This speaker.
    Local,
    /// An external peer.
    External,
    /// An internal peer, client or not.
    Internal,
    /// An internal peer that is a client of this route reflector.
    Client,
}

impl SourceKind {
    /// Every peer: what is no route of this speaker's own.
    pub const PEERS: [Self; 2] = [Self::External, Self::Internal];

    pub(crate) const fn is_of(self, source: RouteSource) -> bool {
        match source {
            RouteSource::Local(_) => matches!(self, Self::Local),
            RouteSource::Peer { kind: PeerKind::External, .. } => matches!(self, Self::External),
            RouteSource::Peer { kind: PeerKind::Internal, client, .. } => {
                matches!(self, Self::Internal) || (client && matches!(self, Self::Client))
            }
        }
    }
}

/// The state of a route in origin validation (RFC 6811 §2), handed in by whoever holds the authorisations.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum RpkiState {
    /// Nobody looked.
    #[default]
    Unknown,
    /// No authorisation covers the prefix.
    NotFound,
    /// One matches.
    Valid,
    /// Some cover the prefix and none matches.
    Invalid,
}
