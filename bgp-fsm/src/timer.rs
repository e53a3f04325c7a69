//! The timers of RFC 4271 §8.1.3, as a table of deadlines.

use core::time::Duration;

/// A timer. ConnectRetry and IdleHold belong to the session, the others to one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Timer {
    /// ConnectRetryTimer (event 9).
    ConnectRetry,
    /// IdleHoldTimer (event 13).
    IdleHold,
    /// DelayOpenTimer (event 12).
    DelayOpen,
    /// HoldTimer (event 10).
    Hold,
    /// KeepaliveTimer (event 11).
    Keepalive,
    /// SendHoldTimer (RFC 9687).
    SendHold,
    /// How long the peer's choice between two connections is awaited: see `collision`.
    Collision,
}

impl Timer {
    pub(crate) const ALL: [Self; 7] = [
        Self::ConnectRetry,
        Self::IdleHold,
        Self::DelayOpen,
        Self::Hold,
        Self::Keepalive,
        Self::SendHold,
        Self::Collision,
    ];
}

/// Deadlines by timer. Starting, restarting and stopping are one store each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Timers {
    deadlines: [Option<Duration>; Timer::ALL.len()],
}

impl Timers {
    pub(crate) fn start(&mut self, timer: Timer, deadline: Duration) {
        self.deadlines[timer as usize] = Some(deadline);
    }

    pub(crate) fn stop(&mut self, timer: Timer) {
        self.deadlines[timer as usize] = None;
    }

    pub(crate) fn deadline(&self, timer: Timer) -> Option<Duration> {
        self.deadlines[timer as usize]
    }

    /// The next timer to expire, and when.
    pub(crate) fn next(&self) -> Option<(Duration, Timer)> {
        Timer::ALL
            .into_iter()
            .filter_map(|timer| Some((self.deadline(timer)?, timer)))
            .min_by_key(|(deadline, _)| *deadline)
    }
}
