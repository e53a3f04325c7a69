//! Routes into messages: the wire's packer, with this crate's keys.

use bgp_wire::{Afi, AttributeBlock, AttributeCode, Codec, Family, NextHop, PathId};
use bytes::BytesMut;

use crate::export::HeldBack;
use crate::prefix::Key;

/// Octets of an UPDATE beside attributes and NLRI: header, two lengths, an MP_REACH header with two IPv6 next hops.
pub(crate) const MESSAGE_OVERHEAD: usize = 19 + 4 + 9 + 32;

/// Octets of the longest NLRI here: path identifier, length, IPv6 address.
pub(crate) const MAX_NLRI: usize = 4 + 1 + 16;

/// Where only the best path is sent and ADD-PATH was negotiated it has this identifier: the best replaces the best.
pub(crate) const BEST: PathId = PathId(1);

/// Octets of an UPDATE beside attributes and NLRI where the next hop is a VPN's: two IPv6 addresses with distinguishers.
const MESSAGE_OVERHEAD_VPN: usize = MESSAGE_OVERHEAD + 16;

/// Whether an NLRI can be announced on such a session behind so many octets of attributes.
pub(crate) fn fits<K: Key>(codec: &Codec, family: Family, block: usize, key: &K) -> Result<(), HeldBack> {
    if !K::VARIES {
        return Ok(()); // Of known size: who wrote the attributes left room for it.
    }
    if !key.is_sendable(family, codec) {
        return Err(HeldBack::SeveralLabels);
    }
    let path_id = 4;
    if block + MESSAGE_OVERHEAD_VPN + path_id + key.wire_len() > codec.max_len_tx() {
        return Err(HeldBack::TooLarge);
    }
    Ok(())
}

/// Appends messages that announce routes with one attribute block; how many there are. All of them go, or none: a peer
/// that would refuse one must not be taken to have it.
pub(crate) fn announce<'a, K: Key + 'a>(
    out: &mut BytesMut,
    codec: &Codec,
    family: Family,
    next_hop: &NextHop,
    block: &[u8],
    nlri: impl Iterator<Item = (PathId, &'a K)>,
) -> Result<usize, HeldBack> {
    let start = out.len();
    let packed = bgp_wire::announce(out, codec, family, next_hop, block, nlri);
    if (packed.too_large, packed.refused) == (0, 0) {
        return Ok(packed.routes);
    }
    out.truncate(start);
    Err(if packed.refused > 0 { HeldBack::Refused } else { HeldBack::TooLarge })
}

/// [`fits`], if need be without the BGP-LS attribute, which is then taken out of the block (RFC 9552 §5.3).
pub(crate) fn make_room<K: Key>(
    codec: &Codec,
    family: Family,
    block: &mut Vec<u8>,
    key: &K,
) -> Result<(), HeldBack> {
    match fits(codec, family, block.len(), key) {
        Err(HeldBack::TooLarge) if family.afi == Afi::BGP_LS && drop_link_state(block, 0) => {
            fits(codec, family, block.len(), key)
        }
        judged => judged,
    }
}

/// Takes the BGP-LS attribute out of a block, from an octet on, where messages would be too long with it (RFC 9552 §5.3);
/// whether it was there.
pub(crate) fn drop_link_state(block: &mut Vec<u8>, from: usize) -> bool {
    let mut bare = Vec::new();
    AttributeBlock::trusted(&block[from..]).append_without(AttributeCode::LINK_STATE, &mut bare);
    let there = bare.len() < block.len() - from;
    block.truncate(from);
    block.append(&mut bare);
    there
}

/// Appends messages that withdraw routes.
pub(crate) fn withdraw<'a, K: Key + 'a>(
    out: &mut BytesMut,
    codec: &Codec,
    family: Family,
    nlri: impl Iterator<Item = (PathId, &'a K)>,
) {
    bgp_wire::withdraw(out, codec, family, nlri);
}

/// Appends End-of-RIB (RFC 4724 §2).
pub(crate) fn end_of_rib(out: &mut BytesMut, family: Family) {
    bgp_wire::end_of_rib(out, family);
}
