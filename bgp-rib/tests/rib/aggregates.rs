//! Aggregates: when they are told, with what, and what they keep back.

use std::sync::Arc;

use bgp_rib::policy::{
    Action, Condition, Discard, Number, PolicyConfig, PrefixSet, Rule, SourceKind, Span, Verdict,
};
use bgp_rib::{Aggregation, HeldBack, Input, Origination, OwnerId, PeerId, Policy, Retain};
use bgp_wire::{Aggregator, Origin, PathAttributes, PeerKind};
use ipnet::IpNet;

use crate::support::*;

const BLOCK: &str = "10.244.1.0/26";

fn aggregate(prefix: &str, aggregation: Aggregation) -> Origination {
    Origination { aggregation: Some(Arc::new(aggregation)), ..Origination::new(net(prefix)) }
}

fn suppressing(except: Policy) -> Aggregation {
    Aggregation { always: true, suppress: true, except }
}

/// Accepts what meets the condition.
fn only(condition: Condition) -> Policy {
    let rule = Rule::accept("but these").when(condition);
    Policy::compile(PolicyConfig::new("except", Verdict::Reject).rule(rule)).unwrap()
}

/// As a node agent has its own blocks: routes that are being moved have a metric below the usual 1024.
fn own_block() -> Origination {
    let moving = only(Condition::Metric(Span::from(0..=1023)));
    Origination { discard: Some(Discard::Blackhole), ..aggregate(BLOCK, suppressing(moving)) }
}

fn pod(prefix: &str, metric: u32) -> Origination {
    Origination { metric: Some(metric), ..Origination::new(net(prefix)) }
}

fn held(lab: &Lab, peer: PeerId) -> Vec<String> {
    lab.view(peer).keys().map(IpNet::to_string).collect()
}

#[test]
fn own_block_keeps_its_addresses_back_but_those_that_move_and_those_borrowed_go_out() {
    let mut lab = Lab::new();
    let early = lab.up(1, internal(1));
    lab.originate(1, &[pod("10.244.1.1/32", 1024), pod("10.244.1.2/32", 512), pod("10.244.9.9/32", 1024)]);
    lab.originate(2, &[own_block()]);
    lab.drain_all();
    let expected = ["10.244.1.0/26", "10.244.1.2/32", "10.244.9.9/32"];
    let late = lab.up(2, external(2, 65002));
    lab.drain_all();
    assert_eq!(held(&lab, early), expected);
    assert_eq!(held(&lab, late), expected);
    assert_eq!(lab.remotes[&early].withdrawn, [], "nobody was told what was not to be told");
    for peer in [early, late] {
        assert_eq!(lab.rib.peer_counters(peer, V4).advertised, 3);
    }
    let explained = lab.rib.explain(net("10.244.1.1/32")).unwrap();
    assert!(explained.peers.iter().all(|peer| peer.verdict == Err(HeldBack::Suppressed)));
}

#[test]
fn an_address_that_begins_to_move_goes_out_and_is_withdrawn_when_it_has_arrived() {
    let mut lab = Lab::new();
    let peer = lab.up(1, internal(1));
    lab.originate(2, &[own_block()]);
    lab.originate(1, &[pod("10.244.1.1/32", 1024)]);
    lab.drain_all();
    assert_eq!(held(&lab, peer), [BLOCK]);
    lab.originate(1, &[pod("10.244.1.1/32", 512)]);
    lab.drain_all();
    assert_eq!(held(&lab, peer), [BLOCK, "10.244.1.1/32"]);
    lab.originate(1, &[pod("10.244.1.1/32", 1024)]);
    lab.drain_all();
    assert_eq!(held(&lab, peer), [BLOCK]);
    assert_eq!(lab.remotes[&peer].withdrawn, [net("10.244.1.1/32")]);
}

#[test]
fn a_block_that_is_confirmed_later_withdraws_what_it_suppresses_and_nothing_else_is_told_again() {
    let mut lab = Lab::new();
    let peer = lab.up(1, internal(1));
    let pods = [pod("10.244.1.1/32", 1024), pod("10.244.1.2/32", 512), pod("10.244.9.9/32", 1024)];
    lab.originate(1, &pods);
    lab.drain_all();
    lab.quiet(peer);
    lab.originate(2, &[own_block()]);
    lab.drain_all();
    assert_eq!(lab.remotes[&peer].announced, [net(BLOCK)]);
    assert_eq!(lab.remotes[&peer].withdrawn, [net("10.244.1.1/32")]);
    lab.quiet(peer);
    lab.input(Input::Withdraw(OwnerId(2), &[net(BLOCK)]));
    lab.drain_all();
    assert_eq!(lab.remotes[&peer].announced, [net("10.244.1.1/32")]);
    assert_eq!(lab.remotes[&peer].withdrawn, [net(BLOCK)]);
    assert_eq!(held(&lab, peer), ["10.244.1.1/32", "10.244.1.2/32", "10.244.9.9/32"]);
}

#[test]
fn an_aggregate_of_two_owners_stands_until_both_let_go() {
    let mut lab = Lab::new();
    let peer = lab.up(1, internal(1));
    lab.originate(1, &[pod("10.244.1.1/32", 1024)]);
    lab.originate(2, &[own_block()]);
    lab.originate(3, &[aggregate(BLOCK, Aggregation { always: true, ..Aggregation::default() })]);
    lab.drain_all();
    assert_eq!(held(&lab, peer), [BLOCK]);
    lab.input(Input::Withdraw(OwnerId(2), &[net(BLOCK)]));
    lab.drain_all();
    assert_eq!(held(&lab, peer), [BLOCK, "10.244.1.1/32"], "the other one suppresses nothing");
    lab.input(Input::Withdraw(OwnerId(3), &[net(BLOCK)]));
    lab.drain_all();
    assert_eq!(held(&lab, peer), ["10.244.1.1/32"]);
}

#[test]
fn an_aggregate_is_told_while_a_route_inside_it_is_best() {
    let mut lab = Lab::new();
    let (from, to) = (lab.up(1, client(1)), lab.up(2, client(2)));
    lab.announce(from, &[net("10.1.7.0/24")], next_hop(1), &attributes(&[]));
    lab.originate(1, &[aggregate("10.1.0.0/16", Aggregation { suppress: true, ..Aggregation::default() })]);
    lab.originate(1, &[aggregate("10.2.0.0/16", Aggregation::default())]);
    lab.drain_all();
    assert_eq!(held(&lab, to), ["10.1.0.0/16"]);
    lab.announce(from, &[net("10.2.1.0/24"), net("10.2.0.0/16")], next_hop(1), &attributes(&[]));
    lab.drain_all();
    assert_eq!(held(&lab, to), ["10.1.0.0/16", "10.2.0.0/16", "10.2.1.0/24"]);
    lab.withdraw(from, &[net("10.1.7.0/24")]);
    lab.down(from, Retain::Nothing);
    lab.drain_all();
    assert_eq!(held(&lab, to), Vec::<String>::new());
}

#[test]
fn an_aggregate_counts_as_a_route_inside_the_next_one() {
    let mut lab = Lab::new();
    let peer = lab.up(1, internal(1));
    lab.originate(1, &["10.0.0.0/8", "10.1.0.0/16"].map(|p| aggregate(p, Aggregation::default())));
    lab.originate(1, &[pod("10.1.1.1/32", 1)]);
    lab.drain_all();
    assert_eq!(held(&lab, peer), ["10.0.0.0/8", "10.1.0.0/16", "10.1.1.1/32"]);
    lab.input(Input::Withdraw(OwnerId(1), &[net("10.1.1.1/32")]));
    lab.drain_all();
    assert_eq!(held(&lab, peer), Vec::<String>::new());
}

#[test]
fn origin_and_atomic_aggregate_follow_from_the_routes_inside() {
    let mut lab = Lab::new();
    let (from, to) = (lab.up(1, external(1, 65001)), lab.up(2, internal(2)));
    let told = |lab: &Lab| lab.view(to)[&net("10.1.0.0/16")].attributes.clone();
    lab.originate(1, &[aggregate("10.1.0.0/16", Aggregation::default()), pod("10.1.1.1/32", 1)]);
    lab.drain_all();
    assert_eq!(told(&lab), attributes(&[]), "of ours alone nothing is left out");
    let learned = PathAttributes { origin: Origin::Incomplete, ..external_attributes(&[65001]) };
    lab.announce(from, &[net("10.1.2.0/24")], next_hop(1), &learned);
    lab.drain_all();
    let aggregator = Some(Aggregator { asn: LOCAL_AS, router_id: router_id(254) });
    let expected =
        PathAttributes { origin: Origin::Incomplete, atomic_aggregate: true, aggregator, ..attributes(&[]) };
    assert_eq!(told(&lab), expected);
    lab.withdraw(from, &[net("10.1.2.0/24")]);
    lab.drain_all();
    assert_eq!(told(&lab), attributes(&[]));
}

#[test]
fn what_is_excepted_may_depend_on_prefix_source_and_session() {
    let mut lab = Lab::new();
    let (from, inside, outside) = (lab.up(1, client(1)), lab.up(2, client(2)), lab.up(3, external(3, 65003)));
    lab.announce(from, &[net("10.1.1.0/24"), net("10.1.2.0/24")], next_hop(1), &attributes(&[]));
    lab.originate(1, &[pod("10.1.3.0/24", 1)]);
    let set = Condition::AllOf(vec![
        Condition::Prefix(PrefixSet::equal(&[net("10.1.2.0/24")])),
        Condition::PeerKind(PeerKind::External),
    ]);
    let except = only(Condition::AnyOf(vec![set, Condition::Source(vec![SourceKind::Local])]));
    lab.originate(2, &[aggregate("10.1.0.0/16", suppressing(except))]);
    lab.drain_all();
    assert_eq!(held(&lab, inside), ["10.1.0.0/16", "10.1.3.0/24"]);
    assert_eq!(held(&lab, outside), ["10.1.0.0/16", "10.1.2.0/24", "10.1.3.0/24"]);
}

#[test]
fn a_policy_that_asks_about_suppression_decides_about_it() {
    let mut lab = Lab::new();
    let config = PolicyConfig::new("filters first", Verdict::Accept)
        .rule(Rule::accept("wanted").when(Condition::Prefix(PrefixSet::equal(&[net("10.244.1.1/32")]))))
        .rule(Rule::go_on("marked").then(Action::Med(Number::Set(7))))
        .rule(Rule::reject("suppressed").when(Condition::Suppressed));
    let export = Policy::compile(config).unwrap();
    let peer = lab.up(1, bgp_rib::PeerParams { export, ..internal(1) });
    lab.originate(1, &[pod("10.244.1.1/32", 1024), pod("10.244.1.2/32", 1024)]);
    lab.originate(2, &[own_block()]);
    lab.drain_all();
    assert_eq!(held(&lab, peer), [BLOCK, "10.244.1.1/32"]);
    assert_eq!(lab.view(peer)[&net(BLOCK)].attributes.med, Some(7));
}

#[test]
fn other_exceptions_are_a_difference_that_is_told() {
    let mut lab = Lab::new();
    let peer = lab.up(1, internal(1));
    lab.originate(1, &[pod("10.244.1.1/32", 1), pod("10.244.1.2/32", 2)]);
    let except = |metric: u32| suppressing(only(Condition::Metric(Span::from(metric..=metric))));
    lab.originate(2, &[aggregate(BLOCK, except(1))]);
    lab.drain_all();
    assert_eq!(held(&lab, peer), [BLOCK, "10.244.1.1/32"]);
    lab.quiet(peer);
    lab.originate(2, &[aggregate(BLOCK, except(2))]);
    lab.drain_all();
    assert_eq!(held(&lab, peer), [BLOCK, "10.244.1.2/32"]);
    assert_eq!(lab.remotes[&peer].announced, [net("10.244.1.2/32")]);
    lab.quiet(peer);
    lab.originate(2, &[aggregate(BLOCK, except(2))]);
    lab.drain_all();
    assert_eq!(lab.remotes[&peer].updates, 0, "the same again is no change");
}

#[test]
fn ipv6_blocks_are_aggregates_like_others() {
    let mut lab = Lab::new();
    let peer = lab.up(1, internal(1));
    lab.originate(1, &[pod("2001:db8:1::7/128", 1024), pod("2001:db8:2::7/128", 1024)]);
    lab.originate(2, &[aggregate("2001:db8:1::/122", suppressing(Policy::reject_all()))]);
    lab.drain_all();
    assert_eq!(held(&lab, peer), ["2001:db8:1::/122", "2001:db8:2::7/128"]);
}

#[test]
fn an_owner_has_one_route_of_a_prefix_aggregate_or_not() {
    let mut lab = Lab::new();
    let peer = lab.up(1, internal(1));
    lab.originate(1, &[aggregate(BLOCK, Aggregation::default())]);
    lab.drain_all();
    assert_eq!(held(&lab, peer), Vec::<String>::new(), "nothing lies inside");
    lab.originate(1, &[Origination::new(net(BLOCK))]);
    lab.drain_all();
    assert_eq!(held(&lab, peer), [BLOCK]);
    lab.originate(1, &[aggregate(BLOCK, Aggregation::default())]);
    lab.drain_all();
    assert_eq!(held(&lab, peer), Vec::<String>::new());
    lab.settle();
    assert_eq!(lab.rib.table_counters(V4).prefixes, 0);
}
