//! Full meshes.

use std::collections::BTreeMap;
use std::time::Duration;

use bgp_speaker::{
    Asn, Batch, Desired, Family, FamilySet, Identity, MeshDialer, MeshNode, Password, PathExplanation,
    PathVerdict, PeerClass, Route, Rung, Secret, ShutdownMode, Source, Speaker, State,
};

use crate::support::{
    ASN, OWNER, announce, builder, established, eventually, has_exactly, ip, listening, net, next_batch,
    nodes, peer, peer_of, prefixes, quick, speaker, waiting_for,
};

async fn mesh_of_five(test: u8) -> Vec<Speaker> {
    let mut speakers = Vec::new();
    for node in 1..=5 {
        speakers.push(speaker(ip(test, node)).await);
    }
    let nodes = nodes(&speakers);
    for (i, speaker) in speakers.iter().enumerate() {
        speaker.mesh(&nodes).await.unwrap();
        announce(speaker, &[&format!("10.0.{i}.0/26")]).await;
    }
    for speaker in &speakers {
        established(speaker, 4).await;
        has_exactly(speaker, &["10.0.0.0/26", "10.0.1.0/26", "10.0.2.0/26", "10.0.3.0/26", "10.0.4.0/26"])
            .await;
    }
    speakers
}

#[tokio::test]
async fn five_nodes_learn_every_block() {
    let speakers = mesh_of_five(1).await;
    let status = speakers[2].status();
    assert!(status.peers.iter().all(|p| p.class == PeerClass::NodeToNodeMesh));
    // A session of a mesh carries the family of its addresses: where there are others, there is another session.
    let own_family = FamilySet::of(&[Family::IPV4_UNICAST]);
    assert!(status.peers.iter().all(|p| p.negotiated.as_ref().is_some_and(|n| n.families == own_family)));
    eventually("one prefix is counted for each", async || {
        speakers[2].status().peers.iter().all(|p| p.prefixes.received == 1 && p.prefixes.advertised == 1)
    })
    .await;
}

#[tokio::test]
async fn a_lost_node_takes_its_block_along() {
    let mut speakers = mesh_of_five(2).await;
    speakers.pop().unwrap().shutdown(ShutdownMode::HardReset).await;
    for speaker in &speakers {
        has_exactly(speaker, &["10.0.0.0/26", "10.0.1.0/26", "10.0.2.0/26", "10.0.3.0/26"]).await;
    }
}

#[tokio::test]
async fn a_changed_list_touches_only_what_changed() {
    let mut speakers = mesh_of_five(3).await;
    let before: Vec<_> =
        speakers[0].status().peers.iter().map(|p| (p.address, p.established, p.since)).collect();
    let sixth = speaker(ip(3, 6)).await;
    announce(&sixth, &["10.0.5.0/26"]).await;
    let gone = speakers.remove(4);
    speakers.push(sixth);
    let nodes = nodes(&speakers);
    for speaker in &speakers {
        speaker.mesh(&nodes).await.unwrap();
    }
    gone.shutdown(ShutdownMode::Restart).await;
    for speaker in &speakers {
        established(speaker, 4).await;
        has_exactly(speaker, &["10.0.0.0/26", "10.0.1.0/26", "10.0.2.0/26", "10.0.3.0/26", "10.0.5.0/26"])
            .await;
    }
    let status = speakers[0].status();
    for (address, established, since) in before.into_iter().take(3) {
        let now = status.peer(address).unwrap();
        assert_eq!((now.established, now.since), (established, since), "{address} was disturbed");
    }
}

#[tokio::test]
async fn a_withdrawn_block_goes_everywhere() {
    let speakers = mesh_of_five(4).await;
    speakers[1].withdraw(OWNER, [net("10.0.1.0/26")]).await.unwrap();
    for speaker in &speakers {
        eventually("the block is gone", async || !prefixes(speaker).await.contains(&net("10.0.1.0/26")))
            .await;
        assert_eq!(speaker.status().established(), 4);
    }
}

#[tokio::test]
async fn nodes_of_different_as_exchange_everything() {
    let a = builder(ip(5, 1), Asn(65001)).start().await.unwrap();
    let b = builder(ip(5, 2), Asn(65002)).start().await.unwrap();
    let speakers = [a, b];
    announce(&speakers[0], &["10.1.0.0/26"]).await;
    announce(&speakers[1], &["10.2.0.0/26"]).await;
    let nodes = nodes(&speakers);
    for speaker in &speakers {
        speaker.mesh(&nodes).await.unwrap();
    }
    for speaker in &speakers {
        has_exactly(speaker, &["10.1.0.0/26", "10.2.0.0/26"]).await;
    }
}

#[tokio::test]
async fn nodes_that_follow_calico_meet_when_strings_and_numbers_disagree() {
    // As strings 127.40.6.9 is above 127.40.6.10, as numbers below.
    let mut speakers = Vec::new();
    for node in [9, 10] {
        let builder = builder(ip(6, node), ASN).mesh_dialer(MeshDialer::CalicoString);
        speakers.push(builder.start().await.unwrap());
    }
    let nodes = nodes(&speakers);
    for speaker in &speakers {
        speaker.mesh(&nodes).await.unwrap();
    }
    established(&speakers[0], 1).await;
    assert!(!peer(&speakers[0], ip(6, 10)).passive);
    assert!(peer(&speakers[1], ip(6, 9)).passive);
}

#[tokio::test]
async fn an_added_peer_takes_precedence_over_the_mesh_node_at_its_address() {
    let speakers = [speaker(ip(7, 1)).await, speaker(ip(7, 2)).await];
    let nodes = nodes(&speakers);
    speakers[0].add_peer(waiting_for(ip(7, 2), ASN)).await.unwrap();
    for speaker in &speakers {
        speaker.mesh(&nodes).await.unwrap();
    }
    established(&speakers[0], 1).await;
    assert_eq!(peer(&speakers[0], ip(7, 2)).class, PeerClass::NodeSpecific);
    // Without it the node is a mesh peer again.
    speakers[0].remove_peer(ip(7, 2)).await.unwrap();
    eventually("the mesh session stands", async || {
        let status = speakers[0].status();
        status
            .peer(listening(&speakers[1]).ip())
            .is_some_and(|p| p.class == PeerClass::NodeToNodeMesh && p.state == State::Established)
    })
    .await;
}

/// The last to move is the worst case for those that lean on it: on the way there it reflects late, on the way back it
/// stops early.
#[tokio::test]
async fn a_node_of_the_mesh_becomes_its_reflector_and_a_node_again_and_no_route_is_lost() {
    let all = [speaker(ip(245, 1)).await, speaker(ip(245, 2)).await, speaker(ip(245, 3)).await];
    let blocks = ["10.1.0.0/26", "10.2.0.0/26", "10.3.0.0/26"];
    let desired = |n: usize| Desired {
        routes: BTreeMap::from([(OWNER, vec![Route::new(net(blocks[n]))])]),
        ..Desired::default()
    };
    let meshed = |n: usize| Desired { mesh: nodes(&all), ..desired(n) };
    // As open as in a mesh, and with its families, so that sessions stand.
    let node = |n: usize| {
        let mut peer = peer_of(&all[n]);
        peer.options.families = Some(FamilySet::of(&[Family::IPV4_UNICAST]));
        peer
    };
    let reflecting =
        || Desired { peers: vec![node(1).reflector_client(), node(2).reflector_client()], ..desired(0) };
    let client = |n: usize| Desired { peers: vec![node(0)], ..desired(n) };
    for (n, speaker) in all.iter().enumerate() {
        speaker.apply(meshed(n)).await.unwrap();
    }
    for speaker in &all {
        has_exactly(speaker, &blocks).await;
    }
    let mut changes = all[1].subscribe();
    while !next_batch(&mut changes).await.synced {}
    let sessions = |s: &Speaker| s.status().peers.iter().map(|p| p.established).collect::<Vec<_>>();
    let pause = || tokio::time::sleep(Duration::from_millis(300));

    all[1].apply(client(1)).await.unwrap();
    all[2].apply(client(2)).await.unwrap();
    pause().await;
    all[0].apply(reflecting()).await.unwrap();
    eventually("the reflector is the only way", async || all[1].status().peers.len() == 1).await;

    all[0].apply(meshed(0)).await.unwrap();
    pause().await;
    all[1].apply(meshed(1)).await.unwrap();
    all[2].apply(meshed(2)).await.unwrap();
    eventually("the others have found each other", async || all[1].status().established() == 2).await;
    has_exactly(&all[1], &blocks).await;
    while let Ok(batch) = tokio::time::timeout(Duration::from_millis(200), next_batch(&mut changes)).await {
        assert!(batch.changes.iter().all(|c| c.best.is_some()), "a route was gone for a moment: {batch:?}");
    }
    assert_eq!(sessions(&all[0]), [1, 1], "sessions with the reflector stand");

    // It goes on reflecting, but not under a name that it has no more.
    let mut renamed = nodes(&all);
    renamed.iter_mut().for_each(|node| node.asn = Asn(65099));
    for (n, speaker) in all.iter().enumerate() {
        let identity = Identity { asn: Asn(65099), router_id: speaker.status().router_id };
        let desired = Desired { identity: Some(identity), mesh: renamed.clone(), ..desired(n) };
        speaker.apply(desired).await.unwrap();
    }
    for speaker in &all {
        established(speaker, 2).await;
    }
}

/// Complaint 11: two nodes that were given one block by mistake.
#[tokio::test]
async fn a_block_that_two_nodes_announce_shows_both_and_outlives_either() {
    let mut speakers = mesh_of_five(134).await;
    for twin in &speakers[3..] {
        announce(twin, &["10.77.0.0/26"]).await;
    }
    let last = speakers.pop().unwrap();
    let at = |speaker: &Speaker| listening(speaker).ip();
    let (first, second) = (at(&speakers[3]), at(&last));
    let shown = async |speaker: &Speaker| {
        let explained = speaker.explain(net("10.77.0.0/26")).await.unwrap();
        let paths = explained.map_or_else(Vec::new, |explained| explained.paths);
        let from = |path: &PathExplanation| match path.source {
            Source::Peer { address, .. } => Some((address, path.verdict)),
            _ => None,
        };
        paths.iter().filter_map(from).collect::<Vec<_>>()
    };
    for witness in &speakers[..3] {
        let both = [(first, PathVerdict::Best), (second, PathVerdict::Lost(Rung::RouterId))];
        eventually("both are shown, with the step that decided", async || shown(witness).await == both).await;
    }
    speakers.remove(3).shutdown(ShutdownMode::HardReset).await;
    for witness in &speakers {
        let one = [(second, PathVerdict::Best)];
        eventually("the other one is left", async || shown(witness).await == one).await;
    }
}

/// What was applied stands until something else is said of it.
#[tokio::test]
async fn a_list_of_nodes_and_another_password_go_on_from_the_options_that_were_applied() {
    let a = speaker(ip(32, 1)).await;
    let secret = |text: &str| Secret::from(Password::new(text).unwrap());
    let node = |last: u8| MeshNode::new(format!("n{last}"), ip(32, last), ASN);
    let (two, three) = ([node(1), node(2)], [node(1), node(2), node(3)]);
    let mut options = quick();
    options.password = Some(secret("first"));
    let mut desired = Desired { mesh: two.to_vec(), mesh_options: Some(options), ..Desired::default() };
    a.apply(desired.clone()).await.unwrap();
    a.mesh(&two).await.unwrap();
    assert_eq!(a.apply(desired.clone()).await.unwrap().changes, [], "the sessions kept their password");
    a.set_mesh_password(Some(secret("second"))).await.unwrap();
    a.update(Batch { nodes: vec![node(3)], ..Batch::default() }).await.unwrap();
    desired.mesh = three.to_vec();
    desired.mesh_options.as_mut().unwrap().password = Some(secret("second"));
    assert_eq!(a.apply(desired).await.unwrap().changes, [], "who joined later has the later password");
}
