//! What can be asked of a speaker that runs, and what can be done again: explanations, dry runs, the kernel's side, resets.

use std::net::Ipv4Addr;

use bgp_speaker::kernel::{KernelConfig, MemoryFib, RouteState};
use bgp_speaker::policy::{Condition, PolicyConfig, PrefixSet, Rule, Verdict};
use bgp_speaker::{Family, HeldBack, Policy, Reset, SpeakerError};
use bgp_wire::{Message, NotificationCode, RefreshKind};

use crate::scripted::Scripted;
use crate::support::{
    ASN, announce, builder, connect, established, eventually, has_exactly, ip, listening, net, peer_of,
    speaker, waiting_for,
};

const ID: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 99);

/// Reads until an UPDATE that is no End-of-RIB.
async fn an_update(peer: &mut Scripted) {
    loop {
        match peer.receive().await.expect("the session goes on") {
            Message::Update(update) if update.view().end_of_rib().is_none() => return,
            _ => continue,
        }
    }
}

#[tokio::test]
async fn explain_names_the_rule_that_holds_a_route_back_and_a_dry_run_the_difference_of_another_policy() {
    let (a, b) = (speaker(ip(198, 1)).await, speaker(ip(198, 2)).await);
    let inside = Condition::Prefix(PrefixSet::or_longer(&[net("10.1.0.0/16")]));
    let rule = Rule::reject("keep the pool in").when(inside);
    let policy = PolicyConfig::new("outward", Verdict::Accept).rule(rule);
    let mut config = waiting_for(ip(198, 2), ASN);
    config.options.export = Some(Policy::compile(policy).unwrap());
    a.add_peer(config).await.unwrap();
    b.add_peer(peer_of(&a)).await.unwrap();
    announce(&a, &["10.1.0.0/24", "10.2.0.0/24"]).await;
    has_exactly(&b, &["10.2.0.0/24"]).await;
    let told = a.explain(net("10.1.0.0/24")).await.unwrap().expect("it is ours");
    let peer = &told.peers[0];
    assert_eq!(peer.verdict, Err(HeldBack::ExportPolicy));
    assert!(
        peer.policy.as_deref().is_some_and(|rule| rule.contains("keep the pool in")),
        "{:?}",
        peer.policy
    );

    let family = Family::IPV4_UNICAST;
    let page = a.dry_run(ip(198, 2), family, Policy::accept_all(), None, 100).await.unwrap();
    let [change] = &page.changes[..] else { panic!("{:?}", page.changes) };
    assert_eq!(change.destination, net("10.1.0.0/24").into());
    assert_eq!(change.now, Err(HeldBack::ExportPolicy));
    assert!(change.then.is_ok() && page.next.is_none());
    has_exactly(&b, &["10.2.0.0/24"]).await;
    let unknown = a.dry_run(ip(198, 3), family, Policy::accept_all(), None, 100).await;
    assert_eq!(unknown.unwrap_err(), SpeakerError::UnknownPeer(ip(198, 3).into()));
}

#[tokio::test]
async fn a_soft_reset_tells_and_asks_again_on_the_session_and_a_hard_one_begins_it_anew() {
    let a = speaker(ip(200, 1)).await;
    announce(&a, &["10.1.0.0/24"]).await;
    a.add_peer(waiting_for(ip(200, 9), ASN)).await.unwrap();
    let soft = a.reset(ip(200, 9), Reset::SoftOut).await;
    assert_eq!(soft, Err(SpeakerError::NotEstablished(ip(200, 9).into())));
    let mut peer = Scripted::connect(ip(200, 9), listening(&a)).await;
    peer.establish(ASN, ID, 90).await;
    established(&a, 1).await;
    // The OPEN of the scripted peer has no route refresh.
    let soft = a.reset(ip(200, 9), Reset::SoftIn).await;
    assert_eq!(soft, Err(SpeakerError::NoRouteRefresh(ip(200, 9).into())));
    an_update(&mut peer).await;
    a.reset(ip(200, 9), Reset::SoftOut).await.unwrap();
    an_update(&mut peer).await;
    a.reset(ip(200, 9), Reset::Hard { text: "moving".to_owned() }).await.unwrap();
    let notification = peer.notification().await.expect("it is told");
    assert_eq!((notification.code, notification.subcode), (NotificationCode::CEASE, 4));
    assert_eq!(notification.shutdown_text().as_deref(), Some("moving"));
    let mut again = Scripted::connect(ip(200, 9), listening(&a)).await;
    again.establish(ASN, ID, 90).await;
    established(&a, 1).await;
}

#[tokio::test]
async fn a_soft_reset_asks_a_peer_for_its_routes_on_the_wire() {
    let a = speaker(ip(201, 1)).await;
    a.add_peer(waiting_for(ip(201, 9), ASN)).await.unwrap();
    let mut peer = Scripted::connect(ip(201, 9), listening(&a)).await;
    peer.establish_refreshing(ASN, ID, 90).await;
    established(&a, 1).await;
    a.reset(ip(201, 9), Reset::SoftIn).await.unwrap();
    let asked = loop {
        match peer.receive().await.expect("the session goes on") {
            Message::RouteRefresh(refresh) => break refresh,
            _ => continue,
        }
    };
    assert_eq!((asked.family, asked.kind), (Family::IPV4_UNICAST, RefreshKind::REQUEST));
    assert_eq!(a.reset(ip(201, 8), Reset::Soft).await, Err(SpeakerError::UnknownPeer(ip(201, 8).into())));
}

#[tokio::test]
async fn what_became_of_routes_in_the_kernel_is_listed_page_by_page() {
    let fib = MemoryFib::new(KernelConfig::default().protocol);
    fib.connect(net("127.0.0.0/8"), 1);
    let a = speaker(ip(202, 1)).await;
    let b = builder(ip(202, 2), ASN).fib(KernelConfig::default(), fib).start().await.unwrap();
    announce(&a, &["10.1.0.0/26", "10.1.1.0/26", "10.1.2.0/26"]).await;
    connect(&b, &a).await;
    let listed = async |after| b.kernel_routes(after, 2).await.unwrap();
    eventually("all are written", async || {
        let routes = b.kernel_routes(None, 10).await.unwrap();
        routes.len() == 3 && routes.iter().all(|route| route.state == RouteState::Installed)
    })
    .await;
    let first = listed(None).await;
    let second = listed(first.last().map(|route| route.prefix)).await;
    let prefixes: Vec<_> = first.iter().chain(&second).map(|route| route.prefix).collect();
    assert_eq!(prefixes, ["10.1.0.0/26", "10.1.1.0/26", "10.1.2.0/26"].map(net));
    assert_eq!(a.kernel_routes(None, 10).await, Err(SpeakerError::NoKernel));
}
