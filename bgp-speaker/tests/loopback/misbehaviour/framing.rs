//! Octets that are no BGP messages.

use std::time::Duration;

use bgp_wire::keepalive;

use super::crowd::{Crowd, last_words, notification};
use crate::scripted::raw;

const MARKER: [u8; 16] = [0xFF; 16];

fn header(length: u16, kind: u8) -> Vec<u8> {
    [&MARKER[..], &length.to_be_bytes(), &[kind]].concat()
}

/// RFC 4271 §6.1: the erroneous length field is the data.
#[tokio::test]
async fn a_message_that_is_too_short_or_too_long_is_answered_with_its_length() {
    let mut crowd = Crowd::gather(140).await;
    for (length, kind) in
        [(0, 4), (18, 4), (20, 4), (28, 1), (4097, 1), (22, 2), (u16::MAX, 3), (20, 3), (22, 5), (18, 77)]
    {
        let mut bad = crowd.with_session().await;
        bad.send(&header(length, kind)).await;
        let expected = notification(1, 2, &length.to_be_bytes());
        assert_eq!(last_words(&mut bad).await, expected, "length {length}, type {kind}");
    }
    crowd.undisturbed().await;
}

#[tokio::test]
async fn a_wrong_marker_is_answered_with_connection_not_synchronized() {
    let mut crowd = Crowd::gather(141).await;
    for at in [0, 7, 15] {
        let mut bad = crowd.with_session().await;
        let mut message = keepalive().to_vec();
        message[at] = 0xFE;
        bad.send(&message).await;
        assert_eq!(last_words(&mut bad).await, notification(1, 1, &[]), "octet {at}");
    }
    // Some other protocol, from its first octets on.
    for first_words in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\x02\x00\x01\x00", b"\x00"] {
        let mut bad = crowd.connect().await;
        bad.send(first_words).await;
        assert_eq!(last_words(&mut bad).await, notification(1, 1, &[]), "{first_words:?}");
    }
    crowd.undisturbed().await;
}

#[tokio::test]
async fn an_unknown_message_type_is_answered_with_the_type() {
    let mut crowd = Crowd::gather(142).await;
    for kind in [0, 6, 255] {
        let mut bad = crowd.with_session().await;
        bad.send(&raw(kind, &[1, 2, 3])).await;
        assert_eq!(last_words(&mut bad).await, notification(1, 3, &[kind]), "type {kind}");
    }
    crowd.undisturbed().await;
}

/// What stands behind an error is not looked at, however much it is.
#[tokio::test]
async fn what_follows_an_error_is_not_read_as_messages() {
    let mut crowd = Crowd::gather(143).await;
    let mut bad = crowd.with_session().await;
    let mut octets = raw(9, &[]);
    octets.extend_from_slice(&keepalive().repeat(50_000));
    // The reflector closes while this is written.
    let _ = tokio::io::AsyncWriteExt::write_all(&mut bad.stream, &octets).await;
    assert_eq!(last_words(&mut bad).await, notification(1, 3, &[9]));
    crowd.go_on(Duration::from_secs(1)).await;
    crowd.undisturbed().await;
}
