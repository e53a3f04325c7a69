//! Route reflection (RFC 4456), once with ours as the reflector and once with theirs.

use super::OUR_AS;
use crate::Scenario;
use crate::lab::Lab;
use crate::ours::{Agent, Member, PeerEntry, Reflector};
use crate::peer::{Daemon, HOLD_TIME, Kind, Neighbor, Setup};
use crate::scripted::{Identity, Scripted};

const FROM_DAEMON: [&str; 2] = ["198.51.100.0/24", "2001:db8:51::/48"];
const FROM_OTHER: [&str; 2] = ["10.65.3.0/26", "fd65:3::/122"];
const LATER: [&str; 2] = ["203.0.113.0/25", "2001:db8:113::/49"];

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut all = Vec::new();
    for kind in Kind::ALL {
        let name = format!("{}_is_a_client_of_our_reflector", kind.name());
        all.push(Scenario::new(name, move |lab| our_reflector(lab, kind)).with(kind));
        if kind.can_reflect() {
            let name = format!("our_nodes_are_clients_of_{}", kind.name());
            all.push(Scenario::new(name, move |lab| their_reflector(lab, kind)).with(kind));
        }
    }
    all
}

/// Two clients of our reflector, the daemon and a speaker that shows what was on the wire.
fn our_reflector(lab: &Lab, kind: Kind) {
    let (ours, theirs, other) = (lab.node("rr", 1), lab.node("theirs", 2), lab.node("other", 3));
    let clients = [
        PeerEntry::new(theirs.v4(), OUR_AS).client().passive(),
        PeerEntry::new(other.v4(), OUR_AS).client().passive(),
    ];
    let cluster = "10.9.0.99";
    let reflector = Reflector::start(lab, &ours, OUR_AS, &clients, &format!("cluster-id = \"{cluster}\""));
    let to_us = Neighbor::active(ours.v4(), OUR_AS);
    let mut daemon = kind.start(lab, &theirs, Setup::new(OUR_AS, vec![to_us], &FROM_DAEMON));
    let remote = (ours.v4(), 179).into();
    let identity =
        Identity { ns: other.ns.clone(), local: other.v4(), remote, asn: OUR_AS, hold_time: HOLD_TIME };
    let mut scripted = Scripted::start(identity, &FROM_OTHER);
    reflector.comes_up_with(theirs.v4());
    daemon.comes_up_with(ours.v4());

    for prefix in FROM_OTHER {
        let route = daemon.learns(prefix);
        assert_eq!(route.next_hop, other.address_for(prefix), "a reflector leaves the next hop alone");
        assert_eq!(route.originator, Some(other.v4().to_string()), "ORIGINATOR_ID of {prefix}");
        assert_eq!(route.clusters, [cluster], "CLUSTER_LIST of {prefix}");
    }
    for prefix in FROM_DAEMON {
        let route = client(&scripted).learns(prefix);
        assert_eq!(route.next_hop, theirs.address_for(prefix), "a reflector leaves the next hop alone");
        assert_eq!(route.originator, Some(theirs.v4().to_string()), "ORIGINATOR_ID of {prefix}");
        assert_eq!(route.clusters, [cluster], "CLUSTER_LIST of {prefix}");
        assert!(route.as_path.is_empty(), "AS_PATH of {prefix}: {:?}", route.as_path);
    }
    for prefix in LATER {
        daemon.announce(prefix);
        client(&scripted).learns(prefix);
        daemon.withdraw(prefix);
        client(&scripted).forgets(prefix);
        scripted.announce(prefix);
        daemon.learns(prefix);
        scripted.withdraw(prefix);
        daemon.forgets(prefix);
    }

    daemon.kill();
    for prefix in FROM_DAEMON {
        client(&scripted).forgets(prefix);
    }
    daemon.restart();
    for prefix in FROM_DAEMON {
        client(&scripted).learns(prefix);
    }
    scripted.kill();
    for prefix in FROM_OTHER {
        daemon.forgets(prefix);
    }
    scripted.restart();
    for prefix in FROM_OTHER {
        daemon.learns(prefix);
    }
}

/// Two of our nodes behind the daemon as their reflector.
fn their_reflector(lab: &Lab, kind: Kind) {
    let (theirs, one, two) = (lab.node("rr", 1), lab.node("one", 2), lab.node("two", 3));
    let clients = [one.addresses(), two.addresses()].concat();
    let clients: Vec<_> =
        clients.iter().map(|address| Neighbor::passive(*address, OUR_AS).client()).collect();
    let mut daemon = kind.start(lab, &theirs, Setup::new(OUR_AS, clients, &FROM_DAEMON));
    let blocks = [["10.65.2.0/26", "fd65:2::/122"], ["10.65.3.0/26", "fd65:3::/122"]];
    let members = [Member::new(&one, OUR_AS, &blocks[0]), Member::new(&two, OUR_AS, &blocks[1])];
    let reflectors = theirs.addresses().map(|address| (address, OUR_AS));
    let first = Agent::start(lab, &one, &members, &reflectors);
    let mut second = Agent::start(lab, &two, &members, &reflectors);
    daemon.comes_up_with(one.v4());
    daemon.comes_up_with(two.v4());

    let everything_arrives = |second: &Agent<'_>| {
        for (at_first, at_second) in blocks[1].iter().zip(blocks[0]) {
            first.installs(at_first, &two.address_for(at_first));
            second.installs(at_second, &one.address_for(at_second));
        }
        for prefix in FROM_DAEMON {
            first.installs(prefix, &theirs.address_for(prefix));
        }
    };
    everything_arrives(&second);
    for block in LATER {
        second.announce(block);
        first.installs(block, &two.address_for(block));
        second.withdraw(block);
        first.removes(block);
    }

    daemon.kill();
    for prefix in blocks[1].into_iter().chain(FROM_DAEMON) {
        first.removes(prefix);
    }
    daemon.restart();
    daemon.comes_up_with(one.v4());
    daemon.comes_up_with(two.v4());
    everything_arrives(&second);
}

fn client(scripted: &Scripted) -> &dyn Daemon {
    scripted
}
