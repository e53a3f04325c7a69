//! RFC 5004: the external route that is best stays so while nothing but identifiers speaks against it.

use bgp_rib::{DecisionOptions, Input, PathVerdict, PeerParams, Reachability, Retain, RibConfig, Rung};
use bgp_wire::PathAttributes;

use crate::support::*;

const HERE: &str = "10.1.0.0/24";

fn lab(prefer_oldest: bool, many_paths: usize) -> Lab {
    let mut config = RibConfig::new(LOCAL_AS, router_id(254));
    config.decision = DecisionOptions { prefer_oldest, ..DecisionOptions::default() };
    config.many_paths = many_paths;
    Lab::with(config)
}

fn best(lab: &Lab) -> u8 {
    let explained = lab.rib.explain(net(HERE)).unwrap();
    assert_eq!(explained.paths[0].verdict, PathVerdict::Best);
    match explained.paths[0].attributes.next_hop {
        Some(bgp_wire::NextHop::V4(hop)) => hop.octets()[3],
        other => panic!("{other:?}"),
    }
}

fn tell(lab: &mut Lab, n: u8, attributes: &PathAttributes) {
    lab.announce(bgp_rib::PeerId(u32::from(n)), &[net(HERE)], next_hop(n), attributes);
}

#[test]
fn a_lower_identifier_makes_no_transition_where_the_option_is_on() {
    for (prefer_oldest, expected) in [(false, 1), (true, 9)] {
        let mut lab = lab(prefer_oldest, 16);
        for n in [9, 5, 1] {
            lab.up(n, external(n, 65001));
            tell(&mut lab, n, &external_attributes(&[65001]));
        }
        assert_eq!(best(&lab), expected);
        let explained = lab.rib.explain(net(HERE)).unwrap();
        let lost = explained.paths[1].verdict;
        assert_eq!(lost, PathVerdict::Lost(if prefer_oldest { Rung::Oldest } else { Rung::RouterId }));
    }
    assert_eq!(Rung::Oldest.to_string(), "oldest external route");
}

#[test]
fn whatever_stands_above_identifiers_still_decides() {
    let mut lab = lab(true, 16);
    for n in [9, 5, 1] {
        lab.up(n, external(n, 65001));
    }
    tell(&mut lab, 9, &external_attributes(&[65001]));
    tell(&mut lab, 5, &PathAttributes { med: Some(0), ..external_attributes(&[65001]) });
    assert_eq!(best(&lab), 9);
    tell(&mut lab, 9, &PathAttributes { med: Some(3), ..external_attributes(&[65001]) });
    assert_eq!(best(&lab), 5);
    tell(&mut lab, 9, &external_attributes(&[65001]));
    assert_eq!(best(&lab), 5, "it was best before, and is so no more");
    lab.down(bgp_rib::PeerId(5), Retain::Nothing);
    lab.settle();
    tell(&mut lab, 1, &external_attributes(&[65001]));
    assert_eq!(best(&lab), 9);
}

#[test]
fn parallel_sessions_with_one_router_are_told_apart_by_address() {
    let mut lab = lab(true, 16);
    let of_one = |n| PeerParams { peer_router_id: router_id(77), ..external(n, 65001) };
    lab.up(9, of_one(9));
    tell(&mut lab, 9, &external_attributes(&[65001]));
    lab.up(1, external(1, 65001));
    tell(&mut lab, 1, &external_attributes(&[65001]));
    assert_eq!(best(&lab), 9);
    lab.up(5, of_one(5));
    tell(&mut lab, 5, &external_attributes(&[65001]));
    assert_eq!(best(&lab), 5, "the same router, at a lower address");
}

#[test]
fn internal_routes_are_decided_as_always() {
    let mut lab = lab(true, 16);
    for n in [9, 1] {
        lab.up(n, client(n));
        tell(&mut lab, n, &attributes(&[65001]));
    }
    assert_eq!(best(&lab), 1);
}

#[test]
fn prefixes_with_many_paths_keep_their_oldest_like_those_with_few() {
    let (mut few, mut many) = (lab(true, 1000), lab(true, 2));
    let mut state = 7u64;
    let mut draw = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for lab in [&mut few, &mut many] {
        for n in 1..=12 {
            // Some are parallel sessions of one router.
            let params = PeerParams {
                peer_router_id: router_id(60 + n / 2),
                ..external(n, 65000 + u32::from(n % 3) + 1)
            };
            lab.up(n, params);
        }
    }
    for step in 0..2000 {
        let n = u8::try_from(draw(12)).unwrap() + 1;
        let peer = bgp_rib::PeerId(u32::from(n));
        let med = [None, None, None, Some(4)][draw(4) as usize].filter(|_| step > 1000);
        let length = if draw(8) == 0 { 2 } else { 1 };
        let asn = 65000 + u32::from(n % 3) + 1;
        let attributes = PathAttributes { med, ..external_attributes(&[asn, 64999][..length]) };
        let goes = draw(3) == 0;
        for lab in [&mut few, &mut many] {
            if goes {
                lab.withdraw(peer, &[net(HERE)]);
            } else {
                lab.announce(peer, &[net(HERE)], next_hop(n), &attributes);
            }
        }
        let explained = |lab: &Lab| {
            let paths = lab.rib.explain(net(HERE)).map(|e| e.paths).unwrap_or_default();
            let mut paths: Vec<_> = paths.into_iter().map(|p| (p.attributes.next_hop, p.verdict)).collect();
            paths.sort_by_key(|(hop, _)| *hop);
            paths
        };
        assert_eq!(explained(&few), explained(&many), "step {step}");
    }
}

#[test]
fn what_was_best_and_cannot_be_reached_has_no_say_through_another_session_of_its_router() {
    let mut lab = lab(true, 16);
    let of_one = |n| PeerParams { peer_router_id: router_id(77), ..external(n, 65001) };
    for (n, params) in [(9, of_one(9)), (5, of_one(5)), (1, external(1, 65001))] {
        lab.up(n, params);
        tell(&mut lab, n, &external_attributes(&[65001]));
    }
    assert_eq!(best(&lab), 5);
    lab.input(Input::NextHop(address(5), Reachability::Unreachable));
    lab.settle();
    assert_eq!(best(&lab), 1, "the lowest identifier, as none is the best already");
}

#[test]
fn what_was_best_before_another_came_between_has_no_say_among_few_paths_or_many() {
    for many_paths in [16, 2] {
        let mut lab = lab(true, many_paths);
        for n in [9, 5, 1] {
            lab.up(n, external(n, 65001));
        }
        tell(&mut lab, 9, &external_attributes(&[65001, 64999]));
        tell(&mut lab, 5, &external_attributes(&[65001, 64999]));
        assert_eq!(best(&lab), 9, "the oldest");
        tell(&mut lab, 1, &external_attributes(&[65001]));
        assert_eq!(best(&lab), 1, "the shortest path");
        tell(&mut lab, 1, &external_attributes(&[65001, 64999, 64998]));
        assert_eq!(
            best(&lab),
            5,
            "the lowest identifier of those that are left, with {many_paths} paths being few"
        );
    }
}
