//! Sessions come and go, and tell everything anew.

use core::time::Duration;

use bgp_rib::{ConsecutiveRestarts, Input, PeerId, PeerParams, Retain};
use bgp_wire::{Community, Family, PeerKind, RefreshKind};

use super::scene::params;
use super::world::World;
use crate::naive::Teller;
use crate::support::*;

impl World {
    pub(super) fn up(&mut self, peer: u8, variant: u8) {
        let id = PeerId(u32::from(peer));
        if self.is_up(id) {
            return;
        }
        self.begin(peer, variant);
    }

    /// Another session under the name of one that is up ends that one.
    pub(super) fn again(&mut self, peer: u8, variant: u8) {
        let id = PeerId(u32::from(peer));
        if self.is_up(id) {
            self.ended(id, false);
            self.begin(peer, variant);
        }
    }

    fn begin(&mut self, peer: u8, variant: u8) {
        let id = PeerId(u32::from(peer));
        let params = params(peer, variant);
        self.hear();
        self.full.remove(&id);
        self.lab.up(peer, params.clone());
        self.deadlines.remove(&id);
        self.unread.insert(id);
        // Who comes back as another, or in another role, does not inherit.
        let inside = |params: &PeerParams| params.kind == PeerKind::Internal;
        let role = |params: &PeerParams| inside(params).then_some((params.role, params.cluster_id));
        let agreed = |params: &PeerParams| (!inside(params)).then_some(params.bgp_role);
        let is = |params: &PeerParams| (params.peer_router_id, role(params), agreed(params));
        let is_another = self.facts.sessions.get(&id).is_some_and(|(former, _)| is(former) != is(&params));
        *self.count.entry(id).or_insert(0) += 1;
        let mut kept = false;
        for family in [V4, V6] {
            let mut rows = params.long_lived.iter().flatten();
            let stays = match self.long_lived.contains_key(&(id, family)) {
                true => rows.any(|row| row.family == family && row.forwarding),
                false => params.keep_stale.contains(family),
            };
            if is_another || !stays {
                self.told_everything(id, family);
            }
            let keeps = self.has_routes(id, family);
            if !keeps {
                self.long_lived.remove(&(id, family));
                self.losses.remove(&(id, family));
            }
            if params.graceful_restart || keeps {
                self.initial.insert((id, family));
            }
            kept |= keeps;
        }
        self.restart_until.insert(id, self.lab.now);
        if kept {
            self.restart_until.insert(id, self.lab.now + Duration::from_secs(360));
        }
        self.judge(id, &params.import);
        self.facts.sessions.insert(id, (params, true));
        if kept {
            self.wait_for(id);
        }
    }

    pub(super) fn down(&mut self, peer: u8, stale: bool) {
        let peer = PeerId(u32::from(peer));
        if !self.is_up(peer) {
            return;
        }
        self.lab.down(peer, if stale { Retain::Stale } else { Retain::Nothing });
        self.ended(peer, stale);
    }

    fn ended(&mut self, peer: PeerId, stale: bool) {
        self.facts.sessions.get_mut(&peer).unwrap().1 = false;
        for family in [V4, V6] {
            self.initial.remove(&(peer, family));
            // What a refresh made stale was told in this session.
            let refreshing = self.refreshing.remove(&(peer, family));
            self.age(peer, family, if refreshing { 1 } else { u32::MAX });
        }
        self.deadlines.remove(&peer);
        let params = self.facts.sessions[&peer].0.clone();
        self.restart_until.insert(peer, self.lab.now + params.stale_time);
        let bound = self.lab.now + params.stale_time + Duration::from_secs(360);
        let keeps = params.consecutive_restarts == ConsecutiveRestarts::Keep;
        for family in [V4, V6] {
            if !stale {
                self.told_everything(peer, family);
            } else if !self.long_lived.contains_key(&(peer, family)) {
                if !keeps || !self.losses.contains_key(&(peer, family)) {
                    self.forget_stale_of(peer, 1, |prefix| family_of(prefix) == family);
                    self.losses.remove(&(peer, family));
                }
                if keeps {
                    self.losses.entry((peer, family)).or_insert((bound, bound)).1 = bound;
                }
            }
            // With a restart time of nothing the long-lived one begins, or there is none.
            if stale && (!params.retained.contains(family) || params.stale_time == Duration::ZERO) {
                self.outlast(peer, family);
            }
        }
        if stale {
            self.wait_for(peer);
        }
    }

    /// The next time at which something of a peer that is down goes.
    fn wait_for(&mut self, peer: PeerId) {
        let ends = self.long_lived.iter().filter(|((of, _), _)| *of == peer).map(|(_, end)| *end);
        let ends = ends.filter(|_| !self.is_up(peer));
        let restart = self.restart_until.get(&peer).copied().filter(|at| *at > self.lab.now);
        let losses = self.losses.iter().filter(|((of, _), _)| *of == peer).map(|(_, (first, _))| *first);
        let next = ends.chain(restart).chain(losses).min();
        self.deadlines.remove(&peer);
        self.deadlines.extend(next.map(|at| (peer, at)));
    }

    /// The restart time is over: what may stay long is marked, or goes in the end.
    fn outlast(&mut self, peer: PeerId, family: Family) {
        let rows = self.facts.sessions[&peer].0.long_lived.clone();
        let row = rows.iter().flatten().find(|row| row.family == family);
        let time = Duration::from_secs(row.map_or(0, |row| u64::from(row.stale_time)));
        let end = *self.long_lived.entry((peer, family)).or_insert(self.lab.now + time);
        if end <= self.lab.now {
            return self.told_everything(peer, family);
        }
        self.losses.remove(&(peer, family));
        self.facts.told.retain(|(prefix, from, _), path| {
            let concerns = *from == Teller::Peer(peer) && family_of(prefix) == family;
            path.long_lived |= concerns;
            !concerns || !path.attributes.communities.contains(&Community::NO_LLGR)
        });
    }

    /// What is stale of a peer goes.
    fn told_everything(&mut self, peer: PeerId, family: Family) {
        self.long_lived.remove(&(peer, family));
        self.losses.remove(&(peer, family));
        self.forget_stale_of(peer, 0, |prefix| family_of(prefix) == family);
    }

    pub(super) fn end_of_rib(&mut self, peer: u8, family: Family) {
        let peer = PeerId(u32::from(peer));
        if !self.is_up(peer) {
            return;
        }
        self.lab.end_of_rib(peer, family);
        self.initial.remove(&(peer, family));
        if ![V4, V6].iter().any(|&family| self.initial.contains(&(peer, family))) {
            self.deadlines.remove(&peer);
        }
        if !self.refreshing.contains(&(peer, family)) {
            self.told_everything(peer, family);
        }
    }

    pub(super) fn refresh_from_peer(&mut self, peer: u8, family: Family) {
        let peer = PeerId(u32::from(peer));
        if self.is_up(peer) {
            self.lab.refresh(peer, family, RefreshKind::REQUEST);
        }
    }

    pub(super) fn begin_refresh(&mut self, peer: u8, family: Family) {
        let peer = PeerId(u32::from(peer));
        if self.is_up(peer) && self.facts.sessions[&peer].0.enhanced_refresh {
            self.lab.refresh(peer, family, RefreshKind::BEGIN);
            if !self.initial.contains(&(peer, family)) {
                self.refreshing.insert((peer, family));
                self.age(peer, family, 1);
            }
        }
    }

    pub(super) fn end_refresh(&mut self, peer: u8, family: Family) {
        let peer = PeerId(u32::from(peer));
        if self.is_up(peer) && self.facts.sessions[&peer].0.enhanced_refresh {
            self.lab.refresh(peer, family, RefreshKind::END);
            if self.refreshing.remove(&(peer, family)) {
                self.told_everything(peer, family);
            }
        }
    }

    pub(super) fn later(&mut self, seconds: u16) {
        self.lab.now += Duration::from_secs(u64::from(seconds));
        self.lab.input(Input::Tick);
        while let Some((&peer, _)) = self.deadlines.iter().find(|(_, at)| **at <= self.lab.now) {
            self.deadlines.remove(&peer);
            let (up, now) = (self.is_up(peer), self.lab.now);
            let restarted = self.restart_until.get(&peer).is_none_or(|at| *at <= now);
            for family in [V4, V6] {
                let ended = self.long_lived.get(&(peer, family)).is_some_and(|end| *end <= now);
                if let Some((first, last)) =
                    self.losses.get(&(peer, family)).copied().filter(|(at, _)| *at <= now)
                {
                    self.forget_stale_of(peer, 1, |prefix| family_of(prefix) == family);
                    self.losses.remove(&(peer, family));
                    if first < last {
                        self.losses.insert((peer, family), (last, last));
                    }
                }
                // What a refresh made stale is not bounded by this time.
                if up && restarted && self.initial.remove(&(peer, family)) {
                    self.told_everything(peer, family);
                } else if !up && restarted {
                    self.outlast(peer, family);
                } else if !up && ended {
                    self.long_lived.remove(&(peer, family));
                    self.facts.told.retain(|(prefix, from, _), path| {
                        *from != Teller::Peer(peer) || family_of(prefix) != family || !path.long_lived
                    });
                }
            }
            self.wait_for(peer);
        }
    }

    /// Lets the background work come to its end and drains everybody.
    pub(super) fn drain_everyone(&mut self) {
        self.lab.settle();
        let up = self.facts.sessions.iter().filter(|(_, (_, up))| *up).map(|(peer, _)| *peer);
        up.collect::<Vec<_>>().into_iter().for_each(|peer| self.drain(peer));
    }

    /// Drains a peer; nothing of what stood when it began follows End-of-RIB.
    pub(super) fn drain(&mut self, peer: PeerId) {
        let said = self.lab.remotes[&peer].end_of_rib.clone();
        self.lab.drain(peer);
        let remote = &self.lab.remotes[&peer];
        for family in remote.end_of_rib.difference(&said).filter(|_| self.unread.contains(&peer)) {
            assert_eq!(remote.held_at_end[family], remote.held(*family), "{peer} {family} at End-of-RIB");
        }
        if !self.defers {
            self.unread.remove(&peer);
        }
    }

    /// What a peer told becomes staler by one, `most` at most.
    fn age(&mut self, peer: PeerId, family: Family, most: u32) {
        for ((prefix, from, _), path) in &mut self.facts.told {
            if *from == Teller::Peer(peer) && family_of(prefix) == family {
                path.stale = most.min(path.stale + 1);
            }
        }
    }

    fn has_routes(&self, peer: PeerId, family: Family) -> bool {
        let mut routes = self.facts.told.keys();
        routes.any(|(prefix, from, _)| *from == Teller::Peer(peer) && family_of(prefix) == family)
    }
}
