//! The whole desired state: from the first moment, and from one to the next.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use bgp_speaker::{
    Asn, Change, ChangeClass, ClusterId, Community, DecisionOptions, Desired, Family, FamilySet, Identity,
    MeshNode, Multipath, NextHop, OwnerId, PeerClass, PeerConfig, Policy, RangeConfig, Route, RouteFilter,
    Speaker, SpeakerError, State, Subject, Subscription,
};
use bgp_wire::{AddPathMode, AttributeBlock, Capability};
use ipnet::IpNet;
use tokio::net::TcpListener;

use crate::scripted::{Scripted, raw};
use crate::support::{
    ASN, OWNER, announce, builder, established, eventually, has_exactly, ip, listening, net, next_batch,
    nodes, peer, peer_of, quick, speaker, waiting_for, within,
};

fn routes(prefixes: &[&str]) -> BTreeMap<OwnerId, Vec<Route>> {
    BTreeMap::from([(OWNER, prefixes.iter().map(|p| Route::new(net(p))).collect())])
}

/// A speaker that is applied to and one that it waits for, with the desired state that led there.
async fn applied_pair(test: u8) -> (Speaker, Speaker, Desired) {
    let (a, b) = (speaker(ip(test, 1)).await, speaker(ip(test, 2)).await);
    let desired = Desired {
        peers: vec![waiting_for(ip(test, 2), ASN)],
        routes: routes(&["10.1.0.0/16"]),
        ..Desired::default()
    };
    a.apply(desired.clone()).await.unwrap();
    b.add_peer(peer_of(&a)).await.unwrap();
    announce(&b, &["10.2.0.0/16"]).await;
    has_exactly(&a, &["10.1.0.0/16", "10.2.0.0/16"]).await;
    has_exactly(&b, &["10.1.0.0/16", "10.2.0.0/16"]).await;
    (a, b, desired)
}

/// What tells one session from another with the same peer.
fn session(speaker: &Speaker, address: IpAddr) -> (State, u64, SystemTime) {
    let peer = peer(speaker, address);
    (peer.state, peer.established, peer.since)
}

/// The one change that was made.
async fn only_change(speaker: &Speaker, desired: &Desired) -> Change {
    let report = speaker.apply(desired.clone()).await.unwrap();
    let [change] = report.changes.as_slice() else { panic!("not one change: {report:?}") };
    change.clone()
}

#[tokio::test]
async fn a_peer_that_dials_before_the_speaker_has_started_is_no_stranger() {
    let at: SocketAddr = {
        let free = TcpListener::bind((ip(100, 1), 0)).await.unwrap();
        free.local_addr().unwrap()
    };
    let dialling = tokio::spawn(async move {
        loop {
            match tokio::net::TcpSocket::new_v4() {
                Ok(socket) if socket.bind(SocketAddr::new(ip(100, 2), 0)).is_ok() => {
                    if let Ok(stream) = socket.connect(at).await {
                        return Scripted::over(stream);
                    }
                }
                _ => {}
            }
            tokio::task::yield_now().await;
        }
    });
    let a = Speaker::builder(ASN, bgp_speaker::RouterId(1))
        .listen(at)
        .peer(waiting_for(ip(100, 2), ASN))
        .listen_range(RangeConfig::new(net("127.40.100.128/25"), ASN))
        .announce(OWNER, [Route::new(net("10.1.0.0/16"))])
        .start()
        .await
        .unwrap();
    let mut scripted = dialling.await.unwrap();
    scripted.establish(ASN, "192.0.2.99".parse().unwrap(), 90).await;
    established(&a, 1).await;
    assert_eq!(a.status().strangers, 0);
    has_exactly(&a, &["10.1.0.0/16"]).await;
}

#[tokio::test]
async fn a_speaker_that_cannot_do_what_it_was_built_for_does_not_start() {
    let twice =
        builder(ip(101, 1), ASN).peer(waiting_for(ip(101, 2), ASN)).peer(waiting_for(ip(101, 2), ASN));
    let error = twice.start().await.unwrap_err();
    assert!(error.to_string().contains("127.40.101.2 exists already"), "{error}");
    let absent = builder(ip(101, 1), ASN).mesh(&[MeshNode::new("other", ip(101, 3), ASN)]);
    assert!(absent.start().await.is_err());
}

#[tokio::test]
async fn applying_the_same_again_changes_nothing() {
    let (a, _b, desired) = applied_pair(102).await;
    let before = (session(&a, ip(102, 2)), peer(&a, ip(102, 2)).sent.update);
    let report = a.apply(desired).await.unwrap();
    assert_eq!(report.changes, []);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!((session(&a, ip(102, 2)), peer(&a, ip(102, 2)).sent.update), before);
}

#[tokio::test]
async fn only_the_routes_that_differ_are_told() {
    let (a, b, mut desired) = applied_pair(103).await;
    desired.routes = routes(&["10.1.0.0/16", "10.3.0.0/16"]);
    assert_eq!(
        only_change(&a, &desired).await,
        Change {
            subject: Subject::Route(OWNER, net("10.3.0.0/16")),
            class: ChangeClass::Soft,
            why: "announced".into()
        }
    );
    has_exactly(&b, &["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"]).await;
    desired.routes = routes(&["10.3.0.0/16"]);
    desired.routes.get_mut(&OWNER).unwrap()[0].communities.push(Community::new(65000, 1));
    let report = a.apply(desired).await.unwrap();
    let mut words: Vec<_> = report.changes.iter().map(|c| (c.subject, c.why.as_str())).collect();
    words.sort_by_key(|(_, why)| *why);
    assert_eq!(
        words,
        [
            (Subject::Route(OWNER, net("10.3.0.0/16")), "attributes changed"),
            (Subject::Route(OWNER, net("10.1.0.0/16")), "withdrawn"),
        ]
    );
    has_exactly(&b, &["10.2.0.0/16", "10.3.0.0/16"]).await;
}

#[tokio::test]
async fn what_was_added_by_other_calls_goes_when_it_is_not_desired() {
    let (a, b, desired) = applied_pair(104).await;
    a.add_peer(waiting_for(ip(104, 9), ASN)).await.unwrap();
    a.announce(OwnerId(7), [Route::new(net("10.9.0.0/16"))]).await.unwrap();
    has_exactly(&b, &["10.1.0.0/16", "10.2.0.0/16", "10.9.0.0/16"]).await;
    let before = session(&a, ip(104, 2));
    let report = a.apply(desired).await.unwrap();
    assert_eq!(report.peer(ip(104, 9)).map(|c| c.why.as_str()), Some("removed"));
    has_exactly(&b, &["10.1.0.0/16", "10.2.0.0/16"]).await;
    assert_eq!(a.status().peers.len(), 1);
    assert_eq!(session(&a, ip(104, 2)), before);
}

#[tokio::test]
async fn waits_ports_and_classes_change_under_a_session_that_stands() {
    let (a, _b, mut desired) = applied_pair(105).await;
    let before = session(&a, ip(105, 2));
    let config = &mut desired.peers[0];
    config.port = 1790;
    config.class = PeerClass::Global;
    config.options.timers.connect_retry = Duration::from_secs(17);
    config.options.source = Some(ip(105, 1));
    let change = only_change(&a, &desired).await;
    assert_eq!((change.subject, change.class), (Subject::Peer(ip(105, 2).into()), ChangeClass::None));
    assert_eq!(change.why, "changed: class, port, connect-retry time");
    assert_eq!(session(&a, ip(105, 2)), before);
    let now = peer(&a, ip(105, 2));
    assert_eq!((now.port, now.class), (1790, PeerClass::Global));
}

#[tokio::test]
async fn keepalives_come_at_a_new_interval_over_the_same_session() {
    let (a, b) = (speaker(ip(113, 1)).await, speaker(ip(113, 2)).await);
    let mut desired = Desired { peers: vec![waiting_for(ip(113, 2), ASN)], ..Desired::default() };
    desired.peers[0].options.timers.keepalive = Some(Duration::from_secs(1));
    a.apply(desired.clone()).await.unwrap();
    b.add_peer(peer_of(&a)).await.unwrap();
    let keepalives = || peer(&b, ip(113, 1)).received.keepalive;
    eventually("one comes each second", async || b.status().peers.len() == 1 && keepalives() >= 3).await;
    let before = session(&a, ip(113, 2));
    desired.peers[0].options.timers.keepalive = None;
    let change = only_change(&a, &desired).await;
    assert_eq!((change.class, change.why.as_str()), (ChangeClass::Soft, "changed: keepalive interval"));
    eventually("status tells it", async || {
        peer(&a, ip(113, 2)).negotiated.is_some_and(|n| n.keepalive == Duration::from_secs(30))
    })
    .await;
    // The one that is due already still comes.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let told = keepalives();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((keepalives(), session(&a, ip(113, 2))), (told, before));
}

#[tokio::test]
async fn a_hold_time_above_the_peers_changes_nothing_on_the_wire_and_one_below_does() {
    let (a, b) = (speaker(ip(106, 1)).await, speaker(ip(106, 2)).await);
    let mut desired = Desired { peers: vec![waiting_for(ip(106, 2), ASN)], ..Desired::default() };
    a.apply(desired.clone()).await.unwrap();
    let mut to_a = peer_of(&a);
    to_a.options.timers.hold_time = Duration::from_secs(30);
    b.add_peer(to_a).await.unwrap();
    established(&a, 1).await;
    let before = session(&a, ip(106, 2));
    desired.peers[0].options.timers.hold_time = Duration::from_secs(60);
    assert_eq!(only_change(&a, &desired).await.class, ChangeClass::None);
    assert_eq!(session(&a, ip(106, 2)), before);
    desired.peers[0].options.timers.hold_time = Duration::from_secs(12);
    let change = only_change(&a, &desired).await;
    assert_eq!((change.class, change.why.as_str()), (ChangeClass::Hard, "changed: hold time"));
    eventually("the new hold time is agreed on", async || {
        peer(&b, ip(106, 1)).negotiated.is_some_and(|n| n.hold_time == Duration::from_secs(12))
    })
    .await;
}

#[tokio::test]
async fn a_session_that_begins_anew_for_a_change_loses_no_route() {
    let (a, b, mut desired) = applied_pair(107).await;
    let mut changes = b.subscribe();
    while !next_batch(&mut changes).await.synced {}
    desired.peers[0].options.families = Some(FamilySet::of(&[Family::IPV4_UNICAST]));
    let change = only_change(&a, &desired).await;
    assert_eq!((change.class, change.why.as_str()), (ChangeClass::Hard, "changed: families"));
    eventually("it is up again", async || {
        peer(&b, ip(107, 1)).established == 2 && peer(&b, ip(107, 1)).state == State::Established
    })
    .await;
    assert!(peer(&b, ip(107, 1)).last_error.is_none());
    while let Ok(batch) = tokio::time::timeout(Duration::from_millis(200), next_batch(&mut changes)).await {
        assert!(batch.changes.iter().all(|c| c.best.is_some()), "a route was gone for a moment: {batch:?}");
    }
}

#[tokio::test]
async fn a_rule_for_the_as_that_the_peer_satisfies_disturbs_it_not() {
    let (a, _b, mut desired) = applied_pair(108).await;
    let before = session(&a, ip(108, 2));
    desired.peers[0].peer_as = bgp_speaker::PeerAs::Internal;
    a.apply(desired.clone()).await.unwrap();
    assert_eq!(session(&a, ip(108, 2)), before);
    desired.peers[0].peer_as = Asn(65009).into();
    let change = only_change(&a, &desired).await;
    assert_eq!((change.class, change.why.as_str()), (ChangeClass::Hard, "changed: AS of the peer"));
    established(&a, 0).await;
}

#[tokio::test]
async fn a_desired_state_with_a_mistake_changes_nothing() {
    let (a, _b, mut desired) = applied_pair(109).await;
    desired.routes.clear();
    desired.peers.push(desired.peers[0].clone());
    assert_eq!(a.apply(desired).await, Err(SpeakerError::DuplicatePeer(ip(109, 2).into())));
    has_exactly(&a, &["10.1.0.0/16", "10.2.0.0/16"]).await;
}

#[tokio::test]
async fn a_mesh_session_stays_when_its_peer_is_configured_and_when_it_is_a_mesh_node_again() {
    let speakers = [speaker(ip(110, 1)).await, speaker(ip(110, 2)).await];
    let mesh = Desired { mesh: nodes(&speakers), ..Desired::default() };
    for speaker in &speakers {
        speaker.apply(mesh.clone()).await.unwrap();
    }
    established(&speakers[0], 1).await;
    let before = session(&speakers[0], ip(110, 2));
    let mut explicit = waiting_for(ip(110, 2), ASN);
    explicit.port = listening(&speakers[1]).port();
    explicit.options.families = Some(FamilySet::of(&[Family::IPV4_UNICAST]));
    let configured = Desired { peers: vec![explicit], ..Desired::default() };
    let change = only_change(&speakers[0], &configured).await;
    assert_eq!(change.class, ChangeClass::None, "{change}");
    assert_eq!(peer(&speakers[0], ip(110, 2)).class, PeerClass::NodeSpecific);
    assert_eq!(session(&speakers[0], ip(110, 2)), before);
    assert_eq!(only_change(&speakers[0], &mesh).await.class, ChangeClass::None);
    assert_eq!(peer(&speakers[0], ip(110, 2)).class, PeerClass::NodeToNodeMesh);
    assert_eq!(session(&speakers[0], ip(110, 2)), before);
}

#[tokio::test]
async fn a_peer_that_came_through_a_range_keeps_its_session_when_it_is_configured_and_back() {
    let (a, b) = (speaker(ip(111, 1)).await, speaker(ip(111, 2)).await);
    let range = RangeConfig::new(net("127.40.111.0/24"), ASN);
    let ranged = Desired { ranges: vec![range.clone()], ..Desired::default() };
    a.apply(ranged.clone()).await.unwrap();
    b.add_peer(peer_of(&a)).await.unwrap();
    established(&a, 1).await;
    let before = session(&a, ip(111, 2));
    let both = Desired { peers: vec![waiting_for(ip(111, 2), ASN)], ..ranged.clone() };
    assert_eq!(only_change(&a, &both).await.class, ChangeClass::None);
    assert_eq!(session(&a, ip(111, 2)), before);
    assert_eq!(only_change(&a, &ranged).await.class, ChangeClass::None);
    assert_eq!(session(&a, ip(111, 2)), before);
    assert_eq!(peer(&a, ip(111, 2)).class, PeerClass::Dynamic);
    a.apply(Desired::default()).await.unwrap();
    assert_eq!(a.status().peers.len(), 0);
    established(&b, 0).await;
}

#[tokio::test]
async fn an_attempt_under_way_takes_up_the_new_port() {
    let (a, b) = (speaker(ip(112, 1)).await, speaker(ip(112, 2)).await);
    b.add_peer(waiting_for(ip(112, 1), ASN)).await.unwrap();
    let mut to_b = peer_of(&b).port(9);
    to_b.options = quick();
    // Long enough that nothing happens of itself.
    to_b.options.timers.connect_retry = Duration::from_secs(3600);
    a.apply(Desired { peers: vec![to_b.clone()], ..Desired::default() }).await.unwrap();
    eventually("the first attempt fails", async || peer(&a, ip(112, 2)).last_error.is_some()).await;
    to_b.port = listening(&b).port();
    let change = only_change(&a, &Desired { peers: vec![to_b], ..Desired::default() }).await;
    assert_eq!((change.class, change.why.as_str()), (ChangeClass::None, "changed: port"));
    established(&a, 1).await;
}

#[tokio::test]
async fn nodes_that_move_from_a_mesh_to_a_reflector_lose_no_route() {
    let reflector = speaker(ip(114, 1)).await;
    let range = RangeConfig::new(net("127.40.114.0/24"), ASN).reflector_clients();
    reflector.add_listen_range(range).await.unwrap();
    let speakers = [speaker(ip(114, 2)).await, speaker(ip(114, 3)).await];
    let blocks = ["10.2.0.0/26", "10.3.0.0/26"];
    let desired = |block: &str| Desired { routes: routes(&[block]), ..Desired::default() };
    for (speaker, block) in speakers.iter().zip(blocks) {
        speaker.apply(Desired { mesh: nodes(&speakers), ..desired(block) }).await.unwrap();
    }
    has_exactly(&speakers[0], &blocks).await;
    has_exactly(&speakers[1], &blocks).await;
    let mut changes = speakers[0].subscribe();
    while !next_batch(&mut changes).await.synced {}
    for (speaker, block) in speakers.iter().zip(blocks) {
        let report =
            speaker.apply(Desired { peers: vec![peer_of(&reflector)], ..desired(block) }).await.unwrap();
        assert_eq!(report.class(), ChangeClass::Hard);
    }
    assert_eq!(speakers[0].status().peers.len(), 2, "the old way stays until the new one is there");
    eventually("only the reflector is left", async || {
        speakers.iter().all(|s| s.status().peers.len() == 1 && s.status().established() == 1)
    })
    .await;
    has_exactly(&speakers[0], &blocks).await;
    while let Ok(batch) = tokio::time::timeout(Duration::from_millis(200), next_batch(&mut changes)).await {
        assert!(batch.changes.iter().all(|c| c.best.is_some()), "a route was gone for a moment: {batch:?}");
    }
}

/// The next desired state may come while the old ways are still needed, and touch every peer.
#[tokio::test]
async fn a_change_in_the_middle_of_a_migration_does_not_cut_it_short() {
    let reflector = speaker(ip(243, 1)).await;
    let speakers = [speaker(ip(243, 2)).await, speaker(ip(243, 3)).await];
    let blocks = ["10.2.0.0/26", "10.3.0.0/26"];
    let desired = |block: &str| Desired { routes: routes(&[block]), ..Desired::default() };
    for (speaker, block) in speakers.iter().zip(blocks) {
        speaker.apply(Desired { mesh: nodes(&speakers), ..desired(block) }).await.unwrap();
    }
    has_exactly(&speakers[0], &blocks).await;
    let mut changes = speakers[0].subscribe();
    while !next_batch(&mut changes).await.synced {}
    for (speaker, block) in speakers.iter().zip(blocks) {
        let moved = Desired { peers: vec![peer_of(&reflector)], ..desired(block) };
        speaker.apply(moved.clone()).await.unwrap();
        let further = Desired { local_addresses: Some(vec![ip(243, 77)]), ..moved };
        speaker.apply(further).await.unwrap();
    }
    assert_eq!(speakers[0].status().peers.len(), 2, "the reflector is not there yet");
    let range = RangeConfig::new(net("127.40.243.0/24"), ASN).reflector_clients();
    reflector.add_listen_range(range).await.unwrap();
    eventually("only the reflector is left", async || {
        speakers.iter().all(|s| s.status().peers.len() == 1 && s.status().established() == 1)
    })
    .await;
    has_exactly(&speakers[0], &blocks).await;
    while let Ok(batch) = tokio::time::timeout(Duration::from_millis(200), next_batch(&mut changes)).await {
        assert!(batch.changes.iter().all(|c| c.best.is_some()), "a route was gone for a moment: {batch:?}");
    }
}

#[tokio::test]
async fn another_cluster_is_told_over_the_sessions_that_stand() {
    let reflector = speaker(ip(194, 1)).await;
    let range = RangeConfig::new(net("127.40.194.0/24"), ASN).reflector_clients();
    let mut desired = Desired { ranges: vec![range], ..Desired::default() };
    reflector.apply(desired.clone()).await.unwrap();
    let clients = [speaker(ip(194, 2)).await, speaker(ip(194, 3)).await];
    announce(&clients[0], &["10.2.0.0/26"]).await;
    for client in &clients {
        client.add_peer(peer_of(&reflector)).await.unwrap();
    }
    has_exactly(&clients[1], &["10.2.0.0/26"]).await;
    let cluster = async || {
        let page = clients[1].routes(RouteFilter::default(), None, 10).await.unwrap();
        let block = AttributeBlock::parse(&page.routes[0].attributes.block).unwrap();
        block.cluster_list().iter().collect::<Vec<_>>()
    };
    let since = [session(&reflector, ip(194, 2)), session(&reflector, ip(194, 3))];
    desired.cluster_id = Some(ClusterId(77));
    let change = only_change(&reflector, &desired).await;
    assert_eq!((change.subject, change.class), (Subject::Speaker, ChangeClass::Soft));
    assert_eq!(change.why, "changed: cluster");
    eventually("the new cluster is told", async || cluster().await == [ClusterId(77)]).await;
    assert_eq!(reflector.status().cluster_id, Some(ClusterId(77)));
    desired.cluster_id = None;
    assert_eq!(only_change(&reflector, &desired).await.class, ChangeClass::Soft);
    eventually("the built one is told", async || cluster().await != [ClusterId(77)]).await;
    assert_eq!([session(&reflector, ip(194, 2)), session(&reflector, ip(194, 3))], since);
}

#[tokio::test]
async fn another_identifier_begins_every_session_anew_and_loses_no_route() {
    let (a, b, mut desired) = applied_pair(195).await;
    let mut changes = b.subscribe();
    while !next_batch(&mut changes).await.synced {}
    let router_id = bgp_speaker::RouterId(0x0a00_0009);
    desired.identity = Some(Identity { asn: ASN, router_id });
    let report = a.apply(desired.clone()).await.unwrap();
    let words: Vec<String> = report.changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        words,
        ["speaker: changed: BGP identifier (hard)", "peer 127.40.195.2: changed: our BGP identifier (hard)",]
    );
    eventually("b sees the new one", async || {
        let seen = peer(&b, ip(195, 1));
        seen.state == State::Established && seen.router_id == Some(router_id)
    })
    .await;
    assert!(a.apply(desired).await.unwrap().changes.is_empty());
    while let Ok(batch) = tokio::time::timeout(Duration::from_millis(200), next_batch(&mut changes)).await {
        assert!(batch.changes.iter().all(|c| c.best.is_some()), "a route was gone for a moment: {batch:?}");
    }
}

#[tokio::test]
async fn another_as_makes_every_session_one_of_that_as() {
    let (a, b, mut desired) = applied_pair(196).await;
    let mut to_a = peer_of(&a);
    let asn = Asn(65077);
    to_a.peer_as = asn.into();
    to_a.options.import = Some(Policy::accept_all());
    to_a.options.export = Some(Policy::accept_all());
    desired.identity = Some(Identity { asn, router_id: a.status().router_id });
    desired.peers[0].options.export = Some(Policy::accept_all());
    let report = a.apply(desired.clone()).await.unwrap();
    assert_eq!(report.changes[0].to_string(), "speaker: changed: AS (hard)");
    assert_eq!(report.peer(ip(196, 2)).unwrap().why, "changed: our AS");
    b.remove_peer(ip(196, 1)).await.unwrap();
    b.add_peer(to_a).await.unwrap();
    eventually("an external session", async || {
        let seen = peer(&b, ip(196, 1));
        seen.state == State::Established && seen.asn == Some(asn)
    })
    .await;
    has_exactly(&b, &["10.1.0.0/16", "10.2.0.0/16"]).await;
    let told = RouteFilter { peer: Some(ip(196, 1).into()), ..RouteFilter::default() };
    eventually("the path is of that AS", async || {
        let page = b.routes(told.clone(), None, 10).await.unwrap();
        let block = |route: &bgp_speaker::RouteInfo| route.attributes.block.clone();
        page.routes
            .first()
            .map(block)
            .is_some_and(|block| AttributeBlock::parse(&block).unwrap().as_path().to_string() == "65077")
    })
    .await;
    let nobody = Identity { asn: Asn(0), router_id: a.status().router_id };
    desired.identity = Some(nobody);
    assert_eq!(a.apply(desired).await, Err(SpeakerError::ReservedAsn(0)));
}

/// With how many next hops a follower is shown a prefix when it hears of it next.
async fn next_hops(news: &mut Subscription, prefix: IpNet) -> usize {
    within("a change", async {
        loop {
            let batch = next_batch(news).await;
            if let Some(change) = batch.changes.iter().rev().find(|change| change.prefix == prefix) {
                return change.best.as_ref().unwrap().next_hops.len();
            }
        }
    })
    .await
}

#[tokio::test]
async fn the_number_of_next_hops_changes_and_no_session_hears_of_it() {
    let (a, b, mut desired) = applied_pair(115).await;
    let c = speaker(ip(115, 3)).await;
    desired.peers.push(waiting_for(ip(115, 3), ASN));
    a.apply(desired.clone()).await.unwrap();
    c.add_peer(peer_of(&a)).await.unwrap();
    let prefix = net("10.7.0.0/16");
    for speaker in [&b, &c] {
        announce(speaker, &["10.7.0.0/16"]).await;
    }
    let told = RouteFilter { prefix: Some(prefix), ..RouteFilter::default() };
    eventually("both have told it", async || {
        a.routes(told.clone(), None, 10).await.unwrap().routes.len() == 2
    })
    .await;
    let before = [session(&a, ip(115, 2)), session(&a, ip(115, 3))];
    let mut news = a.subscribe();
    assert_eq!(next_hops(&mut news, prefix).await, 1);
    for (paths, seen) in [(2, 2), (1, 1), (8, 2)] {
        desired.multipath = Some(Multipath { paths, ..Multipath::default() });
        let change = only_change(&a, &desired).await;
        assert_eq!((change.subject, change.class), (Subject::Multipath, ChangeClass::Soft));
        assert_eq!(next_hops(&mut news, prefix).await, seen, "{paths} paths");
    }
    assert!(a.apply(desired).await.unwrap().changes.is_empty());
    assert_eq!([session(&a, ip(115, 2)), session(&a, ip(115, 3))], before);
}

#[tokio::test]
async fn other_options_of_the_decision_choose_other_routes_over_the_sessions_that_stand() {
    let a = speaker(ip(57, 1)).await;
    let external = [
        builder(ip(57, 2), Asn(65002)).start().await.unwrap(),
        builder(ip(57, 3), Asn(65003)).start().await.unwrap(),
    ];
    let open = |peer: PeerConfig| peer.policies(Policy::accept_all(), Policy::accept_all());
    let peers = external.iter().map(|e| open(waiting_for(listening(e).ip(), e.status().asn)));
    let mut desired = Desired { peers: peers.collect(), ..Desired::default() };
    a.apply(desired.clone()).await.unwrap();
    for (speaker, med) in external.iter().zip([9, 1]) {
        speaker.add_peer(open(peer_of(&a))).await.unwrap();
        speaker.announce(OWNER, [Route::new(net("10.7.0.0/16")).med(med)]).await.unwrap();
    }
    let best = async || {
        let explained = a.explain(net("10.7.0.0/16")).await.unwrap();
        explained.filter(|e| e.paths.len() == 2).and_then(|e| e.paths[0].attributes.next_hop)
    };
    let of = |n: u8| Some(NextHop::from(ip(57, n)));
    eventually("the lower identifier decides between AS", async || best().await == of(2)).await;
    let sessions = [session(&a, ip(57, 2)), session(&a, ip(57, 3))];
    let always = DecisionOptions { always_compare_med: true, ..DecisionOptions::default() };
    for (options, winner) in [(Some(always), 3), (None, 2)] {
        desired.decision = options;
        let change = only_change(&a, &desired).await;
        assert_eq!((change.subject, change.class), (Subject::Decision, ChangeClass::Soft));
        eventually("the other route is best", async || best().await == of(winner)).await;
    }
    assert_eq!([session(&a, ip(57, 2)), session(&a, ip(57, 3))], sessions);
}

/// The encapsulation extended community (RFC 9012 §4.1) beside a route target, from a peer of AS 65009.
const TUNNELLED: [u8; 44] = [
    0, 0, 0, 37, // no withdrawals; attributes
    0x40, 1, 1, 0, // ORIGIN
    0x40, 2, 4, 2, 1, 0xfd, 0xf1, // AS_PATH 65009, with two octets
    0x40, 3, 4, 192, 0, 2, 99, // NEXT_HOP
    0xc0, 16, 16, 3, 0x0c, 0, 0, 0, 0, 0, 8, 0, 2, 0xfd, 0xe8, 0, 0, 0, 1, // EXTENDED_COMMUNITIES
    16, 10, 7, // 10.7.0.0/16
];

#[tokio::test]
async fn an_external_peer_is_heard_about_tunnels_once_it_is_of_our_administration() {
    let a = speaker(ip(116, 1)).await;
    let mut peer = waiting_for(ip(116, 2), Asn(65009));
    peer.options.import = Some(Policy::accept_all());
    let mut desired = Desired { peers: vec![peer], ..Desired::default() };
    let mut heard = Vec::new();
    for same_domain in [false, true] {
        desired.peers[0].options.same_domain = same_domain;
        let report = a.apply(desired.clone()).await.unwrap();
        assert_eq!(report.class(), ChangeClass::Hard);
        let mut scripted = Scripted::connect(ip(116, 2), listening(&a)).await;
        scripted.send_two_octet_open(65009, "192.0.2.99".parse().unwrap()).await;
        scripted.send(&raw(2, &TUNNELLED)).await;
        let all = RouteFilter::default();
        eventually("the route is there", async || {
            a.routes(all.clone(), None, 10).await.unwrap().routes.len() == 1
        })
        .await;
        let page = a.routes(all, None, 10).await.unwrap();
        let block = AttributeBlock::parse(&page.routes[0].attributes.block).unwrap();
        heard.push(block.extended_communities().iter().count());
        // Ends with what `apply` says next, or with the test.
        tokio::spawn(async move { scripted.notification().await });
    }
    assert_eq!(heard, [1, 2]);
}

#[tokio::test]
async fn several_paths_go_by_family_and_are_asked_for_within_a_limit() {
    let a = speaker(ip(117, 1)).await;
    let mut peer = waiting_for(ip(117, 2), ASN);
    let paths = &mut peer.options.add_path;
    paths.receive_in = FamilySet::of(&[Family::IPV6_UNICAST]);
    (paths.limit, paths.limit_in) = (Some(8), vec![(Family::IPV6_UNICAST, 4)]);
    paths.send_in = vec![(Family::IPV4_UNICAST, bgp_speaker::AddPathSend::Best(2))];
    let mut desired = Desired { peers: vec![peer], ..Desired::default() };
    a.apply(desired.clone()).await.unwrap();
    let mut scripted = Scripted::connect(ip(117, 2), listening(&a)).await;
    let open = scripted.open().await;
    let modes = vec![(Family::IPV4_UNICAST, AddPathMode::SEND), (Family::IPV6_UNICAST, AddPathMode::RECEIVE)];
    assert!(open.capabilities.contains(&Capability::AddPath(modes)), "{open:?}");
    assert!(open.capabilities.contains(&Capability::PathsLimit(vec![(Family::IPV6_UNICAST, 4)])), "{open:?}");
    // The same said otherwise is no change.
    let paths = &mut desired.peers[0].options.add_path;
    (paths.limit, paths.send_in) = (None, vec![(Family::IPV4_UNICAST, bgp_speaker::AddPathSend::Best(2))]);
    assert!(a.apply(desired.clone()).await.unwrap().changes.is_empty());
}
