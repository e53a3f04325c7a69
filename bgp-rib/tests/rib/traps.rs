//! Faults that other speakers shipped, each as the story in which it showed.
//!
//! | class of fault | test |
//! |---|---|
//! | the order of arrival decides between routes with MED | `three_routes_with_med_end_in_one_choice_whatever_the_order_of_arrival`; every permutation in `decision` |
//! | a withdrawal is lost as another prefix comes | `a_withdrawal_is_not_lost_when_another_prefix_comes_before_it_is_read` |
//! | withdrawals of a batch go before its announcements | `a_route_that_comes_and_goes_before_it_is_read_leaves_nothing` |
//! | a superseded announcement leaves last | `when_two_feeders_race_an_idle_receiver_holds_the_better_routes`, `groups::an_idle_peer_is_told_once_and_a_slow_one_sees_the_newest_state_alone` |
//! | the worse path is told while the better is there | `of_two_feeds_that_race_only_the_better_is_told_to_who_reads_behind_both` |
//! | an UPDATE built too large is dropped | `a_lost_peer_with_many_prefixes_is_withdrawn_to_the_last_one`, `prefixes_of_one_attribute_set_fill_as_many_messages_as_they_need`, `attributes_that_outgrow_a_message_withdraw_the_route_from_who_cannot_take_them`, `a_route_is_told_if_and_only_if_it_fits_a_message` |
//! | some routes of a large table are missing | `every_client_holds_every_route_of_a_large_feed` |
//! | ADD-PATH: one withdrawal takes others along, or none | `one_path_of_many_can_be_withdrawn_and_the_last_takes_the_prefix`, `every_path_of_a_lost_peer_is_withdrawn_from_who_is_told_several` |
//! | ADD-PATH: what a restarted peer did not tell again stays | `a_path_that_is_not_told_again_after_a_restart_goes_and_the_others_stay` |
//! | what a refresh did not bring stays after EoRR | `restart::what_a_peer_does_not_tell_between_its_markers_is_swept` |
//! | reflectors keep each other's routes alive | `two_reflectors_that_feed_each_other_forget_a_route_whose_source_is_gone` |
//! | MED 0 is invented, routes are echoed | `no_med_is_invented_and_nothing_is_echoed` |
//! | what did not change is sent again: by the source, by memberships, by a policy | `the_same_route_told_again_makes_no_update`, `a_worse_path_that_comes_or_goes_makes_no_update`, `route_targets::a_membership_that_another_client_has_too_is_not_told_again`, `policies::an_export_policy_swapped_on_a_live_peer_tells_the_difference_and_nothing_else`, all of `swaps` |
//! | peers with different options share an update group | `groups::every_setting_that_changes_bytes_makes_a_group_of_its_own` |
//! | a restart fails as a group's queue is full | `a_member_that_does_not_read_holds_back_nobodys_end_of_rib` |
//! | a late joiner, or a start, waits for a timer | `nothing_that_is_to_be_told_waits_for_time` |
//!
//! That small changes are not held back by the socket (Nagle) is with the sockets of the speaker.

use bgp_rib::policy::{Action, CommunityEdit, PolicyConfig, Rule, Verdict};
use bgp_rib::{AddPathSend, Event, Input, PathVerdict, Policy, Retain};
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
    (wide.codec.extended_message_rx, wide.codec.extended_message_tx) = (true, true);
    let mut also_wide = client(2);
    (also_wide.codec.extended_message_rx, also_wide.codec.extended_message_tx) = (true, true);
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

/// What fits a message of 4096 octets is told to the last octet, what does not is withdrawn, of one attribute set too.
#[test]
fn a_route_is_told_if_and_only_if_it_fits_a_message() {
    // Octets of NLRI that a message leaves beside 1003 communities and what reflection adds, and a prefix that takes them.
    let cases = [("10.0.0.0/8", "10.0.0.0/9", 1008), ("2001:d00::/24", "2001:d00::/25", 1003)];
    for (fits, does_not, communities) in cases {
        for add_path in [false, true] {
            let mut lab = Lab::new();
            let mut wide = client(1);
            (wide.codec.extended_message_rx, wide.codec.extended_message_tx) = (true, true);
            let mut narrow = client(2);
            if add_path {
                narrow.codec.add_path_tx = FamilySet::of(&[V4, V6]);
            }
            let (one, narrow) = (lab.up(1, wide), lab.up(2, narrow));
            let both = [net(fits), net(does_not)];
            let hop = if fits.contains(':') { next_hop6(1) } else { next_hop(1) };
            lab.announce(one, &both, hop, &attributes(&[]));
            lab.drain_all();
            assert_eq!(lab.view(narrow).len(), 2);
            // A path identifier takes as much as a community.
            let communities = (0..communities - u32::from(add_path)).map(Community).collect();
            lab.announce(one, &both, hop, &PathAttributes { communities, ..attributes(&[]) });
            lab.drain_all();
            assert_eq!(
                lab.view(narrow).keys().copied().collect::<Vec<_>>(),
                [net(fits)],
                "{fits} {add_path}"
            );
            let verdict = |prefix: &str| {
                let explained = lab.rib.explain(net(prefix)).unwrap();
                explained.peers.iter().find(|told| told.peer == narrow).unwrap().verdict
            };
            assert!(verdict(fits).is_ok());
            assert_eq!(verdict(does_not).err(), Some(bgp_rib::HeldBack::TooLarge));
            assert_eq!(lab.rib.peer_counters(narrow, family_of(&net(fits))).advertised, 1);
        }
    }
}

/// A policy that makes a route too long takes it back from who has it, though another of the same set still fits.
#[test]
fn a_policy_swap_that_outgrows_a_message_withdraws_what_no_longer_fits() {
    let mut lab = Lab::new();
    let mut wide = client(1);
    (wide.codec.extended_message_rx, wide.codec.extended_message_tx) = (true, true);
    let (one, narrow) = (lab.up(1, wide), lab.up(2, client(2)));
    let (fits, does_not) = (net("10.0.0.0/8"), net("10.0.0.0/9"));
    let communities = (0..1007).map(Community).collect();
    let told = PathAttributes { communities, ..attributes(&[]) };
    lab.announce(one, &[fits, does_not], next_hop(1), &told);
    lab.drain_all();
    assert_eq!(lab.view(narrow).len(), 2);
    let tag = Action::Communities(CommunityEdit::Add(vec![Community(0xfde8_0001)]));
    let tags = PolicyConfig::new("tags", Verdict::Accept).rule(Rule::go_on("tag").then(tag));
    let export = Some(Policy::compile(tags).unwrap());
    lab.input(Input::SetPolicy { peer: narrow, import: None, export });
    lab.drain_all();
    assert_eq!(lab.view(narrow).keys().copied().collect::<Vec<_>>(), [fits]);
}

/// GoBGP: all withdrawals of a batch went first, so that what was announced and then withdrawn stayed.
#[test]
fn a_route_that_comes_and_goes_before_it_is_read_leaves_nothing() {
    let mut lab = Lab::new();
    let (one, two) = (lab.up(1, client(1)), lab.up(2, client(2)));
    let (stays, goes) = (net("192.0.2.0/24"), net("198.51.100.0/24"));
    for round in 0..4 {
        lab.announce(one, &[stays, goes], next_hop(1), &attributes(&[64512 + round]));
        lab.withdraw(one, &[stays, goes]);
        lab.announce(one, &[stays], next_hop(1), &attributes(&[64600 + round]));
        if round == 2 {
            lab.drain(two);
        }
    }
    lab.drain_all();
    assert_eq!(lab.view(two).keys().copied().collect::<Vec<_>>(), [stays]);
    assert_eq!(lab.view(two)[&stays].attributes.as_path, attributes(&[64603]).as_path);
}

/// BIRD 3, RustyBGP: the worse of two paths went out first for half of the prefixes.
#[test]
fn of_two_feeds_that_race_only_the_better_is_told_to_who_reads_behind_both() {
    let mut lab = Lab::new();
    let (one, two, receiver) = (lab.up(1, client(1)), lab.up(2, client(2)), lab.up(3, client(3)));
    let better = PathAttributes { local_pref: Some(200), ..attributes(&[]) };
    for chunk in many(2000).chunks(50) {
        lab.announce(one, chunk, next_hop(1), &attributes(&[64512]));
        lab.announce(two, chunk, next_hop(2), &better);
        lab.drain(receiver);
    }
    assert_eq!(lab.remotes[&receiver].announced.len(), 2000, "each prefix is told once");
    assert!(lab.view(receiver).values().all(|route| route.next_hop == next_hop(2)));
}

/// rustbgpd: announcements of one attribute set were written into one message, whatever their number.
#[test]
fn prefixes_of_one_attribute_set_fill_as_many_messages_as_they_need() {
    let mut lab = Lab::new();
    let (one, two) = (lab.up(1, client(1)), lab.up(2, client(2)));
    for chunk in many(5000).chunks(500) {
        lab.announce(one, chunk, next_hop(1), &attributes(&[]));
    }
    lab.drain_all();
    assert_eq!(lab.view(two).len(), 5000);
    // Five octets each, into 4096 (RFC 4271 §4): the far end's codec frames no more.
    assert!((7..14).contains(&lab.remotes[&two].updates), "{}", lab.remotes[&two].updates);
}

/// FRR issues 5500, 5373: not all paths of a peer that went were withdrawn.
#[test]
fn every_path_of_a_lost_peer_is_withdrawn_from_who_is_told_several() {
    let mut lab = Lab::new();
    let mut taker = client(9);
    taker.codec.add_path_tx = FamilySet::of(&[V4]);
    taker.add_path_send = vec![(V4, AddPathSend::All)];
    let taker = lab.up(9, taker);
    let mut teller = client(1);
    teller.codec.add_path_rx = FamilySet::of(&[V4]);
    let (one, two) = (lab.up(1, teller), lab.up(2, client(2)));
    for path in 1..=3 {
        lab.announce_path(one, path, &many(300), next_hop(20 + path as u8), &attributes(&[]));
    }
    lab.announce(two, &many(300), next_hop(2), &attributes(&[64512]));
    lab.drain_all();
    assert_eq!(lab.remotes[&taker].paths.len(), 1200);
    lab.down(one, Retain::Nothing);
    lab.drain_all();
    assert_eq!(lab.remotes[&taker].paths.len(), 300);
    assert!(lab.remotes[&taker].paths.values().all(|route| route.next_hop == next_hop(2)));
}

/// FRR issue 16144: with the queue of its update group full a restarting peer was not told its table.
#[test]
fn a_member_that_does_not_read_holds_back_nobodys_end_of_rib() {
    let mut lab = Lab::new();
    let feeder = lab.up(1, client(1));
    let stuck = lab.up(2, client(2));
    for chunk in many(3000).chunks(500) {
        lab.announce(feeder, chunk, next_hop(1), &attributes(&[]));
    }
    assert!(lab.read_once(stuck, 1));
    let three = lab.up(3, client(3));
    for round in 0..3 {
        lab.drain(three);
        assert_eq!((lab.view(three).len(), lab.remotes[&three].end_of_rib.len()), (3000, 2));
        lab.down(three, Retain::Stale);
        lab.announce(feeder, &many(500), next_hop(1), &attributes(&[64512 + round]));
        lab.up(3, client(3));
    }
    lab.drain_all();
    assert_eq!(lab.view(stuck), lab.view(three));
}

/// BIRD 2.0.12: a late joiner waited three seconds; FRR: coalescing held the first routes back for ten.
#[test]
fn nothing_that_is_to_be_told_waits_for_time() {
    let mut lab = Lab::new();
    let (feeder, early) = (lab.up(1, client(1)), lab.up(2, client(2)));
    lab.drain(feeder);
    lab.drain(early);
    for chunk in many(3000).chunks(500) {
        lab.announce(feeder, chunk, next_hop(1), &attributes(&[]));
        assert!(!lab.remotes[&early].idle, "it is told at once that there is something");
        // No clock moves and no tick comes.
        lab.drain(early);
    }
    assert_eq!(lab.view(early).len(), 3000);
    let late = lab.up(3, client(3));
    lab.drain(late);
    assert_eq!((lab.view(late).len(), lab.remotes[&late].end_of_rib.len()), (3000, 2));
    assert_eq!(lab.rib.poll_timeout(), None, "and nothing is left for later");
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
    lab.input(Input::PeerDown(stranger, Retain::Stale));
    lab.withdraw(one, &many(3));
    lab.withdraw_path(one, 7, &many(3));
    lab.refresh(one, bgp_wire::Family::EVPN, bgp_wire::RefreshKind::REQUEST);
    lab.input(Input::PeerUp(bgp_rib::PeerId(u32::MAX), Box::new(client(2))));
    assert!(lab.events.contains(&Event::PeerRefused(bgp_rib::PeerId(u32::MAX))));
    // A second session under one id ends the first.
    lab.announce(one, &many(3), next_hop(1), &attributes(&[]));
    lab.remotes.get_mut(&one).unwrap().idle = true;
    let again = lab.up(1, client(1));
    lab.drain_all();
    assert_eq!(lab.rib.peer_counters(again, V4).received, 0);
    assert_eq!(lab.remotes[&again].params.kind, PeerKind::Internal);
}
