//! EVPN routes as values: types 1 to 4 (RFC 7432 §7) and 5 (RFC 9136 §3).
use core::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::{BufMut, BytesMut};
use ipnet::IpNet;
use nom::bytes::complete::take;
use nom::combinator::{all_consuming, map_opt};
use nom::number::complete::{be_u8, be_u24, be_u32};
use nom::{Finish, Parser};

use super::{RouteDistinguisher, WriteNlri};
use crate::Family;
use crate::parse::{Parsed, length8};

/// An Ethernet segment identifier (RFC 7432 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct EthernetSegmentId(pub [u8; 10]);

impl fmt::Display for EthernetSegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        colons(&self.0, f)
    }
}

/// A MAC address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct MacAddress(pub [u8; 6]);

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        colons(&self.0, f)
    }
}

fn colons(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (at, octet) in octets.iter().enumerate() {
        write!(f, "{}{octet:02x}", if at == 0 { "" } else { ":" })?;
    }
    Ok(())
}

/// Whether the lengths fit the type, so that [`EvpnRoute::parse`] reads it (RFC 7432 §7, RFC 9136 §3.1). Other types have no
/// known inside (RFC 7606 §5.4).
pub(super) fn is_whole(one: &[u8]) -> bool {
    let [kind, _, value @ ..] = one else { return false };
    // What an address adds behind so many octets, its bits in the last of them.
    let with_address = |before: usize, optional: bool| match value.get(before.wrapping_sub(1)) {
        Some(0) if optional => Some(before),
        Some(32) => before.checked_add(4),
        Some(128) => before.checked_add(16),
        _ => None,
    };
    let is_prefix = |most: u8| value.get(22).is_some_and(|bits| *bits <= most);
    match kind {
        1 => value.len() == 25,
        2 => {
            let labels = with_address(30, true).and_then(|before| value.len().checked_sub(before));
            value.get(22) == Some(&48) && matches!(labels, Some(3 | 6))
        }
        3 => with_address(13, false) == Some(value.len()),
        4 => with_address(19, false) == Some(value.len()),
        5 => match value.len() {
            34 => is_prefix(32),
            58 => is_prefix(128),
            _ => false,
        },
        _ => true,
    }
}

/// An EVPN route. Label fields have all their 24 bits: an MPLS label in the upper twenty, or a VNI (RFC 8365 §5.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum EvpnRoute {
    /// Type 1: Ethernet auto-discovery (RFC 7432 §7.1).
    AutoDiscovery {
        /// Route distinguisher.
        distinguisher: RouteDistinguisher,
        /// Ethernet segment.
        segment: EthernetSegmentId,
        /// Ethernet tag.
        tag: u32,
        /// Label field.
        label: u32,
    },
    /// Type 2: MAC/IP advertisement (RFC 7432 §7.2).
    MacIp {
        /// Route distinguisher.
        distinguisher: RouteDistinguisher,
        /// Ethernet segment; no part of the key.
        segment: EthernetSegmentId,
        /// Ethernet tag.
        tag: u32,
        /// MAC address.
        mac: MacAddress,
        /// IP address, where one is told.
        address: Option<IpAddr>,
        /// Label field of the bridge domain.
        label: u32,
        /// Label field of the IP VRF, where one is told.
        label2: Option<u32>,
    },
    /// Type 3: inclusive multicast Ethernet tag (RFC 7432 §7.3).
    InclusiveMulticast {
        /// Route distinguisher.
        distinguisher: RouteDistinguisher,
        /// Ethernet tag.
        tag: u32,
        /// Originating router.
        originator: IpAddr,
    },
    /// Type 4: Ethernet segment (RFC 7432 §7.4).
    EthernetSegment {
        /// Route distinguisher.
        distinguisher: RouteDistinguisher,
        /// Ethernet segment.
        segment: EthernetSegmentId,
        /// Originating router.
        originator: IpAddr,
    },
    /// Type 5: IP prefix (RFC 9136 §3.1).
    IpPrefix {
        /// Route distinguisher.
        distinguisher: RouteDistinguisher,
        /// Ethernet segment; no part of the key.
        segment: EthernetSegmentId,
        /// Ethernet tag.
        tag: u32,
        /// Prefix, host bits cleared.
        prefix: IpNet,
        /// Gateway, of the prefix's address family.
        gateway: IpAddr,
        /// Label field.
        label: u32,
    },
}

impl EvpnRoute {
    /// Reads one NLRI: type, length and value. `None` for other types, and where lengths do not fit.
    #[must_use]
    pub fn parse(octets: &[u8]) -> Option<Self> {
        let (_, (kind, value)) = all_consuming((be_u8, length8)).parse(octets).finish().ok()?;
        let route = match kind {
            1 => all_consuming(auto_discovery).parse(value),
            2 => all_consuming(mac_ip).parse(value),
            3 => all_consuming(inclusive_multicast).parse(value),
            4 => all_consuming(ethernet_segment).parse(value),
            5 => all_consuming(ip_prefix).parse(value),
            _ => return None,
        };
        route.finish().ok().map(|(_, route)| route)
    }

    /// Its type octet.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match self {
            Self::AutoDiscovery { .. } => 1,
            Self::MacIp { .. } => 2,
            Self::InclusiveMulticast { .. } => 3,
            Self::EthernetSegment { .. } => 4,
            Self::IpPrefix { .. } => 5,
        }
    }

    /// Octets behind type and length.
    fn value_len(&self) -> u8 {
        match self {
            Self::AutoDiscovery { .. } => 25,
            Self::MacIp { address, label2, .. } => {
                let address = address.as_ref().map_or(0, octets_of);
                let label2 = if label2.is_some() { 3 } else { 0 };
                address.saturating_add(label2).saturating_add(33)
            }
            Self::InclusiveMulticast { originator, .. } => octets_of(originator).saturating_add(13),
            Self::EthernetSegment { originator, .. } => octets_of(originator).saturating_add(19),
            Self::IpPrefix { prefix: IpNet::V4(_), .. } => 34,
            Self::IpPrefix { prefix: IpNet::V6(_), .. } => 58,
        }
    }
}

const fn octets_of(address: &IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 4,
        IpAddr::V6(_) => 16,
    }
}

fn distinguisher(input: &[u8]) -> Parsed<'_, RouteDistinguisher> {
    map_opt(take(8usize), |b: &[u8]| b.first_chunk().copied().map(RouteDistinguisher)).parse(input)
}

fn segment(input: &[u8]) -> Parsed<'_, EthernetSegmentId> {
    map_opt(take(10usize), |b: &[u8]| b.first_chunk().copied().map(EthernetSegmentId)).parse(input)
}

fn mac(input: &[u8]) -> Parsed<'_, MacAddress> {
    let whole = |(bits, b): (u8, &[u8])| b.first_chunk().copied().map(MacAddress).filter(|_| bits == 48);
    map_opt((be_u8, take(6usize)), whole).parse(input)
}

fn ipv4(input: &[u8]) -> Parsed<'_, IpAddr> {
    map_opt(take(4usize), |b: &[u8]| Some(Ipv4Addr::from(*b.first_chunk::<4>()?).into())).parse(input)
}

fn ipv6(input: &[u8]) -> Parsed<'_, IpAddr> {
    map_opt(take(16usize), |b: &[u8]| Some(Ipv6Addr::from(*b.first_chunk::<16>()?).into())).parse(input)
}

/// An address behind its length in bits; none for length 0.
fn optional_address(input: &[u8]) -> Parsed<'_, Option<IpAddr>> {
    let (rest, bits) = be_u8(input)?;
    match bits {
        0 => Ok((rest, None)),
        32 => ipv4(rest).map(|(rest, a)| (rest, Some(a))),
        128 => ipv6(rest).map(|(rest, a)| (rest, Some(a))),
        _ => Err(nom::Err::Error(())),
    }
}

fn address(input: &[u8]) -> Parsed<'_, IpAddr> {
    map_opt(optional_address, |a| a).parse(input)
}

fn auto_discovery(input: &[u8]) -> Parsed<'_, EvpnRoute> {
    let (rest, (distinguisher, segment, tag, label)) =
        (distinguisher, segment, be_u32, be_u24).parse(input)?;
    Ok((rest, EvpnRoute::AutoDiscovery { distinguisher, segment, tag, label }))
}

fn mac_ip(input: &[u8]) -> Parsed<'_, EvpnRoute> {
    let (rest, (distinguisher, segment, tag, mac, address, label)) =
        (distinguisher, segment, be_u32, mac, optional_address, be_u24).parse(input)?;
    let (rest, label2) =
        if rest.is_empty() { (rest, None) } else { be_u24(rest).map(|(rest, label)| (rest, Some(label)))? };
    Ok((rest, EvpnRoute::MacIp { distinguisher, segment, tag, mac, address, label, label2 }))
}

fn inclusive_multicast(input: &[u8]) -> Parsed<'_, EvpnRoute> {
    let (rest, (distinguisher, tag, originator)) = (distinguisher, be_u32, address).parse(input)?;
    Ok((rest, EvpnRoute::InclusiveMulticast { distinguisher, tag, originator }))
}

fn ethernet_segment(input: &[u8]) -> Parsed<'_, EvpnRoute> {
    let (rest, (distinguisher, segment, originator)) = (distinguisher, segment, address).parse(input)?;
    Ok((rest, EvpnRoute::EthernetSegment { distinguisher, segment, originator }))
}

/// The route's length alone tells the address family (RFC 9136 §3.1).
fn ip_prefix(input: &[u8]) -> Parsed<'_, EvpnRoute> {
    let address = if input.len() == 34 { ipv4 } else { ipv6 };
    let (rest, (distinguisher, segment, tag, bits, network, gateway, label)) =
        (distinguisher, segment, be_u32, be_u8, address, address, be_u24).parse(input)?;
    let prefix = IpNet::new(network, bits).map_err(|_| nom::Err::Error(()))?.trunc();
    Ok((rest, EvpnRoute::IpPrefix { distinguisher, segment, tag, prefix, gateway, label }))
}

fn put_address(out: &mut BytesMut, address: &IpAddr) {
    match address {
        IpAddr::V4(a) => out.put_slice(&a.octets()),
        IpAddr::V6(a) => out.put_slice(&a.octets()),
    }
}

fn put_long_address(out: &mut BytesMut, address: &IpAddr) {
    out.put_u8(octets_of(address).saturating_mul(8));
    put_address(out, address);
}

fn put_label(out: &mut BytesMut, label: u32) {
    out.put_uint(u64::from(label & 0x00ff_ffff), 3);
}

impl WriteNlri for EvpnRoute {
    /// A gateway of the other address family fits no route.
    fn is_of(&self, family: Family) -> bool {
        let fits = match self {
            Self::IpPrefix { prefix, gateway, .. } => prefix.addr().is_ipv4() == gateway.is_ipv4(),
            _ => true,
        };
        family == Family::EVPN && fits
    }

    fn wire_len(&self) -> usize {
        usize::from(self.value_len()).saturating_add(2)
    }

    fn write(&self, out: &mut BytesMut) {
        out.put_slice(&[self.kind(), self.value_len()]);
        match self {
            Self::AutoDiscovery { distinguisher, segment, tag, label } => {
                out.put_slice(&distinguisher.0);
                out.put_slice(&segment.0);
                out.put_u32(*tag);
                put_label(out, *label);
            }
            Self::MacIp { distinguisher, segment, tag, mac, address, label, label2 } => {
                out.put_slice(&distinguisher.0);
                out.put_slice(&segment.0);
                out.put_u32(*tag);
                out.put_u8(48);
                out.put_slice(&mac.0);
                match address {
                    Some(address) => put_long_address(out, address),
                    None => out.put_u8(0),
                }
                put_label(out, *label);
                if let Some(label) = label2 {
                    put_label(out, *label);
                }
            }
            Self::InclusiveMulticast { distinguisher, tag, originator } => {
                out.put_slice(&distinguisher.0);
                out.put_u32(*tag);
                put_long_address(out, originator);
            }
            Self::EthernetSegment { distinguisher, segment, originator } => {
                out.put_slice(&distinguisher.0);
                out.put_slice(&segment.0);
                put_long_address(out, originator);
            }
            Self::IpPrefix { distinguisher, segment, tag, prefix, gateway, label } => {
                out.put_slice(&distinguisher.0);
                out.put_slice(&segment.0);
                out.put_u32(*tag);
                out.put_u8(prefix.prefix_len());
                put_address(out, &prefix.network());
                put_address(out, gateway);
                put_label(out, *label);
            }
        }
    }
}

/// Type, distinguisher, tag and what else is the key, in brackets; then what is told with it.
impl fmt::Display for EvpnRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AutoDiscovery { distinguisher, segment, tag, label } => {
                write!(f, "[1][{distinguisher}][{segment}][{tag}] label {label}")
            }
            Self::MacIp { distinguisher, segment, tag, mac, address, label, label2 } => {
                write!(f, "[2][{distinguisher}][{tag}][{mac}]")?;
                if let Some(address) = address {
                    write!(f, "[{address}]")?;
                }
                write!(f, " segment {segment} label {label}")?;
                label2.map_or(Ok(()), |label| write!(f, "/{label}"))
            }
            Self::InclusiveMulticast { distinguisher, tag, originator } => {
                write!(f, "[3][{distinguisher}][{tag}][{originator}]")
            }
            Self::EthernetSegment { distinguisher, segment, originator } => {
                write!(f, "[4][{distinguisher}][{segment}][{originator}]")
            }
            Self::IpPrefix { distinguisher, segment, tag, prefix, gateway, label } => {
                write!(
                    f,
                    "[5][{distinguisher}][{tag}][{prefix}] segment {segment} gateway {gateway} label {label}"
                )
            }
        }
    }
}
