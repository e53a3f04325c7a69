//! Coming back: how fast, how often, and what a new session does to the old one.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use bgp_speaker::{PeerConfig, Timers};
use bgp_wire::{Capability, LongLivedFamily, Notification, keepalive};
use bytes::BytesMut;
use tokio::net::TcpListener;

use crate::scripted::{Scripted, update};
use crate::support::{ASN, builder, established, has_exactly, ip, listening, peer, waiting_for};

const ID: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 97);

/// Answers each OPEN with this for as long as it takes to see `attempts`; the pauses between them.
async fn pauses(listener: &TcpListener, refusal: Option<Notification>, attempts: usize) -> Vec<Duration> {
    let mut times = Vec::new();
    while times.len() < attempts {
        let mut scripted = Scripted::accept(listener).await;
        times.push(Instant::now());
        scripted.open().await;
        if let Some(notification) = &refusal {
            let mut octets = BytesMut::new();
            notification.encode(&mut octets);
            scripted.send(&octets).await;
        }
    }
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// A peer at a listener of the test's own, with these timers.
fn dialled(listener: &TcpListener, at: IpAddr) -> PeerConfig {
    let mut peer = PeerConfig::new(at, ASN).port(listener.local_addr().unwrap().port());
    peer.options.timers = Timers {
        connect_retry: Duration::from_millis(40),
        idle_hold_min: Duration::from_millis(40),
        idle_hold_max: Duration::from_millis(640),
        ..Timers::default()
    };
    peer
}

#[tokio::test]
async fn a_peer_that_refuses_each_open_is_retried_at_growing_jittered_and_capped_intervals() {
    for (test, refusal) in [(160, Some(Notification::bad_peer_as())), (161, None)] {
        let listener = TcpListener::bind((ip(test, 9), 0)).await.unwrap();
        let a = builder(ip(test, 1), ASN).peer(dialled(&listener, ip(test, 9))).start().await.unwrap();
        let pauses = pauses(&listener, refusal, 9).await;
        for (n, pause) in pauses.iter().enumerate() {
            let base = Duration::from_millis((40 << n).min(640));
            // A loaded machine makes them longer, nothing makes them shorter.
            assert!(*pause >= base * 3 / 4, "attempt {n} came after {pause:?}: {pauses:?}");
        }
        let cap = Duration::from_millis(640) + Duration::from_secs(2);
        assert!(pauses.iter().all(|pause| *pause < cap), "{pauses:?}");
        assert!(peer(&a, ip(test, 9)).sent.open >= 9);
    }
}

#[tokio::test]
async fn a_restarted_peer_takes_over_its_session_however_soon_it_comes() {
    let at = ip(162, 9);
    let a = builder(ip(162, 1), ASN).peer(waiting_for(at, ASN)).start().await.unwrap();
    let next_hop = Ipv4Addr::new(127, 40, 162, 9);
    let mut old = Scripted::connect(at, listening(&a)).await;
    old.establish_graceful(ASN, ID).await;
    old.send(&update(next_hop, ["10.1.0.0/24".parse().unwrap(), "10.2.0.0/24".parse().unwrap()])).await;
    has_exactly(&a, &["10.1.0.0/24", "10.2.0.0/24"]).await;
    let mut new = Scripted::connect(at, listening(&a)).await;
    new.establish_graceful(ASN, ID).await;
    assert_eq!(old.notification().await, None, "nothing is said on the old connection");
    established(&a, 1).await;
    has_exactly(&a, &["10.1.0.0/24", "10.2.0.0/24"]).await;
    new.send(&update(next_hop, ["10.2.0.0/24".parse().unwrap()])).await;
    let mut end_of_rib = BytesMut::new();
    bgp_wire::end_of_rib(&mut end_of_rib, bgp_speaker::Family::IPV4_UNICAST);
    new.send(&end_of_rib).await;
    has_exactly(&a, &["10.2.0.0/24"]).await;
}

#[tokio::test]
async fn a_peer_that_we_dialled_and_that_dials_us_at_once_has_restarted() {
    let at = ip(163, 9);
    let listener = TcpListener::bind((at, 0)).await.unwrap();
    let a = builder(ip(163, 1), ASN).peer(dialled(&listener, at)).start().await.unwrap();
    let mut old = Scripted::accept(&listener).await;
    old.establish_graceful(ASN, ID).await;
    established(&a, 1).await;
    let mut new = Scripted::connect(at, listening(&a)).await;
    new.establish_graceful(ASN, ID).await;
    assert_eq!(old.notification().await, None, "nothing is said on the old connection");
    new.send(&update(Ipv4Addr::new(127, 40, 163, 9), ["10.3.0.0/24".parse().unwrap()])).await;
    has_exactly(&a, &["10.3.0.0/24"]).await;
    assert_eq!(peer(&a, at).established, 2);
}

#[tokio::test]
async fn long_lived_graceful_restart_is_announced_as_configured() {
    let at = ip(164, 9);
    let mut config = waiting_for(at, ASN);
    config.options.long_lived = Some(Duration::from_secs(86_400));
    let a = builder(ip(164, 1), ASN).peer(config).start().await.unwrap();
    let mut scripted = Scripted::connect(at, listening(&a)).await;
    let row =
        LongLivedFamily { family: bgp_speaker::Family::IPV4_UNICAST, forwarding: true, stale_time: 3600 };
    scripted.send_graceful_open(ASN, ID, Some(Capability::LongLivedGracefulRestart(vec![row]))).await;
    let open = scripted.open().await;
    let ours = open.capabilities.iter().find_map(|c| match c {
        Capability::LongLivedGracefulRestart(rows) => Some(rows.clone()),
        _ => None,
    });
    let rows = ours.expect("long-lived graceful restart is announced");
    assert!(!rows.is_empty() && rows.iter().all(|row| row.stale_time == 86_400), "{rows:?}");
    scripted.send(keepalive()).await;
    established(&a, 1).await;
}
