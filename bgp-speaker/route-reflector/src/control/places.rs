//! Who is answered at a time, and how long a client may take nothing of its answer.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};
use tracing::warn;

/// As many people and scripts as look into one daemon at once, and room to spare.
const CONNECTIONS: usize = 32;
/// As many of them may read listings, which may take long: the other places are for short answers.
const LISTINGS: usize = 24;
/// Whoever asks for a short answer takes it at once.
const PATIENCE: Duration = Duration::from_secs(30);
/// Somebody who pages through a listing by hand may look at one page for this long.
const PAGING: Duration = Duration::from_secs(600);
/// That no place is free is said this often.
const SAID: Duration = Duration::from_secs(60);

/// How long a client may take nothing.
#[derive(Debug, Clone, Copy)]
struct Patience {
    short: Duration,
    paging: Duration,
}

/// The places of one listener.
pub(super) struct Places {
    patience: Patience,
    connections: Arc<Semaphore>,
    listings: Arc<Semaphore>,
    said: Option<Instant>,
}

impl Places {
    pub(super) fn new() -> Self {
        Self::with(Patience { short: PATIENCE, paging: PAGING })
    }

    fn with(patience: Patience) -> Self {
        let places = |n| Arc::new(Semaphore::new(n));
        Self { patience, connections: places(CONNECTIONS), listings: places(LISTINGS), said: None }
    }

    /// A place for one connection, once there is one.
    pub(super) async fn next(&mut self) -> Seat {
        let place = match self.connections.clone().try_acquire_owned() {
            Ok(place) => place,
            Err(_) => {
                if self.said.is_none_or(|said| said.elapsed() >= SAID) {
                    self.said = Some(Instant::now());
                    warn!("control: {CONNECTIONS} clients are being answered: others wait");
                }
                self.connections.clone().acquire_owned().await.expect("the semaphore is never closed")
            }
        };
        Seat {
            _place: place,
            patience: self.patience,
            listings: self.listings.clone(),
            pages: AtomicBool::new(false),
            taken: Mutex::new(Instant::now()),
        }
    }
}

/// The place of one connection.
pub(super) struct Seat {
    _place: OwnedSemaphorePermit,
    patience: Patience,
    listings: Arc<Semaphore>,
    /// It reads a listing.
    pages: AtomicBool,
    /// When it took something last.
    taken: Mutex<Instant>,
}

impl Seat {
    /// The right to read a listing, for as long as that goes on; `None`: as many as may are reading one.
    pub(super) fn listing(&self) -> Option<OwnedSemaphorePermit> {
        let place = self.listings.clone().try_acquire_owned().ok()?;
        self.pages.store(true, Ordering::Relaxed);
        Some(place)
    }

    /// Comes to its end when the client has taken nothing for too long.
    pub(super) async fn stalled(&self) {
        loop {
            let Patience { short, paging } = self.patience;
            let patience = if self.pages.load(Ordering::Relaxed) { paging } else { short };
            let due = *self.taken.lock().unwrap_or_else(PoisonError::into_inner) + patience;
            if due <= Instant::now() {
                return;
            }
            sleep_until(due).await;
        }
    }

    fn takes(&self) {
        *self.taken.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// A connection that is watched for what its client takes.
pub(super) struct Watched<S> {
    pub(super) stream: S,
    pub(super) seat: Arc<Seat>,
}

impl<S> Watched<S> {
    fn took(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.seat.takes();
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, octets);
        self.took(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.took(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn a_client_may_take_nothing_for_a_while_and_one_that_pages_for_longer() {
        let (short, paging) = (Duration::from_millis(100), Duration::from_secs(60));
        let mut places = Places::with(Patience { short, paging });
        let (seat, begin) = (Arc::new(places.next().await), Instant::now());
        let (ours, _theirs) = tokio::io::duplex(64);
        let mut watched = Watched { stream: ours, seat: seat.clone() };
        tokio::time::sleep(short / 2).await;
        watched.write_all(b"page").await.expect("there is room");
        seat.stalled().await;
        assert!(begin.elapsed() >= short / 2 + short, "what it took counts");
        let listing = seat.listing().expect("nobody reads one");
        let stalled = tokio::time::timeout(short * 3, seat.stalled()).await;
        assert!(stalled.is_err(), "who pages has more time");
        drop(listing);
    }

    #[tokio::test]
    async fn listings_leave_places_for_short_answers() {
        let mut places = Places::new();
        let mut reading = Vec::new();
        for _ in 0..LISTINGS {
            let seat = places.next().await;
            reading.push((seat.listing().expect("there is a place"), seat));
        }
        let other = places.next().await;
        assert!(other.listing().is_none());
        reading.pop();
        assert!(other.listing().is_some());
    }
}
