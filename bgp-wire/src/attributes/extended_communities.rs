//! EXTENDED_COMMUNITIES (RFC 4360; errors RFC 7606 §7.14: treat-as-withdraw).
use core::fmt;
use std::net::Ipv4Addr;

use super::list::value_list;
use super::{Context, Row, multiple};
use crate::reaction::FaultKind;
use crate::{Asn, RouterId};

pub(crate) const ROW: Row = Row::OPTIONAL_TRANSITIVE;

#[inline(always)]
pub(crate) fn check(value: &[u8], _: Context) -> Result<(), FaultKind> {
    multiple(value, 8)
}

value_list! {
    /// Extended communities, in the order received.
    ExtendedCommunities of ExtendedCommunity, 8, |c| ExtendedCommunity(*c)
}

/// An extended community ([registry](https://www.iana.org/assignments/bgp-extended-communities)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExtendedCommunity(pub [u8; 8]);

impl ExtendedCommunity {
    /// The bit of the type octet that keeps a community within its AS (RFC 4360 §2).
    pub(crate) const NON_TRANSITIVE: u8 = 0x40;

    /// Type octet, with the authority and transitive bits.
    #[must_use]
    pub const fn kind(self) -> u8 {
        let [kind, ..] = self.0;
        kind
    }

    /// Sub-type octet.
    #[must_use]
    pub const fn sub_kind(self) -> u8 {
        let [_, sub, ..] = self.0;
        sub
    }

    /// Whether it crosses AS boundaries (RFC 4360 §2).
    #[must_use]
    pub const fn is_transitive(self) -> bool {
        self.kind() & Self::NON_TRANSITIVE == 0
    }

    /// A route target with a two-octet AS number (RFC 4360 §4).
    #[must_use]
    pub const fn route_target(asn: u16, value: u32) -> Self {
        Self::two_octet_as(0x00, 0x02, asn, value)
    }

    /// A route target with a four-octet AS number (RFC 5668).
    #[must_use]
    pub const fn route_target_four_octet(asn: Asn, value: u16) -> Self {
        let ([a, b, c, d], [e, f]) = (asn.0.to_be_bytes(), value.to_be_bytes());
        Self([0x02, 0x02, a, b, c, d, e, f])
    }

    /// A route target with an IPv4 address (RFC 4360 §4).
    #[must_use]
    pub const fn route_target_ipv4(address: Ipv4Addr, value: u16) -> Self {
        let ([a, b, c, d], [e, f]) = (address.octets(), value.to_be_bytes());
        Self([0x01, 0x02, a, b, c, d, e, f])
    }

    /// Whether it is a route target of any form (RFC 4360 §4, RFC 5668 §3).
    #[must_use]
    pub const fn is_route_target(self) -> bool {
        matches!(self.0, [0x00..=0x02, 0x02, ..])
    }

    /// Whether it names the encapsulation of a tunnel, which stays within an AS (RFC 9012 §4.1, §11).
    #[must_use]
    pub const fn is_encapsulation(self) -> bool {
        matches!(self.0, [0x03, 0x0c, ..])
    }

    /// Octets per second of a link bandwidth, transitive or not (draft-ietf-idr-link-bandwidth).
    #[must_use]
    pub const fn bandwidth(self) -> Option<f32> {
        match self.0 {
            [0x00 | 0x40, 0x04, _, _, a, b, c, d] => Some(f32::from_bits(u32::from_be_bytes([a, b, c, d]))),
            _ => None,
        }
    }

    /// A color (RFC 9012 §4.3).
    #[must_use]
    pub const fn color(color: u32) -> Self {
        let [a, b, c, d] = color.to_be_bytes();
        Self([0x03, 0x0b, 0, 0, a, b, c, d])
    }

    /// Link bandwidth in octets per second (draft-ietf-idr-link-bandwidth).
    #[must_use]
    pub const fn link_bandwidth(asn: u16, octets_per_second: f32) -> Self {
        Self::two_octet_as(0x40, 0x04, asn, octets_per_second.to_bits())
    }

    const fn two_octet_as(kind: u8, sub: u8, asn: u16, value: u32) -> Self {
        let ([a, b], [c, d, e, f]) = (asn.to_be_bytes(), value.to_be_bytes());
        Self([kind, sub, a, b, c, d, e, f])
    }
}

/// `rt:65000:1`, `soo:10.0.0.1:7`, `color:100`, `bandwidth:65000:125000`, or sixteen hex digits.
impl fmt::Display for ExtendedCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [kind, sub, a, b, c, d, e, g] = self.0;
        let name = match sub {
            0x02 => "rt",
            0x03 => "soo",
            _ => "",
        };
        match kind {
            0x00 if !name.is_empty() => {
                write!(f, "{name}:{}:{}", u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, g]))
            }
            0x01 if !name.is_empty() => {
                let id = RouterId(u32::from_be_bytes([a, b, c, d]));
                write!(f, "{name}:{id}:{}", u16::from_be_bytes([e, g]))
            }
            0x02 if !name.is_empty() => {
                write!(f, "{name}:{}:{}", u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([e, g]))
            }
            0x03 if sub == 0x0b => write!(f, "color:{}", u32::from_be_bytes([c, d, e, g])),
            0x00 | 0x40 if sub == 0x04 => {
                let rate = f32::from_bits(u32::from_be_bytes([c, d, e, g]));
                write!(f, "bandwidth:{}:{rate}", u16::from_be_bytes([a, b]))
            }
            _ => write!(f, "{:016x}", u64::from_be_bytes(self.0)),
        }
    }
}
