//! Any input, in any order, at any time: what always holds.

use core::time::Duration;
use std::sync::Arc;

use crate::support::{config, peer_open, restarting_open};
use bgp_fsm::{ConnId, Event, Input, Output, Session, SessionConfig, State, Stop};
use bgp_wire::{Codec, Family, Message, Notification, Open, RouteRefresh, RouterId};
use proptest::prelude::*;
use proptest::sample::select;

/// An input without borrows.
#[derive(Debug, Clone)]
enum Act {
    Start,
    Stop(Stop),
    Reset(Notification),
    /// Time passes, and a tick comes in time, or late by so much.
    Pass(u64),
    Tick,
    Connected(ConnId),
    ConnectFailed,
    Accepted(ConnId),
    Message(ConnId, Box<Message>),
    Update(ConnId),
    DecodeError(ConnId),
    Closed(ConnId),
    InputPending(ConnId),
    WriteBlocked(ConnId),
    WriteProgress(ConnId),
    Configure(usize),
}

fn conn() -> impl Strategy<Value = ConnId> {
    (0..4_u32).prop_map(ConnId)
}

fn open() -> impl Strategy<Value = Open> {
    let ids = select(vec![RouterId(0), RouterId(1), config().router_id, RouterId(u32::MAX)]);
    let holds = select(vec![0_u16, 1, 3, 90, 65_535]);
    (ids, holds, 0..3_u8).prop_map(|(router_id, hold_time, kind)| {
        let open = match kind {
            0 => peer_open(router_id),
            1 => restarting_open(router_id, true),
            _ => Open { my_as: 1, ..peer_open(router_id) },
        };
        Open { hold_time, ..open }
    })
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        3 => open().prop_map(Message::Open),
        4 => Just(Message::KeepAlive),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(code, subcode)| {
            Message::Notification(Notification::with_data(bgp_wire::NotificationCode(code), subcode, &[7; 9]))
        }),
        1 => Just(Message::RouteRefresh(RouteRefresh::request(Family::IPV4_UNICAST))),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => Just(Act::Start),
        1 => prop_oneof![Just(Stop::Silent), Just(Stop::Notify(Notification::cease_shutdown("x")))].prop_map(Act::Stop),
        1 => Just(Act::Reset(Notification::cease_config_change())),
        4 => prop_oneof![0..100_u64, 0..10_000_u64, 0..300_000_u64, Just(u64::MAX)].prop_map(Act::Pass),
        2 => Just(Act::Tick),
        5 => conn().prop_map(Act::Connected),
        2 => Just(Act::ConnectFailed),
        5 => conn().prop_map(Act::Accepted),
        12 => (conn(), message()).prop_map(|(id, message)| Act::Message(id, Box::new(message))),
        2 => conn().prop_map(Act::Update),
        1 => conn().prop_map(Act::DecodeError),
        2 => conn().prop_map(Act::Closed),
        1 => conn().prop_map(Act::InputPending),
        1 => conn().prop_map(Act::WriteBlocked),
        1 => conn().prop_map(Act::WriteProgress),
        1 => (0..4_usize).prop_map(Act::Configure),
    ]
}

fn configs() -> [Arc<SessionConfig>; 4] {
    let zero =
        bgp_fsm::IdleHold { min: Duration::ZERO, max: Duration::ZERO, forgive: Duration::ZERO, tolerated: 0 };
    let delay_open = Some(Duration::from_secs(5));
    [
        config(),
        SessionConfig { passive: true, delay_open, ..config() },
        SessionConfig {
            idle_hold: zero,
            connect_retry: Duration::ZERO,
            hold_time: Duration::ZERO,
            ..config()
        },
        SessionConfig {
            collision_detect_established: true,
            hold_time: Duration::MAX,
            delay_open,
            ..config()
        },
    ]
    .map(Arc::new)
}

/// Follows the outputs of a session and checks that they make sense to a driver.
#[derive(Default)]
struct Follower {
    dialling: bool,
    open: Vec<ConnId>,
    up: Option<ConnId>,
    state: Option<State>,
}

impl Follower {
    fn offered(&mut self, id: ConnId) {
        if !self.open.contains(&id) {
            self.open.push(id);
        }
    }

    fn follow(&mut self, output: Output) {
        match output {
            Output::Connect => {
                assert!(!core::mem::replace(&mut self.dialling, true), "one attempt at a time");
            }
            Output::AbortConnect => {
                assert!(core::mem::replace(&mut self.dialling, false), "an attempt runs");
            }
            Output::Send(id, bytes) => {
                assert!(self.open.contains(&id), "sent on a connection that is not there");
                Codec::before_open().decode(&bytes).expect("lawful");
            }
            Output::Close(id) => {
                assert!(self.open.contains(&id), "closed twice");
                self.open.retain(|open| *open != id);
            }
            Output::Event(Event::StateChanged { from, to }) => {
                assert_eq!(self.state.replace(to).unwrap_or(State::Idle), from);
                assert_ne!(from, to);
            }
            Output::Event(Event::Established(id, _)) => assert_eq!(self.up.replace(id), None),
            Output::Event(Event::Down(_)) => assert!(self.up.take().is_some(), "down without up"),
            Output::Event(_) => {}
            other => panic!("unknown output {other:?}"),
        }
    }
}

/// No input makes a session say more than this: two connections end, each with a NOTIFICATION, a close and an event.
const MOST_OUTPUTS: usize = 64;

fn walk(first: usize, acts: Vec<Act>) {
    let configs = configs();
    let mut session = Session::new(Arc::clone(&configs[first]), 3);
    let mut now = Duration::from_secs(1);
    let mut follower = Follower::default();
    for act in acts {
        let fresh = |id: &ConnId, follower: &Follower| !follower.open.contains(id);
        let input = match &act {
            Act::Start => Input::Start,
            Act::Stop(stop) => Input::Stop(stop.clone()),
            Act::Reset(notification) => Input::Reset(notification.clone()),
            Act::Pass(millis) => {
                now = now.saturating_add(Duration::from_millis(*millis));
                Input::Tick
            }
            Act::Tick => {
                now = session.poll_timeout().map_or(now, |at| at.max(now));
                Input::Tick
            }
            Act::Connected(id) | Act::Accepted(id) if !fresh(id, &follower) => continue,
            Act::Connected(id) => {
                follower.dialling = false;
                follower.offered(*id);
                Input::Connected(*id)
            }
            Act::ConnectFailed => {
                follower.dialling = false;
                Input::ConnectFailed("no route")
            }
            Act::Accepted(id) => {
                follower.offered(*id);
                Input::Accepted(*id)
            }
            Act::Message(id, message) => Input::Message(*id, message),
            Act::Update(id) => Input::Update(*id),
            Act::DecodeError(id) => Input::DecodeError(*id, Notification::not_synchronized()),
            Act::Closed(id) => Input::Closed(*id, "gone"),
            Act::InputPending(id) => Input::InputPending(*id),
            Act::WriteBlocked(id) => Input::WriteBlocked(*id),
            Act::WriteProgress(id) => Input::WriteProgress(*id),
            Act::Configure(at) => {
                session.configure(Arc::clone(&configs[*at]));
                continue;
            }
        };
        session.handle(now, input);
        let outputs: Vec<Output> = core::iter::from_fn(|| session.poll_output()).collect();
        assert!(outputs.len() <= MOST_OUTPUTS, "{} outputs", outputs.len());
        outputs.into_iter().for_each(|output| follower.follow(output));
        assert_eq!(session.established(), follower.up);
        assert_eq!(session.state(), follower.state.unwrap_or(State::Idle));
        assert_eq!(session.state() == State::Established, follower.up.is_some());
        assert!(follower.open.len() <= 2, "more than two connections");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_happens_confuses_a_session(first in 0..4_usize, acts in prop::collection::vec(act(), 1..250)) {
        walk(first, acts);
    }
}
