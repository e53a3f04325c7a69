//! What a speaker that takes over from a former process tells its peers (RFC 4724).

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bgp_speaker::kernel::{FibOp, KernelConfig, MemoryFib};
use bgp_speaker::policy::Policy;
use bgp_speaker::{
    Asn, Community, ConsecutiveRestarts, Desired, Event, Family, OwnerId, PeerConfig, RangeConfig, Route,
    RouteFilter, ShutdownMode, Speaker, SpeakerError,
};
use bgp_wire::{AttributeBlock, Capability, GracefulRestart, keepalive};
use bytes::BytesMut;

use crate::scripted::{Scripted, update};
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
async fn each_owner_is_waited_for_alone_and_end_of_rib_waits_for_all() {
    let (blocks, services) = (OwnerId(1), OwnerId(2));
    let a = builder(ip(122, 1), ASN)
        .hold_until_ready([blocks, services])
        .announce(blocks, [Route::new(net("10.1.0.0/26")), Route::new(net("10.1.0.64/26"))])
        .announce(OwnerId(3), [Route::new(net("10.9.0.0/26"))])
        .start()
        .await
        .unwrap();
    let b = speaker(ip(122, 2)).await;
    announce(&b, &["10.2.0.0/26"]).await;
    let mut events = b.events();
    connect(&a, &b).await;
    has_exactly(&a, &["10.2.0.0/26", "10.9.0.0/26"]).await;
    has_exactly(&b, &["10.2.0.0/26", "10.9.0.0/26"]).await;
    // What is withdrawn before it was told is never told.
    a.withdraw(blocks, [net("10.1.0.64/26")]).await.unwrap();
    a.announce(services, [Route::new(net("10.3.0.1/32"))]).await.unwrap();
    a.ready(blocks).await.unwrap();
    has_exactly(&b, &["10.1.0.0/26", "10.2.0.0/26", "10.9.0.0/26"]).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    has_exactly(&b, &["10.1.0.0/26", "10.2.0.0/26", "10.9.0.0/26"]).await;
    a.ready(services).await.unwrap();
    while !matches!(within("End-of-RIB", events.next()).await, Some(Event::EndOfRib { .. })) {}
    has_exactly(&b, &["10.1.0.0/26", "10.2.0.0/26", "10.3.0.1/32", "10.9.0.0/26"]).await;
}

#[tokio::test]
async fn no_end_of_rib_comes_while_an_owner_is_missing() {
    let a = builder(ip(126, 1), ASN).hold_until_ready([OWNER]).start().await.unwrap();
    let b = speaker(ip(126, 2)).await;
    let mut events = b.events();
    connect(&a, &b).await;
    let mut end = async || {
        tokio::time::timeout(Duration::from_millis(300), async {
            while !matches!(events.next().await, Some(Event::EndOfRib { .. })) {}
        })
        .await
    };
    assert!(end().await.is_err());
    a.ready(OWNER).await.unwrap();
    end().await.expect("now everything is told");
}

#[tokio::test]
async fn end_of_rib_waits_for_an_owner_no_longer_than_the_sweep_and_its_routes_wait_on() {
    let missing = OwnerId(9);
    let a = builder(ip(123, 1), ASN)
        .hold_until_ready([missing])
        .sweep_after(Duration::from_millis(700))
        .announce(OWNER, [Route::new(net("10.1.0.0/26"))])
        .announce(missing, [Route::new(net("10.9.0.0/26"))])
        .start()
        .await
        .unwrap();
    let b = speaker(ip(123, 2)).await;
    let mut events = b.events();
    connect(&a, &b).await;
    assert_eq!(a.status().not_ready, [missing]);
    while !matches!(within("End-of-RIB", events.next()).await, Some(Event::EndOfRib { .. })) {}
    // What leads nowhere is told to nobody, however long that takes.
    a.announce(missing, [Route::new(net("10.9.0.64/26"))]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    has_exactly(&b, &["10.1.0.0/26"]).await;
    assert_eq!(a.status().not_ready, [missing]);
    a.ready(missing).await.unwrap();
    has_exactly(&b, &["10.1.0.0/26", "10.9.0.0/26", "10.9.0.64/26"]).await;
    assert!(a.status().not_ready.is_empty());
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
    let [one, other] = peers.map(PeerConfig::reflector_client);
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

#[tokio::test]
async fn a_restarted_speaker_waits_for_no_table_of_a_peer_that_it_finds_to_be_down() {
    // Nobody listens at the second one; the restart time is two minutes.
    let mut gone = waiting_for(ip(126, 9), ASN);
    gone.options.passive = false;
    let peers = [waiting_for(ip(126, 8), ASN), gone].map(PeerConfig::reflector_client);
    let [one, gone] = peers;
    let restarted = builder(ip(126, 1), ASN).restarting(true).peer(one).peer(gone).start().await.unwrap();
    let first = speaker(ip(126, 8)).await;
    let mut events = first.events();
    first.add_peer(peer_of(&restarted)).await.unwrap();
    while !matches!(within("End-of-RIB", events.next()).await, Some(Event::EndOfRib { .. })) {}
}

#[tokio::test]
async fn a_restarted_speaker_waits_for_who_does_not_dial_it_no_longer_than_two_attempts_take() {
    let mut gone = waiting_for(ip(204, 9), ASN);
    gone.options.timers.connect_retry = Duration::from_millis(600);
    let mut range = RangeConfig::new(net("127.40.204.128/25"), ASN).reflector_clients();
    range.options.timers = gone.options.timers;
    let peers = [waiting_for(ip(204, 8), ASN), gone].map(PeerConfig::reflector_client);
    let [one, gone] = peers;
    let restarted = builder(ip(204, 1), ASN).restarting(true).peer(one).peer(gone).start().await.unwrap();
    restarted.add_listen_range(range).await.unwrap();
    let (first, late) = (speaker(ip(204, 8)).await, speaker(ip(204, 130)).await);
    announce(&late, &["10.2.0.0/26"]).await;
    let mut events = first.events();
    let begun = std::time::Instant::now();
    first.add_peer(peer_of(&restarted)).await.unwrap();
    established(&restarted, 1).await;
    // Who comes through the range meanwhile shows that others may follow.
    tokio::time::sleep(Duration::from_millis(700)).await;
    late.add_peer(peer_of(&restarted)).await.unwrap();
    while !matches!(within("End-of-RIB", events.next()).await, Some(Event::EndOfRib { .. })) {}
    assert!(begun.elapsed() > Duration::from_millis(1700), "{:?}", begun.elapsed());
    has_exactly(&first, &["10.2.0.0/26"]).await;
}

/// What this speaker has of a prefix from a peer: its LOCAL_PREF, and whether it says that it is about to go.
async fn heard(speaker: &Speaker, prefix: &str) -> Option<(Option<u32>, bool)> {
    let filter = RouteFilter { prefix: Some(net(prefix)), ..RouteFilter::default() };
    let page = speaker.routes(filter, None, 10).await.unwrap();
    let block = AttributeBlock::parse(&page.routes.first()?.attributes.block).unwrap();
    Some((block.local_pref(), block.communities().iter().any(|c| c == Community::GRACEFUL_SHUTDOWN)))
}

#[tokio::test]
async fn a_drained_peer_is_told_that_reflected_routes_go_as_well_and_is_held_down_until_it_is_resumed() {
    let reflector = speaker(ip(127, 1)).await;
    let range = RangeConfig::new(net("127.40.127.128/25"), ASN).reflector_clients();
    reflector.add_listen_range(range).await.unwrap();
    let (source, drained, other) =
        (speaker(ip(127, 130)).await, speaker(ip(127, 2)).await, speaker(ip(127, 131)).await);
    announce(&reflector, &["10.1.0.0/26"]).await;
    announce(&source, &["10.2.0.0/26"]).await;
    for client in [&source, &other] {
        client.add_peer(peer_of(&reflector)).await.unwrap();
    }
    connect(&reflector, &drained).await;
    for told in [&drained, &other] {
        has_exactly(told, &["10.1.0.0/26", "10.2.0.0/26"]).await;
    }
    let drain = tokio::spawn({
        let reflector = reflector.clone();
        async move { reflector.drain_peer(ip(127, 2), Duration::from_secs(2)).await }
    });
    for prefix in ["10.1.0.0/26", "10.2.0.0/26"] {
        eventually("it is told", async || heard(&drained, prefix).await == Some((Some(0), true))).await;
        assert_eq!(heard(&other, prefix).await, Some((Some(100), false)), "nobody else is");
    }
    assert!(peer(&reflector, ip(127, 2)).info.contains("draining"));
    assert_eq!(drained.status().established(), 1, "it still forwards meanwhile");
    drain.await.unwrap().unwrap();
    established(&drained, 0).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(drained.status().established(), 0, "it stays down");
    let status = peer(&reflector, ip(127, 2));
    assert!(status.info.contains("held down until it is resumed"), "{}", status.info);
    reflector.resume_peer(ip(127, 2)).await.unwrap();
    has_exactly(&drained, &["10.1.0.0/26", "10.2.0.0/26"]).await;
    assert_eq!(heard(&drained, "10.2.0.0/26").await, Some((Some(100), false)));
    assert_eq!(reflector.resume_peer(ip(127, 77)).await, Err(SpeakerError::UnknownPeer(ip(127, 77).into())));
}

#[tokio::test]
async fn a_drained_peer_that_becomes_another_one_stays_drained_until_it_is_resumed() {
    let (a, b) = (speaker(ip(33, 1)).await, speaker(ip(33, 2)).await);
    let mut waiting = waiting_for(ip(33, 2), ASN);
    let desired = |peer: &PeerConfig| Desired { peers: vec![peer.clone()], ..Desired::default() };
    a.apply(desired(&waiting)).await.unwrap();
    b.add_peer(peer_of(&a)).await.unwrap();
    established(&a, 1).await;
    a.drain_peer(ip(33, 2), Duration::ZERO).await.unwrap();
    established(&a, 0).await;
    // Local AS and that of the peer: it is taken out and put in again.
    waiting.options.local_as = Some(Asn(64900));
    waiting.peer_as = Asn(64901).into();
    let report = a.apply(desired(&waiting)).await.unwrap();
    assert!(report.changes[0].why.contains("our AS"), "{:?}", report.changes);
    a.apply(desired(&waiting_for(ip(33, 2), ASN))).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(a.status().established(), 0, "it stays down");
    let status = peer(&a, ip(33, 2));
    assert!(status.info.contains("held down until it is resumed"), "{}", status.info);
    a.resume_peer(ip(33, 2)).await.unwrap();
    established(&a, 1).await;
}

#[tokio::test]
async fn a_reflector_that_drains_says_so_of_what_it_reflects() {
    let reflector = speaker(ip(128, 1)).await;
    let range = RangeConfig::new(net("127.40.128.0/24"), ASN).reflector_clients();
    reflector.add_listen_range(range).await.unwrap();
    let clients = [speaker(ip(128, 2)).await, speaker(ip(128, 3)).await];
    announce(&clients[0], &["10.2.0.0/26"]).await;
    for client in &clients {
        client.add_peer(peer_of(&reflector)).await.unwrap();
    }
    has_exactly(&clients[1], &["10.2.0.0/26"]).await;
    let drain = reflector.drain(Duration::from_secs(1), ShutdownMode::Restart);
    let told =
        eventually("it is told", async || heard(&clients[1], "10.2.0.0/26").await == Some((Some(0), true)));
    let (drained, ()) = tokio::join!(drain, told);
    drained.unwrap();
}

/// What the speaker does with a route of a peer whose session is lost twice, the second time before it told anything.
async fn lost_twice(test: u8, rule: Option<ConsecutiveRestarts>) -> (Speaker, MemoryFib) {
    let fib = MemoryFib::new(186);
    fib.connect(net("127.0.0.0/8"), 1);
    let mut peer = waiting_for(ip(test, 9), ASN);
    peer.options.rules.consecutive_restarts = rule;
    let config = KernelConfig { protocol: 186, ..KernelConfig::default() };
    let a = builder(ip(test, 1), ASN).peer(peer).fib(config, fib.clone()).start().await.unwrap();
    let mut end_of_rib = BytesMut::new();
    bgp_wire::end_of_rib(&mut end_of_rib, Family::IPV4_UNICAST);
    let IpAddr::V4(hop) = ip(test, 9) else { unreachable!("loopback is IPv4") };
    let first = async |octets: &[u8]| {
        let mut life = Scripted::connect(ip(test, 9), listening(&a)).await;
        life.establish_graceful(ASN, ID).await;
        life.send(octets).await;
        life
    };
    let told = [&update(hop, ["10.1.0.0/26".parse().unwrap()])[..], &end_of_rib].concat();
    let life = first(&told).await;
    eventually("the route is written", async || fib.routes().len() == 1).await;
    drop(life);
    established(&a, 0).await;
    let life = first(&[]).await;
    established(&a, 1).await;
    drop(life);
    established(&a, 0).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    (a, fib)
}

#[tokio::test]
async fn a_peer_lost_again_before_it_told_its_table_keeps_its_routes_where_both_sides_set_the_n_bit() {
    let (a, fib) = lost_twice(135, None).await;
    has_exactly(&a, &["10.1.0.0/26"]).await;
    let deleted = fib.take_log().iter().filter(|op| matches!(op, FibOp::Delete(_))).count();
    assert_eq!((fib.routes().len(), deleted), (1, 0));
}

#[tokio::test]
async fn a_peer_lost_again_before_it_told_its_table_loses_its_routes_where_that_is_asked_for() {
    let (a, fib) = lost_twice(136, Some(ConsecutiveRestarts::Delete)).await;
    has_exactly(&a, &[]).await;
    eventually("the kernel as well", async || fib.routes().is_empty()).await;
}

#[tokio::test]
async fn routes_that_are_kept_for_a_lost_peer_follow_another_policy() {
    let (a, b) = (speaker(ip(132, 1)).await, speaker(ip(132, 2)).await);
    let desired = |import| {
        let mut lost = waiting_for(ip(132, 9), ASN);
        (lost.options.route_reflector_client, lost.options.import) = (true, Some(import));
        Desired { peers: vec![lost, waiting_for(ip(132, 2), ASN)], ..Desired::default() }
    };
    a.apply(desired(Policy::accept_all())).await.unwrap();
    b.add_peer(peer_of(&a)).await.unwrap();
    let IpAddr::V4(hop) = ip(132, 9) else { unreachable!("loopback is IPv4") };
    let mut life = Scripted::connect(ip(132, 9), listening(&a)).await;
    life.establish_graceful(ASN, ID).await;
    life.send(&update(hop, ["10.1.0.0/26".parse().unwrap()])).await;
    has_exactly(&b, &["10.1.0.0/26"]).await;
    drop(life);
    established(&a, 1).await;
    has_exactly(&b, &["10.1.0.0/26"]).await;
    a.apply(desired(Policy::reject_all())).await.unwrap();
    has_exactly(&b, &[]).await;
    a.apply(desired(Policy::accept_all())).await.unwrap();
    has_exactly(&b, &["10.1.0.0/26"]).await;
}
