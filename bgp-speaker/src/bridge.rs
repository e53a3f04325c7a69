//! The one translation from what a session says to what the tables are told. Pure: no socket, no clock, no task.

use std::net::IpAddr;
use std::time::Duration;

use bgp_fsm::{DownReason, Negotiated};
use bgp_rib::{ConsecutiveRestarts, PeerId, PeerParams, PeerRole, Policy, Retain};
use bgp_wire::{FamilySet, PeerKind, RouteRefresh, Update};

use crate::config::{PeerClass, PeerConfig};

/// What a peer's task tells the tables, in the order in which it happened.
#[derive(Debug)]
pub(crate) enum ToRib {
    Up(Box<PeerParams>),
    Update(Update),
    Refresh(RouteRefresh),
    /// The session goes on under another configuration.
    Change(Box<PeerParams>),
    Down(Retain),
}

impl ToRib {
    /// Hands this to the tables.
    pub(crate) fn apply(self, rib: &mut bgp_rib::Rib, now: Duration, peer: PeerId) {
        match self {
            Self::Up(params) => rib.handle(now, bgp_rib::Input::PeerUp(peer, params)),
            Self::Update(update) => rib.handle(now, bgp_rib::Input::Update(peer, &update.view())),
            Self::Refresh(refresh) => rib.handle(now, bgp_rib::Input::Refresh(peer, refresh)),
            Self::Change(params) => rib.handle(now, bgp_rib::Input::PeerChange(peer, params)),
            Self::Down(retain) => rib.handle(now, bgp_rib::Input::PeerDown(peer, retain)),
        }
    }
}

/// A session came up: what the tables have to know of it.
pub(crate) fn up(negotiated: &Negotiated, config: &PeerConfig, ends: Ends, leaving: bool) -> ToRib {
    ToRib::Up(params(negotiated, config, ends, leaving))
}

/// A session that is up goes on under another configuration.
pub(crate) fn change(negotiated: &Negotiated, config: &PeerConfig, ends: Ends, leaving: bool) -> ToRib {
    ToRib::Change(params(negotiated, config, ends, leaving))
}

/// The addresses of a session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) local: IpAddr,
    pub(crate) remote: IpAddr,
}

fn params(negotiated: &Negotiated, config: &PeerConfig, ends: Ends, leaving: bool) -> Box<PeerParams> {
    let options = &config.options;
    let mut params = PeerParams::new(
        negotiated.local_as,
        negotiated.peer_as,
        negotiated.peer_router_id,
        ends.remote,
        ends.local,
        negotiated.codec,
    );
    params.kind = negotiated.kind;
    params.aigp = negotiated.kind == PeerKind::Internal;
    params.families = negotiated.families;
    // Clients are of our own AS (RFC 4456 §2): a template for any AS makes no client of an external peer.
    if options.route_reflector_client && negotiated.kind == PeerKind::Internal {
        params.role = PeerRole::Client;
    }
    params.local_ipv4 = options.next_hop_v4;
    params.local_ipv6 = options.next_hop_v6;
    params.next_hop = options.next_hop;
    params.import = options.import.clone().unwrap_or_else(|| Policy::default_for(negotiated.kind));
    params.export = options.export.clone().unwrap_or_else(|| Policy::default_for(negotiated.kind));
    let sends = |family| Some((family, options.add_path.sends(family)?));
    params.add_path_send = negotiated.families.iter().filter_map(sends).collect();
    params.paths_limit.clone_from(&negotiated.paths_limit);
    params.allow_own_as = options.allow_own_as;
    params.limits = options.limits.clone();
    params.bgp_role = options.role;
    let rules = &options.rules;
    params.enforce_first_as = rules.enforce_first_as;
    params.route_server_client = rules.route_server_client;
    params.best_per_client = rules.best_per_client;
    params.cluster_id = rules.cluster_id;
    params.client_to_client = rules.client_to_client;
    params.aigp = rules.aigp.unwrap_or(params.aigp);
    params.honour_graceful_shutdown = rules.honour_graceful_shutdown;
    params.leaving = rules.leaving || leaving;
    params.long_lived_partial = rules.long_lived_partial;
    // A node of a mesh whose agent dies twice in a row has forwarded all the time, whatever it says.
    let keeps = negotiated.notification_restart || config.class == PeerClass::NodeToNodeMesh;
    let usual = if keeps { ConsecutiveRestarts::Keep } else { ConsecutiveRestarts::Delete };
    params.consecutive_restarts = rules.consecutive_restarts.unwrap_or(usual);
    params.private_as = rules.private_as;
    params.as_override = rules.as_override;
    params.local_as_mode = rules.local_as;
    params.shared_network = rules.shared_network;
    params.enhanced_refresh = negotiated.enhanced_refresh;
    params.retained = negotiated.retained;
    params.graceful_restart = negotiated.graceful_restart.is_some();
    // What was kept of a former session stays only where the peer says that it forwards on (RFC 4724 §4.2).
    params.long_lived.clone_from(&negotiated.long_lived);
    params.keep_stale = FamilySet::empty();
    if let Some(restart) = &negotiated.graceful_restart {
        params.stale_time = Duration::from_secs(u64::from(restart.time));
        for (family, _) in restart.families.iter().filter(|(_, forwarding)| *forwarding) {
            params.keep_stale.insert(*family);
        }
    }
    Box::new(params)
}

/// The peer forwards no more: nothing is kept of a session that has ended (RFC 5882 §4.3.1).
pub(crate) fn forwarding_lost() -> ToRib {
    ToRib::Down(Retain::Nothing)
}

/// A session that was up ended.
pub(crate) fn down(reason: &DownReason) -> ToRib {
    ToRib::Down(if reason.retain { Retain::Stale } else { Retain::Nothing })
}
