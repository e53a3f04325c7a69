//! Originations, piece by piece, and answers to questions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use bgp_rib::{Destination, Input, Origination, OwnerId, PageToken, PeerExplanation, PeerId};
use bgp_wire::{AsPath, Family, NextHop, PathAttributes};
use ipnet::IpNet;
use tokio::sync::oneshot;

use super::{DryRun, FilterPeers, Job, ORIGINATED, PAGE, Query, Reply, RibTask};
use crate::originations::Difference;
use crate::peer_address::PeerAddress;
use crate::route::{DryRunPage, Explanation, PeerTold, Route, RouteCursor, RouteFilter, RoutePage};

impl RibTask {
    pub(super) fn query(&mut self, query: Query) {
        match query {
            Query::Originate(owner, routes, reply) => {
                self.jobs.push_back(Job::Originate(
                    owner,
                    Box::new(routes.into_iter().map(origination)),
                    Some(reply),
                ));
            }
            Query::Withdraw(owner, prefixes, reply) => {
                self.jobs.push_back(Job::Withdraw(owner, prefixes.into(), Some(reply)));
            }
            Query::Differ(differences, reply) => self.differ(differences, reply),
            Query::Ready(owner, reply) => self.jobs.push_back(Job::Ready(owner, reply)),
            // Who asked may have gone meanwhile.
            Query::Rename(us, reply) => {
                let (local_as, router_id, cluster_id) = us.names();
                self.rib.handle(self.shared.now(), Input::Rename { local_as, router_id, cluster_id });
                let _ = reply.send(());
            }
            Query::Multipath(multipath, reply) => {
                self.rib.handle(self.shared.now(), Input::Multipath(multipath));
                let _ = reply.send(());
            }
            Query::Decision(options, reply) => {
                self.rib.handle(self.shared.now(), Input::Decision(options));
                let _ = reply.send(());
            }
            Query::UniqueOrigins(within, reply) => {
                self.rib.handle(self.shared.now(), Input::UniqueOrigins(within));
                let _ = reply.send(());
            }
            // At once, so that no route is judged by a part of them.
            Query::Vrps(change, reply) => {
                self.rib.handle(self.shared.now(), Input::Vrps(change));
                let _ = reply.send(());
            }
            Query::Ways(ways, reply) => {
                self.next_hops.follow(&mut self.rib, self.shared.now(), ways);
                let _ = reply.send(());
            }
            Query::Routes { filter, peers, from, limit, reply } => {
                let _ = reply.send(self.routes(&filter, peers, from, limit));
            }
            Query::Depends(peers, from, reply) => {
                let _ = reply.send(self.depends_on(&peers, from));
            }
            Query::Explain(destination, reply) => {
                let _ = reply.send(self.explain(destination));
            }
            Query::DryRun(question, reply) => {
                let _ = reply.send(self.dry_run(&question));
            }
        }
    }

    /// What is new comes before what goes: a prefix that moves from one owner to another is there all the time.
    pub(super) fn differ(&mut self, differences: BTreeMap<OwnerId, Difference>, reply: oneshot::Sender<()>) {
        let mut gone = Vec::new();
        for (owner, difference) in differences {
            let announced = difference.announced.into_iter().map(origination);
            self.jobs.push_back(Job::Originate(owner, Box::new(announced), None));
            gone.push(Job::Withdraw(owner, difference.withdrawn.into(), None));
        }
        self.jobs.extend(gone);
        self.jobs.push_back(Job::Withdraw(OwnerId(0), VecDeque::new(), Some(reply)));
    }

    /// Does one piece of the oldest job.
    pub(super) fn work_on_job(&mut self) {
        let now = self.shared.now();
        self.table_changed |= !self.jobs.is_empty();
        let left = match self.jobs.front_mut() {
            Some(Job::Originate(owner, routes, _)) => {
                let piece: Vec<Origination> = routes.by_ref().take(ORIGINATED).collect();
                let whole = piece.len() == ORIGINATED;
                if let Some(piece) = self.barrier.announce(*owner, piece) {
                    self.rib.handle(now, Input::Originate(*owner, &piece));
                }
                whole
            }
            Some(Job::Withdraw(owner, prefixes, _)) => {
                let piece: Vec<IpNet> = prefixes.drain(..prefixes.len().min(ORIGINATED)).collect();
                if let Some(piece) = self.barrier.withdraw(*owner, piece) {
                    self.rib.handle(now, Input::Withdraw(*owner, &piece));
                }
                !prefixes.is_empty()
            }
            Some(Job::Ready(..) | Job::Complete) => false,
            None => return,
        };
        if left {
            return;
        }
        let reply = match self.jobs.pop_front() {
            Some(Job::Originate(_, _, reply) | Job::Withdraw(_, _, reply)) => reply,
            Some(Job::Ready(owner, reply)) => return self.owner_is_ready(owner, Some(reply)),
            Some(Job::Complete) => {
                self.tell_end_of_rib();
                None
            }
            None => None,
        };
        if let Some(reply) = reply {
            // Who asked may have gone meanwhile.
            let _ = reply.send(());
        }
    }

    /// What was held back for an owner goes, before anything that it says later.
    pub(super) fn owner_is_ready(&mut self, owner: OwnerId, reply: Reply) {
        let kept = self.barrier.ready(owner).into_iter().flatten();
        self.shared.set_not_ready(self.barrier.missing());
        self.jobs.push_front(Job::Complete);
        self.jobs.push_front(Job::Originate(owner, Box::new(kept), reply));
    }

    /// Whether these peers alone tell some destination; families that are empty are passed over at once.
    fn depends_on(&self, peers: &BTreeSet<PeerId>, from: Option<RouteCursor>) -> Result<bool, RouteCursor> {
        let families: Vec<Family> = self.rib.families().iter().collect();
        let mut token = from.map_or_else(PageToken::default, |c| c.token);
        let begin = from.and_then(|c| families.iter().position(|f| *f == c.family)).unwrap_or(0);
        for (place, &family) in families.iter().enumerate().skip(begin) {
            match self.rib.depends_on(family, peers, token) {
                Ok(false) => {}
                Ok(true) => return Ok(true),
                Err(token) => return Err(RouteCursor { family, token }),
            }
            token = PageToken::default();
            // A family with routes is one turn's work.
            if let Some(&next) =
                families.get(place + 1).filter(|_| self.rib.table_counters(family).prefixes > 0)
            {
                return Err(RouteCursor { family: next, token });
            }
        }
        Ok(false)
    }

    pub(super) fn routes(
        &self,
        filter: &RouteFilter,
        peers: FilterPeers,
        from: Option<RouteCursor>,
        limit: usize,
    ) -> RoutePage {
        let limit = limit.clamp(1, PAGE);
        let mut page = RoutePage::default();
        let families: Vec<Family> = match (filter.family, filter.prefix) {
            (Some(family), _) => vec![family],
            (None, Some(IpNet::V4(_))) => vec![Family::IPV4_UNICAST],
            (None, Some(IpNet::V6(_))) => vec![Family::IPV6_UNICAST],
            (None, None) => self.rib.families().iter().collect(),
        };
        let mut token = from.map_or_else(PageToken::default, |c| c.token);
        let begin = from.and_then(|c| families.iter().position(|f| *f == c.family)).unwrap_or(0);
        for &family in families.iter().skip(begin) {
            let mut asked = bgp_rib::RouteFilter::all(family);
            asked.prefix = filter.prefix;
            asked.longer = filter.longer;
            asked.peer = peers.told;
            asked.advertised_to = peers.advertised_to;
            asked.best_only = filter.best_only;
            if page.routes.len() >= limit {
                page.next = Some(RouteCursor { family, token });
                return page;
            }
            let (routes, next) = self.rib.routes(&asked, token, limit - page.routes.len());
            page.routes.extend(routes);
            if let Some(token) = next {
                page.next = Some(RouteCursor { family, token });
                return page;
            }
            token = PageToken::default();
        }
        page
    }

    /// How what a peer is told would differ by another policy.
    fn dry_run(&self, question: &DryRun) -> DryRunPage {
        let DryRun { peer, family, export, from, limit } = question;
        let token =
            from.filter(|cursor| cursor.family == *family).map_or_else(PageToken::default, |c| c.token);
        let (changes, next) = self.rib.dry_run(*peer, *family, export, token, (*limit).clamp(1, PAGE));
        DryRunPage { changes, next: next.map(|token| RouteCursor { family: *family, token }) }
    }

    fn explain(&self, destination: Destination) -> Option<Explanation> {
        let told = self.rib.explain(destination)?;
        let address = |peer: PeerId| -> Option<PeerAddress> {
            let slot = self.peers.get(usize::try_from(peer.0).ok()?)?.as_ref()?;
            Some(slot.cell.address)
        };
        let peers = told.peers.into_iter().filter_map(|told| {
            let PeerExplanation { peer, verdict, policy, paths, sent } = told;
            Some(PeerTold { peer: address(peer)?, verdict, policy, paths, sent })
        });
        Some(Explanation { destination: told.destination, paths: told.paths, peers: peers.collect() })
    }
}

fn origination(route: Route) -> Origination {
    let mut attributes = PathAttributes {
        origin: route.origin,
        as_path: AsPath::sequence(route.as_path),
        local_pref: route.local_pref,
        med: route.med,
        communities: route.communities,
        extended_communities: route.extended_communities,
        large_communities: route.large_communities,
        ..PathAttributes::default()
    };
    attributes.set_ipv6_extended_communities(&route.ipv6_extended_communities);
    attributes.set_aigp(route.aigp);
    let next_hop = route.next_hop.map(|address| match address {
        IpAddr::V4(address) => NextHop::V4(address),
        IpAddr::V6(address) => NextHop::V6(address),
    });
    Origination {
        next_hop,
        attributes,
        metric: route.metric,
        tag: route.tag,
        interface: route.interface,
        preference: route.preference,
        discard: route.discard,
        aggregation: route.aggregation,
        ..Origination::new(route.prefix)
    }
}
