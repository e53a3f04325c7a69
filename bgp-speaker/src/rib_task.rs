//! The task that owns the tables. It works in bounded turns: some of those who wait at the door, a few questions, a piece
//! of a long origination; then whoever has something to hear is served, and other tasks may run.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bgp_rib::{
    Event as RibEvent, Input, LimitAction, LimitEvent, LimitLevel, Limited, Origination, OwnerId, PageToken,
    PeerId, ReaderId, Rib,
};
use bgp_wire::{Family, FamilySet, NextHop, Notification, PathAttributes};
use ipnet::IpNet;
use tokio::sync::{Mutex, MutexGuard, mpsc, oneshot};

use crate::barrier::Barrier;
use crate::bridge::ToRib;
use crate::desired::Change;
use crate::door::{Door, Work};
use crate::error::SpeakerError;
use crate::event::Event;
use crate::kernel::NextHopWatch;
use crate::next_hops::NextHops;
use crate::originations::{Difference, Originations};
use crate::peer::{Deposit, Mailbox, PeerCell};
use crate::route::{Explanation, Route, RouteCursor, RouteFilter, RoutePage};
use crate::shared::{Shared, Us};
use crate::status::{LimitStatus, PrefixCounters, TableStatus};
use crate::subscription::{ReaderSlot, ReaderWants, Subscription};

/// Small transmissions that one turn writes to sockets itself, at some four microseconds each; peers beyond are woken, and
/// write theirs on other threads.
const AT_ONCE: usize = 1024;
/// Who is served at the door in one turn: enough that what comes in one moment goes out in one batch, and at 64 KiB of
/// UPDATEs each some tens of milliseconds at worst.
const VISITS: usize = 4;
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
/// How often counters are copied to where `status` reads them: fresh for a person, and cheap with 10,000 peers.
const COUNTERS: Duration = Duration::from_millis(100);
/// How often a restarted speaker looks whether the tables of its peers are there: it walks all peers.
const LOOK: Duration = Duration::from_millis(250);

/// What handles ask of the tables.
pub(crate) enum Query {
    Originate(OwnerId, Vec<Route>, oneshot::Sender<()>),
    Withdraw(OwnerId, Vec<IpNet>, oneshot::Sender<()>),
    Differ(BTreeMap<OwnerId, Difference>, oneshot::Sender<()>),
    Ready(OwnerId, oneshot::Sender<()>),
    Rename(Us, oneshot::Sender<()>),
    Routes {
        filter: RouteFilter,
        /// The ids of the peers that the filter names.
        peers: FilterPeers,
        from: Option<RouteCursor>,
        limit: usize,
        reply: oneshot::Sender<RoutePage>,
    },
    Explain(IpNet, oneshot::Sender<Option<Explanation>>),
}

/// The peers that a [`RouteFilter`] names, by id.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FilterPeers {
    pub(crate) told: Option<PeerId>,
    pub(crate) advertised_to: Option<PeerId>,
}

/// The way to the tables from outside.
#[derive(Debug, Clone)]
pub(crate) struct RibClient {
    queries: mpsc::Sender<Query>,
    door: Arc<Door>,
    /// Held until the question that follows from it is on its way, so that both keep one order.
    originations: Arc<Mutex<Originations>>,
}

impl RibClient {
    /// Originates what the owner does not announce already.
    pub(crate) async fn announce(&self, owner: OwnerId, mut routes: Vec<Route>) -> Result<(), SpeakerError> {
        let mut originations = self.originations.lock().await;
        // From here on nothing waits before the question is asked: a caller that gives up changes nothing or both.
        let way = self.queries.reserve().await.map_err(|_| SpeakerError::Stopped)?;
        originations.announce(owner, &mut routes);
        let (reply, answer) = oneshot::channel();
        way.send(Query::Originate(owner, routes, reply));
        drop(originations);
        answer.await.map_err(|_| SpeakerError::Stopped)
    }

    /// Withdraws what the owner announces.
    pub(crate) async fn withdraw(
        &self,
        owner: OwnerId,
        mut prefixes: Vec<IpNet>,
    ) -> Result<(), SpeakerError> {
        let mut originations = self.originations.lock().await;
        let way = self.queries.reserve().await.map_err(|_| SpeakerError::Stopped)?;
        originations.withdraw(owner, &mut prefixes);
        let (reply, answer) = oneshot::channel();
        way.send(Query::Withdraw(owner, prefixes, reply));
        drop(originations);
        answer.await.map_err(|_| SpeakerError::Stopped)
    }

    /// Makes these all routes that are originated; what that changed.
    pub(crate) async fn originate_all(
        &self,
        wanted: BTreeMap<OwnerId, Vec<Route>>,
    ) -> Result<Vec<Change>, SpeakerError> {
        let mut originations = self.originations.lock().await;
        let way = self.queries.reserve().await.map_err(|_| SpeakerError::Stopped)?;
        let (differences, changes) = originations.become_all(&wanted);
        let (reply, answer) = oneshot::channel();
        way.send(Query::Differ(differences, reply));
        drop(originations);
        answer.await.map_err(|_| SpeakerError::Stopped)?;
        Ok(changes)
    }

    /// Room for one question, with the right to the originations.
    pub(crate) async fn reserve(&self) -> Result<Reserved<'_>, SpeakerError> {
        let originations = self.originations.lock().await;
        let way = self.queries.reserve().await.map_err(|_| SpeakerError::Stopped)?;
        Ok(Reserved { originations, way })
    }

    pub(crate) async fn ask<T>(
        &self,
        query: impl FnOnce(oneshot::Sender<T>) -> Query,
    ) -> Result<T, SpeakerError> {
        let (reply, answer) = oneshot::channel();
        self.queries.send(query(reply)).await.map_err(|_| SpeakerError::Stopped)?;
        answer.await.map_err(|_| SpeakerError::Stopped)
    }

    pub(crate) fn subscribe(&self) -> Subscription {
        Subscription::new(self.door.clone())
    }
}

/// The right to change what is originated, once and without waiting.
pub(crate) struct Reserved<'a> {
    originations: MutexGuard<'a, Originations>,
    way: mpsc::Permit<'a, Query>,
}

impl Reserved<'_> {
    /// Announces and withdraws; what that changed, and when it stands.
    pub(crate) fn step(
        mut self,
        announced: BTreeMap<OwnerId, Vec<Route>>,
        withdrawn: BTreeMap<OwnerId, Vec<IpNet>>,
    ) -> (Vec<Change>, oneshot::Receiver<()>) {
        let (differences, changes) = self.originations.step(announced, withdrawn);
        let (reply, answer) = oneshot::channel();
        self.way.send(Query::Differ(differences, reply));
        (changes, answer)
    }
}

pub(crate) struct RibTask {
    rib: Rib,
    shared: Arc<Shared>,
    door: Arc<Door>,
    queries: mpsc::Receiver<Query>,
    peers: Vec<Option<Slot>>,
    readers: Vec<(ReaderId, Arc<ReaderSlot>)>,
    /// Long originations, piece by piece and in order.
    jobs: VecDeque<Job>,
    /// Peers for which the tables have found nothing yet, and have not looked through everything.
    again: Vec<PeerId>,
    /// Peers whose counters have changed since they were last copied.
    stale_counters: Vec<PeerId>,
    counters_at: Duration,
    /// The tables may hold more or less than was last told.
    table_changed: bool,
    /// Transmissions that this turn has written itself.
    written_at_once: usize,
    /// Owners whose routes are held back, and with them everybody's End-of-RIB.
    barrier: Barrier,
    recovery: Recovery,
    /// Where the kernel's tables tell the ways to next hops.
    next_hops: Option<NextHops>,
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

/// One peer as this task knows it.
struct Slot {
    mailbox: Arc<Mailbox>,
    cell: Arc<PeerCell>,
    session: u32,
    up: bool,
    /// The tables know routes or a reader of this peer.
    known: bool,
    retired: bool,
    /// There was more for it than it could take.
    undrained: bool,
    counters_stale: bool,
    /// It left routes behind when its session ended.
    has_stale: bool,
}

enum Job {
    Originate(OwnerId, VecDeque<Origination>, Reply),
    Withdraw(OwnerId, VecDeque<IpNet>, Reply),
    /// What the owner has announced stands.
    Ready(OwnerId, oneshot::Sender<()>),
    /// All that an owner had to say stands.
    Complete,
}

/// Who is told that a job is done; those before the last of a row tell nobody.
type Reply = Option<oneshot::Sender<()>>;

impl RibTask {
    pub(crate) fn new(
        rib: Rib,
        shared: Arc<Shared>,
        door: Arc<Door>,
        barrier: Barrier,
        next_hops: Option<NextHops>,
    ) -> (Self, RibClient) {
        let (sender, queries) = mpsc::channel(WAITING);
        let mut rib = rib;
        if barrier.holds() {
            rib.handle(shared.now(), Input::DeferEndOfRib(true));
        }
        let client = RibClient { queries: sender, door: door.clone(), originations: Arc::default() };
        let task = Self {
            rib,
            shared,
            door,
            queries,
            peers: Vec::new(),
            readers: Vec::new(),
            jobs: VecDeque::new(),
            again: Vec::new(),
            written_at_once: 0,
            stale_counters: Vec::new(),
            counters_at: Duration::ZERO,
            table_changed: false,
            barrier,
            recovery: Recovery::Unknown,
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
            let ways = self.next_hops.as_ref().map(NextHops::watch);
            tokio::select! {
                () = door.ring() => {}
                () = news(ways.as_ref()) => {}
                Some(query) = self.queries.recv() => self.query(query),
                () = tokio::time::sleep_until(until) => {}
            }
        }
    }

    /// One bounded turn; whether there is more to do at once.
    fn turn(&mut self) -> bool {
        self.written_at_once = 0;
        for _ in 0..VISITS {
            match self.door.pop() {
                Some(Work::Peer(mailbox)) => self.visit_peer(&mailbox),
                Some(Work::Reader(slot)) => self.visit_reader(slot),
                None => break,
            }
        }
        for _ in 0..QUESTIONS {
            let Ok(query) = self.queries.try_recv() else { break };
            self.query(query);
        }
        self.work_on_job();
        let now = self.shared.now();
        self.look_after_next_hops(now);
        for owner in self.barrier.expire(now) {
            self.owner_is_ready(owner, None);
        }
        self.look_at_recovery(now);
        if self.rib.poll_timeout().is_some_and(|due| due <= now) {
            self.rib.handle(now, Input::Tick);
            self.table_changed = true;
        }
        for peer in std::mem::take(&mut self.again) {
            self.transmit(peer);
        }
        self.drain_events();
        self.copy_counters(now);
        let overdue = self.rib.poll_timeout().is_some_and(|due| due <= now);
        overdue || !self.again.is_empty() || !self.jobs.is_empty() || !self.door.is_empty()
    }

    fn look_after_next_hops(&mut self, now: Duration) {
        if let Some(next_hops) = &mut self.next_hops {
            next_hops.after(&mut self.rib, now);
            self.table_changed |= next_hops.take_answers(&mut self.rib, now);
        }
    }

    fn next_timeout(&self) -> Duration {
        let rib = self.rib.poll_timeout().unwrap_or(Duration::MAX);
        let changed = self.table_changed || !self.stale_counters.is_empty();
        let counters = if changed { self.counters_at.saturating_add(COUNTERS) } else { Duration::MAX };
        let look = if let Recovery::GoesOn(look) = self.recovery { look } else { Duration::MAX };
        rib.min(counters).min(look).min(self.barrier.deadline().unwrap_or(Duration::MAX))
    }

    /// The first session is up: whether a restart goes on is known by now.
    fn begin_recovery(&mut self) {
        if self.recovery != Recovery::Unknown {
            return;
        }
        self.recovery = Recovery::Over;
        if self.shared.is_restarting() {
            let now = self.shared.now();
            self.recovery = Recovery::GoesOn(now.saturating_add(LOOK));
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
            self.tell_end_of_rib();
        }
    }

    /// Nothing that peers are to hear is missing any more, unless it is.
    fn tell_end_of_rib(&mut self) {
        if !self.barrier.holds() && !matches!(self.recovery, Recovery::GoesOn(_)) {
            self.rib.handle(self.shared.now(), Input::DeferEndOfRib(false));
        }
    }

    fn drain_events(&mut self) {
        while let Some(event) = self.rib.poll_event() {
            match event {
                RibEvent::Pending(peer) => self.transmit(peer),
                RibEvent::ReaderPending(reader) => self.serve_reader(reader),
                RibEvent::EndOfRib(peer, family) => {
                    if let Some(slot) = self.slot(peer) {
                        slot.cell.told(family);
                        let peer = slot.cell.address;
                        self.shared.emit(Event::EndOfRib { peer, family });
                    }
                }
                RibEvent::PeerGone(peer) => self.forgotten(peer),
                RibEvent::Limit(limit) => self.limit(limit),
                RibEvent::PeerRefused(peer) => {
                    tracing::error!(%peer, "more peers than the tables can tell apart: it gets no routes");
                }
                _ => {}
            }
        }
    }

    // Peers.

    fn slot(&mut self, peer: PeerId) -> Option<&mut Slot> {
        self.peers.get_mut(usize::try_from(peer.0).ok()?)?.as_mut()
    }

    fn visit_peer(&mut self, mailbox: &Arc<Mailbox>) {
        let peer = mailbox.cell.id;
        let visit = mailbox.visit();
        self.meet(mailbox);
        for (session, input) in visit.inputs {
            self.note(peer, session, &input);
            let now = self.shared.now();
            if let (Some(next_hops), ToRib::Update(update)) = (&mut self.next_hops, &input) {
                next_hops.before(&mut self.rib, now, update);
            }
            input.apply(&mut self.rib, now, peer);
            if let Some(next_hops) = &mut self.next_hops {
                next_hops.after(&mut self.rib, now);
            }
        }
        self.table_changed = true;
        self.counters_changed(peer);
        let Some(slot) = self.slot(peer) else { return };
        if slot.undrained {
            self.transmit(peer);
        }
        if visit.retired {
            self.retired(peer);
        }
    }

    /// Makes a slot for a peer that comes for the first time.
    fn meet(&mut self, mailbox: &Arc<Mailbox>) {
        let Ok(index) = usize::try_from(mailbox.cell.id.0) else { return };
        if self.peers.len() <= index {
            self.peers.resize_with(index + 1, || None);
        }
        if let Some(place) = self.peers.get_mut(index) {
            place.get_or_insert_with(|| Slot::new(mailbox.clone()));
        }
    }

    /// A limit came to another level: it is told, and the session ends or the peer is asked again.
    fn limit(&mut self, limit: LimitEvent) {
        let families = self.rib.families();
        let Some(slot) = self.slot(limit.peer) else { return };
        let freed = slot.cell.limit(limit);
        if limit.level == LimitLevel::Exceeded && limit.limit.action == LimitAction::Stop {
            let max = u32::try_from(limit.limit.max).unwrap_or(u32::MAX);
            let why = match limit.family {
                // The peer is not to blame for how much it is told (RFC 4486 §4: subcode 1 is about what it sent).
                Some(family) if limit.what != Limited::Advertised => {
                    Notification::cease_max_prefixes(family, max)
                }
                _ => Notification::cease_out_of_resources(),
            };
            slot.mailbox.exceeded(slot.session, why);
        } else if freed && matches!(limit.what, Limited::Received | Limited::Memory) {
            let families = limit.family.map_or(families, |family| FamilySet::of(&[family]));
            families.iter().for_each(|family| slot.mailbox.refresh(slot.session, family));
        }
        let (peer, limit) = (slot.cell.address, LimitStatus::of(limit));
        tracing::info!(%peer, ?limit, "limit");
        self.shared.emit(Event::Limit { peer, limit });
    }

    fn note(&mut self, peer: PeerId, session: u32, input: &ToRib) {
        if matches!(input, ToRib::Up(_)) {
            // An End-of-RIB of the session before may still stand among the events.
            self.drain_events();
            self.begin_recovery();
        }
        let Some(slot) = self.slot(peer) else { return };
        match input {
            ToRib::Up(_) => {
                slot.session = session;
                slot.up = true;
                slot.known = true;
                slot.cell.forget_told();
                slot.cell.forget_limits();
            }
            ToRib::Down(_) => {
                slot.up = false;
                slot.undrained = false;
            }
            ToRib::Update(_) | ToRib::Refresh(_) | ToRib::Change(_) => {}
        }
    }

    /// The peer's task has ended: its id is free once the tables have forgotten it.
    fn retired(&mut self, peer: PeerId) {
        let Some(slot) = self.slot(peer) else { return };
        slot.retired = true;
        if !slot.known {
            return self.release(peer);
        }
        // Routes that were kept for the peer's return go with it.
        if !slot.up {
            self.rib.handle(self.shared.now(), Input::PeerDown(peer, bgp_rib::Retain::Nothing));
        }
    }

    fn forgotten(&mut self, peer: PeerId) {
        let Some(slot) = self.slot(peer) else { return };
        // The peer may have come back since.
        slot.known = slot.up;
        if slot.retired && !slot.known {
            self.release(peer);
        }
    }

    fn release(&mut self, peer: PeerId) {
        if let Some(place) = usize::try_from(peer.0).ok().and_then(|i| self.peers.get_mut(i)) {
            *place = None;
            self.shared.ids.give_back(peer);
        }
    }

    /// Gives a peer what there is for it, if it can write.
    fn transmit(&mut self, peer: PeerId) {
        let Some(slot) = self.slot(peer) else { return };
        if !slot.up || !slot.mailbox.claim_credit(slot.session) {
            slot.undrained = slot.up;
            return;
        }
        let (mut chunks, mut octets, mut drained) = (Vec::new(), 0, false);
        for _ in 0..ASKS {
            if drained || octets >= TRANSMIT / 2 {
                break;
            }
            match self.rib.poll_transmit(peer, TRANSMIT) {
                Some(transmit) => {
                    octets += transmit.len();
                    chunks.extend(transmit.into_chunks());
                }
                None => drained = true,
            }
        }
        let Some(slot) = self.slot(peer) else { return };
        slot.undrained = !drained;
        if chunks.is_empty() && !drained {
            self.again.push(peer);
        }
        let at_once = self.written_at_once < AT_ONCE;
        let Some(slot) = self.slot(peer) else { return };
        let written = slot.mailbox.deposit(slot.session, Deposit { chunks, more: !drained }, at_once);
        self.written_at_once += usize::from(written);
        self.counters_changed(peer);
    }

    // Readers.

    fn visit_reader(&mut self, slot: Arc<ReaderSlot>) {
        match slot.visit() {
            ReaderWants::Nothing => {}
            ReaderWants::Batch(Some(reader)) => self.serve_reader(reader),
            ReaderWants::Batch(None) => {
                let reader = self.rib.open_reader();
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

    // Originations and questions.

    fn query(&mut self, query: Query) {
        match query {
            Query::Originate(owner, routes, reply) => {
                self.jobs.push_back(Job::Originate(
                    owner,
                    routes.into_iter().map(origination).collect(),
                    Some(reply),
                ));
            }
            Query::Withdraw(owner, prefixes, reply) => {
                self.jobs.push_back(Job::Withdraw(owner, prefixes.into(), Some(reply)));
            }
            Query::Differ(differences, reply) => self.differ(differences, reply),
            Query::Ready(owner, reply) => self.jobs.push_back(Job::Ready(owner, reply)),
            // Who asked may have gone meanwhile.
            Query::Rename(us, reply) => {
                let Us { asn: local_as, router_id, cluster_id } = us;
                self.rib.handle(self.shared.now(), Input::Rename { local_as, router_id, cluster_id });
                let _ = reply.send(());
            }
            Query::Routes { filter, peers, from, limit, reply } => {
                let _ = reply.send(self.routes(&filter, peers, from, limit));
            }
            Query::Explain(prefix, reply) => {
                let _ = reply.send(self.explain(prefix));
            }
        }
    }

    /// What is new comes before what goes: a prefix that moves from one owner to another is there all the time.
    fn differ(&mut self, differences: BTreeMap<OwnerId, Difference>, reply: oneshot::Sender<()>) {
        let mut gone = Vec::new();
        for (owner, difference) in differences {
            let announced = difference.announced.into_iter().map(origination).collect();
            self.jobs.push_back(Job::Originate(owner, announced, None));
            gone.push(Job::Withdraw(owner, difference.withdrawn.into(), None));
        }
        self.jobs.extend(gone);
        self.jobs.push_back(Job::Withdraw(OwnerId(0), VecDeque::new(), Some(reply)));
    }

    /// Does one piece of the oldest job.
    fn work_on_job(&mut self) {
        let now = self.shared.now();
        self.table_changed |= !self.jobs.is_empty();
        let left = match self.jobs.front_mut() {
            Some(Job::Originate(owner, routes, _)) => {
                let piece: Vec<Origination> = routes.drain(..routes.len().min(ORIGINATED)).collect();
                if let Some(piece) = self.barrier.announce(*owner, piece) {
                    self.rib.handle(now, Input::Originate(*owner, &piece));
                }
                !routes.is_empty()
            }
            Some(Job::Withdraw(owner, prefixes, _)) => {
                let piece: Vec<IpNet> = prefixes.drain(..prefixes.len().min(ORIGINATED)).collect();
                if let Some(piece) = self.barrier.withdraw(*owner, piece) {
                    self.rib.handle(now, Input::Withdraw(*owner, &piece));
                }
                !prefixes.is_empty()
            }
            Some(Job::Ready(..) | Job::Complete) => false,
            None => return,
        };
        if left {
            return;
        }
        let reply = match self.jobs.pop_front() {
            Some(Job::Originate(_, _, reply) | Job::Withdraw(_, _, reply)) => reply,
            Some(Job::Ready(owner, reply)) => return self.owner_is_ready(owner, Some(reply)),
            Some(Job::Complete) => {
                self.tell_end_of_rib();
                None
            }
            None => None,
        };
        if let Some(reply) = reply {
            // Who asked may have gone meanwhile.
            let _ = reply.send(());
        }
    }

    /// What was held back for an owner goes, before anything that it says later.
    fn owner_is_ready(&mut self, owner: OwnerId, reply: Reply) {
        let kept: VecDeque<Origination> = self.barrier.ready(owner).into_iter().flatten().collect();
        self.jobs.push_front(Job::Complete);
        self.jobs.push_front(Job::Originate(owner, kept, reply));
    }

    fn routes(
        &self,
        filter: &RouteFilter,
        peers: FilterPeers,
        from: Option<RouteCursor>,
        limit: usize,
    ) -> RoutePage {
        let limit = limit.clamp(1, PAGE);
        let mut page = RoutePage::default();
        let families: Vec<Family> = match (filter.family, filter.prefix) {
            (Some(family), _) => vec![family],
            (None, Some(IpNet::V4(_))) => vec![Family::IPV4_UNICAST],
            (None, Some(IpNet::V6(_))) => vec![Family::IPV6_UNICAST],
            (None, None) => self.rib.families().iter().collect(),
        };
        let mut token = from.map_or_else(PageToken::default, |c| c.token);
        let begin = from.and_then(|c| families.iter().position(|f| *f == c.family)).unwrap_or(0);
        for &family in families.iter().skip(begin) {
            let mut asked = bgp_rib::RouteFilter::all(family);
            asked.prefix = filter.prefix;
            asked.longer = filter.longer;
            asked.peer = peers.told;
            asked.advertised_to = peers.advertised_to;
            asked.best_only = filter.best_only;
            if page.routes.len() >= limit {
                page.next = Some(RouteCursor { family, token });
                return page;
            }
            let (routes, next) = self.rib.routes(&asked, token, limit - page.routes.len());
            page.routes.extend(routes);
            if let Some(token) = next {
                page.next = Some(RouteCursor { family, token });
                return page;
            }
            token = PageToken::default();
        }
        page
    }

    fn explain(&self, prefix: IpNet) -> Option<Explanation> {
        let told = self.rib.explain(prefix)?;
        let address = |peer: PeerId| -> Option<IpAddr> {
            let slot = self.peers.get(usize::try_from(peer.0).ok()?)?.as_ref()?;
            Some(slot.cell.address)
        };
        let peers = told.peers.into_iter().filter_map(|p| Some((address(p.peer)?, p.verdict)));
        Some(Explanation { destination: told.destination, paths: told.paths, peers: peers.collect() })
    }

    // Counters.

    fn counters_changed(&mut self, peer: PeerId) {
        if let Some(slot) = self.slot(peer)
            && !std::mem::replace(&mut slot.counters_stale, true)
        {
            self.stale_counters.push(peer);
        }
    }

    fn copy_counters(&mut self, now: Duration) {
        if !self.table_changed && self.stale_counters.is_empty() {
            return;
        }
        if now.saturating_sub(self.counters_at) < COUNTERS {
            return;
        }
        self.counters_at = now;
        // Those that fall behind, and those whose stale routes are swept, have no news of their own.
        let moved = self.table_changed;
        let changing = self.peers.iter_mut().flatten().filter(|slot| moved && slot.changes_unnoticed());
        let changing = changing.map(|slot| {
            slot.counters_stale = true;
            slot.cell.id
        });
        self.stale_counters.extend(changing);
        self.table_changed = false;
        for peer in std::mem::take(&mut self.stale_counters) {
            let (mut sum, mut behind) = (PrefixCounters::default(), 0);
            for family in self.rib.families().iter() {
                let counters = self.rib.peer_counters(peer, family);
                sum.received += u64::from(counters.received);
                sum.accepted += u64::from(counters.accepted);
                sum.advertised += u64::from(counters.advertised);
                sum.held_out += u64::from(counters.refused) + u64::from(counters.over_limit);
                sum.stale += u64::from(counters.stale);
                behind += counters.behind;
            }
            if let Some(slot) = self.slot(peer) {
                slot.counters_stale = false;
                slot.has_stale = sum.stale > 0;
                slot.cell.set_prefixes(sum);
                slot.cell.set_behind(behind);
            }
        }
        let mut table = TableStatus::default();
        for family in self.rib.families().iter() {
            let counters = self.rib.table_counters(family);
            table.prefixes += counters.prefixes as u64;
            table.paths += counters.paths as u64;
        }
        self.shared.set_table(table);
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

fn origination(route: Route) -> Origination {
    let attributes = PathAttributes {
        local_pref: route.local_pref,
        med: route.med,
        communities: route.communities,
        ..PathAttributes::default()
    };
    let next_hop = route.next_hop.map(|address| match address {
        IpAddr::V4(address) => NextHop::V4(address),
        IpAddr::V6(address) => NextHop::V6(address),
    });
    Origination {
        next_hop,
        attributes,
        metric: route.metric,
        interface: route.interface,
        discard: route.discard,
        aggregation: route.aggregation,
        ..Origination::new(route.prefix)
    }
}
