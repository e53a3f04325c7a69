//! A session that is lost again before its End-of-RIB: what was stale goes, or stays within the time of the first loss.

use core::time::Duration;

use bgp_rib::{ConsecutiveRestarts, Event, PeerId, PeerParams, Retain};

use crate::restart::{later, many};
use crate::support::*;

/// A peer that keeps stale routes over further losses of its session.
fn keeps(n: u8) -> PeerParams {
    PeerParams { consecutive_restarts: ConsecutiveRestarts::Keep, ..client(n) }
}

/// Two lives of a peer that said nothing in the second, after so many seconds each.
fn killed_before_it_told(lab: &mut Lab, params: &PeerParams, seconds: u64) -> PeerId {
    let one = lab.up(1, params.clone());
    lab.announce(one, &many(3), next_hop(1), &attributes(&[]));
    lab.end_of_rib(one, V4);
    lab.end_of_rib(one, V6);
    lab.down(one, Retain::Stale);
    later(lab, seconds);
    lab.up(1, params.clone())
}

#[test]
fn a_peer_lost_again_before_it_told_its_table_loses_what_was_stale_by_rfc_4724() {
    let mut lab = Lab::new();
    let two = lab.up(2, client(2));
    let one = killed_before_it_told(&mut lab, &client(1), 1);
    lab.down(one, Retain::Stale);
    lab.drain_all();
    assert!(lab.view(two).is_empty());
}

#[test]
fn a_peer_lost_again_before_it_told_its_table_keeps_what_was_stale_where_asked_for() {
    let mut lab = Lab::new();
    let two = lab.up(2, client(2));
    let one = killed_before_it_told(&mut lab, &keeps(1), 1);
    lab.drain_all();
    lab.quiet(two);
    // Lost at an untold moment, and once more after a part was told.
    lab.down(one, Retain::Stale);
    later(&mut lab, 1);
    lab.up(1, keeps(1));
    lab.announce(one, &many(1), next_hop(1), &attributes(&[]));
    lab.down(one, Retain::Stale);
    later(&mut lab, 1);
    assert_eq!((lab.view(two).len(), lab.remotes[&two].updates), (3, 0), "nobody hears of it");
    lab.up(1, keeps(1));
    lab.announce(one, &many(2), next_hop(1), &attributes(&[]));
    lab.drain_all();
    assert_eq!((lab.view(two).len(), lab.remotes[&two].updates), (3, 0));
    lab.end_of_rib(one, V4);
    lab.drain_all();
    assert_eq!(lab.view(two).keys().copied().collect::<Vec<_>>(), many(2), "End-of-RIB ends the stay of all");
    assert_eq!(lab.rib.peer_counters(one, V4).stale, 0);
}

#[test]
fn further_losses_do_not_prolong_what_the_first_one_left() {
    let mut lab = Lab::new();
    let two = lab.up(2, client(2));
    let params = PeerParams { stale_time: Duration::from_secs(100), ..keeps(1) };
    let one = killed_before_it_told(&mut lab, &params, 50);
    lab.announce(one, &many(1), next_hop(1), &attributes(&[]));
    // Restart time and the time of a first table: 460 s, of which 50 are over.
    for _ in 0..8 {
        lab.down(one, Retain::Stale);
        later(&mut lab, 50);
        assert_eq!(lab.view(two).len(), 3, "at {:?}", lab.now);
        lab.up(1, params.clone());
        lab.announce(one, &many(1), next_hop(1), &attributes(&[]));
    }
    later(&mut lab, 9);
    assert_eq!(lab.view(two).len(), 3);
    later(&mut lab, 1);
    assert_eq!(lab.view(two).keys().copied().collect::<Vec<_>>(), many(1), "the first loss is 460 s ago");
}

#[test]
fn the_bound_of_the_first_loss_holds_while_the_peer_is_away_too() {
    let mut lab = Lab::new();
    let two = lab.up(2, client(2));
    let params = PeerParams { stale_time: Duration::from_secs(100), ..keeps(1) };
    let one = killed_before_it_told(&mut lab, &params, 50);
    lab.announce(one, &many(1), next_hop(1), &attributes(&[]));
    later(&mut lab, 359);
    lab.down(one, Retain::Stale);
    later(&mut lab, 50);
    assert_eq!(lab.view(two).len(), 3);
    later(&mut lab, 1);
    assert_eq!(lab.view(two).keys().copied().collect::<Vec<_>>(), many(1));
    later(&mut lab, 49);
    assert!(lab.view(two).is_empty(), "and the restart time of the second is its own");
    assert!(lab.events.contains(&Event::PeerGone(one)));
}

#[test]
fn the_latest_loss_is_the_first_once_the_first_is_over() {
    let mut lab = Lab::new();
    let two = lab.up(2, client(2));
    let params = PeerParams { stale_time: Duration::from_secs(100), ..keeps(1) };
    let one = killed_before_it_told(&mut lab, &params, 50);
    lab.announce(one, &many(2), next_hop(1), &attributes(&[]));
    later(&mut lab, 300);
    lab.down(one, Retain::Stale);
    later(&mut lab, 50);
    lab.up(1, params.clone());
    later(&mut lab, 60);
    assert_eq!(lab.view(two).len(), 2, "what the first loss left is gone");
    lab.down(one, Retain::Stale);
    later(&mut lab, 1);
    assert_eq!(lab.view(two).len(), 2, "what the second left outlives the third");
    lab.up(1, params.clone());
    later(&mut lab, 350);
    assert!(lab.view(two).is_empty(), "within its own bound");
}
