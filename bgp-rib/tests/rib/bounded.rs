//! A bound on what a peer is told: what would be one too many waits, and at no moment does the peer hold more.

use bgp_rib::policy::{Action, Condition, Number, PolicyConfig, PrefixSet, Rule, Verdict};
use std::sync::Arc;

use bgp_rib::{
    AddPathSend, Aggregation, Event, FamilyLimits, HeldBack, Input, Limit, LimitAction, LimitLevel, Limits,
    Origination, PeerId, PeerParams, Policy, Retain, RibConfig,
};
use bgp_wire::{FamilySet, PathAttributes, RefreshKind};
use ipnet::IpNet;

use crate::support::*;

fn hosts(from: u8, to: u8) -> Vec<IpNet> {
    (from..to).map(|host| net(&format!("192.0.2.{host}/32"))).collect()
}

fn at_most(max: u64, params: PeerParams) -> PeerParams {
    let advertised = Some(Limit::new(max, LimitAction::Drop));
    let limits = Limits::default().family(V4, FamilyLimits { advertised, ..FamilyLimits::default() });
    PeerParams { limits, ..params }
}

/// A feeder, a client that is told three routes at most, one without a bound.
fn lab() -> (Lab, PeerId, PeerId, PeerId) {
    let mut lab = Lab::with(RibConfig { batch_prefixes: 2, ..RibConfig::new(LOCAL_AS, router_id(254)) });
    let feeder = lab.up(1, client(1));
    let (few, all) = (lab.up(2, at_most(3, client(2))), lab.up(3, client(3)));
    (lab, feeder, few, all)
}

fn held(lab: &Lab, peer: PeerId) -> Vec<IpNet> {
    lab.view(peer).keys().copied().collect()
}

fn verdict(lab: &Lab, peer: PeerId, prefix: IpNet) -> Result<(), HeldBack> {
    let explained = lab.rib.explain(prefix).unwrap();
    explained.peers.iter().find(|told| told.peer == peer).unwrap().verdict.map(|_| ())
}

fn reconfigure(lab: &mut Lab, peer: PeerId, params: PeerParams) {
    lab.remotes.get_mut(&peer).unwrap().params.limits = Limits::default();
    lab.input(Input::PeerChange(peer, Box::new(params)));
}

#[test]
fn what_would_be_one_too_many_is_not_told_counted_and_explained_and_others_are_told_all() {
    let (mut lab, feeder, few, all) = lab();
    lab.announce(feeder, &hosts(0, 5), next_hop(1), &attributes(&[]));
    lab.drain_all();
    assert_eq!(held(&lab, few), hosts(0, 3));
    assert_eq!(held(&lab, all), hosts(0, 5));
    let counters = lab.rib.peer_counters(few, V4);
    assert_eq!((counters.advertised, counters.withheld, counters.drained), (3, 2, true));
    assert_eq!(verdict(&lab, few, hosts(4, 5)[0]), Err(HeldBack::OverLimit));
    assert_eq!(verdict(&lab, few, hosts(0, 1)[0]), Ok(()));
    lab.input(Input::Tick);
    let mut told = lab.events.iter().filter_map(|event| match event {
        // It is told as it is passed: with the first batch that holds something back.
        Event::Limit(limit) => Some((limit.level, limit.count, limit.held_out > 0)),
        _ => None,
    });
    assert_eq!(told.next_back(), Some((LimitLevel::Exceeded, 3, true)));
}

#[test]
fn a_route_that_stands_is_changed_in_its_place_and_one_that_waits_says_nothing() {
    let (mut lab, feeder, few, _) = lab();
    lab.announce(feeder, &hosts(0, 5), next_hop(1), &attributes(&[]));
    lab.drain_all();
    lab.quiet(few);
    lab.announce(feeder, &hosts(0, 5), next_hop(1), &attributes(&[64512]));
    lab.drain_all();
    assert_eq!(held(&lab, few), hosts(0, 3));
    assert_eq!(lab.remotes[&few].announced, hosts(0, 3));
    assert!(lab.remotes[&few].withdrawn.is_empty());
}

#[test]
fn room_that_becomes_free_is_filled_with_what_waited() {
    let (mut lab, feeder, few, _) = lab();
    lab.announce(feeder, &hosts(0, 6), next_hop(1), &attributes(&[]));
    lab.drain_all();
    lab.withdraw(feeder, &hosts(1, 2));
    lab.drain_all();
    assert_eq!(held(&lab, few), [hosts(0, 1), hosts(2, 4)].concat(), "those that stood stay");
    assert_eq!(lab.rib.peer_counters(few, V4).withheld, 2);
    lab.withdraw(feeder, &hosts(4, 5));
    lab.drain_all();
    assert_eq!(lab.rib.peer_counters(few, V4).withheld, 1, "what waited and went waits no more");
    lab.withdraw(feeder, &hosts(0, 3));
    lab.drain_all();
    assert_eq!(held(&lab, few), [hosts(3, 4), hosts(5, 6)].concat());
    assert_eq!(lab.rib.peer_counters(few, V4).withheld, 0);
}

#[test]
fn one_that_goes_and_one_that_comes_in_the_same_batch_are_never_there_together() {
    let (mut lab, feeder, few, _) = lab();
    lab.announce(feeder, &hosts(0, 3), next_hop(1), &attributes(&[]));
    lab.drain_all();
    for round in 0..40 {
        lab.withdraw(feeder, &hosts(round, round + 1));
        lab.announce(feeder, &hosts(round + 3, round + 4), next_hop(1), &attributes(&[]));
        // The far end of the session counts with every message.
        lab.drain_all();
        assert_eq!(held(&lab, few), hosts(round + 1, round + 4));
    }
}

#[test]
fn what_the_peer_told_itself_takes_no_room() {
    let (mut lab, feeder, few, _) = lab();
    lab.announce(few, &hosts(0, 3), next_hop(2), &attributes(&[]));
    lab.announce(feeder, &hosts(3, 7), next_hop(1), &attributes(&[]));
    lab.drain_all();
    assert_eq!(held(&lab, few), hosts(3, 6));
    let better = PathAttributes { local_pref: Some(200), ..attributes(&[]) };
    lab.announce(few, &hosts(4, 5), next_hop(2), &better);
    lab.drain_all();
    assert_eq!(
        held(&lab, few),
        [hosts(3, 4), hosts(5, 7)].concat(),
        "its own is withdrawn, and one that waited comes"
    );
}

#[test]
fn a_bound_that_is_raised_lowered_taken_away_and_put_back_on_a_live_session() {
    let (mut lab, feeder, few, _) = lab();
    lab.announce(feeder, &hosts(0, 8), next_hop(1), &attributes(&[]));
    lab.drain_all();
    let plan = [(5, 5, 2, 0), (2, 2, 0, 3), (u64::MAX, 8, 6, 0), (4, 4, 0, 4), (0, 0, 0, 4), (3, 3, 3, 0)];
    for (max, count, announced, withdrawn) in plan {
        lab.quiet(few);
        let params = if max == u64::MAX { client(2) } else { at_most(max, client(2)) };
        reconfigure(&mut lab, few, params.clone());
        lab.drain_all();
        lab.remotes.get_mut(&few).unwrap().params = params;
        let remote = &lab.remotes[&few];
        assert_eq!((remote.view.len(), remote.announced.len()), (count, announced), "at most {max}");
        assert_eq!(remote.withdrawn.len(), withdrawn, "at most {max}");
        let counters = lab.rib.peer_counters(few, V4);
        assert_eq!((counters.advertised as usize, counters.withheld as usize), (count, 8 - count));
    }
    assert_eq!(lab.rib.table_counters(V4).groups, 2);
}

#[test]
fn a_bound_that_comes_while_routes_change_counts_what_was_told_before() {
    let (mut lab, feeder, few, _) = lab();
    reconfigure(&mut lab, few, client(2));
    lab.announce(feeder, &hosts(0, 20), next_hop(1), &attributes(&[]));
    lab.drain_all();
    reconfigure(&mut lab, few, at_most(3, client(2)));
    assert!(lab.read_once(few, 1));
    // Told without a bound, and changed before the walk comes to them.
    lab.announce(feeder, &hosts(10, 20), next_hop(1), &attributes(&[64512]));
    lab.withdraw(feeder, &hosts(18, 19));
    lab.drain_all();
    let counters = lab.rib.peer_counters(few, V4);
    assert_eq!((lab.view(few).len(), counters.advertised, counters.withheld), (3, 3, 16));
}

#[test]
fn a_policy_swap_within_the_bound_tells_the_difference_and_fills_up() {
    let (mut lab, feeder, few, _) = lab();
    lab.announce(feeder, &hosts(0, 6), next_hop(1), &attributes(&[]));
    lab.drain_all();
    lab.quiet(few);
    lab.remotes.get_mut(&few).unwrap().strict = true;
    let is = |prefixes: &[IpNet]| Condition::Prefix(PrefixSet::equal(prefixes));
    let config = PolicyConfig::new("p", Verdict::Accept)
        .rule(Rule::reject("gone").when(is(&hosts(0, 1))))
        .rule(Rule::accept("changed").when(is(&hosts(1, 2))).then(Action::LocalPref(Number::Set(200))));
    let export = Some(Policy::compile(config).unwrap());
    lab.input(Input::SetPolicy { peer: few, import: None, export });
    lab.drain_all();
    assert_eq!(held(&lab, few), hosts(1, 4));
    assert_eq!(lab.remotes[&few].withdrawn, hosts(0, 1));
    assert_eq!(lab.remotes[&few].announced, [hosts(1, 2), hosts(3, 4)].concat());
    lab.input(Input::SetPolicy { peer: few, import: None, export: Some(Policy::reject_all()) });
    lab.drain_all();
    assert!(held(&lab, few).is_empty());
    assert_eq!(lab.rib.peer_counters(few, V4).withheld, 0);
}

#[test]
fn a_refresh_tells_what_stands_and_a_new_session_begins_anew() {
    let (mut lab, feeder, few, _) = lab();
    lab.announce(feeder, &hosts(0, 6), next_hop(1), &attributes(&[]));
    lab.drain_all();
    lab.quiet(few);
    for _ in 0..2 {
        lab.refresh(few, V4, RefreshKind::REQUEST);
        lab.drain_all();
    }
    assert_eq!(lab.remotes[&few].announced, [hosts(0, 3), hosts(0, 3)].concat());
    lab.down(few, Retain::Nothing);
    lab.settle();
    let few = lab.up(2, at_most(3, client(2)));
    lab.drain_all();
    assert_eq!(held(&lab, few).len(), 3);
    assert!(lab.remotes[&few].end_of_rib.contains(&V4));
}

#[test]
fn of_a_peer_that_is_told_several_paths_each_counts() {
    let (mut lab, feeder, ..) = lab();
    let mut params = at_most(3, client(4));
    params.codec.add_path_tx = FamilySet::of(&[V4]);
    params.add_path_send = vec![(V4, AddPathSend::All)];
    let several = lab.up(4, params);
    let second = lab.up(5, client(5));
    lab.announce(feeder, &hosts(0, 2), next_hop(1), &attributes(&[]));
    lab.announce(second, &hosts(0, 2), next_hop(5), &attributes(&[64512]));
    lab.drain_all();
    assert_eq!(lab.remotes[&several].paths.len(), 3);
    let counters = lab.rib.peer_counters(several, V4);
    assert_eq!((counters.advertised, counters.withheld), (3, 1));
    lab.withdraw(feeder, &hosts(0, 2));
    lab.drain_all();
    assert_eq!(lab.remotes[&several].paths.len(), 2);
    assert_eq!(lab.rib.peer_counters(several, V4).withheld, 0);
}

#[test]
fn a_bound_that_only_warns_keeps_nothing_back_and_shares_its_group() {
    let (mut lab, feeder, ..) = lab();
    let advertised = Some(Limit::new(2, LimitAction::Warn));
    let limits = Limits::default().family(V4, FamilyLimits { advertised, ..FamilyLimits::default() });
    let warned = lab.up(4, PeerParams { limits, ..client(4) });
    lab.announce(feeder, &hosts(0, 5), next_hop(1), &attributes(&[]));
    lab.drain_all();
    assert_eq!(lab.view(warned).len(), 5);
    assert_eq!(lab.rib.table_counters(V4).groups, 2, "the bounded one's, and everybody else's");
}

#[test]
fn a_route_that_changes_twice_before_it_is_met_within_a_new_bound_is_not_forgotten() {
    let (mut lab, feeder, few, _) = lab();
    reconfigure(&mut lab, few, client(2));
    lab.announce(feeder, &hosts(0, 8), next_hop(1), &attributes(&[]));
    lab.drain_all();
    reconfigure(&mut lab, few, at_most(3, client(2)));
    lab.announce(feeder, &hosts(6, 8), next_hop(1), &attributes(&[64512]));
    // The walk ends, and the last ones change again before they are read.
    (0..3).for_each(|_| assert!(lab.read_once(few, 1)));
    lab.announce(feeder, &hosts(6, 8), next_hop(1), &attributes(&[64513]));
    lab.drain_all();
    assert_eq!((lab.view(few).len(), lab.rib.peer_counters(few, V4).advertised), (3, 3));
}

#[test]
fn a_route_that_waited_is_told_before_end_of_rib_once_there_is_room() {
    let mut lab = Lab::new();
    let feeder = lab.up(1, client(1));
    lab.input(Input::DeferEndOfRib(true));
    let few = lab.up(2, at_most(1, client(2)));
    let (goes, waits) = (hosts(0, 1), hosts(1, 2));
    lab.announce(feeder, &goes, next_hop(1), &attributes(&[]));
    lab.announce(feeder, &waits, next_hop(1), &attributes(&[]));
    lab.drain(few);
    assert_eq!(held(&lab, few), goes);
    lab.withdraw(feeder, &goes);
    lab.input(Input::DeferEndOfRib(false));
    lab.drain(few);
    assert_eq!(held(&lab, few), waits);
    let at_end = &lab.remotes[&few].held_at_end[&V4];
    assert_eq!(*at_end, lab.remotes[&few].held(V4), "it sweeps nothing that it is told a moment later");
}

#[test]
fn what_is_kept_back_since_is_withdrawn_from_a_peer_that_has_just_got_a_bound() {
    for most in [0, 1, 3] {
        let mut lab = Lab::new();
        let peer = lab.up(1, client(1));
        let prefix = hosts(1, 2)[0];
        lab.originate(0, &[Origination::new(prefix)]);
        lab.quiet(peer);
        reconfigure(&mut lab, peer, at_most(most, client(1)));
        let aggregation = Aggregation { always: true, suppress: true, ..Aggregation::default() };
        let aggregation = Some(Arc::new(aggregation));
        lab.originate(1, &[Origination { aggregation, ..Origination::new(net("192.0.2.0/24")) }]);
        // Before the aggregate's walk over what lies inside it has come there.
        assert!(lab.read_once(peer, 64));
        lab.drain_all();
        assert!(!held(&lab, peer).contains(&prefix), "at most {most}");
    }
}
