//! Two connections at once: which stays, and how long the peer is awaited to say so.
//!
//! Where the peer's identifier wins, the peer chooses, and we must choose the same without seeing when it does. What it
//! can do depends on what we have told it. Without our OPEN on its connection it cannot choose that one; without our
//! KEEPALIVE on ours it cannot be up there. With both out it may do either, and only what it does next tells. So no
//! connection is closed then, and we are not Established on ours, before the peer has closed one of them, confirmed its
//! own, or said on ours what only an Established speaker says; or before CollisionTimer expires. A connection of the
//! peer that comes while it may be up on ours already is not answered for that long.

use core::time::Duration;

use crate::collision::{Opener, Progress, Verdict, preferred, resolve};
use crate::connection::Connection;
use crate::session::Session;
use crate::states::{DelayOpen, Phase};
use crate::timer::Timer;
use crate::{ConnId, Negotiated};

/// What a new OPEN says about the Established session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Restarted {
    Yes,
    /// The peer's next step on the new connection tells.
    Perhaps,
    No,
}

impl Session {
    /// What a good OPEN on `id` decides.
    pub(super) fn collision(&self, now: Duration, id: ConnId, negotiated: &Negotiated) -> Verdict {
        let (Some(this), Some(other)) = (self.connections.get(id), self.connections.sibling(id)) else {
            return Verdict::KeepBoth;
        };
        match self.restarted(now, id) {
            Restarted::Yes => return Verdict::CloseOther,
            Restarted::Perhaps => return Verdict::KeepBoth,
            Restarted::No => {}
        }
        #[cfg(test)]
        if self.by_the_letter.is_some_and(|least| other.phase.progress() < least) {
            return Verdict::KeepBoth;
        }
        let preferred = self.preferred(this, negotiated);
        // A peer that speaks here and not there may never do so there.
        if this.opener == Opener::Peer && other.is_unanswered(now, self.config.connect_retry) {
            return Verdict::CloseOther;
        }
        if self.peer_may_be_up_on(other, preferred) && this.opener == Opener::Peer {
            return Verdict::KeepBoth;
        }
        resolve(
            preferred,
            this.contender(),
            other.contender(),
            self.connections.is_newest(id),
            self.config.collision_detect_established,
        )
    }

    /// Whose connection would stay.
    pub(super) fn preferred(&self, conn: &Connection, negotiated: &Negotiated) -> Opener {
        let spoken = conn.phase.spoken(&self.config);
        let local = (spoken.router_id, spoken.local_as);
        preferred(local, (negotiated.peer_router_id, negotiated.peer_as))
    }

    /// Whether the OPEN on `id` says that a peer of graceful restart has lost the Established session (RFC 4724 §5).
    ///
    /// A second connection of the peer's own does: a speaker that is up does not dial. Beside the one that we opened,
    /// an attempt of the peer that is older than the session can surface late, out of the listener's backlog; it is a
    /// collision and no restart. Attempts last no longer than ConnectRetryTime, and ours stands in for the peer's. Within
    /// it both are kept until the peer shows which it means: by its KEEPALIVE on the new one, or by closing that.
    pub(super) fn restarted(&self, now: Duration, id: ConnId) -> Restarted {
        let Some(other) = self.connections.sibling(id) else { return Restarted::No };
        let Phase::Established(state) = &other.phase else { return Restarted::No };
        if state.negotiated.graceful_restart.is_none() {
            return Restarted::No;
        }
        let lasted = now.saturating_sub(state.since);
        if other.opener == Opener::Peer || lasted >= self.config.connect_retry {
            Restarted::Yes
        } else {
            Restarted::Perhaps
        }
    }

    /// The peer has our OPEN and KEEPALIVE on this connection of ours, and chooses.
    fn peer_may_be_up_on(&self, conn: &Connection, preferred: Opener) -> bool {
        conn.opener == Opener::Us
            && conn.phase.progress() == Progress::OpenConfirm
            && preferred == Opener::Peer
            && self.awaits_choices()
    }

    fn awaits_choices(&self) -> bool {
        #[cfg(test)]
        if self.by_the_letter.is_some() {
            return false;
        }
        !self.config.collision_wait.is_zero()
    }

    /// Until when a connection that has just come is not answered: the peer could choose it while it, or we, take ours to
    /// be up.
    pub(super) fn unanswered_until(&self, now: Duration, id: ConnId) -> Option<Duration> {
        let other = self.connections.sibling(id).filter(|other| other.opener == Opener::Us)?;
        let since = match &other.phase {
            Phase::OpenConfirm(_) => now,
            Phase::Established(state) if !self.config.collision_detect_established => state.since,
            Phase::DelayOpen(_) | Phase::OpenSent(_) | Phase::Established(_) => return None,
        };
        let until = since.saturating_add(self.config.collision_wait);
        let waits = other.phase.preferred() == Some(Opener::Peer) && self.awaits_choices();
        (waits && until > now).then_some(until)
    }

    /// Whether the peer's choice is awaited before we are Established on `id`, which it has confirmed.
    pub(super) fn awaits_choice(&self, id: ConnId) -> bool {
        let (Some(this), Some(other)) = (self.connections.get(id), self.connections.sibling(id)) else {
            return false;
        };
        let preferred = this.phase.preferred().unwrap_or(Opener::Us);
        let answered = matches!(other.phase.progress(), Progress::OpenSent | Progress::OpenConfirm);
        other.opener == Opener::Peer && answered && self.peer_may_be_up_on(this, preferred)
    }

    /// Whether the peer may be up on the connection beside `id`, its own.
    pub(super) fn chosen_by_peer(&self, id: ConnId) -> bool {
        let (Some(this), Some(other)) = (self.connections.get(id), self.connections.sibling(id)) else {
            return false;
        };
        let preferred = this.phase.preferred().unwrap_or(Opener::Us);
        this.opener == Opener::Peer && self.peer_may_be_up_on(other, preferred)
    }

    /// CollisionTimer runs on `id`.
    pub(super) fn await_choice(&mut self, now: Duration, id: ConnId) {
        let until = now.saturating_add(self.config.collision_wait);
        if let Some(conn) = self.connections.get_mut(id)
            && conn.timers.deadline(Timer::Collision).is_none()
        {
            conn.timers.start(Timer::Collision, until);
        }
    }

    /// CollisionTimer has expired. A peer that has not confirmed our connection by now is not up on it.
    pub(super) fn collision_timer_expired(&mut self, now: Duration, id: ConnId) {
        let opened =
            |conn: &Connection| matches!(&conn.phase, Phase::DelayOpen(state) if state.heard.is_some());
        let unconfirmed =
            |conn: &Connection| matches!(&conn.phase, Phase::OpenConfirm(state) if !state.confirmed);
        if self.connections.get(id).is_some_and(opened)
            && self.connections.sibling(id).is_some_and(unconfirmed)
        {
            self.lose_sibling(now, id);
        }
        self.choose(now, id);
    }

    /// There is nothing left to wait for.
    pub(super) fn choose(&mut self, now: Duration, id: ConnId) {
        let Some(conn) = self.connections.get_mut(id) else { return };
        conn.timers.stop(Timer::Collision);
        match &mut conn.phase {
            Phase::DelayOpen(DelayOpen { heard }) => {
                let heard = heard.take();
                self.send_open(now, id);
                if let Some(negotiated) = heard {
                    self.opened(now, id, *negotiated);
                }
            }
            Phase::OpenConfirm(state) if state.silent => {
                state.silent = false;
                let confirmed = state.confirmed;
                self.send_keepalive(now, id);
                if confirmed {
                    self.establish(now, id);
                }
            }
            Phase::OpenConfirm(state) if state.confirmed => self.establish(now, id),
            // The peer's identifier wins (RFC 4271 §6.8).
            Phase::OpenConfirm(_) => self.lose_sibling(now, id),
            Phase::OpenSent(_) | Phase::Established(_) => {}
        }
    }

    /// A connection has ended beside one that waited for it.
    pub(super) fn left_alone(&mut self, now: Duration) {
        let waiting = self.connections.first().filter(|c| c.timers.deadline(Timer::Collision).is_some());
        if let Some(id) = waiting.map(|conn| conn.id) {
            self.choose(now, id);
        }
    }

    /// The peer may still be closing what has lost.
    pub(super) fn has_collided(&self, now: Duration) -> bool {
        let over = |at: Duration| at.saturating_add(self.config.collision_wait) <= now;
        self.awaits_choices() && self.collided.is_some_and(|at| !over(at))
    }

    fn lose_sibling(&mut self, now: Duration, id: ConnId) {
        let other = self.connections.sibling(id).filter(|c| c.phase.progress() < Progress::Established);
        if let Some(other) = other.map(|other| other.id) {
            self.lose(now, other);
        }
    }
}
