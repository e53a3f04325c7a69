//! What cannot be compiled says where and why.

use bgp_rib::policy::{
    Action, CommunityEdit, CommunityPattern, Condition, Number, Policy, PolicyConfig, PolicyProblem,
    Quantifier, Rule, SetNextHop, Span, Verdict,
};
use bgp_wire::{Asn, PeerKind};

fn fault(rule: Rule) -> (&'static str, PolicyProblem) {
    let config = PolicyConfig::new("p", Verdict::Accept).rule(Rule::accept("fine")).rule(rule);
    let error = Policy::compile(config).expect_err("a mistake");
    assert_eq!(error.rule, Some(2));
    (error.field, error.problem)
}

#[test]
fn each_mistake_is_named() {
    let rule = || Rule::accept("wrong");
    let backwards = Span { low: 2, high: 1 };
    let pattern = CommunityPattern { high: backwards, low: Span::ANY };
    let deep = (0..9).fold(Condition::LocalPref(Span::ANY), |inner, _| inner.negated());
    #[rustfmt::skip]
    let rows = [
        (rule().when(Condition::Med(backwards)), "med", PolicyProblem::EmptyRange),
        (rule().when(Condition::Communities(Quantifier::Any, vec![])), "communities", PolicyProblem::Empty),
        (rule().when(Condition::Communities(Quantifier::Any, vec![pattern])), "communities", PolicyProblem::EmptyRange),
        (rule().when(Condition::AsPathStartsWith(vec![])), "as-path-starts-with", PolicyProblem::Empty),
        (rule().when(Condition::AnyOf(vec![])), "any-of", PolicyProblem::Empty),
        (rule().when(deep), "not", PolicyProblem::TooDeep(8)),
        (rule().then(Action::Prepend(vec![Asn(0)])), "prepend", PolicyProblem::ReservedAs),
        (rule().then(Action::Prepend(vec![Asn(1); 256])), "prepend", PolicyProblem::TooMany(255)),
        (rule().then(Action::PrependOwn(0)), "prepend-own", PolicyProblem::Empty),
        (rule().then(Action::Communities(CommunityEdit::Remove(vec![pattern]))), "set communities", PolicyProblem::EmptyRange),
        (rule().then(Action::NextHop(SetNextHop::Address([224, 0, 0, 1].into()))), "set next-hop", PolicyProblem::NotAHost),
        (Rule::reject("wrong").then(Action::Med(Number::Set(1))), "set med", PolicyProblem::ActionOfReject),
    ];
    for (rule, field, problem) in rows {
        assert_eq!(fault(rule), (field, problem));
    }
}

#[test]
fn an_error_shows_policy_rule_line_and_field() {
    let rule = Rule::accept("pools").at_line(12).when(Condition::Med(Span { low: 2, high: 1 }));
    let error = Policy::compile(PolicyConfig::new("to-fabric", Verdict::Accept).rule(rule)).unwrap_err();
    let shown = "policy \"to-fabric\", rule 1 \"pools\" (line 12), med: the range ends before it begins";
    assert_eq!(error.to_string(), shown);
}

#[test]
fn the_number_of_rules_is_bounded() {
    let mut config = PolicyConfig::new("p", Verdict::Accept);
    config.rules = vec![Rule::accept("r"); 4097];
    assert_eq!(Policy::compile(config).unwrap_err().problem, PolicyProblem::TooMany(4096));
}

#[test]
fn sessions_without_a_policy() {
    assert!(Policy::default_for(PeerKind::Internal).accepts_all());
    assert!(Policy::default_for(PeerKind::External).rejects_all());
}
