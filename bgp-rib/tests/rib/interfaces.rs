//! Policies over the interface by which a peer's route leaves.

use bgp_rib::policy::{Condition, PolicyConfig, Rule, Verdict};
use bgp_rib::{HeldBack, Ineligible, Input, Origination, PathVerdict, PeerParams, Policy};

use crate::support::*;

const TUNNELLED: &str = "10.1.0.0/24";
const PLAIN: &str = "10.2.0.0/24";

/// Nothing that leaves by a tunnel.
fn no_tunnels() -> Policy {
    let tunnel = Condition::Interface("vxlan*".parse().unwrap());
    Policy::compile(
        PolicyConfig::new("no tunnels", Verdict::Accept).rule(Rule::reject("tunnel").when(tunnel)),
    )
    .unwrap()
}

fn leaves_by(lab: &mut Lab, last: u8, interface: Option<&str>) {
    lab.input(Input::NextHopInterface(address(last), interface.map(Into::into)));
}

fn told() -> bgp_wire::PathAttributes {
    attributes(&[])
}

#[test]
fn an_export_policy_follows_a_next_hop_from_one_interface_to_another() {
    let mut lab = Lab::new();
    let one = lab.up(1, client(1));
    let two = lab.up(2, PeerParams { export: no_tunnels(), ..client(2) });
    let three = lab.up(3, client(3));
    leaves_by(&mut lab, 21, Some("vxlan.calico"));
    lab.announce(one, &[net(TUNNELLED)], next_hop(21), &told());
    lab.announce(one, &[net(PLAIN)], next_hop(22), &told());
    lab.drain_all();
    assert_eq!(lab.view(two).keys().copied().collect::<Vec<_>>(), [net(PLAIN)], "no interface is no tunnel");
    let explained = lab.rib.explain(net(TUNNELLED)).unwrap();
    let verdict = explained.peers.iter().find(|told| told.peer == two).unwrap().verdict;
    assert_eq!(verdict, Err(HeldBack::ExportPolicy));
    lab.quiet(two);
    leaves_by(&mut lab, 21, Some("eth0"));
    lab.drain_all();
    assert_eq!(lab.remotes[&two].announced, [net(TUNNELLED)], "just what leaves elsewhere now");
    lab.quiet(two);
    leaves_by(&mut lab, 22, Some("vxlan-v6.calico"));
    lab.drain_all();
    assert_eq!(lab.remotes[&two].withdrawn, [net(PLAIN)]);
    lab.quiet(two);
    leaves_by(&mut lab, 22, None);
    lab.drain_all();
    assert_eq!(lab.remotes[&two].announced, [net(PLAIN)]);
    assert_eq!(lab.view(two).len(), lab.view(three).len());
}

#[test]
fn who_asks_for_no_interface_hears_of_none() {
    let mut lab = Lab::new();
    let (one, two) = (lab.up(1, client(1)), lab.up(2, client(2)));
    lab.announce(one, &[net(PLAIN)], next_hop(22), &told());
    lab.drain_all();
    lab.quiet(two);
    leaves_by(&mut lab, 22, Some("eth0"));
    assert!(lab.rib.poll_timeout().is_none_or(|at| at > lab.now), "nothing is looked at");
    lab.drain_all();
    assert_eq!(lab.remotes[&two].updates, 0);
}

#[test]
fn an_import_policy_judges_anew_what_leaves_elsewhere() {
    let mut lab = Lab::new();
    let one = lab.up(1, PeerParams { import: no_tunnels(), ..client(1) });
    let two = lab.up(2, client(2));
    lab.announce(one, &[net(TUNNELLED), net(PLAIN)], next_hop(21), &told());
    lab.drain_all();
    assert_eq!(lab.view(two).len(), 2);
    leaves_by(&mut lab, 21, Some("vxlan.calico"));
    lab.drain_all();
    assert!(lab.view(two).is_empty());
    let explained = lab.rib.explain(net(PLAIN)).unwrap();
    assert_eq!(explained.paths[0].verdict, PathVerdict::Ineligible(Ineligible::ImportPolicy));
    leaves_by(&mut lab, 21, Some("eth0"));
    lab.drain_all();
    assert_eq!(lab.view(two).len(), 2);
}

#[test]
fn what_the_originator_says_of_an_own_route_counts_before_its_next_hop() {
    let mut lab = Lab::new();
    let two = lab.up(2, PeerParams { export: no_tunnels(), ..client(2) });
    leaves_by(&mut lab, 21, Some("vxlan.calico"));
    let route = |prefix: &str, interface: Option<&str>| Origination {
        next_hop: Some(next_hop(21)),
        interface: interface.map(Into::into),
        ..Origination::new(net(prefix))
    };
    lab.originate(1, &[route(TUNNELLED, None), route(PLAIN, Some("cali123"))]);
    lab.drain_all();
    assert_eq!(lab.view(two).keys().copied().collect::<Vec<_>>(), [net(PLAIN)]);
}

#[test]
fn a_follower_that_wants_to_know_is_told_of_another_interface_and_others_are_not() {
    let mut lab = Lab::new();
    let one = lab.up(1, client(1));
    lab.announce(one, &[net(PLAIN)], next_hop(22), &told());
    lab.settle();
    let (shows, kernel) = (lab.rib.open_marking_reader(), lab.rib.open_reader());
    for reader in [shows, kernel] {
        while lab.rib.poll_reader(reader, 10).is_some() {}
    }
    leaves_by(&mut lab, 22, Some("eth0"));
    lab.settle();
    let batch = lab.rib.poll_reader(shows, 10).unwrap();
    let best = batch.changes[0].best.as_ref().unwrap();
    assert_eq!((batch.changes.len(), best.interface.as_deref()), (1, Some("eth0")));
    assert!(lab.rib.poll_reader(kernel, 10).is_none());
}
