//! A BGP speaker made by hand, byte for byte and without our codec: it can lie, stammer and break the rules, and
//! what it sees is what was on the wire.

pub(crate) mod helper;
pub(crate) mod message;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::lab::in_namespace;
use crate::peer::{Daemon, Route};
use message::{Attributes, HEADER, KEEPALIVE, NOTIFICATION, OPEN, UPDATE, Update};

/// Longest wait for one message of a handshake.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who a scripted speaker says that it is.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// Namespace to call from.
    pub(crate) ns: String,
    /// Source address of the connection, and BGP identifier.
    pub(crate) local: Ipv4Addr,
    /// Whom to call.
    pub(crate) remote: SocketAddr,
    pub(crate) asn: u32,
    /// Hold time to propose; with 0 nobody sends keepalives.
    pub(crate) hold_time: u16,
}

impl Identity {
    /// Connects and sends nothing yet. The connection is refused until the other side listens.
    pub(crate) fn dial(&self) -> io::Result<TcpStream> {
        let stream = in_namespace(&self.ns, || dial_from(self.local, self.remote))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Connects and shakes hands up to Established.
    pub(crate) fn establish(&self) -> Result<TcpStream, String> {
        self.establish_with(&message::open(self.asn, self.hold_time, self.local))
    }

    /// The same with an OPEN of the caller's.
    pub(crate) fn establish_with(&self, open: &[u8]) -> Result<TcpStream, String> {
        let mut stream =
            self.dial().map_err(|error| format!("cannot connect to {}: {error}", self.remote))?;
        stream.write_all(open).map_err(|error| format!("cannot send OPEN: {error}"))?;
        expect(&mut stream, OPEN)?;
        stream.write_all(&message::keepalive()).map_err(|error| format!("cannot send KEEPALIVE: {error}"))?;
        expect(&mut stream, KEEPALIVE)?;
        Ok(stream)
    }
}

/// Reads one message: its type and its body.
pub(crate) fn read(stream: &mut TcpStream) -> io::Result<(u8, Vec<u8>)> {
    let mut header = [0; HEADER];
    stream.read_exact(&mut header)?;
    let length = usize::from(u16::from_be_bytes([header[16], header[17]]));
    let body = length.checked_sub(HEADER).ok_or_else(|| io::Error::other(format!("length {length}")))?;
    if header[..16] != [0xff; 16] {
        return Err(io::Error::other("a header without marker"));
    }
    let mut body = vec![0; body];
    stream.read_exact(&mut body)?;
    Ok((header[18], body))
}

/// Reads on until a NOTIFICATION comes and returns its code and subcode.
pub(crate) fn read_notification(stream: &mut TcpStream) -> Result<(u8, u8), String> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        match read(stream) {
            Ok((NOTIFICATION, body)) if body.len() >= 2 => return Ok((body[0], body[1])),
            Ok(_) => {}
            Err(error) => return Err(format!("no NOTIFICATION: {error}")),
        }
    }
    Err(format!("no NOTIFICATION within {PATIENCE:?}"))
}

fn expect(stream: &mut TcpStream, kind: u8) -> Result<(), String> {
    match read(stream) {
        Ok((got, _)) if got == kind => Ok(()),
        Ok((got, body)) => Err(format!("message type {got} where {kind} was due: {body:?}")),
        Err(error) => Err(format!("no message of type {kind}: {error}")),
    }
}

/// `std` cannot choose the source address of a connection.
fn dial_from(local: Ipv4Addr, remote: SocketAddr) -> io::Result<TcpStream> {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let fd = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(&fd, &SocketAddr::from((local, 0)))?;
    connect(&fd, &remote)?;
    Ok(TcpStream::from(fd))
}

/// A scripted speaker that behaves: it keeps its session and remembers what it is told.
pub(crate) struct Scripted {
    identity: Identity,
    networks: Vec<String>,
    stream: Option<TcpStream>,
    seen: Arc<Mutex<Seen>>,
}

/// What a scripted speaker has been told in its present session.
#[derive(Default)]
struct Seen {
    /// Words about the session's end, once it has ended.
    ended: Option<String>,
    routes: BTreeMap<String, (Route, Attributes)>,
}

impl Scripted {
    /// Shakes hands, trying again until the other side is ready, and announces.
    pub(crate) fn start(identity: Identity, networks: &[&str]) -> Self {
        let networks = networks.iter().map(|prefix| (*prefix).to_owned()).collect();
        let mut scripted = Self { identity, networks, stream: None, seen: Arc::default() };
        scripted.restart();
        scripted
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let stream = self.stream.as_mut().expect("the session was started");
        stream.write_all(bytes).unwrap_or_else(|error| panic!("the session is gone: {error}"));
    }

    /// The attributes of a route as they were on the wire.
    pub(crate) fn attributes(&self, prefix: &str) -> Option<Attributes> {
        self.seen().routes.get(prefix).map(|(_, attributes)| attributes.clone())
    }

    /// The attributes that it announces its own routes with.
    pub(crate) fn own_attributes(&self) -> Attributes {
        Attributes::plain(self.identity.local, Vec::new())
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Daemon for Scripted {
    fn route(&self, prefix: &str) -> Result<Option<Route>, String> {
        Ok(self.seen().routes.get(prefix).map(|(route, _)| route.clone()))
    }

    fn established(&self, _: IpAddr) -> Result<(), String> {
        self.seen().ended.clone().map_or(Ok(()), Err)
    }

    fn announce(&mut self, prefix: &str) {
        self.networks.push(prefix.to_owned());
        let update = message::announce(&self.own_attributes(), &[prefix]);
        self.send(&update);
    }

    fn withdraw(&mut self, prefix: &str) {
        self.networks.retain(|network| network != prefix);
        self.send(&message::withdraw(&[prefix]));
    }

    fn lose(&mut self, prefix: &str) {
        panic!("no scenario restarts it without {prefix}")
    }

    fn kill(&mut self) {
        if let Some(stream) = self.stream.take() {
            stream.shutdown(Shutdown::Both).ok();
        }
    }

    fn restart(&mut self) {
        self.kill();
        let deadline = Instant::now() + PATIENCE;
        let mut stream = loop {
            match self.identity.establish() {
                Ok(stream) => break stream,
                Err(_) if Instant::now() < deadline => thread::sleep(Duration::from_millis(200)),
                Err(error) => panic!("the scripted speaker's session does not come up: {error}"),
            }
        };
        for network in &self.networks {
            let update = message::announce(&self.own_attributes(), &[network]);
            stream.write_all(&update).unwrap_or_else(|error| panic!("the session is gone: {error}"));
        }
        self.seen = Arc::default();
        let reader = stream.try_clone().expect("a socket can be shared");
        let (hold_time, seen) = (self.identity.hold_time, Arc::clone(&self.seen));
        // It ends with the socket, which `kill` or the drop of this speaker closes.
        thread::spawn(move || listen(reader, hold_time, &seen));
        self.stream = Some(stream);
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads until the session ends; answers with keepalives of its own.
fn listen(mut stream: TcpStream, hold_time: u16, seen: &Mutex<Seen>) {
    stream.set_read_timeout(Some(Duration::from_secs(3600))).ok();
    if hold_time > 0 {
        let (mut writer, pause) = (stream.try_clone(), Duration::from_secs(u64::from(hold_time)) / 3);
        thread::spawn(move || {
            while writer.as_mut().is_ok_and(|writer| writer.write_all(&message::keepalive()).is_ok()) {
                thread::sleep(pause);
            }
        });
    }
    let end = loop {
        match read(&mut stream) {
            Ok((UPDATE, body)) => match Update::parse(&body) {
                Some(update) => seen.lock().unwrap_or_else(PoisonError::into_inner).apply(update),
                None => break format!("an UPDATE that cannot be read: {body:02x?}"),
            },
            Ok((NOTIFICATION, body)) => break format!("NOTIFICATION {body:?}"),
            Ok(_) => {}
            Err(error) => break format!("the connection ended: {error}"),
        }
    };
    seen.lock().unwrap_or_else(PoisonError::into_inner).ended = Some(end);
}

impl Seen {
    fn apply(&mut self, update: Update) {
        for prefix in &update.withdrawn {
            self.routes.remove(prefix);
        }
        for (prefix, next_hop) in update.announced {
            let attributes = &update.attributes;
            let route = Route {
                next_hop,
                as_path: attributes.as_path.clone(),
                originator: attributes.originator.map(|id| id.to_string()),
                clusters: attributes.clusters.iter().map(ToString::to_string).collect(),
            };
            self.routes.insert(prefix, (route, attributes.clone()));
        }
    }
}
