//! UPDATEs going out: few, full, and lawful.
use std::net::{Ipv4Addr, Ipv6Addr};

use bgp_wire::{
    AsPath, Asn, AttributeBlock, AttributeCode, AttributeFlags, Codec, Family, FamilySet, NextHop, NlriBlock,
    OpaqueNextHop, OwnedAttribute, Packed, PathAttributes, PathId, Reaction, Rewrite, announce, end_of_rib,
    rewrite, withdraw,
};
use bytes::{Bytes, BytesMut};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::build::{external, hex};

const V4: NextHop = NextHop::V4(Ipv4Addr::new(10, 0, 0, 1));
const V6: NextHop = NextHop::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

fn block() -> Vec<u8> {
    let mut out = Vec::new();
    PathAttributes { local_pref: None, med: Some(1), ..PathAttributes::default() }
        .encode_block(&mut out)
        .unwrap();
    out
}

fn nets(n: u32) -> impl Iterator<Item = (PathId, Ipv4Net)> + Clone {
    (0..n).map(|i| (PathId(i), Ipv4Net::new(Ipv4Addr::from(0x0a00_0000 + (i << 8)), 24).unwrap()))
}

fn nets6(n: u32) -> impl Iterator<Item = (PathId, Ipv6Net)> + Clone {
    (0..n).map(|i| (PathId(i), Ipv6Net::new(Ipv6Addr::from(u128::from(0x2001_0000 + i) << 96), 48).unwrap()))
}

type Routes = Vec<(PathId, IpNet)>;

/// What the peer reads: announced and withdrawn routes, and the longest message.
fn read(codec: &Codec, bytes: &BytesMut) -> (Routes, Routes, usize) {
    let (mut announced, mut withdrawn, mut longest) = (vec![], vec![], 0);
    let mut rest = Bytes::copy_from_slice(bytes);
    while let Some(frame) = codec.frame(&rest).unwrap() {
        let one = rest.split_to(frame.len);
        let view = codec.decode_update(&one).unwrap();
        assert_eq!(view.outcome(), Reaction::Accept);
        announced.extend(
            view.reach().flat_map(|r| r.nlri.iter()).map(|(id, n)| (id, IpNet::try_from(n).unwrap())),
        );
        withdrawn
            .extend(view.unreach().flat_map(|b| b.iter()).map(|(id, n)| (id, IpNet::try_from(n).unwrap())));
        longest = longest.max(frame.len);
    }
    assert!(rest.is_empty());
    (announced, withdrawn, longest)
}

fn both_ways(codec: Codec) -> Codec {
    Codec { add_path_rx: codec.add_path_tx, ..codec }
}

#[test]
fn routes_fill_messages_to_the_last_octet_that_fits() {
    for (codec, limit) in [
        (external(), 4096),
        (Codec { extended_message_rx: true, extended_message_tx: true, ..external() }, 65535),
    ] {
        let mut out = BytesMut::new();
        let n = 40_000;
        let packed = announce(&mut out, &codec, Family::IPV4_UNICAST, &V4, &block(), nets(n));
        assert_eq!((packed.routes, packed.too_large, packed.refused), (40_000, 0, 0));
        let (announced, _, longest) = read(&codec, &out);
        assert!(longest <= limit && longest > limit - 4, "{longest} of {limit}");
        assert!(announced.iter().map(|(_, p)| *p).eq(nets(n).map(|(_, p)| IpNet::V4(p))));
        let per_message = (limit - 23 - block().len() - 7) / 4;
        assert_eq!(packed.messages, 40_000usize.div_ceil(per_message));
    }
}

#[test]
fn path_identifiers_are_written_where_negotiated() {
    let families = FamilySet::of(&[Family::IPV4_UNICAST, Family::IPV6_UNICAST]);
    let codec = both_ways(Codec { add_path_tx: families, ..external() });
    let mut out = BytesMut::new();
    announce(&mut out, &codec, Family::IPV4_UNICAST, &V4, &block(), nets(3000));
    announce(&mut out, &codec, Family::IPV6_UNICAST, &V6, &block(), nets6(3000));
    withdraw(&mut out, &codec, Family::IPV4_UNICAST, nets(5));
    withdraw(&mut out, &codec, Family::IPV6_UNICAST, nets6(2000));
    let (announced, withdrawn, _) = read(&codec, &out);
    assert!(announced.iter().map(|(id, _)| id.0).eq((0..3000).chain(0..3000)));
    assert!(withdrawn.iter().map(|(id, _)| id.0).eq((0..5).chain(0..2000)));
}

#[test]
fn mp_reach_is_the_first_attribute_and_next_hop_has_its_place() {
    let mut out = BytesMut::new();
    announce(&mut out, &external(), Family::IPV6_UNICAST, &V6, &block(), nets6(1));
    assert_eq!(out[23..25], [0x90, 14]);
    let mut out = BytesMut::new();
    announce(&mut out, &external(), Family::IPV4_UNICAST, &V4, &block(), nets(1));
    let expected = hex("ffffffffffffffffffffffffffffffff 0030 02 0000 0015
         40 01 01 00  40 02 00  40 03 04 0a000001  80 04 04 00000001  18 0a0000");
    assert_eq!(out, expected[..]);
}

#[test]
fn ipv4_routes_behind_an_ipv6_next_hop_need_the_capability() {
    let mut out = BytesMut::new();
    let packed = announce(&mut out, &external(), Family::IPV4_UNICAST, &V6, &block(), nets(3));
    assert_eq!(packed, Packed { refused: 3, ..Packed::default() });
    assert!(out.is_empty());
    let codec = Codec { extended_next_hop: FamilySet::of(&[Family::IPV4_UNICAST]), ..external() };
    assert_eq!(announce(&mut out, &codec, Family::IPV4_UNICAST, &V6, &block(), nets(3)).routes, 3);
    assert_eq!(read(&codec, &out).0.len(), 3);
}

#[test]
fn what_the_peer_would_refuse_is_reported_not_sent() {
    let mut out = BytesMut::new();
    let unspecified = NextHop::V4(Ipv4Addr::UNSPECIFIED);
    assert_eq!(
        announce(&mut out, &external(), Family::IPV4_UNICAST, &unspecified, &block(), nets(2)).refused,
        2
    );
    assert_eq!(announce(&mut out, &external(), Family::IPV6_UNICAST, &V4, &block(), nets6(2)).refused, 2);
    assert_eq!(announce(&mut out, &external(), Family::IPV6_UNICAST, &V6, &block(), nets(2)).refused, 2);
    assert!(out.is_empty());
}

#[test]
fn attributes_that_leave_no_room_are_reported_not_sent() {
    let communities = vec![bgp_wire::Community(1); 1020];
    let mut block = Vec::new();
    PathAttributes { communities, ..PathAttributes::default() }.encode_block(&mut block).unwrap();
    let mut out = BytesMut::new();
    let packed = announce(&mut out, &external(), Family::IPV4_UNICAST, &V4, &block, nets(2));
    assert_eq!(packed, Packed { too_large: 2, ..Packed::default() });
    assert!(out.is_empty());
    let codec = Codec { extended_message_rx: true, extended_message_tx: true, ..external() };
    assert_eq!(announce(&mut out, &codec, Family::IPV4_UNICAST, &V4, &block, nets(2)).routes, 2);
}

#[test]
fn withdrawals_of_either_form_fill_messages() {
    let mut out = BytesMut::new();
    let packed = withdraw(&mut out, &external(), Family::IPV4_UNICAST, nets(3000));
    assert_eq!(packed.messages, 3);
    withdraw(&mut out, &external(), Family::IPV6_UNICAST, nets6(2000));
    let (_, withdrawn, longest) = read(&external(), &out);
    assert_eq!(withdrawn.len(), 5000);
    assert!(longest <= 4096);
}

#[test]
fn end_of_rib_goes_both_ways() {
    for family in [Family::IPV4_UNICAST, Family::IPV6_UNICAST] {
        let mut out = BytesMut::new();
        end_of_rib(&mut out, family);
        assert_eq!(external().decode_update(&out).unwrap().end_of_rib(), Some(family));
    }
}

#[test]
fn no_routes_make_no_message() {
    let mut out = BytesMut::new();
    assert_eq!(
        announce(&mut out, &external(), Family::IPV4_UNICAST, &V4, &block(), nets(0)),
        Packed::default()
    );
    assert!(out.is_empty());
}

#[test]
fn attributes_that_no_peer_takes_are_refused() {
    let refused = |codec: &Codec, attributes: &[u8]| {
        let mut out = BytesMut::new();
        let packed = announce(&mut out, codec, Family::IPV4_UNICAST, &V4, attributes, nets(2));
        assert_eq!(out.is_empty(), packed.routes == 0);
        packed.refused
    };
    assert_eq!(refused(&external(), &[]), 2);
    assert_eq!(refused(&external(), &hex("40 01 01 00")), 2);
    assert_eq!(refused(&external(), &hex("40 02 00")), 2);
    // Member ASes of a confederation are told within it (RFC 5065 §4.1).
    let path = hex("40 01 01 00  40 02 0c 02 01 0000fde9 03 01 0000fde8");
    assert_eq!(refused(&external(), &path), 2);
    assert_eq!(refused(&crate::build::internal(), &path), 0);
}

#[test]
fn a_path_of_the_wrong_width_is_refused() {
    let two = Codec { four_octet_as: false, ..external() };
    let mut block = vec![];
    let path = AsPath::sequence([Asn(65001), Asn(65002)]);
    PathAttributes { as_path: path, ..PathAttributes::default() }.encode_block(&mut block).unwrap();
    let mut out = BytesMut::new();
    let told = announce(&mut out, &two, Family::IPV4_UNICAST, &V4, &block, nets(3));
    assert_eq!((told.routes, told.refused, out.len()), (0, 3, 0));
    let how = Rewrite { two_octet_as: true, ..Rewrite::default() };
    let mut narrow = vec![];
    rewrite(AttributeBlock::parse(&block).unwrap(), &how, &mut narrow).unwrap();
    assert_eq!(announce(&mut out, &two, Family::IPV4_UNICAST, &V4, &narrow, nets(3)).routes, 3);
}

#[test]
fn a_next_hop_behind_a_distinguisher_is_for_those_who_read_its_kind() {
    let family = Family::IPV4_VPN;
    let plain = Codec { families: FamilySet::of(&[family]), ..external() };
    let extended = Codec { extended_next_hop: FamilySet::of(&[family]), ..plain };
    let octets = hex("70 000101 0000fde900000001 c00002");
    let told = |codec: &Codec, field: &str| {
        let hop = NextHop::Opaque(OpaqueNextHop::new(&hex(field)).unwrap());
        let nlri = NlriBlock::parse(family, false, &octets).unwrap();
        let mut out = BytesMut::new();
        let told = announce(&mut out, codec, family, &hop, &block(), nlri);
        assert!(out.is_empty() || codec.decode_update(&out).unwrap().outcome() == Reaction::Accept);
        (told.routes, hop.address().to_string())
    };
    let (rd, v6) = ("0000fde900000009", "20010db8000000000000000000000001");
    assert_eq!(told(&plain, &format!("{rd} 0a000001")), (1, "10.0.0.1".to_owned()));
    assert_eq!(told(&plain, &format!("{rd} {v6}")), (0, "2001:db8::1".to_owned()));
    assert_eq!(told(&extended, &format!("{rd} {v6}")), (1, "2001:db8::1".to_owned()));
    assert_eq!(told(&plain, &format!("{rd} {v6} {rd} {v6}")).0, 0);
}

/// RFC 9552 §5.3: the route matters more than what is said of it.
#[test]
fn a_link_state_route_that_does_not_fit_goes_without_its_attribute() {
    let family = Family::LINK_STATE;
    let codec = Codec { families: FamilySet::of(&[family]), ..external() };
    let value = [&[4, 1, 0x0e, 0xd8][..], &[0; 3800]].concat();
    let link_state = OwnedAttribute { flags: AttributeFlags(0x80), code: AttributeCode::LINK_STATE, value };
    let mut block = vec![];
    PathAttributes { other: vec![link_state], local_pref: None, ..PathAttributes::default() }
        .encode_block(&mut block)
        .unwrap();
    let node = |octets: usize| {
        let name = "00".repeat(octets);
        hex(&format!("0001 {:04x} 02 0000000000000000 0109 {octets:04x} {name}", octets + 13))
    };
    let all = [node(1), node(400), node(2), node(5000)].concat();
    let mut out = BytesMut::new();
    let nlri = NlriBlock::parse(family, false, &all).unwrap();
    let told = announce(&mut out, &codec, family, &V4, &block, nlri);
    assert_eq!((told.routes, told.too_large, told.refused), (3, 1, 0));
    let (mut rest, mut read) = (out.freeze(), vec![]);
    while let Some(frame) = codec.frame(&rest).unwrap() {
        let one = rest.split_to(frame.len);
        let view = codec.decode_update(&one).unwrap();
        let has = view.attributes().any(|a| a.code == AttributeCode::LINK_STATE);
        read.extend(
            view.reach().flat_map(|r| r.nlri.iter()).map(|(_, n)| (n.to_string().len() / 2 - 17, has)),
        );
    }
    assert_eq!(read, [(1, true), (2, true), (400, false)]);
}
