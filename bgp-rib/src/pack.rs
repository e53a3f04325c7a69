//! Routes into messages: the wire's packer, with this crate's keys.

use bgp_wire::{Afi, AttributeBlock, AttributeCode, Codec, Family, NextHop, PathId};
use bytes::BytesMut;

use crate::export::HeldBack;
use crate::prefix::Key;

/// Octets of an UPDATE beside attributes and NLRI, about: header, two lengths, an MP_REACH header with two IPv6 next hops.
pub(crate) const MESSAGE_OVERHEAD: usize = 19 + 4 + 9 + 32;

/// Octets of the longest prefix: path identifier, length, IPv6 address.
const LONGEST_PREFIX: usize = 4 + 1 + 16;

/// Octets of the shortest NLRI there is, without a path identifier.
const SHORTEST_NLRI: usize = 1;

/// Where only the best path is sent and ADD-PATH was negotiated it has this identifier: the best replaces the best.
pub(crate) const BEST: PathId = PathId(1);

/// What messages of one announcement leave to NLRI.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    octets: usize,
    path_id: usize,
}

impl Room {
    /// Beside a next hop and so many octets of attributes.
    pub(crate) fn beside(codec: &Codec, family: Family, next_hop: &NextHop, block: usize) -> Self {
        let path_id = if codec.add_path_tx.contains(family) { 4 } else { 0 };
        Self { octets: bgp_wire::announce_room(codec, family, next_hop, block), path_id }
    }

    /// Whether there is any NLRI that can be announced.
    pub(crate) fn suffices(self) -> bool {
        SHORTEST_NLRI + self.path_id <= self.octets
    }

    /// Whether a route can be announced.
    pub(crate) fn fits<K: Key>(self, codec: &Codec, family: Family, key: &K) -> Result<(), HeldBack> {
        if !K::VARIES && self.octets >= LONGEST_PREFIX {
            return Ok(());
        }
        is_sendable(codec, family, key)?;
        if key.wire_len() + self.path_id > self.octets { Err(HeldBack::TooLarge) } else { Ok(()) }
    }
}

/// Whether an NLRI can be announced on such a session at all, whatever attributes it has.
pub(crate) fn is_sendable<K: Key>(codec: &Codec, family: Family, key: &K) -> Result<(), HeldBack> {
    if K::VARIES && !key.is_sendable(family, codec) {
        return Err(HeldBack::SeveralLabels);
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

/// [`Room::fits`], if need be without the BGP-LS attribute, which is then taken out of the block (RFC 9552 §5.3).
pub(crate) fn make_room<K: Key>(
    codec: &Codec,
    family: Family,
    next_hop: &NextHop,
    block: &mut Vec<u8>,
    key: &K,
) -> Result<(), HeldBack> {
    match Room::beside(codec, family, next_hop, block.len()).fits(codec, family, key) {
        Err(HeldBack::TooLarge) if family.afi == Afi::BGP_LS && drop_link_state(block, 0) => {
            Room::beside(codec, family, next_hop, block.len()).fits(codec, family, key)
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
