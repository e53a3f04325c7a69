//! One table: prefixes, their paths, and the lists that make a peer's loss cost no more than its routes.

use core::hash::BuildHasher;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bgp_wire::{Family, NextHop};

use crate::add_path::PathLogs;
use crate::aggregate::Aggregates;
use crate::attributes::{AttributeStore, AttributesId, Facts};
use crate::config::RibConfig;
use crate::decision::Ladder;
use crate::group::Groups;
use crate::import::Ineligible;
use crate::index::Index;
use crate::log::Log;
use crate::long_list::LongList;
use crate::next_hops::NextHopTable;
use crate::origin_validation::VrpTable;
use crate::origins::TwoOrigins;
use crate::path::{LOCAL, Path};
use crate::peer::{PeerTable, Peers};
use crate::prefix::Key;
use crate::slab::{NONE, Slab};
use crate::staleness::Marks;

/// More than one source was best since the prefix came.
pub(crate) const MANY: u32 = u32::MAX - 2;

/// What all tables share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: RibConfig,
    pub(crate) peers: Peers,
    pub(crate) attributes: AttributeStore,
    pub(crate) next_hops: NextHopTable,
    pub(crate) aggregates: Aggregates,
    pub(crate) vrps: VrpTable,
    /// Prefixes that were found to have two origins, to be told.
    pub(crate) two_origins: Vec<TwoOrigins>,
    pub(crate) ladder: Ladder,
    /// Who kept our former routes is told our own alone.
    pub(crate) defers_selection: bool,
}

impl Shared {
    /// Gives a reference on an attribute set back, and with the last one those that it holds itself.
    pub(crate) fn release(&mut self, id: AttributesId) {
        let mut next = Some(id);
        while let Some(gone) = next.and_then(|id| self.attributes.release(id)) {
            if gone.next_hop != NONE {
                self.next_hops.release(gone.next_hop);
            }
            next = gone.received;
        }
    }

    /// Names an attribute set; the reference on the next hop goes over to it or is given back.
    pub(crate) fn intern(&mut self, block: &[u8], next_hop: u32, facts: Option<Facts>) -> AttributesId {
        let (id, fresh) = self.attributes.intern(block, next_hop, facts);
        if !fresh && next_hop != NONE {
            self.next_hops.release(next_hop);
        }
        id
    }

    /// The next hop that a set was received with.
    pub(crate) fn next_hop(&self, id: AttributesId) -> Option<NextHop> {
        self.next_hops.get(self.attributes[id].next_hop).map(|entry| entry.next_hop)
    }
}

/// A prefix: 16 bytes in IPv4.
#[derive(Debug)]
pub(crate) struct Entry<K> {
    /// Its first path, the best one if `has_best`.
    pub(crate) paths: u32,
    /// The only slot that was ever best since the prefix came, `NONE`, or [`MANY`].
    pub(crate) sole: u32,
    pub(crate) key: K,
    pub(crate) state: State,
    /// Some path had a MULTI_EXIT_DISC since the prefix came: preference may be no total order.
    pub(crate) med: bool,
    /// It has so many paths that they are in a list of their own.
    pub(crate) long: bool,
}

/// Where a prefix stands in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// Its slot is free.
    Free,
    /// It has no usable path, or its withdrawal has still to be read.
    NoBest,
    /// Its first path is the best.
    Best,
}

/// What a reader of the best path sees of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Seen {
    pub(crate) attributes: AttributesId,
    pub(crate) peer: u32,
    /// Whose route it is, of those of this speaker's own: policies and followers know owners. 0 for peers' routes; where
    /// NLRI vary, the path identifier, as each path has its own.
    pub(crate) owner: u32,
}

/// What happened to a prefix before it is decided anew.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Touched {
    /// What readers saw of it.
    pub(crate) before: Option<Seen>,
    /// A path of its multipath set went or changed.
    pub(crate) multipath: bool,
    /// This path means something else now although it looks the same: its source came back as another, or labels changed.
    pub(crate) renamed: Option<u32>,
    /// The only path that came or changed.
    pub(crate) only: Option<u32>,
}

impl Touched {
    pub(crate) const fn new(before: Option<Seen>) -> Self {
        Self { before, multipath: false, renamed: None, only: None }
    }
}

/// What is told of a prefix.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    pub(crate) peer: u32,
    pub(crate) path_id: u32,
    pub(crate) attributes: AttributesId,
    pub(crate) verdict: u8,
}

/// One family's Adj-RIBs-In, Loc-RIB and Adj-RIBs-Out.
#[derive(Debug)]
pub(crate) struct Table<K> {
    pub(crate) family: Family,
    index: Index,
    pub(crate) hasher: FixedState,
    pub(crate) entries: Slab<Entry<K>>,
    pub(crate) paths: Slab<Path>,
    /// Prefixes with many paths.
    pub(crate) long: BTreeMap<u32, LongList>,
    /// More paths than this are many.
    pub(crate) many_paths: usize,
    /// NLRI of paths that differ from the one of the entry in what is no key.
    variants: HashMap<u32, K, FixedState>,
    /// Changes of best paths.
    pub(crate) log: Log,
    /// Changes of multipath sets, where followers want them.
    pub(crate) multipath: Option<Log>,
    /// Changes of nothing but whether a route is stale, where followers want them.
    pub(crate) marks: Option<Box<Marks>>,
    /// Changes of the paths that ADD-PATH peers are told, where there are any.
    pub(crate) path_logs: PathLogs,
    pub(crate) peers: Vec<PeerTable>,
    pub(crate) groups: Groups,
    /// No reader is sent its End-of-RIB for now (RFC 4724 §4.1).
    pub(crate) defers_end_of_rib: bool,
    /// The reader that was served last was sent its End-of-RIB.
    pub(crate) said_end: bool,
    /// Prefixes that have a best path.
    pub(crate) best: usize,
    /// Prefixes with two origins of which that was told.
    pub(crate) contested: BTreeSet<u32>,
    /// How far tombstones have been looked for: in `log`, in `multipath`.
    pub(crate) reaped: [u64; 2],
    /// The next prefix to decide anew after a next hop changed, and whether one changed again meanwhile.
    pub(crate) rescan: Option<u32>,
    pub(crate) rescan_again: bool,
    /// How many next hops a prefix may have is another number now: the rescan tells those that have several.
    pub(crate) tells_ways: bool,
    /// Some aggregate suppresses what lies inside it, or did and that is not told yet.
    pub(crate) suppresses: bool,
    /// The next prefix to tell anew, if what is suppressed changed; and how often that had been when it was looked at.
    pub(crate) retell: Option<u32>,
    pub(crate) flips: u32,
    /// Of memberships: peers that told some, or no longer, since this was looked at.
    pub(crate) touched: Vec<u32>,
    /// Of memberships: the path, with its attributes, that non-clients are told where the best one is not for them.
    pub(crate) inside: BTreeMap<u32, (u32, AttributesId)>,
    /// Head of the log when idle readers were last told.
    pub(crate) woken: u64,
    /// Idle readers that have something to read now. They are said to be pending one by one, as events are taken: one change
    /// is news to all of ten thousand peers.
    pub(crate) waking: VecDeque<u32>,
}

impl<K: Key> Table<K> {
    pub(crate) fn new(family: Family, config: &RibConfig) -> Self {
        Self {
            family,
            index: Index::default(),
            hasher: FixedState::with_seed(config.seed),
            entries: Slab::new(),
            paths: Slab::new(),
            long: BTreeMap::new(),
            many_paths: config.many_paths.max(1),
            variants: HashMap::with_hasher(FixedState::with_seed(config.seed)),
            log: Log::new(),
            multipath: config.has_multipath().then(Log::new),
            marks: None,
            path_logs: PathLogs::default(),
            peers: Vec::new(),
            groups: Groups::default(),
            defers_end_of_rib: false,
            said_end: false,
            best: 0,
            contested: BTreeSet::new(),
            reaped: [0; 2],
            rescan: None,
            rescan_again: false,
            tells_ways: false,
            suppresses: false,
            retell: None,
            flips: 0,
            touched: Vec::new(),
            inside: BTreeMap::new(),
            woken: 0,
            waking: VecDeque::new(),
        }
    }

    /// What a peer has here; made on first use.
    pub(crate) fn peer_mut(&mut self, slot: u32) -> &mut PeerTable {
        let index = slot as usize;
        if self.peers.len() <= index {
            self.peers.resize_with(index + 1, PeerTable::new);
        }
        &mut self.peers[index]
    }

    pub(crate) fn peer(&self, slot: u32) -> Option<&PeerTable> {
        self.peers.get(slot as usize)
    }

    /// Octets of the index.
    pub(crate) fn index_memory(&self) -> usize {
        self.index.memory()
    }

    /// The name of a prefix.
    pub(crate) fn find(&self, key: &K) -> Option<u32> {
        let hash = self.hasher.hash_one(key);
        self.index.find(hash, |id| self.entries[id].key == *key)
    }

    fn find_or_insert(&mut self, key: &K) -> u32 {
        let hash = self.hasher.hash_one(key);
        let (entries, hasher) = (&mut self.entries, &self.hasher);
        if let Some(id) = self.index.find(hash, |id| entries[id].key == *key) {
            return id;
        }
        let key = key.clone();
        let id = entries.insert(Entry {
            paths: NONE,
            sole: NONE,
            key,
            state: State::NoBest,
            med: false,
            long: false,
        });
        self.index.insert(hash, id, |id| hasher.hash_one(&entries[id].key));
        id
    }

    /// The NLRI of a path, with what is only told with it.
    pub(crate) fn nlri(&self, at: u32) -> &K {
        let entry = || &self.entries[self.paths[at].prefix].key;
        if K::VARIES { self.variants.get(&at).unwrap_or_else(entry) } else { entry() }
    }

    /// A path is told with this NLRI; whether it had another. The entry takes that of its only path.
    fn put_nlri(&mut self, id: u32, at: u32, key: K) -> bool {
        if self.nlri(at).is_same(&key) {
            return false;
        }
        let alone = self.entries[id].paths == at && self.paths[at].next == NONE;
        if alone || self.entries[id].key.is_same(&key) {
            self.variants.remove(&at);
            self.entries[id].key = key;
        } else {
            self.variants.insert(at, key);
        }
        true
    }

    /// Those of some prefixes that have no best path, with their hashes. Their places in the index are far apart: looked at
    /// one right after the other they are waited for together, which is most of what forgetting them takes.
    pub(crate) fn tombstones_of(&self, looked: &[(u64, u32)]) -> Vec<(u32, u64)> {
        let hash = |&(_, id): &(u64, u32)| {
            let entry = &self.entries[id];
            let hash = (entry.state == State::NoBest).then(|| self.hasher.hash_one(&entry.key))?;
            self.index.find(hash, |other| other == id).map(|id| (id, hash))
        };
        looked.iter().filter_map(hash).collect()
    }

    /// Forgets a prefix that has no path and of which no reader has still to hear.
    pub(crate) fn forget_if_unused(&mut self, id: u32) {
        if self.is_unused(id) {
            self.forget(id, self.hasher.hash_one(&self.entries[id].key));
        }
    }

    /// Whether a prefix has no path, and no reader has still to hear of it.
    pub(crate) fn is_unused(&self, id: u32) -> bool {
        let entry = &self.entries[id];
        let logged = || {
            self.log.position(id).is_some()
                || self.multipath.as_ref().is_some_and(|log| log.position(id).is_some())
                || self.path_logs.holds(id)
        };
        entry.state == State::NoBest && entry.paths == NONE && !logged()
    }

    /// Forgets a prefix, which has this hash.
    pub(crate) fn forget(&mut self, id: u32, hash: u64) {
        self.index.remove(hash, |other| other == id);
        self.entries[id].state = State::Free;
        self.entries.remove(id);
        self.unmark(id);
        self.contested.remove(&id);
        if self.entries.len() == 0 {
            self.give_back();
        }
    }

    /// The table is empty: what it grew to is given back.
    fn give_back(&mut self) {
        self.log.forget_positions();
        if let Some(log) = &mut self.multipath {
            log.forget_positions();
        }
        self.forget_marks();
        self.path_logs.forget_positions();
        self.index.give_back();
    }

    /// The best path of a prefix.
    pub(crate) fn best_path(&self, id: u32) -> Option<&Path> {
        let entry = &self.entries[id];
        (entry.state == State::Best).then(|| &self.paths[entry.paths])
    }

    /// What a reader of the best path sees.
    pub(crate) fn seen(&self, id: u32) -> Option<Seen> {
        let seen = |path: &Path| {
            let owner = if K::VARIES || path.peer == LOCAL { path.path_id } else { 0 };
            Seen { attributes: path.attributes, peer: path.peer, owner }
        };
        self.best_path(id).map(seen)
    }

    /// A route is told: new, again, or instead of the one with the same prefix and path identifier.
    pub(crate) fn announce(&mut self, shared: &mut Shared, key: K, told: Told) {
        if told.peer != LOCAL && self.is_full(told.peer) {
            return self.announce_in_place(shared, key, told);
        }
        let id = self.find_or_insert(&key);
        match self.find_path(id, told.peer, told.path_id) {
            Some(path) => self.replace(shared, id, path, key, told),
            None => self.add(shared, id, key, told),
        }
    }

    /// Whether no more paths of a peer are stored: for their number, or for its memory.
    fn is_full(&self, slot: u32) -> bool {
        self.peer(slot).is_some_and(|peer| peer.has_told_all() || peer.bounds.closed)
    }

    /// A route takes the place of one that stands, or is not stored. One that a former session left would be one more of
    /// this session: it stays as it is and goes as what is stale does.
    fn announce_in_place(&mut self, shared: &mut Shared, key: K, told: Told) {
        let stands = self.find(&key).and_then(|id| Some((id, self.find_path(id, told.peer, told.path_id)?)));
        let is_more = |path: u32| {
            self.is_former(&self.paths[path]) && self.peer(told.peer).is_some_and(PeerTable::has_told_all)
        };
        match stands.filter(|&(_, path)| !is_more(path)) {
            Some((id, path)) => self.replace(shared, id, path, key, told),
            None => self.peer_mut(told.peer).bounds.refuse(),
        }
    }

    /// A route that stands, and whose new attributes would take more memory than there is, is told no more.
    pub(crate) fn take_back(&mut self, shared: &mut Shared, key: &K, peer: u32, path_id: u32) {
        if let Some(path) = self.find(key).and_then(|id| self.find_path(id, peer, path_id)) {
            self.remove_path(shared, path);
            self.peer_mut(peer).bounds.refuse();
        }
    }

    /// The verdict on a path that import lets pass, where no more may take part; `was`: the path had this verdict before.
    pub(crate) fn within_bounds(&self, slot: u32, verdict: u8, was: Option<u8>) -> u8 {
        let full = |peer: &PeerTable| peer.accepted >= peer.bounds.accepted;
        if verdict == 0 && was != Some(0) && slot != LOCAL && self.peer(slot).is_some_and(full) {
            return Ineligible::OverLimit as u8;
        }
        verdict
    }

    fn add(&mut self, shared: &mut Shared, id: u32, key: K, mut told: Told) {
        told.verdict = self.within_bounds(told.peer, told.verdict, None);
        let before = self.seen(id);
        shared.attributes.retain(told.attributes, 1);
        let generation = self.peer(told.peer).map_or(0, |peer| peer.generation);
        let path = self.place(Path {
            peer: told.peer,
            path_id: told.path_id,
            attributes: told.attributes,
            prefix: id,
            next: NONE,
            newer: NONE,
            older: NONE,
            generation,
            verdict: told.verdict,
            multipath: false,
        });
        self.link_to_prefix(id, path);
        if K::VARIES {
            self.put_nlri(id, path, key);
        }
        if told.peer != LOCAL {
            self.link_newest(path);
            let peer = self.peer_mut(told.peer);
            peer.received += 1;
            peer.current += 1;
            peer.accepted += u32::from(told.verdict == 0);
            peer.rejected += is(told.verdict, Ineligible::ImportPolicy);
            peer.bounds.over += is(told.verdict, Ineligible::OverLimit);
        }
        self.note_membership(told.peer);
        self.note_med(shared, id, told.attributes);
        self.decide(shared, id, Touched { only: Some(path), ..Touched::new(before) });
    }

    /// What a peer wants may have changed.
    fn note_membership(&mut self, slot: u32) {
        if self.is_membership() && slot != LOCAL && self.touched.last() != Some(&slot) {
            self.touched.push(slot);
        }
    }

    /// Stores a path under the name that it had before it went, if that is still in use.
    fn place(&mut self, path: Path) -> u32 {
        match self.dig_up((path.prefix, path.peer, path.path_id)) {
            Some(name) => {
                self.paths[name] = path;
                name
            }
            None => self.paths.insert(path),
        }
    }

    fn note_med(&mut self, shared: &Shared, id: u32, attributes: AttributesId) {
        self.entries[id].med |= shared.attributes[attributes].summary.med.is_some();
    }

    fn replace(&mut self, shared: &mut Shared, id: u32, path: u32, key: K, mut told: Told) {
        told.verdict = self.within_bounds(told.peer, told.verdict, Some(self.paths[path].verdict));
        let was_former = self.is_former(&self.paths[path]);
        self.renew(path, told.peer);
        let varied = K::VARIES && self.put_nlri(id, path, key);
        let was = &self.paths[path];
        // What this session told before, and tells again in a refresh, was told under its own identity.
        let renamed = varied || (was_former && shared.peers.get(told.peer).is_some_and(|peer| peer.renamed));
        if was.attributes != told.attributes || was.verdict != told.verdict || renamed {
            self.change(shared, id, path, told, renamed);
        } else if was_former {
            self.mark(path);
        }
    }

    /// A path gets other attributes or another verdict.
    pub(crate) fn change(&mut self, shared: &mut Shared, id: u32, path: u32, told: Told, renamed: bool) {
        let before = self.seen(id);
        self.leave_order(shared, id, path);
        let was = &self.paths[path];
        let (old, old_verdict, was_multipath) = (was.attributes, was.verdict, was.multipath);
        shared.attributes.retain(told.attributes, 1);
        self.paths[path].attributes = told.attributes;
        self.paths[path].verdict = told.verdict;
        if told.peer != LOCAL {
            let peer = self.peer_mut(told.peer);
            peer.accepted = peer.accepted - u32::from(old_verdict == 0) + u32::from(told.verdict == 0);
            let moves = |of| (is(old_verdict, of), is(told.verdict, of));
            let (was, now) = moves(Ineligible::OverLimit);
            peer.bounds.over = peer.bounds.over - was + now;
            let (was, now) = moves(Ineligible::ImportPolicy);
            peer.rejected = peer.rejected - was + now;
        }
        let renamed = renamed.then_some(path);
        if old != told.attributes || renamed.is_some() {
            self.path_logs.touch(path);
        }
        self.note_membership(told.peer);
        let touched = Touched { before, multipath: was_multipath, renamed, only: Some(path) };
        self.note_med(shared, id, told.attributes);
        self.decide(shared, id, touched);
        shared.release(old);
    }

    /// A route is told no more.
    pub(crate) fn withdraw(&mut self, shared: &mut Shared, key: &K, peer: u32, path_id: u32) {
        let Some(id) = self.find(key) else { return };
        if let Some(path) = self.find_path(id, peer, path_id) {
            self.remove_path(shared, path);
        }
    }

    pub(crate) fn remove_path(&mut self, shared: &mut Shared, path: u32) {
        let id = self.paths[path].prefix;
        let before = self.seen(id);
        self.leave_order(shared, id, path);
        if self.unlink_from_prefix(id, path) {
            self.entries[id].state = State::NoBest;
        }
        let gone = &self.paths[path];
        let (slot, attributes, multipath) = (gone.peer, gone.attributes, gone.multipath);
        let (verdict, generation) = (gone.verdict, gone.generation);
        if slot != LOCAL {
            self.unlink_from_peer(path);
            let peer = self.peer_mut(slot);
            peer.received -= 1;
            peer.accepted -= u32::from(verdict == 0);
            peer.rejected -= is(verdict, Ineligible::ImportPolicy);
            peer.bounds.over -= is(verdict, Ineligible::OverLimit);
            peer.leave_generation(generation);
        }
        if K::VARIES {
            self.variants.remove(&path);
        }
        self.note_membership(slot);
        self.bury(path);
        self.decide(shared, id, Touched { multipath, only: Some(NONE), ..Touched::new(before) });
        shared.release(attributes);
    }

    /// Brings a path into the current generation of its peer.
    fn renew(&mut self, path: u32, slot: u32) {
        if slot == LOCAL {
            return;
        }
        let (generation, was) = (self.peer_mut(slot).generation, self.paths[path].generation);
        if was == generation {
            return;
        }
        self.unlink_from_peer(path);
        self.paths[path].generation = generation;
        self.link_newest(path);
        let peer = self.peer_mut(slot);
        peer.leave_generation(was);
        peer.current += 1;
    }

    fn link_newest(&mut self, path: u32) {
        let slot = self.paths[path].peer;
        let peer = self.peer_mut(slot);
        let second = core::mem::replace(&mut peer.newest, path);
        if second == NONE {
            peer.oldest = path;
        } else {
            self.paths[second].newer = path;
        }
        self.paths[path].older = second;
        self.paths[path].newer = NONE;
    }

    fn unlink_from_peer(&mut self, path: u32) {
        let Path { peer, newer, older, .. } = self.paths[path];
        self.pass_by(peer, path, older);
        match newer {
            NONE => self.peer_mut(peer).newest = older,
            newer => self.paths[newer].older = older,
        }
        match older {
            NONE => self.peer_mut(peer).oldest = newer,
            older => self.paths[older].newer = newer,
        }
    }
}

/// One, if a path has this verdict.
fn is(verdict: u8, reason: Ineligible) -> u32 {
    u32::from(verdict == reason as u8)
}

#[cfg(test)]
mod tests {
    use ipnet::{Ipv4Net, Ipv6Net};

    use super::*;
    use crate::attributes::AttributeSet;
    use crate::nlri::RouteNlri;

    #[test]
    fn what_a_prefix_a_path_and_a_set_of_attributes_cost() {
        assert_eq!(size_of::<Entry<Ipv4Net>>(), 16);
        assert_eq!(size_of::<Entry<Ipv6Net>>(), 28);
        assert_eq!(size_of::<Entry<RouteNlri>>(), 48);
        assert_eq!(size_of::<Path>(), 32);
        assert!(size_of::<AttributeSet>() <= 64);
    }
}
