//! Why a session ended, as a value.

use std::io;

use bgp_fsm::{Cause, DownReason};
use bgp_wire::subcode::cease;
use bgp_wire::{Notification, NotificationCode};

/// Why a session ended, or an attempt to have one failed. [`Event::PeerDown`](crate::Event::PeerDown) has it in words, too.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DownCause {
    /// The peer did what ends a session, and was told what (RFC 4271 §6).
    NotificationSent(Notification),
    /// The peer ended it and said why.
    NotificationReceived(Notification),
    /// It was ended from here: stopped, removed, reset, reconfigured or drained; and what the peer was told, if anything.
    Administrative(Option<Notification>),
    /// A limit of the peer was passed, and its action is to stop (RFC 4486).
    Limit(Notification),
    /// Of two connections to one peer this was the one to go (RFC 4271 §6.8), as one of both ends said.
    Collision(Notification),
    /// The peer was not heard for the hold time.
    HoldTimeExpired,
    /// The peer took no octet for the send hold time (RFC 9687).
    SendHoldTimeExpired,
    /// BFD cannot reach the peer (RFC 5882).
    BfdDown {
        /// The peer forwards no more either: nothing is kept of its routes.
        control_plane_independent: bool,
    },
    /// The peer closed the connection and said nothing.
    ClosedByPeer,
    /// TCP broke.
    ConnectionLost(TcpError),
    /// TCP did not come about.
    ConnectFailed(TcpError),
    /// Nobody answered within the connect retry time.
    ConnectTimedOut,
    /// The peer restarted and opened a new session in place of this one (RFC 4724 §5).
    Superseded,
    /// Its password or keys cannot be used, and it is not to be spoken to without.
    Held,
}

/// What the system said of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpError {
    /// What kind of error it is.
    pub kind: io::ErrorKind,
    /// Its number, where the system gave one.
    pub errno: Option<i32>,
}

impl From<&io::Error> for TcpError {
    fn from(error: &io::Error) -> Self {
        Self { kind: error.kind(), errno: error.raw_os_error() }
    }
}

impl DownCause {
    /// The cause that the session gives, with what TCP said at that moment.
    pub(crate) fn of(reason: &DownReason, tcp: Option<TcpError>) -> Self {
        let lost = tcp.map_or(Self::ClosedByPeer, Self::ConnectionLost);
        let unknown = TcpError { kind: io::ErrorKind::Other, errno: None };
        match &reason.cause {
            Cause::NotificationSent(sent) => Self::sent(sent),
            Cause::NotificationReceived(received) if is_collision(received) => {
                Self::Collision(received.clone())
            }
            Cause::NotificationReceived(received) => Self::NotificationReceived(received.clone()),
            Cause::HoldTimerExpired(_) => Self::HoldTimeExpired,
            Cause::SendHoldTimerExpired(_) => Self::SendHoldTimeExpired,
            &Cause::BfdDown { control_plane_independent, .. } => Self::BfdDown { control_plane_independent },
            Cause::ConnectFailed(_) => Self::ConnectFailed(tcp.unwrap_or(unknown)),
            Cause::ConnectTimedOut => Self::ConnectTimedOut,
            Cause::Closed(_) => lost,
            Cause::Stopped => Self::Administrative(None),
            Cause::Superseded => Self::Superseded,
            // What is new there is an end of the connection, however it came about.
            _ => lost,
        }
    }

    fn sent(sent: &Notification) -> Self {
        match sent.subcode {
            _ if sent.code != NotificationCode::CEASE => Self::NotificationSent(sent.clone()),
            cease::MAX_PREFIXES | cease::OUT_OF_RESOURCES => Self::Limit(sent.clone()),
            cease::COLLISION => Self::Collision(sent.clone()),
            cease::SHUTDOWN
            | cease::DECONFIGURED
            | cease::RESET
            | cease::CONFIG_CHANGE
            | cease::HARD_RESET => Self::Administrative(Some(sent.clone())),
            _ => Self::NotificationSent(sent.clone()),
        }
    }

    /// The NOTIFICATION that went one way or the other, where the cause is one.
    #[must_use]
    pub fn notification(&self) -> Option<&Notification> {
        match self {
            Self::NotificationSent(said)
            | Self::NotificationReceived(said)
            | Self::Administrative(Some(said))
            | Self::Limit(said)
            | Self::Collision(said) => Some(said),
            _ => None,
        }
    }
}

fn is_collision(said: &Notification) -> bool {
    (said.code, said.subcode) == (NotificationCode::CEASE, cease::COLLISION)
}
