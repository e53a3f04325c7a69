//! UPDATEs going out: few, full, and lawful.
use std::net::{Ipv4Addr, Ipv6Addr};

use bgp_wire::{
    Codec, Family, FamilySet, NextHop, Packed, PathAttributes, PathId, Reaction, announce, end_of_rib,
    withdraw,
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
    for (codec, limit) in [(external(), 4096), (Codec { extended_message: true, ..external() }, 65535)] {
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
    let codec = Codec { extended_message: true, ..external() };
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
