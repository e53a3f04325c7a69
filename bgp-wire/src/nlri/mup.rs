//! Routes of the mobile user plane (draft-ietf-bess-mup-safi §3.1): what a speaker checks that passes them on, and their keys.
use super::opaque::{NlriKey, network};

/// The one registered architecture, 3gpp-5g, before the type.
const ARCHITECTURE: u8 = 1;
const INTERWORK_SEGMENT: u8 = 1;
const DIRECT_SEGMENT: u8 = 2;
const FIRST_SESSION_TRANSFORMED: u8 = 3;
const SECOND_SESSION_TRANSFORMED: u8 = 4;

/// Architecture and type, and what is behind the length.
fn parts(one: &[u8]) -> Option<(&[u8], &[u8])> {
    Some((one.get(..3)?, one.get(4..)?))
}

/// Octets up to the end of the prefix, or of endpoint address and identifier, whose bits are counted behind the
/// distinguisher.
fn up_to_prefix(value: &[u8]) -> Option<usize> {
    9usize.checked_add(usize::from(value.get(8)?.div_ceil(8)))
}

/// Whether the lengths fit the type. Unknown types have no known inside; what is behind prefix or endpoint changed its form
/// from draft to draft, and is no part of a withdrawal.
pub(super) fn is_whole(one: &[u8], ipv6: bool) -> bool {
    let Some((kind, value)) = parts(one) else { return false };
    let address: u8 = if ipv6 { 128 } else { 32 };
    let counted = |most: u8| value.get(8).is_some_and(|bits| *bits <= most) && up_to_prefix(value).is_some();
    match *kind {
        [ARCHITECTURE, 0, INTERWORK_SEGMENT] => counted(address) && up_to_prefix(value) == Some(value.len()),
        [ARCHITECTURE, 0, DIRECT_SEGMENT] => value.len() == 8usize.saturating_add(usize::from(address / 8)),
        [ARCHITECTURE, 0, FIRST_SESSION_TRANSFORMED] => counted(address) && reaches(value),
        [ARCHITECTURE, 0, SECOND_SESSION_TRANSFORMED] => {
            counted(address.saturating_add(32)) && reaches(value) && !has_zero_identifier(value, address)
        }
        _ => true,
    }
}

fn reaches(value: &[u8]) -> bool {
    up_to_prefix(value).is_some_and(|end| end <= value.len())
}

/// Whether there is a whole tunnel endpoint identifier that is 0, which is none (§3.1.4.1).
fn has_zero_identifier(value: &[u8], address: u8) -> bool {
    value.get(8) == Some(&address.saturating_add(32))
        && value
            .get(9usize.saturating_add(usize::from(address / 8))..)
            .is_some_and(|id| id.starts_with(&[0; 4]))
}

/// Of session-transformed routes, distinguisher and prefix, or endpoint (§3.1.3, §3.1.4); host bits masked; of others all but the length.
pub(super) fn key(one: &[u8]) -> Option<NlriKey<'_>> {
    let (kind, value) = parts(one)?;
    Some(match *kind {
        [ARCHITECTURE, 0, INTERWORK_SEGMENT | FIRST_SESSION_TRANSFORMED | SECOND_SESSION_TRANSFORMED] => {
            let (whole, odd) = network(value.get(9..)?, usize::from(*value.get(8)?))?;
            NlriKey::of(&[kind, value.get(..9usize.checked_add(whole.len())?)?, odd])
        }
        _ => NlriKey::of(&[kind, value]),
    })
}
