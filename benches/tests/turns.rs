//! What happens with every message costs the same however many routes a peer has told: twice as much at most with four
//! times as many, where a walk over them would take four times as long.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

use benches::tables::{Tables, plain};
use bgp_rib::policy::{Condition, PolicyConfig, PrefixSet, Rule, Verdict};
use bgp_rib::{FamilyLimits, Limit, LimitAction, Limits, PeerParams, Policy};
use bgp_wire::Family;

/// More than are counted one by one when a peer falls idle.
const ROUTES: usize = 8192;
/// Changes that are measured together.
const CHANGES: u32 = 64;

/// Tables with a peer that told so many routes, and another that tells what changes.
fn told(routes: usize, differ: impl Fn(&mut PeerParams)) -> Tables {
    let mut tables = Tables::new();
    tables.up_with(0, &differ);
    tables.up_with(1, &differ);
    tables.tell(0, &plain(0..routes as u32, 900, 0, 100));
    tables.settle();
    tables.read_together(0..2);
    tables
}

/// The CPU time of some changes by a peer, with what peer 0 is told of each.
fn changes(tables: &mut Tables, by: usize, from: u32, local_pref: u32) -> f64 {
    let feed = plain(from..from + CHANGES, 1, by, local_pref);
    tables.cost();
    for change in feed.chunks(1) {
        tables.tell(by, change);
        tables.settle();
        tables.read(0);
    }
    let ns = tables.cost().ns;
    tables.read(1);
    ns
}

/// How many times longer changes by a peer take when peer 0 told four times as many routes.
fn growth(by: usize, differ: impl Fn(&mut PeerParams)) -> f64 {
    let (mut few, mut many) = (told(ROUTES, &differ), told(4 * ROUTES, &differ));
    let (mut least, mut most) = (f64::INFINITY, f64::INFINITY);
    for round in 0..7 {
        least = least.min(changes(&mut few, by, 0, 200 + round));
        most = most.min(changes(&mut many, by, 0, 200 + round));
    }
    most / least
}

#[test]
fn an_update_of_a_peer_with_limits_costs_the_same_however_many_routes_it_told() {
    let elsewhere = PrefixSet::equal(&["192.0.2.0/24".parse().unwrap()]);
    let rule = Rule::reject("elsewhere").when(Condition::Prefix(elsewhere));
    let export = Policy::compile(PolicyConfig::new("rules", Verdict::Accept).rule(rule)).unwrap();
    let limit = Limit::new(10_000_000, LimitAction::Warn);
    let warn = Some(limit);
    let limits = FamilyLimits { received: warn, accepted: warn, advertised: warn };
    let limits = Limits::default().family(Family::IPV4_UNICAST, limits).memory(limit);
    let grown = growth(0, |params| {
        (params.limits, params.export) = (limits.clone(), export.clone());
    });
    assert!(grown < 2.0, "{grown} times");
}

#[test]
fn a_client_of_a_route_server_falls_idle_as_fast_however_many_routes_it_told() {
    let grown = growth(1, |params| params.best_per_client = true);
    assert!(grown < 2.0, "{grown} times");
}
