//! The payloads of origin validation as a whole: only what differs goes to the tables.

use std::collections::BTreeSet;
use std::time::SystemTime;

use bgp_rib::Vrp;

use crate::config::MAX_VRPS;
use crate::desired::{Change, ChangeClass, Subject};
use crate::error::SpeakerError;
use crate::rib_task::RibClient;
use crate::shared::Shared;
use crate::status::VrpStatus;

/// Makes these all the payloads that there are; what has changed for it.
pub(crate) async fn become_all(
    shared: &Shared,
    rib: &RibClient,
    vrps: &[Vrp],
) -> Result<Option<Change>, SpeakerError> {
    if vrps.len() > MAX_VRPS {
        return Err(SpeakerError::TooManyVrps(vrps.len()));
    }
    let valid = vrps.iter().filter(|vrp| is_one(vrp));
    let wanted: BTreeSet<Vrp> = valid.clone().map(|vrp| Vrp { prefix: vrp.prefix.trunc(), ..*vrp }).collect();
    let passed_over = vrps.len() - valid.count();
    let ipv4 = wanted.iter().filter(|vrp| vrp.prefix.addr().is_ipv4()).count();
    let ipv6 = wanted.len() - ipv4;
    let Some((announced, withdrawn)) = rib.set_vrps(wanted).await? else { return Ok(None) };
    shared.other_vrps.notify_one();
    shared.set_vrps(VrpStatus { ipv4, ipv6, passed_over, changed: SystemTime::now() });
    let why = format!("{announced} payloads came, {withdrawn} went");
    Ok(Some(Change { subject: Subject::Vrps, class: ChangeClass::Soft, why }))
}

/// RFC 6811 §2: lengths go from that of the prefix to that of an address.
fn is_one(vrp: &Vrp) -> bool {
    (vrp.prefix.prefix_len()..=vrp.prefix.max_prefix_len()).contains(&vrp.max_length)
}
