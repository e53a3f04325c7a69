//! Messages at the wrong time, and openings that come to nothing.

use std::time::{Duration, Instant};

use bgp_speaker::State;
use bgp_wire::keepalive;
use socket2::SockRef;
use tokio::io::AsyncWriteExt;

use super::crowd::{Crowd, HOLD, ID, last_words, notification};
use crate::scripted::{raw, update};
use crate::support::{ASN, announce, established, eventually, peer};

fn an_update() -> Vec<u8> {
    update(ID, ["10.1.0.0/16".parse().unwrap()]).to_vec()
}

/// RFC 6608: the subcode names the state.
#[tokio::test]
async fn what_comes_before_the_open_is_an_error_in_opensent() {
    let mut crowd = Crowd::gather(150).await;
    for early in [keepalive().to_vec(), an_update(), raw(5, &[0, 1, 0, 1])] {
        let mut bad = crowd.connect().await;
        bad.send(&early).await;
        assert_eq!(last_words(&mut bad).await, notification(5, 1, &[]), "{early:?}");
    }
    crowd.undisturbed().await;
}

#[tokio::test]
async fn what_comes_before_the_keepalive_is_an_error_in_openconfirm() {
    let mut crowd = Crowd::gather(151).await;
    for early in [an_update(), raw(5, &[0, 1, 0, 1])] {
        let mut bad = crowd.connect().await;
        bad.send_open(ASN, ID, 90).await;
        bad.send(&early).await;
        assert_eq!(last_words(&mut bad).await, notification(5, 2, &[]), "{early:?}");
    }
    crowd.undisturbed().await;
}

#[tokio::test]
async fn a_second_open_is_an_error_in_openconfirm_and_in_established() {
    let mut crowd = Crowd::gather(152).await;
    let mut bad = crowd.connect().await;
    bad.send_open(ASN, ID, 90).await;
    bad.send_open(ASN, ID, 90).await;
    assert_eq!(last_words(&mut bad).await, notification(5, 2, &[]));

    let mut bad = crowd.with_session().await;
    bad.send_open(ASN, ID, 90).await;
    assert_eq!(last_words(&mut bad).await, notification(5, 3, &[]));
    crowd.undisturbed().await;
}

/// RFC 4271 §8.2.2: the Hold Timer of OpenSent.
#[tokio::test]
async fn a_connection_without_an_open_ends_when_the_hold_timer_of_opensent_does() {
    let mut crowd = Crowd::gather(153).await;
    let start = Instant::now();
    let mut silent = crowd.connect().await;
    crowd.go_on(Duration::from_secs(1)).await;
    assert_eq!(last_words(&mut silent).await, notification(4, 0, &[]));
    let took = start.elapsed();
    assert!(took > HOLD - Duration::from_millis(100) && took < HOLD + Duration::from_secs(2), "{took:?}");
    crowd.undisturbed().await;
}

/// The negotiated hold time counts from the OPEN on.
#[tokio::test]
async fn a_peer_that_never_confirms_ends_when_the_hold_time_does() {
    let mut crowd = Crowd::gather(154).await;
    let mut silent = crowd.connect().await;
    silent.send_open(ASN, ID, 3).await;
    crowd.go_on(Duration::from_secs(1)).await;
    assert_eq!(last_words(&mut silent).await, notification(4, 0, &[]));
    crowd.undisturbed().await;
}

#[tokio::test]
async fn a_reset_right_after_the_open_is_survived_a_hundred_times() {
    let mut crowd = Crowd::gather(155).await;
    crowd.expect().await;
    for turn in 0..100 {
        let mut bad = crowd.again().await;
        bad.send_open(ASN, ID, 90).await;
        if turn % 2 == 0 {
            bad.send(keepalive()).await;
        }
        SockRef::from(&bad.stream).set_linger(Some(Duration::ZERO)).unwrap();
        drop(bad);
    }
    crowd.undisturbed().await;
    // Who was a nuisance is let in again when it behaves, after the pause that it has earned.
    crowd.is_let_in_again().await;
}

/// A peer that has closed its side will not say anything more: the session is over, whatever we still had to say.
#[tokio::test]
async fn a_peer_that_closes_its_side_ends_the_session() {
    let mut crowd = Crowd::gather(156).await;
    let mut bad = crowd.with_session().await;
    bad.send(&an_update()).await;
    eventually("its route is there", async || peer(&crowd.hub, crowd.bad()).prefixes.received == 1).await;
    let routes: Vec<String> = (0..200_u8).map(|n| format!("10.50.{n}.0/24")).collect();
    announce(&crowd.hub, &routes.iter().map(String::as_str).collect::<Vec<_>>()).await;
    bad.stream.shutdown().await.unwrap();
    eventually("the session is over", async || peer(&crowd.hub, crowd.bad()).state != State::Established)
        .await;
    assert!(crowd.said().contains("Connection closed by the peer"), "{}", crowd.said());
    // Nothing more is said, and the connection ends from our side as well.
    let last = last_words(&mut bad).await;
    assert_ne!(last.get(18), Some(&3), "{last:?}");
    crowd.undisturbed().await;
}

/// One session at a time: what a peer that is up opens beside it is held against the collision rules.
#[tokio::test]
async fn a_second_connection_does_not_end_a_session_that_is_up() {
    let mut crowd = Crowd::gather(157).await;
    let mut good = crowd.with_session().await;
    let mut second = crowd.again().await;
    second.send_open(ASN, ID, 90).await;
    // Cease / Connection Collision Resolution (RFC 4486).
    assert_eq!(last_words(&mut second).await, notification(6, 7, &[]));
    good.send(&an_update()).await;
    eventually("the first goes on", async || peer(&crowd.hub, crowd.bad()).prefixes.received == 1).await;
    assert_eq!(peer(&crowd.hub, crowd.bad()).established, 1);
    established(&crowd.hub, 51).await;
    crowd.undisturbed().await;
}
