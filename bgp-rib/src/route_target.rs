//! Route target constraint (RFC 4684): a peer that says which route targets it wants is told no other VPN routes.
//!
//! What a peer wants is read from its Adj-RIB-In of the family and is part of the key of its update groups: peers that want
//! the same share their encodings, and one that changes its mind walks over its table once and hears the difference. The
//! first VPN route waits for the peer's End-of-RIB of the family, or for a minute (§6), or for a second if it does not promise to say it. While some peer of a VPN family says
//! nothing of route targets, everything is asked for on its behalf: the default route target (§4).

use core::time::Duration;
use std::sync::Arc;

use bgp_wire::{AttributeBlock, Family, Nlri, PathAttributes, RouteTargetMembership};
use bytes::BytesMut;

use crate::config::PeerRole;
use crate::export::{GroupKey, Origin};
use crate::nlri::RouteNlri;
use crate::path::{LOCAL, Path};
use crate::peer::Peer;
use crate::prefix::Key;
use crate::rib::{Rib, each_table, on_table};
use crate::slab::NONE;
use crate::table::{Shared, Table, Told};
use crate::{decision::Ladder, export};

/// How long VPN routes wait for End-of-RIB of the memberships: the default of RFC 4684 §6.
const MEMBERSHIP_TIME: Duration = Duration::from_secs(60);

/// The same for peers that do not promise End-of-RIB, as they have no graceful restart: they may never say it. Memberships
/// that they have already arrive within this time, and later ones are followed as they come.
const UNPROMISED_TIME: Duration = Duration::from_secs(1);

/// The owner of the default route target among this speaker's own routes.
const DEFAULT_OWNER: u32 = u32::MAX;

/// Sub-type of route targets (RFC 4360 §4); of ES-Import too, which is one (RFC 7432 §7.6).
const ROUTE_TARGET: u8 = 0x02;

/// Whether the routes of a family carry route targets.
pub(crate) fn is_constrained(family: Family) -> bool {
    matches!(
        (family.afi.0, family.safi.0),
        (1 | 2, 5 | 66 | 84 | 85 | 128 | 129 | 134) | (25, 6 | 8 | 65 | 70 | 134)
    )
}

/// The route targets that a peer wants routes of, whoever in its network asked for them.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Membership(Arc<Wanted>);

#[derive(PartialEq, Eq, Hash, Debug, Default)]
struct Wanted {
    everything: bool,
    /// Whole route targets, in order.
    whole: Vec<u64>,
    /// First bits of route targets with their number, from 0 to 63, in order.
    beginnings: Vec<(u64, u8)>,
}

impl Membership {
    fn of(told: impl Iterator<Item = RouteTargetMembership>) -> Self {
        let mut wanted = Wanted::default();
        for membership in told {
            let target = u64::from_be_bytes(membership.target().0);
            match membership.bits() {
                0 => wanted.everything = true,
                96 => wanted.whole.push(target),
                // The first 32 are the AS that asks.
                bits => wanted.beginnings.push((target, bits.saturating_sub(32))),
            }
        }
        wanted.whole.sort_unstable();
        wanted.whole.dedup();
        wanted.beginnings.sort_unstable();
        wanted.beginnings.dedup();
        Self(Arc::new(wanted))
    }

    /// Whether routes with these attributes are wanted (RFC 4684 §6).
    pub(crate) fn wants(&self, attributes: &AttributeBlock<'_>) -> bool {
        let wanted = &*self.0;
        wanted.everything
            || attributes.extended_communities().iter().any(|community| {
                let target = u64::from_be_bytes(community.0);
                let is_target = community.sub_kind() == ROUTE_TARGET && matches!(community.kind(), 0..=2 | 6);
                let begins =
                    |&(first, bits): &(u64, u8)| bits == 0 || (target ^ first) >> (64 - u32::from(bits)) == 0;
                is_target
                    && (wanted.whole.binary_search(&target).is_ok() || wanted.beginnings.iter().any(begins))
            })
    }
}

/// What is known of the route targets that a peer wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Interest {
    /// It does not speak of them: everything.
    Everything,
    /// It has still to say, and has time until then.
    Unknown(Duration),
    /// These.
    Known(Membership),
}

impl Interest {
    /// What constrains the routes of a family.
    pub(crate) fn within(&self, family: Family) -> Option<Membership> {
        match self {
            Self::Known(membership) if is_constrained(family) => Some(membership.clone()),
            _ => None,
        }
    }

    /// Whether routes of a family wait for it.
    pub(crate) fn withholds(&self, family: Family) -> bool {
        matches!(self, Self::Unknown(_)) && is_constrained(family)
    }
}

impl Rib {
    /// A session is up, or down: what it wants decides on what is asked of the others.
    pub(crate) fn count_interest(&mut self, slot: u32, up: bool) {
        let Some(peer) = self.shared.peers.get_mut(slot) else { return };
        let (families, promises) = (peer.params.families, peer.params.graceful_restart);
        let speaks = families.contains(Family::ROUTE_TARGET);
        if let Interest::Unknown(until) = &mut peer.interest {
            self.awaited.remove(&(*until, slot));
            let time = if promises { MEMBERSHIP_TIME } else { UNPROMISED_TIME };
            *until = self.now.saturating_add(time);
            self.awaited.extend(up.then_some((*until, slot)));
        } else if !speaks && families.iter().any(is_constrained) {
            self.unconstrained = if up { self.unconstrained + 1 } else { self.unconstrained - 1 };
        }
        self.ask_for_everything(self.unconstrained > 0);
    }

    /// Originates the default route target, or takes it back.
    fn ask_for_everything(&mut self, asks: bool) {
        let there = self.families().contains(Family::ROUTE_TARGET);
        if !there || self.asks_for_everything == asks {
            return;
        }
        self.asks_for_everything = asks;
        let default = Nlri::RouteTarget(RouteTargetMembership::DEFAULT);
        let key = RouteNlri::of(Family::ROUTE_TARGET, &default, &mut BytesMut::new());
        let mut block = Vec::new();
        if PathAttributes::default().encode_block(&mut block).is_err() {
            return;
        }
        let attributes = self.shared.intern(&block, NONE, None);
        let told = Told { peer: LOCAL, path_id: DEFAULT_OWNER, attributes, verdict: 0 };
        let table = self.further.iter_mut().find(|table| table.family == Family::ROUTE_TARGET);
        if let Some(table) = table {
            if asks {
                table.announce(&mut self.shared, key, told);
            } else {
                table.withdraw(&mut self.shared, &key, LOCAL, DEFAULT_OWNER);
            }
        }
        self.shared.release(attributes);
    }

    /// The peer has said what it wants, or had time enough: VPN routes may go.
    pub(crate) fn learn_interest(&mut self, slot: u32) {
        let membership = self.membership_of(slot);
        let Some(peer) = self.shared.peers.get_mut(slot).filter(|peer| peer.up) else { return };
        let Interest::Unknown(until) = peer.interest else { return };
        self.awaited.remove(&(until, slot));
        peer.interest = Interest::Known(membership);
        let families = peer.params.families;
        for family in families.iter().filter(|&family| is_constrained(family)) {
            on_table!(self, family, table => {
                table.join(&self.shared, slot);
                // It has told routes before: the audiences of what is encoded know nothing of it.
                table.groups.clear_caches();
            });
        }
        self.say_pending(slot);
    }

    /// Those for whom End-of-RIB of the memberships is not waited for any longer.
    pub(crate) fn end_waiting(&mut self) {
        while let Some((_, slot)) = self.awaited.first().copied().filter(|(at, _)| *at <= self.now) {
            self.awaited.pop_first();
            self.learn_interest(slot);
        }
    }

    /// Notes whose memberships changed, and tells them the difference.
    pub(crate) fn follow_interests(&mut self) {
        let table = self.further.iter_mut().find(|table| table.family == Family::ROUTE_TARGET);
        if let Some(table) = table.filter(|table| !table.touched.is_empty()) {
            self.interested.extend(table.touched.drain(..));
            for slot in self.interested.clone() {
                self.follow_interest(slot);
            }
        }
    }

    /// A peer wants other route targets; while it walks over a former difference that has to wait.
    pub(crate) fn follow_interest(&mut self, slot: u32) {
        let mut walks = false;
        each_table!(self, table => {
            walks |= is_constrained(table.family) && table.reader(slot).is_some_and(|reader| !reader.swap.is_empty());
        });
        if walks || !self.interested.remove(&slot) {
            return;
        }
        let known = |peer: &Peer| matches!(peer.interest, Interest::Known(_));
        if !self.shared.peers.up(slot).is_some_and(known) {
            return;
        }
        let now = Interest::Known(self.membership_of(slot));
        let Some(peer) = self.shared.peers.get_mut(slot).filter(|peer| peer.interest != now) else { return };
        peer.interest = now;
        let mut changed = false;
        each_table!(self, table => changed |= is_constrained(table.family) && table.regroup(&self.shared, slot));
        if changed {
            self.say_pending(slot);
        }
    }

    fn membership_of(&self, slot: u32) -> Membership {
        let told = self.further.iter().find(|table| table.family == Family::ROUTE_TARGET);
        Membership::of(told.into_iter().flat_map(|table| table.memberships(slot)))
    }
}

impl Table<RouteNlri> {
    /// The memberships that a peer told and that import accepted, each once.
    fn memberships(&self, slot: u32) -> impl Iterator<Item = RouteTargetMembership> + '_ {
        let first = self.peer(slot).map_or(NONE, |peer| peer.newest);
        let paths = core::iter::successors((first != NONE).then_some(first), |&at| {
            let older = self.paths[at].older;
            (older != NONE).then_some(older)
        });
        let accepted = paths.filter(|&at| self.paths[at].verdict == 0);
        accepted.filter_map(|at| match self.nlri(at).nlri() {
            Some(Nlri::RouteTarget(membership)) => Some(membership),
            _ => None,
        })
    }
}

impl<K: Key> Table<K> {
    /// Whether its routes say what peers want.
    pub(crate) fn is_membership(&self) -> bool {
        K::VARIES && self.family == Family::ROUTE_TARGET
    }

    /// The path that a group is told under a name of its log. Of memberships a non-client is told a client's path where the
    /// best one may not be reflected to it (RFC 4684 §3.2 (ii)).
    pub(crate) fn path_for(&self, shared: &Shared, to: &GroupKey, log: u32, id: u32) -> Option<&Path> {
        let path = self.standing_path(log, id)?;
        if !self.is_membership() || log != NONE || export::passes(to, shared.peers.origin(path.peer)).is_ok()
        {
            return Some(path);
        }
        Some(self.inside.get(&id).map_or(path, |&(at, _)| &self.paths[at]))
    }

    /// Chooses anew what non-clients are told of a membership whose best path is a non-client's; whether that is news.
    /// `only`: no other path came, changed or went.
    pub(crate) fn choose_inside(&mut self, shared: &Shared, id: u32, only: Option<u32>) -> bool {
        let now = self.best_inside(shared, id, only).map(|at| (at, self.paths[at].attributes));
        let before = match now {
            Some(now) => self.inside.insert(id, now),
            None => self.inside.remove(&id),
        };
        let retold = |slot| shared.peers.get(slot).is_some_and(|peer| peer.retold);
        before != now || now.is_some_and(|(at, _)| retold(self.paths[at].peer))
    }

    fn best_inside(&self, shared: &Shared, id: u32, only: Option<u32>) -> Option<u32> {
        let passes = |path: &Path| {
            !matches!(shared.peers.origin(path.peer), Origin::Internal { role: PeerRole::Plain, .. })
        };
        if passes(self.best_path(id)?) {
            return None;
        }
        let total = !self.entries[id].med && self.rescan.is_none();
        let stands = self.inside.get(&id).map(|&(at, _)| at);
        let mut ladder = Ladder::default();
        match (stands, only.filter(|&only| only != NONE)) {
            // What did not change itself can lose its place to what did, and to nothing else.
            (Some(stands), Some(only)) if total && stands != only => {
                let both = [stands, only].into_iter().map(|at| (at, &self.paths[at]));
                self.climb_with(shared, &mut ladder, both.filter(|(_, path)| passes(path)))
            }
            _ => self.climb_with(shared, &mut ladder, self.paths_of(id).filter(|(_, path)| passes(path))),
        }
    }
}
