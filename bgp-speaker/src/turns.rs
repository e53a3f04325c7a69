//! How long the tables keep everything else waiting: the turns of the task that owns them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::histogram::Histogram;

/// A turn that is longer is counted apart: what a session's timers, and whoever asks something, may be asked to wait.
const LONG: Duration = Duration::from_millis(10);

/// All turns of a speaker.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    times: Histogram,
    long: AtomicU64,
}

/// How long the turns of the tables took since the speaker started, by the clock: what the machine gave to others meanwhile
/// is in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TurnTimes {
    /// Turns.
    pub turns: u64,
    /// Turns longer than 10 ms.
    pub long: u64,
    /// Half of them were no longer than this, to a quarter of it.
    pub median: Duration,
    /// All but one in a thousand were no longer than this, to a quarter of it.
    pub p999: Duration,
    /// The longest.
    pub max: Duration,
}

impl Turns {
    pub(crate) fn note(&self, time: Duration) {
        self.times.note(time);
        if time > LONG {
            self.long.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn snapshot(&self) -> TurnTimes {
        let figures = self.times.figures();
        TurnTimes {
            turns: figures.count,
            long: self.long.load(Ordering::Relaxed),
            median: figures.median,
            p999: figures.p999,
            max: figures.max,
        }
    }
}
