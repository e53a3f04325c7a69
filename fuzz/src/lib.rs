//! What each fuzz target does with its octets. In a library, so that a test on stable can replay the seeds.
//!
//! `cargo +nightly fuzz run update -- -max_total_time=30` from the top, with any target of `fuzz_targets`; the folder
//! `seeds/update`, given as one more argument behind `fuzz/corpus/update`, is where to begin. `fuzz/smoke.sh` runs them all
//! for half a minute each, on stable if need be.
mod rib;
mod targets;

pub use rib::rib;
pub use targets::*;
