//! Bounded waiting: a scenario never sleeps and hopes.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Pause between two looks: daemons are asked through their command line tools, which cost a process each.
const PAUSE: Duration = Duration::from_millis(150);

/// Looks again and again until `look` finds what it wants; panics with the last thing it saw when time is over.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        match look() {
            Ok(found) => return found,
            Err(last) if Instant::now() > deadline => {
                panic!("not within {limit:?}: {what}\n  last seen: {last}")
            }
            Err(_) => sleep(PAUSE),
        }
    }
}

/// Looks for the whole time and panics at the first look that finds anything wrong.
#[track_caller]
pub(crate) fn holds(what: &str, time: Duration, mut look: impl FnMut() -> Result<(), String>) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        if let Err(seen) = look() {
            panic!("does not hold: {what}\n  seen: {seen}");
        }
        sleep(PAUSE);
    }
}
