//! AGGREGATOR (RFC 4271 §5.1.7, RFC 6793 §4.1; errors RFC 7606 §7.7 and RFC 7607: attribute discard).
use core::fmt;

use super::{Context, Row, exactly};
use crate::parse::{front16, front32};
use crate::reaction::FaultKind;
use crate::{Asn, RouterId};

pub(crate) const ROW: Row = Row::OPTIONAL_TRANSITIVE.discard();

#[inline(always)]
pub(crate) fn check(value: &[u8], cx: Context) -> Result<(), FaultKind> {
    exactly(value, if cx.four_octet_as { 8 } else { 6 })?;
    let reserved = Aggregator::decode(value).is_none_or(|a| a.asn == Asn::RESERVED);
    if reserved { Err(FaultKind::ReservedAs) } else { Ok(()) }
}

/// The last AS that aggregated the route, and its speaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Aggregator {
    /// AS number.
    pub asn: Asn,
    /// BGP Identifier.
    pub router_id: RouterId,
}

impl Aggregator {
    /// Reads either form, told apart by the length: six octets or eight.
    pub(crate) fn decode(value: &[u8]) -> Option<Self> {
        let id = value.last_chunk::<4>().map(|id| RouterId(u32::from_be_bytes(*id)))?;
        let asn = match value.len() {
            6 => Asn(u32::from(front16(value)?)),
            8 => Asn(front32(value)?),
            _ => return None,
        };
        Some(Self { asn, router_id: id })
    }

    /// The eight octets with a four-octet AS number.
    pub(crate) fn octets(self) -> [u8; 8] {
        (u64::from(self.asn.0) << 32 | u64::from(self.router_id.0)).to_be_bytes()
    }

    /// The six octets with a two-octet AS number, AS_TRANS where it must.
    pub(crate) fn two_octet_form(self) -> [u8; 6] {
        let [a1, a0] = self.asn.to_two_octets().to_be_bytes();
        let [i3, i2, i1, i0] = self.router_id.0.to_be_bytes();
        [a1, a0, i3, i2, i1, i0]
    }
}

impl fmt::Display for Aggregator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AS{} {}", self.asn, self.router_id)
    }
}
