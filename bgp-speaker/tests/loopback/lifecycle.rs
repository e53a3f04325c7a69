//! Everything that a speaker starts ends with it.

use bgp_speaker::kernel::{KernelConfig, MemoryFib};
use bgp_speaker::{ShutdownMode, SpeakerError};
use tokio::net::TcpListener;

use crate::support::{
    ASN, announce, builder, connect, established, eventually, ip, listening, net, pair, speaker, waiting_for,
    within,
};

#[tokio::test]
async fn dropping_the_last_handle_ends_sessions_and_frees_the_port() {
    let (a, b) = pair(90).await;
    let at = listening(&a);
    let clone = a.clone();
    drop(a);
    established(&b, 1).await;
    drop(clone);
    established(&b, 0).await;
    // Nothing listens there any more, so that the same port can be had without SO_REUSEPORT.
    eventually("the port is free", async || TcpListener::bind(at).await.is_ok()).await;
}

#[tokio::test]
async fn no_task_is_left_after_a_shutdown() {
    let metrics = tokio::runtime::Handle::current().metrics();
    let before = metrics.num_alive_tasks();
    let (a, b) = pair(91).await;
    announce(&a, &["10.1.0.0/16"]).await;
    assert!(metrics.num_alive_tasks() > before);
    a.shutdown(ShutdownMode::Restart).await;
    b.shutdown(ShutdownMode::HardReset).await;
    eventually("all tasks have ended", async || metrics.num_alive_tasks() == before).await;
}

#[tokio::test]
async fn no_task_is_left_after_a_drop() {
    let metrics = tokio::runtime::Handle::current().metrics();
    let before = metrics.num_alive_tasks();
    let (a, b) = pair(92).await;
    drop((a, b));
    eventually("all tasks have ended", async || metrics.num_alive_tasks() == before).await;
}

#[tokio::test]
async fn a_speaker_that_was_shut_down_says_so() {
    let a = speaker(ip(93, 1)).await;
    let other = a.clone();
    a.shutdown(ShutdownMode::Restart).await;
    assert_eq!(other.announce(crate::support::OWNER, []).await, Err(SpeakerError::Stopped));
    assert_eq!(other.remove_peer(ip(93, 2)).await, Err(SpeakerError::Stopped));
    other.shutdown(ShutdownMode::Restart).await;
    assert!(within("events end", other.events().next()).await.is_none());
    assert!(within("routes end", other.subscribe().next()).await.is_none());
}

#[tokio::test]
async fn learned_routes_go_to_the_forwarding_table_and_stay_there() {
    let fib = MemoryFib::new(186);
    fib.connect(net("127.0.0.0/8"), 1);
    let a = speaker(ip(94, 1)).await;
    let b = builder(ip(94, 2), ASN).fib(KernelConfig::default(), fib.clone()).start().await.unwrap();
    announce(&a, &["10.1.0.0/26", "10.1.1.0/26"]).await;
    announce(&b, &["10.2.0.0/26"]).await;
    connect(&a, &b).await;
    eventually("both are written, its own is not", async || fib.routes().len() == 2).await;
    a.withdraw(crate::support::OWNER, [net("10.1.1.0/26")]).await.unwrap();
    eventually("one goes", async || fib.routes().len() == 1).await;
    eventually("the sweep is due after End-of-RIB", async || {
        b.status().kernel.as_ref().is_some_and(|k| k.synced)
    })
    .await;
    b.shutdown(ShutdownMode::Restart).await;
    assert_eq!(fib.routes().len(), 1);
}

#[tokio::test]
async fn a_password_is_refused_where_there_are_tcp_ao_keys() {
    let secret = || bgp_speaker::Password::new("secret").unwrap();
    let a = speaker(ip(99, 1)).await;
    let key = bgp_speaker::AoKey::new(1, secret());
    a.add_peer(waiting_for(ip(99, 9), ASN).tcp_ao([key])).await.unwrap();
    let refused = a.set_peer_password(ip(99, 9), Some(secret().into())).await;
    assert!(matches!(refused, Err(SpeakerError::SignedTwice(_))), "{refused:?}");
    a.set_peer_password(ip(99, 9), None).await.expect("there is none, and none is wanted");
}
