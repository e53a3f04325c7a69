//! From the session and the table to the socket.

use std::task::{Context, Poll};

use bgp_fsm::{ConnId, Input};
use bgp_wire::{HEADER_LEN, MessageType};

use super::PeerTask;
use super::words::connection_lost;

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
                    self.handle(Input::WriteProgress(id));
                }
                if drained && self.up == Some(id) {
                    self.mailbox.give_credit();
                }
                true
            }
            Poll::Ready(Err(error)) => {
                self.lost(id, &connection_lost(&error));
                true
            }
        }
    }

    fn fetch_transmit(&mut self, id: ConnId) {
        let Some(connection) = self.connections.iter_mut().find(|c| c.id == id) else { return };
        if !connection.table_drained() {
            return;
        }
        if let Some(chunks) = self.mailbox.take_transmit() {
            for chunk in &chunks {
                let messages = Messages(chunk).count() as u64;
                self.cell.sent.count(MessageType::UPDATE, messages, chunk.len() as u64);
            }
            connection.transmit(chunks);
        }
    }
}

/// The messages of a slice from the table.
struct Messages<'a>(&'a [u8]);

impl Iterator for Messages<'_> {
    type Item = ();

    fn next(&mut self) -> Option<()> {
        let length = u16::from_be_bytes([*self.0.get(16)?, *self.0.get(17)?]);
        self.0 = self.0.get(usize::from(length).max(HEADER_LEN)..).unwrap_or_default();
        Some(())
    }
}
