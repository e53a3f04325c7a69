//! NLRI that are carried without being understood: where each ends, and which of its octets are its key.
use core::fmt;
use core::hash::{Hash, Hasher};

use bytes::{BufMut, BytesMut};

use super::shape::Shape;
use super::{EvpnRoute, FlowSpec, WriteNlri};
use crate::{Codec, Family};

/// One NLRI of a family that is known by its outline alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OpaqueNlri<'a> {
    family: Family,
    octets: &'a [u8],
}

impl<'a> OpaqueNlri<'a> {
    /// The octets as one NLRI, without a path identifier; `None` where they are not exactly that, or the family is not
    /// carried in this way.
    #[must_use]
    pub fn parse(family: Family, octets: &'a [u8]) -> Option<Self> {
        let shape = Shape::of(family).filter(Shape::is_opaque)?;
        let (one, rest) = shape.split(octets)?;
        (rest.is_empty() && shape.flaw(one).is_none()).then_some(Self { family, octets: one })
    }

    /// Over octets that were once one NLRI of the family. On other octets nothing panics, but what is read is of no use.
    #[must_use]
    pub const fn trusted(family: Family, octets: &'a [u8]) -> Self {
        Self { family, octets }
    }

    /// Its family.
    #[must_use]
    pub const fn family(&self) -> Family {
        self.family
    }

    /// Its octets, without the path identifier.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.octets
    }

    /// The octets that make it the same route as another.
    #[must_use]
    pub fn key(&self) -> NlriKey<'a> {
        Shape::of(self.family).map_or(NlriKey::of(&[self.octets]), |shape| shape.key(self.octets))
    }

    /// As an EVPN route; `None` for other families, other types, and values that do not parse.
    #[must_use]
    pub fn evpn(&self) -> Option<EvpnRoute> {
        if self.family == Family::EVPN { EvpnRoute::parse(self.octets) } else { None }
    }

    /// As a flow specification; `None` for other families.
    #[must_use]
    pub fn flowspec(&self) -> Option<FlowSpec<'a>> {
        FlowSpec::parse(self.family, self.octets)
    }
}

impl WriteNlri for OpaqueNlri<'_> {
    /// Octets that are not exactly one NLRI are of none, whoever was trusted with them.
    fn is_of(&self, family: Family) -> bool {
        let whole = |shape: Shape| shape.split(self.octets).is_some_and(|(_, rest)| rest.is_empty());
        self.family == family && Shape::of(family).is_some_and(whole)
    }

    /// One that is malformed inside can be withdrawn, but not announced.
    fn is_sendable(&self, family: Family, _: &Codec) -> bool {
        self.is_of(family) && Shape::of(family).is_some_and(|shape| shape.flaw(self.octets).is_none())
    }

    fn wire_len(&self) -> usize {
        self.octets.len()
    }

    fn write(&self, out: &mut BytesMut) {
        out.put_slice(self.octets);
    }
}

/// What is understood of it, or its octets in hex.
impl fmt::Display for OpaqueNlri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(route) = self.evpn() {
            return route.fmt(f);
        }
        if let Some(flow) = self.flowspec().filter(FlowSpec::is_whole) {
            return flow.fmt(f);
        }
        self.octets.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// The most stretches that a key has: those between and around two prefixes whose last octets are masked; or a type, a
/// distinguisher, the whole octets of a prefix, the masked one, and zeroes.
const PARTS: usize = 5;

/// In place of the octets of an address that are beyond the prefix.
pub(super) static ZEROES: [u8; 16] = [0; 16];

/// Each octet, so that one that is nowhere in the NLRI can be a stretch of its key.
static OCTETS: [u8; 256] = {
    let (mut octets, mut next) = ([0; 256], 0u8);
    let mut rest: &mut [u8] = &mut octets;
    while let [octet, behind @ ..] = rest {
        *octet = next;
        next = next.wrapping_add(1);
        rest = behind;
    }
    octets
};

/// The octets of which all bits are within the prefix, and the one of which only some are, masked.
pub(super) fn network(octets: &[u8], bits: usize) -> Option<(&[u8], &'static [u8])> {
    let (whole, rest) = octets.split_at_checked(bits / 8)?;
    if bits.is_multiple_of(8) {
        return Some((whole, &[]));
    }
    let masked = usize::from(rest.first()? & !(u8::MAX >> (bits % 8)));
    Some((whole, OCTETS.get(masked..=masked)?))
}

/// The key of an NLRI, in a few stretches of octets. Two are equal when the octets are, in a row.
#[derive(Debug, Clone, Copy)]
pub struct NlriKey<'a> {
    parts: [&'a [u8]; PARTS],
}

impl<'a> NlriKey<'a> {
    pub(super) fn of(stretches: &[&'a [u8]]) -> Self {
        let mut parts: [&'a [u8]; PARTS] = [&[]; PARTS];
        for (part, stretch) in parts.iter_mut().zip(stretches) {
            *part = stretch;
        }
        Self { parts }
    }

    /// The stretches of octets, some of them empty.
    #[must_use]
    pub const fn stretches(&self) -> &[&'a [u8]] {
        &self.parts
    }

    /// The octets in a row.
    pub fn iter(&self) -> impl Iterator<Item = u8> + use<'a> {
        self.parts.into_iter().flatten().copied()
    }

    /// The number of octets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.len()).sum()
    }

    /// Whether there is no octet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the octets.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        self.parts.iter().for_each(|part| out.extend_from_slice(part));
    }
}

impl PartialEq for NlriKey<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for NlriKey<'_> {}

impl Hash for NlriKey<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_usize(self.len());
        self.iter().for_each(|octet| state.write_u8(octet));
    }
}
