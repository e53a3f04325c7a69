//! Ways to next hops: what the kernel follower knows of them is what the tables decide with (RFC 4271 §9.1.2.1).
//!
//! The kernel is asked for the IPv4 address where an IPv6 next hop stands for one (`::ffff:a.b.c.d`, RFC 4659 §3.2.1.2,
//! RFC 4798 §2): the way to the router is an IPv4 route.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bgp_rib::{Input, NextHopUse, Reachability, Rib};
use bgp_wire::Update;
use foldhash::quality::RandomState;

use crate::config::is_link_local;
use crate::kernel::{Lookup, NextHopWatch, NextHopWay, Probe};

/// Who tells the ways.
pub(crate) struct Ways {
    pub(crate) watch: NextHopWatch,
    pub(crate) probe: Option<Box<dyn Probe>>,
    pub(crate) via_default: bool,
}

/// What the tables were told of the next hops in use.
pub(crate) struct NextHops {
    ways: Option<Ways>,
    told: HashMap<IpAddr, Told, RandomState>,
    /// Told before the tables were seen to use them.
    early: Vec<IpAddr>,
}

/// What the tables were told of a next hop.
#[derive(Clone, PartialEq, Eq)]
struct Told {
    way: Reachability,
    interface: Option<Arc<str>>,
}

impl Told {
    /// What the tables take for granted.
    const NOTHING: Self = Self { way: Reachability::Metric(0), interface: None };

    fn of(way: &NextHopWay) -> Self {
        match way {
            NextHopWay::Reachable { cost, interface, .. } => {
                Self { way: Reachability::Metric(*cost), interface: interface.clone() }
            }
            NextHopWay::Own => Self { way: Reachability::Own, interface: None },
            NextHopWay::Unreachable(_) => Self { way: Reachability::Unreachable, interface: None },
        }
    }

    /// Tells the tables what differs from what they were told.
    fn tell(&self, was: &Self, rib: &mut Rib, now: Duration, at: IpAddr) {
        if self.interface != was.interface {
            rib.handle(now, Input::NextHopInterface(at, self.interface.clone()));
        }
        if self.way != was.way {
            rib.handle(now, Input::NextHop(at, self.way));
        }
    }
}

impl NextHops {
    pub(crate) fn new(ways: Option<Ways>) -> Self {
        Self { ways, told: HashMap::default(), early: Vec::new() }
    }

    /// Somebody else tells the ways from now on, or nobody: then there is one to everywhere.
    pub(crate) fn follow(&mut self, rib: &mut Rib, now: Duration, ways: Option<Ways>) {
        self.ways = ways;
        match &self.ways {
            Some(ways) => self.told.keys().for_each(|at| ways.watch.watch(at.to_canonical())),
            None => {
                for (at, told) in &mut self.told {
                    Told::NOTHING.tell(told, rib, now, *at);
                    *told = Told::NOTHING;
                }
            }
        }
    }

    /// The way to what an update names is told first, so that nothing is chosen, passed on and taken back.
    pub(crate) fn before(&mut self, rib: &mut Rib, now: Duration, update: &Update) {
        if self.ways.is_none() {
            return;
        }
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
                        self.told.insert(at, Told::NOTHING);
                    }
                    if let Some(ways) = &self.ways {
                        ways.watch.watch(at.to_canonical());
                    }
                }
                NextHopUse::Ends(at) => {
                    self.early.retain(|early| *early != at);
                    self.forget(rib, now, at);
                    if let Some(ways) = &self.ways
                        && !forms(at.to_canonical()).any(|form| self.told.contains_key(&form))
                    {
                        ways.watch.unwatch(at.to_canonical());
                    }
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
        for (at, way) in self.ways.iter().flat_map(|ways| ways.watch.take()) {
            let is = Told::of(&way);
            for at in forms(at) {
                if let Some(told) = self.told.get_mut(&at).filter(|told| **told != is) {
                    tracing::debug!(next_hop = %at, ?way, "the way to a next hop changed");
                    any = true;
                    is.tell(told, rib, now, at);
                    *told = is.clone();
                }
            }
        }
        any
    }

    /// The door at which news arrive.
    pub(crate) fn watch(&self) -> Option<NextHopWatch> {
        self.ways.as_ref().map(|ways| ways.watch.clone())
    }

    /// Asks the kernel and tells the tables; false when it did not say.
    fn look_up(&mut self, rib: &mut Rib, now: Duration, at: IpAddr) -> bool {
        if is_link_local(at) {
            return false;
        }
        let canonical = at.to_canonical();
        let Some(Ways { probe: Some(probe), via_default, .. }) = &mut self.ways else { return false };
        let Ok(lookup) = probe.lookup(canonical) else { return false };
        let told = match lookup {
            // Whether a route of ours is a way only the follower knows, which answers a moment later.
            Lookup::Route { ours: true, .. } => Told { way: Reachability::Unreachable, interface: None },
            lookup => {
                let way = NextHopWay::of(canonical, lookup, *via_default);
                let mut told = Told::of(&way);
                if let NextHopWay::Reachable { device: Some(device), .. } = way {
                    told.interface = probe.device_name(device).map(Arc::from);
                }
                told
            }
        };
        told.tell(&Told::NOTHING, rib, now, at);
        self.told.insert(at, told);
        true
    }

    fn forget(&mut self, rib: &mut Rib, now: Duration, at: IpAddr) {
        if let Some(told) = self.told.remove(&at) {
            Told::NOTHING.tell(&told, rib, now, at);
        }
    }
}

/// How the tables may name what the kernel knows by this address.
fn forms(canonical: IpAddr) -> impl Iterator<Item = IpAddr> {
    let mapped = match canonical {
        IpAddr::V4(address) => Some(address.to_ipv6_mapped().into()),
        IpAddr::V6(_) => None,
    };
    std::iter::once(canonical).chain(mapped)
}
