//! Whole speakers against each other over real TCP on loopback addresses, and against peers that are scripted octet by
//! octet. Every test has addresses of its own; ports are whatever the system gives.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test that cannot go on says so by panicking")]

mod all_or_nothing;
mod apply;
mod bfd;
mod collision;
mod kernel_export;
mod last_words;
mod lifecycle;
mod limits;
mod listeners;
mod mesh;
mod migration;
mod milestones;
mod misbehaviour;
mod origin_validation;
mod own_routes;
mod peerings;
mod questions;
#[path = "../quick/mod.rs"]
mod quick;
mod ranges;
mod reconnect;
mod reflector;
mod restart;
mod route_server;
mod scripted;
mod session;
mod status;
mod subscription;
mod support;
mod update;
