//! Answers to questions about the tables.

use std::collections::{BTreeMap, BTreeSet};

use bgp_wire::{Family, PathId, PeerKind};
use ipnet::IpNet;

use crate::decision::Ladder;
use crate::dry_run::shown;
use crate::export;
use crate::group::Group;
use crate::path::Path;
use crate::prefix::Key;
use crate::query::{PageToken, PeerCounters, RouteFilter, RouteInfo, TableCounters};
use crate::rib::{Rib, in_table};
use crate::select::scope_index;
use crate::slab::NONE;
use crate::table::{Shared, State, Table};
use crate::{PeerId, Rung};

/// Routes of one peer that are looked at with every change: some tens of microseconds.
const COUNTED: u32 = 4096;

/// Prefixes that one page looks at: bounds the turn of a question that finds little.
pub(crate) const LOOKED_AT: u32 = 16_384;

impl Rib {
    /// Routes that pass a filter, in no particular order: up to about `limit`, and where the next page begins. Prefixes
    /// that come and go between pages may be missed or shown, never anything else.
    #[must_use]
    pub fn routes(
        &self,
        filter: &RouteFilter,
        from: PageToken,
        limit: usize,
    ) -> (Vec<RouteInfo>, Option<PageToken>) {
        in_table!(self, filter.family, table => table.routes(&self.shared, filter, from, limit))
            .unwrap_or_default()
    }

    /// Whether these peers alone tell a usable route to some destination of a family, which would be lost with them. A call looks
    /// at a bounded part of the table from `from` on: no answer yet comes with where to go on.
    ///
    /// # Errors
    /// Where the next call is to begin.
    pub fn depends_on(
        &self,
        family: Family,
        peers: &BTreeSet<PeerId>,
        from: PageToken,
    ) -> Result<bool, PageToken> {
        in_table!(self, family, table => table.depends_on(&self.shared, peers, from)).unwrap_or(Ok(false))
    }

    /// How many routes a peer told and was told in a family.
    #[must_use]
    pub fn peer_counters(&self, peer: PeerId, family: Family) -> PeerCounters {
        in_table!(self, family, table => table.peer_counters(peer.0)).unwrap_or_default()
    }

    /// How much there is in the table of a family.
    #[must_use]
    pub fn table_counters(&self, family: Family) -> TableCounters {
        let attribute_sets = self.shared.attributes.len();
        let counters = in_table!(self, family, table => table.counters());
        counters.map_or(TableCounters::default(), |counters| TableCounters { attribute_sets, ..counters })
    }
}

impl<K: Key> Table<K> {
    fn depends_on(
        &self,
        shared: &Shared,
        peers: &BTreeSet<PeerId>,
        from: PageToken,
    ) -> Result<bool, PageToken> {
        let mut left = LOOKED_AT;
        for id in from.0..self.entries.bound() {
            if left == 0 {
                return Err(PageToken(id));
            }
            if self.entries[id].state == State::Free {
                left -= 1;
                continue;
            }
            left = left.saturating_sub(self.weight(id));
            let usable = self.paths_of(id).filter(|(_, path)| self.eligible(shared, path).is_ok());
            let mut theirs = usable.map(|(_, path)| peers.contains(&PeerId(path.peer))).peekable();
            if theirs.peek().is_some() && theirs.all(|theirs| theirs) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn routes(
        &self,
        shared: &Shared,
        filter: &RouteFilter,
        from: PageToken,
        limit: usize,
    ) -> (Vec<RouteInfo>, Option<PageToken>) {
        let mut found = Vec::new();
        if let Some(prefix) = filter.prefix.filter(|_| !filter.longer) {
            // Elsewhere many routes have one prefix, each behind a distinguisher of its own.
            if let Some(key) = K::of(&prefix.into()) {
                if let Some(id) = self.find(&key) {
                    self.show(shared, filter, id, &mut found);
                }
                return (found, None);
            }
        }
        let end = from.0.saturating_add(LOOKED_AT).min(self.entries.bound());
        for id in from.0..end {
            if found.len() >= limit {
                return (found, Some(PageToken(id)));
            }
            let entry = &self.entries[id];
            let within = |within: IpNet| {
                let prefix = entry.key.prefix();
                prefix.is_some_and(|p| p == within || (filter.longer && within.contains(&p)))
            };
            if entry.state != State::Free && filter.prefix.is_none_or(within) {
                self.show(shared, filter, id, &mut found);
            }
        }
        (found, (end < self.entries.bound()).then_some(PageToken(end)))
    }

    fn show(&self, shared: &Shared, filter: &RouteFilter, id: u32, found: &mut Vec<RouteInfo>) {
        let entry = &self.entries[id];
        if let Some(to) = filter.advertised_to {
            return self.show_advertised(shared, filter, to.0, id, found);
        }
        let mut ladder = Ladder::default();
        if !filter.best_only && self.paths_of(id).nth(1).is_some() {
            self.climb(shared, &mut ladder, id);
        }
        let fell: BTreeMap<u32, Rung> = ladder.fallen.into_iter().collect();
        for (at, path) in self.paths_of(id) {
            let best = entry.state == State::Best && entry.paths == at;
            if (filter.best_only && !best) || filter.peer.is_some_and(|peer| peer.0 != path.peer) {
                continue;
            }
            found.push(RouteInfo {
                destination: self.nlri(at).destination(),
                source: shared.peers.source(path.peer, path.path_id),
                path_id: PathId(path.path_id),
                attributes: shared.show(path.attributes),
                received: shared.show_received(path.attributes),
                best,
                ineligible: self.eligible(shared, path).err(),
                lost: fell.get(&at).copied(),
                multipath: fell.contains_key(&at) && path.multipath && self.multipath.is_some(),
                stale: self.is_stale(path),
            });
        }
    }

    /// What a peer is told of a prefix.
    fn show_advertised(
        &self,
        shared: &Shared,
        filter: &RouteFilter,
        slot: u32,
        id: u32,
        found: &mut Vec<RouteInfo>,
    ) {
        let index = self.reader(slot).map_or(NONE, |reader| reader.group);
        let Some(group) = self.groups.get(index).filter(|_| self.entries[id].state == State::Best) else {
            return;
        };
        for (path_id, path) in self.told_of_prefix(shared, &group.key, (group.log, id), slot) {
            let best = self.best_path(id).is_some_and(|best| core::ptr::eq(best, path));
            if (filter.best_only && !best) || filter.peer.is_some_and(|peer| peer.0 != path.peer) {
                continue;
            }
            let Ok(told) = self.told_path(shared, &group.key, path, slot) else { continue };
            found.push(RouteInfo {
                destination: self.entries[id].key.destination(),
                source: shared.peers.source(path.peer, path.path_id),
                path_id,
                attributes: shown(told),
                received: None,
                best,
                ineligible: None,
                lost: None,
                multipath: false,
                stale: self.is_stale(path),
            });
        }
    }

    /// Whether a path's session ended, or was asked anew, and has not told it since.
    pub(crate) fn is_stale(&self, path: &Path) -> bool {
        self.peer(path.peer).is_some_and(|peer| peer.generation != path.generation)
    }

    fn peer_counters(&self, slot: u32) -> PeerCounters {
        let Some(peer) = self.peer(slot) else { return PeerCounters::default() };
        PeerCounters {
            received: peer.received,
            accepted: peer.accepted,
            import_rejected: peer.rejected,
            export_rejected: self.export_rejected(slot),
            stale: peer.received - peer.current,
            refused: peer.bounds.refused,
            over_limit: peer.bounds.over,
            advertised: self.advertised(slot),
            withheld: self.waits(slot),
            drained: peer.reader.as_ref().is_some_and(|reader| self.is_drained(reader)),
            behind: peer.reader.as_ref().map_or(0, |reader| {
                let log = self.log_of(reader.log);
                log.head().saturating_sub(reader.cursor).min(log.len() as u64)
            }),
        }
    }

    /// Prefixes that stand at a peer: all that stand in its group but those it told itself. The group's count is of the
    /// furthest place any member has read to, so that it speaks for the members that stand there.
    pub(crate) fn advertised(&self, slot: u32) -> u32 {
        self.advertised_at_most(slot, u32::MAX)
    }

    /// The same for a peer that falls idle, which happens with every change: where a policy has to be counted after one by
    /// one, and the peer itself told very many routes, all that are best are taken to pass.
    pub(crate) fn advertised_about(&self, slot: u32) -> u32 {
        self.advertised_at_most(slot, COUNTED)
    }

    /// The same for a bound that is only watched, which is looked at with every message: as of when the peer fell idle.
    pub(crate) fn advertised_lately(&self, slot: u32) -> u32 {
        match self.reader(slot) {
            Some(reader) if reader.log == NONE && reader.bounded.is_none() => reader.advertised,
            _ => self.advertised_about(slot),
        }
    }

    fn advertised_at_most(&self, slot: u32, counted_one_by_one: u32) -> u32 {
        let Some((peer, reader)) = self.peer(slot).and_then(|peer| Some((peer, peer.reader.as_ref()?)))
        else {
            return 0;
        };
        let Some(group) = self.groups.get(reader.group) else { return 0 };
        if let Some(bounded) = reader.bounded.as_ref().filter(|_| group.key.bound.is_some()) {
            return bounded.count();
        }
        if group.key.export.rejects_all() {
            return 0;
        }
        let several = group.key.selection.is_some();
        if reader.cursor < if several { reader.birth } else { self.log.head() } {
            return reader.advertised;
        }
        if let Some(choices) = &group.own {
            let without = if peer.received > counted_one_by_one {
                Self::without_choice_about(choices, slot, own(peer.best, group, reader.origin))
            } else {
                self.without_choice(slot, group, choices)
            };
            return group.standing_count.saturating_sub(without);
        }
        if group.key.tells_as_own(reader.origin) {
            return group.standing_count;
        }
        let counted = group.key.membership.is_none()
            && !self.is_membership()
            && !self.suppresses
            && !crate::roles::keeps_back(group.key.bgp_role);
        let is_counted = group.key.export.accepts_all() && !several && counted;
        let own = if is_counted || peer.received > counted_one_by_one {
            own(peer.best, group, reader.origin)
        } else {
            self.standing_of(slot, group)
        };
        group.standing_count.saturating_sub(own)
    }

    /// The same, one by one: what a policy lets pass is in no count.
    fn standing_of(&self, slot: u32, group: &Group) -> u32 {
        let first = self.peer(slot).map_or(NONE, |peer| peer.newest);
        let paths = core::iter::successors((first != NONE).then_some(first), |&at| {
            let older = self.paths[at].older;
            (older != NONE).then_some(older)
        });
        let stands = |at: &u32| {
            if group.key.selection.is_some() {
                return group.standing.contains(*at);
            }
            let prefix = self.paths[*at].prefix;
            let entry = &self.entries[prefix];
            entry.state == State::Best && entry.paths == *at && group.standing.contains(prefix)
        };
        u32::try_from(paths.filter(stands).count()).unwrap_or(u32::MAX)
    }

    /// What export policy keeps from a peer.
    fn export_rejected(&self, slot: u32) -> u32 {
        let group = self.reader(slot).and_then(|reader| self.groups.get(reader.group));
        group.map_or(0, |group| {
            // Nothing is looked at one by one where nothing passes.
            let all = || self.path_logs.get(group.log).map_or(self.best, |paths| paths.log.len());
            let all = || u32::try_from(all()).unwrap_or(u32::MAX);
            if group.key.export.rejects_all() { all() } else { group.rejected() }
        })
    }

    /// Routes that wait until a peer may be told more.
    pub(crate) fn waits(&self, slot: u32) -> u32 {
        self.reader(slot).and_then(|reader| reader.bounded.as_ref()).map_or(0, |bounded| bounded.waits())
    }

    fn counters(&self) -> TableCounters {
        let tombstones = self.tombstones();
        TableCounters {
            prefixes: self.entries.len(),
            paths: self.paths.len(),
            best: self.best,
            tombstones,
            attribute_sets: 0,
            groups: self.groups.len(),
        }
    }
}

/// How many of the prefixes that stand in a group one member told itself.
fn own(best: [u32; 3], group: &Group, origin: export::Origin) -> u32 {
    use crate::attributes::Scope;
    if export::passes(&group.key, origin).is_err() {
        return 0;
    }
    let inside = if group.key.kind == PeerKind::Internal { best[scope_index(Scope::Inside)] } else { 0 };
    best[scope_index(Scope::All)] + inside
}
