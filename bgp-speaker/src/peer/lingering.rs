//! Connections that are over for the session but not yet for TCP: closing a socket with unread octets in it resets the
//! connection, and the reset overtakes the NOTIFICATION that says why. So the stream is shut down and read to its end.

use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;

use super::connection::with_scratch;

/// How long a peer may take to close its side: a round trip with retransmissions, and short enough for a shutdown to wait.
const LINGER: Duration = Duration::from_secs(1);
/// Connections that linger at once; the oldest goes first. A session has two, and a peer that reconnects in a hurry one more.
const CONNECTIONS: usize = 3;
/// Readings of one poll; a peer that keeps sending is cut off by [`LINGER`].
const READINGS: usize = 4;

#[derive(Debug, Default)]
pub(crate) struct Lingering {
    streams: Vec<(Duration, Arc<TcpStream>)>,
}

impl Lingering {
    pub(crate) fn add(&mut self, stream: Arc<TcpStream>, now: Duration) {
        if SockRef::from(&*stream).shutdown(Shutdown::Write).is_err() {
            return;
        }
        if self.streams.len() >= CONNECTIONS {
            self.streams.remove(0);
        }
        self.streams.push((now + LINGER, stream));
    }

    pub(crate) fn clear(&mut self) {
        self.streams.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.streams.first().map(|(deadline, _)| *deadline)
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, now: Duration) {
        self.streams.retain(|(deadline, stream)| *deadline > now && !ended(stream, cx));
    }
}

/// Reads and drops what comes; whether the peer has closed its side.
fn ended(stream: &TcpStream, cx: &mut Context<'_>) -> bool {
    for _ in 0..READINGS {
        match stream.poll_read_ready(cx) {
            Poll::Pending => return false,
            Poll::Ready(Err(_)) => return true,
            Poll::Ready(Ok(())) => {}
        }
        match with_scratch(|scratch| stream.try_read(scratch)) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return true,
        }
    }
    cx.waker().wake_by_ref();
    false
}
