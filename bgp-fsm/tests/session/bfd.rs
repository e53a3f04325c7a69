//! What BFD says ends sessions and holds them off (RFC 5882, RFC 9384).

use crate::support::{Bench, Done, IN, LOW_ID, OUT, config, peer_open, restarting_open, seconds};
use bgp_fsm::{Bfd, Event, Input, SessionConfig, State, Stop};
use bgp_wire::{Notification, NotificationCode, subcode};

const DOWN: Bfd = Bfd::Down { control_plane_independent: false };
const FORWARDING_LOST: Bfd = Bfd::Down { control_plane_independent: true };

fn strict() -> SessionConfig {
    SessionConfig { bfd_strict: true, ..config() }
}

fn goes_down(mut bench: Bench, to: Bfd) -> (Bench, Done) {
    assert!(bench.feed(Input::Bfd(Bfd::Up)).0.is_empty());
    let done = bench.feed(Input::Bfd(to));
    (bench, done)
}

fn told_of_lost_forwarding(done: &Done) -> bool {
    done.events().any(|event| matches!(event, Event::ForwardingLost))
}

#[test]
fn bfd_that_goes_down_ends_the_session_at_once_with_its_own_reason() {
    for to in [DOWN, FORWARDING_LOST] {
        let (bench, done) = goes_down(Bench::established(config(), peer_open(LOW_ID)), to);
        assert_eq!((done.code(), done.closed()), (Some((6, 10)), vec![OUT]));
        let reason = done.down().expect("the session is down");
        assert_eq!((reason.retain, reason.to_string().as_str()), (false, "BFD cannot reach the peer"));
        assert_eq!(bench.state(), State::Idle);
    }
}

#[test]
fn a_session_ended_by_bfd_comes_back_by_itself() {
    let (mut bench, _) = goes_down(Bench::established(config(), peer_open(LOW_ID)), DOWN);
    assert!(bench.pass(seconds(1)).dials());
}

#[test]
fn attempts_end_when_bfd_goes_down() {
    let (bench, done) = goes_down(Bench::open_sent(config()), DOWN);
    assert_eq!((done.code(), bench.state()), (Some((6, 10)), State::Idle));
    let (_, done) = goes_down(Bench::connecting(config()), DOWN);
    assert!(done.0.iter().any(|output| matches!(output, bgp_fsm::Output::AbortConnect)));
}

#[test]
fn without_the_c_bit_graceful_restart_goes_on() {
    for notification in [false, true] {
        let (_, done) = goes_down(Bench::established(config(), restarting_open(LOW_ID, notification)), DOWN);
        assert_eq!(done.code(), Some((6, 10)));
        assert_eq!(done.down().map(|reason| reason.retain), Some(true), "RFC 5882 §4.3.2");
        assert!(!told_of_lost_forwarding(&done));
    }
}

#[test]
fn with_the_c_bit_nothing_is_kept() {
    let (_, done) = goes_down(Bench::established(config(), restarting_open(LOW_ID, false)), FORWARDING_LOST);
    assert_eq!((done.code(), done.down().map(|reason| reason.retain)), (Some((6, 10)), Some(false)));
    // Where NOTIFICATIONs are graceful, the peer is told that this one is not.
    let (_, done) = goes_down(Bench::established(config(), restarting_open(LOW_ID, true)), FORWARDING_LOST);
    let down = Notification::new(NotificationCode::CEASE, subcode::cease::BFD_DOWN);
    assert_eq!(done.notification(), Some(Notification::cease_hard_reset(&down)));
    assert_eq!(done.down().map(|reason| reason.retain), Some(false));
}

#[test]
fn with_the_c_bit_a_restart_that_goes_on_is_over() {
    let restarting = || {
        let mut bench = Bench::established(config(), restarting_open(LOW_ID, true));
        let done = bench.feed(Input::Closed(OUT, "Connection reset by peer"));
        assert_eq!(done.down().map(|reason| reason.retain), Some(true));
        bench
    };
    assert!(told_of_lost_forwarding(&goes_down(restarting(), FORWARDING_LOST).1));
    assert!(!told_of_lost_forwarding(&goes_down(restarting(), DOWN).1), "RFC 5882 §4.3.2");
}

#[test]
fn bfd_out_of_service_or_never_up_leaves_the_session_alone() {
    let mut bench = Bench::established(config(), peer_open(LOW_ID));
    for state in
        [DOWN, Bfd::AdminDown, DOWN, FORWARDING_LOST, Bfd::Up, Bfd::AdminDown, DOWN, Bfd::Up, Bfd::Up]
    {
        assert!(bench.feed(Input::Bfd(state)).0.is_empty(), "{state:?}");
    }
    assert_eq!(bench.session.established(), Some(OUT));
}

#[test]
fn a_strict_session_waits_for_bfd() {
    for go in [Bfd::Up, Bfd::AdminDown] {
        let mut bench = Bench::new(strict());
        assert!(bench.feed(Input::Start).0.is_empty());
        assert!(bench.feed(Input::Bfd(DOWN)).0.is_empty());
        assert_eq!(bench.feed(Input::Accepted(IN)).closed(), [IN], "nor is the peer let in");
        assert_eq!((bench.state(), bench.session.poll_timeout()), (State::Idle, None));
        assert!(bench.feed(Input::Bfd(go)).dials(), "{go:?}");
    }
}

#[test]
fn a_strict_session_that_bfd_ended_waits_for_bfd_again() {
    let mut bench = Bench::new(strict());
    bench.feed(Input::Bfd(Bfd::Up));
    assert!(bench.feed(Input::Start).dials());
    bench.feed(Input::Connected(OUT));
    bench.open(OUT, peer_open(LOW_ID));
    bench.keepalive(OUT);
    assert!(bench.feed(Input::Bfd(DOWN)).down().is_some());
    assert!(!bench.pass(seconds(600)).dials());
    assert!(bench.feed(Input::Bfd(Bfd::Up)).dials());
}

#[test]
fn bfd_starts_no_session_that_was_stopped() {
    let mut bench = Bench::new(strict());
    bench.feed(Input::Start);
    bench.feed(Input::Stop(Stop::Silent));
    assert!(bench.feed(Input::Bfd(Bfd::Up)).0.is_empty());
}
