//! Our OPEN is out.

use core::time::Duration;
use std::sync::Arc;

use bgp_wire::{Notification, NotificationCode, subcode};

use crate::SessionConfig;
use crate::negotiate::negotiate;
use crate::states::{Received, Step};

/// Waiting for the peer's OPEN (RFC 4271 §8.2.2, OpenSent).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpenSent {
    /// What our OPEN was made of: the session may have been given another configuration since.
    pub(crate) config: Arc<SessionConfig>,
    /// When it went out.
    pub(crate) since: Duration,
}

impl OpenSent {
    pub(crate) fn receive(&self, received: Received<'_>) -> Step {
        let unexpected = || Step::refuse(Notification::fsm_error(subcode::fsm::OPEN_SENT));
        match received {
            Received::Open(open) => negotiate(&self.config, open)
                .map_or_else(Step::refuse, |agreed| Step::Confirm(Box::new(agreed))),
            Received::Notification(notification) => Step::refused(notification),
            Received::Undecodable(notification) => match notification.code {
                NotificationCode::UPDATE | NotificationCode::ROUTE_REFRESH => unexpected(),
                _ => Step::refuse(notification),
            },
            Received::Update | Received::KeepAlive | Received::RouteRefresh(_) => unexpected(),
        }
    }
}
