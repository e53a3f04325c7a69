//! Restarts that nobody notices: our programs are killed under load and start again, and meanwhile no peer lets go of a
//! route, no kernel deletes one, and no packet is lost.

mod fabric;
mod reflectors;

use std::net::Ipv4Addr;
use std::panic::panic_any;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::networks::{Place, members, watch_routes};
use super::{OUR_AS, THEIR_AS};
use crate::lab::{Balance, Flow, Lab, Node, Process, eventually, holds, ip};
use crate::ours::Agent;
use crate::peer::{HOLD_TIME, SOON, UP};
use crate::scripted::Identity;
use crate::scripted::helper::{Helper, Load};
use crate::{Scenario, Spoilt};

const NODES: u8 = 4;
/// Where the router beyond the nodes is.
const ROUTER: u8 = 50;
/// A host behind the router, and its network.
const BEYOND: &str = "198.51.100.1";
const BEYOND_NETWORK: &str = "198.51.100.0/24";
/// Routes of the router that change all the time.
const RESTLESS: u8 = 250;

/// Between a death and the next start: longer than it takes everybody to notice.
const AWAY: Duration = Duration::from_millis(1500);
/// How long the network is watched once it is whole again.
const AFTERWARDS: Duration = Duration::from_secs(3);
/// Milliseconds that a life lasts from its first session on: some have told nothing, some a part, some all.
const LIVES: [u64; 6] = [0, 5, 30, 120, 700, 1500];
/// Longest time from Established to the last of a node's own routes.
const OWN_ROUTES: Duration = Duration::from_secs(1);
/// Packets that a flow has at least: a second's worth.
const LEAST_PACKETS: usize = 200;
/// Hosts that run nothing of ours, with a flow between them.
const BYSTANDERS: [u8; 2] = [61, 62];

pub(super) fn scenarios() -> Vec<Scenario> {
    let agents = |name: &str, play: fn(&mut Network<'_>)| {
        let name = format!("unnoticed_{name}");
        Scenario::new(name, move |lab| mesh(lab, play))
    };
    let mut all = vec![
        agents("restart_of_an_agent", |network| network.restart(&[0])),
        agents("restart_of_an_agent_twice_in_a_row", |network| {
            network.kill(&[0]);
            network.start(&[0]);
            // Long enough to be up with some and too short to have finished with all.
            sleep(Duration::from_millis(700));
            network.restart(&[0]);
        }),
        agents("restart_of_an_agent_killed_again_and_again_before_it_told_its_table", |network| {
            network.kill(&[0]);
            for lived in LIVES {
                network.start(&[0]);
                network.lives(0, Duration::from_millis(lived));
                network.kill(&[0]);
            }
            network.restart(&[0]);
        }),
        agents("restart_of_an_agent_with_another_down", |network| {
            network.kill(&[3]);
            network.restart(&[0]);
        }),
        agents("restart_of_all_agents_at_once", |network| network.restart(&[0, 1, 2, 3])),
    ];
    all.extend(reflectors::scenarios());
    all.extend(fabric::scenarios());
    all
}

/// The router beyond the nodes: its sessions are scripted, its packets are forwarded.
fn router(lab: &Lab) -> Node {
    let router = lab.node("router", ROUTER);
    ip(&["-n", &router.ns, "address", "add", &format!("{BEYOND}/24"), "dev", "lo"]);
    for index in 1..=NODES {
        let via = Ipv4Addr::new(10, 9, 0, index).to_string();
        ip(&["-n", &router.ns, "route", "add", &format!("10.65.{index}.0/26"), "via", &via]);
    }
    router
}

fn load(as_path: &[u32]) -> Load {
    Load {
        steady: vec![BEYOND_NETWORK.to_owned()],
        restless: (0..RESTLESS).map(|number| format!("100.64.{number}.0/24")).collect(),
        as_path: as_path.to_vec(),
    }
}

fn helper(router: &Node, to: &Node, asn: u32, load: Load) -> Helper {
    let (ns, local, remote) = (router.ns.clone(), router.v4(), (to.v4(), 179).into());
    Helper::start(Identity { ns, local, remote, asn, hold_time: HOLD_TIME }, load)
}

/// Whether a node's kernel has every route of the router, and the other nodes' blocks.
fn is_full(agent: &Agent<'_>, places: &[Place]) -> Result<(), String> {
    let routes = agent.kernel()?;
    let others = places.iter().filter(|place| place.node.name != agent.node().name);
    let blocks = others.flat_map(|place| place.member.blocks.clone());
    let wanted: Vec<String> = load(&[]).steady.into_iter().chain(load(&[]).restless).chain(blocks).collect();
    let missing: Vec<&String> =
        wanted.iter().filter(|prefix| routes.iter().all(|route| route["dst"] != **prefix)).collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(format!("{} has {} routes and not {missing:?}", agent.node().name, routes.len()))
    }
}

/// Those who watch the network while something happens to it.
struct Watch {
    monitors: Vec<Arc<Process>>,
    flows: Vec<Flow>,
    /// A flow that crosses no node of ours: it tells what the machine itself loses.
    bystander: Flow,
}

impl Watch {
    /// Of four nodes, with a host behind their router.
    fn begin(lab: &Lab, places: &[Place]) -> Self {
        let [first, second, third, fourth] = places else { unreachable!("there are four nodes") };
        let to = |place: &Place| place.addresses();
        let pairs = [
            (first, to(second)[0].clone()),
            (second, to(first)[1].clone()),
            (third, to(fourth)[0].clone()),
            (fourth, to(first)[0].clone()),
            (second, BEYOND.to_owned()),
        ];
        let nodes: Vec<&Node> = places.iter().map(|place| &place.node).collect();
        Self::of(lab, &nodes, &pairs)
    }

    /// Of the kernels of these nodes, and flows from workloads to addresses.
    fn of(lab: &Lab, nodes: &[&Node], pairs: &[(&Place, String)]) -> Self {
        let monitors = nodes.iter().map(|node| watch_routes(lab, node)).collect();
        let flows = pairs.iter().map(|(from, address)| Flow::start(&from.workload, address)).collect();
        let [one, other] = BYSTANDERS.map(|index| lab.node(&format!("by{index}"), index));
        let bystander = Flow::start(&one, &other.v6().to_string());
        Self { monitors, flows, bystander }
    }

    fn saw_nothing(self) {
        let balances: Vec<(String, Balance)> = self.flows.into_iter().map(Flow::stop).collect();
        let (_, bystander) = self.bystander.stop();
        if !bystander.lost.is_empty() {
            panic_any(Spoilt(format!("the machine loses packets of its own: {bystander:?}; {balances:?}")));
        }
        let figures = balances.iter().map(|(_, balance)| (balance.sent, balance.slowest)).collect::<Vec<_>>();
        for (name, balance) in balances {
            assert!(balance.sent >= LEAST_PACKETS, "{name}: packets flowed all the time: {balance:?}");
            assert!(balance.lost.is_empty(), "{name}: no packet is lost: {balance:?}");
        }
        for monitor in self.monitors {
            monitor.terminate(Duration::from_secs(5));
            let log = monitor.log();
            let changed: Vec<&str> = log.lines().filter(|line| !line.starts_with("Error")).collect();
            assert_eq!(changed, [""; 0], "`ip monitor route` saw no route go, and none change");
        }
        super::record(&format!("packets sent and answered, and the slowest answer: {figures:?}"));
    }
}

/// A mesh with a router beyond it that all nodes peer with.
struct Network<'a> {
    places: Vec<Place>,
    agents: Vec<Agent<'a>>,
    /// The router's sessions with each node. The one with the first node is under load.
    helpers: Vec<Helper>,
    down: Vec<usize>,
}

fn mesh(lab: &Lab, play: fn(&mut Network<'_>)) {
    let places: Vec<Place> = (1..=NODES).map(|index| Place::new(lab, index, OUR_AS)).collect();
    let router = router(lab);
    let (members, routers) = (members(&places), [(router.v4().into(), THEIR_AS)]);
    let agents: Vec<Agent<'_>> =
        places.iter().map(|place| Agent::in_mesh(lab, &place.node, &members, &routers)).collect();
    let helpers = places.iter().map(|place| {
        let load = if place.node.index == 1 { load(&[THEIR_AS]) } else { Load::default() };
        helper(&router, &place.node, THEIR_AS, load)
    });
    let helpers = helpers.collect();
    let mut network = Network { places, agents, helpers, down: Vec::new() };
    eventually("every node has every route", UP, || network.is_whole());

    let watch = Watch::begin(lab, &network.places);
    play(&mut network);
    holds("the network stays whole", AFTERWARDS, || network.is_whole());
    watch.saw_nothing();
    for (place, helper) in network.places.iter().zip(&network.helpers) {
        let lost = helper.lost();
        assert!(lost.is_empty(), "{} made its peer lose {lost:?}", place.node.name);
    }
}

impl Network<'_> {
    /// Everything is where it belongs, as far as it is up.
    fn is_whole(&self) -> Result<(), String> {
        for (number, agent) in self.agents.iter().enumerate() {
            is_full(agent, &self.places)?;
            if !self.down.contains(&number) {
                self.helpers[number].has(&self.places[number].member.blocks[..1])?;
            }
        }
        Ok(())
    }

    fn kill(&mut self, victims: &[usize]) {
        for victim in victims {
            self.agents[*victim].kill();
            self.down.push(*victim);
        }
    }

    fn start(&mut self, victims: &[usize]) {
        for victim in victims {
            self.agents[*victim].restart();
        }
        self.down.retain(|down| !victims.contains(down));
    }

    /// Waits for the session with the router, and then as long; by chance others are up at that moment or not.
    fn lives(&self, number: usize, lived: Duration) {
        let (helper, before) = (&self.helpers[number], self.helpers[number].begun());
        let deadline = Instant::now() + SOON;
        while helper.begun() == before {
            assert!(Instant::now() < deadline, "the agent does not come up");
            sleep(Duration::from_millis(1));
        }
        sleep(lived);
    }

    /// Kills them, starts them again, and waits until all is said.
    fn restart(&mut self, victims: &[usize]) {
        let sessions: Vec<usize> = victims.iter().map(|n| self.helpers[*n].sessions().unwrap_or(1)).collect();
        self.kill(victims);
        holds("kernels keep their routes while the agents are away", AWAY, || {
            self.agents.iter().try_for_each(|agent| is_full(agent, &self.places))
        });
        self.start(victims);
        for (victim, before) in victims.iter().zip(sessions) {
            let (helper, blocks) = (&self.helpers[*victim], &self.places[*victim].member.blocks[..1]);
            let took = eventually("the agent tells its own routes again", SOON, || match helper.sessions() {
                Some(now) if now > before => helper.has(blocks),
                other => Err(format!("sessions: {other:?}")),
            });
            super::record(&format!("own routes {took:?} after Established"));
            assert!(took < OWN_ROUTES, "own routes came {took:?} after Established");
            if self.down.is_empty() {
                eventually("the agent has told everything", SOON, || helper.has_all(1));
            }
        }
    }
}
