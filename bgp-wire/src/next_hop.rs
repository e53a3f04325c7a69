//! Next hops: four octets, sixteen, or sixteen with a link-local companion (RFC 4271 §5.1.3, RFC 2545 §3, RFC 8950).
use core::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::Family;

/// Where to send packets for a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NextHop {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address; alone, it may be link-local.
    V6(Ipv6Addr),
    /// A global address and the link-local address of the same router (RFC 2545 §3).
    V6WithLinkLocal(Ipv6Addr, Ipv6Addr),
}

/// Why octets are no next hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadNextHop {
    /// No length that the family has: where the NLRI begin is unknown (RFC 7606 §7.11).
    Length,
    /// The address is no host's: the routes go, the session stays.
    Value,
}

impl NextHop {
    /// The address to look up: the global one where there are two.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        match self {
            Self::V4(a) => IpAddr::V4(*a),
            Self::V6(a) | Self::V6WithLinkLocal(a, _) => IpAddr::V6(*a),
        }
    }

    /// The link-local address, where there is one.
    #[must_use]
    pub const fn link_local(&self) -> Option<Ipv6Addr> {
        match self {
            Self::V6WithLinkLocal(_, a) => Some(*a),
            Self::V6(a) if a.is_unicast_link_local() => Some(*a),
            _ => None,
        }
    }

    /// The octets of the next hop field in MP_REACH_NLRI.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::V4(_) => 4,
            Self::V6(_) => 16,
            Self::V6WithLinkLocal(..) => 32,
        }
    }

    /// Never: a next hop has octets.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Reads the next hop field of MP_REACH_NLRI for a family of plain prefixes.
    pub(crate) fn decode(octets: &[u8], family: Family, extended: bool) -> Result<Self, BadNextHop> {
        let v6 = !family.is_ipv4_prefix() || extended;
        match octets.len() {
            4 if family.is_ipv4_prefix() => {
                octets.first_chunk::<4>().map_or(Err(BadNextHop::Length), |a| Self::host4(Ipv4Addr::from(*a)))
            }
            16 if v6 => octets
                .first_chunk::<16>()
                .map_or(Err(BadNextHop::Length), |a| Self::host6(Ipv6Addr::from(*a))),
            32 if v6 => {
                let pair = octets.first_chunk::<16>().zip(octets.last_chunk::<16>());
                let (a, l) = pair.ok_or(BadNextHop::Length)?;
                Self::pair(Ipv6Addr::from(*a), Ipv6Addr::from(*l))
            }
            _ => Err(BadNextHop::Length),
        }
    }

    /// The second address counts only where it is link-local; peers without a global address send
    /// the unspecified one, or the link-local one twice.
    fn pair(global: Ipv6Addr, link_local: Ipv6Addr) -> Result<Self, BadNextHop> {
        match (is_host6(global), link_local.is_unicast_link_local()) {
            (true, true) if global.is_unicast_link_local() => Ok(Self::V6(link_local)),
            (true, true) => Ok(Self::V6WithLinkLocal(global, link_local)),
            (true, false) => Ok(Self::V6(global)),
            (false, true) if global.is_unspecified() => Ok(Self::V6(link_local)),
            _ => Err(BadNextHop::Value),
        }
    }

    /// An IPv4 next hop, if the address can be a host's (RFC 4271 §6.3).
    pub(crate) fn host4(a: Ipv4Addr) -> Result<Self, BadNextHop> {
        let [first, ..] = a.octets();
        let host = first != 0 && !a.is_multicast() && !a.is_broadcast();
        if host { Ok(Self::V4(a)) } else { Err(BadNextHop::Value) }
    }

    fn host6(a: Ipv6Addr) -> Result<Self, BadNextHop> {
        if is_host6(a) { Ok(Self::V6(a)) } else { Err(BadNextHop::Value) }
    }

    /// Whether a decoder takes it: the counterpart of the checks on receipt.
    #[must_use]
    pub fn is_sendable(&self) -> bool {
        match *self {
            Self::V4(a) => Self::host4(a).is_ok(),
            Self::V6(a) => is_host6(a),
            Self::V6WithLinkLocal(a, l) => is_host6(a) && l.is_unicast_link_local(),
        }
    }

    pub(crate) fn encode(&self, out: &mut impl Extend<u8>) {
        match self {
            Self::V4(a) => out.extend(a.octets()),
            Self::V6(a) => out.extend(a.octets()),
            Self::V6WithLinkLocal(a, l) => {
                out.extend(a.octets());
                out.extend(l.octets());
            }
        }
    }
}

fn is_host6(a: Ipv6Addr) -> bool {
    !a.is_unspecified() && !a.is_multicast()
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(a) => a.fmt(f),
            Self::V6(a) => a.fmt(f),
            Self::V6WithLinkLocal(a, l) => write!(f, "{a} {l}"),
        }
    }
}

impl From<IpAddr> for NextHop {
    fn from(a: IpAddr) -> Self {
        match a {
            IpAddr::V4(a) => Self::V4(a),
            IpAddr::V6(a) => Self::V6(a),
        }
    }
}
