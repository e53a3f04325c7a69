//! The BGP-LS attribute (RFC 9552 §5.3; errors §8.2.2: attribute discard). Passed on byte for byte.
use super::{Context, Row, tlv};
use crate::reaction::FaultKind;

pub(crate) const ROW: Row = Row::OPTIONAL.discard();

#[inline(always)]
pub(crate) fn check(value: &[u8], _: Context) -> Result<(), FaultKind> {
    // RFC 7606 §4: nothing says that it may be empty.
    if !value.is_empty() && tlv::all(value, tlv::tlv16, |_, _| true) {
        Ok(())
    } else {
        Err(FaultKind::Length)
    }
}
