//! The cost laws of the tables, each as a table in which the law shows: what is to be constant stays so down a column.
//!
//! `cargo bench -p benches --bench laws` prints all; `-- NAME ...` only these: `update`, `loss`, `client`, `fan-out`, `slow`,
//! `swap`, `paths`, `turns`, `layers`. Times are CPU time of the thread; memory is what the allocator was asked for.
#![allow(clippy::print_stdout, reason = "the tables are what it is for")]

use core::time::Duration;

use benches::alloc::{self, Counting};
use benches::corpus::Numbers;
use benches::tables::{Cost, Tables, client, codec, feed, peer, plain, slash24};
use bgp_rib::policy::{Action, Number, PolicyConfig, Rule, Verdict};
use bgp_rib::{AddPathSend, Input, Policy, Reachability, Retain};
use bgp_wire::{
    AsPath, Asn, Family, FamilySet, LongLivedFamily, NextHop, PathAttributes, PathId, PeerKind, announce,
    withdraw,
};
use bytes::BytesMut;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SIZES: [usize; 3] = [10_000, 100_000, 1_000_000];

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let laws: [(&str, fn()); 9] = [
        ("update", update),
        ("loss", loss),
        ("client", one_more_client),
        ("fan-out", fan_out),
        ("slow", slow_reader),
        ("swap", policy_swap),
        ("paths", paths),
        ("turns", turns),
        ("layers", layers),
    ];
    for (name, law) in laws {
        if asked.is_empty() || asked.iter().any(|asked| asked == name) {
            law();
        }
    }
}

/// A table of so many prefixes, told by peer 0.
fn table(prefixes: usize) -> Tables {
    let mut tables = Tables::new();
    tables.up(0);
    tables.tell(0, &feed(prefixes, 0));
    tables.settle();
    tables.read(0);
    tables.cost();
    tables
}

fn update() {
    println!("\nupdate: receiving an UPDATE costs as many times the same as it has routes (ns for a route)");
    println!("{:<16} {:>10} {:>10} {:>10} {:>10}", "table", "1 a message", "10", "100", "900");
    for size in SIZES {
        let mut row = Vec::new();
        for per in [1, 10, 100, 900] {
            let mut tables = table(size);
            let mut numbers = Numbers::new(7);
            let prefixes: Vec<u32> = (0..9000).map(|_| numbers.below(size as u64) as u32).collect();
            let told = plain(prefixes.into_iter(), per, 0, 300);
            tables.tell(0, &told);
            row.push(tables.cost().ns / 9000.0);
        }
        println!("{size:<16} {:>10.0} {:>10.0} {:>10.0} {:>10.0}", row[0], row[1], row[2], row[3]);
    }
}

fn loss() {
    println!("\nloss: a peer's loss costs what its routes cost, whatever else there is");
    println!(
        "{:<16} {:>12} {:>14} {:>10} {:>14}",
        "table", "its routes", "ns a route", "turns", "longest, us"
    );
    for size in SIZES {
        for own in [1000, 10_000, 100_000].into_iter().filter(|own| own <= &size) {
            let mut tables = table(size);
            tables.up(1);
            tables.tell(1, &plain(0..own as u32, 500, 1, 300));
            tables.settle();
            tables.cost();
            tables.input(Input::PeerDown(peer(1), Retain::Nothing));
            tables.settle();
            let Cost { ns, calls, longest } = tables.cost();
            let each = ns / own as f64;
            println!("{size:<16} {own:>12} {each:>14.0} {calls:>10} {:>14.0}", longest / 1e3);
        }
    }
}

fn one_more_client() {
    println!("\nclient: one more costs the same memory whatever the table, and time for what it is sent");
    println!(
        "{:<16} {:>14} {:>14} {:>14} {:>14} {:>16}",
        "table", "coming, octets", "coming, us", "read, octets", "read, ns/rt", "encoded, ns/rt"
    );
    for size in SIZES {
        let mut tables = table(size);
        tables.up(1);
        tables.read(1);
        let encoded = tables.cost().ns / size as f64;
        let held = alloc::held();
        tables.up(2);
        let coming = alloc::held().saturating_sub(held);
        let up = tables.cost().ns;
        tables.read(2);
        let (read, cost) = (alloc::held().saturating_sub(held), tables.cost());
        println!(
            "{size:<16} {coming:>14} {:>14.1} {read:>14} {:>14.1} {encoded:>16.0}",
            up / 1e3,
            cost.ns / size as f64,
        );
    }
}

fn fan_out() {
    println!("\nfan-out: what is told to all clients of a group is encoded once");
    println!(
        "{:<10} {:>10} {:>14} {:>16} {:>18} {:>18}",
        "routes", "clients", "first, us", "each other, us", "asked for, octets", "delivered, octets"
    );
    for routes in [1, 1000] {
        for clients in [1, 10, 100, 1000] {
            let mut tables = table(10_000);
            (1..=clients).for_each(|n| tables.up(n));
            (0..=clients).for_each(|n| _ = tables.read(n));
            tables.tell(0, &plain(0..routes, 500, 0, 300));
            tables.cost();
            let asked = alloc::asked();
            let mut delivered = tables.read(1);
            let first = tables.cost().ns;
            delivered += (2..=clients).map(|n| tables.read(n)).sum::<usize>();
            let others = tables.cost().ns / (clients - 1).max(1) as f64;
            let asked = alloc::asked() - asked;
            println!(
                "{routes:<10} {clients:>10} {:>14.1} {:>16.2} {asked:>18} {delivered:>18}",
                first / 1e3,
                others / 1e3
            );
        }
    }
}

fn slow_reader() {
    println!("\nslow: who does not read holds its cursor (octets held while the table changes ten times)");
    println!("{:<16} {:>18} {:>18} {:>18}", "table", "all read", "one does not", "difference");
    for size in [10_000, 100_000] {
        let held = |reads: bool| {
            let mut tables = table(size);
            (1..=3).for_each(|n| tables.up(n));
            (0..=3).for_each(|n| _ = tables.read(n));
            for round in 0..10 {
                for frame in plain(0..size as u32, 500, 0, 300 + round) {
                    tables.tell(0, &[frame]);
                    (0..=2).for_each(|n| _ = tables.read(n));
                    if reads {
                        tables.read(3);
                    }
                }
            }
            tables.settle();
            tables.rib.memory().total()
        };
        let (all, slow) = (held(true), held(false));
        println!("{size:<16} {all:>18} {slow:>18} {:>18}", slow as i64 - all as i64);
    }
}

/// A policy with rules, that changes every route.
fn with_med(med: u32) -> Policy {
    let rule = Rule::accept("med").then(Action::Med(Number::Set(med)));
    Policy::compile(PolicyConfig::new("med", Verdict::Reject).rule(rule)).expect("it is a good policy")
}

fn policy_swap() {
    println!("\nswap: another export policy costs each group one walk over the table, in bounded calls");
    println!(
        "{:<16} {:>10} {:>16} {:>18} {:>10} {:>14}",
        "table", "clients", "all, ns/rt", "each, ns/rt", "calls", "longest, us"
    );
    for size in SIZES {
        for clients in [1, 10, 100] {
            let mut tables = table(size);
            (1..=clients).for_each(|n| tables.up_with(n, |params| params.export = with_med(1)));
            (1..=clients).for_each(|n| _ = tables.read(n));
            tables.cost();
            for n in 1..=clients {
                let export = Some(with_med(2));
                tables.input(Input::SetPolicy { peer: peer(n), import: None, export });
            }
            let begun = tables.cost();
            tables.read_together(1..=clients);
            let read = tables.cost();
            println!(
                "{size:<16} {clients:>10} {:>16.0} {:>18.2} {:>10} {:>14.0}",
                read.ns / size as f64,
                read.ns / size as f64 / clients as f64,
                begun.calls + read.calls,
                begun.longest.max(read.longest) / 1e3
            );
        }
    }
}

fn paths() {
    use AddPathSend::{All, Best, EqualCost, PerAs};
    println!(
        "\npaths: one of many paths of a prefix flaps; what ADD-PATH peers are told of it (us for a change and reading it)"
    );
    println!(
        "{:<10} {:>10} {:>10} {:>10} {:>10} {:>12} {:>12}",
        "paths", "best alone", "best 4", "all", "per AS", "equal cost", "equal, 2"
    );
    let asked = [
        (Best(1), None),
        (Best(4), None),
        (All, None),
        (PerAs, None),
        (EqualCost, None),
        (EqualCost, Some(2)),
    ];
    for paths in [16, 256, 4096] {
        let mut row = format!("{paths:<10}");
        for (at, (send, limit)) in asked.into_iter().enumerate() {
            let mut tables = Tables::new();
            for of in 0..paths {
                tables.up_with(of, |params| {
                    (params.kind, params.enforce_first_as) = (PeerKind::External, false);
                });
                tables.tell(of, &plain_of(of));
            }
            tables.up_with(paths, |params| {
                params.codec.add_path_tx = FamilySet::of(&[Family::IPV4_UNICAST]);
                params.add_path_send = vec![(Family::IPV4_UNICAST, send)];
                params.paths_limit = limit.map(|limit| (Family::IPV4_UNICAST, limit)).into_iter().collect();
            });
            tables.settle();
            tables.read(paths);
            tables.cost();
            const FLAPS: usize = 1000;
            let mut numbers = Numbers::new(3);
            for _ in 0..FLAPS {
                let of = numbers.below(paths as u64) as usize;
                tables.tell(of, &gone());
                tables.read(paths);
                tables.tell(of, &plain_of(of));
                tables.read(paths);
            }
            let each = tables.cost().ns / (2 * FLAPS) as f64 / 1e3;
            let width = if at < 4 { 10 } else { 12 };
            row += &format!(" {each:>width$.1}");
        }
        println!("{row}");
    }
}

/// The one prefix, as an external peer of one of 64 AS tells it: as good as the others tell it.
fn plain_of(of: usize) -> Vec<BytesMut> {
    let attributes = PathAttributes {
        as_path: AsPath::sequence([Asn(1000 + of as u32 % 64)]),
        ..PathAttributes::default()
    };
    let (mut block, mut out) = (Vec::new(), BytesMut::new());
    attributes.encode_block(&mut block).expect("nothing in it is refused");
    let next_hop = NextHop::V4([10, 0, (of >> 8) as u8, of as u8].into());
    announce(&mut out, &codec(), Family::IPV4_UNICAST, &next_hop, &block, [(PathId(0), slash24(0))]);
    vec![out]
}

fn gone() -> Vec<BytesMut> {
    let mut out = BytesMut::new();
    withdraw(&mut out, &codec(), Family::IPV4_UNICAST, [(PathId(0), slash24(0))]);
    vec![out]
}

fn turns() {
    const SIZE: usize = 1_000_000;
    println!("\nturns: the longest call at 1,000,000 routes; the speaker looks at the clock between calls");
    println!("{:<44} {:>10} {:>14} {:>14}", "what", "calls", "mean, us", "longest, us");
    let say = |what: &str, tables: &mut Tables| {
        let Cost { ns, calls, longest } = tables.cost();
        println!("{what:<44} {calls:>10} {:>14.1} {:>14.0}", ns / calls.max(1) as f64 / 1e3, longest / 1e3);
    };
    let stays = |params: &mut bgp_rib::PeerParams| {
        params.graceful_restart = true;
        params.retained = FamilySet::of(&[Family::IPV4_UNICAST]);
        params.stale_time = Duration::from_secs(60);
        let row = LongLivedFamily { family: Family::IPV4_UNICAST, forwarding: true, stale_time: 3600 };
        params.long_lived = Some(vec![row]);
    };
    let mut tables = Tables::new();
    tables.up_with(0, stays);
    (1..=10).for_each(|n| tables.up_with(n, |params| params.export = with_med(1)));
    tables.cost();
    for (n, frame) in feed(SIZE, 0).iter().enumerate() {
        tables.tell(0, core::slice::from_ref(frame));
        if n % 1000 == 0 {
            (0..=10).for_each(|n| _ = tables.read(n));
        }
    }
    tables.settle();
    (0..=10).for_each(|n| _ = tables.read(n));
    say("1 M routes come, 10 clients read", &mut tables);
    tables.tell(0, &plain(0..60_000, 900, 0, 300));
    say("UPDATEs of 900 routes", &mut tables);
    (0..=10).for_each(|n| _ = tables.read(n));
    tables.cost();
    tables.up(11);
    tables.read(11);
    say("a late joiner of another group", &mut tables);
    tables.input(Input::NextHop([10, 0, 0, 100].into(), Reachability::Metric(7)));
    tables.settle();
    say("the way to the one next hop changes", &mut tables);
    for n in 1..=10 {
        tables.input(Input::SetPolicy { peer: peer(n), import: None, export: Some(with_med(2)) });
    }
    (1..=10).for_each(|n| _ = tables.read(n));
    say("another export policy for 10 clients", &mut tables);
    tables.input(Input::SetPolicy { peer: peer(0), import: Some(with_med(3)), export: None });
    tables.settle();
    say("another import policy for the feeder", &mut tables);
    (1..=11).for_each(|n| _ = tables.read(n));
    tables.cost();
    tables.input(Input::PeerDown(peer(0), Retain::Stale));
    tables.now += Duration::from_secs(61);
    tables.input(Input::Tick);
    tables.settle();
    say("the feeder's routes become long-lived stale", &mut tables);
    (1..=11).for_each(|n| _ = tables.read(n));
    say("clients hear of it", &mut tables);
    tables.now += Duration::from_secs(3601);
    tables.input(Input::Tick);
    tables.settle();
    say("their time is over: the sweep", &mut tables);
    (1..=11).for_each(|n| _ = tables.read(n));
    tables.settle();
    say("clients hear withdrawals, tombstones go", &mut tables);
}

fn layers() {
    println!("\nlayers: octets for a route by layer, as allocated");
    println!(
        "{:<28} {:>8} {:>8} {:>12} {:>8} {:>8} {:>8}",
        "prefixes x paths", "prefix", "path", "attributes", "log", "groups", "all"
    );
    for (prefixes, paths) in [(100_000, 1), (1_000_000, 1), (1_000_000, 2)] {
        for shared in [false, true] {
            let mut tables = Tables::new();
            for of in 0..paths {
                tables.up(of);
                // With one set for all the routes of a feeder nothing is left of the attributes.
                let one_set = || plain(0..prefixes as u32, 900, of, 100);
                tables.tell(of, &if shared { one_set() } else { feed(prefixes, of) });
            }
            tables.settle();
            (0..paths).for_each(|of| _ = tables.read(of));
            let memory = tables.rib.memory();
            let each = |octets: usize| octets as f64 / prefixes as f64;
            let name = format!("{prefixes} x {paths}{}", if shared { ", one set" } else { "" });
            println!(
                "{name:<28} {:>8.1} {:>8.1} {:>12.1} {:>8.1} {:>8.1} {:>8.1}",
                each(memory.prefixes),
                each(memory.paths),
                each(memory.attributes),
                each(memory.logs),
                each(memory.groups),
                each(memory.total())
            );
        }
    }
    println!("\nlayers: ns for a route");
    println!("{:<16} {:>12} {:>12} {:>12} {:>12}", "table", "import", "decision", "log", "pack");
    for size in SIZES {
        stages(size);
    }
}

/// What a route costs on its way, stage by stage: each is the difference to what does all but that.
fn stages(size: usize) {
    let mut tables = table(size);
    let count = size as f64;
    // Known and unchanged: found, and nothing more.
    tables.tell(0, &feed(size, 0));
    let import = tables.cost().ns / count;
    // A way that changed and makes no difference: every prefix is decided anew.
    tables.input(Input::NextHop([10, 0, 0, 100].into(), Reachability::Metric(7)));
    tables.settle();
    let decision = tables.cost().ns / count;
    // Changed routes that lose, and ones that win: the winners move in the log and out of attribute sets.
    tables.up(1);
    tables.tell(1, &plain(0..size as u32, 900, 1, 1));
    tables.cost();
    tables.tell(1, &plain(0..size as u32, 900, 1, 2));
    let loses = tables.cost().ns / count;
    tables.tell(1, &plain(0..size as u32, 900, 1, 300));
    tables.cost();
    tables.tell(1, &plain(0..size as u32, 900, 1, 301));
    let wins = tables.cost().ns / count;
    let mut tables = table(size);
    tables.up_with(1, |params| *params = client(1));
    tables.cost();
    tables.read(1);
    let pack = tables.cost().ns / count;
    println!("{size:<16} {import:>12.0} {decision:>12.0} {:>12.0} {pack:>12.0}", wins - loses);
}
