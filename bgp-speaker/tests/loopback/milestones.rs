//! What a speaker tells of the way of its sessions: why they ended, and how far the tables have come.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use bgp_speaker::{
    Desired, DownCause, Event, Events, Family, FamilyLimits, Limit, LimitAction, Limits, NotificationCode,
    Route, ShutdownMode, Source, Speaker, Subject, Wait,
};
use bgp_wire::subcode::cease;
use bytes::BytesMut;
use tokio::io::AsyncWriteExt;

use crate::scripted::{Scripted, update};
use crate::support::{
    ASN, OWNER, announce, builder, connect, established, has_exactly, ip, listening, net, pair, peer_of,
    speaker, waiting_for, within,
};

const ID: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 99);

/// Waits for an event that this makes something of.
async fn event<T>(events: &mut Events, what: &str, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
    within(what, async {
        loop {
            if let Some(found) = wanted(events.next().await.expect("the speaker runs")) {
                return found;
            }
        }
    })
    .await
}

/// Why the next session ended, and whether its routes are kept.
async fn down(events: &mut Events) -> (DownCause, bool) {
    event(events, "the end of a session", |event| match event {
        Event::PeerDown { cause, retained, .. } => Some((cause, retained)),
        _ => None,
    })
    .await
}

fn end_of_rib(family: Family) -> BytesMut {
    let mut octets = BytesMut::new();
    bgp_wire::end_of_rib(&mut octets, family);
    octets
}

/// A speaker that waits for a peer that is played by hand.
async fn waits(test: u8) -> Speaker {
    builder(ip(test, 1), ASN).peer(waiting_for(ip(test, 9), ASN)).start().await.unwrap()
}

#[tokio::test]
async fn who_orders_the_end_of_a_session_and_who_hears_of_it_are_told_apart() {
    let (a, b) = pair(130).await;
    let (mut at_a, mut at_b) = (a.events(), b.events());
    a.shutdown(ShutdownMode::Admin { text: "moving to rack 7".into() }).await;
    let (DownCause::NotificationReceived(heard), false) = down(&mut at_b).await else {
        panic!("it was told")
    };
    let why = heard.hard_reset_reason().expect("nothing is kept over a shutdown (RFC 8538 §3)");
    assert_eq!((why.code, why.subcode), (NotificationCode::CEASE, cease::SHUTDOWN));
    assert_eq!(why.shutdown_text().as_deref(), Some("moving to rack 7"));
    let (DownCause::Administrative(Some(said)), _) = down(&mut at_a).await else { panic!("it was ordered") };
    assert_eq!(said, heard);
}

#[tokio::test]
async fn a_connection_that_ends_without_a_word_says_whether_routes_are_kept() {
    let a = waits(131).await;
    let mut events = a.events();
    let mut scripted = Scripted::connect(ip(131, 9), listening(&a)).await;
    scripted.establish_graceful(ASN, ID).await;
    established(&a, 1).await;
    scripted.stream.shutdown().await.unwrap();
    assert_eq!(down(&mut events).await, (DownCause::ClosedByPeer, true));
    drop(scripted);
    let mut scripted = Scripted::connect(ip(131, 9), listening(&a)).await;
    scripted.establish(ASN, ID, 90).await;
    established(&a, 1).await;
    scripted.stream.set_zero_linger().unwrap();
    drop(scripted);
    let (DownCause::ConnectionLost(error), false) = down(&mut events).await else { panic!("it was reset") };
    assert_eq!(error.kind, std::io::ErrorKind::ConnectionReset);
    assert!(error.errno.is_some());
}

#[tokio::test]
async fn a_peer_that_nobody_answers_for_is_told_with_what_tcp_says() {
    let a = speaker(ip(132, 1)).await;
    let mut events = a.events();
    let b = speaker(ip(132, 2)).await;
    let nobody = peer_of(&b);
    b.shutdown(ShutdownMode::Admin { text: String::new() }).await;
    a.add_peer(nobody).await.unwrap();
    let (DownCause::ConnectFailed(error), false) = down(&mut events).await else { panic!("it cannot") };
    assert_eq!(error.kind, std::io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_hold_time_that_ran_out_and_a_limit_that_was_passed_are_causes_of_their_own() {
    let received = Some(Limit::new(1, LimitAction::Stop));
    let limits = FamilyLimits { received, ..FamilyLimits::default() };
    let mut peer = waiting_for(ip(133, 9), ASN);
    peer.options.limits = Limits::default().family(Family::IPV4_UNICAST, limits);
    let a = builder(ip(133, 1), ASN).peer(peer).start().await.unwrap();
    let mut events = a.events();
    let mut silent = Scripted::connect(ip(133, 9), listening(&a)).await;
    silent.establish(ASN, ID, 3).await;
    assert_eq!(down(&mut events).await, (DownCause::HoldTimeExpired, false));
    let mut much = Scripted::connect(ip(133, 9), listening(&a)).await;
    much.establish(ASN, ID, 90).await;
    let prefixes = ["10.1.0.0/16", "10.2.0.0/16"].map(|prefix| prefix.parse().unwrap());
    much.send(&update(Ipv4Addr::new(127, 40, 133, 9), prefixes)).await;
    let (DownCause::Limit(said), _) = down(&mut events).await else { panic!("it told too much") };
    assert_eq!(said.subcode, cease::MAX_PREFIXES);
}

#[tokio::test]
async fn both_ends_of_rib_are_told_and_then_that_all_is_there() {
    let a = speaker(ip(134, 1)).await;
    announce(&a, &["10.1.0.0/16"]).await;
    let b = speaker(ip(134, 2)).await;
    let (mut events, mut told, mut sent) = (a.events(), BTreeSet::new(), BTreeSet::new());
    connect(&a, &b).await;
    let wait = event(&mut events, "the peers' tables", |event| match event {
        Event::EndOfRib { family, .. } => (told.insert(family), None).1,
        Event::EndOfRibSent { peer, family } => {
            assert_eq!(peer.ip(), ip(134, 2));
            (sent.insert(family), None).1
        }
        Event::Synchronised(wait) => Some(wait),
        _ => None,
    })
    .await;
    assert_eq!(wait, Wait::AllTold);
    assert_eq!((told.len(), sent.len()), (2, 2));
}

#[tokio::test]
async fn how_many_stale_routes_went_is_told_as_they_have_gone() {
    let a = waits(135).await;
    let mut events = a.events();
    let next_hop = Ipv4Addr::new(127, 40, 135, 9);
    let tell = async |prefixes: &[&str]| {
        let mut scripted = Scripted::connect(ip(135, 9), listening(&a)).await;
        scripted.establish_graceful(ASN, ID).await;
        let prefixes: Vec<_> = prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect();
        scripted.send(&update(next_hop, prefixes)).await;
        scripted.send(&end_of_rib(Family::IPV4_UNICAST)).await;
        scripted
    };
    let first = tell(&["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"]).await;
    has_exactly(&a, &["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"]).await;
    drop(first);
    established(&a, 0).await;
    let _again = tell(&["10.2.0.0/16"]).await;
    let swept = event(&mut events, "the sweep", |event| match event {
        Event::Swept { peer, family, routes } => Some((peer.ip(), family, routes)),
        _ => None,
    })
    .await;
    assert_eq!(swept, (ip(135, 9), Family::IPV4_UNICAST, 2));
    has_exactly(&a, &["10.2.0.0/16"]).await;
}

#[tokio::test]
async fn a_restarted_speaker_says_how_its_waiting_ended() {
    let deferral = async |test: u8, tells: bool| {
        let a = builder(ip(test, 1), ASN)
            .restarting(true)
            .sweep_after(Duration::from_secs(if tells { 60 } else { 1 }))
            .announce(OWNER, [Route::new(net("10.9.0.0/16"))])
            .peer(waiting_for(ip(test, 9), ASN))
            .start()
            .await
            .unwrap();
        let mut events = a.events();
        let mut scripted = Scripted::connect(ip(test, 9), listening(&a)).await;
        scripted.establish_graceful(ASN, ID).await;
        if tells {
            scripted.send(&end_of_rib(Family::IPV4_UNICAST)).await;
        }
        event(&mut events, "the end of the deferral", |event| match event {
            Event::DeferralEnded(wait) => Some(wait),
            _ => None,
        })
        .await
    };
    assert_eq!(deferral(136, true).await, Wait::AllTold);
    assert_eq!(deferral(137, false).await, Wait::TimedOut);
}

#[tokio::test]
async fn two_nodes_with_one_block_are_told_of_where_blocks_are_to_have_one_origin() {
    let desired = |within: &[&str]| Desired {
        unique_origins: within.iter().map(|within| net(within)).collect(),
        peers: vec![waiting_for(ip(147, 2), ASN), waiting_for(ip(147, 3), ASN)],
        ..Desired::default()
    };
    let a = builder(ip(147, 1), ASN).desired(desired(&["10.65.0.0/16"])).start().await.unwrap();
    let mut events = a.events();
    let others = [speaker(ip(147, 2)).await, speaker(ip(147, 3)).await];
    for other in &others {
        announce(other, &["10.65.0.0/26", "10.96.0.1/32"]).await;
        other.add_peer(peer_of(&a)).await.unwrap();
    }
    let found = event(&mut events, "the second origin", |event| match event {
        Event::TwoOrigins(found) => Some(found),
        _ => None,
    })
    .await;
    assert_eq!(found.prefix, net("10.65.0.0/26"));
    let nodes = found.sources.map(|source| match source {
        Source::Peer { address, .. } => address,
        Source::Local(_) => panic!("both are of peers"),
    });
    assert_eq!(BTreeSet::from(nodes), BTreeSet::from([ip(147, 2), ip(147, 3)]));
    let report = a.apply(desired(&[])).await.unwrap();
    let subjects: Vec<_> = report.changes.iter().map(|change| change.subject).collect();
    assert_eq!(subjects, [Subject::UniqueOrigins]);
    assert!(a.apply(desired(&[])).await.unwrap().changes.is_empty());
}
