//! From the nodes of a cluster to the peers of this one, with the options that the speaker was built with.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::{Shared, Us, lock};
use crate::config::{PeerConfig, SessionOptions};
use crate::error::SpeakerError;
use crate::mesh::{MeshDialer, MeshNode, Roster, Ways};
use crate::peer_address::PeerAddress;
use crate::tcp::Secret;
use crate::update::MeshBook;

impl Shared {
    /// The nodes, and the sessions that this one has for them, with these options or those that the speaker was built with.
    pub(crate) fn mesh_of(
        &self,
        nodes: &[MeshNode],
        book: MeshBook,
        us: &Us,
    ) -> Result<(MeshBook, BTreeMap<PeerAddress, Arc<PeerConfig>>), SpeakerError> {
        let roster = Roster::of(nodes, &us.addresses, book.roster.wiring().clone())?;
        let built_with = lock(&self.mesh_options);
        let peers = roster.peers(self.ways(book.options.as_ref().unwrap_or(&built_with), book.dialer, us))?;
        Ok((MeshBook { roster, ..book }, peers))
    }

    /// What becomes of the sessions with nodes when some leave and others join.
    pub(crate) fn mesh_steps(
        &self,
        book: &mut MeshBook,
        left: &[IpAddr],
        joined: &[MeshNode],
    ) -> Result<BTreeMap<PeerAddress, Option<Arc<PeerConfig>>>, SpeakerError> {
        let built_with = lock(&self.mesh_options);
        let options = book.options.as_ref().unwrap_or(&built_with);
        book.roster.step(left, joined, self.ways(options, book.dialer, &self.us()))
    }

    /// Who we are with the nodes of this book: one of them may say in which cluster it reflects.
    pub(crate) fn us_with(&self, us: &Us, book: &MeshBook) -> Us {
        let cluster_id = book.cluster_id.or(book.roster.cluster_id()).or(self.built.cluster_id);
        Us { cluster_id, ..us.clone() }
    }

    fn ways<'a>(&self, options: &'a SessionOptions, dialer: Option<MeshDialer>, us: &'a Us) -> Ways<'a> {
        let dialer = dialer.unwrap_or(self.mesh_dialer);
        Ways { own: &us.addresses, local_as: us.asn, dialer, options }
    }

    /// The password of mesh sessions from now on, where they are not given other options.
    pub(crate) fn set_mesh_password(&self, secret: Option<Secret>) {
        lock(&self.mesh_options).password = secret;
    }
}
