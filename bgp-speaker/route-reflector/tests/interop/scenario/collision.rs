//! Both ends call each other at the same moment (RFC 4271 §6.8).

use std::time::Duration;

use super::OUR_AS;
use crate::Scenario;
use crate::lab::{Lab, Node, eventually, holds};
use crate::ours::{PeerEntry, Reflector};
use crate::peer::{Kind, Neighbor, Setup, UP};

const THEIRS: &str = "198.51.100.0/24";

/// Times that both are made to call; the order in which messages cross differs from time to time. `INTEROP_ROUNDS` asks
/// for more.
const ROUNDS: usize = 3;
/// How long the session is watched after each round but the last.
const LOOK: Duration = Duration::from_secs(2);
/// How long after the last: longer than a lost collision takes to show.
const LONG_LOOK: Duration = Duration::from_secs(4);

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut all = Vec::new();
    for kind in [Kind::Bird, Kind::Frr] {
        // The connection of the side with the higher identifier survives: both outcomes.
        for (rank, index) in [("lower", 9), ("higher", 1)] {
            let name = format!("simultaneous_open_with_{}_of_{rank}_identifier", kind.name());
            all.push(Scenario::new(name, move |lab| both_call(lab, kind, index)).with(kind));
        }
    }
    all
}

/// One session comes out of two connections, and it stays.
fn both_call(lab: &Lab, kind: Kind, our_index: u8) {
    let (ours, theirs) = (lab.node("ours", our_index), lab.node("theirs", 5));
    lab.cable(&theirs, false);
    let entries = [PeerEntry::new(theirs.v4(), OUR_AS)];
    let mut reflector = Reflector::start(lab, &ours, OUR_AS, &entries, "");
    let neighbor = Neighbor::active(ours.v4(), OUR_AS);
    let mut daemon = kind.start(lab, &theirs, Setup::new(OUR_AS, vec![neighbor], &[THEIRS]));
    let rounds = std::env::var("INTEROP_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
    let mut collisions = 0;
    for round in 1..=rounds {
        // While the cable is out, each side's call waits for the other's hardware address. Whoever learns it first
        // is thereby learned, so both calls leave in the same moment.
        eventually("both sides are calling", UP, || {
            connections(lab, &ours, "syn-sent")?;
            connections(lab, &theirs, "syn-sent")
        });
        lab.cable(&theirs, true);
        reflector.comes_up_with(theirs.v4());
        daemon.comes_up_with(ours.v4());
        let peer = eventually("the session has settled", UP, || {
            let peer = reflector.established(theirs.v4().into())?;
            if peer["seconds-in-state"].as_u64() >= Some(1) { Ok(peer) } else { Err(peer.to_string()) }
        });
        let ups = peer["established"].as_u64().expect("a count");
        assert!(ups <= most_ups(kind), "the session came up more than once: {peer}");
        let look = if round < rounds { LOOK } else { LONG_LOOK };
        one_session_stays(&reflector, ups, lab, &ours, &theirs, look);
        daemon
            .established(ours.v4().into())
            .unwrap_or_else(|error| panic!("the daemon's side stays up: {error}"));
        daemon.learns(THEIRS);
        collisions += usize::from(peer["messages-sent"]["open"] != 1);
        if round < rounds {
            daemon.kill();
            reflector.kill();
            lab.cable(&theirs, false);
            forget_neighbor(lab, &ours);
            forget_neighbor(lab, &theirs);
            daemon.restart();
            reflector.restart();
        }
    }
    assert_ne!(collisions, 0, "no OPEN messages crossed in {rounds} rounds: this tests nothing");
}

/// The session is the one that came up, over one connection.
fn one_session_stays(
    reflector: &Reflector<'_>,
    ups: u64,
    lab: &Lab,
    ours: &Node,
    theirs: &Node,
    look: Duration,
) {
    holds("one session, up all the time, over one connection", look, || {
        let peer = reflector.established(theirs.v4().into())?;
        if peer["established"] != ups {
            return Err(format!("the session went down and came up: {peer}"));
        }
        match connections(lab, ours, "established")? {
            1 => Ok(()),
            many => Err(format!("{many} connections; {peer}")),
        }
    });
}

/// How often a session may have come up when the collision is over.
fn most_ups(kind: Kind) -> u64 {
    match kind {
        // FRR 8.4 agrees on the survivor and moves it to its configured peer; the close of the loser, which waits in a
        // queue under the same name, then at times hits the survivor, with a second Cease of the same kind.
        Kind::Frr => 2,
        _ => 1,
    }
}

/// How many connections of a node are in a state; none is an error.
fn connections(lab: &Lab, node: &Node, state: &str) -> Result<usize, String> {
    let list = lab.run(node, &["ss", "-Htn", "state", state, "src", &node.v4().to_string()])?;
    let count = list.lines().count();
    if count > 0 { Ok(count) } else { Err(format!("no connection of {} is {state}", node.name)) }
}

/// Empties the node's table of hardware addresses.
fn forget_neighbor(lab: &Lab, node: &Node) {
    lab.run(node, &["ip", "neighbor", "flush", "all"]).unwrap_or_else(|error| panic!("{error}"));
}
