//! Network layer reachability information: blocks of routes of one family (RFC 4271 §4.3, RFC 4760 §5).
mod block;
mod evpn;
mod flowspec;
mod flowspec_component;
mod ip;
mod label;
mod labeled;
mod link_state;
mod mup;
mod opaque;
mod route_distinguisher;
mod route_target;
mod shape;
mod value;
mod write;

pub use block::{NlriBlock, NlriIter};
pub use evpn::{EthernetSegmentId, EvpnRoute, MacAddress};
pub use flowspec::{FlowComponents, FlowSpec};
pub use flowspec_component::{FlowComponent, FlowComponentType, FlowOperator, FlowOperators, FlowPrefix};
pub use ip::{Ipv4Nlri, Ipv6Nlri};
pub use label::{Label, LabelStack};
pub use labeled::{LabeledPrefix, VpnPrefix};
pub use opaque::{NlriKey, OpaqueNlri};
pub use route_distinguisher::{NotADistinguisher, RouteDistinguisher};
pub use route_target::RouteTargetMembership;
pub use value::{Nlri, NotAPrefix};
pub use write::{MAX_PREFIX, WriteNlri};

pub(crate) use block::{Judgement, NlriForm, check, is_decoded, judge};
pub(crate) use shape::Flaw;
