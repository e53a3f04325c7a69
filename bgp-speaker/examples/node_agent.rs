//! A node agent: one node of a container network.
//!
//! ```text
//! node_agent --nodes FILE --name NAME [--listen ADDRESS:PORT]... [--table N] [--protocol N] [--no-kernel]
//! ```
//!
//! It reads a list of nodes, finds itself in it by name, announces its own blocks, takes part in the full mesh (or peers
//! with the reflectors, where the list names some), and writes what it learns into the kernel. The list is looked at once a
//! second: what changes in it is applied to the running sessions, and a list with a mistake is reported and left alone.
//!
//! The list has one line for each node or reflector; `#` begins a comment:
//!
//! ```text
//! node NAME ADDRESS [ADDRESS6] as ASN [port PORT] [block PREFIX]...
//! reflector ADDRESS as ASN [port PORT]
//! ```
//!
//! ```text
//! node east 10.0.0.1 fd00::1 as 64512 block 10.65.0.0/26 block fd00:65::/122
//! node west 10.0.0.2 fd00::2 as 64512 block 10.65.0.64/26
//! ```
//!
//! With `reflector` lines, nodes peer with the reflectors of the families that they have, and not with each other.
//! Without `--listen` it listens on port 179 (or the node's `port`) of its own addresses.
//! `SIGUSR1` prints one line of status. `SIGTERM` and `SIGINT` end it as for a restart: peers are told nothing, so that those
//! with graceful restart keep the routes, and the kernel's routes stay.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program that talks to its operator")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use bgp_speaker::kernel::{FibNotice, KernelConfig, RouteState};
use bgp_speaker::{
    Asn, BGP_PORT, Desired, Event, Family, FamilySet, MeshNode, OwnerId, PeerClass, PeerConfig, Policy,
    Route, RouteBatch, RouterId, ShutdownMode, Speaker,
};
use ipnet::IpNet;
use tokio::signal::unix::{SignalKind, signal};

/// Who announces the blocks of this node.
const BLOCKS: OwnerId = OwnerId(1);
const USAGE: &str = "usage: node_agent --nodes FILE --name NAME [--listen ADDRESS:PORT]... \
                     [--table N] [--protocol N] [--no-kernel]";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(mistake) => {
            eprintln!("node_agent: {mistake}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match Agent::start(arguments).await {
        Ok(agent) => agent.run().await,
        Err(mistake) => {
            eprintln!("node_agent: {mistake}");
            ExitCode::from(2)
        }
    }
}

struct Arguments {
    nodes: PathBuf,
    name: String,
    listen: Vec<SocketAddr>,
    kernel: Option<KernelConfig>,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut nodes, mut name, mut listen) = (None, None, Vec::new());
        let (mut kernel, mut with_kernel) = (KernelConfig::default(), true);
        while let Some(option) = words.next() {
            let mut value = || words.next().ok_or(format!("{option} needs a value"));
            match option.as_str() {
                "--nodes" => nodes = Some(PathBuf::from(value()?)),
                "--name" => name = Some(value()?),
                "--listen" => listen.push(number(&value()?, "ADDRESS:PORT")?),
                "--table" => kernel.table = number(&value()?, "a table number")?,
                "--protocol" => kernel.protocol = number(&value()?, "a protocol number")?,
                "--no-kernel" => with_kernel = false,
                _ => return Err(format!("there is no option {option}")),
            }
        }
        Ok(Self {
            nodes: nodes.ok_or("--nodes is missing")?,
            name: name.ok_or("--name is missing")?,
            listen,
            kernel: with_kernel.then_some(kernel),
        })
    }
}

fn number<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is not {what}"))
}

/// What the list says.
#[derive(Debug, Default, PartialEq)]
struct NodeList {
    nodes: Vec<Node>,
    reflectors: BTreeMap<IpAddr, (Asn, u16)>,
}

#[derive(Debug, Clone, PartialEq)]
struct Node {
    mesh: MeshNode,
    blocks: BTreeSet<IpNet>,
}

impl NodeList {
    fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let mut list = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default();
            list.line(line).map_err(|e| format!("{}:{number}: {e}", path.display()))?;
        }
        Ok(list)
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        let mut words = line.split_whitespace();
        let Some(kind) = words.next() else { return Ok(()) };
        let name = match kind {
            "node" => words.next().ok_or("a node needs a name")?,
            "reflector" => "",
            _ => return Err(format!("a line begins with node or reflector, not with {kind:?}")),
        };
        let (mut addresses, mut asn, mut port, mut blocks) = (Vec::new(), None, BGP_PORT, BTreeSet::new());
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            match word {
                "as" => asn = Some(Asn(number(value()?, "an AS number")?)),
                "port" => port = number(value()?, "a port")?,
                "block" => {
                    let block: IpNet = number(value()?, "a prefix")?;
                    blocks.insert(block.trunc());
                }
                _ => addresses.push(number::<IpAddr>(word, "an address, as, port or block")?),
            }
        }
        let asn = asn.ok_or("as ASN is missing")?;
        let [first, rest @ ..] = addresses.as_slice() else { return Err("an address is missing".into()) };
        if kind == "reflector" {
            self.reflectors.insert(*first, (asn, port));
            return Ok(());
        }
        let mesh = MeshNode::new(name, *first, asn).port(port);
        let mesh = rest.iter().fold(mesh, |node, address| node.address(*address));
        self.nodes.push(Node { mesh, blocks });
        Ok(())
    }

    /// What this node is to do.
    fn desired(&self, this: &Node) -> Desired {
        let reachable = |a: &IpAddr| this.mesh.addresses.iter().any(|own| own.is_ipv4() == a.is_ipv4());
        let reflectors = self.reflectors.iter().filter(|(address, _)| reachable(address));
        Desired {
            peers: reflectors.map(|(address, (asn, port))| reflector(*address, *asn, *port)).collect(),
            mesh: match self.reflectors.is_empty() {
                true => self.nodes.iter().map(|n| n.mesh.clone()).collect(),
                false => Vec::new(),
            },
            routes: BTreeMap::from([(BLOCKS, this.blocks.iter().copied().map(Route::new).collect())]),
            ..Desired::default()
        }
    }

    fn node(&self, name: &str) -> Result<&Node, String> {
        self.nodes.iter().find(|n| n.mesh.name == name).ok_or(format!("the list has no node {name:?}"))
    }
}

/// A session with a reflector, as a node with addresses of both families has one in each.
fn reflector(address: IpAddr, asn: Asn, port: u16) -> PeerConfig {
    let mut peer =
        PeerConfig::new(address, asn).port(port).policies(Policy::accept_all(), Policy::accept_all());
    peer.class = PeerClass::Global;
    let family = if address.is_ipv4() { Family::IPV4_UNICAST } else { Family::IPV6_UNICAST };
    peer.options.families = Some(FamilySet::of(&[family]));
    peer
}

struct Agent {
    speaker: Speaker,
    path: PathBuf,
    name: String,
    modified: Option<SystemTime>,
    /// What the speaker was started as.
    this: MeshNode,
}

impl Agent {
    async fn start(arguments: Arguments) -> Result<Self, String> {
        let modified = modified(&arguments.nodes);
        let list = NodeList::read(&arguments.nodes)?;
        let node = list.node(&arguments.name)?;
        let this = node.mesh.clone();
        let mut builder = Speaker::builder(this.asn, router_id(&this)).desired(list.desired(node));
        for address in &this.addresses {
            builder = builder.local_address(*address);
        }
        let own = this.addresses.iter().map(|address| SocketAddr::new(*address, this.port));
        let listen = if arguments.listen.is_empty() { own.collect() } else { arguments.listen };
        builder = listen.into_iter().fold(builder, bgp_speaker::Builder::listen);
        if let Some(kernel) = arguments.kernel {
            builder = builder.kernel(kernel);
        }
        let speaker = builder.start().await.map_err(|e| e.to_string())?;
        Ok(Self { speaker, path: arguments.nodes, name: arguments.name, modified, this })
    }

    async fn run(mut self) -> ExitCode {
        let mut events = self.speaker.events();
        let mut routes = self.speaker.subscribe();
        let mut look = tokio::time::interval(Duration::from_secs(1));
        let signals = (signal(SignalKind::terminate()), signal(SignalKind::user_defined1()));
        let (Ok(mut terminate), Ok(mut report)) = signals else {
            eprintln!("node_agent: cannot wait for signals");
            return ExitCode::FAILURE;
        };
        println!("node {} is up: {}", self.name, status_line(&self.speaker));
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(event) => tell(&event),
                    None => return ExitCode::FAILURE,
                },
                batch = routes.next() => match batch {
                    Some(batch) => tell_routes(&batch),
                    None => return ExitCode::FAILURE,
                },
                _ = look.tick() => self.look().await,
                _ = report.recv() => println!("status {}", status_line(&self.speaker)),
                _ = terminate.recv() => break,
                _ = tokio::signal::ctrl_c() => break,
            }
        }
        self.speaker.shutdown(ShutdownMode::Restart).await;
        println!("node {} has ended; its routes stay in the kernel", self.name);
        ExitCode::SUCCESS
    }

    /// Reads the list again if it has changed.
    async fn look(&mut self) {
        let now = modified(&self.path);
        if now == self.modified {
            return;
        }
        self.modified = now;
        let result = match NodeList::read(&self.path) {
            Ok(list) => self.apply(&list).await,
            Err(mistake) => Err(mistake),
        };
        match result {
            Ok(()) => println!("list applied: {}", status_line(&self.speaker)),
            Err(mistake) => eprintln!("node_agent: list not applied: {mistake}"),
        }
    }

    /// Makes what runs what the list says; what is the same already is not touched.
    async fn apply(&mut self, list: &NodeList) -> Result<(), String> {
        let this = list.node(&self.name)?;
        if this.mesh != self.this {
            return Err("the address, AS or port of this very node changed: restart the agent".into());
        }
        let report = self.speaker.apply(list.desired(this)).await.map_err(|e| e.to_string())?;
        report.changes.iter().for_each(|change| println!("{change}"));
        Ok(())
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|m| m.modified()).ok()
}

/// The IPv4 address of the node; without one a number made of its name.
fn router_id(node: &MeshNode) -> RouterId {
    let v4 = node.addresses.iter().find_map(|a| if let IpAddr::V4(v4) = a { Some(*v4) } else { None });
    let hash = node
        .name
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, octet| (hash ^ u32::from(octet)).wrapping_mul(0x0100_0193));
    v4.map_or(RouterId(hash | 1), RouterId::from)
}

fn status_line(speaker: &Speaker) -> String {
    let status = speaker.status();
    let kernel = status.kernel.as_ref().map_or("off".into(), |k| {
        format!("{} installed, {} not", k.routes.get(RouteState::Installed), not_installed(k))
    });
    format!(
        "AS {} peers {}/{} established, {} prefixes, kernel {kernel}",
        status.asn,
        status.established(),
        status.peers.len(),
        status.table.prefixes
    )
}

fn not_installed(kernel: &bgp_speaker::kernel::FollowerStatus) -> usize {
    kernel.routes.total() - kernel.routes.get(RouteState::Installed)
}

fn tell(event: &Event) {
    match event {
        Event::PeerUp { peer } => println!("peer {peer} up"),
        Event::PeerDown { peer, reason } => println!("peer {peer} down: {reason}"),
        Event::PeerAdded { peer } => println!("peer {peer} added"),
        Event::PeerRemoved { peer } => println!("peer {peer} removed"),
        Event::EndOfRib { peer, family } => println!("peer {peer} has told all of {family}"),
        Event::MalformedUpdate { peer, faults } => println!("peer {peer} sent a malformed UPDATE: {faults}"),
        Event::Strangers { count, example } => {
            println!("{count} connections of strangers, one from {example}");
        }
        Event::Kernel(FibNotice::Refused { prefix, error }) => tell_kernel(prefix, error),
        Event::Kernel(FibNotice::Conflict { prefix, .. }) => {
            tell_kernel(prefix, "another program's route is in the way");
        }
        Event::KernelSynced => println!("kernel: routes that nobody wants any more are removed"),
        Event::Missed(count) => println!("{count} events missed"),
        _ => {}
    }
}

fn tell_kernel(prefix: &IpNet, trouble: impl Display) {
    println!("kernel {prefix}: {trouble}");
}

fn tell_routes(batch: &RouteBatch) {
    for change in &batch.changes {
        match &change.best {
            Some(best) => {
                let hops: Vec<String> = best.next_hops.iter().map(ToString::to_string).collect();
                println!(
                    "route {} via {}",
                    change.prefix,
                    if hops.is_empty() { "here".into() } else { hops.join(" ") }
                );
            }
            None => println!("route {} gone", change.prefix),
        }
    }
}
