//! Identifiers of the protocol, each a type of its own.
use core::fmt;
use std::net::Ipv4Addr;

/// An autonomous system number (RFC 6793).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Asn(pub u32);

impl Asn {
    /// AS_TRANS, which stands for a number that does not fit two octets (RFC 6793 §9).
    pub const TRANS: Self = Self(23456);
    /// AS 0, which is valid nowhere (RFC 7607).
    pub const RESERVED: Self = Self(0);

    /// The number as a two-octet field carries it: itself, or AS_TRANS (RFC 6793 §4.2.2).
    #[must_use]
    pub fn to_two_octets(self) -> u16 {
        u16::try_from(self.0).unwrap_or(23456)
    }

    /// Whether a two-octet field can carry the number itself.
    #[must_use]
    pub fn fits_two_octets(self) -> bool {
        self.0 <= 0xffff
    }
}

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl From<u32> for Asn {
    fn from(n: u32) -> Self {
        Self(n)
    }
}

macro_rules! dotted {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        pub struct $name(pub u32);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&Ipv4Addr::from(self.0), f)
            }
        }

        impl From<Ipv4Addr> for $name {
            fn from(a: Ipv4Addr) -> Self {
                Self(u32::from(a))
            }
        }

        impl From<$name> for Ipv4Addr {
            fn from(id: $name) -> Self {
                Self::from(id.0)
            }
        }

        impl core::str::FromStr for $name {
            type Err = std::net::AddrParseError;

            fn from_str(s: &str) -> Result<Self, Self::Err> {
                s.parse::<Ipv4Addr>().map(Self::from)
            }
        }
    };
}

dotted! {
    /// A BGP Identifier: four octets, unique within the AS, not zero (RFC 6286). Ordered as an unsigned number.
    RouterId
}
dotted! {
    /// A route reflector's CLUSTER_ID (RFC 4456 §7).
    ClusterId
}

/// A path identifier (RFC 7911 §3); 0 where ADD-PATH is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct PathId(pub u32);

impl fmt::Display for PathId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
