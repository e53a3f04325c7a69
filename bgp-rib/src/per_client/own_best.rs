//! What a group has another choice for than the best route, and a log of what changed for it alone.

use std::collections::{BTreeMap, BTreeSet};

use super::Names;
use crate::log::Log;
use crate::slab::Slab;

/// Old entries of a log that one new entry takes along: more than one, so that what all have read does not pile up.
const REAPED: usize = 4;

/// A prefix that a group has, or had, another choice for.
#[derive(Debug)]
struct Row {
    prefix: u32,
    names: Names,
    /// In what is pending there is news for others than those that `main` is kept from.
    main_news: bool,
    /// Where the prefix stands among the best routes, if all members had been told this choice when it moved there.
    quiet_at: u64,
}

/// Where a group differs from the Loc-RIB.
#[derive(Debug)]
pub(crate) struct OwnBest {
    /// Rows with news, by their names.
    log: Log,
    rows: Slab<Row>,
    index: BTreeMap<u32, u32>,
    /// How many prefixes each member is told something instead of.
    instead: BTreeMap<u32, u32>,
    /// The next prefix whose choice is not known, as it has not been looked at since a member came.
    pub(super) looked: u32,
    /// Prefixes of which members were told another choice than was decided: something had changed that was to be decided yet.
    unsettled: BTreeSet<u32>,
    reaped: u64,
    /// The furthest position that was encoded.
    front: u64,
    /// Stretches that peers which left the group were told by its rules; and from where on such a peer had not read.
    walkers: u32,
    floor: u64,
    /// Where the log of best routes ended when somebody last began to be told everything: what moved before may be news.
    quiet_from: u64,
}

impl OwnBest {
    pub(crate) fn new() -> Self {
        Self {
            log: Log::new(),
            rows: Slab::new(),
            index: BTreeMap::new(),
            instead: BTreeMap::new(),
            looked: 0,
            unsettled: BTreeSet::new(),
            reaped: 0,
            front: 0,
            walkers: 0,
            floor: u64::MAX,
            quiet_from: 0,
        }
    }

    pub(crate) const fn log(&self) -> &Log {
        &self.log
    }

    /// A member comes; where it begins to read.
    pub(crate) fn join(&mut self, prefixes: u32, best_head: u64) -> u64 {
        self.quiet_from = best_head;
        // It may be the source of routes that nobody was told anything instead of.
        self.looked = if prefixes > 0 { 0 } else { u32::MAX };
        self.log.join(self.log.head());
        self.log.head()
    }

    /// A member goes; it keeps what it was told if it walks on.
    pub(crate) fn leave(&mut self, cursor: u64) {
        self.log.leave(cursor);
        self.floor = self.floor.min(cursor);
    }

    /// What a member that left was told by these rules is in use once more, or no longer.
    pub(crate) fn walk(&mut self, begins: bool) {
        self.walkers = if begins { self.walkers + 1 } else { self.walkers.saturating_sub(1) };
    }

    /// Nobody who left has a stretch left to compare: what they had not read does not matter.
    pub(crate) fn settle(&mut self) {
        if self.walkers == 0 {
            self.floor = u64::MAX;
        }
    }

    /// A member has read from here to there.
    pub(super) fn read(&mut self, from: u64, to: u64) {
        self.log.leave(from);
        self.log.join(to);
    }

    fn heard(&self) -> u64 {
        self.log.read_by_all().min(self.floor)
    }

    pub(super) fn row(&self, prefix: u32) -> Option<u32> {
        self.index.get(&prefix).copied()
    }

    fn row_or_new(&mut self, prefix: u32) -> u32 {
        if let Some(row) = self.row(prefix) {
            return row;
        }
        let row = Row { prefix, names: Names::default(), main_news: false, quiet_at: u64::MAX };
        let row = self.rows.insert(row);
        self.index.insert(prefix, row);
        row
    }

    /// Whether somebody may not have heard the news of a prefix.
    pub(crate) fn is_pending(&self, prefix: u32) -> bool {
        let position = self.row(prefix).and_then(|row| self.log.position(row));
        position.is_some_and(|position| position >= self.heard())
    }

    pub(super) fn names(&self, prefix: u32) -> Names {
        self.row(prefix).map_or_else(Names::default, |row| self.rows[row].names)
    }

    pub(super) fn set(&mut self, prefix: u32, names: Names) {
        if names != Names::default() || self.row(prefix).is_some() {
            let row = self.row_or_new(prefix);
            let former = core::mem::replace(&mut self.rows[row].names, names);
            self.count_instead(&former, &names);
            self.free_if_unused(row);
        }
    }

    fn count_instead(&mut self, former: &Names, now: &Names) {
        if former.instead == now.instead {
            return;
        }
        now.members().for_each(|member| *self.instead.entry(member).or_insert(0) += 1);
        for member in former.members() {
            if let Some(count) = self.instead.get_mut(&member) {
                *count -= 1;
                if *count == 0 {
                    self.instead.remove(&member);
                }
            }
        }
    }

    /// How many prefixes a member is told something instead of.
    pub(super) fn told_instead(&self, member: u32) -> u32 {
        self.instead.get(&member).copied().unwrap_or(0)
    }

    /// A choice is told as it is found while something that changed is to be decided yet; where that is not, or may not be,
    /// what was decided last, the next decision is news.
    pub(super) fn told_early(&mut self, prefix: u32, names: Names) {
        if prefix >= self.looked || names != self.names(prefix) {
            self.unsettled.insert(prefix);
        }
    }

    /// Whether another choice than the one that was decided last was told since.
    pub(super) fn take_unsettled(&mut self, prefix: u32) -> bool {
        self.unsettled.remove(&prefix)
    }

    fn free_if_unused(&mut self, row: u32) {
        let Row { prefix, names, quiet_at, .. } = self.rows[row];
        if names == Names::default() && quiet_at == u64::MAX && self.log.position(row).is_none() {
            self.index.remove(&prefix);
            self.rows.remove(row);
        }
    }

    /// There is news of a prefix; `main`: for more than those that get something instead.
    pub(super) fn touch(&mut self, prefix: u32, main: bool) {
        let pending = self.is_pending(prefix);
        let row = self.row_or_new(prefix);
        self.rows[row].main_news = main || (pending && self.rows[row].main_news);
        self.rows[row].quiet_at = u64::MAX;
        self.log.touch(row);
        self.reap();
    }

    fn reap(&mut self) {
        let end = self.heard();
        let passed: Vec<(u64, u32)> = self.log.walk(self.reaped, end).take(REAPED).collect();
        self.reaped = match passed.last() {
            Some(&(position, _)) if passed.len() == REAPED => position + 1,
            _ => end.max(self.reaped),
        };
        for (_, row) in passed {
            self.log.remove(row);
            self.free_if_unused(row);
        }
    }

    /// A member is to be told everything again.
    pub(crate) fn tell_all(&mut self, best_head: u64) {
        self.quiet_from = best_head;
    }

    /// Whether what moved to a place among the best routes is no news to any member.
    pub(crate) fn is_quiet(&self, prefix: u32, position: u64) -> bool {
        let quiet = |row| self.rows[row].quiet_at == position;
        position >= self.quiet_from && self.row(prefix).is_some_and(quiet)
    }

    /// Notes where a prefix is no news.
    pub(super) fn set_quiet(&mut self, prefix: u32, position: Option<u64>) {
        let row = if position.is_some() { Some(self.row_or_new(prefix)) } else { self.row(prefix) };
        if let Some(row) = row {
            self.rows[row].quiet_at = position.unwrap_or(u64::MAX);
            self.free_if_unused(row);
        }
    }

    /// The log of best routes tells of the prefix anyway.
    pub(super) fn unlog(&mut self, prefix: u32) {
        if let Some(row) = self.row(prefix) {
            self.log.remove(row);
            self.free_if_unused(row);
        }
    }

    /// Every reader has heard that the prefix is gone.
    pub(crate) fn forget(&mut self, prefix: u32) {
        self.unsettled.remove(&prefix);
        if let Some(row) = self.index.remove(&prefix) {
            self.log.remove(row);
            let names = self.rows[row].names;
            self.count_instead(&names, &Names::default());
            self.rows.remove(row);
        }
    }

    /// Positions with the prefixes that there is news of, up to one more than `most`.
    pub(crate) fn stretch(&self, from: u64, to: u64, most: usize) -> Vec<(u64, u32)> {
        let rows = self.log.walk(from, to).take(most + 1);
        rows.map(|(position, row)| (position, self.rows[row].prefix)).collect()
    }

    /// Whether news of a prefix concerns others than those that get something instead.
    pub(crate) fn concerns_all(&self, prefix: u32) -> bool {
        self.row(prefix).is_some_and(|row| self.rows[row].main_news)
    }

    /// Whether a reader has been handed out the news of a prefix.
    pub(super) fn is_read(&self, prefix: u32, cursor: u64) -> bool {
        let position = self.row(prefix).and_then(|row| self.log.position(row));
        position.is_none_or(|position| position < cursor)
    }

    /// Whether a position comes after everything that was encoded.
    pub(crate) const fn is_fresh(&self, position: u64) -> bool {
        position >= self.front
    }

    pub(crate) fn encoded_to(&mut self, to: u64) {
        self.front = self.front.max(to);
    }

    pub(super) const fn is_looking(&self) -> bool {
        self.looked < u32::MAX
    }
}
