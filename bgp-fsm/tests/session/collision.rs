//! Two connections at once (RFC 4271 §6.8), seen from one side. Both sides together are explored inside the crate.

use crate::support::{Bench, HIGH_ID, IN, LOW_ID, OUT, config, peer_open, restarting_open, seconds};
use bgp_fsm::{Cause, ConnId, Event, Input, PeerAs, SessionConfig, State};
use bgp_wire::{Asn, Capability, Message, Notification, Open};

/// OpenSent on both connections.
fn crossed(config: SessionConfig) -> Bench {
    let mut bench = Bench::open_sent(config);
    bench.feed(Input::Accepted(IN));
    bench
}

#[test]
fn with_the_higher_identifier_our_connection_stays() {
    let mut bench = crossed(config());
    let done = bench.open(IN, peer_open(LOW_ID));
    assert_eq!(done.messages(), [(IN, Message::Notification(Notification::cease_collision()))]);
    assert_eq!(done.closed(), [IN]);
    bench.open(OUT, peer_open(LOW_ID));
    bench.keepalive(OUT);
    assert_eq!(bench.session.established(), Some(OUT));
    assert_eq!(bench.session.counters().collisions, 1);
    assert_eq!(bench.session.last_error(), None, "a collision is no error");
}

#[test]
fn with_the_lower_identifier_the_connection_of_the_peer_stays() {
    let mut bench = crossed(config());
    bench.open(OUT, peer_open(HIGH_ID));
    assert_eq!(bench.state(), State::OpenConfirm, "the peer decides, so both are kept");
    let done = bench.open(IN, peer_open(HIGH_ID));
    assert_eq!(done.closed(), [OUT]);
    bench.keepalive(IN);
    assert_eq!(bench.session.established(), Some(IN));
}

#[test]
fn what_the_peer_confirms_first_stays_when_it_is_the_peer_that_decides() {
    let mut bench = crossed(config());
    bench.open(OUT, peer_open(HIGH_ID));
    let done = bench.keepalive(OUT);
    assert_eq!(done.closed(), [IN]);
    assert_eq!(bench.session.established(), Some(OUT));
}

#[test]
fn equal_identifiers_are_decided_by_the_larger_as() {
    for (asn, loser) in [(64_999, IN), (65_001, OUT)] {
        let mut bench = crossed(SessionConfig { peer_as: PeerAs::External, ..config() });
        let open = || Open {
            my_as: asn,
            capabilities: vec![Capability::FourOctetAs(Asn(asn.into()))],
            ..peer_open(config().router_id)
        };
        let mut done = bench.open(OUT, open());
        done.0.extend(bench.open(IN, open()).0);
        assert_eq!(done.closed(), [loser]);
    }
}

#[test]
fn an_attempt_that_runs_is_given_up_once_the_peer_has_opened() {
    let mut bench = Bench::connecting(config());
    bench.feed(Input::Accepted(IN));
    let done = bench.open(IN, peer_open(LOW_ID));
    assert!(done.0.iter().any(|output| matches!(output, bgp_fsm::Output::AbortConnect)));
    assert_eq!(bench.feed(Input::Connected(OUT)).closed(), [OUT], "it succeeded too late");
    bench.keepalive(IN);
    assert_eq!(bench.session.established(), Some(IN));
}

#[test]
fn established_keeps_against_a_new_connection() {
    let mut bench = Bench::established(config(), peer_open(HIGH_ID));
    bench.feed(Input::Accepted(IN));
    bench.now += seconds(60);
    let done = bench.open(IN, peer_open(HIGH_ID));
    assert_eq!((done.code(), done.closed()), (Some((6, 7)), vec![IN]));
    assert_eq!(bench.session.established(), Some(OUT));
}

#[test]
fn established_yields_when_the_operator_says_so() {
    let config = SessionConfig { collision_detect_established: true, ..config() };
    let mut bench = Bench::established(config, peer_open(HIGH_ID));
    bench.feed(Input::Accepted(IN));
    let done = bench.open(IN, peer_open(HIGH_ID));
    assert_eq!(done.closed(), [OUT]);
    assert!(done.down().is_some());
    bench.keepalive(IN);
    assert_eq!(bench.session.established(), Some(IN));
}

#[test]
fn the_newer_of_two_connections_of_the_peer_is_the_live_one() {
    let mut bench = Bench::active(config());
    bench.feed(Input::Accepted(ConnId(7)));
    bench.feed(Input::Accepted(ConnId(8)));
    let done = bench.open(ConnId(8), peer_open(LOW_ID));
    assert_eq!(done.closed(), [ConnId(7)]);
    bench.keepalive(ConnId(8));
    assert_eq!(bench.session.established(), Some(ConnId(8)));
}

#[test]
fn a_third_connection_is_closed() {
    let mut bench = crossed(config());
    let done = bench.feed(Input::Accepted(ConnId(9)));
    assert_eq!((done.closed(), done.messages()), (vec![ConnId(9)], vec![]));
    assert_eq!(bench.session.counters().refused, 1);
}

#[test]
fn the_loss_of_one_connection_leaves_the_other_alone() {
    for notification in [Notification::cease_collision(), Notification::bad_peer_as()] {
        let mut bench = crossed(config());
        bench.message(OUT, &Message::Notification(notification));
        assert_eq!(bench.state(), State::OpenSent);
        bench.open(IN, peer_open(LOW_ID));
        bench.keepalive(IN);
        assert_eq!(bench.session.established(), Some(IN));
    }
}

#[test]
fn in_idle_connections_are_closed_without_a_word() {
    let mut bench = Bench::new(config());
    let done = bench.feed(Input::Accepted(IN));
    assert_eq!((done.closed(), done.messages()), (vec![IN], vec![]));
}

#[test]
fn a_restarted_peer_replaces_its_session_without_a_notification() {
    let mut bench = Bench::established(config(), restarting_open(LOW_ID, false));
    bench.now += seconds(30);
    bench.feed(Input::Accepted(IN));
    let done = bench.open(IN, restarting_open(LOW_ID, false));
    let reason = done.down().expect("the old session is down");
    assert_eq!((&reason.cause, reason.retain), (&Cause::Superseded, true));
    assert_eq!((done.closed(), done.code()), (vec![OUT], None));
    let done = bench.keepalive(IN);
    assert!(done.events().any(|event| matches!(event, Event::Established(IN, _))));
}

#[test]
fn a_restarted_peer_is_recognised_on_a_second_connection_of_its_own() {
    let mut bench = Bench::active(config());
    bench.feed(Input::Accepted(ConnId(7)));
    bench.open(ConnId(7), restarting_open(LOW_ID, true));
    bench.keepalive(ConnId(7));
    bench.now += seconds(30);
    bench.feed(Input::Accepted(ConnId(8)));
    let done = bench.open(ConnId(8), restarting_open(LOW_ID, true));
    assert!(done.down().expect("the old session is down").retain);
    bench.keepalive(ConnId(8));
    assert_eq!(bench.session.established(), Some(ConnId(8)));
}

#[test]
fn a_peer_that_dialled_the_session_and_dials_again_has_restarted_however_soon() {
    let mut bench = Bench::active(config());
    bench.feed(Input::Accepted(ConnId(7)));
    bench.open(ConnId(7), restarting_open(LOW_ID, true));
    bench.keepalive(ConnId(7));
    bench.feed(Input::Accepted(ConnId(8)));
    let done = bench.open(ConnId(8), restarting_open(LOW_ID, true));
    let reason = done.down().expect("the old session is down");
    assert_eq!((&reason.cause, reason.retain, done.code()), (&Cause::Superseded, true, None));
}

#[test]
fn a_peer_that_confirms_a_new_connection_right_after_the_session_came_up_has_restarted() {
    let mut bench = Bench::established(config(), restarting_open(LOW_ID, true));
    bench.feed(Input::Accepted(IN));
    let done = bench.open(IN, restarting_open(LOW_ID, true));
    assert_eq!((done.messages(), done.closed()), (vec![(IN, Message::KeepAlive)], vec![]));
    assert_eq!(bench.session.established(), Some(OUT), "nothing is decided yet");
    let done = bench.keepalive(IN);
    let reason = done.down().expect("the old session is down");
    assert_eq!((&reason.cause, reason.retain, done.code()), (&Cause::Superseded, true, None));
    assert_eq!((done.closed(), bench.session.established()), (vec![OUT], Some(IN)));
}

#[test]
fn a_late_attempt_from_before_the_session_is_a_collision_and_no_restart() {
    let mut bench = Bench::established(config(), restarting_open(LOW_ID, true));
    bench.feed(Input::Accepted(IN));
    bench.open(IN, restarting_open(LOW_ID, true));
    let done = bench.message(IN, &Message::Notification(Notification::cease_collision()));
    assert_eq!((done.code(), done.closed(), done.down()), (None, vec![IN], None));
    assert_eq!(bench.session.established(), Some(OUT));
}
