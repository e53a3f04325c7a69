//! ATOMIC_AGGREGATE (RFC 4271 §5.1.6; errors RFC 7606 §7.6: attribute discard).
use super::{Context, Row, exactly};
use crate::reaction::FaultKind;

pub(crate) const ROW: Row = Row::WELL_KNOWN.discard();

#[inline(always)]
pub(crate) fn check(value: &[u8], _: Context) -> Result<(), FaultKind> {
    exactly(value, 0)
}
