//! Fifty good clients of a reflector, which must not notice what a bad one does beside them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bgp_speaker::{Speaker, State, Timers};
use bgp_wire::keepalive;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::scripted::Scripted;
use crate::support::{
    ASN, announce, builder, established, eventually, ip, listening, net, peer, peer_of, quick, waiting_for,
    within,
};

/// The identifier of the bad peer.
pub(super) const ID: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 99);
/// Good clients.
const GOOD: u8 = 50;
/// The node numbers of the good clients begin here.
const FIRST: u8 = 100;
/// The shortest that there is: a reflector that is late for a few seconds loses its good clients.
pub(super) const HOLD: Duration = Duration::from_secs(3);
/// How long a route may take from one client to all others while somebody misbehaves.
const DELAY: Duration = Duration::from_secs(3);

/// A reflector with its good clients, and the address of a bad one.
pub(super) struct Crowd {
    pub(super) hub: Speaker,
    good: Vec<Speaker>,
    test: u8,
    announced: u8,
    /// What the reflector expects of the bad peer.
    pub(super) timers: Timers,
}

impl Crowd {
    pub(super) async fn gather(test: u8) -> Self {
        let hub = builder(ip(test, 1), ASN).start().await.expect("the reflector starts");
        let mut good = Vec::new();
        for node in FIRST..FIRST + GOOD {
            let mut client = waiting_for(ip(test, node), ASN).reflector_client();
            client.options.timers.hold_time = HOLD;
            hub.add_peer(client).await.expect("the client is added");
            let client = builder(ip(test, node), ASN).start().await.expect("the client starts");
            client.add_peer(peer_of(&hub)).await.expect("the reflector is added");
            good.push(client);
        }
        established(&hub, GOOD.into()).await;
        let timers = Timers { hold_time: HOLD, open_hold: HOLD, ..quick().timers };
        let mut crowd = Self { hub, good, test, announced: 0, timers };
        crowd.exchange().await;
        crowd
    }

    /// The address of the bad peer.
    pub(super) fn bad(&self) -> IpAddr {
        ip(self.test, 9)
    }

    /// The bad peer's TCP connection, to a reflector that expects it and has forgotten what it did before.
    pub(super) async fn connect(&self) -> Scripted {
        self.expect().await;
        self.again().await
    }

    /// Lets the reflector wait for the bad peer, as if it had never been there.
    pub(super) async fn expect(&self) {
        if self.hub.status().peer(self.bad()).is_some() {
            self.hub.remove_peer(self.bad()).await.expect("it is there");
        }
        let mut config = waiting_for(self.bad(), ASN).reflector_client();
        config.options.timers = self.timers;
        self.hub.add_peer(config).await.expect("the bad peer is added");
    }

    /// The bad peer is let in again when it behaves.
    pub(super) async fn is_let_in_again(&self) {
        eventually("the peer is let in", async || {
            let mut good = self.again().await;
            good.send_open(ASN, ID, 90).await;
            // Closed at once while a pause lasts.
            let _ = good.stream.write_all(keepalive()).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            peer(&self.hub, self.bad()).state == State::Established
        })
        .await;
    }

    /// One more connection of the bad peer.
    pub(super) async fn again(&self) -> Scripted {
        Scripted::connect(self.bad(), listening(&self.hub)).await
    }

    /// The bad peer, good so far.
    pub(super) async fn with_session(&self) -> Scripted {
        let bad = self.connect().await;
        self.establish(bad).await
    }

    /// The bad peer, good so far, with little room for what it does not read.
    pub(super) async fn with_narrow_session(&self) -> Scripted {
        self.expect().await;
        let socket = TcpSocket::new_v4().unwrap();
        // The kernel makes the least of it that it has.
        socket.set_recv_buffer_size(1).unwrap();
        socket.bind(SocketAddr::new(self.bad(), 0)).unwrap();
        self.establish(Scripted::over(socket.connect(listening(&self.hub)).await.unwrap())).await
    }

    async fn establish(&self, mut bad: Scripted) -> Scripted {
        bad.establish(ASN, ID, self.timers.hold_time.as_secs().try_into().unwrap()).await;
        established(&self.hub, usize::from(GOOD) + 1).await;
        bad
    }

    /// What the reflector says of the bad peer.
    pub(super) fn said(&self) -> String {
        peer(&self.hub, self.bad()).info
    }

    /// A route goes from one client to all others, in time.
    pub(super) async fn exchange(&mut self) {
        let (from, prefix) = (usize::from(self.announced % GOOD), format!("10.200.{}.0/24", self.announced));
        self.announced = self.announced.checked_add(1).expect("a few exchanges");
        let start = Instant::now();
        announce(&self.good[from], &[&prefix]).await;
        let prefix = net(&prefix);
        for client in &self.good {
            eventually("a client has the route", async || client.explain(prefix).await.unwrap().is_some())
                .await;
        }
        assert!(start.elapsed() < DELAY, "{:?} for one route", start.elapsed());
    }

    /// The good clients go on exchanging routes for this time, a few a second.
    pub(super) async fn go_on(&mut self, time: Duration) {
        let start = Instant::now();
        while start.elapsed() < time {
            self.exchange().await;
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    /// All clients have the table of the reflector.
    pub(super) async fn settled(&self) {
        let table = || self.hub.status().table.prefixes;
        for client in &self.good {
            eventually("a client has the table", async || client.status().table.prefixes == table()).await;
        }
    }

    /// No good session has ended, and routes are exchanged.
    pub(super) async fn undisturbed(&mut self) {
        self.exchange().await;
        for node in FIRST..FIRST + GOOD {
            let seen = peer(&self.hub, ip(self.test, node));
            assert_eq!(
                (seen.state, seen.established),
                (State::Established, 1),
                "{}: {}",
                seen.address,
                seen.info
            );
        }
    }
}

/// A NOTIFICATION as it is on the wire.
pub(super) fn notification(code: u8, subcode: u8, data: &[u8]) -> Vec<u8> {
    crate::scripted::raw(3, &[&[code, subcode], data].concat())
}

/// Reads to the end of the stream: the last message, octet by octet, which must be whole.
pub(super) async fn last_words(bad: &mut Scripted) -> Vec<u8> {
    let mut octets = Vec::new();
    // A reset after the last octet says no more than the end of the stream.
    let _ = within("the end of the stream", bad.stream.read_to_end(&mut octets)).await;
    let mut rest = &octets[..];
    let mut last = Vec::new();
    while !rest.is_empty() {
        let length = usize::from(u16::from_be_bytes([rest[16], rest[17]]));
        let (message, after) = rest.split_at(length);
        last = message.to_vec();
        rest = after;
    }
    last
}
