//! The states that a connection passes through, one struct each: what a state knows and how it answers.
//!
//! A state decides and does nothing; the session carries the [`Step`] out. Connect, Active and Idle are states of the
//! session as a whole and stand in `reach`.

mod delay_open;
mod established;
mod open_confirm;
mod open_sent;

use core::time::Duration;

use bgp_wire::{Message, Notification, NotificationCode, Open, RouteRefresh};

pub(crate) use delay_open::DelayOpen;
pub(crate) use established::Established;
pub(crate) use open_confirm::OpenConfirm;
pub(crate) use open_sent::OpenSent;

use crate::collision::{Opener, Progress};
use crate::timer::Timer;
use crate::{Cause, Negotiated, SessionConfig};

/// A peer that says nothing must not hold a connection for ever, whatever the configuration says.
const SHORTEST_OPEN_HOLD: Duration = Duration::from_secs(1);

/// What arrived on a connection.
#[derive(Debug)]
pub(crate) enum Received<'a> {
    Open(&'a Open),
    Update,
    Notification(&'a Notification),
    KeepAlive,
    RouteRefresh(RouteRefresh),
    /// It was no lawful message. Where the complaint is about a type that the state does not expect at all, the state
    /// says that instead (RFC 6608 §4).
    Undecodable(Notification),
}

impl<'a> From<&'a Message> for Received<'a> {
    fn from(message: &'a Message) -> Self {
        match message {
            Message::Open(open) => Self::Open(open),
            Message::Update(_) => Self::Update,
            Message::Notification(notification) => Self::Notification(notification),
            Message::KeepAlive => Self::KeepAlive,
            Message::RouteRefresh(refresh) => Self::RouteRefresh(*refresh),
        }
    }
}

/// What a state wants done.
#[derive(Debug)]
pub(crate) enum Step {
    /// Nothing.
    Stay,
    /// The peer lives: restart the HoldTimer.
    Heard,
    /// The same, by a KEEPALIVE, which ours may answer if its time has nearly come.
    HeardKeepalive,
    /// DelayOpenTimer has expired: send our OPEN.
    SendOpen,
    /// CollisionTimer has expired: the peer has not chosen, so we do.
    Choose,
    /// KeepaliveTimer has expired: send a KEEPALIVE.
    SendKeepalive,
    /// The peer's OPEN is good: on to OpenConfirm, unless the collision says otherwise.
    Confirm(Box<Negotiated>),
    /// The peer has confirmed: on to Established.
    Establish,
    /// Tell the RIB.
    Refresh(RouteRefresh),
    /// The connection is over.
    End(Cause, Next),
}

/// Where a session goes whose last connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// To Idle, to wait out a back-off.
    Idle,
    /// To Active: TCP failed, not the peer, and it may be about to connect to us.
    Active,
}

impl Received<'_> {
    /// Nobody says this who is not Established.
    pub(crate) fn is_of_established(&self) -> bool {
        match self {
            Self::Update | Self::RouteRefresh(_) => true,
            Self::Undecodable(notification) => {
                matches!(notification.code, NotificationCode::UPDATE | NotificationCode::ROUTE_REFRESH)
            }
            Self::Open(_) | Self::Notification(_) | Self::KeepAlive => false,
        }
    }
}

impl Step {
    /// Ends the connection with a NOTIFICATION.
    pub(crate) fn refuse(notification: Notification) -> Self {
        Self::End(Cause::NotificationSent(notification), Next::Idle)
    }

    /// Ends the connection because of the peer's NOTIFICATION.
    pub(crate) fn refused(notification: &Notification) -> Self {
        Self::End(Cause::NotificationReceived(notification.clone()), Next::Idle)
    }
}

/// The state of one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Phase {
    DelayOpen(DelayOpen),
    OpenSent(OpenSent),
    OpenConfirm(OpenConfirm),
    Established(Established),
}

impl Phase {
    pub(crate) fn progress(&self) -> Progress {
        match self {
            Self::DelayOpen(_) => Progress::DelayOpen,
            Self::OpenSent(_) => Progress::OpenSent,
            Self::OpenConfirm(_) => Progress::OpenConfirm,
            Self::Established(_) => Progress::Established,
        }
    }

    pub(crate) fn receive(&self, received: Received<'_>, config: &SessionConfig) -> Step {
        match self {
            Self::DelayOpen(state) => state.receive(received, config),
            Self::OpenSent(state) => state.receive(received),
            Self::OpenConfirm(state) => state.receive(received),
            Self::Established(state) => state.receive(received),
        }
    }

    /// TCP is gone (event 18).
    pub(crate) fn closed(&self, why: &str) -> Step {
        let next = match self {
            Self::DelayOpen(_) | Self::OpenSent(_) => Next::Active,
            Self::OpenConfirm(_) | Self::Established(_) => Next::Idle,
        };
        Step::End(Cause::Closed(why.into()), next)
    }

    /// A timer of this connection has expired (events 10–12).
    pub(crate) fn expired(&self, timer: Timer) -> Step {
        match timer {
            Timer::DelayOpen => Step::SendOpen,
            Timer::Keepalive => Step::SendKeepalive,
            Timer::Hold => Step::End(Cause::HoldTimerExpired(Notification::hold_timer_expired()), Next::Idle),
            Timer::SendHold => {
                Step::End(Cause::SendHoldTimerExpired(Notification::send_hold_timer_expired()), Next::Idle)
            }
            Timer::Collision => Step::Choose,
            Timer::ConnectRetry | Timer::IdleHold => Step::Stay,
        }
    }

    /// The peer's OPEN is good, and our KEEPALIVE waits.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self, Self::OpenConfirm(state) if state.silent)
    }

    /// Whose connection is preferred, once the peer's OPEN has told.
    pub(crate) fn preferred(&self) -> Option<Opener> {
        match self {
            Self::DelayOpen(_) | Self::OpenSent(_) => None,
            Self::OpenConfirm(state) => Some(state.preferred),
            Self::Established(state) => Some(state.preferred),
        }
    }

    /// The configuration that our OPEN on this connection speaks of, else the `present` one.
    pub(crate) fn spoken<'a>(&'a self, present: &'a SessionConfig) -> &'a SessionConfig {
        match self {
            Self::OpenSent(state) => &state.config,
            _ => present,
        }
    }

    pub(crate) fn negotiated(&self) -> Option<&Negotiated> {
        match self {
            Self::DelayOpen(_) | Self::OpenSent(_) => None,
            Self::OpenConfirm(state) => Some(&state.negotiated),
            Self::Established(state) => Some(&state.negotiated),
        }
    }

    /// Hold Time in force: before the peer's OPEN, the large value of RFC 4271 §8.2.2, which is never off. It also
    /// bounds the wait for the KEEPALIVE that confirms our OPEN, where the negotiated Hold Time is off: a peer that
    /// opens and falls silent must not hold the session's place in every collision.
    pub(crate) fn hold_time(&self, config: &SessionConfig) -> Duration {
        let opening = config.open_hold_time.max(SHORTEST_OPEN_HOLD);
        match self {
            Self::DelayOpen(_) | Self::OpenSent(_) => opening,
            Self::OpenConfirm(state) if state.negotiated.hold_time.is_zero() => opening,
            Self::OpenConfirm(state) => state.negotiated.hold_time,
            Self::Established(state) => state.negotiated.hold_time,
        }
    }
}
