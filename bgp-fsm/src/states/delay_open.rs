//! TCP stands and we leave the first word to the peer: Connect or Active with DelayOpenTimer running.

use crate::negotiate::negotiate;
use crate::states::{Received, Step};
use crate::{Negotiated, SessionConfig};
use bgp_wire::{Notification, NotificationCode};

/// Waiting for the peer's OPEN before sending ours (RFC 4271 §8.1.1, DelayOpen), or for the peer to be done with a
/// collision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DelayOpen {
    /// What the peer's OPEN comes to, while CollisionTimer puts off the answer.
    pub(crate) heard: Option<Box<Negotiated>>,
}

impl DelayOpen {
    /// RFC 4271 §8.2.2, Connect and Active, with SendNOTIFICATIONwithoutOPEN allowed: the peer learns why.
    pub(crate) fn receive(&self, received: Received<'_>, config: &SessionConfig) -> Step {
        // RFC 6608 has no subcode for this state.
        let unexpected = || Step::refuse(Notification::new(NotificationCode::FSM, 0));
        match received {
            Received::Open(open) => {
                negotiate(config, open).map_or_else(Step::refuse, |agreed| Step::Confirm(Box::new(agreed)))
            }
            Received::Notification(notification) => Step::refused(notification),
            Received::Undecodable(notification) => match notification.code {
                NotificationCode::UPDATE | NotificationCode::ROUTE_REFRESH => unexpected(),
                _ => Step::refuse(notification),
            },
            Received::Update | Received::KeepAlive | Received::RouteRefresh(_) => unexpected(),
        }
    }
}
