//! Ways to next hops, as the caller tells them.

use bgp_rib::{
    HeldBack, Ineligible, Input, NextHopUse, Origination, PathVerdict, PeerId, PeerParams, Reachability,
    Retain, RibConfig, Rung,
};

use bgp_wire::{Family, NextHop, OpaqueNextHop};

use crate::support::*;

#[test]
fn a_next_hop_that_is_lost_takes_its_routes_out_and_gives_them_back() {
    let mut lab = Lab::new();
    let (one, two, three) = (lab.up(1, client(1)), lab.up(2, client(2)), lab.up(3, client(3)));
    let prefix = net("192.0.2.0/24");
    lab.announce(one, &[prefix], next_hop(21), &attributes(&[]));
    lab.announce(two, &[prefix], next_hop(22), &attributes(&[]));
    lab.drain_all();
    assert_eq!(lab.view(three)[&prefix].next_hop, next_hop(21));
    lab.input(Input::NextHop(address(21), Reachability::Unreachable));
    lab.drain_all();
    assert_eq!(lab.view(three)[&prefix].next_hop, next_hop(22));
    let explained = lab.rib.explain(prefix).unwrap();
    assert_eq!(explained.paths[1].verdict, PathVerdict::Ineligible(Ineligible::UnreachableNextHop));
    lab.input(Input::NextHop(address(22), Reachability::Unreachable));
    lab.drain_all();
    assert!(lab.view(three).is_empty());
    lab.input(Input::NextHop(address(21), Reachability::Metric(0)));
    lab.drain_all();
    assert_eq!(lab.view(three)[&prefix].next_hop, next_hop(21));
}

#[test]
fn the_nearer_next_hop_wins() {
    let mut lab = Lab::new();
    let (one, two, three) = (lab.up(1, client(1)), lab.up(2, client(2)), lab.up(3, client(3)));
    let prefix = net("192.0.2.0/24");
    lab.announce(one, &[prefix], next_hop(21), &attributes(&[]));
    lab.announce(two, &[prefix], next_hop(22), &attributes(&[]));
    lab.input(Input::NextHop(address(21), Reachability::Metric(10)));
    lab.drain_all();
    assert_eq!(lab.view(three)[&prefix].next_hop, next_hop(22));
    let explained = lab.rib.explain(prefix).unwrap();
    assert_eq!(explained.paths[1].verdict, PathVerdict::Lost(Rung::InteriorCost));
}

#[test]
fn a_route_through_ourselves_is_not_used() {
    let mut lab = Lab::new();
    let one = lab.up(1, client(1));
    lab.announce(one, &[net("192.0.2.0/24")], next_hop(254), &attributes(&[]));
    lab.settle();
    let explained = lab.rib.explain(net("192.0.2.0/24")).unwrap();
    assert_eq!(explained.paths[0].verdict, PathVerdict::Ineligible(Ineligible::OwnNextHop));
}

#[test]
fn a_route_through_an_address_that_turns_out_to_be_our_hosts_is_not_used_while_it_is() {
    let mut lab = Lab::new();
    let (one, two) = (lab.up(1, client(1)), lab.up(2, client(2)));
    let prefix = net("192.0.2.0/24");
    lab.announce(one, &[prefix], next_hop(21), &attributes(&[]));
    lab.drain_all();
    assert_eq!(lab.view(two).len(), 1);
    lab.input(Input::NextHop(address(21), Reachability::Own));
    lab.drain_all();
    assert!(lab.view(two).is_empty());
    let explained = lab.rib.explain(prefix).unwrap();
    assert_eq!(explained.paths[0].verdict, PathVerdict::Ineligible(Ineligible::OwnNextHop));
    lab.input(Input::NextHop(address(21), Reachability::Metric(0)));
    lab.drain_all();
    assert_eq!(lab.view(two).len(), 1);
}

#[test]
fn what_this_speaker_originates_needs_no_way_to_its_next_hop() {
    let mut lab = Lab::new();
    let (one, two) = (lab.up(1, client(1)), lab.up(2, client(2)));
    let prefix = net("192.0.2.0/24");
    lab.input(Input::NextHop(address(21), Reachability::Unreachable));
    lab.originate(1, &[Origination { next_hop: Some(next_hop(21)), ..Origination::new(prefix) }]);
    lab.drain_all();
    assert_eq!(lab.view(one)[&prefix].next_hop, next_hop(21));
    assert_eq!(lab.view(two)[&prefix].next_hop, next_hop(21));
}

#[test]
fn a_peer_is_not_told_a_route_through_itself() {
    let mut lab = Lab::new();
    let (one, two, three) = (lab.up(1, client(1)), lab.up(2, client(2)), lab.up(3, client(3)));
    let prefix = net("192.0.2.0/24");
    lab.announce(one, &[prefix], next_hop(20), &attributes(&[]));
    lab.drain_all();
    assert!(lab.view(two).contains_key(&prefix));
    lab.announce(one, &[prefix], next_hop(2), &attributes(&[]));
    lab.drain_all();
    assert!(!lab.view(two).contains_key(&prefix), "and what it had is withdrawn");
    assert!(lab.view(three).contains_key(&prefix));
    let explained = lab.rib.explain(prefix).unwrap();
    let told = explained.peers.iter().find(|told| told.peer == two).unwrap();
    assert_eq!(told.verdict, Err(HeldBack::NextHopIsPeer));
}

#[test]
fn a_peer_with_an_id_used_before_hears_routes_through_the_address_of_the_former_one() {
    let mut lab = Lab::new();
    let three = lab.up(3, client(3));
    let prefix = net("192.0.2.0/24");
    lab.announce(three, &[prefix], next_hop(1), &attributes(&[]));
    let (one, two) = (lab.up(1, client(1)), lab.up(2, client(2)));
    lab.drain_all();
    assert!(lab.view(two).contains_key(&prefix) && lab.view(one).is_empty());
    lab.down(one, Retain::Nothing);
    let moved = PeerParams { peer_address: address(9), ..client(1) };
    let one = lab.up(1, moved);
    lab.drain_all();
    assert_eq!(lab.view(one)[&prefix].next_hop, next_hop(1));
}

#[test]
fn a_tracking_caller_hears_which_next_hops_come_into_use_and_go() {
    let mut lab = Lab::with(RibConfig { track_next_hops: true, ..RibConfig::new(LOCAL_AS, router_id(254)) });
    let (one, two) = (lab.up(1, client(1)), lab.up(2, client(2)));
    let prefixes = [net("192.0.2.0/24"), net("198.51.100.0/24")];
    let told = |lab: &mut Lab| std::iter::from_fn(|| lab.rib.poll_next_hop()).collect::<Vec<_>>();
    lab.announce(one, &prefixes, next_hop(21), &attributes(&[]));
    lab.announce(two, &prefixes, next_hop(21), &attributes(&[7]));
    assert_eq!(told(&mut lab), [NextHopUse::Begins(address(21))]);
    lab.announce(one, &prefixes, next_hop(22), &attributes(&[]));
    assert_eq!(told(&mut lab), [NextHopUse::Begins(address(22))]);
    lab.withdraw(one, &prefixes);
    lab.withdraw(two, &prefixes);
    lab.drain_all();
    lab.settle();
    let mut gone = told(&mut lab);
    gone.sort_by_key(|used| format!("{used:?}"));
    assert_eq!(gone, [NextHopUse::Ends(address(21)), NextHopUse::Ends(address(22))]);
    lab.announce(one, &prefixes[..1], next_hop(21), &attributes(&[]));
    assert_eq!(told(&mut lab), [NextHopUse::Begins(address(21))]);
}

#[test]
fn a_next_hop_behind_a_distinguisher_is_looked_up_by_its_address() {
    let mut lab = Lab::with(RibConfig { track_next_hops: true, ..RibConfig::new(LOCAL_AS, router_id(254)) });
    let family = Family::IPV4_VPN;
    let (one, two) =
        (lab.up(1, of_families(client(1), &[family])), lab.up(2, of_families(client(2), &[family])));
    let field = [0, 0, 0xfd, 0xe8, 0, 0, 0, 1, 10, 0, 0, 21];
    let odd = NextHop::Opaque(OpaqueNextHop::new(&field).unwrap());
    let route = nlri(family, "70 000101 0000fde800000001 c00002");
    lab.announce_nlri(one, 0, &[route], odd, &attributes(&[]));
    assert_eq!(lab.rib.poll_next_hop(), Some(NextHopUse::Begins(address(21))));
    lab.drain_all();
    assert_eq!(lab.further(two, family).len(), 1);
    lab.input(Input::NextHop(address(21), Reachability::Unreachable));
    lab.drain_all();
    assert!(lab.further(two, family).is_empty());
}

#[test]
fn a_prefix_that_changes_before_its_turn_is_decided_by_the_ways_that_there_are_now() {
    for many_paths in [2, 16] {
        let mut lab = Lab::with(RibConfig { many_paths, ..RibConfig::new(LOCAL_AS, router_id(254)) });
        let prefix = [net("192.0.2.0/24")];
        let reader = lab.up(9, client(9));
        for n in 1..=4 {
            let peer = lab.up(n, client(n));
            lab.announce(peer, &prefix, next_hop(20 + n), &attributes(&[]));
        }
        lab.drain_all();
        assert_eq!(lab.view(reader)[&prefix[0]].next_hop, next_hop(21));
        // No tick comes: the walk that looks at every prefix has not begun.
        lab.input(Input::NextHop(address(21), Reachability::Unreachable));
        lab.announce(PeerId(4), &prefix, next_hop(24), &attributes(&[64512]));
        lab.drain(reader);
        assert_eq!(lab.view(reader)[&prefix[0]].next_hop, next_hop(22), "{many_paths}");
    }
}
