//! Ranges of numbers and sets of AS numbers.

use core::fmt;
use core::ops::RangeInclusive;
use std::sync::Arc;

use bgp_wire::Asn;

/// Numbers from `low` to `high`, both included. One that ends before it begins holds nothing and is refused by
/// [`Policy::compile`](crate::policy::Policy::compile).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Span {
    /// The least.
    pub low: u32,
    /// The greatest.
    pub high: u32,
}

impl Span {
    /// Every number: a wildcard.
    pub const ANY: Self = Self { low: 0, high: u32::MAX };

    /// One number.
    #[must_use]
    pub const fn exactly(value: u32) -> Self {
        Self { low: value, high: value }
    }

    /// Whether a number is in it.
    #[inline]
    #[must_use]
    pub const fn contains(self, value: u32) -> bool {
        self.low <= value && value <= self.high
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.low > self.high
    }
}

impl From<u32> for Span {
    fn from(value: u32) -> Self {
        Self::exactly(value)
    }
}

impl From<RangeInclusive<u32>> for Span {
    fn from(range: RangeInclusive<u32>) -> Self {
        Self { low: *range.start(), high: *range.end() }
    }
}

/// `*`, `7` or `7-9`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ANY => f.write_str("*"),
            Self { low, high } if low == high => write!(f, "{low}"),
            Self { low, high } => write!(f, "{low}-{high}"),
        }
    }
}

/// Reads what [`Span`] shows: `*`, `7` or `7-9`.
pub(crate) fn parse_span(text: &str) -> Option<Span> {
    if text == "*" {
        return Some(Span::ANY);
    }
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    Some(Span { low: number(low)?, high: number(high)? }).filter(|span| !span.is_empty())
}

/// Digits alone: the standard parser would take a plus sign too.
pub(crate) fn number(text: &str) -> Option<u32> {
    if text.bytes().all(|octet| octet.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// A set of AS numbers, searched in logarithmic time and shared by its clones.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct AsnSet(Arc<[Span]>);

impl AsnSet {
    /// Whether an AS is in it.
    #[inline]
    #[must_use]
    pub fn contains(&self, asn: Asn) -> bool {
        let behind = self.0.partition_point(|span| span.low <= asn.0);
        behind.checked_sub(1).and_then(|at| self.0.get(at)).is_some_and(|span| asn.0 <= span.high)
    }

    /// Whether no AS is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All AS numbers that are not in it.
    pub(crate) fn complement(&self) -> Self {
        let mut from = Some(0u32);
        let mut gaps = Vec::new();
        for span in self.0.iter() {
            if let Some(low) = from.filter(|&low| low < span.low) {
                gaps.push(Span { low, high: span.low - 1 });
            }
            from = span.high.checked_add(1);
        }
        gaps.extend(from.map(|low| Span { low, high: u32::MAX }));
        Self(gaps.into())
    }
}

impl FromIterator<Span> for AsnSet {
    fn from_iter<I: IntoIterator<Item = Span>>(spans: I) -> Self {
        let mut spans: Vec<Span> = spans.into_iter().filter(|span| !span.is_empty()).collect();
        spans.sort_unstable();
        let mut merged: Vec<Span> = Vec::with_capacity(spans.len());
        for span in spans {
            match merged.last_mut() {
                Some(last) if span.low <= last.high.saturating_add(1) => last.high = last.high.max(span.high),
                _ => merged.push(span),
            }
        }
        Self(merged.into())
    }
}

impl FromIterator<Asn> for AsnSet {
    fn from_iter<I: IntoIterator<Item = Asn>>(asns: I) -> Self {
        asns.into_iter().map(|asn| Span::exactly(asn.0)).collect()
    }
}

impl From<Asn> for AsnSet {
    fn from(asn: Asn) -> Self {
        [asn].into_iter().collect()
    }
}

impl From<RangeInclusive<u32>> for AsnSet {
    fn from(range: RangeInclusive<u32>) -> Self {
        [Span::from(range)].into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_that_touch_or_overlap_become_one() {
        let set: AsnSet =
            [Span::from(5..=7), Span::from(1..=2), Span::from(3), Span::from(6..=9)].into_iter().collect();
        assert_eq!(set, [Span::from(1..=3), Span::from(5..=9)].into_iter().collect());
        let members: Vec<u32> = (0..12).filter(|&asn| set.contains(Asn(asn))).collect();
        assert_eq!(members, [1, 2, 3, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn a_complement_holds_what_the_set_does_not() {
        let set: AsnSet = [Span::from(0..=4), Span::from(9), Span::from(u32::MAX)].into_iter().collect();
        for asn in [0, 4, 5, 8, 9, 10, u32::MAX - 1, u32::MAX] {
            assert_ne!(set.contains(Asn(asn)), set.complement().contains(Asn(asn)), "{asn}");
        }
        assert_eq!(set.complement().complement(), set);
        assert!(AsnSet::from(0..=u32::MAX).complement().is_empty());
    }
}
