//! BGP routing tables: decision, reflection, one change log and a cursor per reader.
//!
//! # The way of a route
//!
//! An UPDATE that the codec made lawful comes in at [`Rib::handle`]. *Import* judges its attributes once: loops, first AS,
//! policy; what fails stays in the Adj-RIB-In with the reason. *Decision* climbs a numbered ladder, the same for every order
//! of arrival, and each loser keeps the rung at which it fell. If what a reader of the Loc-RIB would see has changed, the
//! prefix moves to the head of the table's *change log*; else nothing happens at all.
//!
//! Everything that follows the Loc-RIB is a *cursor* into that log: each peer's Adj-RIB-Out, the kernel, a subscriber.
//! A prefix stands in the log once, so a slow reader costs a cursor, sees only the newest state of each prefix and delays
//! nobody; a new reader's initial table is the same walk from the beginning. Nothing here is as large as peers times
//! prefixes. A withdrawn prefix stays as a tombstone until the last reader that may have had it has passed.
//!
//! Peers that are equal in everything that can change bytes are one *update group*: a stretch of the log is encoded once and
//! the members that stand at its beginning share the memory. A route is kept from the member that told it (and from the
//! one that is its next hop) by cutting its messages out of that member's share, never by encoding again.
//!
//! # The law for the caller
//!
//! *Handle once, then drain the events to `None`, then wait no longer than [`Rib::poll_timeout`]* and hand in
//! [`Input::Tick`]. [`Rib::handle`] never fails. [`Rib::poll_transmit`] is for a peer whose socket has room: until it gives
//! `None`, and then again after [`Event::Pending`], which is said once. There is no clock, no socket, no thread and no
//! randomness in here: the same inputs make the same outputs, byte for byte. All time is a [`Duration`](core::time::Duration)
//! since a beginning that the caller chose.
//!
//! What is too much for one turn (a lost peer's routes, a next hop that changed) is done in bounded turns: `poll_timeout`
//! says "now" until it is done.
//!
//! ```
//! use core::time::Duration;
//! use bgp_rib::{Event, Input, Origination, OwnerId, PeerId, PeerParams, Rib, RibConfig};
//! use bgp_wire::{Asn, Codec, Family, FamilySet, PeerKind, RouterId};
//!
//! let now = Duration::ZERO;
//! let mut rib = Rib::new(RibConfig::new(Asn(65000), RouterId(1)));
//!
//! let families = FamilySet::of(&[Family::IPV4_UNICAST]);
//! let codec = Codec { peer: PeerKind::Internal, four_octet_as: true, families, ..Codec::before_open() };
//! let (peer, here) = ("10.0.0.2".parse()?, "10.0.0.1".parse()?);
//! let params = PeerParams::new(Asn(65000), Asn(65000), RouterId(2), peer, here, codec);
//! rib.handle(now, Input::PeerUp(PeerId(0), Box::new(params)));
//! rib.handle(now, Input::Originate(OwnerId(0), &[Origination::new("192.0.2.0/26".parse()?)]));
//!
//! let mut sent = 0;
//! while let Some(event) = rib.poll_event() {
//!     if let Event::Pending(peer) = event {
//!         while let Some(transmit) = rib.poll_transmit(peer, 64 * 1024) {
//!             sent += transmit.len(); // One vectored write of `transmit.chunks()`.
//!         }
//!     }
//! }
//! assert!(sent > 0);
//! assert_eq!(rib.peer_counters(PeerId(0), Family::IPV4_UNICAST).advertised, 1);
//! assert_eq!(rib.poll_timeout(), None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Several paths
//!
//! A peer that takes several paths of a prefix (RFC 7911) is told those that [`AddPathSend`] chooses, each under an
//! identifier that it keeps as long as it lives. Such peers read a log of paths beside that of prefixes, by the same rules;
//! a table without them has none.
//!
//! # A best route for each
//!
//! Where the best route may not go to a peer, by policy or because it is the peer's own, a peer with
//! [`PeerParams::best_per_client`] is told the best of the others: the clients of a route server have no paths hidden from
//! them (RFC 7947 §2.3). Memory and work for it are those of the prefixes for which a group differs from the Loc-RIB.
//!
//! # Policy
//!
//! What passes a session, and how it changes on the way, is a value: a [`Policy`], compiled once from the rules of
//! [`policy`]. Import policy makes a further attribute set of a received one, and the Adj-RIB-In keeps both; export policy
//! is part of the key of an update group. [`Input::SetPolicy`] changes either on a live session: what was received is judged
//! anew, what was told is walked over, and the difference is sent. [`Rib::dry_run`] shows that difference beforehand,
//! [`Rib::explain`] the rule that decided.
//!
//! # What is not here
//!
//! Interior routing: next hops are reachable at no cost unless [`Input::NextHop`] says otherwise. Sessions and their timers.
#![forbid(unsafe_code)]

mod add_path;
mod aggregate;
mod as_path;
mod attributes;
mod batch;
mod bounded;
mod candidates;
mod config;
mod decision;
mod dry_run;
mod event;
mod explain;
mod export;
mod follower;
mod group;
mod ids;
mod import;
mod index;
mod interfaces;
mod limits;
mod log;
mod long_list;
mod long_sets;
mod lookup;
mod martian;
mod memory;
mod multipath;
mod next_hop;
mod next_hops;
mod nlri;
mod origin_validation;
mod origins;
mod pack;
mod path;
mod peer;
mod per_client;
mod pieces;
pub mod policy;
pub mod preference;
mod prefix;
mod query;
mod reader;
mod restart;
mod rib;
mod roles;
mod route_target;
mod select;
mod session;
mod slab;
mod staleness;
mod swap;
mod table;
mod transmit;

pub use aggregate::Aggregation;
pub use as_path::{LocalAsMode, PrivateAs};
pub use config::{
    AddPathSend, ConsecutiveRestarts, DecisionOptions, Multipath, NextHopMode, PeerParams, PeerRole,
    RibConfig,
};
pub use decision::Rung;
pub use dry_run::ExportChange;
pub use event::{Event, Input, NextHopUse, Origination, Reachability, Retain, Transmit};
pub use explain::{Explanation, PathExplanation, PathSent, PathVerdict, PeerExplanation};
pub use export::HeldBack;
pub use ids::{OwnerId, PeerId, ReaderId};
pub use import::Ineligible;
pub use limits::{FamilyLimits, Limit, LimitAction, LimitEvent, LimitLevel, Limited, Limits};
pub use martian::is_martian;
pub use memory::MemoryUse;
pub use nlri::{Destination, RouteNlri};
pub use origin_validation::{Vrp, VrpChange, VrpSet};
pub use origins::{Originator, TwoOrigins};
pub use policy::{Discard, KernelTag, Policy};
pub use query::{
    PageToken, PeerCounters, RouteAttributes, RouteFilter, RouteInfo, Source, TableCounters, Why,
};
pub use reader::{Best, ReaderBatch, RouteChange};
pub use rib::Rib;
