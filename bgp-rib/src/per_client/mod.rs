//! The best of what may go, for each peer by itself: where the best route is kept from a peer, it is told the best of the
//! others (RFC 7947 §2.3.1: without that, a route server's policy hides paths from its clients).
//!
//! A group that asks for this still reads the log of best routes. What its rules make of a prefix is found when it is
//! encoded: the first route in the order of rank that may go, and for a member that this one came from, or leads through,
//! the first that does not. So most prefixes cost a group nothing. Those for which it has another choice than the best
//! route are in its [`OwnBest`], with a log of its own: there stands what changed for the group while the best route did
//! not, until the last member has read it. Memory is what differs between the group and the Loc-RIB, and no more.

mod collect;
mod own_best;

pub(crate) use collect::collect;
pub(crate) use own_best::OwnBest;

use crate::batch::through;
use crate::decision::Ladder;
use crate::export::{self, GroupKey, Offer};
use crate::group::{Group, Reader};
use crate::pack;
use crate::path::Path;
use crate::prefix::Key;
use crate::slab::NONE;
use crate::table::{MANY, Shared, State, Table, Touched};

/// A route that a group may be told.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) path: u32,
    pub(crate) offer: Offer,
    /// Members that it is kept from: the one that told it, and the one that it leads through.
    pub(crate) except: [u32; 2],
}

/// What the members of a group are told of a prefix.
#[derive(Debug, Default)]
pub(crate) struct Choice {
    pub(crate) main: Option<Way>,
    /// What goes to those that `main` is kept from.
    pub(crate) instead: Vec<(u32, Option<Way>)>,
}

impl<K: Key> Table<K> {
    /// Whether export policy is what the best route of a prefix is held back by.
    pub(super) fn rejects_best(&self, shared: &Shared, key: &GroupKey, id: u32) -> bool {
        let best = self.best_path(id).filter(|_| !key.export.accepts_all());
        let offer = best.map(|best| export::offer(shared, key, &self.outbound(best)));
        matches!(offer, Some(Err(export::HeldBack::ExportPolicy)))
    }
}

impl Choice {
    /// What one member is told.
    pub(crate) fn of(&self, member: u32) -> Option<&Way> {
        match self.instead.iter().find(|(other, _)| *other == member) {
            Some((_, way)) => way.as_ref(),
            None => self.main.as_ref(),
        }
    }

    /// The names of paths where they differ from "the best, and nothing to those that it is kept from".
    fn names(&self, best: u32) -> Names {
        let main = self.main.as_ref().map(|way| way.path).filter(|&path| path != best).unwrap_or(NONE);
        let mut names = Names { main, ..Names::default() };
        let told = self.instead.iter().filter_map(|(member, way)| Some((*member, way.as_ref()?.path)));
        names.instead.iter_mut().zip(told).for_each(|(place, told)| *place = told);
        names
    }
}

/// A choice by the names of paths.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Names {
    /// `NONE` for the best route, if that may go.
    main: u32,
    /// Members with what they are told instead.
    instead: [(u32, u32); 2],
}

impl Names {
    /// Members that are told something instead.
    fn members(&self) -> impl Iterator<Item = u32> {
        self.instead.into_iter().map(|(member, _)| member).filter(|&member| member != NONE)
    }
}

impl Default for Names {
    fn default() -> Self {
        Self { main: NONE, instead: [(NONE, NONE); 2] }
    }
}

/// What came of looking at a group's choice again.
#[derive(Clone, Copy, Default)]
struct Review {
    /// There is news that the log of best routes does not tell.
    news: bool,
    /// It is, was, or may have been another than the best route.
    differs: bool,
}

impl<K: Key> Table<K> {
    /// Whether a peer reads what a group is told.
    pub(crate) fn reads(&self, slot: u32, group: u32) -> bool {
        self.reader(slot).is_some_and(|reader| reader.group == group)
    }

    /// What the members of a group with such a key are told of a prefix. Nothing is remembered of what they were told.
    pub(crate) fn choice(
        &self,
        shared: &Shared,
        key: &GroupKey,
        id: u32,
        member: impl Fn(u32) -> bool,
    ) -> Choice {
        if self.entries[id].state != State::Best {
            return Choice::default();
        }
        let best = self.entries[id].paths;
        let mut main = self.way(shared, key, best, &member);
        let mut instead: Vec<(u32, Option<Way>)> = Vec::new();
        let kept_from = |way: &Way| -> Vec<(u32, Option<Way>)> {
            way.except.into_iter().filter(|&member| member != NONE).map(|member| (member, None)).collect()
        };
        if let Some(way) = &main {
            instead = kept_from(way);
        }
        let done = key.best_per_client && main.is_some() && instead.is_empty();
        if !key.best_per_client || done || self.is_alone(id) {
            return Choice { main, instead };
        }
        for at in self.ranked(shared, id).into_iter().filter(|&at| at != best) {
            let Some(way) = self.way(shared, key, at, &member) else { continue };
            if main.is_none() {
                instead = kept_from(&way);
                main = Some(way);
            } else {
                // One way may serve both of those that the first is kept from.
                let open = instead.iter_mut().filter(|(_, told)| told.is_none());
                for (_, told) in open.filter(|(member, _)| !way.except.contains(member)) {
                    *told = self.way(shared, key, at, &member);
                }
            }
            if instead.iter().all(|(_, told)| told.is_some()) {
                break;
            }
        }
        Choice { main, instead }
    }

    /// The route that one peer is told of a prefix, with such a key.
    pub(crate) fn path_to(&self, shared: &Shared, key: &GroupKey, id: u32, slot: u32) -> Option<u32> {
        self.choice(shared, key, id, |other| other == slot).of(slot).map(|way| way.path)
    }

    /// A path as a way for a group, if it may be told.
    fn way(&self, shared: &Shared, key: &GroupKey, at: u32, member: impl Fn(u32) -> bool) -> Option<Way> {
        let path = &self.paths[at];
        let offer = export::offer(shared, key, &self.outbound(path)).ok()?;
        pack::is_sendable(&key.codec, self.family, self.nlri(at)).ok()?;
        let through = through(shared, path.attributes, offer.next_hop);
        let only = |slot: u32| if member(slot) { slot } else { NONE };
        let (source, through) = (only(path.peer), only(through));
        let except = [source, if through == source { NONE } else { through }];
        Some(Way { path: at, offer, except })
    }

    /// Whether a prefix has just one path.
    fn is_alone(&self, id: u32) -> bool {
        let entry = &self.entries[id];
        !entry.long && entry.paths != NONE && self.paths[entry.paths].next == NONE
    }

    /// The eligible paths of a prefix in the order of rank.
    pub(crate) fn ranked(&self, shared: &Shared, id: u32) -> Vec<u32> {
        let mut ladder = Ladder::default();
        self.fill(shared, &mut ladder, self.paths_of(id));
        ladder.rank(shared.config.decision, usize::MAX).iter().map(|c| c.path).collect()
    }

    /// A prefix was decided: groups with a choice of their own hear of what changed for them alone. `moved`: the log of best
    /// routes tells of it anyway; it `stood` there before.
    pub(crate) fn follow_choices(
        &mut self,
        shared: &Shared,
        id: u32,
        touched: Touched,
        (moved, stood): (bool, Option<u64>),
    ) {
        let mut groups = core::mem::take(&mut self.groups);
        let mut news = 0;
        for (index, group) in groups.choosing() {
            let review = self.review(shared, (index, group), id, touched, (moved, stood));
            news += u64::from(review.news);
            if review.differs {
                // Whoever told the best route may have been told another.
                self.entries[id].sole = MANY;
            }
        }
        groups.own_news += news;
        self.groups = groups;
    }

    /// Brings one group's choice up to date.
    fn review(
        &self,
        shared: &Shared,
        (index, group): (u32, &mut Group),
        id: u32,
        touched: Touched,
        (moved, stood): (bool, Option<u64>),
    ) -> Review {
        let Group { key, own: Some(own), cache, idle, members, .. } = group else { return Review::default() };
        let now = self.names_of(shared, key, id, index);
        let was = own.names(id);
        own.set(id, now);
        // What stands nowhere in the log of best routes nobody was told.
        let unknown = id >= own.looked && self.log.position(id).is_some();
        let unknown = own.take_unsettled(id) || unknown;
        let differs = unknown || [was, now].iter().any(|names| *names != Names::default());
        let changed = |path: u32| path != NONE && [touched.only, touched.renamed].contains(&Some(path));
        if moved {
            // Another route is best, and this group is told the same as before: whoever had been told that has it.
            let told = if now.main == NONE { self.entries[id].paths } else { now.main };
            let stands = self.entries[id].state == State::Best;
            let main =
                if was.main == NONE { stands && self.was_best(told, touched) } else { was.main == told };
            let same = stands && main && was.instead == now.instead && !unknown && !changed(told);
            // What was kept back a moment ago, by an aggregate or its validity, may not have been told.
            let settled = shared.aggregates.is_empty() && self.rescan.is_none();
            let same = same && settled && touched.renamed.is_none() && !own.is_pending(id);
            let same = same && !now.instead.iter().any(|&(_, path)| changed(path));
            let has_read = |slot: &u32, stood| {
                self.reader(*slot).is_some_and(|reader| reader.cursor > stood && reader.refresh.is_none())
            };
            let all = idle.len() == *members as usize;
            let read = |stood| all && idle.iter().all(|slot| has_read(slot, stood));
            let quiet = same && stood.is_some_and(|stood| own.is_quiet(id, stood) || read(stood));
            own.unlog(id);
            own.set_quiet(id, self.log.position(id).filter(|_| quiet));
            return Review { differs, news: false };
        }
        let main = was.main != now.main || changed(now.main) || unknown;
        let news = main || was.instead != now.instead || now.instead.iter().any(|&(_, path)| changed(path));
        if news {
            own.touch(id, main);
            // What is cached tells the former choice.
            cache.clear();
        }
        Review { differs, news }
    }

    /// Whether a path of a prefix looks as the one that was best.
    fn was_best(&self, path: u32, touched: Touched) -> bool {
        touched.before.is_some_and(|before| {
            let path = &self.paths[path];
            (before.peer, before.attributes) == (path.peer, path.attributes)
        })
    }

    fn names_of(&self, shared: &Shared, key: &GroupKey, id: u32, index: u32) -> Names {
        if self.entries[id].state != State::Best || self.is_alone(id) {
            return Names::default();
        }
        self.choice(shared, key, id, |slot| self.reads(slot, index)).names(self.entries[id].paths)
    }

    /// The same of a choice that was made.
    fn names_in(&self, id: u32, choice: &Choice) -> Names {
        let stands = self.entries[id].state == State::Best && !self.is_alone(id);
        if stands { choice.names(self.entries[id].paths) } else { Names::default() }
    }

    /// Some paths of a prefix mean something else to those who hear of them.
    pub(crate) fn retell_choices(&mut self, id: u32, paths: &[u32]) {
        if !self.groups.choose() {
            return;
        }
        let mut news = 0;
        for (_, group) in self.groups.choosing() {
            let Group { own: Some(own), cache, .. } = group else { continue };
            let names = own.names(id);
            let main = paths.contains(&names.main);
            if main || names.instead.iter().any(|(_, path)| paths.contains(path)) {
                own.touch(id, main);
                cache.clear();
                news += 1;
            }
        }
        self.groups.own_news += news;
    }

    /// A member of a group is to be told everything again, and the head of its log is there.
    pub(crate) fn tell_all_choices(&mut self, group: u32, head: u64) {
        if let Some(Group { own: Some(own), cache, .. }) = self.groups.get_mut(group) {
            own.tell_all(head);
            cache.clear();
        }
    }

    /// Looks at prefixes that a group does not know its choice for, `turn` of them at most. Not while something that changed
    /// is to be decided yet: what would be found is not what members may have been told before it changed, and the decision
    /// makes up for what is not known.
    pub(crate) fn continue_looking(&mut self, shared: &Shared, turn: u32) {
        if !self.groups.choose() || self.rescan.is_some() {
            return;
        }
        let bound = self.entries.bound();
        let mut groups = core::mem::take(&mut self.groups);
        let looking = |group: &Group| group.own.as_ref().is_some_and(|own| own.is_looking());
        if let Some((index, group)) = groups.choosing().find(|(_, group)| looking(group))
            && let Group { key, own: Some(own), .. } = group
        {
            let end = own.looked.saturating_add(turn);
            for id in own.looked..end.min(bound) {
                if self.entries[id].state != State::Free {
                    let names = self.names_of(shared, key, id, index);
                    if names != Names::default() {
                        self.entries[id].sole = MANY;
                    }
                    own.set(id, names);
                }
            }
            own.looked = if end < bound { end } else { u32::MAX };
        }
        self.groups = groups;
    }

    /// Whether some group does not know all its choices.
    pub(crate) fn is_looking(&self) -> bool {
        self.groups.choose() && self.groups.iter().any(|g| g.own.as_ref().is_some_and(|own| own.is_looking()))
    }

    fn own_of(&self, reader: &Reader) -> Option<&OwnBest> {
        self.groups.get(reader.group)?.own.as_deref()
    }

    /// Whether there is news for a reader's group that it has not been told.
    pub(crate) fn owes_choices(&self, reader: &Reader) -> bool {
        self.own_of(reader).is_some_and(|own| reader.own < own.log().head())
    }

    /// Whether a reader has been handed out its group's choice for a prefix.
    pub(crate) fn is_told_choice(&self, id: u32, reader: &Reader) -> bool {
        self.own_of(reader).is_none_or(|own| own.is_read(id, reader.own))
    }

    /// The head of a group's own log, and that a member has read from one place in it to another.
    pub(crate) fn own_head(&self, reader: &Reader) -> u64 {
        self.own_of(reader).map_or(0, |own| own.log().head())
    }

    pub(crate) fn has_read_choices(&mut self, slot: u32, from: u64, to: u64) {
        let Some(reader) = self.reader_mut(slot) else { return };
        reader.own = to;
        let index = reader.group;
        if let Some(own) = self.groups.get_mut(index).and_then(|group| group.own.as_deref_mut()) {
            own.read(from, to);
        }
    }

    /// How many of the prefixes that stand in a group a member does not have, as it told the route itself and there is
    /// nothing to tell it instead.
    pub(crate) fn without_choice(&self, slot: u32, group: &Group, own: &OwnBest) -> u32 {
        let first = self.peer(slot).map_or(NONE, |peer| peer.newest);
        let paths = core::iter::successors((first != NONE).then_some(first), |&at| {
            let older = self.paths[at].older;
            (older != NONE).then_some(older)
        });
        let lacks = |at: &u32| {
            let Path { prefix, .. } = self.paths[*at];
            let names = own.names(prefix);
            let main = if names.main == NONE { self.entries[prefix].paths } else { names.main };
            let instead = names.instead.iter().any(|&(member, _)| member == slot);
            main == *at && !instead && group.standing.contains(prefix)
        };
        u32::try_from(paths.filter(lacks).count()).unwrap_or(u32::MAX)
    }

    /// The same for a member that told very many routes: so many of them are `best`, and for most of those that may go the
    /// group has no other choice.
    pub(crate) fn without_choice_about(own: &OwnBest, slot: u32, best: u32) -> u32 {
        best.saturating_sub(own.told_instead(slot))
    }
}
