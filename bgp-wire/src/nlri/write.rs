//! NLRI going out.
use bytes::BytesMut;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Nlri;
use crate::{Codec, Family};

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
}

macro_rules! write_prefix {
    ($net:ty, $is_of:ident, $octets:literal) => {
        impl WriteNlri for $net {
            #[inline]
            fn is_of(&self, family: Family) -> bool {
                family.$is_of()
            }

            #[inline]
            fn wire_len(&self) -> usize {
                1 + usize::from(self.prefix_len().div_ceil(8))
            }

            #[inline]
            fn write(&self, out: &mut BytesMut) {
                // All octets in one copy of fixed size, then back to those of the prefix.
                let end = out.len().saturating_add(self.wire_len());
                let mut octets = [0; 1 + $octets];
                let [len, network @ ..] = &mut octets;
                *len = self.prefix_len();
                *network = self.network().octets();
                out.extend_from_slice(&octets);
                out.truncate(end);
            }
        }
    };
}

write_prefix!(Ipv4Net, is_ipv4_prefix, 4);
write_prefix!(Ipv6Net, is_ipv6_prefix, 16);

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
}
