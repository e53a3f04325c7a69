//! From a connection to Established: carrying out what the states decide.

use core::time::Duration;
use std::sync::Arc;

use crate::collision::{Opener, Progress, Verdict};
use crate::session::{CONFIRM_DELAY, Session};
use crate::states::{Established, OpenConfirm, OpenSent, Phase, Received, Step};
use crate::timer::Timer;
use crate::{ConnId, Event, Negotiated, Output, open};

impl Session {
    pub(super) fn received(&mut self, now: Duration, id: ConnId, received: Received<'_>) {
        self.settle(now, id, &received);
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

    /// What the peer says may itself say what was awaited.
    fn settle(&mut self, now: Duration, id: ConnId, received: &Received<'_>) {
        let Some(conn) = self.connections.get(id) else { return };
        let settled = match &conn.phase {
            // It does not wait for our answer.
            Phase::DelayOpen(state) => {
                state.heard.is_some() && !matches!(received, Received::Notification(_))
            }
            Phase::OpenConfirm(state) => state.confirmed && received.is_of_established(),
            Phase::OpenSent(_) | Phase::Established(_) => false,
        };
        if settled {
            self.choose(now, id);
        }
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
            Step::Establish => self.confirmed(now, id),
            Step::Choose => self.collision_timer_expired(now, id),
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
        conn.phase = Phase::OpenSent(OpenSent { config: Arc::clone(&self.config), since: now });
        conn.timers.stop(Timer::DelayOpen);
        self.counters.opens_out += 1;
        self.put(Output::Send(id, open::encode(&self.config)));
        self.restart_hold(now, id);
    }

    /// A good OPEN has arrived (events 19 and 20): collision first, then OpenConfirm.
    pub(super) fn opened(&mut self, now: Duration, id: ConnId, negotiated: Negotiated) {
        let Some(conn) = self.connections.get_mut(id) else { return };
        if let Phase::DelayOpen(state) = &mut conn.phase
            && conn.timers.deadline(Timer::Collision).is_some()
        {
            state.heard = Some(Box::new(negotiated));
            return;
        }
        let preferred = self.connections.get(id).map_or(Opener::Us, |conn| self.preferred(conn, &negotiated));
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
        let silent = preferred == Opener::Us && conn.opener == Opener::Us && self.has_collided(now);
        let Some(conn) = self.connections.get_mut(id) else { return };
        let negotiated = Arc::new(negotiated);
        conn.phase = Phase::OpenConfirm(OpenConfirm { negotiated, preferred, confirmed: false, silent });
        self.restart_hold(now, id);
        if silent {
            self.start_timer(id, Timer::Collision, now.saturating_add(CONFIRM_DELAY));
            return;
        }
        self.send_keepalive(now, id);
        if self.chosen_by_peer(id) {
            self.await_choice(now, id);
        }
    }

    /// The peer has confirmed (event 26 in OpenConfirm): to Established, unless its choice between two connections is
    /// awaited.
    fn confirmed(&mut self, now: Duration, id: ConnId) {
        let silent = self.connections.get(id).is_some_and(|conn| conn.phase.is_silent());
        if !silent && !self.awaits_choice(id) {
            return self.establish(now, id);
        }
        self.await_choice(now, id);
        self.restart_hold(now, id);
        if let Some(conn) = self.connections.get_mut(id)
            && let Phase::OpenConfirm(state) = &mut conn.phase
        {
            state.confirmed = true;
        }
    }

    /// To Established, alone.
    pub(super) fn establish(&mut self, now: Duration, id: ConnId) {
        match self.connections.sibling(id).map(|other| (other.id, other.phase.progress())) {
            Some((other, Progress::Established)) => self.supersede(now, other),
            Some((other, _)) => self.lose(now, other),
            None => {}
        }
        let Some(conn) = self.connections.get_mut(id) else { return };
        let Phase::OpenConfirm(OpenConfirm { negotiated, preferred, .. }) = &conn.phase else { return };
        let (negotiated, preferred) = (Arc::clone(negotiated), *preferred);
        conn.timers.stop(Timer::Collision);
        conn.phase =
            Phase::Established(Established { negotiated: Arc::clone(&negotiated), since: now, preferred });
        self.counters.established += 1;
        self.restart_hold(now, id);
        self.tell(Event::Established(id, negotiated));
    }
}
