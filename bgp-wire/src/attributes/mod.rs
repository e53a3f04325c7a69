//! Path attributes (RFC 4271 §4.3, §5). Each file holds one attribute: its row (flags and error class),
//! its check on receipt, its value and its encoding.
mod aggregator;
mod aigp;
mod as4_aggregator;
mod as4_path;
mod as_path;
mod as_path_owned;
mod atomic_aggregate;
mod attr_set;
mod cluster_list;
mod code;
mod communities;
mod extended_communities;
mod ipv6_extended_communities;
mod large_communities;
mod link_state;
mod list;
mod local_pref;
mod med;
pub(crate) mod mp;
pub(crate) mod next_hop;
mod only_to_customer;
mod origin;
mod originator_id;
mod pmsi_tunnel;
mod prefix_sid;
mod raw;
mod row;
mod tlv;
mod tunnel_encapsulation;
mod write;

pub use aggregator::Aggregator;
pub use as_path::{AsPathView, Asns, Segment, SegmentKind, Segments};
pub use as_path_owned::{AsPath, PathSegment};
pub use cluster_list::ClusterList;
pub use code::AttributeCode;
pub use communities::{Communities, Community, NotACommunity};
pub use extended_communities::{ExtendedCommunities, ExtendedCommunity};
pub use ipv6_extended_communities::{Ipv6ExtendedCommunities, Ipv6ExtendedCommunity};
pub(crate) use large_communities::has_duplicates;
pub use large_communities::{LargeCommunities, LargeCommunity};
pub use origin::Origin;
pub use raw::{AttributeFlags, RawAttribute};

pub(crate) use aigp::{add as add_aigp, metric as aigp_metric, value as aigp_value};
pub(crate) use as_path::{SegmentWriter, is_two_octet_path, merge_as4_path};
pub(crate) use raw::RawAttributes;
pub(crate) use row::{
    Context, Row, Source, canonical_flags, exactly, examine, lasting_flags, multiple, wire_flags,
};
pub(crate) use tunnel_encapsulation::is_sr_policy;
pub(crate) use write::{patched_attribute, push_attribute, push_header, push_values, push_word};
