//! What a session is told.

use bgp_wire::{Message, Notification};

/// A TCP connection of this session. The driver chooses the number and does not use it for another connection
/// of the same session: a counter will do. An input about a connection that the session does not have is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u32);

/// How the operator wants a session to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// Tell the peer: a Cease (RFC 4486), with words for its operator if it is a shutdown (RFC 9003).
    /// Between speakers that keep routes over a NOTIFICATION it goes out as a Hard Reset (RFC 8538 §3.1).
    Notify(Notification),
    /// Close TCP and say nothing, so that a peer with graceful restart keeps our routes until we return (RFC 4724).
    Silent,
}

/// What BFD says about the way to the peer (RFC 5880 §6.2), told from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bfd {
    /// The peer can be reached.
    Up,
    /// The peer cannot be reached. It counts when BFD was [`Up`](Bfd::Up) before: a BFD session that has never been up
    /// says nothing about the peer (RFC 5882 §3.2).
    Down {
        /// The peer's BFD set the C bit (RFC 5880 §4.1): it does not share the fate of the control plane, so that the peer
        /// forwards no more, and its routes are not kept for its return (RFC 5882 §4.3.1).
        control_plane_independent: bool,
    },
    /// BFD is taken out of service at either end, which says nothing about the peer (RFC 5882 §3.2).
    AdminDown,
}

/// One thing that happened. The names are those of RFC 4271 §8.1 where it has one.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input<'a> {
    /// ManualStart or AutomaticStart (events 1, 3–7).
    Start,
    /// ManualStop (event 2). The session stays in Idle until it is started again.
    Stop(Stop),
    /// AutomaticStop (event 8): ends what is there with this NOTIFICATION and starts again after a back-off.
    /// So a table that is full or a changed configuration end a session; wrapped in a Hard Reset where the routes must
    /// not outlive it (RFC 8538 §3.1).
    Reset(Notification),
    /// Time has passed: fire what is due. Harmless when nothing is.
    Tick,
    /// The connection asked for by [`Output::Connect`](crate::Output::Connect) stands (event 16).
    Connected(ConnId),
    /// It could not be made, with the reason in words (event 18).
    ConnectFailed(&'a str),
    /// The peer has connected to us (event 17).
    Accepted(ConnId),
    /// A message arrived (events 19, 24–28).
    Message(ConnId, &'a Message),
    /// An UPDATE arrived (event 27) which the driver reads itself. The fast path.
    Update(ConnId),
    /// What arrived cannot be decoded; the NOTIFICATION says why (events 21, 22, 28).
    DecodeError(ConnId, Notification),
    /// The connection is gone: closed by the peer, reset or timed out, with the reason in words (event 18).
    Closed(ConnId, &'a str),
    /// Bytes of the peer lie in the socket, unread because we are busy. To be said before a [`Tick`](Input::Tick):
    /// a peer is not to be declared dead because we are slow.
    InputPending(ConnId),
    /// The socket takes no more bytes although there are some for it: SendHold runs from here (RFC 9687).
    WriteBlocked(ConnId),
    /// The socket took bytes again: SendHold stops.
    WriteProgress(ConnId),
    /// News of BFD; the state is remembered from then on. Down ends what is there with Cease / BFD Down (RFC 9384).
    Bfd(Bfd),
}
