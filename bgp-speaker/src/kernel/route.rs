//! Routes as the follower is told them, and as the kernel holds them.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ipnet::IpNet;

use super::shares::scaled;

/// Most legs of one multipath route. RTA_MULTIPATH has a 16-bit length, and 256 IPv6 legs take 9 KiB of it;
/// the kernel's own hash spreads no better over more.
pub const MAX_LEGS: usize = 256;

/// A network interface, by the kernel's index or by name (looked up when the route is written).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Device {
    /// Interface index.
    Index(u32),
    /// Interface name, as `ip link` shows it.
    Name(Arc<str>),
}

impl From<&str> for Device {
    fn from(name: &str) -> Self {
        Self::Name(name.into())
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(f, "interface {index}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// One BGP next hop of a route.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FibNextHop {
    /// NEXT_HOP as BGP gives it; need not be on a connected network.
    pub gateway: IpAddr,
    /// Interface to use; needed for an IPv6 link-local gateway. `None` = looked up in the kernel's tables.
    pub device: Option<Device>,
    /// The gateway is taken to be on the link of `device` whatever its address is.
    pub onlink: bool,
    /// Share of the traffic relative to the other next hops, at least 1. What comes of it for the legs is scaled to the 256
    /// steps that the kernel has.
    pub weight: u16,
}

impl FibNextHop {
    /// A plain next hop with weight 1, resolved through the kernel's tables.
    pub fn new(gateway: IpAddr) -> Self {
        Self { gateway, device: None, onlink: false, weight: 1 }
    }

    /// The same next hop through `device`.
    pub fn on(mut self, device: impl Into<Device>) -> Self {
        self.device = Some(device.into());
        self
    }
}

/// What the kernel shall do with packets to a prefix.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FibAction {
    /// Forward to one of these next hops (shared: many prefixes have the same set).
    Unicast(Arc<[FibNextHop]>),
    /// Drop silently.
    Blackhole,
    /// Drop with ICMP host unreachable.
    Unreachable,
    /// Drop with ICMP administratively prohibited.
    Prohibit,
}

/// A route that shall be in the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FibRoute {
    /// Destination.
    pub prefix: IpNet,
    /// Table of this route; `None` = [`KernelConfig::table`](super::KernelConfig::table). Another one has to be among
    /// [`KernelConfig::tables`](super::KernelConfig::tables).
    pub table: Option<u32>,
    /// Metric of this route; `None` = [`KernelConfig::metric`](super::KernelConfig::metric).
    pub metric: Option<u32>,
    /// What to do with its packets.
    pub action: FibAction,
}

impl FibRoute {
    /// A route in the configured table with the configured metric.
    pub fn new(prefix: IpNet, action: FibAction) -> Self {
        Self { prefix, table: None, metric: None, action }
    }

    /// A route over these next hops.
    pub fn unicast(prefix: IpNet, next_hops: impl IntoIterator<Item = FibNextHop>) -> Self {
        Self::new(prefix, FibAction::Unicast(next_hops.into_iter().collect()))
    }

    /// A route over one gateway.
    pub fn via(prefix: IpNet, gateway: IpAddr) -> Self {
        Self::unicast(prefix, [FibNextHop::new(gateway)])
    }

    /// A route that drops silently.
    pub fn blackhole(prefix: IpNet) -> Self {
        Self::new(prefix, FibAction::Blackhole)
    }
}

/// One change of the desired state; the last one for a prefix wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FibChange {
    /// This route shall be there, in place of any former one for the prefix.
    Set(FibRoute),
    /// No route for this prefix shall be there.
    Remove(IpNet),
}

/// What tells one route from another, apart from who owns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteKey {
    /// Destination.
    pub prefix: IpNet,
    /// Routing table.
    pub table: u32,
    /// Metric (RTA_PRIORITY); lower wins.
    pub metric: u32,
}

impl fmt::Display for RouteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} table {} metric {}", self.prefix, self.table, self.metric)
    }
}

/// One leg of a route as the kernel holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KernelHop {
    /// Gateway; `None` = the destination itself is on the link.
    pub gateway: Option<IpAddr>,
    /// Interface index.
    pub device: u32,
    /// RTNH_F_ONLINK.
    pub onlink: bool,
    /// 1 to 256.
    pub weight: u16,
}

/// What a route does, as the kernel holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelAction {
    /// Forward over these legs, sorted; made by [`KernelAction::unicast`].
    Unicast(Arc<[KernelHop]>),
    /// RTN_BLACKHOLE.
    Blackhole,
    /// RTN_UNREACHABLE.
    Unreachable,
    /// RTN_PROHIBIT.
    Prohibit,
    /// Something that this follower never writes (an encapsulation, a nexthop object, ...).
    Other,
}

impl KernelAction {
    /// The canonical form of a leg set: sorted, each leg once with all that goes over it, one leg alone has weight 1.
    pub fn unicast(legs: Vec<KernelHop>) -> Self {
        Self::weighed(legs.into_iter().map(|leg| (leg, u64::from(leg.weight))).collect())
    }

    /// The same of legs that have these weights among themselves.
    pub(super) fn weighed(mut legs: Vec<(KernelHop, u64)>) -> Self {
        legs.sort_unstable_by_key(|(leg, _)| (leg.gateway, leg.device));
        legs.dedup_by(|(next, more), (leg, weight)| {
            let same = (next.gateway, next.device) == (leg.gateway, leg.device);
            if same {
                *weight = weight.saturating_add(*more);
                // Where one of them has to be taken to be on the link, it does the other no harm.
                leg.onlink |= next.onlink;
            }
            same
        });
        legs.truncate(MAX_LEGS);
        let weights: Vec<u64> = legs.iter().map(|(_, weight)| *weight).collect();
        let weights = if legs.len() == 1 { vec![1] } else { scaled(&weights) };
        Self::Unicast(
            legs.iter().zip(weights).map(|((leg, _), weight)| KernelHop { weight, ..*leg }).collect(),
        )
    }
}

/// Protocols under which this process writes or has written routes: one that was ours once is never learned from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Protocols(Arc<[AtomicU64; 4]>);

impl Protocols {
    pub(crate) fn insert(&self, protocol: u8) {
        self.0[usize::from(protocol / 64)].fetch_or(1 << (protocol % 64), Ordering::Relaxed);
    }

    pub(crate) fn contains(&self, protocol: u8) -> bool {
        self.0[usize::from(protocol / 64)].load(Ordering::Relaxed) & (1 << (protocol % 64)) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leg_order_and_a_lone_weight_make_no_difference_and_a_leg_that_is_there_twice_weighs_double() {
        let leg = |last: u8, weight| KernelHop {
            gateway: Some(IpAddr::from([10, 0, 0, last])),
            device: 2,
            onlink: false,
            weight,
        };
        assert_eq!(
            KernelAction::unicast(vec![leg(2, 1), leg(1, 1), leg(2, 1)]),
            KernelAction::unicast(vec![leg(1, 1), leg(2, 2)])
        );
        assert_eq!(KernelAction::unicast(vec![leg(1, 9)]), KernelAction::unicast(vec![leg(1, 1)]));
        assert_ne!(
            KernelAction::unicast(vec![leg(1, 2), leg(2, 1)]),
            KernelAction::unicast(vec![leg(1, 1), leg(2, 1)])
        );
    }
}
