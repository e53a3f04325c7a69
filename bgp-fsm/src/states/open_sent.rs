//! Our OPEN is out.

use bgp_wire::{Notification, subcode};

use crate::SessionConfig;
use crate::negotiate::negotiate;
use crate::states::{Received, Step};

/// Waiting for the peer's OPEN (RFC 4271 §8.2.2, OpenSent).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpenSent;

impl OpenSent {
    pub(crate) fn receive(&self, received: Received<'_>, config: &SessionConfig) -> Step {
        match received {
            Received::Open(open) => {
                negotiate(config, open).map_or_else(Step::refuse, |agreed| Step::Confirm(Box::new(agreed)))
            }
            Received::Notification(notification) => Step::refused(notification),
            Received::Undecodable(notification) => Step::refuse(notification),
            Received::Update | Received::KeepAlive | Received::RouteRefresh(_) => {
                Step::refuse(Notification::fsm_error(subcode::fsm::OPEN_SENT))
            }
        }
    }
}
