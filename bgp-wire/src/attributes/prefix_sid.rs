//! PREFIX_SID (RFC 8669 §3; errors §6: attribute discard). Passed on byte for byte within the segment routing domain,
//! which ends at an external peer (§4, §5).
use super::{Context, Row, Source, tlv};
use crate::reaction::FaultKind;

pub(crate) const ROW: Row = Row { source: Source::InternalPeers, ..Row::OPTIONAL_TRANSITIVE.discard() };

/// The Label-Index TLV (RFC 8669 §3.1).
const LABEL_INDEX: u8 = 1;

#[inline(always)]
pub(crate) fn check(value: &[u8], _: Context) -> Result<(), FaultKind> {
    let good = |kind, index: &[u8]| kind != LABEL_INDEX || index.len() == 7;
    if !value.is_empty() && tlv::all(value, tlv::tlv8, good) { Ok(()) } else { Err(FaultKind::Length) }
}
