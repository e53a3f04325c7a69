//! Prefixes with labels (RFC 8277) and with a route distinguisher (RFC 4364 §4.3.4, RFC 4659 §3.2).
use core::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use bytes::{BufMut, BytesMut};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::label::LabelStack;
use super::{RouteDistinguisher, WriteNlri};
use crate::{Afi, Codec, Family};

/// A prefix with the labels that its next hop wants (RFC 8277). Labels are no part of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LabeledPrefix {
    /// Prefix; host bits are cleared.
    pub prefix: IpNet,
    /// Labels; in a withdrawal they mean nothing.
    pub labels: LabelStack,
}

/// A prefix of a VPN (RFC 4364 §4.1). Its key is the distinguisher with the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VpnPrefix {
    /// Route distinguisher.
    pub distinguisher: RouteDistinguisher,
    /// Prefix; host bits are cleared.
    pub prefix: IpNet,
    /// Labels; in a withdrawal they mean nothing, and multicast VPN routes have none (RFC 6514 §4).
    pub labels: LabelStack,
}

/// Octets of a route distinguisher.
const DISTINGUISHER: usize = 8;
/// Bits of one label.
const LABEL_BITS: u8 = 24;

/// A prefix of the address family with so many bits, host bits cleared.
pub(super) fn prefix(afi: Afi, bits: u8, octets: &[u8]) -> Option<IpNet> {
    let whole = usize::from(bits.div_ceil(8));
    let octets = octets.get(..whole)?;
    if afi == Afi::IPV4 {
        let mut address = [0; 4];
        address.get_mut(..whole)?.copy_from_slice(octets);
        Some(Ipv4Net::new(Ipv4Addr::from(address), bits).ok()?.trunc().into())
    } else {
        let mut address = [0; 16];
        address.get_mut(..whole)?.copy_from_slice(octets);
        Some(Ipv6Net::new(Ipv6Addr::from(address), bits).ok()?.trunc().into())
    }
}

/// Appends as many octets of the network as hold the prefix.
pub(super) fn put_prefix(out: &mut BytesMut, prefix: &IpNet) {
    let whole = usize::from(prefix.prefix_len().div_ceil(8));
    match prefix.trunc() {
        IpNet::V4(p) => out.put_slice(p.network().octets().get(..whole).unwrap_or_default()),
        IpNet::V6(p) => out.put_slice(p.network().octets().get(..whole).unwrap_or_default()),
    }
}

fn prefix_octets(prefix: &IpNet) -> usize {
    usize::from(prefix.prefix_len().div_ceil(8))
}

/// The AFI of a prefix.
fn afi(prefix: &IpNet) -> Afi {
    if matches!(prefix, IpNet::V4(_)) { Afi::IPV4 } else { Afi::IPV6 }
}

/// Reads one NLRI, without a path identifier, whose first octet counts the bits behind it.
pub(super) fn read_labeled(family: Family, stacks: bool, octets: &[u8]) -> Option<LabeledPrefix> {
    let (bits, rest) = octets.split_first()?;
    let (labels, rest) = LabelStack::split(rest, stacks)?;
    let bits = bits.checked_sub(LABEL_BITS.checked_mul(u8::try_from(labels.len()).ok()?)?)?;
    Some(LabeledPrefix { prefix: prefix(family.afi, bits, rest)?, labels })
}

/// The same with a route distinguisher behind the labels, where the family has labels.
pub(super) fn read_vpn(family: Family, stacks: bool, octets: &[u8]) -> Option<VpnPrefix> {
    let (bits, rest) = octets.split_first()?;
    let (labels, rest) =
        if family.has_labels() { LabelStack::split(rest, stacks)? } else { (LabelStack::EMPTY, rest) };
    let (distinguisher, rest) = rest.split_first_chunk::<DISTINGUISHER>()?;
    let before = LABEL_BITS.checked_mul(u8::try_from(labels.len()).ok()?)?.checked_add(64)?;
    let prefix = prefix(family.afi, bits.checked_sub(before)?, rest)?;
    Some(VpnPrefix { distinguisher: RouteDistinguisher(*distinguisher), prefix, labels })
}

/// Whether the labels are as many as the session allows: one, or a stack that says where it ends.
fn labels_fit(labels: &LabelStack, family: Family, codec: &Codec) -> bool {
    match (family.has_labels(), codec.multiple_labels.contains(family)) {
        (false, _) => labels.is_empty(),
        (true, false) => labels.len() == 1,
        (true, true) => labels.is_closed(),
    }
}

/// What stands in place of the labels in a withdrawal (RFC 8277 §2.4).
fn withdrawn_labels(family: Family) -> LabelStack {
    if family.has_labels() { LabelStack::withdrawn() } else { LabelStack::EMPTY }
}

impl LabeledPrefix {
    fn withdrawn(&self, family: Family) -> Self {
        Self { labels: withdrawn_labels(family), ..*self }
    }
}

impl VpnPrefix {
    fn withdrawn(&self, family: Family) -> Self {
        Self { labels: withdrawn_labels(family), ..*self }
    }
}

/// Bits of labels, distinguisher and prefix in one octet.
fn total_bits(labels: usize, distinguisher: bool, prefix: &IpNet) -> Option<u8> {
    let fixed = if distinguisher { 64 } else { 0 };
    let bits =
        labels.saturating_mul(8).saturating_add(fixed).saturating_add(usize::from(prefix.prefix_len()));
    u8::try_from(bits).ok()
}

impl WriteNlri for LabeledPrefix {
    fn is_of(&self, family: Family) -> bool {
        family.is_labeled_unicast() && family.afi == afi(&self.prefix)
    }

    fn is_sendable(&self, family: Family, codec: &Codec) -> bool {
        let fits = total_bits(self.labels.as_bytes().len(), false, &self.prefix).is_some();
        self.is_of(family) && fits && labels_fit(&self.labels, family, codec)
    }

    fn wire_len(&self) -> usize {
        let labels = self.labels.as_bytes().len();
        labels.saturating_add(prefix_octets(&self.prefix)).saturating_add(1)
    }

    fn write(&self, out: &mut BytesMut) {
        let labels = self.labels.as_bytes();
        out.put_u8(total_bits(labels.len(), false, &self.prefix).unwrap_or(u8::MAX));
        out.put_slice(labels);
        put_prefix(out, &self.prefix);
    }

    fn withdrawn_len(&self, family: Family) -> usize {
        self.withdrawn(family).wire_len()
    }

    fn write_withdrawn(&self, family: Family, out: &mut BytesMut) {
        self.withdrawn(family).write(out);
    }
}

impl WriteNlri for VpnPrefix {
    fn is_of(&self, family: Family) -> bool {
        family.is_vpn_prefix() && family.afi == afi(&self.prefix)
    }

    fn is_sendable(&self, family: Family, codec: &Codec) -> bool {
        let fits = total_bits(self.labels.as_bytes().len(), true, &self.prefix).is_some();
        self.is_of(family) && fits && labels_fit(&self.labels, family, codec)
    }

    fn wire_len(&self) -> usize {
        let labels = self.labels.as_bytes().len();
        labels.saturating_add(prefix_octets(&self.prefix)).saturating_add(1 + DISTINGUISHER)
    }

    fn write(&self, out: &mut BytesMut) {
        let labels = self.labels.as_bytes();
        out.put_u8(total_bits(labels.len(), true, &self.prefix).unwrap_or(u8::MAX));
        out.put_slice(labels);
        out.put_slice(&self.distinguisher.0);
        put_prefix(out, &self.prefix);
    }

    fn withdrawn_len(&self, family: Family) -> usize {
        self.withdrawn(family).wire_len()
    }

    fn write_withdrawn(&self, family: Family, out: &mut BytesMut) {
        self.withdrawn(family).write(out);
    }
}

/// `192.0.2.0/24 label 16`.
impl fmt::Display for LabeledPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} label {}", self.prefix, self.labels)
    }
}

/// `65000:1:192.0.2.0/24 label 16`.
impl fmt::Display for VpnPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.distinguisher, self.prefix)?;
        if self.labels.is_empty() { Ok(()) } else { write!(f, " label {}", self.labels) }
    }
}
