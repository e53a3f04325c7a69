//! A block of NLRI: validated octets of one family.
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::ip::{Ipv4Nlri, Ipv6Nlri, check_ipv4, check_ipv6};
use crate::{Family, PathId};

/// Validated NLRI of one family; its iterators cannot fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NlriBlock<'a> {
    family: Family,
    add_path: bool,
    bytes: &'a [u8],
}

/// One NLRI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Nlri {
    /// An IPv4 prefix.
    Ipv4(Ipv4Net),
    /// An IPv6 prefix.
    Ipv6(Ipv6Net),
}

impl From<Nlri> for IpNet {
    fn from(n: Nlri) -> Self {
        match n {
            Nlri::Ipv4(p) => Self::V4(p),
            Nlri::Ipv6(p) => Self::V6(p),
        }
    }
}

impl core::fmt::Display for Nlri {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Ipv4(p) => p.fmt(f),
            Self::Ipv6(p) => p.fmt(f),
        }
    }
}

impl<'a> NlriBlock<'a> {
    /// Validates octets as NLRI of a family; `None` where they do not parse or the family is not decoded.
    #[must_use]
    pub fn parse(family: Family, add_path: bool, bytes: &'a [u8]) -> Option<Self> {
        check(family, add_path, bytes).then_some(Self { family, add_path, bytes })
    }

    /// Over octets that the decoder has checked.
    #[inline]
    pub(crate) const fn checked(family: Family, add_path: bool, bytes: &'a [u8]) -> Self {
        Self { family, add_path, bytes }
    }

    /// The family.
    #[must_use]
    pub const fn family(&self) -> Family {
        self.family
    }

    /// Whether each NLRI carries a path identifier.
    #[must_use]
    pub const fn add_path(&self) -> bool {
        self.add_path
    }

    /// The octets as received.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether there is no NLRI.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The IPv4 prefixes; none in a block of another family.
    #[inline]
    #[must_use]
    pub fn ipv4(&self) -> Ipv4Nlri<'a> {
        Ipv4Nlri::new(if self.family.is_ipv4_prefix() { self.bytes } else { &[] }, self.add_path)
    }

    /// The IPv6 prefixes; none in a block of another family.
    #[inline]
    #[must_use]
    pub fn ipv6(&self) -> Ipv6Nlri<'a> {
        Ipv6Nlri::new(if self.family.is_ipv6_prefix() { self.bytes } else { &[] }, self.add_path)
    }

    /// The NLRI of whatever family.
    #[must_use]
    pub fn iter(&self) -> NlriIter<'a> {
        NlriIter { v4: self.ipv4(), v6: self.ipv6() }
    }
}

impl<'a> IntoIterator for NlriBlock<'a> {
    type Item = (PathId, Nlri);
    type IntoIter = NlriIter<'a>;

    fn into_iter(self) -> NlriIter<'a> {
        self.iter()
    }
}

/// Whether a family's NLRI are decoded here.
#[inline]
pub(crate) const fn is_decoded(family: Family) -> bool {
    family.is_ipv4_prefix() || family.is_ipv6_prefix()
}

/// Whether the octets are whole NLRI of the family.
#[inline]
pub(crate) fn check(family: Family, add_path: bool, bytes: &[u8]) -> bool {
    if family.is_ipv4_prefix() {
        check_ipv4(bytes, add_path)
    } else {
        family.is_ipv6_prefix() && check_ipv6(bytes, add_path)
    }
}

/// The NLRI of a block.
#[derive(Debug, Clone)]
pub struct NlriIter<'a> {
    v4: Ipv4Nlri<'a>,
    v6: Ipv6Nlri<'a>,
}

impl Iterator for NlriIter<'_> {
    type Item = (PathId, Nlri);

    fn next(&mut self) -> Option<Self::Item> {
        let v4 = self.v4.next().map(|(id, p)| (id, Nlri::Ipv4(p)));
        v4.or_else(|| self.v6.next().map(|(id, p)| (id, Nlri::Ipv6(p))))
    }
}
