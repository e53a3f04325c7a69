//! A block of NLRI: validated octets of one family.
use super::ip::{Ipv4Nlri, Ipv6Nlri, check_ipv4, check_ipv6};
use super::labeled::{read_labeled, read_vpn};
use super::shape::{Flaw, Shape};
use super::{Nlri, OpaqueNlri, RouteTargetMembership};
use crate::parse::front32;
use crate::{Family, PathId};

/// What a session adds to NLRI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct NlriForm {
    /// Each begins with a path identifier (RFC 7911).
    pub(crate) add_path: bool,
    /// Labels go on to the bottom of the stack; else there is one (RFC 8277 §2.1).
    pub(crate) stacks: bool,
}

/// Validated NLRI of one family; its iterators cannot fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NlriBlock<'a> {
    family: Family,
    form: NlriForm,
    bytes: &'a [u8],
}

impl<'a> NlriBlock<'a> {
    /// Validates octets as NLRI of a family, with one label each where it has labels; `None` where they do not parse or
    /// the family is not in the table.
    #[must_use]
    pub fn parse(family: Family, add_path: bool, bytes: &'a [u8]) -> Option<Self> {
        let form = NlriForm { add_path, stacks: false };
        (judge(family, form, bytes) == Judgement::Good).then_some(Self { family, form, bytes })
    }

    /// Over octets that the decoder has checked.
    #[inline]
    pub(crate) const fn checked(family: Family, form: NlriForm, bytes: &'a [u8]) -> Self {
        Self { family, form, bytes }
    }

    /// The family.
    #[must_use]
    pub const fn family(&self) -> Family {
        self.family
    }

    /// Whether each NLRI carries a path identifier.
    #[must_use]
    pub const fn add_path(&self) -> bool {
        self.form.add_path
    }

    /// The octets as received.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether there is no NLRI.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The IPv4 prefixes; none in a block of another family.
    #[inline]
    #[must_use]
    pub fn ipv4(&self) -> Ipv4Nlri<'a> {
        Ipv4Nlri::new(if self.family.is_ipv4_prefix() { self.bytes } else { &[] }, self.form.add_path)
    }

    /// The IPv6 prefixes; none in a block of another family.
    #[inline]
    #[must_use]
    pub fn ipv6(&self) -> Ipv6Nlri<'a> {
        Ipv6Nlri::new(if self.family.is_ipv6_prefix() { self.bytes } else { &[] }, self.form.add_path)
    }

    /// The NLRI of whatever family, without those that are malformed inside and were to be left out (RFC 9552 §8.2.2).
    #[must_use]
    pub fn iter(&self) -> NlriIter<'a> {
        let shape = Shape::of(self.family);
        let rest = if shape.is_some() { self.bytes } else { &[] };
        NlriIter {
            v4: self.ipv4(),
            v6: self.ipv6(),
            shaped: shape.map(|shape| Shaped { family: self.family, shape, form: self.form, rest }),
        }
    }
}

impl<'a> Nlri<'a> {
    /// The octets as one NLRI, without a path identifier; labels are one, or go on to the bottom of the stack
    /// (RFC 8277 §2.1). `None` where they are not exactly that.
    #[must_use]
    pub fn parse(family: Family, multiple_labels: bool, octets: &'a [u8]) -> Option<Self> {
        let form = NlriForm { add_path: false, stacks: multiple_labels };
        if judge(family, form, octets) != Judgement::Good {
            return None;
        }
        let mut all = NlriBlock::checked(family, form, octets).iter();
        let (_, one) = all.next()?;
        all.next().is_none().then_some(one)
    }
}

impl<'a> IntoIterator for NlriBlock<'a> {
    type Item = (PathId, Nlri<'a>);
    type IntoIter = NlriIter<'a>;

    fn into_iter(self) -> NlriIter<'a> {
        self.iter()
    }
}

/// Whether a family's NLRI are in the table.
#[inline]
pub(crate) fn is_decoded(family: Family) -> bool {
    family.is_ipv4_prefix() || family.is_ipv6_prefix() || Shape::of(family).is_some()
}

/// Whether the octets are whole NLRI of a family of plain prefixes.
#[inline]
pub(crate) fn check(family: Family, add_path: bool, bytes: &[u8]) -> bool {
    if family.is_ipv4_prefix() {
        check_ipv4(bytes, add_path)
    } else {
        family.is_ipv6_prefix() && check_ipv6(bytes, add_path)
    }
}

/// What a block of NLRI is worth (RFC 7606 §5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judgement {
    Good,
    /// Each has an end, but not all are good inside.
    Flawed(Flaw),
    /// Where one begins or ends is unknown.
    Malformed,
}

/// Judges the NLRI of a family.
#[inline]
pub(crate) fn judge(family: Family, form: NlriForm, bytes: &[u8]) -> Judgement {
    if family.is_ipv4_prefix() || family.is_ipv6_prefix() {
        return if check(family, form.add_path, bytes) { Judgement::Good } else { Judgement::Malformed };
    }
    let Some(shape) = Shape::of(family) else { return Judgement::Malformed };
    let mut shaped = Shaped { family, shape, form, rest: bytes };
    let mut flaw = None;
    while let Some((_, one)) = shaped.split() {
        let wrong = shape.flaw(one);
        if wrong.is_none() && !shape.is_opaque() && shaped.read(one).is_none() {
            return Judgement::Malformed;
        }
        flaw = flaw.or(wrong);
    }
    match flaw {
        _ if !shaped.rest.is_empty() => Judgement::Malformed,
        Some(flaw) => Judgement::Flawed(flaw),
        None => Judgement::Good,
    }
}

/// The NLRI of a family that has a row.
#[derive(Debug, Clone)]
struct Shaped<'a> {
    family: Family,
    shape: Shape,
    form: NlriForm,
    rest: &'a [u8],
}

impl<'a> Shaped<'a> {
    /// The next, by its octets; what is left over after the last whole one stays.
    fn split(&mut self) -> Option<(PathId, &'a [u8])> {
        let (id, rest) =
            if self.form.add_path { (front32(self.rest)?, self.rest.get(4..)?) } else { (0, self.rest) };
        let (one, rest) = self.shape.split(rest)?;
        self.rest = rest;
        Some((PathId(id), one))
    }

    fn read(&self, one: &'a [u8]) -> Option<Nlri<'a>> {
        if self.shape.is_opaque() {
            Some(Nlri::Opaque(OpaqueNlri::trusted(self.family, one)))
        } else if self.shape.is_labeled() {
            read_labeled(self.family, self.form.stacks, one).map(Nlri::Labeled)
        } else if self.shape.is_vpn() {
            read_vpn(self.family, self.form.stacks, one).map(Nlri::Vpn)
        } else {
            RouteTargetMembership::read(one).map(Nlri::RouteTarget)
        }
    }
}

impl<'a> Iterator for Shaped<'a> {
    type Item = (PathId, Nlri<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (id, one) = self.split()?;
            if self.shape.is_left_out(one) {
                continue;
            }
            // What cannot be read has its flaw told beside it.
            if let Some(nlri) = self.read(one) {
                return Some((id, nlri));
            }
        }
    }
}

/// The NLRI of a block.
#[derive(Debug, Clone)]
pub struct NlriIter<'a> {
    v4: Ipv4Nlri<'a>,
    v6: Ipv6Nlri<'a>,
    shaped: Option<Shaped<'a>>,
}

impl<'a> Iterator for NlriIter<'a> {
    type Item = (PathId, Nlri<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let v4 = self.v4.next().map(|(id, p)| (id, Nlri::Ipv4(p)));
        let plain = v4.or_else(|| self.v6.next().map(|(id, p)| (id, Nlri::Ipv6(p))));
        plain.or_else(|| self.shaped.as_mut()?.next())
    }
}
