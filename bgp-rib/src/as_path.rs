//! What an external peer sees of the AS_PATH besides our own AS in front of it.

use bgp_wire::{AsPath, Asn, AttributeBlock, SegmentKind};

/// What becomes of private AS numbers (RFC 6996) in what an external peer is told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum PrivateAs {
    /// They stay.
    #[default]
    Keep,
    /// Those in front of the first public one go.
    RemoveLeading,
    /// All go.
    Remove,
    /// Our AS stands in place of each, so that the path keeps its length.
    Replace,
}

/// How an AS of our own that differs from the speaker's shows in AS_PATH. The default shows it alone, as if the speaker
/// were of that AS on this session.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct LocalAsMode {
    /// It is put in front of what the peer tells.
    pub prepend_received: bool,
    /// The speaker's AS stands behind it in what the peer is told.
    pub keep_speaker_as: bool,
}

/// All rules on the way out; part of what makes an update group.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct AsPathRules {
    pub(crate) private: PrivateAs,
    /// Our AS stands in place of this one.
    pub(crate) instead_of: Option<Asn>,
    /// This one stands between ours and the path.
    pub(crate) behind: Option<Asn>,
    /// Our AS is not put in front of what others told (RFC 7947 §2.2.2.1).
    pub(crate) transparent: bool,
}

const fn is_private(asn: Asn) -> bool {
    matches!(asn.0, 64_512..=65_534 | 4_200_000_000..=4_294_967_294)
}

impl AsPathRules {
    /// Whether a path comes out as another.
    pub(crate) fn change(&self, block: AttributeBlock<'_>) -> bool {
        if self.private == PrivateAs::Keep && self.instead_of.is_none() {
            return false;
        }
        let concerns =
            |asn: Asn| (self.private != PrivateAs::Keep && is_private(asn)) || Some(asn) == self.instead_of;
        block.as_path().segments().any(|segment| segment.asns().any(concerns))
    }

    /// The path without what is not to be seen; `own` is our AS on the session.
    pub(crate) fn apply(&self, path: &mut AsPath, own: Asn) {
        let mut leading = true;
        for segment in &mut path.segments {
            if let Some(theirs) = self.instead_of {
                segment.asns.iter_mut().filter(|asn| **asn == theirs).for_each(|asn| *asn = own);
            }
            // What a confederation put in front does not leave the AS (RFC 5065 §4.1): the peer sees the path begin behind it.
            if segment.kind.is_confederation() {
                continue;
            }
            let is_set = segment.kind == SegmentKind::Set;
            match self.private {
                PrivateAs::Keep => {}
                PrivateAs::Remove => segment.asns.retain(|asn| !is_private(*asn)),
                PrivateAs::Replace => {
                    segment.asns.iter_mut().filter(|asn| is_private(**asn)).for_each(|asn| *asn = own);
                }
                PrivateAs::RemoveLeading => segment.asns.retain(|asn| {
                    leading &= is_private(*asn) && !is_set;
                    !leading
                }),
            }
        }
        path.segments.retain(|segment| !segment.asns.is_empty());
    }
}
