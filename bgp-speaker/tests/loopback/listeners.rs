//! Listening sockets that come and go while the speaker runs.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};

use bgp_speaker::{Change, ChangeClass, Desired, NotDone, Password, Route, Speaker, Subject};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{
    ASN, OWNER, builder, established, eventually, has_exactly, ip, listening, net, peer, peer_of, speaker,
    waiting_for,
};

/// A port that is free on every address.
async fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap().local_addr().unwrap().port()
}

fn opened(at: SocketAddr) -> Change {
    let subject = Subject::Listener(at);
    Change { subject, class: ChangeClass::Soft, why: "opened".into() }
}

/// A speaker that `desired` asks to listen here, and one with a session that it dialled.
async fn joined(test: u8, desired: &mut Desired, at: SocketAddr) -> (Speaker, Speaker) {
    let a = speaker(ip(test, 1)).await;
    desired.listen = Some(vec![at]);
    desired.local_addresses = Some(vec![ip(test, 1)]);
    desired.peers = vec![waiting_for(ip(test, 2), ASN)];
    a.apply(desired.clone()).await.unwrap();
    let b = speaker(ip(test, 2)).await;
    let mut to_a = peer_of(&a).port(at.port());
    to_a.address = ip(test, 1);
    b.add_peer(to_a).await.unwrap();
    established(&a, 1).await;
    (a, b)
}

#[tokio::test]
async fn a_listener_moves_while_its_session_goes_on() {
    let mut desired = Desired::default();
    let first = SocketAddr::new(ip(110, 1), free_port().await);
    let (a, _b) = joined(110, &mut desired, first).await;
    let since = peer(&a, ip(110, 2)).since;

    let second = SocketAddr::new(ip(110, 3), free_port().await);
    desired.listen = Some(vec![second]);
    let report = a.apply(desired.clone()).await.unwrap();
    assert_eq!(report.not_done, []);
    assert!(report.changes.contains(&opened(second)), "{:?}", report.changes);
    assert!(report.changes.iter().any(|c| c.subject == Subject::Listener(first)), "{:?}", report.changes);
    assert_eq!(report.class(), ChangeClass::Soft);
    assert_eq!(a.status().listen, [second]);
    TcpStream::connect(second).await.expect("it listens there");
    let refused = TcpStream::connect(first).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(peer(&a, ip(110, 2)).since, since, "the session goes on");
    assert_eq!(a.apply(desired).await.unwrap().changes, []);
}

#[tokio::test]
async fn one_address_gives_way_to_all_and_takes_its_place_again_on_the_same_port() {
    let mut desired = Desired::default();
    let port = free_port().await;
    let one = SocketAddr::new(ip(111, 1), port);
    let all = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let (a, _b) = joined(111, &mut desired, one).await;
    let since = peer(&a, ip(111, 2)).since;
    for at in [all, one, all] {
        desired.listen = Some(vec![at]);
        let report = a.apply(desired.clone()).await.unwrap();
        assert_eq!((&report.not_done[..], a.status().listen.clone()), (&[][..], vec![at]));
        TcpStream::connect(one).await.expect("it listens there");
    }
    assert_eq!(peer(&a, ip(111, 2)).since, since, "the session goes on");
}

#[tokio::test]
async fn a_listener_that_cannot_be_had_is_told_and_the_rest_is_done() {
    let taken = TcpListener::bind((ip(112, 1), 0)).await.unwrap();
    let at = taken.local_addr().unwrap();
    let a = builder(ip(112, 2), ASN).start().await.unwrap();
    let there = SocketAddr::new(ip(112, 2), 0);
    let mut desired = Desired { listen: Some(vec![at, there]), ..Desired::default() };
    desired.routes.insert(OWNER, vec![Route::new(net("10.1.0.0/16"))]);
    let before = listening(&a);
    let report = a.apply(desired.clone()).await.unwrap();
    let [NotDone::Listen { address, kind, why }] = &report.not_done[..] else { panic!("{report:?}") };
    assert_eq!((*address, *kind), (at, ErrorKind::AddrInUse));
    assert!(why.contains("another BGP speaker holds this port"), "{why}");
    has_exactly(&a, &["10.1.0.0/16"]).await;
    let status = a.status();
    assert_eq!((status.listen.clone(), status.not_listening[0].0), (vec![before], at));

    // Whoever applies it again hears it again; and it is tried without being asked.
    assert_eq!(a.apply(desired).await.unwrap().not_done.len(), 1);
    drop(taken);
    eventually("it listens there after all", async || a.status().listen.contains(&at)).await;
    assert_eq!(a.status().not_listening, []);
}

#[tokio::test]
async fn a_later_listener_asks_for_the_passwords_of_the_first() {
    let secret = || Password::new("rosebud").unwrap();
    let mut desired =
        Desired { peers: vec![waiting_for(ip(113, 2), ASN).password(secret())], ..Desired::default() };
    let a = speaker(ip(113, 1)).await;
    a.apply(desired.clone()).await.unwrap();
    if peer(&a, ip(113, 2)).info.contains("no TCP-MD5") {
        return; // nothing can be told on this kernel
    }
    let at = SocketAddr::new(ip(113, 1), free_port().await);
    desired.listen = Some(vec![at]);
    assert_eq!(a.apply(desired).await.unwrap().not_done, []);
    let b = speaker(ip(113, 2)).await;
    let mut unsigned = peer_of(&a);
    unsigned.options.timers.connect_retry = std::time::Duration::from_millis(300);
    b.add_peer(unsigned.clone()).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(a.status().established(), 0, "nobody comes in without the password");
    b.set_peer_password(ip(113, 1), Some(secret().into())).await.unwrap();
    established(&a, 1).await;
}
