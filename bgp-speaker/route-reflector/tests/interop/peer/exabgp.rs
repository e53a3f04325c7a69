//! ExaBGP: has no table. A `tail` feeds it commands, a `cat` writes down what it hears, and the table is that
//! record replayed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::{Daemon, HOLD_TIME, Route, Site};
use crate::lab::{Process, Spawn};

pub(super) struct ExaBgp<'a> {
    site: Site<'a>,
    commands: PathBuf,
    record: PathBuf,
    process: Arc<Process>,
}

/// What the record says: sessions that are up, and routes by neighbour and prefix.
#[derive(Default)]
struct Heard {
    up: Vec<String>,
    routes: BTreeMap<(String, String), Route>,
}

impl<'a> ExaBgp<'a> {
    pub(super) fn start(site: Site<'a>) -> Self {
        let dir = site.lab.subdir(&site.node, "exa");
        let (commands, record) = (dir.join("commands"), dir.join("record"));
        let process = launch(&site, &commands, &record);
        Self { site, commands, record, process }
    }

    fn command(&self, verb: &str, prefix: &str) {
        let mut file =
            OpenOptions::new().append(true).open(&self.commands).expect("the file was made at start");
        let line = format!("{verb} route {prefix} next-hop {}\n", self.site.node.address_for(prefix));
        file.write_all(line.as_bytes()).expect("the work directory is writable");
    }

    fn heard(&self) -> Result<Heard, String> {
        let text = fs::read_to_string(&self.record).map_err(|error| format!("no record: {error}"))?;
        let mut heard = Heard::default();
        // The last line may be half written.
        for line in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            heard.replay(&line);
        }
        Ok(heard)
    }
}

impl Heard {
    fn replay(&mut self, line: &Value) {
        let neighbor = &line["neighbor"];
        let Some(peer) = neighbor["address"]["peer"].as_str().map(str::to_owned) else { return };
        match line["type"].as_str() {
            Some("state") => {
                self.up.retain(|up| *up != peer);
                if neighbor["state"] == "up" {
                    self.up.push(peer);
                } else {
                    self.routes.retain(|(from, _), _| *from != peer);
                }
            }
            Some("update") => self.update(&peer, &neighbor["message"]["update"]),
            _ => {}
        }
    }

    fn update(&mut self, peer: &str, update: &Value) {
        let attributes = &update["attribute"];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let list = |value: &Value| -> Vec<Value> { value.as_array().cloned().unwrap_or_default() };
        let as_path =
            list(&attributes["as-path"]).iter().filter_map(|asn| asn.as_u64()?.try_into().ok()).collect();
        let route = Route {
            next_hop: String::new(),
            as_path,
            originator: text(&attributes["originator-id"]),
            clusters: list(&attributes["cluster-list"]).iter().filter_map(text).collect(),
        };
        for block in update["withdraw"].as_object().into_iter().flat_map(|families| families.values()) {
            for prefix in list(block).iter().filter_map(|entry| text(&entry["nlri"])) {
                self.routes.remove(&(peer.to_owned(), prefix));
            }
        }
        for block in update["announce"].as_object().into_iter().flat_map(|families| families.values()) {
            for (next_hop, entries) in block.as_object().into_iter().flatten() {
                for prefix in list(entries).iter().filter_map(|entry| text(&entry["nlri"])) {
                    let route = Route { next_hop: next_hop.clone(), ..route.clone() };
                    self.routes.insert((peer.to_owned(), prefix), route);
                }
            }
        }
    }
}

impl Daemon for ExaBgp<'_> {
    fn route(&self, prefix: &str) -> Result<Option<Route>, String> {
        let heard = self.heard()?;
        Ok(heard.routes.into_iter().find(|((_, known), _)| known == prefix).map(|(_, route)| route))
    }

    fn established(&self, neighbor: IpAddr) -> Result<(), String> {
        let up = self.heard()?.up;
        if up.contains(&neighbor.to_string()) { Ok(()) } else { Err(format!("sessions that are up: {up:?}")) }
    }

    fn announce(&mut self, prefix: &str) {
        self.site.originate(prefix);
        self.command("announce", prefix);
    }

    fn withdraw(&mut self, prefix: &str) {
        self.site.cease(prefix);
        self.command("withdraw", prefix);
    }

    fn lose(&mut self, prefix: &str) {
        panic!("no scenario restarts it without {prefix}")
    }

    fn kill(&mut self) {
        self.process.kill();
    }

    fn restart(&mut self) {
        self.process = launch(&self.site, &self.commands, &self.record);
    }
}

/// Starts it with empty records; it gives up root by itself.
fn launch(site: &Site<'_>, commands: &PathBuf, record: &PathBuf) -> Arc<Process> {
    for file in [commands, record] {
        fs::write(file, "").expect("the work directory is writable");
        fs::set_permissions(file, fs::Permissions::from_mode(0o666)).expect("the file is ours");
    }
    // The shell stays and holds its standard output open: ExaBGP takes its end for the end of the process.
    let script = format!("#!/bin/sh\ncat >> {}\n", record.display());
    let script = site.lab.write(&site.node, "record.sh", &script);
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("the file is ours");
    let mut text = format!(
        "process feeder {{ run /usr/bin/tail -n +1 -f {}; encoder text; }}\n\
         process recorder {{ run {}; encoder json; }}\n",
        commands.display(),
        script.display()
    );
    let (local, setup) = (site.node.v4(), &site.setup);
    for (number, neighbor) in setup.neighbors.iter().enumerate() {
        let passive = if neighbor.passive { "passive true; " } else { "" };
        let _ = write!(
            text,
            "neighbor {address} {{\n  router-id {local}; local-address {here}; local-as {asn}; peer-as {peer_as};\n  \
             hold-time {HOLD_TIME}; {passive}\n  \
             api feed_{number} {{ processes [ feeder ]; }}\n  \
             api listen_{number} {{ processes [ recorder ]; neighbor-changes; receive {{ parsed; update; }} }}\n  \
             family {{ ipv4 unicast; ipv6 unicast; }}\n  static {{\n",
            address = neighbor.address,
            here = site.local(neighbor.address),
            asn = setup.asn,
            peer_as = neighbor.asn,
        );
        for prefix in &setup.networks {
            let _ = writeln!(text, "    route {prefix} next-hop {};", site.node.address_for(prefix));
        }
        text.push_str("  }\n}\n");
    }
    let config = site.lab.write(&site.node, "exa.conf", &text).display().to_string();
    let spawn = Spawn::new(&["exabgp", &config])
        .env("exabgp.daemon.user", "nobody")
        .env("exabgp.log.destination", "stderr")
        .env("exabgp.api.cli", "false")
        .env("exabgp.api.ack", "false")
        .env("exabgp.tcp.bind", &format!("{local} {}", site.node.v6()));
    site.lab.spawn(&site.node, &spawn)
}
