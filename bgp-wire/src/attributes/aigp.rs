//! AIGP (RFC 7311; errors §3: attribute discard, wrong flags included). Off between autonomous systems unless they are
//! under one administration and say so (§3.1, [`Codec::external_aigp`](crate::Codec::external_aigp)).
use super::{Context, Row, Source, tlv};
use crate::reaction::{FaultKind, Reaction};

pub(crate) const ROW: Row =
    Row { source: Source::AigpPeers, flag_error: Reaction::AttributeDiscard, ..Row::OPTIONAL.discard() };

/// The TLV with the metric (RFC 7311 §3).
const AIGP_TLV: u8 = 1;

#[inline(always)]
pub(crate) fn check(value: &[u8], _: Context) -> Result<(), FaultKind> {
    judge(value)
}

/// A metric of the greatest value counts as malformed (RFC 7311 §3).
#[cold]
fn judge(value: &[u8]) -> Result<(), FaultKind> {
    let good = |kind, metric: &[u8]| kind != AIGP_TLV || metric.len() == 8;
    if value.is_empty() || !tlv::all(value, tlv::counted_tlv8, good) {
        Err(FaultKind::Length)
    } else if metric(value) == Some(u64::MAX) {
        Err(FaultKind::Value)
    } else {
        Ok(())
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

/// Appends the value with so much more in its first AIGP TLV; all others pass as they are (RFC 7311 §3). The sum stops at
/// the end of the range (§3.4).
pub(crate) fn add(value: &[u8], more: u64, out: &mut Vec<u8>) {
    let mut rest = value;
    while let Ok((behind, (kind, metric))) = tlv::counted_tlv8(rest) {
        if let Some(old) = metric.first_chunk::<8>().filter(|_| kind == AIGP_TLV) {
            let before = value.len().saturating_sub(behind.len()).saturating_sub(metric.len());
            out.extend_from_slice(value.get(..before).unwrap_or_default());
            out.extend_from_slice(&u64::from_be_bytes(*old).saturating_add(more).to_be_bytes());
            out.extend_from_slice(metric.get(8..).unwrap_or_default());
            return out.extend_from_slice(behind);
        }
        rest = behind;
    }
    out.extend_from_slice(value);
}

/// A value that is one AIGP TLV.
pub(crate) fn value(metric: u64) -> Vec<u8> {
    let mut value = vec![AIGP_TLV, 0, 11];
    value.extend_from_slice(&metric.to_be_bytes());
    value
}
