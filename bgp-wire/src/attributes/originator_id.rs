//! ORIGINATOR_ID (RFC 4456 §8; errors RFC 7606 §7.9: discarded from an external peer, else treat-as-withdraw).
use super::{Context, Row, Source, exactly};
use crate::reaction::FaultKind;

pub(crate) const ROW: Row = Row { source: Source::InternalPeers, ..Row::OPTIONAL };

#[inline(always)]
pub(crate) fn check(value: &[u8], _: Context) -> Result<(), FaultKind> {
    exactly(value, 4)
}
