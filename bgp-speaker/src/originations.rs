//! What each owner originates, so that only what differs goes to the tables.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use bgp_rib::OwnerId;
use ipnet::IpNet;

use crate::desired::{Change, ChangeClass, Subject};
use crate::error::SpeakerError;
use crate::route::Route;

/// The originations of one speaker. A route that has nothing but its prefix takes no memory of its own.
#[derive(Debug, Default)]
pub(crate) struct Originations {
    owners: HashMap<OwnerId, HashMap<IpNet, Option<Box<Route>>, foldhash::fast::RandomState>>,
}

/// What has to go to the tables for one owner.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) announced: Vec<Route>,
    pub(crate) withdrawn: Vec<IpNet>,
}

/// Who originates what is learned from the kernel: not the caller, and so nothing that the caller's desired state ends.
pub(crate) const LEARNED: OwnerId = OwnerId(u32::MAX);

/// Refuses a caller's routes of the owner that is not the caller's.
pub(crate) fn check_owner(owner: OwnerId) -> Result<(), SpeakerError> {
    if owner == LEARNED { Err(SpeakerError::ReservedOwner) } else { Ok(()) }
}

impl Originations {
    /// Notes what an owner announces; what it announces already in the same way is taken out of `routes`.
    pub(crate) fn announce(&mut self, owner: OwnerId, routes: &mut Vec<Route>) {
        let held = self.owners.entry(owner).or_default();
        canonical(routes);
        routes.retain(|route| {
            let kept = keep(route);
            let known = held.get(&route.prefix).is_some_and(|before| *before == kept);
            if !known {
                held.insert(route.prefix, kept);
            }
            !known
        });
    }

    /// Notes what an owner withdraws; what it does not announce is taken out of `prefixes`.
    pub(crate) fn withdraw(&mut self, owner: OwnerId, prefixes: &mut Vec<IpNet>) {
        let Some(held) = self.owners.get_mut(&owner) else {
            prefixes.clear();
            return;
        };
        prefixes.retain(|prefix| held.remove(prefix).is_some());
        if held.is_empty() {
            self.owners.remove(&owner);
        }
    }

    /// What an owner announces.
    pub(crate) fn prefixes_of(&self, owner: OwnerId) -> Vec<IpNet> {
        self.owners.get(&owner).map(|held| held.keys().copied().collect()).unwrap_or_default()
    }

    /// Notes what owners announce and withdraw; what has to go to the tables for that, by owner, and each change. What an
    /// owner does both with is announced.
    pub(crate) fn step(
        &mut self,
        announced: BTreeMap<OwnerId, Vec<Route>>,
        withdrawn: BTreeMap<OwnerId, Vec<IpNet>>,
    ) -> (BTreeMap<OwnerId, Difference>, Vec<Change>) {
        let (mut differences, mut changes) = (BTreeMap::<_, Difference>::new(), Vec::new());
        let mut gone: BTreeMap<OwnerId, BTreeSet<IpNet>> = withdrawn
            .into_iter()
            .map(|(owner, prefixes)| (owner, prefixes.iter().map(IpNet::trunc).collect()))
            .collect();
        for (owner, mut routes) in announced {
            canonical(&mut routes);
            if let Some(gone) = gone.get_mut(&owner) {
                routes.iter().for_each(|route| _ = gone.remove(&route.prefix));
            }
            let held = self.owners.get(&owner);
            let there: HashSet<IpNet> = held
                .map(|held| routes.iter().map(|r| r.prefix).filter(|p| held.contains_key(p)).collect())
                .unwrap_or_default();
            self.announce(owner, &mut routes);
            let why = |prefix| if there.contains(prefix) { "attributes changed" } else { "announced" };
            // Of one prefix that is named twice, the last counts.
            let last: BTreeSet<IpNet> = routes.iter().map(|route| route.prefix).collect();
            changes.extend(last.iter().map(|prefix| change(owner, *prefix, why(prefix))));
            differences.entry(owner).or_default().announced = routes;
        }
        for (owner, gone) in gone {
            let mut prefixes: Vec<IpNet> = gone.into_iter().collect();
            self.withdraw(owner, &mut prefixes);
            changes.extend(prefixes.iter().map(|prefix| change(owner, *prefix, "withdrawn")));
            differences.entry(owner).or_default().withdrawn = prefixes;
        }
        differences.retain(|_, difference| *difference != Difference::default());
        (differences, changes)
    }

    /// Makes this all that there is; what has to go to the tables for that, by owner, and each change.
    pub(crate) fn become_all(
        &mut self,
        wanted: &BTreeMap<OwnerId, Vec<Route>>,
    ) -> (BTreeMap<OwnerId, Difference>, Vec<Change>) {
        let (mut differences, mut changes) = (BTreeMap::new(), Vec::new());
        let owners: Vec<OwnerId> = self
            .owners
            .keys()
            .copied()
            .filter(|owner| *owner != LEARNED && !wanted.contains_key(owner))
            .collect();
        for owner in owners {
            let withdrawn: Vec<IpNet> = self.owners.remove(&owner).unwrap_or_default().into_keys().collect();
            changes.extend(withdrawn.iter().map(|prefix| change(owner, *prefix, "withdrawn")));
            differences.insert(owner, Difference { withdrawn, ..Difference::default() });
        }
        for (owner, routes) in wanted {
            let difference = self.owner_becomes(*owner, routes, &mut changes);
            if difference != Difference::default() {
                differences.insert(*owner, difference);
            }
        }
        (differences, changes)
    }

    fn owner_becomes(&mut self, owner: OwnerId, routes: &[Route], changes: &mut Vec<Change>) -> Difference {
        let before = self.owners.remove(&owner).unwrap_or_default();
        let mut held =
            HashMap::with_capacity_and_hasher(routes.len(), foldhash::fast::RandomState::default());
        held.extend(routes.iter().map(|route| (route.prefix.trunc(), keep(route))));
        let mut difference = Difference::default();
        for (prefix, kept) in &held {
            let why = match before.get(prefix) {
                Some(former) if former == kept => continue,
                Some(_) => "attributes changed",
                None => "announced",
            };
            changes.push(change(owner, *prefix, why));
            let route = kept.as_deref().cloned().unwrap_or_else(|| Route::new(*prefix));
            difference.announced.push(route);
        }
        difference.withdrawn.extend(before.into_keys().filter(|prefix| !held.contains_key(prefix)));
        changes.extend(difference.withdrawn.iter().map(|prefix| change(owner, *prefix, "withdrawn")));
        if !held.is_empty() {
            self.owners.insert(owner, held);
        }
        difference
    }
}

/// Clears the host bits of prefixes: a caller may write them into the field, and they make no other route.
fn canonical(routes: &mut [Route]) {
    routes.iter_mut().for_each(|route| route.prefix = route.prefix.trunc());
}

fn keep(route: &Route) -> Option<Box<Route>> {
    let prefix = route.prefix.trunc();
    let plain = *route == Route { prefix: route.prefix, ..Route::new(prefix) };
    (!plain).then(|| Box::new(Route { prefix, ..route.clone() }))
}

fn change(owner: OwnerId, prefix: IpNet, why: &str) -> Change {
    Change { subject: Subject::Route(owner, prefix), class: ChangeClass::Soft, why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: OwnerId = OwnerId(1);

    fn route(third: u8) -> Route {
        Route::new(IpNet::new([10, 0, third, 0].into(), 24).unwrap())
    }

    fn wanted(routes: impl IntoIterator<Item = Route>) -> BTreeMap<OwnerId, Vec<Route>> {
        BTreeMap::from([(OWNER, routes.into_iter().collect())])
    }

    #[test]
    fn only_what_differs_goes_to_the_tables() {
        let mut all = Originations::default();
        all.become_all(&wanted([route(1), route(2), route(3)]));
        let (differences, changes) = all.become_all(&wanted([route(1), route(2).med(7), route(4)]));
        let difference = &differences[&OWNER];
        let mut announced = difference.announced.clone();
        announced.sort_by_key(|r| r.prefix);
        assert_eq!(announced, [route(2).med(7), route(4)]);
        assert_eq!(difference.withdrawn, [route(3).prefix]);
        assert_eq!(changes.len(), 3);
        let (differences, changes) = all.become_all(&wanted([route(1), route(2).med(7), route(4)]));
        assert!(differences.is_empty() && changes.is_empty());
    }

    #[test]
    fn a_step_tells_what_it_changed_and_the_whole_state_goes_on_from_there() {
        let mut all = Originations::default();
        all.become_all(&wanted([route(1), route(2), route(3)]));
        let announced = wanted([route(1), route(2).med(7), route(4), route(5)]);
        let withdrawn = BTreeMap::from([
            (OWNER, vec![route(3).prefix, route(4).prefix, route(9).prefix]),
            (OwnerId(7), vec![route(1).prefix]),
        ]);
        let (differences, changes) = all.step(announced, withdrawn);
        assert_eq!(differences.len(), 1);
        assert_eq!(differences[&OWNER].announced, [route(2).med(7), route(4), route(5)]);
        assert_eq!(differences[&OWNER].withdrawn, [route(3).prefix]);
        let words: Vec<&str> = changes.iter().map(|change| change.why.as_str()).collect();
        assert_eq!(words, ["attributes changed", "announced", "announced", "withdrawn"]);
        let (differences, changes) = all.become_all(&wanted([route(1), route(2).med(7), route(4), route(5)]));
        assert!(differences.is_empty() && changes.is_empty());
    }

    #[test]
    fn an_owner_that_is_not_named_has_nothing() {
        let mut all = Originations::default();
        all.announce(OwnerId(9), &mut vec![route(1)]);
        let (differences, _) = all.become_all(&BTreeMap::new());
        assert_eq!(differences[&OwnerId(9)].withdrawn, [route(1).prefix]);
        assert!(all.owners.is_empty());
    }

    #[test]
    fn host_bits_make_no_other_route() {
        let with_host =
            |third: u8| Route { prefix: IpNet::new([10, 0, third, 7].into(), 24).unwrap(), ..route(third) };
        let mut all = Originations::default();
        all.announce(OWNER, &mut vec![route(1)]);
        assert!(all.become_all(&wanted([with_host(1)])).0.is_empty(), "it is there already");
        let mut again = vec![with_host(1), with_host(2)];
        all.announce(OWNER, &mut again);
        assert_eq!(again, [route(2)]);
        let (differences, changes) =
            all.step(wanted([with_host(3)]), BTreeMap::from([(OWNER, vec![route(2).prefix])]));
        assert_eq!(differences[&OWNER].announced, [route(3)]);
        assert_eq!(differences[&OWNER].withdrawn, [route(2).prefix]);
        assert_eq!(changes.len(), 2);
    }

    #[test]
    fn what_is_announced_already_and_what_never_was_is_left_out() {
        let mut all = Originations::default();
        all.announce(OWNER, &mut vec![route(1)]);
        let mut again = vec![route(1), route(2)];
        all.announce(OWNER, &mut again);
        assert_eq!(again, [route(2)]);
        let mut gone = vec![route(1).prefix, route(5).prefix];
        all.withdraw(OWNER, &mut gone);
        assert_eq!(gone, [route(1).prefix]);
    }
}
