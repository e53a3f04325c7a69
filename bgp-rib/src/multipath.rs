//! Other bounds on the next hops of a prefix while the tables stand.

use bgp_wire::PeerKind;

use crate::config::Multipath;
use crate::follower::Place;
use crate::prefix::Key;
use crate::rib::{Rib, any_table, each_table};
use crate::table::{Shared, State, Table};

impl Rib {
    /// Takes other bounds. What followers see changed by them is told in bounded turns.
    pub(crate) fn set_multipath(&mut self, wanted: Multipath) {
        let before = (self.shared.config.multipath(), self.shared.config.has_multipath());
        self.shared.config.set_multipath(wanted);
        if self.shared.config.multipath() == before.0 {
            return;
        }
        // With a bound of one followers are shown the best alone, and sets go on being marked until all have read that.
        if self.shared.config.has_multipath() && !before.1 {
            let places = |family: usize| self.followers.iter().flatten().map(move |f| f.places[family]);
            self.ipv4.open_multipath(places(0));
            self.ipv6.open_multipath(places(1));
            self.further.iter_mut().for_each(|table| table.open_multipath(std::iter::empty()));
        }
        self.begin_rescan();
        each_table!(self, table => table.tells_ways = table.rescan.is_some());
    }

    /// With a bound of one the sets are given back when there is nothing left to be read of them.
    pub(crate) fn close_multipath(&mut self) {
        if self.shared.config.has_multipath() || !any_table!(self, table => table.multipath.is_some()) {
            return;
        }
        let places = |at: usize| self.followers.iter().flatten().map(move |follower| follower.places[at]);
        if !self.ipv4.is_past_multipath(places(0)) || !self.ipv6.is_past_multipath(places(1)) {
            return;
        }
        for follower in self.followers.iter_mut().flatten() {
            let before = follower.position();
            let [ipv4, ipv6] = &mut follower.places;
            (*ipv4, *ipv6) = (self.ipv4.leave_multipath(), self.ipv6.leave_multipath());
            // Revisions only grow.
            follower.read_before += before.saturating_sub(follower.position());
        }
        each_table!(self, table => (table.multipath, table.reaped[1]) = (None, 0));
    }
}

impl<K: Key> Table<K> {
    /// Whether all followers have read all that there is of multipath sets, and nothing of them is to be told or taken out.
    fn is_past_multipath(&self, mut followers: impl Iterator<Item = Place>) -> bool {
        let Some(sets) = &self.multipath else { return true };
        let idle = self.rescan.is_none() && sets.len() == self.best;
        idle && followers.all(|place| place.cursor >= sets.head())
    }

    /// A follower that has read everything reads the log of best paths from here on.
    fn leave_multipath(&mut self) -> Place {
        let head = self.log.head();
        self.log.join(head);
        Place { cursor: head, birth: head }
    }

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
