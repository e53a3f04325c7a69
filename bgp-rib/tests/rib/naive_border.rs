//! What becomes of a route at the border of the AS, from the texts of the standards: AS_PATH, leaks, own and private AS
//! numbers. Nothing of the tables is used here but the options that are asked about.

use bgp_rib::{PeerParams, PrivateAs};
use bgp_wire::{AsPath, Asn, PathAttributes, PathSegment, PeerKind, Role, SegmentKind};

use crate::naive::Names;

/// Every AS number of a path, whatever it stands in.
pub(crate) fn all_of(path: &AsPath) -> Vec<Asn> {
    path.segments.iter().flat_map(|segment| segment.asns.clone()).collect()
}

/// AS numbers in front of a path, the first one foremost: within a leading AS_SEQUENCE, or as one (RFC 4271 §5.1.2 (b)).
pub(crate) fn in_front(asns: &[Asn], path: &AsPath) -> AsPath {
    let mut segments = path.segments.clone();
    if segments.first().is_none_or(|first| first.kind != SegmentKind::Sequence) {
        segments.insert(0, PathSegment { kind: SegmentKind::Sequence, asns: Vec::new() });
    }
    segments[0].asns = asns.iter().chain(&segments[0].asns).copied().collect();
    segments.retain(|segment| !segment.asns.is_empty());
    AsPath { segments }
}

/// A set counts one (RFC 4271 §9.1.2.2 (a)), a confederation's segments count nothing (RFC 5065 §5.3).
pub(crate) fn length(path: &AsPath) -> usize {
    let count = |segment: &PathSegment| match segment.kind {
        SegmentKind::Sequence => segment.asns.len(),
        SegmentKind::Set => 1,
        _ => 0,
    };
    path.segments.iter().map(count).sum()
}

/// The AS that a route came in from; none where it begins in our own AS, or was aggregated there (RFC 4271 §9.1.2.2 (c)),
/// whatever a confederation put in front (RFC 5065 §5.3).
pub(crate) fn neighbour(path: &AsPath) -> Option<Asn> {
    let first = path.segments.iter().find(|segment| !segment.kind.is_confederation())?;
    (first.kind == SegmentKind::Sequence).then(|| first.asns[0])
}

fn is_external(params: &PeerParams) -> bool {
    params.kind == PeerKind::External
}

fn role(params: &PeerParams) -> Option<Role> {
    params.bgp_role.filter(|_| is_external(params))
}

/// Our own AS, as the session and as the speaker has it, stands there more often than it may (RFC 4271 §9.1.2).
pub(crate) fn has_own_as(params: &PeerParams, names: &Names, path: &AsPath) -> bool {
    let ours = |asn: &Asn| *asn == params.local_as || *asn == names.local_as;
    all_of(path).iter().filter(|asn| ours(asn)).count() > usize::from(params.allow_own_as)
}

/// An external peer tells what does not begin with its own AS (RFC 4271 §6.3).
pub(crate) fn begins_elsewhere(params: &PeerParams, path: &AsPath) -> bool {
    let first = path.segments.first().filter(|first| first.kind == SegmentKind::Sequence);
    let first = first.map(|first| first.asns[0]);
    is_external(params) && params.enforce_first_as && first != Some(params.peer_as)
}

/// RFC 9234 §5, ingress 1 and 2: "If a route with the OTC Attribute is received from a Customer or an RS-Client, then it is a
/// route leak"; "... from a Peer and the Attribute has a value that is not equal to the remote AS number, then it is a route
/// leak". A customer's provider is a Provider.
pub(crate) fn leaks(params: &PeerParams, told: &PathAttributes) -> bool {
    let Some(otc) = told.only_to_customer else { return false };
    let from_below = matches!(role(params), Some(Role::PROVIDER | Role::ROUTE_SERVER));
    from_below || (role(params) == Some(Role::PEER) && otc != params.peer_as)
}

/// What is taken of a route that a peer told, before import policy: RFC 9234 §5, ingress 3: "received from a Provider, a Peer,
/// or an RS and the OTC Attribute is not present, then it MUST be added with a value equal to the AS number of the remote AS";
/// RFC 7311 §3.1: AIGP is ignored where it is off; an AS of our own for this session is put in front where asked for.
pub(crate) fn received(params: &PeerParams, names: &Names, told: &PathAttributes) -> PathAttributes {
    let mut attributes = told.clone();
    let from_above_or_beside =
        matches!(role(params), Some(Role::CUSTOMER | Role::PEER | Role::ROUTE_SERVER_CLIENT));
    if from_above_or_beside && told.only_to_customer.is_none() {
        attributes.only_to_customer = Some(params.peer_as);
    }
    if !params.aigp {
        attributes.set_aigp(None);
    }
    let another = params.local_as != names.local_as;
    if is_external(params) && another && params.local_as_mode.prepend_received {
        attributes.as_path = in_front(&[params.local_as], &attributes.as_path);
    }
    attributes
}

/// RFC 9234 §5, egress 2: "If a route already contains the OTC Attribute, it MUST NOT be propagated to Providers, Peers, or
/// RS(es)".
pub(crate) fn would_leak(params: &PeerParams, told: &PathAttributes) -> bool {
    let up_or_beside = matches!(role(params), Some(Role::CUSTOMER | Role::PEER | Role::ROUTE_SERVER_CLIENT));
    told.only_to_customer.is_some() && up_or_beside
}

/// What an external peer sees of a path, before export policy: no confederation (RFC 5065 §4.1), its own AS and private ones
/// (RFC 6996 §5: 64512-65534 and 4200000000-4294967294) as the session has it.
pub(crate) fn seen(params: &PeerParams, names: &Names, learned: bool, path: &AsPath) -> AsPath {
    if !is_external(params) {
        return path.clone();
    }
    let own = params.local_as;
    let private =
        |asn: &Asn| (64512..=65534).contains(&asn.0) || (4_200_000_000..=4_294_967_294).contains(&asn.0);
    let mut seen = Vec::new();
    let mut behind_public = false;
    for segment in path.segments.iter().filter(|segment| !segment.kind.is_confederation()) {
        let mut asns = Vec::new();
        behind_public |= segment.kind == SegmentKind::Set;
        for asn in &segment.asns {
            let asn = if params.as_override && *asn == params.peer_as { own } else { *asn };
            behind_public |= !private(&asn);
            match params.private_as {
                PrivateAs::RemoveLeading if !behind_public => {}
                PrivateAs::Remove if private(&asn) => {}
                PrivateAs::Replace if private(&asn) => asns.push(own),
                _ => asns.push(asn),
            }
        }
        if !asns.is_empty() {
            seen.push(PathSegment { kind: segment.kind, asns });
        }
    }
    let path = AsPath { segments: seen };
    let another = own != names.local_as && params.local_as_mode.keep_speaker_as;
    // A route server is not seen (RFC 7947 §2.2.2.1).
    let shows = another && !(params.route_server_client && learned);
    if shows { in_front(&[names.local_as], &path) } else { path }
}

/// What goes to an external peer at last: our AS in front (RFC 4271 §5.1.2 (b)), unless we are a route server (RFC 7947
/// §2.2.2.1) and the path says already where it comes from; OTC on the way down or beside (RFC 9234 §5, egress 1).
pub(crate) fn leave(params: &PeerParams, learned: bool, attributes: &mut PathAttributes) {
    let serves = params.route_server_client && learned;
    if !serves || attributes.as_path.segments.is_empty() {
        attributes.as_path = in_front(&[params.local_as], &attributes.as_path);
    }
    let down_or_beside = matches!(role(params), Some(Role::PROVIDER | Role::PEER | Role::ROUTE_SERVER));
    if down_or_beside && attributes.only_to_customer.is_none() {
        attributes.only_to_customer = Some(params.local_as);
    }
}

/// Sequences that lie side by side as one: it makes no difference where a segment ends.
pub(crate) fn joined(path: &AsPath) -> AsPath {
    let mut segments: Vec<PathSegment> = Vec::new();
    for segment in &path.segments {
        match segments.last_mut() {
            Some(last) if last.kind == SegmentKind::Sequence && segment.kind == SegmentKind::Sequence => {
                last.asns.extend(&segment.asns);
            }
            _ => segments.push(segment.clone()),
        }
    }
    AsPath { segments }
}

/// What is left of a path on a session of AS numbers of two octets: behind the first other segment, those of a confederation are
/// lost if it took AS4_PATH to tell it (RFC 6793 §4.2.3).
pub(crate) fn told_in_two_octets(path: &AsPath) -> AsPath {
    if all_of(path).iter().all(|asn| asn.0 <= 65535) {
        return path.clone();
    }
    let mut leading = true;
    let mut segments = path.segments.clone();
    segments.retain(|segment| {
        leading &= segment.kind.is_confederation();
        leading || !segment.kind.is_confederation()
    });
    AsPath { segments }
}
