//! What a policy changes of a route, as a value.

use std::net::IpAddr;

use bgp_wire::{
    AsPath, Asn, AttributeBlock, Community, Edit, ExtendedCommunity, Ipv6ExtendedCommunity, LargeCommunity,
    NotCanonical, Origin, PathAttributes, PathSegment, Rewrite, SegmentKind, rewrite,
};

/// The changes that a policy asks for. The default changes nothing.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Edits {
    /// A new LOCAL_PREF.
    pub local_pref: Option<u32>,
    /// A new MULTI_EXIT_DISC, or none.
    pub med: Edit<u32>,
    /// A new AIGP, or none (RFC 7311).
    pub aigp: Edit<u64>,
    /// A new ORIGIN.
    pub origin: Option<Origin>,
    /// AS numbers in front of the path, the first one foremost.
    pub prepend: Vec<Asn>,
    /// All communities there are from now on.
    pub communities: Option<Vec<Community>>,
    /// All extended communities there are from now on.
    pub extended_communities: Option<Vec<ExtendedCommunity>>,
    /// All IPv6 extended communities there are from now on.
    pub ipv6_extended_communities: Option<Vec<Ipv6ExtendedCommunity>>,
    /// All large communities there are from now on.
    pub large_communities: Option<Vec<LargeCommunity>>,
    /// Another next hop.
    pub next_hop: Option<SetNextHop>,
    /// What the kernel, or whoever follows the Loc-RIB, is to know.
    pub kernel: KernelTag,
}

/// Which next hop a route gets.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SetNextHop {
    /// This address.
    Address(IpAddr),
    /// This speaker's own address on the session.
    Own,
    /// The address of the session's peer.
    Peer,
    /// The one that was received, whatever the session's mode.
    Received,
}

/// What a policy tells the followers of the Loc-RIB about a route; `None` is what the follower has as its default.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct KernelTag {
    /// Metric of the kernel route.
    pub metric: Option<u32>,
    /// Routing table.
    pub table: Option<u32>,
    /// Weight among the next hops of a multipath route.
    pub weight: Option<u32>,
    /// Preference over routes of other sources, the greater one wins: the decision looks at it before LOCAL_PREF. `None` is
    /// that of its source ([`preference`](crate::preference)).
    pub preference: Option<u32>,
    /// A number for the route's tag (realm).
    pub tag: Option<u32>,
    /// Packets are dropped and not forwarded.
    pub discard: Option<Discard>,
}

/// How the kernel drops packets to a prefix.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Discard {
    /// Without a word, as the BLACKHOLE community asks for (RFC 7999 §3.2).
    Blackhole,
    /// With ICMP host unreachable.
    Unreachable,
    /// With ICMP administratively prohibited.
    Prohibit,
}

impl Edits {
    /// Whether nothing is changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.changes_attributes() && self.next_hop.is_none() && self.kernel == KernelTag::default()
    }

    /// Whether [`Edits::apply`] makes another block.
    #[must_use]
    pub fn changes_attributes(&self) -> bool {
        self.local_pref.is_some() || self.med != Edit::Keep || self.changes_more()
    }

    /// Whether more than the two numbers change.
    fn changes_more(&self) -> bool {
        self.origin.is_some()
            || self.aigp != Edit::Keep
            || !self.prepend.is_empty()
            || self.communities.is_some()
            || self.extended_communities.is_some()
            || self.ipv6_extended_communities.is_some()
            || self.large_communities.is_some()
    }

    /// Appends the canonical block as it is with the changes. An attribute that comes out longer than 65,535 octets is
    /// an error, and nothing is appended.
    pub fn apply(&self, block: AttributeBlock<'_>, out: &mut Vec<u8>) -> Result<(), NotCanonical> {
        if self.changes_more() {
            return self.changed(block).encode_block(out);
        }
        let local_pref = self.local_pref.map_or(Edit::Keep, Edit::Set);
        let how = Rewrite { local_pref, med: self.med, ..Rewrite::default() };
        rewrite(block, &how, out).map_err(|too_long| NotCanonical { attribute: too_long.attribute })
    }

    fn changed(&self, block: AttributeBlock<'_>) -> PathAttributes {
        let mut attributes = PathAttributes::from_block(block);
        attributes.local_pref = self.local_pref.or(attributes.local_pref);
        match self.med {
            Edit::Keep => {}
            Edit::Set(med) => attributes.med = Some(med),
            Edit::SetIfAbsent(med) => attributes.med = attributes.med.or(Some(med)),
            Edit::Remove => attributes.med = None,
        }
        match self.aigp {
            Edit::Keep => {}
            Edit::Set(metric) => attributes.set_aigp(Some(metric)),
            Edit::SetIfAbsent(metric) => attributes.set_aigp(attributes.aigp().or(Some(metric))),
            Edit::Remove => attributes.set_aigp(None),
        }
        attributes.origin = self.origin.unwrap_or(attributes.origin);
        prepend(&mut attributes.as_path, &self.prepend);
        if let Some(communities) = &self.communities {
            attributes.communities.clone_from(communities);
        }
        if let Some(communities) = &self.extended_communities {
            attributes.extended_communities.clone_from(communities);
        }
        if let Some(communities) = &self.ipv6_extended_communities {
            attributes.set_ipv6_extended_communities(communities);
        }
        if let Some(communities) = &self.large_communities {
            attributes.large_communities.clone_from(communities);
        }
        attributes
    }
}

/// Puts AS numbers in front, into the leading AS_SEQUENCE where there is one (RFC 4271 §5.1.2).
pub(crate) fn prepend(path: &mut AsPath, asns: &[Asn]) {
    if asns.is_empty() {
        return;
    }
    match path.segments.first_mut() {
        Some(first) if first.kind == SegmentKind::Sequence => {
            first.asns.splice(0..0, asns.iter().copied());
        }
        _ => {
            let segment = PathSegment { kind: SegmentKind::Sequence, asns: asns.to_vec() };
            path.segments.insert(0, segment);
        }
    }
}
