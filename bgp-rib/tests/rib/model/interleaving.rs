//! Any interleaving of the same updates ends in the same tables.

use std::collections::BTreeMap;

use bgp_rib::{DecisionOptions, PeerId, RouteFilter, Source};
use ipnet::IpNet;
use proptest::prelude::*;
use proptest::sample::Index;

use super::scene::{PEERS, SETS, prefixes};
use super::step::Step;
use super::world::World;
use crate::support::*;

/// What one peer says in one message.
#[derive(Clone, Copy, Debug)]
enum Said {
    Announce { path: u8, prefixes: u8, attributes: u8, next_hop: u8 },
    Withdraw { path: u8, prefixes: u8 },
}

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        3 => (0..2u8, any::<u8>(), 0..SETS, 0..10u8).prop_map(|(path, prefixes, attributes, next_hop)| {
            Said::Announce { path, prefixes, attributes, next_hop }
        }),
        1 => (0..2u8, any::<u8>()).prop_map(|(path, prefixes)| Said::Withdraw { path, prefixes }),
    ]
}

/// Peers whose tables are to be the same: all but those of which a bound keeps something out, which depends on the order.
fn tellers() -> Vec<u8> {
    (1..=PEERS).filter(|peer| ![2, 4].contains(peer)).collect()
}

/// The Loc-RIB, and what each peer holds: paths without their names, which depend on who came first.
type Tables = (BTreeMap<IpNet, String>, BTreeMap<PeerId, Vec<String>>);

/// Says everything, of each peer in order, of all peers in the order of the choices; some read in between.
fn tables(
    all: &[Vec<Said>],
    order: &[(Index, Index)],
    many_paths: usize,
    options: DecisionOptions,
) -> Tables {
    let mut world = World::new(2, many_paths, options);
    let tellers = tellers();
    tellers.iter().for_each(|&peer| world.take(Step::Up { peer, variant: 1 }));
    let mut left: Vec<(u8, &[Said])> = tellers.iter().copied().zip(all.iter().map(Vec::as_slice)).collect();
    let mut order = order.iter().cycle();
    loop {
        left.retain(|(_, said)| !said.is_empty());
        if left.is_empty() {
            break;
        }
        let (who, reader) = order.next().expect("it has no end");
        let at = who.index(left.len());
        let (peer, said) = left[at];
        left[at].1 = &said[1..];
        world.take(match said[0] {
            Said::Announce { path, prefixes, attributes, next_hop } => {
                Step::Announce { peer, path, prefixes, attributes, next_hop }
            }
            Said::Withdraw { path, prefixes } => Step::Withdraw { peer, path, prefixes },
        });
        world.take(Step::Read { peer: tellers[reader.index(tellers.len())] });
    }
    world.drain_everyone();
    world.check();
    let best = |prefix: IpNet| {
        let filter =
            RouteFilter { prefix: Some(prefix), best_only: true, ..RouteFilter::all(family_of(&prefix)) };
        let route = world.lab.rib.routes(&filter, Default::default(), 1).0.pop()?;
        let Source::Peer { id, .. } = route.source else { return None };
        Some((prefix, format!("{id} {} {:?}", route.path_id, route.attributes)))
    };
    let loc_rib = prefixes(255).into_iter().filter_map(best).collect();
    let held = world.lab.remotes.iter().map(|(peer, remote)| {
        let mut held: Vec<String> =
            remote.paths.iter().map(|((prefix, _), route)| format!("{prefix} {route:?}")).collect();
        held.sort_unstable();
        (*peer, held)
    });
    (loc_rib, held.collect())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_interleaving_of_the_same_updates_ends_in_the_same_tables(
        all in prop::collection::vec(prop::collection::vec(said(), 0..6), 12),
        one in prop::collection::vec(any::<(Index, Index)>(), 48),
        other in prop::collection::vec(any::<(Index, Index)>(), 48),
        many_paths in prop_oneof![Just(2_usize), Just(16)],
        options in super::options(),
    ) {
        prop_assert_eq!(tables(&all, &one, many_paths, options), tables(&all, &other, many_paths, options));
    }
}
