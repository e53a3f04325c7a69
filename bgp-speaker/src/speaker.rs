//! The handle that a program holds: every call goes to the supervisor or to the table's task, none waits for a peer.

use std::sync::Arc;
use std::time::Duration;

use bgp_fsm::Bfd;
use bgp_rib::{Destination, OwnerId, Policy, Vrp};
use bgp_wire::{Asn, Family, RouterId};
use ipnet::IpNet;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedMutexGuard, mpsc, oneshot};

use crate::apply::{Wanted, check_routes};
use crate::builder::Builder;
use crate::config::{MAX_ORIGINATED_PER_CALL, MAX_VRPS, PeerConfig, RangeConfig};
use crate::desired::{ApplyReport, Change, ChangeClass, Desired, NotDone, Subject};
use crate::error::{SpeakerError, StartError};
use crate::event::Events;
use crate::kernel::{KernelConfig, RouteReport};
use crate::kernel_feed;
use crate::learn_feed;
use crate::mesh::MeshNode;
use crate::originations::check_owner;
use crate::peer::Drain;
use crate::peer_address::PeerAddress;
use crate::rib_task::{DryRun, FilterPeers, Query, RibClient};
use crate::route::{DryRunPage, Explanation, Route, RouteCursor, RouteFilter, RoutePage};
use crate::shared::Shared;
use crate::start;
use crate::status::Status;
use crate::subscription::Subscription;
use crate::supervisor::Command;
use crate::tcp::Secret;
use crate::update::{Batch, MeshBook, Steps};
use crate::vrps;

/// How a speaker takes its leave.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ShutdownMode {
    /// Close TCP and say nothing: peers with graceful restart keep our routes until we return (RFC 4724).
    #[default]
    Restart,
    /// Cease / Administrative Shutdown with words for the peer's operator (RFC 9003); peers drop our routes.
    Admin {
        /// At most 255 octets of UTF-8 are sent.
        text: String,
    },
    /// Cease / Hard Reset: peers drop our routes even where RFC 8538 would keep them.
    HardReset,
}

/// How a session is begun anew, or its routes are told again ([`Speaker::reset`]).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reset {
    /// The peer is asked for all of its routes (RFC 2918); the session goes on.
    SoftIn,
    /// The peer is told all of its routes once more, as if it had asked for them; the session goes on.
    SoftOut,
    /// Both.
    Soft,
    /// The session ends with Cease / Administrative Reset (RFC 4486), with words for the peer's operator (RFC 9003), and
    /// begins anew; without a session the next attempt is made at once.
    Hard {
        /// At most 255 octets of UTF-8 are sent.
        text: String,
    },
}

/// A running speaker. Clones are handles to the same one; it ends when the last is dropped, as with
/// [`ShutdownMode::Restart`].
#[derive(Debug, Clone)]
pub struct Speaker {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    rib: RibClient,
    kernel: mpsc::Sender<kernel_feed::Order>,
    learn: mpsc::Sender<learn_feed::Order>,
    /// Held by calls that change peers, ranges and the mesh as a whole: what comes of two at a time would be neither.
    book: Arc<Mutex<MeshBook>>,
    /// Where the speaker runs: who calls may be elsewhere.
    runtime: Handle,
}

impl Speaker {
    /// Begins to put a speaker of this AS and BGP identifier together.
    pub fn builder(asn: Asn, router_id: RouterId) -> Builder {
        Builder::new(asn, router_id)
    }

    pub(crate) async fn start(builder: Builder) -> Result<Self, StartError> {
        let start::Started { shared, commands, rib, kernel, learn, book } = start::start(builder).await?;
        let (book, runtime) = (Arc::new(Mutex::new(book)), Handle::current());
        Ok(Self { shared, commands, rib, kernel, learn, book, runtime })
    }

    /// Makes the speaker do all that is asked for and nothing else, and tells what that changed. What is so already is not
    /// touched: an unchanged peer keeps its session and an unchanged route makes no UPDATE, and applying the same again
    /// changes nothing. Calls such as [`Speaker::add_peer`] and [`Speaker::announce`] change what the next one starts from.
    ///
    /// A peer that changes keeps its session wherever the session would come up in the same way with the new configuration,
    /// also when it moves between the mesh, a range and the configured peers.
    ///
    /// # Errors
    /// Something is out of range, there twice, or ours; then nothing is changed. Who gives up waiting for the answer has
    /// changed nothing or all of it: what has begun goes on.
    pub async fn apply(&self, desired: Desired) -> Result<ApplyReport, SpeakerError> {
        check_routes(&desired)?;
        desired.vrps.as_deref().map_or(Ok(()), vrps::check)?;
        let export = self.shared.kernel_as(&desired);
        export.as_ref().map_or(Ok(()), KernelConfig::check).map_err(SpeakerError::Kernel)?;
        let book = self.book.clone().lock_owned().await;
        let (wanted, becomes) = Wanted::of(&desired, &self.shared)?;
        // From here on it goes on without the caller: one that gives up changes nothing or all.
        let speaker = self.clone();
        let doing = async move { speaker.become_all(desired, (wanted, becomes), export, book).await };
        self.runtime.spawn(doing).await.map_err(|_| SpeakerError::Stopped)?
    }

    /// Does what was found to be possible.
    async fn become_all(
        &self,
        mut desired: Desired,
        (wanted, becomes): (Wanted, MeshBook),
        export: Option<KernelConfig>,
        mut book: OwnedMutexGuard<MeshBook>,
    ) -> Result<ApplyReport, SpeakerError> {
        // Routes first: a peer that is new is told them with its first table.
        let routes = self.rib.originate_all(std::mem::take(&mut desired.routes)).await?;
        if wanted.us.names() != self.shared.us().names() {
            let us = wanted.us.clone();
            self.rib.ask(|reply| Query::Rename(us, reply)).await?;
        }
        let validation = match &desired.vrps {
            Some(vrps) => vrps::become_all(&self.shared, &self.rib, vrps).await?,
            None => None,
        };
        let multipath = self.become_multipath(&desired).await?;
        let decision = self.become_decision(&desired).await?;
        let origins = self.become_unique_origins(&desired).await?;
        let learning = self.order(&self.learn, self.shared.learn_as(&desired)).await?;
        let kernel = self.order(&self.kernel, export).await?;
        let way = self.way().await?;
        *book = becomes;
        let mut report = answered(send(way, |reply| Command::Apply(Box::new(wanted), reply))).await?;
        report.changes.extend(multipath.into_iter().chain(decision).chain(origins).chain(validation));
        for outcome in [kernel, learning] {
            match outcome {
                Ok(change) => report.changes.extend(change),
                Err(why) => report.not_done.push(why),
            }
        }
        report.changes.extend(routes);
        Ok(report)
    }

    /// What `status` reads, without a handle.
    #[cfg(feature = "metrics")]
    pub(crate) fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// Lets prefixes have as many next hops as is asked for.
    async fn become_multipath(&self, desired: &Desired) -> Result<Option<Change>, SpeakerError> {
        let Some(multipath) = self.rib.set_multipath(&self.shared, desired).await? else { return Ok(None) };
        let why = format!("changed, to at most {}", multipath.paths.max(1));
        Ok(Some(Change { subject: Subject::Multipath, class: ChangeClass::Soft, why }))
    }

    /// Decides every route by these options.
    async fn become_decision(&self, desired: &Desired) -> Result<Option<Change>, SpeakerError> {
        let why = "changed: every route is decided anew".to_owned();
        let change = Change { subject: Subject::Decision, class: ChangeClass::Soft, why };
        Ok(self.rib.set_decision(&self.shared, desired).await?.then_some(change))
    }

    /// Looks for second origins in these networks.
    async fn become_unique_origins(&self, desired: &Desired) -> Result<Option<Change>, SpeakerError> {
        let why = "changed: every prefix is looked at anew".to_owned();
        let change = Change { subject: Subject::UniqueOrigins, class: ChangeClass::Soft, why };
        Ok(self.rib.set_unique_origins(&self.shared, desired).await?.then_some(change))
    }

    /// Makes the kernel export, or what is learned from it, this.
    async fn order<T>(
        &self,
        task: &mpsc::Sender<TaskOrder<T>>,
        wanted: Option<T>,
    ) -> Result<Result<Option<Change>, NotDone>, SpeakerError> {
        let (reply, answer) = oneshot::channel();
        task.send((wanted.map(Box::new), reply)).await.map_err(|_| SpeakerError::Stopped)?;
        answered(answer).await
    }

    /// Makes the changes of a batch, in work that is that of the changes: a node that joins a mesh of five thousand is one
    /// peer. It tells what that changed, as [`Speaker::apply`] does, which goes on from where this leaves off.
    ///
    /// # Errors
    /// Something is out of range, there twice, or ours; then nothing is changed.
    pub async fn update(&self, batch: Batch) -> Result<ApplyReport, SpeakerError> {
        let mut book = self.book.lock().await;
        // From here on nothing waits before both are on their way: a caller that gives up changes nothing or all.
        let way = self.way().await?;
        let rib = self.rib.reserve().await?;
        let steps = Steps::of(&batch, &self.shared, &mut book)?;
        // Routes first: a peer that is new is told them with its first table.
        let (routes, told) = rib.step(batch.announced, batch.withdrawn, steps.us.clone());
        let settled = send(way, |reply| Command::Update(Box::new(steps), reply));
        answered(told).await?;
        let mut changes = answered(settled).await?;
        changes.extend(routes);
        Ok(ApplyReport { changes, not_done: Vec::new() })
    }

    /// Adds a peer and, unless it is passive, begins to dial it.
    ///
    /// # Errors
    /// The configuration is out of range, or the address is ours or taken.
    pub async fn add_peer(&self, peer: PeerConfig) -> Result<(), SpeakerError> {
        let us = self.shared.us();
        peer.check(us.asn, &us.addresses)?;
        self.call(|reply| Command::AddPeer(Box::new(peer), reply)).await?
    }

    /// Removes a peer: it is told Cease / Peer De-configured, and its routes go.
    ///
    /// # Errors
    /// There is no such peer.
    pub async fn remove_peer(&self, address: impl Into<PeerAddress>) -> Result<(), SpeakerError> {
        let address = address.into();
        self.call(|reply| Command::RemovePeer(address, reply)).await?
    }

    /// Brings what BFD says about the way to a peer, from a BFD that runs elsewhere. [`Bfd::Up`] and then [`Bfd::Down`] ends
    /// the session at once with Cease / BFD Down (RFC 9384); what is kept of the peer's routes follows from
    /// `control_plane_independent` (RFC 5882 §4.3). What was said last is remembered for as long as the peer is there.
    ///
    /// # Errors
    /// There is no such peer.
    pub async fn bfd(&self, peer: impl Into<PeerAddress>, state: Bfd) -> Result<(), SpeakerError> {
        let peer = peer.into();
        self.call(|reply| Command::Bfd(peer, state, reply)).await?
    }

    /// Begins a session anew, or has its routes told again while it goes on. A peer that is held down, after a limit or
    /// because it was drained, stays so: see [`Speaker::clear_limit`] and [`Speaker::resume_peer`].
    ///
    /// # Errors
    /// There is no such peer; for the soft ways also: it is not up, or did not announce route refresh.
    pub async fn reset(&self, address: impl Into<PeerAddress>, reset: Reset) -> Result<(), SpeakerError> {
        let address = address.into();
        self.call(|reply| Command::Reset(address, reset, reply)).await?
    }

    /// Lets a peer come back whose session ended for a limit.
    ///
    /// # Errors
    /// There is no such peer.
    pub async fn clear_limit(&self, address: impl Into<PeerAddress>) -> Result<(), SpeakerError> {
        let address = address.into();
        self.call(|reply| Command::ClearLimit(address, reply)).await?
    }

    /// Accepts peers from a range of addresses.
    ///
    /// # Errors
    /// The configuration is out of range, or the prefix is taken.
    pub async fn add_listen_range(&self, range: RangeConfig) -> Result<(), SpeakerError> {
        range.check(self.shared.us().asn)?;
        self.call(|reply| Command::AddRange(Box::new(range.canonical()), reply)).await?
    }

    /// Stops accepting peers from a range and removes those that came through it.
    ///
    /// # Errors
    /// There is no such range.
    pub async fn remove_listen_range(&self, prefix: IpNet) -> Result<(), SpeakerError> {
        self.call(|reply| Command::RemoveRange(prefix.trunc(), reply)).await?
    }

    /// Makes this node's mesh sessions those that the list asks for. Every node is given the same list, itself included.
    /// Sessions that the list does not change stay as they are; an empty list ends the mesh. A peer that was added by
    /// [`Speaker::add_peer`] takes precedence over a node with the same address. Sessions have the options that
    /// [`Speaker::apply`] gave the mesh last, else those that the speaker was built with.
    ///
    /// # Errors
    /// This node is not in the list, or two nodes have one address; then nothing is changed.
    pub async fn mesh(&self, nodes: &[MeshNode]) -> Result<(), SpeakerError> {
        let mut book = self.book.lock().await;
        let us = self.shared.us();
        let (becomes, peers) = self.shared.mesh_of(nodes, book.clone(), &us)?;
        let renamed = Some(self.shared.us_with(&us, &becomes)).filter(|becomes| *becomes != us);
        let way = self.way().await?;
        let rib = self.rib.reserve().await?;
        *book = becomes;
        let told = renamed.clone().map(|us| rib.rename(us));
        let settled = send(way, |reply| Command::Mesh(peers, renamed, reply));
        if let Some(told) = told {
            answered(told).await?;
        }
        answered(settled).await
    }

    /// Changes the password of a peer that was added by [`Speaker::add_peer`]. One password follows another without a restart:
    /// the session outlives the change if the peer's end changes within the hold time. To begin or to end with a password
    /// restarts the session; both ends keep its routes meanwhile where graceful restart with the N bit was agreed on (RFC 8538).
    /// No other session is touched.
    ///
    /// # Errors
    /// There is no such peer.
    pub async fn set_peer_password(
        &self,
        address: impl Into<PeerAddress>,
        password: Option<Secret>,
    ) -> Result<(), SpeakerError> {
        let address = address.into();
        self.call(|reply| Command::PeerPassword(address, password, reply)).await?
    }

    /// Changes the password of a listen range and of the peers that came through it, as [`Speaker::set_peer_password`] does
    /// for one.
    ///
    /// # Errors
    /// There is no such range.
    pub async fn set_range_password(
        &self,
        prefix: IpNet,
        password: Option<Secret>,
    ) -> Result<(), SpeakerError> {
        self.call(|reply| Command::RangePassword(prefix.trunc(), password, reply)).await?
    }

    /// Changes the password of all mesh sessions, those that come later included, as [`Speaker::set_peer_password`] does for
    /// one.
    ///
    /// # Errors
    /// The speaker has been shut down.
    pub async fn set_mesh_password(&self, password: Option<Secret>) -> Result<(), SpeakerError> {
        let mut book = self.book.lock().await;
        let way = self.way().await?;
        if let Some(options) = &mut book.options {
            options.password.clone_from(&password);
        }
        self.shared.set_mesh_password(password.clone());
        answered(send(way, |reply| Command::MeshPassword(password, reply))).await
    }

    /// Originates routes. A prefix that this owner announces already gets the new attributes; one that is announced again
    /// unchanged makes no UPDATE. Two owners of a prefix hold it until both have withdrawn it.
    ///
    /// # Errors
    /// A next hop does not fit its prefix, the owner is [reserved](SpeakerError::ReservedOwner), or too many routes for one call;
    /// then none is announced.
    pub async fn announce(
        &self,
        owner: OwnerId,
        routes: impl IntoIterator<Item = Route>,
    ) -> Result<(), SpeakerError> {
        let routes: Vec<Route> = routes.into_iter().take(MAX_ORIGINATED_PER_CALL + 1).collect();
        if routes.len() > MAX_ORIGINATED_PER_CALL {
            return Err(SpeakerError::TooManyRoutes(routes.len()));
        }
        check_owner(owner)?;
        routes.iter().try_for_each(Route::check)?;
        self.rib.announce(owner, routes).await
    }

    /// Withdraws what this owner announced; prefixes that it did not announce are ignored.
    ///
    /// # Errors
    /// Too many prefixes for one call, or the owner is [reserved](SpeakerError::ReservedOwner).
    pub async fn withdraw(
        &self,
        owner: OwnerId,
        prefixes: impl IntoIterator<Item = IpNet>,
    ) -> Result<(), SpeakerError> {
        let prefixes: Vec<IpNet> =
            prefixes.into_iter().map(|p| p.trunc()).take(MAX_ORIGINATED_PER_CALL + 1).collect();
        if prefixes.len() > MAX_ORIGINATED_PER_CALL {
            return Err(SpeakerError::TooManyRoutes(prefixes.len()));
        }
        check_owner(owner)?;
        self.rib.withdraw(owner, prefixes).await
    }

    /// Says that the data path of an owner is there: what [`Builder::hold_until_ready`] holds back for it may go, however late
    /// that is. It stands when this returns.
    ///
    /// # Errors
    /// The speaker has ended.
    pub async fn ready(&self, owner: OwnerId) -> Result<(), SpeakerError> {
        self.rib.ask(|reply| Query::Ready(owner, reply)).await
    }

    /// Takes its leave without losing a packet: everything that peers have been told, reflected routes included, gets the
    /// GRACEFUL_SHUTDOWN community and, for internal peers, LOCAL_PREF 0 (RFC 8326); peers have `wait` to find other ways,
    /// then it ends in this mode.
    ///
    /// # Errors
    /// The speaker has ended already.
    pub async fn drain(&self, wait: Duration, mode: ShutdownMode) -> Result<(), SpeakerError> {
        self.call(Command::Leave).await?;
        tokio::time::sleep(wait).await;
        self.shutdown(mode).await;
        Ok(())
    }

    /// Takes one peer out of use without losing a packet: everything that it has been told gets GRACEFUL_SHUTDOWN and, for an
    /// internal peer, LOCAL_PREF 0 (RFC 8326); it has `wait` to find other ways, then its session ends with Cease /
    /// Administrative Shutdown and there is no other before [`Speaker::resume_peer`]. That also calls a drain off which is
    /// under way. A peer that came through a listen range stays away in the same way, and leaves its place in the range to
    /// another.
    ///
    /// # Errors
    /// There is no such peer, or no longer.
    pub async fn drain_peer(
        &self,
        address: impl Into<PeerAddress>,
        wait: Duration,
    ) -> Result<(), SpeakerError> {
        let address = address.into();
        self.call(|reply| Command::Drain(address, Drain::Leaving, reply)).await??;
        tokio::time::sleep(wait).await;
        self.call(|reply| Command::Drain(address, Drain::Done, reply)).await?
    }

    /// Takes a peer back into use that was drained.
    ///
    /// # Errors
    /// There is no such peer.
    pub async fn resume_peer(&self, address: impl Into<PeerAddress>) -> Result<(), SpeakerError> {
        let address = address.into();
        self.call(|reply| Command::Drain(address, Drain::No, reply)).await?
    }

    /// Follows the best routes of all families: first the table as it is, then every change, in order. A subscriber that
    /// is slow delays nobody and finds the newest state of each prefix. A route that becomes stale as its peer's session ends, or
    /// is told again as it was, is a change of its own ([`Best::stale`](bgp_rib::Best::stale)), of which the kernel and other peers
    /// do not hear.
    pub fn subscribe(&self) -> Subscription {
        self.rib.subscribe(true)
    }

    /// Asks the hook of [`KernelConfig::next_hop`](crate::kernel::KernelConfig::next_hop) again about every route: what it
    /// goes by has changed. Routes with the same answer are not touched. Nothing happens without kernel export.
    pub fn ask_next_hops_again(&self) {
        self.shared.other_next_hops.notify_one();
    }

    /// Says which AS may originate what (RFC 6811): all payloads that there are, in place of those before. Policies that ask for
    /// the state of routes are asked again where it may have changed, on import and on export (RFC 8893), and the difference is
    /// told; without such a policy nothing is dropped or ranked differently (RFC 8481). Before the first call no route has a
    /// state. What differs is taken in one turn of the tables: half a million at once hold them up for some tenths of a second.
    ///
    /// # Errors
    /// They are too many, or the speaker has ended; then nothing is changed.
    pub async fn set_vrps(&self, vrps: impl IntoIterator<Item = Vrp>) -> Result<ApplyReport, SpeakerError> {
        let vrps: Vec<Vrp> = vrps.into_iter().take(MAX_VRPS + 1).collect();
        let change = vrps::become_all(&self.shared, &self.rib, &vrps).await?;
        Ok(ApplyReport { changes: change.into_iter().collect(), not_done: Vec::new() })
    }

    /// What happens from now on.
    pub fn events(&self) -> Events {
        self.shared.events()
    }

    /// How things stand, at once: it waits for no task.
    pub fn status(&self) -> Arc<Status> {
        Arc::new(self.shared.status())
    }

    /// Lists routes page by page: about `limit` paths, and not more than about a thousand; `from` is where the page before
    /// ended.
    ///
    /// # Errors
    /// The filter names a peer that there is not, or the speaker has ended.
    pub async fn routes(
        &self,
        filter: RouteFilter,
        from: Option<RouteCursor>,
        limit: usize,
    ) -> Result<RoutePage, SpeakerError> {
        let id = |address: Option<PeerAddress>| match address {
            Some(address) => match self.shared.peer_id(address) {
                Some(id) => Ok(Some(id)),
                None => Err(SpeakerError::UnknownPeer(address)),
            },
            None => Ok(None),
        };
        let peers = FilterPeers { told: id(filter.peer)?, advertised_to: id(filter.advertised_to)? };
        self.rib.ask(|reply| Query::Routes { filter, peers, from, limit, reply }).await
    }

    /// Why the best route to a destination is best, where each other path lost, what each peer is told of it, and by which
    /// rules of which policies. A prefix is a destination of unicast. `None` when there is no path.
    ///
    /// # Errors
    /// The speaker has ended.
    pub async fn explain(
        &self,
        destination: impl Into<Destination>,
    ) -> Result<Option<Explanation>, SpeakerError> {
        let destination = match destination.into() {
            Destination::Prefix(prefix) => Destination::Prefix(prefix.trunc()),
            other => other,
        };
        self.rib.ask(|reply| Query::Explain(destination, reply)).await
    }

    /// What a peer would be told by another export policy, page by page, as the difference to what it is told; nothing is
    /// sent. Empty for a peer that is not up in the family.
    ///
    /// # Errors
    /// There is no such peer, or the speaker has ended.
    pub async fn dry_run(
        &self,
        peer: impl Into<PeerAddress>,
        family: Family,
        export: Policy,
        from: Option<RouteCursor>,
        limit: usize,
    ) -> Result<DryRunPage, SpeakerError> {
        let address = peer.into();
        let peer = self.shared.peer_id(address).ok_or(SpeakerError::UnknownPeer(address))?;
        let question = Box::new(DryRun { peer, family, export, from, limit });
        self.rib.ask(|reply| Query::DryRun(question, reply)).await
    }

    /// What became of routes in the kernel: the next prefixes above `after` in order, at most `limit` and not more than a few
    /// thousand, each with its state and, where it is not installed, the reason.
    ///
    /// # Errors
    /// There is no kernel export, or the speaker has ended.
    pub async fn kernel_routes(
        &self,
        after: Option<IpNet>,
        limit: usize,
    ) -> Result<Vec<RouteReport>, SpeakerError> {
        let follower = self.shared.kernel_routes().ok_or(SpeakerError::NoKernel)?;
        follower.routes(after, limit).await.map_err(|_| SpeakerError::Stopped)
    }

    /// Ends everything; returns when no task, thread or socket of the speaker is left. Calls on other handles fail with
    /// [`SpeakerError::Stopped`] from then on. Routes in the kernel stay.
    pub async fn shutdown(&self, mode: ShutdownMode) {
        // An error says that it has ended already, which is what was asked for.
        let _ = self.call(|reply| Command::Shutdown(mode, reply)).await;
    }

    async fn call<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, SpeakerError> {
        answered(send(self.way().await?, command)).await
    }

    /// Room for one command.
    async fn way(&self) -> Result<mpsc::Permit<'_, Command>, SpeakerError> {
        self.commands.reserve().await.map_err(|_| SpeakerError::Stopped)
    }
}

/// What a task is to become, `None` for nothing; and who is told the change.
type TaskOrder<T> = (Option<Box<T>>, oneshot::Sender<Result<Option<Change>, NotDone>>);

/// Sends a command at once, also if nobody waits for the answer.
fn send<T>(
    way: mpsc::Permit<'_, Command>,
    command: impl FnOnce(oneshot::Sender<T>) -> Command,
) -> oneshot::Receiver<T> {
    let (reply, answer) = oneshot::channel();
    way.send(command(reply));
    answer
}

async fn answered<T>(answer: oneshot::Receiver<T>) -> Result<T, SpeakerError> {
    answer.await.map_err(|_| SpeakerError::Stopped)
}
