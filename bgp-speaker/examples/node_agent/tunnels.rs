//! How a next hop is reached: plainly, or through the tunnel that the destination's pool asks for.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use bgp_speaker::kernel::{Device, NextHopAction, NextHopQuery};
use ipnet::IpNet;

use crate::cluster::{Cluster, Encapsulation, Node, Pool};

/// The ways as the description has them now; clones see the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tunnels {
    ways: Arc<RwLock<Ways>>,
}

/// What an answer depends on.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Ways {
    pools: Vec<Pool>,
    /// The subnets of this node.
    own: Vec<IpNet>,
    /// The far ends of VXLAN tunnels: a node's address, and its end of the tunnel of the same family.
    ends: Vec<(IpAddr, IpAddr)>,
}

impl Ways {
    /// As a description has them.
    pub(crate) fn of(cluster: &Cluster, this: &Node) -> Self {
        let ends = cluster.node.iter().flat_map(|node| {
            let addresses = node.addresses.iter().map(IpNet::addr);
            addresses.filter_map(|address| {
                let end = node.tunnel.iter().find(|end| end.is_ipv4() == address.is_ipv4())?;
                Some((address, *end))
            })
        });
        Self {
            pools: cluster.pool.clone(),
            own: this.addresses.iter().map(IpNet::trunc).collect(),
            ends: ends.collect(),
        }
    }
}

impl Tunnels {
    /// Goes by these ways from now on; the former ones, if they were others.
    pub(crate) fn set(&self, ways: Ways) -> Option<Ways> {
        let mut known = self.ways.write().unwrap_or_else(PoisonError::into_inner);
        if *known == ways { None } else { Some(std::mem::replace(&mut known, ways)) }
    }

    /// What the kernel is to do with one next hop of one route.
    pub(crate) fn action(&self, query: &NextHopQuery) -> NextHopAction {
        let ways = self.ways.read().unwrap_or_else(PoisonError::into_inner);
        let within = ways.pools.iter().filter(|pool| pool.prefix.contains(&query.prefix));
        let Some(pool) = within.max_by_key(|pool| pool.prefix.prefix_len()) else {
            return NextHopAction::Direct;
        };
        let near = ways.own.iter().any(|subnet| subnet.contains(&query.next_hop));
        let Some(device) = pool.device.as_deref().map(Device::from) else { return NextHopAction::Direct };
        match pool.encapsulation {
            Encapsulation::None => NextHopAction::Direct,
            Encapsulation::VxlanCrossSubnet | Encapsulation::IpipCrossSubnet if near => NextHopAction::Direct,
            Encapsulation::Ipip | Encapsulation::IpipCrossSubnet => {
                NextHopAction::Encap { device, gateway: query.next_hop }
            }
            Encapsulation::Vxlan | Encapsulation::VxlanCrossSubnet => {
                match ways.ends.iter().find(|(node, _)| *node == query.next_hop) {
                    Some((_, end)) => NextHopAction::Encap { device, gateway: *end },
                    // A router that is no node has no end of a tunnel.
                    None => NextHopAction::Direct,
                }
            }
        }
    }
}
