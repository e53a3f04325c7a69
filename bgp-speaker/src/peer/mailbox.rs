//! Where a peer's task, the table's task and the supervisor leave things for each other. Everything in it is bounded: one
//! order of each kind, a few accepted sockets, one transmission, and as many octets of UPDATEs as [`Mailbox::room`] allows.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Context;

use bgp_fsm::{Bfd, Stop};
use bgp_wire::{Family, FamilySet, MessageType, Notification, RouteRefresh};
use bytes::Bytes;
use futures::task::AtomicWaker;
use tokio::net::TcpStream;

use super::cell::{Drain, PeerCell};
use super::connection::Transmission;
use crate::bridge::ToRib;
use crate::door::{Door, Work};
use crate::shared::lock;
use crate::tcp::Key;

/// Octets of UPDATEs of one peer that may wait for the table: one reading of its socket, which is one turn of the table.
const PEER_OCTETS: usize = 64 * 1024;
/// Octets of UPDATEs of all peers that may wait before each is held to [`SMALL_PEER_OCTETS`]: with ten thousand peers that
/// speak at once, memory stays in the tens of megabytes.
const SPEAKER_OCTETS: usize = 16 * 1024 * 1024;
/// What one peer may have waiting when the speaker as a whole is behind: one message of classic size.
const SMALL_PEER_OCTETS: usize = 4096;
/// Octets of a transmission that the table's task writes itself: a message of classic size, which a socket that has nothing
/// else to take has room for.
const AT_ONCE: usize = 4096;
/// Accepted connections that may wait for the task: RFC 4271 §6.8 knows of one; one more covers a peer that gave the first up.
const ACCEPTED: usize = 2;

/// News of BFD that may wait for the task. Which of them it is that ended a session does not matter to it: what is missed
/// beyond this is another Up between two Downs.
const BFD_NEWS: usize = 4;

/// What the supervisor wants of a peer's task.
#[derive(Debug)]
pub(crate) enum Order {
    /// End the session in this way, then the task.
    Stop(Stop),
    /// End the session with this, and have no other until the peer is resumed.
    Hold(Notification),
    /// End the session with this, and begin anew.
    Reset(Notification),
    /// Sign with this from now on, on the connections that are there as well.
    Rekey(Key),
    /// End the session, and sign with this, or no more, from the next one on. A changed configuration follows.
    Resign(Option<Key>),
}

/// How deep a changed configuration goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Depth {
    /// It is taken up; nothing else happens.
    Configuration,
    /// There is no session, and the way to one begins anew.
    Attempt,
    /// The session ends and begins anew.
    Session,
}

/// Bytes for the peer, and whether the table has more.
#[derive(Debug)]
pub(crate) struct Deposit {
    pub(crate) chunks: Vec<Bytes>,
    pub(crate) more: bool,
}

/// Its layout puts the lock and what [`Hot`] holds into one cache line: a change that goes to thousands of idle peers is a
/// cold miss for each line of each of them.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Mailbox {
    state: Mutex<State>,
    pub(crate) cell: Arc<PeerCell>,
    door: Arc<Door>,
    /// The supervisor, or the tables besides routes, have left something. It saves the task a look for each thing with each message of the peer.
    called: AtomicBool,
    waker: AtomicWaker,
}

#[derive(Debug, Default)]
#[repr(C)]
struct State {
    hot: Hot,
    // For the peer's task.
    // One of each kind: none makes another void.
    stop: Option<Stop>,
    resign: Option<Option<Key>>,
    rekey: Option<Key>,
    hold: Option<Notification>,
    reset: Option<Notification>,
    reconfigured: Option<Depth>,
    bfd: VecDeque<Bfd>,
    accepted: VecDeque<TcpStream>,
    /// A limit was passed for which the session is to end, in these words.
    exceeded: Option<Notification>,
    /// The hold after a limit is to end.
    cleared: bool,
    /// Families of which the peer is to be asked for everything again.
    refresh: FamilySet,
    // For the table's task.
    inputs: VecDeque<(u32, ToRib)>,
    octets: usize,
    queued: bool,
    retired: bool,
    /// The peer's task has stopped reading and waits for room.
    starved: bool,
}

/// What a transmission that is written at once touches.
#[derive(Debug, Default)]
struct Hot {
    /// Which of the peer's sessions the rest belongs to.
    session: u32,
    /// The peer's task can write.
    credit: bool,
    /// The table has more for the peer.
    more: bool,
    transmit: Option<Transmission>,
    /// The connection while its owner has nothing to write. Whoever writes to it then holds the lock on this, so that
    /// messages never mix.
    idle: Option<Arc<TcpStream>>,
}

/// Why a socket was not handed over.
#[derive(Debug)]
pub(crate) enum Unaccepted {
    /// The task has not yet taken those before it.
    Full,
    /// The task has ended; the socket is there for another.
    Retired(TcpStream),
}

/// What the table's task finds in a mailbox.
pub(crate) struct Visit {
    pub(crate) inputs: VecDeque<(u32, ToRib)>,
    pub(crate) retired: bool,
}

impl Mailbox {
    pub(crate) fn new(cell: Arc<PeerCell>, door: Arc<Door>) -> Self {
        Self {
            cell,
            door,
            state: Mutex::default(),
            called: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        }
    }

    // The peer's task.

    pub(crate) fn register(&self, cx: &Context<'_>) {
        self.waker.register(cx.waker());
    }

    /// Whether the supervisor has left something since this was asked last.
    pub(crate) fn is_called(&self) -> bool {
        self.called.load(Ordering::Relaxed) && self.called.swap(false, Ordering::AcqRel)
    }

    /// There may be more than was taken.
    pub(crate) fn look_again(&self) {
        self.called.store(true, Ordering::Release);
    }

    pub(crate) fn take_order(&self) -> Option<Order> {
        let mut state = lock(&self.state);
        let stop = state.stop.take().map(Order::Stop);
        let resign = |state: &mut State| state.resign.take().map(Order::Resign);
        let rekey = |state: &mut State| state.rekey.take().map(Order::Rekey);
        let hold = |state: &mut State| state.hold.take().map(Order::Hold);
        let reset = |state: &mut State| state.reset.take().map(Order::Reset);
        stop.or_else(|| resign(&mut state))
            .or_else(|| rekey(&mut state))
            .or_else(|| hold(&mut state))
            .or_else(|| reset(&mut state))
    }

    /// The configuration in the cell has changed.
    pub(crate) fn take_reconfigured(&self) -> Option<Depth> {
        lock(&self.state).reconfigured.take()
    }

    pub(crate) fn take_bfd(&self) -> Option<Bfd> {
        lock(&self.state).bfd.pop_front()
    }

    /// The session is to end for a limit.
    pub(crate) fn take_exceeded(&self) -> Option<Notification> {
        lock(&self.state).exceeded.take()
    }

    /// The hold after a limit is to end.
    pub(crate) fn take_cleared(&self) -> bool {
        std::mem::take(&mut lock(&self.state).cleared)
    }

    /// Families of which the peer is to be asked for everything again.
    pub(crate) fn take_refresh(&self) -> FamilySet {
        std::mem::replace(&mut lock(&self.state).refresh, FamilySet::empty())
    }

    pub(crate) fn take_accepted(&self) -> Option<TcpStream> {
        lock(&self.state).accepted.pop_front()
    }

    /// A session begins: what the table has for an earlier one is void, and there is room to write.
    pub(crate) fn begin(self: &Arc<Self>, up: ToRib) {
        let mut state = lock(&self.state);
        state.hot.session += 1;
        state.hot.transmit = None;
        state.hot.idle = None;
        state.exceeded = None;
        state.refresh = FamilySet::empty();
        state.hot.credit = true;
        state.hot.more = false;
        let session = state.hot.session;
        state.inputs.push_back((session, up));
        self.enqueue(state);
    }

    /// A session ends.
    pub(crate) fn end(self: &Arc<Self>, down: ToRib) {
        let mut state = lock(&self.state);
        let session = state.hot.session;
        state.hot.session += 1;
        state.hot.transmit = None;
        state.hot.idle = None;
        state.hot.credit = false;
        state.inputs.push_back((session, down));
        self.enqueue(state);
    }

    /// How many octets of UPDATEs may be put in now; if none, the task is woken when there is room again.
    pub(crate) fn room(&self) -> usize {
        let limit = if self.door.waiting() > SPEAKER_OCTETS { SMALL_PEER_OCTETS } else { PEER_OCTETS };
        let mut state = lock(&self.state);
        let room = limit.saturating_sub(state.octets);
        state.starved = room == 0;
        room
    }

    /// Puts in what the session received. The caller has asked for room before it read; one reading may exceed it.
    pub(crate) fn put(self: &Arc<Self>, inputs: impl Iterator<Item = ToRib>, octets: usize) {
        let mut state = lock(&self.state);
        let session = state.hot.session;
        state.inputs.extend(inputs.map(|i| (session, i)));
        state.octets += octets;
        self.door.add_waiting(octets);
        self.enqueue(state);
    }

    /// What the table has left; with it, or if the task has something to write itself, the connection is the task's alone.
    pub(crate) fn take_transmit(&self, writes: bool) -> Option<Transmission> {
        let mut state = lock(&self.state);
        let transmit = state.hot.transmit.take();
        if writes || transmit.is_some() {
            state.hot.idle = None;
        }
        transmit
    }

    /// With `credit` everything taken has been written; with a connection there is nothing at all to write to it.
    pub(crate) fn rest(self: &Arc<Self>, credit: bool, idle: Option<Arc<TcpStream>>) {
        let mut state = lock(&self.state);
        state.hot.idle = idle;
        if credit {
            state.hot.credit = true;
            if std::mem::take(&mut state.hot.more) {
                self.enqueue(state);
            }
        }
    }

    /// The task has ended: nothing more comes from this peer, and its id may be given away once the table has forgotten it.
    pub(crate) fn retire(self: &Arc<Self>) {
        self.retire_state(lock(&self.state));
    }

    /// The same for a task that has nothing left to do, unless a connection has come meanwhile; whether it is retired.
    pub(crate) fn retire_if_unused(self: &Arc<Self>) -> bool {
        let state = lock(&self.state);
        let unused = state.accepted.is_empty();
        if unused {
            self.retire_state(state);
        }
        unused
    }

    fn retire_state(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        // The table hears of it once: the id may be another peer's soon.
        if std::mem::replace(&mut state.retired, true) {
            return;
        }
        state.hot.credit = false;
        state.hot.transmit = None;
        state.hot.idle = None;
        state.accepted.clear();
        self.enqueue(state);
    }

    fn enqueue(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        if !std::mem::replace(&mut state.queued, true) {
            drop(state);
            self.door.push(Work::Peer(self.clone()));
        }
    }

    // The supervisor.

    fn call(&self) {
        self.called.store(true, Ordering::Release);
        self.waker.wake();
    }

    pub(crate) fn order(&self, order: Order) {
        let mut state = lock(&self.state);
        match order {
            Order::Stop(stop) => state.stop = Some(stop),
            Order::Rekey(key) => state.rekey = Some(key),
            // What was to be used on the session before is void.
            Order::Resign(key) => (state.resign, state.rekey) = (Some(key), None),
            Order::Hold(why) => state.hold = Some(why),
            Order::Reset(why) => state.reset = Some(why),
        }
        drop(state);
        self.call();
    }

    /// Tells that the configuration in the cell has changed. What was told before and not yet heard is part of it.
    pub(crate) fn reconfigure(&self, depth: Depth) {
        let mut state = lock(&self.state);
        state.reconfigured = state.reconfigured.max(Some(depth));
        drop(state);
        self.call();
    }

    /// Tells what BFD says; the last word is never lost.
    pub(crate) fn tell_bfd(&self, bfd: Bfd) {
        self.cell.set_bfd(bfd);
        let mut state = lock(&self.state);
        if state.bfd.len() >= BFD_NEWS {
            state.bfd.pop_back();
        }
        state.bfd.push_back(bfd);
        drop(state);
        self.call();
    }

    /// Takes the peer out of use, step by step, or back.
    pub(crate) fn drain(&self, drain: Drain) {
        let before = self.cell.drain();
        self.cell.set_drain(drain);
        match drain {
            // A drain that was called off meanwhile goes no further.
            Drain::Done if before == Drain::No => self.cell.set_drain(Drain::No),
            Drain::Done => self.order(Order::Hold(Notification::cease_shutdown("drained"))),
            Drain::Leaving => self.reconfigure(Depth::Configuration),
            Drain::No => {
                if before == Drain::Done {
                    self.clear_limit();
                }
                // The session is still there if the task has not heard yet that it was to end.
                self.reconfigure(Depth::Configuration);
            }
        }
    }

    /// Has the peer asked for everything of these families again, and tells it everything of those once more.
    pub(crate) fn refresh_soft(self: &Arc<Self>, received: FamilySet, told: FamilySet) {
        let mut state = lock(&self.state);
        state.refresh = received.iter().chain(state.refresh.iter()).collect();
        drop(state);
        self.put(told.iter().map(|family| ToRib::Refresh(RouteRefresh::request(family))), 0);
        self.call();
    }

    /// Ends the hold after a limit.
    pub(crate) fn clear_limit(&self) {
        lock(&self.state).cleared = true;
        self.call();
    }

    /// Hands over an accepted socket.
    pub(crate) fn accepted(&self, stream: TcpStream) -> Result<(), Unaccepted> {
        let mut state = lock(&self.state);
        if state.retired {
            return Err(Unaccepted::Retired(stream));
        }
        if state.accepted.len() >= ACCEPTED {
            return Err(Unaccepted::Full);
        }
        state.accepted.push_back(stream);
        drop(state);
        self.call();
        Ok(())
    }

    // The table's task.

    pub(crate) fn visit(&self) -> Visit {
        let mut state = lock(&self.state);
        state.queued = false;
        let inputs = std::mem::take(&mut state.inputs);
        let octets = std::mem::take(&mut state.octets);
        let starved = std::mem::take(&mut state.starved);
        let retired = state.retired;
        drop(state);
        self.door.sub_waiting(octets);
        if starved {
            self.waker.wake();
        }
        Visit { inputs, retired }
    }

    /// Ends a session for a limit.
    pub(crate) fn exceeded(&self, session: u32, why: Notification) {
        let mut state = lock(&self.state);
        if state.hot.session == session {
            state.exceeded = Some(why);
            drop(state);
            self.call();
        }
    }

    /// Has the peer asked for everything of a family again.
    pub(crate) fn refresh(&self, session: u32, family: Family) {
        let mut state = lock(&self.state);
        if state.hot.session == session {
            state.refresh.insert(family);
            drop(state);
            self.call();
        }
    }

    /// Takes the peer's word that it can write. If it cannot, it comes back when it can.
    pub(crate) fn claim_credit(&self, session: u32) -> bool {
        let mut state = lock(&self.state);
        if state.hot.session != session {
            return false;
        }
        let credit = std::mem::take(&mut state.hot.credit);
        state.hot.more = !credit;
        credit
    }

    /// Answers a claimed credit. With `at_once`, little for a connection that has nothing else to take is written here and now:
    /// that costs a fraction of waking the peer's task for it. Whether it was.
    pub(crate) fn deposit(&self, session: u32, deposit: Deposit, at_once: bool) -> bool {
        let mut state = lock(&self.state);
        if state.hot.session != session {
            return false;
        }
        if deposit.chunks.is_empty() {
            state.hot.credit = true;
            return false;
        }
        let mut transmission = Transmission::from(deposit.chunks);
        let octets = transmission.len();
        self.cell.sent.count(MessageType::UPDATE, transmission.messages() as u64, octets as u64);
        let at_once = at_once && !deposit.more && octets <= AT_ONCE;
        if at_once && let Some(stream) = &state.hot.idle {
            match transmission.write_to(stream) {
                None => {
                    state.hot.credit = true;
                    return true;
                }
                Some(rest) => transmission = rest,
            }
        }
        state.hot.transmit = Some(transmission);
        state.hot.more = deposit.more;
        drop(state);
        self.waker.wake();
        false
    }
}

#[cfg(test)]
mod tests {
    use bgp_rib::PeerId;
    use bgp_wire::Asn;

    use super::*;
    use crate::config::PeerConfig;

    /// The task may not have heard yet that the session was to end: then it goes on, and is not to be told as leaving.
    #[test]
    fn a_peer_that_is_resumed_right_after_its_drain_is_looked_at_again() {
        let config = Arc::new(PeerConfig::new([192, 0, 2, 1].into(), Asn(65000)));
        let cell = Arc::new(PeerCell::new(PeerId(1), config, Asn(65000), false));
        let mailbox = Mailbox::new(cell.clone(), Arc::default());
        mailbox.drain(Drain::Leaving);
        assert_eq!(mailbox.take_reconfigured(), Some(Depth::Configuration));
        mailbox.drain(Drain::Done);
        mailbox.drain(Drain::No);
        assert_eq!(cell.drain(), Drain::No);
        assert_eq!(mailbox.take_reconfigured(), Some(Depth::Configuration), "it is no longer leaving");
        assert!(mailbox.take_cleared(), "and is not held either");
    }
}
