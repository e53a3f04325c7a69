//! GTSM (RFC 5082): a packet that comes from farther than it may is not heard.

use bgp_speaker::PeerConfig;

use crate::lab::{ASN, Lab, peer, stories};

stories![
    direct_neighbours_with_ttl_security_come_up,
    a_peer_that_does_not_send_with_the_highest_ttl_is_not_heard,
    a_peer_one_hop_too_far_is_not_heard,
    a_peer_as_far_as_it_may_be_comes_up,
    a_near_peer_is_checked_beside_a_far_one,
];

fn near(address: &str, hops: u8) -> PeerConfig {
    peer(address, ASN).ttl_security(hops)
}

fn direct_neighbours_with_ttl_security_come_up() {
    let lab = Lab::row(2);
    let (left, right) = (lab.speaker(0), lab.speaker(1));
    for (own, other) in [("10.0.0.1", "10.0.0.2"), ("2001:db8:0::1", "2001:db8:0::2")] {
        left.add(near(other, 1));
        right.add(near(own, 1).passive());
        left.await_up(other);
    }
}

fn a_peer_that_does_not_send_with_the_highest_ttl_is_not_heard() {
    let lab = Lab::row(2);
    let (left, right) = (lab.speaker(0), lab.speaker(1));
    for (own, other) in [("10.0.0.1", "10.0.0.2"), ("2001:db8:0::1", "2001:db8:0::2")] {
        right.add(near(own, 1));
        let mut spoofed = peer(other, ASN);
        spoofed.options.ttl = Some(254);
        left.add(spoofed);
    }
    right.stays_down("10.0.0.1");
    right.stays_down("2001:db8:0::1");
}

fn a_peer_one_hop_too_far_is_not_heard() {
    let lab = Lab::row(3);
    let (left, right) = (lab.speaker(0), lab.speaker(2));
    for (own, other) in [("10.0.0.1", "10.0.1.2"), ("2001:db8:0::1", "2001:db8:1::2")] {
        left.add(near(other, 1));
        right.add(near(own, 2));
    }
    left.stays_down("10.0.1.2");
    left.stays_down("2001:db8:1::2");
}

fn a_peer_as_far_as_it_may_be_comes_up() {
    let lab = Lab::row(3);
    let (left, right) = (lab.speaker(0), lab.speaker(2));
    for (own, other) in [("10.0.0.1", "10.0.1.2"), ("2001:db8:0::1", "2001:db8:1::2")] {
        left.add(near(other, 2));
        right.add(near(own, 2).passive());
        left.await_up(other);
    }
}

/// With a far peer the listening socket cannot check for all, so each connection does.
fn a_near_peer_is_checked_beside_a_far_one() {
    let lab = Lab::row(3);
    let (left, middle, right) = (lab.speaker(0), lab.speaker(1), lab.speaker(2));
    left.add(peer("10.0.1.2", ASN));
    right.add(peer("10.0.0.1", ASN));
    left.add(near("10.0.0.2", 1).passive());
    middle.add(peer("10.0.0.1", ASN));
    right.await_up("10.0.0.1");
    left.stays_down("10.0.0.2");
}
