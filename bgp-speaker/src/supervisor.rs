//! The supervisor: it owns the peers and the listeners, brings accepted sockets to their peer, and ends everything.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bgp_fsm::Stop;
use bgp_wire::Notification;
use ipnet::IpNet;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id, JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::config::{PeerConfig, RangeConfig};
use crate::door::Door;
use crate::error::SpeakerError;
use crate::event::Event;
use crate::peer::{Mailbox, Order, PeerCell, PeerTask};
use crate::session;
use crate::shared::Shared;
use crate::speaker::ShutdownMode;
use crate::strangers::Strangers;

/// How long peers may take to hear our last words when the speaker ends; longer than a lingering connection lives.
const FAREWELL: Duration = Duration::from_secs(3);

/// What handles ask of the supervisor.
#[derive(Debug)]
pub(crate) enum Command {
    AddPeer(Box<PeerConfig>, oneshot::Sender<Result<(), SpeakerError>>),
    RemovePeer(IpAddr, oneshot::Sender<Result<(), SpeakerError>>),
    AddRange(Box<RangeConfig>, oneshot::Sender<Result<(), SpeakerError>>),
    RemoveRange(IpNet, oneshot::Sender<Result<(), SpeakerError>>),
    Mesh(BTreeMap<IpAddr, PeerConfig>, oneshot::Sender<()>),
    Shutdown(ShutdownMode, oneshot::Sender<()>),
}

/// Why there is a peer. A configured one takes the place of one from the mesh, and that of one from a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Configured,
    Mesh,
    Range(IpNet),
}

#[derive(Debug)]
struct Entry {
    cell: Arc<PeerCell>,
    mailbox: Arc<Mailbox>,
    origin: Origin,
}

/// A listen range, and how many peers are there through it.
#[derive(Debug)]
struct Range {
    config: RangeConfig,
    members: usize,
}

/// Everything that has to end with the speaker, besides the peers.
pub(crate) struct Household {
    pub(crate) listeners: JoinSet<()>,
    /// The tables' task, as long as it runs.
    pub(crate) rib: Option<JoinHandle<()>>,
    /// The kernel's follower, which goes on while the sender lives.
    pub(crate) kernel: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

pub(crate) struct Supervisor {
    shared: Arc<Shared>,
    door: Arc<Door>,
    seed: u64,
    commands: mpsc::Receiver<Command>,
    accepted: mpsc::Receiver<(TcpStream, SocketAddr)>,
    household: Household,
    peers: BTreeMap<IpAddr, Entry>,
    ranges: Vec<Range>,
    mesh: BTreeMap<IpAddr, PeerConfig>,
    tasks: JoinSet<()>,
    running: HashMap<Id, Arc<PeerCell>>,
    strangers: Strangers,
}

impl Supervisor {
    pub(crate) fn new(
        shared: Arc<Shared>,
        door: Arc<Door>,
        seed: u64,
        commands: mpsc::Receiver<Command>,
        accepted: mpsc::Receiver<(TcpStream, SocketAddr)>,
        household: Household,
    ) -> Self {
        Self {
            strangers: Strangers::new(shared.clone()),
            shared,
            door,
            seed,
            commands,
            accepted,
            household,
            peers: BTreeMap::new(),
            ranges: Vec::new(),
            mesh: BTreeMap::new(),
            tasks: JoinSet::new(),
            running: HashMap::new(),
        }
    }

    /// Works until it is told to end, or nobody is left who could tell it.
    pub(crate) async fn run(mut self) {
        let (mode, reply) = loop {
            let report_due = self.strangers.due();
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
                () = tokio::time::sleep_until(report_due) => self.strangers.report(),
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
            Command::AddRange(range, reply) => {
                let _ = reply.send(self.add_range(*range));
            }
            Command::RemoveRange(prefix, reply) => {
                let _ = reply.send(self.remove_range(prefix));
            }
            Command::Mesh(peers, reply) => {
                self.mesh = peers;
                self.apply_mesh();
                let _ = reply.send(());
            }
            // Taken by the loop that calls this.
            Command::Shutdown(..) => {}
        }
    }

    fn add_configured(&mut self, config: PeerConfig) -> Result<(), SpeakerError> {
        let address = config.address;
        match self.peers.get(&address).map(|e| e.origin) {
            Some(Origin::Configured) => return Err(SpeakerError::DuplicatePeer(address)),
            Some(Origin::Mesh | Origin::Range(_)) => self.remove(address),
            None => {}
        }
        self.add(config, Origin::Configured);
        Ok(())
    }

    fn remove_configured(&mut self, address: IpAddr) -> Result<(), SpeakerError> {
        match self.peers.get(&address).map(|e| e.origin) {
            Some(Origin::Configured | Origin::Range(_)) => {
                self.remove(address);
                // A mesh node stood behind the configured peer.
                self.apply_mesh();
                Ok(())
            }
            Some(Origin::Mesh) | None => Err(SpeakerError::UnknownPeer(address)),
        }
    }

    fn add_range(&mut self, range: RangeConfig) -> Result<(), SpeakerError> {
        if self.ranges.iter().any(|r| r.config.prefix == range.prefix) {
            return Err(SpeakerError::DuplicateRange(range.prefix));
        }
        self.ranges.push(Range { config: range, members: 0 });
        Ok(())
    }

    fn remove_range(&mut self, prefix: IpNet) -> Result<(), SpeakerError> {
        let at = self.ranges.iter().position(|r| r.config.prefix == prefix);
        self.ranges.remove(at.ok_or(SpeakerError::UnknownRange(prefix))?);
        let of_range = self.peers.iter().filter(|(_, e)| e.origin == Origin::Range(prefix));
        let addresses: Vec<IpAddr> = of_range.map(|(a, _)| *a).collect();
        for address in addresses {
            self.remove(address);
        }
        Ok(())
    }

    /// Removes and adds what differs between the mesh that is there and the one that is wanted.
    fn apply_mesh(&mut self) {
        let wanted = std::mem::take(&mut self.mesh);
        let of_mesh = self.peers.iter().filter(|(_, e)| e.origin == Origin::Mesh);
        let gone: Vec<IpAddr> =
            of_mesh.filter(|(a, e)| wanted.get(a) != Some(&e.cell.config)).map(|(a, _)| *a).collect();
        for address in gone {
            self.remove(address);
        }
        for (address, config) in &wanted {
            if matches!(self.peers.get(address), Some(Entry { origin: Origin::Range(_), .. })) {
                self.remove(*address);
            }
            if !self.peers.contains_key(address) {
                self.add(config.clone(), Origin::Mesh);
            }
        }
        self.mesh = wanted;
    }

    fn add(&mut self, config: PeerConfig, origin: Origin) -> Arc<Mailbox> {
        let id = self.shared.ids.take();
        let address = config.address;
        let local_as = config.options.local_as.unwrap_or(self.shared.asn);
        let session = session::config(&self.shared, &config);
        let cell = Arc::new(PeerCell::new(id, config, local_as));
        let mailbox = Arc::new(Mailbox::new(cell.clone(), self.door.clone()));
        // Each session has its own jitter.
        let seed = self.seed ^ u64::from(id.0).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let dynamic = matches!(origin, Origin::Range(_));
        let mut task =
            PeerTask::new(self.shared.clone(), cell.clone(), mailbox.clone(), session, seed, dynamic);
        task.start();
        self.shared.insert_peer(cell.clone());
        self.running.insert(self.tasks.spawn(task).id(), cell.clone());
        self.peers.insert(address, Entry { cell, mailbox: mailbox.clone(), origin });
        self.shared.emit(Event::PeerAdded { peer: address });
        mailbox
    }

    /// Takes a peer out at once; its task says goodbye on its own.
    fn remove(&mut self, address: IpAddr) {
        if let Some(entry) = self.take(address) {
            entry.mailbox.order(Order::Stop(Stop::Notify(Notification::cease_deconfigured())));
            self.shared.remove_peer(&entry.cell);
            self.shared.emit(Event::PeerRemoved { peer: address });
        }
    }

    fn take(&mut self, address: IpAddr) -> Option<Entry> {
        let entry = self.peers.remove(&address)?;
        if let Origin::Range(prefix) = entry.origin
            && let Some(range) = self.ranges.iter_mut().find(|r| r.config.prefix == prefix)
        {
            range.members -= 1;
        }
        Some(entry)
    }

    fn task_ended(&mut self, id: Id, panicked: bool) {
        let Some(cell) = self.running.remove(&id) else { return };
        let address = cell.config.address;
        if panicked {
            tracing::error!(peer = %address, "the peer's task ended by a bug; add the peer again to go on");
        }
        // Another peer may have taken the address since.
        if self.peers.get(&address).is_some_and(|e| Arc::ptr_eq(&e.cell, &cell)) {
            self.take(address);
            self.shared.remove_peer(&cell);
            self.shared.emit(Event::PeerRemoved { peer: address });
        }
    }

    fn accepted(&mut self, stream: TcpStream, remote: SocketAddr) {
        let address = remote.ip();
        if let Some(entry) = self.peers.get(&address) {
            if entry.mailbox.accepted(stream).is_err() {
                tracing::debug!(peer = %address, "connection refused: those before it are still being looked at");
            }
            return;
        }
        let Some(range) = self.range_for(address) else {
            self.strangers.count(address);
            return;
        };
        range.members += 1;
        let config = range.config.peer(address);
        let origin = Origin::Range(range.config.prefix);
        // A new mailbox has room.
        let _ = self.add(config, origin).accepted(stream);
    }

    /// The longest range that has this address, if it still takes peers.
    fn range_for(&mut self, address: IpAddr) -> Option<&mut Range> {
        let of_address = self.ranges.iter_mut().filter(|r| r.config.prefix.contains(&address));
        let range = of_address.max_by_key(|r| r.config.prefix.prefix_len())?;
        if range.members >= range.config.limit {
            tracing::debug!(peer = %address, range = %range.config.prefix, "the listen range is full");
            return None;
        }
        Some(range)
    }

    async fn end(mut self, mode: &ShutdownMode) {
        self.commands.close();
        self.household.listeners.shutdown().await;
        // Before the sessions: the routes that go with them stay in the kernel.
        if let Some((alive, follower)) = self.household.kernel.take() {
            drop(alive);
            // A task that panicked has ended too.
            let _ = follower.await;
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
        self.door.close();
        if self.household.rib.is_some() {
            ended(&mut self.household.rib).await;
        }
        self.shared.end_events();
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
