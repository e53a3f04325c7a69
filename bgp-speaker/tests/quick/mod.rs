//! Sessions that try again soon, for every test of whole speakers.

use std::time::Duration;

use bgp_speaker::{SessionOptions, Timers};

/// Options that retry fast, so that tests do not wait for back-off.
pub(crate) fn quick() -> SessionOptions {
    let timers = Timers {
        connect_retry: Duration::from_millis(500),
        idle_hold_min: Duration::from_millis(50),
        idle_hold_max: Duration::from_millis(500),
        ..Timers::default()
    };
    SessionOptions { timers, ..SessionOptions::default() }
}
