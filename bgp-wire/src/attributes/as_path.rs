//! AS_PATH (RFC 4271 §5.1.2, RFC 5065, RFC 6793; errors RFC 7606 §7.2 and RFC 7607: treat-as-withdraw).
use core::fmt;

use super::{Context, Row};
use crate::reaction::FaultKind;
use crate::{Asn, PeerKind};

pub(crate) const ROW: Row = Row::WELL_KNOWN;

/// The longest path of two-octet numbers that is sure to fit an attribute once its numbers have four octets: of longer ones,
/// which are out of reach for messages of 4,096 octets, the segments are counted.
const SURE_TO_FIT: usize = 65_535 / 2;

/// Confederation segments come only from within the confederation (RFC 5065 §5).
#[inline(always)]
pub(crate) fn check(value: &[u8], cx: Context) -> Result<(), FaultKind> {
    let most = match cx.peer {
        PeerKind::Internal => 4,
        PeerKind::External => 2,
    };
    if cx.four_octet_as {
        return check_segments::<4>(value, most);
    }
    check_segments::<2>(value, most)?;
    if value.len() > SURE_TO_FIT && !fits_with_four_octets(value) { Err(FaultKind::Length) } else { Ok(()) }
}

/// Whether a path of numbers of two octets fits an attribute when they have four.
#[cold]
fn fits_with_four_octets(value: &[u8]) -> bool {
    let segments =
        AsPathView::new(value, false).segments().map(|s| s.len().saturating_mul(4).saturating_add(2));
    segments.fold(0, usize::saturating_add) <= usize::from(u16::MAX)
}

/// Whether it is a path of numbers of two octets that a receiver takes.
#[cold]
pub(crate) fn is_two_octet_path(value: &[u8]) -> bool {
    check_segments::<2>(value, 4).is_ok() && fits_with_four_octets(value)
}

/// Whole, non-empty segments of known types without AS 0. Hand-written: it runs for each received message.
#[inline(always)]
pub(super) fn check_segments<const WIDTH: usize>(mut b: &[u8], most: u8) -> Result<(), FaultKind> {
    let mut reserved = false;
    while let [kind, count, rest @ ..] = b {
        if *count == 0 || *kind == 0 || *kind > most {
            return Err(FaultKind::Segment);
        }
        let Some((asns, rest)) = rest.split_at_checked(usize::from(*count).wrapping_mul(WIDTH)) else {
            return Err(FaultKind::Segment);
        };
        reserved |= asns.as_chunks::<WIDTH>().0.contains(&[0; WIDTH]);
        b = rest;
    }
    match (b.is_empty(), reserved) {
        (false, _) => Err(FaultKind::Segment),
        (true, true) => Err(FaultKind::ReservedAs),
        (true, false) => Ok(()),
    }
}

/// A segment's type ([registry](https://www.iana.org/assignments/as-path-segment-types)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum SegmentKind {
    /// Unordered, made by aggregation.
    Set = 1,
    /// Ordered, the latest first.
    Sequence = 2,
    /// Ordered member ASes of a confederation (RFC 5065).
    ConfedSequence = 3,
    /// Unordered member ASes of a confederation (RFC 5065).
    ConfedSet = 4,
}

impl SegmentKind {
    pub(crate) const fn decode(octet: u8) -> Option<Self> {
        match octet {
            1 => Some(Self::Set),
            2 => Some(Self::Sequence),
            3 => Some(Self::ConfedSequence),
            4 => Some(Self::ConfedSet),
            _ => None,
        }
    }

    pub(crate) const fn octet(self) -> u8 {
        match self {
            Self::Set => 1,
            Self::Sequence => 2,
            Self::ConfedSequence => 3,
            Self::ConfedSet => 4,
        }
    }

    /// Whether it is of a confederation (RFC 5065).
    #[must_use]
    pub const fn is_confederation(self) -> bool {
        matches!(self, Self::ConfedSequence | Self::ConfedSet)
    }

    /// What a segment of so many ASes adds to the path's length (RFC 4271 §9.1.2.2 (a), RFC 5065 §5.3).
    #[must_use]
    pub const fn path_length(self, asns: usize) -> usize {
        match self {
            Self::Sequence => asns,
            Self::Set => 1,
            Self::ConfedSequence | Self::ConfedSet => 0,
        }
    }
}

/// An AS path as octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AsPathView<'a> {
    bytes: &'a [u8],
    four_octet: bool,
}

/// One segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Segment<'a> {
    /// Type.
    pub kind: SegmentKind,
    asns: &'a [u8],
    four_octet: bool,
}

impl<'a> Segment<'a> {
    /// Its AS numbers.
    #[inline]
    #[must_use]
    pub fn asns(&self) -> Asns<'a> {
        if self.four_octet {
            Asns { four: self.asns.as_chunks::<4>().0.iter(), two: [].iter() }
        } else {
            Asns { four: [].iter(), two: self.asns.as_chunks::<2>().0.iter() }
        }
    }

    /// How many AS numbers it has: 1 to 255.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.asns.len() / if self.four_octet { 4 } else { 2 }
    }

    /// Never, in a path that was received: an empty segment is malformed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.asns.is_empty()
    }
}

/// The AS numbers of a segment.
#[derive(Debug, Clone)]
pub struct Asns<'a> {
    four: core::slice::Iter<'a, [u8; 4]>,
    two: core::slice::Iter<'a, [u8; 2]>,
}

impl Iterator for Asns<'_> {
    type Item = Asn;

    #[inline]
    fn next(&mut self) -> Option<Asn> {
        match self.four.next() {
            Some(n) => Some(Asn(u32::from_be_bytes(*n))),
            None => self.two.next().map(|n| Asn(u32::from(u16::from_be_bytes(*n)))),
        }
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let n = self.four.len().saturating_add(self.two.len());
        (n, Some(n))
    }
}

impl ExactSizeIterator for Asns<'_> {}

/// The segments of a path.
#[derive(Debug, Clone)]
pub struct Segments<'a> {
    rest: &'a [u8],
    four_octet: bool,
}

impl<'a> Iterator for Segments<'a> {
    type Item = Segment<'a>;

    #[inline]
    fn next(&mut self) -> Option<Segment<'a>> {
        let [kind, count, rest @ ..] = self.rest else { return None };
        let width = if self.four_octet { 4 } else { 2 };
        let (asns, rest) = rest.split_at_checked(usize::from(*count).saturating_mul(width))?;
        self.rest = rest;
        Some(Segment { kind: SegmentKind::decode(*kind)?, asns, four_octet: self.four_octet })
    }
}

impl<'a> AsPathView<'a> {
    /// Over the value of an AS_PATH or AS4_PATH. On octets that are no path, the segments end early.
    #[must_use]
    pub const fn new(bytes: &'a [u8], four_octet: bool) -> Self {
        Self { bytes, four_octet }
    }

    /// The octets.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether its numbers have four octets.
    #[must_use]
    pub const fn is_four_octet(&self) -> bool {
        self.four_octet
    }

    /// Whether there is no segment: the route began in this AS.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The segments.
    #[inline]
    #[must_use]
    pub const fn segments(&self) -> Segments<'a> {
        Segments { rest: self.bytes, four_octet: self.four_octet }
    }

    /// All AS numbers of all segments.
    #[inline]
    pub fn asns(&self) -> impl Iterator<Item = Asn> + use<'a> {
        self.segments().flat_map(|s| s.asns())
    }

    /// The length that route selection compares: a set is one, a confederation segment none
    /// (RFC 4271 §9.1.2.2 (a), RFC 5065 §5.3).
    #[must_use]
    pub fn length(&self) -> usize {
        self.segments().map(|s| s.kind.path_length(s.len())).sum()
    }

    /// The neighbouring AS that sent the route: the first of the leading AS_SEQUENCE, past confederation segments
    /// (RFC 4271 §9.1.2.2 (c)). `None` for a path that is empty or begins with a set.
    #[must_use]
    pub fn first(&self) -> Option<Asn> {
        let segment = self.segments().find(|s| !s.kind.is_confederation())?;
        if segment.kind == SegmentKind::Sequence { segment.asns().next() } else { None }
    }

    /// How often an AS is in the path, in segments of any type.
    #[must_use]
    pub fn contains_count(&self, asn: Asn) -> usize {
        self.asns().filter(|a| *a == asn).count()
    }

    /// The AS that originated the route: the last of a final AS_SEQUENCE (RFC 6811 §2); `None` if that is a set.
    #[must_use]
    pub fn origin_as(&self) -> Option<Asn> {
        let segment = self.segments().filter(|s| !s.kind.is_confederation()).last()?;
        if segment.kind == SegmentKind::Sequence { segment.asns().last() } else { None }
    }
}

/// `65000 65001 {65002 65003}`; confederation segments in parentheses or brackets.
impl fmt::Display for AsPathView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, segment) in self.segments().enumerate() {
            let (open, close) = match segment.kind {
                SegmentKind::Sequence => ("", ""),
                SegmentKind::Set => ("{", "}"),
                SegmentKind::ConfedSequence => ("(", ")"),
                SegmentKind::ConfedSet => ("[", "]"),
            };
            f.write_str(if i == 0 { "" } else { " " })?;
            f.write_str(open)?;
            for (j, asn) in segment.asns().enumerate() {
                write!(f, "{}{asn}", if j == 0 { "" } else { " " })?;
            }
            f.write_str(close)?;
        }
        Ok(())
    }
}

/// Writes segments, splitting what is longer than one segment's 255 AS numbers.
#[derive(Debug)]
pub(crate) struct SegmentWriter<'a> {
    out: &'a mut Vec<u8>,
    four_octet: bool,
    /// Kind of the open segment and where its count stands.
    open: Option<(SegmentKind, usize)>,
}

impl<'a> SegmentWriter<'a> {
    pub(crate) const fn new(out: &'a mut Vec<u8>, four_octet: bool) -> Self {
        Self { out, four_octet, open: None }
    }

    /// Adds AS numbers in a new segment.
    pub(crate) fn segment(&mut self, kind: SegmentKind, asns: impl IntoIterator<Item = Asn>) {
        self.open = None;
        self.append(kind, asns);
    }

    /// Adds AS numbers to the open segment if it is of the same kind and a sequence, or else in a new one.
    pub(crate) fn append(&mut self, kind: SegmentKind, asns: impl IntoIterator<Item = Asn>) {
        if self.open.is_some_and(|(k, _)| k != kind || k != SegmentKind::Sequence) {
            self.open = None;
        }
        for asn in asns {
            self.push(kind, asn);
        }
    }

    fn push(&mut self, kind: SegmentKind, asn: Asn) {
        let open = self.open.and_then(|(_, at)| self.out.get_mut(at)).filter(|count| **count < u8::MAX);
        match open {
            Some(count) => *count = count.saturating_add(1),
            None => {
                self.out.extend([kind.octet(), 1]);
                self.open = Some((kind, self.out.len().saturating_sub(1)));
            }
        }
        if self.four_octet {
            self.out.extend(asn.0.to_be_bytes());
        } else {
            self.out.extend(asn.to_two_octets().to_be_bytes());
        }
    }
}

/// Puts together the path that a two-octet speaker sent in two halves (RFC 6793 §4.2.3).
pub(crate) fn merge_as4_path(as_path: AsPathView<'_>, as4_path: AsPathView<'_>, out: &mut Vec<u8>) {
    let mut writer = SegmentWriter::new(out, true);
    // An AS4_PATH longer than the path is stale: it is ignored.
    let Some(mut leading) = as_path.length().checked_sub(as4_path.length()) else {
        for segment in as_path.segments() {
            writer.segment(segment.kind, segment.asns());
        }
        return;
    };
    for segment in as_path.segments() {
        let length = segment.kind.path_length(segment.len());
        let take = match segment.kind {
            // Kept where it leads, or follows what is kept.
            SegmentKind::ConfedSequence | SegmentKind::ConfedSet => segment.len(),
            _ if leading == 0 => break,
            SegmentKind::Set => segment.len(),
            SegmentKind::Sequence => segment.len().min(leading),
        };
        writer.segment(segment.kind, segment.asns().take(take));
        if length > leading {
            break;
        }
        leading = leading.saturating_sub(length);
    }
    for segment in as4_path.segments().filter(|s| !s.kind.is_confederation()) {
        writer.append(segment.kind, segment.asns());
    }
}
