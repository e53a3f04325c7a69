//! What the follower tells about itself: counters, the state of a route, notices.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;

use super::error::RouteError;
use super::route::{FibAction, KernelAction};

/// Where one prefix stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RouteState {
    /// Waits for its turn to be written.
    #[default]
    Pending,
    /// The kernel holds what it shall hold.
    Installed,
    /// A route of another program stands on the key; ours is not written.
    Conflict,
    /// The kernel refused it; tried again with back-off and when links or addresses change.
    Refused,
    /// No next hop can be reached; tried again when the kernel's tables change.
    Unresolved,
    /// The hook left out every leg.
    Skipped,
    /// Left by a former process and not wanted so far, or not over all of its next hops; removed after
    /// [`FollowerSender::synced`](super::FollowerSender::synced), and held to what is wanted after
    /// [`FollowerSender::told`](super::FollowerSender::told).
    Leftover,
}

impl RouteState {
    /// Every state, in the order of [`RouteCounts`].
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Installed,
        Self::Conflict,
        Self::Refused,
        Self::Unresolved,
        Self::Skipped,
        Self::Leftover,
    ];
}

impl fmt::Display for RouteState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "pending",
            Self::Installed => "installed",
            Self::Conflict => "conflict",
            Self::Refused => "refused",
            Self::Unresolved => "unresolved",
            Self::Skipped => "skipped",
            Self::Leftover => "leftover",
        })
    }
}

/// How many prefixes are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteCounts([usize; RouteState::ALL.len()]);

impl RouteCounts {
    /// Prefixes in `state`.
    pub fn get(&self, state: RouteState) -> usize {
        self.0[state as usize]
    }

    /// Prefixes in any state.
    pub fn total(&self) -> usize {
        self.0.iter().sum()
    }

    pub(super) fn enter(&mut self, state: RouteState) {
        self.0[state as usize] += 1;
    }

    pub(super) fn leave(&mut self, state: RouteState) {
        self.0[state as usize] -= 1;
    }
}

/// A snapshot of the follower.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FollowerStatus {
    /// Whether the kernel's table was read and is being followed.
    pub following: bool,
    /// Whether leftovers of a former process may be removed (or were).
    pub synced: bool,
    /// Prefixes by state.
    pub routes: RouteCounts,
    /// Routes written where none of ours was.
    pub added: u64,
    /// Routes replaced in place.
    pub replaced: u64,
    /// Routes removed.
    pub removed: u64,
    /// Routes of a former process found to be as wanted and left alone.
    pub adopted: u64,
    /// Refused writes by errno.
    pub refused: BTreeMap<i32, u64>,
    /// Conflicts with routes of others that began.
    pub conflicts: u64,
    /// Comparisons of the whole table.
    pub resyncs: u64,
    /// Times that the kernel dropped messages for us.
    pub overruns: u64,
    /// Routes of ours that a comparison found missing or changed.
    pub repaired: u64,
    /// Next hops that are looked after.
    pub next_hops: usize,
    /// How many of them have no way.
    pub unreachable_next_hops: usize,
    /// Notices that found their queue full.
    pub notices_lost: u64,
    /// The last thing that went wrong, in words.
    pub last_error: Option<Arc<str>>,
}

/// All about one prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteReport {
    /// Destination.
    pub prefix: IpNet,
    /// Where it stands.
    pub state: RouteState,
    /// Table in which it is wanted, or found.
    pub table: Option<u32>,
    /// Metric under which it is wanted, or found.
    pub metric: Option<u32>,
    /// What is wanted.
    pub wanted: Option<FibAction>,
    /// What the kernel holds of ours.
    pub installed: Option<KernelAction>,
    /// Whether a next hop is reached through another route (recursive next hop).
    pub recursive: bool,
    /// Protocol of the foreign route on the key; 0 = not known yet.
    pub foreign: Option<u8>,
    /// Why it is not installed.
    pub error: Option<RouteError>,
}

/// Why the whole table was compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResyncReason {
    /// The follower began.
    Start,
    /// A link or address changed; the kernel removes IPv4 routes without a word then.
    Topology,
    /// Somebody changed a route of ours, or took its key.
    Interference,
    /// The kernel dropped messages for us.
    Overrun,
    /// [`KernelConfig::verify_interval`](super::KernelConfig::verify_interval).
    Verify,
    /// [`FollowerSender::resync`](super::FollowerSender::resync).
    Asked,
}

impl fmt::Display for ResyncReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::Topology => "link or address change",
            Self::Interference => "another program changed routes",
            Self::Overrun => "lost messages",
            Self::Verify => "periodic check",
            Self::Asked => "asked for",
        })
    }
}

/// Something that the embedding program may want to know at once.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FibNotice {
    /// The kernel took a batch.
    Written {
        /// Prefixes added or replaced.
        installed: Vec<IpNet>,
        /// Prefixes removed.
        removed: Vec<IpNet>,
    },
    /// The kernel refused a route.
    Refused {
        /// Destination.
        prefix: IpNet,
        /// Why, and the mend.
        error: RouteError,
    },
    /// A route of another program stands where ours should.
    Conflict {
        /// Destination.
        prefix: IpNet,
        /// Its protocol; 0 = not known yet.
        protocol: u8,
    },
    /// That route went away.
    ConflictEnded {
        /// Destination.
        prefix: IpNet,
    },
    /// The whole table was compared.
    Resynced {
        /// Why.
        reason: ResyncReason,
        /// Routes of ours that were missing or different.
        repaired: u64,
    },
}
