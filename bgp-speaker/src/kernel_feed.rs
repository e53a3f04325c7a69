//! Feeds the kernel follower: a reader of the best routes like any other, at the pace that the kernel takes them.

use std::sync::Arc;
use std::time::Duration;

use bgp_rib::{Best, ReaderBatch, RouteChange, Source};
use bgp_wire::NextHop;
use ipnet::IpNet;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::event::Event;
use crate::kernel::{FibChange, FibNextHop, FibNotice, FibRoute, FollowerGone, FollowerHandle};
use crate::shared::Shared;
use crate::subscription::Subscription;

/// How often it is looked whether every peer has told its table, while routes of a former process may still be swept.
const LOOK: Duration = Duration::from_millis(250);

pub(crate) struct KernelFeed {
    pub(crate) shared: Arc<Shared>,
    pub(crate) follower: FollowerHandle,
    pub(crate) notices: mpsc::Receiver<FibNotice>,
    pub(crate) routes: Subscription,
    pub(crate) sweep_after: Duration,
    /// Ends when the speaker does.
    pub(crate) stop: oneshot::Receiver<()>,
}

impl KernelFeed {
    /// Works until the tables end; the kernel's routes stay.
    pub(crate) async fn run(mut self) {
        let cap = Instant::now() + self.sweep_after;
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut synced = false;
        loop {
            tokio::select! {
                // First of all: what is withdrawn because the speaker ends stays in the kernel.
                biased;
                _ = &mut self.stop => break,
                batch = self.routes.next() => {
                    let Some(batch) = batch else { break };
                    if self.write(batch).await.is_err() {
                        break;
                    }
                }
                Some(notice) = self.notices.recv() => self.shared.emit(Event::Kernel(notice)),
                _ = look.tick(), if !synced => {
                    synced = self.is_complete(cap);
                    if synced {
                        if self.follower.synced().await.is_err() {
                            break;
                        }
                        self.shared.emit(Event::KernelSynced);
                    }
                }
            }
        }
        self.follower.stop().await;
    }

    /// Whether what a former process left in the kernel may go: every peer has told its table and all of it has been passed
    /// on, or they had their time. The order of the two questions matters: the table's task passes routes on, or takes note
    /// that it has not yet, before it says that a peer has told everything.
    fn is_complete(&self, cap: Instant) -> bool {
        (self.shared.all_told() && self.routes.is_drained()) || Instant::now() >= cap
    }

    async fn write(&self, batch: ReaderBatch) -> Result<(), FollowerGone> {
        let changes: Vec<FibChange> = batch.changes.iter().map(change).collect();
        if changes.is_empty() { Ok(()) } else { self.follower.update(changes).await }
    }
}

fn change(change: &RouteChange) -> FibChange {
    let route = change.best.as_ref().and_then(|best| route(change.prefix, best));
    route.map_or(FibChange::Remove(change.prefix), FibChange::Set)
}

/// The kernel's form of a learned route. What this node originates is its own business: the kernel has it already.
fn route(prefix: IpNet, best: &Best) -> Option<FibRoute> {
    if matches!(best.source, Source::Local(_)) {
        return None;
    }
    let next_hops: Vec<FibNextHop> = best.next_hops.iter().map(next_hop).collect();
    (!next_hops.is_empty()).then(|| FibRoute::unicast(prefix, next_hops))
}

fn next_hop(next_hop: &NextHop) -> FibNextHop {
    match *next_hop {
        NextHop::V4(address) => FibNextHop::new(address.into()),
        // The global address leads there without naming an interface.
        NextHop::V6(address) | NextHop::V6WithLinkLocal(address, _) => FibNextHop::new(address.into()),
        NextHop::Opaque(_) => FibNextHop::new(next_hop.address()),
    }
}
