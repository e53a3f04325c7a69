//! Followers that are no peers read the log with a cursor of their own: best routes with all their next hops.

use core::time::Duration;

use bgp_wire::{AttributeBlock, NextHop, PeerKind};
use bytes::Bytes;

use crate::ReaderId;
use crate::attributes::AttributesId;
use crate::decision::Ladder;
use crate::event::Event;
use crate::log::Log;
use crate::policy::KernelTag;
use crate::prefix::Key;
use crate::query::{RouteAttributes, Why};
use crate::reader::{Best, ReaderBatch, RouteChange};
use crate::rib::Rib;
use crate::table::{Shared, Table};

/// How many prefixes are looked at for each that may be handed out: looking costs that much less.
pub(crate) const PASSED_OVER: usize = 16;

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

/// A follower of the Loc-RIB.
#[derive(Debug)]
pub(crate) struct Follower {
    pub(crate) places: [Place; 2],
    /// Where it stands among changes of nothing but staleness, if it reads them.
    pub(crate) marks: Option<[u64; 2]>,
    /// It was said to be pending and has not been drained since.
    pub(crate) told: bool,
    /// It was told that its snapshot is whole.
    synced: bool,
    /// It is to hear that it starts anew.
    anew: bool,
    /// What its places came to in former snapshots.
    pub(crate) read_before: u64,
    /// When it last read.
    read_at: Duration,
}

/// A follower that has not read for so long is not reading: one that writes to a disk or a kernel reads every second.
const SILENT: Duration = Duration::from_secs(10);
/// How many times as many tombstones are kept for a follower that reads: a table of a million prefixes may go at once.
const FOR_READERS: usize = 16;

impl Rib {
    /// Opens a follower of the Loc-RIB: it reads everything that stands, then every change.
    pub fn open_reader(&mut self) -> ReaderId {
        self.open(false)
    }

    /// The same for one that shows what is stale, or by which interface: it is also told prefixes of which nothing changed but
    /// [`Best::stale`], [`Best::stale_next_hops`] or [`Best::interface`]. A lost peer's are told in bounded turns, those that are told again as they come.
    pub fn open_marking_reader(&mut self) -> ReaderId {
        self.open(true)
    }

    fn open(&mut self, marks: bool) -> ReaderId {
        let places = [self.ipv4.open_follower(), self.ipv6.open_follower()];
        let marks = marks.then(|| [self.ipv4.open_marks(), self.ipv6.open_marks()]);
        let (anew, read_before, read_at) = (false, 0, self.now);
        let follower = Follower { places, marks, told: true, synced: false, anew, read_before, read_at };
        let free = self.followers.iter().position(Option::is_none).unwrap_or_else(|| {
            self.followers.push(None);
            self.followers.len() - 1
        });
        self.followers[free] = Some(follower);
        let id = ReaderId(u32::try_from(free).expect("there are fewer followers than bytes of memory"));
        self.events.push_back(Event::ReaderPending(id));
        id
    }

    /// Up to `max` changes for a follower. `None`: nothing is left, and [`Event::ReaderPending`] will say when there is.
    pub fn poll_reader(&mut self, reader: ReaderId, max: usize) -> Option<ReaderBatch> {
        let follower = self.followers.get_mut(reader.0 as usize)?.as_mut()?;
        let mut changes = Vec::new();
        let (before, before_marks) = (follower.places, follower.marks);
        follower.read_at = self.now;
        let anew = core::mem::take(&mut follower.anew);
        let [ipv4, ipv6] = &mut follower.places;
        *ipv4 = self.ipv4.follow(&mut self.shared, *ipv4, max.max(1), &mut changes);
        let room = max.saturating_sub(changes.len());
        *ipv6 = self.ipv6.follow(&mut self.shared, *ipv6, room, &mut changes);
        if let Some([marks4, marks6]) = &mut follower.marks {
            let shared = &mut self.shared;
            *marks4 = self.ipv4.follow_marks(shared, before[0], *marks4, max, &mut changes);
            *marks6 = self.ipv6.follow_marks(shared, before[1], *marks6, max, &mut changes);
        }
        let synced = follower.places.iter().all(|place| place.cursor >= place.birth);
        let revision = follower.read_before + follower.position();
        let newly_synced = synced && !core::mem::replace(&mut follower.synced, synced);
        let moved = before != follower.places || before_marks != follower.marks;
        if changes.is_empty() && !moved && !newly_synced && !anew {
            follower.told = false;
            return None;
        }
        Some(ReaderBatch { changes, revision, synced, anew })
    }

    /// Lets followers start anew for which too many tombstones are kept.
    pub(crate) fn bound_followers(&mut self) {
        let bound = self.shared.config.follower_tombstones;
        let kept = self.ipv4.followed_tombstones().max(self.ipv6.followed_tombstones());
        if kept <= bound {
            return;
        }
        let now = self.now;
        for follower in self.followers.iter_mut().flatten() {
            let silent = now.saturating_sub(follower.read_at) >= SILENT;
            let [ipv4, ipv6] = follower.places;
            let waited = |tombstones: usize, waits: bool| {
                waits && tombstones > if silent { bound } else { bound.saturating_mul(FOR_READERS) }
            };
            if waited(self.ipv4.followed_tombstones(), self.ipv4.waits_for(ipv4))
                || waited(self.ipv6.followed_tombstones(), self.ipv6.waits_for(ipv6))
            {
                follower.read_before += follower.position();
                self.ipv4.close_follower(ipv4);
                self.ipv6.close_follower(ipv6);
                follower.places = [self.ipv4.open_follower(), self.ipv6.open_follower()];
                if let Some([ipv4, ipv6]) = follower.marks {
                    self.ipv4.close_marks(ipv4);
                    self.ipv6.close_marks(ipv6);
                    follower.marks = Some([self.ipv4.open_marks(), self.ipv6.open_marks()]);
                }
                (follower.synced, follower.anew) = (false, true);
            }
        }
    }

    /// Closes a follower: nothing is kept for it any more.
    pub fn close_reader(&mut self, reader: ReaderId) {
        if let Some(follower) = self.followers.get_mut(reader.0 as usize).and_then(Option::take) {
            let [ipv4, ipv6] = follower.places;
            self.ipv4.close_follower(ipv4);
            self.ipv6.close_follower(ipv6);
            if let Some([ipv4, ipv6]) = follower.marks {
                self.ipv4.close_marks(ipv4);
                self.ipv6.close_marks(ipv6);
            }
        }
    }
}

impl Follower {
    /// How far it has read, as one number.
    pub(crate) fn position(&self) -> u64 {
        let marks = self.marks.into_iter().flatten().sum::<u64>();
        self.places.iter().map(|place| place.cursor).sum::<u64>() + marks
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
    pub(crate) fn best_of(&self, shared: &Shared, ladder: &mut Ladder, id: u32) -> Option<Best> {
        let best = self.best_path(id)?;
        let mut next_hops: Vec<NextHop> = shared.next_hop(best.attributes).into_iter().collect();
        let alone = best.next == crate::slab::NONE;
        if !alone {
            self.climb_front(shared, ladder, id);
        }
        let why = if alone { None } else { ladder.decisive() }.map_or(Why::Only, Why::Won);
        let mut weights = Vec::new();
        let stale = self.is_former(best);
        let mut stale_next_hops = if stale { next_hops.clone() } else { Vec::new() };
        let internal = shared.peers.get(best.peer).is_some_and(|peer| peer.params.kind == PeerKind::Internal);
        let most = shared.config.most_paths(internal);
        if !alone && most > 1 {
            // In the order of addresses: what the set looks like must not depend on how its members rank.
            let equals = self.equals(shared, ladder, Some(self.entries[id].paths));
            let sets = equals.iter().map(|&path| self.paths[path].attributes);
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
            let members = equals.iter().map(|&path| &self.paths[path]).chain([best]);
            stale_next_hops = self.only_stale(shared, &next_hops, members);
        }
        let source = shared.peers.source(best.peer, best.path_id);
        let rpki = shared.rpki(self.entries[id].key.prefix(), best.attributes);
        let attributes = shared.show(best.attributes);
        let interface = shared.interface(best.attributes).cloned();
        Some(Best { next_hops, weights, attributes, source, rpki, why, stale, interface, stale_next_hops })
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
