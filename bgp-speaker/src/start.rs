//! How a speaker starts: everything that can fail first, then the tasks.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use bgp_rib::{Rib, RibConfig};
use bgp_wire::{Asn, RouterId};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::apply::{Wanted, check_routes};
use crate::barrier::Barrier;
use crate::builder::{Builder, Kernel};
use crate::door::{Closing, Door};
use crate::error::StartError;
use crate::kernel::{LearnConfig, Learner, Protocols};
use crate::kernel_feed::{self, KernelTask, Lent};
use crate::learn_feed::{self, LearnTask};
use crate::listening::Listening;
use crate::next_hops::NextHops;
use crate::rib_task::{RibClient, RibTask};
use crate::shared::{EndOfEvents, Makings, Shared, Us};
use crate::supervisor::{Command, Household, Supervisor};
use crate::tcp::Listeners;
use crate::update::MeshBook;
use crate::vrps;

/// Calls that may wait for the supervisor; each is short.
const COMMANDS: usize = 64;
/// Accepted sockets that may wait for the supervisor; more wait in the kernel's backlog.
const ACCEPTED: usize = 64;
/// How long the start waits to learn whether the kernel holds routes of a former process: an empty table is read at once,
/// and the sessions are not to wait for a large one.
const FIRST_LOOK: Duration = Duration::from_millis(300);

/// What a handle is made of.
pub(crate) struct Started {
    pub(crate) shared: Arc<Shared>,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) rib: RibClient,
    pub(crate) kernel: mpsc::Sender<kernel_feed::Order>,
    pub(crate) learn: mpsc::Sender<learn_feed::Order>,
    pub(crate) book: MeshBook,
}

pub(crate) async fn start(builder: Builder) -> Result<Started, StartError> {
    check(&builder)?;
    let seed = builder.seed.unwrap_or_else(|| RandomState::new().hash_one(std::process::id()));
    let (built_kernel, mut lent) = match builder.kernel {
        Some(Kernel { config, fib }) => (Some(config), fib.map_or(Lent::Nothing, Lent::Here)),
        None => (None, Lent::Nothing),
    };
    let shared = Arc::new(Shared::new(Makings {
        version: builder.version,
        us: Us {
            asn: builder.asn,
            router_id: builder.router_id,
            cluster_id: builder.cluster_id,
            addresses: Arc::default(),
            listening: Arc::default(),
        },
        listen: builder.listen,
        local_addresses: builder.local_addresses,
        kernel: built_kernel,
        learn: builder.learn,
        multipath: builder.multipath,
        decision: builder.decision,
        patience: builder.migration_patience,
        mesh_dialer: builder.mesh_dialer,
        mesh_options: builder.mesh_options,
        forwarding_preserved: builder.forwarding_preserved,
    }));
    let (wanted, book) = Wanted::of(&builder.desired, &shared)?;
    let us = wanted.us.clone();
    shared.set_us(us.clone());
    let (accept, accepted) = mpsc::channel(ACCEPTED);
    let (mut listening, mut guarded) = (Listening::new(accept), Listeners::default());
    for &address in &wanted.listen {
        let opened = listening.open(address, &mut guarded, &[]);
        opened.map_err(|source| StartError::Listen { address, source })?;
    }
    check_routes(&builder.desired)?;
    let export = shared.kernel_as(&builder.desired);
    let own = Protocols::default();
    export.iter().for_each(|export| own.insert(export.protocol));
    let learn = |config: LearnConfig| Ok((config.clone(), Learner::spawn_beside(config, own.clone())?));
    let learner = shared.learn_as(&builder.desired).map(learn);
    let learner = learner.transpose().map_err(StartError::Kernel)?;
    let opened = export.map(|config| Ok((kernel_feed::open(&config, &mut lent)?, config))).transpose();
    let mut opened = opened.map_err(StartError::Kernel)?;
    let ways = opened.as_mut().and_then(|(follower, config)| kernel_feed::ways(config, follower));

    let mut config = RibConfig::new(us.asn, us.router_id);
    config.cluster_id = us.cluster_id;
    shared.set_multipath(&builder.desired);
    config.set_multipath(shared.multipath());
    shared.set_decision(&builder.desired);
    shared.set_unique_origins(&builder.desired.unique_origins);
    config.unique_origins = shared.unique_origins();
    config.decision = shared.decision();
    config.seed = seed;
    // The export may begin later.
    config.track_next_hops = true;
    let door = Arc::new(Door::default());
    let barrier = Barrier::new(builder.hold_until_ready, builder.sweep_after);
    let (task, rib) =
        RibTask::new(Rib::new(config), shared.clone(), door.clone(), barrier, NextHops::new(ways));
    let rib_task = tokio::spawn(task.run());
    let (export, orders) = mpsc::channel(COMMANDS);
    let (alive, stop) = oneshot::channel();
    let first = opened.map(|(follower, config)| (config, follower));
    let kernel = KernelTask::new(
        (shared.clone(), rib.clone()),
        (orders, stop),
        builder.sweep_after,
        (lent, own.clone()),
        first,
    );
    let kernel = Some((alive, tokio::spawn(kernel.run())));
    let (learn, orders) = mpsc::channel(COMMANDS);
    let (alive, stop) = oneshot::channel();
    tokio::spawn(LearnTask::new(rib.clone(), (orders, stop), own, learner).run());
    let learning = Some(alive);
    let (commands, inbox) = mpsc::channel(COMMANDS);
    let household = Household {
        listening,
        rib: Some(rib_task),
        tables: rib.clone(),
        kernel,
        learning,
        closing: Closing(door.clone()),
        events: EndOfEvents(shared.clone()),
    };
    let restarting = match builder.restarting {
        Some(restarting) => restarting,
        None => found_routes(&shared).await,
    };
    if restarting {
        shared.begin_restart(builder.sweep_after);
    }
    let mut supervisor = Supervisor::new(shared.clone(), door, seed, inbox, accepted, household, guarded);
    // Nothing is accepted before the supervisor runs, and nobody is told a table before all of it stands.
    if let Some(vrps) = &builder.desired.vrps {
        vrps::become_all(&shared, &rib, vrps).await?;
    }
    rib.originate_all(builder.desired.routes).await?;
    supervisor.apply(wanted);
    tokio::spawn(supervisor.run());
    Ok(Started { shared, commands, rib, kernel: export, learn, book })
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
