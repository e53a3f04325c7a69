//! GoBGP: neighbours by file, routes and questions through `gobgp`.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::{Daemon, HOLD_TIME, RESTART_TIME, Route, Site, family};
use crate::lab::{Process, Spawn, eventually};

/// Path attribute codes in GoBGP's JSON.
const AS_PATH: u64 = 2;
const NEXT_HOP: u64 = 3;
const ORIGINATOR_ID: u64 = 9;
const CLUSTER_LIST: u64 = 10;
const MP_REACH_NLRI: u64 = 14;

pub(super) struct GoBgp<'a> {
    site: Site<'a>,
    process: Arc<Process>,
}

impl<'a> GoBgp<'a> {
    pub(super) fn start(site: Site<'a>) -> Self {
        let process = launch(&site, false);
        let gobgp = Self { site, process };
        gobgp.fill();
        gobgp
    }

    /// GoBGP has no routes in its file: they are added once it answers.
    fn fill(&self) {
        eventually("gobgpd answers", Duration::from_secs(15), || self.ask(&["global"]));
        for prefix in &self.site.setup.networks {
            self.add(prefix);
        }
    }

    fn add(&self, prefix: &str) {
        let next_hop = self.site.node.address_for(prefix);
        self.ask(&["global", "rib", "add", prefix, "nexthop", &next_hop, "-a", family(prefix)])
            .unwrap_or_else(|error| panic!("{error}"));
    }

    fn ask(&self, command: &[&str]) -> Result<String, String> {
        let mut line = vec!["gobgp"];
        line.extend_from_slice(command);
        self.site.lab.run(&self.site.node, &line)
    }

    fn json(&self, command: &[&str]) -> Result<Value, String> {
        let mut line = vec!["-j"];
        line.extend_from_slice(command);
        let text = self.ask(&line)?;
        serde_json::from_str(&text).map_err(|error| format!("{command:?}: {error}: {text}"))
    }
}

impl Daemon for GoBgp<'_> {
    fn route(&self, prefix: &str) -> Result<Option<Route>, String> {
        let answer = match self.json(&["global", "rib", prefix, "-a", family(prefix)]) {
            Err(error) if error.contains("not in table") => return Ok(None),
            answer => answer?,
        };
        let Some(path) = answer[prefix].as_array().and_then(|paths| paths.first()) else { return Ok(None) };
        let mut route = Route::default();
        for attribute in path["attrs"].as_array().into_iter().flatten() {
            let value = &attribute["value"];
            match attribute["type"].as_u64() {
                Some(AS_PATH) => {
                    let segments = attribute["as_paths"].as_array().into_iter().flatten();
                    let asns = segments.flat_map(|segment| segment["asns"].as_array().into_iter().flatten());
                    route.as_path = asns.filter_map(|asn| asn.as_u64()?.try_into().ok()).collect();
                }
                Some(NEXT_HOP | MP_REACH_NLRI) => {
                    route.next_hop = attribute["nexthop"].as_str().unwrap_or_default().to_owned();
                }
                Some(ORIGINATOR_ID) => route.originator = value.as_str().map(str::to_owned),
                Some(CLUSTER_LIST) => {
                    let ids = value.as_array().into_iter().flatten();
                    route.clusters = ids.filter_map(|id| id.as_str().map(str::to_owned)).collect();
                }
                _ => {}
            }
        }
        Ok(Some(route))
    }

    fn next_hops(&self, prefix: &str) -> Result<Vec<String>, String> {
        let answer = match self.json(&["global", "rib", prefix, "-a", family(prefix)]) {
            Err(error) if error.contains("not in table") => return Ok(Vec::new()),
            answer => answer?,
        };
        let paths = answer[prefix].as_array().into_iter().flatten();
        let attributes = paths.flat_map(|path| path["attrs"].as_array().into_iter().flatten());
        let hops = attributes.filter(|a| matches!(a["type"].as_u64(), Some(NEXT_HOP | MP_REACH_NLRI)));
        Ok(hops.filter_map(|attribute| attribute["nexthop"].as_str().map(str::to_owned)).collect())
    }

    fn ask(&self, command: &[&str]) -> Result<String, String> {
        GoBgp::ask(self, command)
    }

    fn established(&self, neighbor: IpAddr) -> Result<(), String> {
        const ESTABLISHED: u64 = 6;
        let answer = self.json(&["neighbor", &neighbor.to_string()])?;
        let state = &answer["state"]["session_state"];
        if state.as_u64() == Some(ESTABLISHED) { Ok(()) } else { Err(format!("session state {state}")) }
    }

    fn announce(&mut self, prefix: &str) {
        self.site.originate(prefix);
        self.add(prefix);
    }

    fn withdraw(&mut self, prefix: &str) {
        self.site.cease(prefix);
        self.ask(&["global", "rib", "del", prefix, "-a", family(prefix)])
            .unwrap_or_else(|error| panic!("{error}"));
    }

    fn lose(&mut self, prefix: &str) {
        self.site.cease(prefix);
    }

    fn kill(&mut self) {
        self.process.kill();
    }

    fn restart(&mut self) {
        self.process = launch(&self.site, self.site.setup.graceful);
        self.fill();
    }
}

fn launch(site: &Site<'_>, restarted: bool) -> Arc<Process> {
    let config = site.lab.write(&site.node, "gobgp.toml", &configuration(site)).display().to_string();
    let mut line = vec!["gobgpd", "-f", &config, "--api-hosts", "127.0.0.1:50051", "--pprof-disable"];
    line.extend(restarted.then_some("-r"));
    site.lab.spawn(&site.node, &Spawn::new(&line).without_root())
}

fn configuration(site: &Site<'_>) -> String {
    let (local, setup) = (site.node.v4(), &site.setup);
    let mut text = format!(
        "[global.config]\nas = {}\nrouter-id = \"{local}\"\nlocal-address-list = [\"{local}\", \"{}\"]\n",
        setup.asn,
        site.node.v6(),
    );
    for neighbor in &setup.neighbors {
        let _ = write!(
            text,
            "[[neighbors]]\n[neighbors.config]\nneighbor-address = \"{}\"\npeer-as = {}\n\
             [neighbors.timers.config]\nconnect-retry = 2\nhold-time = {HOLD_TIME}\nkeepalive-interval = {}\n\
             idle-hold-time-after-reset = 2\n[neighbors.transport.config]\nlocal-address = \"{}\"\n",
            neighbor.address,
            neighbor.asn,
            HOLD_TIME / 3,
            site.local(neighbor.address),
        );
        if neighbor.passive {
            text.push_str("passive-mode = true\n");
        }
        if neighbor.client {
            let _ = write!(
                text,
                "[neighbors.route-reflector.config]\nroute-reflector-client = true\n\
                 route-reflector-cluster-id = \"{local}\"\n"
            );
        }
        if setup.graceful {
            let _ = write!(
                text,
                "[neighbors.graceful-restart.config]\nenabled = true\nrestart-time = {RESTART_TIME}\n\
                 deferral-time = 5\n"
            );
        }
        let others = setup.families.iter().map(|family| match *family {
            "ipv4-vpn" => "l3vpn-ipv4-unicast",
            "route-target" => "rtc",
            same => same,
        });
        for family in ["ipv4-unicast", "ipv6-unicast"].into_iter().chain(others) {
            let _ = write!(
                text,
                "[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"{family}\"\n"
            );
            if setup.graceful {
                text.push_str("[neighbors.afi-safis.mp-graceful-restart.config]\nenabled = true\n");
            }
            if setup.add_path {
                text.push_str("[neighbors.afi-safis.add-paths.config]\nreceive = true\nsend-max = 8\n");
            }
        }
    }
    text
}
