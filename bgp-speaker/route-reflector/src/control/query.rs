//! The question in a request: its path and its `key=value` pairs.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use bgp_speaker::{Family, PeerAddress};
use ipnet::IpNet;

use crate::config::family_by_name;

/// What a client may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Question {
    /// `/status`.
    Status,
    /// `/metrics`.
    Metrics,
    /// `/routes?family=&peer=&advertised-to=&best=&within=`.
    Routes(RoutesQuestion),
    /// `/explain?prefix=` or `/explain?address=`.
    Explain(Subject),
}

/// The one method of a path that is there.
pub(super) fn method_of(path: &str) -> Option<&'static str> {
    match path {
        "/status" | "/metrics" | "/routes" | "/explain" => Some("GET"),
        "/clear" | "/reset" | "/bfd" | "/dry-run" => Some("POST"),
        _ => None,
    }
}

/// What to explain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Just this prefix.
    Prefix(IpNet),
    /// The longest prefix that holds this address and has a route.
    Address(IpAddr),
}

impl Subject {
    /// The request target that asks for it.
    pub(crate) fn target(&self) -> String {
        match self {
            Subject::Prefix(prefix) => format!("/explain?prefix={prefix}"),
            Subject::Address(address) => format!("/explain?address={address}"),
        }
    }

    /// The prefixes to look for, the first one with a route being meant.
    pub(super) fn prefixes(&self) -> Vec<IpNet> {
        match self {
            Subject::Prefix(prefix) => vec![*prefix],
            Subject::Address(address) => {
                let longest = IpNet::from(*address);
                std::iter::successors(Some(longest), IpNet::supernet).collect()
            }
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Prefix(prefix) => prefix.fmt(f),
            Subject::Address(address) => address.fmt(f),
        }
    }
}

/// Which routes to list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RoutesQuestion {
    /// This family only.
    pub(crate) family: Option<Family>,
    /// What this peer told only.
    pub(crate) peer: Option<PeerAddress>,
    /// What this peer is told, instead of the table.
    pub(crate) advertised_to: Option<PeerAddress>,
    /// Best paths only.
    pub(crate) best: bool,
    /// This prefix and what is inside it only.
    pub(crate) within: Option<IpNet>,
}

impl RoutesQuestion {
    /// The request target that asks it.
    pub(crate) fn target(&self) -> String {
        let mut pairs = Vec::new();
        if let Some(family) = self.family {
            pairs.push(format!("family={family}"));
        }
        if let Some(peer) = self.peer {
            pairs.push(format!("peer={}", encoded(peer)));
        }
        if let Some(peer) = self.advertised_to {
            pairs.push(format!("advertised-to={}", encoded(peer)));
        }
        if self.best {
            pairs.push("best=true".to_owned());
        }
        if let Some(within) = self.within {
            pairs.push(format!("within={within}"));
        }
        match pairs.is_empty() {
            true => "/routes".to_owned(),
            false => format!("/routes?{}", pairs.join("&")),
        }
    }
}

/// The sign before an interface is what begins an encoded octet in a query.
pub(super) fn encoded(peer: PeerAddress) -> String {
    peer.to_string().replace('%', "%25")
}

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unanswerable {
    /// No such path.
    Unknown(String),
    /// A pair that does not belong there.
    Pair(String),
}

impl Question {
    /// Reads the path and the query of a request target.
    pub(super) fn parse(path: &str, query: &str) -> Result<Self, Unanswerable> {
        let pairs = pairs(query)?;
        match path {
            "/status" => alone(&pairs, "/status takes none", Question::Status),
            "/metrics" => alone(&pairs, "/metrics takes none", Question::Metrics),
            "/routes" => routes(&pairs).map(Question::Routes),
            "/explain" => explain(&pairs).map(Question::Explain),
            _ => Err(Unanswerable::Unknown(format!(
                "there is no {path}: ask for /status, /metrics, /routes?family=&peer=&advertised-to=&best=&within=, /explain?prefix= or /explain?address="
            ))),
        }
    }
}

fn alone(pairs: &[(String, String)], known: &str, question: Question) -> Result<Question, Unanswerable> {
    pairs.first().map_or(Ok(question), |(key, _)| Err(unknown_pair(key, known)))
}

fn routes(pairs: &[(String, String)]) -> Result<RoutesQuestion, Unanswerable> {
    let mut question = RoutesQuestion::default();
    for (key, value) in pairs {
        match key.as_str() {
            "family" => {
                let family = family_by_name(value);
                question.family = Some(
                    family
                        .ok_or_else(|| bad_value(key, value, "a family such as ipv4-unicast or ipv4-vpn"))?,
                );
            }
            "peer" => {
                question.peer =
                    Some(PeerAddress::from_str(value).map_err(|_| bad_value(key, value, "an address"))?);
            }
            "advertised-to" => {
                question.advertised_to =
                    Some(PeerAddress::from_str(value).map_err(|_| bad_value(key, value, "an address"))?);
            }
            "within" => question.within = Some(prefix(key, value)?),
            "best" => {
                question.best = bool::from_str(value).map_err(|_| bad_value(key, value, "true or false"))?;
            }
            _ => return Err(unknown_pair(key, "/routes takes family, peer, advertised-to, best and within")),
        }
    }
    Ok(question)
}

fn explain(pairs: &[(String, String)]) -> Result<Subject, Unanswerable> {
    let known = "/explain takes one prefix or one address";
    match pairs {
        [(key, value)] if key == "prefix" => prefix(key, value).map(Subject::Prefix),
        [(key, value)] if key == "address" => match IpAddr::from_str(value) {
            Ok(address) => Ok(Subject::Address(address)),
            Err(_) => Err(bad_value(key, value, "an address")),
        },
        [(key, _)] => Err(unknown_pair(key, known)),
        _ => Err(Unanswerable::Pair(known.to_owned())),
    }
}

fn prefix(key: &str, value: &str) -> Result<IpNet, Unanswerable> {
    IpNet::from_str(value)
        .map(|net| net.trunc())
        .map_err(|_| bad_value(key, value, "a prefix such as 10.1.0.0/26"))
}

pub(super) fn unknown_pair(key: &str, known: &str) -> Unanswerable {
    Unanswerable::Pair(format!("{key} is not known: {known}"))
}

pub(super) fn bad_value(key: &str, value: &str, wanted: &str) -> Unanswerable {
    Unanswerable::Pair(format!("{key}={value} is not valid: {key} takes {wanted}"))
}

pub(super) fn pairs(query: &str) -> Result<Vec<(String, String)>, Unanswerable> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match (decode(key), decode(value)) {
                (Some(key), Some(value)) => Ok((key, value)),
                _ => Err(Unanswerable::Pair(format!("{pair} is not valid percent-encoding"))),
            }
        })
        .collect()
}

/// Percent-decoding (RFC 3986 §2.1); `None` when it is broken.
fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let high = char::from(bytes.next()?).to_digit(16)?;
        let low = char::from(bytes.next()?).to_digit(16)?;
        out.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_asks_is_what_the_server_hears() {
        let questions = [
            RoutesQuestion::default(),
            RoutesQuestion {
                family: Some(Family::EVPN),
                peer: Some("2001:db8::1".parse().expect("an address")),
                advertised_to: Some("fe80::1%eth0".parse().expect("an address")),
                best: true,
                within: Some("2001:db8::/32".parse().expect("a prefix")),
            },
        ];
        for question in questions {
            let target = question.target();
            let (path, query) = target.split_once('?').unwrap_or((&target, ""));
            assert_eq!(Question::parse(path, query), Ok(Question::Routes(question)));
        }
    }

    #[test]
    fn prefixes_may_be_percent_encoded_or_not() {
        let net = Subject::Prefix("2001:db8::/64".parse().expect("a prefix"));
        assert_eq!(Question::parse("/explain", "prefix=2001:db8::/64"), Ok(Question::Explain(net)));
        assert_eq!(Question::parse("/explain", "prefix=2001%3adb8%3A%3a%2F64"), Ok(Question::Explain(net)));
    }

    #[test]
    fn an_address_is_looked_for_from_its_host_prefix_up_to_the_default() {
        let address = "10.0.0.5".parse().expect("an address");
        let prefixes = Subject::Address(address).prefixes();
        assert_eq!(prefixes.len(), 33);
        assert_eq!(prefixes.first().map(ToString::to_string).as_deref(), Some("10.0.0.5/32"));
        assert_eq!(prefixes.last().map(ToString::to_string).as_deref(), Some("0.0.0.0/0"));
        assert_eq!(
            Question::parse("/explain", "address=10.0.0.5"),
            Ok(Question::Explain(Subject::Address(address)))
        );
    }

    #[test]
    fn bad_requests_are_told_what_to_ask() {
        assert!(matches!(Question::parse("/", ""), Err(Unanswerable::Unknown(_))));
        for (path, query) in [
            ("/status", "x=1"),
            ("/metrics", "x=1"),
            ("/routes", "colour=red"),
            ("/routes", "peer=ten"),
            ("/routes", "best"),
            ("/explain", ""),
            ("/explain", "prefix=10.0.0.0/8&address=10.0.0.1"),
            ("/explain", "address=10.0.0.0/8"),
            ("/routes", "within=10.0.0.1"),
            ("/explain", "prefix=10.0.0.0/33"),
            ("/explain", "prefix=%zz"),
            ("/explain", "prefix=%"),
            ("/explain", "prefix=%ff"),
        ] {
            assert!(matches!(Question::parse(path, query), Err(Unanswerable::Pair(_))), "{path}?{query}");
        }
    }
}
