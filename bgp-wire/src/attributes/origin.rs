//! ORIGIN (RFC 4271 §5.1.1; errors RFC 7606 §7.1: treat-as-withdraw).
use core::fmt;

use super::{Context, Row, exactly};
use crate::reaction::FaultKind;

pub(crate) const ROW: Row = Row::WELL_KNOWN;

#[inline(always)]
pub(crate) fn check(value: &[u8], _: Context) -> Result<(), FaultKind> {
    exactly(value, 1)?;
    if matches!(value, [0..=2]) { Ok(()) } else { Err(FaultKind::Value) }
}

/// Where the route came from, lower preferred (RFC 4271 §9.1.2.2 (b)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[repr(u8)]
pub enum Origin {
    /// Interior to the originating AS.
    #[default]
    Igp = 0,
    /// Learned by EGP (RFC 904).
    Egp = 1,
    /// By some other means.
    Incomplete = 2,
}

impl Origin {
    pub(crate) const fn decode(value: &[u8]) -> Option<Self> {
        match value {
            [0] => Some(Self::Igp),
            [1] => Some(Self::Egp),
            [2] => Some(Self::Incomplete),
            _ => None,
        }
    }

    /// The value octet.
    #[must_use]
    pub const fn octet(self) -> u8 {
        match self {
            Self::Igp => 0,
            Self::Egp => 1,
            Self::Incomplete => 2,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Igp => "igp",
            Self::Egp => "egp",
            Self::Incomplete => "incomplete",
        })
    }
}
