//! Messages put together by hand, right or wrong.
use bgp_wire::{Codec, Family, FamilySet, PeerKind};

/// A session with both IP families and four-octet AS numbers.
pub fn codec(peer: PeerKind) -> Codec {
    Codec {
        peer,
        four_octet_as: true,
        families: FamilySet::of(&[Family::IPV4_UNICAST, Family::IPV6_UNICAST]),
        ..Codec::before_open()
    }
}

pub fn internal() -> Codec {
    codec(PeerKind::Internal)
}

pub fn external() -> Codec {
    codec(PeerKind::External)
}

/// Octets from hex digits; white space does not count.
pub fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut m = vec![0xff; 16];
    m.extend(u16::try_from(19 + body.len()).unwrap().to_be_bytes());
    m.push(kind);
    m.extend(body);
    m
}

pub fn update(withdrawn: &[u8], attributes: &[Vec<u8>], nlri: &[u8]) -> Vec<u8> {
    let attributes = attributes.concat();
    let mut body = u16::try_from(withdrawn.len()).unwrap().to_be_bytes().to_vec();
    body.extend(withdrawn);
    body.extend(u16::try_from(attributes.len()).unwrap().to_be_bytes());
    body.extend(attributes);
    body.extend(nlri);
    message(2, &body)
}

pub fn attribute(flags: u8, code: u8, value: &[u8]) -> Vec<u8> {
    let mut a = vec![flags, code];
    match u8::try_from(value.len()) {
        Ok(len) if flags & 0x10 == 0 => a.push(len),
        _ => {
            a[0] |= 0x10;
            a.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        }
    }
    a.extend(value);
    a
}

pub fn origin() -> Vec<u8> {
    attribute(0x40, 1, &[0])
}

/// An AS_PATH of one sequence, four-octet.
pub fn as_path(asns: &[u32]) -> Vec<u8> {
    let mut value = vec![2, u8::try_from(asns.len()).unwrap()];
    asns.iter().for_each(|n| value.extend(n.to_be_bytes()));
    attribute(0x40, 2, &value)
}

pub fn next_hop() -> Vec<u8> {
    attribute(0x40, 3, &[10, 0, 0, 1])
}

pub fn mandatory() -> Vec<Vec<u8>> {
    vec![origin(), as_path(&[65001, 65002]), next_hop()]
}

/// 192.0.2.0/24.
pub const NET: [u8; 4] = [24, 192, 0, 2];
/// 2001:db8::/32.
pub const NET6: [u8; 5] = [32, 0x20, 0x01, 0x0d, 0xb8];
/// 2001:db8::1 as a next hop field, with its length and the reserved octet behind it.
pub const NEXT_HOP6: [u8; 18] = [16, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];

pub fn mp_reach(flags: u8, nlri: &[u8]) -> Vec<u8> {
    attribute(flags, 14, &[&[0, 2, 1], &NEXT_HOP6[..], nlri].concat())
}

pub fn mp_unreach(nlri: &[u8]) -> Vec<u8> {
    attribute(0x80, 15, &[&[0, 2, 1], nlri].concat())
}
