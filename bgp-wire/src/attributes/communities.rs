//! COMMUNITIES (RFC 1997; errors RFC 7606 §7.8: treat-as-withdraw).
use core::fmt;
use core::str::FromStr;

use super::list::value_list;
use super::{Context, Row, multiple};
use crate::reaction::FaultKind;

pub(crate) const ROW: Row = Row::OPTIONAL_TRANSITIVE;

#[inline(always)]
pub(crate) fn check(value: &[u8], _: Context) -> Result<(), FaultKind> {
    multiple(value, 4)
}

value_list! {
    /// Communities, in the order received.
    Communities of Community, 4, |c| Community(u32::from_be_bytes(*c))
}

/// A community ([registry](https://www.iana.org/assignments/bgp-well-known-communities)); shown as `65000:100`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Community(pub u32);

impl Community {
    /// Drain before maintenance (RFC 8326).
    pub const GRACEFUL_SHUTDOWN: Self = Self(0xffff_0000);
    /// Accept although it comes back to its origin (RFC 7611).
    pub const ACCEPT_OWN: Self = Self(0xffff_0001);
    /// Stale under long-lived graceful restart (RFC 9494 §4.1).
    pub const LLGR_STALE: Self = Self(0xffff_0006);
    /// Not to be kept by long-lived graceful restart (RFC 9494 §4.2).
    pub const NO_LLGR: Self = Self(0xffff_0007);
    /// Drop traffic (RFC 7999).
    pub const BLACKHOLE: Self = Self(0xffff_029a);
    /// Not outside the confederation (RFC 1997).
    pub const NO_EXPORT: Self = Self(0xffff_ff01);
    /// To no other peer (RFC 1997).
    pub const NO_ADVERTISE: Self = Self(0xffff_ff02);
    /// Not outside the member AS (RFC 1997).
    pub const NO_EXPORT_SUBCONFED: Self = Self(0xffff_ff03);
    /// Not to bilateral peers (RFC 3765).
    pub const NO_PEER: Self = Self(0xffff_ff04);

    /// `high:low`.
    #[must_use]
    pub const fn new(high: u16, low: u16) -> Self {
        let ([h1, h0], [l1, l0]) = (high.to_be_bytes(), low.to_be_bytes());
        Self(u32::from_be_bytes([h1, h0, l1, l0]))
    }

    const NAMES: [(Self, &'static str); 9] = [
        (Self::GRACEFUL_SHUTDOWN, "graceful-shutdown"),
        (Self::ACCEPT_OWN, "accept-own"),
        (Self::LLGR_STALE, "llgr-stale"),
        (Self::NO_LLGR, "no-llgr"),
        (Self::BLACKHOLE, "blackhole"),
        (Self::NO_EXPORT, "no-export"),
        (Self::NO_ADVERTISE, "no-advertise"),
        (Self::NO_EXPORT_SUBCONFED, "no-export-subconfed"),
        (Self::NO_PEER, "no-peer"),
    ];
}

impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NAMES.iter().find(|(c, _)| c == self) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "{}:{}", self.0 >> 16, self.0 & 0xffff),
        }
    }
}

/// The text is neither `high:low` nor a well-known name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotACommunity;

impl fmt::Display for NotACommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a community (try `65000:100` or `no-export`)")
    }
}

impl core::error::Error for NotACommunity {}

impl FromStr for Community {
    type Err = NotACommunity;

    fn from_str(s: &str) -> Result<Self, NotACommunity> {
        if let Some((community, _)) = Self::NAMES.iter().find(|(_, name)| *name == s) {
            return Ok(*community);
        }
        let (high, low) = s.split_once(':').ok_or(NotACommunity)?;
        let half = |t: &str| t.parse::<u16>().map_err(|_| NotACommunity);
        Ok(Self::new(half(high)?, half(low)?))
    }
}
