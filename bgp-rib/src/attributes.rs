//! Attribute sets, each stored once: what a route carries besides its prefix.
//!
//! A set is the canonical block of path attributes with the next hop. Beside the bytes stands a summary of all that the
//! decision and the rules ask for, so that neither ever reads attributes.

use bgp_wire::{AttributeBlock, Community};
use core::hash::BuildHasher;
use core::num::NonZeroU32;
use foldhash::fast::FixedState;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::index::Index;
use crate::policy::KernelTag;
use crate::slab::{NONE, Slab};

/// LOCAL_PREF where none was told: what everybody takes, as the RFC names no number (RFC 4271 §9.1.1).
pub(crate) const DEFAULT_LOCAL_PREF: u32 = 100;

/// The name of an interned attribute set.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct AttributesId(pub(crate) u32);

/// How far a route may go, by its well-known communities (RFC 1997).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Scope {
    /// Anywhere.
    All,
    /// Not to external peers: NO_EXPORT, NO_EXPORT_SUBCONFED.
    Inside,
    /// To no peer: NO_ADVERTISE.
    Nobody,
}

/// What the decision and the rules ask of a set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Summary {
    pub(crate) local_pref: u32,
    pub(crate) med: Option<u32>,
    /// ORIGINATOR_ID; 0 is nobody's (RFC 6286 §2.1).
    pub(crate) originator: Option<NonZeroU32>,
    pub(crate) neighbour_as: u32,
    pub(crate) as_path_length: u16,
    pub(crate) cluster_list_length: u16,
    pub(crate) origin: u8,
    pub(crate) scope: Scope,
    pub(crate) marks: Marks,
}

/// What else the rules ask of a set: whether something is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Marks(u8);

impl Marks {
    /// ONLY_TO_CUSTOMER (RFC 9234 §5).
    pub(crate) const ONLY_TO_CUSTOMER: Self = Self(1);
    /// GRACEFUL_SHUTDOWN (RFC 8326 §4).
    pub(crate) const GRACEFUL_SHUTDOWN: Self = Self(2);
    /// LLGR_STALE and NO_LLGR (RFC 9494 §4).
    pub(crate) const LLGR_STALE: Self = Self(4);
    pub(crate) const NO_LLGR: Self = Self(8);
    /// AIGP (RFC 7311 §3), whose value is read from the block where it counts.
    pub(crate) const AIGP: Self = Self(16);

    pub(crate) const fn has(self, mark: Self) -> bool {
        self.0 & mark.0 != 0
    }

    fn of(block: &AttributeBlock<'_>) -> Self {
        let otc = if block.only_to_customer().is_some() { Self::ONLY_TO_CUSTOMER.0 } else { 0 };
        let aigp = if block.aigp().is_some() { Self::AIGP.0 } else { 0 };
        let mark = |community| match community {
            Community::GRACEFUL_SHUTDOWN => Self::GRACEFUL_SHUTDOWN.0,
            Community::LLGR_STALE => Self::LLGR_STALE.0,
            Community::NO_LLGR => Self::NO_LLGR.0,
            _ => 0,
        };
        Self(block.communities().iter().fold(otc | aigp, |marks, community| marks | mark(community)))
    }
}

impl Summary {
    fn of(block: &AttributeBlock<'_>) -> Self {
        let path = block.as_path();
        Self {
            local_pref: block.local_pref().unwrap_or(DEFAULT_LOCAL_PREF),
            med: block.med(),
            originator: block.originator_id().and_then(|id| NonZeroU32::new(id.0)),
            neighbour_as: path.first().map_or(0, |asn| asn.0),
            as_path_length: u16::try_from(path.length()).unwrap_or(u16::MAX),
            cluster_list_length: u16::try_from(block.cluster_list().len()).unwrap_or(u16::MAX),
            origin: block.origin().octet(),
            scope: scope(block),
            marks: Marks::of(block),
        }
    }
}

fn scope(block: &AttributeBlock<'_>) -> Scope {
    let mut scope = Scope::All;
    for community in block.communities().iter() {
        match community {
            Community::NO_ADVERTISE => return Scope::Nobody,
            Community::NO_EXPORT | Community::NO_EXPORT_SUBCONFED => scope = Scope::Inside,
            _ => {}
        }
    }
    scope
}

/// One set: its bytes, its next hop, and what is asked of it most.
#[derive(Debug)]
pub(crate) struct AttributeSet {
    block: Box<[u8]>,
    /// Name in the table of next hops; `NONE` for a route of this speaker's own without one.
    pub(crate) next_hop: u32,
    references: u32,
    /// On whose account it is: that of the peer which was the first to bring it, `NONE` for nobody's.
    account: u32,
    pub(crate) summary: Summary,
    /// What goes with it beside its bytes; most sets have nothing of the kind.
    facts: Option<Box<Facts>>,
}

/// What import policy or an originator knows of routes beside their attributes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Facts {
    /// The set that import policy made this one of. A reference is held on it: the Adj-RIB-In shows it.
    pub(crate) received: Option<AttributesId>,
    pub(crate) kernel: KernelTag,
    pub(crate) interface: Option<Arc<str>>,
}

/// What goes with a set of which nobody holds a reference any more, to be released in turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gone {
    pub(crate) next_hop: u32,
    pub(crate) received: Option<AttributesId>,
}

impl AttributeSet {
    /// The canonical block, ready to be read.
    pub(crate) fn block(&self) -> AttributeBlock<'_> {
        AttributeBlock::trusted(&self.block)
    }

    /// The bytes of the canonical block.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.block
    }

    /// What goes with it beside its bytes.
    pub(crate) fn facts(&self) -> Option<&Facts> {
        self.facts.as_deref()
    }
}

/// What a set costs: its octets, itself, and its place in the index.
fn cost(block: &[u8]) -> u64 {
    (block.len() + size_of::<AttributeSet>() + 8) as u64
}

/// All sets in use, each counted by the paths that name it.
#[derive(Debug)]
pub(crate) struct AttributeStore {
    sets: Slab<AttributeSet>,
    index: Index,
    hasher: FixedState,
    /// Octets by account; one account for each peer that has a budget.
    accounts: BTreeMap<u32, u64>,
    /// Accounts that are used up, with their peers; those of these from which something went. Sets of one peer may go by what
    /// another does that told the same.
    watched: BTreeMap<u32, u32>,
    lighter: BTreeSet<u32>,
    next_account: u32,
    /// Who pays for new sets just now.
    pub(crate) payer: u32,
}

impl AttributeStore {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            sets: Slab::new(),
            index: Index::default(),
            hasher: FixedState::with_seed(seed),
            accounts: BTreeMap::new(),
            watched: BTreeMap::new(),
            lighter: BTreeSet::new(),
            next_account: 0,
            payer: NONE,
        }
    }

    /// Opens an account. Numbers come again only after 2^32 - 1 of them.
    pub(crate) fn open_account(&mut self) -> u32 {
        let account = self.next_account;
        self.next_account = if account + 1 == NONE { 0 } else { account + 1 };
        self.accounts.insert(account, 0);
        account
    }

    /// Closes an account: what is on it is nobody's.
    pub(crate) fn close_account(&mut self, account: u32) {
        self.accounts.remove(&account);
        self.watched.remove(&account);
    }

    /// Octets on an account.
    pub(crate) fn account(&self, account: u32) -> u64 {
        self.accounts.get(&account).copied().unwrap_or(0)
    }

    /// Whose account it is that memory is held back for, to be told when something goes from it; or no longer.
    pub(crate) fn watch(&mut self, account: u32, slot: Option<u32>) {
        match slot {
            Some(slot) => self.watched.insert(account, slot),
            None => self.watched.remove(&account),
        };
    }

    /// A peer from whose account something went while it was watched.
    pub(crate) fn take_lighter(&mut self) -> Option<u32> {
        self.lighter.pop_first()
    }

    /// Names a set of a canonical block and counts one reference. The caller holds a reference on the next hop: a new set
    /// takes it over, as the flag beside the name says. So it is with the received set of one that was edited.
    pub(crate) fn intern(
        &mut self,
        block: &[u8],
        next_hop: u32,
        facts: Option<Facts>,
    ) -> (AttributesId, bool) {
        let hash = self.hasher.hash_one((block, next_hop));
        let (sets, hasher) = (&mut self.sets, &self.hasher);
        let same = |id: u32| {
            let set = &sets[id];
            set.next_hop == next_hop && set.facts() == facts.as_ref() && *set.block == *block
        };
        if let Some(id) = self.index.find(hash, same) {
            sets[id].references += 1;
            return (AttributesId(id), false);
        }
        let summary = Summary::of(&AttributeBlock::trusted(block));
        let facts = facts.map(Box::new);
        let account = self.payer;
        if let Some(octets) = self.accounts.get_mut(&account) {
            *octets += cost(block);
        }
        let set = AttributeSet { block: block.into(), next_hop, references: 1, account, summary, facts };
        let id = sets.insert(set);
        self.index.insert(hash, id, |id| hasher.hash_one((&*sets[id].block, sets[id].next_hop)));
        (AttributesId(id), true)
    }

    /// Counts `more` further references.
    pub(crate) fn retain(&mut self, id: AttributesId, more: u32) {
        self.sets[id.0].references += more;
    }

    /// Gives one reference back. With the last one the set goes, and what it held is returned to be released.
    pub(crate) fn release(&mut self, id: AttributesId) -> Option<Gone> {
        let set = &mut self.sets[id.0];
        set.references -= 1;
        if set.references > 0 {
            return None;
        }
        let next_hop = set.next_hop;
        let hash = self.hasher.hash_one((&*set.block, next_hop));
        self.index.remove(hash, |other| other == id.0);
        let (account, cost) = (self.sets[id.0].account, cost(&self.sets[id.0].block));
        if let Some(octets) = self.accounts.get_mut(&account) {
            *octets = octets.saturating_sub(cost);
            self.lighter.extend(self.watched.get(&account));
        }
        let received = self.sets[id.0].facts.take().and_then(|facts| facts.received);
        self.sets[id.0].block = Box::default();
        self.sets.remove(id.0);
        Some(Gone { next_hop, received })
    }

    /// Octets that they hold.
    pub(crate) fn memory(&self) -> usize {
        let own = |set: &AttributeSet| set.block.len() + set.facts.as_ref().map_or(0, |_| size_of::<Facts>());
        self.sets.values().map(own).sum::<usize>() + self.sets.memory() + self.index.memory()
    }

    /// How many sets there are.
    pub(crate) fn len(&self) -> usize {
        self.sets.len()
    }
}

impl core::ops::Index<AttributesId> for AttributeStore {
    type Output = AttributeSet;
    fn index(&self, id: AttributesId) -> &AttributeSet {
        &self.sets[id.0]
    }
}
