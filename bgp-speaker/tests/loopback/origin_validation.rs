//! Payloads of origin validation (RFC 6811), told to a speaker that runs.

use std::sync::Arc;
use std::time::Instant;

use bgp_speaker::policy::{Condition, Policy, PolicyConfig, RpkiState, Rule, Verdict};
use bgp_speaker::{Asn, ChangeClass, Desired, MAX_VRPS, Speaker, SpeakerError, Subject, Vrp};

use crate::support::{
    ASN, announce, connect, eventually, has_exactly, ip, listening, net, peer, peer_of, speaker, waiting_for,
};

fn vrp(prefix: &str, max_length: u8, asn: Asn) -> Vrp {
    Vrp { prefix: net(prefix), max_length, asn }
}

/// A speaker that takes no invalid routes, and one that tells it two of its own AS; the state that led there.
async fn strict(test: u8) -> (Speaker, Speaker, Desired) {
    let (a, b) = (speaker(ip(test, 1)).await, speaker(ip(test, 2)).await);
    let invalid = Rule::reject("invalid").when(Condition::Rpki(RpkiState::Invalid));
    let policy = Policy::compile(PolicyConfig::new("strict", Verdict::Accept).rule(invalid)).unwrap();
    let peer = waiting_for(ip(test, 2), ASN).policies(policy, Policy::accept_all());
    let desired = Desired { peers: vec![peer], ..Desired::default() };
    a.apply(desired.clone()).await.unwrap();
    b.add_peer(peer_of(&a)).await.unwrap();
    announce(&b, &["10.1.0.0/16", "10.2.0.0/16"]).await;
    has_exactly(&a, &["10.1.0.0/16", "10.2.0.0/16"]).await;
    (a, b, desired)
}

#[tokio::test]
async fn routes_come_and_go_with_their_payloads_over_the_session_that_stands() {
    let (a, _b, _) = strict(140).await;
    assert_eq!(a.status().vrps, None);
    let (theirs, others) = (vrp("10.1.0.0/16", 16, ASN), vrp("10.2.0.0/16", 24, Asn(64999)));
    let wrong = vrp("10.3.0.0/16", 8, ASN);
    let report = a.set_vrps([theirs, others, wrong]).await.unwrap();
    assert_eq!((report.changes[0].subject, report.class()), (Subject::Vrps, ChangeClass::Soft));
    has_exactly(&a, &["10.1.0.0/16"]).await;
    let status = a.status().vrps.unwrap();
    assert_eq!((status.ipv4, status.ipv6, status.passed_over), (2, 0, 1));
    assert_eq!(a.set_vrps([theirs, others, wrong]).await.unwrap().changes, []);

    a.set_vrps([others, vrp("10.2.0.0/16", 16, ASN)]).await.unwrap();
    has_exactly(&a, &["10.1.0.0/16", "10.2.0.0/16"]).await;
    assert_eq!(peer(&a, ip(140, 2)).established, 1);
}

#[tokio::test]
async fn payloads_are_part_of_the_desired_state_and_stay_where_it_says_nothing_of_them() {
    let (a, _b, mut desired) = strict(141).await;
    desired.vrps = Some(Arc::new([vrp("10.2.0.0/16", 16, Asn(64999))]));
    let report = a.apply(desired.clone()).await.unwrap();
    assert_eq!(report.changes.len(), 1, "{report:?}");
    has_exactly(&a, &["10.1.0.0/16"]).await;
    assert_eq!(a.apply(desired.clone()).await.unwrap().changes, []);
    desired.vrps = None;
    assert_eq!(a.apply(desired.clone()).await.unwrap().changes, []);
    has_exactly(&a, &["10.1.0.0/16"]).await;
    desired.vrps = Some(Arc::new([]));
    a.apply(desired).await.unwrap();
    has_exactly(&a, &["10.1.0.0/16", "10.2.0.0/16"]).await;
}

#[tokio::test]
async fn without_a_policy_that_asks_nothing_is_dropped() {
    let (a, b) = (speaker(ip(142, 1)).await, speaker(ip(142, 2)).await);
    connect(&a, &b).await;
    announce(&b, &["10.1.0.0/16"]).await;
    a.set_vrps([vrp("10.1.0.0/16", 16, Asn(64999))]).await.unwrap();
    has_exactly(&a, &["10.1.0.0/16"]).await;
    eventually("it stays", async || a.status().vrps.is_some() && listening(&a).port() > 0).await;
}

#[tokio::test]
async fn more_payloads_than_are_kept_are_refused() {
    let a = speaker(ip(143, 1)).await;
    let many = (0..=u32::try_from(MAX_VRPS).unwrap()).map(|n| vrp("10.0.0.0/8", 8, Asn(n)));
    assert_eq!(a.set_vrps(many).await, Err(SpeakerError::TooManyVrps(MAX_VRPS + 1)));
    assert_eq!(a.status().vrps, None);
}

/// Judged by what it costs the caller to have them sorted, which is work of the same order as taking them in one by one.
#[tokio::test]
async fn the_tables_take_many_payloads_in_no_time() {
    let (a, _b, _) = strict(133).await;
    let before = a.status().turns.max;
    let many = (0..200_000_u32).map(|n| Vrp {
        prefix: ipnet::Ipv4Net::new((0x2000_0000 + (n << 8)).into(), 24).unwrap().into(),
        max_length: 24,
        asn: Asn(n % 1000),
    });
    let many: Vec<Vrp> = many.collect();
    let begun = Instant::now();
    a.set_vrps(many).await.unwrap();
    let (took, longest) = (begun.elapsed(), a.status().turns.max);
    assert_eq!(a.status().vrps.unwrap().ipv4, 200_000);
    assert!(
        longest <= before.max(took / 8),
        "a turn of {longest:?} (before {before:?}) while all took {took:?}"
    );
    has_exactly(&a, &["10.1.0.0/16", "10.2.0.0/16"]).await;
}
