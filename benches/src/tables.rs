//! Tables under measurement: peers that tell made-up routes and read what they are sent, with the cost of every call.
use core::time::Duration;
use std::net::{IpAddr, Ipv4Addr};

use bgp_rib::{Input, PeerId, PeerParams, PeerRole, Policy, Rib, RibConfig};
use bgp_wire::{
    AsPath, Asn, Codec, Community, Family, FamilySet, NextHop, PathAttributes, PathId, PeerKind, RouterId,
    announce,
};
use bytes::BytesMut;
use ipnet::Ipv4Net;

use crate::corpus::Numbers;
use crate::meter::cpu_ns;

/// The AS of everybody.
pub const AS: Asn = Asn(65000);
/// What one call of `poll_transmit` may give: as much as the speaker asks for.
pub const BUDGET: usize = 64 * 1024;

/// The tables, a clock, and what calls have cost.
#[derive(Debug)]
pub struct Tables {
    /// The tables.
    pub rib: Rib,
    /// What time it is.
    pub now: Duration,
    /// CPU time of all calls since it was taken last, in nanoseconds.
    spent: f64,
    /// Calls since then, and the longest.
    calls: u64,
    longest: f64,
}

/// What some calls cost.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// CPU time in nanoseconds.
    pub ns: f64,
    /// How many calls.
    pub calls: u64,
    /// The longest, in nanoseconds.
    pub longest: f64,
}

impl Tables {
    /// Empty tables.
    #[must_use]
    pub fn new() -> Self {
        let rib = Rib::new(RibConfig::new(AS, RouterId(1)));
        Self { rib, now: Duration::ZERO, spent: 0.0, calls: 0, longest: 0.0 }
    }

    /// Runs a call and notes what it cost.
    pub fn call<T>(&mut self, call: impl FnOnce(&mut Rib) -> T) -> T {
        let start = cpu_ns();
        let result = call(&mut self.rib);
        let ns = cpu_ns() - start;
        self.spent += ns;
        self.calls += 1;
        self.longest = self.longest.max(ns);
        result
    }

    /// What was spent since this was asked last.
    pub fn cost(&mut self) -> Cost {
        let cost = Cost { ns: self.spent, calls: self.calls, longest: self.longest };
        (self.spent, self.calls, self.longest) = (0.0, 0, 0.0);
        cost
    }

    /// Hands an input to the tables.
    pub fn input(&mut self, input: Input<'_>) {
        let now = self.now;
        self.call(|rib| rib.handle(now, input));
        while self.rib.poll_event().is_some() {}
    }

    /// A client of the reflector comes up.
    pub fn up(&mut self, n: usize) {
        self.up_with(n, |_| {});
    }

    /// A client comes up that differs in something.
    pub fn up_with(&mut self, n: usize, differ: impl FnOnce(&mut PeerParams)) {
        let mut params = client(n);
        differ(&mut params);
        self.input(Input::PeerUp(peer(n), Box::new(params)));
    }

    /// A peer says what stands in these messages.
    pub fn tell(&mut self, n: usize, feed: &[BytesMut]) {
        let codec = codec();
        for frame in feed {
            let view = codec.decode_update(frame).expect("the feed is our own");
            self.input(Input::Update(peer(n), &view));
        }
    }

    /// All that the tables have left over.
    pub fn settle(&mut self) {
        while self.rib.poll_timeout().is_some_and(|due| due <= self.now) {
            self.input(Input::Tick);
        }
    }

    /// Peers read in turn, as sockets do that take as much as each other, until nobody has anything left.
    pub fn read_together(&mut self, peers: impl Iterator<Item = usize>) {
        let mut reading: Vec<usize> = peers.collect();
        while !reading.is_empty() {
            reading.retain(|&n| {
                let transmit = self.call(|rib| rib.poll_transmit(peer(n), BUDGET));
                transmit.is_some_and(|transmit| !transmit.is_last())
            });
        }
    }

    /// A peer reads all there is for it; how many octets.
    pub fn read(&mut self, n: usize) -> usize {
        let mut octets = 0;
        while let Some(transmit) = self.call(|rib| rib.poll_transmit(peer(n), BUDGET)) {
            octets += transmit.len();
            if transmit.is_last() {
                break;
            }
        }
        octets
    }
}

impl Default for Tables {
    fn default() -> Self {
        Self::new()
    }
}

/// What all sessions here have negotiated.
#[must_use]
pub fn codec() -> Codec {
    let families = FamilySet::of(&[Family::IPV4_UNICAST]);
    Codec { peer: PeerKind::Internal, four_octet_as: true, families, ..Codec::before_open() }
}

/// The name of a peer.
#[must_use]
pub fn peer(n: usize) -> PeerId {
    PeerId(n as u32)
}

/// A reflector's client.
#[must_use]
pub fn client(n: usize) -> PeerParams {
    let address = |host| IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + host));
    let id = 100 + n as u32;
    PeerParams {
        role: PeerRole::Client,
        import: Policy::accept_all(),
        export: Policy::accept_all(),
        ..PeerParams::new(AS, AS, RouterId(id), address(id), address(1), codec())
    }
}

/// A table as messages of one attribute set each: about five prefixes share one, and each set stands with several. `of`
/// makes another table of the same prefixes, with its own next hop.
#[must_use]
pub fn feed(prefixes: usize, of: usize) -> Vec<BytesMut> {
    let mut n = Numbers::new(1 + of as u64);
    let mut left: Vec<Ipv4Net> = (0..prefixes as u32).map(slash24).collect();
    let mut messages = Vec::new();
    while !left.is_empty() {
        let take = (n.range(1, 8) as usize).min(left.len());
        let block = attributes(Numbers::new(n.below(prefixes as u64 / 10)), None);
        messages.push(message(left.drain(left.len() - take..), &block, of));
    }
    messages
}

/// Prefixes with one attribute set for each message of `per`; `local_pref` decides between such tables.
#[must_use]
pub fn plain(prefixes: impl Iterator<Item = u32>, per: usize, of: usize, local_pref: u32) -> Vec<BytesMut> {
    let prefixes: Vec<Ipv4Net> = prefixes.map(slash24).collect();
    let block = attributes(Numbers::new(of as u64), Some(local_pref));
    prefixes.chunks(per).map(|chunk| message(chunk.iter().copied(), &block, of)).collect()
}

fn message(prefixes: impl Iterator<Item = Ipv4Net>, block: &[u8], of: usize) -> BytesMut {
    let mut out = BytesMut::new();
    let next_hop = NextHop::V4(Ipv4Addr::from(0x0a00_0064 + of as u32));
    let nlri = prefixes.map(|prefix| (PathId(0), prefix));
    announce(&mut out, &codec(), Family::IPV4_UNICAST, &next_hop, block, nlri);
    out
}

/// The prefix of a number.
#[must_use]
pub fn slash24(n: u32) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::from(0x0100_0000 + n * 256), 24)
}

fn attributes(mut n: Numbers, local_pref: Option<u32>) -> Vec<u8> {
    let mut block = Vec::new();
    let asns = (0..n.range(2, 6)).map(|_| Asn(n.range(1, 64_000) as u32)).collect::<Vec<_>>();
    let med = local_pref.is_none() && n.below(3) == 0;
    let attributes = PathAttributes {
        as_path: AsPath::sequence(asns),
        med: med.then(|| n.below(500) as u32),
        local_pref: Some(local_pref.unwrap_or(100)),
        communities: (0..n.range(0, 8)).map(|_| Community::new(65000, n.below(65_536) as u16)).collect(),
        ..PathAttributes::default()
    };
    attributes.encode_block(&mut block).expect("nothing in it is refused");
    block
}
