//! From BGP next hops to the legs that the kernel takes: the hook, recursive next hops, interface names.
//!
//! A next hop without a device is looked up in the kernel (RTM_GETROUTE) once for all routes that use it. It may
//! be on the link, or behind a route of another protocol, or behind a route of ours that is itself not recursive:
//! one level, as in BIRD, so that resolution cannot go in circles. Where the kernel's answer is another route of ours,
//! the routes of others beneath it decide. What is watched from outside (the decision process) is looked up in the
//! same way, once for both.
//!
//! Work is in proportion to the change: a route event marks the next hops inside its prefix, a link event those that
//! leave through it or have no way, and [`Resolver::refresh`] looks so many of the marked up at a time.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::quality::RandomState;
use ipnet::IpNet;

use super::config::{KernelConfig, NextHopAction, NextHopQuery};
use super::error::{FibError, RouteError, errno};
use super::fib::{Fib, Lookup};
use super::route::{Device, FibAction, FibNextHop, KernelAction, KernelHop};
use super::shares::Shares;
use super::table::{Desired, Table};

/// What a desired route comes to at present.
#[derive(Debug)]
pub(super) enum Target {
    Route {
        action: KernelAction,
        recursive: bool,
    },
    Unresolved(RouteError),
    /// A next hop is yet to be looked up, together with others.
    Later,
    Skip,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Resolution {
    /// Legs towards the gateway; a leg without a gateway means that it is on that link.
    Legs {
        legs: Vec<KernelHop>,
        recursive: bool,
        cost: u32,
    },
    /// An address of this host.
    Own,
    Unreachable(RouteError),
}

/// What changed in a [`Resolver::refresh`].
#[derive(Debug, Default)]
pub(super) struct Changed {
    pub(super) gateways: HashSet<IpAddr>,
    /// An interface name means another index now.
    pub(super) names: bool,
    /// What those who watch next hops are to hear.
    pub(super) ways: Vec<(IpAddr, NextHopWay)>,
}

/// The way to a next hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextHopWay {
    /// There is one.
    Reachable {
        /// Interior cost: 0 on a connected network, else the metric of the route that leads there, at least 1.
        cost: u32,
        /// The interface, where there is just one.
        device: Option<u32>,
        /// Its name, where it can be told.
        interface: Option<Arc<str>>,
    },
    /// It is an address of this host.
    Own,
    /// There is none.
    Unreachable(RouteError),
}

impl Resolution {
    fn way(&self) -> NextHopWay {
        match self {
            Self::Own => NextHopWay::Own,
            Self::Unreachable(error) => NextHopWay::Unreachable(error.clone()),
            Self::Legs { legs, cost, .. } => {
                let mut devices = legs.iter().map(|leg| leg.device);
                let first = devices.next();
                let device = first.filter(|first| devices.all(|other| other == *first));
                NextHopWay::Reachable { cost: *cost, device, interface: None }
            }
        }
    }
}

impl NextHopWay {
    /// What a lookup says of the way to `gateway`, as far as it can be told without knowing our own routes.
    pub(crate) fn of(gateway: IpAddr, lookup: Lookup, via_default: bool) -> Self {
        match legs_of(gateway, lookup, via_default) {
            Ok((resolution, _)) => resolution.way(),
            Err(error) => Self::Unreachable(error),
        }
    }
}

/// Names of interfaces that are kept at once: some 100 KiB. Next hops leave by few, and others are asked for again.
const NAMES_KEPT: usize = 1024;
/// Below this many next hops none is dropped for want of use: 1024 are some 100 KiB.
const TRACKED_KEPT: usize = 1024;
/// Below this many leg sets the interner is not swept: 4096 sets are under 1 MiB.
const LEG_SETS_KEPT: usize = 4096;

/// Next hops in use and what they come to.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    tracked: BTreeMap<IpAddr, Resolution>,
    /// Those of which somebody outside hears.
    watched: BTreeSet<IpAddr>,
    /// Those that have to be looked up again, or for the first time.
    marked: BTreeSet<IpAddr>,
    /// Those for which routes wait.
    postponed: HashSet<IpAddr>,
    /// Those that were found behind a route that is wanted over them: to go through it again as soon as it takes
    /// another way would turn it back.
    circular: HashMap<IpAddr, IpNet, RandomState>,
    names: HashMap<Arc<str>, Option<u32>>,
    names_marked: bool,
    /// Names by index, of those that watched next hops leave by; and those that have another one by now.
    labels: HashMap<u32, Option<Arc<str>>>,
    relabelled: HashSet<u32>,
    drop_at: usize,
    devices: HashSet<u32>,
    legs: HashSet<Arc<[KernelHop]>, RandomState>,
    sweep_at: usize,
}

impl Resolver {
    /// What `desired` comes to; an error is one of the way to the kernel, not of the route.
    pub(super) fn target(
        &mut self,
        fib: &mut dyn Fib,
        table: &Table,
        config: &KernelConfig,
        prefix: IpNet,
        desired: &Desired,
    ) -> Result<Target, FibError> {
        let plain = |action| Ok(Target::Route { action, recursive: false });
        let hops = match &desired.action {
            FibAction::Unicast(hops) => hops,
            FibAction::Blackhole => return plain(KernelAction::Blackhole),
            FibAction::Unreachable => return plain(KernelAction::Unreachable),
            FibAction::Prohibit => return plain(KernelAction::Prohibit),
        };
        let mut shares = Shares::default();
        let (mut recursive, mut fault) = (false, None);
        for hop in hops.iter() {
            let Some(hop) = Self::asked(config, prefix, desired.slot.metric, hop) else { continue };
            if prefix.addr().is_ipv6() && hop.gateway.is_ipv4() {
                fault = Some(RouteError::new(
                    errno::EAFNOSUPPORT,
                    format!("an IPv6 route cannot have the IPv4 next hop {}", hop.gateway),
                ));
                continue;
            }
            match &hop.device {
                Some(device) => match self.index(fib, device)? {
                    Some(device) => shares.direct(&hop, device),
                    None => {
                        fault = Some(RouteError::new(errno::ENODEV, format!("no interface named {device}")));
                    }
                },
                None if is_link_local(hop.gateway) => {
                    fault = Some(RouteError::new(
                        errno::EINVAL,
                        format!("link-local next hop {} comes without its interface", hop.gateway),
                    ));
                }
                None => match self.track(fib, table, config, hop.gateway)? {
                    None => return Ok(Target::Later),
                    Some(Resolution::Legs { legs: towards, recursive: through, .. }) => {
                        recursive |= through;
                        shares.behind(&hop, towards);
                    }
                    Some(Resolution::Own) => {
                        fault = Some(RouteError::new(
                            errno::EINVAL,
                            format!("next hop {} is an address of this host", hop.gateway),
                        ));
                    }
                    Some(Resolution::Unreachable(error)) => fault = Some(error.clone()),
                },
            }
        }
        if shares.is_empty() {
            return Ok(fault.map_or(Target::Skip, Target::Unresolved));
        }
        Ok(Target::Route { action: self.intern(KernelAction::weighed(shares.legs())), recursive })
    }

    /// The hop as the hook wants it; `None` = left out.
    fn asked(config: &KernelConfig, prefix: IpNet, metric: u32, hop: &FibNextHop) -> Option<FibNextHop> {
        let Some(hook) = &config.next_hop else { return Some(hop.clone()) };
        match hook.ask(NextHopQuery::new(prefix, hop.gateway, metric)) {
            NextHopAction::Direct => Some(hop.clone()),
            NextHopAction::Onlink { device, gateway } | NextHopAction::Encap { device, gateway } => {
                Some(FibNextHop { gateway, device: Some(device), onlink: true, weight: hop.weight })
            }
            NextHopAction::Skip => None,
        }
    }

    fn index(&mut self, fib: &mut dyn Fib, device: &Device) -> Result<Option<u32>, FibError> {
        let index = match device {
            Device::Index(index) => Some(*index),
            Device::Name(name) => match self.names.get(name) {
                Some(known) => *known,
                None => {
                    let index = fib.device_index(name)?;
                    self.names.insert(name.clone(), index);
                    index
                }
            },
        };
        self.devices.extend(index);
        Ok(index)
    }

    /// The way to a next hop; `None`: it lies beneath routes of ours, which costs a dump. It is looked up with all such next
    /// hops by the next [`Resolver::refresh`]: after a restart behind a route of BGP they all are.
    fn track(
        &mut self,
        fib: &mut dyn Fib,
        table: &Table,
        config: &KernelConfig,
        gateway: IpAddr,
    ) -> Result<Option<&Resolution>, FibError> {
        if !self.tracked.contains_key(&gateway) {
            let Some(resolution) = self.seen(fib, table, config, gateway)?.ok() else {
                self.marked.insert(gateway);
                self.postponed.insert(gateway);
                return Ok(None);
            };
            self.note_devices(&resolution);
            self.tracked.insert(gateway, resolution);
        }
        Ok(self.tracked.get(&gateway))
    }

    fn note_devices(&mut self, resolution: &Resolution) {
        if let Resolution::Legs { legs, .. } = resolution {
            self.devices.extend(legs.iter().map(|leg| leg.device));
        }
    }

    /// One `Arc` for all routes over the same legs.
    fn intern(&mut self, action: KernelAction) -> KernelAction {
        let KernelAction::Unicast(legs) = action else { return action };
        if let Some(known) = self.legs.get(&legs) {
            return KernelAction::Unicast(known.clone());
        }
        if self.legs.len() >= self.sweep_at.max(LEG_SETS_KEPT) {
            self.legs.retain(|set| Arc::strong_count(set) > 1);
            self.sweep_at = self.legs.len() * 2;
        }
        self.legs.insert(legs.clone());
        KernelAction::Unicast(legs)
    }

    /// Looks up again what is marked, at most `limit` next hops, and notes what changed, also of a way that then fails.
    pub(super) fn refresh(
        &mut self,
        fib: &mut dyn Fib,
        table: &Table,
        config: &KernelConfig,
        limit: usize,
        changed: &mut Changed,
    ) -> Result<(), FibError> {
        self.drop_unused(table);
        if self.names_marked {
            for (name, known) in &mut self.names {
                let now = fib.device_index(name)?;
                if *known != now {
                    *known = now;
                    changed.names = true;
                    self.devices.extend(now);
                }
            }
            self.names_marked = false;
        }
        let some: Vec<IpAddr> = self.marked.iter().take(limit).copied().collect();
        let (used, unused): (Vec<IpAddr>, Vec<IpAddr>) =
            some.into_iter().partition(|gateway| self.is_used(gateway));
        for gateway in unused {
            self.marked.remove(&gateway);
        }
        for (gateway, now) in self.resolve(fib, table, config, &used)? {
            self.marked.remove(&gateway);
            let waited = self.postponed.contains(&gateway);
            let known = self.tracked.get(&gateway);
            let (same, is_known) = (known == Some(&now) && !waited, known.is_some());
            if same && !self.is_relabelled(&now) {
                continue;
            }
            if self.watched.contains(&gateway) {
                let way = self.labelled(fib, now.way())?;
                changed.ways.push((gateway, way));
            }
            if same {
                continue;
            }
            if is_known || waited {
                changed.gateways.insert(gateway);
            }
            self.postponed.remove(&gateway);
            self.note_devices(&now);
            self.tracked.insert(gateway, now);
        }
        if self.marked.is_empty() {
            self.relabelled.clear();
        }
        Ok(())
    }

    /// A way with the name of its interface.
    fn labelled(&mut self, fib: &mut dyn Fib, way: NextHopWay) -> Result<NextHopWay, FibError> {
        let NextHopWay::Reachable { cost, device: Some(device), .. } = way else { return Ok(way) };
        if self.labels.len() >= NAMES_KEPT {
            self.labels.clear();
        }
        let interface = match self.labels.get(&device) {
            Some(known) => known.clone(),
            None => {
                let name = fib.device_name(device)?.map(Arc::from);
                self.labels.insert(device, name.clone());
                name
            }
        };
        Ok(NextHopWay::Reachable { cost, device: Some(device), interface })
    }

    fn is_relabelled(&self, known: &Resolution) -> bool {
        let Resolution::Legs { legs, .. } = known else { return false };
        legs.iter().any(|leg| self.relabelled.contains(&leg.device))
    }

    /// The kernel's ways to `gateways`. A route of ours that is itself recursive leads nowhere (RFC 4271 §9.1.2.1): then
    /// it is what lies beneath that counts, read once for all of them.
    fn resolve(
        &mut self,
        fib: &mut dyn Fib,
        table: &Table,
        config: &KernelConfig,
        gateways: &[IpAddr],
    ) -> Result<Vec<(IpAddr, Resolution)>, FibError> {
        let (mut found, mut hidden) = (Vec::with_capacity(gateways.len()), Vec::new());
        for &gateway in gateways {
            match self.seen(fib, table, config, gateway)? {
                Ok(resolution) => found.push((gateway, resolution)),
                Err(prefix) => hidden.push((gateway, prefix)),
            }
        }
        if hidden.is_empty() {
            return Ok(found);
        }
        let asked: Vec<IpAddr> = hidden.iter().map(|(gateway, _)| *gateway).collect();
        let mut beneath = fib.lookup_beneath(&asked)?.map(Vec::into_iter);
        for (gateway, prefix) in hidden {
            let lookup = beneath.as_mut().map(Iterator::next);
            let resolution = match lookup {
                Some(Some(lookup)) => legs_of(gateway, lookup, config.resolve_via_default)
                    .map_or_else(|_| only_through(gateway, prefix), |(resolution, _)| resolution),
                Some(None) => only_through(gateway, prefix),
                // It cannot be told: what was known is as good as anything, and to drop it would bring it back at once.
                None => match self.tracked.get(&gateway) {
                    Some(known @ Resolution::Legs { .. }) => known.clone(),
                    _ => only_through(gateway, prefix),
                },
            };
            found.push((gateway, resolution));
        }
        Ok(found)
    }

    /// The kernel's way to `gateway`; an error is the route of ours that hides it.
    fn seen(
        &mut self,
        fib: &mut dyn Fib,
        table: &Table,
        config: &KernelConfig,
        gateway: IpAddr,
    ) -> Result<Result<Resolution, IpNet>, FibError> {
        Ok(match legs_of(gateway, fib.lookup(gateway)?, config.resolve_via_default) {
            Ok((_, Some(prefix))) if self.goes_in_circles(table, gateway, prefix) => Err(prefix),
            Ok((resolution, _)) => Ok(resolution),
            Err(error) => Ok(Resolution::Unreachable(error)),
        })
    }

    /// Whether the way to `gateway` is worth a look.
    fn is_used(&self, gateway: &IpAddr) -> bool {
        self.tracked.contains_key(gateway)
            || self.watched.contains(gateway)
            || self.postponed.contains(gateway)
    }

    /// Whether our route for `prefix` cannot be the way to `gateway`.
    fn goes_in_circles(&mut self, table: &Table, gateway: IpAddr, prefix: IpNet) -> bool {
        let Some(entry) = table.get(&prefix) else { return false };
        if entry.wants(gateway) {
            self.circular.insert(gateway, prefix);
        }
        entry.may_be_recursive() || self.circular.get(&gateway) == Some(&prefix)
    }

    /// Whether [`Resolver::refresh`] has something to do.
    pub(super) fn is_marked(&self) -> bool {
        self.names_marked || !self.marked.is_empty()
    }

    fn drop_unused(&mut self, table: &Table) {
        if self.tracked.len() < self.drop_at.max(TRACKED_KEPT) {
            return;
        }
        let mut used = HashSet::with_capacity(self.tracked.len());
        for desired in table.entries().filter_map(|(_, entry)| entry.desired.as_ref()) {
            if let FibAction::Unicast(hops) = &desired.action {
                used.extend(hops.iter().map(|hop| hop.gateway));
            }
        }
        let watched = &self.watched;
        self.tracked.retain(|gateway, _| used.contains(gateway) || watched.contains(gateway));
        self.circular.retain(|gateway, _| self.tracked.contains_key(gateway));
        self.drop_at = self.tracked.len() * 2;
    }

    /// Somebody outside wants to hear of this next hop, or no longer. What is known is told at once.
    pub(super) fn watch(&mut self, fib: &mut dyn Fib, gateway: IpAddr, watched: bool) -> Option<NextHopWay> {
        if !watched {
            self.watched.remove(&gateway);
            return None;
        }
        self.watched.insert(gateway);
        let known = self.tracked.get(&gateway).map(Resolution::way);
        let Some(known) = known else {
            self.marked.insert(gateway);
            return None;
        };
        // A way without a name is better than none.
        Some(self.labelled(fib, known.clone()).unwrap_or(known))
    }

    /// How many next hops are looked after, and how many of them have no way.
    pub(super) fn counts(&self) -> (usize, usize) {
        let lost = self.tracked.values().filter(|known| !matches!(known, Resolution::Legs { .. }));
        (self.tracked.len(), lost.count())
    }

    /// Marks everything: news may have been missed.
    pub(super) fn mark_all(&mut self) {
        self.circular.clear();
        self.marked.extend(self.tracked.keys().chain(&self.postponed).copied());
        self.names_marked = true;
    }

    /// A route for `prefix` changed; whether it may carry a next hop that is looked after.
    pub(super) fn mark_inside(&mut self, prefix: &IpNet) -> bool {
        let before = self.marked.len();
        let mut any = false;
        for (gateway, _) in self.tracked.range(prefix.network()..=prefix.broadcast()) {
            any = true;
            self.marked.insert(*gateway);
        }
        any || self.marked.len() > before
    }

    /// A link or its addresses changed; whether a next hop or a name may mean something else now.
    pub(super) fn mark_link(&mut self, index: u32, name: Option<&str>) -> bool {
        self.names_marked |= name.is_some_and(|name| self.names.contains_key(name));
        if let (Some(name), Some(known)) = (name, self.labels.get(&index))
            && known.as_deref() != Some(name)
        {
            self.labels.remove(&index);
            self.relabelled.insert(index);
        }
        for (gateway, known) in &self.tracked {
            let concerned = match known {
                Resolution::Legs { legs, .. } => legs.iter().any(|leg| leg.device == index),
                Resolution::Own | Resolution::Unreachable(_) => true,
            };
            if concerned {
                self.marked.insert(*gateway);
            }
        }
        self.is_marked()
    }

    /// Whether routes leave through this interface.
    pub(super) fn uses(&self, index: u32, name: Option<&str>) -> bool {
        self.devices.contains(&index) || name.is_some_and(|name| self.names.contains_key(name))
    }

    /// Forgets what the hook said; interface names may be others now.
    pub(super) fn rehook(&mut self) {
        self.names.clear();
    }
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

fn only_through(gateway: IpAddr, prefix: IpNet) -> Resolution {
    Resolution::Unreachable(RouteError::new(
        errno::ENETUNREACH,
        format!(
            "next hop {gateway} is only reached through {prefix}, a BGP route whose own next hop is recursive"
        ),
    ))
}

/// What a lookup comes to, and the route of ours that it goes through, if it is one.
fn legs_of(
    gateway: IpAddr,
    lookup: Lookup,
    via_default: bool,
) -> Result<(Resolution, Option<IpNet>), RouteError> {
    let (legs, prefix, metric, ours) = match lookup {
        Lookup::Route { legs, prefix, metric, ours } => (legs, prefix, metric, ours),
        Lookup::Own => return Ok((Resolution::Own, None)),
        Lookup::Unreachable(error) => return Err(error),
    };
    if prefix.prefix_len() == 0 && !via_default {
        let text = format!("only the default route leads to next hop {gateway}");
        return Err(RouteError::new(errno::ENETUNREACH, text));
    }
    let recursive = legs.iter().any(|leg| leg.gateway.is_some());
    let cost = if recursive { metric.max(1) } else { 0 };
    Ok((Resolution::Legs { legs, recursive, cost }, ours.then_some(prefix)))
}
