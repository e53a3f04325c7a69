//! Other policies on a live session: what changes by them is told, and nothing else.
//!
//! An export policy is part of the group's key, so that its peer changes the group. Before it reads on it walks over what it
//! was told, and hears what the rules of its new group say differently; peers that change together share the bytes. An
//! import policy has the peer's routes judged anew from what was received, in bounded turns.

use bgp_wire::{AttributeBlock, ClusterId};
use bytes::Bytes;

use crate::batch::{Draft, Mode};
use crate::export::GroupKey;
use crate::group::SwapWalk;
use crate::import::{self, Identity, Importer};
use crate::prefix::Key;
use crate::rib::{Rib, any_table, each_table};
use crate::slab::NONE;
use crate::table::{Shared, Table, Told};
use crate::{PeerId, Policy};

impl Rib {
    pub(crate) fn set_policy(&mut self, peer: PeerId, import: Option<Policy>, export: Option<Policy>) {
        let Some(state) = self.shared.peers.get_mut(peer.0).filter(|peer| peer.up) else { return };
        if let Some(import) = import.filter(|import| *import != state.params.import) {
            state.params.import = import;
            state.judging = true;
            self.shared.peers.judging = true;
            self.begin_rescan();
        }
        let Some(state) = self.shared.peers.get_mut(peer.0) else { return };
        if let Some(export) = export.filter(|export| *export != state.params.export) {
            state.params.export = export;
            each_table!(self, table => table.regroup(&self.shared, peer.0));
            self.say_pending(peer.0);
        }
    }

    /// When all tables have been walked every route has been judged by the policies that are in force.
    pub(crate) fn end_judging(&mut self) {
        if !any_table!(self, table => table.rescan.is_some()) {
            for slot in self.shared.peers.end_judging() {
                self.check_limits(slot);
            }
        }
    }
}

impl<K: Key> Table<K> {
    /// A member goes over to the group of its new key and is to hear the difference.
    fn regroup(&mut self, shared: &Shared, slot: u32) {
        let Some(peer) = shared.peers.up(slot) else { return };
        let Some((former, log)) = self.reader(slot).map(|reader| (reader.group, reader.log)) else { return };
        let key = GroupKey::of(&peer.params, self.family, shared.config.cluster_id());
        let index = self.groups.join(key, log, &shared.config);
        let told = self.groups.get_mut(former).map(|group| {
            group.idle.retain(|&other| other != slot);
            group.ever.clone()
        });
        if let (Some(group), Some(told)) = (self.groups.get_mut(index), told) {
            group.ever.insert_all(&told);
        }
        let mut leaves = [NONE; 2];
        if let Some(reader) = self.reader_mut(slot) {
            reader.group = index;
            reader.listed = false;
            let walk = SwapWalk { cursor: 0, end: reader.cursor, former };
            match reader.swap.replace(walk) {
                None => {}
                // It stands between two sets of rules: what it has is not known.
                Some(unfinished) => {
                    reader.swap = Some(SwapWalk { former: NONE, ..walk });
                    leaves = [former, unfinished.former];
                }
            }
        }
        leaves.into_iter().for_each(|group| self.groups.leave(group));
        // The audiences of cached batches know nothing of the new member.
        self.groups.clear_caches();
    }

    /// Tells one stretch of the difference.
    pub(crate) fn swap_on(&mut self, shared: &Shared, draft: &mut Draft, slot: u32, chunks: &mut Vec<Bytes>) {
        let Some(reader) = self.reader(slot) else { return };
        let (group, Some(mut walk)) = (reader.group, reader.swap) else { return };
        if walk.cursor < walk.end {
            let mode = if walk.former == NONE { Mode::Resync } else { Mode::Swap(walk.former) };
            walk.cursor = self.read(shared, draft, slot, group, (walk.cursor, walk.end, mode), chunks).0;
        }
        let done = walk.cursor >= walk.end;
        if let Some(reader) = self.reader_mut(slot) {
            reader.swap = (!done).then_some(walk);
        }
        if done {
            self.groups.leave(walk.former);
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
            let us = Identity { router_id: shared.config.router_id, clusters };
            let block = AttributeBlock::trusted(shared.attributes[received].bytes());
            let mut importer = Importer::new(peer, received);
            let (attributes, verdict) = match import::judge(&state.params, &us, &block) {
                Some(reason) => (received, reason as u8),
                None => importer.judge(shared, self.family, prefix),
            };
            let verdict = self.within_bounds(peer, verdict, Some(was.1));
            if was != (attributes, verdict) {
                self.change(shared, id, at, Told { peer, path_id, attributes, verdict }, false);
            }
            importer.close(shared);
        }
        shared.attributes.payer = NONE;
    }
}
