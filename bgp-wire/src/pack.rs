//! UPDATE messages going out: as many NLRI in each as its size allows, attributes encoded once.
use bytes::{BufMut, BytesMut};

use crate::attributes::{AsPathView, AttributeCode, RawAttributes, mp, next_hop};
use crate::message::patch_len;
use crate::nlri::WriteNlri;
use crate::{Afi, Codec, Family, HEADER_LEN, MessageType, NextHop, PathId, PeerKind, Safi};

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
/// `attributes` is a canonical block, or what [`rewrite`](crate::rewrite) made of one. IPv4 unicast with an IPv4 next
/// hop goes into the classic fields, anything else into MP_REACH_NLRI, first in its section (RFC 7606 §5.1).
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
    let lawful =
        next_hop.is_sendable() && next_hop_fits(codec, family, next_hop) && path_fits(codec, attributes);
    let message = Draft { codec, family, form, next_hop: Some(next_hop), attributes };
    message.fill(out, nlri, lawful)
}

/// Appends UPDATEs that withdraw routes: the classic field for IPv4 unicast, else MP_UNREACH_NLRI.
pub fn withdraw<P: WriteNlri>(
    out: &mut BytesMut,
    codec: &Codec,
    family: Family,
    nlri: impl IntoIterator<Item = (PathId, P)>,
) -> Packed {
    let form = if family == Family::IPV4_UNICAST { Form::Withdrawn } else { Form::MpUnreach };
    Draft { codec, family, form, next_hop: None, attributes: &[] }.fill(out, nlri, true)
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

/// Whether ORIGIN and AS_PATH are there, and no confederation segments for somebody outside (RFC 5065 §4.1).
#[inline]
fn path_fits(codec: &Codec, attributes: &[u8]) -> bool {
    let mut origin = false;
    for attribute in RawAttributes::new(attributes) {
        match attribute.code {
            AttributeCode::ORIGIN => origin = true,
            AttributeCode::AS_PATH => {
                let path = AsPathView::new(attribute.value, codec.four_octet_as);
                let inside = codec.peer == PeerKind::Internal;
                return origin && (inside || !path.segments().any(|s| s.kind.is_confederation()));
            }
            _ => {}
        }
    }
    false
}

/// Whether the family may have such a next hop on this session (RFC 8950).
fn next_hop_fits(codec: &Codec, family: Family, next_hop: &NextHop) -> bool {
    let prefixes = family.is_ipv4_prefix()
        || family.is_ipv6_prefix()
        || family.is_labeled_unicast()
        || matches!(family.safi, Safi::VPN | Safi::VPN_MULTICAST);
    match next_hop {
        NextHop::Opaque(octets) => NextHop::decode(octets.as_bytes(), family, true).as_ref() == Ok(next_hop),
        NextHop::V4(_) => family.afi == Afi::IPV4 || !prefixes,
        _ if family.afi == Afi::IPV4 && prefixes => codec.extended_next_hop.contains(family),
        _ => true,
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
        // Copies of their own, which writing to `out` cannot change: the loop asks once.
        let family = self.family;
        let add_path = self.codec.add_path_tx.contains(family);
        let path_id = if add_path { 4 } else { 0 };
        let withdraws = self.withdraws();
        let room = self.room();
        let mut packed = Packed::default();
        let mut message = None;
        let mut left = 0;
        let mut chunk = Chunk::new();
        for (id, prefix) in nlri {
            let sendable =
                if withdraws { prefix.is_of(family) } else { prefix.is_sendable(family, self.codec) };
            if !lawful || !sendable {
                packed.refused = packed.refused.saturating_add(1);
                continue;
            }
            let octets = if withdraws { prefix.withdrawn_len(family) } else { prefix.wire_len() };
            let len = octets.saturating_add(path_id);
            if len > left {
                let Some(room) = room.filter(|room| len <= *room) else {
                    packed.too_large = packed.too_large.saturating_add(1);
                    continue;
                };
                if let Some(full) = message {
                    chunk.flush(out);
                    self.close(out, full);
                }
                message = Some(self.open(out));
                packed.messages = packed.messages.saturating_add(1);
                left = room;
            }
            if add_path {
                chunk.push(&id.0.to_be_bytes(), 4, out);
            }
            match prefix.prefix_octets() {
                Some(prefix) => chunk.push(&prefix, octets, out),
                None => {
                    chunk.flush(out);
                    if withdraws { prefix.write_withdrawn(family, out) } else { prefix.write(out) }
                }
            }
            packed.routes = packed.routes.wrapping_add(1);
            left = left.wrapping_sub(len);
        }
        if let Some(last) = message {
            chunk.flush(out);
            self.close(out, last);
        }
        packed
    }

    #[inline]
    fn withdraws(&self) -> bool {
        matches!(self.form, Form::Withdrawn | Form::MpUnreach)
    }

    /// The octets that a message leaves to NLRI; `None` when the rest alone is too long.
    fn room(&self) -> Option<usize> {
        let fixed = HEADER_LEN.saturating_add(4);
        let next_hop = self.next_hop.map_or(0, |next_hop| next_hop.field_len(self.family));
        let around = match self.form {
            // NEXT_HOP with its header.
            Form::Classic => 7,
            Form::Withdrawn => 0,
            // Header with two octets of length, family, length and octets of the next hop, reserved octet.
            Form::MpReach => next_hop.saturating_add(9),
            Form::MpUnreach => 7,
        };
        let rest = fixed.saturating_add(around).saturating_add(self.attributes.len());
        self.codec.max_len_tx().checked_sub(rest)
    }

    /// Writes everything that comes before the NLRI.
    fn open(&self, out: &mut BytesMut) -> Open {
        let start = out.len();
        out.put_slice(&EMPTY_UPDATE);
        match self.form {
            Form::Withdrawn => Open { start, section: Some(out.len().saturating_sub(2)), attribute: None },
            Form::Classic => {
                let len = self.attributes.len().saturating_add(7);
                out.put_u16(u16::try_from(len).unwrap_or(u16::MAX));
                self.put_attributes_with_next_hop(out);
                Open { start, section: None, attribute: None }
            }
            Form::MpReach | Form::MpUnreach => {
                out.put_u16(0);
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
        let mut raw = RawAttributes::new(self.attributes);
        let mut at = 0;
        while raw.next().is_some_and(|a| a.code < AttributeCode::NEXT_HOP) {
            at = self.attributes.len().saturating_sub(raw.rest().len());
        }
        let (before, after) = self.attributes.split_at_checked(at).unwrap_or((self.attributes, &[]));
        out.put_slice(before);
        if let Some(NextHop::V4(next_hop)) = self.next_hop {
            let [a, b, c, d] = next_hop.octets();
            out.put_slice(&[next_hop::ROW.flags, AttributeCode::NEXT_HOP.0, 4, a, b, c, d]);
        }
        out.put_slice(after);
    }
}

/// Header, without its length, and the length of the withdrawn routes.
const EMPTY_UPDATE: [u8; HEADER_LEN + 2] = {
    let mut m = [0xff; HEADER_LEN + 2];
    let [.., l1, l0, kind, w1, w0] = &mut m;
    (*l1, *l0, *kind, *w1, *w0) = (0, 0, MessageType::UPDATE.0, 0, 0);
    m
};

/// Prefixes on their way into a message: copies of a fixed size here, one longer copy from here.
struct Chunk {
    octets: [u8; Self::SIZE],
    len: usize,
}

impl Chunk {
    /// Two dozen prefixes: beyond that the copy from here is too rare to count, while clearing it would.
    const SIZE: usize = 128;

    #[inline]
    const fn new() -> Self {
        Self { octets: [0; Self::SIZE], len: 0 }
    }

    /// Adds the first `len` of some octets.
    #[inline]
    fn push<const N: usize>(&mut self, octets: &[u8; N], len: usize, out: &mut BytesMut) {
        if self.len.saturating_add(N) > Self::SIZE {
            self.flush(out);
        }
        if let Some(room) = self.octets.get_mut(self.len..).and_then(|room| room.first_chunk_mut::<N>()) {
            *room = *octets;
            self.len = self.len.wrapping_add(len);
        }
    }

    #[inline(never)]
    fn flush(&mut self, out: &mut BytesMut) {
        out.put_slice(self.octets.get(..self.len).unwrap_or_default());
        self.len = 0;
    }
}

/// Sets a two-octet length field to the number of octets behind it.
fn patch_to_end(out: &mut BytesMut, at: usize) {
    let len = u16::try_from(out.len().saturating_sub(at).saturating_sub(2)).unwrap_or(u16::MAX);
    if let Some(field) = out.get_mut(at..).and_then(|m| m.first_chunk_mut::<2>()) {
        *field = len.to_be_bytes();
    }
}
