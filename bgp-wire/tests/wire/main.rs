//! Protocol stories about the codec, by subject.
#![allow(unreachable_pub, reason = "modules of one test binary share helpers")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod attributes;
mod build;
mod communities;
mod corpus;
mod families;
mod header;
mod linear;
mod nlri_inside;
mod notification;
mod open;
mod pack;
mod reference;
mod reflect;
mod rewrite;
mod round_trip;
mod round_trip_families;
mod round_trip_registry;
mod segments;
mod shapes;
mod total;
mod typed;
mod verdict;
mod view;
