//! OpenBGPD: asked and changed through `bgpctl`.

use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::{Daemon, HOLD_TIME, Route, Site, as_path, is_v6};
use crate::lab::{Process, Spawn, eventually, output};

pub(super) struct OpenBgpd<'a> {
    site: Site<'a>,
    socket: PathBuf,
    process: Arc<Process>,
}

impl<'a> OpenBgpd<'a> {
    pub(super) fn start(site: Site<'a>) -> Self {
        let socket = site.lab.path(&site.node, "obgp.sock");
        let process = launch(&site, &socket);
        let daemon = Self { site, socket, process };
        daemon.wait_ready();
        daemon
    }

    fn wait_ready(&self) {
        eventually("OpenBGPD answers", Duration::from_secs(15), || self.ask(&["show", "summary"]));
    }

    fn ask(&self, command: &[&str]) -> Result<String, String> {
        let socket = self.socket.display().to_string();
        let mut line = vec!["bgpctl", "-s", &socket];
        line.extend_from_slice(command);
        output(&line)
    }

    fn json(&self, command: &[&str]) -> Result<Value, String> {
        let mut line = vec!["-j"];
        line.extend_from_slice(command);
        let text = self.ask(&line)?;
        serde_json::from_str(&text).map_err(|error| format!("{command:?}: {error}: {text}"))
    }
}

impl Daemon for OpenBgpd<'_> {
    fn route(&self, prefix: &str) -> Result<Option<Route>, String> {
        let family = if is_v6(prefix) { "inet6" } else { "inet" };
        let answer = self.json(&["show", "rib", "detail", family])?;
        let routes = answer["rib"].as_array().into_iter().flatten();
        let Some(path) = routes.into_iter().find(|path| path["prefix"] == prefix) else { return Ok(None) };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let mut route = Route {
            next_hop: text(&path["exit_nexthop"]).unwrap_or_default(),
            as_path: as_path(path["aspath"].as_str().unwrap_or_default()),
            ..Route::default()
        };
        for attribute in path["attributes"].as_array().into_iter().flatten() {
            if let Some(id) = attribute.get("originator") {
                route.originator = text(id);
            }
            let ids = attribute["cluster_list"].as_array().into_iter().flatten();
            route.clusters.extend(ids.filter_map(text));
        }
        Ok(Some(route))
    }

    fn established(&self, neighbor: IpAddr) -> Result<(), String> {
        let answer = self.json(&["show", "neighbor", &neighbor.to_string()])?;
        let state = &answer["neighbors"][0]["state"];
        if state == "Established" { Ok(()) } else { Err(format!("state {state}")) }
    }

    fn announce(&mut self, prefix: &str) {
        self.site.originate(prefix);
        let next_hop = self.site.node.address_for(prefix);
        self.ask(&["network", "add", prefix, "nexthop", &next_hop]).unwrap_or_else(|error| panic!("{error}"));
    }

    fn withdraw(&mut self, prefix: &str) {
        self.site.cease(prefix);
        self.ask(&["network", "delete", prefix]).unwrap_or_else(|error| panic!("{error}"));
    }

    fn lose(&mut self, prefix: &str) {
        panic!("no scenario restarts it without {prefix}")
    }

    fn kill(&mut self) {
        self.process.kill();
    }

    fn restart(&mut self) {
        self.process = launch(&self.site, &self.socket);
        self.wait_ready();
    }
}

/// It needs root to start; its children give it up.
fn launch(site: &Site<'_>, socket: &Path) -> Arc<Process> {
    make_prison();
    let config = site.lab.write(&site.node, "obgp.conf", &configuration(site, socket));
    let config = config.display().to_string();
    // It refuses a file that others can read.
    output(&["chmod", "600", &config]).unwrap_or_else(|error| panic!("{error}"));
    site.lab.spawn(&site.node, &Spawn::new(&["bgpd", "-d", "-v", "-f", &config]))
}

/// The home of its user, into which its children are locked; a running service would have it made by systemd.
fn make_prison() {
    let users = fs::read_to_string("/etc/passwd").expect("every system has users");
    let user = users.lines().find(|line| line.starts_with("_openbgpd:")).expect("the package makes the user");
    let home = user.split(':').nth(5).expect("the sixth field is the home");
    fs::create_dir_all(home).expect("root may make it");
}

fn configuration(site: &Site<'_>, socket: &Path) -> String {
    let (local, setup) = (site.node.v4(), &site.setup);
    let mut text = format!(
        "AS {asn}\nrouter-id {local}\nsocket \"{socket}\"\nfib-update no\nlisten on {local}\nlisten on {local6}\n\
         nexthop qualify via default\nholdtime {HOLD_TIME}\n",
        asn = setup.asn,
        local6 = site.node.v6(),
        socket = socket.display(),
    );
    for prefix in &setup.networks {
        let _ = writeln!(text, "network {prefix} set nexthop {}", site.node.address_for(prefix));
    }
    for neighbor in &setup.neighbors {
        let _ = write!(
            text,
            "neighbor {} {{\n\tremote-as {}\n\tlocal-address {}\n\tannounce IPv4 unicast\n\
             \tannounce IPv6 unicast\n",
            neighbor.address,
            neighbor.asn,
            site.local(neighbor.address),
        );
        if neighbor.passive {
            text.push_str("\tpassive\n");
        }
        if neighbor.client {
            let _ = writeln!(text, "\troute-reflector {local}");
        }
        text.push_str("}\n");
    }
    text.push_str("allow from any\nallow to any\n");
    text
}
