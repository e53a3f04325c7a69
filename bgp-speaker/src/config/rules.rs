//! How routes pass over a session, besides by policy.

use bgp_rib::{AddPathSend, ConsecutiveRestarts, LocalAsMode, PrivateAs};
use bgp_wire::{AddPathMode, ClusterId, Family, FamilySet};
use ipnet::IpNet;

/// How routes change on their way from and to a peer, besides by policy. It may change while the session goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteRules {
    /// An external peer's AS must stand first in its AS_PATH (RFC 4271 §6.3); not so where the peer is a route server.
    /// Default `true`.
    pub enforce_first_as: bool,
    /// We are a route server to this external peer: path, next hop and MED pass as they are (RFC 7947). Default `false`.
    pub route_server_client: bool,
    /// Where the best route is kept from this peer it is told the best of the others, as if it had a table of its own: what
    /// the clients of a route server need (RFC 7947 §2.3). Default `false`.
    pub best_per_client: bool,
    /// The cluster of this client, or the one that this non-client's routes are reflected in, where it is not the speaker's
    /// (RFC 4456 §7). Default: the speaker's.
    pub cluster_id: Option<ClusterId>,
    /// Whether a route reflector client is told routes of other clients of its cluster; not so where they are fully meshed
    /// (RFC 4456 §6). Default `true`.
    pub client_to_client: bool,
    /// AIGP is taken, counts and is told (AIGP_SESSION, RFC 7311 §3.1). Default: with internal peers.
    pub aigp: Option<bool>,
    /// Routes that an external peer tells with GRACEFUL_SHUTDOWN are the last choice (RFC 8326). Default `true`.
    pub honour_graceful_shutdown: bool,
    /// The session is about to end: what is told carries GRACEFUL_SHUTDOWN (RFC 8326). Default `false`.
    pub leaving: bool,
    /// An internal peer that does not know long-lived graceful restart is told long-lived stale routes nevertheless, as the
    /// last choice (RFC 9494 §4.6). Default `false`.
    pub long_lived_partial: bool,
    /// What becomes of routes that are stale already when the session is lost again before End-of-RIB. Default: they stay in
    /// a mesh and where both ends announced the N bit (RFC 8538 §4.1), within the time of the first loss; else they go (RFC
    /// 4724 §4.2).
    pub consecutive_restarts: Option<ConsecutiveRestarts>,
    /// Private AS numbers in what an external peer is told (RFC 6996). Default: they stay.
    pub private_as: PrivateAs,
    /// An external peer's own AS is replaced by ours in what it is told. Default `false`.
    pub as_override: bool,
    /// How [`SessionOptions::local_as`](crate::SessionOptions::local_as) shows in paths. Default: alone, as if the speaker were of that AS.
    pub local_as: LocalAsMode,
    /// The network that we share with the peer, for [`NextHopMode::ThirdParty`](crate::NextHopMode::ThirdParty). Default: none.
    pub shared_network: Option<IpNet>,
}

impl Default for RouteRules {
    fn default() -> Self {
        Self {
            enforce_first_as: true,
            route_server_client: false,
            best_per_client: false,
            cluster_id: None,
            client_to_client: true,
            aigp: None,
            honour_graceful_shutdown: true,
            leaving: false,
            long_lived_partial: false,
            consecutive_restarts: None,
            private_as: PrivateAs::Keep,
            as_override: false,
            local_as: LocalAsMode::default(),
            shared_network: None,
        }
    }
}

/// Several paths of a prefix on one session (RFC 7911). Either direction takes both sides. Families that the session does not
/// offer are passed over.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AddPath {
    /// Take several, in every family of the session. Default `false`.
    pub receive: bool,
    /// Take several in these families, whatever `receive` says. Default: none.
    pub receive_in: FamilySet,
    /// The most paths of a prefix that the peer is asked to send, in every family in which several are taken
    /// (draft-abraitis-idr-addpath-paths-limit). Default: no limit.
    pub limit: Option<u16>,
    /// The same in single families, instead of `limit`.
    pub limit_in: Vec<(Family, u16)>,
    /// Which to send, in every family of the session. Default: none, the best path alone goes. What the peer gives as its
    /// limit is kept.
    pub send: Option<AddPathSend>,
    /// Which to send in single families, instead of `send`.
    pub send_in: Vec<(Family, AddPathSend)>,
}

impl AddPath {
    /// Which paths of a family to send, if more than the best are to go at all.
    pub(crate) fn sends(&self, family: Family) -> Option<AddPathSend> {
        let single = self.send_in.iter().find(|(of, _)| *of == family).map(|(_, send)| *send);
        single.or(self.send)
    }

    /// Whether several paths of a family are taken.
    fn receives(&self, family: Family) -> bool {
        self.receive || self.receive_in.contains(family)
    }

    /// The most paths of a prefix that are taken; `None`: as many as come.
    pub(crate) fn limit(&self, family: Family) -> Option<u16> {
        let single = self.limit_in.iter().find(|(of, _)| *of == family).map(|(_, limit)| *limit);
        single.or(self.limit).filter(|&limit| limit > 0 && self.receives(family))
    }

    /// What the OPEN says of a family; `None` for nothing.
    pub(crate) fn mode(&self, family: Family) -> Option<AddPathMode> {
        match (self.receives(family), self.sends(family).is_some()) {
            (true, true) => Some(AddPathMode::BOTH),
            (true, false) => Some(AddPathMode::RECEIVE),
            (false, true) => Some(AddPathMode::SEND),
            (false, false) => None,
        }
    }
}
