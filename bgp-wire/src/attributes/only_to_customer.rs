//! ONLY_TO_CUSTOMER (RFC 9234 §5; errors: treat-as-withdraw).
use super::{Context, Row, exactly};
use crate::reaction::FaultKind;

pub(crate) const ROW: Row = Row::OPTIONAL_TRANSITIVE;

#[inline(always)]
pub(crate) fn check(value: &[u8], _: Context) -> Result<(), FaultKind> {
    exactly(value, 4)
}
