//! Random steps against a naive recomputation. After each step every peer that has been drained must hold, made of the
//! bytes that it was sent, exactly what the rules say.
//!
//! | what happens | steps |
//! |---|---|
//! | routes come and go | `Announce`, `Withdraw`, with ADD-PATH both ways; `Originate`, `Aggregate`, `Unoriginate` |
//! | sessions | `Up` in two variants (another identity, role, families kept), `Down` with its routes kept or not, `Again` without one |
//! | restart | `EndOfRib`, `Later` (restart time, long-lived time, the bound on a first table), `Defer` |
//! | refresh, both ways | `RefreshFromPeer`, `Begin`, `End` |
//! | policy | `SetPolicy`; `Swaps`, one within the walk of the other, where every message must be news to its peer; `Vrps` |
//! | borders of the AS | `Border`: private AS, AS override, own AS allowed and shown, first AS, route servers, graceful shutdown, AIGP, third parties; roles by peer and variant |
//! | next hops of followers, options of the decision | `Ways`, `Decide` |
//! | another configuration | `Change` of role, cluster, next hops, of a session that is about to end; `Rename`, `NextHop` |
//! | limits | on what is received and accepted, with the session's end or without, and on memory (by peer); `Bound` on what is told, which holds with every single message |
//! | readers | `Read` a little, `Drain`, `Follow`; whoever reads slowly has the past behind it |
//!
//! `interleaving` has the same updates in two orders; `vpn` has VPN routes and who wants them. All go as deep as one asks, each case being a story of its own:
//!
//! ```text
//! PROPTEST_CASES=3000 cargo test -p bgp-rib --test rib model
//! ```

mod border;
mod check;
mod interleaving;
mod oldest;
mod routes;
mod scene;
mod sessions;
mod step;
mod vpn;
mod world;

use bgp_rib::{DecisionOptions, Event, Input, PeerId, Retain};
use proptest::prelude::*;

use self::scene::PEERS;
use self::step::{Step, step};
use self::world::World;
use crate::support::*;

/// How MULTI_EXIT_DISC is compared.
fn options() -> impl Strategy<Value = DecisionOptions> {
    any::<[bool; 2]>().prop_map(|[always_compare_med, missing_med_as_worst]| DecisionOptions {
        always_compare_med,
        missing_med_as_worst,
        ..DecisionOptions::default()
    })
}

fn run(steps: Vec<Step>, max_paths: usize, many_paths: usize, options: DecisionOptions) {
    let mut world = World::new(max_paths, many_paths, options);
    for step in steps {
        let settles = matches!(step, Step::Settle | Step::Drain { .. });
        world.take(step);
        if settles {
            world.check();
        }
    }
    world.lab.drain_all();
    world.check();
    world.check_follower();
    for peer in 1..=PEERS {
        world.take(Step::Down { peer, stale: false });
        world.forget_stale(PeerId(u32::from(peer)), 0);
        world.lab.input(Input::PeerDown(PeerId(u32::from(peer)), Retain::Nothing));
    }
    for owner in 0..3 {
        world.take(Step::Unoriginate { owner, prefixes: 255 });
    }
    world.check_follower();
    world.lab.settle();
    for family in [V4, V6] {
        let counters = world.lab.rib.table_counters(family);
        assert_eq!((counters.prefixes, counters.paths, counters.best), (0, 0, 0), "everything is given back");
        assert_eq!((counters.tombstones, counters.attribute_sets, counters.groups), (0, 0, 0));
    }
    let gone = world.lab.events.iter().filter(|event| matches!(event, Event::PeerGone(_))).count();
    assert!(gone >= world.facts.sessions.len(), "every peer that went is said to be gone");
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_view_replayed_from_its_bytes_is_what_the_rules_say(steps in prop::collection::vec(step(), 1..120), options in options()) {
        run(steps, 1, 16, options);
    }

    #[test]
    fn what_is_best_stays_so_among_equal_external_routes(
        steps in prop::collection::vec(step(), 1..60),
        options in options(),
        many_paths in prop_oneof![Just(2_usize), Just(16)],
    ) {
        run(steps, 2, many_paths, DecisionOptions { prefer_oldest: true, ..options });
    }

    #[test]
    fn multipath_followers_do_not_disturb_the_peers(steps in prop::collection::vec(step(), 1..80), options in options()) {
        run(steps, 3, 16, options);
    }

    #[test]
    fn prefixes_with_many_paths_are_decided_like_those_with_few(steps in prop::collection::vec(step(), 1..120), options in options()) {
        run(steps, 1, 2, options);
    }

    #[test]
    fn multipath_sets_of_prefixes_with_many_paths(steps in prop::collection::vec(step(), 1..80), options in options()) {
        run(steps, 3, 2, options);
    }
}

#[test]
fn a_bound_that_comes_when_all_that_was_told_has_changed() {
    run(
        vec![
            Step::Up { peer: 1, variant: 0 },
            Step::Up { peer: 8, variant: 0 },
            Step::Announce { peer: 8, path: 0, prefixes: 74, attributes: 0, next_hop: 1 },
            Step::Read { peer: 1 },
            Step::Aggregate { owner: 0, prefixes: 16, always: false, suppress: false, except: 0 },
            Step::SetPolicy { peer: 8, import: Some(2), export: None },
            Step::Settle,
            Step::Originate { owner: 0, prefixes: 98, attributes: 2 },
            Step::Bound { peer: 1, v6: false, most: Some(1) },
        ],
        3,
        16,
        DecisionOptions::default(),
    );
}

#[test]
fn what_stands_at_a_peer_is_counted_though_it_comes_back_to_its_group_in_the_middle_of_a_change() {
    let change = |client| Step::Change { peer: 12, client, cluster: true, leaving: false, next_hop: 0 };
    let steps = vec![
        Step::Up { peer: 12, variant: 0 },
        Step::Originate { owner: 0, prefixes: 13, attributes: 7 },
        Step::Read { peer: 12 },
        change(true),
        Step::Settle,
        change(false),
    ];
    run(steps, 1, 16, DecisionOptions::default());
}
