//! Peerings beside the mesh: who has them, with whom, and which of several is meant.
//!
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::net::IpAddr;

use bgp_fsm::PeerAs;
use bgp_rib::Policy;
use bgp_wire::ClusterId;

use super::{MeshNode, Ways, family_of};
use crate::config::{
    BGP_PORT, MULTIHOP_TTL, PeerClass, PeerConfig, SessionOptions, is_link_local, never_internal,
};
use crate::peer_address::PeerAddress;

/// Some of the nodes, by what is known of them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeSelector {
    /// Every node: a peering that all nodes have is a global one.
    All,
    /// Those of these names.
    Named(BTreeSet<String>),
    /// Those with a cluster id.
    Reflectors,
    /// Those that have a label of this key.
    Has(String),
    /// Those on which the label of this key has this value.
    Is(String, String),
    /// Those that one does not select.
    Not(Box<Self>),
    /// Those that all of these select.
    Every(Vec<Self>),
    /// Those that any of these selects.
    Any(Vec<Self>),
}

impl NodeSelector {
    /// The node of this name.
    pub fn named(name: impl Into<String>) -> Self {
        Self::Named(BTreeSet::from([name.into()]))
    }

    /// Whether it selects this node.
    pub fn selects(&self, node: &MeshNode) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.contains(&node.name),
            Self::Reflectors => node.cluster_id.is_some(),
            Self::Has(key) => node.labels.contains_key(key),
            Self::Is(key, value) => node.labels.get(key) == Some(value),
            Self::Not(other) => !other.selects(node),
            Self::Every(all) => all.iter().all(|one| one.selects(node)),
            Self::Any(some) => some.iter().any(|one| one.selects(node)),
        }
    }
}

/// Sessions that some nodes have beside the mesh or in its place, with other nodes or with a router: what Calico's `BGPPeer`
/// resource says.
///
/// Where several lead to one address, one that names this node comes before one that only follows from the other end's,
/// among those one of all nodes before one of some, and of two of the same kind the first of the list. Of two nodes in a
/// global peering one dials ([`MeshDialer`](crate::MeshDialer)); in any other both do, and collision resolution
/// (RFC 4271 §6.8) leaves them one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peering {
    /// Which nodes have it.
    pub nodes: NodeSelector,
    /// With whom.
    pub with: PeeringWith,
    /// Nodes at the other end have it too, without being among `nodes`. Default `true`.
    pub reverse: bool,
    /// Options of its sessions; the source address is the node's own unless it is given. Between nodes the family defaults to
    /// that of the addresses, the policies to accepting everything, and the TTL to that of a session over several hops. Who
    /// is a reflector's client follows from the nodes ([`is_reflector_client`]).
    pub options: SessionOptions,
}

/// The other end of a [`Peering`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeeringWith {
    /// Nodes, each at its addresses, with its AS and port.
    Nodes(NodeSelector),
    /// Whoever is at an address. It is never known to have a cluster id, so a reflector takes an internal one as its client.
    Address {
        /// Its address.
        address: IpAddr,
        /// The port it listens on.
        port: u16,
        /// The AS it must be of.
        peer_as: PeerAs,
    },
}

impl Peering {
    /// Sessions of these nodes with those nodes, seen from both.
    pub fn between(nodes: NodeSelector, others: NodeSelector) -> Self {
        Self { nodes, with: PeeringWith::Nodes(others), reverse: true, options: SessionOptions::default() }
    }

    /// Sessions of these nodes with a router that listens on port 179.
    pub fn with_address(nodes: NodeSelector, address: IpAddr, peer_as: impl Into<PeerAs>) -> Self {
        let with = PeeringWith::Address { address, port: BGP_PORT, peer_as: peer_as.into() };
        Self { nodes, with, reverse: true, options: SessionOptions::default() }
    }

    /// The same peering with these options.
    #[must_use]
    pub fn options(mut self, options: SessionOptions) -> Self {
        self.options = options;
        self
    }

    /// The same peering, of which nodes at the other end have to be told by one of their own.
    #[must_use]
    pub fn one_sided(mut self) -> Self {
        self.reverse = false;
        self
    }

    pub(super) fn is_global(&self) -> bool {
        self.nodes == NodeSelector::All
    }

    /// Where the router is that `this` node is to peer with.
    pub(super) fn router_of(&self, this: &MeshNode) -> Option<PeerAddress> {
        self.router().filter(|_| self.nodes.selects(this))
    }

    fn router(&self) -> Option<PeerAddress> {
        let PeeringWith::Address { address, .. } = self.with else { return None };
        Some(PeerAddress::behind(address, self.options.interface.as_deref().unwrap_or_default()))
    }

    /// How strong its claim to a session of `this` node at an address is, with the node that is there; `None`: it has none.
    fn claim(&self, this: &MeshNode, other: Option<&MeshNode>, theirs: PeerAddress) -> Option<Claim> {
        let (explicit, implied) = match &self.with {
            PeeringWith::Address { .. } => (self.router_of(this) == Some(theirs), false),
            PeeringWith::Nodes(others) => {
                let other = other?;
                let named = |one: &MeshNode, two: &MeshNode| self.nodes.selects(one) && others.selects(two);
                (named(this, other), self.reverse && named(other, this))
            }
        };
        (explicit || implied).then(|| Claim { explicit, global: self.is_global() })
    }

    /// The session that it asks for. Of two nodes in a global peering one dials, as in a mesh; in any other both do, and the
    /// collision leaves them one session.
    fn session(
        &self,
        claim: Claim,
        this: &MeshNode,
        other: Option<&MeshNode>,
        (mine, at): (Option<IpAddr>, PeerAddress),
        ways: Ways<'_>,
    ) -> PeerConfig {
        let theirs = at.ip();
        // Who is named by address alone is not known by anything else.
        let node = other.filter(|_| matches!(self.with, PeeringWith::Nodes(_)));
        let (port, peer_as) = match (&self.with, node) {
            (PeeringWith::Address { port, peer_as, .. }, _) => (*port, peer_as.clone()),
            (PeeringWith::Nodes(_), node) => node.map_or((BGP_PORT, PeerAs::Any), |n| (n.port, n.asn.into())),
        };
        let mut peer = PeerConfig::new(theirs, peer_as).port(port);
        peer.class = if self.is_global() { PeerClass::Global } else { PeerClass::NodeSpecific };
        peer.options = self.options.clone();
        // From a link-local address to another, where the peer is behind an interface.
        if !is_link_local(theirs) {
            peer.options.source = peer.options.source.or(mine);
        }
        let waits = |mine| !ways.dialer.dials(mine, theirs);
        let by_rule = self.is_global() && other.is_some() && mine.is_some_and(waits);
        peer.options.passive = match (claim.explicit, self.options.passive) {
            (true, waits) => waits || by_rule,
            // Whoever has it unasked does not wait for those that were asked to.
            (false, true) => false,
            (false, false) => by_rule,
        };
        let internal = !never_internal(&peer.peer_as, peer.options.local_as.unwrap_or(ways.local_as));
        let peers_cluster = node.and_then(|node| node.cluster_id);
        peer.options.route_reflector_client = is_reflector_client(this.cluster_id, internal, peers_cluster);
        if node.is_some() {
            as_between_nodes(&mut peer.options, theirs);
        }
        peer
    }
}

/// As open as a mesh, whose sessions these may take the place of, and as wide.
fn as_between_nodes(options: &mut SessionOptions, theirs: IpAddr) {
    options.families.get_or_insert_with(|| family_of(theirs));
    options.import.get_or_insert(Policy::accept_all());
    options.export.get_or_insert(Policy::accept_all());
    if options.ttl_security.is_none() {
        options.ttl.get_or_insert(MULTIHOP_TTL);
    }
}

/// What a peering goes by when it comes to an address that others lead to as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    explicit: bool,
    global: bool,
}

/// The session of `this` node at an address that the strongest of the peerings asks for.
pub(super) fn strongest(
    peerings: &[Peering],
    this: &MeshNode,
    other: Option<&MeshNode>,
    (mine, at): (Option<IpAddr>, PeerAddress),
    ways: Ways<'_>,
) -> Option<PeerConfig> {
    let claims = peerings.iter().filter_map(|peering| Some((peering.claim(this, other, at)?, peering)));
    let (claim, peering) = claims.min_by_key(|(claim, _)| Reverse(*claim))?;
    Some(peering.session(claim, this, other, (mine, at), ways))
}

/// Whether a neighbor of a node is its client (RFC 4456 §4): the node has a cluster id, the session is internal, and the
/// neighbor has no cluster id or another one.
pub fn is_reflector_client(own: Option<ClusterId>, internal: bool, neighbors: Option<ClusterId>) -> bool {
    own.is_some() && internal && neighbors != own
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bgp_wire::Asn;

    use super::*;
    use crate::mesh::{MeshDialer, Roster, Wiring};

    const ASN: Asn = Asn(64512);
    const OTHER: Asn = Asn(64513);

    fn at(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    fn node(n: u8) -> MeshNode {
        MeshNode::new(format!("n{n}"), at(n), ASN)
    }

    /// The peers of the first node.
    fn peers_with(nodes: &[MeshNode], wiring: Wiring, dialer: MeshDialer) -> Vec<PeerConfig> {
        let (own, options) = (nodes[0].addresses.clone(), SessionOptions::default());
        let ways = Ways { own: &own, local_as: nodes[0].asn, dialer, options: &options };
        let peers = Roster::of(nodes, &own, wiring).unwrap().peers(ways).unwrap();
        peers.into_values().map(|peer| (*peer).clone()).collect()
    }

    fn peers(nodes: &[MeshNode], peerings: &[Peering]) -> Vec<PeerConfig> {
        let wiring = Wiring { peerings: peerings.into(), mesh_off: false };
        peers_with(nodes, wiring, MeshDialer::Numeric)
    }

    fn addresses(peers: &[PeerConfig]) -> Vec<IpAddr> {
        peers.iter().map(|peer| peer.address).collect()
    }

    fn everybody() -> Peering {
        Peering::between(NodeSelector::All, NodeSelector::All)
    }

    #[test]
    fn a_neighbor_is_a_client_as_calico_has_it() {
        let (none, one, two) = (None, Some(ClusterId(1)), Some(ClusterId(2)));
        let rows = [
            // our cluster, of our AS, the neighbor's cluster: a client
            (none, true, none, false),
            (none, true, one, false),
            (none, false, none, false),
            (none, false, one, false),
            (one, true, none, true),
            (one, true, one, false),
            (one, true, two, true),
            (one, false, none, false),
            (one, false, one, false),
            (one, false, two, false),
        ];
        for (own, internal, neighbors, client) in rows {
            let row = format!("{own:?} {internal} {neighbors:?}");
            assert_eq!(is_reflector_client(own, internal, neighbors), client, "{row}");
            let this = MeshNode { cluster_id: own, ..node(1) };
            let asn = if internal { ASN } else { OTHER };
            let other = MeshNode { cluster_id: neighbors, asn, ..node(2) };
            let found = peers(&[this.clone(), other], &[everybody()]);
            assert_eq!(found[0].options.route_reflector_client, client, "as nodes: {row}");
            // By its address alone nothing is known of its cluster.
            let router = Peering::with_address(NodeSelector::All, at(9), asn);
            let found = peers(&[this], &[router]);
            assert_eq!(found[0].options.route_reflector_client, own.is_some() && internal, "a router: {row}");
        }
    }

    #[test]
    fn another_as_of_ours_on_a_session_decides_whether_it_is_internal() {
        let this = node(1).reflector(ClusterId(1));
        let client = |local_as| {
            let options = SessionOptions { local_as, ..SessionOptions::default() };
            let router = Peering::with_address(NodeSelector::All, at(9), OTHER).options(options);
            peers(std::slice::from_ref(&this), &[router])[0].options.route_reflector_client
        };
        assert_eq!([client(None), client(Some(OTHER)), client(Some(ASN))], [false, true, false]);
    }

    #[test]
    fn who_dials_by_either_rule() {
        let rows = [
            // who dials by numbers, by strings: the first or the second
            ("10.0.0.1", "10.0.0.2", 2, 2),
            ("10.0.0.9", "10.0.0.10", 2, 1),
            ("10.0.0.100", "10.0.0.20", 1, 2),
            ("9.255.0.1", "10.0.0.1", 2, 1),
            ("10.0.10.1", "10.0.9.1", 1, 2),
            ("fd00::9", "fd00::10", 2, 1),
            ("fd00::a", "fd00::9", 1, 1),
            ("fd00::1", "fd00:0:0:1::1", 2, 1),
        ];
        for (first, second, by_number, by_string) in rows {
            for (dialer, dials) in [(MeshDialer::Numeric, by_number), (MeshDialer::CalicoString, by_string)] {
                let one = MeshNode::new("one", first.parse().unwrap(), ASN);
                let two = MeshNode::new("two", second.parse().unwrap(), ASN);
                for peerings in [vec![], vec![everybody()]] {
                    let passive = |nodes: &[MeshNode]| {
                        let wiring = Wiring { peerings: peerings.as_slice().into(), mesh_off: false };
                        peers_with(nodes, wiring, dialer)[0].options.passive
                    };
                    let ends = [&one, &two].map(Clone::clone);
                    let turned = [&two, &one].map(Clone::clone);
                    assert_eq!(
                        [passive(&ends), passive(&turned)],
                        [dials == 2, dials == 1],
                        "{first} {second} {dialer:?} {peerings:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn nodes_that_were_picked_out_both_dial_unless_one_is_told_to_wait() {
        let mut picked = Peering::between(NodeSelector::named("n1"), NodeSelector::named("n2"));
        let both = |peering: &Peering| {
            [[1, 2], [2, 1]].map(|[this, other]| {
                peers(&[node(this), node(other)], std::slice::from_ref(peering))[0].options.passive
            })
        };
        assert_eq!(both(&picked), [false, false]);
        picked.options.passive = true;
        assert_eq!(both(&picked), [true, false]);
    }

    #[test]
    fn nodes_with_a_cluster_id_are_in_no_mesh() {
        let reflector = node(9).reflector(ClusterId(7));
        let nodes = [node(1), node(2), reflector.clone()];
        assert_eq!(addresses(&peers(&nodes, &[])), [at(2)]);
        assert!(peers(&[reflector, node(1), node(2)], &[]).is_empty());
    }

    #[test]
    fn reflectors_are_found_by_label_and_see_the_nodes_as_clients() {
        let nodes = [node(1), node(2), node(9).reflector(ClusterId(7)).label("role", "rr")];
        let is_rr = || NodeSelector::Is("role".into(), "rr".into());
        let peering = Peering::between(NodeSelector::Not(Box::new(is_rr())), is_rr());
        let wiring = Wiring { peerings: [peering.clone()].into(), mesh_off: true };
        let of = |order: [usize; 3]| {
            peers_with(&order.map(|n| nodes[n].clone()), wiring.clone(), MeshDialer::Numeric)
        };
        assert_eq!(addresses(&of([0, 1, 2])), [at(9)]);
        let clients = of([2, 0, 1]);
        assert_eq!(addresses(&clients), [at(1), at(2)]);
        assert!(clients.iter().all(|client| client.options.route_reflector_client));
        // The reflector is not told of them, where each end is to say so itself.
        let wiring = Wiring { peerings: [peering.one_sided()].into(), mesh_off: true };
        assert!(peers_with(&[2, 0, 1].map(|n| nodes[n].clone()), wiring, MeshDialer::Numeric).is_empty());
    }

    #[test]
    fn of_several_peerings_to_one_address_one_counts() {
        // Each is known by its hold time.
        let with = |seconds: u64, peering: Peering| {
            let mut options = SessionOptions::default();
            options.timers.hold_time = Duration::from_secs(seconds);
            peering.options(options)
        };
        let named = |n: u8| NodeSelector::named(format!("n{n}"));
        let implied = || with(10, Peering::between(named(2), named(1)));
        let specific = || with(20, Peering::between(named(1), named(2)));
        let by_address = || with(21, Peering::with_address(named(1), at(2), ASN));
        let implied_of_all = || with(15, Peering::between(NodeSelector::All, named(1)));
        let global = || with(30, Peering::between(NodeSelector::All, named(2)));
        let global_by_address = || with(31, Peering::with_address(NodeSelector::All, at(2), ASN));
        let rows = [
            (vec![implied()], 10),
            (vec![implied(), specific()], 20),
            (vec![specific(), implied()], 20),
            (vec![implied_of_all(), specific()], 20),
            (vec![specific(), global()], 30),
            (vec![implied(), specific(), global()], 30),
            (vec![by_address(), specific()], 21),
            (vec![specific(), by_address()], 20),
            (vec![by_address(), global_by_address()], 31),
            (vec![global(), global_by_address()], 30),
            (vec![], 90),
        ];
        for (peerings, wins) in rows {
            let found = peers(&[node(1), node(2)], &peerings);
            assert_eq!(found.len(), 1, "{peerings:?}");
            assert_eq!(found[0].options.timers.hold_time, Duration::from_secs(wins), "{peerings:?}");
        }
    }

    #[test]
    fn a_router_is_met_in_its_family_by_the_nodes_that_are_to_and_never_by_itself() {
        let six: IpAddr = "fd00::9".parse().unwrap();
        let link: IpAddr = "fe80::9".parse().unwrap();
        let behind = SessionOptions { interface: Some("eth0".into()), ..SessionOptions::default() };
        let peerings = [
            Peering::with_address(NodeSelector::All, at(1), ASN),
            Peering::with_address(NodeSelector::All, at(9), OTHER),
            Peering::with_address(NodeSelector::named("n2"), at(8), OTHER),
            Peering::with_address(NodeSelector::All, six, OTHER),
            Peering::with_address(NodeSelector::All, link, OTHER).options(behind),
        ];
        let found = peers(&[node(1)], &peerings);
        assert_eq!(addresses(&found), [at(9), link]);
        assert_eq!([found[0].options.source, found[1].options.source], [Some(at(1)), None]);
        assert_eq!(found[0].class, PeerClass::Global);
        // Nobody but the node may be named by the address of a node, with what is said of it.
        assert_eq!(addresses(&peers(&[node(2)], &peerings)), [at(1), at(8), at(9), link]);
    }

    /// Steps of single nodes, this one included, lead where the whole list leads.
    #[test]
    fn a_node_that_becomes_a_reflector_step_by_step_is_wired_as_by_the_whole_list() {
        let all_and_reflectors = Peering::between(NodeSelector::All, NodeSelector::Reflectors);
        let router = Peering::with_address(NodeSelector::named("n1"), at(3), ASN);
        let wiring = Wiring { peerings: [all_and_reflectors, router].into(), mesh_off: false };
        let (own, options) = (vec![at(1)], SessionOptions::default());
        let ways = Ways { own: &own, local_as: ASN, dialer: MeshDialer::Numeric, options: &options };
        let mut nodes = vec![node(1), node(2), node(3)];
        let mut roster = Roster::of(&nodes, &own, wiring.clone()).unwrap();
        let mut known = roster.peers(ways).unwrap();
        let reflecting = |n: u8| node(n).reflector(ClusterId(n.into()));
        let moves = [(vec![], vec![reflecting(2)]), (vec![], vec![reflecting(1)]), (vec![at(3)], vec![])];
        let moves = moves.into_iter().chain([(vec![at(2)], vec![node(3)]), (vec![], vec![node(1)])]);
        for (left, joined) in moves {
            let steps = roster.step(&left, &joined, ways).unwrap();
            for (at, peer) in steps {
                match peer {
                    Some(peer) => known.insert(at, peer),
                    None => known.remove(&at),
                };
            }
            nodes.retain(|node| {
                !left.contains(&node.addresses[0]) && joined.iter().all(|new| new.name != node.name)
            });
            nodes.extend(joined);
            let whole = Roster::of(&nodes, &own, wiring.clone()).unwrap();
            assert_eq!(known, whole.peers(ways).unwrap(), "{nodes:?}");
        }
    }
}
