//! AS4_AGGREGATOR (RFC 6793 §4.2.2; errors §6: attribute discard; discarded between four-octet speakers).
use super::{Context, Row, Source, exactly};
use crate::parse::front32;
use crate::reaction::FaultKind;

pub(crate) const ROW: Row = Row { source: Source::TwoOctetPeers, ..Row::OPTIONAL_TRANSITIVE.discard() };

#[inline(always)]
pub(crate) fn check(value: &[u8], _: Context) -> Result<(), FaultKind> {
    exactly(value, 8)?;
    if front32(value) == Some(0) { Err(FaultKind::ReservedAs) } else { Ok(()) }
}
