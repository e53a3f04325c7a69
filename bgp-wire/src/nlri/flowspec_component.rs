//! One component of a flow specification: a prefix, or values with operators (RFC 8955 §4.2, RFC 8956 §3).
use core::fmt;
use core::iter::FusedIterator;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A component type ([registry](https://www.iana.org/assignments/flow-spec)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowComponentType(pub u8);

impl FlowComponentType {
    /// Destination prefix (RFC 8955 §4.2.2.1).
    pub const DESTINATION: Self = Self(1);
    /// Source prefix (RFC 8955 §4.2.2.2).
    pub const SOURCE: Self = Self(2);
    /// IP protocol, or upper-layer protocol (RFC 8955 §4.2.2.3, RFC 8956 §3.3).
    pub const PROTOCOL: Self = Self(3);
    /// Source or destination port (RFC 8955 §4.2.2.4).
    pub const PORT: Self = Self(4);
    /// Destination port (RFC 8955 §4.2.2.5).
    pub const DESTINATION_PORT: Self = Self(5);
    /// Source port (RFC 8955 §4.2.2.6).
    pub const SOURCE_PORT: Self = Self(6);
    /// ICMP type (RFC 8955 §4.2.2.7).
    pub const ICMP_TYPE: Self = Self(7);
    /// ICMP code (RFC 8955 §4.2.2.8).
    pub const ICMP_CODE: Self = Self(8);
    /// TCP flags, a bit mask (RFC 8955 §4.2.2.9).
    pub const TCP_FLAGS: Self = Self(9);
    /// Packet length (RFC 8955 §4.2.2.10).
    pub const PACKET_LENGTH: Self = Self(10);
    /// DSCP (RFC 8955 §4.2.2.11).
    pub const DSCP: Self = Self(11);
    /// Fragment, a bit mask (RFC 8955 §4.2.2.12).
    pub const FRAGMENT: Self = Self(12);
    /// Flow label, IPv6 alone (RFC 8956 §3.7).
    pub const FLOW_LABEL: Self = Self(13);

    /// The most octets that a value must not pass; others merely should be short (RFC 8955 §4.2.2).
    const fn most_octets(self) -> usize {
        match self {
            Self::DSCP | Self::FRAGMENT => 1,
            Self::TCP_FLAGS => 2,
            _ => 8,
        }
    }

    const fn is_bitmask(self) -> bool {
        matches!(self, Self::TCP_FLAGS | Self::FRAGMENT)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::DESTINATION => "destination",
            Self::SOURCE => "source",
            Self::PROTOCOL => "protocol",
            Self::PORT => "port",
            Self::DESTINATION_PORT => "destination-port",
            Self::SOURCE_PORT => "source-port",
            Self::ICMP_TYPE => "icmp-type",
            Self::ICMP_CODE => "icmp-code",
            Self::TCP_FLAGS => "tcp-flags",
            Self::PACKET_LENGTH => "packet-length",
            Self::DSCP => "dscp",
            Self::FRAGMENT => "fragment",
            Self::FLOW_LABEL => "flow-label",
            _ => "unknown",
        }
    }
}

/// One component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlowComponent<'a> {
    /// Its type.
    pub kind: FlowComponentType,
    ipv6: bool,
    /// What is behind the type.
    value: &'a [u8],
}

impl<'a> FlowComponent<'a> {
    /// Takes one from the front; `None` for an unknown type or a value that breaks off.
    pub(super) fn split(octets: &'a [u8], ipv6: bool) -> Option<(Self, &'a [u8])> {
        let (kind, rest) = octets.split_first()?;
        let kind = FlowComponentType(*kind);
        let len = match kind.0 {
            1 | 2 => FlowPrefix::split(rest, ipv6)?.1,
            3..=12 => operators_len(kind, rest)?,
            13 if ipv6 => operators_len(kind, rest)?,
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(len)?;
        Some((Self { kind, ipv6, value }, rest))
    }

    /// The prefix of a destination or source component.
    #[must_use]
    pub fn prefix(&self) -> Option<FlowPrefix> {
        if matches!(self.kind.0, 1 | 2) { Some(FlowPrefix::split(self.value, self.ipv6)?.0) } else { None }
    }

    /// The operators of any other component; none for a prefix.
    #[must_use]
    pub const fn operators(&self) -> FlowOperators<'a> {
        let rest: &'a [u8] = if matches!(self.kind.0, 1 | 2) { &[] } else { self.value };
        FlowOperators { rest, bitmask: self.kind.is_bitmask() }
    }
}

/// `port >=80&<=90 =443`: a blank means or.
impl fmt::Display for FlowComponent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind.name())?;
        if let Some(prefix) = self.prefix() {
            return prefix.fmt(f);
        }
        for (at, operator) in self.operators().enumerate() {
            let joint = match (at, operator.and) {
                (0, _) => "",
                (_, true) => "&",
                (_, false) => " ",
            };
            write!(f, "{joint}{operator}")?;
        }
        Ok(())
    }
}

/// A prefix in a flow specification; in IPv6, the first bits may be left open (RFC 8956 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FlowPrefix {
    /// An IPv4 prefix.
    V4 {
        /// Address, host bits cleared.
        address: Ipv4Addr,
        /// Length in bits.
        len: u8,
    },
    /// The bits of an IPv6 address from `offset` to `len`.
    V6 {
        /// Address, with the pattern in its place and zero around it.
        address: Ipv6Addr,
        /// Where the pattern ends, in bits.
        len: u8,
        /// Where the pattern begins, in bits.
        offset: u8,
    },
}

impl FlowPrefix {
    /// The prefix at the front, and its octets.
    fn split(octets: &[u8], ipv6: bool) -> Option<(Self, usize)> {
        if !ipv6 {
            let (len, rest) = octets.split_first()?;
            let whole = usize::from(len.div_ceil(8));
            let mut address = [0; 4];
            address.get_mut(..whole)?.copy_from_slice(rest.get(..whole)?);
            let mask = u32::MAX.checked_shl(u32::from(32u8.checked_sub(*len)?)).unwrap_or(0);
            let address = Ipv4Addr::from(u32::from_be_bytes(address) & mask);
            return Some((Self::V4 { address, len: *len }, whole.checked_add(1)?));
        }
        let [len, offset, rest @ ..] = octets else { return None };
        // The whole address range is length 0, offset 0; else there is a pattern.
        let bits = len.checked_sub(*offset).filter(|bits| *len <= 128 && (*bits > 0 || *len == 0))?;
        let whole = usize::from(bits.div_ceil(8));
        let mut pattern = [0; 16];
        pattern.get_mut(..whole)?.copy_from_slice(rest.get(..whole)?);
        let mask = u128::MAX.checked_shl(u32::from(128u8.checked_sub(bits)?)).unwrap_or(0);
        let address = (u128::from_be_bytes(pattern) & mask).checked_shr(u32::from(*offset)).unwrap_or(0);
        Some((Self::V6 { address: address.into(), len: *len, offset: *offset }, whole.checked_add(2)?))
    }
}

/// `192.0.2.0/24`, `2001:db8::/32`, `::1234:0:0/64-104` for bits 64 to 104.
impl fmt::Display for FlowPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4 { address, len } => write!(f, "{address}/{len}"),
            Self::V6 { address, len, offset: 0 } => write!(f, "{address}/{len}"),
            Self::V6 { address, len, offset } => write!(f, "{address}/{offset}-{len}"),
        }
    }
}

/// The last pair of operator and value.
const END: u8 = 0x80;
/// Joined to the pair before by and, else by or.
const AND: u8 = 0x40;

/// Octets of the value behind an operator (RFC 8955 §4.2.1.1).
const fn value_len(operator: u8) -> usize {
    1 << ((operator >> 4) & 3)
}

/// Octets up to the pair that says it is the last; `None` where one is longer than its type allows.
fn operators_len(kind: FlowComponentType, octets: &[u8]) -> Option<usize> {
    let mut at = 0usize;
    loop {
        let operator = *octets.get(at)?;
        let len = value_len(operator);
        if len > kind.most_octets() {
            return None;
        }
        at = at.checked_add(len)?.checked_add(1)?;
        if operator & END != 0 {
            return (at <= octets.len()).then_some(at);
        }
    }
}

/// One operator with its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlowOperator {
    /// Joined to the one before by and, which binds closer than or (RFC 8955 §4.2.1.1).
    pub and: bool,
    /// The operator octet.
    pub operator: u8,
    /// The value.
    pub value: u64,
    bitmask: bool,
}

impl FlowOperator {
    /// Whether a number satisfies it: compared for numeric components (RFC 8955 §4.2.1.1), masked for bit masks
    /// (RFC 8955 §4.2.1.2).
    #[must_use]
    pub const fn matches(&self, number: u64) -> bool {
        if self.bitmask {
            let masked = number & self.value;
            let found = if self.operator & 1 != 0 { masked == self.value } else { masked != 0 };
            return found != (self.operator & 2 != 0);
        }
        self.operator & 4 != 0 && number < self.value
            || self.operator & 2 != 0 && number > self.value
            || self.operator & 1 != 0 && number == self.value
    }
}

/// `>=80`; for bit masks `=0x2`, `!0x2`, `!=0x2`, or the mask alone for any of its bits; `false` and `true` for operators
/// that compare nothing.
impl fmt::Display for FlowOperator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bitmask {
            let sign = match self.operator & 3 {
                0 => "",
                1 => "=",
                2 => "!",
                _ => "!=",
            };
            return write!(f, "{sign}{:#x}", self.value);
        }
        let sign = match self.operator & 7 {
            0 => return f.write_str("false"),
            1 => "=",
            2 => ">",
            3 => ">=",
            4 => "<",
            5 => "<=",
            6 => "!=",
            _ => return f.write_str("true"),
        };
        write!(f, "{sign}{}", self.value)
    }
}

/// The operators of a component, in order.
#[derive(Debug, Clone)]
pub struct FlowOperators<'a> {
    rest: &'a [u8],
    bitmask: bool,
}

impl FlowOperators<'_> {
    /// Whether a number satisfies them all together: and before or.
    #[must_use]
    pub fn matches(self, number: u64) -> bool {
        let (mut any, mut group) = (false, None);
        for operator in self {
            let found = operator.matches(number);
            group = match group {
                Some(all) if operator.and => Some(all && found),
                Some(all) => {
                    any |= all;
                    Some(found)
                }
                None => Some(found),
            };
        }
        any || group.unwrap_or(false)
    }
}

impl Iterator for FlowOperators<'_> {
    type Item = FlowOperator;

    fn next(&mut self) -> Option<FlowOperator> {
        let (operator, rest) = self.rest.split_first()?;
        let (value, rest) = rest.split_at_checked(value_len(*operator))?;
        self.rest = rest;
        let value = value.iter().fold(0, |n, octet| n << 8 | u64::from(*octet));
        Some(FlowOperator { and: operator & AND != 0, operator: *operator, value, bitmask: self.bitmask })
    }
}

impl FusedIterator for FlowOperators<'_> {}
