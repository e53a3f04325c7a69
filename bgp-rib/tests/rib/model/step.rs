//! What can be done in one step.

use proptest::prelude::*;

use super::scene::{PEERS, SETS};
use crate::naive_policy::POLICIES;

/// What can be done in one step.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Announce { peer: u8, path: u8, prefixes: u8, attributes: u8, next_hop: u8 },
    Withdraw { peer: u8, path: u8, prefixes: u8 },
    Up { peer: u8, variant: u8 },
    Down { peer: u8, stale: bool },
    EndOfRib { peer: u8, v6: bool },
    RefreshFromPeer { peer: u8, v6: bool },
    Begin { peer: u8, v6: bool },
    End { peer: u8, v6: bool },
    Originate { owner: u8, prefixes: u8, attributes: u8 },
    Aggregate { owner: u8, prefixes: u8, always: bool, suppress: bool, except: u8 },
    Unoriginate { owner: u8, prefixes: u8 },
    NextHop { which: u8, metric: Option<u8> },
    SetPolicy { peer: u8, import: Option<u8>, export: Option<u8> },
    Swaps { peer: u8, exports: [u8; 3], reads: [u8; 2] },
    Change { peer: u8, client: bool, cluster: bool, leaving: bool, next_hop: u8 },
    Border { peer: u8, private: u8, own_as: u8, flags: u8 },
    Ways { most: u8, internal: Option<u8>, relax: bool },
    Decide { always: bool, worst: bool, oldest: bool },
    Rename { other_as: bool, other_id: bool, cluster: bool },
    Vrps { announced: u8, withdrawn: u8 },
    Again { peer: u8, variant: u8 },
    Bound { peer: u8, v6: bool, most: Option<u8> },
    Follow { most: u8 },
    Read { peer: u8 },
    Drain { peer: u8 },
    Tick,
    Later { seconds: u16 },
    Defer { on: bool, selection: bool },
    Settle,
}

/// Any of them.
pub(super) fn step() -> impl Strategy<Value = Step> {
    let peer = 1..=PEERS;
    prop_oneof![
        12 => (peer.clone(), 0..2u8, any::<u8>(), 0..SETS, 0..10u8).prop_map(
            |(peer, path, prefixes, attributes, next_hop)| Step::Announce { peer, path, prefixes, attributes, next_hop }
        ),
        6 => (peer.clone(), 0..2u8, any::<u8>()).prop_map(|(peer, path, prefixes)| Step::Withdraw { peer, path, prefixes }),
        4 => (peer.clone(), 0..2u8).prop_map(|(peer, variant)| Step::Up { peer, variant }),
        2 => (peer.clone(), any::<bool>()).prop_map(|(peer, stale)| Step::Down { peer, stale }),
        2 => (peer.clone(), any::<bool>()).prop_map(|(peer, v6)| Step::EndOfRib { peer, v6 }),
        2 => (peer.clone(), any::<bool>()).prop_map(|(peer, v6)| Step::RefreshFromPeer { peer, v6 }),
        2 => (peer.clone(), any::<bool>()).prop_map(|(peer, v6)| Step::Begin { peer, v6 }),
        2 => (peer.clone(), any::<bool>()).prop_map(|(peer, v6)| Step::End { peer, v6 }),
        2 => (0..3u8, any::<u8>(), 0..SETS).prop_map(|(owner, prefixes, attributes)| Step::Originate { owner, prefixes, attributes }),
        2 => (0..3u8, prop_oneof![Just(16u8), Just(128), any::<u8>()], any::<bool>(), any::<bool>(), 0..POLICIES)
            .prop_map(|(owner, prefixes, always, suppress, except)| Step::Aggregate { owner, prefixes, always, suppress, except }),
        2 => (0..3u8, any::<u8>()).prop_map(|(owner, prefixes)| Step::Unoriginate { owner, prefixes }),
        1 => (0..10u8, proptest::option::of(prop_oneof![6 => 0..3u8, 1 => Just(u8::MAX)])).prop_map(|(which, metric)| Step::NextHop { which, metric }),
        3 => (peer.clone(), proptest::option::of(0..POLICIES), proptest::option::of(0..POLICIES))
            .prop_map(|(peer, import, export)| Step::SetPolicy { peer, import, export }),
        2 => (peer.clone(), prop::array::uniform3(0..POLICIES), prop::array::uniform2(0..6u8))
            .prop_map(|(peer, exports, reads)| Step::Swaps { peer, exports, reads }),
        2 => (peer.clone(), any::<bool>(), any::<bool>(), prop::bool::weighted(0.2), 0..5u8)
            .prop_map(|(peer, client, cluster, leaving, next_hop)| Step::Change { peer, client, cluster, leaving, next_hop }),
        5 => (peer.clone(), 0..4u8, 0..3u8, any::<u8>())
            .prop_map(|(peer, private, own_as, flags)| Step::Border { peer, private, own_as, flags }),
        1 => (1..4u8, proptest::option::of(1..4u8), any::<bool>())
            .prop_map(|(most, internal, relax)| Step::Ways { most, internal, relax }),
        1 => (any::<bool>(), any::<bool>(), prop::bool::weighted(0.2))
            .prop_map(|(always, worst, oldest)| Step::Decide { always, worst, oldest }),
        1 => any::<[bool; 3]>()
            .prop_map(|[other_as, other_id, cluster]| Step::Rename { other_as, other_id, cluster }),
        2 => any::<[u8; 2]>().prop_map(|[announced, withdrawn]| Step::Vrps { announced, withdrawn }),
        1 => (peer.clone(), 0..2u8).prop_map(|(peer, variant)| Step::Again { peer, variant }),
        2 => (peer.clone(), any::<bool>(), proptest::option::of(0..5u8))
            .prop_map(|(peer, v6, most)| Step::Bound { peer, v6, most }),
        1 => (1..4u8).prop_map(|most| Step::Follow { most }),
        8 => peer.clone().prop_map(|peer| Step::Read { peer }),
        8 => peer.prop_map(|peer| Step::Drain { peer }),
        2 => Just(Step::Tick),
        2 => prop_oneof![Just(30), Just(70), Just(400)].prop_map(|seconds| Step::Later { seconds }),
        1 => any::<(bool, bool)>().prop_map(|(on, selection)| Step::Defer { on, selection }),
        3 => Just(Step::Settle),
    ]
}
