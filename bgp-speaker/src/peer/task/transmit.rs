//! From the session and the table to the socket.

use std::task::{Context, Poll};

use bgp_fsm::{ConnId, Input};

use super::PeerTask;

impl PeerTask {
    pub(super) fn poll_writes(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progress = false;
        let ids: [Option<ConnId>; 4] = std::array::from_fn(|i| self.connections.get(i).map(|c| c.id));
        for id in ids.into_iter().flatten() {
            progress |= self.poll_write(cx, id);
        }
        progress
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, id: ConnId) -> bool {
        if self.up == Some(id) {
            self.fetch_transmit(id);
        }
        let Some(connection) = self.connections.iter_mut().find(|c| c.id == id) else { return false };
        if !connection.wants_write() {
            return false;
        }
        let had_table = !connection.table_drained();
        match connection.poll_write(cx) {
            Poll::Pending => {
                if !std::mem::replace(&mut connection.write_blocked, true) {
                    self.cell.set_unsent(Some((connection.unsent(), self.shared.now())));
                    self.handle(Input::WriteBlocked(id));
                }
                false
            }
            Poll::Ready(Ok(_)) => {
                if connection.session_drained()
                    && let Some(due) = connection.keepalive_due.take()
                {
                    self.shared.lateness.note(self.shared.now().saturating_sub(due));
                }
                let was_blocked = std::mem::take(&mut connection.write_blocked);
                let drained = had_table && connection.table_drained();
                if was_blocked {
                    if !connection.wants_write() {
                        self.cell.set_unsent(None);
                    }
                    self.handle(Input::WriteProgress(id));
                }
                if self.up == Some(id) {
                    let idle = self.connections.iter().find(|c| c.id == id && !c.wants_write());
                    self.mailbox.rest(drained, idle.map(|c| c.stream.clone()));
                }
                true
            }
            Poll::Ready(Err(error)) => {
                connection.break_off(error);
                true
            }
        }
    }

    fn fetch_transmit(&mut self, id: ConnId) {
        let Some(connection) = self.connections.iter_mut().find(|c| c.id == id) else { return };
        if !connection.table_drained() {
            return;
        }
        if let Some(transmission) = self.mailbox.take_transmit(connection.wants_write()) {
            connection.transmit(transmission);
        }
    }

    /// From here on this task alone writes; what is partly written comes back to it.
    pub(super) fn reclaim(&mut self, id: ConnId) {
        if let Some(connection) = self.connections.iter_mut().find(|c| c.id == id && c.table_drained())
            && let Some(transmission) = self.mailbox.take_transmit(true)
        {
            connection.transmit(transmission);
        }
    }
}
