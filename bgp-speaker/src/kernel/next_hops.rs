//! Where those who decide about routes ask for the way to their next hops, and find what has changed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;
use tokio::sync::Notify;

use super::fib::Waker;
use super::resolver::NextHopWay;

/// Next hops that are watched through a follower. State replaces history: of each next hop there is the last request and
/// the newest answer, so both lists are no longer than there are next hops in use.
#[derive(Clone, Debug)]
pub struct NextHopWatch {
    board: Arc<Board>,
    waker: Waker,
}

#[derive(Debug, Default)]
pub(super) struct Board {
    notes: Mutex<Notes>,
    answered: Notify,
}

#[derive(Debug, Default)]
struct Notes {
    asked: HashMap<IpAddr, bool, RandomState>,
    answers: HashMap<IpAddr, NextHopWay, RandomState>,
}

impl NextHopWatch {
    pub(super) fn new(board: Arc<Board>, waker: Waker) -> Self {
        Self { board, waker }
    }

    /// From now on tells the way to `next_hop`, first what it is now.
    pub fn watch(&self, next_hop: IpAddr) {
        self.ask(next_hop, true);
    }

    /// Tells nothing of `next_hop` any more.
    pub fn unwatch(&self, next_hop: IpAddr) {
        self.ask(next_hop, false);
        self.board.notes().answers.remove(&next_hop);
    }

    fn ask(&self, next_hop: IpAddr, watched: bool) {
        let mut notes = self.board.notes();
        let first = notes.asked.is_empty();
        notes.asked.insert(next_hop, watched);
        drop(notes);
        if first {
            self.waker.wake();
        }
    }

    /// What is new, in no order.
    pub fn take(&self) -> Vec<(IpAddr, NextHopWay)> {
        self.board.notes().answers.drain().collect()
    }

    /// Waits until [`NextHopWatch::take`] may have something.
    pub async fn changed(&self) {
        self.board.answered.notified().await;
    }
}

impl Board {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        // Plain values, whole after every statement.
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take_asked(&self) -> Vec<(IpAddr, bool)> {
        let mut notes = self.notes();
        if notes.asked.is_empty() { Vec::new() } else { notes.asked.drain().collect() }
    }

    pub(super) fn answer(&self, ways: impl IntoIterator<Item = (IpAddr, NextHopWay)>) {
        let mut notes = self.notes();
        let before = notes.answers.len();
        notes.answers.extend(ways);
        if notes.answers.len() > before || before > 0 {
            drop(notes);
            self.answered.notify_one();
        }
    }
}
