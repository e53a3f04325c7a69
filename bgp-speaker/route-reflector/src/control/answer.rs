//! What the control socket answers, as JSON: the one shape that `curl`, `--json` and the tables share.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// `POST /clear`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Cleared {
    pub(crate) peer: String,
    /// It was held down.
    pub(crate) held: bool,
}

/// `POST /reset`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct ResetDone {
    pub(crate) peer: String,
    /// "hard", "soft", "soft-in" or "soft-out".
    pub(crate) mode: String,
}

/// `POST /bfd`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct BfdTold {
    pub(crate) peer: String,
    /// "up", "down", "down-independent" or "admin-down".
    pub(crate) state: String,
}

/// A line of `POST /dry-run`: a destination of which the peer would be told something else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Difference {
    pub(crate) prefix: String,
    /// The identifier of the path, where the peer is told several.
    pub(crate) path_id: u32,
    /// What it is told by the policy in force.
    pub(crate) now: Export,
    /// What it would be told.
    pub(crate) then: Export,
}

/// What a peer is told of a destination.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Export {
    pub(crate) told: bool,
    /// The rule that holds the route back; nothing where it is told.
    pub(crate) held_back: Option<String>,
    pub(crate) next_hop: Option<String>,
    pub(crate) as_path: Option<String>,
    pub(crate) local_pref: Option<u32>,
    pub(crate) med: Option<u32>,
    pub(crate) communities: Vec<String>,
    pub(crate) large_communities: Vec<String>,
}

/// A move from a mesh to reflectors or back that is not over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Migration {
    /// Peers that stay for now.
    pub(crate) staying: Vec<String>,
    /// Peers that have not told their tables.
    pub(crate) awaited: Vec<String>,
    /// No new peer has told its table, for longer than it should take.
    pub(crate) held: bool,
    /// Nobody else tells some of what the old peers tell.
    pub(crate) needed: bool,
}

/// `GET /status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Status {
    pub(crate) version: String,
    pub(crate) asn: u32,
    pub(crate) router_id: String,
    pub(crate) cluster_id: Option<String>,
    /// RFC 3339, as all times here.
    pub(crate) started: String,
    pub(crate) uptime_seconds: u64,
    /// When a peer or range last came, changed or went by configuration.
    pub(crate) reconfigured: String,
    /// Sessions over IPv4 and over IPv6.
    pub(crate) ipv4_sessions: Sessions,
    pub(crate) ipv6_sessions: Sessions,
    pub(crate) listen: Vec<SocketAddr>,
    /// Where it is to listen and cannot.
    pub(crate) not_listening: Vec<NotListening>,
    pub(crate) peers: Vec<Peer>,
    pub(crate) migration: Option<Migration>,
    pub(crate) ranges: Vec<Range>,
    /// Connections from addresses that no peer and no range has.
    pub(crate) strangers: u64,
    pub(crate) signature_failures: Option<SignatureFailures>,
    pub(crate) keepalive_lateness: Lateness,
    pub(crate) prefixes: u64,
    pub(crate) paths: u64,
    /// Origin validation, once there is word of it.
    pub(crate) rpki: Option<Rpki>,
    pub(crate) kernel: Option<Kernel>,
}

/// A listener that cannot be opened; it is tried again every few seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct NotListening {
    pub(crate) address: SocketAddr,
    /// What stands against it, and the mend.
    pub(crate) why: String,
}

/// How late keepalives went out since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Lateness {
    /// How many there were.
    pub(crate) keepalives: u64,
    /// Half of them were no later, to a quarter of it.
    pub(crate) median_microseconds: u64,
    /// All but one in a thousand were no later, to a quarter of it.
    pub(crate) p999_microseconds: u64,
    /// The latest.
    pub(crate) max_microseconds: u64,
}

/// Sessions of one address family.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Sessions {
    pub(crate) established: usize,
    pub(crate) not_established: usize,
}

/// One neighbor range.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Range {
    pub(crate) prefix: IpNet,
    pub(crate) peer_type: String,
    /// The AS that its peers must be of.
    pub(crate) configured_as: String,
    pub(crate) reflector_client: bool,
    /// How many peers there are through it, and how many there may be.
    pub(crate) peers: u64,
    pub(crate) limit: u64,
    /// Connections that were turned away.
    pub(crate) refused: u64,
    /// Why it takes no connection.
    pub(crate) trouble: Option<String>,
}

/// Segments that the system dropped for their signature, in the whole network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct SignatureFailures {
    pub(crate) md5_wrong: u64,
    pub(crate) md5_missing: u64,
    pub(crate) md5_unexpected: u64,
    pub(crate) ao_wrong: u64,
    pub(crate) ao_unknown_key: u64,
    pub(crate) ao_missing: u64,
}

/// What became of the routes in the kernel: how many are in each state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Kernel {
    pub(crate) installed: usize,
    pub(crate) pending: usize,
    /// The kernel refused them; they are tried again.
    pub(crate) refused: usize,
    /// Routes of other programs stand in their place.
    pub(crate) conflict: usize,
    /// Their next hops cannot be reached.
    pub(crate) unresolved: usize,
    /// Left by a former process, and kept until every peer has told its table.
    pub(crate) leftover: usize,
    pub(crate) last_error: Option<String>,
}

/// One session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    /// The interface that it is behind, if the address is link-local.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) interface: Option<String>,
    pub(crate) port: u16,
    /// "node-to-node mesh", "node specific", "global", "reflector client" or "dynamic".
    pub(crate) peer_type: String,
    pub(crate) description: Option<String>,
    /// The state of RFC 4271 §8.2.2, such as "Established".
    pub(crate) state: String,
    /// When it came into this state.
    pub(crate) since: String,
    pub(crate) seconds_in_state: u64,
    /// State and last error in words.
    pub(crate) info: String,
    pub(crate) last_error: Option<String>,
    pub(crate) last_notification: Option<Notification>,
    pub(crate) backlog: Backlog,
    /// Until when its routes are kept for its return.
    pub(crate) kept_until: Option<String>,
    /// What BFD said last, if it was told.
    pub(crate) bfd: Option<String>,
    pub(crate) reflector_client: bool,
    pub(crate) passive: bool,
    pub(crate) local_as: u32,
    /// The AS that the peer is of, once it has said so.
    pub(crate) asn: Option<u32>,
    /// The AS that it must be of: a number, "internal", "external" or "any".
    pub(crate) configured_as: String,
    pub(crate) router_id: Option<String>,
    /// How often the session has come up.
    pub(crate) established: u64,
    pub(crate) negotiated: Option<Negotiated>,
    pub(crate) messages_received: Messages,
    pub(crate) messages_sent: Messages,
    pub(crate) prefixes_received: u64,
    pub(crate) prefixes_accepted: u64,
    /// Of those received, rejected by import policy.
    pub(crate) prefixes_import_rejected: u64,
    pub(crate) prefixes_advertised: u64,
    /// Best routes that export policy keeps from it.
    pub(crate) prefixes_export_rejected: u64,
    /// Of those received, what a session that ended left behind.
    pub(crate) prefixes_stale: u64,
    /// What limits keep out, and what they keep from it.
    pub(crate) prefixes_held_out: u64,
    pub(crate) prefixes_withheld: u64,
    /// It is held down after a limit, or drained: for how long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) held: Option<String>,
    pub(crate) limits: Vec<Limit>,
}

/// A limit of a peer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Limit {
    /// "received", "accepted", "sent" or "memory".
    pub(crate) what: String,
    /// `None` for memory.
    pub(crate) family: Option<String>,
    /// "below", "warning" or "exceeded".
    pub(crate) level: String,
    /// Routes; octets of memory.
    pub(crate) count: u64,
    pub(crate) max: u64,
    /// "warn", "drop" or "stop".
    pub(crate) action: String,
    /// Routes that it keeps out.
    pub(crate) held_out: u32,
}

/// A NOTIFICATION that was sent or received.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Notification {
    /// By us.
    pub(crate) sent: bool,
    pub(crate) at: String,
    pub(crate) code: u8,
    pub(crate) subcode: u8,
    pub(crate) text: String,
}

/// What a peer has not been told yet.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Backlog {
    /// Octets that its socket does not take, and for how long the oldest have waited.
    pub(crate) octets: u64,
    pub(crate) oldest_seconds: Option<f64>,
    /// Changes of the tables that it is behind, at most.
    pub(crate) changes: u64,
}

impl Peer {
    /// Routes flow.
    pub(crate) fn is_up(&self) -> bool {
        self.state == "Established"
    }

    /// The state as `calicoctl node status` has it.
    pub(crate) fn short_state(&self) -> &'static str {
        match self.state.as_str() {
            "Established" => "up",
            "Idle" => "down",
            _ => "start",
        }
    }
}

/// What both ends agreed on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Negotiated {
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) families: Vec<String>,
    pub(crate) hold_seconds: f64,
    pub(crate) keepalive_seconds: f64,
    pub(crate) four_octet_as: bool,
    pub(crate) extended_message: bool,
    pub(crate) route_refresh: bool,
    pub(crate) enhanced_refresh: bool,
    /// Families in which the peer sends, and in which it takes, several paths of a prefix.
    pub(crate) add_path_receive: Vec<String>,
    pub(crate) add_path_send: Vec<String>,
    /// Families of IPv4 routes that may have an IPv6 next hop.
    pub(crate) extended_next_hop: Vec<String>,
    pub(crate) peer_role: Option<String>,
    /// Both keep routes over a NOTIFICATION.
    pub(crate) notification_restart: bool,
    /// The long-lived stale time that the peer told, the longest of its families.
    pub(crate) long_lived_seconds: Option<u64>,
    /// The restart time that the peer told.
    pub(crate) graceful_restart_seconds: Option<u64>,
}

/// Messages of one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Messages {
    pub(crate) open: u64,
    pub(crate) update: u64,
    pub(crate) notification: u64,
    pub(crate) keepalive: u64,
    pub(crate) route_refresh: u64,
    pub(crate) octets: u64,
}

impl Messages {
    /// All messages.
    pub(crate) fn total(&self) -> u64 {
        [self.open, self.update, self.notification, self.keepalive, self.route_refresh]
            .iter()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }
}

/// One path: a line of `GET /routes`, and part of `GET /explain`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Path {
    pub(crate) prefix: String,
    pub(crate) best: bool,
    /// Its source has gone and may come back (RFC 4724).
    pub(crate) stale: bool,
    /// The peer that told it; none for a route of this speaker.
    pub(crate) from: Option<IpAddr>,
    pub(crate) path_id: u32,
    pub(crate) next_hop: Option<String>,
    pub(crate) origin: String,
    pub(crate) as_path: String,
    pub(crate) local_pref: Option<u32>,
    pub(crate) med: Option<u32>,
    pub(crate) communities: Vec<String>,
    pub(crate) large_communities: Vec<String>,
    pub(crate) originator_id: Option<String>,
    pub(crate) cluster_list: Vec<String>,
    /// Why it is the best, or why not, in words.
    pub(crate) reason: String,
    /// The import policy and its rule that decided; of an explanation only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<String>,
}

/// `GET /explain?prefix=`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Explanation {
    pub(crate) prefix: String,
    /// The best one first.
    pub(crate) paths: Vec<Path>,
    pub(crate) peers: Vec<Told>,
}

/// What one peer hears of a prefix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Told {
    pub(crate) peer: String,
    pub(crate) told: bool,
    /// The next hop that it is told, or the rule that holds the route back.
    pub(crate) detail: String,
    /// The policy and its rule that decided, where one did.
    pub(crate) policy: Option<String>,
    /// The newest state has been handed out to it.
    pub(crate) sent: bool,
    /// Where it is told several paths: each of them.
    pub(crate) paths: Vec<ToldPath>,
}

/// What a peer that is told several paths hears of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct ToldPath {
    /// The peer that told it; none for a route of this speaker.
    pub(crate) from: Option<IpAddr>,
    /// The identifier that it is told under.
    pub(crate) path_id: u32,
    pub(crate) told: bool,
    pub(crate) detail: String,
}

/// The body of every answer that is not 200.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) error: String,
}

/// The payloads of origin validation (RFC 6811).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Rpki {
    /// For IPv4 prefixes.
    pub(crate) ipv4: usize,
    /// For IPv6 prefixes.
    pub(crate) ipv6: usize,
    /// Passed over.
    pub(crate) passed_over: usize,
    /// When they last changed.
    pub(crate) changed: String,
}
