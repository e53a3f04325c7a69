//! A compiled policy, and the walk of a route through its rules.

use core::fmt;
use core::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use bgp_wire::PeerKind;
use foldhash::fast::FixedState;

use super::action::Action;
use super::check::{check, name_of_condition};
use super::condition::Condition;
use super::config::{PolicyConfig, Rule, Verdict};
use super::edits::Edits;
use super::error::PolicyError;
use super::route::RouteView;
use super::working::Working;

/// What may pass between a peer and the Loc-RIB, and how it changes: an immutable value, compiled once.
///
/// A clone is one reference count. Two that say the same are equal and hash alike, however they came to be, so that
/// peers with equal policies are sent the same bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Policy(Form);

#[derive(Clone)]
enum Form {
    AcceptAll,
    RejectAll,
    Rules(Arc<Rules>),
}

struct Rules {
    config: PolicyConfig,
    /// Hash of the content.
    digest: u64,
    per_prefix: bool,
    suppression: bool,
    rpki: bool,
    interface: bool,
}

/// What a policy says of one route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// Whether the route passes.
    pub verdict: Verdict,
    /// What changes on the way; `None` where nothing does, and for a route that does not pass.
    pub edits: Option<Box<Edits>>,
    /// What decided.
    pub decided: Decided,
}

/// What in a policy decided about a route; [`Policy::describe`] gives it its name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Decided {
    /// A rule, counted from 0.
    Rule(u16),
    /// No rule: the default.
    Default,
}

/// One rule's part in a walk, as [`Policy::trace`] tells it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TraceStep<'p> {
    /// The rule.
    pub rule: &'p Rule,
    /// Its first condition that did not hold: its place among the rule's conditions, and its name. `None`: the rule
    /// applied.
    pub failed: Option<(usize, &'static str)>,
}

impl Policy {
    /// Everything passes unchanged.
    #[must_use]
    pub const fn accept_all() -> Self {
        Self(Form::AcceptAll)
    }

    /// Nothing passes: what an external session without a policy gets (RFC 8212).
    #[must_use]
    pub const fn reject_all() -> Self {
        Self(Form::RejectAll)
    }

    /// The policy of a session for which none was configured (RFC 8212 §3).
    #[must_use]
    pub const fn default_for(kind: PeerKind) -> Self {
        match kind {
            PeerKind::Internal => Self::accept_all(),
            PeerKind::External => Self::reject_all(),
        }
    }

    /// Checks a policy and makes it ready. One without rules is [`Policy::accept_all`] or [`Policy::reject_all`].
    pub fn compile(config: PolicyConfig) -> Result<Self, PolicyError> {
        check(&config)?;
        if config.rules.is_empty() {
            return Ok(match config.default {
                Verdict::Accept => Self::accept_all(),
                Verdict::Reject => Self::reject_all(),
            });
        }
        let asks = |rule: &Rule| {
            rule.when.iter().any(Condition::asks_for_prefix) || rule.then.iter().any(Action::asks_for_prefix)
        };
        let per_prefix = config.rules.iter().any(asks);
        let mentions = |like: fn(&Condition) -> bool| {
            config.rules.iter().flat_map(|rule| &rule.when).any(|condition| condition.mentions(like))
        };
        let suppression = mentions(|condition| matches!(condition, Condition::Suppressed));
        let rpki = mentions(|condition| matches!(condition, Condition::Rpki(_)));
        let interface = mentions(|condition| matches!(condition, Condition::Interface(_)));
        // A digest only spares comparisons: a fixed seed does no harm, as equality looks at the content.
        let digest = FixedState::with_seed(0).hash_one(&config);
        Ok(Self(Form::Rules(Arc::new(Rules { config, digest, per_prefix, suppression, rpki, interface }))))
    }

    /// Whether everything passes unchanged.
    #[inline]
    #[must_use]
    pub const fn accepts_all(&self) -> bool {
        matches!(self.0, Form::AcceptAll)
    }

    /// Whether nothing passes.
    #[inline]
    #[must_use]
    pub const fn rejects_all(&self) -> bool {
        matches!(self.0, Form::RejectAll)
    }

    /// Whether routes with the same attributes from the same source may fare differently. Where not, one evaluation
    /// speaks for all prefixes of an UPDATE.
    #[inline]
    #[must_use]
    pub fn asks_for_prefix(&self) -> bool {
        match &self.0 {
            Form::AcceptAll | Form::RejectAll => false,
            Form::Rules(rules) => rules.per_prefix,
        }
    }

    /// Whether it decides itself about what aggregates suppress.
    pub(crate) fn asks_for_suppression(&self) -> bool {
        match &self.0 {
            Form::AcceptAll | Form::RejectAll => false,
            Form::Rules(rules) => rules.suppression,
        }
    }

    /// Whether it asks for interfaces.
    #[must_use]
    pub fn asks_for_interface(&self) -> bool {
        match &self.0 {
            Form::AcceptAll | Form::RejectAll => false,
            Form::Rules(rules) => rules.interface,
        }
    }

    /// Whether it asks for the state in origin validation.
    #[must_use]
    pub fn asks_for_rpki(&self) -> bool {
        match &self.0 {
            Form::AcceptAll | Form::RejectAll => false,
            Form::Rules(rules) => rules.rpki,
        }
    }

    /// Its rules as they were written; none in a policy that takes or refuses everything.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        match &self.0 {
            Form::AcceptAll | Form::RejectAll => &[],
            Form::Rules(rules) => &rules.config.rules,
        }
    }

    fn default_verdict(&self) -> Verdict {
        match &self.0 {
            Form::AcceptAll => Verdict::Accept,
            Form::RejectAll => Verdict::Reject,
            Form::Rules(rules) => rules.config.default,
        }
    }

    /// Walks a route through the rules. Allocates nothing unless something is changed.
    #[must_use]
    pub fn evaluate(&self, route: &RouteView<'_>) -> Outcome {
        self.walk(route, |_| {})
    }

    /// The same walk, telling each rule's part in it: what an explanation shows.
    #[must_use]
    pub fn trace(&self, route: &RouteView<'_>) -> (Vec<TraceStep<'_>>, Outcome) {
        let rules = self.rules();
        let mut looked_at = Vec::with_capacity(rules.len());
        let outcome = self.walk(route, |failed| looked_at.push(failed));
        let name = |rule: &Rule, at: usize| Some((at, name_of_condition(rule.when.get(at)?)));
        let step = |(rule, failed): (_, Option<usize>)| TraceStep {
            rule,
            failed: failed.and_then(|at| name(rule, at)),
        };
        let steps = rules.iter().zip(looked_at).map(step).collect();
        (steps, outcome)
    }

    /// Shows each rule that is looked at, in order, with its first condition that did not hold.
    #[inline]
    fn walk(&self, route: &RouteView<'_>, mut show: impl FnMut(Option<usize>)) -> Outcome {
        let mut working = Working::new(route);
        for (index, rule) in (0..).zip(self.rules()) {
            let failed = rule.when.iter().position(|condition| !condition.holds(&working));
            show(failed);
            if failed.is_some() {
                continue;
            }
            for action in &rule.then {
                action.apply(&mut working);
            }
            if let Some(verdict) = rule.verdict {
                return Outcome::new(verdict, working, Decided::Rule(index));
            }
        }
        Outcome::new(self.default_verdict(), working, Decided::Default)
    }

    /// What decided, in words: the rule's name and line, or the default.
    #[must_use]
    pub fn describe(&self, decided: Decided) -> String {
        let rules = match &self.0 {
            Form::AcceptAll => return "accept everything".to_owned(),
            Form::RejectAll => return "reject everything".to_owned(),
            Form::Rules(rules) => rules,
        };
        let policy = &rules.config.name;
        let Decided::Rule(index) = decided else { return format!("policy \"{policy}\", default") };
        let Some(rule) = rules.config.rules.get(usize::from(index)) else {
            return format!("policy \"{policy}\", rule {}", usize::from(index) + 1);
        };
        let line = rule.line.map(|line| format!(" (line {line})")).unwrap_or_default();
        format!("policy \"{policy}\", rule {} \"{}\"{line}", usize::from(index) + 1, rule.name)
    }
}

impl Outcome {
    fn new(verdict: Verdict, working: Working<'_>, decided: Decided) -> Self {
        let edits = match verdict {
            Verdict::Accept => working.into_edits(),
            Verdict::Reject => None,
        };
        Self { verdict, edits, decided }
    }

    /// Whether the route passes.
    #[must_use]
    pub const fn is_accepted(&self) -> bool {
        matches!(self.verdict, Verdict::Accept)
    }
}

impl PartialEq for Form {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::AcceptAll, Self::AcceptAll) | (Self::RejectAll, Self::RejectAll) => true,
            (Self::Rules(a), Self::Rules(b)) => {
                Arc::ptr_eq(a, b) || (a.digest == b.digest && a.config == b.config)
            }
            _ => false,
        }
    }
}

impl Eq for Form {}

impl Hash for Form {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::AcceptAll => 0u64.hash(state),
            Self::RejectAll => 1u64.hash(state),
            Self::Rules(rules) => rules.digest.hash(state),
        }
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::AcceptAll => f.write_str("AcceptAll"),
            Form::RejectAll => f.write_str("RejectAll"),
            Form::Rules(rules) => rules.config.fmt(f),
        }
    }
}
