//! A stretch of the log as bytes, made once for a whole group.
//!
//! The messages lie in one piece of memory. Those that not every member may see are listed with their audience: a route
//! is not told to the peer that told it, which hears a withdrawal instead where it may have had the prefix from another.

use bgp_wire::{Afi, NextHop, PathId};
use bytes::{Bytes, BytesMut};
use core::hash::BuildHasher;
use core::ops::Range;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use ipnet::IpNet;

use crate::attributes::AttributesId;
use crate::bounded::Bounded;
use crate::export::{self, HeldBack, Offer, Outbound};
use crate::group::Group;
use crate::pack::{self, Room};
use crate::path::Path;
use crate::per_client;
use crate::pieces::{Audience, Batch, Writer};
use crate::policy::Edits;
use crate::prefix::Key;
use crate::slab::NONE;
use crate::table::{Shared, Table};

/// Bytes per batch, estimated before encoding: what a socket takes at once; one route's attributes may exceed it.
pub(crate) const MAX_BYTES: usize = 64 * 1024;

/// What the members that a batch is for have been told of its stretch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Mode {
    /// Older states of its prefixes.
    Follow,
    /// Nothing, or everything as it stands: nothing is withdrawn.
    Initial,
    /// Everything as it stands, by the rules of another group: the difference is told.
    Swap(u32),
    /// What waits for room, of a member with a bound.
    Refill,
    /// Older states of prefixes for which the group has another choice than the best route: a stretch of its own log.
    Own,
}

/// A route that the group is told.
#[derive(Clone, Copy, Debug)]
struct Item {
    audience: Audience,
    attributes: AttributesId,
    source: u32,
    /// What export policy changes: a place in the draft's list, `NONE` for nothing.
    edits: u32,
    id: u32,
    /// The path, where it need not be the one that stands under the name; else `NONE`.
    path: u32,
    /// It comes after everything that was encoded for the group so far.
    fresh: bool,
}

impl Item {
    /// Items that are equal in this go into the same messages.
    fn run(&self) -> (Audience, AttributesId, u32, u32) {
        (self.audience, self.attributes, self.source, self.edits)
    }
}

/// What one stretch of the log says to one group, before it is bytes.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    items: Vec<Item>,
    withdrawn: Vec<(Audience, u32)>,
    edits: EditList,
    out: BytesMut,
    block: Vec<u8>,
    /// Batches that were made.
    pub(crate) made: u64,
    /// What the only member that a batch is for has been told, where a bound keeps more from it.
    pub(crate) bounded: Option<Box<Bounded>>,
}

/// The different changes that export policy asks for in one stretch.
#[derive(Debug, Default)]
struct EditList {
    list: Vec<Edits>,
    index: HashTable<u32>,
}

impl EditList {
    fn clear(&mut self) {
        self.list.clear();
        self.index.clear();
    }

    /// Names a change; `NONE` for no change.
    fn name(&mut self, edits: Option<Box<Edits>>, seed: u64) -> u32 {
        let Some(edits) = edits else { return NONE };
        let hasher = FixedState::with_seed(seed);
        let hash = hasher.hash_one(&edits);
        let list = &mut self.list;
        if let Some(&at) = self.index.find(hash, |&at| list[at as usize] == *edits) {
            return at;
        }
        let at = u32::try_from(list.len()).expect("there are no more changes than prefixes in a batch");
        list.push(*edits);
        self.index.insert_unique(hash, at, |&at| hasher.hash_one(&list[at as usize]));
        at
    }

    fn get(&self, name: u32) -> Option<&Edits> {
        self.list.get(name as usize)
    }
}

/// Encodes `[from, limit)`, or as much of it as one batch holds.
pub(crate) fn encode<K: Key>(
    table: &Table<K>,
    shared: &Shared,
    group: &mut Group,
    index: u32,
    draft: &mut Draft,
    (from, limit, mode): (u64, u64, Mode),
) -> Batch {
    draft.made += 1;
    draft.items.clear();
    draft.withdrawn.clear();
    draft.edits.clear();
    draft.out.clear();
    let most = shared.config.batch_prefixes.max(1);
    let waiting = draft.bounded.as_mut().filter(|_| mode == Mode::Refill).map(|bounded| bounded.refill(most));
    if let Some(bounded) = &mut draft.bounded {
        bounded.open();
    }
    let stretch = (from, limit, mode);
    let own = group.own.as_deref().filter(|_| mode == Mode::Own);
    let to = match (waiting, own.map(|own| own.stretch(from, limit, most))) {
        (Some(waiting), _) => {
            let names = waiting.into_iter().map(|id| (from, id));
            gather(table, shared, group, index, draft, stretch, names)
        }
        (_, Some(names)) => gather(table, shared, group, index, draft, stretch, names.into_iter()),
        _ => {
            let names = table.log_of(group.log).walk(from, limit);
            gather(table, shared, group, index, draft, stretch, names)
        }
    };
    draft.items.sort_unstable_by_key(|item| (item.run(), item.id));
    let mut writer = Writer::new(group.key.codec);
    let singles = draft.items.partition_point(|item| !item.audience.is_single());
    announce(table, shared, group, draft, (0..singles, &mut writer, mode));
    withdraw(table, group.log, draft, &mut writer, false);
    let common = draft.out.len();
    announce(table, shared, group, draft, (singles..draft.items.len(), &mut writer, mode));
    withdraw(table, group.log, draft, &mut writer, true);
    match &mut group.own {
        Some(own) if mode == Mode::Own => own.encoded_to(to),
        _ => group.front = group.front.max(to),
    }
    let stamp = table.log_read(group, mode).stamp();
    writer.into_batch((from, to, stamp), Bytes::copy_from_slice(&draft.out), common)
}

/// Sorts what has these names into announcements and withdrawals; where the batch ends.
fn gather<K: Key>(
    table: &Table<K>,
    shared: &Shared,
    group: &mut Group,
    index: u32,
    draft: &mut Draft,
    stretch: (u64, u64, Mode),
    names: impl Iterator<Item = (u64, u32)>,
) -> u64 {
    let former = if let Mode::Swap(former) = stretch.2 { table.groups.get(former) } else { None };
    if group.own.is_some() || former.is_some_and(|former| former.own.is_some()) {
        per_client::collect(table, shared, group, index, draft, stretch, names)
    } else {
        collect(table, shared, group, index, draft, stretch, names)
    }
}

/// What the rules say of one attribute set from one source: consecutive prefixes mostly share it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offered {
    pub(crate) attributes: AttributesId,
    pub(crate) source: u32,
    /// The path, where it need not be the one that stands under the name; else `NONE`.
    pub(crate) path: u32,
    pub(crate) goes: bool,
    /// Export policy rejects it.
    pub(crate) rejected: bool,
    /// Members that it is kept from: the source, and the peer that is its next hop.
    pub(crate) except: [u32; 2],
    pub(crate) edits: u32,
    /// What the members have of it by the rules of their former group.
    pub(crate) before: Option<Before>,
    /// It speaks for no other prefix.
    pub(crate) alone: bool,
}

/// What members have of a route by the rules of another group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before {
    /// They have it, but for those that it was kept from.
    pub(crate) held: bool,
    pub(crate) except: [u32; 2],
    /// They have it as it is to be told now.
    pub(crate) same: bool,
}

fn offer(
    shared: &Shared,
    (former, group): (Option<&Group>, &Group),
    route: &Outbound,
    edits: &mut EditList,
    only_member: impl Fn(u32) -> u32,
) -> Offered {
    let offer = export::offer(shared, &group.key, route);
    let next_hop = offer.as_ref().ok().map(|offer| offer.next_hop);
    let except = kept_from(shared, group, route, next_hop, &only_member);
    let (mut goes, rejected) =
        (offer.is_ok(), offer.as_ref().is_err_and(|why| *why == HeldBack::ExportPolicy));
    let before = former.map(|former| {
        let was = written(shared, former, route, &export::offer(shared, &former.key, route));
        let now = written(shared, group, route, &offer);
        goes = now.is_some();
        let next_hop = was.as_ref().map(|(next_hop, _)| *next_hop);
        let except = kept_from(shared, former, route, next_hop, &only_member);
        Before { held: was.is_some(), except, same: was.is_some() && was == now }
    });
    let edits = edits.name(offer.ok().and_then(|offer| offer.edits), shared.config.seed);
    let (attributes, source) = (route.attributes, route.source);
    Offered { attributes, source, path: NONE, goes, rejected, except, edits, before, alone: false }
}

/// Members that a route is kept from: the one that told it, and the one that it leads through.
fn kept_from(
    shared: &Shared,
    group: &Group,
    route: &Outbound,
    next_hop: Option<NextHop>,
    only_member: impl Fn(u32) -> u32,
) -> [u32; 2] {
    let spared = !group.key.tells_as_own(shared.peers.origin(route.source));
    let source = if spared { only_member(route.source) } else { NONE };
    let through = next_hop.map_or(NONE, |next_hop| through(shared, route.attributes, next_hop));
    let through = only_member(through);
    [source, if through == source { NONE } else { through }]
}

/// A route as a group is told it: next hop and attributes; `None` if it is not.
fn written(
    shared: &Shared,
    group: &Group,
    route: &Outbound,
    offer: &Result<Offer, HeldBack>,
) -> Option<(NextHop, Vec<u8>)> {
    let offer = offer.as_ref().ok()?;
    let mut block = Vec::new();
    let source = (route.attributes, route.source);
    export::write(shared, &group.key, source, offer.next_hop, offer.edits.as_deref(), &mut block).ok()?;
    Some((offer.next_hop, block))
}

/// The peer that is the next hop that the others are told, `NONE` if none is.
pub(crate) fn through(shared: &Shared, attributes: AttributesId, told: NextHop) -> u32 {
    match shared.next_hops.get(shared.attributes[attributes].next_hop) {
        Some(entry) if entry.next_hop.address() == told.address() => entry.peer,
        _ => shared.next_hops.peer_at(told.address()),
    }
}

/// The same where the members are told the best route or nothing.
fn collect<K: Key>(
    table: &Table<K>,
    shared: &Shared,
    group: &mut Group,
    index: u32,
    draft: &mut Draft,
    (_, limit, mode): (u64, u64, Mode),
    names: impl Iterator<Item = (u64, u32)>,
) -> u64 {
    let member =
        |slot: u32| table.peer(slot).and_then(|peer| peer.reader.as_ref()).is_some_and(|r| r.group == index);
    let only_member = |slot: u32| if member(slot) { slot } else { NONE };
    let former = match mode {
        Mode::Swap(former) => table.groups.get(former),
        _ => None,
    };
    let asks = |group: &Group| group.key.export.asks_for_prefix();
    let each_prefix = asks(group) || former.is_some_and(asks);
    let mut last: Option<Offered> = None;
    let mut bytes = 0;
    let most = shared.config.batch_prefixes.max(1);
    let log = group.log;
    let by_bits = former.is_some_and(|former| former.key.bound.is_some());
    for (count, (position, id)) in names.enumerate() {
        if count >= most || bytes >= MAX_BYTES {
            return position;
        }
        // A difference may be heard behind what came later: End-of-RIB does not wait for it.
        let fresh = position >= group.front || matches!(mode, Mode::Swap(_));
        let sole = table.sole_source(log, id);
        let told = matches!(mode, Mode::Follow) && group.ever.contains(id);
        bytes += size_of::<K>();
        let offered = table.path_for(shared, &group.key, log, id).and_then(|path| {
            let alone = each_prefix
                || (table.suppresses && shared.aggregates.covers(table.family, table.prefix_of(path)));
            let same = |offered: &Offered| {
                !alone
                    && !offered.alone
                    && (offered.attributes, offered.source) == (path.attributes, path.peer)
            };
            if !last.as_ref().is_some_and(same) {
                let before = last.map(|offered| (offered.attributes, offered.edits));
                let route = table.outbound(path);
                let mut offered = offer(shared, (former, group), &route, &mut draft.edits, only_member);
                offered.alone = alone;
                if before != Some((offered.attributes, offered.edits)) {
                    bytes += shared.attributes[path.attributes].bytes().len() + pack::MESSAGE_OVERHEAD;
                }
                last = Some(offered);
            }
            last
        });
        if fresh {
            group.reject(id, offered.is_some_and(|offered| offered.rejected));
        }
        let offered = offered.filter(|_| {
            !K::VARIES
                || pack::is_sendable(&group.key.codec, table.family, table.told_nlri(group.log, id).1).is_ok()
        });
        if group.key.bound.is_some() {
            // From here on its bits say what the member has of it.
            let ever = group.ever.remove(id);
            draft.tell_within(offered, (mode, by_bits), id, ever);
            continue;
        }
        if let Mode::Swap(_) = mode {
            let offered = if by_bits { draft.as_told(offered, id) } else { offered };
            let stands = draft.swap(offered, id, fresh);
            if let Some(stands) = stands.filter(|_| fresh) {
                group.stand(id, stands);
            }
            continue;
        }
        let offered = offered.filter(|offered| offered.goes);
        if let Some(Offered { attributes, source, except, edits, .. }) = offered {
            let audience = Audience::except(except);
            draft.items.push(Item { audience, attributes, source, edits, id, path: NONE, fresh });
            if told {
                let others = except.into_iter().filter(|&member| member != NONE && member != sole);
                draft.withdrawn.extend(others.map(|member| (Audience::Only(member), id)));
            }
            continue;
        }
        if told {
            draft.withdrawn.push((Audience::except([only_member(sole), NONE]), id));
        }
        if fresh {
            group.stand(id, false);
        }
    }
    limit
}

impl Draft {
    /// What a member with a bound is told of a route: it is told, it waits, or it goes. `by_bits`: what it was told of the
    /// stretch is known, route by route; `ever`: it may have been told when there was no bound, and is met for the first time
    /// since.
    pub(crate) fn tell_within(
        &mut self,
        offered: Option<Offered>,
        (mode, by_bits): (Mode, bool),
        id: u32,
        ever: bool,
    ) {
        let Some(bounded) = self.bounded.as_mut() else { return };
        // Whom a route is kept from is a member, and there is one.
        let goes = offered.filter(|offered| offered.goes && offered.except == [NONE; 2]);
        let before = offered.and_then(|offered| offered.before);
        let by_rules = matches!(mode, Mode::Swap(_)) && !by_bits;
        let held = if by_rules {
            before.is_some_and(|before| before.held && before.except == [NONE; 2])
        } else {
            bounded.has(id) || (ever && !by_bits)
        };
        // The rules say what it has as of now: what they depend on may have changed since it was told.
        let may_have = held || (by_rules && ever);
        let Some(Offered { attributes, source, edits, path, .. }) = goes else {
            bounded.lose(id);
            self.withdrawn.extend(may_have.then_some((Audience::All, id)));
            return;
        };
        // How many stand is not known before all has been looked at that was told without a bound.
        let told = if held { bounded.keep(id) } else { !by_rules && bounded.admit(id) };
        if !told {
            bounded.lose(id);
            bounded.wait(id);
            self.withdrawn.extend(may_have.then_some((Audience::All, id)));
        } else if !(held && before.is_some_and(|before| before.same)) {
            let audience = Audience::All;
            self.items.push(Item { audience, attributes, source, edits, id, path, fresh: false });
        }
    }

    /// What a member that had a bound has of a route is what it was told.
    fn as_told(&self, offered: Option<Offered>, id: u32) -> Option<Offered> {
        let held = self.bounded.as_ref().is_some_and(|bounded| bounded.has(id));
        let before = |before: Before| Before { held, except: [NONE; 2], same: held && before.same };
        offered.map(|offered| Offered { before: offered.before.map(before), ..offered })
    }

    /// Names the changes of a path.
    pub(crate) fn name(&mut self, shared: &Shared, edits: Option<Box<Edits>>) -> u32 {
        self.edits.name(edits, shared.config.seed)
    }

    /// A path is told under the name of its prefix.
    pub(crate) fn tell(
        &mut self,
        shared: &Shared,
        audience: Audience,
        (route, edits): (&Outbound, Option<Box<Edits>>),
        (id, path): (u32, u32),
        fresh: bool,
    ) {
        let edits = self.name(shared, edits);
        let Outbound { attributes, source, .. } = *route;
        self.items.push(Item { audience, attributes, source, edits, id, path, fresh });
    }

    /// What was told under a name is told no more.
    pub(crate) fn take_back(&mut self, audience: Audience, id: u32) {
        self.withdrawn.push((audience, id));
    }

    /// What stood by the rules of another group is told as far as it differs; whether it stands now, if that is known.
    fn swap(&mut self, offered: Option<Offered>, id: u32, fresh: bool) -> Option<bool> {
        // What does not stand by now stood nowhere when it was read.
        let Some(Offered { attributes, source, goes, except, edits, before, .. }) = offered else {
            return Some(false);
        };
        let before = before.unwrap_or(Before { held: false, except: [NONE; 2], same: false });
        if before.same || !goes {
            if before.held && !goes {
                self.withdrawn.push((Audience::except(before.except), id));
            }
            return Some(goes);
        }
        let audience = Audience::except(except);
        self.items.push(Item { audience, attributes, source, edits, id, path: NONE, fresh });
        let loses = |member: &u32| before.held && *member != NONE && !before.except.contains(member);
        self.withdrawn.extend(except.into_iter().filter(loses).map(|member| (Audience::Only(member), id)));
        None
    }
}

/// Writes announcements: one run of messages for each audience, attribute set and source.
fn announce<K: Key>(
    table: &Table<K>,
    shared: &Shared,
    group: &mut Group,
    draft: &mut Draft,
    (range, writer, mode): (Range<usize>, &mut Writer, Mode),
) {
    let Draft { items, withdrawn, edits, out, block, bounded, .. } = draft;
    for run in items.get(range).unwrap_or_default().chunk_by(|a, b| a.run() == b.run()) {
        let Some(first) = run.first() else { continue };
        let start = out.len();
        let packed = to_bytes(table, shared, group, edits, run, out, block);
        let audience = first.audience;
        if let Ok((routes, _)) = packed {
            writer.close(start, out.len(), audience, u32::try_from(routes).unwrap_or(u32::MAX));
        }
        let codec = group.key.codec;
        let log = group.log;
        let fits = |room: Room, item| room.fits(&codec, table.family, nlri_of(table, log, item).1).is_ok();
        for item in run {
            let told = packed.is_ok_and(|(_, room)| fits(room, item));
            if let Some(bounded) = bounded.as_mut().filter(|_| group.key.bound.is_some()) {
                if !told {
                    bounded.lose(item.id);
                    withdrawn.push((audience, item.id));
                }
                continue;
            }
            if told {
                group.ever.insert(item.id);
            } else if matches!(mode, Mode::Swap(_)) || mode != Mode::Initial && group.ever.contains(item.id) {
                // Who swaps may have it by the rules of the former group.
                withdrawn.push((audience, item.id));
            }
            if item.fresh {
                group.stand(item.id, told);
            }
        }
    }
}

fn nlri_of<'a, K: Key>(table: &'a Table<K>, log: u32, item: &Item) -> (PathId, &'a K) {
    if item.path == NONE { table.told_nlri(log, item.id) } else { (pack::BEST, table.nlri(item.path)) }
}

/// Writes the messages of one run, or says why they cannot be; how many routes are in them, and which had room.
fn to_bytes<K: Key>(
    table: &Table<K>,
    shared: &Shared,
    group: &Group,
    edits: &EditList,
    run: &[Item],
    out: &mut BytesMut,
    block: &mut Vec<u8>,
) -> Result<(usize, Room), HeldBack> {
    let Some(first) = run.first() else { return Err(HeldBack::NotSelected) };
    let Item { attributes, source, edits: name, .. } = *first;
    let edits = edits.get(name);
    block.clear();
    let next_hop = export::next_hop(shared, &group.key, table.family, (attributes, source), edits)?;
    export::write(shared, &group.key, (attributes, source), next_hop, edits, block)?;
    let (codec, family) = (&group.key.codec, table.family);
    let nlri = || run.iter().map(|item| nlri_of(table, group.log, item));
    if family.afi == Afi::BGP_LS {
        for (_, nlri) in nlri() {
            // Who does not fit even so is left out below.
            let _ = pack::make_room(codec, family, &next_hop, block, nlri);
        }
    }
    let room = Room::beside(codec, family, &next_hop, block.len());
    let nlri = nlri().filter(|(_, nlri)| room.fits(codec, family, *nlri).is_ok());
    pack::announce(out, codec, family, &next_hop, block, nlri).map(|routes| (routes, room))
}

impl<K: Key> Table<K> {
    fn prefix_of(&self, path: &Path) -> Option<IpNet> {
        self.entries[path.prefix].key.prefix()
    }

    /// A path on its way out.
    pub(crate) fn outbound(&self, path: &Path) -> Outbound {
        let destination = (self.family, self.prefix_of(path));
        let Path { attributes, peer: source, path_id, .. } = *path;
        Outbound { attributes, source, path_id, destination }
    }
}

/// Writes withdrawals: for single members, or all others.
fn withdraw<K: Key>(table: &Table<K>, log: u32, draft: &mut Draft, writer: &mut Writer, singles: bool) {
    let Draft { withdrawn, out, .. } = draft;
    withdrawn.sort_unstable();
    for run in withdrawn.chunk_by(|a, b| a.0 == b.0) {
        let Some(&(audience, _)) = run.first().filter(|(audience, _)| audience.is_single() == singles) else {
            continue;
        };
        let start = out.len();
        let nlri = run.iter().map(|&(_, id)| table.withdrawn_nlri(log, id));
        pack::withdraw(out, &writer.codec, table.family, nlri);
        writer.close(start, out.len(), audience, 0);
    }
}
