//! The door of the table's task: who has something for it. Each peer and each reader stands in the queue at most once, so
//! the queue is as long as there are of them, and none is served twice before another is served once.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::peer::Mailbox;
use crate::shared::lock;
use crate::subscription::ReaderSlot;

/// Someone whose slot is to be looked at.
#[derive(Debug)]
pub(crate) enum Work {
    Peer(Arc<Mailbox>),
    Reader(Arc<ReaderSlot>),
}

#[derive(Debug, Default)]
pub(crate) struct Door {
    queue: Mutex<Queue>,
    bell: Notify,
    /// Octets of UPDATEs that all peers together have put into their mailboxes.
    waiting: AtomicUsize,
    /// The speaker ends: peers hear of nothing that its end does to the tables.
    hushed: AtomicBool,
}

/// Closes the door when it goes: a start that is given up in the middle leaves no task at it.
#[derive(Debug)]
pub(crate) struct Closing(pub(crate) Arc<Door>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[derive(Debug, Default)]
struct Queue {
    work: VecDeque<Work>,
    closed: bool,
}

impl Door {
    pub(crate) fn push(&self, work: Work) {
        let mut queue = lock(&self.queue);
        if queue.closed {
            drop(queue);
            if let Work::Reader(slot) = work {
                slot.end();
            }
            return;
        }
        queue.work.push_back(work);
        drop(queue);
        self.bell.notify_one();
    }

    pub(crate) fn pop(&self) -> Option<Work> {
        lock(&self.queue).work.pop_front()
    }

    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.queue).work.is_empty()
    }

    /// Waits until something was pushed, or the door closed.
    pub(crate) async fn ring(&self) {
        self.bell.notified().await;
    }

    /// No more work is taken; readers end.
    pub(crate) fn close(&self) {
        lock(&self.queue).closed = true;
        self.bell.notify_one();
    }

    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.queue).closed
    }

    /// From here on peers are told nothing. Sessions end one after the other, and those still up are not to hear that the
    /// routes of those already down are gone.
    pub(crate) fn hush(&self) {
        self.hushed.store(true, Ordering::Release);
    }

    pub(crate) fn is_hushed(&self) -> bool {
        self.hushed.load(Ordering::Acquire)
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(crate) fn add_waiting(&self, octets: usize) {
        self.waiting.fetch_add(octets, Ordering::Relaxed);
    }

    pub(crate) fn sub_waiting(&self, octets: usize) {
        self.waiting.fetch_sub(octets, Ordering::Relaxed);
    }
}
