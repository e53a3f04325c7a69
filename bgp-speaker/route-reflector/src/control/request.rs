//! What a client may ask a daemon to do: the path of a POST and its `key=value` pairs.

use std::fmt;

use bgp_speaker::{Bfd, Family, PeerAddress};
use clap::ValueEnum;

use super::query::{Unanswerable, bad_value, encoded, pairs, unknown_pair};
use crate::config::family_by_name;

/// What a client may have done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    /// `/clear?peer=`: the hold of this peer after a limit ends.
    Clear(PeerAddress),
    /// `/reset?peer=&mode=`: the session begins anew, or its routes are told again.
    Reset(PeerAddress, ResetMode),
    /// `/bfd?peer=&state=`: what BFD says about the way to this peer.
    Bfd(PeerAddress, BfdState),
    /// `/dry-run?peer=&policy=&family=`, with policies as the body: what the peer would be told by one of them.
    DryRun(DryRun),
}

/// What a peer would be told by another export policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DryRun {
    pub(crate) peer: PeerAddress,
    /// The name of the policy; what the peer's own table says, or the only policy that there is, when missing.
    pub(crate) policy: Option<String>,
    /// All families of the session when missing.
    pub(crate) family: Option<Family>,
}

/// How a session is reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum ResetMode {
    /// End the session and begin it anew
    #[default]
    Hard,
    /// Ask the peer for its routes again, and tell it ours again
    Soft,
    /// Ask the peer for its routes again
    SoftIn,
    /// Tell the peer our routes again
    SoftOut,
}

/// What BFD says (RFC 5880 §6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BfdState {
    /// The peer can be reached
    Up,
    /// It cannot be reached; where BFD was up before, the session ends at once
    Down,
    /// The same, and the peer's BFD does not share the fate of its control plane: its routes are not kept (RFC 5882 §4.3.1)
    DownIndependent,
    /// BFD is out of service, which says nothing about the peer
    AdminDown,
}

impl From<BfdState> for Bfd {
    fn from(state: BfdState) -> Self {
        match state {
            BfdState::Up => Self::Up,
            BfdState::Down => Self::Down { control_plane_independent: false },
            BfdState::DownIndependent => Self::Down { control_plane_independent: true },
            BfdState::AdminDown => Self::AdminDown,
        }
    }
}

/// The word of the command line and of the query for a value.
fn word(value: &impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

impl fmt::Display for ResetMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&word(self))
    }
}

impl fmt::Display for BfdState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&word(self))
    }
}

const CLEAR: &str = "/clear takes one peer";
const RESET: &str = "/reset takes one peer, and a mode: hard, soft, soft-in or soft-out";
const BFD: &str = "/bfd takes one peer, and a state: up, down, down-independent or admin-down";
const DRY_RUN: &str = "/dry-run takes one peer, the name of a policy and a family";

impl Request {
    /// The request target that says it.
    pub(crate) fn target(&self) -> String {
        match self {
            Self::Clear(peer) => format!("/clear?peer={}", encoded(*peer)),
            Self::Reset(peer, mode) => format!("/reset?peer={}&mode={mode}", encoded(*peer)),
            Self::Bfd(peer, state) => format!("/bfd?peer={}&state={state}", encoded(*peer)),
            Self::DryRun(DryRun { peer, policy, family }) => {
                let policy = policy.as_ref().map(|name| format!("&policy={}", escaped(name)));
                let family = family.map(|family| format!("&family={family}"));
                let rest = [policy, family].map(Option::unwrap_or_default).concat();
                format!("/dry-run?peer={}{rest}", encoded(*peer))
            }
        }
    }

    /// Reads the path and the query of a request target.
    pub(super) fn parse(path: &str, query: &str) -> Result<Self, Unanswerable> {
        let (known, takes): (_, &[&str]) = match path {
            "/clear" => (CLEAR, &["peer"]),
            "/reset" => (RESET, &["peer", "mode"]),
            "/bfd" => (BFD, &["peer", "state"]),
            "/dry-run" => (DRY_RUN, &["peer", "policy", "family"]),
            _ => {
                let words = format!(
                    "nothing is done at {path}: post to /clear?peer=, /reset?peer=&mode=, /bfd?peer=&state= or /dry-run?peer=&policy=&family="
                );
                return Err(Unanswerable::Unknown(words));
            }
        };
        let pairs = Pairs::new(pairs(query)?, takes, known)?;
        let peer = pairs.get("peer").ok_or_else(|| Unanswerable::Pair(known.to_owned()))?;
        let peer = peer.parse().map_err(|_| bad_value("peer", peer, "an address"))?;
        Ok(match path {
            "/clear" => Self::Clear(peer),
            "/reset" => Self::Reset(
                peer,
                pairs.one_of("mode", "hard, soft, soft-in or soft-out")?.unwrap_or_default(),
            ),
            "/bfd" => {
                let state = pairs.one_of("state", "up, down, down-independent or admin-down")?;
                Self::Bfd(peer, state.ok_or_else(|| Unanswerable::Pair(known.to_owned()))?)
            }
            _ => {
                let family = pairs.get("family").map(|name| {
                    let known = "a family such as ipv4-unicast or ipv4-vpn";
                    family_by_name(name).ok_or_else(|| bad_value("family", name, known))
                });
                let policy = pairs.get("policy").map(str::to_owned);
                Self::DryRun(DryRun { peer, policy, family: family.transpose()? })
            }
        })
    }
}

/// Pairs of a query, each key once and among those that are known.
struct Pairs(Vec<(String, String)>);

impl Pairs {
    fn new(pairs: Vec<(String, String)>, takes: &[&str], known: &str) -> Result<Self, Unanswerable> {
        for (place, (key, _)) in pairs.iter().enumerate() {
            let again = pairs.iter().take(place).any(|(other, _)| other == key);
            if again || !takes.contains(&key.as_str()) {
                return Err(unknown_pair(key, known));
            }
        }
        Ok(Self(pairs))
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == key).map(|(_, value)| value.as_str())
    }

    fn one_of<T: ValueEnum>(&self, key: &str, words: &str) -> Result<Option<T>, Unanswerable> {
        let Some(value) = self.get(key) else { return Ok(None) };
        T::from_str(value, false).map(Some).map_err(|_| bad_value(key, value, words))
    }
}

/// Percent-encoding (RFC 3986 §2.1) of all that is neither a letter nor a digit.
fn escaped(text: &str) -> String {
    let escape = |octet: u8| match octet {
        octet if octet.is_ascii_alphanumeric() => char::from(octet).to_string(),
        octet => format!("%{octet:02X}"),
    };
    text.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_asks_for_is_what_the_server_hears() {
        let peer = "fe80::1%eth0".parse().expect("an address");
        let dry_run =
            DryRun { peer, policy: Some("to nodes & co=1%".to_owned()), family: Some(Family::EVPN) };
        for request in [
            Request::Clear(peer),
            Request::Reset(peer, ResetMode::SoftOut),
            Request::Bfd(peer, BfdState::DownIndependent),
            Request::DryRun(DryRun { policy: None, family: None, ..dry_run.clone() }),
            Request::DryRun(dry_run),
        ] {
            let target = request.target();
            let (path, query) = target.split_once('?').expect("it has a peer");
            assert_eq!(Request::parse(path, query), Ok(request));
        }
    }

    #[test]
    fn bad_requests_are_told_what_to_post() {
        assert!(matches!(Request::parse("/status", ""), Err(Unanswerable::Unknown(_))));
        for (path, query) in [
            ("/clear", ""),
            ("/clear", "peer=ten"),
            ("/clear", "peer=10.0.0.1&mode=hard"),
            ("/reset", "peer=10.0.0.1&mode=gently"),
            ("/bfd", "peer=10.0.0.1"),
            ("/bfd", "peer=10.0.0.1&state=init"),
            ("/bfd", "peer=10.0.0.1&state=up&state=down"),
            ("/dry-run", "policy=a"),
            ("/dry-run", "peer=10.0.0.1&family=ipx"),
        ] {
            assert!(matches!(Request::parse(path, query), Err(Unanswerable::Pair(_))), "{path}?{query}");
        }
    }
}
