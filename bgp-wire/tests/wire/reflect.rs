//! A reflector passes a message on with two attributes more, and not an octet else.
use bgp_wire::{AttributeBlock, ClusterId, Codec, Family, FamilySet, NotReflected, Reflection, RouterId};
use bytes::BytesMut;

use crate::build::{
    NET, NET6, as_path, attribute, internal, mandatory, mp_reach, mp_unreach, origin, update,
};

const HOW: Reflection =
    Reflection { originator_id: RouterId(0x0a00_0009), cluster_id: ClusterId(0x0a00_0001) };

fn reflected(from: &Codec, to: &Codec, frame: &[u8]) -> Result<Vec<u8>, NotReflected> {
    let mut out = BytesMut::from(&b"before"[..]);
    let result = from.decode_update(frame).unwrap().reflect(to, &HOW, &mut out);
    assert!(out.starts_with(b"before"));
    let out = out[6..].to_vec();
    match result {
        Ok(()) => Ok(out),
        Err(why) => {
            assert!(out.is_empty());
            Err(why)
        }
    }
}

#[test]
fn originator_and_cluster_are_put_in_their_place() {
    let with = |more: &[Vec<u8>]| [&mandatory()[..], &[attribute(0x40, 5, &[0, 0, 0, 100])], more].concat();
    let large = attribute(0xc0, 32, &[1; 12]);
    let received = update(&[], &with(std::slice::from_ref(&large)), &NET);
    let (id, clusters) = (attribute(0x80, 9, &[10, 0, 0, 9]), attribute(0x80, 10, &[10, 0, 0, 1]));
    let expected = update(&[], &with(&[id, clusters, large.clone()]), &NET);
    assert_eq!(reflected(&internal(), &internal(), &received), Ok(expected));
    // What is there stays: the originator as it is, the list behind the new cluster.
    let (id, clusters) = (attribute(0x80, 9, &[7; 4]), attribute(0x80, 10, &[6; 8]));
    let received = update(&[], &with(&[id.clone(), clusters, large.clone()]), &NET);
    let clusters = attribute(0x80, 10, &[10, 0, 0, 1, 6, 6, 6, 6, 6, 6, 6, 6]);
    let expected = update(&[], &with(&[id, clusters, large]), &NET);
    assert_eq!(reflected(&internal(), &internal(), &received), Ok(expected));
}

#[test]
fn a_partial_bit_stays_where_it_may_be_only() {
    let from = |communities, clusters| {
        let more = [attribute(communities, 8, &[1; 4]), attribute(clusters, 10, &[6; 4])];
        reflected(&internal(), &internal(), &update(&[], &[&mandatory()[..], &more].concat(), &NET)).unwrap()
    };
    assert_eq!(from(0xe0, 0xa0), from(0xe0, 0x80));
    assert_ne!(from(0xe0, 0x80), from(0xc0, 0x80));
}

#[test]
fn a_long_cluster_list_takes_two_octets_of_length() {
    let received = update(&[], &[&mandatory()[..], &[attribute(0x80, 10, &[6; 252])]].concat(), &NET);
    let out = reflected(&internal(), &internal(), &received).unwrap();
    let view = internal().decode_update(&out).unwrap();
    assert_eq!((view.cluster_list().len(), view.originator_id()), (64, Some(HOW.originator_id)));
    assert_eq!(view.cluster_list().iter().next(), Some(HOW.cluster_id));
}

#[test]
fn what_goes_by_values_and_what_goes_by_octets_is_the_same() {
    let attributes = [mp_reach(0x80, &NET6), origin(), as_path(&[65001]), attribute(0xc0, 8, &[1; 8])];
    let received = update(&[], &attributes, &[]);
    let out = reflected(&internal(), &internal(), &received).unwrap();
    let mut block = vec![];
    let view = internal().decode_update(&out).unwrap();
    view.canonical_attributes(&mut block);
    let (mut before, mut rewritten) = (vec![], vec![]);
    internal().decode_update(&received).unwrap().canonical_attributes(&mut before);
    let how = bgp_wire::Rewrite {
        originator_id: bgp_wire::Edit::SetIfAbsent(HOW.originator_id),
        cluster_list: bgp_wire::ClusterEdit::Prepend(HOW.cluster_id),
        ..Default::default()
    };
    bgp_wire::rewrite(AttributeBlock::parse(&before).unwrap(), &how, &mut rewritten).unwrap();
    assert_eq!(block, rewritten);
    assert!(view.reach().eq(internal().decode_update(&out).unwrap().reach()));
}

#[test]
fn withdrawals_go_out_as_they_came_in() {
    for received in [update(&NET, &[], &[]), update(&[], &[mp_unreach(&NET6)], &[])] {
        assert_eq!(reflected(&internal(), &internal(), &received), Ok(received.clone()));
    }
}

#[test]
fn what_cannot_go_by_octets_is_told() {
    let codec = internal();
    let good = update(&[], &mandatory(), &NET);
    let to = |to: Codec| reflected(&codec, &to, &good);
    let add_path = FamilySet::of(&[Family::IPV4_UNICAST]);
    assert_eq!(to(Codec { four_octet_as: false, ..codec }), Err(NotReflected::Form));
    assert_eq!(to(Codec { add_path_tx: add_path, ..codec }), Err(NotReflected::Form));
    assert_eq!(to(Codec { families: FamilySet::empty(), ..codec }), Err(NotReflected::Form));
    assert_eq!(to(crate::build::external()), Err(NotReflected::Form));
    let with = |more: Vec<u8>| update(&[], &[&mandatory()[..], &[more]].concat(), &NET);
    let why = |frame: &[u8]| reflected(&codec, &codec, frame).unwrap_err();
    assert_eq!(why(&with(attribute(0xc0, 200, &[1]))), NotReflected::Unknown);
    assert_eq!(why(&with(attribute(0xc0, 6, &[1]))), NotReflected::Faulty);
    for flags in [0xa0, 0x81] {
        assert_eq!(why(&with(attribute(flags, 4, &[0; 4]))), NotReflected::Flags);
    }
    assert_eq!(
        why(&update(&[], &[attribute(0xa0, 15, &[&[0, 2, 1], &NET6[..]].concat())], &[])),
        NotReflected::Flags
    );
    assert_eq!(why(&update(&[], &[], &[])), NotReflected::NoRoutes);
    // Fourteen octets more make 4,093, or one too many.
    assert_eq!(reflected(&codec, &codec, &with(attribute(0xc0, 8, &[1; 4024]))).unwrap().len(), 4093);
    let full = with(attribute(0xc0, 8, &[1; 4028]));
    assert_eq!(why(&full), NotReflected::TooLong);
    let roomy = Codec { extended_message_rx: true, extended_message_tx: true, ..codec };
    assert_eq!(reflected(&codec, &roomy, &full).unwrap().len(), full.len() + 14);
}

#[test]
fn routes_of_a_family_that_was_not_negotiated_do_not_go_on() {
    let from = Codec { families: FamilySet::of(&[Family::IPV6_UNICAST]), ..internal() };
    let told = [mp_reach(0x80, &NET6), origin(), as_path(&[65001])];
    let reflected = |withdrawn: &[u8], nlri: &[u8]| {
        let frame = update(withdrawn, &told, nlri);
        let view = from.decode_update(&frame).unwrap();
        // The session passes them over: what it shows is the IPv6 route alone.
        assert!(view.reach().all(|r| r.family == Family::IPV6_UNICAST) && view.unreach().next().is_none());
        reflected(&from, &internal(), &frame)
    };
    assert!(reflected(&[], &[]).is_ok());
    assert_eq!(reflected(&[], &NET), Err(NotReflected::Faulty));
    assert_eq!(reflected(&NET, &[]), Err(NotReflected::Faulty));
}

/// RFC 7606 §5.1: such messages are read, but must not be sent.
#[test]
fn routes_in_several_fields_and_mp_attributes_behind_others_are_not_copied() {
    let codec = internal();
    let (reach, unreach) = (mp_reach(0x80, &NET6), mp_unreach(&[32, 0x20, 0x01, 0x0d, 0xb9]));
    let front = [origin(), as_path(&[65001])];
    let with = |mp: &[Vec<u8>]| [mp, &front[..]].concat();
    let why = |frame: &[u8]| reflected(&codec, &codec, frame).map(|_| ());
    assert_eq!(why(&update(&[], &with(std::slice::from_ref(&reach)), &[])), Ok(()));
    assert_eq!(why(&update(&[], std::slice::from_ref(&unreach), &[])), Ok(()));
    for frame in [
        update(&[8, 10], &mandatory(), &NET),
        update(&[], &[std::slice::from_ref(&reach), &mandatory()[..]].concat(), &NET),
        update(&NET, &with(std::slice::from_ref(&reach)), &[]),
        update(&NET, std::slice::from_ref(&unreach), &[]),
        update(&[], &with(&[reach.clone(), unreach.clone()]), &[]),
        update(&[], &[&front[..], std::slice::from_ref(&reach)].concat(), &[]),
        update(&[], &[origin(), unreach], &[]),
    ] {
        assert_eq!(why(&frame), Err(NotReflected::Form));
    }
}

/// A next hop behind a distinguisher that is not zero goes by its octets, and is read as one of IPv6 all the same.
#[test]
fn an_ipv6_next_hop_behind_a_distinguisher_is_for_those_who_read_it() {
    let family = Family::IPV4_VPN;
    let codec = Codec { families: FamilySet::of(&[family]), ..internal() };
    let extended = Codec { extended_next_hop: FamilySet::of(&[family]), ..codec };
    let value = crate::build::hex(
        "0001 80 18 0000fde900000009 20010db8000000000000000000000001 00 70 000101 0000fde900000001 c00002",
    );
    let frame = update(&[], &[attribute(0x80, 14, &value), origin(), as_path(&[65001])], &[]);
    assert_eq!(reflected(&extended, &codec, &frame), Err(NotReflected::Form));
    assert!(reflected(&extended, &extended, &frame).is_ok());
}

#[test]
fn an_owned_copy_of_a_view_is_the_message() {
    let frame = update(&NET, &mandatory(), &NET);
    let owned = internal().decode_update(&frame).unwrap().to_update();
    assert_eq!(owned.as_bytes(), &frame);
    assert!(owned.view().reach().eq(internal().decode_update(&frame).unwrap().reach()));
}

#[test]
fn a_large_community_that_is_there_twice_is_not_sent_twice() {
    let with = |value: &[u8]| {
        let received = update(&[], &[&mandatory()[..], &[attribute(0xc0, 32, value)]].concat(), &NET);
        reflected(&internal(), &internal(), &received)
    };
    assert_eq!(with(&[1; 24]), Err(NotReflected::Redundant));
    assert!(with(&[[1; 12], [2; 12]].concat()).is_ok());
}
