//! MRT files (RFC 6396, RFC 8050): the BGP messages of BGP4MP records, and the paths of table dumps.
use std::net::{Ipv4Addr, Ipv6Addr};

use bgp_wire::{Codec, Family, FamilySet, PeerKind};

use super::record::Record;
use super::stream::Splitter;
use super::table_dump::Peers;

const TABLE_DUMP_V2: u16 = 13;
const BGP4MP: u16 = 16;
const BGP4MP_ET: u16 = 17;

/// Reads records until the end or until one is cut short. Records of other types are counted. A record with the ASes of both
/// ends says whether the peer is external, unless that was told already.
pub(crate) fn messages(file: &[u8], codec: &Codec, peer_is_told: bool, emit: &mut impl FnMut(Record)) {
    let mut rest = file;
    let mut number = 0u64;
    let mut other = 0u64;
    let mut peers = Peers::default();
    while !rest.is_empty() {
        number = number.saturating_add(1);
        let Some((kind, subtype, body, after)) = record(rest) else {
            emit(Record::error(&format!("record {number}"), "the record is cut short"));
            break;
        };
        rest = after;
        if kind == TABLE_DUMP_V2 {
            let source = format!("record {number}");
            if peers.record(subtype, body, codec, emit, &source).is_none() {
                other = other.saturating_add(1);
            }
            continue;
        }
        match message(kind, subtype, body, codec) {
            Some(Told { from, octets, peer, mut codec }) => {
                codec.peer = peer.filter(|_| !peer_is_told).unwrap_or(codec.peer);
                let mut splitter = Splitter::new(&codec);
                splitter.push(octets, &format!("record {number}, from {from}"), emit);
                splitter.give_up(emit);
            }
            None => other = other.saturating_add(1),
        }
    }
    if number > 0 && other == number {
        emit(Record::error("file", &format!("none of its {number} records holds a BGP message or a path")));
    }
}

type Parts<'a> = (u16, u16, &'a [u8], &'a [u8]);

/// Type, subtype, body, and what follows.
fn record(bytes: &[u8]) -> Option<Parts<'_>> {
    let [_, _, _, _, t1, t0, s1, s0, l3, l2, l1, l0, rest @ ..] = bytes else { return None };
    let len = usize::try_from(u32::from_be_bytes([*l3, *l2, *l1, *l0])).ok()?;
    let (body, after) = rest.split_at_checked(len)?;
    Some((u16::from_be_bytes([*t1, *t0]), u16::from_be_bytes([*s1, *s0]), body, after))
}

/// What a record says of a message.
struct Told<'a> {
    /// The sender.
    from: String,
    octets: &'a [u8],
    /// What the sender is, where both ASes are there: some collectors leave theirs out.
    peer: Option<PeerKind>,
    codec: Codec,
}

/// The ASes of the two ends.
fn peer_kind(ases: &[u8]) -> Option<PeerKind> {
    let (peer, local) = ases.split_at_checked(ases.len() / 2)?;
    let is_known = |asn: &[u8]| asn.iter().any(|octet| *octet != 0);
    let kind = if peer == local { PeerKind::Internal } else { PeerKind::External };
    (is_known(peer) && is_known(local)).then_some(kind)
}

/// The message and its context; `None` for a record that holds none.
fn message<'a>(kind: u16, subtype: u16, body: &'a [u8], codec: &Codec) -> Option<Told<'a>> {
    let body = match kind {
        BGP4MP => body,
        // Microseconds.
        BGP4MP_ET => body.get(4..)?,
        _ => return None,
    };
    // MESSAGE, MESSAGE_AS4, both _LOCAL, and the four with ADD-PATH.
    let four_octet_as = match subtype {
        1 | 6 | 8 | 10 => false,
        4 | 7 | 9 | 11 => true,
        _ => return None,
    };
    let mut codec = Codec { four_octet_as, extended_message_rx: true, ..*codec };
    if subtype >= 8 {
        codec.add_path_rx = FamilySet::of(Family::KNOWN);
    }
    // Peer and local AS, interface, AFI, peer and local address.
    let (ases, rest) = body.split_at_checked(if four_octet_as { 8 } else { 4 })?;
    let peer = peer_kind(ases);
    let rest = rest.get(2..)?;
    let (afi, rest) = rest.split_first_chunk::<2>()?;
    let (from, octets) = match u16::from_be_bytes(*afi) {
        1 => (rest.first_chunk::<4>().map(|a| Ipv4Addr::from(*a).to_string())?, rest.get(8..)?),
        2 => (rest.first_chunk::<16>().map(|a| Ipv6Addr::from(*a).to_string())?, rest.get(32..)?),
        _ => return None,
    };
    Some(Told { from, octets, peer, codec })
}
