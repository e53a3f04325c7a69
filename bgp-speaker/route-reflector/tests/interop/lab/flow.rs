//! Packets that flow while something else happens.

use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use socket2::{Domain, Protocol, Socket, Type};

use super::{Node, eventually};

/// How long the way may take to open.
const OPEN: Duration = Duration::from_secs(20);
/// Between two packets.
const INTERVAL: Duration = Duration::from_millis(5);
/// How long the last answers may take: a packet that waits for a neighbour to be found is late, not lost.
const LATEST: Duration = Duration::from_secs(2);
/// Length of an ICMP echo header.
const HEADER: usize = 8;

/// Two hundred ICMP echoes a second and their answers, which the far kernel gives.
pub(crate) struct Flow {
    name: String,
    over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Packet>>,
}

/// What became of one packet.
#[derive(Clone, Copy, Debug)]
struct Packet {
    /// Since the flow began.
    at: Duration,
    took: Option<Duration>,
}

/// What became of a flow.
#[derive(Debug)]
pub(crate) struct Balance {
    pub(crate) sent: usize,
    /// When the packets were sent that nobody answered.
    pub(crate) lost: Vec<Duration>,
    /// The longest time that an answer took.
    pub(crate) slowest: Duration,
}

impl Flow {
    /// Begins at `from`, towards `address`, once the way is open.
    pub(crate) fn start(from: &Node, address: &str) -> Self {
        let name = format!("{} to {address}", from.name);
        let address: IpAddr = address.parse().expect("an address");
        let (over, ns) = (Arc::<AtomicBool>::default(), Path::new("/run/netns").join(&from.ns));
        let (open, opened) = mpsc::channel();
        let begin = {
            let (name, over) = (name.clone(), Arc::clone(&over));
            move || -> io::Result<Vec<Packet>> {
                move_into_link_name_space(File::open(ns)?.as_fd(), Some(LinkNameSpaceType::Network))?;
                let echoes = Echoes::new(address)?;
                // Neighbours on the way are found before anything counts.
                eventually(&format!("the way from {name} is open"), OPEN, || echoes.open());
                open.send(()).ok();
                Ok(echoes.flow(&over))
            }
        };
        let thread = thread::spawn(move || begin().expect("root may send echoes in a namespace"));
        match opened.recv() {
            Ok(()) => Self { name, over, thread },
            // It never opened.
            Err(_) => resume_unwind(thread.join().expect_err("it ended early")),
        }
    }

    /// Ends it.
    pub(crate) fn stop(self) -> (String, Balance) {
        self.over.store(true, Ordering::Relaxed);
        let packets = self.thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        let lost = packets.iter().filter(|packet| packet.took.is_none()).map(|packet| packet.at);
        let slowest = packets.iter().filter_map(|packet| packet.took).max();
        let balance =
            Balance { sent: packets.len(), lost: lost.collect(), slowest: slowest.unwrap_or_default() };
        (self.name, balance)
    }

    /// Ends it and insists that every packet of at least this many was answered.
    pub(crate) fn stop_without_loss(self, least: usize) -> usize {
        let (name, balance) = self.stop();
        assert!(balance.sent >= least, "{name}: packets flowed all the time: {balance:?}");
        assert!(balance.lost.is_empty(), "{name}: no packet is lost: {balance:?}");
        balance.sent
    }
}

/// A socket for ICMP echoes; the kernel tells its answers from others' and does the checksums.
struct Echoes {
    socket: UdpSocket,
    request: u8,
}

impl Echoes {
    fn new(to: IpAddr) -> io::Result<Self> {
        let (domain, protocol, request) = match to {
            IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4, 8),
            IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6, 128),
        };
        let socket = Socket::new(domain, Type::DGRAM, Some(protocol))?;
        socket.connect(&SocketAddr::new(to, 0).into())?;
        Ok(Self { socket: socket.into(), request })
    }

    /// A packet that finds no way counts as sent: it is lost.
    fn send(&self, number: u16) {
        let [high, low] = number.to_be_bytes();
        self.socket.send(&[self.request, 0, 0, 0, 0, 0, high, low]).ok();
    }

    /// The number of the next answer, if there is one in this time. An ICMP error is none.
    fn receive(&self, within: Duration) -> Option<u16> {
        self.socket.set_read_timeout(Some(within.max(Duration::from_millis(1)))).ok()?;
        let mut answer = [0; HEADER];
        let length = self.socket.recv(&mut answer).ok()?;
        (length == HEADER).then(|| u16::from_be_bytes([answer[6], answer[7]]))
    }

    fn open(&self) -> Result<(), String> {
        self.send(u16::MAX);
        self.receive(Duration::from_secs(1)).map(drop).ok_or_else(|| "no answer".to_owned())
    }

    /// Sends until it is over, then waits for what is under way. Numbers go round after minutes; no scenario is so long.
    fn flow(&self, over: &AtomicBool) -> Vec<Packet> {
        let (start, mut packets) = (Instant::now(), Vec::<Packet>::new());
        let take = |packets: &mut [Packet], until: Duration| {
            while let Some(left) = until.checked_sub(start.elapsed()) {
                let Some(number) = self.receive(left) else { continue };
                if let Some(packet) = packets.get_mut(usize::from(number)) {
                    packet.took.get_or_insert(start.elapsed().saturating_sub(packet.at));
                }
                if over.load(Ordering::Relaxed) && packets.iter().all(|packet| packet.took.is_some()) {
                    break;
                }
            }
        };
        while !over.load(Ordering::Relaxed) {
            let at = start.elapsed();
            let Ok(number) = u16::try_from(packets.len()) else { break };
            packets.push(Packet { at, took: None });
            self.send(number);
            take(&mut packets, at + INTERVAL);
        }
        if packets.iter().any(|packet| packet.took.is_none()) {
            take(&mut packets, start.elapsed() + LATEST);
        }
        packets
    }
}
