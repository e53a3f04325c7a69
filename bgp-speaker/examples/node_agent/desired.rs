//! From the description of a cluster to what the speaker of one node is asked to be.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bgp_speaker::policy::{Action, Condition, Discard, PolicyConfig, PrefixSet, Rule, SourceKind, Verdict};
use bgp_speaker::{
    Asn, Desired, Family, FamilySet, Identity, MeshNode, Multipath, NodeSelector, OwnerId, Peering,
    PeeringWith, Policy, Route, Secret, SessionOptions,
};
use ipnet::IpNet;

use crate::cluster::{self, Cluster, Node, Peer, Select};

/// Who announces the blocks of this node.
const BLOCKS: OwnerId = OwnerId(1);
/// Who announces addresses of workloads that lie in other nodes' blocks.
const WORKLOADS: OwnerId = OwnerId(2);

/// Everything that the speaker of `this` node is to do.
pub(crate) fn of(cluster: &Cluster, this: &Node) -> Result<Desired, String> {
    let routers = cluster.peer.iter().map(|peer| router(cluster, peer));
    let mut peerings = routers.collect::<Result<Vec<_>, _>>()?;
    peerings.extend(between_nodes(cluster)?);
    Ok(Desired {
        identity: Some(Identity { asn: this.asn(cluster), router_id: this.router_id() }),
        listen: Some(this.listen()),
        local_addresses: Some(this.addresses.iter().map(IpNet::addr).collect()),
        mesh_dialer: Some(cluster.mesh.dialer.into()),
        // Who is in the mesh, who peers with whom and who is whose client follows from the nodes.
        mesh: cluster.node.iter().map(|node| mesh_node(cluster, node)).collect(),
        mesh_off: !cluster.mesh.enabled,
        mesh_options: Some(options(cluster)?),
        peerings,
        multipath: Some(Multipath { paths: cluster.mesh.max_paths, ..Multipath::default() }),
        routes: BTreeMap::from([
            (
                BLOCKS,
                this.blocks.iter().map(|block| Route::new(*block).discard(Discard::Blackhole)).collect(),
            ),
            (WORKLOADS, this.workloads.iter().copied().map(Route::new).collect()),
        ]),
        unique_origins: cluster.pool.iter().filter(|pool| pool.one_origin).map(|pool| pool.prefix).collect(),
        ..Desired::default()
    })
}

fn mesh_node(cluster: &Cluster, node: &Node) -> MeshNode {
    MeshNode {
        name: node.name.clone(),
        addresses: node.addresses.iter().map(IpNet::addr).collect(),
        asn: node.asn(cluster),
        port: node.port,
        cluster_id: node.cluster_id.map(Into::into),
        labels: node.labels.clone(),
    }
}

/// Sessions between nodes beside the mesh: with all reflectors, where the description says no other. With the mesh on, nodes
/// still peer with reflectors: what stands beyond them is heard from there.
fn between_nodes(cluster: &Cluster) -> Result<Vec<Peering>, String> {
    let options = options(cluster)?;
    if cluster.peering.is_empty() {
        let reflection = Peering::between(NodeSelector::All, NodeSelector::Reflectors);
        return Ok(vec![reflection.options(options)]);
    }
    let peering = |peering: &cluster::Peering| Peering {
        nodes: peering.nodes.as_ref().map_or(NodeSelector::All, select),
        with: PeeringWith::Nodes(select(&peering.with)),
        reverse: peering.reverse,
        options: options.clone(),
    };
    Ok(cluster.peering.iter().map(peering).collect())
}

fn select(select: &Select) -> NodeSelector {
    let label = |key: &String| match &select.value {
        Some(value) => NodeSelector::Is(key.clone(), value.clone()),
        None => NodeSelector::Has(key.clone()),
    };
    let name = select.name.iter().map(NodeSelector::named);
    let reflectors = select.reflectors.map(|is| match is {
        true => NodeSelector::Reflectors,
        false => NodeSelector::Not(Box::new(NodeSelector::Reflectors)),
    });
    NodeSelector::Every(name.chain(select.label.iter().map(label)).chain(reflectors).collect())
}

/// What sessions between nodes have in common.
fn options(cluster: &Cluster) -> Result<SessionOptions, String> {
    let mut options = SessionOptions::default();
    if let Some(seconds) = cluster.mesh.hold_time {
        options.timers.hold_time = Duration::from_secs(seconds.into());
    }
    options.password = secret(cluster.mesh.password_file.as_ref());
    if cluster.mesh.priority.is_some() {
        options.export =
            Some(compile(PolicyConfig::new("nodes", Verdict::Accept).rule(own_routes(cluster)))?);
    }
    Ok(options)
}

/// Routes of this node may go, and go as preferred as all nodes tell theirs: where several have one, none comes first.
fn own_routes(cluster: &Cluster) -> Rule {
    let rule = Rule::accept("routes of this node").when(Condition::Source(vec![SourceKind::Local]));
    match cluster.mesh.priority {
        Some(default) => rule.then(Action::LocalPrefFromMetric { default }),
        None => rule,
    }
}

fn compile(policy: PolicyConfig) -> Result<Policy, String> {
    Policy::compile(policy).map_err(|error| error.to_string())
}

fn secret(file: Option<&PathBuf>) -> Option<Secret> {
    file.map(|file| Secret::File(file.clone()))
}

/// A router beyond the nodes: it is told what this node itself has of pools that may leave, and tells what it likes.
fn router(cluster: &Cluster, peer: &Peer) -> Result<Peering, String> {
    let nodes = match &peer.nodes {
        Some(names) => NodeSelector::Named(names.clone()),
        None => NodeSelector::All,
    };
    let mut options = options(cluster)?;
    options.password = secret(peer.password_file.as_ref());
    options.ttl_security = peer.ttl_security;
    let family = if peer.address.is_ipv4() { Family::IPV4_UNICAST } else { Family::IPV6_UNICAST };
    options.families = Some(FamilySet::of(&[family]));
    options.import = Some(Policy::accept_all());
    let kept: Vec<IpNet> = cluster.pool.iter().filter(|pool| !pool.export).map(|pool| pool.prefix).collect();
    let mut policy = PolicyConfig::new(format!("to {}", peer.address), Verdict::Reject);
    if !kept.is_empty() {
        let kept = Condition::Prefix(PrefixSet::or_longer(&kept));
        policy = policy.rule(Rule::reject("pools that stay inside").when(kept));
    }
    options.export = Some(compile(policy.rule(own_routes(cluster)))?);
    let with = PeeringWith::Address { address: peer.address, port: peer.port, peer_as: Asn(peer.asn).into() };
    Ok(Peering { nodes, with, reverse: true, options })
}
