//! Following the best routes.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bgp_speaker::{Best, Route, RouteBatch, RouteNews, Source, Speaker, Subscription};
use futures::StreamExt;
use ipnet::IpNet;

use crate::scripted::{Scripted, update};
use crate::support::{
    ASN, OWNER, announce, builder, established, eventually, has_exactly, ip, listening, net, next_batch,
    pair, speaker, waiting_for, within,
};

fn apply(view: &mut BTreeMap<IpNet, Best>, batch: &RouteBatch) {
    for change in &batch.changes {
        match &change.best {
            Some(best) => view.insert(change.prefix, best.clone()),
            None => view.remove(&change.prefix),
        };
    }
}

/// Reads until the snapshot is whole.
async fn snapshot(subscription: &mut Subscription) -> BTreeMap<IpNet, Best> {
    let mut view = BTreeMap::new();
    within("the snapshot", async {
        loop {
            let batch = next_batch(subscription).await;
            apply(&mut view, &batch);
            if batch.synced {
                break;
            }
        }
    })
    .await;
    view
}

#[tokio::test]
async fn a_subscriber_gets_the_table_and_then_what_changes() {
    let (a, b) = pair(80).await;
    announce(&a, &["10.1.0.0/16", "10.2.0.0/16"]).await;
    has_exactly(&b, &["10.1.0.0/16", "10.2.0.0/16"]).await;
    let mut subscription = b.subscribe();
    let mut view = snapshot(&mut subscription).await;
    assert_eq!(view.keys().copied().collect::<Vec<_>>(), [net("10.1.0.0/16"), net("10.2.0.0/16")]);
    let best = &view[&net("10.1.0.0/16")];
    assert!(matches!(best.source, Source::Peer { address, .. } if address == ip(80, 1)));
    announce(&a, &["10.3.0.0/16"]).await;
    a.withdraw(OWNER, [net("10.1.0.0/16")]).await.unwrap();
    within("the changes", async {
        while view.len() != 2 || view.contains_key(&net("10.1.0.0/16")) {
            apply(&mut view, &next_batch(&mut subscription).await);
        }
    })
    .await;
    assert!(view.contains_key(&net("10.3.0.0/16")));
}

#[tokio::test]
async fn an_empty_table_is_a_whole_snapshot_too() {
    let a = speaker(ip(81, 1)).await;
    assert!(snapshot(&mut a.subscribe()).await.is_empty());
}

#[tokio::test]
async fn a_subscriber_that_sleeps_finds_the_newest_state_once() {
    let a = speaker(ip(82, 1)).await;
    let mut subscription = a.subscribe();
    assert!(snapshot(&mut subscription).await.is_empty());
    for med in 0..200 {
        a.announce(OWNER, [Route::new(net("10.1.0.0/16")).med(med)]).await.unwrap();
    }
    let mut seen = Vec::new();
    within("the newest state", async {
        loop {
            let batch = next_batch(&mut subscription).await;
            for change in batch.changes {
                let best = change.best.expect("it is announced");
                let block = bgp_wire::AttributeBlock::parse(&best.attributes.block).unwrap();
                seen.push(block.med().unwrap());
            }
            if seen.last() == Some(&199) {
                break;
            }
        }
    })
    .await;
    assert!(seen.len() <= 2, "a batch was prepared for it, the rest is one state: {seen:?}");
}

#[tokio::test]
async fn a_stream_ends_with_the_speaker() {
    let a = speaker(ip(83, 1)).await;
    let subscription = a.subscribe();
    let mut events = a.events();
    drop(a);
    let told: Vec<RouteNews> = within("the stream ends", subscription.collect()).await;
    let empty = |news: &RouteNews| matches!(news, RouteNews::Batch(batch) if batch.changes.is_empty());
    assert!(told.iter().all(empty), "{told:?}");
    within("the events end", async { while events.next().await.is_some() {} }).await;
}

#[tokio::test]
async fn a_subscriber_for_which_nothing_more_is_kept_starts_anew_and_misses_no_withdrawal() {
    let a = speaker(ip(85, 1)).await;
    let stays = net("10.0.0.0/8");
    a.announce(OWNER, [Route::new(stays)]).await.unwrap();
    let all = || (0..70_000).map(|n: u32| IpNet::from(IpAddr::from((0xc000_0000 + n).to_be_bytes())));
    a.announce(OWNER, all().map(Route::new)).await.unwrap();
    let mut subscription = a.subscribe();
    let mut view = BTreeMap::new();
    while view.len() < 70_001 {
        apply(&mut view, &next_batch(&mut subscription).await);
    }
    // One that has not read for ten seconds is not reading.
    tokio::time::sleep(Duration::from_millis(10_100)).await;
    a.withdraw(OWNER, all()).await.unwrap();
    let (mut anew, mut revision) = (0, 0);
    within("the table as it is", async {
        loop {
            match subscription.next().await.expect("the speaker runs") {
                RouteNews::StartAnew => {
                    anew += 1;
                    view.clear();
                }
                RouteNews::Batch(batch) => {
                    assert!(batch.revision > revision);
                    revision = batch.revision;
                    apply(&mut view, &batch);
                    if anew > 0 && batch.synced {
                        break;
                    }
                }
            }
        }
    })
    .await;
    assert_eq!((anew, view.into_keys().collect::<Vec<_>>()), (1, vec![stays]));
}

#[tokio::test]
async fn a_dropped_subscription_costs_nothing_more() {
    let a = speaker(ip(84, 1)).await;
    for _ in 0..1000 {
        drop(a.subscribe());
    }
    announce(&a, &["10.1.0.0/16"]).await;
    eventually("the speaker works on", async || a.status().table.prefixes == 1).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
}

/// A peer that tells one route and forwards by it over a restart, played by hand.
async fn told_by_hand(a: &Speaker, from: IpAddr, next_hop: Ipv4Addr) -> Scripted {
    let mut scripted = Scripted::connect(from, listening(a)).await;
    scripted.establish_graceful(ASN, Ipv4Addr::new(192, 0, 2, 77)).await;
    scripted.send(&update(next_hop, ["10.1.0.0/16".parse().unwrap()])).await;
    scripted
}

#[tokio::test]
async fn a_subscriber_is_told_what_is_stale_as_the_session_is_lost_and_as_it_is_told_again() {
    let peer = waiting_for(ip(129, 9), ASN);
    let a = builder(ip(129, 1), ASN).peer(peer).start().await.unwrap();
    let mut subscription = a.subscribe();
    let mut view = snapshot(&mut subscription).await;
    let here = net("10.1.0.0/16");
    let mut until = async |what: &str, stale: bool| {
        within(what, async {
            while view.get(&here).is_none_or(|best| best.stale != stale) {
                apply(&mut view, &next_batch(&mut subscription).await);
            }
        })
        .await;
        view[&here].clone()
    };
    let scripted = told_by_hand(&a, ip(129, 9), Ipv4Addr::new(127, 40, 129, 9)).await;
    until("the route", false).await;
    drop(scripted);
    established(&a, 0).await;
    let kept = until("the mark", true).await;
    assert_eq!(kept.stale_next_hops, kept.next_hops);
    let _scripted = told_by_hand(&a, ip(129, 9), Ipv4Addr::new(127, 40, 129, 9)).await;
    let fresh = until("the same route again", false).await;
    assert_eq!((fresh.attributes, fresh.stale_next_hops), (kept.attributes, vec![]));
}
