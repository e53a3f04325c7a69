//! What the tables are told about this speaker and about each peer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bgp_wire::{Asn, ClusterId, Codec, Family, FamilySet, LongLivedFamily, PeerKind, Role, RouterId};
use core::time::Duration;
use ipnet::IpNet;

use crate::as_path::{LocalAsMode, PrivateAs};
use crate::limits::Limits;
use crate::policy::Policy;

/// How long a peer's routes outlive its session when the peer gave no time of its own (RFC 4724 §4.2).
const STALE_TIME: Duration = Duration::from_secs(120);

/// Everything about this speaker that changes what the tables do.
#[derive(Clone, Debug)]
pub struct RibConfig {
    /// Our AS number.
    pub local_as: Asn,
    /// Our BGP identifier: a route that carries it as ORIGINATOR_ID is ours come back (RFC 4456 §8).
    pub router_id: RouterId,
    /// The cluster that we reflect for; our BGP identifier stands in where none is given (RFC 4456 §7).
    pub cluster_id: Option<ClusterId>,
    /// Seeds every hash: the same inputs give the same outputs, bit for bit.
    pub seed: u64,
    /// Options of the decision process.
    pub decision: DecisionOptions,
    /// Prefixes inside these networks are to have one origin, as blocks of nodes do and services do not: it is told
    /// ([`Event::TwoOrigins`](crate::Event::TwoOrigins)) where routes with one LOCAL_PREF begin with different routers of our AS, or
    /// with different AS. Default: none. At most 4096 such prefixes of a family are remembered and told.
    pub unique_origins: Vec<IpNet>,
    /// How many next hops one prefix may have for the followers that are no peers; 1 is the best route alone.
    pub max_paths: usize,
    /// The same for prefixes whose best route is of an internal peer, where it differs.
    pub max_paths_internal: Option<usize>,
    /// Whether routes through other AS may stand beside the best if their AS_PATH is as long. Without it those of external
    /// peers have the neighbouring AS in common with the best, and those of internal peers the whole AS_PATH.
    pub multipath_relax: bool,
    /// Whether [`Rib::poll_next_hop`](crate::Rib::poll_next_hop) tells which next hops the caller should say the way to.
    pub track_next_hops: bool,
    /// Bytes of encoded updates that each group keeps for members that come to the same place later.
    pub batch_cache: usize,
    /// Prefixes that one batch of encoded updates covers at most.
    pub batch_prefixes: usize,
    /// A prefix with more paths than this has them indexed and kept in order.
    pub many_paths: usize,
    /// Withdrawn prefixes that are kept in a table for a follower that does not read; beyond, it starts anew. One that reads,
    /// and does not keep up, may hold sixteen times as many.
    pub follower_tombstones: usize,
    /// Paths that one turn of background work (sweeps, next hops that changed, tombstones) looks at, of each kind and in
    /// each table; those of the last prefix may exceed it.
    pub turn: u32,
}

impl RibConfig {
    /// A speaker with defaults: no multipath, cluster id from the BGP identifier.
    #[must_use]
    pub fn new(local_as: Asn, router_id: RouterId) -> Self {
        Self {
            local_as,
            router_id,
            cluster_id: None,
            seed: 0,
            decision: DecisionOptions::default(),
            unique_origins: Vec::new(),
            max_paths: 1,
            max_paths_internal: None,
            multipath_relax: false,
            track_next_hops: false,
            // A thousand clients that join one after the other are served from this: 1 MiB holds about 100,000 prefixes.
            batch_cache: 1 << 20,
            // Enough that attribute sets repeat within it; few enough that encoding it is a matter of a millisecond and
            // that a member which is elsewhere soon comes to a boundary.
            batch_prefixes: 2048,
            // Up to here a walk over the paths is cheaper than an index, and smaller.
            many_paths: 16,
            // Some ten MiB: more than any table of a node has, and far less than what a forgotten follower would come to.
            follower_tombstones: 1 << 16,
            // A fraction of a millisecond: who drives the tables takes as many turns as there is time for.
            turn: 512,
        }
    }

    /// How many next hops a prefix may have, and which.
    #[must_use]
    pub fn multipath(&self) -> Multipath {
        let (paths, internal) = (self.max_paths, self.max_paths_internal);
        Multipath { paths, internal, relax: self.multipath_relax }
    }

    /// Takes other bounds on next hops.
    pub fn set_multipath(&mut self, multipath: Multipath) {
        let Multipath { paths, internal, relax } = multipath;
        (self.max_paths, self.max_paths_internal, self.multipath_relax) = (paths.max(1), internal, relax);
    }

    /// Whether any prefix may have several next hops.
    pub(crate) fn has_multipath(&self) -> bool {
        self.most_paths(true).max(self.most_paths(false)) > 1
    }

    /// How many next hops a prefix may have, by whether its best route is of an internal peer.
    pub(crate) fn most_paths(&self, internal: bool) -> usize {
        if internal { self.max_paths_internal.unwrap_or(self.max_paths) } else { self.max_paths }
    }

    /// The cluster id that stands in CLUSTER_LIST (RFC 4456 §7).
    #[must_use]
    pub fn cluster_id(&self) -> ClusterId {
        self.cluster_id.unwrap_or(ClusterId(self.router_id.0))
    }
}

/// How many next hops followers that are no peers are given for one prefix; see the fields of [`RibConfig`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Multipath {
    /// How many at most. Default 1: the best route alone; 0 counts as 1.
    pub paths: usize,
    /// The same for prefixes whose best route is of an internal peer. Default: no difference.
    pub internal: Option<usize>,
    /// Whether routes through other AS may stand beside the best if their AS_PATH is as long. Default `false`.
    pub relax: bool,
}

impl Default for Multipath {
    fn default() -> Self {
        Self { paths: 1, internal: None, relax: false }
    }
}

/// Departures from the decision process as the RFC writes it, each off by default.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DecisionOptions {
    /// Compare MULTI_EXIT_DISC between different neighbouring AS too (RFC 4271 §9.1.2.2 (c) compares within one only).
    pub always_compare_med: bool,
    /// A route without MULTI_EXIT_DISC ranks behind every route that has one, instead of before (RFC 4271 §9.1.2.2 (c)).
    pub missing_med_as_worst: bool,
    /// Among external routes that are equal through the interior cost, the one that is best already stays so, and BGP
    /// identifiers and addresses are not asked; parallel sessions with one router are told apart as always (RFC 5004 §3).
    /// Fewer changes are told for it, and which route is best depends on the order in which they came.
    pub prefer_oldest: bool,
}

/// What a peer is in route reflection (RFC 4456 §5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum PeerRole {
    /// A non-client (or an external peer).
    #[default]
    Plain,
    /// A client: what we learn goes to it, and what it tells goes to everybody.
    Client,
}

/// Which next hop a peer is told. Our own address is also told where there is no other.
///
/// | mode | source | to internal peer | to external peer |
/// |---|---|---|---|
/// | `Auto` | originated here without next hop | self | self |
/// | `Auto` | originated here with next hop | kept | self |
/// | `Auto` | learned from external | kept | self; kept for a client of a route server |
/// | `Auto` | learned from internal (reflected) | kept | self; kept for a client of a route server |
/// | `SelfForExternal` | learned from external | self | self |
/// | `SelfForExternal` | any other | as `Auto` | as `Auto` |
/// | `ThirdParty` | any, next hop in the shared network | kept | kept |
/// | `ThirdParty` | any, next hop elsewhere | kept | self |
/// | `Unchanged` | any | kept | kept |
/// | `SelfAlways` | any | self | self |
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum NextHopMode {
    /// As RFC 4271 §5.1.3 and RFC 4456 §10 have it. Towards external peers that is always our own address: §5.1.3 allows a
    /// next hop of a third party on a network that the peer shares, and asks for none. That two hosts are in one prefix does not
    /// say that packets pass between them, so it is for [`ThirdParty`](Self::ThirdParty) to say; where others keep such next
    /// hops of single-hop sessions by themselves (BIRD), name the network here. Over several hops they say their own as well.
    #[default]
    Auto,
    /// As `Auto`, but our own address for what was learned from external peers, towards internal ones too.
    SelfForExternal,
    /// As `Auto`, but a next hop that lies in [`PeerParams::shared_network`] is kept towards external peers too
    /// (RFC 4271 §5.1.3: a third-party next hop).
    ThirdParty,
    /// The next hop that was received; our own only where there is none.
    Unchanged,
    /// Our own address, for reflected routes too.
    SelfAlways,
}

/// Which paths of a prefix a peer is told that takes several (RFC 7911). A path that the peer told itself counts among
/// them and is not told back: who told one of the three best hears two.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AddPathSend {
    /// So many in the order of rank: the best, the best of the others, and so on.
    Best(u16),
    /// Every eligible one.
    All,
    /// The best and those that are as good as it through the interior cost: the multipath set.
    EqualCost,
    /// The best of each neighbouring AS.
    PerAs,
}

impl Default for AddPathSend {
    /// The best alone.
    fn default() -> Self {
        Self::Best(1)
    }
}

/// What becomes of routes that are stale already when the session ends once more, before End-of-RIB has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum ConsecutiveRestarts {
    /// They go at once (RFC 4724 §4.2).
    #[default]
    Delete,
    /// They stay as long as the first of these losses lets them: the peer's Restart Time then, and after it the time that
    /// any first table may take (RFC 8538 §4.1). Further losses do not prolong that.
    Keep,
}

/// A session as it was negotiated, and what was configured for it.
#[derive(Clone, Debug)]
pub struct PeerParams {
    /// Internal or external (RFC 4271 §1.1).
    pub kind: PeerKind,
    /// Client or not (RFC 4456 §5).
    pub role: PeerRole,
    /// The AS that we are to this peer.
    pub local_as: Asn,
    /// The peer's AS.
    pub peer_as: Asn,
    /// The peer's BGP identifier, from its OPEN.
    pub peer_router_id: RouterId,
    /// The peer's address: the last but one rung of the ladder, and a next hop that it is never told.
    pub peer_address: IpAddr,
    /// Our address on this session.
    pub local_address: IpAddr,
    /// Our IPv4 next hop for this peer where `local_address` is IPv6.
    pub local_ipv4: Option<Ipv4Addr>,
    /// Our IPv6 next hop for this peer where `local_address` is IPv4.
    pub local_ipv6: Option<Ipv6Addr>,
    /// What was negotiated.
    pub codec: Codec,
    /// The families in which this peer is told routes and may tell them.
    pub families: FamilySet,
    /// Which next hop it is told.
    pub next_hop: NextHopMode,
    /// What we take from it.
    pub import: Policy,
    /// What we tell it.
    pub export: Policy,
    /// Which paths it is told in families in which it takes several; in others of these the best alone.
    pub add_path_send: Vec<(Family, AddPathSend)>,
    /// The most paths of one prefix that it wants (draft-abraitis-idr-addpath-paths-limit), the best first.
    pub paths_limit: Vec<(Family, u16)>,
    /// Another cluster id for this session alone (RFC 4456 §7).
    pub cluster_id: Option<ClusterId>,
    /// How often our own AS may stand in a received AS_PATH (RFC 4271 §9.1.2 says never).
    pub allow_own_as: u8,
    /// An external peer's AS must stand first in its AS_PATH (RFC 4271 §6.3).
    pub enforce_first_as: bool,
    /// Whether both sides bracket a refresh with BoRR and EoRR (RFC 7313).
    pub enhanced_refresh: bool,
    /// Whether the peer sent the Graceful Restart capability, by which it promises End-of-RIB (RFC 4724 §2): until then
    /// its BoRR is ignored (RFC 7313 §4).
    pub graceful_restart: bool,
    /// The families whose stale routes stay when this session takes over from an ended one (RFC 4724 §4.2: forwarding
    /// state preserved); the others go at once.
    pub keep_stale: FamilySet,
    /// The families whose routes stay when the session ends with [`Retain::Stale`](crate::Retain::Stale): those of the
    /// peer's Graceful Restart capability (RFC 4724 §4.2); the others go as with [`Retain::Nothing`](crate::Retain::Nothing).
    pub retained: FamilySet,
    /// How long its routes may stay when the session ends with [`Retain::Stale`](crate::Retain::Stale), until the next is up:
    /// the peer's Restart Time (RFC 4724 §4.2). From then on End-of-RIB ends their stay, or a bound of its own.
    pub stale_time: Duration,
    /// What becomes of stale routes when the session ends with [`Retain::Stale`](crate::Retain::Stale) before End-of-RIB.
    pub consecutive_restarts: ConsecutiveRestarts,
    /// How much it may tell and be told.
    pub limits: Limits,
    /// Long-lived graceful restart as the peer announced it, in the families in use and each there once (RFC 9494): how
    /// long its routes may stay once `stale_time` is over, or at once in a family that is not in `retained`; and whether
    /// it has kept forwarding, without which what was kept so goes as this session takes over. `None`: it was not
    /// agreed on, and the peer is to be sent no route that is stale so.
    pub long_lived: Option<Vec<LongLivedFamily>>,
    /// An internal peer that does not know LLGR is told long-lived stale routes nevertheless, with NO_EXPORT and LOCAL_PREF 0
    /// (RFC 9494 §4.6).
    pub long_lived_partial: bool,
    /// Our role towards an external peer (RFC 9234 §4); what follows from it is in the table of the module `roles`: routes
    /// that leaked take no part, and none is leaked.
    pub bgp_role: Option<Role>,
    /// Routes that an external peer tells with GRACEFUL_SHUTDOWN get LOCAL_PREF 0, whatever policy says (RFC 8326 §4.2).
    pub honour_graceful_shutdown: bool,
    /// This session is about to end: what is told carries GRACEFUL_SHUTDOWN, and LOCAL_PREF 0 inside the AS (RFC 8326 §4.3).
    pub leaving: bool,
    /// We are a route server to this external peer: AS_PATH, next hop (with [`NextHopMode::Auto`]) and MULTI_EXIT_DISC of
    /// what others told are passed on as they are (RFC 7947 §2.2).
    pub route_server_client: bool,
    /// Where the best route is kept from this peer, by policy or because it is its own, it is told the best of the others, as
    /// if it had a Loc-RIB of its own (RFC 7947 §2.3.1). Where it takes several paths those are told instead.
    pub best_per_client: bool,
    /// Whether a client is told routes of other clients of its cluster. Without it they are taken to be fully meshed, and
    /// tell each other (RFC 4456 §6). It says nothing of sessions that are not those of clients.
    pub client_to_client: bool,
    /// AIGP is taken from this peer, counts, and is told to it (AIGP_SESSION, RFC 7311 §3.1).
    pub aigp: bool,
    /// What becomes of private AS numbers in what an external peer is told.
    pub private_as: PrivateAs,
    /// An external peer's own AS is replaced by ours in what it is told, so that its sites may share one AS.
    pub as_override: bool,
    /// How `local_as` shows where it differs from the speaker's.
    pub local_as_mode: LocalAsMode,
    /// The network that we share with the peer, for [`NextHopMode::ThirdParty`].
    pub shared_network: Option<IpNet>,
}

impl PeerParams {
    /// A session with defaults for its kind: all negotiated families, RFC 8212 policies, next hop `Auto`.
    #[must_use]
    pub fn new(
        local_as: Asn,
        peer_as: Asn,
        peer_router_id: RouterId,
        peer: IpAddr,
        local: IpAddr,
        codec: Codec,
    ) -> Self {
        let kind = if local_as == peer_as { PeerKind::Internal } else { PeerKind::External };
        Self {
            kind,
            role: PeerRole::Plain,
            local_as,
            peer_as,
            peer_router_id,
            peer_address: peer,
            local_address: local,
            local_ipv4: None,
            local_ipv6: None,
            families: codec.families,
            keep_stale: codec.families,
            retained: codec.families,
            codec,
            next_hop: NextHopMode::Auto,
            import: Policy::default_for(kind),
            export: Policy::default_for(kind),
            add_path_send: Vec::new(),
            paths_limit: Vec::new(),
            cluster_id: None,
            allow_own_as: 0,
            enforce_first_as: true,
            enhanced_refresh: false,
            graceful_restart: false,
            stale_time: STALE_TIME,
            consecutive_restarts: ConsecutiveRestarts::default(),
            limits: Limits::default(),
            long_lived: None,
            long_lived_partial: false,
            bgp_role: None,
            honour_graceful_shutdown: true,
            leaving: false,
            route_server_client: false,
            best_per_client: false,
            client_to_client: true,
            aigp: kind == PeerKind::Internal,
            private_as: PrivateAs::Keep,
            as_override: false,
            local_as_mode: LocalAsMode::default(),
            shared_network: None,
        }
    }

    /// Our role, which internal sessions do not have (RFC 9234 §5).
    pub(crate) fn bgp_role(&self) -> Option<Role> {
        self.bgp_role.filter(|_| self.kind == PeerKind::External)
    }

    /// Every address that is this speaker on this session, none twice.
    pub(crate) fn own_addresses(&self) -> impl Iterator<Item = IpAddr> {
        let further = [self.local_ipv4.map(IpAddr::V4), self.local_ipv6.map(IpAddr::V6)];
        let own = self.local_address;
        core::iter::once(own).chain(further.into_iter().flatten().filter(move |&address| address != own))
    }

    /// The address that stands for us in IPv4 next hops, if there is one.
    pub(crate) fn self_ipv4(&self) -> Option<Ipv4Addr> {
        match self.local_address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => self.local_ipv4,
        }
    }

    /// The address that stands for us in IPv6 next hops, if there is one.
    pub(crate) fn self_ipv6(&self) -> Option<Ipv6Addr> {
        match self.local_address {
            IpAddr::V6(address) => Some(address),
            IpAddr::V4(_) => self.local_ipv6,
        }
    }
}
