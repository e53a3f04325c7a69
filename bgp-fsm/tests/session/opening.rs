//! Which OPENs are refused, and with what (RFC 4271 §6.2).

use std::sync::Arc;

use crate::support::{Bench, HIGH_ID, IN, LOCAL_ID, LOW_ID, OUT, config, peer_open, seconds};
use bgp_fsm::{Input, PeerAs, Required, SessionConfig, State};
use bgp_wire::{
    AddPathMode, Afi, Asn, Capability, Family, FamilySet, GracefulRestart, Message, Notification, Open, Role,
    RouterId,
};

/// The code with which an OPEN is refused, or `None` when it is accepted.
fn refusal(config: SessionConfig, open: Open) -> Option<(u8, u8)> {
    let mut bench = Bench::open_sent(config);
    let done = bench.open(OUT, open);
    if done.code().is_some() {
        assert_eq!(done.closed(), [OUT]);
        assert_eq!(bench.state(), State::Idle);
    } else {
        assert_eq!(bench.state(), State::OpenConfirm);
    }
    done.code()
}

fn of_as(asn: u32) -> Open {
    let asn = Asn(asn);
    Open { my_as: asn.to_two_octets(), capabilities: vec![Capability::FourOctetAs(asn)], ..peer_open(LOW_ID) }
}

fn expecting(peer_as: PeerAs) -> SessionConfig {
    SessionConfig { peer_as, ..config() }
}

#[test]
fn a_good_open_is_answered_with_a_keepalive() {
    let mut bench = Bench::open_sent(config());
    let done = bench.open(OUT, peer_open(LOW_ID));
    assert_eq!(done.messages(), [(OUT, Message::KeepAlive)]);
    assert_eq!(bench.state(), State::OpenConfirm);
    bench.keepalive(OUT);
    assert_eq!(bench.state(), State::Established);
    assert_eq!(bench.session.established(), Some(OUT));
}

#[test]
fn our_open_says_what_is_configured() {
    let mut bench = Bench::connecting(SessionConfig {
        local_as: Asn(4_200_000_000),
        hold_time: seconds(30),
        role: Some(Role::PEER),
        ..config()
    });
    let messages = bench.feed(Input::Connected(OUT)).messages();
    let [(OUT, Message::Open(open))] = messages.as_slice() else { panic!("one OPEN: {messages:?}") };
    assert_eq!((open.version, open.my_as, open.hold_time, open.router_id), (4, 23456, 30, LOCAL_ID));
    assert_eq!(open.asn(), Asn(4_200_000_000));
    for capability in [
        Capability::Multiprotocol(Family::IPV4_UNICAST),
        Capability::RouteRefresh,
        Capability::EnhancedRouteRefresh,
        Capability::ExtendedMessage,
        Capability::Role(Role::PEER),
        Capability::GracefulRestart(GracefulRestart { notification: true, time: 120, ..Default::default() }),
    ] {
        assert!(open.capabilities.contains(&capability), "{capability:?}");
    }
}

#[test]
fn what_our_open_said_is_what_is_agreed_on() {
    let mut bench = Bench::open_sent(config());
    let other = SessionConfig {
        hold_time: seconds(30),
        route_refresh: false,
        four_octet_as: false,
        families: FamilySet::of(&[Family::IPV6_UNICAST]),
        ..config()
    };
    bench.session.configure(Arc::new(other));
    bench.open(OUT, peer_open(LOW_ID));
    bench.keepalive(OUT);
    let agreed = bench.negotiated();
    assert_eq!(agreed.families, FamilySet::of(&[Family::IPV4_UNICAST]));
    assert_eq!((agreed.hold_time, agreed.route_refresh), (seconds(90), true));
    assert!(agreed.codec.four_octet_as);
}

#[test]
fn an_unlawful_hold_time_of_ours_is_sent_as_the_nearest_lawful_one() {
    for (ours, sent) in [(0, 0), (1, 3), (2, 3), (3, 3), (65_535, 65_535), (100_000, 65_535)] {
        let mut bench = Bench::connecting(SessionConfig { hold_time: seconds(ours), ..config() });
        let messages = bench.feed(Input::Connected(OUT)).messages();
        let [(_, Message::Open(open))] = messages.as_slice() else { panic!("one OPEN: {messages:?}") };
        assert_eq!(open.hold_time, sent);
    }
}

#[test]
fn another_version_is_refused_with_the_one_we_speak() {
    let mut bench = Bench::open_sent(config());
    let done = bench.open(OUT, Open { version: 3, ..peer_open(LOW_ID) });
    assert_eq!(done.notification(), Some(Notification::open_error(1, &[0, 4])));
}

#[test]
fn only_the_expected_as_is_admitted() {
    let exact = || expecting(PeerAs::Exact(Asn(65001)));
    let some = || expecting(PeerAs::AnyOf(vec![Asn(65001), Asn(65002)]));
    let bad_peer_as = Some((2, 2));
    assert_eq!(refusal(exact(), of_as(65001)), None);
    assert_eq!(refusal(exact(), of_as(65002)), bad_peer_as);
    assert_eq!(refusal(some(), of_as(65002)), None);
    assert_eq!(refusal(some(), of_as(65003)), bad_peer_as);
    assert_eq!(refusal(expecting(PeerAs::Internal), of_as(65000)), None);
    assert_eq!(refusal(expecting(PeerAs::Internal), of_as(65001)), bad_peer_as);
    assert_eq!(refusal(expecting(PeerAs::External), of_as(65000)), bad_peer_as);
    assert_eq!(refusal(expecting(PeerAs::External), of_as(4_200_000_000)), None);
    assert_eq!(refusal(expecting(PeerAs::Any), of_as(65000)), None);
    assert_eq!(refusal(expecting(PeerAs::Any), of_as(64999)), None);
}

#[test]
fn both_places_of_the_as_number_must_agree() {
    let any = || expecting(PeerAs::Any);
    let bad_peer_as = Some((2, 2));
    assert_eq!(
        refusal(any(), Open { my_as: 23456, ..of_as(65001) }),
        None,
        "AS_TRANS is always allowed there"
    );
    assert_eq!(refusal(any(), Open { my_as: 65002, ..of_as(65001) }), bad_peer_as);
    assert_eq!(refusal(any(), of_as(0)), bad_peer_as, "RFC 7607");
    assert_eq!(refusal(any(), of_as(23456)), bad_peer_as, "AS_TRANS is nobody's own");
    assert_eq!(refusal(any(), Open { my_as: 23456, capabilities: vec![], ..of_as(1) }), bad_peer_as);
    assert_eq!(refusal(any(), Open { my_as: 65001, capabilities: vec![], ..of_as(1) }), None);
}

#[test]
fn identifiers_must_differ_within_an_as_only() {
    let bad_identifier = Some((2, 3));
    assert_eq!(refusal(config(), peer_open(LOCAL_ID)), bad_identifier);
    assert_eq!(refusal(config(), peer_open(RouterId(0))), bad_identifier);
    let external = Open { router_id: LOCAL_ID, ..of_as(65001) };
    assert_eq!(refusal(expecting(PeerAs::External), external), None, "RFC 6286");
}

#[test]
fn hold_times_of_one_and_two_seconds_are_refused() {
    for (hold_time, code) in [(0, None), (1, Some((2, 6))), (2, Some((2, 6))), (3, None)] {
        assert_eq!(refusal(config(), Open { hold_time, ..peer_open(LOW_ID) }), code);
    }
}

#[test]
fn no_family_in_common_is_refused_with_what_we_wanted() {
    let wanted = FamilySet::of(&[Family::IPV6_UNICAST]);
    let mut bench = Bench::open_sent(SessionConfig { families: wanted, ..config() });
    let missed = Notification::unsupported_capability(&[Capability::Multiprotocol(Family::IPV6_UNICAST)]);
    assert_eq!(bench.open(OUT, peer_open(LOW_ID)).notification(), Some(missed));
}

#[test]
fn a_required_capability_that_is_missing_is_named_in_the_refusal() {
    let both = FamilySet::of(&[Family::IPV4_UNICAST, Family::IPV6_UNICAST]);
    let required = Required {
        families: FamilySet::of(&[Family::IPV6_UNICAST]),
        extended_message: true,
        route_refresh: true,
        ..Required::default()
    };
    let mut bench = Bench::open_sent(SessionConfig { families: both, required, ..config() });
    let missed = [Capability::Multiprotocol(Family::IPV6_UNICAST), Capability::ExtendedMessage];
    let done = bench.open(OUT, peer_open(LOW_ID));
    assert_eq!(done.notification(), Some(Notification::unsupported_capability(&missed)));
}

#[test]
fn every_requirement_that_is_met_lets_the_session_come_up() {
    let required = Required {
        families: FamilySet::of(&[Family::IPV4_UNICAST]),
        four_octet_as: true,
        route_refresh: true,
        extended_message: true,
        graceful_restart: true,
        ..Required::default()
    };
    let strict = || SessionConfig { required: required.clone(), ..config() };
    let mut open = crate::support::restarting_open(LOW_ID, true);
    assert_eq!(refusal(strict(), open.clone()), Some((2, 7)));
    open.capabilities.push(Capability::ExtendedMessage);
    assert_eq!(refusal(strict(), open), None);
}

#[test]
fn what_is_required_per_family_is_refused_with_the_rows_that_were_missed() {
    let v4 = Family::IPV4_UNICAST;
    let only = FamilySet::of(&[v4]);
    let required =
        Required { add_path: only, extended_next_hop: only, enhanced_refresh: true, ..Required::default() };
    let config = || SessionConfig {
        required: required.clone(),
        add_path: vec![(v4, AddPathMode::BOTH)],
        extended_next_hop: vec![(v4, Afi::IPV6)],
        ..config()
    };
    let add_path = |mode| Capability::AddPath(vec![(v4, mode)]);
    let next_hop = Capability::ExtendedNextHop(vec![(v4, Afi::IPV6)]);
    let mut open = peer_open(LOW_ID);
    open.capabilities.push(add_path(AddPathMode::SEND));
    let missed = [add_path(AddPathMode::BOTH), next_hop.clone(), Capability::EnhancedRouteRefresh];
    let done = Bench::open_sent(config()).open(OUT, open);
    assert_eq!(done.notification(), Some(Notification::unsupported_capability(&missed)));
    let mut open = peer_open(LOW_ID);
    open.capabilities.extend([add_path(AddPathMode::BOTH), next_hop, Capability::EnhancedRouteRefresh]);
    assert_eq!(refusal(config(), open), None);
}

fn with_roles(roles: &[Role]) -> Open {
    let mut open = of_as(65001);
    open.capabilities.extend(roles.iter().copied().map(Capability::Role));
    open
}

#[test]
fn roles_must_answer_each_other() {
    let all = [Role::PROVIDER, Role::ROUTE_SERVER, Role::ROUTE_SERVER_CLIENT, Role::CUSTOMER, Role::PEER];
    let pairs = [
        (Role::PROVIDER, Role::CUSTOMER),
        (Role::CUSTOMER, Role::PROVIDER),
        (Role::ROUTE_SERVER, Role::ROUTE_SERVER_CLIENT),
        (Role::ROUTE_SERVER_CLIENT, Role::ROUTE_SERVER),
        (Role::PEER, Role::PEER),
    ];
    for ours in all {
        for theirs in all {
            let config = SessionConfig { role: Some(ours), ..expecting(PeerAs::External) };
            let code = if pairs.contains(&(ours, theirs)) { None } else { Some((2, 11)) };
            assert_eq!(refusal(config, with_roles(&[theirs])), code, "{ours:?} {theirs:?}");
        }
    }
}

#[test]
fn a_peer_without_a_role_is_refused_in_strict_mode_only() {
    let config =
        |role_strict| SessionConfig { role: Some(Role::CUSTOMER), role_strict, ..expecting(PeerAs::Any) };
    assert_eq!(refusal(config(false), with_roles(&[])), None);
    assert_eq!(refusal(config(true), with_roles(&[])), Some((2, 11)));
    assert_eq!(refusal(config(true), with_roles(&[Role::PROVIDER, Role::PROVIDER])), None);
    assert_eq!(refusal(config(true), with_roles(&[Role::PROVIDER, Role::PEER])), Some((2, 11)));
    assert_eq!(refusal(config(true), peer_open(LOW_ID)), None, "an internal peer needs none");
}

/// RFC 9234 §4.2.
#[test]
fn several_different_roles_are_refused_also_where_we_have_none() {
    let config = || SessionConfig { role: None, ..expecting(PeerAs::Any) };
    assert_eq!(refusal(config(), with_roles(&[Role::PROVIDER, Role::PEER])), Some((2, 11)));
    assert_eq!(refusal(config(), with_roles(&[Role::PROVIDER, Role::PROVIDER])), None);
}

#[test]
fn delayed_our_open_goes_out_when_the_timer_expires_or_the_peer_speaks() {
    let delayed = || SessionConfig { delay_open: Some(seconds(5)), ..config() };
    let mut bench = Bench::connecting(delayed());
    assert_eq!(bench.feed(Input::Connected(OUT)).messages(), []);
    assert_eq!(bench.state(), State::Connect);
    assert!(matches!(bench.pass(seconds(5)).messages().as_slice(), [(OUT, Message::Open(_))]));
    assert_eq!(bench.state(), State::OpenSent);

    let mut bench = Bench::active(delayed());
    bench.feed(Input::Accepted(IN));
    assert_eq!(bench.state(), State::Active);
    let messages = bench.open(IN, peer_open(HIGH_ID)).messages();
    assert!(matches!(messages.as_slice(), [(IN, Message::Open(_)), (IN, Message::KeepAlive)]));
    assert_eq!(bench.state(), State::OpenConfirm);
}

#[test]
fn a_session_without_families_of_its_own_takes_any_peer() {
    let config = SessionConfig { families: FamilySet::empty(), ..config() };
    assert_eq!(refusal(config, peer_open(LOW_ID)), None);
}
