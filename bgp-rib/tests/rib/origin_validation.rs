//! Origin validation, told from outside (RFC 6811).

use std::sync::Arc;

use bgp_rib::policy::{Condition, PolicyConfig, RpkiState, Rule, Verdict};
use bgp_rib::{
    Aggregation, Ineligible, Input, Origination, PathVerdict, PeerParams, Policy, Vrp, VrpChange, VrpSet,
};
use bgp_wire::Asn;
use ipnet::{IpNet, Ipv4Net};

use crate::support::*;

fn vrp(prefix: &str, max_length: u8, asn: u32) -> Vrp {
    Vrp { prefix: net(prefix), max_length, asn: Asn(asn) }
}

fn no(state: RpkiState) -> Policy {
    let rule = Rule::reject("no such").when(Condition::Rpki(state));
    Policy::compile(PolicyConfig::new("validated", Verdict::Accept).rule(rule)).unwrap()
}

/// What a cache tells: payloads that come and go.
#[derive(Default)]
struct Cache {
    there: Vec<Vrp>,
    told: Option<Arc<VrpSet>>,
}

impl Cache {
    fn tell(&mut self, lab: &mut Lab, announced: &[Vrp], withdrawn: &[Vrp]) {
        self.there.retain(|vrp| !withdrawn.contains(vrp));
        self.there.extend(announced);
        let to = Arc::new(VrpSet::new(self.there.iter().copied()));
        let from = self.told.replace(to.clone());
        lab.input(Input::Vrps(VrpChange::new(from, to)));
    }
}

#[test]
fn invalid_routes_take_no_part_and_do_again_as_soon_as_they_are_authorised() {
    let (mut lab, mut cache) = (Lab::new(), Cache::default());
    let from = lab.up(1, PeerParams { import: no(RpkiState::Invalid), ..external(1, 65001) });
    let to = lab.up(2, internal(2));
    let prefixes = [net("10.1.0.0/16"), net("10.1.1.0/24"), net("10.2.0.0/16"), net("10.3.0.0/16")];
    lab.announce(from, &prefixes, next_hop(1), &external_attributes(&[65001]));
    lab.drain_all();
    assert_eq!(lab.view(to).len(), 4, "nobody looked");
    lab.quiet(to);
    // Too long, another AS, and nobody at all (AS 0).
    cache.tell(
        &mut lab,
        &[vrp("10.1.0.0/16", 16, 65001), vrp("10.2.0.0/15", 24, 65009), vrp("10.3.0.0/16", 16, 0)],
        &[],
    );
    lab.drain_all();
    assert_eq!(lab.view(to).keys().copied().collect::<Vec<_>>(), [net("10.1.0.0/16")]);
    assert_eq!(lab.remotes[&to].announced, [], "what is valid is not told again");
    let explained = lab.rib.explain(net("10.1.1.0/24")).unwrap();
    assert_eq!(explained.paths[0].verdict, PathVerdict::Ineligible(Ineligible::ImportPolicy));
    cache.tell(
        &mut lab,
        &[vrp("10.1.0.0/16", 24, 65001)],
        &[vrp("10.2.0.0/15", 24, 65009), vrp("10.3.0.0/16", 16, 0)],
    );
    lab.drain_all();
    assert_eq!(lab.view(to).len(), 4);
}

#[test]
fn who_originates_is_the_last_of_the_path_ours_for_an_empty_one_and_nobody_behind_a_set() {
    let (mut lab, mut cache) = (Lab::new(), Cache::default());
    let inside = lab.up(1, PeerParams { import: no(RpkiState::Invalid), ..client(1) });
    let to = lab.up(2, client(2));
    cache.tell(&mut lab, &[vrp("10.0.0.0/8", 24, 65009), vrp("11.0.0.0/8", 24, LOCAL_AS.0)], &[]);
    lab.announce(inside, &[net("10.1.0.0/16")], next_hop(1), &attributes(&[65001, 65009]));
    lab.announce(inside, &[net("10.2.0.0/16")], next_hop(1), &attributes(&[65009, 65001]));
    lab.announce(inside, &[net("11.1.0.0/16"), net("12.0.0.0/8")], next_hop(1), &attributes(&[]));
    lab.drain_all();
    let held: Vec<_> = lab.view(to).keys().copied().collect();
    assert_eq!(held, [net("10.1.0.0/16"), net("11.1.0.0/16"), net("12.0.0.0/8")]);
}

#[test]
fn an_export_policy_that_asks_is_followed_when_payloads_change() {
    let (mut lab, mut cache) = (Lab::new(), Cache::default());
    let from = lab.up(1, external(1, 65001));
    let to = lab.up(2, PeerParams { export: no(RpkiState::NotFound), ..internal(2) });
    let outside = [net("10.1.0.0/16"), net("10.2.0.0/16")];
    lab.announce(from, &outside, next_hop(1), &external_attributes(&[65001]));
    lab.drain_all();
    assert_eq!(lab.view(to).len(), 2, "nobody looked");
    cache.tell(&mut lab, &[vrp("10.1.0.0/16", 16, 65001)], &[]);
    lab.drain_all();
    assert_eq!(lab.view(to).keys().copied().collect::<Vec<_>>(), outside[..1]);
    cache.tell(&mut lab, &[vrp("10.2.0.0/16", 16, 65001)], &[vrp("10.1.0.0/16", 16, 65001)]);
    lab.drain_all();
    assert_eq!(lab.view(to).keys().copied().collect::<Vec<_>>(), outside[1..]);
    assert_eq!(lab.remotes[&to].withdrawn, [outside[1], outside[0]]);
}

#[test]
fn payloads_that_change_while_a_peer_still_reads_what_another_policy_makes_lose_no_route() {
    let (mut lab, mut cache) = (Lab::new(), Cache::default());
    let from = lab.up(1, external(1, 65001));
    let to = lab.up(2, PeerParams { export: no(RpkiState::Invalid), ..internal(2) });
    let bad = vrp("10.1.0.0/16", 16, 65009);
    cache.tell(&mut lab, &[bad], &[]);
    lab.announce(from, &[net("10.1.0.0/16")], next_hop(1), &external_attributes(&[65001]));
    lab.drain_all();
    assert!(lab.view(to).is_empty());
    // The policy that kept the route back would let it pass by now; the peer was not told it all the same.
    lab.input(Input::SetPolicy { peer: to, import: None, export: Some(Policy::accept_all()) });
    cache.tell(&mut lab, &[], &[bad]);
    lab.drain_all();
    assert_eq!(lab.view(to).len(), 1);
}

#[test]
fn what_an_aggregate_excepts_may_depend_on_validity() {
    let (mut lab, mut cache) = (Lab::new(), Cache::default());
    let (from, to) = (lab.up(1, external(1, 65001)), lab.up(2, internal(2)));
    let inside = [net("10.1.1.0/24"), net("10.1.2.0/24")];
    lab.announce(from, &inside, next_hop(1), &external_attributes(&[65001]));
    let aggregation = Aggregation { always: true, suppress: true, except: no(RpkiState::NotFound) };
    let aggregation = Some(Arc::new(aggregation));
    cache.tell(&mut lab, &[vrp("10.1.1.0/24", 24, 65001)], &[]);
    lab.originate(0, &[Origination { aggregation, ..Origination::new(net("10.1.0.0/16")) }]);
    lab.drain_all();
    let held = |lab: &Lab| lab.view(to).keys().copied().collect::<Vec<_>>();
    assert_eq!(held(&lab), [net("10.1.0.0/16"), inside[0]]);
    cache.tell(&mut lab, &[vrp("10.1.2.0/24", 24, 65001)], &[vrp("10.1.1.0/24", 24, 65001)]);
    lab.drain_all();
    assert_eq!(held(&lab), [net("10.1.0.0/16"), inside[1]]);
}

/// What a cache without an order tells, one by one.
fn plainly(vrps: &[Vrp], prefix: IpNet, origin: Asn) -> RpkiState {
    let covering = || vrps.iter().filter(|vrp| vrp.prefix.trunc().contains(&prefix));
    let lets = |vrp: &Vrp| vrp.asn == origin && origin != Asn(0) && prefix.prefix_len() <= vrp.max_length;
    match (covering().any(lets), covering().count()) {
        (true, _) => RpkiState::Valid,
        (false, 0) => RpkiState::NotFound,
        (false, _) => RpkiState::Invalid,
    }
}

#[test]
fn a_state_is_that_of_all_payloads_around_a_prefix_whatever_their_lengths() {
    let mut vrps = vec![vrp("0.0.0.0/0", 8, 64999), vrp("::/0", 32, 65001), vrp("2001:db8::/32", 48, 65002)];
    for n in 0..64_u32 {
        let length = 8 + u8::try_from(n % 17).unwrap();
        let prefix = Ipv4Net::new((0x0a00_0000 + n * 0x0004_0000).into(), length).unwrap();
        vrps.push(Vrp { prefix: prefix.into(), max_length: length.max(20), asn: Asn(65000 + n % 3) });
    }
    let mut prefixes =
        vec![net("2001:db8:1::/48"), net("2001:db8::/64"), net("2001:db9::/32"), net("10.0.0.0/8")];
    let inside = (0..64_u32).map(|n| Ipv4Net::new((0x0a00_0000 + n * 0x0004_0000).into(), 20).unwrap());
    prefixes.extend(inside.map(IpNet::from));
    for state in [RpkiState::Valid, RpkiState::Invalid, RpkiState::NotFound] {
        let (mut lab, mut cache) = (Lab::new(), Cache::default());
        let from = lab.up(1, PeerParams { import: no(state), ..external(1, 65001) });
        let to = lab.up(2, internal(2));
        cache.tell(&mut lab, &vrps, &[]);
        for prefix in &prefixes {
            let hop = if prefix.addr().is_ipv4() { next_hop(1) } else { next_hop6(1) };
            lab.announce(from, &[*prefix], hop, &external_attributes(&[65001]));
        }
        lab.drain_all();
        for prefix in &prefixes {
            let expected = plainly(&vrps, *prefix, Asn(65001)) != state;
            assert_eq!(lab.view(to).contains_key(prefix), expected, "{prefix} unless {state:?}");
        }
    }
}

#[test]
fn payloads_that_do_not_follow_on_the_last_ones_are_taken_in_all_the_same() {
    let (mut lab, mut cache) = (Lab::new(), Cache::default());
    let from = lab.up(1, external(1, 65001));
    let to = lab.up(2, PeerParams { export: no(RpkiState::Invalid), ..internal(2) });
    let prefix = net("10.1.0.0/16");
    lab.announce(from, &[prefix], next_hop(1), &external_attributes(&[65001]));
    cache.tell(&mut lab, &[vrp("10.1.0.0/16", 16, 65001)], &[]);
    lab.drain_all();
    assert_eq!(lab.view(to).len(), 1);
    let other = Arc::new(VrpSet::new([vrp("10.1.0.0/16", 16, 65009)]));
    lab.input(Input::Vrps(VrpChange::new(None, other)));
    lab.drain_all();
    assert!(lab.view(to).is_empty());
}
