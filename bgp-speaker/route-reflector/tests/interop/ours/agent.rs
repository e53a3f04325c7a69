//! The example node agent, driven by the description of the cluster that it watches.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::Value;

use super::{MAIN_TABLE, PROTOCOL, agent_program};
use crate::lab::{Lab, Node, Process, Spawn, eventually, kernel_routes};
use crate::peer::SOON;

/// One node of the description.
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

/// What the description says of the mesh: that there is one, none, or one with Calico's nodes.
const MESH: &str = "enabled = true";
const NO_MESH: &str = "enabled = false";
const CALICO_MESH: &str = "dialer = \"calico-string\"\npriority = 1024";

/// A running agent.
pub(crate) struct Agent<'a> {
    lab: &'a Lab,
    node: Node,
    members: Vec<Member>,
    mesh: &'static str,
    routers: Vec<(IpAddr, u32)>,
    process: Arc<Process>,
}

impl<'a> Agent<'a> {
    /// Starts the agent of `node` with a description; with reflectors in it there is no mesh.
    pub(crate) fn start(lab: &'a Lab, node: &Node, members: &[Member], reflectors: &[(IpAddr, u32)]) -> Self {
        let mesh = if reflectors.is_empty() { MESH } else { NO_MESH };
        Self::launch(lab, node, members, mesh, reflectors)
    }

    /// Starts the agent of `node` in a mesh, with routers beyond it.
    pub(crate) fn in_mesh(lab: &'a Lab, node: &Node, members: &[Member], routers: &[(IpAddr, u32)]) -> Self {
        Self::launch(lab, node, members, MESH, routers)
    }

    /// Starts the agent of `node` in a mesh with nodes of Calico's.
    pub(crate) fn in_calico_mesh(lab: &'a Lab, node: &Node, members: &[Member]) -> Self {
        Self::launch(lab, node, members, CALICO_MESH, &[])
    }

    /// Starts the agent of `node` with a whole description.
    pub(crate) fn described(lab: &'a Lab, node: &Node, text: &str) -> Self {
        lab.write(node, "cluster.toml", text);
        let process = launch(lab, node);
        Self { lab, node: node.clone(), members: Vec::new(), mesh: NO_MESH, routers: Vec::new(), process }
    }

    /// Gives it another whole description.
    pub(crate) fn describe(&self, text: &str) {
        self.lab.write(&self.node, "cluster.toml", text);
    }

    fn launch(
        lab: &'a Lab,
        node: &Node,
        members: &[Member],
        mesh: &'static str,
        routers: &[(IpAddr, u32)],
    ) -> Self {
        lab.write(node, "cluster.toml", &list(members, mesh, routers));
        let process = launch(lab, node);
        let (members, routers) = (members.to_vec(), routers.to_vec());
        Self { lab, node: node.clone(), members, mesh, routers, process }
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
        self.lab.write(&self.node, "cluster.toml", &list(&self.members, self.mesh, &self.routers));
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

    /// Routes of ours to other nodes in the kernel: where this node's own blocks end is not among them.
    pub(crate) fn kernel(&self) -> Result<Vec<Value>, String> {
        let mut routes = kernel_routes(&self.node, MAIN_TABLE, PROTOCOL)?;
        routes.retain(|route| route["type"] != "blackhole");
        Ok(routes)
    }

    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    /// Whether the kernel has a route of ours to the prefix over exactly these gateways.
    pub(crate) fn spreads(&self, prefix: &str, gateways: &[String]) -> Result<(), String> {
        kernel_spreads(&self.node, PROTOCOL, prefix, gateways)
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(&self) {
        self.process.kill();
    }

    /// Starts it again with the description that it had.
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

/// Whether a node's kernel has a route of this protocol to the prefix over exactly these gateways, in order.
pub(crate) fn kernel_spreads(
    node: &Node,
    protocol: u8,
    prefix: &str,
    gateways: &[String],
) -> Result<(), String> {
    let routes = kernel_routes(node, MAIN_TABLE, protocol)?;
    let route = routes.iter().find(|route| route["dst"] == prefix).ok_or("no route")?;
    let hops = route["nexthops"].as_array().map_or(std::slice::from_ref(route), Vec::as_slice);
    let mut found: Vec<&str> = hops.iter().filter_map(|hop| hop["gateway"].as_str()).collect();
    found.sort_unstable();
    if found == gateways { Ok(()) } else { Err(route.to_string()) }
}

fn launch(lab: &Lab, node: &Node) -> Arc<Process> {
    let cluster = lab.path(node, "cluster.toml").display().to_string();
    let program = agent_program().display().to_string();
    let protocol = PROTOCOL.to_string();
    let line = [&program, "run", "--cluster", &cluster, "--node", &node.name, "--protocol", &protocol];
    lab.spawn(node, &Spawn::new(&line).env("RUST_LOG", "info"))
}

/// The description: the nodes, and routers beyond them.
fn list(members: &[Member], mesh: &str, routers: &[(IpAddr, u32)]) -> String {
    let mut text = format!("[mesh]\n{mesh}\n");
    for member in members {
        let Member { node, asn, blocks } = member;
        let _ = writeln!(
            text,
            "[[node]]\nname = {:?}\naddresses = [\"{}/24\", \"{}/64\"]\nasn = {asn}\nblocks = {blocks:?}",
            node.name,
            node.v4(),
            node.v6(),
        );
    }
    for (address, asn) in routers {
        let _ = writeln!(text, "[[peer]]\naddress = \"{address}\"\nasn = {asn}");
    }
    text
}
