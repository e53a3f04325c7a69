//! From a connection to Established: carrying out what the states decide.

use core::time::Duration;
use std::sync::Arc;

use crate::collision::{Opener, Progress, Verdict, preferred, resolve};
use crate::session::Session;
use crate::states::{Established, OpenConfirm, OpenSent, Phase, Received, Step};
use crate::timer::Timer;
use crate::{ConnId, Event, Negotiated, Output, open};

/// What a new OPEN says about the Established session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Restarted {
    Yes,
    /// The peer's next step on the new connection tells.
    Perhaps,
    No,
}

impl Session {
    pub(super) fn received(&mut self, now: Duration, id: ConnId, received: Received<'_>) {
        let Some(conn) = self.connections.get(id) else { return };
        let counters = &mut self.counters;
        let count = match received {
            Received::Open(_) => Some(&mut counters.opens_in),
            Received::KeepAlive => Some(&mut counters.keepalives_in),
            Received::Notification(_) => Some(&mut counters.notifications_in),
            Received::Update => Some(&mut counters.updates_in),
            Received::RouteRefresh(_) => Some(&mut counters.refreshes_in),
            Received::Undecodable(_) => None,
        };
        count.into_iter().for_each(|n| *n += 1);
        let step = conn.phase.receive(received, &self.config);
        self.carry_out(now, id, step);
    }

    pub(super) fn carry_out(&mut self, now: Duration, id: ConnId, step: Step) {
        match step {
            Step::Stay => {}
            Step::Heard => self.restart_hold(now, id),
            Step::HeardKeepalive => {
                self.restart_hold(now, id);
                self.answer_keepalive(now, id);
            }
            Step::SendOpen => self.send_open(now, id),
            Step::SendKeepalive => self.send_keepalive(now, id),
            Step::Confirm(negotiated) => self.opened(now, id, *negotiated),
            Step::Establish => self.establish(now, id),
            Step::Refresh(refresh) => {
                // It shows that the peer lives as well as a KEEPALIVE does.
                self.restart_hold(now, id);
                self.tell(Event::Refresh(refresh));
            }
            Step::End(cause, next) => self.end(now, id, cause, next),
        }
    }

    /// Our OPEN goes out: to OpenSent.
    pub(super) fn send_open(&mut self, now: Duration, id: ConnId) {
        let Some(conn) = self.connections.get_mut(id) else { return };
        conn.phase = Phase::OpenSent(OpenSent { config: Arc::clone(&self.config) });
        conn.timers.stop(Timer::DelayOpen);
        self.counters.opens_out += 1;
        self.put(Output::Send(id, open::encode(&self.config)));
        self.restart_hold(now, id);
    }

    /// A good OPEN has arrived (events 19 and 20): collision first, then OpenConfirm.
    fn opened(&mut self, now: Duration, id: ConnId, negotiated: Negotiated) {
        match self.collision(now, id, &negotiated) {
            Verdict::CloseThis => return self.lose(now, id),
            Verdict::CloseOther => self.give_way(now, id),
            Verdict::KeepBoth => {}
        }
        // From here on we are committed to what stands: see the collision module.
        self.abort_dial();
        if self.connections.get(id).is_some_and(|conn| conn.phase.progress() == Progress::DelayOpen) {
            self.send_open(now, id);
        }
        let Some(conn) = self.connections.get_mut(id) else { return };
        conn.phase = Phase::OpenConfirm(OpenConfirm { negotiated: Arc::new(negotiated) });
        self.send_keepalive(now, id);
        self.restart_hold(now, id);
    }

    fn collision(&self, now: Duration, id: ConnId, negotiated: &Negotiated) -> Verdict {
        let (Some(this), Some(other)) = (self.connections.get(id), self.connections.sibling(id)) else {
            return Verdict::KeepBoth;
        };
        match self.restarted(now, id) {
            Restarted::Yes => return Verdict::CloseOther,
            Restarted::Perhaps => return Verdict::KeepBoth,
            Restarted::No => {}
        }
        #[cfg(test)]
        if self.by_the_letter && other.phase.progress() < Progress::OpenConfirm {
            return Verdict::KeepBoth;
        }
        let spoken = this.phase.spoken(&self.config);
        let local = (spoken.router_id, spoken.local_as);
        let peer = (negotiated.peer_router_id, negotiated.peer_as);
        resolve(
            preferred(local, peer),
            this.contender(),
            other.contender(),
            self.connections.is_newest(id),
            self.config.collision_detect_established,
        )
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

    /// The peer has confirmed (event 26 in OpenConfirm): to Established, alone.
    fn establish(&mut self, now: Duration, id: ConnId) {
        match self.connections.sibling(id).map(|other| (other.id, other.phase.progress())) {
            Some((other, Progress::Established)) => self.supersede(now, other),
            Some((other, _)) => self.lose(now, other),
            None => {}
        }
        let Some(conn) = self.connections.get_mut(id) else { return };
        let Phase::OpenConfirm(OpenConfirm { negotiated }) = &conn.phase else { return };
        let negotiated = Arc::clone(negotiated);
        conn.phase = Phase::Established(Established { negotiated: Arc::clone(&negotiated), since: now });
        self.counters.established += 1;
        self.restart_hold(now, id);
        self.tell(Event::Established(id, negotiated));
    }
}
