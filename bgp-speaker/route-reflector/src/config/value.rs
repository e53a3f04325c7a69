//! The values of the configuration: each one reads itself from TOML and refuses in words.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::str::FromStr;

use bgp_speaker::policy::{RpkiState, SourceKind};
use bgp_speaker::{Community, Password};
use bgp_wire::{Origin, PeerKind};
use ipnet::IpNet;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use toml::Spanned;

use super::parse::{
    ScopedAddress, address, asn, community, family, hold_time, hops, identifier, interface, listen,
    max_paths, metrics_listen, password, peer_address, port, prefix, range_limit, restart_time, seconds,
    stale_time, ttl,
};

/// Between the words of a refusal and its mend: `serde` errors carry one text only.
pub(crate) const MEND: char = '\n';

pub(super) fn refuse<E: Error>(what: impl fmt::Display, mend: impl fmt::Display) -> E {
    E::custom(format_args!("{what}{MEND}{mend}"))
}

/// A value written in quotes, read by a function that knows the mend.
macro_rules! quoted {
    ($(#[$doc:meta])* $name:ident($inner:ty), $expected:literal, $parse:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(crate) struct $name(pub(crate) $inner);

        impl From<$name> for $inner {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }
                    fn visit_str<E: Error>(self, text: &str) -> Result<$name, E> {
                        $parse(text).map($name).map_err(|(what, mend)| refuse(what, mend))
                    }
                }
                from.deserialize_str(Text)
            }
        }
    };
}

pub(super) use quoted;

/// One of a few words.
macro_rules! keyword {
    ($(#[$doc:meta])* $name:ident { $($(#[$item_doc:meta])* $item:ident = $word:literal),+ $(,)? }, $expected:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum $name { $($(#[$item_doc])* $item),+ }

        impl $name {
            const WORDS: &'static [&'static str] = &[$($word),+];

            fn of(word: &str) -> Option<Self> {
                match word { $($word => Some($name::$item),)+ _ => None }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct Word;
                impl Visitor<'_> for Word {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }
                    fn visit_str<E: Error>(self, word: &str) -> Result<$name, E> {
                        $name::of(word).ok_or_else(|| E::unknown_variant(word, $name::WORDS))
                    }
                }
                from.deserialize_str(Word)
            }
        }
    };
}

/// A whole number within limits.
macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty), $expected:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) struct $name(pub(crate) $inner);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct Number;
                impl Visitor<'_> for Number {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }
                    fn visit_i64<E: Error>(self, number: i64) -> Result<$name, E> {
                        $check(number).map($name).map_err(|(what, mend)| refuse(what, mend))
                    }
                    fn visit_u64<E: Error>(self, number: u64) -> Result<$name, E> {
                        self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
                    }
                }
                from.deserialize_i64(Number)
            }
        }
    };
}

pub(super) use number;

quoted!(
    /// The address of a peer or of this speaker.
    #[derive(Copy)]
    Address(IpAddr), "an IP address in quotes, such as \"10.0.0.2\"", address
);
quoted!(
    /// The address of a peer, with its interface where it is link-local.
    PeerAddress(ScopedAddress),
    "an IP address in quotes, such as \"10.0.0.2\" or \"fe80::2%eth0\"", peer_address
);
quoted!(
    /// The name of an interface.
    Interface(String), "the name of an interface in quotes, such as \"eth0\"", interface
);
quoted!(
    /// The password of a session.
    SessionPassword(Password), "a password in quotes", password
);
quoted!(
    /// A router identifier or cluster identifier: 32 bits, written as an IPv4 address.
    #[derive(Copy)]
    Identifier(Ipv4Addr), "an identifier in quotes, written like an IPv4 address, such as \"10.0.0.1\"", identifier
);
quoted!(
    /// An address with a port to listen on.
    #[derive(Copy)]
    Listen(SocketAddr), "an address with a port in quotes, such as \"10.0.0.1:179\" or \"[2001:db8::1]:179\"", listen
);
quoted!(
    /// An address with a port where measurements are asked for.
    #[derive(Copy)]
    MetricsListen(SocketAddr), "an address with a port in quotes, such as \"127.0.0.1:9179\"", metrics_listen
);
quoted!(
    /// A prefix without host bits.
    #[derive(Copy)]
    Prefix(IpNet), "a prefix in quotes, such as \"10.1.0.0/26\"", prefix
);
quoted!(
    /// A community (RFC 1997).
    #[derive(Copy)]
    CommunityValue(Community), "a community in quotes, such as \"65000:100\" or \"no-export\"", community
);

keyword!(
    /// What an import or export policy does with a route.
    Verdict {
        /// Every route passes.
        Accept = "accept",
        /// No route passes.
        Reject = "reject",
    }, "\"accept\" or \"reject\" in quotes"
);
keyword!(
    /// How a rule of a policy ends.
    Outcome {
        /// The route passes.
        Accept = "accept",
        /// The route does not pass.
        Reject = "reject",
        /// The next rule has its say.
        Continue = "continue",
    }, "\"accept\", \"reject\" or \"continue\" in quotes"
);
keyword!(
    /// Where a route came from.
    SourceWord {
        /// This speaker.
        Local = "local",
        /// A peer of another AS.
        External = "external",
        /// A peer of our AS, client or not.
        Internal = "internal",
        /// A client of this reflector.
        Client = "client",
    }, "\"local\", \"external\", \"internal\" or \"client\" in quotes"
);
keyword!(
    /// On which side of the border a session's peer is.
    PeerSide {
        /// Of our AS.
        Internal = "internal",
        /// Of another AS.
        External = "external",
    }, "\"internal\" or \"external\" in quotes"
);
keyword!(
    /// ORIGIN.
    OriginWord {
        /// IGP.
        Igp = "igp",
        /// EGP.
        Egp = "egp",
        /// INCOMPLETE.
        Incomplete = "incomplete",
    }, "\"igp\", \"egp\" or \"incomplete\" in quotes"
);
keyword!(
    /// What origin validation made of a route (RFC 6811).
    Validity {
        /// Nobody looked.
        Unknown = "unknown",
        /// No authorisation covers it.
        NotFound = "not-found",
        /// One matches.
        Valid = "valid",
        /// None matches.
        Invalid = "invalid",
    }, "\"valid\", \"invalid\", \"not-found\" or \"unknown\" in quotes"
);
quoted!(
    /// An address family of routes.
    #[derive(Copy)]
    Family(bgp_speaker::Family), "a family in quotes, such as \"ipv4-unicast\" or \"ipv4-vpn\"", family
);
keyword!(
    /// Next hop of what a peer is told.
    NextHop {
        /// Unchanged to internal peers, our own address to external ones.
        Auto = "auto",
        /// As received.
        Unchanged = "unchanged",
        /// Our own address.
        SelfAlways = "self",
        /// As "auto", but our own address for what external peers told, towards internal ones too.
        SelfForExternal = "self-for-external",
        /// As "auto", but a next hop inside `shared-network` is kept towards external peers.
        ThirdParty = "third-party",
    }, "\"auto\", \"unchanged\", \"self\", \"self-for-external\" or \"third-party\" in quotes"
);
keyword!(
    /// Which nodes have a peer.
    Scope {
        /// This node alone.
        Node = "node",
        /// Every node.
        Global = "global",
    }, "\"node\" or \"global\" in quotes"
);
keyword!(
    /// Which node of a mesh pair dials.
    Dialer {
        /// The numerically higher address.
        Numeric = "numeric",
        /// The address that sorts later as text, as Calico's BIRD nodes expect.
        CalicoString = "calico-string",
    }, "\"numeric\" or \"calico-string\" in quotes"
);
keyword!(
    /// How log lines are written.
    LogFormat {
        /// One readable line for each event.
        Text = "text",
        /// One JSON object for each event.
        Json = "json",
    }, "\"text\" or \"json\" in quotes"
);

impl Family {
    /// The family as messages have it.
    pub(crate) const fn code(self) -> bgp_speaker::Family {
        self.0
    }
}

impl From<SourceWord> for SourceKind {
    fn from(word: SourceWord) -> Self {
        match word {
            SourceWord::Local => Self::Local,
            SourceWord::External => Self::External,
            SourceWord::Internal => Self::Internal,
            SourceWord::Client => Self::Client,
        }
    }
}

impl From<PeerSide> for PeerKind {
    fn from(side: PeerSide) -> Self {
        match side {
            PeerSide::Internal => Self::Internal,
            PeerSide::External => Self::External,
        }
    }
}

impl From<OriginWord> for Origin {
    fn from(word: OriginWord) -> Self {
        match word {
            OriginWord::Igp => Self::Igp,
            OriginWord::Egp => Self::Egp,
            OriginWord::Incomplete => Self::Incomplete,
        }
    }
}

impl From<Validity> for RpkiState {
    fn from(word: Validity) -> Self {
        match word {
            Validity::Unknown => Self::Unknown,
            Validity::NotFound => Self::NotFound,
            Validity::Valid => Self::Valid,
            Validity::Invalid => Self::Invalid,
        }
    }
}

number!(
    /// An AS number (RFC 6793).
    Asn(u32), "an AS number, such as 65000 (without quotes)", asn
);
number!(
    /// A TCP port.
    Port(u16), "a port number from 1 to 65535 (without quotes)", port
);
number!(
    /// A hold time in seconds: 0 or at least 3 (RFC 4271 §4.2).
    HoldTime(u16), "a hold time in seconds, such as 90 (without quotes)", hold_time
);
number!(
    /// A span of time in whole seconds, not zero.
    Seconds(u16), "a number of seconds from 1 to 65535 (without quotes)", seconds
);

number!(
    /// A restart time in seconds: 12 bits on the wire (RFC 4724 §3).
    RestartTime(u16), "a number of seconds from 1 to 4095 (without quotes)", restart_time
);
number!(
    /// How long routes may stay beyond the restart time, in seconds: 24 bits on the wire (RFC 9494 §3.1).
    StaleTime(u32), "a number of seconds from 1 to 16777215 (without quotes)", stale_time
);
keyword!(
    /// Our role in the relation with an external peer (RFC 9234).
    Role {
        /// We sell the way.
        Provider = "provider",
        /// We buy it.
        Customer = "customer",
        /// Neither.
        Peer = "peer",
        /// We serve routes.
        RouteServer = "route-server",
        /// We are served.
        RouteServerClient = "route-server-client",
    },
    "\"provider\", \"customer\", \"peer\", \"route-server\" or \"route-server-client\""
);
keyword!(
    /// What becomes of a peer that tells more than it may.
    LimitAction {
        /// It is told of.
        Warn = "warn",
        /// What is too much is not taken.
        Drop = "drop",
        /// The session ends.
        Stop = "stop",
    },
    "\"warn\", \"drop\" or \"stop\""
);
keyword!(
    /// What becomes of private AS numbers (RFC 6996) in what an external peer is told.
    PrivateAs {
        /// They stay.
        Keep = "keep",
        /// Those in front go.
        RemoveLeading = "remove-leading",
        /// All go.
        Remove = "remove",
        /// Ours stands in place of each.
        Replace = "replace",
    },
    "\"keep\", \"remove-leading\", \"remove\" or \"replace\""
);
keyword!(
    /// What becomes of stale routes when a session is lost again before End-of-RIB.
    ConsecutiveRestarts {
        /// They stay within the time of the first loss (RFC 8538 §4.1).
        Keep = "keep",
        /// They go (RFC 4724 §4.2).
        Delete = "delete",
    },
    "\"keep\" or \"delete\""
);
number!(
    /// How many equal paths of a prefix are used.
    MaxPaths(u16), "a number of paths from 1 on (without quotes)", max_paths
);
number!(
    /// An IP TTL.
    Ttl(u8), "a TTL from 1 to 255 (without quotes)", ttl
);
number!(
    /// How many hops away a peer may be (RFC 5082).
    Hops(u8), "a number of hops from 1 to 255 (without quotes)", hops
);
number!(
    /// How many peers a range may have.
    RangeLimit(u32), "a number of peers from 1 on (without quotes)", range_limit
);

keyword!(
    /// How our AS on a session shows in paths, where it differs from the speaker's.
    LocalAsMode {
        /// Alone, both ways: as if the speaker were of that AS.
        Alone = "alone",
        /// In front of what the peer tells; the speaker's stands behind it in what the peer is told.
        Prepend = "prepend",
        /// Not in what the peer tells; the speaker's stands behind it in what the peer is told.
        NoPrepend = "no-prepend",
        /// In front of what the peer tells; alone in what the peer is told.
        Replace = "replace-as",
    },
    "\"alone\", \"prepend\", \"no-prepend\" or \"replace-as\""
);
keyword!(
    /// A capability that a peer may be asked for.
    Capability {
        /// RFC 6793.
        FourOctetAs = "four-octet-as",
        /// RFC 2918.
        RouteRefresh = "route-refresh",
        /// RFC 7313.
        EnhancedRefresh = "enhanced-refresh",
        /// RFC 8654.
        ExtendedMessage = "extended-message",
        /// RFC 4724.
        GracefulRestart = "graceful-restart",
        /// RFC 7911, in all families.
        AddPath = "add-path",
        /// RFC 8950, in the families of IPv4.
        ExtendedNextHop = "extended-next-hop",
    },
    "a capability: \"four-octet-as\", \"route-refresh\", \"enhanced-refresh\", \"extended-message\", \
     \"graceful-restart\", \"add-path\" or \"extended-next-hop\""
);

/// Which AS a peer may have: a number, some, or any on one side of the border.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PeerAs {
    /// Just this one.
    Exact(u32),
    /// Any of these.
    AnyOf(Vec<u32>),
    /// Our own.
    Internal,
    /// Any but our own.
    External,
    /// Whatever the peer says.
    Any,
}

impl<'de> Deserialize<'de> for PeerAs {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct AsRule;
        impl<'de> Visitor<'de> for AsRule {
            type Value = PeerAs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "an AS number, such as 65000, a list of them, or \"internal\", \"external\" or \"any\"",
                )
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<PeerAs, A::Error> {
                let mut all = Vec::new();
                while let Some(Asn(one)) = list.next_element()? {
                    all.push(one);
                }
                Ok(PeerAs::AnyOf(all))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<PeerAs, E> {
                asn(number).map(PeerAs::Exact).map_err(|(what, mend)| refuse(what, mend))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<PeerAs, E> {
                self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
            }
            fn visit_str<E: Error>(self, word: &str) -> Result<PeerAs, E> {
                match word {
                    "internal" => Ok(PeerAs::Internal),
                    "external" => Ok(PeerAs::External),
                    "any" => Ok(PeerAs::Any),
                    _ if u32::from_str(word).is_ok() => Err(refuse(
                        format_args!("the AS number {word} is in quotes"),
                        format_args!("write it without quotes: {word}"),
                    )),
                    _ => Err(E::unknown_variant(word, &["internal", "external", "any"])),
                }
            }
        }
        from.deserialize_any(AsRule)
    }
}

/// One value in quotes, or a list of such values.
macro_rules! one_or_many {
    ($(#[$doc:meta])* $name:ident of $item:ident($inner:ty), $expected:literal, $parse:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub(crate) enum $name {
            /// `key = "…"`.
            One($item),
            /// `key = ["…", "…"]`.
            Many(Vec<Spanned<$item>>),
        }

        impl $name {
            /// Each value with its place; `whole` is the place of them all.
            pub(crate) fn places(&self, whole: Range<usize>) -> Vec<($inner, Range<usize>)> {
                match self {
                    $name::One(item) => vec![(item.0, whole)],
                    $name::Many(list) => list.iter().map(|item| (item.get_ref().0, item.span())).collect(),
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct List;
                impl<'de> Visitor<'de> for List {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }
                    fn visit_str<E: Error>(self, text: &str) -> Result<$name, E> {
                        $parse(text).map(|one| $name::One($item(one))).map_err(|(what, mend)| refuse(what, mend))
                    }
                    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<$name, A::Error> {
                        let mut list = Vec::new();
                        while let Some(item) = items.next_element()? {
                            list.push(item);
                        }
                        Ok($name::Many(list))
                    }
                }
                from.deserialize_any(List)
            }
        }
    };
}

one_or_many!(
    /// The addresses to listen on.
    ListenList of Listen(SocketAddr),
    "an address with a port in quotes, such as \"10.0.0.1:179\", or a list of them", listen
);
one_or_many!(
    /// The addresses of a mesh node.
    AddressList of Address(IpAddr),
    "an IP address in quotes, such as \"10.0.0.2\", or a list of two: one IPv4, one IPv6", address
);
