//! Messages from the kernel: routes, events, acknowledgements.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_ACK_TLVS, NLM_F_CAPPED, NetlinkHeader, Parseable};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteNextHop, RouteNextHopFlags, RouteType,
    RouteVia,
};

use super::objects::{RTM_DELNEXTHOP, RTM_NEWNEXTHOP};
use crate::kernel::error::RouteError;
use crate::kernel::fib::FibEvent;
use crate::kernel::route::{KernelAction, KernelHop, RouteKey};
use crate::kernel::table::IPV6_DEFAULT_METRIC;

pub(super) const NLMSG_ERROR: u16 = 2;
pub(super) const NLMSG_DONE: u16 = 3;
pub(super) const RTM_NEWLINK: u16 = 16;
pub(super) const RTM_DELLINK: u16 = 17;
pub(super) const RTM_NEWADDR: u16 = 20;
pub(super) const RTM_DELADDR: u16 = 21;
pub(super) const RTM_NEWROUTE: u16 = 24;
pub(super) const RTM_DELROUTE: u16 = 25;

const ROUTE_HEADER: usize = 12;
const RTA_DST: u16 = 1;
const RTA_PRIORITY: u16 = 6;
const RTA_TABLE: u16 = 15;

/// The attributes of a message from `offset` on; a broken length ends them.
pub(super) fn attributes(payload: &[u8], offset: usize) -> impl Iterator<Item = (u16, &[u8])> {
    const HEADER: usize = 4;
    /// NLA_F_NESTED and NLA_F_NET_BYTEORDER are no part of the type.
    const TYPE: u16 = 0x3fff;
    let mut rest = payload.get(offset..).unwrap_or_default();
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(rest.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(rest.get(2..HEADER)?.try_into().ok()?) & TYPE;
        let value = rest.get(HEADER..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

pub(super) fn number(value: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(value.try_into().ok()?))
}

pub(super) fn address(value: &[u8]) -> Option<IpAddr> {
    Some(match value.len() {
        4 => Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?).into(),
        16 => Ipv6Addr::from(<[u8; 16]>::try_from(value).ok()?).into(),
        _ => return None,
    })
}

/// What can be told of any route at little cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outline {
    pub(super) key: RouteKey,
    pub(super) protocol: u8,
    /// Key of a route that BGP could hold: no TOS, no source prefix, not a cache entry.
    pub(super) plain: bool,
}

/// The nexthop object that a route names.
pub(super) fn object(payload: &[u8]) -> Option<u32> {
    const RTA_NH_ID: u16 = 30;
    attributes(payload, ROUTE_HEADER).find(|(kind, _)| *kind == RTA_NH_ID).and_then(|(_, id)| number(id))
}

/// Reads the key of an IPv4 or IPv6 route.
pub(super) fn outline(payload: &[u8]) -> Option<Outline> {
    let header = RouteHeader::parse(payload).ok()?;
    let unspecified: IpAddr = match header.address_family {
        AddressFamily::Inet => Ipv4Addr::UNSPECIFIED.into(),
        AddressFamily::Inet6 => Ipv6Addr::UNSPECIFIED.into(),
        _ => return None,
    };
    let (mut destination, mut metric, mut table) = (unspecified, None, u32::from(header.table));
    for (kind, value) in attributes(payload, ROUTE_HEADER) {
        match kind {
            RTA_DST => destination = address(value)?,
            RTA_PRIORITY => metric = number(value),
            RTA_TABLE => table = number(value)?,
            _ => {}
        }
    }
    let default = if unspecified.is_ipv6() { IPV6_DEFAULT_METRIC } else { 0 };
    Some(Outline {
        key: RouteKey {
            prefix: IpNet::new(destination, header.destination_prefix_length).ok()?,
            table,
            metric: metric.unwrap_or(default),
        },
        protocol: header.protocol.into(),
        plain: header.tos == 0
            && header.source_prefix_length == 0
            && !header.flags.contains(RouteFlags::Cloned),
    })
}

/// What a route of ours, or one that leads to a next hop, does.
pub(super) fn action(payload: &[u8]) -> KernelAction {
    let Ok(message) = RouteMessage::parse(payload) else { return KernelAction::Other };
    match message.header.kind {
        RouteType::Unicast => unicast(&message).map_or(KernelAction::Other, KernelAction::unicast),
        RouteType::BlackHole => KernelAction::Blackhole,
        RouteType::Unreachable => KernelAction::Unreachable,
        RouteType::Prohibit => KernelAction::Prohibit,
        _ => KernelAction::Other,
    }
}

/// The legs of a unicast route whose links are up; `None` = it has something that we cannot read.
pub(super) fn live_legs(payload: &[u8]) -> Option<Vec<KernelHop>> {
    let message = RouteMessage::parse(payload).ok()?;
    if message.header.flags.intersects(RouteFlags::Dead | RouteFlags::Linkdown) {
        return Some(Vec::new());
    }
    for attribute in &message.attributes {
        if let RouteAttribute::MultiPath(hops) = attribute {
            let down = RouteNextHopFlags::Dead | RouteNextHopFlags::Linkdown;
            return hops.iter().filter(|hop| !hop.flags.intersects(down)).map(leg).collect();
        }
    }
    let encapsulated = |attribute: &RouteAttribute| {
        matches!(attribute, RouteAttribute::Encap(_) | RouteAttribute::EncapType(_))
    };
    if message.attributes.iter().any(encapsulated) {
        return None;
    }
    // A nexthop object comes with what it stands for, unless net.ipv4.nexthop_compat_mode is off.
    let leg = lone(&message);
    (leg.device != 0).then(|| vec![leg])
}

fn lone(message: &RouteMessage) -> KernelHop {
    let onlink = message.header.flags.contains(RouteFlags::Onlink);
    let mut lone = KernelHop { gateway: None, device: 0, onlink, weight: 1 };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => lone.device = *index,
            other => lone.gateway = gateway(other).or(lone.gateway),
        }
    }
    lone
}

/// `None` = it has something that we never write.
fn unicast(message: &RouteMessage) -> Option<Vec<KernelHop>> {
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::MultiPath(hops) => return hops.iter().map(leg).collect(),
            RouteAttribute::NhId(_) | RouteAttribute::Encap(_) | RouteAttribute::EncapType(_) => return None,
            _ => {}
        }
    }
    Some(vec![lone(message)])
}

fn leg(hop: &RouteNextHop) -> Option<KernelHop> {
    let encapsulated = |attribute: &RouteAttribute| {
        matches!(attribute, RouteAttribute::Encap(_) | RouteAttribute::EncapType(_))
    };
    if hop.attributes.iter().any(encapsulated) {
        return None;
    }
    Some(KernelHop {
        gateway: hop.attributes.iter().find_map(gateway),
        device: hop.interface_index,
        onlink: hop.flags.contains(RouteNextHopFlags::Onlink),
        weight: u16::from(hop.hops) + 1,
    })
}

fn gateway(attribute: &RouteAttribute) -> Option<IpAddr> {
    use netlink_packet_route::route::RouteAddress;
    match attribute {
        RouteAttribute::Gateway(RouteAddress::Inet(address))
        | RouteAttribute::Via(RouteVia::Inet(address)) => Some((*address).into()),
        RouteAttribute::Gateway(RouteAddress::Inet6(address))
        | RouteAttribute::Via(RouteVia::Inet6(address)) => Some((*address).into()),
        _ => None,
    }
}

/// Whether a route is of type unicast, without reading all of it.
pub(super) fn is_unicast(payload: &[u8]) -> bool {
    RouteHeader::parse(payload).is_ok_and(|header| header.kind == RouteType::Unicast)
}

/// Whether a route leads to this host itself.
pub(super) fn is_local(payload: &[u8]) -> bool {
    RouteHeader::parse(payload).is_ok_and(|header| header.kind == RouteType::Local)
}

/// A multicast message as an event; `None` = none of our business.
pub(super) fn event(
    header: &NetlinkHeader,
    payload: &[u8],
    our_tables: &[u32],
    protocol: u8,
) -> Option<FibEvent> {
    match header.message_type {
        RTM_NEWNEXTHOP | RTM_DELNEXTHOP => (*payload.get(2)? == protocol).then_some(FibEvent::Shared),
        RTM_NEWLINK | RTM_DELLINK => {
            const LINK_HEADER: usize = 16;
            const IFLA_IFNAME: u16 = 3;
            /// IFF_LOWER_UP of `ifi_flags`.
            const CARRIER: u32 = 1 << 16;
            let name = attributes(payload, LINK_HEADER).find(|(kind, _)| *kind == IFLA_IFNAME);
            let name = name.and_then(|(_, name)| std::str::from_utf8(name).ok());
            let flags = number(payload.get(8..12)?)?;
            Some(FibEvent::Link {
                index: number(payload.get(4..8)?)?,
                up: header.message_type == RTM_NEWLINK && flags & CARRIER != 0,
                name: name.map(|name| name.trim_end_matches('\0').to_owned()),
            })
        }
        RTM_NEWADDR | RTM_DELADDR => Some(FibEvent::Address { index: number(payload.get(4..8)?)? }),
        RTM_NEWROUTE | RTM_DELROUTE => {
            let outline = outline(payload)?;
            Some(FibEvent::Route {
                key: outline.key,
                protocol: outline.protocol,
                our_table: outline.plain && our_tables.contains(&outline.key.table),
                removed: header.message_type == RTM_DELROUTE,
            })
        }
        _ => None,
    }
}

/// The verdict in an NLMSG_ERROR: errno 0 is an acknowledgement.
pub(super) fn verdict(header: &NetlinkHeader, payload: &[u8]) -> Result<(), RouteError> {
    const ORIGINAL: usize = 4;
    const ORIGINAL_HEADER: usize = 16;
    let code = payload.get(..ORIGINAL).and_then(number).unwrap_or_default().cast_signed();
    if code == 0 {
        return Ok(());
    }
    let mut text = String::new();
    if header.flags & NLM_F_ACK_TLVS != 0 {
        let original = if header.flags & NLM_F_CAPPED != 0 {
            ORIGINAL_HEADER
        } else {
            payload.get(ORIGINAL..ORIGINAL + 4).and_then(number).unwrap_or_default() as usize
        };
        text = extended_text(payload, ORIGINAL.saturating_add(original.next_multiple_of(4)));
    }
    Err(RouteError::new(code.saturating_abs(), text))
}

/// The verdict in an NLMSG_DONE: a dump may end with an error.
pub(super) fn done(payload: &[u8]) -> Result<(), RouteError> {
    let code = payload.get(..4).and_then(number).unwrap_or_default().cast_signed();
    if code >= 0 {
        return Ok(());
    }
    Err(RouteError::new(code.saturating_abs(), extended_text(payload, 4)))
}

/// NLMSGERR_ATTR_MSG.
fn extended_text(payload: &[u8], offset: usize) -> String {
    const MESSAGE: u16 = 1;
    let text = attributes(payload, offset).find(|(kind, _)| *kind == MESSAGE);
    text.map(|(_, text)| String::from_utf8_lossy(text).trim_end_matches('\0').to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::fib::FibOp;
    use crate::kernel::netlink::{encode, socket};

    fn written(action: KernelAction, prefix: &str) -> Vec<u8> {
        let key = RouteKey { prefix: prefix.parse().unwrap(), table: 1000, metric: 186 };
        let mut out = Vec::new();
        encode::write(&mut out, &FibOp::Replace(key, action), None, 186, 7, true);
        out
    }

    fn hop(gateway: &str, device: u32, weight: u16) -> KernelHop {
        KernelHop { gateway: Some(gateway.parse().unwrap()), device, onlink: weight == 2, weight }
    }

    #[test]
    fn a_written_route_reads_back_as_itself() {
        for (prefix, action) in [
            ("10.1.0.0/16", KernelAction::unicast(vec![hop("10.0.0.1", 3, 1)])),
            ("10.1.0.0/16", KernelAction::unicast(vec![hop("fe80::1", 3, 1)])),
            ("10.1.0.0/16", KernelAction::unicast(vec![hop("10.0.0.1", 3, 2), hop("10.0.0.2", 4, 256)])),
            ("2001:db8::/32", KernelAction::unicast(vec![hop("fe80::1", 3, 1), hop("fe80::1", 4, 2)])),
            ("0.0.0.0/0", KernelAction::Blackhole),
            ("::/0", KernelAction::Prohibit),
        ] {
            let bytes = written(action.clone(), prefix);
            let (header, payload) = socket::Messages::over(&bytes).next().unwrap();
            assert_eq!(header.message_type, RTM_NEWROUTE);
            let outline = outline(payload).unwrap();
            let key = RouteKey { prefix: prefix.parse().unwrap(), table: 1000, metric: 186 };
            assert_eq!((outline.key, outline.protocol, outline.plain), (key, 186, true));
            assert_eq!(super::action(payload), action);
        }
    }

    #[test]
    fn cut_messages_are_no_routes_and_no_panics() {
        let bytes =
            written(KernelAction::unicast(vec![hop("10.0.0.1", 3, 1), hop("10.0.0.2", 4, 2)]), "10.1.0.0/16");
        let header = NetlinkHeader::default();
        for length in 0..bytes.len() {
            let cut = &bytes[16.min(length)..length];
            let _ = (outline(cut), action(cut), verdict(&header, cut), done(cut));
            for message_type in RTM_NEWLINK..=RTM_DELROUTE {
                let mut header = header;
                header.message_type = message_type;
                let _ = event(&header, cut, &[254], 186);
            }
        }
        assert_eq!(outline(&[]), None);
    }

    #[test]
    fn a_refusal_carries_the_kernels_words() {
        let words = b"Nexthop has invalid gateway\0";
        let mut payload = (-101i32).to_ne_bytes().to_vec();
        payload.extend([0; 16]);
        payload.extend(u16::try_from(words.len() + 4).unwrap().to_ne_bytes());
        payload.extend(1u16.to_ne_bytes());
        payload.extend(words);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_ACK_TLVS | NLM_F_CAPPED;
        assert_eq!(verdict(&header, &payload), Err(RouteError::new(101, "Nexthop has invalid gateway")));
        assert_eq!(verdict(&header, &0i32.to_ne_bytes()), Ok(()));
    }
}
