//! The next hops in use: whether there is a way to each, at what cost, and whose address it is.

use std::net::IpAddr;

use bgp_wire::NextHop;
use core::hash::BuildHasher;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::event::{NextHopUse, Reachability};
use crate::slab::{NONE, Slab};

/// One next hop that some attribute set names.
#[derive(Clone, Debug)]
pub(crate) struct NextHopEntry {
    pub(crate) next_hop: NextHop,
    references: u32,
    /// The peer that has this address, `NONE` if none has: it is never told a route through itself.
    pub(crate) peer: u32,
    pub(crate) way: Way,
    /// The way changed, and not everybody was told who has to be.
    pub(crate) moved: bool,
    /// By which interface packets to it leave, if that is known; and whether that changed and is not told yet.
    pub(crate) interface: Option<Arc<str>>,
    pub(crate) rerouted: bool,
}

/// The way to a next hop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// Reachable at this interior cost.
    Metric(u32),
    /// None.
    Unreachable,
    /// It is an address of this speaker.
    Own,
}

/// All next hops in use, and what the caller said of addresses in use or not.
#[derive(Debug)]
pub(crate) struct NextHopTable {
    entries: Slab<NextHopEntry>,
    index: HashTable<u32>,
    hasher: FixedState,
    told: BTreeMap<IpAddr, Reachability>,
    interfaces: BTreeMap<IpAddr, Arc<str>>,
    peers: BTreeMap<IpAddr, u32>,
    own: BTreeMap<IpAddr, u32>,
    /// Whether the caller hears which addresses come into use and go out of it.
    tracked: bool,
    /// The way to some next hop changed, and not everybody was told who has to be.
    pub(crate) moved: bool,
    /// The interface to some next hop changed, likewise; and some export policy asks for interfaces.
    pub(crate) rerouted: bool,
    pub(crate) retells: bool,
    news: VecDeque<NextHopUse>,
}

impl NextHopTable {
    pub(crate) fn new(seed: u64, tracked: bool) -> Self {
        Self {
            entries: Slab::new(),
            index: HashTable::new(),
            hasher: FixedState::with_seed(seed),
            told: BTreeMap::new(),
            interfaces: BTreeMap::new(),
            peers: BTreeMap::new(),
            own: BTreeMap::new(),
            tracked,
            moved: false,
            rerouted: false,
            retells: false,
            news: VecDeque::new(),
        }
    }

    /// The next address that came into use or went out of it.
    pub(crate) fn poll_use(&mut self) -> Option<NextHopUse> {
        self.news.pop_front()
    }

    fn note(&mut self, next_hop: NextHop, use_of: fn(IpAddr) -> NextHopUse) {
        let at = next_hop.address();
        if self.tracked && !at.is_unspecified() && !self.names(at) {
            self.news.push_back(use_of(at));
        }
    }

    /// Whether an entry has this address.
    fn names(&self, at: IpAddr) -> bool {
        let mut same = self.index.iter_hash(self.hasher.hash_one(at));
        same.any(|&id| self.entries[id].next_hop.address() == at)
    }

    /// Names a next hop and counts one reference.
    pub(crate) fn intern(&mut self, next_hop: NextHop) -> u32 {
        let hash = self.hasher.hash_one(next_hop.address());
        let entries = &mut self.entries;
        if let Some(&id) = self.index.find(hash, |&id| entries[id].next_hop == next_hop) {
            entries[id].references += 1;
            return id;
        }
        self.note(next_hop, NextHopUse::Begins);
        let (entries, hasher) = (&mut self.entries, &self.hasher);
        let address = next_hop.address();
        let id = entries.insert(NextHopEntry {
            next_hop,
            references: 1,
            peer: self.peers.get(&address).copied().unwrap_or(NONE),
            way: way(&self.told, &self.own, address),
            moved: false,
            interface: self.interfaces.get(&address).cloned(),
            rerouted: false,
        });
        self.index.insert_unique(hash, id, |&id| hasher.hash_one(entries[id].next_hop.address()));
        id
    }

    /// Gives one reference back.
    pub(crate) fn release(&mut self, id: u32) {
        let entry = &mut self.entries[id];
        entry.references -= 1;
        if entry.references > 0 {
            return;
        }
        let next_hop = entry.next_hop;
        let hash = self.hasher.hash_one(next_hop.address());
        if let Ok(entry) = self.index.find_entry(hash, |&other| other == id) {
            entry.remove();
        }
        self.entries.remove(id);
        self.note(next_hop, NextHopUse::Ends);
    }

    /// A next hop by name; `NONE` has no entry.
    pub(crate) fn get(&self, id: u32) -> Option<&NextHopEntry> {
        (id != NONE).then(|| &self.entries[id])
    }

    /// The peer that has an address, `NONE` if none has.
    pub(crate) fn peer_at(&self, at: IpAddr) -> u32 {
        self.peers.get(&at).copied().unwrap_or(NONE)
    }

    /// The caller says what the way to an address is; whether a next hop in use changed by it.
    pub(crate) fn tell(&mut self, to: IpAddr, reachability: Reachability) -> bool {
        if reachability == Reachability::Metric(0) {
            self.told.remove(&to);
        } else {
            self.told.insert(to, reachability);
        }
        self.refresh(to)
    }

    /// The caller says by which interface packets to an address leave; whether a next hop in use changed by it.
    pub(crate) fn tell_interface(&mut self, to: IpAddr, interface: Option<&Arc<str>>) -> bool {
        match interface {
            Some(name) => self.interfaces.insert(to, name.clone()),
            None => self.interfaces.remove(&to),
        };
        let mut changed = false;
        for &id in self.index.iter_hash(self.hasher.hash_one(to)) {
            let entry = &mut self.entries[id];
            if entry.next_hop.address() == to && entry.interface.as_ref() != interface {
                entry.interface = interface.cloned();
                (entry.rerouted, self.rerouted, changed) = (true, true, true);
            }
        }
        changed
    }

    /// A peer with this address came; whether a next hop in use is its address.
    pub(crate) fn peer_up(&mut self, at: IpAddr, peer: u32) -> bool {
        self.peers.insert(at, peer);
        self.refresh(at)
    }

    /// The peer with this address went; whether a next hop in use was its address.
    pub(crate) fn peer_down(&mut self, at: IpAddr, peer: u32) -> bool {
        if self.peers.get(&at) == Some(&peer) {
            self.peers.remove(&at);
        }
        self.refresh(at)
    }

    /// An address of this speaker is in use on one more session; whether a next hop in use is that address.
    pub(crate) fn own_up(&mut self, at: IpAddr) -> bool {
        *self.own.entry(at).or_insert(0) += 1;
        self.refresh(at)
    }

    /// An address of this speaker is in use on one session less.
    pub(crate) fn own_down(&mut self, at: IpAddr) -> bool {
        if let Some(count) = self.own.get_mut(&at) {
            *count -= 1;
            if *count == 0 {
                self.own.remove(&at);
            }
        }
        self.refresh(at)
    }

    /// All tables have been walked since the last way changed.
    pub(crate) fn settle(&mut self) {
        self.retells = false;
        if core::mem::take(&mut self.moved) | core::mem::take(&mut self.rerouted) {
            for id in 0..self.entries.bound() {
                (self.entries[id].moved, self.entries[id].rerouted) = (false, false);
            }
        }
    }

    /// Brings the entries of one address up to date; whether any changed. An IPv6 address may stand in several, each with
    /// another link-local beside it: the index hashes the address alone.
    fn refresh(&mut self, at: IpAddr) -> bool {
        let peer = self.peers.get(&at).copied().unwrap_or(NONE);
        let way = way(&self.told, &self.own, at);
        let mut changed = false;
        for &id in self.index.iter_hash(self.hasher.hash_one(at)) {
            let entry = &mut self.entries[id];
            if entry.next_hop.address() == at {
                changed |= entry.peer != peer || entry.way != way;
                entry.moved |= entry.way != way;
                self.moved |= entry.moved;
                (entry.peer, entry.way) = (peer, way);
            }
        }
        changed
    }
}

fn way(told: &BTreeMap<IpAddr, Reachability>, own: &BTreeMap<IpAddr, u32>, at: IpAddr) -> Way {
    match told.get(&at) {
        _ if own.contains_key(&at) => Way::Own,
        Some(Reachability::Own) => Way::Own,
        Some(Reachability::Unreachable) => Way::Unreachable,
        Some(&Reachability::Metric(metric)) => Way::Metric(metric),
        None => Way::Metric(0),
    }
}
