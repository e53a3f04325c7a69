//! TUNNEL_ENCAPSULATION (RFC 9012 §2; errors §13: treat-as-withdraw). Passed on byte for byte within the AS; between
//! autonomous systems it is filtered in both directions, unless somebody says otherwise (§11): see
//! [`Codec::same_domain`](crate::Codec::same_domain).
use super::{Context, Row, Source, tlv};
use crate::reaction::FaultKind;

pub(crate) const ROW: Row = Row { source: Source::SameDomain, ..Row::OPTIONAL_TRANSITIVE };

#[inline(always)]
pub(crate) fn check(value: &[u8], _: Context) -> Result<(), FaultKind> {
    if is_whole(value) { Ok(()) } else { Err(FaultKind::Length) }
}

/// Each tunnel TLV ends where its last sub-TLV does. What is inside of those is the reader's matter: a malformed one counts
/// as unknown (RFC 9012 §13).
#[cold]
fn is_whole(value: &[u8]) -> bool {
    !value.is_empty() && tlv::all(value, tlv::tlv16, |_, tunnel| tlv::all(tunnel, tlv::sub_tlv, |_, _| true))
}

/// Whether the only tunnel is a segment routing policy (RFC 9830 §2.2).
pub(crate) fn is_sr_policy(value: &[u8]) -> bool {
    const SR_POLICY: u16 = 15;
    matches!(tlv::tlv16(value), Ok((rest, (SR_POLICY, _))) if rest.is_empty())
}
