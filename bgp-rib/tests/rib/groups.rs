//! Update groups: bytes made once, and the members that share them.

use bgp_rib::{NextHopMode, PeerParams, RibConfig, Transmit};
use bgp_wire::{Asn, ClusterId, FamilySet, PathAttributes};
use ipnet::{IpNet, Ipv4Net};

use crate::support::*;

fn many(count: u32) -> Vec<IpNet> {
    (0..count).map(|n| Ipv4Net::new((0x0a10_0000 + n).into(), 32).unwrap().into()).collect()
}

fn read_all(lab: &mut Lab, peer: bgp_rib::PeerId) -> Vec<Transmit> {
    core::iter::from_fn(|| lab.rib.poll_transmit(peer, 1 << 20)).collect()
}

#[test]
fn members_at_one_place_share_memory_and_not_only_content() {
    let mut lab = Lab::new();
    let feeder = lab.up(1, internal(1));
    let clients: Vec<_> = (2..=5).map(|n| lab.up(n, client(n))).collect();
    lab.announce(feeder, &many(500), next_hop(1), &attributes(&[]));
    let reads: Vec<_> = clients.iter().map(|peer| read_all(&mut lab, *peer)).collect();
    let first: Vec<_> = reads.iter().map(|read| read[0].chunks()[0].as_ptr()).collect();
    assert!(first.iter().all(|pointer| *pointer == first[0]));
}

#[test]
fn clients_that_join_one_after_the_other_are_served_from_one_encoding() {
    let mut lab = Lab::new();
    let feeder = lab.up(1, internal(1));
    lab.announce(feeder, &many(500), next_hop(1), &attributes(&[]));
    let pointers: Vec<_> = (2..=9)
        .map(|n| {
            let peer = lab.up(n, client(n));
            read_all(&mut lab, peer)[0].chunks()[0].as_ptr()
        })
        .collect();
    assert!(pointers.iter().all(|pointer| *pointer == pointers[0]));
}

#[test]
fn a_change_spoils_the_encodings_that_hold_its_former_state() {
    let mut lab = Lab::new();
    let feeder = lab.up(1, internal(1));
    lab.announce(feeder, &many(10), next_hop(1), &attributes(&[]));
    let two = lab.up(2, client(2));
    lab.drain(two);
    lab.announce(feeder, &many(1), next_hop(1), &attributes(&[64512]));
    lab.withdraw(feeder, &many(2)[1..]);
    let three = lab.up(3, client(3));
    lab.drain(three);
    assert_eq!(lab.view(three).len(), 9);
    assert_eq!(lab.remotes[&three].announced.len(), 9, "each prefix once");
    assert_eq!(lab.remotes[&three].withdrawn, [], "it never had what went before it came");
    lab.drain(two);
    assert_eq!(lab.view(two), lab.view(three));
}

#[test]
fn a_member_that_is_the_source_of_some_routes_gets_all_the_others() {
    let mut lab = Lab::new();
    let clients: Vec<_> = (1..=20).map(|n| lab.up(n, client(n))).collect();
    let prefixes = many(100);
    for (peer, block) in clients.iter().zip(prefixes.chunks(5)) {
        let n = u8::try_from(peer.0).unwrap();
        lab.announce(*peer, block, next_hop(n), &attributes(&[]));
    }
    lab.drain_all();
    for (peer, block) in clients.iter().zip(prefixes.chunks(5)) {
        let expected: Vec<_> = prefixes.iter().filter(|prefix| !block.contains(prefix)).copied().collect();
        assert_eq!(lab.view(*peer).keys().copied().collect::<Vec<_>>(), expected);
        assert_eq!(lab.remotes[peer].withdrawn, []);
        assert_eq!(lab.rib.peer_counters(*peer, V4).advertised, 95);
    }
}

#[test]
fn every_setting_that_changes_bytes_makes_a_group_of_its_own() {
    let changes: [fn(&mut PeerParams); 9] = [
        |p| p.codec.four_octet_as = false,
        |p| p.codec.extended_message_tx = true,
        |p| p.codec.add_path_tx = FamilySet::of(&[V4]),
        |p| p.codec.extended_next_hop = FamilySet::of(&[V4]),
        |p| p.next_hop = NextHopMode::SelfAlways,
        |p| p.local_address = address(253),
        |p| p.cluster_id = Some(ClusterId(5)),
        |p| p.local_as = Asn(64999),
        |p| p.export = bgp_rib::Policy::reject_all(),
    ];
    let mut lab = Lab::new();
    lab.up(1, client(1));
    lab.up(2, client(2));
    assert_eq!(lab.rib.table_counters(V4).groups, 1);
    for (n, change) in (3..).zip(changes) {
        let mut params = client(n);
        change(&mut params);
        lab.up(n, params);
        assert_eq!(lab.rib.table_counters(V4).groups, usize::from(n) - 1);
    }
    let mut receives = client(100);
    receives.codec.add_path_rx = FamilySet::of(&[V4]);
    receives.peer_router_id = router_id(200);
    lab.up(100, receives);
    assert_eq!(lab.rib.table_counters(V4).groups, 10, "what only concerns receiving splits no group");
}

#[test]
fn an_idle_peer_is_told_once_and_a_slow_one_sees_the_newest_state_alone() {
    let mut lab = Lab::new();
    let (one, slow) = (lab.up(1, client(1)), lab.up(2, client(2)));
    lab.drain_all();
    lab.quiet(slow);
    for med in 0..100 {
        let told = PathAttributes { med: Some(med), ..attributes(&[]) };
        // The laboratory asserts that there is one Pending until the next drain.
        lab.announce(one, &many(1), next_hop(1), &told);
    }
    lab.drain(slow);
    assert_eq!(lab.remotes[&slow].announced.len(), 1);
    assert_eq!(lab.view(slow)[&many(1)[0]].attributes.med, Some(99));
}

#[test]
fn a_budget_bounds_what_is_handed_out_at_once() {
    let mut lab = Lab::new();
    let (feeder, peer) = (lab.up(1, internal(1)), lab.up(2, client(2)));
    for (n, chunk) in (0..).zip(many(50_000).chunks(500)) {
        lab.announce(feeder, chunk, next_hop(1), &attributes(&[64512 + n]));
    }
    let mut most = 0;
    while let Some(transmit) = lab.rib.poll_transmit(peer, 16 * 1024) {
        most = most.max(transmit.len());
    }
    assert!((1024..128 * 1024).contains(&most), "{most}");
}

#[test]
fn the_same_inputs_make_the_same_bytes() {
    let run = || {
        let mut lab = Lab::new();
        let (one, two) = (lab.up(1, client(1)), lab.up(2, client(2)));
        for (n, chunk) in (0..).zip(many(1000).chunks(7)) {
            lab.announce(one, chunk, next_hop(1), &attributes(&[64512 + n % 3]));
        }
        lab.withdraw(one, &many(300)[..150]);
        let reads = read_all(&mut lab, two);
        reads.iter().flat_map(|read| read.chunks().concat()).collect::<Vec<u8>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn a_peer_that_comes_back_is_not_served_its_own_kept_routes_from_an_encoding_made_while_it_was_away() {
    let mut lab = Lab::new();
    let (one, two) = (lab.up(1, client(1)), lab.up(2, client(2)));
    lab.announce(one, &many(1), next_hop(20), &attributes(&[]));
    lab.announce(two, &many(2)[1..], next_hop(1), &attributes(&[]));
    lab.down(one, bgp_rib::Retain::Stale);
    let three = lab.up(3, client(3));
    lab.drain(three);
    assert_eq!(lab.view(three).len(), 2);
    let one = lab.up(1, client(1));
    lab.drain(one);
    assert!(lab.view(one).is_empty(), "neither what it told itself nor a route through itself");
}

#[test]
fn a_reader_far_behind_does_not_go_in_the_small_steps_of_the_others() {
    let mut lab = Lab::new();
    let (feeder, swift, slow) = (lab.up(1, internal(1)), lab.up(2, client(2)), lab.up(3, client(3)));
    lab.drain_all();
    for prefix in many(2000) {
        lab.announce(feeder, &[prefix], next_hop(1), &attributes(&[]));
        lab.drain(swift);
    }
    let reads = read_all(&mut lab, slow);
    let chunks: usize = reads.iter().map(|read| read.chunks().len()).sum();
    assert!(chunks < 30, "{chunks} slices for 2000 prefixes");
}

#[test]
fn a_withdrawal_that_no_peer_has_still_to_hear_leaves_no_count_behind() {
    let mut lab = Lab::with(RibConfig { max_paths: 2, ..RibConfig::new(LOCAL_AS, router_id(254)) });
    // The follower never reads: the prefixes' names stay taken.
    let _reader = lab.rib.open_reader();
    let (feeder, one) = (lab.up(9, internal(9)), lab.up(1, client(1)));
    lab.announce(feeder, &many(3), next_hop(9), &attributes(&[]));
    lab.read_once(one, 1);
    lab.withdraw(feeder, &many(1));
    lab.drain(feeder);
    let two = lab.up(2, client(2));
    lab.down(one, bgp_rib::Retain::Nothing);
    lab.drain_all();
    lab.settle();
    assert_eq!(lab.view(two).len(), 2);
    assert_eq!(lab.rib.peer_counters(two, V4).advertised, 2);
}

#[test]
fn a_call_makes_one_batch_at_most_and_hands_out_several_that_are_there() {
    let config = RibConfig { batch_prefixes: 10, ..RibConfig::new(LOCAL_AS, router_id(254)) };
    let mut lab = Lab::with(config);
    let feeder = lab.up(1, client(1));
    let clients = [lab.up(2, client(2)), lab.up(3, client(3))];
    lab.announce(feeder, &many(40), next_hop(1), &attributes(&[]));
    let told = |lab: &mut Lab, peer| {
        lab.read_once(peer, 1 << 20);
        lab.view(peer).len()
    };
    let made: Vec<_> = (0..4).map(|_| told(&mut lab, clients[0])).collect();
    assert_eq!(made, [10, 20, 30, 40]);
    assert_eq!(told(&mut lab, clients[1]), 40);
    // To its source there is nothing to tell, and finding that out is bounded as well.
    lab.announce(feeder, &many(40), next_hop(1), &attributes(&[64512]));
    let asked = core::iter::from_fn(|| lab.rib.poll_transmit(feeder, 1 << 20)).count();
    assert!(asked >= 3, "{asked} calls, each with a batch of its own");
}

#[test]
fn peers_are_woken_as_events_are_taken() {
    let mut lab = Lab::new();
    let feeder = lab.up(1, client(1));
    let clients: Vec<_> = (2..=101).map(|n| lab.up(n, client(n))).collect();
    lab.drain_all();
    lab.events.clear();
    lab.announce(feeder, &many(1), next_hop(1), &attributes(&[]));
    // One of them reads before it is told, and goes; what is said of it later does no harm.
    lab.rib.handle(lab.now, bgp_rib::Input::PeerDown(clients[0], bgp_rib::Retain::Nothing));
    let pending = |event: &bgp_rib::Event| matches!(event, bgp_rib::Event::Pending(_));
    assert_eq!(lab.events.iter().filter(|event| pending(event)).count(), 101, "each is told once");
    clients[1..].iter().for_each(|&client| lab.drain(client));
    assert!(clients[1..].iter().all(|&client| lab.view(client).len() == 1));
}
