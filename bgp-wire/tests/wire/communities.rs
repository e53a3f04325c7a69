//! Extended communities, made and shown (RFC 4360, RFC 5668, RFC 5701).
use bgp_wire::{Asn, ExtendedCommunity, Ipv6ExtendedCommunity};

use crate::build::hex;

#[test]
fn each_kind_is_made_and_shown() {
    let kinds = [
        (ExtendedCommunity::route_target(65000, 1), "0002fde800000001", "rt:65000:1"),
        (ExtendedCommunity::route_target_ipv4([10, 0, 0, 1].into(), 7), "01020a0000010007", "rt:10.0.0.1:7"),
        (ExtendedCommunity::route_target_four_octet(Asn(70000), 7), "0202000111700007", "rt:70000:7"),
        (ExtendedCommunity::link_bandwidth(65000, 125_000.0), "4004fde847f42400", "bandwidth:65000:125000"),
        (ExtendedCommunity::color(100), "030b000000000064", "color:100"),
    ];
    for (community, octets, text) in kinds {
        assert_eq!((&community.0[..], community.to_string().as_str()), (&hex(octets)[..], text));
        assert_eq!(community.is_route_target(), text.starts_with("rt"));
        assert_eq!(community.bandwidth().is_some(), text.starts_with("bandwidth"));
    }
    assert!(!ExtendedCommunity::link_bandwidth(1, 1.0).is_transitive());
    assert_eq!(ExtendedCommunity::link_bandwidth(1, 1.5).bandwidth(), Some(1.5));
}

#[test]
fn an_ipv6_route_target_carries_a_whole_address() {
    let target = Ipv6ExtendedCommunity::route_target("2001:db8::1".parse().unwrap(), 7);
    assert_eq!(target.0[..], hex("0002 20010db8000000000000000000000001 0007"));
    assert_eq!(target.to_string(), "rt:2001:db8::1:7");
    assert_eq!(Ipv6ExtendedCommunity([0x40; 20]).to_string(), "40".repeat(20));
}
