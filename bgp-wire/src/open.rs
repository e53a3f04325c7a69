//! OPEN (RFC 4271 §4.2) with capabilities (RFC 5492) and extended optional parameters (RFC 9072).
use bytes::{BufMut, BytesMut};
use nom::Parser;
use nom::number::complete::{be_u8, be_u16, be_u32};

use crate::message::write_message;
use crate::notification::subcode;
use crate::parse::{Parsed, length8, length16};
use crate::{Asn, Capability, HEADER_LEN, MAX_LEN, MessageType, Notification, RouterId};

/// The version of the protocol.
pub const VERSION: u8 = 4;
/// The optional parameter that holds capabilities (RFC 5492 §4).
const CAPABILITIES: u8 = 2;
/// The parameter type, and length, that announce the extended format (RFC 9072 §2).
const EXTENDED: u8 = 255;

/// An OPEN message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Version, 4.
    pub version: u8,
    /// The two-octet My Autonomous System field; AS_TRANS where the number does not fit. See [`Open::asn`].
    pub my_as: u16,
    /// Proposed hold time in seconds: 0, or at least 3.
    pub hold_time: u16,
    /// BGP Identifier.
    pub router_id: RouterId,
    /// Capabilities, in the order of the message.
    pub capabilities: Vec<Capability>,
}

impl Open {
    /// An OPEN of the given AS, its four-octet capability included (RFC 6793 §4.1).
    #[must_use]
    pub fn new(asn: Asn, hold_time: u16, router_id: RouterId) -> Self {
        let capabilities = vec![Capability::FourOctetAs(asn)];
        Self { version: VERSION, my_as: asn.to_two_octets(), hold_time, router_id, capabilities }
    }

    /// The sender's AS number: that of the four-octet capability, or else the two-octet field (RFC 6793 §4.1).
    #[must_use]
    pub fn asn(&self) -> Asn {
        self.four_octet_as().unwrap_or(Asn(u32::from(self.my_as)))
    }

    /// The number in the four-octet AS capability, if there is one.
    #[must_use]
    pub fn four_octet_as(&self) -> Option<Asn> {
        self.capabilities
            .iter()
            .find_map(|c| if let Capability::FourOctetAs(asn) = c { Some(*asn) } else { None })
    }

    /// Reads the whole message.
    pub(crate) fn decode(frame: &[u8]) -> Result<Self, Notification> {
        let body = frame.get(HEADER_LEN..).unwrap_or_default();
        let (parameters, mut open) =
            fixed_fields(body).map_err(|_| Notification::bad_message_length(frame))?;
        if open.version != VERSION {
            // RFC 4271 §6.2: the data is the nearest version that is spoken here.
            return Err(Notification::open_error(subcode::open::UNSUPPORTED_VERSION, &[0, VERSION]));
        }
        open.capabilities = optional_parameters(parameters)?;
        open.fields()?;
        Ok(open)
    }

    /// RFC 4271 §6.2, RFC 7607 §2, RFC 6286 §2.1.
    fn fields(&self) -> Result<(), Notification> {
        if self.my_as == 0 || self.asn() == Asn::RESERVED {
            return Err(Notification::bad_peer_as());
        }
        if matches!(self.hold_time, 1 | 2) {
            return Err(Notification::unacceptable_hold_time());
        }
        if self.router_id == RouterId(0) {
            return Err(Notification::bad_identifier());
        }
        Ok(())
    }

    /// What its receiver answers: the NOTIFICATION, where fields or capabilities are none that it takes (RFC 4271 §6.2).
    /// [`encode`](Self::encode) writes such an OPEN all the same, for those who try others with it.
    pub fn check(&self) -> Result<(), Notification> {
        let mut out = BytesMut::new();
        self.encode(&mut out);
        Self::decode(&out).map(|_| ())
    }

    /// Appends the whole message, whatever is in its fields: see [`check`](Self::check). Capabilities beyond 4,096 octets are left out: an OPEN is never longer (RFC 8654 §4).
    pub fn encode(&self, out: &mut BytesMut) {
        let mut list = BytesMut::new();
        for capability in &self.capabilities {
            let before = list.len();
            capability.encode(&mut list);
            if list.len() > MAX_CAPABILITIES {
                list.truncate(before);
                break;
            }
        }
        write_message(out, MessageType::OPEN, |out| {
            out.put_u8(self.version);
            out.put_u16(self.my_as);
            out.put_u16(self.hold_time);
            out.put_u32(self.router_id.0);
            write_parameters(out, &list);
        });
    }
}

/// What an OPEN of 4,096 octets leaves to capabilities behind the extended parameter headers.
const MAX_CAPABILITIES: usize = MAX_LEN - 29 - 6;

/// One optional parameter with all capabilities, in the extended format only where it must be (RFC 9072 §2).
fn write_parameters(out: &mut BytesMut, list: &[u8]) {
    match u8::try_from(list.len()) {
        Ok(0) => out.put_u8(0),
        Ok(len) if len <= EXTENDED - 2 => out.put_slice(&[len + 2, CAPABILITIES, len]),
        _ => {
            let len = u16::try_from(list.len()).unwrap_or(0);
            out.put_slice(&[EXTENDED, EXTENDED]);
            out.put_u16(len.saturating_add(3));
            out.put_u8(CAPABILITIES);
            out.put_u16(len);
        }
    }
    out.put_slice(list);
}

fn fixed_fields(body: &[u8]) -> Parsed<'_, Open> {
    let (rest, (version, my_as, hold_time, id)) = (be_u8, be_u16, be_u16, be_u32).parse(body)?;
    Ok((rest, Open { version, my_as, hold_time, router_id: RouterId(id), capabilities: Vec::new() }))
}

/// The optional parameters of either format; anything but capabilities is refused (RFC 4271 §6.2).
fn optional_parameters(input: &[u8]) -> Result<Vec<Capability>, Notification> {
    let malformed = |_| Notification::open_error(subcode::open::UNSPECIFIC, &[]);
    let extended = matches!(input, [len, kind, ..] if *len != 0 && *kind == EXTENDED);
    let (rest, mut parameters) = if extended {
        length16(input.get(2..).unwrap_or_default()).map_err(malformed)?
    } else {
        length8(input).map_err(malformed)?
    };
    if !rest.is_empty() {
        return Err(Notification::open_error(subcode::open::UNSPECIFIC, &[]));
    }
    let mut capabilities = Vec::new();
    while !parameters.is_empty() {
        let (after, (kind, value)) =
            if extended { (be_u8, length16).parse(parameters) } else { (be_u8, length8).parse(parameters) }
                .map_err(malformed)?;
        if kind != CAPABILITIES {
            return Err(Notification::open_error(subcode::open::UNSUPPORTED_PARAMETER, &[]));
        }
        Capability::decode_list(value, &mut capabilities).map_err(|()| malformed(nom::Err::Error(())))?;
        parameters = after;
    }
    Ok(capabilities)
}
