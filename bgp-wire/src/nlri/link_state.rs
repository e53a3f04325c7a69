//! BGP-LS NLRI: what a speaker checks that passes them on (RFC 9552 §8.2.2).
use crate::parse::front16;

/// Type and length (RFC 9552 §5.2).
const HEADER: usize = 4;
/// Protocol and identifier, which every registered type has.
const FIXED: usize = 9;
/// The TLVs of local and remote node, which hold TLVs again (RFC 9552 §5.2.1).
const NODE_DESCRIPTORS: [u16; 2] = [256, 257];

/// Whether the TLVs behind header, so many octets and the fixed part reach to the end, in ascending order.
pub(super) fn is_whole(one: &[u8], before: usize) -> bool {
    let kind = front16(one);
    // Other types have no known inside.
    if !matches!(kind, Some(1..=4 | 6)) {
        return true;
    }
    let tlvs = one.get(HEADER.saturating_add(before).saturating_add(FIXED)..);
    tlvs.is_some_and(|tlvs| {
        let node = |(kind, value)| !NODE_DESCRIPTORS.contains(&kind) || ascend(value, Order::Once, |_| true);
        ascend(tlvs, Order::ByValue, node)
    })
}

/// How TLVs of the same type stand to each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// The shorter first, then the lower (RFC 9552 §5.1).
    ByValue,
    /// There is one (RFC 9552 §5.2.1.4).
    Once,
}

/// Whether there are TLVs to the end, all of them good, in ascending order of their types.
fn ascend<'a>(mut rest: &'a [u8], order: Order, good: impl Fn((u16, &'a [u8])) -> bool) -> bool {
    let mut last: Option<(u16, &[u8])> = None;
    while !rest.is_empty() {
        let Some((kind, value, next)) = split(rest) else { return false };
        let ascends = last.is_none_or(|(before, other)| match order {
            Order::Once => before < kind,
            Order::ByValue => (before, other.len(), other) <= (kind, value.len(), value),
        });
        if !ascends || !good((kind, value)) {
            return false;
        }
        (rest, last) = (next, Some((kind, value)));
    }
    true
}

/// Type, value and what is behind.
fn split(octets: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (kind, len) = (front16(octets)?, front16(octets.get(2..)?)?);
    let (value, rest) = octets.get(4..)?.split_at_checked(usize::from(len))?;
    Some((kind, value, rest))
}
