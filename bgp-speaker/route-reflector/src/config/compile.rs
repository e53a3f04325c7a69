//! From the policies of a file to policies that sessions use, or to the rule that is wrong.

use std::collections::HashMap;

use bgp_speaker::Policy;
use bgp_speaker::policy::{PolicyConfig, PolicyError, PrefixRange, Rule, Verdict as Ends};
use serde::Deserialize;
use toml::Spanned;

use super::diagnostic::Diagnostic;
use super::file::Config;
use super::policy::{PolicyTable, PrefixSetTable, RuleTable};
use super::suggest::nearest;
use super::value::{Outcome, Verdict};

/// The names that are policies without being written down.
const BUILT_IN: [&str; 2] = ["accept", "reject"];

/// The policies of a file by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Policies(HashMap<String, Policy>);

impl Policies {
    /// The policy of a name that was checked.
    pub(crate) fn get(&self, name: &str) -> Policy {
        match (name, self.0.get(name)) {
            (_, Some(policy)) => policy.clone(),
            ("accept", None) => Policy::accept_all(),
            // What is not known lets nothing pass.
            (_, None) => Policy::reject_all(),
        }
    }
}

/// What of a file is about policies alone: all else is passed over.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct PolicyFile {
    prefix_set: Vec<PrefixSetTable>,
    policy: Vec<PolicyTable>,
}

impl PolicyFile {
    /// The policy of this name, or the only one that there is; `source` tells the lines of rules.
    pub(super) fn policy(&self, name: Option<&str>, source: &str) -> Result<Policy, Diagnostic> {
        let policies = compile_all(&self.prefix_set, &self.policy, source)?;
        let names: Vec<&str> = self.policy.iter().map(|table| table.name.get_ref().as_str()).collect();
        match (name, names.as_slice()) {
            (Some(name), _) if names.contains(&name) || BUILT_IN.contains(&name) => Ok(policies.get(name)),
            (Some(name), _) => Err(Diagnostic::new(0..0, format!("there is no policy \"{name}\""))
                .mend("name one of the file, or accept or reject")),
            (None, [only]) => Ok(policies.get(only)),
            (None, []) => Err(Diagnostic::new(0..0, "there is no policy in the file")
                .mend("write a [[policy]], or name accept or reject")),
            (None, _) => Err(Diagnostic::new(0..0, "which policy is meant is not said")
                .mend(format!("name one of: {}", names.join(", ")))),
        }
    }
}

/// Compiles all policies and checks that every session's policy is there; `source` tells the lines of rules.
pub(super) fn policies(config: &Config, source: &str) -> Result<Policies, Diagnostic> {
    let policies = compile_all(&config.prefix_set, &config.policy, source)?;
    for name in config.policy_names() {
        known("policy", name, policies.0.keys().map(String::as_str).chain(BUILT_IN))?;
    }
    Ok(policies)
}

fn compile_all(
    sets: &[PrefixSetTable],
    tables: &[PolicyTable],
    source: &str,
) -> Result<Policies, Diagnostic> {
    let sets = prefix_sets(sets)?;
    let mut policies = HashMap::new();
    let mut places = HashMap::new();
    for table in tables {
        let name = table.name.get_ref();
        if BUILT_IN.contains(&name.as_str()) {
            return Err(Diagnostic::new(table.name.span(), format!("\"{name}\" is a policy already"))
                .mend("give this one another name"));
        }
        if let Some(first) = places.insert(name.clone(), table.name.span()) {
            return Err(Diagnostic::new(table.name.span(), format!("two policies have the name \"{name}\""))
                .label("the second one")
                .related(first, "the first one")
                .mend("give each [[policy]] its own name"));
        }
        policies.insert(name.clone(), compile(table, &sets, source)?);
    }
    Ok(Policies(policies))
}

fn prefix_sets(tables: &[PrefixSetTable]) -> Result<HashMap<&str, Vec<PrefixRange>>, Diagnostic> {
    let mut sets = HashMap::new();
    let mut places = HashMap::new();
    for set in tables {
        let name = set.name.get_ref().as_str();
        if let Some(first) = places.insert(name, set.name.span()) {
            return Err(Diagnostic::new(
                set.name.span(),
                format!("two prefix sets have the name \"{name}\""),
            )
            .label("the second one")
            .related(first, "the first one")
            .mend("give each [[prefix-set]] its own name"));
        }
        sets.insert(name, set.prefixes.iter().map(|prefix| prefix.0).collect());
    }
    Ok(sets)
}

/// A name must be one of those that there are.
fn known<'a>(
    what: &str,
    name: &Spanned<String>,
    names: impl Iterator<Item = &'a str> + Clone,
) -> Result<(), Diagnostic> {
    let word = name.get_ref().as_str();
    if names.clone().any(|name| name == word) {
        return Ok(());
    }
    let diagnostic = Diagnostic::new(name.span(), format!("there is no {what} \"{word}\""));
    Err(match nearest(word, names) {
        Some(meant) => {
            diagnostic.label(format!("did you mean \"{meant}\"?")).mend(format!("write \"{meant}\""))
        }
        None => diagnostic.mend(format!("add a [[{}]] with this name", what.replace(' ', "-"))),
    })
}

fn compile(
    table: &PolicyTable,
    sets: &HashMap<&str, Vec<PrefixRange>>,
    source: &str,
) -> Result<Policy, Diagnostic> {
    let default = match table.default {
        Verdict::Accept => Ends::Accept,
        Verdict::Reject => Ends::Reject,
    };
    let mut policy = PolicyConfig::new(table.name.get_ref(), default);
    for (number, rule) in (1..).zip(&table.rule) {
        for name in rule.get_ref().when.named_sets() {
            known("prefix set", name, sets.keys().copied())?;
        }
        let line = source.get(..rule.span().start).map_or(0, |before| before.matches('\n').count()) + 1;
        let name = rule.get_ref().name.clone().unwrap_or_else(|| number.to_string());
        policy = policy.rule(compile_rule(rule.get_ref(), name, line, sets));
    }
    Policy::compile(policy).map_err(|error| wrong_rule(table, &error))
}

fn compile_rule(
    table: &RuleTable,
    name: String,
    line: usize,
    sets: &HashMap<&str, Vec<PrefixRange>>,
) -> Rule {
    let rule = match table.then {
        Outcome::Accept => Rule::accept(name),
        Outcome::Reject => Rule::reject(name),
        Outcome::Continue => Rule::go_on(name),
    };
    let mut rule = rule.at_line(u32::try_from(line).unwrap_or(u32::MAX));
    rule.when = table.when.conditions(&|name| sets.get(name).cloned().unwrap_or_default());
    rule.then = table.set.actions();
    rule
}

fn wrong_rule(table: &PolicyTable, error: &PolicyError) -> Diagnostic {
    let at =
        error.rule.and_then(|rule| table.rule.get(rule - 1)).map_or_else(|| table.name.span(), Spanned::span);
    Diagnostic::new(at, format!("policy \"{}\": {}: {}", error.policy, error.field, error.problem))
        .label("this rule")
        .mend(format!("change or remove `{}`", error.field))
}
