//! TUNNEL_ENCAPSULATION (RFC 9012 §2; errors §13: treat-as-withdraw). Passed on byte for byte within the AS; between
//! autonomous systems it is filtered in both directions, unless somebody says otherwise (§11), which nobody can here.
use super::{Context, Row, Source, tlv};
use crate::reaction::FaultKind;

pub(crate) const ROW: Row = Row { source: Source::InternalPeers, ..Row::OPTIONAL_TRANSITIVE };

/// Only the tunnel TLVs are read: a malformed sub-TLV is the reader's matter (RFC 9012 §13).
#[inline(always)]
pub(crate) fn check(value: &[u8], _: Context) -> Result<(), FaultKind> {
    if !value.is_empty() && tlv::all(value, tlv::tlv16, |_, _| true) {
        Ok(())
    } else {
        Err(FaultKind::Length)
    }
}
