//! Whatever can be said is read back as it was said.
use bgp_wire::{
    AddPathMode, Afi, Aggregator, AsPath, Asn, AttributeBlock, AttributeCode, AttributeFlags, Capability,
    CapabilityCode, ClusterId, Codec, Community, ExtendedCommunity, Family, FamilySet, GracefulRestart,
    LargeCommunity, LongLivedFamily, Message, NextHop, Notification, NotificationCode, Open, Origin,
    OwnedAttribute, PathAttributes, PathId, PathSegment, PeerKind, Reaction, RefreshKind, Rewrite, Role,
    RouteRefresh, RouterId, SegmentKind, announce, rewrite, withdraw,
};
use bytes::{Bytes, BytesMut};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::build::internal;

fn family() -> impl Strategy<Value = Family> {
    (any::<u16>(), any::<u8>()).prop_map(|(afi, safi)| Family::new(afi, safi))
}

fn octets(most: usize) -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..=most).prop_map(Bytes::from)
}

fn restart() -> impl Strategy<Value = GracefulRestart> {
    let families = vec((family(), any::<bool>()), 0..63);
    (any::<bool>(), any::<bool>(), 0..4096u16, families).prop_map(
        |(restarting, notification, time, families)| GracefulRestart {
            restarting,
            notification,
            time,
            families,
        },
    )
}

fn long_lived() -> impl Strategy<Value = LongLivedFamily> {
    (family(), any::<bool>(), 0..1u32 << 24).prop_map(|(family, forwarding, stale_time)| LongLivedFamily {
        family,
        forwarding,
        stale_time,
    })
}

fn capability() -> impl Strategy<Value = Capability> {
    prop_oneof![
        family().prop_map(Capability::Multiprotocol),
        Just(Capability::RouteRefresh),
        vec((family(), any::<u16>().prop_map(Afi)), 0..42).prop_map(Capability::ExtendedNextHop),
        Just(Capability::ExtendedMessage),
        vec((family(), any::<u8>()), 0..63).prop_map(Capability::MultipleLabels),
        any::<u8>().prop_map(|r| Capability::Role(Role(r))),
        restart().prop_map(Capability::GracefulRestart),
        (1..=u32::MAX).prop_map(|n| Capability::FourOctetAs(Asn(n))),
        vec((family(), any::<u8>().prop_map(AddPathMode)), 0..63).prop_map(Capability::AddPath),
        Just(Capability::EnhancedRouteRefresh),
        vec(long_lived(), 0..36).prop_map(Capability::LongLivedGracefulRestart),
        (octets(126), octets(126)).prop_map(|(host, domain)| Capability::Fqdn { host, domain }),
        octets(254).prop_map(Capability::SoftwareVersion),
        vec((family(), any::<u16>()), 0..51).prop_map(Capability::PathsLimit),
        Just(Capability::LinkLocalNextHop),
        (
            prop_oneof![
                Just(0u8),
                Just(3),
                Just(4),
                Just(7),
                10..=63u8,
                66..=68u8,
                Just(72),
                Just(74),
                78..=255u8
            ],
            octets(255)
        )
            .prop_map(|(code, value)| Capability::Unknown { code: CapabilityCode(code), value }),
    ]
}

prop_compose! {
    fn open()(
        my_as in 1..=u16::MAX,
        hold_time in prop_oneof![Just(0u16), 3..=u16::MAX],
        id in 1..=u32::MAX,
        capabilities in vec(capability(), 0..12),
    ) -> Open {
        Open { version: 4, my_as, hold_time, router_id: RouterId(id), capabilities }
    }
}

fn asn() -> impl Strategy<Value = Asn> {
    prop_oneof![1..=65535u32, 1..=u32::MAX].prop_map(Asn)
}

fn segment() -> impl Strategy<Value = PathSegment> {
    let kind = prop_oneof![
        4 => Just(SegmentKind::Sequence),
        1 => Just(SegmentKind::Set),
        1 => Just(SegmentKind::ConfedSequence),
        1 => Just(SegmentKind::ConfedSet),
    ];
    (kind, vec(asn(), 1..20)).prop_map(|(kind, asns)| PathSegment { kind, asns })
}

prop_compose! {
    fn aggregator()(asn in asn(), id in any::<u32>()) -> Aggregator {
        Aggregator { asn, router_id: RouterId(id) }
    }
}

fn large() -> impl Strategy<Value = LargeCommunity> {
    any::<[u32; 3]>().prop_map(|[global, local1, local2]| LargeCommunity { global, local1, local2 })
}

fn other() -> impl Strategy<Value = Vec<OwnedAttribute>> {
    let one = (129..=255u8, any::<bool>(), vec(any::<u8>(), 0..400));
    proptest::collection::btree_map(129..=255u8, one, 0..3).prop_map(|map| {
        map.into_iter()
            .map(|(code, (_, partial, value))| OwnedAttribute {
                flags: AttributeFlags(if partial { 0xe0 } else { 0xc0 }),
                code: AttributeCode(code),
                value,
            })
            .collect()
    })
}

prop_compose! {
    fn lists()(
        communities in vec(any::<u32>().prop_map(Community), 0..80),
        clusters in vec(any::<u32>().prop_map(ClusterId), 0..4),
        extended in vec(any::<[u8; 8]>().prop_map(ExtendedCommunity), 0..4),
        large in vec(large(), 0..30),
        other in other(),
    ) -> PathAttributes {
        PathAttributes {
            communities,
            cluster_list: clusters,
            extended_communities: extended,
            large_communities: large,
            other,
            ..PathAttributes::default()
        }
    }
}

prop_compose! {
    fn attributes()(
        lists in lists(),
        origin in prop_oneof![Just(Origin::Igp), Just(Origin::Egp), Just(Origin::Incomplete)],
        segments in vec(segment(), 0..5),
        words in any::<[Option<u32>; 2]>(),
        atomic_aggregate in any::<bool>(),
        aggregator in option::of(aggregator()),
        originator in option::of(any::<u32>()),
        customer in option::of(asn()),
    ) -> PathAttributes {
        PathAttributes {
            origin,
            as_path: AsPath { segments },
            med: words[0],
            local_pref: words[1],
            atomic_aggregate,
            aggregator,
            originator_id: originator.map(RouterId),
            only_to_customer: customer,
            ..lists
        }
    }
}

fn net4() -> impl Strategy<Value = Ipv4Net> {
    (any::<u32>(), 0..=32u8).prop_map(|(a, len)| Ipv4Net::new(a.into(), len).unwrap().trunc())
}

fn net6() -> impl Strategy<Value = Ipv6Net> {
    (any::<u128>(), 0..=128u8).prop_map(|(a, len)| Ipv6Net::new(a.into(), len).unwrap().trunc())
}

fn decoded(codec: &Codec, bytes: BytesMut) -> Message {
    let bytes = bytes.freeze();
    assert_eq!(codec.frame(&bytes).unwrap().unwrap().len, bytes.len());
    codec.decode(&bytes).unwrap()
}

type Routes = Vec<(PathId, IpNet)>;

/// The routes and the canonical blocks that a receiver gets out of a stream of UPDATEs.
fn received(codec: &Codec, bytes: BytesMut) -> (Routes, Routes, Vec<Vec<u8>>) {
    let mut bytes = bytes.freeze();
    let (mut announced, mut withdrawn, mut blocks) = (vec![], vec![], vec![]);
    while let Some(frame) = codec.frame(&bytes).unwrap() {
        assert!(frame.len <= codec.max_len_tx());
        let Message::Update(update) = codec.decode(&bytes.split_to(frame.len)).unwrap() else { panic!() };
        let view = update.view();
        assert_eq!(view.outcome(), Reaction::Accept);
        announced.extend(
            view.reach().flat_map(|r| r.nlri.iter()).map(|(id, n)| (id, IpNet::try_from(n).unwrap())),
        );
        withdrawn
            .extend(view.unreach().flat_map(|b| b.iter()).map(|(id, n)| (id, IpNet::try_from(n).unwrap())));
        let mut block = vec![];
        view.canonical_attributes(&mut block);
        blocks.push(block);
    }
    (announced, withdrawn, blocks)
}

/// A session whose sender and receiver agree.
fn session(four_octet_as: bool, add_path: bool, extended_message: bool) -> Codec {
    let families = FamilySet::of(&[Family::IPV4_UNICAST, Family::IPV6_UNICAST]);
    let add_path = if add_path { families } else { FamilySet::empty() };
    Codec {
        peer: PeerKind::Internal,
        four_octet_as,
        extended_message_rx: extended_message,
        extended_message_tx: extended_message,
        add_path_rx: add_path,
        add_path_tx: add_path,
        extended_next_hop: FamilySet::of(&[Family::IPV4_UNICAST]),
        ..internal()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_open_is_read_as_it_was_written(open in open()) {
        let mut out = BytesMut::new();
        open.encode(&mut out);
        // AS 0 in no place, so that the OPEN is acceptable.
        prop_assert_eq!(decoded(&Codec::before_open(), out), Message::Open(open));
    }

    #[test]
    fn a_notification_is_read_as_it_was_written(code: u8, subcode: u8, data in octets(500)) {
        let n = Notification { code: NotificationCode(code), subcode, data };
        let mut out = BytesMut::new();
        n.encode(&mut out);
        prop_assert_eq!(decoded(&internal(), out), Message::Notification(n));
    }

    #[test]
    fn a_refresh_is_read_as_it_was_written(family in family(), kind: u8) {
        let refresh = RouteRefresh { family, kind: RefreshKind(kind) };
        let mut out = BytesMut::new();
        refresh.encode(&mut out);
        prop_assert_eq!(decoded(&internal(), out), Message::RouteRefresh(refresh));
    }

    #[test]
    fn attributes_are_read_as_they_were_written(attributes in attributes()) {
        let mut block = vec![];
        attributes.encode_block(&mut block).unwrap();
        let back = PathAttributes::from_block(AttributeBlock::parse(&block).unwrap());
        let expected = back.clone();
        // Partial bits of uninterpreted attributes stand in their flags, and in no set.
        prop_assert_eq!(PathAttributes { partial: expected.partial, ..attributes }, back);
    }

    #[test]
    fn announced_routes_arrive_with_their_attributes(
        attributes in attributes(),
        nets in vec((any::<u32>().prop_map(PathId), net4()), 1..300),
        nets6 in vec((any::<u32>().prop_map(PathId), net6()), 1..300),
        four_octet_as: bool,
        add_path: bool,
        extended_message: bool,
        v6_next_hop: bool,
    ) {
        let codec = session(four_octet_as, add_path, extended_message);
        let mut block = vec![];
        attributes.encode_block(&mut block).unwrap();
        // Somebody who does not know an attribute marks it.
        let mut sent = vec![];
        let how = Rewrite { two_octet_as: !four_octet_as, ..Rewrite::default() };
        rewrite(AttributeBlock::parse(&block).unwrap(), &how, &mut sent).unwrap();
        let six = NextHop::V6("2001:db8::1".parse().unwrap());
        let next_hop = if v6_next_hop { six } else { NextHop::V4([10, 0, 0, 1].into()) };
        let mut out = BytesMut::new();
        let first = announce(&mut out, &codec, Family::IPV4_UNICAST, &next_hop, &sent, nets.iter().copied());
        let second = announce(&mut out, &codec, Family::IPV6_UNICAST, &six, &sent, nets6.iter().copied());
        prop_assert_eq!(first.routes + second.routes, nets.len() + nets6.len());
        let (announced, withdrawn, blocks) = received(&codec, out);
        let id = |id: PathId| if add_path { id } else { PathId(0) };
        let expected: Routes = nets.iter().map(|(i, n)| (id(*i), IpNet::V4(*n)))
            .chain(nets6.iter().map(|(i, n)| (id(*i), IpNet::V6(*n)))).collect();
        prop_assert_eq!(announced, expected);
        prop_assert!(withdrawn.is_empty());
        for received in blocks {
            let mut back = PathAttributes::from_block(AttributeBlock::parse(&received).unwrap());
            back.other.iter_mut().for_each(|a| a.flags.0 &= !0x20);
            let mut expected = attributes.clone();
            expected.other.iter_mut().for_each(|a| a.flags.0 &= !0x20);
            back.partial = expected.partial;
            if !four_octet_as {
                // What AS4_PATH cannot carry: confederation segments, and where one segment ends.
                let flat = |p: &AsPath| p.segments.iter().filter(|s| !s.kind.is_confederation())
                    .flat_map(|s| s.asns.clone()).collect::<Vec<_>>();
                prop_assert_eq!(flat(&back.as_path), flat(&expected.as_path));
                back.as_path = expected.as_path.clone();
            }
            prop_assert_eq!(back, expected);
        }
    }

    #[test]
    fn withdrawn_routes_arrive(
        nets in vec((any::<u32>().prop_map(PathId), net4()), 1..300),
        nets6 in vec((any::<u32>().prop_map(PathId), net6()), 1..300),
    ) {
        let codec = session(true, true, false);
        let mut out = BytesMut::new();
        withdraw(&mut out, &codec, Family::IPV4_UNICAST, nets.iter().copied());
        withdraw(&mut out, &codec, Family::IPV6_UNICAST, nets6.iter().copied());
        let (_, withdrawn, _) = received(&codec, out);
        let expected: Routes = nets.iter().map(|(i, n)| (*i, IpNet::V4(*n)))
            .chain(nets6.iter().map(|(i, n)| (*i, IpNet::V6(*n)))).collect();
        prop_assert_eq!(withdrawn, expected);
    }
}
