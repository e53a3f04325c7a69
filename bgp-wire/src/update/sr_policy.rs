//! What an UPDATE with segment routing policies cannot do without (RFC 9830 §2.2, §4.2.1, §5): treat-as-withdraw.
use crate::attributes::{AttributeCode, is_sr_policy};
use crate::reaction::FaultKind;
use crate::{Communities, Community, ExtendedCommunities, ExtendedCommunity};

/// What is wrong, with the attribute to blame; `value` gives those that are there and were not discarded.
pub(super) fn flaw<'a>(
    value: impl Fn(AttributeCode) -> Option<&'a [u8]>,
) -> Option<(AttributeCode, FaultKind)> {
    let Some(tunnel) = value(AttributeCode::TUNNEL_ENCAPSULATION) else {
        return Some((AttributeCode::TUNNEL_ENCAPSULATION, FaultKind::Missing));
    };
    if !is_sr_policy(tunnel) {
        return Some((AttributeCode::TUNNEL_ENCAPSULATION, FaultKind::Value));
    }
    let communities = Communities(value(AttributeCode::COMMUNITIES).unwrap_or_default());
    let extended = ExtendedCommunities(value(AttributeCode::EXTENDED_COMMUNITIES).unwrap_or_default());
    let meant = communities.iter().any(|c| c == Community::NO_ADVERTISE)
        || extended.iter().any(ExtendedCommunity::is_route_target);
    (!meant).then_some((AttributeCode::EXTENDED_COMMUNITIES, FaultKind::Missing))
}
