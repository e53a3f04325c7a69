//! NLRI of the families beyond plain unicast, as tables keep them: the octets, and which of them make the route.

use core::fmt;
use core::hash::{Hash, Hasher};
use std::net::{Ipv4Addr, Ipv6Addr};

use bgp_wire::{Afi, Codec, Family, Nlri, OpaqueNlri, PathId, WriteNlri};
use bytes::{BufMut, BytesMut};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// One NLRI of any family, without a path identifier. Two are equal when they name the same route: labels, and what else
/// is only told with a route, do not count (RFC 8277 §2.4, RFC 7432 §7.2).
#[derive(Clone)]
pub struct RouteNlri {
    family: Family,
    /// Octets of labels behind the first octet. The last label is marked as the bottom of its stack, so that readers of one
    /// label and of whole stacks find the same (RFC 8277 §2.2).
    labels: u8,
    octets: Octets,
}

/// Octets of an NLRI; most are short.
#[derive(Clone)]
enum Octets {
    Inline { len: u8, octets: [u8; INLINE] },
    Heap(Box<[u8]>),
}

/// What the other kind leaves unused: VPN prefixes of IPv4, and of IPv6 up to 64 bits and more, stay within.
const INLINE: usize = 22;
/// Octets of a route distinguisher (RFC 4364 §4.2).
const DISTINGUISHER: usize = 8;
/// What stands in place of labels in a withdrawal (RFC 8277 §2.4).
const WITHDRAWN: [u8; 3] = [0x80, 0, 0];
/// The bottom of a label stack (RFC 8277 §2.2).
const BOTTOM: u8 = 1;

impl Octets {
    fn new(from: &[u8]) -> Self {
        let mut octets = [0; INLINE];
        match (octets.get_mut(..from.len()), u8::try_from(from.len())) {
            (Some(room), Ok(len)) => {
                room.copy_from_slice(from);
                Self::Inline { len, octets }
            }
            _ => Self::Heap(from.into()),
        }
    }

    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Inline { len, octets } => octets.get(..usize::from(*len)).unwrap_or_default(),
            Self::Heap(octets) => octets,
        }
    }
}

impl RouteNlri {
    /// The octets as one NLRI of a family, with labels to the bottom of the stack; `None` where they are not exactly that.
    #[must_use]
    pub fn parse(family: Family, octets: &[u8]) -> Option<Self> {
        let nlri = Nlri::parse(family, true, octets)?;
        Some(Self::of(family, &nlri, &mut BytesMut::new()))
    }

    /// What was received, or another value of that kind; `scratch` is overwritten.
    pub(crate) fn of(family: Family, nlri: &Nlri<'_>, scratch: &mut BytesMut) -> Self {
        let labels = match nlri {
            Nlri::Labeled(prefix) => prefix.labels.as_bytes().len(),
            Nlri::Vpn(prefix) => prefix.labels.as_bytes().len(),
            Nlri::Opaque(opaque) => {
                return Self { family, labels: 0, octets: Octets::new(opaque.as_bytes()) };
            }
            _ => 0,
        };
        scratch.clear();
        nlri.write(scratch);
        if let Some(bottom) = scratch.get_mut(labels).filter(|_| labels > 0) {
            *bottom |= BOTTOM;
        }
        let labels = u8::try_from(labels).unwrap_or(u8::MAX);
        Self { family, labels, octets: Octets::new(scratch) }
    }

    /// Its family.
    #[must_use]
    pub const fn family(&self) -> Family {
        self.family
    }

    /// Its octets, labels and all.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.octets.as_slice()
    }

    /// The same, with types; `None` for no value that was received.
    #[must_use]
    pub fn nlri(&self) -> Option<Nlri<'_>> {
        Nlri::parse(self.family, true, self.as_bytes())
    }

    /// The prefix, in families that have one beside labels and a distinguisher.
    #[must_use]
    pub fn prefix(&self) -> Option<IpNet> {
        let family = self.family;
        let distinguisher = if family.is_vpn_prefix() { DISTINGUISHER } else { 0 };
        if !(family.is_vpn_prefix()
            || family.is_labeled_unicast()
            || family.is_ipv4_prefix()
            || family.is_ipv6_prefix())
        {
            return None;
        }
        let (bits, rest) = self.as_bytes().split_first()?;
        let before = distinguisher + usize::from(self.labels);
        let bits = bits.checked_sub(u8::try_from(before * 8).ok()?)?;
        let network = rest.get(before..)?;
        if family.afi == Afi::IPV4 {
            let mut octets = [0; 4];
            octets.get_mut(..network.len())?.copy_from_slice(network);
            Ipv4Net::new(Ipv4Addr::from(octets), bits).ok().map(IpNet::V4)
        } else {
            let mut octets = [0; 16];
            octets.get_mut(..network.len())?.copy_from_slice(network);
            Ipv6Net::new(Ipv6Addr::from(octets), bits).ok().map(IpNet::V6)
        }
    }

    /// Whether all octets are the same, not only those that make the route.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.family == other.family && self.as_bytes() == other.as_bytes()
    }

    /// Hands out the octets that make the route, in stretches.
    fn key(&self, mut each: impl FnMut(&[u8])) {
        let octets = self.as_bytes();
        let labels = usize::from(self.labels);
        if labels > 0 {
            let Some((bits, rest)) = octets.split_first() else { return };
            each(&[bits.saturating_sub(self.labels.saturating_mul(8))]);
            each(rest.get(labels..).unwrap_or_default());
        } else {
            OpaqueNlri::trusted(self.family, octets).key().stretches().iter().for_each(|part| each(part));
        }
    }

    /// The octets that make the route, in a row.
    fn key_octets(&self) -> Vec<u8> {
        let mut octets = Vec::new();
        self.key(|part| octets.extend_from_slice(part));
        octets
    }
}

impl PartialEq for RouteNlri {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other) || (self.family == other.family && self.key_octets() == other.key_octets())
    }
}

impl Eq for RouteNlri {}

/// Octets that are hashed at once, wherever the stretches of the key end.
const AT_ONCE: usize = 32;

impl Hash for RouteNlri {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (mut gathered, mut len) = ([0; AT_ONCE], 0);
        self.key(|mut part| {
            while !part.is_empty() {
                let (now, later) = part.split_at(part.len().min(AT_ONCE - len));
                if let Some(room) = gathered.get_mut(len..len + now.len()) {
                    room.copy_from_slice(now);
                }
                (part, len) = (later, len + now.len());
                if len == AT_ONCE {
                    state.write(&gathered);
                    len = 0;
                }
            }
        });
        state.write(gathered.get(..len).unwrap_or_default());
    }
}

impl WriteNlri for RouteNlri {
    fn is_of(&self, family: Family) -> bool {
        self.family == family
    }

    fn is_sendable(&self, family: Family, codec: &Codec) -> bool {
        let few = usize::from(self.labels) <= WITHDRAWN.len();
        self.is_of(family) && (few || codec.multiple_labels.contains(family))
    }

    fn wire_len(&self) -> usize {
        self.as_bytes().len()
    }

    fn write(&self, out: &mut BytesMut) {
        out.put_slice(self.as_bytes());
    }

    fn withdrawn_len(&self, _: Family) -> usize {
        match usize::from(self.labels) {
            0 => self.wire_len(),
            labels => self.wire_len().saturating_sub(labels) + WITHDRAWN.len(),
        }
    }

    fn write_withdrawn(&self, _: Family, out: &mut BytesMut) {
        let Some((bits, rest)) = self.as_bytes().split_first().filter(|_| self.labels > 0) else {
            return self.write(out);
        };
        let unlabelled = bits.saturating_sub(self.labels.saturating_mul(8));
        out.put_u8(unlabelled.saturating_add(8 * WITHDRAWN.len() as u8));
        out.put_slice(&WITHDRAWN);
        out.put_slice(rest.get(usize::from(self.labels)..).unwrap_or_default());
    }
}

/// What is understood of it, or its octets in hex.
impl fmt::Display for RouteNlri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.nlri() {
            Some(nlri) => nlri.fmt(f),
            None => OpaqueNlri::trusted(self.family, self.as_bytes()).fmt(f),
        }
    }
}

impl fmt::Debug for RouteNlri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {self}", self.family)
    }
}

/// Where a route leads, in any family.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Destination {
    /// A prefix, in IPv4 or IPv6 unicast.
    Prefix(IpNet),
    /// What an NLRI of another family says.
    Nlri(RouteNlri),
}

impl Destination {
    /// Its family.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self {
            Self::Prefix(IpNet::V4(_)) => Family::IPV4_UNICAST,
            Self::Prefix(IpNet::V6(_)) => Family::IPV6_UNICAST,
            Self::Nlri(nlri) => nlri.family(),
        }
    }

    /// The prefix, in families that have one beside labels and a distinguisher.
    #[must_use]
    pub fn prefix(&self) -> Option<IpNet> {
        match self {
            Self::Prefix(prefix) => Some(*prefix),
            Self::Nlri(nlri) => nlri.prefix(),
        }
    }
}

impl From<IpNet> for Destination {
    fn from(prefix: IpNet) -> Self {
        Self::Prefix(prefix.trunc())
    }
}

impl From<RouteNlri> for Destination {
    fn from(nlri: RouteNlri) -> Self {
        let unicast = matches!(nlri.family, Family::IPV4_UNICAST | Family::IPV6_UNICAST);
        match nlri.prefix().filter(|_| unicast) {
            Some(prefix) => Self::Prefix(prefix),
            None => Self::Nlri(nlri),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(prefix) => prefix.fmt(f),
            Self::Nlri(nlri) => nlri.fmt(f),
        }
    }
}

/// The NLRI of a block as they are kept.
pub(crate) fn read(block: &bgp_wire::NlriBlock<'_>, mut each: impl FnMut(PathId, RouteNlri)) {
    let mut scratch = BytesMut::new();
    for (path, nlri) in block.iter() {
        each(path, RouteNlri::of(block.family(), &nlri, &mut scratch));
    }
}
