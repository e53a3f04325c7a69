//! What a peer may tell, over real connections: what is warned of, held out, and ended.

use std::net::Ipv4Addr;
use std::time::Duration;

use bgp_speaker::policy::{Condition, PolicyConfig, PrefixSet, Rule, Verdict};
use bgp_speaker::{
    ChangeClass, Desired, Event, Family, FamilyLimits, Limit, LimitAction, LimitLevel, Limited, Limits,
    PeerConfig, PeerStatus, Policy, Route, Speaker, State,
};
use bgp_wire::{Message, NotificationCode};
use ipnet::Ipv4Net;

use crate::scripted::{Scripted, update};
use crate::support::{
    ASN, OWNER, announce, established, eventually, has_exactly, ip, listening, net, peer, peer_of, speaker,
    waiting_for, within,
};

const ID: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 99);

fn received(max: u64, action: LimitAction) -> Limits {
    let received = Some(Limit::new(max, action));
    Limits::default().family(Family::IPV4_UNICAST, FamilyLimits { received, ..FamilyLimits::default() })
}

fn bounded(test: u8, node: u8, limits: Limits) -> PeerConfig {
    let mut peer = waiting_for(ip(test, node), ASN);
    peer.options.limits = limits;
    peer
}

fn hosts(count: u8) -> Vec<Ipv4Net> {
    (0..count).map(|host| format!("10.1.0.{host}/32").parse().unwrap()).collect()
}

async fn exceed(a: &Speaker, test: u8) -> Scripted {
    let mut scripted = Scripted::connect(ip(test, 9), listening(a)).await;
    scripted.establish(ASN, ID, 90).await;
    scripted.send(&update(ID, hosts(4))).await;
    scripted
}

#[tokio::test]
async fn one_route_too_many_ends_the_session_and_the_cease_names_family_and_bound() {
    let a = speaker(ip(140, 1)).await;
    let mut config = bounded(140, 9, received(3, LimitAction::Stop));
    config.options.limit_restart = None;
    a.add_peer(config).await.unwrap();
    let mut events = a.events();
    let mut scripted = exceed(&a, 140).await;
    let cease = scripted.notification().await.expect("a NOTIFICATION");
    assert_eq!((cease.code, cease.subcode), (NotificationCode::CEASE, 1));
    assert_eq!(&cease.data[..], [0, 1, 1, 0, 0, 0, 3]);
    within("it is told", async {
        loop {
            if let Some(Event::Limit { limit, .. }) = events.next().await
                && limit.level == LimitLevel::Exceeded
            {
                assert_eq!((limit.what, limit.max), (Limited::Received, 3));
                break;
            }
        }
    })
    .await;
    has_exactly(&a, &[]).await;
    let status = peer(&a, ip(140, 9));
    assert!(status.info.contains("held down until it is cleared"), "{}", status.info);
    // It is held down: nobody is let in.
    let mut again = Scripted::connect(ip(140, 9), listening(&a)).await;
    let cease = again.notification().await.expect("a NOTIFICATION");
    assert_eq!((cease.code, cease.subcode), (NotificationCode::CEASE, 5), "Connection Rejected");
    assert!(again.receive().await.is_none());
    assert_eq!(peer(&a, ip(140, 9)).established, 1);
    a.clear_limit(ip(140, 9)).await.unwrap();
    eventually("it is let in again", async || peer(&a, ip(140, 9)).state != State::Idle).await;
    let mut again = Scripted::connect(ip(140, 9), listening(&a)).await;
    again.establish(ASN, ID, 90).await;
    established(&a, 1).await;
    assert!(!peer(&a, ip(140, 9)).info.contains("limit exceeded"));
}

#[tokio::test]
async fn after_the_pause_the_session_may_begin_anew() {
    let a = speaker(ip(141, 1)).await;
    let mut config = bounded(141, 9, received(3, LimitAction::Stop));
    config.options.limit_restart = Some(Duration::from_millis(300));
    a.add_peer(config).await.unwrap();
    let mut scripted = exceed(&a, 141).await;
    scripted.notification().await.expect("a NOTIFICATION");
    eventually("the pause is over", async || !peer(&a, ip(141, 9)).info.contains("held down")).await;
    let mut again = Scripted::connect(ip(141, 9), listening(&a)).await;
    again.establish(ASN, ID, 90).await;
    again.send(&update(ID, hosts(2))).await;
    has_exactly(&a, &["10.1.0.0/32", "10.1.0.1/32"]).await;
}

#[tokio::test]
async fn a_limit_that_is_raised_lets_a_peer_back_that_is_held_down() {
    let a = speaker(ip(142, 1)).await;
    let mut desired =
        Desired { peers: vec![bounded(142, 9, received(3, LimitAction::Stop))], ..Desired::default() };
    a.apply(desired.clone()).await.unwrap();
    exceed(&a, 142).await.notification().await.expect("a NOTIFICATION");
    eventually("it is held down", async || peer(&a, ip(142, 9)).info.contains("held down")).await;
    desired.peers[0].options.limits = received(10, LimitAction::Stop);
    a.apply(desired).await.unwrap();
    eventually("it is let in again", async || !peer(&a, ip(142, 9)).info.contains("held down")).await;
    let _again = exceed(&a, 142).await;
    has_exactly(&a, &["10.1.0.0/32", "10.1.0.1/32", "10.1.0.2/32", "10.1.0.3/32"]).await;
}

#[tokio::test]
async fn routes_that_were_held_out_are_asked_for_when_there_is_room() {
    let (a, b) = (speaker(ip(143, 1)).await, speaker(ip(143, 2)).await);
    a.add_peer(bounded(143, 2, received(2, LimitAction::Drop))).await.unwrap();
    b.add_peer(peer_of(&a)).await.unwrap();
    established(&a, 1).await;
    announce(&b, &["10.1.0.0/26", "10.2.0.0/26"]).await;
    has_exactly(&a, &["10.1.0.0/26", "10.2.0.0/26"]).await;
    announce(&b, &["10.3.0.0/26"]).await;
    eventually("one is held out", async || peer(&a, ip(143, 2)).prefixes.held_out == 1).await;
    let limits = peer(&a, ip(143, 2)).limits;
    assert_eq!(
        limits.iter().map(|l| (l.what, l.level)).collect::<Vec<_>>(),
        [(Limited::Received, LimitLevel::Exceeded)]
    );
    b.withdraw(OWNER, vec![net("10.1.0.0/26")]).await.unwrap();
    has_exactly(&a, &["10.2.0.0/26", "10.3.0.0/26"]).await;
    assert_eq!((peer(&a, ip(143, 2)).established, peer(&a, ip(143, 2)).sent.refresh), (1, 1));
}

#[tokio::test]
async fn status_shows_every_limit_with_what_there_is_and_what_policy_rejects() {
    let (a, b) = (speaker(ip(138, 1)).await, speaker(ip(138, 2)).await);
    let warn = |max| Some(Limit::new(max, LimitAction::Warn));
    let bounds = FamilyLimits { received: warn(10), accepted: warn(4), advertised: warn(5) };
    let limits = Limits::default().family(Family::IPV4_UNICAST, bounds);
    let mut config = bounded(138, 2, limits.memory(Limit::new(1 << 20, LimitAction::Drop)));
    let not = |name: &str, prefix: &str| {
        let set = PrefixSet::equal(&[net(prefix)]);
        let rule = Rule::reject(name).when(Condition::Prefix(set));
        Some(Policy::compile(PolicyConfig::new(name, Verdict::Accept).rule(rule)).unwrap())
    };
    config.options.import = not("not in", "10.2.0.0/26");
    config.options.export = not("not out", "10.8.0.0/26");
    a.add_peer(config).await.unwrap();
    b.add_peer(peer_of(&a)).await.unwrap();
    established(&a, 1).await;
    announce(&b, &["10.1.0.0/26", "10.2.0.0/26", "10.3.0.0/26", "10.4.0.0/26"]).await;
    announce(&a, &["10.8.0.0/26", "10.9.0.0/26"]).await;
    eventually("all is counted", async || {
        let PeerStatus { prefixes, limits, .. } = peer(&a, ip(138, 2));
        let rows: Vec<_> = limits.iter().map(|l| (l.what, l.level, l.count.min(1000), l.max)).collect();
        let want = [
            (Limited::Received, LimitLevel::Below, 4, 10),
            (Limited::Accepted, LimitLevel::Warning, 3, 4),
            (Limited::Advertised, LimitLevel::Below, 1, 5),
        ];
        (prefixes.import_rejected, prefixes.export_rejected) == (1, 1) && rows.starts_with(&want) && {
            let memory = &limits[3];
            (memory.what, memory.action) == (Limited::Memory, LimitAction::Drop) && memory.count > 4 * 32
        }
    })
    .await;
}

#[tokio::test]
async fn a_peer_becomes_a_client_and_the_session_does_not_notice() {
    let reflector = speaker(ip(144, 1)).await;
    let (b, c) = (speaker(ip(144, 2)).await, speaker(ip(144, 3)).await);
    let mut desired = Desired {
        peers: vec![waiting_for(ip(144, 2), ASN), waiting_for(ip(144, 3), ASN)],
        ..Desired::default()
    };
    reflector.apply(desired.clone()).await.unwrap();
    for (node, block) in [(&b, "10.2.0.0/26"), (&c, "10.3.0.0/26")] {
        node.add_peer(peer_of(&reflector)).await.unwrap();
        node.announce(OWNER, vec![Route::new(net(block))]).await.unwrap();
    }
    has_exactly(&reflector, &["10.2.0.0/26", "10.3.0.0/26"]).await;
    has_exactly(&b, &["10.2.0.0/26"]).await;
    desired.peers[0] = desired.peers[0].clone().reflector_client();
    let report = reflector.apply(desired.clone()).await.unwrap();
    let change = report.peer(ip(144, 2)).expect("the role changed");
    assert_eq!(change.class, ChangeClass::Soft, "{change}");
    has_exactly(&b, &["10.2.0.0/26", "10.3.0.0/26"]).await;
    has_exactly(&c, &["10.2.0.0/26", "10.3.0.0/26"]).await;
    desired.peers[0].options.route_reflector_client = false;
    assert_eq!(reflector.apply(desired).await.unwrap().class(), ChangeClass::Soft);
    has_exactly(&b, &["10.2.0.0/26"]).await;
    has_exactly(&c, &["10.3.0.0/26"]).await;
    assert_eq!(peer(&reflector, ip(144, 2)).established, 1);
}

#[tokio::test]
async fn another_policy_is_a_soft_change_and_sends_just_the_difference() {
    let (a, b) = (speaker(ip(145, 1)).await, speaker(ip(145, 9)).await);
    drop(b);
    let mut desired = Desired { peers: vec![waiting_for(ip(145, 9), ASN)], ..Desired::default() };
    desired.routes.insert(OWNER, vec![Route::new(net("10.2.0.0/26")), Route::new(net("10.3.0.0/26"))]);
    a.apply(desired.clone()).await.unwrap();
    let mut scripted = Scripted::connect(ip(145, 9), listening(&a)).await;
    scripted.establish(ASN, ID, 90).await;
    let mut seen = 0;
    while seen < 2 {
        if let Some(Message::Update(update)) = scripted.receive().await {
            seen += update.view().reach().map(|reach| reach.nlri.iter().count()).sum::<usize>();
        }
    }
    desired.peers[0].options.export = Some(Policy::reject_all());
    assert_eq!(a.apply(desired).await.unwrap().class(), ChangeClass::Soft);
    let mut gone = 0;
    while gone < 2 {
        if let Some(Message::Update(update)) = scripted.receive().await {
            gone += update.view().unreach().map(|block| block.iter().count()).sum::<usize>();
        }
    }
    established(&a, 1).await;
}

#[tokio::test]
async fn a_peer_that_is_told_too_much_is_not_blamed_for_it() {
    let a = speaker(ip(149, 1)).await;
    announce(&a, &["10.1.0.0/16", "10.2.0.0/16"]).await;
    let advertised = Some(Limit::new(1, LimitAction::Stop));
    let limits = FamilyLimits { advertised, ..FamilyLimits::default() };
    a.add_peer(bounded(149, 9, Limits::default().family(Family::IPV4_UNICAST, limits))).await.unwrap();
    let mut scripted = Scripted::connect(ip(149, 9), listening(&a)).await;
    scripted.establish(ASN, ID, 90).await;
    let cease = scripted.notification().await.expect("a NOTIFICATION");
    assert_eq!((cease.code, cease.subcode), (NotificationCode::CEASE, 8), "out of resources");
}
