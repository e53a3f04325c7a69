//! Two sessions back to back over a modelled TCP, every interleaving explored.
//!
//! Time is abstract: any timer that runs may expire at any moment, which includes every real timing. So the states
//! of the pair are finitely many, and the search goes on until there is no new one. Each test prints how many there were
//! (`cargo test -p bgp-fsm --lib explore -- --nocapture`).

#![allow(clippy::print_stdout, reason = "figures for information")]

use core::time::Duration;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bgp_wire::{Asn, Codec, Family, GracefulRestart, Message, Notification, RouterId};

use crate::collision::{Opener, Progress};
use crate::reach::{Idle, Reach};
use crate::session::Session;
use crate::states::Phase;
use crate::timer::{Timer, Timers};
use crate::{ConnId, Event, Input, Output, PeerAs, SessionConfig, State};

/// TCP connections that exist at once, those included that one side has left: more only repeat what fewer show.
const MAX_LINKS: usize = 3;
/// The moment at which everything happens: long after what has aged.
const NOW: Duration = Duration::from_secs(1000);
/// No search here needs more; one that does has lost its bound.
const MAX_STATES: usize = 2_000_000;

/// A TCP connection in the model. Index 0 is session A's side, 1 is B's.
#[derive(Clone)]
struct Link {
    id: ConnId,
    dialler: usize,
    /// The dialler has been told that it stands, or has given up.
    answered: bool,
    accepted: bool,
    queues: [VecDeque<Arc<Message>>; 2],
    closed: [bool; 2],
}

#[derive(Clone)]
struct Pair {
    sessions: [Session; 2],
    links: Vec<Link>,
    next_id: u32,
    network: Network,
    /// How many more times something may fail.
    faults: u8,
    /// Connections may wait longer to be taken in than an OPEN waits for its answer.
    slow: bool,
}

/// How long messages may be on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Network {
    /// Longer than any timer runs.
    OfAnySpeed,
    /// Not as long as a choice is awaited, as it is to be.
    FasterThanChoices,
    /// Nor as long as a speaker pauses before it dials again.
    FasterThanRetries,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    Start(usize),
    Connected(usize),
    Accepted(usize),
    /// The attempt fails (a fault), or vanishes because its dialler gave up.
    Fail(usize),
    Vanish(usize),
    /// The first message in the queue to this side.
    Deliver(usize, usize),
    /// The other side's close, after everything it sent.
    Close(usize, usize),
    /// The other side's close as a reset that swallows what it sent.
    Reset(usize, usize),
    SessionTimer(usize, Timer),
    ConnectionTimer(usize, ConnId, Timer),
    /// This side's OPEN on a connection of its own has waited long for an answer.
    Age(usize, ConnId),
    /// The process of this side dies and starts again (a fault).
    Crash(usize),
}

/// What happened that a search may want to exclude.
#[derive(Default)]
struct Seen {
    downs: usize,
    refusals: Vec<Notification>,
}

impl Pair {
    fn new(configs: [SessionConfig; 2], faults: u8) -> Self {
        let sessions = configs.map(|config| Session::new(Arc::new(config), 7));
        Self {
            sessions,
            links: Vec::new(),
            next_id: 0,
            network: Network::FasterThanChoices,
            faults,
            slow: false,
        }
    }

    fn moves(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        for side in 0..2 {
            self.session_moves(side, &mut moves);
        }
        for (at, link) in self.links.iter().enumerate() {
            self.link_moves(at, link, &mut moves);
        }
        moves
    }

    fn session_moves(&self, side: usize, moves: &mut Vec<Move>) {
        let session = &self.sessions[side];
        if session.state() == State::Idle && session.poll_timeout().is_none() {
            moves.push(Move::Start(side));
        }
        if session.state() >= State::OpenSent && self.faults > 0 {
            moves.push(Move::Crash(side));
        }
        for conn in session.connections.iter() {
            let sent = conn.opener == Opener::Us && conn.phase.progress() == Progress::OpenSent;
            if self.slow && sent && !conn.is_unanswered(NOW, session.config.connect_retry) {
                moves.push(Move::Age(side, conn.id));
            }
        }
        for timer in Timer::ALL {
            let dials = self.links.len() < MAX_LINKS;
            let retries = timer == Timer::IdleHold || session.state() == State::Active;
            let early = retries && self.network >= Network::FasterThanRetries && !self.is_quiet();
            if session.timers.deadline(timer).is_some() && dials && !early {
                moves.push(Move::SessionTimer(side, timer));
            }
            for conn in session.connections.iter().filter(|conn| conn.timers.deadline(timer).is_some()) {
                let queued: usize = self
                    .links
                    .iter()
                    .filter(|link| link.id == conn.id)
                    .map(|link| link.queues[side].len())
                    .sum();
                let allowed = match timer {
                    Timer::Hold => self.faults > 0,
                    // A queue of keepalives that nobody reads only repeats itself.
                    Timer::Keepalive => queued == 0,
                    Timer::Collision => self.network == Network::OfAnySpeed || self.is_quiet(),
                    _ => true,
                };
                if allowed {
                    moves.push(Move::ConnectionTimer(side, conn.id, timer));
                }
            }
        }
    }

    /// Nothing is on its way.
    fn is_quiet(&self) -> bool {
        let mut moves = Vec::new();
        for (at, link) in self.links.iter().enumerate() {
            self.link_moves(at, link, &mut moves);
        }
        moves.is_empty()
    }

    fn link_moves(&self, at: usize, link: &Link, moves: &mut Vec<Move>) {
        if !link.answered {
            moves.push(Move::Connected(at));
        }
        if !link.accepted {
            // A listener's queue is in order: what its dialler gave up comes before what it dialled after that.
            let waits = |earlier: &Link| earlier.dialler == link.dialler && !earlier.accepted;
            if !self.links.iter().take(at).any(waits) {
                moves.push(Move::Accepted(at));
            }
            if link.closed[link.dialler] {
                moves.push(Move::Vanish(at));
            } else if !link.answered && self.faults > 0 {
                moves.push(Move::Fail(at));
            }
        }
        for side in 0..2 {
            let there = if side == link.dialler { link.answered } else { link.accepted };
            if !there || link.closed[side] {
                continue;
            }
            if !link.queues[1 - side].is_empty() {
                moves.push(Move::Deliver(at, side));
            } else if link.closed[1 - side] {
                moves.push(Move::Close(at, side));
            }
            if link.closed[1 - side] && !link.queues[1 - side].is_empty() {
                moves.push(Move::Reset(at, side));
            }
        }
    }

    fn apply(&mut self, step: Move, seen: &mut Seen) {
        let now = NOW;
        match step {
            Move::Start(side) => self.sessions[side].handle(now, Input::Start),
            Move::Connected(at) => {
                self.links[at].answered = true;
                let (id, side) = (self.links[at].id, self.links[at].dialler);
                self.sessions[side].handle(now, Input::Connected(id));
            }
            Move::Accepted(at) => {
                self.links[at].accepted = true;
                let (id, side) = (self.links[at].id, 1 - self.links[at].dialler);
                self.sessions[side].handle(now, Input::Accepted(id));
            }
            Move::Fail(at) => {
                self.faults -= 1;
                let link = self.links.remove(at);
                self.sessions[link.dialler].handle(now, Input::ConnectFailed("Connection refused"));
            }
            Move::Vanish(at) => {
                self.links.remove(at);
            }
            Move::Deliver(at, side) => self.deliver(now, at, side),
            Move::Close(at, side) | Move::Reset(at, side) => {
                let link = &mut self.links[at];
                link.queues[1 - side].clear();
                link.closed[side] = true;
                let id = link.id;
                self.sessions[side].handle(now, Input::Closed(id, "Connection closed by peer"));
            }
            Move::SessionTimer(side, timer) => {
                self.sessions[side].session_timer(now, timer);
                self.sessions[side].tell_state();
            }
            Move::ConnectionTimer(side, id, timer) => {
                self.faults -= u8::from(timer == Timer::Hold);
                self.sessions[side].connection_timer(now, id, timer);
                self.sessions[side].tell_state();
            }
            Move::Age(side, id) => {
                if let Some(Phase::OpenSent(state)) =
                    self.sessions[side].connections.get_mut(id).map(|conn| &mut conn.phase)
                {
                    state.since = Duration::ZERO;
                }
            }
            Move::Crash(_) => {}
        }
        if let Move::Crash(side) = step {
            self.crash(side);
        }
        self.drain(seen);
        self.links.retain(|link| link.closed != [true, true]);
    }

    fn crash(&mut self, side: usize) {
        self.faults -= 1;
        self.sessions[side] = Session::new(Arc::clone(self.sessions[side].config()), 7);
        for link in &mut self.links {
            if link.dialler == side {
                link.answered = true;
            } else {
                link.accepted = true;
            }
            link.closed[side] = true;
            link.queues[1 - side].clear();
        }
    }

    fn deliver(&mut self, now: Duration, at: usize, side: usize) {
        let link = &mut self.links[at];
        let message =
            link.queues[1 - side].pop_front().expect("only offered for a queue that holds something");
        let id = link.id;
        self.sessions[side].handle(now, Input::Message(id, &message));
    }

    fn drain(&mut self, seen: &mut Seen) {
        for side in 0..2 {
            while let Some(output) = self.sessions[side].poll_output() {
                self.output(side, output, seen);
            }
            // It decides nothing, and a copy for each state is dear.
            self.sessions[side].last_error = None;
        }
    }

    fn output(&mut self, side: usize, output: Output, seen: &mut Seen) {
        match output {
            Output::Connect => {
                let id = ConnId(self.next_id);
                self.next_id += 1;
                let queues = [VecDeque::new(), VecDeque::new()];
                self.links.push(Link {
                    id,
                    dialler: side,
                    answered: false,
                    accepted: false,
                    queues,
                    closed: [false; 2],
                });
            }
            Output::AbortConnect => {
                let dial = self.links.iter_mut().find(|link| link.dialler == side && !link.answered);
                let dial = dial.expect("an attempt runs");
                dial.answered = true;
                dial.closed[side] = true;
            }
            Output::Send(id, bytes) => {
                let message = Codec::before_open().decode(&bytes).expect("sessions send lawful messages");
                note_refusal(&message, seen);
                let link = self.links.iter_mut().find(|link| link.id == id).expect("the connection exists");
                assert!(!link.closed[side], "nothing is sent after a close");
                if !link.closed[1 - side] {
                    link.queues[side].push_back(Arc::new(message));
                }
            }
            Output::Close(id) => {
                let link = self.links.iter_mut().find(|link| link.id == id).expect("the connection exists");
                link.closed[side] = true;
                link.queues[1 - side].clear();
            }
            Output::Event(Event::Down(_)) => seen.downs += 1,
            Output::Event(_) => {}
        }
    }

    /// Everything that tells this state from another, with connections numbered by age.
    fn key(&self) -> Vec<u8> {
        let mut key = vec![self.faults];
        let label = |id: ConnId| self.links.iter().position(|link| link.id == id).map_or(255, |at| at as u8);
        for session in &self.sessions {
            let open = matches!(session.reach, Reach::Idle(Idle { open: true, .. }));
            let damped = u8::from(session.damping.oscillates(&session.config.idle_hold));
            key.extend([session.reach.state() as u8, u8::from(open), damped, running(&session.timers)]);
            key.push(u8::from(session.collided.is_some()));
            for conn in session.connections.iter() {
                let opener = u8::from(conn.opener == Opener::Us);
                let (waits, silent) = match &conn.phase {
                    Phase::DelayOpen(state) => (state.heard.is_some(), false),
                    Phase::OpenConfirm(state) => (state.confirmed, state.silent),
                    Phase::OpenSent(_) | Phase::Established(_) => (false, false),
                };
                key.push(u8::from(conn.is_unanswered(NOW, session.config.connect_retry)));
                key.extend([label(conn.id), opener, conn.phase.progress() as u8, running(&conn.timers)]);
                key.extend([u8::from(waits), u8::from(silent)]);
            }
            key.push(254);
        }
        for link in &self.links {
            let flags = [link.dialler == 0, link.answered, link.accepted, link.closed[0], link.closed[1]];
            key.extend(flags.map(u8::from));
            for queue in &link.queues {
                key.extend(queue.iter().map(|message| kind(message)));
                key.push(254);
            }
        }
        key
    }

    fn is_up(&self) -> bool {
        let [a, b] = self.sessions.each_ref().map(Session::established);
        a.is_some() && a == b
    }

    /// No session is Established twice, nor both on connections that differ and that the other still has.
    fn is_lawful(&self) -> bool {
        let up = |session: &Session| {
            session.connections.iter().filter(|conn| conn.phase.progress() == Progress::Established).count()
        };
        let live = |side: usize| {
            let id = self.sessions[side].established()?;
            self.links.iter().find(|link| link.id == id && !link.closed[1 - side]).map(|link| link.id)
        };
        let (a, b) = (live(0), live(1));
        self.sessions.iter().all(|session| up(session) <= 1) && (a.is_none() || b.is_none() || a == b)
    }
}

fn running(timers: &Timers) -> u8 {
    Timer::ALL.into_iter().filter(|t| timers.deadline(*t).is_some()).fold(0, |mask, t| mask | 1 << t as u8)
}

fn kind(message: &Message) -> u8 {
    match message {
        Message::Open(_) => 1,
        Message::Update(_) => 2,
        Message::Notification(_) => 3,
        Message::KeepAlive => 4,
        Message::RouteRefresh(_) => 5,
    }
}

fn note_refusal(message: &Message, seen: &mut Seen) {
    if let Message::Notification(notification) = message {
        let allowed = [Notification::cease_collision(), Notification::hold_timer_expired()];
        if !allowed.contains(notification) {
            seen.refusals.push(notification.clone());
        }
    }
}

/// What a search found.
#[derive(Default)]
struct Graph {
    /// For each state, those that lead to it without a fault.
    back: Vec<Vec<u32>>,
    /// How many moves were made, over all states.
    moves: usize,
    /// The states in which both are Established on one connection.
    goals: Vec<u32>,
    /// For each state but the first, where the search came from and by which move.
    way: Vec<(u32, Option<Move>)>,
    /// The moves that lead to the first end of an Established session.
    down: Option<Vec<Move>>,
}

impl Graph {
    fn add(&mut self, pair: &Pair, from: u32, step: Option<Move>) -> u32 {
        let number = u32::try_from(self.back.len()).expect("MAX_STATES fits");
        assert!(self.back.len() < MAX_STATES, "the search has lost its bound");
        self.back.push(Vec::new());
        self.way.push((from, step));
        if pair.is_up() {
            self.goals.push(number);
        }
        number
    }

    /// The moves that lead to a state.
    fn story(&self, number: u32) -> Vec<Move> {
        let mut story = Vec::new();
        let mut at = number;
        while let Some((from, Some(step))) = self.way.get(at as usize) {
            story.push(*step);
            at = *from;
        }
        story.reverse();
        story
    }

    /// The first state from which no way leads to a goal.
    fn lost(&self) -> Option<u32> {
        let mut reaches = vec![false; self.back.len()];
        let mut open = self.goals.clone();
        while let Some(number) = open.pop() {
            if !core::mem::replace(&mut reaches[number as usize], true) {
                open.extend(&self.back[number as usize]);
            }
        }
        reaches.iter().position(|reached| !reached).map(|number| number as u32)
    }
}

/// All states of the pair, breadth first.
fn explore(start: Pair) -> Graph {
    let mut graph = Graph::default();
    let first = graph.add(&start, 0, None);
    let mut known = BTreeMap::from([(start.key(), first)]);
    let mut frontier = VecDeque::from([(first, start)]);
    while let Some((from, pair)) = frontier.pop_front() {
        for step in pair.moves() {
            graph.moves += 1;
            let mut next = pair.clone();
            let mut seen = Seen::default();
            next.apply(step, &mut seen);
            let fault = next.faults != pair.faults;
            let number = match known.entry(next.key()) {
                Entry::Occupied(entry) => *entry.get(),
                Entry::Vacant(entry) => {
                    let number = *entry.insert(graph.add(&next, from, Some(step)));
                    assert!(next.is_lawful(), "Established twice: {:?}", graph.story(number));
                    assert_eq!(seen.refusals, [], "refused: {:?}", graph.story(number));
                    frontier.push_back((number, next));
                    number
                }
            };
            if seen.downs > 0 {
                graph.down.get_or_insert([graph.story(from), vec![step]].concat());
            }
            if !fault {
                graph.back[number as usize].push(from);
            }
        }
    }
    println!("{} states, {} transitions", graph.back.len(), graph.moves);
    graph
}

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
