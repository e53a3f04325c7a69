//! The six states of RFC 4271 §8.2.2.

use core::fmt;

/// State of a session. With two connections, the state of the one that is further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Stopped, or waiting before the next attempt. Connections are refused.
    Idle,
    /// Dialling.
    Connect,
    /// Listening, until it is time to dial again.
    Active,
    /// Our OPEN is out.
    OpenSent,
    /// The peer's OPEN is in and good.
    OpenConfirm,
    /// Routes flow.
    Established,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "Idle",
            Self::Connect => "Connect",
            Self::Active => "Active",
            Self::OpenSent => "OpenSent",
            Self::OpenConfirm => "OpenConfirm",
            Self::Established => "Established",
        })
    }
}
