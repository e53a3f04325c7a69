//! Route reflection (RFC 4456).

use bgp_rib::{HeldBack, Ineligible, Input, PathVerdict, PeerParams, RibConfig};
use bgp_wire::{ClusterId, PathAttributes};

use crate::support::*;

#[test]
fn a_clients_route_goes_to_everybody_and_a_non_clients_to_clients_alone() {
    let mut lab = Lab::new();
    let (c1, c2) = (lab.up(1, client(1)), lab.up(2, client(2)));
    let (n3, n4) = (lab.up(3, internal(3)), lab.up(4, internal(4)));
    let (from_client, from_plain) = (net("192.0.2.0/26"), net("192.0.2.64/26"));
    lab.announce(c1, &[from_client], next_hop(1), &attributes(&[]));
    lab.announce(n3, &[from_plain], next_hop(3), &attributes(&[]));
    lab.drain_all();
    assert_eq!(lab.view(c1).keys().copied().collect::<Vec<_>>(), [from_plain]);
    assert_eq!(lab.view(c2).keys().copied().collect::<Vec<_>>(), [from_client, from_plain]);
    assert_eq!(lab.view(n3).keys().copied().collect::<Vec<_>>(), [from_client]);
    assert_eq!(lab.view(n4).keys().copied().collect::<Vec<_>>(), [from_client]);
}

#[test]
fn clients_that_are_meshed_hear_of_each_other_from_themselves_alone() {
    let mut lab = Lab::new();
    let meshed = |n| PeerParams { client_to_client: false, ..client(n) };
    let elsewhere = |n| PeerParams { cluster_id: Some(ClusterId(42)), ..meshed(n) };
    let (c1, c2, c3) = (lab.up(1, meshed(1)), lab.up(2, meshed(2)), lab.up(3, client(3)));
    let (far, plain, outside) =
        (lab.up(4, elsewhere(4)), lab.up(5, internal(5)), lab.up(6, external(6, 65006)));
    let routes = ["192.0.2.0/28", "192.0.2.16/28", "192.0.2.32/28", "192.0.2.48/28"].map(net);
    for (from, n, route) in [(c1, 1, routes[0]), (far, 4, routes[1]), (plain, 5, routes[2])] {
        lab.announce(from, &[route], next_hop(n), &attributes(&[]));
    }
    lab.announce(outside, &[routes[3]], next_hop(6), &external_attributes(&[65006]));
    lab.drain_all();
    let has = |lab: &Lab, peer| lab.view(peer).keys().copied().collect::<Vec<_>>();
    assert_eq!(has(&lab, c2), routes[1..], "another cluster's, a non-client's, an external peer's");
    assert_eq!(has(&lab, c3), routes, "a client that is not in that mesh");
    assert_eq!(has(&lab, far), [routes[0], routes[2], routes[3]]);
    assert_eq!(has(&lab, plain), [routes[0], routes[1], routes[3]]);
    let explained = lab.rib.explain(routes[0]).expect("it is there");
    let to_c2 = explained.peers.iter().find(|told| told.peer == c2).expect("it is up");
    assert_eq!(to_c2.verdict, Err(HeldBack::ClientToClient));

    // The mesh ends, and begins again: exactly the difference is told.
    lab.input(Input::PeerChange(c2, Box::new(client(2))));
    lab.drain_all();
    assert_eq!(has(&lab, c2), routes);
    lab.input(Input::PeerChange(c2, Box::new(meshed(2))));
    lab.drain_all();
    assert_eq!(has(&lab, c2), routes[1..]);
}

#[test]
fn reflection_stamps_originator_and_cluster_and_leaves_the_rest_alone() {
    let mut lab =
        Lab::with(RibConfig { cluster_id: Some(ClusterId(9)), ..RibConfig::new(LOCAL_AS, router_id(254)) });
    let (one, two) = (lab.up(1, client(1)), lab.up(2, client(2)));
    let told = PathAttributes { local_pref: Some(77), ..attributes(&[64512]) };
    lab.announce(one, &[net("192.0.2.0/24")], next_hop(20), &told);
    lab.drain_all();
    let route = &lab.view(two)[&net("192.0.2.0/24")];
    let expected =
        PathAttributes { originator_id: Some(router_id(1)), cluster_list: vec![ClusterId(9)], ..told };
    assert_eq!((route.next_hop, &route.attributes), (next_hop(20), &expected));
    assert_eq!(expected.med, None, "no MED is invented");
}

#[test]
fn an_originator_once_named_stays_and_clusters_pile_up() {
    let mut lab = Lab::new();
    let (one, two) = (lab.up(1, client(1)), lab.up(2, client(2)));
    let told = PathAttributes {
        originator_id: Some(router_id(50)),
        cluster_list: vec![ClusterId(7)],
        ..attributes(&[])
    };
    lab.announce(one, &[net("192.0.2.0/24")], next_hop(1), &told);
    lab.drain_all();
    let route = &lab.view(two)[&net("192.0.2.0/24")];
    assert_eq!(route.attributes.originator_id, Some(router_id(50)));
    assert_eq!(route.attributes.cluster_list, [ClusterId(router_id(254).0), ClusterId(7)]);
}

#[test]
fn a_sessions_own_cluster_is_stamped_and_recognised() {
    let mut lab = Lab::new();
    let mut other = client(2);
    other.cluster_id = Some(ClusterId(42));
    let (one, two, plain) = (lab.up(1, client(1)), lab.up(2, other), lab.up(3, internal(3)));
    lab.announce(two, &[net("192.0.2.0/26")], next_hop(2), &attributes(&[]));
    let looped = PathAttributes { cluster_list: vec![ClusterId(42)], ..attributes(&[]) };
    lab.announce(one, &[net("192.0.2.64/26")], next_hop(1), &looped);
    lab.drain_all();
    assert_eq!(lab.view(plain)[&net("192.0.2.0/26")].attributes.cluster_list, [ClusterId(42)]);
    assert!(!lab.view(plain).contains_key(&net("192.0.2.64/26")));
}

#[test]
fn a_route_that_came_home_is_kept_and_not_used_and_the_one_before_it_is_withdrawn() {
    let mut lab = Lab::new();
    let (one, two) = (lab.up(1, client(1)), lab.up(2, client(2)));
    let prefix = net("192.0.2.0/24");
    let loops = [
        (
            PathAttributes { originator_id: Some(router_id(254)), ..attributes(&[]) },
            Ineligible::OriginatorLoop,
        ),
        (
            PathAttributes { cluster_list: vec![ClusterId(router_id(254).0)], ..attributes(&[]) },
            Ineligible::ClusterLoop,
        ),
        (attributes(&[LOCAL_AS.0]), Ineligible::AsPathLoop),
    ];
    for (looped, reason) in loops {
        lab.announce(one, &[prefix], next_hop(1), &attributes(&[]));
        lab.drain_all();
        assert!(lab.view(two).contains_key(&prefix));
        lab.announce(one, &[prefix], next_hop(1), &looped);
        lab.drain_all();
        assert!(lab.view(two).is_empty(), "{reason}");
        let explained = lab.rib.explain(prefix).unwrap();
        assert_eq!(explained.paths[0].verdict, PathVerdict::Ineligible(reason));
    }
}

#[test]
fn two_reflectors_of_one_cluster_drop_what_the_other_reflected() {
    let config = RibConfig { cluster_id: Some(ClusterId(9)), ..RibConfig::new(LOCAL_AS, router_id(254)) };
    let mut lab = Lab::with(config);
    let other_reflector = lab.up(3, internal(3));
    let prefix = net("192.0.2.0/24");
    let reflected = PathAttributes {
        originator_id: Some(router_id(1)),
        cluster_list: vec![ClusterId(9)],
        ..attributes(&[])
    };
    lab.announce(other_reflector, &[prefix], next_hop(1), &reflected);
    let explained = lab.rib.explain(prefix).unwrap();
    assert_eq!(explained.paths[0].verdict, PathVerdict::Ineligible(Ineligible::ClusterLoop));
}

#[test]
fn a_shorter_cluster_list_wins_when_both_routes_have_one_originator() {
    let mut lab = Lab::new();
    let (one, two) = (lab.up(1, internal(1)), lab.up(2, internal(2)));
    let prefix = net("192.0.2.0/24");
    let by = |clusters: &[u32]| PathAttributes {
        originator_id: Some(router_id(50)),
        cluster_list: clusters.iter().copied().map(ClusterId).collect(),
        ..attributes(&[])
    };
    lab.announce(one, &[prefix], next_hop(50), &by(&[1, 2]));
    lab.announce(two, &[prefix], next_hop(50), &by(&[3]));
    let explained = lab.rib.explain(prefix).unwrap();
    let verdicts: Vec<_> = explained.paths.iter().map(|path| path.verdict).collect();
    assert_eq!(verdicts, [PathVerdict::Best, PathVerdict::Lost(bgp_rib::Rung::ClusterListLength)]);
}
