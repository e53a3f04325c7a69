//! The messages and what all of them share (RFC 4271 §4.1).
use bytes::{BufMut, BytesMut};

use crate::{Notification, Open, RouteRefresh, Update};

/// Octets of the message header: marker, length, type (RFC 4271 §4.1).
pub const HEADER_LEN: usize = 19;
/// Longest message without the extended message capability (RFC 4271 §4.1).
pub const MAX_LEN: usize = 4096;
/// Longest message with the extended message capability (RFC 8654 §4).
pub const MAX_EXTENDED_LEN: usize = 65535;

/// A message type ([registry](https://www.iana.org/assignments/bgp-parameters#bgp-parameters-1)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageType(pub u8);

impl MessageType {
    /// OPEN (RFC 4271 §4.2).
    pub const OPEN: Self = Self(1);
    /// UPDATE (RFC 4271 §4.3).
    pub const UPDATE: Self = Self(2);
    /// NOTIFICATION (RFC 4271 §4.5).
    pub const NOTIFICATION: Self = Self(3);
    /// KEEPALIVE (RFC 4271 §4.4).
    pub const KEEPALIVE: Self = Self(4);
    /// ROUTE-REFRESH (RFC 2918).
    pub const ROUTE_REFRESH: Self = Self(5);

    /// The shortest whole message of the type (RFC 4271 §6.1, RFC 2918 §3).
    pub(crate) const fn min_len(self) -> usize {
        match self {
            Self::OPEN => 29,
            Self::UPDATE | Self::ROUTE_REFRESH => 23,
            Self::NOTIFICATION => 21,
            _ => HEADER_LEN,
        }
    }
}

/// A decoded message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "the large one is the common one: a box would be an allocation per UPDATE"
)]
pub enum Message {
    /// OPEN.
    Open(Open),
    /// UPDATE, already lawful: RFC 7606 is settled.
    Update(Update),
    /// NOTIFICATION.
    Notification(Notification),
    /// KEEPALIVE.
    KeepAlive,
    /// ROUTE-REFRESH.
    RouteRefresh(RouteRefresh),
}

const KEEPALIVE: [u8; HEADER_LEN] = {
    let mut m = [0xff; HEADER_LEN];
    let [.., l1, l0, kind] = &mut m;
    *l1 = 0;
    *l0 = 19;
    *kind = 4;
    m
};

/// The KEEPALIVE message; there is but one (RFC 4271 §4.4).
#[must_use]
pub fn keepalive() -> &'static [u8] {
    &KEEPALIVE
}

/// Writes one message: header, then what `body` appends, then the length into the header.
pub(crate) fn write_message(out: &mut BytesMut, kind: MessageType, body: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_bytes(0xff, 16);
    out.put_u16(0);
    out.put_u8(kind.0);
    body(out);
    patch_len(out, start);
}

/// Sets the length field of the message that begins at `start` and reaches to the end.
#[inline]
pub(crate) fn patch_len(out: &mut BytesMut, start: usize) {
    let len = u16::try_from(out.len().saturating_sub(start)).unwrap_or(u16::MAX);
    if let Some(field) = out.get_mut(start.saturating_add(16)..).and_then(|m| m.first_chunk_mut::<2>()) {
        *field = len.to_be_bytes();
    }
}
