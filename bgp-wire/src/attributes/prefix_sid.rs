//! PREFIX_SID (RFC 8669 §3; errors §6: attribute discard). Passed on byte for byte within the segment routing domain,
//! which ends at an external peer (§4, §5).
use super::{Context, Row, Source, tlv};
use crate::reaction::FaultKind;

pub(crate) const ROW: Row = Row { source: Source::InternalPeers, ..Row::OPTIONAL_TRANSITIVE.discard() };

/// The Label-Index TLV (RFC 8669 §3.1).
const LABEL_INDEX: u8 = 1;
/// The Originator SRGB TLV: flags, then ranges of six octets (RFC 8669 §3.2).
const ORIGINATOR_SRGB: u8 = 3;

#[inline(always)]
pub(crate) fn check(value: &[u8], _: Context) -> Result<(), FaultKind> {
    let good = |kind, value: &[u8]| match kind {
        LABEL_INDEX => value.len() == 7,
        ORIGINATOR_SRGB => value.len() >= 8 && value.len() % 6 == 2,
        _ => true,
    };
    if !value.is_empty() && tlv::all(value, tlv::tlv8, good) { Ok(()) } else { Err(FaultKind::Length) }
}
