//! Ways to next hops: what the kernel follower knows of them is what the tables decide with (RFC 4271 §9.1.2.1).

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use bgp_rib::{Input, NextHopUse, Reachability, Rib};
use bgp_wire::Update;
use foldhash::quality::RandomState;

use crate::config::is_link_local;
use crate::kernel::{NextHopWatch, NextHopWay, Probe};

/// What the tables were told of the next hops in use.
pub(crate) struct NextHops {
    watch: NextHopWatch,
    probe: Option<Box<dyn Probe>>,
    via_default: bool,
    told: HashMap<IpAddr, Reachability, RandomState>,
    /// Told before the tables were seen to use them.
    early: Vec<IpAddr>,
}

impl NextHops {
    pub(crate) fn new(watch: NextHopWatch, probe: Option<Box<dyn Probe>>, via_default: bool) -> Self {
        Self { watch, probe, via_default, told: HashMap::default(), early: Vec::new() }
    }

    /// The way to what an update names is told first, so that nothing is chosen, passed on and taken back.
    pub(crate) fn before(&mut self, rib: &mut Rib, now: Duration, update: &Update) {
        for reach in update.view().reach() {
            let at = reach.next_hop.address();
            if !self.told.contains_key(&at) && !at.is_unspecified() && self.look_up(rib, now, at) {
                self.early.push(at);
            }
        }
    }

    /// Takes note of which next hops the tables use.
    pub(crate) fn after(&mut self, rib: &mut Rib, now: Duration) {
        while let Some(used) = rib.poll_next_hop() {
            match used {
                // A link-local address says nothing without its interface.
                NextHopUse::Begins(at) | NextHopUse::Ends(at) if is_link_local(at) => {}
                NextHopUse::Begins(at) => {
                    self.early.retain(|early| *early != at);
                    if !self.told.contains_key(&at) && !self.look_up(rib, now, at) {
                        self.told.insert(at, Reachability::Metric(0));
                    }
                    self.watch.watch(at);
                }
                NextHopUse::Ends(at) => {
                    self.early.retain(|early| *early != at);
                    self.watch.unwatch(at);
                    self.forget(rib, now, at);
                }
            }
        }
        for at in std::mem::take(&mut self.early) {
            self.forget(rib, now, at);
        }
    }

    /// Tells the tables what has changed since.
    pub(crate) fn take_answers(&mut self, rib: &mut Rib, now: Duration) -> bool {
        let mut any = false;
        for (at, way) in self.watch.take() {
            let way = reachability(&way);
            if let Some(told) = self.told.get_mut(&at).filter(|told| **told != way) {
                tracing::debug!(next_hop = %at, ?way, "the way to a next hop changed");
                *told = way;
                any = true;
                rib.handle(now, Input::NextHop(at, way));
            }
        }
        any
    }

    /// The door at which news arrive.
    pub(crate) fn watch(&self) -> NextHopWatch {
        self.watch.clone()
    }

    /// Asks the kernel and tells the tables; false when it did not say.
    fn look_up(&mut self, rib: &mut Rib, now: Duration, at: IpAddr) -> bool {
        if is_link_local(at) {
            return false;
        }
        let Some(Ok(lookup)) = self.probe.as_mut().map(|probe| probe.lookup(at)) else { return false };
        let way = reachability(&NextHopWay::of(at, lookup, self.via_default));
        self.told.insert(at, way);
        if way != Reachability::Metric(0) {
            rib.handle(now, Input::NextHop(at, way));
        }
        true
    }

    fn forget(&mut self, rib: &mut Rib, now: Duration, at: IpAddr) {
        if self.told.remove(&at).is_some_and(|told| told != Reachability::Metric(0)) {
            rib.handle(now, Input::NextHop(at, Reachability::Metric(0)));
        }
    }
}

fn reachability(way: &NextHopWay) -> Reachability {
    match way {
        NextHopWay::Reachable { cost, .. } => Reachability::Metric(*cost),
        NextHopWay::Unreachable(_) => Reachability::Unreachable,
    }
}
