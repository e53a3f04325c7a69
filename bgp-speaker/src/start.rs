//! How a speaker starts: everything that can fail first, then the tasks.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bgp_rib::{Rib, RibConfig};
use bgp_wire::{Asn, RouterId};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::apply::{Wanted, check_routes};
use crate::barrier::Barrier;
use crate::builder::{Builder, Kernel};
use crate::door::Door;
use crate::error::StartError;
use crate::kernel::{FibError, FollowerHandle, Learner, Netlink};
use crate::kernel_feed::KernelFeed;
use crate::learn_feed;
use crate::next_hops::NextHops;
use crate::rib_task::{RibClient, RibTask};
use crate::shared::{Makings, Shared, Us};
use crate::socket;
use crate::supervisor::{Command, Household, Supervisor};
use crate::tcp::Listeners;
use crate::update::MeshBook;

/// Calls that may wait for the supervisor; each is short.
const COMMANDS: usize = 64;
/// Accepted sockets that may wait for the supervisor; more wait in the kernel's backlog.
const ACCEPTED: usize = 64;
/// The pause after accepting failed: the process is out of descriptors, and they come back when sessions end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long the start waits to learn whether the kernel holds routes of a former process: an empty table is read at once,
/// and the sessions are not to wait for a large one.
const FIRST_LOOK: Duration = Duration::from_millis(300);

/// What a handle is made of.
pub(crate) struct Started {
    pub(crate) shared: Arc<Shared>,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) rib: RibClient,
    pub(crate) book: MeshBook,
}

pub(crate) async fn start(builder: Builder) -> Result<Started, StartError> {
    check(&builder)?;
    let (listeners, addresses) = open_listeners(&builder.listen)?;
    let seed = builder.seed.unwrap_or_else(|| RandomState::new().hash_one(std::process::id()));
    let shared = Arc::new(Shared::new(Makings {
        version: builder.version,
        us: Us { asn: builder.asn, router_id: builder.router_id, cluster_id: builder.cluster_id },
        own_addresses: own_addresses(&addresses, &builder.local_addresses),
        listen: addresses,
        mesh_dialer: builder.mesh_dialer,
        mesh_options: builder.mesh_options,
        forwarding_preserved: builder.forwarding_preserved,
    }));
    let (wanted, book) = Wanted::of(&builder.desired, &shared)?;
    let us = wanted.us;
    shared.set_us(us);
    check_routes(&builder.desired)?;
    let tracked = builder.kernel.as_ref().filter(|kernel| kernel.config.track_next_hops);
    let via_default = tracked.map(|kernel| kernel.config.resolve_via_default);
    let own_protocol = builder.kernel.as_ref().map(|kernel| kernel.config.protocol);
    let learner = builder.learn.map(|config| Learner::spawn(config, own_protocol));
    let learner = learner.transpose().map_err(StartError::Kernel)?;
    let mut follower = builder.kernel.map(open_kernel).transpose().map_err(StartError::Kernel)?;
    let next_hops = follower.as_mut().zip(via_default).map(|(follower, via_default)| {
        NextHops::new(follower.next_hops(), follower.take_probe(), via_default)
    });

    let mut config = RibConfig::new(us.asn, us.router_id);
    config.cluster_id = us.cluster_id;
    config.max_paths = builder.max_paths;
    config.decision = builder.decision;
    config.seed = seed;
    config.track_next_hops = next_hops.is_some();
    let door = Arc::new(Door::default());
    let barrier = Barrier::new(builder.hold_until_ready, builder.sweep_after);
    let (task, rib) = RibTask::new(Rib::new(config), shared.clone(), door.clone(), barrier, next_hops);
    let rib_task = tokio::spawn(task.run());
    let kernel = follower.map(|mut follower| {
        shared.set_kernel(follower.watch());
        let notices = follower.take_notices().unwrap_or_else(|| mpsc::channel(1).1);
        let (alive, stop) = oneshot::channel();
        let feed = KernelFeed {
            shared: shared.clone(),
            follower,
            notices,
            routes: rib.subscribe(),
            sweep_after: builder.sweep_after,
            stop,
        };
        (alive, tokio::spawn(feed.run()))
    });
    let learning = learner.map(|learner| {
        let (alive, stop) = oneshot::channel();
        tokio::spawn(learn_feed::run(learner, rib.clone(), stop));
        alive
    });
    let guarded = Listeners::new(&listeners);
    let (accept, accepted) = mpsc::channel(ACCEPTED);
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(accept_loop(listener, accept.clone()));
    }
    let (commands, inbox) = mpsc::channel(COMMANDS);
    let household = Household { listeners: accepting, rib: Some(rib_task), kernel, learning };
    let restarting = match builder.restarting {
        Some(restarting) => restarting,
        None => found_routes(&shared).await,
    };
    if restarting {
        shared.begin_restart(builder.sweep_after);
    }
    let mut supervisor = Supervisor::new(shared.clone(), door, seed, inbox, accepted, household, guarded);
    // Nothing is accepted before the supervisor runs, and nobody is told a table before all of it stands.
    rib.originate_all(builder.desired.routes).await?;
    supervisor.apply(wanted);
    tokio::spawn(supervisor.run());
    Ok(Started { shared, commands, rib, book })
}

fn check(builder: &Builder) -> Result<(), StartError> {
    if builder.asn == Asn(0) || builder.asn == Asn::TRANS {
        return Err(StartError::ReservedAsn(builder.asn.0));
    }
    if builder.router_id == RouterId(0) {
        return Err(StartError::ZeroRouterId);
    }
    builder.mesh_options.timers.check()?;
    Ok(())
}

fn open_listeners(wanted: &[SocketAddr]) -> Result<(Vec<Arc<TcpListener>>, Vec<SocketAddr>), StartError> {
    let mut listeners = Vec::new();
    let mut addresses = Vec::new();
    for &address in wanted {
        let opened = socket::listen(address).and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (real, listener) = opened.map_err(|source| StartError::Listen { address, source })?;
        addresses.push(real);
        listeners.push(Arc::new(listener));
    }
    Ok((listeners, addresses))
}

fn open_kernel(kernel: Kernel) -> Result<FollowerHandle, FibError> {
    let fib = match kernel.fib {
        Some(fib) => fib,
        None => Box::new(Netlink::open(&kernel.config)?),
    };
    FollowerHandle::spawn(kernel.config, fib)
}

/// Whether a former process has left routes in the kernel. A table that takes long to read is not empty.
async fn found_routes(shared: &Shared) -> bool {
    let Some(mut kernel) = shared.kernel() else { return false };
    match timeout(FIRST_LOOK, kernel.wait_for(|status| status.following)).await {
        Ok(Ok(status)) => status.routes.total() > 0,
        // The follower has ended: what it found is not known, and nothing is kept.
        Ok(Err(_)) => false,
        Err(_) => true,
    }
}

/// The addresses of this node: those that it listens on, and those that it was told of.
fn own_addresses(listen: &[SocketAddr], named: &[IpAddr]) -> Vec<IpAddr> {
    let listening = listen.iter().map(SocketAddr::ip).filter(|a| !a.is_unspecified());
    let mut own: Vec<IpAddr> = listening.chain(named.iter().copied()).collect();
    own.sort_unstable();
    own.dedup();
    own
}

async fn accept_loop(listener: Arc<TcpListener>, accepted: mpsc::Sender<(TcpStream, SocketAddr)>) {
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                if accepted.send((stream, remote)).await.is_err() {
                    return;
                }
            }
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The connection was gone before it was accepted; the next one may be fine.
fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}
