//! An AS path as values.
use super::{AsPathView, SegmentKind, push_values};
use crate::Asn;

/// One segment as a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PathSegment {
    /// Type.
    pub kind: SegmentKind,
    /// AS numbers; more than 255 are sent as several segments, none as no segment.
    pub asns: Vec<Asn>,
}

/// An AS path as a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct AsPath {
    /// Segments, the latest first.
    pub segments: Vec<PathSegment>,
}

impl AsPath {
    /// A path of one AS_SEQUENCE.
    #[must_use]
    pub fn sequence(asns: impl IntoIterator<Item = Asn>) -> Self {
        let asns: Vec<_> = asns.into_iter().collect();
        if asns.is_empty() {
            return Self::default();
        }
        Self { segments: vec![PathSegment { kind: SegmentKind::Sequence, asns }] }
    }

    /// The path with the values of a view.
    #[must_use]
    pub fn from_view(view: AsPathView<'_>) -> Self {
        let segment = |s: super::Segment<'_>| PathSegment { kind: s.kind, asns: s.asns().collect() };
        // Counted first: a path of many segments is not copied as it grows.
        let mut segments = Vec::with_capacity(view.segments().count());
        segments.extend(view.segments().map(segment));
        Self { segments }
    }

    /// The octets of the value with four-octet AS numbers.
    #[inline]
    pub(crate) fn encoded_len(&self) -> usize {
        let segment = |s: &PathSegment| s.asns.len() * 4 + s.asns.len().div_ceil(MAX_SEGMENT) * 2;
        self.segments.iter().map(segment).sum()
    }

    /// Appends the value with four-octet AS numbers.
    #[inline]
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        for segment in &self.segments {
            for asns in segment.asns.chunks(MAX_SEGMENT) {
                out.extend_from_slice(&[segment.kind.octet(), u8::try_from(asns.len()).unwrap_or(u8::MAX)]);
                push_values(out, asns, |asn| asn.0.to_be_bytes());
            }
        }
    }

    /// Whether AS 0 is in it, which no receiver accepts (RFC 7607 §2).
    #[inline]
    pub(crate) fn has_reserved(&self) -> bool {
        self.segments.iter().any(|s| s.asns.contains(&Asn::RESERVED))
    }
}

/// The AS numbers that a segment's count can hold (RFC 4271 §4.3).
const MAX_SEGMENT: usize = 255;
