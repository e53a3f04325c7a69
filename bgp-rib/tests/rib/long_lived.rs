//! Long-lived graceful restart (RFC 9494): routes that stay long after their session, as the last choice.

use core::time::Duration;

use bgp_rib::policy::{Action, CommunityEdit, PolicyConfig, Rule, Verdict};
use bgp_rib::{ConsecutiveRestarts, Event, HeldBack, PathVerdict, PeerId, PeerParams, Policy, Retain, Rung};
use bgp_wire::{Community, FamilySet, LongLivedFamily, PathAttributes};

use crate::support::*;

const HERE: &str = "10.1.0.0/24";
const THERE: &str = "10.2.0.0/24";

fn with_llgr(params: PeerParams, stale_time: u32) -> PeerParams {
    let row = |family| LongLivedFamily { family, forwarding: true, stale_time };
    PeerParams { long_lived: Some(vec![row(V4), row(V6)]), ..params }
}

fn later(lab: &mut Lab, seconds: u64) {
    lab.now += Duration::from_secs(seconds);
    lab.drain_all();
}

fn communities(lab: &Lab, peer: PeerId, prefix: &str) -> Option<Vec<Community>> {
    lab.view(peer).get(&net(prefix)).map(|route| route.attributes.communities.clone())
}

/// A peer whose session is lost, one that knows LLGR, one that does not.
fn lost() -> (Lab, PeerId, PeerId, PeerId) {
    let mut lab = Lab::new();
    let from = lab.up(1, with_llgr(client(1), 1000));
    let (knows, other) = (lab.up(2, with_llgr(client(2), 0)), lab.up(3, client(3)));
    lab.announce(from, &[net(HERE)], next_hop(1), &attributes(&[]));
    let not_for_long = PathAttributes { communities: vec![Community::NO_LLGR], ..attributes(&[]) };
    lab.announce(from, &[net(THERE)], next_hop(1), &not_for_long);
    lab.drain_all();
    lab.down(from, Retain::Stale);
    lab.drain_all();
    (lab, from, knows, other)
}

#[test]
fn after_the_restart_time_stale_routes_stay_marked_and_go_with_the_long_lived_time() {
    let (mut lab, from, knows, other) = lost();
    assert_eq!((lab.view(knows).len(), lab.view(other).len()), (2, 2), "graceful restart first");
    later(&mut lab, 121);
    assert_eq!(communities(&lab, knows, HERE), Some(vec![Community::LLGR_STALE]));
    assert_eq!(communities(&lab, knows, THERE), None, "NO_LLGR goes at once");
    assert!(lab.view(other).is_empty(), "who does not know LLGR is told no such route");
    let explained = lab.rib.explain(net(HERE)).unwrap();
    let verdict = explained.peers.iter().find(|told| told.peer == other).unwrap().verdict;
    assert_eq!(verdict, Err(HeldBack::LongLivedStale));
    later(&mut lab, 998);
    assert_eq!(lab.view(knows).len(), 1);
    later(&mut lab, 3);
    assert!(lab.view(knows).is_empty());
    assert!(lab.events.contains(&Event::PeerGone(from)));
}

#[test]
fn a_long_lived_stale_route_is_the_last_choice() {
    let (mut lab, _, knows, _) = lost();
    later(&mut lab, 121);
    let worse = lab.up(4, client(4));
    let bad = PathAttributes { local_pref: Some(1), ..attributes(&[1, 2, 3]) };
    lab.announce(worse, &[net(HERE)], next_hop(4), &bad);
    lab.drain_all();
    assert_eq!(lab.view(knows)[&net(HERE)].next_hop, next_hop(4));
    let explained = lab.rib.explain(net(HERE)).unwrap();
    assert_eq!(explained.paths[1].verdict, PathVerdict::Lost(Rung::LongLivedStale));
}

#[test]
fn a_received_mark_counts_as_ones_own() {
    let mut lab = Lab::new();
    let (a, b) = (lab.up(1, client(1)), lab.up(2, client(2)));
    let inside = lab.up(3, client(3));
    let stale =
        PathAttributes { communities: vec![Community::LLGR_STALE], local_pref: Some(500), ..attributes(&[]) };
    lab.announce(a, &[net(HERE)], next_hop(1), &stale);
    lab.announce(b, &[net(HERE)], next_hop(2), &attributes(&[]));
    lab.drain_all();
    assert_eq!(lab.view(inside)[&net(HERE)].next_hop, next_hop(2));
}

#[test]
fn without_a_restart_time_the_long_lived_one_begins_at_once() {
    let mut lab = Lab::new();
    let none = FamilySet::empty();
    let from =
        lab.up(1, PeerParams { retained: none, stale_time: Duration::ZERO, ..with_llgr(client(1), 1000) });
    let knows = lab.up(2, with_llgr(client(2), 0));
    lab.announce(from, &[net(HERE)], next_hop(1), &attributes(&[]));
    lab.drain_all();
    lab.down(from, Retain::Stale);
    lab.drain_all();
    assert_eq!(communities(&lab, knows, HERE), Some(vec![Community::LLGR_STALE]));
    later(&mut lab, 1001);
    assert!(lab.view(knows).is_empty());
}

#[test]
fn a_restart_time_of_nothing_is_over_at_once_in_families_that_are_restarted_too() {
    let mut lab = Lab::new();
    let from = lab.up(1, PeerParams { stale_time: Duration::ZERO, ..client(1) });
    let other = lab.up(2, client(2));
    lab.announce(from, &[net(HERE)], next_hop(1), &attributes(&[]));
    lab.drain_all();
    lab.down(from, Retain::Stale);
    lab.drain_all();
    assert!(lab.view(other).is_empty());
    assert!(lab.events.contains(&Event::PeerGone(from)));
    let long = lab.up(3, PeerParams { stale_time: Duration::ZERO, ..with_llgr(client(3), 1000) });
    let knows = lab.up(4, with_llgr(client(4), 0));
    lab.announce(long, &[net(THERE)], next_hop(3), &attributes(&[]));
    lab.drain_all();
    lab.down(long, Retain::Stale);
    lab.drain_all();
    assert_eq!(communities(&lab, knows, THERE), Some(vec![Community::LLGR_STALE]), "it begins at once");
    later(&mut lab, 1001);
    assert!(lab.view(knows).is_empty());
    assert!(lab.events.contains(&Event::PeerGone(long)));
}

#[test]
fn a_restart_time_of_nothing_keeps_nothing_of_a_peer_whose_restarts_are_forgiven() {
    let mut lab = Lab::new();
    let consecutive_restarts = ConsecutiveRestarts::Keep;
    let from = lab.up(1, PeerParams { stale_time: Duration::ZERO, consecutive_restarts, ..client(1) });
    let other = lab.up(2, client(2));
    lab.announce(from, &[net(HERE)], next_hop(1), &attributes(&[]));
    lab.drain_all();
    lab.down(from, Retain::Stale);
    lab.drain_all();
    assert!(lab.view(other).is_empty());
    lab.settle();
    assert_eq!(lab.rib.poll_timeout(), None);
}

#[test]
fn who_comes_back_takes_its_routes_over_and_what_it_tells_again_is_fresh() {
    let (mut lab, from, knows, other) = lost();
    lab.announce(knows, &[net("10.9.0.0/24")], next_hop(2), &attributes(&[]));
    later(&mut lab, 121);
    lab.up(1, with_llgr(client(1), 1000));
    lab.drain_all();
    assert_eq!(communities(&lab, knows, HERE), Some(vec![Community::LLGR_STALE]), "until it is told again");
    lab.announce(from, &[net(HERE)], next_hop(1), &attributes(&[]));
    lab.drain_all();
    assert_eq!(communities(&lab, knows, HERE), Some(vec![]));
    assert_eq!(communities(&lab, other, HERE), Some(vec![]));
    lab.end_of_rib(from, V4);
    lab.drain_all();
    assert_eq!(lab.rib.peer_counters(from, V4).stale, 0);
}

#[test]
fn who_comes_back_and_has_not_kept_forwarding_loses_what_was_kept() {
    let (mut lab, _, knows, _) = lost();
    later(&mut lab, 121);
    let mut params = with_llgr(client(1), 1000);
    params.long_lived.iter_mut().flatten().for_each(|row| row.forwarding = false);
    lab.up(1, params);
    lab.drain_all();
    assert!(lab.view(knows).is_empty());
}

#[test]
fn a_second_restart_does_not_prolong_the_long_lived_time_and_does_not_cut_it_short() {
    let (mut lab, from, knows, _) = lost();
    later(&mut lab, 121);
    lab.up(1, with_llgr(client(1), 1000));
    later(&mut lab, 10);
    lab.down(from, Retain::Stale);
    later(&mut lab, 200);
    assert_eq!(communities(&lab, knows, HERE), Some(vec![Community::LLGR_STALE]));
    later(&mut lab, 800);
    assert!(lab.view(knows).is_empty());
}

#[test]
fn in_a_partial_deployment_internal_peers_hear_of_it_as_of_the_last_choice() {
    let mut lab = Lab::new();
    let from = lab.up(1, with_llgr(client(1), 1000));
    let inside = lab.up(2, PeerParams { long_lived_partial: true, ..client(2) });
    let outside = lab.up(3, PeerParams { long_lived_partial: true, ..external(3, 65003) });
    lab.announce(from, &[net(HERE)], next_hop(1), &attributes(&[]));
    lab.drain_all();
    lab.down(from, Retain::Stale);
    later(&mut lab, 121);
    let told = &lab.view(inside)[&net(HERE)].attributes;
    assert_eq!(told.local_pref, Some(0));
    assert_eq!(told.communities, [Community::LLGR_STALE, Community::NO_EXPORT]);
    assert!(lab.view(outside).is_empty());
}

#[test]
fn no_policy_lets_a_stale_route_out_of_a_partial_deployment() {
    let mut lab = Lab::new();
    let from = lab.up(1, with_llgr(client(1), 1000));
    let set = Rule::accept("set").then(Action::Communities(CommunityEdit::Replace(vec![Community(7)])));
    let export = Policy::compile(PolicyConfig::new("p", Verdict::Reject).rule(set)).unwrap();
    let inside = lab.up(2, PeerParams { long_lived_partial: true, export, ..client(2) });
    lab.announce(from, &[net(HERE)], next_hop(1), &attributes(&[]));
    lab.drain_all();
    lab.down(from, Retain::Stale);
    later(&mut lab, 121);
    assert_eq!(lab.view(inside)[&net(HERE)].attributes.communities, [Community(7), Community::NO_EXPORT]);
}

#[test]
fn a_policy_that_changes_meanwhile_leaves_the_mark_where_it_is() {
    let (mut lab, _, knows, _) = lost();
    later(&mut lab, 121);
    // Every route is judged anew when the clusters change.
    lab.up(5, PeerParams { cluster_id: Some(bgp_wire::ClusterId(5)), ..client(5) });
    lab.drain_all();
    assert_eq!(communities(&lab, knows, HERE), Some(vec![Community::LLGR_STALE]));
}

#[test]
fn a_lost_peer_is_gone_with_the_last_route_that_may_not_stay_long() {
    let mut lab = Lab::new();
    let from = lab.up(1, with_llgr(client(1), 1000));
    let not_for_long = PathAttributes { communities: vec![Community::NO_LLGR], ..attributes(&[]) };
    lab.announce(from, &[net(THERE)], next_hop(1), &not_for_long);
    lab.drain_all();
    lab.down(from, Retain::Stale);
    later(&mut lab, 121);
    assert_eq!(lab.rib.peer_counters(from, V4).received, 0);
    assert_eq!(lab.events.iter().filter(|event| **event == Event::PeerGone(from)).count(), 1);
    assert_eq!(lab.rib.poll_timeout(), None);
}

#[test]
fn a_long_lived_time_that_kept_nothing_has_no_part_in_the_next_sessions_restart() {
    let mut lab = Lab::new();
    let (from, knows) = (lab.up(1, with_llgr(client(1), 1000)), lab.up(2, with_llgr(client(2), 0)));
    let not_for_long = PathAttributes { communities: vec![Community::NO_LLGR], ..attributes(&[]) };
    lab.announce(from, &[net(THERE)], next_hop(1), &not_for_long);
    lab.down(from, Retain::Stale);
    later(&mut lab, 121);
    let from = lab.up(1, with_llgr(client(1), 1000));
    lab.announce(from, &[net(HERE)], next_hop(1), &attributes(&[]));
    later(&mut lab, 870);
    lab.down(from, Retain::Stale);
    later(&mut lab, 100);
    assert_eq!(communities(&lab, knows, HERE), Some(vec![]), "its restart time is not over");
    later(&mut lab, 21);
    assert_eq!(communities(&lab, knows, HERE), Some(vec![Community::LLGR_STALE]));
    later(&mut lab, 998);
    assert_eq!(lab.view(knows).len(), 1, "and the long-lived time is whole");
}

#[test]
fn the_end_of_one_familys_long_lived_time_does_not_end_the_restart_time_of_another() {
    let mut lab = Lab::new();
    let row = LongLivedFamily { family: V6, forwarding: true, stale_time: 50 };
    let params = PeerParams { retained: FamilySet::of(&[V4]), long_lived: Some(vec![row]), ..client(1) };
    let (from, knows) = (lab.up(1, params), lab.up(2, with_llgr(client(2), 0)));
    lab.announce(from, &[net(HERE)], next_hop(1), &attributes(&[]));
    lab.announce(from, &[net("2001:db8::/64")], next_hop6(1), &attributes(&[]));
    lab.down(from, Retain::Stale);
    later(&mut lab, 51);
    assert_eq!(lab.view(knows).keys().copied().collect::<Vec<_>>(), [net(HERE)]);
    later(&mut lab, 68);
    assert_eq!(lab.view(knows).len(), 1);
    later(&mut lab, 2);
    assert!(lab.view(knows).is_empty());
    assert!(lab.events.contains(&Event::PeerGone(from)));
}

#[test]
fn what_the_second_session_told_has_its_restart_time_when_the_long_lived_time_of_the_first_ends() {
    let (mut lab, from, knows, _) = lost();
    later(&mut lab, 121);
    lab.up(1, with_llgr(client(1), 1000));
    lab.announce(from, &[net(THERE)], next_hop(1), &attributes(&[]));
    later(&mut lab, 350);
    // A refresh of policies judges every route anew: what is not long-lived stale does not become it by that.
    lab.down(from, Retain::Stale);
    lab.up(5, PeerParams { cluster_id: Some(bgp_wire::ClusterId(5)), ..client(5) });
    lab.drain_all();
    assert_eq!(communities(&lab, knows, HERE), Some(vec![Community::LLGR_STALE]));
    assert_eq!(communities(&lab, knows, THERE), Some(vec![]));
    later(&mut lab, 121);
    assert_eq!(communities(&lab, knows, THERE), Some(vec![Community::LLGR_STALE]));
}
