//! From the text or number of a value to the value, or to what is wrong with it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use bgp_speaker::{AddPathSend, Community, Family, FamilySet, Password};
use ipnet::IpNet;

/// What is wrong with a value, and the mend.
pub(super) type Refusal = (String, String);

pub(super) fn address(text: &str) -> Result<IpAddr, Refusal> {
    let mend = || "write one address, such as \"10.0.0.2\" or \"2001:db8::2\"".to_owned();
    match IpAddr::from_str(text) {
        Ok(address) if address.is_unspecified() => {
            Err((format!("\"{text}\" stands for every address, not for one host"), mend()))
        }
        Ok(address) if address.is_multicast() => Err((format!("\"{text}\" is a multicast address"), mend())),
        Ok(IpAddr::V6(address)) if address.is_unicast_link_local() => Err(link_local(text)),
        Ok(address) if address.to_canonical() != address => Err((
            format!("\"{text}\" is an IPv4 address, written as one of IPv6 (RFC 4291 §2.5.5.2)"),
            format!("write \"{}\"", address.to_canonical()),
        )),
        Ok(address) => Ok(address),
        Err(_) if SocketAddr::from_str(text).is_ok() => Err((
            format!("\"{text}\" is an address with a port"),
            "give the port in its own key: port = …".into(),
        )),
        Err(_) if IpNet::from_str(text).is_ok() => Err((
            format!("\"{text}\" is a prefix, not one address"),
            "peers of a whole prefix go into [[neighbor-range]]".into(),
        )),
        Err(_) if text.contains('%') => Err(link_local(text)),
        Err(_) => Err((format!("\"{text}\" is not an IP address"), mend())),
    }
}

/// An address, and the interface that a link-local one is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScopedAddress {
    pub(crate) address: IpAddr,
    pub(crate) interface: Option<String>,
}

pub(super) fn peer_address(text: &str) -> Result<ScopedAddress, Refusal> {
    let (host, scope) = match text.split_once('%') {
        Some((host, scope)) => (host, Some(scope)),
        None => (text, None),
    };
    match (IpAddr::from_str(host), scope) {
        (Ok(IpAddr::V6(v6)), Some(scope)) if v6.is_unicast_link_local() => {
            Ok(ScopedAddress { address: v6.into(), interface: Some(interface(scope)?) })
        }
        (Ok(IpAddr::V6(v6)), None) if v6.is_unicast_link_local() => {
            Ok(ScopedAddress { address: v6.into(), interface: None })
        }
        (Ok(_), Some(scope)) => Err((
            format!("only link-local addresses have an interface behind them, not \"{host}\""),
            format!("write \"{host}\", and interface = \"{scope}\" if no other is to be used"),
        )),
        _ => Ok(ScopedAddress { address: address(text)?, interface: None }),
    }
}

pub(super) fn interface(text: &str) -> Result<String, Refusal> {
    let good = |octet: u8| octet.is_ascii_graphic() && octet != b'/' && octet != b':';
    if (1..16).contains(&text.len()) && text.bytes().all(good) && text != "." && text != ".." {
        return Ok(text.to_owned());
    }
    Err((
        format!("\"{text}\" is not the name of an interface"),
        "write one that `ip link` shows, such as \"eth0\"".into(),
    ))
}

pub(super) fn password(text: &str) -> Result<Password, Refusal> {
    Password::new(text).map_err(|error| {
        let mend = format!("write 1 to {} characters, or remove the line", Password::MAX_LEN);
        (error.to_string(), mend)
    })
}

/// A link-local address means nothing without its interface.
fn link_local(text: &str) -> Refusal {
    (
        format!("\"{text}\" is a link-local address"),
        "link-local addresses are not supported: use a global or unique local one".into(),
    )
}

pub(super) fn identifier(text: &str) -> Result<Ipv4Addr, Refusal> {
    let mend = || "write four numbers, such as \"10.0.0.1\": often an IPv4 address of this router".to_owned();
    match Ipv4Addr::from_str(text) {
        Ok(identifier) if identifier.is_unspecified() => {
            Err(("an identifier of 0.0.0.0 is not allowed (RFC 6286)".into(), mend()))
        }
        Ok(identifier) => Ok(identifier),
        Err(_) if IpAddr::from_str(text).is_ok() => {
            Err((format!("\"{text}\" is an IPv6 address, but identifiers have 32 bits"), mend()))
        }
        Err(_) => Err((format!("\"{text}\" is not an identifier"), mend())),
    }
}

/// The port on which BGP speakers listen (RFC 4271 §8.2.1).
pub(crate) const BGP_PORT: u16 = 179;

pub(super) fn listen(text: &str) -> Result<SocketAddr, Refusal> {
    let mend = || "write \"10.0.0.1:179\", or \"[2001:db8::1]:179\" for IPv6".to_owned();
    if let Ok(address) = IpAddr::from_str(text) {
        return Ok(SocketAddr::new(address.to_canonical(), BGP_PORT));
    }
    match SocketAddr::from_str(text) {
        Ok(listen) if listen.port() == 0 => Err(("port 0 is not a port to listen on".into(), mend())),
        Ok(listen) => Ok(SocketAddr::new(listen.ip().to_canonical(), listen.port())),
        Err(_) => match text.rsplit_once(':') {
            Some((host, port)) if IpAddr::from_str(host.trim_matches(['[', ']'])).is_ok() => {
                Err((format!("\"{port}\" is not a port from 1 to 65535"), mend()))
            }
            _ => Err((format!("\"{text}\" is not an address with a port"), mend())),
        },
    }
}

/// No port is usual enough to be left out here.
pub(super) fn metrics_listen(text: &str) -> Result<SocketAddr, Refusal> {
    let mend = || "write \"127.0.0.1:9179\", or \"[::1]:9179\" for IPv6".to_owned();
    match SocketAddr::from_str(text) {
        Ok(listen) if listen.port() == 0 => Err(("port 0 is not a port to listen on".into(), mend())),
        Ok(listen) => Ok(listen),
        Err(_) => Err((format!("\"{text}\" is not an address with a port"), mend())),
    }
}

/// What routers call some families.
const SHORT_NAMES: [(&str, Family); 6] = [
    ("vpnv4", Family::IPV4_VPN),
    ("vpnv6", Family::IPV6_VPN),
    ("evpn", Family::EVPN),
    ("vpls", Family::VPLS),
    ("flowspec", Family::IPV4_FLOWSPEC),
    ("rtc", Family::ROUTE_TARGET),
];

/// A family by its name, or by one of the short ones.
pub(crate) fn family_by_name(text: &str) -> Option<Family> {
    let short = SHORT_NAMES.iter().find(|(name, _)| *name == text).map(|(_, family)| *family);
    let known = |family: &Family| FamilySet::of(&[*family]).contains(*family);
    short.or_else(|| Family::from_str(text).ok()).filter(known)
}

pub(super) fn family(text: &str) -> Result<Family, Refusal> {
    family_by_name(text).ok_or_else(|| {
        let names: Vec<String> = Family::KNOWN.iter().map(ToString::to_string).collect();
        (format!("there is no family \"{text}\""), format!("write one of {}", names.join(", ")))
    })
}

pub(super) fn prefix(text: &str) -> Result<IpNet, Refusal> {
    match IpNet::from_str(text) {
        Ok(net) if net != net.trunc() => {
            Err((format!("\"{text}\" has bits set beyond its length"), format!("write \"{}\"", net.trunc())))
        }
        Ok(net) => Ok(net),
        Err(_) => match IpAddr::from_str(text) {
            Ok(address) => {
                let host = IpNet::from(address);
                Err((
                    format!("\"{text}\" has no prefix length"),
                    format!("write \"{host}\" for this one address"),
                ))
            }
            Err(_) => Err((
                format!("\"{text}\" is not a prefix"),
                "write an address and a length, such as \"10.1.0.0/26\" or \"2001:db8::/64\"".into(),
            )),
        },
    }
}

pub(super) fn community(text: &str) -> Result<Community, Refusal> {
    text.parse().map_err(|_| {
        (
            format!("\"{text}\" is not a community"),
            "write two numbers up to 65535, such as \"65000:100\", or a name such as \"no-export\"".into(),
        )
    })
}

pub(super) fn asn(number: i64) -> Result<u32, Refusal> {
    let mend = || "AS numbers go from 1 to 4294967295; 64512 to 65534 are for private use".to_owned();
    match u32::try_from(number) {
        Ok(0) => Err(("AS 0 is reserved and belongs to nobody (RFC 7607)".into(), mend())),
        Ok(23456) => Err((
            "AS 23456 is AS_TRANS, which stands for numbers above 65535 (RFC 6793)".into(),
            "write the AS number itself".into(),
        )),
        Ok(asn) => Ok(asn),
        Err(_) => Err((format!("{number} is not an AS number"), mend())),
    }
}

pub(super) fn port(number: i64) -> Result<u16, Refusal> {
    match u16::try_from(number) {
        Ok(port) if port > 0 => Ok(port),
        _ => Err((format!("{number} is not a port"), "ports go from 1 to 65535; BGP has 179".into())),
    }
}

pub(super) fn hold_time(number: i64) -> Result<u16, Refusal> {
    match u16::try_from(number) {
        Ok(seconds @ (1 | 2)) => Err((
            format!("a hold time of {seconds} s is not allowed (RFC 4271 §4.2)"),
            "write at least 3, or 0 for a session without keepalives".into(),
        )),
        Ok(seconds) => Ok(seconds),
        Err(_) => Err((format!("{number} is not a hold time"), "write 0 or 3 to 65535 (seconds)".into())),
    }
}

pub(super) fn seconds(number: i64) -> Result<u16, Refusal> {
    match u16::try_from(number) {
        Ok(seconds) if seconds > 0 => Ok(seconds),
        _ => Err((format!("{number} s is out of range"), "write 1 to 65535 (seconds)".into())),
    }
}

/// 24 bits on the wire (RFC 9494 §3.1).
pub(super) fn stale_time(number: i64) -> Result<u32, Refusal> {
    match u32::try_from(number) {
        Ok(seconds @ 1..=0x00ff_ffff) => Ok(seconds),
        _ => Err((
            format!("a long-lived time of {number} s does not fit its 24 bits (RFC 9494 §3.1)"),
            "write 1 to 16777215 (seconds)".into(),
        )),
    }
}

pub(super) fn restart_time(number: i64) -> Result<u16, Refusal> {
    match u16::try_from(number) {
        Ok(seconds @ 1..=4095) => Ok(seconds),
        _ => Err((
            format!("a restart time of {number} s does not fit its 12 bits (RFC 4724 §3)"),
            "write 1 to 4095 (seconds), or graceful-restart = false".into(),
        )),
    }
}

pub(super) fn max_paths(number: i64) -> Result<u16, Refusal> {
    u16::try_from(number)
        .ok()
        .filter(|&most| most > 0)
        .ok_or_else(|| (format!("{number} is no number of paths"), "write a number from 1, such as 8".into()))
}

pub(super) fn bound(number: i64) -> Result<u64, Refusal> {
    u64::try_from(number)
        .ok()
        .filter(|&most| most > 0)
        .ok_or_else(|| (format!("{number} is no limit"), "write a number from 1, such as 1000".into()))
}

pub(super) fn percent(number: i64) -> Result<u8, Refusal> {
    u8::try_from(number).ok().filter(|&percent| percent <= 100).ok_or_else(|| {
        (format!("{number} is no percentage"), "write 0 (never) to 100, or leave it out (75)".into())
    })
}

/// 16 bits on the wire, of which zero says nothing (draft-abraitis-idr-addpath-paths-limit).
pub(super) fn most_taken(number: i64) -> Result<u16, Refusal> {
    u16::try_from(number).ok().filter(|&most| most > 0).ok_or_else(|| {
        (format!("{number} is no number of paths"), "write 1 to 65535, or true for all that come".into())
    })
}

pub(super) fn paths_to_send(text: &str) -> Result<AddPathSend, Refusal> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let send = match words[..] {
        ["all"] => Some(AddPathSend::All),
        ["equal-cost"] => Some(AddPathSend::EqualCost),
        ["per-as"] => Some(AddPathSend::PerAs),
        ["best", number] => number.parse().ok().filter(|&most| most > 0).map(AddPathSend::Best),
        _ => None,
    };
    send.ok_or_else(|| {
        (
            format!("{text:?} does not say which paths to send"),
            "write \"all\", \"equal-cost\", \"per-as\", or \"best\" and a number, such as \"best 2\"".into(),
        )
    })
}

pub(super) fn ttl(number: i64) -> Result<u8, Refusal> {
    match u8::try_from(number) {
        Ok(ttl) if ttl > 0 => Ok(ttl),
        _ => Err((
            format!("{number} is not a TTL"),
            "write 1 for a direct neighbour, up to 255 for one farther away".into(),
        )),
    }
}

pub(super) fn hops(number: i64) -> Result<u8, Refusal> {
    match u8::try_from(number) {
        Ok(hops) if hops > 0 => Ok(hops),
        _ => Err((
            format!("{number} is not a number of hops"),
            "write 1 for a direct neighbour, up to 255 for one farther away".into(),
        )),
    }
}

pub(super) fn range_limit(number: i64) -> Result<u32, Refusal> {
    match u32::try_from(number) {
        Ok(limit) if limit > 0 => Ok(limit),
        _ => Err((
            format!("{number} is not a number of peers"),
            "write 1 or more, or leave the line out".into(),
        )),
    }
}
