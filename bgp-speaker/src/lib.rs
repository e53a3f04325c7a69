//! An embeddable BGP speaker and route reflector.
//!
//! A [`Speaker`] is a BGP router without an interface of its own: a program starts one, tells it who its peers are and what
//! to announce, and reads what it learns. Sessions, tables and kernel routes live in the program's own process, on its
//! tokio runtime; several speakers in one process share nothing.
//!
//! Two speakers on loopback exchange a route:
//!
//! ```
//! use bgp_speaker::{Asn, OwnerId, PeerConfig, Route, RouteNews, RouterId, Speaker};
//!
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let asn = Asn(64512);
//! let east = Speaker::builder(asn, RouterId(1)).listen("127.0.77.1:0".parse()?).start().await?;
//! let west = Speaker::builder(asn, RouterId(2)).listen("127.0.77.2:0".parse()?).start().await?;
//!
//! // East waits for west, west dials east on the port that the system gave it.
//! east.add_peer(PeerConfig::new("127.0.77.2".parse()?, asn).passive()).await?;
//! let port = east.status().listen[0].port();
//! west.add_peer(PeerConfig::new("127.0.77.1".parse()?, asn).port(port)).await?;
//!
//! let block = "10.65.0.0/26".parse()?;
//! east.announce(OwnerId(0), [Route::new(block)]).await?;
//!
//! let mut routes = west.subscribe();
//! while let Some(news) = routes.next().await {
//!     // The other news is that the table follows anew: it comes to those who do not read for long.
//!     let RouteNews::Batch(batch) = news else { continue };
//!     if let Some(change) = batch.changes.iter().find(|c| c.prefix == block) {
//!         let best = change.best.as_ref().expect("it was just announced");
//!         assert_eq!(best.next_hops[0].to_string(), "127.0.77.1");
//!         break;
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! # The calls
//!
//! | to | call |
//! |---|---|
//! | start | [`Speaker::builder`], [`Builder::listen`], [`Builder::start`] |
//! | say all at once | [`Speaker::apply`] with a [`Desired`]: it does what differs and tells what that was; [`Builder::desired`] for the first moment |
//! | say what changed | [`Speaker::update`] with a [`Batch`]: nodes, peers, ranges and routes that come and go, in work that is theirs |
//! | peer with one router | [`Speaker::add_peer`] with a [`PeerConfig`], [`Speaker::remove_peer`] |
//! | peer with whoever comes | [`Speaker::add_listen_range`] with a [`RangeConfig`] |
//! | filter and change routes | [`SessionOptions::import`] and [`SessionOptions::export`] with a [`Policy`]; rules are compiled by [`policy`] |
//! | join a full mesh | [`Speaker::mesh`]: every node gives the same list of [`MeshNode`]s; called again, it changes what differs |
//! | wire a cluster | [`Desired::mesh`] with a [`MeshNode::cluster_id`] and labels, [`Desired::peerings`]: who peers with reflectors and routers |
//! | reflect routes (RFC 4456) | [`PeerConfig::reflector_client`], [`RangeConfig::reflector_clients`], [`Builder::cluster_id`] |
//! | originate | [`Speaker::announce`], [`Speaker::withdraw`]: by owner, counted, in batches |
//! | follow the best routes | [`Speaker::subscribe`]: the table, then changes; slow readers see the newest state |
//! | write them to the kernel | [`Builder::kernel`] with a [`kernel::KernelConfig`] |
//! | look | [`Speaker::status`] (waits for nobody), [`Speaker::routes`], [`Speaker::explain`], [`Speaker::events`] |
//! | measure | `metrics::SpeakerMetrics`, with the feature `metrics`: a collector for the program's own Prometheus registry |
//! | wait for the data path | [`Builder::hold_until_ready`], [`Speaker::ready`] |
//! | take one peer out of use without loss | [`Speaker::drain_peer`], [`Speaker::resume_peer`] |
//! | end | [`Speaker::shutdown`] with a [`ShutdownMode`], [`Speaker::drain`] for one without loss, or drop the last handle |
//!
//! # What to know before
//!
//! - **Runtime.** `start` spawns onto the current tokio runtime, of either flavour, with I/O and time enabled. With
//!   thousands of peers give it two worker threads, so that a busy table and the sockets do not take turns.
//! - **Port 179** needs root or CAP_NET_BIND_SERVICE, kernel routes need CAP_NET_ADMIN. Without them the error says so.
//! - **External peers** take and tell nothing until both policies are given (RFC 8212); `status` names it. See
//!   [`PeerConfig::policies`].
//! - **Families.** A session carries IPv4 and IPv6 unicast unless [`SessionOptions::families`] says otherwise. Routes of the
//!   family that it does not run over need a next hop that fits; without one they are held back, and [`Speaker::explain`]
//!   says so. In a mesh, nodes with addresses of both families have a session in each.
//! - **Restarts.** Graceful restart (RFC 4724) is on. A program that stops to be replaced uses [`ShutdownMode::Restart`]:
//!   peers keep the routes, the kernel keeps the routes, packets flow on. One that goes for good uses
//!   [`ShutdownMode::Admin`].
//! - **Errors** are values whose text names the mend: [`SpeakerError`] for a call, [`StartError`] for the start.
//!
//! # Inside
//!
//! One task supervises, one runs each peer, one owns the tables, and a thread follows them into the kernel. The protocol is
//! in the crates below, which know neither clock nor socket: `bgp_wire` (messages), `bgp_fsm` (sessions), `bgp_rib` (tables).
//! No peer, subscriber or kernel can slow another down: all of them read from one change log at their own pace, every queue
//! has a bound, and the timers of a session never wait for the tables.
//!
//! A larger example is `examples/node_agent`: a node of a container network with mesh, reflectors, pools and tunnels, from
//! files that it watches.
#![deny(unsafe_code)]

mod apply;
mod barrier;
mod bridge;
mod builder;
mod config;
mod desired;
mod door;
mod down_cause;
mod error;
mod event;
mod histogram;
pub mod kernel;
mod kernel_feed;
mod lateness;
mod learn_feed;
mod listening;
mod mesh;
#[cfg(feature = "metrics")]
pub mod metrics;
mod migration;
mod next_hops;
mod originations;
mod peer;
mod peer_address;
mod reconcile;
mod rib_task;
mod route;
mod session;
mod shared;
mod socket;
mod speaker;
mod start;
mod status;
mod subscription;
mod supervisor;
mod tcp;
mod telling;
mod turns;
mod update;
mod vrps;

pub use bgp_fsm::{Bfd, PeerAs, Required, State};
pub use bgp_rib::policy;
pub use bgp_rib::preference;
pub use bgp_rib::{
    AddPathSend, Aggregation, Best, ConsecutiveRestarts, DecisionOptions, Destination, ExportChange,
    FamilyLimits, HeldBack, Ineligible, Limit, LimitAction, LimitLevel, Limited, Limits, LocalAsMode,
    Multipath, NextHopMode, Originator, OwnerId, PathExplanation, PathSent, PathVerdict, Policy, PrivateAs,
    ReaderBatch as RouteBatch, RouteAttributes, RouteChange, RouteInfo, Rung, Source, TwoOrigins, Vrp, Why,
};
pub use bgp_wire::{
    Asn, ClusterId, Community, ExtendedCommunity, Family, FamilySet, Ipv6ExtendedCommunity, LargeCommunity,
    NextHop, Notification, NotificationCode, Origin, Role, RouterId,
};
pub use builder::Builder;
pub use config::{
    AddPath, BGP_PORT, MAX_ORIGINATED_PER_CALL, MAX_VRPS, MIN_HOLD_TIME, PeerClass, PeerConfig, RangeConfig,
    RouteRules, SessionOptions, Timers,
};
pub use desired::{
    ApplyReport, Change, ChangeClass, Desired, Identity, KernelExport, Learning, NotDone, Subject,
};
pub use down_cause::{DownCause, TcpError};
pub use error::{SpeakerError, StartError};
pub use event::{Event, Events, Wait};
pub use lateness::KeepaliveLateness;
pub use mesh::{MeshDialer, MeshNode, NodeSelector, Peering, PeeringWith, is_reflector_client};
pub use peer_address::PeerAddress;
pub use route::{DryRunPage, Explanation, PeerTold, Route, RouteCursor, RouteFilter, RoutePage};
pub use speaker::{Reset, ShutdownMode, Speaker};
pub use status::{
    Backlog, LimitStatus, MessageCounters, MigrationStatus, NegotiatedStatus, NotificationStatus, PeerStatus,
    PrefixCounters, RangeStatus, SessionCount, SignatureFailures, Status, TableStatus, VrpStatus,
};
pub use subscription::{RouteNews, Subscription};
pub use tcp::{AoAlgorithm, AoKey, Password, PasswordError, Secret};
pub use turns::TurnTimes;
pub use update::Batch;
