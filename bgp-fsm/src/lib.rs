//! The BGP session state machine of RFC 4271 §8, without I/O, clock or runtime.
//!
//! A [`Session`] is one peering with one peer. It is told what happened ([`Input`]), says what is to be done
//! ([`Output`]) and when it wants to be told that time has passed ([`Session::poll_timeout`]). The sockets, the clock
//! and the decoding of UPDATEs belong to a *driver*. It knows no routes: what it has to say about them is in
//! [`Negotiated`] (which families, which encoding) and in [`DownReason::retain`] (whether the peer's routes outlive
//! the session).
//!
//! # The law for the caller
//!
//! **Handle once, then drain the outputs to `None`, then wait no longer than [`Session::poll_timeout`].**
//!
//! [`Session::handle`] never fails and never panics, whatever it is given in whatever state: a misbehaving peer is a
//! transition and an event. Inputs about connections that the session does not have are ignored. `now` is the time
//! since an epoch of the caller's choice and does not go backwards; the seed spreads the timers (RFC 4271 §10). Same
//! configuration, seed and inputs: same outputs.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//!
//! use bgp_fsm::{ConnId, Event, Input, Output, PeerAs, Session, SessionConfig, State};
//! use bgp_wire::{Asn, Codec, Message, RouterId};
//! use bytes::Bytes;
//!
//! # /// Stands for a socket and a peer: answers each message with what a peer would say.
//! # #[derive(Default)]
//! # struct Peer { inbox: Vec<(ConnId, Bytes)>, routes: u32 }
//! # impl Peer {
//! #     fn read(&mut self) -> Option<(ConnId, Bytes)> { if self.inbox.is_empty() { None } else { Some(self.inbox.remove(0)) } }
//! #     fn dial(&mut self) -> ConnId { ConnId(1) }
//! #     fn write(&mut self, id: ConnId, bytes: Bytes) {
//! #         if let Ok(Message::Open(mut open)) = Codec::before_open().decode(&bytes) {
//! #             open.router_id = RouterId(7);
//! #             let mut out = bytes::BytesMut::new();
//! #             open.encode(&mut out);
//! #             self.inbox.push((id, out.freeze()));
//! #             self.inbox.push((id, Bytes::from_static(bgp_wire::keepalive())));
//! #         }
//! #     }
//! #     fn close(&mut self, _: ConnId) {}
//! # }
//! # let mut net = Peer::default();
//! # let now = Duration::ZERO;
//! let config = SessionConfig::new(Asn(65000), RouterId(1), PeerAs::Internal);
//! let mut session = Session::new(Arc::new(config), 0x5eed);
//! let mut codec = Codec::before_open();
//! session.handle(now, Input::Start);
//! loop {
//!     // 1. Do all that the session wants done.
//!     while let Some(output) = session.poll_output() {
//!         match output {
//!             Output::Connect => {
//!                 let conn = net.dial();
//!                 session.handle(now, Input::Connected(conn)); // or ConnectFailed, when TCP has answered
//!             }
//!             Output::AbortConnect => {} // forget the attempt
//!             Output::Send(conn, bytes) => net.write(conn, bytes),
//!             Output::Close(conn) => net.close(conn),
//!             Output::Event(Event::Established(_, agreed)) => codec = agreed.codec, // and tell the RIB
//!             Output::Event(Event::Down(reason)) => println!("{reason}"),           // and tell the RIB
//!             _ => {}
//!         }
//!     }
//! #   if session.state() == State::Established { break }
//!     // 2. Wait for the first of: bytes, a connection, `session.poll_timeout()`.
//!     match net.read() {
//!         Some((conn, frame)) => match codec.decode(&frame) {
//!             Ok(message) => session.handle(now, Input::Message(conn, &message)),
//!             Err(notification) => session.handle(now, Input::DecodeError(conn, notification)),
//!         },
//!         None => session.handle(now, Input::Tick),
//!     }
//! }
//! assert_eq!(session.established(), Some(ConnId(1)));
//! ```
//!
//! # Connections
//!
//! A session has up to two connections at once: both speakers may dial at the same moment. The driver numbers them
//! ([`ConnId`]) and does not reuse a number. Each connection has its own codec: [`Codec::before_open`] until
//! the peer's OPEN has been handed in, then that of [`Session::agreed`]. Which connection survives a collision
//! (RFC 4271 §6.8, RFC 6286) is decided such that two of these sessions never each close the one that the other keeps.
//! A peer that speaks graceful restart and opens a new session while the old one still seems up replaces it
//! (RFC 4724 §5).
//!
//! # UPDATEs
//!
//! The fast path goes round the session: the driver decodes the UPDATE as a view, hands in [`Input::Update`], which
//! restarts the hold timer with one store, and gives the view to the RIB if [`Session::established`] is still that
//! connection. There is no output and no timer to reset: a timeout that was set earlier comes too early, and a
//! [`Input::Tick`] that finds nothing due does nothing.
//!
//! # Liveness
//!
//! Timers never wait for the RIB. A driver that is so busy that it leaves bytes unread in the socket says
//! [`Input::InputPending`] before the tick, and the peer is not declared dead for our slowness. A driver whose socket
//! takes no more bytes says [`Input::WriteBlocked`], and [`Input::WriteProgress`] when it does again: a peer that
//! never reads is ended by SendHold (RFC 9687). A session that is up and idle has two running timers and holds no buffer.
//!
//! # BFD
//!
//! [`Input::Bfd`] brings what a BFD session with the peer says (RFC 5882). Up and then Down ends the session with Cease /
//! BFD Down (RFC 9384) at once. Whether the peer's routes are kept then follows from BFD's C bit (RFC 5882 §4.3): with it
//! the peer forwards no more, and even what was kept before is to go ([`Event::ForwardingLost`]); without it, BFD and the
//! peer's BGP have died together, which graceful restart is made for. AdminDown says nothing about the peer. With
//! [`SessionConfig::bfd_strict`] there is no session before BFD is up.
//!
//! # Failure
//!
//! After a failure the session waits in Idle, longer each time, jittered and capped ([`IdleHold`]); time in
//! Established earns failures back. A peer that connects during the first such waits is let in; one that oscillates
//! ([`IdleHold::tolerated`]) is held off, each time no longer than [`SessionConfig::connect_retry`]. Why the session or the last attempt ended is kept in words ([`Session::last_error`]).
//!
//! # Departures from RFC 4271
//!
//! - A failed or closed connection before the peer's OPEN leads to Active, not Idle: two speakers that both refuse
//!   connections while they wait could miss each other for ever.
//! - Sent UPDATEs do not put off our KEEPALIVEs: the peer hears from us even when a long table waits for its socket.
//! - A second OPEN on a connection is a Finite State Machine Error with the subcode of the state (RFC 6608).
//!
//! [`Codec::before_open`]: bgp_wire::Codec::before_open
#![forbid(unsafe_code)]

mod check;
mod collision;
mod config;
mod connection;
mod counters;
mod damping;
mod down;
mod input;
mod jitter;
mod mistake;
mod negotiate;
mod open;
mod output;
mod reach;
mod session;
mod state;
mod states;
mod timer;

pub use config::{IdleHold, PeerAs, Required, SessionConfig};
pub use counters::Counters;
pub use down::{Cause, DownReason};
pub use input::{Bfd, ConnId, Input, Stop};
pub use mistake::Mistake;
pub use negotiate::Negotiated;
pub use output::{Event, Output};
pub use session::Session;
pub use state::State;
