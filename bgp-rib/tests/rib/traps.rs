//! Faults that other reflectors shipped, each as the story in which it showed.

use bgp_rib::{Event, PathVerdict, Retain};
use bgp_wire::{Community, FamilySet, PathAttributes, PeerKind};
use ipnet::{IpNet, Ipv4Net};

use crate::support::*;

fn many(count: u32) -> Vec<IpNet> {
    (0..count).map(|n| Ipv4Net::new((0x0a10_0000 + n).into(), 32).unwrap().into()).collect()
}

/// rustbgpd PR 2260 and 2525, zebra-rs PR 2007: the order of arrival decided.
#[test]
fn three_routes_with_med_end_in_one_choice_whatever_the_order_of_arrival() {
    let prefix = net("192.0.2.0/24");
    let routes = [
        (1, PathAttributes { med: Some(10), ..attributes(&[64512]) }),
        (2, PathAttributes { med: Some(20), ..attributes(&[64512]) }),
        (3, PathAttributes { med: Some(0), ..attributes(&[64513]) }),
    ];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut lab = Lab::new();
        // The BGP identifiers make a circle of pairwise comparisons.
        let ids = [9, 1, 5];
        for (n, _) in &routes {
            let mut params = client(*n);
            params.peer_router_id = router_id(ids[usize::from(*n) - 1]);
            lab.up(*n, params);
        }
        for at in order {
            let (n, told) = &routes[at];
            lab.announce(bgp_rib::PeerId(u32::from(*n)), &[prefix], next_hop(*n), told);
        }
        let explained = lab.rib.explain(prefix).unwrap();
        assert_eq!(explained.paths[0].attributes.next_hop, Some(next_hop(3)), "{order:?}");
    }
}

/// RustyBGP: 26,000 stale routes after 200 address moves, because a prefix's place was reused under a pending withdrawal.
#[test]
fn a_withdrawal_is_not_lost_when_another_prefix_comes_before_it_is_read() {
    let mut lab = Lab::new();
    let (one, slow) = (lab.up(1, client(1)), lab.up(2, client(2)));
    let prefixes = many(400);
    lab.announce(one, &prefixes[..200], next_hop(1), &attributes(&[]));
    lab.drain_all();
    for (goes, comes) in prefixes[..200].iter().zip(&prefixes[200..]) {
        lab.withdraw(one, &[*goes]);
        lab.announce(one, &[*comes], next_hop(1), &attributes(&[]));
        lab.settle();
    }
    lab.drain(slow);
    assert_eq!(lab.view(slow).keys().copied().collect::<Vec<_>>(), prefixes[200..]);
    lab.drain_all();
    lab.settle();
    assert_eq!(lab.rib.table_counters(V4).tombstones, 0);
}

/// rustbgpd: the withdrawals of a lost peer with more than a thousand prefixes made one UPDATE too large, which was dropped.
#[test]
fn a_lost_peer_with_many_prefixes_is_withdrawn_to_the_last_one() {
    let mut lab = Lab::new();
    let (one, two) = (lab.up(1, client(1)), lab.up(2, client(2)));
    for chunk in many(3000).chunks(500) {
        lab.announce(one, chunk, next_hop(1), &attributes(&[]));
    }
    lab.drain_all();
    lab.down(one, Retain::Nothing);
    lab.drain_all();
    assert!(lab.view(two).is_empty());
}

/// GoBGP, zebra-rs: two feeders race, and the superseded announcement leaves last.
#[test]
fn when_two_feeders_race_an_idle_receiver_holds_the_better_routes() {
    let mut lab = Lab::new();
    let (one, two, receiver) = (lab.up(1, client(1)), lab.up(2, client(2)), lab.up(3, client(3)));
    let better = PathAttributes { local_pref: Some(200), ..attributes(&[]) };
    for (n, prefix) in many(2000).into_iter().enumerate() {
        lab.announce(one, &[prefix], next_hop(1), &attributes(&[64512 + (n % 7) as u32]));
        lab.announce(two, &[prefix], next_hop(2), &better);
        if n % 3 == 0 {
            lab.read_once(receiver, 512);
        }
    }
    lab.drain_all();
    assert_eq!(lab.view(receiver).len(), 2000);
    assert!(lab.view(receiver).values().all(|route| route.next_hop == next_hop(2)));
}

/// GoBGP issue 1759: some routes were missing at scale.
#[test]
fn every_client_holds_every_route_of_a_large_feed() {
    let mut lab = Lab::new();
    let feeder = lab.up(1, internal(1));
    let clients: Vec<_> = (2..=6).map(|n| lab.up(n, client(n))).collect();
    for (n, chunk) in (0..).zip(many(20_000).chunks(5)) {
        lab.announce(feeder, chunk, next_hop(1), &attributes(&[64512 + n % 400, 70_000 + n]));
    }
    lab.drain_all();
    assert!(clients.iter().all(|peer| lab.view(*peer).len() == 20_000));
}

/// FRR issues 5500, 5373, 5329: with ADD-PATH a withdrawal of one path took others along, or none.
#[test]
fn one_path_of_many_can_be_withdrawn_and_the_last_takes_the_prefix() {
    let mut lab = Lab::new();
    let mut params = client(1);
    params.codec.add_path_rx = FamilySet::of(&[V4]);
    let (one, two) = (lab.up(1, params), lab.up(2, client(2)));
    let prefix = net("192.0.2.0/24");
    for path in 1..=3 {
        let told = PathAttributes { med: Some(path), ..attributes(&[]) };
        lab.announce_path(one, path, &[prefix], next_hop(20), &told);
    }
    for (withdrawn, left) in [(1, Some(2)), (3, Some(2)), (2, None)] {
        lab.withdraw_path(one, withdrawn, &[prefix]);
        lab.drain_all();
        assert_eq!(lab.view(two).get(&prefix).and_then(|route| route.attributes.med), left);
    }
}

/// FRR issue 17372: paths that a restarted ADD-PATH peer did not tell again stayed.
#[test]
fn a_path_that_is_not_told_again_after_a_restart_goes_and_the_others_stay() {
    let mut lab = Lab::new();
    let mut params = client(1);
    params.codec.add_path_rx = FamilySet::of(&[V4]);
    let one = lab.up(1, params.clone());
    let prefix = net("192.0.2.0/24");
    for path in 1..=3 {
        lab.announce_path(one, path, &[prefix], next_hop(20), &attributes(&[]));
    }
    lab.down(one, Retain::Stale);
    let one = lab.up(1, params);
    lab.announce_path(one, 2, &[prefix], next_hop(20), &attributes(&[]));
    lab.end_of_rib(one, V4);
    lab.settle();
    let explained = lab.rib.explain(prefix).unwrap();
    let paths: Vec<u32> = explained.paths.iter().map(|path| path.path_id.0).collect();
    assert_eq!(paths, [2]);
}

/// GoBGP PR 3586 and issues 2414, 1804, 1842, 2166: two reflectors kept each other's routes alive after their source went.
#[test]
fn two_reflectors_that_feed_each_other_forget_a_route_whose_source_is_gone() {
    // What the other reflector says of our client's route, when it heard it from us: our cluster is in it.
    let mut lab = Lab::new();
    let (source, other) = (lab.up(1, client(1)), lab.up(2, client(2)));
    let prefix = net("192.0.2.0/24");
    lab.announce(source, &[prefix], next_hop(1), &attributes(&[]));
    lab.drain_all();
    let mut echoed = lab.view(other)[&prefix].attributes.clone();
    echoed.cluster_list.insert(0, bgp_wire::ClusterId(2));
    lab.announce(other, &[prefix], next_hop(1), &echoed);
    lab.withdraw(source, &[prefix]);
    lab.drain_all();
    let explained = lab.rib.explain(prefix).unwrap();
    assert!(explained.paths.iter().all(|path| !matches!(path.verdict, PathVerdict::Best)));
    assert!(lab.view(source).is_empty() && lab.view(other).is_empty());
}

/// FRR: a route without MED left with MED 0, and routes came back to who told them.
#[test]
fn no_med_is_invented_and_nothing_is_echoed() {
    let mut lab = Lab::new();
    let (one, two) = (lab.up(1, client(1)), lab.up(2, client(2)));
    lab.announce(one, &many(10), next_hop(1), &attributes(&[]));
    lab.drain_all();
    assert!(lab.view(two).values().all(|route| route.attributes.med.is_none()));
    assert_eq!(lab.remotes[&one].updates, 0);
}

/// rustbgpd: an UPDATE that was built too large was dropped, and the receiver kept what it had.
#[test]
fn attributes_that_outgrow_a_message_withdraw_the_route_from_who_cannot_take_them() {
    let mut lab = Lab::new();
    let mut wide = client(1);
    wide.codec.extended_message = true;
    let mut also_wide = client(2);
    also_wide.codec.extended_message = true;
    let (one, two, narrow) = (lab.up(1, wide), lab.up(2, also_wide), lab.up(3, client(3)));
    let prefix = net("192.0.2.0/24");
    lab.announce(one, &[prefix], next_hop(1), &attributes(&[]));
    lab.drain_all();
    assert!(lab.view(narrow).contains_key(&prefix));
    let communities = (0..2000).map(Community).collect();
    lab.announce(one, &[prefix], next_hop(1), &PathAttributes { communities, ..attributes(&[]) });
    lab.drain_all();
    assert_eq!(lab.view(two)[&prefix].attributes.communities.len(), 2000);
    assert!(lab.view(narrow).is_empty());
    let explained = lab.rib.explain(prefix).unwrap();
    let told = explained.peers.iter().find(|told| told.peer == narrow).unwrap();
    assert_eq!(told.verdict, Err(bgp_rib::HeldBack::TooLarge));
    assert_eq!(lab.rib.peer_counters(narrow, V4).advertised, 0);
}

/// GoBGP issue 1777, FRR PR 22695: what did not change was sent again.
#[test]
fn the_same_route_told_again_makes_no_update() {
    let mut lab = Lab::new();
    let (one, two) = (lab.up(1, client(1)), lab.up(2, client(2)));
    lab.announce(one, &many(10), next_hop(1), &attributes(&[]));
    lab.drain_all();
    lab.quiet(two);
    lab.announce(one, &many(10), next_hop(1), &attributes(&[]));
    lab.drain_all();
    assert_eq!(lab.remotes[&two].updates, 0);
}

#[test]
fn a_worse_path_that_comes_or_goes_makes_no_update() {
    let mut lab = Lab::new();
    let (one, two, three) = (lab.up(1, client(1)), lab.up(2, client(2)), lab.up(3, client(3)));
    lab.announce(one, &many(1), next_hop(1), &attributes(&[]));
    lab.drain_all();
    lab.quiet(three);
    lab.announce(two, &many(1), next_hop(2), &attributes(&[64512]));
    lab.drain_all();
    lab.withdraw(two, &many(1));
    lab.drain_all();
    assert_eq!(lab.remotes[&three].updates, 0);
}

#[test]
fn inputs_that_make_no_sense_are_borne() {
    let mut lab = Lab::new();
    let one = lab.up(1, client(1));
    let stranger = bgp_rib::PeerId(9);
    assert!(lab.rib.poll_transmit(stranger, 1000).is_none());
    lab.input(bgp_rib::Input::PeerDown(stranger, Retain::Stale));
    lab.withdraw(one, &many(3));
    lab.withdraw_path(one, 7, &many(3));
    lab.refresh(one, bgp_wire::Family::EVPN, bgp_wire::RefreshKind::REQUEST);
    lab.input(bgp_rib::Input::PeerUp(bgp_rib::PeerId(u32::MAX), Box::new(client(2))));
    assert!(lab.events.contains(&Event::PeerRefused(bgp_rib::PeerId(u32::MAX))));
    // A second session under one id ends the first.
    lab.announce(one, &many(3), next_hop(1), &attributes(&[]));
    lab.remotes.get_mut(&one).unwrap().idle = true;
    let again = lab.up(1, client(1));
    lab.drain_all();
    assert_eq!(lab.rib.peer_counters(again, V4).received, 0);
    assert_eq!(lab.remotes[&again].params.kind, PeerKind::Internal);
}
