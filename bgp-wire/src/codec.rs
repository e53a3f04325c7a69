//! What was negotiated that changes how bytes are read or written, and the two doors for bytes that come in.
use bytes::Bytes;

use crate::message::{HEADER_LEN, MAX_EXTENDED_LEN, MAX_LEN, Message, MessageType};
use crate::update::validate;
use crate::{Afi, Family, FamilySet, Notification, Open, RouteRefresh, Update, UpdateView};

/// The peer as RFC 7606 tells peers apart: some attributes mean nothing from an external one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PeerKind {
    /// In our own AS (IBGP).
    Internal,
    /// In another AS (EBGP).
    External,
}

/// The context of a session's bytes. Both ends having sent a capability is what counts, except where it says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Codec {
    /// Internal or external peer.
    pub peer: PeerKind,
    /// AS numbers have four octets (RFC 6793).
    pub four_octet_as: bool,
    /// Received messages may have up to 65,535 octets: we advertised that, whether the peer did or not (RFC 8654 §3, §4).
    pub extended_message_rx: bool,
    /// Sent messages may have up to 65,535 octets: the peer advertised that (RFC 8654 §4).
    pub extended_message_tx: bool,
    /// ROUTE-REFRESH may mark begin and end, with errors of its own (RFC 7313 §5).
    pub enhanced_refresh: bool,
    /// Families whose received NLRI carry a path identifier (RFC 7911).
    pub add_path_rx: FamilySet,
    /// Families whose sent NLRI carry a path identifier (RFC 7911).
    pub add_path_tx: FamilySet,
    /// Families whose received and sent NLRI may have several labels (RFC 8277 §2.1); in others each has one.
    pub multiple_labels: FamilySet,
    /// Families of IPv4 NLRI that may have an IPv6 next hop (RFC 8950).
    pub extended_next_hop: FamilySet,
    /// Negotiated families. Routes of others are passed over.
    pub families: FamilySet,
    /// AIGP is taken from an external peer too (AIGP_SESSION, RFC 7311 §3.1); from an internal one it always is.
    pub external_aigp: bool,
    /// Whether a malformed MP attribute of one of several families gives up that family alone (RFC 4760 §7),
    /// for callers that can do so, or ends the session. RFC 7606 §7.11 allows either.
    pub afi_safi_disable: bool,
    /// Whether an external peer belongs to the same administration and segment routing domain, so that it is heard about
    /// tunnels and segments: TUNNEL_ENCAPSULATION and the extended community of that name (RFC 9012 §11), PREFIX_SID
    /// (RFC 8669 §5). Internal peers always are.
    pub same_domain: bool,
}

/// Where one message ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub kind: MessageType,
    /// Its length, header included.
    pub len: usize,
}

impl Codec {
    /// The context before the OPENs are exchanged: 4,096 octets, two-octet AS numbers, nothing negotiated.
    #[must_use]
    pub const fn before_open() -> Self {
        Self {
            peer: PeerKind::External,
            four_octet_as: false,
            extended_message_rx: false,
            extended_message_tx: false,
            enhanced_refresh: false,
            add_path_rx: FamilySet::empty(),
            add_path_tx: FamilySet::empty(),
            multiple_labels: FamilySet::empty(),
            extended_next_hop: FamilySet::empty(),
            families: FamilySet::empty(),
            external_aigp: false,
            afi_safi_disable: false,
            same_domain: false,
        }
    }

    /// A context for readers of captures: four-octet AS numbers, long messages, marked refreshes, whole label stacks, every
    /// known family.
    #[must_use]
    pub fn permissive(peer: PeerKind) -> Self {
        Self {
            peer,
            four_octet_as: true,
            extended_message_rx: true,
            extended_message_tx: true,
            enhanced_refresh: true,
            multiple_labels: Family::KNOWN.iter().copied().filter(|f| f.has_labels()).collect(),
            extended_next_hop: Family::KNOWN.iter().copied().filter(|f| f.afi == Afi::IPV4).collect(),
            families: FamilySet::of(Family::KNOWN),
            afi_safi_disable: true,
            ..Self::before_open()
        }
    }

    /// The longest message that may come in, by type (RFC 8654 §4).
    #[inline]
    #[must_use]
    pub const fn max_len_rx(&self, kind: MessageType) -> usize {
        match kind {
            MessageType::OPEN | MessageType::KEEPALIVE => MAX_LEN,
            _ if self.extended_message_rx => MAX_EXTENDED_LEN,
            _ => MAX_LEN,
        }
    }

    /// The longest UPDATE, NOTIFICATION or ROUTE-REFRESH that may go out.
    #[inline]
    #[must_use]
    pub const fn max_len_tx(&self) -> usize {
        if self.extended_message_tx { MAX_EXTENDED_LEN } else { MAX_LEN }
    }

    /// Finds the end of the first message from its header alone. `Ok(None)`: more bytes are needed.
    /// The error is the NOTIFICATION to send (RFC 4271 §6.1).
    #[inline]
    pub fn frame(&self, buf: &[u8]) -> Result<Option<Frame>, Notification> {
        let Some((header, _)) = buf.split_first_chunk::<HEADER_LEN>() else {
            // Strangers that speak something else are told at their first byte.
            let marked = buf.iter().take(16).all(|b| *b == 0xff);
            return if marked { Ok(None) } else { Err(Notification::not_synchronized()) };
        };
        let frame = self.header(header)?;
        Ok((buf.len() >= frame.len).then_some(frame))
    }

    #[inline]
    fn header(&self, header: &[u8; HEADER_LEN]) -> Result<Frame, Notification> {
        let [marker @ .., l1, l0, kind] = header;
        if *marker != [0xff; 16] {
            return Err(Notification::not_synchronized());
        }
        let (kind, len) = (MessageType(*kind), usize::from(u16::from_be_bytes([*l1, *l0])));
        if !matches!(kind.0, 1..=5) {
            // RFC 4271 §6.1 checks the length first; one that fits no message at all is the graver error.
            let whole = (HEADER_LEN..=self.max_len_rx(kind)).contains(&len);
            return Err(if whole {
                Notification::bad_message_type(kind)
            } else {
                Notification::bad_message_length(header)
            });
        }
        let least = match kind {
            // A demarcation that is too short has an error of its own, and its subtype tells it (RFC 7313 §5).
            MessageType::ROUTE_REFRESH if self.enhanced_refresh => HEADER_LEN,
            _ => kind.min_len(),
        };
        let most = if kind == MessageType::KEEPALIVE { HEADER_LEN } else { self.max_len_rx(kind) };
        if len < least || len > most {
            return Err(Notification::bad_message_length(header));
        }
        Ok(Frame { kind, len })
    }

    /// The type of a frame that is exactly one message.
    fn whole(&self, frame: &[u8]) -> Result<MessageType, Notification> {
        match self.frame(frame)? {
            Some(f) if f.len == frame.len() => Ok(f.kind),
            _ => Err(Notification::bad_message_length(frame)),
        }
    }

    /// Decodes one whole message. What it keeps are slices of `frame`. The error is the NOTIFICATION to send.
    pub fn decode(&self, frame: &Bytes) -> Result<Message, Notification> {
        match self.whole(frame)? {
            MessageType::OPEN => Open::decode(frame).map(Message::Open),
            MessageType::UPDATE => Update::decode(frame, self).map(Message::Update),
            MessageType::NOTIFICATION => Notification::decode(frame).map(Message::Notification),
            MessageType::ROUTE_REFRESH => RouteRefresh::decode(frame, self).map(Message::RouteRefresh),
            _ => Ok(Message::KeepAlive),
        }
    }

    /// Decodes one whole UPDATE without allocating; of another type, it is a Bad Message Type.
    // Always inlined: two calls and a test, and the view is made where it stays instead of being copied there.
    #[inline(always)]
    pub fn decode_update<'a>(&self, frame: &'a [u8]) -> Result<UpdateView<'a>, Notification> {
        match self.update_body(frame) {
            Ok(body) => validate(body, self),
            Err(notification) => Err(notification),
        }
    }

    /// What stands behind the header of one whole UPDATE.
    #[inline]
    fn update_body<'a>(&self, frame: &'a [u8]) -> Result<&'a [u8], Notification> {
        if let Some((header, body)) = frame.split_first_chunk::<HEADER_LEN>() {
            let [marker @ .., l1, l0, kind] = header;
            let len = usize::from(u16::from_be_bytes([*l1, *l0]));
            let fits = len == frame.len()
                && len >= MessageType::UPDATE.min_len()
                && len <= self.max_len_rx(MessageType::UPDATE);
            if *marker == [0xff; 16] && *kind == MessageType::UPDATE.0 && fits {
                return Ok(body);
            }
        }
        Err(self.no_update(frame))
    }

    /// What is wrong with a frame that is not one whole UPDATE.
    #[cold]
    fn no_update(&self, frame: &[u8]) -> Notification {
        let Some((header, _)) = frame.split_first_chunk::<HEADER_LEN>() else {
            return Notification::bad_message_length(frame);
        };
        match self.header(header) {
            Err(notification) => notification,
            Ok(Frame { kind, .. }) if kind != MessageType::UPDATE => Notification::bad_message_type(kind),
            Ok(_) => Notification::bad_message_length(frame),
        }
    }
}
