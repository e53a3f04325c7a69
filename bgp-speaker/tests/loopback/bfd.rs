//! What BFD says, fed from outside (RFC 5882, RFC 9384).

use std::net::{IpAddr, Ipv4Addr};

use bgp_speaker::{Bfd, Password, PeerConfig, Speaker, SpeakerError, State};
use bgp_wire::{Notification, NotificationCode, subcode};

use crate::scripted::{Scripted, update};
use crate::support::{
    ASN, builder, established, eventually, has_exactly, ip, listening, pair, peer, peer_of, speaker,
    waiting_for,
};

const ID: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 98);
const DOWN: Bfd = Bfd::Down { control_plane_independent: false };
const FORWARDING_LOST: Bfd = Bfd::Down { control_plane_independent: true };

fn v4(address: IpAddr) -> Ipv4Addr {
    let IpAddr::V4(v4) = address else { panic!("tests use IPv4 addresses") };
    v4
}

/// A peer with graceful restart and one route, which does not come back once it is gone.
async fn graceful(test: u8) -> (Speaker, Scripted, IpAddr) {
    let at = ip(test, 9);
    let a = builder(ip(test, 1), ASN).peer(waiting_for(at, ASN)).start().await.unwrap();
    let mut scripted = Scripted::connect(at, listening(&a)).await;
    scripted.establish_graceful(ASN, ID).await;
    scripted.send(&update(v4(at), ["10.9.0.0/24".parse().unwrap()])).await;
    has_exactly(&a, &["10.9.0.0/24"]).await;
    (a, scripted, at)
}

async fn goes_down(speaker: &Speaker, at: IpAddr, to: Bfd) {
    speaker.bfd(at, Bfd::Up).await.unwrap();
    speaker.bfd(at, to).await.unwrap();
}

#[tokio::test]
async fn bfd_that_goes_down_ends_the_session_with_its_reason_and_the_session_comes_back() {
    let (a, b) = pair(150).await;
    goes_down(&a, ip(150, 2), DOWN).await;
    let told = async || peer(&b, ip(150, 1)).last_error.is_some_and(|e| e.contains("BFD Down"));
    let again = async || peer(&a, ip(150, 2)).established == 2;
    eventually("the peer has heard why, or is back already", async || told().await || again().await).await;
    eventually("the session is back", again).await;
    assert_eq!(peer(&a, ip(150, 2)).bfd, Some(DOWN));
}

#[tokio::test]
async fn without_the_c_bit_the_routes_wait_for_the_peer() {
    let (a, mut scripted, at) = graceful(151).await;
    goes_down(&a, at, DOWN).await;
    let down = Notification::new(NotificationCode::CEASE, subcode::cease::BFD_DOWN);
    assert_eq!(scripted.notification().await, Some(down));
    established(&a, 0).await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    has_exactly(&a, &["10.9.0.0/24"]).await;
    // Now BFD has been up again, and finds that the peer forwards no more.
    goes_down(&a, at, FORWARDING_LOST).await;
    has_exactly(&a, &[]).await;
}

#[tokio::test]
async fn with_the_c_bit_the_routes_go_at_once() {
    let (a, mut scripted, at) = graceful(152).await;
    goes_down(&a, at, FORWARDING_LOST).await;
    let down = Notification::new(NotificationCode::CEASE, subcode::cease::BFD_DOWN);
    assert_eq!(scripted.notification().await, Some(Notification::cease_hard_reset(&down)));
    has_exactly(&a, &[]).await;
}

#[tokio::test]
async fn bfd_out_of_service_leaves_the_session_alone() {
    let (a, b) = pair(153).await;
    for state in [DOWN, Bfd::Up, Bfd::AdminDown, DOWN, Bfd::AdminDown] {
        a.bfd(ip(153, 2), state).await.unwrap();
    }
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!((peer(&a, ip(153, 2)).established, peer(&b, ip(153, 1)).established), (1, 1));
    assert_eq!(a.bfd(ip(153, 77), Bfd::Up).await, Err(SpeakerError::UnknownPeer(ip(153, 77).into())));
}

#[tokio::test]
async fn a_strict_session_waits_for_bfd_and_says_so() {
    let a = speaker(ip(154, 1)).await;
    let b = builder(ip(154, 2), ASN).peer(peer_of(&a)).start().await.unwrap();
    let mut strict: PeerConfig = waiting_for(ip(154, 2), ASN);
    strict.options.bfd_strict = true;
    a.add_peer(strict).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    let status = peer(&a, ip(154, 2));
    assert_eq!(status.state, State::Idle);
    assert!(status.info.contains("waits for BFD"), "{}", status.info);
    a.bfd(ip(154, 2), Bfd::Up).await.unwrap();
    established(&a, 1).await;
    established(&b, 1).await;
}

#[tokio::test]
async fn what_bfd_said_outlives_another_configuration() {
    let (a, b) = pair(155).await;
    a.bfd(ip(155, 2), Bfd::Up).await.unwrap();
    a.remove_peer(ip(155, 2)).await.unwrap();
    let mut strict: PeerConfig = waiting_for(ip(155, 2), ASN);
    strict.options.bfd_strict = true;
    a.add_peer(strict).await.unwrap();
    assert_eq!(peer(&a, ip(155, 2)).bfd, None, "a peer that was removed is another one");
    a.bfd(ip(155, 2), Bfd::AdminDown).await.unwrap();
    established(&a, 1).await;
    established(&b, 1).await;
    a.set_peer_password(ip(155, 2), Some(Password::new("secret").unwrap().into())).await.unwrap();
    // A new session, for which the other end has no password.
    eventually("the session ends", async || peer(&a, ip(155, 2)).state != State::Established).await;
    assert_eq!(peer(&a, ip(155, 2)).bfd, Some(Bfd::AdminDown));
}
