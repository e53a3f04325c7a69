//! Families beyond plain prefixes: vectors both ways, and what is wrong with the others.
use std::net::IpAddr;

use bgp_wire::{
    Asn, Codec, ExtendedCommunity, Family, FamilySet, Label, LabelStack, LabeledPrefix, NextHop, Nlri,
    NlriBlock, OpaqueNextHop, OpaqueNlri, PathAttributes, PathId, PeerKind, Reaction, RouteDistinguisher,
    RouteTargetMembership, Safi, VpnPrefix, WriteNlri, announce, withdraw,
};
use bytes::BytesMut;

use crate::build::{as_path, attribute, hex, origin, update};

/// A session about one family and, so that it can be given up, another.
pub fn session(family: Family) -> Codec {
    Codec {
        peer: PeerKind::Internal,
        four_octet_as: true,
        families: FamilySet::of(&[family, Family::IPV4_UNICAST]),
        afi_safi_disable: true,
        ..Codec::before_open()
    }
}

fn mp(family: Family, next_hop: &[u8], nlri: &[u8]) -> Vec<u8> {
    let [a1, a0] = family.afi.0.to_be_bytes();
    let len = u8::try_from(next_hop.len()).unwrap();
    let value = [&[a1, a0, family.safi.0, len][..], next_hop, &[0], nlri].concat();
    let mut attributes = vec![attribute(0x80, 14, &value), origin(), as_path(&[65001])];
    if family.safi == Safi::SR_POLICY {
        // What it cannot do without (RFC 9830 §4.2.1).
        attributes.extend([attribute(0xc0, 8, &hex("ffffff02")), attribute(0xc0, 23, &hex("000f 0000"))]);
    }
    update(&[], &attributes, &[])
}

fn withdrawal(family: Family, nlri: &[u8]) -> Vec<u8> {
    let [a1, a0] = family.afi.0.to_be_bytes();
    update(&[], &[attribute(0x80, 15, &[&[a1, a0, family.safi.0], nlri].concat())], &[])
}

/// A next hop field that the family may have.
fn next_hop_of(family: Family) -> Vec<u8> {
    let rd = if family.is_vpn_prefix() && family.safi.0 != 76 { 8 } else { 0 };
    let mut field = vec![0; rd];
    if family.afi.0 == 2 {
        field.extend(hex("20010db8 00000000 00000000 00000001"));
    } else {
        field.extend([10, 0, 0, 1]);
    }
    field
}

/// What an UPDATE with the octets as its announced NLRI comes to, in words.
fn shown(family: Family, nlri: &str) -> (Reaction, Vec<String>) {
    let frame = mp(family, &next_hop_of(family), &hex(nlri));
    match session(family).decode_update(&frame) {
        Ok(view) => {
            let all = view.reach().flat_map(|r| r.nlri.iter().map(|(_, n)| n.to_string()));
            (view.outcome(), all.collect())
        }
        Err(_) => (Reaction::SessionReset, vec![]),
    }
}

fn good(family: Family, nlri: &str, text: &str) {
    assert_eq!(shown(family, nlri), (Reaction::Accept, vec![text.to_owned()]));
    let (octets, mut out) = (hex(nlri), BytesMut::new());
    let block = NlriBlock::parse(family, false, &octets).unwrap();
    let (_, one) = block.iter().next().unwrap();
    one.write(&mut out);
    assert_eq!((&out[..], one.wire_len()), (&octets[..], octets.len()), "{text}");
}

fn bad(family: Family, nlri: &str, outcome: Reaction) {
    assert_eq!(shown(family, nlri), (outcome, vec![]), "{family} {nlri}");
}

#[test]
fn labelled_unicast() {
    let v4 = Family::IPV4_LABELED_UNICAST;
    good(v4, "30 000101 c00002", "192.0.2.0/24 label 16");
    good(v4, "18 000101", "0.0.0.0/0 label 16");
    good(Family::IPV6_LABELED_UNICAST, "38 000101 20010db8", "2001:db8::/32 label 16");
    // Without the capability there is one label, whatever its bottom bit says (RFC 8277 §2.2).
    assert_eq!(shown(v4, "30 000100 c00002").1, ["192.0.2.0/24 label 16"]);
    for nlri in ["17 000101", "30 0001", "39 000101 c0000201 00", "30 000101 c000"] {
        bad(v4, nlri, Reaction::AfiSafiDisable);
    }
}

#[test]
fn host_bits_of_labelled_prefixes_are_cleared() {
    assert_eq!(shown(Family::IPV4_LABELED_UNICAST, "2f 000101 c00003").1, ["192.0.2.0/23 label 16"]);
    let vpn = "68 000101 0000fde900000001 0a03";
    assert_eq!(shown(Family::IPV4_VPN, &vpn.replace("68", "67")).1, ["65001:1:10.2.0.0/15 label 16"]);
}

#[test]
fn label_stacks_are_read_to_their_bottom_where_negotiated() {
    let family = Family::IPV4_LABELED_UNICAST;
    let codec = Codec { multiple_labels: FamilySet::of(&[family]), ..session(family) };
    let frame = mp(family, &[10, 0, 0, 1], &hex("48 000100 000111 c00002"));
    let labels = LabelStack::new(&[Label(16), Label(17)]).unwrap();
    let prefix = LabeledPrefix { prefix: "192.0.2.0/24".parse().unwrap(), labels };
    {
        let view = codec.decode_update(&frame).unwrap();
        let read: Vec<_> = view.reach().flat_map(|r| r.nlri.iter()).map(|(_, n)| n).collect();
        assert_eq!(read, [Nlri::Labeled(prefix)]);
    }
    let endless = mp(family, &[10, 0, 0, 1], &hex("48 000100 000110 c00002"));
    assert_eq!(codec.decode_update(&endless).unwrap().outcome(), Reaction::AfiSafiDisable);
    // A peer that reads one label is not sent two.
    let mut out = BytesMut::new();
    let next_hop = NextHop::V4([10, 0, 0, 1].into());
    let packed =
        announce(&mut out, &session(family), family, &next_hop, &attributes(), [(PathId(0), prefix)]);
    assert_eq!((packed.routes, packed.refused), (0, 1));
    let unclosed = LabeledPrefix { labels: LabelStack::EMPTY, ..prefix };
    assert_eq!(
        announce(&mut out, &codec, family, &next_hop, &attributes(), [(PathId(0), unclosed)]).refused,
        1
    );
    let packed = announce(&mut out, &codec, family, &next_hop, &attributes(), [(PathId(0), prefix)]);
    assert_eq!(packed.routes, 1);
}

#[test]
fn a_withdrawal_has_one_marker_in_place_of_labels() {
    let family = Family::IPV4_VPN;
    let codec = Codec { multiple_labels: FamilySet::of(&[family]), ..session(family) };
    let route = VpnPrefix {
        distinguisher: RouteDistinguisher::two_octet_as(65001, 1),
        prefix: "10.1.0.0/16".parse().unwrap(),
        labels: LabelStack::new(&[Label(16), Label(17)]).unwrap(),
    };
    let mut out = BytesMut::new();
    assert_eq!(withdraw(&mut out, &codec, family, [(PathId(0), route)]).routes, 1);
    let nlri = hex("68 800000 0000fde900000001 0a01");
    assert!(out.ends_with(&nlri), "{out:02x?}");
    // Of whatever value, and with no bottom bit (RFC 8277 §2.4).
    for marker in ["800000", "000000", "000101"] {
        let frame = withdrawal(family, &hex(&format!("68 {marker} 0000fde900000001 0a01")));
        let view = codec.decode_update(&frame).unwrap();
        let (_, Nlri::Vpn(read)) = view.unreach().next().unwrap().iter().next().unwrap() else { panic!() };
        assert_eq!((read.distinguisher, read.prefix), (route.distinguisher, route.prefix));
    }
}

#[test]
fn vpn_prefixes() {
    good(Family::IPV4_VPN, "70 000101 0000fde900000001 c00002", "65001:1:192.0.2.0/24 label 16");
    good(Family::IPV6_VPN, "78 000101 00010a0000010007 20010db8", "10.0.0.1:7:2001:db8::/32 label 16");
    good(Family::IPV4_VPN_MULTICAST, "58 0000fde900000001 c00002", "65001:1:192.0.2.0/24");
    good(
        Family::IPV4_CLASSFUL_TRANSPORT,
        "78 000101 0000fde900000001 c0000201",
        "65001:1:192.0.2.1/32 label 16",
    );
    bad(Family::IPV4_VPN, "57 000101 0000fde9000000", Reaction::AfiSafiDisable);
    bad(Family::IPV4_VPN, "79 000101 0000fde900000001 c000020100", Reaction::AfiSafiDisable);
}

#[test]
fn next_hops_of_vpns_have_a_distinguisher() {
    let family = Family::IPV4_VPN;
    let nlri = hex("70 000101 0000fde900000001 c00002");
    let v6 = hex("20010db8 00000000 00000000 00000001");
    let link_local = hex("fe800000 00000000 00000000 00000001");
    let zero = [0u8; 8];
    let read = |codec: &Codec, field: &[u8]| {
        let frame = mp(family, field, &nlri);
        let view = codec.decode_update(&frame).unwrap();
        (view.outcome(), view.reach().next().map(|r| r.next_hop))
    };
    let plain = session(family);
    let hop4 = NextHop::V4([10, 0, 0, 1].into());
    assert_eq!(read(&plain, &[&zero[..], &[10, 0, 0, 1]].concat()), (Reaction::Accept, Some(hop4)));
    assert_eq!(read(&plain, &[10, 0, 0, 1]), (Reaction::AfiSafiDisable, None));
    assert_eq!(read(&plain, &[&zero[..], &[224, 0, 0, 1]].concat()).0, Reaction::TreatAsWithdraw);
    // An odd distinguisher survives.
    let odd = [&[0, 0, 0, 1, 0, 0, 0, 1][..], &[10, 0, 0, 1]].concat();
    let hop = NextHop::Opaque(OpaqueNextHop::new(&odd).unwrap());
    assert_eq!(read(&plain, &odd), (Reaction::Accept, Some(hop)));
    // RFC 8950.
    let long = [&zero[..], &v6].concat();
    assert_eq!(read(&plain, &long).0, Reaction::AfiSafiDisable);
    let extended = Codec { extended_next_hop: FamilySet::of(&[family]), ..plain };
    let hop6 = NextHop::V6("2001:db8::1".parse().unwrap());
    assert_eq!(read(&extended, &long), (Reaction::Accept, Some(hop6)));
    let pair = NextHop::V6WithLinkLocal("2001:db8::1".parse().unwrap(), "fe80::1".parse().unwrap());
    assert_eq!(read(&extended, &[&long[..], &zero, &link_local].concat()), (Reaction::Accept, Some(pair)));
    // And out again as they came in.
    for (hop, len) in [(hop4, 12), (hop, 12), (hop6, 24), (pair, 48)] {
        let mut out = BytesMut::new();
        let block = NlriBlock::parse(family, false, &nlri).unwrap();
        assert_eq!(announce(&mut out, &extended, family, &hop, &attributes(), block).routes, 1);
        assert_eq!(out[19 + 4 + 4 + 3], len);
        let view = extended.decode_update(&out).unwrap();
        assert_eq!(view.reach().next().unwrap().next_hop, hop);
    }
}

fn attributes() -> Vec<u8> {
    let mut out = vec![];
    PathAttributes::default().encode_block(&mut out).unwrap();
    out
}

#[test]
fn route_target_membership() {
    let family = Family::ROUTE_TARGET;
    good(family, "60 0000fde9 0002fde900000007", "65001:rt:65001:7");
    good(family, "00", "default");
    good(family, "20 0000fde9", "65001:0000000000000000/32");
    good(family, "30 0000fde9 0002", "65001:rt:0:0/48");
    for nlri in ["1f 0000fde8", "08 00"] {
        bad(family, nlri, Reaction::TreatAsWithdraw);
    }
    for nlri in ["61 0000fde9 0002fde90000000700", "60 0000fde9 0002fde9000000"] {
        bad(family, nlri, Reaction::AfiSafiDisable);
    }
    let target = ExtendedCommunity::route_target(65001, 7);
    let one = RouteTargetMembership::new(Asn(65001), target);
    assert!(one.wants(target) && !one.wants(ExtendedCommunity::route_target(65001, 8)));
    assert!(RouteTargetMembership::DEFAULT.wants(target));
    let some = RouteTargetMembership::with_length(Asn(65001), target, 64).unwrap();
    assert!(some.wants(ExtendedCommunity::route_target(65001, 8)));
    assert!(!some.wants(ExtendedCommunity::route_target(65002, 7)));
    assert_eq!(RouteTargetMembership::with_length(Asn(1), target, 31), None);
}

/// One NLRI of each family that is carried by its octets, with its key.
const OPAQUE: &[(Family, &str, &str)] = &[
    (Family::IPV4_MVPN, "07 02 0102", "07020102"),
    (Family::L2VPN_MCAST_VPLS, "03 02 0102", "03020102"),
    (Family::MULTI_SEGMENT_PW, "20 01020304", "2001020304"),
    (Family::IPV4_ENCAPSULATION, "20 0a000001", "200a000001"),
    (Family::SERVICE_FUNCTIONS, "0001 0002 0102", "000100020102"),
    (Family::VPLS, "0011 0000fde900000001 0001 0002 0008 000101", "0000fde90000000100010002"),
    (Family::VPLS, "000c 0000fde900000001 0a000001", "000c0000fde9000000010a000001"),
    (Family::IPV4_MDT, "80 0000fde900000001 0a000001 e8000001", "800000fde9000000010a000001e8000001"),
    (Family::EVPN, "0b 02 0102", "0b0102"),
    (Family::LINK_STATE, "0063 0002 0102", "006300020102"),
    (Family::LINK_STATE_VPN, "0063 0002 0102", "006300020102"),
    (Family::LINK_STATE_SPF, "0063 0002 0102", "006300020102"),
    (Family::IPV4_SR_POLICY, "60 00000001 00000064 0a000001", "6000000001000000640a000001"),
    (Family::IPV4_CAR, "0c 08 01 18 0a0000 00000064 0500", "01180a000000000064"),
    (Family::IPV6_VPN_CAR, "05 01 01 18 0500", "0118"),
    (Family::IPV4_MUP, "01 0001 09 0000fde900000001 00", "0100010000fde90000000100"),
    (Family::L2_FLOWSPEC, "02 0e01", "0e01"),
    (Family::IPV6_MCAST_TREE, "03 02 0102", "03020102"),
    (Family::L2VPN_FLOWSPEC, "02 0e01", "0e01"),
    // Source active (RFC 6514 §4.5); a router of RFC 5512 §3; a prefix with its color, and one of a VPN (RFC 9871 §2.9.2).
    (
        Family::IPV6_MVPN,
        "05 2a 0000fde900000001 80 20010db8000000000000000000000001 80 ff3e0000000000000000000000000001",
        "052a0000fde9000000018020010db800000000000000000000000180ff3e0000000000000000000000000001",
    ),
    (Family::IPV6_ENCAPSULATION, "80 20010db8000000000000000000000001", "8020010db8000000000000000000000001"),
    (Family::IPV6_CAR, "0b 09 01 20 20010db8 00000064", "012020010db800000064"),
    (
        Family::IPV4_VPN_CAR,
        "15 10 01 0000fde900000001 18 c00002 00000064 010100",
        "010000fde90000000118c0000200000064",
    ),
    (Family::IPV4_MCAST_TREE, "01 04 e8000001", "0104e8000001"),
];

#[test]
fn opaque_nlri_are_told_apart_and_know_their_keys() {
    for (family, nlri, key) in OPAQUE {
        let octets = hex(nlri);
        let Some(one) = OpaqueNlri::parse(*family, &octets) else { panic!("{family} {nlri}") };
        let mut read = vec![];
        one.key().append_to(&mut read);
        assert_eq!(read, hex(key), "{family} {nlri}");
        let twice = [&octets[..], &octets].concat();
        let block = NlriBlock::parse(*family, false, &twice).unwrap();
        assert_eq!(block.iter().map(|(_, n)| n).collect::<Vec<_>>(), [Nlri::Opaque(one); 2]);
        assert_eq!(NlriBlock::parse(*family, false, &twice[..twice.len() - 1]), None);
        good(*family, nlri, &one.to_string());
        let identified = [&[0, 0, 0, 7][..], &octets, &[0, 0, 0, 8], &octets].concat();
        let ids: Vec<_> =
            NlriBlock::parse(*family, true, &identified).unwrap().iter().map(|(id, _)| id.0).collect();
        assert_eq!(ids, [7, 8], "{family}");
    }
}

#[test]
fn fields_that_are_only_told_are_no_part_of_the_key() {
    let key = |family, nlri: &str| {
        let (octets, mut out) = (hex(nlri), vec![]);
        OpaqueNlri::parse(family, &octets).unwrap().key().append_to(&mut out);
        out
    };
    let mup = |teid: &str| key(Family::IPV4_MUP, &format!("01 0003 0d 0000fde900000001 18 0a0000 {teid}"));
    assert_eq!(mup("77"), mup("78"));
    let segment = "00112233445566778899";
    // A MAC with one label in one segment, with two in none.
    let evpn = |segment: &str, len: &str, labels: &str| {
        key(
            Family::EVPN,
            &format!("02 {len} 0000fde900000001 {segment} 00000005 30 020000000001 00 {labels}"),
        )
    };
    assert_eq!(evpn(segment, "21", "000101"), evpn(&"00".repeat(10), "24", "000201 000301"));
    let prefix = |net: &str, rest: &str| {
        key(Family::EVPN, &format!("05 22 0000fde900000001 {segment} 00000000 18 {net} {rest}"))
    };
    assert_eq!(prefix("0a000000", "00000000 000101"), prefix("0a000000", "0a000001 000201"));
    assert_ne!(prefix("0a000000", "00000000 000101"), prefix("0a000100", "00000000 000101"));
    let discovery =
        |label: &str| key(Family::EVPN, &format!("01 19 0000fde900000001 {segment} 00000005 {label}"));
    assert_eq!(discovery("000101"), discovery("000201"));
    let vpn = |label: &str| {
        let (octets, mut out) = (hex(&format!("70 {label} 0000fde900000001 c00002")), vec![]);
        let block = NlriBlock::parse(Family::IPV4_VPN, false, &octets).unwrap();
        block.iter().next().unwrap().1.append_key(&mut out);
        out
    };
    assert_eq!(vpn("000101"), vpn("000201"));
}

#[test]
fn next_hops_of_families_that_are_not_read_survive() {
    let family = Family::EVPN;
    let nlri = hex("0b 02 0102");
    for field in ["0a000001", "00000000", "20010db8000000000000000000000001", "0000000000000000 0a000001"] {
        let field = hex(field);
        let frame = mp(family, &field, &nlri);
        let codec = session(family);
        let view = codec.decode_update(&frame).unwrap();
        assert_eq!(view.outcome(), Reaction::Accept);
        let reach = view.reach().next().unwrap();
        let mut out = BytesMut::new();
        announce(&mut out, &codec, family, &reach.next_hop, &attributes(), reach.nlri);
        assert_eq!(out[19 + 4 + 4 + 4..][..field.len()], field);
    }
    assert_eq!(NextHop::Opaque(OpaqueNextHop::new(&[0; 4]).unwrap()).address(), IpAddr::from([0, 0, 0, 0]));
}

#[test]
fn a_flow_specification_needs_no_next_hop() {
    let family = Family::IPV4_FLOWSPEC;
    let codec = session(family);
    let frame = mp(family, &[], &hex("05 01 18 c00002"));
    let view = codec.decode_update(&frame).unwrap();
    assert_eq!(view.reach().map(|r| r.next_hop).collect::<Vec<_>>(), [NextHop::NONE]);
    let mut out = BytesMut::new();
    let packed =
        announce(&mut out, &codec, family, &NextHop::NONE, &attributes(), view.reach().next().unwrap().nlri);
    assert_eq!(packed.routes, 1);
    assert_eq!(codec.decode_update(&out).unwrap().reach().next().unwrap().next_hop, NextHop::NONE);
    // Where a next hop is needed, none is refused.
    let mut out = BytesMut::new();
    let unicast = announce(
        &mut out,
        &codec,
        Family::IPV4_UNICAST,
        &NextHop::NONE,
        &attributes(),
        ["10.0.0.0/8"].map(|p| (PathId(0), p.parse::<ipnet::Ipv4Net>().unwrap())),
    );
    assert_eq!((unicast.refused, out.len()), (1, 0));
}

#[test]
fn a_malformed_flow_specification_is_treated_as_withdrawn() {
    let family = Family::IPV4_FLOWSPEC;
    // No component; out of order; unknown type; operators without end; prefix too long.
    for nlri in ["00", "06 03 81 06 01 08 0a", "03 0e 81 06", "03 03 01 06", "06 01 21 c0000201"] {
        let frame = mp(family, &[], &hex(nlri));
        let codec = session(family);
        let view = codec.decode_update(&frame).unwrap();
        assert_eq!((view.outcome(), view.reach().count()), (Reaction::TreatAsWithdraw, 0), "{nlri}");
        let routes: Vec<_> = view.unreach().flat_map(|b| b.iter()).collect();
        assert_eq!(routes.len(), 1);
        // Nor does it go on to others, but for being withdrawn.
        let mut out = BytesMut::new();
        let told = announce(&mut out, &codec, family, &NextHop::NONE, &attributes(), routes.iter().copied());
        assert_eq!((told.routes, told.refused), (0, 1));
        assert_eq!(withdraw(&mut out, &codec, family, routes).routes, 1);
        // Withdrawn it is anyway.
        let view = codec.decode_update(&withdrawal(family, &hex(nlri))).map(|v| v.outcome());
        assert_eq!(view, Ok(Reaction::AttributeDiscard));
    }
    bad(family, "05 01 18 c000", Reaction::AfiSafiDisable);
    bad(family, "f1", Reaction::AfiSafiDisable);
}

#[test]
fn a_malformed_link_state_nlri_is_left_out_alone() {
    let family = Family::LINK_STATE;
    // Node: protocol, identifier, one TLV; then TLVs out of order; then one that breaks off.
    let node = "0001 000d 02 0000000000000000 0100 0000";
    let disordered = "0001 0011 02 0000000000000000 0102 0000 0100 0000";
    let cut = "0001 000d 02 0000000000000000 0100 0001";
    let (outcome, texts) = shown(family, &format!("{disordered} {node} {cut}"));
    assert_eq!(outcome, Reaction::AttributeDiscard);
    assert_eq!(texts, [node.replace(' ', "")]);
    bad(family, "0001 000e 02 0000000000000000 0100 0000", Reaction::AfiSafiDisable);
}

#[test]
fn a_color_aware_route_must_hold_its_key() {
    let family = Family::IPV4_CAR;
    good(family, "0b 08 01 18 0a0000 00000064 05", "0b0801180a00000000006405");
    bad(family, "0b 0a 01 18 0a0000 00000064 05", Reaction::AfiSafiDisable);
    bad(family, "01 00", Reaction::AfiSafiDisable);
    bad(family, "02 00 01 01", Reaction::AfiSafiDisable);
}

#[test]
fn a_segment_routing_policy_of_another_length_is_treated_as_withdrawn() {
    let short = "40 00000001 00000064";
    assert_eq!(shown(Family::IPV4_SR_POLICY, short), (Reaction::TreatAsWithdraw, vec![]));
    let four = "60 00000001 00000064 0a000001";
    assert_eq!(shown(Family::IPV6_SR_POLICY, four), (Reaction::TreatAsWithdraw, vec![]));
    let six = "c0 00000001 00000064 20010db8000000000000000000000001";
    good(Family::IPV6_SR_POLICY, six, &six.replace(' ', ""));
}

/// RFC 8277 §2.2: the bit is ignored when received, and set when sent, on a session of whole stacks too.
#[test]
fn a_label_without_the_bottom_bit_goes_on_with_it() {
    let family = Family::IPV4_LABELED_UNICAST;
    let single = session(family);
    let stacks = Codec { multiple_labels: FamilySet::of(&[family]), ..single };
    let frame = mp(family, &[10, 0, 0, 1], &hex("30 000100 c00002"));
    let view = single.decode_update(&frame).unwrap();
    let (_, route) = view.reach().next().unwrap().nlri.iter().next().unwrap();
    for to in [single, stacks] {
        let mut out = BytesMut::new();
        let next_hop = NextHop::V4([10, 0, 0, 1].into());
        let packed = announce(&mut out, &to, family, &next_hop, &attributes(), [(PathId(0), route)]);
        assert_eq!((packed.routes, packed.refused), (1, 0));
        assert!(out.windows(7).any(|octets| octets == hex("30 000101 c00002")), "{out:02x?}");
    }
}

#[test]
fn a_stack_that_no_nlri_holds_is_none() {
    assert!(LabelStack::new(&[Label(16); 10]).is_some());
    assert_eq!(LabelStack::new(&[Label(16); 11]), None);
    assert_eq!(LabelStack::new(&[Label(1 << 20)]), None);
}

/// RFC 7606 §2: the strongest reaction is not for what has its end.
#[test]
fn a_route_target_of_too_few_bits_is_treated_as_withdrawn() {
    let family = Family::ROUTE_TARGET;
    let frame = mp(family, &[10, 0, 0, 1], &hex("08 00 00 1f 00000000 20 0000fde9"));
    let codec = session(family);
    let view = codec.decode_update(&frame).unwrap();
    assert_eq!((view.outcome(), view.reach().count()), (Reaction::TreatAsWithdraw, 0));
    // The others are withdrawn, in front of it and behind it.
    assert_eq!(view.unreach().flat_map(|b| b.iter()).count(), 2);
    let frame = withdrawal(family, &hex("08 00 00"));
    let view = codec.decode_update(&frame).unwrap();
    assert_eq!(view.outcome(), Reaction::AttributeDiscard);
    assert_eq!(view.unreach().flat_map(|b| b.iter()).count(), 1);
    // More bits than there are, and octets that break off, leave no end to rely on.
    bad(family, &format!("61 {}", "00".repeat(13)), Reaction::AfiSafiDisable);
    bad(family, "20 0000", Reaction::AfiSafiDisable);
}

/// RFC 8955 §4: the next hop is ignored, however long.
#[test]
fn the_next_hop_of_a_flow_specification_is_ignored_whatever_its_length() {
    let family = Family::IPV4_FLOWSPEC;
    for len in [0, 1, 4, 48, 49, 255] {
        let frame = mp(family, &vec![7; len], &hex("03 03 81 06"));
        let codec = session(family);
        let view = codec.decode_update(&frame).unwrap();
        assert_eq!((view.outcome(), view.reach().count()), (Reaction::Accept, 1), "{len}");
    }
}
