//! What policies do to routes on their way in and out.

use bgp_rib::policy::{
    Action, CommunityEdit, Condition, Number, PolicyConfig, PrefixSet, Rule, SetNextHop, Verdict,
};
use bgp_rib::{
    HeldBack, Ineligible, Input, Origination, OwnerId, PathVerdict, PeerParams, Policy, RouteFilter, Source,
};
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

fn exporting(params: PeerParams, export: Policy) -> PeerParams {
    PeerParams { export, ..params }
}

#[test]
fn export_rejects_raises_and_marks_for_its_peers_alone() {
    let mut lab = Lab::new();
    let from = lab.up(1, client(1));
    let (edited, plain) = (lab.up(2, exporting(client(2), three_ways())), lab.up(3, client(3)));
    let told = [net("10.1.0.0/24"), net("10.2.0.0/24"), net("10.3.0.0/24")];
    lab.announce(from, &told, next_hop(1), &attributes(&[]));
    lab.drain_all();
    let view = lab.view(edited);
    assert_eq!(view.keys().copied().collect::<Vec<_>>(), told[1..]);
    assert_eq!(view[&told[1]].attributes.local_pref, Some(200));
    assert_eq!(view[&told[2]].attributes.communities, [Community::new(65000, 1)]);
    assert_eq!(lab.view(plain)[&told[2]].attributes.communities, []);
    assert_eq!(lab.view(plain).len(), 3);
    assert_eq!(lab.rib.peer_counters(edited, V4).advertised, 2);
}

#[test]
fn a_route_that_comes_to_be_rejected_is_withdrawn() {
    let high = Condition::LocalPref(bgp_rib::policy::Span::from(150..=u32::MAX));
    let policy = compile(PolicyConfig::new("p", Verdict::Accept).rule(Rule::reject("high").when(high)));
    let mut lab = Lab::new();
    let (from, to) = (lab.up(1, client(1)), lab.up(2, exporting(client(2), policy)));
    let prefix = net("10.1.0.0/24");
    lab.announce(from, &[prefix], next_hop(1), &attributes(&[]));
    lab.drain_all();
    assert!(lab.view(to).contains_key(&prefix));
    let high = PathAttributes { local_pref: Some(200), ..attributes(&[]) };
    lab.announce(from, &[prefix], next_hop(1), &high);
    lab.drain_all();
    assert_eq!(lab.remotes[&to].withdrawn, [prefix]);
    let explained = lab.rib.explain(prefix).unwrap();
    let peer = explained.peers.iter().find(|peer| peer.peer == to).unwrap();
    assert_eq!(peer.verdict, Err(HeldBack::ExportPolicy));
    assert_eq!(peer.policy.as_deref(), Some("policy \"p\", rule 1 \"high\""));
}

#[test]
fn peers_with_equal_policies_share_a_group() {
    let mut lab = Lab::new();
    lab.up(1, exporting(client(1), three_ways()));
    lab.up(2, exporting(client(2), three_ways()));
    assert_eq!(lab.rib.table_counters(V4).groups, 1);
    lab.up(3, client(3));
    assert_eq!(lab.rib.table_counters(V4).groups, 2);
}

#[test]
fn a_med_that_policy_sets_crosses_the_border_and_local_pref_does_not() {
    let set = Rule::accept("set").then(Action::Med(Number::Set(7))).then(Action::LocalPref(Number::Set(9)));
    let policy = compile(
        PolicyConfig::new("p", Verdict::Reject).rule(set.then(Action::Prepend(vec![bgp_wire::Asn(1)]))),
    );
    let mut lab = Lab::new();
    let (from, to) = (lab.up(1, client(1)), lab.up(2, exporting(external(2, 65002), policy)));
    let prefix = net("10.1.0.0/24");
    lab.announce(from, &[prefix], next_hop(1), &PathAttributes { med: Some(3), ..attributes(&[5]) });
    lab.drain_all();
    let told = &lab.view(to)[&prefix].attributes;
    assert_eq!((told.med, told.local_pref), (Some(7), None));
    assert_eq!(
        told.as_path,
        external_attributes(&[LOCAL_AS.0, 1, 5]).as_path,
        "our AS stands before the policy's"
    );
}

#[test]
fn a_peer_is_not_told_a_route_through_itself_that_policy_makes() {
    let there = Action::NextHop(SetNextHop::Address(address(3)));
    let policy =
        || compile(PolicyConfig::new("p", Verdict::Reject).rule(Rule::accept("there").then(there.clone())));
    let mut lab = Lab::new();
    let from = lab.up(1, client(1));
    let to = lab.up(2, exporting(client(2), policy()));
    let prefix = net("10.1.0.0/24");
    lab.announce(from, &[prefix], next_hop(1), &attributes(&[]));
    lab.drain_all();
    let itself = lab.up(3, exporting(client(3), policy()));
    lab.drain_all();
    assert_eq!(lab.view(to)[&prefix].next_hop, next_hop(3));
    assert!(lab.view(itself).is_empty());
}

#[test]
fn next_hops_that_policy_names() {
    let route = |hop| {
        compile(PolicyConfig::new("p", Verdict::Reject).rule(Rule::accept("hop").then(Action::NextHop(hop))))
    };
    let mut lab = Lab::new();
    let from = lab.up(1, client(1));
    let own = lab.up(2, exporting(client(2), route(SetNextHop::Own)));
    let received = lab.up(3, exporting(external(3, 65003), route(SetNextHop::Received)));
    let prefix = net("10.1.0.0/24");
    lab.announce(from, &[prefix], next_hop(77), &attributes(&[]));
    lab.originate(0, &[Origination::new(net("10.2.0.0/24"))]);
    lab.drain_all();
    assert_eq!(lab.view(own)[&prefix].next_hop, next_hop(254));
    assert_eq!(lab.view(received)[&prefix].next_hop, next_hop(77));
    assert_eq!(lab.view(received)[&net("10.2.0.0/24")].next_hop, next_hop(254));
}

#[test]
fn an_export_policy_swapped_on_a_live_peer_tells_the_difference_and_nothing_else() {
    let mut lab = Lab::new();
    let (from, to) = (lab.up(1, client(1)), lab.up(2, client(2)));
    let told = [net("10.1.0.0/24"), net("10.2.0.0/24"), net("10.3.0.0/24")];
    lab.announce(from, &told, next_hop(1), &attributes(&[]));
    lab.drain_all();
    lab.quiet(to);
    let is = |prefix| Condition::Prefix(PrefixSet::equal(&[net(prefix)]));
    let config = PolicyConfig::new("p", Verdict::Accept)
        .rule(Rule::reject("gone").when(is("10.1.0.0/24")))
        .rule(Rule::accept("changed").when(is("10.2.0.0/24")).then(Action::LocalPref(Number::Set(200))))
        .rule(Rule::accept("the same value").then(Action::LocalPref(Number::Set(100))));
    lab.input(Input::SetPolicy { peer: to, import: None, export: Some(compile(config)) });
    lab.drain_all();
    assert_eq!(lab.remotes[&to].withdrawn, [told[0]]);
    assert_eq!(lab.remotes[&to].announced, [told[1]]);
    assert_eq!(lab.rib.peer_counters(to, V4).advertised, 2);
    lab.quiet(to);
    lab.input(Input::SetPolicy { peer: to, import: None, export: Some(Policy::accept_all()) });
    lab.drain_all();
    assert_eq!(lab.remotes[&to].announced, told[..2]);
    assert_eq!(lab.remotes[&to].withdrawn, []);
    assert_eq!(lab.rib.table_counters(V4).groups, 1, "the group in between is gone");
}

#[test]
fn an_equal_policy_set_again_sends_nothing() {
    let mut lab = Lab::new();
    let (from, to) = (lab.up(1, client(1)), lab.up(2, exporting(client(2), three_ways())));
    lab.announce(from, &[net("10.2.0.0/24")], next_hop(1), &attributes(&[]));
    lab.drain_all();
    lab.quiet(to);
    lab.input(Input::SetPolicy { peer: to, import: Some(Policy::accept_all()), export: Some(three_ways()) });
    lab.drain_all();
    assert_eq!(lab.remotes[&to].updates, 0);
}

#[test]
fn an_import_policy_swapped_on_a_live_peer_judges_what_was_received() {
    let mut lab = Lab::new();
    let (from, to) = (lab.up(1, client(1)), lab.up(2, client(2)));
    let told = [net("10.1.0.0/24"), net("10.2.0.0/24"), net("10.3.0.0/24")];
    let marked = PathAttributes { communities: vec![Community::new(65000, 1)], ..attributes(&[]) };
    lab.announce(from, &told, next_hop(1), &marked);
    lab.drain_all();
    lab.quiet(to);
    lab.input(Input::SetPolicy { peer: from, import: Some(three_ways()), export: None });
    lab.drain_all();
    assert_eq!(lab.remotes[&to].withdrawn, [told[0]]);
    assert_eq!(lab.remotes[&to].announced, [told[1]], "the third already had the mark");
    assert_eq!(lab.rib.peer_counters(from, V4).accepted, 2);
    lab.quiet(to);
    lab.input(Input::SetPolicy { peer: from, import: Some(Policy::accept_all()), export: None });
    lab.drain_all();
    assert_eq!(
        lab.view(to).values().filter(|route| route.attributes == marked_by_reflection(&marked)).count(),
        3
    );
    assert_eq!(lab.rib.peer_counters(from, V4).accepted, 3);
}

/// What a client's route looks like to another client.
fn marked_by_reflection(told: &PathAttributes) -> PathAttributes {
    let cluster_list = vec![bgp_wire::ClusterId(router_id(254).0)];
    PathAttributes { originator_id: Some(router_id(1)), cluster_list, ..told.clone() }
}

/// The heart of a node agent's export: metrics become LOCAL_PREF, tunnels stay, a block hides its addresses unless one
/// is on the move.
fn node_export() -> Policy {
    let block = [net("10.244.1.0/26")];
    let inside = || Condition::Prefix(PrefixSet::or_longer(&block));
    let tunnel = Condition::Interface("*.cali".parse().unwrap());
    let moving = Condition::Metric(bgp_rib::policy::Span::from(0..=1023));
    let config = PolicyConfig::new("node", Verdict::Accept)
        .rule(Rule::go_on("priority").then(Action::LocalPrefFromMetric { default: 1024 }))
        .rule(Rule::reject("tunnels").when(tunnel))
        .rule(Rule::accept("block").when(Condition::Prefix(PrefixSet::equal(&block))))
        .rule(Rule::accept("moving").when(inside()).when(moving))
        .rule(Rule::reject("more specific").when(inside()));
    compile(config)
}

#[test]
fn a_node_tells_its_block_and_an_address_on_the_move_with_its_priority() {
    let mut lab = Lab::new();
    let to = lab.up(1, exporting(internal(1), node_export()));
    let pod = |prefix, metric| Origination { metric, ..Origination::new(net(prefix)) };
    let tunnel =
        Origination { interface: Some("vxlan.cali".into()), ..Origination::new(net("10.244.9.0/26")) };
    let routes =
        [pod("10.244.1.0/26", None), pod("10.244.1.5/32", None), pod("10.244.1.6/32", Some(512)), tunnel];
    lab.originate(0, &routes);
    lab.drain_all();
    let told = |lab: &Lab| -> Vec<_> {
        lab.view(to).iter().map(|(prefix, route)| (prefix.to_string(), route.attributes.local_pref)).collect()
    };
    let block = ("10.244.1.0/26".to_owned(), Some(2_147_482_623));
    assert_eq!(told(&lab), [block.clone(), ("10.244.1.6/32".to_owned(), Some(2_147_483_135))]);
    lab.originate(0, &[pod("10.244.1.6/32", Some(1024))]);
    lab.drain_all();
    assert_eq!(told(&lab), [block], "it has arrived, and its block speaks for it");
}

#[test]
fn a_dry_run_says_what_a_swap_then_does_and_sends_nothing() {
    let mut lab = Lab::new();
    let (from, to) = (lab.up(1, client(1)), lab.up(2, client(2)));
    let told = [net("10.1.0.0/24"), net("10.2.0.0/24"), net("10.3.0.0/24")];
    let marked = PathAttributes { communities: vec![Community::new(65000, 1)], ..attributes(&[]) };
    lab.announce(from, &told, next_hop(1), &marked);
    lab.drain_all();
    lab.quiet(to);
    let mut changes = Vec::new();
    let mut page = Some(Default::default());
    while let Some(from) = page {
        let (more, next) = lab.rib.dry_run(to, V4, &three_ways(), from, 1);
        changes.extend(more);
        page = next;
    }
    let changed: Vec<_> =
        changes.iter().map(|change| (change.destination.prefix().unwrap(), change.then.is_ok())).collect();
    assert_eq!(changed, [(told[0], false), (told[1], true)]);
    assert_eq!(changes[0].then, Err(HeldBack::ExportPolicy));
    lab.drain_all();
    assert_eq!(lab.remotes[&to].updates, 0);
    lab.input(Input::SetPolicy { peer: to, import: None, export: Some(three_ways()) });
    lab.drain_all();
    assert_eq!((&lab.remotes[&to].withdrawn[..], &lab.remotes[&to].announced[..]), (&told[..1], &told[1..2]));
}

#[test]
fn a_change_of_owner_with_equal_attributes_is_told_to_policies_and_followers() {
    let mut lab = Lab::new();
    let no_second = Rule::reject("not of the second").when(Condition::Owner(vec![OwnerId(2)]));
    let export = compile(PolicyConfig::new("first only", Verdict::Accept).rule(no_second));
    let (strict, open) = (lab.up(1, PeerParams { export, ..client(1) }), lab.up(2, client(2)));
    let reader = lab.rib.open_reader();
    let prefix = net("192.0.2.0/24");
    lab.originate(1, &[Origination::new(prefix)]);
    lab.originate(2, &[Origination::new(prefix)]);
    lab.drain_all();
    while lab.rib.poll_reader(reader, 10).is_some() {}
    assert!(lab.view(strict).contains_key(&prefix));
    lab.input(Input::Withdraw(OwnerId(1), &[prefix]));
    lab.drain_all();
    assert!(lab.view(strict).is_empty() && lab.view(open).contains_key(&prefix));
    let change = lab.rib.poll_reader(reader, 10).unwrap().changes.remove(0);
    assert_eq!(change.best.map(|best| best.source), Some(Source::Local(OwnerId(2))));
}
