//! A peer that is played message by message.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bgp_speaker::{Asn, Family, NextHop, RouterId};
use bgp_wire::{
    AsPath, Capability, Codec, GracefulRestart, Message, Notification, Open, PathAttributes, PathId,
    PeerKind, announce, keepalive,
};
use bytes::{Bytes, BytesMut};
use ipnet::Ipv4Net;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::support::within;

pub struct Scripted {
    pub stream: TcpStream,
    buffer: BytesMut,
    codec: Codec,
}

impl Scripted {
    /// Connects from one address to a speaker.
    pub async fn connect(from: IpAddr, to: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(from, 0)).unwrap();
        Self::over(socket.connect(to).await.unwrap())
    }

    /// Waits for a speaker to connect.
    pub async fn accept(listener: &TcpListener) -> Self {
        Self::over(within("the speaker dials", listener.accept()).await.unwrap().0)
    }

    /// Over a connection that stands already.
    pub fn over(stream: TcpStream) -> Self {
        let codec = Codec {
            extended_message_rx: false,
            extended_message_tx: false,
            ..Codec::permissive(PeerKind::Internal)
        };
        Self { stream, buffer: BytesMut::new(), codec }
    }

    pub async fn send(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).await.unwrap();
    }

    /// The next message; `None` when the speaker has closed the connection.
    pub async fn receive(&mut self) -> Option<Message> {
        within("a message", async {
            loop {
                if let Some(frame) = self.codec.frame(&self.buffer).expect("the speaker sends what is lawful")
                {
                    let octets: Bytes = self.buffer.split_to(frame.len).freeze();
                    return Some(self.codec.decode(&octets).expect("the speaker sends what is lawful"));
                }
                match self.stream.read_buf(&mut self.buffer).await {
                    Ok(0) | Err(_) => return None,
                    Ok(_) => {}
                }
            }
        })
        .await
    }

    /// What has been read and belongs to no message yet.
    pub fn unfinished(&mut self) -> BytesMut {
        self.buffer.split()
    }

    /// Goes on until the speaker says goodbye.
    pub async fn notification(&mut self) -> Option<Notification> {
        loop {
            match self.receive().await? {
                Message::Notification(notification) => return Some(notification),
                _ => continue,
            }
        }
    }

    /// Reads until the speaker's OPEN.
    pub async fn open(&mut self) -> Open {
        match self.receive().await {
            Some(Message::Open(open)) => open,
            other => panic!("not an OPEN: {other:?}"),
        }
    }

    pub async fn send_open(&mut self, asn: Asn, router_id: Ipv4Addr, hold_time: u16) {
        let mut open = Open::new(asn, hold_time, RouterId::from(router_id));
        open.capabilities.push(Capability::Multiprotocol(Family::IPV4_UNICAST));
        let mut octets = BytesMut::new();
        open.encode(&mut octets);
        self.send(&octets).await;
    }

    /// Goes through the whole opening, as a peer of before RFC 6793.
    pub async fn send_two_octet_open(&mut self, asn: u16, router_id: Ipv4Addr) {
        let [high, low] = asn.to_be_bytes();
        let [a, b, c, d] = router_id.octets();
        self.send(&raw(1, &[4, high, low, 0, 90, a, b, c, d, 0])).await;
        self.confirm().await;
    }

    /// The same with graceful restart, NOTIFICATIONs included, and this capability beside it.
    pub async fn send_graceful_open(&mut self, asn: Asn, router_id: Ipv4Addr, also: Option<Capability>) {
        let mut open = Open::new(asn, 90, RouterId::from(router_id));
        let families = vec![(Family::IPV4_UNICAST, true)];
        let restart = GracefulRestart { restarting: false, notification: true, time: 60, families };
        open.capabilities
            .extend([Capability::Multiprotocol(Family::IPV4_UNICAST), Capability::GracefulRestart(restart)]);
        open.capabilities.extend(also);
        let mut octets = BytesMut::new();
        open.encode(&mut octets);
        self.send(&octets).await;
    }

    /// Goes through the whole opening, as a peer that may ask for routes again (RFC 2918).
    pub async fn establish_refreshing(&mut self, asn: Asn, router_id: Ipv4Addr, hold_time: u16) {
        let mut open = Open::new(asn, hold_time, RouterId::from(router_id));
        open.capabilities.push(Capability::Multiprotocol(Family::IPV4_UNICAST));
        open.capabilities.push(Capability::RouteRefresh);
        let mut octets = BytesMut::new();
        open.encode(&mut octets);
        octets.extend_from_slice(keepalive());
        self.send(&octets).await;
    }

    /// Goes through the whole opening.
    pub async fn establish(&mut self, asn: Asn, router_id: Ipv4Addr, hold_time: u16) {
        self.send_open(asn, router_id, hold_time).await;
        self.confirm().await;
    }

    /// The same with graceful restart.
    pub async fn establish_graceful(&mut self, asn: Asn, router_id: Ipv4Addr) {
        self.send_graceful_open(asn, router_id, None).await;
        self.confirm().await;
    }

    async fn confirm(&mut self) {
        self.open().await;
        self.send(keepalive()).await;
        loop {
            match self.receive().await {
                Some(Message::KeepAlive) => return,
                Some(Message::Open(_)) => continue,
                other => panic!("not a KEEPALIVE: {other:?}"),
            }
        }
    }
}

/// UPDATEs of an internal peer that announce these prefixes.
pub fn update(next_hop: Ipv4Addr, prefixes: impl IntoIterator<Item = Ipv4Net>) -> BytesMut {
    let attributes =
        PathAttributes { local_pref: Some(100), as_path: AsPath::default(), ..PathAttributes::default() };
    let mut block = Vec::new();
    attributes.encode_block(&mut block).expect("the attributes fit");
    let codec = Codec {
        extended_message_rx: false,
        extended_message_tx: false,
        ..Codec::permissive(PeerKind::Internal)
    };
    let mut octets = BytesMut::new();
    let routes = prefixes.into_iter().map(|p| (PathId(0), p));
    announce(&mut octets, &codec, Family::IPV4_UNICAST, &NextHop::V4(next_hop), &block, routes);
    octets
}

/// One message of this type.
pub fn raw(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(19 + body.len()).unwrap();
    [&[0xff; 16], &length.to_be_bytes()[..], &[kind], body].concat()
}
