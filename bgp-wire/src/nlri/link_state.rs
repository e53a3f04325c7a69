//! BGP-LS NLRI: what a speaker checks that passes them on (RFC 9552 §8.2.2).
use crate::parse::front16;

/// Type and length (RFC 9552 §5.2).
const HEADER: usize = 4;
/// Protocol and identifier, which every registered type has.
const FIXED: usize = 9;

/// Whether the TLVs behind header, so many octets and the fixed part reach to the end, in ascending order.
pub(super) fn is_whole(one: &[u8], before: usize) -> bool {
    let kind = front16(one);
    // Other types have no known inside.
    if !matches!(kind, Some(1..=4 | 6)) {
        return true;
    }
    let Some(mut rest) = one.get(HEADER.saturating_add(before).saturating_add(FIXED)..) else { return false };
    let mut last = 0;
    while !rest.is_empty() {
        let (Some(kind), Some(len)) = (front16(rest), rest.get(2..).and_then(front16)) else { return false };
        let Some(next) = rest.get(4usize.saturating_add(usize::from(len))..) else { return false };
        if kind < last {
            return false;
        }
        (rest, last) = (next, kind);
    }
    true
}
