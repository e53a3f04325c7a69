//! What Calico's own configuration tests cover, with our program in the place of its BIRD and a real BIRD at the other end:
//! given this configuration, these sessions, these routes on the wire, these routes in the kernel. Which of them is
//! where stands in `docs/container-networks.md`.

mod filters;
mod kernel;
mod sessions;

use std::fmt::Write as _;
use std::net::IpAddr;

use super::networks::{Place, everybody_reaches_everybody};
use super::{OUR_AS, THEIR_AS};
use crate::Scenario;
use crate::lab::{Lab, Node, eventually, holds, ip};
use crate::ours::{PROTOCOL, Reflector, kernel_has, kernel_keys, kernel_spreads};
use crate::peer::{CALICO_PREFERENCE, Daemon, HOLD_TIME, Kind, Neighbor, SOON, Setup, UP};

/// Protocol number of BIRD's routes.
const BIRD: u8 = 12;
/// A single address that a node of ours and one of theirs announce at once.
const SHARED: &str = "10.65.200.7";
/// The same while it moves to our node: metric 512 there.
const MOVING: &str = "10.65.200.8";

/// A scenario with BIRD at the other end.
fn bird(name: &str, play: fn(&Lab)) -> Scenario {
    Scenario::new(format!("calico_{name}"), play).with(Kind::Bird)
}

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut all = vec![
        bird("mesh_of_ours_and_theirs_with_its_local_pref", mesh),
        bird("peers_with_all_that_a_peer_may_say", peers),
        bird("next_hop_modes", next_hops),
        bird("peer_behind_a_gateway_is_not_lost_to_a_learned_route", reachable_by),
    ];
    all.extend(sessions::scenarios());
    all.extend(filters::scenarios());
    all.extend(kernel::scenarios());
    all
}

/// The sessions of a node with BIRD with another one: of a pair the one waits whose address sorts lower as text.
pub(super) fn calico_neighbors(place: &Place, other: &Place) -> Vec<Neighbor> {
    let pairs = other.node.addresses().into_iter().zip(place.node.addresses());
    let neighbor = |(theirs, own): (IpAddr, IpAddr)| {
        let waits = theirs.to_string() > own.to_string();
        if waits { Neighbor::passive(theirs, OUR_AS) } else { Neighbor::active(theirs, OUR_AS) }
    };
    pairs.map(neighbor).collect()
}

/// What we tell, as Calico's export filter has it: LOCAL_PREF from the metric, 1024 where there is none.
const EXPORT: &str = r#"
[[policy]]
name = "calico"
default = "accept"
[[policy.rule]]
match = { prefix = ["10.65.200.8/32"], source = ["local"] }
set = { local-pref = 2147483135 }
then = "accept"
[[policy.rule]]
match = { source = ["local"] }
set = { local-pref-from-metric = 1024 }
then = "accept"
"#;

/// A node of ours in a mesh, by the route-reflector's configuration.
fn mesh_node(place: &Place, places: &[Place], routes: &[&str]) -> String {
    let (node, keys) = (&place.node, kernel_keys());
    let mut text = format!(
        "asn = {OUR_AS}\nrouter-id = \"{v4}\"\nlisten = [\"{v4}:179\", \"[{v6}]:179\"]\nhold-time = {HOLD_TIME}\nmax-paths = 8\n{keys}",
        v4 = node.v4(),
        v6 = node.v6(),
    );
    text.push_str(EXPORT);
    for block in &place.member.blocks {
        let _ = writeln!(text, "[[aggregate]]\nprefix = \"{block}\"\nalways = true\ndiscard = \"blackhole\"");
    }
    for route in routes {
        let _ = writeln!(text, "[[route]]\nprefix = \"{route}/32\"");
    }
    let _ = writeln!(
        text,
        "[mesh]\nlocal = \"{}\"\ndialer = \"calico-string\"\nexport = \"calico\"\nnodes = [",
        node.v4()
    );
    for place in places {
        let (v4, v6) = (place.node.v4(), place.node.v6());
        let _ = writeln!(text, "    {{ name = \"{}\", address = [\"{v4}\", \"{v6}\"] }},", place.node.name);
    }
    text.push_str("]\n");
    text
}

/// Two nodes of ours that tell what Calico's BIRD tells, and two with BIRD. Of a pair the one whose address sorts lower as
/// text waits; with numbers for the order, the second and the fourth would wait for each other.
fn mesh(lab: &Lab) {
    let places: Vec<Place> = [2, 10, 9, 11].map(|index| Place::new(lab, index, OUR_AS)).into();
    let (ours, theirs) = places.split_at(2);
    let nodes = [
        Reflector::start_with(
            lab,
            &ours[0].node,
            &on_socket(lab, &ours[0].node, &mesh_node(&ours[0], &places, &[SHARED, MOVING])),
        ),
        Reflector::start_with(
            lab,
            &ours[1].node,
            &on_socket(lab, &ours[1].node, &mesh_node(&ours[1], &places, &[])),
        ),
    ];
    let announced = [vec![SHARED, MOVING], Vec::new()];
    let mut birds: Vec<Box<dyn Daemon + '_>> = (theirs.iter().zip(&announced))
        .map(|(place, shared)| {
            let others = places.iter().filter(|other| other.node.index != place.node.index);
            let neighbors = others.flat_map(|other| calico_neighbors(place, other));
            let shared = shared.iter().map(|address| format!("{address}/32"));
            let networks: Vec<String> = place.member.blocks.iter().cloned().chain(shared).collect();
            let networks: Vec<&str> = networks.iter().map(String::as_str).collect();
            Kind::Bird.start(lab, &place.node, Setup::new(OUR_AS, neighbors.collect(), &networks).calico())
        })
        .collect();
    let others = |place: &Place| {
        places.iter().filter(|other| other.node.index != place.node.index).collect::<Vec<_>>()
    };
    eventually("every kernel has every other node's blocks", UP, || {
        for place in &places {
            let protocol = if place.node.index == 2 || place.node.index == 10 { PROTOCOL } else { BIRD };
            for (other, block) in
                others(place).iter().flat_map(|other| other.member.blocks.iter().map(move |b| (other, b)))
            {
                kernel_spreads(&place.node, protocol, block, &[other.node.address_for(block)])
                    .map_err(|error| format!("{block} at {}: {error}", place.node.name))?;
            }
        }
        Ok(())
    });
    everybody_reaches_everybody(lab, &places);

    // The same LOCAL_PREF from both kinds: a tie, so that packets go to both, from ours and from theirs.
    let both: Vec<String> = [&theirs[0], &ours[0]].map(|place| place.node.v4().to_string()).into();
    let mut sorted = both.clone();
    sorted.sort_unstable();
    eventually("packets go over both of two equal routes", SOON, || {
        kernel_spreads(&ours[1].node, PROTOCOL, SHARED, &sorted)?;
        kernel_spreads(&theirs[1].node, BIRD, SHARED, &sorted)
    });
    let shown = birds[1].ask(&["show", "route", &format!("{SHARED}/32"), "all"]).expect("BIRD answers");
    let told = shown.contains(&format!("BGP.next_hop: {}\n", both[1]));
    let preferences = shown.lines().filter_map(|line| line.trim().strip_prefix("BGP.local_pref: "));
    let mut others = preferences.filter(|preference| *preference != CALICO_PREFERENCE.to_string());
    assert!(told && others.next().is_none(), "both kinds tell Calico's: {shown}");
    // One that moves is preferred where it moves to.
    eventually("packets go where the address moves to", SOON, || {
        kernel_spreads(&ours[1].node, PROTOCOL, MOVING, &both[1..])?;
        kernel_spreads(&theirs[1].node, BIRD, MOVING, &both[1..])
    });
    birds[0].withdraw(&format!("{SHARED}/32"));
    eventually("packets go over the one that is left", SOON, || {
        kernel_spreads(&ours[1].node, PROTOCOL, SHARED, &both[1..])?;
        kernel_spreads(&theirs[1].node, BIRD, SHARED, &both[1..])
    });
    drop(nodes);
}

/// The key goes before the first table.
fn on_socket(lab: &Lab, node: &Node, text: &str) -> String {
    format!("control-socket = \"{}\"\n{text}", lab.path(node, "rr.sock").display())
}

/// What our side says of itself.
fn head(lab: &Lab, ours: &Node) -> String {
    let text = format!(
        "asn = {OUR_AS}\nrouter-id = \"{}\"\nlisten = \"0.0.0.0:179\"\nhold-time = {HOLD_TIME}\n{}",
        ours.v4(),
        kernel_keys()
    );
    on_socket(lab, ours, &text)
}

/// A neighbour with these keys.
fn neighbor(address: impl std::fmt::Display, asn: u32, keys: &str) -> String {
    format!(
        "[[neighbor]]\naddress = \"{address}\"\nasn = {asn}\nimport = \"accept\"\nexport = \"accept\"\n{keys}\n"
    )
}

fn told(daemon: &dyn Daemon, prefix: &str) -> String {
    daemon.learns(prefix);
    daemon.ask(&["show", "route", prefix, "all"]).expect("BIRD answers")
}

/// TTL security with a password and a restart time; an AS of our own for one peer; our AS in a path, allowed here and not
/// there; another source address, with both sides calling.
fn peers(lab: &Lab) {
    const OTHER_AS: u32 = 65020;
    const LOOPED_AS: u32 = 65030;
    const SOURCE: &str = "10.9.0.71";
    let [ours, tor, other, looped] =
        [("ours", 1), ("tor", 51), ("other", 52), ("looped", 53)].map(|(name, index)| lab.node(name, index));
    ip(&["-n", &ours.ns, "address", "add", &format!("{SOURCE}/24"), "dev", "eth0"]);
    let text = [
        head(lab, &ours),
        "[[route]]\nprefix = \"10.65.1.0/26\"\n".to_owned(),
        neighbor(tor.v4(), THEIR_AS, "ttl-security = 1\npassword = \"of the rack\"\nrestart-time = 77"),
        neighbor(other.v4(), OTHER_AS, &format!("local-as = {OTHER_AS}")),
        neighbor(looped.v4(), LOOPED_AS, &format!("allow-own-as = 1\nlocal-address = \"{SOURCE}\"")),
    ];
    let reflector = Reflector::start_with(lab, &ours, &text.concat());
    // A route that went through our AS before.
    let back = format!("if source != RTS_STATIC then reject; bgp_path.prepend({OUR_AS}); accept;");
    let secure = "ttl security on; password \"of the rack\";";
    let to_tor = Neighbor::active(ours.v4(), OUR_AS).words(secure).filter(&back);
    let tors =
        Kind::Bird.start(lab, &tor, Setup::new(THEIR_AS, vec![to_tor], &["198.51.100.0/24"]).graceful());
    let to_other = Neighbor::active(ours.v4(), OTHER_AS);
    let others = Kind::Bird.start(lab, &other, Setup::new(OTHER_AS, vec![to_other], &["203.0.113.0/25"]));
    let source: std::net::Ipv4Addr = SOURCE.parse().expect("an address");
    let to_looped = Neighbor::active(source, OUR_AS).filter(&back);
    let loopeds =
        Kind::Bird.start(lab, &looped, Setup::new(LOOPED_AS, vec![to_looped], &["203.0.113.128/25"]));
    for node in [&tor, &other, &looped] {
        reflector.comes_up_with(node.v4());
    }
    loopeds.comes_up_with(source);

    let shown = tors.ask(&["show", "protocols", "all", "peer_10_9_0_1"]).expect("BIRD answers");
    assert!(shown.contains("Restart time: 77"), "{shown}");
    assert_eq!(tors.learns("10.65.1.0/26").as_path, [OUR_AS]);
    // The session is internal: no AS is added, and LOCAL_PREF is told.
    let route = told(&*others, "10.65.1.0/26");
    assert!(others.learns("10.65.1.0/26").as_path.is_empty(), "{route}");
    assert!(route.contains("BGP.local_pref: 100"), "{route}");
    eventually("the kernel has what passed", SOON, || {
        kernel_has(&ours, "203.0.113.0/25", &other.v4().to_string())?;
        kernel_has(&ours, "203.0.113.128/25", &looped.v4().to_string())
    });
    holds("a path with our AS in it is not taken from the other", std::time::Duration::from_secs(1), || {
        match kernel_has(&ours, "198.51.100.0/24", &tor.v4().to_string()) {
            Err(_) => Ok(()),
            Ok(()) => Err("it is".to_owned()),
        }
    });
    // What came over the session of another AS of ours shows that AS elsewhere (RFC 7705 is about what is hidden).
    let path = tors.learns("203.0.113.0/25").as_path;
    assert_eq!(path.first(), Some(&OUR_AS), "{path:?}");
}

/// Routes of an internal peer told to external ones: the next hop stays on a shared network, is ours with `self`, and stays
/// with `unchanged` where it would be ours; and an internal peer gets ours with `self`.
fn next_hops(lab: &Lab) {
    let modes = ["auto", "self", "unchanged"];
    let (ours, inside) = (lab.node("ours", 1), lab.node("inside", 2));
    let tors: Vec<Node> = (51..).zip(modes).map(|(index, mode)| lab.node(mode, index)).collect();
    let (kept, replaced) = (lab.node("kept", 3), lab.node("replaced", 4));
    let mut text = head(lab, &ours);
    text.push_str(&neighbor(inside.v4(), OUR_AS, "route-reflector-client = true"));
    text.push_str(&neighbor(kept.v4(), OUR_AS, ""));
    text.push_str(&neighbor(replaced.v4(), OUR_AS, "next-hop = \"self\""));
    for (tor, mode) in tors.iter().zip(modes) {
        // More than one hop away, a third party's address is of no use to it.
        text.push_str(&neighbor(tor.v4(), THEIR_AS, &format!("ttl = 64\nnext-hop = \"{mode}\"")));
    }
    let reflector = Reflector::start_with(lab, &ours, &text);
    let to_us = || vec![Neighbor::active(ours.v4(), OUR_AS)];
    let source = Kind::Bird.start(lab, &inside, Setup::new(OUR_AS, to_us(), &["10.65.2.0/26"]));
    let start = |node: &Node, asn: u32| Kind::Bird.start(lab, node, Setup::new(asn, to_us(), &[]));
    let external: Vec<_> = tors.iter().map(|tor| start(tor, THEIR_AS)).collect();
    let internal = [start(&kept, OUR_AS), start(&replaced, OUR_AS)];
    for node in tors.iter().chain([&inside, &kept, &replaced]) {
        reflector.comes_up_with(node.v4());
    }
    source.comes_up_with(ours.v4());
    let hop = |daemon: &dyn Daemon| daemon.learns("10.65.2.0/26").next_hop;
    let (us, them) = (ours.v4().to_string(), inside.v4().to_string());
    assert_eq!(hop(&*external[1]), us, "self to an external peer");
    assert_eq!(hop(&*external[2]), them, "unchanged to an external peer");
    assert_eq!(hop(&*external[0]), us, "auto to an external peer of several hops");
    assert_eq!(hop(&*internal[0]), them, "auto to an internal peer");
    assert_eq!(hop(&*internal[1]), us, "self to an internal peer");
}

/// A peer behind a gateway by a route of the system: what it tells covers its own address, and the session stays.
fn reachable_by(lab: &Lab) {
    const PEER: &str = "172.30.0.1";
    let (ours, tor) = (lab.node("ours", 1), lab.node("tor", 51));
    ip(&["-n", &tor.ns, "address", "add", &format!("{PEER}/32"), "dev", "lo"]);
    ip(&[
        "-n",
        &ours.ns,
        "route",
        "add",
        &format!("{PEER}/32"),
        "via",
        &tor.v4().to_string(),
        "proto",
        "static",
    ]);
    let text = [head(lab, &ours), neighbor(PEER, THEIR_AS, "ttl = 64")];
    let reflector = Reflector::start_with(lab, &ours, &text.concat());
    let words = format!("multihop; source address {PEER};");
    let to_us = Neighbor::active(ours.v4(), OUR_AS).words(&words);
    let tors =
        Kind::Bird.start(lab, &tor, Setup::new(THEIR_AS, vec![to_us], &["172.30.0.0/16", "198.51.100.0/24"]));
    let peer: std::net::Ipv4Addr = PEER.parse().expect("an address");
    reflector.comes_up_with(peer);
    tors.comes_up_with(ours.v4());
    // The next hop is the peer, which the kernel reaches through the gateway.
    eventually("both are in the kernel, through the gateway", SOON, || {
        kernel_has(&ours, "172.30.0.0/16", &tor.v4().to_string())?;
        kernel_has(&ours, "198.51.100.0/24", &tor.v4().to_string())
    });
    holds("the session and its routes stay", std::time::Duration::from_secs(3), || {
        let up = reflector.established(peer.into())?;
        if up["established"] != 1 {
            return Err(up.to_string());
        }
        kernel_has(&ours, "172.30.0.0/16", &tor.v4().to_string())
    });
}
