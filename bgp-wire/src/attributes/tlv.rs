//! Type-length-value runs inside attributes.
use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16};

use crate::parse::{Parsed, length8, length16};

/// The TLVs of a value with one-octet types; the length counts the value alone.
pub(crate) fn tlv8(input: &[u8]) -> Parsed<'_, (u8, &[u8])> {
    (be_u8, length16).parse(input)
}

/// The TLVs of a value with two-octet types; the length counts the value alone.
pub(crate) fn tlv16(input: &[u8]) -> Parsed<'_, (u16, &[u8])> {
    (be_u16, length16).parse(input)
}

/// The sub-TLVs of a tunnel: types up to 127 have one octet of length, others two (RFC 9012 §2).
pub(crate) fn sub_tlv(input: &[u8]) -> Parsed<'_, (u8, &[u8])> {
    let (rest, kind) = be_u8(input)?;
    let (rest, value) = if kind < 128 { length8(rest)? } else { length16(rest)? };
    Ok((rest, (kind, value)))
}

/// A TLV with a one-octet type whose length counts type and length too (RFC 7311 §3).
pub(crate) fn counted_tlv8(input: &[u8]) -> Parsed<'_, (u8, &[u8])> {
    let (rest, (kind, len)) = (be_u8, be_u16).parse(input)?;
    let (rest, value) = take(len.checked_sub(3).ok_or(nom::Err::Error(()))?)(rest)?;
    Ok((rest, (kind, value)))
}

/// Whether the octets are TLVs to their end, each of which passes.
pub(crate) fn all<'a, K: Copy>(
    mut input: &'a [u8],
    tlv: impl Fn(&'a [u8]) -> Parsed<'a, (K, &'a [u8])>,
    good: impl Fn(K, &'a [u8]) -> bool,
) -> bool {
    while !input.is_empty() {
        match tlv(input) {
            Ok((rest, (kind, value))) if good(kind, value) => input = rest,
            _ => return false,
        }
    }
    true
}
