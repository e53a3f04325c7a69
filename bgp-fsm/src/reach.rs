//! What the session as a whole does about TCP: the states before any OPEN, one struct each.

use crate::State;

/// Nothing; connections are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Idle {
    /// The operator wants the session up: it leaves Idle by itself when IdleHoldTimer expires.
    pub(crate) started: bool,
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
