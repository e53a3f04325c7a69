//! Peers that come through a listen range, and go.

use std::net::Ipv4Addr;
use std::time::Duration;

use bgp_speaker::{
    Asn, Batch, Desired, Event, Family, FamilyLimits, Limit, LimitAction, Limits, MeshNode, RangeConfig,
    SpeakerError,
};
use bgp_wire::NotificationCode;

use crate::scripted::{Scripted, update};
use crate::support::{ASN, established, eventually, ip, listening, net, speaker};

const ID: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 99);

/// The task of the one before may be ending, or have ended, while the next connection comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_of_a_range_that_comes_back_at_once_is_let_in_each_time() {
    let a = speaker(ip(214, 1)).await;
    let mut range = RangeConfig::new(net("127.40.214.128/25"), ASN);
    range.limit = 1;
    a.add_listen_range(range).await.unwrap();
    let mut events = a.events();
    tokio::spawn(async move { while events.next().await.is_some() {} });
    for _ in 0..500 {
        let mut scripted = Scripted::connect(ip(214, 130), listening(&a)).await;
        scripted.open().await;
    }
    let mut scripted = Scripted::connect(ip(214, 130), listening(&a)).await;
    scripted.establish(ASN, ID, 90).await;
    assert_eq!(a.status().ranges[0].refused, 0);
    drop(scripted);
    eventually("nobody is left", async || a.status().ranges[0].peers == 0 && a.status().peers.is_empty())
        .await;
}

/// The prefix is a field, into which anything may be written.
#[tokio::test]
async fn host_bits_make_no_other_range() {
    let a = speaker(ip(213, 1)).await;
    let range = RangeConfig::new(net("127.40.213.128/25"), ASN);
    let with_host = RangeConfig { prefix: net("127.40.213.130/25"), ..range.clone() };
    a.add_listen_range(with_host.clone()).await.unwrap();
    assert_eq!(a.add_listen_range(range.clone()).await, Err(SpeakerError::DuplicateRange(range.prefix)));
    let desired = |range: &RangeConfig| Desired { ranges: vec![range.clone()], ..Desired::default() };
    assert!(a.apply(desired(&range)).await.unwrap().changes.is_empty());
    assert!(a.apply(desired(&with_host)).await.unwrap().changes.is_empty());
    let batch = Batch { ranges: vec![with_host], ..Batch::default() };
    assert!(a.update(batch).await.unwrap().changes.is_empty());
    a.remove_listen_range(range.prefix).await.unwrap();
    assert!(a.status().ranges.is_empty());
}

/// A change that makes another peer of it: who came through the range before goes, and comes back on its own.
#[tokio::test]
async fn peers_of_a_range_that_a_change_replaces_leave_their_places() {
    let a = speaker(ip(215, 1)).await;
    let mut range = RangeConfig::new(net("127.40.215.128/25"), ASN);
    range.limit = 2;
    let mut desired = Desired { ranges: vec![range.clone()], ..Desired::default() };
    a.apply(desired.clone()).await.unwrap();
    for node in [130, 131] {
        let mut scripted = Scripted::connect(ip(215, node), listening(&a)).await;
        scripted.establish(ASN, ID, 90).await;
        tokio::spawn(async move { scripted.notification().await });
    }
    established(&a, 2).await;
    desired.ranges[0].options.local_as = Some(Asn(65001));
    a.apply(desired).await.unwrap();
    eventually("they are gone", async || a.status().ranges[0].peers == 0 && a.status().peers.is_empty())
        .await;
    // Others have the places.
    for node in [140, 141] {
        let mut scripted = Scripted::connect(ip(215, node), listening(&a)).await;
        scripted.open().await;
        std::mem::forget(scripted);
    }
    assert_eq!(a.status().ranges[0].refused, 0);
}

#[tokio::test]
async fn a_peer_of_a_range_that_is_held_down_keeps_no_other_out() {
    let a = speaker(ip(216, 1)).await;
    let mut range = RangeConfig::new(net("127.40.216.128/25"), ASN);
    range.limit = 1;
    range.options.limits = Limits::default().family(
        Family::IPV4_UNICAST,
        FamilyLimits { received: Some(Limit::new(1, LimitAction::Stop)), ..FamilyLimits::default() },
    );
    a.add_listen_range(range).await.unwrap();
    let mut first = Scripted::connect(ip(216, 130), listening(&a)).await;
    first.establish(ASN, ID, 90).await;
    first.send(&update(ID, ["10.1.0.0/16", "10.2.0.0/16"].map(|p| p.parse().unwrap()))).await;
    let cease = first.notification().await.expect("a NOTIFICATION");
    assert_eq!((cease.code, cease.subcode), (NotificationCode::CEASE, 1), "too many prefixes");
    let mut second = Scripted::connect(ip(216, 131), listening(&a)).await;
    second.establish(ASN, ID, 90).await;
    established(&a, 1).await;
    // The first one is still held, and a third has no place beside the second.
    let mut again = Scripted::connect(ip(216, 130), listening(&a)).await;
    let cease = again.notification().await.expect("a NOTIFICATION");
    assert_eq!((cease.code, cease.subcode), (NotificationCode::CEASE, 5), "Connection Rejected");
    let mut third = Scripted::connect(ip(216, 132), listening(&a)).await;
    assert!(third.receive().await.is_none());
    a.clear_limit(ip(216, 130)).await.unwrap();
    eventually("what was held is gone", async || a.status().peer(ip(216, 130)).is_none()).await;
}

#[tokio::test]
async fn a_range_with_many_refused_connections_hides_none_of_another() {
    let a = speaker(ip(118, 1)).await;
    let (noisy, quiet) = (net("127.40.118.128/26"), net("127.40.118.192/26"));
    for prefix in [noisy, quiet] {
        let mut range = RangeConfig::new(prefix, ASN);
        range.limit = 1;
        a.add_listen_range(range).await.unwrap();
    }
    for member in [130, 200] {
        let mut scripted = Scripted::connect(ip(118, member), listening(&a)).await;
        scripted.establish(ASN, ID, 90).await;
        tokio::spawn(async move { scripted.notification().await });
    }
    let mut events = a.events();
    for node in std::iter::repeat_n(131, 50).chain([201, 66]) {
        let mut refused = Scripted::connect(ip(118, node), listening(&a)).await;
        assert!(refused.receive().await.is_none());
    }
    let mut told = Vec::new();
    while let Ok(Some(event)) = tokio::time::timeout(Duration::from_millis(300), events.next()).await {
        match event {
            Event::Refused { range, count, example, .. } => told.push((Some(range), count, example.ip())),
            Event::Strangers { count, example } => told.push((None, count, example)),
            _ => {}
        }
    }
    // The others of the noisy range are told together later.
    let first = |range, node| (range, 1, ip(118, node));
    assert_eq!(told, [first(Some(noisy), 131), first(Some(quiet), 201), first(None, 66)]);
    let refused: Vec<u64> = a.status().ranges.iter().map(|range| range.refused).collect();
    assert_eq!((refused, a.status().strangers), (vec![50, 1], 1));
}

/// A range that gives way to a mesh and is back before the mesh is there finds its peers again.
#[tokio::test]
async fn a_range_that_is_back_in_the_middle_of_a_migration_counts_those_who_stayed() {
    let a = speaker(ip(34, 1)).await;
    let mut range = RangeConfig::new(net("127.40.34.128/25"), ASN);
    range.limit = 1;
    a.apply(Desired { ranges: vec![range.clone()], ..Desired::default() }).await.unwrap();
    let mut scripted = Scripted::connect(ip(34, 130), listening(&a)).await;
    scripted.establish(ASN, ID, 90).await;
    established(&a, 1).await;
    let mesh = [1, 2].map(|last| MeshNode::new(format!("n{last}"), ip(34, last), ASN)).to_vec();
    a.apply(Desired { mesh: mesh.clone(), ..Desired::default() }).await.unwrap();
    assert_eq!(a.status().established(), 1, "the old way stays: the new one is not there");
    a.apply(Desired { mesh, ranges: vec![range], ..Desired::default() }).await.unwrap();
    assert_eq!(a.status().ranges[0].peers, 1);
    drop(scripted);
    eventually("it is gone", async || a.status().ranges[0].peers == 0).await;
    let mut other = Scripted::connect(ip(34, 131), listening(&a)).await;
    other.establish(ASN, ID, 90).await;
    assert_eq!((a.status().ranges[0].peers, a.status().ranges[0].refused), (1, 0));
}
