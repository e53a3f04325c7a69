//! The table of families beyond plain prefixes: how an NLRI is delimited, what is checked of it, which octets are its key.
use super::opaque::{NlriKey, ZEROES, network};
use super::{evpn, flowspec, link_state, mup};
use crate::Family;
use crate::parse::front16;

/// One family's row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    end: End,
    inside: Inside,
    key: Key,
}

/// Where an NLRI ends.
#[derive(Debug, Clone, Copy)]
enum End {
    /// One octet at the front counts the bits behind it.
    Bits,
    /// So many octets, then a length field of so many octets that counts the octets behind it.
    Length { before: usize, width: usize },
    /// One octet of length, then one that says how many octets the key has behind the type (RFC 9871 §2.9.2).
    Car,
    /// One octet of length, or two from 240 on (RFC 8955 §4.1).
    FlowSpec,
}

/// What is read of an NLRI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    /// Labels and a prefix (RFC 8277).
    Labeled,
    /// Labels, perhaps, a route distinguisher and a prefix (RFC 4364).
    Vpn,
    /// RFC 4684.
    RouteTarget,
    /// Nothing.
    Opaque,
    /// The order and form of the components, behind so many octets (RFC 8955).
    FlowSpec { before: usize, ipv6: bool },
    /// That there are so many bits (RFC 9830 §2.1).
    Exactly(u8),
    /// That the TLVs, behind so many octets, are whole (RFC 9552).
    LinkState(usize),
    /// The lengths (draft-ietf-bess-mup-safi §3.1).
    Mup { ipv6: bool },
    /// The lengths of types 1 to 5 (RFC 7432 §7, RFC 9136 §3.1).
    Evpn,
}

/// Which octets of an opaque NLRI are its key.
#[derive(Debug, Clone, Copy)]
enum Key {
    Whole,
    Vpls,
    Evpn,
    /// The prefix of types 1 and 2 is behind so many octets (RFC 9871 §2.9.2, §2.10).
    Car {
        before: usize,
    },
    Mup,
    /// What is behind the length, which has two forms (RFC 8955 §4.1).
    FlowSpec,
}

/// What is wrong with an NLRI whose end is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// It alone is left out: NLRI discard (RFC 9552 §8.2.2).
    Discard,
    /// The routes of the message count as withdrawn (RFC 7606 §2).
    Withdraw,
}

/// A row of opaque NLRI whose length is behind so many octets.
const fn length(before: usize, width: usize) -> Shape {
    Shape { end: End::Length { before, width }, inside: Inside::Opaque, key: Key::Whole }
}

const fn bits(inside: Inside) -> Shape {
    Shape { end: End::Bits, inside, key: Key::Whole }
}

const fn keyed(shape: Shape, key: Key) -> Shape {
    Shape { key, ..shape }
}

const fn flow(inside: Inside) -> Shape {
    Shape { end: End::FlowSpec, inside, key: Key::FlowSpec }
}

/// A type of two octets and a length of two (RFC 9552 §5.2).
const fn link_state_nlri(before: usize) -> Shape {
    Shape { end: End::Length { before: 2, width: 2 }, inside: Inside::LinkState(before), key: Key::Whole }
}

impl Shape {
    /// The row of a family; `None` for plain prefixes, which are read elsewhere, and for families not in the table.
    pub(crate) const fn of(family: Family) -> Option<Self> {
        Some(match (family.afi.0, family.safi.0) {
            (1 | 2, 4) => bits(Inside::Labeled),
            // Classful transport has the encoding of a VPN (RFC 9832 §7.1).
            (1 | 2, 76 | 128 | 129) => bits(Inside::Vpn),
            (1, 132) => bits(Inside::RouteTarget),
            // MCAST-VPN, MCAST-VPLS, MCAST-TREE: type, length (RFC 6514 §4, RFC 7117 §3, draft-ietf-bess-bgp-multicast §3.1).
            (1 | 2, 5 | 78) | (25, 8) => length(1, 1),
            // Prefixes of endpoint addresses, and of attachment identifiers (RFC 7267 §3.2, RFC 5512 §3).
            (25, 6) | (1 | 2, 7) => bits(Inside::Opaque),
            // Service functions: type of two octets, length of two (RFC 9015 §3.1).
            (31, 9) => length(2, 2),
            (25, 65) => keyed(length(0, 2), Key::Vpls),
            (1, 66) => bits(Inside::Opaque),
            (25, 70) => Self { inside: Inside::Evpn, ..keyed(length(1, 1), Key::Evpn) },
            (16388, 71 | 80) => link_state_nlri(0),
            (16388, 72) => link_state_nlri(8),
            // Distinguisher, color, endpoint (RFC 9830 §2.1).
            (1, 73) => bits(Inside::Exactly(96)),
            (2, 73) => bits(Inside::Exactly(192)),
            (1 | 2, 83) => Self { end: End::Car, inside: Inside::Opaque, key: Key::Car { before: 0 } },
            (1 | 2, 84) => Self { end: End::Car, inside: Inside::Opaque, key: Key::Car { before: 8 } },
            // Architecture, type of two octets, length (draft-ietf-bess-mup-safi §3.1).
            (1 | 2, 85) => {
                Self { inside: Inside::Mup { ipv6: family.afi.0 == 2 }, ..keyed(length(3, 1), Key::Mup) }
            }
            (1 | 2, 133) => flow(Inside::FlowSpec { before: 0, ipv6: family.afi.0 == 2 }),
            (1 | 2, 134) => flow(Inside::FlowSpec { before: 8, ipv6: family.afi.0 == 2 }),
            // Of components of their own (draft-ietf-idr-flowspec-l2vpn).
            (6, 133) | (25, 134) => flow(Inside::Opaque),
            _ => return None,
        })
    }

    /// Whether an NLRI is shown by its octets.
    pub(super) fn is_opaque(&self) -> bool {
        !matches!(self.inside, Inside::Labeled | Inside::Vpn | Inside::RouteTarget)
    }

    pub(super) fn is_labeled(&self) -> bool {
        self.inside == Inside::Labeled
    }

    pub(super) fn is_vpn(&self) -> bool {
        self.inside == Inside::Vpn
    }

    /// Takes one NLRI, without a path identifier, from the front.
    #[inline]
    pub(super) fn split<'a>(&self, octets: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let (header, len) = match self.end {
            End::Bits => (1, usize::from(octets.first()?.div_ceil(8))),
            End::Length { before, width: 1 } => (before.checked_add(1)?, usize::from(*octets.get(before)?)),
            End::Length { before, .. } => {
                (before.checked_add(2)?, usize::from(front16(octets.get(before..)?)?))
            }
            End::Car => (1, car_length(octets)?),
            End::FlowSpec => flowspec::length(octets)?,
        };
        octets.split_at_checked(header.checked_add(len)?)
    }

    /// What is wrong inside an NLRI that reaches to its end.
    pub(super) fn flaw(&self, one: &[u8]) -> Option<Flaw> {
        match self.inside {
            Inside::FlowSpec { before, ipv6 } => {
                (!flowspec::is_whole(one, before, ipv6)).then_some(Flaw::Withdraw)
            }
            // Its end is known, so it can be withdrawn (RFC 9830 §5).
            Inside::Exactly(bits) => (one.first() != Some(&bits)).then_some(Flaw::Withdraw),
            Inside::Evpn => (!evpn::is_whole(one)).then_some(Flaw::Withdraw),
            Inside::Mup { ipv6 } => (!mup::is_whole(one, ipv6)).then_some(Flaw::Withdraw),
            Inside::LinkState(_) => self.is_left_out(one).then_some(Flaw::Discard),
            // Neither the default nor an origin AS: its end is known all the same (RFC 4684 §4).
            Inside::RouteTarget => {
                one.first().is_some_and(|bits| (1..32).contains(bits)).then_some(Flaw::Withdraw)
            }
            _ => None,
        }
    }

    /// Whether it alone is malformed and not shown, which only BGP-LS has (RFC 9552 §8.2.2).
    pub(super) fn is_left_out(&self, one: &[u8]) -> bool {
        matches!(self.inside, Inside::LinkState(before) if !link_state::is_whole(one, before))
    }

    /// The octets that make it the same route as another; all of them, where it is too short for its type.
    pub(super) fn key<'a>(&self, one: &'a [u8]) -> NlriKey<'a> {
        let parts = match self.key {
            Key::Whole => None,
            Key::Vpls => vpls_key(one),
            Key::Evpn => evpn_key(one),
            Key::Car { before } => car_key(one, before),
            Key::Mup => mup::key(one),
            Key::FlowSpec => match self.inside {
                Inside::FlowSpec { before, ipv6 } => flowspec::key(one, before, ipv6),
                _ => flowspec::length(one).and_then(|(header, _)| Some(NlriKey::of(&[one.get(header..)?]))),
            },
        };
        parts.unwrap_or_else(|| NlriKey::of(&[one]))
    }
}

/// Distinguisher, VE or CE ID and block offset of an announcement of labels: size and base follow in VPLS (RFC 4761 §3.2.2),
/// base and TLVs about the circuits in a layer-2 VPN (RFC 6624 §4.1). Of others all, as of the addresses of RFC 6074 §3.2.2.
fn vpls_key(one: &[u8]) -> Option<NlriKey<'_>> {
    const VPLS: usize = 19;
    const LAYER_2_VPN: usize = 17;
    // A longer one ends with whole TLVs, as the address of a PE does not.
    let tlvs = one.get(LAYER_2_VPN..)?;
    let is_told = one.len() == VPLS || are_tlvs(tlvs, true) || are_tlvs(tlvs, false);
    if is_told { Some(NlriKey::of(&[one.get(2..14)?])) } else { None }
}

/// Whether the octets are TLVs whose type has one octet and whose length has two, which counts the bits of a circuit status
/// vector (RFC 6624 §4.2); as that is misread, its octets too.
fn are_tlvs(mut octets: &[u8], bits: bool) -> bool {
    const CIRCUIT_STATUS: u8 = 1;
    // No type is 0, which the end of an address often is.
    while let [kind @ 1..=u8::MAX, high, low, rest @ ..] = octets {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let len = if bits && *kind == CIRCUIT_STATUS { len.div_ceil(8) } else { len };
        let Some(rest) = rest.get(len..) else { return false };
        octets = rest;
    }
    octets.is_empty()
}

/// RFC 7432 §7.1 and on, RFC 9136 §3.1, RFC 9251 §9: the length, labels, a segment that is only told, and flags at the end
/// do not count.
fn evpn_key(one: &[u8]) -> Option<NlriKey<'_>> {
    let (kind, value) = (one.get(..1)?, one.get(2..)?);
    Some(match kind {
        // Labels behind distinguisher, segment, tag.
        [1] => NlriKey::of(&[kind, value.get(..22)?]),
        // The segment in the middle; labels behind the address.
        [2] => {
            let address = usize::from(value.get(29)?.div_ceil(8));
            NlriKey::of(&[kind, value.get(..8)?, value.get(18..30usize.checked_add(address)?)?])
        }
        [3 | 4] => NlriKey::of(&[kind, value]),
        // The segment; gateway and label behind the prefix.
        [5] => {
            let address = match value.len() {
                34 => 4,
                _ => 16,
            };
            let prefix = value.get(23..)?.get(..address)?;
            let (whole, odd) = network(prefix, usize::from(*value.get(22)?))?;
            // Zeroes in place of the host's bits keep the two address families apart.
            let behind = address.checked_sub(whole.len())?.checked_sub(odd.len())?;
            let front = value.get(18..23usize.checked_add(whole.len())?)?;
            NlriKey::of(&[kind, value.get(..8)?, front, odd, ZEROES.get(..behind)?])
        }
        // Flags; behind a reserved word and a response time in a leave.
        [6 | 7] => NlriKey::of(&[kind, value.split_last()?.1]),
        [8] => NlriKey::of(&[kind, value.split_last_chunk::<6>()?.0]),
        _ => NlriKey::of(&[kind, value]),
    })
}

/// The length, where the key fits it: it is relied upon to withdraw what is malformed (RFC 9871 §2.11).
fn car_length(octets: &[u8]) -> Option<usize> {
    let [len, key, ..] = octets else { return None };
    (usize::from(*len) >= usize::from(*key).saturating_add(2)).then_some(usize::from(*len))
}

/// Length, length of the key, type, key; what follows are TLVs (RFC 9871 §2.9.2). The key of types 1 and 2 has a prefix
/// behind its bits, and the color where there is one.
fn car_key(one: &[u8], before: usize) -> Option<NlriKey<'_>> {
    let len = usize::from(*one.get(1)?);
    let key = one.get(2..)?.get(..len.checked_add(1)?)?;
    let masked = matches!(key, [1 | 2, ..]).then(|| masked_prefix(key, before.checked_add(1)?)).flatten();
    Some(masked.unwrap_or_else(|| NlriKey::of(&[key])))
}

/// Octets with a prefix in them, its bits counted by the octet at a place, without those beyond the bits.
fn masked_prefix(octets: &[u8], bits_at: usize) -> Option<NlriKey<'_>> {
    let prefix = bits_at.checked_add(1)?;
    let bits = usize::from(*octets.get(bits_at)?);
    let (whole, odd) = network(octets.get(prefix..)?, bits)?;
    let front = prefix.checked_add(whole.len())?;
    Some(NlriKey::of(&[octets.get(..front)?, odd, octets.get(front.checked_add(odd.len())?..)?]))
}
