//! Speakers on loopback, and waiting for what they come to.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bgp_speaker::{
    Asn, Builder, MeshNode, OwnerId, PeerConfig, PeerStatus, Route, RouteBatch, RouteFilter, RouteNews,
    RouterId, Speaker, Subscription,
};
use ipnet::IpNet;

pub(crate) use crate::quick::quick;

/// How long anything may take that takes no timer: far above what a loaded machine needs.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub const ASN: Asn = Asn(65000);
pub const OWNER: OwnerId = OwnerId(1);

/// Address `node` of test `test`.
pub fn ip(test: u8, node: u8) -> IpAddr {
    IpAddr::from([127, 40, test, node])
}

pub fn net(text: &str) -> IpNet {
    text.parse().expect("a prefix")
}

/// A builder for the speaker at this address.
pub fn builder(address: IpAddr, asn: Asn) -> Builder {
    let IpAddr::V4(v4) = address else { panic!("tests use IPv4 addresses") };
    Speaker::builder(asn, RouterId::from(v4)).listen(SocketAddr::new(address, 0)).mesh_options(quick())
}

pub async fn speaker(address: IpAddr) -> Speaker {
    builder(address, ASN).start().await.expect("the speaker starts")
}

pub fn listening(speaker: &Speaker) -> SocketAddr {
    speaker.status().listen[0]
}

/// A configuration that leads to this speaker.
pub fn peer_of(speaker: &Speaker) -> PeerConfig {
    let at = listening(speaker);
    let mut peer = PeerConfig::new(at.ip(), speaker.status().asn).port(at.port());
    peer.options = quick();
    peer
}

/// A peer that is waited for.
pub fn waiting_for(address: IpAddr, asn: Asn) -> PeerConfig {
    let mut peer = PeerConfig::new(address, asn);
    peer.options = quick();
    peer.passive()
}

/// Two speakers with a session; the second one dials.
pub async fn pair(test: u8) -> (Speaker, Speaker) {
    let (a, b) = (speaker(ip(test, 1)).await, speaker(ip(test, 2)).await);
    connect(&a, &b).await;
    (a, b)
}

/// Makes the second dial the first and waits for the session.
pub async fn connect(a: &Speaker, b: &Speaker) {
    let waiting = waiting_for(listening(b).ip(), b.status().asn);
    a.add_peer(waiting).await.expect("the peer is added");
    b.add_peer(peer_of(a)).await.expect("the peer is added");
    established(a, 1).await;
    established(b, 1).await;
}

pub fn nodes(speakers: &[Speaker]) -> Vec<MeshNode> {
    let node = |s: &Speaker| {
        let at = listening(s);
        MeshNode::new(at.ip().to_string(), at.ip(), s.status().asn).port(at.port())
    };
    speakers.iter().map(node).collect()
}

/// Waits until it holds.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    within(what, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

/// Waits for it, for a time.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(result) => result,
        Err(_) => panic!("this did not come in {PATIENCE:?}: {what}"),
    }
}

pub async fn established(speaker: &Speaker, sessions: usize) {
    let wait = async {
        while speaker.status().established() != sessions {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    if tokio::time::timeout(PATIENCE, wait).await.is_err() {
        let status = speaker.status();
        let peers: Vec<_> = status.peers.iter().map(|p| (p.address, p.port, &p.info)).collect();
        panic!("{:?} came not to {sessions} sessions: {peers:?}", status.listen);
    }
}

pub fn peer(speaker: &Speaker, address: IpAddr) -> PeerStatus {
    speaker.status().peer(address).expect("the peer is configured").clone()
}

/// The next batch of a subscription that keeps up.
pub async fn next_batch(subscription: &mut Subscription) -> RouteBatch {
    match subscription.next().await.expect("the speaker runs") {
        RouteNews::Batch(batch) => batch,
        RouteNews::StartAnew => panic!("it is not slow"),
    }
}

pub async fn announce(speaker: &Speaker, prefixes: &[&str]) {
    let routes: Vec<Route> = prefixes.iter().map(|p| Route::new(net(p))).collect();
    speaker.announce(OWNER, routes).await.expect("the routes are announced");
}

/// The prefixes with a best route.
pub async fn prefixes(speaker: &Speaker) -> BTreeSet<IpNet> {
    let filter = RouteFilter { best_only: true, ..RouteFilter::default() };
    let (mut all, mut from) = (BTreeSet::new(), None);
    loop {
        let page = speaker.routes(filter.clone(), from, 1000).await.expect("the speaker runs");
        all.extend(page.routes.iter().filter_map(|r| r.destination.prefix()));
        from = page.next;
        if from.is_none() {
            return all;
        }
    }
}

pub async fn has_exactly(speaker: &Speaker, wanted: &[&str]) {
    let wanted: BTreeSet<IpNet> = wanted.iter().map(|p| net(p)).collect();
    let what = format!("{} has {wanted:?}", listening(speaker));
    eventually(&what, async || prefixes(speaker).await == wanted).await;
}
