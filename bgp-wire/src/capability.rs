//! Capabilities (RFC 5492), each with the RFC that defines it.
use core::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use nom::combinator::{all_consuming, map, rest};
use nom::multi::many0;
use nom::number::complete::{be_u8, be_u16, be_u24, be_u32};
use nom::{Finish, Parser};

use crate::parse::{Parsed, length8};
use crate::{Afi, Asn, Family, Safi};

/// A capability code ([registry](https://www.iana.org/assignments/capability-codes)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CapabilityCode(pub u8);

impl CapabilityCode {
    /// Multiprotocol Extensions (RFC 4760).
    pub const MULTIPROTOCOL: Self = Self(1);
    /// Route Refresh (RFC 2918).
    pub const ROUTE_REFRESH: Self = Self(2);
    /// Extended Next Hop Encoding (RFC 8950).
    pub const EXTENDED_NEXT_HOP: Self = Self(5);
    /// Extended Message (RFC 8654).
    pub const EXTENDED_MESSAGE: Self = Self(6);
    /// Multiple Labels (RFC 8277).
    pub const MULTIPLE_LABELS: Self = Self(8);
    /// Role (RFC 9234).
    pub const ROLE: Self = Self(9);
    /// Graceful Restart (RFC 4724).
    pub const GRACEFUL_RESTART: Self = Self(64);
    /// Four-octet AS number (RFC 6793).
    pub const FOUR_OCTET_AS: Self = Self(65);
    /// ADD-PATH (RFC 7911).
    pub const ADD_PATH: Self = Self(69);
    /// Enhanced Route Refresh (RFC 7313).
    pub const ENHANCED_ROUTE_REFRESH: Self = Self(70);
    /// Long-Lived Graceful Restart (RFC 9494).
    pub const LONG_LIVED_GRACEFUL_RESTART: Self = Self(71);
    /// FQDN (draft-walton-bgp-hostname-capability).
    pub const FQDN: Self = Self(73);
    /// Software Version (draft-ietf-idr-software-version).
    pub const SOFTWARE_VERSION: Self = Self(75);
    /// Paths Limit for ADD-PATH (draft-abraitis-idr-addpath-paths-limit).
    pub const PATHS_LIMIT: Self = Self(76);
    /// Link-Local Next Hop (draft-ietf-idr-linklocal-capability).
    pub const LINK_LOCAL_NEXT_HOP: Self = Self(77);
}

/// One capability. Unknown ones survive byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Capability {
    /// A family that the sender speaks (RFC 4760 §8).
    Multiprotocol(Family),
    /// The sender answers ROUTE-REFRESH (RFC 2918 §2).
    RouteRefresh,
    /// Families of IPv4 NLRI with the AFI that their next hop may have (RFC 8950 §4).
    ExtendedNextHop(Vec<(Family, Afi)>),
    /// Messages up to 65,535 octets (RFC 8654 §3).
    ExtendedMessage,
    /// Families with the most labels per NLRI that the sender reads (RFC 8277 §2.1).
    MultipleLabels(Vec<(Family, u8)>),
    /// The sender's role on the session (RFC 9234 §4.1).
    Role(Role),
    /// Graceful restart (RFC 4724 §3, RFC 8538 §2).
    GracefulRestart(GracefulRestart),
    /// Four-octet AS number (RFC 6793 §4.1).
    FourOctetAs(Asn),
    /// Families with the direction of ADD-PATH, as the sender sees it (RFC 7911 §4).
    AddPath(Vec<(Family, AddPathMode)>),
    /// Beginning and end of a refresh are marked (RFC 7313 §3.1).
    EnhancedRouteRefresh,
    /// Long-lived graceful restart (RFC 9494 §3.1).
    LongLivedGracefulRestart(Vec<LongLivedFamily>),
    /// Host and domain name, octets as received (draft-walton-bgp-hostname-capability).
    Fqdn {
        /// Host name.
        host: Bytes,
        /// Domain name; may be empty.
        domain: Bytes,
    },
    /// Software version, octets as received (draft-ietf-idr-software-version).
    SoftwareVersion(Bytes),
    /// The most paths per prefix that the sender wants (draft-abraitis-idr-addpath-paths-limit).
    PathsLimit(Vec<(Family, u16)>),
    /// Link-local address alone as next hop (draft-ietf-idr-linklocal-capability).
    LinkLocalNextHop,
    /// Anything else.
    Unknown {
        /// Code.
        code: CapabilityCode,
        /// Value; at most 255 octets are sent.
        value: Bytes,
    },
}

/// A role of RFC 9234 §4.1 ([registry](https://www.iana.org/assignments/bgp-parameters#bgp-role-value)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Role(pub u8);

impl Role {
    /// Provider.
    pub const PROVIDER: Self = Self(0);
    /// Route server.
    pub const ROUTE_SERVER: Self = Self(1);
    /// Route server client.
    pub const ROUTE_SERVER_CLIENT: Self = Self(2);
    /// Customer.
    pub const CUSTOMER: Self = Self(3);
    /// Lateral peer.
    pub const PEER: Self = Self(4);
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::PROVIDER => "provider",
            Self::ROUTE_SERVER => "route server",
            Self::ROUTE_SERVER_CLIENT => "route server client",
            Self::CUSTOMER => "customer",
            Self::PEER => "peer",
            Self(other) => return write!(f, "role {other}"),
        })
    }
}

/// The value of the graceful restart capability.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct GracefulRestart {
    /// R: the sender has restarted (RFC 4724 §3).
    pub restarting: bool,
    /// N: NOTIFICATION and hold time expiry are graceful too (RFC 8538 §2).
    pub notification: bool,
    /// Restart time in seconds, at most 4,095.
    pub time: u16,
    /// Families, each with F: forwarding state was preserved.
    pub families: Vec<(Family, bool)>,
}

/// One family in the long-lived graceful restart capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LongLivedFamily {
    /// Family.
    pub family: Family,
    /// F: forwarding state was preserved.
    pub forwarding: bool,
    /// Long-lived stale time in seconds, at most 2^24 - 1.
    pub stale_time: u32,
}

/// A direction of ADD-PATH as its sender sees it; other values are ignored by the receiver (RFC 7911 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddPathMode(pub u8);

impl AddPathMode {
    /// The sender wants to receive several paths.
    pub const RECEIVE: Self = Self(1);
    /// The sender wants to send several paths.
    pub const SEND: Self = Self(2);
    /// Both.
    pub const BOTH: Self = Self(3);

    /// Whether the sender wants to receive.
    #[must_use]
    pub const fn receives(self) -> bool {
        matches!(self, Self::RECEIVE | Self::BOTH)
    }

    /// Whether the sender wants to send.
    #[must_use]
    pub const fn sends(self) -> bool {
        matches!(self, Self::SEND | Self::BOTH)
    }
}

const RESTARTING: u16 = 0x8000;
const NOTIFICATION: u16 = 0x4000;
const RESTART_TIME: u16 = 0x0fff;
const FORWARDING: u8 = 0x80;
/// The longest host name that leaves room for both length octets.
const MAX_HOST: usize = 253;
const MAX_STALE_TIME: u32 = 0x00ff_ffff;

impl Capability {
    /// Its code.
    #[must_use]
    pub const fn code(&self) -> CapabilityCode {
        match self {
            Self::Multiprotocol(_) => CapabilityCode::MULTIPROTOCOL,
            Self::RouteRefresh => CapabilityCode::ROUTE_REFRESH,
            Self::ExtendedNextHop(_) => CapabilityCode::EXTENDED_NEXT_HOP,
            Self::ExtendedMessage => CapabilityCode::EXTENDED_MESSAGE,
            Self::MultipleLabels(_) => CapabilityCode::MULTIPLE_LABELS,
            Self::Role(_) => CapabilityCode::ROLE,
            Self::GracefulRestart(_) => CapabilityCode::GRACEFUL_RESTART,
            Self::FourOctetAs(_) => CapabilityCode::FOUR_OCTET_AS,
            Self::AddPath(_) => CapabilityCode::ADD_PATH,
            Self::EnhancedRouteRefresh => CapabilityCode::ENHANCED_ROUTE_REFRESH,
            Self::LongLivedGracefulRestart(_) => CapabilityCode::LONG_LIVED_GRACEFUL_RESTART,
            Self::Fqdn { .. } => CapabilityCode::FQDN,
            Self::SoftwareVersion(_) => CapabilityCode::SOFTWARE_VERSION,
            Self::PathsLimit(_) => CapabilityCode::PATHS_LIMIT,
            Self::LinkLocalNextHop => CapabilityCode::LINK_LOCAL_NEXT_HOP,
            Self::Unknown { code, .. } => *code,
        }
    }

    /// Reads the capabilities of one optional parameter.
    pub(crate) fn decode_list(mut input: &[u8], out: &mut Vec<Self>) -> Result<(), ()> {
        while !input.is_empty() {
            let (rest, (code, value)) = (be_u8, length8).parse(input).finish()?;
            out.push(Self::decode(CapabilityCode(code), value)?);
            input = rest;
        }
        Ok(())
    }

    fn decode(code: CapabilityCode, value: &[u8]) -> Result<Self, ()> {
        let flag = |capability: Self| if value.is_empty() { Ok(capability) } else { Err(()) };
        match code {
            CapabilityCode::MULTIPROTOCOL => whole(map(padded_family, Self::Multiprotocol), value),
            CapabilityCode::ROUTE_REFRESH => flag(Self::RouteRefresh),
            CapabilityCode::EXTENDED_NEXT_HOP => {
                let known = |rows: Vec<_>| Self::ExtendedNextHop(rows.into_iter().flatten().collect());
                whole(map(many0(next_hop_row), known), value)
            }
            CapabilityCode::EXTENDED_MESSAGE => flag(Self::ExtendedMessage),
            CapabilityCode::MULTIPLE_LABELS => {
                whole(map(many0((family, be_u8)), Self::MultipleLabels), value)
            }
            CapabilityCode::ROLE => whole(map(be_u8, |r| Self::Role(Role(r))), value),
            CapabilityCode::GRACEFUL_RESTART => whole(map(graceful_restart, Self::GracefulRestart), value),
            CapabilityCode::FOUR_OCTET_AS => whole(map(be_u32, |n| Self::FourOctetAs(Asn(n))), value),
            CapabilityCode::ADD_PATH => whole(map(many0(add_path_row), Self::AddPath), value),
            CapabilityCode::ENHANCED_ROUTE_REFRESH => flag(Self::EnhancedRouteRefresh),
            CapabilityCode::LONG_LIVED_GRACEFUL_RESTART => {
                whole(map(many0(long_lived_row), Self::LongLivedGracefulRestart), value)
            }
            CapabilityCode::PATHS_LIMIT => whole(map(many0((family, be_u16)), Self::PathsLimit), value),
            CapabilityCode::LINK_LOCAL_NEXT_HOP => flag(Self::LinkLocalNextHop),
            // Only shown to people: damaged names are kept as octets, not held against the session.
            CapabilityCode::FQDN => whole(fqdn, value).or_else(|()| Ok(Self::unknown(code, value))),
            CapabilityCode::SOFTWARE_VERSION => {
                whole(software_version, value).or_else(|()| Ok(Self::unknown(code, value)))
            }
            _ => Ok(Self::unknown(code, value)),
        }
    }

    fn unknown(code: CapabilityCode, value: &[u8]) -> Self {
        Self::Unknown { code, value: Bytes::copy_from_slice(value) }
    }

    /// Appends code, length and value. A list that does not fit the one-octet length goes out as several
    /// capabilities of the same code, which a receiver joins (RFC 5492 §4). Of those of which only one instance counts the
    /// first families go out, as many as fit: 63 with multiple labels (RFC 8277 §2.1) and with graceful restart
    /// (RFC 4724 §3), 36 with the long-lived one (RFC 9494 §3.1). A longer octet string is cut.
    pub fn encode(&self, out: &mut BytesMut) {
        let code = self.code();
        match self {
            Self::Multiprotocol(f) => one(out, code, |out| {
                out.put_u16(f.afi.0);
                out.put_slice(&[0, f.safi.0]);
            }),
            Self::RouteRefresh
            | Self::ExtendedMessage
            | Self::EnhancedRouteRefresh
            | Self::LinkLocalNextHop => {
                one(out, code, |_| {});
            }
            Self::ExtendedNextHop(rows) => several(out, code, 42, rows, |out, (f, next_hop)| {
                out.put_u16(f.afi.0);
                out.put_u16(u16::from(f.safi.0));
                out.put_u16(next_hop.0);
            }),
            Self::MultipleLabels(rows) => one(out, code, |out| {
                for (f, most) in rows.iter().take(63) {
                    put_family(out, *f);
                    out.put_u8(*most);
                }
            }),
            Self::Role(role) => one(out, code, |out| out.put_u8(role.0)),
            Self::GracefulRestart(gr) => one(out, code, |out| gr.encode(out)),
            Self::FourOctetAs(asn) => one(out, code, |out| out.put_u32(asn.0)),
            Self::AddPath(rows) => several(out, code, 63, rows, |out, (f, mode)| {
                put_family(out, *f);
                out.put_u8(mode.0);
            }),
            Self::LongLivedGracefulRestart(rows) => one(out, code, |out| {
                for row in rows.iter().take(36) {
                    put_family(out, row.family);
                    out.put_u8(if row.forwarding { FORWARDING } else { 0 });
                    out.put_uint(u64::from(row.stale_time.min(MAX_STALE_TIME)), 3);
                }
            }),
            Self::Fqdn { host, domain } => one(out, code, |out| {
                let host = cut(host, MAX_HOST);
                put_length8(out, host);
                put_length8(out, cut(domain, MAX_HOST.saturating_sub(host.len())));
            }),
            Self::SoftwareVersion(text) => one(out, code, |out| put_length8(out, cut(text, 254))),
            Self::PathsLimit(rows) => several(out, code, 51, rows, |out, (f, limit)| {
                put_family(out, *f);
                out.put_u16(*limit);
            }),
            Self::Unknown { value, .. } => one(out, code, |out| out.put_slice(cut(value, 255))),
        }
    }
}

impl GracefulRestart {
    /// The families that the one-octet length leaves room for.
    const MAX_FAMILIES: usize = 63;

    fn encode(&self, out: &mut BytesMut) {
        let restarting = if self.restarting { RESTARTING } else { 0 };
        let notification = if self.notification { NOTIFICATION } else { 0 };
        out.put_u16(restarting | notification | self.time.min(RESTART_TIME));
        for (family, forwarding) in self.families.iter().take(Self::MAX_FAMILIES) {
            put_family(out, *family);
            out.put_u8(if *forwarding { FORWARDING } else { 0 });
        }
    }
}

fn one(out: &mut BytesMut, code: CapabilityCode, value: impl FnOnce(&mut BytesMut)) {
    out.put_u8(code.0);
    let at = out.len();
    out.put_u8(0);
    value(out);
    let len = out.len().saturating_sub(at).saturating_sub(1);
    if let Some(field) = out.get_mut(at) {
        *field = u8::try_from(len).unwrap_or(u8::MAX);
    }
}

fn several<T>(
    out: &mut BytesMut,
    code: CapabilityCode,
    per: usize,
    rows: &[T],
    put: impl Fn(&mut BytesMut, &T),
) {
    if rows.is_empty() {
        one(out, code, |_| {});
    }
    for chunk in rows.chunks(per) {
        one(out, code, |out| chunk.iter().for_each(|row| put(out, row)));
    }
}

fn put_family(out: &mut BytesMut, family: Family) {
    out.put_u16(family.afi.0);
    out.put_u8(family.safi.0);
}

fn put_length8(out: &mut BytesMut, text: &[u8]) {
    out.put_u8(u8::try_from(text.len()).unwrap_or(u8::MAX));
    out.put_slice(text);
}

fn cut(octets: &[u8], most: usize) -> &[u8] {
    octets.get(..most).unwrap_or(octets)
}

fn whole<'a, T>(parser: impl Parser<&'a [u8], Output = T, Error = ()>, value: &'a [u8]) -> Result<T, ()> {
    all_consuming(parser).parse(value).finish().map(|(_, t)| t)
}

fn family(input: &[u8]) -> Parsed<'_, Family> {
    map((be_u16, be_u8), |(afi, safi)| Family { afi: Afi(afi), safi: Safi(safi) }).parse(input)
}

/// AFI, a reserved octet, SAFI (RFC 4760 §8).
fn padded_family(input: &[u8]) -> Parsed<'_, Family> {
    map((be_u16, be_u8, be_u8), |(afi, _, safi)| Family { afi: Afi(afi), safi: Safi(safi) }).parse(input)
}

/// AFI, SAFI in two octets, next hop AFI (RFC 8950 §4). `None` for a number beyond 255, which is no SAFI: it is not that of
/// its low octet.
fn next_hop_row(input: &[u8]) -> Parsed<'_, Option<(Family, Afi)>> {
    let row = |(afi, safi, next_hop)| {
        let safi = Safi(u8::try_from(safi).ok()?);
        Some((Family { afi: Afi(afi), safi }, Afi(next_hop)))
    };
    map((be_u16, be_u16, be_u16), row).parse(input)
}

fn add_path_row(input: &[u8]) -> Parsed<'_, (Family, AddPathMode)> {
    map((family, be_u8), |(family, mode)| (family, AddPathMode(mode))).parse(input)
}

fn graceful_restart(input: &[u8]) -> Parsed<'_, GracefulRestart> {
    let families = many0(map((family, be_u8), |(family, flags)| (family, flags & FORWARDING != 0)));
    let value = |(word, families): (u16, _)| GracefulRestart {
        restarting: word & RESTARTING != 0,
        notification: word & NOTIFICATION != 0,
        time: word & RESTART_TIME,
        families,
    };
    map((be_u16, families), value).parse(input)
}

fn long_lived_row(input: &[u8]) -> Parsed<'_, LongLivedFamily> {
    let row = |(family, flags, stale_time)| LongLivedFamily {
        family,
        forwarding: flags & FORWARDING != 0,
        stale_time,
    };
    map((family, be_u8, be_u24), row).parse(input)
}

fn fqdn(input: &[u8]) -> Parsed<'_, Capability> {
    let (input, host) = length8(input)?;
    if host.len() > MAX_HOST {
        return Err(nom::Err::Error(()));
    }
    // Old implementations leave the domain's length out when there is no domain.
    let (input, domain) = if input.is_empty() { rest(input)? } else { length8(input)? };
    let value =
        Capability::Fqdn { host: Bytes::copy_from_slice(host), domain: Bytes::copy_from_slice(domain) };
    Ok((input, value))
}

fn software_version(input: &[u8]) -> Parsed<'_, Capability> {
    map(length8, |text| Capability::SoftwareVersion(Bytes::copy_from_slice(text))).parse(input)
}
