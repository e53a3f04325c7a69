//! Both OPENs are good; the peer has yet to say that ours is.

use std::sync::Arc;

use bgp_wire::{Notification, NotificationCode, subcode};

use crate::Negotiated;
use crate::collision::Opener;
use crate::states::{Received, Step};

/// Waiting for the peer's KEEPALIVE (RFC 4271 §8.2.2, OpenConfirm).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpenConfirm {
    pub(crate) negotiated: Arc<Negotiated>,
    /// Whose connection is preferred.
    pub(crate) preferred: Opener,
    /// The peer's KEEPALIVE is here, and its choice between two connections is awaited.
    pub(crate) confirmed: bool,
    /// Our KEEPALIVE has yet to go out: see [`CONFIRM_DELAY`](crate::session::CONFIRM_DELAY).
    pub(crate) silent: bool,
}

impl OpenConfirm {
    pub(crate) fn receive(&self, received: Received<'_>) -> Step {
        let unexpected = || Step::refuse(Notification::fsm_error(subcode::fsm::OPEN_CONFIRM));
        match received {
            Received::KeepAlive if self.confirmed => Step::Heard,
            Received::KeepAlive => Step::Establish,
            Received::Notification(notification) => Step::refused(notification),
            Received::Undecodable(notification) => match notification.code {
                NotificationCode::OPEN | NotificationCode::UPDATE | NotificationCode::ROUTE_REFRESH => {
                    unexpected()
                }
                _ => Step::refuse(notification),
            },
            Received::Open(_) | Received::Update | Received::RouteRefresh(_) => unexpected(),
        }
    }
}
