//! Changes of what a speaker does, in work that is that of the changes and not of all that there is.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use bgp_rib::OwnerId;
use bgp_wire::ClusterId;
use ipnet::IpNet;

use crate::config::{MAX_ORIGINATED_PER_CALL, PeerConfig, RangeConfig, SessionOptions};
use crate::desired::Desired;
use crate::error::SpeakerError;
use crate::mesh::{MeshDialer, MeshNode, Roster, Wiring};
use crate::originations::check_owner;
use crate::peer_address::PeerAddress;
use crate::route::Route;
use crate::shared::{Shared, Us};

/// Some changes of what a speaker does; see [`Speaker::update`](crate::Speaker::update). What it does not name stays as it
/// is, and what it takes away that is not there is passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Configured peers that are new, or other than before.
    pub peers: Vec<PeerConfig>,
    /// Configured peers that go. One that is also among `peers` stays, as it is there.
    pub peers_gone: Vec<PeerAddress>,
    /// Listen ranges that are new, or other than before.
    pub ranges: Vec<RangeConfig>,
    /// Listen ranges that go.
    pub ranges_gone: Vec<IpNet>,
    /// Nodes that join, or are other than before: one takes the place of the node that has an address of it. The first ones
    /// include this node itself. They peer as [`Desired::peerings`] and [`Desired::mesh_off`] were applied last.
    pub nodes: Vec<MeshNode>,
    /// Nodes that leave, by any of their addresses.
    pub nodes_gone: Vec<IpAddr>,
    /// What each owner originates from now on, or with other attributes.
    pub announced: BTreeMap<OwnerId, Vec<Route>>,
    /// What each owner originates no longer.
    pub withdrawn: BTreeMap<OwnerId, Vec<IpNet>>,
}

/// What the handles know of the nodes.
#[derive(Debug, Default, Clone)]
pub(crate) struct MeshBook {
    pub(crate) roster: Roster,
    /// Options of its sessions; `None`: those that the speaker was built with.
    pub(crate) options: Option<SessionOptions>,
    /// Who dials; `None`: as the speaker was built.
    pub(crate) dialer: Option<MeshDialer>,
    /// The cluster that was asked for, whatever the nodes say.
    pub(crate) cluster_id: Option<ClusterId>,
}

impl MeshBook {
    /// As a whole desired state has it, before its nodes are known.
    pub(crate) fn of(desired: &Desired) -> Self {
        let wiring = Wiring { peerings: desired.peerings.as_slice().into(), mesh_off: desired.mesh_off };
        Self {
            roster: Roster::wired(wiring),
            options: desired.mesh_options.clone(),
            dialer: desired.mesh_dialer,
            cluster_id: desired.cluster_id,
        }
    }
}

/// What the supervisor is to have from now on: checked; gone where there is none.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    pub(crate) peers: BTreeMap<PeerAddress, Option<Arc<PeerConfig>>>,
    pub(crate) ranges: BTreeMap<IpNet, Option<RangeConfig>>,
    pub(crate) mesh: BTreeMap<PeerAddress, Option<Arc<PeerConfig>>>,
    /// Who we are from now on, if that is another one.
    pub(crate) us: Option<Us>,
}

impl Steps {
    /// The steps of a batch, and the mesh that comes of it.
    ///
    /// # Errors
    /// Something is out of range or there twice.
    pub(crate) fn of(batch: &Batch, shared: &Shared, book: &mut MeshBook) -> Result<Self, SpeakerError> {
        check_routes(batch)?;
        let mut steps = Self::default();
        let us = shared.us();
        steps.peers.extend(batch.peers_gone.iter().map(|address| (*address, None)));
        for peer in &batch.peers {
            peer.check(us.asn, &us.addresses)?;
            if let Some(Some(_)) = steps.peers.insert(peer.at(), Some(Arc::new(peer.clone()))) {
                return Err(SpeakerError::DuplicatePeer(peer.at()));
            }
        }
        steps.ranges.extend(batch.ranges_gone.iter().map(|prefix| (prefix.trunc(), None)));
        for range in &batch.ranges {
            range.check(us.asn)?;
            let range = range.clone().canonical();
            if let Some(Some(_)) = steps.ranges.insert(range.prefix, Some(range.clone())) {
                return Err(SpeakerError::DuplicateRange(range.prefix));
            }
        }
        // Last of all that can fail: a step that fails leaves the book as it was.
        if !batch.nodes.is_empty() || !batch.nodes_gone.is_empty() {
            steps.mesh = shared.mesh_steps(book, &batch.nodes_gone, &batch.nodes)?;
            let becomes = shared.us_with(&us, book);
            steps.us = (becomes != us).then_some(becomes);
        }
        Ok(steps)
    }
}

fn check_routes(batch: &Batch) -> Result<(), SpeakerError> {
    let announced = batch.announced.values().flatten();
    let count = announced.clone().count() + batch.withdrawn.values().map(Vec::len).sum::<usize>();
    if count > MAX_ORIGINATED_PER_CALL {
        return Err(SpeakerError::TooManyRoutes(count));
    }
    batch.announced.keys().chain(batch.withdrawn.keys()).copied().try_for_each(check_owner)?;
    announced.into_iter().try_for_each(Route::check)
}
