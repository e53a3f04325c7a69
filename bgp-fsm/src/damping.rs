//! Back-off after failures (DampPeerOscillations, RFC 4271 §8.1.1).

use core::time::Duration;

use crate::IdleHold;

/// The ConnectRetryCounter of RFC 4271 §8.1.1, and the wait that follows from it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Damping {
    failures: u32,
}

impl Damping {
    /// The operator starts or stops the session: a clean slate (RFC 4271 §8.2.2, ManualStart).
    pub(crate) fn clear(&mut self) {
        self.failures = 0;
    }

    /// One more failure, as long as it changes anything: what is counted beyond that would only be forgiven first.
    pub(crate) fn failed(&mut self, config: &IdleHold) {
        self.failures = self.failures.saturating_add(1).min(most(config));
    }

    /// A session that lasted makes up for failures.
    pub(crate) fn lasted(&mut self, time: Duration, config: &IdleHold) {
        let earned = time.as_nanos().checked_div(config.forgive.as_nanos()).unwrap_or(u128::MAX);
        self.failures = self.failures.saturating_sub(u32::try_from(earned).unwrap_or(u32::MAX));
    }

    /// Whether failures follow each other so closely that the peer itself is to be held off.
    pub(crate) fn oscillates(&self, config: &IdleHold) -> bool {
        self.failures > config.tolerated
    }

    /// The wait before the next attempt, without jitter.
    pub(crate) fn delay(&self, config: &IdleHold) -> Duration {
        delay_after(self.failures, config)
    }
}

/// 2^31 of any shortest wait above a nanosecond is beyond any longest one in use.
const MOST_DOUBLINGS: u32 = 31;

fn delay_after(failures: u32, config: &IdleHold) -> Duration {
    let doublings = failures.saturating_sub(1).min(MOST_DOUBLINGS);
    config.min.saturating_mul(1 << doublings).min(config.max.max(config.min))
}

/// The failures with which a session waits longest and the peer, unless every failure is tolerated, is held off.
fn most(config: &IdleHold) -> u32 {
    let longest = delay_after(u32::MAX, config);
    let waits = (0..=MOST_DOUBLINGS).find(|failures| delay_after(*failures, config) == longest);
    waits.unwrap_or(MOST_DOUBLINGS + 1).max(config.tolerated.checked_add(1).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: IdleHold = IdleHold {
        min: Duration::from_secs(1),
        max: Duration::from_secs(60),
        forgive: Duration::from_secs(60),
        tolerated: 1,
    };

    fn after(failures: u32) -> Damping {
        let mut damping = Damping::default();
        (0..failures).for_each(|_| damping.failed(&CONFIG));
        damping
    }

    #[test]
    fn failures_that_change_nothing_are_not_counted() {
        assert_eq!(after(1000), after(7), "the seventh wait is the longest");
        let patient = IdleHold { tolerated: 20, ..CONFIG };
        let mut damping = Damping::default();
        (0..1000).for_each(|_| damping.failed(&patient));
        assert!(damping.oscillates(&patient));
        damping.lasted(CONFIG.forgive, &patient);
        assert!(!damping.oscillates(&patient));
        let endless = IdleHold { tolerated: u32::MAX, ..CONFIG };
        (0..1000).for_each(|_| damping.failed(&endless));
        damping.lasted(CONFIG.forgive * 7, &endless);
        assert_eq!(damping, after(0));
    }

    #[test]
    fn delays_double_up_to_the_cap() {
        let seconds: Vec<u64> = (0..10).map(|n| after(n).delay(&CONFIG).as_secs()).collect();
        assert_eq!(seconds, [1, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(after(100_000).delay(&CONFIG), CONFIG.max);
    }

    #[test]
    fn a_session_that_lasted_is_forgiven_in_proportion() {
        let mut damping = after(5);
        damping.lasted(Duration::from_secs(59), &CONFIG);
        assert_eq!(damping, after(5));
        damping.lasted(Duration::from_secs(121), &CONFIG);
        assert_eq!(damping, after(3));
        damping.lasted(Duration::MAX, &CONFIG);
        assert_eq!(damping, after(0));
    }
}
