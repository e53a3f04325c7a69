//! From the description of a cluster to what the speaker of one node is asked to be.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use bgp_speaker::policy::{Condition, Discard, PolicyConfig, PrefixSet, Rule, SourceKind, Verdict};
use bgp_speaker::{
    Asn, Desired, Family, FamilySet, Identity, MeshNode, OwnerId, PeerClass, PeerConfig, Policy, Route,
    Secret, SessionOptions,
};
use ipnet::IpNet;

use crate::cluster::{Cluster, Node, Peer};

/// Who announces the blocks of this node.
const BLOCKS: OwnerId = OwnerId(1);
/// Who announces addresses of workloads that lie in other nodes' blocks.
const WORKLOADS: OwnerId = OwnerId(2);

/// Everything that the speaker of `this` node is to do.
pub(crate) fn of(cluster: &Cluster, this: &Node) -> Result<Desired, String> {
    let mut peers = reflection(cluster, this);
    for peer in &cluster.peer {
        let here = peer.nodes.as_ref().is_none_or(|nodes| nodes.contains(&this.name));
        if here && this.shares_family(peer.address) {
            peers.push(router(cluster, peer)?);
        }
    }
    let in_mesh = cluster.mesh.enabled && this.cluster_id.is_none();
    let nodes = cluster.node.iter().filter(|node| in_mesh && node.cluster_id.is_none());
    Ok(Desired {
        identity: Some(Identity { asn: this.asn(cluster), router_id: this.router_id() }),
        cluster_id: this.cluster_id.map(Into::into),
        listen: Some(this.listen()),
        local_addresses: Some(this.addresses.iter().map(IpNet::addr).collect()),
        mesh_dialer: Some(cluster.mesh.dialer.into()),
        peers,
        mesh: nodes.map(|node| mesh_node(cluster, node)).collect(),
        mesh_options: Some(options(cluster)),
        routes: BTreeMap::from([
            (
                BLOCKS,
                this.blocks.iter().map(|block| Route::new(*block).discard(Discard::Blackhole)).collect(),
            ),
            (WORKLOADS, this.workloads.iter().copied().map(Route::new).collect()),
        ]),
        ..Desired::default()
    })
}

fn mesh_node(cluster: &Cluster, node: &Node) -> MeshNode {
    MeshNode {
        name: node.name.clone(),
        addresses: node.addresses.iter().map(IpNet::addr).collect(),
        asn: node.asn(cluster),
        port: node.port,
    }
}

/// What sessions between nodes have in common.
fn options(cluster: &Cluster) -> SessionOptions {
    let mut options = SessionOptions::default();
    if let Some(seconds) = cluster.mesh.hold_time {
        options.timers.hold_time = Duration::from_secs(seconds.into());
    }
    options.password = secret(cluster.mesh.password_file.as_ref());
    options
}

fn secret(file: Option<&PathBuf>) -> Option<Secret> {
    file.map(|file| Secret::File(file.clone()))
}

/// Sessions between reflectors and nodes. A reflector has every node as its client, and the other reflectors of its
/// cluster as plain peers; a node has them all.
fn reflection(cluster: &Cluster, this: &Node) -> Vec<PeerConfig> {
    let with = |node: &&Node| match (this.cluster_id, node.cluster_id) {
        _ if node.name == this.name => false,
        (Some(_), Some(_)) | (None, Some(_)) => true,
        // With the mesh, nodes still peer with reflectors: what stands beyond them is heard from there.
        (Some(_), None) => true,
        (None, None) => false,
    };
    let mut peers = Vec::new();
    for node in cluster.node.iter().filter(with) {
        for address in node.addresses.iter().map(IpNet::addr).filter(|address| this.shares_family(*address)) {
            let mut peer = session(cluster, address, node.asn(cluster)).port(node.port);
            let same_cluster = node.cluster_id.is_some() && node.cluster_id == this.cluster_id;
            if this.cluster_id.is_some() && !same_cluster && node.asn(cluster) == this.asn(cluster) {
                peer = peer.reflector_client();
            }
            // One of the two dials: the node, and of two reflectors the one with the higher address.
            let higher = this.addresses.iter().any(|own| own.addr() > address);
            peer.options.passive = match (this.cluster_id, node.cluster_id) {
                (Some(_), None) => true,
                (Some(_), Some(_)) => !higher,
                (None, _) => false,
            };
            peers.push(peer);
        }
    }
    peers
}

/// A session within the cluster: in the family of its address, as open as the mesh.
fn session(cluster: &Cluster, address: IpAddr, asn: Asn) -> PeerConfig {
    let mut peer = PeerConfig::new(address, asn);
    peer.class = PeerClass::Global;
    peer.options = options(cluster);
    peer.options.import = Some(Policy::accept_all());
    peer.options.export = Some(Policy::accept_all());
    let family = if address.is_ipv4() { Family::IPV4_UNICAST } else { Family::IPV6_UNICAST };
    peer.options.families = Some(FamilySet::of(&[family]));
    peer
}

/// A router beyond the nodes: it is told what this node itself has of pools that may leave, and tells what it likes.
fn router(cluster: &Cluster, peer: &Peer) -> Result<PeerConfig, String> {
    let mut config = session(cluster, peer.address, Asn(peer.asn)).port(peer.port);
    config.class = if peer.nodes.is_some() { PeerClass::NodeSpecific } else { PeerClass::Global };
    config.options.password = secret(peer.password_file.as_ref());
    config.options.ttl_security = peer.ttl_security;
    let kept: Vec<IpNet> = cluster.pool.iter().filter(|pool| !pool.export).map(|pool| pool.prefix).collect();
    let mut policy = PolicyConfig::new(format!("to {}", peer.address), Verdict::Reject);
    if !kept.is_empty() {
        let kept = Condition::Prefix(PrefixSet::or_longer(&kept));
        policy = policy.rule(Rule::reject("pools that stay inside").when(kept));
    }
    let own = Condition::Source(vec![SourceKind::Local]);
    policy = policy.rule(Rule::accept("routes of this node").when(own));
    config.options.export = Some(Policy::compile(policy).map_err(|error| error.to_string())?);
    Ok(config)
}
