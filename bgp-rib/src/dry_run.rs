//! What a peer would be told under another export policy, without telling it.

use bgp_wire::{Family, NextHop, PathId};
use bytes::Bytes;

use crate::add_path;
use crate::export::GroupKey;
use crate::lookup::LOOKED_AT;
use crate::nlri::Destination;
use crate::path::Path;
use crate::policy::KernelTag;
use crate::prefix::Key;
use crate::rib::{Rib, in_table};
use crate::slab::NONE;
use crate::table::{Shared, State, Table};
use crate::{HeldBack, PageToken, PeerId, Policy, RouteAttributes};

/// A destination of which a peer would be told something else.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExportChange {
    /// Where it leads.
    pub destination: Destination,
    /// The identifier of the path that goes under it, where the peer is told several (RFC 7911); else 0.
    pub path_id: PathId,
    /// What it is told by the policy in force, or why nothing. Attributes are as they go out.
    pub now: Result<RouteAttributes, HeldBack>,
    /// What it would be told, or why nothing.
    pub then: Result<RouteAttributes, HeldBack>,
}

impl Rib {
    /// How the Adj-RIB-Out of a peer would differ under another export policy: up to `limit` changes from `from` on, and
    /// where the next page begins. Nothing for a peer that is not up in the family.
    #[must_use]
    pub fn dry_run(
        &self,
        peer: PeerId,
        family: Family,
        export: &Policy,
        from: PageToken,
        limit: usize,
    ) -> (Vec<ExportChange>, Option<PageToken>) {
        in_table!(self, family, table => table.dry_run(&self.shared, peer.0, export, from, limit))
            .unwrap_or_default()
    }
}

impl<K: Key> Table<K> {
    fn dry_run(
        &self,
        shared: &Shared,
        slot: u32,
        export: &Policy,
        from: PageToken,
        limit: usize,
    ) -> (Vec<ExportChange>, Option<PageToken>) {
        let index = self.reader(slot).map_or(NONE, |reader| reader.group);
        let Some(group) = self.groups.get(index) else { return (Vec::new(), None) };
        let then = GroupKey { export: export.clone(), ..group.key.clone() };
        let end = from.0.saturating_add(LOOKED_AT).min(self.entries.bound());
        let mut changes = Vec::new();
        for id in from.0..end {
            if changes.len() >= limit {
                return (changes, Some(PageToken(id)));
            }
            if self.entries[id].state != State::Best {
                continue;
            }
            if then.best_per_client {
                let now = self.told_by(shared, &group.key, id, slot);
                let then = self.told_by(shared, &then, id, slot);
                if now != then && (now.is_ok() || then.is_ok()) {
                    let destination = self.entries[id].key.destination();
                    let (now, then) = (now.map(shown), then.map(shown));
                    changes.push(ExportChange { destination, path_id: PathId(0), now, then });
                }
                continue;
            }
            for (path_id, path) in self.standing_of_prefix(shared, &group.key, (group.log, id)) {
                let now = self.told_path(shared, &group.key, path, slot);
                let then = self.told_path(shared, &then, path, slot);
                if now != then && (now.is_ok() || then.is_ok()) {
                    let destination = self.entries[id].key.destination();
                    let (now, then) = (now.map(shown), then.map(shown));
                    changes.push(ExportChange { destination, path_id, now, then });
                }
            }
        }
        (changes, (end < self.entries.bound()).then_some(PageToken(end)))
    }
}

impl<K: Key> Table<K> {
    /// The paths of a prefix that a peer with such a key is told, as far as the choice goes.
    pub(crate) fn told_of_prefix(
        &self,
        shared: &Shared,
        key: &GroupKey,
        (log, id): (u32, u32),
        slot: u32,
    ) -> Vec<(PathId, &Path)> {
        if !key.best_per_client {
            return self.standing_of_prefix(shared, key, (log, id));
        }
        let path = self.path_to(shared, key, id, slot);
        path.map(|at| (PathId(0), &self.paths[at])).into_iter().collect()
    }

    /// The paths of a prefix that readers of a log with such a key are told, with their identifiers.
    fn standing_of_prefix(
        &self,
        shared: &Shared,
        key: &GroupKey,
        (log, id): (u32, u32),
    ) -> Vec<(PathId, &Path)> {
        if log == NONE {
            let path = self.path_for(shared, key, log, id);
            return path.map(|path| (PathId(0), path)).into_iter().collect();
        }
        let standing = self.paths_of(id).filter_map(|(at, _)| Some((at, self.standing_path(log, at)?)));
        standing.map(|(at, path)| (add_path::path_id(at), path)).collect()
    }
}

/// As callers see it.
pub(crate) fn shown((next_hop, block): (NextHop, Vec<u8>)) -> RouteAttributes {
    RouteAttributes { block: Bytes::from(block), next_hop: Some(next_hop), kernel: KernelTag::default() }
}
