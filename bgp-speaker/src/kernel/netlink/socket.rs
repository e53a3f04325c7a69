//! Netlink sockets: options, buffers, the filter against our own echoes, and messages in a datagram.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use netlink_packet_core::{NetlinkBuffer, NetlinkHeader, Parseable};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use rustix::net::sockopt;
use socket2::{SockFilter, SockRef};

use crate::kernel::error::{FibError, errno};

/// One datagram of a dump is at most 32 KiB; one answer or event is far less.
const DATAGRAM: usize = 64 * 1024;
/// Room for what the kernel sends before we read: 16 MiB held 20,000 events in a row, the default (208 KiB) holds 256.
pub(super) const RECEIVE_BUFFER: usize = 16 << 20;
/// For one answer at a time.
pub(super) const SMALL_BUFFER: usize = 256 << 10;
/// What the kernel grants when it may not be forced (no CAP_NET_ADMIN in the first user namespace).
const RECEIVE_BUFFER_UNFORCED: i32 = 4 << 20;
/// The kernel answers before `send` returns; a wait of this length means that it will not.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// A netlink socket with its buffer.
#[derive(Debug)]
pub(super) struct Channel {
    socket: Socket,
    buffer: Vec<u8>,
    pub(super) port: u32,
    /// Whether the large receive buffer was granted.
    pub(super) roomy: bool,
}

impl Channel {
    /// For requests, dumps and their answers.
    pub(super) fn requests(room: usize) -> Result<Self, FibError> {
        let channel = Self::open(room)?;
        let socket = &channel.socket;
        socket
            .set_ext_ack(true)
            .and_then(|()| socket.set_cap_ack(true))
            .and_then(|()| socket.set_netlink_get_strict_chk(true))
            .map_err(|error| FibError::Io("netlink options (Linux 4.20 or newer is needed)", error))?;
        sockopt::set_socket_timeout(socket, sockopt::Timeout::Recv, Some(ANSWER_LIMIT))
            .map_err(|error| FibError::Io("netlink receive timeout", error.into()))?;
        Ok(channel)
    }

    /// For the events of `groups`, without those that `not_from` (our request socket) causes.
    pub(super) fn events(groups: &[u32], not_from: u32, room: usize) -> Result<Self, FibError> {
        let channel = Self::open(room)?;
        let filtered = SockRef::from(&channel.socket).attach_filter(&without_port(not_from));
        filtered.map_err(|error| FibError::Io("netlink event filter", error))?;
        for group in groups {
            let joined = channel.socket.add_membership(*group);
            joined.map_err(|error| FibError::Io("joining a netlink event group", error))?;
        }
        let quiet = channel.socket.set_non_blocking(true);
        quiet.map_err(|error| FibError::Io("netlink event socket", error))?;
        Ok(channel)
    }

    fn open(room: usize) -> Result<Self, FibError> {
        let failed = |error| FibError::Io("opening a netlink socket", error);
        let mut socket = Socket::new(NETLINK_ROUTE).map_err(failed)?;
        let port = socket.bind_auto().map_err(failed)?.port_number();
        let roomy = sockopt::set_socket_recv_buffer_size_force(&socket, room).is_ok();
        if !roomy {
            socket.set_rx_buf_sz(RECEIVE_BUFFER_UNFORCED).map_err(failed)?;
        }
        Ok(Self { socket, buffer: Vec::with_capacity(DATAGRAM), port, roomy })
    }

    /// One more event group; a kernel that does not have it has nothing to tell of it.
    pub(super) fn join(&mut self, group: u32) {
        if let Err(error) = self.socket.add_membership(group) {
            tracing::debug!("netlink event group {group}: {error}");
        }
    }

    pub(super) fn send(&self, bytes: &[u8]) -> Result<(), FibError> {
        loop {
            match self.socket.send_to(bytes, &SocketAddr::new(0, 0), 0) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(broken("sending to the kernel", error)),
            }
        }
    }

    /// The next datagram; `None` = nothing there (event socket only).
    pub(super) fn receive(&mut self) -> Result<Option<Messages<'_>>, FibError> {
        loop {
            self.buffer.clear();
            match self.socket.recv(&mut self.buffer, 0) {
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() == Some(errno::EAGAIN) => return Ok(None),
                Err(error) => return Err(broken("receiving from the kernel", error)),
            }
        }
        Ok(Some(Messages::over(&self.buffer)))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn broken(what: &'static str, error: io::Error) -> FibError {
    match error.raw_os_error() {
        Some(errno::ENOBUFS) => FibError::Overrun,
        Some(errno::EPERM) => FibError::NotPermitted,
        _ => FibError::Io(what, error),
    }
}

/// Classic BPF over the message header: drop what carries this port id, keep the rest. Our own 100,000 routes
/// would otherwise come back as 100,000 events.
fn without_port(port: u32) -> [SockFilter; 4] {
    const LOAD_WORD_ABSOLUTE: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    /// Offset of nlmsg_pid.
    const PORT: u32 = 12;
    [
        SockFilter::new(LOAD_WORD_ABSOLUTE, 0, 0, PORT),
        // BPF loads in network order, netlink writes in host order.
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, port.to_be()),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ]
}

/// The messages of one datagram: header and payload.
pub(super) struct Messages<'a>(&'a [u8]);

impl<'a> Messages<'a> {
    pub(super) fn over(datagram: &'a [u8]) -> Self {
        Self(datagram)
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = (NetlinkHeader, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        const HEADER: usize = 16;
        let checked = NetlinkBuffer::new_checked(self.0).ok()?;
        let header = NetlinkHeader::parse(&checked).ok()?;
        let length = header.length as usize;
        let payload = self.0.get(HEADER..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((header, payload))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_end_at_the_first_broken_length() {
        let mut bytes = vec![0; 16];
        bytes[0] = 16;
        assert_eq!(Messages(&bytes).count(), 1);
        bytes.extend([7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Messages(&bytes).count(), 1);
        assert_eq!(Messages(&[]).count(), 0);
        bytes[0] = 200;
        assert_eq!(Messages(&bytes).count(), 0);
    }
}
