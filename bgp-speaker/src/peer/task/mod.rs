//! The task of one peer: it drives the session, moves bytes, and meets the table in the mailbox.
//!
//! One poll goes round: orders, dialling, reading, timers, writing. Each part takes a bounded amount and registers its
//! own waker, so nothing is waited for while something else could be done: a full table stops the reading and not the
//! timers, and a socket that takes nothing stops the writing alone.

mod limit;
mod receive;
mod timers;
mod transmit;
mod words;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bgp_fsm::{Cause, ConnId, DownReason, Input, Negotiated, Output, Session, State, Stop};
use bgp_wire::{Codec, MessageType, Notification};
use bytes::{Bytes, BytesMut};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use self::receive::FaultLog;
use self::words::{connect_failed, connection_lost, no_answer_with_key};
use super::cell::{Drain, PeerCell, UpCell};
use super::connection::Connection;
use super::lingering::Lingering;
use super::mailbox::{Depth, Mailbox, Order};
use crate::bridge::{self, Ends, ToRib};
use crate::config::PeerConfig;
use crate::down_cause::{DownCause, TcpError};
use crate::event::Event;
use crate::session;
use crate::shared::Shared;
use crate::socket::{self, Way};
use crate::status::NegotiatedStatus;
use crate::tcp::{Guard, Key};

/// Rounds of one poll. A round reads one scratch buffer at most; after a few the task lets others run.
const ROUNDS: usize = 4;
/// The length of a ROUTE-REFRESH without filters (RFC 2918 §3): a flood of them fills the mailbox as UPDATEs do.
const REFRESH_OCTETS: usize = 23;
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
    /// Since when the timers that are being fired are due.
    firing: Option<Duration>,
    /// The task ends once nothing is left to say.
    stopping: bool,
    /// The OPEN says that we have restarted (RFC 4724 §3).
    restarting: bool,
    /// Until when its routes are kept for its return.
    kept_until: Option<Duration>,
    /// What was agreed on in the last session whose routes may be kept, and where it was.
    kept: Option<Box<(Negotiated, Ends)>>,
    /// How long its routes are kept for its return, as it said itself (RFC 4724 §3, RFC 9494 §3.1).
    keep_time: Duration,
    /// The session ended for a limit; until when there is no other, or for good until it is cleared.
    held: Option<Option<Duration>>,
    faults: FaultLog,
    /// What TCP said of the connection that the session hears about now.
    tcp_error: Option<TcpError>,
}

impl PeerTask {
    pub(crate) fn new(shared: Arc<Shared>, cell: Arc<PeerCell>, mailbox: Arc<Mailbox>, seed: u64) -> Self {
        let way = way(&shared, &cell.config());
        let restarting = shared.is_restarting();
        Self {
            session: Session::new(
                shared.share(session::config(&shared, &shared.us(), &cell.config(), restarting)),
                seed,
            ),
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
            firing: None,
            stopping: false,
            restarting,
            kept_until: None,
            kept: None,
            keep_time: Duration::ZERO,
            held: None,
            faults: FaultLog::default(),
            tcp_error: None,
        }
    }

    /// Begins, with the key that the peer is to have; to be called once, before the first poll.
    pub(crate) fn start(&mut self, key: Option<Key>) {
        self.way.guard.key = key;
        match self.cell.drain() {
            Drain::Done => self.stay_drained(),
            Drain::No | Drain::Leaving => self.handle(Input::Start),
        }
    }

    fn handle(&mut self, input: Input<'_>) {
        self.session.handle(self.shared.now(), input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Connect => self.dial = Some(Box::pin(socket::dial(self.way.clone()))),
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
            if kind == MessageType::KEEPALIVE && connection.keepalive_due.is_none() {
                connection.keepalive_due = self.firing;
            }
            connection.send(bytes);
        }
    }

    fn close(&mut self, conn: ConnId) {
        if self.up == Some(conn) {
            self.reclaim(conn);
        }
        if let Some(at) = self.connections.iter().position(|c| c.id == conn) {
            let (stream, words) = self.connections.swap_remove(at).into_last_words();
            self.lingering.add(stream, words, self.shared.now());
        }
    }

    fn event(&mut self, event: bgp_fsm::Event) {
        let peer = self.cell.address;
        match event {
            bgp_fsm::Event::StateChanged { from, to } => {
                tracing::debug!(%peer, %from, %to, "session state");
                self.cell.state_changed(to);
                self.shared.emit(Event::PeerState { peer, from, to });
            }
            bgp_fsm::Event::Established(conn, negotiated) => self.established(conn, &negotiated),
            bgp_fsm::Event::Refresh(refresh) => {
                self.batch.push(ToRib::Refresh(refresh));
                self.batch_octets += REFRESH_OCTETS;
                self.flush_batch();
            }
            bgp_fsm::Event::Down(reason) => {
                self.flush_batch();
                self.up = None;
                self.mailbox.end(bridge::down(&reason));
                if reason.retain {
                    self.keep_until(self.shared.now().checked_add(self.keep_time));
                }
                self.ended(&reason, true);
            }
            bgp_fsm::Event::ForwardingLost => {
                self.keep_until(None);
                self.mailbox.end(bridge::forwarding_lost());
            }
            // A second connection that came to nothing is no news of a session that is up.
            bgp_fsm::Event::AttemptFailed(reason) if self.up.is_none() => self.ended(&reason, false),
            _ => {}
        }
    }

    fn keep_until(&mut self, until: Option<Duration>) {
        self.kept_until = until;
        self.cell.keep_until(until);
    }

    fn ended(&self, reason: &DownReason, was_up: bool) {
        let peer = self.cell.address;
        if let Some(sent) = reason.sent() {
            self.cell.notification(true, sent);
        }
        if let Some(received) = reason.received() {
            self.cell.notification(false, received);
        }
        self.cell.set_unsent(None);
        let (cause, retain) = (DownCause::of(reason, self.tcp_error), reason.retain);
        let reason = match (&reason.cause, &self.way.guard.key) {
            (Cause::ConnectTimedOut, Some(key)) => no_answer_with_key(reason, key),
            _ => reason.to_string(),
        };
        if self.cell.down(&reason) {
            tracing::info!(%peer, %reason, "session ended");
        }
        self.shared.emit(Event::PeerDown { peer, cause, reason, retained: was_up && retain });
    }

    fn established(&mut self, conn: ConnId, negotiated: &Negotiated) {
        let Some(connection) = self.connections.iter_mut().find(|c| c.id == conn) else { return };
        // The tables know whether AIGP counts on this session, and that may change while it goes on.
        connection.codec = Codec { external_aigp: true, ..negotiated.codec };
        set_user_timeout(connection, &self.cell.config(), negotiated.hold_time);
        let (local, remote) = (connection.local, connection.remote);
        let peer = self.cell.address;
        self.up = Some(conn);
        if self.cell.is_dynamic() {
            self.shared.came_through_range();
        }
        self.keep_until(None);
        let restart = negotiated.graceful_restart.as_ref();
        let long_lived = negotiated.long_lived.iter().flatten().map(|row| row.stale_time).max();
        let keep_seconds = restart.map_or(0, |r| u64::from(r.time)) + long_lived.map_or(0, u64::from);
        self.keep_time = Duration::from_secs(keep_seconds);
        self.cell.up(UpCell {
            asn: negotiated.peer_as,
            router_id: negotiated.peer_router_id,
            kind: negotiated.kind,
            awaited: restart.is_some_and(|r| !r.restarting),
            says_end: restart.is_some(),
            status: negotiated_status(negotiated, local, remote),
        });
        let (ends, leaving) = (Ends { local: local.ip(), remote: peer.ip() }, self.is_leaving());
        self.kept = (keep_seconds > 0).then(|| Box::new((negotiated.clone(), ends)));
        self.mailbox.begin(bridge::up(negotiated, &self.cell.config(), ends, leaving));
        tracing::info!(%peer, asn = %negotiated.peer_as, "session established");
        self.shared.emit(Event::PeerUp { peer });
    }

    // Orders, dialling, accepting.

    fn take_orders(&mut self) -> bool {
        let stop = match self.mailbox.take_order() {
            Some(Order::Stop(stop)) => stop,
            Some(Order::Hold(why)) => {
                self.hold_drained(why);
                return true;
            }
            Some(Order::Rekey(key)) => {
                self.rekey(key);
                return true;
            }
            Some(Order::Reset(why)) => {
                self.begin_anew(why);
                return true;
            }
            Some(Order::Resign(key)) => {
                self.resign(key);
                return true;
            }
            None => return false,
        };
        let silent = matches!(stop, Stop::Silent);
        self.handle(Input::Stop(stop));
        self.dial = None;
        self.held = None;
        self.stopping = true;
        if silent {
            self.lingering.clear();
        }
        true
    }

    /// Takes up a changed configuration, as deep as it goes.
    fn take_configuration(&mut self) -> bool {
        let Some(depth) = self.mailbox.take_reconfigured() else { return false };
        let config = self.cell.config();
        let key = self.way.guard.key.take();
        self.way = way(&self.shared, &config);
        self.way.guard.key = key;
        self.configure(&config);
        self.cell.set_keepalive(config.options.timers.keepalive);
        let hold_time = self.session.negotiated().map(|negotiated| negotiated.hold_time);
        if let Some(hold_time) = hold_time
            && let Some(connection) = self.connections.iter().find(|c| self.up == Some(c.id))
        {
            set_user_timeout(connection, &config, hold_time);
        }
        if self.stopping {
            return true;
        }
        match (depth, self.up) {
            (Depth::Configuration, None) => {}
            (Depth::Attempt | Depth::Session, None) if self.cell.drain() == Drain::Done => {}
            (Depth::Configuration | Depth::Attempt, Some(conn)) => self.tell_change(conn, &config),
            (Depth::Session, Some(_)) => self.handle(Input::Reset(Notification::cease_config_change())),
            (Depth::Attempt | Depth::Session, None) => {
                self.handle(Input::Stop(Stop::Notify(Notification::cease_config_change())));
                self.dial = None;
                self.release();
                self.handle(Input::Start);
            }
        }
        if self.up.is_none() && self.kept_until.is_some() {
            self.tell_change_of_kept(&config);
        }
        true
    }

    /// Ends the session, or the attempts to have one, and begins anew; what is held down stays so.
    fn begin_anew(&mut self, why: Notification) {
        if self.stopping || self.held.is_some() {
        } else if self.up.is_some() {
            self.handle(Input::Reset(why));
        } else {
            self.handle(Input::Stop(Stop::Notify(why)));
            self.dial = None;
            self.handle(Input::Start);
        }
    }

    /// Takes one of each thing that the supervisor may have left, and what the tables found about limits.
    fn answer_call(&mut self) -> bool {
        if !self.mailbox.is_called() {
            return false;
        }
        let mut progress = self.take_orders();
        progress |= self.take_configuration();
        progress |= self.take_bfd();
        progress |= self.take_limits();
        progress |= self.take_accepted();
        if progress {
            self.mailbox.look_again();
        }
        progress
    }

    fn take_bfd(&mut self) -> bool {
        let Some(state) = self.mailbox.take_bfd() else { return false };
        if !self.stopping {
            self.handle(Input::Bfd(state));
        }
        true
    }

    /// The tables hear of another configuration of the session that is up.
    fn tell_change(&mut self, conn: ConnId, config: &PeerConfig) {
        self.flush_batch();
        let connection = self.connections.iter().find(|c| c.id == conn);
        if let (Some(negotiated), Some(connection)) = (self.session.negotiated(), connection) {
            let ends = Ends { local: connection.local.ip(), remote: self.cell.address.ip() };
            let change = bridge::change(negotiated, config, ends, self.is_leaving());
            self.mailbox.put(std::iter::once(change), 0);
        }
    }

    /// The tables hear of another configuration of a peer whose routes are kept for its return.
    fn tell_change_of_kept(&mut self, config: &PeerConfig) {
        let Some((negotiated, ends)) = self.kept.as_deref() else { return };
        let change = bridge::change(negotiated, config, *ends, self.is_leaving());
        self.mailbox.put(std::iter::once(change), 0);
    }

    /// What is told says that it is about to go (RFC 8326).
    fn is_leaving(&self) -> bool {
        self.cell.drain() != Drain::No || self.shared.is_leaving()
    }

    fn configure(&mut self, config: &PeerConfig) {
        self.restarting = self.is_restarting();
        let (shared, us) = (&self.shared, self.shared.us());
        self.session.configure(shared.share(session::config(shared, &us, config, self.restarting)));
    }

    fn is_restarting(&self) -> bool {
        self.shared.is_restarting() && !self.cell.has_recovered()
    }

    /// What is on the way meanwhile is lost as if the wire had dropped it, and TCP sends it again: the session outlives the
    /// change if the peer follows within the hold time.
    fn rekey(&mut self, key: Key) {
        let former = self.way.guard.key.replace(key);
        let address = self.way.remote.ip();
        let unsigned =
            |c: &Connection| Some((c.id, self.way.guard.sign(&c.stream, address, former.as_ref()).err()?));
        let refused: Vec<_> = self.connections.iter().filter_map(unsigned).collect();
        for (id, error) in refused {
            self.lost(id, &connection_lost(&error), Some(&error));
        }
        // An attempt with the former password waits for an answer that may never come.
        if self.dial.is_some() {
            self.dial = Some(Box::pin(socket::dial(self.way.clone())));
        }
    }

    /// Ends what is there as it was begun, so that the peer hears why; the next session is signed otherwise.
    fn resign(&mut self, key: Option<Key>) {
        let why = Notification::cease_config_change();
        match self.up {
            Some(_) => self.handle(Input::Reset(why)),
            None => self.handle(Input::Stop(Stop::Notify(why))),
        }
        self.dial = None;
        self.way.guard.key = key;
    }

    fn poll_dial(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(dial) = &mut self.dial else { return false };
        let Poll::Ready(result) = dial.as_mut().poll(cx) else { return false };
        self.dial = None;
        match result.and_then(|stream| self.connection(stream)) {
            Ok(conn) => self.handle(Input::Connected(conn)),
            Err(error) => {
                self.tcp_error = Some((&error).into());
                self.handle(Input::ConnectFailed(&connect_failed(&error)));
                self.tcp_error = None;
            }
        }
        true
    }

    fn take_accepted(&mut self) -> bool {
        let Some(stream) = self.mailbox.take_accepted() else { return false };
        if self.stopping {
            return true;
        }
        if self.held.is_some() {
            self.reject(stream);
            return true;
        }
        match socket::adopt(&stream, &self.way).and_then(|()| self.connection(stream)) {
            Ok(conn) => self.handle(Input::Accepted(conn)),
            Err(error) => {
                let peer = self.cell.address;
                tracing::info!(%peer, %error, "connection refused");
            }
        }
        true
    }

    /// A connection of a peer that is held down (RFC 4486 §4, subcode 5): it hears that there is no use in trying at once.
    fn reject(&mut self, stream: TcpStream) {
        let mut words = BytesMut::new();
        Notification::cease_rejected().encode(&mut words);
        self.lingering.add(Arc::new(stream), [words.freeze()].into(), self.shared.now());
    }

    fn connection(&mut self, stream: TcpStream) -> io::Result<ConnId> {
        // Its OPEN says what is true now.
        if self.restarting != self.is_restarting() {
            self.configure(&self.cell.config());
        }
        let id = ConnId(self.next_connection);
        self.next_connection = self.next_connection.wrapping_add(1);
        self.connections.push(Connection::new(id, stream)?);
        Ok(id)
    }

    /// Nothing is left that this task could be for.
    fn finished(&mut self) -> bool {
        let idle = self.connections.is_empty() && self.dial.is_none();
        if self.stopping {
            return idle && self.lingering.is_empty();
        }
        // A peer that came through a listen range goes when its session is gone and nothing is kept for its return.
        if !self.cell.is_dynamic() || !idle || self.next_connection == 0 || self.held.is_some() {
            return false;
        }
        self.kept_until.is_none() && self.lingering.is_empty() && self.mailbox.retire_if_unused()
    }
}

impl Future for PeerTask {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.mailbox.register(cx);
        for _ in 0..ROUNDS {
            // What is taken may leave more of its kind behind, which the next round takes.
            let mut progress = this.answer_call();
            progress |= this.poll_dial(cx);
            progress |= this.poll_reads(cx);
            progress |= this.poll_timers(cx);
            progress |= this.poll_writes(cx);
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

fn set_user_timeout(connection: &Connection, config: &PeerConfig, hold_time: Duration) {
    // Not every system knows this option; hold and send-hold timers find a dead peer without it.
    let _ = socket::set_user_timeout(&connection.stream, config.options.timers.user_timeout_for(hold_time));
}

/// How a peer with this configuration is reached.
fn way(shared: &Shared, config: &PeerConfig) -> Way {
    let (options, us) = (&config.options, shared.us());
    Way {
        remote: SocketAddr::new(config.address, config.port),
        source: us.source(config),
        ttl: options.ttl_for(&config.peer_as, config.class, us.asn),
        guard: Guard { key: None, hops: options.ttl_security, interface: options.interface.clone() },
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
        extended_message: negotiated.codec.extended_message_tx,
        route_refresh: negotiated.route_refresh,
        enhanced_refresh: negotiated.enhanced_refresh,
        add_path_receive: negotiated.codec.add_path_rx,
        add_path_send: negotiated.codec.add_path_tx,
        extended_next_hop: negotiated.codec.extended_next_hop,
        peer_role: negotiated.peer_role,
        notification_restart: negotiated.notification_restart,
        long_lived: (negotiated.long_lived.iter().flatten())
            .map(|row| (row.family, Duration::from_secs(u64::from(row.stale_time))))
            .collect(),
        graceful_restart: (negotiated.graceful_restart.as_ref())
            .map(|restart| Duration::from_secs(u64::from(restart.time))),
    }
}
