//! Routes of every family are read back as they were sent.
use std::net::IpAddr;

use bgp_wire::{
    Asn, Codec, EthernetSegmentId, EvpnRoute, ExtendedCommunity, Family, FamilySet, Label, LabelStack,
    LabeledPrefix, MacAddress, NextHop, NlriBlock, PathAttributes, PathId, Reaction, RouteDistinguisher,
    RouteTargetMembership, VpnPrefix, WriteNlri, announce, withdraw,
};
use bytes::BytesMut;
use ipnet::IpNet;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::families::session;

fn distinguisher() -> impl Strategy<Value = RouteDistinguisher> {
    any::<[u8; 8]>().prop_map(RouteDistinguisher)
}

fn labels() -> impl Strategy<Value = LabelStack> {
    vec((0..1u32 << 20).prop_map(Label), 1..3).prop_map(|labels| LabelStack::new(&labels).unwrap())
}

fn prefix4() -> impl Strategy<Value = IpNet> {
    (any::<[u8; 4]>(), 0..=32u8).prop_map(|(a, len)| IpNet::new(a.into(), len).unwrap().trunc())
}

fn prefix6() -> impl Strategy<Value = IpNet> {
    (any::<[u8; 16]>(), 0..=128u8).prop_map(|(a, len)| IpNet::new(a.into(), len).unwrap().trunc())
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)]
}

fn membership() -> impl Strategy<Value = RouteTargetMembership> {
    let bits = prop_oneof![Just(0u8), 32..=96u8];
    (any::<u32>(), any::<[u8; 8]>(), bits).prop_map(|(asn, target, bits)| {
        RouteTargetMembership::with_length(Asn(asn), ExtendedCommunity(target), bits).unwrap()
    })
}

prop_compose! {
    fn evpn()(
        kind in 1..=5u8,
        distinguisher in distinguisher(),
        segment in any::<[u8; 10]>().prop_map(EthernetSegmentId),
        mac in any::<[u8; 6]>().prop_map(MacAddress),
        tag: u32,
        label in 0..1u32 << 24,
        label2 in option::of(0..1u32 << 24),
        address in option::of(address()),
        originator in address(),
        (prefix, gateway) in prop_oneof![
            (prefix4(), any::<[u8; 4]>().prop_map(IpAddr::from)),
            (prefix6(), any::<[u8; 16]>().prop_map(IpAddr::from)),
        ],
    ) -> EvpnRoute {
        match kind {
            1 => EvpnRoute::AutoDiscovery { distinguisher, segment, tag, label },
            2 => EvpnRoute::MacIp { distinguisher, segment, tag, mac, address, label, label2 },
            3 => EvpnRoute::InclusiveMulticast { distinguisher, tag, originator },
            4 => EvpnRoute::EthernetSegment { distinguisher, segment, originator },
            _ => EvpnRoute::IpPrefix { distinguisher, segment, tag, prefix, gateway, label },
        }
    }
}

/// Sends the routes and reads them: `(path, octets without the path, key)` each.
fn told<P: WriteNlri>(
    codec: &Codec,
    family: Family,
    routes: &[(PathId, P)],
) -> Vec<(PathId, Vec<u8>, Vec<u8>)> {
    let mut block = vec![];
    PathAttributes::default().encode_block(&mut block).unwrap();
    let next_hop = if family.afi.0 == 2 {
        NextHop::V6("2001:db8::1".parse().unwrap())
    } else {
        NextHop::V4([10, 0, 0, 1].into())
    };
    let mut out = BytesMut::new();
    let packed = announce(&mut out, codec, family, &next_hop, &block, routes.iter().map(|(id, p)| (*id, p)));
    assert_eq!(packed.routes, routes.len());
    read(codec, out, |view, each| {
        assert_eq!(view.unreach().count(), 0);
        for reach in view.reach() {
            assert_eq!(reach.next_hop, next_hop);
            each(&reach.nlri);
        }
    })
}

/// The same of withdrawals.
fn taken_back<P: WriteNlri>(
    codec: &Codec,
    family: Family,
    routes: &[(PathId, P)],
) -> Vec<(PathId, Vec<u8>, Vec<u8>)> {
    let mut out = BytesMut::new();
    let packed = withdraw(&mut out, codec, family, routes.iter().map(|(id, p)| (*id, p)));
    assert_eq!(packed.routes, routes.len());
    read(codec, out, |view, each| view.unreach().for_each(|block| each(&block)))
}

pub fn read(
    codec: &Codec,
    out: BytesMut,
    blocks: impl Fn(&bgp_wire::UpdateView<'_>, &mut dyn FnMut(&NlriBlock<'_>)),
) -> Vec<(PathId, Vec<u8>, Vec<u8>)> {
    let (mut bytes, mut all) = (out.freeze(), vec![]);
    while let Some(frame) = codec.frame(&bytes).unwrap() {
        let one = bytes.split_to(frame.len);
        let view = codec.decode_update(&one).unwrap();
        assert_eq!(view.outcome(), Reaction::Accept);
        blocks(&view, &mut |block| {
            for (id, nlri) in block.iter() {
                let (mut octets, mut key) = (BytesMut::new(), vec![]);
                nlri.write(&mut octets);
                nlri.append_key(&mut key);
                all.push((id, octets.to_vec(), key));
            }
        });
    }
    all
}

fn both<P: WriteNlri>(family: Family, add_path: bool, routes: &[(PathId, P)]) {
    let families = FamilySet::of(&[family]);
    let add_path_families = if add_path { families } else { FamilySet::empty() };
    let codec = Codec {
        add_path_rx: add_path_families,
        add_path_tx: add_path_families,
        multiple_labels: families,
        ..session(family)
    };
    let expected: Vec<_> = routes
        .iter()
        .map(|(id, p)| {
            let mut octets = BytesMut::new();
            p.write(&mut octets);
            assert_eq!(octets.len(), p.wire_len());
            (if add_path { *id } else { PathId(0) }, octets.to_vec())
        })
        .collect();
    let told = told(&codec, family, routes);
    assert_eq!(told.iter().map(|(id, octets, _)| (*id, octets.clone())).collect::<Vec<_>>(), expected);
    // A withdrawal names the same routes.
    let names = |all: Vec<(PathId, Vec<u8>, Vec<u8>)>| {
        all.into_iter().map(|(id, _, key)| (id, key)).collect::<Vec<_>>()
    };
    assert_eq!(names(taken_back(&codec, family, routes)), names(told));
}

fn identified<P: std::fmt::Debug>(one: impl Strategy<Value = P>) -> impl Strategy<Value = Vec<(PathId, P)>> {
    vec((any::<u32>().prop_map(PathId), one), 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn labelled_prefixes(
        four in identified((prefix4(), labels()).prop_map(|(prefix, labels)| LabeledPrefix { prefix, labels })),
        six in identified((prefix6(), labels()).prop_map(|(prefix, labels)| LabeledPrefix { prefix, labels })),
        add_path: bool,
    ) {
        both(Family::IPV4_LABELED_UNICAST, add_path, &four);
        both(Family::IPV6_LABELED_UNICAST, add_path, &six);
    }

    #[test]
    fn vpn_prefixes(
        four in identified((distinguisher(), prefix4(), labels()).prop_map(|(distinguisher, prefix, labels)|
            VpnPrefix { distinguisher, prefix, labels })),
        // Two labels, a distinguisher and 128 bits fit the length octet; three labels would not.
        six in identified((distinguisher(), prefix6(), labels()).prop_map(|(distinguisher, prefix, labels)|
            VpnPrefix { distinguisher, prefix, labels })),
        add_path: bool,
    ) {
        both(Family::IPV4_VPN, add_path, &four);
        both(Family::IPV4_CLASSFUL_TRANSPORT, add_path, &four);
        both(Family::IPV6_VPN, add_path, &six);
        let bare = |(id, route): &(PathId, VpnPrefix)| (*id, VpnPrefix { labels: LabelStack::EMPTY, ..*route });
        both(Family::IPV6_VPN_MULTICAST, add_path, &six.iter().map(bare).collect::<Vec<_>>());
    }

    #[test]
    fn route_target_memberships(routes in identified(membership()), add_path: bool) {
        both(Family::ROUTE_TARGET, add_path, &routes);
    }

    #[test]
    fn evpn_routes(routes in identified(evpn()), add_path: bool) {
        both(Family::EVPN, add_path, &routes);
    }
}
