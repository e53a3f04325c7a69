//! Tunnels and segments: TUNNEL_ENCAPSULATION (RFC 9012), PREFIX_SID (RFC 8669, RFC 9252), segment routing policies
//! (RFC 9830), and the border of the domain in which they mean something.
use bgp_wire::{
    AttributeBlock, AttributeCode, Codec, Family, FamilySet, FaultKind, NotReflected, Reaction, Reflection,
    Rewrite, rewrite,
};
use bytes::BytesMut;

use crate::build::{NET, as_path, attribute, external, hex, internal, mandatory, origin, update};

fn outcome(codec: &Codec, extra: &[Vec<u8>]) -> Reaction {
    let frame = update(&[], &[&mandatory()[..], extra].concat(), &NET);
    codec.decode_update(&frame).unwrap().outcome()
}

#[test]
fn a_tunnel_ends_where_its_last_sub_tlv_ends() {
    let told = |value: &str| outcome(&internal(), &[attribute(0xc0, 23, &hex(value))]);
    for whole in [
        "0008 0000",
        "0008 0004 04 02 0101",           // one octet of length
        "000f 0005 80 0002 0101",         // two octets, from type 128 on
        "0008 0006 04 02 0101 63 00",     // an unknown one behind it
        "0008 0002 06 00",                // malformed inside: as if unknown
        "0063 0004 04 02 0101 0008 0000", // an unknown tunnel
    ] {
        assert_eq!(told(whole), Reaction::Accept, "{whole}");
    }
    for broken in [
        "",
        "0008 0001 01",
        "0008 0003 04 02 01",
        "0008 0004 04 03 0101",
        "000f 0004 80 02 0101",
        "000f 0002 80 00",
        "0008 0005 04 02 0101 00",
        "0008 0004 04 02 0101 00",
    ] {
        assert_eq!(told(broken), Reaction::TreatAsWithdraw, "{broken}");
    }
}

#[test]
fn a_malformed_srv6_service_withdraws_what_other_segments_merely_lose() {
    let told = |value: &str| outcome(&internal(), &[attribute(0xc0, 40, &hex(value))]);
    let sid = "00 20010db8000000000000000000000001 00 0013 00";
    let structure = "01 0006 200010100000";
    for whole in [
        "05 0001 00".to_owned(),
        format!("05 0019 00 01 0015 {sid}"),
        format!("06 0022 00 01 001e {sid} {structure}"),
        format!("06 0023 00 01 001f {sid} 63 0007 00000000000000"),
        "05 0007 00 63 0003 000000".to_owned(), // an unknown sub-TLV
        "63 0002 0101 05 0001 00".to_owned(),
    ] {
        assert_eq!(told(&whole), Reaction::Accept, "{whole}");
    }
    for broken in [
        "05 0000".to_owned(),
        "06 0002 00".to_owned(), // beyond the attribute
        "05".to_owned(),
        "05 0002 00 01".to_owned(),
        format!("05 0019 00 01 0016 {sid}"),
        format!("05 0018 00 01 0014 {}", &sid[..sid.len() - 3]),
        format!("05 0022 00 01 001e {sid} 01 0007 200010100000"),
        "01 0006 000000000009 05 0000".to_owned(), // behind what is merely discarded
        "05 0001 00 05 0000".to_owned(),
    ] {
        assert_eq!(told(&broken), Reaction::TreatAsWithdraw, "{broken}");
    }
    for milder in ["", "01 0006 000000000009", "01 0007 00", "63", "05 0001 00 01"] {
        assert_eq!(told(milder), Reaction::AttributeDiscard, "{milder}");
    }
    // From outside it is discarded unread.
    assert_eq!(outcome(&external(), &[attribute(0xc0, 40, &hex("05 0000"))]), Reaction::AttributeDiscard);
}

const POLICY: Family = Family::IPV4_SR_POLICY;

fn policy_session(codec: Codec) -> Codec {
    Codec { families: FamilySet::of(&[POLICY, Family::IPV4_UNICAST]), ..codec }
}

/// An UPDATE with one policy.
fn policy(extra: &[Vec<u8>]) -> Vec<u8> {
    let value = hex("0001 49 04 0a000001 00 60 00000001 00000064 0a000001");
    let front = [attribute(0x80, 14, &value), origin(), as_path(&[65001])];
    update(&[], &[&front[..], extra].concat(), &[])
}

#[test]
fn a_segment_routing_policy_needs_one_tunnel_and_somebody_it_is_for() {
    let codec = policy_session(internal());
    let tunnel = |value: &str| attribute(0xc0, 23, &hex(value));
    let good = tunnel("000f 0008 0c 06 000000000064");
    let (target, no_advertise) =
        (attribute(0xc0, 16, &hex("0102 0a000009 0000")), attribute(0xc0, 8, &hex("ffffff02")));
    let told = |extra: &[Vec<u8>]| {
        let frame = policy(extra);
        let view = codec.decode_update(&frame).unwrap();
        assert_eq!(view.unreach().count() + view.reach().count(), 1);
        (view.outcome(), view.faults().next().map(|f| (f.attribute.0, f.kind)))
    };
    let fine = (Reaction::Accept, None);
    assert_eq!(told(&[target.clone(), good.clone()]), fine);
    assert_eq!(told(&[no_advertise.clone(), good.clone()]), fine);
    assert_eq!(told(&[no_advertise, target.clone(), good.clone()]), fine);
    let bad = |code, kind| (Reaction::TreatAsWithdraw, Some((code, kind)));
    let (exported, other) =
        (attribute(0xc0, 8, &hex("ffffff01")), attribute(0xc0, 16, &hex("0003 fde9 00000001")));
    assert_eq!(told(&[exported, other, good.clone()]), bad(16, FaultKind::Missing));
    assert_eq!(told(&[good]), bad(16, FaultKind::Missing));
    assert_eq!(told(std::slice::from_ref(&target)), bad(23, FaultKind::Missing));
    for value in ["0008 0000", "000f 0000 000f 0000", "000f 0000 0008 0000", "0008 0000 000f 0000"] {
        assert_eq!(told(&[target.clone(), tunnel(value)]), bad(23, FaultKind::Value), "{value}");
    }
    // Other families may do without any of it, and withdrawals too.
    assert_eq!(outcome(&codec, &[tunnel("0008 0000")]), Reaction::Accept);
    let withdrawn = attribute(0x80, 15, &hex("0001 49 60 00000001 00000064 0a000001"));
    assert_eq!(codec.decode_update(&update(&[], &[withdrawn], &[])).unwrap().outcome(), Reaction::Accept);
}

#[test]
fn a_policy_whose_tunnel_is_not_heard_is_withdrawn_unless_the_peer_is_of_the_same_domain() {
    let frame =
        policy(&[attribute(0xc0, 16, &hex("0102 0a000009 0000")), attribute(0xc0, 23, &hex("000f 0000"))]);
    let codec = policy_session(external());
    assert_eq!(codec.decode_update(&frame).unwrap().outcome(), Reaction::TreatAsWithdraw);
    let same = Codec { same_domain: true, ..codec };
    let view = same.decode_update(&frame).unwrap();
    assert_eq!((view.outcome(), view.reach().count()), (Reaction::Accept, 1));
    assert!(view.attributes().any(|a| a.code == AttributeCode::TUNNEL_ENCAPSULATION));
    let sid = attribute(0xc0, 40, &[1, 0, 7, 0, 0, 0, 0, 0, 0, 9]);
    assert_eq!(outcome(&same, std::slice::from_ref(&sid)), Reaction::Accept);
    assert_eq!(outcome(&codec, &[sid]), Reaction::AttributeDiscard);
}

const TARGET: &str = "0002 fde9 00000007";
const ENCAPSULATION: &str = "030c 0000 0000 0008";

#[test]
fn the_encapsulation_community_does_not_cross_the_border_of_a_domain() {
    let frame = |communities: &str| {
        update(&[], &[&mandatory()[..], &[attribute(0xc0, 16, &hex(communities))]].concat(), &NET)
    };
    let block = |codec: &Codec, communities: &str| {
        let (frame, mut out) = (frame(communities), vec![]);
        let view = codec.decode_update(&frame).unwrap();
        assert_eq!(view.outcome(), Reaction::Accept);
        view.canonical_attributes(&mut out);
        out
    };
    let kept =
        |block: &[u8]| AttributeBlock::parse(block).unwrap().extended_communities().as_bytes().to_vec();
    let both = format!("{ENCAPSULATION} {TARGET}");
    // In.
    assert_eq!(kept(&block(&internal(), &both)), hex(&both));
    assert_eq!(kept(&block(&external(), &both)), hex(TARGET));
    assert_eq!(kept(&block(&Codec { same_domain: true, ..external() }, &both)), hex(&both));
    let none = block(&external(), ENCAPSULATION);
    assert!(AttributeBlock::parse(&none).unwrap().get(AttributeCode::EXTENDED_COMMUNITIES).is_none());
    // Out.
    let out = |how: Rewrite| {
        let (from, mut out) = (block(&internal(), &both), vec![]);
        rewrite(AttributeBlock::parse(&from).unwrap(), &how, &mut out).unwrap();
        kept(&out)
    };
    assert_eq!(out(Rewrite::default()), hex(&both));
    assert_eq!(out(Rewrite { leaves_as: true, ..Rewrite::default() }), hex(TARGET));
    assert_eq!(out(Rewrite { leaves_as: true, same_domain: true, ..Rewrite::default() }), hex(&both));
    // Nor is it copied on to the inside.
    let reflect = |from: &Codec| {
        let how = Reflection { originator_id: bgp_wire::RouterId(1), cluster_id: bgp_wire::ClusterId(1) };
        from.decode_update(&frame(&both)).unwrap().reflect(&internal(), &how, &mut BytesMut::new())
    };
    assert_eq!(reflect(&external()), Err(NotReflected::Form));
    assert_eq!(reflect(&internal()), Ok(()));
}

#[test]
fn tunnels_and_segments_go_along_to_a_peer_of_the_same_domain() {
    let extra = [attribute(0xc0, 23, &[0, 8, 0, 0]), attribute(0xc0, 40, &[1, 0, 7, 0, 0, 0, 0, 0, 0, 9])];
    let frame = update(&[], &[&mandatory()[..], &extra].concat(), &NET);
    let mut block = vec![];
    internal().decode_update(&frame).unwrap().canonical_attributes(&mut block);
    let codes = |same_domain| {
        let mut out = vec![];
        let how = Rewrite { leaves_as: true, same_domain, ..Rewrite::default() };
        rewrite(AttributeBlock::parse(&block).unwrap(), &how, &mut out).unwrap();
        AttributeBlock::parse(&out).unwrap().iter().map(|a| a.code.0).collect::<Vec<_>>()
    };
    assert_eq!(codes(false), [1, 2]);
    assert_eq!(codes(true), [1, 2, 23, 40]);
}
