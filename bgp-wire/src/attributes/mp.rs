//! MP_REACH_NLRI and MP_UNREACH_NLRI (RFC 4760 §3, §4; errors RFC 7606 §5.3, §7.11, §7.12).
//!
//! Where such an attribute is malformed, its NLRI cannot be trusted to be all there, so nothing milder than giving
//! up the family will do; wrong flags count as malformed too (RFC 7606 §5.3).
use super::{AttributeFlags, Row};
use crate::next_hop::BadNextHop;
use crate::nlri::{self, Flaw, Judgement, NlriForm};
use crate::reaction::FaultKind;
use crate::{Afi, Family, NextHop, Safi};

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

/// MP_REACH_NLRI whose NLRI have their ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reached<'a> {
    /// The octets of the next hop; an error keeps the NLRI: they are withdrawn.
    pub(crate) next_hop: Result<u8, FaultKind>,
    pub(crate) nlri: &'a [u8],
    pub(crate) flaw: Option<Flaw>,
}

/// Checks MP_REACH_NLRI of a negotiated family: length of the next hop, and NLRI.
#[inline]
pub(crate) fn reach(
    value: &[u8],
    family: Family,
    extended_next_hop: bool,
    form: NlriForm,
) -> Result<Reached<'_>, FaultKind> {
    let parts = split_reach(value).ok_or(FaultKind::Length)?;
    let next_hop = match NextHop::decode(parts.next_hop, family, extended_next_hop) {
        Ok(_) => Ok(u8::try_from(parts.next_hop.len()).unwrap_or(u8::MAX)),
        Err(BadNextHop::Value) => Err(FaultKind::NextHop),
        Err(BadNextHop::Length) => return Err(FaultKind::NextHopLength),
    };
    let flaw = unreach(family, form, parts.nlri)?;
    Ok(Reached { next_hop, nlri: parts.nlri, flaw })
}

/// Checks the NLRI of either attribute.
#[inline]
pub(crate) fn unreach(family: Family, form: NlriForm, octets: &[u8]) -> Result<Option<Flaw>, FaultKind> {
    match nlri::judge(family, form, octets) {
        Judgement::Good => Ok(None),
        Judgement::Flawed(flaw) => Ok(Some(flaw)),
        Judgement::Malformed => Err(FaultKind::Nlri),
    }
}
