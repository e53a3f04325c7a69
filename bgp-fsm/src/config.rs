//! What the operator decides about one session.

use core::time::Duration;

use bgp_wire::{
    AddPathMode, Afi, Asn, Capability, Family, FamilySet, GracefulRestart, LongLivedFamily, Role, RouterId,
};

/// Which autonomous systems the peer may say it is of (RFC 4271 §6.2, Bad Peer AS).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerAs {
    /// Just this one.
    Exact(Asn),
    /// Any of these.
    AnyOf(Vec<Asn>),
    /// The session's own: an internal peer.
    Internal,
    /// Any but the session's own: an external peer.
    External,
    /// Any at all.
    Any,
}

impl PeerAs {
    /// Whether a peer of `asn` is welcome on a session that is itself of `local`.
    pub fn admits(&self, local: Asn, asn: Asn) -> bool {
        match self {
            Self::Exact(wanted) => *wanted == asn,
            Self::AnyOf(wanted) => wanted.contains(&asn),
            Self::Internal => asn == local,
            Self::External => asn != local,
            Self::Any => true,
        }
    }
}

impl From<Asn> for PeerAs {
    fn from(asn: Asn) -> Self {
        Self::Exact(asn)
    }
}

/// How long a session stays in Idle after a failure (DampPeerOscillations, RFC 4271 §8.1.1).
///
/// The first failure waits `min`; each further one twice as long, up to `max`. Each `forgive` that the session
/// spent in Established takes one failure off the count. Every delay is jittered to 75–100 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdleHold {
    /// The wait after a first failure.
    pub min: Duration,
    /// The longest wait.
    pub max: Duration,
    /// Time in Established that makes up for one failure.
    pub forgive: Duration,
    /// Failures in a row after which a peer that connects itself is still let in while we wait; with one more it is held
    /// off as well, for as long as we wait, but no longer than the time between attempts to connect.
    pub tolerated: u32,
}

impl Default for IdleHold {
    /// 1 s, doubling up to 60 s; a minute of Established forgives one failure; eight failures are tolerated: a router that
    /// is being set up, or restarts with some trouble, is not to meet silence.
    fn default() -> Self {
        Self {
            min: Duration::from_secs(1),
            max: Duration::from_secs(60),
            forgive: Duration::from_secs(60),
            tolerated: 8,
        }
    }
}

/// What the peer must have announced for the session to be accepted; otherwise it is refused with
/// OPEN Message Error / Unsupported Capability (RFC 5492 §5) that carries what is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Required {
    /// Address families that must be negotiated.
    pub families: FamilySet,
    /// Four-octet AS numbers (RFC 6793).
    pub four_octet_as: bool,
    /// Route refresh (RFC 2918).
    pub route_refresh: bool,
    /// Extended messages (RFC 8654).
    pub extended_message: bool,
    /// Enhanced route refresh (RFC 7313).
    pub enhanced_refresh: bool,
    /// Graceful restart (RFC 4724).
    pub graceful_restart: bool,
    /// Families in which ADD-PATH must be agreed on, in every direction that we announce (RFC 7911).
    pub add_path: FamilySet,
    /// Families that must be free to have a next hop of another address family (RFC 8950).
    pub extended_next_hop: FamilySet,
}

/// Everything about one session that does not change while it runs. Share it by `Arc`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionConfig {
    /// Our AS on this session.
    pub local_as: Asn,
    /// Our BGP Identifier (RFC 6286).
    pub router_id: RouterId,
    /// Whom we accept.
    pub peer_as: PeerAs,
    /// Never dial (PassiveTcpEstablishment). Default: off.
    pub passive: bool,
    /// The Hold Time we propose; zero turns keepalives and Hold off. 1 and 2 s are not lawful (RFC 4271 §4.2)
    /// and are sent as 3 s. Default: 90 s.
    pub hold_time: Duration,
    /// Time between keepalives; never longer than a third of the negotiated Hold Time. Default: that third.
    pub keepalive: Option<Duration>,
    /// How long a connection may take from accepted or connected to an OPEN of the peer (the "large value" of
    /// RFC 4271 §8.2.2). Default: 240 s.
    pub open_hold_time: Duration,
    /// Time between attempts to connect; also how long one attempt may take. Default: 5 s.
    pub connect_retry: Duration,
    /// Waiting in Idle after failures.
    pub idle_hold: IdleHold,
    /// Wait this long for the peer's OPEN before sending ours (DelayOpen). Default: no wait.
    pub delay_open: Option<Duration>,
    /// How long a peer may take no bytes at all while we have some for it (RFC 9687). Default: 8 minutes or
    /// twice the Hold Time, whichever is longer. Zero turns it off, and so does a negotiated Hold Time of zero.
    pub send_hold: Option<Duration>,
    /// Let collision resolution end an Established connection (CollisionDetectEstablishedState). Default: off.
    pub collision_detect_established: bool,
    /// How long a peer whose BGP Identifier wins is awaited to choose between its connection and ours, before we are
    /// Established on ours or close it; also for how long after Established a late connection of it is not answered. It is
    /// to be long against a round trip. Zero: both ends decide by themselves (RFC 4271 §6.8), and may each close what
    /// the other keeps. Default: 1 s.
    pub collision_wait: Duration,
    /// Families we announce. Default: IPv4 unicast.
    pub families: FamilySet,
    /// What we need of the peer.
    pub required: Required,
    /// Four-octet AS numbers (RFC 6793). Default: on.
    pub four_octet_as: bool,
    /// ADD-PATH per family, as we wish it (RFC 7911). Default: none.
    pub add_path: Vec<(Family, AddPathMode)>,
    /// Extended messages (RFC 8654). Default: on.
    pub extended_message: bool,
    /// Route refresh (RFC 2918). Default: on.
    pub route_refresh: bool,
    /// Enhanced route refresh (RFC 7313). Default: on.
    pub enhanced_refresh: bool,
    /// Families whose NLRI may have a next hop of another address family (RFC 8950). Default: none.
    pub extended_next_hop: Vec<(Family, Afi)>,
    /// Graceful restart as we announce it (RFC 4724; `notification` is the N bit of RFC 8538). With no families
    /// in it we only help a peer that restarts. `None`: neither. Forwarding state is announced on every OPEN while it
    /// is preserved; `restarting` only until the first tables are exchanged, then [`Session::configure`] takes it back.
    /// Default: help, 120 s, N bit set.
    ///
    /// [`Session::configure`]: crate::Session::configure
    pub graceful_restart: Option<GracefulRestart>,
    /// Long-lived graceful restart as we announce it (RFC 9494), which needs `graceful_restart` beside it. An empty list
    /// only helps a peer that restarts. Default: neither.
    pub long_lived: Option<Vec<LongLivedFamily>>,
    /// The most paths of a prefix that we wish to be sent, per family with ADD-PATH
    /// (draft-abraitis-idr-addpath-paths-limit). Default: no limit.
    pub paths_limit: Vec<(Family, u16)>,
    /// An external peer belongs to the same administration and segment routing domain; see
    /// [`Codec::same_domain`](bgp_wire::Codec::same_domain). No message says so. Default: off.
    pub same_domain: bool,
    /// No session before BFD says that the peer can be reached (RFC 5882 §4.1), unless BFD is taken out of service
    /// ([`Bfd::AdminDown`](crate::Bfd)). Default: off.
    pub bfd_strict: bool,
    /// Our role in the relation with an external peer (RFC 9234). Default: none.
    pub role: Option<Role>,
    /// Refuse an external peer that announces no role (RFC 9234 §4.2 strict mode). Default: off.
    pub role_strict: bool,
    /// Capabilities to announce beside those that follow from the fields above.
    pub extra_capabilities: Vec<Capability>,
}

impl SessionConfig {
    /// A session of `local_as` and `router_id` with a peer of `peer_as`, all else as documented at the fields.
    pub fn new(local_as: Asn, router_id: RouterId, peer_as: PeerAs) -> Self {
        Self {
            local_as,
            router_id,
            peer_as,
            passive: false,
            hold_time: Duration::from_secs(90),
            keepalive: None,
            open_hold_time: Duration::from_secs(240),
            connect_retry: Duration::from_secs(5),
            idle_hold: IdleHold::default(),
            delay_open: None,
            send_hold: None,
            collision_detect_established: false,
            collision_wait: Duration::from_secs(1),
            families: FamilySet::of(&[Family::IPV4_UNICAST]),
            required: Required::default(),
            four_octet_as: true,
            add_path: Vec::new(),
            extended_message: true,
            route_refresh: true,
            enhanced_refresh: true,
            extended_next_hop: Vec::new(),
            graceful_restart: Some(GracefulRestart {
                restarting: false,
                notification: true,
                time: 120,
                families: Vec::new(),
            }),
            long_lived: None,
            paths_limit: Vec::new(),
            same_domain: false,
            bfd_strict: false,
            role: None,
            role_strict: false,
            extra_capabilities: Vec::new(),
        }
    }
}
