//! The tables: what a route costs on its way in and out, and what it holds.
use core::time::Duration;
use std::net::Ipv4Addr;

use benches::alloc::{self, Counting};
use benches::corpus::Numbers;
use benches::meter::cpu_ns;
use benches::tables::{AS, client, codec, feed, peer, slash24};
use bgp_rib::{Event, Input, Retain, Rib, RibConfig};
use bgp_wire::{AsPath, Asn, Family, NextHop, PathAttributes, PathId, RouterId, announce};
use bytes::BytesMut;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const NOW: Duration = Duration::ZERO;
/// What one call of `poll_transmit` may give: a socket's buffer.
const BUDGET: usize = 256 * 1024;

#[allow(clippy::print_stdout, reason = "the table is what it is for")]
fn main() {
    if std::env::args().any(|argument| argument == "many-paths") {
        return many_paths();
    }
    println!(
        "{:<28} {:>12} {:>12} {:>14} {:>12} {:>14}",
        "prefixes x paths", "in, ns/path", "out, ns/route", "peer 2, ns/rt", "bytes/prefix", "allocs/path in"
    );
    for (prefixes, paths) in [(100_000, 1), (100_000, 2), (1_000_000, 1), (1_000_000, 2)] {
        let r = measure(prefixes, paths);
        println!(
            "{:<28} {:>12.0} {:>12.0} {:>14.0} {:>12.0} {:>14.2}",
            format!("{prefixes} x {paths}"),
            r.import,
            r.export,
            r.second,
            r.bytes,
            r.allocations
        );
    }
    many_paths();
}

/// What a path costs that is one of many of its prefix: as it comes, changes and goes, with and without MULTI_EXIT_DISC.
#[allow(clippy::print_stdout, reason = "the table is what it is for")]
fn many_paths() {
    println!("\n{:<28} {:>12} {:>12} {:>12}", "clients x prefixes", "come, ns", "change, ns", "go, ns");
    for med in [false, true] {
        for clients in [1, 4, 16, 64, 256, 1024, 4096] {
            let [come, change, go] = crowd(clients, 100, med);
            let name = format!("{clients} x 100{}", if med { ", MED" } else { "" });
            println!("{name:<28} {come:>12.0} {change:>12.0} {go:>12.0}");
        }
    }
}

/// All clients tell the same prefixes, tell them otherwise, and leave one after the other, the best first.
fn crowd(clients: usize, prefixes: u32, med: bool) -> [f64; 3] {
    let codec = codec();
    let mut rib = Rib::new(RibConfig::new(AS, RouterId(1)));
    (0..clients).for_each(|n| up(&mut rib, n));
    let total = (clients as f64) * f64::from(prefixes);
    let tell = |rib: &mut Rib, length: u32| {
        let mut numbers = Numbers::new(7);
        let start = cpu_ns();
        for n in 0..clients {
            let mut out = BytesMut::new();
            let mut block = Vec::new();
            let attributes = PathAttributes {
                as_path: AsPath::sequence((0..length).map(|at| Asn(64_512 + at + numbers.below(8) as u32))),
                med: med.then(|| numbers.below(4) as u32),
                local_pref: Some(100),
                ..PathAttributes::default()
            };
            attributes.encode_block(&mut block).expect("nothing in it is refused");
            let next_hop = NextHop::V4(Ipv4Addr::from(0x0a00_0064 + n as u32));
            let nlri = (0..prefixes).map(|at| (PathId(0), slash24(at)));
            announce(&mut out, &codec, Family::IPV4_UNICAST, &next_hop, &block, nlri);
            let view = codec.decode_update(&out).expect("the feed is our own");
            rib.handle(NOW, Input::Update(peer(n), &view));
        }
        settle(rib);
        (cpu_ns() - start) / total
    };
    let (come, change) = (tell(&mut rib, 2), tell(&mut rib, 3));
    let start = cpu_ns();
    for n in 0..clients {
        rib.handle(NOW, Input::PeerDown(peer(n), Retain::Nothing));
        settle(&mut rib);
    }
    let go = (cpu_ns() - start) / total;
    assert_eq!(rib.table_counters(Family::IPV4_UNICAST).paths, 0, "everybody left");
    [come, change, go]
}

struct Figures {
    /// Import and decision, for one path.
    import: f64,
    /// Export and packing, for one route, to the first client.
    export: f64,
    /// The same to a second client of the group, which finds it encoded.
    second: f64,
    /// Held by the tables, for one prefix.
    bytes: f64,
    allocations: f64,
}

fn measure(prefixes: usize, paths: usize) -> Figures {
    let feeds: Vec<Vec<BytesMut>> = (0..paths).map(|p| feed(prefixes, p)).collect();
    let (codec, total) = (codec(), (prefixes * paths) as f64);
    let (held, calls) = (alloc::held(), alloc::calls());
    let mut rib = Rib::new(RibConfig::new(AS, RouterId(1)));
    for n in 0..paths {
        up(&mut rib, n);
    }
    let start = cpu_ns();
    for (n, feed) in feeds.iter().enumerate() {
        for frame in feed {
            let view = codec.decode_update(frame).expect("the feed is our own");
            rib.handle(NOW, Input::Update(peer(n), &view));
        }
    }
    settle(&mut rib);
    let import = (cpu_ns() - start) / total;
    let bytes = alloc::held().saturating_sub(held) as f64 / prefixes as f64;
    let allocations = (alloc::calls() - calls) as f64 / total;

    let mut client = |n: usize| {
        up(&mut rib, n);
        let start = cpu_ns();
        while let Some(transmit) = rib.poll_transmit(peer(n), BUDGET) {
            std::hint::black_box(transmit.len());
        }
        let ns = (cpu_ns() - start) / prefixes as f64;
        let told = rib.peer_counters(peer(n), Family::IPV4_UNICAST).advertised;
        assert_eq!(told as usize, prefixes, "every prefix goes to client {n}");
        ns
    };
    let (export, second) = (client(paths), client(paths + 1));
    Figures { import, export, second, bytes, allocations }
}

fn settle(rib: &mut Rib) {
    while rib.poll_event().is_some() || rib.poll_timeout() == Some(NOW) {
        rib.handle(NOW, Input::Tick);
    }
}

/// A reflector's client.
fn up(rib: &mut Rib, n: usize) {
    rib.handle(NOW, Input::PeerUp(peer(n), Box::new(client(n))));
    while let Some(event) = rib.poll_event() {
        std::hint::black_box(matches!(event, Event::Pending(_)));
    }
}
