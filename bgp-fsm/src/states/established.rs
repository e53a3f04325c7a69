//! Routes flow.

use core::time::Duration;
use std::sync::Arc;

use bgp_wire::{Notification, NotificationCode, RefreshKind, RouteRefresh, subcode};

use crate::Negotiated;
use crate::collision::Opener;
use crate::states::{Received, Step};

/// The session is up (RFC 4271 §8.2.2, Established).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Established {
    pub(crate) negotiated: Arc<Negotiated>,
    pub(crate) since: Duration,
    /// Whose connection is preferred.
    pub(crate) preferred: Opener,
}

impl Established {
    pub(crate) fn receive(&self, received: Received<'_>) -> Step {
        let unexpected = || Step::refuse(Notification::fsm_error(subcode::fsm::ESTABLISHED));
        match received {
            Received::Update => Step::Heard,
            Received::KeepAlive => Step::HeardKeepalive,
            Received::RouteRefresh(refresh) => {
                let refresh = self.meant(refresh);
                // What was not agreed on is passed over (RFC 2918 §4, RFC 7313 §5).
                if self.wants(refresh) { Step::Refresh(refresh) } else { Step::Heard }
            }
            Received::Notification(notification) => Step::refused(notification),
            Received::Undecodable(notification) if notification.code == NotificationCode::OPEN => {
                unexpected()
            }
            Received::Undecodable(notification) => Step::refuse(notification),
            Received::Open(_) => unexpected(),
        }
    }

    /// The octet of the kind is reserved, and not looked at, where enhanced refresh was not agreed on (RFC 2918 §3).
    fn meant(&self, refresh: RouteRefresh) -> RouteRefresh {
        if self.negotiated.enhanced_refresh { refresh } else { RouteRefresh::request(refresh.family) }
    }

    fn wants(&self, refresh: RouteRefresh) -> bool {
        let agreed = match refresh.kind {
            RefreshKind::REQUEST => self.negotiated.route_refresh,
            RefreshKind::BEGIN | RefreshKind::END => self.negotiated.enhanced_refresh,
            _ => false,
        };
        agreed && self.negotiated.families.contains(refresh.family)
    }
}
