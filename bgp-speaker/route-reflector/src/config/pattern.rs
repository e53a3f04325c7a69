//! The values of policies: patterns, ranges and changes of numbers, each read from what a person writes.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use bgp_speaker::policy::{
    AsPathPattern, CommunityPattern, ExtendedCommunityPattern, Glob, Ipv6ExtendedCommunityPattern,
    LargeCommunityPattern, Number, PrefixRange, SetNextHop, Span,
};
use bgp_wire::{ExtendedCommunity, Ipv6ExtendedCommunity, LargeCommunity};
use ipnet::IpNet;
use serde::de::{Deserialize, Deserializer, Error, Visitor};

use super::parse::{self, Refusal};
use super::value::{quoted, refuse};

quoted!(
    /// Prefixes: one, or those inside it by their lengths.
    #[derive(Copy)]
    PrefixMatch(PrefixRange), "a prefix in quotes, such as \"10.65.0.0/16\" or \"10.65.0.0/16 orlonger\"", prefix_match
);
quoted!(
    /// An expression over AS paths.
    AsPathExpression(AsPathPattern), "an expression over AS numbers in quotes, such as \"^65001 .* 65009$\"", as_path
);
quoted!(
    /// Communities by their halves.
    #[derive(Copy)]
    CommunityMatch(CommunityPattern), "a pattern over communities in quotes, such as \"65000:100\" or \"65000:*\"", community_match
);
quoted!(
    /// Large communities by their parts.
    #[derive(Copy)]
    LargeCommunityMatch(LargeCommunityPattern), "a pattern over large communities in quotes, such as \"65000:1:*\"", large_match
);
quoted!(
    /// A large community.
    #[derive(Copy)]
    LargeCommunityValue(LargeCommunity), "a large community in quotes, such as \"65000:1:2\"", large
);
quoted!(
    /// Extended communities of a kind, of an administrator, or one.
    #[derive(Copy)]
    ExtendedCommunityMatch(ExtendedCommunityPattern), "a pattern over extended communities in quotes, such as \"rt:65000:100\" or \"rt:65000:*\"", extended_match
);
quoted!(
    /// An extended community.
    #[derive(Copy)]
    ExtendedCommunityValue(ExtendedCommunity), "an extended community in quotes, such as \"rt:65000:100\"", extended
);
quoted!(
    /// IPv6 extended communities of an administrator, or one.
    #[derive(Copy)]
    Ipv6ExtendedCommunityMatch(Ipv6ExtendedCommunityPattern), "a pattern over IPv6 extended communities in quotes, such as \"rt:2001:db8::1:100\" or \"rt:2001:db8::1:*\"", ipv6_extended_match
);
quoted!(
    /// An IPv6 extended community.
    #[derive(Copy)]
    Ipv6ExtendedCommunityValue(Ipv6ExtendedCommunity), "an IPv6 extended community in quotes, such as \"rt:2001:db8::1:100\"", ipv6_extended
);
quoted!(
    /// A pattern over names of interfaces.
    InterfacePattern(Glob), "the name of an interface in quotes, such as \"eth0\" or \"vxlan*\"", interface
);
quoted!(
    /// A next hop that a rule gives.
    #[derive(Copy)]
    NextHopValue(SetNextHop), "an address in quotes, or \"self\", \"peer\" or \"unchanged\"", next_hop
);

/// A number as it is, or what a text says of numbers.
macro_rules! number_or_text {
    ($(#[$doc:meta])* $name:ident($inner:ty), $expected:literal, $number:expr, $text:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) struct $name(pub(crate) $inner);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct Either;
                impl Visitor<'_> for Either {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }
                    fn visit_i64<E: Error>(self, number: i64) -> Result<$name, E> {
                        let number = u32::try_from(number)
                            .map_err(|_| refuse(format_args!("{number} is out of range"), $expected))?;
                        Ok($name($number(number)))
                    }
                    fn visit_u64<E: Error>(self, number: u64) -> Result<$name, E> {
                        self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
                    }
                    fn visit_str<E: Error>(self, text: &str) -> Result<$name, E> {
                        $text(text).map($name).map_err(|(what, mend)| refuse(what, mend))
                    }
                }
                from.deserialize_any(Either)
            }
        }
    };
}

number_or_text!(
    /// A number, or a range of them.
    Range(Span), "a number, such as 100, or a range in quotes, such as \"100-200\"", Span::exactly, range
);
number_or_text!(
    /// AS numbers.
    AsnRange(Span), "an AS number, such as 65000, or a range in quotes, such as \"64512-65534\"", Span::exactly, range
);
number_or_text!(
    /// How a number changes.
    NumberValue(Number), "a number, such as 100, or a change in quotes, such as \"+10\" or \"-10\"", Number::Set, change
);

fn prefix_match(text: &str) -> Result<PrefixRange, Refusal> {
    let mut words = text.split_ascii_whitespace();
    let net = parse::prefix(words.next().unwrap_or_default())?;
    let words: Vec<&str> = words.collect();
    let lengths = |min: u8, max: u8| {
        PrefixRange::lengths(net, min..=max).map_err(|bad| {
            (bad.to_string(), format!("lengths go from {} to {}", net.prefix_len(), net.max_prefix_len()))
        })
    };
    let length = |word: &str| {
        u8::from_str(word).map_err(|_| (format!("\"{word}\" is not a length"), "write a number".to_owned()))
    };
    match words.as_slice() {
        [] | ["exact"] => Ok(PrefixRange::equal(net)),
        ["orlonger" | "or-longer"] => Ok(PrefixRange::or_longer(net)),
        ["longer"] if net.prefix_len() < net.max_prefix_len() => {
            lengths(net.prefix_len() + 1, net.max_prefix_len())
        }
        ["ge", min] => lengths(length(min)?, net.max_prefix_len()),
        ["le", max] => lengths(net.prefix_len(), length(max)?),
        ["ge", min, "le", max] | ["le", max, "ge", min] => lengths(length(min)?, length(max)?),
        _ => Err((
            format!("\"{}\" says nothing about lengths", words.join(" ")),
            format!("write \"{net}\", \"{net} orlonger\", \"{net} longer\" or \"{net} ge 24 le 26\""),
        )),
    }
}

fn as_path(text: &str) -> Result<AsPathPattern, Refusal> {
    AsPathPattern::from_str(text).map_err(|bad| {
        let mend = "AS numbers stand for themselves, `.` is any one; `[64512-65534]`, `( | )`, `*`, `+`, `?`, `^` and `$` are known";
        (format!("\"{text}\": {bad}"), mend.to_owned())
    })
}

fn community_match(text: &str) -> Result<CommunityPattern, Refusal> {
    CommunityPattern::from_str(text).map_err(|_| {
        (
            format!("\"{text}\" is not a pattern over communities"),
            "write \"65000:100\", \"65000:*\", \"*:1-9\" or a name such as \"no-export\"".to_owned(),
        )
    })
}

fn large_match(text: &str) -> Result<LargeCommunityPattern, Refusal> {
    LargeCommunityPattern::from_str(text).map_err(|_| {
        (
            format!("\"{text}\" is not a pattern over large communities"),
            "write \"65000:1:2\", \"65000:*:*\" or \"65000:1:1-9\"".to_owned(),
        )
    })
}

fn large(text: &str) -> Result<LargeCommunity, Refusal> {
    let mut parts = text.split(':').map(digits);
    let mut part = || parts.next().flatten();
    match (part(), part(), part(), part()) {
        (Some(global), Some(local1), Some(local2), None) if text.matches(':').count() == 2 => {
            Ok(LargeCommunity { global, local1, local2 })
        }
        _ => Err((
            format!("\"{text}\" is not a large community"),
            "write three numbers, such as \"65000:1:2\"".to_owned(),
        )),
    }
}

fn digits<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|octet| octet.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// The forms in which extended communities are shown.
fn extended(text: &str) -> Result<ExtendedCommunity, Refusal> {
    known_extended(text).or_else(|| hex(text)).ok_or_else(|| {
        (
            format!("\"{text}\" is not an extended community"),
            "write \"rt:65000:100\", \"soo:10.0.0.1:7\", \"color:100\", \"bandwidth:65000:125000\" or sixteen hex digits".to_owned(),
        )
    })
}

fn known_extended(text: &str) -> Option<ExtendedCommunity> {
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        [kind @ ("rt" | "soo"), administrator, value] => {
            let sub = if *kind == "rt" { 0x02 } else { 0x03 };
            administered(sub, administrator, value)
        }
        ["color", color] => digits(color).map(ExtendedCommunity::color),
        ["bandwidth", asn, rate] => {
            let rate = f32::from_str(rate).ok().filter(|rate| rate.is_finite() && *rate >= 0.0)?;
            Some(ExtendedCommunity::link_bandwidth(digits(asn)?, rate))
        }
        _ => None,
    }
}

/// By the administrator: a short AS number, a long one, or an address (RFC 4360 §3, RFC 5668 §2).
fn administered(sub: u8, administrator: &str, value: &str) -> Option<ExtendedCommunity> {
    let (kind, [a, b, c, d, e, f]) = if let Ok(address) = Ipv4Addr::from_str(administrator) {
        let ([a, b, c, d], [e, f]) = (address.octets(), digits::<u16>(value)?.to_be_bytes());
        (0x01, [a, b, c, d, e, f])
    } else if let Some(asn) = digits::<u16>(administrator) {
        let ([a, b], [c, d, e, f]) = (asn.to_be_bytes(), digits::<u32>(value)?.to_be_bytes());
        (0x00, [a, b, c, d, e, f])
    } else {
        let ([a, b, c, d], [e, f]) =
            (digits::<u32>(administrator)?.to_be_bytes(), digits::<u16>(value)?.to_be_bytes());
        (0x02, [a, b, c, d, e, f])
    };
    Some(ExtendedCommunity([kind, sub, a, b, c, d, e, f]))
}

fn hex(text: &str) -> Option<ExtendedCommunity> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let plain = digits.len() == 16 && digits.bytes().all(|octet| octet.is_ascii_hexdigit());
    let value = plain.then(|| u64::from_str_radix(digits, 16).ok()).flatten()?;
    Some(ExtendedCommunity(value.to_be_bytes()))
}

fn extended_match(text: &str) -> Result<ExtendedCommunityPattern, Refusal> {
    let sub = |name: &str| match name {
        "rt" => Some(0x02),
        "soo" => Some(0x03),
        _ => None,
    };
    let parts: Vec<&str> = text.split(':').collect();
    let whole_administrator = match parts.as_slice() {
        // The value does not count: any will do.
        [name, administrator, "*"] => sub(name).and_then(|sub| {
            let value = administered(sub, administrator, "0")?;
            let octets = if value.kind() == 0x00 { 2 } else { 4 };
            let mut mask = [0; 8];
            mask.iter_mut().take(2 + octets).for_each(|octet| *octet = 0xff);
            Some(ExtendedCommunityPattern { value, mask })
        }),
        _ => None,
    };
    if let Some(pattern) = whole_administrator {
        return Ok(pattern);
    }
    extended(text)
        .map(ExtendedCommunityPattern::from)
        .map_err(|(what, mend)| (what, format!("{mend}; or \"rt:65000:*\"")))
}

/// The forms in which IPv6 extended communities are shown (RFC 5701).
fn ipv6_extended(text: &str) -> Result<Ipv6ExtendedCommunity, Refusal> {
    let known = || {
        let (sub, address, value) = ipv6_parts(text)?;
        let mut octets = Ipv6ExtendedCommunity::route_target(address, digits(value)?).0;
        octets.iter_mut().skip(1).take(1).for_each(|octet| *octet = sub);
        Some(octets)
    };
    let plain = || {
        let plain = text.len() == 40 && text.bytes().all(|octet| octet.is_ascii_hexdigit());
        let octet = |at: usize| text.get(2 * at..2 * at + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
        let octets: Vec<u8> = (0..20).map_while(octet).collect();
        if plain { <[u8; 20]>::try_from(octets).ok() } else { None }
    };
    known().or_else(plain).map(Ipv6ExtendedCommunity).ok_or_else(|| {
        (
            format!("\"{text}\" is not an IPv6 extended community"),
            "write \"rt:2001:db8::1:100\", \"soo:2001:db8::1:7\" or forty hex digits".to_owned(),
        )
    })
}

/// Sub-type, administrator and what stands behind the last colon.
fn ipv6_parts(text: &str) -> Option<(u8, Ipv6Addr, &str)> {
    let (sub, rest) = match text.split_once(':')? {
        ("rt", rest) => (0x02, rest),
        ("soo", rest) => (0x03, rest),
        _ => return None,
    };
    let (address, value) = rest.rsplit_once(':')?;
    Some((sub, address.parse().ok()?, value))
}

fn ipv6_extended_match(text: &str) -> Result<Ipv6ExtendedCommunityPattern, Refusal> {
    if let Some((sub, address, "*")) = ipv6_parts(text) {
        return Ok(Ipv6ExtendedCommunityPattern::of_administrator(0x00, sub, address));
    }
    ipv6_extended(text)
        .map(Ipv6ExtendedCommunityPattern::from)
        .map_err(|(what, mend)| (what, format!("{mend}; or \"rt:2001:db8::1:*\"")))
}

fn interface(text: &str) -> Result<Glob, Refusal> {
    Glob::from_str(text)
        .map_err(|bad| (format!("\"{text}\" is {bad}"), "write a name, or \"vxlan*\"".to_owned()))
}

fn next_hop(text: &str) -> Result<SetNextHop, Refusal> {
    match text {
        "self" => Ok(SetNextHop::Own),
        "peer" => Ok(SetNextHop::Peer),
        "unchanged" => Ok(SetNextHop::Received),
        _ if IpNet::from_str(text).is_ok() || IpAddr::from_str(text).is_ok() => {
            parse::address(text).map(SetNextHop::Address)
        }
        _ => Err((
            format!("\"{text}\" is no next hop"),
            "write an address, \"self\", \"peer\" or \"unchanged\"".to_owned(),
        )),
    }
}

fn range(text: &str) -> Result<Span, Refusal> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    match (digits(low.trim()), digits(high.trim())) {
        (Some(low), Some(high)) if low <= high => Ok(Span { low, high }),
        (Some(low), Some(high)) => {
            Err((format!("the range {low}-{high} ends before it begins"), format!("write \"{high}-{low}\"")))
        }
        _ => Err((
            format!("\"{text}\" is not a range of numbers"),
            "write two numbers, such as \"100-200\"".to_owned(),
        )),
    }
}

fn change(text: &str) -> Result<Number, Refusal> {
    let number = |rest: &str| {
        digits(rest).ok_or_else(|| {
            (format!("\"{text}\" is not a change of a number"), "write 100, \"+10\" or \"-10\"".to_owned())
        })
    };
    match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(more), _) => number(more).map(Number::Add),
        (_, Some(less)) => number(less).map(Number::Sub),
        _ => number(text).map(Number::Set),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_communities_are_read_as_they_are_shown() {
        for text in [
            "rt:65000:100",
            "rt:10.0.0.1:7",
            "rt:4200000000:9",
            "soo:65000:1",
            "color:100",
            "bandwidth:65000:125000",
            "0123456789abcdef",
        ] {
            assert_eq!(extended(text).expect("an extended community").to_string(), text);
        }
        for text in ["", "rt", "rt:1", "rt:x:1", "rt:65000:-1", "rt:4200000000:70000", "color:-1", "0123"] {
            assert!(extended(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ipv6_extended_communities_are_read_as_they_are_shown() {
        for text in
            ["rt:2001:db8::1:100", "soo:2001:db8::7:1", "rt::::9", "000b20010db80000000000000000000000010064"]
        {
            assert_eq!(ipv6_extended(text).expect("an IPv6 extended community").to_string(), text);
        }
        for text in ["", "rt", "rt:1", "rt:65000:1", "rt:2001:db8::1:70000", "rt:2001:db8::1:*", "0123"] {
            assert!(ipv6_extended(text).is_err(), "{text}");
        }
        let pattern = ipv6_extended_match("rt:2001:db8::1:*").expect("a pattern");
        let [one, two]: [Ipv6Addr; 2] =
            ["2001:db8::1", "2001:db8::2"].map(|a| a.parse().expect("an address"));
        assert!(pattern.matches(Ipv6ExtendedCommunity::route_target(one, 9)));
        assert!(!pattern.matches(Ipv6ExtendedCommunity::route_target(two, 9)));
    }

    #[test]
    fn a_star_takes_every_value_of_an_administrator() {
        let pattern = extended_match("rt:65000:*").expect("a pattern");
        assert!(pattern.matches(ExtendedCommunity::route_target(65000, 1)));
        assert!(!pattern.matches(ExtendedCommunity::route_target(65001, 1)));
        let pattern = extended_match("rt:10.0.0.1:*").expect("a pattern");
        assert!(pattern.matches(ExtendedCommunity::route_target_ipv4(Ipv4Addr::new(10, 0, 0, 1), 9)));
        assert!(!pattern.matches(ExtendedCommunity::route_target_ipv4(Ipv4Addr::new(10, 0, 0, 2), 9)));
    }

    #[test]
    fn prefixes_are_told_apart_by_their_lengths() {
        let shown = |text| prefix_match(text).map(|range| range.to_string()).map_err(|(what, _)| what);
        assert_eq!(shown("10.0.0.0/8").as_deref(), Ok("10.0.0.0/8"));
        assert_eq!(shown("10.0.0.0/8 orlonger").as_deref(), Ok("10.0.0.0/8{8,32}"));
        assert_eq!(shown("10.0.0.0/8 longer").as_deref(), Ok("10.0.0.0/8{9,32}"));
        assert_eq!(shown("10.0.0.0/8 ge 24 le 26").as_deref(), Ok("10.0.0.0/8{24,26}"));
        assert_eq!(shown("10.0.0.0/8 le 26").as_deref(), Ok("10.0.0.0/8{8,26}"));
        for bad in [
            "",
            "10.0.0.0/8 ge",
            "10.0.0.0/8 ge 7",
            "10.0.0.0/8 ge 27 le 26",
            "10.0.0.0/8 le 33",
            "10.0.0.1/32 longer",
        ] {
            assert!(shown(bad).is_err(), "{bad}");
        }
    }
}
