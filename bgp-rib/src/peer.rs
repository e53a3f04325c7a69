//! Peers: what was negotiated, and what each has in each table.

use core::time::Duration;
use std::net::IpAddr;

use bgp_wire::{ClusterId, Family};

use crate::config::{PeerParams, PeerRole};
use crate::export::Origin;
use crate::group::Reader;
use crate::limits::{Bounds, LimitLevel};
use crate::query::Source;
use crate::route_target::Interest;
use crate::slab::NONE;
use crate::{PeerId, path::LOCAL};

/// Peers that one speaker may have: slots are dense, and ten thousand is what the design is for.
pub(crate) const MAX_PEERS: u32 = 1 << 20;

/// A peer that is up, or down with routes left.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) params: PeerParams,
    pub(crate) up: bool,
    /// It was said to be pending and has not been drained since.
    pub(crate) told: bool,
    /// A former session that left routes was of another identity: telling one of them again is a change.
    pub(crate) renamed: bool,
    /// Its import policy changed, and not all its routes have been judged by the new one.
    pub(crate) judging: bool,
    /// Its routes mean something else to others than they did, and not all have been told anew.
    pub(crate) retold: bool,
    /// When routes of an ended session must be gone.
    pub(crate) stale_until: Option<Duration>,
    /// Until when routes of its ended session stay without being long-lived stale, or wait for End-of-RIB of the one that is
    /// up (RFC 4724 §4.2).
    pub(crate) restart_until: Duration,
    /// Where its routes came from, as the export rules see it.
    pub(crate) origin: Origin,
    /// Whose account the attribute sets are on that it was the first to bring; and how full its budget of memory is.
    pub(crate) account: u32,
    pub(crate) memory: LimitLevel,
    /// Some bound of it is in force.
    pub(crate) limited: bool,
    /// The route targets that it wants routes of.
    pub(crate) interest: Interest,
}

impl Peer {
    pub(crate) fn new(params: PeerParams, cluster_id: ClusterId) -> Self {
        let origin = Origin::of(&params, cluster_id);
        let speaks = params.families.contains(Family::ROUTE_TARGET);
        let interest = if speaks { Interest::Unknown(Duration::ZERO) } else { Interest::Everything };
        Self {
            params,
            up: true,
            told: false,
            renamed: false,
            judging: false,
            retold: false,
            stale_until: None,
            restart_until: Duration::ZERO,
            origin,
            account: NONE,
            memory: LimitLevel::Below,
            limited: false,
            interest,
        }
    }

    /// Whether routes told by this session mean something else than the same ones told by the former.
    pub(crate) fn differs_as_source(&self, former: &Self) -> bool {
        let facts = |peer: &Self| (peer.origin, peer.params.peer_router_id, peer.params.peer_address);
        facts(self) != facts(former)
    }
}

/// All peers by slot.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    slots: Vec<Option<Box<Peer>>>,
    /// Some peer's routes are being judged by a new import policy.
    pub(crate) judging: bool,
    /// Some peer has a bound, or had one.
    pub(crate) bounded: bool,
}

impl Peers {
    pub(crate) fn get(&self, slot: u32) -> Option<&Peer> {
        self.slots.get(slot as usize)?.as_deref()
    }

    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut Peer> {
        self.slots.get_mut(slot as usize)?.as_deref_mut()
    }

    /// The peer of a session that is up.
    pub(crate) fn up(&self, slot: u32) -> Option<&Peer> {
        self.get(slot).filter(|peer| peer.up)
    }

    pub(crate) fn put(&mut self, slot: u32, peer: Peer) {
        let index = slot as usize;
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, || None);
        }
        self.slots[index] = Some(Box::new(peer));
    }

    pub(crate) fn remove(&mut self, slot: u32) {
        if let Some(peer) = self.slots.get_mut(slot as usize) {
            *peer = None;
        }
    }

    /// All routes of all peers are to be judged anew.
    pub(crate) fn judge_all(&mut self) {
        self.judging = true;
        self.slots.iter_mut().flatten().for_each(|peer| peer.judging = true);
    }

    /// All routes of all peers have been judged; whose those were.
    pub(crate) fn end_judging(&mut self) -> Vec<u32> {
        if !core::mem::take(&mut self.judging) {
            return Vec::new();
        }
        let judged = (0..).zip(&mut self.slots).filter_map(|(slot, peer)| Some((slot, peer.as_deref_mut()?)));
        let done = |peer: &mut Peer| {
            peer.retold = false;
            core::mem::take(&mut peer.judging)
        };
        judged.filter_map(|(slot, peer)| done(peer).then_some(slot)).collect()
    }

    /// Slots in use, in order.
    pub(crate) fn slots(&self) -> impl Iterator<Item = u32> + '_ {
        (0..).zip(&self.slots).filter(|(_, peer)| peer.is_some()).map(|(slot, _)| slot)
    }

    /// Where a path of this slot came from, as the export rules see it.
    pub(crate) fn origin(&self, slot: u32) -> Origin {
        self.get(slot).map_or(Origin::Local, |peer| peer.origin)
    }

    /// Where a path came from, as callers see it.
    pub(crate) fn source(&self, slot: u32, path_id: u32) -> Source {
        match self.get(slot) {
            Some(peer) if slot != LOCAL => Source::Peer {
                id: PeerId(slot),
                address: peer.params.peer_address,
                asn: peer.params.peer_as,
                router_id: peer.params.peer_router_id,
                kind: peer.params.kind,
                client: peer.params.role == PeerRole::Client,
            },
            _ => Source::Local(crate::OwnerId(path_id)),
        }
    }
}

/// An address as a number that keeps the order of RFC 4271 §9.1.2.2 (g): IPv4 first, then IPv6.
pub(crate) fn address_rank(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

/// What one peer has in one table.
#[derive(Debug)]
pub(crate) struct PeerTable {
    /// Ends of the list of its paths, in the order of generations.
    pub(crate) newest: u32,
    pub(crate) oldest: u32,
    /// Paths in the Adj-RIB-In; of these, accepted by import; of these all, told in the current generation.
    pub(crate) received: u32,
    pub(crate) accepted: u32,
    pub(crate) current: u32,
    /// Of the paths in the Adj-RIB-In, rejected by import policy.
    pub(crate) rejected: u32,
    /// Of these all, left by former sessions and not told in this one; and the first generation of this one.
    pub(crate) former: u32,
    first: u16,
    /// The generation that routes are told in now; and the oldest whose routes may stay although stale.
    pub(crate) generation: u16,
    pub(crate) kept: u16,
    /// Until when generations before `last` stay: the bound of the first of several losses; and what the latest one left,
    /// with its own bound.
    pub(crate) kept_until: Option<Duration>,
    last: (u16, Duration),
    /// Until when its stale routes stay as long-lived ones (RFC 9494 §4.2); `None` while they are not.
    pub(crate) long_lived: Option<Duration>,
    /// Generations before this one are long-lived stale then: a later session's have their restart time first.
    pub(crate) long_lived_before: u16,
    /// The next of its paths of which followers are told that it is stale, if they are.
    pub(crate) to_mark: u32,
    /// Paths of other generations are being removed.
    pub(crate) sweeping: bool,
    /// How many have been since that was last told.
    pub(crate) swept: u32,
    /// End-of-RIB has to come before a refresh can begin (RFC 7313 §4).
    pub(crate) initial: bool,
    /// It said BoRR, and not yet EoRR (RFC 7313 §4).
    pub(crate) refreshing: bool,
    /// How many prefixes it is best for, by how far the route may go.
    pub(crate) best: [u32; 3],
    /// Its Adj-RIB-Out: a cursor. `None` while the family is not negotiated or the session is down.
    pub(crate) reader: Option<Box<Reader>>,
    /// How much of it is taken.
    pub(crate) bounds: Bounds,
}

impl PeerTable {
    pub(crate) const fn new() -> Self {
        Self {
            newest: NONE,
            oldest: NONE,
            received: 0,
            accepted: 0,
            current: 0,
            rejected: 0,
            former: 0,
            first: 0,
            generation: 0,
            kept: 0,
            kept_until: None,
            last: (0, Duration::ZERO),
            long_lived: None,
            long_lived_before: 0,
            to_mark: NONE,
            sweeping: false,
            swept: 0,
            initial: false,
            refreshing: false,
            best: [0; 3],
            reader: None,
            bounds: Bounds::none(),
        }
    }

    /// Routes told from now on are of a new generation; what stands is stale. Within a refresh what was stale by it stays
    /// stale: only EoRR ends it (RFC 7313 §4).
    pub(crate) fn begin_generation(&mut self) {
        // Long-lived ones outlast further sessions, within their one time (RFC 9494 §4.2).
        if !self.refreshing && self.long_lived.is_none() && self.kept_until.is_none() {
            self.kept = self.generation;
        }
        // A generation that nothing was told in serves again.
        if self.current > 0 {
            self.generation = self.generation.wrapping_add(1);
            self.current = 0;
        }
    }

    /// The session ended: what it told is a former one's, and may stay until `until`; with `keeps` what was stale before stays
    /// within its own bound.
    pub(crate) fn end_session(&mut self, keeps: bool, until: Duration) {
        let lost = self.generation;
        if !keeps {
            self.kept_until = None;
        }
        self.begin_generation();
        self.last = (lost, until);
        if keeps && self.long_lived.is_none() {
            self.kept_until.get_or_insert(until);
        }
        (self.former, self.first) = (self.received, self.generation);
    }

    /// Paths that this session told, whether a refresh has made them stale or not.
    pub(crate) fn told(&self) -> u32 {
        self.received - self.former
    }

    /// Whether this session told as many paths as are stored of it.
    pub(crate) fn has_told_all(&self) -> bool {
        self.told() >= self.bounds.received
    }

    /// A path of this generation is told in the current one, or goes.
    pub(crate) fn leave_generation(&mut self, generation: u16) {
        self.current -= u32::from(generation == self.generation);
        // Without any the first generation may be so long ago that numbers have come round.
        self.former -= u32::from(self.is_former(generation));
    }

    /// Whether a path of this generation was left by a former session.
    pub(crate) fn is_former(&self, generation: u16) -> bool {
        self.former > 0 && self.behind(generation) > self.behind(self.first)
    }

    /// Everything that is not of the current generation goes.
    pub(crate) fn sweep_stale(&mut self) {
        (self.initial, self.refreshing) = (false, false);
        (self.long_lived, self.kept_until) = (None, None);
        self.kept = self.generation;
        self.sweeping = self.received > self.current;
    }

    /// What is long-lived stale goes; what a later session told has its restart time.
    pub(crate) fn sweep_long_lived(&mut self) {
        self.long_lived = None;
        self.kept = self.long_lived_before;
        self.sweeping = self.received > 0;
    }

    /// What may not stay by now goes: a second restart does not prolong the first (RFC 4724 §4.2).
    pub(crate) fn sweep_older(&mut self) {
        self.sweeping = self.received > 0;
    }

    /// The time that the first of several losses left is over; the latest is the first from here on.
    pub(crate) fn end_first_loss(&mut self) {
        let (last, until) = self.last;
        (self.kept, self.kept_until) = (last, self.kept_until.filter(|&first| first < until).map(|_| until));
        self.sweep_older();
    }

    /// Whether a path of this generation is to be removed.
    pub(crate) fn sweeps(&self, generation: u16) -> bool {
        self.behind(generation) > self.behind(self.kept)
    }

    /// Whether a path of this generation is long-lived stale (RFC 9494 §4.2).
    pub(crate) fn is_long_lived(&self, generation: u16) -> bool {
        self.long_lived.is_some() && self.behind(generation) > self.behind(self.long_lived_before)
    }

    /// How many generations ago this one was.
    pub(crate) fn behind(&self, generation: u16) -> u16 {
        self.generation.wrapping_sub(generation)
    }
}
