//! Origin validation, told from outside (RFC 6811).

use std::sync::Arc;

use bgp_rib::policy::{Condition, PolicyConfig, RpkiState, Rule, Verdict};
use bgp_rib::{Aggregation, Ineligible, Input, Origination, PathVerdict, PeerParams, Policy, Vrp};
use bgp_wire::Asn;

use crate::support::*;

fn vrp(prefix: &str, max_length: u8, asn: u32) -> Vrp {
    Vrp { prefix: net(prefix), max_length, asn: Asn(asn) }
}

fn no(state: RpkiState) -> Policy {
    let rule = Rule::reject("no such").when(Condition::Rpki(state));
    Policy::compile(PolicyConfig::new("validated", Verdict::Accept).rule(rule)).unwrap()
}

fn tell(lab: &mut Lab, announced: &[Vrp], withdrawn: &[Vrp]) {
    lab.input(Input::Vrps { announced, withdrawn });
}

#[test]
fn invalid_routes_take_no_part_and_do_again_as_soon_as_they_are_authorised() {
    let mut lab = Lab::new();
    let from = lab.up(1, PeerParams { import: no(RpkiState::Invalid), ..external(1, 65001) });
    let to = lab.up(2, internal(2));
    let prefixes = [net("10.1.0.0/16"), net("10.1.1.0/24"), net("10.2.0.0/16"), net("10.3.0.0/16")];
    lab.announce(from, &prefixes, next_hop(1), &external_attributes(&[65001]));
    lab.drain_all();
    assert_eq!(lab.view(to).len(), 4, "nobody looked");
    lab.quiet(to);
    // Too long, another AS, and nobody at all (AS 0).
    tell(
        &mut lab,
        &[vrp("10.1.0.0/16", 16, 65001), vrp("10.2.0.0/15", 24, 65009), vrp("10.3.0.0/16", 16, 0)],
        &[],
    );
    lab.drain_all();
    assert_eq!(lab.view(to).keys().copied().collect::<Vec<_>>(), [net("10.1.0.0/16")]);
    assert_eq!(lab.remotes[&to].announced, [], "what is valid is not told again");
    let explained = lab.rib.explain(net("10.1.1.0/24")).unwrap();
    assert_eq!(explained.paths[0].verdict, PathVerdict::Ineligible(Ineligible::ImportPolicy));
    tell(
        &mut lab,
        &[vrp("10.1.0.0/16", 24, 65001)],
        &[vrp("10.2.0.0/15", 24, 65009), vrp("10.3.0.0/16", 16, 0)],
    );
    lab.drain_all();
    assert_eq!(lab.view(to).len(), 4);
}

#[test]
fn who_originates_is_the_last_of_the_path_ours_for_an_empty_one_and_nobody_behind_a_set() {
    let mut lab = Lab::new();
    let inside = lab.up(1, PeerParams { import: no(RpkiState::Invalid), ..client(1) });
    let to = lab.up(2, client(2));
    tell(&mut lab, &[vrp("10.0.0.0/8", 24, 65009), vrp("11.0.0.0/8", 24, LOCAL_AS.0)], &[]);
    lab.announce(inside, &[net("10.1.0.0/16")], next_hop(1), &attributes(&[65001, 65009]));
    lab.announce(inside, &[net("10.2.0.0/16")], next_hop(1), &attributes(&[65009, 65001]));
    lab.announce(inside, &[net("11.1.0.0/16"), net("12.0.0.0/8")], next_hop(1), &attributes(&[]));
    lab.drain_all();
    let held: Vec<_> = lab.view(to).keys().copied().collect();
    assert_eq!(held, [net("10.1.0.0/16"), net("11.1.0.0/16"), net("12.0.0.0/8")]);
}

#[test]
fn an_export_policy_that_asks_is_followed_when_payloads_change() {
    let mut lab = Lab::new();
    let from = lab.up(1, external(1, 65001));
    let to = lab.up(2, PeerParams { export: no(RpkiState::NotFound), ..internal(2) });
    let outside = [net("10.1.0.0/16"), net("10.2.0.0/16")];
    lab.announce(from, &outside, next_hop(1), &external_attributes(&[65001]));
    lab.drain_all();
    assert_eq!(lab.view(to).len(), 2, "nobody looked");
    tell(&mut lab, &[vrp("10.1.0.0/16", 16, 65001)], &[]);
    lab.drain_all();
    assert_eq!(lab.view(to).keys().copied().collect::<Vec<_>>(), outside[..1]);
    tell(&mut lab, &[vrp("10.2.0.0/16", 16, 65001)], &[vrp("10.1.0.0/16", 16, 65001)]);
    lab.drain_all();
    assert_eq!(lab.view(to).keys().copied().collect::<Vec<_>>(), outside[1..]);
    assert_eq!(lab.remotes[&to].withdrawn, [outside[1], outside[0]]);
}

#[test]
fn payloads_that_change_while_a_peer_still_reads_what_another_policy_makes_lose_no_route() {
    let mut lab = Lab::new();
    let from = lab.up(1, external(1, 65001));
    let to = lab.up(2, PeerParams { export: no(RpkiState::Invalid), ..internal(2) });
    let bad = vrp("10.1.0.0/16", 16, 65009);
    tell(&mut lab, &[bad], &[]);
    lab.announce(from, &[net("10.1.0.0/16")], next_hop(1), &external_attributes(&[65001]));
    lab.drain_all();
    assert!(lab.view(to).is_empty());
    // The policy that kept the route back would let it pass by now; the peer was not told it all the same.
    lab.input(Input::SetPolicy { peer: to, import: None, export: Some(Policy::accept_all()) });
    tell(&mut lab, &[], &[bad]);
    lab.drain_all();
    assert_eq!(lab.view(to).len(), 1);
}

#[test]
fn what_an_aggregate_excepts_may_depend_on_validity() {
    let mut lab = Lab::new();
    let (from, to) = (lab.up(1, external(1, 65001)), lab.up(2, internal(2)));
    let inside = [net("10.1.1.0/24"), net("10.1.2.0/24")];
    lab.announce(from, &inside, next_hop(1), &external_attributes(&[65001]));
    let aggregation = Aggregation { always: true, suppress: true, except: no(RpkiState::NotFound) };
    let aggregation = Some(Arc::new(aggregation));
    tell(&mut lab, &[vrp("10.1.1.0/24", 24, 65001)], &[]);
    lab.originate(0, &[Origination { aggregation, ..Origination::new(net("10.1.0.0/16")) }]);
    lab.drain_all();
    let held = |lab: &Lab| lab.view(to).keys().copied().collect::<Vec<_>>();
    assert_eq!(held(&lab), [net("10.1.0.0/16"), inside[0]]);
    tell(&mut lab, &[vrp("10.1.2.0/24", 24, 65001)], &[vrp("10.1.1.0/24", 24, 65001)]);
    lab.drain_all();
    assert_eq!(held(&lab), [net("10.1.0.0/16"), inside[1]]);
}
