//! The interfaces by which routes leave, where somebody tells them: policies may ask for them.

use std::net::IpAddr;
use std::sync::Arc;

use crate::attributes::AttributesId;
use crate::group::Group;
use crate::policy::Policy;
use crate::prefix::Key;
use crate::rib::{Rib, any_table};
use crate::table::{Shared, Table};

impl Shared {
    /// The interface that a route leaves by: what its originator says, else that of the way to its next hop.
    pub(crate) fn interface(&self, id: AttributesId) -> Option<&Arc<str>> {
        let set = &self.attributes[id];
        let said = set.facts().and_then(|facts| facts.interface.as_ref());
        said.or_else(|| self.next_hops.get(set.next_hop).and_then(|entry| entry.interface.as_ref()))
    }

    /// Whether that is another than was told.
    pub(crate) fn is_rerouted(&self, id: AttributesId) -> bool {
        let entry = || self.next_hops.get(self.attributes[id].next_hop);
        self.next_hops.rerouted && entry().is_some_and(|entry| entry.rerouted)
    }
}

impl Rib {
    /// Packets to a next hop leave by another interface: routes of peers whose import policy asks are judged anew, and told
    /// anew where export policy asks; followers that want to know are told.
    pub(crate) fn next_hop_interface(&mut self, to: IpAddr, interface: Option<&Arc<str>>) {
        if !self.shared.next_hops.tell_interface(to, interface) {
            return;
        }
        let asks = |group: &Group| group.key.export.asks_for_interface();
        let tells = self.shared.aggregates.ask(Policy::asks_for_interface)
            || any_table!(self, table => table.groups.iter().any(asks));
        let peers = &mut self.shared.peers;
        let mut judges = false;
        for slot in peers.slots().collect::<Vec<u32>>() {
            let Some(peer) = peers.get_mut(slot) else { continue };
            let asks = peer.params.import.asks_for_interface();
            peer.judging |= asks;
            judges |= asks;
        }
        peers.judging |= judges;
        self.shared.next_hops.retells |= tells;
        if judges || tells || any_table!(self, table => table.is_marked()) {
            self.begin_rescan();
        } else if !any_table!(self, table => table.rescan.is_some()) {
            self.shared.next_hops.settle();
        }
    }
}

impl<K: Key> Table<K> {
    /// Followers that want to know are told of a prefix whose route, or another of the multipath set, leaves by another
    /// interface.
    pub(crate) fn mark_rerouted(&mut self, shared: &Shared, id: u32) {
        if !shared.next_hops.rerouted || !self.is_marked() {
            return;
        }
        let rerouted = self.paths_of(id).filter(|(_, path)| shared.is_rerouted(path.attributes));
        let rerouted: Vec<u32> = rerouted.map(|(at, _)| at).collect();
        rerouted.into_iter().for_each(|at| self.mark(at));
    }
}
