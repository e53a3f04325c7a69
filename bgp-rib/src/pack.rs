//! Routes into messages: the wire's packer, with this crate's keys.

use bgp_wire::{Codec, Family, NextHop, PathId};
use bytes::BytesMut;

use crate::prefix::Key;

/// Octets of an UPDATE beside attributes and NLRI: header, two lengths, an MP_REACH header with two IPv6 next hops.
pub(crate) const MESSAGE_OVERHEAD: usize = 19 + 4 + 9 + 32;

/// Octets of the longest NLRI here: path identifier, length, IPv6 address.
pub(crate) const MAX_NLRI: usize = 4 + 1 + 16;

/// Where ADD-PATH was negotiated the one path that is sent has this identifier: stable, as the best replaces the best.
const BEST: PathId = PathId(1);

/// Appends messages that announce `keys` with one attribute block.
pub(crate) fn announce<'a, K: Key + 'a>(
    out: &mut BytesMut,
    codec: &Codec,
    family: Family,
    next_hop: &NextHop,
    block: &[u8],
    keys: impl Iterator<Item = &'a K>,
) {
    let packed = bgp_wire::announce(out, codec, family, next_hop, block, keys.map(|key| (BEST, key)));
    debug_assert_eq!(
        (packed.too_large, packed.refused),
        (0, 0),
        "the caller made sure that every route goes"
    );
}

/// Appends messages that withdraw `keys`.
pub(crate) fn withdraw<'a, K: Key + 'a>(
    out: &mut BytesMut,
    codec: &Codec,
    family: Family,
    keys: impl Iterator<Item = &'a K>,
) {
    bgp_wire::withdraw(out, codec, family, keys.map(|key| (BEST, key)));
}

/// Appends End-of-RIB (RFC 4724 §2).
pub(crate) fn end_of_rib(out: &mut BytesMut, family: Family) {
    bgp_wire::end_of_rib(out, family);
}
