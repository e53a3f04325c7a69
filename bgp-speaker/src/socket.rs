//! Sockets as BGP wants them: listening, dialling, and what is set on every connection.

use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::peer_address::PeerAddress;
use crate::tcp::Guard;

/// Connections that may wait to be accepted: a thousand clients that come at once after a restart, and the kernel's own
/// bound (net.core.somaxconn, 4096) above that.
const BACKLOG: i32 = 4096;
/// DSCP CS6, "network control" (RFC 4594 §3.1), in the place that it has in the TOS octet.
const TOS_NETWORK_CONTROL: u32 = 0xC0;
/// The shortest time that unacknowledged data may be outstanding: TCP's own retransmissions need a few attempts.
const MIN_USER_TIMEOUT: Duration = Duration::from_secs(3);
/// The kernel counts milliseconds in 31 bits, and refuses more.
const MAX_USER_TIMEOUT: Duration = Duration::from_millis(i32::MAX as u64);

/// How one peer is reached.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    pub(crate) remote: SocketAddr,
    pub(crate) source: Option<IpAddr>,
    pub(crate) ttl: u8,
    pub(crate) guard: Guard,
}

/// Gives a socket what it takes at once. The system is asked past what the runtime knows of the socket, which is a cache miss
/// for each of thousands; who writes through the runtime afterwards finds out by itself that there is no room.
#[cfg(target_os = "linux")]
pub(crate) fn send_now(stream: &TcpStream, octets: &[u8]) -> io::Result<usize> {
    use rustix::net::{SendFlags, send};
    Ok(send(stream, octets, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn send_now(stream: &TcpStream, octets: &[u8]) -> io::Result<usize> {
    stream.try_write(octets)
}

/// Binds a socket that is to listen, beside another on its port if need be. IPv4 and IPv6 are separate sockets, so that both
/// wildcards can be listened on.
pub(crate) fn bind(address: SocketAddr, beside: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    answer_from_afar(&socket, address)?;
    share_port(&socket, beside)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Begins to listen.
pub(crate) fn begin(socket: Socket) -> io::Result<TcpListener> {
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Ends listening while somebody may still hold the socket; connections that it has brought stay.
pub(crate) fn end(socket: &TcpListener) -> io::Result<()> {
    SockRef::from(socket).shutdown(Shutdown::Read)
}

/// Lets sockets of the same user be bound to addresses that overlap, if all of them are let (SO_REUSEPORT).
pub(crate) fn share_port(socket: &impl AsFd, share: bool) -> io::Result<()> {
    SockRef::from(socket).set_reuse_port(share)
}

/// The kernel answers a SYN before we know of the connection: a peer that demands TTL 255 (RFC 5082) would not hear less, and
/// the answer is control traffic like the rest.
fn answer_from_afar(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    prepare(&SockRef::from(socket), address, u8::MAX)
}

/// Connects to a peer.
pub(crate) async fn dial(way: Way) -> io::Result<TcpStream> {
    let socket = if way.remote.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    prepare(&SockRef::from(&socket), way.remote, way.ttl)?;
    way.guard.prepare(&socket, way.remote.ip())?;
    if let Some(source) = way.source {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    socket.connect(way.remote).await
}

/// Sets on an accepted connection what [`dial`] sets on its own.
pub(crate) fn adopt(stream: &TcpStream, way: &Way) -> io::Result<()> {
    prepare(&SockRef::from(stream), way.remote, way.ttl)?;
    way.guard.admit(stream, way.remote.ip())
}

/// Which peer a connection comes from. A link-local address says so together with the interface that it came in on.
pub(crate) fn peer_address(stream: &TcpStream, remote: SocketAddr) -> PeerAddress {
    let interface = match remote {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => interface_name(stream, v6.scope_id()),
        _ => None,
    };
    PeerAddress::behind(remote.ip(), interface.as_deref().unwrap_or_default())
}

#[cfg(target_os = "linux")]
fn interface_name(stream: &TcpStream, index: u32) -> Option<String> {
    rustix::net::netdevice::index_to_name(stream, index).ok()
}

#[cfg(not(target_os = "linux"))]
fn interface_name(_: &TcpStream, _: u32) -> Option<String> {
    None
}

fn prepare(socket: &SockRef<'_>, remote: SocketAddr, ttl: u8) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    if remote.is_ipv4() {
        socket.set_ttl_v4(u32::from(ttl))?;
        socket.set_tos_v4(TOS_NETWORK_CONTROL)
    } else {
        socket.set_unicast_hops_v6(u32::from(ttl))?;
        socket.set_tclass_v6(TOS_NETWORK_CONTROL)
    }
}

/// Lets TCP itself give a connection up when the peer has taken nothing for this time. Zero-window probes that the peer
/// answers do not extend it on Linux, so that it ends a peer that does not read as well as one that has vanished.
pub(crate) fn set_user_timeout(stream: &TcpStream, timeout: Option<Duration>) -> io::Result<()> {
    let timeout = timeout.map(|timeout| timeout.clamp(MIN_USER_TIMEOUT, MAX_USER_TIMEOUT));
    SockRef::from(stream).set_tcp_user_timeout(timeout)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail by panic, and so may what serves tests")]
mod tests {
    use super::*;

    /// A small message that follows another one would else wait for the acknowledgement of that.
    #[tokio::test]
    async fn at_neither_end_of_a_connection_does_a_message_wait_for_more() {
        for own in ["127.0.0.1:0", "[::1]:0"] {
            let listener = begin(bind(own.parse().unwrap(), false).unwrap()).unwrap();
            let way = |remote| Way { remote, source: None, ttl: 64, guard: Guard::default() };
            let dialled = dial(way(listener.local_addr().unwrap()));
            let (dialled, accepted) = tokio::join!(dialled, listener.accept());
            let (dialled, (accepted, remote)) = (dialled.unwrap(), accepted.unwrap());
            adopt(&accepted, &way(remote)).unwrap();
            assert!(dialled.nodelay().unwrap(), "dialled");
            assert!(accepted.nodelay().unwrap(), "accepted");
        }
    }
}
