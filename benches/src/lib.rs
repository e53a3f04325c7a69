//! Measurements of the speaker's crates through their public API.
//!
//! `cargo bench -p benches` runs all benches in a few minutes; `--bench wire -- full4` takes one corpus, `--bench laws` shows
//! the cost laws of the tables and what a route takes, layer by layer.
//! `--bench liveness` runs a whole speaker: how late its keepalives go out while it reflects a table, and how soon sessions come up.
//! The public codecs from the registry stand beside ours in `rivals`, a package of its own with its own lock file:
//! `cargo run --release --manifest-path benches/rivals/Cargo.toml`.
//! Times are CPU time of the thread. Operations run interleaved, round by round, and each is compared with the floor of
//! the same round: that ratio holds across machines and days, nanoseconds do not.
pub mod alloc;
pub mod codec;
pub mod corpus;
pub mod floor;
pub mod meter;
pub mod tables;
