//! Another export policy while the difference of the one before is being told: every message is news to its peer.

use bgp_rib::policy::{Action, Condition, Number, PolicyConfig, PrefixSet, Rule, Verdict};
use bgp_rib::{Input, PeerId, PeerParams, Policy, Retain, RibConfig};
use ipnet::{IpNet, Ipv4Net};

use crate::support::*;

const ROUTES: u32 = 400;

fn many() -> Vec<IpNet> {
    (0..ROUTES).map(|n| Ipv4Net::new((0x0a10_0000 + n).into(), 32).unwrap().into()).collect()
}

/// Gives every route this LOCAL_PREF.
fn preferring(value: u32) -> Policy {
    let rule = Rule::accept("prefer").then(Action::LocalPref(Number::Set(value)));
    Policy::compile(PolicyConfig::new("prefer", Verdict::Reject).rule(rule)).unwrap()
}

/// Lets every second block of 16 pass.
fn every_second_block() -> Policy {
    let blocks: Vec<IpNet> =
        (0..ROUTES / 32).map(|n| Ipv4Net::new((0x0a10_0000 + 32 * n).into(), 28).unwrap().into()).collect();
    let rule = Rule::reject("blocks").when(Condition::Prefix(PrefixSet::or_longer(&blocks)));
    Policy::compile(PolicyConfig::new("blocks", Verdict::Accept).rule(rule)).unwrap()
}

/// A peer that was told everything, in batches of ten routes.
fn told() -> (Lab, PeerId) {
    let mut lab = Lab::with(RibConfig { batch_prefixes: 10, ..RibConfig::new(LOCAL_AS, router_id(254)) });
    let (from, to) = (lab.up(1, client(1)), lab.up(2, client(2)));
    lab.announce(from, &many(), next_hop(1), &attributes(&[]));
    lab.drain_all();
    lab.quiet(to);
    lab.remotes.get_mut(&to).unwrap().strict = true;
    (lab, to)
}

fn swap(lab: &mut Lab, peer: PeerId, export: Policy) {
    lab.input(Input::SetPolicy { peer, import: None, export: Some(export) });
}

fn read(lab: &mut Lab, peer: PeerId, times: usize) {
    (0..times).for_each(|_| assert!(lab.read_once(peer, 1)));
}

#[test]
fn a_second_swap_within_the_walk_of_the_first_tells_the_difference_from_what_each_stretch_was_told() {
    let (mut lab, to) = told();
    swap(&mut lab, to, preferring(200));
    read(&mut lab, to, 10);
    assert_eq!(lab.remotes[&to].announced.len(), 100);
    swap(&mut lab, to, every_second_block());
    lab.drain(to);
    // A hundred were told with another preference, and half of them has it taken back; of the others half stays as it was.
    let (announced, withdrawn) = (&lab.remotes[&to].announced, &lab.remotes[&to].withdrawn);
    let rejected = ROUTES as usize / 32 * 16;
    assert_eq!(withdrawn.len(), rejected);
    assert_eq!(announced.len(), 100 + many()[..100].iter().filter(|net| !withdrawn.contains(net)).count());
    assert!(lab.view(to).values().all(|route| route.attributes.local_pref == Some(100)));
    assert_eq!(lab.view(to).len(), ROUTES as usize - rejected);
    assert_eq!(lab.rib.peer_counters(to, V4).advertised as usize, lab.view(to).len());
    assert_eq!(lab.rib.table_counters(V4).groups, 2, "the groups in between are gone");
}

#[test]
fn a_swap_that_is_taken_back_halfway_takes_back_what_was_told_and_nothing_else() {
    let (mut lab, to) = told();
    for times in [5, 20, 1] {
        swap(&mut lab, to, Policy::reject_all());
        read(&mut lab, to, times);
        swap(&mut lab, to, Policy::accept_all());
        lab.drain(to);
        let remote = &lab.remotes[&to];
        assert_eq!((remote.withdrawn.len(), remote.announced.len()), (times * 10, times * 10));
        assert_eq!(lab.view(to).len(), ROUTES as usize);
        lab.quiet(to);
    }
}

#[test]
fn a_swap_that_is_taken_back_before_anything_was_read_sends_nothing() {
    let (mut lab, to) = told();
    swap(&mut lab, to, preferring(200));
    swap(&mut lab, to, every_second_block());
    swap(&mut lab, to, Policy::accept_all());
    lab.drain(to);
    assert_eq!(lab.remotes[&to].updates, 0);
}

#[test]
fn swaps_faster_than_a_peer_reads_end_in_the_last_one() {
    let (mut lab, to) = told();
    for value in 0..50 {
        swap(&mut lab, to, preferring(200 + value));
        read(&mut lab, to, 1 + value as usize % 3);
        assert!(lab.rib.table_counters(V4).groups <= 11, "what is remembered of former rules is bounded");
    }
    lab.drain(to);
    assert!(lab.view(to).values().all(|route| route.attributes.local_pref == Some(249)));
    assert_eq!(lab.view(to).len(), ROUTES as usize);
    assert_eq!(lab.rib.table_counters(V4).groups, 2);
}

#[test]
fn what_changes_while_two_swaps_are_walked_is_told_once() {
    let (mut lab, to) = told();
    let from = PeerId(1);
    swap(&mut lab, to, preferring(200));
    read(&mut lab, to, 10);
    lab.announce(from, &many()[50..150], next_hop(1), &attributes(&[64512]));
    lab.withdraw(from, &many()[..10]);
    swap(&mut lab, to, preferring(300));
    lab.drain(to);
    let announced = &lab.remotes[&to].announced[100..];
    assert_eq!(announced.len(), ROUTES as usize - 10, "each route that there is, once");
    assert!(lab.view(to).values().all(|route| route.attributes.local_pref == Some(300)));
    assert_eq!(lab.view(to).len(), ROUTES as usize - 10);
}

#[test]
fn peers_that_swap_together_a_second_time_share_the_bytes() {
    let (mut lab, to) = told();
    let other = lab.up(3, client(3));
    lab.drain(other);
    for (policy, times) in [(preferring(200), 5), (preferring(300), 2)] {
        for peer in [to, other] {
            swap(&mut lab, peer, policy.clone());
        }
        for peer in [to, other] {
            read(&mut lab, peer, times);
        }
    }
    assert_eq!(lab.rib.table_counters(V4).groups, 3, "the source's, which both were in, and two for both");
    lab.drain_all();
    assert_eq!(lab.view(to), lab.view(other));
}

#[test]
fn a_peer_that_goes_in_the_middle_of_two_swaps_leaves_nothing_behind() {
    let (mut lab, to) = told();
    swap(&mut lab, to, preferring(200));
    read(&mut lab, to, 10);
    swap(&mut lab, to, every_second_block());
    read(&mut lab, to, 1);
    lab.down(to, Retain::Nothing);
    lab.settle();
    assert_eq!(lab.rib.table_counters(V4).groups, 1);
}

#[test]
fn a_slow_reader_holds_what_stands_after_swaps_churn_that_joins_the_logs_pieces_and_a_lost_peer() {
    let prefixes: Vec<IpNet> =
        (0..4000u32).map(|n| Ipv4Net::new((0x0a00_0000 + n * 256).into(), 24).unwrap().into()).collect();
    let rule = Rule::reject("some").when(Condition::Prefix(PrefixSet::or_longer(&[net("10.4.0.0/14")])));
    let without = Policy::compile(PolicyConfig::new("without", Verdict::Accept).rule(rule)).unwrap();
    for pause in [1, 3, 7] {
        let mut lab = Lab::with(RibConfig { batch_prefixes: 64, ..RibConfig::new(LOCAL_AS, router_id(254)) });
        let (stays, goes) = (lab.up(1, client(1)), lab.up(2, client(2)));
        let slow = lab.up(9, client(9));
        for (n, chunk) in (0..).zip(prefixes.chunks(100)) {
            lab.announce(stays, chunk, next_hop(1), &attributes(&[64512 + n % 5]));
            lab.announce(goes, chunk, next_hop(2), &attributes(&[]));
        }
        lab.settle();
        read(&mut lab, slow, pause);
        // Of each stretch of the log all but a few move to its end.
        for chunk in prefixes.chunks(20) {
            lab.announce(goes, &chunk[1..], next_hop(2), &attributes(&[64700]));
            lab.announce(stays, &chunk[2..], next_hop(1), &attributes(&[64600]));
        }
        read(&mut lab, slow, pause);
        swap(&mut lab, slow, preferring(300));
        read(&mut lab, slow, pause);
        lab.down(goes, Retain::Nothing);
        lab.input(Input::Tick);
        read(&mut lab, slow, pause);
        swap(&mut lab, slow, without.clone());
        lab.withdraw(stays, &prefixes[..500]);
        lab.input(Input::Tick);
        read(&mut lab, slow, pause);
        lab.drain_all();
        let fresh = lab.up(8, PeerParams { export: without.clone(), ..client(8) });
        lab.drain_all();
        assert_eq!(lab.view(slow), lab.view(fresh), "{pause}");
        assert_eq!(lab.view(slow).len(), 4000 - 500 - 1024);
        lab.settle();
        assert_eq!(lab.rib.table_counters(V4).tombstones, 0);
    }
}

#[test]
fn end_of_rib_comes_behind_the_first_table_while_policies_are_swapped_faster_than_it_is_read() {
    let mut lab = Lab::with(RibConfig { batch_prefixes: 10, ..RibConfig::new(LOCAL_AS, router_id(254)) });
    let from = lab.up(1, client(1));
    lab.announce(from, &many(), next_hop(1), &attributes(&[]));
    let to = lab.up(2, client(2));
    let mut reads = 0;
    while !lab.remotes[&to].end_of_rib.contains(&V4) {
        read(&mut lab, to, 1);
        swap(&mut lab, to, preferring(1000 + reads));
        reads += 1;
        assert!(reads <= 3 * ROUTES / 10 + 3, "one of three reads at least is of the first table");
    }
    assert_eq!(lab.view(to).len(), ROUTES as usize, "all that stood at the start, by whichever policy");
    lab.drain_all();
    assert!(lab.view(to).values().all(|route| route.attributes.local_pref == Some(1000 + reads - 1)));
}
