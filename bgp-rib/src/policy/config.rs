//! A policy as it is written down.

use super::action::Action;
use super::condition::Condition;

/// What becomes of a route.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// It passes, with the changes made so far.
    Accept,
    /// It does not.
    Reject,
}

/// Rules in order. The first that holds and has a verdict ends the walk; the default is the verdict where none does.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct PolicyConfig {
    /// What explanations and errors call it.
    pub name: String,
    /// The rules; none by default.
    pub rules: Vec<Rule>,
    /// The verdict where no rule has one.
    pub default: Verdict,
}

impl PolicyConfig {
    /// A policy without rules.
    #[must_use]
    pub fn new(name: impl Into<String>, default: Verdict) -> Self {
        Self { name: name.into(), rules: Vec::new(), default }
    }

    /// The policy with one more rule, behind the others.
    #[must_use]
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }
}

/// Where all conditions hold, all actions are done, in order; then the verdict ends the walk, or the next rule goes on.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Rule {
    /// What explanations and errors call it.
    pub name: String,
    /// The line of the file that it stands in; `None` by default.
    pub line: Option<u32>,
    /// What must hold, all of it; nothing by default, which holds for every route.
    pub when: Vec<Condition>,
    /// What is done; nothing by default.
    pub then: Vec<Action>,
    /// How it ends; `None` goes on with the next rule.
    pub verdict: Option<Verdict>,
}

impl Rule {
    fn new(name: impl Into<String>, verdict: Option<Verdict>) -> Self {
        Self { name: name.into(), line: None, when: Vec::new(), then: Vec::new(), verdict }
    }

    /// A rule that accepts.
    #[must_use]
    pub fn accept(name: impl Into<String>) -> Self {
        Self::new(name, Some(Verdict::Accept))
    }

    /// A rule that rejects.
    #[must_use]
    pub fn reject(name: impl Into<String>) -> Self {
        Self::new(name, Some(Verdict::Reject))
    }

    /// A rule that changes the route and goes on.
    #[must_use]
    pub fn go_on(name: impl Into<String>) -> Self {
        Self::new(name, None)
    }

    /// With one more condition.
    #[must_use]
    pub fn when(mut self, condition: Condition) -> Self {
        self.when.push(condition);
        self
    }

    /// With one more action.
    #[must_use]
    pub fn then(mut self, action: Action) -> Self {
        self.then.push(action);
        self
    }

    /// With the line of the file that it stands in.
    #[must_use]
    pub fn at_line(mut self, line: u32) -> Self {
        self.line = Some(line);
        self
    }
}
