//! Several paths of a prefix on one session (RFC 7911), to and from the other implementations.

use std::time::Duration;

use super::OUR_AS;
use crate::Scenario;
use crate::lab::{Lab, Node, eventually, holds};
use crate::ours::{PeerEntry, Reflector};
use crate::peer::{Daemon, HOLD_TIME, Kind, Neighbor, SOON, Setup};
use crate::scripted::{Identity, Scripted};

/// Prefixes that every source announces.
const PREFIXES: [&str; 4] = ["10.65.3.0/26", "10.65.4.0/26", "10.65.5.0/26", "10.65.6.7/32"];
const SOURCES: [u8; 3] = [11, 12, 13];

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut all = Vec::new();
    for kind in [Kind::Bird, Kind::Frr, Kind::GoBgp] {
        let name = kind.name();
        let every = format!("{name}_is_sent_every_path");
        all.push(Scenario::new(every, move |lab| send(lab, kind, "all", 3)).with(kind));
        let two = format!("{name}_is_sent_the_best_two_paths");
        all.push(Scenario::new(two, move |lab| send(lab, kind, "best 2", 2)).with(kind));
        let back = format!("{name}_sends_us_every_path");
        all.push(Scenario::new(back, move |lab| receive(lab, kind)).with(kind));
    }
    all
}

fn scripted(node: &Node, to: &Node) -> Scripted {
    let (ns, local, remote) = (node.ns.clone(), node.v4(), (to.v4(), 179).into());
    Scripted::start(Identity { ns, local, remote, asn: OUR_AS, hold_time: HOLD_TIME }, &PREFIXES)
}

/// The daemon has so many paths of the prefix, each over another source.
fn has(daemon: &dyn Daemon, prefix: &str, sources: &[&Node], count: usize) -> Result<(), String> {
    let mut hops = daemon.next_hops(prefix)?;
    hops.sort_unstable();
    hops.dedup();
    let known = hops.iter().all(|hop| sources.iter().any(|node| node.v4().to_string() == *hop));
    if hops.len() == count && known { Ok(()) } else { Err(format!("{prefix} over {hops:?}")) }
}

/// Three clients of our reflector announce the same, and the daemon is sent so many paths of it.
fn send(lab: &Lab, kind: Kind, which: &str, count: usize) {
    let (ours, theirs) = (lab.node("rr", 1), lab.node("theirs", 2));
    let sources = SOURCES.map(|index| lab.node(&format!("s{index}"), index));
    let passive = |node: &Node| PeerEntry::new(node.v4(), OUR_AS).client().passive();
    let mut entries: Vec<PeerEntry> = sources.iter().map(passive).collect();
    entries.push(passive(&theirs).key(&format!("add-path-send = {which:?}")).key("add-path-receive = true"));
    let reflector = Reflector::start(lab, &ours, OUR_AS, &entries, "");
    let to_us = Neighbor::active(ours.v4(), OUR_AS);
    let daemon = kind.start(lab, &theirs, Setup::new(OUR_AS, vec![to_us], &[]).add_path());
    let mut speakers: Vec<Scripted> = sources.iter().map(|source| scripted(source, &ours)).collect();
    reflector.comes_up_with(theirs.v4());

    let [first, second, third] = &sources;
    for prefix in PREFIXES {
        eventually("the paths arrive", SOON, || has(&*daemon, prefix, &[first, second, third], count));
    }
    speakers[0].withdraw(PREFIXES[0]);
    eventually("one path goes, and the next best takes its place", SOON, || {
        has(&*daemon, PREFIXES[0], &[second, third], 2)
    });
    speakers[1].kill();
    eventually("the paths of a source go with it", SOON, || has(&*daemon, PREFIXES[0], &[third], 1));
    eventually("and not those of others", SOON, || has(&*daemon, PREFIXES[1], &[first, third], 2));
    speakers[0].announce(PREFIXES[0]);
    eventually("a path comes back", SOON, || has(&*daemon, PREFIXES[0], &[first, third], 2));
    daemon.established(ours.v4().into()).expect("all of it in one session");
    holds("nothing else changes", Duration::from_secs(1), || has(&*daemon, PREFIXES[3], &[first, third], 2));
}

/// The daemon reflects three clients' paths to us.
fn receive(lab: &Lab, kind: Kind) {
    let (ours, theirs) = (lab.node("rr", 1), lab.node("theirs", 2));
    let sources = SOURCES.map(|index| lab.node(&format!("s{index}"), index));
    let entry = PeerEntry::new(theirs.v4(), OUR_AS).key("add-path-receive = true");
    let reflector = Reflector::start(lab, &ours, OUR_AS, &[entry], "");
    let clients = sources.iter().map(|node| Neighbor::passive(node.v4(), OUR_AS).client());
    let neighbors: Vec<Neighbor> = clients.chain([Neighbor::passive(ours.v4(), OUR_AS)]).collect();
    let _daemon = kind.start(lab, &theirs, Setup::new(OUR_AS, neighbors, &[]).add_path());
    let mut speakers: Vec<Scripted> = sources.iter().map(|source| scripted(source, &theirs)).collect();
    reflector.comes_up_with(theirs.v4());

    let paths = |wanted: usize| {
        let routes = reflector.routes()?.to_string();
        let seen = sources.iter().map(|node| routes.matches(&format!("{:?}", node.v4().to_string())).count());
        let seen: Vec<usize> = seen.collect();
        let status = reflector.status()?;
        match status["paths"].as_u64() {
            Some(paths) if paths as usize == wanted => Ok(()),
            paths => Err(format!("{paths:?} paths; mentions of the sources: {seen:?}")),
        }
    };
    eventually("all paths arrive", SOON, || paths(PREFIXES.len() * SOURCES.len()));
    speakers[0].withdraw(PREFIXES[0]);
    eventually("one is withdrawn", SOON, || paths(PREFIXES.len() * SOURCES.len() - 1));
    speakers[1].kill();
    eventually("a source goes", SOON, || paths(PREFIXES.len() * 2 - 1));
    reflector.established(theirs.v4().into()).expect("all of it in one session");
}
