//! What a view shows of a good UPDATE.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bgp_wire::{
    Asn, AttributeCode, Codec, Community, Family, FamilySet, Message, NextHop, Origin, PathId, Reaction,
    RouterId,
};
use bytes::Bytes;

use crate::build::{
    NET, NET6, attribute, external, hex, internal, mandatory, message, mp_reach, mp_unreach, update,
};

#[test]
fn a_reflected_route_is_read_attribute_by_attribute() {
    let bytes = hex("ffffffffffffffffffffffffffffffff 0053 02 0000 0034
         40 01 01 00  40 02 0a 02 02 0000fde9 fa56ea00  40 03 04 0a000002  80 04 04 00000064  40 05 04 000000c8
         80 09 04 0a000003  80 0a 04 0a000009
         18 c63364 16 cb0071");
    let codec = internal();
    let view = codec.decode_update(&bytes).unwrap();
    assert_eq!(view.outcome(), Reaction::Accept);
    assert_eq!(view.origin(), Some(Origin::Igp));
    assert_eq!(view.as_path().unwrap().to_string(), "65001 4200000000");
    assert_eq!(view.as_path().unwrap().first(), Some(Asn(65001)));
    assert_eq!((view.med(), view.local_pref()), (Some(100), Some(200)));
    assert_eq!(view.originator_id(), Some(RouterId(0x0a00_0003)));
    assert_eq!(view.cluster_list().iter().map(|c| c.to_string()).collect::<Vec<_>>(), ["10.0.0.9"]);
    let reach: Vec<_> = view.reach().collect();
    assert_eq!(reach.len(), 1);
    assert_eq!(reach[0].next_hop, NextHop::V4(Ipv4Addr::new(10, 0, 0, 2)));
    let routes: Vec<_> = reach[0].nlri.ipv4().map(|(_, p)| p.to_string()).collect();
    assert_eq!(routes, ["198.51.100.0/24", "203.0.112.0/22"], "host bits are cleared");
    // The same through the owned message.
    let Message::Update(owned) = codec.decode(&Bytes::from(bytes.clone())).unwrap() else { panic!() };
    assert_eq!(owned.view().as_path(), view.as_path());
    assert_eq!(&owned.as_bytes()[..], &bytes[..]);
}

#[test]
fn prefixes_of_every_length_are_masked() {
    for len in 0..=32u8 {
        let nlri = [&[len][..], &[0xff; 4][..usize::from(len.div_ceil(8))]].concat();
        let frame = update(&[], &mandatory(), &nlri);
        let view = external().decode_update(&frame).unwrap();
        let (_, net) = view.reach().next().unwrap().nlri.ipv4().next().unwrap();
        assert_eq!((net.prefix_len(), net.addr()), (len, net.network()));
        assert_eq!(u32::from(net.addr()).count_ones(), u32::from(len));
    }
    for len in 0..=128u8 {
        let nlri = [&[len][..], &[0xff; 16][..usize::from(len.div_ceil(8))]].concat();
        let frame = update(&[], &[mp_unreach(&nlri)], &[]);
        let view = external().decode_update(&frame).unwrap();
        let (_, net) = view.unreach().next().unwrap().ipv6().next().unwrap();
        assert_eq!(u128::from(net.addr()).count_ones(), u32::from(len));
    }
}

#[test]
fn path_identifiers_are_read_where_negotiated() {
    let codec = Codec { add_path_rx: FamilySet::of(&[Family::IPV4_UNICAST]), ..external() };
    let nlri = hex("00000007 18 c00002 00000008 00 00000009 20 0a000001");
    let frame = update(&[], &mandatory(), &nlri);
    let view = codec.decode_update(&frame).unwrap();
    let routes: Vec<_> =
        view.reach().next().unwrap().nlri.ipv4().map(|(id, p)| (id, p.to_string())).collect();
    let expected = [(7, "192.0.2.0/24"), (8, "0.0.0.0/0"), (9, "10.0.0.1/32")];
    assert_eq!(routes, expected.map(|(id, p)| (PathId(id), p.to_owned())));
    // An identifier without a prefix is a syntax error.
    for cut in ["00000007", "000000", "00000007 18 c000"] {
        let n = codec.decode_update(&update(&[], &mandatory(), &hex(cut))).unwrap_err();
        assert_eq!((n.code.0, n.subcode), (3, 10));
    }
}

#[test]
fn classic_and_mp_routes_come_in_one_shape() {
    let mut attributes = mandatory();
    attributes.insert(0, mp_reach(0x80, &NET6));
    attributes.push(mp_unreach(&[16, 0x20, 0x02]));
    let frame = update(&[8, 10], &attributes, &NET);
    let view = external().decode_update(&frame).unwrap();
    assert_eq!(view.outcome(), Reaction::Accept);
    let families: Vec<_> = view.reach().map(|r| (r.family, r.next_hop.address())).collect();
    let v4 = IpAddr::from([10, 0, 0, 1]);
    let v6: IpAddr = "2001:db8::1".parse().unwrap();
    assert_eq!(families, [(Family::IPV4_UNICAST, v4), (Family::IPV6_UNICAST, v6)]);
    let withdrawn: Vec<_> = view.unreach().flat_map(|b| b.iter()).map(|(_, n)| n.to_string()).collect();
    assert_eq!(withdrawn, ["10.0.0.0/8", "2002::/16"]);
    let codes: Vec<_> = view.attributes().map(|a| a.code.0).collect();
    assert_eq!(codes, [1, 2, 3], "MP attributes are shown as routes");
    assert_eq!(view.attribute(AttributeCode::MP_REACH_NLRI), None);
}

fn reach_with(codec: &Codec, afi: u8, next_hop: &str, nlri: &[u8]) -> Option<NextHop> {
    let next_hop = hex(next_hop);
    let len = u8::try_from(next_hop.len()).unwrap();
    let value = [&[0, afi, 1, len][..], &next_hop, &[0], nlri].concat();
    let mut attributes = mandatory();
    attributes.pop();
    attributes.push(attribute(0x80, 14, &value));
    let frame = update(&[], &attributes, &[]);
    codec.decode_update(&frame).ok()?.reach().next().map(|r| r.next_hop)
}

#[test]
fn next_hops_come_in_all_their_lengths() {
    let global = "20010db8000000000000000000000001";
    let local = "fe800000000000000000000000000002";
    let (g, l): (Ipv6Addr, Ipv6Addr) = ("2001:db8::1".parse().unwrap(), "fe80::2".parse().unwrap());
    let zero = "00".repeat(16);
    let six = |text: String| reach_with(&external(), 2, &text, &NET6);
    assert_eq!(six(global.to_owned()), Some(NextHop::V6(g)));
    assert_eq!(six(format!("{global}{local}")), Some(NextHop::V6WithLinkLocal(g, l)));
    assert_eq!(six(format!("{local}{local}")), Some(NextHop::V6(l)));
    assert_eq!(six(format!("{zero}{local}")), Some(NextHop::V6(l)));
    assert_eq!(six(format!("{global}{zero}")), Some(NextHop::V6(g)));
    assert_eq!(six("0a000001".to_owned()), None);
    // IPv4 prefixes behind IPv6 next hops only where negotiated (RFC 8950).
    let with = Codec { extended_next_hop: FamilySet::of(&[Family::IPV4_UNICAST]), ..external() };
    assert_eq!(reach_with(&with, 1, global, &NET), Some(NextHop::V6(g)));
    assert_eq!(reach_with(&external(), 1, global, &NET), None);
    assert_eq!(reach_with(&external(), 1, "0a000001", &NET), Some(NextHop::V4([10, 0, 0, 1].into())));
}

#[test]
fn end_of_rib_is_told_apart_from_an_empty_list() {
    let end = |frame: &[u8]| external().decode_update(frame).unwrap().end_of_rib();
    assert_eq!(end(&message(2, &[0; 4])), Some(Family::IPV4_UNICAST));
    assert_eq!(end(&update(&[], &[mp_unreach(&[])], &[])), Some(Family::IPV6_UNICAST));
    assert_eq!(end(&update(&[], &[mp_unreach(&NET6)], &[])), None);
    assert_eq!(end(&update(&NET, &[mp_unreach(&[])], &[])), None);
    assert_eq!(end(&update(&[], &[mp_unreach(&[]), attribute(0xc0, 200, &[])], &[])), None);
    let other = attribute(0x80, 15, &[0x40, 0x04, 71]);
    assert_eq!(end(&update(&[], &[other], &[])), None, "a family that was not negotiated");
}

#[test]
fn communities_are_read_in_their_order() {
    let mut attributes = mandatory();
    attributes.push(attribute(0xc0, 8, &hex("ffffff01 fde80001 fde80000")));
    attributes.push(attribute(0xc0, 16, &hex("0002fde800000064 4004fde84b189680")));
    attributes.push(attribute(0xc0, 32, &hex("0000fde8 00000001 00000002")));
    let frame = update(&[], &attributes, &NET);
    let view = external().decode_update(&frame).unwrap();
    let shown: Vec<_> = view.communities().iter().map(|c| c.to_string()).collect();
    assert_eq!(shown, ["no-export", "65000:1", "65000:0"]);
    assert!(view.communities().contains(Community::NO_EXPORT));
    let shown: Vec<_> = view.extended_communities().iter().map(|c| c.to_string()).collect();
    assert_eq!(shown, ["rt:65000:100", "bandwidth:65000:10000000"]);
    assert_eq!(view.large_communities().iter().next().unwrap().to_string(), "65000:1:2");
}
