//! The supervisor: it owns the peers and the listeners, brings accepted sockets to their peer, and ends everything.

mod listeners;
mod ranges;
mod reset;
mod secrets;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bgp_fsm::{Bfd, Stop};
use bgp_wire::Notification;
use ipnet::IpNet;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id, JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::apply::Wanted;
use crate::config::{PeerConfig, RangeConfig};
use crate::desired::{ApplyReport, Change, NotDone};
use crate::door::{Closing, Door};
use crate::error::SpeakerError;
use crate::event::Event;
use crate::listening::{Accepted, Listening};
use crate::migration::{self, Migration};
use crate::peer::{Depth, Drain, Mailbox, Order, PeerCell, PeerTask, Unaccepted};
use crate::peer_address::PeerAddress;
use crate::rib_task::RibClient;
use crate::shared::{EndOfEvents, Shared, Us};
use crate::socket;
use crate::speaker::{Reset, ShutdownMode};
use crate::tcp::{Key, Listeners, Secret};
use crate::telling::{Tally, Telling};
use crate::update::Steps;

/// How long peers may take to hear our last words when the speaker ends; longer than a lingering connection lives.
const FAREWELL: Duration = Duration::from_secs(3);

pub(crate) use ranges::Range;

/// When nothing is to be told, look again.
const IDLE: Duration = Duration::from_secs(3600);

/// What handles ask of the supervisor.
#[derive(Debug)]
pub(crate) enum Command {
    AddPeer(Box<PeerConfig>, oneshot::Sender<Result<(), SpeakerError>>),
    RemovePeer(PeerAddress, oneshot::Sender<Result<(), SpeakerError>>),
    ClearLimit(PeerAddress, oneshot::Sender<Result<(), SpeakerError>>),
    AddRange(Box<RangeConfig>, oneshot::Sender<Result<(), SpeakerError>>),
    RemoveRange(IpNet, oneshot::Sender<Result<(), SpeakerError>>),
    Mesh(BTreeMap<PeerAddress, Arc<PeerConfig>>, Option<Us>, oneshot::Sender<()>),
    PeerPassword(PeerAddress, Option<Secret>, oneshot::Sender<Result<(), SpeakerError>>),
    RangePassword(IpNet, Option<Secret>, oneshot::Sender<Result<(), SpeakerError>>),
    MeshPassword(Option<Secret>, oneshot::Sender<()>),
    Bfd(PeerAddress, Bfd, oneshot::Sender<Result<(), SpeakerError>>),
    Drain(PeerAddress, Drain, oneshot::Sender<Result<(), SpeakerError>>),
    Leave(oneshot::Sender<()>),
    Apply(Box<Wanted>, oneshot::Sender<ApplyReport>),
    Update(Box<Steps>, oneshot::Sender<Vec<Change>>),
    Reset(PeerAddress, Reset, oneshot::Sender<Result<(), SpeakerError>>),
    Shutdown(ShutdownMode, oneshot::Sender<()>),
}

/// Why there is a peer. A configured one takes the place of one from the mesh, and that of one from a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Configured,
    Mesh,
    Range(IpNet),
}

pub(crate) struct Entry {
    pub(crate) cell: Arc<PeerCell>,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) origin: Origin,
    /// The key in use.
    key: Option<Key>,
    /// The task of a peer that may not begin yet.
    held: Option<Box<PeerTask>>,
}

/// Everything that has to end with the speaker, besides the peers.
pub(crate) struct Household {
    pub(crate) listening: Listening,
    /// The tables' task, as long as it runs.
    pub(crate) rib: Option<JoinHandle<()>>,
    /// The way to it.
    pub(crate) tables: RibClient,
    /// The task of the kernel export, which goes on while the sender lives.
    pub(crate) kernel: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
    /// Kernel routes of others are learned while the sender lives.
    pub(crate) learning: Option<oneshot::Sender<()>>,
    /// The tables' task ends with it.
    pub(crate) closing: Closing,
    /// After all else.
    pub(crate) events: EndOfEvents,
}

pub(crate) struct Supervisor {
    pub(crate) shared: Arc<Shared>,
    door: Arc<Door>,
    seed: u64,
    commands: mpsc::Receiver<Command>,
    accepted: mpsc::Receiver<Accepted>,
    pub(crate) household: Household,
    /// The peers that are there, and those that are to be there.
    pub(crate) peers: BTreeMap<PeerAddress, Entry>,
    pub(crate) configured: BTreeMap<PeerAddress, Arc<PeerConfig>>,
    pub(crate) mesh: BTreeMap<PeerAddress, Arc<PeerConfig>>,
    pub(crate) ranges: BTreeMap<IpNet, Range>,
    /// Who we were before what is being applied; else who we are.
    pub(crate) former: Us,
    /// Peers that go when others have come.
    pub(crate) migration: Option<Migration>,
    /// How long a new peer is waited for in a migration when another one is there.
    pub(crate) patience: Duration,
    tasks: JoinSet<()>,
    running: HashMap<Id, Arc<PeerCell>>,
    strangers: Telling<IpAddr>,
    /// Ranges that have refused connections of which nobody was told yet.
    refusing: BTreeSet<IpNet>,
    pub(crate) listeners: Listeners,
    /// What is to be listened on and is not, and why.
    pub(crate) not_listening: Vec<NotDone>,
    /// Somebody has or had a key.
    secrets: bool,
}

impl Supervisor {
    pub(crate) fn new(
        shared: Arc<Shared>,
        door: Arc<Door>,
        seed: u64,
        commands: mpsc::Receiver<Command>,
        accepted: mpsc::Receiver<Accepted>,
        household: Household,
        listeners: Listeners,
    ) -> Self {
        Self {
            strangers: Telling::default(),
            refusing: BTreeSet::new(),
            former: shared.us(),
            shared,
            door,
            seed,
            commands,
            accepted,
            household,
            peers: BTreeMap::new(),
            configured: BTreeMap::new(),
            mesh: BTreeMap::new(),
            ranges: BTreeMap::new(),
            migration: None,
            patience: migration::PATIENCE,
            tasks: JoinSet::new(),
            running: HashMap::new(),
            listeners,
            not_listening: Vec::new(),
            secrets: false,
        }
    }

    /// Works until it is told to end, or nobody is left who could tell it.
    pub(crate) async fn run(mut self) {
        self.tell_ranges();
        let mut review = interval(secrets::REVIEW);
        review.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mode, reply) = loop {
            let report_due = self.report_due();
            let (migrates, look_due) = (self.migration.is_some(), self.migration_due().unwrap_or(report_due));
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(Command::Shutdown(mode, reply)) => break (mode, Some(reply)),
                    Some(command) => self.command(command),
                    None => break (ShutdownMode::Restart, None),
                },
                Some((stream, remote)) = self.accepted.recv() => self.accepted(stream, remote),
                Some(ended) = self.tasks.join_next_with_id() => {
                    let id = match &ended {
                        Ok((id, ())) => *id,
                        Err(error) => error.id(),
                    };
                    self.task_ended(id, ended.is_err());
                }
                () = ended(&mut self.household.rib) => {
                    tracing::error!("the tables' task ended by a bug: the speaker ends");
                    break (ShutdownMode::HardReset, None);
                }
                () = tokio::time::sleep_until(report_due) => self.report(),
                () = tokio::time::sleep_until(look_due), if migrates => self.look_at_migration(),
                _ = review.tick(), if self.secrets || !self.not_listening.is_empty() => {
                    self.review();
                    self.listen_again();
                }
            }
        };
        self.end(&mode).await;
        if let Some(reply) = reply {
            // Who asked may have gone meanwhile.
            let _ = reply.send(());
        }
    }

    fn command(&mut self, command: Command) {
        // A caller who no longer waits for the answer has given up the call, not what it asked for.
        match command {
            Command::AddPeer(config, reply) => {
                let _ = reply.send(self.add_configured(*config));
            }
            Command::RemovePeer(address, reply) => {
                let _ = reply.send(self.remove_configured(address));
            }
            Command::ClearLimit(address, reply) => {
                let _ = reply.send(self.named(address).map(|entry| entry.mailbox.clear_limit()));
            }
            Command::Reset(address, reset, reply) => {
                let _ = reply.send(self.reset(address, &reset));
            }
            Command::AddRange(range, reply) => {
                let _ = reply.send(self.add_range(*range));
            }
            Command::RemoveRange(prefix, reply) => {
                let _ = reply.send(self.remove_range(prefix));
            }
            Command::Mesh(peers, us, reply) => {
                self.apply_mesh(peers, us);
                let _ = reply.send(());
            }
            Command::Apply(wanted, reply) => {
                let _ = reply.send(self.apply(*wanted));
            }
            Command::Update(steps, reply) => {
                let _ = reply.send(self.update(*steps));
            }
            Command::PeerPassword(address, secret, reply) => {
                let _ = reply.send(self.set_peer_password(address, secret));
            }
            Command::RangePassword(prefix, secret, reply) => {
                let _ = reply.send(self.set_range_password(prefix, secret));
            }
            Command::MeshPassword(secret, reply) => {
                self.set_mesh_password(secret.as_ref());
                let _ = reply.send(());
            }
            Command::Bfd(address, state, reply) => {
                let _ = reply.send(self.named(address).map(|entry| entry.mailbox.tell_bfd(state)));
            }
            Command::Drain(address, drain, reply) => {
                let _ = reply.send(self.named(address).map(|entry| entry.mailbox.drain(drain)));
            }
            Command::Leave(reply) => {
                self.shared.leave();
                self.peers.values().for_each(|entry| entry.mailbox.reconfigure(Depth::Configuration));
                let _ = reply.send(());
            }
            // Taken by the loop that calls this.
            Command::Shutdown(..) => {}
        }
        self.tell_ranges();
    }

    /// Others hear whether there are ranges, and how long to wait for who may come.
    fn tell_ranges(&self) {
        self.shared
            .set_ranges(self.ranges.values().map(|range| range.config.options.timers.patience()).max());
    }

    fn add_configured(&mut self, config: PeerConfig) -> Result<(), SpeakerError> {
        let address = config.at();
        if self.configured.contains_key(&address) {
            return Err(SpeakerError::DuplicatePeer(address));
        }
        self.configured.insert(address, Arc::new(config));
        self.settle(address);
        Ok(())
    }

    /// The one peer that a caller means.
    fn named(&self, address: PeerAddress) -> Result<&Entry, SpeakerError> {
        let named = self.shared.named(address).and_then(|address| self.peers.get(&address));
        named.ok_or(SpeakerError::UnknownPeer(address))
    }

    fn remove_configured(&mut self, address: PeerAddress) -> Result<(), SpeakerError> {
        let address = self.shared.named(address).unwrap_or(address);
        match self.peers.get(&address).map(|e| e.origin) {
            Some(Origin::Configured | Origin::Range(_)) => {
                self.configured.remove(&address);
                if !self.mesh.contains_key(&address) {
                    // Who comes through a range may come back; now it goes.
                    self.remove(address);
                }
                self.settle(address);
                Ok(())
            }
            // One that only stays until others have come goes now.
            Some(Origin::Mesh) if !self.mesh.contains_key(&address) => {
                self.remove(address);
                Ok(())
            }
            Some(Origin::Mesh) | None => Err(SpeakerError::UnknownPeer(address)),
        }
    }

    pub(crate) fn add(&mut self, config: Arc<PeerConfig>, origin: Origin) -> Arc<Mailbox> {
        self.add_for(config, origin, None)
    }

    /// With what was said of the peer whose place it takes.
    pub(crate) fn add_for(
        &mut self,
        config: Arc<PeerConfig>,
        origin: Origin,
        former: Option<&PeerCell>,
    ) -> Arc<Mailbox> {
        let id = self.shared.ids.take();
        let address = config.at();
        let local_as = config.options.local_as.unwrap_or(self.shared.us().asn);
        let dynamic = matches!(origin, Origin::Range(_));
        let cell = Arc::new(PeerCell::new(id, config, local_as, dynamic));
        let mailbox = Arc::new(Mailbox::new(cell.clone(), self.door.clone()));
        if let Some(former) = former {
            cell.set_drain(former.drain());
            former.bfd().into_iter().for_each(|state| mailbox.tell_bfd(state));
        }
        // Each session has its own jitter.
        let seed = self.seed ^ u64::from(id.0).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut task = PeerTask::new(self.shared.clone(), cell.clone(), mailbox.clone(), seed);
        self.shared.insert_peer(cell.clone());
        self.count_member(origin);
        self.shared.emit(Event::PeerAdded { peer: address });
        let admission = self.admit(&cell.config(), origin);
        let mut entry = Entry { cell: cell.clone(), mailbox: mailbox.clone(), origin, key: None, held: None };
        match admission {
            Ok(admission) => {
                entry.key.clone_from(&admission.key);
                cell.note(admission.note);
                task.start(admission.key);
                self.running.insert(self.tasks.spawn(task).id(), cell);
                self.peers.insert(address, entry);
            }
            Err(why) => {
                entry.held = Some(Box::new(task));
                self.peers.insert(address, entry);
                self.tell_held(address, &why);
            }
        }
        mailbox
    }

    /// Takes a peer out at once; its task says goodbye on its own.
    pub(crate) fn remove(&mut self, address: PeerAddress) {
        if let Some(entry) = self.take(address) {
            entry.mailbox.order(Order::Stop(Stop::Notify(Notification::cease_deconfigured())));
            self.shared.remove_peer(&entry.cell);
            self.shared.emit(Event::PeerRemoved { peer: address });
        }
    }

    fn take(&mut self, address: PeerAddress) -> Option<Entry> {
        let entry = self.peers.remove(&address)?;
        self.discount_member(entry.origin);
        if !matches!(entry.origin, Origin::Range(_)) {
            self.listeners.forget(IpNet::from(address.ip()));
            // What protects the sockets goes by the address alone, which others may have on other links.
            for other in self.of_address(address.ip()) {
                self.rearm(other);
            }
        }
        Some(entry)
    }

    fn task_ended(&mut self, id: Id, panicked: bool) {
        let Some(cell) = self.running.remove(&id) else { return };
        let address = cell.address;
        if panicked {
            tracing::error!(peer = %address, "the peer's task ended by a bug; add the peer again to go on");
        }
        // Another peer may have taken the address since.
        if self.peers.get(&address).is_some_and(|e| Arc::ptr_eq(&e.cell, &cell)) {
            self.gone(address);
            // One that came through a range may have been configured while its task ended.
            if !panicked {
                self.settle(address);
            }
        }
    }

    /// Takes out a peer whose task has ended.
    fn gone(&mut self, address: PeerAddress) {
        if let Some(entry) = self.take(address) {
            self.shared.remove_peer(&entry.cell);
            self.shared.emit(Event::PeerRemoved { peer: address });
        }
    }

    fn accepted(&mut self, stream: TcpStream, remote: SocketAddr) {
        let address = socket::peer_address(&stream, remote);
        if let Some(stream) = self.accepted_by_peer(stream, address) {
            self.accepted_by_range(stream, address);
        }
    }

    /// Hands a connection to the peer of this address; back if there is none.
    fn accepted_by_peer(&mut self, stream: TcpStream, address: PeerAddress) -> Option<TcpStream> {
        let Some(entry) = self.peers.get(&address) else { return Some(stream) };
        if !self.came_by_key(entry) {
            tracing::debug!(peer = %address, "connection refused: its key could not be checked");
            return None;
        }
        match entry.mailbox.accepted(stream) {
            Ok(()) => None,
            Err(Unaccepted::Full) => {
                tracing::debug!(peer = %address, "connection refused: those before it are still being looked at");
                None
            }
            // A peer of a range that comes back at once, before the end of its task has been noticed.
            Err(Unaccepted::Retired(stream)) => {
                let dynamic = matches!(entry.origin, Origin::Range(_));
                dynamic.then(|| self.gone(address)).map(|()| stream)
            }
        }
    }

    /// Counts a connection from an address that no peer and no range has.
    fn count_stranger(&mut self, address: IpAddr) {
        self.shared.count_stranger();
        let told = self.strangers.count(address, Instant::now());
        self.tell_strangers(told);
    }

    fn tell_strangers(&self, told: Option<Tally<IpAddr>>) {
        let Some(Tally { count, example }) = told else { return };
        tracing::warn!(count, %example, "connections from addresses that are no peers");
        self.shared.emit(Event::Strangers { count, example });
    }

    /// When connections that were turned away are to be told of next.
    fn report_due(&self) -> Instant {
        let due = self.strangers.due().into_iter().chain(self.refusals_due()).min();
        due.unwrap_or_else(|| Instant::now() + IDLE)
    }

    fn report(&mut self) {
        let now = Instant::now();
        let told = self.strangers.report(now);
        self.tell_strangers(told);
        self.report_refusals(now);
    }

    /// The peers of this address: several, on several links, if it is link-local.
    pub(crate) fn of_address(&self, ip: IpAddr) -> Vec<PeerAddress> {
        let here = self.peers.range(PeerAddress::from(ip)..).map(|(at, _)| *at);
        here.take_while(|at| at.ip() == ip).collect()
    }

    async fn end(mut self, mode: &ShutdownMode) {
        self.commands.close();
        // Before anything leaves the tables: learned routes, and those of sessions that end.
        self.door.hush();
        self.household.listening.shutdown().await;
        self.listeners.close();
        drop(self.household.learning.take());
        // Routes that stay in the kernel must not go with the sessions. Those that go must not go first: peers would send into
        // the void until they hear that we leave.
        let stay = self.shared.routes_stay();
        if stay {
            self.household.end_kernel().await;
        }
        for entry in self.peers.values() {
            entry.mailbox.order(Order::Stop(farewell(mode)));
        }
        // Peers that were removed a moment ago are saying goodbye already.
        let all_ended = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(FAREWELL, all_ended).await.is_err() {
            self.tasks.shutdown().await;
        }
        for entry in self.peers.values() {
            self.shared.remove_peer(&entry.cell);
        }
        if !stay {
            self.household.end_kernel().await;
        }
        drop(self.household.closing);
        if self.household.rib.is_some() {
            ended(&mut self.household.rib).await;
        }
        drop(self.household.events);
    }
}

impl Household {
    async fn end_kernel(&mut self) {
        if let Some((alive, task)) = self.kernel.take() {
            drop(alive);
            // A task that panicked has ended too.
            let _ = task.await;
        }
    }
}

/// Waits for the end of a task, once; for ever after that.
async fn ended(task: &mut Option<JoinHandle<()>>) {
    match task {
        Some(handle) => {
            // A task that panicked has ended too.
            let _ = handle.await;
            *task = None;
        }
        None => std::future::pending().await,
    }
}

fn farewell(mode: &ShutdownMode) -> Stop {
    match mode {
        ShutdownMode::Restart => Stop::Silent,
        ShutdownMode::Admin { text } => Stop::Notify(Notification::cease_shutdown(text)),
        // Goes out as a Hard Reset where RFC 8538 would otherwise keep our routes.
        ShutdownMode::HardReset => Stop::Notify(Notification::cease_reset("")),
    }
}
