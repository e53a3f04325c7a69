//! Full meshes: from a list of nodes to the peers of one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use bgp_rib::Policy;
use bgp_wire::{Asn, Family, FamilySet};

use crate::config::{BGP_PORT, PeerClass, PeerConfig, SessionOptions, check_address};
use crate::error::SpeakerError;

/// One node of a mesh. Every node is given the same list, itself included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshNode {
    /// Its name, for messages only.
    pub name: String,
    /// Its addresses, at most one of each family; two nodes have one session in each family that both have.
    pub addresses: Vec<IpAddr>,
    /// Its AS. Nodes of one AS speak iBGP, others eBGP; in a mesh both take and tell everything.
    pub asn: Asn,
    /// The port it listens on. Default 179.
    pub port: u16,
}

impl MeshNode {
    /// A node that listens on port 179.
    pub fn new(name: impl Into<String>, address: IpAddr, asn: Asn) -> Self {
        Self { name: name.into(), addresses: vec![address], asn, port: BGP_PORT }
    }

    /// The same node on another port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// The same node with one more address, of the other family.
    #[must_use]
    pub fn address(mut self, address: IpAddr) -> Self {
        self.addresses.push(address);
        self
    }
}

/// Which node of a pair dials; the other one waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum MeshDialer {
    /// The node with the numerically higher address.
    #[default]
    Numeric,
    /// The node whose address, written out, sorts later: what Calico's BIRD nodes expect ("10.0.0.9" after "10.0.0.10").
    CalicoString,
}

impl MeshDialer {
    /// Whether the node at `own` dials the node at `peer`; exactly one of the two does.
    pub fn dials(self, own: IpAddr, peer: IpAddr) -> bool {
        match self {
            Self::Numeric => own > peer,
            Self::CalicoString => own.to_string() > peer.to_string(),
        }
    }
}

/// The peers that the node with the addresses `own` has in this mesh, by address.
pub(crate) fn peers(
    nodes: &[MeshNode],
    own: &[IpAddr],
    local_as: Asn,
    dialer: MeshDialer,
    options: &SessionOptions,
) -> Result<BTreeMap<IpAddr, Arc<PeerConfig>>, SpeakerError> {
    let mut seen = BTreeSet::new();
    for address in nodes.iter().flat_map(|n| &n.addresses) {
        check_address(*address)?;
        if !seen.insert(*address) {
            return Err(SpeakerError::DuplicateNode(*address));
        }
    }
    let Some(this) = nodes.iter().find(|n| n.addresses.iter().any(|a| own.contains(a))) else {
        return if nodes.is_empty() { Ok(BTreeMap::new()) } else { Err(SpeakerError::NotInMesh) };
    };
    let mut peers = BTreeMap::new();
    for node in nodes.iter().filter(|n| !std::ptr::eq(*n, this)) {
        for (mine, theirs) in pairs(this, node) {
            let mut peer = PeerConfig::new(theirs, node.asn).port(node.port);
            peer.class = PeerClass::NodeToNodeMesh;
            peer.options = options.clone();
            peer.options.source = Some(mine);
            peer.options.passive = !dialer.dials(mine, theirs);
            let family = if theirs.is_ipv4() { Family::IPV4_UNICAST } else { Family::IPV6_UNICAST };
            peer.options.families.get_or_insert(FamilySet::of(&[family]));
            // A mesh is one administration: its eBGP sessions are as open as its iBGP ones, which RFC 8212 asks us to say.
            peer.options.import.get_or_insert(Policy::accept_all());
            peer.options.export.get_or_insert(Policy::accept_all());
            peer.check(local_as, own)?;
            peers.insert(theirs, Arc::new(peer));
        }
    }
    Ok(peers)
}

fn pairs(this: &MeshNode, other: &MeshNode) -> impl Iterator<Item = (IpAddr, IpAddr)> {
    this.addresses.iter().filter_map(|mine| {
        let theirs = other.addresses.iter().find(|a| a.is_ipv4() == mine.is_ipv4())?;
        Some((*mine, *theirs))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(n: u8) -> MeshNode {
        MeshNode::new(format!("n{n}"), IpAddr::from([10, 0, 0, n]), Asn(65000))
    }

    fn own(n: u8) -> Vec<IpAddr> {
        vec![IpAddr::from([10, 0, 0, n])]
    }

    #[test]
    fn exactly_one_node_of_each_pair_dials() {
        let nodes: Vec<_> = [2, 9, 10, 11].map(node).into();
        for dialer in [MeshDialer::Numeric, MeshDialer::CalicoString] {
            let mut dialled = BTreeSet::new();
            for me in [2, 9, 10, 11] {
                let own = own(me);
                let peers = peers(&nodes, &own, Asn(65000), dialer, &SessionOptions::default()).unwrap();
                assert_eq!(peers.len(), 3);
                for peer in peers.values().filter(|p| !p.options.passive) {
                    let mut pair = [own[0], peer.address];
                    pair.sort();
                    assert!(dialled.insert(pair), "both ends of {pair:?} dial");
                }
            }
            assert_eq!(dialled.len(), 6, "{dialer:?}");
        }
    }

    #[test]
    fn calico_compares_addresses_as_strings() {
        let (nine, ten) = (IpAddr::from([10, 0, 0, 9]), IpAddr::from([10, 0, 0, 10]));
        assert!(MeshDialer::CalicoString.dials(nine, ten));
        assert!(MeshDialer::Numeric.dials(ten, nine));
    }

    #[test]
    fn nodes_with_two_families_have_a_session_in_each() {
        let six = |n: u16| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, n]);
        let nodes = [node(1).address(six(1)), node(2).address(six(2)), node(3)];
        let peers =
            peers(&nodes, &own(1), Asn(65000), MeshDialer::Numeric, &SessionOptions::default()).unwrap();
        let addresses: Vec<_> = peers.keys().copied().collect();
        assert_eq!(addresses, [own(2)[0], own(3)[0], six(2)]);
    }

    #[test]
    fn a_list_without_this_node_is_refused() {
        let result = peers(&[node(1)], &own(9), Asn(65000), MeshDialer::Numeric, &SessionOptions::default());
        assert_eq!(result, Err(SpeakerError::NotInMesh));
    }

    #[test]
    fn two_nodes_with_one_address_are_refused() {
        let result = peers(
            &[node(1), node(2), node(2)],
            &own(1),
            Asn(65000),
            MeshDialer::Numeric,
            &SessionOptions::default(),
        );
        assert_eq!(result, Err(SpeakerError::DuplicateNode(own(2)[0])));
    }
}
