//! How much a peer may tell and be told: bounds by family and direction, and one on memory.
//!
//! | bound | counts | `Drop` and `Stop` |
//! |---|---|---|
//! | received | paths that the session told, before policy | what would be one too many is not stored, and counted |
//! | accepted | of these, the ones that policy lets pass | what would be one too many is kept and takes no part |
//! | advertised | prefixes that stand at the peer, paths where it is told several | what would be one too many waits until there is room |
//! | memory | octets of its paths and of the attribute sets that it was the first to bring | as for received; a path that stands goes if its new attributes would take more |
//!
//! A bound that was passed is over only when there is room for an eighth of it again, so that a peer at its bound does not
//! make work with every route that comes and goes.

use bgp_wire::Family;

use crate::PeerId;
use crate::event::Event;
use crate::path::Path;
use crate::prefix::Key;
use crate::rib::{Rib, each_table, each_table_in};
use crate::table::Table;

/// What a path costs beside its attributes: itself, and its share of prefix, index and log.
const PATH_COST: u64 = size_of::<Path>() as u64 + 48;

/// What is done when a bound is passed (RFC 4486 §4 knows the last).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum LimitAction {
    /// It is told, nothing more.
    #[default]
    Warn,
    /// What stands stays, what would be one too many is not taken.
    Drop,
    /// As `Drop`, and the session is to be ended: [`Event::Limit`] asks for it.
    Stop,
}

/// One bound.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Limit {
    /// So many may be; one more is too many.
    pub max: u64,
    /// It is told when this many percent are reached; 0 is never.
    pub warn_at: u8,
    /// What is done about more.
    pub action: LimitAction,
}

impl Limit {
    /// A bound that is told at 75 % and then enforced in this way.
    #[must_use]
    pub const fn new(max: u64, action: LimitAction) -> Self {
        Self { max, warn_at: 75, action }
    }

    const fn keeps_out(&self) -> bool {
        !matches!(self.action, LimitAction::Warn)
    }

    /// Whether there is room again after it was passed.
    const fn has_room(&self, count: u64) -> bool {
        count < self.max && count <= self.max - self.max / 8
    }

    const fn level(&self, count: u64, held_out: bool) -> LimitLevel {
        if count > self.max || held_out {
            LimitLevel::Exceeded
        } else if self.warn_at > 0
            && count.saturating_mul(100) >= self.max.saturating_mul(self.warn_at as u64)
        {
            LimitLevel::Warning
        } else {
            LimitLevel::Below
        }
    }
}

/// The bounds of one family.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct FamilyLimits {
    /// Paths that the peer may tell, whatever policy makes of them.
    pub received: Option<Limit>,
    /// Paths of it that policy may let pass.
    pub accepted: Option<Limit>,
    /// Prefixes that it may be told; paths, where it is told several.
    pub advertised: Option<Limit>,
}

/// All bounds of one peer; the default has none.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Limits {
    families: Vec<(Family, FamilyLimits)>,
    /// Octets that its routes may take, as estimated.
    pub memory: Option<Limit>,
}

impl Limits {
    /// With these bounds for a family, in place of those it had.
    #[must_use]
    pub fn family(mut self, family: Family, limits: FamilyLimits) -> Self {
        self.families.retain(|(other, _)| *other != family);
        if limits != FamilyLimits::default() {
            self.families.push((family, limits));
            self.families.sort_unstable_by_key(|(family, _)| *family);
        }
        self
    }

    /// With this bound on memory.
    #[must_use]
    pub const fn memory(mut self, limit: Limit) -> Self {
        self.memory = Some(limit);
        self
    }

    /// The bounds of a family.
    #[must_use]
    pub fn of(&self, family: Family) -> FamilyLimits {
        self.families
            .iter()
            .find(|(other, _)| *other == family)
            .map_or(FamilyLimits::default(), |(_, limits)| *limits)
    }

    /// Whether nothing is bounded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.families.is_empty() && self.memory.is_none()
    }
}

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Limited {
    /// Paths in the Adj-RIB-In.
    Received,
    /// Paths that policy lets pass.
    Accepted,
    /// Prefixes that the peer was told.
    Advertised,
    /// Octets.
    Memory,
}

/// How much of what is allowed is in use.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum LimitLevel {
    /// Less than is worth a word.
    #[default]
    Below,
    /// The percentage to warn at is reached.
    Warning,
    /// There was or would be more than allowed.
    Exceeded,
}

/// A bound came to another level.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LimitEvent {
    /// Whose.
    pub peer: PeerId,
    /// In which family; `None` for memory.
    pub family: Option<Family>,
    /// What is bounded.
    pub what: Limited,
    /// The level now. One that was passed and has room again is told as below or as a warning: routes that were not stored
    /// can then be asked for anew (RFC 2918).
    pub level: LimitLevel,
    /// How many there are, or how many octets.
    pub count: u64,
    /// The bound.
    pub limit: Limit,
    /// Routes that were not stored, take no part, or are not told for it.
    pub held_out: u32,
}

/// What the bounds of a peer come to in one table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Paths at which nothing new is stored, and at which nothing more takes part.
    pub(crate) received: u32,
    pub(crate) accepted: u32,
    /// Its memory is used up: nothing new is stored.
    pub(crate) closed: bool,
    /// Paths that were not stored since there was room; paths that are stored and take no part for a bound.
    pub(crate) refused: u32,
    pub(crate) over: u32,
    /// There is room for some of those that take no part.
    pub(crate) readmits: bool,
    levels: [LimitLevel; 3],
}

impl Bounds {
    pub(crate) const fn none() -> Self {
        let levels = [LimitLevel::Below; 3];
        Self {
            received: u32::MAX,
            accepted: u32::MAX,
            closed: false,
            refused: 0,
            over: 0,
            readmits: false,
            levels,
        }
    }
}

impl Bounds {
    /// A path is not stored.
    pub(crate) const fn refuse(&mut self) {
        self.refused = self.refused.saturating_add(1);
    }
}

/// The count at which no more is taken, `u32::MAX` where there is none.
pub(crate) fn threshold(limit: Option<Limit>) -> u32 {
    let max = limit.filter(Limit::keeps_out).map(|limit| limit.max);
    max.and_then(|max| u32::try_from(max).ok()).unwrap_or(u32::MAX)
}

impl Rib {
    /// Puts a peer's bounds in force.
    pub(crate) fn bound(&mut self, slot: u32) {
        let Some(peer) = self.shared.peers.get(slot) else { return };
        let limits = peer.params.limits.clone();
        self.shared.peers.bounded |= !limits.is_empty();
        each_table!(self, table => table.bound(slot, limits.of(table.family)));
        self.check_limits(slot);
    }

    /// Tells which bounds came to another level; done after whatever may have changed a count.
    pub(crate) fn check_limits(&mut self, slot: u32) {
        if !self.shared.peers.bounded {
            return;
        }
        let Some(peer) = self.shared.peers.up(slot) else { return };
        if peer.params.limits.is_empty() && !peer.limited {
            return;
        }
        let (limits, open) = (peer.params.limits.clone(), peer.memory != LimitLevel::Exceeded);
        let mut changed = Vec::new();
        let mut readmits = false;
        each_table!(self, table => {
            let bounds = limits.of(table.family);
            readmits |= table.check_limits(slot, bounds, open, &mut changed);
        });
        self.check_memory(slot, limits.memory, &mut changed);
        let any = !limits.is_empty();
        if let Some(peer) = self.shared.peers.get_mut(slot) {
            peer.limited = any;
            peer.judging |= readmits;
        }
        if readmits {
            self.shared.peers.judging = true;
            self.begin_rescan();
        }
        for event in changed {
            tracing::debug!(peer = slot, ?event, "limit");
            self.events.push_back(Event::Limit(event));
        }
    }

    /// How far each bound of a peer is, as an event would say it; none of a peer that is not up.
    #[must_use]
    pub fn limits(&self, peer: PeerId) -> Vec<LimitEvent> {
        let Some(state) = self.shared.peers.up(peer.0) else { return Vec::new() };
        let limits = &state.params.limits;
        let mut all = Vec::new();
        if !limits.is_empty() {
            each_table_in!(self, table => table.limits(peer.0, limits.of(table.family), &mut all));
        }
        all.extend(limits.memory.map(|limit| LimitEvent {
            peer,
            family: None,
            what: Limited::Memory,
            level: state.memory,
            count: self.peer_memory(peer),
            limit,
            held_out: self.refused(peer),
        }));
        all
    }

    /// Routes of a peer that were not stored since there was room.
    fn refused(&self, peer: PeerId) -> u32 {
        let mut refused = 0;
        each_table_in!(self, table => refused += table.peer(peer.0).map_or(0, |peer| peer.bounds.refused));
        refused
    }

    fn check_memory(&mut self, slot: u32, limit: Option<Limit>, changed: &mut Vec<LimitEvent>) {
        let Some(limit) = limit else {
            if let Some(peer) = self.shared.peers.get_mut(slot) {
                peer.memory = LimitLevel::Below;
                self.shared.attributes.watch(peer.account, None);
            }
            return;
        };
        let count = self.peer_memory(PeerId(slot));
        let Some(peer) = self.shared.peers.get_mut(slot) else { return };
        let was = peer.memory;
        let full = limit.keeps_out() && count >= limit.max;
        let still = was == LimitLevel::Exceeded && !limit.has_room(count);
        let level = limit.level(count, full || still);
        peer.memory = level;
        let closed = limit.keeps_out() && level == LimitLevel::Exceeded;
        self.shared.attributes.watch(peer.account, closed.then_some(slot));
        each_table!(self, table => table.peer_mut(slot).bounds.closed = closed);
        if level != was {
            let (peer, what) = (PeerId(slot), Limited::Memory);
            let held_out = self.refused(peer);
            changed.push(LimitEvent { peer, family: None, what, level, count, limit, held_out });
        }
    }

    /// Octets that a peer's routes take, as estimated: its paths, and the attribute sets that it was the first to bring.
    #[must_use]
    pub fn peer_memory(&self, peer: PeerId) -> u64 {
        let Some(state) = self.shared.peers.get(peer.0) else { return 0 };
        self.paths_memory(peer.0) + self.shared.attributes.account(state.account)
    }

    fn paths_memory(&self, slot: u32) -> u64 {
        let mut paths = 0;
        each_table_in!(self, table => paths += table.peer(slot).map_or(0, |peer| u64::from(peer.received)));
        paths * PATH_COST
    }

    /// What the attribute sets of a peer may take while its budget of memory is used up: what is left of that beside its
    /// paths, or what they take already; `u64::MAX` while it is not.
    pub(crate) fn left_for_sets(&self, slot: u32) -> u64 {
        let Some(peer) = self.shared.peers.get(slot) else { return u64::MAX };
        match peer.params.limits.memory {
            Some(limit) if limit.keeps_out() && peer.memory == LimitLevel::Exceeded => {
                let left = limit.max.saturating_sub(self.paths_memory(slot));
                left.max(self.shared.attributes.account(peer.account))
            }
            _ => u64::MAX,
        }
    }
}

impl<K: Key> Table<K> {
    fn bound(&mut self, slot: u32, limits: FamilyLimits) {
        let bounds = &mut self.peer_mut(slot).bounds;
        (bounds.received, bounds.accepted) = (threshold(limits.received), threshold(limits.accepted));
        bounds.closed = false;
        // Another bound is looked at from the beginning.
        bounds.levels = [LimitLevel::Below; 3];
        bounds.readmits |= bounds.over > 0;
    }

    /// How far each bound is.
    fn limits(&self, slot: u32, limits: FamilyLimits, all: &mut Vec<LimitEvent>) {
        let Some(peer) = self.peer(slot) else { return };
        let advertised = limits.advertised.map_or(0, |_| self.advertised_lately(slot));
        let bounds = &peer.bounds;
        let rows = [
            (Limited::Received, limits.received, peer.told(), bounds.refused),
            (Limited::Accepted, limits.accepted, peer.accepted, bounds.over),
            (Limited::Advertised, limits.advertised, advertised, self.waits(slot)),
        ];
        for ((what, limit, count, held_out), level) in rows.into_iter().zip(bounds.levels) {
            let (peer, family, count) = (PeerId(slot), Some(self.family), u64::from(count));
            all.extend(limit.map(|limit| LimitEvent { peer, family, what, level, count, limit, held_out }));
        }
    }

    /// Compares the counts with the bounds, while memory is `open` or not; whether some that take no part may do so now.
    fn check_limits(
        &mut self,
        slot: u32,
        limits: FamilyLimits,
        open: bool,
        changed: &mut Vec<LimitEvent>,
    ) -> bool {
        let advertised = limits.advertised.map_or(0, |_| self.advertised_lately(slot));
        let waits = self.waits(slot);
        let Some(peer) = self.peers.get_mut(slot as usize) else { return false };
        // What a former session left is not what this one tells.
        let (received, accepted) = (u64::from(peer.told()), u64::from(peer.accepted));
        let (stale, refreshing) = (peer.former > 0, peer.refreshing);
        let bounds = &mut peer.bounds;
        // Within a refresh what was refused may still come: there is room when it has ended and there is some.
        if open && !refreshing && limits.received.is_none_or(|limit| limit.has_room(received)) {
            bounds.refused = 0;
        }
        let rows = [
            (Limited::Received, limits.received, received, bounds.refused),
            (Limited::Accepted, limits.accepted, accepted, if stale { 0 } else { bounds.over }),
            (Limited::Advertised, limits.advertised, u64::from(advertised), waits),
        ];
        for ((what, limit, count, held_out), level) in rows.into_iter().zip(&mut bounds.levels) {
            let Some(limit) = limit else { continue };
            let still = *level == LimitLevel::Exceeded && !limit.has_room(count);
            let now = limit.level(count, held_out > 0 || still);
            if core::mem::replace(level, now) != now {
                let family = Some(self.family);
                changed.push(LimitEvent {
                    peer: PeerId(slot),
                    family,
                    what,
                    level: now,
                    count,
                    limit,
                    held_out,
                });
            }
        }
        let room = limits.accepted.is_none_or(|limit| limit.has_room(accepted));
        (bounds.over > 0 && room) || core::mem::take(&mut bounds.readmits)
    }
}
