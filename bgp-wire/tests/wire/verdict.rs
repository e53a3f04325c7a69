//! RFC 7606, attribute by attribute: what a fault leads to from an external and from an internal peer.
use bgp_wire::{Codec, Family, FamilySet, FaultKind, Reaction, UpdateView};

use crate::build::{
    NET, NET6, as_path, attribute, external, internal, mandatory, mp_reach, mp_unreach, next_hop, origin,
    update,
};

/// The outcome in words, as `accept` or `reset 3/1 [data]`.
fn verdict(codec: &Codec, frame: &[u8]) -> String {
    match codec.decode_update(frame) {
        Ok(view) => view.outcome().to_string(),
        Err(n) => format!("reset {}/{} {:02x?}", n.code.0, n.subcode, &n.data[..]),
    }
}

/// The mandatory attributes and one more, with one route.
fn with(extra: Vec<u8>) -> Vec<u8> {
    let mut attributes = mandatory();
    let code = extra[1];
    attributes.retain(|a| a[1] != code);
    attributes.push(extra);
    update(&[], &attributes, &NET)
}

const ACCEPT: &str = "accept";
const DISCARD: &str = "attribute-discard";
const WITHDRAW: &str = "treat-as-withdraw";
const DISABLE: &str = "afi-safi-disable";

/// Name, attribute, outcome from an external peer, from an internal peer.
type Row = (&'static str, Vec<u8>, &'static str, &'static str);

fn rows() -> Vec<Row> {
    let a = attribute;
    let both = |name, bytes, outcome| (name, bytes, outcome, outcome);
    vec![
        both("ORIGIN, length", a(0x40, 1, &[0, 0]), WITHDRAW),
        both("ORIGIN, empty", a(0x40, 1, &[]), WITHDRAW),
        both("ORIGIN, value", a(0x40, 1, &[3]), WITHDRAW),
        both("ORIGIN, optional", a(0xc0, 1, &[0]), WITHDRAW),
        both("ORIGIN, partial is not looked at", a(0x60, 1, &[0]), ACCEPT),
        both("AS_PATH, empty is lawful", a(0x40, 2, &[]), ACCEPT),
        both("AS_PATH, AS_SET", a(0x40, 2, &[1, 1, 0, 0, 0, 1]), ACCEPT),
        both("AS_PATH, empty segment", a(0x40, 2, &[2, 0]), WITHDRAW),
        both("AS_PATH, segment type 0", a(0x40, 2, &[0, 1, 0, 0, 0, 1]), WITHDRAW),
        both("AS_PATH, segment type 5", a(0x40, 2, &[5, 1, 0, 0, 0, 1]), WITHDRAW),
        both("AS_PATH, segment cut short", a(0x40, 2, &[2, 2, 0, 0, 0, 1]), WITHDRAW),
        both("AS_PATH, one octet left over", a(0x40, 2, &[2, 1, 0, 0, 0, 1, 2]), WITHDRAW),
        both("AS_PATH, AS 0", a(0x40, 2, &[2, 2, 0, 0, 0, 1, 0, 0, 0, 0]), WITHDRAW),
        both("AS_PATH, not transitive", a(0x00, 2, &[]), WITHDRAW),
        ("AS_PATH, confederation", a(0x40, 2, &[3, 1, 0, 0, 0, 1]), WITHDRAW, ACCEPT),
        both("NEXT_HOP, length", a(0x40, 3, &[10, 0, 0]), WITHDRAW),
        both("NEXT_HOP, 0.0.0.0", a(0x40, 3, &[0, 0, 0, 0]), WITHDRAW),
        both("NEXT_HOP, multicast", a(0x40, 3, &[224, 0, 0, 5]), WITHDRAW),
        both("NEXT_HOP, broadcast", a(0x40, 3, &[255; 4]), WITHDRAW),
        both("NEXT_HOP, this network", a(0x40, 3, &[0, 0, 0, 1]), WITHDRAW),
        both("NEXT_HOP, optional", a(0xc0, 3, &[10, 0, 0, 1]), WITHDRAW),
        both("NEXT_HOP, loopback is a host", a(0x40, 3, &[127, 0, 0, 1]), ACCEPT),
        both("MULTI_EXIT_DISC, length", a(0x80, 4, &[0; 3]), WITHDRAW),
        both("MULTI_EXIT_DISC, transitive", a(0xc0, 4, &[0; 4]), WITHDRAW),
        ("LOCAL_PREF", a(0x40, 5, &[0; 4]), DISCARD, ACCEPT),
        ("LOCAL_PREF, length", a(0x40, 5, &[0; 5]), DISCARD, WITHDRAW),
        ("LOCAL_PREF, flags", a(0x80, 5, &[0; 4]), DISCARD, WITHDRAW),
        both("ATOMIC_AGGREGATE", a(0x40, 6, &[]), ACCEPT),
        both("ATOMIC_AGGREGATE, length", a(0x40, 6, &[1]), DISCARD),
        both("AGGREGATOR", a(0xc0, 7, &[0, 0, 0, 1, 10, 0, 0, 1]), ACCEPT),
        both("AGGREGATOR, two-octet form", a(0xc0, 7, &[0, 1, 10, 0, 0, 1]), DISCARD),
        both("AGGREGATOR, AS 0", a(0xc0, 7, &[0, 0, 0, 0, 10, 0, 0, 1]), DISCARD),
        both("COMMUNITIES with two octets of length", [&[0xd0, 8, 0, 4][..], &[0; 4]].concat(), ACCEPT),
        both(
            "COMMUNITIES with two octets of length, wrong",
            [&[0xd0, 8, 0, 5][..], &[0; 5]].concat(),
            WITHDRAW,
        ),
        both("COMMUNITIES, unused flags", a(0xcf & !0x10, 8, &[0; 4]), ACCEPT),
        both("COMMUNITIES, empty", a(0xc0, 8, &[]), WITHDRAW),
        both("COMMUNITIES, length", a(0xc0, 8, &[0; 6]), WITHDRAW),
        both("COMMUNITIES, not transitive", a(0x80, 8, &[0; 4]), WITHDRAW),
        ("ORIGINATOR_ID", a(0x80, 9, &[0; 4]), DISCARD, ACCEPT),
        ("ORIGINATOR_ID, length", a(0x80, 9, &[0; 3]), DISCARD, WITHDRAW),
        ("CLUSTER_LIST", a(0x80, 10, &[0; 8]), DISCARD, ACCEPT),
        ("CLUSTER_LIST, empty", a(0x80, 10, &[]), DISCARD, WITHDRAW),
        ("CLUSTER_LIST, length", a(0x80, 10, &[0; 7]), DISCARD, WITHDRAW),
        both("EXTENDED_COMMUNITIES, length", a(0xc0, 16, &[0; 9]), WITHDRAW),
        both("EXTENDED_COMMUNITIES, empty", a(0xc0, 16, &[]), WITHDRAW),
        both("AS4_PATH between four-octet speakers", a(0xc0, 17, &[2, 1, 0, 0, 0, 1]), DISCARD),
        both("AS4_AGGREGATOR between four-octet speakers", a(0xc0, 18, &[0; 8]), DISCARD),
        both("PMSI_TUNNEL, length", a(0xc0, 22, &[0; 4]), WITHDRAW),
        both("PMSI_TUNNEL, no tunnel", a(0xc0, 22, &[0; 5]), ACCEPT),
        both("PMSI_TUNNEL, ingress replication", a(0xc0, 22, &[0, 6, 0, 0, 0, 10, 0, 0, 1]), ACCEPT),
        both("PMSI_TUNNEL, no endpoint", a(0xc0, 22, &[0, 6, 0, 0, 0, 10, 0, 0]), WITHDRAW),
        both("PMSI_TUNNEL, PIM-SSM", a(0xc0, 22, &[0, 3, 0, 0, 0, 10, 0, 0, 1, 232, 0, 0, 1]), ACCEPT),
        both("PMSI_TUNNEL, PIM-SSM without group", a(0xc0, 22, &[0, 3, 0, 0, 0, 10, 0, 0, 1]), WITHDRAW),
        both("PMSI_TUNNEL, RSVP-TE", a(0xc0, 22, &[[0, 1].as_slice(), &[0; 15]].concat()), ACCEPT),
        both(
            "PMSI_TUNNEL, RSVP-TE cut short",
            a(0xc0, 22, &[[0, 1].as_slice(), &[0; 14]].concat()),
            WITHDRAW,
        ),
        both("PMSI_TUNNEL, unknown type", a(0xc0, 22, &[0, 99, 0, 0, 0, 7]), ACCEPT),
        ("TUNNEL_ENCAPSULATION", a(0xc0, 23, &[0, 8, 0, 3, 4, 1, 1]), DISCARD, ACCEPT),
        ("TUNNEL_ENCAPSULATION, no sub-TLV to the end", a(0xc0, 23, &[0, 8, 0, 1, 1]), DISCARD, WITHDRAW),
        ("TUNNEL_ENCAPSULATION, cut short", a(0xc0, 23, &[0, 8, 0, 5, 1]), DISCARD, WITHDRAW),
        ("TUNNEL_ENCAPSULATION, empty", a(0xc0, 23, &[]), DISCARD, WITHDRAW),
        both("IPv6 extended communities, length", a(0xc0, 25, &[0; 21]), WITHDRAW),
        ("AIGP", a(0x80, 26, &[1, 0, 11, 0, 0, 0, 0, 0, 0, 0, 9]), DISCARD, ACCEPT),
        both("AIGP, the greatest metric", a(0x80, 26, &[&[1, 0, 11][..], &[0xff; 8]].concat()), DISCARD),
        both("AIGP, empty", a(0x80, 26, &[]), DISCARD),
        ("AIGP, another TLV only", a(0x80, 26, &[9, 0, 3]), DISCARD, ACCEPT),
        both("AIGP, length", a(0x80, 26, &[1, 0, 10, 0, 0, 0, 0, 0, 0, 9]), DISCARD),
        both("AIGP, TLV length below its header", a(0x80, 26, &[9, 0, 2]), DISCARD),
        both("AIGP, transitive", a(0xc0, 26, &[1, 0, 11, 0, 0, 0, 0, 0, 0, 0, 9]), DISCARD),
        both("BGP-LS, empty", a(0x80, 29, &[]), DISCARD),
        both("BGP-LS, transitive", a(0xc0, 29, &[4, 0, 0, 1, 1]), WITHDRAW),
        both("BGP-LS, cut short", a(0x80, 29, &[4, 0, 0, 5, 1]), DISCARD),
        both("LARGE_COMMUNITIES, empty", a(0xc0, 32, &[]), WITHDRAW),
        both("LARGE_COMMUNITIES, twice the same", a(0xc0, 32, &[1; 24]), ACCEPT),
        both("LARGE_COMMUNITIES, length", a(0xc0, 32, &[0; 13]), WITHDRAW),
        both("ONLY_TO_CUSTOMER", a(0xc0, 35, &[0, 0, 0, 1]), ACCEPT),
        both("ONLY_TO_CUSTOMER, empty", a(0xc0, 35, &[]), WITHDRAW),
        both("ONLY_TO_CUSTOMER, not transitive", a(0x80, 35, &[0, 0, 0, 1]), WITHDRAW),
        both("ONLY_TO_CUSTOMER, length", a(0xc0, 35, &[0, 0, 1]), WITHDRAW),
        ("PREFIX_SID", a(0xc0, 40, &[1, 0, 7, 0, 0, 0, 0, 0, 0, 9]), DISCARD, ACCEPT),
        (
            "PREFIX_SID, label index of another length",
            a(0xc0, 40, &[1, 0, 6, 0, 0, 0, 0, 0, 9]),
            DISCARD,
            DISCARD,
        ),
        ("PREFIX_SID, SRGB", a(0xc0, 40, &[3, 0, 8, 0, 0, 0, 1, 0, 0, 0, 9]), DISCARD, ACCEPT),
        ("PREFIX_SID, SRGB without a range", a(0xc0, 40, &[3, 0, 2, 0, 0]), DISCARD, DISCARD),
        ("PREFIX_SID, unknown TLV", a(0xc0, 40, &[77, 0, 1, 5]), DISCARD, ACCEPT),
        both("PREFIX_SID, cut short", a(0xc0, 40, &[1, 0, 7, 0]), DISCARD),
        ("PREFIX_SID, SRv6 service", a(0xc0, 40, &[5, 0, 1, 0]), DISCARD, ACCEPT),
        ("PREFIX_SID, empty SRv6 service", a(0xc0, 40, &[5, 0, 0]), DISCARD, WITHDRAW),
        both("ATTR_SET, origin AS alone", a(0xc0, 128, &[0, 0, 0, 1]), ACCEPT),
        both("ATTR_SET, origin AS cut short", a(0xc0, 128, &[0, 0, 0]), WITHDRAW),
        both("ATTR_SET, attribute cut short", a(0xc0, 128, &[0, 0, 0, 1, 0x40, 1, 2, 0]), WITHDRAW),
        both("ATTR_SET, a malformed attribute", a(0xc0, 128, &[0, 0, 0, 1, 0x40, 1, 1, 3]), WITHDRAW),
        both("ATTR_SET, an MP attribute", a(0xc0, 128, &[0, 0, 0, 1, 0x80, 15, 3, 0, 2, 1]), WITHDRAW),
        both("ATTR_SET, LOCAL_PREF is at home", a(0xc0, 128, &[0, 0, 0, 1, 0x40, 5, 4, 0, 0, 0, 9]), ACCEPT),
        both(
            "ATTR_SET, AS_PATH has four octets",
            a(0xc0, 128, &[0, 0, 0, 1, 0x40, 2, 4, 2, 1, 0, 9]),
            WITHDRAW,
        ),
        both("ATTR_SET, a set inside", a(0xc0, 128, &[0, 0, 0, 1, 0xc0, 128, 1, 7]), ACCEPT),
        both("unknown, optional", a(0xc0, 99, &[1]), ACCEPT),
        both("unknown, optional non-transitive", a(0x80, 99, &[]), ACCEPT),
        both("unknown, well-known", a(0x40, 99, &[7]), "reset 3/2 [40, 63, 01, 07]"),
        both("unknown, no flags at all", a(0x00, 0, &[]), "reset 3/2 [00, 00, 00]"),
    ]
}

#[test]
fn every_fault_of_one_attribute_has_its_reaction() {
    for (name, bytes, from_external, from_internal) in rows() {
        let frame = with(bytes);
        assert_eq!(verdict(&external(), &frame), from_external, "{name}, external");
        assert_eq!(verdict(&internal(), &frame), from_internal, "{name}, internal");
    }
}

/// The routes that a view shows: announced, withdrawn.
fn routes(view: &UpdateView<'_>) -> (Vec<String>, Vec<String>) {
    let announced = view.reach().flat_map(|r| r.nlri.iter()).map(|(_, n)| n.to_string()).collect();
    (announced, view.unreach().flat_map(|b| b.iter()).map(|(_, n)| n.to_string()).collect())
}

#[test]
fn withdrawal_takes_the_announced_routes_along() {
    let codec = external();
    let attributes = [origin(), attribute(0x40, 2, &[2, 0]), next_hop(), mp_reach(0x80, &NET6)];
    let frame = update(&[8, 10], &attributes, &NET);
    let view = codec.decode_update(&frame).unwrap();
    assert_eq!(view.outcome(), Reaction::TreatAsWithdraw);
    let (announced, withdrawn) = routes(&view);
    assert_eq!(announced, Vec::<String>::new());
    assert_eq!(withdrawn, ["10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32"]);
    assert_eq!(view.attributes().count(), 0);
    let fault = view.faults().next().unwrap();
    assert_eq!(fault.to_string(), "AS_PATH: malformed segment (treat-as-withdraw)");
    assert_eq!(view.notification().unwrap().subcode, 11);
}

#[test]
fn a_malformed_attribute_before_mp_reach_does_not_hide_its_prefixes() {
    for bad in [attribute(0x40, 1, &[9]), attribute(0x80, 4, &[1]), attribute(0xc0, 8, &[1])] {
        let frame = update(&[], &[bad, as_path(&[1]), mp_reach(0x80, &NET6)], &[]);
        let codec = external();
        let view = codec.decode_update(&frame).unwrap();
        assert_eq!(routes(&view), (vec![], vec!["2001:db8::/32".to_owned()]));
    }
}

#[test]
fn the_strongest_reaction_wins_and_all_faults_are_listed() {
    let mut attributes = mandatory();
    attributes.extend([attribute(0x40, 6, &[1]), attribute(0x80, 4, &[1]), attribute(0xc0, 7, &[1])]);
    let frame = update(&[], &attributes, &NET);
    let view = external().decode_update(&frame).unwrap();
    let kinds: Vec<_> = view.faults().map(|f| (f.attribute.0, f.kind, f.reaction)).collect();
    let expected = [
        (6, FaultKind::Length, Reaction::AttributeDiscard),
        (4, FaultKind::Length, Reaction::TreatAsWithdraw),
        (7, FaultKind::Length, Reaction::AttributeDiscard),
    ];
    assert_eq!(kinds, expected);
    assert_eq!(view.outcome(), Reaction::TreatAsWithdraw);
}

#[test]
fn of_repeated_attributes_the_first_counts() {
    let mut attributes = mandatory();
    attributes.extend([attribute(0x80, 4, &[0, 0, 0, 1]), attribute(0x80, 4, &[0, 0, 0, 2])]);
    attributes.extend([attribute(0xc0, 200, b"a"), attribute(0xc0, 200, b"b")]);
    let frame = update(&[], &attributes, &NET);
    let view = external().decode_update(&frame).unwrap();
    assert_eq!(view.outcome(), Reaction::AttributeDiscard);
    assert_eq!(view.med(), Some(1));
    assert_eq!(view.attributes().filter(|a| a.code.0 == 4).count(), 1);
    assert_eq!(view.attributes().filter(|a| a.code.0 == 200).map(|a| a.value).collect::<Vec<_>>(), [b"a"]);
}

#[test]
fn a_malformed_first_counts_too() {
    let good = attribute(0x40, 1, &[0]);
    let attributes = [attribute(0x40, 1, &[7]), good, as_path(&[1]), next_hop()];
    assert_eq!(verdict(&external(), &update(&[], &attributes, &NET)), WITHDRAW);
    // A discarded first is not made good by a second either.
    let mut attributes = mandatory();
    attributes.extend([attribute(0xc0, 7, &[1]), attribute(0xc0, 7, &[0, 0, 0, 1, 10, 0, 0, 1])]);
    let frame = update(&[], &attributes, &NET);
    assert_eq!(external().decode_update(&frame).unwrap().aggregator(), None);
}

#[test]
fn repeated_mp_attributes_end_the_session() {
    let attributes = [origin(), as_path(&[1]), mp_reach(0x80, &NET6), mp_reach(0x80, &NET6)];
    assert_eq!(verdict(&external(), &update(&[], &attributes, &[])), "reset 3/1 []");
    let attributes = [mp_unreach(&NET6), mp_unreach(&NET6)];
    assert_eq!(verdict(&external(), &update(&[], &attributes, &[])), "reset 3/1 []");
}

#[test]
fn wrong_flags_on_mp_attributes_are_worse_than_withdrawal() {
    let frame = update(&[], &[origin(), as_path(&[1]), mp_reach(0xc0, &NET6)], &[]);
    assert!(verdict(&external(), &frame).starts_with("reset 3/4 [c0, 0e,"));
    let disabling = Codec { afi_safi_disable: true, ..external() };
    assert_eq!(verdict(&disabling, &frame), DISABLE);
    let view = disabling.decode_update(&frame).unwrap();
    assert_eq!(view.disabled(), FamilySet::of(&[Family::IPV6_UNICAST]));
    assert_eq!(routes(&view), (vec![], vec![]));
    // With but one family there is nothing left to keep the session for.
    let single = Codec { families: FamilySet::of(&[Family::IPV6_UNICAST]), ..disabling };
    assert!(verdict(&single, &frame).starts_with("reset 3/4"));
    let frame = update(&[], &[attribute(0x40, 15, &[0, 2, 1])], &[]);
    assert_eq!(verdict(&external(), &frame), "reset 3/4 [40, 0f, 03, 00, 02, 01]");
}

#[test]
fn a_family_that_is_given_up_has_no_routes_anywhere_in_the_message() {
    let disabling = Codec { afi_safi_disable: true, ..external() };
    let shown = |attributes: &[Vec<u8>], withdrawn: &[u8], nlri: &[u8]| {
        let frame = update(withdrawn, attributes, nlri);
        assert_eq!(verdict(&disabling, &frame), DISABLE);
        let view = disabling.decode_update(&frame).unwrap();
        let families: Vec<_> = view.disabled().iter().collect();
        (families, view.reach().count(), view.unreach().count())
    };
    let broken = |family: Family| {
        let value = [family.afi.0.to_be_bytes().as_slice(), &[family.safi.0, 129]].concat();
        attribute(0x80, 15, &value)
    };
    let v4 = [mandatory(), vec![broken(Family::IPV4_UNICAST)]].concat();
    assert_eq!(shown(&v4, &NET, &NET), (vec![Family::IPV4_UNICAST], 0, 0));
    let v6 = [origin(), as_path(&[1]), mp_reach(0x80, &NET6), broken(Family::IPV6_UNICAST)];
    assert_eq!(shown(&v6, &NET, &[]), (vec![Family::IPV6_UNICAST], 0, 1));
    // Other families go on, and are withdrawn where something else is wrong.
    let v6 = [mandatory(), vec![broken(Family::IPV6_UNICAST)]].concat();
    assert_eq!(shown(&v6, &[], &NET), (vec![Family::IPV6_UNICAST], 1, 0));
    let bad = [attribute(0x40, 1, &[9]), as_path(&[1]), next_hop(), broken(Family::IPV6_UNICAST)];
    assert_eq!(shown(&bad, &[], &NET), (vec![Family::IPV6_UNICAST], 0, 1));
}

#[test]
fn malformed_mp_attributes_end_the_session() {
    let reset = |mp: Vec<u8>| verdict(&external(), &update(&[], &[origin(), as_path(&[1]), mp], &[]));
    assert!(reset(attribute(0x80, 14, &[0, 2])).starts_with("reset 3/9"), "no family");
    assert!(reset(attribute(0x80, 14, &[0, 2, 1, 16, 1])).starts_with("reset 3/9"), "next hop cut short");
    assert!(
        reset(attribute(0x80, 14, &[0, 2, 1, 4, 1, 2, 3, 4, 0])).starts_with("reset 3/9"),
        "next hop length"
    );
    assert!(reset(mp_reach(0x80, &[129, 0])).starts_with("reset 3/9"), "prefix length");
    assert!(reset(mp_reach(0x80, &[64, 0x20])).starts_with("reset 3/9"), "prefix cut short");
    assert!(reset(mp_unreach(&[64, 0x20])).starts_with("reset 3/9"), "withdrawn prefix cut short");
}

#[test]
fn syntax_errors_in_classic_nlri_end_the_session() {
    let plain = |withdrawn: &[u8], nlri: &[u8]| verdict(&external(), &update(withdrawn, &mandatory(), nlri));
    assert_eq!(plain(&[], &[33, 1, 2, 3, 4, 5]), "reset 3/10 []");
    assert_eq!(plain(&[], &[24, 1, 2]), "reset 3/10 []");
    assert_eq!(plain(&[33], &NET), "reset 3/10 []");
    // Even where an attribute alone would have meant withdrawal.
    let frame = update(&[], &[attribute(0x40, 1, &[9])], &[24, 1]);
    assert_eq!(verdict(&external(), &frame), "reset 3/10 []");
}

#[test]
fn section_lengths_beyond_the_message_end_the_session() {
    let mut frame = update(&[], &mandatory(), &NET);
    frame[19] = 0xff;
    assert_eq!(verdict(&external(), &frame), "reset 3/1 []");
    let mut frame = update(&[], &mandatory(), &NET);
    frame[21] = 0xff;
    assert_eq!(verdict(&external(), &frame), "reset 3/1 []");
}

#[test]
fn missing_mandatory_attributes_withdraw_the_routes() {
    for missing in 0..3 {
        let mut attributes = mandatory();
        let code = attributes.remove(missing)[1];
        let frame = update(&[], &attributes, &NET);
        let view = external().decode_update(&frame).unwrap();
        assert_eq!(view.outcome(), Reaction::TreatAsWithdraw);
        let fault = view.faults().next().unwrap();
        assert_eq!((fault.attribute.0, fault.kind), (code, FaultKind::Missing));
        let n = view.notification().unwrap();
        assert_eq!((n.subcode, &n.data[..]), (3, &[code][..]));
    }
    // MP_REACH_NLRI brings its own next hop.
    let frame = update(&[], &[origin(), as_path(&[1]), mp_reach(0x80, &NET6)], &[]);
    assert_eq!(verdict(&external(), &frame), ACCEPT);
    let frame = update(&[], &[as_path(&[1]), mp_reach(0x80, &NET6)], &[]);
    assert_eq!(verdict(&external(), &frame), WITHDRAW);
    // An UPDATE that announces nothing needs none.
    assert_eq!(verdict(&external(), &update(&NET, &[], &[])), ACCEPT);
    assert_eq!(verdict(&external(), &update(&[], &[mp_unreach(&NET6)], &[])), ACCEPT);
}

#[test]
fn an_error_without_reachable_nlri_ends_the_session_unless_mild() {
    let frame = update(&NET, &[attribute(0x40, 1, &[9])], &[]);
    assert_eq!(verdict(&external(), &frame), "reset 3/6 [40, 01, 01, 09]");
    let frame = update(&[], &[mp_unreach(&NET6), attribute(0x80, 4, &[9])], &[]);
    assert_eq!(verdict(&external(), &frame), "reset 3/5 [80, 04, 01, 09]");
    let frame = update(&NET, &[attribute(0x40, 6, &[9])], &[]);
    assert_eq!(verdict(&external(), &frame), DISCARD);
}

#[test]
fn attributes_that_overrun_their_section_withdraw_what_follows() {
    // COMMUNITIES claims 8 octets where 4 are left.
    let mut bad = attribute(0xc0, 8, &[0; 4]);
    bad[2] = 8;
    let mut attributes = mandatory();
    attributes.push(bad);
    let frame = update(&[], &attributes, &NET);
    let view = external().decode_update(&frame).unwrap();
    assert_eq!(view.outcome(), Reaction::TreatAsWithdraw);
    assert_eq!(routes(&view), (vec![], vec!["192.0.2.0/24".to_owned()]));
    // Two octets left over are no attribute.
    let mut attributes = mandatory();
    attributes.push(vec![0x40, 5]);
    assert_eq!(verdict(&external(), &update(&[], &attributes, &NET)), WITHDRAW);
    // Without routes there is nothing to withdraw.
    assert_eq!(verdict(&external(), &update(&NET, &[vec![0x40]], &[])), "reset 3/1 []");
}

#[test]
fn an_mp_attribute_that_overruns_ends_the_session() {
    let mut cut = mp_reach(0x80, &NET6);
    cut.pop();
    let mut attributes = mandatory();
    attributes.push(cut);
    assert_eq!(verdict(&external(), &update(&[], &attributes, &NET)), "reset 3/1 []");
}

#[test]
fn families_that_were_not_negotiated_are_passed_over() {
    let codec = Codec { families: FamilySet::of(&[Family::IPV4_UNICAST]), ..external() };
    let mut attributes = mandatory();
    attributes.push(mp_reach(0xc0, &[129]));
    let frame = update(&[], &attributes, &NET);
    let view = codec.decode_update(&frame).unwrap();
    assert_eq!(view.outcome(), Reaction::AttributeDiscard);
    assert_eq!(routes(&view).0, ["192.0.2.0/24"]);
    let six = Codec { families: FamilySet::of(&[Family::IPV6_UNICAST]), ..external() };
    let frame = update(&NET, &mandatory(), &NET);
    assert_eq!(routes(&six.decode_update(&frame).unwrap()), (vec![], vec![]));
}

#[test]
fn an_invalid_mp_next_hop_withdraws_its_routes() {
    let bad = |next_hop: [u8; 16]| {
        let value = [&[0, 2, 1, 16], &next_hop[..], &[0], &NET6[..]].concat();
        update(&[], &[origin(), as_path(&[1]), attribute(0x80, 14, &value)], &[])
    };
    assert_eq!(verdict(&external(), &bad([0; 16])), WITHDRAW);
    assert_eq!(verdict(&external(), &bad([0xff; 16])), WITHDRAW);
}

#[test]
fn next_hop_beside_mp_reach_alone_is_ignored() {
    let attributes = [origin(), as_path(&[1]), attribute(0x40, 3, &[0; 4]), mp_reach(0x80, &NET6)];
    assert_eq!(verdict(&external(), &update(&[], &attributes, &[])), ACCEPT);
}

#[test]
fn an_as_path_of_two_octet_numbers_is_judged_as_such() {
    let codec = Codec { four_octet_as: false, ..external() };
    let frame = |path: &[u8]| update(&[], &[origin(), attribute(0x40, 2, path), next_hop()], &NET);
    assert_eq!(verdict(&codec, &frame(&[2, 2, 0xfd, 0xe8, 0xfd, 0xe9])), ACCEPT);
    assert_eq!(verdict(&codec, &frame(&[2, 2, 0xfd, 0xe8, 0, 0])), WITHDRAW);
    assert_eq!(verdict(&codec, &frame(&[2, 2, 0, 0, 0xfd, 0xe8, 0, 0, 0xfd, 0xe9])), WITHDRAW);
}

#[test]
fn malformed_as4_attributes_are_discarded() {
    let codec = Codec { four_octet_as: false, ..external() };
    let frame = |extra: Vec<u8>| {
        let path = attribute(0x40, 2, &[2, 1, 0x5b, 0xa0]);
        update(&[], &[origin(), path, next_hop(), extra], &NET)
    };
    for bad in [
        attribute(0xc0, 17, &[2, 1, 0, 1]),
        attribute(0xc0, 17, &[2, 0, 2, 1, 0, 1, 0, 0]),
        attribute(0xc0, 17, &[2, 1, 0, 0, 0, 0]),
        attribute(0xc0, 18, &[0; 8]),
        attribute(0xc0, 18, &[1; 7]),
    ] {
        assert_eq!(verdict(&codec, &frame(bad)), DISCARD);
    }
}

/// RFC 7606 §5.2: whether routes are announced must be seen, not guessed.
#[test]
fn an_mp_reach_whose_routes_are_not_found_reaches_nothing() {
    let bad = attribute(0x40, 1, &[9]);
    let one = Codec { families: FamilySet::of(&[Family::IPV4_UNICAST]), ..external() };
    // The next hop of an unknown family runs past the attribute.
    let lost = attribute(0x80, 14, &[0, 77, 1, 200, 1, 2, 3]);
    assert_eq!(verdict(&one, &update(&[], &[bad.clone(), lost], &[])), "reset 3/6 [40, 01, 01, 09]");
    // Its routes are seen, though not read.
    let seen = attribute(0x80, 14, &[0, 77, 1, 1, 9, 0, 8, 10]);
    assert_eq!(verdict(&one, &update(&[], &[bad, seen], &[])), WITHDRAW);
    // Nor is a family given up for an attribute that does not hold together.
    let disabling = Codec { afi_safi_disable: true, ..external() };
    let lost = attribute(0x80, 14, &[0, 2, 1, 200, 1, 2, 3]);
    assert!(
        verdict(&disabling, &update(&[], &[origin(), as_path(&[1]), lost], &[])).starts_with("reset 3/9")
    );
}

#[test]
fn what_the_standard_passes_over_is_not_malformed() {
    let malformed = |codec: &Codec, extra: &[Vec<u8>]| {
        let frame = update(&[], &[&mandatory()[..], extra].concat(), &NET);
        let view = codec.decode_update(&frame).unwrap();
        assert_eq!(view.is_malformed(), view.faults().any(|f| f.is_malformed()));
        view.is_malformed()
    };
    let local_pref = attribute(0x40, 5, &[0, 0, 0, 100]);
    let everyday = [
        local_pref.clone(),
        attribute(0x80, 9, &[1; 4]),
        attribute(0x80, 10, &[1; 4]),
        attribute(0xc0, 17, &[2, 1, 0, 0, 0, 1]),
        attribute(0x80, 26, &[1, 0, 11, 0, 0, 0, 0, 0, 0, 0, 9]),
        attribute(0xc0, 40, &[1, 0, 7, 0, 0, 0, 0, 0, 0, 9]),
    ];
    assert!(!malformed(&external(), &[]));
    assert!(!malformed(&external(), &everyday));
    let four = Codec { families: FamilySet::of(&[Family::IPV4_UNICAST]), ..external() };
    assert!(!malformed(&four, &[mp_reach(0x80, &NET6)]));
    // Behind more of these than are listed, a mild but real fault is still told.
    let late = [&everyday[..], &[attribute(0xc0, 18, &[0; 8]), attribute(0x40, 6, &[1])]].concat();
    assert!(malformed(&external(), &late));
    assert!(malformed(&external(), &[local_pref.clone(), local_pref]));
    assert!(malformed(&external(), &[attribute(0xc0, 7, &[1])]));
}

#[test]
fn classic_routes_of_a_family_that_was_not_negotiated_are_passed_over_and_told() {
    let six = Codec { families: FamilySet::of(&[Family::IPV6_UNICAST]), ..external() };
    for (withdrawn, nlri) in [(&NET[..], &[][..]), (&[], &NET), (&NET, &NET)] {
        let frame = update(withdrawn, &mandatory(), nlri);
        let view = six.decode_update(&frame).unwrap();
        assert_eq!(routes(&view), (vec![], vec![]));
        let faults: Vec<_> = view.faults().map(|f| (f.attribute.0, f.kind, f.reaction)).collect();
        assert_eq!(faults, [(0, FaultKind::Family, Reaction::AttributeDiscard)]);
        assert!(!view.is_malformed());
    }
    assert_eq!(verdict(&six, &update(&[], &mandatory(), &[])), ACCEPT);
}

#[test]
fn both_fields_may_speak_of_ipv4_and_of_one_prefix_twice() {
    let value = [&[0, 1, 1, 4, 10, 0, 0, 2, 0][..], &[16, 172, 16]].concat();
    let mut attributes = mandatory();
    attributes.push(attribute(0x80, 14, &value));
    attributes.push(attribute(0x80, 15, &[0, 1, 1, 24, 198, 51, 100]));
    let frame = update(&NET, &attributes, &NET);
    let view = external().decode_update(&frame).unwrap();
    assert_eq!(view.outcome(), Reaction::Accept);
    let hops: Vec<_> = view.reach().map(|r| r.next_hop.to_string()).collect();
    assert_eq!(hops, ["10.0.0.1", "10.0.0.2"]);
    let (announced, withdrawn) = routes(&view);
    assert_eq!(announced, ["192.0.2.0/24", "172.16.0.0/16"]);
    assert_eq!(withdrawn, ["192.0.2.0/24", "198.51.100.0/24"]);
}

#[test]
fn every_form_of_end_of_rib_is_one_and_nothing_else_is() {
    let end = |frame: &[u8]| external().decode_update(frame).unwrap().end_of_rib();
    assert_eq!(end(&update(&[], &[], &[])), Some(Family::IPV4_UNICAST));
    assert_eq!(end(&update(&[], &[attribute(0x80, 15, &[0, 1, 1])], &[])), Some(Family::IPV4_UNICAST));
    assert_eq!(end(&update(&[], &[attribute(0x80, 15, &[0, 2, 1])], &[])), Some(Family::IPV6_UNICAST));
    assert_eq!(end(&update(&[], &[vec![0x90, 15, 0, 3, 0, 2, 1]], &[])), Some(Family::IPV6_UNICAST));
    assert_eq!(end(&update(&[], &[attribute(0x80, 15, &[0, 25, 70])], &[])), None, "not negotiated");
    assert_eq!(end(&update(&NET, &[attribute(0x80, 15, &[0, 2, 1])], &[])), None);
    assert_eq!(end(&update(&[], &[mp_unreach(&NET6)], &[])), None);
    assert_eq!(end(&update(&[], &[origin(), mp_unreach(&[])], &[])), None);
    assert_eq!(end(&update(&[], &mandatory(), &[])), None);
    let six = Codec { families: FamilySet::of(&[Family::IPV6_UNICAST]), ..external() };
    assert_eq!(six.decode_update(&update(&[], &[], &[])).unwrap().end_of_rib(), None);
}

#[test]
fn path_identifiers_are_read_in_withdrawals_too() {
    let both = FamilySet::of(&[Family::IPV4_UNICAST, Family::IPV6_UNICAST]);
    let codec = Codec { add_path_rx: both, ..external() };
    let frame =
        update(&[0, 0, 0, 7, 24, 192, 0, 2], &[mp_unreach(&[&[0, 0, 0, 9][..], &NET6].concat())], &[]);
    let view = codec.decode_update(&frame).unwrap();
    let ids: Vec<_> = view.unreach().flat_map(|b| b.iter()).map(|(id, n)| (id.0, n.to_string())).collect();
    assert_eq!(ids, [(7, "192.0.2.0/24".to_owned()), (9, "2001:db8::/32".to_owned())]);
    // An identifier without a prefix is no route.
    assert_eq!(verdict(&codec, &update(&[0, 0, 0, 7], &[], &[])), "reset 3/10 []");
    assert!(verdict(&codec, &update(&[], &[mp_unreach(&[0, 0, 0, 9])], &[])).starts_with("reset 3/9"));
}
