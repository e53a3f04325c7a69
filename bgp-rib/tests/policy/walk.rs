//! The walk through the rules: who decides, and how it is told.

use bgp_rib::policy::{
    Action, Condition, Decided, Number, Policy, PolicyConfig, PrefixSet, Rule, Span, Verdict,
};
use bgp_wire::PeerKind;

use crate::support::{Route, compile, evaluate, net};

const P: &str = "192.0.2.0/24";

fn three_rules() -> PolicyConfig {
    let raise = Rule::go_on("raise").then(Action::LocalPref(Number::Set(200)));
    let elsewhere = Condition::Prefix(PrefixSet::or_longer(&[net("10.0.0.0/8")]));
    PolicyConfig::new("p", Verdict::Reject)
        .rule(raise)
        .rule(Rule::reject("elsewhere").at_line(7).when(elsewhere))
        .rule(Rule::accept("raised").when(Condition::LocalPref(Span::exactly(200))))
}

#[test]
fn the_first_rule_with_a_verdict_decides() {
    let policy = compile(three_rules());
    let outcome = evaluate(&policy, &Route::own(P));
    assert_eq!((outcome.verdict, outcome.decided), (Verdict::Accept, Decided::Rule(2)));
    let outcome = evaluate(&policy, &Route::own("10.1.0.0/16"));
    assert_eq!((outcome.verdict, outcome.decided), (Verdict::Reject, Decided::Rule(1)));
    assert_eq!(outcome.edits, None, "what is rejected is not changed");
    assert_eq!(policy.describe(outcome.decided), "policy \"p\", rule 2 \"elsewhere\" (line 7)");
}

#[test]
fn the_default_decides_where_no_rule_does() {
    let policy =
        compile(PolicyConfig::new("p", Verdict::Accept).rule(Rule::go_on("mark").then(Action::Tag(1))));
    let outcome = evaluate(&policy, &Route::own(P));
    assert_eq!((outcome.verdict, outcome.decided), (Verdict::Accept, Decided::Default));
    assert_eq!(outcome.edits.unwrap().kernel.tag, Some(1));
    assert_eq!(policy.describe(Decided::Default), "policy \"p\", default");
}

#[test]
fn a_policy_without_rules_is_its_default() {
    assert_eq!(compile(PolicyConfig::new("p", Verdict::Accept)), Policy::accept_all());
    assert_eq!(compile(PolicyConfig::new("p", Verdict::Reject)), Policy::reject_all());
    assert!(evaluate(&Policy::accept_all(), &Route::own(P)).is_accepted());
    assert!(!evaluate(&Policy::reject_all(), &Route::own(P)).is_accepted());
}

#[test]
fn a_trace_names_the_condition_that_failed() {
    let policy = compile(three_rules());
    let route = Route::own(P);
    let block = route.block();
    let (steps, outcome) = policy.trace(&route.view(&block));
    assert_eq!(outcome, policy.evaluate(&route.view(&block)));
    let steps: Vec<_> = steps.iter().map(|step| (step.rule.name.as_str(), step.failed)).collect();
    assert_eq!(steps, [("raise", None), ("elsewhere", Some((0, "prefix"))), ("raised", None)]);
}

#[test]
fn a_trace_ends_where_the_walk_does() {
    let policy = compile(three_rules());
    let route = Route::own("10.1.0.0/16");
    let block = route.block();
    assert_eq!(policy.trace(&route.view(&block)).0.len(), 2);
}

#[test]
fn only_policies_that_ask_for_prefixes_say_so() {
    assert!(compile(three_rules()).asks_for_prefix());
    let kind = Rule::accept("kind").when(Condition::PeerKind(PeerKind::External).negated());
    assert!(!compile(PolicyConfig::new("p", Verdict::Reject).rule(kind)).asks_for_prefix());
    assert!(!Policy::accept_all().asks_for_prefix());
}
