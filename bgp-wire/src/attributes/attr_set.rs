//! ATTR_SET (RFC 6368 §5; errors RFC 7606 §7.16: treat-as-withdraw). Passed on byte for byte.
use super::{AttributeCode, Context, RawAttribute, RawAttributes, Row, examine};
use crate::PeerKind;
use crate::reaction::FaultKind;

pub(crate) const ROW: Row = Row::OPTIONAL_TRANSITIVE;

#[inline(always)]
pub(crate) fn check(value: &[u8], _: Context) -> Result<(), FaultKind> {
    judge(value)
}

/// The origin AS, then whole attributes as inside an AS, with AS numbers of four octets; no MP attribute, and none that is
/// malformed itself.
#[cold]
#[inline(never)]
fn judge(value: &[u8]) -> Result<(), FaultKind> {
    let mut attributes = RawAttributes::new(value.get(4..).ok_or(FaultKind::Length)?);
    if !attributes.by_ref().all(|attribute| is_good(&attribute)) {
        return Err(FaultKind::Value);
    }
    if attributes.rest().is_empty() { Ok(()) } else { Err(FaultKind::Length) }
}

fn is_good(attribute: &RawAttribute<'_>) -> bool {
    const INSIDE: Context =
        Context { peer: PeerKind::Internal, four_octet_as: true, external_aigp: true, same_domain: true };
    match attribute.code {
        AttributeCode::MP_REACH_NLRI | AttributeCode::MP_UNREACH_NLRI => false,
        // A set in a set is its own AS's matter: looked into, it could go on for thousands of levels.
        AttributeCode::ATTR_SET => true,
        code => !matches!(
            examine(attribute.flags.0, code, attribute.value, INSIDE),
            Some((kind, _)) if kind != FaultKind::NotExpected
        ),
    }
}
