//! MRT table dumps (RFC 6396 §4.3, RFC 8050 §4): each path of a dumped table as the UPDATE that would tell it.
use std::net::{Ipv4Addr, Ipv6Addr};

use bgp_wire::{Codec, Family, FamilySet, HEADER_LEN};
use bytes::Bytes;

use super::record::Record;

const PEER_INDEX_TABLE: u16 = 1;
const MP_REACH_NLRI: u8 = 14;
/// Optional, with a length of two octets.
const MP_REACH_FLAGS: u8 = 0x90;
const EXTENDED_LENGTH: u8 = 0x10;

/// Whose paths the entries of a dump are, by their index.
#[derive(Default)]
pub(crate) struct Peers(Vec<String>);

/// What the entries of one record are about.
struct Table {
    family: Family,
    add_path: bool,
}

impl Peers {
    /// The paths of one record; `None` for a record that holds none and is no table of peers.
    pub(crate) fn record(
        &mut self,
        subtype: u16,
        body: &[u8],
        codec: &Codec,
        emit: &mut impl FnMut(Record),
        source: &str,
    ) -> Option<()> {
        if subtype == PEER_INDEX_TABLE {
            self.0 = peers(body)?;
            return Some(());
        }
        // A sequence number comes first.
        let (table, rest) = table(subtype, body.get(4..)?)?;
        let (nlri, rest) = rest.split_at_checked(1 + usize::from(rest.first()?.div_ceil(8)))?;
        let (count, mut rest) = rest.split_first_chunk::<2>()?;
        for _ in 0..u16::from_be_bytes(*count) {
            let Some((entry, after)) = entry(rest, table.add_path) else {
                emit(Record::error(source, "an entry is cut short"));
                break;
            };
            rest = after;
            let from =
                self.0.get(usize::from(entry.peer)).map_or("a peer that is not in the index", String::as_str);
            let source = format!("{source}, from {from}");
            let mut codec = Codec { four_octet_as: true, extended_message_rx: true, ..*codec };
            if table.add_path {
                codec.add_path_rx = FamilySet::of(Family::KNOWN);
            }
            match update(&table, &entry, nlri) {
                Some(frame) => emit(Record::message(&source, &frame, &codec)),
                None => {
                    emit(Record::error(&source, "its attributes are cut short or too long for a message"));
                }
            }
        }
        Some(())
    }
}

/// The peers of PEER_INDEX_TABLE (RFC 6396 §4.3.1).
fn peers(body: &[u8]) -> Option<Vec<String>> {
    let view = body.get(4..)?;
    let (len, rest) = view.split_first_chunk::<2>()?;
    let (count, mut rest) = rest.get(usize::from(u16::from_be_bytes(*len))..)?.split_first_chunk::<2>()?;
    let mut peers = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let kind = *rest.first()?;
        // The type and the BGP identifier.
        rest = rest.get(5..)?;
        let address = if kind & 1 == 0 {
            let (address, after) = rest.split_first_chunk::<4>()?;
            rest = after;
            Ipv4Addr::from(*address).to_string()
        } else {
            let (address, after) = rest.split_first_chunk::<16>()?;
            rest = after;
            Ipv6Addr::from(*address).to_string()
        };
        rest = rest.get(if kind & 2 == 0 { 2 } else { 4 }..)?;
        peers.push(address);
    }
    Some(peers)
}

fn table(subtype: u16, body: &[u8]) -> Option<(Table, &[u8])> {
    let add_path = matches!(subtype, 8..=12);
    let family = match subtype {
        2 | 8 => Family::IPV4_UNICAST,
        3 | 9 => Family::IPV4_MULTICAST,
        4 | 10 => Family::IPV6_UNICAST,
        5 | 11 => Family::IPV6_MULTICAST,
        6 | 12 => {
            let ([a1, a0, safi], rest) = body.split_first_chunk::<3>()?;
            let family = Family::new(u16::from_be_bytes([*a1, *a0]), *safi);
            return Some((Table { family, add_path }, rest));
        }
        _ => return None,
    };
    Some((Table { family, add_path }, body))
}

struct Entry<'a> {
    peer: u16,
    path_id: &'a [u8],
    attributes: &'a [u8],
}

fn entry(bytes: &[u8], add_path: bool) -> Option<(Entry<'_>, &[u8])> {
    let (peer, rest) = bytes.split_first_chunk::<2>()?;
    // When it came.
    let (path_id, rest) = rest.get(4..)?.split_at_checked(if add_path { 4 } else { 0 })?;
    let (len, rest) = rest.split_first_chunk::<2>()?;
    let (attributes, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
    Some((Entry { peer: u16::from_be_bytes(*peer), path_id, attributes }, rest))
}

fn update(table: &Table, entry: &Entry<'_>, nlri: &[u8]) -> Option<Bytes> {
    let nlri = [entry.path_id, nlri].concat();
    let (attributes, told) = whole(table, entry.attributes, &nlri)?;
    let mut body = vec![0, 0];
    body.extend(u16::try_from(attributes.len()).ok()?.to_be_bytes());
    body.extend(attributes);
    if !told {
        body.extend(nlri);
    }
    let mut frame = vec![0xff; 16];
    frame.extend(u16::try_from(HEADER_LEN.checked_add(body.len())?).ok()?.to_be_bytes());
    frame.push(2);
    frame.extend(body);
    Some(frame.into())
}

/// The attributes with MP_REACH_NLRI as a message has it, and whether that tells the prefix: a dump abbreviates it to
/// the next hop (RFC 6396 §4.3.4).
fn whole(table: &Table, mut rest: &[u8], nlri: &[u8]) -> Option<(Vec<u8>, bool)> {
    let (mut all, mut told) = (Vec::new(), false);
    while let [flags, code, after @ ..] = rest {
        let (len, after) = if flags & EXTENDED_LENGTH == 0 {
            let (len, after) = after.split_first()?;
            (usize::from(*len), after)
        } else {
            let (len, after) = after.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*len)), after)
        };
        let (value, after) = after.split_at_checked(len)?;
        if *code == MP_REACH_NLRI {
            all.extend([MP_REACH_FLAGS, MP_REACH_NLRI]);
            let value = reach(table.family, value, nlri);
            all.extend(u16::try_from(value.len()).ok()?.to_be_bytes());
            all.extend(value);
            told = true;
        } else {
            let head = rest.len().checked_sub(after.len())?;
            all.extend(rest.get(..head)?);
        }
        rest = after;
    }
    rest.is_empty().then_some((all, told))
}

fn reach(family: Family, value: &[u8], nlri: &[u8]) -> Vec<u8> {
    let [a1, a0] = family.afi.0.to_be_bytes();
    let mut whole = vec![a1, a0, family.safi.0];
    // Some writers leave it whole: it begins with the address family then, which as the length of a next hop would be 0.
    let next_hop = match value {
        [0, _, _, rest @ ..] => rest.get(..=usize::from(rest.first().copied().unwrap_or(0))).unwrap_or(rest),
        abbreviated => abbreviated,
    };
    whole.extend(next_hop);
    whole.push(0);
    whole.extend(nlri);
    whole
}
