//! Route target constraint (RFC 4684).

use core::time::Duration;

use bgp_rib::{
    Destination, HeldBack, Input, PeerId, PeerParams, Policy, Reachability, Retain, RouteFilter, Source,
};
use bgp_wire::{ExtendedCommunity, Family, PathAttributes};

use crate::support::*;

const VPN4: Family = Family::IPV4_VPN;
const RTC: Family = Family::ROUTE_TARGET;

fn target(n: u32) -> ExtendedCommunity {
    ExtendedCommunity::route_target(65000, n)
}

fn with(targets: &[u32]) -> PathAttributes {
    PathAttributes { extended_communities: targets.iter().map(|n| target(*n)).collect(), ..attributes(&[]) }
}

/// The membership of one route target, or of as many bits of it as the length in front says.
fn membership(n: u32) -> bgp_rib::RouteNlri {
    nlri(RTC, &format!("60 0000fde8 0002fde8{n:08x}"))
}

fn route(n: u8) -> bgp_rib::RouteNlri {
    nlri(VPN4, &format!("70 000101 0000fde800000001 c000{n:02x}"))
}

fn plain(n: u8) -> PeerParams {
    of_families(client(n), &[VPN4])
}

fn speaks(n: u8) -> PeerParams {
    PeerParams { graceful_restart: true, ..of_families(client(n), &[VPN4, RTC]) }
}

/// The third octets of the prefixes that a far end holds.
fn held(lab: &Lab, peer: PeerId) -> Vec<u8> {
    lab.further(peer, VPN4).iter().map(|(octets, _)| octets[octets.len() - 1]).collect()
}

/// A client that tells routes 1, 2 and 3 with route targets of these numbers, and one that wants the first alone.
fn two() -> (Lab, PeerId, PeerId) {
    let mut lab = Lab::new();
    let (one, two) = (lab.up(1, plain(1)), lab.up(2, speaks(2)));
    for n in 1..=3 {
        lab.announce_nlri(one, 0, &[route(n)], next_hop(1), &with(&[u32::from(n)]));
    }
    lab.announce_nlri(two, 0, &[membership(1)], next_hop(2), &attributes(&[]));
    (lab, one, two)
}

#[test]
fn vpn_routes_wait_until_the_peer_has_said_what_it_wants() {
    let (mut lab, _, two) = two();
    lab.drain_all();
    assert!(held(&lab, two).is_empty());
    assert!(!lab.remotes[&two].end_of_rib.contains(&VPN4));
    lab.end_of_rib(two, RTC);
    lab.drain_all();
    assert_eq!(held(&lab, two), [1]);
    assert!(lab.remotes[&two].end_of_rib.contains(&VPN4));
    let explained = lab.rib.explain(Destination::from(route(2))).unwrap();
    assert!(explained.peers.iter().any(|p| p.peer == two && p.verdict == Err(HeldBack::RouteTarget)));
    assert_eq!(lab.rib.peer_counters(two, VPN4).advertised, 1);
}

#[test]
fn they_wait_no_longer_than_a_minute() {
    let (mut lab, _, two) = two();
    lab.now += Duration::from_secs(59);
    lab.drain_all();
    assert!(held(&lab, two).is_empty());
    assert_eq!(lab.rib.poll_timeout(), Some(Duration::from_secs(60)));
    lab.now += Duration::from_secs(1);
    lab.drain_all();
    assert_eq!(held(&lab, two), [1]);
}

#[test]
fn they_wait_a_second_for_a_peer_that_promises_no_end_of_rib() {
    let mut lab = Lab::new();
    let one = lab.up(1, plain(1));
    let two = lab.up(2, PeerParams { graceful_restart: false, ..speaks(2) });
    for n in 1..=2 {
        lab.announce_nlri(one, 0, &[route(n)], next_hop(1), &with(&[u32::from(n)]));
    }
    lab.announce_nlri(two, 0, &[membership(1)], next_hop(2), &attributes(&[]));
    lab.drain_all();
    assert!(held(&lab, two).is_empty());
    lab.now += Duration::from_secs(1);
    lab.drain_all();
    assert_eq!(held(&lab, two), [1]);
}

#[test]
fn another_membership_brings_the_difference_and_nothing_else() {
    let (mut lab, _, two) = two();
    lab.end_of_rib(two, RTC);
    lab.quiet(two);
    lab.announce_nlri(two, 0, &[membership(3)], next_hop(2), &attributes(&[]));
    lab.quiet(two);
    assert_eq!(held(&lab, two), [1, 3]);
    assert!(lab.remotes[&two].further_withdrawn.is_empty());
    lab.withdraw_nlri(two, 0, &[membership(1)]);
    lab.quiet(two);
    assert_eq!(held(&lab, two), [3]);
    lab.announce_nlri(two, 0, &[nlri(RTC, "00")], next_hop(2), &attributes(&[]));
    lab.quiet(two);
    assert_eq!(held(&lab, two), [1, 2, 3], "the default route target wants everything");
    assert_eq!(lab.rib.peer_counters(two, VPN4).advertised, 3);
}

#[test]
fn memberships_that_change_faster_than_the_peer_reads_end_in_what_it_wants() {
    let (mut lab, _, two) = two();
    lab.end_of_rib(two, RTC);
    lab.quiet(two);
    for round in 0..20 {
        lab.announce_nlri(two, 0, &[membership(2 + round % 2)], next_hop(2), &attributes(&[]));
        lab.withdraw_nlri(two, 0, &[membership(3 - round % 2)]);
        if round % 3 == 0 {
            lab.read_once(two, 1);
        }
    }
    lab.drain_all();
    assert_eq!(held(&lab, two), [1, 3]);
}

#[test]
fn the_first_bits_of_a_route_target_want_all_that_begin_so() {
    let mut lab = Lab::new();
    let (one, two) = (lab.up(1, plain(1)), lab.up(2, speaks(2)));
    lab.announce_nlri(one, 0, &[route(1)], next_hop(1), &with(&[0x0001_0000]));
    lab.announce_nlri(one, 0, &[route(2)], next_hop(1), &with(&[7, 0x0001_ffff]));
    lab.announce_nlri(one, 0, &[route(3)], next_hop(1), &with(&[0x0002_0000]));
    lab.announce_nlri(one, 0, &[route(4)], next_hop(1), &with(&[]));
    lab.announce_nlri(two, 0, &[nlri(RTC, "50 0000fde8 0002fde80001")], next_hop(2), &attributes(&[]));
    lab.end_of_rib(two, RTC);
    lab.drain_all();
    assert_eq!(held(&lab, two), [1, 2]);
}

#[test]
fn a_community_that_begins_like_a_route_target_and_is_none_makes_a_route_wanted_by_nobody() {
    let mut lab = Lab::new();
    let (one, two) = (lab.up(1, plain(1)), lab.up(2, speaks(2)));
    // Where the route comes from (RFC 4360 §5), in the form of a route target of the same AS.
    let site = ExtendedCommunity([0, 3, 0xfd, 0xe8, 0, 0, 0, 1]);
    let without = PathAttributes { extended_communities: vec![site], ..attributes(&[]) };
    lab.announce_nlri(one, 0, &[route(1)], next_hop(1), &with(&[1]));
    lab.announce_nlri(one, 0, &[route(2)], next_hop(1), &without);
    lab.announce_nlri(two, 0, &[nlri(RTC, "28 0000fde8 00")], next_hop(2), &attributes(&[]));
    lab.end_of_rib(two, RTC);
    lab.drain_all();
    assert_eq!(held(&lab, two), [1]);
}

#[test]
fn a_route_that_loses_its_route_target_is_withdrawn_where_nobody_wants_the_other() {
    let (mut lab, one, two) = two();
    lab.end_of_rib(two, RTC);
    lab.drain_all();
    lab.announce_nlri(one, 0, &[route(1)], next_hop(1), &with(&[9]));
    lab.announce_nlri(one, 0, &[route(2)], next_hop(1), &with(&[9, 1]));
    lab.drain_all();
    assert_eq!(held(&lab, two), [2]);
}

#[test]
fn peers_that_want_the_same_share_a_group() {
    let (mut lab, _, two) = two();
    let three = lab.up(3, speaks(3));
    for peer in [two, three] {
        lab.announce_nlri(peer, 0, &[membership(1)], next_hop(2), &attributes(&[]));
        lab.end_of_rib(peer, RTC);
    }
    lab.drain_all();
    assert_eq!((held(&lab, two), held(&lab, three)), (vec![1], vec![1]));
    assert_eq!(lab.rib.table_counters(VPN4).groups, 2, "theirs and that of the client without memberships");
}

#[test]
fn a_client_hears_its_own_membership_back_as_the_reflectors() {
    let mut lab = Lab::new();
    let one = lab.up(1, speaks(1));
    lab.announce_nlri(one, 0, &[membership(1)], next_hop(1), &attributes(&[]));
    lab.drain_all();
    let told = lab.further(one, RTC);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].1.attributes.originator_id, Some(router_id(254)));
    assert_eq!(told[0].1.next_hop, next_hop(254));
    lab.withdraw_nlri(one, 0, &[membership(1)]);
    lab.drain_all();
    assert!(lab.further(one, RTC).is_empty());
}

#[test]
fn clients_that_are_meshed_are_asked_for_vpn_routes_all_the_same() {
    let mut lab = Lab::new();
    let meshed = |n| PeerParams { client_to_client: false, ..speaks(n) };
    let (one, two) = (lab.up(1, meshed(1)), lab.up(2, meshed(2)));
    lab.announce_nlri(two, 0, &[membership(1)], next_hop(2), &attributes(&[]));
    lab.announce_nlri(one, 0, &[route(1)], next_hop(1), &with(&[1]));
    lab.drain_all();
    assert_eq!(lab.further(one, RTC).len(), 1, "what is wanted of it");
    assert!(held(&lab, two).is_empty(), "the route itself comes from the other client");
}

#[test]
fn a_non_client_hears_a_clients_path_where_the_best_is_a_non_clients() {
    let mut lab = Lab::new();
    let (first, second) =
        (lab.up(3, of_families(internal(3), &[RTC])), lab.up(4, of_families(internal(4), &[RTC])));
    let one = lab.up(1, of_families(client(1), &[RTC]));
    let better = PathAttributes { local_pref: Some(200), ..attributes(&[]) };
    lab.announce_nlri(first, 0, &[membership(1)], next_hop(3), &better);
    lab.drain_all();
    assert!(lab.further(second, RTC).is_empty() && lab.further(one, RTC).len() == 1);
    lab.announce_nlri(one, 0, &[membership(1)], next_hop(1), &attributes(&[]));
    lab.drain_all();
    for peer in [first, second] {
        assert_eq!(lab.further(peer, RTC)[0].1.next_hop, next_hop(1));
        assert_eq!(lab.further(peer, RTC)[0].1.attributes.originator_id, Some(router_id(1)));
    }
    lab.withdraw_nlri(one, 0, &[membership(1)]);
    lab.drain_all();
    assert!(lab.further(first, RTC).is_empty() && lab.further(second, RTC).is_empty());
    assert_eq!(lab.further(one, RTC).len(), 1);
}

#[test]
fn everything_is_asked_for_on_behalf_of_peers_that_say_nothing() {
    let mut lab = Lab::new();
    let two = lab.up(2, speaks(2));
    lab.drain_all();
    assert!(lab.further(two, RTC).is_empty());
    let one = lab.up(1, plain(1));
    lab.drain_all();
    assert_eq!(lab.further(two, RTC)[0].0, [0], "the default route target");
    lab.down(one, Retain::Nothing);
    lab.drain_all();
    assert!(lab.further(two, RTC).is_empty());
    assert_eq!(lab.rib.table_counters(RTC).paths, 0);
}

#[test]
fn a_session_that_comes_back_is_waited_for_again() {
    let (mut lab, _, two) = two();
    lab.end_of_rib(two, RTC);
    lab.drain_all();
    lab.down(two, Retain::Stale);
    lab.up(2, speaks(2));
    lab.drain_all();
    assert!(held(&lab, two).is_empty());
    lab.announce_nlri(two, 0, &[membership(2)], next_hop(2), &attributes(&[]));
    lab.end_of_rib(two, RTC);
    lab.drain_all();
    assert_eq!(held(&lab, two), [2], "memberships of the former session are gone");
}

#[test]
fn a_membership_that_changes_while_a_difference_is_walked_is_followed_without_another_cause() {
    let (mut lab, _, _) = two();
    let three = lab.up(3, of_families(internal(3), &[VPN4, RTC]));
    lab.announce_nlri(three, 0, &[membership(1)], next_hop(3), &attributes(&[]));
    lab.end_of_rib(three, RTC);
    lab.drain_all();
    assert_eq!(held(&lab, three), [1]);
    // No route has the first of these: its walk ends without a word.
    lab.announce_nlri(three, 0, &[membership(9)], next_hop(3), &attributes(&[]));
    lab.announce_nlri(three, 0, &[membership(3)], next_hop(3), &attributes(&[]));
    lab.drain_all();
    assert_eq!(held(&lab, three), [1, 3]);
}

#[test]
fn a_reader_that_comes_late_is_not_told_its_own_routes_from_what_was_encoded_before() {
    let mut lab = Lab::new();
    let (two, three) = (lab.up(2, speaks(2)), lab.up(3, speaks(3)));
    for peer in [two, three] {
        lab.announce_nlri(peer, 0, &[membership(1)], next_hop(2), &attributes(&[]));
    }
    lab.announce_nlri(three, 0, &[route(3)], next_hop(3), &with(&[1]));
    lab.end_of_rib(two, RTC);
    lab.drain_all();
    assert_eq!(held(&lab, two), [3]);
    // It has the key of the other, and begins at the same place.
    lab.end_of_rib(three, RTC);
    lab.drain_all();
    assert!(held(&lab, three).is_empty(), "split horizon");
}

#[test]
fn memberships_are_told_to_a_restarting_speakers_peers_before_it_has_heard_all() {
    let mut lab = Lab::new();
    lab.input(Input::DeferEndOfRib(true));
    let two = lab.up(2, of_families(client(2), &[VPN4, RTC]));
    lab.drain_all();
    // The peers withhold their VPN routes and their End-of-RIB until they have heard it.
    assert_eq!(lab.remotes[&two].end_of_rib, [RTC].into());
    lab.end_of_rib(two, RTC);
    lab.end_of_rib(two, VPN4);
    lab.input(Input::DeferEndOfRib(false));
    lab.drain_all();
    assert_eq!(lab.remotes[&two].end_of_rib, [VPN4, RTC].into());
}

#[test]
fn a_membership_that_another_client_has_too_is_not_told_again() {
    let mut lab = Lab::new();
    let [one, two, three] = [1, 2, 3].map(|n| lab.up(n, of_families(client(n), &[RTC])));
    let reflector = lab.up(4, of_families(internal(4), &[RTC]));
    lab.announce_nlri(one, 0, &[membership(1)], next_hop(1), &attributes(&[]));
    lab.drain_all();
    [three, reflector].into_iter().for_each(|peer| lab.quiet(peer));
    lab.announce_nlri(two, 0, &[membership(1)], next_hop(2), &attributes(&[]));
    // Nor when everything is decided anew.
    lab.input(Input::NextHop(address(2), Reachability::Metric(7)));
    lab.drain_all();
    assert_eq!([three, reflector].map(|peer| lab.remotes[&peer].updates), [0, 0]);
}

#[test]
fn a_clients_path_that_changes_behind_a_non_clients_is_told_to_non_clients() {
    let mut lab = Lab::new();
    let [first, second] = [3, 4].map(|n| lab.up(n, of_families(internal(n), &[RTC])));
    let [one, two] = [1, 2].map(|n| lab.up(n, of_families(client(n), &[RTC])));
    let better = PathAttributes { local_pref: Some(200), ..attributes(&[]) };
    lab.announce_nlri(first, 0, &[membership(1)], next_hop(3), &better);
    lab.announce_nlri(one, 0, &[membership(1)], next_hop(1), &attributes(&[]));
    lab.announce_nlri(two, 0, &[membership(1)], next_hop(2), &attributes(&[]));
    lab.drain_all();
    assert_eq!(lab.further(second, RTC)[0].1.next_hop, next_hop(1));
    lab.input(Input::NextHop(address(1), Reachability::Unreachable));
    lab.drain_all();
    assert_eq!(lab.further(second, RTC)[0].1.next_hop, next_hop(2), "its next hop is lost");
    lab.withdraw_nlri(two, 0, &[membership(1)]);
    lab.drain_all();
    assert!(lab.further(second, RTC).is_empty());
    lab.input(Input::NextHop(address(1), Reachability::Metric(1)));
    lab.drain_all();
    assert_eq!(lab.further(second, RTC)[0].1.next_hop, next_hop(1));
}

#[test]
fn what_is_shown_of_memberships_to_a_non_client_is_what_it_is_told() {
    let mut lab = Lab::new();
    let families = |params| of_families(params, &[RTC]);
    let (plain, client) = (lab.up(1, families(internal(1))), lab.up(2, families(client(2))));
    let to = lab.up(3, families(internal(3)));
    let better = PathAttributes { local_pref: Some(200), ..attributes(&[]) };
    lab.announce_nlri(plain, 0, &[membership(1)], next_hop(1), &better);
    lab.announce_nlri(client, 0, &[membership(1)], next_hop(2), &attributes(&[]));
    lab.drain_all();
    let told = lab.further(to, RTC);
    assert_eq!(told.len(), 1, "the client's, as the best one is not reflected");
    let filter = RouteFilter { advertised_to: Some(to), ..RouteFilter::all(RTC) };
    let (shown, _) = lab.rib.routes(&filter, Default::default(), 10);
    assert_eq!(shown.len(), 1);
    assert!(matches!(shown[0].source, Source::Peer { id, .. } if id == client));
    let (changes, _) = lab.rib.dry_run(to, RTC, &Policy::reject_all(), Default::default(), 10);
    assert_eq!(changes.len(), 1);
    assert_eq!((changes[0].now.is_ok(), changes[0].then.is_ok()), (true, false));
}
