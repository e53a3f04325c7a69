//! The canonical block: what is interned of the received attributes.
use bgp_wire::{
    Aggregator, AsPath, Asn, AttributeBlock, AttributeCode, AttributeFlags, Codec, Community, Family,
    NextHop, NotCanonical, OwnedAttribute, PathAttributes, PathId, Reaction, Rewrite, RouterId, announce,
    rewrite,
};
use bytes::BytesMut;

use crate::build::{
    NET, NET6, as_path, attribute, external, hex, internal, mandatory, mp_reach, next_hop, origin, update,
};

fn canonical(codec: &Codec, attributes: &[Vec<u8>]) -> Vec<u8> {
    let frame = update(&[], attributes, &NET);
    let mut out = Vec::new();
    codec.decode_update(&frame).unwrap().canonical_attributes(&mut out);
    AttributeBlock::parse(&out).expect("what is written is canonical");
    out
}

#[test]
fn order_length_form_and_next_hops_do_not_matter() {
    let long = |a: Vec<u8>| [&[a[0] | 0x1f, a[1], 0, a[2]], &a[3..]].concat();
    let path = as_path(&[65001, 65002]);
    let plain = canonical(&external(), &mandatory());
    assert_eq!(plain, [origin(), path.clone()].concat());
    let odd = [next_hop(), long(path), mp_reach(0x80, &NET6), long(origin())];
    assert_eq!(canonical(&external(), &odd), plain);
}

#[test]
fn unknown_transitive_attributes_pass_with_partial_set() {
    let mut attributes = mandatory();
    attributes.extend([
        attribute(0xc0, 200, b"keep"),
        attribute(0x80, 201, b"drop"),
        attribute(0xe0, 202, b"kept"),
        attribute(0xc0, 203, &[7; 300]),
    ]);
    let block = canonical(&external(), &attributes);
    let block = AttributeBlock::parse(&block).unwrap();
    let unknown: Vec<_> =
        block.iter().filter(|a| a.code.0 >= 200).map(|a| (a.flags.0 & 0xe0, a.value.len())).collect();
    assert_eq!(unknown, [(0xe0, 4), (0xe0, 4), (0xe0, 300)]);
}

#[test]
fn the_reserved_code_zero_is_an_unknown_attribute_like_others() {
    let mut attributes = mandatory();
    attributes.push(attribute(0xc0, 0, b"zero"));
    let block = canonical(&external(), &attributes);
    assert_eq!(AttributeBlock::parse(&block).unwrap().iter().next().unwrap().value, b"zero");
}

#[test]
fn known_attributes_keep_partial_as_received() {
    let mut attributes = mandatory();
    attributes.extend([attribute(0xe0, 8, &[0, 0, 0, 1]), attribute(0xc0, 32, &[1; 12])]);
    let block = canonical(&external(), &attributes);
    let block = AttributeBlock::parse(&block).unwrap();
    assert_eq!(block.get(AttributeCode::COMMUNITIES).unwrap().flags, AttributeFlags(0xe0));
    assert_eq!(block.get(AttributeCode::LARGE_COMMUNITIES).unwrap().flags, AttributeFlags(0xc0));
}

#[test]
fn well_known_and_non_transitive_attributes_lose_partial() {
    let path = as_path(&[65001, 65002]);
    let set = |mut attribute: Vec<u8>| {
        attribute[0] |= 0x20;
        attribute
    };
    let med = attribute(0x80, 4, &[0, 0, 0, 7]);
    let plain = canonical(&external(), &[origin(), path.clone(), next_hop(), med.clone()]);
    assert_eq!(
        canonical(&external(), &[set(origin()), set(path.clone()), next_hop(), set(med.clone())]),
        plain
    );
    assert_eq!(canonical(&external(), &[next_hop(), set(med), set(origin()), set(path)]), plain);
}

#[test]
fn values_are_encoded_with_partial_where_it_may_be_only() {
    let mut route =
        PathAttributes { med: Some(7), communities: vec![Community(1)], ..PathAttributes::default() };
    let aigp = vec![1, 0, 11, 0, 0, 0, 0, 0, 0, 0, 9];
    route.other =
        vec![OwnedAttribute { flags: AttributeFlags(0xa0), code: AttributeCode::AIGP, value: aigp }];
    for code in [AttributeCode::ORIGIN, AttributeCode::MULTI_EXIT_DISC, AttributeCode::COMMUNITIES] {
        route.partial.insert(code);
    }
    let mut block = Vec::new();
    route.encode_block(&mut block).unwrap();
    let flags: Vec<_> = AttributeBlock::parse(&block).unwrap().iter().map(|a| a.flags.0).collect();
    assert_eq!(flags, [0x40, 0x40, 0x80, 0xe0, 0x80]);
}

#[test]
fn discarded_attributes_are_not_in_the_block() {
    let mut attributes = mandatory();
    attributes.extend([attribute(0x40, 5, &[0; 4]), attribute(0x40, 6, &[1]), attribute(0x80, 9, &[0; 4])]);
    let block = canonical(&external(), &attributes);
    assert_eq!(AttributeBlock::parse(&block).unwrap().iter().count(), 2);
}

/// An UPDATE of a two-octet speaker: AS_PATH, AS4_PATH, AGGREGATOR, AS4_AGGREGATOR as hex, empty for none.
fn merged(
    path: &str,
    as4_path: &str,
    aggregator: &str,
    as4_aggregator: &str,
) -> (String, Option<Aggregator>) {
    let codec = Codec { four_octet_as: false, ..external() };
    let mut attributes = vec![origin(), attribute(0x40, 2, &hex(path)), next_hop()];
    for (code, text) in [(7, aggregator), (17, as4_path), (18, as4_aggregator)] {
        if !text.is_empty() {
            attributes.push(attribute(0xc0, code, &hex(text)));
        }
    }
    let block = canonical(&codec, &attributes);
    let block = AttributeBlock::parse(&block).unwrap();
    assert!(
        block.get(AttributeCode::AS4_PATH).is_none() && block.get(AttributeCode::AS4_AGGREGATOR).is_none()
    );
    (block.as_path().to_string(), block.aggregator())
}

#[test]
fn the_two_halves_of_a_path_are_put_together() {
    let path = |a, b| merged(a, b, "", "").0;
    // 65001 AS_TRANS AS_TRANS with 4200000001 4200000002.
    assert_eq!(path("02 03 fde9 5ba0 5ba0", "02 02 fa56ea01 fa56ea02"), "65001 4200000001 4200000002");
    assert_eq!(path("02 02 fde9 fdea", ""), "65001 65002");
    assert_eq!(path("02 01 5ba0", "02 02 fa56ea01 fa56ea02"), "23456", "a longer AS4_PATH is ignored");
    assert_eq!(
        path("02 02 fde9 fdea 01 02 0001 0002", "01 02 fa56ea01 fa56ea02"),
        "65001 65002 {4200000001 4200000002}"
    );
    assert_eq!(
        path("02 02 fde9 5ba0", "03 01 0000fde8 02 01 fa56ea01"),
        "65001 4200000001",
        "confederation is dropped"
    );
}

#[test]
fn an_aggregator_that_is_not_as_trans_makes_the_as4_attributes_stale() {
    let id = RouterId(0x0a00_0001);
    let path = "02 02 fde9 5ba0";
    let as4 = "02 01 fa56ea01";
    let (text, aggregator) = merged(path, as4, "5ba0 0a000001", "fa56ea05 0a000001");
    assert_eq!(
        (text.as_str(), aggregator),
        ("65001 4200000001", Some(Aggregator { asn: Asn(4_200_000_005), router_id: id }))
    );
    let (text, aggregator) = merged(path, as4, "fde9 0a000001", "fa56ea05 0a000001");
    assert_eq!(
        (text.as_str(), aggregator),
        ("65001 23456", Some(Aggregator { asn: Asn(65001), router_id: id }))
    );
    // Without AS4_AGGREGATOR the path is put together all the same.
    let (text, aggregator) = merged(path, as4, "fde9 0a000001", "");
    assert_eq!((text.as_str(), aggregator.unwrap().asn), ("65001 4200000001", Asn(65001)));
    // AS4_AGGREGATOR alone says nothing.
    assert_eq!(merged(path, as4, "", "fa56ea05 0a000001"), ("65001 4200000001".to_owned(), None));
}

#[test]
fn halves_too_long_for_one_attribute_leave_the_short_one() {
    let codec =
        Codec { four_octet_as: false, extended_message_rx: true, extended_message_tx: true, ..external() };
    let path = |n: usize, segment: &[u8]| {
        segment.iter().copied().cycle().take(n * segment.len()).collect::<Vec<_>>()
    };
    let as_path = path(5_000, &[2, 1, 0xfd, 0xe9]);
    let as4_path = path(5_000, &[2, 1, 0, 0, 0, 7]);
    let attributes = [origin(), attribute(0x40, 2, &as_path), next_hop(), attribute(0xc0, 17, &as4_path)];
    let frame = update(&[], &attributes, &NET);
    let view = codec.decode_update(&frame).unwrap();
    assert_eq!(view.outcome().to_string(), "attribute-discard");
    assert_eq!(view.notification().unwrap().data[..2], [0xd0, 17]);
    let mut block = Vec::new();
    view.canonical_attributes(&mut block);
    assert_eq!(AttributeBlock::parse(&block).unwrap().as_path().length(), 5_000);
}

#[test]
fn path_length_counts_sets_once_and_confederations_not_at_all() {
    let value = hex("03 02 0000fde8 0000fde9  02 03 00000001 00000002 00000003  01 02 00000004 00000005");
    let codec = internal();
    let block = canonical(&codec, &[origin(), attribute(0x40, 2, &value), next_hop()]);
    let path = AttributeBlock::parse(&block).unwrap().as_path();
    assert_eq!(path.length(), 4);
    assert_eq!(path.first(), Some(Asn(1)));
    assert_eq!(path.origin_as(), None, "a set has no one origin");
    assert_eq!(path.contains_count(Asn(65001)), 1);
    assert_eq!(path.to_string(), "(65000 65001) 1 2 3 {4 5}");
}

#[test]
fn what_a_receiver_would_refuse_is_not_encoded() {
    let refused = |attributes: PathAttributes| {
        let mut out = b"before".to_vec();
        let error = attributes.encode_block(&mut out).unwrap_err();
        assert_eq!(out, b"before");
        error.attribute
    };
    let default = PathAttributes::default;
    let path = AsPath::sequence([Asn(1), Asn(0)]);
    assert_eq!(refused(PathAttributes { as_path: path, ..default() }), AttributeCode::AS_PATH);
    let path = AsPath::sequence((1..20_000).map(Asn));
    assert_eq!(refused(PathAttributes { as_path: path, ..default() }), AttributeCode::AS_PATH);
    let other =
        |code, value: &[u8]| OwnedAttribute { flags: AttributeFlags(0xc0), code, value: value.to_vec() };
    for code in [AttributeCode::COMMUNITIES, AttributeCode::MP_REACH_NLRI, AttributeCode::AIGP] {
        assert_eq!(refused(PathAttributes { other: vec![other(code, &[1])], ..default() }), code);
    }
}

#[test]
fn a_long_sequence_goes_out_as_several_segments() {
    let attributes =
        PathAttributes { as_path: AsPath::sequence((1..=600).map(Asn)), ..PathAttributes::default() };
    let mut out = Vec::new();
    attributes.encode_block(&mut out).unwrap();
    let path = AttributeBlock::parse(&out).unwrap().as_path();
    assert_eq!(path.segments().map(|s| s.len()).collect::<Vec<_>>(), [255, 255, 90]);
    assert_eq!(path.length(), 600);
}

#[test]
fn a_block_out_of_order_or_with_a_next_hop_is_not_canonical() {
    let swapped = [as_path(&[1]), origin()].concat();
    assert_eq!(AttributeBlock::parse(&swapped), Err(NotCanonical { attribute: AttributeCode::ORIGIN }));
    assert_eq!(AttributeBlock::parse(&next_hop()), Err(NotCanonical { attribute: AttributeCode::NEXT_HOP }));
    assert_eq!(AttributeBlock::parse(&[0x40]), Err(NotCanonical { attribute: AttributeCode(0) }));
    // Unchecked, damaged octets read as absent.
    assert_eq!(AttributeBlock::trusted(&[0x80, 4, 3, 0, 0, 0]).med(), None);
}

/// RFC 8092 §3.
#[test]
fn equal_large_communities_are_left_once() {
    let codec = Codec { extended_message_rx: true, extended_message_tx: true, ..external() };
    let (one, two) = ([1u8; 12], [2u8; 12]);
    let several =
        |n: u32| (0..n).flat_map(|i| [[0; 4], [0; 4], i.to_be_bytes()].concat()).collect::<Vec<_>>();
    for (received, left) in [
        ([one, two, one, one, two].concat(), [one, two].concat()),
        ([several(400), several(300)].concat(), several(400)),
        ([several(20), vec![]].concat(), several(20)),
    ] {
        let mut attributes = mandatory();
        attributes.push(attribute(0xe0, 32, &received));
        let block = canonical(&codec, &attributes);
        let block = AttributeBlock::parse(&block).unwrap();
        let attribute = block.get(AttributeCode::LARGE_COMMUNITIES).unwrap();
        assert_eq!((attribute.value, attribute.flags.is_partial()), (&left[..], true));
        // The same out of order, and from values.
        attributes.reverse();
        assert_eq!(canonical(&codec, &attributes), block.as_bytes());
        let mut values = PathAttributes::from_block(block);
        values.large_communities.extend_from_within(..);
        let mut encoded = vec![];
        values.encode_block(&mut encoded).unwrap();
        assert_eq!(encoded, block.as_bytes());
    }
}

#[test]
fn an_error_of_a_block_says_what_may_be_wrong() {
    let long = PathAttributes { communities: vec![Community(1); 20_000], ..PathAttributes::default() };
    let error = long.encode_block(&mut vec![]).unwrap_err();
    assert_eq!(error.attribute, AttributeCode::COMMUNITIES);
    assert!(error.to_string().contains("COMMUNITIES is malformed, too long"), "{error}");
    let error = AttributeBlock::parse(&[0x40]).unwrap_err();
    assert!(error.to_string().ends_with("break off"), "{error}");
}

#[test]
fn a_block_has_one_form() {
    let parsed = |attribute: &[u8]| AttributeBlock::parse(attribute).map(|_| ());
    let refused = |code| Err(NotCanonical { attribute: AttributeCode(code) });
    assert_eq!(parsed(&[0x40, 1, 1, 0]), Ok(()));
    assert_eq!(parsed(&[0x60, 1, 1, 0]), refused(1), "Partial on a well-known attribute");
    assert_eq!(parsed(&[0xa0, 4, 4, 0, 0, 0, 1]), refused(4), "Partial on a non-transitive attribute");
    assert_eq!(parsed(&[0xe0, 8, 4, 0, 0, 0, 1]), Ok(()));
    assert_eq!(parsed(&[0x41, 1, 1, 0]), refused(1), "unused bits");
    assert_eq!(parsed(&[0x50, 1, 0, 1, 0]), refused(1), "a longer length field than needed");
    assert_eq!(parsed(&[&[0xd0, 8, 1, 4][..], &[1; 260]].concat()), Ok(()));
}

/// What fits an attribute with four-octet numbers is a path, and is sent as one.
#[test]
fn the_longest_path_of_two_octet_numbers_is_read_and_written() {
    let old =
        Codec { extended_message_rx: true, extended_message_tx: true, four_octet_as: false, ..internal() };
    let new = Codec { four_octet_as: true, ..old };
    let path = |asns: usize| AsPath::sequence((0..asns).map(|n| Asn(1 + (n % 60_000) as u32)));
    let (hop, net) = (NextHop::V4([10, 0, 0, 1].into()), "192.0.2.0/24".parse::<ipnet::Ipv4Net>().unwrap());
    // 16,255 numbers in 64 segments have 65,148 octets, and so fit a message of either form.
    for asns in [16_000, 16_255] {
        let mut block = vec![];
        PathAttributes { as_path: path(asns), ..PathAttributes::default() }.encode_block(&mut block).unwrap();
        let mut short = vec![];
        let how = Rewrite { two_octet_as: true, ..Rewrite::default() };
        rewrite(AttributeBlock::parse(&block).unwrap(), &how, &mut short).unwrap();
        for (codec, attributes) in [(old, &short), (new, &block)] {
            let mut out = BytesMut::new();
            let family = Family::IPV4_UNICAST;
            let packed = announce(&mut out, &codec, family, &hop, attributes, [(PathId(0), net)]);
            assert_eq!((packed.routes, packed.messages), (1, 1), "{asns}");
            let view = codec.decode_update(&out).unwrap();
            assert_eq!((view.outcome(), view.as_path().unwrap().length()), (Reaction::Accept, asns));
            let mut back = vec![];
            view.canonical_attributes(&mut back);
            assert_eq!(back, block);
        }
    }
    // Of segments of one number, each of whose four octets grow to six.
    let wide = |segments: usize| [2, 1, 0xfd, 0xe9].repeat(segments);
    for (segments, outcome) in [(10_922, Reaction::Accept), (10_923, Reaction::TreatAsWithdraw)] {
        let attributes = [origin(), attribute(0x40, 2, &wide(segments)), next_hop()];
        let frame = update(&[], &attributes, &NET);
        assert_eq!(old.decode_update(&frame).unwrap().outcome(), outcome, "{segments}");
        // And what is refused is not sent.
        let mut out = BytesMut::new();
        let own = [origin(), attribute(0x40, 2, &wide(segments))].concat();
        let packed = announce(&mut out, &old, Family::IPV4_UNICAST, &hop, &own, [(PathId(0), net)]);
        assert_eq!(packed.routes == 1, outcome == Reaction::Accept, "{segments}");
    }
}
