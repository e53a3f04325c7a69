//! Sessions: how they come up, what ends them, and what status says about it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bgp_speaker::{
    Desired, Event, Family, FamilySet, NextHop, OwnerId, PeerAddress, PeerConfig, Route, RouteFilter, Rung,
    ShutdownMode, Speaker, SpeakerError, State, Subject,
};
use bgp_wire::{Message, NotificationCode, keepalive};
use tokio::net::TcpListener;

use crate::scripted::{Scripted, update};
use crate::support::{
    ASN, OWNER, announce, builder, established, eventually, has_exactly, ip, listening, net, pair, peer,
    peer_of, quick, speaker, waiting_for, within,
};

const ID: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 99);

#[tokio::test]
async fn both_sides_see_the_session_and_what_was_negotiated() {
    let (a, b) = pair(60).await;
    let seen = peer(&b, ip(60, 1));
    let negotiated = seen.negotiated.expect("it is up");
    assert_eq!((seen.asn, seen.state), (Some(ASN), State::Established));
    assert_eq!(negotiated.remote, listening(&a));
    assert_eq!(negotiated.local.ip(), ip(60, 2));
    assert_eq!(negotiated.hold_time, Duration::from_secs(90));
    assert_eq!(negotiated.families, FamilySet::of(&[Family::IPV4_UNICAST, Family::IPV6_UNICAST]));
    assert!(negotiated.four_octet_as && negotiated.extended_message && negotiated.route_refresh);
    assert_eq!((seen.received.open, seen.sent.open), (1, 1));
}

#[tokio::test]
async fn both_dial_at_once_and_one_session_stands() {
    let (a, b) = (speaker(ip(61, 1)).await, speaker(ip(61, 2)).await);
    let (mut to_b, mut to_a) = (peer_of(&b), peer_of(&a));
    for round in 1..=10 {
        a.add_peer(to_b.clone()).await.unwrap();
        b.add_peer(to_a.clone()).await.unwrap();
        established(&a, 1).await;
        established(&b, 1).await;
        announce(&a, &[&format!("10.{round}.0.0/16")]).await;
        eventually("routes flow over it", async || {
            crate::support::prefixes(&b).await.contains(&net(&format!("10.{round}.0.0/16")))
        })
        .await;
        a.remove_peer(ip(61, 2)).await.unwrap();
        b.remove_peer(ip(61, 1)).await.unwrap();
        (to_b, to_a) = (peer_of(&b), peer_of(&a));
    }
}

#[tokio::test]
async fn an_administrative_shutdown_says_why() {
    let (a, b) = pair(62).await;
    let mut events = b.events();
    a.shutdown(ShutdownMode::Admin { text: "moving to rack 7".into() }).await;
    let reason = within("the reason is told", async {
        loop {
            if let Some(Event::PeerDown { reason, .. }) = events.next().await {
                break reason;
            }
        }
    })
    .await;
    assert!(reason.contains("moving to rack 7"), "{reason}");
    eventually("status keeps it", async || peer(&b, ip(62, 1)).info.contains("Administrative Shutdown"))
        .await;
}

#[tokio::test]
async fn a_peer_that_falls_silent_is_given_up_after_the_hold_time() {
    let (a, _b) = pair(63).await;
    let mut waiting = waiting_for(ip(63, 9), ASN);
    waiting.options.timers.hold_time = Duration::from_secs(3);
    a.add_peer(waiting).await.unwrap();
    let mut silent = Scripted::connect(ip(63, 9), listening(&a)).await;
    silent.establish(ASN, ID, 3).await;
    silent.send(&update(ID, [Ipv4Addr::new(10, 1, 0, 0)].map(|n| ipnet::Ipv4Net::new(n, 16).unwrap()))).await;
    has_exactly(&a, &["10.1.0.0/16"]).await;
    let last_heard = Instant::now();
    let notification = silent.notification().await.expect("a NOTIFICATION");
    assert_eq!(notification.code, NotificationCode::HOLD_TIMER);
    assert!(last_heard.elapsed() >= Duration::from_millis(2500), "after {:?}", last_heard.elapsed());
    has_exactly(&a, &[]).await;
    assert!(peer(&a, ip(63, 9)).info.contains("Hold timer expired"));
}

#[tokio::test]
async fn keepalives_of_a_third_of_the_hold_time_keep_a_quiet_session_up() {
    let (a, b) = (speaker(ip(64, 1)).await, speaker(ip(64, 2)).await);
    let (mut to_a, mut to_b) = (peer_of(&a), waiting_for(ip(64, 2), ASN));
    to_a.options.timers.hold_time = Duration::from_secs(3);
    to_b.options.timers.hold_time = Duration::from_secs(3);
    a.add_peer(to_b).await.unwrap();
    b.add_peer(to_a).await.unwrap();
    established(&a, 1).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let seen = peer(&a, ip(64, 2));
    assert_eq!((seen.state, seen.established), (State::Established, 1));
    assert!((4..=9).contains(&seen.received.keepalive), "{} keepalives in 5 s", seen.received.keepalive);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_time_of_three_seconds_survives_a_large_table() {
    let hub = speaker(ip(65, 1)).await;
    let mut spokes = Vec::new();
    for node in 10..14 {
        let mut waiting = waiting_for(ip(65, node), ASN).reflector_client();
        waiting.options.timers.hold_time = Duration::from_secs(3);
        hub.add_peer(waiting).await.unwrap();
        let spoke = speaker(ip(65, node)).await;
        spoke.add_peer(peer_of(&hub)).await.unwrap();
        established(&spoke, 1).await;
        spokes.push(spoke);
    }
    // Several seconds of work for a table that is not optimised, with sessions that are lost after three.
    let routes = (0..100_000u32)
        .map(|i| Route::new(ipnet::IpNet::new((0x0b00_0000 + (i << 5)).to_be_bytes().into(), 27).unwrap()));
    spokes[0].announce(OwnerId(1), routes).await.unwrap();
    for spoke in &spokes[1..] {
        let done = async {
            while spoke.status().table.prefixes != 100_000 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), done).await.expect("the table arrives");
    }
    assert!(hub.status().peers.iter().all(|p| p.established == 1), "a session was lost");
}

#[tokio::test]
async fn a_peer_of_the_wrong_as_is_refused_with_the_reason_on_both_sides() {
    let (a, b) = (speaker(ip(66, 1)).await, speaker(ip(66, 2)).await);
    a.add_peer(waiting_for(ip(66, 2), bgp_speaker::Asn(64999))).await.unwrap();
    b.add_peer(peer_of(&a)).await.unwrap();
    eventually("the dialler knows why", async || peer(&b, ip(66, 1)).info.contains("Bad Peer AS")).await;
    eventually("the other one too", async || peer(&a, ip(66, 2)).info.contains("Bad Peer AS")).await;
}

#[tokio::test]
async fn nobody_listening_is_a_reason_in_words() {
    let a = speaker(ip(67, 1)).await;
    let unused = TcpListener::bind(SocketAddr::new(ip(67, 2), 0)).await.unwrap().local_addr().unwrap();
    let mut config = PeerConfig::new(unused.ip(), ASN).port(unused.port());
    config.options = quick();
    a.add_peer(config).await.unwrap();
    eventually("it is said", async || peer(&a, ip(67, 2)).info.contains("refused")).await;
}

#[tokio::test]
async fn a_passive_peer_waits_and_an_active_one_dials_from_its_own_address() {
    let a = speaker(ip(68, 1)).await;
    let listener = TcpListener::bind(SocketAddr::new(ip(68, 9), 0)).await.unwrap();
    let mut config = PeerConfig::new(ip(68, 9), ASN).port(listener.local_addr().unwrap().port());
    config.options = quick();
    a.add_peer(config).await.unwrap();
    let mut scripted = Scripted::accept(&listener).await;
    assert_eq!(scripted.stream.peer_addr().unwrap().ip(), ip(68, 1));
    scripted.establish(ASN, ID, 90).await;
    established(&a, 1).await;
}

#[tokio::test]
async fn a_removed_peer_hears_that_it_is_not_wanted() {
    let (a, _b) = pair(69).await;
    a.add_peer(waiting_for(ip(69, 9), ASN)).await.unwrap();
    let mut scripted = Scripted::connect(ip(69, 9), listening(&a)).await;
    scripted.establish(ASN, ID, 90).await;
    a.remove_peer(ip(69, 9)).await.unwrap();
    let notification = scripted.notification().await.expect("a NOTIFICATION");
    assert_eq!((notification.code, notification.subcode), (NotificationCode::CEASE, 3));
    assert_eq!(a.remove_peer(ip(69, 9)).await, Err(SpeakerError::UnknownPeer(ip(69, 9).into())));
}

#[tokio::test]
async fn a_speaker_that_restarts_says_nothing_and_finds_its_routes_kept() {
    let (a, b) = pair(70).await;
    let at = listening(&a);
    announce(&a, &["10.1.0.0/16"]).await;
    has_exactly(&b, &["10.1.0.0/16"]).await;
    a.shutdown(ShutdownMode::Restart).await;
    established(&b, 0).await;
    assert!(!peer(&b, ip(70, 1)).info.contains("NOTIFICATION"), "{}", peer(&b, ip(70, 1)).info);
    has_exactly(&b, &["10.1.0.0/16"]).await;
    // It comes back at the same place, with other routes.
    let a = Speaker::builder(ASN, bgp_speaker::RouterId::from(Ipv4Addr::new(127, 40, 70, 1)))
        .listen(at)
        .start()
        .await
        .unwrap();
    announce(&a, &["10.2.0.0/16"]).await;
    a.add_peer(waiting_for(ip(70, 2), ASN)).await.unwrap();
    established(&b, 1).await;
    has_exactly(&b, &["10.2.0.0/16"]).await;
}

#[tokio::test]
async fn an_equal_announcement_makes_no_update() {
    let (a, b) = pair(71).await;
    announce(&a, &["10.1.0.0/16"]).await;
    has_exactly(&b, &["10.1.0.0/16"]).await;
    let before = peer(&b, ip(71, 1)).received.update;
    for _ in 0..5 {
        announce(&a, &["10.1.0.0/16"]).await;
    }
    announce(&a, &["10.2.0.0/16"]).await;
    has_exactly(&b, &["10.1.0.0/16", "10.2.0.0/16"]).await;
    assert_eq!(peer(&b, ip(71, 1)).received.update, before + 1);
}

#[tokio::test]
async fn a_route_of_two_owners_stays_until_both_let_go() {
    let (a, b) = pair(72).await;
    let prefix = net("10.1.0.0/16");
    for owner in [OwnerId(1), OwnerId(2)] {
        a.announce(owner, [Route::new(prefix)]).await.unwrap();
    }
    has_exactly(&b, &["10.1.0.0/16"]).await;
    a.withdraw(OwnerId(1), [prefix]).await.unwrap();
    announce(&a, &["10.2.0.0/16"]).await;
    has_exactly(&b, &["10.1.0.0/16", "10.2.0.0/16"]).await;
    a.withdraw(OwnerId(2), [prefix]).await.unwrap();
    has_exactly(&b, &["10.2.0.0/16"]).await;
}

#[tokio::test]
async fn explain_names_the_rung_and_the_peers() {
    let (a, b) = pair(73).await;
    announce(&a, &["10.1.0.0/16"]).await;
    announce(&b, &["10.1.0.0/16"]).await;
    eventually("both paths are there", async || a.status().table.paths == 2).await;
    let told = a.explain(net("10.1.0.0/16")).await.unwrap().expect("there is a path");
    assert_eq!(told.paths[0].verdict, bgp_speaker::PathVerdict::Best);
    assert_eq!(told.paths[1].verdict, bgp_speaker::PathVerdict::Lost(Rung::Preference));
    let peer = &told.peers[0];
    assert_eq!(peer.peer, ip(73, 2));
    assert!(peer.verdict.is_ok() && peer.sent);
    let page = a.routes(RouteFilter::default(), None, 10).await.unwrap();
    assert_eq!(
        page.routes.iter().map(|route| route.lost).collect::<Vec<_>>(),
        [None, Some(Rung::Preference)]
    );
}

#[tokio::test]
async fn configurations_that_cannot_work_are_refused_at_the_call() {
    let a = speaker(ip(74, 1)).await;
    let good = PeerConfig::new(ip(74, 2), ASN);
    let with = |edit: fn(&mut PeerConfig)| {
        let mut config = good.clone();
        edit(&mut config);
        a.add_peer(config)
    };
    let two = Duration::from_secs(2);
    assert_eq!(
        with(|c| c.options.timers.hold_time = Duration::from_secs(2)).await,
        Err(SpeakerError::HoldTime(two))
    );
    assert_eq!(with(|c| c.port = 0).await, Err(SpeakerError::ZeroPort(ip(74, 2))));
    assert_eq!(with(|c| c.address = ip(74, 1)).await, Err(SpeakerError::OwnAddress(ip(74, 1))));
    assert_eq!(with(|c| c.options.ttl = Some(0)).await, Err(SpeakerError::ZeroTtl(ip(74, 2))));
    assert!(matches!(
        with(|c| c.options.source = Some("::1".parse().unwrap())).await,
        Err(SpeakerError::SourceFamily { .. })
    ));
    assert!(matches!(
        with(|c| *c = PeerConfig::new(c.address, bgp_speaker::Asn(1)).reflector_client()).await,
        Err(SpeakerError::ExternalClient(_))
    ));
    let mapped = "::ffff:127.40.74.2".parse().unwrap();
    assert_eq!(a.add_peer(PeerConfig::new(mapped, ASN)).await, Err(SpeakerError::NotAPeerAddress(mapped)));
    for next_hop in ["0.0.0.0", "224.0.0.5", "255.255.255.255", "::", "ff02::1"] {
        let (prefix, next_hop) = (net("10.74.0.0/16"), next_hop.parse().unwrap());
        let refused = a.announce(OWNER, [Route::new(prefix).next_hop(next_hop)]).await;
        assert_eq!(refused, Err(SpeakerError::NotANextHop { prefix, next_hop }));
    }
    a.add_peer(good.clone()).await.unwrap();
    assert_eq!(a.add_peer(good.clone()).await, Err(SpeakerError::DuplicatePeer(ip(74, 2).into())));
}

#[tokio::test]
async fn a_link_local_peer_is_named_with_its_interface_or_without_where_it_is_the_only_one() {
    let a = speaker(ip(187, 1)).await;
    let address: std::net::IpAddr = "fe80::1".parse().unwrap();
    let behind = |name: &str| PeerConfig::new(address, ASN).interface(name).passive();
    let at = |name: &str| PeerAddress::behind(address, name);
    a.add_peer(behind("eth0")).await.unwrap();
    a.add_peer(behind("eth1")).await.unwrap();
    assert_eq!(a.add_peer(behind("eth0")).await, Err(SpeakerError::DuplicatePeer(at("eth0"))));
    assert_eq!(a.remove_peer(address).await, Err(SpeakerError::UnknownPeer(address.into())));
    let desired = Desired { peers: vec![behind("eth1"), behind("eth2")], ..Desired::default() };
    let report = a.apply(desired).await.unwrap();
    let subjects: Vec<_> = report.changes.iter().map(|change| change.subject).collect();
    assert_eq!(subjects, [Subject::Peer(at("eth0")), Subject::Peer(at("eth2"))]);
    a.remove_peer(at("eth2")).await.unwrap();
    a.remove_peer(address).await.unwrap();
    assert_eq!(a.status().peers.len(), 0);
}

#[tokio::test]
async fn a_port_in_use_is_an_error_that_says_so() {
    let a = speaker(ip(75, 1)).await;
    let error = builder(ip(75, 1), ASN).listen(listening(&a)).start().await.unwrap_err().to_string();
    assert!(error.contains("another BGP speaker holds this port"), "{error}");
}

#[tokio::test]
async fn unread_input_is_no_silence() {
    // The peer's keepalives arrive while nobody polls the speaker's tasks: the one thread of this runtime is blocked for
    // longer than the hold time. What lies in the socket then counts.
    let (a, _b) = pair(76).await;
    let mut waiting = waiting_for(ip(76, 9), ASN);
    waiting.options.timers.hold_time = Duration::from_secs(3);
    a.add_peer(waiting).await.unwrap();
    let mut scripted = Scripted::connect(ip(76, 9), listening(&a)).await;
    scripted.establish(ASN, ID, 3).await;
    scripted.send(keepalive()).await;
    std::thread::sleep(Duration::from_millis(3500));
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        scripted.send(keepalive()).await;
    }
    assert_eq!(peer(&a, ip(76, 9)).established, 1);
    assert_eq!(peer(&a, ip(76, 9)).state, State::Established);
    assert!(matches!(scripted.receive().await, Some(Message::KeepAlive | Message::Update(_))));
    assert_eq!(a.status().established(), 2, "the good session stands as well");
}

#[tokio::test]
async fn ipv6_routes_over_an_ipv4_session_go_with_the_next_hop_that_was_configured() {
    let (a, b) = (speaker(ip(77, 1)).await, speaker(ip(77, 2)).await);
    let mut to_b = waiting_for(ip(77, 2), ASN);
    to_b.options.next_hop_v6 = Some("2001:db8::1".parse().unwrap());
    a.add_peer(to_b).await.unwrap();
    b.add_peer(peer_of(&a)).await.unwrap();
    announce(&a, &["2001:db8:1::/48", "10.1.0.0/16"]).await;
    announce(&b, &["2001:db8:2::/48"]).await;
    has_exactly(&b, &["2001:db8:1::/48", "2001:db8:2::/48", "10.1.0.0/16"]).await;
    let filter = RouteFilter {
        family: Some(Family::IPV6_UNICAST),
        peer: Some(ip(77, 1).into()),
        ..RouteFilter::default()
    };
    let page = b.routes(filter, None, 10).await.unwrap();
    assert_eq!(page.routes[0].attributes.next_hop, Some(NextHop::V6("2001:db8::1".parse().unwrap())));
    // The other way there is no address that could be the next hop: the route is held back, with a reason.
    let told = b.explain(net("2001:db8:2::/48")).await.unwrap().expect("it is announced");
    assert!(told.peers[0].verdict.is_err());
    assert!(!crate::support::prefixes(&a).await.contains(&net("2001:db8:2::/48")));
}

#[tokio::test]
async fn a_connection_that_is_refused_leaves_the_status_of_the_session_alone() {
    let (a, _b) = pair(78).await;
    a.add_peer(waiting_for(ip(78, 9), ASN)).await.unwrap();
    let mut first = Scripted::connect(ip(78, 9), listening(&a)).await;
    first.establish(ASN, ID, 90).await;
    established(&a, 2).await;
    let mut second = Scripted::connect(ip(78, 9), listening(&a)).await;
    second.send_open(ASN, ID, 90).await;
    while second.receive().await.is_some() {}
    let seen = peer(&a, ip(78, 9));
    assert_eq!((seen.state, seen.established, seen.last_error), (State::Established, 1, None));
    assert!(seen.negotiated.is_some());
}
