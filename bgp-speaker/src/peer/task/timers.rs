//! The timers of one peer on one alarm.

use std::future::Future;
use std::task::Context;
use std::time::Duration;

use bgp_fsm::{ConnId, Input};

use super::{NEVER, PeerTask, ROUNDS};

impl PeerTask {
    /// Fires what is due. A peer whose octets we have not read is not silent (see the module's head).
    pub(super) fn poll_timers(&mut self, cx: &mut Context<'_>) -> bool {
        let mut fired = false;
        self.lingering.poll(cx, self.shared.now());
        self.release_due();
        self.kept_until = self.kept_until.filter(|until| *until > self.shared.now());
        // Each firing moves its timer into the future; the bound is for a session that would not.
        for _ in 0..ROUNDS {
            let now = self.shared.now();
            let due = self.due();
            if due > now {
                break;
            }
            if self.session.hold_expires(now) {
                self.tell_unread();
            }
            self.firing = Some(due);
            self.handle(Input::Tick);
            self.firing = None;
            fired = true;
        }
        self.arm(cx);
        fired
    }

    fn due(&self) -> Duration {
        let session = self.session.poll_timeout().unwrap_or(NEVER);
        let lingering = self.lingering.deadline().unwrap_or(NEVER);
        let kept = self.kept_until.unwrap_or(NEVER);
        let held = self.held.flatten().unwrap_or(NEVER);
        session.min(lingering).min(kept).min(held)
    }

    fn tell_unread(&mut self) {
        let unread: Vec<ConnId> = self.connections.iter().filter(|c| c.unread()).map(|c| c.id).collect();
        for id in unread {
            self.handle(Input::InputPending(id));
        }
    }

    /// Sleeps until the next timer. The alarm is moved only to an earlier time: a hold timer that is pushed back with every
    /// message costs one alarm for each hold time, not one for each message.
    fn arm(&mut self, cx: &mut Context<'_>) {
        loop {
            let due = self.due();
            if due < self.alarm_at {
                self.alarm.as_mut().reset(self.shared.instant(due));
                self.alarm_at = due;
            }
            if self.alarm.as_mut().poll(cx).is_pending() {
                return;
            }
            self.alarm_at = NEVER;
            if due <= self.shared.now() {
                // Fired by the next round.
                cx.waker().wake_by_ref();
                return;
            }
            if due == NEVER {
                return;
            }
        }
    }
}
