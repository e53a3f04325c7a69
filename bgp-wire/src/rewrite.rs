//! From a canonical block to what one group of peers is sent: one walk that copies what it does not change.
use crate::attributes::{
    Aggregator, AsPathView, AttributeCode, AttributeFlags, RawAttribute, RawAttributes, SegmentKind,
    SegmentWriter, patched_attribute, push_attribute, wire_flags,
};
use crate::{Asn, AttributeBlock, ClusterId, RouterId};

/// What to do with one attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Edit<T> {
    /// Leave it, there or not.
    #[default]
    Keep,
    /// There, with this value.
    Set(T),
    /// There: with its own value, or else this one.
    SetIfAbsent(T),
    /// Not there.
    Remove,
}

/// What to do with CLUSTER_LIST.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ClusterEdit {
    /// Leave it.
    #[default]
    Keep,
    /// Put a cluster in front, making the list where there is none (RFC 4456 §8).
    Prepend(ClusterId),
    /// Not there.
    Remove,
}

/// The changes to a block on its way out. The default changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Rewrite {
    /// Put an AS in front of the path so many times, as on the way to an external peer (RFC 4271 §5.1.2).
    /// Confederation segments end here (RFC 5065 §4.1). AS 0 is never put in front (RFC 7607).
    pub prepend: Option<(Asn, u8)>,
    /// MULTI_EXIT_DISC.
    pub med: Edit<u32>,
    /// LOCAL_PREF.
    pub local_pref: Edit<u32>,
    /// ORIGINATOR_ID.
    pub originator_id: Edit<RouterId>,
    /// CLUSTER_LIST.
    pub cluster_list: ClusterEdit,
    /// ONLY_TO_CUSTOMER.
    pub only_to_customer: Edit<Asn>,
    /// The peer reads AS numbers of two octets: AS_TRANS, AS4_PATH and AS4_AGGREGATOR where needed (RFC 6793 §4.2.2).
    pub two_octet_as: bool,
}

/// An attribute would pass 65,535 octets; nothing was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong {
    /// Which.
    pub attribute: AttributeCode,
}

impl core::fmt::Display for TooLong {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} would be longer than 65,535 octets", self.attribute)
    }
}

impl core::error::Error for TooLong {}

/// The attributes that a rewrite may touch, ascending.
const EDITED: [AttributeCode; 9] = [
    AttributeCode::AS_PATH,
    AttributeCode::MULTI_EXIT_DISC,
    AttributeCode::LOCAL_PREF,
    AttributeCode::AGGREGATOR,
    AttributeCode::ORIGINATOR_ID,
    AttributeCode::CLUSTER_LIST,
    AttributeCode::AS4_PATH,
    AttributeCode::AS4_AGGREGATOR,
    AttributeCode::ONLY_TO_CUSTOMER,
];

/// Appends the block as `how` says; the result goes to [`announce`](crate::announce), which adds the next hop.
pub fn rewrite(block: AttributeBlock<'_>, how: &Rewrite, out: &mut Vec<u8>) -> Result<(), TooLong> {
    let start = out.len();
    let bytes = block.as_bytes();
    let mut raw = RawAttributes::new(bytes);
    let mut edits = EDITED.iter().copied().peekable();
    let mut copied = 0;
    let mut written = Ok(());
    loop {
        let at = bytes.len().saturating_sub(raw.rest().len());
        let attribute = raw.next();
        while let Some(code) = edits.next_if(|code| attribute.is_none_or(|a| *code < a.code)) {
            if how.inserts(code, block) {
                copy(bytes, &mut copied, at, out);
                written = written.and(how.write(code, None, block, out));
            }
        }
        let Some(attribute) = attribute else { break };
        if edits.next_if_eq(&attribute.code).is_some() && how.changes(attribute.code) {
            copy(bytes, &mut copied, at, out);
            copied = bytes.len().saturating_sub(raw.rest().len());
            written = written.and(how.write(attribute.code, Some(attribute), block, out));
        }
    }
    copy(bytes, &mut copied, bytes.len(), out);
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// Copies what has not been copied, up to `end`.
#[inline]
fn copy(bytes: &[u8], copied: &mut usize, end: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(bytes.get(*copied..end).unwrap_or_default());
    *copied = end;
}

impl<T: Copy> Edit<T> {
    /// The value in place of the given one.
    fn apply(self, received: Option<T>) -> Option<T> {
        match self {
            Self::Keep => received,
            Self::Set(value) => Some(value),
            Self::SetIfAbsent(value) => received.or(Some(value)),
            Self::Remove => None,
        }
    }

    /// Whether it puts an attribute where there is none.
    const fn inserts(&self) -> bool {
        matches!(self, Self::Set(_) | Self::SetIfAbsent(_))
    }

    /// Whether it changes an attribute that is there.
    const fn changes(&self) -> bool {
        matches!(self, Self::Set(_) | Self::Remove)
    }
}

impl Rewrite {
    /// What goes in front of the path.
    fn prepended(&self) -> Option<(Asn, u8)> {
        self.prepend.filter(|(asn, _)| *asn != Asn::RESERVED)
    }

    /// Whether an attribute that the block lacks is to be written.
    fn inserts(&self, code: AttributeCode, block: AttributeBlock<'_>) -> bool {
        match code {
            AttributeCode::AS_PATH => self.prepend.is_some(),
            AttributeCode::MULTI_EXIT_DISC => self.med.inserts(),
            AttributeCode::LOCAL_PREF => self.local_pref.inserts(),
            AttributeCode::ORIGINATOR_ID => self.originator_id.inserts(),
            AttributeCode::CLUSTER_LIST => matches!(self.cluster_list, ClusterEdit::Prepend(_)),
            AttributeCode::AS4_PATH => self.two_octet_as && self.path_needs_four_octets(block.as_path()),
            AttributeCode::AS4_AGGREGATOR => {
                self.two_octet_as && block.aggregator().is_some_and(|a| !a.asn.fits_two_octets())
            }
            AttributeCode::ONLY_TO_CUSTOMER => self.only_to_customer.inserts(),
            _ => false,
        }
    }

    /// Whether an attribute of the block is to be written anew.
    const fn changes(&self, code: AttributeCode) -> bool {
        match code {
            AttributeCode::AS_PATH => self.prepend.is_some() || self.two_octet_as,
            AttributeCode::MULTI_EXIT_DISC => self.med.changes(),
            AttributeCode::LOCAL_PREF => self.local_pref.changes(),
            AttributeCode::AGGREGATOR => self.two_octet_as,
            AttributeCode::ORIGINATOR_ID => self.originator_id.changes(),
            AttributeCode::CLUSTER_LIST => !matches!(self.cluster_list, ClusterEdit::Keep),
            AttributeCode::ONLY_TO_CUSTOMER => self.only_to_customer.changes(),
            _ => false,
        }
    }

    /// Writes one attribute; `received` is the block's own.
    fn write(
        &self,
        code: AttributeCode,
        received: Option<RawAttribute<'_>>,
        block: AttributeBlock<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), TooLong> {
        let partial = received.map_or(0, |a| a.flags.0 & AttributeFlags::PARTIAL);
        let flags = wire_flags(code).unwrap_or(AttributeFlags::OPTIONAL) | partial;
        let word = |out: &mut Vec<u8>, value: Option<u32>| {
            value.is_none_or(|v| push_attribute(out, flags, code, &v.to_be_bytes()))
        };
        let path = block.as_path();
        let fits = match code {
            AttributeCode::AS_PATH => patched_attribute(out, flags, code, |out| {
                self.write_path(path, &mut SegmentWriter::new(out, !self.two_octet_as), false);
            }),
            AttributeCode::AS4_PATH => patched_attribute(out, flags, code, |out| {
                self.write_path(path, &mut SegmentWriter::new(out, true), true);
            }),
            AttributeCode::MULTI_EXIT_DISC => word(out, self.med.apply(block.med())),
            AttributeCode::LOCAL_PREF => word(out, self.local_pref.apply(block.local_pref())),
            AttributeCode::AGGREGATOR => block
                .aggregator()
                .is_none_or(|a: Aggregator| push_attribute(out, flags, code, &a.two_octet_form())),
            AttributeCode::AS4_AGGREGATOR => {
                block.aggregator().is_none_or(|a| push_attribute(out, flags, code, &a.octets()))
            }
            AttributeCode::ORIGINATOR_ID => {
                word(out, self.originator_id.apply(block.originator_id()).map(|id| id.0))
            }
            AttributeCode::CLUSTER_LIST => match self.cluster_list {
                ClusterEdit::Prepend(id) => patched_attribute(out, flags, code, |out| {
                    out.extend_from_slice(&id.0.to_be_bytes());
                    out.extend_from_slice(received.map_or(&[], |a| a.value));
                }),
                ClusterEdit::Keep | ClusterEdit::Remove => true,
            },
            _ => word(out, self.only_to_customer.apply(block.only_to_customer()).map(|asn| asn.0)),
        };
        if fits { Ok(()) } else { Err(TooLong { attribute: code }) }
    }

    /// Whether AS4_PATH says more than AS_PATH; confederation segments are not in it (RFC 6793 §3).
    fn path_needs_four_octets(&self, path: AsPathView<'_>) -> bool {
        let prepended = self.prepended().is_some_and(|(asn, times)| times > 0 && !asn.fits_two_octets());
        let mut segments = path.segments().filter(|s| !s.kind.is_confederation());
        prepended || segments.any(|s| s.asns().any(|asn| !asn.fits_two_octets()))
    }

    /// Whether segments of a kind go out at all.
    const fn keeps(&self, kind: SegmentKind) -> bool {
        self.prepend.is_none() || !kind.is_confederation()
    }

    /// The path, with what is put in front. A leading sequence takes up to 255 AS numbers, a new one the others.
    fn write_path(&self, path: AsPathView<'_>, writer: &mut SegmentWriter<'_>, as4_path: bool) {
        let mut segments =
            path.segments().filter(|s| self.keeps(s.kind) && !(as4_path && s.kind.is_confederation()));
        let mut first = segments.next();
        if let Some((asn, times)) = self.prepended() {
            let leading = first.filter(|s| s.kind == SegmentKind::Sequence);
            let room = leading.map_or(0, |s| 255usize.saturating_sub(s.len()));
            let times = usize::from(times);
            let joined = times.min(room);
            let own = |n| core::iter::repeat_n(asn, n);
            writer.segment(SegmentKind::Sequence, own(times.saturating_sub(joined)));
            if let Some(segment) = leading {
                writer.segment(segment.kind, own(joined).chain(segment.asns()));
                first = None;
            }
        }
        for segment in first.into_iter().chain(segments) {
            writer.segment(segment.kind, segment.asns());
        }
    }
}
