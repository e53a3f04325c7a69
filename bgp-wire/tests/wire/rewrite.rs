//! From a block to what is sent.
use bgp_wire::{
    Aggregator, AigpEdit, AsPath, Asn, AttributeBlock, AttributeCode, AttributeFlags, ClusterEdit, ClusterId,
    Codec, Community, Edit, ExtendedCommunity, OwnedAttribute, PathAttributes, PathSegment, Rewrite,
    RouterId, SegmentKind, TooLong, rewrite,
};

use crate::build::{NET, next_hop, update};

fn block(attributes: &PathAttributes) -> Vec<u8> {
    let mut out = Vec::new();
    attributes.encode_block(&mut out).unwrap();
    out
}

fn rewritten(attributes: &PathAttributes, how: &Rewrite) -> PathAttributes {
    let mut out = Vec::new();
    rewrite(AttributeBlock::parse(&block(attributes)).unwrap(), how, &mut out).unwrap();
    PathAttributes::from_block(AttributeBlock::parse(&out).unwrap())
}

fn route() -> PathAttributes {
    PathAttributes {
        as_path: AsPath::sequence([Asn(65001)]),
        med: Some(7),
        local_pref: Some(150),
        communities: vec![Community::NO_EXPORT],
        ..PathAttributes::default()
    }
}

#[test]
fn nothing_to_do_copies_the_block() {
    let bytes = block(&route());
    let mut out = b"before".to_vec();
    rewrite(AttributeBlock::parse(&bytes).unwrap(), &Rewrite::default(), &mut out).unwrap();
    assert_eq!(out, [b"before", &bytes[..]].concat());
}

#[test]
fn reflection_stamps_originator_and_cluster() {
    let (id, cluster) = (RouterId(1), ClusterId(9));
    let how = Rewrite {
        originator_id: Edit::SetIfAbsent(id),
        cluster_list: ClusterEdit::Prepend(cluster),
        ..Rewrite::default()
    };
    let once = rewritten(&route(), &how);
    assert_eq!((once.originator_id, &once.cluster_list[..]), (Some(id), &[cluster][..]));
    let next = Rewrite {
        originator_id: Edit::SetIfAbsent(RouterId(2)),
        cluster_list: ClusterEdit::Prepend(ClusterId(8)),
        ..Rewrite::default()
    };
    let twice = rewritten(&once, &next);
    assert_eq!((twice.originator_id, &twice.cluster_list[..]), (Some(id), &[ClusterId(8), cluster][..]));
    let expected = PathAttributes { originator_id: None, cluster_list: vec![], ..twice };
    assert_eq!(expected, route(), "the rest is untouched");
}

#[test]
fn an_external_peer_gets_our_as_and_no_internal_attributes() {
    let how = Rewrite {
        prepend: Some((Asn(65000), 2)),
        med: Edit::Remove,
        local_pref: Edit::Remove,
        cluster_list: ClusterEdit::Remove,
        originator_id: Edit::Remove,
        ..Rewrite::default()
    };
    let mut from = route();
    from.cluster_list = vec![ClusterId(1)];
    from.originator_id = Some(RouterId(1));
    from.as_path
        .segments
        .insert(0, PathSegment { kind: SegmentKind::ConfedSequence, asns: vec![Asn(64512)] });
    let to = rewritten(&from, &how);
    let expected = PathAttributes {
        as_path: AsPath::sequence([Asn(65000), Asn(65000), Asn(65001)]),
        communities: vec![Community::NO_EXPORT],
        ..PathAttributes::default()
    };
    assert_eq!(to, expected);
}

#[test]
fn confederation_segments_stay_inside_with_or_without_an_as_in_front() {
    let path = |segments: &[(SegmentKind, u32)]| {
        let segments = segments.iter().map(|(kind, asn)| PathSegment { kind: *kind, asns: vec![Asn(*asn)] });
        AsPath { segments: segments.collect() }
    };
    use SegmentKind::{ConfedSequence, ConfedSet, Sequence};
    let from = PathAttributes {
        as_path: path(&[(ConfedSequence, 65010), (ConfedSet, 65011), (Sequence, 65001)]),
        ..PathAttributes::default()
    };
    let told = |how: Rewrite| rewritten(&from, &how).as_path;
    assert_eq!(told(Rewrite::default()), from.as_path);
    // As a route server tells it.
    let out = Rewrite { leaves_as: true, ..Rewrite::default() };
    assert_eq!(told(out), path(&[(Sequence, 65001)]));
    let own = Rewrite { prepend: Some((Asn(65000), 1)), ..out };
    let joined = PathSegment { kind: Sequence, asns: vec![Asn(65000), Asn(65001)] };
    assert_eq!(told(own), AsPath { segments: vec![joined] });
    // A path without them is copied.
    let plain = PathAttributes { as_path: path(&[(Sequence, 65001)]), ..PathAttributes::default() };
    assert_eq!(rewritten(&plain, &out), plain);
}

#[test]
fn what_belongs_to_an_as_stays_in_it() {
    let other = |flags, code, value: &[u8]| OwnedAttribute {
        flags: AttributeFlags(flags),
        code,
        value: value.to_vec(),
    };
    let ipv6 = |kind: u8| [[kind].as_slice(), &[2; 19]].concat();
    let (aigp, sid) = (AttributeCode::AIGP, AttributeCode::PREFIX_SID);
    let (bandwidth, target) =
        (ExtendedCommunity::link_bandwidth(65000, 1e6), ExtendedCommunity::route_target(65000, 7));
    let ipv6_communities = AttributeCode::IPV6_EXTENDED_COMMUNITIES;
    let mut from = PathAttributes {
        extended_communities: vec![bandwidth, target, bandwidth],
        other: vec![
            other(0xc0, AttributeCode::TUNNEL_ENCAPSULATION, &[0, 8, 0, 3, 4, 1, 1]),
            other(0xc0, ipv6_communities, &[ipv6(0x40), ipv6(0x00)].concat()),
            other(0x80, aigp, &[1, 0, 11, 0, 0, 0, 0, 0, 0, 0, 9]),
            other(0xc0, sid, &[1, 0, 7, 0, 0, 0, 0, 0, 0, 9]),
        ],
        ..route()
    };
    assert_eq!(rewritten(&from, &Rewrite::default()), from);
    let how = Rewrite { leaves_as: true, ..Rewrite::default() };
    let expected = PathAttributes {
        extended_communities: vec![target],
        other: vec![other(0xc0, ipv6_communities, &ipv6(0x00))],
        ..route()
    };
    assert_eq!(rewritten(&from, &how), expected);
    // AIGP crosses with what the way here costs; one of several TLVs counts, all pass.
    let two = [&[9, 0, 4, 1][..], &[1, 0, 11, 0, 0, 0, 0, 0, 0, 0, 9], &[1, 0, 11, 0, 0, 0, 0, 0, 0, 0, 1]]
        .concat();
    from.other.push(other(0x80, aigp, &two));
    from.other.swap_remove(2);
    let grown = |add, how: Rewrite| {
        let mut out = rewritten(&from, &Rewrite { aigp: add, ..how });
        out.other.retain(|a| a.code == aigp);
        out.other.pop().map(|a| a.value)
    };
    let with = |metric: u64| [&two[..7], &metric.to_be_bytes(), &two[15..]].concat();
    assert_eq!(grown(AigpEdit::Add(5), how), Some(with(14)));
    assert_eq!(grown(AigpEdit::Add(u64::MAX), Rewrite::default()), None);
    assert_eq!(grown(AigpEdit::Keep, Rewrite::default()), Some(with(9)));
    assert_eq!(grown(AigpEdit::Remove, Rewrite::default()), None);
    // An attribute of which nothing is left is not there.
    from.extended_communities = vec![bandwidth];
    from.other = vec![other(0xc0, ipv6_communities, &ipv6(0x40))];
    assert_eq!(rewritten(&from, &how), route());
}

#[test]
fn as_zero_is_never_put_in_front() {
    let how = Rewrite { prepend: Some((Asn(0), 3)), ..Rewrite::default() };
    assert_eq!(rewritten(&route(), &how), route());
}

#[test]
fn our_own_route_gets_a_path_of_one() {
    let how = Rewrite { prepend: Some((Asn(65000), 1)), local_pref: Edit::Set(100), ..Rewrite::default() };
    let to = rewritten(&PathAttributes::default(), &how);
    assert_eq!((to.as_path, to.local_pref), (AsPath::sequence([Asn(65000)]), Some(100)));
}

#[test]
fn a_full_segment_makes_room_for_a_new_one() {
    let lengths = |n: u32, times| {
        let from =
            PathAttributes { as_path: AsPath::sequence((1..=n).map(Asn)), ..PathAttributes::default() };
        let to = rewritten(&from, &Rewrite { prepend: Some((Asn(65000), times)), ..Rewrite::default() });
        to.as_path.segments.iter().map(|s| s.asns.len()).collect::<Vec<_>>()
    };
    assert_eq!(lengths(254, 1), [255]);
    assert_eq!(lengths(255, 1), [1, 255]);
    assert_eq!(lengths(254, 3), [2, 255]);
    assert_eq!(lengths(255, 255), [255, 255]);
}

#[test]
fn a_set_at_the_front_gets_a_sequence_before_it() {
    let set = PathSegment { kind: SegmentKind::Set, asns: vec![Asn(1), Asn(2)] };
    let from =
        PathAttributes { as_path: AsPath { segments: vec![set.clone()] }, ..PathAttributes::default() };
    let to = rewritten(&from, &Rewrite { prepend: Some((Asn(65000), 1)), ..Rewrite::default() });
    let own = PathSegment { kind: SegmentKind::Sequence, asns: vec![Asn(65000)] };
    assert_eq!(to.as_path.segments, [own, set]);
}

/// Sends a route to a two-octet peer and reads it there.
fn through_two_octet_peer(from: &PathAttributes, prepend: Option<(Asn, u8)>) -> (PathAttributes, Vec<u8>) {
    let how = Rewrite { prepend, two_octet_as: true, ..Rewrite::default() };
    let mut out = Vec::new();
    rewrite(AttributeBlock::parse(&block(from)).unwrap(), &how, &mut out).unwrap();
    let codec = Codec {
        four_octet_as: false,
        extended_message_rx: true,
        extended_message_tx: true,
        ..crate::build::internal()
    };
    let frame = update(&[], &[out, next_hop()], &NET);
    let view = codec.decode_update(&frame).unwrap();
    assert_eq!(view.outcome().to_string(), "accept");
    let codes = view.attributes().map(|a| a.code.0).collect();
    let mut back = Vec::new();
    view.canonical_attributes(&mut back);
    (PathAttributes::from_block(AttributeBlock::parse(&back).unwrap()), codes)
}

#[test]
fn a_two_octet_peer_gets_as_trans_and_the_as4_attributes_when_needed() {
    let mut from = route();
    from.as_path = AsPath::sequence([Asn(4_200_000_000), Asn(65001)]);
    from.aggregator = Some(Aggregator { asn: Asn(4_200_000_000), router_id: RouterId(5) });
    let (back, codes) = through_two_octet_peer(&from, None);
    assert_eq!(back, from);
    assert_eq!(codes, [1, 2, 4, 5, 7, 8, 17, 18, 3]);

    let mut from = route();
    from.aggregator = Some(Aggregator { asn: Asn(65001), router_id: RouterId(5) });
    let (back, codes) = through_two_octet_peer(&from, None);
    assert_eq!(back, from);
    assert_eq!(codes, [1, 2, 4, 5, 7, 8, 3], "no AS4 attributes where two octets do");

    let (back, codes) = through_two_octet_peer(&route(), Some((Asn(4_200_000_001), 1)));
    assert_eq!(back.as_path, AsPath::sequence([Asn(4_200_000_001), Asn(65001)]));
    assert!(codes.contains(&17));
}

#[test]
fn a_list_that_would_not_fit_its_length_field_is_reported() {
    let from = PathAttributes { cluster_list: vec![ClusterId(1); 16_383], ..PathAttributes::default() };
    let bytes = block(&from);
    let how = Rewrite { cluster_list: ClusterEdit::Prepend(ClusterId(2)), ..Rewrite::default() };
    let mut out = Vec::new();
    let result = rewrite(AttributeBlock::parse(&bytes).unwrap(), &how, &mut out);
    assert_eq!(result, Err(TooLong { attribute: AttributeCode::CLUSTER_LIST }));
    assert!(out.is_empty());
}

/// Paths around the 255 numbers of a segment, with numbers that need four octets: each form has whole segments, and the
/// two put together are the path.
#[test]
fn long_paths_reach_a_two_octet_peer_whole() {
    let large = |n: u32| (0..n).map(|i| Asn(if i % 3 == 0 { 4_200_000_000 + i } else { 64_512 + i }));
    for length in [1, 254, 255, 256, 509, 510, 511, 512] {
        for times in [0, 1, 2, 255] {
            let from =
                PathAttributes { as_path: AsPath::sequence(large(length)), ..PathAttributes::default() };
            let (back, codes) = through_two_octet_peer(&from, Some((Asn(4_200_100_000), times)));
            let path: Vec<_> = back.as_path.segments.iter().flat_map(|s| s.asns.clone()).collect();
            let own = std::iter::repeat_n(Asn(4_200_100_000), times.into());
            assert!(path.into_iter().eq(own.chain(large(length))), "{length} {times}");
            assert!(codes.contains(&17));
        }
    }
}

#[test]
fn sets_and_confederations_reach_a_two_octet_peer_as_they_are() {
    let segment = |kind, asns: &[u32]| PathSegment { kind, asns: asns.iter().copied().map(Asn).collect() };
    use SegmentKind::{ConfedSequence, ConfedSet, Sequence, Set};
    for segments in [
        vec![segment(Set, &[4_200_000_000, 1])],
        vec![segment(ConfedSequence, &[64_512]), segment(Sequence, &[4_200_000_000, 2])],
        vec![
            segment(ConfedSet, &[64_512, 64_513]),
            segment(Set, &[4_200_000_000, 2]),
            segment(Sequence, &[3]),
        ],
        vec![
            segment(Sequence, &[1, 4_200_000_000]),
            segment(Set, &[2, 3]),
            segment(Sequence, &[4_200_000_009]),
        ],
    ] {
        let from = PathAttributes { as_path: AsPath { segments }, ..PathAttributes::default() };
        assert_eq!(through_two_octet_peer(&from, None).0, from);
    }
}

#[test]
fn a_confederation_segment_at_the_front_gets_a_sequence_in_its_place() {
    let confed = PathSegment { kind: SegmentKind::ConfedSequence, asns: vec![Asn(64_512); 255] };
    let from = PathAttributes { as_path: AsPath { segments: vec![confed] }, ..PathAttributes::default() };
    let to = rewritten(&from, &Rewrite { prepend: Some((Asn(65000), 2)), ..Rewrite::default() });
    assert_eq!(to.as_path, AsPath::sequence([Asn(65000), Asn(65000)]));
}
