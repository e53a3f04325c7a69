//! The task that owns the tables. It works in turns that are bounded by the clock, which is looked at between pieces of
//! bounded work: some of those who wait at the door, a few questions, a piece of a long origination, background work of the
//! tables; then whoever has something to hear is served, and other tasks may run. What was not reached is first in its turn.

mod client;
mod peers;
mod questions;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bgp_rib::{Event as RibEvent, Input, Origination, OwnerId, PeerId, ReaderId, Rib};
use ipnet::IpNet;
use tokio::sync::{mpsc, oneshot};

use crate::barrier::Barrier;
use crate::door::{Door, Work};
use crate::event::{Event, Wait};
use crate::kernel::NextHopWatch;
use crate::next_hops::NextHops;
use crate::peer::{Mailbox, PeerCell, Visit};
use crate::peer_address::PeerAddress;
use crate::shared::Shared;
use crate::status::{PrefixCounters, TableStatus};
use crate::subscription::{ReaderSlot, ReaderWants};

pub(crate) use client::{DryRun, FilterPeers, Query, RibClient};

/// Small transmissions that one turn writes to sockets itself, at some four microseconds each; peers beyond are woken, and
/// write theirs on other threads.
const AT_ONCE: usize = 1024;
/// Small transmissions between two looks at the clock.
const SMALL: usize = 8;
/// When a turn ends: what has begun by then is finished. The largest pieces, an UPDATE of 64 KiB and a batch for an update
/// group, take some milliseconds, so that no turn takes ten.
const TURN: Duration = Duration::from_millis(4);
/// For how long a turn takes what comes in; and with the tables' own work: as much is left for what goes out.
const INTAKE: Duration = Duration::from_millis(2);
const UPKEEP: Duration = Duration::from_millis(3);
/// Who is served at the door in one turn: enough that what comes in one moment goes out in one batch.
const VISITS: usize = 4;
/// Turns of background work of the tables in one of ours, at a fraction of a millisecond each.
const TICKS: usize = 16;
/// Questions of one turn. Each is bounded by its page.
const QUESTIONS: usize = 4;
/// Originated routes of one turn: below a millisecond.
const ORIGINATED: usize = 512;
/// Octets that a peer is given at once: what a socket takes at once by default, so that little is prefetched for a slow one.
const TRANSMIT: usize = 64 * 1024;
/// How often the tables are asked for one transmission: they may go through many changes that are none of this peer's.
const ASKS: usize = 4;
/// Prefixes that a reader is given at once: a kernel batch or two.
const READ: usize = 512;
/// Paths of one page of a listing; a longer page would hold the tables up.
const PAGE: usize = 1024;
/// Questions that may wait; who asks more waits with them.
const WAITING: usize = 64;
/// How long to wait for what else comes in the same moment, where the last that was told went to [`MANY`] peers: writing to each
/// once more for it costs far more. A host that moves is withdrawn by one peer and announced by another within microseconds.
const GATHER: Duration = Duration::from_micros(100);
/// Peers that take longer to write to than [`GATHER`].
const MANY: usize = 64;
/// How often counters are copied to where `status` reads them: fresh for a person, and cheap with 10,000 peers.
const COUNTERS: Duration = Duration::from_millis(100);
/// Events that are taken, and peers whose counters are copied, between two looks at the clock: some twenty microseconds.
const AT_A_TIME: usize = 64;
/// Peers whose counters are copied in one turn: a millisecond at most.
const COUNTED: usize = 1024;
/// For how long the tables of peers are waited for where nothing hangs on it: as long as kept routes wait for End-of-RIB.
const SYNCHRONISED_AFTER: Duration = Duration::from_secs(360);
/// How often it is looked whether the tables of the peers are there: it walks all peers.
const LOOK: Duration = Duration::from_millis(250);

pub(crate) struct RibTask {
    rib: Rib,
    shared: Arc<Shared>,
    door: Arc<Door>,
    queries: mpsc::Receiver<Query>,
    peers: Vec<Option<Slot>>,
    readers: Vec<(ReaderId, Arc<ReaderSlot>)>,
    /// Long originations, piece by piece and in order.
    jobs: VecDeque<Job>,
    /// What one peer has told and the last turn had no time for.
    in_hand: Option<(Arc<Mailbox>, Visit)>,
    /// Peers that have something to hear; each is in it once.
    pending: VecDeque<PeerId>,
    /// Peers whose counters have changed since they were last copied.
    stale_counters: VecDeque<PeerId>,
    counters_at: Duration,
    /// The tables may hold more or less than was last told.
    table_changed: bool,
    /// Transmissions that this turn has written itself.
    written_at_once: usize,
    /// The same of the last turn that wrote any.
    fan_out: usize,
    /// Owners whose routes are held back, and for a time with them everybody's End-of-RIB.
    barrier: Barrier,
    recovery: Recovery,
    synchronising: Synchronising,
    /// Where the kernel's tables tell the ways to next hops.
    next_hops: NextHops,
}

/// What a restart means for our End-of-RIB: peers forward by our former routes until they hear it (RFC 4724 §4.1).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Recovery {
    /// No session has come up yet.
    Unknown,
    /// It is held back; when to look next whether the tables of the peers are there.
    GoesOn(Duration),
    Over,
}

/// Whether the tables of the peers are here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Synchronising {
    /// No session has come up yet.
    Unknown,
    /// When to look next, and when to wait no longer.
    GoesOn {
        look: Duration,
        until: Duration,
    },
    Over,
}

/// One peer as this task knows it.
struct Slot {
    mailbox: Arc<Mailbox>,
    cell: Arc<PeerCell>,
    session: u32,
    up: bool,
    /// The tables know routes or a reader of this peer.
    known: bool,
    retired: bool,
    /// It is among those that are pending.
    pending: bool,
    /// There was more for it than it could take.
    undrained: bool,
    counters_stale: bool,
    /// It left routes behind when its session ended.
    has_stale: bool,
}

enum Job {
    Originate(OwnerId, Routes, Reply),
    Withdraw(OwnerId, VecDeque<IpNet>, Reply),
    /// What the owner has announced stands.
    Ready(OwnerId, oneshot::Sender<()>),
    /// All that an owner had to say stands.
    Complete,
}

/// Routes to originate: there may be a million of them, and they are put together as they are needed.
type Routes = Box<dyn Iterator<Item = Origination> + Send>;

/// Who is told that a job is done; those before the last of a row tell nobody.
type Reply = Option<oneshot::Sender<()>>;

impl RibTask {
    pub(crate) fn new(
        rib: Rib,
        shared: Arc<Shared>,
        door: Arc<Door>,
        barrier: Barrier,
        next_hops: NextHops,
    ) -> (Self, RibClient) {
        let (sender, queries) = mpsc::channel(WAITING);
        let mut rib = rib;
        if barrier.holds() {
            rib.handle(shared.now(), Input::DeferEndOfRib(true));
            shared.set_not_ready(barrier.missing());
        }
        let client = RibClient {
            queries: sender,
            door: door.clone(),
            originations: Arc::default(),
            vrps: Arc::default(),
        };
        let task = Self {
            rib,
            shared,
            door,
            queries,
            peers: Vec::new(),
            readers: Vec::new(),
            jobs: VecDeque::new(),
            in_hand: None,
            pending: VecDeque::new(),
            written_at_once: 0,
            fan_out: 0,
            stale_counters: VecDeque::new(),
            counters_at: Duration::ZERO,
            table_changed: false,
            barrier,
            recovery: Recovery::Unknown,
            synchronising: Synchronising::Unknown,
            next_hops,
        };
        (task, client)
    }

    /// Works until the door is closed.
    pub(crate) async fn run(mut self) {
        while !self.door.is_closed() {
            if self.turn() {
                tokio::task::yield_now().await;
                continue;
            }
            let until = self.shared.instant(self.next_timeout());
            let door = self.door.clone();
            let ways = self.next_hops.watch();
            tokio::select! {
                () = door.ring() => {}
                () = news(ways.as_ref()) => {}
                Some(query) = self.queries.recv() => self.query(query),
                () = tokio::time::sleep_until(until) => {}
            }
            self.gather().await;
        }
    }

    /// Others who were woken in the same moment come to the door first: what they say goes out in the same writes.
    async fn gather(&mut self) {
        let until = self.shared.now().saturating_add(GATHER);
        tokio::task::yield_now().await;
        while self.fan_out >= MANY && !self.door.is_empty() && self.shared.now() < until {
            tokio::task::yield_now().await;
        }
    }

    /// One bounded turn; whether there is more to do at once.
    fn turn(&mut self) -> bool {
        let begun = self.shared.now();
        let more = self.work(begun);
        self.shared.turns.note(self.shared.now().saturating_sub(begun));
        more
    }

    fn work(&mut self, begun: Duration) -> bool {
        if self.written_at_once > 0 {
            self.fan_out = std::mem::take(&mut self.written_at_once);
        }
        self.take_visits(begun.saturating_add(INTAKE));
        for _ in 0..QUESTIONS {
            let Ok(query) = self.queries.try_recv() else { break };
            self.query(query);
        }
        self.work_on_job();
        let now = self.shared.now();
        self.look_after_next_hops(now);
        if self.barrier.expire(now) {
            self.tell_end_of_rib();
        }
        self.look_at_recovery(now);
        self.look_at_tables(now);
        self.keep_up(begun.saturating_add(UPKEEP));
        self.drain_events(begun.saturating_add(UPKEEP));
        // Whoever has come meanwhile is heard before thousands are written to.
        if self.in_hand.is_none() && !self.door.is_empty() {
            self.take_visits(begun.saturating_add(UPKEEP));
            self.drain_events(begun.saturating_add(UPKEEP));
        }
        self.serve_pending(begun.saturating_add(TURN));
        let eventful = !self.drain_events(begun.saturating_add(TURN));
        self.copy_counters(now, begun.saturating_add(TURN));
        let overdue = self.rib.poll_timeout().is_some_and(|due| due <= now);
        let outgoing = !self.pending.is_empty();
        let incoming = self.in_hand.is_some() || !self.jobs.is_empty() || !self.door.is_empty();
        overdue || outgoing || incoming || eventful
    }

    /// Serves those at the door, the one first whom the last turn had no time for.
    fn take_visits(&mut self, until: Duration) {
        for _ in 0..VISITS {
            match self.in_hand.take() {
                Some((mailbox, visit)) => self.hear(mailbox, visit, until),
                None => match self.door.pop() {
                    Some(Work::Peer(mailbox)) => self.visit_peer(mailbox, until),
                    Some(Work::Reader(slot)) => self.visit_reader(slot),
                    None => return,
                },
            }
            if self.in_hand.is_some() || self.shared.now() >= until {
                return;
            }
        }
    }

    /// Background work of the tables: once if it is due, and then for as long as there is time.
    fn keep_up(&mut self, until: Duration) {
        for _ in 0..TICKS {
            let now = self.shared.now();
            if self.rib.poll_timeout().is_none_or(|due| due > now) {
                return;
            }
            self.rib.handle(now, Input::Tick);
            self.table_changed = true;
            if now >= until {
                return;
            }
        }
    }

    fn look_after_next_hops(&mut self, now: Duration) {
        self.next_hops.after(&mut self.rib, now);
        self.table_changed |= self.next_hops.take_answers(&mut self.rib, now);
    }

    fn next_timeout(&self) -> Duration {
        let rib = self.rib.poll_timeout().unwrap_or(Duration::MAX);
        let changed = self.table_changed || !self.stale_counters.is_empty();
        let counters = if changed { self.counters_at.saturating_add(COUNTERS) } else { Duration::MAX };
        let look = if let Recovery::GoesOn(look) = self.recovery { look } else { Duration::MAX };
        let tables =
            if let Synchronising::GoesOn { look, .. } = self.synchronising { look } else { Duration::MAX };
        rib.min(counters).min(look).min(tables).min(self.barrier.deadline().unwrap_or(Duration::MAX))
    }

    /// The first session is up: whether a restart goes on is known by now.
    fn begin_recovery(&mut self) {
        if self.recovery != Recovery::Unknown {
            return;
        }
        self.recovery = Recovery::Over;
        self.shared.expect_peers();
        let now = self.shared.now();
        let (look, until) = (now.saturating_add(LOOK), now.saturating_add(SYNCHRONISED_AFTER));
        self.synchronising = Synchronising::GoesOn { look, until };
        if self.shared.is_restarting() {
            let now = self.shared.now();
            self.recovery = Recovery::GoesOn(now.saturating_add(LOOK));
            self.rib.handle(now, Input::DeferSelection(true));
            self.rib.handle(now, Input::DeferEndOfRib(true));
        }
    }

    fn look_at_recovery(&mut self, now: Duration) {
        let Recovery::GoesOn(look) = self.recovery else { return };
        if now < look {
            return;
        }
        if self.shared.awaits_tables() {
            self.recovery = Recovery::GoesOn(now.saturating_add(LOOK));
        } else {
            self.recovery = Recovery::Over;
            let wait = if self.shared.is_restarting() { Wait::AllTold } else { Wait::TimedOut };
            tracing::info!(?wait, "the tables of the peers are waited for no longer: End-of-RIB is due");
            self.shared.emit(Event::DeferralEnded(wait));
            self.rib.handle(now, Input::DeferSelection(false));
            self.tell_end_of_rib();
        }
    }

    /// Tells once that the peers' tables are here.
    fn look_at_tables(&mut self, now: Duration) {
        let Synchronising::GoesOn { look, until } = self.synchronising else { return };
        if now < look {
            return;
        }
        let wait = match self.shared.misses_tables() {
            true if now < until => {
                self.synchronising = Synchronising::GoesOn { look: now.saturating_add(LOOK), until };
                return;
            }
            true => Wait::TimedOut,
            false => Wait::AllTold,
        };
        self.synchronising = Synchronising::Over;
        self.shared.emit(Event::Synchronised(wait));
    }

    /// Nothing that peers are to hear is missing any more, unless it is.
    fn tell_end_of_rib(&mut self) {
        if !self.barrier.holds() && !matches!(self.recovery, Recovery::GoesOn(_)) {
            self.rib.handle(self.shared.now(), Input::DeferEndOfRib(false));
        }
    }

    /// Takes what the tables have to say, for as long as there is time; whether that was all.
    fn drain_events(&mut self, until: Duration) -> bool {
        for taken in 1.. {
            let Some(event) = self.rib.poll_event() else { return true };
            match event {
                RibEvent::Pending(peer) => self.is_pending(peer),
                RibEvent::ReaderPending(reader) => self.serve_reader(reader),
                RibEvent::EndOfRib(peer, family) => {
                    if let Some(slot) = self.slot(peer) {
                        slot.cell.told(family);
                        let peer = slot.cell.address;
                        self.shared.emit(Event::EndOfRib { peer, family });
                    }
                }
                RibEvent::EndOfRibSent(peer, family) => {
                    self.tell_of(peer, |peer| Event::EndOfRibSent { peer, family });
                }
                RibEvent::Swept(peer, family, routes) => {
                    self.tell_of(peer, |peer| Event::Swept { peer, family, routes });
                }
                RibEvent::PeerGone(peer) => self.forgotten(peer),
                RibEvent::Limit(limit) => self.limit(limit),
                RibEvent::OriginationRefused(owner, prefix) => {
                    tracing::warn!(?owner, %prefix, "a route of ours cannot be told: its attributes cannot be written");
                    self.shared.emit(Event::OriginationRefused { owner, prefix });
                }
                RibEvent::TwoOrigins(found) => {
                    let [one, other] = found.sources;
                    tracing::warn!(prefix = %found.prefix, ?one, ?other, "two origins of a prefix that is to have one");
                    self.shared.emit(Event::TwoOrigins(found));
                }
                RibEvent::PeerRefused(peer) => {
                    tracing::error!(%peer, "more peers than the tables can tell apart: it gets no routes");
                }
                _ => {}
            }
            if taken % AT_A_TIME == 0 && self.shared.now() >= until {
                return false;
            }
        }
        true
    }

    fn tell_of(&mut self, peer: PeerId, event: impl FnOnce(PeerAddress) -> Event) {
        if let Some(address) = self.slot(peer).map(|slot| slot.cell.address) {
            self.shared.emit(event(address));
        }
    }

    // Readers.

    fn visit_reader(&mut self, slot: Arc<ReaderSlot>) {
        match slot.visit() {
            ReaderWants::Nothing => {}
            ReaderWants::Batch(Some(reader)) => self.serve_reader(reader),
            ReaderWants::Batch(None) => {
                let rib = &mut self.rib;
                let reader = if slot.marks { rib.open_marking_reader() } else { rib.open_reader() };
                slot.opened(reader);
                self.readers.push((reader, slot));
                self.serve_reader(reader);
            }
            ReaderWants::Close(reader) => {
                if let Some(reader) = reader {
                    self.readers.retain(|(r, _)| *r != reader);
                    self.rib.close_reader(reader);
                }
            }
        }
    }

    fn serve_reader(&mut self, reader: ReaderId) {
        let Some((_, slot)) = self.readers.iter().find(|(r, _)| *r == reader) else { return };
        if !slot.wants() {
            return;
        }
        match self.rib.poll_reader(reader, READ) {
            Some(batch) => slot.deposit(batch),
            None => slot.set_drained(),
        }
    }

    // Counters.

    fn counters_changed(&mut self, peer: PeerId) {
        if let Some(slot) = self.slot(peer)
            && !std::mem::replace(&mut slot.counters_stale, true)
        {
            self.stale_counters.push_back(peer);
        }
    }

    fn copy_counters(&mut self, now: Duration, until: Duration) {
        if !self.table_changed && self.stale_counters.is_empty() {
            return;
        }
        if now.saturating_sub(self.counters_at) < COUNTERS {
            return;
        }
        if std::mem::take(&mut self.table_changed) {
            self.count_all();
        }
        for counted in 1..=COUNTED {
            let Some(peer) = self.stale_counters.pop_front() else { break };
            self.count(peer);
            if counted % AT_A_TIME == 0 && self.shared.now() >= until {
                break;
            }
        }
        // Else the others are due at once.
        if self.stale_counters.is_empty() {
            self.counters_at = now;
        }
    }

    /// Counts what is in the tables. Peers that fall behind, and those whose stale routes are swept, have no news of their
    /// own: they are to be counted too.
    fn count_all(&mut self) {
        let changing = self.peers.iter_mut().flatten().filter(|slot| slot.changes_unnoticed());
        self.stale_counters.extend(changing.map(|slot| {
            slot.counters_stale = true;
            slot.cell.id
        }));
        let mut table = TableStatus::default();
        for family in self.rib.families().iter() {
            let counters = self.rib.table_counters(family);
            table.prefixes += counters.prefixes as u64;
            table.paths += counters.paths as u64;
        }
        self.shared.set_table(table);
    }

    fn count(&mut self, peer: PeerId) {
        let (mut sum, mut behind) = (PrefixCounters::default(), 0);
        for family in self.rib.families().iter() {
            let counters = self.rib.peer_counters(peer, family);
            sum.received += u64::from(counters.received);
            sum.accepted += u64::from(counters.accepted);
            sum.import_rejected += u64::from(counters.import_rejected);
            sum.advertised += u64::from(counters.advertised);
            sum.export_rejected += u64::from(counters.export_rejected);
            sum.held_out += u64::from(counters.refused) + u64::from(counters.over_limit);
            sum.withheld += u64::from(counters.withheld);
            sum.stale += u64::from(counters.stale);
            behind += counters.behind;
        }
        let limits = self.rib.limits(peer);
        if let Some(slot) = self.slot(peer) {
            slot.cell.set_limits(limits);
            slot.counters_stale = false;
            slot.has_stale = sum.stale > 0;
            slot.cell.set_prefixes(sum);
            slot.cell.set_behind(behind);
        }
    }
}

impl Drop for RibTask {
    fn drop(&mut self) {
        self.door.close();
        for (_, slot) in &self.readers {
            slot.end();
        }
        while let Some(work) = self.door.pop() {
            if let Work::Reader(slot) = work {
                slot.end();
            }
        }
    }
}

impl Slot {
    fn new(mailbox: Arc<Mailbox>) -> Self {
        Self {
            cell: mailbox.cell.clone(),
            mailbox,
            session: 0,
            up: false,
            known: false,
            retired: false,
            pending: false,
            undrained: false,
            counters_stale: false,
            has_stale: false,
        }
    }

    /// Its counters move with the tables, and nothing has said so yet.
    fn changes_unnoticed(&self) -> bool {
        (self.undrained || self.has_stale) && !self.counters_stale
    }
}

/// Waits until the way to a next hop has changed; for ever where nobody says.
async fn news(ways: Option<&NextHopWatch>) {
    match ways {
        Some(ways) => ways.changed().await,
        None => std::future::pending().await,
    }
}
