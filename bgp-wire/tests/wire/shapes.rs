//! The largest messages of the worst shapes.
use bgp_wire::Family;

use crate::build::{NET, as_path, attribute, hex, mandatory, next_hop, origin, update};

/// As many copies as fit a message beside the mandatory attributes.
fn many(octets: &[u8]) -> Vec<u8> {
    octets.repeat(65_000 / octets.len())
}

fn with(flags: u8, code: u8, value: &[u8]) -> Vec<u8> {
    update(&[], &[&mandatory()[..], &[attribute(flags, code, value)]].concat(), &NET)
}

fn reach(family: Family, nlri: &[u8]) -> Vec<u8> {
    let [a1, a0] = family.afi.0.to_be_bytes();
    let next_hop =
        if family == Family::IPV4_VPN { hex("0000000000000000 0a000001") } else { vec![10, 0, 0, 1] };
    let len = u8::try_from(next_hop.len()).unwrap();
    let value = [&[a1, a0, family.safi.0, len][..], &next_hop, &[0], nlri].concat();
    update(&[], &[attribute(0x80, 14, &value), origin(), as_path(&[65001])], &[])
}

/// A flow specification as long as its length field can say, of one component.
fn long_flow() -> Vec<u8> {
    let mut octets = vec![0xff, 0xff - 1, 3];
    octets.extend([1, 6].repeat(2045));
    octets.extend([0x81, 6]);
    let len = u16::try_from(octets.len() - 2).unwrap() | 0xf000;
    octets[..2].copy_from_slice(&len.to_be_bytes());
    octets
}

/// A node with as many descriptors as one NLRI holds.
fn long_node() -> Vec<u8> {
    let descriptors = [1, 0, 0, 0].repeat(16_000);
    let len = u16::try_from(9 + descriptors.len()).unwrap().to_be_bytes();
    [&[0, 1][..], &len, &[0; 9], &descriptors].concat()
}

/// Messages of more than 57,000 octets, by name.
pub fn shapes() -> Vec<(&'static str, Vec<u8>)> {
    let path = attribute(0x40, 2, &many(&[2, 1, 0, 0, 0, 9])[..60_000]);
    let attributes: Vec<_> = (0..21_000u32).map(|n| attribute(0xc0, (n % 256) as u8 | 0x80, &[])).collect();
    // In an order that is none, so that putting them in order is work.
    let distinct: Vec<_> = (1..=5_400u32)
        .flat_map(|n| [n.wrapping_mul(0x9e37_79b9), 7, n].map(u32::to_be_bytes).concat())
        .collect();
    vec![
        ("default routes", update(&[], &mandatory(), &many(&[0]))),
        ("withdrawn /8s", update(&many(&[8, 10]), &[], &[])),
        ("segments of one AS", update(&[], &[origin(), path, next_hop()], &NET)),
        ("attributes of no octets", update(&[], &[&mandatory()[..], &attributes].concat(), &NET)),
        ("communities", with(0xc0, 8, &many(&[1; 4]))),
        ("extended communities", with(0xc0, 16, &many(&[1; 8]))),
        ("large communities", with(0xc0, 32, &many(&[1; 12]))),
        ("distinct large communities", with(0xc0, 32, &distinct)),
        ("clusters", with(0x80, 10, &many(&[1; 4]))),
        ("AIGP TLVs", with(0x80, 26, &many(&[9, 0, 3]))),
        ("tunnels", with(0xc0, 23, &many(&[0, 1, 0, 0]))),
        ("prefix-SID TLVs", with(0xc0, 40, &many(&[9, 0, 0]))),
        ("BGP-LS TLVs", with(0x80, 29, &many(&[9, 0, 0, 0]))),
        ("attributes in ATTR_SET", with(0xc0, 128, &[&[0; 4][..], &many(&[0xc0, 200, 0])].concat())),
        ("labels alone", reach(Family::IPV4_LABELED_UNICAST, &many(&[24, 0, 1, 1]))),
        (
            "stacks of ten labels",
            reach(Family::IPV4_LABELED_UNICAST, &many(&hex(&format!("f0{}000101", "000100".repeat(9))))),
        ),
        ("distinguishers alone", reach(Family::IPV4_VPN, &many(&hex("58 000101 0000000000000000")))),
        ("default route targets", reach(Family::ROUTE_TARGET, &many(&[0]))),
        ("EVPN routes of no octets", reach(Family::EVPN, &many(&[99, 0]))),
        ("empty flow specifications", reach(Family::IPV4_FLOWSPEC, &many(&[0]))),
        ("long flow specifications", reach(Family::IPV4_FLOWSPEC, &many(&long_flow()))),
        ("one node of many descriptors", reach(Family::LINK_STATE, &long_node())),
        ("malformed nodes", reach(Family::LINK_STATE, &many(&[0, 1, 0, 0]))),
    ]
}
