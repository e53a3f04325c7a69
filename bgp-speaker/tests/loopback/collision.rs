//! More than one connection of a peer at a time, over real TCP.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bgp_speaker::PeerConfig;
use tokio::net::TcpListener;

use crate::scripted::Scripted;
use crate::support::{ASN, established, ip, listening, quick, speaker, waiting_for};

/// Lower than that of any speaker here: the speaker chooses.
const LOW: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

#[tokio::test]
async fn a_peer_that_takes_our_connection_and_says_nothing_there_is_heard_on_its_own() {
    let a = speaker(ip(217, 1)).await;
    let listener = TcpListener::bind(SocketAddr::new(ip(217, 9), 0)).await.unwrap();
    let mut config = PeerConfig::new(ip(217, 9), ASN).port(listener.local_addr().unwrap().port());
    config.options = quick();
    let patience = config.options.timers.connect_retry;
    a.add_peer(config).await.unwrap();
    let mut mute = Scripted::accept(&listener).await;
    mute.open().await;
    tokio::time::sleep(patience + Duration::from_millis(200)).await;
    let mut scripted = Scripted::connect(ip(217, 9), listening(&a)).await;
    scripted.establish(ASN, LOW, 90).await;
    established(&a, 1).await;
    let cease = mute.notification().await.expect("a NOTIFICATION");
    assert_eq!((cease.code.0, cease.subcode), (6, 7), "Connection Collision Resolution");
}

#[tokio::test]
async fn connections_that_say_nothing_do_not_keep_the_peer_out() {
    let a = speaker(ip(218, 1)).await;
    a.add_peer(waiting_for(ip(218, 9), ASN)).await.unwrap();
    let mut idle = Vec::new();
    for _ in 0..2 {
        let mut scripted = Scripted::connect(ip(218, 9), listening(&a)).await;
        scripted.open().await;
        idle.push(scripted);
    }
    let mut scripted = Scripted::connect(ip(218, 9), listening(&a)).await;
    scripted.establish(ASN, LOW, 90).await;
    established(&a, 1).await;
}

/// RFC 4724 §5, with something else in the way.
#[tokio::test]
async fn a_silent_connection_does_not_keep_out_a_peer_that_has_restarted() {
    let a = speaker(ip(219, 1)).await;
    a.add_peer(waiting_for(ip(219, 9), ASN)).await.unwrap();
    let mut former = Scripted::connect(ip(219, 9), listening(&a)).await;
    former.establish_graceful(ASN, LOW).await;
    established(&a, 1).await;
    let mut idle = Scripted::connect(ip(219, 9), listening(&a)).await;
    idle.open().await;
    let mut scripted = Scripted::connect(ip(219, 9), listening(&a)).await;
    scripted.establish_graceful(ASN, LOW).await;
    established(&a, 1).await;
    assert_eq!(former.notification().await, None, "its end is silent");
}
