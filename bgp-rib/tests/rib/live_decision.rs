//! Options of the decision process change while sessions go on.

use bgp_rib::{DecisionOptions, Input, PeerId, RibConfig};
use bgp_wire::PathAttributes;

use crate::support::*;

/// Prefixes whose best route is another one by other options, one where no option matters, and one of a single path.
const PREFIXES: [&str; 5] = ["10.1.0.0/24", "10.2.0.0/24", "10.3.0.0/24", "10.4.0.0/24", "10.5.0.0/24"];

/// Four routers of two AS tell routes; two clients listen.
fn lab(decision: DecisionOptions, many_paths: usize) -> (Lab, [PeerId; 2]) {
    let mut config = RibConfig::new(LOCAL_AS, router_id(254));
    (config.decision, config.many_paths) = (decision, many_paths);
    let mut lab = Lab::with(config);
    let listeners = [lab.up(20, client(20)), lab.up(21, client(21))];
    let meds: [[Option<u32>; 4]; 4] = [
        // of AS 65001 twice, of AS 65002 twice
        [Some(9), Some(8), Some(1), Some(2)],
        [None, Some(5), Some(5), None],
        [Some(3), None, Some(7), Some(7)],
        [Some(4), Some(4), Some(4), Some(4)],
    ];
    for n in 1..=4_u8 {
        let asn = if n < 3 { 65001 } else { 65002 };
        let peer = lab.up(n, external(n, asn));
        for (prefix, meds) in PREFIXES.iter().zip(&meds) {
            let attributes = PathAttributes { med: meds[usize::from(n) - 1], ..external_attributes(&[asn]) };
            lab.announce(peer, &[net(prefix)], next_hop(n), &attributes);
        }
    }
    lab.announce(PeerId(3), &[net(PREFIXES[4])], next_hop(3), &external_attributes(&[65002]));
    lab.settle();
    lab.drain_all();
    (lab, listeners)
}

fn best(lab: &Lab, prefix: &str) -> String {
    let explained = lab.rib.explain(net(prefix)).unwrap();
    format!(
        "{:?} {:?}",
        explained.paths[0].attributes.next_hop,
        explained.paths[1..].iter().map(|p| p.verdict).collect::<Vec<_>>()
    )
}

fn all_options() -> Vec<DecisionOptions> {
    let bits = |n: u8| DecisionOptions {
        always_compare_med: n & 1 != 0,
        missing_med_as_worst: n & 2 != 0,
        ..DecisionOptions::default()
    };
    (0..4).map(bits).collect()
}

#[test]
fn other_options_lead_to_the_tables_of_one_that_had_them_from_the_start() {
    for many_paths in [2, 16] {
        let (mut lab, listeners) = lab(DecisionOptions::default(), many_paths);
        for from in all_options() {
            for to in all_options() {
                for options in [from, to] {
                    lab.input(Input::Decision(options));
                    lab.settle();
                }
                lab.drain_all();
                let (born, same) = self::lab(to, many_paths);
                for (listener, same) in listeners.iter().zip(same) {
                    assert_eq!(lab.view(*listener), born.view(same), "{from:?} {to:?} {many_paths}");
                }
                for prefix in PREFIXES {
                    assert_eq!(best(&lab, prefix), best(&born, prefix), "{prefix} {from:?} {to:?}");
                }
            }
        }
    }
}

#[test]
fn nobody_hears_of_options_that_change_no_route() {
    let (mut lab, listeners) = lab(DecisionOptions::default(), 16);
    let missing_worst = DecisionOptions { missing_med_as_worst: true, ..DecisionOptions::default() };
    lab.input(Input::Decision(missing_worst));
    lab.settle();
    let heard = |lab: &mut Lab| {
        let before = lab.view(listeners[0]).clone();
        lab.drain_all();
        let after = lab.view(listeners[0]);
        after.iter().filter(|(prefix, route)| before.get(prefix) != Some(route)).count()
    };
    assert!(heard(&mut lab) > 0);
    lab.input(Input::Decision(missing_worst));
    lab.settle();
    listeners.iter().for_each(|listener| lab.quiet(*listener));
    // The oldest stays, and nothing is older than what is best already.
    lab.input(Input::Decision(DecisionOptions { prefer_oldest: true, ..missing_worst }));
    lab.settle();
    listeners.iter().for_each(|listener| lab.quiet(*listener));
}
