//! From what the caller configures to what the state machine is configured with.

use std::time::Duration;

use bgp_fsm::{IdleHold, SessionConfig};
use bgp_wire::{Afi, GracefulRestart, LongLivedFamily, Safi};

use crate::config::{PeerConfig, is_link_local};
use crate::shared::{Shared, Us};

/// RFC 4724 §3 gives the restart time twelve bits.
const MAX_RESTART_TIME: Duration = Duration::from_secs(4095);
/// RFC 9494 §3.1 gives the long-lived stale time 24 bits.
const MAX_STALE_TIME: Duration = Duration::from_secs(0x00ff_ffff);

/// `restarting` is for the next OPEN; where forwarding state is kept, every OPEN says so.
pub(crate) fn config(shared: &Shared, us: &Us, peer: &PeerConfig, restarting: bool) -> SessionConfig {
    let options = &peer.options;
    let local_as = options.local_as.unwrap_or(us.asn);
    let mut config = SessionConfig::new(local_as, us.router_id, peer.peer_as.clone());
    config.passive = options.passive;
    config.hold_time = options.timers.hold_time;
    config.keepalive = options.timers.keepalive;
    config.connect_retry = options.timers.connect_retry;
    config.idle_hold = IdleHold {
        min: options.timers.idle_hold_min,
        max: options.timers.idle_hold_max.max(options.timers.idle_hold_min),
        forgive: options.timers.idle_hold_forgive,
        ..IdleHold::default()
    };
    config.open_hold_time = options.timers.open_hold;
    config.delay_open = options.timers.delay_open;
    config.collision_wait = options.timers.collision_wait;
    config.send_hold = options.timers.send_hold;
    config.collision_detect_established = options.collision_detect_established;
    config.required = options.required.clone();
    config.role = options.role;
    config.role_strict = options.role_strict;
    config.bfd_strict = options.bfd_strict;
    config.families = options.offered_families();
    let modes = config.families.iter().filter_map(|family| Some((family, options.add_path.mode(family)?)));
    config.add_path = modes.collect();
    let limits = config.families.iter().filter_map(|family| Some((family, options.add_path.limit(family)?)));
    config.paths_limit = limits.collect();
    config.same_domain = options.same_domain;
    config.extended_message = options.extended_message;
    if options.extended_next_hop.unwrap_or(is_link_local(peer.address)) {
        let families = config.families.iter().filter(|family| family.afi == Afi::IPV4);
        // Those whose next hops are addresses of a family (RFC 8950 §3).
        let families =
            families.filter(|f| f.is_ipv4_prefix() || f.is_labeled_unicast() || f.safi == Safi::VPN);
        config.extended_next_hop = families.map(|family| (family, Afi::IPV6)).collect();
    }
    config.graceful_restart = options.graceful_restart.map(|time| GracefulRestart {
        restarting,
        notification: true,
        time: u16::try_from(time.min(MAX_RESTART_TIME).as_secs()).unwrap_or_default(),
        families: config.families.iter().map(|family| (family, shared.forwarding_preserved)).collect(),
    });
    config.long_lived = options.long_lived.map(|time| {
        let stale_time = u32::try_from(time.min(MAX_STALE_TIME).as_secs()).unwrap_or_default();
        let forwarding = shared.forwarding_preserved;
        config.families.iter().map(|family| LongLivedFamily { family, forwarding, stale_time }).collect()
    });
    config
}
