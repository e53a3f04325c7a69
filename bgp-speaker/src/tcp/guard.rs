//! The protection of one peer's connections.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;

use bgp_wire::{HEADER_LEN, MAX_LEN};
#[cfg(target_os = "linux")]
use socket2::SockRef;

use super::keyring::{key_refused, put};
use super::{Key, MasterKey, option};

/// What the connections of one peer are protected with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Guard {
    /// Segments are signed with it.
    pub(crate) key: Option<Key>,
    /// The peer is at most this many hops away.
    pub(crate) hops: Option<u8>,
    /// The only interface that the peer is behind.
    pub(crate) interface: Option<String>,
}

/// The least TTL with which a packet arrives that was sent with 255 and passed `hops` links (RFC 5082 §3).
pub(super) fn min_ttl(hops: u8) -> u8 {
    u8::MAX - (hops.max(1) - 1)
}

impl Guard {
    /// Protects a socket that is about to connect.
    ///
    /// # Errors
    /// In words; the socket must not be used.
    pub(crate) fn prepare(&self, socket: &impl AsFd, remote: IpAddr) -> io::Result<()> {
        if let Some(interface) = &self.interface {
            bind_interface(socket, interface)?;
        }
        self.set_min_ttl(socket, remote)?;
        let Some(key) = &self.key else { return Ok(()) };
        put(socket, remote.into(), key, None, true).map_err(|error| in_words(key, &error))
    }

    /// Protects an accepted socket.
    ///
    /// # Errors
    /// In words; the connection must not be used.
    pub(crate) fn admit(&self, socket: &impl AsFd, remote: IpAddr) -> io::Result<()> {
        if let Some(interface) = &self.interface {
            came_through(socket, interface)?;
            bind_interface(socket, interface)?;
        }
        self.set_min_ttl(socket, remote)?;
        self.sign(socket, remote, None)?;
        if self.key.is_some() || self.hops.is_some() {
            return no_more_than_an_open(socket);
        }
        Ok(())
    }

    /// Signs with the key from now on, on a connection that is in use, in place of the `former` one.
    ///
    /// # Errors
    /// In words; the connection must not be used any more.
    pub(crate) fn sign(&self, socket: &impl AsFd, remote: IpAddr, former: Option<&Key>) -> io::Result<()> {
        let Some(key) = &self.key else { return Ok(()) };
        let result = match key {
            Key::Md5(_) => put(socket, remote.into(), key, None, false),
            Key::Ao(chain) => roll_over(socket, remote, chain, former.map_or(&[], Key::chain)),
        };
        result.map_err(|error| in_words(key, &error))
    }

    fn set_min_ttl(&self, socket: &impl AsFd, remote: IpAddr) -> io::Result<()> {
        match self.hops {
            Some(hops) => option::set_min_ttl(socket, remote.is_ipv4(), min_ttl(hops)).map_err(|error| {
                io::Error::new(error.kind(), format!("the system does not check hops (RFC 5082): {error}"))
            }),
            None => Ok(()),
        }
    }
}

fn in_words(key: &Key, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), key_refused(key, error, None))
}

/// Gives a connection this chain of master keys and no other. One that was accepted has those of the listening socket, and
/// with them those of every range around its peer, which are not to speak for a peer that has its own.
fn roll_over(
    socket: &impl AsFd,
    remote: IpAddr,
    chain: &[MasterKey],
    former: &[MasterKey],
) -> io::Result<()> {
    let Some(first) = chain.first() else { return Err(io::ErrorKind::InvalidInput.into()) };
    let listed = option::ao_keys(socket).map_err(|error| match error.kind() {
        // It came when there was no key for it yet, and cannot be given one any more.
        io::ErrorKind::NotFound => io::Error::new(error.kind(), "the connection was made without TCP-AO"),
        _ => error,
    })?;
    let reused = |key: &MasterKey| former.iter().any(|old| old.clashes(key.ids()) && old != key);
    for key in chain {
        if !reused(key) && listed.iter().any(|has| has.is(key)) {
            continue;
        }
        if reused(key) || listed.iter().any(|has| key.clashes(has.ids())) {
            // RFC 5925 §3.1: the ids of a key that is in use name no other one.
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the ids of a key in use were given to another",
            ));
        }
        option::add_ao_key(socket, remote.into(), key, false)?;
    }
    option::ask_for_ao_key(socket, first.ids())?;
    for old in listed.iter().filter(|has| !chain.iter().any(|key| has.is(key))) {
        option::delete_ao_key(socket, old.peers(), old.ids(), Some(first.ids()))?;
    }
    Ok(())
}

/// What lies in an accepted socket arrived before this socket was protected. A peer that sent it in good faith has sent its
/// OPEN and waits for ours; more than that was sent blindly, to be in before the check. Everything later is checked, and no
/// session comes up without it.
fn no_more_than_an_open(socket: &impl AsFd) -> io::Result<()> {
    let mut octets = [0; MAX_LEN + 1];
    let arrived = match option::peek(socket, &mut octets) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
        arrived => arrived?,
    };
    let message = usize::from(u16::from_be_bytes([octets[16], octets[17]]));
    if arrived <= HEADER_LEN || arrived <= message {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        "more than an OPEN came before the connection was protected",
    ))
}

/// Lets the socket use this interface only.
#[cfg(target_os = "linux")]
fn bind_interface(socket: &impl AsFd, interface: &str) -> io::Result<()> {
    SockRef::from(socket).bind_device(Some(interface.as_bytes())).map_err(|error| {
        let words = match error.raw_os_error() {
            Some(libc::ENODEV) => format!("there is no interface {interface}"),
            _ => format!("cannot use interface {interface} alone: {error}"),
        };
        io::Error::new(error.kind(), words)
    })
}

/// Refuses a connection that is known to have come through another interface, as one from a link-local address is.
#[cfg(target_os = "linux")]
fn came_through(socket: &impl AsFd, interface: &str) -> io::Result<()> {
    match SockRef::from(socket).device()? {
        Some(device) if device != interface.as_bytes() => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("it came through {} and not {interface}", String::from_utf8_lossy(&device)),
        )),
        _ => Ok(()),
    }
}

#[cfg(not(target_os = "linux"))]
fn bind_interface<S>(_: &S, _: &str) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "sessions bound to an interface need Linux"))
}

#[cfg(not(target_os = "linux"))]
fn came_through<S>(_: &S, _: &str) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
#[allow(clippy::unwrap_used, reason = "a test may fail by panic, and so may what serves tests")]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }

    /// An OPEN of the usual length, as far as its header goes, and a KEEPALIVE.
    fn messages() -> (Vec<u8>, &'static [u8]) {
        let mut open = vec![0xFF; 45];
        open[16..19].copy_from_slice(&[0, 45, 1]);
        (open, bgp_wire::keepalive())
    }

    /// Waits for what was sent over loopback.
    fn await_octets(socket: &TcpStream, count: usize) {
        let mut octets = vec![0; count];
        while socket.peek(&mut octets).unwrap() < count {}
    }

    #[test]
    fn an_open_may_come_before_the_protection() {
        let (mut client, socket) = pair();
        let guard = Guard { hops: Some(1), ..Guard::default() };
        guard.admit(&socket, client.local_addr().unwrap().ip()).unwrap();

        let (open, _) = messages();
        let (mut client_with_open, socket) = pair();
        client_with_open.write_all(&open).unwrap();
        await_octets(&socket, open.len());
        guard.admit(&socket, client_with_open.local_addr().unwrap().ip()).unwrap();
        client.write_all(&open).unwrap();
    }

    #[test]
    fn more_than_an_open_before_the_protection_is_refused() {
        let (open, keepalive) = messages();
        let (mut client, socket) = pair();
        let remote = client.local_addr().unwrap().ip();
        client.write_all(&[&open, keepalive].concat()).unwrap();
        await_octets(&socket, open.len() + keepalive.len());
        let guard = Guard { hops: Some(1), ..Guard::default() };
        assert_eq!(guard.admit(&socket, remote).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        Guard::default().admit(&socket, remote).unwrap();
    }

    #[test]
    fn hops_are_counted_down_from_the_highest_ttl() {
        assert_eq!([1, 2, 255].map(min_ttl), [255, 254, 1]);
    }

    #[test]
    fn a_connection_through_another_interface_is_refused() {
        let (client, socket) = pair();
        let guard = Guard { interface: Some("lo".into()), ..Guard::default() };
        let remote = client.local_addr().unwrap().ip();
        guard.admit(&socket, remote).unwrap();
        let guard = Guard { interface: Some("eth7".into()), ..Guard::default() };
        let error = guard.admit(&socket, remote).unwrap_err();
        assert!(error.to_string().contains("through lo and not eth7"), "{error}");
    }
}
