//! Which next hop a peer is told: the truth table of [`NextHopMode`](crate::NextHopMode), executed.

use bgp_wire::{Afi, Family, NextHop, PeerKind};

use crate::config::NextHopMode;
use crate::export::{GroupKey, HeldBack, Origin};

/// The next hop for one group, or why it can be told none.
pub(crate) fn choose(
    to: &GroupKey,
    family: Family,
    from: Origin,
    received: Option<NextHop>,
) -> Result<NextHop, HeldBack> {
    let kept = match (to.next_hop, to.kind, from) {
        (NextHopMode::SelfAlways, _, _) => None,
        (NextHopMode::Unchanged, _, _) | (NextHopMode::Auto, PeerKind::Internal, _) => received,
        (NextHopMode::Auto, PeerKind::External, _) => None,
    };
    match kept {
        Some(next_hop) => carried(to, family, without_link_local(next_hop)),
        None => own(to, family),
    }
}

/// A link-local address is told only where all share a link (RFC 2545 §3), which a next hop passed on does not prove.
fn without_link_local(next_hop: NextHop) -> NextHop {
    match next_hop {
        NextHop::V6WithLinkLocal(global, _) => NextHop::V6(global),
        other => other,
    }
}

/// IPv4 routes carry an IPv6 next hop only where both sides said so (RFC 8950 §4); IPv6 routes carry no IPv4 next hop.
fn carried(to: &GroupKey, family: Family, next_hop: NextHop) -> Result<NextHop, HeldBack> {
    let fits = match next_hop {
        NextHop::V4(_) => family.afi == Afi::IPV4,
        NextHop::V6(_) | NextHop::V6WithLinkLocal(..) => {
            family.afi == Afi::IPV6 || to.codec.extended_next_hop.contains(family)
        }
    };
    if fits { Ok(next_hop) } else { Err(HeldBack::NextHopFamily) }
}

/// This speaker's address towards the group.
fn own(to: &GroupKey, family: Family) -> Result<NextHop, HeldBack> {
    let v6 = to.self_ipv6.map(NextHop::V6);
    let next_hop = if family.afi == Afi::IPV4 {
        to.self_ipv4.map(NextHop::V4).or_else(|| v6.filter(|_| to.codec.extended_next_hop.contains(family)))
    } else {
        v6
    };
    next_hop.filter(NextHop::is_sendable).ok_or(HeldBack::NoOwnNextHop)
}
