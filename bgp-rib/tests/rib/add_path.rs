//! Several paths of a prefix to one peer (RFC 7911).

use bgp_rib::{AddPathSend, HeldBack, Input, PeerId, PeerParams, Policy, Reachability, Retain, RibConfig};
use bgp_wire::{Family, FamilySet, PathAttributes, RefreshKind};
use ipnet::IpNet;

use crate::naive_policy::policy;
use crate::support::*;

/// A client that is told several paths.
fn taker(n: u8, send: AddPathSend) -> PeerParams {
    let mut params = client(n);
    params.codec.add_path_tx = FamilySet::of(&[V4, V6]);
    params.add_path_send = vec![(V4, send)];
    params
}

fn preferred(local_pref: u32) -> PathAttributes {
    PathAttributes { local_pref: Some(local_pref), ..attributes(&[]) }
}

const PREFIX: &str = "192.0.2.0/24";

/// Next hops that a peer holds of the prefix, by path identifier.
fn held(lab: &Lab, peer: PeerId) -> Vec<(u32, u8)> {
    let paths = lab.remotes[&peer].paths.iter().filter(|((prefix, _), _)| *prefix == net(PREFIX));
    let last = |address: std::net::IpAddr| match address {
        std::net::IpAddr::V4(address) => address.octets()[3],
        std::net::IpAddr::V6(_) => 0,
    };
    paths.map(|((_, id), route)| (*id, last(route.next_hop.address()))).collect()
}

fn hops(lab: &Lab, peer: PeerId) -> Vec<u8> {
    let mut hops: Vec<u8> = held(lab, peer).into_iter().map(|(_, hop)| hop).collect();
    hops.sort_unstable();
    hops
}

fn identifier(lab: &Lab, peer: PeerId, hop: u8) -> u32 {
    held(lab, peer).into_iter().find(|(_, h)| *h == hop).expect("it is told").0
}

/// Clients 1 to 4 tell the prefix, each with itself as next hop and a LOCAL_PREF of 100 and its number.
fn four_tell(lab: &mut Lab) -> Vec<PeerId> {
    let tellers: Vec<PeerId> = (1..=4).map(|n| lab.up(n, client(n))).collect();
    for (n, peer) in (1u8..).zip(&tellers) {
        lab.announce(*peer, &[net(PREFIX)], next_hop(n), &preferred(100 + u32::from(n)));
    }
    tellers
}

#[test]
fn each_session_is_told_as_many_paths_as_it_asks_for() {
    let mut lab = Lab::new();
    four_tell(&mut lab);
    let all = lab.up(11, taker(11, AddPathSend::All));
    let two = lab.up(12, taker(12, AddPathSend::Best(2)));
    let best = lab.up(13, taker(13, AddPathSend::default()));
    let limited = lab.up(14, PeerParams { paths_limit: vec![(V4, 3)], ..taker(14, AddPathSend::All) });
    let unlimited = lab.up(15, PeerParams { paths_limit: vec![(V4, 0)], ..taker(15, AddPathSend::All) });
    lab.drain_all();
    assert_eq!(hops(&lab, all), [1, 2, 3, 4]);
    assert_eq!(hops(&lab, two), [3, 4]);
    assert_eq!(hops(&lab, best), [4]);
    assert_eq!(hops(&lab, limited), [2, 3, 4]);
    assert_eq!(hops(&lab, unlimited), [1, 2, 3, 4]);
    for peer in [all, two, best, limited, unlimited] {
        assert!(lab.remotes[&peer].end_of_rib.contains(&V4), "{peer}");
        assert!(held(&lab, peer).iter().all(|(id, _)| *id != 0), "0 is no identifier that we give");
    }
}

#[test]
fn equal_cost_paths_and_the_best_of_each_as() {
    let mut lab = Lab::new();
    for (n, asns) in [(1, [64501, 1]), (2, [64501, 2]), (3, [64502, 1])] {
        let peer = lab.up(n, client(n));
        lab.announce(peer, &[net(PREFIX)], next_hop(n), &attributes(&asns));
    }
    let far = lab.up(4, client(4));
    lab.announce(far, &[net(PREFIX)], next_hop(4), &attributes(&[64503]));
    lab.input(Input::NextHop(address(4), Reachability::Unreachable));
    let equal = lab.up(11, taker(11, AddPathSend::EqualCost));
    let per_as = lab.up(12, taker(12, AddPathSend::PerAs));
    lab.drain_all();
    assert_eq!(hops(&lab, per_as), [1, 3]);
    let before = hops(&lab, equal);
    assert!(before.contains(&1), "{before:?}");
    lab.input(Input::NextHop(address(4), Reachability::Metric(7)));
    lab.drain_all();
    assert_eq!(hops(&lab, equal), [4], "the shorter way has no equal");
    assert_eq!(hops(&lab, per_as), [1, 3, 4]);
}

#[test]
fn a_path_that_others_overtake_is_not_told_again() {
    let mut lab = Lab::new();
    let tellers = four_tell(&mut lab);
    let all = lab.up(11, taker(11, AddPathSend::All));
    let two = lab.up(12, taker(12, AddPathSend::Best(2)));
    lab.drain_all();
    lab.quiet(all);
    lab.quiet(two);
    lab.announce(tellers[0], &[net(PREFIX)], next_hop(1), &preferred(300));
    lab.drain_all();
    assert_eq!(lab.remotes[&all].announced, [net(PREFIX)], "one path changed");
    assert_eq!(lab.remotes[&all].withdrawn, []);
    assert_eq!(lab.remotes[&two].announced, [net(PREFIX)], "one path came among the two");
    assert_eq!(lab.remotes[&two].withdrawn, [net(PREFIX)], "one was pushed out");
    assert_eq!(hops(&lab, two), [1, 4]);
}

#[test]
fn a_path_keeps_its_identifier_through_attributes_rank_and_restart() {
    let mut lab = Lab::new();
    let tellers = four_tell(&mut lab);
    let all = lab.up(11, taker(11, AddPathSend::All));
    let two = lab.up(12, taker(12, AddPathSend::Best(2)));
    lab.drain_all();
    let id = identifier(&lab, all, 3);
    assert_eq!(identifier(&lab, two, 3), id, "the same to every peer");
    lab.announce(tellers[2], &[net(PREFIX)], next_hop(3), &preferred(50));
    lab.drain_all();
    assert_eq!(identifier(&lab, all, 3), id);
    lab.down(tellers[2], Retain::Stale);
    lab.drain_all();
    assert_eq!(identifier(&lab, all, 3), id);
    lab.up(3, client(3));
    lab.announce(tellers[2], &[net(PREFIX)], next_hop(3), &preferred(500));
    lab.end_of_rib(tellers[2], V4);
    lab.drain_all();
    assert_eq!(identifier(&lab, all, 3), id);
    assert_eq!(identifier(&lab, two, 3), id);
}

#[test]
fn the_identifier_of_a_path_that_went_is_given_to_none_before_all_have_heard() {
    let mut lab = Lab::new();
    let tellers = four_tell(&mut lab);
    let slow = lab.up(11, taker(11, AddPathSend::All));
    lab.drain_all();
    lab.withdraw(tellers[1], &[net(PREFIX)]);
    lab.settle();
    // Others come while the peer does not read.
    let more: Vec<IpNet> = (0..8).map(|n| net(&format!("198.51.100.{n}/32"))).collect();
    lab.announce(tellers[2], &more, next_hop(3), &preferred(100));
    lab.drain_all();
    assert_eq!(hops(&lab, slow), [1, 3, 4]);
    assert_eq!(lab.remotes[&slow].paths.len(), 3 + more.len());
}

#[test]
fn a_path_that_flaps_before_a_peer_that_does_not_read_costs_no_memory() {
    let mut lab = Lab::new();
    let tellers = four_tell(&mut lab);
    let slow = lab.up(11, taker(11, AddPathSend::All));
    lab.drain_all();
    let id = identifier(&lab, slow, 2);
    for n in 0..1000 {
        lab.withdraw(tellers[1], &[net(PREFIX)]);
        lab.settle();
        lab.announce(tellers[1], &[net(PREFIX)], next_hop(2), &preferred(100 + n % 7));
        lab.settle();
    }
    assert_eq!(lab.rib.table_counters(V4).paths, 4);
    lab.quiet(slow);
    assert_eq!(lab.remotes[&slow].paths.len(), 4);
    assert_eq!(identifier(&lab, slow, 2), id, "it came back before anybody heard that it went");
}

#[test]
fn who_told_one_of_the_best_hears_the_others() {
    let mut lab = Lab::new();
    four_tell(&mut lab);
    let other = lab.up(10, taker(10, AddPathSend::Best(3)));
    let own = lab.up(11, taker(11, AddPathSend::Best(3)));
    lab.announce(own, &[net(PREFIX)], next_hop(20), &preferred(200));
    lab.drain_all();
    assert_eq!(hops(&lab, own), [3, 4]);
    assert_eq!(hops(&lab, other), [3, 4, 20]);
    assert_eq!(lab.rib.peer_counters(own, V4).advertised, 2);
    assert_eq!(lab.rib.peer_counters(other, V4).advertised, 3);
    lab.announce(own, &[net(PREFIX)], next_hop(20), &preferred(1));
    lab.drain_all();
    assert_eq!(hops(&lab, own), [2, 3, 4]);
    assert_eq!(hops(&lab, other), [2, 3, 4]);
}

#[test]
fn a_new_policy_tells_the_difference_path_by_path() {
    let mut lab = Lab::new();
    let teller = lab.up(1, client(1));
    let second = lab.up(2, client(2));
    let kept = net("10.9.0.0/16");
    for prefix in [net("10.1.0.0/26"), kept] {
        lab.announce(teller, &[prefix], next_hop(21), &preferred(100));
        lab.announce(second, &[prefix], next_hop(22), &preferred(200));
    }
    let all = lab.up(11, taker(11, AddPathSend::All));
    lab.drain_all();
    assert_eq!(lab.remotes[&all].paths.len(), 4);
    lab.quiet(all);
    let export = Some(policy(3)); // Rejects what is preferred, changes the others.
    let dry = lab.rib.dry_run(all, V4, export.as_ref().unwrap(), Default::default(), 10).0;
    assert_eq!(dry.len(), 4);
    assert!(dry.iter().all(|change| change.path_id.0 != 0));
    assert_eq!(dry.iter().filter(|change| change.then.is_err()).count(), 2);
    lab.input(Input::SetPolicy { peer: all, import: None, export });
    lab.drain_all();
    assert_eq!((lab.remotes[&all].announced.len(), lab.remotes[&all].withdrawn.len()), (2, 2));
    assert_eq!(lab.remotes[&all].paths.len(), 2);
    lab.quiet(all);
    lab.input(Input::SetPolicy { peer: all, import: None, export: Some(Policy::accept_all()) });
    lab.drain_all();
    assert_eq!((lab.remotes[&all].announced.len(), lab.remotes[&all].withdrawn.len()), (4, 0));
}

#[test]
fn a_refresh_tells_every_path_again_between_its_brackets() {
    let mut lab = Lab::new();
    four_tell(&mut lab);
    let all = lab.up(11, PeerParams { enhanced_refresh: true, ..taker(11, AddPathSend::All) });
    lab.drain_all();
    lab.quiet(all);
    lab.refresh(all, V4, RefreshKind::REQUEST);
    lab.drain_all();
    assert_eq!(lab.remotes[&all].announced.len(), 4);
    assert_eq!(lab.remotes[&all].markers, [RefreshKind::BEGIN, RefreshKind::END]);
}

#[test]
fn a_path_that_is_not_told_says_why() {
    let mut lab = Lab::new();
    let tellers = four_tell(&mut lab);
    let two = lab.up(12, taker(12, AddPathSend::Best(2)));
    lab.drain_all();
    let explained = lab.rib.explain(net(PREFIX)).unwrap();
    let of = |peer| explained.peers.iter().find(|p| p.peer == peer).unwrap();
    let verdicts: Vec<_> = of(two).paths.iter().map(|path| path.verdict).collect();
    assert_eq!(verdicts.iter().filter(|v| **v == Err(HeldBack::NotSelected)).count(), 2);
    assert_eq!(verdicts.iter().filter(|v| v.is_ok()).count(), 2);
    assert!(of(tellers[0]).paths.is_empty(), "it is told the best alone");
}

#[test]
fn a_table_that_stands_is_looked_over_in_turns_before_end_of_rib() {
    let mut config = RibConfig::new(LOCAL_AS, router_id(254));
    config.turn = 10;
    let mut lab = Lab::with(config);
    let teller = lab.up(1, client(1));
    let many: Vec<IpNet> = (0..100).map(|n| net(&format!("198.51.100.{n}/32"))).collect();
    lab.announce(teller, &many, next_hop(1), &preferred(100));
    lab.settle();
    let all = lab.up(11, taker(11, AddPathSend::All));
    lab.drain(all);
    assert!(lab.remotes[&all].paths.len() < 100, "it takes more than one turn");
    assert!(!lab.remotes[&all].end_of_rib.contains(&V4));
    lab.drain_all();
    assert_eq!(lab.remotes[&all].paths.len(), 100);
    assert_eq!(lab.remotes[&all].announced.len(), 100, "each path once");
    assert!(lab.remotes[&all].end_of_rib.contains(&V4));
}

#[test]
fn the_last_reader_of_a_selection_takes_its_log_along() {
    let mut lab = Lab::new();
    let tellers = four_tell(&mut lab);
    let all = lab.up(11, taker(11, AddPathSend::All));
    lab.drain_all();
    lab.withdraw(tellers[0], &[net(PREFIX)]);
    lab.down(all, Retain::Nothing);
    lab.settle();
    let counters = lab.rib.table_counters(V4);
    assert_eq!((counters.paths, counters.prefixes), (3, 1), "nobody waits for the one that went");
}

#[test]
fn end_of_rib_of_the_first_reader_of_a_selection_comes_behind_the_whole_table() {
    let config = RibConfig { batch_prefixes: 2, turn: 10, ..RibConfig::new(LOCAL_AS, router_id(254)) };
    let mut lab = Lab::with(config);
    let one = lab.up(1, client(1));
    let prefixes: Vec<IpNet> = (0..100).map(|n| net(&format!("10.1.{n}.0/24"))).collect();
    lab.announce(one, &prefixes, next_hop(1), &attributes(&[]));
    let all = lab.up(2, taker(2, AddPathSend::All));
    // It reads faster than its log is built, then its socket lags.
    lab.input(Input::Tick);
    assert!(lab.read_once(all, 1));
    lab.settle();
    while !lab.remotes[&all].end_of_rib.contains(&V4) {
        assert!(lab.read_once(all, 1));
    }
    assert_eq!(lab.remotes[&all].paths.len(), 100);
}

#[test]
fn a_client_that_is_told_paths_hears_its_own_membership_back_and_its_withdrawal() {
    let mut lab = Lab::new();
    let rtc = Family::ROUTE_TARGET;
    let mut params = of_families(client(1), &[rtc]);
    params.codec.add_path_tx = FamilySet::of(&[rtc]);
    params.add_path_send = vec![(rtc, AddPathSend::All)];
    let one = lab.up(1, params);
    let wanted = nlri(rtc, "60 0000fde8 0002fde800000001");
    lab.announce_nlri(one, 0, std::slice::from_ref(&wanted), next_hop(1), &attributes(&[]));
    lab.drain_all();
    assert_eq!(lab.further(one, rtc).len(), 1);
    lab.withdraw_nlri(one, 0, &[wanted]);
    lab.drain_all();
    assert!(lab.further(one, rtc).is_empty());
}

fn many(count: u8) -> Vec<IpNet> {
    (0..count).map(|n| net(&format!("198.51.100.{n}/32"))).collect()
}

#[test]
fn a_client_that_comes_back_before_its_log_is_dropped_holds_what_stands_now() {
    // How far the log was built, and how far it was cleared away, when the client left and when it came back.
    for (before, between) in [(0, 0), (3, 0), (100, 0), (100, 2), (0, 3), (3, 5), (100, 100)] {
        let mut lab = Lab::with(RibConfig { turn: 2, ..RibConfig::new(LOCAL_AS, router_id(254)) });
        let (one, two) = (lab.up(1, client(1)), lab.up(2, client(2)));
        lab.announce(one, &many(20), next_hop(1), &attributes(&[]));
        lab.announce(two, &many(20), next_hop(2), &attributes(&[64512]));
        let peer = lab.up(9, taker(9, AddPathSend::All));
        for _ in 0..before {
            lab.input(Input::Tick);
        }
        while lab.read_once(peer, 64) && !lab.remotes[&peer].idle {}
        lab.down(peer, Retain::Nothing);
        lab.withdraw(one, &many(10));
        lab.withdraw(two, &many(4));
        lab.announce(two, &many(20)[15..], next_hop(3), &attributes(&[64513]));
        for _ in 0..between {
            lab.input(Input::Tick);
        }
        lab.announce(one, &many(2), next_hop(4), &attributes(&[]));
        let peer = lab.up(9, taker(9, AddPathSend::All));
        lab.announce(two, &many(1), next_hop(5), &attributes(&[64514]));
        lab.drain_all();
        let fresh = lab.up(8, taker(8, AddPathSend::All));
        lab.drain_all();
        let (held, expected) = (&lab.remotes[&peer].paths, &lab.remotes[&fresh].paths);
        assert_eq!(held.len(), 12 + 17, "{before} {between}");
        assert_eq!(held, expected, "{before} {between}");
        assert_eq!(lab.remotes[&peer].held_at_end[&V4].len(), held.len(), "all of it before End-of-RIB");
    }
}
