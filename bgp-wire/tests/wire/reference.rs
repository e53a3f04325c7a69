//! RFC 7606 once more, told as plainly as it is written, beside the decoder: for any message both come to the same.
use bgp_wire::{Codec, PeerKind, Reaction};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::build::{NET, NET6, NEXT_HOP6, codec, message};

/// What a fault asks for, in the order of strength.
type Verdict = Reaction;

const DISCARD: Verdict = Reaction::AttributeDiscard;
const WITHDRAW: Verdict = Reaction::TreatAsWithdraw;
const RESET: Verdict = Reaction::SessionReset;

/// Whole prefixes of at most so many bits (§5.3).
fn are_prefixes(mut octets: &[u8], most: u8) -> bool {
    while let Some((bits, rest)) = octets.split_first() {
        let len = usize::from(*bits).div_ceil(8);
        if *bits > most || rest.len() < len {
            return false;
        }
        octets = &rest[len..];
    }
    true
}

/// A path of four-octet numbers (§7.2, RFC 5065 §5, RFC 7607 §2).
fn is_path(mut octets: &[u8], external: bool) -> bool {
    while !octets.is_empty() {
        let [kind, count, rest @ ..] = octets else { return false };
        let len = usize::from(*count) * 4;
        let known = if external { 1..=2 } else { 1..=4 };
        if !known.contains(kind) || *count == 0 || rest.len() < len {
            return false;
        }
        if rest[..len].chunks(4).any(|asn| asn == [0; 4]) {
            return false;
        }
        octets = &rest[len..];
    }
    true
}

fn is_many(value: &[u8], of: usize) -> bool {
    !value.is_empty() && value.len().is_multiple_of(of)
}

/// TLVs with so many octets of type, and two of a length that counts them or not.
fn are_tlvs(mut value: &[u8], kind: usize, counts_itself: bool, good: impl Fn(&[u8], &[u8]) -> bool) -> bool {
    if value.is_empty() {
        return false;
    }
    while !value.is_empty() {
        let Some((header, rest)) = value.split_at_checked(kind + 2) else { return false };
        let len = usize::from(u16::from_be_bytes([header[kind], header[kind + 1]]));
        let Some(len) = len.checked_sub(if counts_itself { kind + 2 } else { 0 }) else { return false };
        let Some((inside, rest)) = rest.split_at_checked(len) else { return false };
        if !good(&header[..kind], inside) {
            return false;
        }
        value = rest;
    }
    true
}

/// Sub-TLVs of a tunnel, to its end (RFC 9012 §13).
fn are_sub_tlvs(mut value: &[u8]) -> bool {
    while !value.is_empty() {
        let header = if value[0] < 128 { 2 } else { 3 };
        if value.len() < header {
            return false;
        }
        let len = value[1..header].iter().fold(0, |len, octet| len << 8 | usize::from(*octet));
        if value.len() < header + len {
            return false;
        }
        value = &value[header + len..];
    }
    true
}

/// Whether some SRv6 service is malformed (RFC 9252 §7).
fn has_broken_service(mut value: &[u8]) -> bool {
    let whole = |value: &[u8], good: &dyn Fn(&[u8], &[u8]) -> bool| {
        value.is_empty() || are_tlvs(value, 1, false, good)
    };
    let information = |kind: &[u8], inside: &[u8]| {
        kind != [1] || (inside.len() >= 21 && whole(&inside[21..], &|_, _| true))
    };
    while let Some(kind) = value.first() {
        let len = value.get(1..3).map_or(usize::MAX, |l| usize::from(u16::from_be_bytes([l[0], l[1]])));
        let inside = value.get(3..).and_then(|rest| rest.get(..len));
        let Some(inside) = inside else { return matches!(kind, 5 | 6) };
        if matches!(kind, 5 | 6) && (inside.is_empty() || !whole(&inside[1..], &information)) {
            return true;
        }
        value = &value[3 + len..];
    }
    false
}

/// One attribute that is no MP attribute, on a session of four-octet AS numbers.
fn judged(flags: u8, code: u8, value: &[u8], external: bool) -> Option<Verdict> {
    const WELL_KNOWN: u8 = 0x40;
    const OPTIONAL: u8 = 0x80;
    const TRANSITIVE: u8 = 0xc0;
    let len = value.len();
    let srgb = |kind: &[u8], inside: &[u8]| match kind {
        [1] => inside.len() == 7,
        [3] => inside.len() > 2 && (inside.len() - 2).is_multiple_of(6),
        _ => true,
    };
    // Kind, whether it is for external peers too, whether its value is good, and the reaction to bad flags and values.
    let (kind, anybody, good, bad_flags, bad_value) = match code {
        1 => (WELL_KNOWN, true, len == 1 && value[0] <= 2, WITHDRAW, WITHDRAW),
        2 => (WELL_KNOWN, true, is_path(value, external), WITHDRAW, WITHDRAW),
        3 => (WELL_KNOWN, true, len == 4, WITHDRAW, WITHDRAW),
        4 => (OPTIONAL, true, len == 4, WITHDRAW, WITHDRAW),
        5 => (WELL_KNOWN, false, len == 4, WITHDRAW, WITHDRAW),
        6 => (WELL_KNOWN, true, len == 0, WITHDRAW, DISCARD),
        7 => (TRANSITIVE, true, len == 8 && value[..4] != [0; 4], WITHDRAW, DISCARD),
        8 => (TRANSITIVE, true, is_many(value, 4), WITHDRAW, WITHDRAW),
        9 => (OPTIONAL, false, len == 4, WITHDRAW, WITHDRAW),
        10 => (OPTIONAL, false, is_many(value, 4), WITHDRAW, WITHDRAW),
        16 => (TRANSITIVE, true, is_many(value, 8), WITHDRAW, WITHDRAW),
        // Between four-octet speakers (RFC 6793 §4.1).
        17 | 18 => return Some(DISCARD),
        22 => {
            let lengths: &[usize] = match value.get(1) {
                Some(1) => &[17, 29],
                Some(3..=5) => &[13, 37],
                Some(6) => &[9, 21],
                _ => &[],
            };
            let good = if lengths.is_empty() { len >= 5 } else { lengths.contains(&len) };
            (TRANSITIVE, true, good, WITHDRAW, WITHDRAW)
        }
        23 => (
            TRANSITIVE,
            false,
            are_tlvs(value, 2, false, |_, inside| are_sub_tlvs(inside)),
            WITHDRAW,
            WITHDRAW,
        ),
        25 => (TRANSITIVE, true, is_many(value, 20), WITHDRAW, WITHDRAW),
        26 => {
            let metric = |kind: &[u8], inside: &[u8]| kind != [1] || inside.len() == 8;
            // The first, if it is the first TLV, is of the greatest metric.
            let infinite = value.starts_with(&[&[1, 0, 11][..], &[0xff; 8]].concat());
            (OPTIONAL, false, are_tlvs(value, 1, true, metric) && !infinite, DISCARD, DISCARD)
        }
        29 => (OPTIONAL, true, are_tlvs(value, 2, false, |_, _| true), WITHDRAW, DISCARD),
        32 => (TRANSITIVE, true, is_many(value, 12), WITHDRAW, WITHDRAW),
        35 => (TRANSITIVE, true, len == 4, WITHDRAW, WITHDRAW),
        40 => {
            let bad_value = if has_broken_service(value) { WITHDRAW } else { DISCARD };
            (TRANSITIVE, false, are_tlvs(value, 1, false, srgb) && bad_value == DISCARD, WITHDRAW, bad_value)
        }
        128 => {
            let (inside, left) = split(value.get(4..).unwrap_or(&[1]));
            let good = |(flags, code, value): &Raw<'_>| match code {
                14 | 15 => false,
                17 | 18 | 128 => true,
                _ => judged(*flags, *code, value, false).is_none(),
            };
            (TRANSITIVE, true, left.is_empty() && inside.iter().all(good), WITHDRAW, WITHDRAW)
        }
        // RFC 4271 §6.3.
        _ => return (flags & 0x80 == 0).then_some(RESET),
    };
    if external && !anybody {
        return Some(DISCARD);
    }
    if flags & 0xc0 != kind {
        return Some(bad_flags);
    }
    (!good).then_some(bad_value)
}

/// Flags, type and value.
type Raw<'a> = (u8, u8, &'a [u8]);

/// Each whole attribute, and what is left (§4).
fn split(mut section: &[u8]) -> (Vec<Raw<'_>>, &[u8]) {
    let mut all = vec![];
    loop {
        let long = section.first().is_some_and(|flags| flags & 0x10 != 0);
        let header = if long { 4 } else { 3 };
        if section.len() < header {
            return (all, section);
        }
        let len = if long {
            usize::from(u16::from_be_bytes([section[2], section[3]]))
        } else {
            usize::from(section[2])
        };
        if section.len() < header + len {
            return (all, section);
        }
        all.push((section[0], section[1], &section[header..header + len]));
        section = &section[header + len..];
    }
}

/// Whether a family is one of the session's two.
fn is_spoken(value: &[u8]) -> bool {
    value.starts_with(&[0, 1, 1]) || value.starts_with(&[0, 2, 1])
}

/// The address of a host (RFC 4271 §6.3).
fn is_host4(a: &[u8]) -> bool {
    a[0] != 0 && !(224..240).contains(&a[0]) && a != [255; 4]
}

/// The NLRI of an MP attribute of a family of the session; an error is a reset (§5.3, §7.11).
fn mp(flags: u8, code: u8, value: &[u8]) -> Result<(&[u8], Option<Verdict>), ()> {
    if flags & 0xc0 != 0x80 || value.len() < 3 {
        return Err(());
    }
    let ipv6 = value[1] == 2;
    let (mut nlri, mut good) = (&value[3..], true);
    if code == 14 {
        let (len, rest) = nlri.split_first().ok_or(())?;
        let len = usize::from(*len);
        let lengths: &[usize] = if ipv6 { &[16, 32] } else { &[4] };
        if !lengths.contains(&len) || rest.len() <= len {
            return Err(());
        }
        let host = |a: &[u8]| a != [0; 16] && a[0] != 0xff;
        let link_local = |a: &[u8]| a[0] == 0xfe && a[1] & 0xc0 == 0x80;
        good = if ipv6 {
            let (first, second) = rest[..len].split_at(16);
            host(first) || (second.len() == 16 && first == [0; 16] && link_local(second))
        } else {
            is_host4(&rest[..len])
        };
        nlri = &rest[len + 1..];
    }
    let verdict = (!good).then_some(WITHDRAW);
    if are_prefixes(nlri, if ipv6 { 128 } else { 32 }) { Ok((nlri, verdict)) } else { Err(()) }
}

/// The strongest reaction to a message of a session of IPv4 and IPv6 unicast.
fn expected(body: &[u8], external: bool) -> Verdict {
    let section = |at: usize| -> Option<&[u8]> {
        let len = usize::from(u16::from_be_bytes([*body.get(at)?, *body.get(at + 1)?]));
        body.get(at + 2..at + 2 + len)
    };
    let Some(withdrawn) = section(0) else { return RESET };
    let Some(attributes) = section(2 + withdrawn.len()) else { return RESET };
    let nlri = &body[4 + withdrawn.len() + attributes.len()..];
    if !are_prefixes(withdrawn, 32) || !are_prefixes(nlri, 32) {
        return RESET;
    }
    let (all, left) = split(attributes);
    let mut worst = Verdict::Accept;
    let mut seen: Vec<u8> = vec![];
    let mut reach = false;
    for (flags, code, value) in all.iter().copied() {
        let is_mp = matches!(code, 14 | 15);
        let verdict = if seen.contains(&code) {
            Some(if is_mp { RESET } else { DISCARD })
        } else if is_mp && value.len() >= 3 && !is_spoken(value) {
            // Of a family that nobody spoke of; that its routes are there is seen all the same.
            reach |= code == 14 && value.get(3).is_some_and(|len| value.len() > 5 + usize::from(*len));
            Some(DISCARD)
        } else if is_mp {
            match mp(flags, code, value) {
                Ok((nlri, verdict)) => {
                    reach |= code == 14 && !nlri.is_empty();
                    verdict
                }
                Err(()) => Some(RESET),
            }
        } else {
            judged(flags, code, value, external)
        };
        seen.push(code);
        worst = worst.max(verdict.unwrap_or_default());
    }
    if let Some(flags_and_code) = Some(left).filter(|left| !left.is_empty()) {
        let code = flags_and_code.get(1);
        worst = worst.max(if matches!(code, Some(14 | 15)) { RESET } else { WITHDRAW });
    }
    let spoken = reach && all.iter().any(|(_, code, value)| *code == 14 && is_spoken(value));
    // §3 (d).
    if left.is_empty() && (!nlri.is_empty() || spoken) {
        let mut wanted = vec![1, 2];
        wanted.extend((!nlri.is_empty()).then_some(3));
        if wanted.iter().any(|code| !seen.contains(code)) {
            worst = worst.max(WITHDRAW);
        }
    }
    let next_hop = all.iter().find(|(_, code, value)| *code == 3 && value.len() == 4);
    if next_hop.is_some_and(|(_, _, value)| !nlri.is_empty() && !is_host4(value)) {
        worst = worst.max(WITHDRAW);
    }
    // §5.2.
    let only_unreach = seen == [15] && left.is_empty();
    if worst > DISCARD && nlri.is_empty() && !reach && !only_unreach {
        worst = RESET;
    }
    worst
}

/// An attribute: mostly one of those that are known, mostly with its own flags and a value of about the right length.
fn attribute() -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![
        4 => prop::sample::select(vec![
            vec![0], vec![2, 1, 0, 0, 0, 9], vec![10, 0, 0, 1], vec![0; 4], vec![], vec![1; 8], vec![7; 12], vec![1; 20],
            vec![2, 0], vec![3, 1, 0, 0, 0, 7], vec![2, 1, 0, 0, 0, 0], vec![1, 0, 11, 0, 0, 0, 0, 0, 0, 0, 9],
            vec![1, 0, 7, 0, 0, 0, 0, 0, 0, 9], vec![0, 8, 0, 1, 1], vec![0, 8, 0, 3, 4, 1, 1],
            vec![5, 0, 1, 0], vec![5, 0, 0], vec![5, 0, 4, 0, 1, 0, 0], vec![0, 0, 0, 9, 0x40, 1, 1, 0], vec![3],
        ]),
        2 => Just([&[0, 2, 1][..], &NEXT_HOP6, &NET6].concat()),
        1 => Just([&[0, 2, 1][..], &NEXT_HOP6].concat()),
        1 => Just([&[0, 2, 1][..], &NET6].concat()),
        1 => Just(vec![0, 2, 1]),
        1 => Just([&[0, 1, 1, 4, 10, 0, 0, 2, 0][..], &NET].concat()),
        1 => Just([&[0, 1, 1, 4, 224, 0, 0, 5, 0][..], &NET].concat()),
        1 => Just([&[0, 25, 70][..], &NEXT_HOP6, &NET6].concat()),
        1 => vec(any::<u8>(), 0..12),
    ];
    let code = prop_oneof![
        8 => prop::sample::select(vec![1u8, 2, 3, 4, 5, 6, 7, 8, 9, 10, 14, 15, 16, 17, 18, 22, 23, 25, 26, 29, 32, 35, 40, 128]),
        1 => any::<u8>(),
    ];
    let flags = prop_oneof![12 => Just(None), 1 => any::<u8>().prop_map(Some)];
    (code, flags, value, any::<bool>()).prop_map(|(code, flags, value, long)| {
        let own = match code {
            1..=3 | 5 | 6 => 0x40,
            4 | 9 | 10 | 14 | 15 | 26 | 29 => 0x80,
            _ => 0xc0,
        };
        let flags = flags.unwrap_or(own) & !0x10 | if long { 0x10 } else { 0 };
        let len = u8::try_from(value.len()).unwrap();
        let header = if long { vec![flags, code, 0, len] } else { vec![flags, code, len] };
        [header, value].concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_decoder_and_the_plain_words_of_the_rfcs_agree(
        external: bool,
        whole: bool,
        mut attributes in vec(attribute(), 0..5),
        shuffle: bool,
        withdrawn in prop_oneof![Just(vec![]), Just(NET.to_vec()), vec(any::<u8>(), 0..4)],
        nlri in prop_oneof![2 => Just(vec![]), 4 => Just(NET.to_vec()), 1 => vec(any::<u8>(), 0..4)],
        cut in prop_oneof![6 => Just(0usize), 1 => 1..4usize],
        hits in vec((any::<prop::sample::Index>(), any::<u8>()), 0..2),
    ) {
        if whole {
            let mandatory: [&[u8]; 3] =
                [&[0x40, 1, 1, 0], &[0x40, 2, 6, 2, 1, 0, 0, 0xfd, 0xe9], &[0x40, 3, 4, 10, 0, 0, 1]];
            let at = if shuffle { attributes.len() } else { 0 };
            attributes.splice(at..at, mandatory.map(<[u8]>::to_vec));
        }
        let mut section = attributes.concat();
        section.truncate(section.len().saturating_sub(cut));
        let length = |octets: &[u8]| u16::try_from(octets.len()).unwrap().to_be_bytes();
        let mut body = [&length(&withdrawn), &withdrawn[..], &length(&section), &section, &nlri].concat();
        for (at, octet) in hits {
            let at = at.index(body.len());
            body[at] = octet;
        }
        let peer = if external { PeerKind::External } else { PeerKind::Internal };
        let session: Codec = codec(peer);
        let outcome = session.decode_update(&message(2, &body)).map_or(RESET, |view| view.outcome());
        prop_assert_eq!(outcome, expected(&body, external), "{:02x?}", body);
    }
}
