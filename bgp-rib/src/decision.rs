//! The decision process: a ladder that candidates are thrown off, one rung at a time.
//!
//! MULTI_EXIT_DISC makes preference no total order, so there is no comparison of two paths anywhere: each rung looks at
//! all that are left and throws off those that some other beats. The outcome does not depend on the order of the input.
//!
//! One option gives that up across time: with [`DecisionOptions::prefer_oldest`] (RFC 5004) which of several equal external
//! routes is best depends on which was best before. Among the candidates at hand no order matters even then.

use core::cmp::Ordering;
use core::fmt;

use crate::config::DecisionOptions;

/// A rung of the ladder, in the order in which they are climbed. A path that is not best lost at one of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Rung {
    /// Whatever its LLGR_STALE calls long-lived stale comes last (RFC 9494 §4.3).
    LongLivedStale,
    /// Highest preference: of its source, or as policy or the originator says ([`preference`](crate::preference)).
    Preference,
    /// Originated on this speaker before learned (RFC 4271 §9.1.1 leaves the preference of own routes to us).
    Local,
    /// Highest LOCAL_PREF (RFC 4271 §9.1.1).
    LocalPref,
    /// Least AIGP with the interior cost to the next hop; routes without AIGP behind all that have it (RFC 7311 §4.1).
    Aigp,
    /// Shortest AS_PATH (RFC 4271 §9.1.2.2 (a)).
    AsPathLength,
    /// Lowest ORIGIN (RFC 4271 §9.1.2.2 (b)).
    Origin,
    /// Lowest MULTI_EXIT_DISC among the routes of one neighbouring AS (RFC 4271 §9.1.2.2 (c)).
    MultiExitDisc,
    /// External before internal (RFC 4271 §9.1.2.2 (d)).
    External,
    /// Lowest interior cost to the next hop (RFC 4271 §9.1.2.2 (e)).
    InteriorCost,
    /// What was best stays so among external routes, where asked for (RFC 5004 §3): the one rung that looks at the past.
    Oldest,
    /// Lowest BGP identifier, ORIGINATOR_ID in its place where present (RFC 4271 §9.1.2.2 (f), RFC 4456 §9).
    RouterId,
    /// Shortest CLUSTER_LIST (RFC 4456 §9).
    ClusterListLength,
    /// Lowest peer address (RFC 4271 §9.1.2.2 (g)).
    PeerAddress,
    /// Lowest path identifier among the paths of one peer (RFC 7911 §3 leaves it to us).
    PathId,
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LongLivedStale => "long-lived stale",
            Self::Preference => "preference",
            Self::Local => "locally originated",
            Self::LocalPref => "local preference",
            Self::Aigp => "accumulated IGP metric",
            Self::AsPathLength => "AS path length",
            Self::Origin => "origin",
            Self::MultiExitDisc => "multi-exit discriminator",
            Self::External => "external over internal",
            Self::InteriorCost => "interior cost to next hop",
            Self::Oldest => "oldest external route",
            Self::RouterId => "BGP identifier",
            Self::ClusterListLength => "cluster list length",
            Self::PeerAddress => "peer address",
            Self::PathId => "path identifier",
        })
    }
}

/// All that the ladder looks at of one eligible path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    /// The path's index: carried through, never looked at.
    pub(crate) path: u32,
    pub(crate) long_lived_stale: bool,
    pub(crate) preference: u32,
    pub(crate) local: bool,
    pub(crate) local_pref: u32,
    /// AIGP as it was told.
    pub(crate) aigp: Option<u64>,
    pub(crate) as_path_length: u32,
    pub(crate) origin: u8,
    pub(crate) med: Option<u32>,
    /// The AS that the route came in from; 0 where the AS_PATH is empty or begins with a set: our own AS.
    pub(crate) neighbour_as: u32,
    pub(crate) external: bool,
    pub(crate) interior_cost: u32,
    /// It is the best so far, or of the same router, and both are external; never so where nobody asked for that.
    pub(crate) oldest: bool,
    pub(crate) router_id: u32,
    pub(crate) cluster_list_length: u32,
    pub(crate) peer_address: u128,
    pub(crate) path_id: u32,
}

impl Candidate {
    /// A missing MED is the lowest possible value (RFC 4271 §9.1.2.2 (c)), unless asked to be the worst.
    fn med(&self, options: DecisionOptions) -> u64 {
        match self.med {
            Some(med) => u64::from(med),
            None if options.missing_med_as_worst => u64::from(u32::MAX) + 1,
            None => 0,
        }
    }

    /// The way to the destination as AIGP has it; the sum stops at the end of the range (RFC 7311 §3.4, §4.1).
    fn accumulated(&self) -> u128 {
        let whole = |aigp: u64| u128::from(aigp.saturating_add(u64::from(self.interior_cost)));
        self.aigp.map_or(u128::MAX, whole)
    }
}

/// One rung as code: the least value stays.
type Least = fn(&Candidate) -> u128;

/// The ladder. MULTI_EXIT_DISC stands outside the pattern because it compares within one neighbouring AS only.
const LADDER: [(Rung, Option<Least>); 15] = [
    (Rung::LongLivedStale, Some(|c| u128::from(c.long_lived_stale))),
    (Rung::Preference, Some(|c| u128::from(u32::MAX - c.preference))),
    (Rung::Local, Some(|c| u128::from(!c.local))),
    (Rung::LocalPref, Some(|c| u128::from(u32::MAX - c.local_pref))),
    (Rung::Aigp, Some(Candidate::accumulated)),
    (Rung::AsPathLength, Some(|c| u128::from(c.as_path_length))),
    (Rung::Origin, Some(|c| u128::from(c.origin))),
    (Rung::MultiExitDisc, None),
    (Rung::External, Some(|c| u128::from(!c.external))),
    (Rung::InteriorCost, Some(|c| u128::from(c.interior_cost))),
    (Rung::Oldest, Some(|c| u128::from(!c.oldest))),
    (Rung::RouterId, Some(|c| u128::from(c.router_id))),
    (Rung::ClusterListLength, Some(|c| u128::from(c.cluster_list_length))),
    (Rung::PeerAddress, Some(|c| c.peer_address)),
    (Rung::PathId, Some(|c| u128::from(c.path_id))),
];

/// Where MULTI_EXIT_DISC stands in the ladder.
const MED: usize = 7;

impl Candidate {
    /// Compares by the rungs above MULTI_EXIT_DISC.
    pub(crate) fn above_med(&self, other: &Self) -> Ordering {
        by_rungs(&LADDER[..MED], self, other)
    }

    /// Compares by the rungs below MULTI_EXIT_DISC.
    pub(crate) fn below_med(&self, other: &Self) -> Ordering {
        by_rungs(&LADDER[MED + 1..], self, other)
    }

    /// Whether both are equal through the interior cost, where MULTI_EXIT_DISC says nothing.
    pub(crate) fn costs_the_same(&self, other: &Self) -> bool {
        let rungs = LADDER.iter().take_while(|(rung, _)| *rung <= Rung::InteriorCost);
        rungs.filter_map(|(_, least)| *least).all(|key| key(self) == key(other))
    }

    /// Compares by MULTI_EXIT_DISC alone.
    pub(crate) fn ranks_by_med(&self, other: &Self, options: DecisionOptions) -> Ordering {
        self.med(options).cmp(&other.med(options))
    }

    /// The routes that its MULTI_EXIT_DISC is compared with.
    pub(crate) fn med_group(&self, options: DecisionOptions) -> u32 {
        if options.always_compare_med { 0 } else { self.neighbour_as }
    }

    /// Where it stands in a list in which the routes of one neighbouring AS lie together, the best of them first: not by
    /// preference. Where no route has a MULTI_EXIT_DISC (`med` is false) that is the order of preference.
    pub(crate) fn place(&self, other: &Self, med: bool, options: DecisionOptions) -> Ordering {
        let by_med = || {
            let own = |c: &Self| (c.med_group(options), c.med(options));
            if med { own(self).cmp(&own(other)) } else { Ordering::Equal }
        };
        self.above_med(other).then_with(by_med).then_with(|| self.below_med(other))
    }
}

fn by_rungs(rungs: &[(Rung, Option<Least>)], a: &Candidate, b: &Candidate) -> Ordering {
    let keys = rungs.iter().filter_map(|(_, least)| *least);
    keys.map(|key| key(a).cmp(&key(b))).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// What became of the candidates.
#[derive(Debug, Default)]
pub(crate) struct Ladder {
    /// Those still standing while climbing; at the end the best alone.
    standing: Vec<Candidate>,
    /// Who fell, and where, in the order of the fall.
    pub(crate) fallen: Vec<(u32, Rung)>,
}

impl Ladder {
    /// Empties the ladder for the next prefix.
    pub(crate) fn clear(&mut self) {
        self.standing.clear();
        self.fallen.clear();
    }

    /// Puts candidates at the foot.
    pub(crate) fn extend(&mut self, candidates: impl Iterator<Item = Candidate>) {
        self.standing.extend(candidates);
    }

    /// Climbs until one is left; `None` when there was no candidate.
    pub(crate) fn climb(&mut self, options: DecisionOptions) -> Option<u32> {
        for (rung, least) in LADDER {
            if self.standing.len() <= 1 {
                break;
            }
            match least {
                Some(key) => self.keep_least(rung, key),
                None => self.keep_least_med(rung, options),
            }
        }
        self.standing.first().map(|c| c.path)
    }

    /// The rung at which the last rival fell.
    pub(crate) fn decisive(&self) -> Option<Rung> {
        self.fallen.last().map(|&(_, rung)| rung)
    }

    /// Those that go beside the best where several next hops are used: equal to it through the interior cost.
    pub(crate) fn equals(&self) -> impl Iterator<Item = u32> + '_ {
        self.fallen.iter().filter(|(_, rung)| *rung > Rung::InteriorCost).map(|&(path, _)| path)
    }

    /// The first `most` in the order of rank: each is the best of those that come not before it.
    pub(crate) fn rank(&mut self, options: DecisionOptions, most: usize) -> Vec<Candidate> {
        let med = self.standing.iter().any(|c| c.med.is_some());
        self.standing.sort_unstable_by(|a, b| a.place(b, med, options));
        if !med {
            return self.standing.iter().take(most).copied().collect();
        }
        let mut ranked = Vec::new();
        for level in self.standing.chunk_by(|a, b| a.above_med(b).is_eq()) {
            // What is left of each neighbouring AS, the one with the best route last.
            let mut groups: Vec<&[Candidate]> =
                level.chunk_by(|a, b| a.med_group(options) == b.med_group(options)).collect();
            groups.sort_unstable_by(|a, b| heads(b, a));
            while let Some(group) = groups.pop() {
                let Some((best, rest)) = group.split_first() else { continue };
                if ranked.len() >= most {
                    return ranked;
                }
                ranked.push(*best);
                if !rest.is_empty() {
                    let at = groups.partition_point(|other| heads(other, rest).is_gt());
                    groups.insert(at, rest);
                }
            }
        }
        ranked
    }

    fn keep_least(&mut self, rung: Rung, key: Least) {
        let Some(least) = self.standing.iter().map(key).min() else { return };
        let fallen = &mut self.fallen;
        self.standing.retain(|c| {
            let stays = key(c) == least;
            if !stays {
                fallen.push((c.path, rung));
            }
            stays
        });
    }

    /// Throws off every route that another of the same neighbouring AS beats by MED: all at once, so that no order matters.
    fn keep_least_med(&mut self, rung: Rung, options: DecisionOptions) {
        let group = |c: &Candidate| c.med_group(options);
        let mut least: Vec<(u32, u64)> = self.standing.iter().map(|c| (group(c), c.med(options))).collect();
        least.sort_unstable();
        least.dedup_by_key(|&mut (neighbour, _)| neighbour);
        let fallen = &mut self.fallen;
        self.standing.retain(|c| {
            let best =
                least.binary_search_by_key(&group(c), |&(neighbour, _)| neighbour).map(|at| least[at].1);
            let stays = best.is_ok_and(|best| c.med(options) == best);
            if !stays {
                fallen.push((c.path, rung));
            }
            stays
        });
    }
}

/// Compares what is left of two neighbouring AS by the best of each.
fn heads(a: &[Candidate], b: &[Candidate]) -> Ordering {
    match (a.first(), b.first()) {
        (Some(a), Some(b)) => a.below_med(b),
        _ => a.len().cmp(&b.len()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidate(path: u32) -> Candidate {
        Candidate {
            path,
            long_lived_stale: false,
            preference: 100,
            local: false,
            local_pref: 100,
            aigp: None,
            as_path_length: 1,
            origin: 0,
            med: None,
            neighbour_as: 0,
            external: false,
            interior_cost: 0,
            oldest: false,
            router_id: 0,
            cluster_list_length: 0,
            peer_address: 0,
            path_id: path,
        }
    }

    /// The best, and every loser with its rung, in the order of their names.
    fn climb(candidates: &[Candidate], options: DecisionOptions) -> (Option<u32>, Vec<(u32, Rung)>) {
        let mut ladder = Ladder::default();
        ladder.extend(candidates.iter().copied());
        let best = ladder.climb(options);
        ladder.fallen.sort_unstable_by_key(|&(path, _)| path);
        (best, ladder.fallen)
    }

    /// Calls `each` with every order of the candidates (Heap's algorithm).
    fn permute(candidates: &mut [Candidate], count: usize, each: &mut impl FnMut(&[Candidate])) {
        if count <= 1 {
            return each(candidates);
        }
        for at in 0..count {
            permute(candidates, count - 1, each);
            candidates.swap(if count.is_multiple_of(2) { at } else { 0 }, count - 1);
        }
    }

    fn any_candidate() -> impl Strategy<Value = Candidate> {
        let preference = (
            (prop::bool::weighted(0.1), prop::bool::weighted(0.2), 99..101u32),
            99..101u32,
            1..3u32,
            0..2u8,
            prop::option::of(0..3u32),
            0..3u32,
        );
        // AIGP and interior cost so that sums meet, and at the end of the range.
        let aigp = prop_oneof![4 => Just(None), 3 => (0..3u64).prop_map(Some), 1 => Just(Some(u64::MAX))];
        let ties = (any::<bool>(), 0..3u32, 0..2u32, 0..2u32, 0..2u128, aigp, prop::bool::weighted(0.3));
        (preference, ties).prop_map(
            |(((local, long_lived_stale, preference), local_pref, length, origin, med, neighbour), ties)| {
                Candidate {
                    local,
                    long_lived_stale,
                    preference,
                    local_pref,
                    as_path_length: length,
                    origin,
                    med,
                    neighbour_as: neighbour,
                    external: ties.0,
                    interior_cost: ties.1,
                    router_id: ties.2,
                    cluster_list_length: ties.3,
                    peer_address: ties.4,
                    aigp: ties.5,
                    oldest: ties.0 && ties.6,
                    ..candidate(0)
                }
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_order_of_up_to_six_candidates_changes_the_best_or_any_rung(
            mut candidates in prop::collection::vec(any_candidate(), 1..=6),
            always_compare_med: bool,
            missing_med_as_worst: bool,
        ) {
            for (name, candidate) in (0..).zip(&mut candidates) {
                (candidate.path, candidate.path_id) = (name, name);
            }
            let options = DecisionOptions { always_compare_med, missing_med_as_worst, ..DecisionOptions::default() };
            let first = climb(&candidates, options);
            prop_assert_eq!(first.1.len(), candidates.len() - 1);
            let count = candidates.len();
            permute(&mut candidates, count, &mut |order| assert_eq!(climb(order, options), first));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_next_in_rank_is_the_best_of_those_that_are_left(
            mut candidates in prop::collection::vec(any_candidate(), 1..=9),
            always_compare_med: bool,
            missing_med_as_worst: bool,
            most in 1..10usize,
        ) {
            for (name, candidate) in (0..).zip(&mut candidates) {
                (candidate.path, candidate.path_id) = (name, name);
            }
            let options = DecisionOptions { always_compare_med, missing_med_as_worst, ..DecisionOptions::default() };
            let mut ladder = Ladder { standing: candidates.clone(), fallen: Vec::new() };
            let ranked: Vec<u32> = ladder.rank(options, most).iter().map(|c| c.path).collect();
            let mut expected = Vec::new();
            while let Some(best) = climb(&candidates, options).0.filter(|_| expected.len() < most) {
                expected.push(best);
                candidates.retain(|c| c.path != best);
            }
            prop_assert_eq!(ranked, expected);
        }
    }

    #[test]
    fn multi_exit_disc_is_the_one_rung_without_a_key() {
        assert!(LADDER.iter().enumerate().all(|(at, (_, least))| least.is_none() == (at == MED)));
    }

    #[test]
    fn each_rung_decides_when_all_above_it_are_equal() {
        struct Worse(Rung, fn(&mut Candidate));
        let worse = [
            Worse(Rung::LongLivedStale, |c| c.long_lived_stale = true),
            Worse(Rung::Preference, |c| c.preference = 99),
            Worse(Rung::Local, |c| c.local = false),
            Worse(Rung::LocalPref, |c| c.local_pref = 99),
            Worse(Rung::Aigp, |c| c.aigp = Some(9)),
            Worse(Rung::AsPathLength, |c| c.as_path_length = 2),
            Worse(Rung::Origin, |c| c.origin = 2),
            Worse(Rung::MultiExitDisc, |c| c.med = Some(1)),
            Worse(Rung::External, |c| c.external = false),
            // The same sum with AIGP.
            Worse(Rung::InteriorCost, |c| (c.interior_cost, c.aigp) = (1, c.aigp.map(|aigp| aigp - 1))),
            Worse(Rung::Oldest, |c| c.oldest = false),
            Worse(Rung::RouterId, |c| c.router_id = 1),
            Worse(Rung::ClusterListLength, |c| c.cluster_list_length = 1),
            Worse(Rung::PeerAddress, |c| c.peer_address = 1),
            Worse(Rung::PathId, |c| c.path_id = 2),
        ];
        for (at, Worse(rung, spoil)) in worse.iter().enumerate() {
            let mut good = Candidate {
                local: true,
                aigp: Some(5),
                external: true,
                oldest: true,
                path_id: 1,
                ..candidate(1)
            };
            let mut bad = Candidate { path: 2, ..good };
            spoil(&mut bad);
            // Everything further down speaks for the loser and must not be heard.
            worse[at + 1..].iter().for_each(|Worse(_, spoil)| spoil(&mut good));
            assert_eq!(
                climb(&[bad, good], DecisionOptions::default()),
                (Some(1), vec![(2, *rung)]),
                "{rung}"
            );
        }
    }

    #[test]
    fn aigp_counts_with_the_way_to_the_next_hop_and_before_the_path() {
        let routes = [
            Candidate { aigp: Some(100), interior_cost: 30, as_path_length: 1, ..candidate(1) },
            Candidate { aigp: Some(110), interior_cost: 10, as_path_length: 5, ..candidate(2) },
            Candidate { aigp: Some(120), interior_cost: 0, as_path_length: 6, ..candidate(3) },
            Candidate { aigp: None, ..candidate(4) },
        ];
        let got = climb(&routes, DecisionOptions::default());
        assert_eq!(got, (Some(2), vec![(1, Rung::Aigp), (3, Rung::AsPathLength), (4, Rung::Aigp)]));
    }

    #[test]
    fn an_aigp_at_the_end_of_the_range_is_better_than_none() {
        let most = Candidate { aigp: Some(u64::MAX), interior_cost: 7, as_path_length: 9, ..candidate(1) };
        assert_eq!(climb(&[most, candidate(2)], DecisionOptions::default()).1, [(2, Rung::Aigp)]);
    }

    #[test]
    fn what_is_equal_by_aigp_and_farther_away_is_no_equal_way() {
        let routes = [
            Candidate { aigp: Some(10), interior_cost: 2, ..candidate(1) },
            Candidate { aigp: Some(11), interior_cost: 1, ..candidate(2) },
            Candidate { aigp: Some(11), interior_cost: 1, ..candidate(3) },
        ];
        let mut ladder = Ladder::default();
        ladder.extend(routes.into_iter());
        assert_eq!(ladder.climb(DecisionOptions::default()), Some(2));
        assert_eq!(ladder.equals().collect::<Vec<_>>(), [3]);
        assert_eq!(ladder.fallen[0], (1, Rung::InteriorCost));
    }

    #[test]
    fn med_is_compared_within_one_neighbouring_as_before_anything_else() {
        // Pairwise comparison would go round in circles here: 1 beats 2 by MED, 2 beats 3 by router id, 3 beats 1 by router id.
        let routes = [
            Candidate { neighbour_as: 7, med: Some(10), router_id: 9, ..candidate(1) },
            Candidate { neighbour_as: 7, med: Some(20), router_id: 1, ..candidate(2) },
            Candidate { neighbour_as: 8, med: Some(0), router_id: 5, ..candidate(3) },
        ];
        let got = climb(&routes, DecisionOptions::default());
        assert_eq!(got, (Some(3), vec![(1, Rung::RouterId), (2, Rung::MultiExitDisc)]));
    }

    #[test]
    fn a_missing_med_is_the_best_unless_asked_to_be_the_worst() {
        let routes = [Candidate { med: None, ..candidate(1) }, Candidate { med: Some(0), ..candidate(2) }];
        let worst = DecisionOptions { missing_med_as_worst: true, ..DecisionOptions::default() };
        assert_eq!(climb(&routes, DecisionOptions::default()).1, [(2, Rung::PathId)]);
        assert_eq!(climb(&routes, worst).1, [(1, Rung::MultiExitDisc)]);
    }

    #[test]
    fn med_between_neighbouring_as_counts_only_when_asked_for() {
        let routes = [
            Candidate { neighbour_as: 7, med: Some(10), ..candidate(1) },
            Candidate { neighbour_as: 8, med: Some(5), ..candidate(2) },
        ];
        let always = DecisionOptions { always_compare_med: true, ..DecisionOptions::default() };
        assert_eq!(climb(&routes, DecisionOptions::default()).0, Some(1));
        assert_eq!(climb(&routes, always).0, Some(2));
    }
}
