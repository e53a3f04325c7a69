//! What a session has to do with the border of the AS is configured in another way.

use bgp_rib::{Input, LocalAsMode, PeerId, PrivateAs};
use bgp_wire::PeerKind;

use super::world::World;
use crate::support::*;

impl World {
    /// All of it at once, by bits.
    pub(super) fn border(&mut self, peer: u8, private: u8, own_as: u8, flags: u8) {
        let peer = PeerId(u32::from(peer));
        if !self.is_up(peer) {
            return;
        }
        let is = |bit: u8| flags & (1 << bit) != 0;
        let params = &mut self.facts.sessions.get_mut(&peer).unwrap().0;
        let modes = [PrivateAs::Keep, PrivateAs::RemoveLeading, PrivateAs::Remove, PrivateAs::Replace];
        params.private_as = modes[usize::from(private)];
        params.allow_own_as = own_as;
        params.as_override = is(0);
        params.enforce_first_as = is(1);
        params.local_as_mode = LocalAsMode { prepend_received: is(2), keep_speaker_as: is(3) };
        params.route_server_client = is(4);
        params.honour_graceful_shutdown = is(5);
        params.aigp = is(6) && (params.kind == PeerKind::Internal || params.codec.external_aigp);
        params.shared_network = is(7).then(|| net("10.0.0.16/28"));
        let params = params.clone();
        self.lab.input(Input::PeerChange(peer, Box::new(params)));
    }
}
