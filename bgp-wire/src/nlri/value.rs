//! One NLRI of whatever family.
use core::fmt;

use bytes::BytesMut;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{LabelStack, LabeledPrefix, OpaqueNlri, RouteTargetMembership, VpnPrefix, WriteNlri};

/// One NLRI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Nlri<'a> {
    /// An IPv4 prefix.
    Ipv4(Ipv4Net),
    /// An IPv6 prefix.
    Ipv6(Ipv6Net),
    /// A prefix with labels (RFC 8277).
    Labeled(LabeledPrefix),
    /// A prefix of a VPN (RFC 4364, RFC 4659).
    Vpn(VpnPrefix),
    /// Membership of route targets (RFC 4684).
    RouteTarget(RouteTargetMembership),
    /// One that is carried by its octets.
    Opaque(OpaqueNlri<'a>),
}

impl Nlri<'_> {
    /// Appends the octets that make it the same route as another of its family: without labels, without fields that are
    /// only told with it, host bits cleared.
    pub fn append_key(&self, out: &mut Vec<u8>) {
        let key: &dyn Fn(&mut BytesMut) = match self {
            Self::Opaque(nlri) => return nlri.key().append_to(out),
            Self::Ipv4(p) => &|octets| p.write(octets),
            Self::Ipv6(p) => &|octets| p.write(octets),
            Self::Labeled(p) => &|octets| LabeledPrefix { labels: LabelStack::EMPTY, ..*p }.write(octets),
            Self::Vpn(p) => &|octets| VpnPrefix { labels: LabelStack::EMPTY, ..*p }.write(octets),
            Self::RouteTarget(p) => &|octets| p.write(octets),
        };
        // Length, distinguisher, IPv6 prefix.
        let mut octets = BytesMut::with_capacity(25);
        key(&mut octets);
        out.extend_from_slice(&octets);
    }
}

/// The NLRI is no plain prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAPrefix;

impl fmt::Display for NotAPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no plain IPv4 or IPv6 prefix")
    }
}

impl core::error::Error for NotAPrefix {}

impl TryFrom<Nlri<'_>> for IpNet {
    type Error = NotAPrefix;

    fn try_from(n: Nlri<'_>) -> Result<Self, NotAPrefix> {
        match n {
            Nlri::Ipv4(p) => Ok(Self::V4(p)),
            Nlri::Ipv6(p) => Ok(Self::V6(p)),
            _ => Err(NotAPrefix),
        }
    }
}

impl fmt::Display for Nlri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipv4(p) => p.fmt(f),
            Self::Ipv6(p) => p.fmt(f),
            Self::Labeled(p) => p.fmt(f),
            Self::Vpn(p) => p.fmt(f),
            Self::RouteTarget(p) => p.fmt(f),
            Self::Opaque(p) => p.fmt(f),
        }
    }
}
