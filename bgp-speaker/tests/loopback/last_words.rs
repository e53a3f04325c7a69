//! What a peer hears last when the session ends while its socket takes nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bgp_speaker::{Community, Route, ShutdownMode, Speaker};
use bgp_wire::NotificationCode;
use ipnet::{IpNet, Ipv4Net};
use tokio::io::AsyncReadExt;
use tokio::net::TcpSocket;

use crate::scripted::{Scripted, update};
use crate::support::{
    ASN, OWNER, established, eventually, ip, listening, peer, speaker, waiting_for, within,
};

const ID: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 99);
/// Far more octets than the buffers of a connection hold, as each of them has hundreds of communities.
const ROUTES: u32 = 2000;
/// How long the peer reads nothing after the session has ended: less than a peer is waited for.
const PAUSE: Duration = Duration::from_millis(200);

/// A speaker with a large table, and a peer that is sent it, has taken its beginning and reads no further.
async fn in_the_middle_of_the_table(test: u8) -> (Speaker, Scripted) {
    let a = speaker(ip(test, 1)).await;
    let routes = (0..ROUTES).map(|n| {
        let mut route = Route::new(IpNet::new((0x0b00_0000 + (n << 5)).to_be_bytes().into(), 27).unwrap());
        route.communities = (0..900).map(|m| Community((n << 12) | m)).collect();
        route
    });
    a.announce(OWNER, routes).await.expect("the routes are announced");
    a.add_peer(waiting_for(ip(test, 9), ASN)).await.expect("the peer is added");
    let socket = TcpSocket::new_v4().unwrap();
    // Little, and yet enough that what the speaker's end holds is read in no time.
    socket.set_recv_buffer_size(128 * 1024).unwrap();
    socket.bind(SocketAddr::new(ip(test, 9), 0)).unwrap();
    let mut scripted = Scripted::over(socket.connect(listening(&a)).await.unwrap());
    scripted.establish_graceful(ASN, ID).await;
    established(&a, 1).await;
    eventually("the socket takes no more", async || peer(&a, ip(test, 9)).backlog.octets > 0).await;
    (a, scripted)
}

/// Reads to the end of the stream: the types of the messages, each of which must be whole, and the last one.
async fn rest_of(mut scripted: Scripted) -> (Vec<u8>, Vec<u8>) {
    let mut octets = scripted.unfinished().to_vec();
    within("the end of the stream", scripted.stream.read_to_end(&mut octets)).await.expect("no reset");
    let (mut rest, mut last, mut kinds) = (&octets[..], Vec::new(), Vec::new());
    while !rest.is_empty() {
        assert_eq!(&rest[..16], [0xff; 16], "a message begins where the one before it ends");
        let length = usize::from(u16::from_be_bytes([rest[16], rest[17]]));
        kinds.push(rest[18]);
        assert!(
            length <= rest.len(),
            "the last of {} messages is cut: {length} > {}",
            kinds.len(),
            rest.len()
        );
        last = rest[..length].to_vec();
        rest = &rest[length..];
    }
    (kinds, last)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_peer_hears_why_although_its_socket_was_full() {
    let (a, scripted) = in_the_middle_of_the_table(210).await;
    a.remove_peer(ip(210, 9)).await.unwrap();
    tokio::time::sleep(PAUSE).await;
    let (kinds, last) = rest_of(scripted).await;
    // Cease / Hard Reset with Cease / Peer De-configured in it: RFC 8538 was agreed on.
    assert_eq!(&last[18..], [3, NotificationCode::CEASE.0, 9, NotificationCode::CEASE.0, 3]);
    assert!(kinds[..kinds.len() - 1].iter().all(|kind| [2, 4].contains(kind)), "{kinds:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_speaker_that_ends_is_heard_by_a_peer_whose_socket_was_full() {
    let (a, scripted) = in_the_middle_of_the_table(211).await;
    let end = tokio::spawn(async move { a.shutdown(ShutdownMode::HardReset).await });
    tokio::time::sleep(PAUSE).await;
    let (_, last) = rest_of(scripted).await;
    assert_eq!(&last[18..21], [3, NotificationCode::CEASE.0, 9]);
    within("the speaker ends", end).await.unwrap();
}

/// A peer that has a table to tell as well, and reads no further before it has told it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_writes_before_it_reads_hears_why_the_session_ended() {
    let (a, mut scripted) = in_the_middle_of_the_table(212).await;
    let net = |n: u32| Ipv4Net::new((0x1400_0000 + (n << 4)).into(), 28).unwrap();
    let octets = update(ID, (0..100_000).map(net));
    a.remove_peer(ip(212, 9)).await.unwrap();
    scripted.send(&octets).await;
    let (_, last) = rest_of(scripted).await;
    assert_eq!(&last[18..], [3, NotificationCode::CEASE.0, 9, NotificationCode::CEASE.0, 3]);
}

/// A peer that never reads again is waited for no longer than a moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_speaker_that_ends_does_not_wait_for_a_peer_that_never_reads() {
    let (a, scripted) = in_the_middle_of_the_table(213).await;
    let start = std::time::Instant::now();
    within("the speaker ends", a.shutdown(ShutdownMode::HardReset)).await;
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    drop(scripted);
}
