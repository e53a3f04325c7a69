//! Route messages to the kernel.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST};
use netlink_packet_core::{NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::route::{
    RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteNextHop, RouteNextHopFlags, RouteScope,
    RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::kernel::fib::FibOp;
use crate::kernel::route::{KernelAction, KernelHop, RouteKey};

/// RT_TABLE_COMPAT: the table is in RTA_TABLE because its number does not fit the header.
const TABLE_COMPAT: u8 = 252;

/// Appends one message with its padding.
fn push(out: &mut Vec<u8>, flags: u16, sequence: u32, payload: RouteNetlinkMessage) {
    let mut header = NetlinkHeader::default();
    header.flags = flags | NLM_F_REQUEST;
    header.sequence_number = sequence;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(payload));
    message.finalize();
    let start = out.len();
    out.resize(start + message.buffer_len().next_multiple_of(4), 0);
    message.serialize(&mut out[start..]);
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn message(family: AddressFamily, table: u32, protocol: u8) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header =
        RouteHeader { address_family: family, protocol: protocol.into(), ..RouteHeader::default() };
    match u8::try_from(table) {
        Ok(small) => message.header.table = small,
        Err(_) => {
            message.header.table = TABLE_COMPAT;
            message.attributes.push(RouteAttribute::Table(table));
        }
    }
    message
}

fn keyed(key: RouteKey, protocol: u8) -> RouteMessage {
    let mut message = message(family(key.prefix.addr()), key.table, protocol);
    message.header.destination_prefix_length = key.prefix.prefix_len();
    message.attributes.push(RouteAttribute::Destination(key.prefix.network().into()));
    message.attributes.push(RouteAttribute::Priority(key.metric));
    message
}

/// Appends the message for one write, over the nexthop object that stands for its legs; the last of a batch asks for the acknowledgement.
pub(super) fn write(
    out: &mut Vec<u8>,
    operation: &FibOp,
    object: Option<u32>,
    protocol: u8,
    sequence: u32,
    last: bool,
) {
    let ack = if last { NLM_F_ACK } else { 0 };
    match operation {
        FibOp::Add(key, action) => {
            let route = RouteNetlinkMessage::NewRoute(route(*key, action, object, protocol));
            push(out, NLM_F_CREATE | NLM_F_EXCL | ack, sequence, route);
        }
        FibOp::Replace(key, action) => {
            let route = RouteNetlinkMessage::NewRoute(route(*key, action, object, protocol));
            push(out, NLM_F_CREATE | NLM_F_REPLACE | ack, sequence, route);
        }
        FibOp::Delete(key) | FibOp::DeleteLegs(key, _) => {
            let mut route = keyed(*key, protocol);
            // RT_SCOPE_NOWHERE and type 0 match any scope and type.
            route.header.scope = RouteScope::NoWhere;
            if let FibOp::DeleteLegs(_, KernelAction::Unicast(legs)) = operation {
                route.attributes.push(multipath(key.prefix, legs));
            }
            push(out, ack, sequence, RouteNetlinkMessage::DelRoute(route));
        }
    }
}

fn route(key: RouteKey, action: &KernelAction, object: Option<u32>, protocol: u8) -> RouteMessage {
    let mut message = keyed(key, protocol);
    message.header.scope = RouteScope::Universe;
    message.header.kind = match action {
        KernelAction::Unicast(_) => RouteType::Unicast,
        // The follower never writes `Other`; were it to, dropping is the harmless reading.
        KernelAction::Blackhole | KernelAction::Other => RouteType::BlackHole,
        KernelAction::Unreachable => RouteType::Unreachable,
        KernelAction::Prohibit => RouteType::Prohibit,
    };
    let KernelAction::Unicast(legs) = action else { return message };
    if let Some(id) = object {
        message.attributes.push(RouteAttribute::NhId(id));
        return message;
    }
    match &**legs {
        [leg] => {
            if leg.onlink {
                message.header.flags |= RouteFlags::Onlink;
            }
            message.attributes.extend(gateway(key.prefix, leg));
            message.attributes.push(RouteAttribute::Oif(leg.device));
        }
        legs => message.attributes.push(multipath(key.prefix, legs)),
    }
    message
}

fn multipath(prefix: IpNet, legs: &[KernelHop]) -> RouteAttribute {
    RouteAttribute::MultiPath(legs.iter().map(|leg| next_hop(prefix, leg)).collect())
}

fn next_hop(prefix: IpNet, leg: &KernelHop) -> RouteNextHop {
    let mut hop = RouteNextHop::default();
    if leg.onlink {
        hop.flags |= RouteNextHopFlags::Onlink;
    }
    // rtnh_hops counts from 0.
    hop.hops = u8::try_from(leg.weight.clamp(1, 256) - 1).unwrap_or(u8::MAX);
    hop.interface_index = leg.device;
    hop.attributes.extend(gateway(prefix, leg));
    hop
}

/// RTA_GATEWAY, or RTA_VIA for an IPv6 gateway of an IPv4 route (RFC 8950).
fn gateway(prefix: IpNet, leg: &KernelHop) -> Option<RouteAttribute> {
    let gateway = leg.gateway?;
    Some(if gateway.is_ipv4() == prefix.addr().is_ipv4() {
        RouteAttribute::Gateway(gateway.into())
    } else {
        RouteAttribute::Via(gateway.into())
    })
}

/// A dump of one family of `table`; protocol 0 = of every protocol.
pub(super) fn dump(out: &mut Vec<u8>, family: AddressFamily, table: u32, protocol: u8, sequence: u32) {
    push(out, NLM_F_DUMP, sequence, RouteNetlinkMessage::GetRoute(message(family, table, protocol)));
}

/// A lookup of the route (not only the next hop) that leads to `address`, in the VRF of this index if there is one.
pub(super) fn lookup(out: &mut Vec<u8>, address: IpAddr, vrf: Option<u32>, sequence: u32) {
    let mut message = RouteMessage::default();
    message.header.address_family = family(address);
    message.header.destination_prefix_length = if address.is_ipv4() { 32 } else { 128 };
    message.header.flags = RouteFlags::FibMatch;
    if address.is_ipv4() {
        // Without it the answer says of every route that it is in the main table. IPv6 tells it unasked, and refuses the flag.
        message.header.flags |= RouteFlags::LookupTable;
    }
    message.attributes.push(RouteAttribute::Destination(address.into()));
    message.attributes.extend(vrf.map(RouteAttribute::Oif));
    push(out, 0, sequence, RouteNetlinkMessage::GetRoute(message));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::netlink::{decode, socket};

    /// RTA_OIF.
    const OIF: u16 = 4;

    #[test]
    fn a_lookup_names_its_vrf_where_there_is_one() {
        for vrf in [None, Some(7)] {
            let mut out = Vec::new();
            lookup(&mut out, [192, 0, 2, 1].into(), vrf, 1);
            let (_, payload) = socket::Messages::over(&out).next().unwrap();
            let told = decode::attributes(payload, 12).find(|(kind, _)| *kind == OIF);
            assert_eq!(told.and_then(|(_, value)| decode::number(value)), vrf);
        }
    }
}
