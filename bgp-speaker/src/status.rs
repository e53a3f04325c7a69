//! What a speaker says about itself: plain values, a snapshot that waits for nobody.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bgp_fsm::{Bfd, PeerAs, State};
use bgp_rib::{LimitAction, LimitEvent, LimitLevel, Limited, OwnerId};
use bgp_wire::{Asn, ClusterId, Family, FamilySet, Role, RouterId};

use ipnet::IpNet;

use crate::config::PeerClass;
use crate::kernel::FollowerStatus;
use crate::lateness::KeepaliveLateness;
use crate::peer_address::PeerAddress;
use crate::turns::TurnTimes;

/// A speaker at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// What the program calls itself; see [`Builder::version`](crate::Builder::version).
    pub version: String,
    /// Our AS.
    pub asn: Asn,
    /// Our BGP identifier.
    pub router_id: RouterId,
    /// Our cluster, if we reflect routes.
    pub cluster_id: Option<ClusterId>,
    /// When the speaker started.
    pub started: SystemTime,
    /// For how long it has run.
    pub uptime: Duration,
    /// When a peer or a listen range last came, changed or went by configuration; the start at first.
    pub reconfigured: SystemTime,
    /// Where it listens, with the real ports.
    pub listen: Vec<SocketAddr>,
    /// Where it is to listen and cannot, and why; it is tried again every few seconds.
    pub not_listening: Vec<(SocketAddr, String)>,
    /// Its peers, ordered by address.
    pub peers: Vec<PeerStatus>,
    /// A move from a mesh to reflectors or back that is not over.
    pub migration: Option<MigrationStatus>,
    /// Owners that are not [`ready`](crate::Speaker::ready): nothing of theirs is told.
    pub not_ready: Vec<OwnerId>,
    /// Its listen ranges, ordered by prefix.
    pub ranges: Vec<RangeStatus>,
    /// Connections from addresses that no peer and no range has.
    pub strangers: u64,
    /// How late our keepalives went out.
    pub keepalive_lateness: KeepaliveLateness,
    /// How long the turns of the tables took.
    pub turns: TurnTimes,
    /// Segments that the system dropped for their signature, where something is signed and Linux counts them.
    pub signatures: Option<SignatureFailures>,
    /// The table.
    pub table: TableStatus,
    /// What is known of origin validation; `None` while nobody has told.
    pub vrps: Option<VrpStatus>,
    /// The kernel follower, if routes are exported.
    pub kernel: Option<Arc<FollowerStatus>>,
}

/// A move from a mesh to reflectors or back: old peers stay until new ones have told their tables, and as long as none has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Peers that stay for now. [`Speaker::remove_peer`](crate::Speaker::remove_peer) lets one go that is wanted no more.
    pub staying: Vec<PeerAddress>,
    /// Peers that have not told their tables.
    pub awaited: Vec<PeerAddress>,
    /// It takes longer than it should: no new peer has told its table.
    pub held: bool,
    /// Nobody else tells some of what the old peers tell.
    pub needed: bool,
}

/// The payloads of origin validation (RFC 6811) at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VrpStatus {
    /// For IPv4 prefixes.
    pub ipv4: usize,
    /// For IPv6 prefixes.
    pub ipv6: usize,
    /// Passed over: their greatest length is shorter than their prefix, or longer than an address.
    pub passed_over: usize,
    /// When they last changed.
    pub changed: SystemTime,
}

/// One listen range at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeStatus {
    /// The addresses from which peers may come.
    pub prefix: IpNet,
    /// How its peers are named.
    pub class: PeerClass,
    /// The AS that they must be of.
    pub configured_as: PeerAs,
    /// They are clients of this route reflector.
    pub reflector_client: bool,
    /// How many there are now.
    pub peers: usize,
    /// How many there may be.
    pub limit: usize,
    /// Connections that were turned away because it was full, or its password or keys were not in use.
    pub refused: u64,
    /// Why its password or keys are not in use, and no connection is taken.
    pub trouble: Option<String>,
}

/// Segments that Linux dropped since its start, in the whole network namespace: for those of other programs as well, so that a
/// number that grows is the sign.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SignatureFailures {
    /// Signed with another password (TCP-MD5), `TCPMD5Failure`.
    pub md5_wrong: u64,
    /// Not signed where a password was expected, `TCPMD5NotFound`.
    pub md5_missing: u64,
    /// Signed where no password was expected, `TCPMD5Unexpected`.
    pub md5_unexpected: u64,
    /// Signed with another secret (TCP-AO), `TCPAOBad`.
    pub ao_wrong: u64,
    /// Signed with a key that is not known, `TCPAOKeyNotFound`.
    pub ao_unknown_key: u64,
    /// Not signed where keys were expected, `TCPAORequired`.
    pub ao_missing: u64,
}

/// How much the table holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TableStatus {
    /// Prefixes with a route.
    pub prefixes: u64,
    /// Paths to them.
    pub paths: u64,
}

/// One peer at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerStatus {
    /// Its address.
    pub address: IpAddr,
    /// The interface that it is behind, if the address is link-local.
    pub interface: Option<String>,
    /// The port that we dial.
    pub port: u16,
    /// Where it comes from.
    pub class: PeerClass,
    /// A client of this route reflector.
    pub reflector_client: bool,
    /// We wait for it to connect.
    pub passive: bool,
    /// Our AS on this session.
    pub local_as: Asn,
    /// The AS that it must be of.
    pub configured_as: PeerAs,
    /// The AS that it is of, once it has said so.
    pub asn: Option<Asn>,
    /// Its BGP identifier, once it has said so.
    pub router_id: Option<RouterId>,
    /// The state of the session.
    pub state: State,
    /// Since when it is in this state.
    pub since: SystemTime,
    /// The same as a duration.
    pub in_state: Duration,
    /// State and last error in words, as `calicoctl node status` shows it; says so when RFC 8212 holds routes back.
    pub info: String,
    /// Why the session last ended or failed to come up.
    pub last_error: Option<String>,
    /// It is held down after a limit, or drained: for how long, in words.
    pub held: Option<String>,
    /// The NOTIFICATION that was sent or received last, whatever came after it.
    pub last_notification: Option<NotificationStatus>,
    /// How often it has been Established.
    pub established: u64,
    /// What was negotiated, while Established.
    pub negotiated: Option<NegotiatedStatus>,
    /// Messages received.
    pub received: MessageCounters,
    /// Messages sent.
    pub sent: MessageCounters,
    /// Routes.
    pub prefixes: PrefixCounters,
    /// What it has not been told yet.
    pub backlog: Backlog,
    /// Until when the routes of the session that ended are kept for its return (RFC 4724, RFC 9494);
    /// [`PrefixCounters::stale`] says how many.
    pub kept_until: Option<SystemTime>,
    /// What BFD said last, if it was told.
    pub bfd: Option<Bfd>,
    /// Its limits while the session is up; of one that ended, those that were nearly reached or passed.
    pub limits: Vec<LimitStatus>,
}

/// A NOTIFICATION that ended or refused a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotificationStatus {
    /// We sent it; otherwise the peer did.
    pub sent: bool,
    /// When.
    pub at: SystemTime,
    /// Its code (RFC 4271 §4.5).
    pub code: u8,
    /// Its subcode.
    pub subcode: u8,
    /// Both in words, with what the sender had to say (RFC 9003).
    pub text: String,
}

/// What a peer has not been told yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Octets that its socket does not take.
    pub octets: u64,
    /// For how long the oldest of them have waited.
    pub oldest: Option<Duration>,
    /// Changes of the tables that it is behind, at most: some may be none of its business.
    pub changes: u64,
}

/// Sessions of one address family, as `calicoctl node status` counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionCount {
    /// In Established.
    pub established: usize,
    /// In another state.
    pub not_established: usize,
}

/// A limit of a peer, and how far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitStatus {
    /// What is counted.
    pub what: Limited,
    /// In which family; `None` for memory.
    pub family: Option<Family>,
    /// How far it is.
    pub level: LimitLevel,
    /// How many there are, or octets; in an event, when it came to this level.
    pub count: u64,
    /// How many may be.
    pub max: u64,
    /// What is done about more.
    pub action: LimitAction,
    /// Routes that are not stored, take no part, or are not told for it.
    pub held_out: u32,
}

impl LimitStatus {
    pub(crate) fn of(event: LimitEvent) -> Self {
        let LimitEvent { what, family, level, count, limit, held_out, .. } = event;
        Self { what, family, level, count, max: limit.max, action: limit.action, held_out }
    }
}

/// What both ends agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NegotiatedStatus {
    /// Our end of the connection.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
    /// Address families.
    pub families: FamilySet,
    /// Hold time; zero is off.
    pub hold_time: Duration,
    /// Time between keepalives; zero is off.
    pub keepalive: Duration,
    /// Both ends know four-octet AS numbers (RFC 6793).
    pub four_octet_as: bool,
    /// Messages up to 65535 octets (RFC 8654).
    pub extended_message: bool,
    /// The peer understands route refresh (RFC 2918).
    pub route_refresh: bool,
    /// Both mark begin and end of a refresh (RFC 7313).
    pub enhanced_refresh: bool,
    /// Families in which the peer sends several paths of a prefix (RFC 7911).
    pub add_path_receive: FamilySet,
    /// Families in which the peer takes several paths of a prefix (RFC 7911).
    pub add_path_send: FamilySet,
    /// Families of IPv4 routes that may have an IPv6 next hop (RFC 8950).
    pub extended_next_hop: FamilySet,
    /// The peer's role (RFC 9234).
    pub peer_role: Option<Role>,
    /// The restart time that the peer advertised (RFC 4724).
    pub graceful_restart: Option<Duration>,
    /// Both keep routes over a NOTIFICATION (RFC 8538).
    pub notification_restart: bool,
    /// For how long routes may stay beyond the restart time (RFC 9494), by family.
    pub long_lived: Vec<(Family, Duration)>,
}

/// Messages by type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MessageCounters {
    /// OPEN.
    pub open: u64,
    /// UPDATE.
    pub update: u64,
    /// NOTIFICATION.
    pub notification: u64,
    /// KEEPALIVE.
    pub keepalive: u64,
    /// ROUTE-REFRESH.
    pub refresh: u64,
    /// Octets of all of them.
    pub octets: u64,
}

impl MessageCounters {
    /// All messages.
    pub fn total(&self) -> u64 {
        self.open + self.update + self.notification + self.keepalive + self.refresh
    }
}

/// Routes of one peer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PrefixCounters {
    /// In its Adj-RIB-In.
    pub received: u64,
    /// Of these, eligible for the table.
    pub accepted: u64,
    /// Of those received, rejected by import policy, or by an external session without one (RFC 8212).
    pub import_rejected: u64,
    /// That it has been told.
    pub advertised: u64,
    /// Of the best routes, those that export policy keeps from it, its own among them.
    pub export_rejected: u64,
    /// That a limit keeps out: not stored, or without a part in the decision.
    pub held_out: u64,
    /// That it is not told because a limit says how much it may be told.
    pub withheld: u64,
    /// Of those in its Adj-RIB-In, what a session that ended left behind.
    pub stale: u64,
}

impl PeerStatus {
    /// What the peer is called everywhere else.
    pub fn at(&self) -> PeerAddress {
        PeerAddress::behind(self.address, self.interface.as_deref().unwrap_or_default())
    }
}

impl Status {
    /// The peer at this address.
    pub fn peer(&self, address: impl Into<PeerAddress>) -> Option<&PeerStatus> {
        let address = address.into();
        self.peers.iter().find(|p| address.names(p.at()))
    }

    /// Sessions over IPv4, by whether they are Established; see [`Status::ipv6_sessions`] for the others.
    pub fn ipv4_sessions(&self) -> SessionCount {
        self.sessions(IpAddr::is_ipv4)
    }

    /// Sessions over IPv6, by whether they are Established.
    pub fn ipv6_sessions(&self) -> SessionCount {
        self.sessions(IpAddr::is_ipv6)
    }

    fn sessions(&self, of_family: fn(&IpAddr) -> bool) -> SessionCount {
        let mut count = SessionCount::default();
        for peer in self.peers.iter().filter(|peer| of_family(&peer.address)) {
            match peer.state {
                State::Established => count.established += 1,
                _ => count.not_established += 1,
            }
        }
        count
    }

    /// How many sessions are Established.
    pub fn established(&self) -> usize {
        self.peers.iter().filter(|p| p.state == State::Established).count()
    }
}
