//! Each condition, on routes that fit and routes that do not.

use bgp_rib::OwnerId;
use bgp_rib::policy::{
    AsnSet, Condition, ExtendedCommunityPattern, PrefixSet, Quantifier, RouteSource, RpkiState, SourceKind,
    Span,
};
use bgp_wire::{
    Asn, Community, ExtendedCommunity, Family, Ipv6ExtendedCommunity, LargeCommunity, Origin, PathSegment,
    PeerKind, SegmentKind,
};

use crate::support::{Route, asns, evaluate, from, holds, net, only};

const P: &str = "192.0.2.0/24";

#[test]
fn family_and_prefix() {
    assert!(holds(Condition::Family(Family::IPV6_UNICAST), &Route::own("2001:db8::/64")));
    assert!(!holds(Condition::Family(Family::IPV6_UNICAST), &Route::own(P)));
    let inside = || Condition::Prefix(PrefixSet::or_longer(&[net("192.0.2.0/25")]));
    assert!(holds(inside(), &Route::own("192.0.2.64/26")));
    assert!(!holds(inside(), &Route::own(P)));
    assert!(holds(inside().negated(), &Route::own(P)));
    assert!(holds(inside().negated(), &Route::own("2001:db8::/64")));
}

#[test]
fn a_next_hop_lies_in_a_network_whatever_its_range_of_lengths() {
    let racks = || Condition::NextHop(PrefixSet::equal(&[net("10.0.0.0/24")]));
    assert!(holds(racks(), &Route::internal(P)));
    assert!(!holds(
        Condition::NextHop(PrefixSet::hosts(&["10.0.0.8".parse().unwrap()])),
        &Route::internal(P)
    ));
    assert!(!holds(racks(), &Route::own(P)), "a route without next hop has none to fit");
}

#[test]
fn the_ends_of_an_as_path() {
    let route = Route::external(P, &[65001, 65002, 65003]);
    assert!(holds(Condition::NeighbourAs(AsnSet::from(Asn(65001))), &route));
    assert!(!holds(Condition::NeighbourAs(AsnSet::from(Asn(65003))), &route));
    assert!(holds(Condition::OriginAs(AsnSet::from(65003..=65009)), &route));
    assert!(!holds(Condition::OriginAs(AsnSet::from(Asn(65001))), &route));
    assert!(
        !holds(Condition::OriginAs(AsnSet::from(0..=u32::MAX)), &Route::own(P)),
        "an empty path has no origin"
    );
}

#[test]
fn what_is_in_an_as_path_and_how_long_it_is() {
    let route = Route::external(P, &[65001, 65002, 65002]);
    assert!(holds(Condition::AsPathContains(AsnSet::from(Asn(65002))), &route));
    assert!(!holds(Condition::AsPathContains(AsnSet::from(Asn(65003))), &route));
    assert!(holds(Condition::AsPathLength(Span::exactly(3)), &route));
    assert!(!holds(Condition::AsPathLength(Span::from(0..=2)), &route));
    let set = PathSegment { kind: SegmentKind::Set, asns: asns(&[7, 8, 9]) };
    let aggregated = route.with(|a| a.as_path.segments.push(set));
    assert!(holds(Condition::AsPathLength(Span::exactly(4)), &aggregated));
    assert!(holds(Condition::AsPathContains(AsnSet::from(Asn(8))), &aggregated));
}

#[test]
fn an_as_path_that_starts_with_a_list() {
    let route = Route::external(P, &[65001, 65002, 65003]);
    assert!(holds(Condition::AsPathStartsWith(asns(&[65001, 65002])), &route));
    assert!(!holds(Condition::AsPathStartsWith(asns(&[65002])), &route));
    assert!(!holds(Condition::AsPathStartsWith(asns(&[65001, 65002, 65003, 65004])), &route));
}

#[test]
fn an_expression_over_an_as_path() {
    let route = Route::external(P, &[65001, 65002, 65003]);
    assert!(holds(Condition::AsPathMatches("^65001 .* 65003$".parse().unwrap()), &route));
    assert!(!holds(Condition::AsPathMatches("^65002".parse().unwrap()), &route));
    assert!(holds(Condition::AsPathMatches("^$".parse().unwrap()), &Route::own(P)));
}

#[test]
fn communities_any_all_none_and_wildcards() {
    let route = Route::own(P).with(|a| a.communities = vec![Community::new(65000, 7), Community::NO_EXPORT]);
    let with = |how, patterns: &[&str]| {
        let patterns = patterns.iter().map(|pattern| pattern.parse().unwrap()).collect();
        holds(Condition::Communities(how, patterns), &route)
    };
    use Quantifier::{All, Any, None};
    assert!(with(Any, &["65000:8", "65000:7"]) && !with(Any, &["65000:8"]));
    assert!(with(All, &["65000:7", "no-export"]) && !with(All, &["65000:7", "65000:8"]));
    assert!(with(None, &["65000:8"]) && !with(None, &["65000:8", "65000:7"]));
    assert!(with(Any, &["65000:*"]) && with(Any, &["*:5-7"]) && !with(Any, &["*:8-9"]));
    assert!(!with(Any, &["65001:*"]));
}

#[test]
fn large_communities() {
    let community = LargeCommunity { global: 65000, local1: 1, local2: 2 };
    let route = Route::own(P).with(|a| a.large_communities = vec![community]);
    let with = |pattern: &str| {
        holds(Condition::LargeCommunities(Quantifier::Any, vec![pattern.parse().unwrap()]), &route)
    };
    assert!(with("65000:1:2") && with("65000:*:*") && with("*:0-1:2"));
    assert!(!with("65000:2:1") && !with("65001:*:*"));
}

#[test]
fn extended_communities_by_kind_administrator_and_value() {
    let target = ExtendedCommunity::route_target(65000, 7);
    let route = Route::own(P).with(|a| a.extended_communities = vec![target]);
    let with = |pattern| holds(Condition::ExtendedCommunities(Quantifier::Any, vec![pattern]), &route);
    assert!(with(target.into()) && !with(ExtendedCommunity::route_target(65000, 8).into()));
    assert!(with(ExtendedCommunityPattern::of_kind(0, 2)) && !with(ExtendedCommunityPattern::of_kind(0, 3)));
    assert!(with(ExtendedCommunityPattern::of_administrator(0, 2, 65000)));
    assert!(!with(ExtendedCommunityPattern::of_administrator(0, 2, 65001)));
}

#[test]
fn kinds_of_sources() {
    use SourceKind::{Client, External, Internal, Local};
    let mut client = Route::internal(P);
    client.source =
        RouteSource::Peer { kind: PeerKind::Internal, client: true, address: "10.0.0.7".parse().unwrap() };
    #[rustfmt::skip]
    let rows = [
        (Route::own(P),           [true, false, false, false]),
        (Route::external(P, &[1]), [false, true, false, false]),
        (Route::internal(P),      [false, false, true, false]),
        (client,                  [false, false, true, true]),
    ];
    for (route, expected) in rows {
        for (kind, expected) in [Local, External, Internal, Client].into_iter().zip(expected) {
            assert_eq!(holds(Condition::Source(vec![kind]), &route), expected, "{kind:?} {:?}", route.source);
        }
        let told = route.source != RouteSource::Local(OwnerId(0));
        assert_eq!(holds(Condition::Source(SourceKind::PEERS.to_vec()), &route), told);
    }
}

#[test]
fn who_told_it_and_who_owns_it() {
    let peers = || PrefixSet::or_longer(&[net("10.0.0.0/29")]);
    assert!(!holds(Condition::SourcePeer(peers()), &Route::internal(P)), "10.0.0.9 is outside");
    let mut near = Route::internal(P);
    near.source =
        RouteSource::Peer { kind: PeerKind::External, client: false, address: [10, 0, 0, 7].into() };
    assert!(holds(Condition::SourcePeer(peers()), &near));
    assert!(!holds(Condition::SourcePeer(peers()), &Route::own(P)));
    assert!(holds(Condition::Owner(vec![OwnerId(4), OwnerId(0)]), &Route::own(P)));
    assert!(!holds(Condition::Owner(vec![OwnerId(4)]), &Route::own(P)));
    assert!(!holds(Condition::Owner(vec![OwnerId(0)]), &near));
}

#[test]
fn the_kind_of_the_session_is_not_the_kind_of_the_source() {
    let route = Route { source: from(PeerKind::Internal), ..Route::own(P) }.to(PeerKind::External);
    assert!(holds(Condition::PeerKind(PeerKind::External), &route));
    assert!(!holds(Condition::PeerKind(PeerKind::Internal), &route));
}

#[test]
fn numbers_that_are_absent() {
    let bare = Route::external(P, &[1]);
    assert!(holds(Condition::LocalPref(Span::exactly(100)), &bare), "LOCAL_PREF is 100 where there is none");
    assert!(!holds(Condition::Med(Span::ANY), &bare));
    assert!(holds(Condition::Med(Span::ANY).negated(), &bare));
    assert!(!holds(Condition::Metric(Span::ANY), &bare));
    let full = Route { metric: Some(512), ..bare.with(|a| (a.med, a.local_pref) = (Some(0), Some(200))) };
    assert!(holds(Condition::Med(Span::exactly(0)), &full));
    assert!(holds(Condition::LocalPref(Span::from(150..=200)), &full));
    assert!(holds(Condition::Metric(Span::from(0..=1023)), &full));
}

#[test]
fn origin_interface_tag_and_validity() {
    let mut route = Route::own(P).with(|a| a.origin = Origin::Incomplete);
    assert!(
        holds(Condition::Origin(Origin::Incomplete), &route)
            && !holds(Condition::Origin(Origin::Igp), &route)
    );
    assert!(!holds(Condition::Interface("*".parse().unwrap()), &route), "it leaves by none");
    route.interface = Some("vxlan.calico");
    assert!(holds(Condition::Interface("vxlan*".parse().unwrap()), &route));
    assert!(!holds(Condition::Interface("tunl0".parse().unwrap()), &route));
    let block = route.block();
    let mut view = route.view(&block);
    (view.tag, view.rpki) = (9, RpkiState::Invalid);
    assert!(only(Condition::Tag(Span::exactly(9))).evaluate(&view).is_accepted());
    assert!(only(Condition::Rpki(RpkiState::Invalid)).evaluate(&view).is_accepted());
    assert!(!only(Condition::Rpki(RpkiState::Unknown)).evaluate(&view).is_accepted());
}

#[test]
fn conditions_within_conditions() {
    let small = || Condition::LocalPref(Span::from(0..=99));
    let large = || Condition::LocalPref(Span::from(201..=u32::MAX));
    let route = Route::internal(P);
    assert!(!holds(Condition::AnyOf(vec![small(), large()]), &route));
    assert!(holds(Condition::AllOf(vec![small().negated(), large().negated()]), &route));
    assert!(holds(Condition::AnyOf(vec![small(), large()]).negated(), &route));
    assert!(!evaluate(&only(Condition::AllOf(vec![small(), large().negated()])), &route).is_accepted());
}

#[test]
fn ipv6_extended_communities_any_all_and_none() {
    let of = |last: u16| Ipv6ExtendedCommunity::route_target([0x2001, 0xdb8, 0, 0, 0, 0, 0, last].into(), 7);
    let route = Route::own(P).with(|attributes| attributes.set_ipv6_extended_communities(&[of(1), of(2)]));
    let with = |how, list: &[u16]| {
        let patterns = list.iter().map(|last| of(*last).into()).collect();
        holds(Condition::Ipv6ExtendedCommunities(how, patterns), &route)
    };
    assert!(with(Quantifier::Any, &[3, 1]) && !with(Quantifier::Any, &[3]));
    assert!(with(Quantifier::All, &[1, 2]) && !with(Quantifier::All, &[1, 3]));
    assert!(with(Quantifier::None, &[3]) && !with(Quantifier::None, &[3, 2]));
}
