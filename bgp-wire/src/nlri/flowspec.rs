//! Flow specifications (RFC 8955 for IPv4, RFC 8956 for IPv6): a view of their components.
use core::fmt;
use core::iter::FusedIterator;

use super::RouteDistinguisher;
use super::flowspec_component::{FlowComponent, FlowComponentType};
use super::opaque::{NlriKey, network};
use crate::{Afi, Family, Safi};

/// A flow specification over the octets of its NLRI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlowSpec<'a> {
    /// The VPN it is for, in the VPN families (RFC 8955 §8).
    pub distinguisher: Option<RouteDistinguisher>,
    ipv6: bool,
    components: &'a [u8],
}

/// The octets of the length field, and what it says (RFC 8955 §4.1).
#[inline]
pub(super) fn length(octets: &[u8]) -> Option<(usize, usize)> {
    match octets {
        [short @ ..0xf0, ..] => Some((1, usize::from(*short))),
        [high, low, ..] => Some((2, usize::from(u16::from_be_bytes([high & 0x0f, *low])))),
        _ => None,
    }
}

/// Whether what is behind the length and so many octets is a flow specification.
pub(super) fn is_whole(one: &[u8], before: usize, ipv6: bool) -> bool {
    let components = length(one).and_then(|(header, _)| one.get(header.checked_add(before)?..));
    components.is_some_and(|components| FlowSpec { distinguisher: None, ipv6, components }.is_whole())
}

/// What is behind the length, the host bits of both prefixes masked (RFC 8955 §4.2.2.1, RFC 8956 §3.1).
pub(super) fn key(one: &[u8], before: usize, ipv6: bool) -> Option<NlriKey<'_>> {
    let value = one.get(length(one)?.0..)?;
    let mut parts: [&[u8]; 5] = [&[]; 5];
    // Up to where the octets are in the key already.
    let (mut from, mut at) = (0, before);
    for (part, kind) in parts.as_chunks_mut::<2>().0.iter_mut().zip([1, 2]) {
        let [stretch, masked] = part;
        let Some((front, octets, odd)) = prefix_at(value, at, kind, ipv6) else { continue };
        *stretch = value.get(from..front)?;
        *masked = odd;
        (from, at) = (front.checked_add(odd.len())?, octets);
    }
    let [.., last] = &mut parts;
    *last = value.get(from..)?;
    Some(NlriKey::of(&parts))
}

/// Of a prefix component at a place: where the octets end that are wholly within the prefix, where the component ends, and
/// the octet between, masked.
fn prefix_at(value: &[u8], at: usize, kind: u8, ipv6: bool) -> Option<(usize, usize, &'static [u8])> {
    let [first, rest @ ..] = value.get(at..)? else { return None };
    let (bits, header) = match rest {
        [len, offset, ..] if ipv6 => (usize::from(*len).checked_sub(usize::from(*offset))?, 3),
        [len, ..] if !ipv6 => (usize::from(*len), 2),
        _ => return None,
    };
    let start = at.checked_add(header)?;
    let (whole, odd) = network(value.get(start..)?, bits).filter(|_| *first == kind)?;
    let front = start.checked_add(whole.len())?;
    Some((front, front.checked_add(odd.len())?, odd))
}

impl<'a> FlowSpec<'a> {
    /// Reads one NLRI, its length in front; `None` for other families, and where the length does not fit. Components are
    /// not looked at.
    #[must_use]
    pub fn parse(family: Family, octets: &'a [u8]) -> Option<Self> {
        if !matches!(family, Family { afi: Afi::IPV4 | Afi::IPV6, safi: Safi(133 | 134) }) {
            return None;
        }
        let (header, len) = length(octets)?;
        let mut components = octets.get(header..).filter(|rest| rest.len() == len)?;
        let mut distinguisher = None;
        if family.safi == Safi(134) {
            let (front, rest) = components.split_first_chunk::<8>()?;
            (distinguisher, components) = (Some(RouteDistinguisher(*front)), rest);
        }
        Some(Self { distinguisher, ipv6: family.afi == Afi::IPV6, components })
    }

    /// The components, as far as they parse.
    #[must_use]
    pub const fn components(&self) -> FlowComponents<'a> {
        FlowComponents { ipv6: self.ipv6, rest: self.components }
    }

    /// Whether there are components, all of them parse, and their types ascend (RFC 8955 §4.2).
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let mut components = self.components();
        let mut last = FlowComponentType(0);
        for component in components.by_ref() {
            if component.kind <= last {
                return false;
            }
            last = component.kind;
        }
        components.rest.is_empty() && last != FlowComponentType(0)
    }
}

/// The components of a flow specification; all must match.
#[derive(Debug, Clone)]
pub struct FlowComponents<'a> {
    ipv6: bool,
    rest: &'a [u8],
}

impl<'a> Iterator for FlowComponents<'a> {
    type Item = FlowComponent<'a>;

    fn next(&mut self) -> Option<FlowComponent<'a>> {
        let (component, rest) = FlowComponent::split(self.rest, self.ipv6)?;
        self.rest = rest;
        Some(component)
    }
}

impl FusedIterator for FlowComponents<'_> {}

/// `destination 192.0.2.0/24, protocol =6, port >=80&<=90`.
impl fmt::Display for FlowSpec<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(distinguisher) = self.distinguisher {
            write!(f, "{distinguisher}: ")?;
        }
        for (at, component) in self.components().enumerate() {
            write!(f, "{}{component}", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}
