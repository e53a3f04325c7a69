//! How a speaker is put together before it starts.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bgp_rib::{DecisionOptions, Multipath, OwnerId};
use bgp_wire::{Asn, ClusterId, RouterId};

use crate::config::{PeerConfig, RangeConfig, SessionOptions};
use crate::desired::Desired;
use crate::error::StartError;
use crate::kernel::{Fib, KernelConfig, LearnConfig};
use crate::mesh::{MeshDialer, MeshNode};
use crate::migration::PATIENCE;
use crate::route::Route;
use crate::speaker::Speaker;

/// Where learned routes go besides to peers.
pub(crate) struct Kernel {
    pub(crate) config: KernelConfig,
    /// The caller's own table; the kernel's otherwise.
    pub(crate) fib: Option<Box<dyn Fib>>,
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kernel").field("config", &self.config).finish_non_exhaustive()
    }
}

/// What a speaker is before it starts; see [`Speaker::builder`].
#[derive(Debug)]
#[must_use = "a speaker does nothing before start()"]
pub struct Builder {
    pub(crate) version: String,
    pub(crate) asn: Asn,
    pub(crate) router_id: RouterId,
    pub(crate) cluster_id: Option<ClusterId>,
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) local_addresses: Vec<IpAddr>,
    pub(crate) mesh_dialer: MeshDialer,
    pub(crate) mesh_options: SessionOptions,
    pub(crate) multipath: Multipath,
    pub(crate) decision: DecisionOptions,
    pub(crate) migration_patience: Duration,
    pub(crate) seed: Option<u64>,
    pub(crate) sweep_after: Duration,
    pub(crate) forwarding_preserved: bool,
    pub(crate) kernel: Option<Kernel>,
    pub(crate) learn: Option<LearnConfig>,
    pub(crate) desired: Desired,
    pub(crate) restarting: Option<bool>,
    pub(crate) hold_until_ready: Vec<OwnerId>,
}

impl Builder {
    pub(crate) fn new(asn: Asn, router_id: RouterId) -> Self {
        Self {
            version: concat!("bgp-speaker ", env!("CARGO_PKG_VERSION")).to_owned(),
            asn,
            router_id,
            cluster_id: None,
            listen: Vec::new(),
            local_addresses: Vec::new(),
            mesh_dialer: MeshDialer::default(),
            mesh_options: SessionOptions::default(),
            multipath: Multipath::default(),
            decision: DecisionOptions::default(),
            migration_patience: PATIENCE,
            seed: None,
            sweep_after: Duration::from_secs(120),
            forwarding_preserved: true,
            kernel: None,
            learn: None,
            desired: Desired::default(),
            restarting: None,
            hold_until_ready: Vec::new(),
        }
    }

    /// What the speaker does from its first moment: its peers are known before the first connection is accepted, and its
    /// routes stand before the first session does. It replaces what [`Builder::peer`] and its like have said before.
    pub fn desired(mut self, desired: Desired) -> Self {
        self.desired = desired;
        self
    }

    /// What `status` calls the program and its version. Default: this crate's.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// A peer from the first moment; see [`Speaker::add_peer`].
    pub fn peer(mut self, peer: PeerConfig) -> Self {
        self.desired.peers.push(peer);
        self
    }

    /// A listen range from the first moment; see [`Speaker::add_listen_range`].
    pub fn listen_range(mut self, range: RangeConfig) -> Self {
        self.desired.ranges.push(range);
        self
    }

    /// The mesh from the first moment; see [`Speaker::mesh`].
    pub fn mesh(mut self, nodes: &[MeshNode]) -> Self {
        self.desired.mesh = nodes.to_vec();
        self
    }

    /// Routes from the first moment, beside those that this owner has already; see [`Speaker::announce`].
    pub fn announce(mut self, owner: OwnerId, routes: impl IntoIterator<Item = Route>) -> Self {
        self.desired.routes.entry(owner).or_default().extend(routes);
        self
    }

    /// Accept connections here; may be said several times. Port 0 takes any free port, which `status` then tells.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen.push(address);
        self
    }

    /// One more address of this node, for finding it in a mesh's node list. Listening addresses count without being named.
    pub fn local_address(mut self, address: IpAddr) -> Self {
        self.local_addresses.push(address);
        self
    }

    /// The cluster of this route reflector (RFC 4456 §7). Default: the router id, as soon as there is a client.
    pub fn cluster_id(mut self, cluster_id: ClusterId) -> Self {
        self.cluster_id = Some(cluster_id);
        self
    }

    /// Write the best routes that are learned into the kernel's routing table.
    pub fn kernel(mut self, config: KernelConfig) -> Self {
        self.kernel = Some(Kernel { config, fib: None });
        self
    }

    /// Originate kernel routes that others write and that pass this filter, with their metric and interface, as long as
    /// they stand. [`Speaker::apply`] leaves them alone.
    pub fn learn(mut self, config: LearnConfig) -> Self {
        self.learn = Some(config);
        self
    }

    /// Write the best routes that are learned into a forwarding table of the caller's.
    pub fn fib(mut self, config: KernelConfig, fib: impl Fib + 'static) -> Self {
        self.kernel = Some(Kernel { config, fib: Some(Box::new(fib)) });
        self
    }

    /// Which node of a mesh pair dials. Default [`MeshDialer::Numeric`].
    pub fn mesh_dialer(mut self, dialer: MeshDialer) -> Self {
        self.mesh_dialer = dialer;
        self
    }

    /// Options of all mesh sessions; source address and passive are set per session.
    pub fn mesh_options(mut self, options: SessionOptions) -> Self {
        self.mesh_options = options;
        self
    }

    /// How many equal paths of a prefix the kernel and subscribers get as next hops. Default 1; 0 counts as 1.
    pub fn max_paths(mut self, paths: usize) -> Self {
        self.multipath.paths = paths;
        self
    }

    /// The same, with a bound of its own for routes of internal peers, and whether equal paths may go through different AS.
    pub fn multipath(mut self, multipath: Multipath) -> Self {
        self.multipath = multipath;
        self
    }

    /// Options of the decision process: MULTI_EXIT_DISC between all AS, or missing as the worst, and the oldest external
    /// route (RFC 5004). Default: none.
    pub fn decision(mut self, options: DecisionOptions) -> Self {
        self.decision = options;
        self
    }

    /// How long, between a mesh and reflectors, new peers that do not come and nodes that move late are waited for once a new
    /// peer has told its table; see [`Desired::migration_patience`]. Default 30 s.
    pub fn migration_patience(mut self, time: Duration) -> Self {
        self.migration_patience = time;
        self
    }

    /// Seed of all jitter. Default: different in each process.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// How long after a restart nothing is final: when routes that a former process left in the kernel are removed at the
    /// latest, if not every peer has told its whole table before, and when peers that kept its routes are told those of others
    /// and End-of-RIB at the latest (the Selection_Deferral_Timer of RFC 4724 §4.1). For the latter nobody is waited for who is
    /// down, has no graceful restart or restarts itself, nor for longer than two attempts to connect take for who does not come
    /// at all. Default 120 s.
    pub fn sweep_after(mut self, time: Duration) -> Self {
        self.sweep_after = time;
        self
    }

    /// Whether packets go on being forwarded while this process is away (the F bit of RFC 4724 §3). Default: yes, because the
    /// kernel forwards and its routes stay.
    pub fn forwarding_preserved(mut self, preserved: bool) -> Self {
        self.forwarding_preserved = preserved;
        self
    }

    /// Whether this is a process that takes over from a former one: then peers are told that we have restarted (the R bit of
    /// RFC 4724 §3), each until it has told its whole table. Default: when the kernel holds routes of a former process.
    pub fn restarting(mut self, restarting: bool) -> Self {
        self.restarting = Some(restarting);
        self
    }

    /// Hold back what each of these owners announces until [`Speaker::ready`] was called for it: what is announced leads
    /// somewhere. Sessions come up, routes are learned and those of other owners are told meanwhile; End-of-RIB, after which
    /// peers drop what a former process told, waits for all of them, but no longer than [`Builder::sweep_after`]. What is held
    /// back is held back for as long as it takes: [`Status::not_ready`](crate::Status::not_ready) names who is missing.
    pub fn hold_until_ready(mut self, owners: impl IntoIterator<Item = OwnerId>) -> Self {
        self.hold_until_ready.extend(owners);
        self
    }

    /// Opens the sockets and starts the tasks on the current tokio runtime.
    ///
    /// # Errors
    /// [`StartError`] says in words what was wrong and how to mend it; nothing is left running.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O and time enabled, as every tokio call.
    pub async fn start(self) -> Result<Speaker, StartError> {
        Speaker::start(self).await
    }
}
