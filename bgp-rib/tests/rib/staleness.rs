//! What followers are told of routes that became stale, or ceased to be, and changed in nothing else.

use std::collections::BTreeMap;

use bgp_rib::{Best, Event, Input, PeerId, ReaderId, Retain, RibConfig};
use bgp_wire::{NextHop, RefreshKind};
use ipnet::IpNet;

use crate::restart::many;
use crate::support::*;

const HERE: &str = "192.0.2.0/24";

/// Best routes as a follower that shows what is stale holds them, made of nothing but what it was told.
struct Shown {
    reader: ReaderId,
    table: BTreeMap<IpNet, Best>,
    told: usize,
}

impl Shown {
    fn open(lab: &mut Lab) -> Self {
        let mut shown = Self { reader: lab.rib.open_marking_reader(), table: BTreeMap::new(), told: 0 };
        shown.read(lab);
        shown
    }

    /// Reads everything that there is; how many prefixes it was told.
    fn read(&mut self, lab: &mut Lab) -> usize {
        self.told = 0;
        while let Some(batch) = lab.rib.poll_reader(self.reader, 7) {
            assert!(batch.changes.len() <= 7);
            self.told += batch.changes.len();
            for change in batch.changes {
                match change.best {
                    Some(best) => self.table.insert(change.prefix, best),
                    None => self.table.remove(&change.prefix),
                };
            }
        }
        self.told
    }

    /// Prefixes with the mark of the best route and the next hops that are stale.
    fn marks(&self) -> Vec<(IpNet, bool, Vec<NextHop>)> {
        let mark = |(prefix, best): (&IpNet, &Best)| (*prefix, best.stale, best.stale_next_hops.clone());
        self.table.iter().map(mark).collect()
    }

    fn stale(&self) -> usize {
        self.table.values().filter(|best| best.stale).count()
    }
}

fn with_next_hops(most: usize) -> Lab {
    Lab::with(RibConfig { max_paths: most, ..RibConfig::new(LOCAL_AS, router_id(254)) })
}

#[test]
fn a_route_that_outlives_its_session_is_told_as_stale_and_again_once_it_is_not() {
    let mut lab = Lab::new();
    let (one, two) = (lab.up(1, client(1)), lab.up(2, client(2)));
    lab.announce(one, &[net(HERE)], next_hop(1), &attributes(&[]));
    lab.drain_all();
    let mut shown = Shown::open(&mut lab);
    let kernel = lab.rib.open_reader();
    while lab.rib.poll_reader(kernel, 10).is_some() {}
    lab.quiet(two);
    lab.down(one, Retain::Stale);
    lab.drain_all();
    assert_eq!(shown.read(&mut lab), 1);
    assert_eq!(shown.marks(), [(net(HERE), true, vec![next_hop(1)])]);
    let one = lab.up(1, client(1));
    lab.announce(one, &[net(HERE)], next_hop(1), &attributes(&[]));
    lab.drain_all();
    assert_eq!(shown.read(&mut lab), 1);
    assert_eq!(shown.marks(), [(net(HERE), false, vec![])]);
    lab.end_of_rib(one, V4);
    lab.drain_all();
    assert_eq!(shown.read(&mut lab), 0, "it was told that already");
    assert!(lab.rib.poll_reader(kernel, 10).is_none(), "the kernel has no use for it");
    assert_eq!(lab.remotes[&two].updates, 0, "nor has another peer");
}

#[test]
fn a_lost_peers_routes_are_marked_in_bounded_turns() {
    let mut lab = Lab::new();
    let one = lab.up(1, client(1));
    for chunk in many(5000).chunks(500) {
        lab.announce(one, chunk, next_hop(1), &attributes(&[]));
    }
    lab.settle();
    let mut shown = Shown::open(&mut lab);
    lab.events.clear();
    lab.down(one, Retain::Stale);
    assert_eq!(shown.read(&mut lab), 0);
    let mut turns = 0;
    while lab.rib.poll_timeout() == Some(lab.now) {
        lab.input(Input::Tick);
        turns += 1;
        assert!(shown.read(&mut lab) <= 512);
    }
    assert!((10..20).contains(&turns), "{turns} turns for 5,000 routes");
    assert!(lab.events.contains(&Event::ReaderPending(shown.reader)));
    assert_eq!(shown.stale(), 5000);
}

#[test]
fn what_is_told_again_while_marks_are_made_stays_unmarked() {
    let mut lab = Lab::new();
    let one = lab.up(1, client(1));
    let all = many(2000);
    for chunk in all.chunks(500) {
        lab.announce(one, chunk, next_hop(1), &attributes(&[]));
    }
    lab.settle();
    let mut shown = Shown::open(&mut lab);
    lab.down(one, Retain::Stale);
    lab.input(Input::Tick);
    let one = lab.up(1, client(1));
    lab.announce(one, &all[900..1400], next_hop(1), &attributes(&[]));
    lab.withdraw(one, &all[1400..1500]);
    lab.settle();
    shown.read(&mut lab);
    assert_eq!((shown.table.len(), shown.stale()), (1900, 1400));
    assert!(all[900..1400].iter().all(|prefix| !shown.table[prefix].stale));
}

#[test]
fn each_next_hop_of_a_set_has_its_own_mark() {
    let mut lab = with_next_hops(4);
    let (one, two) = (lab.up(1, client(1)), lab.up(2, client(2)));
    lab.announce(one, &[net(HERE)], next_hop(1), &attributes(&[]));
    lab.announce(two, &[net(HERE)], next_hop(2), &attributes(&[]));
    lab.settle();
    let mut shown = Shown::open(&mut lab);
    lab.down(two, Retain::Stale);
    lab.settle();
    assert_eq!(shown.read(&mut lab), 1);
    assert_eq!(shown.table[&net(HERE)].next_hops, [next_hop(1), next_hop(2)]);
    assert_eq!(shown.marks(), [(net(HERE), false, vec![next_hop(2)])]);
    let three = lab.up(3, client(3));
    lab.announce(three, &[net(HERE)], next_hop(2), &attributes(&[]));
    lab.settle();
    shown.read(&mut lab);
    assert_eq!(shown.marks(), [(net(HERE), false, vec![])], "a route that is not stale leads there too");
}

#[test]
fn a_refresh_makes_nothing_stale_to_followers() {
    let mut lab = Lab::new();
    let one = lab.up(1, bgp_rib::PeerParams { enhanced_refresh: true, ..client(1) });
    lab.announce(one, &[net(HERE)], next_hop(1), &attributes(&[]));
    lab.end_of_rib(one, V4);
    lab.settle();
    let mut shown = Shown::open(&mut lab);
    lab.refresh(one, V4, RefreshKind::BEGIN);
    lab.announce(one, &[net(HERE)], next_hop(1), &attributes(&[]));
    lab.refresh(one, V4, RefreshKind::END);
    lab.settle();
    assert_eq!(shown.read(&mut lab), 0);
}

/// A small generator: the test needs variety, not quality.
fn step(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

/// Whatever happens, a follower that was told of changes shows what one is shown that looks for the first time.
#[test]
fn no_mark_is_missed_whatever_happens() {
    for seed in 0..60 {
        let mut state = seed;
        let mut lab = with_next_hops(1 + seed as usize % 3);
        let prefixes = many(12);
        let mut shown = Shown::open(&mut lab);
        for n in 1..=3 {
            lab.up(n, client(n));
        }
        for _ in 0..120 {
            let n = 1 + (step(&mut state) % 3) as u8;
            let peer = PeerId(u32::from(n));
            let from = (step(&mut state) % 10) as usize;
            let few = &prefixes[from..from + 2];
            let up = lab.remotes[&peer].up;
            match step(&mut state) % 8 {
                0 if up => lab.down(peer, Retain::Stale),
                1 if up && step(&mut state).is_multiple_of(4) => lab.down(peer, Retain::Nothing),
                0..3 if !up => drop(lab.up(n, client(n))),
                2 if up => lab.withdraw(peer, few),
                3 if up => lab.end_of_rib(peer, V4),
                4 => lab.settle(),
                5 => drop(shown.read(&mut lab)),
                _ if up => {
                    let med = step(&mut state).is_multiple_of(2).then_some(7);
                    let told = bgp_wire::PathAttributes { med, ..attributes(&[]) };
                    lab.announce(peer, few, next_hop(n), &told);
                }
                _ => {}
            }
        }
        lab.settle();
        shown.read(&mut lab);
        let fresh = Shown::open(&mut lab);
        assert_eq!(shown.marks(), fresh.marks(), "seed {seed}");
        lab.rib.close_reader(fresh.reader);
    }
}

#[test]
fn once_read_marks_take_no_memory() {
    let mut lab = Lab::new();
    let one = lab.up(1, client(1));
    for chunk in many(5000).chunks(500) {
        lab.announce(one, chunk, next_hop(1), &attributes(&[]));
    }
    lab.settle();
    let mut shown = Shown::open(&mut lab);
    let before = lab.rib.memory().logs;
    lab.down(one, Retain::Stale);
    lab.settle();
    assert!(lab.rib.memory().logs > before);
    assert_eq!(shown.read(&mut lab), 5000);
    assert!(lab.rib.memory().logs <= before + 64);
}
