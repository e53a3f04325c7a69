//! `[[policy]]` and `[[prefix-set]]`: the shape of rules over routes.

use bgp_speaker::OwnerId;
use bgp_speaker::policy::{Action, CommunityEdit, Condition, Number, Quantifier};
use serde::Deserialize;
use toml::Spanned;

use super::file::DiscardWord;
use super::pattern::{
    AsPathExpression, AsnRange, CommunityMatch, ExtendedCommunityMatch, ExtendedCommunityValue,
    InterfacePattern, Ipv6ExtendedCommunityMatch, Ipv6ExtendedCommunityValue, LargeCommunityMatch,
    LargeCommunityValue, NextHopValue, NumberValue, PrefixMatch, Range,
};
use super::value::{
    Asn, CommunityValue, Family, OriginWord, Outcome, PeerSide, Prefix, SourceWord, Validity, Verdict,
};

/// `[[prefix-set]]`: prefixes under a name, for rules of several policies.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct PrefixSetTable {
    /// What rules call it.
    pub(crate) name: Spanned<String>,
    /// Its prefixes.
    pub(crate) prefixes: Vec<PrefixMatch>,
}

/// `[[policy]]`: rules in order; the first that holds and says accept or reject decides.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct PolicyTable {
    /// What sessions call it.
    pub(crate) name: Spanned<String>,
    /// What becomes of routes that no rule decides on.
    pub(crate) default: Verdict,
    /// The rules.
    #[serde(default)]
    pub(crate) rule: Vec<Spanned<RuleTable>>,
}

/// `[[policy.rule]]`: where everything in `match` holds, everything in `set` is done.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RuleTable {
    /// What explanations call it.
    pub(crate) name: Option<String>,
    /// What must hold; every route when it is missing.
    #[serde(rename = "match", default)]
    pub(crate) when: MatchTable,
    /// What is changed.
    #[serde(default)]
    pub(crate) set: SetTable,
    /// Accept, reject, or go on with the next rule.
    pub(crate) then: Outcome,
}

/// `match`: all that is named must hold; of a list any one, unless the key says otherwise.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct MatchTable {
    family: Option<Vec<Family>>,
    prefix: Option<Vec<PrefixMatch>>,
    /// Names of `[[prefix-set]]`.
    pub(crate) prefix_set: Option<Spanned<Vec<Spanned<String>>>>,
    next_hop: Option<Vec<Prefix>>,
    as_path: Option<Vec<AsPathExpression>>,
    as_path_length: Option<Range>,
    as_path_contains: Option<Vec<AsnRange>>,
    as_path_starts_with: Option<Vec<Asn>>,
    origin_as: Option<Vec<AsnRange>>,
    neighbor_as: Option<Vec<AsnRange>>,
    communities: Option<Vec<CommunityMatch>>,
    all_communities: Option<Vec<CommunityMatch>>,
    no_communities: Option<Vec<CommunityMatch>>,
    large_communities: Option<Vec<LargeCommunityMatch>>,
    all_large_communities: Option<Vec<LargeCommunityMatch>>,
    no_large_communities: Option<Vec<LargeCommunityMatch>>,
    extended_communities: Option<Vec<ExtendedCommunityMatch>>,
    all_extended_communities: Option<Vec<ExtendedCommunityMatch>>,
    no_extended_communities: Option<Vec<ExtendedCommunityMatch>>,
    ipv6_extended_communities: Option<Vec<Ipv6ExtendedCommunityMatch>>,
    all_ipv6_extended_communities: Option<Vec<Ipv6ExtendedCommunityMatch>>,
    no_ipv6_extended_communities: Option<Vec<Ipv6ExtendedCommunityMatch>>,
    /// What kind of source the route came from.
    source: Option<Vec<SourceWord>>,
    /// Whose route of this speaker's own it is: owners by number.
    owner: Option<Vec<u32>>,
    /// The addresses of the peers that it came from.
    from: Option<Vec<Prefix>>,
    /// Whether the session that the policy is attached to is internal.
    peer: Option<PeerSide>,
    local_pref: Option<Range>,
    med: Option<Range>,
    metric: Option<Range>,
    tag: Option<Range>,
    origin: Option<OriginWord>,
    interface: Option<Vec<InterfacePattern>>,
    rpki: Option<Vec<Validity>>,
    /// Whether an aggregate stands for it on this session.
    suppressed: Option<bool>,
    /// None of what this names may hold together.
    pub(crate) not: Option<Box<MatchTable>>,
    /// One of these must hold.
    pub(crate) any: Option<Vec<MatchTable>>,
}

/// `set`: in the order of this list, whatever the order in the file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct SetTable {
    /// LOCAL_PREF = 2147483647 - metric; the number is the metric of a route that has none.
    local_pref_from_metric: Option<u32>,
    local_pref: Option<NumberValue>,
    med: Option<NumberValue>,
    remove_med: Option<bool>,
    aigp: Option<u64>,
    remove_aigp: Option<bool>,
    origin: Option<OriginWord>,
    communities: Option<Vec<CommunityValue>>,
    remove_communities: Option<Vec<CommunityMatch>>,
    add_communities: Option<Vec<CommunityValue>>,
    large_communities: Option<Vec<LargeCommunityValue>>,
    remove_large_communities: Option<Vec<LargeCommunityMatch>>,
    add_large_communities: Option<Vec<LargeCommunityValue>>,
    extended_communities: Option<Vec<ExtendedCommunityValue>>,
    remove_extended_communities: Option<Vec<ExtendedCommunityMatch>>,
    add_extended_communities: Option<Vec<ExtendedCommunityValue>>,
    ipv6_extended_communities: Option<Vec<Ipv6ExtendedCommunityValue>>,
    remove_ipv6_extended_communities: Option<Vec<Ipv6ExtendedCommunityMatch>>,
    add_ipv6_extended_communities: Option<Vec<Ipv6ExtendedCommunityValue>>,
    prepend: Option<Vec<Asn>>,
    prepend_own: Option<u8>,
    next_hop: Option<NextHopValue>,
    /// Metric of the kernel route = 2147483647 - LOCAL_PREF.
    metric_from_local_pref: Option<bool>,
    metric: Option<NumberValue>,
    table: Option<u32>,
    weight: Option<u32>,
    preference: Option<u32>,
    tag: Option<u32>,
    /// The kernel drops packets (RFC 5635).
    discard: Option<DiscardWord>,
}

/// Any one of several, where several were named.
fn any_of(mut conditions: Vec<Condition>) -> Condition {
    match (conditions.pop(), conditions.is_empty()) {
        (Some(only), true) => only,
        (last, _) => Condition::AnyOf(conditions.into_iter().chain(last).collect()),
    }
}

fn values<T: Clone, U: From<T>>(list: &[T]) -> impl Iterator<Item = U> {
    list.iter().cloned().map(U::from)
}

impl MatchTable {
    /// The conditions; `prefix_set` gives the prefixes of a named set.
    pub(super) fn conditions(
        &self,
        prefix_set: &impl Fn(&str) -> Vec<bgp_speaker::policy::PrefixRange>,
    ) -> Vec<Condition> {
        let mut all = Vec::new();
        let mut add = |condition: Option<Condition>| all.extend(condition);
        add(self
            .family
            .as_ref()
            .map(|list| any_of(list.iter().map(|f| Condition::Family(f.code())).collect())));
        let named = self.prefix_set.as_ref().map(Spanned::get_ref);
        if self.prefix.is_some() || named.is_some() {
            let inline = self.prefix.iter().flatten().map(|prefix| prefix.0);
            let named = named.into_iter().flatten().flat_map(|name| prefix_set(name.get_ref()));
            add(Some(Condition::Prefix(inline.chain(named).collect())));
        }
        add(self.next_hop.as_ref().map(|list| Condition::NextHop(networks(list))));
        add(self.as_path.as_ref().map(|list| {
            any_of(list.iter().map(|expression| Condition::AsPathMatches(expression.0.clone())).collect())
        }));
        add(self.as_path_length.map(|range| Condition::AsPathLength(range.0)));
        let asns = |list: &Vec<AsnRange>| list.iter().map(|range| range.0).collect();
        add(self.as_path_contains.as_ref().map(|list| Condition::AsPathContains(asns(list))));
        add(self.as_path_starts_with.as_ref().map(|list| {
            Condition::AsPathStartsWith(list.iter().map(|asn| bgp_speaker::Asn(asn.0)).collect())
        }));
        add(self.origin_as.as_ref().map(|list| Condition::OriginAs(asns(list))));
        add(self.neighbor_as.as_ref().map(|list| Condition::NeighbourAs(asns(list))));
        for (quantifier, plain, large, extended) in [
            (Quantifier::Any, &self.communities, &self.large_communities, &self.extended_communities),
            (
                Quantifier::All,
                &self.all_communities,
                &self.all_large_communities,
                &self.all_extended_communities,
            ),
            (
                Quantifier::None,
                &self.no_communities,
                &self.no_large_communities,
                &self.no_extended_communities,
            ),
        ] {
            let of = |list: &Vec<CommunityMatch>| list.iter().map(|pattern| pattern.0).collect();
            add(plain.as_ref().map(|list| Condition::Communities(quantifier, of(list))));
            let of = |list: &Vec<LargeCommunityMatch>| list.iter().map(|pattern| pattern.0).collect();
            add(large.as_ref().map(|list| Condition::LargeCommunities(quantifier, of(list))));
            let of = |list: &Vec<ExtendedCommunityMatch>| list.iter().map(|pattern| pattern.0).collect();
            add(extended.as_ref().map(|list| Condition::ExtendedCommunities(quantifier, of(list))));
        }
        for (quantifier, list) in [
            (Quantifier::Any, &self.ipv6_extended_communities),
            (Quantifier::All, &self.all_ipv6_extended_communities),
            (Quantifier::None, &self.no_ipv6_extended_communities),
        ] {
            let of = |list: &Vec<Ipv6ExtendedCommunityMatch>| list.iter().map(|pattern| pattern.0).collect();
            add(list.as_ref().map(|list| Condition::Ipv6ExtendedCommunities(quantifier, of(list))));
        }
        add(self.owner.as_ref().map(|list| Condition::Owner(list.iter().copied().map(OwnerId).collect())));
        add(self.source.as_ref().map(|list| Condition::Source(values(list).collect())));
        add(self.from.as_ref().map(|list| Condition::SourcePeer(networks(list))));
        add(self.peer.map(|side| Condition::PeerKind(side.into())));
        add(self.local_pref.map(|range| Condition::LocalPref(range.0)));
        add(self.med.map(|range| Condition::Med(range.0)));
        add(self.metric.map(|range| Condition::Metric(range.0)));
        add(self.tag.map(|range| Condition::Tag(range.0)));
        add(self.origin.map(|origin| Condition::Origin(origin.into())));
        add(self.interface.as_ref().map(|list| {
            any_of(list.iter().map(|pattern| Condition::Interface(pattern.0.clone())).collect())
        }));
        add(self.rpki.as_ref().map(|list| any_of(values(list).map(Condition::Rpki).collect())));
        add(self
            .suppressed
            .map(|is| if is { Condition::Suppressed } else { Condition::Suppressed.negated() }));
        add(self.not.as_ref().map(|inner| Condition::AllOf(inner.conditions(prefix_set)).negated()));
        add(self.any.as_ref().map(|list| {
            Condition::AnyOf(
                list.iter().map(|inner| Condition::AllOf(inner.conditions(prefix_set))).collect(),
            )
        }));
        all
    }

    /// Every name of a prefix set in it, with its place.
    pub(super) fn named_sets(&self) -> Vec<&Spanned<String>> {
        let mut names: Vec<_> = self.prefix_set.iter().flat_map(Spanned::get_ref).collect();
        names.extend(self.not.iter().flat_map(|inner| inner.named_sets()));
        names.extend(self.any.iter().flatten().flat_map(MatchTable::named_sets));
        names
    }
}

fn networks(list: &[Prefix]) -> bgp_speaker::policy::PrefixSet {
    list.iter().map(|prefix| bgp_speaker::policy::PrefixRange::or_longer(prefix.0)).collect()
}

/// A list of a file as an edit of communities of its kind.
fn edit<T: Copy + Into<V>, V, C, P>(
    list: &Option<Vec<T>>,
    edit: fn(Vec<V>) -> CommunityEdit<C, P>,
) -> Option<CommunityEdit<C, P>> {
    list.as_ref().map(|list| edit(list.iter().map(|value| (*value).into()).collect()))
}

impl SetTable {
    /// The actions.
    pub(super) fn actions(&self) -> Vec<Action> {
        let mut all = Vec::new();
        let mut add = |action: Option<Action>| all.extend(action);
        let number =
            |value: &Option<NumberValue>, action: fn(Number) -> Action| value.map(|value| action(value.0));
        add(self.local_pref_from_metric.map(|default| Action::LocalPrefFromMetric { default }));
        add(number(&self.local_pref, Action::LocalPref));
        add(number(&self.med, Action::Med));
        add((self.remove_med == Some(true)).then_some(Action::RemoveMed));
        add(self.aigp.map(Action::Aigp));
        add((self.remove_aigp == Some(true)).then_some(Action::RemoveAigp));
        add(self.origin.map(|origin| Action::Origin(origin.into())));
        add(edit(&self.communities, CommunityEdit::Replace).map(Action::Communities));
        add(edit(&self.remove_communities, CommunityEdit::Remove).map(Action::Communities));
        add(edit(&self.add_communities, CommunityEdit::Add).map(Action::Communities));
        add(edit(&self.large_communities, CommunityEdit::Replace).map(Action::LargeCommunities));
        add(edit(&self.remove_large_communities, CommunityEdit::Remove).map(Action::LargeCommunities));
        add(edit(&self.add_large_communities, CommunityEdit::Add).map(Action::LargeCommunities));
        add(edit(&self.extended_communities, CommunityEdit::Replace).map(Action::ExtendedCommunities));
        add(edit(&self.remove_extended_communities, CommunityEdit::Remove).map(Action::ExtendedCommunities));
        add(edit(&self.add_extended_communities, CommunityEdit::Add).map(Action::ExtendedCommunities));
        let ipv6 = Action::Ipv6ExtendedCommunities;
        add(edit(&self.ipv6_extended_communities, CommunityEdit::Replace).map(ipv6));
        add(edit(&self.remove_ipv6_extended_communities, CommunityEdit::Remove).map(ipv6));
        add(edit(&self.add_ipv6_extended_communities, CommunityEdit::Add).map(ipv6));
        add(self
            .prepend
            .as_ref()
            .map(|list| Action::Prepend(list.iter().map(|asn| bgp_speaker::Asn(asn.0)).collect())));
        add(self.prepend_own.map(Action::PrependOwn));
        add(self.next_hop.map(|next_hop| Action::NextHop(next_hop.0)));
        add((self.metric_from_local_pref == Some(true)).then_some(Action::MetricFromLocalPref));
        add(number(&self.metric, Action::Metric));
        add(self.table.map(Action::Table));
        add(self.weight.map(Action::Weight));
        add(self.preference.map(Action::Preference));
        add(self.tag.map(Action::Tag));
        add(self.discard.map(|word| Action::Discard(word.into())));
        all
    }
}
