//! IPv4 and IPv6 prefixes: one octet of length, then as few octets as hold it; a path identifier may come first.
use core::iter::FusedIterator;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use crate::PathId;
use crate::parse::front32;

/// Whether the octets are whole IPv4 prefixes (RFC 7606 §5.3).
#[inline]
pub(crate) fn check_ipv4(b: &[u8], add_path: bool) -> bool {
    if add_path { check::<32, true>(b) } else { check::<32, false>(b) }
}

/// Whether the octets are whole IPv6 prefixes (RFC 7606 §5.3).
#[inline]
pub(crate) fn check_ipv6(b: &[u8], add_path: bool) -> bool {
    if add_path { check::<128, true>(b) } else { check::<128, false>(b) }
}

/// The octets that hold so many bits. Each prefix is found behind the one before, so this is what the loops wait for:
/// an addition and a shift, where `div_ceil` asks for the remainder too.
#[inline(always)]
pub(super) fn prefix_octets(bits: u8) -> usize {
    usize::from(bits).wrapping_add(7) >> 3
}

/// Hand-written: it runs once for each received prefix.
#[inline]
fn check<const BITS: u8, const ADD_PATH: bool>(mut b: &[u8]) -> bool {
    loop {
        if ADD_PATH {
            match b.get(4..) {
                Some(rest) => b = rest,
                None => return b.is_empty(),
            }
            if b.is_empty() {
                return false;
            }
        }
        let Some((len, rest)) = b.split_first() else { return true };
        if *len > BITS {
            return false;
        }
        let Some(rest) = rest.get(prefix_octets(*len)..) else { return false };
        b = rest;
    }
}

macro_rules! prefixes {
    ($(#[$doc:meta])* $name:ident, $net:ident, $addr:ident, $word:ident, $octets:literal, $bits:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name<'a> {
            rest: &'a [u8],
            add_path: bool,
        }

        impl<'a> $name<'a> {
            #[inline]
            pub(crate) const fn new(rest: &'a [u8], add_path: bool) -> Self {
                Self { rest, add_path }
            }
        }

        impl Iterator for $name<'_> {
            type Item = (PathId, $net);

            #[inline]
            fn next(&mut self) -> Option<Self::Item> {
                let mut id = 0;
                if self.add_path {
                    id = front32(self.rest)?;
                    self.rest = self.rest.get(4..)?;
                }
                let (len, octets) = self.rest.split_first()?;
                let whole = prefix_octets(*len);
                self.rest = octets.get(whole..)?;
                // Where enough octets follow, one load and a mask; what is beyond the length is not the prefix's.
                let word = match octets.first_chunk::<$octets>() {
                    Some(c) => $word::from_be_bytes(*c),
                    None => {
                        let mut c = [0; $octets];
                        c.get_mut(..whole)?.copy_from_slice(octets.get(..whole)?);
                        $word::from_be_bytes(c)
                    }
                };
                let mask = $word::MAX.checked_shl(u32::from($bits.saturating_sub(*len))).unwrap_or(0);
                let net = $net::new($addr::from(word & mask), *len).ok()?;
                Some((PathId(id), net))
            }
        }

        impl FusedIterator for $name<'_> {}
    };
}

prefixes! {
    /// The IPv4 prefixes of a block; host bits are cleared.
    Ipv4Nlri, Ipv4Net, Ipv4Addr, u32, 4, 32u8
}
prefixes! {
    /// The IPv6 prefixes of a block; host bits are cleared.
    Ipv6Nlri, Ipv6Net, Ipv6Addr, u128, 16, 128u8
}
