//! Route reflection.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bgp_speaker::{
    AddPathSend, Asn, Batch, ChangeClass, ClusterId, Community, NextHop, PeerClass, RangeConfig, Route,
    RouteFilter, RouterId, ShutdownMode, Speaker,
};

use crate::support::{
    ASN, OWNER, announce, builder, established, eventually, has_exactly, ip, net, next_batch, peer_of,
    prefixes, quick, speaker, waiting_for,
};

/// A reflector that takes the whole test's addresses as clients, and that many clients with a block each.
async fn reflector_with_clients(test: u8, clients: u8) -> (Speaker, Vec<Speaker>) {
    let reflector = builder(ip(test, 1), ASN).cluster_id(ClusterId(7)).start().await.unwrap();
    let mut range = RangeConfig::new(net(&format!("127.40.{test}.0/24")), ASN).reflector_clients();
    range.options.timers = quick().timers;
    reflector.add_listen_range(range).await.unwrap();
    let mut all = Vec::new();
    for client in 0..clients {
        let speaker = speaker(ip(test, 10 + client)).await;
        announce(&speaker, &[&format!("10.0.{client}.0/26")]).await;
        speaker.add_peer(peer_of(&reflector)).await.unwrap();
        all.push(speaker);
    }
    established(&reflector, usize::from(clients)).await;
    (reflector, all)
}

fn next_hop(address: IpAddr) -> Option<NextHop> {
    let IpAddr::V4(address) = address else { panic!("tests use IPv4 addresses") };
    Some(NextHop::V4(address))
}

#[tokio::test]
async fn clients_learn_each_others_routes_with_the_announcers_next_hop() {
    let (reflector, clients) = reflector_with_clients(20, 4).await;
    for client in &clients {
        has_exactly(client, &["10.0.0.0/26", "10.0.1.0/26", "10.0.2.0/26", "10.0.3.0/26"]).await;
    }
    let filter = RouteFilter { prefix: Some(net("10.0.3.0/26")), ..RouteFilter::default() };
    let page = clients[0].routes(filter, None, 10).await.unwrap();
    assert_eq!(page.routes[0].attributes.next_hop, next_hop(ip(20, 13)));
    let status = reflector.status();
    assert!(status.peers.iter().all(|p| p.reflector_client && p.class == PeerClass::ReflectorClient));
}

#[tokio::test]
async fn meshed_clients_of_one_cluster_are_told_of_the_others_by_themselves() {
    let reflector = builder(ip(199, 1), ASN).cluster_id(ClusterId(7)).start().await.unwrap();
    let client = |n: u8, client_to_client: bool, cluster: Option<ClusterId>| {
        let mut config = waiting_for(ip(199, n), ASN).reflector_client();
        config.options.rules.client_to_client = client_to_client;
        config.options.rules.cluster_id = cluster;
        config
    };
    let mut clients = Vec::new();
    for n in 2..=4u8 {
        reflector.add_peer(client(n, false, (n == 4).then_some(ClusterId(8)))).await.unwrap();
        let speaker = speaker(ip(199, n)).await;
        announce(&speaker, &[&format!("10.0.{n}.0/26")]).await;
        speaker.add_peer(peer_of(&reflector)).await.unwrap();
        clients.push(speaker);
    }
    established(&reflector, 3).await;
    has_exactly(&clients[0], &["10.0.2.0/26", "10.0.4.0/26"]).await;
    has_exactly(&clients[2], &["10.0.2.0/26", "10.0.3.0/26", "10.0.4.0/26"]).await;
    let since = reflector.status().peers.iter().map(|peer| peer.since).collect::<Vec<_>>();
    let batch = Batch { peers: vec![client(2, true, None)], ..Batch::default() };
    let report = reflector.update(batch).await.unwrap();
    assert!(report.changes.iter().all(|change| change.class == ChangeClass::Soft), "{report:?}");
    has_exactly(&clients[0], &["10.0.2.0/26", "10.0.3.0/26", "10.0.4.0/26"]).await;
    assert_eq!(reflector.status().peers.iter().map(|peer| peer.since).collect::<Vec<_>>(), since);
}

#[tokio::test]
async fn a_client_that_takes_several_paths_is_told_as_many_as_configured() {
    let reflector = builder(ip(28, 1), ASN).cluster_id(ClusterId(7)).start().await.unwrap();
    let mut range = RangeConfig::new(net("127.40.28.0/24"), ASN).reflector_clients();
    range.options.timers = quick().timers;
    range.options.add_path.send = Some(AddPathSend::Best(2));
    reflector.add_listen_range(range).await.unwrap();
    let mut tellers = Vec::new();
    for teller in 0..3 {
        let speaker = speaker(ip(28, 10 + teller)).await;
        announce(&speaker, &["10.0.0.0/26"]).await;
        speaker.add_peer(peer_of(&reflector)).await.unwrap();
        tellers.push(speaker);
    }
    let taker = speaker(ip(28, 20)).await;
    let mut peer = peer_of(&reflector);
    peer.options.add_path.receive = true;
    taker.add_peer(peer).await.unwrap();
    let alone = speaker(ip(28, 21)).await;
    alone.add_peer(peer_of(&reflector)).await.unwrap();
    let paths = async |speaker: &Speaker| {
        let page = speaker.routes(RouteFilter::default(), None, 10).await.unwrap();
        page.routes.len()
    };
    eventually("two of three paths", async || paths(&taker).await == 2).await;
    eventually("the best path alone", async || paths(&alone).await == 1).await;
}

#[tokio::test]
async fn a_client_that_ends_takes_its_routes_along() {
    let (_reflector, mut clients) = reflector_with_clients(21, 3).await;
    has_exactly(&clients[0], &["10.0.0.0/26", "10.0.1.0/26", "10.0.2.0/26"]).await;
    clients.pop().unwrap().shutdown(ShutdownMode::HardReset).await;
    has_exactly(&clients[0], &["10.0.0.0/26", "10.0.1.0/26"]).await;
}

#[tokio::test]
async fn attributes_pass_through_the_reflector_unchanged() {
    let (_reflector, clients) = reflector_with_clients(22, 2).await;
    let route = Route::new(net("10.9.0.0/24")).med(70).local_pref(300).community(Community::new(65000, 42));
    clients[0].announce(OWNER, [route]).await.unwrap();
    has_exactly(&clients[1], &["10.0.0.0/26", "10.0.1.0/26", "10.9.0.0/24"]).await;
    let filter = RouteFilter { prefix: Some(net("10.9.0.0/24")), ..RouteFilter::default() };
    let page = clients[1].routes(filter, None, 10).await.unwrap();
    let block = page.routes[0].attributes.block.clone();
    let block = bgp_wire::AttributeBlock::parse(&block).unwrap();
    assert_eq!((block.med(), block.local_pref()), (Some(70), Some(300)));
    assert_eq!(block.communities().iter().collect::<Vec<_>>(), [Community::new(65000, 42)]);
}

#[tokio::test]
async fn what_a_client_is_told_is_listed_as_it_is_told() {
    let (reflector, clients) = reflector_with_clients(26, 3).await;
    for client in &clients {
        has_exactly(client, &["10.0.0.0/26", "10.0.1.0/26", "10.0.2.0/26"]).await;
    }
    let filter = RouteFilter { advertised_to: Some(ip(26, 10).into()), ..RouteFilter::default() };
    let page = reflector.routes(filter, None, 10).await.unwrap();
    let mut told: Vec<String> = page.routes.iter().map(|route| route.destination.to_string()).collect();
    told.sort();
    assert_eq!(told, ["10.0.1.0/26", "10.0.2.0/26"], "its own route is kept from it");
    for route in &page.routes {
        let block = bgp_wire::AttributeBlock::parse(&route.attributes.block).unwrap();
        assert_eq!(block.cluster_list().iter().collect::<Vec<_>>(), [ClusterId(7)], "as it goes out");
        assert!(block.originator_id().is_some());
    }
    let nobody = RouteFilter { advertised_to: Some(ip(26, 99).into()), ..RouteFilter::default() };
    assert!(reflector.routes(nobody, None, 10).await.is_err(), "there is no such peer");
}

#[tokio::test]
async fn plain_internal_peers_of_a_speaker_do_not_hear_of_each_other() {
    let hub = speaker(ip(23, 1)).await;
    let mut spokes = Vec::new();
    for node in 0..2 {
        hub.add_peer(waiting_for(ip(23, 10 + node), ASN)).await.unwrap();
        let spoke = speaker(ip(23, 10 + node)).await;
        announce(&spoke, &[&format!("10.0.{node}.0/26")]).await;
        spoke.add_peer(peer_of(&hub)).await.unwrap();
        spokes.push(spoke);
    }
    has_exactly(&hub, &["10.0.0.0/26", "10.0.1.0/26"]).await;
    announce(&hub, &["10.7.0.0/26"]).await;
    has_exactly(&spokes[0], &["10.0.0.0/26", "10.7.0.0/26"]).await;
    has_exactly(&spokes[1], &["10.0.1.0/26", "10.7.0.0/26"]).await;
}

#[tokio::test]
async fn a_range_takes_as_many_peers_as_it_says_and_no_more() {
    let hub = speaker(ip(24, 1)).await;
    let mut range = RangeConfig::new(net("127.40.24.0/24"), ASN);
    range.limit = 2;
    hub.add_listen_range(range).await.unwrap();
    let mut spokes = Vec::new();
    for node in 0..3 {
        let spoke = speaker(ip(24, 10 + node)).await;
        spoke.add_peer(peer_of(&hub)).await.unwrap();
        spokes.push(spoke);
    }
    eventually("the third is turned away", async || hub.status().ranges[0].refused > 0).await;
    assert_eq!(hub.status().peers.len(), 2);
    let seen = hub.status().ranges[0].clone();
    assert_eq!((seen.prefix, seen.peers, seen.limit), (net("127.40.24.0/24"), 2, 2));
    assert_eq!(hub.status().strangers, 0, "it is none");
    // One leaves and makes room.
    let at = spokes.iter().position(|s| s.status().established() == 1).unwrap();
    spokes.remove(at).shutdown(ShutdownMode::HardReset).await;
    for spoke in &spokes {
        established(spoke, 1).await;
    }
}

#[tokio::test]
async fn a_removed_range_ends_its_sessions() {
    let (reflector, clients) = reflector_with_clients(25, 2).await;
    reflector.remove_listen_range(net("127.40.25.0/24")).await.unwrap();
    established(&clients[0], 0).await;
    let error = clients[0].status().peers[0].last_error.clone().unwrap();
    assert!(error.contains("De-configured"), "{error}");
    assert_eq!(reflector.status().peers.len(), 0);
    assert!(reflector.status().ranges.is_empty());
}

#[tokio::test]
async fn an_external_peer_without_policy_gets_nothing_and_status_says_why() {
    let (a, b) = (
        builder(ip(26, 1), Asn(65001)).start().await.unwrap(),
        builder(ip(26, 2), Asn(65002)).start().await.unwrap(),
    );
    announce(&a, &["10.1.0.0/16"]).await;
    crate::support::connect(&a, &b).await;
    eventually("RFC 8212 is named", async || a.status().peers[0].info.contains("RFC 8212")).await;
    eventually("the table has been told", async || a.status().peers[0].sent.update > 0).await;
    has_exactly(&b, &[]).await;
    assert_eq!(b.status().peers[0].prefixes.received, 0);
}

#[tokio::test]
async fn the_clients_of_two_reflectors_of_one_cluster_do_not_notice_when_one_goes() {
    let mut reflectors = Vec::new();
    for node in [1, 2] {
        let reflector = builder(ip(27, node), ASN).cluster_id(ClusterId(7)).start().await.unwrap();
        reflector
            .add_listen_range(RangeConfig::new(net("127.40.27.8/29"), ASN).reflector_clients())
            .await
            .unwrap();
        reflectors.push(reflector);
    }
    reflectors[0].add_peer(waiting_for(ip(27, 2), ASN)).await.unwrap();
    reflectors[1].add_peer(peer_of(&reflectors[0])).await.unwrap();
    let mut clients = Vec::new();
    for node in 0..3 {
        let client = speaker(ip(27, 8 + node)).await;
        announce(&client, &[&format!("10.0.{node}.0/26")]).await;
        for reflector in &reflectors {
            client.add_peer(peer_of(reflector)).await.unwrap();
        }
        established(&client, 2).await;
        clients.push(client);
    }
    let all = ["10.0.0.0/26", "10.0.1.0/26", "10.0.2.0/26"];
    for client in &clients {
        has_exactly(client, &all).await;
        eventually("both tell everything", async || client.status().table.paths == 5).await;
    }
    let mut changes = clients[0].subscribe();
    while !next_batch(&mut changes).await.synced {}
    reflectors.pop().unwrap().shutdown(ShutdownMode::HardReset).await;
    for client in &clients {
        established(client, 1).await;
        eventually("the paths of the other are gone", async || client.status().table.paths == 3).await;
        has_exactly(client, &all).await;
    }
    while let Ok(batch) = tokio::time::timeout(Duration::from_millis(100), next_batch(&mut changes)).await {
        assert!(batch.changes.iter().all(|c| c.best.is_some()), "a route was gone for a moment: {batch:?}");
    }
}

#[tokio::test]
async fn a_client_that_restarts_is_not_missed_and_comes_back_with_what_it_has_now() {
    let (reflector, mut clients) = reflector_with_clients(28, 2).await;
    let at = crate::support::listening(&clients[1]);
    has_exactly(&clients[0], &["10.0.0.0/26", "10.0.1.0/26"]).await;
    clients.pop().unwrap().shutdown(ShutdownMode::Restart).await;
    established(&reflector, 1).await;
    assert_eq!(reflector.status().peers.len(), 2, "the peer is kept for its return");
    has_exactly(&clients[0], &["10.0.0.0/26", "10.0.1.0/26"]).await;
    let again = Speaker::builder(ASN, RouterId::from(Ipv4Addr::new(127, 40, 28, 11)))
        .listen(at)
        .start()
        .await
        .unwrap();
    announce(&again, &["10.0.2.0/26"]).await;
    again.add_peer(peer_of(&reflector)).await.unwrap();
    established(&reflector, 2).await;
    has_exactly(&clients[0], &["10.0.0.0/26", "10.0.2.0/26"]).await;
    assert_eq!(reflector.status().peers.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reflector_that_stops_to_be_replaced_takes_no_route_with_it() {
    // Sessions end side by side, on several threads: none may hear that the routes of another are gone. Without a rule for
    // it, one round in six shows it.
    const CLIENTS: u8 = 80;
    const ROUNDS: usize = 6;
    for _ in 0..ROUNDS {
        let (reflector, clients) = reflector_with_clients(29, CLIENTS).await;
        for client in &clients {
            eventually("all are told", async || prefixes(client).await.len() == usize::from(CLIENTS)).await;
        }
        reflector.shutdown(ShutdownMode::Restart).await;
        for client in &clients {
            established(client, 0).await;
            assert_eq!(prefixes(client).await.len(), usize::from(CLIENTS), "{:?}", client.status().peers);
        }
    }
}
