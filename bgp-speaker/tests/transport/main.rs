//! How sessions are protected, between network namespaces: passwords, hops, interfaces; and with other BGP daemons.
//!
//! Needs root, `ip` and a kernel with TCP-MD5; elsewhere each test is reported as ignored, with the reason, and so is a
//! test whose daemon is not installed.

#![allow(clippy::print_stderr, reason = "the words of a daemon, for a test that failed")]
#![allow(clippy::unwrap_used, reason = "a test may fail by panic; clippy does not see that this is one")]

#[cfg(target_os = "linux")]
mod daemons;
#[cfg(target_os = "linux")]
mod hops;
#[cfg(target_os = "linux")]
mod interfaces;
#[cfg(target_os = "linux")]
mod lab;
#[cfg(target_os = "linux")]
mod master_keys;
#[cfg(target_os = "linux")]
mod passwords;
#[cfg(target_os = "linux")]
mod vanishing;

use libtest_mimic::{Arguments, Trial};

#[cfg(target_os = "linux")]
fn trials() -> Vec<Trial> {
    use libtest_mimic::{Completion, Failed};

    let obstacle = lab::obstacle();
    let all = [passwords::ALL, hops::ALL, interfaces::ALL, master_keys::ALL, vanishing::ALL].concat();
    let stories = all.into_iter().map(|(name, story)| (name, story, None));
    let daemons = daemons::ALL.iter().map(|(name, story, daemon)| (*name, *story, Some(*daemon)));
    let trial = |(name, story, daemon): (&str, fn(), Option<&str>)| {
        let missing = daemon.and_then(lab::missing);
        let obstacle = obstacle.clone().or(missing);
        Trial::ignorable_test(name, move || match obstacle {
            Some(reason) => Ok(Completion::ignored_with(reason)),
            None => match std::thread::spawn(story).join() {
                Ok(()) => Ok(Completion::Completed),
                Err(panic) => {
                    let words = panic.downcast_ref::<String>().cloned();
                    let words = words.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
                    Err(Failed::from(words.unwrap_or_else(|| "it panicked".into())))
                }
            },
        })
    };
    stories.chain(daemons).map(trial).collect()
}

#[cfg(not(target_os = "linux"))]
fn trials() -> Vec<Trial> {
    Vec::new()
}

fn main() {
    let mut arguments = Arguments::from_args();
    // Each story has speakers with threads of their own; more at once would only make them late.
    arguments.test_threads = arguments.test_threads.or(Some(4));
    libtest_mimic::run(&arguments, trials()).exit();
}
