//! Kernel export: BGP routes in a forwarding table, kept right.
//!
//! The kernel is a *follower* of the Loc-RIB. The speaker feeds [`FollowerHandle`] with changes of the desired state
//! (last one per prefix wins); a thread of its own compares that with what the kernel holds and writes the
//! difference through [`Fib`]: [`Netlink`] on Linux, [`NoFib`] for a pure route reflector, [`MemoryFib`] in tests.
//!
//! What holds at all times:
//!
//! - **Only ours.** Routes of our protocol number in our table are ours, no other is touched. A new route is
//!   written with NLM_F_EXCL, so the kernel itself refuses to overwrite a foreign one on the key (prefix, metric);
//!   one that turns up on a key of ours is seen in the route events or in a dump. Both are reported as a conflict,
//!   and ours follows as soon as the foreign route has gone. What stays open is the instant between a foreign
//!   `replace` and its event.
//! - **In place.** A changed route is one NLM_F_REPLACE message, single or multipath, IPv4 or IPv6; a changed metric
//!   is add, then delete.
//! - **Routes outlive the process.** They stay at exit. At start the table is read first: what is as wanted is
//!   adopted without a write, what differs is replaced, and what nobody wants goes only after
//!   [`FollowerSender::synced`].
//! - **Never wrong for long.** Linux removes IPv4 routes without a word when a link goes down or an address goes
//!   away. Link, address and route events lead, after a short wait, to a comparison with a dump; lost messages
//!   (ENOBUFS) lead to a full one, and so does a slow timer.
//! - **Bounded.** One entry per prefix, each at most once in the queue; commands, notices, batches and turns have
//!   limits. There are no timers per route.
//!
//! Routes over the same next hops share a nexthop object where the kernel has them. [`Learner`] goes the other way and
//! tells of routes that others write.
//!
//! A next hop without a device is looked up in the kernel once for all its routes, and again when a link, an address or
//! a route that covers it changes (recursive next hops). [`NextHopHook`] decides where tunnels are meant.
//!
//! ```
//! use bgp_speaker::kernel::{FibChange, FibRoute, FollowerHandle, KernelConfig, MemoryFib};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let fib = MemoryFib::new(186);
//! fib.connect("10.0.0.0/24".parse()?, 2);
//! let follower = FollowerHandle::spawn(KernelConfig::default(), Box::new(fib.clone()))?;
//! let route = FibRoute::via("192.0.2.0/24".parse()?, "10.0.0.1".parse()?);
//! follower.blocking_update(vec![FibChange::Set(route)])?;
//! while follower.status().added == 0 {
//!     std::thread::yield_now();
//! }
//! drop(follower);
//! assert_eq!(fib.routes().len(), 1); // routes outlive the follower
//! # Ok(())
//! # }
//! ```

mod config;
mod error;
mod fib;
mod follower;
mod handle;
mod learn;
mod memory;
#[cfg_attr(not(target_os = "linux"), path = "unsupported.rs")]
mod netlink;
mod next_hops;
mod resolver;
mod route;
mod shares;
mod status;
mod table;

#[cfg(test)]
mod stories;

pub use config::{KernelConfig, NextHopAction, NextHopHook, NextHopQuery};
pub use error::{ConfigError, FibError, RouteError};
pub use fib::{DumpScope, Fib, FibEvent, FibOp, Found, Lookup, NoFib, Probe, Waker};
pub use handle::{FollowerGone, FollowerHandle, FollowerSender, MAX_PAGE};
pub use learn::{LearnChange, LearnConfig, LearnedRoute, Learner};
pub use memory::MemoryFib;
pub use netlink::Netlink;
pub use next_hops::NextHopWatch;
pub use resolver::NextHopWay;
pub(crate) use route::Protocols;
pub use route::{
    Device, FibAction, FibChange, FibNextHop, FibRoute, KernelAction, KernelHop, MAX_LEGS, RouteKey,
};
pub(crate) use shares::scaled;
pub use status::{FibNotice, FollowerStatus, ResyncReason, RouteCounts, RouteReport, RouteState};
