//! Roles and Only to Customer (RFC 9234 §5), both procedures, row by row.

use bgp_rib::policy::{Action, CommunityEdit, PolicyConfig, Rule, Verdict};
use bgp_rib::{HeldBack, Ineligible, Input, PathVerdict, PeerId, PeerParams, Policy, Retain, RibConfig};
use bgp_wire::{Asn, Community, PathAttributes, Role};

use crate::support::*;

const HERE: &str = "10.1.0.0/24";

fn with_role(n: u8, asn: u32, role: Role) -> PeerParams {
    PeerParams { bgp_role: Some(role), ..external(n, asn) }
}

fn told_with(otc: Option<u32>) -> PathAttributes {
    PathAttributes { only_to_customer: otc.map(Asn), ..external_attributes(&[65001]) }
}

/// What an internal peer hears of a route from a peer towards which we have this role.
fn heard(role: Role, otc: Option<u32>) -> Result<Option<u32>, Ineligible> {
    let mut lab = Lab::new();
    let (from, inside) = (lab.up(1, with_role(1, 65001, role)), lab.up(2, client(2)));
    lab.announce(from, &[net(HERE)], next_hop(1), &told_with(otc));
    lab.drain_all();
    match lab.rib.explain(net(HERE)).unwrap().paths[0].verdict {
        PathVerdict::Ineligible(why) => {
            assert!(lab.view(inside).is_empty());
            Err(why)
        }
        _ => Ok(lab.view(inside)[&net(HERE)].attributes.only_to_customer.map(|asn| asn.0)),
    }
}

#[test]
fn ingress_finds_leaks_and_marks_what_comes_from_above_or_beside() {
    let leak = Err(Ineligible::RouteLeak);
    for (role, otc, expected) in [
        (Role::PROVIDER, Some(65001), leak),
        (Role::PROVIDER, None, Ok(None)),
        (Role::ROUTE_SERVER, Some(7), leak),
        (Role::ROUTE_SERVER, None, Ok(None)),
        (Role::PEER, Some(7), leak),
        (Role::PEER, Some(65001), Ok(Some(65001))),
        (Role::PEER, None, Ok(Some(65001))),
        (Role::CUSTOMER, Some(7), Ok(Some(7))),
        (Role::CUSTOMER, None, Ok(Some(65001))),
        (Role::ROUTE_SERVER_CLIENT, Some(7), Ok(Some(7))),
        (Role::ROUTE_SERVER_CLIENT, None, Ok(Some(65001))),
    ] {
        assert_eq!(heard(role, otc), expected, "we are {role:?}, told with {otc:?}");
    }
}

#[test]
fn egress_holds_marked_routes_back_from_above_and_beside_and_marks_what_goes_down_or_beside() {
    for (role, otc, expected) in [
        (Role::PROVIDER, Some(7), Ok(Some(7))),
        (Role::PROVIDER, None, Ok(Some(LOCAL_AS.0))),
        (Role::ROUTE_SERVER, Some(7), Ok(Some(7))),
        (Role::ROUTE_SERVER, None, Ok(Some(LOCAL_AS.0))),
        (Role::PEER, Some(7), Err(HeldBack::OnlyToCustomer)),
        (Role::PEER, None, Ok(Some(LOCAL_AS.0))),
        (Role::CUSTOMER, Some(7), Err(HeldBack::OnlyToCustomer)),
        (Role::CUSTOMER, None, Ok(None)),
        (Role::ROUTE_SERVER_CLIENT, Some(7), Err(HeldBack::OnlyToCustomer)),
        (Role::ROUTE_SERVER_CLIENT, None, Ok(None)),
    ] {
        let mut lab = Lab::new();
        let (from, to) = (lab.up(1, client(1)), lab.up(2, with_role(2, 65002, role)));
        let told = PathAttributes { only_to_customer: otc.map(Asn), ..attributes(&[64512]) };
        lab.announce(from, &[net(HERE)], next_hop(1), &told);
        lab.drain_all();
        let explained = lab.rib.explain(net(HERE)).unwrap();
        let verdict = explained.peers.iter().find(|peer| peer.peer == PeerId(2)).unwrap().verdict;
        let got = match lab.view(to).get(&net(HERE)) {
            Some(route) => Ok(route.attributes.only_to_customer.map(|asn| asn.0)),
            None => Err(verdict.unwrap_err()),
        };
        assert_eq!(got, expected, "we are {role:?}, the route has {otc:?}");
    }
}

#[test]
fn a_provider_that_becomes_reachable_through_a_peer_leaks_nothing_to_another_provider() {
    let mut lab = Lab::new();
    let above = lab.up(1, with_role(1, 65001, Role::CUSTOMER));
    let (other, below) =
        (lab.up(2, with_role(2, 65002, Role::CUSTOMER)), lab.up(3, with_role(3, 65003, Role::PROVIDER)));
    lab.announce(above, &[net(HERE)], next_hop(1), &told_with(None));
    lab.drain_all();
    assert!(lab.view(other).is_empty());
    assert_eq!(lab.view(below)[&net(HERE)].attributes.only_to_customer, Some(Asn(65001)));
}

#[test]
fn internal_sessions_have_no_role() {
    let mut lab = Lab::new();
    let from = lab.up(1, PeerParams { bgp_role: Some(Role::PROVIDER), ..client(1) });
    let to = lab.up(2, client(2));
    let told = PathAttributes { only_to_customer: Some(Asn(7)), ..attributes(&[64512]) };
    lab.announce(from, &[net(HERE)], next_hop(1), &told);
    lab.drain_all();
    assert_eq!(lab.view(to)[&net(HERE)].attributes.only_to_customer, Some(Asn(7)));
}

#[test]
fn what_an_external_peer_is_about_to_take_away_is_the_last_choice() {
    let mut lab = Lab::new();
    let (a, b) = (lab.up(1, external(1, 65001)), lab.up(2, external(2, 65002)));
    let inside = lab.up(3, client(3));
    let leaving =
        PathAttributes { communities: vec![Community::GRACEFUL_SHUTDOWN], ..external_attributes(&[65001]) };
    lab.announce(a, &[net(HERE)], next_hop(1), &leaving);
    lab.drain_all();
    assert_eq!(lab.view(inside)[&net(HERE)].attributes.local_pref, Some(0));
    lab.announce(b, &[net(HERE)], next_hop(2), &external_attributes(&[65002, 1, 2, 3]));
    lab.drain_all();
    assert_eq!(lab.view(inside)[&net(HERE)].next_hop, next_hop(2));
}

#[test]
fn who_does_not_honour_graceful_shutdown_takes_it_as_any_community() {
    let mut lab = Lab::new();
    let a = lab.up(1, PeerParams { honour_graceful_shutdown: false, ..external(1, 65001) });
    let inside = lab.up(3, client(3));
    let leaving =
        PathAttributes { communities: vec![Community::GRACEFUL_SHUTDOWN], ..external_attributes(&[65001]) };
    lab.announce(a, &[net(HERE)], next_hop(1), &leaving);
    lab.drain_all();
    assert_eq!(lab.view(inside)[&net(HERE)].attributes.local_pref, Some(100));
}

#[test]
fn a_session_that_is_about_to_end_says_so_with_every_route() {
    let mut lab = Lab::new();
    let from = lab.up(1, client(1));
    let (inside, outside) = (lab.up(2, client(2)), lab.up(3, external(3, 65003)));
    lab.announce(from, &[net(HERE)], next_hop(1), &attributes(&[64512]));
    lab.drain_all();
    for peer in [inside, outside] {
        let params = PeerParams { leaving: true, ..lab.remotes[&peer].params.clone() };
        lab.input(Input::PeerChange(peer, Box::new(params)));
    }
    lab.drain_all();
    for (peer, local_pref) in [(inside, Some(0)), (outside, None)] {
        let told = &lab.view(peer)[&net(HERE)].attributes;
        assert_eq!(
            (told.local_pref, told.communities.as_slice()),
            (local_pref, &[Community::GRACEFUL_SHUTDOWN][..])
        );
    }
}

#[test]
fn what_a_session_says_of_its_end_stands_above_its_policy() {
    let mut lab = Lab::new();
    let from = lab.up(1, client(1));
    let cleared = Rule::accept("cleared").then(Action::Communities(CommunityEdit::Replace(Vec::new())));
    let told_bare = PeerParams {
        export: Policy::compile(PolicyConfig::new("p", Verdict::Reject).rule(cleared)).unwrap(),
        ..client(2)
    };
    let inside = lab.up(2, PeerParams { leaving: true, ..told_bare });
    let marked = PathAttributes { communities: vec![Community(7)], ..attributes(&[64512]) };
    lab.announce(from, &[net(HERE)], next_hop(1), &marked);
    lab.drain_all();
    assert_eq!(lab.view(inside)[&net(HERE)].attributes.communities, [Community::GRACEFUL_SHUTDOWN]);
}

#[test]
fn what_was_rejected_when_it_came_is_marked_when_policy_lets_it_pass() {
    for role in [Role::CUSTOMER, Role::PEER, Role::ROUTE_SERVER_CLIENT] {
        let mut lab = Lab::new();
        let rejecting = PeerParams { import: Policy::reject_all(), ..with_role(1, 65001, role) };
        let (from, inside) = (lab.up(1, rejecting), lab.up(2, client(2)));
        let other = lab.up(3, with_role(3, 65003, Role::CUSTOMER));
        lab.announce(from, &[net(HERE)], next_hop(1), &told_with(None));
        lab.drain_all();
        assert!(lab.view(inside).is_empty());
        lab.input(Input::SetPolicy { peer: from, import: Some(Policy::accept_all()), export: None });
        lab.drain_all();
        assert_eq!(lab.view(inside)[&net(HERE)].attributes.only_to_customer, Some(Asn(65001)), "{role:?}");
        assert!(lab.view(other).is_empty(), "no valley: {role:?}");
    }
}

#[test]
fn a_changed_role_is_told_anew_though_the_session_bounces_meanwhile() {
    let mut lab = Lab::with(RibConfig { turn: 1, ..RibConfig::new(LOCAL_AS, router_id(254)) });
    let plain = || internal(1);
    let (one, other) = (lab.up(1, plain()), lab.up(2, internal(2)));
    let prefixes = [net("10.1.0.0/24"), net("10.2.0.0/24"), net("10.3.0.0/24")];
    lab.announce(one, &prefixes, next_hop(1), &attributes(&[]));
    lab.drain_all();
    assert!(lab.view(other).is_empty(), "a non-client's routes are not for another");
    lab.input(Input::PeerChange(one, Box::new(client(1))));
    lab.down(one, Retain::Stale);
    lab.up(1, client(1));
    lab.drain_all();
    assert_eq!(lab.view(other).len(), 3);
}

#[test]
fn routes_kept_over_a_restart_go_when_the_session_comes_back_in_another_role() {
    for (before, now) in
        [(None, Some(Role::CUSTOMER)), (Some(Role::PEER), Some(Role::PROVIDER)), (Some(Role::PEER), None)]
    {
        let mut lab = Lab::new();
        let in_role = |role| PeerParams { bgp_role: role, ..external(1, 65001) };
        let (peer, inside) = (lab.up(1, in_role(before)), lab.up(2, client(2)));
        lab.announce(peer, &[net(HERE)], next_hop(1), &told_with(None));
        lab.drain_all();
        lab.down(peer, Retain::Stale);
        lab.up(1, in_role(before));
        lab.drain_all();
        assert!(lab.view(inside).contains_key(&net(HERE)), "in the same role they stay");
        lab.end_of_rib(peer, V4);
        lab.announce(peer, &[net(HERE)], next_hop(1), &told_with(None));
        lab.down(peer, Retain::Stale);
        lab.up(1, in_role(now));
        lab.drain_all();
        assert!(lab.view(inside).is_empty(), "{before:?} {now:?}");
    }
}

#[test]
fn routes_kept_over_a_restart_are_judged_as_the_new_session_is_configured() {
    let mut lab = Lab::new();
    let allowing = |allow_own_as| PeerParams { allow_own_as, ..external(1, 65001) };
    let (peer, inside) = (lab.up(1, allowing(1)), lab.up(2, client(2)));
    lab.announce(peer, &[net(HERE)], next_hop(1), &external_attributes(&[65001, LOCAL_AS.0]));
    lab.drain_all();
    assert_eq!(lab.view(inside).len(), 1);
    lab.down(peer, Retain::Stale);
    lab.up(1, allowing(0));
    lab.drain_all();
    assert!(lab.view(inside).is_empty(), "our own AS is once too often in it");
}
