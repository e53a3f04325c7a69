//! Two sessions back to back over a modelled TCP, every interleaving explored.
//!
//! Time is abstract: any timer that runs may expire at any moment, which includes every real timing. So the states
//! of the pair are finitely many, and the search goes on until there is no new one. Each test prints how many there were
//! (`cargo test -p bgp-fsm --lib explore -- --nocapture`).

#![allow(clippy::print_stdout, reason = "figures for information")]

mod graph;
mod pair;

use core::time::Duration;

use bgp_wire::{Asn, Family, GracefulRestart, RouterId};

use self::graph::{Graph, explore};
use self::pair::{Network, Pair};
use crate::collision::Progress;
use crate::{PeerAs, SessionConfig};

fn config(router_id: u32) -> SessionConfig {
    let mut config = SessionConfig::new(Asn(65000), RouterId(router_id), PeerAs::Internal);
    // So that a peer that oscillates is within reach of the search.
    config.idle_hold.tolerated = 1;
    config
}

fn restartable(router_id: u32) -> SessionConfig {
    let families = vec![(Family::IPV4_UNICAST, true)];
    let restart = GracefulRestart { restarting: false, notification: true, time: 120, families };
    SessionConfig { graceful_restart: Some(restart), ..config(router_id) }
}

fn delayed(router_id: u32) -> SessionConfig {
    SessionConfig { delay_open: Some(Duration::from_secs(5)), ..config(router_id) }
}

fn passive(router_id: u32) -> SessionConfig {
    SessionConfig { passive: true, ..config(router_id) }
}

/// Without faults: whatever the order of things, both come up, and what is up stays up.
fn both_come_up_and_stay_up(configs: [SessionConfig; 2]) {
    let graph = explore(Pair::new(configs, 0));
    assert_eq!(graph.down, None, "went down without a fault");
    assert_eq!(graph.lost().map(|at| graph.story(at)), None, "a deadlock");
}

/// After up to `faults` lost connections, failed attempts or expired HoldTimers, both come up again.
fn both_recover(configs: [SessionConfig; 2], faults: u8) {
    let graph = explore(Pair::new(configs, faults));
    assert!(graph.down.is_some(), "the faults reach sessions that are up");
    assert_eq!(graph.lost().map(|at| graph.story(at)), None, "a deadlock");
}

#[test]
fn simultaneous_open_comes_up_in_every_order() {
    both_come_up_and_stay_up([config(1), config(2)]);
}

#[test]
fn simultaneous_open_with_equal_identifiers_comes_up_in_every_order() {
    let of = |asn| SessionConfig { local_as: Asn(asn), peer_as: PeerAs::External, ..config(7) };
    both_come_up_and_stay_up([of(65001), of(65002)]);
}

/// Session `letter` stands for an implementation that decides at each OPEN by itself, over what has come as far as `least`.
fn beside_the_letter(letter: usize, least: Progress, network: Network) -> Graph {
    let mut start = Pair::new([config(1), config(2)], 0);
    start.sessions[letter].by_the_letter = Some(least);
    start.network = network;
    let graph = explore(start);
    assert_eq!(graph.lost().map(|at| graph.story(at)), None, "a deadlock");
    graph
}

fn stays_up_beside_the_letter(letter: usize, least: Progress) {
    let graph = beside_the_letter(letter, least, Network::FasterThanRetries);
    assert_eq!(graph.down, None, "went down without a fault");
}

/// RFC 4271 §6.8 has connections in OpenConfirm looked at, and permits those in OpenSent.
#[test]
fn another_implementation_with_the_lower_identifier_comes_up_and_stays_up() {
    stays_up_beside_the_letter(0, Progress::OpenConfirm);
    stays_up_beside_the_letter(0, Progress::OpenSent);
}

#[test]
fn another_implementation_with_the_higher_identifier_comes_up_and_stays_up() {
    stays_up_beside_the_letter(1, Progress::OpenConfirm);
    stays_up_beside_the_letter(1, Progress::OpenSent);
}

/// What the wait is for: without it each may close what the other keeps.
#[test]
fn another_implementation_with_the_higher_identifier_may_end_a_session_that_awaits_no_choice() {
    let hasty = SessionConfig { collision_wait: Duration::ZERO, ..config(1) };
    let mut start = Pair::new([hasty, config(2)], 0);
    start.network = Network::FasterThanRetries;
    start.sessions[1].by_the_letter = Some(Progress::OpenConfirm);
    let graph = explore(start);
    assert!(graph.down.is_some(), "the wait is not needed");
    assert_eq!(graph.lost().map(|at| graph.story(at)), None, "a deadlock");
}

/// Over a network slower than the wait both may have to try again.
#[test]
fn another_implementation_behind_a_slow_network_comes_up_in_the_end() {
    for letter in [0, 1] {
        beside_the_letter(letter, Progress::OpenConfirm, Network::OfAnySpeed);
        beside_the_letter(letter, Progress::OpenSent, Network::OfAnySpeed);
    }
}

/// One that has given its connection up may have to try again, as the other may choose that late.
#[test]
fn a_pair_that_takes_long_to_accept_comes_up_in_the_end() {
    let mut start = Pair::new([config(1), config(2)], 0);
    start.slow = true;
    let graph = explore(start);
    assert_eq!(graph.lost().map(|at| graph.story(at)), None, "a deadlock");
}

#[test]
fn a_passive_peer_comes_up_in_every_order() {
    both_come_up_and_stay_up([passive(1), config(2)]);
    both_come_up_and_stay_up([config(1), passive(2)]);
}

#[test]
fn delayed_opens_come_up_in_every_order() {
    both_come_up_and_stay_up([delayed(1), config(2)]);
    both_come_up_and_stay_up([config(1), delayed(2)]);
    both_come_up_and_stay_up([delayed(1), delayed(2)]);
}

#[test]
fn a_pair_recovers_from_a_fault_at_any_moment() {
    both_recover([config(1), config(2)], 1);
}

#[test]
#[ignore = "half a minute without optimisation"]
fn a_pair_recovers_from_two_faults_at_any_moments() {
    both_recover([config(1), config(2)], 2);
}

#[test]
fn a_passive_pair_recovers_from_two_faults_at_any_moments() {
    both_recover([passive(1), config(2)], 2);
}

#[test]
fn a_pair_in_which_a_new_open_replaces_the_session_recovers() {
    // Without the time that a session must have lasted, each late OPEN replaces it: the worst case.
    let eager = |id| SessionConfig { connect_retry: Duration::ZERO, ..restartable(id) };
    both_recover([eager(1), eager(2)], 1);
}

#[test]
fn sessions_of_graceful_restart_come_up_in_every_order_and_stay_up() {
    both_come_up_and_stay_up([restartable(1), restartable(2)]);
}

#[test]
fn a_pair_of_graceful_restart_recovers_from_a_fault_at_any_moment() {
    both_recover([restartable(1), restartable(2)], 1);
}

#[test]
fn a_pair_with_delayed_opens_recovers_from_a_fault_at_any_moment() {
    both_recover([delayed(1), config(2)], 1);
}

#[test]
#[ignore = "a quarter of a minute without optimisation"]
fn a_pair_that_both_delay_their_opens_recovers_from_a_fault_at_any_moment() {
    both_recover([delayed(1), delayed(2)], 1);
}

#[test]
fn a_passive_pair_of_graceful_restart_recovers_from_two_faults_at_any_moments() {
    let graceful = |id| SessionConfig { passive: true, ..restartable(id) };
    both_recover([graceful(1), restartable(2)], 2);
    both_recover([restartable(1), graceful(2)], 2);
}

#[test]
fn a_pair_over_a_network_slower_than_any_wait_comes_up_and_recovers() {
    for (configs, faults) in [([config(1), config(2)], 0), ([config(1), config(2)], 1)] {
        let graph = explore(Pair { network: Network::OfAnySpeed, ..Pair::new(configs, faults) });
        assert_eq!(graph.lost().map(|at| graph.story(at)), None, "a deadlock");
        assert!(faults > 0 || graph.down.is_none(), "went down without a fault");
    }
}

#[test]
fn a_pair_that_awaits_no_choice_comes_up_and_recovers() {
    let hasty = |id| SessionConfig { collision_wait: Duration::ZERO, ..config(id) };
    both_come_up_and_stay_up([hasty(1), hasty(2)]);
    both_come_up_and_stay_up([hasty(1), config(2)]);
    both_come_up_and_stay_up([config(1), hasty(2)]);
    both_recover([hasty(1), hasty(2)], 1);
}

#[test]
fn a_pair_that_resolves_collisions_even_when_established_recovers() {
    let detecting = |id| SessionConfig { collision_detect_established: true, ..config(id) };
    both_recover([detecting(1), detecting(2)], 1);
}
