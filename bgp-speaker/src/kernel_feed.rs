//! Feeds the kernel follower: a reader of the best routes like any other, at the pace that the kernel takes them.
//!
//! Other settings come to a follower as another follower that takes over from it: its table stays open and its routes stay
//! where they are, what it finds there and is wanted is adopted without a write, what is wanted elsewhere is written there
//! first, and what nobody wants is removed once all that there is has been read again.

use std::sync::Arc;
use std::time::Duration;

use bgp_rib::policy::{Action, Discard, KernelTag, RouteSource, RouteView, Verdict};
use bgp_rib::{Best, OwnerId, Policy, ReaderBatch, RouteChange, Source};
use bgp_wire::{AttributeBlock, NextHop, PeerKind};
use ipnet::IpNet;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use crate::config::is_link_local;
use crate::desired::{Change, ChangeClass, NotDone, Subject};
use crate::event::Event;
use crate::kernel::{
    Device, Fib, FibAction, FibChange, FibError, FibNextHop, FibNotice, FibRoute, FollowerGone,
    FollowerHandle, KernelConfig, Netlink, Protocols, RouteState, scaled,
};
use crate::next_hops::Ways;
use crate::rib_task::{Query, RibClient};
use crate::shared::{Shared, Us};
use crate::subscription::{RouteNews, Subscription};

/// How often it is looked whether every peer has told its table, while routes of a former process may still be swept.
const LOOK: Duration = Duration::from_millis(250);
/// The metric behind all others: IPv6 gives connected networks 256, and IPv4 gives them 0.
const LAST_RESORT: u32 = u32::MAX;

/// What the export is to become, `None` for none; whoever asks is told the change.
pub(crate) type Order = (Option<Box<KernelConfig>>, oneshot::Sender<Result<Option<Change>, NotDone>>);

/// The task of the kernel export, if there is to be one or not.
pub(crate) struct KernelTask {
    shared: Arc<Shared>,
    rib: RibClient,
    orders: mpsc::Receiver<Order>,
    /// Ends when the speaker does.
    stop: oneshot::Receiver<()>,
    sweep_after: Duration,
    /// The caller's own table while nothing is exported to it.
    lent: Lent,
    export: Option<Export>,
    /// Where routes of ours were left when an export was to end.
    left: Option<KernelConfig>,
    look: Interval,
    /// Protocols that are not to be learned from.
    own: Protocols,
}

/// Where routes go if not to the kernel.
pub(crate) enum Lent {
    /// To the kernel.
    Nothing,
    /// To a table of the caller's, which is in use.
    Away,
    /// To a table of the caller's.
    Here(Box<dyn Fib>),
}

/// An export that goes on.
struct Export {
    /// As it was asked for.
    config: KernelConfig,
    /// As it goes on, with tables that were ours before.
    settings: KernelConfig,
    follower: FollowerHandle,
    notices: mpsc::Receiver<FibNotice>,
    routes: Subscription,
    /// When leftovers may go at the latest.
    cap: Instant,
    /// Those that are there have told their tables.
    told: bool,
    /// They may go.
    synced: bool,
    /// It has taken over from one whose leftovers had gone.
    resumed: bool,
    /// All that there is has been read once.
    whole: bool,
    /// It still looks after tables, or a protocol, that were ours before.
    retires: bool,
}

/// Why the task has something to do.
enum Wake {
    Stop,
    Look,
    Order(Order),
    News(Option<RouteNews>),
    Rehook,
    Revalidate,
    Notice(FibNotice),
}

/// Opens the table and starts a follower of it.
pub(crate) fn open(config: &KernelConfig, lent: &mut Lent) -> Result<FollowerHandle, FibError> {
    config.check()?;
    let fib = match std::mem::replace(lent, Lent::Nothing) {
        Lent::Nothing => Box::new(Netlink::open(config)?),
        Lent::Away => {
            return Err(FibError::Unsupported("the caller's forwarding table was lost with its follower"));
        }
        Lent::Here(mut fib) => {
            *lent = Lent::Away;
            fib.reconfigure(config)?;
            fib
        }
    };
    FollowerHandle::spawn(config.clone(), fib)
}

/// Where the tables learn the ways to next hops from, if they are to.
pub(crate) fn ways(config: &KernelConfig, follower: &mut FollowerHandle) -> Option<Ways> {
    config.track_next_hops.then(|| Ways {
        watch: follower.next_hops(),
        probe: follower.take_probe(),
        via_default: config.resolve_via_default,
    })
}

impl KernelTask {
    /// With the follower that was opened for the start, if any.
    pub(crate) fn new(
        (shared, rib): (Arc<Shared>, RibClient),
        (orders, stop): (mpsc::Receiver<Order>, oneshot::Receiver<()>),
        sweep_after: Duration,
        (lent, own): (Lent, Protocols),
        first: Option<(KernelConfig, FollowerHandle)>,
    ) -> Self {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (export, left) = (None, None);
        let mut task = Self { shared, rib, orders, stop, sweep_after, lent, export, left, look, own };
        if let Some((config, follower)) = first {
            task.follow(config, follower);
        }
        task
    }

    /// Feeds this follower from now on.
    fn follow(&mut self, config: KernelConfig, mut follower: FollowerHandle) -> &mut Export {
        self.own.insert(config.protocol);
        self.shared.set_kernel(Some(&follower));
        self.shared.set_routes_stay(config.keep_routes_at_exit);
        let notices = follower.take_notices().unwrap_or_else(|| mpsc::channel(1).1);
        let routes = self.rib.subscribe(config.policy.as_ref().is_some_and(Policy::asks_for_interface));
        let cap = Instant::now() + self.sweep_after;
        let (told, synced, resumed, whole, retires) = (false, false, false, false, false);
        let settings = config.clone();
        self.export.insert(Export {
            config,
            settings,
            follower,
            notices,
            routes,
            cap,
            told,
            synced,
            resumed,
            whole,
            retires,
        })
    }

    /// Works until the tables end; the kernel's routes stay.
    pub(crate) async fn run(mut self) {
        loop {
            let gone = match self.wait().await {
                Wake::Stop | Wake::News(None) => break,
                Wake::Look => self.look().await,
                Wake::Order((wanted, reply)) => {
                    // Who asked may have gone meanwhile.
                    let _ = reply.send(self.make(wanted.map(|wanted| *wanted)).await);
                    Ok(())
                }
                Wake::News(Some(RouteNews::Batch(batch))) => self.write(batch).await,
                Wake::News(Some(RouteNews::StartAnew)) => {
                    self.begin_again(false).await;
                    Ok(())
                }
                Wake::Rehook => match &self.export {
                    Some(export) => export.follower.rehook().await,
                    None => Ok(()),
                },
                // It goes through all routes once more; what is as it was is not written.
                Wake::Revalidate => {
                    if self.export.as_ref().is_some_and(Export::asks_for_rpki) {
                        self.begin_again(false).await;
                    }
                    Ok(())
                }
                Wake::Notice(notice) => {
                    self.shared.emit(Event::Kernel(notice));
                    Ok(())
                }
            };
            if gone == Err(FollowerGone) {
                tracing::error!(
                    "the kernel follower ended by a bug: nothing is written to the kernel any more"
                );
                self.export = None;
            }
        }
        if let Some(export) = self.export {
            export.follower.stop().await;
        }
    }

    async fn wait(&mut self) -> Wake {
        let unsettled = self.export.as_ref().is_some_and(|export| !export.is_settled());
        let (routes, notices) = match &mut self.export {
            Some(export) => (Some(&mut export.routes), Some(&mut export.notices)),
            None => (None, None),
        };
        tokio::select! {
            // First of all: what is withdrawn because the speaker ends stays in the kernel.
            biased;
            _ = &mut self.stop => Wake::Stop,
            // Then what is due at a time: routes that come without end must not keep it away.
            _ = self.look.tick(), if unsettled => Wake::Look,
            Some(order) = self.orders.recv() => Wake::Order(order),
            news = next(routes) => Wake::News(news),
            () = self.shared.other_next_hops.notified() => Wake::Rehook,
            () = self.shared.other_vrps.notified() => Wake::Revalidate,
            Some(notice) = notice(notices) => Wake::Notice(notice),
        }
    }

    /// Whether leftovers may go, and whether those of former settings have gone.
    async fn look(&mut self) -> Result<(), FollowerGone> {
        let Some(export) = &mut self.export else { return Ok(()) };
        if !export.synced {
            if !export.told && export.is_told(&self.shared) {
                export.told = true;
                export.follower.told().await?;
            }
            if !export.is_complete(&self.shared) {
                return Ok(());
            }
            export.synced = true;
            export.follower.synced().await?;
            if !export.resumed {
                self.shared.emit(Event::KernelSynced);
            }
        } else if export.has_moved() {
            self.begin_again(true).await;
        }
        Ok(())
    }

    /// A follower takes over that begins anew: what it does not hear of by the end of the table goes. `narrow`: it looks after
    /// no more tables than it was asked to.
    async fn begin_again(&mut self, narrow: bool) {
        let Some(export) = self.export.take() else { return };
        let config = export.config.clone();
        let settings = if narrow { config.clone() } else { export.settings.clone() };
        if let Err(error) = self.take_over(export, config, settings, narrow).await {
            tracing::warn!("{error}");
        }
    }

    /// Makes the export what is wanted; what has changed for it.
    async fn make(&mut self, wanted: Option<KernelConfig>) -> Result<Option<Change>, NotDone> {
        // Before the first route is written.
        wanted.iter().for_each(|wanted| self.own.insert(wanted.protocol));
        let why = match (self.export.take(), wanted) {
            (None, None) => {
                let Some(left) = self.left.clone() else { return Ok(None) };
                let follower = open(&left, &mut self.lent).map_err(|error| not_done(&error))?;
                self.withdraw(left, follower).await?
            }
            (Some(export), Some(config)) if export.config == config => {
                self.export = Some(export);
                return Ok(None);
            }
            (Some(export), Some(config)) => {
                let why = differences(&export.config, &config);
                let mut both = config.clone();
                // What stands elsewhere stays ours until it has gone from there.
                let elsewhere = |table: &u32| config.own_tables().all(|own| own != *table);
                both.tables.extend(export.settings.own_tables().filter(elsewhere));
                self.take_over(export, config, both, false).await?;
                why
            }
            (None, Some(config)) => {
                let mut follower = open(&config, &mut self.lent).map_err(|error| not_done(&error))?;
                let ways = ways(&config, &mut follower);
                // What was left is adopted, or swept.
                self.left = None;
                self.follow(config, follower);
                self.tell_ways(ways).await;
                "begun".to_owned()
            }
            (Some(export), None) => {
                self.tell_ways(None).await;
                self.shared.set_kernel(None);
                self.withdraw(export.settings, export.follower).await?
            }
        };
        self.shared.note_reconfigured();
        Ok(Some(Change { subject: Subject::Kernel, class: ChangeClass::Soft, why }))
    }

    /// Ends a follower and removes our routes; what came of it.
    async fn withdraw(
        &mut self,
        settings: KernelConfig,
        follower: FollowerHandle,
    ) -> Result<String, NotDone> {
        let given = follower.withdraw().await;
        let (fib, left) = given.map_or((None, None), |(fib, left)| (Some(fib), left));
        if let (Lent::Away, Some(fib)) = (&self.lent, fib) {
            self.lent = Lent::Here(fib);
        }
        self.left = left.is_some().then_some(settings);
        left.map_or_else(
            || Ok("ended: our routes are removed".to_owned()),
            |why| Err(NotDone::Kernel { why }),
        )
    }

    /// Puts a follower with other settings in the place of one; `config` is what they come to in the end.
    async fn take_over(
        &mut self,
        export: Export,
        config: KernelConfig,
        settings: KernelConfig,
        narrow: bool,
    ) -> Result<(), NotDone> {
        let Export { follower, config: former, settings: looked_after, cap, synced, retires, .. } = export;
        let gone = "its thread has ended by a bug: end the export and begin it again";
        let Some(mut fib) = follower.hand_over().await else {
            return Err(NotDone::Kernel { why: gone.to_owned() });
        };
        let outcome = fib.reconfigure(&settings);
        let (config, settings) = match &outcome {
            Ok(()) => (config, settings),
            Err(_) => (former.clone(), looked_after),
        };
        let retires = !narrow && (retires || settings != config || config.protocol != former.protocol);
        let mut follower = FollowerHandle::spawn(settings.clone(), fib).map_err(|error| not_done(&error))?;
        let ways = ways(&config, &mut follower);
        let export = self.follow(config, follower);
        // The time of those that were waited for goes on.
        (export.settings, export.cap, export.resumed, export.retires) = (settings, cap, synced, retires);
        self.tell_ways(ways).await;
        outcome.map_err(|error| not_done(&error))
    }

    async fn tell_ways(&mut self, ways: Option<Ways>) {
        // Without tables nobody wants to know.
        let _ = self.rib.ask(|reply| Query::Ways(ways, reply)).await;
    }

    async fn write(&mut self, batch: ReaderBatch) -> Result<(), FollowerGone> {
        let Some(export) = &mut self.export else { return Ok(()) };
        let (policy, us) = (export.config.policy.as_ref(), self.shared.us());
        let change = |change: &RouteChange| {
            let best = change.best.as_ref();
            let route = best.and_then(|best| {
                route(&self.shared, change.prefix, best, tag(policy, &us, change.prefix, best)?)
            });
            route.map_or(FibChange::Remove(change.prefix), FibChange::Set)
        };
        let changes: Vec<FibChange> = batch.changes.iter().map(change).collect();
        if !changes.is_empty() {
            export.follower.update(changes).await?;
        }
        // After what it brings: what is not there by then is not wanted.
        export.whole |= batch.synced;
        Ok(())
    }
}

impl Export {
    fn asks_for_rpki(&self) -> bool {
        self.config.policy.as_ref().is_some_and(Policy::asks_for_rpki)
    }

    /// Nothing has to be looked at any more.
    fn is_settled(&self) -> bool {
        self.synced && !self.retires
    }

    /// Whether what a former process, or a former follower, left may go: every peer has told its table and all of it has been
    /// passed on, or they had their time. The order of the two questions matters: the table's task passes routes on, or takes
    /// note that it has not yet, before it says that a peer has told everything.
    fn is_complete(&self, shared: &Shared) -> bool {
        let told = || shared.all_told() && self.routes.is_drained();
        self.whole && (self.resumed || told() || Instant::now() >= self.cap)
    }

    /// Whether all that those had to tell who are there has been passed on.
    fn is_told(&self, shared: &Shared) -> bool {
        self.whole && !shared.expects_more() && self.routes.is_drained()
    }

    /// Whether all that stood under former settings stands under the new ones.
    fn has_moved(&self) -> bool {
        let status = self.follower.status();
        let at_rest = [RouteState::Installed, RouteState::Skipped, RouteState::Unresolved];
        let resting: usize = at_rest.iter().map(|state| status.routes.get(*state)).sum();
        self.retires && status.synced && resting == status.routes.total()
    }
}

async fn next(routes: Option<&mut Subscription>) -> Option<RouteNews> {
    match routes {
        Some(routes) => routes.next().await,
        None => std::future::pending().await,
    }
}

async fn notice(notices: Option<&mut mpsc::Receiver<FibNotice>>) -> Option<FibNotice> {
    match notices {
        Some(notices) => notices.recv().await,
        None => None,
    }
}

fn not_done(error: &FibError) -> NotDone {
    NotDone::Kernel { why: error.to_string() }
}

/// The settings that differ, in words.
fn differences(was: &KernelConfig, is: &KernelConfig) -> String {
    let rows = [
        ("table", was.table != is.table || was.tables != is.tables),
        ("VRF", was.vrf != is.vrf),
        ("protocol", was.protocol != is.protocol),
        ("metric", was.metric != is.metric),
        ("nexthop objects", was.nexthop_objects != is.nexthop_objects),
        ("what happens at exit", was.keep_routes_at_exit != is.keep_routes_at_exit),
        ("next-hop hook", was.next_hop != is.next_hop),
        ("use of the default route", was.resolve_via_default != is.resolve_via_default),
        ("use of next hops", was.track_next_hops != is.track_next_hops),
        ("policy", was.policy != is.policy),
        ("times", was.debounce != is.debounce || was.verify_interval != is.verify_interval),
    ];
    let words: Vec<&str> = rows.iter().filter(|(_, differs)| *differs).map(|(what, _)| *what).collect();
    format!("changed: {}", words.join(", "))
}

/// What the kernel is to know of a route, with the weights of its next hops; `None` if policy does not let it there.
fn tag(policy: Option<&Policy>, us: &Us, prefix: IpNet, best: &Best) -> Option<(KernelTag, Vec<u32>)> {
    let known = best.attributes.kernel;
    let Some(policy) = policy else { return Some((known, best.weights.clone())) };
    let view = view(us, prefix, best);
    let outcome = policy.evaluate(&view);
    if outcome.verdict != Verdict::Accept {
        return None;
    }
    let edits = outcome.edits.map(|edits| edits.kernel).unwrap_or_default();
    let tag = KernelTag {
        metric: edits.metric.or(known.metric),
        table: edits.table.or(known.table),
        discard: edits.discard.or(known.discard),
        ..known
    };
    Some((tag, weights(policy, &view, best)))
}

/// The best route as the policy of the export sees it.
fn view<'a>(us: &Us, prefix: IpNet, best: &'a Best) -> RouteView<'a> {
    let known = best.attributes.kernel;
    let owner = if let Source::Local(owner) = best.source { owner } else { OwnerId(0) };
    let mut view = RouteView::new(prefix, AttributeBlock::trusted(&best.attributes.block), owner);
    if let Source::Peer { address, kind, client, .. } = best.source {
        view.source = RouteSource::Peer { kind, client, address };
    }
    view.peer = PeerKind::External;
    view.local_as = us.asn;
    view.next_hop.clone_from(&best.attributes.next_hop);
    view.metric = known.metric;
    view.tag = known.tag.unwrap_or(0);
    view.rpki = best.rpki;
    view.interface = best.interface.as_deref();
    view
}

/// The weights of several next hops: where the policy sets some, it is asked about the route over each of them.
fn weights(policy: &Policy, view: &RouteView<'_>, best: &Best) -> Vec<u32> {
    let sets = policy.rules().iter().flat_map(|rule| &rule.then).any(|a| matches!(a, Action::Weight(_)));
    if !sets || best.next_hops.len() < 2 {
        return best.weights.clone();
    }
    let usual = best.weights.iter().copied().chain(std::iter::repeat(1));
    let weight = |(next_hop, usual): (&NextHop, u32)| {
        let outcome = policy.evaluate(&RouteView { next_hop: Some(*next_hop), ..*view });
        outcome.edits.and_then(|edits| edits.kernel.weight).unwrap_or(usual)
    };
    best.next_hops.iter().zip(usual).map(weight).collect()
}

/// The kernel's form of a route. What this node originates is its own business, and the kernel has it already, unless the
/// originator says what the kernel shall do with it.
fn route(
    shared: &Shared,
    prefix: IpNet,
    best: &Best,
    (tag, weights): (KernelTag, Vec<u32>),
) -> Option<FibRoute> {
    let local = matches!(best.source, Source::Local(_));
    let action = match tag.discard {
        Some(Discard::Blackhole) => FibAction::Blackhole,
        Some(Discard::Unreachable) => FibAction::Unreachable,
        Some(Discard::Prohibit) => FibAction::Prohibit,
        None if local || best.next_hops.is_empty() => return None,
        None => FibAction::Unicast(next_hops(shared, best, weights)),
    };
    // The network behind an interface of this node may be the very block: packets end here only if nothing else takes them.
    let last_resort = (local && tag.discard.is_some()).then_some(LAST_RESORT);
    Some(FibRoute { prefix, table: tag.table, metric: tag.metric.or(last_resort), action })
}

fn next_hops(shared: &Shared, best: &Best, weights: Vec<u32>) -> Arc<[FibNextHop]> {
    let weights: Vec<u64> = weights.into_iter().map(u64::from).collect();
    let weights = scaled(&weights).into_iter().chain(std::iter::repeat(1));
    let source = if let Source::Peer { id, address, .. } = best.source { Some((id, address)) } else { None };
    let hops = best.next_hops.iter().zip(weights).map(|(next_hop, weight)| {
        // A global address leads there without naming an interface.
        let mut hop = FibNextHop::new(next_hop.address());
        hop.weight = weight;
        if is_link_local(hop.gateway) {
            // Its own address is what a neighbour on a link tells (RFC 2545 §3); if not, who told it is there.
            let name = shared.interface_to(hop.gateway, source);
            hop.device = name.as_deref().map(Device::from);
        }
        hop
    });
    hops.collect()
}

#[cfg(test)]
mod tests {
    use bgp_rib::policy::{Condition, PolicyConfig, PrefixSet, RpkiState, Rule, SourceKind};
    use bgp_rib::{PeerId, RouteAttributes, Why};
    use bgp_wire::{Asn, PathAttributes, RouterId};

    use super::*;

    fn us() -> Us {
        let none: Arc<[std::net::IpAddr]> = [].into();
        let (addresses, listening) = (none.clone(), none);
        Us { asn: Asn(65000), router_id: RouterId(1), cluster_id: None, addresses, listening }
    }

    /// A route over two next hops, told by a peer that shares an AS of ours which is not the speaker's.
    fn best(client: bool) -> Best {
        let mut block = Vec::new();
        PathAttributes::default().encode_block(&mut block).unwrap();
        let hops = [[10, 0, 0, 9], [10, 0, 1, 9]].map(|address| NextHop::V4(address.into()));
        let (next_hop, kernel) = (Some(hops[0]), KernelTag::default());
        Best {
            next_hops: hops.to_vec(),
            weights: vec![3, 5],
            attributes: RouteAttributes { block: block.into(), next_hop, kernel },
            source: Source::Peer {
                id: PeerId(1),
                address: [10, 0, 0, 9].into(),
                asn: Asn(64999),
                router_id: RouterId(9),
                kind: PeerKind::Internal,
                client,
            },
            rpki: RpkiState::Invalid,
            why: Why::Only,
            stale: false,
            interface: None,
            stale_next_hops: Vec::new(),
        }
    }

    fn exported(default: Verdict, rule: Rule, best: &Best) -> Option<Vec<u32>> {
        let policy = Policy::compile(PolicyConfig::new("kernel", default).rule(rule)).unwrap();
        let tag = tag(Some(&policy), &us(), "10.1.0.0/24".parse().unwrap(), best);
        tag.map(|(_, weights)| weights)
    }

    fn passes(condition: Condition, client: bool) -> bool {
        exported(Verdict::Reject, Rule::accept("rule").when(condition), &best(client)).is_some()
    }

    #[test]
    fn a_peer_under_a_local_as_is_internal_and_a_client_is_a_client() {
        let from = |kind| Condition::Source(vec![kind]);
        assert!(passes(from(SourceKind::Internal), false));
        assert!(!passes(from(SourceKind::External), false));
        assert!(!passes(from(SourceKind::Client), false));
        assert!(passes(from(SourceKind::Client), true));
    }

    #[test]
    fn what_origin_validation_made_of_a_route_counts_for_the_export() {
        assert!(passes(Condition::Rpki(RpkiState::Invalid), false));
        assert!(!passes(Condition::Rpki(RpkiState::Valid), false));
    }

    #[test]
    fn a_weight_is_that_of_the_next_hop_that_the_rule_is_about() {
        let weighs = || Rule::accept("weight").then(Action::Weight(20));
        let second = Condition::NextHop(PrefixSet::hosts(&[[10, 0, 1, 9].into()]));
        assert_eq!(exported(Verdict::Accept, weighs(), &best(false)), Some(vec![20, 20]));
        assert_eq!(exported(Verdict::Accept, weighs().when(second), &best(false)), Some(vec![3, 20]));
    }
}
