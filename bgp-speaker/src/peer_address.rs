//! Where a peer is, as everything that speaks of one names it.

use std::fmt;
use std::net::{AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::config::is_link_local;

/// The longest name of an interface: `IFNAMSIZ` is 16 with its final zero.
const MAX_NAME: usize = 15;

/// The address of a peer; with a link-local one goes the interface that it is behind (RFC 4007 §6), so that the same
/// address on two links is two peers. Written as `10.0.0.2` or `fe80::1%eth0`.
///
/// Where a call asks for a peer, a link-local address without interface names the only peer that has it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerAddress {
    ip: IpAddr,
    /// A name, filled with zeros; all zero where there is none.
    interface: [u8; MAX_NAME],
}

impl PeerAddress {
    /// The peer of this address behind this interface. The interface counts with a link-local address alone: any other
    /// says by itself where it is.
    pub fn behind(ip: IpAddr, interface: &str) -> Self {
        let mut name = [0; MAX_NAME];
        if is_link_local(ip) {
            name.iter_mut().zip(interface.bytes()).for_each(|(to, from)| *to = from);
        }
        Self { ip, interface: name }
    }

    /// The address alone.
    pub fn ip(self) -> IpAddr {
        self.ip
    }

    /// The interface of a link-local address.
    pub fn interface(&self) -> Option<&str> {
        let name = self.interface.split(|octet| *octet == 0).next().unwrap_or_default();
        // A name that was cut within a character is none of an interface.
        std::str::from_utf8(name).ok().filter(|name| !name.is_empty())
    }

    /// Whether `self`, as somebody asks for it, may stand for `there`.
    pub(crate) fn names(self, there: Self) -> bool {
        self == there || (self.interface().is_none() && self.ip == there.ip)
    }
}

impl<T: Into<IpAddr>> From<T> for PeerAddress {
    fn from(ip: T) -> Self {
        Self { ip: ip.into(), interface: [0; MAX_NAME] }
    }
}

impl PartialEq<IpAddr> for PeerAddress {
    fn eq(&self, ip: &IpAddr) -> bool {
        self.ip == *ip
    }
}

impl PartialEq<Ipv4Addr> for PeerAddress {
    fn eq(&self, ip: &Ipv4Addr) -> bool {
        self.ip == *ip
    }
}

impl PartialEq<Ipv6Addr> for PeerAddress {
    fn eq(&self, ip: &Ipv6Addr) -> bool {
        self.ip == *ip
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.interface() {
            Some(interface) => write!(f, "{}%{interface}", self.ip),
            None => self.ip.fmt(f),
        }
    }
}

impl fmt::Debug for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PeerAddress {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, AddrParseError> {
        let (ip, interface) = text.split_once('%').unwrap_or((text, ""));
        Ok(Self::behind(ip.parse()?, interface))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail by panic, and so may what serves tests")]
mod tests {
    use super::*;

    #[test]
    fn an_interface_tells_link_local_addresses_apart_and_no_others() {
        let at = |text: &str| text.parse::<PeerAddress>().unwrap();
        assert_ne!(at("fe80::1%eth0"), at("fe80::1%eth1"));
        assert_eq!(at("10.0.0.1%eth0"), at("10.0.0.1"));
        assert_eq!(at("fe80::1%eth0").interface(), Some("eth0"));
        for text in ["fe80::1%eth0", "fe80::1", "2001:db8::1", "10.0.0.1"] {
            assert_eq!(at(text).to_string(), text);
        }
        assert!("fe80::1%eth0x%".parse::<PeerAddress>().is_ok() && "eth0".parse::<PeerAddress>().is_err());
    }

    #[test]
    fn a_bare_link_local_address_stands_for_any_interface() {
        let at = |text: &str| text.parse::<PeerAddress>().unwrap();
        assert!(at("fe80::1").names(at("fe80::1%eth0")));
        assert!(!at("fe80::1%eth1").names(at("fe80::1%eth0")));
    }
}
