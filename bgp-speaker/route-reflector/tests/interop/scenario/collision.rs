//! Both ends call each other at the same moment (RFC 4271 §6.8).

use std::time::Duration;

use super::OUR_AS;
use crate::Scenario;
use crate::lab::{Lab, holds};
use crate::ours::{PeerEntry, Reflector};
use crate::peer::{Daemon, Kind, Neighbor, Setup};

const THEIRS: &str = "198.51.100.0/24";

/// Times that both are made to call; the order in which connections and messages cross differs from time to time.
const ROUNDS: usize = 3;

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
    let entries = [PeerEntry::new(theirs.v4(), OUR_AS).key("connect-retry = 1")];
    let mut reflector = Reflector::start(lab, &ours, OUR_AS, &entries, "");
    let neighbor = Neighbor::active(ours.v4(), OUR_AS);
    // The cable is out while both start, so that both have calls waiting when it goes in.
    lab.cable(&theirs, false);
    let mut daemon = kind.start(lab, &theirs, Setup::new(OUR_AS, vec![neighbor], &[THEIRS]));
    lab.cable(&theirs, true);
    for round in 0..ROUNDS {
        reflector.comes_up_with(theirs.v4());
        daemon.comes_up_with(ours.v4());
        one_session_stays(&reflector, &*daemon, lab, &ours, &theirs);
        if round + 1 < ROUNDS {
            daemon.kill();
            reflector.kill();
            lab.cable(&theirs, false);
            daemon.restart();
            reflector.restart();
            lab.cable(&theirs, true);
        }
    }
}

/// For longer than a lost collision takes to show, the session is the one that came up, over one connection.
fn one_session_stays(
    reflector: &Reflector<'_>,
    daemon: &dyn Daemon,
    lab: &Lab,
    ours: &crate::lab::Node,
    theirs: &crate::lab::Node,
) {
    holds("one session, up all the time, over one connection", Duration::from_secs(4), || {
        let peer = reflector.established(theirs.v4().into())?;
        if peer["established"] != 1 {
            return Err(format!("the session came up more than once: {peer}"));
        }
        daemon.established(ours.v4().into())?;
        let connections =
            lab.run(ours, &["ss", "-Htn", "state", "established", "src", &ours.v4().to_string()])?;
        let connections = connections.lines().count();
        if connections == 1 { Ok(()) } else { Err(format!("{connections} connections; {peer}")) }
    });
    daemon.learns(THEIRS);
}
