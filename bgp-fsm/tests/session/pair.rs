//! Two sessions joined by a network with delay, in virtual time, with all timers on time.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::support::{config, restarting_open, seconds};
use bgp_fsm::{ConnId, Counters, Event, Input, Output, PeerAs, Session, SessionConfig, Stop};
use bgp_wire::{Asn, Capability, Codec, Notification, RouterId};
use bytes::Bytes;

#[derive(Debug)]
enum Arrival {
    /// The SYN at the listener, and the answer at the dialler.
    Accepted,
    Connected,
    Bytes(Bytes),
    Closed,
}

/// Both sessions, and what is on its way.
struct Net {
    sessions: [Session; 2],
    now: Duration,
    delay: Duration,
    /// By time of arrival and order of sending: to whom, on which connection, what.
    flying: BTreeMap<(Duration, u64), (usize, ConnId, Arrival)>,
    sent: u64,
    /// The connection that each dials at the moment.
    dialling: [Option<ConnId>; 2],
    next: u32,
    /// Nothing arrives while the link is cut.
    cut: bool,
    downs: [Vec<String>; 2],
}

impl Net {
    fn new(configs: [SessionConfig; 2], seed: u64, delay: Duration) -> Self {
        let [a, b] = configs;
        let sessions = [Session::new(Arc::new(a), seed), Session::new(Arc::new(b), seed ^ 0xffff)];
        Self {
            sessions,
            now: seconds(1),
            delay,
            flying: BTreeMap::new(),
            sent: 0,
            dialling: [None; 2],
            next: 0,
            cut: false,
            downs: [Vec::new(), Vec::new()],
        }
    }

    fn handle(&mut self, side: usize, input: Input<'_>) {
        self.sessions[side].handle(self.now, input);
        while let Some(output) = self.sessions[side].poll_output() {
            self.output(side, output);
        }
    }

    fn send(&mut self, to: usize, id: ConnId, arrival: Arrival) {
        let first = matches!(arrival, Arrival::Connected);
        let delay = if first { self.delay * 2 } else { self.delay };
        self.sent += 1;
        if !self.cut {
            self.flying.insert((self.now + delay, self.sent), (to, id, arrival));
        }
    }

    fn output(&mut self, side: usize, output: Output) {
        match output {
            Output::Connect => {
                let id = ConnId(self.next);
                self.next += 1;
                self.dialling[side] = Some(id);
                self.send(1 - side, id, Arrival::Accepted);
                self.send(side, id, Arrival::Connected);
            }
            Output::AbortConnect => {
                let id = self.dialling[side].take().expect("an attempt runs");
                self.send(1 - side, id, Arrival::Closed);
            }
            Output::Send(id, bytes) => self.send(1 - side, id, Arrival::Bytes(bytes)),
            Output::Close(id) => self.send(1 - side, id, Arrival::Closed),
            Output::Event(Event::Down(reason)) => self.downs[side].push(reason.to_string()),
            _ => {}
        }
    }

    fn arrive(&mut self, side: usize, id: ConnId, arrival: Arrival) {
        match arrival {
            Arrival::Accepted => self.handle(side, Input::Accepted(id)),
            Arrival::Connected if self.dialling[side] == Some(id) => {
                self.dialling[side] = None;
                self.handle(side, Input::Connected(id));
            }
            Arrival::Connected => {}
            Arrival::Bytes(bytes) => {
                let message = Codec::before_open().decode(&bytes).expect("sessions send lawful messages");
                self.handle(side, Input::Message(id, &message));
            }
            Arrival::Closed => self.handle(side, Input::Closed(id, "Connection closed by peer")),
        }
    }

    /// Runs for so long.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let timer = (0..2).filter_map(|side| Some((self.sessions[side].poll_timeout()?, side))).min();
            let arrival = self.flying.keys().next().copied();
            let due = timer.map(|(at, _)| at).into_iter().chain(arrival.map(|(at, _)| at)).min();
            let Some(due) = due.filter(|due| *due <= end) else { break };
            self.now = self.now.max(due);
            match (arrival, timer) {
                (Some(key), _) if key.0 <= due => {
                    let (side, id, arrival) = self.flying.remove(&key).expect("it is the first");
                    self.arrive(side, id, arrival);
                }
                (_, Some((_, side))) => self.handle(side, Input::Tick),
                _ => break,
            }
        }
        self.now = end;
    }

    fn start(&mut self) {
        self.handle(0, Input::Start);
        self.handle(1, Input::Start);
    }

    fn is_up(&self) -> bool {
        let [a, b] = self.sessions.each_ref().map(Session::established);
        a.is_some() && a == b
    }

    fn counters(&self) -> [Counters; 2] {
        self.sessions.each_ref().map(|session| *session.counters())
    }
}

fn peers() -> [SessionConfig; 2] {
    let of = |router_id| SessionConfig { router_id: RouterId(router_id), ..config() };
    [of(1), of(2)]
}

fn up(configs: [SessionConfig; 2]) -> Net {
    let mut net = Net::new(configs, 1, Duration::from_millis(1));
    net.start();
    net.run(seconds(1));
    assert!(net.is_up());
    net
}

#[test]
fn simultaneous_open_comes_up_at_once_for_any_skew_and_delay() {
    for seed in 0..200_u64 {
        let delay = Duration::from_millis(1 + seed % 7 * 20);
        let mut net = Net::new(peers(), seed, delay);
        net.handle(0, Input::Start);
        net.run(Duration::from_millis(seed * 3 % 250));
        net.handle(1, Input::Start);
        net.run(seconds(3));
        assert!(net.is_up(), "seed {seed}");
        assert_eq!(net.downs, [Vec::<String>::new(), Vec::new()], "seed {seed}");
    }
}

#[test]
fn a_session_stays_up_for_a_day() {
    for hold_time in [3, 9, 90] {
        let mut net = up(peers().map(|config| SessionConfig { hold_time: seconds(hold_time), ..config }));
        let before = net.counters();
        net.run(seconds(86_400));
        assert!(net.is_up());
        assert_eq!(net.downs, [Vec::<String>::new(), Vec::new()]);
        for (before, after) in before.iter().zip(net.counters()) {
            let keepalives = after.keepalives_out - before.keepalives_out;
            let third = (hold_time / 3).max(1);
            assert!((86_400 / third..=86_400 / third * 4 / 3 + 2).contains(&keepalives), "{keepalives}");
        }
    }
}

#[test]
fn a_cut_link_is_found_by_the_hold_time_and_heals() {
    let mut net = up(peers().map(|config| SessionConfig { hold_time: seconds(9), ..config }));
    net.cut = true;
    net.run(seconds(9));
    assert_eq!(net.downs, [vec!["Hold timer expired".to_string()], vec!["Hold timer expired".to_string()]]);
    net.run(seconds(3600));
    net.cut = false;
    net.run(seconds(10));
    assert!(net.is_up());
}

#[test]
fn a_peer_that_is_killed_and_restarted_is_back_within_two_seconds() {
    for passive in [false, true] {
        let [a, b] = peers();
        let mut net = up([SessionConfig { passive, ..a }, b.clone()]);
        net.run(seconds(600));
        let conn = net.sessions[1].established().expect("it is up");
        net.sessions[1] = Session::new(Arc::new(b), 99);
        net.send(0, conn, Arrival::Closed);
        net.run(Duration::from_millis(300));
        net.handle(1, Input::Start);
        net.run(seconds(2));
        assert!(net.is_up(), "passive: {passive}");
    }
}

#[test]
fn a_restart_within_graceful_restart_is_seen_even_if_the_old_connection_is_never_closed() {
    let restartable = peers().map(|config| {
        let open = restarting_open(config.router_id, true);
        let restart = open.capabilities.into_iter().find_map(|c| match c {
            Capability::GracefulRestart(restart) => Some(restart),
            _ => None,
        });
        SessionConfig { graceful_restart: restart, ..config }
    });
    let mut net = up(restartable.clone());
    net.run(seconds(60));
    net.sessions[1] = Session::new(Arc::new(restartable[1].clone()), 99);
    net.handle(1, Input::Start);
    net.run(seconds(2));
    assert!(net.is_up());
    assert_eq!(net.downs[0], ["Replaced by a new session of the restarted peer"]);
}

#[test]
fn two_speakers_that_disagree_for_ever_make_no_storm() {
    let [a, b] = peers();
    let mut net =
        Net::new([SessionConfig { peer_as: PeerAs::Exact(Asn(65001)), ..a }, b], 5, Duration::from_millis(1));
    net.start();
    net.run(seconds(3600));
    let attempts = net.counters().map(|counters| counters.opens_out);
    assert!(attempts.iter().all(|opens| (50..=300).contains(opens)), "{attempts:?} in an hour");
}

#[test]
fn a_stopped_peer_is_told_why_and_comes_back_when_started() {
    let mut net = up(peers());
    net.run(seconds(120));
    net.handle(1, Input::Stop(Stop::Notify(Notification::cease_shutdown("maintenance"))));
    net.run(seconds(600));
    assert!(net.downs[0][0].contains("maintenance"), "{:?}", net.downs[0]);
    assert!(!net.is_up());
    net.handle(1, Input::Start);
    net.run(seconds(61));
    assert!(net.is_up());
}
