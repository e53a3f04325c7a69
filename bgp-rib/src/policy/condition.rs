//! What a rule asks of a route.

use bgp_wire::{
    Asn, Community, ExtendedCommunity, Family, Ipv6ExtendedCommunity, LargeCommunity, Origin, PeerKind,
};

use super::as_path_pattern::AsPathPattern;
use super::community::{
    CommunityPattern, ExtendedCommunityPattern, Ipv6ExtendedCommunityPattern, LargeCommunityPattern,
    Quantifier,
};
use super::glob::Glob;
use super::prefix_set::PrefixSet;
use super::route::{RouteSource, RpkiState, SourceKind};
use super::span::{AsnSet, Span};
use super::working::Working;
use crate::OwnerId;

/// A question about a route. What a route does not have fits no value, and so [`Condition::Not`] of that value.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Condition {
    /// It is of this family.
    Family(Family),
    /// Its prefix is in the set.
    Prefix(PrefixSet),
    /// Its next hop lies inside a network of the set, as received.
    NextHop(PrefixSet),
    /// Its AS_PATH is so long: a set counts one, a confederation segment none (RFC 4271 §9.1.2.2 (a)).
    AsPathLength(Span),
    /// The AS that originated it (RFC 6811 §2).
    OriginAs(AsnSet),
    /// The AS that it was learned from, the first of its path (RFC 4271 §9.1.2.2 (c)).
    NeighbourAs(AsnSet),
    /// Some AS of its path is in the set.
    AsPathContains(AsnSet),
    /// Its path begins with this list, in this order.
    AsPathStartsWith(Vec<Asn>),
    /// Its path fits the expression.
    AsPathMatches(AsPathPattern),
    /// Any, all or none of these among its COMMUNITIES.
    Communities(Quantifier, Vec<CommunityPattern>),
    /// Any, all or none of these among its EXTENDED_COMMUNITIES.
    ExtendedCommunities(Quantifier, Vec<ExtendedCommunityPattern>),
    /// Any, all or none of these among its IPv6 extended communities (RFC 5701).
    Ipv6ExtendedCommunities(Quantifier, Vec<Ipv6ExtendedCommunityPattern>),
    /// Any, all or none of these among its LARGE_COMMUNITIES.
    LargeCommunities(Quantifier, Vec<LargeCommunityPattern>),
    /// It came from a source of one of these kinds.
    Source(Vec<SourceKind>),
    /// It came from a peer whose address lies inside a network of the set.
    SourcePeer(PrefixSet),
    /// It was originated here by one of these owners.
    Owner(Vec<OwnerId>),
    /// The session that the policy is attached to is internal or external.
    PeerKind(PeerKind),
    /// LOCAL_PREF; 100 where it has none.
    LocalPref(Span),
    /// MULTI_EXIT_DISC.
    Med(Span),
    /// The metric that it has outside BGP, or that a rule gave it.
    Metric(Span),
    /// The tag that its originator gave it, or a rule.
    Tag(Span),
    /// ORIGIN.
    Origin(Origin),
    /// The interface that it leaves by: that of a route of this speaker's own, as its originator says, or that of the way to its
    /// next hop, as received, where somebody tells it ([`Input::NextHopInterface`](crate::Input::NextHopInterface)).
    Interface(Glob),
    /// An aggregate stands for it. An export policy that asks this decides about suppression itself: what it accepts goes.
    Suppressed,
    /// What origin validation made of it.
    Rpki(RpkiState),
    /// The other does not hold.
    Not(Box<Condition>),
    /// At least one of these holds.
    AnyOf(Vec<Condition>),
    /// All of these hold.
    AllOf(Vec<Condition>),
}

impl Condition {
    /// The opposite.
    #[must_use]
    pub fn negated(self) -> Self {
        Self::Not(Box::new(self))
    }

    /// Whether the answer may differ between prefixes with the same attributes from the same source.
    pub(crate) fn asks_for_prefix(&self) -> bool {
        match self {
            // Metric, tag, interface and validity are facts about one route, as the caller keeps them.
            Self::Prefix(_)
            | Self::Metric(_)
            | Self::Tag(_)
            | Self::Interface(_)
            | Self::Suppressed
            | Self::Rpki(_)
            | Self::Owner(_) => true,
            Self::Not(condition) => condition.asks_for_prefix(),
            Self::AnyOf(conditions) | Self::AllOf(conditions) => conditions.iter().any(Self::asks_for_prefix),
            _ => false,
        }
    }

    /// Whether it, or some part of it, is like this.
    pub(crate) fn mentions(&self, like: fn(&Self) -> bool) -> bool {
        like(self)
            || match self {
                Self::Not(condition) => condition.mentions(like),
                Self::AnyOf(conditions) | Self::AllOf(conditions) => {
                    conditions.iter().any(|condition| condition.mentions(like))
                }
                _ => false,
            }
    }

    /// Recursion is bounded: compiling refuses what is nested too deeply.
    pub(crate) fn holds(&self, route: &Working<'_>) -> bool {
        match self {
            Self::Family(family) => route.route.family == *family,
            Self::Prefix(set) => route.route.prefix.is_some_and(|prefix| set.contains(&prefix)),
            Self::NextHop(set) => route.route.next_hop.is_some_and(|hop| set.contains_address(hop.address())),
            Self::AsPathLength(span) => span.contains(route.as_path().length()),
            Self::OriginAs(set) => route.as_path().origin().is_some_and(|asn| set.contains(asn)),
            Self::NeighbourAs(set) => route.as_path().neighbour().is_some_and(|asn| set.contains(asn)),
            Self::AsPathContains(set) => route.as_path().contains(set),
            Self::AsPathStartsWith(list) => route.as_path().starts_with(list),
            Self::AsPathMatches(pattern) => pattern.matches(route.as_path()),
            Self::Communities(how, patterns) => how.holds(patterns, |pattern: &CommunityPattern| {
                route.has(|community: Community| pattern.matches(community))
            }),
            Self::ExtendedCommunities(how, patterns) => {
                how.holds(patterns, |pattern: &ExtendedCommunityPattern| {
                    route.has(|community: ExtendedCommunity| pattern.matches(community))
                })
            }
            Self::Ipv6ExtendedCommunities(how, patterns) => {
                how.holds(patterns, |pattern: &Ipv6ExtendedCommunityPattern| {
                    route.has(|community: Ipv6ExtendedCommunity| pattern.matches(community))
                })
            }
            Self::LargeCommunities(how, patterns) => {
                how.holds(patterns, |pattern: &LargeCommunityPattern| {
                    route.has(|community: LargeCommunity| pattern.matches(community))
                })
            }
            Self::Source(kinds) => kinds.iter().any(|kind| kind.is_of(route.route.source)),
            Self::SourcePeer(set) => match route.route.source {
                RouteSource::Peer { address, .. } => set.contains_address(address),
                RouteSource::Local(_) => false,
            },
            Self::Owner(owners) => match route.route.source {
                RouteSource::Local(owner) => owners.contains(&owner),
                RouteSource::Peer { .. } => false,
            },
            Self::PeerKind(kind) => route.route.peer == *kind,
            Self::LocalPref(span) => span.contains(route.local_pref()),
            Self::Med(span) => route.med().is_some_and(|med| span.contains(med)),
            Self::Metric(span) => route.metric().is_some_and(|metric| span.contains(metric)),
            Self::Tag(span) => span.contains(route.tag()),
            Self::Origin(origin) => route.origin() == *origin,
            Self::Interface(glob) => route.route.interface.is_some_and(|name| glob.matches(name)),
            Self::Suppressed => route.route.suppressed,
            Self::Rpki(state) => route.route.rpki == *state,
            Self::Not(condition) => !condition.holds(route),
            Self::AnyOf(conditions) => conditions.iter().any(|condition| condition.holds(route)),
            Self::AllOf(conditions) => conditions.iter().all(|condition| condition.holds(route)),
        }
    }
}
