//! What a rule does to a route.

use bgp_wire::{Asn, Community, Edit, ExtendedCommunity, Ipv6ExtendedCommunity, LargeCommunity, Origin};

use super::community::{
    CommunityPattern, ExtendedCommunityPattern, Ipv6ExtendedCommunityPattern, LargeCommunityPattern,
};
use super::edits::{Discard, SetNextHop};
use super::working::{CommunityKind, Working, local_pref_of_metric, metric_of_local_pref};

/// How a number changes; sums and differences stop at the ends of the range.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Number {
    /// To this.
    Set(u32),
    /// More by this.
    Add(u32),
    /// Less by this.
    Sub(u32),
}

impl Number {
    const fn of(self, value: u32) -> u32 {
        match self {
            Self::Set(new) => new,
            Self::Add(more) => value.saturating_add(more),
            Self::Sub(less) => value.saturating_sub(less),
        }
    }
}

/// How the communities of one kind change.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum CommunityEdit<C, P> {
    /// These too, each at most once.
    Add(Vec<C>),
    /// None that fits one of these patterns.
    Remove(Vec<P>),
    /// These instead of all there are; an empty list removes the attribute.
    Replace(Vec<C>),
}

/// A change to a route. Later rules and actions see it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Action {
    /// LOCAL_PREF; a route without one has 100. External peers never see it (RFC 4271 §5.1.5).
    LocalPref(Number),
    /// MULTI_EXIT_DISC; a route without one has 0. One that is set here goes to external peers too.
    Med(Number),
    /// No MULTI_EXIT_DISC.
    RemoveMed,
    /// AIGP of this value (AIGP_ORIGINATE, RFC 7311 §3.4.1); it goes to sessions with [`PeerParams::aigp`] alone.
    ///
    /// [`PeerParams::aigp`]: crate::PeerParams::aigp
    Aigp(u64),
    /// No AIGP.
    RemoveAigp,
    /// ORIGIN.
    Origin(Origin),
    /// COMMUNITIES.
    Communities(CommunityEdit<Community, CommunityPattern>),
    /// EXTENDED_COMMUNITIES.
    ExtendedCommunities(CommunityEdit<ExtendedCommunity, ExtendedCommunityPattern>),
    /// IPv6 extended communities (RFC 5701).
    Ipv6ExtendedCommunities(CommunityEdit<Ipv6ExtendedCommunity, Ipv6ExtendedCommunityPattern>),
    /// LARGE_COMMUNITIES.
    LargeCommunities(CommunityEdit<LargeCommunity, LargeCommunityPattern>),
    /// These AS numbers in front of AS_PATH, the first of the list foremost.
    Prepend(Vec<Asn>),
    /// This speaker's own AS in front of AS_PATH, so many times; beside what external sessions prepend anyway.
    PrependOwn(u8),
    /// The next hop.
    NextHop(SetNextHop),
    /// The metric for the kernel; a route without one has 0.
    Metric(Number),
    /// LOCAL_PREF = 2147483647 − metric; a route without a metric gets this one first.
    LocalPrefFromMetric {
        /// The metric of a route that has none.
        default: u32,
    },
    /// Metric for the kernel = 2147483647 − LOCAL_PREF; a route without LOCAL_PREF has 100.
    MetricFromLocalPref,
    /// Routing table for the kernel.
    Table(u32),
    /// Weight among the next hops of a multipath route.
    Weight(u32),
    /// Preference over routes of other sources, in an import policy: the decision looks at it before LOCAL_PREF, and peers
    /// never see it. Without it a route has that of its source ([`preference`](crate::preference)).
    Preference(u32),
    /// Tag.
    Tag(u32),
    /// The kernel drops packets to the prefix (remotely triggered blackholing, RFC 5635).
    Discard(Discard),
}

impl Action {
    /// Whether the outcome may differ between prefixes with the same attributes from the same source.
    pub(crate) const fn asks_for_prefix(&self) -> bool {
        matches!(self, Self::LocalPrefFromMetric { .. } | Self::Metric(Number::Add(_) | Number::Sub(_)))
    }

    pub(crate) fn apply(&self, route: &mut Working<'_>) {
        match self {
            Self::LocalPref(number) => {
                let value = number.of(route.local_pref());
                route.edit().local_pref = Some(value);
            }
            Self::Med(number) => {
                let value = number.of(route.med().unwrap_or(0));
                route.edit().med = Edit::Set(value);
            }
            Self::RemoveMed => {
                let there = route.route.attributes.med().is_some();
                route.edit().med = if there { Edit::Remove } else { Edit::Keep };
            }
            Self::Aigp(metric) => route.edit().aigp = Edit::Set(*metric),
            Self::RemoveAigp => {
                let there = route.route.attributes.aigp().is_some();
                route.edit().aigp = if there { Edit::Remove } else { Edit::Keep };
            }
            Self::Origin(origin) => route.edit().origin = Some(*origin),
            Self::Communities(edit) => change(edit, route, CommunityPattern::matches),
            Self::ExtendedCommunities(edit) => change(edit, route, ExtendedCommunityPattern::matches),
            Self::Ipv6ExtendedCommunities(edit) => change(edit, route, Ipv6ExtendedCommunityPattern::matches),
            Self::LargeCommunities(edit) => change(edit, route, LargeCommunityPattern::matches),
            Self::Prepend(asns) => route.prepend(asns.iter().copied()),
            Self::PrependOwn(times) => {
                let own = route.route.local_as;
                // A view that names no AS has none to prepend.
                if own != Asn(0) {
                    route.prepend(core::iter::repeat_n(own, usize::from(*times)));
                }
            }
            Self::NextHop(next_hop) => route.edit().next_hop = Some(*next_hop),
            Self::Metric(number) => {
                let value = number.of(route.metric().unwrap_or(0));
                route.edit().kernel.metric = Some(value);
            }
            Self::LocalPrefFromMetric { default } => {
                let metric = route.metric().unwrap_or(*default);
                let edits = route.edit();
                edits.kernel.metric = Some(metric);
                edits.local_pref = Some(local_pref_of_metric(metric));
            }
            Self::MetricFromLocalPref => {
                let metric = metric_of_local_pref(route.local_pref());
                route.edit().kernel.metric = Some(metric);
            }
            Self::Table(table) => route.edit().kernel.table = Some(*table),
            Self::Weight(weight) => route.edit().kernel.weight = Some(*weight),
            Self::Preference(preference) => route.edit().kernel.preference = Some(*preference),
            Self::Tag(tag) => route.edit().kernel.tag = Some(*tag),
            Self::Discard(how) => route.edit().kernel.discard = Some(*how),
        }
    }
}

fn change<C: CommunityKind, P>(
    edit: &CommunityEdit<C, P>,
    route: &mut Working<'_>,
    matches: impl Fn(&P, C) -> bool,
) {
    match edit {
        CommunityEdit::Add(new) => {
            for &community in new {
                if !route.has(|other: C| other == community) {
                    route.communities().push(community);
                }
            }
        }
        CommunityEdit::Remove(patterns) => {
            let goes = |community: C| patterns.iter().any(|pattern| matches(pattern, community));
            if route.has(goes) {
                route.communities().retain(|&community| !goes(community));
            }
        }
        CommunityEdit::Replace(new) => {
            let all = route.communities();
            all.clear();
            for &community in new {
                if !all.contains(&community) {
                    all.push(community);
                }
            }
        }
    }
}
