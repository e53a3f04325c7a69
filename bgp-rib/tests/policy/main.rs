//! Policies, rule by rule and as whole pipelines.

mod actions;
mod calico;
mod conditions;
mod mistakes;
mod prefix_sets;
mod properties;
mod support;
mod walk;
