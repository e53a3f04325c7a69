//! Each action, by the attributes that come out.

use bgp_rib::policy::{
    Action, CommunityEdit, Condition, Discard, Ipv6ExtendedCommunityPattern, KernelTag, Number, Policy,
    PolicyConfig, Quantifier, Rule, SetNextHop, Span, Verdict, local_pref_of_metric, metric_of_local_pref,
};
use bgp_wire::{
    AsPath, Asn, AttributeBlock, Community, ExtendedCommunity, Ipv6ExtendedCommunity, LargeCommunity, Origin,
    PathAttributes, PathSegment, PeerKind, SegmentKind,
};

use crate::support::{Route, asns, compile, evaluate, passed};

const P: &str = "192.0.2.0/24";

fn doing(actions: impl IntoIterator<Item = Action>) -> Policy {
    let rule = actions.into_iter().fold(Rule::accept("rule"), Rule::then);
    compile(PolicyConfig::new("doing", Verdict::Reject).rule(rule))
}

fn after(action: Action, route: &Route) -> PathAttributes {
    passed(&doing([action]), route).unwrap()
}

#[test]
fn local_pref_begins_at_100_and_stops_at_the_ends() {
    let bare = Route::external(P, &[1]);
    assert_eq!(after(Action::LocalPref(Number::Set(7)), &bare).local_pref, Some(7));
    assert_eq!(after(Action::LocalPref(Number::Add(7)), &bare).local_pref, Some(107));
    assert_eq!(after(Action::LocalPref(Number::Sub(101)), &bare).local_pref, Some(0));
    assert_eq!(after(Action::LocalPref(Number::Add(u32::MAX)), &bare).local_pref, Some(u32::MAX));
}

#[test]
fn med_begins_at_0_and_can_go() {
    let with = Route::own(P).with(|a| a.med = Some(10));
    assert_eq!(after(Action::Med(Number::Add(5)), &with).med, Some(15));
    assert_eq!(after(Action::Med(Number::Sub(11)), &with).med, Some(0));
    assert_eq!(after(Action::RemoveMed, &with).med, None);
    assert_eq!(after(Action::Med(Number::Add(5)), &Route::own(P)).med, Some(5));
    let set_and_removed = doing([Action::Med(Number::Set(5)), Action::RemoveMed]);
    assert_eq!(evaluate(&set_and_removed, &Route::own(P)).edits, None);
}

#[test]
fn origin() {
    assert_eq!(after(Action::Origin(Origin::Egp), &Route::own(P)).origin, Origin::Egp);
}

#[test]
fn communities_are_added_once_removed_by_pattern_and_replaced() {
    let (a, b, c) = (Community::new(1, 1), Community::new(1, 2), Community::new(2, 1));
    let route = Route::own(P).with(|attributes| attributes.communities = vec![a, c]);
    let edited = |edit| after(Action::Communities(edit), &route).communities;
    assert_eq!(edited(CommunityEdit::Add(vec![a, b, b])), [a, c, b]);
    assert_eq!(edited(CommunityEdit::Remove(vec!["1:*".parse().unwrap()])), [c]);
    assert_eq!(edited(CommunityEdit::Replace(vec![b])), [b]);
    assert_eq!(edited(CommunityEdit::Replace(vec![])), []);
}

#[test]
fn extended_and_large_communities() {
    let target = ExtendedCommunity::route_target(65000, 7);
    let large = |local2| LargeCommunity { global: 1, local1: 2, local2 };
    let route = Route::own(P).with(|attributes| attributes.large_communities = vec![large(3)]);
    let policy = doing([
        Action::ExtendedCommunities(CommunityEdit::Add(vec![target])),
        Action::LargeCommunities(CommunityEdit::Remove(vec!["*:*:3".parse().unwrap()])),
        Action::LargeCommunities(CommunityEdit::Add(vec![large(4)])),
    ]);
    let attributes = passed(&policy, &route).unwrap();
    assert_eq!(attributes.extended_communities, [target]);
    assert_eq!(attributes.large_communities, [large(4)]);
}

#[test]
fn removing_what_is_not_there_changes_nothing() {
    let remove = CommunityEdit::Remove(vec!["1:*".parse().unwrap()]);
    assert_eq!(evaluate(&doing([Action::Communities(remove)]), &Route::own(P)).edits, None);
}

#[test]
fn a_prepended_list_keeps_its_order() {
    let route = Route::external(P, &[3]);
    let prepended = after(Action::Prepend(asns(&[1, 2])), &route);
    assert_eq!(prepended.as_path, AsPath::sequence(asns(&[1, 2, 3])));
    let own = after(Action::PrependOwn(3), &route);
    assert_eq!(own.as_path, AsPath::sequence(asns(&[65000, 65000, 65000, 3])));
    let twice = doing([Action::Prepend(asns(&[2])), Action::Prepend(asns(&[1]))]);
    assert_eq!(passed(&twice, &route).unwrap().as_path, AsPath::sequence(asns(&[1, 2, 3])));
}

#[test]
fn prepending_to_a_path_that_begins_with_a_set_makes_a_sequence() {
    let set = PathSegment { kind: SegmentKind::Set, asns: asns(&[7, 8]) };
    let route = Route::own(P).with(|attributes| attributes.as_path.segments = vec![set.clone()]);
    let first = PathSegment { kind: SegmentKind::Sequence, asns: asns(&[1]) };
    assert_eq!(after(Action::Prepend(vec![Asn(1)]), &route).as_path.segments, [first, set]);
}

#[test]
fn next_hop_and_what_the_kernel_is_told() {
    let policy = doing([
        Action::NextHop(SetNextHop::Own),
        Action::Metric(Number::Add(10)),
        Action::Table(7),
        Action::Weight(3),
        Action::Preference(200),
        Action::Tag(9),
    ]);
    let route = Route { metric: Some(512), ..Route::own(P) };
    let edits = evaluate(&policy, &route).edits.unwrap();
    assert_eq!(edits.next_hop, Some(SetNextHop::Own));
    let kernel = KernelTag {
        metric: Some(522),
        table: Some(7),
        weight: Some(3),
        preference: Some(200),
        tag: Some(9),
        ..KernelTag::default()
    };
    assert_eq!(edits.kernel, kernel);
    assert!(!edits.changes_attributes());
}

#[test]
fn metric_and_local_pref_are_each_other_s_inverse() {
    for value in [0, 1, 100, 512, 1024, 2_147_483_647] {
        assert_eq!(metric_of_local_pref(local_pref_of_metric(value)), value);
    }
    assert_eq!(local_pref_of_metric(1024), 2_147_482_623);
    assert_eq!(metric_of_local_pref(100), 2_147_483_547);
    assert_eq!(local_pref_of_metric(u32::MAX), 0);
}

#[test]
fn later_rules_see_what_earlier_ones_changed() {
    let mark = Action::Communities(CommunityEdit::Add(vec![Community::new(1, 1)]));
    let marked = Condition::Communities(Quantifier::Any, vec![Community::new(1, 1).into()]);
    let policy = compile(
        PolicyConfig::new("p", Verdict::Accept)
            .rule(Rule::go_on("mark").then(mark).then(Action::Prepend(asns(&[1, 2]))))
            .rule(Rule::go_on("raise").when(marked).then(Action::LocalPref(Number::Set(200))))
            .rule(Rule::go_on("more").when(Condition::LocalPref(Span::exactly(200))).then(Action::Tag(1)))
            .rule(Rule::reject("long").when(Condition::AsPathStartsWith(asns(&[1, 2, 3]))))
            .rule(Rule::reject("unmarked").when(Condition::Tag(Span::exactly(0)))),
    );
    assert_eq!(evaluate(&policy, &Route::external(P, &[3])).verdict, Verdict::Reject);
    let edits = evaluate(&policy, &Route::external(P, &[4])).edits.unwrap();
    assert_eq!((edits.local_pref, edits.kernel.tag), (Some(200), Some(1)));
}

fn ipv6_communities(attributes: &PathAttributes) -> Vec<Ipv6ExtendedCommunity> {
    let mut block = Vec::new();
    attributes.encode_block(&mut block).unwrap();
    AttributeBlock::parse(&block).unwrap().ipv6_extended_communities().iter().collect()
}

#[test]
fn ipv6_extended_communities_are_added_once_removed_by_administrator_and_replaced() {
    let of = |last: u16, value| {
        Ipv6ExtendedCommunity::route_target([0x2001, 0xdb8, 0, 0, 0, 0, 0, last].into(), value)
    };
    let (a, b, c) = (of(1, 1), of(1, 2), of(2, 1));
    let route = Route::own(P).with(|attributes| attributes.set_ipv6_extended_communities(&[a, c]));
    let edited = |edit| ipv6_communities(&after(Action::Ipv6ExtendedCommunities(edit), &route));
    assert_eq!(edited(CommunityEdit::Add(vec![a, b, b])), [a, c, b]);
    let first = Ipv6ExtendedCommunityPattern::of_administrator(0, 2, a.address());
    assert_eq!(edited(CommunityEdit::Remove(vec![first])), [c]);
    assert_eq!(edited(CommunityEdit::Remove(vec![Ipv6ExtendedCommunityPattern::of_kind(0, 3)])), [a, c]);
    assert_eq!(edited(CommunityEdit::Replace(vec![b])), [b]);
    assert_eq!(edited(CommunityEdit::Replace(vec![])), []);
    // What no policy names stays as it came.
    assert_eq!(ipv6_communities(&after(Action::LocalPref(Number::Set(7)), &route)), [a, c]);
}

#[test]
fn a_blackhole_is_dropped_here_and_told_no_further_where_policy_says_so() {
    let marked = Condition::Communities(Quantifier::Any, vec![Community::BLACKHOLE.into()]);
    let rule = Rule::accept("blackhole")
        .when(marked)
        .then(Action::Discard(Discard::Blackhole))
        .then(Action::Communities(CommunityEdit::Add(vec![Community::NO_EXPORT])));
    let policy = compile(PolicyConfig::new("import", Verdict::Accept).rule(rule));
    let route = Route::external(P, &[1]).with(|a| a.communities = vec![Community::BLACKHOLE]);
    let outcome = evaluate(&policy, &route);
    assert_eq!(outcome.edits.unwrap().kernel.discard, Some(Discard::Blackhole));
    assert_eq!(passed(&policy, &route).unwrap().communities, [Community::BLACKHOLE, Community::NO_EXPORT]);
    // Without a policy that asks for it the community is one like others.
    let outcome = evaluate(&Policy::accept_all(), &route);
    assert!(outcome.is_accepted() && outcome.edits.is_none());
}

#[test]
fn a_route_for_no_peer_is_kept_from_external_peers_where_policy_says_so() {
    let marked = Condition::Communities(Quantifier::Any, vec!["no-peer".parse().unwrap()]);
    let rule = Rule::reject("no peer").when(marked).when(Condition::PeerKind(PeerKind::External));
    let asked = compile(PolicyConfig::new("export", Verdict::Accept).rule(rule));
    let route = Route::internal(P).with(|a| a.communities = vec![Community::NO_PEER]);
    for (policy, peer, passes) in [
        (&asked, PeerKind::External, false),
        (&asked, PeerKind::Internal, true),
        (&Policy::accept_all(), PeerKind::External, true),
        (&Policy::accept_all(), PeerKind::Internal, true),
    ] {
        assert_eq!(passed(policy, &route.clone().to(peer)).is_some(), passes, "{peer:?}");
    }
    assert_eq!(Community::NO_PEER.to_string(), "no-peer");
}
