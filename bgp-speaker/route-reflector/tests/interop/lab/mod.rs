//! A laboratory: network namespaces on one bridge, and the processes that run inside them.
//!
//! Everything a scenario makes belongs to its [`Lab`]; dropping the lab, on success or on a panic, ends the
//! processes by their ids and deletes the namespaces. Names carry the id of this test process, so that runs side
//! by side do not meet, and what a killed run left behind is swept by the next one.

mod flow;
mod netns;
mod process;
mod wait;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

pub(crate) use flow::{Balance, Flow};
pub(crate) use netns::{can_make_namespaces, in_namespace, sweep};
pub(crate) use process::{Process, Spawn, is_installed, output};
pub(crate) use wait::{eventually, holds};

/// Every namespace of this test target begins with this.
const PREFIX: &str = "bgplab";

/// Distinguishes the laboratories of one run.
static NEXT_LAB: AtomicU32 = AtomicU32::new(0);

/// One machine of a laboratory: a network namespace with `eth0` on the shared bridge.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Short name, unique in its laboratory.
    pub(crate) name: String,
    /// Name of the network namespace.
    pub(crate) ns: String,
    /// Host part of both addresses.
    pub(crate) index: u8,
}

impl Node {
    /// Address on the bridge.
    pub(crate) fn v4(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 9, 0, self.index)
    }

    /// IPv6 address on the bridge.
    pub(crate) fn v6(&self) -> Ipv6Addr {
        Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, u16::from(self.index))
    }

    /// Both addresses on the bridge.
    pub(crate) fn addresses(&self) -> [IpAddr; 2] {
        [self.v4().into(), self.v6().into()]
    }

    /// The address on the bridge that routes to this prefix in text, by its family, point at.
    pub(crate) fn address_for(&self, prefix: &str) -> String {
        if prefix.contains(':') { self.v6().to_string() } else { self.v4().to_string() }
    }
}

/// Namespaces, processes and files of one scenario.
pub(crate) struct Lab {
    id: String,
    dir: PathBuf,
    bridge: String,
    namespaces: Mutex<Vec<String>>,
    processes: Mutex<Vec<Arc<Process>>>,
}

impl Lab {
    /// An empty laboratory: a namespace that holds the bridge, and a work directory.
    pub(crate) fn new() -> Self {
        let number = NEXT_LAB.fetch_add(1, Ordering::Relaxed);
        let id = format!("{PREFIX}-{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(&id);
        let bridge = format!("{id}-br");
        let lab = Self { id, dir, bridge, namespaces: Mutex::default(), processes: Mutex::default() };
        fs::create_dir_all(&lab.dir).expect("the temporary directory is writable");
        open_to_all(&lab.dir);
        lab.add_namespace(&lab.bridge);
        ip(&["-n", &lab.bridge, "link", "add", "br0", "type", "bridge", "forward_delay", "0"]);
        ip(&["-n", &lab.bridge, "link", "set", "br0", "up"]);
        lab
    }

    /// Adds a machine: `10.9.0.index/24` and `fd09::index/64` on `eth0`, forwarding on.
    pub(crate) fn node(&self, name: &str, index: u8) -> Node {
        let node = Node { name: name.to_owned(), ns: format!("{}-{name}", self.id), index };
        self.add_namespace(&node.ns);
        let port = bridge_port(&node);
        ip(&[
            "-n",
            &node.ns,
            "link",
            "add",
            "eth0",
            "type",
            "veth",
            "peer",
            "name",
            &port,
            "netns",
            &self.bridge,
        ]);
        ip(&["-n", &self.bridge, "link", "set", &port, "master", "br0", "up"]);
        ip(&["-n", &node.ns, "address", "add", &format!("{}/24", node.v4()), "dev", "eth0"]);
        ip(&["-n", &node.ns, "address", "add", &format!("{}/64", node.v6()), "dev", "eth0", "nodad"]);
        ip(&["-n", &node.ns, "link", "set", "eth0", "up"]);
        node
    }

    /// Adds a workload behind `node`: its own namespace at the far end of a veth pair, on the first two addresses
    /// of the two given networks (the first is the node's side).
    pub(crate) fn workload(&self, node: &Node, v4: (Ipv4Addr, u8), v6: (Ipv6Addr, u8)) -> Node {
        let workload =
            Node { name: format!("w-{}", node.name), ns: format!("{}-w", node.ns), index: node.index };
        self.add_namespace(&workload.ns);
        let next4 = |n: u32| Ipv4Addr::from(u32::from(v4.0) + n);
        let next6 = |n: u128| Ipv6Addr::from(u128::from(v6.0) + n);
        ip(&[
            "-n",
            &node.ns,
            "link",
            "add",
            "work0",
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "netns",
            &workload.ns,
        ]);
        for (ns, dev, n) in [(&node.ns, "work0", 1), (&workload.ns, "eth0", 2)] {
            ip(&["-n", ns, "address", "add", &format!("{}/{}", next4(n), v4.1), "dev", dev]);
            ip(&[
                "-n",
                ns,
                "address",
                "add",
                &format!("{}/{}", next6(u128::from(n)), v6.1),
                "dev",
                dev,
                "nodad",
            ]);
            ip(&["-n", ns, "link", "set", dev, "up"]);
        }
        ip(&["-n", &workload.ns, "route", "add", "default", "via", &next4(1).to_string()]);
        ip(&["-n", &workload.ns, "-6", "route", "add", "default", "via", &next6(1).to_string()]);
        workload
    }

    /// Cuts (`false`) or mends (`true`) the node's cable at the bridge: the node itself sees no carrier change
    /// that it could mistake for an interface going away.
    pub(crate) fn cable(&self, node: &Node, plugged: bool) {
        let port = bridge_port(node);
        if plugged {
            ip(&["-n", &self.bridge, "link", "set", &port, "master", "br0"]);
        } else {
            ip(&["-n", &self.bridge, "link", "set", &port, "nomaster"]);
        }
    }

    /// A path in the work directory that belongs to `node`.
    pub(crate) fn path(&self, node: &Node, file: &str) -> PathBuf {
        self.dir.join(format!("{}.{file}", node.name))
    }

    /// Writes a file of `node` into the work directory, replacing it in one step, and returns its path.
    pub(crate) fn write(&self, node: &Node, file: &str, text: &str) -> PathBuf {
        let path = self.path(node, file);
        let fresh = self.path(node, &format!("{file}.new"));
        fs::write(&fresh, text).expect("the work directory is writable");
        fs::set_permissions(&fresh, fs::Permissions::from_mode(0o644)).expect("the file is ours");
        fs::rename(&fresh, &path).expect("both names are in one directory");
        path
    }

    /// A subdirectory of the work directory that every user may write into.
    pub(crate) fn subdir(&self, node: &Node, name: &str) -> PathBuf {
        let path = self.path(node, name);
        fs::create_dir_all(&path).expect("the work directory is writable");
        open_to_all(&path);
        path
    }

    /// Starts a process in the node's namespace; it ends with this laboratory at the latest.
    pub(crate) fn spawn(&self, node: &Node, spawn: &Spawn) -> Arc<Process> {
        let process = Arc::new(Process::start(&node.ns, &node.name, &self.dir, spawn));
        self.processes.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&process));
        process
    }

    /// Runs a command to its end in the node's namespace.
    pub(crate) fn run(&self, node: &Node, command: &[&str]) -> Result<String, String> {
        let mut line = vec!["ip", "netns", "exec", &node.ns];
        line.extend_from_slice(command);
        output(&line)
    }

    /// What a failed scenario adds to its message: the last words of every process.
    pub(crate) fn report(&self) -> String {
        let processes = self.processes.lock().unwrap_or_else(PoisonError::into_inner);
        processes.iter().map(|process| process.last_words()).collect()
    }

    fn add_namespace(&self, ns: &str) {
        ip(&["netns", "add", ns]);
        self.namespaces.lock().unwrap_or_else(PoisonError::into_inner).push(ns.to_owned());
        ip(&["-n", ns, "link", "set", "lo", "up"]);
        netns::prepare(ns);
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for process in self.processes.get_mut().unwrap_or_else(PoisonError::into_inner) {
            process.kill();
        }
        for ns in self.namespaces.get_mut().unwrap_or_else(PoisonError::into_inner) {
            netns::remove(ns);
        }
        if std::env::var_os("INTEROP_KEEP").is_none() {
            fs::remove_dir_all(&self.dir).ok();
        }
    }
}

/// Runs `ip` and insists that it works: a laboratory that cannot be built is a failed scenario.
pub(crate) fn ip(arguments: &[&str]) -> String {
    let mut line = vec!["ip"];
    line.extend_from_slice(arguments);
    output(&line).unwrap_or_else(|error| panic!("{error}"))
}

/// Routes that a node's kernel holds under one protocol number in one table, both families, as `ip -j` shows them.
pub(crate) fn kernel_routes(node: &Node, table: u32, protocol: u8) -> Result<Vec<Value>, String> {
    let (table, protocol) = (table.to_string(), protocol.to_string());
    let mut routes = Vec::new();
    for family in ["-4", "-6"] {
        let line =
            ["ip", "-n", &node.ns, "-j", family, "route", "show", "table", &table, "protocol", &protocol];
        match output(&line) {
            Ok(text) if text.trim().is_empty() => {}
            Ok(text) => match serde_json::from_str(&text) {
                Ok(Value::Array(list)) => routes.extend(list),
                other => return Err(format!("`{}` printed {other:?}", line.join(" "))),
            },
            // A table comes into being with its first route.
            Err(error) if error.contains("FIB table does not exist") => {}
            Err(error) => return Err(error),
        }
    }
    Ok(routes)
}

/// Name of the bridge's end of a node's cable.
fn bridge_port(node: &Node) -> String {
    format!("p{}", node.index)
}

/// Lets daemons that run as another user work in a directory.
fn open_to_all(dir: &Path) {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o1777)).expect("the directory is ours");
}
