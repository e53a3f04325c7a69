//! The listening sockets: they come and go while sessions go on.
//!
//! What is new is opened before what goes is closed. Linux refuses a socket on one address beside one that listens on all of
//! them; both then share the port for the moment in which there are two (SO_REUSEPORT).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use crate::socket;
use crate::tcp::Listeners;

/// The pause after accepting failed: the process is out of descriptors, and they come back when sessions end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A connection that was accepted, and where it came from.
pub(crate) type Accepted = (TcpStream, SocketAddr);

/// The listening sockets of one speaker, and the tasks that accept from them.
pub(crate) struct Listening {
    open: Vec<Open>,
    accepted: mpsc::Sender<Accepted>,
    loops: JoinSet<()>,
}

/// One listening socket.
struct Open {
    /// What was asked for: its port may be 0.
    wanted: SocketAddr,
    socket: Arc<TcpListener>,
    accepting: AbortHandle,
    /// It shares its port with one that is about to go.
    shares: bool,
}

impl Listening {
    pub(crate) fn new(accepted: mpsc::Sender<Accepted>) -> Self {
        Self { open: Vec::new(), accepted, loops: JoinSet::new() }
    }

    /// Where it listens, with the real ports.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.open.iter().filter_map(|open| open.socket.local_addr().ok()).collect()
    }

    /// Where it was asked to listen, as far as it does.
    pub(crate) fn asked(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.open.iter().map(|open| open.wanted)
    }

    /// Begins to listen, with the keys that others have; those that are `going` may be in the way.
    pub(crate) fn open(
        &mut self,
        wanted: SocketAddr,
        keys: &mut Listeners,
        going: &[SocketAddr],
    ) -> io::Result<()> {
        let mut shares = false;
        let bound = socket::bind(wanted, false).or_else(|error| {
            let in_the_way = |open: &&Open| {
                going.contains(&open.wanted)
                    && open.wanted.is_ipv4() == wanted.is_ipv4()
                    && open.socket.local_addr().is_ok_and(|at| at.port() == wanted.port())
            };
            let others: Vec<&Open> = self.open.iter().filter(in_the_way).collect();
            if error.kind() != io::ErrorKind::AddrInUse || others.is_empty() {
                return Err(error);
            }
            others.iter().try_for_each(|open| socket::share_port(&open.socket, true))?;
            shares = true;
            socket::bind(wanted, true)
        })?;
        // Before the first connection comes: none is to come without its key.
        keys.protect(&bound, wanted.is_ipv4());
        let socket = Arc::new(socket::begin(bound)?);
        keys.add(&socket);
        let accepting = self.loops.spawn(accept_loop(socket.clone(), self.accepted.clone()));
        self.open.push(Open { wanted, socket, accepting, shares });
        Ok(())
    }

    /// Ends listening on these; the connections that had come already.
    pub(crate) fn close(&mut self, gone: &[SocketAddr], keys: &mut Listeners) -> Vec<Accepted> {
        let (closed, open): (Vec<Open>, _) =
            std::mem::take(&mut self.open).into_iter().partition(|open| gone.contains(&open.wanted));
        self.open = open;
        let mut late = Vec::new();
        for Open { socket, accepting, .. } in closed {
            accepting.abort();
            let mut nobody = Context::from_waker(Waker::noop());
            while let Poll::Ready(Ok(connection)) = socket.poll_accept(&mut nobody) {
                late.push(connection);
            }
            keys.remove(&socket);
            // Its port is free at once, and not only when the task has let go of it.
            let _ = socket::end(&socket);
        }
        for open in self.open.iter_mut().filter(|open| open.shares) {
            // The kernel remembers that the port was shared: a program of this user that asks for that too can still come beside us.
            let _ = socket::share_port(&open.socket, false);
            open.shares = false;
        }
        late
    }

    /// Ends everything.
    pub(crate) async fn shutdown(&mut self) {
        self.open.clear();
        self.loops.shutdown().await;
    }
}

/// The addresses of this node: those that it listens on, and those that it was told of.
pub(crate) fn own_addresses(listen: &[SocketAddr], named: &[IpAddr]) -> Arc<[IpAddr]> {
    let listening = listen.iter().map(SocketAddr::ip).filter(|a| !a.is_unspecified());
    let mut own: Vec<IpAddr> = listening.chain(named.iter().copied()).collect();
    own.sort_unstable();
    own.dedup();
    own.into()
}

async fn accept_loop(listener: Arc<TcpListener>, accepted: mpsc::Sender<Accepted>) {
    loop {
        match listener.accept().await {
            Ok(connection) => {
                if accepted.send(connection).await.is_err() {
                    return;
                }
            }
            Err(error) if is_about_one_connection(&error) => {}
            // It has been closed.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return,
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The connection was gone before it was accepted; the next one may be fine.
fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}
