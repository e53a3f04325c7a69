//! Another configuration for a session that goes on: the difference is told, and nothing else.

use std::sync::Arc;

use bgp_rib::{
    Aggregation, HeldBack, Input, NextHopMode, Origination, PeerParams, PeerRole, Policy, Retain, RibConfig,
};
use bgp_wire::{Aggregator, Asn, ClusterId, NextHop, RefreshKind};

use crate::support::*;

fn change(lab: &mut Lab, peer: bgp_rib::PeerId, with: impl FnOnce(&mut PeerParams)) {
    let mut params = lab.remotes[&peer].params.clone();
    with(&mut params);
    lab.input(Input::PeerChange(peer, Box::new(params)));
    lab.drain_all();
}

#[test]
fn a_non_client_that_becomes_a_client_hears_the_others_and_they_hear_it_without_a_reset() {
    let mut lab = Lab::new();
    let (a, b) = (lab.up(1, internal(1)), lab.up(2, internal(2)));
    lab.announce(a, &[net("10.1.0.0/24")], next_hop(1), &attributes(&[]));
    lab.announce(b, &[net("10.2.0.0/24")], next_hop(2), &attributes(&[]));
    lab.drain_all();
    assert!(lab.view(a).is_empty() && lab.view(b).is_empty());
    change(&mut lab, a, |params| params.role = PeerRole::Client);
    assert_eq!(lab.view(a).keys().copied().collect::<Vec<_>>(), [net("10.2.0.0/24")]);
    assert_eq!(lab.view(b).keys().copied().collect::<Vec<_>>(), [net("10.1.0.0/24")]);
    change(&mut lab, a, |params| params.role = PeerRole::Plain);
    assert!(lab.view(a).is_empty() && lab.view(b).is_empty(), "and back");
    let explained = lab.rib.explain(net("10.1.0.0/24")).unwrap();
    let to_b = explained.peers.iter().find(|told| told.peer == b).unwrap();
    assert_eq!(to_b.verdict, Err(HeldBack::NotReflected));
}

#[test]
fn another_next_hop_mode_tells_what_differs_by_it_and_repeats_nothing() {
    let mut lab = Lab::new();
    let (a, b) = (lab.up(1, client(1)), lab.up(2, client(2)));
    lab.announce(a, &[net("10.1.0.0/24")], next_hop(1), &attributes(&[]));
    lab.originate(0, &[Origination::new(net("10.9.0.0/24"))]);
    lab.quiet(b);
    change(&mut lab, b, |params| params.next_hop = NextHopMode::SelfAlways);
    assert_eq!(lab.remotes[&b].announced, [net("10.1.0.0/24")], "the other had our next hop already");
    assert_eq!(lab.view(b)[&net("10.1.0.0/24")].next_hop, next_hop(254));
    assert!(lab.remotes[&b].withdrawn.is_empty());
}

#[test]
fn another_cluster_id_is_stamped_from_now_on() {
    let mut lab = Lab::new();
    let (a, b) = (lab.up(1, client(1)), lab.up(2, client(2)));
    lab.announce(a, &[net("10.1.0.0/24")], next_hop(1), &attributes(&[]));
    lab.quiet(b);
    change(&mut lab, a, |params| params.cluster_id = Some(ClusterId(77)));
    assert_eq!(lab.view(b)[&net("10.1.0.0/24")].attributes.cluster_list, [ClusterId(77)]);
}

#[test]
fn a_further_address_of_ours_is_told_where_there_was_none() {
    let mut lab = Lab::new();
    let b = lab.up(2, PeerParams { local_ipv6: None, ..client(2) });
    lab.originate(0, &[Origination::new(net("2001:db8:9::/64"))]);
    lab.drain_all();
    assert!(lab.view(b).is_empty());
    change(&mut lab, b, |params| params.local_ipv6 = Some("2001:db8::2".parse().unwrap()));
    assert_eq!(lab.view(b)[&net("2001:db8:9::/64")].next_hop, NextHop::V6("2001:db8::2".parse().unwrap()));
}

#[test]
fn more_occurrences_of_our_own_as_let_in_what_was_kept_out() {
    let mut lab = Lab::new();
    let (a, b) = (lab.up(1, external(1, 65001)), lab.up(2, client(2)));
    lab.announce(a, &[net("10.1.0.0/24")], next_hop(1), &external_attributes(&[65001, LOCAL_AS.0]));
    lab.drain_all();
    assert!(lab.view(b).is_empty());
    change(&mut lab, a, |params| params.allow_own_as = 1);
    assert_eq!(lab.view(b).len(), 1);
    change(&mut lab, a, |params| params.allow_own_as = 0);
    assert!(lab.view(b).is_empty());
}

#[test]
fn what_was_negotiated_stays_whatever_the_change_says() {
    let mut lab = Lab::with(RibConfig::new(LOCAL_AS, router_id(254)));
    let (a, b) = (lab.up(1, client(1)), lab.up(2, client(2)));
    lab.announce(a, &[net("10.1.0.0/24")], next_hop(1), &attributes(&[]));
    lab.quiet(b);
    change(&mut lab, b, |params| {
        params.peer_router_id = router_id(99);
        params.codec.four_octet_as = false;
        params.families = bgp_wire::FamilySet::empty();
    });
    assert!(lab.remotes[&b].announced.is_empty() && lab.remotes[&b].withdrawn.is_empty());
    lab.announce(a, &[net("10.2.0.0/24")], next_hop(1), &attributes(&[]));
    lab.drain_all();
    assert_eq!(lab.view(b).len(), 2);
}

fn rename(lab: &mut Lab, local_as: Asn, id: u8) {
    let (router_id, cluster_id) = (router_id(id), None);
    lab.input(Input::Rename { local_as, router_id, cluster_id });
    lab.drain_all();
}

#[test]
fn routes_that_a_restarting_client_left_are_told_with_the_cluster_of_a_new_identifier() {
    let mut lab = Lab::new();
    let (a, b) = (lab.up(1, client(1)), lab.up(2, client(2)));
    lab.announce(a, &[net("10.1.0.0/24")], next_hop(1), &attributes(&[]));
    lab.drain_all();
    lab.down(a, Retain::Stale);
    rename(&mut lab, LOCAL_AS, 253);
    assert_eq!(lab.view(b)[&net("10.1.0.0/24")].attributes.cluster_list, [ClusterId(router_id(253).0)]);
    lab.up(1, client(1));
    lab.drain_all();
    assert_eq!(lab.view(b).len(), 1, "the client comes back as itself");
}

#[test]
fn another_as_of_this_speaker_is_what_loops_are_looked_for_by_on_sessions_that_have_their_own() {
    let mut lab = Lab::new();
    let (a, b) = (lab.up(1, external(1, 65001)), lab.up(2, client(2)));
    lab.announce(a, &[net("10.1.0.0/24")], next_hop(1), &external_attributes(&[65001, 65100]));
    lab.drain_all();
    assert_eq!(lab.view(b).len(), 1);
    rename(&mut lab, Asn(65100), 254);
    assert!(lab.view(b).is_empty());
    rename(&mut lab, LOCAL_AS, 254);
    assert_eq!(lab.view(b).len(), 1);
}

#[test]
fn an_aggregate_names_the_speaker_as_it_is_called_now() {
    let mut lab = Lab::new();
    let (a, b) = (lab.up(1, external(1, 65001)), lab.up(2, client(2)));
    lab.announce(a, &[net("10.1.1.0/24")], next_hop(1), &external_attributes(&[65001]));
    let aggregation = Some(Arc::new(Aggregation::default()));
    lab.originate(0, &[Origination { aggregation, ..Origination::new(net("10.1.0.0/16")) }]);
    lab.drain_all();
    rename(&mut lab, Asn(65100), 253);
    let expected = Aggregator { asn: Asn(65100), router_id: router_id(253) };
    assert_eq!(lab.view(b)[&net("10.1.0.0/16")].attributes.aggregator, Some(expected));
}

#[test]
fn a_refresh_of_who_came_back_under_another_identity_tells_nobody_what_has_not_changed() {
    let mut lab = Lab::new();
    let peer = lab.up(1, PeerParams { enhanced_refresh: true, ..client(1) });
    let other = lab.up(2, client(2));
    let routes = [net("10.1.0.0/24"), net("10.2.0.0/24")];
    lab.announce(peer, &routes, next_hop(1), &attributes(&[]));
    lab.drain_all();
    lab.down(peer, Retain::Stale);
    let another = PeerParams { enhanced_refresh: true, peer_router_id: router_id(77), ..client(1) };
    let peer = lab.up(1, another);
    lab.announce(peer, &routes, next_hop(1), &attributes(&[]));
    lab.end_of_rib(peer, V4);
    lab.drain_all();
    assert_eq!(lab.view(other)[&routes[0]].attributes.originator_id, Some(router_id(77)));
    lab.quiet(other);
    for _ in 0..2 {
        lab.refresh(peer, V4, RefreshKind::BEGIN);
        lab.announce(peer, &routes, next_hop(1), &attributes(&[]));
        lab.refresh(peer, V4, RefreshKind::END);
        lab.drain_all();
        assert_eq!(lab.remotes[&other].announced, []);
    }
}

#[test]
fn routes_that_are_kept_for_a_lost_peer_are_judged_by_the_policy_that_is_in_force() {
    let mut lab = Lab::new();
    let (peer, other) = (lab.up(1, client(1)), lab.up(2, client(2)));
    let here = net("10.1.0.0/24");
    lab.announce(peer, &[here], next_hop(1), &attributes(&[]));
    lab.drain_all();
    lab.down(peer, Retain::Stale);
    lab.drain_all();
    assert_eq!(lab.view(other).len(), 1);
    change(&mut lab, peer, |params| params.import = Policy::reject_all());
    assert!(lab.view(other).is_empty());
    lab.input(Input::SetPolicy { peer, import: Some(Policy::accept_all()), export: None });
    lab.drain_all();
    assert_eq!(lab.view(other).len(), 1);
    // What is reflected, and how, follows the role too.
    let non_client = lab.up(3, internal(3));
    lab.drain_all();
    assert_eq!(lab.view(non_client).len(), 1);
    change(&mut lab, peer, |params| params.role = PeerRole::Plain);
    assert!(lab.view(non_client).is_empty());
    assert_eq!(lab.view(other).len(), 1);
    lab.now += core::time::Duration::from_secs(121);
    lab.drain_all();
    assert!(lab.view(other).is_empty(), "its time is what was agreed on");
}
