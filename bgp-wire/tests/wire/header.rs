//! Framing (RFC 4271 §6.1, RFC 8654).
use bgp_wire::{Codec, Frame, MessageType, Notification, keepalive};

use crate::build::{external, message};

fn refused(codec: &Codec, bytes: &[u8]) -> (u8, u8, Vec<u8>) {
    let n = codec.frame(bytes).expect_err("must be refused");
    (n.code.0, n.subcode, n.data.to_vec())
}

#[test]
fn a_frame_is_found_once_it_is_whole() {
    let codec = external();
    let bytes = keepalive();
    for end in 0..bytes.len() {
        assert_eq!(codec.frame(&bytes[..end]), Ok(None));
    }
    assert_eq!(codec.frame(bytes), Ok(Some(Frame { kind: MessageType::KEEPALIVE, len: 19 })));
    let two = [bytes, bytes].concat();
    assert_eq!(codec.frame(&two), Ok(Some(Frame { kind: MessageType::KEEPALIVE, len: 19 })));
}

#[test]
fn a_stranger_is_refused_at_the_first_wrong_octet() {
    assert_eq!(external().frame(b"GET /"), Err(Notification::not_synchronized()));
    let mut m = keepalive().to_vec();
    m[15] = 0;
    assert_eq!(refused(&external(), &m), (1, 1, vec![]));
}

#[test]
fn each_type_has_its_shortest_and_longest_length() {
    let codec = external();
    let long = Codec { extended_message_rx: true, ..codec };
    let of = |kind, len: u16| {
        let mut m = message(kind, &[]);
        m[16..18].copy_from_slice(&len.to_be_bytes());
        m
    };
    for (kind, shortest) in [(1, 29), (2, 23), (3, 21), (4, 19), (5, 23)] {
        let len = shortest - 1;
        assert_eq!(refused(&codec, &of(kind, len)), (1, 2, len.to_be_bytes().to_vec()));
        assert!(codec.frame(&of(kind, shortest)).is_ok());
    }
    assert_eq!(refused(&codec, &of(4, 20)), (1, 2, vec![0, 20]));
    assert_eq!(refused(&codec, &of(2, 4097)), (1, 2, vec![0x10, 0x01]));
    assert_eq!(long.frame(&of(2, 65535)), Ok(None));
    // OPEN stays at 4,096 octets (RFC 8654 §4).
    assert_eq!(refused(&long, &of(1, 4097)), (1, 2, vec![0x10, 0x01]));
}

/// RFC 8654 §4: the listener that has advertised the capability takes what a peer without it sends.
#[test]
fn a_long_message_is_read_by_whoever_may_not_send_one() {
    let reads = Codec { extended_message_rx: true, ..external() };
    let writes = Codec { extended_message_tx: true, ..external() };
    let mut long = vec![0; 4100];
    long[2..4].copy_from_slice(&4077u16.to_be_bytes());
    // One unknown attribute that fills the message.
    long[4..8].copy_from_slice(&[0xd0, 99, 0x0f, 0xe9]);
    let long = message(2, &long[..4081]);
    assert_eq!(long.len(), 4100);
    assert_eq!(reads.frame(&long).unwrap().unwrap().len, 4100);
    assert!(reads.decode_update(&long).is_ok());
    assert_eq!(reads.max_len_tx(), 4096);
    assert_eq!(refused(&writes, &long), (1, 2, vec![0x10, 0x04]));
    assert!(writes.decode_update(&long).is_err());
    assert_eq!(writes.max_len_tx(), 65535);
}

#[test]
fn an_unknown_type_is_named_in_the_notification() {
    assert_eq!(refused(&external(), &message(9, &[])), (1, 3, vec![9]));
    assert_eq!(refused(&external(), &message(0, &[])), (1, 3, vec![0]));
}
