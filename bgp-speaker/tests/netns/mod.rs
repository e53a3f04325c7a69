//! Network namespaces for tests: whether they can be used, how a thread enters one, and what killed runs left.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use libtest_mimic::{Completion, Failed};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Longest wait for anything that a test expects.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What the names of all namespaces of this project's tests begin with; then follows the id of the process.
const STEMS: [&str; 3] = ["bgp-tcp-", "bgp-kernel-", "bgplab-"];

/// Moves the calling thread into a namespace.
pub(crate) fn enter(name: &str) {
    let file = File::open(Path::new("/run/netns").join(name)).expect("ip netns add made it");
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).expect("root may enter it");
}

/// Runs a command to its end; it must succeed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().expect("ip is installed");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Removes a namespace. A panic here, while a failed test unwinds, would hide its words.
pub(crate) fn remove(name: &str) {
    let _ = Command::new("ip").args(["netns", "del", name]).output();
}

/// Waits until `holds` is `Ok`, and fails with its last words if that never comes.
pub(crate) fn await_that(what: &str, mut holds: impl FnMut() -> Result<(), String>) {
    let start = Instant::now();
    loop {
        match holds() {
            Ok(()) => return,
            Err(words) => assert!(start.elapsed() < PATIENCE, "waited for {what}; at the end: {words}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Plays a story on a thread of its own: one that has moved into a namespace is of no use to the next test.
pub(crate) fn on_own_thread(story: fn()) -> Result<Completion, Failed> {
    match std::thread::spawn(story).join() {
        Ok(()) => Ok(Completion::Completed),
        Err(panic) => {
            let words = panic.downcast_ref::<String>().cloned();
            let words = words.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            Err(words.unwrap_or_else(|| "it panicked".into()).into())
        }
    }
}

/// Why namespaces cannot be used here, if they cannot. Where they can, those of killed runs are removed.
pub(crate) fn obstacle() -> Option<String> {
    let name = format!("{}{}-probe", STEMS[0], std::process::id());
    let ip = |arguments: &[&str]| match Command::new("ip").args(arguments).output() {
        Err(error) => Some(format!("ip (iproute2) cannot be run: {error}")),
        Ok(output) if !output.status.success() => {
            let words = String::from_utf8_lossy(&output.stderr);
            Some(format!("network namespaces need root and veth: {}", words.trim()))
        }
        Ok(_) => None,
    };
    let obstacle = ip(&["netns", "add", &name]);
    if obstacle.is_some() {
        return obstacle;
    }
    let obstacle = ip(&["-n", &name, "link", "add", "e0", "type", "veth", "peer", "name", "e0p"]);
    remove(&name);
    sweep();
    obstacle
}

/// Removes the namespaces of test processes that are no more; their programs ended with them.
fn sweep() {
    let Ok(output) = Command::new("ip").args(["netns", "list"]).output() else { return };
    let list = String::from_utf8_lossy(&output.stdout);
    for name in list.lines().filter_map(|line| line.split(' ').next()) {
        let rest = STEMS.iter().find_map(|stem| name.strip_prefix(stem));
        let process = rest.and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if process.is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists()) {
            remove(name);
        }
    }
}
