//! What a process costs that has nothing to do.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{OUR_AS, record};
use crate::Scenario;
use crate::lab::{Lab, Process, eventually, output};
use crate::ours::{PeerEntry, Reflector, kernel_keys};
use crate::peer::{SOON, UP};
use crate::scripted::Identity;
use crate::scripted::message::{self, Attributes};

/// Interfaces that are nobody's business; `INTEROP_INTERFACES` asks for another number.
const INTERFACES: usize = 10_000;
/// Kinds of them; a kernel has one or another. All go fast with their namespace: of bridges each takes the kernel a while, in
/// which nobody else gets at a link.
const KINDS: [(&str, &str); 3] = [("", "dummy"), ("", "ifb"), ("link eth0", "macvlan")];
/// Other nodes of the mesh, each with a block and some single addresses.
const NODES: u16 = 1000;
const ROUTES_OF_A_NODE: u8 = 4;
/// A keepalive each way and session in a third of this.
const HOLD_TIME: u16 = 90;
/// How long it is watched.
const WATCH: Duration = Duration::from_secs(3);
/// Of a core; an optimised build takes a tenth of that.
const IDLE_PERCENT: f64 = if cfg!(debug_assertions) { 3.0 } else { 1.0 };
/// Ticks of a second in the kernel's accounts, on every machine (USER_HZ).
const TICKS: f64 = 100.0;
/// What a mesh node may take of memory.
const MEBIBYTES: u64 = 100;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("idle_beside_thousands_of_interfaces", interfaces),
        Scenario::new("idle_in_a_mesh_of_a_thousand_nodes", mesh),
    ]
}

/// Seconds of a core that a process has taken.
fn cpu_seconds(process: &Process) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.id())).expect("it runs");
    // The second field is a name in parentheses, which may hold anything.
    let fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ');
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    ticks as f64 / TICKS
}

/// A figure of `/proc/PID/status`, in MiB.
fn mebibytes(process: &Process, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    let kibibytes = line.trim_matches([':', '\t', ' ', 'k', 'B']).parse::<u64>();
    kibibytes.unwrap_or_else(|_| panic!("no {name} in {status}")) / 1024
}

fn stays_idle(process: &Process) {
    let (before, begun) = (cpu_seconds(process), Instant::now());
    thread::sleep(WATCH);
    let percent = (cpu_seconds(process) - before) / begun.elapsed().as_secs_f64() * 100.0;
    record(&format!("idle: {percent:.2} % of a core"));
    assert!(percent < IDLE_PERCENT, "{percent:.2} % of a core with nothing to do");
}

/// A speaker that writes to the kernel and has a route over one interface of thousands.
fn interfaces(lab: &Lab) {
    let count = std::env::var("INTEROP_INTERFACES").ok().and_then(|n| n.parse().ok()).unwrap_or(INTERFACES);
    let (ours, theirs) = (lab.node("ours", 1), lab.node("theirs", 2));
    let entries = [PeerEntry::new(theirs.v4(), OUR_AS)];
    let reflector = Reflector::start(lab, &ours, OUR_AS, &entries, &kernel_keys());
    let other_entries = [PeerEntry::new(ours.v4(), OUR_AS).passive()];
    let route = "[[route]]\nprefix = \"198.51.100.0/24\"\n";
    let _other = Reflector::start(lab, &theirs, OUR_AS, &other_entries, route);
    reflector.comes_up_with(theirs.v4());
    eventually("the kernel has the route", SOON, || {
        reflector.kernel_has("198.51.100.0/24", &theirs.v4().to_string())
    });
    let before = cpu_seconds(reflector.process());
    let batch = |names: &[String], (link, kind): (&str, &str)| {
        let lines = names.iter().map(|name| format!("link add {link} name {name} type {kind}\n"));
        let file = lab.write(&ours, "batch", &lines.collect::<String>());
        output(&["ip", "-n", &ours.ns, "-batch", &file.display().to_string()])
    };
    let kind = KINDS.into_iter().find(|kind| batch(&["nobody".to_owned()], *kind).is_ok());
    let kind = kind.unwrap_or_else(|| panic!("this kernel has none of {KINDS:?}"));
    let names: Vec<String> = (0..count).map(|number| format!("nobody{number}")).collect();
    // Some at a time: a command has ten seconds.
    for some in names.chunks(500) {
        batch(some, kind).unwrap_or_else(|error| panic!("{error}"));
    }
    record(&format!("{count} interfaces came: {:.2} s", cpu_seconds(reflector.process()) - before));
    stays_idle(reflector.process());
    let up = reflector.established(theirs.v4().into()).expect("the session stays");
    assert_eq!(up["established"], 1);
    reflector.kernel_has("198.51.100.0/24", &theirs.v4().to_string()).expect("the route stays");
}

/// The address of a node of the mesh; ours is the first, so that all others dial it.
fn address(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(127, 1, 1 + high, low)
}

/// A node with a session with each of a thousand others.
fn mesh(lab: &Lab) {
    let node = lab.node("ours", 1);
    let mut text = format!(
        "asn = {OUR_AS}\nrouter-id = \"10.9.0.1\"\nlisten = \"{own}:179\"\nhold-time = {HOLD_TIME}\n\
         control-socket = \"{socket}\"\n[mesh]\nlocal = \"{own}\"\nnodes = [\n",
        own = address(0),
        socket = lab.path(&node, "rr.sock").display(),
    );
    for number in 0..=NODES {
        let _ = writeln!(text, "{{ name = \"n{number}\", address = \"{}\" }},", address(number));
    }
    let reflector = Reflector::start_with(lab, &node, &(text + "]\n"));
    let begun = Instant::now();
    let sessions: Vec<TcpStream> = (1..=NODES).map(|number| join(&node.ns, number)).collect();
    let routes = u64::from(NODES) * (1 + u64::from(ROUTES_OF_A_NODE));
    eventually("it has everything", UP, || {
        let status = reflector.status()?;
        let up =
            status["peers"].as_array().into_iter().flatten().filter(|p| p["state"] == "Established").count();
        let paths = &status["paths"];
        if up == usize::from(NODES) && *paths == routes {
            Ok(())
        } else {
            Err(format!("{up} up, {paths} paths"))
        }
    });
    record(&format!("{NODES} sessions and {routes} routes after {:?}", begun.elapsed()));

    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        // Every session's keepalive once in a third of the hold time, one after the other.
        scope.spawn(|| {
            let pause = Duration::from_secs(u64::from(HOLD_TIME) / 3) / u32::from(NODES);
            for mut session in sessions.iter().cycle().take_while(|_| !over.load(Ordering::Relaxed)) {
                session.write_all(&message::keepalive()).expect("the session is up");
                thread::sleep(pause);
            }
        });
        // What the beginning costs is over.
        thread::sleep(Duration::from_secs(1));
        let watched =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| stays_idle(reflector.process())));
        over.store(true, Ordering::Relaxed);
        watched.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    let [now, most] = ["VmRSS", "VmHWM"].map(|name| mebibytes(reflector.process(), name));
    record(&format!("memory: {now} MiB, {most} MiB at most"));
    assert!(most < MEBIBYTES, "{most} MiB for {NODES} sessions");
}

/// A node that comes up and tells what it has.
fn join(ns: &str, number: u16) -> TcpStream {
    let (local, remote) = (address(number), (address(0), 179).into());
    let identity = Identity { ns: ns.to_owned(), local, remote, asn: OUR_AS, hold_time: HOLD_TIME };
    let mut stream = identity.establish().unwrap_or_else(|error| panic!("node {number}: {error}"));
    let block = u32::from(Ipv4Addr::new(10, 128, 0, 0)) + u32::from(number) * 64;
    let host = |n: u8| {
        format!(
            "{}/32",
            Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 192, 0, 0)) + u32::from(number) * 64 + u32::from(n))
        )
    };
    let attributes = Attributes::plain(local, Vec::new());
    let mut bytes = message::announce(&attributes, &[&format!("{}/26", Ipv4Addr::from(block))]);
    let hosts: Vec<String> = (0..ROUTES_OF_A_NODE).map(host).collect();
    bytes.extend(message::announce(&attributes, &hosts.iter().map(String::as_str).collect::<Vec<_>>()));
    bytes.extend(message::update(&[], &[], &[]));
    stream.write_all(&bytes).expect("the session is up");
    stream
}
