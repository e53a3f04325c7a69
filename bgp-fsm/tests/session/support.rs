//! One session against a scripted peer, in virtual time.

use core::time::Duration;
use std::sync::Arc;

use bgp_fsm::{ConnId, DownReason, Event, Input, Negotiated, Output, PeerAs, Session, SessionConfig, State};
use bgp_wire::{Asn, Capability, Codec, Family, GracefulRestart, Message, Notification, Open, RouterId};
use bytes::Bytes;

/// The connection that we dialled, in most tests.
pub(crate) const OUT: ConnId = ConnId(1);
/// The connection that the peer dialled, in most tests.
pub(crate) const IN: ConnId = ConnId(2);

pub(crate) const LOCAL_AS: Asn = Asn(65000);
pub(crate) const LOCAL_ID: RouterId = RouterId(0x0a00_0002);
/// Lower than ours: the connection that we dialled is preferred.
pub(crate) const LOW_ID: RouterId = RouterId(0x0a00_0001);
/// Higher than ours: the connection that the peer dialled is preferred.
pub(crate) const HIGH_ID: RouterId = RouterId(0x0a00_0003);

pub(crate) fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// An internal session with everything as it is by default.
pub(crate) fn config() -> SessionConfig {
    let mut config = SessionConfig::new(LOCAL_AS, LOCAL_ID, PeerAs::Internal);
    // So that stories of oscillation are short.
    config.idle_hold.tolerated = 1;
    config
}

/// What a plain internal peer with the given identifier says.
pub(crate) fn peer_open(router_id: RouterId) -> Open {
    Open {
        version: 4,
        my_as: 65000,
        hold_time: 90,
        router_id,
        capabilities: vec![
            Capability::Multiprotocol(Family::IPV4_UNICAST),
            Capability::RouteRefresh,
            Capability::FourOctetAs(LOCAL_AS),
        ],
    }
}

/// The same of a peer that restarts gracefully.
pub(crate) fn restarting_open(router_id: RouterId, notification: bool) -> Open {
    let families = vec![(Family::IPV4_UNICAST, true)];
    let restart = GracefulRestart { restarting: false, notification, time: 120, families };
    let mut open = peer_open(router_id);
    open.capabilities.push(Capability::GracefulRestart(restart));
    open
}

/// What the session did with an input.
#[derive(Debug, Default)]
pub(crate) struct Done(pub(crate) Vec<Output>);

impl Done {
    pub(crate) fn messages(&self) -> Vec<(ConnId, Message)> {
        let decode =
            |bytes: &Bytes| Codec::before_open().decode(bytes).expect("a session sends lawful messages");
        let message = |output: &Output| match output {
            Output::Send(id, bytes) => Some((*id, decode(bytes))),
            _ => None,
        };
        self.0.iter().filter_map(message).collect()
    }

    /// The NOTIFICATION that went out, which is at most one in most tests.
    pub(crate) fn notification(&self) -> Option<Notification> {
        self.messages().into_iter().find_map(|(_, message)| match message {
            Message::Notification(notification) => Some(notification),
            _ => None,
        })
    }

    pub(crate) fn code(&self) -> Option<(u8, u8)> {
        self.notification().map(|n| (n.code.0, n.subcode))
    }

    pub(crate) fn closed(&self) -> Vec<ConnId> {
        let close = |output: &Output| if let Output::Close(id) = output { Some(*id) } else { None };
        self.0.iter().filter_map(close).collect()
    }

    pub(crate) fn events(&self) -> impl Iterator<Item = &Event> {
        self.0.iter().filter_map(|output| if let Output::Event(event) = output { Some(event) } else { None })
    }

    pub(crate) fn down(&self) -> Option<&DownReason> {
        self.events().find_map(|event| if let Event::Down(reason) = event { Some(reason) } else { None })
    }

    pub(crate) fn dials(&self) -> bool {
        self.0.iter().any(|output| matches!(output, Output::Connect))
    }
}

/// A session and its clock.
pub(crate) struct Bench {
    pub(crate) session: Session,
    pub(crate) now: Duration,
    /// The connection that a table's events concern, where it is not the one that we dialled.
    pub(crate) subject: Option<ConnId>,
}

impl Bench {
    pub(crate) fn new(config: SessionConfig) -> Self {
        Self { session: Session::new(Arc::new(config), 42), now: seconds(1000), subject: None }
    }

    pub(crate) fn feed(&mut self, input: Input<'_>) -> Done {
        self.session.handle(self.now, input);
        Done(core::iter::from_fn(|| self.session.poll_output()).collect())
    }

    pub(crate) fn message(&mut self, id: ConnId, message: &Message) -> Done {
        self.feed(Input::Message(id, message))
    }

    pub(crate) fn open(&mut self, id: ConnId, open: Open) -> Done {
        self.message(id, &Message::Open(open))
    }

    pub(crate) fn keepalive(&mut self, id: ConnId) -> Done {
        self.message(id, &Message::KeepAlive)
    }

    pub(crate) fn state(&self) -> State {
        self.session.state()
    }

    /// Goes to the next timeout and ticks; `None` when no timer runs.
    pub(crate) fn tick(&mut self) -> Option<Done> {
        self.now = self.now.max(self.session.poll_timeout()?);
        Some(self.feed(Input::Tick))
    }

    /// Lets time pass, with each timer on time.
    pub(crate) fn pass(&mut self, time: Duration) -> Done {
        let end = self.now + time;
        let mut done = Done::default();
        while let Some(at) = self.session.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            done.0.extend(self.feed(Input::Tick).0);
        }
        self.now = end;
        done
    }

    /// The same, with another connection as the subject.
    pub(crate) fn on(self, id: ConnId) -> Self {
        Self { subject: Some(id), ..self }
    }

    /// Lets time pass while the peer keeps the session alive as far as it is up; what the end of it brings.
    pub(crate) fn keep_hearing(&mut self, id: ConnId, time: Duration) -> Done {
        for _ in 0..time.as_secs() {
            if self.state() == State::Established {
                self.keepalive(id);
            }
            self.now += seconds(1);
        }
        self.feed(Input::Tick)
    }

    /// A session in Connect.
    pub(crate) fn connecting(config: SessionConfig) -> Self {
        let mut bench = Self::new(config);
        assert!(bench.feed(Input::Start).dials());
        bench
    }

    /// A session in Active with ConnectRetryTimer running.
    pub(crate) fn active(config: SessionConfig) -> Self {
        let mut bench = Self::connecting(config);
        bench.feed(Input::ConnectFailed("Connection refused"));
        bench
    }

    /// A session in OpenSent on the connection that it dialled.
    pub(crate) fn open_sent(config: SessionConfig) -> Self {
        let mut bench = Self::connecting(config);
        bench.feed(Input::Connected(OUT));
        bench
    }

    /// A session in OpenConfirm on the connection that it dialled.
    pub(crate) fn open_confirm(config: SessionConfig, open: Open) -> Self {
        let mut bench = Self::open_sent(config);
        bench.open(OUT, open);
        bench
    }

    /// A session in Established on the connection that it dialled.
    pub(crate) fn established(config: SessionConfig, open: Open) -> Self {
        let mut bench = Self::open_confirm(config, open);
        bench.keepalive(OUT);
        assert_eq!(bench.state(), State::Established);
        bench
    }

    pub(crate) fn negotiated(&self) -> &Negotiated {
        self.session.negotiated().expect("the session is up")
    }
}
