//! Prefixes that belong to no network (RFC 4271 §6.3).

use bgp_rib::policy::{Condition, PolicyConfig, PrefixSet, Rule, Verdict};
use bgp_rib::{Event, Ineligible, Input, Origination, OwnerId, PathVerdict, PeerParams, Policy, RouteFilter};
use bgp_wire::Family;

use crate::support::*;

const GOOD: &str = "10.1.0.0/24";
const MARTIANS: [&str; 3] = ["224.0.1.0/24", "127.0.0.0/8", "0.1.0.0/16"];

fn others_than(prefix: &str) -> Policy {
    let some = PrefixSet::equal(&[net(prefix)]);
    let rule = Rule::reject("some").when(Condition::Prefix(some));
    Policy::compile(PolicyConfig::new("others", Verdict::Accept).rule(rule)).unwrap()
}

#[test]
fn a_martian_beside_a_good_prefix_goes_nowhere_and_says_why() {
    for import in [Policy::accept_all(), others_than("10.9.0.0/24")] {
        let mut lab = Lab::new();
        let from = lab.up(1, PeerParams { import, ..client(1) });
        let other = lab.up(2, client(2));
        let all = MARTIANS.into_iter().chain([GOOD, "0.0.0.0/0", "240.0.0.0/8"]).map(net).collect::<Vec<_>>();
        lab.announce(from, &all, next_hop(1), &attributes(&[]));
        let all = ["fe80::/64", "::1/128", "ff02::/16", "2001:db8::/64", "::/0"].map(net);
        lab.announce(from, &all, next_hop6(1), &attributes(&[]));
        lab.drain_all();
        let told: Vec<_> = lab.view(other).keys().map(ToString::to_string).collect();
        assert_eq!(told, ["0.0.0.0/0", GOOD, "240.0.0.0/8", "::/0", "2001:db8::/64"]);
        let explained = lab.rib.explain(net("fe80::/64")).unwrap();
        assert_eq!(explained.paths[0].verdict, PathVerdict::Ineligible(Ineligible::Martian));
        let counters = lab.rib.peer_counters(from, V4);
        assert_eq!((counters.received, counters.accepted), (6, 3));
        let filter = RouteFilter { peer: Some(from), ..RouteFilter::all(V4) };
        let (shown, _) = lab.rib.routes(&filter, Default::default(), 100);
        assert_eq!(shown.iter().filter(|route| route.ineligible == Some(Ineligible::Martian)).count(), 3);
        lab.withdraw(from, &MARTIANS.map(net));
        assert_eq!(lab.rib.peer_counters(from, V4).received, 3);
    }
}

#[test]
fn no_policy_that_changes_lets_a_martian_in() {
    let mut lab = Lab::new();
    let (from, other) = (lab.up(1, client(1)), lab.up(2, client(2)));
    lab.announce(from, &[net(GOOD), net(MARTIANS[0])], next_hop(1), &attributes(&[]));
    for import in [others_than("10.9.0.0/24"), Policy::reject_all(), Policy::accept_all()] {
        lab.input(Input::SetPolicy { peer: from, import: Some(import), export: None });
        lab.drain_all();
        assert!(!lab.view(other).contains_key(&net(MARTIANS[0])));
    }
    assert_eq!(lab.view(other).len(), 1);
}

#[test]
fn labelled_prefixes_are_looked_at_and_those_of_a_vpn_are_their_owners() {
    let mut lab = Lab::new();
    let labelled = Family::new(1, 4);
    let families = [labelled, Family::new(1, 128)];
    let (from, other) =
        (lab.up(1, of_families(client(1), &families)), lab.up(2, of_families(client(2), &families)));
    // Label 16; 127.0.0.0/8 and 10.0.0.0/8.
    let plain = [nlri(labelled, "20 000101 7f"), nlri(labelled, "20 000101 0a")];
    lab.announce_nlri(from, 0, &plain, next_hop(1), &attributes(&[]));
    let vpn = nlri(families[1], "60 000101 0000 fde8 00000001 7f");
    lab.announce_nlri(from, 0, &[vpn], next_hop(1), &attributes(&[]));
    lab.drain_all();
    assert_eq!(lab.further(other, labelled).len(), 1);
    assert_eq!(lab.further(other, families[1]).len(), 1);
}

#[test]
fn a_martian_is_not_originated() {
    let mut lab = Lab::new();
    let other = lab.up(2, client(2));
    lab.originate(1, &[Origination::new(net("fe80::/64")), Origination::new(net(GOOD))]);
    lab.drain_all();
    assert_eq!(lab.view(other).len(), 1);
    assert!(lab.events.contains(&Event::OriginationRefused(OwnerId(1), net("fe80::/64"))));
}
