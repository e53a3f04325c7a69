//! Who takes part, and what can be told.

use core::time::Duration;

use bgp_rib::{
    AddPathSend, ConsecutiveRestarts, FamilyLimits, Limit, LimitAction, Limits, PeerParams, Policy, Vrp,
};
use bgp_wire::{
    Asn, ClusterId, Community, FamilySet, LongLivedFamily, NextHop, PathAttributes, PathSegment, PeerKind,
    Role, RouterId, SegmentKind,
};
use ipnet::IpNet;

use crate::support::*;

/// How many peers there are.
pub(super) const PEERS: u8 = 14;

/// Other names of this speaker: the end of its BGP identifier, and its AS.
pub(super) const OTHER: u8 = 253;
pub(super) const OTHER_AS: Asn = Asn(65100);

/// The peers: clients, non-clients, external ones, one of them without policies, one with ADD-PATH; one to which we are
/// another AS, two clients of a route server, another site of the AS of peer 5. The second variant has another BGP
/// identifier, or another role.
pub(super) fn params(peer: u8, variant: u8) -> PeerParams {
    let mut params = match peer {
        1 | 2 => client(peer),
        3 | 4 => internal(peer),
        5 => external(5, 65005),
        6 => external(6, 65006),
        7 => client(7),
        8 => client(8),
        9 => internal(9),
        10 => external(10, 65010),
        11 => PeerParams { local_as: OTHER_AS, ..external(11, 70011) },
        12 => external(12, 70012),
        13 => external(13, 65013),
        _ => external(14, 65005),
    };
    match peer {
        2 => params.codec.add_path_rx = FamilySet::of(&[V4, V6]),
        4 => params.enhanced_refresh = true,
        6 if variant == 0 => (params.import, params.export) = (Policy::reject_all(), Policy::reject_all()),
        7 => {
            params.codec.add_path_tx = FamilySet::of(&[V4]);
            params.codec.four_octet_as = false;
            params.local_ipv6 = None;
            params.cluster_id = Some(ClusterId(77));
        }
        8 => {
            params.codec.add_path_tx = FamilySet::of(&[V4, V6]);
            params.add_path_send = vec![(V4, AddPathSend::All), (V6, AddPathSend::EqualCost)];
            params.enhanced_refresh = true;
        }
        9 => {
            (params.codec.add_path_tx, params.codec.add_path_rx) =
                (FamilySet::of(&[V4, V6]), FamilySet::of(&[V4, V6]));
            params.add_path_send = vec![(V4, AddPathSend::Best(2)), (V6, AddPathSend::All)];
            params.paths_limit = vec![(V6, 3)];
        }
        10 => {
            params.codec.add_path_tx = FamilySet::of(&[V4, V6]);
            params.add_path_send = vec![(V4, AddPathSend::PerAs), (V6, AddPathSend::Best(3))];
            params.add_path_send.rotate_left(usize::from(variant));
            params.paths_limit = vec![(V4, 2)];
        }
        _ => {}
    }
    if variant == 1 && peer < 5 {
        params.peer_router_id = RouterId(params.peer_router_id.0 + 0x100);
    }
    params.enhanced_refresh |= peer == 1;
    params.best_per_client = matches!(peer, 3 | 5 | 6 | 13) || (peer == 1 && variant == 1);
    (params.route_server_client, params.bgp_role) = (matches!(peer, 12 | 13), role(peer, variant));
    if matches!(peer, 11 | 12 | 14) {
        // AIGP is a matter of both sides: these may tell it, whether it counts or not.
        params.codec.external_aigp = true;
    }
    if peer == 14 && variant == 1 {
        // A parallel session with the router that is peer 5.
        params.peer_router_id = router_id(5);
    }
    params.retained = if peer == 3 { FamilySet::of(&[V6]) } else { params.retained };
    params.graceful_restart = peer == 4 && variant == 1;
    if peer == 2 && variant == 1 {
        params.keep_stale = FamilySet::of(&[V6]);
    }
    params.long_lived = long_lived(peer, variant);
    if matches!((peer, variant), (3 | 5 | 6, 1)) {
        params.stale_time = Duration::ZERO;
    }
    params.long_lived_partial = peer == 8;
    if matches!((peer, variant), (1 | 5 | 7, _) | (2 | 4, 1)) {
        params.consecutive_restarts = ConsecutiveRestarts::Keep;
    }
    params.limits = limits(peer);
    params
}

/// What we are to some external peers (RFC 9234 §4). On internal sessions it means nothing.
fn role(peer: u8, variant: u8) -> Option<Role> {
    match (peer, variant) {
        (5 | 14, 1) | (11, 0) => Some(Role::CUSTOMER),
        (6, 1) | (10, 0) | (9, 1) => Some(Role::PROVIDER),
        (10, 1) | (13, 0) => Some(Role::PEER),
        (12, 0) | (13, 1) => Some(Role::ROUTE_SERVER),
        (11, 1) => Some(Role::ROUTE_SERVER_CLIENT),
        _ => None,
    }
}

/// Long-lived graceful restart: some peers agree on it, for some time by family, one without having kept forwarding.
fn long_lived(peer: u8, variant: u8) -> Option<Vec<LongLivedFamily>> {
    let row = |family, stale_time, forwarding| LongLivedFamily { family, forwarding, stale_time };
    match peer {
        1 => Some(vec![row(V4, 300, true), row(V6, 200, variant == 0)]),
        3 => Some(vec![row(V4, 100, true)]),
        4 | 5 | 9 => Some(Vec::new()),
        6 => Some(vec![row(V6, 1000, true)]),
        _ => None,
    }
}

/// What some peers may tell: one that tells too much in IPv6 is to be sent away.
fn limits(peer: u8) -> Limits {
    let most = |max| Some(Limit::new(max, LimitAction::Drop));
    let stop = Some(Limit::new(3, LimitAction::Stop));
    match peer {
        2 => Limits::default()
            .family(V4, FamilyLimits { received: most(3), ..FamilyLimits::default() })
            .family(V6, FamilyLimits { received: stop, ..FamilyLimits::default() }),
        4 => Limits::default()
            .family(V4, FamilyLimits { accepted: most(2), ..FamilyLimits::default() })
            .memory(Limit::new(MEMORY, LimitAction::Drop)),
        _ => Limits::default(),
    }
}

pub(super) fn prefixes(bits: u8) -> Vec<IpNet> {
    let all = [
        "10.1.0.0/26",
        "10.1.0.64/26",
        "10.1.0.128/26",
        "192.0.2.1/32",
        "0.0.0.0/0",
        "2001:db8:1::/64",
        "2001:db8:2::/122",
        "10.1.0.0/24",
    ];
    (0..8).filter(|bit| bits & (1 << bit) != 0).map(|bit| net(all[bit])).collect()
}

/// What the routes of one peer may take: some seven of them.
pub(super) const MEMORY: u64 = 700;

/// How many attribute sets there are.
pub(super) const SETS: u8 = 40;

/// Attribute sets as peer `peer` tells them.
pub(super) fn set(which: u8, peer: Option<&PeerParams>) -> PathAttributes {
    let external = peer.filter(|peer| peer.kind == PeerKind::External);
    let first = external.map(|peer| peer.peer_as.0);
    let path = |asns: &[u32]| first.into_iter().chain(asns.iter().copied()).collect::<Vec<u32>>();
    let mut attributes = attributes(&path(&[]));
    match which {
        22.. => attributes = at_the_border(which, first),
        0 => {}
        1 => attributes = crate::support::attributes(&path(&[64512])),
        2 => attributes.local_pref = Some(200),
        3 => attributes.med = Some(10),
        4 => {
            attributes = PathAttributes { med: Some(5), ..crate::support::attributes(&path(&[64512, 70000])) }
        }
        5 => attributes.communities = vec![Community::NO_EXPORT],
        6 => attributes.communities = vec![Community::NO_ADVERTISE],
        7 => attributes = crate::support::attributes(&path(&[LOCAL_AS.0])),
        8 => attributes.originator_id = Some(router_id(254)),
        9 => attributes.cluster_list = vec![ClusterId(router_id(254).0)],
        12 => attributes.communities = vec![Community::NO_LLGR],
        // Two neighbouring AS, and our own, with MULTI_EXIT_DISCs that are compared within each.
        13..=17 => {
            let (asn, med) =
                [(64512, 3), (64512, 9), (64513, 1), (64513, 7), (64513, 0)][usize::from(which) - 13];
            let med = Some(med).filter(|med| *med > 0);
            attributes = PathAttributes { med, ..crate::support::attributes(&path(&[asn])) };
        }
        18 => attributes.communities = vec![Community::GRACEFUL_SHUTDOWN],
        // What is ours once this speaker has other names, and what is a cluster of some session.
        19 => attributes = crate::support::attributes(&path(&[OTHER_AS.0])),
        20 => {
            (attributes.originator_id, attributes.cluster_list) =
                (Some(router_id(OTHER)), vec![ClusterId(77)]);
        }
        10 => (attributes.originator_id, attributes.cluster_list) = (Some(router_id(99)), vec![ClusterId(5)]),
        11 => attributes.origin = bgp_wire::Origin::Incomplete,
        _ => attributes.set_aigp(Some(1)),
    }
    if external.is_some() {
        // From another AS that is malformed (RFC 5065 §5).
        attributes.as_path.segments.retain(|segment| !segment.kind.is_confederation());
        if peer.is_some_and(|peer| !peer.codec.external_aigp) {
            attributes.set_aigp(None);
        }
        (attributes.local_pref, attributes.originator_id) = (None, None);
        attributes.cluster_list.clear();
    }
    attributes
}

/// Sets that matter where they leave the AS, or come into it.
fn at_the_border(which: u8, first: Option<u32>) -> PathAttributes {
    let of = |asns: &[u32]| asns.iter().copied().map(Asn).collect::<Vec<Asn>>();
    let sequence = |asns: &[u32]| {
        let asns: Vec<u32> = first.into_iter().chain(asns.iter().copied()).collect();
        attributes(&asns)
    };
    let behind = |kind, asns: &[u32], mut attributes: PathAttributes| {
        attributes.as_path.segments.push(PathSegment { kind, asns: of(asns) });
        attributes
    };
    let ahead = |kind, asns: &[u32], mut attributes: PathAttributes| {
        attributes.as_path.segments.insert(0, PathSegment { kind, asns: of(asns) });
        attributes
    };
    match which {
        // Private AS numbers among public ones, in front of them, alone; and the numbers beside the ranges.
        22 => sequence(&[70000, 64512, 70001]),
        23 => sequence(&[64512, 4_200_000_000, 70000, 64513]),
        24 => sequence(&[64511, 65535, 4_199_999_999, 4_294_967_294]),
        // The AS of some peers: that of two sites, private and public ones.
        25 => sequence(&[65005, 70000, 65005]),
        26 => sequence(&[70011, 70012]),
        27 => sequence(&[65013]),
        // Sets, of private numbers too, behind and in front.
        28 => behind(SegmentKind::Set, &[64512, 70002], sequence(&[70000])),
        29 => behind(SegmentKind::Set, &[64512, 64513], sequence(&[])),
        30 => ahead(SegmentKind::Set, &[70002, 64512], sequence(&[64513])),
        // A confederation's.
        31 => ahead(SegmentKind::ConfedSequence, &[64600, 64601], sequence(&[64602, 70000])),
        32 => PathAttributes { med: Some(4), ..ahead(SegmentKind::ConfedSet, &[64600], sequence(&[])) },
        // Our own AS once more than once; another that is ours.
        33 => sequence(&[LOCAL_AS.0, 70000, LOCAL_AS.0]),
        34 => sequence(&[LOCAL_AS.0, OTHER_AS.0]),
        // What does not begin with the AS that tells it.
        35 => attributes(&[70003, 70004]),
        36 => attributes(&[]),
        // Only to Customer.
        37 => PathAttributes { only_to_customer: Some(Asn(70011)), ..sequence(&[70000]) },
        38 => PathAttributes { only_to_customer: first.map(Asn).or(Some(LOCAL_AS)), ..sequence(&[]) },
        // AIGP that a way longer than nothing takes beyond the range (RFC 7311 §3.4).
        _ => {
            let mut attributes = sequence(&[]);
            attributes.set_aigp(Some(u64::MAX - 2));
            attributes
        }
    }
}

/// Who may originate what.
pub(super) fn vrps(bits: u8) -> Vec<Vrp> {
    let all = [
        ("10.1.0.0/24", 26, LOCAL_AS.0),
        ("10.1.0.0/24", 24, 64512),
        ("10.1.0.0/26", 26, 64512),
        ("192.0.2.0/24", 32, 65005),
        ("2001:db8::/32", 64, 65006),
        ("2001:db8::/32", 128, 0),
        ("10.1.0.0/16", 32, 65010),
        ("0.0.0.0/0", 32, 64513),
    ];
    let of =
        |(prefix, max_length, asn): (&str, u8, u32)| Vrp { prefix: net(prefix), max_length, asn: Asn(asn) };
    (0..8).filter(|bit| bits & (1 << bit) != 0).map(|bit| of(all[bit])).collect()
}

/// 10.0.0.1..7 are the peers' own addresses, 254 is ours.
pub(super) fn hop(which: u8, prefix: &IpNet) -> NextHop {
    let last = [1, 2, 3, 4, 5, 7, 20, 21, 22, 254][usize::from(which)];
    match prefix {
        IpNet::V4(_) => next_hop(last),
        IpNet::V6(_) if last == 254 => next_hop6(0xfe),
        IpNet::V6(_) => next_hop6(u16::from(last)),
    }
}
