//! IPv6 address specific extended communities (RFC 5701; errors RFC 7606 §7.15: treat-as-withdraw).
use core::fmt;
use std::net::Ipv6Addr;

use super::list::value_list;
use super::{Context, Row, multiple};
use crate::reaction::FaultKind;

pub(crate) const ROW: Row = Row::OPTIONAL_TRANSITIVE;

#[inline(always)]
pub(crate) fn check(value: &[u8], _: Context) -> Result<(), FaultKind> {
    multiple(value, 20)
}

/// Type, sub-type, IPv6 address and two octets of local value (RFC 5701 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ipv6ExtendedCommunity(pub [u8; 20]);

impl Ipv6ExtendedCommunity {
    /// A route target (RFC 5701 §3).
    #[must_use]
    pub fn route_target(address: Ipv6Addr, value: u16) -> Self {
        let mut octets = [0; 20];
        let [kind, sub, rest @ ..] = &mut octets;
        (*kind, *sub) = (0x00, 0x02);
        for (to, from) in rest.iter_mut().zip(address.octets().into_iter().chain(value.to_be_bytes())) {
            *to = from;
        }
        Self(octets)
    }

    /// Type and sub-type octets.
    #[must_use]
    pub const fn kind(self) -> (u8, u8) {
        let [kind, sub, ..] = self.0;
        (kind, sub)
    }

    /// The address that says whose the value is.
    #[must_use]
    pub fn address(self) -> Ipv6Addr {
        let [_, _, address @ .., _, _] = self.0;
        address.into()
    }

    /// The two octets of local value.
    #[must_use]
    pub const fn value(self) -> u16 {
        let [.., high, low] = self.0;
        u16::from_be_bytes([high, low])
    }
}

/// `rt:2001:db8::1:7`, `soo:2001:db8::1:7`, or forty hex digits.
impl fmt::Display for Ipv6ExtendedCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind() {
            (0x00, 0x02) => write!(f, "rt:{}:{}", self.address(), self.value()),
            (0x00, 0x03) => write!(f, "soo:{}:{}", self.address(), self.value()),
            _ => self.0.iter().try_for_each(|b| write!(f, "{b:02x}")),
        }
    }
}

value_list! {
    /// IPv6 extended communities, in the order received.
    Ipv6ExtendedCommunities of Ipv6ExtendedCommunity, 20, |c| Ipv6ExtendedCommunity(*c)
}
