//! What a stretch of a log says to a group whose members are told the best of what may go to each.

use bgp_wire::NextHop;

use super::{Choice, Way};
use crate::attributes::AttributesId;
use crate::batch::{Before, Draft, MAX_BYTES, Mode, Offered};
use crate::export::{self, GroupKey};
use crate::group::Group;
use crate::pack;
use crate::pieces::Audience;
use crate::prefix::Key;
use crate::slab::NONE;
use crate::table::{Shared, Table};

/// What members have of a prefix.
enum Had {
    /// Nothing.
    Nothing,
    /// Something, if any member was ever told of it.
    Unknown,
    /// This, by the rules of their former group.
    Known(Choice),
}

/// What is known of one prefix before it is told.
struct Told<'a> {
    id: u32,
    had: Had,
    /// The rules that `had` is by.
    former: &'a GroupKey,
    /// It comes after everything that was encoded for the group so far.
    fresh: bool,
    /// There is news for all members, not just for those that are told something instead.
    for_all: bool,
    /// Some member was told of it; the only one that all this ever came from.
    ever: bool,
    sole: u32,
}

/// Sorts prefixes into announcements and withdrawals; where the batch ends.
pub(crate) fn collect<K: Key>(
    table: &Table<K>,
    shared: &Shared,
    group: &mut Group,
    index: u32,
    draft: &mut Draft,
    (_, limit, mode): (u64, u64, Mode),
    names: impl Iterator<Item = (u64, u32)>,
) -> u64 {
    let former = match mode {
        Mode::Swap(former) if former != index => table.groups.get(former),
        _ => None,
    };
    let key = group.key.clone();
    let former_key = former.map_or(&key, |former| &former.key);
    let by_bits = matches!(mode, Mode::Swap(_)) && former_key.bound.is_some();
    let most = shared.config.batch_prefixes.max(1);
    let (mut bytes, mut last) = (0, None);
    for (count, (position, id)) in names.enumerate() {
        if count >= most || bytes >= MAX_BYTES {
            return position;
        }
        let own = group.own.as_deref();
        if mode == Mode::Follow && own.is_some_and(|own| own.is_quiet(id, position)) {
            continue;
        }
        let (fresh, for_all) = match own.filter(|_| mode == Mode::Own) {
            Some(own) => (own.is_fresh(position), own.concerns_all(id)),
            // A difference may be heard behind what came later: End-of-RIB does not wait for it.
            None => (position >= group.front || matches!(mode, Mode::Swap(_)), true),
        };
        let told_by = former.map_or(own, |former| former.own.as_deref());
        let bits = draft.bounded.as_ref().filter(|_| by_bits);
        // What the former rules make of a prefix now need not be what they made of it before something changed that is to be
        // decided yet.
        let changing = told_by.is_some() && matches!(mode, Mode::Swap(_)) && table.rescan.is_some();
        let had = match mode {
            Mode::Initial => Had::Nothing,
            Mode::Swap(_) if bits.is_some_and(|bounded| !bounded.has(id)) => Had::Nothing,
            Mode::Swap(_) if !changing && !told_by.is_some_and(|own| own.is_pending(id)) => {
                Had::Known(table.choice(shared, former_key, id, |slot| table.reads(slot, index)))
            }
            Mode::Swap(_) | Mode::Follow | Mode::Own | Mode::Refill => Had::Unknown,
        };
        let sole = table.sole_source(group.log, id);
        let sole = if table.reads(sole, index) && !changing { sole } else { NONE };
        // Of a member with a bound, its bits say from here on what it has.
        let ever = if key.bound.is_some() { group.ever.remove(id) } else { group.ever.contains(id) };
        let told = Told { id, had, former: former_key, fresh, for_all, ever, sole };
        let choice = table.choice(shared, &key, id, |slot| table.reads(slot, index));
        // So it is with what came in the turn in which an aggregate began to suppress it.
        let early = table.rescan.is_some() || table.suppresses;
        if let Some(own) = group.own.as_deref_mut().filter(|_| early) {
            own.told_early(id, table.names_in(id, &choice));
        }
        bytes += size_of::<K>();
        if fresh {
            group.reject(id, choice.main.is_none() && table.rejects_best(shared, &key, id));
        }
        if let Some(bound) = key.bound {
            told.tell_within(table, shared, &key, (bound.slot, choice), draft, (mode, by_bits));
        } else {
            bytes += told.tell(table, shared, group, draft, choice, &mut last);
        }
    }
    limit
}

impl Told<'_> {
    /// Tells a choice as far as it is news; about how many octets of attributes that takes.
    fn tell<K: Key>(
        &self,
        table: &Table<K>,
        shared: &Shared,
        group: &mut Group,
        draft: &mut Draft,
        choice: Choice,
        last: &mut Option<AttributesId>,
    ) -> usize {
        let mut bytes = 0;
        let mut say = |audience: Audience, way: Way, fresh: bool| {
            let path = &table.paths[way.path];
            if last.replace(path.attributes) != Some(path.attributes) {
                bytes += shared.attributes[path.attributes].bytes().len() + pack::MESSAGE_OVERHEAD;
            }
            let route = table.outbound(path);
            draft.tell(shared, audience, (&route, way.offer.edits), (self.id, way.path), fresh);
        };
        let Choice { main, instead } = choice;
        let Some(main) = main else {
            self.take_back(group, draft);
            return bytes;
        };
        let mut lost = Vec::new();
        for (member, way) in instead {
            match way {
                Some(way) if self.has(table, shared, &group.key, member, &way) => {}
                Some(way) => say(Audience::Only(member), way, false),
                None if self.may_have(member) => lost.push(member),
                None => {}
            }
        }
        let had = match &self.had {
            Had::Known(had) => {
                had.main.as_ref().is_some_and(|had| self.is_same(table, shared, &group.key, had, &main))
            }
            _ => false,
        };
        if self.for_all && !had {
            say(Audience::except(main.except), main, self.fresh);
        } else if self.fresh {
            group.stand(self.id, true);
        }
        lost.into_iter().for_each(|member| draft.take_back(Audience::Only(member), self.id));
        bytes
    }

    /// The same for a group whose only member is told so many routes and no more.
    fn tell_within<K: Key>(
        &self,
        table: &Table<K>,
        shared: &Shared,
        key: &GroupKey,
        (slot, choice): (u32, Choice),
        draft: &mut Draft,
        (mode, by_bits): (Mode, bool),
    ) {
        let Choice { main, instead } = choice;
        let own = instead.into_iter().find(|(member, _)| *member == slot);
        let way = own.map_or(main, |(_, way)| way);
        let held = match &self.had {
            Had::Nothing => false,
            Had::Unknown => self.ever,
            Had::Known(had) => had.of(slot).is_some(),
        };
        let same = way.as_ref().is_some_and(|way| self.has(table, shared, key, slot, way));
        let before = matches!(mode, Mode::Swap(_)).then_some(Before { held, except: [NONE; 2], same });
        let path = way.as_ref().map(|way| &table.paths[way.path]);
        let offered = Offered {
            attributes: path.map_or(AttributesId(NONE), |path| path.attributes),
            source: path.map_or(NONE, |path| path.peer),
            path: way.as_ref().map_or(NONE, |way| way.path),
            rejected: false,
            goes: way.is_some(),
            except: [NONE; 2],
            edits: draft.name(shared, way.and_then(|way| way.offer.edits)),
            before,
            alone: true,
        };
        let ever = !matches!(mode, Mode::Initial | Mode::Refill) && self.ever;
        draft.tell_within(Some(offered), (mode, by_bits), self.id, ever);
    }

    /// Nothing of the prefix may go to the group.
    fn take_back(&self, group: &mut Group, draft: &mut Draft) {
        let nobody = [NONE; 2];
        let but = match &self.had {
            Had::Nothing => None,
            Had::Unknown => (self.ever && self.for_all).then_some([self.sole, NONE]),
            Had::Known(had) => had.main.as_ref().map(|_| {
                let mut without =
                    had.instead.iter().filter(|(_, way)| way.is_none()).map(|(member, _)| *member);
                nobody.map(|_| without.next().unwrap_or(NONE))
            }),
        };
        if let Some(but) = but {
            draft.take_back(Audience::except(but), self.id);
        }
        if self.fresh {
            group.stand(self.id, false);
        }
    }

    /// Whether a member may have something of the prefix.
    fn may_have(&self, member: u32) -> bool {
        match &self.had {
            Had::Nothing => false,
            Had::Unknown => self.ever && member != self.sole,
            Had::Known(had) => had.of(member).is_some(),
        }
    }

    /// Whether a member has just this.
    fn has<K: Key>(&self, table: &Table<K>, shared: &Shared, key: &GroupKey, member: u32, way: &Way) -> bool {
        match &self.had {
            Had::Known(had) => had.of(member).is_some_and(|had| self.is_same(table, shared, key, had, way)),
            Had::Nothing | Had::Unknown => false,
        }
    }

    /// Whether two rules make the same of a route.
    fn is_same<K: Key>(
        &self,
        table: &Table<K>,
        shared: &Shared,
        key: &GroupKey,
        had: &Way,
        way: &Way,
    ) -> bool {
        let written = |key: &GroupKey, way: &Way| -> Option<(NextHop, Vec<u8>)> {
            let path = &table.paths[way.path];
            let (next_hop, edits) = (way.offer.next_hop, way.offer.edits.as_deref());
            let mut block = Vec::new();
            export::write(shared, key, (path.attributes, path.peer), next_hop, edits, &mut block).ok()?;
            Some((next_hop, block))
        };
        had.path == way.path && written(self.former, had) == written(key, way)
    }
}
