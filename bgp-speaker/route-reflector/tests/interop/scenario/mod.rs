//! The stories.

mod add_path;
mod bad_input;
mod calico;
mod collision;
mod families;
mod idle;
mod mixed;
mod networks;
mod pairs;
mod reflection;
mod restart;
mod scale;
mod unnoticed;

use crate::Scenario;

/// Our AS in every scenario.
const OUR_AS: u32 = 65000;

/// AS of an external neighbour.
const THEIR_AS: u32 = 65010;

/// Every scenario; the ones that need the machine for themselves first, the long ones next.
pub(crate) fn all() -> Vec<Scenario> {
    let mut all = scale::scenarios();
    all.extend(networks::scenarios());
    all.extend(unnoticed::scenarios());
    all.extend(idle::scenarios());
    all.extend(mixed::scenarios());
    all.extend(calico::scenarios());
    all.extend(add_path::scenarios());
    all.extend(families::scenarios());
    all.extend(pairs::scenarios());
    all.extend(reflection::scenarios());
    all.extend(restart::scenarios());
    all.extend(collision::scenarios());
    all.extend(bad_input::scenarios());
    all
}

/// A figure for whoever runs the scenarios by hand: on the error output, with `INTEROP_FIGURES=1`.
#[expect(clippy::print_stderr, reason = "it is asked for")]
fn record(figure: &str) {
    if std::env::var_os("INTEROP_FIGURES").is_some() {
        eprintln!("{figure}");
    }
}
