//! Followers that are no peers read the log with a cursor of their own: best routes with all their next hops.

use bgp_wire::{AttributeBlock, NextHop, PeerKind};
use bytes::Bytes;

use crate::attributes::AttributesId;
use crate::decision::Ladder;
use crate::log::Log;
use crate::policy::KernelTag;
use crate::prefix::Key;
use crate::query::{RouteAttributes, Why};
use crate::reader::{Best, RouteChange};
use crate::table::{Shared, Table};

/// How many prefixes are looked at for each that may be handed out: looking costs that much less.
const PASSED_OVER: usize = 16;

/// Where a follower stands in one table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(crate) cursor: u64,
    pub(crate) birth: u64,
}

impl Place {
    pub(crate) fn hold(self) -> u64 {
        self.cursor.max(self.birth)
    }
}

impl<K: Key> Table<K> {
    /// The log that followers read: of multipath sets where there are any.
    pub(crate) fn followed(&self) -> &Log {
        self.multipath.as_ref().unwrap_or(&self.log)
    }

    /// Withdrawn prefixes in the log that followers read.
    pub(crate) fn followed_tombstones(&self) -> usize {
        self.followed().len() - self.best
    }

    /// Whether nobody who reads that log stands behind this follower, and something is kept for it.
    pub(crate) fn waits_for(&self, place: Place) -> bool {
        let log = self.followed();
        place.hold() < log.head() && place.hold() <= log.read_by_all()
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
        // Those that went before the follower came are passed over, and are many at times.
        let looked = max.saturating_mul(PASSED_OVER);
        for (count, (position, id)) in self.followed().walk(place.cursor, head).enumerate() {
            if room == 0 || count >= looked {
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
            self.climb_front(shared, ladder, id);
        }
        let why = if alone { None } else { ladder.decisive() }.map_or(Why::Only, Why::Won);
        let mut weights = Vec::new();
        let internal = shared.peers.get(best.peer).is_some_and(|peer| peer.params.kind == PeerKind::Internal);
        let most = shared.config.most_paths(internal);
        if !alone && most > 1 {
            // In the order of addresses: what the set looks like must not depend on how its members rank.
            let equals = self.equals(shared, ladder, Some(self.entries[id].paths)).into_iter();
            let sets = equals.map(|path| self.paths[path].attributes);
            let members = sets.filter_map(|set| Some((shared.next_hop(set)?, shared.weight(set), set)));
            let mut others: Vec<_> = members.filter(|(next_hop, ..)| !next_hops.contains(next_hop)).collect();
            others.sort_unstable();
            others.dedup_by_key(|(next_hop, ..)| *next_hop);
            others.truncate(most.saturating_sub(next_hops.len()));
            let own =
                next_hops.iter().map(|next_hop| (*next_hop, shared.weight(best.attributes), best.attributes));
            let all: Vec<_> = own.chain(others).collect();
            if all.iter().any(|(_, weight, _)| weight.is_some()) {
                weights = all.iter().map(|(_, weight, _)| weight.unwrap_or(1)).collect();
            } else {
                weights = shared.weights_by_bandwidth(all.iter().map(|&(_, _, set)| set));
            }
            next_hops = all.into_iter().map(|(next_hop, ..)| next_hop).collect();
        }
        let source = shared.peers.source(best.peer, best.path_id);
        Some(Best { next_hops, weights, attributes: shared.show(best.attributes), source, why })
    }
}

/// The greatest weight of a next hop: one octet in Linux, counted from one.
const MOST_WEIGHT: f64 = 256.0;

/// The bandwidth in octets per second that a route carries, transitive or not (draft-ietf-idr-link-bandwidth).
fn link_bandwidth(block: AttributeBlock<'_>) -> Option<f64> {
    let of = |community: bgp_wire::ExtendedCommunity| match community.0 {
        [0x00 | 0x40, 0x04, _, _, a, b, c, d] => Some(f64::from(f32::from_be_bytes([a, b, c, d]))),
        _ => None,
    };
    let bandwidth = block.extended_communities().iter().find_map(of)?;
    (bandwidth.is_finite() && bandwidth > 0.0).then_some(bandwidth)
}

impl Shared {
    /// An attribute set as callers see it.
    pub(crate) fn show(&self, id: AttributesId) -> RouteAttributes {
        let block = Bytes::copy_from_slice(self.attributes[id].bytes());
        let kernel = self.attributes[id].facts().map_or(KernelTag::default(), |facts| facts.kernel);
        RouteAttributes { block, next_hop: self.next_hop(id), kernel }
    }

    /// Weights in proportion to the link bandwidths that routes carry (draft-ietf-idr-link-bandwidth), the greatest being
    /// 256, the most that a kernel knows. Where one carries none, or all are the same, all weigh the same.
    fn weights_by_bandwidth(&self, sets: impl Iterator<Item = AttributesId>) -> Vec<u32> {
        let bandwidths: Option<Vec<f64>> =
            sets.map(|set| link_bandwidth(self.attributes[set].block())).collect();
        let bandwidths = bandwidths.unwrap_or_default();
        let most = bandwidths.iter().copied().fold(0.0, f64::max);
        if most <= 0.0 || bandwidths.iter().all(|&bandwidth| bandwidth >= most) {
            return Vec::new();
        }
        let weight = |bandwidth: f64| {
            let scaled = (bandwidth / most * MOST_WEIGHT).round().clamp(1.0, MOST_WEIGHT);
            // Between 1 and 256 as of the line above.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was just clamped")]
            let weight = scaled as u32;
            weight
        };
        bandwidths.into_iter().map(weight).collect()
    }

    fn weight(&self, id: AttributesId) -> Option<u32> {
        self.attributes[id].facts().and_then(|facts| facts.kernel.weight)
    }

    /// The set as it was received, where import policy changed it.
    pub(crate) fn show_received(&self, id: AttributesId) -> Option<RouteAttributes> {
        self.attributes[id].facts().and_then(|facts| facts.received).map(|received| self.show(received))
    }
}
