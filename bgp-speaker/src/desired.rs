//! The whole of what a speaker is to do, as a value; and what became of each difference when it was applied.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bgp_rib::{DecisionOptions, Multipath, OwnerId, Vrp};
use bgp_wire::{Asn, ClusterId, RouterId};
use ipnet::IpNet;

use crate::config::{PeerConfig, RangeConfig, SessionOptions};
use crate::kernel::{KernelConfig, LearnConfig};
use crate::mesh::{MeshDialer, MeshNode, Peering};
use crate::peer_address::PeerAddress;
use crate::route::Route;

/// Everything that a speaker is asked to do; see [`Speaker::apply`](crate::Speaker::apply). What is not in it is not done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Desired {
    /// Who this speaker is; `None`: who it was built as. Another AS or BGP identifier ends every session, and each begins anew.
    pub identity: Option<Identity>,
    /// The cluster of this route reflector (RFC 4456 §7); `None`: that of its own [`MeshNode::cluster_id`], else of
    /// [`Builder::cluster_id`](crate::Builder::cluster_id). It changes while sessions go on.
    pub cluster_id: Option<ClusterId>,
    /// Where to accept connections; `None`: where [`Builder::listen`](crate::Builder::listen) said. A new socket is opened before
    /// an old one is closed, and sessions that came through that one go on. Port 0 takes any free port, once.
    pub listen: Option<Vec<SocketAddr>>,
    /// Further addresses of this node; `None`: those of [`Builder::local_address`](crate::Builder::local_address).
    pub local_addresses: Option<Vec<IpAddr>>,
    /// Configured peers. One takes precedence over a mesh node and over a range at its address.
    pub peers: Vec<PeerConfig>,
    /// Addresses from which peers may come.
    pub ranges: Vec<RangeConfig>,
    /// All nodes, this one included: those without a cluster id are a full mesh, unless `peerings` say how two of them peer.
    /// Empty: no mesh.
    pub mesh: Vec<MeshNode>,
    /// Nodes are in no mesh, and peer as `peerings` say alone. Default `false`.
    pub mesh_off: bool,
    /// Sessions of nodes that are listed in `mesh`, beside the mesh or in its place: with reflectors, with routers. Those that
    /// lead to one address have an order, which [`Peering`] tells; `peers` come before all of them.
    pub peerings: Vec<Peering>,
    /// Options of all mesh sessions; `None`: those of [`Builder::mesh_options`](crate::Builder::mesh_options).
    pub mesh_options: Option<SessionOptions>,
    /// Which node of a mesh pair dials; `None`: as [`Builder::mesh_dialer`](crate::Builder::mesh_dialer) said.
    pub mesh_dialer: Option<MeshDialer>,
    /// Whether and how routes are written into the kernel; `None`: as [`Builder::kernel`](crate::Builder::kernel) or
    /// [`Builder::fib`](crate::Builder::fib) said. Routes that stay where they are are not touched, those that move are written
    /// in their new place before they go from the old one.
    pub kernel: Option<KernelExport>,
    /// Which kernel routes of others are originated; `None`: as [`Builder::learn`](crate::Builder::learn) said.
    pub learn: Option<Learning>,
    /// How many next hops of a prefix the kernel and subscribers get; `None`: as [`Builder::multipath`](crate::Builder::multipath)
    /// said. It changes while sessions go on, and peers hear nothing of it.
    pub multipath: Option<Multipath>,
    /// Options of the decision process; `None`: those of [`Builder::decision`](crate::Builder::decision). Other ones decide every
    /// route anew while sessions go on.
    pub decision: Option<DecisionOptions>,
    /// Prefixes inside these networks are to have one origin, as blocks of nodes do and services do not: where they have two,
    /// [`Event::TwoOrigins`](crate::Event::TwoOrigins) and the log say so. Default: none. What has another LOCAL_PREF (an address on
    /// the move) or is stale is no second origin.
    pub unique_origins: Vec<IpNet>,
    /// Between a mesh and reflectors the old peers stay until the new ones have told their tables and somebody else tells what
    /// they told: how long new ones that do not come, and nodes that have not moved yet, are waited for once one has told. As long
    /// as none has, the old peers stay. `None`: as [`Builder::migration_patience`](crate::Builder::migration_patience) said.
    pub migration_patience: Option<Duration>,
    /// Which AS may originate what, all of it (RFC 6811); `None`: what was told last. See
    /// [`Speaker::set_vrps`](crate::Speaker::set_vrps).
    pub vrps: Option<Arc<[Vrp]>>,
    /// What each owner originates. Of one prefix that an owner names twice, the last counts.
    pub routes: BTreeMap<OwnerId, Vec<Route>>,
}

/// Whether and how routes are written into the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelExport {
    /// Not at all; what was written is removed.
    Off,
    /// With these settings.
    On(KernelConfig),
}

/// Whether kernel routes of others are originated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Learning {
    /// None; what was learned is withdrawn.
    Off,
    /// Those that pass this filter.
    On(LearnConfig),
}

/// Who a speaker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Its AS.
    pub asn: Asn,
    /// Its BGP identifier.
    pub router_id: RouterId,
}

/// What applying a [`Desired`] changed, each thing once; empty when everything was so already.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApplyReport {
    /// The changes: the speaker itself, then listeners, peers, ranges and routes.
    pub changes: Vec<Change>,
    /// What the system did not let us do. All else was done, and applying the same again tries it again.
    pub not_done: Vec<NotDone>,
}

/// Something that was asked for and is not so.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotDone {
    /// A listening socket could not be opened. It is tried again every few seconds.
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What kind of obstacle it is.
        kind: io::ErrorKind,
        /// What the system said, and the mend.
        why: String,
    },
    /// Kernel routes of others cannot be read: none is learned.
    Learn {
        /// What stood against it.
        why: String,
    },
    /// The kernel export could not become what is asked for: it is as it was, or has ended and left routes behind.
    Kernel {
        /// What stood against it, and the mend.
        why: String,
    },
}

impl fmt::Display for NotDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { address, why, .. } => write!(f, "cannot listen on {address}: {why}"),
            Self::Learn { why } => write!(f, "learning kernel routes: {why}"),
            Self::Kernel { why } => write!(f, "kernel export: {why}"),
        }
    }
}

impl std::error::Error for NotDone {}

impl ApplyReport {
    /// The strongest class among the changes; `None` for none.
    pub fn class(&self) -> ChangeClass {
        self.changes.iter().map(|c| c.class).max().unwrap_or_default()
    }

    /// What was done about this peer.
    pub fn peer(&self, address: impl Into<PeerAddress>) -> Option<&Change> {
        let address = address.into();
        self.changes.iter().find(|c| matches!(c.subject, Subject::Peer(at) if address.names(at)))
    }
}

/// One thing that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What it is.
    pub subject: Subject,
    /// What it took.
    pub class: ChangeClass,
    /// What differs and what follows from it, in words.
    pub why: String,
}

/// What can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Subject {
    /// The speaker itself; what follows for its peers is told of each.
    Speaker,
    /// A listening socket, by the address that was asked for.
    Listener(SocketAddr),
    /// The kernel export.
    Kernel,
    /// What is learned from the kernel.
    Learning,
    /// How many next hops a prefix may have.
    Multipath,
    /// Options of the decision process.
    Decision,
    /// Which prefixes are to have one origin.
    UniqueOrigins,
    /// The payloads of origin validation.
    Vrps,
    /// The peer at this address, wherever it comes from.
    Peer(PeerAddress),
    /// A listen range.
    Range(IpNet),
    /// An origination.
    Route(OwnerId, IpNet),
}

/// What a change takes, from nothing to a session that ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum ChangeClass {
    /// Nothing of what runs is touched: it holds from the next connection on, or is told by `status` only.
    #[default]
    None,
    /// It takes effect at once, and no session ends for it.
    Soft,
    /// A session ends for it and, unless it was removed, begins anew.
    Hard,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Speaker => f.write_str("speaker"),
            Self::Listener(address) => write!(f, "listener {address}"),
            Self::Kernel => f.write_str("kernel export"),
            Self::Learning => f.write_str("kernel routes of others"),
            Self::Multipath => f.write_str("next hops of a prefix"),
            Self::Decision => f.write_str("decision process"),
            Self::UniqueOrigins => f.write_str("prefixes with one origin"),
            Self::Vrps => f.write_str("origin validation"),
            Self::Peer(address) => write!(f, "peer {address}"),
            Self::Range(prefix) => write!(f, "listen range {prefix}"),
            Self::Route(owner, prefix) => write!(f, "route {prefix} of owner {}", owner.0),
        }
    }
}

impl fmt::Display for ChangeClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Soft => "soft",
            Self::Hard => "hard",
        })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.subject, self.why, self.class)
    }
}
