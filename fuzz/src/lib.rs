//! What each fuzz target does with its octets. In a library, so that a test on stable can replay the corpora.
mod targets;

pub use targets::*;
