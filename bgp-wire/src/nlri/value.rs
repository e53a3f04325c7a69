//! One NLRI of whatever family.
use core::fmt;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{LabeledPrefix, OpaqueNlri, RouteTargetMembership, VpnPrefix};

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
        match self {
            Self::Ipv4(p) => append_prefix(out, &[], (*p).into()),
            Self::Ipv6(p) => append_prefix(out, &[], (*p).into()),
            Self::Labeled(p) => append_prefix(out, &[], p.prefix),
            Self::Vpn(p) => append_prefix(out, &p.distinguisher.0, p.prefix),
            Self::RouteTarget(p) => p.append_to(out),
            Self::Opaque(nlri) => nlri.key().append_to(out),
        }
    }
}

/// A length in bits, the octets in front, and those of the network that count.
fn append_prefix(out: &mut Vec<u8>, front: &[u8], prefix: IpNet) {
    let whole = usize::from(prefix.prefix_len().div_ceil(8));
    let bits = u8::try_from(front.len().saturating_mul(8)).unwrap_or(u8::MAX);
    out.push(bits.saturating_add(prefix.prefix_len()));
    out.extend_from_slice(front);
    match prefix.network() {
        IpAddr::V4(a) => out.extend_from_slice(a.octets().get(..whole).unwrap_or_default()),
        IpAddr::V6(a) => out.extend_from_slice(a.octets().get(..whole).unwrap_or_default()),
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
