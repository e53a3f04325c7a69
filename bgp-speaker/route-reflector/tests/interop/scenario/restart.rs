//! Graceful restart (RFC 4724): one side dies without a word and comes back, the other keeps its routes meanwhile, and
//! what was lost in between goes once the table has been told again.

use std::time::Duration;

use super::OUR_AS;
use crate::Scenario;
use crate::lab::{Lab, Node, eventually, holds};
use crate::ours::{PeerEntry, Reflector, kernel_keys};
use crate::peer::{Daemon, Kind, Neighbor, SOON, Setup};

/// What the daemon originates before and after, and what only before.
const THEIRS: &str = "198.51.100.0/24";
const THEIRS_LOST: &str = "203.0.113.0/24";
/// The same of our side.
const OURS: &str = "10.65.1.0/26";
const OURS_LOST: &str = "10.65.2.0/26";

/// Routes that are kept stay for longer than it takes to see the connection end.
const MEANWHILE: Duration = Duration::from_secs(4);

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut all = Vec::new();
    for kind in [Kind::Bird, Kind::Frr, Kind::GoBgp] {
        let name = kind.name();
        let they = format!("{name}_restarts_and_we_keep_its_routes");
        all.push(Scenario::new(they, move |lab| they_restart(lab, kind)).with(kind));
        let we = format!("we_restart_and_{name}_keeps_our_routes");
        all.push(Scenario::new(we, move |lab| we_restart(lab, kind)).with(kind));
    }
    all
}

fn start<'a>(lab: &'a Lab, ours: &Node, kind: Kind) -> (Node, Reflector<'a>, Box<dyn Daemon + 'a>) {
    let theirs = lab.node("theirs", 2);
    let entries = [PeerEntry::new(theirs.v4(), OUR_AS)];
    let reflector = Reflector::start(lab, ours, OUR_AS, &entries, &keys(&[OURS, OURS_LOST]));
    let setup = Setup::new(OUR_AS, vec![Neighbor::passive(ours.v4(), OUR_AS)], &[THEIRS, THEIRS_LOST]);
    let daemon = kind.start(lab, &theirs, setup.graceful());
    reflector.comes_up_with(theirs.v4());
    for prefix in [THEIRS, THEIRS_LOST] {
        eventually(&format!("our kernel has {prefix}"), SOON, || {
            reflector.kernel_has(prefix, &theirs.v4().to_string())
        });
    }
    for prefix in [OURS, OURS_LOST] {
        daemon.learns(prefix);
    }
    (theirs, reflector, daemon)
}

/// A reflector with a kernel, which therefore forwards on while it is away, and with routes of its own.
fn keys(routes: &[&str]) -> String {
    let route = |prefix: &&str| format!("[[route]]\nprefix = \"{prefix}\"\n");
    kernel_keys() + &routes.iter().map(route).collect::<String>()
}

fn they_restart(lab: &Lab, kind: Kind) {
    let ours = lab.node("ours", 1);
    let (theirs, reflector, mut daemon) = start(lab, &ours, kind);
    let gateway = theirs.v4().to_string();
    daemon.kill();
    daemon.lose(THEIRS_LOST);
    eventually("our side has seen the session end", SOON, || {
        match reflector.established(theirs.v4().into()) {
            Ok(peer) => Err(peer.to_string()),
            Err(_) => Ok(()),
        }
    });
    holds("our kernel keeps the routes of the daemon that is away", MEANWHILE, || {
        reflector.kernel_has(THEIRS, &gateway)?;
        reflector.kernel_has(THEIRS_LOST, &gateway)
    });
    daemon.restart();
    eventually("the session is up again, and what is not told again goes", SOON * 2, || {
        reflector.kernel_has(THEIRS, &gateway).unwrap_or_else(|error| panic!("{THEIRS} was gone: {error}"));
        reflector.established(theirs.v4().into())?;
        match reflector.kernel_has(THEIRS_LOST, &gateway) {
            Ok(()) => Err(format!("{THEIRS_LOST} is there still")),
            Err(_) => Ok(()),
        }
    });
    daemon.learns(OURS);
    holds("and the other stays", Duration::from_secs(2), || reflector.kernel_has(THEIRS, &gateway));
}

fn we_restart(lab: &Lab, kind: Kind) {
    let ours = lab.node("ours", 1);
    let (theirs, mut reflector, daemon) = start(lab, &ours, kind);
    let gateway = theirs.v4().to_string();
    reflector.kill();
    eventually("the daemon has seen the session end", SOON, || match daemon.established(ours.v4().into()) {
        Ok(()) => Err("established".to_owned()),
        Err(_) => Ok(()),
    });
    holds("the daemon keeps our routes while we are away", MEANWHILE, || {
        for prefix in [OURS, OURS_LOST] {
            daemon.route(prefix)?.ok_or_else(|| format!("{prefix} is gone"))?;
        }
        reflector.kernel_has(THEIRS, &gateway)
    });
    reflector.rewrite(|text| text.replace(&format!("[[route]]\nprefix = \"{OURS_LOST}\"\n"), ""));
    reflector.restart();
    eventually("the session is up again, and what we do not tell again goes", SOON * 2, || {
        let kept = daemon.route(OURS)?;
        assert!(kept.is_some(), "{OURS} was gone");
        daemon.established(ours.v4().into())?;
        match daemon.route(OURS_LOST)? {
            Some(route) => Err(format!("{OURS_LOST} is there still: {route:?}")),
            None => Ok(()),
        }
    });
    reflector.kernel_has(THEIRS, &gateway).expect("packets have flowed all the time");
}
