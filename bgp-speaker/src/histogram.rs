//! Times counted by magnitude: cheap enough to note each, exact enough to tell a millisecond from ten.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Parts of each power of two: a figure is known to a quarter of itself.
const PARTS: usize = 4;
/// Buckets up to 2^26 µs, which is more than a minute: whoever is later has lost the session.
const BUCKETS: usize = 26 * PARTS;

/// Times by microseconds.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    longest: AtomicU64,
}

/// What a histogram comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) count: u64,
    /// Half of them, and all but one in a thousand, were no longer than this, to a quarter of it.
    pub(crate) median: Duration,
    pub(crate) p999: Duration,
    pub(crate) max: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BUCKETS], longest: AtomicU64::new(0) }
    }
}

impl Histogram {
    pub(crate) fn note(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get(bucket(micros)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.longest.fetch_max(micros, Ordering::Relaxed);
    }

    pub(crate) fn figures(&self) -> Figures {
        let counts: Vec<u64> = self.buckets.iter().map(|b| b.load(Ordering::Relaxed)).collect();
        let count = counts.iter().sum();
        let max = Duration::from_micros(self.longest.load(Ordering::Relaxed));
        let quantile = |beyond: u64| {
            // How many are to be no longer than the figure.
            let wanted = count - count / beyond;
            let mut seen = 0;
            let at = counts.iter().position(|count| {
                seen += count;
                seen >= wanted
            });
            at.map_or(max, |at| Duration::from_micros(upper(at)).min(max))
        };
        Figures { count, median: quantile(2), p999: quantile(1000), max }
    }
}

/// Below [`PARTS`] each microsecond has its own; above, each quarter of a power of two.
fn bucket(micros: u64) -> usize {
    let parts = PARTS as u64;
    if micros < parts {
        return micros as usize;
    }
    let power = micros.ilog2();
    let part = (micros >> (power - 2)) - parts;
    let at = (u64::from(power) - 1) * parts + part;
    usize::try_from(at).map_or(BUCKETS - 1, |at| at.min(BUCKETS - 1))
}

/// The longest time of a bucket.
fn upper(at: usize) -> u64 {
    if at < PARTS {
        return at as u64;
    }
    let power = at / PARTS + 1;
    let part = (at % PARTS + PARTS) as u64;
    ((part + 1) << (power - 2)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bucket_ends_where_the_next_begins() {
        for at in 0..BUCKETS - 1 {
            assert_eq!(bucket(upper(at)), at);
            assert_eq!(bucket(upper(at) + 1), at + 1);
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn figures_are_those_of_the_sorted_list_to_a_quarter() {
        let times = Histogram::default();
        assert_eq!(times.figures(), Figures::default());
        for micros in 1..=10_000 {
            times.note(Duration::from_micros(micros));
        }
        let found = times.figures();
        let near = |found: Duration, exact: u128| (exact..=exact * 5 / 4).contains(&found.as_micros());
        assert_eq!((found.count, found.max), (10_000, Duration::from_micros(10_000)));
        assert!(near(found.median, 5_000) && near(found.p999, 9_990), "{found:?}");
    }
}
