//! One path of one prefix, as the Adj-RIB-In holds it.

use crate::attributes::AttributesId;

/// The slot of routes of this speaker's own; their path identifier is the owner.
pub(crate) const LOCAL: u32 = u32::MAX - 1;

/// 32 bytes: what a second path of a prefix costs.
#[derive(Debug)]
pub(crate) struct Path {
    /// Who told it: a peer's slot, or [`LOCAL`].
    pub(crate) peer: u32,
    /// The ADD-PATH identifier that it was received with.
    pub(crate) path_id: u32,
    pub(crate) attributes: AttributesId,
    /// The prefix that it belongs to.
    pub(crate) prefix: u32,
    /// The next path of the prefix; the best stands first.
    pub(crate) next: u32,
    /// Neighbours in the list of its peer's paths, which is in the order of generations.
    pub(crate) newer: u32,
    pub(crate) older: u32,
    /// The generation of its peer's routes in which it was last told.
    pub(crate) generation: u16,
    /// What import found: 0, or the reason as a number.
    pub(crate) verdict: u8,
    /// Whether it is in the multipath set.
    pub(crate) multipath: bool,
}
