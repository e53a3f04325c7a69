//! NLRI going out.
use std::net::{Ipv4Addr, Ipv6Addr};

use bytes::BytesMut;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Nlri;
use super::ip::{mask_v4, prefix_octets};
use crate::{Codec, Family};

/// Octets of the longest prefix, IPv6 with all 128 bits.
pub const MAX_PREFIX: usize = 17;

/// Something that can be sent as an NLRI. What wraps another passes every method on, the provided ones too: withdrawals and
/// announcements differ in labels.
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
    /// Writes what [`write`](Self::write) appends into the front of `room`, for NLRI that are prefixes: many of them are
    /// put together before they are appended. `false` for other NLRI, and where `room` has less than [`MAX_PREFIX`] octets.
    #[inline]
    fn write_prefix(&self, _room: &mut [u8]) -> bool {
        false
    }
}

macro_rules! write_prefix {
    ($net:ty, $is_of:ident, $octets:literal, $network:ident) => {
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
                let mut octets = [0; MAX_PREFIX];
                self.write_prefix(&mut octets);
                out.extend_from_slice(octets.get(..self.wire_len()).unwrap_or_default());
            }

            // All octets of the address, in one store; those beyond the prefix are written over by what follows.
            #[inline]
            fn write_prefix(&self, room: &mut [u8]) -> bool {
                let Some([len, network @ ..]) = room.first_chunk_mut::<$octets>() else { return false };
                *len = self.prefix_len();
                *network = $network(self.addr(), self.prefix_len());
                true
            }
        }
    };
}

/// The address without host bits.
#[inline(always)]
fn network_v4(addr: Ipv4Addr, len: u8) -> [u8; 4] {
    (addr.to_bits() & mask_v4(len)).to_be_bytes()
}

/// The same of sixteen octets, where a mask costs more than a look at one: host bits that would be sent are in the last
/// octet of the prefix, or there are none and it is the next.
#[inline(always)]
fn network_v6(addr: Ipv6Addr, len: u8) -> [u8; 16] {
    let mut octets = addr.octets();
    if let Some(last) = octets.get_mut(usize::from(len >> 3)) {
        *last &= !(u8::MAX >> (len & 7));
    }
    octets
}

write_prefix!(Ipv4Net, is_ipv4_prefix, 5, network_v4);
write_prefix!(Ipv6Net, is_ipv6_prefix, 17, network_v6);

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
    fn write_prefix(&self, room: &mut [u8]) -> bool {
        match self {
            Self::V4(p) => p.write_prefix(room),
            Self::V6(p) => p.write_prefix(room),
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
    fn write_prefix(&self, room: &mut [u8]) -> bool {
        each!(self, p => p.write_prefix(room))
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
    fn write_prefix(&self, room: &mut [u8]) -> bool {
        (**self).write_prefix(room)
    }
}
