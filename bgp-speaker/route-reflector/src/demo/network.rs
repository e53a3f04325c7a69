//! The speakers of the demonstration: a reflector that listens, and nodes that dial it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bgp_speaker::{
    Asn, NextHop, OwnerId, PeerConfig, Route, RouterId, ShutdownMode, Speaker, SpeakerError, StartError,
};
use ipnet::{IpNet, Ipv4Net};

use super::view::View;
use crate::failure::Failure;

/// An AS for private use (RFC 6996).
const ASN: Asn = Asn(64512);
const OWNER: OwnerId = OwnerId(1);
const REFLECTOR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);

/// The reflector and its nodes.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) reflector: Speaker,
    listen: SocketAddr,
    pub(super) nodes: Vec<Node>,
}

/// One node: a speaker of its own, with a block of addresses and one address outside of it.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) address: IpAddr,
    index: u16,
    speaker: Speaker,
}

impl Network {
    /// Starts all speakers; none is connected yet.
    pub(super) async fn start(nodes: u16) -> Result<Self, Failure> {
        let id = RouterId::from(Ipv4Addr::new(10, 255, 0, 1));
        // The system chooses a port that is free.
        let reflector = Speaker::builder(ASN, id)
            .listen(SocketAddr::from((REFLECTOR, 0)))
            .start()
            .await
            .map_err(failed)?;
        let listen = reflector.status().listen.first().copied();
        let listen = listen.ok_or_else(|| Failure::new("the reflector listens nowhere"))?;
        let mut network = Network { reflector, listen, nodes: Vec::new() };
        for index in 1..=nodes {
            network.nodes.push(Node::start(index).await?);
        }
        Ok(network)
    }

    /// Makes every node a client of the reflector.
    pub(super) async fn connect(&self) -> Result<(), Failure> {
        for node in &self.nodes {
            let mut client = PeerConfig::new(node.address, ASN).reflector_client().passive();
            // A node that is killed shall be missed at once, not kept until it may have restarted.
            client.options.graceful_restart = None;
            self.reflector.add_peer(client).await.map_err(refused)?;
        }
        for node in &self.nodes {
            node.dial(self.listen).await.map_err(refused)?;
        }
        Ok(())
    }

    pub(super) fn reflector_address(&self) -> SocketAddr {
        self.listen
    }

    /// What each node must hold: the routes of all, without those of one that is `lost`.
    pub(super) fn expected(&self, lost: Option<&Node>) -> BTreeMap<IpNet, NextHop> {
        let alive = self.nodes.iter().filter(|node| lost.is_none_or(|lost| lost.address != node.address));
        alive.flat_map(Node::routes).collect()
    }

    /// Which node to kill: one in the middle, so that there are others on both sides.
    pub(super) fn victim(&self) -> usize {
        self.nodes.len() / 2
    }

    /// Ends one node as a crash would: its connection closes, and nothing is said.
    pub(super) async fn kill(&mut self, index: usize) -> Node {
        let node = self.nodes.remove(index);
        node.speaker.shutdown(ShutdownMode::Restart).await;
        node
    }

    /// Ends all speakers.
    pub(super) async fn stop(&self) {
        for node in &self.nodes {
            node.speaker.shutdown(ShutdownMode::Restart).await;
        }
        self.reflector.shutdown(ShutdownMode::Restart).await;
    }

    pub(super) fn name_of(&self, address: IpAddr) -> String {
        let node = self.nodes.iter().find(|node| node.address == address);
        node.map_or_else(|| address.to_string(), |node| node.name.clone())
    }

    pub(super) fn owner_of(&self, prefix: &IpNet) -> String {
        let node = self.nodes.iter().find(|node| node.routes().contains_key(prefix));
        node.map_or_else(|| "nobody".to_owned(), |node| node.name.clone())
    }
}

impl Node {
    async fn start(index: u16) -> Result<Self, Failure> {
        let [high, low] = index.to_be_bytes();
        let speaker = Speaker::builder(ASN, RouterId::from(Ipv4Addr::new(10, 255, high + 1, low)))
            .start()
            .await
            .map_err(failed)?;
        let node = Node {
            name: format!("node-{index}"),
            address: IpAddr::from([127, 0, high + 1, low]),
            index,
            speaker,
        };
        let routes = node.routes().into_keys().map(Route::new);
        node.speaker.announce(OWNER, routes).await.map_err(refused)?;
        Ok(node)
    }

    async fn dial(&self, reflector: SocketAddr) -> Result<(), SpeakerError> {
        let mut peer = PeerConfig::new(reflector.ip(), ASN).port(reflector.port());
        peer.options.source = Some(self.address);
        peer.options.graceful_restart = None;
        peer.options.timers.connect_retry = Duration::from_secs(1);
        self.speaker.add_peer(peer).await
    }

    /// Its block of 64 addresses and one address from elsewhere, each with itself as next hop.
    pub(super) fn routes(&self) -> BTreeMap<IpNet, NextHop> {
        let [high, low] = (self.index * 64).to_be_bytes();
        let [host_high, host_low] = self.index.to_be_bytes();
        let block = Ipv4Net::new_assert(Ipv4Addr::new(10, 64, high, low), 26);
        let host = Ipv4Net::new_assert(Ipv4Addr::new(10, 200, host_high, host_low), 32);
        [block, host].map(|net| (IpNet::V4(net), self.next_hop())).into()
    }

    fn next_hop(&self) -> NextHop {
        match self.address {
            IpAddr::V4(address) => NextHop::V4(address),
            IpAddr::V6(address) => NextHop::V6(address),
        }
    }

    pub(super) fn view(&self) -> View {
        View::new(self.name.clone(), self.speaker.subscribe(), self.next_hop())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn failed(error: StartError) -> Failure {
    Failure::new(format_args!("cannot start a speaker: {error}"))
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn refused(error: SpeakerError) -> Failure {
    Failure::new(format_args!("a speaker refused: {error}"))
}
