//! From a mesh to reflectors or back, make before break: the peers that are to go stay until others tell what they told.
//!
//! They go two seconds after all new peers have told their tables and others tell every destination that they told: the other
//! nodes make the same move, each in its time. A new peer that does not come, and a destination that nobody else tells, are
//! waited for no longer than a time that counts from the first new table. As long as no new peer has told its table, nothing
//! replaces the old ones, and they stay however long that takes.

use std::collections::BTreeSet;
use std::time::Duration;

use bgp_wire::PeerKind;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::config::never_internal;
use crate::desired::{Change, ChangeClass, Subject};
use crate::peer_address::PeerAddress;
use crate::status::MigrationStatus;
use crate::supervisor::Supervisor;

/// How long new peers that do not come, and destinations that only old ones tell, are waited for when another one is there:
/// longer than a session and a table take, and than nodes of one cluster take to hear of a change.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// How long the old peers stay when all the new ones are there.
const SETTLE: Duration = Duration::from_secs(2);
/// How often it is looked whether the new peers have told their tables.
const LOOK: Duration = Duration::from_millis(100);
/// How often the tables are asked what only the old peers tell, which takes a walk over them.
const ASK: Duration = Duration::from_secs(1);
/// How often it is said that nothing replaces the old peers: often enough to be found in a log of a day.
const REMIND: Duration = Duration::from_secs(600);
/// What `status` says of a peer that stays.
const STAYS: &str = "stays until the peers that take its place have told their tables";
/// Peers that a line of the log names.
const NAMED: usize = 4;

/// A move that is not over.
#[derive(Debug)]
pub(crate) struct Migration {
    /// Who goes, or is a client no more, when others have come.
    pub(crate) old: BTreeSet<PeerAddress>,
    /// Who was there before and stays.
    stayed: BTreeSet<PeerAddress>,
    /// Somebody new was to come.
    expects_new: bool,
    /// Some of the old ones are clients that are to be none: nobody tells whether they have found each other.
    reflects: bool,
    since: Instant,
    look: Instant,
    /// Since when one of the new peers has told its table, and since when all have.
    first: Option<Instant>,
    all: Option<Instant>,
    /// Whether the old ones alone tell some destination, as it was found last.
    needed: Option<bool>,
    /// Who finds it out, and when to ask again.
    asked: Option<oneshot::Receiver<bool>>,
    ask: Instant,
    /// Since when none of the old ones is up.
    down: Option<Instant>,
    /// When it is said next that nobody has told.
    remind: Instant,
}

/// How far the peers are that take the place of the old ones.
struct Ways {
    told: usize,
    /// Who has not told its table.
    awaited: Vec<PeerAddress>,
}

impl Migration {
    fn new(old: BTreeSet<PeerAddress>, stayed: BTreeSet<PeerAddress>, patience: Duration) -> Self {
        let now = Instant::now();
        Self {
            old,
            stayed,
            expects_new: false,
            reflects: false,
            since: now,
            look: now + LOOK,
            first: None,
            all: None,
            needed: None,
            asked: None,
            ask: now,
            down: None,
            remind: now + patience,
        }
    }

    /// Takes what was found out meanwhile; whether it is to be asked again.
    fn learn(&mut self, now: Instant) -> bool {
        match self.asked.as_mut().map(oneshot::Receiver::try_recv) {
            Some(Ok(needed)) => (self.needed, self.asked) = (Some(needed), None),
            Some(Err(oneshot::error::TryRecvError::Closed)) => self.asked = None,
            Some(Err(oneshot::error::TryRecvError::Empty)) => return false,
            None => {}
        }
        self.asked.is_none() && now >= self.ask
    }

    /// When the old peers go, as things stand; `None`: nothing replaces them.
    fn due(&mut self, ways: &Ways, now: Instant, patience: Duration) -> Option<Instant> {
        if ways.told == 0 && (self.expects_new || !ways.awaited.is_empty()) {
            (self.first, self.all) = (None, None);
            return None;
        }
        let first = *self.first.get_or_insert(now);
        let begun = if self.reflects { self.since } else { first };
        let latest = begun.max(if self.expects_new { first } else { begun }) + patience;
        if self.reflects || !ways.awaited.is_empty() || self.needed != Some(false) {
            self.all = None;
            return Some(latest);
        }
        Some(latest.min(*self.all.get_or_insert(now) + SETTLE))
    }
}

impl Supervisor {
    /// Between a mesh and reflectors the old ways stay until the new ones are known: they are taken out of what is touched.
    /// A move that goes on takes in what changes meanwhile.
    pub(crate) fn migrate(&mut self, touched: &mut BTreeSet<PeerAddress>, begins: bool) -> Vec<Change> {
        let former = self.migration.take();
        if former.is_none() && !begins {
            return Vec::new();
        }
        let known: BTreeSet<PeerAddress> = former.iter().flat_map(|m| &m.old).copied().collect();
        if begins {
            touched.extend(&known);
        }
        let waits = |address: &PeerAddress| self.may_wait(*address);
        let old: BTreeSet<PeerAddress> = match begins {
            true => touched.iter().copied().filter(waits).collect(),
            // What is touched for a reason of its own is settled: with another name no session goes on.
            false => known.iter().copied().filter(|at| !touched.contains(at) && waits(at)).collect(),
        };
        for address in known.difference(&old) {
            if let Some(entry) = self.peers.get(address) {
                entry.cell.stays(None);
            }
        }
        let comes =
            touched.iter().any(|address| !self.peers.contains_key(address) && self.is_wanted(*address));
        let leads_elsewhere = [&self.mesh, &self.configured].iter().any(|peers| !peers.is_empty());
        touched.extend(known.difference(&old));
        if old.is_empty() || !leads_elsewhere {
            touched.extend(old);
            self.shared.set_migration(None);
            return Vec::new();
        }
        touched.retain(|address| !old.contains(address));
        let changes = if begins { self.postponed(&old) } else { Vec::new() };
        let mut migration = match former.filter(|_| !begins) {
            Some(former) => Migration { old, ..former },
            None => {
                let there = self.peers.keys().filter(|address| !old.contains(address));
                Migration::new(old.clone(), there.copied().collect(), self.patience)
            }
        };
        migration.expects_new |= comes;
        migration.reflects = migration.old.iter().any(|address| self.is_wanted(*address));
        for address in &migration.old {
            if let Some(entry) = self.peers.get(address) {
                entry.cell.stays(Some(STAYS));
            }
        }
        tracing::info!(
            peers = migration.old.len(),
            "peers stay until those that take their place have told their tables"
        );
        self.migration = Some(migration);
        changes
    }

    /// What is told of peers that stay for now.
    fn postponed(&self, old: &BTreeSet<PeerAddress>) -> Vec<Change> {
        let removed = (ChangeClass::Hard, "removed, as soon as the new peers have told their tables");
        let changed = (
            ChangeClass::Soft,
            "changed: no reflector client any more, as soon as it had time for other ways",
        );
        let change = |address: &PeerAddress| {
            let (class, why) = if self.is_wanted(*address) { changed } else { removed };
            Change { subject: Subject::Peer(*address), class, why: why.to_owned() }
        };
        let (clients, gone): (Vec<_>, Vec<_>) = old.iter().partition(|address| self.is_wanted(**address));
        gone.into_iter().chain(clients).map(change).collect()
    }

    fn is_wanted(&self, address: PeerAddress) -> bool {
        self.wanted_at(address).is_some()
    }

    /// Whether a peer is to go, or to be a client no more: until other ways are known it may stay as it is.
    fn may_wait(&self, address: PeerAddress) -> bool {
        let Some(entry) = self.peers.get(&address) else { return false };
        match self.wanted_at(address) {
            None => true,
            Some((wanted, _)) => {
                entry.cell.config().options.route_reflector_client && !wanted.options.route_reflector_client
            }
        }
    }

    /// When to look again whether the old peers of a migration may go.
    pub(crate) fn migration_due(&self) -> Option<Instant> {
        self.migration.as_ref().map(|migration| migration.look)
    }

    /// Lets the old peers of a migration go once what replaces them is there.
    pub(crate) fn look_at_migration(&mut self) {
        let Some(mut migration) = self.migration.take() else { return };
        let (now, ways) = (Instant::now(), self.ways_of(&migration));
        // Old peers that are gone for good themselves hold nothing.
        let is_up = |at: &PeerAddress| self.peers.get(at).is_some_and(|entry| entry.cell.live().is_some());
        migration.down = match migration.old.iter().any(is_up) {
            true => None,
            false => migration.down.or(Some(now)),
        };
        let told = ways.awaited.is_empty() && !migration.reflects;
        if told && migration.learn(now) {
            migration.ask = now + ASK;
            migration.asked = Some(self.find_out(&migration.old));
        }
        let gone = migration.down.map(|down| down + self.patience);
        let due = migration.due(&ways, now, self.patience).into_iter().chain(gone).min();
        if due.is_some_and(|due| due <= now) {
            tracing::info!(
                peers = migration.old.len(),
                awaited = ways.awaited.len(),
                "peers that others replace go"
            );
            self.shared.set_migration(None);
            for address in migration.old {
                if let Some(entry) = self.peers.get(&address) {
                    entry.cell.stays(None);
                }
                self.settle(address);
            }
            return;
        }
        let held = due.is_none() && now >= migration.since + self.patience;
        if held && now >= migration.remind {
            migration.remind = now + REMIND;
            let named: Vec<String> = ways.awaited.iter().take(NAMED).map(ToString::to_string).collect();
            tracing::warn!(
                staying = migration.old.len(),
                awaited = ways.awaited.len(),
                first = named.join(" "),
                "no new peer has told its table: the peers that they are to replace stay"
            );
        }
        migration.look = now + LOOK;
        self.shared.set_migration(Some(MigrationStatus {
            staying: migration.old.iter().copied().collect(),
            awaited: ways.awaited,
            held,
            needed: migration.needed == Some(true),
        }));
        self.migration = Some(migration);
    }

    /// Has the tables find out whether these peers alone tell some destination.
    fn find_out(&self, old: &BTreeSet<PeerAddress>) -> oneshot::Receiver<bool> {
        let ids = old.iter().filter_map(|address| Some(self.peers.get(address)?.cell.id)).collect();
        let (tables, (reply, answer)) = (self.household.tables.clone(), oneshot::channel());
        tokio::spawn(async move {
            if let Ok(needed) = tables.depends_on(ids).await {
                // The migration may be over meanwhile.
                let _ = reply.send(needed);
            }
        });
        answer
    }

    /// Who takes the place of the old peers: those who are new; where nobody is, internal peers that stay and reflect to us,
    /// and without such ones all that stay.
    fn ways_of(&self, migration: &Migration) -> Ways {
        let us = self.shared.us().asn;
        let wanted = |at: &PeerAddress| self.configured.contains_key(at) || self.mesh.contains_key(at);
        let candidates = || self.peers.iter().filter(|(at, _)| wanted(at) && !migration.old.contains(at));
        let reflects = |entry: &crate::supervisor::Entry| {
            let config = entry.cell.config();
            let internal = match entry.cell.live() {
                Some(live) => live.kind == PeerKind::Internal,
                None => !never_internal(&config.peer_as, config.options.local_as.unwrap_or(us)),
            };
            internal && !config.options.route_reflector_client
        };
        let chosen: Vec<_> = if migration.expects_new {
            candidates().filter(|(at, _)| !migration.stayed.contains(at)).collect()
        } else {
            let leading: Vec<_> = candidates().filter(|(_, entry)| reflects(entry)).collect();
            if leading.is_empty() { candidates().collect() } else { leading }
        };
        let awaited = chosen.iter().filter(|(_, entry)| !entry.cell.has_told_all());
        let awaited: Vec<PeerAddress> = awaited.map(|(at, _)| **at).collect();
        Ways { told: chosen.len() - awaited.len(), awaited }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ways(told: usize, awaited: u8) -> Ways {
        let awaited = (0..awaited).map(|n| PeerAddress::from(std::net::IpAddr::from([10, 0, 0, n])));
        Ways { told, awaited: awaited.collect() }
    }

    /// Seconds after the beginning at which the old peers go, by what is seen at each second.
    fn goes(expects_new: bool, reflects: bool, seen: &[(usize, u8)]) -> Option<usize> {
        goes_where(expects_new, reflects, Some(false), seen)
    }

    fn goes_where(
        expects_new: bool,
        reflects: bool,
        needed: Option<bool>,
        seen: &[(usize, u8)],
    ) -> Option<usize> {
        let patience = Duration::from_secs(30);
        let mut migration = Migration::new(BTreeSet::new(), BTreeSet::new(), patience);
        (migration.expects_new, migration.reflects, migration.needed) = (expects_new, reflects, needed);
        (0..3600).find(|&second| {
            let (told, awaited) = seen[second.min(seen.len() - 1)];
            let now = migration.since + Duration::from_secs(second as u64);
            migration.due(&ways(told, awaited), now, patience).is_some_and(|due| due <= now)
        })
    }

    #[test]
    fn the_old_peers_stay_for_as_long_as_nothing_replaces_them() {
        // New peers that are all there; that come one after the other; one of which never comes; that do not come.
        assert_eq!(goes(true, false, &[(2, 0)]), Some(2));
        assert_eq!(goes(true, false, &[(0, 2), (0, 2), (0, 2), (1, 1), (1, 1), (2, 0)]), Some(7));
        assert_eq!(goes(true, false, &[(0, 2), (1, 1)]), Some(31));
        assert_eq!(goes(true, false, &[(0, 2)]), None);
        // One that came after an hour as good as never, and one that is lost again before the others are there.
        let mut late = vec![(0, 2); 1000];
        late.push((1, 1));
        assert_eq!(goes(true, false, &late), Some(1030));
        assert_eq!(goes(true, false, &[(1, 1), (0, 2), (0, 2), (1, 1)]), Some(33));
        // All are there, and some destination is told by the old ones alone; or it is not known.
        assert_eq!(goes_where(true, false, Some(true), &[(0, 2), (2, 0)]), Some(31));
        assert_eq!(goes_where(true, false, None, &[(0, 2), (2, 0)]), Some(31));
        // All that were to come were taken away again.
        assert_eq!(goes(true, false, &[(0, 0)]), None);
    }

    #[test]
    fn who_was_there_before_counts_where_nobody_is_new() {
        assert_eq!(goes(false, false, &[(1, 0)]), Some(2));
        assert_eq!(goes(false, false, &[(0, 1)]), None);
        assert_eq!(goes(false, false, &[(0, 0)]), Some(2), "nobody tells, and nobody is waited for");
    }

    #[test]
    fn clients_that_are_to_find_each_other_have_the_whole_time() {
        assert_eq!(goes(false, true, &[(2, 0)]), Some(30));
        assert_eq!(goes(false, true, &[(0, 0)]), Some(30));
        assert_eq!(goes(true, true, &[(0, 1), (0, 1), (0, 1), (1, 0)]), Some(33));
    }
}
