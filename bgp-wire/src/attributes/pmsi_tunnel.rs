//! PMSI_TUNNEL (RFC 6514 §5; errors: treat-as-withdraw). Passed on byte for byte.
use super::{Context, Row};
use crate::reaction::FaultKind;

pub(crate) const ROW: Row = Row::OPTIONAL_TRANSITIVE;

/// Flags, tunnel type, label: the tunnel identifier may be empty.
#[inline(always)]
pub(crate) fn check(value: &[u8], _: Context) -> Result<(), FaultKind> {
    if value.len() >= 5 { Ok(()) } else { Err(FaultKind::Length) }
}
