//! The canonical attribute block: what is interned, compared, rewritten and sent.
use core::fmt;

use crate::attributes::{
    Aggregator, AsPathView, AttributeCode, ClusterList, Communities, Context, ExtendedCommunities,
    Ipv6ExtendedCommunities, LargeCommunities, Origin, RawAttribute, RawAttributes, aigp_metric,
    canonical_flags, examine,
};
use crate::parse::front32;
use crate::{Asn, PeerKind, RouterId};

/// Attributes in canonical form, as [`UpdateView::canonical_attributes`](crate::UpdateView::canonical_attributes) and
/// [`PathAttributes::encode_block`](crate::PathAttributes::encode_block) write them: codes ascend, each at most once;
/// no NEXT_HOP, no MP attributes; AS numbers have four octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AttributeBlock<'a>(&'a [u8]);

/// Octets that are no canonical block, or values that make none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotCanonical {
    /// The attribute that is malformed, too long, out of order or not to be in a block; 0 where the octets break off.
    pub attribute: AttributeCode,
}

impl fmt::Display for NotCanonical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.attribute.0 == 0 {
            return f.write_str("no canonical attribute block: the octets break off");
        }
        write!(
            f,
            "no canonical attribute block: {} is malformed, too long, out of order or repeated, or has its place elsewhere",
            self.attribute
        )
    }
}

impl core::error::Error for NotCanonical {}

/// Attributes that travel elsewhere than in the block.
const fn is_elsewhere(code: AttributeCode) -> bool {
    matches!(
        code,
        AttributeCode::NEXT_HOP
            | AttributeCode::MP_REACH_NLRI
            | AttributeCode::MP_UNREACH_NLRI
            | AttributeCode::AS4_PATH
            | AttributeCode::AS4_AGGREGATOR
    )
}

impl<'a> AttributeBlock<'a> {
    /// Checks that the octets are a canonical block: flags and lengths in the one form that they have there, too.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, NotCanonical> {
        let cx =
            Context { peer: PeerKind::Internal, four_octet_as: true, external_aigp: true, same_domain: true };
        let mut raw = RawAttributes::new(bytes);
        let mut last = None;
        for RawAttribute { flags, code, value } in raw.by_ref() {
            let form = flags.0 == canonical_flags(flags.0, code, value.len());
            if last >= Some(code)
                || is_elsewhere(code)
                || !form
                || examine(flags.0, code, value, cx).is_some()
            {
                return Err(NotCanonical { attribute: code });
            }
            last = Some(code);
        }
        if raw.rest().is_empty() {
            Ok(Self(bytes))
        } else {
            Err(NotCanonical { attribute: AttributeCode(0) })
        }
    }

    /// Wraps octets that this crate wrote as a canonical block, without a look at them. On others, what does not
    /// parse reads as absent.
    #[inline]
    #[must_use]
    pub const fn trusted(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The octets.
    #[inline]
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// The attributes, codes ascending.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = RawAttribute<'a>> + use<'a> {
        RawAttributes::new(self.0)
    }

    /// Appends the attributes without one.
    pub fn append_without(&self, code: AttributeCode, out: &mut Vec<u8>) {
        let mut raw = RawAttributes::new(self.0);
        let mut from = self.0;
        while let Some(attribute) = raw.next() {
            let whole = from.len().saturating_sub(raw.rest().len());
            if attribute.code != code {
                out.extend_from_slice(from.get(..whole).unwrap_or_default());
            }
            from = raw.rest();
        }
    }

    /// One attribute by its type.
    #[inline]
    #[must_use]
    pub fn get(&self, code: AttributeCode) -> Option<RawAttribute<'a>> {
        RawAttributes::new(self.0).take_while(|a| a.code <= code).find(|a| a.code == code)
    }

    #[inline]
    fn value(&self, code: AttributeCode) -> Option<&'a [u8]> {
        self.get(code).map(|a| a.value)
    }

    #[inline]
    fn word(&self, code: AttributeCode) -> Option<u32> {
        self.value(code).and_then(front32)
    }

    /// ORIGIN; INCOMPLETE where a block has none.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.value(AttributeCode::ORIGIN).and_then(Origin::decode).unwrap_or(Origin::Incomplete)
    }

    /// AS_PATH; empty where a block has none.
    #[must_use]
    pub fn as_path(&self) -> AsPathView<'a> {
        AsPathView::new(self.value(AttributeCode::AS_PATH).unwrap_or_default(), true)
    }

    /// MULTI_EXIT_DISC.
    #[must_use]
    pub fn med(&self) -> Option<u32> {
        self.word(AttributeCode::MULTI_EXIT_DISC)
    }

    /// LOCAL_PREF.
    #[must_use]
    pub fn local_pref(&self) -> Option<u32> {
        self.word(AttributeCode::LOCAL_PREF)
    }

    /// Whether ATOMIC_AGGREGATE is there.
    #[must_use]
    pub fn atomic_aggregate(&self) -> bool {
        self.get(AttributeCode::ATOMIC_AGGREGATE).is_some()
    }

    /// AGGREGATOR.
    #[must_use]
    pub fn aggregator(&self) -> Option<Aggregator> {
        self.value(AttributeCode::AGGREGATOR).and_then(Aggregator::decode)
    }

    /// COMMUNITIES.
    #[must_use]
    pub fn communities(&self) -> Communities<'a> {
        Communities(self.value(AttributeCode::COMMUNITIES).unwrap_or_default())
    }

    /// ORIGINATOR_ID.
    #[must_use]
    pub fn originator_id(&self) -> Option<RouterId> {
        self.word(AttributeCode::ORIGINATOR_ID).map(RouterId)
    }

    /// CLUSTER_LIST.
    #[must_use]
    pub fn cluster_list(&self) -> ClusterList<'a> {
        ClusterList(self.value(AttributeCode::CLUSTER_LIST).unwrap_or_default())
    }

    /// EXTENDED_COMMUNITIES.
    #[must_use]
    pub fn extended_communities(&self) -> ExtendedCommunities<'a> {
        ExtendedCommunities(self.value(AttributeCode::EXTENDED_COMMUNITIES).unwrap_or_default())
    }

    /// IPV6_EXTENDED_COMMUNITIES.
    #[must_use]
    pub fn ipv6_extended_communities(&self) -> Ipv6ExtendedCommunities<'a> {
        Ipv6ExtendedCommunities(self.value(AttributeCode::IPV6_EXTENDED_COMMUNITIES).unwrap_or_default())
    }

    /// AIGP's accumulated metric.
    #[must_use]
    pub fn aigp(&self) -> Option<u64> {
        self.value(AttributeCode::AIGP).and_then(aigp_metric)
    }

    /// LARGE_COMMUNITIES.
    #[must_use]
    pub fn large_communities(&self) -> LargeCommunities<'a> {
        LargeCommunities(self.value(AttributeCode::LARGE_COMMUNITIES).unwrap_or_default())
    }

    /// ONLY_TO_CUSTOMER.
    #[must_use]
    pub fn only_to_customer(&self) -> Option<Asn> {
        self.word(AttributeCode::ONLY_TO_CUSTOMER).map(Asn)
    }
}
