//! From a canonical block to what one group of peers is sent: one walk that copies what it does not change.
use crate::attributes::{
    Aggregator, AsPathView, AttributeCode, AttributeFlags, ExtendedCommunity, RawAttribute, RawAttributes,
    SegmentKind, SegmentWriter, add_aigp, aigp_metric, lasting_flags, patched_attribute, push_attribute,
    push_header, push_word, wire_flags,
};
use crate::parse::front32;
use crate::path_attributes::AttributeSet;
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

/// What to do with AIGP, where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AigpEdit {
    /// Leave it; [`Rewrite::leaves_as`] takes it out.
    #[default]
    Keep,
    /// So much more, across the border of an AS too: a next hop was put in place of another (RFC 7311 §3.4.3). Not there,
    /// where the sum is beyond the range.
    Add(u64),
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
    /// AIGP.
    pub aigp: AigpEdit,
    /// Leave behind what stays within an AS: AIGP (RFC 7311 §3.3), PREFIX_SID (RFC 8669 §5), TUNNEL_ENCAPSULATION and the
    /// extended community of that name (RFC 9012 §11), the extended communities of both kinds that are not transitive
    /// (RFC 4360 §6), and confederation segments of the path (RFC 5065 §4.1).
    pub leaves_as: bool,
    /// With `leaves_as`: tunnels and segments go along, for a peer of the same administration; see
    /// [`Codec::same_domain`](crate::Codec::same_domain).
    pub same_domain: bool,
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

/// Appends the block as `how` says; the result goes to [`announce`](crate::announce), which adds the next hop.
pub fn rewrite(block: AttributeBlock<'_>, how: &Rewrite, out: &mut Vec<u8>) -> Result<(), TooLong> {
    let start = out.len();
    let bytes = block.as_bytes();
    let mut raw = RawAttributes::new(bytes);
    let changed = how.changed(block);
    let missing = how.inserted(block);
    let mut copied = 0;
    let mut written = Ok(());
    for code in changed.union(missing).codes() {
        // What is below stays. On octets that are no block the walk ends early.
        while raw.rest().get(1).is_some_and(|next| *next < code.0) && raw.next().is_some() {}
        let at = bytes.len().wrapping_sub(raw.rest().len());
        let received = if raw.rest().get(1) == Some(&code.0) { raw.next() } else { None };
        let wanted = if received.is_some() { changed } else { missing };
        if wanted.contains(code) {
            copy(bytes, &mut copied, at, out);
            copied = bytes.len().wrapping_sub(raw.rest().len());
            written = written.and(how.write(code, received, block, out));
        }
    }
    copy(bytes, &mut copied, bytes.len(), out);
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// Appends extended communities without those that do not go on; nothing where none are left.
pub(crate) fn push_filtered<const N: usize>(
    out: &mut Vec<u8>,
    flags: u8,
    code: AttributeCode,
    communities: &[u8],
    goes: impl Fn(&[u8; N]) -> bool,
) -> bool {
    let (all, _) = communities.as_chunks::<N>();
    let crosses = |c: &&[u8; N]| goes(c);
    let count = all.iter().filter(crosses).count();
    if count == 0 {
        return true;
    }
    let fits = push_header(out, flags, code, count.saturating_mul(N));
    if fits {
        all.iter().filter(crosses).for_each(|community| out.extend_from_slice(community));
    }
    fits
}

/// Whether an extended community crosses the border of an AS (RFC 4360 §2).
fn is_transitive(community: &[u8]) -> bool {
    community.first().is_some_and(|kind| kind & ExtendedCommunity::NON_TRANSITIVE == 0)
}

/// Copies what has not been copied, up to `end`.
#[inline]
fn copy(bytes: &[u8], copied: &mut usize, end: usize, out: &mut Vec<u8>) {
    if *copied == end {
        return;
    }
    out.extend_from_slice(bytes.get(*copied..end).unwrap_or_default());
    *copied = end;
}

/// Whether the path has segments of a confederation.
fn is_confederated(block: AttributeBlock<'_>) -> bool {
    block.as_path().segments().any(|s| s.kind.is_confederation())
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

    /// The same edit of what a value holds.
    #[inline]
    fn map<U>(self, f: impl FnOnce(T) -> U) -> Edit<U> {
        match self {
            Self::Keep => Edit::Keep,
            Self::Set(value) => Edit::Set(f(value)),
            Self::SetIfAbsent(value) => Edit::SetIfAbsent(f(value)),
            Self::Remove => Edit::Remove,
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

    /// The attributes that are written where the block lacks them.
    #[inline]
    fn inserted(&self, block: AttributeBlock<'_>) -> AttributeSet {
        let mut set = AttributeSet::default();
        set.insert_if(AttributeCode::AS_PATH, self.prepend.is_some());
        set.insert_if(AttributeCode::MULTI_EXIT_DISC, self.med.inserts());
        set.insert_if(AttributeCode::LOCAL_PREF, self.local_pref.inserts());
        set.insert_if(AttributeCode::ORIGINATOR_ID, self.originator_id.inserts());
        set.insert_if(AttributeCode::CLUSTER_LIST, matches!(self.cluster_list, ClusterEdit::Prepend(_)));
        set.insert_if(AttributeCode::ONLY_TO_CUSTOMER, self.only_to_customer.inserts());
        if self.two_octet_as {
            let aggregator = block.aggregator().is_some_and(|a| !a.asn.fits_two_octets());
            set.insert_if(AttributeCode::AS4_PATH, self.path_needs_four_octets(block.as_path()));
            set.insert_if(AttributeCode::AS4_AGGREGATOR, aggregator);
        }
        set
    }

    /// The attributes that are written anew where the block has them.
    #[inline]
    fn changed(&self, block: AttributeBlock<'_>) -> AttributeSet {
        let mut set = AttributeSet::empty();
        let path = self.prepend.is_some() || self.two_octet_as;
        set.insert_if(AttributeCode::AS_PATH, path || (self.leaves_as && is_confederated(block)));
        set.insert_if(AttributeCode::MULTI_EXIT_DISC, self.med.changes());
        set.insert_if(AttributeCode::LOCAL_PREF, self.local_pref.changes());
        set.insert_if(AttributeCode::AGGREGATOR, self.two_octet_as);
        set.insert_if(AttributeCode::ORIGINATOR_ID, self.originator_id.changes());
        set.insert_if(AttributeCode::CLUSTER_LIST, !matches!(self.cluster_list, ClusterEdit::Keep));
        set.insert_if(AttributeCode::ONLY_TO_CUSTOMER, self.only_to_customer.changes());
        set.insert_if(AttributeCode::EXTENDED_COMMUNITIES, self.leaves_as);
        set.insert_if(AttributeCode::IPV6_EXTENDED_COMMUNITIES, self.leaves_as);
        set.insert_if(AttributeCode::AIGP, self.leaves_as || !matches!(self.aigp, AigpEdit::Keep));
        let leaves_domain = self.leaves_as && !self.same_domain;
        set.insert_if(AttributeCode::PREFIX_SID, leaves_domain);
        set.insert_if(AttributeCode::TUNNEL_ENCAPSULATION, leaves_domain);
        set
    }

    /// Writes one attribute; `received` is the block's own.
    fn write(
        &self,
        code: AttributeCode,
        received: Option<RawAttribute<'_>>,
        block: AttributeBlock<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), TooLong> {
        let partial = received.map_or(0, |a| lasting_flags(a.flags.0, code) & AttributeFlags::PARTIAL);
        let flags = wire_flags(code).unwrap_or(AttributeFlags::OPTIONAL) | partial;
        let word = |out: &mut Vec<u8>, edit: Edit<u32>| {
            edit.apply(received.and_then(|a| front32(a.value))).is_none_or(|v| push_word(out, flags, code, v))
        };
        let fits = match code {
            AttributeCode::AS_PATH => patched_attribute(out, flags, code, |out| {
                self.write_path(block.as_path(), &mut SegmentWriter::new(out, !self.two_octet_as), false);
            }),
            AttributeCode::AS4_PATH => patched_attribute(out, flags, code, |out| {
                self.write_path(block.as_path(), &mut SegmentWriter::new(out, true), true);
            }),
            AttributeCode::MULTI_EXIT_DISC => word(out, self.med),
            AttributeCode::LOCAL_PREF => word(out, self.local_pref),
            AttributeCode::AGGREGATOR => block
                .aggregator()
                .is_none_or(|a: Aggregator| push_attribute(out, flags, code, &a.two_octet_form())),
            AttributeCode::AS4_AGGREGATOR => {
                block.aggregator().is_none_or(|a| push_attribute(out, flags, code, &a.octets()))
            }
            AttributeCode::ORIGINATOR_ID => word(out, self.originator_id.map(|id| id.0)),
            AttributeCode::CLUSTER_LIST => match self.cluster_list {
                ClusterEdit::Prepend(id) => {
                    let behind = received.map_or(&[][..], |a| a.value);
                    let fits = push_header(out, flags, code, behind.len().saturating_add(4));
                    if fits {
                        out.extend_from_slice(&id.0.to_be_bytes());
                        out.extend_from_slice(behind);
                    }
                    fits
                }
                ClusterEdit::Keep | ClusterEdit::Remove => true,
            },
            AttributeCode::EXTENDED_COMMUNITIES => {
                let goes = |c: &[u8; 8]| {
                    is_transitive(c) && (self.same_domain || !ExtendedCommunity(*c).is_encapsulation())
                };
                received.is_none_or(|a| push_filtered(out, flags, code, a.value, goes))
            }
            AttributeCode::IPV6_EXTENDED_COMMUNITIES => {
                received.is_none_or(|a| push_filtered::<20>(out, flags, code, a.value, |c| is_transitive(c)))
            }
            AttributeCode::AIGP => match (self.aigp, received) {
                // A sum beyond the range is no metric that others take (RFC 7311 §3).
                (AigpEdit::Add(more), Some(a))
                    if aigp_metric(a.value).is_none_or(|m| m.saturating_add(more) < u64::MAX) =>
                {
                    patched_attribute(out, flags, code, |out| add_aigp(a.value, more, out))
                }
                _ => true,
            },
            AttributeCode::PREFIX_SID | AttributeCode::TUNNEL_ENCAPSULATION => true,
            _ => word(out, self.only_to_customer.map(|asn| asn.0)),
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
        (self.prepend.is_none() && !self.leaves_as) || !kind.is_confederation()
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
