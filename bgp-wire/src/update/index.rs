//! What one pass over an UPDATE finds out: where things are, and the verdict.
use crate::attributes::AttributeCode;
use crate::reaction::{Faults, Reaction};
use crate::{Family, FamilySet, NextHop};

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
        body.get(start..start.wrapping_add(usize::from(self.len))).unwrap_or_default()
    }
}

/// NLRI of one family somewhere in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Block {
    pub(super) family: Family,
    pub(super) add_path: bool,
    pub(super) nlri: Span,
}

/// Codes below this have a bit in the presence set and an offset.
pub(super) const INDEXED: usize = 41;

/// Plain data; the view is this and the message's octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct UpdateIndex {
    pub(super) attributes: Span,
    pub(super) withdrawn: Option<Block>,
    pub(super) announced: Option<Block>,
    pub(super) mp_reach: Option<Block>,
    pub(super) mp_unreach: Option<Block>,
    pub(super) next_hop: Option<NextHop>,
    pub(super) mp_next_hop: Option<NextHop>,
    /// Attributes present, by code; only the first of a kind counts.
    pub(super) present: u64,
    /// Of those, the ones that were discarded.
    pub(super) discarded: u64,
    /// Where each present attribute begins in the attribute section.
    pub(super) offsets: [u16; INDEXED],
    /// Some code is there more than once: readers watch for it.
    pub(super) repeated: bool,
    /// Codes strictly ascend.
    pub(super) ascending: bool,
    pub(super) four_octet_as: bool,
    /// The announced routes count as withdrawn.
    pub(super) withdraw: bool,
    pub(super) disabled: FamilySet,
    pub(super) end_of_rib: Option<Family>,
    pub(super) faults: Faults,
}

impl UpdateIndex {
    #[inline]
    pub(super) fn reaction(&self) -> Reaction {
        self.faults.reaction()
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
}
