//! Settings of the kernel export and the next-hop hook.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bgp_rib::Policy;
use ipnet::IpNet;

use super::error::ConfigError;
use super::route::Device;

/// Settings of the kernel export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelConfig {
    /// Routing table; default 254 (main).
    pub table: u32,
    /// Further tables that routes may ask for ([`FibRoute::table`](super::FibRoute::table), policy's `set table`); default
    /// none. In them, too, every route with `protocol` is ours.
    pub tables: Vec<u32>,
    /// The VRF whose table `table` is: next hops are looked up in it, and nothing of the main table leads to them. Default none:
    /// next hops are looked up as packets of this host are, wherever the routes stand.
    pub vrf: Option<Device>,
    /// Origin that marks our routes (`proto` in `ip route`); default 186 (RTPROT_BGP). In `table`, every route with
    /// this number is ours: no two programs may share it.
    pub protocol: u8,
    /// Metric of routes that bring none; default 186. NLM_F_REPLACE does not look at the protocol, so the default
    /// keeps clear of FRR's 20, BIRD's 32 and IPv6's 1024.
    pub metric: u32,
    /// Whether routes share nexthop objects where the kernel has them (Linux 5.3) and they win; default yes. They win for
    /// next hops on several links (a lost link is out of all routes at once) and for thousands of routes over the same next
    /// hops (written in two thirds of the time). Other routes carry their next hops: the kernel keeps those, and not those
    /// over an object, while the carrier of their link is lost.
    pub nexthop_objects: bool,
    /// Whether routes stay in the kernel when the follower ends; default yes (forwarding survives a restart).
    pub keep_routes_at_exit: bool,
    /// Which best routes are exported, and with which metric and table; default none: all that peers told, as their import
    /// policy says. The interface that it sees is that of the way to the best route's next hop, where next hops are tracked, and
    /// it is asked again as that changes; where it sets weights it is asked about each next hop of a multipath route.
    pub policy: Option<Policy>,
    /// Decides per next hop how it is reached; default none: every next hop is [`NextHopAction::Direct`].
    pub next_hop: Option<NextHopHook>,
    /// Whether a next hop may be reached through the default route; default yes (a node behind its top-of-rack switch).
    pub resolve_via_default: bool,
    /// Whether the decision process hears of ways to next hops: routes without one are neither used nor passed on, and of
    /// equal ones the nearest wins (RFC 4271 §9.1.2.1); default yes.
    pub track_next_hops: bool,
    /// How long events are gathered before the table is compared; default 100 ms: a link that flaps sends several.
    pub debounce: Duration,
    /// How often the kernel's table is compared without any event; default 5 min, `None` = never.
    pub verify_interval: Option<Duration>,
}

impl Default for KernelConfig {
    fn default() -> Self {
        Self {
            table: 254,
            tables: Vec::new(),
            vrf: None,
            protocol: 186,
            metric: 186,
            nexthop_objects: true,
            keep_routes_at_exit: true,
            policy: None,
            next_hop: None,
            resolve_via_default: true,
            track_next_hops: true,
            debounce: Duration::from_millis(100),
            verify_interval: Some(Duration::from_secs(300)),
        }
    }
}

impl KernelConfig {
    /// Refuses settings under which routes of others could be touched.
    pub fn check(&self) -> Result<(), ConfigError> {
        match self {
            Self { protocol: 0..=4, .. } => Err(ConfigError::Protocol(self.protocol)),
            Self { metric: 0, .. } => Err(ConfigError::Metric),
            Self { table: 254, vrf: Some(_), .. } => Err(ConfigError::Vrf),
            _ => match self.own_tables().find(|table| matches!(table, 0 | 255)) {
                Some(table) => Err(ConfigError::Table(table)),
                None => Ok(()),
            },
        }
    }

    /// Every table in which routes of ours may stand; `table` first.
    pub(crate) fn own_tables(&self) -> impl Iterator<Item = u32> + '_ {
        std::iter::once(self.table).chain(self.tables.iter().copied().filter(|table| *table != self.table))
    }
}

/// What the hook is asked about.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct NextHopQuery {
    /// Destination of the route.
    pub prefix: IpNet,
    /// NEXT_HOP of this leg.
    pub next_hop: IpAddr,
    /// Metric of the route.
    pub metric: u32,
}

impl NextHopQuery {
    pub(super) fn new(prefix: IpNet, next_hop: IpAddr, metric: u32) -> Self {
        Self { prefix, next_hop, metric }
    }
}

/// How one next hop of one route is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NextHopAction {
    /// As the kernel's tables say: on a connected network, or through the gateway that leads there.
    Direct,
    /// Through `gateway` on `device`, taken to be on the link (RTNH_F_ONLINK).
    Onlink {
        /// Interface.
        device: Device,
        /// Gateway on it.
        gateway: IpAddr,
    },
    /// Into the tunnel `device` (IPIP, VXLAN), with `gateway` the far end of the tunnel; never resolved further.
    Encap {
        /// Tunnel interface.
        device: Device,
        /// Far end, usually the NEXT_HOP itself.
        gateway: IpAddr,
    },
    /// Not by this follower: the leg is left out, and a route without legs is not written.
    Skip,
}

/// `Fn(query) -> action`, asked again for every route after [`FollowerSender::rehook`](super::FollowerSender::rehook).
/// It runs on the follower's thread and must not block.
#[derive(Clone)]
pub struct NextHopHook(Arc<dyn Fn(NextHopQuery) -> NextHopAction + Send + Sync>);

impl NextHopHook {
    /// Wraps a function.
    pub fn new(hook: impl Fn(NextHopQuery) -> NextHopAction + Send + Sync + 'static) -> Self {
        Self(Arc::new(hook))
    }

    pub(super) fn ask(&self, query: NextHopQuery) -> NextHopAction {
        (self.0)(query)
    }
}

/// The same function, not one that answers the same.
impl PartialEq for NextHopHook {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for NextHopHook {}

impl fmt::Debug for NextHopHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NextHopHook")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_would_touch_routes_of_others_are_refused() {
        assert_eq!(KernelConfig::default().check(), Ok(()));
        let with = |edit: fn(&mut KernelConfig)| {
            let mut config = KernelConfig::default();
            edit(&mut config);
            config.check()
        };
        assert_eq!(with(|c| c.protocol = 4), Err(ConfigError::Protocol(4)));
        assert_eq!(with(|c| c.table = 255), Err(ConfigError::Table(255)));
        assert_eq!(with(|c| c.tables = vec![100, 0]), Err(ConfigError::Table(0)));
        assert_eq!(with(|c| c.metric = 0), Err(ConfigError::Metric));
        assert_eq!(with(|c| c.vrf = Some("red".into())), Err(ConfigError::Vrf));
    }
}
