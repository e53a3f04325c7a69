//! Protocol stories, told through the public door, and the model that every step is compared with.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod support;

mod add_path;
mod aggregates;
mod aigp;
mod bounded;
mod calico;
mod changes;
mod consecutive_restarts;
mod dependence;
mod families;
mod groups;
mod interfaces;
mod limits;
mod live_decision;
mod long_lists;
mod long_lived;
mod martians;
mod model;
mod naive;
mod naive_border;
mod naive_decision;
mod naive_policy;
mod next_hops;
mod octets;
mod oldest;
mod origin_validation;
mod originate;
mod origins;
mod per_client;
mod policies;
mod preferences;
mod readers;
mod reflection;
mod rejections;
mod restart;
mod roles;
mod route_targets;
mod rules;
mod staleness;
mod swaps;
mod transparency;
mod traps;
