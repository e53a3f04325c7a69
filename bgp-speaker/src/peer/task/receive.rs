//! From the socket to the session and the table.

use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use bgp_fsm::{ConnId, Input};
use bgp_wire::{Codec, Fault, Message, MessageType, Reaction, Update};
use bytes::{Buf, Bytes};

use super::PeerTask;
use super::words::connection_lost;
use crate::bridge::ToRib;
use crate::down_cause::TcpError;
use crate::event::Event;
use crate::peer::connection::with_scratch;

/// Malformed UPDATEs are told one by one until there are too many of them.
#[derive(Debug, Default)]
pub(super) struct FaultLog {
    last: Option<Duration>,
    silenced: u64,
}

/// One telling a second and peer: a peer that sends nothing else cannot fill the log.
const FAULT_INTERVAL: Duration = Duration::from_secs(1);

impl PeerTask {
    pub(super) fn poll_reads(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progress = false;
        let ids: [Option<ConnId>; 4] = std::array::from_fn(|i| self.connections.get(i).map(|c| c.id));
        for id in ids.into_iter().flatten() {
            progress |= self.poll_read(cx, id);
        }
        progress
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, id: ConnId) -> bool {
        if self.up == Some(id) && self.mailbox.room() == 0 {
            return false;
        }
        with_scratch(|scratch| {
            let Some(connection) = self.connections.iter_mut().find(|c| c.id == id) else { return false };
            match connection.poll_read(cx, scratch) {
                Poll::Pending => return false,
                Poll::Ready(Ok(Some(n))) => self.consume(id, scratch.get(..n).unwrap_or_default()),
                Poll::Ready(end) => match connection.broken().or(end.err()) {
                    Some(error) => self.lost(id, &connection_lost(&error), Some(&error)),
                    None => self.lost(id, "Connection closed by the peer", None),
                },
            }
            true
        })
    }

    /// Handles every whole message in `data` and keeps the rest.
    fn consume(&mut self, id: ConnId, data: &[u8]) {
        let mut rest = data;
        // Made when the first UPDATE asks for it: the UPDATEs of one reading share one piece of memory, keepalives need none.
        let mut shared: Option<Bytes> = None;
        while let Some(connection) = self.connections.iter_mut().find(|c| c.id == id) {
            let codec = connection.codec;
            let frame = match codec.frame(rest) {
                Ok(Some(frame)) => frame,
                Ok(None) => {
                    connection.keep(rest);
                    break;
                }
                Err(notification) => {
                    self.handle(Input::DecodeError(id, notification));
                    break;
                }
            };
            let Some(after) = rest.get(frame.len..) else { break };
            self.cell.received.count(frame.kind, 1, frame.len as u64);
            if frame.kind == MessageType::KEEPALIVE {
                self.handle(Input::Message(id, &Message::KeepAlive));
            } else {
                let shared = shared.get_or_insert_with(|| Bytes::copy_from_slice(rest));
                self.message(id, codec, &shared.split_to(frame.len.min(shared.len())));
            }
            // A keepalive between UPDATEs is part of the shared piece too.
            if frame.kind == MessageType::KEEPALIVE
                && let Some(shared) = &mut shared
            {
                shared.advance(frame.len.min(shared.len()));
            }
            rest = after;
        }
        self.flush_batch();
    }

    fn message(&mut self, id: ConnId, codec: Codec, frame: &Bytes) {
        match codec.decode(frame) {
            Ok(Message::Update(update)) => self.update(id, update, frame.len()),
            Ok(message) => {
                self.handle(Input::Message(id, &message));
                self.read_as_agreed(id);
            }
            Err(notification) => self.handle(Input::DecodeError(id, notification)),
        }
    }

    /// What comes behind the peer's OPEN is read as the two OPENs agree.
    fn read_as_agreed(&mut self, id: ConnId) {
        if let Some(agreed) = self.session.agreed(id)
            && let Some(connection) = self.connections.iter_mut().find(|c| c.id == id)
        {
            connection.codec = agreed.codec;
        }
    }

    fn update(&mut self, id: ConnId, update: Update, octets: usize) {
        self.handle(Input::Update(id));
        if self.session.established() != Some(id) {
            return;
        }
        let view = update.view();
        if view.is_malformed() {
            let faults = view.faults().filter(Fault::is_malformed).map(|f| f.to_string());
            self.tell_faults(faults.collect::<Vec<_>>().join("; "));
        } else if view.outcome() > Reaction::Accept {
            // What the standard says to pass over is everyday, and none of the operator's business.
            let peer = self.cell.address;
            let ignored = || view.faults().map(|f| f.to_string()).collect::<Vec<_>>().join("; ");
            tracing::trace!(%peer, ignored = ignored(), "parts of an UPDATE passed over");
        }
        self.batch.push(ToRib::Update(update));
        self.batch_octets += octets;
    }

    fn tell_faults(&mut self, faults: String) {
        let now = self.shared.now();
        if self.faults.last.is_some_and(|last| now.saturating_sub(last) < FAULT_INTERVAL) {
            self.faults.silenced += 1;
            return;
        }
        self.faults.last = Some(now);
        let silenced = std::mem::take(&mut self.faults.silenced);
        let peer = self.cell.address;
        tracing::warn!(%peer, %faults, silenced, "malformed UPDATE (RFC 7606)");
        self.shared.emit(Event::MalformedUpdate { peer, faults });
    }

    pub(super) fn lost(&mut self, id: ConnId, why: &str, error: Option<&io::Error>) {
        self.connections.retain(|c| c.id != id);
        self.tcp_error = error.map(TcpError::from);
        self.handle(Input::Closed(id, why));
        self.tcp_error = None;
    }

    pub(super) fn flush_batch(&mut self) {
        if !self.batch.is_empty() {
            let octets = std::mem::take(&mut self.batch_octets);
            self.mailbox.put(self.batch.drain(..), octets);
            // The batch of a busy moment is not kept for a quiet one.
            self.batch = Vec::new();
        }
    }
}
