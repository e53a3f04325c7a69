//! Followers that are no peers read the log with a cursor of their own: best routes with all their next hops.

use bgp_wire::NextHop;
use bytes::Bytes;

use crate::attributes::AttributesId;
use crate::decision::Ladder;
use crate::log::Log;
use crate::policy::KernelTag;
use crate::prefix::Key;
use crate::query::{RouteAttributes, Why};
use crate::reader::{Best, RouteChange};
use crate::table::{Shared, Table};

/// Where a follower stands in one table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(crate) cursor: u64,
    pub(crate) birth: u64,
}

impl Place {
    fn hold(self) -> u64 {
        self.cursor.max(self.birth)
    }
}

impl<K: Key> Table<K> {
    /// The log that followers read: of multipath sets where there are any.
    pub(crate) fn followed(&self) -> &Log {
        self.multipath.as_ref().unwrap_or(&self.log)
    }

    fn followed_mut(&mut self) -> &mut Log {
        self.multipath.as_mut().unwrap_or(&mut self.log)
    }

    pub(crate) fn open_follower(&mut self) -> Place {
        let place = Place { cursor: 0, birth: self.followed().head() };
        self.followed_mut().join(place.hold());
        place
    }

    pub(crate) fn close_follower(&mut self, place: Place) {
        self.followed_mut().leave(place.hold());
    }

    /// Appends up to `max` changes; where the follower stands now.
    pub(crate) fn follow(
        &mut self,
        shared: &mut Shared,
        place: Place,
        max: usize,
        changes: &mut Vec<RouteChange>,
    ) -> Place {
        let head = self.followed().head();
        let mut ladder = core::mem::take(&mut shared.ladder);
        let mut cursor = head;
        let mut room = max;
        for (position, id) in self.followed().walk(place.cursor, head) {
            if room == 0 {
                cursor = position;
                break;
            }
            let best = self.best_of(shared, &mut ladder, id);
            if best.is_some() || position >= place.birth {
                changes.extend(self.entries[id].key.prefix().map(|prefix| RouteChange { prefix, best }));
                room -= 1;
            }
        }
        shared.ladder = ladder;
        let now = Place { cursor, ..place };
        self.followed_mut().leave(place.hold());
        self.followed_mut().join(now.hold());
        now
    }

    /// The best route of a prefix with its multipath set.
    fn best_of(&self, shared: &Shared, ladder: &mut Ladder, id: u32) -> Option<Best> {
        let best = self.best_path(id)?;
        let mut next_hops: Vec<NextHop> = shared.next_hop(best.attributes).into_iter().collect();
        let alone = best.next == crate::slab::NONE;
        if !alone {
            self.climb(shared, ladder, id);
        }
        let why = if alone { None } else { ladder.decisive() }.map_or(Why::Only, Why::Won);
        let mut weights = Vec::new();
        if !alone && shared.config.max_paths > 1 {
            // In the order of addresses: what the set looks like must not depend on how its members rank.
            let member = |attributes| Some((shared.next_hop(attributes)?, shared.weight(attributes)));
            let equals = ladder.equals().filter_map(|path| member(self.paths[path].attributes));
            let mut others: Vec<_> = equals.filter(|(next_hop, _)| !next_hops.contains(next_hop)).collect();
            others.sort_unstable();
            others.dedup_by_key(|(next_hop, _)| *next_hop);
            others.truncate(shared.config.max_paths.saturating_sub(next_hops.len()));
            let weight = shared.weight(best.attributes);
            if weight.is_some() || others.iter().any(|(_, weight)| weight.is_some()) {
                weights.extend(next_hops.iter().map(|_| weight.unwrap_or(1)));
                weights.extend(others.iter().map(|(_, weight)| weight.unwrap_or(1)));
            }
            next_hops.extend(others.into_iter().map(|(next_hop, _)| next_hop));
        }
        let source = shared.peers.source(best.peer, best.path_id);
        Some(Best { next_hops, weights, attributes: shared.show(best.attributes), source, why })
    }
}

impl Shared {
    /// An attribute set as callers see it.
    pub(crate) fn show(&self, id: AttributesId) -> RouteAttributes {
        let block = Bytes::copy_from_slice(self.attributes[id].bytes());
        let kernel = self.attributes[id].facts().map_or(KernelTag::default(), |facts| facts.kernel);
        RouteAttributes { block, next_hop: self.next_hop(id), kernel }
    }

    fn weight(&self, id: AttributesId) -> Option<u32> {
        self.attributes[id].facts().and_then(|facts| facts.kernel.weight)
    }

    /// The set as it was received, where import policy changed it.
    pub(crate) fn show_received(&self, id: AttributesId) -> Option<RouteAttributes> {
        self.attributes[id].facts().and_then(|facts| facts.received).map(|received| self.show(received))
    }
}
