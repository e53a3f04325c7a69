//! Families beyond unicast, from one daemon to another through our reflector.

use std::time::Duration;

use super::OUR_AS;
use crate::Scenario;
use crate::lab::{Lab, eventually, holds};
use crate::ours::{PeerEntry, Reflector};
use crate::peer::{Daemon, Kind, Neighbor, SOON, Setup};

pub(super) fn scenarios() -> Vec<Scenario> {
    let gobgp = |name: &str, play: fn(&Lab)| Scenario::new(name, play).with(Kind::GoBgp);
    vec![
        gobgp("vpn_evpn_and_flowspec_routes_between_two_gobgp", |lab| between(lab, Kind::GoBgp)),
        gobgp("vpn_and_evpn_routes_from_gobgp_to_frr", |lab| between(lab, Kind::Frr)).with(Kind::Frr),
        gobgp("gobgp_is_sent_the_vpn_routes_of_its_route_targets", route_targets),
        Scenario::new("vpn_routes_between_two_frr", vpn_of_frr).with(Kind::Frr),
        Scenario::new("flowspec_rules_between_two_bird", flows_of_bird).with(Kind::Bird),
    ]
}

/// A route: its family here and at GoBGP, what adds it there, and how its text begins there and at FRR.
struct Sample {
    family: &'static str,
    short: &'static str,
    add: &'static str,
    shown: &'static str,
    frr: Option<(&'static str, &'static str)>,
}

const SAMPLES: [Sample; 4] = [
    Sample {
        family: "ipv4-vpn",
        short: "vpnv4",
        add: "10.66.1.0/24 label 100 rd 65000:1 rt 65000:100",
        shown: "65000:1:10.66.1.0/24",
        frr: Some(("show bgp ipv4 vpn", "10.66.1.0/24")),
    },
    Sample {
        family: "l2vpn-evpn",
        short: "evpn",
        add: "macadv aa:bb:cc:dd:ee:04 10.66.2.4 etag 1000 label 1000 rd 65000:2 rt 65000:200 encap vxlan",
        shown: "aa:bb:cc:dd:ee:04",
        frr: Some(("show bgp l2vpn evpn", "aa:bb:cc:dd:ee:04")),
    },
    Sample {
        family: "l2vpn-evpn",
        short: "evpn",
        add: "multicast 10.66.2.5 etag 1000 rd 65000:2 rt 65000:200 encap vxlan",
        shown: "10.66.2.5",
        frr: Some(("show bgp l2vpn evpn", "10.66.2.5")),
    },
    Sample {
        family: "ipv4-flowspec",
        short: "ipv4-flowspec",
        add: "match destination 10.66.3.0/24 protocol tcp destination-port ==80 then rate-limit 10000",
        shown: "10.66.3.0/24",
        frr: None,
    },
];

fn gobgp(daemon: &dyn Daemon, verb: &str, sample: &Sample) {
    let mut line = vec!["global", "rib", "-a", sample.short, verb];
    line.extend(sample.add.split(' '));
    daemon.ask(&line).unwrap_or_else(|error| panic!("{error}"));
}

fn shows(daemon: &dyn Daemon, kind: Kind, sample: &Sample) -> Result<bool, String> {
    if let (Kind::Frr, Some((question, shown))) = (kind, sample.frr) {
        return Ok(daemon.ask(&[question])?.contains(shown));
    }
    match daemon.ask(&["global", "rib", "-a", sample.short]) {
        Ok(text) => Ok(text.contains(sample.shown)),
        Err(error) => Err(error),
    }
}

/// What one client originates in each family reaches the other, and goes again.
fn between(lab: &Lab, kind: Kind) {
    let (ours, source, sink) = (lab.node("rr", 1), lab.node("source", 2), lab.node("sink", 3));
    let samples: Vec<&Sample> =
        SAMPLES.iter().filter(|sample| kind == Kind::GoBgp || sample.frr.is_some()).collect();
    let mut families: Vec<&'static str> = samples.iter().map(|sample| sample.family).collect();
    families.dedup();
    let entries =
        [&source, &sink].map(|node| PeerEntry::new(node.v4(), OUR_AS).client().passive().families(&families));
    let reflector = Reflector::start(lab, &ours, OUR_AS, &entries, "");
    let setup = || Setup::new(OUR_AS, vec![Neighbor::active(ours.v4(), OUR_AS)], &[]).families(&families);
    let from = Kind::GoBgp.start(lab, &source, setup());
    let to = kind.start(lab, &sink, setup());
    reflector.comes_up_with(source.v4());
    reflector.comes_up_with(sink.v4());
    for sample in &samples {
        gobgp(&*from, "add", sample);
        eventually(&format!("{} arrives", sample.shown), SOON, || match shows(&*to, kind, sample)? {
            true => Ok(()),
            false => Err("not there".to_owned()),
        });
    }
    for sample in &samples {
        gobgp(&*from, "del", sample);
        eventually(&format!("{} goes", sample.shown), SOON, || match shows(&*to, kind, sample)? {
            true => Err("there still".to_owned()),
            false => Ok(()),
        });
    }
    for node in [&source, &sink] {
        let peer = reflector.established(node.v4().into()).expect("all of it in one session");
        assert_eq!(peer["established"], 1, "all of it in one session: {peer}");
    }
}

/// A client that says which route targets it imports is sent those routes and no others (RFC 4684).
fn route_targets(lab: &Lab) {
    const FAMILIES: [&str; 2] = ["ipv4-vpn", "route-target"];
    let (ours, source, sink) = (lab.node("rr", 1), lab.node("source", 2), lab.node("sink", 3));
    let entries =
        [&source, &sink].map(|node| PeerEntry::new(node.v4(), OUR_AS).client().passive().families(&FAMILIES));
    let reflector = Reflector::start(lab, &ours, OUR_AS, &entries, "");
    let setup = || Setup::new(OUR_AS, vec![Neighbor::active(ours.v4(), OUR_AS)], &[]).families(&FAMILIES);
    let from = Kind::GoBgp.start(lab, &source, setup());
    let to = Kind::GoBgp.start(lab, &sink, setup());
    let vrf = |words: &str| {
        to.ask(&words.split(' ').collect::<Vec<_>>()).unwrap_or_else(|error| panic!("{error}"));
    };
    vrf("vrf add blue rd 65000:9 rt both 65000:100");
    reflector.comes_up_with(source.v4());
    reflector.comes_up_with(sink.v4());
    let route = |rt: &str, third: u8| {
        format!("global rib -a vpnv4 add 10.66.{third}.0/24 label 100 rd 65000:1 rt {rt}")
    };
    for line in [route("65000:100", 1), route("65000:999", 2)] {
        from.ask(&line.split(' ').collect::<Vec<_>>()).unwrap_or_else(|error| panic!("{error}"));
    }
    let has = |prefix: &str| Ok::<bool, String>(to.ask(&["global", "rib", "-a", "vpnv4"])?.contains(prefix));
    eventually("the route of the target arrives", SOON, || {
        if has("10.66.1.0/24")? {
            return Ok(());
        }
        let memberships = to.ask(&["global", "rib", "-a", "rtc"]);
        Err(format!("the memberships are {memberships:?}, our table {:?}", reflector.routes()))
    });
    holds("the route of another target does not", Duration::from_secs(2), || {
        if has("10.66.2.0/24")? { Err("it is there".to_owned()) } else { Ok(()) }
    });
    vrf("vrf add red rd 65000:8 rt both 65000:999");
    eventually("it arrives once it is asked for", SOON, || {
        if has("10.66.2.0/24")? { Ok(()) } else { Err("not there".to_owned()) }
    });
}

/// Two daemons of a kind as clients of our reflector, with one more family.
fn pair<'a>(
    lab: &'a Lab,
    kind: Kind,
    family: &'static str,
    networks: &[&str],
) -> (Reflector<'a>, [Box<dyn Daemon + 'a>; 2]) {
    let (ours, nodes) = (lab.node("rr", 1), [lab.node("source", 2), lab.node("sink", 3)]);
    let entries = (nodes.each_ref())
        .map(|node| PeerEntry::new(node.v4(), OUR_AS).client().passive().families(&[family]));
    let reflector = Reflector::start(lab, &ours, OUR_AS, &entries, "");
    let daemons = [(&nodes[0], networks), (&nodes[1], &[])].map(|(node, networks)| {
        let to_us = vec![Neighbor::active(ours.v4(), OUR_AS)];
        kind.start(lab, node, Setup::new(OUR_AS, to_us, networks).families(&[family]))
    });
    nodes.iter().for_each(|node| drop(reflector.comes_up_with(node.v4())));
    (reflector, daemons)
}

/// A VPN route with its distinguisher and label goes from FRR to FRR and is withdrawn.
fn vpn_of_frr(lab: &Lab) {
    let (_reflector, [source, sink]) = pair(lab, Kind::Frr, "ipv4-vpn", &[]);
    let say = |no: &str| {
        let line = format!("{no}network 10.66.1.0/24 rd 65000:1 label 100");
        source
            .ask(&["configure terminal", "router bgp 65000", "address-family ipv4 vpn", &line])
            .unwrap_or_else(|error| panic!("{error}"));
    };
    let shown = || sink.ask(&["show bgp ipv4 vpn 10.66.1.0/24"]);
    say("");
    eventually("the route arrives", SOON, || {
        let text = shown()?;
        let words = ["65000:1", "10.9.0.2", "Originator: 10.9.0.2", "Remote label: 100"];
        words
            .iter()
            .try_for_each(|word| if text.contains(word) { Ok(()) } else { Err(format!("{word}: {text}")) })
    });
    say("no ");
    eventually("the route goes", SOON, || match shown()? {
        text if text.contains("10.9.0.2") => Err(text),
        _ => Ok(()),
    });
}

/// Rules for both directions of a service go from BIRD to BIRD, with all their components, and one is withdrawn.
fn flows_of_bird(lab: &Lab) {
    const FIRST: &str = "flow4 { dst 10.66.3.0/24; proto = 6; dport 80,443; }";
    const SECOND: &str = "flow4 { dst 10.66.3.0/24; src 192.0.2.0/24; proto = 17; length 40..100; }";
    let (_reflector, [mut source, sink]) = pair(lab, Kind::Bird, "ipv4-flowspec", &[FIRST, SECOND]);
    let shown = || sink.ask(&["show", "route", "table", "flows", "all"]);
    let words = [
        "dst 10.66.3.0/24",
        "dport 80,443",
        "proto 6",
        "src 192.0.2.0/24",
        "proto 17",
        "BGP.originator_id: 10.9.0.2",
    ];
    eventually("both rules arrive", SOON, || {
        let text = shown()?;
        words
            .iter()
            .try_for_each(|word| if text.contains(word) { Ok(()) } else { Err(format!("{word}: {text}")) })
    });
    source.withdraw(SECOND);
    eventually("one of them goes", SOON, || match shown()? {
        text if text.contains("192.0.2.0/24") || !text.contains("dport") => Err(text),
        _ => Ok(()),
    });
}
