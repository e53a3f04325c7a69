//! Whether and how routes go to the kernel.

use bgp_speaker::KernelExport;
use bgp_speaker::kernel::KernelConfig;
use toml::Spanned;

use crate::config::Config;

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
    to.protocol = from.protocol.as_ref().map_or(to.protocol, |protocol| *protocol.get_ref());
    to.tables = from.tables.as_ref().map(|tables| tables.get_ref().clone()).unwrap_or_default();
    to.nexthop_objects = from.nexthop_objects.unwrap_or(to.nexthop_objects);
    to.track_next_hops = from.track_next_hops.unwrap_or(to.track_next_hops);
    to.resolve_via_default = from.resolve_via_default.unwrap_or(to.resolve_via_default);
    to.policy = from.policy.as_ref().map(|name| config.policies.get(name.get_ref()));
    KernelExport::On(to)
}
