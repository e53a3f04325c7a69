//! PMSI_TUNNEL (RFC 6514 §5; errors: treat-as-withdraw). Passed on byte for byte.
use super::{Context, Row};
use crate::reaction::FaultKind;

pub(crate) const ROW: Row = Row::OPTIONAL_TRANSITIVE;

#[inline(always)]
pub(crate) fn check(value: &[u8], _: Context) -> Result<(), FaultKind> {
    judge(value)
}

/// Flags, tunnel type, label, and an identifier of the type's length. Types whose identifiers have no fixed lengths, and those
/// not known here, may have any: who only passes them on need not read them.
#[cold]
fn judge(value: &[u8]) -> Result<(), FaultKind> {
    let [_, kind, _, _, _, identifier @ ..] = value else { return Err(FaultKind::Length) };
    let good = match kind {
        // An RSVP-TE session of points: two words, and an extended tunnel identifier of an address.
        1 => matches!(identifier.len(), 12 | 24),
        // PIM trees of source or root, and group.
        3..=5 => matches!(identifier.len(), 8 | 32),
        // Ingress replication: the endpoint.
        6 => matches!(identifier.len(), 4 | 16),
        _ => true,
    };
    if good { Ok(()) } else { Err(FaultKind::Length) }
}
