//! The whole of what a speaker is to do, as a value; and what became of each difference when it was applied.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use bgp_rib::OwnerId;
use bgp_wire::{Asn, ClusterId, RouterId};
use ipnet::IpNet;

use crate::config::{PeerConfig, RangeConfig, SessionOptions};
use crate::mesh::MeshNode;
use crate::route::Route;

/// Everything that a speaker is asked to do; see [`Speaker::apply`](crate::Speaker::apply). What is not in it is not done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Desired {
    /// Who this speaker is; `None`: who it was built as. Another AS or BGP identifier ends every session, and each begins anew.
    pub identity: Option<Identity>,
    /// The cluster of this route reflector (RFC 4456 §7); `None`: that of [`Builder::cluster_id`](crate::Builder::cluster_id).
    /// It changes while sessions go on.
    pub cluster_id: Option<ClusterId>,
    /// Configured peers. One takes precedence over a mesh node and over a range at its address.
    pub peers: Vec<PeerConfig>,
    /// Addresses from which peers may come.
    pub ranges: Vec<RangeConfig>,
    /// All nodes of the mesh, this one included; empty: no mesh.
    pub mesh: Vec<MeshNode>,
    /// Options of all mesh sessions; `None`: those of [`Builder::mesh_options`](crate::Builder::mesh_options).
    pub mesh_options: Option<SessionOptions>,
    /// What each owner originates. Of one prefix that an owner names twice, the last counts.
    pub routes: BTreeMap<OwnerId, Vec<Route>>,
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
    /// The changes: the speaker itself, then peers, ranges and routes.
    pub changes: Vec<Change>,
}

impl ApplyReport {
    /// The strongest class among the changes; `None` for none.
    pub fn class(&self) -> ChangeClass {
        self.changes.iter().map(|c| c.class).max().unwrap_or_default()
    }

    /// What was done about this peer.
    pub fn peer(&self, address: IpAddr) -> Option<&Change> {
        self.changes.iter().find(|c| c.subject == Subject::Peer(address))
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
    /// The peer at this address, wherever it comes from.
    Peer(IpAddr),
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
