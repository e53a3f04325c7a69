//! What `status` tells of sessions that are up, that have ended, and of what they left behind.

use std::time::{Duration, SystemTime};

use bgp_speaker::{AddPathSend, Asn, Family, FamilySet, PeerConfig, Role, SessionCount, ShutdownMode, State};

use crate::support::{
    ASN, announce, builder, connect, established, eventually, has_exactly, ip, pair, peer, peer_of, speaker,
    waiting_for,
};

#[tokio::test]
async fn the_last_notification_is_told_with_its_code_and_its_text_at_both_ends() {
    let (a, b) = pair(190).await;
    assert_eq!(peer(&a, ip(190, 2)).last_notification, None);
    b.shutdown(ShutdownMode::Admin { text: "rack 7 moves".to_owned() }).await;
    eventually("it has come", async || peer(&a, ip(190, 2)).last_notification.is_some()).await;
    let last = peer(&a, ip(190, 2)).last_notification.unwrap();
    // Where routes are kept over a NOTIFICATION, one for good says so around what it says (RFC 8538 §3.1).
    assert_eq!((last.sent, last.code, last.subcode), (false, 6, 9));
    assert!(
        last.text.contains("Administrative Shutdown") && last.text.contains("rack 7 moves"),
        "{}",
        last.text
    );
    assert!(last.at.elapsed().unwrap() < Duration::from_secs(20));

    // One that we send, and that another session comes after.
    let c = speaker(ip(190, 3)).await;
    a.add_peer(waiting_for(ip(190, 3), Asn(65009))).await.unwrap();
    c.add_peer(peer_of(&a)).await.unwrap();
    eventually("it was sent", async || {
        peer(&a, ip(190, 3)).last_notification.is_some_and(|n| (n.sent, n.code, n.subcode) == (true, 2, 2))
    })
    .await;
    a.remove_peer(ip(190, 3)).await.unwrap();
    a.add_peer(waiting_for(ip(190, 3), ASN)).await.unwrap();
    established(&c, 1).await;
    assert!(peer(&c, ip(190, 1)).last_notification.is_some(), "an old one is still told");
}

#[tokio::test]
async fn sessions_are_counted_by_family_and_the_last_reconfiguration_is_told() {
    let a = builder(ip(191, 1), ASN).version("an agent 7.1").start().await.unwrap();
    let b = speaker(ip(191, 2)).await;
    assert_eq!(a.status().version, "an agent 7.1");
    assert!(b.status().version.starts_with("bgp-speaker "));
    tokio::time::sleep(Duration::from_millis(20)).await;
    let before = SystemTime::now();
    assert!(a.status().reconfigured < before);
    connect(&a, &b).await;
    a.add_peer(PeerConfig::new("2001:db8::9".parse().unwrap(), ASN).passive()).await.unwrap();
    a.add_peer(waiting_for(ip(191, 7), ASN)).await.unwrap();
    let status = a.status();
    assert!(status.reconfigured >= before);
    assert_eq!(status.ipv4_sessions(), SessionCount { established: 1, not_established: 1 });
    assert_eq!(status.ipv6_sessions(), SessionCount { established: 0, not_established: 1 });
    let told = status.reconfigured;
    announce(&a, &["10.1.0.0/26"]).await;
    has_exactly(&b, &["10.1.0.0/26"]).await;
    assert_eq!(a.status().reconfigured, told, "routes are no configuration");
}

#[tokio::test]
async fn routes_that_are_kept_for_a_peers_return_are_counted_and_it_is_told_until_when() {
    let (a, b) = pair(192).await;
    announce(&b, &["10.1.0.0/26", "10.2.0.0/26"]).await;
    has_exactly(&a, &["10.1.0.0/26", "10.2.0.0/26"]).await;
    assert_eq!((peer(&a, ip(192, 2)).prefixes.stale, peer(&a, ip(192, 2)).kept_until), (0, None));
    b.shutdown(ShutdownMode::Restart).await;
    eventually("they are stale", async || peer(&a, ip(192, 2)).prefixes.stale == 2).await;
    let left = peer(&a, ip(192, 2)).kept_until.expect("they are kept");
    let left = left.duration_since(SystemTime::now()).unwrap();
    assert!((Duration::from_secs(90)..=Duration::from_secs(120)).contains(&left), "{left:?}");
    let again = speaker(ip(192, 2)).await;
    announce(&again, &["10.1.0.0/26"]).await;
    again.add_peer(peer_of(&a)).await.unwrap();
    has_exactly(&a, &["10.1.0.0/26"]).await;
    eventually("nothing is stale", async || {
        let now = peer(&a, ip(192, 2));
        (now.prefixes.stale, now.kept_until) == (0, None)
    })
    .await;
}

#[tokio::test]
async fn everything_that_was_negotiated_is_told() {
    let (a, b) = (speaker(ip(193, 1)).await, builder(ip(193, 2), Asn(65009)).start().await.unwrap());
    let mut to_b = waiting_for(ip(193, 2), Asn(65009));
    to_b.options.add_path.receive = true;
    to_b.options.role = Some(Role::PROVIDER);
    to_b.options.long_lived = Some(Duration::from_secs(7200));
    a.add_peer(to_b).await.unwrap();
    let mut to_a = peer_of(&a);
    to_a.options.add_path.send_in = vec![(Family::IPV4_UNICAST, AddPathSend::All)];
    to_a.options.role = Some(Role::CUSTOMER);
    to_a.options.long_lived = Some(Duration::from_secs(3600));
    b.add_peer(to_a).await.unwrap();
    established(&a, 1).await;
    established(&b, 1).await;
    let (at_a, at_b) = (peer(&a, ip(193, 2)), peer(&b, ip(193, 1)));
    assert_eq!(at_a.state, State::Established);
    let (at_a, at_b) = (at_a.negotiated.unwrap(), at_b.negotiated.unwrap());
    let ipv4 = FamilySet::of(&[Family::IPV4_UNICAST]);
    assert_eq!((at_a.add_path_receive, at_a.add_path_send), (ipv4, FamilySet::empty()));
    assert_eq!((at_b.add_path_receive, at_b.add_path_send), (FamilySet::empty(), ipv4));
    assert_eq!((at_a.peer_role, at_b.peer_role), (Some(Role::CUSTOMER), Some(Role::PROVIDER)));
    assert!(at_a.enhanced_refresh && at_a.notification_restart);
    assert!(at_a.long_lived.contains(&(Family::IPV4_UNICAST, Duration::from_secs(3600))));
}
