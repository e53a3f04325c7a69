//! Whether and how routes go to the kernel, and which come from it.

use bgp_speaker::kernel::{Device, KernelConfig, LearnConfig};
use bgp_speaker::{KernelExport, Learning};
use toml::Spanned;

use crate::config::{Config, InterfacePattern};

/// What the file asks for.
pub(super) fn export(config: &Config) -> KernelExport {
    if !config.kernel_export {
        return KernelExport::Off;
    }
    let mut to = KernelConfig::default();
    let Some(from) = config.kernel.as_ref().map(Spanned::get_ref) else { return KernelExport::On(to) };
    let number = |key: &Option<Spanned<u32>>| key.as_ref().map(|key| *key.get_ref());
    to.table = number(&from.table).unwrap_or(to.table);
    to.metric = number(&from.metric).unwrap_or(to.metric);
    to.vrf = from.vrf.as_ref().map(|vrf| Device::from(vrf.get_ref().0.as_str()));
    to.protocol = from.protocol.as_ref().map_or(to.protocol, |protocol| *protocol.get_ref());
    to.tables = from.tables.as_ref().map(|tables| tables.get_ref().clone()).unwrap_or_default();
    to.nexthop_objects = from.nexthop_objects.unwrap_or(to.nexthop_objects);
    to.track_next_hops = from.track_next_hops.unwrap_or(to.track_next_hops);
    to.resolve_via_default = from.resolve_via_default.unwrap_or(to.resolve_via_default);
    to.policy = from.policy.as_ref().map(|name| config.policies.get(name.get_ref()));
    KernelExport::On(to)
}

/// What the file asks to learn.
pub(super) fn learning(config: &Config) -> Learning {
    let Some(from) = config.learn.as_ref().map(Spanned::get_ref) else { return Learning::Off };
    let mut to = LearnConfig::default();
    let globs = |patterns: &Vec<InterfacePattern>| patterns.iter().map(|pattern| pattern.0.clone()).collect();
    if let Some(tables) = &from.tables {
        to.tables.clone_from(tables.get_ref());
    }
    to.protocols = from.protocols.as_ref().map(|protocols| protocols.get_ref().clone());
    to.interfaces = from.interfaces.as_ref().map(globs);
    to.ignored_interfaces = globs(&from.ignored_interfaces);
    to.within = from.within.as_ref().map(|nets| nets.iter().map(|net| net.0).collect());
    to.on_link_only = from.on_link_only;
    to.preference = from.preference;
    to.limit = from.limit.map_or(to.limit, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    Learning::On(to)
}
