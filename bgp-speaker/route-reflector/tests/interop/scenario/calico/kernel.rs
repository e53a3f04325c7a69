//! What is learned from the kernel and told, and what is heard and written there.

use std::time::{Duration, Instant};

use super::{bird, head, neighbor, on_socket, told};
use crate::Scenario;
use crate::lab::{Lab, eventually, holds, ip, kernel_routes};
use crate::ours::{Agent, PROTOCOL, Reflector, kernel_keys};
use crate::peer::{CALICO_PREFERENCE, HOLD_TIME, Kind, Neighbor, SOON, Setup};
use crate::scenario::{OUR_AS, THEIR_AS};

/// Longest time until a route that leaves the kernel is withdrawn, the looks at it included: a workload that has moved is in nobody's way.
const PROMPT: Duration = Duration::from_secs(2);

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        bird("workloads_of_the_kernel_and_ignored_interfaces", workloads),
        bird("cluster_routes_and_services", cluster_routes),
        bird("pools_say_how_packets_travel", pools),
    ]
}

/// The export filter of Calico, step by step: what the user accepts, our block, what moves, nothing else of the block, the pools.
const PIPELINE: &str = r#"
[learn]
protocols = [80]
interfaces = ["cali*"]
ignored-interfaces = ["cali-test*"]
[[aggregate]]
prefix = "10.65.1.0/26"
always = true
discard = "blackhole"
[[policy]]
name = "pipeline"
default = "reject"
[[policy.rule]]
match = { prefix = ["10.65.0.0/16 orlonger"] }
set = { local-pref-from-metric = 1024 }
then = "continue"
[[policy.rule]]
match = { prefix = ["10.65.1.9/32"], interface = ["cali1*"] }
then = "accept"
[[policy.rule]]
match = { prefix = ["10.65.1.0/26"] }
then = "accept"
[[policy.rule]]
match = { prefix = ["10.65.1.0/26 longer"], metric = "0-1023" }
then = "accept"
[[policy.rule]]
match = { prefix = ["10.65.1.0/26 longer"] }
then = "reject"
[[policy.rule]]
match = { prefix = ["10.65.0.0/16 orlonger"] }
then = "accept"
"#;

/// Felix's routes: those of the block stay inside it but for one that moves and one that the user accepts; a borrowed one is
/// told, and withdrawn at once; those of ignored interfaces are not there.
fn workloads(lab: &Lab) {
    let (ours, theirs) = (lab.node("ours", 1), lab.node("theirs", 2));
    let device = |name: &&str| {
        ip(&["-n", &ours.ns, "link", "add", name, "type", "bridge"]);
        ip(&["-n", &ours.ns, "link", "set", name, "up"]);
    };
    ["cali1", "cali2", "cali-test", "other0"].iter().for_each(device);
    let route = |verb: &str, prefix: &str, device: &str, metric: &str| {
        let line = ["-n", &ours.ns, "route", verb, prefix, "dev", device, "proto", "80", "metric", metric];
        ip(&line);
    };
    for (prefix, device, metric) in [
        ("10.65.1.5/32", "cali1", "1024"),
        ("10.65.1.9/32", "cali1", "1024"),
        ("10.65.1.10/32", "cali2", "1024"),
        ("10.65.9.7/32", "cali1", "1024"),
        ("10.65.9.8/32", "cali-test", "1024"),
        ("10.65.9.9/32", "other0", "1024"),
    ] {
        route("add", prefix, device, metric);
    }
    let peer = neighbor(theirs.v4(), OUR_AS, "").replace("export = \"accept\"", "export = \"pipeline\"");
    let text = [head(lab, &ours), PIPELINE.to_owned(), peer];
    let reflector = Reflector::start_with(lab, &ours, &text.concat());
    let to_us = vec![Neighbor::active(ours.v4(), OUR_AS)];
    let daemon = Kind::Bird.start(lab, &theirs, Setup::new(OUR_AS, to_us, &[]));
    reflector.comes_up_with(theirs.v4());

    for prefix in ["10.65.1.0/26", "10.65.9.7/32"] {
        let shown = told(&*daemon, prefix);
        assert!(shown.contains(&format!("BGP.local_pref: {CALICO_PREFERENCE}")), "{shown}");
    }
    daemon.learns("10.65.1.9/32");
    let inside = ["10.65.1.5/32", "10.65.1.10/32", "10.65.9.8/32", "10.65.9.9/32"];
    holds("nothing else is told", PROMPT, || match inside.iter().find(|p| daemon.route(p) != Ok(None)) {
        Some(prefix) => Err((*prefix).to_owned()),
        None => Ok(()),
    });
    // While it moves it has a smaller metric.
    route("add", "10.65.1.11/32", "cali1", "512");
    let shown = told(&*daemon, "10.65.1.11/32");
    assert!(shown.contains("BGP.local_pref: 2147483135"), "{shown}");

    let gone = Instant::now();
    route("del", "10.65.9.7/32", "cali1", "1024");
    daemon.forgets("10.65.9.7/32");
    assert!(gone.elapsed() < PROMPT, "a borrowed address is withdrawn after {:?}", gone.elapsed());
}

/// A reflector's own node: pools that others program and services stay out of its kernel, LOCAL_PREF becomes the metric;
/// and to the fabric go addresses of load balancers, not those of the cluster.
fn cluster_routes(lab: &Lab) {
    const POLICIES: &str = r#"
[[policy]]
name = "kernel"
default = "reject"
[[policy.rule]]
match = { prefix = ["10.96.0.0/12 orlonger", "10.66.0.0/16 orlonger", "192.0.2.0/24 orlonger"] }
then = "reject"
[[policy.rule]]
set = { metric-from-local-pref = true }
then = "accept"
[[policy]]
name = "fabric"
default = "reject"
[[policy.rule]]
match = { prefix = ["192.0.2.0/24 orlonger", "10.65.0.0/16 orlonger"] }
then = "accept"
"#;
    let [ours, theirs, tor] = [("ours", 1), ("theirs", 2), ("tor", 51)].map(|(name, n)| lab.node(name, n));
    let keys = kernel_keys().replace("{ protocol", "{ policy = \"kernel\", protocol");
    let fabric = neighbor(tor.v4(), THEIR_AS, "").replace("export = \"accept\"", "export = \"fabric\"");
    let text = format!(
        "asn = {OUR_AS}\nrouter-id = \"{v4}\"\nlisten = \"0.0.0.0:179\"\nhold-time = {HOLD_TIME}\n\
         cluster-id = \"{v4}\"\n{keys}{POLICIES}{client}{fabric}",
        v4 = ours.v4(),
        client = neighbor(theirs.v4(), OUR_AS, "route-reflector-client = true"),
    );
    let reflector = Reflector::start_with(lab, &ours, &on_socket(lab, &ours, &text));
    let own = format!("if source != RTS_STATIC then reject; bgp_local_pref = {CALICO_PREFERENCE}; accept;");
    let to_us = vec![Neighbor::active(ours.v4(), OUR_AS).filter(&own)];
    let networks = ["10.65.2.0/26", "10.66.2.0/26", "10.96.0.0/12", "192.0.2.7/32"];
    let theirs_daemon = Kind::Bird.start(lab, &theirs, Setup::new(OUR_AS, to_us, &networks));
    let to_us = vec![Neighbor::active(ours.v4(), OUR_AS)];
    let tors = Kind::Bird.start(lab, &tor, Setup::new(THEIR_AS, to_us, &["198.51.100.0/24"]));
    reflector.comes_up_with(theirs.v4());
    reflector.comes_up_with(tor.v4());

    eventually("the kernel has the one pool and the fabric, by their preferences", SOON, || {
        let routes = reflector.kernel()?;
        let mut found: Vec<(String, u64)> = routes
            .iter()
            .map(|route| {
                (route["dst"].as_str().unwrap_or_default().to_owned(), route["metric"].as_u64().unwrap_or(0))
            })
            .collect();
        found.sort_unstable();
        // That of a route of the usual LOCAL_PREF, 100, is far behind.
        let wanted = [("10.65.2.0/26".to_owned(), 1024), ("198.51.100.0/24".to_owned(), 2_147_483_547)];
        if found == wanted { Ok(()) } else { Err(format!("{found:?}")) }
    });
    for told in ["10.65.2.0/26", "192.0.2.7"] {
        let prefix = if told.contains('/') { told.to_owned() } else { format!("{told}/32") };
        assert_eq!(tors.learns(&prefix).as_path, [OUR_AS]);
    }
    for kept in ["10.96.0.0/12", "10.66.2.0/26"] {
        assert_eq!(tors.route(kept), Ok(None), "{kept} stays inside");
    }
    theirs_daemon.learns("198.51.100.0/24");
}

/// IPIP always and where subnets differ, and none: over the tunnel's device the gateway is the next hop itself.
fn pools(lab: &Lab) {
    const FAR: &str = "10.10.0.5";
    let (ours, theirs) = (lab.node("ours", 1), lab.node("theirs", 2));
    // Any device will do for what is written.
    ip(&["-n", &ours.ns, "link", "add", "tunl0", "type", "bridge"]);
    ip(&["-n", &ours.ns, "link", "set", "tunl0", "up"]);
    ip(&["-n", &ours.ns, "route", "add", "10.10.0.0/24", "via", &theirs.v4().to_string()]);
    let cluster = format!(
        "asn = {OUR_AS}\n[mesh]\ndialer = \"calico-string\"\npriority = 1024\nhold-time = {HOLD_TIME}\n\
         [[node]]\nname = \"ours\"\naddresses = [\"{}/24\"]\nblocks = [\"10.65.1.0/26\"]\n\
         [[node]]\nname = \"theirs\"\naddresses = [\"{}/24\"]\n\
         [[pool]]\nprefix = \"10.65.0.0/16\"\n\
         [[pool]]\nprefix = \"10.66.0.0/16\"\nencapsulation = \"ipip\"\ndevice = \"tunl0\"\n\
         [[pool]]\nprefix = \"10.67.0.0/16\"\nencapsulation = \"ipip-cross-subnet\"\ndevice = \"tunl0\"\n",
        ours.v4(),
        theirs.v4()
    );
    let _agent = Agent::described(lab, &ours, &cluster);
    let far = format!(
        "if source != RTS_STATIC then reject; if net ~ 10.67.3.0/24 then bgp_next_hop = {FAR}; \
         bgp_local_pref = {CALICO_PREFERENCE}; accept;"
    );
    let to_us = vec![Neighbor::active(ours.v4(), OUR_AS).filter(&far)];
    let networks = ["10.65.2.0/26", "10.66.2.0/26", "10.67.2.0/26", "10.67.3.0/26"];
    let daemon = Kind::Bird.start(lab, &theirs, Setup::new(OUR_AS, to_us, &networks));
    let shown = told(&*daemon, "10.65.1.0/26");
    assert!(shown.contains(&format!("BGP.local_pref: {CALICO_PREFERENCE}")), "{shown}");
    let near = theirs.v4().to_string();
    let wanted = [
        ("10.65.2.0/26", near.as_str(), "eth0", false),
        ("10.66.2.0/26", &near, "tunl0", true),
        ("10.67.2.0/26", &near, "eth0", false),
        ("10.67.3.0/26", FAR, "tunl0", true),
    ];
    eventually("each route goes as its pool says", SOON, || {
        let routes = kernel_routes(&ours, 254, PROTOCOL)?;
        for (prefix, gateway, device, onlink) in wanted {
            let route = routes.iter().find(|route| route["dst"] == prefix).ok_or(format!("no {prefix}"))?;
            let flags = route["flags"].to_string();
            if route["gateway"] != gateway || route["dev"] != device || flags.contains("onlink") != onlink {
                return Err(route.to_string());
            }
        }
        Ok(())
    });
}
