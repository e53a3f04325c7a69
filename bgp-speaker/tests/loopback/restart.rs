//! What a speaker that takes over from a former process tells its peers (RFC 4724).

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bgp_speaker::kernel::{FibOp, KernelConfig, MemoryFib};
use bgp_speaker::{Event, Family, OwnerId, Route, RouteFilter, ShutdownMode, Speaker};
use bgp_wire::{Capability, GracefulRestart, keepalive};
use bytes::BytesMut;

use crate::scripted::Scripted;
use crate::support::{
    ASN, OWNER, announce, builder, connect, established, eventually, has_exactly, ip, listening, net, pair,
    peer, peer_of, speaker, waiting_for, within,
};

const ID: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 99);

/// What the speaker's OPEN says of graceful restart.
async fn restart_of(scripted: &mut Scripted) -> GracefulRestart {
    let open = scripted.open().await;
    let restart = open.capabilities.iter().find_map(|capability| match capability {
        Capability::GracefulRestart(restart) => Some(restart.clone()),
        _ => None,
    });
    restart.expect("graceful restart is on")
}

/// Comes up far enough to read the speaker's OPEN, tells an empty table, and goes.
async fn visit(from: IpAddr, to: &Speaker) -> GracefulRestart {
    let mut scripted = Scripted::connect(from, listening(to)).await;
    scripted.send_open(ASN, ID, 90).await;
    let restart = restart_of(&mut scripted).await;
    scripted.send(keepalive()).await;
    established(to, 1).await;
    let mut end_of_rib = BytesMut::new();
    bgp_wire::end_of_rib(&mut end_of_rib, Family::IPV4_UNICAST);
    let mut events = to.events();
    scripted.send(&end_of_rib).await;
    while !matches!(events.next().await, Some(Event::EndOfRib { .. })) {}
    drop(scripted);
    established(to, 0).await;
    restart
}

#[tokio::test]
async fn a_peer_hears_of_the_restart_until_it_has_told_its_table() {
    let peer = waiting_for(ip(120, 9), ASN);
    let a = builder(ip(120, 1), ASN).restarting(true).peer(peer).start().await.unwrap();
    let first = visit(ip(120, 9), &a).await;
    assert!(first.restarting);
    assert!(!first.families.is_empty() && first.families.iter().all(|(_, forwarding)| *forwarding));
    let second = visit(ip(120, 9), &a).await;
    assert!(!second.restarting);
    assert_eq!(second.families, first.families);
}

#[tokio::test]
async fn a_start_that_finds_its_routes_in_the_kernel_is_a_restart_and_one_that_finds_none_is_not() {
    let fib = MemoryFib::new(186);
    fib.connect(net("127.0.0.0/8"), 1);
    let peer = speaker(ip(121, 1)).await;
    announce(&peer, &["10.1.0.0/26"]).await;
    let speaker = || {
        builder(ip(121, 2), ASN)
            .peer(waiting_for(ip(121, 9), ASN))
            .fib(KernelConfig { protocol: 186, ..KernelConfig::default() }, fib.clone())
            .start()
    };
    let first = speaker().await.unwrap();
    assert!(!visit(ip(121, 9), &first).await.restarting);
    connect(&peer, &first).await;
    eventually("the route is written", async || fib.routes().len() == 1).await;
    first.shutdown(ShutdownMode::Restart).await;
    assert_eq!(fib.routes().len(), 1);
    let again = speaker().await.unwrap();
    assert!(visit(ip(121, 9), &again).await.restarting);
}

#[tokio::test]
async fn peers_are_told_nothing_before_the_owners_are_ready() {
    let (blocks, services) = (OwnerId(1), OwnerId(2));
    let a = builder(ip(122, 1), ASN)
        .hold_until_ready([blocks, services])
        .announce(blocks, [Route::new(net("10.1.0.0/26"))])
        .start()
        .await
        .unwrap();
    let b = speaker(ip(122, 2)).await;
    announce(&b, &["10.2.0.0/26"]).await;
    let mut events = b.events();
    connect(&a, &b).await;
    has_exactly(&a, &["10.1.0.0/26", "10.2.0.0/26"]).await;
    a.ready(blocks).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(peer(&b, ip(122, 1)).received.update, 0, "one owner is missing still");
    a.announce(services, [Route::new(net("10.3.0.1/32"))]).await.unwrap();
    a.ready(services).await.unwrap();
    has_exactly(&b, &["10.1.0.0/26", "10.2.0.0/26", "10.3.0.1/32"]).await;
    while !matches!(within("End-of-RIB", events.next()).await, Some(Event::EndOfRib { .. })) {}
}

#[tokio::test]
async fn owners_that_never_get_ready_are_waited_for_no_longer_than_the_sweep() {
    let a = builder(ip(123, 1), ASN)
        .hold_until_ready([OwnerId(9)])
        .sweep_after(Duration::from_millis(700))
        .announce(OWNER, [Route::new(net("10.1.0.0/26"))])
        .start()
        .await
        .unwrap();
    let b = speaker(ip(123, 2)).await;
    connect(&a, &b).await;
    has_exactly(&b, &["10.1.0.0/26"]).await;
}

#[tokio::test]
async fn a_speaker_that_drains_leaves_a_route_for_a_better_one_before_it_goes() {
    let (a, b) = pair(124).await;
    let other = speaker(ip(124, 3)).await;
    announce(&a, &["10.1.0.0/26"]).await;
    announce(&other, &["10.1.0.0/26"]).await;
    // By the lower router id the route of the first is best.
    other.add_peer(waiting_for(ip(124, 2), ASN)).await.unwrap();
    b.add_peer(peer_of(&other)).await.unwrap();
    eventually("both paths are there", async || b.status().table.paths == 2).await;
    let best = async || {
        let filter = RouteFilter { best_only: true, ..RouteFilter::default() };
        b.routes(filter, None, 10).await.unwrap().routes[0].clone()
    };
    assert_eq!(best().await.attributes.next_hop.unwrap().to_string(), "127.40.124.1");
    let drain = tokio::spawn({
        let a = a.clone();
        async move { a.drain(Duration::from_secs(1), ShutdownMode::HardReset).await }
    });
    eventually("the other way is taken", async || {
        best().await.attributes.next_hop.unwrap().to_string() == "127.40.124.3"
    })
    .await;
    assert_eq!(b.status().established(), 2, "it still forwards meanwhile");
    drain.await.unwrap().unwrap();
    established(&b, 1).await;
    has_exactly(&b, &["10.1.0.0/26"]).await;
}

#[tokio::test]
async fn routes_that_are_kept_for_a_peer_go_when_the_peer_is_removed() {
    let (a, b) = pair(125).await;
    announce(&a, &["10.1.0.0/26"]).await;
    has_exactly(&b, &["10.1.0.0/26"]).await;
    a.shutdown(ShutdownMode::Restart).await;
    established(&b, 0).await;
    has_exactly(&b, &["10.1.0.0/26"]).await;
    b.remove_peer(ip(125, 1)).await.unwrap();
    has_exactly(&b, &[]).await;
}

#[tokio::test]
async fn a_restarted_speaker_deletes_no_kernel_route_that_it_is_told_again() {
    const ROUTES: u32 = 20_000;
    let fib = MemoryFib::new(186);
    fib.connect(net("127.0.0.0/8"), 1);
    let origin = speaker(ip(126, 1)).await;
    let all = (0..ROUTES).map(|i| Route::new(net(&format!("10.{}.{}.0/24", i / 256, i % 256))));
    origin.announce(OWNER, all).await.unwrap();
    let speaker = || {
        let kernel = KernelConfig { protocol: 186, ..KernelConfig::default() };
        builder(ip(126, 2), ASN).fib(kernel, fib.clone()).start()
    };
    let first = speaker().await.unwrap();
    connect(&origin, &first).await;
    eventually("all routes are written", async || fib.routes().len() == ROUTES as usize).await;
    first.shutdown(ShutdownMode::Restart).await;
    origin.remove_peer(ip(126, 2)).await.unwrap();
    fib.take_log();
    let again = speaker().await.unwrap();
    let mut events = again.events();
    connect(&origin, &again).await;
    while !matches!(within("the sweep", events.next()).await, Some(Event::KernelSynced)) {}
    tokio::time::sleep(Duration::from_millis(300)).await;
    let deleted = fib.take_log().iter().filter(|op: &&FibOp| op.is_removal()).count();
    assert_eq!((deleted, fib.routes().len()), (0, ROUTES as usize));
}

#[tokio::test]
async fn a_restarted_speaker_says_end_of_rib_when_its_peers_have_told_their_tables() {
    let peers = [waiting_for(ip(127, 8), ASN), waiting_for(ip(127, 9), ASN)];
    let [one, other] = peers.map(bgp_speaker::PeerConfig::reflector_client);
    let restarted = builder(ip(127, 1), ASN).restarting(true).peer(one).peer(other).start().await.unwrap();
    let first = speaker(ip(127, 8)).await;
    let mut events = first.events();
    first.add_peer(peer_of(&restarted)).await.unwrap();
    established(&restarted, 1).await;
    let silence = Duration::from_millis(800);
    let early = async { while !matches!(events.next().await, Some(Event::EndOfRib { .. })) {} };
    assert!(
        tokio::time::timeout(silence, early).await.is_err(),
        "the other client's routes are still to come"
    );
    let second = speaker(ip(127, 9)).await;
    announce(&second, &["10.9.0.0/26"]).await;
    second.add_peer(peer_of(&restarted)).await.unwrap();
    while !matches!(within("End-of-RIB", events.next()).await, Some(Event::EndOfRib { .. })) {}
    has_exactly(&first, &["10.9.0.0/26"]).await;
}
