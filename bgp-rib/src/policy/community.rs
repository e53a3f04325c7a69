//! Patterns over communities of all kinds.

use core::fmt;
use core::str::FromStr;

use bgp_wire::{Community, ExtendedCommunity, Ipv6ExtendedCommunity, LargeCommunity};
use std::net::Ipv6Addr;

use super::span::{Span, parse_span};

/// How many of a list of patterns must be found among a route's communities.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Quantifier {
    /// At least one; an empty list is never found.
    Any,
    /// Every one; an empty list always is.
    All,
    /// Not a single one; an empty list never disturbs.
    None,
}

impl Quantifier {
    /// Judges the patterns by whether each is found.
    pub(crate) fn holds<P>(self, patterns: &[P], mut found: impl FnMut(&P) -> bool) -> bool {
        match self {
            Self::Any => patterns.iter().any(found),
            Self::All => patterns.iter().all(found),
            Self::None => !patterns.iter().any(&mut found),
        }
    }
}

/// Communities (RFC 1997) by their halves: `65000:100`, `65000:*`, `*:1-9`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CommunityPattern {
    /// The upper half, an AS number by custom.
    pub high: Span,
    /// The lower half.
    pub low: Span,
}

impl CommunityPattern {
    /// Whether a community fits.
    #[inline]
    #[must_use]
    pub const fn matches(&self, community: Community) -> bool {
        self.high.contains(community.0 >> 16) && self.low.contains(community.0 & 0xffff)
    }
}

impl From<Community> for CommunityPattern {
    fn from(community: Community) -> Self {
        Self { high: Span::exactly(community.0 >> 16), low: Span::exactly(community.0 & 0xffff) }
    }
}

/// Large communities (RFC 8092) by their parts: `65000:1:2`, `65000:*:1-9`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LargeCommunityPattern {
    /// Global administrator.
    pub global: Span,
    /// First local part.
    pub local1: Span,
    /// Second local part.
    pub local2: Span,
}

impl LargeCommunityPattern {
    /// Whether a community fits.
    #[inline]
    #[must_use]
    pub const fn matches(&self, community: LargeCommunity) -> bool {
        self.global.contains(community.global)
            && self.local1.contains(community.local1)
            && self.local2.contains(community.local2)
    }
}

impl From<LargeCommunity> for LargeCommunityPattern {
    fn from(community: LargeCommunity) -> Self {
        Self {
            global: Span::exactly(community.global),
            local1: Span::exactly(community.local1),
            local2: Span::exactly(community.local2),
        }
    }
}

/// Extended communities (RFC 4360) that agree with `value` in the bits of `mask`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ExtendedCommunityPattern {
    /// What the bits are.
    pub value: ExtendedCommunity,
    /// Which bits count.
    pub mask: [u8; 8],
}

impl ExtendedCommunityPattern {
    /// Every community of a type and sub-type.
    #[must_use]
    pub const fn of_kind(kind: u8, sub_kind: u8) -> Self {
        Self {
            value: ExtendedCommunity([kind, sub_kind, 0, 0, 0, 0, 0, 0]),
            mask: [0xff, 0xff, 0, 0, 0, 0, 0, 0],
        }
    }

    /// Every community of a type and sub-type with this AS number of two octets as administrator.
    #[must_use]
    pub const fn of_administrator(kind: u8, sub_kind: u8, asn: u16) -> Self {
        let [a, b] = asn.to_be_bytes();
        Self {
            value: ExtendedCommunity([kind, sub_kind, a, b, 0, 0, 0, 0]),
            mask: [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
        }
    }

    /// Whether a community fits.
    #[inline]
    #[must_use]
    pub const fn matches(&self, community: ExtendedCommunity) -> bool {
        let mask = u64::from_be_bytes(self.mask);
        (u64::from_be_bytes(community.0) ^ u64::from_be_bytes(self.value.0)) & mask == 0
    }
}

impl From<ExtendedCommunity> for ExtendedCommunityPattern {
    fn from(value: ExtendedCommunity) -> Self {
        Self { value, mask: [0xff; 8] }
    }
}

/// IPv6 extended communities (RFC 5701) that agree with `value` in the bits of `mask`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ipv6ExtendedCommunityPattern {
    /// What the bits are.
    pub value: Ipv6ExtendedCommunity,
    /// Which bits count.
    pub mask: [u8; 20],
}

impl Ipv6ExtendedCommunityPattern {
    /// Every community of a type and sub-type.
    #[must_use]
    pub fn of_kind(kind: u8, sub_kind: u8) -> Self {
        Self::of_octets(2, kind, sub_kind, Ipv6Addr::UNSPECIFIED)
    }

    /// Every community of a type and sub-type with this address as administrator.
    #[must_use]
    pub fn of_administrator(kind: u8, sub_kind: u8, address: Ipv6Addr) -> Self {
        Self::of_octets(18, kind, sub_kind, address)
    }

    /// The first so many octets count.
    fn of_octets(count: usize, kind: u8, sub_kind: u8, address: Ipv6Addr) -> Self {
        let (mut value, mut mask) = ([0; 20], [0; 20]);
        let octets = [kind, sub_kind].into_iter().chain(address.octets());
        value.iter_mut().zip(octets).for_each(|(to, from)| *to = from);
        mask.iter_mut().take(count).for_each(|octet| *octet = 0xff);
        Self { value: Ipv6ExtendedCommunity(value), mask }
    }

    /// Whether a community fits.
    #[must_use]
    pub fn matches(&self, community: Ipv6ExtendedCommunity) -> bool {
        let octets = community.0.iter().zip(&self.value.0).zip(&self.mask);
        octets.into_iter().all(|((has, wanted), mask)| (has ^ wanted) & mask == 0)
    }
}

impl From<Ipv6ExtendedCommunity> for Ipv6ExtendedCommunityPattern {
    fn from(value: Ipv6ExtendedCommunity) -> Self {
        Self { value, mask: [0xff; 20] }
    }
}

/// The text is no pattern over communities of the kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotAPattern;

impl fmt::Display for NotAPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a pattern over communities (try `65000:*`, `65000:1-9:*` or `no-export`)")
    }
}

impl core::error::Error for NotAPattern {}

impl FromStr for CommunityPattern {
    type Err = NotAPattern;

    fn from_str(text: &str) -> Result<Self, NotAPattern> {
        if let Ok(community) = text.parse::<Community>() {
            return Ok(community.into());
        }
        let (high, low) = text.split_once(':').ok_or(NotAPattern)?;
        Ok(Self { high: half(high)?, low: half(low)? })
    }
}

/// A span whose ends fit into 16 bits; `*` is every number.
fn half(text: &str) -> Result<Span, NotAPattern> {
    let fits = |span: &Span| *span == Span::ANY || span.high <= u32::from(u16::MAX);
    parse_span(text).filter(fits).ok_or(NotAPattern)
}

impl FromStr for LargeCommunityPattern {
    type Err = NotAPattern;

    fn from_str(text: &str) -> Result<Self, NotAPattern> {
        let mut parts = text.split(':').map(parse_span);
        let mut part = || parts.next().flatten().ok_or(NotAPattern);
        let pattern = Self { global: part()?, local1: part()?, local2: part()? };
        if parts.next().is_some() { Err(NotAPattern) } else { Ok(pattern) }
    }
}
