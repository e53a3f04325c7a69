//! Peers at the door of the tables: what they told goes in, what they are to be told goes out.

use std::sync::Arc;
use std::time::Duration;

use bgp_rib::{Input, LimitAction, LimitEvent, LimitLevel, Limited, PeerId};
use bgp_wire::{FamilySet, Notification};

use super::{ASKS, AT_ONCE, RibTask, SMALL, Slot, TRANSMIT};
use crate::bridge::ToRib;
use crate::event::Event;
use crate::peer::{Deposit, Mailbox, Visit};
use crate::status::LimitStatus;

impl RibTask {
    pub(super) fn slot(&mut self, peer: PeerId) -> Option<&mut Slot> {
        self.peers.get_mut(usize::try_from(peer.0).ok()?)?.as_mut()
    }

    pub(super) fn visit_peer(&mut self, mailbox: Arc<Mailbox>, until: Duration) {
        let visit = mailbox.visit();
        self.meet(&mailbox);
        self.hear(mailbox, visit, until);
    }

    /// Hands what a peer has told to the tables; what there is no time for stays at hand.
    pub(super) fn hear(&mut self, mailbox: Arc<Mailbox>, mut visit: Visit, until: Duration) {
        let peer = mailbox.cell.id;
        while let Some((session, input)) = visit.inputs.pop_front() {
            self.take(peer, session, input);
            if !visit.inputs.is_empty() && self.shared.now() >= until {
                break;
            }
        }
        self.table_changed = true;
        self.counters_changed(peer);
        if self.slot(peer).is_some_and(|slot| slot.undrained) {
            self.is_pending(peer);
        }
        if !visit.inputs.is_empty() {
            self.in_hand = Some((mailbox, visit));
        } else if visit.retired {
            self.retired(peer);
        }
    }

    fn take(&mut self, peer: PeerId, session: u32, input: ToRib) {
        self.note(peer, session, &input);
        let now = self.shared.now();
        if let ToRib::Update(update) = &input {
            self.next_hops.before(&mut self.rib, now, update);
        }
        input.apply(&mut self.rib, now, peer);
        self.next_hops.after(&mut self.rib, now);
    }

    /// Makes a slot for a peer that comes for the first time.
    pub(super) fn meet(&mut self, mailbox: &Arc<Mailbox>) {
        let Ok(index) = usize::try_from(mailbox.cell.id.0) else { return };
        if self.peers.len() <= index {
            self.peers.resize_with(index + 1, || None);
        }
        if let Some(place) = self.peers.get_mut(index) {
            place.get_or_insert_with(|| Slot::new(mailbox.clone()));
        }
    }

    /// A limit came to another level: it is told, and the session ends or the peer is asked again.
    pub(super) fn limit(&mut self, limit: LimitEvent) {
        let families = self.rib.families();
        let Some(slot) = self.slot(limit.peer) else { return };
        let freed = slot.cell.limit(limit);
        if limit.level == LimitLevel::Exceeded && limit.limit.action == LimitAction::Stop {
            let max = u32::try_from(limit.limit.max).unwrap_or(u32::MAX);
            let why = match limit.family {
                // The peer is not to blame for how much it is told (RFC 4486 §4: subcode 1 is about what it sent).
                Some(family) if limit.what != Limited::Advertised => {
                    Notification::cease_max_prefixes(family, max)
                }
                _ => Notification::cease_out_of_resources(),
            };
            slot.mailbox.exceeded(slot.session, why);
        } else if freed && matches!(limit.what, Limited::Received | Limited::Memory) {
            let families = limit.family.map_or(families, |family| FamilySet::of(&[family]));
            families.iter().for_each(|family| slot.mailbox.refresh(slot.session, family));
        }
        let (peer, limit) = (slot.cell.address, LimitStatus::of(limit));
        tracing::info!(%peer, ?limit, "limit");
        self.shared.emit(Event::Limit { peer, limit });
    }

    pub(super) fn note(&mut self, peer: PeerId, session: u32, input: &ToRib) {
        if matches!(input, ToRib::Up(_)) {
            // An End-of-RIB of the session before may still stand among the events.
            self.drain_events(Duration::MAX);
            self.begin_recovery();
        }
        let Some(slot) = self.slot(peer) else { return };
        match input {
            ToRib::Up(_) => {
                slot.session = session;
                slot.up = true;
                slot.known = true;
                slot.cell.forget_told();
                slot.cell.forget_limits();
            }
            ToRib::Down(_) => {
                slot.up = false;
                slot.undrained = false;
            }
            ToRib::Update(_) | ToRib::Refresh(_) | ToRib::Change(_) => {}
        }
    }

    /// The peer's task has ended: its id is free once the tables have forgotten it.
    pub(super) fn retired(&mut self, peer: PeerId) {
        let Some(slot) = self.slot(peer) else { return };
        slot.retired = true;
        if !slot.known {
            return self.release(peer);
        }
        // Routes that were kept for the peer's return go with it.
        if !slot.up {
            self.rib.handle(self.shared.now(), Input::PeerDown(peer, bgp_rib::Retain::Nothing));
        }
    }

    pub(super) fn forgotten(&mut self, peer: PeerId) {
        let Some(slot) = self.slot(peer) else { return };
        // The peer may have come back since.
        slot.known = slot.up;
        if slot.retired && !slot.known {
            self.release(peer);
        }
    }

    pub(super) fn release(&mut self, peer: PeerId) {
        if let Some(place) = usize::try_from(peer.0).ok().and_then(|i| self.peers.get_mut(i)) {
            *place = None;
            self.shared.ids.give_back(peer);
        }
    }

    /// There is something to read for a peer.
    pub(super) fn is_pending(&mut self, peer: PeerId) {
        if let Some(slot) = self.slot(peer)
            && !std::mem::replace(&mut slot.pending, true)
        {
            self.pending.push_back(peer);
        }
    }

    /// Serves those that have something to hear: some of them, and more for as long as there is time.
    pub(super) fn serve_pending(&mut self, until: Duration) {
        let mut small = 0;
        for _ in 0..self.pending.len() {
            let Some(peer) = self.pending.pop_front() else { return };
            let wrote = self.written_at_once;
            self.transmit(peer, until);
            // What was little enough to be written at once took microseconds; after anything else the clock is looked at.
            small = if self.written_at_once > wrote && small < SMALL { small + 1 } else { 0 };
            if small == 0 && self.shared.now() >= until {
                return;
            }
        }
    }

    /// Gives a peer what there is for it, if it can write.
    fn transmit(&mut self, peer: PeerId, until: Duration) {
        let hushed = self.door.is_hushed();
        let Some(slot) = self.slot(peer) else { return };
        slot.pending = false;
        if hushed {
            return;
        }
        if !slot.up || !slot.mailbox.claim_credit(slot.session) {
            slot.undrained = slot.up;
            return;
        }
        let (mut chunks, mut octets, mut drained) = (Vec::new(), 0, false);
        for asked in 0..ASKS {
            if drained || octets >= TRANSMIT / 2 || (asked > 0 && self.shared.now() >= until) {
                break;
            }
            match self.rib.poll_transmit(peer, TRANSMIT) {
                Some(transmit) => {
                    drained = transmit.is_last();
                    octets += transmit.len();
                    chunks.extend(transmit.into_chunks());
                }
                None => drained = true,
            }
        }
        if chunks.is_empty() && !drained {
            self.is_pending(peer);
        }
        let at_once = self.written_at_once < AT_ONCE;
        let Some(slot) = self.slot(peer) else { return };
        slot.undrained = !drained;
        let written = slot.mailbox.deposit(slot.session, Deposit { chunks, more: !drained }, at_once);
        self.written_at_once += usize::from(written);
        self.counters_changed(peer);
    }
}
