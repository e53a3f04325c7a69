//! Networks of our own nodes that carry packets between the workloads behind them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;

use super::OUR_AS;
use crate::Scenario;
use crate::lab::{Lab, Node, Process, Spawn, eventually, holds};
use crate::ours::{Agent, Member, PeerEntry, Reflector};
use crate::peer::{Kind, Neighbor, SOON, Setup, UP};

/// Nodes of a network.
const NODES: u8 = 5;
const REFLECTORS: [u8; 2] = [101, 102];

/// Five seconds' worth: fewer would mean that a `ping` was not there when it mattered.
const LEAST_PACKETS: u32 = 100;

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut all = vec![
        Scenario::new("mesh_of_five_carries_packets", |lab| mesh(lab, |_| OUR_AS)),
        Scenario::new("mesh_of_five_external_ases_carries_packets", |lab| {
            mesh(lab, |node| OUR_AS + u32::from(node));
        }),
        Scenario::new("mesh_node_killed_keeps_routes_and_traffic", killed_node),
        Scenario::new("two_reflectors_one_is_killed", |lab| two_reflectors(lab, Loss::Kill)),
        Scenario::new("two_reflectors_one_is_terminated", |lab| two_reflectors(lab, Loss::Terminate)),
    ];
    for kind in [Kind::Bird, Kind::Frr] {
        let name = format!("packets_cross_between_our_node_and_{}", kind.name());
        all.push(Scenario::new(name, move |lab| mixed(lab, kind)).with(kind));
    }
    all
}

/// How a reflector is lost.
#[derive(Clone, Copy)]
enum Loss {
    /// With SIGKILL: the kernel closes its connections.
    Kill,
    /// With SIGTERM: it says goodbye.
    Terminate,
}

/// One node of a network with the workload behind it.
pub(super) struct Place {
    pub(super) node: Node,
    pub(super) workload: Node,
    pub(super) member: Member,
}

impl Place {
    pub(super) fn new(lab: &Lab, index: u8, asn: u32) -> Self {
        let node = lab.node(&format!("n{index}"), index);
        let workload = lab.workload(&node, (v4_block(index), 26), (v6_block(index), 122));
        let blocks = [format!("{}/26", v4_block(index)), format!("{}/122", v6_block(index))];
        let member = Member::new(&node, asn, &[&blocks[0], &blocks[1]]);
        Self { node, workload, member }
    }

    /// The workload's addresses: the second of each block, the first is the node's own.
    pub(super) fn addresses(&self) -> [String; 2] {
        let v4 = Ipv4Addr::from(u32::from(v4_block(self.node.index)) + 2);
        let v6 = Ipv6Addr::from(u128::from(v6_block(self.node.index)) + 2);
        [v4.to_string(), v6.to_string()]
    }
}

fn v4_block(index: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 65, index, 0)
}

fn v6_block(index: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd65, 0, 0, index.into(), 0, 0, 0, 0)
}

fn places(lab: &Lab, asn: impl Fn(u8) -> u32) -> Vec<Place> {
    (1..=NODES).map(|index| Place::new(lab, index, asn(index))).collect()
}

pub(super) fn members(places: &[Place]) -> Vec<Member> {
    places.iter().map(|place| place.member.clone()).collect()
}

fn start_agents<'a>(lab: &'a Lab, places: &[Place], reflectors: &[(IpAddr, u32)]) -> Vec<Agent<'a>> {
    let members = members(places);
    places.iter().map(|place| Agent::start(lab, &place.node, &members, reflectors)).collect()
}

/// Every node's kernel has every other node's blocks, over that node, and nothing else of ours.
fn converged(agents: &[Agent<'_>], places: &[Place]) -> Result<(), String> {
    for agent in agents {
        let others = || places.iter().filter(|place| place.node.name != agent.node().name);
        let routes = agent.kernel()?;
        let wanted = others().map(|place| place.member.blocks.len()).sum::<usize>();
        if routes.len() != wanted {
            let name = &agent.node().name;
            return Err(format!("{name} has {} routes of {wanted}: {routes:?}", routes.len()));
        }
        for place in others() {
            for block in &place.member.blocks {
                crate::ours::kernel_has(agent.node(), block, &place.node.address_for(block))?;
            }
        }
    }
    Ok(())
}

/// One packet of each family from every workload to every other.
pub(super) fn everybody_reaches_everybody(lab: &Lab, places: &[Place]) {
    for from in places {
        for to in places.iter().filter(|place| place.node.index != from.node.index) {
            for address in to.addresses() {
                eventually(&format!("{} reaches {address}", from.workload.name), SOON, || {
                    lab.run(&from.workload, &["ping", "-n", "-c", "1", "-W", "1", &address])
                });
            }
        }
    }
}

fn mesh(lab: &Lab, asn: impl Fn(u8) -> u32) {
    let places = places(lab, asn);
    let mut agents = start_agents(lab, &places, &[]);
    eventually("the mesh converges", UP, || converged(&agents, &places));
    everybody_reaches_everybody(lab, &places);

    // A block that moves in and out again, and a host route.
    for block in ["10.65.200.0/26", "10.65.201.7/32", "fd65:200::/122"] {
        agents[0].announce(block);
        let shown = block.strip_suffix("/32").unwrap_or(block);
        for agent in &agents[1..] {
            agent.installs(shown, &places[0].node.address_for(block));
        }
        agents[0].withdraw(block);
        for agent in &agents[1..] {
            agent.removes(shown);
        }
    }
    eventually("the mesh is as before", SOON, || converged(&agents, &places));
}

/// The process dies, the routes and the traffic stay, and the next process takes the routes over without a gap.
fn killed_node(lab: &Lab) {
    let places = places(lab, |_| OUR_AS);
    let mut agents = start_agents(lab, &places, &[]);
    eventually("the mesh converges", UP, || converged(&agents, &places));
    let victim = &places[0];
    let before = agents[0].kernel();
    let monitor = watch_routes(lab, &victim.node);
    let pings = [Pings::start(lab, victim, &places[1]), Pings::start(lab, victim, &places[2])];

    agents[0].kill();
    holds("the kernel keeps the routes of the killed process", Duration::from_secs(5), || {
        if agents[0].kernel() == before { Ok(()) } else { Err(format!("{:?}", agents[0].kernel())) }
    });
    agents[0].restart();
    holds("the kernel keeps the routes while the next process comes up", Duration::from_secs(12), || {
        let (now, before) = (agents[0].kernel()?, before.clone()?);
        if now.len() == before.len() { Ok(()) } else { Err(format!("{now:?}")) }
    });
    eventually("the mesh is as before", UP, || converged(&agents, &places));
    everybody_reaches_everybody(lab, &places);

    for ping in pings {
        ping.stop_without_loss();
    }
    monitor.terminate(Duration::from_secs(5));
    let log = monitor.log();
    let deleted: Vec<&str> = log.lines().filter(|line| line.contains("Deleted")).collect();
    assert_eq!(deleted, [""; 0], "`ip monitor route` on the node saw no deletion");
}

/// Five nodes behind two reflectors of one cluster; each is lost in turn and the traffic does not notice.
fn two_reflectors(lab: &Lab, loss: Loss) {
    let places = places(lab, |_| OUR_AS);
    let nodes = REFLECTORS.map(|index| lab.node(&format!("rr{index}"), index));
    let mut reflectors = nodes.each_ref().map(|node| {
        let other = nodes.iter().find(|other| other.index != node.index).expect("there are two");
        let clients = places.iter().flat_map(|place| place.node.addresses());
        let clients = clients.map(|address| PeerEntry::new(address, OUR_AS).client().passive());
        let entry = PeerEntry::new(other.v4(), OUR_AS);
        let entry = if node.index > other.index { entry.passive() } else { entry };
        let entries: Vec<PeerEntry> = clients.chain([entry]).collect();
        Reflector::start(lab, node, OUR_AS, &entries, "cluster-id = \"10.9.0.100\"")
    });
    let agents = start_agents(
        lab,
        &places,
        &nodes
            .each_ref()
            .map(Node::addresses)
            .concat()
            .into_iter()
            .map(|address| (address, OUR_AS))
            .collect::<Vec<_>>(),
    );
    for reflector in &reflectors {
        for address in places.iter().flat_map(|place| place.node.addresses()) {
            reflector.comes_up_with(address);
        }
    }
    reflectors[0].comes_up_with(nodes[1].v4());
    eventually("the network converges", UP, || converged(&agents, &places));
    everybody_reaches_everybody(lab, &places);

    let pings = [Pings::start(lab, &places[0], &places[4]), Pings::start(lab, &places[2], &places[1])];
    for lost in [0, 1] {
        match loss {
            Loss::Kill => reflectors[lost].kill(),
            Loss::Terminate => reflectors[lost].terminate(),
        }
        assert!(!reflectors[lost].process().is_running(), "the reflector is gone");
        holds("every route stays while one reflector is gone", Duration::from_secs(5), || {
            converged(&agents, &places)
        });
        reflectors[lost].restart();
        for address in places.iter().flat_map(|place| place.node.addresses()) {
            reflectors[lost].comes_up_with(address);
        }
        // Its table must be full again before the other one may go.
        eventually("the reflector has learned everything again", SOON, || {
            let routes = reflectors[lost].routes()?.to_string();
            let missing =
                places.iter().flat_map(|place| &place.member.blocks).find(|block| !routes.contains(*block));
            missing.map_or(Ok(()), |block| Err(format!("no {block} in {routes}")))
        });
        holds("every route stays when it is back", Duration::from_secs(2), || converged(&agents, &places));
    }
    for ping in pings {
        ping.stop_without_loss();
    }
}

/// One of our nodes and one that runs another implementation with its kernel: packets between their workloads.
fn mixed(lab: &Lab, kind: Kind) {
    let places = [1, 2].map(|index| Place::new(lab, index, OUR_AS));
    let [ours, theirs] = &places;
    let blocks: Vec<&str> = theirs.member.blocks.iter().map(String::as_str).collect();
    let neighbors = ours.node.addresses().map(|address| Neighbor::active(address, OUR_AS));
    let daemon = kind.start(lab, &theirs.node, Setup::new(OUR_AS, neighbors.to_vec(), &blocks).with_kernel());
    let reflectors = theirs.node.addresses().map(|address| (address, OUR_AS));
    let agent = Agent::start(lab, &ours.node, std::slice::from_ref(&ours.member), &reflectors);
    for address in ours.node.addresses() {
        daemon.comes_up_with(address);
    }
    for block in &theirs.member.blocks {
        let gateway = if kind == Kind::Frr && block.contains(':') {
            // FRR with zebra sends its link-local address beside the global one (RFC 2545 §3).
            None
        } else {
            Some(theirs.node.address_for(block))
        };
        eventually(&format!("our kernel has {block}"), SOON, || {
            let routes = agent.kernel()?;
            let found = routes.iter().any(|route| {
                route["dst"] == *block && gateway.as_ref().is_none_or(|gateway| route["gateway"] == *gateway)
            });
            if found { Ok(()) } else { Err(format!("{routes:?}")) }
        });
    }
    everybody_reaches_everybody(lab, &places);
}

/// `ip monitor route` on a node.
pub(super) fn watch_routes(lab: &Lab, node: &Node) -> Arc<Process> {
    lab.spawn(node, &Spawn::new(&["ip", "monitor", "route"]))
}

/// Twenty packets a second, each way, between two workloads.
struct Pings {
    processes: [Arc<Process>; 2],
}

impl Pings {
    fn start(lab: &Lab, one: &Place, two: &Place) -> Self {
        let ping = |from: &Place, to: &Place| {
            let [v4, _] = to.addresses();
            lab.spawn(&from.workload, &Spawn::new(&["ping", "-n", "-q", "-i", "0.05", "-W", "1", &v4]))
        };
        Self { processes: [ping(one, two), ping(two, one)] }
    }

    /// Ends them and reads their balance.
    fn stop_without_loss(self) {
        for process in self.processes {
            process.signal(Signal::INT);
            process.wait(Duration::from_secs(5)).expect("ping ends on SIGINT");
            let log = process.log();
            let sent = log.split(" packets transmitted").next().and_then(|head| head.lines().last());
            let sent: u32 = sent.and_then(|sent| sent.trim().parse().ok()).unwrap_or_default();
            assert!(sent >= LEAST_PACKETS, "traffic flowed all the time: {log}");
            assert!(log.contains(" 0% packet loss"), "no packet is lost: {log}");
        }
    }
}
