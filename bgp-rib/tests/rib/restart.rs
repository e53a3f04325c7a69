//! Sessions that end, come back, and begin to tell anew.

use core::time::Duration;

use bgp_rib::{Event, HeldBack, Input, Origination, PeerId, PeerParams, Retain, RibConfig};
use bgp_wire::{FamilySet, PathAttributes, RefreshKind};
use ipnet::{IpNet, Ipv4Net};

use crate::support::*;

pub(crate) fn many(count: u32) -> Vec<IpNet> {
    (0..count).map(|n| Ipv4Net::new((0x0a10_0000 + n).into(), 32).unwrap().into()).collect()
}

#[test]
fn end_of_rib_follows_the_initial_table_once_per_family() {
    let mut lab = Lab::new();
    let one = lab.up(1, client(1));
    lab.announce(one, &many(10), next_hop(1), &attributes(&[]));
    let two = lab.up(2, client(2));
    lab.drain(two);
    assert_eq!(lab.view(two).len(), 10);
    assert_eq!(lab.remotes[&two].end_of_rib, [V4, V6].into());
    lab.announce(one, &many(20), next_hop(1), &attributes(&[]));
    lab.drain_all();
    assert_eq!(lab.view(two).len(), 20);
}

#[test]
fn what_moved_ahead_of_the_first_walk_is_told_before_end_of_rib() {
    let mut lab = Lab::new();
    let one = lab.up(1, client(1));
    lab.drain(one);
    lab.announce(one, &many(3000), next_hop(1), &attributes(&[]));
    let two = lab.up(2, client(2));
    lab.announce(one, &many(3000)[..1], next_hop(1), &attributes(&[64512]));
    while !lab.remotes[&two].end_of_rib.contains(&V4) {
        assert!(lab.read_once(two, 1));
    }
    assert_eq!(lab.view(two).len(), 3000);
}

#[test]
fn a_lost_peers_routes_go_in_bounded_turns_and_its_id_is_free_after_the_last() {
    let mut lab = Lab::new();
    let (one, two) = (lab.up(1, client(1)), lab.up(2, client(2)));
    for chunk in many(10_000).chunks(500) {
        lab.announce(one, chunk, next_hop(1), &attributes(&[]));
    }
    lab.drain_all();
    assert_eq!(lab.view(two).len(), 10_000);
    lab.down(one, Retain::Nothing);
    let mut turns = 0;
    while lab.rib.poll_timeout() == Some(lab.now) {
        lab.input(Input::Tick);
        turns += 1;
    }
    assert!((10..40).contains(&turns), "{turns} turns for 10,000 routes");
    lab.drain(two);
    assert!(lab.view(two).is_empty());
    assert_eq!(lab.events.iter().filter(|event| **event == Event::PeerGone(one)).count(), 1);
    assert!(lab.remotes[&two].updates > 3, "as many messages as the withdrawals need");
}

#[test]
fn a_peer_that_is_back_before_its_old_routes_are_gone_keeps_what_it_tells_now() {
    let mut lab = Lab::new();
    let (one, two) = (lab.up(1, client(1)), lab.up(2, client(2)));
    for chunk in many(5000).chunks(500) {
        lab.announce(one, chunk, next_hop(1), &attributes(&[]));
    }
    lab.drain_all();
    lab.down(one, Retain::Nothing);
    lab.input(Input::Tick);
    let one = lab.up(1, client(1));
    lab.announce(one, &many(100), next_hop(1), &attributes(&[]));
    lab.drain_all();
    assert_eq!(lab.view(two).len(), 100);
    assert_eq!(lab.rib.peer_counters(one, V4).received, 100);
    assert!(!lab.events.contains(&Event::PeerGone(one)));
}

#[test]
fn kept_routes_are_told_on_swept_at_end_of_rib_and_cost_no_update_when_told_again() {
    let mut lab = Lab::new();
    let (one, two) = (lab.up(1, client(1)), lab.up(2, client(2)));
    lab.announce(one, &many(2), next_hop(1), &attributes(&[]));
    lab.drain_all();
    lab.quiet(two);
    lab.down(one, Retain::Stale);
    lab.drain_all();
    assert_eq!(lab.rib.peer_counters(one, V4).stale, 2);
    let one = lab.up(1, client(1));
    lab.announce(one, &many(1), next_hop(1), &attributes(&[]));
    lab.drain_all();
    assert_eq!(lab.remotes[&two].updates, 0);
    lab.end_of_rib(one, V4);
    lab.drain_all();
    assert!(lab.events.contains(&Event::EndOfRib(one, V4)));
    assert_eq!(lab.remotes[&two].withdrawn, many(2)[1..]);
    assert_eq!(lab.rib.peer_counters(one, V4).stale, 0);
}

#[test]
fn kept_routes_of_a_peer_that_never_comes_back_go_when_their_time_is_over() {
    let mut lab = Lab::new();
    let (one, two) = (lab.up(1, client(1)), lab.up(2, client(2)));
    lab.announce(one, &many(2), next_hop(1), &attributes(&[]));
    lab.drain_all();
    lab.down(one, Retain::Stale);
    lab.settle();
    assert_eq!(lab.rib.poll_timeout(), Some(Duration::from_secs(120)));
    lab.now = Duration::from_secs(120);
    lab.drain_all();
    assert!(lab.view(two).is_empty());
    assert!(lab.events.contains(&Event::PeerGone(one)));
}

#[test]
fn a_second_restart_does_not_prolong_the_first() {
    let mut lab = Lab::new();
    let (one, two) = (lab.up(1, client(1)), lab.up(2, client(2)));
    lab.announce(one, &many(2), next_hop(1), &attributes(&[]));
    lab.down(one, Retain::Stale);
    let one = lab.up(1, client(1));
    lab.announce(one, &many(1), next_hop(1), &attributes(&[]));
    lab.down(one, Retain::Stale);
    lab.drain_all();
    assert_eq!(lab.view(two).keys().copied().collect::<Vec<_>>(), many(1));
}

#[test]
fn a_family_whose_forwarding_state_was_not_kept_is_swept_when_the_session_is_back() {
    let mut lab = Lab::new();
    let (one, two) = (lab.up(1, client(1)), lab.up(2, client(2)));
    lab.announce(one, &[net("192.0.2.0/24")], next_hop(1), &attributes(&[]));
    lab.announce(one, &[net("2001:db8::/64")], next_hop6(1), &attributes(&[]));
    lab.down(one, Retain::Stale);
    let mut params = client(1);
    params.keep_stale = FamilySet::of(&[V6]);
    lab.up(1, params);
    lab.drain_all();
    assert_eq!(lab.view(two).keys().copied().collect::<Vec<_>>(), [net("2001:db8::/64")]);
}

#[test]
fn a_refresh_tells_everything_again_and_disturbs_nobody() {
    let mut lab = Lab::new();
    let (one, two, three) = (lab.up(1, client(1)), lab.up(2, client(2)), lab.up(3, client(3)));
    lab.announce(one, &many(100), next_hop(1), &attributes(&[]));
    lab.drain_all();
    [two, three].into_iter().for_each(|peer| lab.quiet(peer));
    lab.refresh(two, V4, RefreshKind::REQUEST);
    lab.drain_all();
    assert_eq!(lab.remotes[&two].announced.len(), 100);
    assert_eq!((lab.remotes[&three].updates, lab.remotes[&two].markers.len()), (0, 0));
}

#[test]
fn an_enhanced_refresh_stands_between_its_markers_and_holds_what_moved_meanwhile() {
    let mut lab = Lab::with(RibConfig { batch_prefixes: 2, ..RibConfig::new(LOCAL_AS, router_id(254)) });
    let one = lab.up(1, client(1));
    let mut params = client(2);
    params.enhanced_refresh = true;
    let two = lab.up(2, params);
    let prefixes = many(20);
    lab.announce(one, &prefixes, next_hop(1), &attributes(&[]));
    lab.drain_all();
    lab.quiet(two);
    lab.refresh(two, V4, RefreshKind::REQUEST);
    assert!(lab.read_once(two, 1));
    assert_eq!(lab.remotes[&two].markers, [RefreshKind::BEGIN]);
    // More of them move ahead of the walk than are left in it.
    lab.announce(one, &prefixes[6..], next_hop(1), &attributes(&[64512]));
    while lab.remotes[&two].markers.len() < 2 {
        assert!(lab.read_once(two, 1));
    }
    let mut again = lab.remotes[&two].announced.clone();
    again.sort_unstable();
    again.dedup();
    assert_eq!(again, prefixes, "everything stands between BoRR and EoRR");
}

#[test]
fn what_a_peer_does_not_tell_between_its_markers_is_swept() {
    let mut lab = Lab::new();
    let mut params = client(1);
    params.enhanced_refresh = true;
    let (one, two) = (lab.up(1, params), lab.up(2, client(2)));
    lab.announce(one, &many(3), next_hop(1), &attributes(&[]));
    lab.drain_all();
    lab.refresh(one, V4, RefreshKind::BEGIN);
    lab.announce(one, &many(1), next_hop(1), &attributes(&[]));
    lab.drain_all();
    assert_eq!(lab.view(two).len(), 3, "nothing goes before the end");
    lab.refresh(one, V4, RefreshKind::END);
    lab.drain_all();
    assert_eq!(lab.view(two).keys().copied().collect::<Vec<_>>(), many(1));
}

#[test]
fn a_peer_that_comes_back_as_another_does_not_inherit_kept_routes() {
    let mut lab = Lab::new();
    let (one, two) = (lab.up(1, client(1)), lab.up(2, client(2)));
    lab.announce(one, &many(2), next_hop(1), &attributes(&[]));
    lab.drain_all();
    lab.down(one, Retain::Stale);
    let mut params = client(1);
    params.peer_router_id = router_id(99);
    let one = lab.up(1, params);
    lab.announce(one, &many(1), next_hop(1), &attributes(&[]));
    lab.drain_all();
    let views: Vec<_> =
        lab.view(two).iter().map(|(prefix, route)| (*prefix, route.attributes.clone())).collect();
    let expected = PathAttributes {
        originator_id: Some(router_id(99)),
        cluster_list: vec![bgp_wire::ClusterId(router_id(254).0)],
        ..attributes(&[])
    };
    assert_eq!(views, [(many(1)[0], expected)]);
}

fn graceful(n: u8) -> PeerParams {
    PeerParams { graceful_restart: true, ..client(n) }
}

fn enhanced(n: u8) -> PeerParams {
    PeerParams { enhanced_refresh: true, ..client(n) }
}

#[test]
fn a_refresh_begun_before_end_of_rib_leaves_kept_routes_until_end_of_rib() {
    let mut lab = Lab::new();
    let (one, two) = (lab.up(1, enhanced(1)), lab.up(2, client(2)));
    lab.announce(one, &many(3), next_hop(1), &attributes(&[]));
    lab.drain_all();
    lab.down(one, Retain::Stale);
    let one = lab.up(1, enhanced(1));
    lab.refresh(one, V4, RefreshKind::BEGIN);
    lab.announce(one, &many(1), next_hop(1), &attributes(&[]));
    lab.refresh(one, V4, RefreshKind::END);
    lab.drain_all();
    assert_eq!(lab.view(two).len(), 3, "kept routes wait for End-of-RIB");
    lab.end_of_rib(one, V4);
    lab.drain_all();
    assert_eq!(lab.view(two).keys().copied().collect::<Vec<_>>(), many(1));
}

#[test]
fn of_a_peer_that_promised_end_of_rib_no_refresh_counts_before_it() {
    let mut lab = Lab::new();
    let params = PeerParams { graceful_restart: true, ..enhanced(1) };
    let (one, two) = (lab.up(1, params), lab.up(2, client(2)));
    lab.announce(one, &many(3), next_hop(1), &attributes(&[]));
    lab.refresh(one, V4, RefreshKind::BEGIN);
    lab.refresh(one, V4, RefreshKind::END);
    lab.drain_all();
    assert_eq!(lab.view(two).len(), 3);
    lab.end_of_rib(one, V4);
    lab.refresh(one, V4, RefreshKind::BEGIN);
    lab.refresh(one, V4, RefreshKind::END);
    lab.drain_all();
    assert!(lab.view(two).is_empty());
}

#[test]
fn the_end_of_a_refresh_that_never_began_sweeps_nothing() {
    let mut lab = Lab::new();
    let (one, two) = (lab.up(1, enhanced(1)), lab.up(2, client(2)));
    lab.announce(one, &many(3), next_hop(1), &attributes(&[]));
    lab.down(one, Retain::Stale);
    let one = lab.up(1, enhanced(1));
    lab.refresh(one, V4, RefreshKind::END);
    lab.drain_all();
    assert_eq!(lab.view(two).len(), 3);
}

#[test]
fn a_refresh_begun_anew_and_an_empty_update_within_it_sweep_nothing_before_its_end() {
    let mut lab = Lab::new();
    let (one, two) = (lab.up(1, enhanced(1)), lab.up(2, client(2)));
    lab.announce(one, &many(4), next_hop(1), &attributes(&[]));
    lab.end_of_rib(one, V4);
    for told in [&many(1)[..], &many(2)[1..]] {
        lab.refresh(one, V4, RefreshKind::BEGIN);
        lab.announce(one, told, next_hop(1), &attributes(&[]));
        lab.end_of_rib(one, V4);
        lab.drain_all();
        assert_eq!(lab.view(two).len(), 4);
    }
    lab.refresh(one, V4, RefreshKind::END);
    lab.drain_all();
    assert_eq!(lab.view(two).keys().copied().collect::<Vec<_>>(), many(2)[1..]);
}

#[test]
fn a_refresh_asked_for_during_the_first_walk_comes_whole_behind_end_of_rib() {
    let mut lab = Lab::with(RibConfig { batch_prefixes: 2, ..RibConfig::new(LOCAL_AS, router_id(254)) });
    let one = lab.up(1, client(1));
    lab.announce(one, &many(10), next_hop(1), &attributes(&[]));
    let two = lab.up(2, enhanced(2));
    assert!(lab.read_once(two, 1));
    lab.refresh(two, V4, RefreshKind::REQUEST);
    while lab.remotes[&two].markers.is_empty() {
        assert!(lab.read_once(two, 1));
    }
    assert!(lab.remotes[&two].end_of_rib.contains(&V4));
    lab.drain(two);
    assert_eq!(lab.remotes[&two].markers, [RefreshKind::BEGIN, RefreshKind::END]);
    let mut again = lab.remotes[&two].announced[10..].to_vec();
    again.sort_unstable();
    assert_eq!(again, many(10), "everything stands behind BoRR");
}

#[test]
fn a_flood_of_refreshes_faster_than_any_sweep_keeps_the_books() {
    for ends in [false, true] {
        let mut lab = Lab::new();
        let (one, two) = (lab.up(1, enhanced(1)), lab.up(2, client(2)));
        lab.announce(one, &many(3), next_hop(1), &attributes(&[]));
        // No turn for the sweep in between, until generations would have come round.
        for round in 0..=u32::from(u16::MAX) {
            lab.refresh(one, V4, RefreshKind::BEGIN);
            lab.announce(one, &many(1), next_hop(1), &attributes(&[]));
            if ends && round < u32::from(u16::MAX) {
                lab.refresh(one, V4, RefreshKind::END);
            }
        }
        lab.withdraw(one, &many(2)[1..]);
        assert_eq!(lab.rib.peer_counters(one, V4).received, 2);
        lab.refresh(one, V4, RefreshKind::END);
        lab.drain_all();
        assert_eq!(lab.view(two).keys().copied().collect::<Vec<_>>(), many(1), "ends: {ends}");
        let counters = lab.rib.peer_counters(one, V4);
        assert_eq!((counters.received, counters.stale), (1, 0));
    }
}

pub(crate) fn later(lab: &mut Lab, seconds: u64) {
    lab.now += Duration::from_secs(seconds);
    lab.drain_all();
}

#[test]
fn the_restart_time_bounds_the_way_to_the_next_session_and_not_its_first_table() {
    let mut lab = Lab::new();
    let params = || PeerParams { stale_time: Duration::from_secs(5), ..client(1) };
    let (one, two) = (lab.up(1, params()), lab.up(2, client(2)));
    lab.announce(one, &many(2), next_hop(1), &attributes(&[]));
    lab.down(one, Retain::Stale);
    later(&mut lab, 4);
    let one = lab.up(1, params());
    later(&mut lab, 359);
    assert_eq!(lab.view(two).len(), 2);
    lab.announce(one, &many(1), next_hop(1), &attributes(&[]));
    later(&mut lab, 1);
    assert_eq!(lab.view(two).keys().copied().collect::<Vec<_>>(), many(1), "a bound there is");
    lab.down(one, Retain::Stale);
    later(&mut lab, 5);
    assert!(lab.view(two).is_empty());
}

#[test]
fn the_time_of_a_first_table_that_is_whole_does_not_end_a_refresh() {
    let mut lab = Lab::new();
    let (one, two) = (lab.up(1, enhanced(1)), lab.up(2, client(2)));
    lab.announce(one, &many(2), next_hop(1), &attributes(&[]));
    lab.down(one, Retain::Stale);
    let one = lab.up(1, enhanced(1));
    lab.announce(one, &many(2), next_hop(1), &attributes(&[]));
    lab.end_of_rib(one, V4);
    lab.refresh(one, V4, RefreshKind::BEGIN);
    lab.settle();
    assert_eq!(lab.rib.poll_timeout(), None);
    later(&mut lab, 1000);
    assert_eq!(lab.view(two).len(), 2);
}

#[test]
fn routes_of_families_without_graceful_restart_go_with_the_session() {
    let mut lab = Lab::new();
    let params = PeerParams { retained: FamilySet::of(&[V6]), ..client(1) };
    let (one, two) = (lab.up(1, params), lab.up(2, client(2)));
    lab.announce(one, &[net("192.0.2.0/24")], next_hop(1), &attributes(&[]));
    lab.announce(one, &[net("2001:db8::/64")], next_hop6(1), &attributes(&[]));
    lab.down(one, Retain::Stale);
    lab.drain_all();
    assert_eq!(lab.view(two).keys().copied().collect::<Vec<_>>(), [net("2001:db8::/64")]);
    assert!(!lab.events.contains(&Event::PeerGone(one)));
}

#[test]
fn a_restarting_speaker_tells_its_routes_and_says_end_of_rib_when_it_has_heard_all_peers() {
    let mut lab = Lab::new();
    lab.input(Input::DeferEndOfRib(true));
    let (one, two) = (lab.up(1, enhanced(1)), lab.up(2, enhanced(2)));
    lab.announce(one, &many(3), next_hop(1), &attributes(&[]));
    lab.refresh(two, V4, RefreshKind::REQUEST);
    lab.drain_all();
    assert_eq!(lab.view(two).len(), 3);
    assert!(lab.remotes[&two].idle && lab.rib.peer_counters(two, V4).drained);
    assert!(lab.remotes.values().all(|remote| remote.end_of_rib.is_empty()));
    lab.input(Input::DeferEndOfRib(false));
    for peer in [one, two] {
        assert!(!lab.remotes[&peer].idle, "{peer} is not told that there is more");
        lab.drain(peer);
        assert_eq!(lab.remotes[&peer].end_of_rib, [V4, V6].into());
    }
    assert_eq!(lab.remotes[&two].markers, [RefreshKind::BEGIN, RefreshKind::END]);
}

#[test]
fn a_restarting_speaker_tells_those_who_kept_its_routes_nothing_of_others_before_all_tables_are_there() {
    let mut lab = Lab::new();
    lab.input(Input::DeferSelection(true));
    lab.input(Input::DeferEndOfRib(true));
    let (one, two, new) = (lab.up(1, graceful(1)), lab.up(2, graceful(2)), lab.up(3, client(3)));
    lab.originate(0, &[Origination::new(net("10.9.0.0/24"))]);
    lab.announce(one, &many(3), next_hop(1), &attributes(&[]));
    lab.drain_all();
    let own = [net("10.9.0.0/24")];
    assert_eq!(lab.view(two).keys().copied().collect::<Vec<_>>(), own, "our own routes go first");
    assert_eq!(lab.view(new).len(), 4, "who kept nothing is told everything at once");
    let explained = lab.rib.explain(many(1)[0]).expect("it is there");
    let to_two = explained.peers.iter().find(|told| told.peer == two).expect("it is up");
    assert_eq!(to_two.verdict, Err(HeldBack::Deferred));
    assert_eq!(lab.rib.peer_counters(two, V4).advertised, 1);
    // A better route, and one that goes, before the rest is told: it hears of what stands in the end.
    lab.announce(new, &many(1), next_hop(3), &PathAttributes { local_pref: Some(200), ..attributes(&[]) });
    lab.withdraw(one, &many(2)[1..]);
    lab.drain_all();
    lab.input(Input::DeferSelection(false));
    lab.input(Input::DeferEndOfRib(false));
    while !lab.remotes[&two].end_of_rib.contains(&V4) {
        assert!(lab.read_once(two, 1));
    }
    let told = lab.view(two);
    assert_eq!((told.len(), told[&many(1)[0]].next_hop), (3, next_hop(3)), "before End-of-RIB");
    assert!(lab.remotes[&one].end_of_rib.is_empty() || lab.view(one).len() == 2);
    lab.drain_all();
    assert_eq!(lab.view(one).len(), 2);
}

#[test]
fn end_of_rib_that_was_held_back_comes_behind_all_that_was_told_meanwhile() {
    let mut lab = Lab::with(RibConfig { batch_prefixes: 2, ..RibConfig::new(LOCAL_AS, router_id(254)) });
    lab.input(Input::DeferEndOfRib(true));
    let (one, two) = (lab.up(1, client(1)), lab.up(2, client(2)));
    lab.announce(one, &many(3), next_hop(1), &attributes(&[]));
    assert!(lab.read_once(two, 1));
    lab.announce(one, &many(103)[3..], next_hop(1), &attributes(&[]));
    lab.input(Input::DeferEndOfRib(false));
    while !lab.remotes[&two].end_of_rib.contains(&V4) {
        assert!(lab.read_once(two, 1));
    }
    assert_eq!(lab.view(two).len(), 103);
}

/// Every read is met by as much that is new as it took: reading is never done.
fn churns(lab: &mut Lab, from: PeerId, round: u32) {
    let moved = many(400);
    let first = (round as usize * 20) % 400;
    lab.announce(from, &moved[first..first + 20], next_hop(1), &attributes(&[64512 + round]));
}

#[test]
fn end_of_rib_comes_in_bounded_time_while_the_table_changes_faster_than_it_is_read() {
    let mut lab = Lab::with(RibConfig { batch_prefixes: 20, ..RibConfig::new(LOCAL_AS, router_id(254)) });
    let one = lab.up(1, client(1));
    lab.announce(one, &many(400), next_hop(1), &attributes(&[]));
    let two = lab.up(2, client(2));
    let mut reads = 0;
    while !lab.remotes[&two].end_of_rib.contains(&V4) {
        churns(&mut lab, one, reads);
        assert!(lab.read_once(two, 1));
        reads += 1;
        assert!(reads <= 2 * 400 / 20 + 2, "twice the table is enough");
    }
    assert_eq!(lab.view(two).len(), 400, "all that stood at the start, in what state soever");
}

#[test]
fn the_end_of_a_refresh_comes_in_bounded_time_while_the_table_changes_faster_than_it_is_read() {
    let mut lab = Lab::with(RibConfig { batch_prefixes: 20, ..RibConfig::new(LOCAL_AS, router_id(254)) });
    let (one, two) = (lab.up(1, client(1)), lab.up(2, enhanced(2)));
    lab.announce(one, &many(400), next_hop(1), &attributes(&[]));
    lab.drain_all();
    lab.refresh(two, V4, RefreshKind::REQUEST);
    let mut reads = 0;
    while lab.remotes[&two].markers.len() < 2 {
        churns(&mut lab, one, reads);
        assert!(lab.read_once(two, 1));
        reads += 1;
        assert!(reads <= 2 * 400 / 20 + 4, "twice the table is enough");
    }
    assert_eq!(lab.remotes[&two].markers, [RefreshKind::BEGIN, RefreshKind::END]);
}

#[test]
fn end_of_rib_of_a_family_without_routes_comes_at_once() {
    let mut lab = Lab::new();
    let one = lab.up(1, client(1));
    assert!(lab.read_once(one, 64));
    assert_eq!(lab.remotes[&one].end_of_rib, [V4, V6].into());
}

#[test]
fn own_routes_are_told_before_end_of_rib_of_a_speaker_that_restarts() {
    let mut lab = Lab::new();
    lab.input(Input::DeferEndOfRib(true));
    let two = lab.up(2, client(2));
    lab.originate(0, &[Origination::new(net("10.9.0.0/24"))]);
    lab.drain(two);
    assert!(lab.view(two).contains_key(&net("10.9.0.0/24")) && lab.remotes[&two].end_of_rib.is_empty());
    lab.input(Input::DeferEndOfRib(false));
    lab.drain(two);
    assert_eq!(lab.remotes[&two].end_of_rib, [V4, V6].into());
}

#[test]
fn restarts_one_after_the_other_keep_what_the_last_session_told_and_nothing_older() {
    let mut lab = Lab::new();
    let (one, two) = (lab.up(1, client(1)), lab.up(2, client(2)));
    lab.announce(one, &many(5), next_hop(1), &attributes(&[]));
    for left in (1..5_u32).rev() {
        lab.down(one, Retain::Stale);
        lab.up(1, client(1));
        lab.announce(one, &many(left), next_hop(1), &attributes(&[]));
        lab.drain_all();
        assert_eq!(
            lab.view(two).len() as u32,
            left + 1,
            "what the session before told stays until End-of-RIB"
        );
    }
    lab.end_of_rib(one, V4);
    lab.drain_all();
    assert_eq!(lab.view(two).keys().copied().collect::<Vec<_>>(), many(1));
}

#[test]
fn a_refresh_that_is_asked_for_within_another_is_told_from_the_beginning() {
    let mut lab = Lab::with(RibConfig { batch_prefixes: 2, ..RibConfig::new(LOCAL_AS, router_id(254)) });
    let one = lab.up(1, client(1));
    let two = lab.up(2, PeerParams { enhanced_refresh: true, ..client(2) });
    lab.announce(one, &many(10), next_hop(1), &attributes(&[]));
    lab.quiet(two);
    lab.refresh(two, V4, RefreshKind::REQUEST);
    assert!(lab.read_once(two, 1));
    lab.refresh(two, V4, RefreshKind::REQUEST);
    lab.drain(two);
    let once = [RefreshKind::BEGIN, RefreshKind::END];
    assert_eq!(lab.remotes[&two].markers, [once, once].concat());
    assert_eq!(lab.remotes[&two].announced.len(), 20);
}

#[test]
fn the_bound_on_a_first_table_ends_no_refresh_of_another_family() {
    let mut lab = Lab::new();
    let params = PeerParams { enhanced_refresh: true, graceful_restart: true, ..client(1) };
    let (one, two) = (lab.up(1, params.clone()), lab.up(2, client(2)));
    let (v4, v6) = (net("192.0.2.0/24"), net("2001:db8:1::/64"));
    lab.announce(one, &[v4], next_hop(1), &attributes(&[]));
    lab.down(one, Retain::Stale);
    let one = lab.up(1, params);
    lab.announce(one, &[v6], next_hop6(1), &attributes(&[]));
    lab.end_of_rib(one, V6);
    lab.refresh(one, V6, RefreshKind::BEGIN);
    lab.now += Duration::from_secs(361);
    lab.drain_all();
    assert_eq!(lab.view(two).keys().copied().collect::<Vec<_>>(), [v6], "EoRR alone ends its stay");
}

#[test]
fn what_a_refresh_had_made_stale_outlives_the_session_that_ends_within_it() {
    let mut lab = Lab::new();
    let params = PeerParams { enhanced_refresh: true, ..client(1) };
    let (one, two) = (lab.up(1, params), lab.up(2, client(2)));
    lab.announce(one, &many(4), next_hop(1), &attributes(&[]));
    for begin in 1..=2 {
        lab.refresh(one, V4, RefreshKind::BEGIN);
        lab.announce(one, &many(begin), next_hop(1), &attributes(&[]));
    }
    lab.down(one, Retain::Stale);
    lab.drain_all();
    assert_eq!(lab.view(two).len(), 4, "all of it was told in the session that ended");
}
