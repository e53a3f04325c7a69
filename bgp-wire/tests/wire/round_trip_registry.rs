//! Every family of the table and every attribute of the registry: what is sent is read back as it was.
use bgp_wire::{
    Aggregator, Asn, AttributeBlock, AttributeCode, AttributeFlags, AttributeSet, Codec, Community,
    ExtendedCommunity, Family, FamilySet, LargeCommunity, NextHop, Nlri, OwnedAttribute, PathAttributes,
    PathId, Reaction, RouterId, Safi, announce, withdraw,
};
use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::build::{attribute, hex, internal};
use crate::families::session;
use crate::round_trip_families::read;

/// Chance in octets: what is not there is zero.
struct Dice<'a>(&'a [u8]);

impl Dice<'_> {
    fn octet(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    fn below(&mut self, end: u8) -> u8 {
        self.octet() % end
    }

    fn octets(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.octet()).collect()
    }

    /// As many octets as hold the bits, those beyond them zero.
    fn bits(&mut self, bits: u8) -> Vec<u8> {
        let mut octets = self.octets(usize::from(bits.div_ceil(8)));
        if let Some(last) = octets.last_mut().filter(|_| !bits.is_multiple_of(8)) {
            *last &= !(0xff >> (bits % 8));
        }
        octets
    }

    /// A count of bits up to so many, and the octets that hold them.
    fn counted(&mut self, most: u8) -> Vec<u8> {
        let bits = self.below(most + 1);
        [vec![bits], self.bits(bits)].concat()
    }
}

/// Octets behind a length of one octet.
fn short(front: &[u8], value: &[u8]) -> Vec<u8> {
    [front, &[u8::try_from(value.len()).unwrap()], value].concat()
}

/// Octets behind a length of two.
fn long(front: &[u8], value: &[u8]) -> Vec<u8> {
    [front, &u16::try_from(value.len()).unwrap().to_be_bytes(), value].concat()
}

/// A prefix with so many octets before it, which the count of bits includes.
fn behind(front: &[u8], prefix: &[u8]) -> Vec<u8> {
    let bits = u8::try_from(front.len() * 8).unwrap() + prefix[0];
    [&[bits], front, &prefix[1..]].concat()
}

fn evpn(dice: &mut Dice<'_>) -> Vec<u8> {
    let address =
        |dice: &mut Dice<'_>| if dice.below(2) == 0 { (32, dice.octets(4)) } else { (128, dice.octets(16)) };
    let kind = 1 + dice.below(9);
    let value = match kind {
        1 => dice.octets(25),
        2 => {
            let (bits, ip) = address(dice);
            [&dice.octets(22)[..], &[48], &dice.octets(6), &[bits], &ip, &dice.octets(3)].concat()
        }
        3 => {
            let (bits, ip) = address(dice);
            [&dice.octets(12)[..], &[bits], &ip].concat()
        }
        4 => {
            let (bits, ip) = address(dice);
            [&dice.octets(18)[..], &[bits], &ip].concat()
        }
        5 => {
            let (bits, width) = if dice.below(2) == 0 { (dice.below(33), 4) } else { (dice.below(129), 16) };
            [&dice.octets(22)[..], &[bits], &dice.octets(width), &dice.octets(width), &dice.octets(3)]
                .concat()
        }
        _ => {
            let len = usize::from(dice.octet());
            dice.octets(len)
        }
    };
    short(&[kind], &value)
}

fn flowspec(dice: &mut Dice<'_>, ipv6: bool, front: usize) -> Vec<u8> {
    let mut value = dice.octets(front);
    for kind in [1, 2] {
        match (dice.below(2), ipv6) {
            (0, _) => {}
            (_, false) => value.extend([vec![kind], dice.counted(32)].concat()),
            (_, true) => {
                let (offset, bits) = (dice.below(60), 1 + dice.below(60));
                value.extend([kind, offset + bits, offset]);
                value.extend(dice.bits(bits));
            }
        }
    }
    // A protocol, and a list of ports in one octet and two.
    value.extend([3, 0x81, dice.octet(), 4, 0x01, dice.octet(), 0x91, dice.octet(), dice.octet()]);
    // Either form of the length, where it may be short.
    if value.len() < 240 && dice.below(2) == 0 {
        return short(&[], &value);
    }
    let mut one = long(&[], &value);
    one[0] |= 0xf0;
    one
}

fn mobile_user_plane(dice: &mut Dice<'_>, address: u8) -> Vec<u8> {
    let kind = 1 + dice.below(5);
    let distinguisher = dice.octets(8);
    let rest = match kind {
        1 => dice.counted(address),
        2 => dice.octets(usize::from(address / 8)),
        3 => [dice.counted(address), dice.octets(9)].concat(),
        // A whole identifier is not 0.
        4 => [&[address + 32][..], &dice.octets(usize::from(address / 8)), &[1], &dice.octets(3)].concat(),
        _ => dice.octets(7),
    };
    short(&[1, 0, kind], &[distinguisher, rest].concat())
}

/// One lawful NLRI of a family that is in the table.
fn nlri(family: Family, octets: &[u8]) -> Vec<u8> {
    let dice = &mut Dice(octets);
    let address: u8 = if family.afi.0 == 2 { 128 } else { 32 };
    match (family.afi.0, family.safi.0) {
        (1 | 2, 1 | 2) => dice.counted(address),
        (1 | 2, 4) => {
            let label = [dice.octet(), dice.octet(), dice.octet() | 1];
            behind(&label, &dice.counted(address))
        }
        (1 | 2, 76 | 128) => {
            let label = [dice.octet(), dice.octet(), dice.octet() | 1];
            behind(&[&label[..], &dice.octets(8)].concat(), &dice.counted(address))
        }
        (1 | 2, 129) => behind(&dice.octets(8), &dice.counted(address)),
        (1, 132) => {
            let bits = if dice.below(4) == 0 { 0 } else { 32 + dice.below(65) };
            [vec![bits], dice.bits(bits)].concat()
        }
        (1 | 2, 5 | 78) | (25, 8) => {
            let len = usize::from(dice.octet());
            short(&[dice.octet()], &dice.octets(len))
        }
        (25, 6) | (1 | 2, 7) | (1, 66) => dice.counted(254),
        (31, 9) => long(&dice.octets(2), &dice.octets(300)),
        (25, 65) => {
            let len = [12, 15, 17, 22, 24][usize::from(dice.below(5))];
            long(&[], &dice.octets(len))
        }
        (25, 70) => evpn(dice),
        // Protocol, identifier, and a local node of one AS; or of a type that nobody knows.
        (16388, 71 | 72 | 80) => {
            let front = dice.octets(if family.safi.0 == 72 { 8 } else { 0 });
            if dice.below(2) == 0 {
                let node = long(&[1, 0], &long(&[2, 0], &dice.octets(4)));
                return long(&[0, 1], &[&front[..], &[2], &dice.octets(8), &node].concat());
            }
            long(&[0xfe, 1], &[front, dice.octets(20)].concat())
        }
        (afi @ (1 | 2), 73) => {
            let bits = if afi == 1 { 96 } else { 192 };
            [vec![bits], dice.octets(usize::from(bits / 8))].concat()
        }
        (1 | 2, safi @ (83 | 84)) => {
            let front = dice.octets(if safi == 84 { 8 } else { 0 });
            let key = [front, dice.counted(address), dice.octets(4)].concat();
            let kind = 1 + dice.below(3);
            let told = dice.octets(5);
            let count = u8::try_from(key.len()).unwrap();
            short(&[], &[&[count, kind][..], &key, &told].concat())
        }
        (1 | 2, 85) => mobile_user_plane(dice, address),
        (1 | 2, safi @ (133 | 134)) => flowspec(dice, family.afi.0 == 2, if safi == 134 { 8 } else { 0 }),
        (6, 133) | (25, 134) => short(&[], &dice.octets(30)),
        _ => panic!("{family}: in the table, but not here"),
    }
}

fn next_hop(family: Family) -> impl Strategy<Value = NextHop> {
    let v6 = any::<[u8; 16]>().prop_map(|mut a| {
        a[0] = 0x20;
        std::net::Ipv6Addr::from(a)
    });
    let link_local = any::<[u8; 8]>().prop_map(|low| {
        let mut a = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        a[8..].copy_from_slice(&low);
        std::net::Ipv6Addr::from(a)
    });
    let v4 = any::<[u8; 3]>().prop_map(|[a, b, c]| NextHop::V4([10, a, b, c].into()));
    let pair = (v6.clone(), link_local).prop_map(|(a, l)| NextHop::V6WithLinkLocal(a, l));
    let weight = u32::from(family.afi.0 != 2);
    // A weight of 0 is never drawn.
    prop_oneof![weight => v4, 2 => v6.prop_map(NextHop::V6), 2 => pair]
}

fn routes() -> impl Strategy<Value = (Family, NextHop, Vec<(PathId, Vec<u8>)>)> {
    select(Family::KNOWN).prop_flat_map(|family| {
        let one = vec(any::<u8>(), 0..400).prop_map(move |octets| nlri(family, &octets));
        (Just(family), next_hop(family), vec((any::<u32>().prop_map(PathId), one), 1..40))
    })
}

/// Of a segment routing policy, what it cannot do without (RFC 9830 §4.2.1).
fn needed(family: Family) -> PathAttributes {
    if family.safi != Safi::SR_POLICY {
        return PathAttributes::default();
    }
    let tunnels = OwnedAttribute {
        flags: AttributeFlags(0xc0),
        code: AttributeCode::TUNNEL_ENCAPSULATION,
        value: hex("000f 0000"),
    };
    PathAttributes {
        communities: vec![Community(0xffff_ff02)],
        other: vec![tunnels],
        ..PathAttributes::default()
    }
}

type Told = Vec<(PathId, Vec<u8>, Vec<u8>)>;

/// Announces, reads, withdraws and reads: `(path, octets, key)` each.
fn there_and_back(
    codec: &Codec,
    family: Family,
    next_hop: &NextHop,
    all: &[(PathId, Nlri<'_>)],
) -> [Told; 2] {
    let (mut block, mut out) = (vec![], BytesMut::new());
    needed(family).encode_block(&mut block).unwrap();
    let packed = announce(&mut out, codec, family, next_hop, &block, all.iter().copied());
    assert_eq!((packed.routes, packed.refused), (all.len(), 0), "{family} {next_hop}");
    let told = read(codec, out, |view, each| {
        for reach in view.reach() {
            assert_eq!(reach.next_hop, *next_hop, "{family}");
            each(&reach.nlri);
        }
    });
    let mut out = BytesMut::new();
    assert_eq!(withdraw(&mut out, codec, family, all.iter().copied()).routes, all.len());
    [told, read(codec, out, |view, each| view.unreach().for_each(|block| each(&block)))]
}

/// The values of attributes that are passed on as octets, one of each type at most.
fn passed_on() -> impl Strategy<Value = Vec<OwnedAttribute>> {
    let tlvs = || vec((any::<u8>(), vec(any::<u8>(), 0..20)), 1..5);
    let aigp = (0..u64::MAX, vec(any::<u8>(), 0..9)).prop_map(|(metric, more)| {
        let tlv = [&[9, 0, 3 + u8::try_from(more.len()).unwrap()], &more[..]].concat();
        [&[1, 0, 11][..], &metric.to_be_bytes(), &tlv].concat()
    });
    let v6_communities = vec(any::<[u8; 20]>(), 1..15).prop_map(|all| all.concat());
    let pmsi = (any::<[u8; 4]>(), select(&[4usize, 16][..]), any::<[u8; 16]>())
        .prop_map(|([flags, a, b, c], len, id)| [&[flags, 6, a, b, c], &id[..len]].concat());
    let tunnels = vec((any::<u16>(), tlvs()), 1..4).prop_map(|tunnels| {
        let sub = |(kind, value): &(u8, Vec<u8>)| {
            if *kind < 128 { short(&[*kind], value) } else { long(&[*kind], value) }
        };
        let one = |(kind, subs): &(u16, Vec<_>)| {
            long(&kind.to_be_bytes(), &subs.iter().map(sub).collect::<Vec<_>>().concat())
        };
        tunnels.iter().map(one).collect::<Vec<_>>().concat()
    });
    let prefix_sid = (any::<[u8; 7]>(), tlvs()).prop_map(|(index, more)| {
        let more: Vec<_> = more.iter().map(|(kind, value)| long(&[kind | 8], value)).collect();
        [long(&[1], &index), more.concat()].concat()
    });
    let link_state =
        tlvs().prop_map(|all| all.iter().map(|(kind, v)| long(&[4, *kind], v)).collect::<Vec<_>>().concat());
    let attr_set = (1..u32::MAX, any::<[u8; 4]>()).prop_map(|(asn, pref)| {
        [
            &asn.to_be_bytes()[..],
            &attribute(0x40, 1, &[0]),
            &attribute(0x40, 2, &[]),
            &attribute(0x40, 5, &pref),
        ]
        .concat()
    });
    let values = (v6_communities, pmsi, tunnels, prefix_sid, attr_set, aigp, link_state);
    (values, any::<[bool; 7]>(), any::<[bool; 7]>()).prop_map(|(values, there, partial)| {
        let (v6_communities, pmsi, tunnels, prefix_sid, attr_set, aigp, link_state) = values;
        let all = [
            (0xc0, 22, pmsi),
            (0xc0, 23, tunnels),
            (0xc0, 25, v6_communities),
            (0x80, 26, aigp),
            (0x80, 29, link_state),
            (0xc0, 40, prefix_sid),
            (0xc0, 128, attr_set),
        ];
        let some = all.into_iter().zip(there).zip(partial).filter(|((_, there), _)| *there);
        some.map(|(((flags, code, value), _), partial)| {
            let partial = if partial && flags == 0xc0 { 0x20 } else { 0 };
            OwnedAttribute { flags: AttributeFlags(flags | partial), code: AttributeCode(code), value }
        })
        .collect()
    })
}

/// The typed attributes that may have the Partial bit.
const MAY_BE_PARTIAL: [AttributeCode; 5] = [
    AttributeCode::AGGREGATOR,
    AttributeCode::COMMUNITIES,
    AttributeCode::EXTENDED_COMMUNITIES,
    AttributeCode::LARGE_COMMUNITIES,
    AttributeCode::ONLY_TO_CUSTOMER,
];

#[test]
fn every_family_of_the_table_has_its_nlri_here() {
    for family in Family::KNOWN {
        for chance in 0..=255u8 {
            let octets: Vec<u8> = (0..=255u8).map(|n| n.wrapping_mul(chance).wrapping_add(chance)).collect();
            let octets = nlri(*family, &octets);
            assert!(Nlri::parse(*family, true, &octets).is_some(), "{family} {octets:02x?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn routes_of_every_family_are_read_as_they_were_sent((family, next_hop, routes) in routes(), add_path: bool) {
        let families = FamilySet::of(&[family]);
        let paths = if add_path { families } else { FamilySet::empty() };
        let codec = Codec {
            add_path_rx: paths,
            add_path_tx: paths,
            extended_next_hop: if family.afi.0 == 1 { families } else { FamilySet::empty() },
            ..session(family)
        };
        let all: Vec<_> = routes.iter().map(|(id, octets)| (*id, Nlri::parse(family, false, octets).unwrap())).collect();
        let [told, taken_back] = there_and_back(&codec, family, &next_hop, &all);
        prop_assert_eq!(told.len(), routes.len());
        for (((id, octets), read), gone) in routes.iter().zip(&told).zip(&taken_back) {
            let id = if add_path { *id } else { PathId(0) };
            prop_assert_eq!((id, octets), (read.0, &read.1), "{}", family);
            prop_assert_eq!((id, &read.2), (gone.0, &gone.2), "{}", family);
        }
    }

    #[test]
    fn every_attribute_is_read_as_it_was_sent(
        other in passed_on(),
        partial in any::<[bool; 5]>(),
        lists in (vec(any::<u32>(), 1..4), vec(any::<[u8; 8]>(), 1..4), any::<[u32; 3]>()),
    ) {
        let (communities, extended, [global, local1, local2]) = lists;
        let mut set = AttributeSet::default();
        MAY_BE_PARTIAL.iter().zip(partial).filter(|(_, yes)| *yes).for_each(|(code, _)| set.insert(*code));
        let attributes = PathAttributes {
            aggregator: Some(Aggregator { asn: Asn(70_000), router_id: RouterId(1) }),
            communities: communities.into_iter().map(Community).collect(),
            extended_communities: extended.into_iter().map(ExtendedCommunity).collect(),
            large_communities: vec![LargeCommunity { global, local1, local2 }],
            only_to_customer: Some(Asn(9)),
            other,
            partial: set,
            ..PathAttributes::default()
        };
        let mut block = vec![];
        attributes.encode_block(&mut block).unwrap();
        let back = PathAttributes::from_block(AttributeBlock::parse(&block).unwrap());
        for code in MAY_BE_PARTIAL {
            prop_assert_eq!(back.partial.contains(code), set.contains(code));
        }
        prop_assert_eq!(&PathAttributes { partial: back.partial, ..attributes }, &back);
        // And over the wire.
        let (mut out, net) = (BytesMut::new(), "192.0.2.0/24".parse::<ipnet::Ipv4Net>().unwrap());
        let hop = NextHop::V4([10, 0, 0, 1].into());
        let codec = internal();
        prop_assert_eq!(announce(&mut out, &codec, Family::IPV4_UNICAST, &hop, &block, [(PathId(0), net)]).routes, 1);
        let view = codec.decode_update(&out).unwrap();
        prop_assert_eq!(view.outcome(), Reaction::Accept, "{:?}", view.faults().collect::<Vec<_>>());
        let mut again = vec![];
        view.canonical_attributes(&mut again);
        prop_assert_eq!(again, block);
    }
}
