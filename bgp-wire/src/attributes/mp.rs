//! MP_REACH_NLRI and MP_UNREACH_NLRI (RFC 4760 §3, §4; errors RFC 7606 §5.3, §7.11, §7.12).
//!
//! Where such an attribute is malformed, its NLRI cannot be trusted to be all there, so nothing milder than giving
//! up the family will do; wrong flags count as malformed too (RFC 7606 §5.3).
use super::{AttributeFlags, Row};
use crate::next_hop::BadNextHop;
use crate::reaction::FaultKind;
use crate::{Afi, Family, NextHop, Safi, nlri};

pub(crate) const ROW: Row = Row::OPTIONAL;

/// The parts of MP_REACH_NLRI.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MpReach<'a> {
    pub(crate) next_hop: &'a [u8],
    pub(crate) nlri: &'a [u8],
}

/// The family, if the attribute is long enough to name one.
#[inline]
pub(crate) fn family(value: &[u8]) -> Option<Family> {
    let [a1, a0, safi, ..] = value else { return None };
    Some(Family { afi: Afi(u16::from_be_bytes([*a1, *a0])), safi: Safi(*safi) })
}

#[inline]
pub(crate) const fn flags_are_right(flags: u8) -> bool {
    flags & (AttributeFlags::OPTIONAL | AttributeFlags::TRANSITIVE) == ROW.flags
}

/// Finds next hop and NLRI. The reserved octet between them is ignored (RFC 4760 §3).
#[inline]
pub(crate) fn split_reach(value: &[u8]) -> Option<MpReach<'_>> {
    let [_, _, _, len, rest @ ..] = value else { return None };
    let (next_hop, rest) = rest.split_at_checked(usize::from(*len))?;
    let (_reserved, nlri) = rest.split_first()?;
    Some(MpReach { next_hop, nlri })
}

/// Checks MP_REACH_NLRI of a negotiated family: length of the next hop, and NLRI. The inner error keeps the NLRI: they
/// are withdrawn.
#[inline]
pub(crate) fn reach(
    value: &[u8],
    family: Family,
    extended_next_hop: bool,
    add_path: bool,
) -> Result<(Result<usize, FaultKind>, &[u8]), FaultKind> {
    let parts = split_reach(value).ok_or(FaultKind::Length)?;
    let next_hop = match NextHop::decode(parts.next_hop, family, extended_next_hop) {
        Ok(_) => Ok(parts.next_hop.len()),
        Err(BadNextHop::Value) => Err(FaultKind::NextHop),
        Err(BadNextHop::Length) => return Err(FaultKind::NextHopLength),
    };
    if !nlri::check(family, add_path, parts.nlri) {
        return Err(FaultKind::Nlri);
    }
    Ok((next_hop, parts.nlri))
}
