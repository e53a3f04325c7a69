//! Update groups: peers that are sent the same bytes, and the cursor that each of them is.

use std::collections::{BTreeMap, VecDeque};

use crate::batch::Mode;
use crate::bounded::Bounded;
use crate::config::RibConfig;
use crate::export::{GroupKey, Origin};
use crate::log::Log;
use crate::per_client::OwnBest;
use crate::pieces::Batch;
use crate::slab::BitSet;

/// A peer's Adj-RIB-Out in one table: how far it has read, and what it is still owed.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) group: u32,
    /// The log that it reads: of a selection of paths, `NONE` for the best ones.
    pub(crate) log: u32,
    /// What the peer is as a source: its own routes are not told to it.
    pub(crate) origin: Origin,
    /// Everything below was read.
    pub(crate) cursor: u64,
    /// The same for the log of its group's own choices.
    pub(crate) own: u64,
    /// Where the log's head was when the session came up: withdrawals from before concern it not.
    pub(crate) birth: u64,
    pub(crate) end_of_rib: EndOfRib,
    pub(crate) refresh: Option<RefreshWalk>,
    /// It changed its group; before it reads on it hears the difference, stretch by stretch.
    pub(crate) swap: Vec<SwapWalk>,
    /// It has read nothing on since it changed its group; it changed it again before it did; then, the last stretch was of its
    /// first table and not of a difference.
    pub(crate) stalled: bool,
    pub(crate) overtaken: bool,
    pub(crate) alternates: bool,
    /// It is to change its group again when fewer stretches are left.
    pub(crate) regroups: bool,
    /// What it was told, where a bound keeps more from it.
    pub(crate) bounded: Option<Box<Bounded>>,
    /// Prefixes that stood at the peer when it was last drained, or that its first walk has told it so far.
    pub(crate) advertised: u32,
    /// It stands in its group's list of idle members.
    pub(crate) listed: bool,
}

impl Reader {
    pub(crate) fn new((group, log): (u32, u32), origin: Origin, birth: u64) -> Self {
        let end_of_rib = EndOfRib::Walking;
        Self {
            group,
            log,
            origin,
            cursor: 0,
            own: 0,
            birth,
            end_of_rib,
            refresh: None,
            swap: Vec::new(),
            stalled: false,
            overtaken: false,
            alternates: false,
            regroups: false,
            bounded: None,
            advertised: 0,
            listed: false,
        }
    }

    /// From where on it may have to hear of withdrawals.
    pub(crate) fn hold(&self) -> u64 {
        self.cursor.max(self.birth)
    }

    /// End-of-RIB is due when the cursor has passed what stood at the start, and then once more what moved meanwhile: a
    /// route that moved ahead of the walk must not be missing when the peer sweeps (RFC 4724 §4.2).
    /// While something else holds it back, what comes belongs to what it follows.
    pub(crate) fn end_of_rib_due(&mut self, head: u64, defers: bool) -> bool {
        if defers && self.end_of_rib != EndOfRib::Sent {
            self.end_of_rib = EndOfRib::Walking;
        } else if self.end_of_rib == EndOfRib::Walking && self.cursor >= self.birth {
            self.end_of_rib = EndOfRib::Due(head);
        }
        matches!(self.end_of_rib, EndOfRib::Due(at) if self.cursor >= at)
    }

    /// The peer asks to be told everything again. What it has not been told yet it will be told anyway.
    pub(crate) fn ask_refresh(&mut self, bracketed: bool) {
        match &mut self.refresh {
            Some(walk) => walk.again |= walk.begun,
            none => *none = Some(RefreshWalk::new(bracketed)),
        }
    }

    /// Whether a refresh has still to wait: BoRR is not said before End-of-RIB (RFC 7313 §4).
    pub(crate) fn refresh_waits(&self) -> bool {
        self.end_of_rib != EndOfRib::Sent && self.refresh.is_some_and(|walk| walk.bracketed)
    }

    /// Whether there is nothing to hand out; with `defers` End-of-RIB is not to be said now, nor what waits for it.
    pub(crate) fn drained(&self, head: u64, defers: bool) -> bool {
        self.cursor >= head
            && (defers || self.end_of_rib == EndOfRib::Sent)
            && (self.refresh.is_none() || (defers && self.refresh_waits()))
            && self.swap.is_empty()
            && !self.bounded.as_ref().is_some_and(|bounded| bounded.can_refill())
    }
}

/// Where the announcement of the initial table stands (RFC 4724 §2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum EndOfRib {
    /// The walk has not come to where the head was at the start.
    Walking,
    /// It is due at this position.
    Due(u64),
    /// It was sent.
    Sent,
}

/// A second cursor that tells again what was told (RFC 2918, RFC 7313).
#[derive(Clone, Copy, Debug)]
pub(crate) struct RefreshWalk {
    /// Both sides know BoRR and EoRR.
    pub(crate) bracketed: bool,
    /// It began, with BoRR if bracketed.
    pub(crate) begun: bool,
    pub(crate) cursor: u64,
    /// Where the main cursor was when it began: what is behind that is told anyway.
    pub(crate) end: u64,
    /// The walk is over; EoRR is due when the main cursor has passed this: what moved meanwhile.
    pub(crate) finish: Option<u64>,
    /// Asked for again meanwhile.
    pub(crate) again: bool,
}

impl RefreshWalk {
    pub(crate) fn new(bracketed: bool) -> Self {
        Self { bracketed, begun: false, cursor: 0, end: 0, finish: None, again: false }
    }
}

/// A stretch of what a peer was told by the rules of a former group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SwapWalk {
    pub(crate) cursor: u64,
    pub(crate) end: u64,
    /// The former group, of which the peer is counted as a member until then.
    pub(crate) former: u32,
}

/// Peers of one key.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) key: GroupKey,
    /// The log that its members read.
    pub(crate) log: u32,
    /// Where the head of that log was when idle members were last told.
    pub(crate) woken: u64,
    pub(crate) members: u32,
    /// Members that have been drained and want to know when there is more.
    pub(crate) idle: Vec<u32>,
    /// Prefixes that any member may ever have been told since they came: the others need no withdrawal.
    pub(crate) ever: BitSet,
    /// Prefixes that stand, as of `front`, at every member that has read so far.
    pub(crate) standing: BitSet,
    pub(crate) standing_count: u32,
    /// Prefixes that its export policy rejects, as of `front`.
    rejected: BitSet,
    rejected_count: u32,
    /// The furthest position that was encoded for this group.
    pub(crate) front: u64,
    pub(crate) cache: Cache,
    /// Where its members are told another route than the best, if they may be.
    pub(crate) own: Option<Box<OwnBest>>,
}

impl Group {
    fn new(key: GroupKey, log: u32, config: &RibConfig) -> Self {
        Self {
            own: key.best_per_client.then(|| Box::new(OwnBest::new())),
            key,
            log,
            woken: 0,
            members: 0,
            idle: Vec::new(),
            ever: BitSet::default(),
            standing: BitSet::default(),
            standing_count: 0,
            rejected: BitSet::default(),
            rejected_count: 0,
            front: 0,
            cache: Cache::new(config.batch_cache, config.batch_prefixes as u64),
        }
    }

    /// Notes whether a prefix stands.
    pub(crate) fn stand(&mut self, id: u32, stands: bool) {
        if stands {
            self.standing_count += u32::from(self.standing.insert(id));
        } else {
            self.standing_count -= u32::from(self.standing.remove(id));
        }
    }

    /// Notes whether export policy rejects a prefix.
    pub(crate) fn reject(&mut self, id: u32, rejects: bool) {
        if rejects {
            self.rejected_count += u32::from(self.rejected.insert(id));
        } else if self.rejected_count > 0 {
            self.rejected_count -= u32::from(self.rejected.remove(id));
        }
    }

    /// How many prefixes its export policy rejects.
    pub(crate) const fn rejected(&self) -> u32 {
        self.rejected_count
    }
}

/// All groups of a table.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    slots: Vec<Option<Box<Group>>>,
    /// Groups with choices of their own; and how often any of these had news.
    owns: u32,
    pub(crate) own_news: u64,
}

impl Groups {
    /// The group of a key, with one member more; `log` is the one that the key's selection has.
    pub(crate) fn join(&mut self, key: GroupKey, log: u32, config: &RibConfig) -> u32 {
        let same = |group: &Option<Box<Group>>| group.as_ref().is_some_and(|group| group.key == key);
        let index = self.slots.iter().position(same).unwrap_or_else(|| {
            let free = self.slots.iter().position(Option::is_none).unwrap_or_else(|| {
                self.slots.push(None);
                self.slots.len() - 1
            });
            self.owns += u32::from(key.best_per_client);
            self.slots[free] = Some(Box::new(Group::new(key, log, config)));
            free
        });
        if let Some(group) = &mut self.slots[index] {
            group.members += 1;
        }
        u32::try_from(index).expect("there are no more groups than peers")
    }

    /// A member counts once more, for a stretch that it was told by this group's rules.
    pub(crate) fn stay(&mut self, index: u32) {
        if let Some(group) = self.get_mut(index) {
            group.members += 1;
            if let Some(own) = &mut group.own {
                own.walk(true);
            }
        }
    }

    /// A stretch that was told by this group's rules has been compared.
    pub(crate) fn depart(&mut self, index: u32) {
        if let Some(own) = self.get_mut(index).and_then(|group| group.own.as_mut()) {
            own.walk(false);
            own.settle();
        }
        self.leave(index);
    }

    /// Whether any group has choices of its own.
    pub(crate) const fn choose(&self) -> bool {
        self.owns > 0
    }

    /// The groups that have choices of their own, with their names.
    pub(crate) fn choosing(&mut self) -> impl Iterator<Item = (u32, &mut Group)> {
        let groups = (0..).zip(&mut self.slots).filter_map(|(at, group)| Some((at, group.as_deref_mut()?)));
        groups.filter(|(_, group)| group.own.is_some())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Group> {
        self.slots.iter().flatten().map(|group| &**group)
    }

    /// One member less; the last one takes the group along.
    pub(crate) fn leave(&mut self, index: u32) {
        if let Some(slot) = self.slots.get_mut(index as usize) {
            if let Some(group) = slot {
                group.members -= 1;
            }
            if let Some(group) = slot.as_ref().filter(|group| group.members == 0) {
                self.owns -= u32::from(group.own.is_some());
                *slot = None;
            }
        }
    }

    pub(crate) fn get(&self, index: u32) -> Option<&Group> {
        self.slots.get(index as usize)?.as_deref()
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut Group> {
        self.slots.get_mut(index as usize)?.as_deref_mut()
    }

    /// Takes a group out to work on it beside its table; it is put back with [`Groups::put`].
    pub(crate) fn take(&mut self, index: u32) -> Option<Box<Group>> {
        self.slots.get_mut(index as usize)?.take()
    }

    pub(crate) fn put(&mut self, index: u32, group: Box<Group>) {
        if let Some(slot) = self.slots.get_mut(index as usize) {
            *slot = Some(group);
        }
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Group> {
        self.slots.iter_mut().flatten().map(|group| &mut **group)
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.iter().flatten().count()
    }

    /// Octets that they hold.
    pub(crate) fn memory(&self) -> usize {
        let of = |group: &Group| {
            let bits = group.ever.memory() + group.standing.memory() + group.rejected.memory();
            bits + group.cache.bytes
        };
        self.slots.iter().flatten().map(|group| size_of::<Group>() + of(group)).sum()
    }

    /// Every reader of a log has heard that what had a name is gone: what comes under that name begins unannounced.
    pub(crate) fn forget(&mut self, log: u32, id: u32) {
        for group in self.iter_mut().filter(|group| group.log == log) {
            group.ever.remove(id);
            group.stand(id, false);
            group.reject(id, false);
            if let Some(own) = &mut group.own {
                own.forget(id);
            }
        }
    }

    /// Whether some export policy may give routes another next hop, which may be any peer's address.
    pub(crate) fn have_rules(&self) -> bool {
        let plain = |group: &Group| group.key.export.accepts_all() || group.key.export.rejects_all();
        self.slots.iter().flatten().any(|group| !plain(group))
    }

    /// A peer with a past comes back: audiences of cached batches may be wrong for it.
    pub(crate) fn clear_caches(&mut self) {
        for group in self.iter_mut() {
            group.cache.clear();
        }
    }
}

/// What a batch costs beside its bytes.
const BATCH_OVERHEAD: usize = 256;

/// A batch of so many bytes is worth a slice of its own, however far it brings its reader.
const FULL: usize = 16 * 1024;

/// Batches of one group that members which come to the same place may still use; the oldest go first.
#[derive(Debug)]
pub(crate) struct Cache {
    batches: BTreeMap<(Mode, u64), Batch>,
    order: VecDeque<(Mode, u64)>,
    bytes: usize,
    budget: usize,
    /// Prefixes that a batch covers at most.
    prefixes: u64,
}

impl Cache {
    fn new(budget: usize, prefixes: u64) -> Self {
        Self { batches: BTreeMap::new(), order: VecDeque::new(), bytes: 0, budget, prefixes }
    }

    /// The batch that begins at `from`, if it ends within `limit`, brings its reader far enough, and nothing of it moved
    /// since it was made.
    pub(crate) fn get(&self, mode: Mode, from: u64, limit: u64, log: &Log) -> Option<&Batch> {
        let batch = self.batches.get(&(mode, from))?;
        let far = batch.bytes.len() >= FULL || self.far(from, batch.to, limit);
        (batch.to <= limit && far && batch.is_current(log)).then_some(batch)
    }

    /// Where the next usable batch behind `from` begins: a batch that ends there brings its reader to the others.
    pub(crate) fn boundary(&self, mode: Mode, from: u64, limit: u64, log: &Log) -> Option<u64> {
        let (&(_, start), batch) = self.batches.range((mode, from + 1)..(mode, limit)).next()?;
        (self.far(from, start, limit) && batch.is_current(log)).then_some(start)
    }

    /// Whether a stretch is worth its own slice of bytes: a reader far behind must not go in the small steps of those that
    /// were always at the head.
    fn far(&self, from: u64, to: u64, limit: u64) -> bool {
        (to - from).saturating_mul(4) >= (limit - from).min(self.prefixes)
    }

    pub(crate) fn insert(&mut self, mode: Mode, batch: Batch) {
        let key = (mode, batch.from);
        self.bytes += batch.bytes.len() + BATCH_OVERHEAD;
        if let Some(old) = self.batches.insert(key, batch) {
            self.bytes -= old.bytes.len() + BATCH_OVERHEAD;
        } else {
            self.order.push_back(key);
        }
        while self.bytes > self.budget {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(old) = self.batches.remove(&oldest) {
                self.bytes -= old.bytes.len() + BATCH_OVERHEAD;
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.budget, self.prefixes);
    }
}
