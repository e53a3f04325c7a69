//! Policy as a value: ordered rules that say what may pass a session, and how it changes on the way.
//!
//! A [`PolicyConfig`] is plain data: rules, each with conditions (all must hold), actions and a verdict. The first rule
//! that holds and has a verdict ends the walk; one without a verdict changes the route and goes on; the default
//! speaks where nobody has. Conditions see what earlier rules changed. [`Policy::compile`] checks it, names rule and
//! field of a mistake, and makes the immutable [`Policy`] that is attached to sessions.
//!
//! [`Policy::evaluate`] is pure and total: the route as a [`RouteView`] goes in, the [`Outcome`] comes out with the rule
//! that decided, and nothing is allocated unless something is changed. What one evaluation costs is bounded by the
//! limits that compiling sets and by the size of the route: sets are probed, AS paths are read once per expression.
//!
//! ```
//! use bgp_rib::OwnerId;
//! use bgp_rib::policy::{
//!     Action, CommunityEdit, Condition, Number, Policy, PolicyConfig, PrefixSet, RouteView, Rule, Verdict,
//! };
//! use bgp_wire::{AttributeBlock, Community, PathAttributes};
//!
//! let pools = PrefixSet::or_longer(&["192.0.2.0/24".parse()?]);
//! let add = CommunityEdit::Add(vec![Community::new(65000, 7)]);
//! let policy = Policy::compile(
//!     PolicyConfig::new("to-fabric", Verdict::Reject)
//!         .rule(Rule::go_on("mark").then(Action::Communities(add)))
//!         .rule(Rule::accept("pools").when(Condition::Prefix(pools)).then(Action::LocalPref(Number::Set(200)))),
//! )?;
//!
//! let mut block = Vec::new();
//! PathAttributes::default().encode_block(&mut block)?;
//! let route = RouteView::new("192.0.2.64/26".parse()?, AttributeBlock::parse(&block)?, OwnerId(1));
//! let outcome = policy.evaluate(&route);
//! assert_eq!(policy.describe(outcome.decided), "policy \"to-fabric\", rule 2 \"pools\"");
//!
//! let mut edited = Vec::new();
//! outcome.edits.expect("both rules changed something").apply(route.attributes, &mut edited)?;
//! let edited = AttributeBlock::parse(&edited)?;
//! assert_eq!(edited.local_pref(), Some(200));
//! assert!(edited.communities().contains(Community::new(65000, 7)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod action;
mod as_path;
mod as_path_pattern;
mod check;
mod community;
mod condition;
mod config;
mod edits;
mod error;
mod evaluate;
mod glob;
mod prefix_set;
mod route;
mod span;
mod working;

pub use action::{Action, CommunityEdit, Number};
pub use as_path_pattern::{AsPathPattern, BadPattern, PatternProblem};
pub use community::{
    CommunityPattern, ExtendedCommunityPattern, Ipv6ExtendedCommunityPattern, LargeCommunityPattern,
    NotAPattern, Quantifier,
};
pub use condition::Condition;
pub use config::{PolicyConfig, Rule, Verdict};
pub(crate) use edits::prepend;
pub use edits::{Discard, Edits, KernelTag, SetNextHop};
pub use error::{PolicyError, PolicyProblem};
pub use evaluate::{Decided, Outcome, Policy, TraceStep};
pub use glob::{Glob, NotAGlob};
pub use prefix_set::{BadLengths, PrefixRange, PrefixSet};
pub use route::{RouteSource, RouteView, RpkiState, SourceKind};
pub use span::{AsnSet, Span};
pub use working::{local_pref_of_metric, metric_of_local_pref};
