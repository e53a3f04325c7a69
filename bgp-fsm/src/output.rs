//! What a session wants done, and what it has to say.

use std::sync::Arc;

use bgp_wire::RouteRefresh;
use bytes::Bytes;

use crate::{ConnId, DownReason, Negotiated, State};

/// One thing for the driver to do. Order matters: a `Close` comes after the bytes that are to go out before it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Output {
    /// Dial the peer; answer with [`Input::Connected`](crate::Input::Connected) or
    /// [`Input::ConnectFailed`](crate::Input::ConnectFailed). At most one attempt runs at a time.
    Connect,
    /// Give up the attempt that runs.
    AbortConnect,
    /// Write these bytes, before anything of the RIB that waits.
    Send(ConnId, Bytes),
    /// Close the connection once what was sent has been written (or cannot be), without waiting for the peer.
    /// The session knows it no more.
    Close(ConnId),
    /// Something to tell.
    Event(Event),
}

/// News about a session.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// The session passed from one state to another (RFC 4271 §8.2.2).
    StateChanged {
        /// The state it was in.
        from: State,
        /// The state it is in.
        to: State,
    },
    /// The session is up on this connection. Strictly alternates with [`Event::Down`].
    Established(ConnId, Arc<Negotiated>),
    /// The peer asks for its routes again, or marks the bounds of such a refresh (RFC 2918, 7313).
    Refresh(RouteRefresh),
    /// The session was up and is no more.
    Down(DownReason),
    /// The peer forwards no more (RFC 5882 §4.3.1): what is kept for its return after an earlier
    /// [`Event::Down`](Event::Down) is to go.
    ForwardingLost,
    /// A connection ended before the session was up on it.
    AttemptFailed(DownReason),
}
