//! Timers: expiry, and what extends them.

use core::time::Duration;

use bgp_wire::keepalive;
use bytes::Bytes;

use crate::negotiate::keepalive as keepalive_interval;
use crate::session::Session;
use crate::timer::Timer;
use crate::{ConnId, Output};

/// What unread input adds to Hold at most: long enough for a busy driver to come round, short enough that it says so
/// again for as long as it is true.
const INPUT_PENDING_GRACE: Duration = Duration::from_secs(10);
/// KEEPALIVEs are never closer (RFC 4271 §4.4).
const SHORTEST_KEEPALIVE: Duration = Duration::from_secs(1);
/// Keepalives of many sessions fall due together at multiples of this since the epoch, where jitter leaves the choice: a
/// driver of thousands wakes twenty times a second for all of them, and none goes out at another time than jitter allows.
const KEEPALIVE_GRID: Duration = Duration::from_millis(50);
/// Least SendHold time unless the operator chose one (RFC 9687 §3.2).
const SEND_HOLD: Duration = Duration::from_secs(480);
/// Timers that one Tick may fire: each of the two tables of connections and that of the session, with room for those
/// that are started anew by the expiry of others. The rest waits for the next Tick, which is due at once.
const EXPIRIES_PER_TICK: usize = 32;

impl Session {
    pub(super) fn tick(&mut self, now: Duration) {
        for _ in 0..EXPIRIES_PER_TICK {
            if !self.fire_next(now) {
                break;
            }
        }
    }

    /// Fires the timer that is due first, if one is.
    fn fire_next(&mut self, now: Duration) -> bool {
        let session = self.timers.next().filter(|(at, _)| *at <= now);
        let connection = self.connections.next_timer().filter(|(at, ..)| *at <= now);
        match (session, connection) {
            (Some((at, _)), Some((earlier, id, timer))) if earlier < at => {
                self.connection_timer(now, id, timer);
            }
            (Some((_, timer)), _) => self.session_timer(now, timer),
            (None, Some((_, id, timer))) => self.connection_timer(now, id, timer),
            (None, None) => return false,
        }
        true
    }

    pub(super) fn session_timer(&mut self, now: Duration, timer: Timer) {
        self.timers.stop(timer);
        match timer {
            Timer::ConnectRetry => self.connect_retry_expired(now),
            Timer::IdleHold => self.leave_idle(now),
            Timer::DelayOpen | Timer::Hold | Timer::Keepalive | Timer::SendHold | Timer::Collision => {}
        }
    }

    pub(super) fn connection_timer(&mut self, now: Duration, id: ConnId, timer: Timer) {
        let Some(conn) = self.connections.get_mut(id) else { return };
        conn.timers.stop(timer);
        let step = conn.phase.expired(timer);
        self.carry_out(now, id, step);
    }

    pub(super) fn start_timer(&mut self, id: ConnId, timer: Timer, deadline: Duration) {
        if let Some(conn) = self.connections.get_mut(id) {
            conn.timers.start(timer, deadline);
        }
    }

    /// HoldTimer, from now; stopped where the Hold Time is zero. The whole cost of an UPDATE.
    pub(super) fn restart_hold(&mut self, now: Duration, id: ConnId) {
        if let Some(conn) = self.connections.get_mut(id) {
            let hold = conn.phase.hold_time(&self.config);
            if hold.is_zero() {
                conn.timers.stop(Timer::Hold);
            } else {
                conn.timers.start(Timer::Hold, now.saturating_add(hold));
            }
        }
    }

    /// A KEEPALIVE, and the timer towards the next. UPDATEs that are sent do not put it off, as RFC 4271 §8.2.2
    /// would have it: so the peer hears from us even while a long table waits in front of its socket.
    pub(super) fn send_keepalive(&mut self, now: Duration, id: ConnId) {
        self.counters.keepalives_out += 1;
        self.put(Output::Send(id, Bytes::from_static(keepalive())));
        let interval = self.keepalive_interval(id);
        let wait = self.jitter.spread(interval).max(SHORTEST_KEEPALIVE);
        let Some(conn) = self.connections.get_mut(id) else { return };
        conn.keepalive_sent = now;
        if !interval.is_zero() {
            let (least, most) = (least_wait(interval), interval.max(SHORTEST_KEEPALIVE));
            let deadline =
                on_grid(now.saturating_add(wait), now.saturating_add(least), now.saturating_add(most));
            conn.timers.start(Timer::Keepalive, deadline);
        }
    }

    /// The peer's KEEPALIVE is here, and ours may go out at any moment from now on: then it goes at once, in the same turn
    /// of the driver and with TCP's acknowledgement on it.
    pub(super) fn answer_keepalive(&mut self, now: Duration, id: ConnId) {
        let interval = self.keepalive_interval(id);
        let Some(conn) = self.connections.get(id) else { return };
        let waited = now.saturating_sub(conn.keepalive_sent);
        if !interval.is_zero() && waited >= least_wait(interval) {
            self.send_keepalive(now, id);
        }
    }

    /// Of the configuration as it is now: a changed interval needs no new session.
    fn keepalive_interval(&self, id: ConnId) -> Duration {
        let negotiated = self.connections.get(id).and_then(|conn| conn.phase.negotiated());
        let hold_time = negotiated.map_or(Duration::ZERO, |negotiated| negotiated.hold_time);
        keepalive_interval(&self.config, hold_time)
    }

    /// A peer is not dead because we have not read what it sent.
    pub(super) fn input_pending(&mut self, now: Duration, id: ConnId) {
        let Some(conn) = self.connections.get_mut(id) else { return };
        if let Some(deadline) = conn.timers.deadline(Timer::Hold) {
            let grace = conn.phase.hold_time(&self.config).min(INPUT_PENDING_GRACE);
            conn.timers.start(Timer::Hold, deadline.max(now.saturating_add(grace)));
        }
    }

    /// SendHoldTimer runs from the first byte that the peer did not take, and not where the negotiated Hold Time is off
    /// (RFC 9687 §4.3).
    pub(super) fn write_blocked(&mut self, now: Duration, id: ConnId) {
        let Some(conn) = self.connections.get_mut(id) else { return };
        let negotiated = conn.phase.negotiated().map(|negotiated| negotiated.hold_time);
        let hold = negotiated.unwrap_or(self.config.hold_time);
        let wait = self.config.send_hold.unwrap_or(hold.saturating_mul(2).max(SEND_HOLD));
        let off = wait.is_zero() || negotiated == Some(Duration::ZERO);
        if !off && conn.timers.deadline(Timer::SendHold).is_none() {
            conn.timers.start(Timer::SendHold, now.saturating_add(wait));
        }
    }

    pub(super) fn write_progress(&mut self, id: ConnId) {
        if let Some(conn) = self.connections.get_mut(id) {
            conn.timers.stop(Timer::SendHold);
        }
    }
}

/// The shortest wait that jitter leaves of an interval (RFC 4271 §10).
fn least_wait(interval: Duration) -> Duration {
    (interval * 3 / 4).max(SHORTEST_KEEPALIVE)
}

/// The multiple of [`KEEPALIVE_GRID`] next to `at`, if it lies within bounds.
fn on_grid(at: Duration, least: Duration, most: Duration) -> Duration {
    let grid = KEEPALIVE_GRID.as_nanos();
    let nearest = (at.as_nanos() + grid / 2) / grid * grid;
    let nearest = u64::try_from(nearest).map_or(at, Duration::from_nanos);
    if (least..=most).contains(&nearest) { nearest } else { at }
}
