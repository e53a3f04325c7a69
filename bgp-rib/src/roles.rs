//! Roles between ASes and the Only to Customer attribute (RFC 9234 §5): routes do not leak upwards or sideways.
//!
//! | our role | the peer is | received with OTC | received without | told when it has OTC | told when it has none |
//! |---|---|---|---|---|---|
//! | Provider | Customer | a leak | as it is | as it is | OTC of our AS |
//! | Route Server | RS-Client | a leak | as it is | as it is | OTC of our AS |
//! | Peer | Peer | a leak unless of the peer's AS | OTC of the peer's AS | not at all | OTC of our AS |
//! | Customer | Provider | as it is | OTC of the peer's AS | not at all | as it is |
//! | RS-Client | Route Server | as it is | OTC of the peer's AS | not at all | as it is |
//!
//! For IPv4 and IPv6 unicast on external sessions only; OTC that is there is never changed.

use bgp_wire::{AttributeBlock, Edit, Family, Rewrite, Role, rewrite};

use crate::config::PeerParams;

/// Our role on a session in a family, where one was agreed on and means something.
pub(crate) fn role(peer: &PeerParams, family: Family) -> Option<Role> {
    let meant = matches!(family, Family::IPV4_UNICAST | Family::IPV6_UNICAST);
    peer.bgp_role().filter(|_| meant)
}

/// Whether a received route leaked (ingress rules 1 and 2).
pub(crate) fn is_leak(peer: &PeerParams, family: Family, block: &AttributeBlock<'_>) -> bool {
    let Some(otc) = role(peer, family).and_then(|role| Some((role, block.only_to_customer()?))) else {
        return false;
    };
    match otc {
        (Role::PROVIDER | Role::ROUTE_SERVER, _) => true,
        (Role::PEER, asn) => asn != peer.peer_as,
        _ => false,
    }
}

/// The block of a received route with OTC where it has to have it (ingress rule 3); `None` where nothing changes.
pub(crate) fn marked(peer: &PeerParams, family: Family, block: &[u8]) -> Option<Vec<u8>> {
    let marks = matches!(role(peer, family)?, Role::CUSTOMER | Role::PEER | Role::ROUTE_SERVER_CLIENT);
    let block = AttributeBlock::trusted(block);
    if !marks || block.only_to_customer().is_some() {
        return None;
    }
    let how = Rewrite { only_to_customer: Edit::Set(peer.peer_as), ..Rewrite::default() };
    let mut out = Vec::new();
    rewrite(block, &how, &mut out).ok().map(|()| out)
}

/// Whether a route with OTC is not for this peer (egress rule 2).
pub(crate) fn keeps_back(role: Option<Role>) -> bool {
    matches!(role, Some(Role::CUSTOMER | Role::PEER | Role::ROUTE_SERVER_CLIENT))
}

/// Whether a route without OTC is told with it (egress rule 1).
pub(crate) fn marks(role: Option<Role>) -> bool {
    matches!(role, Some(Role::PROVIDER | Role::PEER | Role::ROUTE_SERVER))
}
