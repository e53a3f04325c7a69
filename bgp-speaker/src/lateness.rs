//! How late our keepalives go out: from the moment at which they are due to that at which the socket has taken them. This
//! is what tells whether liveness waits for work.

use std::time::Duration;

use crate::histogram::Histogram;

/// Lateness of all keepalives of a speaker.
#[derive(Debug, Default)]
pub(crate) struct Lateness(Histogram);

/// How late keepalives went out since the speaker started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeepaliveLateness {
    /// Keepalives that a timer sent.
    pub keepalives: u64,
    /// Half of them were no later than this, to a quarter of it.
    pub median: Duration,
    /// All but one in a thousand were no later than this, to a quarter of it.
    pub p999: Duration,
    /// The latest.
    pub max: Duration,
}

impl Lateness {
    pub(crate) fn note(&self, late: Duration) {
        self.0.note(late);
    }

    pub(crate) fn snapshot(&self) -> KeepaliveLateness {
        let figures = self.0.figures();
        KeepaliveLateness {
            keepalives: figures.count,
            median: figures.median,
            p999: figures.p999,
            max: figures.max,
        }
    }
}
