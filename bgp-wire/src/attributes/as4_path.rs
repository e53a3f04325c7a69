//! AS4_PATH (RFC 6793 §4.2.2; errors §6: attribute discard; discarded between four-octet speakers).
use super::as_path::check_segments;
use super::{Context, Row, Source};
use crate::reaction::FaultKind;

pub(crate) const ROW: Row = Row { source: Source::TwoOctetPeers, ..Row::OPTIONAL_TRANSITIVE.discard() };

/// Confederation segments are dropped when the path is put together, not an error (RFC 6793 §6).
#[inline(always)]
pub(crate) fn check(value: &[u8], _: Context) -> Result<(), FaultKind> {
    // At least one segment with one AS number.
    if value.len() < 6 {
        return Err(FaultKind::Length);
    }
    check_segments::<4>(value, 4)
}
