//! The payloads of origin validation as a whole: only what differs goes to the tables.

use std::sync::Arc;
use std::time::SystemTime;

use bgp_rib::{Vrp, VrpSet};
use tokio::task::spawn_blocking;

use crate::config::MAX_VRPS;
use crate::desired::{Change, ChangeClass, Subject};
use crate::error::SpeakerError;
use crate::rib_task::RibClient;
use crate::shared::Shared;
use crate::status::VrpStatus;

/// Refuses more than the tables take.
pub(crate) fn check(vrps: &[Vrp]) -> Result<(), SpeakerError> {
    if vrps.len() > MAX_VRPS {
        return Err(SpeakerError::TooManyVrps(vrps.len()));
    }
    Ok(())
}

/// Makes these all the payloads that there are; what has changed for it.
pub(crate) async fn become_all(
    shared: &Shared,
    rib: &RibClient,
    vrps: &[Vrp],
) -> Result<Option<Change>, SpeakerError> {
    check(vrps)?;
    let told = vrps.to_vec();
    // Sorting a million takes longer than a session's timers may wait.
    let made = spawn_blocking(move || {
        let passed_over = told.iter().filter(|vrp| !is_one(vrp)).count();
        (Arc::new(VrpSet::new(told)), passed_over)
    });
    let (wanted, passed_over) = made.await.map_err(|_| SpeakerError::Stopped)?;
    let (ipv4, ipv6) = wanted.counts();
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
