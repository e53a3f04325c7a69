//! The shape of the configuration file. Every key does something; a key that is not here is an error.

use std::net::IpAddr;
use std::path::PathBuf;

use bgp_speaker::PeerAddress as PeerName;
use serde::Deserialize;
use toml::Spanned;

use super::compile::Policies;
use super::pattern::InterfacePattern;
use super::policy::{PolicyTable, PrefixSetTable};
use super::value::{
    AddPathSend, Address, AddressList, Asn, Capability, CommunityValue, Dialer, Family, HoldTime, Hops,
    Identifier, Interface, LimitAction, ListenList, LocalAsMode, LogFormat, MaxPaths, MaxPrefixes,
    MetricsListen, NextHop, PeerAddress, PeerAs, Port, Prefix, PrivateAs, RangeLimit, RestartTime, Role,
    Scope, Seconds, SessionPassword, StaleTime, Ttl,
};

/// A whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Config {
    /// Our AS.
    pub(crate) asn: Asn,
    /// BGP identifier.
    pub(crate) router_id: Identifier,
    /// Where to listen; nowhere when it is missing.
    pub(crate) listen: Option<Spanned<ListenList>>,
    /// Cluster of this reflector (RFC 4456 §7); the router id when it is missing.
    pub(crate) cluster_id: Option<Identifier>,
    /// Hold time of all sessions that do not say another.
    pub(crate) hold_time: Option<HoldTime>,
    /// How many equal paths of a prefix the kernel gets; 1 when missing.
    pub(crate) max_paths: Option<MaxPaths>,
    /// Departures from the decision process.
    #[serde(default)]
    pub(crate) decision: Decision,
    /// Write learned routes to the kernel.
    #[serde(default)]
    pub(crate) kernel_export: bool,
    /// How to write them.
    pub(crate) kernel: Option<Spanned<Kernel>>,
    /// Kernel routes of other programs that are originated.
    pub(crate) learn: Option<Spanned<Learn>>,
    /// Origin validation.
    pub(crate) rpki: Option<Rpki>,
    /// The socket that `status` and `routes` talk to.
    pub(crate) control_socket: Option<Spanned<PathBuf>>,
    /// Measurements.
    pub(crate) metrics: Option<Spanned<Metrics>>,
    /// Logging.
    #[serde(default)]
    pub(crate) log: Log,
    /// Single peers.
    #[serde(default)]
    pub(crate) neighbor: Vec<Neighbor>,
    /// Peers that may come from a whole prefix.
    #[serde(default)]
    pub(crate) neighbor_range: Vec<NeighborRange>,
    /// Routes that this speaker originates.
    #[serde(default)]
    pub(crate) route: Vec<StaticRoute>,
    /// Routes that stand for those inside them.
    #[serde(default)]
    pub(crate) aggregate: Vec<Aggregate>,
    /// A full mesh of nodes.
    pub(crate) mesh: Option<Spanned<Mesh>>,
    /// Prefixes under a name.
    #[serde(default)]
    pub(crate) prefix_set: Vec<PrefixSetTable>,
    /// Rules over routes.
    #[serde(default)]
    pub(crate) policy: Vec<PolicyTable>,
    /// What they come to.
    #[serde(skip)]
    pub(crate) policies: Policies,
}

impl Config {
    /// Every policy that a session names, with its place.
    pub(super) fn policy_names(&self) -> impl Iterator<Item = &Spanned<String>> {
        let neighbors = self.neighbor.iter().map(Neighbor::session);
        let sessions = neighbors.chain(self.neighbor_range.iter().map(NeighborRange::session));
        let mesh = self.mesh.iter().map(Spanned::get_ref);
        sessions
            .map(|keys| (keys.import, keys.export))
            .chain(mesh.map(|mesh| (mesh.import.as_ref(), mesh.export.as_ref())))
            .flat_map(|(import, export)| import.into_iter().chain(export))
            .chain(self.aggregate.iter().filter_map(|aggregate| aggregate.except.as_ref()))
            .chain(self.kernel.iter().filter_map(|kernel| kernel.get_ref().policy.as_ref()))
    }
}

/// `[kernel]`, with `kernel-export = true`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Kernel {
    /// Routing table; 254 is the main table.
    pub(crate) table: Option<Spanned<u32>>,
    /// Protocol number that marks our routes (`ip route show proto N`).
    pub(crate) protocol: Option<Spanned<u8>>,
    /// Metric of our routes.
    pub(crate) metric: Option<Spanned<u32>>,
    /// What is exported, and with which metric and table: a policy's name, `accept` or `reject`; everything when missing.
    pub(crate) policy: Option<Spanned<String>>,
    /// Further tables that policies may name.
    pub(crate) tables: Option<Spanned<Vec<u32>>>,
    /// Whether routes share nexthop objects; yes when missing.
    pub(crate) nexthop_objects: Option<bool>,
    /// Whether the decision hears of ways to next hops; yes when missing.
    pub(crate) track_next_hops: Option<bool>,
    /// Whether a next hop may be reached through the default route; yes when missing.
    pub(crate) resolve_via_default: Option<bool>,
}

/// `[learn]`: which kernel routes of other programs are originated.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Learn {
    /// Tables; the main one when missing.
    pub(crate) tables: Option<Spanned<Vec<u32>>>,
    /// Protocols; all but the kernel's own when missing. Never that of our kernel export.
    pub(crate) protocols: Option<Spanned<Vec<u8>>>,
    /// Interfaces; all when missing.
    pub(crate) interfaces: Option<Vec<InterfacePattern>>,
    /// Interfaces that do not count.
    #[serde(default)]
    pub(crate) ignored_interfaces: Vec<InterfacePattern>,
    /// Only routes inside these; everywhere when missing.
    pub(crate) within: Option<Vec<Prefix>>,
    /// Only routes without a gateway.
    #[serde(default)]
    pub(crate) on_link_only: bool,
    /// Preference over routes of other sources; 240 for the kernel's own and 10 for all others when missing.
    pub(crate) preference: Option<u32>,
    /// Most routes; what is beyond is left out.
    pub(crate) limit: Option<u32>,
}

/// `[rpki]`: which AS may originate what (RFC 6811).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Rpki {
    /// What a validator has written as JSON; read again with the configuration.
    pub(crate) file: PathBuf,
}

/// `[metrics]`: measurements for Prometheus; the control socket has them as well.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Metrics {
    /// Where `/metrics` is answered; only on the control socket when it is missing.
    pub(crate) listen: Option<Spanned<MetricsListen>>,
    /// Whether each peer has series of its own; yes when it is missing.
    pub(crate) per_peer: Option<bool>,
}

/// `[decision]`: departures from the decision process as the RFC writes it.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct Decision {
    /// MULTI_EXIT_DISC is compared between different neighbouring AS too.
    pub(crate) always_compare_med: bool,
    /// A route without MULTI_EXIT_DISC comes after all that have one.
    pub(crate) missing_med_as_worst: bool,
    /// The external route that is best stays so among equals (RFC 5004).
    pub(crate) prefer_oldest: bool,
}

/// `[log]`: what goes to standard error.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Log {
    /// A `tracing` filter, such as `info,bgp_fsm=debug`; the environment's `RUST_LOG` wins.
    pub(crate) filter: Option<Spanned<String>>,
    /// How lines are written.
    pub(crate) format: Option<LogFormat>,
}

/// A table of peers: its own keys, and the keys of every session. (`serde(flatten)` would lose the places of faults.)
macro_rules! peer_table {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $ty:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        pub(crate) struct $name {
            $($(#[$field_doc])* pub(crate) $field: $ty,)*
            /// The AS that a peer must be of.
            pub(crate) asn: Spanned<PeerAs>,
            /// The peer is a client of this reflector (RFC 4456).
            pub(crate) route_reflector_client: Option<Spanned<bool>>,
            /// Our AS on this session.
            pub(crate) local_as: Option<Asn>,
            /// How that shows in paths; alone when missing.
            pub(crate) local_as_mode: Option<LocalAsMode>,
            /// What the peer must announce (RFC 5492 §3).
            pub(crate) require: Option<Vec<Capability>>,
            /// Families that must be in use; each among those that are offered.
            pub(crate) require_families: Option<Vec<Family>>,
            /// Offer IPv4 routes with IPv6 next hops (RFC 8950); with link-local peers when missing.
            pub(crate) extended_next_hop: Option<bool>,
            /// First pause after a session failed, which doubles with each failure.
            pub(crate) idle_hold_min: Option<Spanned<Seconds>>,
            /// Longest pause after failures.
            pub(crate) idle_hold_max: Option<Spanned<Seconds>>,
            /// Time in Established that makes up for one failure.
            pub(crate) idle_hold_forgive: Option<Spanned<Seconds>>,
            /// How long a connection may take until the peer's OPEN is there.
            pub(crate) open_hold_time: Option<Spanned<Seconds>>,
            /// Our address on this session.
            pub(crate) local_address: Option<Spanned<Address>>,
            /// Families to offer; that of the peer's address when missing.
            pub(crate) families: Option<Spanned<Vec<Family>>>,
            /// Proposed hold time.
            pub(crate) hold_time: Option<HoldTime>,
            /// Time between keepalives; a third of the hold time when missing.
            pub(crate) keepalive_interval: Option<Spanned<Seconds>>,
            /// How long the peer may take nothing (RFC 9687).
            pub(crate) send_hold_time: Option<Spanned<Seconds>>,
            /// How long TCP waits for acknowledgements (RFC 5482).
            pub(crate) tcp_user_timeout: Option<Spanned<Seconds>>,
            /// What to take: a policy's name, `accept` or `reject` (RFC 8212: nothing from an external peer when missing).
            pub(crate) import: Option<Spanned<String>>,
            /// What to tell, likewise (RFC 8212: nothing to an external peer when missing).
            pub(crate) export: Option<Spanned<String>>,
            /// Next hop of what is told.
            pub(crate) next_hop: Option<NextHop>,
            /// Our IPv4 next hop on a session over IPv6.
            pub(crate) next_hop_ipv4: Option<Spanned<Address>>,
            /// Our IPv6 next hop on a session over IPv4.
            pub(crate) next_hop_ipv6: Option<Spanned<Address>>,
            /// IP TTL of what is sent.
            pub(crate) ttl: Option<Ttl>,
            /// The peer is at most this many hops away (RFC 5082).
            pub(crate) ttl_security: Option<Spanned<Hops>>,
            /// Password of the session (TCP-MD5, RFC 2385).
            pub(crate) password: Option<Spanned<SessionPassword>>,
            /// A file with the password.
            pub(crate) password_file: Option<Spanned<PathBuf>>,
            /// Keys of the session (TCP-AO, RFC 5925), the one to use first.
            pub(crate) tcp_ao: Option<Spanned<Vec<AoKey>>>,
            /// The interface that the peer is behind.
            pub(crate) interface: Option<Spanned<Interface>>,
            /// Take several paths of a prefix (RFC 7911).
            pub(crate) add_path_receive: Option<bool>,
            /// Which paths of a prefix to send (RFC 7911).
            pub(crate) add_path_send: Option<AddPathSend>,
            /// How often our own AS may stand in a received AS_PATH.
            pub(crate) allow_own_as: Option<u8>,
            /// Graceful restart (RFC 4724); on when missing.
            pub(crate) graceful_restart: Option<bool>,
            /// Restart time to advertise.
            pub(crate) restart_time: Option<Spanned<RestartTime>>,
            /// Offer messages of up to 65535 octets (RFC 8654); on when missing.
            pub(crate) extended_message: Option<bool>,
            /// Our role in the relation with an external peer (RFC 9234).
            pub(crate) role: Option<Role>,
            /// Refuse an external peer that announces no role.
            pub(crate) role_strict: Option<Spanned<bool>>,
            /// How many prefixes of each family the peer may tell.
            pub(crate) max_prefixes: Option<MaxPrefixes>,
            /// What becomes of it when it tells more; the session ends when missing.
            pub(crate) max_prefixes_action: Option<Spanned<LimitAction>>,
            /// After how long a session that ended for that begins anew; never by itself when missing.
            pub(crate) limit_restart: Option<Spanned<Seconds>>,
            /// How long routes may stay beyond the restart time (RFC 9494); off when missing.
            pub(crate) long_lived_time: Option<Spanned<StaleTime>>,
            /// We are a route server to the peer (RFC 7947).
            pub(crate) route_server_client: Option<bool>,
            /// It is told the best of what may go to it, whatever is best for others (RFC 7947 §2.3).
            pub(crate) best_per_client: Option<bool>,
            /// The cluster that the session is of (RFC 4456 §7); that of the file when missing.
            pub(crate) cluster_id: Option<Identifier>,
            /// A client is told routes of other clients of its cluster; yes when missing.
            pub(crate) client_to_client: Option<Spanned<bool>>,
            /// AIGP counts on the session (RFC 7311); with internal peers when missing.
            pub(crate) aigp: Option<bool>,
            /// Its AS must stand first in its paths (RFC 4271 §6.3); yes when missing.
            pub(crate) enforce_first_as: Option<bool>,
            /// Its own AS is replaced by ours in what it is told.
            pub(crate) as_override: Option<bool>,
            /// Private AS numbers in what it is told; they stay when missing.
            pub(crate) private_as: Option<PrivateAs>,
            /// A peer that does not know RFC 9494 is told long-lived stale routes as the last choice.
            pub(crate) long_lived_partial: Option<bool>,
            /// Routes with GRACEFUL_SHUTDOWN are the last choice (RFC 8326); yes when missing.
            pub(crate) honour_graceful_shutdown: Option<bool>,
            /// Wait so long for its OPEN before sending ours (RFC 4271 §8.1.1).
            pub(crate) delay_open: Option<Spanned<Seconds>>,
            /// How long a peer whose identifier wins is awaited to choose between two connections (RFC 4271 §6.8).
            pub(crate) collision_wait: Option<Spanned<Seconds>>,
            /// Collision resolution may end a session that is up (RFC 4271 §8.1.1).
            pub(crate) collision_detect_established: Option<bool>,
        }

        impl $name {
            /// The keys that every session has.
            pub(crate) fn session(&self) -> SessionKeys<'_> {
                SessionKeys {
                    asn: &self.asn,
                    route_reflector_client: self.route_reflector_client.as_ref(),
                    local_as: self.local_as,
                    local_as_mode: self.local_as_mode,
                    require: self.require.as_deref().unwrap_or_default(),
                    require_families: self.require_families.as_deref().unwrap_or_default(),
                    extended_next_hop: self.extended_next_hop,
                    idle_hold_min: self.idle_hold_min.as_ref(),
                    idle_hold_max: self.idle_hold_max.as_ref(),
                    idle_hold_forgive: self.idle_hold_forgive.as_ref(),
                    open_hold_time: self.open_hold_time.as_ref(),
                    local_address: self.local_address.as_ref(),
                    families: self.families.as_ref(),
                    hold_time: self.hold_time,
                    keepalive_interval: self.keepalive_interval.as_ref(),
                    send_hold_time: self.send_hold_time.as_ref(),
                    tcp_user_timeout: self.tcp_user_timeout.as_ref(),
                    import: self.import.as_ref(),
                    export: self.export.as_ref(),
                    next_hop: self.next_hop,
                    next_hop_ipv4: self.next_hop_ipv4.as_ref(),
                    next_hop_ipv6: self.next_hop_ipv6.as_ref(),
                    ttl: self.ttl,
                    ttl_security: self.ttl_security.as_ref(),
                    password: self.password.as_ref(),
                    password_file: self.password_file.as_ref(),
                    tcp_ao: self.tcp_ao.as_ref(),
                    interface: self.interface.as_ref(),
                    add_path_receive: self.add_path_receive,
                    add_path_send: self.add_path_send.as_ref().map(|send| send.0),
                    allow_own_as: self.allow_own_as,
                    graceful_restart: self.graceful_restart,
                    restart_time: self.restart_time.as_ref(),
                    extended_message: self.extended_message,
                    role: self.role,
                    role_strict: self.role_strict.as_ref(),
                    max_prefixes: self.max_prefixes,
                    max_prefixes_action: self.max_prefixes_action.as_ref(),
                    limit_restart: self.limit_restart.as_ref(),
                    long_lived_time: self.long_lived_time.as_ref(),
                    route_server_client: self.route_server_client,
                    best_per_client: self.best_per_client,
                    cluster_id: self.cluster_id,
                    client_to_client: self.client_to_client.as_ref(),
                    aigp: self.aigp,
                    enforce_first_as: self.enforce_first_as,
                    as_override: self.as_override,
                    private_as: self.private_as,
                    long_lived_partial: self.long_lived_partial,
                    honour_graceful_shutdown: self.honour_graceful_shutdown,
                    delay_open: self.delay_open.as_ref(),
                    collision_wait: self.collision_wait.as_ref(),
                    collision_detect_established: self.collision_detect_established,
                }
            }
        }
    };
}

/// The keys that `[[neighbor]]` and `[[neighbor-range]]` share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionKeys<'a> {
    pub(crate) asn: &'a Spanned<PeerAs>,
    pub(crate) route_reflector_client: Option<&'a Spanned<bool>>,
    pub(crate) local_as: Option<Asn>,
    pub(crate) local_as_mode: Option<LocalAsMode>,
    pub(crate) require: &'a [Capability],
    pub(crate) require_families: &'a [Family],
    pub(crate) extended_next_hop: Option<bool>,
    pub(crate) idle_hold_min: Option<&'a Spanned<Seconds>>,
    pub(crate) idle_hold_max: Option<&'a Spanned<Seconds>>,
    pub(crate) idle_hold_forgive: Option<&'a Spanned<Seconds>>,
    pub(crate) open_hold_time: Option<&'a Spanned<Seconds>>,
    pub(crate) local_address: Option<&'a Spanned<Address>>,
    pub(crate) families: Option<&'a Spanned<Vec<Family>>>,
    pub(crate) hold_time: Option<HoldTime>,
    pub(crate) keepalive_interval: Option<&'a Spanned<Seconds>>,
    pub(crate) send_hold_time: Option<&'a Spanned<Seconds>>,
    pub(crate) tcp_user_timeout: Option<&'a Spanned<Seconds>>,
    pub(crate) import: Option<&'a Spanned<String>>,
    pub(crate) export: Option<&'a Spanned<String>>,
    pub(crate) next_hop: Option<NextHop>,
    pub(crate) next_hop_ipv4: Option<&'a Spanned<Address>>,
    pub(crate) next_hop_ipv6: Option<&'a Spanned<Address>>,
    pub(crate) ttl: Option<Ttl>,
    pub(crate) ttl_security: Option<&'a Spanned<Hops>>,
    pub(crate) password: Option<&'a Spanned<SessionPassword>>,
    pub(crate) password_file: Option<&'a Spanned<PathBuf>>,
    pub(crate) tcp_ao: Option<&'a Spanned<Vec<AoKey>>>,
    pub(crate) interface: Option<&'a Spanned<Interface>>,
    pub(crate) allow_own_as: Option<u8>,
    pub(crate) add_path_receive: Option<bool>,
    pub(crate) add_path_send: Option<bgp_speaker::AddPathSend>,
    pub(crate) graceful_restart: Option<bool>,
    pub(crate) restart_time: Option<&'a Spanned<RestartTime>>,
    pub(crate) extended_message: Option<bool>,
    pub(crate) role: Option<Role>,
    pub(crate) role_strict: Option<&'a Spanned<bool>>,
    pub(crate) max_prefixes: Option<MaxPrefixes>,
    pub(crate) max_prefixes_action: Option<&'a Spanned<LimitAction>>,
    pub(crate) limit_restart: Option<&'a Spanned<Seconds>>,
    pub(crate) long_lived_time: Option<&'a Spanned<StaleTime>>,
    pub(crate) route_server_client: Option<bool>,
    pub(crate) best_per_client: Option<bool>,
    pub(crate) cluster_id: Option<Identifier>,
    pub(crate) client_to_client: Option<&'a Spanned<bool>>,
    pub(crate) aigp: Option<bool>,
    pub(crate) enforce_first_as: Option<bool>,
    pub(crate) as_override: Option<bool>,
    pub(crate) private_as: Option<PrivateAs>,
    pub(crate) long_lived_partial: Option<bool>,
    pub(crate) honour_graceful_shutdown: Option<bool>,
    pub(crate) delay_open: Option<&'a Spanned<Seconds>>,
    pub(crate) collision_wait: Option<&'a Spanned<Seconds>>,
    pub(crate) collision_detect_established: Option<bool>,
}

impl Neighbor {
    /// What it is called.
    pub(crate) fn at(&self) -> PeerName {
        let interface = self.address.get_ref().0.interface.as_deref();
        let interface = interface.or(self.interface.as_ref().map(|name| name.get_ref().0.as_str()));
        PeerName::behind(self.host(), interface.unwrap_or_default())
    }

    /// Where it is.
    pub(crate) fn host(&self) -> IpAddr {
        self.address.get_ref().0.address
    }
}

impl SessionKeys<'_> {
    /// The peer is a client of this reflector.
    pub(crate) fn is_client(&self) -> bool {
        self.route_reflector_client.is_some_and(|client| *client.get_ref())
    }
}

peer_table! {
    /// `[[neighbor]]`: one peer.
    Neighbor {
        /// Its address.
        address: Spanned<PeerAddress>,
        /// The port that it listens on.
        port: Option<Spanned<Port>>,
        /// A remark, shown by `status`.
        description: Option<String>,
        /// Whether this node alone or every node has the peer, shown by `status`.
        scope: Option<Scope>,
        /// Wait for it to connect.
        passive: Option<Spanned<bool>>,
        /// How long an attempt to connect may take, and the pause after it.
        connect_retry: Option<Spanned<Seconds>>,
    }
}

peer_table! {
    /// `[[neighbor-range]]`: peers that connect from anywhere in a prefix.
    NeighborRange {
        /// Their addresses.
        prefix: Spanned<Prefix>,
        /// How many of them at once.
        limit: Option<RangeLimit>,
    }
}

/// One key of `tcp-ao`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct AoKey {
    /// The id that we send with.
    pub(crate) send_id: Spanned<u8>,
    /// The id that the peer sends with; the same when missing.
    pub(crate) recv_id: Option<Spanned<u8>>,
    /// How it signs; HMAC-SHA-1 when missing.
    pub(crate) algorithm: Option<AoAlgorithm>,
    /// The secret.
    pub(crate) password: Option<Spanned<SessionPassword>>,
    /// A file with the secret.
    pub(crate) password_file: Option<Spanned<PathBuf>>,
}

/// The algorithms of RFC 5926.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) enum AoAlgorithm {
    #[serde(rename = "hmac-sha-1-96")]
    HmacSha1,
    #[serde(rename = "aes-128-cmac-96")]
    CmacAes128,
}

/// `[[route]]`: a route that this speaker originates.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct StaticRoute {
    /// Where it leads.
    pub(crate) prefix: Spanned<Prefix>,
    /// Its next hop; our own address on each session when missing.
    pub(crate) next_hop: Option<Spanned<Address>>,
    /// Preference over routes of other sources; 200 when missing.
    pub(crate) preference: Option<u32>,
    /// LOCAL_PREF towards internal peers.
    pub(crate) local_pref: Option<u32>,
    /// MULTI_EXIT_DISC.
    pub(crate) med: Option<u32>,
    /// COMMUNITIES (RFC 1997).
    #[serde(default)]
    pub(crate) communities: Vec<CommunityValue>,
}

/// `[[aggregate]]`: a route that this speaker originates, and that stands for those inside it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Aggregate {
    /// Where it leads.
    pub(crate) prefix: Spanned<Prefix>,
    /// It is told without any route inside it too.
    #[serde(default)]
    pub(crate) always: bool,
    /// Routes inside it are not told.
    #[serde(default)]
    pub(crate) suppress: bool,
    /// But those that this policy accepts; none when it is missing.
    pub(crate) except: Option<Spanned<String>>,
    /// How the kernel drops packets that no route inside it takes; not at all when missing.
    pub(crate) discard: Option<DiscardWord>,
    /// LOCAL_PREF towards internal peers.
    pub(crate) local_pref: Option<u32>,
    /// MULTI_EXIT_DISC.
    pub(crate) med: Option<u32>,
    /// COMMUNITIES (RFC 1997).
    #[serde(default)]
    pub(crate) communities: Vec<CommunityValue>,
}

/// What the kernel does with packets.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum DiscardWord {
    Blackhole,
    Unreachable,
    Prohibit,
}

/// `[mesh]`: every node has a session with every other.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Mesh {
    /// The address of this node in the list.
    pub(crate) local: Spanned<Address>,
    /// Which node of a pair dials.
    pub(crate) dialer: Option<Dialer>,
    /// What to take from the other nodes: a policy's name, `accept` or `reject`; everything when missing.
    pub(crate) import: Option<Spanned<String>>,
    /// What to tell them, likewise.
    pub(crate) export: Option<Spanned<String>>,
    /// Password of all sessions of the mesh.
    pub(crate) password: Option<Spanned<SessionPassword>>,
    /// A file with the password.
    pub(crate) password_file: Option<Spanned<PathBuf>>,
    /// All nodes, this one included: the same list on each.
    pub(crate) nodes: Spanned<Vec<MeshNode>>,
}

/// One node of a mesh.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct MeshNode {
    /// Its name, for messages.
    pub(crate) name: Option<String>,
    /// Its address, or one of each family.
    pub(crate) address: Spanned<AddressList>,
    /// Its AS; ours when missing.
    pub(crate) asn: Option<Asn>,
    /// The port that it listens on.
    pub(crate) port: Option<Spanned<Port>>,
}
