//! An AS path as values.
use super::{AsPathView, SegmentKind, SegmentWriter};
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
        Self { segments: view.segments().map(segment).collect() }
    }

    /// Appends the value with four-octet AS numbers.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let mut writer = SegmentWriter::new(out, true);
        for segment in &self.segments {
            writer.segment(segment.kind, segment.asns.iter().copied());
        }
    }
}
