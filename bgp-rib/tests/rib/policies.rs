//! What policies do to routes on their way in and out.

use bgp_rib::policy::{Action, CommunityEdit, Condition, Number, PolicyConfig, PrefixSet, Rule, SetNextHop, Verdict};
use bgp_rib::{Ineligible, PathVerdict, PeerParams, Policy, RouteFilter};
use bgp_wire::{Community, PathAttributes};

use crate::support::*;

fn compile(config: PolicyConfig) -> Policy {
    Policy::compile(config).unwrap()
}

/// Rejects one prefix, raises another, marks everything that passes.
fn three_ways() -> Policy {
    let is = |prefix| Condition::Prefix(PrefixSet::equal(&[net(prefix)]));
    let mark = CommunityEdit::Add(vec![Community::new(65000, 1)]);
    compile(
        PolicyConfig::new("three ways", Verdict::Accept)
            .rule(Rule::reject("not this").at_line(3).when(is("10.1.0.0/24")))
            .rule(Rule::go_on("mark").then(Action::Communities(mark)))
            .rule(Rule::accept("raise").when(is("10.2.0.0/24")).then(Action::LocalPref(Number::Set(200)))),
    )
}

fn importing(n: u8, import: Policy) -> PeerParams {
    PeerParams { import, ..client(n) }
}

#[test]
fn import_rejects_raises_and_marks_prefixes_of_one_update() {
    let mut lab = Lab::new();
    let (from, to) = (lab.up(1, importing(1, three_ways())), lab.up(2, client(2)));
    let told = [net("10.1.0.0/24"), net("10.2.0.0/24"), net("10.3.0.0/24")];
    lab.announce(from, &told, next_hop(1), &attributes(&[]));
    lab.drain_all();
    let mark = vec![Community::new(65000, 1)];
    let view = lab.view(to);
    assert_eq!(view.keys().copied().collect::<Vec<_>>(), told[1..]);
    assert!(view.values().all(|route| route.attributes.communities == mark));
    assert_eq!(view[&told[1]].attributes.local_pref, Some(200));
    assert_eq!(view[&told[2]].attributes.local_pref, Some(100));
    let counters = lab.rib.peer_counters(from, V4);
    assert_eq!((counters.received, counters.accepted), (3, 2));
}

#[test]
fn the_adj_rib_in_keeps_the_route_as_it_was_received() {
    let mut lab = Lab::new();
    let from = lab.up(1, importing(1, three_ways()));
    lab.announce(from, &[net("10.2.0.0/24")], next_hop(1), &attributes(&[]));
    let (routes, _) = lab.rib.routes(&RouteFilter::all(V4), Default::default(), 10);
    let block = |attributes: &PathAttributes| {
        let mut block = Vec::new();
        attributes.encode_block(&mut block).unwrap();
        block
    };
    let received = routes[0].received.as_ref().expect("import policy changed it");
    assert_eq!(received.block, block(&attributes(&[])));
    assert_ne!(routes[0].attributes.block, received.block);
}

#[test]
fn an_explanation_names_the_rule_and_its_line() {
    let mut lab = Lab::new();
    let from = lab.up(1, importing(1, three_ways()));
    lab.announce(from, &[net("10.1.0.0/24")], next_hop(1), &attributes(&[]));
    let explained = lab.rib.explain(net("10.1.0.0/24")).unwrap();
    assert_eq!(explained.paths[0].verdict, PathVerdict::Ineligible(Ineligible::ImportPolicy));
    let rule = "policy \"three ways\", rule 1 \"not this\" (line 3)";
    assert_eq!(explained.paths[0].policy.as_deref(), Some(rule));
}

#[test]
fn import_gives_another_next_hop_and_tells_the_kernel() {
    let there = Action::NextHop(SetNextHop::Address("10.0.0.77".parse().unwrap()));
    let rule = Rule::accept("there").then(there).then(Action::Preference(200));
    let mut lab = Lab::new();
    let from = lab.up(1, importing(1, compile(PolicyConfig::new("p", Verdict::Reject).rule(rule))));
    let to = lab.up(2, client(2));
    let reader = lab.rib.open_reader();
    lab.announce(from, &[net("10.2.0.0/24")], next_hop(1), &attributes(&[]));
    lab.drain_all();
    assert_eq!(lab.view(to)[&net("10.2.0.0/24")].next_hop, next_hop(77));
    let batch = lab.rib.poll_reader(reader, 10).unwrap();
    assert_eq!(batch.changes[0].best.as_ref().unwrap().attributes.kernel.preference, Some(200));
}

#[test]
fn edited_sets_go_with_the_last_route() {
    let mut lab = Lab::new();
    let from = lab.up(1, importing(1, three_ways()));
    let told = [net("10.2.0.0/24"), net("10.3.0.0/24"), net("10.4.0.0/24")];
    lab.announce(from, &told, next_hop(1), &attributes(&[]));
    assert_eq!(lab.rib.table_counters(V4).attribute_sets, 3, "as received, raised, marked");
    lab.withdraw(from, &told);
    lab.drain_all();
    assert_eq!(lab.rib.table_counters(V4).attribute_sets, 0);
}
