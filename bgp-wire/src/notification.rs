//! NOTIFICATION: what ends a session, with its reason (RFC 4271 §4.5, §6).
use core::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use nom::Parser;
use nom::combinator::rest;
use nom::number::complete::be_u8;

use crate::message::write_message;
use crate::parse::Parsed;
use crate::{HEADER_LEN, MAX_LEN, MessageType};

/// An error code ([registry](https://www.iana.org/assignments/bgp-parameters#bgp-parameters-3)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NotificationCode(pub u8);

impl NotificationCode {
    /// Message Header Error (RFC 4271 §6.1).
    pub const HEADER: Self = Self(1);
    /// OPEN Message Error (RFC 4271 §6.2).
    pub const OPEN: Self = Self(2);
    /// UPDATE Message Error (RFC 4271 §6.3).
    pub const UPDATE: Self = Self(3);
    /// Hold Timer Expired (RFC 4271 §6.5).
    pub const HOLD_TIMER: Self = Self(4);
    /// Finite State Machine Error (RFC 4271 §6.6).
    pub const FSM: Self = Self(5);
    /// Cease (RFC 4271 §6.7).
    pub const CEASE: Self = Self(6);
    /// ROUTE-REFRESH Message Error (RFC 7313 §5).
    pub const ROUTE_REFRESH: Self = Self(7);
    /// Send Hold Timer Expired (RFC 9687 §5).
    pub const SEND_HOLD_TIMER: Self = Self(8);
    /// Loss of LSDB Synchronization (RFC 9815).
    pub const LSDB_SYNCHRONIZATION: Self = Self(9);
}

/// Subcodes, by name, under the code in the module's name.
pub mod subcode {
    /// Message Header Error (RFC 4271 §6.1).
    pub mod header {
        /// Connection Not Synchronized.
        pub const NOT_SYNCHRONIZED: u8 = 1;
        /// Bad Message Length.
        pub const BAD_LENGTH: u8 = 2;
        /// Bad Message Type.
        pub const BAD_TYPE: u8 = 3;
    }
    /// OPEN Message Error (RFC 4271 §6.2, RFC 5492, RFC 9234).
    pub mod open {
        /// Unspecific.
        pub const UNSPECIFIC: u8 = 0;
        /// Unsupported Version Number.
        pub const UNSUPPORTED_VERSION: u8 = 1;
        /// Bad Peer AS.
        pub const BAD_PEER_AS: u8 = 2;
        /// Bad BGP Identifier.
        pub const BAD_IDENTIFIER: u8 = 3;
        /// Unsupported Optional Parameter.
        pub const UNSUPPORTED_PARAMETER: u8 = 4;
        /// Authentication Failure (RFC 4271 deprecates it).
        pub const AUTHENTICATION_FAILURE: u8 = 5;
        /// Unacceptable Hold Time.
        pub const UNACCEPTABLE_HOLD_TIME: u8 = 6;
        /// Unsupported Capability (RFC 5492).
        pub const UNSUPPORTED_CAPABILITY: u8 = 7;
        /// Role Mismatch (RFC 9234).
        pub const ROLE_MISMATCH: u8 = 11;
    }
    /// UPDATE Message Error (RFC 4271 §6.3).
    pub mod update {
        /// Malformed Attribute List.
        pub const MALFORMED_LIST: u8 = 1;
        /// Unrecognized Well-known Attribute.
        pub const UNRECOGNIZED_WELL_KNOWN: u8 = 2;
        /// Missing Well-known Attribute.
        pub const MISSING_WELL_KNOWN: u8 = 3;
        /// Attribute Flags Error.
        pub const FLAGS: u8 = 4;
        /// Attribute Length Error.
        pub const LENGTH: u8 = 5;
        /// Invalid ORIGIN Attribute.
        pub const ORIGIN: u8 = 6;
        /// AS Routing Loop (RFC 4271 deprecates it).
        pub const AS_LOOP: u8 = 7;
        /// Invalid NEXT_HOP Attribute.
        pub const NEXT_HOP: u8 = 8;
        /// Optional Attribute Error.
        pub const OPTIONAL: u8 = 9;
        /// Invalid Network Field.
        pub const NETWORK_FIELD: u8 = 10;
        /// Malformed AS_PATH.
        pub const AS_PATH: u8 = 11;
    }
    /// Finite State Machine Error (RFC 6608).
    pub mod fsm {
        /// Unspecified Error.
        pub const UNSPECIFIED: u8 = 0;
        /// Receive Unexpected Message in OpenSent State.
        pub const OPEN_SENT: u8 = 1;
        /// Receive Unexpected Message in OpenConfirm State.
        pub const OPEN_CONFIRM: u8 = 2;
        /// Receive Unexpected Message in Established State.
        pub const ESTABLISHED: u8 = 3;
    }
    /// Cease (RFC 4486, RFC 8538, RFC 9384).
    pub mod cease {
        /// Maximum Number of Prefixes Reached.
        pub const MAX_PREFIXES: u8 = 1;
        /// Administrative Shutdown.
        pub const SHUTDOWN: u8 = 2;
        /// Peer De-configured.
        pub const DECONFIGURED: u8 = 3;
        /// Administrative Reset.
        pub const RESET: u8 = 4;
        /// Connection Rejected.
        pub const REJECTED: u8 = 5;
        /// Other Configuration Change.
        pub const CONFIG_CHANGE: u8 = 6;
        /// Connection Collision Resolution.
        pub const COLLISION: u8 = 7;
        /// Out of Resources.
        pub const OUT_OF_RESOURCES: u8 = 8;
        /// Hard Reset (RFC 8538).
        pub const HARD_RESET: u8 = 9;
        /// BFD Down (RFC 9384).
        pub const BFD_DOWN: u8 = 10;
    }
    /// ROUTE-REFRESH Message Error (RFC 7313).
    pub mod refresh {
        /// Invalid Message Length.
        pub const BAD_LENGTH: u8 = 1;
    }
}

/// A NOTIFICATION message. As an error value: what to send before closing the connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Notification {
    /// Error code.
    pub code: NotificationCode,
    /// Error subcode; its meaning depends on the code.
    pub subcode: u8,
    /// Diagnostic data; its shape depends on code and subcode.
    pub data: Bytes,
}

/// The most text that a shutdown communication holds, in octets (RFC 9003 §2: its length is one octet).
pub const MAX_SHUTDOWN_TEXT: usize = 255;

impl Notification {
    /// A NOTIFICATION without data.
    #[must_use]
    pub const fn new(code: NotificationCode, subcode: u8) -> Self {
        Self { code, subcode, data: Bytes::new() }
    }

    /// A NOTIFICATION with a copy of the given data, cut to what one message holds.
    #[must_use]
    pub fn with_data(code: NotificationCode, subcode: u8, data: &[u8]) -> Self {
        let data = data.get(..MAX_DATA).unwrap_or(data);
        Self { code, subcode, data: Bytes::copy_from_slice(data) }
    }

    /// Connection Not Synchronized: the marker is not all ones (RFC 4271 §6.1).
    #[must_use]
    pub const fn not_synchronized() -> Self {
        Self::new(NotificationCode::HEADER, subcode::header::NOT_SYNCHRONIZED)
    }

    /// Bad Message Length; the data is the length field of the given message (RFC 4271 §6.1).
    #[must_use]
    pub fn bad_message_length(header: &[u8]) -> Self {
        let field = header.get(16..18).unwrap_or_default();
        Self::with_data(NotificationCode::HEADER, subcode::header::BAD_LENGTH, field)
    }

    /// Bad Message Type; the data is the type (RFC 4271 §6.1).
    #[must_use]
    pub fn bad_message_type(kind: MessageType) -> Self {
        Self::with_data(NotificationCode::HEADER, subcode::header::BAD_TYPE, &[kind.0])
    }

    /// An OPEN Message Error.
    #[must_use]
    pub fn open_error(subcode: u8, data: &[u8]) -> Self {
        Self::with_data(NotificationCode::OPEN, subcode, data)
    }

    /// Bad Peer AS (RFC 4271 §6.2).
    #[must_use]
    pub const fn bad_peer_as() -> Self {
        Self::new(NotificationCode::OPEN, subcode::open::BAD_PEER_AS)
    }

    /// Bad BGP Identifier (RFC 4271 §6.2, RFC 6286 §2.2).
    #[must_use]
    pub const fn bad_identifier() -> Self {
        Self::new(NotificationCode::OPEN, subcode::open::BAD_IDENTIFIER)
    }

    /// Unacceptable Hold Time (RFC 4271 §6.2).
    #[must_use]
    pub const fn unacceptable_hold_time() -> Self {
        Self::new(NotificationCode::OPEN, subcode::open::UNACCEPTABLE_HOLD_TIME)
    }

    /// Unsupported Capability; the data is the capabilities that were missed (RFC 5492 §5).
    #[must_use]
    pub fn unsupported_capability(missed: &[crate::Capability]) -> Self {
        let mut data = BytesMut::new();
        for capability in missed {
            capability.encode(&mut data);
        }
        Self::with_data(NotificationCode::OPEN, subcode::open::UNSUPPORTED_CAPABILITY, &data)
    }

    /// Role Mismatch (RFC 9234 §4.2).
    #[must_use]
    pub const fn role_mismatch() -> Self {
        Self::new(NotificationCode::OPEN, subcode::open::ROLE_MISMATCH)
    }

    /// An UPDATE Message Error.
    #[must_use]
    pub fn update_error(subcode: u8, data: &[u8]) -> Self {
        Self::with_data(NotificationCode::UPDATE, subcode, data)
    }

    /// Hold Timer Expired (RFC 4271 §6.5).
    #[must_use]
    pub const fn hold_timer_expired() -> Self {
        Self::new(NotificationCode::HOLD_TIMER, 0)
    }

    /// Send Hold Timer Expired (RFC 9687 §5).
    #[must_use]
    pub const fn send_hold_timer_expired() -> Self {
        Self::new(NotificationCode::SEND_HOLD_TIMER, 0)
    }

    /// Finite State Machine Error; the subcode names the state (RFC 6608), see [`subcode::fsm`].
    #[must_use]
    pub const fn fsm_error(subcode: u8) -> Self {
        Self::new(NotificationCode::FSM, subcode)
    }

    /// ROUTE-REFRESH Invalid Message Length; the data is the whole message (RFC 7313 §5).
    #[must_use]
    pub fn invalid_refresh_length(message: &[u8]) -> Self {
        Self::with_data(NotificationCode::ROUTE_REFRESH, subcode::refresh::BAD_LENGTH, message)
    }

    /// A Cease without data; see [`subcode::cease`].
    #[must_use]
    pub const fn cease(subcode: u8) -> Self {
        Self::new(NotificationCode::CEASE, subcode)
    }

    /// Cease / Maximum Number of Prefixes Reached, with family and bound as data (RFC 4486 §4).
    #[must_use]
    pub fn cease_max_prefixes(family: crate::Family, bound: u32) -> Self {
        let mut data = BytesMut::with_capacity(7);
        data.put_u16(family.afi.0);
        data.put_u8(family.safi.0);
        data.put_u32(bound);
        Self { data: data.freeze(), ..Self::cease(subcode::cease::MAX_PREFIXES) }
    }

    /// Cease / Administrative Shutdown with a text, which may be empty (RFC 9003).
    #[must_use]
    pub fn cease_shutdown(text: &str) -> Self {
        Self { data: shutdown_data(text), ..Self::cease(subcode::cease::SHUTDOWN) }
    }

    /// Cease / Administrative Reset with a text, which may be empty (RFC 9003).
    #[must_use]
    pub fn cease_reset(text: &str) -> Self {
        Self { data: shutdown_data(text), ..Self::cease(subcode::cease::RESET) }
    }

    /// Cease / Peer De-configured (RFC 4486).
    #[must_use]
    pub const fn cease_deconfigured() -> Self {
        Self::cease(subcode::cease::DECONFIGURED)
    }

    /// Cease / Connection Rejected (RFC 4486).
    #[must_use]
    pub const fn cease_rejected() -> Self {
        Self::cease(subcode::cease::REJECTED)
    }

    /// Cease / Other Configuration Change (RFC 4486).
    #[must_use]
    pub const fn cease_config_change() -> Self {
        Self::cease(subcode::cease::CONFIG_CHANGE)
    }

    /// Cease / Connection Collision Resolution (RFC 4486).
    #[must_use]
    pub const fn cease_collision() -> Self {
        Self::cease(subcode::cease::COLLISION)
    }

    /// Cease / Out of Resources (RFC 4486).
    #[must_use]
    pub const fn cease_out_of_resources() -> Self {
        Self::cease(subcode::cease::OUT_OF_RESOURCES)
    }

    /// Cease / Hard Reset around the NOTIFICATION that says why (RFC 8538 §3.1).
    #[must_use]
    pub fn cease_hard_reset(why: &Self) -> Self {
        let mut data = BytesMut::with_capacity(why.data.len().saturating_add(2));
        data.put_u8(why.code.0);
        data.put_u8(why.subcode);
        data.extend_from_slice(&why.data);
        Self { data: data.freeze(), ..Self::cease(subcode::cease::HARD_RESET) }
    }

    /// The NOTIFICATION inside a Hard Reset (RFC 8538 §3.1).
    #[must_use]
    pub fn hard_reset_reason(&self) -> Option<Self> {
        if self.code != NotificationCode::CEASE || self.subcode != subcode::cease::HARD_RESET {
            return None;
        }
        let (_, (code, subcode, data)) = fields(&self.data).ok()?;
        Some(Self { code: NotificationCode(code), subcode, data: self.data.slice_ref(data) })
    }

    /// The text of a shutdown or reset (RFC 9003), cut at its length field and at what was received;
    /// octets that are not UTF-8 come out as U+FFFD. `None` where there is none.
    #[must_use]
    pub fn shutdown_text(&self) -> Option<String> {
        let with_text = matches!(self.subcode, subcode::cease::SHUTDOWN | subcode::cease::RESET);
        if self.code != NotificationCode::CEASE || !with_text {
            return None;
        }
        let (len, text) = self.data.split_first()?;
        let text = text.get(..usize::from(*len)).unwrap_or(text);
        (!text.is_empty()).then(|| String::from_utf8_lossy(text).into_owned())
    }

    /// Reads the whole message.
    pub(crate) fn decode(frame: &Bytes) -> Result<Self, Self> {
        let body = frame.get(HEADER_LEN..).unwrap_or_default();
        let (_, (code, subcode, data)) = fields(body).map_err(|_| Self::bad_message_length(frame))?;
        Ok(Self { code: NotificationCode(code), subcode, data: frame.slice_ref(data) })
    }

    /// Appends the whole message, its data cut to what fits 4,096 octets.
    pub fn encode(&self, out: &mut BytesMut) {
        write_message(out, MessageType::NOTIFICATION, |out| {
            out.put_u8(self.code.0);
            out.put_u8(self.subcode);
            out.extend_from_slice(self.data.get(..MAX_DATA).unwrap_or(&self.data));
        });
    }
}

/// The data that a message of 4,096 octets holds: a NOTIFICATION may answer an OPEN, before anything is negotiated.
const MAX_DATA: usize = MAX_LEN - HEADER_LEN - 2;

fn fields(body: &[u8]) -> Parsed<'_, (u8, u8, &[u8])> {
    (be_u8, be_u8, rest).parse(body)
}

/// The shutdown communication: length, text cut at a character boundary (RFC 9003 §2).
fn shutdown_data(text: &str) -> Bytes {
    let mut end = text.len().min(MAX_SHUTDOWN_TEXT);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    let text = text.get(..end).unwrap_or_default();
    if text.is_empty() {
        return Bytes::new();
    }
    let mut data = BytesMut::with_capacity(text.len().saturating_add(1));
    data.put_u8(u8::try_from(text.len()).unwrap_or(u8::MAX));
    data.extend_from_slice(text.as_bytes());
    data.freeze()
}

impl Notification {
    /// The code's name.
    #[must_use]
    pub const fn code_name(&self) -> Option<&'static str> {
        Some(match self.code {
            NotificationCode::HEADER => "Message Header Error",
            NotificationCode::OPEN => "OPEN Message Error",
            NotificationCode::UPDATE => "UPDATE Message Error",
            NotificationCode::HOLD_TIMER => "Hold Timer Expired",
            NotificationCode::FSM => "Finite State Machine Error",
            NotificationCode::CEASE => "Cease",
            NotificationCode::ROUTE_REFRESH => "ROUTE-REFRESH Message Error",
            NotificationCode::SEND_HOLD_TIMER => "Send Hold Timer Expired",
            NotificationCode::LSDB_SYNCHRONIZATION => "Loss of LSDB Synchronization",
            _ => return None,
        })
    }

    /// The subcode's name under its code.
    #[must_use]
    pub const fn subcode_name(&self) -> Option<&'static str> {
        Some(match (self.code.0, self.subcode) {
            // Of the others, 0 is reserved or the only one ([registry](https://www.iana.org/assignments/bgp-parameters)).
            (1..=3, 0) => "Unspecific",
            (5, 0) => "Unspecified Error",
            (1, 1) => "Connection Not Synchronized",
            (1, 2) => "Bad Message Length",
            (1, 3) => "Bad Message Type",
            (2, 1) => "Unsupported Version Number",
            (2, 2) => "Bad Peer AS",
            (2, 3) => "Bad BGP Identifier",
            (2, 4) => "Unsupported Optional Parameter",
            (2, 5) => "Authentication Failure",
            (2, 6) => "Unacceptable Hold Time",
            (2, 7) => "Unsupported Capability",
            (2, 11) => "Role Mismatch",
            (3, 1) => "Malformed Attribute List",
            (3, 2) => "Unrecognized Well-known Attribute",
            (3, 3) => "Missing Well-known Attribute",
            (3, 4) => "Attribute Flags Error",
            (3, 5) => "Attribute Length Error",
            (3, 6) => "Invalid ORIGIN Attribute",
            (3, 7) => "AS Routing Loop",
            (3, 8) => "Invalid NEXT_HOP Attribute",
            (3, 9) => "Optional Attribute Error",
            (3, 10) => "Invalid Network Field",
            (3, 11) => "Malformed AS_PATH",
            (5, 1) => "Unexpected Message in OpenSent State",
            (5, 2) => "Unexpected Message in OpenConfirm State",
            (5, 3) => "Unexpected Message in Established State",
            (6, 1) => "Maximum Number of Prefixes Reached",
            (6, 2) => "Administrative Shutdown",
            (6, 3) => "Peer De-configured",
            (6, 4) => "Administrative Reset",
            (6, 5) => "Connection Rejected",
            (6, 6) => "Other Configuration Change",
            (6, 7) => "Connection Collision Resolution",
            (6, 8) => "Out of Resources",
            (6, 9) => "Hard Reset",
            (6, 10) => "BFD Down",
            (7, 1) => "Invalid Message Length",
            _ => return None,
        })
    }
}

/// In words: `Cease / Administrative Shutdown: "text"`. Text from the peer is quoted and escaped.
impl fmt::Display for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code_name() {
            Some(name) => f.write_str(name)?,
            None => write!(f, "code {}", self.code.0)?,
        }
        match self.subcode_name() {
            Some(name) => write!(f, " / {name}")?,
            None if self.subcode != 0 => write!(f, " / subcode {}", self.subcode)?,
            None => {}
        }
        if let Some(why) = self.hard_reset_reason() {
            // Not recursive: a hard reset inside a hard reset is named, not opened.
            match (why.code_name(), why.subcode_name()) {
                (Some(code), Some(subcode)) => write!(f, " ({code} / {subcode})"),
                (Some(code), None) => write!(f, " ({code})"),
                _ => write!(f, " (code {} / subcode {})", why.code.0, why.subcode),
            }?;
        }
        let why = self.hard_reset_reason();
        if let Some(text) = why.as_ref().unwrap_or(self).shutdown_text() {
            write!(f, ": {text:?}")?;
        }
        Ok(())
    }
}

impl core::error::Error for Notification {}
