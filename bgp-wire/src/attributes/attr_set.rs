//! ATTR_SET (RFC 6368 §5; errors RFC 7606 §7.16: treat-as-withdraw). Passed on byte for byte.
use super::{Context, RawAttributes, Row};
use crate::reaction::FaultKind;

pub(crate) const ROW: Row = Row::OPTIONAL_TRANSITIVE;

/// The origin AS, then whole attributes, of which their own AS is the judge.
#[inline(always)]
pub(crate) fn check(value: &[u8], _: Context) -> Result<(), FaultKind> {
    let mut attributes = RawAttributes::new(value.get(4..).ok_or(FaultKind::Length)?);
    attributes.by_ref().for_each(drop);
    if attributes.rest().is_empty() { Ok(()) } else { Err(FaultKind::Length) }
}
