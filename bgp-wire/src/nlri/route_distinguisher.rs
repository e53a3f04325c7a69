//! Route distinguishers (RFC 4364 §4.2).
use core::fmt;
use core::str::FromStr;
use std::net::Ipv4Addr;

/// Eight octets that tell equal prefixes of different VPNs apart; the first two are its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct RouteDistinguisher(pub [u8; 8]);

impl RouteDistinguisher {
    /// Type 0: a two-octet AS number with four octets of its own.
    #[must_use]
    pub const fn two_octet_as(asn: u16, number: u32) -> Self {
        let ([a, b], [c, d, e, f]) = (asn.to_be_bytes(), number.to_be_bytes());
        Self([0, 0, a, b, c, d, e, f])
    }

    /// Type 1: an IPv4 address with two octets of its own.
    #[must_use]
    pub const fn ipv4(address: Ipv4Addr, number: u16) -> Self {
        let ([a, b, c, d], [e, f]) = (address.octets(), number.to_be_bytes());
        Self([0, 1, a, b, c, d, e, f])
    }

    /// Type 2: a four-octet AS number with two octets of its own.
    #[must_use]
    pub const fn four_octet_as(asn: u32, number: u16) -> Self {
        let ([a, b, c, d], [e, f]) = (asn.to_be_bytes(), number.to_be_bytes());
        Self([0, 2, a, b, c, d, e, f])
    }
}

/// `65000:1`, `10.0.0.1:1`, `4200000001L:1` for the types 0, 1 and 2; sixteen hex digits for others.
impl fmt::Display for RouteDistinguisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [0, 0, a, b, c, d, e, g] => {
                write!(f, "{}:{}", u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, g]))
            }
            [0, 1, a, b, c, d, e, g] => {
                write!(f, "{}:{}", Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([e, g]))
            }
            [0, 2, a, b, c, d, e, g] => {
                write!(f, "{}L:{}", u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([e, g]))
            }
            octets => write!(f, "{:016x}", u64::from_be_bytes(octets)),
        }
    }
}

/// The text is no route distinguisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotADistinguisher;

impl fmt::Display for NotADistinguisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no route distinguisher (try `65000:1`, `10.0.0.1:1` or `4200000001L:1`)")
    }
}

impl core::error::Error for NotADistinguisher {}

impl FromStr for RouteDistinguisher {
    type Err = NotADistinguisher;

    fn from_str(s: &str) -> Result<Self, NotADistinguisher> {
        let Some((front, number)) = s.split_once(':') else {
            return match u64::from_str_radix(s, 16) {
                Ok(octets) if s.len() == 16 => Ok(Self(octets.to_be_bytes())),
                _ => Err(NotADistinguisher),
            };
        };
        let short = || number.parse::<u16>().map_err(|_| NotADistinguisher);
        if let Ok(address) = front.parse::<Ipv4Addr>() {
            return Ok(Self::ipv4(address, short()?));
        }
        if let Some(asn) = front.strip_suffix('L') {
            return Ok(Self::four_octet_as(asn.parse().map_err(|_| NotADistinguisher)?, short()?));
        }
        // A number too large for two octets can only mean type 2.
        match (front.parse::<u16>(), number.parse::<u32>()) {
            (Ok(asn), Ok(number)) => Ok(Self::two_octet_as(asn, number)),
            _ => Ok(Self::four_octet_as(front.parse().map_err(|_| NotADistinguisher)?, short()?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_is_read_back_from_its_text() {
        for text in ["65000:4200000001", "10.0.0.1:7", "4200000001L:7", "00050102030405ff"] {
            assert_eq!(text.parse::<RouteDistinguisher>().unwrap().to_string(), text);
        }
        assert_eq!("70000:1".parse(), Ok(RouteDistinguisher::four_octet_as(70000, 1)));
        for text in ["", "65000", "1:2:3", "10.0.0.1:70000", "70000:70000", "L:1"] {
            assert_eq!(text.parse::<RouteDistinguisher>(), Err(NotADistinguisher), "{text}");
        }
    }
}
