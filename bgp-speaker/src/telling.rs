//! Things that strangers can cause as often as they like: counted, and told now and then.

use std::time::Duration;

use tokio::time::Instant;

/// One telling in this time, however many there are: a port scan does not fill the log.
const INTERVAL: Duration = Duration::from_secs(10);

/// How often something happened since it was last told, and one to whom it did. Its size does not depend on how often.
#[derive(Debug)]
pub(crate) struct Telling<T> {
    untold: u64,
    example: Option<T>,
    told: Option<Instant>,
}

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally<T> {
    pub(crate) count: u64,
    pub(crate) example: T,
}

impl<T> Default for Telling<T> {
    fn default() -> Self {
        Self { untold: 0, example: None, told: None }
    }
}

impl<T> Telling<T> {
    /// It happened once more; what is to be told at once, as nothing was told lately.
    pub(crate) fn count(&mut self, example: T, now: Instant) -> Option<Tally<T>> {
        self.untold += 1;
        self.example = Some(example);
        self.report(now)
    }

    /// When the next telling is due, if there is something to tell.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.told.filter(|_| self.untold > 0).map(|told| told + INTERVAL)
    }

    /// What has not been told, if it is time; from here on it has.
    pub(crate) fn report(&mut self, now: Instant) -> Option<Tally<T>> {
        if self.told.is_some_and(|told| now < told + INTERVAL) {
            return None;
        }
        let example = self.example.take()?;
        self.told = Some(now);
        Some(Tally { count: std::mem::take(&mut self.untold), example })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_the_rest_together_after_a_while() {
        let (mut telling, now) = (Telling::default(), Instant::now());
        assert_eq!(telling.due(), None);
        assert_eq!(telling.count(1, now), Some(Tally { count: 1, example: 1 }));
        assert_eq!(telling.due(), None, "nothing is left to tell");
        assert!((2..500).all(|n| telling.count(n, now).is_none()));
        assert_eq!((telling.due(), telling.report(now)), (Some(now + INTERVAL), None));
        assert_eq!(telling.report(now + INTERVAL), Some(Tally { count: 498, example: 499 }));
        assert_eq!(telling.report(now + 3 * INTERVAL), None);
        assert_eq!(telling.count(7, now + 3 * INTERVAL), Some(Tally { count: 1, example: 7 }));
    }
}
