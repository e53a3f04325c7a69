//! How much a peer may tell and be told.

use bgp_rib::policy::{Condition, PolicyConfig, PrefixSet, Rule, Verdict};
use bgp_rib::{
    Event, FamilyLimits, Ineligible, Input, Limit, LimitAction, LimitEvent, LimitLevel, Limited, Limits,
    PeerId, PeerParams, Policy, Retain, RibConfig,
};
use bgp_wire::RefreshKind;
use ipnet::IpNet;

use crate::support::*;

fn hosts(count: u8) -> Vec<IpNet> {
    (0..count).map(|host| net(&format!("192.0.2.{host}/32"))).collect()
}

fn limited(params: PeerParams, limits: FamilyLimits) -> PeerParams {
    PeerParams { limits: Limits::default().family(V4, limits), ..params }
}

fn received(max: u64, action: LimitAction) -> FamilyLimits {
    FamilyLimits { received: Some(Limit::new(max, action)), ..FamilyLimits::default() }
}

fn accepted(max: u64, action: LimitAction) -> FamilyLimits {
    FamilyLimits { accepted: Some(Limit::new(max, action)), ..FamilyLimits::default() }
}

fn told(lab: &mut Lab) -> Vec<LimitEvent> {
    let limits = lab.events.drain(..).filter_map(|event| match event {
        Event::Limit(limit) => Some(limit),
        _ => None,
    });
    limits.collect()
}

fn levels(lab: &mut Lab) -> Vec<(Limited, LimitLevel, u64)> {
    told(lab).into_iter().map(|event| (event.what, event.level, event.count)).collect()
}

#[test]
fn a_limit_that_only_warns_is_told_at_its_percentage_and_when_it_is_passed_and_takes_everything() {
    let mut lab = Lab::new();
    let peer = lab.up(1, limited(client(1), received(4, LimitAction::Warn)));
    for (count, host) in (1..).zip(hosts(6)) {
        lab.announce(peer, &[host], next_hop(1), &attributes(&[]));
        let expected = match count {
            3 => vec![(Limited::Received, LimitLevel::Warning, 3)],
            5 => vec![(Limited::Received, LimitLevel::Exceeded, 5)],
            _ => vec![],
        };
        assert_eq!(levels(&mut lab), expected, "with {count}");
    }
    assert_eq!(lab.rib.peer_counters(peer, V4).received, 6);
}

#[test]
fn what_would_be_one_too_many_is_not_stored_and_what_stands_can_still_change() {
    let mut lab = Lab::new();
    let feeder = lab.up(1, limited(client(1), received(3, LimitAction::Drop)));
    let other = lab.up(2, client(2));
    lab.announce(feeder, &hosts(5), next_hop(1), &attributes(&[]));
    lab.drain_all();
    assert_eq!(lab.view(other).len(), 3);
    let counters = lab.rib.peer_counters(feeder, V4);
    assert_eq!((counters.received, counters.refused), (3, 2));
    assert_eq!(levels(&mut lab), [(Limited::Received, LimitLevel::Exceeded, 3)]);
    // A route that stands is replaced.
    lab.announce(feeder, &hosts(1), next_hop(1), &attributes(&[64512]));
    lab.drain_all();
    assert_eq!(lab.view(other)[&hosts(1)[0]].attributes.as_path, attributes(&[64512]).as_path);
    // When there is room it is told, so that the others can be asked for.
    lab.withdraw(feeder, &hosts(1));
    assert_eq!(levels(&mut lab), [(Limited::Received, LimitLevel::Below, 2)]);
    lab.announce(feeder, &[net("192.0.2.4/32")], next_hop(1), &attributes(&[]));
    lab.drain_all();
    assert!(lab.view(other).contains_key(&net("192.0.2.4/32")));
    assert_eq!(lab.rib.peer_counters(feeder, V4).refused, 0);
}

#[test]
fn what_policy_rejects_counts_before_policy_alone() {
    let mut lab = Lab::new();
    let some = PrefixSet::equal(&hosts(2));
    let import = Policy::compile(
        PolicyConfig::new("some", Verdict::Accept).rule(Rule::reject("some").when(Condition::Prefix(some))),
    );
    let params = PeerParams { import: import.unwrap(), ..client(1) };
    let peer = lab.up(1, limited(params, accepted(3, LimitAction::Stop)));
    lab.announce(peer, &hosts(5), next_hop(1), &attributes(&[]));
    assert_eq!(levels(&mut lab), [(Limited::Accepted, LimitLevel::Warning, 3)]);
    lab.announce(peer, &[net("198.51.100.1/32")], next_hop(1), &attributes(&[]));
    let told = told(&mut lab);
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].level, told[0].held_out, told[0].limit.action),
        (LimitLevel::Exceeded, 1, LimitAction::Stop)
    );
}

#[test]
fn routes_over_the_limit_behind_policy_are_kept_say_so_and_take_part_when_there_is_room() {
    let mut lab = Lab::new();
    let feeder = lab.up(1, limited(client(1), accepted(2, LimitAction::Drop)));
    let other = lab.up(2, client(2));
    lab.announce(feeder, &hosts(4), next_hop(1), &attributes(&[]));
    lab.drain_all();
    assert_eq!(lab.view(other).len(), 2);
    let counters = lab.rib.peer_counters(feeder, V4);
    assert_eq!((counters.received, counters.accepted, counters.over_limit), (4, 2, 2));
    let explained = lab.rib.explain(net("192.0.2.3/32")).unwrap();
    assert_eq!(explained.paths[0].verdict, bgp_rib::PathVerdict::Ineligible(Ineligible::OverLimit));
    lab.withdraw(feeder, &hosts(1));
    lab.drain_all();
    assert_eq!(lab.view(other).len(), 2, "one of those that waited");
    let counters = lab.rib.peer_counters(feeder, V4);
    assert_eq!((counters.received, counters.accepted, counters.over_limit), (3, 2, 1));
}

#[test]
fn what_a_former_session_left_counts_for_no_limit_of_the_new_one() {
    let mut lab = Lab::new();
    let params = limited(client(1), received(3, LimitAction::Stop));
    let peer = lab.up(1, params.clone());
    lab.announce(peer, &hosts(2), next_hop(1), &attributes(&[]));
    lab.down(peer, Retain::Stale);
    lab.up(1, params);
    lab.events.clear();
    lab.announce(peer, &[net("198.51.100.1/32"), net("198.51.100.2/32")], next_hop(1), &attributes(&[]));
    lab.settle();
    assert_eq!(lab.rib.peer_counters(peer, V4).received, 4);
    assert_eq!(levels(&mut lab), [], "it told two");
}

#[test]
fn what_a_peer_is_told_can_be_bounded_too() {
    let mut lab = Lab::new();
    let feeder = lab.up(1, client(1));
    let advertised = Some(Limit::new(2, LimitAction::Stop));
    let other = lab.up(2, limited(client(2), FamilyLimits { advertised, ..FamilyLimits::default() }));
    lab.announce(feeder, &hosts(3), next_hop(1), &attributes(&[]));
    lab.drain(other);
    lab.input(Input::Tick);
    assert_eq!(levels(&mut lab), [(Limited::Advertised, LimitLevel::Exceeded, 2)]);
}

#[test]
fn a_budget_of_memory_holds_new_routes_out_and_is_free_again_when_they_go() {
    let mut lab = Lab::with(RibConfig { turn: 64, ..RibConfig::new(LOCAL_AS, router_id(254)) });
    let limits = Limits::default().memory(Limit::new(4096, LimitAction::Drop));
    let peer = lab.up(1, PeerParams { limits, ..client(1) });
    for (asn, host) in (1..).zip(hosts(100)) {
        lab.announce(peer, &[host], next_hop(1), &attributes(&[64512, asn]));
    }
    let used = lab.rib.peer_memory(peer);
    assert!((3500..4600).contains(&used), "{used}");
    let counters = lab.rib.peer_counters(peer, V4);
    assert_eq!(counters.received + counters.refused, 100);
    assert!(counters.refused > 50);
    assert_eq!(
        told(&mut lab).last().map(|limit| (limit.what, limit.level)),
        Some((Limited::Memory, LimitLevel::Exceeded))
    );
    lab.withdraw(peer, &hosts(100));
    lab.settle();
    assert_eq!(lab.rib.peer_memory(peer), 0);
    assert_eq!(levels(&mut lab), [(Limited::Memory, LimitLevel::Below, 0)]);
    lab.announce(peer, &hosts(1), next_hop(1), &attributes(&[]));
    assert_eq!(lab.rib.peer_counters(peer, V4).received, 1);
}

#[test]
fn limits_go_with_the_peer() {
    let mut lab = Lab::new();
    let peer = lab.up(1, limited(client(1), received(1, LimitAction::Drop)));
    lab.announce(peer, &hosts(3), next_hop(1), &attributes(&[]));
    lab.down(peer, Retain::Nothing);
    lab.settle();
    assert!(lab.events.contains(&Event::PeerGone(PeerId(1))));
    lab.input(Input::Tick);
    lab.up(1, client(1));
    lab.announce(peer, &hosts(3), next_hop(1), &attributes(&[]));
    let counters = lab.rib.peer_counters(peer, V4);
    assert_eq!((counters.received, counters.refused), (3, 0));
}

#[test]
fn a_refresh_gives_no_room_for_more_than_the_bound() {
    let mut lab = Lab::new();
    let params = PeerParams { enhanced_refresh: true, ..client(1) };
    let peer = lab.up(1, limited(params, received(3, LimitAction::Drop)));
    lab.announce(peer, &hosts(5), next_hop(1), &attributes(&[]));
    assert_eq!(levels(&mut lab), [(Limited::Received, LimitLevel::Exceeded, 3)]);
    lab.end_of_rib(peer, V4);
    lab.refresh(peer, V4, RefreshKind::BEGIN);
    lab.announce(peer, &hosts(8)[5..], next_hop(1), &attributes(&[]));
    lab.announce(peer, &hosts(1), next_hop(1), &attributes(&[]));
    assert_eq!(lab.rib.peer_counters(peer, V4).received, 3);
    assert_eq!(levels(&mut lab), [], "its end alone says whether there is room");
    lab.refresh(peer, V4, RefreshKind::END);
    lab.settle();
    assert_eq!(lab.rib.peer_counters(peer, V4).received, 1);
    assert_eq!(levels(&mut lab), [(Limited::Received, LimitLevel::Below, 1)]);
}

#[test]
fn a_refresh_of_more_than_the_bound_asks_for_no_other() {
    let mut lab = Lab::new();
    let params = PeerParams { enhanced_refresh: true, ..client(1) };
    let peer = lab.up(1, limited(params, received(3, LimitAction::Drop)));
    lab.announce(peer, &hosts(5), next_hop(1), &attributes(&[]));
    lab.end_of_rib(peer, V4);
    assert_eq!(levels(&mut lab).len(), 1);
    for _ in 0..3 {
        lab.refresh(peer, V4, RefreshKind::BEGIN);
        hosts(5).iter().for_each(|host| lab.announce(peer, &[*host], next_hop(1), &attributes(&[])));
        lab.refresh(peer, V4, RefreshKind::END);
        lab.settle();
        assert_eq!(lab.rib.peer_counters(peer, V4).received, 3);
    }
    assert_eq!(levels(&mut lab), []);
}

#[test]
fn what_a_former_session_left_takes_no_room_until_it_is_told_again() {
    let mut lab = Lab::new();
    let params =
        || PeerParams { enhanced_refresh: true, ..limited(client(1), received(3, LimitAction::Drop)) };
    let peer = lab.up(1, params());
    lab.announce(peer, &hosts(3), next_hop(1), &attributes(&[]));
    lab.down(peer, Retain::Stale);
    let peer = lab.up(1, params());
    lab.announce(peer, &hosts(1), next_hop(1), &attributes(&[]));
    lab.announce(peer, &hosts(7)[3..], next_hop(1), &attributes(&[]));
    let counters = lab.rib.peer_counters(peer, V4);
    assert_eq!((counters.received, counters.refused), (5, 2), "three of this session, two of the former");
    lab.end_of_rib(peer, V4);
    lab.settle();
    assert_eq!(lab.rib.peer_counters(peer, V4).received, 3);
}

#[test]
fn routes_of_a_former_session_are_no_way_around_the_bound_of_this_one() {
    let mut lab = Lab::new();
    let params = || limited(client(1), received(3, LimitAction::Drop));
    let peer = lab.up(1, params());
    lab.announce(peer, &hosts(3), next_hop(1), &attributes(&[]));
    lab.down(peer, Retain::Stale);
    let peer = lab.up(1, params());
    lab.announce(peer, &hosts(6)[3..], next_hop(1), &attributes(&[]));
    lab.announce(peer, &hosts(3), next_hop(1), &attributes(&[]));
    let counters = lab.rib.peer_counters(peer, V4);
    assert_eq!((counters.received, counters.stale, counters.refused), (6, 3, 3));
    lab.end_of_rib(peer, V4);
    lab.settle();
    assert_eq!(lab.rib.peer_counters(peer, V4).received, 3);
}

#[test]
fn a_budget_of_memory_is_not_passed_by_other_attributes_for_routes_that_stand() {
    let mut lab = Lab::new();
    let max = 16 * 1024;
    let limits = Limits::default().memory(Limit::new(max, LimitAction::Drop));
    let peer = lab.up(1, PeerParams { limits, ..client(1) });
    let other = lab.up(2, client(2));
    for (asn, host) in (1..).zip(hosts(200)) {
        lab.announce(peer, &[host], next_hop(1), &attributes(&[64512, asn]));
    }
    let stands = lab.rib.peer_counters(peer, V4).received;
    assert!((50..200).contains(&stands), "{stands}");
    // Of the same size they are taken, whether there is room or not.
    lab.announce(peer, &hosts(1), next_hop(1), &attributes(&[64513, 1]));
    lab.drain_all();
    assert_eq!(lab.view(other)[&hosts(1)[0]].attributes.as_path, attributes(&[64513, 1]).as_path);
    assert_eq!(lab.rib.peer_counters(peer, V4).received, stands);
    let set = 4 * 500 + 300;
    for (asn, host) in (1..).zip(hosts(200)) {
        let communities = (0..500).map(|tag| bgp_wire::Community(asn << 16 | tag)).collect();
        let large = bgp_wire::PathAttributes { communities, ..attributes(&[64512, asn]) };
        lab.announce(peer, &[host], next_hop(1), &large);
        let used = lab.rib.peer_memory(peer);
        assert!(used <= max + set, "{used} octets with route {asn}");
    }
    let counters = lab.rib.peer_counters(peer, V4);
    assert!(counters.received > 0 && counters.refused > 0, "{counters:?}");
    lab.drain_all();
    assert_eq!(lab.view(other).len() as u32, counters.received, "what is not held is not told");
}

#[test]
fn a_budget_of_memory_is_free_again_when_what_another_told_goes() {
    let mut lab = Lab::with(RibConfig { turn: 64, ..RibConfig::new(LOCAL_AS, router_id(254)) });
    let limits = Limits::default().memory(Limit::new(4096, LimitAction::Drop));
    let (peer, other) = (lab.up(1, PeerParams { limits, ..client(1) }), lab.up(2, client(2)));
    for (mark, host) in (1..).zip(hosts(8)) {
        let communities = (0..200).map(|n| bgp_wire::Community::new(mark, n)).collect();
        let heavy = bgp_wire::PathAttributes { communities, ..attributes(&[64512]) };
        lab.announce(peer, &[host], next_hop(1), &heavy);
        lab.announce(other, &[host], next_hop(1), &heavy);
    }
    lab.withdraw(peer, &hosts(8));
    lab.settle();
    levels(&mut lab);
    lab.announce(peer, &hosts(1), next_hop(1), &attributes(&[]));
    assert_eq!(
        lab.rib.peer_counters(peer, V4).received,
        0,
        "what it was the first to bring stands elsewhere"
    );
    lab.withdraw(other, &hosts(8));
    lab.settle();
    let told = levels(&mut lab);
    let below =
        |(what, level, _): &(Limited, LimitLevel, _)| (*what, *level) == (Limited::Memory, LimitLevel::Below);
    assert!(told.last().is_some_and(below), "{told:?}");
    lab.announce(peer, &hosts(1), next_hop(1), &attributes(&[]));
    assert_eq!(lab.rib.peer_counters(peer, V4).received, 1);
}
