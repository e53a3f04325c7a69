//! Prefix sets beside a naive scan.

use bgp_rib::policy::{BadLengths, PrefixRange, PrefixSet};
use ipnet::IpNet;
use proptest::prelude::*;

use crate::support::net;

#[test]
fn equal_or_longer_and_ranges_of_lengths() {
    let ten = net("10.0.0.0/8");
    let equal = PrefixSet::equal(&[ten]);
    assert!(
        equal.contains(&ten) && !equal.contains(&net("10.0.0.0/9")) && !equal.contains(&net("11.0.0.0/8"))
    );
    let longer = PrefixSet::or_longer(&[ten]);
    assert!(
        longer.contains(&ten) && longer.contains(&net("10.1.2.3/32")) && !longer.contains(&net("0.0.0.0/0"))
    );
    let range = PrefixSet::from(PrefixRange::lengths(ten, 24..=26).unwrap());
    assert!(range.contains(&net("10.1.0.0/24")) && range.contains(&net("10.1.0.0/26")));
    assert!(!range.contains(&ten) && !range.contains(&net("10.1.0.0/27")));
    assert!(!longer.contains(&net("a00::/8")), "the other family has the same bits");
}

#[test]
fn lengths_that_no_prefix_of_the_network_can_have() {
    let ten = net("10.0.0.0/8");
    for (min, max) in [(7, 9), (9, 8), (8, 33)] {
        assert_eq!(PrefixRange::lengths(ten, min..=max), Err(BadLengths { net: ten, min, max }));
    }
    assert!(PrefixRange::lengths(net("2001:db8::/32"), 64..=128).is_ok());
}

#[test]
fn sets_are_equal_by_content() {
    let nets: Vec<IpNet> = (0..100u8).map(|i| net(&format!("10.{i}.0.0/16"))).collect();
    let reversed: Vec<IpNet> = nets.iter().rev().chain(&nets).copied().collect();
    assert_eq!(PrefixSet::equal(&nets), PrefixSet::equal(&reversed));
    assert_ne!(PrefixSet::equal(&nets), PrefixSet::or_longer(&nets));
    let split =
        [PrefixRange::lengths(nets[0], 16..=20).unwrap(), PrefixRange::lengths(nets[0], 21..=32).unwrap()];
    assert_eq!(split.into_iter().collect::<PrefixSet>(), PrefixSet::or_longer(&nets[..1]));
}

#[test]
fn host_bits_do_not_count() {
    assert_eq!(PrefixSet::equal(&[net("10.1.2.3/8")]), PrefixSet::equal(&[net("10.0.0.0/8")]));
}

/// Few bits, so that networks lie in each other.
fn any_net() -> impl Strategy<Value = IpNet> {
    prop_oneof![
        (0u32..16, 0u8..=32).prop_map(|(bits, len)| ipnet::Ipv4Net::new(
            (bits << 28 | bits << 8).into(),
            len
        )
        .unwrap()
        .trunc()
        .into()),
        (0u128..16, 0u8..=128).prop_map(|(bits, len)| {
            ipnet::Ipv6Net::new((bits << 124 | bits << 60 | bits).into(), len).unwrap().trunc().into()
        }),
    ]
}

fn any_range() -> impl Strategy<Value = (IpNet, u8, u8)> {
    (any_net(), any::<u8>(), any::<u8>()).prop_map(|(net, a, b)| {
        let room = u16::from(net.max_prefix_len() - net.prefix_len()) + 1;
        let at = |x: u8| net.prefix_len() + u8::try_from(u16::from(x) % room).unwrap();
        (net, at(a).min(at(b)), at(a).max(at(b)))
    })
}

proptest! {
    #[test]
    fn a_set_agrees_with_a_scan(
        ranges in prop::collection::vec(any_range(), 0..40),
        probes in prop::collection::vec(any_net(), 1..40),
    ) {
        let set: PrefixSet =
            ranges.iter().map(|&(net, min, max)| PrefixRange::lengths(net, min..=max).unwrap()).collect();
        for probe in probes {
            let naive = ranges.iter().any(|(net, min, max)| {
                net.contains(&probe) && (*min..=*max).contains(&probe.prefix_len())
            });
            prop_assert_eq!(set.contains(&probe), naive, "{} in {:?}", probe, set);
            let naive = ranges.iter().any(|(net, ..)| net.contains(&probe.addr()));
            prop_assert_eq!(set.contains_address(probe.addr()), naive, "{} in {:?}", probe.addr(), set);
        }
    }
}
