//! What two OPENs agree on.

use crate::support::{Bench, LOW_ID, OUT, config, peer_open, restarting_open, seconds};
use bgp_fsm::{Input, PeerAs, SessionConfig};
use bgp_wire::{
    AddPathMode, Afi, Asn, Capability, Family, FamilySet, LongLivedFamily, Message, MessageType, Open,
    PeerKind,
};

const V4: Family = Family::IPV4_UNICAST;
const V6: Family = Family::IPV6_UNICAST;

fn both() -> SessionConfig {
    SessionConfig { families: FamilySet::of(&[V4, V6]), ..config() }
}

fn with(capabilities: Vec<Capability>) -> Open {
    let mut open = peer_open(LOW_ID);
    open.capabilities = capabilities;
    open
}

#[test]
fn families_are_those_that_both_announced() {
    let bench = Bench::established(
        both(),
        with(vec![Capability::Multiprotocol(V6), Capability::Multiprotocol(Family::IPV4_MULTICAST)]),
    );
    assert_eq!(bench.negotiated().families, FamilySet::of(&[V6]));
    assert_eq!(bench.negotiated().codec.families, FamilySet::of(&[V6]));
}

#[test]
fn a_peer_that_announces_no_family_speaks_ipv4_unicast() {
    let bench = Bench::established(both(), with(vec![Capability::RouteRefresh]));
    assert_eq!(bench.negotiated().families, FamilySet::of(&[V4]));
}

#[test]
fn add_path_goes_in_each_direction_that_one_sends_and_the_other_receives() {
    use AddPathMode as Mode;
    let modes = [None, Some(Mode::RECEIVE), Some(Mode::SEND), Some(Mode::BOTH), Some(AddPathMode(9))];
    for ours in modes {
        for theirs in modes {
            let config =
                SessionConfig { add_path: ours.map(|mode| (V4, mode)).into_iter().collect(), ..both() };
            let mut open = with(vec![Capability::Multiprotocol(V4), Capability::Multiprotocol(V6)]);
            open.capabilities.extend(theirs.map(|mode| Capability::AddPath(vec![(V4, mode)])));
            let bench = Bench::established(config, open);
            let sends = |mode: Option<Mode>| matches!(mode, Some(Mode::SEND | Mode::BOTH));
            let receives = |mode: Option<Mode>| matches!(mode, Some(Mode::RECEIVE | Mode::BOTH));
            let codec = bench.negotiated().codec;
            assert_eq!(
                codec.add_path_tx.contains(V4),
                sends(ours) && receives(theirs),
                "{ours:?} {theirs:?}"
            );
            assert_eq!(
                codec.add_path_rx.contains(V4),
                receives(ours) && sends(theirs),
                "{ours:?} {theirs:?}"
            );
            assert!(!codec.add_path_tx.contains(V6) && !codec.add_path_rx.contains(V6));
        }
    }
}

#[test]
fn add_path_does_not_outlive_its_family() {
    let config = SessionConfig { add_path: vec![(V4, AddPathMode::BOTH), (V6, AddPathMode::BOTH)], ..both() };
    let rows = vec![(V4, AddPathMode::BOTH), (V6, AddPathMode::BOTH)];
    let bench =
        Bench::established(config, with(vec![Capability::Multiprotocol(V4), Capability::AddPath(rows)]));
    assert_eq!(bench.negotiated().codec.add_path_rx, FamilySet::of(&[V4]));
    assert_eq!(bench.negotiated().codec.add_path_tx, FamilySet::of(&[V4]));
}

#[test]
fn what_only_one_side_announces_is_off() {
    let offers = vec![
        Capability::Multiprotocol(V4),
        Capability::RouteRefresh,
        Capability::EnhancedRouteRefresh,
        Capability::ExtendedMessage,
        Capability::FourOctetAs(crate::support::LOCAL_AS),
    ];
    let plain = SessionConfig {
        route_refresh: false,
        enhanced_refresh: false,
        extended_message: false,
        four_octet_as: false,
        graceful_restart: None,
        ..config()
    };
    let on = |bench: &Bench| {
        let n = bench.negotiated();
        [n.route_refresh, n.enhanced_refresh, n.codec.extended_message_tx, n.codec.four_octet_as]
    };
    assert_eq!(on(&Bench::established(config(), with(offers.clone()))), [true; 4]);
    assert_eq!(on(&Bench::established(config(), with(vec![]))), [false; 4]);
    assert_eq!(on(&Bench::established(plain, with(offers))), [false; 4]);
}

#[test]
fn extended_next_hop_is_per_family() {
    let config = SessionConfig { extended_next_hop: vec![(V4, Afi::IPV6)], ..both() };
    let rows = vec![(V4, Afi::IPV6), (Family::IPV4_MULTICAST, Afi::IPV6)];
    let families = || vec![Capability::Multiprotocol(V4)];
    let mut offer = families();
    offer.push(Capability::ExtendedNextHop(rows));
    let bench = Bench::established(config.clone(), with(offer));
    assert_eq!(bench.negotiated().codec.extended_next_hop, FamilySet::of(&[V4]));
    let bench = Bench::established(config, with(families()));
    assert!(bench.negotiated().codec.extended_next_hop.is_empty());
}

#[test]
fn graceful_restart_keeps_the_families_that_are_in_use() {
    let bench = Bench::established(both(), restarting_open(LOW_ID, true));
    assert_eq!(bench.negotiated().retained, FamilySet::of(&[V4]));
    assert!(bench.negotiated().notification_restart);
    assert_eq!(bench.negotiated().graceful_restart.as_ref().map(|gr| gr.time), Some(120));

    let bench = Bench::established(both(), restarting_open(LOW_ID, false));
    assert!(!bench.negotiated().notification_restart);

    let without = SessionConfig { graceful_restart: None, ..both() };
    let bench = Bench::established(without, restarting_open(LOW_ID, true));
    assert!(bench.negotiated().retained.is_empty());
    assert_eq!(bench.negotiated().graceful_restart, None);
}

#[test]
fn the_hold_time_is_the_smaller_and_a_keepalive_a_third_of_it() {
    let agreed = |ours: u64, theirs: u16, keepalive: Option<u64>| {
        let config =
            SessionConfig { hold_time: seconds(ours), keepalive: keepalive.map(seconds), ..config() };
        let bench = Bench::established(config, Open { hold_time: theirs, ..peer_open(LOW_ID) });
        (bench.negotiated().hold_time.as_secs(), bench.negotiated().keepalive.as_secs())
    };
    assert_eq!(agreed(90, 30, None), (30, 10));
    assert_eq!(agreed(9, 240, None), (9, 3));
    assert_eq!(agreed(90, 90, Some(5)), (90, 5));
    assert_eq!(agreed(90, 9, Some(60)), (9, 3));
    assert_eq!(agreed(0, 90, None), (0, 0));
    assert_eq!(agreed(90, 0, Some(10)), (0, 0));
}

#[test]
fn the_peer_is_internal_when_it_is_of_our_as() {
    let any = || SessionConfig { peer_as: PeerAs::Any, ..config() };
    let bench = Bench::established(any(), peer_open(LOW_ID));
    assert_eq!(bench.negotiated().kind, PeerKind::Internal);
    let mut open = with(vec![Capability::FourOctetAs(Asn(4_200_000_000))]);
    open.my_as = 23456;
    let bench = Bench::established(any(), open);
    assert_eq!(
        (bench.negotiated().kind, bench.negotiated().peer_as),
        (PeerKind::External, Asn(4_200_000_000))
    );
    assert_eq!(bench.negotiated().codec.peer, PeerKind::External);
}

fn long(family: Family, forwarding: bool, stale_time: u32) -> LongLivedFamily {
    LongLivedFamily { family, forwarding, stale_time }
}

fn long_lived(rows: &[LongLivedFamily]) -> Open {
    let mut open = restarting_open(LOW_ID, true);
    open.capabilities.push(Capability::LongLivedGracefulRestart(rows.to_vec()));
    open
}

#[test]
fn long_lived_restart_is_of_the_families_in_use_and_the_last_row_counts() {
    let ours = SessionConfig { long_lived: Some(vec![]), ..both() };
    let bench =
        Bench::established(ours, long_lived(&[long(V4, false, 5), long(V6, true, 9), long(V4, true, 3600)]));
    assert_eq!(bench.negotiated().long_lived, Some(vec![long(V4, true, 3600)]));
}

#[test]
fn long_lived_restart_needs_both_sides_and_graceful_restart_at_both() {
    let ours = || SessionConfig { long_lived: Some(vec![long(V4, true, 60)]), ..config() };
    let theirs = || long_lived(&[long(V4, true, 60)]);
    assert!(Bench::established(ours(), theirs()).negotiated().long_lived.is_some());
    assert!(Bench::established(config(), theirs()).negotiated().long_lived.is_none());
    assert!(Bench::established(ours(), restarting_open(LOW_ID, true)).negotiated().long_lived.is_none());
    let mut alone = theirs();
    alone.capabilities.retain(|c| !matches!(c, Capability::GracefulRestart(_)));
    assert!(Bench::established(ours(), alone).negotiated().long_lived.is_none());
    let without = SessionConfig { graceful_restart: None, ..ours() };
    assert!(Bench::established(without, theirs()).negotiated().long_lived.is_none());
}

#[test]
fn long_lived_restart_alone_keeps_routes_too() {
    let ours = SessionConfig { long_lived: Some(vec![]), ..config() };
    let retains = |stale_time| {
        let mut open = long_lived(&[long(V4, true, stale_time)]);
        for capability in &mut open.capabilities {
            if let Capability::GracefulRestart(restart) = capability {
                restart.families.clear();
            }
        }
        let mut bench = Bench::established(ours.clone(), open);
        bench.feed(Input::Closed(OUT, "gone")).down().map(|reason| reason.retain)
    };
    assert_eq!((retains(3600), retains(0)), (Some(true), Some(false)));
}

#[test]
fn our_open_never_says_long_lived_without_graceful_restart() {
    let said = |graceful_restart| {
        let config = SessionConfig { long_lived: Some(vec![]), graceful_restart, ..config() };
        let messages = Bench::connecting(config).feed(Input::Connected(OUT)).messages();
        let Some((_, Message::Open(open))) = messages.first() else { panic!("no OPEN") };
        open.capabilities.iter().any(|c| matches!(c, Capability::LongLivedGracefulRestart(_)))
    };
    assert!(said(config().graceful_restart));
    assert!(!said(None));
}

#[test]
fn a_limit_of_paths_holds_where_we_send_several() {
    let config = SessionConfig {
        add_path: vec![(V4, AddPathMode::SEND), (V6, AddPathMode::RECEIVE)],
        paths_limit: vec![(V6, 4)],
        ..both()
    };
    let open = |rows: &[(Family, u16)]| {
        with(vec![
            Capability::Multiprotocol(V4),
            Capability::Multiprotocol(V6),
            Capability::AddPath(vec![(V4, AddPathMode::BOTH), (V6, AddPathMode::BOTH)]),
            Capability::PathsLimit(rows.to_vec()),
        ])
    };
    let limits = |rows: &[(Family, u16)]| {
        Bench::established(config.clone(), open(rows)).negotiated().paths_limit.clone()
    };
    assert_eq!(limits(&[(V6, 3), (V4, 2), (V4, 7)]), [(V4, 2)]);
    assert_eq!(limits(&[(V4, 0)]), []);
}

/// RFC 8654 §4; of a peer that does not know long messages one is taken for a lost frame.
#[test]
fn long_messages_are_sent_and_taken_where_both_announced_them() {
    let silent = SessionConfig { extended_message: false, ..config() };
    let offers = with(vec![Capability::ExtendedMessage]);
    let limits = |bench: &Bench| {
        let codec = bench.negotiated().codec;
        (codec.max_len_rx(MessageType::UPDATE), codec.max_len_tx())
    };
    assert_eq!(limits(&Bench::established(config(), offers.clone())), (65535, 65535));
    assert_eq!(limits(&Bench::established(config(), with(vec![]))), (4096, 4096));
    assert_eq!(limits(&Bench::established(silent, offers)), (4096, 4096));
}
