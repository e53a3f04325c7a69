//! Feeds the kernel follower: a reader of the best routes like any other, at the pace that the kernel takes them.

use std::sync::Arc;
use std::time::Duration;

use bgp_rib::policy::Discard;
use bgp_rib::{Best, ReaderBatch, RouteChange, Source};
use ipnet::IpNet;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::config::is_link_local;
use crate::event::Event;
use crate::kernel::{
    Device, FibAction, FibChange, FibNextHop, FibNotice, FibRoute, FollowerGone, FollowerHandle,
};
use crate::shared::Shared;
use crate::subscription::Subscription;

/// How often it is looked whether every peer has told its table, while routes of a former process may still be swept.
const LOOK: Duration = Duration::from_millis(250);
/// The metric behind all others: IPv6 gives connected networks 256, and IPv4 gives them 0.
const LAST_RESORT: u32 = u32::MAX;
/// What `rtnh_hops` can express.
const MAX_WEIGHT: u32 = 256;

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
                // Then what is due at a time: routes that come without end must not keep it away.
                _ = look.tick(), if !synced => {
                    synced = self.is_complete(cap);
                    if synced {
                        if self.follower.synced().await.is_err() {
                            break;
                        }
                        self.shared.emit(Event::KernelSynced);
                    }
                }
                batch = self.routes.next() => {
                    let Some(batch) = batch else { break };
                    if self.write(batch).await.is_err() {
                        break;
                    }
                }
                () = self.shared.other_next_hops.notified() => {
                    if self.follower.rehook().await.is_err() {
                        break;
                    }
                }
                Some(notice) = self.notices.recv() => self.shared.emit(Event::Kernel(notice)),
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

    fn change(&self, change: &RouteChange) -> FibChange {
        let route = change.best.as_ref().and_then(|best| route(&self.shared, change.prefix, best));
        route.map_or(FibChange::Remove(change.prefix), FibChange::Set)
    }

    async fn write(&self, batch: ReaderBatch) -> Result<(), FollowerGone> {
        let changes: Vec<FibChange> = batch.changes.iter().map(|change| self.change(change)).collect();
        if changes.is_empty() { Ok(()) } else { self.follower.update(changes).await }
    }
}

/// The kernel's form of a route. What this node originates is its own business, and the kernel has it already, unless the
/// originator says what the kernel shall do with it.
fn route(shared: &Shared, prefix: IpNet, best: &Best) -> Option<FibRoute> {
    let tag = &best.attributes.kernel;
    let local = matches!(best.source, Source::Local(_));
    let action = match tag.discard {
        Some(Discard::Blackhole) => FibAction::Blackhole,
        Some(Discard::Unreachable) => FibAction::Unreachable,
        Some(Discard::Prohibit) => FibAction::Prohibit,
        None if local || best.next_hops.is_empty() => return None,
        None => FibAction::Unicast(next_hops(shared, best)),
    };
    // The network behind an interface of this node may be the very block: packets end here only if nothing else takes them.
    let last_resort = (local && tag.discard.is_some()).then_some(LAST_RESORT);
    Some(FibRoute { prefix, table: tag.table, metric: tag.metric.or(last_resort), action })
}

fn next_hops(shared: &Shared, best: &Best) -> Arc<[FibNextHop]> {
    let weights = best.weights.iter().copied().chain(std::iter::repeat(1));
    let source = if let Source::Peer { address, .. } = best.source { Some(address) } else { None };
    let hops = best.next_hops.iter().zip(weights).map(|(next_hop, weight)| {
        // A global address leads there without naming an interface.
        let mut hop = FibNextHop::new(next_hop.address());
        hop.weight = u16::try_from(weight.clamp(1, MAX_WEIGHT)).unwrap_or(1);
        if is_link_local(hop.gateway) {
            // Its own address is what a neighbour on a link tells (RFC 2545 §3); if not, who told it is there.
            let name = shared.interface_to(hop.gateway).or_else(|| shared.interface_to(source?));
            hop.device = name.as_deref().map(Device::from);
        }
        hop
    });
    hops.collect()
}
