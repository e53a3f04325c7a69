//! Clusters of more than our own nodes: BIRD as Calico sets it up beside us, and racks with external routers.

use super::calico::calico_neighbors;
use super::networks::{Place, everybody_reaches_everybody, members};
use super::{OUR_AS, THEIR_AS};
use crate::Scenario;
use crate::lab::{Flow, Lab, Node, eventually};
use crate::ours::{Agent, kernel_has};
use crate::peer::{CALICO_PREFERENCE, Daemon, Kind, Neighbor, SOON, Setup, UP};

/// A single address that two nodes announce at once, as while a workload moves.
const SHARED: &str = "10.65.200.7/32";
const SHARED_ADDRESS: &str = "10.65.200.7";

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut all =
        vec![Scenario::new("mesh_of_our_nodes_and_bird_as_calico_sets_it_up", calico).with(Kind::Bird)];
    for kind in [Kind::Bird, Kind::Frr] {
        for (name, per_node) in [("rack", false), ("node", true)] {
            let name = format!("as_per_{name}_between_two_{}_routers", kind.name());
            all.push(Scenario::new(name, move |lab| fabric(lab, kind, per_node)).with(kind));
        }
    }
    all
}

/// Two nodes of ours and two with BIRD, each with everybody; every workload reaches every other. By numbers instead of text
/// two of each kind would wait for each other.
fn calico(lab: &Lab) {
    let places: Vec<Place> = [9, 10, 11, 2].map(|index| Place::new(lab, index, OUR_AS)).into();
    let (ours, theirs) = places.split_at(2);
    let birds: Vec<Box<dyn Daemon + '_>> = theirs
        .iter()
        .map(|place| {
            let others = places.iter().filter(|other| other.node.index != place.node.index);
            let neighbors = others.flat_map(|other| calico_neighbors(place, other));
            let mut networks: Vec<&str> = place.member.blocks.iter().map(String::as_str).collect();
            networks.push(SHARED);
            Kind::Bird.start(lab, &place.node, Setup::new(OUR_AS, neighbors.collect(), &networks).calico())
        })
        .collect();
    let members = members(&places);
    let agents: Vec<Agent<'_>> =
        ours.iter().map(|place| Agent::in_calico_mesh(lab, &place.node, &members)).collect();
    for agent in &agents {
        for place in places.iter().filter(|place| place.node.name != agent.node().name) {
            for block in &place.member.blocks {
                eventually(&format!("{} has {block}", agent.node().name), UP, || {
                    kernel_has(agent.node(), block, &place.node.address_for(block))
                });
            }
        }
        // Both with Calico's LOCAL_PREF: a tie, so that packets go to both.
        eventually("packets go over both of two equal routes", SOON, || {
            agent.spreads(SHARED_ADDRESS, &[theirs[0].node.v4().to_string(), theirs[1].node.v4().to_string()])
        });
    }
    everybody_reaches_everybody(lab, &places);

    // The same LOCAL_PREF from ours: a tie of all three, for ours and for theirs.
    let mut agents = agents;
    agents[0].announce(SHARED);
    let mut all = [&ours[0], &theirs[0], &theirs[1]].map(|place| place.node.v4().to_string());
    all.sort_unstable();
    eventually("packets go over all three", SOON, || {
        agents[1].spreads(SHARED_ADDRESS, &all)?;
        let shown = birds[0].ask(&["show", "route", SHARED, "all"])?;
        let preferences = shown.lines().filter_map(|line| line.trim().strip_prefix("BGP.local_pref: "));
        let others = preferences.filter(|preference| *preference != CALICO_PREFERENCE.to_string()).count();
        let told = shown.contains(&format!("BGP.next_hop: {}\n", ours[0].node.v4()));
        if told && others == 0 { Ok(()) } else { Err(shown) }
    });
    agents[0].withdraw(SHARED);

    // One of ours is killed under traffic: BIRD is configured to help.
    let flows = [(2, 0), (0, 3)]
        .map(|(from, to): (usize, usize)| Flow::start(&places[from].workload, &places[to].addresses()[0]));
    agents[0].kill();
    std::thread::sleep(std::time::Duration::from_secs(2));
    agents[0].restart();
    for bird in &birds {
        bird.comes_up_with(ours[0].node.v4());
    }
    std::thread::sleep(std::time::Duration::from_secs(2));
    for flow in flows {
        flow.stop_without_loss(100);
    }
}

/// Two racks: each node peers with two external routers and with nobody else, and spreads its packets over both.
fn fabric(lab: &Lab, kind: Kind, per_node: bool) {
    // The nodes of a rack share an AS, so each hears of the other rack only; with an AS each they hear of all.
    let asn = |index: u8| OUR_AS + if per_node { u32::from(index) } else { u32::from(index.div_ceil(2)) };
    let places: Vec<Place> = (1..=4).map(|index| Place::new(lab, index, asn(index))).collect();
    let routers = [51, 52].map(|index| lab.node(&format!("tor{index}"), index));
    let nodes = || {
        places.iter().flat_map(|place| {
            place.node.addresses().map(|address| Neighbor::passive(address, asn(place.node.index)))
        })
    };
    let daemons = routers
        .each_ref()
        .map(|router| kind.start(lab, router, Setup::new(THEIR_AS, nodes().collect(), &[]).with_kernel()));
    let to: Vec<_> = routers.iter().flat_map(Node::addresses).map(|a| (a, THEIR_AS)).collect();
    let members = members(&places);
    let mut agents: Vec<Agent<'_>> =
        places.iter().map(|place| Agent::start(lab, &place.node, &members, &to)).collect();
    let heard = |agent: usize, place: &Place| asn(places[agent].node.index) != asn(place.node.index);
    let spread = |agents: &[Agent<'_>], gateways: &dyn Fn(&Place) -> Vec<String>| {
        for (number, agent) in agents.iter().enumerate() {
            for place in places.iter().filter(|place| heard(number, place)) {
                agent.spreads(&place.member.blocks[0], &gateways(place))?;
            }
        }
        Ok(())
    };
    // On one shared network an external router leaves the next hop of a third party alone (RFC 4271 §5.1.3): both ways of
    // a route may be the same node. A route with next hops of its own is the one that both routers originate.
    eventually("every node has the blocks of the others", UP, || {
        spread(&agents, &|place| vec![place.node.v4().to_string()])
    });
    for (from, to) in [(0, 2), (3, 1)] {
        for address in places[to].addresses() {
            eventually(&format!("{address} is reached"), SOON, || {
                lab.run(&places[from].workload, &["ping", "-n", "-c", "1", "-W", "1", &address])
            });
        }
    }
    let mut daemons = daemons;
    for daemon in &mut daemons {
        daemon.announce("198.51.100.0/24");
    }
    let both: Vec<String> = routers.iter().map(|router| router.v4().to_string()).collect();
    eventually("packets to what both routers have go over both", SOON, || {
        agents.iter().try_for_each(|agent| agent.spreads("198.51.100.0/24", &both))
    });
    daemons[0].withdraw("198.51.100.0/24");
    eventually("and over the one that is left", SOON, || {
        agents.iter().try_for_each(|agent| agent.spreads("198.51.100.0/24", &both[1..]))
    });
    agents[0].announce("10.65.201.0/26");
    for daemon in &daemons {
        daemon.learns("10.65.201.0/26");
    }
}
