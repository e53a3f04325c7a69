//! How many routes policy keeps out and back, of each peer.

use bgp_rib::policy::{Condition, PolicyConfig, PrefixSet, Rule, Verdict};
use bgp_rib::{HeldBack, Input, PeerId, PeerParams, Policy, Retain};
use ipnet::IpNet;

use crate::support::*;

const ALL: [&str; 4] = ["10.1.0.0/24", "10.2.0.0/24", "10.3.0.0/24", "10.4.0.0/24"];

fn all() -> Vec<IpNet> {
    ALL.map(net).to_vec()
}

fn without(prefixes: &[&str]) -> Policy {
    let some: Vec<IpNet> = prefixes.iter().map(|prefix| net(prefix)).collect();
    let not = Rule::reject("not these").when(Condition::Prefix(PrefixSet::equal(&some)));
    Policy::compile(PolicyConfig::new("without", Verdict::Accept).rule(not)).unwrap()
}

fn rejected(lab: &Lab, peer: PeerId) -> (u32, u32) {
    let counters = lab.rib.peer_counters(peer, V4);
    (counters.import_rejected, counters.export_rejected)
}

/// What explanations say that export policy keeps from a peer.
fn explained(lab: &Lab, peer: PeerId) -> usize {
    let verdict = |prefix: &&str| {
        let explained = lab.rib.explain(net(prefix))?;
        explained.peers.iter().find(|told| told.peer == peer).map(|told| told.verdict)
    };
    ALL.iter().filter_map(verdict).filter(|verdict| *verdict == Err(HeldBack::ExportPolicy)).count()
}

#[test]
fn what_import_policy_rejects_is_counted_while_it_stands() {
    let mut lab = Lab::new();
    let one = lab.up(1, PeerParams { import: without(&ALL[..2]), ..client(1) });
    lab.announce(one, &all(), next_hop(1), &attributes(&[]));
    assert_eq!(rejected(&lab, one), (2, 0));
    lab.withdraw(one, &[net(ALL[0])]);
    assert_eq!(rejected(&lab, one), (1, 0));
    lab.input(Input::SetPolicy { peer: one, import: Some(without(&ALL[1..])), export: None });
    lab.settle();
    assert_eq!(rejected(&lab, one), (3, 0));
    lab.down(one, Retain::Nothing);
    lab.settle();
    assert_eq!(rejected(&lab, one), (0, 0));
}

#[test]
fn what_export_policy_rejects_is_counted_through_changes_of_routes_and_of_the_policy() {
    let mut lab = Lab::new();
    let one = lab.up(1, client(1));
    let two = lab.up(2, PeerParams { export: without(&ALL[..3]), ..client(2) });
    let three = lab.up(3, client(3));
    lab.announce(one, &all(), next_hop(1), &attributes(&[]));
    lab.drain_all();
    assert_eq!([one, two, three].map(|peer| rejected(&lab, peer).1), [0, 3, 0]);
    lab.withdraw(one, &[net(ALL[0]), net(ALL[3])]);
    lab.drain_all();
    assert_eq!(rejected(&lab, two).1, 2);
    lab.announce(one, &all(), next_hop(1), &attributes(&[]));
    lab.input(Input::SetPolicy { peer: two, import: None, export: Some(without(&ALL[3..])) });
    lab.drain_all();
    assert_eq!(rejected(&lab, two).1, 1);
    assert_eq!(explained(&lab, two), 1);
    lab.input(Input::SetPolicy { peer: two, import: None, export: Some(Policy::accept_all()) });
    lab.drain_all();
    assert_eq!(rejected(&lab, two).1, 0);
    assert_eq!(lab.view(two).len(), 4);
}

#[test]
fn an_external_session_without_policy_rejects_everything_there_is() {
    let mut lab = Lab::new();
    let one = lab.up(1, client(1));
    let policy = Policy::default_for(bgp_wire::PeerKind::External);
    let two = lab.up(2, PeerParams { export: policy.clone(), import: policy, ..external(2, 64512) });
    lab.announce(one, &all(), next_hop(1), &attributes(&[]));
    lab.announce(two, &all()[..2], next_hop(2), &external_attributes(&[64512]));
    lab.drain_all();
    assert_eq!(rejected(&lab, two), (2, 4));
}

#[test]
fn a_client_that_is_told_the_best_of_what_may_go_to_it_counts_what_may_not() {
    let mut lab = Lab::new();
    let one = lab.up(1, client(1));
    let export = without(&ALL[..2]);
    let two = lab.up(2, PeerParams { export, best_per_client: true, ..client(2) });
    lab.announce(one, &all(), next_hop(1), &attributes(&[]));
    lab.drain_all();
    assert_eq!(rejected(&lab, two).1, 2);
    lab.withdraw(one, &all());
    lab.drain_all();
    assert_eq!(rejected(&lab, two).1, 0);
}
