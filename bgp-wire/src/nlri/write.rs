//! NLRI going out.
use bytes::BytesMut;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Nlri;
use super::ip::prefix_octets;
use crate::{Codec, Family};

/// Octets of the longest prefix, IPv6 with all 128 bits.
pub const MAX_PREFIX: usize = 17;

/// Something that can be sent as an NLRI.
pub trait WriteNlri {
    /// Whether it is an NLRI of the family.
    fn is_of(&self, family: Family) -> bool;
    /// Whether it can be announced on such a session: of the family, and with no more labels than were negotiated.
    #[inline]
    fn is_sendable(&self, family: Family, _codec: &Codec) -> bool {
        self.is_of(family)
    }
    /// Its octets, without a path identifier.
    fn wire_len(&self) -> usize;
    /// Appends it, without a path identifier; host bits are cleared.
    fn write(&self, out: &mut BytesMut);
    /// Its octets in a withdrawal, where labels are left out (RFC 8277 §2.4).
    #[inline]
    fn withdrawn_len(&self, _family: Family) -> usize {
        self.wire_len()
    }
    /// Appends it as it stands in a withdrawal, without a path identifier.
    #[inline]
    fn write_withdrawn(&self, _family: Family, out: &mut BytesMut) {
        self.write(out);
    }
    /// What [`write`](Self::write) appends, the first [`wire_len`](Self::wire_len) octets, for NLRI that are prefixes:
    /// many of them are put together before they are appended.
    fn prefix_octets(&self) -> Option<[u8; MAX_PREFIX]> {
        None
    }
}

macro_rules! write_prefix {
    ($net:ty, $is_of:ident) => {
        impl WriteNlri for $net {
            #[inline]
            fn is_of(&self, family: Family) -> bool {
                family.$is_of()
            }

            #[inline]
            fn wire_len(&self) -> usize {
                prefix_octets(self.prefix_len()).wrapping_add(1)
            }

            #[inline]
            fn write(&self, out: &mut BytesMut) {
                let octets = self.prefix_octets().unwrap_or_default();
                out.extend_from_slice(octets.get(..self.wire_len()).unwrap_or_default());
            }

            #[inline]
            fn prefix_octets(&self) -> Option<[u8; MAX_PREFIX]> {
                let mut octets = [0; MAX_PREFIX];
                let [len, network @ ..] = &mut octets;
                *len = self.prefix_len();
                if let Some(network) = network.first_chunk_mut() {
                    *network = self.network().octets();
                }
                Some(octets)
            }
        }
    };
}

write_prefix!(Ipv4Net, is_ipv4_prefix);
write_prefix!(Ipv6Net, is_ipv6_prefix);

impl WriteNlri for IpNet {
    fn is_of(&self, family: Family) -> bool {
        match self {
            Self::V4(p) => p.is_of(family),
            Self::V6(p) => p.is_of(family),
        }
    }

    fn wire_len(&self) -> usize {
        match self {
            Self::V4(p) => p.wire_len(),
            Self::V6(p) => p.wire_len(),
        }
    }

    fn write(&self, out: &mut BytesMut) {
        match self {
            Self::V4(p) => p.write(out),
            Self::V6(p) => p.write(out),
        }
    }

    #[inline]
    fn prefix_octets(&self) -> Option<[u8; MAX_PREFIX]> {
        match self {
            Self::V4(p) => p.prefix_octets(),
            Self::V6(p) => p.prefix_octets(),
        }
    }
}

/// Hands each call on to what the NLRI is.
macro_rules! each {
    ($nlri:expr, $p:ident => $call:expr) => {
        match $nlri {
            Nlri::Ipv4($p) => $call,
            Nlri::Ipv6($p) => $call,
            Nlri::Labeled($p) => $call,
            Nlri::Vpn($p) => $call,
            Nlri::RouteTarget($p) => $call,
            Nlri::Opaque($p) => $call,
        }
    };
}

impl WriteNlri for Nlri<'_> {
    fn is_of(&self, family: Family) -> bool {
        each!(self, p => p.is_of(family))
    }

    fn is_sendable(&self, family: Family, codec: &Codec) -> bool {
        each!(self, p => p.is_sendable(family, codec))
    }

    fn wire_len(&self) -> usize {
        each!(self, p => p.wire_len())
    }

    fn write(&self, out: &mut BytesMut) {
        each!(self, p => p.write(out));
    }

    fn withdrawn_len(&self, family: Family) -> usize {
        each!(self, p => p.withdrawn_len(family))
    }

    fn write_withdrawn(&self, family: Family, out: &mut BytesMut) {
        each!(self, p => p.write_withdrawn(family, out));
    }

    #[inline]
    fn prefix_octets(&self) -> Option<[u8; MAX_PREFIX]> {
        each!(self, p => p.prefix_octets())
    }
}

impl<T: WriteNlri> WriteNlri for &T {
    fn is_of(&self, family: Family) -> bool {
        (**self).is_of(family)
    }

    fn is_sendable(&self, family: Family, codec: &Codec) -> bool {
        (**self).is_sendable(family, codec)
    }

    fn wire_len(&self) -> usize {
        (**self).wire_len()
    }

    fn write(&self, out: &mut BytesMut) {
        (**self).write(out);
    }

    fn withdrawn_len(&self, family: Family) -> usize {
        (**self).withdrawn_len(family)
    }

    fn write_withdrawn(&self, family: Family, out: &mut BytesMut) {
        (**self).write_withdrawn(family, out);
    }

    #[inline]
    fn prefix_octets(&self) -> Option<[u8; MAX_PREFIX]> {
        (**self).prefix_octets()
    }
}
