//! `route-reflector run`, configured by file and asked over its control socket.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use super::{PROTOCOL, reflector_program};
use crate::lab::{Lab, Node, Process, Spawn, eventually, kernel_routes, output};
use crate::peer::{HOLD_TIME, UP};

/// A neighbour in the reflector's configuration.
#[derive(Clone, Debug)]
pub(crate) struct PeerEntry {
    address: IpAddr,
    asn: u32,
    both_families: bool,
    more_families: Vec<&'static str>,
    keys: String,
}

impl PeerEntry {
    /// A neighbour of this AS that we call; over IPv4 with both families on its session.
    pub(crate) fn new(address: impl Into<IpAddr>, asn: u32) -> Self {
        let address = address.into();
        Self {
            address,
            asn,
            both_families: address.is_ipv4(),
            more_families: Vec::new(),
            keys: String::new(),
        }
    }

    /// With routes of these families, too.
    pub(crate) fn families(self, more: &[&'static str]) -> Self {
        Self { more_families: more.to_vec(), ..self }
    }

    /// With routes of the session's own family only.
    pub(crate) fn own_family(self) -> Self {
        Self { both_families: false, ..self }
    }

    /// Adds a line of configuration.
    pub(crate) fn key(mut self, line: &str) -> Self {
        let _ = writeln!(self.keys, "{line}");
        self
    }

    pub(crate) fn passive(self) -> Self {
        self.key("passive = true")
    }

    pub(crate) fn client(self) -> Self {
        self.key("route-reflector-client = true")
    }

    /// Takes and tells everything, which an eBGP session has to say (RFC 8212).
    pub(crate) fn open(self) -> Self {
        self.key("import = \"accept\"").key("export = \"accept\"")
    }
}

/// A running reflector.
pub(crate) struct Reflector<'a> {
    lab: &'a Lab,
    node: Node,
    process: Arc<Process>,
}

impl<'a> Reflector<'a> {
    /// Starts one that listens on `node` and has these neighbours, with both families on each session.
    pub(crate) fn start(lab: &'a Lab, node: &Node, asn: u32, entries: &[PeerEntry], more: &str) -> Self {
        let (local, local6) = (node.v4(), node.v6());
        let mut text = format!(
            "asn = {asn}\nrouter-id = \"{local}\"\nlisten = [\"{local}:179\", \"[{local6}]:179\"]\nhold-time = {HOLD_TIME}\n\
             control-socket = \"{}\"\n{more}\n",
            lab.path(node, "rr.sock").display()
        );
        for entry in entries {
            let _ = write!(text, "[[neighbor]]\naddress = \"{}\"\nasn = {}\n", entry.address, entry.asn);
            if entry.both_families {
                let more: String = entry.more_families.iter().map(|name| format!(", {name:?}")).collect();
                let _ = writeln!(text, "families = [\"ipv4-unicast\", \"ipv6-unicast\"{more}]");
                let _ = writeln!(text, "next-hop-ipv6 = \"{local6}\"");
            } else {
                let family = if entry.address.is_ipv4() { "ipv4" } else { "ipv6" };
                let _ = writeln!(text, "families = [\"{family}-unicast\"]");
            }
            text.push_str(&entry.keys);
        }
        Self::start_with(lab, node, &text)
    }

    /// Starts one with a whole configuration.
    pub(crate) fn start_with(lab: &'a Lab, node: &Node, text: &str) -> Self {
        lab.write(node, "rr.toml", text);
        let process = launch(lab, node);
        let reflector = Self { lab, node: node.clone(), process };
        eventually("the reflector answers", Duration::from_secs(10), || reflector.status());
        reflector
    }

    /// `status --json`.
    pub(crate) fn status(&self) -> Result<Value, String> {
        self.ask(&["status", "--json"])
    }

    /// `routes --json`.
    pub(crate) fn routes(&self) -> Result<Value, String> {
        self.ask(&["routes", "--json"])
    }

    fn ask(&self, question: &[&str]) -> Result<Value, String> {
        let socket = self.lab.path(&self.node, "rr.sock").display().to_string();
        let mut line = vec![reflector_program()];
        line.extend_from_slice(question);
        line.extend_from_slice(&["--socket", &socket]);
        let text = output(&line)?;
        serde_json::from_str(&text).map_err(|error| format!("{question:?}: {error}: {text}"))
    }

    /// What `status` says about one peer.
    pub(crate) fn peer(&self, address: IpAddr) -> Result<Value, String> {
        let status = self.status()?;
        let peers = status["peers"].as_array().into_iter().flatten();
        let wanted = Value::from(address.to_string());
        peers
            .into_iter()
            .find(|peer| peer["address"] == wanted)
            .cloned()
            .ok_or_else(|| format!("no such peer: {status}"))
    }

    /// Whether the session with a neighbour is up; what `status` says about it otherwise.
    pub(crate) fn established(&self, address: IpAddr) -> Result<Value, String> {
        let peer = self.peer(address)?;
        if peer["state"] == "Established" { Ok(peer) } else { Err(peer.to_string()) }
    }

    /// Waits until the session with a neighbour is up.
    #[track_caller]
    pub(crate) fn comes_up_with(&self, address: impl Into<IpAddr>) -> Value {
        let address = address.into();
        eventually(&format!("our session with {address} comes up"), UP, || self.established(address))
    }

    /// Whether the kernel of its node has a route of ours to the prefix over this gateway.
    pub(crate) fn kernel_has(&self, prefix: &str, gateway: &str) -> Result<(), String> {
        super::agent::kernel_has(&self.node, prefix, gateway)
    }

    /// Routes of ours in the kernel of its node.
    pub(crate) fn kernel(&self) -> Result<Vec<Value>, String> {
        kernel_routes(&self.node, super::MAIN_TABLE, PROTOCOL)
    }

    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(&self) {
        self.process.kill();
    }

    /// Ends it with SIGTERM: it says goodbye.
    pub(crate) fn terminate(&self) {
        self.end(Signal::TERM);
    }

    /// Ends it with SIGUSR2: it says nothing, and its peers keep its routes.
    pub(crate) fn end_for_restart(&self) {
        self.end(Signal::USR2);
    }

    fn end(&self, signal: Signal) {
        self.process.signal(signal);
        let gone = self.process.wait(Duration::from_secs(10));
        assert!(gone.is_some(), "the reflector ends within ten seconds of {signal:?}");
    }

    /// Changes its file, for when it starts again.
    pub(crate) fn rewrite(&self, change: impl FnOnce(String) -> String) {
        let path = self.lab.path(&self.node, "rr.toml");
        let text = std::fs::read_to_string(path).expect("it was started with this file");
        self.lab.write(&self.node, "rr.toml", &change(text));
    }

    /// Starts it again with the configuration that it had.
    pub(crate) fn restart(&mut self) {
        self.process = launch(self.lab, &self.node);
        eventually("the reflector answers", Duration::from_secs(10), || self.status());
    }
}

fn launch(lab: &Lab, node: &Node) -> Arc<Process> {
    let config = lab.path(node, "rr.toml").display().to_string();
    let spawn = Spawn::new(&[reflector_program(), "run", "--config", &config]);
    lab.spawn(node, &spawn.env("RUST_LOG", "info"))
}

/// The keys that make a reflector write what it learns into its kernel.
pub(crate) fn kernel_keys() -> String {
    format!("kernel-export = true\nkernel = {{ protocol = {PROTOCOL} }}\n")
}
