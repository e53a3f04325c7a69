//! FRR: `bgpd` alone, or with `zebra` where the kernel matters; asked and changed through `vtysh`.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::{Daemon, HOLD_TIME, RESTART_TIME, Route, Site, as_path, family};
use crate::lab::{Process, Spawn, eventually, output};

pub(super) struct Frr<'a> {
    site: Site<'a>,
    dir: PathBuf,
    process: Arc<Process>,
    zebra: Option<Arc<Process>>,
}

impl<'a> Frr<'a> {
    pub(super) fn start(site: Site<'a>) -> Self {
        let dir = site.lab.subdir(&site.node, "frr");
        let zebra = site.setup.kernel.then(|| launch_zebra(&site, &dir));
        let process = launch(&site, &dir);
        let frr = Self { site, dir, process, zebra };
        frr.wait_ready();
        frr
    }

    fn wait_ready(&self) {
        eventually("bgpd answers", Duration::from_secs(15), || self.ask(&["show bgp summary json"]));
    }

    fn ask(&self, commands: &[&str]) -> Result<String, String> {
        let dir = self.dir.display().to_string();
        let mut line = vec!["vtysh", "--vty_socket", &dir, "-d", "bgpd"];
        for command in commands {
            line.extend_from_slice(&["-c", command]);
        }
        output(&line)
    }

    fn json(&self, command: &str) -> Result<Value, String> {
        let text = self.ask(&[command])?;
        serde_json::from_str(&text).map_err(|error| format!("`{command}`: {error}: {text}"))
    }

    fn network(&self, prefix: &str, no: &str) {
        let enter = format!("router bgp {}", self.site.setup.asn);
        let family = format!("address-family {} unicast", family(prefix));
        let network = format!("{no}network {prefix}");
        self.ask(&["configure terminal", &enter, &family, &network])
            .unwrap_or_else(|error| panic!("{error}"));
    }
}

impl Daemon for Frr<'_> {
    fn route(&self, prefix: &str) -> Result<Option<Route>, String> {
        let answer = self.json(&format!("show bgp {} unicast {prefix} json", family(prefix)))?;
        let Some(path) = answer["paths"].as_array().and_then(|paths| paths.first()) else { return Ok(None) };
        if answer["prefix"] != prefix {
            return Ok(None);
        }
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let clusters = path["clusterList"]["list"].as_array();
        Ok(Some(Route {
            next_hop: text(&path["nexthops"][0]["ip"]).unwrap_or_default(),
            as_path: as_path(path["aspath"]["string"].as_str().unwrap_or_default()),
            originator: text(&path["originatorId"]),
            clusters: clusters.map(|list| list.iter().filter_map(text).collect()).unwrap_or_default(),
        }))
    }

    fn next_hops(&self, prefix: &str) -> Result<Vec<String>, String> {
        let answer = self.json(&format!("show bgp {} unicast {prefix} json", family(prefix)))?;
        let paths = answer["paths"].as_array().into_iter().flatten();
        Ok(paths.filter_map(|path| path["nexthops"][0]["ip"].as_str().map(str::to_owned)).collect())
    }

    fn ask(&self, command: &[&str]) -> Result<String, String> {
        Frr::ask(self, command)
    }

    fn established(&self, neighbor: IpAddr) -> Result<(), String> {
        let answer = self.json(&format!("show bgp neighbors {neighbor} json"))?;
        let state = &answer[neighbor.to_string()]["bgpState"];
        if state == "Established" { Ok(()) } else { Err(format!("state {state}")) }
    }

    fn announce(&mut self, prefix: &str) {
        self.site.originate(prefix);
        self.network(prefix, "");
    }

    fn withdraw(&mut self, prefix: &str) {
        self.site.cease(prefix);
        self.network(prefix, "no ");
    }

    fn lose(&mut self, prefix: &str) {
        self.site.cease(prefix);
    }

    fn kill(&mut self) {
        self.process.kill();
    }

    fn restart(&mut self) {
        if let Some(zebra) = &self.zebra {
            assert!(zebra.is_running(), "zebra outlives bgpd");
        }
        self.process = launch(&self.site, &self.dir);
        self.wait_ready();
    }
}

/// Starts `bgpd`; `-Z` leaves out zebra, `--no_kernel` leaves out bgpd's own kernel business.
fn launch(site: &Site<'_>, dir: &std::path::Path) -> Arc<Process> {
    let config = site.lab.write(&site.node, "frr.conf", &configuration(site)).display().to_string();
    let (pid, vty, zserv) = (
        dir.join("bgpd.pid").display().to_string(),
        dir.display().to_string(),
        dir.join("zserv.api").display().to_string(),
    );
    let [local, local6] = site.node.addresses().map(|address| address.to_string());
    let mut line = vec!["/usr/lib/frr/bgpd", "-S", "--log", "stdout", "-f", &config, "-i", &pid];
    line.extend_from_slice(&["--vty_socket", &vty, "-P", "0", "-l", &local, "-l", &local6]);
    if site.setup.kernel {
        line.extend_from_slice(&["-z", &zserv]);
        return site.lab.spawn(&site.node, &Spawn::new(&line));
    }
    line.extend_from_slice(&["-Z", "--no_kernel"]);
    site.lab.spawn(&site.node, &Spawn::new(&line).without_root())
}

/// Starts `zebra`, which insists on giving up root for its own user and on a directory of that user.
fn launch_zebra(site: &Site<'_>, dir: &std::path::Path) -> Arc<Process> {
    let config = site.lab.write(&site.node, "zebra.conf", "log stdout\n").display().to_string();
    let vty = dir.display().to_string();
    output(&["chown", "frr:frr", &vty]).unwrap_or_else(|error| panic!("{error}"));
    let (pid, zserv) =
        (dir.join("zebra.pid").display().to_string(), dir.join("zserv.api").display().to_string());
    let line =
        ["/usr/lib/frr/zebra", "-f", &config, "-i", &pid, "-z", &zserv, "--vty_socket", &vty, "-P", "0"];
    let zebra = site.lab.spawn(&site.node, &Spawn::new(&line));
    eventually("zebra listens", Duration::from_secs(10), || {
        if dir.join("zserv.api").exists() { Ok(()) } else { Err("no socket yet".to_owned()) }
    });
    zebra
}

fn configuration(site: &Site<'_>) -> String {
    let (local, setup) = (site.node.v4(), &site.setup);
    let mut text = format!(
        "log stdout\nrouter bgp {asn}\n bgp router-id {local}\n no bgp ebgp-requires-policy\n \
         no bgp default ipv4-unicast\n no bgp network import-check\n timers bgp {keepalive} {HOLD_TIME}\n \
         bgp cluster-id {local}\n",
        asn = setup.asn,
        keepalive = HOLD_TIME / 3,
    );
    if setup.graceful {
        let _ = write!(
            text,
            " bgp graceful-restart\n bgp graceful-restart restart-time {RESTART_TIME}\n \
             bgp graceful-restart preserve-fw-state\n bgp graceful-restart select-defer-time 5\n"
        );
    } else {
        text.push_str(" bgp graceful-restart-disable\n");
    }
    if setup.spread {
        text.push_str(" bgp bestpath as-path multipath-relax\n");
    }
    for neighbor in &setup.neighbors {
        let _ = writeln!(text, " neighbor {} remote-as {}", neighbor.address, neighbor.asn);
        let _ = writeln!(text, " neighbor {} advertisement-interval 0", neighbor.address);
        let _ = writeln!(text, " neighbor {} timers connect 2", neighbor.address);
        if neighbor.passive {
            let _ = writeln!(text, " neighbor {} passive", neighbor.address);
        }
    }
    for (family, v6) in [("ipv4", false), ("ipv6", true)] {
        let _ = writeln!(text, " address-family {family} unicast");
        for prefix in setup.networks_of(v6) {
            let _ = writeln!(text, "  network {prefix}");
        }
        for neighbor in &setup.neighbors {
            let _ = writeln!(text, "  neighbor {} activate", neighbor.address);
            if neighbor.client {
                let _ = writeln!(text, "  neighbor {} route-reflector-client", neighbor.address);
            }
            if setup.add_path {
                let _ = writeln!(text, "  neighbor {} addpath-tx-all-paths", neighbor.address);
            }
            // Without zebra bgpd does not know its own IPv6 address and would send a mapped IPv4 one.
            if v6 && !setup.kernel {
                let _ = writeln!(text, "  neighbor {} route-map OWN out", neighbor.address);
            }
        }
        let _ = writeln!(text, " exit-address-family");
    }
    for family in &setup.families {
        let name = match *family {
            "ipv4-vpn" => "ipv4 vpn",
            "l2vpn-evpn" => "l2vpn evpn",
            "ipv4-flowspec" => "ipv4 flowspec",
            // FRR 8.4 has no route target constraint.
            other => panic!("FRR has no {other}"),
        };
        let _ = writeln!(text, " address-family {name}");
        for neighbor in &setup.neighbors {
            let _ = writeln!(text, "  neighbor {} activate", neighbor.address);
        }
        let _ = writeln!(text, " exit-address-family");
    }
    // Reflected routes keep their next hop: FRR lets no policy change them on the way out.
    let _ = write!(text, "exit\nroute-map OWN permit 10\n set ipv6 next-hop global {}\n", site.node.v6());
    text
}
