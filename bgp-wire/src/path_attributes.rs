//! Path attributes as owned values, for those who make routes.
use crate::attributes::{
    Aggregator, AsPath, AttributeCode, AttributeFlags, Community, ExtendedCommunity, LargeCommunity, Origin,
    RawAttribute, patched_attribute, push_attribute, wire_flags,
};
use crate::parse::front32;
use crate::{Asn, AttributeBlock, ClusterId, NotCanonical, RouterId};

/// An attribute that is not interpreted, as a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OwnedAttribute {
    /// Flags octet; the length field takes the form it needs.
    pub flags: AttributeFlags,
    /// Type.
    pub code: AttributeCode,
    /// Value.
    pub value: Vec<u8>,
}

/// A set of attribute types below 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct AttributeSet(u64);

impl AttributeSet {
    const fn bit(code: AttributeCode) -> u64 {
        if code.0 < 64 { 1 << code.0 } else { 0 }
    }

    /// Adds a type.
    pub const fn insert(&mut self, code: AttributeCode) {
        self.0 |= Self::bit(code);
    }

    /// Whether a type is in the set.
    #[must_use]
    pub const fn contains(self, code: AttributeCode) -> bool {
        self.0 & Self::bit(code) != 0
    }
}

/// The attributes of a route as values. The default is ORIGIN IGP and an empty path: a route of our own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct PathAttributes {
    /// ORIGIN.
    pub origin: Origin,
    /// AS_PATH.
    pub as_path: AsPath,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// LOCAL_PREF.
    pub local_pref: Option<u32>,
    /// ATOMIC_AGGREGATE.
    pub atomic_aggregate: bool,
    /// AGGREGATOR.
    pub aggregator: Option<Aggregator>,
    /// COMMUNITIES; an empty list is not sent, here and below.
    pub communities: Vec<Community>,
    /// ORIGINATOR_ID.
    pub originator_id: Option<RouterId>,
    /// CLUSTER_LIST.
    pub cluster_list: Vec<ClusterId>,
    /// EXTENDED_COMMUNITIES.
    pub extended_communities: Vec<ExtendedCommunity>,
    /// LARGE_COMMUNITIES.
    pub large_communities: Vec<LargeCommunity>,
    /// ONLY_TO_CUSTOMER.
    pub only_to_customer: Option<Asn>,
    /// The rest, in any order.
    pub other: Vec<OwnedAttribute>,
    /// The types among the above that have the Partial bit: somebody on the way did not know them.
    pub partial: AttributeSet,
}

/// The types that have a field of their own, ascending.
const TYPED: [AttributeCode; 12] = [
    AttributeCode::ORIGIN,
    AttributeCode::AS_PATH,
    AttributeCode::MULTI_EXIT_DISC,
    AttributeCode::LOCAL_PREF,
    AttributeCode::ATOMIC_AGGREGATE,
    AttributeCode::AGGREGATOR,
    AttributeCode::COMMUNITIES,
    AttributeCode::ORIGINATOR_ID,
    AttributeCode::CLUSTER_LIST,
    AttributeCode::EXTENDED_COMMUNITIES,
    AttributeCode::LARGE_COMMUNITIES,
    AttributeCode::ONLY_TO_CUSTOMER,
];

impl PathAttributes {
    /// The values of a canonical block.
    #[must_use]
    pub fn from_block(block: AttributeBlock<'_>) -> Self {
        let mut this = Self { origin: block.origin(), ..Self::default() };
        for attribute in block.iter() {
            if attribute.flags.is_partial() {
                this.partial.insert(attribute.code);
            }
            this.take(attribute, block);
        }
        this
    }

    fn take(&mut self, RawAttribute { flags, code, value }: RawAttribute<'_>, block: AttributeBlock<'_>) {
        match code {
            AttributeCode::ORIGIN => {}
            AttributeCode::AS_PATH => self.as_path = AsPath::from_view(block.as_path()),
            AttributeCode::MULTI_EXIT_DISC => self.med = front32(value),
            AttributeCode::LOCAL_PREF => self.local_pref = front32(value),
            AttributeCode::ATOMIC_AGGREGATE => self.atomic_aggregate = true,
            AttributeCode::AGGREGATOR => self.aggregator = Aggregator::decode(value),
            AttributeCode::COMMUNITIES => self.communities = block.communities().iter().collect(),
            AttributeCode::ORIGINATOR_ID => self.originator_id = front32(value).map(RouterId),
            AttributeCode::CLUSTER_LIST => self.cluster_list = block.cluster_list().iter().collect(),
            AttributeCode::EXTENDED_COMMUNITIES => {
                self.extended_communities = block.extended_communities().iter().collect();
            }
            AttributeCode::LARGE_COMMUNITIES => {
                self.large_communities = block.large_communities().iter().collect();
            }
            AttributeCode::ONLY_TO_CUSTOMER => self.only_to_customer = front32(value).map(Asn),
            _ => {
                let flags = AttributeFlags(flags.0 & !AttributeFlags::EXTENDED_LENGTH);
                self.other.push(OwnedAttribute { flags, code, value: value.to_vec() });
            }
        }
    }

    /// Appends the canonical block. What a receiver would refuse (AS 0, a value beyond 65,535 octets, an attribute in
    /// `other` that is malformed or has its place elsewhere) is an error, and nothing is appended.
    pub fn encode_block(&self, out: &mut Vec<u8>) -> Result<(), NotCanonical> {
        let start = out.len();
        let mut next = 0;
        let mut written = Ok(());
        for code in TYPED {
            written = written.and_then(|()| self.others(next..=code.0, out)).and_then(|()| {
                if self.typed(code, out) { Ok(()) } else { Err(NotCanonical { attribute: code }) }
            });
            next = code.0.saturating_add(1);
        }
        written = written.and_then(|()| self.others(next..=u8::MAX, out));
        let block = out.get(start..).unwrap_or_default();
        let result = written.and_then(|()| AttributeBlock::parse(block).map(|_| ()));
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    /// The uninterpreted attributes with codes in a range.
    fn others(&self, codes: core::ops::RangeInclusive<u8>, out: &mut Vec<u8>) -> Result<(), NotCanonical> {
        if self.other.is_empty() {
            return Ok(());
        }
        for code in codes {
            for attribute in self.other.iter().filter(|a| a.code.0 == code) {
                if !push_attribute(out, attribute.flags.0 & 0xe0, attribute.code, &attribute.value) {
                    return Err(NotCanonical { attribute: attribute.code });
                }
            }
        }
        Ok(())
    }

    /// The attribute of one type, if it is there; `false` when its value is too long.
    fn typed(&self, code: AttributeCode, out: &mut Vec<u8>) -> bool {
        let partial = if self.partial.contains(code) { AttributeFlags::PARTIAL } else { 0 };
        let flags = wire_flags(code).unwrap_or(AttributeFlags::OPTIONAL) | partial;
        let word = |out: &mut Vec<u8>, value: Option<u32>| {
            value.is_none_or(|v| push_attribute(out, flags, code, &v.to_be_bytes()))
        };
        match code {
            AttributeCode::ORIGIN => push_attribute(out, flags, code, &[self.origin.octet()]),
            AttributeCode::AS_PATH => patched_attribute(out, flags, code, |out| self.as_path.encode(out)),
            AttributeCode::MULTI_EXIT_DISC => word(out, self.med),
            AttributeCode::LOCAL_PREF => word(out, self.local_pref),
            AttributeCode::ATOMIC_AGGREGATE => {
                !self.atomic_aggregate || push_attribute(out, flags, code, &[])
            }
            AttributeCode::AGGREGATOR => {
                self.aggregator.is_none_or(|a| push_attribute(out, flags, code, &a.octets()))
            }
            AttributeCode::COMMUNITIES => {
                list(out, flags, code, &self.communities, |c, out| out.extend(c.0.to_be_bytes()))
            }
            AttributeCode::ORIGINATOR_ID => word(out, self.originator_id.map(|id| id.0)),
            AttributeCode::CLUSTER_LIST => {
                list(out, flags, code, &self.cluster_list, |c, out| out.extend(c.0.to_be_bytes()))
            }
            AttributeCode::EXTENDED_COMMUNITIES => {
                list(out, flags, code, &self.extended_communities, |c, out| out.extend(c.0))
            }
            AttributeCode::LARGE_COMMUNITIES => {
                list(out, flags, code, &self.large_communities, LargeCommunity::encode)
            }
            _ => word(out, self.only_to_customer.map(|asn| asn.0)),
        }
    }
}

fn list<T: Copy>(
    out: &mut Vec<u8>,
    flags: u8,
    code: AttributeCode,
    values: &[T],
    write: impl Fn(T, &mut Vec<u8>),
) -> bool {
    values.is_empty() || patched_attribute(out, flags, code, |out| values.iter().for_each(|v| write(*v, out)))
}
