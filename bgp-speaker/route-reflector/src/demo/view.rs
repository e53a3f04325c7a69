//! What one node holds, followed through its subscription.

use std::collections::BTreeMap;
use std::time::Instant;

use bgp_speaker::{NextHop, RouteNews, Subscription};
use ipnet::IpNet;

/// The best routes of one node, as it has told them so far.
#[derive(Debug)]
pub(super) struct View {
    pub(super) name: String,
    subscription: Subscription,
    /// Where a node's own route leads.
    own: NextHop,
    routes: BTreeMap<IpNet, NextHop>,
}

impl View {
    pub(super) fn new(name: String, subscription: Subscription, own: NextHop) -> Self {
        View { name, subscription, own, routes: BTreeMap::new() }
    }

    pub(super) fn routes(&self) -> &BTreeMap<IpNet, NextHop> {
        &self.routes
    }

    /// Follows the node until it holds just what is expected: when that was, or `None` if the node ends before.
    pub(super) async fn until(&mut self, expected: &BTreeMap<IpNet, NextHop>) -> Option<Instant> {
        while self.routes != *expected {
            let batch = match self.subscription.next().await? {
                RouteNews::Batch(batch) => batch,
                RouteNews::StartAnew => {
                    self.routes.clear();
                    continue;
                }
            };
            for change in batch.changes {
                match change.best {
                    Some(best) => {
                        let next_hop = best.next_hops.first().copied().unwrap_or(self.own);
                        self.routes.insert(change.prefix, next_hop);
                    }
                    None => {
                        self.routes.remove(&change.prefix);
                    }
                }
            }
        }
        Some(Instant::now())
    }

    /// How many of the expected routes are there.
    pub(super) fn matching(&self, expected: &BTreeMap<IpNet, NextHop>) -> usize {
        self.routes.iter().filter(|(prefix, next_hop)| expected.get(prefix) == Some(*next_hop)).count()
    }

    /// What is missing, wrong or too much, in words.
    pub(super) fn difference(&self, expected: &BTreeMap<IpNet, NextHop>) -> String {
        let missing = expected.keys().filter(|prefix| !self.routes.contains_key(prefix)).count();
        let extra = self.routes.keys().filter(|prefix| !expected.contains_key(prefix)).count();
        let wrong = expected.len() - missing - self.matching(expected);
        format!("{missing} routes are missing, {wrong} have a wrong next hop, {extra} should have gone")
    }
}
