//! Whether an OPEN is acceptable, and the subcode that refuses it (RFC 4271 §6.2).

use core::time::Duration;

use bgp_wire::{AddPathMode, Asn, Capability, Notification, Open, PeerKind, Role, RouterId, subcode};

use crate::open::{hold_seconds, multiprotocol};
use crate::{Negotiated, SessionConfig};

/// The one version there is.
const VERSION: u8 = 4;

/// Version, AS number and BGP Identifier.
pub(crate) fn identity(config: &SessionConfig, open: &Open) -> Result<PeerKind, Notification> {
    if open.version != VERSION {
        let supported = [0, VERSION];
        return Err(Notification::open_error(subcode::open::UNSUPPORTED_VERSION, &supported));
    }
    if !as_is_consistent(open) || !config.peer_as.admits(config.local_as, open.asn()) {
        return Err(Notification::bad_peer_as());
    }
    let kind = if open.asn() == config.local_as { PeerKind::Internal } else { PeerKind::External };
    // RFC 6286 §2.2: only within one AS must identifiers differ.
    let ours = kind == PeerKind::Internal && open.router_id == config.router_id;
    if open.router_id == RouterId(0) || ours {
        return Err(Notification::bad_identifier());
    }
    Ok(kind)
}

/// Whether the two-octet field and the capability can be of one speaker: both the same number, or AS_TRANS in
/// the field (RFC 6793 §4.2.2). AS 0 is nobody's (RFC 7607), and AS_TRANS is nobody's own (RFC 6793 §9).
fn as_is_consistent(open: &Open) -> bool {
    let field = Asn(u32::from(open.my_as));
    let asn = open.asn();
    let nobody = [Asn(0), Asn::TRANS];
    !nobody.contains(&asn) && (field == asn || field == Asn::TRANS)
}

/// The Hold Time in force: the smaller of both proposals; 1 and 2 s are refused (RFC 4271 §4.2).
pub(crate) fn hold_time(config: &SessionConfig, open: &Open) -> Result<Duration, Notification> {
    if matches!(open.hold_time, 1 | 2) {
        return Err(Notification::unacceptable_hold_time());
    }
    Ok(Duration::from_secs(open.hold_time.min(hold_seconds(config)).into()))
}

/// What we need and did not get (RFC 5492 §3). A session on which no family at all is agreed would be of no use, so
/// at least one of ours is always needed.
pub(crate) fn capabilities(config: &SessionConfig, negotiated: &Negotiated) -> Result<(), Notification> {
    let required = &config.required;
    let mut missing: Vec<Capability> = Vec::new();
    let none_in_common = negotiated.families.is_empty();
    let wanted = if none_in_common { config.families.union(required.families) } else { required.families };
    missing.extend(multiprotocol(wanted).filter(|c| match c {
        Capability::Multiprotocol(family) => !negotiated.families.contains(*family),
        _ => false,
    }));
    missing.extend(missing_rows(config, negotiated));
    let needs = [
        (required.route_refresh && !negotiated.route_refresh, Capability::RouteRefresh),
        (required.extended_message && !negotiated.codec.extended_message_tx, Capability::ExtendedMessage),
        (required.four_octet_as && !negotiated.codec.four_octet_as, Capability::FourOctetAs(config.local_as)),
        (required.enhanced_refresh && !negotiated.enhanced_refresh, Capability::EnhancedRouteRefresh),
        (
            required.graceful_restart && negotiated.graceful_restart.is_none(),
            Capability::GracefulRestart(config.graceful_restart.clone().unwrap_or_default()),
        ),
    ];
    missing.extend(needs.into_iter().filter(|(missed, _)| *missed).map(|(_, capability)| capability));
    if missing.is_empty() { Ok(()) } else { Err(Notification::unsupported_capability(&missing)) }
}

/// The same for capabilities that have a row for each family: the rows that were missed, as we announce them.
fn missing_rows(config: &SessionConfig, negotiated: &Negotiated) -> impl Iterator<Item = Capability> {
    let required = &config.required;
    let codec = &negotiated.codec;
    let agreed = |family, mode: AddPathMode| {
        (!mode.receives() || codec.add_path_rx.contains(family))
            && (!mode.sends() || codec.add_path_tx.contains(family))
    };
    let add_path = config.add_path.iter().copied();
    let add_path: Vec<_> =
        add_path.filter(|(f, mode)| required.add_path.contains(*f) && !agreed(*f, *mode)).collect();
    let next_hop = config.extended_next_hop.iter().copied();
    let next_hop: Vec<_> = next_hop
        .filter(|(f, _)| required.extended_next_hop.contains(*f) && !codec.extended_next_hop.contains(*f))
        .collect();
    let add_path = (!add_path.is_empty()).then_some(Capability::AddPath(add_path));
    let next_hop = (!next_hop.is_empty()).then_some(Capability::ExtendedNextHop(next_hop));
    add_path.into_iter().chain(next_hop)
}

/// Whether the peer's role answers ours (RFC 9234 §4.2). Roles mean nothing between internal peers.
pub(crate) fn role(config: &SessionConfig, negotiated: &Negotiated) -> Result<(), Notification> {
    if negotiated.kind == PeerKind::Internal {
        return Ok(());
    }
    let mut theirs = negotiated.peer_open.capabilities.iter().filter_map(|c| match c {
        Capability::Role(role) => Some(*role),
        _ => None,
    });
    let first = theirs.next();
    // Several different roles cannot all be the peer's, whatever ours is.
    let several = theirs.any(|other| Some(other) != first);
    let fits = !several
        && match (config.role, first) {
            (None, _) => true,
            (Some(_), None) => !config.role_strict,
            (Some(ours), Some(theirs)) => answers(ours) == Some(theirs),
        };
    if fits { Ok(()) } else { Err(Notification::role_mismatch()) }
}

/// The one role that the peer of a speaker of `role` can have.
fn answers(role: Role) -> Option<Role> {
    Some(match role {
        Role::PROVIDER => Role::CUSTOMER,
        Role::CUSTOMER => Role::PROVIDER,
        Role::ROUTE_SERVER => Role::ROUTE_SERVER_CLIENT,
        Role::ROUTE_SERVER_CLIENT => Role::ROUTE_SERVER,
        Role::PEER => Role::PEER,
        _ => return None,
    })
}
