//! Jitter from a seed (RFC 4271 §10).

use core::time::Duration;

/// A stream of numbers that spreads timers (SplitMix64): equal seeds, equal streams.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 75 to 100 % of `base`, evenly (RFC 4271 §10).
    pub(crate) fn spread(&mut self, base: Duration) -> Duration {
        let part = 768 + u128::from(self.next() % 257);
        let nanos = base.as_nanos().saturating_mul(part) / 1024;
        // Only a base of more than five centuries does not fit, and that one needs no jitter.
        u64::try_from(nanos).map_or(base, Duration::from_nanos)
    }
}
