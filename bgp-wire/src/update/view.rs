//! The borrowed view of an UPDATE.
use super::index::{Block, UpdateIndex};
use super::validate::notification;
use super::{Attributes, Update};
use crate::attributes::{
    Aggregator, AsPathView, AttributeCode, ClusterList, Communities, ExtendedCommunities, LargeCommunities,
    Origin, RawAttribute, RawAttributes,
};
use crate::parse::front32;
use crate::reaction::{Fault, Reaction};
use crate::{Family, FamilySet, NextHop, NlriBlock, Notification, RouterId};

/// A validated UPDATE over the octets it came in. RFC 7606 is settled: what is shown is what counts, and nothing
/// that is read from it can fail or allocates.
#[derive(Debug, Clone, Copy)]
pub struct UpdateView<'a> {
    body: &'a [u8],
    index: UpdateIndex,
}

/// Announced routes of one family, with their next hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach<'a> {
    /// Family.
    pub family: Family,
    /// Next hop.
    pub next_hop: NextHop,
    /// Routes.
    pub nlri: NlriBlock<'a>,
}

impl<'a> UpdateView<'a> {
    #[inline]
    pub(super) const fn from_parts(body: &'a [u8], index: UpdateIndex) -> Self {
        Self { body, index }
    }

    /// All behind the header.
    #[inline]
    pub(super) const fn body(&self) -> &'a [u8] {
        self.body
    }

    #[inline]
    pub(super) const fn index(&self) -> &UpdateIndex {
        &self.index
    }

    /// A value that owns the message, verdict included, at the cost of one allocation; it is not validated again.
    #[inline]
    #[must_use]
    pub fn to_update(&self) -> Update {
        Update::from_view(self)
    }

    /// The strongest reaction to the faults. A session reset is not among them: it is the decoder's error.
    #[inline]
    #[must_use]
    pub fn outcome(&self) -> Reaction {
        self.index.reaction()
    }

    /// Whether the sender did wrong, as opposed to sending what the standard says to pass over: see
    /// [`Fault::is_malformed`].
    #[inline]
    #[must_use]
    pub const fn is_malformed(&self) -> bool {
        self.index.faults.malformed()
    }

    /// The faults, in the order found; of many, the first few.
    pub fn faults(&self) -> impl Iterator<Item = Fault> + use<> {
        self.index.faults.iter()
    }

    /// The NOTIFICATION for the strongest fault, for a caller who cannot do with less than a reset.
    #[must_use]
    pub fn notification(&self) -> Option<Notification> {
        let fault = self.index.faults.strongest()?;
        Some(notification(&fault, self.index.attributes.of(self.body)))
    }

    /// The families to give up for the rest of the session (RFC 4760 §7); see
    /// [`Codec::afi_safi_disable`](crate::Codec::afi_safi_disable).
    #[must_use]
    pub const fn disabled(&self) -> FamilySet {
        self.index.disabled
    }

    /// The family whose initial routes are complete (RFC 4724 §2).
    #[inline]
    #[must_use]
    pub const fn end_of_rib(&self) -> Option<Family> {
        self.index.end_of_rib
    }

    /// The next hop of MP_REACH_NLRI, which was checked against what was negotiated.
    #[inline]
    pub(super) fn mp_next_hop(&self) -> Option<NextHop> {
        let block = self.index.mp_reach?;
        NextHop::decode(block.before(self.body, self.index.mp_next_hop?)?, block.family, true).ok()
    }

    /// Announced routes: at most one block from the NLRI field and one from MP_REACH_NLRI. None after treat-as-withdraw.
    #[inline]
    pub fn reach(&self) -> impl Iterator<Item = Reach<'a>> + use<'a> {
        let Self { body, index } = self;
        let shown = !index.withdraw;
        ReachBlocks {
            body,
            classic: index.announced(body).filter(|_| shown).zip(index.next_hop),
            mp: index.mp_reach.filter(|_| shown).zip(index.mp_next_hop),
        }
    }

    /// Withdrawn routes: the Withdrawn Routes field, MP_UNREACH_NLRI, and after treat-as-withdraw the announced ones.
    /// Where one message names a route twice, the announcement counts (RFC 4271 §4.3); take these first.
    #[inline]
    pub fn unreach(&self) -> impl Iterator<Item = NlriBlock<'a>> + use<'a> {
        let Self { body, index } = self;
        let mut blocks = UnreachBlocks {
            withdrawn: index.withdrawn(body),
            mp_unreach: index.mp_unreach.and_then(|b| b.of(body)),
            announced: None,
            mp_reach: None,
        };
        if index.withdraw {
            blocks.announced = index.announced(body);
            blocks.mp_reach = index.mp_reach.and_then(|b| b.of(body));
        }
        blocks
    }

    /// The attribute section, as far as attributes are shown: not after treat-as-withdraw.
    #[inline]
    pub(super) fn section(&self) -> &'a [u8] {
        if self.index.withdraw { &[] } else { self.index.attributes.of(self.body) }
    }

    /// The attributes in the order received, without discarded ones and the two MP attributes.
    /// After treat-as-withdraw there are none.
    #[inline]
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.section(), &self.index)
    }

    /// One attribute by its type.
    #[inline]
    #[must_use]
    pub fn attribute(&self, code: AttributeCode) -> Option<RawAttribute<'a>> {
        if let Some(left) = self.index.left.get(usize::from(code.0)) {
            let mp = matches!(code, AttributeCode::MP_REACH_NLRI | AttributeCode::MP_UNREACH_NLRI);
            let shown = self.index.shows(code) && !mp;
            return if shown { RawAttributes::new(self.behind(*left)).next() } else { None };
        }
        self.attributes().find(|a| a.code == code)
    }

    /// The end of the attribute section, of so many octets.
    #[inline]
    fn behind(&self, left: u16) -> &'a [u8] {
        let section = self.section();
        section.get(section.len().wrapping_sub(usize::from(left))..).unwrap_or_default()
    }

    #[inline]
    fn value(&self, code: AttributeCode) -> Option<&'a [u8]> {
        self.attribute(code).map(|a| a.value)
    }

    /// ORIGIN.
    #[must_use]
    pub fn origin(&self) -> Option<Origin> {
        self.value(AttributeCode::ORIGIN).and_then(Origin::decode)
    }

    /// AS_PATH as received: from a two-octet speaker, without what AS4_PATH adds to it.
    #[must_use]
    pub fn as_path(&self) -> Option<AsPathView<'a>> {
        self.value(AttributeCode::AS_PATH).map(|v| AsPathView::new(v, self.index.four_octet_as))
    }

    /// MULTI_EXIT_DISC.
    #[must_use]
    pub fn med(&self) -> Option<u32> {
        self.value(AttributeCode::MULTI_EXIT_DISC).and_then(front32)
    }

    /// LOCAL_PREF.
    #[must_use]
    pub fn local_pref(&self) -> Option<u32> {
        self.value(AttributeCode::LOCAL_PREF).and_then(front32)
    }

    /// AGGREGATOR as received.
    #[must_use]
    pub fn aggregator(&self) -> Option<Aggregator> {
        self.value(AttributeCode::AGGREGATOR).and_then(Aggregator::decode)
    }

    /// COMMUNITIES.
    #[must_use]
    pub fn communities(&self) -> Communities<'a> {
        Communities(self.value(AttributeCode::COMMUNITIES).unwrap_or_default())
    }

    /// EXTENDED_COMMUNITIES.
    #[must_use]
    pub fn extended_communities(&self) -> ExtendedCommunities<'a> {
        ExtendedCommunities(self.value(AttributeCode::EXTENDED_COMMUNITIES).unwrap_or_default())
    }

    /// LARGE_COMMUNITIES.
    #[must_use]
    pub fn large_communities(&self) -> LargeCommunities<'a> {
        LargeCommunities(self.value(AttributeCode::LARGE_COMMUNITIES).unwrap_or_default())
    }

    /// ORIGINATOR_ID.
    #[must_use]
    pub fn originator_id(&self) -> Option<RouterId> {
        self.value(AttributeCode::ORIGINATOR_ID).and_then(front32).map(RouterId)
    }

    /// CLUSTER_LIST.
    #[must_use]
    pub fn cluster_list(&self) -> ClusterList<'a> {
        ClusterList(self.value(AttributeCode::CLUSTER_LIST).unwrap_or_default())
    }
}

/// What [`UpdateView::reach`] goes through; each is taken once.
struct ReachBlocks<'a> {
    body: &'a [u8],
    classic: Option<(NlriBlock<'a>, [u8; 4])>,
    mp: Option<(Block, u8)>,
}

impl<'a> Iterator for ReachBlocks<'a> {
    type Item = Reach<'a>;

    #[inline]
    fn next(&mut self) -> Option<Reach<'a>> {
        if let Some((nlri, next_hop)) = self.classic.take() {
            let next_hop = NextHop::V4(next_hop.into());
            return Some(Reach { family: Family::IPV4_UNICAST, next_hop, nlri });
        }
        let (block, next_hop) = self.mp.take()?;
        mp_reach(self.body, block, next_hop)
    }
}

/// The routes of MP_REACH_NLRI; the next hop, of so many octets, was checked against what was negotiated.
// Not inlined, and by value: what goes through the blocks stays in registers.
#[inline(never)]
fn mp_reach(body: &[u8], block: Block, next_hop: u8) -> Option<Reach<'_>> {
    let next_hop = NextHop::decode(block.before(body, next_hop)?, block.family, true).ok()?;
    Some(Reach { family: block.family, next_hop, nlri: block.of(body)? })
}

/// What [`UpdateView::unreach`] goes through; each is taken once.
struct UnreachBlocks<'a> {
    withdrawn: Option<NlriBlock<'a>>,
    mp_unreach: Option<NlriBlock<'a>>,
    announced: Option<NlriBlock<'a>>,
    mp_reach: Option<NlriBlock<'a>>,
}

impl<'a> Iterator for UnreachBlocks<'a> {
    type Item = NlriBlock<'a>;

    #[inline]
    fn next(&mut self) -> Option<NlriBlock<'a>> {
        let next = self.withdrawn.take().or_else(|| self.mp_unreach.take());
        next.or_else(|| self.announced.take()).or_else(|| self.mp_reach.take())
    }
}
