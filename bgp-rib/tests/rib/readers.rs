//! Followers of the Loc-RIB that are no peers.

use core::time::Duration;

use bgp_rib::policy::{Action, PolicyConfig, Rule, Verdict};
use bgp_rib::{
    Event, Input, Multipath, PathVerdict, PeerId, PeerParams, Policy, Reachability, ReaderId, Retain,
    RibConfig, RouteFilter, Rung, Source, Why,
};
use bgp_wire::{NextHop, PathAttributes};

use crate::support::*;

#[test]
fn a_follower_reads_a_snapshot_then_changes_and_is_told_once_when_there_are_more() {
    let mut lab = Lab::new();
    let one = lab.up(1, client(1));
    lab.announce(one, &[net("192.0.2.0/26"), net("192.0.2.64/26")], next_hop(1), &attributes(&[]));
    let reader = lab.rib.open_reader();
    let first = lab.rib.poll_reader(reader, 1).unwrap();
    assert_eq!((first.changes.len(), first.synced), (1, false));
    let second = lab.rib.poll_reader(reader, 10).unwrap();
    assert_eq!((second.changes.len(), second.synced), (1, true));
    assert!(second.revision > first.revision);
    assert!(lab.rib.poll_reader(reader, 10).is_none());
    while lab.rib.poll_event().is_some() {}
    lab.events.clear();
    lab.withdraw(one, &[net("192.0.2.0/26")]);
    lab.withdraw(one, &[net("192.0.2.64/26")]);
    assert_eq!(lab.events, [Event::ReaderPending(reader)]);
    let gone = lab.rib.poll_reader(reader, 10).unwrap();
    assert!(gone.changes.iter().all(|change| change.best.is_none()) && gone.changes.len() == 2);
}

#[test]
fn an_empty_table_is_a_whole_snapshot() {
    let mut lab = Lab::new();
    let reader = lab.rib.open_reader();
    assert!(lab.rib.poll_reader(reader, 10).unwrap().synced);
    assert!(lab.rib.poll_reader(reader, 10).is_none());
}

#[test]
fn a_slow_follower_sees_each_prefix_once_as_it_is_now() {
    let mut lab = Lab::new();
    let one = lab.up(1, client(1));
    let reader = lab.rib.open_reader();
    for med in 0..50 {
        let told = PathAttributes { med: Some(med), ..attributes(&[]) };
        lab.announce(one, &[net("192.0.2.0/24")], next_hop(1), &told);
    }
    let batch = lab.rib.poll_reader(reader, 100).unwrap();
    assert_eq!(batch.changes.len(), 1);
    let best = batch.changes[0].best.as_ref().unwrap();
    let block = bgp_wire::AttributeBlock::parse(&best.attributes.block).unwrap();
    assert_eq!((block.med(), best.why), (Some(49), Why::Only));
    assert!(matches!(best.source, Source::Peer { id, .. } if id == one));
}

#[test]
fn a_closed_follower_holds_nothing_back() {
    let mut lab = Lab::new();
    let one = lab.up(1, client(1));
    let reader = lab.rib.open_reader();
    lab.announce(one, &[net("192.0.2.0/24")], next_hop(1), &attributes(&[]));
    lab.withdraw(one, &[net("192.0.2.0/24")]);
    lab.drain_all();
    assert_eq!(lab.rib.table_counters(V4).tombstones, 1);
    lab.rib.close_reader(reader);
    lab.settle();
    assert_eq!(lab.rib.table_counters(V4).tombstones, 0);
    assert!(lab.rib.poll_reader(reader, 10).is_none());
}

/// A follower has read two prefixes; then it reads no more, and other prefixes come and go.
fn left_behind(bound: usize, wait: u64, gone: u8) -> (Lab, ReaderId) {
    let mut lab =
        Lab::with(RibConfig { follower_tombstones: bound, ..RibConfig::new(LOCAL_AS, router_id(254)) });
    let one = lab.up(1, client(1));
    let stays = [net("192.0.2.0/26"), net("192.0.2.64/26")];
    lab.announce(one, &stays, next_hop(1), &attributes(&[]));
    let reader = lab.rib.open_reader();
    while lab.rib.poll_reader(reader, 10).is_some() {}
    lab.withdraw(one, &stays[..1]);
    lab.now += Duration::from_secs(wait);
    for third in 0..gone {
        let prefix = net(&format!("10.0.{third}.0/24"));
        lab.announce(one, &[prefix], next_hop(1), &attributes(&[]));
        lab.withdraw(one, &[prefix]);
        lab.drain_all();
    }
    lab.settle();
    (lab, reader)
}

#[test]
fn a_follower_that_does_not_read_starts_anew_beyond_a_bound_of_tombstones() {
    let (mut lab, reader) = left_behind(8, 10, 8);
    assert!(lab.rib.table_counters(V4).tombstones <= 8, "they are not kept for ever");
    let batch = lab.rib.poll_reader(reader, 100).unwrap();
    assert!(batch.anew && batch.synced);
    let there: Vec<_> = batch.changes.iter().map(|change| (change.prefix, change.best.is_some())).collect();
    assert_eq!(there, [(net("192.0.2.64/26"), true)], "what is not there is gone");
    let one = PeerId(1);
    lab.withdraw(one, &[net("192.0.2.64/26")]);
    let gone = lab.rib.poll_reader(reader, 100).unwrap();
    assert!(!gone.anew && gone.changes[0].best.is_none() && gone.revision > batch.revision);
}

#[test]
fn a_follower_that_reads_may_be_further_behind() {
    let (mut lab, reader) = left_behind(8, 0, 100);
    let batch = lab.rib.poll_reader(reader, 1000).unwrap();
    assert!(!batch.anew);
    assert_eq!(batch.changes.iter().filter(|change| change.best.is_none()).count(), 101);
    let (mut lab, reader) = left_behind(8, 0, 200);
    assert!(lab.rib.poll_reader(reader, 1000).unwrap().anew, "but not without end");
    assert!(lab.rib.table_counters(V4).tombstones <= 8 * 16);
}

#[test]
fn all_next_hops_that_tie_through_the_interior_cost_reach_the_follower() {
    let mut lab = Lab::with(RibConfig { max_paths: 2, ..RibConfig::new(LOCAL_AS, router_id(254)) });
    let prefix = net("192.0.2.0/24");
    let reader = lab.rib.open_reader();
    let peers: Vec<_> = (1..=3).map(|n| lab.up(n, client(n))).collect();
    for (n, peer) in (1..).zip(&peers) {
        lab.announce(*peer, &[prefix], next_hop(20 + n), &attributes(&[]));
    }
    let hops = |lab: &mut Lab| {
        lab.settle();
        let batch = lab.rib.poll_reader(reader, 10).unwrap();
        batch.changes.last().and_then(|change| change.best.clone()).map(|best| (best.next_hops, best.why))
    };
    assert_eq!(hops(&mut lab), Some((vec![next_hop(21), next_hop(22)], Why::Won(Rung::RouterId))));
    lab.drain_all();
    peers.iter().for_each(|peer| lab.quiet(*peer));
    lab.input(Input::NextHop(address(22), Reachability::Metric(5)));
    assert_eq!(hops(&mut lab), Some((vec![next_hop(21), next_hop(23)], Why::Won(Rung::RouterId))));
    lab.drain_all();
    assert_eq!(lab.remotes[&peers[0]].updates, 0, "the best path is what it was: peers hear nothing");
    lab.down(peers[0], Retain::Nothing);
    assert_eq!(hops(&mut lab), Some((vec![next_hop(23)], Why::Won(Rung::InteriorCost))));
}

#[test]
fn pages_of_routes_add_up_to_the_table_and_filters_hold() {
    let mut lab = Lab::new();
    let (one, two) = (lab.up(1, client(1)), lab.up(2, client(2)));
    let inside = [net("192.0.2.0/26"), net("192.0.2.64/26")];
    let prefixes = [inside[0], inside[1], net("198.51.100.0/24")];
    lab.announce(one, &prefixes, next_hop(1), &attributes(&[]));
    lab.announce(two, &prefixes[..1], next_hop(2), &attributes(&[]));
    let all = RouteFilter::all(V4);
    let (mut routes, mut next) = lab.rib.routes(&all, Default::default(), 1);
    while let Some(page) = next {
        let (more, after) = lab.rib.routes(&all, page, 1);
        routes.extend(more);
        next = after;
    }
    assert_eq!(routes.len(), 4);
    let count = |filter: &RouteFilter| lab.rib.routes(filter, Default::default(), 100).0.len();
    assert_eq!(count(&RouteFilter { best_only: true, ..all.clone() }), 3);
    assert_eq!(count(&RouteFilter { peer: Some(two), ..all.clone() }), 1);
    assert_eq!(count(&RouteFilter { prefix: Some(inside[0]), ..all.clone() }), 2);
    assert_eq!(count(&RouteFilter { prefix: Some(net("192.0.2.0/24")), longer: true, ..all.clone() }), 3);
    assert_eq!(count(&RouteFilter { prefix: Some(net("192.0.2.0/24")), ..all }), 0);
}

#[test]
fn weights_that_import_policy_gives_reach_the_follower_beside_their_next_hops() {
    let mut lab = Lab::with(RibConfig { max_paths: 4, ..RibConfig::new(LOCAL_AS, router_id(254)) });
    let prefix = net("192.0.2.0/24");
    let reader = lab.rib.open_reader();
    let weighted = |n: u8, weight: u32| {
        let rule = Rule::accept("weighted").then(Action::Weight(weight));
        let import = Policy::compile(PolicyConfig::new("weights", Verdict::Accept).rule(rule)).unwrap();
        PeerParams { import, ..client(n) }
    };
    let one = lab.up(1, client(1));
    lab.announce(one, &[prefix], next_hop(21), &attributes(&[]));
    let best = |lab: &mut Lab| lab.rib.poll_reader(reader, 10).unwrap().changes[0].best.clone().unwrap();
    assert!(best(&mut lab).weights.is_empty());
    let (two, three) = (lab.up(2, weighted(2, 3)), lab.up(3, weighted(3, 5)));
    lab.announce(three, &[prefix], next_hop(20), &attributes(&[]));
    lab.announce(two, &[prefix], next_hop(22), &attributes(&[]));
    let best = best(&mut lab);
    assert_eq!(best.next_hops, [next_hop(21), next_hop(20), next_hop(22)]);
    assert_eq!(best.weights, [1, 5, 3]);
}

/// Three clients tell a prefix, equal in all but the last argument's choice; what the follower sees.
fn multipath(config: RibConfig, tell: impl Fn(u8) -> PathAttributes) -> (Vec<NextHop>, Vec<u32>) {
    let mut lab = Lab::with(config);
    for n in 1..=3 {
        let peer = lab.up(n, client(n));
        lab.announce(peer, &[net("10.0.0.0/26")], next_hop(n), &tell(n));
    }
    let reader = lab.rib.open_reader();
    let batch = lab.rib.poll_reader(reader, 10).unwrap();
    let best = batch.changes[0].best.clone().unwrap();
    (best.next_hops, best.weights)
}

fn config(max_paths: usize) -> RibConfig {
    RibConfig { max_paths, ..RibConfig::new(LOCAL_AS, router_id(254)) }
}

#[test]
fn equal_ways_through_other_as_need_the_relaxed_rule() {
    let through = |n: u8| attributes(&[64500 + u32::from(n.min(2))]);
    let strict = multipath(config(4), through).0;
    assert_eq!(strict, [next_hop(1)], "the best is alone with its AS_PATH");
    let relaxed = multipath(RibConfig { multipath_relax: true, ..config(4) }, through).0;
    assert_eq!(relaxed, [next_hop(1), next_hop(2), next_hop(3)]);
}

#[test]
fn internal_routes_have_a_bound_of_their_own() {
    let same = |_| attributes(&[64500]);
    assert_eq!(multipath(config(4), same).0.len(), 3);
    assert_eq!(multipath(RibConfig { max_paths_internal: Some(2), ..config(1) }, same).0.len(), 2);
    assert_eq!(multipath(RibConfig { max_paths_internal: Some(1), ..config(4) }, same).0.len(), 1);
}

#[test]
fn next_hops_weigh_as_their_links_are_wide() {
    let link = |bandwidth: f32| {
        let [a, b, c, d] = bandwidth.to_be_bytes();
        bgp_wire::ExtendedCommunity([0x40, 0x04, 0xfd, 0xe8, a, b, c, d])
    };
    let wide = |widths: [Option<f32>; 3]| {
        multipath(config(4), move |n| PathAttributes {
            extended_communities: widths[usize::from(n) - 1].map(link).into_iter().collect(),
            ..attributes(&[64500])
        })
        .1
    };
    assert_eq!(wide([Some(1.25e9), Some(5e9), Some(2.5e9)]), [64, 256, 128]);
    assert_eq!(wide([Some(1.0), Some(1e12), Some(1e12)]), [1, 256, 256], "never 0");
    assert_eq!(wide([Some(1e9), Some(1e9), Some(1e9)]), [], "all the same");
    assert_eq!(wide([Some(1e9), None, Some(2e9)]), [], "one says nothing");
    assert_eq!(wide([Some(1e9), Some(f32::NAN), Some(f32::INFINITY)]), [], "no bandwidths");
}

fn with_paths(lab: &mut Lab, paths: usize) {
    lab.input(Input::Multipath(Multipath { paths, ..Multipath::default() }));
    lab.settle();
}

#[test]
fn the_bound_on_next_hops_changes_while_a_follower_reads_and_peers_hear_nothing() {
    let mut lab = Lab::with(config(1));
    let prefix = net("192.0.2.0/24");
    let reader = lab.rib.open_reader();
    let peers: Vec<_> = (1..=3).map(|n| lab.up(n, client(n))).collect();
    for (n, peer) in (1..).zip(&peers) {
        lab.announce(*peer, &[prefix, net(&format!("10.0.{n}.0/24"))], next_hop(20 + n), &attributes(&[]));
    }
    let told = |lab: &mut Lab| {
        let batch = lab.rib.poll_reader(reader, 10)?;
        assert!(!batch.anew, "it goes on where it stood");
        let hops = batch.changes.iter().map(|change| (change.prefix, change.best.clone().unwrap().next_hops));
        Some(hops.collect::<Vec<_>>())
    };
    assert_eq!(told(&mut lab).unwrap().len(), 4);
    assert_eq!(told(&mut lab), None);
    lab.drain_all();
    peers.iter().for_each(|peer| lab.quiet(*peer));
    let hops =
        |last: std::ops::RangeInclusive<u8>| Some(vec![(prefix, last.map(|n| next_hop(20 + n)).collect())]);
    for (paths, is) in [(2, hops(1..=2)), (2, None), (4, hops(1..=3)), (1, hops(1..=1)), (3, hops(1..=3))] {
        with_paths(&mut lab, paths);
        assert_eq!(told(&mut lab), is, "{paths} paths");
        lab.drain_all();
        let updates: Vec<_> = peers.iter().map(|peer| lab.remotes[peer].updates).collect();
        assert_eq!(updates, [0; 3], "the best path is what it was");
    }
    let same = lab
        .rib
        .explain(prefix)
        .unwrap()
        .paths
        .iter()
        .filter(|p| matches!(p.verdict, PathVerdict::Multipath(_)))
        .count();
    assert_eq!(same, 2);
}

#[test]
fn what_a_follower_had_not_read_when_the_bound_changed_it_reads_afterwards() {
    let mut lab = Lab::with(config(1));
    let (kept, gone) = (net("192.0.2.0/26"), net("192.0.2.64/26"));
    let reader = lab.rib.open_reader();
    let one = lab.up(1, client(1));
    lab.announce(one, &[kept, gone], next_hop(1), &attributes(&[]));
    assert_eq!(lab.rib.poll_reader(reader, 10).unwrap().changes.len(), 2);
    lab.withdraw(one, &[gone]);
    with_paths(&mut lab, 8);
    let batch = lab.rib.poll_reader(reader, 10).unwrap();
    let there: Vec<_> = batch.changes.iter().map(|change| (change.prefix, change.best.is_some())).collect();
    assert_eq!(there, [(gone, false)]);
    lab.withdraw(one, &[kept]);
    lab.settle();
    assert_eq!(lab.rib.poll_reader(reader, 10).unwrap().changes.len(), 1);
    lab.drain_all();
    lab.settle();
    assert_eq!(lab.rib.table_counters(V4).tombstones, 0, "nothing is kept for a reader of the former log");
}

#[test]
fn the_relaxed_rule_may_come_and_go() {
    let mut lab = Lab::with(config(4));
    for n in 1..=2 {
        let peer = lab.up(n, client(n));
        lab.announce(peer, &[net("10.0.0.0/26")], next_hop(n), &attributes(&[64500 + u32::from(n)]));
    }
    let reader = lab.rib.open_reader();
    let hops = |lab: &mut Lab| {
        lab.settle();
        let batch = lab.rib.poll_reader(reader, 10).unwrap();
        batch.changes[0].best.clone().unwrap().next_hops
    };
    assert_eq!(hops(&mut lab), [next_hop(1)]);
    let relaxed = Multipath { paths: 4, internal: None, relax: true };
    lab.input(Input::Multipath(relaxed));
    assert_eq!(hops(&mut lab), [next_hop(1), next_hop(2)]);
    lab.input(Input::Multipath(Multipath { relax: false, ..relaxed }));
    assert_eq!(hops(&mut lab), [next_hop(1)]);
}

#[test]
fn with_a_bound_of_one_again_nothing_is_kept_of_several_next_hops_once_all_have_read() {
    let mut lab = Lab::with(config(1));
    let reader = lab.rib.open_reader();
    let peers: Vec<_> = (1..=2).map(|n| lab.up(n, client(n))).collect();
    let prefixes: Vec<_> = (0..200).map(|n| net(&format!("10.1.{n}.0/24"))).collect();
    for (n, peer) in (1..).zip(&peers) {
        lab.announce(*peer, &prefixes, next_hop(20 + n), &attributes(&[]));
    }
    let mut revision = 0;
    let mut read = |lab: &mut Lab| {
        let mut changes = 0;
        while let Some(batch) = lab.rib.poll_reader(reader, 1000) {
            assert!(batch.revision >= revision && !batch.anew);
            (revision, changes) = (batch.revision, changes + batch.changes.len());
        }
        changes
    };
    lab.drain_all();
    assert_eq!(read(&mut lab), 200);
    let before = lab.rib.memory().logs;
    with_paths(&mut lab, 4);
    assert_eq!(read(&mut lab), 200);
    with_paths(&mut lab, 1);
    assert!(lab.rib.memory().logs > before, "the follower has not read yet");
    assert_eq!(read(&mut lab), 200);
    lab.input(Input::Tick);
    assert_eq!(lab.rib.memory().logs, before);
    lab.withdraw(peers[0], &prefixes[..3]);
    assert_eq!(read(&mut lab), 3);
    with_paths(&mut lab, 4);
    assert_eq!(read(&mut lab), 197);
}
