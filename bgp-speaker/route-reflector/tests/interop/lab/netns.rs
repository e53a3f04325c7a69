//! Network namespaces: made by `ip netns`, entered by single threads.

use std::env;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::Path;
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{PREFIX, output};

/// Whether this process may make a network namespace; the reason why not otherwise.
pub(crate) fn can_make_namespaces() -> Result<(), String> {
    let probe = format!("{PREFIX}-{}-probe", std::process::id());
    output(&["ip", "netns", "add", &probe])?;
    let usable = output(&["ip", "netns", "exec", &probe, "true"])
        .and_then(|_| {
            output(&["ip", "-n", &probe, "link", "add", "v0", "type", "veth", "peer", "name", "v1"])
        })
        .and_then(|_| output(&["ip", "-n", &probe, "link", "add", "b0", "type", "bridge"]));
    remove(&probe);
    usable.map(drop)
}

/// Runs `work` on a thread of its own inside a namespace. Sockets that it opens stay in that namespace.
pub(crate) fn in_namespace<T: Send>(ns: &str, work: impl FnOnce() -> T + Send) -> T {
    let file = File::open(Path::new("/run/netns").join(ns)).expect("the namespace exists");
    thread::scope(|scope| {
        let inside = scope.spawn(|| {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("root may enter a namespace");
            work()
        });
        inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Makes a fresh namespace route packets and lets daemons without root bind the BGP port.
pub(super) fn prepare(ns: &str) {
    let settings = [
        ("ipv4/ip_unprivileged_port_start", "0"),
        ("ipv4/ip_forward", "1"),
        ("ipv6/conf/all/forwarding", "1"),
        ("ipv4/conf/all/rp_filter", "0"),
        ("ipv4/conf/default/rp_filter", "0"),
        // Links are made with the laboratory: nobody else has their addresses, and while that is found out for the
        // link-local ones, a router asks for no neighbour.
        ("ipv6/conf/all/accept_dad", "0"),
        ("ipv6/conf/default/accept_dad", "0"),
        ("ipv4/ping_group_range", "0 0"),
    ];
    in_namespace(ns, || {
        for (key, value) in settings {
            fs::write(Path::new("/proc/sys/net").join(key), value)
                .unwrap_or_else(|error| panic!("cannot set net/{key} in {ns}: {error}"));
        }
    });
}

/// Ends what still runs in a namespace and deletes it.
pub(super) fn remove(ns: &str) {
    for pid in output(&["ip", "netns", "pids", ns]).unwrap_or_default().lines() {
        if let Some(pid) = pid.trim().parse().ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::KILL).ok();
        }
    }
    output(&["ip", "netns", "delete", ns]).ok();
}

/// Deletes namespaces and files of test processes that are gone: a killed run cannot clean up after itself.
pub(crate) fn sweep() {
    for line in output(&["ip", "netns", "list"]).unwrap_or_default().lines() {
        if let Some(ns) = line.split_whitespace().next().filter(|ns| is_orphan(ns)) {
            remove(ns);
        }
    }
    for entry in fs::read_dir(env::temp_dir()).into_iter().flatten().flatten() {
        if is_orphan(&entry.file_name().to_string_lossy()) {
            fs::remove_dir_all(entry.path()).ok();
        }
    }
}

/// Whether this is the name of something that a test process made which does not run any more.
fn is_orphan(name: &str) -> bool {
    let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').nth(1));
    owner.is_some_and(|pid| pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists())
}
