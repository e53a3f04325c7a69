//! Peers that are too slow: in writing, in reading, or in both.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use bgp_speaker::{Community, Route, State};
use bgp_wire::keepalive;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::crowd::{Crowd, HOLD, ID, last_words, notification};
use crate::scripted::{Scripted, update};
use crate::support::{ASN, OWNER, eventually, net, peer, within};

/// How many routes [`announce_much`] announces.
const MANY: usize = 900;

/// Far more octets than the buffers of a connection hold, in few routes: each has thousands of them.
async fn announce_much(crowd: &Crowd) {
    let routes = (0..MANY as u32).map(|n| {
        let mut route = Route::new(net(&format!("{}/28", Ipv4Addr::from(0x0B00_0000 + (n << 4)))));
        route.communities = (0..900).map(|m| Community((n << 12) | m)).collect();
        route
    });
    crowd.hub.announce(OWNER, routes).await.expect("the routes are announced");
    crowd.settled().await;
}

/// Keeps the session alive by writing, and does with what comes as it is told.
async fn keep_alive_and(bad: Scripted, reads: Option<Duration>) {
    let (mut from, mut to) = bad.stream.into_split();
    let write = async {
        while to.write_all(keepalive()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let read = async {
        let Some(pause) = reads else { return std::future::pending().await };
        let mut octet = [0];
        while matches!(from.read(&mut octet).await, Ok(1)) {
            tokio::time::sleep(pause).await;
        }
    };
    tokio::join!(write, read);
}

/// An OPEN that dribbles in is no OPEN before its last octet.
#[tokio::test]
async fn an_open_octet_by_octet_has_until_the_hold_timer_of_opensent() {
    let mut crowd = Crowd::gather(160).await;
    let start = Instant::now();
    let mut slow = crowd.connect().await;
    let first_half = [&[0xFF; 16][..], &[0, 45, 1, 4]].concat();
    for octet in first_half.into_iter().cycle() {
        if slow.stream.write_all(&[octet]).await.is_err() || start.elapsed() > HOLD + Duration::from_secs(2) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        if peer(&crowd.hub, crowd.bad()).info.contains("Hold timer expired") {
            break;
        }
    }
    assert_eq!(last_words(&mut slow).await, notification(4, 0, &[]));
    assert!(start.elapsed() < HOLD + Duration::from_secs(2), "{:?}", start.elapsed());
    crowd.undisturbed().await;
}

/// Octets are not messages: only whole ones restart the Hold Timer.
#[tokio::test]
async fn an_update_octet_by_octet_does_not_keep_a_session_alive() {
    let mut crowd = Crowd::gather(161).await;
    let slow = crowd.with_session().await;
    let start = Instant::now();
    let octets = update(ID, (0..250).map(|n| format!("10.1.{n}.0/24").parse().unwrap()));
    let (mut from, mut to) = slow.stream.into_split();
    let write = async {
        for octet in &octets[..] {
            if to.write_all(&[*octet]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        std::future::pending::<()>().await;
    };
    let mut heard = Vec::new();
    tokio::select! {
        () = write => {}
        _ = within("the end", from.read_to_end(&mut heard)) => {}
    }
    assert!(heard.ends_with(&notification(4, 0, &[])), "{heard:?}");
    let took = start.elapsed();
    assert!(took >= HOLD - Duration::from_secs(1) && took < HOLD + Duration::from_secs(2), "{took:?}");
    crowd.undisturbed().await;
}

/// A session that the peer writes slowly and whole is a good session.
#[tokio::test]
async fn a_session_octet_by_octet_comes_up_when_each_message_is_in_time() {
    let mut crowd = Crowd::gather(162).await;
    let mut slow = crowd.connect().await;
    let mut open = bgp_wire::Open::new(ASN, 3, bgp_speaker::RouterId::from(ID));
    open.capabilities.push(bgp_wire::Capability::Multiprotocol(bgp_speaker::Family::IPV4_UNICAST));
    let mut octets = bytes::BytesMut::new();
    open.encode(&mut octets);
    octets.extend_from_slice(keepalive());
    octets.extend_from_slice(&update(ID, ["10.1.0.0/16".parse().unwrap()]));
    octets.extend_from_slice(keepalive());
    for octet in &octets[..] {
        slow.send(&[*octet]).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    eventually("its route is there", async || peer(&crowd.hub, crowd.bad()).prefixes.received == 1).await;
    crowd.undisturbed().await;
}

/// RFC 9687. Nobody can be told anything whose window is closed, so the reason is in the status alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_never_reads_is_ended_by_the_send_hold_timer() {
    let mut crowd = Crowd::gather(163).await;
    crowd.timers.send_hold = Some(Duration::from_secs(4));
    let bad = crowd.with_narrow_session().await;
    let deaf = tokio::spawn(keep_alive_and(bad, None));
    let start = Instant::now();
    announce_much(&crowd).await;
    eventually("SendHold ends it", async || crowd.said().contains("Send hold timer expired")).await;
    assert!(start.elapsed() > Duration::from_secs(3), "{:?}", start.elapsed());
    deaf.abort();
    crowd.undisturbed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_reads_an_octet_a_second_is_ended_by_the_send_hold_timer() {
    let mut crowd = Crowd::gather(164).await;
    crowd.timers.send_hold = Some(Duration::from_secs(4));
    let bad = crowd.with_narrow_session().await;
    let slow = tokio::spawn(keep_alive_and(bad, Some(Duration::from_secs(1))));
    announce_much(&crowd).await;
    eventually("SendHold ends it", async || crowd.said().contains("Send hold timer expired")).await;
    slow.abort();
    crowd.undisturbed().await;
}

/// A full receive window that the peer opens just in time: nothing has been lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_reads_again_before_the_send_hold_timer_goes_on() {
    let mut crowd = Crowd::gather(165).await;
    crowd.timers.send_hold = Some(Duration::from_secs(20));
    crowd.timers.hold_time = Duration::from_secs(90);
    let mut bad = crowd.with_narrow_session().await;
    announce_much(&crowd).await;
    crowd.go_on(Duration::from_secs(3)).await;
    let backlog = peer(&crowd.hub, crowd.bad()).backlog;
    assert!(backlog.octets > 0 && backlog.changes > 0, "{backlog:?}");
    assert!(backlog.oldest.is_some_and(|age| age > Duration::from_secs(2)), "{backlog:?}");
    let mut heard = 0;
    while heard < MANY {
        match bad.receive().await {
            Some(bgp_wire::Message::Update(update)) => {
                heard += update.view().reach().map(|r| r.nlri.ipv4().count()).sum::<usize>();
            }
            Some(bgp_wire::Message::KeepAlive) => {}
            other => panic!("the session ended: {other:?} {}", crowd.said()),
        }
    }
    assert_eq!(peer(&crowd.hub, crowd.bad()).established, 1);
    eventually("nothing waits any more", async || {
        peer(&crowd.hub, crowd.bad()).backlog == bgp_speaker::Backlog::default()
    })
    .await;
    crowd.undisturbed().await;
}

/// With the default timers a peer may be busy for minutes: neither its hold time nor TCP's user timeout counts against it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_does_not_read_for_longer_than_the_hold_time_stays_up() {
    let mut crowd = Crowd::gather(166).await;
    let bad = crowd.with_narrow_session().await;
    let deaf = tokio::spawn(keep_alive_and(bad, None));
    announce_much(&crowd).await;
    crowd.go_on(HOLD * 4).await;
    let seen = peer(&crowd.hub, crowd.bad());
    assert_eq!((seen.state, seen.established), (State::Established, 1), "{}", seen.info);
    deaf.abort();
    crowd.undisturbed().await;
}

/// A shorter TCP user timeout, which the operator chose, does.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_timeout_ends_a_peer_that_does_not_read() {
    let mut crowd = Crowd::gather(167).await;
    crowd.timers.tcp_user_timeout = Some(Duration::from_secs(4));
    let bad = crowd.with_narrow_session().await;
    let deaf = tokio::spawn(keep_alive_and(bad, None));
    announce_much(&crowd).await;
    eventually("TCP ends it", async || crowd.said().contains("Connection timed out")).await;
    deaf.abort();
    crowd.undisturbed().await;
}

/// The window is closed with octets outstanding, then the peer resets.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_of_a_peer_that_did_not_read_ends_the_session_at_once() {
    let mut crowd = Crowd::gather(168).await;
    crowd.timers.hold_time = Duration::from_secs(90);
    let bad = crowd.with_narrow_session().await;
    announce_much(&crowd).await;
    crowd.go_on(Duration::from_secs(1)).await;
    SockRef::from(&bad.stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(bad);
    eventually("the session is over", async || crowd.said().contains("reset by the peer")).await;
    crowd.undisturbed().await;
}
