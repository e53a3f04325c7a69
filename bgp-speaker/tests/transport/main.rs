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
#[path = "../netns/mod.rs"]
mod netns;
#[cfg(target_os = "linux")]
mod passwords;
#[cfg(target_os = "linux")]
mod vanishing;

use libtest_mimic::{Arguments, Trial};

#[cfg(target_os = "linux")]
fn trials() -> Vec<Trial> {
    use libtest_mimic::Completion;

    let obstacle = netns::obstacle();
    let all = [passwords::ALL, hops::ALL, interfaces::ALL, master_keys::ALL, vanishing::ALL].concat();
    let stories = all.into_iter().map(|(name, story)| (name, story, Need::Nothing));
    let daemons = daemons::ALL.iter().map(|(name, story, daemon)| (*name, *story, Need::Daemon(daemon)));
    let keys = master_keys::ABLE.iter().map(|(name, story)| (*name, *story, Need::TcpAo));
    let no_keys = master_keys::UNABLE.iter().map(|(name, story)| (*name, *story, Need::NoTcpAo));
    let bird = master_keys::BIRD.iter().map(|(name, story)| (*name, *story, Need::TcpAoBird));
    let trial = |(name, story, need): (&str, fn(), Need)| {
        let obstacle = obstacle.clone();
        Trial::ignorable_test(name, move || match obstacle.or_else(|| need.missing()) {
            Some(reason) => Ok(Completion::ignored_with(reason)),
            None => netns::on_own_thread(story),
        })
    };
    stories.chain(daemons).chain(keys).chain(no_keys).chain(bird).map(trial).collect()
}

/// What a test needs beyond namespaces.
#[cfg(target_os = "linux")]
#[derive(Clone, Copy)]
enum Need {
    Nothing,
    Daemon(&'static str),
    TcpAo,
    /// And a BIRD that has it too.
    TcpAoBird,
    NoTcpAo,
}

#[cfg(target_os = "linux")]
impl Need {
    /// Why the test cannot run here, if it cannot.
    fn missing(self) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::Daemon(program) => lab::missing(program),
            Self::TcpAo => (!master_keys::in_the_kernel()).then(|| "this kernel has no TCP-AO".into()),
            Self::TcpAoBird => Self::Daemon("bird")
                .missing()
                .or_else(|| Self::TcpAo.missing())
                .or_else(master_keys::bird_obstacle),
            Self::NoTcpAo => master_keys::in_the_kernel().then(|| "this kernel has TCP-AO".into()),
        }
    }
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
