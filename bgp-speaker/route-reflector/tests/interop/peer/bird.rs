//! BIRD 2: configured by file, re-read on change; asked through `birdc`.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{CALICO_PREFERENCE, Daemon, HOLD_TIME, RESTART_TIME, Route, Site, as_path};
use crate::lab::{Process, Spawn, eventually, output};

pub(super) struct Bird<'a> {
    site: Site<'a>,
    config: PathBuf,
    socket: PathBuf,
    process: Arc<Process>,
}

impl<'a> Bird<'a> {
    pub(super) fn start(site: Site<'a>) -> Self {
        let config = site.lab.write(&site.node, "bird.conf", &configuration(&site));
        let socket = site.lab.subdir(&site.node, "bird").join("ctl");
        let process = launch(&site, &config, &socket, false);
        let bird = Self { site, config, socket, process };
        bird.wait_ready();
        bird
    }

    fn wait_ready(&self) {
        eventually("BIRD answers", Duration::from_secs(10), || self.ask(&["show", "status"]));
    }

    fn ask(&self, command: &[&str]) -> Result<String, String> {
        let socket = self.socket.display().to_string();
        let mut line = vec!["birdc", "-s", &socket];
        line.extend_from_slice(command);
        output(&line)
    }

    fn reconfigure(&self) {
        self.site.lab.write(&self.site.node, "bird.conf", &configuration(&self.site));
        let answer = self.ask(&["configure"]).unwrap_or_else(|error| panic!("{error}"));
        assert!(answer.contains("econfigur"), "BIRD takes its new configuration: {answer}");
    }
}

impl Daemon for Bird<'_> {
    fn route(&self, prefix: &str) -> Result<Option<Route>, String> {
        let text = match self.ask(&["show", "route", prefix, "all"]) {
            Err(error) if error.contains("Network not found") => return Ok(None),
            text => text?,
        };
        let mut route = Route::default();
        // The best path stands first; a further path to the same prefix begins with its own `Type:` line.
        for line in text.lines().skip_while(|line| !line.contains("Type:")).skip(1) {
            match line.trim().split_once(": ") {
                _ if line.contains("Type:") => break,
                Some(("BGP.next_hop", value)) => route.next_hop = first_word(value),
                Some(("BGP.as_path", value)) => route.as_path = as_path(value),
                Some(("BGP.originator_id", value)) => route.originator = Some(first_word(value)),
                Some(("BGP.cluster_list", value)) => {
                    route.clusters = value.split_whitespace().map(str::to_owned).collect();
                }
                _ => {}
            }
        }
        Ok(Some(route))
    }

    fn next_hops(&self, prefix: &str) -> Result<Vec<String>, String> {
        let text = match self.ask(&["show", "route", prefix, "all"]) {
            Err(error) if error.contains("Network not found") => return Ok(Vec::new()),
            text => text?,
        };
        Ok(text
            .lines()
            .filter_map(|line| Some(first_word(line.trim().strip_prefix("BGP.next_hop: ")?)))
            .collect())
    }

    fn ask(&self, command: &[&str]) -> Result<String, String> {
        Bird::ask(self, command)
    }

    fn established(&self, neighbor: IpAddr) -> Result<(), String> {
        let text = self.ask(&["show", "protocols", &protocol(neighbor)])?;
        if text.contains("Established") { Ok(()) } else { Err(text) }
    }

    fn announce(&mut self, prefix: &str) {
        self.site.originate(prefix);
        self.reconfigure();
    }

    fn withdraw(&mut self, prefix: &str) {
        self.site.cease(prefix);
        self.reconfigure();
    }

    fn lose(&mut self, prefix: &str) {
        self.site.cease(prefix);
        self.site.lab.write(&self.site.node, "bird.conf", &configuration(&self.site));
    }

    fn kill(&mut self) {
        self.process.kill();
    }

    fn restart(&mut self) {
        self.process = launch(&self.site, &self.config, &self.socket, self.site.setup.graceful);
        self.wait_ready();
    }
}

fn launch(
    site: &Site<'_>,
    config: &std::path::Path,
    socket: &std::path::Path,
    recovers: bool,
) -> Arc<Process> {
    let (config, socket) = (config.display().to_string(), socket.display().to_string());
    let mut line = vec!["bird", "-f", "-c", &config, "-s", &socket];
    line.extend(recovers.then_some("-R"));
    let spawn = Spawn::new(&line);
    let spawn = if site.setup.kernel { spawn } else { spawn.without_root() };
    site.lab.spawn(&site.node, &spawn)
}

fn configuration(site: &Site<'_>) -> String {
    let (local, setup) = (site.node.v4(), &site.setup);
    let mut text = format!("log stderr all;\nrouter id {local};\nprotocol device {{ scan time 1; }}\n");
    if setup.kernel {
        // Next hops are resolved over the connected network.
        text.push_str("protocol direct { ipv4; ipv6; }\n");
    }
    for (family, v6) in [("ipv4", false), ("ipv6", true)] {
        let routes: String =
            setup.networks_of(v6).map(|prefix| format!("  route {prefix} blackhole;\n")).collect();
        // Preferred to a connected network of the same prefix, which is not told.
        let _ = write!(
            text,
            "protocol static static_{family} {{\n  {family} {{ preference 250; }};\n{routes}}}\n"
        );
        if setup.kernel {
            let _ = writeln!(
                text,
                "protocol kernel kernel_{family} {{ {merge} {family} {{ import none; export where source = RTS_BGP; }}; }}",
                merge = if setup.spread { "merge paths on;" } else { "" },
            );
        }
    }
    let mut more = "";
    if setup.families.contains(&"ipv4-flowspec") {
        more = "flow4 { table flows; import all; export all; };";
        let rules: String = setup.rules().map(|rule| format!("  route {rule};\n")).collect();
        let _ = write!(
            text,
            "flow4 table flows;\nprotocol static rules {{\n  flow4 {{ table flows; }};\n{rules}}}\n"
        );
    }
    let mut export = "export where source != RTS_DEVICE;".to_owned();
    if setup.calico {
        let own = "if source != RTS_STATIC then reject;";
        export = format!("export filter {{ {own} bgp_local_pref = {CALICO_PREFERENCE}; accept; }};");
    }
    if setup.add_path {
        export.push_str(" add paths on;");
    }
    for neighbor in &setup.neighbors {
        let mut options = format!("hold time {HOLD_TIME}; connect retry time 2; connect delay time 1;");
        options.push_str(" error wait time 1, 2;");
        if neighbor.passive {
            options.push_str(" passive;");
        }
        if setup.graceful {
            let _ = write!(options, " graceful restart on; graceful restart time {RESTART_TIME};");
        }
        if setup.calico {
            options.push_str(" multihop;");
        }
        let _ = write!(options, " {}", neighbor.words);
        let export = match &neighbor.filter {
            Some(filter) => format!("export filter {{ {filter} }};"),
            None => export.clone(),
        };
        if neighbor.client {
            let _ = write!(options, " rr client; rr cluster id {local};");
        }
        let families = match (setup.calico, neighbor.address.is_ipv4()) {
            (false, _) => &["ipv4", "ipv6"][..],
            // Its sessions are of two programs, one for each family.
            (true, true) => &["ipv4"],
            (true, false) => &["ipv6"],
        };
        let channels: String =
            families.iter().map(|family| format!("{family} {{ import all; {export} }};\n  ")).collect();
        let _ = write!(
            text,
            "protocol bgp {name} {{\n  local {here} as {asn};\n  neighbor {address} as {peer_as};\n  {options}\n  \
             {channels}{more}\n}}\n",
            name = protocol(neighbor.address),
            here = site.local(neighbor.address),
            asn = setup.asn,
            address = neighbor.address,
            peer_as = neighbor.asn,
        );
    }
    text
}

fn protocol(neighbor: IpAddr) -> String {
    format!("peer_{}", neighbor.to_string().replace(['.', ':'], "_"))
}

fn first_word(text: &str) -> String {
    text.split_whitespace().next().unwrap_or_default().to_owned()
}
