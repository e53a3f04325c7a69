//! Sessions come up and go down.

use core::time::Duration;
use std::net::IpAddr;

use bgp_wire::{ClusterId, Family, FamilySet};

use crate::PeerId;
use crate::bounded::{Bound, Bounded};
use crate::config::{ConsecutiveRestarts, PeerParams};
use crate::event::{Event, Retain};
use crate::export::GroupKey;
use crate::group::Reader;
use crate::import;
use crate::limits::Bounds;
use crate::peer::{MAX_PEERS, Peer};
use crate::prefix::Key;
use crate::rib::{Rib, any_table, each_table, in_table, on_table};
use crate::slab::NONE;
use crate::table::{Shared, Table};

/// How long kept routes wait for End-of-RIB once the session is up again: RFC 4724 §4.2 asks for an upper bound, and six
/// minutes are enough for a peer that first waits for its own peers (§4.1) and then tells a full table.
const INITIAL_TIME: Duration = Duration::from_secs(360);

impl Rib {
    pub(crate) fn peer_up(&mut self, id: PeerId, params: PeerParams) {
        if id.0 >= MAX_PEERS {
            tracing::warn!(peer = id.0, limit = MAX_PEERS, "peer ids are to be small and dense: refused");
            self.events.push_back(Event::PeerRefused(id));
            return;
        }
        if self.shared.peers.up(id.0).is_some() {
            self.peer_down(id.0, Retain::Nothing);
            // Its id is in use, whatever went with the session that this one ends.
            self.events.retain(|event| *event != Event::PeerGone(id));
        }
        let slot = id.0;
        let mut peer = Peer::new(params, self.shared.config.cluster_id());
        let has_past = self.has_routes(slot);
        let former = self.shared.peers.get(slot).filter(|_| has_past);
        let is_another = former.is_some_and(|former| peer.differs_as_source(former));
        peer.renamed = is_another || (former.is_some_and(|former| former.renamed) && self.is_sweeping(slot));
        let account =
            self.shared.peers.get(slot).map(|former| former.account).filter(|&account| account != NONE);
        peer.account = match (account, peer.params.limits.memory) {
            (Some(account), _) => account,
            (None, Some(_)) => self.shared.attributes.open_account(),
            (None, None) => NONE,
        };
        let former = self.shared.peers.get(slot).filter(|_| has_past);
        let judged_else = |former: &Peer| import::differs(&former.params, &peer.params);
        let judging = former.is_some_and(|former| former.judging || judged_else(former));
        // What came in another role of the peer may lack its mark, or bear one that speaks against it now (RFC 9234 §5).
        let another_role = former.is_some_and(|former| former.params.bgp_role() != peer.params.bgp_role());
        peer.judging = judging;
        // The walk that tells its routes anew goes on.
        let retold = former.is_some_and(|former| former.retold);
        peer.retold = retold;
        let families = peer.params.families;
        self.open_tables(families);
        // Who comes back as another is not the one whose routes were kept.
        let keep = if is_another || another_role { FamilySet::empty() } else { peer.params.keep_stale };
        let met = self.meet_addresses(slot, &peer.params);
        if met || has_past || any_table!(self, table => table.groups.have_rules()) {
            self.clear_caches();
        }
        tracing::debug!(peer = slot, address = %peer.params.peer_address, has_past, is_another, "peer up");
        self.set_deadline(slot, None);
        let says_end = peer.params.graceful_restart;
        let long_lived = peer.params.long_lived.clone().unwrap_or_default();
        let forwards_long = |family| long_lived.iter().any(|row| row.family == family && row.forwarding);
        let own_cluster = peer.params.cluster_id.is_some();
        self.shared.peers.put(slot, peer);
        self.count_interest(slot, true);
        if is_another {
            // What it told looks different until it goes: orders that were made by it are made anew.
            self.begin_rescan();
        }
        if own_cluster {
            self.gather_clusters();
        }
        if judging {
            self.shared.peers.judging = true;
            self.begin_rescan();
        }
        let mut kept = false;
        for family in self.families().iter() {
            let stays = match in_table!(self, family, table => table.long_lived(slot)).flatten() {
                Some(_) => !is_another && !another_role && forwards_long(family),
                None => keep.contains(family),
            };
            if !families.contains(family) || !stays {
                self.told_everything(slot, family);
            }
            if families.contains(family) {
                let shared = &self.shared;
                let keeps = on_table!(self, family, table => table.begin_initial(slot, says_end));
                kept |= keeps == Some(true);
                on_table!(self, family, table => table.join(shared, slot));
            }
        }
        if kept && let Some(peer) = self.shared.peers.get_mut(slot) {
            peer.restart_until = self.now.saturating_add(INITIAL_TIME);
            self.wait_for(slot);
        }
        self.bound(slot);
        self.say_pending(slot);
    }

    pub(crate) fn peer_down(&mut self, slot: u32, retain: Retain) {
        let Some(peer) = self.shared.peers.get_mut(slot) else { return };
        let was_up = core::mem::replace(&mut peer.up, false);
        peer.told = false;
        let (params, stale_time) = (peer.params.clone(), peer.params.stale_time);
        if was_up {
            tracing::debug!(peer = slot, ?retain, "peer down");
            self.count_interest(slot, false);
            self.part_addresses(slot, &params);
            if params.cluster_id.is_some() {
                self.gather_clusters();
            }
            let keeps = retain == Retain::Stale && params.consecutive_restarts == ConsecutiveRestarts::Keep;
            // As long as a single loss may keep a route: until the next session, and then until its End-of-RIB.
            let until = self.now.saturating_add(stale_time).saturating_add(INITIAL_TIME);
            each_table!(self, table => {
                table.leave(slot);
                table.age(slot, &mut self.shared, keeps, until);
            });
        }
        let deadline = (retain == Retain::Stale).then(|| self.now.saturating_add(stale_time));
        if let Some(peer) = self.shared.peers.get_mut(slot).filter(|_| was_up) {
            peer.restart_until = deadline.unwrap_or(self.now);
        }
        // A restart time of nothing is over at once (RFC 4724 §4.2, RFC 9494 §4.2).
        let none_left = was_up && stale_time.is_zero();
        for family in self.families().iter() {
            if retain == Retain::Nothing {
                self.told_everything(slot, family);
            } else if none_left || !params.retained.contains(family) {
                self.outlast(slot, family);
            }
        }
        if deadline.is_none() {
            self.set_deadline(slot, None);
        } else if was_up {
            self.wait_for(slot);
        }
        if was_up && retain == Retain::Stale {
            each_table!(self, table => table.begin_marking(slot));
        }
        self.sweeps.insert(slot);
        self.say_gone(slot);
    }

    /// The peer said End-of-RIB; with the last one nothing is kept any more that time has to end.
    pub(crate) fn end_of_rib(&mut self, slot: u32, family: Family) {
        let sweep = on_table!(self, family, table => table.end_initial(slot));
        self.sweep_if(slot, sweep);
        if !any_table!(self, table => table.is_initial(slot)) {
            self.set_deadline(slot, None);
        }
        if family == Family::ROUTE_TARGET {
            self.learn_interest(slot);
        }
        self.events.push_back(Event::EndOfRib(PeerId(slot), family));
    }

    /// End-of-RIB is held back, or becomes due to all that wait for it.
    pub(crate) fn defer_end_of_rib(&mut self, defers: bool) {
        each_table!(self, table => table.defer_end_of_rib(defers));
        self.wake_waiting();
    }

    /// Peers that kept our former routes hear of those of others from now on, or no more.
    pub(crate) fn defer_selection(&mut self, defers: bool) {
        if core::mem::replace(&mut self.shared.defers_selection, defers) == defers {
            return;
        }
        let slots: Vec<u32> = self.shared.peers.slots().collect();
        for slot in slots {
            let mut regrouped = false;
            each_table!(self, table => regrouped |= table.regroup(&self.shared, slot));
            if regrouped {
                self.say_pending(slot);
            }
        }
    }

    /// Tells every peer that has something to read, whether it was idle before or not.
    pub(crate) fn wake_waiting(&mut self) {
        let has_more = |slot: &u32| any_table!(self, table => table.has_more(*slot));
        let waiting: Vec<u32> = self.shared.peers.slots().filter(has_more).collect();
        waiting.into_iter().for_each(|slot| self.say_pending(slot));
    }

    /// Stale routes whose time is over are to be swept.
    pub(crate) fn expire(&mut self) {
        while let Some(&(at, slot)) = self.deadlines.first().filter(|(at, _)| *at <= self.now) {
            self.deadlines.remove(&(at, slot));
            let Some(peer) = self.shared.peers.get_mut(slot) else { continue };
            peer.stale_until = None;
            let (up, restart_until) = (peer.up, peer.restart_until);
            let restarted = self.now >= restart_until;
            for family in self.families().iter() {
                let now = self.now;
                let sweep = on_table!(self, family, table => table.expire_first_loss(slot, now));
                self.sweep_if(slot, sweep);
                // Of a session that is up it is over for what its predecessor left, and for nothing else.
                if !up {
                    // The end of one family's long-lived time is not that of another's restart time.
                    let end = in_table!(self, family, table => table.long_lived(slot)).flatten();
                    if restarted {
                        self.outlast(slot, family);
                    } else if end.is_some_and(|end| end <= self.now) {
                        on_table!(self, family, table => table.peer_mut(slot).sweep_long_lived());
                        self.sweeps.insert(slot);
                    }
                } else if restarted && in_table!(self, family, table => table.is_initial(slot)) == Some(true)
                {
                    self.told_everything(slot, family);
                }
            }
            self.wait_for(slot);
        }
    }

    /// The next time at which stale routes of a peer go, or become long-lived.
    fn wait_for(&mut self, slot: u32) {
        let Some(peer) = self.shared.peers.get(slot) else { return };
        let restart = Some(peer.restart_until).filter(|&until| until > self.now);
        // Long-lived ones wait for End-of-RIB once the session is up.
        let long_lived = if peer.up { None } else { self.next_end(slot) };
        let families = self.families();
        let kept = |family| in_table!(self, family, table => table.kept_until(slot)).flatten();
        let first_loss = families.iter().filter_map(kept).min();
        self.set_deadline(slot, [restart, long_lived, first_loss].into_iter().flatten().min());
    }

    /// The restart time of a family is over: its routes stay as long-lived stale ones where that was agreed on, and have
    /// time left (RFC 9494 §4.2); else they go.
    fn outlast(&mut self, slot: u32, family: Family) {
        let Some(peer) = self.shared.peers.get_mut(slot) else { return };
        let rows = peer.params.long_lived.iter().flatten();
        let time = rows.filter(|row| row.family == family).map(|row| row.stale_time).next().unwrap_or(0);
        let now = self.now;
        let end = in_table!(self, family, table => table.long_lived(slot)).flatten();
        let end = end.unwrap_or_else(|| now.saturating_add(Duration::from_secs(u64::from(time))));
        if end <= now {
            return self.told_everything(slot, family);
        }
        on_table!(self, family, table => {
            let peer = table.peer_mut(slot);
            (peer.long_lived, peer.long_lived_before) = (Some(end), peer.generation);
            peer.kept_until = None;
        });
        // They are marked, and those that must not stay go, as they are judged anew.
        if let Some(peer) = self.shared.peers.get_mut(slot) {
            peer.judging = true;
        }
        self.shared.peers.judging = true;
        self.begin_rescan();
    }

    /// When the first family's long-lived stale routes go.
    fn next_end(&self, slot: u32) -> Option<Duration> {
        let ends = self.families().iter();
        ends.filter_map(|family| in_table!(self, family, table => table.long_lived(slot)).flatten()).min()
    }

    /// Removes up to `turn` paths of sessions that ended or told their routes anew.
    pub(crate) fn sweep(&mut self, turn: usize) {
        let mut left = turn;
        while left > 0 {
            let Some(slot) = self.sweeps.first().copied() else { return };
            each_table!(self, table => {
                left = table.sweep(&mut self.shared, slot, left);
                let swept = table.take_swept(slot);
                self.events.extend(swept.map(|count| Event::Swept(PeerId(slot), table.family, count)));
            });
            if left > 0 {
                self.sweeps.remove(&slot);
                self.say_gone(slot);
                self.check_limits(slot);
            }
        }
    }

    /// Whether any table has paths of a peer.
    fn has_routes(&self, slot: u32) -> bool {
        any_table!(self, table => table.peer(slot).is_some_and(|peer| peer.received > 0))
    }

    fn is_sweeping(&self, slot: u32) -> bool {
        any_table!(self, table => table.peer(slot).is_some_and(|peer| peer.sweeping))
    }

    pub(crate) fn say_gone(&mut self, slot: u32) {
        let down = self.shared.peers.get(slot).is_some_and(|peer| !peer.up);
        if down && !self.has_routes(slot) {
            self.set_deadline(slot, None);
            self.sweeps.remove(&slot);
            if let Some(peer) = self.shared.peers.get(slot) {
                let account = peer.account;
                self.shared.attributes.close_account(account);
            }
            self.shared.peers.remove(slot);
            each_table!(self, table => table.peer_mut(slot).bounds = Bounds::none());
            tracing::debug!(peer = slot, "nothing of the peer is left");
            self.events.push_back(Event::PeerGone(PeerId(slot)));
        }
    }

    fn set_deadline(&mut self, slot: u32, deadline: Option<Duration>) {
        let Some(peer) = self.shared.peers.get_mut(slot) else { return };
        if let Some(old) = core::mem::replace(&mut peer.stale_until, deadline) {
            self.deadlines.remove(&(old, slot));
        }
        self.deadlines.extend(deadline.map(|at| (at, slot)));
    }

    /// The addresses of a session become known; whether a next hop in use is the peer's.
    fn meet_addresses(&mut self, slot: u32, params: &PeerParams) -> bool {
        let mut own_changed = false;
        for own in params.own_addresses() {
            own_changed |= self.shared.next_hops.own_up(own);
        }
        if own_changed {
            self.begin_rescan();
        }
        self.shared.next_hops.peer_up(params.peer_address, slot)
    }

    fn part_addresses(&mut self, slot: u32, params: &PeerParams) {
        let mut own_changed = false;
        for own in params.own_addresses() {
            own_changed |= self.shared.next_hops.own_down(own);
        }
        if own_changed {
            self.begin_rescan();
        }
        if self.shared.next_hops.peer_down(params.peer_address, slot) {
            self.clear_caches();
        }
    }

    /// Audiences of cached batches may be wrong from here on: who is whose next hop, or what an id stands for.
    pub(crate) fn clear_caches(&mut self) {
        each_table!(self, table => table.groups.clear_caches());
    }

    /// The clusters that this speaker reflects for: its own and those of single sessions.
    pub(crate) fn gather_clusters(&mut self) {
        let peers = &self.shared.peers;
        let of_sessions = peers.slots().filter_map(|slot| peers.up(slot)?.params.cluster_id);
        let mut clusters: Vec<ClusterId> = of_sessions.collect();
        clusters.push(self.shared.config.cluster_id());
        clusters.sort_unstable();
        clusters.dedup();
        if clusters == self.clusters {
            return;
        }
        self.clusters = clusters;
        // What is a loop is another question now.
        self.shared.peers.judge_all();
        self.begin_rescan();
    }

    /// A session that goes on has other addresses of ours beside its own.
    pub(crate) fn change_own_addresses(&mut self, former: &[IpAddr], now: &[IpAddr]) {
        let mut changed = false;
        for own in now {
            changed |= self.shared.next_hops.own_up(*own);
        }
        for own in former {
            changed |= self.shared.next_hops.own_down(*own);
        }
        if changed {
            self.begin_rescan();
        }
    }
}

impl<K: Key> Table<K> {
    /// Whether the peer has still to say End-of-RIB.
    fn is_initial(&self, slot: u32) -> bool {
        self.peer(slot).is_some_and(|peer| peer.initial)
    }

    /// End-of-RIB is held back, but not that of memberships: the peers' VPN routes, and with them their own End-of-RIB,
    /// wait for it (RFC 4684 §6), and each side would wait for the other.
    pub(crate) fn defer_end_of_rib(&mut self, defers: bool) {
        self.defers_end_of_rib = defers && !self.is_membership();
    }

    /// The key of the group that a peer belongs to.
    pub(crate) fn key_of(&self, shared: &Shared, peer: &Peer, slot: u32) -> GroupKey {
        GroupKey {
            membership: peer.interest.within(self.family),
            bound: Bound::of(slot, &peer.params, self.family),
            deferring: shared.defers_selection && peer.params.graceful_restart && !self.is_membership(),
            ..GroupKey::of(&peer.params, self.family, &shared.config)
        }
    }

    /// A session that is up begins to read.
    pub(crate) fn join(&mut self, shared: &Shared, slot: u32) {
        let Some(peer) = shared.peers.up(slot).filter(|peer| !peer.interest.withholds(self.family)) else {
            return;
        };
        let key = self.key_of(shared, peer, slot);
        let log = self.join_paths(key.selection);
        let bounded = key.bound.map(|bound| Box::new(Bounded::new(bound.max)));
        let group = self.groups.join(key, log, &shared.config);
        let reader = Reader::new((group, log), peer.origin, self.log_of(log).head());
        let (prefixes, head) = (self.entries.bound(), self.log.head());
        let own = self.groups.get_mut(group).and_then(|group| group.own.as_mut());
        let own = own.map_or(0, |own| own.join(prefixes, head));
        let reader = Reader { bounded, own, ..reader };
        self.peer_mut(slot).bounds.refused = 0;
        self.log_of_mut(log).join(reader.hold());
        self.peer_mut(slot).reader = Some(Box::new(reader));
    }

    /// A session that ended reads no more.
    fn leave(&mut self, slot: u32) {
        let Some(reader) = self.peer_mut(slot).reader.take() else { return };
        self.log_of_mut(reader.log).leave(reader.hold());
        if let Some(own) = self.groups.get_mut(reader.group).and_then(|group| group.own.as_mut()) {
            own.leave(reader.own);
            own.settle();
        }
        if reader.listed {
            self.unlist(reader.group, slot);
        }
        self.groups.leave(reader.group);
        for walk in reader.swap {
            self.groups.depart(walk.former);
        }
        self.leave_paths(reader.log);
    }
}
