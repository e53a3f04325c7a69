//! The change log of one table, and the cursors into it.
//!
//! Every prefix that a reader may have to hear of stands in the log exactly once, at a position that only grows. A change
//! moves it to the head. A reader is a cursor: everything below it has been read.

use std::collections::{BTreeMap, VecDeque};

use crate::slab::{NONE, Slab};

/// Slots per segment: 2 KiB, so that a dead stretch is soon given back and the list of segments is short.
const SEGMENT: usize = 512;

/// A prefix that stands nowhere in the log.
const NOWHERE: u64 = u64::MAX;

/// A stretch of the log. It answers for all positions from the end of its predecessor to its own end.
#[derive(Clone, Debug)]
struct Segment {
    /// Position of the first slot while the segment is dense.
    first: u64,
    /// One past the last position that it answers for.
    end: u64,
    /// Dense: one slot per position, dead ones `NONE`. Sparse: live ones only, in order.
    dense: bool,
    slots: Vec<u32>,
    live: u32,
    /// When something last moved away from here, in moves of the whole log.
    last_move: u64,
}

/// Names of prefixes in the order of their last change.
#[derive(Debug)]
pub(crate) struct Log {
    segments: VecDeque<Segment>,
    positions: Slab<u64>,
    head: u64,
    moves: u64,
    live: usize,
    cursors: BTreeMap<u64, u32>,
}

impl Log {
    pub(crate) fn new() -> Self {
        let mut segments = VecDeque::new();
        segments.push_back(Segment::open(0));
        Self { segments, positions: Slab::new(), head: 0, moves: 0, live: 0, cursors: BTreeMap::new() }
    }

    /// A log that reads as this one does from every place, and that nobody reads yet.
    pub(crate) fn fork(&self) -> Self {
        Self {
            segments: self.segments.clone(),
            positions: self.positions.clone(),
            cursors: BTreeMap::new(),
            ..*self
        }
    }

    /// One past the newest position.
    pub(crate) fn head(&self) -> u64 {
        self.head
    }

    /// A stamp for [`Log::moved_since`].
    pub(crate) fn stamp(&self) -> u64 {
        self.moves
    }

    /// How many prefixes stand in the log.
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// Where a prefix stands.
    pub(crate) fn position(&self, id: u32) -> Option<u64> {
        (id < self.positions.bound()).then(|| self.positions[id]).filter(|&position| position != NOWHERE)
    }

    /// Moves a prefix to the head.
    pub(crate) fn touch(&mut self, id: u32) {
        self.remove(id);
        while self.positions.bound() <= id {
            self.positions.insert(NOWHERE);
        }
        let position = self.head;
        self.positions[id] = position;
        self.head += 1;
        self.live += 1;
        if self.segments.back().is_none_or(|last| last.slots.len() == SEGMENT) {
            self.segments.push_back(Segment::open(position));
            self.tidy(self.segments.len().saturating_sub(2));
        }
        let last = self.segments.back_mut().expect("the open segment is there or was just made");
        last.slots.push(id);
        last.live += 1;
        last.end = self.head;
    }

    /// Takes a prefix out of the log.
    pub(crate) fn remove(&mut self, id: u32) {
        let Some(position) = self.position(id) else { return };
        self.moves += 1;
        self.live -= 1;
        let index = self.segments.partition_point(|segment| segment.end <= position);
        let positions = &self.positions;
        let segment = &mut self.segments[index];
        segment.last_move = self.moves;
        segment.live -= 1;
        if segment.dense {
            segment.slots[(position - segment.first) as usize] = NONE;
        } else if let Ok(at) = segment.slots.binary_search_by_key(&position, |&slot| positions[slot]) {
            segment.slots.remove(at);
        }
        self.positions[id] = NOWHERE;
        self.tidy(index);
    }

    /// Octets that it holds.
    pub(crate) fn memory(&self) -> usize {
        let slots: usize = self.segments.iter().map(|segment| segment.slots.capacity()).sum();
        let list = self.segments.capacity() * size_of::<Segment>();
        slots * size_of::<u32>() + list + self.positions.memory()
    }

    /// The names of all prefixes are free: nothing is remembered of where they stood.
    pub(crate) fn forget_positions(&mut self) {
        if self.live == 0 {
            self.positions = Slab::new();
        }
    }

    /// Everything has been read: it is given back, and the head stays where it is.
    pub(crate) fn clear(&mut self) {
        self.segments = VecDeque::from([Segment::open(self.head)]);
        (self.positions, self.live) = (Slab::new(), 0);
        self.moves += 1;
    }

    /// The live slots of `[from, to)` in order.
    pub(crate) fn walk(&self, from: u64, to: u64) -> impl Iterator<Item = (u64, u32)> + '_ {
        let start = self.segments.partition_point(|segment| segment.end <= from);
        self.segments
            .range(start..)
            .flat_map(move |segment| {
                let skip = if segment.dense {
                    from.saturating_sub(segment.first) as usize
                } else {
                    segment.slots.partition_point(|&slot| self.positions[slot] < from)
                };
                segment.slots.iter().skip(skip).copied().filter(|&slot| slot != NONE)
            })
            .map(|slot| (self.positions[slot], slot))
            .take_while(move |&(position, _)| position < to)
    }

    /// Whether anything moved away from `[from, to)` since the stamp was taken.
    pub(crate) fn moved_since(&self, from: u64, to: u64, stamp: u64) -> bool {
        let start = self.segments.partition_point(|segment| segment.end <= from);
        let mut begins = from;
        for segment in self.segments.range(start..) {
            if begins >= to {
                break;
            }
            if segment.last_move > stamp {
                return true;
            }
            begins = segment.end;
        }
        false
    }

    /// A reader comes to stand at `cursor`.
    pub(crate) fn join(&mut self, cursor: u64) {
        *self.cursors.entry(cursor).or_insert(0) += 1;
    }

    /// A reader that stood at `cursor` goes.
    pub(crate) fn leave(&mut self, cursor: u64) {
        if let Some(count) = self.cursors.get_mut(&cursor) {
            *count -= 1;
            if *count == 0 {
                self.cursors.remove(&cursor);
            }
        }
    }

    /// Whether any reader stands anywhere.
    pub(crate) fn is_followed(&self) -> bool {
        !self.cursors.is_empty()
    }

    /// Everything below has been read by all.
    pub(crate) fn read_by_all(&self) -> u64 {
        self.cursors.keys().next().copied().unwrap_or(self.head)
    }

    /// Gives back a segment without life and joins sparse neighbours; the newest segment always stays.
    fn tidy(&mut self, index: usize) {
        if index + 1 >= self.segments.len() {
            return;
        }
        if self.segments[index].live == 0 {
            let gone = self.segments.remove(index).expect("the index was just looked at");
            let heir = &mut self.segments[index];
            heir.last_move = heir.last_move.max(gone.last_move);
            return;
        }
        // A quarter: joining costs the size of a segment and saves half of one, so that churn pays for it many times over.
        if self.segments[index].live as usize > SEGMENT / 4 {
            return;
        }
        let with_next = index + 2 < self.segments.len() && self.joinable(index);
        let with_previous = index > 0 && self.joinable(index - 1);
        if with_next {
            self.join_segments(index);
        } else if with_previous {
            self.join_segments(index - 1);
        }
    }

    fn joinable(&self, index: usize) -> bool {
        (self.segments[index].live + self.segments[index + 1].live) as usize <= SEGMENT / 2
    }

    /// Joins a segment with its successor into one sparse segment; positions stay as they are.
    fn join_segments(&mut self, index: usize) {
        let next = self.segments.remove(index + 1).expect("the caller saw that there is a successor");
        let segment = &mut self.segments[index];
        segment.slots.retain(|&slot| slot != NONE);
        segment.slots.extend(next.slots.iter().filter(|&&slot| slot != NONE));
        segment.slots.shrink_to_fit();
        segment.dense = false;
        segment.end = next.end;
        segment.live += next.live;
        segment.last_move = segment.last_move.max(next.last_move);
    }
}

impl Segment {
    fn open(first: u64) -> Self {
        Self { first, end: first, dense: true, slots: Vec::new(), live: 0, last_move: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log as anybody would write it down.
    #[derive(Default)]
    struct Naive(Vec<(u64, u32)>, u64);

    impl Naive {
        fn touch(&mut self, id: u32) {
            self.remove(id);
            self.0.push((self.1, id));
            self.1 += 1;
        }
        fn remove(&mut self, id: u32) {
            self.0.retain(|&(_, other)| other != id);
        }
    }

    /// A small generator: the test needs variety, not quality.
    fn step(state: &mut u64) -> u64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *state >> 33
    }

    #[test]
    fn a_log_under_churn_reads_as_the_naive_one_from_every_place() {
        let (mut log, mut naive, mut state) = (Log::new(), Naive::default(), 1);
        for id in 0..3000 {
            log.touch(id);
            naive.touch(id);
        }
        for round in 0..20_000 {
            let id = (step(&mut state) % 3000) as u32;
            if step(&mut state).is_multiple_of(5) {
                log.remove(id);
                naive.remove(id);
            } else {
                log.touch(id);
                naive.touch(id);
            }
            if round % 500 == 0 {
                let from = step(&mut state) % (naive.1 + 1);
                let to = from + step(&mut state) % 5000;
                let want: Vec<_> = naive.0.iter().copied().filter(|&(at, _)| from <= at && at < to).collect();
                assert_eq!(log.walk(from, to).collect::<Vec<_>>(), want);
                assert_eq!(log.len(), naive.0.len());
            }
        }
        assert!(log.segments.len() < 40, "{} segments for {} prefixes", log.segments.len(), log.len());
    }

    #[test]
    fn one_old_prefix_does_not_keep_the_log_long() {
        let mut log = Log::new();
        log.touch(0);
        for _ in 0..1_000_000 {
            log.touch(1);
        }
        assert_eq!(log.walk(0, log.head()).collect::<Vec<_>>(), [(0, 0), (1_000_000, 1)]);
        assert!(log.segments.len() <= 3);
    }

    #[test]
    fn a_move_is_remembered_after_its_segment_is_gone() {
        let mut log = Log::new();
        (0..2000).for_each(|id| log.touch(id));
        let stamp = log.stamp();
        assert!(!log.moved_since(0, 2000, stamp));
        (0..600).for_each(|id| log.touch(id));
        assert!(log.moved_since(0, 10, stamp));
        assert!(log.moved_since(100, 700, stamp));
        assert!(!log.moved_since(1600, 2000, stamp));
    }

    #[test]
    fn a_fork_reads_as_the_log_did_and_goes_its_own_way() {
        let mut log = Log::new();
        (0..2000).for_each(|id| log.touch(id));
        log.join(5);
        let mut fork = log.fork();
        assert_eq!(fork.walk(0, 2000).collect::<Vec<_>>(), log.walk(0, 2000).collect::<Vec<_>>());
        assert_eq!(fork.read_by_all(), fork.head(), "nobody reads it yet");
        fork.touch(7);
        assert_eq!((log.position(7), fork.position(7)), (Some(7), Some(2000)));
        assert_eq!((log.len(), fork.len()), (2000, 2000));
    }

    #[test]
    fn the_slowest_cursor_holds_the_log() {
        let mut log = Log::new();
        (0..10).for_each(|id| log.touch(id));
        assert_eq!(log.read_by_all(), 10);
        log.join(3);
        log.join(3);
        log.join(7);
        log.leave(3);
        assert_eq!(log.read_by_all(), 3);
        log.leave(3);
        assert_eq!(log.read_by_all(), 7);
    }
}
