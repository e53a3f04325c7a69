//! One TCP connection: framing on the way in, the order of messages on the way out. Nothing here waits.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bgp_fsm::ConnId;
use bgp_wire::{Codec, HEADER_LEN, MAX_EXTENDED_LEN};
use bytes::{Buf, Bytes};
use socket2::SockRef;
use tokio::net::TcpStream;

/// What one read may bring: the rest of the longest message, and as much again so that a full table takes few reads.
const SCRATCH: usize = 2 * (MAX_EXTENDED_LEN + 1);
/// Slices of one vectored write: what a transmission of the table is made of, and a few messages of the session.
const SLICES: usize = 16;

thread_local! {
    /// Where sockets are read into. It is used within one poll only, so that a connection owns no buffer while nothing
    /// comes.
    static SCRATCH_BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH]);
}

/// Lends the thread's buffer for one reading.
pub(crate) fn with_scratch<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH_BUFFER.with_borrow_mut(|scratch| read(scratch))
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) id: ConnId,
    /// Shared with the mailbox while nothing is to be written here.
    pub(crate) stream: Arc<TcpStream>,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) codec: Codec,
    /// SendHold has been told that the socket takes nothing (RFC 9687).
    pub(crate) write_blocked: bool,
    /// Since when a keepalive is due that the socket has not taken.
    pub(crate) keepalive_due: Option<Duration>,
    /// Why nothing can be written any more. What has come before that is still read: it may say why the peer has closed.
    broken: Option<io::Error>,
    /// The first octets of a message whose rest has not come.
    partial: Vec<u8>,
    outgoing: Outgoing,
}

/// What is to be written: messages of the session, and slices of the table's transmission.
#[derive(Debug, Default)]
struct Outgoing {
    session: VecDeque<Bytes>,
    table: VecDeque<Bytes>,
    /// Octets of the first slice that have been written.
    written: usize,
    /// Where in the first slice a message is known to begin, at or before `written`.
    boundary: usize,
}

/// What the table has for a connection: whole messages, of which the socket may have taken the beginning.
#[derive(Debug, Default)]
pub(crate) struct Transmission {
    chunks: Vec<Bytes>,
    /// Octets of the first slice that have been written.
    written: usize,
}

impl From<Vec<Bytes>> for Transmission {
    fn from(chunks: Vec<Bytes>) -> Self {
        Self { chunks, written: 0 }
    }
}

impl Transmission {
    /// Octets in all.
    pub(crate) fn len(&self) -> usize {
        self.chunks.iter().map(Bytes::len).sum()
    }

    /// Each message.
    pub(crate) fn messages(&self) -> usize {
        self.chunks.iter().map(|chunk| Messages(chunk).count()).sum()
    }

    /// Writes it to a socket that has nothing else to take; what the socket did not take at once. An error leaves
    /// everything, for whoever owns the connection to find.
    pub(crate) fn write_to(mut self, stream: &TcpStream) -> Option<Self> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut count = 0;
        for (slot, chunk) in slices.iter_mut().zip(&self.chunks) {
            *slot = IoSlice::new(chunk);
            count += 1;
        }
        let mut taken = match slices.get(..count).unwrap_or_default() {
            [one] => crate::socket::send_now(stream, one),
            slices => stream.try_write_vectored(slices),
        }
        .unwrap_or(0);
        let whole = self.chunks.iter().take_while(|chunk| {
            let whole = taken >= chunk.len();
            taken -= if whole { chunk.len() } else { 0 };
            whole
        });
        let whole = whole.count();
        self.chunks.drain(..whole);
        self.written = taken;
        (!self.chunks.is_empty()).then_some(self)
    }
}

/// The messages of a slice from the table.
struct Messages<'a>(&'a [u8]);

impl Iterator for Messages<'_> {
    type Item = ();

    fn next(&mut self) -> Option<()> {
        let length = u16::from_be_bytes([*self.0.get(16)?, *self.0.get(17)?]);
        self.0 = self.0.get(usize::from(length).max(HEADER_LEN)..).unwrap_or_default();
        Some(())
    }
}

impl Connection {
    pub(crate) fn new(id: ConnId, stream: TcpStream) -> io::Result<Self> {
        Ok(Self {
            id,
            local: stream.local_addr()?,
            remote: stream.peer_addr()?,
            stream: Arc::new(stream),
            codec: Codec::before_open(),
            write_blocked: false,
            keepalive_due: None,
            broken: None,
            partial: Vec::new(),
            outgoing: Outgoing::default(),
        })
    }

    /// Reads once, behind what an earlier reading left; how many octets of `scratch` are filled. `None` is the end of the
    /// stream.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut [u8],
    ) -> Poll<io::Result<Option<usize>>> {
        let kept = self.partial.len();
        // An unfinished message is at most half of the scratch buffer, so that there is room behind it.
        let (old, free) = scratch.split_at_mut(kept.min(scratch.len()));
        let n = loop {
            ready!(self.stream.poll_read_ready(cx))?;
            match self.stream.try_read(free) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => break read?,
            }
        };
        if n == 0 {
            return Poll::Ready(Ok(None));
        }
        old.copy_from_slice(&self.partial);
        self.partial = Vec::new();
        Poll::Ready(Ok(Some(kept + n)))
    }

    /// Nothing is written any more, and reading comes to an end.
    pub(crate) fn break_off(&mut self, error: io::Error) {
        self.broken = Some(error);
        // An error says that there is no connection left to shut down.
        let _ = SockRef::from(&*self.stream).shutdown(Shutdown::Both);
    }

    /// Why it broke, if it did.
    pub(crate) fn broken(&mut self) -> Option<io::Error> {
        self.broken.take()
    }

    /// Keeps the octets of an unfinished message for the next reading. At a message boundary nothing is held.
    pub(crate) fn keep(&mut self, rest: &[u8]) {
        self.partial = rest.to_vec();
    }

    /// Whether octets of the peer lie in the socket. The system is asked, not the runtime: what the runtime knows may be as
    /// old as the delay that this is asked about.
    pub(crate) fn unread(&self) -> bool {
        let mut octet = [MaybeUninit::uninit()];
        matches!(SockRef::from(&*self.stream).peek(&mut octet), Ok(n) if n > 0)
    }

    /// Queues a question for routes, unless the same waits already; whether it does so now.
    pub(crate) fn ask(&mut self, message: Bytes) -> bool {
        let is_new = !self.outgoing.session.contains(&message);
        if is_new {
            self.send(message);
        }
        is_new
    }

    /// Queues a message of the session.
    pub(crate) fn send(&mut self, message: Bytes) {
        // A keepalive that waits says what a second one behind it would say. This bounds the queue of a peer that does
        // not read: everything else that a session sends is answered or ends it.
        if message.len() == HEADER_LEN && self.outgoing.session.back() == Some(&message) {
            return;
        }
        self.outgoing.session.push_back(message);
    }

    /// Queues a transmission of the table; the one before has been written.
    pub(crate) fn transmit(&mut self, transmission: Transmission) {
        self.outgoing.table.extend(transmission.chunks.into_iter().filter(|c| !c.is_empty()));
        (self.outgoing.written, self.outgoing.boundary) = (transmission.written, 0);
    }

    /// Everything that the table gave has been written.
    pub(crate) fn table_drained(&self) -> bool {
        self.outgoing.table.is_empty()
    }

    /// Octets that have not been written.
    pub(crate) fn unsent(&self) -> u64 {
        let out = &self.outgoing;
        let all: usize = out.session.iter().chain(&out.table).map(Bytes::len).sum();
        all.saturating_sub(out.written) as u64
    }

    /// Everything that the session had to say has been written.
    pub(crate) fn session_drained(&self) -> bool {
        self.outgoing.session.is_empty()
    }

    /// There is something to write, and can be written.
    pub(crate) fn wants_write(&self) -> bool {
        self.broken.is_none() && !(self.outgoing.session.is_empty() && self.outgoing.table.is_empty())
    }

    /// Writes once; how many octets the socket took.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match self.try_write() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn try_write(&mut self) -> io::Result<usize> {
        let head = self.outgoing.head();
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = self.outgoing.fill(head, &mut slices);
        let n = match slices.get(..count).unwrap_or_default() {
            // A keepalive alone, mostly: the system has less to look at than with a vector of one.
            [one] => self.stream.try_write(one)?,
            slices => self.stream.try_write_vectored(slices)?,
        };
        self.outgoing.advance(head, n);
        Ok(n)
    }

    /// The bare socket, and what is still to be written to it: the rest of a partly written message and what the session
    /// had to say last. What else the table had is dropped, as the session is over.
    pub(crate) fn into_last_words(mut self) -> (Arc<TcpStream>, VecDeque<Bytes>) {
        (self.stream, self.outgoing.take_last_words())
    }
}

impl Outgoing {
    /// How many octets of the first slice go before the session's messages: the rest of a message that is partly written.
    fn head(&mut self) -> usize {
        let Some(first) = self.table.front() else { return 0 };
        if self.session.is_empty() {
            return 0;
        }
        while self.boundary < self.written {
            // Slices of the table are whole messages; the walk ends at the slice's end whatever they say.
            let length = first
                .get(self.boundary + 16..self.boundary + 18)
                .map_or(usize::MAX, |mut l| l.get_u16().into());
            self.boundary = self.boundary.saturating_add(length.max(HEADER_LEN)).min(first.len());
        }
        self.boundary - self.written
    }

    fn fill<'a>(&'a self, head: usize, slices: &mut [IoSlice<'a>]) -> usize {
        let first = self.table.front().map_or(&[][..], |f| f.get(self.written..).unwrap_or_default());
        let (before, after) = first.split_at(head.min(first.len()));
        let rest = self.table.iter().skip(1).map(|b| &b[..]);
        let all = [before].into_iter().chain(self.session.iter().map(|b| &b[..])).chain([after]).chain(rest);
        let mut count = 0;
        for (slot, slice) in slices.iter_mut().zip(all.filter(|s| !s.is_empty())) {
            *slot = IoSlice::new(slice);
            count += 1;
        }
        count
    }

    fn advance(&mut self, head: usize, n: usize) {
        let taken = n.min(head);
        self.advance_table(taken);
        let mut left = n - taken;
        while left > 0 {
            let Some(message) = self.session.front_mut() else { break };
            let step = left.min(message.len());
            message.advance(step);
            left -= step;
            if message.is_empty() {
                self.session.pop_front();
            }
        }
        self.advance_table(left);
    }

    fn advance_table(&mut self, mut n: usize) {
        while n > 0 {
            let Some(first) = self.table.front() else { return };
            let step = n.min(first.len() - self.written);
            self.written += step;
            n -= step;
            if self.written == first.len() {
                self.table.pop_front();
                (self.written, self.boundary) = (0, 0);
            }
        }
    }

    /// The rest of a partly written message and the session's messages.
    fn take_last_words(&mut self) -> VecDeque<Bytes> {
        let (from, head) = (self.written, self.head());
        let rest = self.table.front().and_then(|first| first.get(from..from + head));
        // A copy: the slice would keep the whole transmission in memory.
        if let Some(rest) = rest.filter(|rest| !rest.is_empty()).map(Bytes::copy_from_slice) {
            self.session.push_front(rest);
        }
        std::mem::take(&mut self.session)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail by panic, and so may what serves tests")]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    /// The peer says why, and resets the connection: it closes it with octets of ours unread.
    #[tokio::test]
    async fn what_came_before_a_write_failed_is_still_read() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut connection = Connection::new(ConnId(1), listener.accept().await.unwrap().0).unwrap();
        connection.send(Bytes::from_static(&[1; 100]));
        poll_fn(|cx| connection.poll_write(cx)).await.unwrap();
        peer.readable().await.unwrap();
        peer.write_all(b"why").await.unwrap();
        drop(peer);

        let error = loop {
            connection.send(Bytes::from_static(&[2; 100]));
            match poll_fn(|cx| connection.poll_write(cx)).await {
                Ok(_) => tokio::task::yield_now().await,
                Err(error) => break error,
            }
        };
        connection.break_off(error);
        assert!(!connection.wants_write());
        let mut scratch = vec![0; SCRATCH];
        let read = poll_fn(|cx| connection.poll_read(cx, &mut scratch)).await;
        assert_eq!((read.unwrap(), &scratch[..3]), (Some(3), &b"why"[..]));
        let end = poll_fn(|cx| connection.poll_read(cx, &mut scratch)).await;
        assert!(matches!(end, Ok(None) | Err(_)), "{end:?}");
        assert!(connection.broken().is_some());
    }
}
