//! Desired and installed state per prefix, and the one step that leads from one to the other.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use foldhash::quality::RandomState;
use ipnet::IpNet;

use super::error::{RouteError, errno};
use super::fib::{FibOp, Found};
use super::resolver::Target;
use super::route::{FibAction, FibRoute, KernelAction, KernelHop, RouteKey};
use super::status::{RouteCounts, RouteReport, RouteState};

/// Where a route of a prefix stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) table: u32,
    pub(super) metric: u32,
}

impl Slot {
    pub(super) fn key(self, prefix: IpNet) -> RouteKey {
        RouteKey { prefix, table: self.table, metric: self.metric }
    }
}

impl From<RouteKey> for Slot {
    fn from(key: RouteKey) -> Self {
        Self { table: key.table, metric: key.metric }
    }
}

/// RT6's lowest user metric: what an IPv6 route without one has.
pub(super) const IPV6_DEFAULT_METRIC: u32 = 1024;

/// What BGP wants for a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Desired {
    pub(super) slot: Slot,
    pub(super) action: FibAction,
}

/// What the kernel holds of ours for a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Installed {
    pub(super) slot: Slot,
    pub(super) action: KernelAction,
}

/// One prefix.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) desired: Option<Desired>,
    pub(super) installed: Option<Installed>,
    /// Further routes of ours for the prefix (a changed metric or table, a former process).
    pub(super) others: Vec<Installed>,
    /// Protocol of a foreign route on the desired key, or on ours where nothing is desired.
    pub(super) foreign: Option<u8>,
    pub(super) fault: Option<Box<RouteError>>,
    /// Installed over a next hop that another route leads to.
    pub(super) recursive: bool,
    /// Found in the kernel, and BGP has not spoken about it yet.
    pub(super) leftover: bool,
    /// Found in the kernel at start: counts as adopted when it is as wanted.
    pub(super) adoptable: bool,
    queued: bool,
    state: RouteState,
    seen: u32,
    foreign_seen: u32,
}

/// How much of what there is to know a follower has heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Knowledge {
    /// More may come from those that are there.
    #[default]
    Partial,
    /// What those that are there have to say.
    Told,
    /// What is not known by now is not wanted.
    Synced,
}

/// The next thing to do for a prefix.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Write(FibOp),
    Rest(RouteState, Option<RouteError>),
    /// Nothing wanted, nothing there.
    Forget,
}

impl Entry {
    /// One step towards the desired state; never deletes what a replacement can do in place.
    pub(super) fn step(&mut self, prefix: IpNet, target: Target, known: Knowledge) -> Step {
        let synced = known == Knowledge::Synced;
        let Some(desired) = &self.desired else {
            if self.leftover && !synced {
                return Step::Rest(RouteState::Leftover, None);
            }
            return self.remove_one(prefix).map_or(Step::Forget, Step::Write);
        };
        let (slot, key) = (desired.slot, desired.slot.key(prefix));
        let (action, recursive) = match target {
            Target::Route { action, recursive } => (action, recursive),
            Target::Unresolved(error) => {
                // Before all is known, links and system routes may be as late as peers: what a former process
                // left goes on forwarding.
                let gone = if self.adoptable && !synced { None } else { self.remove_one(prefix) };
                return gone.map_or(Step::Rest(RouteState::Unresolved, Some(error)), Step::Write);
            }
            // It is queued again with what is found.
            Target::Later => return Step::Rest(RouteState::Pending, None),
            Target::Skip => {
                return self.remove_one(prefix).map_or(Step::Rest(RouteState::Skipped, None), Step::Write);
            }
        };
        self.recursive = recursive;
        let same_key = self.installed.as_ref().is_some_and(|installed| installed.slot == slot);
        let equal = same_key && self.installed.as_ref().is_some_and(|installed| installed.action == action);
        if let Some(protocol) = self.foreign {
            // A replacement could hit the foreign route: ours stays if it is right, else it goes.
            let removal = if equal { None } else { self.remove_one(prefix) };
            return removal.map_or(Step::Rest(RouteState::Conflict, Some(taken(protocol))), Step::Write);
        }
        if equal {
            return match self.others.last() {
                Some(other) => Step::Write(removal_of_other(prefix, other)),
                None => Step::Rest(RouteState::Installed, None),
            };
        }
        if same_key && known == Knowledge::Partial && self.adoptable && self.begins(&action) {
            // One peer was sooner than another one: packets go on over all legs that the former process left.
            return Step::Rest(RouteState::Leftover, None);
        }
        if same_key {
            return Step::Write(FibOp::Replace(key, action));
        }
        // Another metric or table: the new route comes first, the old one goes afterwards.
        if let Some(old) = self.installed.take() {
            self.others.push(old);
        }
        if let Some(at) = self.others.iter().position(|other| other.slot == slot) {
            self.others.swap_remove(at);
            self.installed = Some(Installed { slot, action: KernelAction::Other });
            return Step::Write(FibOp::Replace(key, action));
        }
        Step::Write(FibOp::Add(key, action))
    }

    /// Whether the kernel forwards over all legs of this and over more.
    fn begins(&self, action: &KernelAction) -> bool {
        let Some(KernelAction::Unicast(there)) = self.installed.as_ref().map(|there| &there.action) else {
            return false;
        };
        let KernelAction::Unicast(legs) = action else { return false };
        let has = |leg: &KernelHop| there.iter().any(|o| (o.gateway, o.device) == (leg.gateway, leg.device));
        legs.len() < there.len() && legs.iter().all(has)
    }

    fn remove_one(&self, prefix: IpNet) -> Option<FibOp> {
        let Some(Installed { slot, action }) = &self.installed else {
            return self.others.last().map(|other| removal_of_other(prefix, other));
        };
        let key = slot.key(prefix);
        let shared = self.foreign.is_some() && prefix.addr().is_ipv6();
        Some(match action {
            KernelAction::Unicast(_) if shared => FibOp::DeleteLegs(key, action.clone()),
            _ => FibOp::Delete(key),
        })
    }

    /// Takes note that the kernel no longer holds our route there.
    pub(super) fn removed(&mut self, slot: Slot) {
        if self.installed.as_ref().is_some_and(|installed| installed.slot == slot) {
            self.installed = None;
        }
        self.others.retain(|other| other.slot != slot);
    }

    pub(super) fn state(&self) -> RouteState {
        self.state
    }

    fn enter(&mut self, state: RouteState, counts: &mut RouteCounts) {
        counts.leave(self.state);
        counts.enter(state);
        self.state = state;
    }

    fn enqueue(&mut self, prefix: IpNet, queue: &mut VecDeque<IpNet>, counts: &mut RouteCounts) {
        if !self.queued {
            self.queued = true;
            queue.push_back(prefix);
        }
        self.enter(RouteState::Pending, counts);
    }

    /// Whether a route of somebody else there stands in our way. Where ours stands for the time being, and is to stand
    /// elsewhere, it does not.
    pub(super) fn holds(&self, slot: Slot) -> bool {
        let installed = self.installed.as_ref().map(|installed| installed.slot);
        self.desired.as_ref().map(|desired| desired.slot).or(installed) == Some(slot)
    }

    /// Whether it leads over a next hop that is not on a link, as far as is known: what a former process left may.
    pub(super) fn may_be_recursive(&self) -> bool {
        self.recursive || self.leftover || self.adoptable
    }

    /// Whether BGP wants it over this next hop.
    pub(super) fn wants(&self, gateway: IpAddr) -> bool {
        match self.desired.as_ref().map(|desired| &desired.action) {
            Some(FibAction::Unicast(hops)) => {
                hops.iter().any(|hop| hop.gateway == gateway && hop.device.is_none())
            }
            _ => false,
        }
    }

    fn report(&self, prefix: IpNet) -> RouteReport {
        let slot = (self.desired.as_ref().map(|desired| desired.slot))
            .or(self.installed.as_ref().map(|installed| installed.slot));
        RouteReport {
            prefix,
            state: self.state,
            table: slot.map(|slot| slot.table),
            metric: slot.map(|slot| slot.metric),
            wanted: self.desired.as_ref().map(|desired| desired.action.clone()),
            installed: self.installed.as_ref().map(|installed| installed.action.clone()),
            recursive: self.recursive,
            foreign: self.foreign,
            error: self.fault.as_deref().cloned(),
        }
    }
}

/// Nobody looks who else is on a key that we leave: legs by which ours is told keep those of others in IPv6.
fn removal_of_other(prefix: IpNet, other: &Installed) -> FibOp {
    let key = other.slot.key(prefix);
    match &other.action {
        action @ KernelAction::Unicast(_) if prefix.addr().is_ipv6() => {
            FibOp::DeleteLegs(key, action.clone())
        }
        _ => FibOp::Delete(key),
    }
}

/// The key is held by a route of `protocol`; 0 = not known yet.
pub(super) fn taken(protocol: u8) -> RouteError {
    let whose = if protocol == 0 { String::new() } else { format!("by a route of protocol {protocol}") };
    RouteError::new(errno::EEXIST, whose)
}

/// All prefixes, and the queue of those that may need a write (each at most once).
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: HashMap<IpNet, Entry, RandomState>,
    queue: VecDeque<IpNet>,
    counts: RouteCounts,
    generation: u32,
    /// A prefix may have a foreign route on its key.
    contested: bool,
}

impl Table {
    pub(super) fn get(&self, prefix: &IpNet) -> Option<&Entry> {
        self.entries.get(prefix)
    }

    pub(super) fn get_mut(&mut self, prefix: &IpNet) -> Option<&mut Entry> {
        self.entries.get_mut(prefix)
    }

    pub(super) fn counts(&self) -> RouteCounts {
        self.counts
    }

    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// The desired route; `default` where it does not say where it stands.
    pub(super) fn set(&mut self, route: FibRoute, default: Slot) {
        let metric = match route.metric {
            // What the kernel makes of it.
            Some(0) if route.prefix.addr().is_ipv6() => IPV6_DEFAULT_METRIC,
            Some(metric) => metric,
            None => default.metric,
        };
        let slot = Slot { table: route.table.unwrap_or(default.table), metric };
        let desired = Desired { slot, action: route.action };
        let Self { entries, counts, queue, .. } = self;
        let entry = Self::entry(entries, counts, route.prefix);
        entry.leftover = false;
        if entry.desired.as_ref() == Some(&desired) {
            return;
        }
        if entry.desired.as_ref().is_none_or(|former| former.slot != desired.slot) {
            entry.foreign = None;
        }
        entry.desired = Some(desired);
        entry.enqueue(route.prefix, queue, counts);
    }

    /// No desired route any more.
    pub(super) fn unset(&mut self, prefix: &IpNet) {
        let Self { entries, counts, queue, .. } = self;
        let Some(entry) = entries.get_mut(prefix) else { return };
        entry.leftover = false;
        entry.desired = None;
        entry.enqueue(*prefix, queue, counts);
    }

    fn entry<'a>(
        entries: &'a mut HashMap<IpNet, Entry, RandomState>,
        counts: &mut RouteCounts,
        prefix: IpNet,
    ) -> &'a mut Entry {
        entries.entry(prefix).or_insert_with(|| {
            counts.enter(RouteState::default());
            Entry::default()
        })
    }

    pub(super) fn enqueue(&mut self, prefix: IpNet) {
        let Self { entries, counts, queue, .. } = self;
        if let Some(entry) = entries.get_mut(&prefix) {
            entry.enqueue(prefix, queue, counts);
        }
    }

    /// Queues every prefix for which `which` holds.
    pub(super) fn enqueue_where(&mut self, mut which: impl FnMut(&Entry) -> bool) {
        let some: Vec<IpNet> =
            self.entries.iter().filter(|(_, entry)| which(entry)).map(|(prefix, _)| *prefix).collect();
        for prefix in some {
            self.enqueue(prefix);
        }
    }

    /// The next prefix that may need a write, and what is wanted there. Each lookup of a large table is a miss of the cache,
    /// so what is at hand is given along.
    pub(super) fn dequeue(&mut self) -> Option<(IpNet, Option<Desired>)> {
        let prefix = self.queue.pop_front()?;
        let desired = self.entries.get_mut(&prefix).and_then(|entry| {
            entry.queued = false;
            entry.desired.clone()
        });
        Some((prefix, desired))
    }

    /// Gives a prefix a state; its entry, for more.
    pub(super) fn settle(&mut self, prefix: &IpNet, state: RouteState) -> Option<&mut Entry> {
        let Self { entries, counts, .. } = self;
        let entry = entries.get_mut(prefix)?;
        entry.enter(state, counts);
        Some(entry)
    }

    pub(super) fn forget(&mut self, prefix: &IpNet) {
        if let Some(entry) = self.entries.remove(prefix) {
            self.counts.leave(entry.state);
        }
    }

    /// How many comparisons with the kernel there were, modulo 2^32.
    pub(super) fn comparisons(&self) -> u32 {
        self.generation
    }

    /// Begins a comparison with the kernel; the former one's sightings no longer count.
    pub(super) fn begin_dump(&mut self) {
        self.generation = self.generation.wrapping_add(1);
    }

    /// A route of ours was seen. Returns whether it differs from what was believed.
    pub(super) fn saw_ours(&mut self, found: Found, adoptable: bool) -> bool {
        let prefix = found.key.prefix;
        let known = self.entries.contains_key(&prefix);
        let entry = Self::entry(&mut self.entries, &mut self.counts, prefix);
        if !known {
            entry.leftover = true;
        }
        let seen = Installed { slot: found.key.into(), action: found.action };
        let first = entry.seen != self.generation;
        entry.seen = self.generation;
        entry.adoptable |= adoptable;
        if first {
            entry.others.clear();
            if entry.installed.as_ref() == Some(&seen) {
                return false;
            }
            entry.installed = Some(seen);
        } else {
            let wanted = entry.desired.as_ref().map(|desired| desired.slot);
            match &entry.installed {
                Some(held) if held.slot == seen.slot => {
                    if held.action == seen.action {
                        return false;
                    }
                    entry.installed = Some(seen);
                }
                Some(_) if entry.others.iter().any(|other| other.slot == seen.slot) => return false,
                Some(held) if wanted == Some(seen.slot) => {
                    entry.others.push(held.clone());
                    entry.installed = Some(seen);
                }
                Some(_) => entry.others.push(seen),
                None => entry.installed = Some(seen),
            }
        }
        self.enqueue(prefix);
        known
    }

    /// A route of somebody else was seen. Returns its prefix when a conflict begins or its owner becomes known.
    pub(super) fn saw_foreign(&mut self, key: RouteKey, protocol: u8) -> Option<IpNet> {
        let generation = self.generation;
        let entry = self.entries.get_mut(&key.prefix)?;
        if !entry.holds(key.into()) {
            return None;
        }
        self.contested = true;
        entry.foreign_seen = generation;
        let news = entry.foreign.replace(protocol) != Some(protocol);
        if news {
            self.enqueue(key.prefix);
        }
        news.then_some(key.prefix)
    }

    /// Ends a comparison: what was not seen is not there. Returns how many routes of ours had vanished, and the
    /// prefixes whose conflict is over.
    pub(super) fn end_dump(&mut self, all_protocols: bool) -> (u64, Vec<IpNet>) {
        let (mut vanished, mut freed, mut touched) = (0, Vec::new(), Vec::new());
        self.contested &= !all_protocols;
        for (prefix, entry) in &mut self.entries {
            if entry.seen != self.generation && (entry.installed.is_some() || !entry.others.is_empty()) {
                vanished += u64::from(entry.installed.take().is_some());
                entry.others.clear();
                touched.push(*prefix);
            }
            if all_protocols && entry.foreign_seen != self.generation && entry.foreign.take().is_some() {
                freed.push(*prefix);
                touched.push(*prefix);
            }
            self.contested |= entry.foreign.is_some();
        }
        for prefix in touched {
            self.enqueue(prefix);
        }
        (vanished, freed)
    }

    /// A prefix has a foreign route on its key from now on.
    pub(super) fn contested(&mut self) {
        self.contested = true;
    }

    /// Whether a prefix may have a foreign route on its key.
    pub(super) fn is_contested(&self) -> bool {
        self.contested
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&IpNet, &Entry)> {
        self.entries.iter()
    }

    pub(super) fn report(&self, prefix: &IpNet) -> Option<RouteReport> {
        Some(self.entries.get(prefix)?.report(*prefix))
    }

    /// The `limit` lowest prefixes above `after`, in order.
    pub(super) fn page(&self, after: Option<IpNet>, limit: usize) -> Vec<RouteReport> {
        let mut lowest = std::collections::BinaryHeap::with_capacity(limit + 1);
        for prefix in self.entries.keys().filter(|prefix| after.is_none_or(|after| **prefix > after)) {
            if lowest.len() == limit && lowest.peek().is_some_and(|highest| *highest <= *prefix) {
                continue;
            }
            lowest.push(*prefix);
            if lowest.len() > limit {
                lowest.pop();
            }
        }
        lowest.into_sorted_vec().iter().filter_map(|prefix| self.report(prefix)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix() -> IpNet {
        "10.1.0.0/16".parse().unwrap()
    }

    fn action(last: u8) -> KernelAction {
        let gateway = Some([10, 0, 0, last].into());
        KernelAction::unicast(vec![KernelHop { gateway, device: 2, onlink: false, weight: 1 }])
    }

    fn target(last: u8) -> Target {
        Target::Route { action: action(last), recursive: false }
    }

    fn slot(metric: u32) -> Slot {
        Slot { table: 254, metric }
    }

    fn entry(desired: Option<u32>, installed: Option<(u32, u8)>) -> Entry {
        Entry {
            desired: desired.map(|metric| Desired { slot: slot(metric), action: FibAction::Blackhole }),
            installed: installed.map(|(metric, last)| Installed { slot: slot(metric), action: action(last) }),
            ..Entry::default()
        }
    }

    fn key(metric: u32) -> RouteKey {
        slot(metric).key(prefix())
    }

    #[test]
    fn a_changed_route_is_replaced_in_place() {
        let step = entry(Some(20), Some((20, 1))).step(prefix(), target(2), Knowledge::Synced);
        assert_eq!(step, Step::Write(FibOp::Replace(key(20), action(2))));
    }

    #[test]
    fn a_changed_metric_adds_before_it_deletes() {
        let mut entry = entry(Some(30), Some((20, 1)));
        assert_eq!(
            entry.step(prefix(), target(1), Knowledge::Synced),
            Step::Write(FibOp::Add(key(30), action(1)))
        );
        entry.installed = Some(Installed { slot: slot(30), action: action(1) });
        assert_eq!(entry.step(prefix(), target(1), Knowledge::Synced), Step::Write(FibOp::Delete(key(20))));
        entry.removed(slot(20));
        assert_eq!(
            entry.step(prefix(), target(1), Knowledge::Synced),
            Step::Rest(RouteState::Installed, None)
        );
    }

    #[test]
    fn a_leftover_waits_for_synced_and_a_withdrawn_route_does_not() {
        let mut leftover = Entry { leftover: true, ..entry(None, Some((20, 1))) };
        assert_eq!(
            leftover.step(prefix(), Target::Skip, Knowledge::Partial),
            Step::Rest(RouteState::Leftover, None)
        );
        assert_eq!(
            leftover.step(prefix(), Target::Skip, Knowledge::Synced),
            Step::Write(FibOp::Delete(key(20)))
        );
        let mut withdrawn = entry(None, Some((20, 1)));
        assert_eq!(
            withdrawn.step(prefix(), Target::Skip, Knowledge::Partial),
            Step::Write(FibOp::Delete(key(20)))
        );
    }

    #[test]
    fn legs_that_a_former_process_left_stay_until_those_that_are_there_have_told_their_tables() {
        let legs = |last: &[u8]| {
            let hop = |last: &u8| KernelHop {
                gateway: Some([10, 0, 0, *last].into()),
                device: 2,
                onlink: false,
                weight: 1,
            };
            KernelAction::unicast(last.iter().map(hop).collect())
        };
        let found = || Entry {
            installed: Some(Installed { slot: slot(20), action: legs(&[1, 2]) }),
            adoptable: true,
            ..entry(Some(20), None)
        };
        let step = |mut entry: Entry, last: &[u8], known| {
            entry.step(prefix(), Target::Route { action: legs(last), recursive: false }, known)
        };
        let write = |last: &[u8]| Step::Write(FibOp::Replace(key(20), legs(last)));
        assert_eq!(step(found(), &[1], Knowledge::Partial), Step::Rest(RouteState::Leftover, None));
        assert_eq!(step(found(), &[1], Knowledge::Told), write(&[1]));
        // Another way is not one of those that are there, and what this process has written may shrink.
        assert_eq!(step(found(), &[3], Knowledge::Partial), write(&[3]));
        assert_eq!(step(found(), &[1, 3], Knowledge::Partial), write(&[1, 3]));
        let written = Entry { adoptable: false, ..found() };
        assert_eq!(step(written, &[1], Knowledge::Partial), write(&[1]));
        assert_eq!(step(found(), &[1, 2], Knowledge::Partial), Step::Rest(RouteState::Installed, None));
    }

    #[test]
    fn beside_a_foreign_route_ours_is_never_replaced() {
        let mut differing = Entry { foreign: Some(4), ..entry(Some(20), Some((20, 1))) };
        assert_eq!(
            differing.step(prefix(), target(2), Knowledge::Synced),
            Step::Write(FibOp::Delete(key(20)))
        );
        let mut equal = Entry { foreign: Some(4), ..entry(Some(20), Some((20, 1))) };
        assert_eq!(
            equal.step(prefix(), target(1), Knowledge::Synced),
            Step::Rest(RouteState::Conflict, Some(taken(4)))
        );
        let mut absent = Entry { foreign: Some(4), ..entry(Some(20), None) };
        assert_eq!(
            absent.step(prefix(), target(1), Knowledge::Synced),
            Step::Rest(RouteState::Conflict, Some(taken(4)))
        );
    }

    #[test]
    fn a_foreign_route_on_a_key_that_we_leave_is_no_conflict() {
        let moving = entry(Some(30), Some((20, 1)));
        assert!(moving.holds(slot(30)) && !moving.holds(slot(20)));
        let mut leaving = entry(None, Some((20, 1)));
        assert!(leaving.holds(slot(20)), "its legs are to stay beside ours");
        leaving.others.push(Installed { slot: slot(30), action: action(1) });
        assert!(!leaving.holds(slot(30)));
    }

    #[test]
    fn pages_are_in_order_and_complete() {
        let mut table = Table::default();
        for third in (0..50u8).rev() {
            table.set(FibRoute::blackhole(format!("10.0.{third}.0/24").parse().unwrap()), slot(20));
        }
        let (mut after, mut all) = (None, Vec::new());
        loop {
            let page = table.page(after, 7);
            let Some(last) = page.last() else { break };
            after = Some(last.prefix);
            all.extend(page.iter().map(|report| report.prefix));
        }
        assert_eq!(all.len(), 50);
        assert!(all.is_sorted());
    }
}
