//! What a policy must be to be compiled: sane, and bounded in what evaluating it can cost.

use bgp_wire::{Asn, NextHop};

use super::action::{Action, CommunityEdit};
use super::condition::Condition;
use super::config::{PolicyConfig, Rule, Verdict};
use super::edits::SetNextHop;
use super::error::{PolicyError, PolicyProblem};
use super::span::Span;

/// Rules of a policy: bulk goes into sets, and a walk of so many is some tens of microseconds.
pub(crate) const MAX_RULES: usize = 4096;

/// Conditions of a rule, and actions of a rule: one of each kind, several times over.
const MAX_PARTS: usize = 64;

/// Values of a list that is compared one by one.
const MAX_LIST: usize = 256;

/// AS numbers that one action prepends: a segment of AS_PATH (RFC 4271 §4.3).
const MAX_PREPEND: usize = 255;

/// Conditions within conditions: what anybody can still read.
const MAX_DEPTH: usize = 8;

pub(crate) fn check(config: &PolicyConfig) -> Result<(), PolicyError> {
    if config.rules.len() > MAX_RULES {
        return Err(PolicyError {
            policy: config.name.clone(),
            rule: None,
            rule_name: String::new(),
            line: None,
            field: "rules",
            problem: PolicyProblem::TooMany(MAX_RULES),
        });
    }
    for (index, rule) in config.rules.iter().enumerate() {
        check_rule(rule).map_err(|Fault(field, problem)| PolicyError {
            policy: config.name.clone(),
            rule: Some(index + 1),
            rule_name: rule.name.clone(),
            line: rule.line,
            field,
            problem,
        })?;
    }
    Ok(())
}

/// The field at fault, and what is wrong with it.
struct Fault(&'static str, PolicyProblem);

fn check_rule(rule: &Rule) -> Result<(), Fault> {
    at_most("when", rule.when.len(), MAX_PARTS)?;
    at_most("then", rule.then.len(), MAX_PARTS)?;
    rule.when.iter().try_for_each(|condition| check_condition(condition, 0))?;
    rule.then.iter().try_for_each(check_action)?;
    match (rule.verdict, rule.then.first()) {
        (Some(Verdict::Reject), Some(action)) => {
            Err(Fault(name_of_action(action), PolicyProblem::ActionOfReject))
        }
        _ => Ok(()),
    }
}

fn at_most(field: &'static str, length: usize, limit: usize) -> Result<(), Fault> {
    if length > limit { Err(Fault(field, PolicyProblem::TooMany(limit))) } else { Ok(()) }
}

/// A list that must name something.
fn some(field: &'static str, length: usize, limit: usize) -> Result<(), Fault> {
    if length == 0 { Err(Fault(field, PolicyProblem::Empty)) } else { at_most(field, length, limit) }
}

fn spans(field: &'static str, spans: impl IntoIterator<Item = Span>) -> Result<(), Fault> {
    let empty = spans.into_iter().any(Span::is_empty);
    if empty { Err(Fault(field, PolicyProblem::EmptyRange)) } else { Ok(()) }
}

fn check_condition(condition: &Condition, depth: usize) -> Result<(), Fault> {
    let field = name_of_condition(condition);
    match condition {
        Condition::AsPathStartsWith(list) => some(field, list.len(), MAX_LIST),
        Condition::Source(list) => some(field, list.len(), MAX_LIST),
        Condition::Owner(list) => some(field, list.len(), MAX_LIST),
        Condition::Communities(_, list) => {
            some(field, list.len(), MAX_LIST)?;
            spans(field, list.iter().flat_map(|pattern| [pattern.high, pattern.low]))
        }
        Condition::LargeCommunities(_, list) => {
            some(field, list.len(), MAX_LIST)?;
            spans(field, list.iter().flat_map(|pattern| [pattern.global, pattern.local1, pattern.local2]))
        }
        Condition::Ipv6ExtendedCommunities(_, list) => some(field, list.len(), MAX_LIST),
        Condition::ExtendedCommunities(_, list) => some(field, list.len(), MAX_LIST),
        Condition::AsPathLength(span)
        | Condition::LocalPref(span)
        | Condition::Med(span)
        | Condition::Metric(span)
        | Condition::Tag(span) => spans(field, [*span]),
        Condition::Not(_) | Condition::AnyOf(_) | Condition::AllOf(_) if depth >= MAX_DEPTH => {
            Err(Fault(field, PolicyProblem::TooDeep(MAX_DEPTH)))
        }
        Condition::Not(condition) => check_condition(condition, depth + 1),
        Condition::AnyOf(list) | Condition::AllOf(list) => {
            some(field, list.len(), MAX_PARTS)?;
            list.iter().try_for_each(|condition| check_condition(condition, depth + 1))
        }
        // A set of prefixes or AS numbers may be empty: that is how lists that are filled later begin.
        Condition::Family(_)
        | Condition::Prefix(_)
        | Condition::NextHop(_)
        | Condition::OriginAs(_)
        | Condition::NeighbourAs(_)
        | Condition::AsPathContains(_)
        | Condition::AsPathMatches(_)
        | Condition::SourcePeer(_)
        | Condition::PeerKind(_)
        | Condition::Origin(_)
        | Condition::Interface(_)
        | Condition::Suppressed
        | Condition::Rpki(_) => Ok(()),
    }
}

fn check_action(action: &Action) -> Result<(), Fault> {
    let field = name_of_action(action);
    match action {
        Action::Communities(edit) => {
            check_edit(field, edit, |pattern| spans(field, [pattern.high, pattern.low]))
        }
        Action::LargeCommunities(edit) => {
            check_edit(field, edit, |pattern| spans(field, [pattern.global, pattern.local1, pattern.local2]))
        }
        Action::ExtendedCommunities(edit) => check_edit(field, edit, |_| Ok(())),
        Action::Ipv6ExtendedCommunities(edit) => check_edit(field, edit, |_| Ok(())),
        Action::Prepend(list) => {
            some(field, list.len(), MAX_PREPEND)?;
            if list.contains(&Asn(0)) { Err(Fault(field, PolicyProblem::ReservedAs)) } else { Ok(()) }
        }
        Action::PrependOwn(0) => Err(Fault(field, PolicyProblem::Empty)),
        Action::NextHop(SetNextHop::Address(address)) if !NextHop::from(*address).is_sendable() => {
            Err(Fault(field, PolicyProblem::NotAHost))
        }
        _ => Ok(()),
    }
}

fn check_edit<C, P>(
    field: &'static str,
    edit: &CommunityEdit<C, P>,
    check: impl Fn(&P) -> Result<(), Fault>,
) -> Result<(), Fault> {
    match edit {
        CommunityEdit::Add(list) => some(field, list.len(), MAX_LIST),
        CommunityEdit::Remove(patterns) => {
            some(field, patterns.len(), MAX_LIST)?;
            patterns.iter().try_for_each(check)
        }
        CommunityEdit::Replace(list) => at_most(field, list.len(), MAX_LIST),
    }
}

pub(crate) const fn name_of_condition(condition: &Condition) -> &'static str {
    match condition {
        Condition::Family(_) => "family",
        Condition::Prefix(_) => "prefix",
        Condition::NextHop(_) => "next-hop",
        Condition::AsPathLength(_) => "as-path-length",
        Condition::OriginAs(_) => "origin-as",
        Condition::NeighbourAs(_) => "neighbour-as",
        Condition::AsPathContains(_) => "as-path-contains",
        Condition::AsPathStartsWith(_) => "as-path-starts-with",
        Condition::AsPathMatches(_) => "as-path-matches",
        Condition::Communities(..) => "communities",
        Condition::ExtendedCommunities(..) => "extended-communities",
        Condition::Ipv6ExtendedCommunities(..) => "ipv6-extended-communities",
        Condition::LargeCommunities(..) => "large-communities",
        Condition::Source(_) => "source",
        Condition::SourcePeer(_) => "source-peer",
        Condition::Owner(_) => "owner",
        Condition::PeerKind(_) => "peer-kind",
        Condition::LocalPref(_) => "local-pref",
        Condition::Med(_) => "med",
        Condition::Metric(_) => "metric",
        Condition::Tag(_) => "tag",
        Condition::Origin(_) => "origin",
        Condition::Interface(_) => "interface",
        Condition::Suppressed => "suppressed",
        Condition::Rpki(_) => "rpki",
        Condition::Not(_) => "not",
        Condition::AnyOf(_) => "any-of",
        Condition::AllOf(_) => "all-of",
    }
}

const fn name_of_action(action: &Action) -> &'static str {
    match action {
        Action::LocalPref(_) => "set local-pref",
        Action::Med(_) => "set med",
        Action::RemoveMed => "remove med",
        Action::Origin(_) => "set origin",
        Action::Communities(_) => "set communities",
        Action::ExtendedCommunities(_) => "set extended-communities",
        Action::Ipv6ExtendedCommunities(_) => "set ipv6-extended-communities",
        Action::LargeCommunities(_) => "set large-communities",
        Action::Prepend(_) => "prepend",
        Action::PrependOwn(_) => "prepend-own",
        Action::NextHop(_) => "set next-hop",
        Action::Metric(_) => "set metric",
        Action::LocalPrefFromMetric { .. } => "local-pref-from-metric",
        Action::MetricFromLocalPref => "metric-from-local-pref",
        Action::Table(_) => "set table",
        Action::Weight(_) => "set weight",
        Action::Preference(_) => "set preference",
        Action::Tag(_) => "set tag",
        Action::Discard(_) => "discard",
        Action::Aigp(_) | Action::RemoveAigp => "AIGP",
    }
}
