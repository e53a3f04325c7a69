//! The kernel export on a real kernel: each test in a network namespace of its own.
//!
//! Needs root and `ip`; elsewhere each test is reported as ignored, with the reason.

#![allow(clippy::unwrap_used, reason = "a test may fail by panic; clippy does not see that this is one")]
#![allow(clippy::print_stdout, reason = "figures for information")]

/// The tests of a file, by name.
macro_rules! stories {
    ($($story:ident),* $(,)?) => {
        /// Every test of this file.
        pub(crate) const ALL: &[(&str, fn())] = &[$((stringify!($story), $story)),*];
    };
}

#[cfg(target_os = "linux")]
mod carrier;
#[cfg(target_os = "linux")]
mod faults;
#[cfg(target_os = "linux")]
mod learning;
#[cfg(target_os = "linux")]
mod live;
#[cfg(target_os = "linux")]
mod namespace;
#[cfg(target_os = "linux")]
#[path = "../netns/mod.rs"]
mod netns;
#[cfg(target_os = "linux")]
mod objects;
#[cfg(target_os = "linux")]
#[path = "../quick/mod.rs"]
mod quick;
#[cfg(target_os = "linux")]
mod speakers;
#[cfg(target_os = "linux")]
mod stories;
#[cfg(target_os = "linux")]
mod vrf;

#[cfg(target_os = "linux")]
use libtest_mimic::Completion;
#[cfg(not(target_os = "linux"))]
use libtest_mimic::Failed;
use libtest_mimic::{Arguments, Trial};

#[cfg(target_os = "linux")]
fn trials() -> Vec<Trial> {
    let obstacle = netns::obstacle();
    let no_vrf = obstacle.clone().or_else(vrf::obstacle);
    let trial = |(name, story): &(&str, fn())| {
        let of_vrf = vrf::ALL.iter().any(|(of_vrf, _)| of_vrf == name);
        let (obstacle, story) = (if of_vrf { no_vrf.clone() } else { obstacle.clone() }, *story);
        Trial::ignorable_test(*name, move || match obstacle {
            Some(reason) => Ok(Completion::ignored_with(reason)),
            None => netns::on_own_thread(story),
        })
    };
    stories::ALL
        .iter()
        .chain(faults::ALL)
        .chain(objects::ALL)
        .chain(carrier::ALL)
        .chain(learning::ALL)
        .chain(speakers::ALL)
        .chain(live::ALL)
        .chain(vrf::ALL)
        .map(trial)
        .collect()
}

#[cfg(not(target_os = "linux"))]
fn trials() -> Vec<Trial> {
    vec![Trial::test("opening_the_kernels_table_says_that_linux_is_needed", || {
        let opened = bgp_speaker::kernel::Netlink::open(&Default::default());
        let error = opened.err().ok_or_else(|| Failed::from("it opened"))?;
        match error.to_string().contains("Linux") {
            true => Ok(()),
            false => Err(format!("{error}").into()),
        }
    })]
}

fn main() {
    let arguments = Arguments::from_args();
    libtest_mimic::run(&arguments, trials()).exit();
}
