//! The attributes of a message as the caller sees them.
use super::index::{MP, UpdateIndex};
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

impl<'a> Attributes<'a> {
    #[inline]
    pub(super) const fn new(section: &'a [u8], index: &UpdateIndex) -> Self {
        let raw = RawAttributes::new(section);
        let hidden = index.present & (index.discarded | MP);
        let (repeated, watch) = (index.repeated, index.repeated || hidden != 0);
        Self { raw, hidden, repeated, watch, seen: [0; 4] }
    }

    /// Whether an attribute is shown; marks it as seen. By value, so that what does not watch stays in registers.
    #[inline]
    fn shows(&mut self, code: AttributeCode) -> bool {
        let mut first = true;
        if self.repeated {
            (self.seen, first) = marked(self.seen, code);
        }
        first && self.hidden & UpdateIndex::bit(code) == 0
    }
}

/// Codes with one more in it, and whether that was not there before.
#[cold]
fn marked(mut seen: [u64; 4], code: AttributeCode) -> ([u64; 4], bool) {
    let Some(word) = seen.get_mut(usize::from(code.0 >> 6)) else { return (seen, true) };
    let bit = 1 << (code.0 & 63);
    let first = *word & bit == 0;
    *word |= bit;
    (seen, first)
}

impl<'a> Iterator for Attributes<'a> {
    type Item = RawAttribute<'a>;

    #[inline]
    fn next(&mut self) -> Option<RawAttribute<'a>> {
        loop {
            let attribute = self.raw.next()?;
            if !self.watch || self.shows(attribute.code) {
                return Some(attribute);
            }
        }
    }
}
