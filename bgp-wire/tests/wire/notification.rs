//! NOTIFICATION in bytes and words (RFC 4271 §4.5, RFC 8538, RFC 9003), and ROUTE-REFRESH (RFC 2918, RFC 7313).
use bgp_wire::{Codec, Family, Message, Notification, NotificationCode, RefreshKind, RouteRefresh, subcode};
use bytes::{Bytes, BytesMut};

use crate::build::{external, hex, message};

fn sent(n: &Notification) -> Vec<u8> {
    let mut out = BytesMut::new();
    n.encode(&mut out);
    out.to_vec()
}

fn received(body: &[u8]) -> Notification {
    match external().decode(&Bytes::from(message(3, body))).unwrap() {
        Message::Notification(n) => n,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_shutdown_carries_its_text() {
    let n = Notification::cease_shutdown("maintenance until 04:00");
    assert_eq!(sent(&n)[19..22], [6, 2, 23]);
    let back = received(&sent(&n)[19..]);
    assert_eq!(back, n);
    assert_eq!(back.to_string(), "Cease / Administrative Shutdown: \"maintenance until 04:00\"");
}

#[test]
fn a_shutdown_without_text_has_no_data() {
    assert_eq!(sent(&Notification::cease_shutdown(""))[19..], [6, 2]);
}

#[test]
fn a_long_text_is_cut_at_a_character() {
    let n = Notification::cease_reset(&"é".repeat(200));
    assert_eq!(n.data.len(), 255);
    assert_eq!(n.shutdown_text().unwrap(), "é".repeat(127));
}

#[test]
fn a_received_text_ends_at_its_length_and_at_the_message() {
    assert_eq!(received(&[6, 2, 2, b'o', b'k', b'!', b'!']).shutdown_text().unwrap(), "ok");
    assert_eq!(received(&[6, 2, 200, b'o', b'k']).shutdown_text().unwrap(), "ok");
    assert_eq!(received(&[6, 2, 0, b'x']).shutdown_text(), None);
    assert_eq!(received(&[6, 4]).shutdown_text(), None);
}

#[test]
fn hostile_text_is_shown_safely() {
    let n = received(&[6, 2, 5, 0xff, 0x1b, b'[', b'm', b'"']);
    assert_eq!(n.to_string(), "Cease / Administrative Shutdown: \"\u{fffd}\\u{1b}[m\\\"\"");
}

#[test]
fn a_hard_reset_wraps_its_reason() {
    let why = Notification::cease_shutdown("bye");
    let n = Notification::cease_hard_reset(&why);
    let back = received(&sent(&n)[19..]);
    assert_eq!(back.hard_reset_reason(), Some(why));
    assert_eq!(back.to_string(), "Cease / Hard Reset (Cease / Administrative Shutdown): \"bye\"");
    assert_eq!(Notification::hold_timer_expired().hard_reset_reason(), None);
}

#[test]
fn every_registered_code_and_subcode_has_its_name() {
    let named = |code: u8| {
        let n = |subcode| Notification::new(NotificationCode(code), subcode);
        let subcodes = (0..=255).filter(|s| n(*s).subcode_name().is_some()).collect::<Vec<u8>>();
        n(0).code_name().map(|_| subcodes)
    };
    let ranges: [&[u8]; 9] = [
        &[0, 1, 2, 3],
        &[0, 1, 2, 3, 4, 5, 6, 7, 11],
        &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
        &[],
        &[0, 1, 2, 3],
        &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
        &[1],
        &[],
        &[],
    ];
    for (code, subcodes) in (1..).zip(ranges) {
        assert_eq!(named(code), Some(subcodes.to_vec()), "{code}");
    }
    assert_eq!((named(0), named(10)), (None, None));
}

#[test]
fn unknown_codes_are_shown_as_numbers() {
    assert_eq!(Notification::new(NotificationCode(99), 3).to_string(), "code 99 / subcode 3");
    assert_eq!(Notification::cease(77).to_string(), "Cease / subcode 77");
    assert_eq!(Notification::send_hold_timer_expired().to_string(), "Send Hold Timer Expired");
}

#[test]
fn no_notification_is_longer_than_4096_octets() {
    let n =
        Notification { data: vec![7; 10_000].into(), ..Notification::cease(subcode::cease::MAX_PREFIXES) };
    assert_eq!(sent(&n).len(), 4096);
}

#[test]
fn max_prefixes_names_family_and_bound() {
    let n = Notification::cease_max_prefixes(Family::IPV6_UNICAST, 1000);
    assert_eq!(sent(&n)[19..], hex("06 01 0002 01 000003e8")[..]);
}

#[test]
fn a_refresh_goes_both_ways() {
    let bytes = hex("ffffffffffffffffffffffffffffffff 0017 05 0002 00 01");
    let refresh = RouteRefresh::request(Family::IPV6_UNICAST);
    let mut out = BytesMut::new();
    refresh.encode(&mut out);
    assert_eq!(out, bytes);
    assert_eq!(external().decode(&Bytes::from(bytes)), Ok(Message::RouteRefresh(refresh)));
}

#[test]
fn route_filter_entries_behind_a_refresh_are_passed_over() {
    let m = message(5, &hex("0001 00 01 01 40 0003 000000"));
    let refresh = RouteRefresh::request(Family::IPV4_UNICAST);
    assert_eq!(external().decode(&Bytes::from(m)), Ok(Message::RouteRefresh(refresh)));
}

#[test]
fn a_demarcation_of_wrong_length_is_sent_back_whole() {
    let m = message(5, &hex("0001 01 01 00"));
    let enhanced = Codec { enhanced_refresh: true, ..external() };
    let n = enhanced.decode(&Bytes::from(m.clone())).unwrap_err();
    assert_eq!((n.code.0, n.subcode, n.data.to_vec()), (7, 1, m));
    let end = message(5, &hex("0001 02 01"));
    let refresh = RouteRefresh { family: Family::IPV4_UNICAST, kind: RefreshKind::END };
    assert_eq!(enhanced.decode(&Bytes::from(end)), Ok(Message::RouteRefresh(refresh)));
}

#[test]
fn without_enhanced_refresh_the_reserved_octet_is_no_error() {
    for octet in ["01", "02", "07"] {
        let m = message(5, &hex(&format!("0001 {octet} 01 01 40 0003 000000")));
        let Ok(Message::RouteRefresh(refresh)) = external().decode(&Bytes::from(m)) else {
            panic!("{octet}")
        };
        assert_eq!(refresh.family, Family::IPV4_UNICAST);
    }
}

#[test]
fn a_demarcation_that_is_too_short_has_its_own_error() {
    let enhanced = Codec { enhanced_refresh: true, ..external() };
    let error = |codec: &Codec, body: &str| {
        let m = message(5, &hex(body));
        let n = codec.decode(&Bytes::from(m.clone())).unwrap_err();
        (n.code.0, n.subcode, n.data == m)
    };
    assert_eq!(error(&enhanced, "0001 01"), (7, 1, true));
    assert_eq!(error(&enhanced, "0001 00"), (1, 2, false), "a request is a message like others");
    assert_eq!(error(&enhanced, "0001"), (1, 2, false));
    assert_eq!(error(&external(), "0001 01"), (1, 2, false));
}
