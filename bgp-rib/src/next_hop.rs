//! Which next hop a peer is told: the truth table of [`NextHopMode`](crate::NextHopMode), executed.

use bgp_wire::{Afi, Family, NextHop, PeerKind};

use crate::config::NextHopMode;
use crate::export::{GroupKey, HeldBack, Origin};
use crate::policy::SetNextHop;

/// The next hop for one group, or why it can be told none.
pub(crate) fn choose(
    to: &GroupKey,
    family: Family,
    from: Origin,
    received: Option<NextHop>,
) -> Result<NextHop, HeldBack> {
    if to.tells_as_own(from) {
        return own(to, family);
    }
    // Who puts itself in the way of labels and tunnels has to end them, and a speaker of routes alone ends none.
    if let Some(next_hop) = received.filter(|_| !is_plain(family)) {
        return carried(to, family, next_hop);
    }
    use NextHopMode::{Auto, SelfAlways, SelfForExternal, ThirdParty, Unchanged};
    let learned = from != Origin::Local;
    let shared = |hop: &NextHop| to.shared_network.is_some_and(|network| network.contains(&hop.address()));
    let kept = match (to.next_hop, to.kind, from) {
        (SelfAlways, _, _) | (SelfForExternal, _, Origin::External) => None,
        (Unchanged, _, _) | (Auto | ThirdParty | SelfForExternal, PeerKind::Internal, _) => received,
        (Auto, PeerKind::External, _) if to.as_path.transparent && learned => received,
        (Auto | SelfForExternal, PeerKind::External, _) => None,
        (ThirdParty, PeerKind::External, _) => received.filter(shared),
    };
    match kept {
        Some(next_hop) => carried(to, family, without_link_local(next_hop)),
        None => own(to, family),
    }
}

/// The next hop that an export policy asks for, or else the one that the mode chooses. The other end of the session is,
/// for what goes out, this end.
pub(crate) fn choose_edited(
    to: &GroupKey,
    family: Family,
    from: Origin,
    received: Option<NextHop>,
    edit: Option<SetNextHop>,
) -> Result<NextHop, HeldBack> {
    match (edit, received) {
        (None, _) => choose(to, family, from, received),
        (Some(SetNextHop::Received), Some(received)) => carried(to, family, without_link_local(received)),
        (Some(SetNextHop::Address(address)), _) => carried(to, family, address.into()),
        (Some(SetNextHop::Own | SetNextHop::Peer | SetNextHop::Received), _) => own(to, family),
    }
}

/// Whether the family's NLRI are prefixes and nothing else.
fn is_plain(family: Family) -> bool {
    family.is_ipv4_prefix() || family.is_ipv6_prefix()
}

/// A link-local address is told only where all share a link (RFC 2545 §3), which a next hop passed on does not prove.
fn without_link_local(next_hop: NextHop) -> NextHop {
    match next_hop {
        NextHop::V6WithLinkLocal(global, _) => NextHop::V6(global),
        other => other,
    }
}

/// IPv4 routes carry an IPv6 next hop only where both sides said so (RFC 8950 §4); IPv6 routes carry no IPv4 next hop.
/// Others carry what they were told with.
fn carried(to: &GroupKey, family: Family, next_hop: NextHop) -> Result<NextHop, HeldBack> {
    let told = !next_hop.needs_extended(family) || to.codec.extended_next_hop.contains(family);
    let fits = match next_hop {
        _ if !family.has_own_next_hops() => true,
        NextHop::V4(_) => family.afi == Afi::IPV4,
        NextHop::V6(_) | NextHop::V6WithLinkLocal(..) => told,
        // A VPN's, behind a distinguisher that is not zero.
        NextHop::Opaque(_) => told && !is_plain(family),
    };
    if fits { Ok(next_hop) } else { Err(HeldBack::NextHopFamily) }
}

/// This speaker's address towards the group.
fn own(to: &GroupKey, family: Family) -> Result<NextHop, HeldBack> {
    let v6 = to.self_ipv6.map(NextHop::V6);
    // A flow specification has none (RFC 8955 §4).
    if matches!(family.safi.0, 133 | 134) {
        return Ok(NextHop::NONE);
    }
    let next_hop = if !family.has_own_next_hops() {
        to.self_ipv4.map(NextHop::V4).or(v6)
    } else if family.afi == Afi::IPV4 {
        to.self_ipv4.map(NextHop::V4).or_else(|| v6.filter(|_| to.codec.extended_next_hop.contains(family)))
    } else {
        v6
    };
    next_hop.filter(NextHop::is_sendable).ok_or(HeldBack::NoOwnNextHop)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use bgp_wire::{Asn, ClusterId, Codec, FamilySet, RouterId};

    use super::*;
    use crate::config::PeerRole;
    use crate::policy::Policy;

    const V4: Family = Family::IPV4_UNICAST;
    const V6: Family = Family::IPV6_UNICAST;
    const OWN4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const OWN6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    const TOLD4: NextHop = NextHop::V4(Ipv4Addr::new(192, 0, 2, 9));
    const FAR4: NextHop = NextHop::V4(Ipv4Addr::new(198, 51, 100, 9));
    const TOLD6: NextHop = NextHop::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9));

    fn to(kind: PeerKind, next_hop: NextHopMode) -> GroupKey {
        GroupKey {
            selection: None,
            kind,
            role: PeerRole::Client,
            local_as: Asn(65000),
            codec: Codec { families: FamilySet::of(&[V4, V6]), ..Codec::before_open() },
            next_hop,
            self_ipv4: Some(OWN4),
            self_ipv6: Some(OWN6),
            cluster_id: ClusterId(1),
            meshed: false,
            deferring: false,
            membership: None,
            bound: None,
            export: Policy::accept_all(),
            as_path: crate::as_path::AsPathRules::default(),
            bgp_role: None,
            takes_stale: crate::export::TakesStale::Yes,
            leaving: false,
            shared_network: Some("192.0.2.0/24".parse().unwrap()),
            aigp: true,
            best_per_client: false,
        }
    }

    #[test]
    fn the_truth_table_of_next_hop_modes() {
        use NextHopMode::{Auto, SelfAlways, SelfForExternal, ThirdParty, Unchanged};
        use PeerKind::{External, Internal};
        let internal =
            Origin::Internal { role: PeerRole::Client, router_id: RouterId(1), cluster_id: ClusterId(1) };
        let (own, kept) = (Ok(NextHop::V4(OWN4)), Ok(TOLD4));
        #[rustfmt::skip]
        let rows = [
            (Auto,       Origin::Local,    None,        own,  own),
            (Auto,       Origin::Local,    Some(TOLD4), kept, own),
            (Auto,       Origin::External, Some(TOLD4), kept, own),
            (Auto,       internal,         Some(TOLD4), kept, own),
            (Unchanged,  Origin::Local,    None,        own,  own),
            (Unchanged,  Origin::Local,    Some(TOLD4), kept, kept),
            (Unchanged,  Origin::External, Some(TOLD4), kept, kept),
            (Unchanged,  internal,         Some(TOLD4), kept, kept),
            (SelfForExternal, Origin::Local, None,         own,  own),
            (SelfForExternal, Origin::Local, Some(TOLD4),  kept, own),
            (SelfForExternal, Origin::External, Some(TOLD4), own, own),
            (SelfForExternal, internal,      Some(TOLD4),  kept, own),
            (ThirdParty, Origin::Local,    None,        own,  own),
            (ThirdParty, Origin::Local,    Some(TOLD4), kept, kept),
            (ThirdParty, Origin::External, Some(TOLD4), kept, kept),
            (ThirdParty, internal,         Some(TOLD4), kept, kept),
            (ThirdParty, Origin::External, Some(FAR4),  Ok(FAR4), own),
            (ThirdParty, internal,         Some(FAR4),  Ok(FAR4), own),
            (SelfAlways, Origin::Local,    None,        own,  own),
            (SelfAlways, Origin::Local,    Some(TOLD4), own,  own),
            (SelfAlways, Origin::External, Some(TOLD4), own,  own),
            (SelfAlways, internal,         Some(TOLD4), own,  own),
        ];
        for (mode, from, told, to_internal, to_external) in rows {
            assert_eq!(
                choose(&to(Internal, mode), V4, from, told),
                to_internal,
                "{mode:?} {from:?} internal"
            );
            assert_eq!(
                choose(&to(External, mode), V4, from, told),
                to_external,
                "{mode:?} {from:?} external"
            );
        }
    }

    #[test]
    fn a_route_server_keeps_the_next_hop_of_what_others_told() {
        let mut key = to(PeerKind::External, NextHopMode::Auto);
        key.as_path.transparent = true;
        assert_eq!(choose(&key, V4, Origin::External, Some(TOLD4)), Ok(TOLD4));
        assert_eq!(choose(&key, V4, Origin::Local, Some(TOLD4)), Ok(NextHop::V4(OWN4)));
        key.next_hop = NextHopMode::SelfAlways;
        assert_eq!(choose(&key, V4, Origin::External, Some(TOLD4)), Ok(NextHop::V4(OWN4)));
    }

    #[test]
    fn a_next_hop_of_the_other_address_family_needs_rfc_8950() {
        let mut key = to(PeerKind::Internal, NextHopMode::Auto);
        assert_eq!(choose(&key, V4, Origin::External, Some(TOLD6)), Err(HeldBack::NextHopFamily));
        key.codec.extended_next_hop = FamilySet::of(&[V4]);
        assert_eq!(choose(&key, V4, Origin::External, Some(TOLD6)), Ok(TOLD6));
        assert_eq!(choose(&key, V6, Origin::External, Some(TOLD4)), Err(HeldBack::NextHopFamily));
    }

    #[test]
    fn without_an_own_address_of_the_family_the_route_is_held_back() {
        let mut key = to(PeerKind::External, NextHopMode::Auto);
        (key.self_ipv4, key.self_ipv6) = (None, None);
        assert_eq!(choose(&key, V6, Origin::Local, None), Err(HeldBack::NoOwnNextHop));
        key.self_ipv4 = Some(Ipv4Addr::UNSPECIFIED);
        assert_eq!(choose(&key, V4, Origin::Local, None), Err(HeldBack::NoOwnNextHop));
        key.self_ipv6 = Some(OWN6);
        key.self_ipv4 = None;
        assert_eq!(choose(&key, V4, Origin::Local, None), Err(HeldBack::NoOwnNextHop));
        key.codec.extended_next_hop = FamilySet::of(&[V4]);
        assert_eq!(choose(&key, V4, Origin::Local, None), Ok(NextHop::V6(OWN6)));
    }

    #[test]
    fn a_link_local_companion_is_not_passed_on() {
        let both = NextHop::V6WithLinkLocal(OWN6, Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));
        let key = to(PeerKind::Internal, NextHopMode::Auto);
        assert_eq!(choose(&key, V6, Origin::External, Some(both)), Ok(NextHop::V6(OWN6)));
    }
}
