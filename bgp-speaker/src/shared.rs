//! What all tasks of one speaker and its handles see: constants, status cells, counters. Nothing here waits for a task.

mod nodes;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bgp_fsm::SessionConfig;
use bgp_rib::{DecisionOptions, Multipath, OwnerId, PeerId};
use bgp_wire::{Asn, ClusterId, RouterId};
use ipnet::IpNet;
use tokio::sync::{Notify, broadcast, watch};
use tokio::time::Instant;

use crate::config::{PeerConfig, SessionOptions, is_link_local};
use crate::desired::{Desired, KernelExport, Learning};
use crate::error::SpeakerError;
use crate::event::{Event, Events};
use crate::kernel::{FollowerHandle, FollowerSender, FollowerStatus, KernelConfig, LearnConfig};
use crate::lateness::Lateness;
use crate::listening::own_addresses;
use crate::mesh::MeshDialer;
use crate::peer::PeerCell;
use crate::peer_address::PeerAddress;
use crate::status::{MigrationStatus, RangeStatus, SignatureFailures, Status, TableStatus, VrpStatus};
use crate::turns::Turns;

/// Events that a receiver may lag behind before it misses some: a mesh of a thousand nodes coming up.
const EVENTS: usize = 4096;

/// A lock that a panic elsewhere does not poison: what it guards are plain values, whole after every statement.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// When peers were found to be there.
#[derive(Debug, Clone, Copy, Default)]
struct Found {
    /// The first of them.
    first: Duration,
    /// The newest that came through a range.
    newest: Duration,
}

#[derive(Debug)]
pub(crate) struct Shared {
    us: Mutex<Us>,
    /// Who we were built as.
    built: Us,
    /// Where we listen and what else is ours, as we were built.
    built_listen: Vec<SocketAddr>,
    built_addresses: Vec<IpAddr>,
    built_kernel: Option<KernelConfig>,
    built_learn: Option<LearnConfig>,
    built_multipath: Multipath,
    built_decision: DecisionOptions,
    built_patience: Duration,
    multipath: Mutex<Multipath>,
    decision: Mutex<DecisionOptions>,
    unique_origins: Mutex<Vec<IpNet>>,
    vrps: Mutex<Option<VrpStatus>>,
    listen: Mutex<Vec<SocketAddr>>,
    /// Where we are to listen and do not, and why.
    not_listening: Mutex<Vec<(SocketAddr, String)>>,
    pub(crate) forwarding_preserved: bool,
    /// This process takes over from a former one, until then.
    restarting_until: Mutex<Option<Duration>>,
    pub(crate) ids: Ids,
    mesh_dialer: MeshDialer,
    mesh_options: Mutex<SessionOptions>,
    epoch: Instant,
    started: SystemTime,
    version: String,
    reconfigured: Mutex<SystemTime>,
    peers: Mutex<BTreeMap<PeerAddress, Arc<PeerCell>>>,
    events: Mutex<Option<broadcast::Sender<Event>>>,
    ranges: Mutex<BTreeMap<IpNet, RangeStatus>>,
    migration: Mutex<Option<MigrationStatus>>,
    not_ready: Mutex<Vec<OwnerId>>,
    strangers: AtomicU64,
    pub(crate) lateness: Lateness,
    pub(crate) turns: Turns,
    signatures: Mutex<Option<SignatureFailures>>,
    /// The whole speaker is about to go.
    leaving: AtomicBool,
    /// Routes in the kernel outlive the speaker.
    routes_stay: AtomicBool,
    /// Peers may come that are not configured one by one.
    /// How long nobody may have come through a range before all are taken to be here; `None` without ranges.
    ranges_patience: Mutex<Option<Duration>>,
    /// When the first session came up, and when somebody last came through a range.
    found: Mutex<Found>,
    table: Mutex<TableStatus>,
    kernel: Mutex<Option<(watch::Receiver<Arc<FollowerStatus>>, FollowerSender)>>,
    /// The next-hop hook answers differently from now on.
    pub(crate) other_next_hops: Notify,
    /// What the last session was configured with: it is mostly what the next one is configured with.
    last_session: Mutex<Option<Arc<SessionConfig>>>,
    /// The payloads of origin validation are others.
    pub(crate) other_vrps: Notify,
}

/// The names and addresses of this speaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Us {
    pub(crate) asn: Asn,
    pub(crate) router_id: RouterId,
    pub(crate) cluster_id: Option<ClusterId>,
    /// The addresses of this node: those that it listens on, and those that it was told of.
    pub(crate) addresses: Arc<[IpAddr]>,
    /// Of these, those that it listens on.
    pub(crate) listening: Arc<[IpAddr]>,
}

impl Us {
    /// What is known of us outside this node.
    pub(crate) fn names(&self) -> (Asn, RouterId, Option<ClusterId>) {
        (self.asn, self.router_id, self.cluster_id)
    }

    /// The source address for a peer; where it names none, the one of its family that we listen on if there is just one, or
    /// that we have.
    pub(crate) fn source(&self, peer: &PeerConfig) -> Option<IpAddr> {
        let only = |addresses: &[IpAddr]| {
            let mut own = addresses.iter().filter(|a| a.is_ipv4() == peer.address.is_ipv4());
            own.next().copied().filter(|_| own.next().is_none())
        };
        peer.options.source.or_else(|| {
            let own = only(&self.listening).or_else(|| only(&self.addresses));
            // A link-local peer is reached from a link-local address, which the kernel finds best.
            own.filter(|own| is_link_local(*own) || !is_link_local(peer.address))
        })
    }
}

/// Ends the events when it is dropped, however the supervisor ends.
#[derive(Debug)]
pub(crate) struct EndOfEvents(pub(crate) Arc<Shared>);

impl Drop for EndOfEvents {
    fn drop(&mut self) {
        self.0.end_events();
    }
}

/// What [`Shared`] is made of.
pub(crate) struct Makings {
    pub(crate) version: String,
    pub(crate) us: Us,
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) local_addresses: Vec<IpAddr>,
    pub(crate) kernel: Option<KernelConfig>,
    pub(crate) learn: Option<LearnConfig>,
    pub(crate) multipath: Multipath,
    pub(crate) decision: DecisionOptions,
    pub(crate) patience: Duration,
    pub(crate) mesh_dialer: MeshDialer,
    pub(crate) mesh_options: SessionOptions,
    pub(crate) forwarding_preserved: bool,
}

/// Small dense numbers for peers, given again once the tables have forgotten who had them.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    pool: Mutex<IdPool>,
}

#[derive(Debug, Default)]
struct IdPool {
    next: u32,
    free: Vec<PeerId>,
}

impl Ids {
    pub(crate) fn take(&self) -> PeerId {
        let mut pool = lock(&self.pool);
        pool.free.pop().unwrap_or_else(|| {
            let id = PeerId(pool.next);
            pool.next += 1;
            id
        })
    }

    pub(crate) fn give_back(&self, id: PeerId) {
        lock(&self.pool).free.push(id);
    }
}

impl Shared {
    pub(crate) fn new(identity: Makings) -> Self {
        Self {
            us: Mutex::new(identity.us.clone()),
            built: identity.us,
            built_listen: identity.listen,
            built_addresses: identity.local_addresses,
            built_kernel: identity.kernel,
            built_learn: identity.learn,
            built_multipath: identity.multipath,
            multipath: Mutex::new(identity.multipath),
            built_decision: identity.decision,
            built_patience: identity.patience,
            decision: Mutex::new(identity.decision),
            unique_origins: Mutex::default(),
            vrps: Mutex::default(),
            listen: Mutex::default(),
            not_listening: Mutex::default(),
            forwarding_preserved: identity.forwarding_preserved,
            restarting_until: Mutex::default(),
            ids: Ids::default(),
            mesh_dialer: identity.mesh_dialer,
            mesh_options: Mutex::new(identity.mesh_options),
            epoch: Instant::now(),
            started: SystemTime::now(),
            version: identity.version,
            reconfigured: Mutex::new(SystemTime::now()),
            peers: Mutex::default(),
            events: Mutex::new(Some(broadcast::channel(EVENTS).0)),
            ranges: Mutex::default(),
            migration: Mutex::default(),
            not_ready: Mutex::default(),
            strangers: AtomicU64::new(0),
            lateness: Lateness::default(),
            turns: Turns::default(),
            signatures: Mutex::default(),
            leaving: AtomicBool::new(false),
            routes_stay: AtomicBool::new(true),
            ranges_patience: Mutex::default(),
            found: Mutex::default(),
            table: Mutex::default(),
            kernel: Mutex::default(),
            other_next_hops: Notify::new(),
            last_session: Mutex::default(),
            other_vrps: Notify::new(),
        }
    }

    /// Who we are.
    pub(crate) fn us(&self) -> Us {
        lock(&self.us).clone()
    }

    pub(crate) fn set_us(&self, us: Us) {
        *lock(&self.us) = us;
    }

    /// Who we are to be.
    ///
    /// # Errors
    /// Nobody can be that.
    pub(crate) fn us_as(&self, desired: &Desired) -> Result<Us, SpeakerError> {
        let mut us = self.built.clone();
        if let Some(identity) = desired.identity {
            (us.asn, us.router_id) = (identity.asn, identity.router_id);
        }
        let named = desired.local_addresses.as_ref().unwrap_or(&self.built_addresses);
        us.addresses = own_addresses(self.listen_as(desired), named);
        us.listening = own_addresses(self.listen_as(desired), &[]);
        match us {
            Us { asn: asn @ (Asn(0) | Asn::TRANS), .. } => Err(SpeakerError::ReservedAsn(asn.0)),
            Us { router_id: RouterId(0), .. } => Err(SpeakerError::ZeroRouterId),
            us => Ok(us),
        }
    }

    /// Where we are to listen.
    pub(crate) fn listen_as<'a>(&'a self, desired: &'a Desired) -> &'a [SocketAddr] {
        desired.listen.as_ref().unwrap_or(&self.built_listen)
    }

    /// Where we listen now, and where we are to and do not.
    pub(crate) fn set_listen(&self, listen: Vec<SocketAddr>, missing: Vec<(SocketAddr, String)>) {
        *lock(&self.listen) = listen;
        *lock(&self.not_listening) = missing;
    }

    /// A configuration as one that thousands of sessions share, where they are configured alike.
    pub(crate) fn share(&self, config: SessionConfig) -> Arc<SessionConfig> {
        let mut last = lock(&self.last_session);
        if let Some(last) = last.as_ref().filter(|last| ***last == config) {
            return last.clone();
        }
        last.insert(Arc::new(config)).clone()
    }

    /// The time that sessions and tables are given.
    pub(crate) fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// The moment at which [`Shared::now`] will say `at`.
    pub(crate) fn instant(&self, at: Duration) -> Instant {
        // A timer beyond what the clock can express never fires; a day is as good as never and looked at again.
        self.epoch.checked_add(at).unwrap_or_else(|| Instant::now() + Duration::from_secs(86_400))
    }

    /// This process takes over from a former one; peers that were not told within this time need not hear of it any more.
    pub(crate) fn begin_restart(&self, time: Duration) {
        *lock(&self.restarting_until) = Some(self.now().saturating_add(time));
    }

    /// Whether a peer that has not told its whole table yet is to hear that we have restarted.
    pub(crate) fn is_restarting(&self) -> bool {
        lock(&self.restarting_until).is_some_and(|until| self.now() < until)
    }

    /// A first session is up: what is found out about peers counts from here on.
    pub(crate) fn expect_peers(&self) {
        *lock(&self.found) = Found { first: self.now(), newest: self.now() };
        lock(&self.peers).values().for_each(|cell| cell.expect());
    }

    /// Somebody came through a range, and others may follow.
    pub(crate) fn came_through_range(&self) {
        lock(&self.found).newest = self.now();
    }

    /// Whether this process has restarted and tables of peers are still to come.
    pub(crate) fn awaits_tables(&self) -> bool {
        self.is_restarting() && self.misses_tables()
    }

    /// Whether tables of peers are still to come.
    pub(crate) fn misses_tables(&self) -> bool {
        self.is_anybody(PeerCell::is_awaited)
    }

    /// Whether nobody was there yet, or this process has restarted and more may come of the first tables of peers.
    pub(crate) fn expects_more(&self) -> bool {
        lock(&self.found).first.is_zero() || self.is_restarting() && self.is_anybody(PeerCell::may_tell_more)
    }

    /// Whether anybody's table is missing. Nobody knows how many will come through a range: they are all here when none has come
    /// for a while.
    fn is_anybody(&self, missing: impl Fn(&PeerCell, Duration) -> bool) -> bool {
        let (now, Found { first, newest }) = (self.now(), *lock(&self.found));
        let passed = |since: Duration| now.saturating_sub(since);
        lock(&self.ranges_patience).is_some_and(|patience| passed(newest) < patience)
            || lock(&self.peers).values().any(|cell| missing(cell, passed(first)))
    }

    pub(crate) fn emit(&self, event: Event) {
        if let Some(sender) = &*lock(&self.events) {
            // An error only says that nobody listens.
            let _ = sender.send(event);
        }
    }

    pub(crate) fn events(&self) -> Events {
        let receiver = match &*lock(&self.events) {
            Some(sender) => sender.subscribe(),
            None => broadcast::channel(1).1,
        };
        Events::new(receiver)
    }

    /// Lets every [`Events`] come to its end.
    fn end_events(&self) {
        lock(&self.events).take();
    }

    pub(crate) fn insert_peer(&self, cell: Arc<PeerCell>) {
        lock(&self.peers).insert(cell.address, cell);
    }

    /// Takes the cell away, unless another peer has taken its address since.
    pub(crate) fn remove_peer(&self, cell: &Arc<PeerCell>) {
        let mut peers = lock(&self.peers);
        if peers.get(&cell.address).is_some_and(|c| Arc::ptr_eq(c, cell)) {
            peers.remove(&cell.address);
        }
    }

    /// The one peer that is meant by this address.
    pub(crate) fn named(&self, address: PeerAddress) -> Option<PeerAddress> {
        only(&lock(&self.peers), address)
    }

    pub(crate) fn peer_id(&self, address: PeerAddress) -> Option<PeerId> {
        let peers = lock(&self.peers);
        peers.get(&only(&peers, address)?).map(|cell| cell.id)
    }

    /// The interface that leads to `gateway`, which the peer `source` at `told_by` has told: its own, if it is the gateway
    /// itself or nobody else is; else that of the peer which is.
    pub(crate) fn interface_to(&self, gateway: IpAddr, source: Option<(PeerId, IpAddr)>) -> Option<String> {
        let peers = lock(&self.peers);
        let at = |ip: IpAddr| {
            let here = peers.range(PeerAddress::from(ip)..).take_while(move |(at, _)| at.ip() == ip);
            here.map(|(_, cell)| cell)
        };
        let teller = source.and_then(|(id, ip)| at(ip).find(|cell| cell.id == id));
        let cell = match teller {
            Some(teller) if teller.address == gateway => Some(teller),
            _ => at(gateway).next().or(teller),
        };
        let cell = cell.cloned();
        drop(peers);
        cell?.config().options.interface.clone()
    }

    /// How a move from a mesh to reflectors or back stands.
    pub(crate) fn set_migration(&self, migration: Option<MigrationStatus>) {
        *lock(&self.migration) = migration;
    }

    /// Whose routes are held back.
    pub(crate) fn set_not_ready(&self, owners: Vec<OwnerId>) {
        *lock(&self.not_ready) = owners;
    }

    pub(crate) fn count_stranger(&self) {
        self.strangers.fetch_add(1, Ordering::Relaxed);
    }

    /// How a listen range stands now.
    pub(crate) fn set_range(&self, range: RangeStatus) {
        lock(&self.ranges).insert(range.prefix, range);
    }

    pub(crate) fn remove_range(&self, prefix: IpNet) {
        lock(&self.ranges).remove(&prefix);
    }

    /// What the system has counted.
    pub(crate) fn set_signatures(&self, failures: Option<SignatureFailures>) {
        *lock(&self.signatures) = failures;
    }

    pub(crate) fn set_table(&self, table: TableStatus) {
        *lock(&self.table) = table;
    }

    /// What is to be exported, if anything.
    pub(crate) fn kernel_as(&self, desired: &Desired) -> Option<KernelConfig> {
        match &desired.kernel {
            Some(KernelExport::On(config)) => Some(config.clone()),
            Some(KernelExport::Off) => None,
            None => self.built_kernel.clone(),
        }
    }

    /// What is to be learned, if anything.
    pub(crate) fn learn_as(&self, desired: &Desired) -> Option<LearnConfig> {
        match &desired.learn {
            Some(Learning::On(config)) => Some(config.clone()),
            Some(Learning::Off) => None,
            None => self.built_learn.clone(),
        }
    }

    /// How many next hops a prefix is to have from now on; whether that is news.
    pub(crate) fn set_multipath(&self, desired: &Desired) -> Option<Multipath> {
        let wanted = desired.multipath.unwrap_or(self.built_multipath);
        let before = std::mem::replace(&mut *lock(&self.multipath), wanted);
        (before != wanted).then_some(wanted)
    }

    /// How routes are to be decided from now on; whether that is news.
    pub(crate) fn set_decision(&self, desired: &Desired) -> Option<DecisionOptions> {
        let wanted = desired.decision.unwrap_or(self.built_decision);
        let before = std::mem::replace(&mut *lock(&self.decision), wanted);
        (before != wanted).then_some(wanted)
    }

    /// Which prefixes are to have one origin from now on; whether that is news.
    pub(crate) fn set_unique_origins(&self, wanted: &[IpNet]) -> bool {
        let mut is = lock(&self.unique_origins);
        let news = *is != wanted;
        *is = wanted.to_vec();
        news
    }

    /// Which prefixes are to have one origin.
    pub(crate) fn unique_origins(&self) -> Vec<IpNet> {
        lock(&self.unique_origins).clone()
    }

    /// How routes are decided.
    pub(crate) fn decision(&self) -> DecisionOptions {
        *lock(&self.decision)
    }

    /// How long a migration is to wait for a new peer when another one is there.
    pub(crate) fn patience_as(&self, desired: &Desired) -> Duration {
        desired.migration_patience.unwrap_or(self.built_patience)
    }

    /// How many next hops a prefix may have.
    pub(crate) fn multipath(&self) -> Multipath {
        *lock(&self.multipath)
    }

    /// What is known of origin validation.
    pub(crate) fn set_vrps(&self, vrps: VrpStatus) {
        *lock(&self.vrps) = Some(vrps);
    }

    /// Where the kernel follower tells how it stands, if there is one.
    pub(crate) fn set_kernel(&self, follower: Option<&FollowerHandle>) {
        *lock(&self.kernel) = follower.map(|follower| (follower.watch(), follower.sender()));
    }

    /// Where the kernel follower is asked about its routes, if there is one.
    pub(crate) fn kernel_routes(&self) -> Option<FollowerSender> {
        lock(&self.kernel).as_ref().map(|(_, sender)| sender.clone())
    }

    /// How the kernel follower stands, if there is one.
    pub(crate) fn kernel(&self) -> Option<watch::Receiver<Arc<FollowerStatus>>> {
        lock(&self.kernel).as_ref().map(|(status, _)| status.clone())
    }

    /// Whether routes in the kernel are to outlive the speaker.
    pub(crate) fn set_routes_stay(&self, stay: bool) {
        self.routes_stay.store(stay, Ordering::Relaxed);
    }

    pub(crate) fn routes_stay(&self) -> bool {
        self.routes_stay.load(Ordering::Relaxed)
    }

    /// The whole speaker is about to go: every peer is to be told so.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// A peer or a range has come, changed or gone by configuration.
    pub(crate) fn note_reconfigured(&self) {
        *lock(&self.reconfigured) = SystemTime::now();
    }

    /// Whether there is a listen range.
    pub(crate) fn set_ranges(&self, patience: Option<Duration>) {
        *lock(&self.ranges_patience) = patience;
    }

    /// Every peer is up and has told its whole table, and there is one. Nobody knows how many will come through a range.
    pub(crate) fn all_told(&self) -> bool {
        let peers = lock(&self.peers);
        lock(&self.ranges_patience).is_none() && !peers.is_empty() && peers.values().all(|c| c.has_told_all())
    }

    pub(crate) fn status(&self) -> Status {
        let cells: Vec<_> = lock(&self.peers).values().cloned().collect();
        let (now, us) = (self.now(), self.us());
        Status {
            version: self.version.clone(),
            asn: us.asn,
            router_id: us.router_id,
            cluster_id: us.cluster_id,
            started: self.started,
            uptime: now,
            reconfigured: *lock(&self.reconfigured),
            listen: lock(&self.listen).clone(),
            not_listening: lock(&self.not_listening).clone(),
            peers: cells.iter().map(|c| c.status(now)).collect(),
            migration: lock(&self.migration).clone(),
            not_ready: lock(&self.not_ready).clone(),
            ranges: lock(&self.ranges).values().cloned().collect(),
            strangers: self.strangers.load(Ordering::Relaxed),
            keepalive_lateness: self.lateness.snapshot(),
            turns: self.turns.snapshot(),
            signatures: *lock(&self.signatures),
            table: *lock(&self.table),
            vrps: *lock(&self.vrps),
            kernel: self.kernel().map(|status| status.borrow().clone()),
        }
    }
}

/// The peer of this name; of a link-local address without interface, the only peer that has it.
fn only<T>(peers: &BTreeMap<PeerAddress, T>, address: PeerAddress) -> Option<PeerAddress> {
    if peers.contains_key(&address) {
        return Some(address);
    }
    let mut named = peers.range(address..).map(|(at, _)| *at).take_while(|at| address.names(*at));
    named.next().filter(|_| named.next().is_none())
}
