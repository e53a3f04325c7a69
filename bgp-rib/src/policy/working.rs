//! A route on its way through the rules: what was received under what has been changed so far.

use core::hash::Hash;

use bgp_wire::{
    Asn, AttributeBlock, Community, Edit, ExtendedCommunity, Ipv6ExtendedCommunity, LargeCommunity, Origin,
};

use super::as_path::PathSoFar;
use super::edits::Edits;
use super::route::RouteView;
use crate::attributes::DEFAULT_LOCAL_PREF;

/// The metric that stands for no preference at all in the mapping between metric and LOCAL_PREF: the greatest that fits
/// a signed number, as kernels and other speakers keep it.
const METRIC_CEILING: u32 = i32::MAX as u32;

/// The LOCAL_PREF of a metric: lower metrics are preferred, greater LOCAL_PREFs are. Saturates at 0; its own inverse.
#[must_use]
pub const fn local_pref_of_metric(metric: u32) -> u32 {
    METRIC_CEILING.saturating_sub(metric)
}

/// The metric of a LOCAL_PREF: the inverse of [`local_pref_of_metric`].
#[must_use]
pub const fn metric_of_local_pref(local_pref: u32) -> u32 {
    METRIC_CEILING.saturating_sub(local_pref)
}

/// Later rules see what earlier ones changed. Nothing is allocated until something is.
#[derive(Debug)]
pub(crate) struct Working<'a> {
    pub(crate) route: &'a RouteView<'a>,
    edits: Option<Box<Edits>>,
}

impl<'a> Working<'a> {
    pub(crate) const fn new(route: &'a RouteView<'a>) -> Self {
        Self { route, edits: None }
    }

    pub(crate) fn into_edits(self) -> Option<Box<Edits>> {
        self.edits.filter(|edits| !edits.is_empty())
    }

    pub(crate) fn edit(&mut self) -> &mut Edits {
        self.edits.get_or_insert_default()
    }

    /// LOCAL_PREF, or the one that everybody takes where there is none.
    pub(crate) fn local_pref(&self) -> u32 {
        let edited = self.edits.as_ref().and_then(|edits| edits.local_pref);
        edited.or_else(|| self.route.attributes.local_pref()).unwrap_or(DEFAULT_LOCAL_PREF)
    }

    pub(crate) fn med(&self) -> Option<u32> {
        match self.edits.as_ref().map_or(Edit::Keep, |edits| edits.med) {
            Edit::Keep => self.route.attributes.med(),
            Edit::Set(med) => Some(med),
            Edit::SetIfAbsent(med) => self.route.attributes.med().or(Some(med)),
            Edit::Remove => None,
        }
    }

    pub(crate) fn metric(&self) -> Option<u32> {
        self.edits.as_ref().and_then(|edits| edits.kernel.metric).or(self.route.metric)
    }

    pub(crate) fn tag(&self) -> u32 {
        self.edits.as_ref().and_then(|edits| edits.kernel.tag).unwrap_or(self.route.tag)
    }

    pub(crate) fn origin(&self) -> Origin {
        let edited = self.edits.as_ref().and_then(|edits| edits.origin);
        edited.unwrap_or_else(|| self.route.attributes.origin())
    }

    pub(crate) fn as_path(&self) -> PathSoFar<'_> {
        let prepended = self.edits.as_ref().map_or(&[][..], |edits| &edits.prepend);
        PathSoFar { prepended, received: self.route.attributes.as_path() }
    }

    /// Whether a community of this kind passes the test.
    pub(crate) fn has<C: CommunityKind>(&self, test: impl FnMut(C) -> bool) -> bool {
        match self.edits.as_ref().and_then(|edits| C::edited_in(edits)) {
            Some(edited) => edited.iter().copied().any(test),
            None => C::received(self.route.attributes).any(test),
        }
    }

    /// The communities of this kind, to be changed.
    pub(crate) fn communities<C: CommunityKind>(&mut self) -> &mut Vec<C> {
        let received = self.route.attributes;
        C::edit_in(self.edit()).get_or_insert_with(|| C::received(received).collect())
    }

    pub(crate) fn prepend(&mut self, asns: impl IntoIterator<Item = Asn>) {
        self.edit().prepend.splice(0..0, asns);
    }
}

/// What the kinds of communities have in common.
pub(crate) trait CommunityKind: Copy + Eq + Hash {
    fn received<'b>(block: AttributeBlock<'b>) -> impl Iterator<Item = Self> + use<'b, Self>;
    fn edited_in(edits: &Edits) -> Option<&Vec<Self>>;
    fn edit_in(edits: &mut Edits) -> &mut Option<Vec<Self>>;
}

macro_rules! community_kind {
    ($kind:ty, $field:ident) => {
        impl CommunityKind for $kind {
            fn received<'b>(block: AttributeBlock<'b>) -> impl Iterator<Item = Self> + use<'b> {
                block.$field().iter()
            }

            fn edited_in(edits: &Edits) -> Option<&Vec<Self>> {
                edits.$field.as_ref()
            }

            fn edit_in(edits: &mut Edits) -> &mut Option<Vec<Self>> {
                &mut edits.$field
            }
        }
    };
}

community_kind!(Community, communities);
community_kind!(ExtendedCommunity, extended_communities);
community_kind!(Ipv6ExtendedCommunity, ipv6_extended_communities);
community_kind!(LargeCommunity, large_communities);
