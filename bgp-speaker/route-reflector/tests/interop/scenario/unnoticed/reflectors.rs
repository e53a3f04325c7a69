//! Reflectors that are killed, or replaced by a newer version, while their clients forward.

use std::thread::sleep;
use std::time::Duration;

use super::{AFTERWARDS, AWAY, NODES, Watch, helper, is_full, load, router};
use crate::Scenario;
use crate::lab::{Lab, Node, eventually, holds};
use crate::ours::{Agent, PeerEntry, Reflector};
use crate::peer::{SOON, UP};
use crate::scenario::OUR_AS;
use crate::scenario::networks::{Place, members};
use crate::scripted::helper::Helper;

/// The agent that a play may take down.
const LAST: usize = NODES as usize - 1;

/// How a reflector ends.
#[derive(Clone, Copy)]
enum End {
    /// With SIGKILL.
    Kill,
    /// With the signal for an end before a restart.
    Upgrade,
}

pub(super) fn scenarios() -> Vec<Scenario> {
    let cluster = |name: &str, count: u8, play: fn(&mut Cluster<'_>)| {
        Scenario::new(format!("unnoticed_{name}"), move |lab| watched(lab, count, play))
    };
    vec![
        cluster("restart_of_a_reflector", 1, |cluster| cluster.restart(&[0], End::Kill)),
        cluster("restart_of_a_reflector_twice_in_a_row", 1, |cluster| {
            cluster.end(&[0], End::Kill);
            cluster.reflectors[0].restart();
            // Long enough for some clients to be there again, and too short for it to have told its table.
            sleep(Duration::from_millis(700));
            cluster.restart(&[0], End::Kill);
        }),
        cluster("restart_of_both_reflectors_at_once", 2, |cluster| cluster.restart(&[0, 1], End::Kill)),
        cluster("restart_of_a_reflector_with_a_client_down", 2, |cluster| {
            cluster.agents[LAST].kill();
            cluster.down = Some(LAST);
            cluster.restart(&[0], End::Kill);
            cluster.agents[LAST].restart();
            cluster.down = None;
            eventually("the client is back", SOON, || cluster.is_told_by(&[0, 1]));
        }),
        cluster("upgrade_of_a_reflector", 1, |cluster| cluster.restart(&[0], End::Upgrade)),
        cluster("upgrade_of_two_reflectors_one_by_one", 2, |cluster| {
            cluster.restart(&[0], End::Upgrade);
            cluster.restart(&[1], End::Upgrade);
        }),
    ]
}

/// Nodes behind reflectors of one cluster, with a client that changes its routes all the time.
struct Cluster<'a> {
    places: Vec<Place>,
    reflectors: Vec<Reflector<'a>>,
    agents: Vec<Agent<'a>>,
    /// The router's sessions, one with each reflector.
    helpers: Vec<Helper>,
    /// The agent that does not run; its node forwards.
    down: Option<usize>,
}

fn watched(lab: &Lab, count: u8, play: fn(&mut Cluster<'_>)) {
    let mut cluster = Cluster::new(lab, count);
    eventually("every node has every route", UP, || cluster.is_whole());

    let watch = Watch::begin(lab, &cluster.places);
    play(&mut cluster);
    holds("the network stays whole", AFTERWARDS, || cluster.is_whole());
    watch.saw_nothing();
    cluster.router_lost_nothing();
}

impl<'a> Cluster<'a> {
    fn new(lab: &'a Lab, count: u8) -> Self {
        let places: Vec<Place> = (1..=NODES).map(|index| Place::new(lab, index, OUR_AS)).collect();
        let router = router(lab);
        let nodes: Vec<Node> =
            (0..count).map(|number| lab.node(&format!("rr{number}"), 101 + number)).collect();
        let start = |node: &Node| {
            let clients = places.iter().flat_map(|place| place.node.addresses());
            let clients = clients.map(|address| PeerEntry::new(address, OUR_AS).client().passive());
            let beyond = PeerEntry::new(router.v4(), OUR_AS).client().passive();
            let others = nodes.iter().filter(|other| other.index != node.index);
            let others = others.map(|other| {
                let entry = PeerEntry::new(other.v4(), OUR_AS);
                if node.index > other.index { entry.passive() } else { entry }
            });
            let entries: Vec<PeerEntry> = clients.chain([beyond]).chain(others).collect();
            Reflector::start(lab, node, OUR_AS, &entries, "cluster-id = \"10.9.0.100\"")
        };
        let reflectors = nodes.iter().map(start).collect();
        let to: Vec<_> = nodes.iter().flat_map(Node::addresses).map(|address| (address, OUR_AS)).collect();
        let members = members(&places);
        let agents = places.iter().map(|place| Agent::start(lab, &place.node, &members, &to)).collect();
        let helpers = nodes.iter().map(|node| helper(&router, node, OUR_AS, load(&[]))).collect();
        Self { places, reflectors, agents, helpers, down: None }
    }

    /// What the nodes announce that run.
    fn blocks(&self) -> Vec<&String> {
        let there = self.places.iter().enumerate().filter(|(number, _)| Some(*number) != self.down);
        there.map(|(_, place)| &place.member.blocks[0]).collect()
    }

    /// Kernels forward what they did before, those of nodes without an agent too.
    fn forwards(&self) -> Result<(), String> {
        self.agents.iter().try_for_each(|agent| is_full(agent, &self.places))
    }

    fn is_told_by(&self, reflectors: &[usize]) -> Result<(), String> {
        reflectors.iter().try_for_each(|number| self.helpers[*number].has(&self.blocks()).map(drop))
    }

    fn is_whole(&self) -> Result<(), String> {
        self.forwards()?;
        self.helpers.iter().try_for_each(|helper| helper.has(&self.blocks()).map(drop))
    }

    fn end(&self, victims: &[usize], end: End) {
        for victim in victims {
            match end {
                End::Kill => self.reflectors[*victim].kill(),
                End::Upgrade => self.reflectors[*victim].end_for_restart(),
            }
        }
        holds("kernels keep their routes while reflectors are away", AWAY, || self.forwards());
    }

    /// Ends them, starts them again, and waits until all is said.
    fn restart(&mut self, victims: &[usize], end: End) {
        let sessions: Vec<usize> = victims.iter().map(|number| self.helpers[*number].begun()).collect();
        self.end(victims, end);
        for victim in victims {
            self.reflectors[*victim].restart();
        }
        for (victim, before) in victims.iter().zip(sessions) {
            let helper = &self.helpers[*victim];
            eventually("the reflector has told everything again", SOON, || match helper.sessions() {
                Some(now) if now > before => helper.has_all(2).and_then(|()| helper.has(&self.blocks())),
                other => Err(format!("sessions: {other:?}")),
            });
        }
    }

    /// A route that one reflector lets go while another one still tells it is not lost.
    fn router_lost_nothing(&self) {
        let lost = self.helpers.iter().map(Helper::lost);
        let lost: Vec<String> = lost
            .reduce(|kept, more| kept.into_iter().filter(|route| more.contains(route)).collect())
            .unwrap_or_default();
        assert!(lost.is_empty(), "the reflectors made a client lose {lost:?}");
        let blocks = self.blocks().len();
        assert!(
            self.helpers.iter().all(|helper| helper.holds() >= blocks),
            "the client holds the nodes' blocks"
        );
    }
}
