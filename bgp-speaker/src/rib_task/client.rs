//! The way to the tables from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bgp_rib::{DecisionOptions, Destination, Multipath, OwnerId, PeerId, Policy, VrpChange, VrpSet};
use bgp_wire::Family;
use ipnet::IpNet;
use tokio::sync::{Mutex, MutexGuard, mpsc, oneshot};
use tokio::task::spawn_blocking;

use crate::desired::{Change, Desired};
use crate::door::Door;
use crate::error::SpeakerError;
use crate::next_hops::Ways;
use crate::originations::{Difference, Originations};
use crate::route::{DryRunPage, Explanation, Route, RouteCursor, RouteFilter, RoutePage};
use crate::shared::{Shared, Us};
use crate::subscription::Subscription;

/// What handles ask of the tables.
pub(crate) enum Query {
    Originate(OwnerId, Vec<Route>, oneshot::Sender<()>),
    Withdraw(OwnerId, Vec<IpNet>, oneshot::Sender<()>),
    Differ(BTreeMap<OwnerId, Difference>, oneshot::Sender<()>),
    Ready(OwnerId, oneshot::Sender<()>),
    Rename(Us, oneshot::Sender<()>),
    Multipath(Multipath, oneshot::Sender<()>),
    Decision(DecisionOptions, oneshot::Sender<()>),
    UniqueOrigins(Vec<IpNet>, oneshot::Sender<()>),
    Ways(Option<Ways>, oneshot::Sender<()>),
    Vrps(VrpChange, oneshot::Sender<()>),
    Routes {
        filter: RouteFilter,
        /// The ids of the peers that the filter names.
        peers: FilterPeers,
        from: Option<RouteCursor>,
        limit: usize,
        reply: oneshot::Sender<RoutePage>,
    },
    /// Whether these peers alone tell some destination, from there on; the answer, or where to go on.
    Depends(Arc<BTreeSet<PeerId>>, Option<RouteCursor>, oneshot::Sender<Result<bool, RouteCursor>>),
    Explain(Destination, oneshot::Sender<Option<Explanation>>),
    DryRun(Box<DryRun>, oneshot::Sender<DryRunPage>),
}

/// What a peer would be told by another export policy.
pub(crate) struct DryRun {
    pub(crate) peer: PeerId,
    pub(crate) family: Family,
    pub(crate) export: Policy,
    pub(crate) from: Option<RouteCursor>,
    pub(crate) limit: usize,
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
    pub(super) queries: mpsc::Sender<Query>,
    pub(super) door: Arc<Door>,
    /// Held until the question that follows from it is on its way, so that both keep one order.
    pub(super) originations: Arc<Mutex<Originations>>,
    /// The payloads of origin validation, once there was word of them.
    pub(super) vrps: Arc<Mutex<Option<Arc<VrpSet>>>>,
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

    /// Withdraws everything that the owner announces.
    pub(crate) async fn withdraw_all(&self, owner: OwnerId) -> Result<(), SpeakerError> {
        let prefixes = self.originations.lock().await.prefixes_of(owner);
        self.withdraw(owner, prefixes).await
    }

    /// Makes these all the payloads of origin validation; how many came and went, if that is news.
    pub(crate) async fn set_vrps(&self, wanted: Arc<VrpSet>) -> Result<Option<(usize, usize)>, SpeakerError> {
        let mut held = self.vrps.lock().await;
        let (before, to) = (held.clone(), wanted.clone());
        // A walk over all of them, on a thread that nobody waits for but the caller.
        let change = spawn_blocking(move || VrpChange::new(before, to));
        let change = change.await.map_err(|_| SpeakerError::Stopped)?;
        let counts = change.counts();
        if held.is_some() && counts == (0, 0) {
            return Ok(None);
        }
        // From here on nothing waits before the question is asked: a caller that gives up changes nothing or both.
        let way = self.queries.reserve().await.map_err(|_| SpeakerError::Stopped)?;
        *held = Some(wanted);
        let (reply, answer) = oneshot::channel();
        way.send(Query::Vrps(change, reply));
        drop(held);
        answer.await.map_err(|_| SpeakerError::Stopped)?;
        Ok(Some(counts))
    }

    /// Lets prefixes have as many next hops as is asked for; how many that is, if it is news.
    pub(crate) async fn set_multipath(
        &self,
        shared: &Shared,
        desired: &Desired,
    ) -> Result<Option<Multipath>, SpeakerError> {
        // From here on nothing waits before the question is asked: a caller that gives up changes nothing or both.
        let way = self.queries.reserve().await.map_err(|_| SpeakerError::Stopped)?;
        let Some(multipath) = shared.set_multipath(desired) else { return Ok(None) };
        let (reply, answer) = oneshot::channel();
        way.send(Query::Multipath(multipath, reply));
        answer.await.map_err(|_| SpeakerError::Stopped)?;
        Ok(Some(multipath))
    }

    /// Decides routes as is asked for; whether that is news.
    pub(crate) async fn set_decision(
        &self,
        shared: &Shared,
        desired: &Desired,
    ) -> Result<bool, SpeakerError> {
        // From here on nothing waits before the question is asked: a caller that gives up changes nothing or both.
        let way = self.queries.reserve().await.map_err(|_| SpeakerError::Stopped)?;
        let Some(options) = shared.set_decision(desired) else { return Ok(false) };
        let (reply, answer) = oneshot::channel();
        way.send(Query::Decision(options, reply));
        answer.await.map_err(|_| SpeakerError::Stopped)?;
        Ok(true)
    }

    /// Whether these peers alone tell the way to some destination.
    pub(crate) async fn depends_on(&self, peers: BTreeSet<PeerId>) -> Result<bool, SpeakerError> {
        let (peers, mut from) = (Arc::new(peers), None);
        loop {
            match self.ask(|reply| Query::Depends(peers.clone(), from, reply)).await? {
                Ok(depends) => return Ok(depends),
                Err(next) => from = Some(next),
            }
        }
    }

    /// Looks for second origins where it is asked for; whether that is news.
    pub(crate) async fn set_unique_origins(
        &self,
        shared: &Shared,
        desired: &Desired,
    ) -> Result<bool, SpeakerError> {
        // As with the decision.
        let way = self.queries.reserve().await.map_err(|_| SpeakerError::Stopped)?;
        if !shared.set_unique_origins(&desired.unique_origins) {
            return Ok(false);
        }
        let (reply, answer) = oneshot::channel();
        way.send(Query::UniqueOrigins(desired.unique_origins.clone(), reply));
        answer.await.map_err(|_| SpeakerError::Stopped)?;
        Ok(true)
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

    /// Room for one question and for word of who we are, with the right to the originations.
    pub(crate) async fn reserve(&self) -> Result<Reserved<'_>, SpeakerError> {
        let originations = self.originations.lock().await;
        let way = self.queries.reserve().await.map_err(|_| SpeakerError::Stopped)?;
        let rename = self.queries.reserve().await.map_err(|_| SpeakerError::Stopped)?;
        Ok(Reserved { originations, way, rename })
    }

    pub(crate) async fn ask<T>(
        &self,
        query: impl FnOnce(oneshot::Sender<T>) -> Query,
    ) -> Result<T, SpeakerError> {
        let (reply, answer) = oneshot::channel();
        self.queries.send(query(reply)).await.map_err(|_| SpeakerError::Stopped)?;
        answer.await.map_err(|_| SpeakerError::Stopped)
    }

    /// Follows the best routes, and with `marks` whether they are stale.
    pub(crate) fn subscribe(&self, marks: bool) -> Subscription {
        Subscription::new(self.door.clone(), marks)
    }
}

/// The right to change what is originated, once and without waiting.
pub(crate) struct Reserved<'a> {
    originations: MutexGuard<'a, Originations>,
    way: mpsc::Permit<'a, Query>,
    rename: mpsc::Permit<'a, Query>,
}

impl Reserved<'_> {
    /// Says who we are; when that stands.
    pub(crate) fn rename(self, us: Us) -> oneshot::Receiver<()> {
        let (reply, answer) = oneshot::channel();
        self.rename.send(Query::Rename(us, reply));
        answer
    }

    /// Announces and withdraws, after word of who we are if that is news; what that changed, and when it stands.
    pub(crate) fn step(
        mut self,
        announced: BTreeMap<OwnerId, Vec<Route>>,
        withdrawn: BTreeMap<OwnerId, Vec<IpNet>>,
        us: Option<Us>,
    ) -> (Vec<Change>, oneshot::Receiver<()>) {
        let (differences, changes) = self.originations.step(announced, withdrawn);
        if let Some(us) = us {
            // What follows is answered after it.
            self.rename.send(Query::Rename(us, oneshot::channel().0));
        }
        let (reply, answer) = oneshot::channel();
        self.way.send(Query::Differ(differences, reply));
        (changes, answer)
    }
}
