//! The tables: what a route costs on its way in and out, and what it holds.
use core::time::Duration;
use std::net::{IpAddr, Ipv4Addr};

use benches::alloc::{self, Counting};
use benches::corpus::Numbers;
use benches::meter::cpu_ns;
use bgp_rib::{Event, Input, PeerId, PeerParams, PeerRole, Policy, Retain, Rib, RibConfig};
use bgp_wire::{
    AsPath, Asn, Codec, Community, Family, FamilySet, NextHop, PathAttributes, PathId, PeerKind, RouterId,
    announce,
};
use bytes::BytesMut;
use ipnet::Ipv4Net;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const AS: Asn = Asn(65000);
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

fn codec() -> Codec {
    let families = FamilySet::of(&[Family::IPV4_UNICAST]);
    Codec { peer: PeerKind::Internal, four_octet_as: true, families, ..Codec::before_open() }
}

fn peer(n: usize) -> PeerId {
    PeerId(n as u32)
}

/// A reflector's client.
fn up(rib: &mut Rib, n: usize) {
    let address = |host| IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + host));
    let id = 100 + n as u32;
    let params = PeerParams::new(AS, AS, RouterId(id), address(id), address(1), codec());
    let params = PeerParams {
        role: PeerRole::Client,
        import: Policy::accept_all(),
        export: Policy::accept_all(),
        ..params
    };
    rib.handle(NOW, Input::PeerUp(peer(n), Box::new(params)));
    while let Some(event) = rib.poll_event() {
        std::hint::black_box(matches!(event, Event::Pending(_)));
    }
}

/// A table as messages of one attribute set each: about five prefixes share one, and each set stands with several.
fn feed(prefixes: usize, of: usize) -> Vec<BytesMut> {
    let (codec, mut n) = (codec(), Numbers::new(1 + of as u64));
    let mut left: Vec<Ipv4Net> = (0..prefixes as u32).map(slash24).collect();
    let mut messages = Vec::new();
    while !left.is_empty() {
        let take = (n.range(1, 8) as usize).min(left.len());
        let set = Numbers::new(n.below(prefixes as u64 / 10));
        let block = attributes(set);
        let nlri = left.drain(left.len() - take..).map(|p| (PathId(0), p));
        let mut out = BytesMut::new();
        let next_hop = NextHop::V4(Ipv4Addr::from(0x0a00_0064 + of as u32));
        announce(&mut out, &codec, Family::IPV4_UNICAST, &next_hop, &block, nlri);
        messages.push(out);
    }
    messages
}

fn slash24(n: u32) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::from(0x0100_0000 + n * 256), 24)
}

fn attributes(mut n: Numbers) -> Vec<u8> {
    let mut block = Vec::new();
    let asns = (0..n.range(2, 6)).map(|_| Asn(n.range(1, 64_000) as u32)).collect::<Vec<_>>();
    let attributes = PathAttributes {
        as_path: AsPath::sequence(asns),
        med: (n.below(3) == 0).then(|| n.below(500) as u32),
        local_pref: Some(100),
        communities: (0..n.range(0, 8)).map(|_| Community::new(65000, n.below(65_536) as u16)).collect(),
        ..PathAttributes::default()
    };
    attributes.encode_block(&mut block).expect("nothing in it is refused");
    block
}
