//! NLRI that have their ends but are wrong inside, and octets that are only told with a route.
use bgp_wire::{Codec, Family, NlriBlock, OpaqueNlri, PathId, Reaction, WriteNlri};

use crate::build::{as_path, attribute, hex, origin, update};
use crate::families::session;

fn key(family: Family, nlri: &str) -> Vec<u8> {
    let (octets, mut out) = (hex(nlri), vec![]);
    OpaqueNlri::trusted(family, &octets).key().append_to(&mut out);
    out
}

/// The outcome of an announcement, and how many routes it shows as announced and withdrawn.
fn told(family: Family, nlri: &str) -> (Reaction, usize, usize) {
    let [a1, a0] = family.afi.0.to_be_bytes();
    let value = [&[a1, a0, family.safi.0, 4, 10, 0, 0, 1, 0][..], &hex(nlri)].concat();
    let frame = update(&[], &[attribute(0x80, 14, &value), origin(), as_path(&[65001])], &[]);
    let codec: Codec = session(family);
    let view = codec.decode_update(&frame).unwrap();
    let announced = view.reach().flat_map(|r| r.nlri.iter()).count();
    (view.outcome(), announced, view.unreach().flat_map(|b| b.iter()).count())
}

const FINE: (Reaction, usize, usize) = (Reaction::Accept, 1, 0);
const WITHDRAWN: (Reaction, usize, usize) = (Reaction::TreatAsWithdraw, 0, 1);
const LEFT_OUT: (Reaction, usize, usize) = (Reaction::AttributeDiscard, 0, 0);

#[test]
fn flow_specification_values_have_the_octets_of_their_type() {
    let flow = Family::IPV4_FLOWSPEC;
    for whole in [
        "03 09 81 02",       // TCP flags in one octet
        "04 09 91 0002",     // and in two
        "03 0b 81 2e",       // DSCP
        "03 0c 80 02",       // fragment
        "06 0a a1 00000064", // a packet length may be longer than need be
        "05 0b 01 2e 81 2f",
    ] {
        assert_eq!(told(flow, whole), FINE, "{whole}");
    }
    for broken in [
        "06 09 a1 00000002",
        "04 0b 91 002e",
        "04 0c 90 0002",
        "06 0b 01 2e 91 002f",
        "0a 09 b1 0000000000000002",
    ] {
        assert_eq!(told(flow, broken), WITHDRAWN, "{broken}");
    }
    assert_eq!(told(Family::IPV6_FLOWSPEC, "04 0c 90 0002"), WITHDRAWN);
}

#[test]
fn both_forms_of_the_length_of_a_flow_specification_are_the_same_route() {
    let flow = Family::IPV4_FLOWSPEC;
    assert_eq!(told(flow, "f005 01 18 c00002"), FINE);
    assert_eq!(key(flow, "05 01 18 c00002"), key(flow, "f005 01 18 c00002"));
    assert_ne!(key(flow, "05 01 18 c00002"), key(flow, "05 01 18 c00003"));
    let vpn = Family::IPV4_VPN_FLOWSPEC;
    assert_eq!(key(vpn, "0b 0000fde900000001 03 81 06"), key(vpn, "f00b 0000fde900000001 03 81 06"));
}

const DISTINGUISHER: &str = "0000fde900000001";

#[test]
fn mobile_user_plane_routes_are_told_apart_by_prefix_or_endpoint() {
    let mup = Family::IPV4_MUP;
    // Of type 1 session transformed, what is behind the prefix is only told.
    let first = |rest: &str| key(mup, &format!("01 0003 0d {DISTINGUISHER} 18 0a0000 {rest}"));
    assert_eq!(first("77"), first("78"));
    // Of type 2, the endpoint with as much of its identifier as is counted.
    let second = |len: &str, bits: &str, id: &str| {
        key(mup, &format!("01 0004 {len} {DISTINGUISHER} {bits} 0a000001 {id}"))
    };
    assert_eq!(second("11", "40", "00000007"), second("15", "40", "00000007 0102 0000"));
    assert_ne!(second("11", "40", "00000007"), second("11", "40", "00000008"));
    assert_ne!(second("10", "37", "000007"), second("11", "40", "00000007"));
    // Others by all that they have.
    let direct = |address: &str| key(mup, &format!("01 0002 0c {DISTINGUISHER} {address}"));
    assert_ne!(direct("0a000001"), direct("0a000002"));
}

#[test]
fn a_mobile_user_plane_route_of_a_wrong_length_is_treated_as_withdrawn() {
    let (v4, v6) = (Family::IPV4_MUP, Family::IPV6_MUP);
    let route = |kind: &str, len: &str, rest: &str| format!("01 {kind} {len} {DISTINGUISHER} {rest}");
    let address = "20010db8000000000000000000000001";
    for (family, whole) in [
        (v4, route("0001", "0c", "18 0a0000")),
        (v6, route("0001", "0d", "20 20010db8")),
        (v4, route("0002", "0c", "0a000001")),
        (v6, route("0002", "18", address)),
        (v4, route("0003", "0c", "18 0a0000")),
        (v4, route("0003", "17", "18 0a0000 00000007 09 20 0a000001 00")),
        (v4, route("0004", "0d", "20 0a000001")),
        (v4, route("0004", "11", "40 0a000001 00000007")),
        (v4, route("0004", "0e", "21 0a000001 00")), // one bit of an identifier
        (v6, route("0004", "1d", &format!("a0 {address} 00000007"))),
        (v4, route("0063", "09", "77")), // an unknown type
    ] {
        assert_eq!(told(family, &whole), FINE, "{whole}");
    }
    for (family, broken) in [
        (v4, "01 0001 02 0102".to_owned()),
        (v4, route("0001", "0e", "21 0a00000000")),
        (v4, route("0001", "0d", "18 0a000000")),
        (v4, route("0001", "0b", "18 0a00")),
        (v4, route("0002", "0d", "0a00000100")),
        (v4, route("0002", "18", address)),
        (v6, route("0002", "0c", "0a000001")),
        (v4, route("0003", "0e", "21 0a00000000")),
        (v4, route("0003", "0b", "18 0a00")),
        (v4, route("0004", "12", "41 0a000001 0000000700")),
        (v4, route("0004", "10", "40 0a000001 000007")),
        (v4, route("0004", "11", "40 0a000001 00000000")), // 0 identifies no endpoint
        (v4, "01 0004 00".to_owned()),
    ] {
        assert_eq!(told(family, &broken), WITHDRAWN, "{broken}");
    }
}

/// An EVPN route of a type with a value.
fn evpn(kind: u8, value: &str) -> String {
    format!("{kind:02x} {:02x} {value}", hex(value).len())
}

#[test]
fn evpn_routes_have_the_lengths_of_their_types() {
    const ROUTE: &str = "0000fde800000064";
    const SEGMENT: &str = "00000000000000000000";
    const TAG: &str = "00000000";
    const MAC: &str = "30 aabbccddeeff";
    const V6: &str = "20010db8000000000000000000000001";
    let front = format!("{ROUTE} {SEGMENT} {TAG}");
    for (kind, value) in [
        (1, format!("{front} 000641")),
        (2, format!("{front} {MAC} 00 000641")),
        (2, format!("{front} {MAC} 00 000641 000651")),
        (2, format!("{front} {MAC} 20 0a000001 000641")),
        (2, format!("{front} {MAC} 20 0a000001 000641 000651")),
        (2, format!("{front} {MAC} 80 {V6} 000641")),
        (2, format!("{front} {MAC} 80 {V6} 000641 000651")),
        (3, format!("{ROUTE} {TAG} 20 0a000001")),
        (3, format!("{ROUTE} {TAG} 80 {V6}")),
        (4, format!("{ROUTE} {SEGMENT} 20 0a000001")),
        (4, format!("{ROUTE} {SEGMENT} 80 {V6}")),
        (5, format!("{front} 18 0a010200 00000000 000641")),
        (5, format!("{front} 80 {V6} {V6} 000641")),
        // What is not known cannot be wrong (RFC 7606 §5.4).
        (6, String::new()),
        (99, "01".to_owned()),
    ] {
        let whole = evpn(kind, &value);
        assert_eq!(told(Family::EVPN, &whole), FINE, "{whole}");
        let readable = OpaqueNlri::trusted(Family::EVPN, &hex(&whole)).evpn().is_some();
        assert_eq!(readable, kind <= 5, "{whole}");
    }
    for (kind, value) in [
        (1, format!("{front} 0006")),
        (1, format!("{front} 000641 00")),
        (2, String::new()),
        (2, format!("{front} {MAC} 00")),
        (2, format!("{front} {MAC} 00 0006")),
        (2, format!("{front} {MAC} 00 000641 000651 000661")),
        (2, format!("{front} 28 aabbccddeeff 00 000641")),
        (2, format!("{front} {MAC} 18 0a0000 000641")),
        (2, format!("{front} {MAC} 20 000641")),
        (3, format!("{ROUTE} {TAG} 40 0a000001")),
        (3, format!("{ROUTE} {TAG} 00")),
        (3, format!("{ROUTE} {TAG} 20 0a00000100")),
        (4, format!("{ROUTE} {SEGMENT} 80 0a000001")),
        (5, format!("{front} 21 0a010200 00000000 000641")),
        (5, format!("{front} 18 0a0102 00000000 000641")),
        (5, format!("{front} 81 {V6} {V6} 000641")),
    ] {
        let broken = evpn(kind, &value);
        assert_eq!(told(Family::EVPN, &broken), WITHDRAWN, "{broken}");
        assert!(OpaqueNlri::trusted(Family::EVPN, &hex(&broken)).evpn().is_none(), "{broken}");
    }
}

/// A node NLRI with the TLVs.
fn node(tlvs: &str) -> String {
    format!("0001 {:04x} 02 0000000000000000 {tlvs}", 9 + hex(tlvs).len())
}

#[test]
fn tlvs_of_a_link_state_nlri_ascend_by_type_length_and_value() {
    let family = Family::LINK_STATE;
    for whole in
        ["0107 0002 0001 0107 0002 0002", "0107 0001 ff 0107 0002 0001", "0107 0001 01 0107 0001 01", ""]
    {
        assert_eq!(told(family, &node(whole)), FINE, "{whole}");
    }
    for broken in ["0107 0002 0002 0107 0002 0001", "0107 0002 0001 0107 0001 ff", "0108 0000 0107 0000"] {
        assert_eq!(told(family, &node(broken)), LEFT_OUT, "{broken}");
    }
}

#[test]
fn a_node_descriptor_has_each_of_its_sub_tlvs_once_and_in_order() {
    let family = Family::LINK_STATE;
    let described =
        |kind: &str, sub_tlvs: &str| node(&format!("{kind} {:04x} {sub_tlvs}", hex(sub_tlvs).len()));
    let (asn, router) = ("0200 0004 0000fde9", "0203 0004 0a000001");
    for kind in ["0100", "0101"] {
        assert_eq!(told(family, &described(kind, &format!("{asn} {router}"))), FINE);
        for broken in [
            format!("{router} {asn}"),
            format!("{asn} {asn}"),
            "0200 0005 0000fde9".to_owned(),
            "02".to_owned(),
        ] {
            assert_eq!(told(family, &described(kind, &broken)), LEFT_OUT, "{kind} {broken}");
        }
    }
    // Other TLVs may look like anything.
    assert_eq!(told(family, &described("0109", "ff")), FINE);
    // In a VPN they are behind a distinguisher.
    let vpn = format!("0001 {:04x} {DISTINGUISHER} 02 0000000000000000 0100 0001 02", 17 + 5);
    assert_eq!(told(Family::LINK_STATE_VPN, &vpn), LEFT_OUT);
}

#[test]
fn octets_that_are_no_nlri_are_not_sent() {
    use bgp_wire::{NextHop, PathAttributes, announce, withdraw};
    let (family, mut block, mut out) = (Family::EVPN, vec![], bytes::BytesMut::new());
    PathAttributes::default().encode_block(&mut block).unwrap();
    for octets in [&[][..], &[3], &[3, 2, 0], &[3, 2, 0, 0, 0]] {
        let one = OpaqueNlri::trusted(family, octets);
        assert!(!one.is_of(family) && NlriBlock::parse(family, false, octets).is_none_or(|b| b.is_empty()));
        let hop = NextHop::V4([10, 0, 0, 1].into());
        let told = announce(&mut out, &session(family), family, &hop, &block, [(PathId(0), one)]);
        assert_eq!((told.routes, told.refused), (0, 1));
        assert_eq!(withdraw(&mut out, &session(family), family, [(PathId(0), one)]).refused, 1);
    }
    assert!(out.is_empty());
}

/// RFC 6624 §4.1 beside RFC 4761 §3.2.2 and RFC 6074 §3.2.2, all in AFI 25, SAFI 65.
#[test]
fn labels_and_circuits_of_a_layer_2_vpn_are_no_part_of_the_key() {
    let vpls = Family::VPLS;
    let named = hex("0000fde900000001 0001 0002");
    for nlri in [
        "000f 0000fde900000001 0001 0002 000101",
        "000f 0000fde900000001 0001 0002 000201",
        "0016 0000fde900000001 0001 0002 000101 01 0004 aabbccdd",
        "0013 0000fde900000001 0001 0002 000101 01 0004 a0",
        "0013 0000fde900000001 0001 0002 000201 01 0008 b0",
        "0017 0000fde900000001 0001 0002 000201 01 0008 b0 02 0001 ff",
        "0011 0000fde900000001 0001 0002 0008 000101",
    ] {
        assert_eq!(key(vpls, nlri), named, "{nlri}");
    }
    // Addresses of PEs are told apart by all their octets.
    for (a, b) in [
        ("000c 0000fde900000001 0a000001", "000c 0000fde900000001 0a000002"),
        (
            "0018 0000fde900000001 20010db8 00000000 00000000 00000001",
            "0018 0000fde900000001 20010db8 00000000 00000000 00000002",
        ),
    ] {
        assert_ne!(key(vpls, a), key(vpls, b));
    }
}

#[test]
fn host_bits_of_prefixes_in_opaque_nlri_are_no_part_of_the_key() {
    let vpn = Family::IPV4_VPN_FLOWSPEC;
    let evpn5 = |bits: &str, prefix: &str| {
        let zero = "00".repeat(prefix.len() / 2);
        let value = format!("0000fde900000001 {} 00000000 {bits} {prefix} {zero} 000101", "00".repeat(10));
        evpn(5, &value)
    };
    let six = |text: &str| format!("{text}{}", "00".repeat(16 - text.len() / 2));
    for (family, a, b, other) in [
        (Family::EVPN, evpn5("18", "0a000001"), evpn5("18", "0a000000"), evpn5("18", "0a000100")),
        (Family::EVPN, evpn5("0f", "0a010000"), evpn5("0f", "0a000000"), evpn5("0f", "0a020000")),
        (
            Family::EVPN,
            evpn5("21", &six("20010db87fffffff")),
            evpn5("21", &six("20010db800000001")),
            evpn5("21", &six("20010db880000000")),
        ),
        // The two address families are never the same route.
        (Family::EVPN, evpn5("08", "0a000001"), evpn5("08", "0a000000"), evpn5("08", &six("0a"))),
        (
            Family::IPV4_FLOWSPEC,
            "0a 01 0f 0a01 02 1f c0000203".to_owned(),
            "0a 01 0f 0a00 02 1f c0000202".into(),
            "0a 01 0f 0a00 02 1f c0000200".into(),
        ),
        (
            Family::IPV4_FLOWSPEC,
            "07 02 0f 0a01 03 81 06".to_owned(),
            "07 02 0f 0a00 03 81 06".into(),
            "07 02 0f 0a00 03 81 11".into(),
        ),
        (
            vpn,
            "0c 0000fde900000001 01 0f 0a01".into(),
            "0c 0000fde900000001 01 0f 0a00".into(),
            "0c 0000fde900000002 01 0f 0a00".into(),
        ),
        // Bits 4 to 20 of the address are two octets; to 19, one bit less.
        (
            Family::IPV6_FLOWSPEC,
            "05 01 13 04 2001".to_owned(),
            "05 01 13 04 2000".into(),
            "05 01 13 04 2002".into(),
        ),
        (
            Family::IPV4_CAR,
            "0a 07 01 0f 0a01 00000064".to_owned(),
            "0a 07 01 0f 0a00 00000064".into(),
            "0a 07 01 0f 0a00 00000065".into(),
        ),
        (
            Family::IPV4_VPN_CAR,
            "12 0f 01 0000fde900000001 0f 0a01 00000064".to_owned(),
            "12 0f 01 0000fde900000001 0f 0a00 00000064".into(),
            "12 0f 01 0000fde900000001 0f 0a02 00000064".into(),
        ),
        (
            Family::IPV4_MUP,
            "01 0001 0b 0000fde900000001 0f 0a01".to_owned(),
            "01 0001 0b 0000fde900000001 0f 0a00".into(),
            "01 0001 0b 0000fde900000001 0f 0a02".into(),
        ),
    ] {
        assert_eq!(key(family, &a), key(family, &b), "{family} {a}");
        assert_ne!(key(family, &a), key(family, &other), "{family} {a}");
    }
}
