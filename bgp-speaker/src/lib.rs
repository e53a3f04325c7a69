//! An embeddable BGP speaker and route reflector.

mod bridge;
mod builder;
mod config;
mod door;
mod error;
mod event;
pub mod kernel;
mod kernel_feed;
mod mesh;
mod peer;
mod rib_task;
mod route;
mod session;
mod shared;
mod socket;
mod speaker;
mod start;
mod status;
mod strangers;
mod subscription;
mod supervisor;

pub use bgp_fsm::{PeerAs, State};
pub use bgp_rib::{
    Best, HeldBack, Ineligible, NextHopMode, OwnerId, PathExplanation, PathVerdict, Policy,
    ReaderBatch as RouteBatch, RouteAttributes, RouteChange, RouteInfo, Rung, Source, Why,
};
pub use bgp_wire::{Asn, ClusterId, Community, Family, FamilySet, NextHop, RouterId};
pub use builder::Builder;
pub use config::{
    BGP_PORT, MAX_ORIGINATED_PER_CALL, MIN_HOLD_TIME, PeerClass, PeerConfig, RangeConfig, SessionOptions,
    Timers,
};
pub use error::{SpeakerError, StartError};
pub use event::{Event, Events};
pub use mesh::{MeshDialer, MeshNode};
pub use route::{Explanation, Route, RouteCursor, RouteFilter, RoutePage};
pub use speaker::{ShutdownMode, Speaker};
pub use status::{MessageCounters, NegotiatedStatus, PeerStatus, PrefixCounters, Status, TableStatus};
pub use subscription::Subscription;
