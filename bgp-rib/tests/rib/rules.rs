//! What goes across which border, and what it looks like there.

use bgp_rib::{HeldBack, Ineligible, PathVerdict, PeerId, Policy};
use bgp_wire::{Community, PathAttributes};

use crate::support::*;

fn held_back(lab: &Lab, prefix: &str, peer: PeerId) -> Option<HeldBack> {
    let explained = lab.rib.explain(net(prefix)).unwrap();
    explained.peers.iter().find(|told| told.peer == peer).unwrap().verdict.err()
}

#[test]
fn an_external_peer_without_policy_neither_gives_nor_gets() {
    let mut lab = Lab::new();
    let mut params = external(5, 65005);
    (params.import, params.export) = (Policy::default_for(params.kind), Policy::default_for(params.kind));
    let (silent, open) = (lab.up(5, params), lab.up(6, external(6, 65006)));
    lab.announce(silent, &[net("192.0.2.0/26")], next_hop(5), &external_attributes(&[65005]));
    lab.announce(open, &[net("192.0.2.64/26")], next_hop(6), &external_attributes(&[65006]));
    lab.drain_all();
    assert!(lab.view(open).is_empty() && lab.view(silent).is_empty());
    assert_eq!(held_back(&lab, "192.0.2.64/26", silent), Some(HeldBack::ExportPolicy));
    let explained = lab.rib.explain(net("192.0.2.0/26")).unwrap();
    assert_eq!(explained.paths[0].verdict, PathVerdict::Ineligible(Ineligible::ImportPolicy));
    let counters = lab.rib.peer_counters(silent, V4);
    assert_eq!((counters.received, counters.accepted, counters.advertised), (1, 0, 0));
    assert_eq!(lab.remotes[&silent].end_of_rib.len(), 2, "End-of-RIB is said to a peer that gets nothing");
}

#[test]
fn towards_an_external_peer_the_as_is_prepended_and_internal_attributes_stay_home() {
    let mut lab = Lab::new();
    let (inside, outside) = (lab.up(1, client(1)), lab.up(5, external(5, 65005)));
    let told = PathAttributes {
        med: Some(30),
        local_pref: Some(200),
        originator_id: Some(router_id(50)),
        cluster_list: vec![bgp_wire::ClusterId(7)],
        ..attributes(&[64512])
    };
    lab.announce(inside, &[net("192.0.2.0/24")], next_hop(1), &told);
    lab.drain_all();
    let route = &lab.view(outside)[&net("192.0.2.0/24")];
    assert_eq!(route.next_hop, next_hop(254));
    assert_eq!(route.attributes, external_attributes(&[LOCAL_AS.0, 64512]));
}

#[test]
fn from_an_external_peer_routes_get_a_local_preference_and_keep_next_hop_and_med() {
    let mut lab = Lab::new();
    let (outside, inside) = (lab.up(5, external(5, 65005)), lab.up(1, internal(1)));
    let told = PathAttributes { med: Some(30), ..external_attributes(&[65005]) };
    lab.announce(outside, &[net("192.0.2.0/24")], next_hop(5), &told);
    lab.drain_all();
    let route = &lab.view(inside)[&net("192.0.2.0/24")];
    assert_eq!(route.next_hop, next_hop(5));
    assert_eq!(route.attributes, PathAttributes { local_pref: Some(100), ..told });
}

#[test]
fn a_route_that_gets_no_advertise_is_withdrawn_from_those_who_had_it() {
    let mut lab = Lab::new();
    let (one, two, out) = (lab.up(1, client(1)), lab.up(2, client(2)), lab.up(5, external(5, 65005)));
    let prefix = net("192.0.2.0/24");
    lab.announce(one, &[prefix], next_hop(1), &attributes(&[]));
    lab.drain_all();
    assert!(lab.view(two).contains_key(&prefix) && lab.view(out).contains_key(&prefix));
    let no_export = PathAttributes { communities: vec![Community::NO_EXPORT], ..attributes(&[]) };
    lab.announce(one, &[prefix], next_hop(1), &no_export);
    lab.drain_all();
    assert!(lab.view(two).contains_key(&prefix) && !lab.view(out).contains_key(&prefix));
    assert_eq!(held_back(&lab, "192.0.2.0/24", out), Some(HeldBack::NoExport));
    let no_advertise = PathAttributes { communities: vec![Community::NO_ADVERTISE], ..attributes(&[]) };
    lab.announce(one, &[prefix], next_hop(1), &no_advertise);
    lab.drain_all();
    assert!(!lab.view(two).contains_key(&prefix));
    assert_eq!(held_back(&lab, "192.0.2.0/24", two), Some(HeldBack::NoAdvertise));
}

#[test]
fn an_external_peers_own_as_must_come_first() {
    let mut lab = Lab::new();
    let peer = lab.up(5, external(5, 65005));
    lab.announce(peer, &[net("192.0.2.0/24")], next_hop(5), &external_attributes(&[65009, 65005]));
    let explained = lab.rib.explain(net("192.0.2.0/24")).unwrap();
    assert_eq!(explained.paths[0].verdict, PathVerdict::Ineligible(Ineligible::FirstAs));
}

#[test]
fn our_own_as_is_let_through_as_often_as_allowed() {
    let mut lab = Lab::new();
    let mut params = external(5, 65005);
    params.allow_own_as = 1;
    let peer = lab.up(5, params);
    lab.announce(peer, &[net("192.0.2.0/26")], next_hop(5), &external_attributes(&[65005, LOCAL_AS.0]));
    let twice = external_attributes(&[65005, LOCAL_AS.0, LOCAL_AS.0]);
    lab.announce(peer, &[net("192.0.2.64/26")], next_hop(5), &twice);
    assert_eq!(lab.rib.explain(net("192.0.2.0/26")).unwrap().paths[0].verdict, PathVerdict::Best);
    let refused = lab.rib.explain(net("192.0.2.64/26")).unwrap().paths[0].verdict;
    assert_eq!(refused, PathVerdict::Ineligible(Ineligible::AsPathLoop));
}

#[test]
fn a_peer_hears_a_withdrawal_when_its_own_route_becomes_the_best() {
    let mut lab = Lab::new();
    let (one, two, three) = (lab.up(1, client(1)), lab.up(2, client(2)), lab.up(3, client(3)));
    let prefix = net("192.0.2.0/24");
    lab.announce(one, &[prefix], next_hop(1), &attributes(&[]));
    lab.drain_all();
    assert!(lab.view(two).contains_key(&prefix));
    let better = PathAttributes { local_pref: Some(200), ..attributes(&[]) };
    lab.announce(two, &[prefix], next_hop(2), &better);
    lab.drain_all();
    assert!(!lab.view(two).contains_key(&prefix), "what it told itself is not told to it");
    assert_eq!(lab.view(one)[&prefix].next_hop, next_hop(2));
    assert_eq!(lab.view(three)[&prefix].next_hop, next_hop(2));
    assert_eq!(lab.remotes[&three].withdrawn, [], "replaced, not withdrawn");
    assert_eq!(held_back(&lab, "192.0.2.0/24", two), Some(HeldBack::SplitHorizon));
}

#[test]
fn a_peer_that_never_heard_of_a_prefix_hears_no_withdrawal_of_it() {
    let mut lab = Lab::new();
    let (one, two, plain) = (lab.up(1, internal(1)), lab.up(2, client(2)), lab.up(3, internal(3)));
    let prefix = net("192.0.2.0/24");
    lab.drain_all();
    lab.announce(one, &[prefix], next_hop(1), &attributes(&[]));
    lab.drain_all();
    lab.withdraw(one, &[prefix]);
    lab.drain_all();
    assert_eq!(lab.remotes[&two].withdrawn, [prefix]);
    assert_eq!(lab.remotes[&one].withdrawn, [], "the source was never told");
    assert_eq!(lab.remotes[&plain].withdrawn, [], "the rules never let it through");
}

#[test]
fn a_two_octet_peer_hears_long_as_numbers_through_as_trans() {
    let mut lab = Lab::new();
    let mut old = client(2);
    old.codec.four_octet_as = false;
    let (one, two) = (lab.up(1, client(1)), lab.up(2, old));
    lab.announce(one, &[net("192.0.2.0/24")], next_hop(1), &attributes(&[4_200_000_000]));
    lab.drain_all();
    // The far end's codec merges AS4_PATH back in.
    let route = &lab.view(two)[&net("192.0.2.0/24")];
    assert_eq!(route.attributes.as_path, attributes(&[4_200_000_000]).as_path);
}
