//! Two sessions and the TCP connections between them, with everything that may happen next.

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use bgp_wire::{Codec, Message, Notification};

use crate::collision::{Opener, Progress};
use crate::reach::Reach;
use crate::session::Session;
use crate::states::Phase;
use crate::timer::{Timer, Timers};
use crate::{ConnId, Event, Input, Output, SessionConfig, State};

/// TCP connections that exist at once, those included that one side has left: more only repeat what fewer show.
const MAX_LINKS: usize = 3;
/// The moment at which everything happens: long after what has aged.
const NOW: Duration = Duration::from_secs(1000);

/// A TCP connection in the model. Index 0 is session A's side, 1 is B's.
#[derive(Clone)]
pub(super) struct Link {
    id: ConnId,
    dialler: usize,
    /// The dialler has been told that it stands, or has given up.
    answered: bool,
    accepted: bool,
    queues: [VecDeque<Arc<Message>>; 2],
    closed: [bool; 2],
}

#[derive(Clone)]
pub(super) struct Pair {
    pub(super) sessions: [Session; 2],
    pub(super) links: Vec<Link>,
    pub(super) next_id: u32,
    pub(super) network: Network,
    /// How many more times something may fail.
    pub(super) faults: u8,
    /// Connections may wait longer to be taken in than an OPEN waits for its answer.
    pub(super) slow: bool,
}

/// How long messages may be on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(super) enum Network {
    /// Longer than any timer runs.
    OfAnySpeed,
    /// Not as long as a choice is awaited, as it is to be.
    FasterThanChoices,
    /// Nor as long as a speaker pauses before it dials again.
    FasterThanRetries,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
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
pub(super) struct Seen {
    pub(super) downs: usize,
    pub(super) refusals: Vec<Notification>,
}

impl Pair {
    pub(super) fn new(configs: [SessionConfig; 2], faults: u8) -> Self {
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

    pub(super) fn moves(&self) -> Vec<Move> {
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

    pub(super) fn apply(&mut self, step: Move, seen: &mut Seen) {
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
    pub(super) fn key(&self) -> Vec<u8> {
        let mut key = vec![self.faults];
        let label = |id: ConnId| self.links.iter().position(|link| link.id == id).map_or(255, |at| at as u8);
        for session in &self.sessions {
            let open = matches!(session.reach, Reach::Idle(idle) if idle.is_open(NOW));
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

    pub(super) fn is_up(&self) -> bool {
        let [a, b] = self.sessions.each_ref().map(Session::established);
        a.is_some() && a == b
    }

    /// No session is Established twice, nor both on connections that differ and that the other still has.
    pub(super) fn is_lawful(&self) -> bool {
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
