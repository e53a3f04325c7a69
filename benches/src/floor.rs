//! The floor: one pass over headers, attributes and NLRI in plain safe code, which builds nothing and checks no more than
//! it must to stay inside the message.

/// Adds up what is in a message; `None` where its lengths contradict each other.
#[inline]
#[must_use]
pub fn walk(frame: &[u8]) -> Option<u64> {
    if frame.get(..16)? != [0xff; 16] {
        return None;
    }
    let (withdrawn, rest) = section(frame.get(19..)?)?;
    let (mut attributes, nlri) = section(rest)?;
    let mut sum = prefixes::<4>(withdrawn)?;
    while let [flags, code, rest @ ..] = attributes {
        let (len, rest) = if flags & 0x10 == 0 {
            let (len, rest) = rest.split_first()?;
            (usize::from(*len), rest)
        } else {
            let (len, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*len)), rest)
        };
        let (value, rest) = rest.split_at_checked(len)?;
        sum = sum.wrapping_add(self::value(*code, value)?);
        attributes = rest;
    }
    Some(sum.wrapping_add(prefixes::<4>(nlri)?))
}

#[inline]
fn section(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))
}

#[inline]
fn words(value: &[u8]) -> u64 {
    value.as_chunks::<4>().0.iter().fold(0, |sum, w| sum.wrapping_add(u64::from(u32::from_be_bytes(*w))))
}

#[inline]
fn value(code: u8, value: &[u8]) -> Option<u64> {
    match code {
        2 => {
            let (mut sum, mut rest) = (0u64, value);
            while let [_, count, tail @ ..] = rest {
                let (asns, tail) = tail.split_at_checked(usize::from(*count) * 4)?;
                sum = sum.wrapping_add(words(asns));
                rest = tail;
            }
            Some(sum)
        }
        4 | 5 | 8 | 10 => Some(words(value)),
        14 => {
            let next_hop = usize::from(*value.get(3)?);
            prefixes::<16>(value.get(next_hop + 5..)?)
        }
        15 => prefixes::<16>(value.get(3..)?),
        _ => Some(u64::from(code)),
    }
}

/// Prefixes of addresses of so many octets: the first eight of each, and its length.
#[inline]
fn prefixes<const OCTETS: usize>(mut bytes: &[u8]) -> Option<u64> {
    let mut sum = 0u64;
    while let Some((len, rest)) = bytes.split_first() {
        let whole = usize::from(*len).wrapping_add(7) >> 3;
        if whole > OCTETS {
            return None;
        }
        let address = match rest.first_chunk::<8>() {
            Some(word) => {
                u64::from_be_bytes(*word)
                    & u64::MAX.checked_shl(64u32.saturating_sub(u32::from(*len))).unwrap_or(0)
            }
            None => rest.iter().take(whole).fold(0, |a, b| a << 8 | u64::from(*b)),
        };
        sum = sum.wrapping_add(address).wrapping_add(u64::from(*len));
        bytes = rest.get(whole..)?;
    }
    Some(sum)
}
