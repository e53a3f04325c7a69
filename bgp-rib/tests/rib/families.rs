//! Families beyond unicast: reflected octet by octet, each under its own key.

use bgp_rib::{Destination, HeldBack, PathVerdict, PeerParams, Retain, RibConfig, RouteFilter, RouteNlri};
use bgp_wire::{
    AttributeCode, AttributeFlags, ClusterId, ExtendedCommunity, Family, FamilySet, NextHop, OpaqueNextHop,
    OwnedAttribute, PathAttributes, RefreshKind, Safi,
};

use crate::support::*;

const VPN4: Family = Family::IPV4_VPN;
const RD: &str = "0000fde800000001";

/// For each family an NLRI and, where some of its octets do not make the route, another one of the same route.
fn samples(family: Family) -> (String, Option<String>) {
    let two = |one: &str, other: &str| (one.to_owned(), Some(other.to_owned()));
    let one = |one: &str| (one.to_owned(), None);
    match (family.afi.0, family.safi.0) {
        (1, 2) => one("18 c00002"),
        (2, 2) => one("20 20010db8"),
        (1, 4) => two("30 000101 c00002", "30 000201 c00002"),
        (2, 4) => two("38 000101 20010db8", "38 000201 20010db8"),
        (1, 76 | 128) => two(&format!("70 000101 {RD} c00002"), &format!("70 fffff1 {RD} c00002")),
        (2, 76 | 128) => two(&format!("78 000101 {RD} 20010db8"), &format!("78 fffff1 {RD} 20010db8")),
        (1, 129) => one(&format!("58 {RD} c00002")),
        (2, 129) => one(&format!("60 {RD} 20010db8")),
        (1, 132) => one("60 0000fde8 0002fde800000064"),
        (1, 133) => two("05 0118c00002", "f005 0118c00002"),
        (2, 133) => one("07 01200020010db8"),
        (1, 134) => one(&format!("0d {RD} 0118c00002")),
        (2, 134) => one(&format!("0f {RD} 01200020010db8")),
        (6, 133) => two("03 010203", "f003 010203"),
        (25, 134) => one(&format!("0b {RD} 010203")),
        (25, 65) => {
            two(&format!("0011 {RD} 0001 0002 0003 000101"), &format!("0011 {RD} 0001 0002 0004 000201"))
        }
        (25, 70) => two(
            &format!("02 21 {RD} 00112233445566778899 00000000 30 0200deadbeef 00 000640"),
            &format!("02 21 {RD} 00000000000000000000 00000000 30 0200deadbeef 00 000641"),
        ),
        (16388, 71 | 80) => one("0001 000d 02 0000000000000000 01000000"),
        (16388, 72) => one(&format!("0001 0015 {RD} 02 0000000000000000 01000000")),
        (1 | 2, 5 | 78) | (25, 8) => one("03 04 01020304"),
        (25, 6) | (1 | 2, 7) | (1, 66) => one("20 0a000001"),
        (1, 73) => one("60 00000001 00000064 0a000001"),
        (2, 73) => one("c0 00000001 00000064 20010db8000000000000000000000001"),
        (31, 9) => one("0001 0004 01020304"),
        (1 | 2, 83 | 84) => two("09 04 01 18c00002 010105", "09 04 01 18c00002 010106"),
        (1 | 2, 85) => two(
            &format!("01 0003 11 {RD} 20 0a000001 00000001"),
            &format!("01 0003 11 {RD} 20 0a000001 00000002"),
        ),
        _ => panic!("{family} has no sample: it was added to the codec"),
    }
}

fn beyond_unicast() -> impl Iterator<Item = Family> {
    Family::KNOWN.iter().copied().filter(|family| ![V4, V6].contains(family))
}

fn hop(family: Family) -> NextHop {
    match (family.afi.0, family.safi.0) {
        (_, 133 | 134) => NextHop::NONE,
        (2, _) => next_hop6(20),
        _ => next_hop(20),
    }
}

/// Attributes that the family can do with: a segment routing policy needs its tunnel, and somebody it is for (RFC 9830
/// §4.2.1).
fn attributes_of(family: Family) -> PathAttributes {
    let mut attributes = attributes(&[64512]);
    if family.safi == Safi::SR_POLICY {
        attributes.extended_communities = vec![ExtendedCommunity::route_target_ipv4([10, 0, 0, 9].into(), 0)];
        attributes.other = vec![attribute(AttributeCode::TUNNEL_ENCAPSULATION, 0xc0, &[0, 15, 0, 0])];
    }
    attributes
}

fn attribute(code: AttributeCode, flags: u8, value: &[u8]) -> OwnedAttribute {
    OwnedAttribute { flags: AttributeFlags(flags), code, value: value.to_vec() }
}

fn sessions(n: u8, families: &[Family]) -> PeerParams {
    of_families(client(n), families)
}

#[test]
fn every_family_is_reflected_octet_by_octet_and_withdrawn() {
    for family in beyond_unicast().filter(|&family| family != Family::ROUTE_TARGET) {
        let mut lab = Lab::new();
        let (one, two) = (lab.up(1, sessions(1, &[family])), lab.up(2, sessions(2, &[family])));
        let (first, same) = samples(family);
        let first = nlri(family, &first);
        let told = PathAttributes { local_pref: Some(77), ..attributes_of(family) };
        lab.announce_nlri(one, 0, core::slice::from_ref(&first), hop(family), &told);
        lab.drain_all();
        let expected = PathAttributes {
            originator_id: Some(router_id(1)),
            cluster_list: vec![ClusterId(router_id(254).0)],
            ..told.clone()
        };
        let route = Route { next_hop: hop(family), attributes: expected.clone() };
        assert_eq!(lab.further(two, family), [(first.as_bytes().to_vec(), route.clone())], "{family}");
        assert!(lab.further(one, family).is_empty(), "{family}: the source is spared");
        assert!(lab.remotes[&two].end_of_rib.contains(&family), "{family}");

        if let Some(same) = same.map(|same| nlri(family, &same)) {
            lab.announce_nlri(one, 0, core::slice::from_ref(&same), hop(family), &told);
            lab.drain_all();
            assert_eq!(lab.further(two, family), [(same.as_bytes().to_vec(), route)], "{family}");
            assert!(lab.remotes[&two].further_withdrawn.is_empty(), "{family}: an implicit replacement");
            assert_eq!(lab.rib.table_counters(family).paths, 1);
        }
        lab.withdraw_nlri(one, 0, &[first]);
        lab.drain_all();
        assert!(lab.further(two, family).is_empty(), "{family}");
        lab.settle();
        let counters = lab.rib.table_counters(family);
        assert_eq!((counters.prefixes, counters.paths, counters.attribute_sets), (0, 0, 0), "{family}");
    }
}

#[test]
fn families_with_equal_nlri_have_tables_of_their_own() {
    let families = [V4, Family::IPV4_MULTICAST];
    let mut lab = Lab::new();
    let (one, two) = (lab.up(1, sessions(1, &families)), lab.up(2, sessions(2, &families)));
    lab.announce(one, &[net("192.0.2.0/24")], next_hop(20), &attributes(&[]));
    lab.announce_nlri(one, 0, &[nlri(families[1], "18 c00002")], next_hop(21), &attributes(&[64512]));
    lab.drain_all();
    assert_eq!(lab.view(two)[&net("192.0.2.0/24")].next_hop, next_hop(20));
    assert_eq!(lab.further(two, families[1])[0].1.next_hop, next_hop(21));
    lab.withdraw(one, &[net("192.0.2.0/24")]);
    lab.drain_all();
    assert!(lab.view(two).is_empty());
    assert_eq!(lab.further(two, families[1]).len(), 1);
}

#[test]
fn a_label_told_again_is_no_change_and_another_one_is() {
    let mut lab = Lab::new();
    let (one, two) = (lab.up(1, sessions(1, &[VPN4])), lab.up(2, sessions(2, &[VPN4])));
    let (first, second) = samples(VPN4);
    let (first, second) = (nlri(VPN4, &first), nlri(VPN4, &second.unwrap()));
    lab.announce_nlri(one, 0, core::slice::from_ref(&first), next_hop(20), &attributes(&[]));
    lab.quiet(two);
    lab.announce_nlri(one, 0, core::slice::from_ref(&first), next_hop(20), &attributes(&[]));
    lab.quiet(two);
    assert_eq!(lab.remotes[&two].updates, 0);
    lab.announce_nlri(one, 0, core::slice::from_ref(&second), next_hop(20), &attributes(&[]));
    lab.drain_all();
    assert_eq!(lab.remotes[&two].updates, 1);
    assert_eq!(first, second, "labels are no part of the key");
    assert_eq!(lab.further(two, VPN4)[0].0, second.as_bytes());
}

#[test]
fn the_best_of_two_tellers_goes_out_with_its_own_label() {
    let mut lab = Lab::new();
    let peers = [1, 2, 3].map(|n| lab.up(n, sessions(n, &[VPN4])));
    let (first, second) = samples(VPN4);
    let (first, second) = (nlri(VPN4, &first), nlri(VPN4, &second.unwrap()));
    let better = PathAttributes { local_pref: Some(200), ..attributes(&[]) };
    lab.announce_nlri(peers[0], 0, core::slice::from_ref(&first), next_hop(1), &attributes(&[]));
    lab.announce_nlri(peers[1], 0, core::slice::from_ref(&second), next_hop(2), &better);
    lab.drain_all();
    assert_eq!(lab.further(peers[2], VPN4)[0].0, second.as_bytes());
    assert_eq!(lab.further(peers[0], VPN4)[0].0, second.as_bytes());
    assert!(lab.further(peers[1], VPN4).is_empty(), "told nothing while its own is the best");
    lab.withdraw_nlri(peers[1], 0, core::slice::from_ref(&first));
    lab.drain_all();
    assert_eq!(lab.further(peers[2], VPN4)[0].0, first.as_bytes());
    assert_eq!(lab.further(peers[1], VPN4)[0].0, first.as_bytes());
    assert!(lab.further(peers[0], VPN4).is_empty());
}

#[test]
fn paths_of_one_peer_keep_a_label_each() {
    let mut lab = Lab::new();
    let mut with_paths = sessions(1, &[VPN4]);
    with_paths.codec.add_path_rx = FamilySet::of(&[VPN4]);
    let (one, two) = (lab.up(1, with_paths), lab.up(2, sessions(2, &[VPN4])));
    let (first, second) = samples(VPN4);
    let (first, second) = (nlri(VPN4, &first), nlri(VPN4, &second.unwrap()));
    lab.announce_nlri(one, 1, core::slice::from_ref(&first), next_hop(20), &attributes(&[]));
    lab.announce_nlri(one, 2, core::slice::from_ref(&second), next_hop(20), &attributes(&[]));
    lab.drain_all();
    assert_eq!(lab.further(two, VPN4)[0].0, first.as_bytes(), "the lower path identifier");
    lab.withdraw_nlri(one, 1, core::slice::from_ref(&first));
    lab.drain_all();
    assert_eq!(lab.further(two, VPN4)[0].0, second.as_bytes());
    lab.down(one, Retain::Nothing);
    lab.drain_all();
    assert!(lab.further(two, VPN4).is_empty());
}

#[test]
fn several_labels_go_to_peers_that_read_them_and_one_to_all() {
    let family = Family::IPV4_LABELED_UNICAST;
    let mut lab = Lab::new();
    let several = |n| {
        let mut params = sessions(n, &[family]);
        params.codec.multiple_labels = FamilySet::of(&[family]);
        params
    };
    let (one, two) = (lab.up(1, several(1)), lab.up(2, several(2)));
    let single = lab.up(3, sessions(3, &[family]));
    let stack = nlri(family, "48 000100 000111 c00002");
    lab.announce_nlri(one, 0, core::slice::from_ref(&stack), next_hop(20), &attributes(&[]));
    lab.drain_all();
    assert_eq!(lab.further(two, family)[0].0, stack.as_bytes());
    assert!(lab.further(single, family).is_empty());
    let explained = lab.rib.explain(Destination::from(stack.clone())).unwrap();
    assert_eq!(explained.peers[2].verdict, Err(HeldBack::SeveralLabels));
    assert_eq!(lab.rib.peer_counters(single, family).advertised, 0);

    let label = nlri(family, "30 000101 c00002");
    lab.announce_nlri(one, 0, core::slice::from_ref(&label), next_hop(20), &attributes(&[]));
    lab.drain_all();
    assert_eq!(lab.further(two, family)[0].0, label.as_bytes());
    assert_eq!(lab.further(single, family)[0].0, label.as_bytes());
    // Back to two labels: who cannot be told them loses the route.
    lab.announce_nlri(one, 0, core::slice::from_ref(&stack), next_hop(20), &attributes(&[]));
    lab.drain_all();
    assert_eq!(lab.further(two, family)[0].0, stack.as_bytes());
    assert!(lab.further(single, family).is_empty());
}

#[test]
fn a_flow_specification_too_long_for_a_message_is_held_back_and_others_pass() {
    let family = Family::IPV4_FLOWSPEC;
    let mut lab = Lab::new();
    let mut long = sessions(1, &[family]);
    (long.codec.extended_message_rx, long.codec.extended_message_tx) = (true, true);
    let (one, two) = (lab.up(1, long), lab.up(2, sessions(2, &[family])));
    // Ports, each with "or equal": the last one ends the list.
    let mut component = "05".to_owned();
    (0..1350).for_each(|port| component += &format!("11{port:04x}"));
    component += "91ffff";
    let huge = nlri(family, &format!("f{:03x} {component}", component.len() / 2));
    let small = nlri(family, "05 0118c00002");
    lab.announce_nlri(one, 0, &[huge.clone(), small.clone()], NextHop::NONE, &attributes(&[]));
    lab.drain_all();
    let told: Vec<_> = lab.further(two, family).into_iter().map(|(octets, _)| octets).collect();
    assert_eq!(told, [small.as_bytes()]);
    let explained = lab.rib.explain(Destination::from(huge)).unwrap();
    assert_eq!(explained.peers[1].verdict, Err(HeldBack::TooLarge));
}

#[test]
fn next_hops_of_vpns_pass_as_they_are() {
    let mut lab = Lab::new();
    let (one, two) = (lab.up(1, sessions(1, &[VPN4])), lab.up(2, sessions(2, &[VPN4])));
    // Behind a distinguisher that is not zero: octets that nobody understands.
    let mut field = [0; 12];
    field[..8].copy_from_slice(&[0, 0, 0xfd, 0xe8, 0, 0, 0, 1]);
    field[8..].copy_from_slice(&[10, 0, 0, 9]);
    let odd = NextHop::Opaque(OpaqueNextHop::new(&field).unwrap());
    let (first, _) = samples(VPN4);
    lab.announce_nlri(one, 0, &[nlri(VPN4, &first)], odd, &attributes(&[]));
    lab.drain_all();
    assert_eq!(lab.further(two, VPN4)[0].1.next_hop, odd);
}

#[test]
fn external_peers_need_a_policy_in_every_family() {
    let mut lab = Lab::new();
    let one = lab.up(1, sessions(1, &[VPN4]));
    let mut bare = of_families(external(5, 65005), &[VPN4]);
    (bare.import, bare.export) = (bgp_rib::Policy::reject_all(), bgp_rib::Policy::reject_all());
    let (bare, open) = (lab.up(5, bare), lab.up(6, of_families(external(6, 65006), &[VPN4])));
    let (first, _) = samples(VPN4);
    lab.announce_nlri(one, 0, &[nlri(VPN4, &first)], next_hop(20), &attributes(&[]));
    lab.drain_all();
    assert!(lab.further(bare, VPN4).is_empty());
    assert_eq!(lab.further(open, VPN4)[0].1.next_hop, next_hop(20), "labels stay with who gave them");
}

#[test]
fn a_refresh_and_a_restart_work_as_in_unicast() {
    let mut lab = Lab::with(RibConfig { batch_prefixes: 2, ..RibConfig::new(LOCAL_AS, router_id(254)) });
    let (one, two) = (lab.up(1, sessions(1, &[VPN4])), lab.up(2, sessions(2, &[VPN4])));
    let route = |n: u8| nlri(VPN4, &format!("70 000101 {RD} c0000{n:x}"));
    let all: Vec<RouteNlri> = (1..8).map(route).collect();
    lab.announce_nlri(one, 0, &all, next_hop(20), &attributes(&[]));
    lab.quiet(two);
    lab.refresh(two, VPN4, RefreshKind::REQUEST);
    lab.drain_all();
    assert_eq!(lab.further(two, VPN4).len(), 7);
    assert!(lab.remotes[&two].updates > 0);
    lab.down(one, Retain::Stale);
    lab.drain_all();
    assert_eq!(lab.further(two, VPN4).len(), 7, "kept");
    lab.up(1, sessions(1, &[VPN4]));
    lab.announce_nlri(one, 0, &all[..3], next_hop(20), &attributes(&[]));
    lab.end_of_rib(one, VPN4);
    lab.drain_all();
    assert_eq!(lab.further(two, VPN4).len(), 3, "swept with End-of-RIB");
}

#[test]
fn listings_and_explanations_speak_of_every_family() {
    let mut lab = Lab::new();
    let one = lab.up(1, sessions(1, &[VPN4, Family::EVPN]));
    let two = lab.up(2, sessions(2, &[VPN4]));
    let vpn = nlri(VPN4, &samples(VPN4).0);
    let mac = nlri(Family::EVPN, &samples(Family::EVPN).0);
    lab.announce_nlri(one, 0, &[vpn.clone(), mac.clone()], next_hop(20), &attributes(&[]));
    lab.drain_all();
    let (routes, _) = lab.rib.routes(&RouteFilter::all(VPN4), Default::default(), 10);
    assert_eq!(routes[0].destination.to_string(), "65000:1:192.0.2.0/24 label 16");
    let within = RouteFilter { prefix: Some(net("192.0.0.0/16")), longer: true, ..RouteFilter::all(VPN4) };
    assert_eq!(lab.rib.routes(&within, Default::default(), 10).0.len(), 1);
    let other = RouteFilter { prefix: Some(net("10.0.0.0/8")), longer: true, ..RouteFilter::all(VPN4) };
    assert!(lab.rib.routes(&other, Default::default(), 10).0.is_empty());
    let (routes, _) = lab.rib.routes(&RouteFilter::all(Family::EVPN), Default::default(), 10);
    assert!(routes[0].destination.to_string().contains("02:00:de:ad:be:ef"), "{}", routes[0].destination);
    let explained = lab.rib.explain(Destination::from(vpn)).unwrap();
    assert_eq!(explained.paths[0].verdict, PathVerdict::Best);
    assert!(explained.peers.iter().any(|peer| peer.peer == two && peer.verdict == Ok(next_hop(20))));
    assert!(lab.rib.explain(Destination::from(mac)).is_some());
    assert_eq!(lab.rib.peer_counters(two, VPN4).advertised, 1);
    assert_eq!(lab.rib.peer_counters(one, Family::EVPN).received, 1);
}

#[test]
fn an_ipv6_next_hop_behind_a_distinguisher_goes_to_those_who_read_it() {
    let mut lab = Lab::new();
    let reads = |n| {
        let mut params = sessions(n, &[VPN4]);
        params.codec.extended_next_hop = FamilySet::of(&[VPN4]);
        params
    };
    let (one, two) = (lab.up(1, reads(1)), lab.up(2, reads(2)));
    let plain = lab.up(3, sessions(3, &[VPN4]));
    let mut field = [0; 24];
    field[..8].copy_from_slice(&[0, 0, 0xfd, 0xe8, 0, 0, 0, 1]);
    field[8..].copy_from_slice(&[0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
    let odd = NextHop::Opaque(OpaqueNextHop::new(&field).unwrap());
    let route = nlri(VPN4, &samples(VPN4).0);
    lab.announce_nlri(one, 0, core::slice::from_ref(&route), odd, &attributes(&[]));
    lab.drain_all();
    assert_eq!(lab.further(two, VPN4)[0].1.next_hop, odd);
    assert!(lab.further(plain, VPN4).is_empty());
    let explained = lab.rib.explain(Destination::from(route)).unwrap();
    assert_eq!(explained.peers[2].verdict, Err(HeldBack::NextHopFamily));
}

#[test]
fn a_link_state_route_too_long_with_what_describes_it_goes_without() {
    let family = Family::LINK_STATE;
    let mut lab = Lab::new();
    let mut long = sessions(1, &[family]);
    (long.codec.extended_message_rx, long.codec.extended_message_tx) = (true, true);
    let (one, two) = (lab.up(1, long), lab.up(2, sessions(2, &[family])));
    let described = |octets: usize| {
        let mut value = vec![4, 1];
        value.extend(u16::try_from(octets).unwrap().to_be_bytes());
        value.resize(4 + octets, 0);
        let other = vec![attribute(AttributeCode::LINK_STATE, 0x80, &value)];
        PathAttributes { other, ..attributes(&[]) }
    };
    let name = "01".repeat(200);
    let wide = nlri(family, &format!("0001 00d5 02 0000000000000000 0109 00c8 {name}"));
    // Far too long, or by the octets of the NLRI alone; and short enough.
    for (octets, goes) in [(9000, false), (3900, false), (3600, true)] {
        lab.announce_nlri(one, 0, core::slice::from_ref(&wide), hop(family), &described(octets));
        lab.drain_all();
        let (told, route) = lab.further(two, family).remove(0);
        assert_eq!(told, wide.as_bytes());
        let has = route.attributes.other.iter().any(|a| a.code == AttributeCode::LINK_STATE);
        assert_eq!(has, goes, "{octets}");
        let explained = lab.rib.explain(Destination::from(wide.clone())).unwrap();
        assert_eq!(explained.peers[1].verdict, Ok(hop(family)));
    }
}

#[test]
fn a_segment_routing_policy_does_not_leave_its_domain() {
    let family = Family::IPV4_SR_POLICY;
    let mut lab = Lab::new();
    let one = lab.up(1, sessions(1, &[family]));
    let far = lab.up(2, of_families(external(2, 65002), &[family]));
    let mut same = of_families(external(3, 65003), &[family]);
    same.codec.same_domain = true;
    let near = lab.up(3, same);
    let policy = nlri(family, &samples(family).0);
    let told = attributes_of(family);
    lab.announce_nlri(one, 0, core::slice::from_ref(&policy), hop(family), &told);
    lab.drain_all();
    assert!(lab.further(far, family).is_empty());
    assert_eq!(lab.further(near, family)[0].1.attributes.other, told.other);
    let explained = lab.rib.explain(Destination::from(policy)).unwrap();
    assert_eq!(explained.peers[1].verdict, Err(HeldBack::LeavesDomain));
}
