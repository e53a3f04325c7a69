//! A node agent: one node of a container network.
//!
//! ```text
//! node_agent run --cluster PATH --node NAME [--status SOCKET] [--listen ADDRESS:PORT]... [--table N] [--protocol N]
//!                [--no-kernel]
//! node_agent ask status|routes|metrics --status SOCKET
//! ```
//!
//! `run` reads the description of the cluster (a file, or every `.toml` and `.json` file of a directory; its form is in
//! `cluster.rs`), finds its own node in it by name, peers with the mesh or the reflectors, announces the node's blocks and
//! writes what it learns into the kernel: plainly, or into a VXLAN or IPIP device where the pool of the destination asks for
//! it. The description is watched: what changes in it is applied to what runs, and one with a mistake is reported and left
//! alone.
//!
//! `--status` is a Unix socket; `ask` prints what it answers, and so does anything else that can write one word to it.
//! `SIGTERM` and `SIGINT` end the agent as for a restart: peers are told nothing, so that those with graceful restart keep
//! the routes, and the kernel's routes stay. `SIGUSR1` drains it: peers are asked to go around this node (RFC 8326), get
//! two seconds for it, and then the sessions are closed.
//!
//! The parts: `cluster` is the description, `source` watches it (a database or an API server is one more implementation of
//! [`source::Source`]), `desired` makes of it what the speaker is asked to be, `tunnels` decides how a next hop is reached,
//! `status` answers questions.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program that talks to its operator")]

mod cluster;
mod desired;
mod source;
mod status;
#[cfg(test)]
mod stories;
mod tunnels;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bgp_speaker::kernel::{FibNotice, KernelConfig, NextHopHook};
use bgp_speaker::{Desired, Event, RouteBatch, RouteNews, ShutdownMode, Speaker};
use tokio::signal::unix::{SignalKind, signal};

use crate::cluster::{Cluster, Node};
use crate::source::{Files, Source};
use crate::tunnels::{Tunnels, Ways};

/// How long peers have to find other ways when the node is drained.
const DRAIN: Duration = Duration::from_secs(2);
const USAGE: &str = "usage: node_agent run --cluster PATH --node NAME [--status SOCKET] [--listen ADDRESS:PORT]...\n\
                    \x20                     [--table N] [--protocol N] [--no-kernel]\n\
                    \x20      node_agent ask status|routes|metrics --status SOCKET";

#[tokio::main]
async fn main() -> ExitCode {
    match Command::parse(std::env::args().skip(1)) {
        Ok(Command::Run(arguments)) => match Agent::start(arguments).await {
            Ok(agent) => agent.run().await,
            Err(mistake) => failed(&mistake, 2),
        },
        Ok(Command::Ask { question, socket }) => match status::ask(&question, &socket).await {
            Ok(answer) => {
                print!("{answer}");
                ExitCode::SUCCESS
            }
            Err(error) => failed(&format!("{}: {error}", socket.display()), 1),
        },
        Err(mistake) => failed(&format!("{mistake}\n{USAGE}"), 2),
    }
}

fn failed(words: &str, code: u8) -> ExitCode {
    eprintln!("node_agent: {words}");
    ExitCode::from(code)
}

enum Command {
    Run(Arguments),
    Ask { question: String, socket: PathBuf },
}

struct Arguments {
    cluster: PathBuf,
    node: String,
    status: Option<PathBuf>,
    listen: Vec<SocketAddr>,
    kernel: Option<KernelConfig>,
}

impl Command {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let verb = words.next().ok_or("run or ask?")?;
        let question = if verb == "ask" { words.next() } else { None };
        let (mut cluster, mut node, mut status, mut listen) = (None, None, None, Vec::new());
        let (mut kernel, mut with_kernel) = (KernelConfig::default(), true);
        while let Some(option) = words.next() {
            let mut value = || words.next().ok_or(format!("{option} needs a value"));
            match option.as_str() {
                "--cluster" => cluster = Some(PathBuf::from(value()?)),
                "--node" => node = Some(value()?),
                "--status" => status = Some(PathBuf::from(value()?)),
                "--listen" => listen.push(number(&value()?, "ADDRESS:PORT")?),
                "--table" => kernel.table = number(&value()?, "a table number")?,
                "--protocol" => kernel.protocol = number(&value()?, "a protocol number")?,
                "--no-kernel" => with_kernel = false,
                _ => return Err(format!("there is no option {option}")),
            }
        }
        match verb.as_str() {
            "run" => Ok(Self::Run(Arguments {
                cluster: cluster.ok_or("--cluster is missing")?,
                node: node.ok_or("--node is missing")?,
                status,
                listen,
                kernel: with_kernel.then_some(kernel),
            })),
            "ask" => Ok(Self::Ask {
                question: question.ok_or("ask what?")?,
                socket: status.ok_or("--status is missing")?,
            }),
            _ => Err(format!("there is no command {verb}")),
        }
    }
}

fn number<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is not {what}"))
}

struct Agent {
    speaker: Speaker,
    source: Files,
    tunnels: Tunnels,
    status: Option<PathBuf>,
    name: String,
    /// Where to listen, if not at the addresses of the node.
    listen: Vec<SocketAddr>,
}

impl Agent {
    async fn start(arguments: Arguments) -> Result<Self, String> {
        let mut source = Files::new(arguments.cluster);
        let cluster = source.first()?;
        let (name, listen) = (arguments.node, arguments.listen);
        let this = cluster.node(&name)?;
        let tunnels = Tunnels::default();
        tunnels.set(Ways::of(&cluster, this));
        let mut builder =
            Speaker::builder(this.asn(&cluster), this.router_id()).desired(desired(&cluster, this, &listen)?);
        if let Some(mut kernel) = arguments.kernel {
            let tunnels = tunnels.clone();
            kernel.next_hop = Some(NextHopHook::new(move |query| tunnels.action(&query)));
            builder = builder.kernel(kernel);
        }
        let speaker = builder.start().await.map_err(|e| e.to_string())?;
        Ok(Self { speaker, source, tunnels, status: arguments.status, name, listen })
    }

    async fn run(mut self) -> ExitCode {
        let mut events = self.speaker.events();
        let mut routes = self.speaker.subscribe();
        let [terminate, interrupt, drain] =
            [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::user_defined1()].map(signal);
        // Held from here on: one that comes while a change is applied is found afterwards.
        let (Ok(mut terminate), Ok(mut interrupt), Ok(mut drain)) = (terminate, interrupt, drain) else {
            return failed("cannot wait for signals", 1);
        };
        let answering = match self.status.take() {
            Some(path) => match status::serve(&path, self.speaker.clone()) {
                Ok(answering) => Some(answering),
                Err(error) => return failed(&format!("--status {}: {error}", path.display()), 1),
            },
            None => None,
        };
        println!("node {} is up: {}", self.name, status::line(&self.speaker));
        let drained = loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(event) => tell(&event),
                    None => return failed("the speaker ended by itself", 1),
                },
                news = routes.next() => match news {
                    Some(RouteNews::Batch(batch)) => tell_routes(&batch),
                    // Who keeps a table of its own forgets it here.
                    Some(RouteNews::StartAnew) => println!("routes: everything follows anew"),
                    None => return failed("the tables ended by themselves", 1),
                },
                read = self.source.changed() => self.changed(read).await,
                _ = terminate.recv() => break false,
                _ = interrupt.recv() => break false,
                _ = drain.recv() => break true,
            }
        };
        if let Some(answering) = answering {
            answering.abort();
        }
        if drained {
            let mode = ShutdownMode::Admin { text: format!("{} is drained", self.name) };
            // It may have ended meanwhile, which is what was wanted.
            let _ = self.speaker.drain(DRAIN, mode).await;
        } else {
            self.speaker.shutdown(ShutdownMode::Restart).await;
        }
        println!("node {} has ended; its routes stay in the kernel", self.name);
        ExitCode::SUCCESS
    }

    async fn changed(&mut self, read: Result<Cluster, String>) {
        let applied = match read {
            Ok(cluster) => self.apply(&cluster).await,
            Err(mistake) => Err(mistake),
        };
        match applied {
            Ok(changes) => {
                changes.iter().for_each(|change| println!("{change}"));
                println!("cluster applied: {}", status::line(&self.speaker));
            }
            Err(mistake) => eprintln!("node_agent: not applied: {mistake}"),
        }
    }

    /// Makes what runs what the description says, and tells what that changed; what is the same already is not touched.
    async fn apply(&mut self, cluster: &Cluster) -> Result<Vec<String>, String> {
        let this = cluster.node(&self.name)?;
        let desired = desired(cluster, this, &self.listen)?;
        // First, so that routes of nodes that are new are not written in the former way.
        let former = self.tunnels.set(Ways::of(cluster, this));
        let report = match self.speaker.apply(desired).await {
            Ok(report) => report,
            Err(mistake) => {
                former.map(|former| self.tunnels.set(former));
                return Err(mistake.to_string());
            }
        };
        if former.is_some() {
            self.speaker.ask_next_hops_again();
        }
        report.not_done.iter().for_each(|obstacle| eprintln!("node_agent: {obstacle}"));
        Ok(report.changes.iter().map(ToString::to_string).collect())
    }
}

/// What the speaker of this node is to do, where it is to listen included.
fn desired(cluster: &Cluster, this: &Node, listen: &[SocketAddr]) -> Result<Desired, String> {
    let mut desired = desired::of(cluster, this)?;
    if !listen.is_empty() {
        desired.listen = Some(listen.to_vec());
    }
    Ok(desired)
}

fn tell(event: &Event) {
    match event {
        Event::PeerUp { peer } => println!("peer {peer} up"),
        Event::PeerDown { peer, reason, .. } => println!("peer {peer} down: {reason}"),
        Event::PeerAdded { peer } => println!("peer {peer} added"),
        Event::PeerRemoved { peer } => println!("peer {peer} removed"),
        Event::EndOfRib { peer, family } => println!("peer {peer} has told all of {family}"),
        Event::MalformedUpdate { peer, faults } => println!("peer {peer} sent a malformed UPDATE: {faults}"),
        Event::Strangers { count, example } => {
            println!("{count} connections of strangers, one from {example}");
        }
        Event::Kernel(FibNotice::Refused { prefix, error }) => println!("kernel {prefix}: {error}"),
        Event::Kernel(FibNotice::Conflict { prefix, .. }) => {
            println!("kernel {prefix}: another program's route is in the way");
        }
        Event::KernelSynced => println!("kernel: routes that nobody wants any more are removed"),
        Event::Missed(count) => println!("{count} events missed"),
        _ => {}
    }
}

fn tell_routes(batch: &RouteBatch) {
    for change in &batch.changes {
        match &change.best {
            Some(best) => {
                let hops: Vec<String> = best.next_hops.iter().map(ToString::to_string).collect();
                let hops = if hops.is_empty() { "here".into() } else { hops.join(" ") };
                println!("route {} via {hops}", change.prefix);
            }
            None => println!("route {} gone", change.prefix),
        }
    }
}
