//! How sessions end, what is said, and whether routes outlive them.

use crate::support::{Bench, IN, LOW_ID, OUT, config, peer_open, restarting_open, seconds};
use bgp_fsm::{Event, Input, Session, SessionConfig, State, Stop};
use bgp_wire::{Capability, Family, Message, Notification, RefreshKind, RouteRefresh};
use std::sync::Arc;

fn plain() -> Bench {
    Bench::established(config(), peer_open(LOW_ID))
}

/// With graceful restart, and RFC 8538 if `notification`.
fn restartable(notification: bool) -> Bench {
    Bench::established(config(), restarting_open(LOW_ID, notification))
}

/// How the session goes down by an input: (NOTIFICATION sent, routes kept, in words).
fn ends(mut bench: Bench, input: Input<'_>) -> (Option<(u8, u8)>, bool, String) {
    let done = bench.feed(input);
    assert_eq!(done.closed(), [OUT]);
    let reason = done.down().expect("the session is down");
    (done.code(), reason.retain, reason.to_string())
}

fn closed() -> Input<'static> {
    Input::Closed(OUT, "Connection reset by peer")
}

#[test]
fn a_lost_connection_keeps_routes_only_under_graceful_restart() {
    let words = || "Connection reset by peer".to_string();
    assert_eq!(ends(plain(), closed()), (None, false, words()));
    assert_eq!(ends(restartable(false), closed()), (None, true, words()));
    assert_eq!(ends(restartable(true), closed()), (None, true, words()));
}

#[test]
fn a_received_notification_keeps_routes_only_under_rfc_8538() {
    let message = Message::Notification(Notification::cease_reset("maintenance"));
    let words = "Received NOTIFICATION: Cease / Administrative Reset: \"maintenance\"".to_string();
    let received = || Input::Message(OUT, &message);
    assert_eq!(ends(plain(), received()), (None, false, words.clone()));
    assert_eq!(ends(restartable(false), received()), (None, false, words.clone()));
    assert_eq!(ends(restartable(true), received()), (None, true, words));
}

#[test]
fn a_hard_reset_never_keeps_routes_and_shows_its_reason() {
    let why = Notification::cease_shutdown("gone for good");
    let message = Message::Notification(Notification::cease_hard_reset(&why));
    let (sent, retain, words) = ends(restartable(true), Input::Message(OUT, &message));
    assert_eq!((sent, retain), (None, false));
    assert!(words.contains("Hard Reset") && words.contains("Administrative Shutdown"), "{words}");
}

#[test]
fn an_expired_hold_timer_keeps_routes_only_under_rfc_8538() {
    for (notification, retain) in [(false, false), (true, true)] {
        let done = restartable(notification).pass(seconds(90));
        assert_eq!(done.down().map(|reason| reason.retain), Some(retain));
    }
}

#[test]
fn an_administrative_stop_carries_its_words_and_stays() {
    let mut bench = plain();
    let shutdown = Notification::cease_shutdown("see ticket 42");
    let done = bench.feed(Input::Stop(Stop::Notify(shutdown.clone())));
    assert_eq!(done.notification(), Some(shutdown));
    assert_eq!(
        done.down().map(ToString::to_string).as_deref(),
        Some("Sent NOTIFICATION: Cease / Administrative Shutdown: \"see ticket 42\"")
    );
    assert_eq!((bench.state(), bench.session.poll_timeout()), (State::Idle, None));
    assert!(bench.pass(seconds(10_000)).0.is_empty());
    assert!(bench.feed(Input::Start).dials());
}

#[test]
fn a_stop_for_good_is_a_hard_reset_where_notifications_are_graceful() {
    let shutdown = Notification::cease_shutdown("bye");
    let done = restartable(true).feed(Input::Stop(Stop::Notify(shutdown.clone())));
    assert_eq!(done.notification(), Some(Notification::cease_hard_reset(&shutdown)));
    assert_eq!(done.down().map(|reason| reason.retain), Some(false));
    let done = restartable(false).feed(Input::Stop(Stop::Notify(shutdown.clone())));
    assert_eq!(done.notification(), Some(shutdown));
}

#[test]
fn a_silent_stop_leaves_the_peer_to_its_graceful_restart() {
    let (sent, retain, words) = ends(restartable(true), Input::Stop(Stop::Silent));
    assert_eq!((sent, retain, words.as_str()), (None, false, "Stopped"));
}

#[test]
fn a_stop_ends_every_connection_and_attempt() {
    let mut bench = Bench::open_sent(config());
    bench.feed(Input::Accepted(IN));
    let done = bench.feed(Input::Stop(Stop::Notify(Notification::cease_deconfigured())));
    assert_eq!(done.closed(), [OUT, IN]);
    assert_eq!(done.messages().len(), 2);

    let mut bench = Bench::connecting(config());
    let done = bench.feed(Input::Stop(Stop::Silent));
    assert!(done.0.iter().any(|output| matches!(output, bgp_fsm::Output::AbortConnect)));
    assert_eq!(bench.session.poll_timeout(), None);
}

#[test]
fn a_reset_comes_back_by_itself() {
    let mut bench = plain();
    let done = bench.feed(Input::Reset(Notification::cease_config_change()));
    assert_eq!(done.code(), Some((6, 6)));
    assert_eq!(bench.state(), State::Idle);
    assert!(bench.pass(seconds(1)).dials());
}

#[test]
fn a_reset_takes_up_a_new_configuration() {
    let mut bench = plain();
    bench.session.configure(Arc::new(SessionConfig { hold_time: seconds(30), ..config() }));
    bench.feed(Input::Reset(Notification::cease_config_change()));
    bench.pass(seconds(1));
    let messages = bench.feed(Input::Connected(OUT)).messages();
    assert!(
        matches!(messages.as_slice(), [(OUT, Message::Open(open))] if open.hold_time == 30),
        "{messages:?}"
    );
}

#[test]
fn an_undecodable_message_ends_the_session_with_what_the_decoder_says() {
    let (sent, retain, words) = ends(plain(), Input::DecodeError(OUT, Notification::not_synchronized()));
    assert_eq!((sent, retain), (Some((1, 1)), false));
    assert_eq!(words, "Sent NOTIFICATION: Message Header Error / Connection Not Synchronized");
}

#[test]
fn unexpected_messages_name_the_state_they_came_in() {
    let refresh = Message::RouteRefresh(RouteRefresh::request(Family::IPV4_UNICAST));
    for message in [Message::KeepAlive, refresh.clone()] {
        assert_eq!(Bench::open_sent(config()).message(OUT, &message).code(), Some((5, 1)));
    }
    assert_eq!(Bench::open_sent(config()).feed(Input::Update(OUT)).code(), Some((5, 1)));
    for message in [Message::Open(peer_open(LOW_ID)), refresh] {
        let mut bench = Bench::open_confirm(config(), peer_open(LOW_ID));
        assert_eq!(bench.message(OUT, &message).code(), Some((5, 2)));
    }
    let mut bench = Bench::open_confirm(config(), peer_open(LOW_ID));
    assert_eq!(bench.feed(Input::Update(OUT)).code(), Some((5, 2)));
    assert_eq!(plain().open(OUT, peer_open(LOW_ID)).code(), Some((5, 3)));
}

#[test]
fn a_refresh_reaches_the_rib_only_as_agreed() {
    let request = |family| Message::RouteRefresh(RouteRefresh::request(family));
    let mark = Message::RouteRefresh(RouteRefresh { family: Family::IPV4_UNICAST, kind: RefreshKind::BEGIN });
    let kind = |bench: &mut Bench, message: &Message| {
        let done = bench.message(OUT, message);
        assert!(done.closed().is_empty());
        done.events()
            .find_map(|event| if let Event::Refresh(refresh) = event { Some(refresh.kind) } else { None })
    };
    let told = |bench: &mut Bench, message: &Message| kind(bench, message).is_some();
    let mut bench = plain();
    assert!(told(&mut bench, &request(Family::IPV4_UNICAST)));
    assert!(!told(&mut bench, &request(Family::IPV6_UNICAST)), "of a family that was not agreed on");
    assert_eq!(kind(&mut bench, &mark), Some(RefreshKind::REQUEST), "the octet is reserved without RFC 7313");
    let mut open = peer_open(LOW_ID);
    open.capabilities.push(Capability::EnhancedRouteRefresh);
    let mut enhanced = Bench::established(config(), open);
    assert!(enhanced.negotiated().codec.enhanced_refresh);
    assert_eq!(kind(&mut enhanced, &mark), Some(RefreshKind::BEGIN));
    let deaf = SessionConfig { route_refresh: false, ..config() };
    let mut bench = Bench::established(deaf, peer_open(LOW_ID));
    assert!(!told(&mut bench, &request(Family::IPV4_UNICAST)));
}

#[test]
fn inputs_about_unknown_connections_are_ignored() {
    let mut bench = plain();
    for input in [
        Input::Update(IN),
        Input::Closed(IN, "gone"),
        Input::DecodeError(IN, Notification::not_synchronized()),
        Input::Message(IN, &Message::KeepAlive),
        Input::InputPending(IN),
        Input::WriteBlocked(IN),
        Input::WriteProgress(IN),
        Input::Accepted(OUT),
        Input::ConnectFailed("late"),
        Input::Start,
    ] {
        assert!(bench.feed(input).0.is_empty());
    }
    assert_eq!(bench.session.established(), Some(OUT));
}

#[test]
fn a_new_session_waits_to_be_started() {
    let session = Session::new(Arc::new(config()), 1);
    assert_eq!((session.state(), session.poll_timeout(), session.last_error()), (State::Idle, None, None));
}
