//! Routes come and go, of peers and of this speaker's own; policies and ways to next hops change.

use std::sync::Arc;

use bgp_rib::{
    Aggregation, FamilyLimits, Input, Limit, LimitAction, Limits, NextHopMode, Origination, OwnerId, PeerId,
    PeerParams, Policy, Reachability, VrpChange, VrpSet, preference,
};
use bgp_wire::{ClusterId, Family, PeerKind};
use ipnet::IpNet;

use super::scene::{OTHER, OTHER_AS, hop, prefixes, set, vrps};
use super::world::World;
use crate::naive::{Naive, Names, Teller};
use crate::naive_policy::policy;
use crate::support::*;

impl World {
    pub(super) fn announce(&mut self, peer: u8, path: u8, bits: u8, attributes: u8, next_hop: u8) {
        let peer = PeerId(u32::from(peer));
        if !self.is_up(peer) {
            return;
        }
        let params = self.facts.sessions[&peer].0.clone();
        let path = if params.codec.add_path_rx.is_empty() { 0 } else { u32::from(path) };
        let attributes = set(attributes, Some(&params));
        if !params.limits.is_empty() {
            // What is about to be swept can still be told in its place.
            self.lab.settle();
        }
        for prefix in prefixes(bits) {
            let hop = hop(next_hop, &prefix);
            self.hear();
            let refused = self.is_refused(peer, &params, (prefix, path));
            let closed = self.full.contains(&peer);
            let (stood, used) = (self.stored(peer, prefix), self.lab.rib.peer_memory(peer));
            self.lab.announce_path(peer, path, &[prefix], hop, &attributes);
            if closed && self.stored(peer, prefix) < stood {
                // What takes more than there is goes, and nothing else does.
                assert!(
                    params.limits.memory.is_some() && self.lab.rib.peer_memory(peer) < used,
                    "{peer} {prefix}"
                );
                self.facts.told.remove(&(prefix, Teller::Peer(peer), path));
                continue;
            }
            let import = params.import.clone();
            let session = self.count[&peer];
            let naive = Naive { session, ..Naive::new(attributes.clone(), Some(hop), import) };
            if !refused {
                self.facts.told.insert((prefix, Teller::Peer(peer), path), naive);
            }
        }
    }

    /// Whether a path is one too many of those that a session told.
    fn is_refused(&self, peer: PeerId, params: &PeerParams, (prefix, path): (IpNet, u32)) -> bool {
        let family = family_of(&prefix);
        let stands = self.facts.told.get(&(prefix, Teller::Peer(peer), path));
        if stands.is_some_and(|path| path.session == self.count[&peer]) {
            return false;
        }
        let closed = stands.is_none() && self.full.contains(&peer);
        let Some(limit) = params.limits.of(family).received else { return closed };
        let told = self.facts.told.iter().filter(|((prefix, from, _), path)| {
            *from == Teller::Peer(peer) && family_of(prefix) == family && path.session == self.count[&peer]
        });
        told.count() as u64 >= limit.max || closed
    }

    fn stored(&self, peer: PeerId, prefix: IpNet) -> u32 {
        self.lab.rib.peer_counters(peer, family_of(&prefix)).received
    }

    pub(super) fn withdraw(&mut self, peer: u8, path: u8, bits: u8) {
        let peer = PeerId(u32::from(peer));
        if !self.is_up(peer) {
            return;
        }
        let path =
            if self.facts.sessions[&peer].0.codec.add_path_rx.is_empty() { 0 } else { u32::from(path) };
        self.lab.withdraw_path(peer, path, &prefixes(bits));
        for prefix in prefixes(bits) {
            self.facts.told.remove(&(prefix, Teller::Peer(peer), path));
        }
    }

    pub(super) fn originate(&mut self, owner: u8, bits: u8, attributes: u8) {
        let attributes = set(attributes, None);
        let next_hop = if owner == 2 { Some(next_hop(30)) } else { None };
        for prefix in prefixes(bits) {
            self.facts.aggregates.remove(&(prefix, u32::from(owner)));
            let next_hop = next_hop.filter(|_| family_of(&prefix) == V4);
            let shown = attributes.clone();
            // What another program wrote into the kernel: peers come first.
            let preference = (owner == 1).then_some(preference::LEARNED);
            let route = Origination { next_hop, attributes: shown, preference, ..Origination::new(prefix) };
            self.lab.originate(u32::from(owner), &[route]);
            let import = Policy::accept_all();
            let naive = Naive { preference, ..Naive::new(attributes.clone(), next_hop, import) };
            self.facts.told.insert((prefix, Teller::Local, u32::from(owner)), naive);
        }
    }

    pub(super) fn put_aggregate(
        &mut self,
        owner: u8,
        bits: u8,
        (always, suppress): (bool, bool),
        except: u8,
    ) {
        let except = policy(except);
        for prefix in prefixes(bits) {
            let aggregation = Aggregation { always, suppress, except: except.clone() };
            let attributes = attributes(&[]);
            let aggregation = Some(Arc::new(aggregation));
            let route = Origination { attributes, aggregation, ..Origination::new(prefix) };
            self.lab.originate(u32::from(owner), &[route]);
            self.facts.told.remove(&(prefix, Teller::Local, u32::from(owner)));
            let row = (always, suppress, except.clone());
            self.facts.aggregates.insert((prefix, u32::from(owner)), row);
        }
    }

    pub(super) fn unoriginate(&mut self, owner: u8, bits: u8) {
        let owner = u32::from(owner);
        self.lab.input(Input::Withdraw(OwnerId(owner), &prefixes(bits)));
        for prefix in prefixes(bits) {
            self.facts.aggregates.remove(&(prefix, owner));
            self.facts.told.remove(&(prefix, Teller::Local, owner));
        }
    }

    pub(super) fn next_hop(&mut self, which: u8, metric: Option<u8>) {
        let to = hop(which, &net("10.0.0.0/8")).address();
        let reachability = match metric {
            None => Reachability::Unreachable,
            Some(u8::MAX) => Reachability::Own,
            Some(metric) => Reachability::Metric(u32::from(metric)),
        };
        self.lab.input(Input::NextHop(to, reachability));
        self.facts.metrics.insert(to, reachability);
    }

    pub(super) fn set_policy(&mut self, peer: u8, import: Option<u8>, export: Option<u8>) {
        let peer = PeerId(u32::from(peer));
        if !self.is_up(peer) {
            return;
        }
        let (import, export) = (import.map(policy), export.map(policy));
        let params = &mut self.facts.sessions.get_mut(&peer).unwrap().0;
        params.import = import.clone().unwrap_or(params.import.clone());
        params.export = export.clone().unwrap_or(params.export.clone());
        let now = params.import.clone();
        self.judge(peer, &now);
        self.lab.input(Input::SetPolicy { peer, import, export });
    }

    /// One export policy after the other, before the difference of the first has been read: all that its peer is told is
    /// news to it, and the others are told nothing.
    pub(super) fn swaps(&mut self, peer: u8, exports: [u8; 3], reads: [u8; 2]) {
        let id = PeerId(u32::from(peer));
        if !self.is_up(id) {
            return;
        }
        self.drain_everyone();
        for remote in self.lab.remotes.values_mut() {
            remote.strict = true;
        }
        let updates = |world: &Self| -> Vec<(PeerId, usize)> {
            let others = world.lab.remotes.iter().filter(|(other, _)| **other != id);
            others.map(|(other, remote)| (*other, remote.updates)).collect()
        };
        let before = updates(self);
        for (export, reads) in exports.into_iter().zip(reads.into_iter().chain([0])) {
            self.set_policy(peer, None, Some(export));
            for _ in 0..reads {
                self.lab.read_once(id, 1);
            }
        }
        self.drain_everyone();
        assert_eq!(updates(self), before, "only the peer whose policy changed is told anything");
        for remote in self.lab.remotes.values_mut() {
            remote.strict = false;
        }
    }

    /// Another bound on what a peer is told, or none.
    pub(super) fn bound(&mut self, peer: u8, family: Family, most: Option<u8>) {
        let peer = PeerId(u32::from(peer));
        if !self.is_up(peer) {
            return;
        }
        let params = &mut self.facts.sessions.get_mut(&peer).unwrap().0;
        let advertised = most.map(|most| Limit::new(u64::from(most), LimitAction::Drop));
        let limits = FamilyLimits { advertised, ..params.limits.of(family) };
        params.limits = params.limits.clone().family(family, limits);
        // Until it has been told what the new bound makes of it.
        self.lab.remotes.get_mut(&peer).unwrap().params.limits = Limits::default();
        let params = params.clone();
        self.lab.input(Input::PeerChange(peer, Box::new(params)));
    }

    pub(super) fn change(&mut self, peer: u8, (client, cluster): (bool, bool), leaving: bool, next_hop: u8) {
        let peer = PeerId(u32::from(peer));
        if !self.is_up(peer) {
            return;
        }
        let params = &mut self.facts.sessions.get_mut(&peer).unwrap().0;
        if params.kind == PeerKind::Internal {
            params.role = if client { bgp_rib::PeerRole::Client } else { bgp_rib::PeerRole::Plain };
        }
        params.best_per_client = client != cluster;
        params.client_to_client = !client || cluster || peer.0.is_multiple_of(2);
        params.cluster_id = cluster.then_some(ClusterId(77));
        params.leaving = leaving;
        let modes = [
            NextHopMode::Auto,
            NextHopMode::SelfForExternal,
            NextHopMode::Unchanged,
            NextHopMode::SelfAlways,
            NextHopMode::ThirdParty,
        ];
        params.next_hop = modes[usize::from(next_hop)];
        let params = params.clone();
        self.lab.input(Input::PeerChange(peer, Box::new(params)));
    }

    /// Other names of this speaker, or those that it began with.
    pub(super) fn rename(&mut self, other_as: bool, other_id: bool, cluster: bool) {
        let names = Names {
            local_as: if other_as { OTHER_AS } else { LOCAL_AS },
            router_id: if other_id { router_id(OTHER) } else { router_id(254) },
            cluster_id: cluster.then_some(ClusterId(5)),
        };
        let Names { local_as, router_id, cluster_id } = names;
        self.lab.input(Input::Rename { local_as, router_id, cluster_id });
        self.facts.names = names;
    }

    /// A cache tells who may originate what.
    pub(super) fn vrps(&mut self, announced: u8, withdrawn: u8) {
        let (announced, withdrawn) = (vrps(announced), vrps(withdrawn));
        let rows = self.facts.vrps.get_or_insert_default();
        rows.retain(|vrp| !withdrawn.contains(vrp));
        rows.extend(announced);
        let to = Arc::new(VrpSet::new(rows.iter().copied()));
        let from = self.payloads.replace(to.clone());
        self.lab.input(Input::Vrps(VrpChange::new(from, to)));
    }

    /// Everything that a peer told is under this import policy now.
    pub(super) fn judge(&mut self, peer: PeerId, import: &Policy) {
        for ((_, from, _), path) in &mut self.facts.told {
            if *from == Teller::Peer(peer) {
                path.import = import.clone();
            }
        }
    }
}
