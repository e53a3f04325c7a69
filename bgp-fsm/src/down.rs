//! Why a connection or a session ended, in words.

use core::fmt;

use bgp_wire::Notification;

/// How a connection came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// We ended it and said why.
    NotificationSent(Notification),
    /// The peer ended it and said why.
    NotificationReceived(Notification),
    /// The peer was not heard for the Hold Time; it was told so.
    HoldTimerExpired(Notification),
    /// The peer took no bytes for the SendHold time (RFC 9687); it was told so, if it reads at all.
    SendHoldTimerExpired(Notification),
    /// BFD cannot reach the peer any more (RFC 5882); it was told so (RFC 9384), if it hears at all.
    BfdDown {
        /// What it was told.
        sent: Notification,
        /// The peer forwards no more (the C bit of RFC 5880 §4.1).
        control_plane_independent: bool,
    },
    /// TCP could not connect, in the words of the driver.
    ConnectFailed(Box<str>),
    /// TCP did not answer within ConnectRetryTime.
    ConnectTimedOut,
    /// TCP ended, in the words of the driver.
    Closed(Box<str>),
    /// The operator stopped the session, and the peer was told nothing.
    Stopped,
    /// The peer opened a new session in place of this one (RFC 4724 §5).
    Superseded,
}

/// Why a connection ended. `Display` is what a status page shows as the last error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownReason {
    /// What happened.
    pub cause: Cause,
    /// Keep the peer's routes, marked stale: it is expected back (RFC 4724 §4.2, RFC 8538 §4).
    pub retain: bool,
}

impl DownReason {
    /// The NOTIFICATION that we sent, if we sent one.
    pub fn sent(&self) -> Option<&Notification> {
        match &self.cause {
            Cause::NotificationSent(n)
            | Cause::HoldTimerExpired(n)
            | Cause::SendHoldTimerExpired(n)
            | Cause::BfdDown { sent: n, .. } => Some(n),
            _ => None,
        }
    }

    /// The NOTIFICATION that the peer sent, if it sent one.
    pub fn received(&self) -> Option<&Notification> {
        match &self.cause {
            Cause::NotificationReceived(n) => Some(n),
            _ => None,
        }
    }
}

impl fmt::Display for DownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::NotificationSent(n) => write!(f, "Sent NOTIFICATION: {n}"),
            Cause::NotificationReceived(n) => write!(f, "Received NOTIFICATION: {n}"),
            Cause::HoldTimerExpired(_) => f.write_str("Hold timer expired"),
            Cause::SendHoldTimerExpired(_) => f.write_str("Send hold timer expired"),
            Cause::BfdDown { .. } => f.write_str("BFD cannot reach the peer"),
            Cause::ConnectFailed(why) | Cause::Closed(why) => f.write_str(why),
            Cause::ConnectTimedOut => f.write_str("Connection attempt timed out"),
            Cause::Stopped => f.write_str("Stopped"),
            Cause::Superseded => f.write_str("Replaced by a new session of the restarted peer"),
        }
    }
}
