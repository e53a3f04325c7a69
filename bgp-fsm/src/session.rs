//! The door: one session, its inputs and outputs.

mod bfd;
mod colliding;
mod connecting;
mod ending;
#[cfg(test)]
mod explore;
mod opening;
mod timing;

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use tracing::debug;

use crate::collision::{Opener, Progress};
use crate::connection::Connections;
use crate::damping::Damping;
use crate::jitter::Jitter;
use crate::reach::{Idle, Reach};
use crate::states::{Phase, Received};
use crate::timer::{Timer, Timers};
use crate::{Bfd, ConnId, Counters, DownReason, Event, Input, Negotiated, Output, SessionConfig, State};

/// How long a connection that has won a collision waits for our KEEPALIVE: the peer closes the other one before it is up on
/// this. Of one that finds OPEN and KEEPALIVE in one reading, FRR 8.4 has the close hit the winner. Some round trips, and
/// not long enough to be felt.
pub(crate) const CONFIRM_DELAY: Duration = Duration::from_millis(100);

/// One BGP session with one peer.
///
/// See the [crate's front page](crate) for how to drive it.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub struct Session {
    config: Arc<SessionConfig>,
    reach: Reach,
    timers: Timers,
    connections: Connections,
    damping: Damping,
    /// When a connection last lost a collision.
    collided: Option<Duration>,
    jitter: Jitter,
    /// What BFD said last, if there is BFD.
    bfd: Option<Bfd>,
    /// The state that was last told.
    state: State,
    outputs: VecDeque<Output>,
    last_error: Option<Box<DownReason>>,
    counters: Counters,
    /// Stands for another implementation, which decides by itself whenever an OPEN comes, and looks at connections that
    /// have come so far (RFC 4271 §6.8).
    #[cfg(test)]
    by_the_letter: Option<Progress>,
}

impl Session {
    /// A session in Idle. `seed` feeds the jitter of its timers.
    pub fn new(config: Arc<SessionConfig>, seed: u64) -> Self {
        Self {
            config,
            reach: Reach::Idle(Idle::STOPPED),
            timers: Timers::default(),
            connections: Connections::default(),
            damping: Damping::default(),
            collided: None,
            jitter: Jitter::new(seed),
            bfd: None,
            state: State::Idle,
            outputs: VecDeque::new(),
            last_error: None,
            counters: Counters::default(),
            #[cfg(test)]
            by_the_letter: None,
        }
    }

    /// Takes in one thing that happened. Never fails and never panics, for any input in any state.
    pub fn handle(&mut self, now: Duration, input: Input<'_>) {
        match input {
            Input::Start => self.start(now),
            Input::Stop(stop) => self.stop(&stop),
            Input::Reset(notification) => self.reset(now, &notification),
            Input::Tick => self.tick(now),
            Input::Connected(id) => self.connected(now, id),
            Input::ConnectFailed(why) => self.connect_failed(now, why),
            Input::Accepted(id) => self.accepted(now, id),
            Input::Message(id, message) => self.received(now, id, message.into()),
            Input::Update(id) => self.received(now, id, Received::Update),
            Input::DecodeError(id, notification) => {
                self.received(now, id, Received::Undecodable(notification));
            }
            Input::Closed(id, why) => self.closed(now, id, why),
            Input::InputPending(id) => self.input_pending(now, id),
            Input::WriteBlocked(id) => self.write_blocked(now, id),
            Input::WriteProgress(id) => self.write_progress(id),
            Input::Bfd(state) => self.bfd_changed(now, state),
        }
        self.tell_state();
    }

    /// The next thing to do, until `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front();
        if output.is_none() {
            // An idle session holds no queue.
            self.outputs = VecDeque::new();
        }
        output
    }

    /// When to hand in [`Input::Tick`] at the latest. It may turn out that nothing is due then.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let session = self.timers.next().map(|(at, _)| at);
        let connection = self.connections.next_timer().map(|(at, ..)| at);
        session.into_iter().chain(connection).min()
    }

    /// Whether a tick at `now` ends a connection for the peer's silence: octets of it that wait unread are to be told of first
    /// ([`Input::InputPending`]).
    pub fn hold_expires(&self, now: Duration) -> bool {
        self.connections.iter().any(|conn| conn.timers.deadline(Timer::Hold).is_some_and(|at| at <= now))
    }

    /// Where the session stands.
    pub fn state(&self) -> State {
        match self.connections.iter().map(|conn| conn.phase.progress()).max() {
            Some(Progress::Established) => State::Established,
            Some(Progress::OpenConfirm) => State::OpenConfirm,
            Some(Progress::OpenSent) => State::OpenSent,
            Some(Progress::DelayOpen) if self.connections.iter().any(|conn| conn.opener == Opener::Us) => {
                State::Connect
            }
            Some(Progress::DelayOpen) | None => self.reach.state(),
        }
    }

    /// The connection that carries routes, while Established. An UPDATE is for the RIB if this is its connection
    /// after it was handed in.
    pub fn established(&self) -> Option<ConnId> {
        self.up().map(|(id, _)| id)
    }

    /// What was agreed on, while Established.
    pub fn negotiated(&self) -> Option<&Arc<Negotiated>> {
        self.up().map(|(_, negotiated)| negotiated)
    }

    /// What was agreed on over a connection, from the peer's OPEN on: how what comes over it is to be read.
    pub fn agreed(&self, id: ConnId) -> Option<&Arc<Negotiated>> {
        match &self.connections.get(id)?.phase {
            Phase::DelayOpen(_) | Phase::OpenSent(_) => None,
            Phase::OpenConfirm(state) => Some(&state.negotiated),
            Phase::Established(state) => Some(&state.negotiated),
        }
    }

    /// Why the session, or the last attempt at one, ended.
    pub fn last_error(&self) -> Option<&DownReason> {
        self.last_error.as_deref()
    }

    /// What was counted since the session was made.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The configuration in use.
    pub fn config(&self) -> &Arc<SessionConfig> {
        &self.config
    }

    /// Changes the configuration. Timers take it up when they are next started, and the OPEN when it is next sent: a
    /// caller who wants that at once hands in [`Input::Reset`] with Cease / Other Configuration Change.
    pub fn configure(&mut self, config: Arc<SessionConfig>) {
        self.config = config;
    }
}

impl Session {
    fn up(&self) -> Option<(ConnId, &Arc<Negotiated>)> {
        self.connections.iter().find_map(|conn| match &conn.phase {
            Phase::Established(state) => Some((conn.id, &state.negotiated)),
            _ => None,
        })
    }

    fn put(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    fn tell(&mut self, event: Event) {
        self.put(Output::Event(event));
    }

    fn tell_state(&mut self) {
        let to = self.state();
        if to != self.state {
            let from = core::mem::replace(&mut self.state, to);
            debug!(%from, %to, "state changed");
            self.tell(Event::StateChanged { from, to });
        }
    }
}
