//! BGP-4 messages to bytes and back: a total, allocation-free codec.
//!
//! It knows no session and no table: what was negotiated comes in as a [`Codec`], bytes come in as slices, and what
//! goes out is appended to a buffer. Nothing here sees a clock, a socket or a thread.
//!
//! # Reading
//!
//! [`Codec::frame`] finds the end of a message by its header. [`Codec::decode`] makes a [`Message`] of it;
//! [`Codec::decode_update`] is the same for an UPDATE that is only borrowed, and allocates nothing.
//!
//! ```
//! use bgp_wire::{Codec, PeerKind, Reaction};
//!
//! let mut frame = vec![0xff; 16]; // marker
//! frame.extend([0, 47, 2, 0, 0, 0, 20]); // length, UPDATE, nothing withdrawn, 20 octets of attributes
//! frame.extend([0x40, 1, 1, 0]); // ORIGIN
//! frame.extend([0x40, 2, 6, 2, 1, 0, 0, 0xfd, 0xe9]); // AS_PATH
//! frame.extend([0x40, 3, 4, 10, 0, 0, 1]); // NEXT_HOP
//! frame.extend([24, 192, 0, 2]); // 192.0.2.0/24
//! let view = Codec::permissive(PeerKind::External).decode_update(&frame)?;
//! assert_eq!(view.outcome(), Reaction::Accept);
//! for reach in view.reach() {
//!     let prefixes: Vec<_> = reach.nlri.ipv4().map(|(_path_id, prefix)| prefix.to_string()).collect();
//!     assert_eq!((reach.next_hop.to_string().as_str(), &prefixes[0][..]), ("10.0.0.1", "192.0.2.0/24"));
//! }
//! assert_eq!(view.as_path().map(|path| path.to_string()).as_deref(), Some("65001"));
//! # Ok::<(), bgp_wire::Notification>(())
//! ```
//!
//! # Writing
//!
//! Attributes are values ([`PathAttributes`]) or a canonical block ([`AttributeBlock`]), which is what a route reflector
//! keeps: [`rewrite`](rewrite()) makes of it what a group of peers is sent, [`announce`] and [`withdraw`] pack routes.
//! [`UpdateView::reflect`] is the short way for a reflector: the message as received, with ORIGINATOR_ID and CLUSTER_LIST.
//!
//! # Families
//!
//! NLRI of every family in [`Family::KNOWN`] are read, and written by whatever is a [`WriteNlri`]. Plain, labelled and VPN
//! prefixes and route target membership are values; the others are [`OpaqueNlri`], which know where they end and which
//! octets are their key, and so can be reflected without being understood. [`OpaqueNlri::evpn`] and
//! [`OpaqueNlri::flowspec`] look inside.
//!
//! ```
//! use bgp_wire::*;
//! # use bytes::BytesMut;
//! # use ipnet::Ipv4Net;
//!
//! let codec = Codec { four_octet_as: true, families: FamilySet::of(&[Family::IPV4_UNICAST]), ..Codec::before_open() };
//! let mut block = Vec::new();
//! PathAttributes { med: Some(10), ..PathAttributes::default() }.encode_block(&mut block)?;
//! let mut attributes = Vec::new();
//! let how = Rewrite { prepend: Some((Asn(65000), 1)), ..Rewrite::default() };
//! rewrite(AttributeBlock::parse(&block)?, &how, &mut attributes)?;
//!
//! let (mut out, prefix) = (BytesMut::new(), "192.0.2.0/24".parse::<Ipv4Net>()?);
//! let next_hop = NextHop::V4([10, 0, 0, 1].into());
//! let packed = announce(&mut out, &codec, Family::IPV4_UNICAST, &next_hop, &attributes, [(PathId(0), prefix)]);
//! assert_eq!((packed.messages, packed.routes), (1, 1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The law
//!
//! - **Total.** No octets make a panic, an endless loop or an allocation beyond a small multiple of their number: 16 for an
//!   UPDATE with all that is made of it, 80 for an OPEN of capabilities alone, which are values of 72 octets.
//!   A length field bounds its own reader. Unknown code points are values.
//! - **An error is the NOTIFICATION to send**, and ends the session; it never carries more than was received.
//! - **RFC 7606 is settled before the caller looks.** One pass validates an UPDATE and finds the strongest [`Reaction`];
//!   its effect is already in what the [`UpdateView`] shows: discarded attributes are not there, routes that are treated
//!   as withdrawn stand under [`UpdateView::unreach`]. The [`Fault`]s are listed beside it. After that pass nothing fails.
//! - **What is written can be read.** The encoder refuses, and reports, what a decoder would refuse, and never passes the
//!   negotiated size. It relies on blocks for the attributes of a route ([`AttributeBlock::parse`] looks at foreign ones),
//!   and writes an OPEN as its fields are, so that a wrong one can be tried on others: [`Open::check`] tells.
//!
//! # Choices where the RFCs leave one
//!
//! - Wrong Optional or Transitive bits mean treat-as-withdraw for ATOMIC_AGGREGATE and AGGREGATOR too
//!   (RFC 7606 §3 (c) before §3 (f)); for AIGP, attribute discard (RFC 7311 §3).
//! - A malformed MP attribute resets the session, or gives up its family if [`Codec::afi_safi_disable`] says that the
//!   caller can do that.
//! - Confederation segments from an external peer are malformed (RFC 5065 §5); AS_SETs are accepted (RFC 9774 is policy).
//! - LOCAL_PREF, ORIGINATOR_ID and CLUSTER_LIST from an external peer are discarded unread, whatever their flags.
//! - MP attributes of a family that was not negotiated are passed over (RFC 4760 §6), whatever is in them; the fault list
//!   says so.
//! - What the standard itself says to pass over is an attribute discard as well, but [`Fault::is_malformed`] tells it from
//!   what the sender did wrong: an operator need not hear of it.
//! - TUNNEL_ENCAPSULATION with the extended community of that name and PREFIX_SID stay within an AS (RFC 9012 §11, RFC 8669
//!   §5), in both directions, but for external peers of [`Codec::same_domain`]. A tunnel whose endpoint is malformed is
//!   passed on with the others, though RFC 9012 §13 has it taken out: what is inside is its reader's matter.
//! - A malformed service of SRv6 in PREFIX_SID withdraws (RFC 9252 §7), whatever else is wrong with the attribute.
//! - NEXT_HOP in 0.0.0.0/8, multicast or broadcast is no host's; 127.0.0.0/8 and 240.0.0.0/4 are let through.
//! - An UPDATE from an internal peer without LOCAL_PREF is accepted.
//! - A flow specification that has its end but is malformed inside (RFC 8955 §4.2), an unknown component included, is
//!   treated as withdrawn, and so is a segment routing policy of a wrong length (RFC 9830 §5); a BGP-LS NLRI like that is
//!   left out alone (RFC 9552 §8.2.2). EVPN routes of types 1 to 5 whose lengths do not fit their type (RFC 7432 §7, RFC 9136
//!   §3.1) are treated as withdrawn too: passed on, they would reset the sessions of those who read them.
//! - PMSI_TUNNEL is malformed where the identifier has not the length of its tunnel type (RFC 6514 §5); a tunnel type that is
//!   not known is passed on.
//! - A route target membership of 1 to 31 bits is treated as withdrawn, and so are the others of its message: it is neither the
//!   default nor an AS (RFC 4684 §4), but where it ends is known.
//! - Unknown types of EVPN and other typed NLRI are shown by their octets, and so passed on by a reflector. RFC 7606 §5.4 would
//!   have them left out where their family does not say otherwise, as BGP-LS does (RFC 9552 §5.2); but here no type is
//!   interpreted, and a new one should not have to wait for its reflectors.
//! - SAFI 64, 67 to 69, 74, 75, 77, 79 and 140 have no row in the table of families: experiments, drafts that expired or still
//!   change, and layer-1 VPNs. A session cannot negotiate them.
//! - A mobile user plane route is read up to its prefix or endpoint: what is behind changed from draft to draft.
//!
//! # RFCs and where they are
//!
//! | RFC | what | file |
//! |---|---|---|
//! | 4271 §4.1, §6.1; 8654 | header, framing, message sizes | `codec.rs`, `message.rs`, `pack.rs` |
//! | 4271 §4.2, §6.2; 6286 | OPEN, BGP Identifier | `open.rs`, `ids.rs` |
//! | 5492, 9072 | capabilities as optional parameters, extended ones | `open.rs`, `capability.rs` |
//! | 2918, 4724, 4760 §8, 6793, 7313, 7911, 8277 §2.1, 8538, 8654, 8950 §4, 9234 §4.1, 9494 | each its capability | `capability.rs` |
//! | drafts: hostname, software version, paths limit, link-local next hop | each its capability | `capability.rs` |
//! | 4271 §4.3, §6.3 | UPDATE: sections, order of checks, NOTIFICATION data | `update/validate.rs`, `update/view.rs` |
//! | 7606 | reactions; error class of each attribute | `reaction.rs`, `attributes/row.rs` (the table), `update/validate.rs` |
//! | 7607 | AS 0 | `attributes/as_path.rs`, `attributes/aggregator.rs`, `open.rs` |
//! | 4271 §5.1 | ORIGIN, AS_PATH, NEXT_HOP, MULTI_EXIT_DISC, LOCAL_PREF, ATOMIC_AGGREGATE, AGGREGATOR | `attributes/`, one file each |
//! | 5065 | confederation segments | `attributes/as_path.rs`, `rewrite.rs` |
//! | 6793 | four-octet AS numbers: AS4_PATH, AS4_AGGREGATOR, merging, AS_TRANS | `attributes/as4_path.rs`, `attributes/as4_aggregator.rs`, `attributes/as_path.rs`, `update/canonical.rs`, `rewrite.rs` |
//! | 1997; names of 3765, 7611, 7999, 8326, 9494 | COMMUNITIES | `attributes/communities.rs` |
//! | 4360, 5668; 9012 §4.3; link bandwidth draft | EXTENDED_COMMUNITIES | `attributes/extended_communities.rs` |
//! | 5701 | IPv6 extended communities | `attributes/ipv6_extended_communities.rs` |
//! | 8092 | LARGE_COMMUNITIES | `attributes/large_communities.rs` |
//! | 4456 | ORIGINATOR_ID, CLUSTER_LIST, reflection | `attributes/originator_id.rs`, `attributes/cluster_list.rs`, `update/reflect.rs`, `rewrite.rs` |
//! | 7311 | AIGP | `attributes/aigp.rs` |
//! | 9234 §5 | ONLY_TO_CUSTOMER | `attributes/only_to_customer.rs` |
//! | 6514 §5, 9012, 8669, 6368, 9552 §5.3 | PMSI_TUNNEL, TUNNEL_ENCAPSULATION, PREFIX_SID, ATTR_SET, BGP-LS: judged, kept as octets | `attributes/`, one file each |
//! | 4760, 2545 | MP_REACH_NLRI, MP_UNREACH_NLRI, families | `attributes/mp.rs`, `family.rs`, `next_hop.rs` |
//! | 8950, 4364 §4.3.2, 4659 §3.2.1 | next hops of another address family, and behind a distinguisher | `next_hop.rs` |
//! | 7911 | path identifiers | `nlri/block.rs`, `nlri/ip.rs`, `pack.rs` |
//! | 8277 | labels | `nlri/label.rs`, `nlri/labeled.rs` |
//! | 4364, 4659, 6514 §4 (SAFI 129), 9832 | VPN prefixes, distinguishers | `nlri/labeled.rs`, `nlri/route_distinguisher.rs` |
//! | 4684 | route target constraint | `nlri/route_target.rs` |
//! | 7432, 9136, 9251 | EVPN: routes of types 1 to 5, keys of types 1 to 8 | `nlri/evpn.rs`, `nlri/shape.rs` |
//! | 8955, 8956 | flow specifications | `nlri/flowspec.rs`, `nlri/flowspec_component.rs` |
//! | 9830 §4.2.1, §5 | what a segment routing policy cannot do without | `update/sr_policy.rs` |
//! | 9252 §7 | services of SRv6 | `attributes/prefix_sid.rs` |
//! | 9552, 9815 | BGP-LS NLRI | `nlri/link_state.rs`, `nlri/shape.rs` |
//! | 4761, 5512, 6037, 6074, 6514, 6624, 7117, 7267, 9015, 9830, 9871; MUP draft | families carried by their octets | `nlri/shape.rs` (the table), `nlri/mup.rs`, `nlri/opaque.rs` |
//! | 4724 §2 | End-of-RIB | `update/validate.rs`, `pack.rs` |
//! | 4271 §4.5; 4486, 6608, 8538, 9003, 9384, 9687 | NOTIFICATION: codes, texts, hard reset | `notification.rs` |
//! | 2918, 7313; 5291 passed over | ROUTE-REFRESH | `refresh.rs` |
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_possible_wrap,
        clippy::cast_lossless
    )
)]

mod attributes;
mod block;
mod capability;
mod codec;
mod family;
mod ids;
mod message;
mod next_hop;
mod nlri;
mod notification;
mod open;
mod pack;
mod parse;
mod path_attributes;
mod reaction;
mod refresh;
mod rewrite;
mod update;

pub use attributes::{
    Aggregator, AsPath, AsPathView, Asns, AttributeCode, AttributeFlags, ClusterList, Communities, Community,
    ExtendedCommunities, ExtendedCommunity, Ipv6ExtendedCommunities, Ipv6ExtendedCommunity, LargeCommunities,
    LargeCommunity, NotACommunity, Origin, PathSegment, RawAttribute, Segment, SegmentKind, Segments,
};
pub use block::{AttributeBlock, NotCanonical};
pub use capability::{AddPathMode, Capability, CapabilityCode, GracefulRestart, LongLivedFamily, Role};
pub use codec::{Codec, Frame, PeerKind};
pub use family::{Afi, Family, FamilySet, Safi, UnknownFamily};
pub use ids::{Asn, ClusterId, PathId, RouterId};
pub use message::{HEADER_LEN, MAX_EXTENDED_LEN, MAX_LEN, Message, MessageType, keepalive};
pub use next_hop::{NextHop, OpaqueNextHop};
pub use nlri::{
    EthernetSegmentId, EvpnRoute, FlowComponent, FlowComponentType, FlowComponents, FlowOperator,
    FlowOperators, FlowPrefix, FlowSpec, Ipv4Nlri, Ipv6Nlri, Label, LabelStack, LabeledPrefix, MAX_PREFIX,
    MacAddress, Nlri, NlriBlock, NlriIter, NlriKey, NotADistinguisher, NotAPrefix, OpaqueNlri,
    RouteDistinguisher, RouteTargetMembership, VpnPrefix, WriteNlri,
};
pub use notification::{MAX_SHUTDOWN_TEXT, Notification, NotificationCode, subcode};
pub use open::{Open, VERSION};
pub use pack::{Packed, announce, announce_room, end_of_rib, withdraw};
pub use path_attributes::{AttributeSet, OwnedAttribute, PathAttributes};
pub use reaction::{Fault, FaultKind, Reaction};
pub use refresh::{RefreshKind, RouteRefresh};
pub use rewrite::{AigpEdit, ClusterEdit, Edit, Rewrite, TooLong, rewrite};
pub use update::{Attributes, NotReflected, Reach, Reflection, Update, UpdateView};
