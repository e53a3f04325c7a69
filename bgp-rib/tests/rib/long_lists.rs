//! Prefixes with many paths: what selections choose of them is kept by difference, and is what choosing from scratch gives.

use bgp_rib::{AddPathSend, DecisionOptions, Input, Multipath, PeerId, PeerParams, Reachability, RibConfig};
use bgp_wire::{FamilySet, PathAttributes};

use crate::support::*;

const HERE: &str = "10.1.0.0/24";
const TELLERS: u8 = 24;

/// Half of them internal; the external ones of three AS.
fn teller(n: u8) -> PeerParams {
    if n.is_multiple_of(2) { client(n) } else { external(n, 65001 + u32::from(n % 3)) }
}

/// Who hears several paths, each choice with a bound and without.
fn readers() -> Vec<(u8, PeerParams)> {
    let choices = [AddPathSend::PerAs, AddPathSend::EqualCost, AddPathSend::Best(4), AddPathSend::All];
    let with = |(at, (send, limit)): (u8, (AddPathSend, Option<u16>))| {
        let mut params = client(40 + at);
        params.codec.add_path_tx = FamilySet::of(&[V4]);
        params.add_path_send = vec![(V4, send)];
        params.paths_limit = limit.map(|limit| (V4, limit)).into_iter().collect();
        (40 + at, params)
    };
    let limits = [None, Some(2), Some(5)];
    let all = choices.into_iter().flat_map(|send| limits.map(|limit| (send, limit)));
    (0..).zip(all).map(with).collect()
}

struct Draw(u64);

impl Draw {
    fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// The same steps where many paths are more than two, and where they are more than there are.
fn compare(seed: u64, decision: DecisionOptions, meds: bool) {
    let make = |many_paths| {
        let config = RibConfig::new(LOCAL_AS, router_id(254));
        let mut lab = Lab::with(RibConfig { decision, many_paths, ..config });
        (1..=TELLERS).for_each(|n| _ = lab.up(n, teller(n)));
        readers().into_iter().for_each(|(n, params)| _ = lab.up(n, params));
        lab
    };
    let mut labs = [make(2), make(1000)];
    let mut draw = Draw(seed);
    for step in 0..1200 {
        let n = 1 + draw.below(u64::from(TELLERS)) as u8;
        let peer = PeerId(u32::from(n));
        // Mostly equal, so that the sets are long.
        let first = (!n.is_multiple_of(2)).then_some(65001 + u32::from(n % 3));
        let asns: Vec<u32> = match (first, draw.below(12)) {
            (Some(first), 0) => vec![first, 64999],
            (Some(first), _) => vec![first],
            (None, 0) => vec![65001, 64999],
            (None, other) => vec![65001 + (other % 3) as u32],
        };
        let med = [None, None, Some(1), Some(2)][draw.below(4) as usize].filter(|_| meds);
        let local_pref = (first.is_none() && draw.below(20) == 0).then_some(99);
        let told = PathAttributes { med, ..attributes(&asns) };
        let told = PathAttributes { local_pref: local_pref.or(first.map_or(Some(100), |_| None)), ..told };
        let what = draw.below(40);
        let (hop, metric) = (1 + draw.below(u64::from(TELLERS)) as u8, draw.below(2) as u32);
        let relax = draw.below(2) == 0;
        for lab in &mut labs {
            match what {
                0 => lab.input(Input::NextHop(address(hop), Reachability::Metric(metric))),
                1 => lab.input(Input::NextHop(address(hop), Reachability::Unreachable)),
                2 => lab.input(Input::Multipath(Multipath { relax, ..Multipath::default() })),
                3 => lab.input(Input::Decision(DecisionOptions { missing_med_as_worst: relax, ..decision })),
                4..14 => lab.withdraw(peer, &[net(HERE)]),
                _ => lab.announce(peer, &[net(HERE)], next_hop(hop), &told),
            }
            if step % 3 != 0 {
                lab.drain_all();
            }
        }
        for (reader, params) in readers() {
            let reader = PeerId(u32::from(reader));
            let [many, few] = &labs;
            let (many, few) = (&many.remotes[&reader], &few.remotes[&reader]);
            assert_eq!(many.paths, few.paths, "{:?}, step {step}", params.add_path_send);
            let told = |remote: &Remote| (remote.announced.len(), remote.withdrawn.len());
            assert_eq!(told(many), told(few), "{:?}, step {step}", params.add_path_send);
        }
    }
}

#[test]
fn what_is_chosen_of_many_paths_by_difference_is_what_is_chosen_of_them_all() {
    compare(1, DecisionOptions::default(), false);
}

#[test]
fn multi_exit_discs_do_not_change_that() {
    compare(2, DecisionOptions::default(), true);
    let worst = DecisionOptions { missing_med_as_worst: true, ..DecisionOptions::default() };
    compare(3, worst, true);
}

#[test]
fn nor_do_those_that_are_compared_between_all_neighbours() {
    compare(4, DecisionOptions { always_compare_med: true, ..DecisionOptions::default() }, true);
}
