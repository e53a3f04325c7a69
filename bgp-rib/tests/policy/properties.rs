//! What holds for every policy and every route.

use std::hash::{BuildHasher, Hasher};

use bgp_rib::policy::{
    Action, AsnSet, CommunityEdit, Condition, Decided, Number, Policy, PolicyConfig, PrefixRange, PrefixSet,
    Quantifier, Rule, SetNextHop, SourceKind, Span, Verdict,
};
use bgp_wire::{AsPath, Asn, Community, Edit, PathAttributes, PathSegment, PeerKind, SegmentKind};
use proptest::prelude::*;

use crate::support::{Route, evaluate, from, net, passed};

fn span() -> impl Strategy<Value = Span> {
    (any::<u32>(), any::<u32>()).prop_map(|(a, b)| Span { low: a.min(b), high: a.max(b) })
}

fn community() -> impl Strategy<Value = Community> {
    (0u16..4, 0u16..4).prop_map(|(high, low)| Community::new(high, low))
}

fn quantifier() -> impl Strategy<Value = Quantifier> {
    prop_oneof![Just(Quantifier::Any), Just(Quantifier::All), Just(Quantifier::None)]
}

fn condition() -> impl Strategy<Value = Condition> {
    let pattern =
        prop::sample::select(vec!["^1", "2$", "^1 .* 2$", "(1 2)+ 3?", "[^1 2]{2}", "^$", "(1*|2)* 3"]);
    let leaf = prop_oneof![
        (0u8..=24).prop_map(|len| Condition::Prefix(PrefixSet::from(
            PrefixRange::lengths(net(&format!("10.0.0.0/{len}")), len..=24).unwrap()
        ))),
        span().prop_map(Condition::LocalPref),
        span().prop_map(Condition::Med),
        (0u32..6).prop_map(|length| Condition::AsPathLength(Span::from(0..=length))),
        (0u32..4).prop_map(|asn| Condition::AsPathContains(AsnSet::from(Asn(asn)))),
        (0u32..4).prop_map(|asn| Condition::OriginAs(AsnSet::from(Asn(asn)))),
        prop::collection::vec((0u32..4).prop_map(Asn), 1..3).prop_map(Condition::AsPathStartsWith),
        pattern.prop_map(|text| Condition::AsPathMatches(text.parse().unwrap())),
        (quantifier(), prop::collection::vec(community().prop_map(Into::into), 1..3))
            .prop_map(|(how, patterns)| Condition::Communities(how, patterns)),
        Just(Condition::Source(SourceKind::PEERS.to_vec())),
        Just(Condition::PeerKind(PeerKind::Internal)),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(Condition::negated),
            prop::collection::vec(inner.clone(), 1..3).prop_map(Condition::AnyOf),
            prop::collection::vec(inner, 1..3).prop_map(Condition::AllOf),
        ]
    })
}

fn action() -> impl Strategy<Value = Action> {
    let number = || {
        prop_oneof![
            any::<u32>().prop_map(Number::Set),
            any::<u32>().prop_map(Number::Add),
            any::<u32>().prop_map(Number::Sub)
        ]
    };
    let list = || prop::collection::vec(community(), 1..4);
    prop_oneof![
        number().prop_map(Action::LocalPref),
        number().prop_map(Action::Med),
        number().prop_map(Action::Metric),
        Just(Action::RemoveMed),
        list().prop_map(|list| Action::Communities(CommunityEdit::Add(list))),
        list().prop_map(|list| Action::Communities(CommunityEdit::Replace(list))),
        list().prop_map(|list| {
            Action::Communities(CommunityEdit::Remove(list.into_iter().map(Into::into).collect()))
        }),
        prop::collection::vec((1u32..4).prop_map(Asn), 1..255).prop_map(Action::Prepend),
        any::<u32>().prop_map(|default| Action::LocalPrefFromMetric { default }),
        Just(Action::MetricFromLocalPref),
        Just(Action::NextHop(SetNextHop::Own)),
        any::<u32>().prop_map(Action::Tag),
    ]
}

fn rule() -> impl Strategy<Value = Rule> {
    let verdict = prop_oneof![Just(None), Just(Some(Verdict::Accept)), Just(Some(Verdict::Reject))];
    (prop::collection::vec(condition(), 0..3), prop::collection::vec(action(), 0..4), verdict).prop_map(
        |(when, then, verdict)| {
            let then = if verdict == Some(Verdict::Reject) { Vec::new() } else { then };
            Rule { when, then, verdict, ..Rule::go_on("r") }
        },
    )
}

fn config() -> impl Strategy<Value = PolicyConfig> {
    let verdict = prop_oneof![Just(Verdict::Accept), Just(Verdict::Reject)];
    (prop::collection::vec(rule(), 0..8), verdict)
        .prop_map(|(rules, default)| PolicyConfig { rules, ..PolicyConfig::new("p", default) })
}

fn route() -> impl Strategy<Value = Route> {
    let path =
        prop::collection::vec((any::<bool>(), prop::collection::vec((1u32..4).prop_map(Asn), 1..4)), 0..3);
    let source = prop_oneof![Just(None), Just(Some(PeerKind::Internal)), Just(Some(PeerKind::External))];
    let numbers = (any::<Option<u32>>(), any::<Option<u32>>(), any::<Option<u32>>());
    (0u8..=32, path, prop::collection::vec(community(), 0..3), source, numbers).prop_map(
        |(len, path, communities, source, (med, local_pref, metric))| {
            let segment = |(set, asns)| PathSegment {
                kind: if set { SegmentKind::Set } else { SegmentKind::Sequence },
                asns,
            };
            let as_path = AsPath { segments: path.into_iter().map(segment).collect() };
            let mut route = Route::own(&format!("10.0.0.0/{len}"));
            route.attributes =
                PathAttributes { as_path, communities, med, local_pref, ..PathAttributes::default() };
            route.source = source.map_or(route.source, from);
            Route { metric, ..route }
        },
    )
}

fn hash(policy: &Policy) -> u64 {
    let mut hasher = foldhash::fast::FixedState::with_seed(7).build_hasher();
    std::hash::Hash::hash(policy, &mut hasher);
    hasher.finish()
}

proptest! {
    #[test]
    fn every_route_gets_an_answer_and_attributes_that_can_be_sent(config in config(), route in route()) {
        let rules = config.rules.len();
        let policy = Policy::compile(config).unwrap();
        let outcome = evaluate(&policy, &route);
        if let Decided::Rule(index) = outcome.decided {
            prop_assert!(usize::from(index) < rules);
        }
        let attributes = passed(&policy, &route);
        prop_assert_eq!(attributes.is_some(), outcome.is_accepted());
        if let (Some(edits), Some(attributes)) = (&outcome.edits, &attributes) {
            prop_assert!(!edits.is_empty());
            prop_assert!(edits.local_pref.is_none() || edits.local_pref == attributes.local_pref);
            prop_assert!(!matches!(edits.med, Edit::Set(med) if attributes.med != Some(med)));
            let before = route.attributes.as_path.segments.iter().map(|segment| segment.asns.len());
            let after = attributes.as_path.segments.iter().map(|segment| segment.asns.len());
            prop_assert_eq!(after.sum::<usize>(), before.sum::<usize>() + edits.prepend.len());
        } else if let Some(attributes) = &attributes {
            prop_assert_eq!(attributes, &route.attributes);
        }
    }

    #[test]
    fn equal_policies_hash_alike_and_decide_alike(config in config(), route in route()) {
        let (one, other) = (Policy::compile(config.clone()).unwrap(), Policy::compile(config).unwrap());
        prop_assert_eq!(&one, &other);
        prop_assert_eq!(hash(&one), hash(&other));
        prop_assert_eq!(evaluate(&one, &route), evaluate(&other, &route));
    }

    #[test]
    fn a_policy_that_does_not_ask_for_prefixes_ignores_them(
        config in config(),
        route in route(),
        other in 0u8..=32,
        metric: Option<u32>,
    ) {
        let policy = Policy::compile(config).unwrap();
        prop_assume!(!policy.asks_for_prefix());
        let moved = Route { prefix: net(&format!("10.0.0.0/{other}")), metric, ..route.clone() };
        prop_assert_eq!(evaluate(&policy, &route), evaluate(&policy, &moved));
    }
}

#[test]
fn a_different_rule_is_a_different_policy() {
    let with = |tag| PolicyConfig::new("p", Verdict::Accept).rule(Rule::go_on("r").then(Action::Tag(tag)));
    let (one, other) = (Policy::compile(with(1)).unwrap(), Policy::compile(with(2)).unwrap());
    assert_ne!(one, other);
    assert_ne!(hash(&one), hash(&other));
    assert_ne!(one, Policy::accept_all());
}
