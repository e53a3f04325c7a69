//! OPEN and its capabilities (RFC 4271 §4.2, §6.2; RFC 5492; RFC 9072).
use bgp_wire::{
    AddPathMode, Afi, Asn, Capability, CapabilityCode, Codec, Family, GracefulRestart, LongLivedFamily,
    Message, Notification, Open, Role, RouterId,
};
use bytes::{Bytes, BytesMut};

use crate::build::{hex, message};

fn decode(bytes: &[u8]) -> Result<Open, Notification> {
    Codec::before_open().decode(&Bytes::copy_from_slice(bytes)).map(|m| match m {
        Message::Open(open) => open,
        other => panic!("{other:?}"),
    })
}

fn encode(open: &Open) -> Vec<u8> {
    let mut out = BytesMut::new();
    open.encode(&mut out);
    out.to_vec()
}

fn refused(body: &str) -> (u8, u8, Vec<u8>) {
    let n = decode(&message(1, &hex(body))).expect_err("must be refused");
    (n.code.0, n.subcode, n.data.to_vec())
}

#[test]
fn an_open_of_a_router_is_read_field_by_field() {
    // AS 4200000000 by capability, AS_TRANS in the field; IPv4 unicast, refresh, graceful restart 120 s with R and N.
    let bytes = message(
        1,
        &hex(
            "04 5ba0 00b4 0a000001 1a  02 18  01 04 0001 00 01  02 00  41 04 fa56ea00  40 06 c078 0001 01 80  46 00",
        ),
    );
    let open = decode(&bytes).unwrap();
    assert_eq!((open.my_as, open.hold_time, open.router_id), (23456, 180, RouterId(0x0a00_0001)));
    assert_eq!(open.asn(), Asn(4_200_000_000));
    let restart = GracefulRestart {
        restarting: true,
        notification: true,
        time: 120,
        families: vec![(Family::IPV4_UNICAST, true)],
    };
    let expected = [
        Capability::Multiprotocol(Family::IPV4_UNICAST),
        Capability::RouteRefresh,
        Capability::FourOctetAs(Asn(4_200_000_000)),
        Capability::GracefulRestart(restart),
        Capability::EnhancedRouteRefresh,
    ];
    assert_eq!(open.capabilities, expected);
    assert_eq!(encode(&open), bytes);
}

#[test]
fn one_parameter_per_capability_reads_the_same() {
    let open = decode(&message(1, &hex("04 fde8 005a 0a000001 0a  02 02 02 00  02 04 41 02 0001")));
    assert_eq!(open.unwrap_err(), Notification::open_error(0, &[]), "a four-octet AS number has four octets");
    let open =
        decode(&message(1, &hex("04 fde8 005a 0a000001 0c  02 02 02 00  02 06 41 04 0000fde8"))).unwrap();
    assert_eq!(open.capabilities, [Capability::RouteRefresh, Capability::FourOctetAs(Asn(65000))]);
}

#[test]
fn unknown_capabilities_survive_byte_for_byte() {
    let bytes = message(1, &hex("04 fde8 005a 0a000001 08  02 06 c8 04 deadbeef"));
    let open = decode(&bytes).unwrap();
    let value = Bytes::from_static(&[0xde, 0xad, 0xbe, 0xef]);
    assert_eq!(open.capabilities, [Capability::Unknown { code: CapabilityCode(200), value }]);
    assert_eq!(encode(&open), bytes);
}

#[test]
fn an_unacceptable_open_is_answered_with_the_right_subcode() {
    assert_eq!(refused("03 fde8 005a 0a000001 00"), (2, 1, vec![0, 4]));
    assert_eq!(refused("04 0000 005a 0a000001 00"), (2, 2, vec![]));
    assert_eq!(refused("04 fde8 005a 0a000001 08 02 06 41 04 00000000"), (2, 2, vec![]));
    assert_eq!(refused("04 fde8 005a 00000000 00"), (2, 3, vec![]));
    assert_eq!(refused("04 fde8 005a 0a000001 04 01 02 0000"), (2, 4, vec![]));
    assert_eq!(refused("04 fde8 0002 0a000001 00"), (2, 6, vec![]));
    assert_eq!(refused("04 fde8 0001 0a000001 00"), (2, 6, vec![]));
    assert_eq!(refused("04 fde8 005a 0a000001 05 02 02 02 00"), (2, 0, vec![]), "parameters cut short");
    assert_eq!(
        refused("04 fde8 005a 0a000001 04 02 02 02 00 00"),
        (2, 0, vec![]),
        "octets behind the parameters"
    );
    assert_eq!(refused("04 fde8 005a 0a000001 04 02 02 02 05"), (2, 0, vec![]), "capability cut short");
}

#[test]
fn extended_parameters_are_read_and_written_when_needed() {
    let families: Vec<_> = (0..60).map(|n| (Family::new(1, n), AddPathMode::BOTH)).collect();
    let mut open = Open::new(Asn(65000), 90, RouterId(1));
    open.capabilities.push(Capability::AddPath(families.clone()));
    open.capabilities.push(Capability::ExtendedNextHop(vec![(Family::IPV4_UNICAST, Afi::IPV6)]));
    let short = encode(&open);
    assert_eq!(short[28], 255, "256 octets of capabilities");
    assert_eq!(short[29], 255);
    assert_eq!(decode(&short).unwrap(), open);
    // RFC 9072 §2: any non-zero length before type 255 announces the format.
    let mut odd = short;
    odd[28] = 7;
    assert_eq!(decode(&odd).unwrap(), open);
}

#[test]
fn a_list_too_long_for_one_capability_goes_out_as_two() {
    let families: Vec<_> = (0..100).map(|n| (Family::new(1, n), AddPathMode::SEND)).collect();
    let mut open = Open::new(Asn(65000), 90, RouterId(1));
    open.capabilities = vec![Capability::AddPath(families.clone())];
    let back = decode(&encode(&open)).unwrap();
    let joined: Vec<_> = back
        .capabilities
        .iter()
        .flat_map(|c| match c {
            Capability::AddPath(rows) => rows.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(joined, families);
    assert_eq!(back.capabilities.len(), 2);
}

#[test]
fn an_open_never_passes_4096_octets() {
    let mut open = Open::new(Asn(65000), 90, RouterId(1));
    let huge = Capability::Unknown { code: CapabilityCode(222), value: vec![1; 300].into() };
    open.capabilities.extend(std::iter::repeat_n(huge, 40));
    let bytes = encode(&open);
    assert!(bytes.len() <= 4096);
    assert_eq!(decode(&bytes).unwrap().capabilities[0], Capability::FourOctetAs(Asn(65000)));
}

#[test]
fn damaged_names_do_not_cost_the_session() {
    let open = decode(&message(1, &hex("04 fde8 005a 0a000001 05  02 03 49 01 09"))).unwrap();
    assert!(matches!(&open.capabilities[..], [Capability::Unknown { code: CapabilityCode::FQDN, .. }]));
}

#[test]
fn a_role_is_one_octet() {
    let open = decode(&message(1, &hex("04 fde8 005a 0a000001 05  02 03 09 01 03"))).unwrap();
    assert_eq!(open.capabilities, [Capability::Role(Role::CUSTOMER)]);
}

/// RFC 9072 §2: the extended format is for what does not fit 255 octets.
#[test]
fn as_many_capabilities_as_one_octet_counts_go_out_in_the_old_format() {
    let with = |octets: usize| {
        let mut open = Open::new(Asn(65000), 90, RouterId(1));
        let value = vec![7; octets - 2].into();
        open.capabilities = vec![Capability::Unknown { code: CapabilityCode(222), value }];
        let bytes = encode(&open);
        assert_eq!(decode(&bytes).unwrap(), open);
        (bytes[28], bytes[29])
    };
    assert_eq!(with(253), (255, 2));
    assert_eq!(with(254), (255, 255));
}

#[test]
fn what_a_receiver_makes_of_an_open_is_known_before_it_is_sent() {
    let good = Open::new(Asn(65001), 90, RouterId(1));
    assert_eq!(good.check(), Ok(()));
    let damaged =
        Capability::Unknown { code: CapabilityCode::FOUR_OCTET_AS, value: Bytes::from_static(&[1]) };
    for bad in [
        Open { version: 3, ..good.clone() },
        Open { my_as: 0, ..good.clone() },
        Open { hold_time: 1, ..good.clone() },
        Open { router_id: RouterId(0), ..good.clone() },
        Open { capabilities: vec![Capability::FourOctetAs(Asn(0))], ..good.clone() },
        Open { capabilities: vec![damaged], ..good.clone() },
    ] {
        let mut out = BytesMut::new();
        bad.encode(&mut out);
        let answer = Codec::before_open().decode(&out.freeze()).unwrap_err();
        assert_eq!(bad.check(), Err(answer));
    }
}

/// RFC 8950 §4: the SAFI of a row has two octets, of which the high one is 0.
#[test]
fn a_subsequent_family_beyond_255_is_not_that_of_its_low_octet() {
    let rows = "02 0e 05 0c 0001 0101 0002  0001 0080 0002";
    let open = decode(&message(1, &hex(&format!("04 fde8 005a 0a000001 10 {rows}")))).unwrap();
    assert_eq!(open.capabilities, [Capability::ExtendedNextHop(vec![(Family::IPV4_VPN, Afi::IPV6)])]);
}

/// RFC 8277 §2.1, RFC 4724 §3, RFC 9494 §3.1: of these only one instance counts.
#[test]
fn capabilities_that_count_once_go_out_once() {
    let families = || (0..100).map(|n| Family::new(1, n));
    let long_lived = families()
        .map(|family| LongLivedFamily { family, forwarding: true, stale_time: 9 })
        .collect::<Vec<_>>();
    let labels: Vec<_> = families().map(|family| (family, 3)).collect();
    let restarting: Vec<_> = families().map(|family| (family, true)).collect();
    let restart = |families: &[(Family, bool)]| {
        Capability::GracefulRestart(GracefulRestart { families: families.to_vec(), ..Default::default() })
    };
    let mut open = Open::new(Asn(65000), 90, RouterId(1));
    open.capabilities = vec![
        Capability::MultipleLabels(labels.clone()),
        restart(&restarting),
        Capability::LongLivedGracefulRestart(long_lived.clone()),
    ];
    let expected = [
        Capability::MultipleLabels(labels[..63].to_vec()),
        restart(&restarting[..63]),
        Capability::LongLivedGracefulRestart(long_lived[..36].to_vec()),
    ];
    assert_eq!(decode(&encode(&open)).unwrap().capabilities, expected);
}
