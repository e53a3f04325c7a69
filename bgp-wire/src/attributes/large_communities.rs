//! LARGE_COMMUNITIES (RFC 8092; errors §6: treat-as-withdraw).
use core::fmt;
use std::collections::BTreeSet;

use super::list::value_list;
use super::{Context, Row, multiple};
use crate::reaction::FaultKind;

pub(crate) const ROW: Row = Row::OPTIONAL_TRANSITIVE;

#[inline(always)]
pub(crate) fn check(value: &[u8], _: Context) -> Result<(), FaultKind> {
    multiple(value, 12)
}

value_list! {
    /// Large communities, in the order received.
    LargeCommunities of LargeCommunity, 12, LargeCommunity::decode
}

/// Lists up to this long, which nearly all are, are looked through for each of their values; longer ones are put in order.
const SHORT: usize = 16;

/// Lists up to this long are put in order in little room.
const LONG: usize = 64;

/// The values that an attribute can hold.
const MOST: usize = 65_535 / 12;

/// Whether a value is there twice. That must not be sent, and is silently mended on receipt (RFC 8092 §3). Nothing is
/// allocated for what fits an attribute.
#[inline]
pub(crate) fn has_duplicates<T: Ord>(values: &[T]) -> bool {
    if values.len() > SHORT {
        return match values.len() {
            len if len <= LONG => has_duplicates_ordered::<T, LONG>(values),
            len if len <= MOST => has_duplicates_ordered::<T, MOST>(values),
            _ => values.iter().collect::<BTreeSet<_>>().len() < values.len(),
        };
    }
    let mut rest = values;
    while let [value, behind @ ..] = rest {
        if behind.contains(value) {
            return true;
        }
        rest = behind;
    }
    false
}

/// The same of up to `N` values, of which the places are put in order.
#[inline(never)]
fn has_duplicates_ordered<T: Ord, const N: usize>(values: &[T]) -> bool {
    let mut places = [0u16; N];
    let Some(places) = places.get_mut(..values.len()) else { return false };
    for (place, at) in places.iter_mut().zip(0..) {
        *place = at;
    }
    let value = |place: &u16| values.get(usize::from(*place));
    places.sort_unstable_by(|a, b| value(a).cmp(&value(b)));
    places.iter().zip(places.iter().skip(1)).any(|(a, b)| value(a) == value(b))
}

impl LargeCommunities<'_> {
    /// Whether a value is there twice.
    #[inline]
    pub(crate) fn has_duplicates(&self) -> bool {
        has_duplicates(self.0.as_chunks::<12>().0)
    }

    /// Appends each value once, where it stands first.
    pub(crate) fn append_unique(&self, out: &mut Vec<u8>) {
        let mut seen = BTreeSet::new();
        for value in self.0.as_chunks::<12>().0 {
            if seen.insert(value) {
                out.extend_from_slice(value);
            }
        }
    }
}

/// A large community; shown as `65000:1:2` (RFC 8092 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LargeCommunity {
    /// Global administrator.
    pub global: u32,
    /// First local part.
    pub local1: u32,
    /// Second local part.
    pub local2: u32,
}

impl LargeCommunity {
    fn decode(octets: &[u8; 12]) -> Self {
        let [g3, g2, g1, g0, a3, a2, a1, a0, b3, b2, b1, b0] = *octets;
        Self {
            global: u32::from_be_bytes([g3, g2, g1, g0]),
            local1: u32::from_be_bytes([a3, a2, a1, a0]),
            local2: u32::from_be_bytes([b3, b2, b1, b0]),
        }
    }

    pub(crate) const fn octets(self) -> [u8; 12] {
        let [g3, g2, g1, g0] = self.global.to_be_bytes();
        let [a3, a2, a1, a0] = self.local1.to_be_bytes();
        let [b3, b2, b1, b0] = self.local2.to_be_bytes();
        [g3, g2, g1, g0, a3, a2, a1, a0, b3, b2, b1, b0]
    }
}

impl fmt::Display for LargeCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.global, self.local1, self.local2)
    }
}
