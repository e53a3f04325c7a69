//! A session that ends because the peer told too much, or was drained, and the pause after it.

use bgp_fsm::{Input, Stop};
use bgp_wire::{MessageType, Notification, RefreshKind, RouteRefresh};
use bytes::BytesMut;

use super::PeerTask;
use crate::peer::Drain;

impl PeerTask {
    /// What the tables found about the peer's limits, and what the operator did about it.
    pub(super) fn take_limits(&mut self) -> bool {
        let mut progress = false;
        if let Some(why) = self.mailbox.take_exceeded()
            && self.up.is_some()
        {
            progress = true;
            let pause = self.cell.config().options.limit_restart;
            // A time that is out of reach is none.
            self.held = Some(pause.and_then(|pause| self.shared.now().checked_add(pause)));
            self.handle(Input::Stop(Stop::Notify(why)));
            self.dial = None;
            let until = pause
                .map_or("until it is cleared".to_owned(), |pause| format!("for {} s", pause.as_secs_f64()));
            self.cell.hold(Some(format!("limit exceeded, held down {until}")));
        }
        if self.mailbox.take_cleared() && self.held.is_some() && self.cell.drain() == Drain::No {
            progress = true;
            self.release();
            self.handle(Input::Start);
        }
        progress | self.ask_again()
    }

    /// Ends the session of a peer that had time to find other ways; there is no other until it is resumed.
    pub(super) fn hold_drained(&mut self, why: Notification) {
        if self.stopping || self.cell.drain() != Drain::Done {
            return;
        }
        self.stay_drained();
        self.handle(Input::Stop(Stop::Notify(why)));
        self.dial = None;
    }

    /// Has no session until it is resumed.
    pub(super) fn stay_drained(&mut self) {
        self.held = Some(None);
        self.cell.hold(Some("drained, held down until it is resumed".to_owned()));
    }

    /// When the pause after a limit is over.
    pub(super) fn release_due(&mut self) {
        if self.held.flatten().is_some_and(|until| until <= self.shared.now()) {
            self.release();
            self.handle(Input::Start);
        }
    }

    /// Nothing keeps the session down any more.
    pub(super) fn release(&mut self) {
        self.held = None;
        self.cell.hold(None);
    }

    /// Asks for what was not stored while a limit was reached (RFC 2918).
    fn ask_again(&mut self) -> bool {
        let families = self.mailbox.take_refresh();
        let able = self.session.negotiated().is_some_and(|negotiated| negotiated.route_refresh);
        if !able && !families.is_empty() && self.up.is_some() {
            tracing::warn!(
                peer = %self.cell.address,
                "there is room again, and the peer cannot be asked for what was not kept (no route refresh): it comes \
                 with the next session"
            );
        }
        let Some(connection) = self.connections.iter_mut().find(|c| Some(c.id) == self.up) else {
            return false;
        };
        let mut asked = false;
        for family in families.iter().filter(|_| able) {
            let mut out = BytesMut::new();
            RouteRefresh { family, kind: RefreshKind::REQUEST }.encode(&mut out);
            let octets = out.len() as u64;
            if connection.ask(out.freeze()) {
                self.cell.sent.count(MessageType::ROUTE_REFRESH, 1, octets);
                asked = true;
            }
        }
        asked
    }
}
