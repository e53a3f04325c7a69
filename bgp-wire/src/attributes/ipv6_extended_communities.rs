//! IPv6 address specific extended communities (RFC 5701; errors RFC 7606 §7.15: treat-as-withdraw).
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

value_list! {
    /// IPv6 extended communities, in the order received.
    Ipv6ExtendedCommunities of Ipv6ExtendedCommunity, 20, |c| Ipv6ExtendedCommunity(*c)
}
