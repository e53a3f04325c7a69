//! Nodes, reflectors and routers, wired by rules over all of them.

use std::collections::BTreeMap;
use std::time::Duration;

use bgp_speaker::{
    Batch, ClusterId, Desired, MeshNode, NodeSelector, PeerClass, Peering, Route, Speaker, SpeakerError,
};
use bgp_wire::AttributeBlock;

use crate::quick::quick;
use crate::support::{
    ASN, OWNER, established, eventually, has_exactly, ip, net, next_batch, nodes, peer, speaker, waiting_for,
};

/// Everybody peers with reflectors, by whatever label says who is one.
fn reflection() -> Peering {
    Peering::between(NodeSelector::All, NodeSelector::Has("reflector".into())).options(quick())
}

fn desired(n: usize, nodes: &[MeshNode], block: &str) -> Desired {
    assert!(n < nodes.len());
    Desired {
        mesh: nodes.to_vec(),
        peerings: vec![reflection()],
        routes: BTreeMap::from([(OWNER, vec![Route::new(net(block))])]),
        ..Desired::default()
    }
}

/// One node of a mesh is labelled, in a list that reaches each node at another moment; in the end the mesh is switched off.
#[tokio::test]
async fn a_mesh_moves_behind_one_of_its_nodes_by_labels_and_no_route_is_lost() {
    let all: Vec<Speaker> =
        vec![speaker(ip(50, 1)).await, speaker(ip(50, 2)).await, speaker(ip(50, 3)).await];
    let blocks = ["10.1.0.0/26", "10.2.0.0/26", "10.3.0.0/26"];
    let plain = nodes(&all);
    for (n, speaker) in all.iter().enumerate() {
        speaker.apply(desired(n, &plain, blocks[n])).await.unwrap();
    }
    for speaker in &all {
        established(speaker, 2).await;
        has_exactly(speaker, &blocks).await;
    }
    let mut changes = all[1].subscribe();
    while !next_batch(&mut changes).await.synced {}

    let mut labelled = plain.clone();
    labelled[0] = labelled[0].clone().reflector(ClusterId(77)).label("reflector", "");
    for speaker in [&all[2], &all[0], &all[1]] {
        let batch = Batch { nodes: vec![labelled[0].clone()], ..Batch::default() };
        speaker.update(batch).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(all[0].status().cluster_id, Some(ClusterId(77)));
    assert!(
        all[0].status().peers.iter().all(|peer| peer.reflector_client && peer.class == PeerClass::Global)
    );
    assert_eq!(peer(&all[1], ip(50, 1)).class, PeerClass::Global);
    for (n, speaker) in all.iter().enumerate() {
        let off = Desired { mesh_off: true, ..desired(n, &labelled, blocks[n]) };
        speaker.apply(off).await.unwrap();
    }
    eventually("clients have the reflector alone", async || {
        all[1..].iter().all(|client| client.status().peers.len() == 1)
    })
    .await;
    has_exactly(&all[1], &blocks).await;
    let clusters = async || {
        let explained = all[1].explain(net(blocks[2])).await.unwrap().unwrap();
        let block = AttributeBlock::parse(&explained.paths[0].attributes.block).unwrap();
        block.cluster_list().iter().collect::<Vec<_>>()
    };
    assert_eq!(clusters().await, [ClusterId(77)]);
    while let Ok(batch) = tokio::time::timeout(Duration::from_millis(200), next_batch(&mut changes)).await {
        assert!(batch.changes.iter().all(|c| c.best.is_some()), "a route was gone for a moment: {batch:?}");
    }
    let sessions = |s: &Speaker| s.status().peers.iter().map(|p| p.established).collect::<Vec<_>>();
    assert_eq!(sessions(&all[0]), [1, 1], "its sessions stand");
    for (n, speaker) in all.iter().enumerate() {
        let off = Desired { mesh_off: true, ..desired(n, &labelled, blocks[n]) };
        assert!(speaker.apply(off).await.unwrap().changes.is_empty());
    }
}

#[tokio::test]
async fn a_peer_of_its_own_comes_before_every_rule_for_its_address() {
    let all = [speaker(ip(51, 1)).await, speaker(ip(51, 2)).await];
    let mut listed = nodes(&all);
    listed[1] = listed[1].clone().label("reflector", "").reflector(ClusterId(5));
    let mut first = desired(0, &listed, "10.1.0.0/26");
    first.peers = vec![waiting_for(ip(51, 2), ASN)];
    all[0].apply(first.clone()).await.unwrap();
    all[1].apply(desired(1, &listed, "10.2.0.0/26")).await.unwrap();
    // By the rule the higher address dials, and it is what the peer waits for.
    established(&all[0], 1).await;
    assert_eq!(peer(&all[0], ip(51, 2)).class, PeerClass::NodeSpecific);
    first.peers.clear();
    all[0].apply(first).await.unwrap();
    let now = peer(&all[0], ip(51, 2));
    assert_eq!((now.class, now.established), (PeerClass::Global, 1), "the session stands under the rule");
    // Rules over nodes that are not listed would be nobody's.
    let unlisted = Desired { mesh: Vec::new(), ..desired(0, &listed, "10.1.0.0/26") };
    assert_eq!(all[0].apply(unlisted).await, Err(SpeakerError::NotInMesh));
    established(&all[0], 1).await;
    // The node list alone, by the call for it: a node says by itself that it reflects.
    let mut swapped = listed.clone();
    swapped[0] = swapped[0].clone().reflector(ClusterId(9));
    all[0].mesh(&swapped).await.unwrap();
    assert_eq!(all[0].status().cluster_id, Some(ClusterId(9)));
    assert!(peer(&all[0], ip(51, 2)).reflector_client, "reflectors of two clusters are each other's clients");
    established(&all[0], 1).await;
}
