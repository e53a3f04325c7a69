//! What the session as a whole does about TCP: the states before any OPEN, one struct each.

use core::time::Duration;

use crate::State;

/// Stopped, or waiting for IdleHoldTimer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Idle {
    /// The operator wants the session up: it leaves Idle by itself when IdleHoldTimer expires.
    pub(crate) started: bool,
    /// From when on a peer that connects meanwhile is let in; `None` is never. A few failures are no oscillation yet, and a
    /// peer that was cut off comes back sooner than its own retry timer would bring it if it were refused once.
    pub(crate) open_from: Option<Duration>,
}

impl Idle {
    pub(crate) const STOPPED: Self = Self { started: false, open_from: None };

    /// Whether a peer that connects now is let in.
    pub(crate) fn is_open(self, now: Duration) -> bool {
        self.open_from.is_some_and(|from| from <= now)
    }
}

/// An attempt to connect runs, for as long as ConnectRetryTimer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Connect;

/// Listening. Without a connection and unless passive, ConnectRetryTimer runs towards the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Active;

/// One of the three. With a connection, it goes on underneath.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Reach {
    Idle(Idle),
    Connect(Connect),
    Active(Active),
}

impl Reach {
    pub(crate) fn state(self) -> State {
        match self {
            Self::Idle(_) => State::Idle,
            Self::Connect(_) => State::Connect,
            Self::Active(_) => State::Active,
        }
    }
}
