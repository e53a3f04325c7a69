//! Captures: pcap and pcapng files, down to the TCP segments in them.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bgp_wire::Codec;

use super::record::Record;
use super::tcp::{Connections, Segment};

/// Reads a capture of either format.
pub(crate) fn messages(file: &[u8], codec: &Codec, emit: &mut impl FnMut(Record)) {
    let mut connections = Connections::new(codec);
    let mut number = 0u64;
    let mut packet = |link: u32, frame: &[u8], emit: &mut dyn FnMut(Record)| {
        number = number.saturating_add(1);
        if let Some(segment) = network(link, frame).and_then(ip) {
            connections.segment(&segment, number, &mut |record| emit(record));
        }
    };
    let whole = if file.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]) {
        pcapng(file, &mut |link, frame| packet(link, frame, emit))
    } else {
        pcap(file, &mut |link, frame| packet(link, frame, emit))
    };
    connections.finish(emit);
    if whole.is_none() {
        emit(Record::error("file", "the capture is cut short, or none"));
    }
}

/// The segment of a packet whose octets somebody has copied out, from the Ethernet or the IP header on.
pub(crate) fn pasted(octets: &[u8]) -> Option<Segment<'_>> {
    ethernet(octets).and_then(ip).or_else(|| ip(octets))
}

/// 32 bits of either byte order.
fn word(bytes: &[u8], at: usize, big: bool) -> Option<u32> {
    let octets = *bytes.get(at..)?.first_chunk::<4>()?;
    Some(if big { u32::from_be_bytes(octets) } else { u32::from_le_bytes(octets) })
}

fn len(bytes: &[u8], at: usize, big: bool) -> Option<usize> {
    usize::try_from(word(bytes, at, big)?).ok()
}

/// The classic format: a header of 24 octets, then records of 16 and the frame. `None` at a bad end.
fn pcap(file: &[u8], packet: &mut dyn FnMut(u32, &[u8])) -> Option<()> {
    let big = file.first() == Some(&0xa1);
    let link = word(file, 20, big)? & 0xffff;
    let mut rest = file.get(24..)?;
    while !rest.is_empty() {
        let captured = len(rest, 8, big)?;
        let (frame, after) = rest.get(16..)?.split_at_checked(captured)?;
        packet(link, frame);
        rest = after;
    }
    Some(())
}

/// Blocks (draft-ietf-opsawg-pcapng): section header, interfaces, packets; others are passed over.
fn pcapng(file: &[u8], packet: &mut dyn FnMut(u32, &[u8])) -> Option<()> {
    const SECTION: u32 = 0x0a0d_0d0a;
    let mut rest = file;
    let mut big = false;
    let mut links: Vec<u32> = Vec::new();
    while !rest.is_empty() {
        // Reads the same in either order.
        if word(rest, 0, true)? == SECTION {
            big = word(rest, 8, true)? == 0x1a2b_3c4d;
            links.clear();
        }
        let total = len(rest, 4, big)?;
        let (block, after) = rest.split_at_checked(total.max(12))?;
        let link = |at: usize| links.get(at).copied().unwrap_or(1);
        match word(block, 0, big)? {
            1 => links.push(word(block, 8, big)? >> (if big { 16 } else { 0 }) & 0xffff),
            // Enhanced packet: interface, time, captured length.
            6 => {
                let captured = len(block, 20, big)?;
                packet(link(len(block, 8, big)?), block.get(28..)?.get(..captured)?);
            }
            // Simple packet.
            3 => {
                let data = block.get(12..total.saturating_sub(4))?;
                packet(link(0), data.get(..len(block, 8, big)?).unwrap_or(data));
            }
            _ => {}
        }
        rest = after;
    }
    Some(())
}

/// The IP packet in a frame of a link type ([registry](https://www.tcpdump.org/linktypes.html)).
fn network(link: u32, frame: &[u8]) -> Option<&[u8]> {
    match link {
        0 | 108 => frame.get(4..),
        1 => ethernet(frame),
        12 | 14 | 101 | 228 | 229 => Some(frame),
        113 => frame.get(16..),
        276 => frame.get(20..),
        _ => None,
    }
}

/// Behind addresses and any VLAN tags.
fn ethernet(frame: &[u8]) -> Option<&[u8]> {
    let mut rest = frame.get(12..)?;
    while let [0x81, 0x00, _, _, tail @ ..] | [0x88, 0xa8, _, _, tail @ ..] = rest {
        rest = tail;
    }
    match rest {
        [0x08, 0x00, ip @ ..] | [0x86, 0xdd, ip @ ..] => Some(ip),
        _ => None,
    }
}

const TCP: u8 = 6;

/// The TCP segment in an IP packet; fragments are passed over.
fn ip(packet: &[u8]) -> Option<Segment<'_>> {
    match packet.first()? >> 4 {
        4 => {
            let header = usize::from(packet.first()? & 0x0f).saturating_mul(4);
            let [_, _, l1, l0, _, _, f1, f0, _, protocol, _, _, a, b, c, d, e, f, g, h, ..] = packet else {
                return None;
            };
            if *protocol != TCP || u16::from_be_bytes([*f1, *f0]) & 0x3fff != 0 {
                return None;
            }
            // Zero where the network card was to cut the segment; short frames are padded.
            let total = match usize::from(u16::from_be_bytes([*l1, *l0])) {
                0 => packet.len(),
                n => n,
            };
            let (from, to) = (Ipv4Addr::new(*a, *b, *c, *d), Ipv4Addr::new(*e, *f, *g, *h));
            let tcp = packet.get(..total).unwrap_or(packet).get(header..)?;
            Segment::parse(IpAddr::V4(from), IpAddr::V4(to), tcp)
        }
        6 => ipv6(packet),
        _ => None,
    }
}

fn ipv6(packet: &[u8]) -> Option<Segment<'_>> {
    let [_, _, _, _, l1, l0, next, _, addresses @ ..] = packet else { return None };
    let (from, addresses) = addresses.split_first_chunk::<16>()?;
    let (to, payload) = addresses.split_first_chunk::<16>()?;
    let mut payload = match usize::from(u16::from_be_bytes([*l1, *l0])) {
        0 => payload,
        n => payload.get(..n).unwrap_or(payload),
    };
    let mut next = *next;
    // Hop-by-hop, routing and destination options; each pass takes at least eight octets away.
    while matches!(next, 0 | 43 | 60) {
        let [after, len, ..] = payload else { return None };
        next = *after;
        payload = payload.get(usize::from(*len).saturating_add(1).saturating_mul(8)..)?;
    }
    let (from, to) = (Ipv6Addr::from(*from), Ipv6Addr::from(*to));
    if next == TCP { Segment::parse(IpAddr::V6(from), IpAddr::V6(to), payload) } else { None }
}
