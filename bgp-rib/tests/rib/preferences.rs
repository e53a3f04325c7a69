//! Preference by source: what this speaker originates, what peers tell, what was learned from the kernel, and what policy
//! raises above that.

use bgp_rib::policy::{Action, Condition, PolicyConfig, Rule, Span, Verdict, local_pref_of_metric};
use bgp_rib::{
    Input, Origination, OwnerId, PathVerdict, PeerId, PeerParams, Policy, RibConfig, Rung, Source, preference,
};
use bgp_wire::PathAttributes;
use ipnet::IpNet;

use crate::support::*;

const POD: &str = "10.244.1.5/32";

/// As Felix wrote it and `learn` found it.
fn learned() -> Origination {
    Origination {
        preference: Some(preference::LEARNED),
        interface: Some("cali123".into()),
        metric: Some(1024),
        ..Origination::new(net(POD))
    }
}

/// Routes of a LOCAL_PREF above what a metric of 1024 comes to are preferred like this.
fn elevating(by: u32) -> Policy {
    let elevated = Condition::LocalPref(Span::from(local_pref_of_metric(1024) + 1..=u32::MAX));
    let rule = Rule::go_on("elevation").when(elevated).then(Action::Preference(by));
    Policy::compile(PolicyConfig::new("import", Verdict::Accept).rule(rule)).unwrap()
}

fn raised() -> PathAttributes {
    PathAttributes { local_pref: Some(local_pref_of_metric(512)), ..attributes(&[]) }
}

fn verdicts(lab: &Lab, prefix: IpNet) -> Vec<(Source, PathVerdict)> {
    let explained = lab.rib.explain(prefix).unwrap();
    explained.paths.into_iter().map(|path| (path.source, path.verdict)).collect()
}

fn best(lab: &Lab, prefix: IpNet) -> Source {
    let verdicts = verdicts(lab, prefix);
    verdicts.into_iter().find(|(_, verdict)| *verdict == PathVerdict::Best).unwrap().0
}

fn is_of(source: Source, peer: PeerId) -> bool {
    matches!(source, Source::Peer { id, .. } if id == peer)
}

#[test]
fn a_route_of_a_peer_comes_before_one_that_was_learned_from_the_kernel() {
    for first in [false, true] {
        let mut lab = Lab::new();
        let peer = lab.up(1, internal(1));
        if first {
            lab.originate(1, &[learned()]);
        }
        lab.announce(peer, &[net(POD)], next_hop(1), &attributes(&[]));
        lab.originate(1, &[learned()]);
        let verdicts = verdicts(&lab, net(POD));
        assert!(is_of(verdicts[0].0, peer), "{verdicts:?}");
        assert_eq!(verdicts[1], (Source::Local(OwnerId(1)), PathVerdict::Lost(Rung::Preference)));
    }
}

#[test]
fn what_this_speaker_originates_comes_before_routes_of_peers_however_good_they_are() {
    let mut lab = Lab::new();
    let peer = lab.up(1, internal(1));
    lab.originate(1, &[Origination::new(net(POD))]);
    lab.announce(peer, &[net(POD)], next_hop(1), &raised());
    assert_eq!(best(&lab, net(POD)), Source::Local(OwnerId(1)));
    assert_eq!(Rung::Preference.to_string(), "preference");
}

#[test]
fn an_elevated_route_comes_before_the_own_route_of_a_workload_and_the_own_one_is_taken_back() {
    let mut lab = Lab::new();
    let mover = lab.up(1, PeerParams { import: elevating(210), ..internal(1) });
    let other = lab.up(2, internal(2));
    lab.originate(1, &[Origination::new(net(POD))]);
    lab.drain_all();
    assert!(lab.view(other).contains_key(&net(POD)));
    lab.announce(mover, &[net(POD)], next_hop(1), &raised());
    lab.drain_all();
    assert!(is_of(best(&lab, net(POD)), mover));
    assert!(
        !lab.view(other).contains_key(&net(POD)),
        "no client of ours: it hears that from the peer itself"
    );
    lab.withdraw(mover, &[net(POD)]);
    lab.drain_all();
    assert_eq!(best(&lab, net(POD)), Source::Local(OwnerId(1)));
    assert!(lab.view(other).contains_key(&net(POD)));
}

#[test]
fn as_preferred_as_an_own_route_is_not_enough_and_says_so() {
    let mut lab = Lab::new();
    let peer = lab.up(1, PeerParams { import: elevating(200), ..internal(1) });
    lab.announce(peer, &[net(POD)], next_hop(1), &raised());
    lab.originate(1, &[Origination::new(net(POD))]);
    let lost = verdicts(&lab, net(POD))[1];
    assert!(is_of(lost.0, peer) && lost.1 == PathVerdict::Lost(Rung::Local), "{lost:?}");
}

#[test]
fn the_elevation_of_calico_takes_a_workload_from_the_node_that_it_leaves() {
    let mut lab = Lab::new();
    let to = lab.up(1, PeerParams { import: elevating(200), ..client(1) });
    let other = lab.up(2, client(2));
    lab.originate(1, &[learned()]);
    lab.drain_all();
    assert_eq!(lab.view(other)[&net(POD)].next_hop, next_hop(254));
    lab.announce(to, &[net(POD)], next_hop(1), &raised());
    lab.drain_all();
    assert!(is_of(best(&lab, net(POD)), to));
    let told = &lab.view(other)[&net(POD)];
    assert_eq!((told.next_hop, told.attributes.local_pref), (next_hop(1), raised().local_pref));
    assert!(!lab.view(to).contains_key(&net(POD)));
    // The other program may come to another mind.
    lab.originate(1, &[Origination { preference: Some(preference::DIRECT), ..learned() }]);
    lab.drain_all();
    assert_eq!(lab.view(other)[&net(POD)].next_hop, next_hop(254));
}

#[test]
fn another_import_policy_moves_the_best_route_on_a_live_session() {
    let mut lab = Lab::new();
    let (from, other) = (lab.up(1, client(1)), lab.up(2, client(2)));
    lab.originate(1, &[Origination::new(net(POD))]);
    lab.announce(from, &[net(POD)], next_hop(1), &raised());
    lab.drain_all();
    assert_eq!(lab.view(other)[&net(POD)].next_hop, next_hop(254));
    lab.input(Input::SetPolicy { peer: from, import: Some(elevating(250)), export: None });
    lab.drain_all();
    assert_eq!(lab.view(other)[&net(POD)].next_hop, next_hop(1));
    lab.input(Input::SetPolicy { peer: from, import: Some(Policy::accept_all()), export: None });
    lab.drain_all();
    assert_eq!(lab.view(other)[&net(POD)].next_hop, next_hop(254));
}

#[test]
fn preference_stands_above_local_pref_among_many_paths_as_well() {
    let mut lab = Lab::with(RibConfig { many_paths: 4, ..RibConfig::new(LOCAL_AS, router_id(254)) });
    let by = |preference| {
        let rule = Rule::go_on("all").then(Action::Preference(preference));
        Policy::compile(PolicyConfig::new("import", Verdict::Accept).rule(rule)).unwrap()
    };
    let peers: Vec<PeerId> =
        (1..=9u8).map(|n| lab.up(n, PeerParams { import: by(100 + u32::from(n)), ..internal(n) })).collect();
    for (n, peer) in (1..).zip(&peers) {
        let worse = PathAttributes { local_pref: Some(900 - n), ..attributes(&[]) };
        lab.announce(*peer, &[net(POD)], next_hop(20 + u8::try_from(n).unwrap()), &worse);
    }
    for peer in peers.iter().rev() {
        assert!(is_of(best(&lab, net(POD)), *peer));
        lab.withdraw(*peer, &[net(POD)]);
    }
}
