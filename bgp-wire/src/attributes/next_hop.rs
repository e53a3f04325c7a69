//! NEXT_HOP (RFC 4271 §5.1.3; errors RFC 7606 §7.3: treat-as-withdraw).
//!
//! The value is checked with the routes it is for: without classic NLRI it is ignored (RFC 4760 §3).
use super::{Context, Row, exactly};
use crate::reaction::FaultKind;

pub(crate) const ROW: Row = Row::WELL_KNOWN;

#[inline(always)]
pub(crate) fn check(value: &[u8], _: Context) -> Result<(), FaultKind> {
    exactly(value, 4)
}
