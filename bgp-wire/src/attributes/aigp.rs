//! AIGP (RFC 7311; errors §3: attribute discard, wrong flags included). Off between autonomous systems unless they are
//! under one administration and say so (§3.3), so from an external peer it is discarded.
use super::{Context, Row, Source, tlv};
use crate::reaction::{FaultKind, Reaction};

pub(crate) const ROW: Row =
    Row { source: Source::InternalPeers, flag_error: Reaction::AttributeDiscard, ..Row::OPTIONAL.discard() };

/// The TLV with the metric (RFC 7311 §3).
const AIGP_TLV: u8 = 1;

#[inline(always)]
pub(crate) fn check(value: &[u8], _: Context) -> Result<(), FaultKind> {
    let good = |kind, metric: &[u8]| kind != AIGP_TLV || metric.len() == 8;
    if !value.is_empty() && tlv::all(value, tlv::counted_tlv8, good) {
        Ok(())
    } else {
        Err(FaultKind::Length)
    }
}

/// The accumulated metric: that of the first AIGP TLV (RFC 7311 §3).
pub(crate) fn metric(mut value: &[u8]) -> Option<u64> {
    while let Ok((rest, (kind, metric))) = tlv::counted_tlv8(value) {
        if kind == AIGP_TLV {
            return metric.first_chunk::<8>().map(|m| u64::from_be_bytes(*m));
        }
        value = rest;
    }
    None
}
