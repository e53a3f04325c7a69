//! Route target membership (RFC 4684 §4).
use core::fmt;

use bytes::{BufMut, BytesMut};

use super::WriteNlri;
use crate::{Asn, ExtendedCommunity, Family};

/// The route targets that a speaker wants routes of: an origin AS with a route target, or with the first bits of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteTargetMembership {
    /// How many bits of AS and target count: 0, which wants everything, or 32 to 96.
    bits: u8,
    origin: Asn,
    target: ExtendedCommunity,
}

/// Bits of AS and route target.
const MAX_BITS: u8 = 96;
/// Bits of the AS, which cannot be wanted in part (RFC 4684 §4).
const ORIGIN_BITS: u8 = 32;

impl RouteTargetMembership {
    /// All route targets: the default route target (RFC 4684 §4).
    pub const DEFAULT: Self = Self { bits: 0, origin: Asn(0), target: ExtendedCommunity([0; 8]) };

    /// One route target.
    #[must_use]
    pub const fn new(origin: Asn, target: ExtendedCommunity) -> Self {
        Self { bits: MAX_BITS, origin, target }
    }

    /// Those that begin with so many bits of the AS and the target; `None` for a length that there is not.
    #[must_use]
    pub fn with_length(origin: Asn, target: ExtendedCommunity, bits: u8) -> Option<Self> {
        if bits == 0 {
            return Some(Self::DEFAULT);
        }
        let kept = bits.checked_sub(ORIGIN_BITS).filter(|_| bits <= MAX_BITS)?;
        let mask = u64::MAX.checked_shl(u32::from(64u8.saturating_sub(kept))).unwrap_or(0);
        let target = ExtendedCommunity((u64::from_be_bytes(target.0) & mask).to_be_bytes());
        Some(Self { bits, origin, target })
    }

    /// How many bits count.
    #[must_use]
    pub const fn bits(&self) -> u8 {
        self.bits
    }

    /// The AS of the speaker that wants them.
    #[must_use]
    pub const fn origin(&self) -> Asn {
        self.origin
    }

    /// The route target, bits beyond the length cleared.
    #[must_use]
    pub const fn target(&self) -> ExtendedCommunity {
        self.target
    }

    /// Whether it wants routes with this route target.
    #[must_use]
    pub fn wants(&self, target: ExtendedCommunity) -> bool {
        self.bits == 0 || Self::with_length(self.origin, target, self.bits) == Some(*self)
    }

    /// Appends the octets of the NLRI.
    pub(super) fn append_to(&self, out: &mut Vec<u8>) {
        let end = out.len().saturating_add(self.wire_len());
        out.push(self.bits);
        out.extend_from_slice(&self.origin.0.to_be_bytes());
        out.extend_from_slice(&self.target.0);
        out.truncate(end);
    }

    /// Reads one NLRI without a path identifier.
    pub(super) fn read(octets: &[u8]) -> Option<Self> {
        let (bits, rest) = octets.split_first()?;
        let whole = usize::from(bits.div_ceil(8));
        let mut all = [0; 12];
        all.get_mut(..whole)?.copy_from_slice(rest.get(..whole)?);
        let [a, b, c, d, target @ ..] = all;
        Self::with_length(Asn(u32::from_be_bytes([a, b, c, d])), ExtendedCommunity(target), *bits)
    }
}

impl WriteNlri for RouteTargetMembership {
    fn is_of(&self, family: Family) -> bool {
        family == Family::ROUTE_TARGET
    }

    fn wire_len(&self) -> usize {
        usize::from(self.bits.div_ceil(8)).saturating_add(1)
    }

    fn write(&self, out: &mut BytesMut) {
        let end = out.len().saturating_add(self.wire_len());
        out.put_u8(self.bits);
        out.put_u32(self.origin.0);
        out.put_slice(&self.target.0);
        out.truncate(end);
    }
}

/// `65000:rt:65000:1`, with `/48` behind it where it is not whole; `default`.
impl fmt::Display for RouteTargetMembership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bits {
            0 => f.write_str("default"),
            MAX_BITS => write!(f, "{}:{}", self.origin, self.target),
            bits => write!(f, "{}:{}/{bits}", self.origin, self.target),
        }
    }
}
