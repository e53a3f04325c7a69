//! Next hops: four octets, sixteen, or sixteen with a link-local companion (RFC 4271 §5.1.3, RFC 2545 §3, RFC 8950), in
//! VPNs each behind a route distinguisher (RFC 4364 §4.3.2, RFC 4659 §3.2.1); or octets to be passed on as they are.
use core::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{Afi, Family};

/// Where to send packets for a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NextHop {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address; alone, it may be link-local.
    V6(Ipv6Addr),
    /// A global address and the link-local address of the same router (RFC 2545 §3).
    V6WithLinkLocal(Ipv6Addr, Ipv6Addr),
    /// A field that is none of the above, in a family that is carried by its octets: passed on as it is.
    Opaque(OpaqueNextHop),
}

/// The longest next hop of a registered family: two IPv6 addresses, each with a route distinguisher.
const MAX_OCTETS: usize = 48;
/// The route distinguisher of a next hop.
const NO_DISTINGUISHER: [u8; 8] = [0; 8];

/// The octets of a next hop field; there may be none, as in a flow specification (RFC 8955 §4).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OpaqueNextHop {
    octets: [u8; MAX_OCTETS],
    len: u8,
}

impl OpaqueNextHop {
    /// A field of no octets.
    pub const EMPTY: Self = Self { octets: [0; MAX_OCTETS], len: 0 };

    /// The octets of a field; `None` for more than 48.
    #[must_use]
    pub fn new(field: &[u8]) -> Option<Self> {
        let mut this = Self { len: u8::try_from(field.len()).ok()?, ..Self::EMPTY };
        this.octets.get_mut(..field.len())?.copy_from_slice(field);
        Some(this)
    }

    /// The octets.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.octets.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The first address, behind the distinguisher that other lengths than those of addresses have.
    fn address(&self) -> Option<IpAddr> {
        let octets = self.as_bytes();
        match octets.len() {
            4 => octets.first_chunk::<4>().map(|a| IpAddr::from(*a)),
            12 => octets.last_chunk::<4>().map(|a| IpAddr::from(*a)),
            16 | 32 => octets.first_chunk::<16>().map(|a| IpAddr::from(*a)),
            24 | 48 => octets.get(8..)?.first_chunk::<16>().map(|a| IpAddr::from(*a)),
            _ => None,
        }
    }
}

impl fmt::Debug for OpaqueNextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpaqueNextHop({self})")
    }
}

/// In hex; `none` for no octets.
impl fmt::Display for OpaqueNextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.len == 0 {
            return f.write_str("none");
        }
        self.as_bytes().iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
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
    /// No next hop, as in flow specifications (RFC 8955 §4).
    pub const NONE: Self = Self::Opaque(OpaqueNextHop::EMPTY);

    /// The address to look up: the global one where there are two, also behind a distinguisher that is not zero; the
    /// unspecified one where the octets tell none.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        match self {
            Self::V4(a) => IpAddr::V4(*a),
            Self::V6(a) | Self::V6WithLinkLocal(a, _) => IpAddr::V6(*a),
            Self::Opaque(octets) => octets.address().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        }
    }

    /// Whether it is an IPv6 next hop for prefixes of IPv4, which only a peer reads that said so (RFC 8950 §4).
    #[must_use]
    pub const fn needs_extended(&self, family: Family) -> bool {
        let v6 = match self {
            Self::V4(_) => false,
            Self::V6(_) | Self::V6WithLinkLocal(..) => true,
            Self::Opaque(octets) => octets.len > 12,
        };
        v6 && matches!(family.afi, Afi::IPV4) && family.has_own_next_hops()
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

    /// The octets of its addresses.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::V4(_) => 4,
            Self::V6(_) => 16,
            Self::V6WithLinkLocal(..) => 32,
            Self::Opaque(octets) => octets.len as usize,
        }
    }

    /// Whether there is no octet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The octets of the next hop field in MP_REACH_NLRI of a family.
    pub(crate) const fn field_len(&self, family: Family) -> usize {
        let distinguishers = match self {
            Self::V4(_) | Self::V6(_) => NO_DISTINGUISHER.len(),
            Self::V6WithLinkLocal(..) => NO_DISTINGUISHER.len() * 2,
            Self::Opaque(_) => 0,
        };
        if family.has_vpn_next_hop() { self.len() + distinguishers } else { self.len() }
    }

    /// Reads the next hop field of MP_REACH_NLRI.
    #[inline]
    pub(crate) fn decode(octets: &[u8], family: Family, extended: bool) -> Result<Self, BadNextHop> {
        if family.is_ipv4_prefix() || family.is_ipv6_prefix() {
            Self::decode_plain(octets, family, extended)
        } else if family.has_own_next_hops() {
            Self::decode_labeled(octets, family, extended)
        } else {
            Self::decode_opaque(octets, family)
        }
    }

    /// Of labelled and VPN prefixes: addresses of the family, and of IPv6 for IPv4 if that was negotiated (RFC 8950 §3).
    #[cold]
    fn decode_labeled(octets: &[u8], family: Family, extended: bool) -> Result<Self, BadNextHop> {
        let distinguisher = if family.has_vpn_next_hop() { NO_DISTINGUISHER.len() } else { 0 };
        let one = octets.len().saturating_sub(distinguisher);
        let two = one.saturating_sub(distinguisher);
        let v4 = one == 4 && family.afi == Afi::IPV4;
        let v6 = (one == 16 || two == 32) && (family.afi != Afi::IPV4 || extended);
        if !v4 && !v6 {
            return Err(BadNextHop::Length);
        }
        let typed = match Self::addresses(octets, distinguisher).ok_or(BadNextHop::Length)? {
            Self::V4(a) => Self::host4(a)?,
            Self::V6(a) => Self::host6(a)?,
            Self::V6WithLinkLocal(a, l) => Self::pair(a, l)?,
            opaque @ Self::Opaque(_) => opaque,
        };
        typed.or_opaque(octets, distinguisher)
    }

    /// Of a family that is not interpreted: any length, as long as it can be passed on. A flow specification's is not
    /// looked at, and one too long to be any family's is none (RFC 8955 §4).
    #[cold]
    fn decode_opaque(octets: &[u8], family: Family) -> Result<Self, BadNextHop> {
        let known = matches!(octets.len(), 4 | 12 | 16 | 24 | 32 | 48);
        if !known && !matches!(family.safi.0, 133 | 134) {
            return Err(BadNextHop::Length);
        }
        if octets.len() > MAX_OCTETS {
            return Ok(Self::NONE);
        }
        let distinguisher = if family.has_vpn_next_hop() { NO_DISTINGUISHER.len() } else { 0 };
        Self::addresses(octets, distinguisher).unwrap_or(Self::NONE).or_opaque(octets, distinguisher)
    }

    /// The addresses, each behind so many octets.
    fn addresses(octets: &[u8], distinguisher: usize) -> Option<Self> {
        let first = octets.get(distinguisher..)?;
        match first.len() {
            4 => Some(Self::V4((*first.first_chunk::<4>()?).into())),
            16 => Some(Self::V6((*first.first_chunk::<16>()?).into())),
            _ => {
                let (first, rest) = first.split_first_chunk::<16>()?;
                let second = rest.get(distinguisher..)?;
                let second = second.first_chunk::<16>().filter(|_| second.len() == 16)?;
                Some(Self::V6WithLinkLocal((*first).into(), (*second).into()))
            }
        }
    }

    /// Itself, if it can be sent and its distinguishers are zero, or else the octets.
    fn or_opaque(self, octets: &[u8], distinguisher: usize) -> Result<Self, BadNextHop> {
        let zero = |at: usize| octets.iter().skip(at).take(distinguisher).all(|b| *b == 0);
        let typed = !matches!(self, Self::Opaque(_)) && zero(0) && zero(distinguisher.saturating_add(16));
        if typed && self.is_sendable() {
            return Ok(self);
        }
        OpaqueNextHop::new(octets).map(Self::Opaque).ok_or(BadNextHop::Length)
    }

    fn decode_plain(octets: &[u8], family: Family, extended: bool) -> Result<Self, BadNextHop> {
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
            Self::Opaque(_) => true,
        }
    }

    /// Appends the next hop field of a family.
    pub(crate) fn encode(&self, family: Family, out: &mut impl Extend<u8>) {
        let distinguisher: &[u8] = if family.has_vpn_next_hop() { &NO_DISTINGUISHER } else { &[] };
        let distinguisher = || distinguisher.iter().copied();
        match self {
            Self::V4(a) => out.extend(distinguisher().chain(a.octets())),
            Self::V6(a) => out.extend(distinguisher().chain(a.octets())),
            Self::V6WithLinkLocal(a, l) => {
                out.extend(distinguisher().chain(a.octets()));
                out.extend(distinguisher().chain(l.octets()));
            }
            Self::Opaque(octets) => out.extend(octets.as_bytes().iter().copied()),
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
            Self::Opaque(octets) => octets.fmt(f),
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
