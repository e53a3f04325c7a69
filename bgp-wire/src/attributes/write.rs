//! Attributes going out, always with the shortest length field.
use super::{AttributeCode, AttributeFlags};

/// Appends flags, type and length of an attribute; `false`, and nothing, for a value beyond 65,535 octets.
#[inline]
pub(crate) fn push_header(out: &mut Vec<u8>, flags: u8, code: AttributeCode, len: usize) -> bool {
    let flags = flags & !AttributeFlags::EXTENDED_LENGTH;
    if let Ok(len) = u8::try_from(len) {
        out.extend_from_slice(&[flags, code.0, len]);
    } else if let Ok(len) = u16::try_from(len) {
        let [l1, l0] = len.to_be_bytes();
        out.extend_from_slice(&[flags | AttributeFlags::EXTENDED_LENGTH, code.0, l1, l0]);
    } else {
        return false;
    }
    true
}

/// Appends an attribute; `false`, and nothing, for a value beyond 65,535 octets.
#[inline]
pub(crate) fn push_attribute(out: &mut Vec<u8>, flags: u8, code: AttributeCode, value: &[u8]) -> bool {
    let fits = push_header(out, flags, code, value.len());
    if fits {
        out.extend_from_slice(value);
    }
    fits
}

/// Appends an attribute of four octets.
#[inline]
pub(crate) fn push_word(out: &mut Vec<u8>, flags: u8, code: AttributeCode, value: u32) -> bool {
    let [a, b, c, d] = value.to_be_bytes();
    out.extend_from_slice(&[flags & !AttributeFlags::EXTENDED_LENGTH, code.0, 4, a, b, c, d]);
    true
}

/// From so many values on, clearing room for them costs less than asking for it by fours and ones.
const MANY: usize = 12;

/// Appends values of equal size. Where they are many, room is made for all at once, so that the loop is over the octets
/// alone.
#[inline]
pub(crate) fn push_values<T: Copy, const N: usize>(
    out: &mut Vec<u8>,
    values: &[T],
    octets: impl Fn(T) -> [u8; N],
) {
    if values.len() < MANY {
        out.reserve(values.len().wrapping_mul(N));
        let (fours, others) = values.as_chunks::<4>();
        for &[a, b, c, d] in fours {
            out.extend_from_slice([octets(a), octets(b), octets(c), octets(d)].as_flattened());
        }
        others.iter().for_each(|value| out.extend_from_slice(&octets(*value)));
        return;
    }
    let start = out.len();
    out.resize(start.saturating_add(values.len().saturating_mul(N)), 0);
    let room = out.get_mut(start..).unwrap_or_default();
    for (slot, value) in room.as_chunks_mut::<N>().0.iter_mut().zip(values) {
        *slot = octets(*value);
    }
}

/// Appends an attribute whose value `write` appends; `false`, and nothing, when it comes out beyond 65,535 octets.
pub(crate) fn patched_attribute(
    out: &mut Vec<u8>,
    flags: u8,
    code: AttributeCode,
    write: impl FnOnce(&mut Vec<u8>),
) -> bool {
    let start = out.len();
    out.extend_from_slice(&[flags & !AttributeFlags::EXTENDED_LENGTH, code.0, 0]);
    write(out);
    let len = out.len().saturating_sub(start).saturating_sub(3);
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(short), _) => set(out, start.saturating_add(2), short),
        (_, Ok(long)) => {
            let [l1, l0] = long.to_be_bytes();
            set(out, start, flags | AttributeFlags::EXTENDED_LENGTH);
            set(out, start.saturating_add(2), l1);
            out.insert(start.saturating_add(3), l0);
        }
        _ => {
            out.truncate(start);
            return false;
        }
    }
    true
}

fn set(out: &mut [u8], at: usize, value: u8) {
    if let Some(octet) = out.get_mut(at) {
        *octet = value;
    }
}
