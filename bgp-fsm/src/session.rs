//! The door: one session, its inputs and outputs.

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use crate::{ConnId, Counters, DownReason, Input, Negotiated, Output, SessionConfig, State};

/// One BGP session with one peer.
#[derive(Debug)]
pub struct Session {
    config: Arc<SessionConfig>,
    state: State,
    outputs: VecDeque<Output>,
    last_error: Option<Box<DownReason>>,
    established: Option<(ConnId, Arc<Negotiated>)>,
    counters: Counters,
    seed: u64,
}

impl Session {
    /// A session in Idle. `seed` feeds the jitter of its timers.
    pub fn new(config: Arc<SessionConfig>, seed: u64) -> Self {
        Self {
            config,
            state: State::Idle,
            outputs: VecDeque::new(),
            last_error: None,
            established: None,
            counters: Counters::default(),
            seed,
        }
    }

    /// Takes in one thing that happened. Never fails and never panics; drain [`Session::poll_output`] afterwards.
    pub fn handle(&mut self, now: Duration, input: Input<'_>) {
        let _ = (now, input, self.seed);
    }

    /// The next thing to do, until `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to hand in [`Input::Tick`] at the latest.
    pub fn poll_timeout(&self) -> Option<Duration> {
        None
    }

    /// Where the session stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// The connection that carries routes. An UPDATE is for the RIB if, after it was handed in, this is its connection.
    pub fn established(&self) -> Option<ConnId> {
        self.established.as_ref().map(|(conn, _)| *conn)
    }

    /// What was agreed on, while Established.
    pub fn negotiated(&self) -> Option<&Arc<Negotiated>> {
        self.established.as_ref().map(|(_, negotiated)| negotiated)
    }

    /// Why the session or its last attempt ended.
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

    /// Changes the configuration. What an OPEN says takes effect with the next OPEN; a caller who wants that at
    /// once hands in [`Input::Reset`] with Cease / Other Configuration Change.
    pub fn configure(&mut self, config: Arc<SessionConfig>) {
        self.config = config;
    }
}
