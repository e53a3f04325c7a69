//! UPDATE messages going out: as many NLRI in each as its size allows, attributes encoded once.
use bytes::{BufMut, BytesMut};

use crate::attributes::{
    AsPathView, AttributeCode, AttributeFlags, RawAttributes, is_two_octet_path, mp, next_hop,
};
use crate::message::patch_len;
use crate::nlri::{MAX_PREFIX, WriteNlri};
use crate::{Afi, AttributeBlock, Codec, Family, HEADER_LEN, MessageType, NextHop, PathId, PeerKind};

/// NEXT_HOP with its header.
const CLASSIC_NEXT_HOP: usize = 7;
/// MP_REACH_NLRI but for next hop and NLRI: header with two octets of length, family, length of the next hop, reserved octet.
const MP_REACH_FRAME: usize = 9;

/// What became of the routes given to [`announce`] or [`withdraw`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Packed {
    /// Messages appended.
    pub messages: usize,
    /// Routes in them.
    pub routes: usize,
    /// Routes left out because not even one of them fits a message with its attributes.
    pub too_large: usize,
    /// Routes left out because the peer would refuse them: of another family, with a next hop the family cannot have, or
    /// with attributes that lack ORIGIN or AS_PATH, or take confederation segments outside.
    pub refused: usize,
}

/// Appends UPDATEs that announce routes with the same attributes.
///
/// `attributes` is a canonical block, or, where the peer reads AS numbers of two octets, what [`rewrite`](crate::rewrite)
/// made of one; of its values only the path is looked at again. IPv4 unicast with an IPv4 next
/// hop goes into the classic fields, anything else into MP_REACH_NLRI, first in its section (RFC 7606 §5.1). A BGP-LS route
/// that does not fit a message together with its BGP-LS attribute goes without that (RFC 9552 §5.3).
pub fn announce<P: WriteNlri>(
    out: &mut BytesMut,
    codec: &Codec,
    family: Family,
    next_hop: &NextHop,
    attributes: &[u8],
    nlri: impl IntoIterator<Item = (PathId, P)>,
) -> Packed {
    let form = match next_hop {
        NextHop::V4(_) if family == Family::IPV4_UNICAST => Form::Classic,
        _ => Form::MpReach,
    };
    let next_hop_fits = match next_hop {
        NextHop::V4(a) if form == Form::Classic => NextHop::host4(*a).is_ok(),
        _ => next_hop.is_sendable() && next_hop_fits(codec, family, next_hop),
    };
    let behind_path = behind_path(codec, attributes);
    let lawful = next_hop_fits && behind_path.is_some();
    let behind_path = behind_path.unwrap_or(0);
    let add_path = codec.add_path_tx.contains(family);
    let message = Draft { codec, family, form, next_hop: Some(next_hop), attributes, behind_path, add_path };
    if family.afi == Afi::BGP_LS {
        return message.fill_link_state(out, nlri, lawful);
    }
    message.fill(out, nlri, lawful)
}

/// How many octets of NLRI, path identifiers included, one message of [`announce`] has room for beside so many octets of
/// attributes.
#[must_use]
pub fn announce_room(codec: &Codec, family: Family, next_hop: &NextHop, attributes: usize) -> usize {
    let around = match next_hop {
        NextHop::V4(_) if family == Family::IPV4_UNICAST => CLASSIC_NEXT_HOP,
        _ => next_hop.field_len(family).saturating_add(MP_REACH_FRAME),
    };
    room_beside(codec, around.saturating_add(attributes))
}

/// What a message leaves to NLRI beside its header, its two lengths and so many octets.
#[inline]
fn room_beside(codec: &Codec, octets: usize) -> usize {
    codec.max_len_tx().saturating_sub(HEADER_LEN.saturating_add(4).saturating_add(octets))
}

/// Appends UPDATEs that withdraw routes: the classic field for IPv4 unicast, else MP_UNREACH_NLRI.
pub fn withdraw<P: WriteNlri>(
    out: &mut BytesMut,
    codec: &Codec,
    family: Family,
    nlri: impl IntoIterator<Item = (PathId, P)>,
) -> Packed {
    let form = if family == Family::IPV4_UNICAST { Form::Withdrawn } else { Form::MpUnreach };
    let add_path = codec.add_path_tx.contains(family);
    Draft { codec, family, form, next_hop: None, attributes: &[], behind_path: 0, add_path }
        .fill(out, nlri, true)
}

/// Appends the End-of-RIB marker of a family (RFC 4724 §2).
pub fn end_of_rib(out: &mut BytesMut, family: Family) {
    crate::message::write_message(out, MessageType::UPDATE, |out| {
        out.put_u16(0);
        if family == Family::IPV4_UNICAST {
            out.put_u16(0);
        } else {
            out.put_u16(6);
            out.put_slice(&[mp::ROW.flags, AttributeCode::MP_UNREACH_NLRI.0, 3]);
            put_family(out, family);
        }
    });
}

/// The octets up to the end of AS_PATH; `None` where it or ORIGIN is not there, or has confederation segments for somebody
/// outside (RFC 5065 §4.1).
#[inline]
fn behind_path(codec: &Codec, attributes: &[u8]) -> Option<usize> {
    const ORIGIN: u8 = AttributeCode::ORIGIN.0;
    const AS_PATH: u8 = AttributeCode::AS_PATH.0;
    const FLAGS: u8 = AttributeFlags::TRANSITIVE;
    // Blocks begin with both; a path of more than 255 octets is rare.
    if let [FLAGS, ORIGIN, 1, _, FLAGS, AS_PATH, len, rest @ ..] = attributes {
        let path = rest.get(..usize::from(*len))?;
        return may_have(codec, path).then(|| path.len().wrapping_add(7));
    }
    find_behind_path(codec, attributes)
}

/// The same of attributes in any order.
#[cold]
fn find_behind_path(codec: &Codec, attributes: &[u8]) -> Option<usize> {
    let mut raw = RawAttributes::new(attributes);
    let mut origin = false;
    loop {
        let attribute = raw.next()?;
        match attribute.code {
            AttributeCode::ORIGIN => origin = true,
            AttributeCode::AS_PATH => {
                let fits = origin && may_have(codec, attribute.value);
                return fits.then(|| attributes.len().wrapping_sub(raw.rest().len()));
            }
            _ => {}
        }
    }
}

/// Whether the peer may have a path: one with confederation segments stays inside.
#[inline]
fn may_have(codec: &Codec, path: &[u8]) -> bool {
    // A block has numbers of four octets: whoever forgot to rewrite it is told so.
    if !codec.four_octet_as && !is_two_octet_path(path) {
        return false;
    }
    let path = AsPathView::new(path, codec.four_octet_as);
    codec.peer == PeerKind::Internal || !path.segments().any(|s| s.kind.is_confederation())
}

/// Whether the family may have such a next hop on this session (RFC 8950).
fn next_hop_fits(codec: &Codec, family: Family, next_hop: &NextHop) -> bool {
    let told = !next_hop.needs_extended(family) || codec.extended_next_hop.contains(family);
    match next_hop {
        NextHop::Opaque(octets) => {
            told && NextHop::decode(octets.as_bytes(), family, told).as_ref() == Ok(next_hop)
        }
        NextHop::V4(_) => family.afi == Afi::IPV4 || !family.has_own_next_hops(),
        _ => told,
    }
}

fn put_family(out: &mut BytesMut, family: Family) {
    out.put_u16(family.afi.0);
    out.put_u8(family.safi.0);
}

/// Where the NLRI go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Classic,
    Withdrawn,
    MpReach,
    MpUnreach,
}

/// All that messages of one call have in common.
struct Draft<'a> {
    codec: &'a Codec,
    family: Family,
    form: Form,
    next_hop: Option<&'a NextHop>,
    attributes: &'a [u8],
    /// The octets up to the end of AS_PATH, behind which NEXT_HOP has its place.
    behind_path: usize,
    /// Routes have path identifiers.
    add_path: bool,
}

/// Places in a message under construction whose length is known only at its end.
#[derive(Debug, Clone, Copy, Default)]
struct Open {
    start: usize,
    /// The length field of the section that grows with the NLRI.
    section: Option<usize>,
    /// The length field of the MP attribute.
    attribute: Option<usize>,
}

impl Draft<'_> {
    fn fill<P: WriteNlri>(
        &self,
        out: &mut BytesMut,
        nlri: impl IntoIterator<Item = (PathId, P)>,
        lawful: bool,
    ) -> Packed {
        let mut nlri = nlri.into_iter();
        if !lawful {
            return Packed { refused: nlri.count(), ..Packed::default() };
        }
        let mut packed = Packed::default();
        let room = self.room();
        let mut next = nlri.next();
        while let Some((id, prefix)) = next {
            if self.check(&prefix, room, &mut packed) {
                let message = self.open(out);
                packed.messages = packed.messages.wrapping_add(1);
                next = self.put((id, prefix), &mut nlri, room, &mut packed, out);
                self.close(out, message);
            } else {
                next = nlri.next();
            }
        }
        packed
    }

    /// BGP-LS routes: those that do not fit beside the attribute that describes them go without it (RFC 9552 §5.3).
    #[cold]
    fn fill_link_state<P: WriteNlri>(
        &self,
        out: &mut BytesMut,
        nlri: impl IntoIterator<Item = (PathId, P)>,
        lawful: bool,
    ) -> Packed {
        let (mut bare, mut long) = (Vec::new(), Vec::new());
        AttributeBlock::trusted(self.attributes).append_without(AttributeCode::LINK_STATE, &mut bare);
        let room = self.room();
        let short = nlri.into_iter().filter_map(|(id, route)| {
            if self.len(&route) <= room {
                return Some((id, route));
            }
            long.push((id, route));
            None
        });
        let described = self.fill(out, short, lawful);
        let Self { codec, family, form, next_hop, behind_path, add_path, .. } = *self;
        let bare = Draft { codec, family, form, next_hop, attributes: &bare, behind_path, add_path }
            .fill(out, long, lawful);
        Packed {
            messages: described.messages.wrapping_add(bare.messages),
            routes: described.routes.wrapping_add(bare.routes),
            too_large: described.too_large.wrapping_add(bare.too_large),
            refused: described.refused.wrapping_add(bare.refused),
        }
    }

    /// Whether a route can be sent in a message with room for so many octets of routes; counted where not.
    #[inline]
    fn check<P: WriteNlri>(&self, prefix: &P, room: usize, packed: &mut Packed) -> bool {
        if !self.is_sendable(prefix) {
            packed.refused = packed.refused.wrapping_add(1);
            return false;
        }
        let fits = self.len(prefix) <= room;
        if !fits {
            packed.too_large = packed.too_large.wrapping_add(1);
        }
        fits
    }

    #[inline]
    fn is_sendable<P: WriteNlri>(&self, prefix: &P) -> bool {
        if self.withdraws() { prefix.is_of(self.family) } else { prefix.is_sendable(self.family, self.codec) }
    }

    /// The octets of a route, without a path identifier.
    #[inline]
    fn octets<P: WriteNlri>(&self, prefix: &P) -> usize {
        if self.withdraws() { prefix.withdrawn_len(self.family) } else { prefix.wire_len() }
    }

    #[inline]
    fn len<P: WriteNlri>(&self, prefix: &P) -> usize {
        self.octets(prefix).wrapping_add(if self.add_path { PATH_ID } else { 0 })
    }

    /// Writes routes into the open message, which has room for so many octets of them; the first has been checked. Gives the
    /// one for which another message is needed.
    #[inline]
    fn put<P: WriteNlri>(
        &self,
        first: (PathId, P),
        nlri: &mut impl Iterator<Item = (PathId, P)>,
        room: usize,
        packed: &mut Packed,
        out: &mut BytesMut,
    ) -> Option<(PathId, P)> {
        // Routes on their way into the message: copies of a fixed size here, one longer copy from here.
        let mut chunk = [0; CHUNK];
        let mut filled = 0usize;
        let (mut left, mut routes) = (room, 0usize);
        let mut next = Some(first);
        while let Some((id, prefix)) = next {
            let len = self.len(&prefix);
            if len > left || !self.is_sendable(&prefix) {
                if self.check(&prefix, room, packed) {
                    next = Some((id, prefix));
                    break;
                }
                next = nlri.next();
                continue;
            }
            if filled > FULL {
                flush(&chunk, &mut filled, out);
            }
            if self.add_path
                && let Some(slot) = chunk.get_mut(filled..).and_then(|room| room.first_chunk_mut())
            {
                *slot = id.0.to_be_bytes();
                filled = filled.wrapping_add(PATH_ID);
            }
            if chunk.get_mut(filled..).is_some_and(|room| prefix.write_prefix(room)) {
                filled = filled.wrapping_add(self.octets(&prefix));
            } else {
                flush(&chunk, &mut filled, out);
                if self.withdraws() { prefix.write_withdrawn(self.family, out) } else { prefix.write(out) }
            }
            routes = routes.wrapping_add(1);
            left = left.wrapping_sub(len);
            next = nlri.next();
        }
        flush(&chunk, &mut filled, out);
        packed.routes = packed.routes.wrapping_add(routes);
        next
    }

    #[inline]
    fn withdraws(&self) -> bool {
        matches!(self.form, Form::Withdrawn | Form::MpUnreach)
    }

    /// The octets that a message leaves to NLRI; 0 when the rest alone is too long.
    #[inline]
    fn room(&self) -> usize {
        let next_hop = self.next_hop.map_or(0, |next_hop| next_hop.field_len(self.family));
        let around = match self.form {
            Form::Classic => CLASSIC_NEXT_HOP,
            Form::Withdrawn => 0,
            Form::MpReach => next_hop.saturating_add(MP_REACH_FRAME),
            Form::MpUnreach => 7,
        };
        room_beside(self.codec, around.saturating_add(self.attributes.len()))
    }

    /// Writes everything that comes before the NLRI.
    fn open(&self, out: &mut BytesMut) -> Open {
        let start = out.len();
        let mut front = EMPTY_UPDATE;
        match self.form {
            Form::Withdrawn => {
                out.extend_from_slice(
                    front.first_chunk::<{ HEADER_LEN + 2 }>().unwrap_or(&[0; HEADER_LEN + 2]),
                );
                Open { start, section: Some(out.len().wrapping_sub(2)), attribute: None }
            }
            Form::Classic => {
                let len = u16::try_from(self.attributes.len().saturating_add(7)).unwrap_or(u16::MAX);
                let [.., l1, l0] = &mut front;
                [*l1, *l0] = len.to_be_bytes();
                out.extend_from_slice(&front);
                self.put_attributes_with_next_hop(out);
                Open { start, section: None, attribute: None }
            }
            Form::MpReach | Form::MpUnreach => {
                out.extend_from_slice(&front);
                let section = out.len().saturating_sub(2);
                let reach = self.form == Form::MpReach;
                let code = if reach { AttributeCode::MP_REACH_NLRI } else { AttributeCode::MP_UNREACH_NLRI };
                out.put_slice(&[mp::ROW.flags | 0x10, code.0, 0, 0]);
                let attribute = out.len().saturating_sub(2);
                put_family(out, self.family);
                if let Some(next_hop) = self.next_hop.filter(|_| reach) {
                    out.put_u8(u8::try_from(next_hop.field_len(self.family)).unwrap_or(0));
                    next_hop.encode(self.family, out);
                    out.put_u8(0);
                }
                Open { start, section: Some(section), attribute: Some(attribute) }
            }
        }
    }

    /// Writes what comes behind the NLRI, and the lengths.
    #[inline(always)]
    fn close(&self, out: &mut BytesMut, open: Open) {
        if let Some(at) = open.attribute {
            patch_to_end(out, at);
        }
        if self.form == Form::MpReach {
            out.extend_from_slice(self.attributes);
        }
        if let Some(at) = open.section {
            patch_to_end(out, at);
        }
        if self.form == Form::Withdrawn {
            out.put_u16(0);
        }
        patch_len(out, open.start);
    }

    /// The attributes with NEXT_HOP in its place by code.
    fn put_attributes_with_next_hop(&self, out: &mut BytesMut) {
        let parts = self.attributes.split_at_checked(self.behind_path);
        let (before, after) = parts.unwrap_or((self.attributes, &[]));
        out.extend_from_slice(before);
        if let Some(NextHop::V4(next_hop)) = self.next_hop {
            let [a, b, c, d] = next_hop.octets();
            out.extend_from_slice(&[next_hop::ROW.flags, AttributeCode::NEXT_HOP.0, 4, a, b, c, d]);
        }
        out.extend_from_slice(after);
    }
}

/// Header, without its length, and the lengths of the withdrawn routes and of the attributes.
const EMPTY_UPDATE: [u8; HEADER_LEN + 4] = {
    let mut m = [0xff; HEADER_LEN + 4];
    let [.., l1, l0, kind, w1, w0, a1, a0] = &mut m;
    (*l1, *l0, *kind, *w1, *w0, *a1, *a0) = (0, 0, MessageType::UPDATE.0, 0, 0, 0, 0);
    m
};

/// Octets of a path identifier (RFC 7911 §3).
const PATH_ID: usize = 4;

/// Octets of routes that are put together: two dozen prefixes. Beyond that the copy from there is too rare to count,
/// while clearing it would.
const CHUNK: usize = 128;
/// Beyond this there may be no room for a path identifier and a prefix.
const FULL: usize = CHUNK - MAX_PREFIX - PATH_ID;

/// Appends what was put together.
#[inline]
fn flush(chunk: &[u8; CHUNK], filled: &mut usize, out: &mut BytesMut) {
    out.extend_from_slice(chunk.get(..*filled).unwrap_or_default());
    *filled = 0;
}

/// Sets a two-octet length field to the number of octets behind it.
fn patch_to_end(out: &mut BytesMut, at: usize) {
    let len = u16::try_from(out.len().saturating_sub(at).saturating_sub(2)).unwrap_or(u16::MAX);
    if let Some(field) = out.get_mut(at..).and_then(|m| m.first_chunk_mut::<2>()) {
        *field = len.to_be_bytes();
    }
}
