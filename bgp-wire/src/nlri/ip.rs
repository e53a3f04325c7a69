//! IPv4 and IPv6 prefixes: one octet of length, then as few octets as hold it; a path identifier may come first.
use core::iter::FusedIterator;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use crate::PathId;

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

/// The octets in front of a number of four octets; what lacks is zero.
#[inline(always)]
fn front_v4(octets: &[u8]) -> u32 {
    octets.first_chunk().map_or_else(|| short_v4(octets), |c| u32::from_be_bytes(*c))
}

/// Of the last prefix of a block, behind which there are not enough octets for one load.
#[inline(never)]
fn short_v4(octets: &[u8]) -> u32 {
    let octets = match octets {
        [a, b, c] => [*a, *b, *c, 0],
        [a, b] => [*a, *b, 0, 0],
        [a] => [*a, 0, 0, 0],
        _ => [0; 4],
    };
    u32::from_be_bytes(octets)
}

/// The same of sixteen octets.
#[inline(always)]
fn front_v6(octets: &[u8]) -> u128 {
    octets.first_chunk().map_or_else(|| short_v6(octets), |c| u128::from_be_bytes(*c))
}

#[inline(never)]
fn short_v6(octets: &[u8]) -> u128 {
    let (mut word, mut rest, mut shift) = (0, octets, 128u32);
    while let Some((c, behind)) = rest.split_first_chunk::<4>() {
        shift = shift.wrapping_sub(32);
        word |= u128::from(u32::from_be_bytes(*c)).wrapping_shl(shift);
        rest = behind;
    }
    word | u128::from(short_v4(rest)).wrapping_shl(shift.wrapping_sub(32))
}

/// The bits of the network, of so many of four octets.
#[inline(always)]
pub(super) fn mask_v4(len: u8) -> u32 {
    let mask = (u64::from(u32::MAX) << 32).wrapping_shr(u32::from(len)) & u64::from(u32::MAX);
    u32::try_from(mask).unwrap_or(0)
}

/// The same of sixteen octets.
#[inline(always)]
fn mask_v6(len: u8) -> u128 {
    u128::MAX.checked_shl(u32::from(128u8.saturating_sub(len))).unwrap_or(0)
}

macro_rules! prefixes {
    ($(#[$doc:meta])* $name:ident, $net:ident, $addr:ident, $front:ident, $mask:ident) => {
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
                let (mut id, mut rest) = (0, self.rest);
                if self.add_path {
                    let (front, behind) = rest.split_first_chunk::<4>()?;
                    (id, rest) = (u32::from_be_bytes(*front), behind);
                }
                let (len, octets) = rest.split_first()?;
                self.rest = octets.get(prefix_octets(*len)..)?;
                // What is beyond the length is not the prefix's, but may be loaded with it.
                let net = $net::new($addr::from($front(octets) & $mask(*len)), *len).ok()?;
                Some((PathId(id), net))
            }
        }

        impl FusedIterator for $name<'_> {}
    };
}

prefixes! {
    /// The IPv4 prefixes of a block; host bits are cleared.
    Ipv4Nlri, Ipv4Net, Ipv4Addr, front_v4, mask_v4
}
prefixes! {
    /// The IPv6 prefixes of a block; host bits are cleared.
    Ipv6Nlri, Ipv6Net, Ipv6Addr, front_v6, mask_v6
}
