//! The OPEN that we send.

use bgp_wire::{Capability, FamilySet, Open};
use bytes::{Bytes, BytesMut};

use crate::SessionConfig;

/// Our OPEN, encoded.
pub(crate) fn encode(config: &SessionConfig) -> Bytes {
    let mut out = BytesMut::new();
    our_open(config).encode(&mut out);
    out.freeze()
}

fn our_open(config: &SessionConfig) -> Open {
    Open {
        version: 4,
        my_as: config.local_as.to_two_octets(),
        hold_time: hold_seconds(config),
        router_id: config.router_id,
        capabilities: capabilities(config),
    }
}

/// Hold Time as the OPEN can say it: 0 or 3 to 65,535 s (RFC 4271 §4.2).
pub(crate) fn hold_seconds(config: &SessionConfig) -> u16 {
    if config.hold_time.is_zero() {
        return 0;
    }
    u16::try_from(config.hold_time.as_secs()).unwrap_or(u16::MAX).max(3)
}

/// One multiprotocol capability for each family (RFC 4760 §8).
pub(crate) fn multiprotocol(families: FamilySet) -> impl Iterator<Item = Capability> {
    families.iter().map(Capability::Multiprotocol)
}

fn capabilities(config: &SessionConfig) -> Vec<Capability> {
    let mut out: Vec<Capability> = multiprotocol(config.families).collect();
    let simple = [
        (config.route_refresh, Capability::RouteRefresh),
        (config.enhanced_refresh, Capability::EnhancedRouteRefresh),
        (config.extended_message, Capability::ExtendedMessage),
        (config.four_octet_as, Capability::FourOctetAs(config.local_as)),
    ];
    out.extend(simple.into_iter().filter(|(on, _)| *on).map(|(_, capability)| capability));
    if !config.extended_next_hop.is_empty() {
        out.push(Capability::ExtendedNextHop(config.extended_next_hop.clone()));
    }
    if !config.add_path.is_empty() {
        out.push(Capability::AddPath(config.add_path.clone()));
    }
    if !config.paths_limit.is_empty() {
        out.push(Capability::PathsLimit(config.paths_limit.clone()));
    }
    if let Some(restart) = &config.graceful_restart {
        out.push(Capability::GracefulRestart(restart.clone()));
        // It means nothing without the other (RFC 9494 §3.1).
        out.extend(config.long_lived.clone().map(Capability::LongLivedGracefulRestart));
    }
    out.extend(config.role.map(Capability::Role));
    out.extend(config.extra_capabilities.iter().cloned());
    out
}
