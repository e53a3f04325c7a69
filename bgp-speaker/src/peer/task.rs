//! The task of one peer: it drives the session, moves bytes, and meets the table in the mailbox.
//!
//! One poll goes round: orders, dialling, reading, timers, writing. Each part takes a bounded amount and registers its
//! own waker, so nothing is waited for while something else could be done: a full table stops the reading and not the
//! timers, and a socket that takes nothing stops the writing alone.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bgp_fsm::{ConnId, DownReason, Input, Negotiated, Output, Session, SessionConfig, State, Stop};
use bgp_wire::{Codec, Message, MessageType, Reaction, Update};
use bytes::{Buf, Bytes};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::cell::{PeerCell, UpCell};
use super::connection::{Connection, with_scratch};
use super::lingering::Lingering;
use super::mailbox::{Mailbox, Order};
use crate::bridge::{self, ToRib};
use crate::event::Event;
use crate::shared::Shared;
use crate::socket::{self, Way};
use crate::status::NegotiatedStatus;

/// Rounds of one poll. A round reads one scratch buffer at most; after a few the task lets others run.
const ROUNDS: usize = 4;
/// A timer that is set to this never fires of itself.
const NEVER: Duration = Duration::MAX;

pub(crate) struct PeerTask {
    shared: Arc<Shared>,
    cell: Arc<PeerCell>,
    mailbox: Arc<Mailbox>,
    session: Session,
    way: Way,
    dial: Option<Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>>,
    connections: Vec<Connection>,
    lingering: Lingering,
    next_connection: u32,
    /// The connection that carries routes.
    up: Option<ConnId>,
    /// What one reading brought for the table.
    batch: Vec<ToRib>,
    batch_octets: usize,
    alarm: Pin<Box<Sleep>>,
    alarm_at: Duration,
    /// The task ends once nothing is left to say.
    stopping: bool,
    /// A peer that came through a listen range goes when its session is gone and nothing is kept for its return.
    dynamic: bool,
    kept_until: Option<Duration>,
    faults: FaultLog,
}

/// Malformed UPDATEs are told one by one until there are too many of them.
#[derive(Debug, Default)]
struct FaultLog {
    last: Option<Duration>,
    silenced: u64,
}

/// One telling a second and peer: a peer that sends nothing else cannot fill the log.
const FAULT_INTERVAL: Duration = Duration::from_secs(1);

impl PeerTask {
    pub(crate) fn new(
        shared: Arc<Shared>,
        cell: Arc<PeerCell>,
        mailbox: Arc<Mailbox>,
        config: SessionConfig,
        seed: u64,
        dynamic: bool,
    ) -> Self {
        let options = &cell.config.options;
        let address = cell.config.address;
        let way = Way {
            remote: SocketAddr::new(address, cell.config.port),
            source: options.source.or_else(|| shared.default_source(address)),
            ttl: options.ttl_for(&cell.config.peer_as, cell.config.class, shared.asn),
        };
        Self {
            session: Session::new(Arc::new(config), seed),
            shared,
            cell,
            mailbox,
            way,
            dial: None,
            connections: Vec::new(),
            lingering: Lingering::default(),
            next_connection: 0,
            up: None,
            batch: Vec::new(),
            batch_octets: 0,
            alarm: Box::pin(sleep_until(Instant::now())),
            alarm_at: Duration::ZERO,
            stopping: false,
            dynamic,
            kept_until: None,
            faults: FaultLog::default(),
        }
    }

    /// Begins; to be called once, before the first poll.
    pub(crate) fn start(&mut self) {
        self.handle(Input::Start);
    }

    fn handle(&mut self, input: Input<'_>) {
        self.session.handle(self.shared.now(), input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Connect => self.dial = Some(Box::pin(socket::dial(self.way))),
                Output::AbortConnect => self.dial = None,
                Output::Send(conn, bytes) => self.send(conn, bytes),
                Output::Close(conn) => self.close(conn),
                Output::Event(event) => self.event(event),
                _ => {}
            }
        }
    }

    fn send(&mut self, conn: ConnId, bytes: Bytes) {
        if let Some(connection) = self.connections.iter_mut().find(|c| c.id == conn) {
            let kind = bytes.get(18).map_or(MessageType::KEEPALIVE, |kind| MessageType(*kind));
            self.cell.sent.count(kind, 1, bytes.len() as u64);
            connection.send(bytes);
        }
    }

    fn close(&mut self, conn: ConnId) {
        if let Some(at) = self.connections.iter().position(|c| c.id == conn) {
            let mut connection = self.connections.swap_remove(at);
            // A speaker that restarts leaves no last words: an orderly end of the stream would not be wrong, but the socket
            // has to go before the process does.
            connection.flush_last_words();
            self.lingering.add(connection.into_stream(), self.shared.now());
        }
    }

    fn event(&mut self, event: bgp_fsm::Event) {
        let peer = self.cell.config.address;
        match event {
            bgp_fsm::Event::StateChanged { from, to } => {
                tracing::debug!(%peer, %from, %to, "session state");
                self.cell.state_changed(to);
                self.shared.emit(Event::PeerState { peer, from, to });
            }
            bgp_fsm::Event::Established(conn, negotiated) => self.established(conn, &negotiated),
            bgp_fsm::Event::Refresh(refresh) => {
                self.batch.push(ToRib::Refresh(refresh));
                self.flush_batch();
            }
            bgp_fsm::Event::Down(reason) => {
                self.flush_batch();
                self.up = None;
                self.mailbox.end(bridge::down(&reason));
                if reason.retain {
                    self.kept_until = self.session_return_deadline();
                }
                self.ended(&reason);
            }
            bgp_fsm::Event::AttemptFailed(reason) => self.ended(&reason),
            _ => {}
        }
    }

    /// Until when the routes of a peer that went are kept for its return.
    fn session_return_deadline(&self) -> Option<Duration> {
        let kept = self.cell.config.options.graceful_restart?;
        self.shared.now().checked_add(kept)
    }

    fn ended(&self, reason: &DownReason) {
        let peer = self.cell.config.address;
        let reason = reason.to_string();
        tracing::info!(%peer, %reason, "session ended");
        self.cell.down(reason.clone());
        self.shared.emit(Event::PeerDown { peer, reason });
    }

    fn established(&mut self, conn: ConnId, negotiated: &Negotiated) {
        let Some(connection) = self.connections.iter_mut().find(|c| c.id == conn) else { return };
        connection.codec = negotiated.codec;
        // Not every system knows this option; the hold timer finds a dead peer without it.
        let _ = socket::set_user_timeout(&connection.stream, negotiated.hold_time);
        let (local, remote) = (connection.local, connection.remote);
        let peer = self.cell.config.address;
        self.up = Some(conn);
        self.kept_until = None;
        self.cell.up(UpCell {
            asn: negotiated.peer_as,
            router_id: negotiated.peer_router_id,
            kind: negotiated.kind,
            status: negotiated_status(negotiated, local, remote),
        });
        self.mailbox.begin(bridge::up(negotiated, &self.cell.config.options, local.ip(), peer));
        tracing::info!(%peer, asn = %negotiated.peer_as, "session established");
        self.shared.emit(Event::PeerUp { peer });
    }

    // Orders, dialling, accepting.

    fn take_orders(&mut self) -> bool {
        let Some(Order::Stop(stop)) = self.mailbox.take_order() else { return false };
        let silent = matches!(stop, Stop::Silent);
        self.handle(Input::Stop(stop));
        self.dial = None;
        self.stopping = true;
        if silent {
            self.lingering.clear();
        }
        true
    }

    fn poll_dial(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(dial) = &mut self.dial else { return false };
        let Poll::Ready(result) = dial.as_mut().poll(cx) else { return false };
        self.dial = None;
        match result.and_then(|stream| self.connection(stream)) {
            Ok(conn) => self.handle(Input::Connected(conn)),
            Err(error) => self.handle(Input::ConnectFailed(&connect_error(&error))),
        }
        true
    }

    fn take_accepted(&mut self) -> bool {
        let Some(stream) = self.mailbox.take_accepted() else { return false };
        let remote = self.way.remote;
        let adopted = socket::adopt(&stream, remote, self.way.ttl).and_then(|()| self.connection(stream));
        // A connection that is broken already was none.
        if let Ok(conn) = adopted
            && !self.stopping
        {
            self.handle(Input::Accepted(conn));
        }
        true
    }

    fn connection(&mut self, stream: TcpStream) -> io::Result<ConnId> {
        let id = ConnId(self.next_connection);
        self.next_connection = self.next_connection.wrapping_add(1);
        self.connections.push(Connection::new(id, stream)?);
        Ok(id)
    }

    // Reading.

    fn poll_reads(&mut self, cx: &mut Context<'_>) -> bool {
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
                Poll::Ready(Ok(None)) => self.lost(id, "Connection closed by the peer"),
                Poll::Ready(Err(error)) => self.lost(id, &read_error(&error)),
            }
            true
        })
    }

    /// Handles every whole message in `data` and keeps the rest.
    fn consume(&mut self, id: ConnId, data: &[u8]) {
        let mut rest = data;
        // Made when the first UPDATE asks for it: the UPDATEs of one reading share one piece of memory, keepalives need none.
        let mut shared: Option<Bytes> = None;
        loop {
            let Some(connection) = self.connections.iter_mut().find(|c| c.id == id) else { break };
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
            Ok(message) => self.handle(Input::Message(id, &message)),
            Err(notification) => self.handle(Input::DecodeError(id, notification)),
        }
    }

    fn update(&mut self, id: ConnId, update: Update, octets: usize) {
        self.handle(Input::Update(id));
        if self.session.established() != Some(id) {
            return;
        }
        let view = update.view();
        if view.outcome() > Reaction::Accept {
            self.tell_faults(view.faults().map(|f| f.to_string()).collect::<Vec<_>>().join("; "));
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
        let peer = self.cell.config.address;
        tracing::warn!(%peer, %faults, silenced, "malformed UPDATE (RFC 7606)");
        self.shared.emit(Event::MalformedUpdate { peer, faults });
    }

    fn lost(&mut self, id: ConnId, why: &str) {
        self.connections.retain(|c| c.id != id);
        self.handle(Input::Closed(id, why));
    }

    fn flush_batch(&mut self) {
        if !self.batch.is_empty() {
            let octets = std::mem::take(&mut self.batch_octets);
            self.mailbox.put(self.batch.drain(..), octets);
            // The batch of a busy moment is not kept for a quiet one.
            self.batch = Vec::new();
        }
    }
}

impl PeerTask {
    // Timers.

    /// Fires what is due. A peer whose octets we have not read is not silent (see the module's head).
    fn poll_timers(&mut self, cx: &mut Context<'_>) -> bool {
        let mut fired = false;
        // Each firing moves its timer into the future; the bound is for a session that would not.
        for _ in 0..ROUNDS {
            let now = self.shared.now();
            let due = self.due();
            if due > now {
                break;
            }
            self.tell_unread(cx);
            self.handle(Input::Tick);
            fired = true;
        }
        self.arm(cx);
        fired
    }

    fn due(&self) -> Duration {
        let session = self.session.poll_timeout().unwrap_or(NEVER);
        let lingering = self.lingering.deadline().unwrap_or(NEVER);
        let kept = self.kept_until.unwrap_or(NEVER);
        session.min(lingering).min(kept)
    }

    fn tell_unread(&mut self, cx: &mut Context<'_>) {
        let unread: Vec<ConnId> = self.connections.iter().filter(|c| c.unread(cx)).map(|c| c.id).collect();
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

    // Writing.

    fn poll_writes(&mut self, cx: &mut Context<'_>) -> bool {
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
                self.lost(id, &write_error(&error));
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

    /// Nothing is left that this task could be for.
    fn finished(&mut self) -> bool {
        let idle = self.connections.is_empty() && self.dial.is_none();
        if self.stopping {
            return idle && self.lingering.is_empty();
        }
        if !self.dynamic || !idle || self.next_connection == 0 {
            return false;
        }
        let kept = self.kept_until.is_some_and(|until| until > self.shared.now());
        !kept && self.lingering.is_empty()
    }
}

impl Future for PeerTask {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.mailbox.register(cx);
        for _ in 0..ROUNDS {
            let mut progress = this.take_orders();
            progress |= this.poll_dial(cx);
            progress |= this.take_accepted();
            progress |= this.poll_reads(cx);
            progress |= this.poll_timers(cx);
            progress |= this.poll_writes(cx);
            this.lingering.poll(cx, this.shared.now());
            if this.finished() {
                return Poll::Ready(());
            }
            if !progress {
                return Poll::Pending;
            }
        }
        // Others first, then on.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for PeerTask {
    fn drop(&mut self) {
        if self.up.take().is_some() {
            self.mailbox.end(ToRib::Down(bgp_rib::Retain::Nothing));
        }
        self.cell.state_changed(State::Idle);
        self.mailbox.retire();
    }
}

/// The messages of a slice from the table.
struct Messages<'a>(&'a [u8]);

impl Iterator for Messages<'_> {
    type Item = ();

    fn next(&mut self) -> Option<()> {
        let length = u16::from_be_bytes([*self.0.get(16)?, *self.0.get(17)?]);
        self.0 = self.0.get(usize::from(length).max(bgp_wire::HEADER_LEN)..).unwrap_or_default();
        Some(())
    }
}

fn negotiated_status(negotiated: &Negotiated, local: SocketAddr, remote: SocketAddr) -> NegotiatedStatus {
    NegotiatedStatus {
        local,
        remote,
        families: negotiated.families,
        hold_time: negotiated.hold_time,
        keepalive: negotiated.keepalive,
        four_octet_as: negotiated.codec.four_octet_as,
        extended_message: negotiated.codec.extended_message,
        route_refresh: negotiated.route_refresh,
        graceful_restart: (negotiated.graceful_restart.as_ref())
            .map(|restart| Duration::from_secs(u64::from(restart.time))),
    }
}

fn connect_error(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "Connection refused: nothing listens there".into(),
        io::ErrorKind::AddrNotAvailable => "Cannot connect: the source address is not on this machine".into(),
        _ => format!("Cannot connect: {error}"),
    }
}

fn read_error(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionReset => "Connection reset by the peer".into(),
        io::ErrorKind::TimedOut => "Connection timed out".into(),
        _ => format!("Connection lost: {error}"),
    }
}

fn write_error(error: &io::Error) -> String {
    read_error(error)
}
