//! From a received UPDATE to the one that a route reflector sends, octets copied (RFC 4456 §8).
use core::fmt;

use bytes::BytesMut;

use super::UpdateView;
use super::index::Block;
use crate::attributes::{
    AttributeCode, AttributeFlags, LargeCommunities, RawAttribute, RawAttributes, lasting_flags, wire_flags,
};
use crate::message::{HEADER_LEN, MessageType};
use crate::{Afi, ClusterId, Codec, Family, PeerKind, Reaction, RouterId};

/// What a reflector says of a route that it passes on (RFC 4456 §8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reflection {
    /// The identifier of the speaker that the route came from, for a route that has no ORIGINATOR_ID.
    pub originator_id: RouterId,
    /// The cluster to put in front of CLUSTER_LIST.
    pub cluster_id: ClusterId,
}

/// Why a message cannot be reflected octet for octet; the way over
/// [`canonical_attributes`](UpdateView::canonical_attributes) and [`rewrite`](crate::rewrite()) stands open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotReflected {
    /// It has faults, so that what it shows is less than its octets.
    Faulty,
    /// It has the same large community twice, which must not be sent (RFC 8092 §3).
    Redundant,
    /// It has attributes that are unknown, which are to be marked or left out (RFC 4271 §5).
    Unknown,
    /// An attribute has flag bits that must be 0 when sent (RFC 4271 §4.3).
    Flags,
    /// The receiver reads something in another form, AS numbers, path identifiers, labels, next hops, or not at all; or it
    /// stands in a form that must not be sent: routes in several fields, MP attributes behind others (RFC 7606 §5.1).
    Form,
    /// It is an End-of-RIB marker or carries no route, which is no business of others.
    NoRoutes,
    /// It would be longer than the receiver takes.
    TooLong,
}

impl fmt::Display for NotReflected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Faulty => "the message has faults: rebuild it from what it shows",
            Self::Redundant => "a large community is there twice: rebuild the message",
            Self::Unknown => "unknown attributes are to be marked: rebuild the message",
            Self::Flags => "flag bits are to be cleared: rebuild the message",
            Self::Form => "the receiver reads another form: rebuild the message",
            Self::NoRoutes => "the message has no routes",
            Self::TooLong => "too long for the receiver: send it in parts",
        })
    }
}

impl core::error::Error for NotReflected {}

/// Where the added attributes go, and what they replace.
struct Splice<'a> {
    /// Octets of the section before them.
    before: usize,
    /// Where the section goes on behind them.
    after: usize,
    /// The received CLUSTER_LIST.
    clusters: &'a [u8],
    has_originator: bool,
}

impl UpdateView<'_> {
    /// Appends the message with ORIGINATOR_ID, where it has none, and with the cluster in front of CLUSTER_LIST; all else
    /// is copied. Nothing is allocated but what `out` lacks in room, and nothing is appended on an error. Whether the
    /// routes may be reflected (loops, policy) is the caller's question; path identifiers go out as they came in.
    pub fn reflect(&self, to: &Codec, how: &Reflection, out: &mut BytesMut) -> Result<(), NotReflected> {
        if self.outcome() != Reaction::Accept {
            return Err(NotReflected::Faulty);
        }
        if !self.reads_the_same(to) {
            return Err(NotReflected::Form);
        }
        let (section, index) = (self.section(), self.index());
        let (body, base) = (self.body(), usize::from(index.attributes.start));
        let splice = match self.indexed_splice(section) {
            Some(splice) => splice,
            None => splice(section)?,
        };
        let announces = index.announced(body).is_some() || index.mp_reach.is_some_and(|b| b.nlri.len != 0);
        if !announces {
            let withdraws =
                index.withdrawn(body).is_some() || index.mp_unreach.is_some_and(|b| b.nlri.len != 0);
            return if withdraws { copy(body, to, out) } else { Err(NotReflected::NoRoutes) };
        }
        // All of these are parts of a message or as short as an attribute.
        let clusters = splice.clusters.len().wrapping_add(4);
        let header = if clusters > usize::from(u8::MAX) { 4 } else { 3 };
        let originator = if splice.has_originator { 0 } else { 7usize };
        let replaced = splice.after.wrapping_sub(splice.before);
        let added = originator.wrapping_add(clusters).wrapping_add(header);
        let len = section.len().wrapping_sub(replaced).wrapping_add(added);
        let whole = body.len().wrapping_sub(section.len()).wrapping_add(len).wrapping_add(HEADER_LEN);
        if whole > to.max_len_tx() {
            return Err(NotReflected::TooLong);
        }
        out.reserve(whole);
        put_front(out, whole, body.get(..base.saturating_sub(2)).unwrap_or_default(), len);
        out.extend_from_slice(section.get(..splice.before).unwrap_or_default());
        put_added(out, how, &splice, clusters);
        // The other attributes and the NLRI field.
        out.extend_from_slice(body.get(base.saturating_add(splice.after)..).unwrap_or_default());
        Ok(())
    }

    /// The place of the added attributes from what the index knows, for a message in which every attribute can be copied and
    /// that has them in order, the MP attributes wherever they are.
    #[inline]
    fn indexed_splice<'a>(&self, section: &'a [u8]) -> Option<Splice<'a>> {
        let index = self.index();
        if !index.is_plain() {
            return None;
        }
        let low = index.present & UP_TO_CLUSTER_LIST;
        let last = usize::try_from(63u32.checked_sub(low.leading_zeros())?).ok()?;
        let at = section.len().wrapping_sub(usize::from(*index.left.get(last)?));
        let mut raw = RawAttributes::new(section.get(at..)?);
        let last = raw.next()?;
        let after = section.len().wrapping_sub(raw.rest().len());
        let has_originator = index.shows(AttributeCode::ORIGINATOR_ID);
        if last.code == AttributeCode::CLUSTER_LIST {
            return Some(Splice { before: at, after, clusters: last.value, has_originator });
        }
        Some(Splice { before: after, after, clusters: &[], has_originator })
    }

    /// Whether the receiver makes of the octets what their sender meant.
    #[inline]
    fn reads_the_same(&self, to: &Codec) -> bool {
        let index = self.index();
        to.peer == PeerKind::Internal
            && to.four_octet_as == index.four_octet_as
            && self.is_in_form()
            && !(index.foreign && self.is_filtered(self.extended_communities().as_bytes()))
            && (self.has_no_classic() || self.reads_classic(to))
            && index.mp_reach.is_none_or(|block| self.reads_reach(&block, to))
            && index.mp_unreach.is_none_or(|block| reads_block(&block, to))
    }

    /// Whether it stands as a speaker must write it: one field with routes, MP attributes first (RFC 7606 §5.1).
    #[inline]
    fn is_in_form(&self) -> bool {
        let (index, body) = (self.index(), self.body());
        let mp = index.mp_reach.is_some() || index.mp_unreach.is_some();
        if !mp {
            return index.attributes.start == 4 || index.attributes.end() == body.len();
        }
        let first = index.attributes.of(body).get(1);
        let is_mp = |code: &u8| {
            matches!(AttributeCode(*code), AttributeCode::MP_REACH_NLRI | AttributeCode::MP_UNREACH_NLRI)
        };
        self.has_no_classic()
            && (index.mp_reach.is_none() || index.mp_unreach.is_none())
            && first.is_some_and(is_mp)
    }

    /// Whether there are no octets in the classic fields.
    #[inline]
    fn has_no_classic(&self) -> bool {
        let attributes = self.index().attributes;
        attributes.start == 4 && attributes.end() == self.body().len()
    }

    /// Routes of a family that was not negotiated were passed over, and do not go on.
    #[inline]
    fn reads_classic(&self, to: &Codec) -> bool {
        let family = Family::IPV4_UNICAST;
        let add_path = to.add_path_tx.contains(family);
        to.families.contains(family) && self.index().classic.is_some_and(|form| form.add_path == add_path)
    }

    fn reads_reach(&self, block: &Block, to: &Codec) -> bool {
        let family = block.family;
        let labels = !family.has_labels() || to.multiple_labels.contains(family) == block.form.stacks;
        let next_hop = family.afi != Afi::IPV4
            || to.extended_next_hop.contains(family)
            || self.mp_next_hop().is_none_or(|next_hop| !next_hop.needs_extended(family));
        labels && next_hop && reads_block(block, to)
    }
}

/// Whether the receiver reads a family, with path identifiers or without.
fn reads_block(block: &Block, to: &Codec) -> bool {
    to.families.contains(block.family) && to.add_path_tx.contains(block.family) == block.form.add_path
}

/// The codes up to that of CLUSTER_LIST.
const UP_TO_CLUSTER_LIST: u64 = (2 << AttributeCode::CLUSTER_LIST.0) - 1;

/// Finds the place of the added attributes; an error where an attribute is not to be copied.
#[inline]
fn splice(section: &[u8]) -> Result<Splice<'_>, NotReflected> {
    let mut raw = RawAttributes::new(section);
    let (mut place, mut at) = (None, 0);
    let mut found = Splice { before: 0, after: 0, clusters: &[], has_originator: false };
    while let Some(RawAttribute { flags, code, value }) = raw.next() {
        let end = section.len().saturating_sub(raw.rest().len());
        if wire_flags(code).is_none() {
            return Err(NotReflected::Unknown);
        }
        // CLUSTER_LIST is written anew.
        let sent = flags.0 & !AttributeFlags::EXTENDED_LENGTH;
        if lasting_flags(flags.0, code) != sent && code != AttributeCode::CLUSTER_LIST {
            return Err(NotReflected::Flags);
        }
        match code {
            AttributeCode::MP_REACH_NLRI | AttributeCode::MP_UNREACH_NLRI => {}
            AttributeCode::ORIGINATOR_ID => found.has_originator = true,
            AttributeCode::CLUSTER_LIST => {
                place = Some((at, end));
                found.clusters = value;
            }
            AttributeCode::LARGE_COMMUNITIES if LargeCommunities::new(value).has_duplicates() => {
                return Err(NotReflected::Redundant);
            }
            _ if code > AttributeCode::CLUSTER_LIST => place = place.or(Some((at, at))),
            _ => {}
        }
        at = end;
    }
    (found.before, found.after) = place.unwrap_or((section.len(), section.len()));
    Ok(found)
}

/// The header, the withdrawn routes with their length, and the length of the attributes. A message without withdrawn
/// routes, which most are, has its front in one piece.
#[inline]
fn put_front(out: &mut BytesMut, whole: usize, withdrawn: &[u8], attributes: usize) {
    let [l1, l0] = u16::try_from(whole).unwrap_or(u16::MAX).to_be_bytes();
    let [a1, a0] = u16::try_from(attributes).unwrap_or(u16::MAX).to_be_bytes();
    let mut front = [0xff; HEADER_LEN + 4];
    let [.., m1, m0, kind, w1, w0, n1, n0] = &mut front;
    (*m1, *m0, *kind) = (l1, l0, MessageType::UPDATE.0);
    (*w1, *w0, *n1, *n0) = (0, 0, a1, a0);
    if withdrawn.len() == 2 {
        return out.extend_from_slice(&front);
    }
    out.extend_from_slice(front.first_chunk::<HEADER_LEN>().unwrap_or(&[0; HEADER_LEN]));
    out.extend_from_slice(withdrawn);
    out.extend_from_slice(&[a1, a0]);
}

/// ORIGINATOR_ID, where there was none, and CLUSTER_LIST with so many octets.
#[inline]
fn put_added(out: &mut BytesMut, how: &Reflection, splice: &Splice<'_>, clusters: usize) {
    let [o3, o2, o1, o0] = how.originator_id.0.to_be_bytes();
    let [c3, c2, c1, c0] = how.cluster_id.0.to_be_bytes();
    let flags = AttributeFlags::OPTIONAL;
    let (id, list) = (AttributeCode::ORIGINATOR_ID.0, AttributeCode::CLUSTER_LIST.0);
    match u8::try_from(clusters) {
        Ok(len) if !splice.has_originator => {
            let both = [AttributeFlags::OPTIONAL, id, 4, o3, o2, o1, o0, flags, list, len, c3, c2, c1, c0];
            out.extend_from_slice(&both);
        }
        Ok(len) => out.extend_from_slice(&[flags, list, len, c3, c2, c1, c0]),
        Err(_) => {
            if !splice.has_originator {
                out.extend_from_slice(&[AttributeFlags::OPTIONAL, id, 4, o3, o2, o1, o0]);
            }
            let [l1, l0] = u16::try_from(clusters).unwrap_or(u16::MAX).to_be_bytes();
            let flags = flags | AttributeFlags::EXTENDED_LENGTH;
            out.extend_from_slice(&[flags, list, l1, l0, c3, c2, c1, c0]);
        }
    }
    if !splice.clusters.is_empty() {
        out.extend_from_slice(splice.clusters);
    }
}

/// A message of withdrawals goes out as it came in.
fn copy(body: &[u8], to: &Codec, out: &mut BytesMut) -> Result<(), NotReflected> {
    let len = body.len().saturating_add(HEADER_LEN);
    if len > to.max_len_tx() {
        return Err(NotReflected::TooLong);
    }
    out.reserve(len);
    let [l1, l0] = u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes();
    out.extend_from_slice(&[0xff; 16]);
    out.extend_from_slice(&[l1, l0, MessageType::UPDATE.0]);
    out.extend_from_slice(body);
    Ok(())
}
