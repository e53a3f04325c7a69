//! The description of a cluster, as every node is given it.
//!
//! ```toml
//! asn = 64512                             # of nodes that say no other
//!
//! [mesh]                                  # every table and key here may be left out
//! enabled = true                          # false: nodes peer as reflectors and [[peering]] say, and not because they are nodes
//! dialer = "numeric"                      # or "calico-string", in a mesh with Calico's BIRD nodes
//! hold-time = 90
//! priority = 1024                         # of this node's own routes, as Calico tells it: LOCAL_PREF 2147483647 less that; 100 when left out
//! password-file = "/etc/node-agent/mesh"
//! max-paths = 8                           # next hops of a route in the kernel
//!
//! [[node]]
//! name = "east"
//! addresses = ["10.0.0.1/24", "fd00::1/64"]   # with the length of the node's own subnet, for cross-subnet pools
//! blocks = ["10.65.0.0/26"]               # what the node announces; packets to an address that no workload has end here
//! workloads = ["10.65.9.7/32"]            # single addresses from another node's block: announced beside it
//! tunnel = ["10.65.0.1"]                  # the node's end of VXLAN tunnels
//!
//! [[node]]
//! name = "reflector-1"
//! addresses = ["10.0.0.9/24"]
//! cluster-id = "244.0.0.1"                # a route reflector, in no mesh; two of one cluster have the same
//! labels = { rack = "7" }                 # for [[peering]]
//!
//! [[peering]]                             # in place of "all nodes peer with all reflectors": any of these takes it away
//! nodes = { label = "rack", value = "7" } # all nodes when left out; also { name = "east" } and { reflectors = true }
//! with = { reflectors = true }            # { label = "rack" }: with any value
//! reverse = true                          # false: the nodes of `with` have it only if another peering says so
//!
//! [[pool]]
//! prefix = "10.65.0.0/16"
//! encapsulation = "vxlan-cross-subnet"    # "none" (default), "vxlan", "ipip", and each with "-cross-subnet"
//! device = "vxlan.calico"                 # the tunnel's device: needed with an encapsulation
//! export = true                           # false: its routes are told to nobody outside the mesh
//!
//! [[peer]]                                # a router beyond the nodes
//! address = "10.0.0.254"
//! asn = 64600
//! nodes = ["east"]                        # all nodes when left out: of two for one address, one of all nodes counts
//! ```
//!
//! A file of JSON has the same shape. In a directory each `.toml` and `.json` file holds any part of it: lists are put
//! together in the order of the files' names.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use bgp_speaker::{Asn, BGP_PORT, MeshDialer, RouterId};
use ipnet::IpNet;
use serde::Deserialize;

/// A whole cluster.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Cluster {
    pub(crate) asn: Option<u32>,
    pub(crate) mesh: Mesh,
    pub(crate) node: Vec<Node>,
    pub(crate) peering: Vec<Peering>,
    pub(crate) pool: Vec<Pool>,
    pub(crate) peer: Vec<Peer>,
}

/// How nodes peer with each other.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Mesh {
    pub(crate) enabled: bool,
    pub(crate) dialer: Dialer,
    pub(crate) hold_time: Option<u16>,
    pub(crate) priority: Option<u32>,
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) max_paths: usize,
}

impl Default for Mesh {
    fn default() -> Self {
        Self {
            enabled: true,
            dialer: Dialer::default(),
            hold_time: None,
            priority: None,
            password_file: None,
            max_paths: 8,
        }
    }
}

/// Which node of a pair dials.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Dialer {
    #[default]
    Numeric,
    CalicoString,
}

impl From<Dialer> for MeshDialer {
    fn from(dialer: Dialer) -> Self {
        match dialer {
            Dialer::Numeric => Self::Numeric,
            Dialer::CalicoString => Self::CalicoString,
        }
    }
}

/// One node.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) addresses: Vec<IpNet>,
    pub(crate) asn: Option<u32>,
    #[serde(default = "bgp_port")]
    pub(crate) port: u16,
    pub(crate) cluster_id: Option<Ipv4Addr>,
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) blocks: BTreeSet<IpNet>,
    #[serde(default)]
    pub(crate) workloads: BTreeSet<IpNet>,
    #[serde(default)]
    pub(crate) tunnel: Vec<IpAddr>,
}

const fn bgp_port() -> u16 {
    BGP_PORT
}

/// Sessions between nodes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Peering {
    pub(crate) nodes: Option<Select>,
    pub(crate) with: Select,
    #[serde(default = "yes")]
    pub(crate) reverse: bool,
}

/// Some nodes: those that all of the keys that are there speak of.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Select {
    pub(crate) name: Option<String>,
    pub(crate) label: Option<String>,
    pub(crate) value: Option<String>,
    pub(crate) reflectors: Option<bool>,
}

/// Addresses of workloads, and how packets to them travel.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Pool {
    pub(crate) prefix: IpNet,
    #[serde(default)]
    pub(crate) encapsulation: Encapsulation,
    pub(crate) device: Option<String>,
    #[serde(default = "yes")]
    pub(crate) export: bool,
    /// Its blocks are of one node each: two that tell one are told of.
    #[serde(default)]
    pub(crate) one_origin: bool,
}

const fn yes() -> bool {
    true
}

/// How packets of a pool travel between nodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Encapsulation {
    #[default]
    None,
    Vxlan,
    VxlanCrossSubnet,
    Ipip,
    IpipCrossSubnet,
}

/// A router beyond the nodes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    pub(crate) asn: u32,
    #[serde(default = "bgp_port")]
    pub(crate) port: u16,
    pub(crate) nodes: Option<BTreeSet<String>>,
    pub(crate) password_file: Option<PathBuf>,
    /// At most so many hops away (RFC 5082).
    pub(crate) ttl_security: Option<u8>,
}

impl Cluster {
    /// What two files say together.
    pub(crate) fn merge(&mut self, other: Self) -> Result<(), String> {
        if other.asn.is_some() && self.asn.is_some() && self.asn != other.asn {
            return Err("another file names another asn".into());
        }
        self.asn = self.asn.or(other.asn);
        if other.mesh != Mesh::default() {
            if self.mesh != Mesh::default() {
                return Err("another file has a [mesh] already".into());
            }
            self.mesh = other.mesh;
        }
        self.node.extend(other.node);
        self.peering.extend(other.peering);
        self.pool.extend(other.pool);
        self.peer.extend(other.peer);
        Ok(())
    }

    /// Refuses what no speaker could be asked to be.
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut names = BTreeSet::new();
        for node in &self.node {
            let name = &node.name;
            if !names.insert(name) {
                return Err(format!("there are two nodes {name:?}"));
            }
            if node.addresses.is_empty() {
                return Err(format!("node {name:?} has no address"));
            }
            if node.asn.or(self.asn).is_none() {
                return Err(format!("node {name:?} has no asn, and the cluster names none"));
            }
        }
        let mut addresses = BTreeMap::new();
        for (name, address) in self.node.iter().flat_map(|n| n.addresses.iter().map(|a| (&n.name, a.addr())))
        {
            if let Some(other) = addresses.insert(address, name) {
                return Err(format!("{address} is an address of node {other:?} and of node {name:?}"));
            }
        }
        let strange =
            self.peer.iter().flat_map(|peer| peer.nodes.iter().flatten()).find(|name| !names.contains(name));
        if let Some(name) = strange {
            return Err(format!("a peer names the node {name:?}, which there is not"));
        }
        let selects = self.peering.iter().flat_map(|peering| peering.nodes.iter().chain([&peering.with]));
        if selects.clone().any(|select| select.value.is_some() && select.label.is_none()) {
            return Err("a peering selects by a value and names no label".into());
        }
        if let Some(name) = selects.filter_map(|select| select.name.as_ref()).find(|n| !names.contains(n)) {
            return Err(format!("a peering names the node {name:?}, which there is not"));
        }
        let without = |pool: &&Pool| pool.encapsulation != Encapsulation::None && pool.device.is_none();
        match self.pool.iter().find(without) {
            Some(pool) => Err(format!("the pool {} has an encapsulation and no device", pool.prefix)),
            None => Ok(()),
        }
    }

    pub(crate) fn node(&self, name: &str) -> Result<&Node, String> {
        self.node.iter().find(|node| node.name == name).ok_or(format!("the cluster has no node {name:?}"))
    }
}

impl Node {
    pub(crate) fn asn(&self, cluster: &Cluster) -> Asn {
        Asn(self.asn.or(cluster.asn).unwrap_or_default())
    }

    /// Where its speaker listens.
    pub(crate) fn listen(&self) -> Vec<SocketAddr> {
        self.addresses.iter().map(|address| SocketAddr::new(address.addr(), self.port)).collect()
    }

    /// The IPv4 address of the node; without one a number made of its name, which is nobody's multicast address.
    pub(crate) fn router_id(&self) -> RouterId {
        let v4 =
            self.addresses.iter().find_map(|a| if let IpAddr::V4(v4) = a.addr() { Some(v4) } else { None });
        let hash = self
            .name
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, octet| (hash ^ u32::from(octet)).wrapping_mul(0x0100_0193));
        v4.map_or(RouterId((hash & 0x7fff_ffff) | 0x0100_0000), RouterId::from)
    }
}
