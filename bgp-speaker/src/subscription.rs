//! A reader of the best routes: a cursor in the table's log, and one batch at a time on the way to its stream.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use bgp_rib::{ReaderBatch, ReaderId};
use futures::Stream;
use futures::task::AtomicWaker;

use crate::door::{Door, Work};
use crate::shared::lock;

/// What a subscriber hears.
#[derive(Debug, Clone)]
pub enum RouteNews {
    /// The next changes, in order.
    Batch(ReaderBatch),
    /// Nothing that was told before holds any more: the table follows as if the subscription began now, and what is not in
    /// it by the first batch that is [`synced`](ReaderBatch::synced) is gone. It comes to a subscriber that does not read
    /// while more than 65,536 prefixes are withdrawn, or reads and falls behind by sixteen times as many: nothing more is kept
    /// for it.
    StartAnew,
}

/// The best routes as they were, then as they change; see [`Speaker::subscribe`](crate::Speaker::subscribe). Ends with the
/// speaker.
#[derive(Debug)]
pub struct Subscription {
    slot: Arc<ReaderSlot>,
    door: Arc<Door>,
}

/// Where the table's task puts a batch for one reader.
#[derive(Debug, Default)]
pub(crate) struct ReaderSlot {
    state: Mutex<State>,
    waker: AtomicWaker,
    /// It is told of routes that became stale or ceased to be, too.
    pub(crate) marks: bool,
}

#[derive(Debug, Default)]
struct State {
    batch: Option<ReaderBatch>,
    wanted: bool,
    queued: bool,
    dropped: bool,
    ended: bool,
    /// Everything that there was has been taken: nothing has been put in since the table had no more.
    drained: bool,
    reader: Option<ReaderId>,
}

/// What a reader asks of the table's task.
pub(crate) enum ReaderWants {
    Nothing,
    Batch(Option<ReaderId>),
    Close(Option<ReaderId>),
}

impl Subscription {
    pub(crate) fn new(door: Arc<Door>, marks: bool) -> Self {
        let slot = Arc::new(ReaderSlot { marks, ..ReaderSlot::default() });
        // Asked for at once, so that the snapshot is that of the moment of the call.
        let this = Self { slot, door };
        this.ask(lock(&this.slot.state));
        this
    }

    /// The next of it; `None` once the speaker has ended.
    pub async fn next(&mut self) -> Option<RouteNews> {
        std::future::poll_fn(|cx| self.poll_batch(cx)).await
    }

    /// Whether the reader has taken everything that there was when it last asked, and nothing has come since.
    pub(crate) fn is_drained(&self) -> bool {
        lock(&self.slot.state).drained
    }

    fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Option<RouteNews>> {
        self.slot.waker.register(cx.waker());
        let mut state = lock(&self.slot.state);
        if let Some(batch) = &mut state.batch
            && std::mem::take(&mut batch.anew)
        {
            return Poll::Ready(Some(RouteNews::StartAnew));
        }
        if let Some(batch) = state.batch.take() {
            return Poll::Ready(Some(RouteNews::Batch(batch)));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        self.ask(state);
        Poll::Pending
    }

    /// Asks for a batch, unless one has been asked for: there is never more than one on its way.
    fn ask(&self, mut state: MutexGuard<'_, State>) {
        if !std::mem::replace(&mut state.wanted, true) {
            self.enqueue(state);
        }
    }

    fn enqueue(&self, mut state: MutexGuard<'_, State>) {
        if !std::mem::replace(&mut state.queued, true) {
            drop(state);
            self.door.push(Work::Reader(self.slot.clone()));
        }
    }
}

impl Stream for Subscription {
    type Item = RouteNews;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<RouteNews>> {
        self.poll_batch(cx)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut state = lock(&self.slot.state);
        state.dropped = true;
        self.enqueue(state);
    }
}

impl ReaderSlot {
    /// Called by the table's task for each time that the slot stood in its queue.
    pub(crate) fn visit(&self) -> ReaderWants {
        let mut state = lock(&self.state);
        state.queued = false;
        if state.dropped {
            ReaderWants::Close(state.reader.take())
        } else if state.wanted {
            ReaderWants::Batch(state.reader)
        } else {
            ReaderWants::Nothing
        }
    }

    pub(crate) fn opened(&self, reader: ReaderId) {
        lock(&self.state).reader = Some(reader);
    }

    pub(crate) fn wants(&self) -> bool {
        let state = lock(&self.state);
        state.wanted && !state.dropped
    }

    pub(crate) fn deposit(&self, batch: ReaderBatch) {
        let mut state = lock(&self.state);
        state.batch = Some(batch);
        state.wanted = false;
        state.drained = false;
        drop(state);
        self.waker.wake();
    }

    /// The table has no more for now.
    pub(crate) fn set_drained(&self) {
        lock(&self.state).drained = true;
    }

    pub(crate) fn end(&self) {
        lock(&self.state).ended = true;
        self.waker.wake();
    }
}
