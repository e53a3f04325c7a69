//! Why a route is best, why another is not, and why a peer does not hear of it.

use bgp_wire::{Family, NextHop, PathId};
use ipnet::IpNet;

use crate::add_path;
use crate::batch;
use crate::decision::Ladder;
use crate::export::{self, GroupKey};
use crate::group::Reader;
use crate::nlri::Destination;
use crate::pack;
use crate::path::Path;
use crate::prefix::Key;
use crate::rib::{Rib, in_table};
use crate::slab::NONE;
use crate::table::{Shared, Table};
use crate::{HeldBack, Ineligible, PeerId, RouteAttributes, Rung, Source};

/// Everything there is to say about one destination; made by the code that decides and exports.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// Where they lead.
    pub destination: Destination,
    /// Its paths, the best first.
    pub paths: Vec<PathExplanation>,
    /// What each peer of the family hears of it.
    pub peers: Vec<PeerExplanation>,
}

/// What the decision made of one path.
#[derive(Clone, Debug)]
pub struct PathExplanation {
    /// Who told it.
    pub source: Source,
    /// The ADD-PATH identifier that it was received with.
    pub path_id: PathId,
    /// Its attributes, as they take part in the decision.
    pub attributes: RouteAttributes,
    /// Its attributes as they were received, where import policy changed them.
    pub received: Option<RouteAttributes>,
    /// The rule of the import policy that speaks of it; `None` for a route of this speaker's own.
    pub policy: Option<String>,
    /// What it came to.
    pub verdict: PathVerdict,
    /// Whether its session ended and it has not been told again.
    pub stale: bool,
}

/// What a path came to in the decision process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PathVerdict {
    /// It is the best.
    Best,
    /// It is not the best, but goes beside it where several next hops are used.
    Multipath(Rung),
    /// It lost at this rung.
    Lost(Rung),
    /// It took no part.
    Ineligible(Ineligible),
}

/// What one peer hears of a prefix.
#[derive(Clone, Debug)]
pub struct PeerExplanation {
    /// The peer.
    pub peer: PeerId,
    /// The next hop that it is told, or the rule that holds the route back.
    pub verdict: Result<NextHop, HeldBack>,
    /// The rule of the export policy that speaks of the route in `verdict`; `None` where there is none.
    pub policy: Option<String>,
    /// Where it is told several paths: each that is eligible, the order without meaning. `verdict` is of the best then.
    /// Where it is told the best of what may go ([`PeerParams::best_per_client`](crate::PeerParams::best_per_client)): each
    /// that is eligible, in the order of rank; those before the one that is told say what keeps them back.
    pub paths: Vec<PathSent>,
    /// Whether the newest state has been handed out to it.
    pub sent: bool,
}

/// What a peer that is told several paths hears of one of them (RFC 7911).
#[derive(Clone, Debug)]
pub struct PathSent {
    /// Who told it.
    pub source: Source,
    /// The identifier that it was received with.
    pub received: PathId,
    /// The identifier that it is told under, as long as it lives.
    pub path_id: PathId,
    /// The next hop that is told, or the rule that holds the path back.
    pub verdict: Result<NextHop, HeldBack>,
}

impl Rib {
    /// Everything there is to say about a destination; `None` where no peer and no owner ever told it.
    #[must_use]
    pub fn explain(&self, destination: impl Into<Destination>) -> Option<Explanation> {
        let destination = destination.into();
        in_table!(self, destination.family(), table => table.explain(&self.shared, &destination)).flatten()
    }
}

impl<K: Key> Table<K> {
    fn explain(&self, shared: &Shared, destination: &Destination) -> Option<Explanation> {
        let key = K::of(destination)?;
        let id = self.find(&key)?;
        let mut ladder = Ladder::default();
        let best = self.climb(shared, &mut ladder, id);
        let mut paths: Vec<PathExplanation> =
            self.paths_of(id).map(|(at, path)| self.explain_path(shared, &ladder, best, at, path)).collect();
        paths.sort_by_key(|path| match path.verdict {
            PathVerdict::Best => (0, None),
            PathVerdict::Multipath(rung) | PathVerdict::Lost(rung) => (1, Some(core::cmp::Reverse(rung))),
            PathVerdict::Ineligible(_) => (2, None),
        });
        let readers = (0..).zip(&self.peers).filter_map(|(slot, peer)| Some((slot, peer.reader.as_deref()?)));
        let peers = readers.map(|(slot, reader)| self.explain_peer(shared, id, slot, reader)).collect();
        Some(Explanation { destination: self.entries[id].key.destination(), paths, peers })
    }

    fn explain_path(
        &self,
        shared: &Shared,
        ladder: &Ladder,
        best: Option<u32>,
        at: u32,
        path: &Path,
    ) -> PathExplanation {
        let fell = ladder.fallen.iter().find(|&&(path, _)| path == at).map(|&(_, rung)| rung);
        let verdict = match (self.eligible(shared, path), fell) {
            (Err(reason), _) => PathVerdict::Ineligible(reason),
            (Ok(_), Some(rung)) if path.multipath && self.has_several(shared, best) => {
                PathVerdict::Multipath(rung)
            }
            (Ok(_), Some(rung)) => PathVerdict::Lost(rung),
            (Ok(_), None) => {
                debug_assert_eq!(best, Some(at), "who did not fall is the best");
                PathVerdict::Best
            }
        };
        PathExplanation {
            source: shared.peers.source(path.peer, path.path_id),
            path_id: PathId(path.path_id),
            attributes: shared.show(path.attributes),
            received: shared.show_received(path.attributes),
            policy: shared.import_rule(path, (self.family, self.entries[path.prefix].key.prefix())),
            verdict,
            stale: self.is_stale(path),
        }
    }

    fn explain_peer(&self, shared: &Shared, id: u32, slot: u32, reader: &Reader) -> PeerExplanation {
        let sent = self.is_told(id, reader);
        let policy = self.export_rule(shared, id, slot, reader);
        let paths = self.explain_paths(shared, id, slot, reader);
        PeerExplanation {
            peer: PeerId(slot),
            verdict: self.told(shared, id, slot, reader),
            policy,
            paths,
            sent,
        }
    }

    /// What a peer that is told several paths hears of each.
    fn explain_paths(&self, shared: &Shared, id: u32, slot: u32, reader: &Reader) -> Vec<PathSent> {
        let Some(group) = self.groups.get(reader.group) else { return Vec::new() };
        if group.key.best_per_client {
            return self.explain_choice(shared, &group.key, id, slot);
        }
        if group.key.selection.is_none() {
            return Vec::new();
        }
        let eligible = self.paths_of(id).filter(|(_, path)| self.eligible(shared, path).is_ok());
        let explained = eligible.map(|(at, path)| {
            let standing = self.standing_path(reader.log, at).ok_or(HeldBack::NotSelected);
            let told = standing.and_then(|path| self.told_path(shared, &group.key, path, slot));
            PathSent {
                source: shared.peers.source(path.peer, path.path_id),
                received: PathId(path.path_id),
                path_id: add_path::path_id(at),
                verdict: told.map(|(next_hop, _)| next_hop),
            }
        });
        explained.collect()
    }

    /// What keeps the routes back that come before the one that a peer is told, in the order of rank.
    fn explain_choice(&self, shared: &Shared, key: &GroupKey, id: u32, slot: u32) -> Vec<PathSent> {
        let told = self.path_to(shared, key, id, slot);
        let mut chosen = false;
        let explained = self.ranked(shared, id).into_iter().map(|at| {
            let path = &self.paths[at];
            let verdict = if chosen {
                Err(HeldBack::NotSelected)
            } else {
                self.told_path(shared, key, path, slot).map(|(next_hop, _)| next_hop)
            };
            chosen |= told == Some(at);
            let source = shared.peers.source(path.peer, path.path_id);
            PathSent { source, received: PathId(path.path_id), path_id: pack::BEST, verdict }
        });
        explained.collect()
    }

    /// Whether a reader has been handed out the newest state of a prefix.
    fn is_told(&self, id: u32, reader: &Reader) -> bool {
        let log = self.log_of(reader.log);
        let walks = |at: u64| reader.swap.iter().any(|walk| (walk.cursor..walk.end).contains(&at));
        let read =
            |at: u32| log.position(at).is_none_or(|position| position < reader.cursor && !walks(position));
        if reader.log == NONE {
            return read(id) && self.is_told_choice(id, reader);
        }
        !self.is_building(reader.log)
            && self.paths_of(id).all(|(at, _)| read(at))
            && self.gone_paths(id).all(read)
    }

    /// What a peer is told of a prefix, by the code that encodes it.
    fn told(&self, shared: &Shared, id: u32, slot: u32, reader: &Reader) -> Result<NextHop, HeldBack> {
        let group = self.groups.get(reader.group).ok_or(HeldBack::NoRoute)?;
        self.told_by(shared, &group.key, id, slot).map(|(next_hop, _)| next_hop)
    }

    /// What a peer with such a key is told of a prefix: next hop and attributes.
    pub(crate) fn told_by(
        &self,
        shared: &Shared,
        key: &GroupKey,
        id: u32,
        slot: u32,
    ) -> Result<(NextHop, Vec<u8>), HeldBack> {
        let own = if key.best_per_client { self.path_to(shared, key, id, slot) } else { None };
        // Where nothing may go it is told why the best route does not.
        let path = own.map_or_else(|| self.path_for(shared, key, NONE, id), |at| Some(&self.paths[at]));
        self.told_path(shared, key, path.ok_or(HeldBack::NoRoute)?, slot)
    }

    /// What a peer with such a key is told of a path that is to be told: next hop and attributes.
    pub(crate) fn told_path(
        &self,
        shared: &Shared,
        key: &GroupKey,
        path: &Path,
        slot: u32,
    ) -> Result<(NextHop, Vec<u8>), HeldBack> {
        let offer = export::offer(shared, key, &self.outbound(path))?;
        let (edits, next_hop) = (offer.edits.as_deref(), offer.next_hop);
        let mut block = Vec::new();
        export::write(shared, key, (path.attributes, path.peer), next_hop, edits, &mut block)?;
        let mut paths = self.paths_of(path.prefix);
        let at = paths.find(|(_, other)| core::ptr::eq(*other, path)).map(|(at, _)| at);
        let nlri = at.map_or(&self.entries[path.prefix].key, |at| self.nlri(at));
        pack::make_room(&key.codec, self.family, &next_hop, &mut block, nlri)?;
        if path.peer == slot && !key.tells_as_own(shared.peers.origin(slot)) {
            return Err(HeldBack::SplitHorizon);
        }
        if batch::through(shared, path.attributes, next_hop) == slot {
            return Err(HeldBack::NextHopIsPeer);
        }
        let name = at.filter(|_| key.selection.is_some()).unwrap_or(path.prefix);
        let bounded = self.reader(slot).and_then(|reader| reader.bounded.as_ref());
        if key.bound.is_some() && bounded.is_some_and(|bounded| bounded.is_waiting(name)) {
            return Err(HeldBack::OverLimit);
        }
        Ok((next_hop, block))
    }

    /// What in the export policy speaks of the route that is told, or of the best, in words.
    fn export_rule(&self, shared: &Shared, id: u32, slot: u32, reader: &Reader) -> Option<String> {
        let (best, group) = (self.best_path(id)?, self.groups.get(reader.group)?);
        let own = if group.own.is_some() { self.path_to(shared, &group.key, id, slot) } else { None };
        let path = own.map_or(best, |at| &self.paths[at]);
        let outcome = export::evaluate(shared, &group.key, &self.outbound(path));
        Some(group.key.export.describe(outcome.decided))
    }
}

impl Shared {
    /// What in the import policy of its peer speaks of a path, in words.
    fn import_rule(&self, path: &Path, destination: (Family, Option<IpNet>)) -> Option<String> {
        let peer = self.peers.get(path.peer)?;
        let received = self.received(path.attributes);
        let session = (peer.params.kind, peer.params.local_as);
        let view = self.view(received, path.peer, path.path_id, session, destination);
        let import = &peer.params.import;
        Some(import.describe(import.evaluate(&self.validated(import, view)).decided))
    }
}
