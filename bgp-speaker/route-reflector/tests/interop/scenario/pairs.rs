//! One of ours and one of theirs, iBGP and eBGP: routes of both families both ways, withdrawals both ways, what
//! lands in our kernel, and what a lost session leaves there (nothing).

use std::net::IpAddr;
use std::time::Duration;

use super::{OUR_AS, THEIR_AS};
use crate::Scenario;
use crate::lab::{Lab, Node, eventually};
use crate::ours::{Agent, Member, PeerEntry, Reflector, kernel_keys};
use crate::peer::{Daemon, HOLD_TIME, Kind, Neighbor, Route, SOON, Setup};
use crate::scripted::{Identity, Scripted};

/// What the other side originates from the start.
const THEIRS: [&str; 2] = ["198.51.100.0/24", "2001:db8:51::/48"];
/// What it originates later, for a while.
const THEIRS_LATER: [&str; 2] = ["203.0.113.0/25", "2001:db8:113::/49"];
/// What our side originates from the start: the block of a node in each family.
const OURS: [&str; 2] = ["10.65.1.0/26", "fd65:1::/122"];
/// What it originates later, for a while.
const OURS_LATER: [&str; 2] = ["10.65.1.64/26", "fd65:1::40/122"];

/// A cut shows when the hold time is over; a daemon may then sulk (OpenBGPD: 30 s) before it tries again.
const AFTER_CUT: Duration = Duration::from_secs(60);

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut all = Vec::new();
    for kind in Kind::ALL {
        let name = kind.name();
        all.push(Scenario::new(format!("ibgp_with_{name}"), move |lab| ibgp(lab, kind)).with(kind));
        all.push(Scenario::new(format!("ebgp_with_{name}"), move |lab| ebgp(lab, kind)).with(kind));
        all.push(Scenario::new(format!("cut_cable_to_{name}"), move |lab| cut_cable(lab, kind)).with(kind));
    }
    all.push(Scenario::new("ebgp_without_policy_exchanges_nothing", without_policy));
    all
}

/// Our node agent and the daemon in one AS.
fn ibgp(lab: &Lab, kind: Kind) {
    let (ours, theirs) = (lab.node("ours", 1), lab.node("theirs", 2));
    let mut daemon = kind.start(lab, &theirs, their_setup(&ours.addresses(), OUR_AS, kind));
    let mut agent = start_agent(lab, &ours, &theirs);
    for address in ours.addresses() {
        daemon.comes_up_with(address);
    }

    for prefix in OURS {
        let route = daemon.learns(prefix);
        assert_eq!(
            route,
            Route { next_hop: gateway(&ours, prefix), ..Route::default() },
            "{prefix} at the daemon"
        );
    }
    for prefix in THEIRS {
        agent.installs(prefix, &gateway(&theirs, prefix));
    }
    for prefix in THEIRS_LATER {
        daemon.announce(prefix);
        agent.installs(prefix, &gateway(&theirs, prefix));
        daemon.withdraw(prefix);
        agent.removes(prefix);
    }
    for prefix in OURS_LATER {
        agent.announce(prefix);
        daemon.learns(prefix);
        agent.withdraw(prefix);
        daemon.forgets(prefix);
    }
    for prefix in THEIRS {
        agent.installs(prefix, &gateway(&theirs, prefix));
    }

    daemon.kill();
    for prefix in THEIRS {
        agent.removes(prefix);
    }
    daemon.restart();
    both_have_everything(&*daemon, &agent, &theirs);

    agent.kill();
    assert_eq!(agent.kernel().map(|routes| routes.len()), Ok(THEIRS.len()), "routes outlive our process");
    agent.restart();
    for address in ours.addresses() {
        daemon.comes_up_with(address);
    }
    both_have_everything(&*daemon, &agent, &theirs);
}

#[track_caller]
fn both_have_everything(daemon: &dyn Daemon, agent: &Agent<'_>, theirs: &Node) {
    for prefix in THEIRS {
        agent.installs(prefix, &gateway(theirs, prefix));
    }
    for prefix in OURS {
        daemon.learns(prefix);
    }
}

/// Our reflector binary at the border: the daemon in another AS on one side, an internal speaker on the other.
fn ebgp(lab: &Lab, kind: Kind) {
    let (ours, theirs, inside) = (lab.node("ours", 1), lab.node("theirs", 2), lab.node("inside", 3));
    let external = |address| PeerEntry::new(address, THEIR_AS).open();
    let mut entries = vec![PeerEntry::new(inside.v4(), OUR_AS).passive()];
    let mut addresses = ours.addresses().to_vec();
    if kind == Kind::OpenBgpd {
        // Over IPv4 it would tell IPv6 routes with the next hop ::1, so each family has its session.
        entries.extend(theirs.addresses().map(|address| external(address).own_family()));
    } else {
        entries.push(external(theirs.v4().into()));
        addresses.truncate(1);
    }
    let mut reflector = Reflector::start(lab, &ours, OUR_AS, &entries, &kernel_keys());
    let mut daemon = kind.start(lab, &theirs, their_setup(&addresses, THEIR_AS, kind));
    let mut inner = Scripted::start(identity(&inside, &ours), &OURS);
    reflector.comes_up_with(theirs.v4());
    daemon.comes_up_with(ours.v4());

    for prefix in OURS {
        let route = daemon.learns(prefix);
        assert_eq!(route.as_path, [OUR_AS], "AS_PATH of {prefix} at the daemon");
        // The router itself, or the internal speaker on the shared network (RFC 4271 §5.1.3).
        let lawful = [gateway(&ours, prefix), gateway(&inside, prefix)];
        assert!(lawful.contains(&route.next_hop), "next hop of {prefix} at the daemon: {}", route.next_hop);
    }
    for prefix in THEIRS {
        let route = (&inner as &dyn Daemon).learns(prefix);
        assert_eq!(route.as_path, [THEIR_AS], "AS_PATH of {prefix} inside");
        assert_eq!(route.next_hop, gateway(&theirs, prefix), "next hop of {prefix} inside");
        let attributes = inner.attributes(prefix).expect("just learned");
        assert_eq!(attributes.local_pref, Some(100), "LOCAL_PREF of {prefix} inside");
        in_kernel(&reflector, prefix, &gateway(&theirs, prefix));
    }
    for prefix in THEIRS_LATER {
        daemon.announce(prefix);
        in_kernel(&reflector, prefix, &gateway(&theirs, prefix));
        daemon.withdraw(prefix);
        not_in_kernel(&reflector, prefix);
        (&inner as &dyn Daemon).forgets(prefix);
    }
    for prefix in OURS_LATER {
        inner.announce(prefix);
        daemon.learns(prefix);
        inner.withdraw(prefix);
        daemon.forgets(prefix);
    }

    daemon.kill();
    for prefix in THEIRS {
        not_in_kernel(&reflector, prefix);
        (&inner as &dyn Daemon).forgets(prefix);
    }
    daemon.restart();
    for prefix in THEIRS {
        in_kernel(&reflector, prefix, &gateway(&theirs, prefix));
        (&inner as &dyn Daemon).learns(prefix);
    }
    for prefix in OURS {
        daemon.learns(prefix);
    }

    reflector.terminate();
    for prefix in OURS {
        daemon.forgets(prefix);
    }
    reflector.restart();
    inner.restart();
    eventually("the daemon has our routes again", AFTER_CUT, || has(&*daemon, &OURS));
}

/// The cable between the two is cut: nobody says goodbye, and the hold timers must find out.
fn cut_cable(lab: &Lab, kind: Kind) {
    let (ours, theirs) = (lab.node("ours", 1), lab.node("theirs", 2));
    let daemon = kind.start(lab, &theirs, their_setup(&ours.addresses(), OUR_AS, kind));
    let agent = start_agent(lab, &ours, &theirs);
    daemon.comes_up_with(ours.v4());
    for prefix in THEIRS {
        agent.installs(prefix, &gateway(&theirs, prefix));
    }
    eventually("the daemon has our routes", SOON, || has(&*daemon, &OURS));

    lab.cable(&theirs, false);
    let hold = Duration::from_secs(HOLD_TIME.into());
    eventually("our kernel forgets the lost neighbour's routes", hold + SOON, || match agent.kernel()? {
        routes if routes.is_empty() => Ok(()),
        routes => Err(format!("{routes:?}")),
    });
    for prefix in OURS {
        daemon.forgets(prefix);
    }

    lab.cable(&theirs, true);
    eventually("the daemon has our routes again", AFTER_CUT, || has(&*daemon, &OURS));
    for prefix in THEIRS {
        agent.installs(prefix, &gateway(&theirs, prefix));
    }
}

/// RFC 8212: an external session whose policies nobody has stated is up and silent.
fn without_policy(lab: &Lab) {
    let (ours, theirs, inside) = (lab.node("ours", 1), lab.node("theirs", 2), lab.node("inside", 3));
    let entries =
        [PeerEntry::new(theirs.v4(), THEIR_AS).passive(), PeerEntry::new(inside.v4(), OUR_AS).passive()];
    let reflector = Reflector::start(lab, &ours, OUR_AS, &entries, &kernel_keys());
    let external = Identity { asn: THEIR_AS, ..identity(&theirs, &ours) };
    let mut external = Scripted::start(external, &[]);
    let mut inner = Scripted::start(identity(&inside, &ours), &OURS);
    let attributes = crate::scripted::message::Attributes::plain(theirs.v4(), vec![THEIR_AS]);
    external.send(&crate::scripted::message::announce(&attributes, &THEIRS[..1]));

    // A route that was sent later has gone the whole way, so the earlier ones had the time to.
    let barrier = crate::scripted::message::announce(&inner.own_attributes(), &OURS_LATER[..1]);
    inner.send(&barrier);
    eventually("the reflector has the internal routes and only those", SOON, || {
        let routes = reflector.routes()?.to_string();
        let complete = routes.contains(OURS[0]) && routes.contains(OURS_LATER[0]);
        if complete { Ok(()) } else { Err(routes) }
    });
    assert_eq!((&external as &dyn Daemon).route(OURS[0]), Ok(None), "the external peer is told nothing");
    assert_eq!(
        (&inner as &dyn Daemon).route(THEIRS[0]),
        Ok(None),
        "nothing of the external peer is passed on"
    );
    not_in_kernel(&reflector, THEIRS[0]);
    let info = reflector.peer(theirs.v4().into()).expect("it is configured")["info"].to_string();
    assert!(info.contains("8212") || info.contains("policy"), "status says why: {info}");
}

fn their_setup(ours: &[IpAddr], asn: u32, kind: Kind) -> Setup {
    // Some wait and some call, so that both directions of opening are met.
    let neighbors = ours.iter().map(|address| match kind {
        Kind::Frr | Kind::ExaBgp => Neighbor::active(*address, OUR_AS),
        _ => Neighbor::passive(*address, OUR_AS),
    });
    Setup::new(asn, neighbors.collect(), &THEIRS)
}

fn start_agent<'a>(lab: &'a Lab, ours: &Node, theirs: &Node) -> Agent<'a> {
    Agent::start(
        lab,
        ours,
        &[Member::new(ours, OUR_AS, &OURS)],
        &theirs.addresses().map(|address| (address, OUR_AS)),
    )
}

fn identity(node: &Node, remote: &Node) -> Identity {
    let remote = (remote.v4(), 179).into();
    Identity { ns: node.ns.clone(), local: node.v4(), remote, asn: OUR_AS, hold_time: HOLD_TIME }
}

fn gateway(node: &Node, prefix: &str) -> String {
    node.address_for(prefix)
}

fn has(daemon: &dyn Daemon, prefixes: &[&str]) -> Result<(), String> {
    for prefix in prefixes {
        daemon.route(prefix)?.ok_or_else(|| format!("no {prefix}"))?;
    }
    Ok(())
}

#[track_caller]
fn in_kernel(reflector: &Reflector<'_>, prefix: &str, gateway: &str) {
    eventually(&format!("our kernel has {prefix} via {gateway}"), SOON, || {
        reflector.kernel_has(prefix, gateway)
    });
}

#[track_caller]
fn not_in_kernel(reflector: &Reflector<'_>, prefix: &str) {
    eventually(&format!("our kernel has no {prefix}"), SOON, || {
        let routes = reflector.kernel()?;
        if routes.iter().all(|route| route["dst"] != prefix) { Ok(()) } else { Err(format!("{routes:?}")) }
    });
}
