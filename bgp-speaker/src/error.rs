//! What a caller can do wrong, and what can keep a speaker from starting. Every message says the mend.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bgp_wire::Family;
use ipnet::IpNet;

use crate::config::{MAX_ORIGINATED_PER_CALL, MAX_VRPS, MIN_HOLD_TIME};
use crate::kernel::{ConfigError, FibError};
use crate::peer_address::PeerAddress;

/// Why a call on a [`Speaker`](crate::Speaker) was refused. Nothing was changed when one of these comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpeakerError {
    /// A hold time of one or two seconds, or above 65535 (RFC 4271 §4.2).
    HoldTime(Duration),
    /// A keepalive interval of zero or not below the hold time (RFC 4271 §10).
    KeepaliveTime {
        /// The interval that was asked for.
        keepalive: Duration,
        /// The hold time it has to stay below.
        hold: Duration,
    },
    /// A timer that must run was set to zero.
    ZeroTimer(&'static str),
    /// AS 0 and AS_TRANS cannot be this speaker's.
    ReservedAsn(u32),
    /// The BGP identifier is zero.
    ZeroRouterId,
    /// Port 0 cannot be dialled.
    ZeroPort(IpAddr),
    /// An unspecified, multicast or broadcast address cannot be a peer, nor an IPv4 address in the form of IPv6.
    NotAPeerAddress(IpAddr),
    /// The peer is this speaker itself.
    OwnAddress(IpAddr),
    /// AS 0 is reserved (RFC 7607).
    ZeroAsn(IpAddr),
    /// AS 0 stands in the path of a route that is to be originated (RFC 7607).
    ZeroAsnInPath(IpNet),
    /// A peer with this address is already there.
    DuplicatePeer(PeerAddress),
    /// A listen range with this prefix is already there.
    DuplicateRange(IpNet),
    /// No such peer.
    UnknownPeer(PeerAddress),
    /// The peer has no session that is up.
    NotEstablished(PeerAddress),
    /// The peer did not announce route refresh (RFC 2918): it cannot be asked for its routes again.
    NoRouteRefresh(PeerAddress),
    /// Nothing is written to the kernel.
    NoKernel,
    /// No such listen range.
    UnknownRange(IpNet),
    /// A peer of another AS cannot be a route-reflector client (RFC 4456 §2).
    ExternalClient(IpAddr),
    /// The source address is of another family than the peer.
    SourceFamily {
        /// The peer.
        peer: IpAddr,
        /// The source address that was asked for.
        source: IpAddr,
    },
    /// TTL 0 reaches nobody.
    ZeroTtl(IpAddr),
    /// A peer that may be zero hops away is nowhere.
    ZeroHops(IpAddr),
    /// A TTL of our choice and TTL security (RFC 5082), which needs 255, exclude each other.
    TtlTwice(IpAddr),
    /// A session is signed with a password or with TCP-AO keys (RFC 5925 §9.2), not with both.
    SignedTwice(IpAddr),
    /// A peer without a role is to be refused, and there is no role of ours (RFC 9234 §4.2).
    StrictWithoutRole(IpAddr),
    /// Two TCP-AO keys of a session have the same id in one direction (RFC 5925 §3.1).
    AoKeyIds {
        /// The peer.
        peer: IpAddr,
        /// The send id of the second one.
        send_id: u8,
        /// The receive id of the second one.
        recv_id: u8,
    },
    /// This cannot be the name of an interface.
    InterfaceName {
        /// The peer.
        peer: IpAddr,
        /// The name that was given.
        name: String,
    },
    /// A link-local address says nothing without its interface.
    NoInterface(IpAddr),
    /// More payloads of origin validation than are kept.
    TooManyVrps(usize),
    /// The settings of the kernel export cannot work.
    Kernel(ConfigError),
    /// A peer without an address family exchanges no routes.
    NoFamilies(IpAddr),
    /// Long-lived graceful restart builds on graceful restart (RFC 9494 §3.1).
    LongLivedAlone(IpAddr),
    /// What is required of the peer must be offered to it.
    RequiredFamily {
        /// The peer.
        peer: IpAddr,
        /// The family that is required and not offered.
        family: Family,
    },
    /// The node list of a mesh does not name this node.
    NotInMesh,
    /// Two nodes of a mesh have the same address.
    DuplicateNode(IpAddr),
    /// A next hop of another family than its prefix.
    NextHopFamily {
        /// The route.
        prefix: IpNet,
        /// Its next hop.
        next_hop: IpAddr,
    },
    /// An unspecified, multicast or broadcast address cannot be a next hop.
    NotANextHop {
        /// The route.
        prefix: IpNet,
        /// Its next hop.
        next_hop: IpAddr,
    },
    /// `OwnerId(u32::MAX)` is who originates what is learned from the kernel.
    ReservedOwner,
    /// Too many routes in one call.
    TooManyRoutes(usize),
    /// The speaker has been shut down.
    Stopped,
}

impl fmt::Display for SpeakerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HoldTime(t) => write!(
                f,
                "hold time {} s is not allowed: use 0 (off) or {} to 65535 s",
                t.as_secs_f64(),
                MIN_HOLD_TIME.as_secs()
            ),
            Self::ReservedAsn(asn) => write!(f, "AS {asn} is reserved: give this speaker a real AS number"),
            Self::ZeroRouterId => {
                f.write_str("the BGP identifier must not be 0.0.0.0: use an IPv4 address of this speaker")
            }
            Self::KeepaliveTime { keepalive, hold } => write!(
                f,
                "keepalive interval {} s does not fit hold time {} s: leave it out for a third of the hold time",
                keepalive.as_secs_f64(),
                hold.as_secs_f64()
            ),
            Self::ZeroTimer(name) => write!(f, "{name} is zero: give it at least a second"),
            Self::ZeroPort(peer) => write!(f, "peer {peer} has port 0: use 179 or the port it listens on"),
            Self::NotAPeerAddress(a) if a.to_canonical() != *a => {
                write!(f, "{a} cannot be a peer: write it as {}", a.to_canonical())
            }
            Self::NotAPeerAddress(a) => write!(f, "{a} cannot be a peer: give the address of one host"),
            Self::OwnAddress(a) => {
                write!(f, "{a} is an address of this speaker: a speaker does not peer with itself")
            }
            Self::ZeroAsn(peer) => {
                write!(f, "peer {peer} has AS 0, which is reserved: give its real AS number")
            }
            Self::ZeroAsnInPath(prefix) => {
                write!(f, "AS 0 stands in the path of {prefix}: leave it out")
            }
            Self::DuplicatePeer(a) => write!(f, "peer {a} exists already: remove it first"),
            Self::DuplicateRange(p) => write!(f, "listen range {p} exists already: remove it first"),
            Self::UnknownPeer(a) => write!(f, "there is no peer {a}: see status() for those that exist"),
            Self::NotEstablished(a) => write!(f, "the session with {a} is not up"),
            Self::NoRouteRefresh(a) => {
                write!(
                    f,
                    "{a} cannot be asked for its routes again (no route refresh, RFC 2918): reset the session instead"
                )
            }
            Self::NoKernel => f.write_str("nothing is written to the kernel: configure the kernel export"),
            Self::UnknownRange(p) => write!(f, "there is no listen range {p}"),
            Self::ExternalClient(peer) => write!(
                f,
                "peer {peer} cannot be a route-reflector client: clients are of our own AS (RFC 4456); \
                 drop the client flag or correct its AS"
            ),
            Self::SourceFamily { peer, source } => {
                write!(f, "source address {source} cannot reach peer {peer}: both must be IPv4 or both IPv6")
            }
            Self::ZeroTtl(peer) => write!(f, "TTL 0 does not reach peer {peer}: use 1 to 255"),
            Self::ZeroHops(peer) => {
                write!(
                    f,
                    "peer {peer} cannot be 0 hops away: TTL security takes 1 (a direct neighbour) to 255"
                )
            }
            Self::TtlTwice(peer) => write!(
                f,
                "peer {peer} has both a TTL and TTL security, which sends with 255 (RFC 5082): drop one of the two"
            ),
            Self::StrictWithoutRole(peer) => {
                write!(
                    f,
                    "peer {peer} is to have a role and we have none: set options.role, or role_strict = false"
                )
            }
            Self::SignedTwice(peer) => {
                write!(f, "peer {peer} has both a password (TCP-MD5) and TCP-AO keys: drop one of the two")
            }
            Self::AoKeyIds { peer, send_id, recv_id } => write!(
                f,
                "peer {peer}: the TCP-AO key with send id {send_id} and receive id {recv_id} shares one of them with another \
                 key: give each its own"
            ),
            Self::InterfaceName { peer, name } => write!(
                f,
                "peer {peer}: {name:?} cannot be the name of an interface: give one such as eth0, of at most 15 letters"
            ),
            Self::NoInterface(peer) => write!(
                f,
                "{peer} is a link-local address: name the interface that the peer is behind (PeerConfig::interface)"
            ),
            Self::TooManyVrps(n) => {
                write!(f, "{n} payloads of origin validation are too many: give at most {MAX_VRPS}")
            }
            Self::Kernel(error) => write!(f, "kernel export: {error}"),
            Self::NoFamilies(peer) => {
                write!(f, "peer {peer} has no address family: leave the list out or name one")
            }
            Self::LongLivedAlone(peer) => write!(
                f,
                "peer {peer} has long-lived graceful restart without graceful restart: turn that on as well"
            ),
            Self::RequiredFamily { peer, family } => write!(
                f,
                "peer {peer} is required to have {family}, which is not offered to it: add it to the families"
            ),
            Self::NotInMesh => f.write_str(
                "the node list does not contain this node: list it with its own address, \
                 and listen on that address or name it with Builder::local_address",
            ),
            Self::DuplicateNode(a) => write!(f, "two nodes of the mesh have address {a}: give each its own"),
            Self::NextHopFamily { prefix, next_hop } => {
                write!(f, "next hop {next_hop} does not fit {prefix}: use one of the prefix's own family")
            }
            Self::NotANextHop { prefix, next_hop } => {
                write!(
                    f,
                    "{next_hop} cannot be the next hop of {prefix}: give the address of one host, or none for our own"
                )
            }
            Self::ReservedOwner => write!(
                f,
                "owner {} originates what is learned from the kernel: give routes another owner",
                u32::MAX
            ),
            Self::TooManyRoutes(n) => {
                write!(
                    f,
                    "{n} routes in one call are too many: announce at most {MAX_ORIGINATED_PER_CALL} at once"
                )
            }
            Self::Stopped => f.write_str("the speaker has been shut down: start a new one"),
        }
    }
}

impl std::error::Error for SpeakerError {}

/// Why a speaker did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// AS 0 (RFC 7607) or AS_TRANS 23456 (RFC 6793 §3).
    ReservedAsn(u32),
    /// Router id 0.0.0.0 (RFC 6286 §2.1).
    ZeroRouterId,
    /// A listening socket could not be opened.
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The kernel's routing table cannot be written.
    Kernel(FibError),
    /// A default for all peers is out of range.
    Config(SpeakerError),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedAsn(asn) => write!(f, "AS {asn} is reserved: give this speaker a real AS number"),
            Self::ZeroRouterId => f.write_str(
                "router id 0.0.0.0 is not allowed: use an IPv4 address of this node, or any unique number",
            ),
            Self::Listen { address, source } => {
                write!(f, "cannot listen on {address}: {source}; {}", listen_mend(*address, source))
            }
            Self::Kernel(source) => write!(f, "kernel export: {source}"),
            Self::Config(error) => error.fmt(f),
        }
    }
}

pub(crate) fn listen_mend(address: SocketAddr, source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::PermissionDenied if address.port() < 1024 => {
            "run as root, give the program CAP_NET_BIND_SERVICE, or use a port above 1023".into()
        }
        io::ErrorKind::AddrInUse => {
            "another BGP speaker holds this port: stop it, or choose another address or port".into()
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("no interface of this machine has {}: use one that it has, or the wildcard", address.ip())
        }
        _ => "check the address and the port".into(),
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen { source, .. } => Some(source),
            Self::Kernel(source) => Some(source),
            Self::Config(error) => Some(error),
            Self::ReservedAsn(_) | Self::ZeroRouterId => None,
        }
    }
}

impl From<SpeakerError> for StartError {
    fn from(error: SpeakerError) -> Self {
        Self::Config(error)
    }
}
