//! The supervisor's way from the peers that are there to those that are wanted: one address at a time, and only those
//! addresses for which something differs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;

use crate::apply::{self, Wanted};
use crate::config::{PeerClass, PeerConfig, RangeConfig};
use crate::desired::{ApplyReport, Change, ChangeClass, Subject};
use crate::peer::Drain;
use crate::peer_address::PeerAddress;
use crate::shared::Us;
use crate::supervisor::{Origin, Supervisor};
use crate::update::Steps;

impl Supervisor {
    /// Makes the peers and ranges those that are wanted; what has changed for it.
    pub(crate) fn apply(&mut self, wanted: Wanted) -> ApplyReport {
        let mut touched = differing(&self.configured, &wanted.peers);
        touched.extend(differing(&self.mesh, &wanted.mesh));
        // A peer whose task has ended by a bug is there again afterwards.
        let all = wanted.peers.keys().chain(wanted.mesh.keys());
        touched.extend(all.filter(|address| !self.peers.contains_key(address)));
        let migrates = is_meshed(&self.mesh) != is_meshed(&wanted.mesh);
        self.configured = wanted.peers;
        self.mesh = wanted.mesh;
        let mut changes: Vec<Change> = self.become_us(&wanted.us).into_iter().collect();
        if std::mem::replace(&mut self.patience, wanted.patience) != wanted.patience {
            let (subject, class) = (Subject::Speaker, ChangeClass::None);
            changes.push(Change { subject, class, why: "changed: patience in migrations".to_owned() });
        }
        changes.extend(self.listen_on(&wanted.listen));
        if self.former != wanted.us {
            // Who waits for the end of a migration waits on, but for names with which its session cannot go on.
            let renamed = (self.former.asn, self.former.router_id) != (wanted.us.asn, wanted.us.router_id);
            let old = self.migration.as_ref().filter(|_| !renamed).map(|migration| &migration.old);
            let waits = |address: &PeerAddress| old.is_some_and(|old| old.contains(address));
            touched.extend(self.peers.keys().filter(|address| !waits(address)));
        }
        let ranges = self.apply_ranges(wanted.ranges);
        if !ranges.is_empty() {
            touched.extend(self.members_of(|_| true));
        }
        changes.extend(self.reconcile(touched, migrates, ranges));
        self.former = wanted.us;
        ApplyReport { changes, not_done: self.not_listening.clone() }
    }

    /// Takes other names; sessions follow when their peers are settled.
    fn become_us(&mut self, us: &Us) -> Option<Change> {
        let (was, subject) = (&self.former, Subject::Speaker);
        if was == us {
            return None;
        }
        self.shared.set_us(us.clone());
        self.shared.note_reconfigured();
        let hard = [(was.asn != us.asn, "AS"), (was.router_id != us.router_id, "BGP identifier")];
        let soft = [(was.cluster_id != us.cluster_id, "cluster")];
        let own = was.addresses != us.addresses || was.listening != us.listening;
        let none = [(own, "own addresses")];
        let differs = |rows: &[(bool, &str)]| rows.iter().any(|(differs, _)| *differs);
        let class = match (differs(&hard), differs(&soft)) {
            (true, _) => ChangeClass::Hard,
            (false, true) => ChangeClass::Soft,
            (false, false) => ChangeClass::None,
        };
        let all = hard.iter().chain(&soft).chain(&none);
        let words: Vec<&str> = all.filter(|(differs, _)| *differs).map(|(_, what)| *what).collect();
        Some(Change { subject, class, why: format!("changed: {}", words.join(", ")) })
    }

    /// Takes another cluster, of which no session knows.
    fn become_renamed(&mut self, us: Option<Us>) -> Option<Change> {
        let us = us?;
        let change = self.become_us(&us);
        self.former = us;
        change
    }

    /// Makes what a batch names what it is to be; what has changed for it.
    pub(crate) fn update(&mut self, steps: Steps) -> Vec<Change> {
        let was_meshed = is_meshed(&self.mesh);
        let renamed = self.become_renamed(steps.us);
        let mut touched: BTreeSet<PeerAddress> =
            steps.peers.keys().chain(steps.mesh.keys()).copied().collect();
        take_steps(&mut self.configured, steps.peers);
        take_steps(&mut self.mesh, steps.mesh);
        for prefix in steps.ranges.keys() {
            let inside = self.peers.range(PeerAddress::from(prefix.network())..);
            let inside = inside.take_while(|(at, _)| prefix.contains(&at.ip()));
            let of_range = inside.filter(|(_, entry)| matches!(entry.origin, Origin::Range(_)));
            touched.extend(of_range.map(|(address, _)| *address));
        }
        let ranges: Vec<Change> = steps
            .ranges
            .into_iter()
            .filter_map(|(prefix, range)| self.range_becomes(prefix, range))
            .collect();
        self.settle_ranges(&ranges);
        let migrates = was_meshed != is_meshed(&self.mesh);
        renamed.into_iter().chain(self.reconcile(touched, migrates, ranges)).collect()
    }

    /// Settles the peers at these addresses, those that go last where a mesh gives way to reflectors or the other way round.
    fn reconcile(
        &mut self,
        mut touched: BTreeSet<PeerAddress>,
        migrates: bool,
        ranges: Vec<Change>,
    ) -> Vec<Change> {
        let mut changes = self.migrate(&mut touched, migrates);
        changes.extend(touched.into_iter().filter_map(|address| self.settle(address)));
        changes.extend(ranges);
        changes
    }

    pub(crate) fn apply_mesh(&mut self, wanted: BTreeMap<PeerAddress, Arc<PeerConfig>>, us: Option<Us>) {
        let touched = differing(&self.mesh, &wanted);
        self.mesh = wanted;
        self.become_renamed(us);
        for address in touched {
            self.settle(address);
        }
    }

    /// Makes the ranges those that are wanted. Those that came through one are left to be settled.
    fn apply_ranges(&mut self, mut wanted: BTreeMap<IpNet, RangeConfig>) -> Vec<Change> {
        let there: Vec<IpNet> = self.ranges.keys().copied().collect();
        let mut steps: Vec<_> = there.into_iter().map(|prefix| (prefix, wanted.remove(&prefix))).collect();
        steps.extend(wanted.into_iter().map(|(prefix, range)| (prefix, Some(range))));
        let changes: Vec<Change> =
            steps.into_iter().filter_map(|(prefix, range)| self.range_becomes(prefix, range)).collect();
        self.settle_ranges(&changes);
        changes
    }

    /// Makes one range what it is to be; it is left to be settled.
    fn range_becomes(&mut self, prefix: IpNet, wanted: Option<RangeConfig>) -> Option<Change> {
        let why = match (self.ranges.get_mut(&prefix), wanted) {
            (Some(range), Some(config)) if range.config == config => return None,
            (Some(range), Some(config)) => {
                range.config = config;
                "changed, for peers to come; see those that came through it"
            }
            (None, Some(config)) => {
                self.insert_range(config);
                "added"
            }
            (Some(_), None) => {
                self.ranges.remove(&prefix);
                "removed"
            }
            (None, None) => return None,
        };
        self.shared.note_reconfigured();
        Some(Change { subject: Subject::Range(prefix), class: ChangeClass::None, why: why.to_owned() })
    }

    fn settle_ranges(&mut self, changes: &[Change]) {
        for change in changes {
            let Subject::Range(prefix) = change.subject else { continue };
            match self.ranges.contains_key(&prefix) {
                true => self.settle_range(prefix),
                false => self.forget_range(prefix),
            }
        }
    }

    /// The peers that came through a range like this.
    pub(crate) fn members_of(&self, is: impl Fn(IpNet) -> bool) -> Vec<PeerAddress> {
        let of_range = self.peers.iter().filter(|(_, e)| matches!(e.origin, Origin::Range(p) if is(p)));
        of_range.map(|(address, _)| *address).collect()
    }

    /// Makes the peer at an address what it is wanted to be; what has changed for it.
    pub(crate) fn settle(&mut self, address: PeerAddress) -> Option<Change> {
        let change = self.settle_peer(address);
        if change.is_some() {
            self.shared.note_reconfigured();
        }
        change
    }

    fn settle_peer(&mut self, address: PeerAddress) -> Option<Change> {
        let class = ChangeClass::Hard;
        let subject = Subject::Peer(address);
        match (self.peers.contains_key(&address), self.wanted_at(address)) {
            (true, Some((config, origin))) => self.change(address, config, origin),
            (true, None) => {
                self.remove(address);
                Some(Change { subject, class, why: "removed".to_owned() })
            }
            (false, Some((config, origin))) => {
                self.add(config, origin);
                Some(Change { subject, class, why: "added".to_owned() })
            }
            (false, None) => None,
        }
    }

    /// A configured peer comes before one of the mesh. One that is there or up may stay through a range.
    pub(crate) fn wanted_at(&self, address: PeerAddress) -> Option<(Arc<PeerConfig>, Origin)> {
        if let Some(config) = self.configured.get(&address) {
            return Some((config.clone(), Origin::Configured));
        }
        if let Some(config) = self.mesh.get(&address) {
            return Some((config.clone(), Origin::Mesh));
        }
        let entry = self.peers.get(&address)?;
        let range = self.range_for(address)?;
        let prefix = range.config.prefix;
        let origin = Origin::Range(prefix);
        let may_stay = match entry.origin {
            Origin::Range(_) => true,
            Origin::Configured | Origin::Mesh => entry.cell.live().is_some(),
        };
        let has_room = entry.origin == origin || self.has_room(prefix);
        (may_stay && has_room).then(|| (Arc::new(range.config.peer(address)), origin))
    }

    /// Leads a peer that is there from its configuration to another.
    fn change(&mut self, address: PeerAddress, config: Arc<PeerConfig>, origin: Origin) -> Option<Change> {
        let entry = self.peers.get_mut(&address)?;
        let former = std::mem::replace(&mut entry.origin, origin);
        let (old, cell, mailbox) = (entry.cell.config(), entry.cell.clone(), entry.mailbox.clone());
        if former != origin {
            self.discount_member(former);
            self.count_member(origin);
        } else if old == config && self.former == self.shared.us() {
            return None;
        }
        let step = apply::step(&self.shared, &self.former, &old, &config, cell.live());
        // One that is to be held down is begun anew.
        let depth = step.depth.filter(|_| !step.resigns || self.resign(address, &config));
        match depth {
            Some(depth) => {
                cell.set_config(config, matches!(origin, Origin::Range(_)));
                mailbox.reconfigure(depth);
                self.rearm(address);
            }
            None => {
                self.remove(address);
                // One of a range comes back through it, if it does; one that was drained stays away from there, too.
                if !matches!(origin, Origin::Range(_)) || cell.drain() == Drain::Done {
                    self.add_for(config, origin, Some(&cell));
                }
            }
        }
        Some(Change { subject: Subject::Peer(address), class: step.class, why: step.why? })
    }
}

/// Whether a session among them is one of a mesh.
fn is_meshed(peers: &BTreeMap<PeerAddress, Arc<PeerConfig>>) -> bool {
    peers.values().any(|peer| peer.class == PeerClass::NodeToNodeMesh)
}

/// The addresses whose configuration is in one map alone, or differs.
fn differing(
    before: &BTreeMap<PeerAddress, Arc<PeerConfig>>,
    after: &BTreeMap<PeerAddress, Arc<PeerConfig>>,
) -> BTreeSet<PeerAddress> {
    let changed = after.iter().filter(|(address, config)| before.get(address) != Some(*config));
    let gone = before.keys().filter(|address| !after.contains_key(address));
    changed.map(|(address, _)| address).chain(gone).copied().collect()
}

/// Puts in what is there and takes out what is gone.
fn take_steps(
    all: &mut BTreeMap<PeerAddress, Arc<PeerConfig>>,
    steps: BTreeMap<PeerAddress, Option<Arc<PeerConfig>>>,
) {
    for (address, step) in steps {
        match step {
            Some(config) => all.insert(address, config),
            None => all.remove(&address),
        };
    }
}
