//! The one rung that looks at the past (RFC 5004): what is best is looked at after every step, to be the past of the next.

use bgp_rib::{PathVerdict, PeerId};

use super::check::name;
use super::scene::prefixes;
use super::step::Step;
use super::world::World;

impl World {
    /// Whether a step changes at most one path of each prefix: then the past leaves no choice. Where several change, which one
    /// comes first is open.
    pub(super) fn touches_one_each(&self, step: &Step) -> bool {
        let tells_one = |peer: u8| {
            let session = self.facts.sessions.get(&PeerId(u32::from(peer)));
            session.is_none_or(|(params, _)| params.codec.add_path_rx.is_empty())
        };
        match *step {
            Step::Announce { .. } | Step::Withdraw { .. } | Step::Originate { .. } => true,
            Step::Read { .. } | Step::Drain { .. } | Step::Follow { .. } | Step::Tick | Step::Settle => true,
            Step::RefreshFromPeer { .. } | Step::Begin { .. } | Step::Defer { .. } | Step::Bound { .. } => {
                true
            }
            Step::EndOfRib { peer, .. } | Step::End { peer, .. } | Step::SetPolicy { peer, .. } => {
                tells_one(peer)
            }
            _ => false,
        }
    }

    /// Notes what is best, which is one of those that are equal through the interior cost; if it had to be one of them, that.
    pub(super) fn see_what_is_best(&mut self, one_each: bool) {
        self.lab.settle();
        self.see_who_is_over();
        self.facts.aggregate();
        for prefix in prefixes(255) {
            let explained = self.lab.rib.explain(prefix);
            let mut paths = explained.iter().flat_map(|explained| &explained.paths);
            let best = paths.find(|path| path.verdict == PathVerdict::Best).map(name);
            let expected = self.facts.best_name(prefix);
            if one_each {
                assert_eq!(best, expected, "{prefix}, with {:?} before", self.facts.before.get(&prefix));
            } else {
                assert_eq!(best.is_some(), expected.is_some(), "{prefix}");
                let equals = self.facts.equals(prefix);
                assert!(best.iter().all(|best| equals.contains(best)), "{prefix}: {best:?} of {equals:?}");
            }
            match best {
                Some(best) => self.facts.before.insert(prefix, best),
                None => self.facts.before.remove(&prefix),
            };
        }
    }
}
