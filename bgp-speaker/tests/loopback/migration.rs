//! From a mesh to reflectors and back, when what is to come does not.

use std::collections::BTreeMap;
use std::time::Duration;

use bgp_speaker::{ClusterId, Desired, RangeConfig, Route, Speaker, SpeakerError, State};

use crate::support::{
    ASN, OWNER, builder, established, eventually, has_exactly, ip, net, next_batch, nodes, peer, peer_of,
    prefixes, speaker,
};

const BLOCKS: [&str; 2] = ["10.2.0.0/26", "10.3.0.0/26"];
/// Short, and long enough for a session and a table on a loaded machine to come second.
const PATIENCE: Duration = Duration::from_millis(300);

fn desired(n: usize) -> Desired {
    Desired {
        routes: BTreeMap::from([(OWNER, vec![Route::new(net(BLOCKS[n]))])]),
        migration_patience: Some(PATIENCE),
        ..Desired::default()
    }
}

/// Two nodes of a mesh that both are told to go to a reflector which takes nobody yet.
async fn waiting(test: u8) -> ([Speaker; 2], Speaker) {
    let reflector = speaker(ip(test, 1)).await;
    let speakers = [speaker(ip(test, 2)).await, speaker(ip(test, 3)).await];
    for (n, speaker) in speakers.iter().enumerate() {
        speaker.apply(Desired { mesh: nodes(&speakers), ..desired(n) }).await.unwrap();
    }
    for speaker in &speakers {
        has_exactly(speaker, &BLOCKS).await;
    }
    for (n, speaker) in speakers.iter().enumerate() {
        speaker.apply(Desired { peers: vec![peer_of(&reflector)], ..desired(n) }).await.unwrap();
    }
    for speaker in &speakers {
        eventually("it is said that nothing replaces the mesh", async || {
            speaker.status().migration.as_ref().is_some_and(|migration| migration.held)
        })
        .await;
    }
    (speakers, reflector)
}

#[tokio::test]
async fn the_mesh_stays_for_as_long_as_no_reflector_has_told_its_table() {
    let (speakers, reflector) = waiting(52).await;
    let mut changes = speakers[0].subscribe();
    while !next_batch(&mut changes).await.synced {}
    // Many times the patience, and longer than old peers stay when all is well.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let status = speakers[0].status();
    let migration = status.migration.as_ref().unwrap();
    assert!(migration.held);
    assert_eq!((migration.staying.len(), migration.awaited.len()), (1, 1));
    assert_eq!((migration.staying[0], migration.awaited[0]), (ip(52, 3).into(), ip(52, 1).into()));
    let staying = status.peer(ip(52, 3)).unwrap();
    assert_eq!(staying.state, State::Established);
    assert!(staying.info.contains("stays until the peers that take its place"), "{}", staying.info);
    // What else changes meanwhile does not end it.
    let further = Desired {
        peers: vec![peer_of(&reflector)],
        local_addresses: Some(vec![ip(52, 77)]),
        cluster_id: Some(ClusterId(3)),
        ..desired(0)
    };
    speakers[0].apply(further).await.unwrap();
    assert_eq!(speakers[0].status().peers.len(), 2);

    let range = RangeConfig::new(net("127.40.52.0/24"), ASN).reflector_clients();
    reflector.add_listen_range(range).await.unwrap();
    eventually("only the reflector is left", async || {
        speakers.iter().all(|s| s.status().peers.len() == 1 && s.status().established() == 1)
    })
    .await;
    assert_eq!(speakers[0].status().migration, None);
    has_exactly(&speakers[0], &BLOCKS).await;
    while let Ok(batch) = tokio::time::timeout(Duration::from_millis(200), next_batch(&mut changes)).await {
        assert!(batch.changes.iter().all(|c| c.best.is_some()), "a route was gone for a moment: {batch:?}");
    }
}

#[tokio::test]
async fn who_turns_back_finds_the_mesh_as_it_was() {
    let (speakers, _reflector) = waiting(53).await;
    for (n, speaker) in speakers.iter().enumerate() {
        speaker.apply(Desired { mesh: nodes(&speakers), ..desired(n) }).await.unwrap();
    }
    eventually("the reflector that never came goes", async || {
        speakers.iter().all(|s| s.status().migration.is_none() && s.status().peers.len() == 1)
    })
    .await;
    let other = peer(&speakers[0], ip(53, 3));
    assert_eq!((other.state, other.established), (State::Established, 1));
    assert!(!other.info.contains("stays"), "{}", other.info);
    has_exactly(&speakers[0], &BLOCKS).await;
}

#[tokio::test]
async fn a_peer_that_only_stays_can_be_let_go() {
    let (speakers, reflector) = waiting(54).await;
    speakers[0].remove_peer(ip(54, 3)).await.unwrap();
    assert!(speakers[0].status().peer(ip(54, 3)).is_none());
    eventually("its route is gone", async || prefixes(&speakers[0]).await.len() == 1).await;
    // Where nothing at all is wanted, nothing is waited for.
    speakers[1].apply(desired(1)).await.unwrap();
    assert!(speakers[1].status().peers.is_empty());
    assert_eq!(speakers[1].status().migration, None);
    let mesh = nodes(&[speakers[0].clone(), reflector]);
    speakers[0].apply(Desired { mesh, ..desired(0) }).await.unwrap();
    let refused = speakers[0].remove_peer(ip(54, 1)).await;
    assert_eq!(refused, Err(SpeakerError::UnknownPeer(ip(54, 1).into())), "a node goes with the mesh");
}

/// The reflector is configured first, everywhere, and the mesh is switched off in a second step.
#[tokio::test]
async fn a_mesh_that_is_switched_off_waits_for_the_reflector_that_was_to_be_there() {
    let reflector = speaker(ip(55, 1)).await;
    let speakers = [speaker(ip(55, 2)).await, speaker(ip(55, 3)).await];
    for step in 0..2 {
        for (n, speaker) in speakers.iter().enumerate() {
            let mesh = if step == 0 { nodes(&speakers) } else { Vec::new() };
            let peers = vec![peer_of(&reflector)];
            speaker.apply(Desired { mesh, peers, ..desired(n) }).await.unwrap();
        }
        for speaker in &speakers {
            has_exactly(speaker, &BLOCKS).await;
        }
    }
    tokio::time::sleep(Duration::from_millis(2500)).await;
    has_exactly(&speakers[0], &BLOCKS).await;
    assert!(speakers[0].status().migration.as_ref().is_some_and(|migration| migration.held));
    let range = RangeConfig::new(net("127.40.55.0/24"), ASN).reflector_clients();
    reflector.add_listen_range(range).await.unwrap();
    eventually("only the reflector is left", async || {
        speakers.iter().all(|s| s.status().peers.len() == 1 && s.status().established() == 1)
    })
    .await;
    has_exactly(&speakers[0], &BLOCKS).await;
}

/// One of two reflectors never comes up: the other is enough, after its time.
#[tokio::test]
async fn one_of_two_reflectors_is_enough() {
    let reflector = speaker(ip(56, 1)).await;
    let range = RangeConfig::new(net("127.40.56.0/24"), ASN).reflector_clients();
    reflector.add_listen_range(range).await.unwrap();
    let speakers = [speaker(ip(56, 2)).await, builder(ip(56, 3), ASN).start().await.unwrap()];
    for (n, speaker) in speakers.iter().enumerate() {
        speaker.apply(Desired { mesh: nodes(&speakers), ..desired(n) }).await.unwrap();
    }
    established(&speakers[0], 1).await;
    for (n, speaker) in speakers.iter().enumerate() {
        let mut never = peer_of(&reflector);
        never.address = ip(56, 9);
        let patience = Some(Duration::from_secs(1));
        let moved =
            Desired { peers: vec![peer_of(&reflector), never], migration_patience: patience, ..desired(n) };
        speaker.apply(moved).await.unwrap();
    }
    eventually("the mesh session has gone", async || {
        speakers.iter().all(|s| s.status().migration.is_none() && s.status().peers.len() == 2)
    })
    .await;
    has_exactly(&speakers[0], &BLOCKS).await;
}

/// The nodes hear of the change one after the other, with a pause in between.
#[tokio::test]
async fn a_node_that_moves_late_is_not_lost_to_those_that_have_moved() {
    let reflector = speaker(ip(58, 1)).await;
    let range = RangeConfig::new(net("127.40.58.0/24"), ASN).reflector_clients();
    reflector.add_listen_range(range).await.unwrap();
    let speakers = [speaker(ip(58, 2)).await, speaker(ip(58, 3)).await];
    let desired = |n: usize| Desired { migration_patience: None, ..desired(n) };
    for (n, speaker) in speakers.iter().enumerate() {
        speaker.apply(Desired { mesh: nodes(&speakers), ..desired(n) }).await.unwrap();
    }
    has_exactly(&speakers[0], &BLOCKS).await;
    let mut changes = speakers[0].subscribe();
    while !next_batch(&mut changes).await.synced {}
    speakers[0].apply(Desired { peers: vec![peer_of(&reflector)], ..desired(0) }).await.unwrap();
    eventually("the reflector is there, and not all that is needed", async || {
        speakers[0].status().migration.as_ref().is_some_and(|m| m.needed && m.awaited.is_empty() && !m.held)
    })
    .await;
    // Longer than old peers stay when all is well.
    tokio::time::sleep(Duration::from_secs(4)).await;
    has_exactly(&speakers[0], &BLOCKS).await;
    speakers[1].apply(Desired { peers: vec![peer_of(&reflector)], ..desired(1) }).await.unwrap();
    eventually("only the reflector is left", async || {
        speakers.iter().all(|s| s.status().peers.len() == 1 && s.status().established() == 1)
    })
    .await;
    while let Ok(batch) = tokio::time::timeout(Duration::from_millis(200), next_batch(&mut changes)).await {
        assert!(batch.changes.iter().all(|c| c.best.is_some()), "a route was gone for a moment: {batch:?}");
    }
    has_exactly(&speakers[0], &BLOCKS).await;
}
