//! Path attributes as owned values, for those who make routes.
use crate::attributes::{
    Aggregator, AsPath, AttributeCode, AttributeFlags, Community, ExtendedCommunity, Ipv6ExtendedCommunity,
    LargeCommunities, LargeCommunity, Origin, RawAttribute, RawAttributes, aigp_metric, aigp_value,
    has_duplicates, lasting_flags, push_attribute, push_header, push_values, push_word, wire_flags,
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

    pub(crate) const fn empty() -> Self {
        Self(0)
    }

    /// Adds a type.
    pub const fn insert(&mut self, code: AttributeCode) {
        self.0 |= Self::bit(code);
    }

    /// Whether a type is in the set.
    #[inline]
    #[must_use]
    pub const fn contains(self, code: AttributeCode) -> bool {
        self.0 & Self::bit(code) != 0
    }

    #[inline]
    pub(crate) const fn insert_if(&mut self, code: AttributeCode, yes: bool) {
        if yes {
            self.insert(code);
        }
    }

    #[inline]
    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The codes, ascending.
    #[inline]
    pub(crate) fn codes(self) -> impl Iterator<Item = AttributeCode> {
        let mut rest = self.0;
        core::iter::from_fn(move || {
            let code = u8::try_from(rest.trailing_zeros()).ok().filter(|_| rest != 0)?;
            rest &= rest.wrapping_sub(1);
            Some(AttributeCode(code))
        })
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
    /// LARGE_COMMUNITIES; equal ones are sent once.
    pub large_communities: Vec<LargeCommunity>,
    /// ONLY_TO_CUSTOMER.
    pub only_to_customer: Option<Asn>,
    /// The rest, in any order.
    pub other: Vec<OwnedAttribute>,
    /// The types among the above that have the Partial bit: somebody on the way did not know them. It is heeded where
    /// the bit may be, on optional transitive types (RFC 4271 §4.3).
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

    /// AIGP's accumulated metric, among the rest.
    #[must_use]
    pub fn aigp(&self) -> Option<u64> {
        self.other.iter().find(|a| a.code == AttributeCode::AIGP).and_then(|a| aigp_metric(&a.value))
    }

    /// Puts an AIGP of this metric in place of the one that may be there, or takes it out (RFC 7311 §3.4.1).
    pub fn set_aigp(&mut self, metric: Option<u64>) {
        self.other.retain(|a| a.code != AttributeCode::AIGP);
        self.other.extend(metric.map(|metric| OwnedAttribute {
            flags: AttributeFlags(AttributeFlags::OPTIONAL),
            code: AttributeCode::AIGP,
            value: aigp_value(metric),
        }));
    }

    /// Puts these IPv6 extended communities in place of those that may be there; none at all for an empty list (RFC 5701 §2).
    pub fn set_ipv6_extended_communities(&mut self, communities: &[Ipv6ExtendedCommunity]) {
        self.other.retain(|a| a.code != AttributeCode::IPV6_EXTENDED_COMMUNITIES);
        if !communities.is_empty() {
            self.other.push(OwnedAttribute {
                flags: AttributeFlags(AttributeFlags::OPTIONAL | AttributeFlags::TRANSITIVE),
                code: AttributeCode::IPV6_EXTENDED_COMMUNITIES,
                value: communities.iter().flat_map(|community| community.0).collect(),
            });
        }
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
        let written = if self.other.is_empty() { self.encode_typed(out) } else { self.encode_mixed(out) };
        if written.is_err() {
            out.truncate(start);
        }
        written
    }

    /// Without others: what has a type cannot come out malformed, but for AS 0 and length.
    fn encode_typed(&self, out: &mut Vec<u8>) -> Result<(), NotCanonical> {
        self.put(AttributeCode::ORIGIN, out)?;
        self.put(AttributeCode::AS_PATH, out)?;
        self.put(AttributeCode::MULTI_EXIT_DISC, out)?;
        self.put(AttributeCode::LOCAL_PREF, out)?;
        self.put(AttributeCode::ATOMIC_AGGREGATE, out)?;
        self.put(AttributeCode::AGGREGATOR, out)?;
        self.put(AttributeCode::COMMUNITIES, out)?;
        self.put(AttributeCode::ORIGINATOR_ID, out)?;
        self.put(AttributeCode::CLUSTER_LIST, out)?;
        self.put(AttributeCode::EXTENDED_COMMUNITIES, out)?;
        self.put(AttributeCode::LARGE_COMMUNITIES, out)?;
        self.put(AttributeCode::ONLY_TO_CUSTOMER, out)
    }

    /// With others, which may be anything: the result is read again.
    #[cold]
    fn encode_mixed(&self, out: &mut Vec<u8>) -> Result<(), NotCanonical> {
        let start = out.len();
        let mut next = 0;
        for code in TYPED {
            self.others(next..=code.0, out)?;
            self.put(code, out)?;
            next = code.0.saturating_add(1);
        }
        self.others(next..=u8::MAX, out)?;
        AttributeBlock::parse(out.get(start..).unwrap_or_default()).map(|_| ())
    }

    /// The uninterpreted attributes with codes in a range.
    fn others(&self, codes: core::ops::RangeInclusive<u8>, out: &mut Vec<u8>) -> Result<(), NotCanonical> {
        for code in codes {
            for attribute in self.other.iter().filter(|a| a.code.0 == code) {
                let flags = lasting_flags(attribute.flags.0, attribute.code);
                if !push_attribute(out, flags, attribute.code, &attribute.value) {
                    return Err(NotCanonical { attribute: attribute.code });
                }
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn put(&self, attribute: AttributeCode, out: &mut Vec<u8>) -> Result<(), NotCanonical> {
        if self.typed(attribute, out) { Ok(()) } else { Err(NotCanonical { attribute }) }
    }

    /// The attribute of one type, if it is there; `false` when it is too long or has AS 0. Inlined, so that each call
    /// with a known type is that type's lines alone.
    #[inline(always)]
    fn typed(&self, code: AttributeCode, out: &mut Vec<u8>) -> bool {
        let partial = if self.partial.contains(code) { AttributeFlags::PARTIAL } else { 0 };
        let flags = lasting_flags(wire_flags(code).unwrap_or(AttributeFlags::OPTIONAL) | partial, code);
        let word =
            |out: &mut Vec<u8>, value: Option<u32>| value.is_none_or(|v| push_word(out, flags, code, v));
        match code {
            AttributeCode::ORIGIN => {
                out.extend_from_slice(&[flags, code.0, 1, self.origin.octet()]);
                true
            }
            AttributeCode::AS_PATH => {
                let fits = push_header(out, flags, code, self.as_path.encoded_len());
                if fits {
                    self.as_path.encode(out);
                }
                fits && !self.as_path.has_reserved()
            }
            AttributeCode::MULTI_EXIT_DISC => word(out, self.med),
            AttributeCode::LOCAL_PREF => word(out, self.local_pref),
            AttributeCode::ATOMIC_AGGREGATE => {
                !self.atomic_aggregate || push_attribute(out, flags, code, &[])
            }
            AttributeCode::AGGREGATOR => self
                .aggregator
                .is_none_or(|a| a.asn != Asn::RESERVED && push_attribute(out, flags, code, &a.octets())),
            AttributeCode::COMMUNITIES => list(out, flags, code, &self.communities, |c| c.0.to_be_bytes()),
            AttributeCode::ORIGINATOR_ID => word(out, self.originator_id.map(|id| id.0)),
            AttributeCode::CLUSTER_LIST => list(out, flags, code, &self.cluster_list, |c| c.0.to_be_bytes()),
            AttributeCode::EXTENDED_COMMUNITIES => {
                list(out, flags, code, &self.extended_communities, |c| c.0)
            }
            AttributeCode::LARGE_COMMUNITIES => {
                let start = out.len();
                let fits = list(out, flags, code, &self.large_communities, LargeCommunity::octets);
                if has_duplicates(&self.large_communities) {
                    once_each(out, start, flags);
                }
                fits
            }
            _ => word(out, self.only_to_customer.map(|asn| asn.0)),
        }
    }
}

/// Takes out of the LARGE_COMMUNITIES behind `start` what is there more than once (RFC 8092 §3).
#[cold]
fn once_each(out: &mut Vec<u8>, start: usize, flags: u8) {
    let code = AttributeCode::LARGE_COMMUNITIES;
    let value = RawAttributes::new(out.get(start..).unwrap_or_default()).next().map_or(&[][..], |a| a.value);
    let mut unique = Vec::with_capacity(value.len());
    LargeCommunities::new(value).append_unique(&mut unique);
    out.truncate(start);
    push_attribute(out, flags, code, &unique);
}

#[inline]
fn list<T: Copy, const N: usize>(
    out: &mut Vec<u8>,
    flags: u8,
    code: AttributeCode,
    values: &[T],
    octets: impl Fn(T) -> [u8; N],
) -> bool {
    if values.is_empty() {
        return true;
    }
    let fits = push_header(out, flags, code, values.len().saturating_mul(N));
    if fits {
        push_values(out, values, octets);
    }
    fits
}
