//! From the received attributes to the canonical block.
use super::UpdateView;
use crate::Asn;
use crate::attributes::{
    Aggregator, AsPathView, AttributeCode, AttributeFlags, ExtendedCommunities, ExtendedCommunity,
    LargeCommunities, RawAttribute, RawAttributes, SegmentWriter, canonical_flags, lasting_flags,
    merge_as4_path, patched_attribute, push_attribute, wire_flags,
};
use crate::rewrite::push_filtered;

impl UpdateView<'_> {
    /// Appends the canonical block: what is worth interning, and what [`AttributeBlock`](crate::AttributeBlock) reads.
    ///
    /// Codes ascend, each at most once; NEXT_HOP and the MP attributes are left out; AS numbers have four octets,
    /// AS4_PATH and AS4_AGGREGATOR merged in (RFC 6793 §4.2.3); lengths are in their shortest form; unknown optional
    /// transitive attributes have Partial set, unknown non-transitive ones are gone (RFC 4271 §5), and so are extended communities that name an encapsulation, from a peer of
    /// another domain (RFC 9012 §11); Partial is nowhere that
    /// it must not be (RFC 4271 §4.3); of equal large communities one is left (RFC 8092 §3).
    pub fn canonical_attributes(&self, out: &mut Vec<u8>) {
        if self.index().ascending { self.canonical_runs(out) } else { self.canonical_sorted(out) }
    }

    /// The same for attributes in order, copying those that stay as they are in runs.
    fn canonical_runs(&self, out: &mut Vec<u8>) {
        let section = self.section();
        let mut raw = RawAttributes::new(section);
        let (mut run, mut at) = (0, 0);
        let flush = |out: &mut Vec<u8>, run: usize, end: usize| {
            out.extend_from_slice(section.get(run..end).unwrap_or_default());
        };
        while let Some(attribute) = raw.next() {
            let end = section.len().wrapping_sub(raw.rest().len());
            if !self.stays(&attribute) {
                flush(out, run, at);
                run = end;
                if self.index().shows_or_high(attribute.code) {
                    self.canonical(attribute, out);
                }
            }
            at = end;
        }
        flush(out, run, at);
    }

    /// Whether the octets of an attribute are canonical already.
    #[inline]
    fn stays(&self, attribute: &RawAttribute<'_>) -> bool {
        let RawAttribute { flags, code, value } = attribute;
        let known = match *code {
            AttributeCode::NEXT_HOP | AttributeCode::MP_REACH_NLRI | AttributeCode::MP_UNREACH_NLRI => false,
            AttributeCode::AS_PATH | AttributeCode::AGGREGATOR => self.index().four_octet_as,
            AttributeCode::AS4_PATH | AttributeCode::AS4_AGGREGATOR => false,
            AttributeCode::LARGE_COMMUNITIES => !LargeCommunities::new(value).has_duplicates(),
            AttributeCode::EXTENDED_COMMUNITIES => !self.is_filtered(value),
            _ => wire_flags(*code).is_some(),
        };
        known && canonical_flags(flags.0, *code, value.len()) == flags.0 && self.index().shows_or_high(*code)
    }

    /// Whether extended communities name encapsulations and come from outside (RFC 9012 §11).
    #[inline]
    pub(super) fn is_filtered(&self, communities: &[u8]) -> bool {
        self.index().foreign
            && ExtendedCommunities::new(communities).iter().any(ExtendedCommunity::is_encapsulation)
    }

    /// The same for attributes that came out of order: 256 codes are few enough for a table.
    #[cold]
    fn canonical_sorted(&self, out: &mut Vec<u8>) {
        let mut by_code = [const { None }; 256];
        for attribute in self.attributes() {
            if let Some(slot) = by_code.get_mut(usize::from(attribute.code.0)) {
                *slot = Some(attribute);
            }
        }
        for attribute in by_code.into_iter().flatten() {
            self.canonical(attribute, out);
        }
    }

    #[inline]
    fn canonical(&self, attribute: RawAttribute<'_>, out: &mut Vec<u8>) {
        let RawAttribute { flags, code, value } = attribute;
        let flags = match code {
            AttributeCode::NEXT_HOP
            | AttributeCode::AS4_PATH
            | AttributeCode::AS4_AGGREGATOR
            | AttributeCode::MP_REACH_NLRI
            | AttributeCode::MP_UNREACH_NLRI => return,
            AttributeCode::AS_PATH if !self.index().four_octet_as => return self.merged_path(out),
            AttributeCode::AGGREGATOR if !self.index().four_octet_as => {
                return self.merged_aggregator(flags, out);
            }
            AttributeCode::LARGE_COMMUNITIES => {
                let flags = lasting_flags(flags.0, code);
                patched_attribute(out, flags, code, |out| LargeCommunities::new(value).append_unique(out));
                return;
            }
            AttributeCode::EXTENDED_COMMUNITIES if self.is_filtered(value) => {
                let goes = |c: &[u8; 8]| !ExtendedCommunity(*c).is_encapsulation();
                push_filtered(out, lasting_flags(flags.0, code), code, value, goes);
                return;
            }
            // A malformed value inside is no reason to keep the unused bits.
            _ if wire_flags(code).is_some() => lasting_flags(flags.0, code),
            _ if flags.is_transitive() => lasting_flags(flags.0, code) | AttributeFlags::PARTIAL,
            _ => return,
        };
        push_attribute(out, flags, code, value);
    }

    /// AS_PATH and AS4_PATH in one.
    fn merged_path(&self, out: &mut Vec<u8>) {
        let Some(path) = self.as_path() else { return };
        patched_attribute(out, AttributeFlags::TRANSITIVE, AttributeCode::AS_PATH, |out| {
            match self.as4_path() {
                Some(as4_path) => merge_as4_path(path, as4_path, out),
                None => {
                    let mut writer = SegmentWriter::new(out, true);
                    path.segments().for_each(|s| writer.segment(s.kind, s.asns()));
                }
            }
        });
    }

    /// Whether AGGREGATOR says that the AS4 attributes are stale: an old speaker has aggregated since
    /// (RFC 6793 §4.2.3).
    fn as4_is_stale(&self) -> bool {
        self.aggregator().is_some_and(|a| a.asn != Asn::TRANS)
            && self.attribute(AttributeCode::AS4_AGGREGATOR).is_some()
    }

    fn as4_path(&self) -> Option<AsPathView<'_>> {
        let attribute = self.attribute(AttributeCode::AS4_PATH).filter(|_| !self.as4_is_stale())?;
        Some(AsPathView::new(attribute.value, true))
    }

    fn merged_aggregator(&self, flags: AttributeFlags, out: &mut Vec<u8>) {
        let Some(aggregator) = self.aggregator() else { return };
        let as4 = self.attribute(AttributeCode::AS4_AGGREGATOR).filter(|_| aggregator.asn == Asn::TRANS);
        let whole = as4.and_then(|a| Aggregator::decode(a.value)).unwrap_or(aggregator);
        let code = AttributeCode::AGGREGATOR;
        push_attribute(out, lasting_flags(flags.0, code), code, &whole.octets());
    }
}
