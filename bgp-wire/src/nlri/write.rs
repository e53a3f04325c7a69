//! NLRI going out.
use bytes::BytesMut;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Nlri;
use crate::Family;

/// Something that can be sent as an NLRI.
pub trait WriteNlri {
    /// Whether it is an NLRI of the family.
    fn is_of(&self, family: Family) -> bool;
    /// Its octets, without a path identifier.
    fn wire_len(&self) -> usize;
    /// Appends it, without a path identifier; host bits are cleared.
    fn write(&self, out: &mut BytesMut);
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

impl WriteNlri for Nlri {
    fn is_of(&self, family: Family) -> bool {
        match self {
            Self::Ipv4(p) => p.is_of(family),
            Self::Ipv6(p) => p.is_of(family),
        }
    }

    fn wire_len(&self) -> usize {
        match self {
            Self::Ipv4(p) => p.wire_len(),
            Self::Ipv6(p) => p.wire_len(),
        }
    }

    fn write(&self, out: &mut BytesMut) {
        match self {
            Self::Ipv4(p) => p.write(out),
            Self::Ipv6(p) => p.write(out),
        }
    }
}

impl<T: WriteNlri> WriteNlri for &T {
    fn is_of(&self, family: Family) -> bool {
        (**self).is_of(family)
    }

    fn wire_len(&self) -> usize {
        (**self).wire_len()
    }

    fn write(&self, out: &mut BytesMut) {
        (**self).write(out);
    }
}
