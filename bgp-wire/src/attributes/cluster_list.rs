//! CLUSTER_LIST (RFC 4456 §8; errors RFC 7606 §7.10: discarded from an external peer, else treat-as-withdraw).
use super::list::value_list;
use super::{Context, Row, Source, multiple};
use crate::ClusterId;
use crate::reaction::FaultKind;

pub(crate) const ROW: Row = Row { source: Source::InternalPeers, ..Row::OPTIONAL };

#[inline(always)]
pub(crate) fn check(value: &[u8], _: Context) -> Result<(), FaultKind> {
    multiple(value, 4)
}

value_list! {
    /// The clusters that the route has passed, the latest first.
    ClusterList of ClusterId, 4, |c| ClusterId(u32::from_be_bytes(*c))
}
