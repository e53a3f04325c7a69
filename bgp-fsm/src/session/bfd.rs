//! What BFD means for the session (RFC 5882 §4, RFC 9384).

use core::time::Duration;

use bgp_wire::{Notification, NotificationCode, subcode};

use crate::reach::{Idle, Reach};
use crate::session::Session;
use crate::timer::Timer;
use crate::{Bfd, Cause, Event};

impl Session {
    pub(super) fn bfd_changed(&mut self, now: Duration, to: Bfd) {
        let from = self.bfd.replace(to);
        match (from, to) {
            (Some(Bfd::Up), Bfd::Down { control_plane_independent }) => {
                self.unreachable(now, control_plane_independent);
            }
            _ => self.stop_waiting_for_bfd(now),
        }
    }

    /// Whether there is to be no session until BFD is up.
    pub(super) fn waits_for_bfd(&self) -> bool {
        self.config.bfd_strict && !matches!(self.bfd, Some(Bfd::Up | Bfd::AdminDown))
    }

    /// Leaves an Idle that no timer ends. A back-off is waited out whatever BFD says.
    fn stop_waiting_for_bfd(&mut self, now: Duration) {
        let waiting = matches!(self.reach, Reach::Idle(Idle { started: true, .. }));
        if waiting && self.timers.deadline(Timer::IdleHold).is_none() && !self.waits_for_bfd() {
            self.leave_idle(now);
        }
    }

    /// The peer cannot be reached: RFC 5882 §4.3.1 if BFD does not share the fate of the peer's control plane, else §4.3.2.
    fn unreachable(&mut self, now: Duration, control_plane_independent: bool) {
        let forwarding_is_lost = control_plane_independent && self.established().is_none();
        if !matches!(self.reach, Reach::Idle(_)) {
            let expected = self.end_by_bfd(now, control_plane_independent);
            self.damping.failed(&self.config.idle_hold);
            self.start_idle_hold(now, expected);
        }
        if forwarding_is_lost {
            self.tell(Event::ForwardingLost);
        }
    }

    /// Ends every connection; whether the peer is expected back.
    fn end_by_bfd(&mut self, now: Duration, control_plane_independent: bool) -> bool {
        let down = Notification::new(NotificationCode::CEASE, subcode::cease::BFD_DOWN);
        self.end_all(Some(now), |conn| Cause::BfdDown {
            sent: if control_plane_independent { super::ending::for_good(conn, &down) } else { down.clone() },
            control_plane_independent,
        })
    }
}
