//! The shape of the configuration file. Every key does something; a key that is not here is an error.

use std::net::IpAddr;
use std::path::PathBuf;

use bgp_speaker::PeerAddress as PeerName;
use bgp_speaker::policy::Discard;
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::add_path::{AddPathReceive, AddPathSend, PerFamily};
use super::compile::Policies;
use super::limits::Bound;
use super::pattern::{
    ExtendedCommunityValue, InterfacePattern, Ipv6ExtendedCommunityValue, LargeCommunityValue,
};
use super::policy::{PolicyTable, PrefixSetTable};
use super::value::{
    Address, AddressList, Asn, Capability, CommunityValue, ConsecutiveRestarts, Dialer, Family, HoldTime,
    Hops, Identifier, Interface, LimitAction, ListenList, LocalAsMode, LogFormat, MaxPaths, MetricsListen,
    NextHop, OriginWord, PeerAddress, PeerAs, Port, Prefix, PrivateAs, RangeLimit, RestartTime, Role, Scope,
    Seconds, SessionPassword, StaleTime, Ttl,
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
    /// How long a speaker that restarted waits for the tables of its peers at most (RFC 4724 §4.1); 120 s when missing.
    pub(crate) selection_deferral_time: Option<Seconds>,
    /// From a mesh to reflectors or back: how long new peers that do not come, and nodes that move late, are waited for once a
    /// new peer has told its table; 30 s when missing.
    pub(crate) migration_patience: Option<Seconds>,
    /// How many equal paths of a prefix the kernel gets; 1 when missing.
    pub(crate) max_paths: Option<MaxPaths>,
    /// The same where the best route is of an internal peer; no difference when missing.
    pub(crate) max_paths_internal: Option<MaxPaths>,
    /// Whether those may go through different AS, if as many.
    #[serde(default)]
    pub(crate) multipath_relax: bool,
    /// Networks whose prefixes are to have one origin: a second one is told of.
    #[serde(default)]
    pub(crate) unique_origins: Vec<Prefix>,
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
        let neighbors = self.neighbor.iter().map(|neighbor| &neighbor.session);
        let sessions = neighbors.chain(self.neighbor_range.iter().map(|range| &range.session));
        sessions
            .chain(self.mesh.iter().map(|mesh| &mesh.get_ref().session))
            .map(|keys| (keys.import.as_ref(), keys.export.as_ref()))
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
    /// The VRF whose table that is: next hops are looked up in it.
    pub(crate) vrf: Option<Spanned<Interface>>,
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

/// Tables of one kind: each has the keys that all of them have, in a field, beside its own. (`serde(flatten)` would lose the
/// places of faults.)
macro_rules! tables {
    (
        $(#[$doc:meta])* $keys:ident in $field:ident $shared:tt
        $($(#[$table_doc:meta])* $name:ident $own:tt)*
    ) => {
        shared_keys! { $(#[$doc])* $keys $shared }
        $(table! { $(#[$table_doc])* $name $own $keys in $field $shared })*
    };
}

macro_rules! shared_keys {
    ($(#[$doc:meta])* $keys:ident { $($(#[$key_doc:meta])* $key:ident: $ty:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub(crate) struct $keys { $($(#[$key_doc])* pub(crate) $key: $ty,)* }
    };
}

macro_rules! table {
    (
        $(#[$doc:meta])* $name:ident { $($(#[$own_doc:meta])* $own:ident: $own_ty:ty,)* }
        $keys:ident in $field:ident { $($(#[$key_doc:meta])* $key:ident: $key_ty:ty,)* }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub(crate) struct $name {
            $($(#[$own_doc])* pub(crate) $own: $own_ty,)*
            /// What all tables of the kind can say.
            pub(crate) $field: $keys,
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                #[derive(Deserialize)]
                #[serde(deny_unknown_fields, rename_all = "kebab-case")]
                struct Table { $($own: $own_ty,)* $($key: $key_ty,)* }
                let table = Table::deserialize(from)?;
                let $field = $keys { $($key: table.$key,)* };
                Ok($name { $($own: table.$own,)* $field })
            }
        }
    };
}

tables! {
    /// The keys that every table of sessions has.
    SessionKeys in session {
        /// Our AS on this session.
        local_as: Option<Asn>,
        /// How that shows in paths; alone when missing.
        local_as_mode: Option<LocalAsMode>,
        /// What the peer must announce (RFC 5492 §3).
        require: Option<Vec<Capability>>,
        /// Families that must be in use; each among those that are offered.
        require_families: Option<Vec<Family>>,
        /// Offer IPv4 routes with IPv6 next hops (RFC 8950); with link-local peers when missing.
        extended_next_hop: Option<bool>,
        /// First pause after a session failed, which doubles with each failure.
        idle_hold_min: Option<Spanned<Seconds>>,
        /// Longest pause after failures.
        idle_hold_max: Option<Spanned<Seconds>>,
        /// Time in Established that makes up for one failure.
        idle_hold_forgive: Option<Spanned<Seconds>>,
        /// How long a connection may take until the peer's OPEN is there.
        open_hold_time: Option<Spanned<Seconds>>,
        /// Families to offer; that of the peer's address when missing.
        families: Option<Spanned<Vec<Family>>>,
        /// Proposed hold time.
        hold_time: Option<HoldTime>,
        /// Time between keepalives; a third of the hold time when missing.
        keepalive_interval: Option<Spanned<Seconds>>,
        /// How long the peer may take nothing (RFC 9687).
        send_hold_time: Option<Spanned<Seconds>>,
        /// How long TCP waits for acknowledgements (RFC 5482).
        tcp_user_timeout: Option<Spanned<Seconds>>,
        /// What to take: a policy's name, `accept` or `reject` (RFC 8212: nothing from an external peer when missing).
        import: Option<Spanned<String>>,
        /// What to tell, likewise (RFC 8212: nothing to an external peer when missing).
        export: Option<Spanned<String>>,
        /// Next hop of what is told.
        next_hop: Option<Spanned<NextHop>>,
        /// The network that we share with the peer, with `next-hop = "third-party"`.
        shared_network: Option<Spanned<Prefix>>,
        /// Our IPv4 next hop on a session over IPv6.
        next_hop_ipv4: Option<Spanned<Address>>,
        /// Our IPv6 next hop on a session over IPv4.
        next_hop_ipv6: Option<Spanned<Address>>,
        /// IP TTL of what is sent.
        ttl: Option<Ttl>,
        /// The peer is at most this many hops away (RFC 5082).
        ttl_security: Option<Spanned<Hops>>,
        /// Password of the session (TCP-MD5, RFC 2385).
        password: Option<Spanned<SessionPassword>>,
        /// A file with the password.
        password_file: Option<Spanned<PathBuf>>,
        /// Keys of the session (TCP-AO, RFC 5925), the one to use first.
        tcp_ao: Option<Spanned<Vec<AoKey>>>,
        /// The interface that the peer is behind.
        interface: Option<Spanned<Interface>>,
        /// Take several paths of a prefix (RFC 7911), and how many at most: for every family, or for each that is named.
        add_path_receive: Option<PerFamily<AddPathReceive>>,
        /// Which paths of a prefix to send (RFC 7911), likewise.
        add_path_send: Option<PerFamily<AddPathSend>>,
        /// How often our own AS may stand in a received AS_PATH.
        allow_own_as: Option<u8>,
        /// Graceful restart (RFC 4724); on when missing.
        graceful_restart: Option<bool>,
        /// Restart time to advertise.
        restart_time: Option<Spanned<RestartTime>>,
        /// Offer messages of up to 65535 octets (RFC 8654); on when missing.
        extended_message: Option<bool>,
        /// Our role in the relation with an external peer (RFC 9234).
        role: Option<Spanned<Role>>,
        /// Refuse an external peer that announces no role.
        role_strict: Option<Spanned<bool>>,
        /// How many prefixes the peer may tell: of every family, or of each that is named.
        max_prefixes: Option<PerFamily<Bound>>,
        /// How many of them policy may let pass, likewise.
        max_prefixes_accepted: Option<PerFamily<Bound>>,
        /// How many it may be told, likewise.
        max_prefixes_sent: Option<PerFamily<Bound>>,
        /// How many octets its routes may take.
        max_memory: Option<Bound>,
        /// What becomes of more, where a limit does not say it: the session ends when missing, and what it is told waits.
        max_prefixes_action: Option<Spanned<LimitAction>>,
        /// After how long a session that ended for that begins anew; never by itself when missing.
        limit_restart: Option<Spanned<Seconds>>,
        /// How long routes may stay beyond the restart time (RFC 9494); off when missing.
        long_lived_time: Option<Spanned<StaleTime>>,
        /// We are a route server to the peer (RFC 7947).
        route_server_client: Option<Spanned<bool>>,
        /// It is told the best of what may go to it, whatever is best for others (RFC 7947 §2.3).
        best_per_client: Option<bool>,
        /// The cluster that the session is of (RFC 4456 §7); that of the file when missing.
        cluster_id: Option<Identifier>,
        /// AIGP counts on the session (RFC 7311); with internal peers when missing.
        aigp: Option<bool>,
        /// Its AS must stand first in its paths (RFC 4271 §6.3); yes when missing.
        enforce_first_as: Option<bool>,
        /// An external peer of our own administration, which hears of our tunnels and segments (RFC 9012 §11, RFC 8669 §5).
        same_domain: Option<bool>,
        /// Its own AS is replaced by ours in what it is told.
        as_override: Option<bool>,
        /// Private AS numbers in what it is told; they stay when missing.
        private_as: Option<PrivateAs>,
        /// A peer that does not know RFC 9494 is told long-lived stale routes as the last choice.
        long_lived_partial: Option<bool>,
        /// Whether stale routes outlast the loss of a session that never said End-of-RIB.
        consecutive_restarts: Option<ConsecutiveRestarts>,
        /// Routes with GRACEFUL_SHUTDOWN are the last choice (RFC 8326); yes when missing.
        honour_graceful_shutdown: Option<bool>,
        /// Wait so long for its OPEN before sending ours (RFC 4271 §8.1.1).
        delay_open: Option<Spanned<Seconds>>,
        /// How long a peer whose identifier wins is awaited to choose between two connections (RFC 4271 §6.8).
        collision_wait: Option<Spanned<Seconds>>,
        /// Collision resolution may end a session that is up (RFC 4271 §8.1.1).
        collision_detect_established: Option<bool>,
    }
    /// `[[neighbor]]`: one peer.
    Neighbor {
        /// Its address.
        address: Spanned<PeerAddress>,
        /// The AS that it must be of.
        asn: Spanned<PeerAs>,
        /// It is a client of this reflector (RFC 4456).
        route_reflector_client: Option<Spanned<bool>>,
        /// As a client it is told routes of other clients of its cluster; yes when missing.
        client_to_client: Option<Spanned<bool>>,
        /// Our address on its session.
        local_address: Option<Spanned<Address>>,
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
    /// `[[neighbor-range]]`: peers that connect from anywhere in a prefix.
    NeighborRange {
        /// Their addresses.
        prefix: Spanned<Prefix>,
        /// The AS that they must be of.
        asn: Spanned<PeerAs>,
        /// They are clients of this reflector (RFC 4456).
        route_reflector_client: Option<Spanned<bool>>,
        /// As clients they are told routes of other clients of their cluster; yes when missing.
        client_to_client: Option<Spanned<bool>>,
        /// Our address on their sessions.
        local_address: Option<Spanned<Address>>,
        /// How many of them at once.
        limit: Option<RangeLimit>,
    }
    /// `[mesh]`: every node has a session with every other; what it says of sessions holds for all of them.
    Mesh {
        /// The address of this node in the list.
        local: Spanned<Address>,
        /// Which node of a pair dials.
        dialer: Option<Dialer>,
        /// How long an attempt to connect may take, and the pause after it.
        connect_retry: Option<Spanned<Seconds>>,
        /// All nodes, this one included: the same list on each.
        nodes: Spanned<Vec<MeshNode>>,
    }
}

/// What a peer or a range of peers says of who they are, besides its sessions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PeerKeys<'a> {
    pub(crate) asn: &'a Spanned<PeerAs>,
    pub(crate) route_reflector_client: Option<&'a Spanned<bool>>,
    pub(crate) client_to_client: Option<&'a Spanned<bool>>,
    pub(crate) local_address: Option<&'a Spanned<Address>>,
    pub(crate) session: &'a SessionKeys,
}

impl PeerKeys<'_> {
    /// The peer is a client of this reflector.
    pub(crate) fn is_client(&self) -> bool {
        self.route_reflector_client.is_some_and(|client| *client.get_ref())
    }
}

impl Neighbor {
    /// What it is called.
    pub(crate) fn at(&self) -> PeerName {
        let interface = self.address.get_ref().0.interface.as_deref();
        let interface = interface.or(self.session.interface.as_ref().map(|name| name.get_ref().0.as_str()));
        PeerName::behind(self.host(), interface.unwrap_or_default())
    }

    /// Where it is.
    pub(crate) fn host(&self) -> IpAddr {
        self.address.get_ref().0.address
    }
}

macro_rules! has_peers {
    ($($name:ident),*) => {
        $(impl $name {
            /// Who its peers are.
            pub(crate) fn peer(&self) -> PeerKeys<'_> {
                PeerKeys {
                    asn: &self.asn,
                    route_reflector_client: self.route_reflector_client.as_ref(),
                    client_to_client: self.client_to_client.as_ref(),
                    local_address: self.local_address.as_ref(),
                    session: &self.session,
                }
            }
        })*
    };
}

has_peers!(Neighbor, NeighborRange);

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

tables! {
    /// The keys of every route that this speaker originates.
    RouteKeys in attributes {
        /// LOCAL_PREF towards internal peers.
        local_pref: Option<u32>,
        /// MULTI_EXIT_DISC.
        med: Option<u32>,
        /// COMMUNITIES (RFC 1997).
        communities: Option<Vec<CommunityValue>>,
        /// EXTENDED_COMMUNITIES (RFC 4360).
        extended_communities: Option<Vec<ExtendedCommunityValue>>,
        /// IPv6 extended communities (RFC 5701).
        ipv6_extended_communities: Option<Vec<Ipv6ExtendedCommunityValue>>,
        /// LARGE_COMMUNITIES (RFC 8092).
        large_communities: Option<Vec<LargeCommunityValue>>,
        /// ORIGIN; IGP when missing.
        origin: Option<OriginWord>,
        /// A number that policies ask for; 0 when missing.
        tag: Option<u32>,
    }
    /// `[[route]]`: a route that this speaker originates.
    StaticRoute {
        /// Where it leads.
        prefix: Spanned<Prefix>,
        /// Its next hop; our own address on each session when missing.
        next_hop: Option<Spanned<Address>>,
        /// Preference over routes of other sources; 200 when missing.
        preference: Option<u32>,
        /// AS numbers in its AS_PATH, the foremost first; external sessions put ours in front.
        as_path: Option<Vec<Asn>>,
        /// AIGP (RFC 7311), for sessions on which it counts.
        aigp: Option<u64>,
    }
    /// `[[aggregate]]`: a route that this speaker originates, and that stands for those inside it.
    Aggregate {
        /// Where it leads.
        prefix: Spanned<Prefix>,
        /// It is told without any route inside it too; not so when missing.
        always: Option<bool>,
        /// Routes inside it are not told; they are when missing.
        suppress: Option<bool>,
        /// But those that this policy accepts; none when it is missing.
        except: Option<Spanned<String>>,
        /// How the kernel drops packets that no route inside it takes; not at all when missing.
        discard: Option<DiscardWord>,
    }
}

/// What the kernel does with packets.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum DiscardWord {
    Blackhole,
    Unreachable,
    Prohibit,
}

impl From<DiscardWord> for Discard {
    fn from(word: DiscardWord) -> Self {
        match word {
            DiscardWord::Blackhole => Self::Blackhole,
            DiscardWord::Unreachable => Self::Unreachable,
            DiscardWord::Prohibit => Self::Prohibit,
        }
    }
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
