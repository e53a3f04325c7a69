//! Network namespaces in a row, joined by links, with speakers and daemons in them.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use bgp_speaker::{
    Asn, Builder, PeerAddress, PeerConfig, PeerStatus, Policy, RouterId, ShutdownMode, Speaker, State, Timers,
};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

pub(crate) use crate::netns::await_that;
use crate::netns::{self, run};

/// How long a test watches that something does not happen: a few attempts of sessions that retry every second.
const WATCH: Duration = Duration::from_secs(4);
/// The AS of every speaker that says no other.
pub(crate) const ASN: Asn = Asn(65000);

macro_rules! stories {
    ($list:ident: $($story:ident),* $(,)?) => {
        /// Tests of this file.
        pub(crate) const $list: &[(&str, fn())] = &[$((stringify!($story), $story)),*];
    };
    ($($story:ident),* $(,)?) => { stories!(ALL: $($story),*); };
}
pub(crate) use stories;

/// Namespaces 0, 1, 2 in a row; neighbours share a network. Removed on drop.
pub(crate) struct Lab {
    names: Vec<String>,
    directory: PathBuf,
}

impl Lab {
    /// `length` namespaces. Namespace `n` has 10.0.n.1 and 2001:db8:n::1 towards the next one on `right`, and 10.0.(n-1).2
    /// and 2001:db8:(n-1)::2 towards the one before on `left`. All forward, and know the way to the ends.
    pub(crate) fn row(length: usize) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let stem = format!("bgp-tcp-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(&stem);
        std::fs::create_dir(&directory).expect("the temporary directory can be written");
        let names = (0..length).map(|n| format!("{stem}-{n}")).collect();
        let lab = Self { names, directory };
        for (n, name) in lab.names.iter().enumerate() {
            run(Command::new("ip").args(["netns", "add", name]));
            lab.ip(n, "link set lo up");
            for switch in ["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"] {
                lab.exec(n, &["sysctl", "-q", "-w", switch]);
            }
        }
        for n in 1..length {
            lab.join(n - 1, n);
        }
        for n in 0..length {
            lab.ways(n, length);
        }
        lab
    }

    /// Links two neighbours, with the addresses of their network.
    pub(crate) fn join(&self, left: usize, right: usize) {
        let other = &self.names[right];
        self.ip(left, &format!("link add right type veth peer name left netns {other}"));
        for (n, link, host) in [(left, "right", 1), (right, "left", 2)] {
            self.ip(n, &format!("addr add 10.0.{left}.{host}/24 dev {link}"));
            self.ip(n, &format!("addr add 2001:db8:{left}::{host}/64 dev {link} nodad"));
            self.ip(n, &format!("link set {link} up"));
        }
    }

    fn ways(&self, n: usize, length: usize) {
        for network in 0..length.saturating_sub(1) {
            // Networks n-1 and n are its own.
            if network < n.saturating_sub(1) {
                self.ip(n, &format!("route add 10.0.{network}.0/24 via 10.0.{}.1", n - 1));
                self.ip(n, &format!("route add 2001:db8:{network}::/64 via 2001:db8:{}::1", n - 1));
            } else if network > n {
                self.ip(n, &format!("route add 10.0.{network}.0/24 via 10.0.{n}.2"));
                self.ip(n, &format!("route add 2001:db8:{network}::/64 via 2001:db8:{n}::2"));
            }
        }
    }

    /// `ip ARGUMENTS` in a namespace.
    pub(crate) fn ip(&self, n: usize, arguments: &str) -> String {
        run(Command::new("ip").args(["-n", &self.names[n]]).args(arguments.split_whitespace()))
    }

    /// A command in a namespace, to its end.
    pub(crate) fn exec(&self, n: usize, line: &[&str]) -> String {
        run(Command::new("ip").args(["netns", "exec", &self.names[n]]).args(line))
    }

    /// A command that may fail.
    pub(crate) fn try_exec(&self, n: usize, line: &[&str]) {
        Command::new("ip")
            .args(["netns", "exec", &self.names[n]])
            .args(line)
            .output()
            .expect("ip is installed");
    }

    /// A file of this laboratory.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.directory.join(name);
        std::fs::write(&path, content).expect("the temporary directory can be written");
        path
    }

    /// The path of a file that is not there yet.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Starts a program in a namespace; it ends with what is returned, or with this thread.
    pub(crate) fn spawn(&self, n: usize, line: &[&str]) -> Program {
        let log = File::create(self.directory.join("program.log")).expect("the directory can be written");
        let child = Command::new("ip")
            .args(["netns", "exec", &self.names[n], "setpriv", "--pdeathsig", "KILL"])
            .args(line)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a descriptor is free"))
            .stderr(log)
            .spawn()
            .expect("ip is installed");
        Program { child }
    }

    /// A speaker in a namespace that listens on both wildcards.
    pub(crate) fn speaker(&self, n: usize) -> Node {
        self.speaker_with(n, ASN)
    }

    pub(crate) fn speaker_with(&self, n: usize, asn: Asn) -> Node {
        let id = RouterId(u32::try_from(n).expect("a few namespaces") + 1);
        let builder = Speaker::builder(asn, id)
            .listen("0.0.0.0:179".parse().unwrap())
            .listen("[::]:179".parse().unwrap());
        self.start(n, builder)
    }

    pub(crate) fn start(&self, n: usize, builder: Builder) -> Node {
        Node::start(self.names[n].clone(), builder)
    }

    /// What a namespace's kernel counts under this name.
    pub(crate) fn counter(&self, n: usize, name: &str) -> u64 {
        let text = self.exec(n, &["cat", "/proc/net/netstat"]);
        let mut lines = text.lines().filter_map(|line| line.strip_prefix("TcpExt: "));
        let (names, values) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        let at = names.split(' ').position(|word| word == name);
        let value = at.and_then(|at| values.split(' ').nth(at)).and_then(|value| value.parse().ok());
        value.unwrap_or_else(|| panic!("no counter {name} in {text}"))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // A panic here, while a failed test unwinds, would hide its words.
        if std::thread::panicking()
            && let Ok(log) = std::fs::read_to_string(self.directory.join("program.log"))
        {
            eprintln!("{log}");
        }
        for name in &self.names {
            netns::remove(name);
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A daemon, ended on drop.
pub(crate) struct Program {
    child: Child,
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A speaker on a thread that lives in its namespace.
pub(crate) struct Node {
    pub(crate) speaker: Speaker,
    runtime: Runtime,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Node {
    fn start(namespace: String, builder: Builder) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (started, speaker) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            netns::enter(&namespace);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let speaker = builder.start().await.expect("it starts");
                started.send(speaker.clone()).expect("the test waits");
                // An error says that the test is over as well.
                let _ = stopped.await;
                speaker.shutdown(ShutdownMode::Restart).await;
            });
        });
        let speaker = speaker.recv().expect("the speaker starts");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { speaker, runtime, stop: Some(stop), thread: Some(thread) }
    }

    /// Does one call on the speaker.
    pub(crate) fn wait<F: Future>(&self, call: F) -> F::Output {
        self.runtime.block_on(call)
    }

    pub(crate) fn add(&self, peer: PeerConfig) {
        self.wait(self.speaker.add_peer(peer)).expect("a good configuration");
    }

    pub(crate) fn peer(&self, address: &str) -> PeerStatus {
        let address: PeerAddress = address.parse().unwrap();
        self.speaker.status().peer(address).cloned().unwrap_or_else(|| panic!("no peer {address}"))
    }

    pub(crate) fn is_up(&self, address: &str) -> bool {
        let address: PeerAddress = address.parse().unwrap();
        self.speaker.status().peer(address).is_some_and(|peer| peer.state == State::Established)
    }

    /// Waits until the session with this peer is up.
    pub(crate) fn await_up(&self, address: &str) {
        await_that(&format!("a session with {address}"), || match self.is_up(address) {
            true => Ok(()),
            false => Err(format!("{:#?}", self.speaker.status().peers)),
        });
    }

    /// Watches that no session with this peer comes up, nor has been up.
    pub(crate) fn stays_down(&self, address: &str) {
        let end = Instant::now() + WATCH;
        while Instant::now() < end {
            let status = self.speaker.status();
            let peer = status.peer(address.parse::<PeerAddress>().unwrap());
            assert!(peer.is_none_or(|p| p.state != State::Established && p.established == 0), "{peer:#?}");
            sleep(Duration::from_millis(50));
        }
    }

    /// Watches that no session with this peer comes up, whatever was before.
    pub(crate) fn stays_without_session(&self, address: &str) {
        let end = Instant::now() + WATCH;
        while Instant::now() < end {
            assert!(!self.is_up(address), "{:#?}", self.peer(address));
            sleep(Duration::from_millis(50));
        }
    }

    /// Waits until the status of this peer says these words.
    pub(crate) fn await_words(&self, address: &str, words: &str) {
        await_that(&format!("{address} to say {words:?}"), || {
            let info = self.peer(address).info;
            if info.contains(words) { Ok(()) } else { Err(info) }
        });
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // Its panic has failed the test already.
            let _ = thread.join();
        }
    }
}

/// A peer of this AS that is dialled anew every second.
pub(crate) fn peer(address: &str, asn: Asn) -> PeerConfig {
    let mut peer =
        PeerConfig::new(address.parse().unwrap(), asn).policies(Policy::accept_all(), Policy::accept_all());
    peer.options.timers = quick();
    peer
}

/// Timers with which a test need not wait.
pub(crate) fn quick() -> Timers {
    Timers {
        hold_time: Duration::from_secs(9),
        connect_retry: Duration::from_secs(1),
        idle_hold_min: Duration::from_millis(200),
        idle_hold_max: Duration::from_secs(1),
        ..Timers::default()
    }
}

/// Why a daemon cannot be started, if it cannot.
pub(crate) fn missing(program: &str) -> Option<String> {
    let found = match program.starts_with('/') {
        true => std::path::Path::new(program).exists(),
        false => std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).exists())),
    };
    (!found).then(|| format!("{program} is not installed"))
}
