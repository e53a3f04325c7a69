//! BGP-4 messages to bytes and back: a total, allocation-free codec.
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
pub use next_hop::NextHop;
pub use nlri::{Ipv4Nlri, Ipv6Nlri, Nlri, NlriBlock, NlriIter, WriteNlri};
pub use notification::{MAX_SHUTDOWN_TEXT, Notification, NotificationCode, subcode};
pub use open::{Open, VERSION};
pub use pack::{Packed, announce, end_of_rib, withdraw};
pub use path_attributes::{AttributeSet, OwnedAttribute, PathAttributes};
pub use reaction::{Fault, FaultKind, Reaction};
pub use refresh::{RefreshKind, RouteRefresh};
pub use rewrite::{ClusterEdit, Edit, Rewrite, TooLong, rewrite};
pub use update::{Attributes, Reach, Update, UpdateView};
