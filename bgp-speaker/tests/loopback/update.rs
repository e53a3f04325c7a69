//! Changes told one by one: what they do, what they say, what they cost, and that the whole state goes on from there.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use bgp_speaker::{
    Batch, Change, ChangeClass, Desired, MeshNode, OwnerId, PeerClass, RangeConfig, Route, SessionOptions,
    Speaker, SpeakerError, Subject,
};

use crate::support::{
    ASN, OWNER, builder, connect, established, has_exactly, ip, net, next_batch, nodes, peer, peer_of,
    speaker, waiting_for,
};

fn words(changes: &[Change]) -> Vec<String> {
    changes.iter().map(ToString::to_string).collect()
}

fn routes(prefixes: &[&str]) -> BTreeMap<OwnerId, Vec<Route>> {
    BTreeMap::from([(OWNER, prefixes.iter().map(|p| Route::new(net(p))).collect())])
}

#[tokio::test]
async fn a_node_joins_a_mesh_and_leaves_it_and_nobody_else_is_touched() {
    let speakers = [speaker(ip(180, 1)).await, speaker(ip(180, 2)).await, speaker(ip(180, 3)).await];
    let all = nodes(&speakers);
    for speaker in &speakers[..2] {
        // The first ones include the node itself.
        let batch = Batch { nodes: all[..2].to_vec(), ..Batch::default() };
        assert_eq!(speaker.update(batch).await.unwrap().changes.len(), 1);
    }
    established(&speakers[0], 1).await;
    let since = peer(&speakers[0], ip(180, 2)).since;
    speakers[2].mesh(&all).await.unwrap();
    for speaker in &speakers[..2] {
        let batch = Batch { nodes: vec![all[2].clone()], ..Batch::default() };
        let report = speaker.update(batch.clone()).await.unwrap();
        assert_eq!(words(&report.changes), ["peer 127.40.180.3: added (hard)"]);
        assert!(speaker.update(batch).await.unwrap().changes.is_empty(), "it is there already");
    }
    established(&speakers[0], 2).await;
    let whole = Desired { mesh: all, ..Desired::default() };
    assert_eq!(speakers[0].apply(whole).await.unwrap().changes, [], "the whole list says the same");
    let batch = Batch { nodes_gone: vec![ip(180, 3), ip(180, 9)], ..Batch::default() };
    let report = speakers[0].update(batch).await.unwrap();
    assert_eq!(words(&report.changes), ["peer 127.40.180.3: removed (hard)"]);
    assert_eq!(peer(&speakers[0], ip(180, 2)).since, since);
    assert_eq!(peer(&speakers[0], ip(180, 2)).class, PeerClass::NodeToNodeMesh);
}

#[tokio::test]
async fn peers_ranges_and_routes_change_in_one_call() {
    let (a, b) = (speaker(ip(181, 1)).await, speaker(ip(181, 2)).await);
    connect(&a, &b).await;
    let range = RangeConfig::new(net("127.41.0.0/24"), ASN);
    let mut first = routes(&["10.1.0.0/16", "10.2.0.0/16"]);
    first.insert(OwnerId(9), vec![Route::new(net("10.2.0.0/16"))]);
    a.update(Batch { ranges: vec![range.clone()], announced: first, ..Batch::default() }).await.unwrap();
    has_exactly(&b, &["10.1.0.0/16", "10.2.0.0/16"]).await;
    let mut changed = waiting_for(ip(181, 2), ASN);
    changed.options.timers.connect_retry = Duration::from_secs(17);
    let report = a
        .update(Batch {
            peers: vec![changed.clone(), waiting_for(ip(181, 3), ASN)],
            ranges: vec![RangeConfig { limit: 7, ..range.clone() }],
            announced: BTreeMap::from([(OWNER, vec![Route::new(net("10.1.0.0/16")).med(5)])]),
            withdrawn: BTreeMap::from([(OWNER, vec![net("10.2.0.0/16"), net("10.7.0.0/16")])]),
            ..Batch::default()
        })
        .await
        .unwrap();
    assert_eq!(
        words(&report.changes),
        [
            "peer 127.40.181.2: changed: connect-retry time (none)",
            "peer 127.40.181.3: added (hard)",
            "listen range 127.41.0.0/24: changed, for peers to come; see those that came through it (none)",
            "route 10.1.0.0/16 of owner 1: attributes changed (soft)",
            "route 10.2.0.0/16 of owner 1: withdrawn (soft)",
        ]
    );
    // The other owner still holds it.
    has_exactly(&b, &["10.1.0.0/16", "10.2.0.0/16"]).await;
    let report = a
        .update(Batch {
            peers_gone: vec![ip(181, 3).into(), ip(181, 4).into()],
            ranges_gone: vec![range.prefix, net("127.42.0.0/24")],
            withdrawn: BTreeMap::from([(OwnerId(9), vec![net("10.2.0.0/16")])]),
            ..Batch::default()
        })
        .await
        .unwrap();
    assert_eq!(
        words(&report.changes),
        [
            "peer 127.40.181.3: removed (hard)",
            "listen range 127.41.0.0/24: removed (none)",
            "route 10.2.0.0/16 of owner 9: withdrawn (soft)",
        ]
    );
    has_exactly(&b, &["10.1.0.0/16"]).await;
    let whole = Desired {
        peers: vec![changed],
        routes: BTreeMap::from([(OWNER, vec![Route::new(net("10.1.0.0/16")).med(5)])]),
        ..Desired::default()
    };
    assert_eq!(a.apply(whole).await.unwrap().changes, [], "the whole state is what the steps led to");
}

#[tokio::test]
async fn a_batch_with_a_mistake_changes_nothing() {
    let a = speaker(ip(182, 1)).await;
    let node = |n: u8| MeshNode::new(format!("n{n}"), ip(182, n), ASN);
    let good = Batch { announced: routes(&["10.1.0.0/16"]), ..Batch::default() };
    let twice = vec![waiting_for(ip(182, 2), ASN), waiting_for(ip(182, 2), ASN)];
    let refused = a.update(Batch { peers: twice, ..good.clone() }).await;
    assert_eq!(refused, Err(SpeakerError::DuplicatePeer(ip(182, 2).into())));
    let refused = a.update(Batch { nodes: vec![node(2)], ..good.clone() }).await;
    assert_eq!(refused, Err(SpeakerError::NotInMesh));
    let nodes = vec![node(1), node(2).port(0)];
    let refused = a.update(Batch { nodes, ..good.clone() }).await;
    assert_eq!(refused, Err(SpeakerError::ZeroPort(ip(182, 2))));
    has_exactly(&a, &[]).await;
    assert!(a.status().peers.is_empty());
    assert_eq!(a.update(good).await.unwrap().class(), ChangeClass::Soft);
}

/// What is learned from the kernel has an owner as well.
#[tokio::test]
async fn the_owner_of_what_is_learned_is_nobody_elses() {
    let a = speaker(ip(244, 1)).await;
    let (learned, block) = (OwnerId(u32::MAX), net("10.1.0.0/16"));
    let of_it = BTreeMap::from([(learned, vec![Route::new(block)])]);
    let refused = Err(SpeakerError::ReservedOwner);
    assert_eq!(a.announce(learned, [Route::new(block)]).await, refused);
    assert_eq!(a.withdraw(learned, [block]).await, refused);
    let batch = Batch { announced: of_it.clone(), ..Batch::default() };
    assert_eq!(a.update(batch).await.err(), refused.clone().err());
    let desired = Desired { routes: of_it, ..Desired::default() };
    assert_eq!(a.apply(desired).await.err(), refused.err());
    has_exactly(&a, &[]).await;
}

#[tokio::test]
async fn a_mesh_gives_way_to_a_reflector_step_by_step_and_no_route_is_lost() {
    let reflector = speaker(ip(183, 1)).await;
    let range = RangeConfig::new(net("127.40.183.0/24"), ASN).reflector_clients();
    reflector.update(Batch { ranges: vec![range], ..Batch::default() }).await.unwrap();
    let speakers = [speaker(ip(183, 2)).await, speaker(ip(183, 3)).await];
    let blocks = ["10.2.0.0/26", "10.3.0.0/26"];
    for (speaker, block) in speakers.iter().zip(blocks) {
        let batch = Batch { nodes: nodes(&speakers), announced: routes(&[block]), ..Batch::default() };
        speaker.update(batch).await.unwrap();
    }
    has_exactly(&speakers[0], &blocks).await;
    let mut changes = speakers[0].subscribe();
    while !next_batch(&mut changes).await.synced {}
    for speaker in &speakers {
        let batch = Batch {
            nodes_gone: vec![ip(183, 2), ip(183, 3)],
            peers: vec![peer_of(&reflector)],
            ..Batch::default()
        };
        let report = speaker.update(batch).await.unwrap();
        assert!(words(&report.changes)[0].contains("as soon as the new peers have told"), "{report:?}");
    }
    for speaker in &speakers {
        crate::support::eventually("only the reflector is left", async || {
            speaker.status().peers.len() == 1 && speaker.status().established() == 1
        })
        .await;
    }
    while let Ok(batch) = tokio::time::timeout(Duration::from_millis(200), next_batch(&mut changes)).await {
        assert!(batch.changes.iter().all(|c| c.best.is_some()), "a route was gone for a moment: {batch:?}");
    }
}

/// A mesh node of five thousand peers that all wait.
async fn large_mesh(test: u8, size: u16) -> (Speaker, Vec<MeshNode>) {
    let own = IpAddr::from([127, 40, test, 1]);
    let node = |n: u16| {
        let [high, low] = n.to_be_bytes();
        MeshNode::new(format!("n{n}"), IpAddr::from([126, 255 - high, low, 9]), ASN)
    };
    let mut all = vec![MeshNode::new("this", own, ASN)];
    all.extend((0..size).map(node));
    // Sessions that wait for a BFD that says nothing dial nobody.
    let options = SessionOptions { bfd_strict: true, ..SessionOptions::default() };
    let speaker = builder(own, ASN).mesh_options(options).start().await.expect("the speaker starts");
    (speaker, all)
}

fn median(mut runs: Vec<Duration>) -> Duration {
    runs.sort_unstable();
    runs[runs.len() / 2]
}

/// A change of one node costs what one node costs, however many others there are.
#[tokio::test]
async fn one_node_among_five_thousand_costs_one_node() {
    let (speaker, all) = large_mesh(184, 5000).await;
    let (last, most) = all.split_last().expect("there are nodes");
    speaker.update(Batch { nodes: most.to_vec(), ..Batch::default() }).await.unwrap();
    assert_eq!(speaker.status().peers.len(), 4999);
    let (mut by_update, mut by_apply) = (Vec::new(), Vec::new());
    let address = last.addresses[0];
    for _ in 0..5 {
        let steps = [
            Batch { nodes: vec![last.clone()], ..Batch::default() },
            Batch { nodes_gone: vec![address], ..Batch::default() },
        ];
        for batch in steps {
            let begun = Instant::now();
            let report = speaker.update(batch).await.unwrap();
            by_update.push(begun.elapsed());
            assert_eq!(report.changes.len(), 1);
            assert_eq!(report.changes[0].subject, Subject::Peer(address.into()));
        }
        for nodes in [&all[..], most] {
            let desired = Desired { mesh: nodes.to_vec(), ..Desired::default() };
            let begun = Instant::now();
            let report = speaker.apply(desired).await.unwrap();
            by_apply.push(begun.elapsed());
            assert_eq!(report.changes.len(), 1);
        }
    }
    let (update, apply) = (median(by_update), median(by_apply));
    #[allow(clippy::print_stdout, reason = "the figure is what the test is run by hand for")]
    {
        println!("a change of one node at 5000 peers: update {update:?}, apply {apply:?}");
    }
    assert!(update * 3 < apply, "update {update:?} costs like apply {apply:?}");
    speaker.shutdown(bgp_speaker::ShutdownMode::Restart).await;
}
