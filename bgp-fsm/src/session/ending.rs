//! The end of a connection, and what the session does then.

use core::time::Duration;

use bgp_wire::{Notification, NotificationCode, subcode};
use bytes::BytesMut;

use crate::connection::Connection;
use crate::reach::{Idle, Reach};
use crate::session::Session;
use crate::session::colliding::Restarted;
use crate::states::{Next, Phase};
use crate::timer::Timers;
use crate::{Cause, ConnId, DownReason, Event, Negotiated, Output, Stop};

impl Session {
    /// ManualStop (event 2).
    pub(super) fn stop(&mut self, stop: &Stop) {
        self.end_all(None, |conn| match stop {
            Stop::Silent => Cause::Stopped,
            Stop::Notify(notification) => Cause::NotificationSent(for_good(conn, notification)),
        });
        self.damping.clear();
        self.timers = Timers::default();
        self.reach = Reach::Idle(Idle::STOPPED);
    }

    /// AutomaticStop (event 8). What we do by our own will is not held against the peer.
    pub(super) fn reset(&mut self, now: Duration, notification: &Notification) {
        if let Reach::Idle(_) = self.reach {
            return;
        }
        self.end_all(Some(now), |_| Cause::NotificationSent(notification.clone()));
        self.start_idle_hold(now, false);
    }

    /// Ends every connection and attempt; whether the peer is expected back.
    pub(super) fn end_all(&mut self, now: Option<Duration>, cause: impl Fn(&Connection) -> Cause) -> bool {
        self.abort_dial();
        let mut expected = false;
        while let Some(conn) = self.connections.first() {
            let (id, cause) = (conn.id, cause(conn));
            expected |= self.finish(now, id, cause);
        }
        expected
    }

    /// TcpConnectionFails (event 18).
    pub(super) fn closed(&mut self, now: Duration, id: ConnId, why: &str) {
        if let Some(conn) = self.connections.get(id) {
            let step = conn.phase.closed(why);
            self.carry_out(now, id, step);
        }
    }

    /// A connection is over, and if it was the last one, so is the attempt.
    pub(super) fn end(&mut self, now: Duration, id: ConnId, cause: Cause, next: Next) {
        let expected = self.finish(Some(now), id, cause);
        if !self.connections.is_empty() {
            return self.left_alone(now);
        }
        match (next, self.reach) {
            (Next::Active, Reach::Connect(_)) => {}
            (Next::Active, _) => {
                self.damping.failed(&self.config.idle_hold);
                let wait = self.damping.delay(&self.config.idle_hold).max(self.config.connect_retry);
                self.listen(now, wait);
            }
            (Next::Idle, _) => {
                self.damping.failed(&self.config.idle_hold);
                self.abort_dial();
                self.start_idle_hold(now, expected);
            }
        }
    }

    /// This connection has lost the collision. Another one stands.
    pub(super) fn lose(&mut self, now: Duration, id: ConnId) {
        self.counters.collisions += 1;
        self.finish(Some(now), id, Cause::NotificationSent(Notification::cease_collision()));
    }

    /// The connection beside `id` has to go: it lost the collision, or the peer has restarted.
    pub(super) fn give_way(&mut self, now: Duration, id: ConnId) {
        let Some(other) = self.connections.sibling(id).map(|other| other.id) else { return };
        if self.restarted(now, id) == Restarted::Yes {
            self.supersede(now, other);
        } else {
            self.lose(now, other);
        }
    }

    /// The peer has begun anew on another connection: nothing is said on this one (RFC 4724 §5).
    pub(super) fn supersede(&mut self, now: Duration, id: ConnId) {
        self.finish(Some(now), id, Cause::Superseded);
    }

    /// Says what there is to say on a connection, closes it and tells of it. `now` counts towards forgiveness.
    /// Whether the peer is expected back, because its routes are kept.
    fn finish(&mut self, now: Option<Duration>, id: ConnId, cause: Cause) -> bool {
        let Some(conn) = self.connections.remove(id) else { return false };
        if is_collision(&cause) {
            self.collided = now;
        }
        let reason = DownReason { retain: retain(&conn, &cause), cause };
        let expected = reason.retain;
        if let Some(notification) = reason.sent() {
            self.send_notification(&conn, notification);
        }
        self.put(Output::Close(id));
        if let Phase::Established(state) = &conn.phase {
            let lasted = now.map_or(Duration::ZERO, |now| now.saturating_sub(state.since));
            self.damping.lasted(lasted, &self.config.idle_hold);
            self.last_error = Some(Box::new(reason.clone()));
            self.tell(Event::Down(reason));
        } else if !self.is_expected(&reason) {
            self.last_error = Some(Box::new(reason.clone()));
            self.tell(Event::AttemptFailed(reason));
        }
        expected
    }

    /// Whether a connection that was never up ended in a way that is no failure: a collision, or the operator's stop.
    fn is_expected(&self, reason: &DownReason) -> bool {
        let beside_another = !self.connections.is_empty();
        match &reason.cause {
            Cause::Stopped | Cause::Superseded => true,
            cause @ Cause::NotificationSent(_) => is_collision(cause),
            cause @ Cause::NotificationReceived(_) => is_collision(cause) && beside_another,
            Cause::Closed(_) => beside_another,
            _ => false,
        }
    }

    fn send_notification(&mut self, conn: &Connection, notification: &Notification) {
        // Before our OPEN there is nobody to tell, unless the peer has spoken first.
        let unspoken = matches!(&conn.phase, Phase::DelayOpen(state) if state.heard.is_none());
        if unspoken && notification.code == NotificationCode::CEASE {
            return;
        }
        let mut out = BytesMut::new();
        notification.encode(&mut out);
        self.counters.notifications_out += 1;
        self.put(Output::Send(conn.id, out.freeze()));
    }
}

/// A NOTIFICATION that is to end the session for good: where the peer keeps routes over others, a Hard Reset
/// (RFC 8538 §3.1).
pub(super) fn for_good(conn: &Connection, notification: &Notification) -> Notification {
    let wrap = conn.phase.negotiated().is_some_and(|negotiated| negotiated.notification_restart);
    if wrap && !is_hard_reset(notification) {
        Notification::cease_hard_reset(notification)
    } else {
        notification.clone()
    }
}

/// A connection that ends so has lost a collision.
fn is_collision(cause: &Cause) -> bool {
    match cause {
        Cause::NotificationSent(n) | Cause::NotificationReceived(n) => *n == Notification::cease_collision(),
        _ => false,
    }
}

fn is_hard_reset(notification: &Notification) -> bool {
    notification.code == NotificationCode::CEASE && notification.subcode == subcode::cease::HARD_RESET
}

/// Whether routes outlive a session that was up and ended so (RFC 4724 §4.2, RFC 8538 §4).
fn retain(conn: &Connection, cause: &Cause) -> bool {
    let Phase::Established(state) = &conn.phase else { return false };
    let negotiated: &Negotiated = &state.negotiated;
    let permitted = match cause {
        Cause::Closed(_) | Cause::Superseded => true,
        Cause::NotificationSent(n)
        | Cause::NotificationReceived(n)
        | Cause::HoldTimerExpired(n)
        | Cause::SendHoldTimerExpired(n) => negotiated.notification_restart && !is_hard_reset(n),
        // RFC 5882 §4.3: the routes are worth what the peer's forwarding is, whatever became of the peer's BGP.
        Cause::BfdDown { control_plane_independent, .. } => !control_plane_independent,
        Cause::ConnectFailed(_) | Cause::ConnectTimedOut | Cause::Stopped => false,
    };
    let long_lived = negotiated.long_lived.iter().flatten().any(|row| row.stale_time > 0);
    permitted && (!negotiated.retained.is_empty() || long_lived)
}
