//! Prefixes that are to have one origin and have two: a block that two nodes take for theirs. The decision picks one of
//! them, and half of the packets go to the wrong node, so somebody should know.

use core::num::NonZeroU32;

use bgp_wire::{Asn, RouterId, SegmentKind};
use ipnet::IpNet;

use crate::event::Event;
use crate::path::{LOCAL, Path};
use crate::prefix::Key;
use crate::query::Source;
use crate::rib::Rib;
use crate::table::{Shared, Table};

/// Who a route begins with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Originator {
    /// A router of our AS: this speaker, the ORIGINATOR_ID, or the peer that told it (RFC 4456 §8).
    Router(RouterId),
    /// Another AS, the last of the path.
    As(Asn),
    /// Several, behind an AS_SET.
    Set,
}

/// A prefix with two origins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TwoOrigins {
    /// The prefix.
    pub prefix: IpNet,
    /// Who told the best route, and who another one.
    pub sources: [Source; 2],
    /// Who they begin with.
    pub originators: [Originator; 2],
}

/// Paths of a prefix that are looked at: two origins are found among the first few, or hardly at all.
const LOOKED_AT: usize = 16;
/// Prefixes that are known to have two origins, so that each is told once; beyond, others are not told.
const MOST_KNOWN: usize = 4096;

impl Rib {
    /// Other prefixes are to have one origin: all that there are are looked at anew.
    pub(crate) fn expect_one_origin(&mut self, within: Vec<IpNet>) {
        if self.shared.config.unique_origins != within {
            self.shared.config.unique_origins = within;
            self.begin_rescan();
        }
    }

    /// Tells which prefixes were found to have two.
    pub(crate) fn tell_two_origins(&mut self) {
        self.events.extend(self.shared.two_origins.drain(..).map(Event::TwoOrigins));
    }
}

impl<K: Key> Table<K> {
    /// Looks whether a prefix has two origins that is to have one.
    pub(crate) fn look_for_origins(&mut self, shared: &mut Shared, id: u32) {
        if shared.config.unique_origins.is_empty() && self.contested.is_empty() {
            return;
        }
        let Some(found) = self.two_origins(shared, id) else {
            self.contested.remove(&id);
            return;
        };
        if self.contested.len() < MOST_KNOWN && self.contested.insert(id) {
            shared.two_origins.push(found);
        }
    }

    /// Two origins of routes that are in use, or would be if the other were not there.
    fn two_origins(&self, shared: &Shared, id: u32) -> Option<TwoOrigins> {
        let best = self.best_path(id).filter(|best| best.next != crate::slab::NONE)?;
        let prefix = self.entries[id].key.prefix()?;
        if !shared.config.unique_origins.iter().any(|net| net.contains(&prefix)) || self.is_former(best) {
            return None;
        }
        // What has another LOCAL_PREF is another on purpose, as an address on the move is; what is stale may have moved.
        let local_pref = |path: &Path| shared.attributes[path.attributes].summary.local_pref;
        let equal = |path: &&Path| {
            local_pref(path) == local_pref(best)
                && !self.is_former(path)
                && self.eligible(shared, path).is_ok()
        };
        let origin = self.originator(shared, best);
        let paths = self.paths_of(id).map(|(_, path)| path).take(LOOKED_AT).filter(equal);
        let other =
            paths.map(|path| (path, self.originator(shared, path))).find(|(_, other)| *other != origin);
        other.map(|(path, other)| TwoOrigins {
            prefix,
            sources: [best, path].map(|path| shared.peers.source(path.peer, path.path_id)),
            originators: [origin, other],
        })
    }

    fn originator(&self, shared: &Shared, path: &Path) -> Originator {
        let set = &shared.attributes[path.attributes];
        let last = set.block().as_path().segments().last().filter(|last| !last.kind.is_confederation());
        match last {
            Some(last) if last.kind == SegmentKind::Sequence => {
                last.asns().last().map_or(Originator::Set, Originator::As)
            }
            Some(_) => Originator::Set,
            None if path.peer == LOCAL => Originator::Router(shared.config.router_id),
            None => {
                let told = set.summary.originator.map(NonZeroU32::get).map(RouterId);
                let by = || shared.peers.get(path.peer).map(|peer| peer.params.peer_router_id);
                Originator::Router(told.or_else(by).unwrap_or(RouterId(0)))
            }
        }
    }
}
