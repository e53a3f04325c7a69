//! What a received route must pass before it takes part in the decision.

use core::fmt;

use bgp_wire::{Asn, AttributeBlock, ClusterId, Community, Edit, Family, PeerKind, RouterId};
use ipnet::IpNet;

use crate::OwnerId;
use crate::attributes::{AttributesId, Facts, Marks};
use crate::config::{PeerParams, PeerRole};
use crate::martian;
use crate::path::LOCAL;
use crate::policy::{Edits, KernelTag, RouteSource, RouteView, SetNextHop};
use crate::roles;
use crate::slab::NONE;
use crate::table::Shared;

/// Why a path is kept in the Adj-RIB-In but takes no part in the decision (RFC 4271 §9.1.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Ineligible {
    /// The import policy rejects it, or an external session has none (RFC 8212).
    ImportPolicy = 1,
    /// Our own AS stands in its AS_PATH more often than allowed (RFC 4271 §9.1.2).
    AsPathLoop,
    /// An external peer's AS does not stand first in its AS_PATH (RFC 4271 §6.3).
    FirstAs,
    /// Our BGP identifier is its ORIGINATOR_ID (RFC 4456 §8).
    OriginatorLoop,
    /// Our cluster stands in its CLUSTER_LIST (RFC 4456 §8).
    ClusterLoop,
    /// Its next hop is an address of this speaker (RFC 4271 §5.1.3).
    OwnNextHop,
    /// There is no way to its next hop (RFC 4271 §9.1.2.1).
    UnreachableNextHop,
    /// What the import policy adds to its attributes makes one longer than 65,535 octets.
    PolicyTooLong,
    /// The peer told more than policy may let pass of it.
    OverLimit,
    /// It leaked: its ONLY_TO_CUSTOMER does not go with the peer's role (RFC 9234 §5).
    RouteLeak,
    /// Its prefix belongs to no network (RFC 4271 §6.3): see [`is_martian`](crate::is_martian).
    Martian,
}

impl Ineligible {
    /// The verdicts of import as paths keep them: 0 is none.
    const BY_NUMBER: [Self; 9] = [
        Self::ImportPolicy,
        Self::AsPathLoop,
        Self::FirstAs,
        Self::OriginatorLoop,
        Self::ClusterLoop,
        Self::PolicyTooLong,
        Self::OverLimit,
        Self::RouteLeak,
        Self::Martian,
    ];

    pub(crate) fn from_verdict(verdict: u8) -> Option<Self> {
        Self::BY_NUMBER.into_iter().find(|&reason| reason as u8 == verdict)
    }
}

impl fmt::Display for Ineligible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ImportPolicy => "rejected by import policy (an external session needs one, RFC 8212)",
            Self::AsPathLoop => "own AS in AS_PATH",
            Self::FirstAs => "the peer's AS is not first in AS_PATH",
            Self::OriginatorLoop => "own BGP identifier as ORIGINATOR_ID",
            Self::ClusterLoop => "own cluster in CLUSTER_LIST",
            Self::OwnNextHop => "next hop is an address of this speaker",
            Self::UnreachableNextHop => "next hop unreachable",
            Self::PolicyTooLong => "attributes too long behind the import policy",
            Self::RouteLeak => "a leak: ONLY_TO_CUSTOMER does not go with the peer's role",
            Self::Martian => "its prefix belongs to no network (loopback, link-local, multicast)",
            Self::OverLimit => "the peer told more routes than are taken of it",
        })
    }
}

/// What this speaker recognises as itself in received attributes.
#[derive(Debug)]
pub(crate) struct Identity<'a> {
    pub(crate) asn: Asn,
    pub(crate) router_id: RouterId,
    pub(crate) clusters: &'a [ClusterId],
}

/// Judges the attributes of one UPDATE; the verdict is the same for all its prefixes. A policy with rules has its say
/// behind this, in an [`Importer`].
pub(crate) fn judge(
    peer: &PeerParams,
    us: &Identity<'_>,
    family: Family,
    block: &AttributeBlock<'_>,
) -> Option<Ineligible> {
    if peer.import.rejects_all() {
        return Some(Ineligible::ImportPolicy);
    }
    if as_path_loops(peer, us, block) {
        return Some(Ineligible::AsPathLoop);
    }
    if first_as_is_wrong(peer, block) {
        return Some(Ineligible::FirstAs);
    }
    if roles::is_leak(peer, family, block) {
        return Some(Ineligible::RouteLeak);
    }
    if block.originator_id() == Some(us.router_id) {
        return Some(Ineligible::OriginatorLoop);
    }
    if block.cluster_list().iter().any(|cluster| us.clusters.contains(&cluster)) {
        return Some(Ineligible::ClusterLoop);
    }
    None
}

/// Whether routes of a session may be judged in another way when it is configured like that.
pub(crate) fn differs(was: &PeerParams, is: &PeerParams) -> bool {
    let asked = |params: &PeerParams| {
        let own_as = (params.allow_own_as, params.local_as, params.local_as_mode);
        (own_as, params.enforce_first_as, params.role, params.honour_graceful_shutdown, params.aigp)
    };
    was.import != is.import || asked(was) != asked(is)
}

/// What the session itself changes of a received route, behind the policy's own changes; whether it does at all.
pub(crate) fn session_edits(peer: &PeerParams, us: Asn, marks: Marks) -> bool {
    shuts_down(peer, marks) || prepends(peer, us) || drops_aigp(peer, marks)
}

/// Where AIGP_SESSION is off the attribute is ignored and goes no further (RFC 7311 §3.1).
fn drops_aigp(peer: &PeerParams, marks: Marks) -> bool {
    !peer.aigp && marks.has(Marks::AIGP)
}

fn shuts_down(peer: &PeerParams, marks: Marks) -> bool {
    let external = peer.kind == PeerKind::External;
    external && peer.honour_graceful_shutdown && marks.has(Marks::GRACEFUL_SHUTDOWN)
}

fn prepends(peer: &PeerParams, us: Asn) -> bool {
    peer.kind == PeerKind::External && peer.local_as_mode.prepend_received && peer.local_as != us
}

/// Our AS on the session, and the speaker's where they differ, are both ours.
fn as_path_loops(peer: &PeerParams, us: &Identity<'_>, block: &AttributeBlock<'_>) -> bool {
    let path = block.as_path();
    let other = if us.asn == peer.local_as { 0 } else { path.contains_count(us.asn) };
    path.contains_count(peer.local_as) + other > usize::from(peer.allow_own_as)
}

fn first_as_is_wrong(peer: &PeerParams, block: &AttributeBlock<'_>) -> bool {
    peer.kind == PeerKind::External && peer.enforce_first_as && block.as_path().first() != Some(peer.peer_as)
}

/// Import policy over the prefixes of one attribute set: whatever speaks for several of them is found once.
#[derive(Debug)]
pub(crate) struct Importer {
    slot: u32,
    received: AttributesId,
    /// What is judged is long-lived stale and is to say so.
    pub(crate) stale: bool,
    /// The last answer, and whether it speaks for all prefixes. It holds a reference on its set.
    last: Option<Judged>,
}

#[derive(Debug)]
struct Judged {
    edits: Option<Box<Edits>>,
    attributes: AttributesId,
    verdict: u8,
    for_all: bool,
}

impl Importer {
    pub(crate) const fn new(slot: u32, received: AttributesId) -> Self {
        Self { slot, received, stale: false, last: None }
    }

    /// The set that takes part in the decision, and the verdict.
    pub(crate) fn judge(
        &mut self,
        shared: &mut Shared,
        family: Family,
        prefix: Option<IpNet>,
    ) -> (AttributesId, u8) {
        if martian::is_of_no_network(family, prefix) {
            return (self.received, Ineligible::Martian as u8);
        }
        if let Some(last) = self.last.as_ref().filter(|last| last.for_all) {
            return (last.attributes, last.verdict);
        }
        let Some(peer) = shared.peers.get(self.slot) else { return (self.received, 0) };
        let policy = &peer.params.import;
        let view = shared.view(
            self.received,
            self.slot,
            0,
            (peer.params.kind, peer.params.local_as),
            (family, prefix),
        );
        let mut outcome = policy.evaluate(&shared.validated(policy, view));
        let for_all = !policy.asks_for_prefix();
        let marks = shared.attributes[self.received].summary.marks;
        if outcome.is_accepted() && session_edits(&peer.params, shared.config.local_as, marks) {
            let edits = outcome.edits.get_or_insert_default();
            if shuts_down(&peer.params, marks) {
                edits.local_pref = Some(0);
            }
            // As if it had not been there: one that the policy gives the route stays.
            if drops_aigp(&peer.params, marks) && edits.aigp == Edit::Keep {
                edits.aigp = Edit::Remove;
            }
            if prepends(&peer.params, shared.config.local_as) {
                edits.prepend.push(peer.params.local_as);
            }
        }
        let verdict = if outcome.is_accepted() { 0 } else { Ineligible::ImportPolicy as u8 };
        if outcome.is_accepted() && self.stale {
            let edits = outcome.edits.get_or_insert_default();
            let received = || shared.attributes[self.received].block().communities().iter().collect();
            let communities = edits.communities.get_or_insert_with(received);
            if !communities.contains(&Community::LLGR_STALE) {
                communities.push(Community::LLGR_STALE);
            }
        }
        if let Some(last) = self.last.as_ref().filter(|last| last.edits == outcome.edits) {
            // Without edits it is the received set, accepted or not.
            let verdict = if last.edits.is_some() { last.verdict } else { verdict };
            return (last.attributes, verdict);
        }
        let (attributes, verdict) = match &outcome.edits {
            Some(edits) => shared.edit(self.received, self.slot, edits),
            None => {
                shared.attributes.retain(self.received, 1);
                (self.received, verdict)
            }
        };
        let judged = Judged { edits: outcome.edits, attributes, verdict, for_all };
        if let Some(last) = self.last.replace(judged) {
            shared.release(last.attributes);
        }
        (attributes, verdict)
    }

    /// Gives back what the last answer holds.
    pub(crate) fn close(self, shared: &mut Shared) {
        if let Some(last) = self.last {
            shared.release(last.attributes);
        }
    }
}

impl Shared {
    /// A route as a policy of a session sees it.
    pub(crate) fn view(
        &self,
        attributes: AttributesId,
        source: u32,
        path_id: u32,
        (peer, local_as): (PeerKind, Asn),
        (family, prefix): (Family, Option<IpNet>),
    ) -> RouteView<'_> {
        let set = &self.attributes[attributes];
        let facts = set.facts();
        let kernel = facts.map_or(KernelTag::default(), |facts| facts.kernel);
        RouteView {
            metric: kernel.metric,
            tag: kernel.tag.unwrap_or(0),
            interface: self.interface(attributes).map(|name| &**name),
            next_hop: self.next_hop(attributes),
            source: self.route_source(source, path_id),
            peer,
            local_as,
            ..RouteView::of(family, prefix, set.block(), OwnerId(path_id))
        }
    }

    /// The set as it was received.
    pub(crate) fn received(&self, id: AttributesId) -> AttributesId {
        self.attributes[id].facts().and_then(|facts| facts.received).unwrap_or(id)
    }

    /// Where a path came from, as policies see it.
    pub(crate) fn route_source(&self, slot: u32, path_id: u32) -> RouteSource {
        match self.peers.get(slot) {
            Some(peer) if slot != LOCAL => RouteSource::Peer {
                kind: peer.params.kind,
                client: peer.params.role == PeerRole::Client,
                address: peer.params.peer_address,
            },
            _ => RouteSource::Local(OwnerId(path_id)),
        }
    }

    /// Names the set that import policy makes of a received one, with a reference for the caller.
    fn edit(&mut self, received: AttributesId, slot: u32, edits: &Edits) -> (AttributesId, u8) {
        let mut block = Vec::new();
        if edits.apply(self.attributes[received].block(), &mut block).is_err() {
            self.attributes.retain(received, 1);
            return (received, Ineligible::PolicyTooLong as u8);
        }
        let next_hop = match edits.next_hop {
            None | Some(SetNextHop::Received) => self.next_hop(received),
            Some(SetNextHop::Own) => None,
            Some(SetNextHop::Address(address)) => Some(address.into()),
            Some(SetNextHop::Peer) => self.peers.get(slot).map(|peer| peer.params.peer_address.into()),
        };
        let next_hop = next_hop.map_or(NONE, |next_hop| self.next_hops.intern(next_hop));
        let facts = Facts { received: Some(received), kernel: edits.kernel, interface: None };
        let (id, fresh) = self.attributes.intern(&block, next_hop, Some(facts));
        if fresh {
            self.attributes.retain(received, 1);
        } else if next_hop != NONE {
            self.next_hops.release(next_hop);
        }
        (id, 0)
    }
}
