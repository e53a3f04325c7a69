//! From BGP next hops to the legs that the kernel takes: the hook, recursive next hops, interface names.
//!
//! A next hop without a device is looked up in the kernel (RTM_GETROUTE) once for all routes that use it. It may
//! be on the link, or behind a route of another protocol, or behind a route of ours that is itself not recursive:
//! one level, as in BIRD, so that resolution cannot go in circles.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::quality::RandomState;
use ipnet::IpNet;

use super::config::{KernelConfig, NextHopAction, NextHopQuery};
use super::error::{FibError, RouteError, errno};
use super::fib::{Fib, Lookup};
use super::route::{Device, FibAction, FibNextHop, KernelAction, KernelHop};
use super::table::{Desired, Table};

/// What a desired route comes to at present.
#[derive(Debug)]
pub(super) enum Target {
    Route { action: KernelAction, recursive: bool },
    Unresolved(RouteError),
    Skip,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Resolution {
    /// Legs towards the gateway; a leg without a gateway means that it is on that link.
    Legs {
        legs: Vec<KernelHop>,
        recursive: bool,
    },
    Unreachable(RouteError),
}

/// What changed in a [`Resolver::refresh`].
#[derive(Debug, Default)]
pub(super) struct Changed {
    pub(super) gateways: HashSet<IpAddr>,
    /// An interface name means another index now.
    pub(super) names: bool,
}

/// Below this many leg sets the interner is not swept: 4096 sets are under 1 MiB.
const LEG_SETS_KEPT: usize = 4096;

/// Next hops in use and what they come to.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    tracked: BTreeMap<IpAddr, Resolution>,
    names: HashMap<Arc<str>, Option<u32>>,
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
        let mut legs = Vec::with_capacity(hops.len());
        let (mut recursive, mut fault) = (false, None);
        for hop in hops.iter() {
            let Some(hop) = Self::asked(config, prefix, desired.metric, hop) else { continue };
            if prefix.addr().is_ipv6() && hop.gateway.is_ipv4() {
                fault = Some(RouteError::new(
                    errno::EAFNOSUPPORT,
                    format!("an IPv6 route cannot have the IPv4 next hop {}", hop.gateway),
                ));
                continue;
            }
            match &hop.device {
                Some(device) => match self.index(fib, device)? {
                    Some(device) => legs.push(KernelHop {
                        gateway: Some(hop.gateway),
                        device,
                        onlink: hop.onlink,
                        weight: hop.weight.clamp(1, 256),
                    }),
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
                    Resolution::Legs { legs: towards, recursive: through } => {
                        recursive |= through;
                        legs.extend(towards.iter().map(|leg| leg_towards(&hop, leg, towards.len())));
                    }
                    Resolution::Unreachable(error) => fault = Some(error.clone()),
                },
            }
        }
        if legs.is_empty() {
            return Ok(fault.map_or(Target::Skip, Target::Unresolved));
        }
        Ok(Target::Route { action: self.intern(KernelAction::unicast(legs)), recursive })
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

    fn track(
        &mut self,
        fib: &mut dyn Fib,
        table: &Table,
        config: &KernelConfig,
        gateway: IpAddr,
    ) -> Result<&Resolution, FibError> {
        if !self.tracked.contains_key(&gateway) {
            let resolution = resolve(fib, table, config, gateway, None)?;
            self.note_devices(&resolution);
            self.tracked.insert(gateway, resolution);
        }
        Ok(&self.tracked[&gateway])
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

    /// Looks up everything again. Next hops that no desired route uses any more are dropped first.
    pub(super) fn refresh(
        &mut self,
        fib: &mut dyn Fib,
        table: &Table,
        config: &KernelConfig,
    ) -> Result<Changed, FibError> {
        self.drop_unused(table);
        let mut changed = Changed::default();
        for (gateway, known) in &mut self.tracked {
            let now = resolve(fib, table, config, *gateway, Some(known))?;
            if *known != now {
                *known = now;
                changed.gateways.insert(*gateway);
            }
        }
        let resolutions: Vec<Resolution> = self.tracked.values().cloned().collect();
        for resolution in &resolutions {
            self.note_devices(resolution);
        }
        for (name, known) in &mut self.names {
            let now = fib.device_index(name)?;
            if *known != now {
                *known = now;
                changed.names = true;
                self.devices.extend(now);
            }
        }
        Ok(changed)
    }

    fn drop_unused(&mut self, table: &Table) {
        let mut used = HashSet::with_capacity(self.tracked.len());
        for desired in table.entries().filter_map(|(_, entry)| entry.desired.as_ref()) {
            if let FibAction::Unicast(hops) = &desired.action {
                used.extend(hops.iter().map(|hop| hop.gateway));
            }
        }
        self.tracked.retain(|gateway, _| used.contains(gateway));
    }

    /// Whether a route for `prefix` may carry a next hop in use.
    pub(super) fn covers(&self, prefix: &IpNet) -> bool {
        self.tracked.range(prefix.network()..=prefix.broadcast()).next().is_some()
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

/// `leg` leads to `hop`'s gateway: as one of `of` legs it shares the hop's weight.
fn leg_towards(hop: &FibNextHop, leg: &KernelHop, of: usize) -> KernelHop {
    let weight = if of == 1 { hop.weight } else { hop.weight.saturating_mul(leg.weight) };
    KernelHop {
        gateway: leg.gateway.or(Some(hop.gateway)),
        device: leg.device,
        onlink: leg.onlink,
        weight: weight.clamp(1, 256),
    }
}

/// The kernel's way to `gateway`. `known` is kept while the only way is a recursive route of ours, perhaps the very
/// one that uses this gateway: to drop it would bring it back at once.
fn resolve(
    fib: &mut dyn Fib,
    table: &Table,
    config: &KernelConfig,
    gateway: IpAddr,
    known: Option<&Resolution>,
) -> Result<Resolution, FibError> {
    let (legs, prefix, ours) = match fib.lookup(gateway)? {
        Lookup::Route { legs, prefix, ours } => (legs, prefix, ours),
        Lookup::Unreachable(error) => return Ok(Resolution::Unreachable(error)),
    };
    let unreachable = |text| Ok(Resolution::Unreachable(RouteError::new(errno::ENETUNREACH, text)));
    if prefix.prefix_len() == 0 && !config.resolve_via_default {
        return unreachable(format!("only the default route leads to next hop {gateway}"));
    }
    if ours && table.get(&prefix).is_some_and(|entry| entry.recursive) {
        return match known {
            Some(known @ Resolution::Legs { .. }) => Ok(known.clone()),
            _ => unreachable(format!(
                "next hop {gateway} is only reached through {prefix}, a BGP route whose own next hop is recursive"
            )),
        };
    }
    let recursive = legs.iter().any(|leg| leg.gateway.is_some());
    Ok(Resolution::Legs { legs, recursive })
}
