//! Prefixes that are to have one origin, and have two.

use bgp_rib::{Event, Input, Origination, Originator, Retain, RibConfig, Source, TwoOrigins};
use bgp_wire::{Asn, PathAttributes};

use crate::support::*;

const BLOCK: &str = "10.65.0.0/26";
const SERVICE: &str = "10.96.0.10/32";

/// Blocks of nodes are to have one origin, services are not.
fn lab() -> Lab {
    let unique_origins = vec![net("10.65.0.0/16")];
    Lab::with(RibConfig { unique_origins, ..RibConfig::new(LOCAL_AS, router_id(254)) })
}

fn told(lab: &mut Lab) -> Vec<TwoOrigins> {
    lab.settle();
    let two = |event: &Event| if let Event::TwoOrigins(found) = event { Some(*found) } else { None };
    let found = lab.events.iter().filter_map(two).collect();
    lab.events.clear();
    found
}

fn router(last: u8) -> Originator {
    Originator::Router(router_id(last))
}

#[test]
fn a_block_that_two_nodes_take_for_theirs_is_told_once_and_again_after_it_was_settled() {
    let mut lab = lab();
    let (one, two) = (lab.up(1, client(1)), lab.up(2, client(2)));
    lab.announce(one, &[net(BLOCK), net(SERVICE)], next_hop(1), &attributes(&[]));
    assert!(told(&mut lab).is_empty());
    lab.announce(two, &[net(BLOCK), net(SERVICE)], next_hop(2), &attributes(&[]));
    let found = told(&mut lab);
    assert_eq!(found.len(), 1, "a service may have as many as it likes");
    assert_eq!((found[0].prefix, found[0].originators), (net(BLOCK), [router(1), router(2)]));
    assert!(
        found[0]
            .sources
            .iter()
            .zip([one, two])
            .all(|(source, peer)| { matches!(source, Source::Peer { id, .. } if *id == peer) })
    );
    let med = PathAttributes { med: Some(7), ..attributes(&[]) };
    lab.announce(two, &[net(BLOCK)], next_hop(2), &med);
    assert!(told(&mut lab).is_empty(), "it lasts");
    lab.withdraw(one, &[net(BLOCK)]);
    lab.announce(one, &[net(BLOCK)], next_hop(1), &attributes(&[]));
    assert_eq!(told(&mut lab).len(), 1);
}

#[test]
fn a_route_that_two_reflectors_pass_on_has_one_origin() {
    let mut lab = lab();
    let (one, two) = (lab.up(1, internal(1)), lab.up(2, internal(2)));
    let reflected = |by: u8| PathAttributes {
        originator_id: Some(router_id(9)),
        cluster_list: vec![bgp_wire::ClusterId(u32::from(by))],
        ..attributes(&[])
    };
    lab.announce(one, &[net(BLOCK)], next_hop(9), &reflected(1));
    lab.announce(two, &[net(BLOCK)], next_hop(9), &reflected(2));
    assert!(told(&mut lab).is_empty());
    let (leaf, spine) = (lab.up(3, external(3, 64601)), lab.up(4, external(4, 64602)));
    lab.announce(leaf, &[net("10.65.1.0/26")], next_hop(3), &external_attributes(&[64601, 64700]));
    lab.announce(spine, &[net("10.65.1.0/26")], next_hop(4), &external_attributes(&[64602, 64700]));
    assert!(told(&mut lab).is_empty(), "nor one that comes by two routers of a fabric");
    lab.announce(spine, &[net("10.65.1.0/26")], next_hop(4), &external_attributes(&[64602, 64701]));
    assert_eq!(told(&mut lab)[0].originators, [64700, 64701].map(|asn| Originator::As(Asn(asn))));
}

#[test]
fn another_node_with_a_block_of_ours_is_told() {
    let mut lab = lab();
    lab.originate(1, &[Origination::new(net(BLOCK))]);
    let two = lab.up(2, client(2));
    lab.announce(two, &[net(BLOCK)], next_hop(2), &attributes(&[]));
    assert_eq!(told(&mut lab)[0].originators, [router(254), router(2)]);
}

#[test]
fn an_address_on_the_move_and_what_a_lost_node_left_are_no_second_origin() {
    let mut lab = lab();
    let (one, two) = (lab.up(1, client(1)), lab.up(2, client(2)));
    let elevated = PathAttributes { local_pref: Some(2_147_483_135), ..attributes(&[]) };
    lab.announce(one, &[net("10.65.0.7/32")], next_hop(1), &attributes(&[]));
    lab.announce(two, &[net("10.65.0.7/32")], next_hop(2), &elevated);
    assert!(told(&mut lab).is_empty(), "its preference says which one is meant");
    lab.announce(one, &[net(BLOCK)], next_hop(1), &attributes(&[]));
    lab.down(one, Retain::Stale);
    lab.announce(two, &[net(BLOCK)], next_hop(2), &attributes(&[]));
    assert!(told(&mut lab).is_empty(), "the block may have moved meanwhile");
}

#[test]
fn what_stands_is_looked_at_as_the_question_comes() {
    let mut lab = Lab::new();
    let (one, two) = (lab.up(1, client(1)), lab.up(2, client(2)));
    for (peer, last) in [(one, 1), (two, 2)] {
        lab.announce(peer, &[net(BLOCK)], next_hop(last), &attributes(&[]));
    }
    assert!(told(&mut lab).is_empty(), "nobody asked");
    lab.input(Input::UniqueOrigins(vec![net("10.65.0.0/16")]));
    assert_eq!(told(&mut lab).len(), 1);
    lab.input(Input::UniqueOrigins(Vec::new()));
    assert!(told(&mut lab).is_empty());
    lab.input(Input::UniqueOrigins(vec![net("10.65.0.0/16")]));
    assert_eq!(told(&mut lab).len(), 1);
}
