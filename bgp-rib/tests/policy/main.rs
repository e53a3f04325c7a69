//! Policies, rule by rule and as whole pipelines.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod actions;
mod calico;
mod conditions;
mod mistakes;
mod prefix_sets;
mod properties;
mod support;
mod walk;
