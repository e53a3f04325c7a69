//! Aggregates: routes of this speaker's own that stand for all that lies inside them (RFC 4271 §9.2.2.2).
//!
//! | attribute | of the aggregate |
//! |---|---|
//! | ORIGIN | the worst of its own and of those that contribute |
//! | AS_PATH | its own; no AS_SET is made (RFC 9774) |
//! | ATOMIC_AGGREGATE, AGGREGATOR | there as soon as the AS_PATH of one that contributes is not empty (RFC 4271 §9.1.4) |
//! | all others | its own; the MULTI_EXIT_DISC and next hops of those that contribute are not compared |
//!
//! What contributes is counted as best routes come and go, so that an aggregate costs each of them one look-up for each
//! length of prefix in use, and coming into force costs nothing more. The whole table is walked, in bounded turns, when an
//! aggregate is configured in another way: to count, and to tell anew what is suppressed now or no longer.

use bgp_wire::{Aggregator, Family, Origin, PathAttributes, PeerKind};
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};

use crate::attributes::Summary;
use crate::event::Origination;
use crate::export::{GroupKey, Outbound};
use crate::path::Path;
use crate::prefix::Key;
use crate::rib::{Rib, on_table};
use crate::table::{Seen, Shared, State, Table, Touched};
use crate::{OwnerId, Policy};

/// What makes an origination an aggregate. Several owners may hold one of the same prefix: it stands until the last has
/// let go, and a route inside is suppressed as soon as one of them says so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Aggregation {
    /// It is told without any route inside it too; else only while there is a best one.
    pub always: bool,
    /// While it is told, routes inside it are kept from all peers, whoever told them.
    pub suppress: bool,
    /// What goes out nevertheless: what this policy accepts on the session. What it changes is not looked at. Rejects all by
    /// default.
    pub except: Policy,
}

impl Default for Aggregation {
    /// Told while a route inside it is best; suppresses nothing.
    fn default() -> Self {
        Self { always: false, suppress: false, except: Policy::reject_all() }
    }
}

/// Best routes inside an aggregate, by what the aggregate takes over from them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Tally {
    all: u32,
    egp: u32,
    incomplete: u32,
    with_as_path: u32,
}

impl Tally {
    /// All that the aggregate takes over.
    fn taken_over(&self) -> (bool, Origin, bool) {
        (self.all > 0, self.worst_origin(), self.with_as_path > 0)
    }

    fn add(&mut self, of: &Summary, change: fn(u32, u32) -> u32) {
        let rows = [
            (&mut self.all, true),
            (&mut self.egp, of.origin == Origin::Egp.octet()),
            (&mut self.incomplete, of.origin == Origin::Incomplete.octet()),
            (&mut self.with_as_path, of.as_path_length > 0 || of.neighbour_as > 0),
        ];
        for (count, _) in rows.into_iter().filter(|(_, counts)| *counts) {
            *count = change(*count, 1);
        }
    }

    fn worst_origin(&self) -> Origin {
        match (self.incomplete, self.egp) {
            (0, 0) => Origin::Igp,
            (0, _) => Origin::Egp,
            _ => Origin::Incomplete,
        }
    }
}

/// All aggregates of one prefix.
#[derive(Debug, Default)]
struct Row {
    owners: BTreeMap<OwnerId, Origination>,
    /// Prefixes of the table below this name are in the tally.
    counted: u32,
    tally: Tally,
    /// It was configured in another way since its suppression was last looked at with a whole tally.
    fresh: bool,
    /// What is excepted by each of those that suppress now; empty: nothing is suppressed.
    in_force: Vec<Policy>,
}

impl Row {
    fn is_counted(&self) -> bool {
        self.counted == u32::MAX
    }
}

/// All aggregates, with what has still to be done about them.
#[derive(Debug, Default)]
pub(crate) struct Aggregates {
    rows: BTreeMap<IpNet, Row>,
    /// Lengths of prefix in use, by family, with how many rows have each.
    lengths: [BTreeMap<u8, u32>; 2],
    /// Rows whose routes may have to be told otherwise.
    touched: BTreeSet<IpNet>,
    /// Of each family the rows that have not counted every prefix, by [`Row::counted`].
    uncounted: [BTreeMap<u32, BTreeSet<IpNet>>; 2],
    /// Of each family how many rows suppress something.
    suppressing: [usize; 2],
    flipped: [Flipped; 2],
}

/// What is suppressed otherwise than before, in one family, and not told yet.
#[derive(Debug, Default)]
struct Flipped {
    /// What was suppressed under a prefix before; `None`: it changed several times.
    before: BTreeMap<IpNet, Option<Vec<Policy>>>,
    /// The lengths of these prefixes.
    lengths: BTreeSet<u8>,
    /// How often something changed.
    times: u32,
}

impl Flipped {
    /// Those that a prefix lies inside of.
    fn around(&self, prefix: IpNet) -> impl Iterator<Item = IpNet> + '_ {
        let nets = around(self.lengths.range(..prefix.prefix_len()).copied(), prefix);
        nets.filter(|net| self.before.contains_key(net))
    }
}

/// The prefixes of these lengths that a prefix lies inside of.
fn around(lengths: impl Iterator<Item = u8>, prefix: IpNet) -> impl Iterator<Item = IpNet> {
    lengths.filter_map(move |length| IpNet::new(prefix.addr(), length).ok()).map(|net| net.trunc())
}

/// The place of a family that has aggregates.
fn place_of(family: Family) -> Option<usize> {
    FAMILIES.iter().position(|other| *other == family)
}

fn index_of(prefix: &IpNet) -> usize {
    usize::from(matches!(prefix, IpNet::V6(_)))
}

const FAMILIES: [Family; 2] = [Family::IPV4_UNICAST, Family::IPV6_UNICAST];

impl Aggregates {
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.flipped.iter().all(|flipped| flipped.before.is_empty())
    }

    /// Prefixes of rows that a prefix lies inside of, the shortest first.
    fn around(&self, prefix: IpNet) -> impl Iterator<Item = IpNet> + '_ {
        let lengths = self.lengths[index_of(&prefix)].range(..prefix.prefix_len());
        around(lengths.map(|(&length, _)| length), prefix)
    }

    /// Whether a route of this prefix may be suppressed.
    pub(crate) fn covers(&self, family: Family, prefix: Option<IpNet>) -> bool {
        let Some(prefix) = prefix.filter(|_| FAMILIES.contains(&family)) else { return false };
        !self.rows.is_empty() && self.around(prefix).any(|net| !self.in_force(&net).is_empty())
    }

    /// Whether what some except depends on this, such as origin validation.
    pub(crate) fn ask(&self, asks: fn(&Policy) -> bool) -> bool {
        self.rows.values().flat_map(|row| &row.in_force).any(asks)
    }

    /// This speaker has other names, and aggregates carry them.
    pub(crate) fn rename(&mut self) {
        self.touched.extend(self.rows.keys());
    }

    fn in_force(&self, prefix: &IpNet) -> &[Policy] {
        self.rows.get(prefix).map_or(&[], |row| &row.in_force)
    }

    /// A best route came or went.
    fn count(&mut self, id: u32, prefix: IpNet, of: &Summary, change: fn(u32, u32) -> u32) {
        let around: Vec<IpNet> = self.around(prefix).collect();
        for net in around {
            if let Some(row) = self.rows.get_mut(&net).filter(|row| row.counted > id) {
                let before = row.tally.taken_over();
                row.tally.add(of, change);
                if row.tally.taken_over() != before {
                    self.touched.insert(net);
                }
            }
        }
    }

    /// A best route stood before a row had counted it.
    fn count_late(&mut self, id: u32, prefix: IpNet, of: &Summary) {
        let around: Vec<IpNet> = self.around(prefix).collect();
        for net in around {
            // Whoever has counted further counts this one as it comes and goes.
            if let Some(row) = self.rows.get_mut(&net).filter(|row| row.counted <= id) {
                row.tally.add(of, u32::saturating_add);
                self.touched.insert(net);
            }
        }
    }

    fn insert(&mut self, owner: OwnerId, route: Origination) {
        let prefix = route.prefix;
        let lengths = &mut self.lengths[index_of(&prefix)];
        let uncounted = &mut self.uncounted[index_of(&prefix)];
        let row = self.rows.entry(prefix).or_insert_with(|| {
            *lengths.entry(prefix.prefix_len()).or_insert(0) += 1;
            uncounted.entry(0).or_default().insert(prefix);
            Row::default()
        });
        row.owners.insert(owner, route);
        row.fresh = true;
        self.touched.insert(prefix);
    }

    /// An owner lets go; whether it had one.
    fn remove(&mut self, owner: OwnerId, prefix: IpNet) -> bool {
        let Some(row) = self.rows.get_mut(&prefix) else { return false };
        if row.owners.remove(&owner).is_none() {
            return false;
        }
        row.fresh = true;
        self.touched.insert(prefix);
        if row.owners.is_empty() {
            let (former, counted) = (core::mem::take(&mut row.in_force), row.counted);
            self.rows.remove(&prefix);
            self.suppressing[index_of(&prefix)] -= usize::from(!former.is_empty());
            self.flip(prefix, former, &[]);
            let uncounted = &mut self.uncounted[index_of(&prefix)];
            if let Some(rows) = uncounted.get_mut(&counted) {
                rows.remove(&prefix);
                if rows.is_empty() {
                    uncounted.remove(&counted);
                }
            }
            let lengths = &mut self.lengths[index_of(&prefix)];
            if let Some(count) = lengths.get_mut(&prefix.prefix_len()) {
                *count -= 1;
                if *count == 0 {
                    lengths.remove(&prefix.prefix_len());
                }
            }
        }
        true
    }

    fn flip(&mut self, prefix: IpNet, former: Vec<Policy>, now: &[Policy]) {
        if former != now {
            let flipped = &mut self.flipped[index_of(&prefix)];
            flipped.times = flipped.times.wrapping_add(1);
            flipped.lengths.insert(prefix.prefix_len());
            flipped.before.entry(prefix).and_modify(|former| *former = None).or_insert(Some(former));
        }
    }

    /// The next name that some row of a family has not counted.
    fn uncounted(&self, family: Family) -> Option<u32> {
        self.uncounted[place_of(family)?].keys().next().copied()
    }

    /// Names below this one have been counted by the rows that have counted furthest behind.
    fn counted_to(&mut self, family: Family, to: u32) {
        let Some(uncounted) = place_of(family).map(|at| &mut self.uncounted[at]) else { return };
        let further = uncounted.split_off(&to);
        for prefix in core::mem::replace(uncounted, further).into_values().flatten() {
            let Some(row) = self.rows.get_mut(&prefix) else { continue };
            row.counted = to;
            if row.is_counted() {
                self.touched.insert(prefix);
            } else {
                uncounted.entry(to).or_default().insert(prefix);
            }
        }
    }

    /// Whether anything is suppressed in a family, or something was and is not told yet.
    fn suppresses(&self, family: Family) -> bool {
        place_of(family).is_some_and(|at| self.suppressing[at] > 0 || !self.flipped[at].before.is_empty())
    }
}

impl Shared {
    /// Whether an aggregate keeps a route from a group.
    pub(crate) fn is_suppressed(&self, to: &GroupKey, route: &Outbound) -> bool {
        let (family, prefix) = route.destination;
        let Some(prefix) = prefix.filter(|_| FAMILIES.contains(&family)) else { return false };
        if self.aggregates.rows.is_empty() {
            return false;
        }
        let mut around = self.aggregates.around(prefix);
        around.any(|net| self.keeps_back(self.aggregates.in_force(&net), to.kind, route))
    }

    /// Whether one of these, being what is excepted, does not except a route.
    fn keeps_back(&self, in_force: &[Policy], kind: PeerKind, route: &Outbound) -> bool {
        in_force.iter().any(|except| {
            let session = (kind, self.config.local_as);
            let view = self.view(route.attributes, route.source, route.path_id, session, route.destination);
            except.rejects_all() || !except.evaluate(&self.validated(except, view)).is_accepted()
        })
    }

    /// Whether what is suppressed of a route differs from before, for any session.
    fn is_told_otherwise(&self, flipped: &[IpNet], route: &Outbound) -> bool {
        flipped.iter().any(|net| {
            let flipped = &self.aggregates.flipped[index_of(net)].before;
            let Some(Some(former)) = flipped.get(net) else { return true };
            [PeerKind::Internal, PeerKind::External].into_iter().any(|kind| {
                let now = self.aggregates.in_force(net);
                self.keeps_back(former, kind, route) != self.keeps_back(now, kind, route)
            })
        })
    }

    /// What is told of an aggregate.
    fn aggregate(&self, base: &PathAttributes, tally: &Tally) -> PathAttributes {
        let mut attributes = base.clone();
        if tally.worst_origin().octet() > attributes.origin.octet() {
            attributes.origin = tally.worst_origin();
        }
        if tally.with_as_path > 0 {
            attributes.atomic_aggregate = true;
            let us = Aggregator { asn: self.config.local_as, router_id: self.config.router_id };
            attributes.aggregator.get_or_insert(us);
        }
        attributes
    }
}

impl Rib {
    /// Takes an origination that is an aggregate.
    pub(crate) fn aggregate(&mut self, owner: OwnerId, route: &Origination) {
        let prefix = route.prefix.trunc();
        self.shared.aggregates.insert(owner, Origination { prefix, ..route.clone() });
    }

    /// An owner's route of this prefix is no aggregate any more; whether it was one.
    pub(crate) fn end_aggregate(&mut self, owner: OwnerId, prefix: IpNet) -> bool {
        self.shared.aggregates.remove(owner, prefix.trunc())
    }

    /// Brings aggregates up to date with what contributes to them, in the turn in which that came or went: nobody has read
    /// of it yet. One may contribute to the next shorter one, so there are as many rounds as lengths of prefix at most.
    pub(crate) fn settle_aggregates(&mut self) {
        if self.shared.aggregates.touched.is_empty() {
            return;
        }
        while let Some(prefix) = self.shared.aggregates.touched.pop_last() {
            self.settle_aggregate(prefix);
        }
        for (at, family) in FAMILIES.into_iter().enumerate() {
            let suppresses = self.shared.aggregates.suppresses(family);
            let times = self.shared.aggregates.flipped[at].times;
            on_table!(self, family, table => {
                table.suppresses = suppresses;
                if core::mem::replace(&mut table.flips, times) != times {
                    table.retell = Some(0);
                }
            });
        }
    }

    fn settle_aggregate(&mut self, prefix: IpNet) {
        let Some(row) = self.shared.aggregates.rows.get_mut(&prefix) else { return };
        let tally = row.tally;
        let is_told = |route: &Origination| {
            tally.all > 0 || route.aggregation.as_ref().is_some_and(|aggregation| aggregation.always)
        };
        let suppressing = row.owners.values().filter(|route| is_told(route));
        let suppressing = suppressing.filter_map(|route| route.aggregation.as_deref());
        let mut in_force: Vec<Policy> = Vec::new();
        for aggregation in suppressing.filter(|aggregation| aggregation.suppress) {
            if !in_force.contains(&aggregation.except) {
                in_force.push(aggregation.except.clone());
            }
        }
        let former = core::mem::replace(&mut row.in_force, in_force.clone());
        let suppressing = &mut self.shared.aggregates.suppressing[index_of(&prefix)];
        *suppressing = *suppressing + usize::from(!in_force.is_empty()) - usize::from(!former.is_empty());
        // With a whole tally that was empty what lies inside came in this turn, or all of it went.
        let walks = row.fresh;
        row.fresh &= !row.is_counted();
        let owners: Vec<(OwnerId, bool, Origination)> =
            row.owners.iter().map(|(&owner, route)| (owner, is_told(route), route.clone())).collect();
        if walks {
            self.shared.aggregates.flip(prefix, former, &in_force);
        }
        for (owner, is_told, route) in owners {
            if is_told {
                let attributes = self.shared.aggregate(&route.attributes, &tally);
                self.originate_route(owner, &Origination { attributes, ..route });
            } else {
                self.withdraw_route(owner, prefix);
            }
        }
    }
}

impl<K: Key> Table<K> {
    /// Another route is best for a prefix: it contributes to the aggregates around.
    pub(crate) fn count_in_aggregates(
        &self,
        shared: &mut Shared,
        id: u32,
        before: Option<Seen>,
        after: Option<Seen>,
    ) {
        let plain = FAMILIES.contains(&self.family);
        let Some(prefix) = self.entries[id].key.prefix().filter(|_| plain) else { return };
        let mut count = |seen: Option<Seen>, change: fn(u32, u32) -> u32| {
            if let Some(seen) = seen {
                let summary = shared.attributes[seen.attributes].summary;
                shared.aggregates.count(id, prefix, &summary, change);
            }
        };
        count(before, u32::saturating_sub);
        count(after, u32::saturating_add);
    }

    /// Whether a walk for aggregates has not come to its end.
    pub(crate) fn is_aggregating(&self, shared: &Shared) -> bool {
        self.retell.is_some() || shared.aggregates.uncounted(self.family).is_some()
    }

    /// Looks at up to `turn` prefixes for aggregates that came or changed: counts first, then tells.
    pub(crate) fn continue_aggregating(&mut self, shared: &mut Shared, turn: u32) {
        if shared.aggregates.is_empty() {
            self.retell = None;
            return;
        }
        match shared.aggregates.uncounted(self.family) {
            Some(from) => self.continue_counting(shared, from, turn),
            None => self.continue_retelling(shared, turn),
        }
    }

    fn continue_counting(&mut self, shared: &mut Shared, from: u32, turn: u32) {
        let bound = self.entries.bound();
        let end = from.saturating_add(turn).min(bound);
        for id in from..end {
            let Some((prefix, seen)) = self.entries[id].key.prefix().zip(self.seen_if_used(id)) else {
                continue;
            };
            let summary = shared.attributes[seen.attributes].summary;
            shared.aggregates.count_late(id, prefix, &summary);
        }
        // What a name beyond the end of the table stands for will be counted as it comes.
        let to = if end < bound { end } else { u32::MAX };
        shared.aggregates.counted_to(self.family, to);
    }

    fn seen_if_used(&self, id: u32) -> Option<Seen> {
        if self.entries[id].state == State::Best { self.seen(id) } else { None }
    }

    fn continue_retelling(&mut self, shared: &mut Shared, turn: u32) {
        let Some(from) = self.retell else { return };
        let end = from.saturating_add(turn).min(self.entries.bound());
        for id in from..end {
            let Some(prefix) = self.entries[id].key.prefix() else { continue };
            if self.entries[id].state != State::Best {
                continue;
            }
            let flipped = &shared.aggregates.flipped[index_of(&prefix)];
            let flipped: Vec<IpNet> = flipped.around(prefix).collect();
            if flipped.is_empty() {
                continue;
            }
            let otherwise = |path: &Path| shared.is_told_otherwise(&flipped, &self.outbound(path));
            let paths: Vec<u32> =
                self.paths_of(id).filter(|(_, path)| otherwise(path)).map(|(at, _)| at).collect();
            let best = paths.contains(&self.entries[id].paths);
            if best {
                self.log.touch(id);
            }
            if !paths.is_empty() {
                self.follow_choices(shared, id, Touched::new(None), (best, None));
            }
            paths.into_iter().for_each(|path| self.path_logs.touch(path));
        }
        self.retell = (end < self.entries.bound()).then_some(end);
        if self.retell.is_none() {
            if let Some(at) = place_of(self.family) {
                let flipped = &mut shared.aggregates.flipped[at];
                *flipped = Flipped { times: flipped.times, ..Flipped::default() };
            }
            self.suppresses = shared.aggregates.suppresses(self.family);
        }
    }
}
