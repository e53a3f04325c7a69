//! A fabric with an AS for each node between two external routers: agents are killed, and neither the nodes nor the routers
//! send a packet another way.

use super::{AFTERWARDS, AWAY, Watch};
use crate::Scenario;
use crate::lab::{Lab, Node, eventually, holds, ip};
use crate::ours::{Agent, kernel_spreads};
use crate::peer::{Daemon, Kind, Neighbor, Setup, UP};
use crate::scenario::networks::{Place, members};
use crate::scenario::{OUR_AS, THEIR_AS};

const NODES: u8 = 3;
const ROUTERS: [u8; 2] = [51, 52];
/// A network that both routers have; packets to its hosts are spread by address.
const BEYOND: &str = "198.51.100.0/24";
const HOSTS: u8 = 4;
/// An address that the first two nodes announce.
const ANYCAST: &str = "10.65.200.7";

pub(super) fn scenarios() -> Vec<Scenario> {
    let fabric = |kind: Kind| {
        let name = format!("unnoticed_restart_of_agents_between_two_{}_routers", kind.name());
        Scenario::new(name, move |lab| play(lab, kind)).with(kind)
    };
    [Kind::Bird, Kind::Frr].map(fabric).into()
}

fn asn(index: u8) -> u32 {
    OUR_AS + u32::from(index)
}

/// One agent, and then all at once.
fn play(lab: &Lab, kind: Kind) {
    let fabric = Fabric::new(lab, kind);
    let mut agents = fabric.agents(lab);
    eventually("packets are spread at every node and at the routers", UP, || fabric.is_whole());

    let nodes: Vec<&Node> = fabric.places.iter().map(|place| &place.node).chain(&fabric.routers).collect();
    let (first, second, third) = (&fabric.places[0], &fabric.places[1], &fabric.places[2]);
    let beyond = (1..=HOSTS).map(|host| (first, format!("198.51.100.{host}")));
    let between = [(third, first.addresses()[0].clone()), (first, second.addresses()[1].clone())];
    let watch = Watch::of(lab, &nodes, &beyond.chain(between).collect::<Vec<_>>());
    for victims in [&[0][..], &[0, 1, 2]] {
        victims.iter().for_each(|victim| agents[*victim].kill());
        holds("every kernel stays as it is while agents are away", AWAY, || fabric.is_whole());
        for victim in victims {
            agents[*victim].restart();
            for daemon in &fabric.daemons {
                daemon.comes_up_with(fabric.places[*victim].node.v4());
            }
        }
        holds("every kernel stays as it is when they are back", AFTERWARDS, || fabric.is_whole());
    }
    watch.saw_nothing();
}

struct Fabric<'a> {
    places: Vec<Place>,
    routers: [Node; 2],
    daemons: [Box<dyn Daemon + 'a>; 2],
    kind: Kind,
}

impl<'a> Fabric<'a> {
    fn new(lab: &'a Lab, kind: Kind) -> Self {
        let places: Vec<Place> = (1..=NODES).map(|index| Place::new(lab, index, asn(index))).collect();
        let routers = ROUTERS.map(|index| lab.node(&format!("tor{index}"), index));
        let daemons = routers.each_ref().map(|router| {
            for host in 1..=HOSTS {
                ip(&["-n", &router.ns, "address", "add", &format!("198.51.100.{host}/32"), "dev", "lo"]);
            }
            let nodes = places.iter().flat_map(|place| {
                place.node.addresses().map(|address| Neighbor::passive(address, place.member.asn))
            });
            let setup = Setup::new(THEIR_AS, nodes.collect(), &[BEYOND]);
            kind.start(lab, router, setup.with_kernel().graceful().spread())
        });
        Self { places, routers, daemons, kind }
    }

    fn agents(&self, lab: &'a Lab) -> Vec<Agent<'a>> {
        let to: Vec<_> = self.routers.iter().flat_map(Node::addresses).map(|a| (a, THEIR_AS)).collect();
        let members = members(&self.places);
        let start = |place: &Place| {
            let mut agent = Agent::start(lab, &place.node, &members, &to);
            if place.node.index <= 2 {
                agent.announce(&format!("{ANYCAST}/32"));
            }
            agent
        };
        self.places.iter().map(start).collect()
    }

    /// The nodes spread packets over both routers, and the routers over both nodes of the one address.
    fn is_whole(&self) -> Result<(), String> {
        let text = |nodes: &[&Node]| nodes.iter().map(|node| node.v4().to_string()).collect::<Vec<_>>();
        let both = text(&self.routers.each_ref());
        for place in &self.places {
            kernel_spreads(&place.node, crate::ours::PROTOCOL, BEYOND, &both)?;
        }
        let ends = text(&[&self.places[0].node, &self.places[1].node]);
        let protocol = if self.kind == Kind::Frr { 186 } else { 12 };
        for router in &self.routers {
            kernel_spreads(router, protocol, ANYCAST, &ends)?;
            for place in &self.places {
                kernel_spreads(router, protocol, &place.member.blocks[0], &text(&[&place.node]))?;
            }
        }
        Ok(())
    }
}
