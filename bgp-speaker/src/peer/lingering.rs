//! Connections that are over for the session but not yet for TCP. The socket may have no room yet for the NOTIFICATION that
//! says why; and closing one with unread octets in it resets the connection, and the reset overtakes the NOTIFICATION. So
//! the last words are written as soon as there is room, then the stream is shut down and read to its end.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use socket2::SockRef;
use tokio::net::TcpStream;

use super::connection::with_scratch;

/// How long a peer may take to make room for the last words, and after that to close its side: a round trip with
/// retransmissions, and short enough for a shutdown to wait for both.
const LINGER: Duration = Duration::from_secs(1);
/// Connections that linger at once; the oldest goes first. A session has two, and a peer that reconnects in a hurry one more.
const CONNECTIONS: usize = 3;
/// Readings of one poll; a peer that keeps sending is cut off by [`LINGER`].
const READINGS: usize = 4;
/// Slices of one vectored write: the rest of a message, and the few that a session says before it ends.
const SLICES: usize = 4;

#[derive(Debug, Default)]
pub(crate) struct Lingering {
    leaving: Vec<Leaving>,
}

#[derive(Debug)]
struct Leaving {
    stream: Arc<TcpStream>,
    /// What has not been written, whole messages after the first.
    words: VecDeque<Bytes>,
    /// Everything has been written, and the peer has been told that nothing follows.
    said: bool,
    until: Duration,
}

impl Lingering {
    pub(crate) fn add(&mut self, stream: Arc<TcpStream>, words: VecDeque<Bytes>, now: Duration) {
        let mut leaving = Leaving { stream, words, said: false, until: now + LINGER };
        if leaving.say(now).is_err() {
            return;
        }
        if self.leaving.len() >= CONNECTIONS {
            self.leaving.remove(0);
        }
        self.leaving.push(leaving);
    }

    pub(crate) fn clear(&mut self) {
        self.leaving.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.leaving.is_empty()
    }

    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.leaving.iter().map(|leaving| leaving.until).min()
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, now: Duration) {
        self.leaving.retain_mut(|leaving| leaving.until > now && leaving.poll(cx, now).is_pending());
    }
}

impl Leaving {
    /// Ready when there is nothing more to wait for.
    fn poll(&mut self, cx: &mut Context<'_>, now: Duration) -> Poll<()> {
        while !self.said {
            match self.stream.poll_write_ready(cx) {
                Poll::Pending => break,
                Poll::Ready(ready) => {
                    if ready.and_then(|()| self.say(now)).is_err() {
                        return Poll::Ready(());
                    }
                }
            }
        }
        ready!(self.poll_end(cx));
        // A peer that closes its side while it has not heard all of ours may still read.
        if self.said { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Writes what the socket takes now, and once that is everything, that nothing follows.
    fn say(&mut self, now: Duration) -> io::Result<()> {
        while !self.words.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count =
                self.words.iter().zip(&mut slices).map(|(word, slot)| *slot = IoSlice::new(word)).count();
            match self.stream.try_write_vectored(slices.get(..count).unwrap_or_default()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.advance(n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        if !self.said {
            SockRef::from(&*self.stream).shutdown(Shutdown::Write)?;
            (self.said, self.until) = (true, now + LINGER);
        }
        Ok(())
    }

    fn advance(&mut self, mut n: usize) {
        while let Some(word) = self.words.front_mut() {
            let step = n.min(word.len());
            word.advance(step);
            n -= step;
            if !word.is_empty() {
                return;
            }
            self.words.pop_front();
        }
    }

    /// Reads and drops what comes, also while the last words wait: a peer may read no further before it has written.
    fn poll_end(&self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..READINGS {
            if ready!(self.stream.poll_read_ready(cx)).is_err() {
                return Poll::Ready(());
            }
            match with_scratch(|scratch| self.stream.try_read(scratch)) {
                Ok(0) => return Poll::Ready(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
