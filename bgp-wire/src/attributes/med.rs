//! MULTI_EXIT_DISC (RFC 4271 §5.1.4; errors RFC 7606 §7.4: treat-as-withdraw).
use super::{Context, Row, exactly};
use crate::reaction::FaultKind;

pub(crate) const ROW: Row = Row::OPTIONAL;

#[inline(always)]
pub(crate) fn check(value: &[u8], _: Context) -> Result<(), FaultKind> {
    exactly(value, 4)
}
