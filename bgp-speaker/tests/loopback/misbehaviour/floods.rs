//! Too much of everything.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use bgp_wire::keepalive;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use super::crowd::{Crowd, ID, last_words, notification};
use crate::scripted::{Scripted, raw, update};
use crate::support::{ASN, eventually, listening, peer};

/// How long each flood lasts.
const FLOOD: Duration = Duration::from_secs(5);
/// How many of a thing come at once; a hundred times a second makes the rate.
const PULSE: Duration = Duration::from_millis(10);

/// Writes `message` so many times a second for the time of a flood, and reads what comes. Whether the session stood it.
async fn pour(bad: Scripted, message: Vec<u8>, per_second: usize) -> bool {
    let (mut from, mut to) = bad.stream.into_split();
    let read = tokio::spawn(async move {
        let mut octets = vec![0; 65_536];
        while matches!(from.read(&mut octets).await, Ok(n) if n > 0) {}
    });
    let pulse = message.repeat(per_second / 100);
    let mut beat = tokio::time::interval(PULSE);
    let start = Instant::now();
    let mut stood = true;
    while stood && start.elapsed() < FLOOD {
        beat.tick().await;
        stood = to.write_all(&pulse).await.is_ok();
    }
    read.abort();
    stood
}

/// Opens so many connections a second, each from the next of these addresses, and lets go of them after `hold`.
async fn knock(from: Vec<IpAddr>, to: std::net::SocketAddr, per_second: usize, hold: Duration) -> usize {
    let mut knocked = 0;
    let mut beat = tokio::time::interval(PULSE);
    let start = Instant::now();
    let mut addresses = from.iter().cycle();
    while start.elapsed() < FLOOD {
        beat.tick().await;
        for _ in 0..per_second / 100 {
            let address = *addresses.next().unwrap();
            let socket = TcpSocket::new_v4().unwrap();
            // A port that a former one has just left is good enough.
            socket.set_reuseaddr(true).unwrap();
            socket.bind(std::net::SocketAddr::new(address, 0)).unwrap();
            knocked += 1;
            tokio::spawn(async move {
                let stream = tokio::time::timeout(Duration::from_secs(5), socket.connect(to)).await;
                tokio::time::sleep(hold).await;
                drop(stream);
            });
        }
    }
    knocked
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_strangers_a_second_are_counted_and_disturb_nobody() {
    let mut crowd = Crowd::gather(170).await;
    let from = (1..=250).map(|n| IpAddr::from([127, 41, 170, n])).collect();
    let flood = tokio::spawn(knock(from, listening(&crowd.hub), 1000, Duration::ZERO));
    crowd.go_on(FLOOD).await;
    let knocked = flood.await.unwrap() as u64;
    assert!(knocked > 1000, "only {knocked}");
    eventually("all are counted", async || crowd.hub.status().strangers == knocked).await;
    assert_eq!(crowd.hub.status().peers.len(), 50);
    crowd.undisturbed().await;
}

/// A configured address may connect as often as it likes, and a session that is up does not suffer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_connections_from_a_peers_address_does_not_end_its_session() {
    let mut crowd = Crowd::gather(171).await;
    crowd.timers.hold_time = Duration::from_secs(90);
    let mut good = crowd.connect().await;
    good.establish(ASN, ID, 90).await;
    let flood =
        tokio::spawn(knock(vec![crowd.bad()], listening(&crowd.hub), 500, Duration::from_millis(100)));
    crowd.go_on(FLOOD).await;
    assert!(flood.await.unwrap() > 500);
    good.send(&update(ID, ["10.1.0.0/16".parse().unwrap()])).await;
    eventually("it goes on", async || peer(&crowd.hub, crowd.bad()).prefixes.received == 1).await;
    assert_eq!(peer(&crowd.hub, crowd.bad()).established, 1);
    crowd.undisturbed().await;
}

/// Connections that nobody opens hold a place each; the peer itself still gets one, within the time that an OPEN may take.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_comes_up_after_a_flood_of_connections_from_its_address() {
    let mut crowd = Crowd::gather(172).await;
    crowd.expect().await;
    let flood = tokio::spawn(knock(vec![crowd.bad()], listening(&crowd.hub), 500, Duration::from_secs(2)));
    crowd.go_on(FLOOD).await;
    flood.await.unwrap();
    crowd.is_let_in_again().await;
    crowd.undisturbed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_keepalives_a_second_are_borne() {
    let mut crowd = Crowd::gather(173).await;
    let bad = crowd.with_session().await;
    let flood = tokio::spawn(pour(bad, keepalive().to_vec(), 10_000));
    crowd.go_on(FLOOD).await;
    assert!(flood.await.unwrap(), "{}", crowd.said());
    assert!(peer(&crowd.hub, crowd.bad()).received.keepalive > 5_000);
    assert_eq!(peer(&crowd.hub, crowd.bad()).established, 1);
    crowd.undisturbed().await;
}

/// Each asks for the whole table, and gets it as fast as it reads; that is its own time and not that of others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_route_refreshes_a_second_are_borne() {
    let mut crowd = Crowd::gather(174).await;
    let routes: Vec<String> = (0..2000_u32).map(|n| format!("11.{}.{}.0/24", n / 256, n % 256)).collect();
    crate::support::announce(&crowd.hub, &routes.iter().map(String::as_str).collect::<Vec<_>>()).await;
    crowd.settled().await;
    let mut bad = crowd.connect().await;
    bad.establish_refreshing(ASN, ID, 3).await;
    let flood = tokio::spawn(pour(bad, raw(5, &[0, 1, 0, 1]), 10_000));
    crowd.go_on(FLOOD).await;
    assert!(flood.await.unwrap(), "{}", crowd.said());
    let seen = peer(&crowd.hub, crowd.bad());
    assert!(seen.received.refresh > 1_000, "{}", seen.received.refresh);
    crowd.undisturbed().await;
}

/// The first ends the session; nobody reads on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_notifications_a_second_end_a_session_once() {
    let mut crowd = Crowd::gather(175).await;
    let bad = crowd.with_session().await;
    let flood = tokio::spawn(pour(bad, notification(6, 4, &[]), 10_000));
    crowd.go_on(Duration::from_secs(3)).await;
    assert!(!flood.await.unwrap(), "the connection is closed");
    assert_eq!(peer(&crowd.hub, crowd.bad()).received.notification, 1);
    assert!(crowd.said().contains("Administrative Reset"), "{}", crowd.said());
    crowd.undisturbed().await;
}

/// A NOTIFICATION before any OPEN ends the attempt, and is not answered (RFC 4271 §6.4).
#[tokio::test]
async fn a_notification_is_never_answered_with_one() {
    let mut crowd = Crowd::gather(176).await;
    for words in
        [notification(6, 2, &[]), notification(2, 7, &[1, 4, 0, 1, 0, 1]), notification(99, 99, &[0; 4000])]
    {
        let mut bad = crowd.connect().await;
        bad.send(&words).await;
        assert_ne!(last_words(&mut bad).await.get(18), Some(&3));
        let mut bad = crowd.with_session().await;
        bad.send(&words).await;
        assert_ne!(last_words(&mut bad).await.get(18), Some(&3));
    }
    crowd.undisturbed().await;
}

/// Routes that come and go as fast as they can be written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_flapping_routes_disturbs_nobody() {
    let mut crowd = Crowd::gather(177).await;
    let bad = crowd.with_session().await;
    let mut flap = update(ID, ["10.9.0.0/16".parse().unwrap()]).to_vec();
    flap.extend_from_slice(&raw(2, &[0, 3, 16, 10, 9, 0, 0]));
    let flood = tokio::spawn(pour(bad, flap, 5_000));
    crowd.go_on(FLOOD).await;
    assert!(flood.await.unwrap(), "{}", crowd.said());
    crowd.undisturbed().await;
}
