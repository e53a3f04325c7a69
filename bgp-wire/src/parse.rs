//! The few parsers that the slow-path decoders share, on nom.
use nom::IResult;
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16};

/// A parser's result over octets, without an error payload.
pub(crate) type Parsed<'a, T> = IResult<&'a [u8], T, ()>;

/// Octets behind a one-octet length.
pub(crate) fn length8(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (rest, len) = be_u8(input)?;
    take(len)(rest)
}

/// Octets behind a two-octet length.
pub(crate) fn length16(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (rest, len) = be_u16(input)?;
    take(len)(rest)
}

/// Big-endian 16 bits at the front, or `None`.
#[inline]
pub(crate) fn front16(b: &[u8]) -> Option<u16> {
    b.first_chunk::<2>().map(|c| u16::from_be_bytes(*c))
}

/// Big-endian 32 bits at the front, or `None`.
#[inline]
pub(crate) fn front32(b: &[u8]) -> Option<u32> {
    b.first_chunk::<4>().map(|c| u32::from_be_bytes(*c))
}
