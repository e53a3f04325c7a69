//! Measurements of the speaker's crates through their public API.
