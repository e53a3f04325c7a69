//! Sessions that are begun anew, and routes that are told again.

use bgp_wire::{FamilySet, Notification};

use super::Supervisor;
use crate::error::SpeakerError;
use crate::peer::Order;
use crate::peer_address::PeerAddress;
use crate::speaker::Reset;

impl Supervisor {
    pub(super) fn reset(&self, address: PeerAddress, reset: &Reset) -> Result<(), SpeakerError> {
        let entry = self.named(address)?;
        let soft = |asks: bool, tells: bool| {
            let agreed = entry.cell.agreed().ok_or(SpeakerError::NotEstablished(address))?;
            if asks && !agreed.route_refresh {
                return Err(SpeakerError::NoRouteRefresh(address));
            }
            let families = |wanted: bool| if wanted { agreed.families } else { FamilySet::empty() };
            entry.mailbox.refresh_soft(families(asks), families(tells));
            Ok(())
        };
        match reset {
            Reset::SoftIn => soft(true, false),
            Reset::SoftOut => soft(false, true),
            Reset::Soft => soft(true, true),
            Reset::Hard { text } => {
                entry.mailbox.order(Order::Reset(Notification::cease_reset(text)));
                Ok(())
            }
        }
    }
}
