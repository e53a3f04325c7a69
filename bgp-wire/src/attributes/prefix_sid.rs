//! PREFIX_SID (RFC 8669 §3; errors §6: attribute discard), with the services of SRv6 (RFC 9252; errors §7:
//! treat-as-withdraw). Passed on byte for byte within the segment routing domain, which ends at an external peer (RFC 8669
//! §4, §5), unless somebody says otherwise: see [`Codec::same_domain`](crate::Codec::same_domain).
use super::{Context, Row, Source, tlv};
use crate::reaction::FaultKind;

pub(crate) const ROW: Row = Row { source: Source::SameDomain, ..Row::OPTIONAL_TRANSITIVE.discard() };

/// The Label-Index TLV (RFC 8669 §3.1).
const LABEL_INDEX: u8 = 1;
/// The Originator SRGB TLV: flags, then ranges of six octets (RFC 8669 §3.2).
const ORIGINATOR_SRGB: u8 = 3;
/// The SRv6 L3 Service TLV (RFC 9252 §2).
const L3_SERVICE: u8 = 5;
/// The SRv6 L2 Service TLV (RFC 9252 §2).
const L2_SERVICE: u8 = 6;
/// The SRv6 SID Information Sub-TLV (RFC 9252 §3.1).
const SID_INFORMATION: u8 = 1;
/// Octets of SID Information before its own TLVs (RFC 9252 §3.1).
const SID_INFORMATION_FIXED: usize = 21;

#[inline(always)]
pub(crate) fn check(value: &[u8], _: Context) -> Result<(), FaultKind> {
    judge(value)
}

/// A malformed service outweighs whatever else is wrong, before it or behind.
#[cold]
fn judge(value: &[u8]) -> Result<(), FaultKind> {
    let (mut rest, mut good) = (value, !value.is_empty());
    while let Some(&kind) = rest.first() {
        let service = matches!(kind, L3_SERVICE | L2_SERVICE);
        let Ok((next, (_, inside))) = tlv::tlv8(rest) else {
            return Err(if service { FaultKind::Service } else { FaultKind::Length });
        };
        if service && !is_service(inside) {
            return Err(FaultKind::Service);
        }
        good &= match kind {
            LABEL_INDEX => inside.len() == 7,
            ORIGINATOR_SRGB => inside.len() >= 8 && inside.len() % 6 == 2,
            _ => true,
        };
        rest = next;
    }
    if good { Ok(()) } else { Err(FaultKind::Length) }
}

/// A reserved octet and sub-TLVs, of which the known one has TLVs again (RFC 9252 §7). What is in those is not looked at.
fn is_service(value: &[u8]) -> bool {
    let sid = |kind, value: &[u8]| match value.get(SID_INFORMATION_FIXED..) {
        _ if kind != SID_INFORMATION => true,
        Some(structure) => tlv::all(structure, tlv::tlv8, |_, _| true),
        None => false,
    };
    value.get(1..).is_some_and(|sub_tlvs| tlv::all(sub_tlvs, tlv::tlv8, sid))
}
