//! What would be lost with some peers.

use std::collections::BTreeSet;

use bgp_rib::{PageToken, PeerId, Reachability, Retain};
use bgp_wire::{Family, NextHop};

use crate::support::*;

fn depends(lab: &Lab, peers: &[u8]) -> bool {
    let peers: BTreeSet<PeerId> = peers.iter().map(|n| PeerId(u32::from(*n))).collect();
    let (mut from, mut calls) = (PageToken::default(), 0);
    loop {
        calls += 1;
        assert!(calls < 100, "it comes to an end");
        match lab.rib.depends_on(Family::IPV4_UNICAST, &peers, from) {
            Ok(depends) => return depends,
            Err(next) => from = next,
        }
    }
}

#[test]
fn a_destination_depends_on_those_who_alone_tell_a_usable_way_to_it() {
    let mut lab = Lab::new();
    let [a, b, c] = [1, 2, 3].map(|n| lab.up(n, client(n)));
    lab.announce(a, &[net("10.1.0.0/24"), net("10.2.0.0/24")], next_hop(1), &attributes(&[]));
    lab.announce(b, &[net("10.2.0.0/24")], next_hop(2), &attributes(&[]));
    assert!(depends(&lab, &[1]) && !depends(&lab, &[2]) && !depends(&lab, &[3]) && !depends(&lab, &[]));
    assert!(depends(&lab, &[1, 2]));
    lab.announce(c, &[net("10.1.0.0/24"), net("10.2.0.0/24")], next_hop(3), &attributes(&[]));
    assert!(!depends(&lab, &[1]) && !depends(&lab, &[1, 2]));
    // A way that leads nowhere is none; one that is kept for a peer's return is.
    let NextHop::V4(hop) = next_hop(3) else { panic!("IPv4") };
    lab.input(bgp_rib::Input::NextHop(hop.into(), Reachability::Unreachable));
    lab.settle();
    assert!(depends(&lab, &[1]));
    lab.input(bgp_rib::Input::NextHop(hop.into(), Reachability::Metric(0)));
    lab.down(c, Retain::Stale);
    lab.settle();
    assert!(!depends(&lab, &[1]));
    // Own routes stay with us.
    lab.up(3, client(3));
    lab.down(c, Retain::Nothing);
    lab.withdraw(a, &[net("10.2.0.0/24")]);
    lab.settle();
    assert!(depends(&lab, &[1]));
    lab.originate(1, &[bgp_rib::Origination::new(net("10.1.0.0/24"))]);
    lab.settle();
    assert!(!depends(&lab, &[1]));
}

#[test]
fn a_large_table_is_looked_at_in_parts() {
    let mut lab = Lab::new();
    let [a, b] = [1, 2].map(|n| lab.up(n, client(n)));
    let all: Vec<_> = (0..20_000_u32).map(|n| net(&format!("10.{}.{}.0/24", n / 256, n % 256))).collect();
    for part in all.chunks(500) {
        lab.announce(a, part, next_hop(1), &attributes(&[]));
        lab.announce(b, part, next_hop(2), &attributes(&[]));
    }
    let peers = BTreeSet::from([a]);
    assert!(lab.rib.depends_on(Family::IPV4_UNICAST, &peers, PageToken::default()).is_err());
    assert!(!depends(&lab, &[1]));
    lab.withdraw(b, &all[19_999..]);
    lab.settle();
    assert!(depends(&lab, &[1]));
}
