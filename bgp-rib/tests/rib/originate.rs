//! Routes of this speaker's own.

use bgp_rib::{Event, HeldBack, Input, Origination, OwnerId, PathVerdict, Rung, Source};
use bgp_wire::{NextHop, PathAttributes};

use crate::support::*;

#[test]
fn a_prefix_of_two_owners_stands_until_both_let_go_and_is_told_once() {
    let mut lab = Lab::new();
    let peer = lab.up(1, internal(1));
    let prefix = net("192.0.2.0/26");
    lab.originate(1, &[Origination::new(prefix)]);
    lab.drain_all();
    lab.originate(2, &[Origination::new(prefix)]);
    lab.input(Input::Withdraw(OwnerId(1), &[prefix]));
    lab.input(Input::Withdraw(OwnerId(1), &[prefix]));
    lab.drain_all();
    assert!(lab.view(peer).contains_key(&prefix));
    lab.input(Input::Withdraw(OwnerId(2), &[prefix]));
    lab.drain_all();
    assert!(lab.view(peer).is_empty());
    assert_eq!(lab.remotes[&peer].withdrawn, [prefix]);
}

#[test]
fn an_own_route_comes_before_any_learned_one_and_carries_our_address() {
    let mut lab = Lab::new();
    let (one, two) = (lab.up(1, client(1)), lab.up(2, client(2)));
    let prefix = net("192.0.2.0/26");
    lab.announce(one, &[prefix], next_hop(1), &PathAttributes { local_pref: Some(900), ..attributes(&[]) });
    lab.originate(1, &[Origination::new(prefix)]);
    lab.drain_all();
    for peer in [one, two] {
        let route = &lab.view(peer)[&prefix];
        assert_eq!((route.next_hop, &route.attributes), (next_hop(254), &attributes(&[])));
    }
    let explained = lab.rib.explain(prefix).unwrap();
    assert_eq!(explained.paths[0].source, Source::Local(OwnerId(1)));
    assert_eq!(explained.paths[1].verdict, PathVerdict::Lost(Rung::Preference));
}

#[test]
fn the_same_origination_again_makes_no_update() {
    let mut lab = Lab::new();
    let peer = lab.up(1, internal(1));
    lab.originate(1, &[Origination::new(net("192.0.2.0/26"))]);
    lab.drain_all();
    lab.quiet(peer);
    lab.originate(1, &[Origination::new(net("192.0.2.0/26"))]);
    lab.drain_all();
    assert_eq!(lab.remotes[&peer].updates, 0);
}

#[test]
fn med_of_an_own_route_goes_out_to_external_peers() {
    let mut lab = Lab::new();
    let peer = lab.up(5, external(5, 65005));
    let attributes = PathAttributes { med: Some(7), ..PathAttributes::default() };
    lab.originate(1, &[Origination { attributes, ..Origination::new(net("192.0.2.0/26")) }]);
    lab.drain_all();
    assert_eq!(lab.view(peer)[&net("192.0.2.0/26")].attributes.med, Some(7));
}

#[test]
fn an_ipv6_route_over_an_ipv4_session_needs_an_own_ipv6_address() {
    let mut lab = Lab::new();
    let mut without = internal(2);
    without.local_ipv6 = None;
    let (with, without) = (lab.up(1, internal(1)), lab.up(2, without));
    let prefix = net("2001:db8:1::/64");
    lab.originate(1, &[Origination::new(prefix)]);
    lab.drain_all();
    assert_eq!(lab.view(with)[&prefix].next_hop, next_hop6(0xfe));
    assert!(lab.view(without).is_empty());
    let explained = lab.rib.explain(prefix).unwrap();
    assert_eq!(explained.peers[1].verdict, Err(HeldBack::NoOwnNextHop));
}

#[test]
fn what_no_peer_would_take_is_refused_and_the_former_route_stands() {
    let mut lab = Lab::new();
    let peer = lab.up(1, internal(1));
    let prefix = net("192.0.2.0/26");
    lab.originate(1, &[Origination::new(prefix)]);
    let nowhere = Some(NextHop::V4([0, 0, 0, 0].into()));
    lab.originate(1, &[Origination { next_hop: nowhere, ..Origination::new(prefix) }]);
    lab.drain_all();
    assert!(lab.events.contains(&Event::OriginationRefused(OwnerId(1), prefix)));
    assert_eq!(lab.view(peer)[&prefix].next_hop, next_hop(254));
}
