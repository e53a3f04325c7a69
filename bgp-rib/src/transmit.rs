//! What a peer reads when its socket has room: the log from its cursor on, End-of-RIB, a refresh.

use bgp_wire::{RefreshKind, RouteRefresh};
use bytes::{Bytes, BytesMut};

use crate::batch::{self, Draft, Mode};
use crate::group::{EndOfRib, Group, Reader, RefreshWalk};
use crate::pack;
use crate::prefix::Key;
use crate::table::{Shared, Table};

/// Batches per call that were there already: bounds a call whose stretches have nothing for this peer to eight thousand
/// prefixes. A batch that has to be made is a millisecond or two of work and the last of its call, so that the caller can
/// look at its clock.
const MAX_BATCHES: usize = 4;

/// What came of asking.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Progress {
    /// Nothing is left to hand out.
    Drained,
    /// There may be more.
    More,
}

impl<K: Key> Table<K> {
    /// Appends about `budget` bytes for one peer.
    pub(crate) fn transmit(
        &mut self,
        shared: &Shared,
        draft: &mut Draft,
        slot: u32,
        budget: usize,
        chunks: &mut Vec<Bytes>,
    ) -> Progress {
        let (mut first, made) = (chunks.len(), draft.made);
        let mut bytes = 0;
        for _ in 0..MAX_BATCHES {
            let Some(reader) = self.reader(slot) else { return Progress::Drained };
            let head = self.log_of(reader.log).head();
            if self.is_drained(reader) {
                return Progress::Drained;
            }
            if draft.made > made {
                break;
            }
            let initial = self.reads_initial(slot);
            let Some(reader) = self.reader(slot) else { return Progress::Drained };
            if !reader.swap.is_empty() && !initial {
                self.swap_on(shared, draft, slot, chunks);
            } else {
                if reader.cursor < head {
                    self.read_on(shared, draft, slot, chunks);
                } else if self.owes_choices(reader) {
                    self.read_choices(shared, draft, slot, chunks);
                }
                self.close_initial(slot, chunks);
                if !initial {
                    self.refresh_on(shared, draft, slot, chunks);
                    self.refill(shared, draft, slot, chunks);
                }
            }
            bytes += chunks[first..].iter().map(Bytes::len).sum::<usize>();
            first = chunks.len();
            if bytes >= budget {
                break;
            }
        }
        Progress::More
    }

    /// Whether a reader whose End-of-RIB has not been said reads on though it has to hear a difference as well: where one
    /// difference overtakes the other every second stretch is of its first table, so that whoever swaps policies faster than
    /// it reads does not put off its End-of-RIB (RFC 4724 §2: on completion of the initial update). What a bound keeps back
    /// depends on the order, and what a restart kept back belongs before it: such readers hear the difference first.
    fn reads_initial(&mut self, slot: u32) -> bool {
        let deferred = |former: u32| self.groups.get(former).is_some_and(|group| group.key.deferring);
        let waits = self
            .reader(slot)
            .is_none_or(|reader| self.defers(reader) || reader.swap.iter().any(|walk| deferred(walk.former)));
        let Some(reader) = self.reader_mut(slot).filter(|reader| reader.overtaken && !waits) else {
            return false;
        };
        if reader.swap.is_empty() || reader.end_of_rib == EndOfRib::Sent || reader.bounded.is_some() {
            return false;
        }
        reader.alternates = !reader.alternates;
        reader.alternates
    }

    /// Whether there is something to hand out.
    pub(crate) fn has_more(&self, slot: u32) -> bool {
        self.reader(slot).is_some_and(|reader| !self.is_drained(reader))
    }

    /// Whether there is nothing to hand out to a reader now.
    pub(crate) fn is_drained(&self, reader: &Reader) -> bool {
        reader.drained(self.log_of(reader.log).head(), self.defers(reader)) && !self.owes_choices(reader)
    }

    /// Whether a reader's End-of-RIB has to wait for something else than the reader.
    fn defers(&self, reader: &Reader) -> bool {
        self.defers_end_of_rib || self.is_building(reader.log) || self.owes_choices(reader)
    }

    pub(crate) fn reader(&self, slot: u32) -> Option<&Reader> {
        self.peer(slot)?.reader.as_deref()
    }

    pub(crate) fn reader_mut(&mut self, slot: u32) -> Option<&mut Reader> {
        self.peers.get_mut(slot as usize)?.reader.as_deref_mut()
    }

    /// Reads one stretch at the main cursor. What stood before the session came up was never told: nothing of it is withdrawn.
    fn read_on(&mut self, shared: &Shared, draft: &mut Draft, slot: u32, chunks: &mut Vec<Bytes>) {
        let Some(reader) = self.reader(slot) else { return };
        let head = self.log_of(reader.log).head();
        let (group, from, hold) = (reader.group, reader.cursor, reader.hold());
        let initial = from < reader.birth;
        let limit = if initial { reader.birth } else { head };
        let mode = if initial { Mode::Initial } else { Mode::Follow };
        let (to, announced) = self.read(shared, draft, slot, group, (from, limit, mode), chunks);
        let Some(reader) = self.reader_mut(slot) else { return };
        (reader.cursor, reader.stalled) = (to, false);
        if initial {
            reader.advertised += announced;
        }
        let (log, now_holds) = (reader.log, reader.hold());
        if hold != now_holds {
            let log = self.log_of_mut(log);
            log.leave(hold);
            log.join(now_holds);
        }
    }

    /// Reads one stretch of what changed for its group alone.
    fn read_choices(&mut self, shared: &Shared, draft: &mut Draft, slot: u32, chunks: &mut Vec<Bytes>) {
        let Some(reader) = self.reader(slot) else { return };
        let (group, from, head) = (reader.group, reader.own, self.own_head(reader));
        let (to, _) = self.read(shared, draft, slot, group, (from, head, Mode::Own), chunks);
        self.has_read_choices(slot, from, to);
    }

    /// Hands out `[from, limit)` or the beginning of it, as the group has it or makes it now.
    pub(crate) fn read(
        &mut self,
        shared: &Shared,
        draft: &mut Draft,
        slot: u32,
        index: u32,
        (from, limit, mode): (u64, u64, Mode),
        chunks: &mut Vec<Bytes>,
    ) -> (u64, u32) {
        let Some(mut group) = self.groups.take(index) else { return (limit, 0) };
        let bound = |group: &Group| group.key.bound.is_some();
        let former = if let Mode::Swap(former) = mode { self.groups.get(former) } else { None };
        let alone = bound(&group) || former.is_some_and(bound);
        if alone {
            draft.bounded = self.reader_mut(slot).and_then(|reader| reader.bounded.take());
        }
        // Who has been told nothing by any rules needs no withdrawal either.
        let read = if group.key.export.rejects_all() && group.ever.is_empty() && !alone {
            (limit, 0)
        } else if alone {
            let batch = batch::encode(self, shared, &mut group, index, draft, (from, limit, mode));
            (batch.to, batch.assemble(slot, chunks))
        } else if let Some(batch) = group.cache.get(mode, from, limit, self.log_read(&group, mode)) {
            (batch.to, batch.assemble(slot, chunks))
        } else {
            let limit = group.cache.boundary(mode, from, limit, self.log_read(&group, mode)).unwrap_or(limit);
            let batch = batch::encode(self, shared, &mut group, index, draft, (from, limit, mode));
            let read = (batch.to, batch.assemble(slot, chunks));
            group.cache.insert(mode, batch);
            read
        };
        self.groups.put(index, group);
        if let Some(reader) = self.reader_mut(slot).filter(|_| alone) {
            reader.bounded = draft.bounded.take();
        }
        read
    }

    /// Tells some of what waited for room, once there is nothing newer to tell.
    fn refill(&mut self, shared: &Shared, draft: &mut Draft, slot: u32, chunks: &mut Vec<Bytes>) {
        let Some(reader) = self.reader(slot) else { return };
        let (group, cursor) = (reader.group, reader.cursor);
        let refills = reader.bounded.as_ref().is_some_and(|bounded| bounded.can_refill());
        if refills && cursor >= self.log_of(reader.log).head() {
            self.read(shared, draft, slot, group, (cursor, cursor, Mode::Refill), chunks);
        }
    }

    /// Says End-of-RIB when it is due (RFC 4724 §2), and not before what there is room for is told.
    fn close_initial(&mut self, slot: u32, chunks: &mut Vec<Bytes>) {
        let Some(reader) = self.reader(slot) else { return };
        if reader.bounded.as_ref().is_some_and(|bounded| bounded.can_refill()) {
            return;
        }
        let (head, defers) = (self.log_of(reader.log).head(), self.defers(reader));
        if let Some(reader) = self.reader_mut(slot)
            && reader.end_of_rib_due(head, defers)
        {
            reader.end_of_rib = EndOfRib::Sent;
            let mut out = BytesMut::new();
            pack::end_of_rib(&mut out, self.family);
            chunks.push(out.freeze());
            self.said_end = true;
        }
    }

    /// Tells a stretch again for a refresh, between BoRR and EoRR where both sides know them (RFC 7313 §4).
    fn refresh_on(&mut self, shared: &Shared, draft: &mut Draft, slot: u32, chunks: &mut Vec<Bytes>) {
        let Some(reader) = self.reader(slot) else { return };
        let head = self.log_of(reader.log).head();
        let (group, cursor) = (reader.group, reader.cursor);
        let Some(mut walk) = reader.refresh.filter(|_| !reader.refresh_waits()) else { return };
        if !walk.begun {
            (walk.begun, walk.end) = (true, cursor);
            self.tell_all_choices(group, head);
            bracket(self.family, RefreshKind::BEGIN, walk.bracketed, chunks);
        }
        if walk.cursor < walk.end {
            walk.cursor =
                self.read(shared, draft, slot, group, (walk.cursor, walk.end, Mode::Initial), chunks).0;
        }
        if walk.cursor >= walk.end && walk.finish.is_none() {
            walk.finish = Some(head);
        }
        let mut refresh = Some(walk);
        let owes = self.reader(slot).is_some_and(|reader| self.owes_choices(reader));
        if walk.finish.is_some_and(|at| cursor >= at) && !owes {
            bracket(self.family, RefreshKind::END, walk.bracketed, chunks);
            refresh = walk.again.then(|| RefreshWalk::new(walk.bracketed));
        }
        if let Some(reader) = self.reader_mut(slot) {
            reader.refresh = refresh;
        }
    }
}

fn bracket(family: bgp_wire::Family, kind: RefreshKind, bracketed: bool, chunks: &mut Vec<Bytes>) {
    if bracketed {
        let mut out = BytesMut::new();
        RouteRefresh { family, kind }.encode(&mut out);
        chunks.push(out.freeze());
    }
}
