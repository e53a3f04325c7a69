//! Another configuration for a live session: what changes by it is told, and nothing else.
//!
//! What concerns sending is part of the group's key, so that its peer changes the group. Before it reads on it walks over what it
//! was told, and hears what the rules of its new group say differently; peers that change together share the bytes. If it
//! changes again before that is over, what it was told lies in stretches by the rules of different groups, and those that are
//! by the newest rules already need no walk.
//!
//! What concerns receiving has the peer's routes judged anew from what was received, and another role has them told anew to
//! all that may hear of them, both in bounded turns.

use bgp_wire::{Asn, AttributeBlock, ClusterId, RouterId};
use bytes::Bytes;

use crate::attributes::Marks;
use crate::batch::{Draft, Mode};
use crate::bounded::Bound;
use crate::config::PeerParams;
use crate::export::Origin;
use crate::group::SwapWalk;
use crate::import::{self, Identity, Importer};
use crate::prefix::Key;
use crate::rib::{Rib, any_table, each_table};
use crate::slab::NONE;
use crate::table::{Shared, Table, Told};
use crate::{PeerId, Policy};

impl Rib {
    pub(crate) fn set_policy(&mut self, peer: PeerId, import: Option<Policy>, export: Option<Policy>) {
        let Some(state) = self.shared.peers.get(peer.0) else { return };
        let mut params = state.params.clone();
        params.import = import.unwrap_or(params.import);
        params.export = export.unwrap_or(params.export);
        self.peer_change(peer, params);
    }

    /// Another configuration of a peer that is down: routes that its session left are judged, and told, by that.
    fn change_left(&mut self, slot: u32, params: PeerParams) {
        let cluster_id = self.shared.config.cluster_id();
        let Some(state) = self.shared.peers.get_mut(slot) else { return };
        let params = with_session_of(&state.params, params);
        let origin = Origin::of(&params, cluster_id);
        let judging = import::differs(&state.params, &params);
        let retold = core::mem::replace(&mut state.origin, origin) != origin;
        state.params = params;
        state.judging |= judging;
        state.retold |= retold;
        if retold {
            self.clear_caches();
        }
        if judging || retold {
            self.shared.peers.judging = true;
            self.begin_rescan();
        }
    }

    /// Another configuration for a session that goes on, or of a peer of which routes are kept.
    pub(crate) fn peer_change(&mut self, peer: PeerId, params: PeerParams) {
        let slot = peer.0;
        if self.shared.peers.up(slot).is_none() {
            return self.change_left(slot, params);
        }
        let cluster_id = self.shared.config.cluster_id();
        let Some(state) = self.shared.peers.get_mut(slot) else { return };
        let params = with_session_of(&state.params, params);
        let origin = Origin::of(&params, cluster_id);
        let judging = import::differs(&state.params, &params);
        let bounds = state.params.limits != params.limits;
        let opens = params.limits.memory.is_some() && state.account == NONE;
        let own = [&state.params, &params].map(|params| params.own_addresses().collect::<Vec<_>>());
        let cluster = state.params.cluster_id != params.cluster_id;
        let retold = core::mem::replace(&mut state.origin, origin) != origin;
        state.params = params;
        state.judging |= judging;
        state.retold |= retold;
        if opens {
            state.account = self.shared.attributes.open_account();
        }
        if cluster {
            self.gather_clusters();
        }
        if own[0] != own[1] {
            self.change_own_addresses(&own[0], &own[1]);
        }
        if retold {
            // Cached batches tell its routes as they were.
            self.clear_caches();
            each_table!(self, table => if let Some(reader) = table.reader_mut(slot) {
                reader.origin = origin;
            });
        }
        if judging || retold {
            self.shared.peers.judging = true;
            self.begin_rescan();
        }
        let mut regrouped = false;
        each_table!(self, table => regrouped |= table.regroup(&self.shared, slot));
        if regrouped {
            self.say_pending(slot);
        }
        if bounds {
            self.bound(slot);
        }
    }

    /// Other names of this speaker, for all sessions that there are.
    pub(crate) fn rename(&mut self, local_as: Asn, router_id: RouterId, cluster_id: Option<ClusterId>) {
        let config = &mut self.shared.config;
        let (asn, id, cluster) = (config.local_as, config.router_id, config.cluster_id());
        (config.local_as, config.router_id, config.cluster_id) = (local_as, router_id, cluster_id);
        let cluster_now = config.cluster_id();
        if (asn, id) != (local_as, router_id) {
            self.shared.aggregates.rename();
        }
        if asn != local_as {
            self.shared.vrps.rename();
            self.validate_again();
        }
        if (asn, id, cluster) != (local_as, router_id, cluster_now) {
            // What is a loop is another question now.
            self.gather_clusters();
            self.shared.peers.judge_all();
            self.begin_rescan();
        }
        let slots: Vec<u32> = self.shared.peers.slots().collect();
        let mut left = false;
        for slot in slots {
            if let Some(state) = self.shared.peers.up(slot) {
                let params = state.params.clone();
                self.peer_change(PeerId(slot), params);
            } else if let Some(state) = self.shared.peers.get_mut(slot) {
                // Routes that a session left are told with our cluster, too.
                let origin = Origin::of(&state.params, cluster_now);
                let retold = core::mem::replace(&mut state.origin, origin) != origin;
                state.retold |= retold;
                left |= retold;
            }
        }
        if left {
            self.clear_caches();
            self.shared.peers.judging = true;
            self.begin_rescan();
        }
    }

    /// When all tables have been walked every route has been judged by the policies that are in force.
    pub(crate) fn end_judging(&mut self) {
        if !any_table!(self, table => table.rescan.is_some()) {
            self.shared.vrps.told();
            self.shared.next_hops.settle();
            for slot in self.shared.peers.end_judging() {
                self.check_limits(slot);
                // Its last route may have gone with that.
                self.say_gone(slot);
            }
        }
    }
}

/// So many stretches of one reader may be by the rules of different groups. Who swaps faster than a peer reads has the last
/// swap wait until one of them has been told: what the peer is in the end does not change by that.
const MOST_STRETCHES: usize = 8;

/// What a reader was told by other rules than those of the group that it goes to, having left another.
fn told_by_others(walks: &[SwapWalk], cursor: u64, left: u32, to: Option<u32>) -> Vec<SwapWalk> {
    let mut stretches: Vec<SwapWalk> = Vec::new();
    let mut push = |cursor: u64, end: u64, former: u32| match stretches.last_mut() {
        _ if cursor >= end || Some(former) == to => {}
        Some(last) if last.end == cursor && last.former == former => last.end = end,
        _ => stretches.push(SwapWalk { cursor, end, former }),
    };
    let mut from = 0;
    for walk in walks {
        push(from, walk.cursor, left);
        push(walk.cursor, walk.end, walk.former);
        from = walk.end;
    }
    push(from, cursor, left);
    stretches
}

/// Another configuration of a session, of which what was negotiated stays as it is.
fn with_session_of(session: &PeerParams, wanted: PeerParams) -> PeerParams {
    PeerParams {
        kind: session.kind,
        local_as: session.local_as,
        peer_as: session.peer_as,
        peer_router_id: session.peer_router_id,
        peer_address: session.peer_address,
        local_address: session.local_address,
        codec: session.codec,
        families: session.families,
        enhanced_refresh: session.enhanced_refresh,
        graceful_restart: session.graceful_restart,
        keep_stale: session.keep_stale,
        retained: session.retained,
        stale_time: session.stale_time,
        add_path_send: session.add_path_send.clone(),
        paths_limit: session.paths_limit.clone(),
        long_lived: session.long_lived.clone(),
        bgp_role: session.bgp_role,
        ..wanted
    }
}

impl<K: Key> Table<K> {
    /// A member goes over to the group of its new key and is to hear the difference; whether it is another one.
    pub(crate) fn regroup(&mut self, shared: &Shared, slot: u32) -> bool {
        let Some(peer) = shared.peers.up(slot) else { return false };
        let Some(reader) = self.reader(slot) else { return false };
        let (former, log) = (reader.group, reader.log);
        let key = self.key_of(shared, peer, slot);
        let bound = key.bound;
        let same = self.groups.get(former).is_some_and(|group| group.key == key);
        let crowded = !same && reader.swap.len() >= MOST_STRETCHES;
        if let Some(reader) = self.reader_mut(slot) {
            reader.regroups = crowded;
        }
        if same || crowded {
            return false;
        }
        let index = self.groups.join(key, log, &shared.config);
        let own = self.reader(slot).map_or(0, |reader| reader.own);
        self.unlist(former, slot);
        // Beside the other one, so that nothing is copied.
        let mut left = self.groups.take(former);
        if let Some(choices) = left.as_mut().and_then(|group| group.own.as_mut()) {
            choices.leave(own);
        }
        let bounded = self.reader(slot).and_then(|reader| reader.bounded.as_ref());
        let told_within = bounded.filter(|_| bound.is_none()).map(|bounded| bounded.told().clone());
        let (prefixes, head) = (self.entries.bound(), self.log.head());
        let joined = self.groups.get_mut(index).map(|group| {
            let told = left.iter().map(|left| &left.ever);
            told.chain(&told_within).for_each(|told| group.ever.insert_all(told));
            // The audiences of its cached batches know nothing of the new member.
            group.cache.clear();
            group.own.as_mut().map(|own| own.join(prefixes, head))
        });
        if let Some(left) = left {
            self.groups.put(former, left);
        }
        let own = joined.flatten();
        if let Some(reader) = self.reader_mut(slot) {
            reader.group = index;
            reader.listed = false;
            if let Some(Bound { max, .. }) = bound {
                reader.bounded.get_or_insert_default().max = max;
            }
            reader.own = own.unwrap_or(0);
            // Choices of its own may have changed since it was told them, if it left this group before.
            let same = Some(index).filter(|_| own.is_none());
            let stretches = told_by_others(&reader.swap, reader.cursor, former, same);
            let left = core::mem::replace(&mut reader.swap, stretches.clone());
            reader.overtaken = (reader.overtaken || reader.stalled) && !stretches.is_empty();
            reader.stalled = true;
            stretches.iter().for_each(|walk| self.groups.stay(walk.former));
            left.iter().for_each(|walk| self.groups.depart(walk.former));
        }
        if let Some(own) = self.groups.get_mut(former).and_then(|group| group.own.as_mut()) {
            own.settle();
        }
        self.groups.leave(former);
        self.end_swap(slot);
        true
    }

    /// Tells one stretch of the difference.
    pub(crate) fn swap_on(&mut self, shared: &Shared, draft: &mut Draft, slot: u32, chunks: &mut Vec<Bytes>) {
        let Some(reader) = self.reader(slot) else { return };
        let (group, Some(mut walk)) = (reader.group, reader.swap.first().copied()) else { return };
        let mode = Mode::Swap(walk.former);
        walk.cursor = self.read(shared, draft, slot, group, (walk.cursor, walk.end, mode), chunks).0;
        let done = walk.cursor >= walk.end;
        let Some(reader) = self.reader_mut(slot) else { return };
        if !done {
            reader.swap[0] = walk;
            return;
        }
        reader.swap.remove(0);
        let regroups = reader.regroups;
        self.groups.depart(walk.former);
        self.end_swap(slot);
        if regroups {
            self.regroup(shared, slot);
        }
    }

    /// If no stretch is left, nothing is kept of what a peer without a bound was told within one.
    fn end_swap(&mut self, slot: u32) {
        let bounded = |group: u32| self.groups.get(group).is_some_and(|group| group.key.bound.is_some());
        if self.reader(slot).is_some_and(|reader| reader.swap.is_empty() && !bounded(reader.group))
            && let Some(reader) = self.reader_mut(slot)
        {
            reader.bounded = None;
        }
    }

    /// Judges the paths of a prefix whose peers have a new import policy, from what was received.
    pub(crate) fn judge_again(&mut self, shared: &mut Shared, clusters: &[ClusterId], id: u32) {
        let judging = |slot| shared.peers.get(slot).is_some_and(|peer| peer.judging);
        let paths: Vec<u32> =
            self.paths_of(id).filter(|(_, path)| judging(path.peer)).map(|(at, _)| at).collect();
        let prefix = self.entries[id].key.prefix();
        for at in paths {
            let path = &self.paths[at];
            let (peer, path_id, was) = (path.peer, path.path_id, (path.attributes, path.verdict));
            let received = shared.received(path.attributes);
            shared.attributes.payer = shared.peers.get(peer).map_or(NONE, |peer| peer.account);
            let Some(state) = shared.peers.get(peer) else { continue };
            let us = Identity { asn: shared.config.local_as, router_id: shared.config.router_id, clusters };
            let block = AttributeBlock::trusted(shared.attributes[received].bytes());
            let generation = self.paths[at].generation;
            let stale = self.peer(peer).is_some_and(|peer| peer.is_long_lived(generation));
            let mut importer = Importer::new(peer, received);
            importer.stale = stale;
            let (attributes, verdict) = match import::judge(&state.params, &us, self.family, &block) {
                Some(reason) => (received, reason as u8),
                None => importer.judge(shared, self.family, prefix),
            };
            if stale && shared.attributes[attributes].summary.marks.has(Marks::NO_LLGR) {
                self.remove_path(shared, at);
                importer.close(shared);
                continue;
            }
            let verdict = self.within_bounds(peer, verdict, Some(was.1));
            if was != (attributes, verdict) {
                self.change(shared, id, at, Told { peer, path_id, attributes, verdict }, false);
            }
            importer.close(shared);
        }
        shared.attributes.payer = NONE;
    }
}
