//! ROUTE-REFRESH (RFC 2918) and its demarcation (RFC 7313).
use bytes::{BufMut, BytesMut};
use nom::Parser;
use nom::number::complete::{be_u8, be_u16};

use crate::message::write_message;
use crate::parse::Parsed;
use crate::{Afi, Codec, Family, HEADER_LEN, MessageType, Notification, Safi};

/// A message subtype ([registry](https://www.iana.org/assignments/bgp-parameters#route-refresh-subcodes)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RefreshKind(pub u8);

impl RefreshKind {
    /// Send your routes again (RFC 2918), with or without ORF entries (RFC 5291).
    pub const REQUEST: Self = Self(0);
    /// Beginning-of-RR (RFC 7313 §3.2).
    pub const BEGIN: Self = Self(1);
    /// End-of-RR (RFC 7313 §3.2).
    pub const END: Self = Self(2);
}

/// A ROUTE-REFRESH message. Outbound route filter entries behind it are passed over (RFC 5291 is not spoken).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RouteRefresh {
    /// The family whose routes are asked for or demarcated.
    pub family: Family,
    /// Request, begin or end. An unknown kind is to be ignored (RFC 7313 §5); without enhanced refresh the octet is
    /// reserved, and every message a request (RFC 2918 §3).
    pub kind: RefreshKind,
}

impl RouteRefresh {
    /// A request for all routes of a family.
    #[must_use]
    pub const fn request(family: Family) -> Self {
        Self { family, kind: RefreshKind::REQUEST }
    }

    /// Reads the whole message. A demarcation has its length only where both speak enhanced refresh (RFC 7313 §5).
    pub(crate) fn decode(frame: &[u8], codec: &Codec) -> Result<Self, Notification> {
        let body = frame.get(HEADER_LEN..).unwrap_or_default();
        let demarcation =
            matches!(body.get(2).copied().map(RefreshKind), Some(RefreshKind::BEGIN | RefreshKind::END));
        if codec.enhanced_refresh && demarcation && body.len() != FIELDS {
            // RFC 7313 §5: the whole message is the data.
            return Err(Notification::invalid_refresh_length(frame));
        }
        fields(body).map(|(_, this)| this).map_err(|_| Notification::bad_message_length(frame))
    }

    /// Appends the whole message.
    pub fn encode(&self, out: &mut BytesMut) {
        write_message(out, MessageType::ROUTE_REFRESH, |out| {
            out.put_u16(self.family.afi.0);
            out.put_u8(self.kind.0);
            out.put_u8(self.family.safi.0);
        });
    }
}

/// Octets of a message without ORF entries.
const FIELDS: usize = 4;

fn fields(body: &[u8]) -> Parsed<'_, RouteRefresh> {
    let (rest, (afi, kind, safi)) = (be_u16, be_u8, be_u8).parse(body)?;
    let family = Family { afi: Afi(afi), safi: Safi(safi) };
    Ok((rest, RouteRefresh { family, kind: RefreshKind(kind) }))
}
