//! EVPN routes and flow specifications, read from their octets.
use bgp_wire::{
    EthernetSegmentId, EvpnRoute, Family, FlowComponentType, FlowPrefix, FlowSpec, MacAddress, NlriBlock,
    OpaqueNlri, RouteDistinguisher, WriteNlri,
};
use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::build::hex;

fn both_ways(route: &EvpnRoute, nlri: &str, text: &str) {
    let octets = hex(nlri);
    assert_eq!(EvpnRoute::parse(&octets), Some(*route));
    assert_eq!(OpaqueNlri::parse(Family::EVPN, &octets).unwrap().to_string(), text);
    let mut out = BytesMut::new();
    route.write(&mut out);
    assert_eq!((&out[..], route.wire_len()), (&octets[..], octets.len()));
    for end in 0..octets.len() {
        assert_eq!(EvpnRoute::parse(&octets[..end]), None);
    }
}

#[test]
fn evpn_routes_of_each_type() {
    let distinguisher = RouteDistinguisher::two_octet_as(65001, 1);
    let segment = EthernetSegmentId([0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99]);
    let mac = MacAddress([2, 0, 0, 0, 0, 1]);
    let rd = "0000fde900000001";
    let esi = "00112233445566778899";
    both_ways(
        &EvpnRoute::AutoDiscovery { distinguisher, segment, tag: 5, label: 0x101 },
        &format!("01 19 {rd} {esi} 00000005 000101"),
        "[1][65001:1][00:11:22:33:44:55:66:77:88:99][5] label 257",
    );
    both_ways(
        &EvpnRoute::MacIp {
            distinguisher,
            segment,
            tag: 5,
            mac,
            address: Some([10, 0, 0, 7].into()),
            label: 100,
            label2: Some(200),
        },
        &format!("02 28 {rd} {esi} 00000005 30 020000000001 20 0a000007 000064 0000c8"),
        "[2][65001:1][5][02:00:00:00:00:01][10.0.0.7] segment 00:11:22:33:44:55:66:77:88:99 label 100/200",
    );
    both_ways(
        &EvpnRoute::MacIp { distinguisher, segment, tag: 0, mac, address: None, label: 100, label2: None },
        &format!("02 21 {rd} {esi} 00000000 30 020000000001 00 000064"),
        "[2][65001:1][0][02:00:00:00:00:01] segment 00:11:22:33:44:55:66:77:88:99 label 100",
    );
    both_ways(
        &EvpnRoute::InclusiveMulticast { distinguisher, tag: 5, originator: [10, 0, 0, 1].into() },
        &format!("03 11 {rd} 00000005 20 0a000001"),
        "[3][65001:1][5][10.0.0.1]",
    );
    both_ways(
        &EvpnRoute::EthernetSegment { distinguisher, segment, originator: "2001:db8::1".parse().unwrap() },
        &format!("04 23 {rd} {esi} 80 20010db8000000000000000000000001"),
        "[4][65001:1][00:11:22:33:44:55:66:77:88:99][2001:db8::1]",
    );
    both_ways(
        &EvpnRoute::IpPrefix {
            distinguisher,
            segment,
            tag: 0,
            prefix: "10.1.0.0/16".parse().unwrap(),
            gateway: [0, 0, 0, 0].into(),
            label: 300,
        },
        &format!("05 22 {rd} {esi} 00000000 10 0a010000 00000000 00012c"),
        "[5][65001:1][0][10.1.0.0/16] segment 00:11:22:33:44:55:66:77:88:99 gateway 0.0.0.0 label 300",
    );
}

#[test]
fn an_evpn_route_of_another_type_is_shown_by_its_octets() {
    let octets = hex("0b 02 0102");
    let nlri = OpaqueNlri::parse(Family::EVPN, &octets).unwrap();
    assert_eq!((nlri.evpn(), nlri.to_string().as_str()), (None, "0b020102"));
    // A MAC address of 40 bits.
    let odd = hex("02 21 0000fde900000001 00112233445566778899 00000000 28 020000000001 00 000064");
    assert_eq!(EvpnRoute::parse(&odd), None);
}

fn flow(family: Family, nlri: &str) -> String {
    let octets = hex(nlri);
    OpaqueNlri::parse(family, &octets).unwrap().to_string()
}

#[test]
fn flow_specifications_of_the_rfc() {
    // RFC 8955 §4.3.1: 192.0.2.0/24, TCP, port 25; §4.3.2: with ranges and a choice; §4.3.3: fragments.
    let v4 = Family::IPV4_FLOWSPEC;
    assert_eq!(
        flow(v4, "0b 01 18 c00002 03 81 06 04 81 19"),
        "destination 192.0.2.0/24, protocol =6, port =25"
    );
    assert_eq!(
        flow(v4, "10 01 18 c00002 02 08 cb 04 03 89 45 8b 91 1f90"),
        "destination 192.0.2.0/24, source 203.0.0.0/8, port >=137&<=139 =8080"
    );
    assert_eq!(flow(v4, "08 01 18 c00002 0c 80 05"), "destination 192.0.2.0/24, fragment 0x5");
    // RFC 8956 §3.8.1, §3.8.2.
    let v6 = Family::IPV6_FLOWSPEC;
    assert_eq!(
        flow(v6, "12 01 20 00 20010db8 02 68 40 123456789a 03 81 06"),
        "destination 2001:db8::/32, source ::1234:5678:9a00:0/64-104, protocol =6"
    );
    let vpn = "0d 0000fde900000001 01 18 c00002";
    assert_eq!(flow(Family::IPV4_VPN_FLOWSPEC, vpn), "65001:1: destination 192.0.2.0/24");
    assert_eq!(flow(v6, "06 0d a1 00001234"), "flow-label =4660");
}

#[test]
fn components_are_read_one_by_one() {
    let octets = hex("10 01 18 c00002 02 08 cb 04 03 89 45 8b 91 1f90");
    let flow = FlowSpec::parse(Family::IPV4_FLOWSPEC, &octets).unwrap();
    let components: Vec<_> = flow.components().collect();
    assert_eq!(components[0].kind, FlowComponentType::DESTINATION);
    let prefix = FlowPrefix::V4 { address: [192, 0, 2, 0].into(), len: 24 };
    assert_eq!(components[0].prefix(), Some(prefix));
    let ports = |n| components[2].operators().matches(n);
    assert_eq!([136, 137, 139, 140, 8080].map(ports), [false, true, true, false, true]);
    assert!(!components[0].operators().matches(0));
}

#[test]
fn bit_masks_match_by_all_or_any_of_their_bits() {
    // SYN without ACK: all of 0x02, and not any of 0x10.
    let octets = hex("05 09 01 02 c2 10");
    let flow = FlowSpec::parse(Family::IPV4_FLOWSPEC, &octets).unwrap();
    assert_eq!(flow.to_string(), "tcp-flags =0x2&!0x10");
    let flags = flow.components().next().unwrap();
    assert_eq!([0x02, 0x12, 0x10, 0x03].map(|n| flags.operators().matches(n)), [true, false, false, true]);
}

#[test]
fn two_octets_of_length_come_where_one_is_too_short() {
    let mut components = hex("03");
    components.extend(hex("01 06").repeat(119));
    components.extend(hex("81 06"));
    let octets = [&[0xf0, 241][..], &components].concat();
    let block = NlriBlock::parse(Family::IPV4_FLOWSPEC, false, &octets).unwrap();
    assert_eq!(block.iter().count(), 1);
    let flow = FlowSpec::parse(Family::IPV4_FLOWSPEC, &octets).unwrap();
    assert_eq!(flow.components().next().unwrap().operators().count(), 120);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn views_are_total(octets in vec(any::<u8>(), 0..80), kind in 0..6u8) {
        let mut typed = vec![kind, u8::try_from(octets.len()).unwrap()];
        typed.extend(&octets);
        for octets in [&octets, &typed] {
            if let Some(route) = EvpnRoute::parse(octets) {
                let mut out = BytesMut::new();
                route.write(&mut out);
                // Host bits alone may differ.
                prop_assert_eq!(EvpnRoute::parse(&out), Some(route));
                prop_assert_eq!(out.len(), octets.len());
            }
        }
        for family in [Family::IPV4_FLOWSPEC, Family::IPV6_FLOWSPEC, Family::IPV4_VPN_FLOWSPEC] {
            let len = [u8::try_from(octets.len()).unwrap()];
            let octets = [&len[..], &octets].concat();
            if let Some(flow) = FlowSpec::parse(family, &octets) {
                let _ = (flow.to_string(), flow.is_whole());
                for component in flow.components() {
                    let _ = (component.prefix(), component.operators().matches(7));
                }
            }
        }
    }
}
