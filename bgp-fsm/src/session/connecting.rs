//! Idle, Connect and Active: getting a connection (RFC 4271 §8.2.2).

use core::time::Duration;

use crate::collision::Opener;
use crate::connection::{Connection, MAX_CONNECTIONS};
use crate::reach::{Active, Connect, Idle, Reach};
use crate::session::Session;
use crate::states::{DelayOpen, Phase};
use crate::timer::{Timer, Timers};
use crate::{Cause, ConnId, DownReason, Event, Output};

/// No wait between attempts is shorter: a zero in a configuration must not make a busy loop of a refused connection.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);

impl Session {
    /// ManualStart; in Idle also while a back-off is waited out.
    pub(super) fn start(&mut self, now: Duration) {
        if let Reach::Idle(_) = self.reach {
            self.damping.clear();
            self.leave_idle(now);
        }
    }

    /// To Connect, or if passive to Active.
    pub(super) fn leave_idle(&mut self, now: Duration) {
        self.timers.stop(Timer::IdleHold);
        if self.waits_for_bfd() {
            self.reach = Reach::Idle(Idle { started: true, open_from: None });
        } else if self.config.passive {
            self.reach = Reach::Active(Active);
        } else {
            self.dial(now);
        }
    }

    fn dial(&mut self, now: Duration) {
        self.reach = Reach::Connect(Connect);
        self.start_connect_retry(now, self.config.connect_retry);
        self.counters.connects += 1;
        self.put(Output::Connect);
    }

    pub(super) fn start_connect_retry(&mut self, now: Duration, wait: Duration) {
        let wait = self.jitter.spread(wait).max(SHORTEST_WAIT);
        self.timers.start(Timer::ConnectRetry, now.saturating_add(wait));
    }

    /// To Idle, until IdleHoldTimer expires. A peer that is `expected` back is let in before that, and so is one that
    /// oscillates when it has been refused for as long as two attempts of ours are apart at least.
    pub(super) fn start_idle_hold(&mut self, now: Duration, expected: bool) {
        let wait = self.jitter.spread(self.damping.delay(&self.config.idle_hold)).max(SHORTEST_WAIT);
        self.timers.start(Timer::IdleHold, now.saturating_add(wait));
        let held_off = !expected && self.damping.oscillates(&self.config.idle_hold);
        let refused = if held_off { self.config.connect_retry.max(SHORTEST_WAIT) } else { Duration::ZERO };
        self.reach = Reach::Idle(Idle { started: true, open_from: now.checked_add(refused) });
    }

    /// To Active; without a connection, ConnectRetryTimer runs towards the next attempt.
    pub(super) fn listen(&mut self, now: Duration, wait: Duration) {
        self.reach = Reach::Active(Active);
        self.timers.stop(Timer::ConnectRetry);
        if self.connections.is_empty() && !self.config.passive {
            self.start_connect_retry(now, wait);
        }
    }

    /// Gives up the attempt that runs, if one does.
    pub(super) fn abort_dial(&mut self) {
        if let Reach::Connect(_) = self.reach {
            self.put(Output::AbortConnect);
            self.reach = Reach::Active(Active);
        }
        self.timers.stop(Timer::ConnectRetry);
    }

    /// ConnectRetryTimer_Expires (event 9).
    pub(super) fn connect_retry_expired(&mut self, now: Duration) {
        match self.reach {
            Reach::Idle(_) => {}
            Reach::Active(_) => self.dial(now),
            Reach::Connect(_) => {
                self.put(Output::AbortConnect);
                self.attempt_failed(Cause::ConnectTimedOut);
                if self.connections.is_empty() {
                    self.leave_idle(now);
                } else {
                    self.listen(now, self.config.connect_retry);
                }
            }
        }
    }

    /// Tcp_CR_Acked (event 16).
    pub(super) fn connected(&mut self, now: Duration, id: ConnId) {
        match self.reach {
            Reach::Connect(_) => {
                self.reach = Reach::Active(Active);
                self.timers.stop(Timer::ConnectRetry);
                self.take_in(now, id, Opener::Us);
            }
            // The attempt was given up while it succeeded.
            Reach::Idle(_) | Reach::Active(_) => self.refuse_connection(id),
        }
    }

    /// TcpConnectionFails (event 18) of an attempt. RFC 4271 goes to Idle, which would refuse a peer that dials
    /// meanwhile: two speakers could miss each other for ever.
    pub(super) fn connect_failed(&mut self, now: Duration, why: &str) {
        if let Reach::Connect(_) = self.reach {
            self.attempt_failed(Cause::ConnectFailed(why.into()));
            self.listen(now, self.config.connect_retry);
        }
    }

    /// TcpConnectionConfirmed (event 17). In Idle it counts as an AutomaticStart, unless the peer is held off.
    pub(super) fn accepted(&mut self, now: Duration, id: ConnId) {
        let held_off = self.waits_for_bfd() || matches!(self.reach, Reach::Idle(idle) if !idle.is_open(now));
        let dials = usize::from(matches!(self.reach, Reach::Connect(_)));
        let full = self.connections.len() + dials >= MAX_CONNECTIONS;
        if self.connections.get(id).is_some() || held_off || (full && !self.displace(now)) {
            self.refuse_connection(id);
            return;
        }
        if !matches!(self.reach, Reach::Connect(_)) {
            self.reach = Reach::Active(Active);
            self.timers = Timers::default();
        }
        self.take_in(now, id, Opener::Peer);
    }

    /// Makes room for a new connection of the peer: one on which it has said nothing goes, the oldest first. Otherwise
    /// connections that nobody speaks on would keep out the peer, which has begun anew (RFC 4724 §5), for as long as an
    /// OPEN may take. Whether there is room.
    fn displace(&mut self, now: Duration) -> bool {
        let Some(id) = self.connections.iter().find(|conn| conn.is_mute()).map(|conn| conn.id) else {
            return false;
        };
        self.counters.refused += 1;
        self.supersede(now, id);
        true
    }

    /// Closes a connection that is not wanted. Nothing is said on it: a NOTIFICATION would send the peer to Idle,
    /// where it in turn would refuse us, while a mere close sends it to Active.
    fn refuse_connection(&mut self, id: ConnId) {
        if self.connections.get(id).is_none() {
            self.counters.refused += 1;
            self.put(Output::Close(id));
        }
    }

    fn take_in(&mut self, now: Duration, id: ConnId, opener: Opener) {
        if self.connections.get(id).is_some() {
            return;
        }
        let conn = Connection {
            id,
            opener,
            phase: Phase::DelayOpen(DelayOpen::default()),
            timers: Timers::default(),
            keepalive_sent: now,
        };
        if !self.connections.add(conn) {
            self.refuse_connection(id);
            return;
        }
        if let Some(until) = self.unanswered_until(now, id) {
            return self.start_timer(id, Timer::Collision, until);
        }
        match self.config.delay_open {
            Some(wait) => self.start_timer(id, Timer::DelayOpen, now.saturating_add(wait)),
            None => self.send_open(now, id),
        }
    }

    fn attempt_failed(&mut self, cause: Cause) {
        let reason = DownReason { cause, retain: false };
        self.last_error = Some(Box::new(reason.clone()));
        self.tell(Event::AttemptFailed(reason));
    }
}
