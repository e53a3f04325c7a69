//! Nexthop objects (Linux 5.3): what many routes share is told the kernel once, and a route names it by number.
//!
//! Objects are used where they win. The kernel flushes an object, and every route that names it, when the carrier of its
//! link is lost, while it only flags a route that carries its next hops itself: a link that blinks must not take the few
//! routes of a node with one link away. Where legs are on several links the object wins: the group is rid of the dead leg
//! at once, for all its routes. And it wins in a large table, which is written in two thirds of the time.
//!
//! An object of ours carries our protocol number. What the kernel holds is read before every dump of routes, so what a
//! former process left is used again, a group that lost a leg with its link is not taken for what it was, and objects
//! that no route uses are removed.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use foldhash::quality::RandomState;
use netlink_packet_core::{
    Emitable, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NetlinkHeader,
};

use super::decode::{self, attributes};
use crate::kernel::fib::FibOp;
use crate::kernel::route::{KernelAction, KernelHop};

pub(super) const RTM_NEWNEXTHOP: u16 = 104;
pub(super) const RTM_DELNEXTHOP: u16 = 105;
const RTM_GETNEXTHOP: u16 = 106;

const NHA_ID: u16 = 1;
const NHA_GROUP: u16 = 2;
const NHA_OIF: u16 = 5;
const NHA_GATEWAY: u16 = 6;
/// NHA_BLACKHOLE and everything from NHA_ENCAP_TYPE on makes something that we never write.
const NHA_BLACKHOLE: u16 = 4;
const NHA_ENCAP_TYPE: u16 = 7;
const NHA_ENCAP: u16 = 8;
const NHA_FDB: u16 = 11;

const HEADER: usize = 16;
/// `struct nhmsg`.
const MESSAGE: usize = 8;
const ONLINK: u32 = 4;
const AF_UNSPEC: u8 = 0;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// Objects at once: far more sets of next hops than a node has, and some MiB of kernel memory. Routes beyond carry their
/// next hops themselves.
const MAX_OBJECTS: usize = 16 * 1024;
/// Routes of ours from which on those over one link share objects as well. A cluster's blocks and services are fewer, and
/// survive a blink of the link; a larger table takes so long to write that the time counts, and is written again.
const MANY: usize = 8192;
/// Of these, routes over the same legs from which on the next ones share an object: to make one costs as much as to write
/// some routes.
const SHARERS: usize = 64;
/// Objects removed per turn: each is a message, and the kernel looks at every route for it if it is in use.
const REMOVED_PER_TURN: usize = 256;
/// Our first number: clear of what administrators and other programs count up from 1.
const FIRST: u32 = 0x0b67_0000;

/// The objects of one protocol number.
#[derive(Debug)]
pub(super) struct Objects {
    protocol: u8,
    /// Protocols of ours before; what stands under them is removed when no route uses it.
    former: Vec<u8>,
    ids: HashMap<Arc<[KernelHop]>, u32, RandomState>,
    legs: BTreeMap<u32, Arc<[KernelHop]>>,
    /// What the groups are made of.
    members: BTreeMap<u32, Vec<u32>>,
    /// Numbers that others have, as last seen.
    foreign: HashSet<u32>,
    /// Routes of ours, more or less: those of the last look, and what was written since.
    routes: usize,
    /// Those of ours that no route names and none will: they are to be removed, groups before what they are made of.
    doomed: VecDeque<u32>,
    next: u32,
}

/// An object as the kernel tells it.
pub(super) struct Told {
    id: u32,
    ours: bool,
    /// Under a former protocol: not to be used any more.
    elder: bool,
    what: What,
}

enum What {
    Leg(KernelHop),
    Group(Vec<(u32, u16)>),
    Other,
}

impl Objects {
    pub(super) fn new(protocol: u8) -> Self {
        Self {
            protocol,
            former: Vec::new(),
            ids: HashMap::default(),
            legs: BTreeMap::new(),
            members: BTreeMap::new(),
            foreign: HashSet::new(),
            routes: 0,
            doomed: VecDeque::new(),
            next: FIRST,
        }
    }

    /// Ours are those of another protocol from now on.
    pub(super) fn reconfigure(&mut self, protocol: u8, former: &[u8]) {
        // Routes have left it; objects that none of them uses are still to be found.
        self.former.extend(former);
        self.former.retain(|former| *former != protocol);
        self.former.dedup();
        if std::mem::replace(&mut self.protocol, protocol) != protocol {
            // They are read again before the next write.
            self.ids.clear();
        }
    }

    /// The object that stands for these legs.
    pub(super) fn id(&self, legs: &[KernelHop]) -> Option<u32> {
        self.ids.get(legs).copied()
    }

    /// What one object stands for.
    pub(super) fn legs(&self, id: u32) -> Option<&Arc<[KernelHop]>> {
        self.legs.get(&id)
    }

    /// Forgets everything and takes what a dump told.
    pub(super) fn take(&mut self, told: &[Told]) {
        let Self { ids, legs, members, foreign, doomed, .. } = self;
        doomed.clear();
        ids.clear();
        legs.clear();
        members.clear();
        foreign.clear();
        let mut lone = HashMap::new();
        for object in told {
            match &object.what {
                _ if !object.ours => drop(foreign.insert(object.id)),
                What::Leg(leg) => drop(lone.insert(object.id, *leg)),
                // Ours by number, but nothing that we make: it stands in the way like another's.
                What::Other => drop(foreign.insert(object.id)),
                What::Group(_) => {}
            }
        }
        // Legs first: of a group with one leg left the leg is the better name.
        let (single, groups): (Vec<&Told>, Vec<&Told>) = (told.iter().filter(|object| object.ours))
            .partition(|object| matches!(object.what, What::Leg(_)));
        for object in single.into_iter().chain(groups) {
            let set = match &object.what {
                What::Leg(leg) => vec![*leg],
                What::Group(parts) => {
                    members.insert(object.id, parts.iter().map(|(id, _)| *id).collect());
                    let leg = |(id, weight): &(u32, u16)| {
                        lone.get(id).map(|leg| KernelHop { weight: *weight, ..*leg })
                    };
                    let Some(set) = parts.iter().map(leg).collect::<Option<Vec<_>>>() else { continue };
                    set
                }
                What::Other => continue,
            };
            if let KernelAction::Unicast(set) = KernelAction::unicast(set) {
                if !object.elder {
                    ids.entry(set.clone()).or_insert(object.id);
                }
                legs.insert(object.id, set);
            }
        }
    }

    /// Those of ours that are not in use, groups before what they are made of.
    pub(super) fn unused(&self, used: &HashSet<u32>) -> Vec<u32> {
        let groups = self.members.keys().filter(|id| !used.contains(id)).copied();
        let parts: HashSet<u32> = self
            .members
            .iter()
            .filter(|(id, _)| used.contains(id))
            .flat_map(|(_, parts)| parts.iter().copied())
            .collect();
        let lone = self
            .legs
            .keys()
            .filter(|id| !self.members.contains_key(id) && !used.contains(id) && !parts.contains(id));
        groups.chain(lone.copied()).collect()
    }

    /// These are to be removed; nothing is written over them any more.
    pub(super) fn doom(&mut self, unused: Vec<u32>) {
        for id in &unused {
            self.members.remove(id);
            if let Some(legs) = self.legs.get(id)
                && self.ids.get(legs) == Some(id)
            {
                self.ids.remove(legs);
            }
        }
        self.doomed = unused.into();
    }

    /// The next ones to remove, and whether there are more.
    pub(super) fn condemned(&mut self) -> (Vec<u32>, bool) {
        let some: Vec<u32> = self.doomed.drain(..self.doomed.len().min(REMOVED_PER_TURN)).collect();
        // Their numbers are free once they are gone.
        some.iter().for_each(|id| drop(self.legs.remove(id)));
        (some, !self.doomed.is_empty())
    }

    /// The legs that an operation writes, if an object is to stand for them.
    pub(super) fn wanted<'a>(&self, operation: &'a FibOp) -> Option<&'a Arc<[KernelHop]>> {
        let (FibOp::Add(_, KernelAction::Unicast(legs)) | FibOp::Replace(_, KernelAction::Unicast(legs))) =
            operation
        else {
            return None;
        };
        let named = legs.iter().all(|leg| leg.gateway.is_some());
        let links_differ = legs.windows(2).any(|two| matches!(two, [a, b] if a.device != b.device));
        // Whoever holds the legs is a route over them, give or take a few.
        let shared = || self.routes >= MANY && Arc::strong_count(legs) >= SHARERS;
        (named && (links_differ || shared())).then_some(legs)
    }

    /// So many routes of ours were seen.
    pub(super) fn saw_routes(&mut self, routes: usize) {
        self.routes = routes;
    }

    /// These operations were done.
    pub(super) fn wrote<'a>(&mut self, done: impl Iterator<Item = &'a FibOp>) {
        for operation in done {
            match operation {
                FibOp::Add(..) => self.routes += 1,
                FibOp::Replace(..) => {}
                FibOp::Delete(_) | FibOp::DeleteLegs(..) => self.routes = self.routes.saturating_sub(1),
            }
        }
    }

    /// What has to be made before there is one for these legs, in order: single legs, then their group. Nothing if there
    /// is one, or there are enough.
    pub(super) fn missing(&self, legs: &Arc<[KernelHop]>) -> Vec<Arc<[KernelHop]>> {
        if self.ids.contains_key(legs) || self.legs.len() + legs.len() >= MAX_OBJECTS {
            return Vec::new();
        }
        let mut missing = Vec::new();
        if legs.len() > 1 {
            let lone = legs.iter().map(|leg| Arc::from([KernelHop { weight: 1, ..*leg }]));
            missing.extend(lone.filter(|leg: &Arc<[KernelHop]>| !self.ids.contains_key(leg)));
        }
        missing.push(legs.clone());
        missing
    }

    /// Appends the message that makes an object for these legs; its number.
    pub(super) fn make(&mut self, out: &mut Vec<u8>, legs: &[KernelHop], sequence: u32) -> u32 {
        while self.foreign.contains(&self.next) || self.legs.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1).max(FIRST);
        }
        let id = self.next;
        self.next = self.next.wrapping_add(1).max(FIRST);
        let start = begin(out, RTM_NEWNEXTHOP, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, sequence);
        let (family, flags) = match legs {
            [leg] => {
                let v4 = leg.gateway.is_none_or(|gateway| gateway.is_ipv4());
                (if v4 { AF_INET } else { AF_INET6 }, if leg.onlink { ONLINK } else { 0 })
            }
            _ => (AF_UNSPEC, 0),
        };
        out.extend([family, 0, self.protocol, 0]);
        out.extend(flags.to_ne_bytes());
        attribute(out, NHA_ID, &id.to_ne_bytes());
        match legs {
            [leg] => {
                attribute(out, NHA_OIF, &leg.device.to_ne_bytes());
                match leg.gateway {
                    Some(std::net::IpAddr::V4(gateway)) => attribute(out, NHA_GATEWAY, &gateway.octets()),
                    Some(std::net::IpAddr::V6(gateway)) => attribute(out, NHA_GATEWAY, &gateway.octets()),
                    None => {}
                }
            }
            legs => {
                let mut group = Vec::with_capacity(legs.len() * 8);
                for leg in legs {
                    let part = self.id(&[KernelHop { weight: 1, ..*leg }]).unwrap_or_default();
                    group.extend(part.to_ne_bytes());
                    // nexthop_grp.weight counts from 0.
                    group.push(u8::try_from(leg.weight.clamp(1, 256) - 1).unwrap_or(u8::MAX));
                    group.extend([0; 3]);
                }
                attribute(out, NHA_GROUP, &group);
            }
        }
        end(out, start);
        id
    }

    /// The kernel took it.
    pub(super) fn made(&mut self, id: u32, legs: Arc<[KernelHop]>) {
        if legs.len() > 1 {
            let parts = legs.iter().filter_map(|leg| self.id(&[KernelHop { weight: 1, ..*leg }]));
            let parts = parts.collect();
            self.members.insert(id, parts);
        }
        self.legs.insert(id, legs.clone());
        self.ids.insert(legs, id);
    }

    /// Somebody else has this number.
    pub(super) fn taken(&mut self, id: u32) {
        self.foreign.insert(id);
    }

    /// Reads an object of a dump.
    pub(super) fn read(&self, payload: &[u8]) -> Option<Told> {
        let flags = u32::from_ne_bytes(payload.get(4..MESSAGE)?.try_into().ok()?);
        let protocol = *payload.get(2)?;
        let elder = self.former.contains(&protocol);
        let ours = protocol == self.protocol || elder;
        let mut leg = KernelHop { gateway: None, device: 0, onlink: flags & ONLINK != 0, weight: 1 };
        let (mut id, mut group, mut other) = (0, None, false);
        for (kind, value) in attributes(payload, MESSAGE) {
            match kind {
                NHA_ID => id = decode::number(value)?,
                NHA_OIF => leg.device = decode::number(value)?,
                NHA_GATEWAY => leg.gateway = decode::address(value),
                NHA_GROUP => group = Some(parts(value)),
                NHA_BLACKHOLE | NHA_ENCAP_TYPE | NHA_ENCAP | NHA_FDB => other = true,
                _ => {}
            }
        }
        let what = match group {
            _ if other => What::Other,
            Some(parts) => What::Group(parts),
            None if leg.device == 0 || leg.gateway.is_none() => What::Other,
            None => What::Leg(leg),
        };
        Some(Told { id, ours, elder, what })
    }
}

fn parts(value: &[u8]) -> Vec<(u32, u16)> {
    let part = |bytes: &[u8]| {
        let id = decode::number(bytes.get(..4)?)?;
        Some((id, u16::from(*bytes.get(4)?) + 1))
    };
    value.chunks_exact(8).filter_map(part).collect()
}

/// Appends a request for every object.
pub(super) fn dump(out: &mut Vec<u8>, sequence: u32) {
    let start = begin(out, RTM_GETNEXTHOP, NLM_F_DUMP, sequence);
    out.extend([0; MESSAGE]);
    end(out, start);
}

/// Appends the removal of an object; the kernel removes the routes that use it as well. The last of several asks for the
/// acknowledgement.
pub(super) fn remove(out: &mut Vec<u8>, id: u32, sequence: u32, last: bool) {
    let start = begin(out, RTM_DELNEXTHOP, if last { NLM_F_ACK } else { 0 }, sequence);
    out.extend([0; MESSAGE]);
    attribute(out, NHA_ID, &id.to_ne_bytes());
    end(out, start);
}

fn begin(out: &mut Vec<u8>, kind: u16, flags: u16, sequence: u32) -> usize {
    let start = out.len();
    let mut header = NetlinkHeader::default();
    header.message_type = kind;
    header.flags = flags | NLM_F_REQUEST;
    header.sequence_number = sequence;
    out.resize(start + HEADER, 0);
    header.emit(&mut out[start..]);
    start
}

fn end(out: &mut [u8], start: usize) {
    let length = u32::try_from(out.len() - start).expect("a message has at most 256 legs");
    out[start..start + 4].copy_from_slice(&length.to_ne_bytes());
}

/// Every value here is a multiple of four octets long, so that there is no padding.
fn attribute(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len() + 4).expect("a group has at most 256 legs");
    out.extend(length.to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(value);
}
