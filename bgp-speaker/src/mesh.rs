//! Nodes of a cluster: from a list of them to the peers of one, in a full mesh, through reflectors, or both.

mod peering;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use bgp_rib::Policy;
use bgp_wire::{Asn, ClusterId, Family, FamilySet};

use crate::config::{BGP_PORT, PeerClass, PeerConfig, SessionOptions, check_address, is_link_local};
use crate::error::SpeakerError;
use crate::peer_address::PeerAddress;

pub use self::peering::{NodeSelector, Peering, PeeringWith, is_reflector_client};

/// One node. Every node is given the same list, itself included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshNode {
    /// Its name: for messages, and for [`NodeSelector::Named`].
    pub name: String,
    /// Its addresses, at most one of each family; two nodes have one session in each family that both have.
    pub addresses: Vec<IpAddr>,
    /// Its AS. Nodes of one AS speak iBGP, others eBGP; in a mesh both take and tell everything.
    pub asn: Asn,
    /// The port it listens on. Default 179.
    pub port: u16,
    /// The cluster that it reflects routes in (RFC 4456). A node with one is in no mesh: it has the sessions that
    /// [`Desired::peerings`](crate::Desired::peerings) asks for. Default: none.
    pub cluster_id: Option<ClusterId>,
    /// What [`NodeSelector`]s find it by. Default: none.
    pub labels: BTreeMap<String, String>,
}

impl MeshNode {
    /// A node that listens on port 179.
    pub fn new(name: impl Into<String>, address: IpAddr, asn: Asn) -> Self {
        let (cluster_id, labels) = (None, BTreeMap::new());
        Self { name: name.into(), addresses: vec![address], asn, port: BGP_PORT, cluster_id, labels }
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

    /// The same node as a reflector of this cluster, outside the mesh.
    #[must_use]
    pub fn reflector(mut self, cluster_id: ClusterId) -> Self {
        self.cluster_id = Some(cluster_id);
        self
    }

    /// The same node with one more label.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key.into(), value.into());
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

/// How this node meets the others of a mesh.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ways<'a> {
    /// The addresses of this node.
    pub(crate) own: &'a [IpAddr],
    pub(crate) local_as: Asn,
    pub(crate) dialer: MeshDialer,
    pub(crate) options: &'a SessionOptions,
}

/// The nodes as they were told last, whole or by what changed, and how they peer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Roster {
    /// The node that this speaker is.
    this: Option<Arc<MeshNode>>,
    /// The others, by each of their addresses.
    others: BTreeMap<IpAddr, Arc<MeshNode>>,
    wiring: Wiring,
}

/// How nodes peer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wiring {
    pub(crate) peerings: Arc<[Peering]>,
    /// Nodes do not peer because they are nodes.
    pub(crate) mesh_off: bool,
}

impl Roster {
    /// The nodes of a list that is whole.
    ///
    /// # Errors
    /// This node is not in the list, or two nodes have one address.
    pub(crate) fn of(nodes: &[MeshNode], own: &[IpAddr], wiring: Wiring) -> Result<Self, SpeakerError> {
        let mut seen = BTreeSet::new();
        for address in nodes.iter().flat_map(|n| &n.addresses) {
            check_address(*address)?;
            if !seen.insert(*address) {
                return Err(SpeakerError::DuplicateNode(*address));
            }
        }
        let mut roster = Self::wired(wiring);
        nodes.iter().for_each(|node| roster.insert(node, own));
        if roster.this.is_none() && !nodes.is_empty() {
            return Err(SpeakerError::NotInMesh);
        }
        Ok(roster)
    }

    /// Nobody, so far.
    pub(crate) fn wired(wiring: Wiring) -> Self {
        Self { wiring, ..Self::default() }
    }

    /// How they peer.
    pub(crate) fn wiring(&self) -> &Wiring {
        &self.wiring
    }

    /// The cluster that this node reflects routes in.
    pub(crate) fn cluster_id(&self) -> Option<ClusterId> {
        self.this.as_ref()?.cluster_id
    }

    fn insert(&mut self, node: &MeshNode, own: &[IpAddr]) {
        let node = Arc::new(node.clone());
        if self.this.is_none() && node.addresses.iter().any(|a| own.contains(a)) {
            self.this = Some(node);
        } else {
            self.insert_other(&node);
        }
    }

    /// All peers that this node has for the nodes and peerings, by address.
    ///
    /// # Errors
    /// Such a peer could not be.
    pub(crate) fn peers(
        &self,
        ways: Ways<'_>,
    ) -> Result<BTreeMap<PeerAddress, Arc<PeerConfig>>, SpeakerError> {
        let mut peers = BTreeMap::new();
        for address in self.others.keys().map(|ip| PeerAddress::from(*ip)).chain(self.routers()) {
            if let Some(peer) = self.peer_at(address, ways)? {
                peers.insert(address, peer);
            }
        }
        Ok(peers)
    }

    /// Lets nodes go, by any of their addresses, and others come; what that makes of the peers, by address, gone where there
    /// is none. A node that comes takes the place of the one that has an address of it. The work is that of the nodes that
    /// are named, unless one of them is this node itself.
    ///
    /// # Errors
    /// Nodes came and this one is not among them all, or one could not be; then nothing is changed.
    pub(crate) fn step(
        &mut self,
        left: &[IpAddr],
        joined: &[MeshNode],
        ways: Ways<'_>,
    ) -> Result<BTreeMap<PeerAddress, Option<Arc<PeerConfig>>>, SpeakerError> {
        let mut named = BTreeSet::new();
        for address in joined.iter().flat_map(|n| &n.addresses) {
            check_address(*address)?;
            if !named.insert(*address) {
                return Err(SpeakerError::DuplicateNode(*address));
            }
        }
        let this = self.this.clone();
        let routers: Vec<PeerAddress> = self.routers().collect();
        let gone: Vec<Arc<MeshNode>> =
            left.iter().chain(&named).filter_map(|address| self.take(*address)).collect();
        joined.iter().for_each(|node| self.insert(node, ways.own));
        let of_gone = gone.iter().flat_map(|node| &node.addresses);
        let mut touched: BTreeSet<PeerAddress> =
            named.iter().chain(of_gone).map(|ip| PeerAddress::from(*ip)).collect();
        if self.this != this {
            touched.extend(self.others.keys().map(|ip| PeerAddress::from(*ip)));
            touched.extend(routers.into_iter().chain(self.routers()));
        }
        let steps = self.steps(&touched, ways);
        if steps.is_err() {
            named.iter().for_each(|address| _ = self.others.remove(address));
            self.this = this;
            gone.iter().for_each(|node| self.insert_other(node));
        }
        steps
    }

    /// The peers at these addresses, but for those of this node itself.
    fn steps(
        &self,
        touched: &BTreeSet<PeerAddress>,
        ways: Ways<'_>,
    ) -> Result<BTreeMap<PeerAddress, Option<Arc<PeerConfig>>>, SpeakerError> {
        if self.this.is_none() && !self.others.is_empty() {
            return Err(SpeakerError::NotInMesh);
        }
        let is_this = |ip| self.this.as_ref().is_some_and(|this| this.addresses.contains(&ip));
        let others = touched.iter().filter(|address| !is_this(address.ip()));
        others.map(|address| Ok((*address, self.peer_at(*address, ways)?))).collect()
    }

    /// Takes the node with this address out, with all its addresses.
    fn take(&mut self, address: IpAddr) -> Option<Arc<MeshNode>> {
        if self.this.as_ref().is_some_and(|this| this.addresses.contains(&address)) {
            self.this = None;
        }
        let node = self.others.get(&address).cloned()?;
        node.addresses.iter().for_each(|address| _ = self.others.remove(address));
        Some(node)
    }

    fn insert_other(&mut self, node: &Arc<MeshNode>) {
        self.others.extend(node.addresses.iter().map(|address| (*address, node.clone())));
    }

    /// The addresses that this node has peerings with.
    fn routers(&self) -> impl Iterator<Item = PeerAddress> {
        self.this.iter().flat_map(|this| self.wiring.peerings.iter().filter_map(|p| p.router_of(this)))
    }

    /// The session with whoever is at an address.
    fn peer_at(&self, at: PeerAddress, ways: Ways<'_>) -> Result<Option<Arc<PeerConfig>>, SpeakerError> {
        let (Some(this), theirs) = (self.this.as_deref(), at.ip()) else { return Ok(None) };
        // Of two addresses of one family, a node has its sessions at the first.
        let first_of = |node: &MeshNode| {
            node.addresses.iter().copied().find(|address| address.is_ipv4() == theirs.is_ipv4())
        };
        let node = self.others.get(&theirs).filter(|node| first_of(node) == Some(theirs)).map(|node| &**node);
        // A peering of all nodes may name an address of one of them.
        if node.is_none() && (this.addresses.contains(&theirs) || ways.own.contains(&theirs)) {
            return Ok(None);
        }
        let mine = first_of(this);
        if mine.is_none() && !is_link_local(theirs) {
            return Ok(None);
        }
        let wired = peering::strongest(&self.wiring.peerings, this, node, (mine, at), ways);
        let meshed = || {
            let in_mesh = |node: &MeshNode| node.cluster_id.is_none() && !self.wiring.mesh_off;
            let node = node.filter(|node| in_mesh(node) && in_mesh(this))?;
            Some(mesh_session(node, (mine?, theirs), ways))
        };
        let Some(peer) = wired.or_else(meshed) else { return Ok(None) };
        peer.check(ways.local_as, ways.own)?;
        Ok(Some(Arc::new(peer)))
    }
}

fn mesh_session(node: &MeshNode, (mine, theirs): (IpAddr, IpAddr), ways: Ways<'_>) -> PeerConfig {
    let mut peer = PeerConfig::new(theirs, node.asn).port(node.port);
    peer.class = PeerClass::NodeToNodeMesh;
    peer.options = ways.options.clone();
    peer.options.source = Some(mine);
    peer.options.passive = !ways.dialer.dials(mine, theirs);
    peer.options.families.get_or_insert_with(|| family_of(theirs));
    // A mesh is one administration: its eBGP sessions are as open as its iBGP ones, which RFC 8212 asks us to say.
    peer.options.import.get_or_insert(Policy::accept_all());
    peer.options.export.get_or_insert(Policy::accept_all());
    peer
}

/// The one family of a session between nodes: those with addresses of both have a session in each.
fn family_of(address: IpAddr) -> FamilySet {
    FamilySet::of(&[if address.is_ipv4() { Family::IPV4_UNICAST } else { Family::IPV6_UNICAST }])
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

    fn ways(own: &[IpAddr], dialer: MeshDialer) -> Ways<'_> {
        static OPTIONS: std::sync::LazyLock<SessionOptions> =
            std::sync::LazyLock::new(SessionOptions::default);
        Ways { own, local_as: Asn(65000), dialer, options: &OPTIONS }
    }

    fn peers(
        nodes: &[MeshNode],
        own: &[IpAddr],
        dialer: MeshDialer,
    ) -> Result<BTreeMap<PeerAddress, Arc<PeerConfig>>, SpeakerError> {
        Roster::of(nodes, own, Wiring::default())?.peers(ways(own, dialer))
    }

    /// Steps of single nodes lead where the whole list leads, and name nobody else.
    #[test]
    fn nodes_come_and_go_one_by_one_and_make_the_mesh_of_the_whole_list() {
        let six = |n: u16| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, n]);
        let (one, other) = (own(1), node(3).address(six(3)));
        let ways = ways(&one, MeshDialer::Numeric);
        let mut nodes = vec![node(1).address(six(1)), node(2), node(4)];
        let mut roster = Roster::of(&nodes, &one, Wiring::default()).unwrap();
        let mut mesh = roster.peers(ways).unwrap();
        let mut play = |left: &[IpAddr], joined: &[MeshNode], nodes: &[MeshNode]| {
            let steps = roster.step(left, joined, ways).unwrap();
            let touched: Vec<PeerAddress> = steps.keys().copied().collect();
            for (address, peer) in steps {
                match peer {
                    Some(peer) => mesh.insert(address, peer),
                    None => mesh.remove(&address),
                };
            }
            assert_eq!(mesh, Roster::of(nodes, &one, Wiring::default()).unwrap().peers(ways).unwrap());
            touched
        };
        nodes.push(other.clone());
        assert_eq!(play(&[], &[other], &nodes), [own(3)[0], six(3)]);
        nodes[1].port = 1790;
        assert_eq!(play(&[], &[nodes[1].clone()], &nodes), own(2));
        nodes[3].addresses = vec![own(5)[0], six(3)];
        assert_eq!(play(&[], &[nodes[3].clone()], &nodes), [own(3)[0], own(5)[0], six(3)]);
        nodes.remove(3);
        assert_eq!(play(&[six(3), own(9)[0]], &[], &nodes), [own(5)[0], six(3)]);
        // This node itself has an address less.
        nodes[0].addresses.pop();
        play(&[], &[nodes[0].clone()], &nodes);
        assert_eq!(play(&[own(1)[0], own(2)[0], own(4)[0]], &[], &[]), [own(2)[0], own(4)[0]]);
    }

    #[test]
    fn nodes_do_not_come_to_a_mesh_that_this_one_is_not_in() {
        let own = own(1);
        let ways = ways(&own, MeshDialer::Numeric);
        assert_eq!(Roster::default().step(&[], &[node(2)], ways), Err(SpeakerError::NotInMesh));
        let twice = Roster::default().step(&[], &[node(1), node(2), node(2)], ways);
        assert_eq!(twice, Err(SpeakerError::DuplicateNode(IpAddr::from([10, 0, 0, 2]))));
    }

    #[test]
    fn a_step_that_cannot_be_leaves_the_nodes_as_they_were() {
        let own = own(1);
        let ways = ways(&own, MeshDialer::Numeric);
        let mut roster = Roster::of(&[node(1), node(2), node(3)], &own, Wiring::default()).unwrap();
        let before = roster.clone();
        let refused = roster.step(&[own[0], node(3).addresses[0]], &[node(2).port(0), node(4)], ways);
        assert_eq!(refused, Err(SpeakerError::NotInMesh));
        assert_eq!(roster, before);
        let refused = roster.step(&[node(3).addresses[0]], &[node(2).port(0), node(4)], ways);
        assert_eq!(refused, Err(SpeakerError::ZeroPort(node(2).addresses[0])));
        assert_eq!(roster, before);
    }

    #[test]
    fn exactly_one_node_of_each_pair_dials() {
        let nodes: Vec<_> = [2, 9, 10, 11].map(node).into();
        for dialer in [MeshDialer::Numeric, MeshDialer::CalicoString] {
            let mut dialled = BTreeSet::new();
            for me in [2, 9, 10, 11] {
                let own = own(me);
                let peers = peers(&nodes, &own, dialer).unwrap();
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
        let peers = peers(&nodes, &own(1), MeshDialer::Numeric).unwrap();
        let addresses: Vec<_> = peers.keys().copied().collect();
        assert_eq!(addresses, [own(2)[0], own(3)[0], six(2)]);
    }

    #[test]
    fn a_list_without_this_node_is_refused() {
        let result = peers(&[node(1)], &own(9), MeshDialer::Numeric);
        assert_eq!(result, Err(SpeakerError::NotInMesh));
    }

    #[test]
    fn two_nodes_with_one_address_are_refused() {
        let result = peers(&[node(1), node(2), node(2)], &own(1), MeshDialer::Numeric);
        assert_eq!(result, Err(SpeakerError::DuplicateNode(own(2)[0])));
    }
}
