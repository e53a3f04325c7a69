//! LOCAL_PREF (RFC 4271 §5.1.5; errors RFC 7606 §7.5: discarded from an external peer, else treat-as-withdraw).
use super::{Context, Row, Source, exactly};
use crate::reaction::FaultKind;

pub(crate) const ROW: Row = Row { source: Source::InternalPeers, ..Row::WELL_KNOWN };

#[inline(always)]
pub(crate) fn check(value: &[u8], _: Context) -> Result<(), FaultKind> {
    exactly(value, 4)
}
