//! The example node agent, driven by the node list that it watches.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::Value;

use super::{MAIN_TABLE, PROTOCOL, agent_program};
use crate::lab::{Lab, Node, Process, Spawn, eventually, kernel_routes};
use crate::peer::SOON;

/// One line of a node list.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) node: Node,
    pub(crate) asn: u32,
    pub(crate) blocks: Vec<String>,
}

impl Member {
    pub(crate) fn new(node: &Node, asn: u32, blocks: &[&str]) -> Self {
        Self { node: node.clone(), asn, blocks: blocks.iter().map(|block| (*block).to_owned()).collect() }
    }
}

/// A running agent.
pub(crate) struct Agent<'a> {
    lab: &'a Lab,
    node: Node,
    members: Vec<Member>,
    reflectors: Vec<(IpAddr, u32)>,
    process: Arc<Process>,
}

impl<'a> Agent<'a> {
    /// Starts the agent of `node` with a node list; with reflectors in the list there is no mesh.
    pub(crate) fn start(lab: &'a Lab, node: &Node, members: &[Member], reflectors: &[(IpAddr, u32)]) -> Self {
        lab.write(node, "nodes", &list(members, reflectors));
        let process = launch(lab, node);
        Self { lab, node: node.clone(), members: members.to_vec(), reflectors: reflectors.to_vec(), process }
    }

    /// Gives this node one more block to announce.
    pub(crate) fn announce(&mut self, block: &str) {
        self.own().blocks.push(block.to_owned());
        self.rewrite();
    }

    /// Takes a block from this node.
    pub(crate) fn withdraw(&mut self, block: &str) {
        self.own().blocks.retain(|own| own != block);
        self.rewrite();
    }

    fn own(&mut self) -> &mut Member {
        let name = &self.node.name;
        self.members.iter_mut().find(|member| member.node.name == *name).expect("a node is in its own list")
    }

    fn rewrite(&self) {
        self.lab.write(&self.node, "nodes", &list(&self.members, &self.reflectors));
    }

    /// Waits until the kernel has a route of ours to the prefix over this gateway.
    #[track_caller]
    pub(crate) fn installs(&self, prefix: &str, gateway: &str) {
        eventually(&format!("the kernel of {} has {prefix} via {gateway}", self.node.name), SOON, || {
            kernel_has(&self.node, prefix, gateway)
        });
    }

    /// Waits until the kernel has no route of ours to the prefix.
    #[track_caller]
    pub(crate) fn removes(&self, prefix: &str) {
        eventually(&format!("the kernel of {} has no {prefix}", self.node.name), SOON, || {
            let routes = self.kernel()?;
            if routes.iter().all(|route| route["dst"] != prefix) {
                Ok(())
            } else {
                Err(format!("{routes:?}"))
            }
        });
    }

    /// Routes of ours in the kernel.
    pub(crate) fn kernel(&self) -> Result<Vec<Value>, String> {
        kernel_routes(&self.node, MAIN_TABLE, PROTOCOL)
    }

    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(&self) {
        self.process.kill();
    }

    /// Starts it again with the node list that it had.
    pub(crate) fn restart(&mut self) {
        self.process = launch(self.lab, &self.node);
    }
}

/// Whether a node's kernel has a route of ours to the prefix over this gateway; what it has otherwise.
pub(crate) fn kernel_has(node: &Node, prefix: &str, gateway: &str) -> Result<(), String> {
    let routes = kernel_routes(node, MAIN_TABLE, PROTOCOL)?;
    let found = routes.iter().any(|route| route["dst"] == prefix && route["gateway"] == gateway);
    if found { Ok(()) } else { Err(format!("{routes:?}")) }
}

fn launch(lab: &Lab, node: &Node) -> Arc<Process> {
    let nodes = lab.path(node, "nodes").display().to_string();
    let program = agent_program().display().to_string();
    let protocol = PROTOCOL.to_string();
    let line = [&program, "--nodes", &nodes, "--name", &node.name, "--protocol", &protocol];
    lab.spawn(node, &Spawn::new(&line).env("RUST_LOG", "info"))
}

fn list(members: &[Member], reflectors: &[(IpAddr, u32)]) -> String {
    let mut text = String::new();
    for member in members {
        let _ = write!(
            text,
            "node {} {} {} as {}",
            member.node.name,
            member.node.v4(),
            member.node.v6(),
            member.asn
        );
        for block in &member.blocks {
            let _ = write!(text, " block {block}");
        }
        text.push('\n');
    }
    for (address, asn) in reflectors {
        let _ = writeln!(text, "reflector {address} as {asn}");
    }
    text
}
