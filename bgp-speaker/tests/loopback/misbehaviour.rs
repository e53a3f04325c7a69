//! Strangers, and peers that do not keep to the protocol: each gets the reaction that the RFC asks for, and nobody else
//! notices.

mod crowd;
mod floods;
mod framing;
mod opening;
mod pace;

use std::net::Ipv4Addr;
use std::time::Duration;

use bgp_speaker::{Event, Speaker};
use bgp_wire::{NotificationCode, keepalive};
use tokio::io::AsyncReadExt;

use crate::scripted::{Scripted, raw, update};
use crate::support::{
    ASN, announce, established, eventually, has_exactly, ip, listening, pair, peer, prefixes, waiting_for,
    within,
};

const ID: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 99);

/// A speaker with a good session, and a scripted peer that is Established with it.
async fn with_scripted(test: u8) -> (Speaker, Speaker, Scripted) {
    let (a, b) = pair(test).await;
    a.add_peer(waiting_for(ip(test, 9), ASN)).await.unwrap();
    let mut scripted = Scripted::connect(ip(test, 9), listening(&a)).await;
    scripted.establish(ASN, ID, 90).await;
    established(&a, 2).await;
    (a, b, scripted)
}

/// The good session has not been touched.
fn undisturbed(a: &Speaker, test: u8) {
    let good = peer(a, ip(test, 2));
    assert_eq!((good.state, good.established), (bgp_speaker::State::Established, 1));
}

#[tokio::test]
async fn strangers_are_counted_told_of_once_and_turned_away() {
    let (a, _b) = pair(40).await;
    let mut events = a.events();
    for _ in 0..50 {
        let mut stranger = Scripted::connect(ip(40, 66), listening(&a)).await;
        let mut octet = [0];
        let closed = within("the speaker closes", stranger.stream.read(&mut octet)).await;
        assert!(matches!(closed, Ok(0) | Err(_)));
    }
    eventually("all are counted", async || a.status().strangers == 50).await;
    undisturbed(&a, 40);
    let mut told = 0;
    while let Ok(Some(event)) = tokio::time::timeout(Duration::from_millis(200), events.next()).await {
        told += u64::from(matches!(event, Event::Strangers { .. }));
    }
    assert_eq!(told, 1);
}

#[tokio::test]
async fn garbage_from_a_peer_is_answered_and_harms_nobody_else() {
    let (a, _b, mut scripted) = with_scripted(41).await;
    scripted.send(&[0x47; 300]).await;
    let notification = scripted.notification().await.expect("a NOTIFICATION");
    assert_eq!((notification.code, notification.subcode), (NotificationCode::HEADER, 1));
    established(&a, 1).await;
    undisturbed(&a, 41);
}

#[tokio::test]
async fn a_length_beyond_what_is_lawful_is_answered_with_bad_message_length() {
    let (a, _b, mut scripted) = with_scripted(42).await;
    scripted.send(&[&[0xff; 16][..], &[0x20, 0x00, 2]].concat()).await;
    let notification = scripted.notification().await.expect("a NOTIFICATION");
    assert_eq!((notification.code, notification.subcode), (NotificationCode::HEADER, 2));
    assert_eq!(&notification.data[..], [0x20, 0x00]);
    undisturbed(&a, 42);
}

#[tokio::test]
async fn a_malformed_attribute_withdraws_the_routes_and_keeps_the_session() {
    let (a, b, mut scripted) = with_scripted(43).await;
    let mut events = a.events();
    scripted.send(&update(ID, ["10.1.0.0/16".parse().unwrap(), "10.2.0.0/16".parse().unwrap()])).await;
    has_exactly(&a, &["10.1.0.0/16", "10.2.0.0/16"]).await;
    // AS4_PATH between four-octet speakers is passed over, and nobody is told (RFC 6793 §3).
    let attributes = [
        &[0x40, 1, 1, 0][..],
        &[0x40, 2, 0],
        &[0x40, 3, 4, 192, 0, 2, 99],
        &[0x40, 5, 4, 0, 0, 0, 100],
        &[0xc0, 17, 6, 2, 1, 0, 0, 0, 1],
    ]
    .concat();
    let length = u16::try_from(attributes.len()).unwrap().to_be_bytes();
    scripted.send(&raw(2, &[&[0, 0], &length[..], &attributes, &[16, 10, 1]].concat())).await;
    // ORIGIN of two octets: treat-as-withdraw (RFC 7606 §7.1).
    let attributes =
        [&[0x40, 1, 2, 0, 0][..], &[0x40, 2, 0], &[0x40, 3, 4, 192, 0, 2, 99], &[0x40, 5, 4, 0, 0, 0, 100]]
            .concat();
    let length = u16::try_from(attributes.len()).unwrap().to_be_bytes();
    scripted.send(&raw(2, &[&[0, 0], &length[..], &attributes, &[16, 10, 1]].concat())).await;
    has_exactly(&a, &["10.2.0.0/16"]).await;
    let faults = within("the fault is told", async {
        loop {
            if let Some(Event::MalformedUpdate { faults, .. }) = events.next().await {
                break faults;
            }
        }
    })
    .await;
    assert!(faults.contains("ORIGIN") && !faults.contains("AS4_PATH"), "{faults}");
    assert_eq!(a.status().established(), 2);
    assert_eq!(b.status().established(), 1);
}

#[tokio::test]
async fn an_update_that_cannot_be_read_resets_the_session() {
    let (a, _b, mut scripted) = with_scripted(44).await;
    // A prefix of 33 bits in the NLRI field (RFC 7606 §5.3 leaves no other way).
    scripted.send(&raw(2, &[0, 0, 0, 4, 0x40, 1, 1, 0, 33, 10, 0, 0, 0, 0])).await;
    let notification = scripted.notification().await.expect("a NOTIFICATION");
    assert_eq!(notification.code, NotificationCode::UPDATE);
    established(&a, 1).await;
    undisturbed(&a, 44);
}

#[tokio::test]
async fn an_update_before_the_opening_is_an_error_of_the_state_machine() {
    let (a, _b) = pair(45).await;
    a.add_peer(waiting_for(ip(45, 9), ASN)).await.unwrap();
    let mut scripted = Scripted::connect(ip(45, 9), listening(&a)).await;
    scripted.open().await;
    scripted.send(&update(ID, ["10.1.0.0/16".parse().unwrap()])).await;
    let notification = scripted.notification().await.expect("a NOTIFICATION");
    assert_eq!(notification.code, NotificationCode::FSM);
    undisturbed(&a, 45);
}

#[tokio::test]
async fn a_message_that_comes_octet_by_octet_is_read_all_the_same() {
    let (a, _b, mut scripted) = with_scripted(46).await;
    for octet in &update(ID, ["10.3.0.0/16".parse().unwrap()])[..] {
        scripted.send(&[*octet]).await;
        tokio::task::yield_now().await;
    }
    has_exactly(&a, &["10.3.0.0/16"]).await;
}

#[tokio::test]
async fn messages_that_come_all_at_once_are_read_one_by_one() {
    let (a, _b) = pair(47).await;
    a.add_peer(waiting_for(ip(47, 9), ASN)).await.unwrap();
    let mut scripted = Scripted::connect(ip(47, 9), listening(&a)).await;
    scripted.open().await;
    scripted.send_open(ASN, ID, 90).await;
    let mut rest = keepalive().to_vec();
    rest.extend_from_slice(&update(ID, ["10.4.0.0/16".parse().unwrap()]));
    rest.extend_from_slice(keepalive());
    scripted.send(&rest).await;
    has_exactly(&a, &["10.4.0.0/16"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_never_reads_delays_nobody() {
    let (a, b, mut deaf) = with_scripted(48).await;
    // Far more than the buffers of a socket take.
    let many: Vec<_> =
        (0..60_000u32).map(|i| format!("{}/28", Ipv4Addr::from(0x0b00_0000 + (i << 4)))).collect();
    let routes: Vec<&str> = many.iter().map(String::as_str).collect();
    announce(&a, &routes).await;
    eventually("the other has everything", async || b.status().table.prefixes == 60_000).await;
    announce(&b, &["10.9.0.0/16"]).await;
    eventually("the small change passes", async || {
        prefixes(&a).await.contains(&"10.9.0.0/16".parse().unwrap())
    })
    .await;
    assert_eq!(a.status().established(), 2, "nobody was given up");
    // Once it reads, it finds the table whole, and keepalives between the messages of the table.
    let mut heard = 0;
    while heard < 60_000 {
        match deaf.receive().await {
            Some(bgp_wire::Message::Update(update)) => {
                heard += update.view().reach().map(|r| r.nlri.ipv4().count()).sum::<usize>();
            }
            Some(_) => {}
            None => panic!("the session ended"),
        }
    }
}
