//! Both OPENs are good; the peer has yet to say that ours is.

use std::sync::Arc;

use bgp_wire::{Notification, subcode};

use crate::Negotiated;
use crate::states::{Received, Step};

/// Waiting for the peer's KEEPALIVE (RFC 4271 §8.2.2, OpenConfirm).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpenConfirm {
    pub(crate) negotiated: Arc<Negotiated>,
}

impl OpenConfirm {
    pub(crate) fn receive(&self, received: Received<'_>) -> Step {
        match received {
            Received::KeepAlive => Step::Establish,
            Received::Notification(notification) => Step::refused(notification),
            Received::Undecodable(notification) => Step::refuse(notification),
            Received::Open(_) | Received::Update | Received::RouteRefresh(_) => {
                Step::refuse(Notification::fsm_error(subcode::fsm::OPEN_CONFIRM))
            }
        }
    }
}
