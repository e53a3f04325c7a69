//! Other bounds on the next hops of a prefix while the tables stand.

use bgp_wire::PeerKind;

use crate::config::Multipath;
use crate::follower::Place;
use crate::prefix::Key;
use crate::rib::{Rib, each_table};
use crate::table::{Shared, State, Table};

impl Rib {
    /// Takes other bounds. What followers see changed by them is told in bounded turns.
    pub(crate) fn set_multipath(&mut self, wanted: Multipath) {
        let before = (self.shared.config.multipath(), self.shared.config.has_multipath());
        self.shared.config.set_multipath(wanted);
        if self.shared.config.multipath() == before.0 {
            return;
        }
        // Sets that were marked once go on being marked: with a bound of one, followers are shown the best alone.
        if self.shared.config.has_multipath() && !before.1 {
            let places = |family: usize| self.followers.iter().flatten().map(move |f| f.places[family]);
            self.ipv4.open_multipath(places(0));
            self.ipv6.open_multipath(places(1));
            self.further.iter_mut().for_each(|table| table.open_multipath(std::iter::empty()));
        }
        self.begin_rescan();
        each_table!(self, table => table.tells_ways = table.rescan.is_some());
    }
}

impl<K: Key> Table<K> {
    /// Followers read a log of multipath sets from here on, at the places where they stand: it begins as that of best paths.
    fn open_multipath(&mut self, followers: impl Iterator<Item = Place>) {
        if self.multipath.is_some() {
            return;
        }
        let mut sets = self.log.fork();
        for place in followers {
            self.log.leave(place.hold());
            sets.join(place.hold());
        }
        self.reaped[1] = self.reaped[0];
        self.multipath = Some(sets);
    }

    /// Followers are told a prefix that has several next hops.
    pub(crate) fn tell_ways(&mut self, id: u32) {
        if id >= self.entries.bound() || self.entries[id].state != State::Best {
            return;
        }
        let several = self.paths_of(id).filter(|(_, path)| path.multipath).nth(1).is_some();
        if let Some(log) = self.multipath.as_mut().filter(|_| several) {
            log.touch(id);
        }
    }

    /// Whether followers are shown other routes beside this one, where it is the best.
    pub(crate) fn has_several(&self, shared: &Shared, best: Option<u32>) -> bool {
        let peer = best.and_then(|best| shared.peers.get(self.paths[best].peer));
        let internal = peer.is_some_and(|peer| peer.params.kind == PeerKind::Internal);
        self.multipath.is_some() && shared.config.most_paths(internal) > 1
    }
}
