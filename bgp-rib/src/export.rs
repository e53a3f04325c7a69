//! What goes to whom, and how it is changed on the way: the rules as a table over the code that executes them.
//!
//! | # | rule | held back |
//! |---|---|---|
//! | 1 | no export policy (RFC 8212), or one that takes nothing | everything |
//! | 2 | NO_ADVERTISE (RFC 1997) | from every peer |
//! | 3 | NO_EXPORT, NO_EXPORT_SUBCONFED (RFC 1997) | from external peers |
//! | 3b | a restart that goes on (RFC 4724 §4.1) | what others told, from peers with graceful restart |
//! | 4 | internal to internal (RFC 4271 §9.2, RFC 4456 §6) | unless the source or the target is a client |
//! | 4 | client to client of one cluster, where the target is meshed with them (RFC 4456 §6) | everything but memberships of route targets |
//! | 4a | route target constraint (RFC 4684 §6) | VPN routes without a route target that the peer wants |
//! | 5 | Only to Customer (RFC 9234 §5) | from providers, lateral peers and route servers |
//! | 6 | long-lived stale (RFC 9494 §4.3) | from peers that do not know what that is |
//! | 6a | an aggregate ([`Aggregation`](crate::Aggregation)) | what lies inside it and is not excepted, where the policy does not ask about that itself |
//! | 7 | the session's export policy, rule by rule | what it rejects |
//! | 8 | next hop (RFC 4271 §5.1.3, RFC 8950) | where none can be told |
//! | 9 | split horizon | from the peer that told it, per member |
//! | 10 | next hop is the receiver (RFC 4271 §5.1.3) | from that peer, per member |
//! | 11 | a bound on what the peer is told ([`Limits`](crate::Limits)) | what would be one too many, until there is room |

use core::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use bgp_wire::{
    AigpEdit, Asn, AttributeBlock, ClusterEdit, ClusterId, Codec, Community, Edit, Family, NextHop,
    PathAttributes, PeerKind, Rewrite, Role, RouterId, Safi, rewrite as rewrite_block,
};
use ipnet::IpNet;

use crate::add_path::{self, Selection};
use crate::as_path::AsPathRules;
use crate::attributes::{AttributesId, DEFAULT_LOCAL_PREF, Marks, Scope};
use crate::bounded::Bound;
use crate::config::{NextHopMode, PeerParams, PeerRole, RibConfig};
use crate::next_hop;
use crate::next_hops::Way;
use crate::pack;
use crate::policy::{Edits, Outcome, Policy, RouteView};
use crate::roles;
use crate::route_target::Membership;
use crate::table::Shared;
use bgp_wire::FamilySet;

/// The rule that keeps a route from a peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeldBack {
    /// There is no best route.
    NoRoute,
    /// The export policy rejects it, or an external session has none (RFC 8212).
    ExportPolicy,
    /// It carries NO_ADVERTISE (RFC 1997).
    NoAdvertise,
    /// It carries NO_EXPORT and the peer is external (RFC 1997).
    NoExport,
    /// This speaker has restarted and waits for the tables of its peers (RFC 4724 §4.1).
    Deferred,
    /// Learned from an internal peer, and neither side is a client (RFC 4456 §6).
    NotReflected,
    /// Learned from a client of the same cluster, from which this client hears it itself
    /// ([`PeerParams::client_to_client`]).
    ClientToClient,
    /// It carries ONLY_TO_CUSTOMER and the peer is no customer (RFC 9234 §5).
    OnlyToCustomer,
    /// It is long-lived stale and the peer does not know what that is (RFC 9494 §4.3).
    LongLivedStale,
    /// An aggregate stands for it.
    Suppressed,
    /// This speaker has no address of the family to give as next hop on this session.
    NoOwnNextHop,
    /// The peer cannot take a next hop of that address family (RFC 8950).
    NextHopFamily,
    /// The peer told it.
    SplitHorizon,
    /// Its next hop is the peer itself (RFC 4271 §5.1.3).
    NextHopIsPeer,
    /// Its attributes do not fit into one message to this peer (RFC 8654).
    TooLarge,
    /// The peer would refuse it: with such attributes, or such an NLRI, nothing can be sent.
    Refused,
    /// A segment routing policy stays within its domain (RFC 9830 §4.2.3).
    LeavesDomain,
    /// The peer is told several paths, and this is none of those (RFC 7911).
    NotSelected,
    /// The peer wants none of its route targets (RFC 4684 §6).
    RouteTarget,
    /// It has several labels, and the peer reads one (RFC 8277 §2.1).
    SeveralLabels,
    /// The peer has as many routes as it may be told ([`FamilyLimits::advertised`](crate::FamilyLimits)).
    OverLimit,
}

impl fmt::Display for HeldBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRoute => "no best route",
            Self::ExportPolicy => "rejected by export policy (an external session needs one, RFC 8212)",
            Self::NoAdvertise => "NO_ADVERTISE",
            Self::NoExport => "NO_EXPORT to an external peer",
            Self::Deferred => "after a restart, until the tables of all peers are there (RFC 4724)",
            Self::NotReflected => "learned from an internal peer, and neither side is a client",
            Self::ClientToClient => {
                "learned from a client of the same cluster, which tells it to this client itself"
            }
            Self::OnlyToCustomer => "ONLY_TO_CUSTOMER, and the peer is no customer",
            Self::LongLivedStale => "long-lived stale, and the peer does not know LLGR",
            Self::Suppressed => "suppressed: an aggregate stands for it",
            Self::NoOwnNextHop => "no own address of this family for the session: configure one",
            Self::NextHopFamily => "the peer cannot take a next hop of this address family",
            Self::SplitHorizon => "learned from this peer",
            Self::NextHopIsPeer => "the peer itself is the next hop",
            Self::TooLarge => "too large for one message",
            Self::Refused => "the peer would refuse it",
            Self::LeavesDomain => "a segment routing policy, and the peer is of another domain (RFC 9830)",
            Self::NotSelected => "not among the paths that this session is told",
            Self::RouteTarget => "the peer wants none of its route targets (RFC 4684)",
            Self::SeveralLabels => "several labels, of which the peer reads one (RFC 8277)",
            Self::OverLimit => "the peer has as many routes as it may be told",
        })
    }
}

/// Everything that can change the bytes that a peer is sent: peers with the same key share them. A field that is missing
/// here cannot be used below, as the rules see nothing else of the peer.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct GroupKey {
    pub(crate) kind: PeerKind,
    pub(crate) role: PeerRole,
    pub(crate) local_as: Asn,
    pub(crate) codec: Codec,
    pub(crate) next_hop: NextHopMode,
    pub(crate) self_ipv4: Option<Ipv4Addr>,
    pub(crate) self_ipv6: Option<Ipv6Addr>,
    pub(crate) cluster_id: ClusterId,
    /// It is told our own routes alone, for as long as a restart goes on.
    pub(crate) deferring: bool,
    /// A client that hears of the routes of the other clients of its cluster from them.
    pub(crate) meshed: bool,
    /// The route targets that it wants routes of, in families that have them (RFC 4684).
    pub(crate) membership: Option<Membership>,
    /// The bound on what its only member is told, if more is kept from it.
    pub(crate) bound: Option<Bound>,
    /// Which paths it is told beside the best one.
    pub(crate) selection: Option<Selection>,
    pub(crate) export: Policy,
    pub(crate) as_path: AsPathRules,
    /// Our role, where OTC follows from it (RFC 9234 §5).
    pub(crate) bgp_role: Option<Role>,
    /// Whether it takes long-lived stale routes.
    pub(crate) takes_stale: TakesStale,
    /// What is told is about to go (RFC 8326).
    pub(crate) leaving: bool,
    /// Where next hops of third parties are kept.
    pub(crate) shared_network: Option<IpNet>,
    /// Whether it is told AIGP.
    pub(crate) aigp: bool,
    /// Where the best route may not go, it is told the best of the others.
    pub(crate) best_per_client: bool,
}

/// Whether a peer is told routes that are long-lived stale (RFC 9494 §4.3, §4.6).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum TakesStale {
    /// It knows what LLGR_STALE means.
    Yes,
    /// It does not, and hears of them as of what is to be the last choice inside the AS.
    AsLast,
    No,
}

impl GroupKey {
    /// The key of a peer in one family; what only concerns receiving, or other families, is left out.
    pub(crate) fn of(peer: &PeerParams, family: Family, us: &RibConfig) -> Self {
        let cluster_id = us.cluster_id();
        let external = peer.kind == PeerKind::External;
        let behind = peer.local_as_mode.keep_speaker_as && peer.local_as != us.local_as;
        let as_path = AsPathRules {
            private: peer.private_as,
            instead_of: Some(peer.peer_as).filter(|_| peer.as_override),
            behind: Some(us.local_as).filter(|_| behind),
            transparent: peer.route_server_client,
        };
        let only = FamilySet::of(&[family]);
        let mut codec = peer.codec;
        codec.families = only;
        codec.add_path_rx = FamilySet::empty();
        codec.enhanced_refresh = false;
        codec.extended_message_rx = false;
        codec.multiple_labels = codec.multiple_labels.intersection(only);
        codec.add_path_tx = codec.add_path_tx.intersection(only);
        codec.extended_next_hop = codec.extended_next_hop.intersection(only);
        let takes_paths = !codec.add_path_tx.is_empty();
        let selection = if takes_paths {
            add_path::selection(&peer.add_path_send, &peer.paths_limit, family)
        } else {
            None
        };
        let takes_several = selection.is_some();
        Self {
            membership: None,
            bound: None,
            deferring: false,
            selection,
            kind: peer.kind,
            role: peer.role,
            local_as: peer.local_as,
            codec,
            next_hop: peer.next_hop,
            self_ipv4: peer.self_ipv4(),
            self_ipv6: peer.self_ipv6(),
            cluster_id: peer.cluster_id.unwrap_or(cluster_id),
            meshed: !peer.client_to_client && peer.role == PeerRole::Client,
            export: peer.export.clone(),
            as_path: if external { as_path } else { AsPathRules::default() },
            bgp_role: roles::role(peer, family),
            takes_stale: match (&peer.long_lived, peer.kind) {
                (Some(_), _) => TakesStale::Yes,
                (None, PeerKind::Internal) if peer.long_lived_partial => TakesStale::AsLast,
                (None, _) => TakesStale::No,
            },
            leaving: peer.leaving,
            shared_network: peer
                .shared_network
                .filter(|_| external && peer.next_hop == NextHopMode::ThirdParty),
            aigp: peer.aigp,
            best_per_client: peer.best_per_client && !takes_several && family != Family::ROUTE_TARGET,
        }
    }

    /// Whether a membership of route targets is told as this speaker's own, to the one that told it too: by that a client
    /// learns that VPN routes are wanted here (RFC 4684 §3.2 (i)).
    pub(crate) fn tells_as_own(&self, from: Origin) -> bool {
        self.codec.families.contains(Family::ROUTE_TARGET)
            && (self.kind, self.role) == (PeerKind::Internal, PeerRole::Client)
            && matches!(from, Origin::Internal { .. })
    }
}

impl GroupKey {
    /// The block with what the peer is to see of the path; `None` where that is all.
    fn shown(&self, block: AttributeBlock<'_>, from: Origin) -> Option<Vec<u8>> {
        let path = self.as_path.change(block);
        // A route server is not seen in what others told (RFC 7947 §2.2.2.1).
        let behind = self.as_path.behind.filter(|_| !self.as_path.transparent || from == Origin::Local);
        if !path && behind.is_none() {
            return None;
        }
        let mut attributes = PathAttributes::from_block(block);
        if path {
            self.as_path.apply(&mut attributes.as_path, self.local_as);
        }
        if let Some(speaker_as) = behind {
            crate::policy::prepend(&mut attributes.as_path, &[speaker_as]);
        }
        let mut out = Vec::new();
        attributes.encode_block(&mut out).ok().map(|()| out)
    }

    /// The block with what a stale route (RFC 9494 §4.6) and a session that is about to end (RFC 8326) say of themselves;
    /// `None` where that is all. It stands above policy: a community list that a policy sets does not take it away.
    fn marked(&self, block: AttributeBlock<'_>, as_last: bool) -> Option<Vec<u8>> {
        let marks = [(as_last, Community::NO_EXPORT), (self.leaving, Community::GRACEFUL_SHUTDOWN)];
        let missing = |(wanted, mark): (bool, Community)| {
            (wanted && !block.communities().iter().any(|community| community == mark)).then_some(mark)
        };
        let missing: Vec<Community> = marks.into_iter().filter_map(missing).collect();
        if missing.is_empty() {
            return None;
        }
        let mut attributes = PathAttributes::from_block(block);
        attributes.communities.extend(missing);
        let mut out = Vec::new();
        attributes.encode_block(&mut out).ok().map(|()| out)
    }
}

/// Where a route came from, as far as the rules care.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    /// Originated on this speaker.
    Local,
    /// Learned from an external peer.
    External,
    /// Learned from an internal peer, with what reflection stamps on it.
    Internal {
        role: PeerRole,
        router_id: RouterId,
        /// The cluster of a client; a non-client's routes take the target's.
        cluster_id: ClusterId,
    },
}

impl Origin {
    /// What a peer is as a source; our cluster stands in where its session has none of its own.
    pub(crate) fn of(params: &PeerParams, cluster_id: ClusterId) -> Self {
        match params.kind {
            PeerKind::External => Self::External,
            PeerKind::Internal => Self::Internal {
                role: params.role,
                router_id: params.peer_router_id,
                cluster_id: params.cluster_id.unwrap_or(cluster_id),
            },
        }
    }
}

/// A route on its way out: its set, who told it, under which identifier, and where it leads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outbound {
    pub(crate) attributes: AttributesId,
    pub(crate) source: u32,
    pub(crate) path_id: u32,
    pub(crate) destination: (Family, Option<IpNet>),
}

/// What a group is told of a route.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) next_hop: NextHop,
    pub(crate) edits: Option<Box<Edits>>,
}

/// Rules 1 to 8: what holds for all members of a group alike.
pub(crate) fn offer(shared: &Shared, to: &GroupKey, route: &Outbound) -> Result<Offer, HeldBack> {
    if to.export.rejects_all() {
        return Err(HeldBack::ExportPolicy); // 1
    }
    let set = &shared.attributes[route.attributes];
    match (set.summary.scope, to.kind) {
        (Scope::Nobody, _) => return Err(HeldBack::NoAdvertise), // 2
        (Scope::Inside, PeerKind::External) => return Err(HeldBack::NoExport), // 3
        (_, PeerKind::External) if route.destination.0.safi == Safi::SR_POLICY && !to.codec.same_domain => {
            return Err(HeldBack::LeavesDomain); // 3a
        }
        _ => {}
    }
    let from = shared.peers.origin(route.source);
    passes(to, from)?; // 3b, 4
    if to.membership.as_ref().is_some_and(|membership| !membership.wants(&set.block())) {
        return Err(HeldBack::RouteTarget); // 4a
    }
    if set.summary.marks.has(Marks::ONLY_TO_CUSTOMER) && roles::keeps_back(to.bgp_role) {
        return Err(HeldBack::OnlyToCustomer); // 5
    }
    if set.summary.marks.has(Marks::LLGR_STALE) && to.takes_stale == TakesStale::No {
        return Err(HeldBack::LongLivedStale); // 6
    }
    if !to.export.asks_for_suppression() && shared.is_suppressed(to, route) {
        return Err(HeldBack::Suppressed); // 6a
    }
    let edits = if to.export.accepts_all() { None } else { judge(shared, to, route)?.edits }; // 7
    let next_hop =
        next_hop(shared, to, route.destination.0, (route.attributes, route.source), edits.as_deref())?; // 8
    Ok(Offer { next_hop, edits })
}

/// Rule 8: the next hop that a group is told.
pub(crate) fn next_hop(
    shared: &Shared,
    to: &GroupKey,
    family: Family,
    (attributes, source): (AttributesId, u32),
    edits: Option<&Edits>,
) -> Result<NextHop, HeldBack> {
    let edit = edits.and_then(|edits| edits.next_hop);
    next_hop::choose_edited(to, family, shared.peers.origin(source), shared.next_hop(attributes), edit)
}

/// Rule 7: what the group's policy makes of the route.
fn judge(shared: &Shared, to: &GroupKey, route: &Outbound) -> Result<Outcome, HeldBack> {
    let outcome = evaluate(shared, to, route);
    if outcome.is_accepted() { Ok(outcome) } else { Err(HeldBack::ExportPolicy) }
}

pub(crate) fn evaluate(shared: &Shared, to: &GroupKey, route: &Outbound) -> Outcome {
    let session = (to.kind, to.local_as);
    let Outbound { attributes, source, path_id, destination } = *route;
    let suppressed = to.export.asks_for_suppression() && shared.is_suppressed(to, route);
    let view = shared.view(attributes, source, path_id, session, destination);
    let view = shared.validated(&to.export, view);
    to.export.evaluate(&RouteView { suppressed, ..view })
}

/// Appends the attributes of a route as a group is told them.
pub(crate) fn write(
    shared: &Shared,
    to: &GroupKey,
    (attributes, source): (AttributesId, u32),
    told: NextHop,
    edits: Option<&Edits>,
    block: &mut Vec<u8>,
) -> Result<(), HeldBack> {
    let set = &shared.attributes[attributes];
    let from = shared.peers.origin(source);
    let mut how = rewrite(to, from);
    let sets_aigp = edits.is_some_and(|edits| edits.aigp != Edit::Keep);
    if sets_aigp || set.summary.marks.has(Marks::AIGP) {
        let way = if sets_aigp { 0 } else { way(shared, attributes, told) };
        how.aigp = if to.aigp { AigpEdit::Add(way) } else { AigpEdit::Remove };
    }
    if to.tells_as_own(from) {
        how.originator_id = Edit::Set(shared.config.router_id);
    }
    let start = block.len();
    let as_last = to.takes_stale == TakesStale::AsLast && set.summary.marks.has(Marks::LLGR_STALE);
    if as_last {
        how.local_pref = Edit::Set(0);
    }
    let shown = to.shown(set.block(), from);
    let mut base = AttributeBlock::trusted(shown.as_deref().unwrap_or(set.bytes()));
    let mut edited = Vec::new();
    let mut lawful = true;
    if let Some(edits) = edits.filter(|edits| edits.changes_attributes()) {
        // What a policy sets goes to whomever it is set for.
        if let Edit::Set(_) = edits.med {
            how.med = Edit::Keep;
        }
        lawful = edits.apply(base, &mut edited).is_ok();
        base = AttributeBlock::trusted(&edited);
    }
    let marked = if as_last || to.leaving { to.marked(base, as_last) } else { None };
    let base = marked.as_deref().map_or(base, AttributeBlock::trusted);
    if to.as_path.transparent && base.as_path().segments().all(|segment| segment.kind.is_confederation()) {
        how.prepend = Some((to.local_as, 1)); // Begun in our AS: no external peer takes an empty path.
    }
    let written = lawful && rewrite_block(base, &how, block).is_ok();
    let family = to.codec.families.iter().next().unwrap_or(Family::IPV4_UNICAST);
    let fits = |length| pack::Room::beside(&to.codec, family, &told, length).suffices();
    let goes = written
        && (fits(block.len() - start) || pack::drop_link_state(block, start) && fits(block.len() - start));
    if goes { Ok(()) } else { Err(HeldBack::TooLarge) }
}

/// What the AIGP of a route grows by on its way out: the interior cost where another next hop is told than was received,
/// but never nothing then (RFC 7311 §3.4.3).
fn way(shared: &Shared, attributes: AttributesId, told: NextHop) -> u64 {
    let received = shared.next_hops.get(shared.attributes[attributes].next_hop);
    match received.filter(|entry| entry.next_hop.address() != told.address()).map(|entry| entry.way) {
        None => 0,
        Some(Way::Metric(metric)) => u64::from(metric.max(1)),
        // Nobody is told what cannot be reached, but for our own routes, whose next hop is for those who hear it.
        Some(Way::Unreachable | Way::Own) => 1,
    }
}

/// Rules 3b and 4: whose routes are told at all; inside the AS that is:
///
/// | source \ target | client | non-client | external |
/// |---|---|---|---|
/// | client | yes, unless of its cluster and meshed with it | yes | yes |
/// | non-client | yes | no | yes |
/// | external, local | yes | yes | yes |
pub(crate) fn passes(to: &GroupKey, from: Origin) -> Result<(), HeldBack> {
    if to.deferring && from != Origin::Local {
        return Err(HeldBack::Deferred);
    }
    let Origin::Internal { role: from_role, cluster_id, .. } = from else { return Ok(()) };
    match (from_role, to.kind, to.role) {
        (PeerRole::Plain, PeerKind::Internal, PeerRole::Plain) => Err(HeldBack::NotReflected),
        // What it wants of VPN routes is for us to know (RFC 4684 §3.2 (i)), whoever else tells it.
        (PeerRole::Client, PeerKind::Internal, PeerRole::Client)
            if to.meshed && cluster_id == to.cluster_id && !to.tells_as_own(from) =>
        {
            Err(HeldBack::ClientToClient)
        }
        _ => Ok(()),
    }
}

/// How the attributes of a route change on their way to a group.
///
/// | attribute | to internal | to external |
/// |---|---|---|
/// | LOCAL_PREF (RFC 4271 §5.1.5) | 100 if absent, 0 before the session ends (RFC 8326) | removed |
/// | MULTI_EXIT_DISC (RFC 4271 §5.1.4) | kept | removed unless originated here, or we are a route server |
/// | AS_PATH (RFC 4271 §5.1.2) | kept | our AS in front, unless we are a route server and there is a path (RFC 7947 §2.2.2); confederation segments removed (RFC 5065 §4.1) |
/// | ONLY_TO_CUSTOMER (RFC 9234 §5) | kept | kept, or our AS if absent and the role says so |
/// | ORIGINATOR_ID, CLUSTER_LIST (RFC 4456 §8) | stamped if reflected | removed |
/// | AIGP (RFC 7311 §3.1, §3.4.3) | kept, with the way to the next hop that is replaced | removed unless the session says so; then as to internal |
/// | PREFIX_SID (RFC 8669 §5), TUNNEL_ENCAPSULATION and its extended community (RFC 9012 §11) | kept | removed, unless the session is within the domain |
/// | extended communities that are not transitive (RFC 4360 §6) | kept | removed |
pub(crate) fn rewrite(to: &GroupKey, from: Origin) -> Rewrite {
    let mut how = Rewrite { two_octet_as: !to.codec.four_octet_as, ..Rewrite::default() };
    match to.kind {
        PeerKind::Internal if to.leaving => how.local_pref = Edit::Set(0),
        PeerKind::Internal => how.local_pref = Edit::SetIfAbsent(DEFAULT_LOCAL_PREF),
        PeerKind::External => {
            how.local_pref = Edit::Remove;
            how.leaves_as = true;
            how.same_domain = to.codec.same_domain;
            let passes = to.as_path.transparent && from != Origin::Local;
            how.prepend = Some((to.local_as, 1)).filter(|_| !passes);
            if from != Origin::Local && !passes {
                how.med = Edit::Remove;
            }
            if roles::marks(to.bgp_role) {
                how.only_to_customer = Edit::SetIfAbsent(to.local_as);
            }
        }
    }
    match (to.kind, from) {
        (PeerKind::Internal, Origin::Internal { role, router_id, cluster_id }) => {
            how.originator_id = Edit::SetIfAbsent(router_id);
            let cluster = if role == PeerRole::Client { cluster_id } else { to.cluster_id };
            how.cluster_list = ClusterEdit::Prepend(cluster);
        }
        _ => {
            how.originator_id = Edit::Remove;
            how.cluster_list = ClusterEdit::Remove;
        }
    }
    how
}
