//! The fuzz targets' seeds, replayed on stable.
use std::path::Path;

#[path = "../../../fuzz/src/targets.rs"]
pub mod targets;

#[allow(clippy::disallowed_methods, reason = "a test reads its own data")]
fn replay(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(name);
    let mut seeds = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        target(&std::fs::read(entry.unwrap().path()).unwrap());
        seeds += 1;
    }
    assert!(seeds > 0, "no seeds for {name}");
}

#[test]
fn every_seed_passes_its_target() {
    replay("frame", targets::frame);
    replay("open", targets::open);
    replay("update", targets::update);
    replay("nlri", targets::nlri);
    replay("notification", targets::notification);
    replay("refresh", targets::refresh);
    replay("round_trip", targets::round_trip);
    replay("view_owned", targets::view_owned);
}
