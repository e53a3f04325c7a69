//! The attributes of a message as the caller sees them.
use super::index::UpdateIndex;
use crate::attributes::{AttributeCode, RawAttribute, RawAttributes};

/// The attributes in the order received: without those that were discarded, and without MP_REACH_NLRI and
/// MP_UNREACH_NLRI, which are shown as routes.
#[derive(Debug, Clone)]
pub struct Attributes<'a> {
    raw: RawAttributes<'a>,
    hidden: u64,
    repeated: bool,
    /// Not every attribute is shown.
    watch: bool,
    seen: [u64; 4],
}

const MP: u64 = 1 << AttributeCode::MP_REACH_NLRI.0 | 1 << AttributeCode::MP_UNREACH_NLRI.0;

impl<'a> Attributes<'a> {
    #[inline]
    pub(super) const fn new(section: &'a [u8], index: &UpdateIndex) -> Self {
        let raw = RawAttributes::new(section);
        let hidden = index.present & (index.discarded | MP);
        let (repeated, watch) = (index.repeated, index.repeated || hidden != 0);
        Self { raw, hidden, repeated, watch, seen: [0; 4] }
    }

    /// The next one that is shown. Apart from `next`, which is inlined, because most messages hide nothing.
    #[inline(never)]
    fn next_shown(&mut self) -> Option<RawAttribute<'a>> {
        loop {
            let attribute = self.raw.next()?;
            let repeats = self.repeated && self.seen_before(attribute.code);
            if !repeats && self.hidden & UpdateIndex::bit(attribute.code) == 0 {
                return Some(attribute);
            }
        }
    }

    /// Marks a code; `true` when it was there before.
    #[cold]
    fn seen_before(&mut self, code: AttributeCode) -> bool {
        let Some(word) = self.seen.get_mut(usize::from(code.0 >> 6)) else { return false };
        let bit = 1 << (code.0 & 63);
        let before = *word & bit != 0;
        *word |= bit;
        before
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = RawAttribute<'a>;

    #[inline]
    fn next(&mut self) -> Option<RawAttribute<'a>> {
        if self.watch { self.next_shown() } else { self.raw.next() }
    }
}
