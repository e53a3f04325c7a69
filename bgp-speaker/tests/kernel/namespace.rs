//! A network namespace of its own for one test, with two pairs of links in it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::netns::{self, run};
pub(crate) use crate::netns::{PATIENCE, await_that};

/// `e0` 10.0.0.1/24 and 2001:db8::1/64, `e1` 10.0.1.1/24 and 2001:db8:1::1/64; removed on drop.
pub(crate) struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes it and moves the calling thread into it.
    pub(crate) fn enter() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let namespace = Self { name: format!("bgp-kernel-{}-{number}", std::process::id()) };
        run(Command::new("ip").args(["netns", "add", &namespace.name]));
        netns::enter(&namespace.name);
        namespace.ip("link set lo up");
        for (link, v4, v6) in
            [("e0", "10.0.0.1/24", "2001:db8::1/64"), ("e1", "10.0.1.1/24", "2001:db8:1::1/64")]
        {
            namespace.ip(&format!("link add {link} type veth peer name {link}p"));
            namespace.ip(&format!("link set {link}p up"));
            namespace.ip(&format!("link set {link} up"));
            namespace.ip(&format!("addr add {v4} dev {link}"));
            namespace.ip(&format!("addr add {v6} dev {link} nodad"));
        }
        namespace
    }

    /// `ip ARGUMENTS` in the namespace.
    pub(crate) fn ip(&self, arguments: &str) -> String {
        run(Command::new("ip").args(["-n", &self.name]).args(arguments.split_whitespace()))
    }

    /// `ip -batch` with these lines.
    pub(crate) fn batch(&self, lines: &str) {
        let path = std::env::temp_dir().join(format!("{}.batch", self.name));
        std::fs::write(&path, lines).expect("the temporary directory can be written");
        let path_text = path.to_str().expect("a plain path");
        run(Command::new("ip").args(["-n", &self.name, "-batch", path_text]));
        std::fs::remove_file(path).expect("it was just written");
    }

    /// Routes of both families in `table` that `ip route show` selects, one per line, legs joined, without the numbers
    /// of nexthop objects.
    pub(crate) fn routes(&self, table: u32, select: &str) -> Vec<String> {
        let mut routes: Vec<String> = Vec::new();
        for family in ["-4", "-6"] {
            let arguments = [family, "route", "show", "table", &table.to_string()].map(str::to_owned);
            let output = Command::new("ip")
                .args(["-n", &self.name])
                .args(arguments)
                .args(select.split_whitespace())
                .output()
                .expect("ip is installed");
            for line in String::from_utf8_lossy(&output.stdout).lines() {
                let mut words: Vec<_> = line.split_whitespace().collect();
                if let Some(at) = words.iter().position(|word| *word == "nhid") {
                    words.drain(at..at + 2);
                }
                let words = words.join(" ");
                match routes.last_mut().filter(|_| line.starts_with(char::is_whitespace)) {
                    Some(route) => *route = format!("{route} {words}"),
                    None => routes.push(words),
                }
            }
        }
        routes
    }

    /// Nexthop objects of protocol bgp.
    pub(crate) fn objects(&self) -> Vec<String> {
        let told = self.ip("nexthop show");
        let ours = told.lines().filter(|line| line.contains("proto bgp"));
        ours.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    /// Routes of protocol bgp in the main table.
    pub(crate) fn ours(&self) -> Vec<String> {
        self.routes(254, "proto bgp")
    }

    /// Waits until one of ours for `prefix` has all these words in it.
    pub(crate) fn await_route(&self, prefix: &str, words: &[&str]) {
        await_that(&format!("{prefix} {words:?}"), || {
            let routes = self.routes(254, "proto bgp");
            let found = |route: &&String| {
                let route = format!("{route} ");
                let starts = route.starts_with(&format!("{prefix} "))
                    || ["blackhole", "unreachable", "prohibit"]
                        .iter()
                        .any(|kind| route.starts_with(&format!("{kind} {prefix} ")));
                starts && words.iter().all(|word| route.contains(&format!("{word} ")))
            };
            match routes.iter().find(found) {
                Some(_) => Ok(()),
                None => Err(format!("{routes:#?}")),
            }
        });
    }

    /// Waits until none of ours is for `prefix`.
    pub(crate) fn await_no_route(&self, prefix: &str) {
        await_that(&format!("no {prefix}"), || {
            let routes = self.ours();
            match routes.iter().any(|route| route.split(' ').any(|word| word == prefix)) {
                true => Err(format!("{routes:#?}")),
                false => Ok(()),
            }
        });
    }

    /// Starts `ip monitor route`.
    pub(crate) fn monitor(&self) -> Monitor {
        let mut child = Command::new("ip")
            .args(["-n", &self.name, "monitor", "route"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("ip is installed");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let monitor = Monitor { child, lines: receiver };
        // It listens once it tells of a route that changes again and again.
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            self.mark("192.88.99.1");
            if monitor.lines.recv_timeout(Duration::from_millis(50)).is_ok() {
                break;
            }
        }
        monitor
    }

    fn mark(&self, address: &str) {
        self.ip(&format!("route replace blackhole {address} proto static"));
        self.ip(&format!("route del blackhole {address} proto static"));
    }

    /// What the monitor saw of protocol bgp until now.
    pub(crate) fn seen(&self, monitor: &Monitor) -> Vec<String> {
        self.mark("192.88.99.2");
        let mut seen = Vec::new();
        loop {
            let line = monitor.lines.recv_timeout(PATIENCE).expect("the mark appears");
            if line.contains("192.88.99.2") {
                return seen;
            }
            if line.contains("proto bgp") {
                seen.push(line);
            }
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        netns::remove(&self.name);
    }
}

/// `ip monitor route`, ended on drop.
pub(crate) struct Monitor {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Drop for Monitor {
    fn drop(&mut self) {
        // It only ends by a signal; both calls fail only when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
