//! BGP routing tables: decision, reflection, one change log and a cursor per reader.
#![forbid(unsafe_code)]

mod attributes;
mod batch;
mod config;
mod decision;
mod event;
mod explain;
mod export;
mod follower;
mod group;
mod ids;
mod import;
mod log;
mod lookup;
mod next_hop;
mod next_hops;
mod pack;
mod path;
mod peer;
mod prefix;
mod query;
mod reader;
mod restart;
mod rib;
mod select;
mod session;
mod slab;
mod table;
mod transmit;

pub use config::{DecisionOptions, NextHopMode, PeerParams, PeerRole, Policy, RibConfig};
pub use decision::Rung;
pub use event::{Event, Input, Origination, Reachability, Retain, Transmit};
pub use explain::{Explanation, PathExplanation, PathVerdict, PeerExplanation};
pub use export::HeldBack;
pub use ids::{OwnerId, PeerId, ReaderId};
pub use import::Ineligible;
pub use query::{
    PageToken, PeerCounters, RouteAttributes, RouteFilter, RouteInfo, Source, TableCounters, Why,
};
pub use reader::{Best, ReaderBatch, RouteChange};
pub use rib::Rib;
