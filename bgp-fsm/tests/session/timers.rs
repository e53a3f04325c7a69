//! Timers, back-off and liveness.

use core::time::Duration;

use crate::support::{Bench, Done, HIGH_ID, IN, LOW_ID, OUT, config, peer_open, restarting_open, seconds};
use bgp_fsm::{Cause, ConnId, Event, IdleHold, Input, Output, SessionConfig, State};
use bgp_wire::{Message, Notification, Open};

fn with_hold(hold_time: u16) -> Bench {
    Bench::established(config(), Open { hold_time, ..peer_open(LOW_ID) })
}

#[test]
fn keepalives_go_out_at_75_to_100_percent_of_a_third_of_the_hold_time() {
    let mut bench = with_hold(30);
    let mut last = bench.now;
    let mut gaps = Vec::new();
    for _ in 0..200 {
        bench.keepalive(OUT);
        let done = bench.tick().expect("KeepaliveTimer runs");
        assert_eq!(done.messages(), [(OUT, Message::KeepAlive)]);
        gaps.push(bench.now - last);
        last = bench.now;
    }
    let bounds = Duration::from_millis(7_500)..=seconds(10);
    assert!(gaps.iter().all(|gap| bounds.contains(gap)), "{gaps:?}");
    assert!(gaps.iter().max() > gaps.iter().min(), "there is jitter");
}

#[test]
fn keepalives_of_many_sessions_fall_due_together() {
    let mut due = std::collections::BTreeSet::new();
    for n in 0..500_u32 {
        let mut bench = with_hold(30);
        bench.now += Duration::from_micros(u64::from(n) * 1_234);
        bench.keepalive(OUT);
        bench.tick();
        bench.keepalive(OUT);
        due.insert(bench.session.poll_timeout());
    }
    assert!(due.len() < 100, "{} different times", due.len());
}

#[test]
fn a_keepalive_that_is_nearly_due_answers_the_one_of_the_peer() {
    let mut bench = with_hold(30);
    let sent = bench.now;
    bench.now = sent + Duration::from_millis(7_400);
    assert_eq!(bench.keepalive(OUT).messages(), [], "jitter does not let it go so early");
    bench.now = sent + Duration::from_millis(7_500);
    assert_eq!(bench.keepalive(OUT).messages(), [(OUT, Message::KeepAlive)]);
    assert_eq!(bench.keepalive(OUT).messages(), [], "once");
    let next = bench.session.poll_timeout().map(|at| at - bench.now);
    assert!(next >= Some(Duration::from_millis(7_500)), "the timer runs anew: {next:?}");
}

#[test]
fn keepalives_are_never_answered_within_a_second() {
    let mut bench = with_hold(3);
    bench.now += Duration::from_millis(999);
    assert_eq!(bench.keepalive(OUT).messages(), []);
}

#[test]
fn keepalives_are_never_closer_than_a_second() {
    let mut bench = with_hold(3);
    for _ in 0..50 {
        let before = bench.now;
        bench.keepalive(OUT);
        bench.tick();
        assert_eq!(bench.now - before, seconds(1));
    }
}

#[test]
fn a_silent_peer_is_dead_after_the_hold_time() {
    let mut bench = with_hold(9);
    let done = bench.pass(Duration::from_millis(8_999));
    assert!(done.down().is_none());
    let done = bench.pass(Duration::from_millis(1));
    assert_eq!(done.notification(), Some(Notification::hold_timer_expired()));
    assert_eq!(done.closed(), [OUT]);
    assert_eq!(bench.state(), State::Idle);
    assert_eq!(bench.session.last_error().map(ToString::to_string).as_deref(), Some("Hold timer expired"));
}

#[test]
fn updates_and_keepalives_restart_hold() {
    let mut bench = with_hold(9);
    for n in 0..20 {
        let done = bench.pass(seconds(8));
        assert!(done.down().is_none());
        if n % 2 == 0 {
            assert!(bench.feed(Input::Update(OUT)).0.is_empty(), "an UPDATE costs nothing but the timer");
        } else {
            bench.keepalive(OUT);
        }
    }
    assert_eq!(bench.session.counters().updates_in, 10);
}

#[test]
fn a_tick_before_its_time_does_nothing() {
    let mut bench = with_hold(9);
    let before = bench.session.poll_timeout();
    assert!(bench.feed(Input::Tick).0.is_empty());
    assert_eq!(bench.session.poll_timeout(), before);
}

#[test]
fn a_hold_time_of_zero_runs_no_timer_at_all() {
    let mut bench = with_hold(0);
    assert_eq!(bench.session.poll_timeout(), None);
    bench.now += seconds(100_000);
    assert!(bench.feed(Input::Tick).0.is_empty());
    assert_eq!(bench.state(), State::Established);
}

#[test]
fn a_peer_that_never_confirms_is_left_even_with_a_hold_time_of_zero() {
    let mut bench = Bench::open_confirm(config(), Open { hold_time: 0, ..peer_open(LOW_ID) });
    assert!(bench.pass(seconds(239)).code().is_none());
    assert_eq!(bench.pass(seconds(1)).code(), Some((4, 0)));
}

#[test]
fn unread_input_puts_off_the_death_of_a_peer() {
    let mut bench = with_hold(30);
    for _ in 0..10 {
        bench.now += seconds(30);
        bench.feed(Input::InputPending(OUT));
        assert!(bench.feed(Input::Tick).down().is_none());
    }
    bench.now += seconds(10);
    assert!(bench.feed(Input::Tick).down().is_some(), "only for as long as it is said");
}

#[test]
fn unread_input_never_shortens_hold() {
    let mut bench = with_hold(90);
    bench.feed(Input::InputPending(OUT));
    assert!(bench.pass(seconds(89)).down().is_none());
}

/// Lets time pass while the peer is heard, with each timer on time.
fn pass_hearing(bench: &mut Bench, time: Duration) -> Done {
    let mut done = Done::default();
    for _ in 0..time.as_secs() {
        done.0.extend(bench.keepalive(OUT).0);
        done.0.extend(bench.pass(seconds(1)).0);
    }
    done
}

#[test]
fn a_peer_that_does_not_read_is_left_after_send_hold() {
    let mut bench = with_hold(90);
    bench.feed(Input::WriteBlocked(OUT));
    pass_hearing(&mut bench, seconds(100));
    bench.feed(Input::WriteBlocked(OUT));
    assert!(pass_hearing(&mut bench, seconds(379)).down().is_none());
    let done = pass_hearing(&mut bench, seconds(1));
    assert_eq!(done.notification(), Some(Notification::send_hold_timer_expired()));
    let reason = done.down().expect("the session is down");
    assert_eq!(reason.to_string(), "Send hold timer expired");
}

#[test]
fn a_peer_that_reads_again_is_kept() {
    let mut bench = with_hold(90);
    bench.feed(Input::WriteBlocked(OUT));
    pass_hearing(&mut bench, seconds(479));
    bench.feed(Input::WriteProgress(OUT));
    pass_hearing(&mut bench, seconds(1000));
    assert_eq!(bench.state(), State::Established);
}

/// RFC 9687 §4.3, whatever SendHold time the operator chose.
#[test]
fn without_a_hold_time_there_is_no_send_hold() {
    for send_hold in [None, Some(seconds(20))] {
        let config = SessionConfig { send_hold, ..config() };
        let mut bench = Bench::established(config, Open { hold_time: 0, ..peer_open(LOW_ID) });
        bench.feed(Input::WriteBlocked(OUT));
        bench.pass(seconds(10_000));
        assert_eq!(bench.state(), State::Established);
    }
}

#[test]
fn failures_of_long_ago_do_not_hold_off_a_peer_whose_session_lasted() {
    let mut bench = Bench::new(SessionConfig { passive: true, ..config() });
    bench.feed(Input::Start);
    for n in 0..1000 {
        bench.pass(seconds(61));
        bench.feed(Input::Accepted(ConnId(n)));
        bench.message(ConnId(n), &Message::Notification(Notification::cease_rejected()));
    }
    bench.pass(seconds(61));
    bench.feed(Input::Accepted(ConnId(1000)));
    bench.open(ConnId(1000), peer_open(LOW_ID));
    bench.keepalive(ConnId(1000));
    bench.keep_hearing(ConnId(1000), seconds(1200));
    bench.feed(Input::Closed(ConnId(1000), "Connection closed by the peer"));
    let done = bench.feed(Input::Accepted(ConnId(1001)));
    assert!(matches!(&done.messages()[..], [(ConnId(1001), Message::Open(_))]), "{done:?}");
}

#[test]
fn send_hold_is_twice_a_long_hold_time_or_what_the_operator_chose() {
    let expires = |config: SessionConfig, after: u64| {
        let mut bench = Bench::established(config, Open { hold_time: 600, ..peer_open(LOW_ID) });
        bench.feed(Input::WriteBlocked(OUT));
        for _ in 0..after - 1 {
            bench.keepalive(OUT);
            assert!(bench.pass(seconds(1)).down().is_none());
        }
        bench.keepalive(OUT);
        bench.pass(seconds(1)).down().is_some()
    };
    assert!(expires(SessionConfig { hold_time: seconds(600), ..config() }, 1200));
    assert!(expires(SessionConfig { send_hold: Some(seconds(20)), ..config() }, 20));
}

#[test]
fn a_peer_that_never_sends_its_open_is_left() {
    let mut bench = Bench::open_sent(config());
    assert_eq!(bench.pass(seconds(240)).code(), Some((4, 0)));
    let mut bench = Bench::open_sent(SessionConfig { open_hold_time: Duration::ZERO, ..config() });
    assert_eq!(bench.pass(seconds(1)).code(), Some((4, 0)), "there is no waiting for ever");
}

#[test]
fn an_attempt_that_gets_no_answer_is_given_up_and_made_again() {
    let mut bench = Bench::connecting(config());
    for _ in 0..10 {
        let before = bench.now;
        let done = bench.tick().expect("ConnectRetryTimer runs");
        assert!((Duration::from_millis(3_750)..=seconds(5)).contains(&(bench.now - before)));
        assert!(matches!(
            done.0.as_slice(),
            [Output::AbortConnect, Output::Event(Event::AttemptFailed(_)), Output::Connect]
        ));
        assert_eq!(bench.state(), State::Connect);
    }
}

#[test]
fn a_refused_connection_is_tried_again_after_connect_retry_while_listening() {
    let mut bench = Bench::connecting(config());
    let done = bench.feed(Input::ConnectFailed("Connection refused"));
    assert_eq!(bench.session.last_error().map(ToString::to_string).as_deref(), Some("Connection refused"));
    assert!(!done.dials());
    assert_eq!(bench.state(), State::Active);
    let before = bench.now;
    assert!(bench.tick().expect("ConnectRetryTimer runs").dials());
    assert!((Duration::from_millis(3_750)..=seconds(5)).contains(&(bench.now - before)));
}

/// The waits between attempts of a session whose peer refuses each OPEN.
fn waits_of_a_refused_session(config: SessionConfig, attempts: u32) -> Vec<Duration> {
    let mut bench = Bench::connecting(config);
    let mut waits = Vec::new();
    for n in 0..attempts {
        let conn = ConnId(100 + n);
        bench.feed(Input::Connected(conn));
        bench.message(conn, &Message::Notification(Notification::cease_rejected()));
        assert_eq!(bench.state(), State::Idle);
        let before = bench.now;
        assert!(bench.tick().expect("IdleHoldTimer runs").dials());
        waits.push(bench.now - before);
    }
    waits
}

#[test]
fn a_peer_that_refuses_each_open_is_retried_with_growing_jittered_capped_delays() {
    let waits = waits_of_a_refused_session(config(), 12);
    let steps = [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60];
    for (wait, step) in waits.iter().zip(steps) {
        assert!((seconds(step) * 3 / 4..=seconds(step)).contains(wait), "{wait:?} for {step} s");
    }
    let last: std::collections::BTreeSet<_> = waits.iter().skip(6).collect();
    assert!(last.len() > 1, "equal steps differ by jitter");
}

#[test]
fn a_peer_that_closes_after_each_open_is_retried_with_growing_delays_too() {
    let mut bench = Bench::connecting(config());
    let mut waits = Vec::new();
    for n in 0..10 {
        let conn = ConnId(100 + n);
        bench.feed(Input::Connected(conn));
        bench.feed(Input::Closed(conn, "Connection closed by peer"));
        assert_eq!(bench.state(), State::Active, "and the peer may connect meanwhile");
        let before = bench.now;
        assert!(bench.tick().expect("ConnectRetryTimer runs").dials());
        waits.push(bench.now - before);
    }
    assert!(waits[0] <= seconds(5) && waits[9] >= seconds(45), "{waits:?}");
}

#[test]
fn even_a_configuration_of_zeros_makes_no_busy_loop() {
    let zero = IdleHold { min: Duration::ZERO, max: Duration::ZERO, forgive: Duration::ZERO, tolerated: 0 };
    let config = SessionConfig { idle_hold: zero, connect_retry: Duration::ZERO, ..config() };
    let waits = waits_of_a_refused_session(config, 20);
    assert!(waits.iter().all(|wait| *wait >= Duration::from_millis(10)), "{waits:?}");
}

#[test]
fn a_stable_session_decays_the_back_off() {
    let wait_after = |uptime: u64| {
        let mut bench = Bench::connecting(config());
        for n in 0..8 {
            let conn = ConnId(100 + n);
            bench.feed(Input::Connected(conn));
            bench.message(conn, &Message::Notification(Notification::cease_rejected()));
            bench.tick();
        }
        bench.feed(Input::Connected(OUT));
        bench.open(OUT, Open { hold_time: 0, ..peer_open(LOW_ID) });
        bench.keepalive(OUT);
        bench.now += seconds(uptime);
        bench.feed(Input::Closed(OUT, "Connection reset by peer"));
        bench.session.poll_timeout().expect("IdleHoldTimer runs") - bench.now
    };
    assert!(wait_after(1) >= seconds(45));
    // The seventh failure is the last to make the wait longer; four of them are forgiven, and this is one more.
    assert!((seconds(6)..=seconds(8)).contains(&wait_after(4 * 60)));
    assert!(wait_after(3600) <= seconds(1));
}

#[test]
fn a_session_that_we_reset_after_a_long_time_has_earned_its_failures_back() {
    let mut bench = Bench::connecting(config());
    for n in 0..8 {
        let conn = ConnId(100 + n);
        bench.feed(Input::Connected(conn));
        bench.message(conn, &Message::Notification(Notification::cease_rejected()));
        bench.tick();
    }
    bench.feed(Input::Connected(OUT));
    bench.open(OUT, Open { hold_time: 0, ..peer_open(LOW_ID) });
    bench.keepalive(OUT);
    bench.now += seconds(3600);
    bench.feed(Input::Reset(Notification::cease_config_change()));
    assert!(bench.pass(seconds(1)).dials());
}

#[test]
fn starting_by_hand_ends_the_back_off() {
    let mut bench = Bench::open_sent(config());
    bench.message(OUT, &Message::Notification(Notification::cease_rejected()));
    assert_eq!(bench.state(), State::Idle);
    assert!(bench.feed(Input::Start).dials());
}

#[test]
fn a_passive_session_never_dials() {
    let passive = || SessionConfig { passive: true, ..config() };
    let mut bench = Bench::new(passive());
    assert!(!bench.feed(Input::Start).dials());
    assert_eq!((bench.state(), bench.session.poll_timeout()), (State::Active, None));
    bench.feed(Input::Accepted(IN));
    bench.open(IN, peer_open(HIGH_ID));
    bench.keepalive(IN);
    assert_eq!(bench.state(), State::Established);
    bench.feed(Input::Closed(IN, "Connection closed by peer"));
    let done = bench.pass(seconds(1));
    assert!(!done.dials());
    assert_eq!(bench.state(), State::Active);
}

#[test]
fn a_peer_in_the_middle_of_its_restart_is_not_refused() {
    let mut bench = Bench::established(config(), restarting_open(HIGH_ID, true));
    bench.feed(Input::Closed(OUT, "Connection reset by peer"));
    assert!(bench.feed(Input::Accepted(IN)).closed().is_empty());
    assert_eq!(bench.state(), State::OpenSent);
}

#[test]
fn a_peer_that_was_cut_off_is_let_in_at_once_and_one_that_oscillates_is_held_off() {
    let mut bench = Bench::established(config(), peer_open(HIGH_ID));
    bench.feed(Input::Closed(OUT, "Connection reset by peer"));
    assert_eq!(bench.state(), State::Idle);
    bench.feed(Input::Accepted(IN));
    bench.open(IN, peer_open(HIGH_ID));
    bench.keepalive(IN);
    assert_eq!(bench.state(), State::Established);
    bench.feed(Input::Closed(IN, "Connection reset by peer"));
    assert_eq!(bench.feed(Input::Accepted(ConnId(3))).closed(), [ConnId(3)]);
    bench.tick();
    assert!(bench.feed(Input::Accepted(ConnId(4))).closed().is_empty());
}

#[test]
fn a_peer_that_oscillates_is_refused_no_longer_than_connect_retry_time_however_long_we_wait() {
    let mut bench = Bench::connecting(config());
    for n in 0..12 {
        let conn = ConnId(100 + n);
        bench.feed(Input::Connected(conn));
        bench.message(conn, &Message::Notification(Notification::cease_rejected()));
        if n < 11 {
            bench.tick();
        }
    }
    let (failed, retry) = (bench.now, bench.session.config().connect_retry);
    assert_eq!(bench.feed(Input::Accepted(IN)).closed(), [IN], "it is held off");
    bench.now += retry;
    assert_eq!(bench.state(), State::Idle);
    assert!(bench.session.poll_timeout().expect("IdleHoldTimer runs") - failed >= seconds(40), "we wait on");
    assert!(bench.feed(Input::Accepted(ConnId(7))).closed().is_empty());
    bench.open(ConnId(7), peer_open(HIGH_ID));
    bench.keepalive(ConnId(7));
    assert_eq!(bench.state(), State::Established);
}

#[test]
fn a_peer_whose_routes_are_kept_is_let_in_however_often_it_restarts() {
    let mut bench = Bench::connecting(config());
    for n in 0..6 {
        let conn = ConnId(100 + n);
        bench.feed(if n == 0 { Input::Connected(conn) } else { Input::Accepted(conn) });
        bench.open(conn, restarting_open(HIGH_ID, false));
        bench.keepalive(conn);
        assert_eq!(bench.state(), State::Established);
        bench.feed(Input::Closed(conn, "Connection reset by peer"));
        assert_eq!(bench.state(), State::Idle);
    }
}

#[test]
fn equal_seeds_make_equal_sessions() {
    let run = || {
        let mut bench = Bench::connecting(config());
        let mut log = Vec::new();
        for n in 0..20 {
            bench.feed(Input::Connected(ConnId(n)));
            log.extend(bench.feed(Input::Closed(ConnId(n), "gone")).0);
            bench.tick();
            log.push(Output::Close(ConnId(u32::try_from(bench.now.as_millis()).expect("short"))));
        }
        format!("{log:?}")
    };
    assert_eq!(run(), run());
}

#[test]
fn an_idle_session_holds_no_queue_and_little_else() {
    assert!(size_of::<bgp_fsm::Session>() <= 1024, "{}", size_of::<bgp_fsm::Session>());
    assert!(size_of::<Output>() <= 64, "{}", size_of::<Output>());
    assert!(size_of::<Cause>() <= 64);
}
