//! What one pass over an UPDATE finds out: where things are, and the verdict.
use crate::NlriBlock;
use crate::attributes::{AttributeCode, AttributeFlags, Context, wire_flags};
use crate::nlri::NlriForm;
use crate::reaction::{Faults, Reaction};
use crate::{Family, FamilySet};

/// A range of octets in the message body; a body has at most 65,516.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Span {
    pub(super) start: u16,
    pub(super) len: u16,
}

impl Span {
    #[inline]
    pub(super) fn of(self, body: &[u8]) -> &[u8] {
        let start = usize::from(self.start);
        body.get(start..self.end()).unwrap_or_default()
    }

    #[inline]
    pub(super) fn end(self) -> usize {
        usize::from(self.start).wrapping_add(usize::from(self.len))
    }
}

/// NLRI of one family somewhere in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Block {
    pub(super) family: Family,
    pub(super) form: NlriForm,
    pub(super) nlri: Span,
}

impl Block {
    /// The NLRI, unless there are none.
    #[inline]
    pub(super) fn of(self, body: &[u8]) -> Option<NlriBlock<'_>> {
        let octets = self.nlri.of(body);
        (!octets.is_empty()).then(|| NlriBlock::checked(self.family, self.form, octets))
    }

    /// The field of so many octets that ends one octet before the NLRI.
    #[inline]
    pub(super) fn before(self, body: &[u8], octets: u8) -> Option<&[u8]> {
        let end = usize::from(self.nlri.start).wrapping_sub(1);
        body.get(end.wrapping_sub(usize::from(octets))..end)
    }
}

/// Codes below this have an offset, for access by code at no cost: those that make or break a route. Others are looked
/// for, and the index stays small enough to copy with each message.
pub(super) const INDEXED: usize = 11;

/// The MP attributes.
pub(super) const MP: u64 = 1 << AttributeCode::MP_REACH_NLRI.0 | 1 << AttributeCode::MP_UNREACH_NLRI.0;

/// The known codes below 64 whose values go on as they are: large communities may be there twice (RFC 8092 §3).
const COPIED: u64 = {
    let (mut known, mut code) = (0, 0);
    while code < 64 {
        if wire_flags(AttributeCode(code)).is_some() {
            known |= 1 << code;
        }
        code += 1;
    }
    known & !(1 << AttributeCode::LARGE_COMMUNITIES.0)
};

/// Plain data; the view is this and the message's octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct UpdateIndex {
    /// Between the two classic fields, which reach from the front of the body and to its end.
    pub(super) attributes: Span,
    /// How NLRI of the classic fields are written; `None` where IPv4 unicast was not negotiated: they are passed over.
    pub(super) classic: Option<NlriForm>,
    pub(super) mp_reach: Option<Block>,
    pub(super) mp_unreach: Option<Block>,
    /// The value of NEXT_HOP, where there are classic NLRI for it.
    pub(super) next_hop: Option<[u8; 4]>,
    /// The octets of the next hop field of MP_REACH_NLRI, which ends one octet before the NLRI.
    pub(super) mp_next_hop: Option<u8>,
    /// Attributes present, by code below 64; only the first of a kind counts.
    pub(super) present: u64,
    /// Of those, the ones that were discarded.
    pub(super) discarded: u64,
    /// Where attributes with low codes begin: what is left of the attribute section there.
    pub(super) left: [u16; INDEXED],
    /// All flag bits that some attribute has.
    pub(super) flags: u8,
    /// There are codes from 64 on.
    pub(super) high: bool,
    /// Some code is there more than once: readers watch for it.
    pub(super) repeated: bool,
    /// Codes strictly ascend, but for those of the MP attributes, which are read apart.
    pub(super) ascending: bool,
    pub(super) four_octet_as: bool,
    /// The peer is of another domain: its word on encapsulation is not heard (RFC 9012 §11).
    pub(super) foreign: bool,
    /// The announced routes count as withdrawn.
    pub(super) withdraw: bool,
    pub(super) disabled: FamilySet,
    pub(super) end_of_rib: Option<Family>,
    pub(super) faults: Faults,
}

impl UpdateIndex {
    /// Of a message whose attributes have not been looked at.
    #[inline]
    pub(super) const fn new(attributes: Span, classic: Option<NlriForm>, cx: Context) -> Self {
        Self {
            attributes,
            classic,
            mp_reach: None,
            mp_unreach: None,
            next_hop: None,
            mp_next_hop: None,
            present: 0,
            discarded: 0,
            left: [0; INDEXED],
            flags: 0,
            high: false,
            repeated: false,
            ascending: true,
            four_octet_as: cx.four_octet_as,
            foreign: !cx.same_domain,
            withdraw: false,
            disabled: FamilySet::empty(),
            end_of_rib: None,
            faults: Faults::new(),
        }
    }

    /// The Withdrawn Routes field.
    #[inline]
    pub(super) fn withdrawn<'a>(&self, body: &'a [u8]) -> Option<NlriBlock<'a>> {
        let form = self.classic.filter(|_| self.attributes.start > 4)?;
        let octets = body.get(2..usize::from(self.attributes.start).wrapping_sub(2))?;
        Some(NlriBlock::checked(Family::IPV4_UNICAST, form, octets))
    }

    /// The NLRI field.
    #[inline]
    pub(super) fn announced<'a>(&self, body: &'a [u8]) -> Option<NlriBlock<'a>> {
        let form = self.classic?;
        let octets = body.get(self.attributes.end()..).filter(|octets| !octets.is_empty())?;
        Some(NlriBlock::checked(Family::IPV4_UNICAST, form, octets))
    }

    /// No routes of a family that is given up, wherever in the message: those told before go too (RFC 4760 §7).
    #[cold]
    pub(super) fn give_up_disabled(&mut self) {
        let disabled = self.disabled;
        self.classic = self.classic.filter(|_| !disabled.contains(Family::IPV4_UNICAST));
        self.mp_reach = self.mp_reach.filter(|b| !disabled.contains(b.family));
        self.mp_unreach = self.mp_unreach.filter(|b| !disabled.contains(b.family));
    }

    #[inline]
    pub(super) const fn reaction(&self) -> Reaction {
        self.faults.reaction()
    }

    /// Whether all attributes go on as they are: known, in order, without flags that must be 0 on some type.
    #[inline]
    pub(super) const fn is_plain(&self) -> bool {
        const REST: u8 =
            !(AttributeFlags::OPTIONAL | AttributeFlags::TRANSITIVE | AttributeFlags::EXTENDED_LENGTH);
        self.ascending && !self.high && self.flags & REST == 0 && self.present & !COPIED == 0
    }

    #[inline]
    pub(super) const fn bit(code: AttributeCode) -> u64 {
        if code.0 < 64 { 1 << code.0 } else { 0 }
    }

    /// Whether an attribute is there and was not discarded.
    #[inline]
    pub(super) const fn shows(&self, code: AttributeCode) -> bool {
        self.present & !self.discarded & Self::bit(code) != 0
    }

    /// The same, taking codes from 64 on as there.
    #[inline]
    pub(super) const fn shows_or_high(&self, code: AttributeCode) -> bool {
        Self::bit(code) == 0 || self.shows(code)
    }
}
