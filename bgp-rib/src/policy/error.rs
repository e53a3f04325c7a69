//! Mistakes in a policy, by rule and field.

use core::fmt;

/// Why a policy cannot be compiled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyError {
    /// The policy's name.
    pub policy: String,
    /// The rule, counted from 1; `None` where the policy as a whole is at fault.
    pub rule: Option<usize>,
    /// The rule's name.
    pub rule_name: String,
    /// The line of the file that the rule stands in, if it says so.
    pub line: Option<u32>,
    /// The condition or action at fault.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: PolicyProblem,
}

/// What is wrong with a condition or an action.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum PolicyProblem {
    /// More than so many.
    TooMany(usize),
    /// Conditions within conditions deeper than this.
    TooDeep(usize),
    /// A list that is empty where that can only be a mistake.
    Empty,
    /// A range that ends before it begins.
    EmptyRange,
    /// AS 0 stands in no path (RFC 7607).
    ReservedAs,
    /// An address that can be no host's.
    NotAHost,
    /// The actions of a rule that rejects are never seen.
    ActionOfReject,
}

impl fmt::Display for PolicyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany(limit) => write!(f, "more than {limit}"),
            Self::TooDeep(limit) => write!(f, "nested deeper than {limit}"),
            Self::Empty => f.write_str("the list is empty: leave it out, or name something"),
            Self::EmptyRange => f.write_str("the range ends before it begins"),
            Self::ReservedAs => f.write_str("AS 0 stands in no path (RFC 7607)"),
            Self::NotAHost => f.write_str("the address can be no host's"),
            Self::ActionOfReject => f.write_str("a rule that rejects changes nothing: remove the action"),
        }
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "policy \"{}\"", self.policy)?;
        if let Some(rule) = self.rule {
            write!(f, ", rule {rule} \"{}\"", self.rule_name)?;
        }
        if let Some(line) = self.line {
            write!(f, " (line {line})")?;
        }
        write!(f, ", {}: {}", self.field, self.problem)
    }
}

impl core::error::Error for PolicyError {}
