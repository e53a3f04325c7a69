//! Two connections at once (RFC 4271 §6.8), seen from one side. Both sides together are explored inside the crate.

use core::time::Duration;

use crate::support::{Bench, HIGH_ID, IN, LOW_ID, OUT, config, peer_open, restarting_open, seconds};
use bgp_fsm::{Cause, ConnId, Event, Input, PeerAs, SessionConfig, State};
use bgp_wire::{Asn, Capability, Family, Message, Notification, Open, RouteRefresh};

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
    assert_eq!(bench.open(OUT, peer_open(LOW_ID)).messages(), [], "the peer closes its own first");
    bench.keepalive(OUT);
    assert_eq!(bench.state(), State::OpenConfirm);
    let done = bench.pass(Duration::from_millis(100));
    assert_eq!(done.messages(), [(OUT, Message::KeepAlive)]);
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
    assert_eq!((done.messages(), done.closed()), (vec![(IN, Message::KeepAlive)], vec![]));
    let done = bench.keepalive(IN);
    assert_eq!((done.code(), done.closed()), (Some((6, 7)), vec![OUT]));
    assert_eq!(bench.session.established(), Some(IN));
}

/// Both OPENs of a peer whose identifier wins are here, and it has confirmed our connection, not its own.
fn confirmed(config: SessionConfig) -> Bench {
    let mut bench = crossed(config);
    bench.open(OUT, peer_open(HIGH_ID));
    let done = bench.keepalive(OUT);
    assert_eq!((done.closed(), bench.state()), (vec![], State::OpenConfirm), "the peer has yet to choose");
    bench
}

#[test]
fn a_peer_that_decides_and_closes_our_connection_after_all_is_up_on_its_own_at_once() {
    let mut bench = confirmed(config());
    bench.open(IN, peer_open(HIGH_ID));
    let done = bench.message(OUT, &Message::Notification(Notification::cease_collision()));
    assert_eq!((done.closed(), done.down()), (vec![OUT], None), "nothing was up");
    bench.keepalive(IN);
    assert_eq!(bench.session.established(), Some(IN));
}

#[test]
fn a_peer_that_decides_and_closes_its_own_connection_is_up_on_ours_at_once() {
    let mut bench = confirmed(config());
    bench.feed(Input::Closed(IN, "Connection closed by the peer"));
    assert_eq!(bench.session.established(), Some(OUT));
}

#[test]
fn a_peer_that_decides_and_sends_routes_on_our_connection_is_up_on_it() {
    let refresh = Message::RouteRefresh(RouteRefresh::request(Family::IPV4_UNICAST));
    for routes in [true, false] {
        let mut bench = confirmed(config());
        let done = if routes { bench.feed(Input::Update(OUT)) } else { bench.message(OUT, &refresh) };
        assert_eq!((done.code(), done.closed()), (Some((6, 7)), vec![IN]));
        assert_eq!(bench.session.established(), Some(OUT));
    }
}

#[test]
fn a_peer_that_decides_and_says_nothing_more_is_not_awaited_for_long() {
    let mut bench = confirmed(config());
    let done = bench.pass(seconds(1));
    assert_eq!((done.code(), done.closed()), (Some((6, 7)), vec![IN]));
    assert_eq!(bench.session.established(), Some(OUT));
}

#[test]
fn identifiers_decide_where_a_peer_whose_wins_leaves_it_to_us() {
    let mut bench = crossed(config());
    bench.open(OUT, peer_open(HIGH_ID));
    bench.open(IN, peer_open(HIGH_ID));
    let done = bench.pass(seconds(1));
    assert_eq!((done.code(), done.closed()), (Some((6, 7)), vec![OUT]));
    bench.keepalive(IN);
    assert_eq!(bench.session.established(), Some(IN));
}

#[test]
fn without_a_wait_identifiers_decide_at_once() {
    let mut bench = crossed(SessionConfig { collision_wait: Duration::ZERO, ..config() });
    bench.open(OUT, peer_open(HIGH_ID));
    let done = bench.open(IN, peer_open(HIGH_ID));
    assert_eq!((done.code(), done.closed()), (Some((6, 7)), vec![OUT]));
}

#[test]
fn a_connection_of_the_peer_that_comes_right_after_ours_is_up_is_answered_late_and_refused() {
    let mut bench = Bench::established(config(), peer_open(HIGH_ID));
    assert_eq!(bench.feed(Input::Accepted(IN)).messages(), [], "the peer cannot choose it");
    assert_eq!(bench.open(IN, peer_open(HIGH_ID)).messages(), []);
    let done = bench.pass(seconds(1));
    assert!(matches!(done.messages()[..], [(IN, Message::Open(_)), (IN, Message::Notification(_))]));
    assert_eq!((done.code(), done.closed(), done.down()), (Some((6, 7)), vec![IN], None));
    assert_eq!(bench.session.established(), Some(OUT));
}

#[test]
fn a_connection_of_the_peer_that_comes_when_ours_has_been_up_for_long_is_answered_at_once() {
    let mut bench = Bench::established(config(), peer_open(HIGH_ID));
    bench.now += seconds(1);
    assert_eq!(bench.feed(Input::Accepted(IN)).messages().len(), 1);
}

#[test]
fn a_connection_of_the_peer_that_comes_when_it_may_be_up_on_ours_waits_for_that() {
    let opening = || {
        let mut bench = Bench::open_confirm(config(), peer_open(HIGH_ID));
        assert_eq!(bench.feed(Input::Accepted(IN)).messages(), []);
        assert_eq!(bench.open(IN, peer_open(HIGH_ID)).messages(), []);
        bench
    };
    let mut bench = opening();
    assert_eq!(bench.keepalive(OUT).closed(), [IN]);
    assert_eq!(bench.session.established(), Some(OUT));

    let mut bench = opening();
    bench.message(OUT, &Message::Notification(Notification::cease_collision()));
    assert_eq!(bench.state(), State::OpenConfirm, "nothing is left to wait for");
    bench.keepalive(IN);
    assert_eq!(bench.session.established(), Some(IN));

    let mut bench = opening();
    assert_eq!(bench.pass(seconds(1)).closed(), [OUT], "it never confirmed ours");
    bench.keepalive(IN);
    assert_eq!(bench.session.established(), Some(IN));
}

#[test]
fn a_peer_that_confirms_its_connection_unanswered_is_answered() {
    let mut bench = Bench::open_confirm(config(), peer_open(HIGH_ID));
    bench.feed(Input::Accepted(IN));
    bench.open(IN, peer_open(HIGH_ID));
    let done = bench.keepalive(IN);
    assert_eq!(done.closed(), [OUT]);
    assert_eq!(bench.session.established(), Some(IN));
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
        done.0.extend(bench.pass(seconds(1)).0);
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
    bench.now += seconds(60);
    bench.feed(Input::Accepted(IN));
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
fn a_third_connection_takes_the_place_of_one_on_which_the_peer_is_silent() {
    let mut bench = crossed(config());
    let done = bench.feed(Input::Accepted(ConnId(9)));
    assert_eq!(done.closed(), [IN]);
    assert!(matches!(&done.messages()[..], [(ConnId(9), Message::Open(_))]), "{done:?}");
    assert_eq!(bench.session.counters().refused, 1);
    assert_eq!(bench.session.last_error(), None, "it is no failure");
    bench.open(ConnId(9), peer_open(HIGH_ID));
    bench.keepalive(ConnId(9));
    assert_eq!(bench.session.established(), Some(ConnId(9)));
}

#[test]
fn of_two_silent_connections_the_older_goes() {
    let mut bench = Bench::active(config());
    bench.feed(Input::Accepted(ConnId(7)));
    bench.feed(Input::Accepted(ConnId(8)));
    assert_eq!(bench.feed(Input::Accepted(ConnId(9))).closed(), [ConnId(7)]);
    let done = bench.open(ConnId(9), peer_open(LOW_ID));
    assert_eq!(done.closed(), [ConnId(8)]);
    bench.keepalive(ConnId(9));
    assert_eq!(bench.session.established(), Some(ConnId(9)));
}

/// RFC 4724 §5: whatever connects and says nothing does not keep a peer out that has restarted.
#[test]
fn a_restarted_peer_gets_through_beside_a_silent_connection() {
    let mut bench = Bench::established(config(), restarting_open(LOW_ID, true));
    bench.now += seconds(30);
    bench.feed(Input::Accepted(ConnId(8)));
    let done = bench.feed(Input::Accepted(ConnId(9)));
    assert_eq!((done.closed(), done.down()), (vec![ConnId(8)], None));
    let done = bench.open(ConnId(9), restarting_open(LOW_ID, true));
    let reason = done.down().expect("the old session is down");
    assert_eq!((&reason.cause, reason.retain), (&Cause::Superseded, true));
    bench.keepalive(ConnId(9));
    assert_eq!(bench.session.established(), Some(ConnId(9)));
}

#[test]
fn a_third_connection_is_closed_where_the_peer_speaks_on_both() {
    let mut bench = Bench::established(config(), restarting_open(LOW_ID, true));
    bench.feed(Input::Accepted(IN));
    bench.open(IN, restarting_open(LOW_ID, true));
    let done = bench.feed(Input::Accepted(ConnId(9)));
    assert_eq!((done.closed(), done.messages()), (vec![ConnId(9)], vec![]));
    assert_eq!(bench.session.counters().refused, 1);
}

/// With the higher identifier we choose; a peer that does not answer on the connection of our choice is not on it.
#[test]
fn a_connection_of_ours_that_nobody_answers_gives_way_to_one_on_which_the_peer_speaks() {
    let mut bench = Bench::open_sent(config());
    bench.now += seconds(4);
    bench.feed(Input::Accepted(IN));
    let done = bench.open(IN, peer_open(LOW_ID));
    assert_eq!(done.closed(), [IN], "the peer may answer yet");
    bench.now += seconds(2);
    bench.feed(Input::Accepted(ConnId(9)));
    let done = bench.open(ConnId(9), peer_open(LOW_ID));
    assert_eq!((done.closed(), done.code()), (vec![OUT], Some((6, 7))));
    bench.keepalive(ConnId(9));
    assert_eq!(bench.session.established(), Some(ConnId(9)));
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
