//! The best of what may go, for each client of a route server by itself (RFC 7947 §2.3): where policy or split horizon keep
//! the best route from a client, it is told the next one.

use std::sync::Arc;

use bgp_rib::policy::{
    Action, CommunityPattern, Condition, PolicyConfig, PrefixSet, Quantifier, Rule, SetNextHop, Verdict,
};
use bgp_rib::{
    Aggregation, HeldBack, Input, Origination, PeerId, PeerParams, Policy, Reachability, Retain, RouteFilter,
    Source,
};
use bgp_wire::{Community, PathAttributes};

use crate::support::*;

const HERE: &str = "10.1.0.0/24";

/// A client of a route server in AS 6500n.
fn rs_client(n: u8) -> PeerParams {
    let asn = 65000 + u32::from(n);
    PeerParams { route_server_client: true, best_per_client: true, ..external(n, asn) }
}

fn compile(config: PolicyConfig) -> Policy {
    Policy::compile(config).unwrap()
}

/// What has the community "not to client n" does not go there.
fn unless_refused(n: u8) -> Policy {
    let refused = Community::new(0, 1000 + u16::from(n));
    let marked = Condition::Communities(Quantifier::Any, vec![CommunityPattern::from(refused)]);
    compile(PolicyConfig::new("members", Verdict::Accept).rule(Rule::reject("refused").when(marked)))
}

/// Routes of client `from`, with a path of this length; `refuses` is a client that they are not to go to.
fn told_by(from: u8, length: usize, refuses: Option<u8>) -> PathAttributes {
    let asns: Vec<u32> = core::iter::once(65000 + u32::from(from)).chain([64999; 8]).take(length).collect();
    let communities = refuses.map(|n| Community::new(0, 1000 + u16::from(n))).into_iter().collect();
    PathAttributes { communities, ..external_attributes(&asns) }
}

fn tell(lab: &mut Lab, from: u8, length: usize, refuses: Option<u8>) {
    let attributes = told_by(from, length, refuses);
    lab.announce(PeerId(from.into()), &[net(HERE)], next_hop(from), &attributes);
    lab.drain_all();
}

/// Whose route a client has.
fn has(lab: &Lab, n: u8) -> Option<u8> {
    let route = lab.view(PeerId(n.into())).get(&net(HERE))?;
    (1..=20).find(|&from| route.next_hop == next_hop(from))
}

fn explained(lab: &Lab, n: u8) -> bgp_rib::PeerExplanation {
    let explained = lab.rib.explain(net(HERE)).unwrap();
    explained.peers.into_iter().find(|peer| peer.peer == PeerId(n.into())).unwrap()
}

/// Clients 1 to `count`, each with a policy of its own.
fn exchange(count: u8) -> Lab {
    let mut lab = Lab::new();
    for n in 1..=count {
        lab.up(n, PeerParams { export: unless_refused(n), ..rs_client(n) });
    }
    lab
}

#[test]
fn where_policy_rejects_the_best_route_the_best_of_the_others_is_told() {
    let mut lab = exchange(5);
    tell(&mut lab, 1, 1, Some(5));
    tell(&mut lab, 2, 2, None);
    tell(&mut lab, 3, 3, None);
    assert_eq!([4, 5].map(|n| has(&lab, n)), [Some(1), Some(2)], "nothing hides the second path");
    let of = |n| Source::Peer {
        id: PeerId(n),
        address: address(n as u8),
        asn: bgp_wire::Asn(65000 + n),
        router_id: router_id(n as u8),
        kind: bgp_wire::PeerKind::External,
        client: false,
    };
    let five = explained(&lab, 5);
    assert_eq!(five.verdict, Ok(next_hop(2)));
    assert_eq!(five.policy.as_deref(), Some("policy \"members\", default"));
    let verdicts: Vec<_> = five.paths.iter().map(|path| (path.source, path.verdict)).collect();
    let rejected = Err(HeldBack::ExportPolicy);
    assert_eq!(verdicts, [(of(1), rejected), (of(2), Ok(next_hop(2))), (of(3), Err(HeldBack::NotSelected))]);
    let filter = RouteFilter { advertised_to: Some(PeerId(5)), ..RouteFilter::all(V4) };
    let (routes, _) = lab.rib.routes(&filter, Default::default(), 10);
    assert_eq!(routes.iter().map(|route| (route.source, route.best)).collect::<Vec<_>>(), [(of(2), false)]);
    assert_eq!(lab.rib.peer_counters(PeerId(5), V4).advertised, 1);
}

#[test]
fn without_the_option_the_path_is_hidden_and_the_explanation_says_why() {
    let mut lab = Lab::new();
    for n in 1..=3 {
        let params = PeerParams { best_per_client: false, export: unless_refused(n), ..rs_client(n) };
        lab.up(n, params);
    }
    tell(&mut lab, 1, 1, Some(3));
    tell(&mut lab, 2, 2, None);
    assert_eq!(has(&lab, 3), None);
    assert_eq!(explained(&lab, 3).verdict, Err(HeldBack::ExportPolicy));
}

#[test]
fn who_told_the_best_route_hears_the_best_of_the_others() {
    let mut lab = Lab::new();
    (1..=4).for_each(|n| _ = lab.up(n, rs_client(n)));
    tell(&mut lab, 1, 1, None);
    assert_eq!([1, 2, 3, 4].map(|n| has(&lab, n)), [None, Some(1), Some(1), Some(1)]);
    tell(&mut lab, 2, 2, None);
    assert_eq!([1, 2, 3, 4].map(|n| has(&lab, n)), [Some(2), Some(1), Some(1), Some(1)]);
    assert_eq!(lab.rib.table_counters(V4).groups, 1, "they share their encodings");
    assert_eq!((1..=4).map(|n| lab.rib.peer_counters(PeerId(n), V4).advertised).sum::<u32>(), 4);
    tell(&mut lab, 3, 3, None);
    lab.withdraw(PeerId(2), &[net(HERE)]);
    lab.drain_all();
    assert_eq!([1, 2, 3, 4].map(|n| has(&lab, n)), [Some(3), Some(1), Some(1), Some(1)]);
    lab.withdraw(PeerId(3), &[net(HERE)]);
    lab.drain_all();
    assert_eq!([1, 2, 3, 4].map(|n| has(&lab, n)), [None, Some(1), Some(1), Some(1)]);
    assert_eq!(lab.rib.peer_counters(PeerId(1), V4).advertised, 0);
    lab.withdraw(PeerId(1), &[net(HERE)]);
    lab.drain_all();
    assert!((1..=4).all(|n| has(&lab, n).is_none()));
}

#[test]
fn a_path_that_a_client_does_not_have_is_no_news_to_it() {
    let mut lab = exchange(6);
    tell(&mut lab, 1, 1, Some(6));
    tell(&mut lab, 2, 2, None);
    tell(&mut lab, 3, 3, None);
    (1..=6).for_each(|n| lab.quiet(PeerId(n)));
    // The last in rank changes: client 1 has the second, client 6 too, all others the first.
    tell(&mut lab, 3, 4, None);
    lab.withdraw(PeerId(3), &[net(HERE)]);
    lab.drain_all();
    for n in 1..=6 {
        let remote = &lab.remotes[&PeerId(n)];
        assert_eq!((remote.announced.len(), remote.withdrawn.len()), (0, 0), "client {n}");
    }
    // The second changes: news for those that have it.
    tell(&mut lab, 2, 3, None);
    for n in 1..=6 {
        let expected = usize::from(n == 1 || n == 6);
        assert_eq!(lab.remotes[&PeerId(n)].announced.len(), expected, "client {n}");
    }
}

#[test]
fn changes_of_a_best_route_that_it_may_not_have_are_no_news_to_a_client() {
    let mut lab = exchange(5);
    tell(&mut lab, 2, 3, None);
    (1..=5).for_each(|n| lab.quiet(PeerId(n)));
    tell(&mut lab, 1, 1, Some(5));
    for round in 0..6 {
        tell(&mut lab, 1, 1 + round % 2, Some(5));
    }
    let heard = |lab: &Lab, n: u32| {
        (lab.remotes[&PeerId(n)].announced.len(), lab.remotes[&PeerId(n)].withdrawn.len())
    };
    assert_eq!((heard(&lab, 5), heard(&lab, 4)), ((0, 0), (6, 0)));
    // Who comes, or asks again, is told nevertheless.
    lab.up(6, PeerParams { export: unless_refused(5), ..rs_client(6) });
    lab.drain_all();
    assert_eq!(has(&lab, 6), Some(2), "by the same policy as the fifth");
    lab.refresh(PeerId(5), V4, bgp_wire::RefreshKind::REQUEST);
    tell(&mut lab, 1, 2, Some(5));
    lab.drain_all();
    assert_eq!(heard(&lab, 5), (1, 0));
    lab.quiet(PeerId(5));
    lab.withdraw(PeerId(1), &[net(HERE)]);
    lab.drain_all();
    assert_eq!((heard(&lab, 5), has(&lab, 5)), ((0, 0), Some(2)), "now the best for all");
}

#[test]
fn members_of_one_group_hear_nothing_of_what_one_of_them_is_told_instead() {
    let mut lab = Lab::new();
    (1..=5).for_each(|n| _ = lab.up(n, rs_client(n)));
    tell(&mut lab, 1, 1, None);
    (1..=5).for_each(|n| lab.quiet(PeerId(n)));
    tell(&mut lab, 2, 2, None);
    tell(&mut lab, 2, 3, None);
    lab.withdraw(PeerId(2), &[net(HERE)]);
    lab.drain_all();
    let heard = |n| (lab.remotes[&PeerId(n)].announced.len(), lab.remotes[&PeerId(n)].withdrawn.len());
    assert_eq!(heard(1), (2, 1));
    assert!((2..=5).all(|n| heard(n) == (0, 0)));
}

#[test]
fn when_the_best_becomes_acceptable_or_no_longer_so_the_client_changes_over() {
    let mut lab = exchange(4);
    tell(&mut lab, 1, 1, None);
    tell(&mut lab, 2, 2, None);
    assert_eq!(has(&lab, 4), Some(1));
    tell(&mut lab, 1, 1, Some(4));
    assert_eq!(has(&lab, 4), Some(2));
    lab.down(PeerId(2), Retain::Nothing);
    lab.drain_all();
    assert_eq!(has(&lab, 4), None);
    assert_eq!(explained(&lab, 4).verdict, Err(HeldBack::ExportPolicy));
    tell(&mut lab, 1, 1, None);
    assert_eq!(has(&lab, 4), Some(1));
}

#[test]
fn another_policy_on_a_live_session_tells_the_difference_and_nothing_else() {
    let mut lab = exchange(4);
    let other = net("10.2.0.0/24");
    tell(&mut lab, 1, 1, None);
    tell(&mut lab, 2, 2, None);
    lab.announce(PeerId(1), &[other], next_hop(1), &told_by(1, 1, None));
    lab.drain_all();
    lab.quiet(PeerId(4));
    let from_one = PrefixSet::hosts(&[address(1)]);
    let here = Condition::Prefix(PrefixSet::equal(&[net(HERE)]));
    let rule = Rule::reject("not of the first").when(Condition::SourcePeer(from_one)).when(here);
    let export = compile(PolicyConfig::new("another", Verdict::Accept).rule(rule));
    let (changes, _) = lab.rib.dry_run(PeerId(4), V4, &export, Default::default(), 10);
    let next_hops =
        |change: &bgp_rib::ExportChange| [&change.now, &change.then].map(|r| r.as_ref().unwrap().next_hop);
    assert_eq!(changes.iter().map(next_hops).collect::<Vec<_>>(), [[1, 2].map(|n| Some(next_hop(n)))]);
    lab.input(Input::SetPolicy { peer: PeerId(4), import: None, export: Some(export) });
    lab.drain_all();
    assert_eq!(has(&lab, 4), Some(2));
    assert_eq!(lab.remotes[&PeerId(4)].announced, [net(HERE)]);
    assert!(lab.remotes[&PeerId(4)].withdrawn.is_empty());
    lab.quiet(PeerId(4));
    lab.input(Input::SetPolicy { peer: PeerId(4), import: None, export: Some(unless_refused(4)) });
    lab.drain_all();
    assert_eq!((has(&lab, 4), lab.remotes[&PeerId(4)].announced.len()), (Some(1), 1));
}

#[test]
fn the_option_is_turned_on_and_off_while_sessions_go_on() {
    let mut lab = exchange(4);
    tell(&mut lab, 1, 1, Some(4));
    tell(&mut lab, 2, 2, None);
    for on in [false, true, false, true] {
        for n in 1..=4 {
            let params = PeerParams { best_per_client: on, ..lab.remotes[&PeerId(n)].params.clone() };
            lab.input(Input::PeerChange(PeerId(n), Box::new(params)));
        }
        lab.drain_all();
        assert_eq!([1, 4].map(|n| has(&lab, n)), [Some(2).filter(|_| on); 2], "{on}");
        tell(&mut lab, 3, 5, None);
        lab.withdraw(PeerId(3), &[net(HERE)]);
        lab.drain_all();
        assert_eq!([1, 4].map(|n| has(&lab, n)), [Some(2).filter(|_| on); 2], "{on}");
    }
}

#[test]
fn a_client_that_comes_late_or_asks_again_hears_what_is_its_own() {
    let mut lab = exchange(3);
    tell(&mut lab, 1, 1, Some(4));
    tell(&mut lab, 2, 2, None);
    lab.up(4, PeerParams { export: unless_refused(4), ..rs_client(4) });
    lab.drain_all();
    assert_eq!(has(&lab, 4), Some(2));
    assert!(lab.remotes[&PeerId(4)].end_of_rib.contains(&V4));
    for n in [1, 4] {
        lab.quiet(PeerId(n));
        lab.refresh(PeerId(n), V4, bgp_wire::RefreshKind::REQUEST);
        lab.drain_all();
        assert_eq!(lab.remotes[&PeerId(n)].announced, [net(HERE)]);
        assert_eq!(has(&lab, n as u8), Some(2));
    }
    tell(&mut lab, 2, 2, Some(4));
    assert_eq!([1, 4].map(|n| has(&lab, n)), [Some(2), None]);
}

#[test]
fn a_slow_client_ends_where_the_quick_ones_are() {
    let mut lab = exchange(6);
    for round in 0..40u8 {
        for from in 1..=4u8 {
            let length = usize::from((round + from * 3) % 5) + 1;
            let refuses = Some((round / 2 + from) % 6 + 1);
            let attributes = told_by(from, length, refuses);
            if (round + from) % 4 == 0 {
                lab.withdraw(PeerId(from.into()), &[net(HERE)]);
            } else {
                lab.announce(PeerId(from.into()), &[net(HERE)], next_hop(from), &attributes);
            }
            lab.settle();
            // Some read at once, some now and then, one only at the end.
            lab.drain(PeerId(5));
            lab.read_once(PeerId(u32::from((round + from) % 4) + 1), 64);
        }
    }
    lab.drain_all();
    for n in 1..=6 {
        let expected = explained(&lab, n).verdict.ok();
        assert_eq!(
            lab.view(PeerId(n.into())).get(&net(HERE)).map(|route| route.next_hop),
            expected,
            "client {n}"
        );
        assert!(explained(&lab, n).sent);
    }
}

#[test]
fn nobody_is_told_a_route_through_itself_and_hears_the_next_one_instead() {
    let mut lab = Lab::new();
    (1..=3).for_each(|n| _ = lab.up(n, rs_client(n)));
    // Client 1 tells a route whose next hop is client 3 (RFC 4271 §5.1.3).
    lab.announce(PeerId(1), &[net(HERE)], next_hop(3), &told_by(1, 1, None));
    tell(&mut lab, 2, 2, None);
    assert_eq!(lab.view(PeerId(2))[&net(HERE)].next_hop, next_hop(3));
    assert_eq!([1, 3].map(|n| has(&lab, n)), [Some(2), Some(2)]);
    let three = explained(&lab, 3);
    assert_eq!(three.paths[0].verdict, Err(HeldBack::NextHopIsPeer));
    assert_eq!(three.paths[1].verdict, Ok(next_hop(2)));
}

#[test]
fn interior_costs_move_the_choice_of_those_that_the_best_is_kept_from() {
    let mut lab = exchange(4);
    for n in [1, 2, 3] {
        tell(&mut lab, n, 1, if n == 1 { Some(4) } else { None });
    }
    assert_eq!(has(&lab, 4), Some(2));
    for (n, metric) in [(3, 5), (2, 10), (1, 1)] {
        lab.input(Input::NextHop(address(n), Reachability::Metric(metric)));
    }
    lab.drain_all();
    assert_eq!([2, 4].map(|n| has(&lab, n)), [Some(1), Some(3)]);
    lab.input(Input::NextHop(address(3), Reachability::Unreachable));
    lab.drain_all();
    assert_eq!([2, 4].map(|n| has(&lab, n)), [Some(1), Some(2)]);
}

#[test]
fn an_internal_peer_may_have_it_too_and_several_paths_come_first() {
    let mut lab = Lab::new();
    let there = Action::NextHop(SetNextHop::Received);
    let export = compile(PolicyConfig::new("p", Verdict::Accept).rule(Rule::go_on("as it is").then(there)));
    lab.up(1, PeerParams { best_per_client: true, export, ..internal(1) });
    lab.up(2, internal(2));
    lab.up(3, external(3, 65003));
    lab.announce(PeerId(2), &[net(HERE)], next_hop(2), &attributes(&[65009]));
    lab.announce(PeerId(3), &[net(HERE)], next_hop(3), &external_attributes(&[65003, 65009]));
    lab.drain_all();
    assert_eq!(has(&lab, 1), Some(3), "the best is a non-client's; the best external route may go");
    assert_eq!(explained(&lab, 1).paths[0].verdict, Err(HeldBack::NotReflected));
    let mut several = PeerParams { best_per_client: true, ..client(4) };
    several.codec.add_path_tx = bgp_wire::FamilySet::of(&[V4]);
    several.add_path_send = vec![(V4, bgp_rib::AddPathSend::All)];
    let four = lab.up(4, several);
    lab.drain_all();
    assert_eq!(lab.remotes[&four].paths.len(), 2);
}

#[test]
fn what_goes_for_an_aggregate_that_began_with_the_routes_inside_is_taken_back_too() {
    let mut lab = Lab::new();
    let (plain, excepted) = (lab.up(1, client(1)), lab.up(2, client(2)));
    let reads = lab.up(3, PeerParams { best_per_client: true, ..client(3) });
    let mark = Community::new(1, 1);
    let marked = Condition::Communities(Quantifier::Any, vec![CommunityPattern::from(mark)]);
    let except =
        compile(PolicyConfig::new("except", Verdict::Reject).rule(Rule::accept("marked").when(marked)));
    let aggregation = Some(Arc::new(Aggregation { always: false, suppress: true, except }));
    lab.originate(1, &[Origination { aggregation, ..Origination::new(net("10.0.0.0/8")) }]);
    lab.drain_all();
    // It is known that there is nothing inside.
    lab.announce(plain, &[net("10.9.0.0/24")], next_hop(1), &attributes(&[]));
    lab.drain_all();
    lab.withdraw(plain, &[net("10.9.0.0/24")]);
    lab.drain_all();
    lab.input(Input::NextHop(address(21), Reachability::Unreachable));
    let better = PathAttributes { local_pref: Some(200), ..attributes(&[]) };
    lab.announce(plain, &[net(HERE)], next_hop(21), &better);
    let with_mark = PathAttributes { communities: vec![mark], ..attributes(&[]) };
    lab.announce(excepted, &[net(HERE)], next_hop(21), &with_mark);
    lab.drain_all();
    assert!(lab.view(reads).is_empty());
    // Both are decided, and then the aggregate, before anybody reads.
    lab.input(Input::NextHop(address(21), Reachability::Metric(0)));
    lab.drain_all();
    assert_eq!(lab.view(reads)[&net(HERE)].attributes.communities, [mark], "the best one is kept back");
    assert_eq!(lab.view(reads).len(), 2);
    lab.withdraw(excepted, &[net(HERE)]);
    lab.drain_all();
    assert_eq!(lab.view(reads).keys().collect::<Vec<_>>(), [&net("10.0.0.0/8")]);
}
