//! Where connections are accepted: what is wanted, what could be had, and another try for the rest.

use std::net::SocketAddr;

use super::Supervisor;
use crate::desired::{Change, ChangeClass, NotDone, Subject};
use crate::error::listen_mend;

impl Supervisor {
    /// Listens on all of these and nowhere else; what has changed for it. What cannot be had is kept in `not_listening`.
    pub(crate) fn listen_on(&mut self, wanted: &[SocketAddr]) -> Vec<Change> {
        let there: Vec<SocketAddr> = self.household.listening.asked().collect();
        let gone: Vec<SocketAddr> = there.iter().copied().filter(|at| !wanted.contains(at)).collect();
        let mut changes = Vec::new();
        self.not_listening.clear();
        for &at in wanted {
            if there.contains(&at)
                || changes.iter().any(|change: &Change| change.subject == Subject::Listener(at))
            {
                continue;
            }
            match self.household.listening.open(at, &mut self.listeners, &gone) {
                Ok(()) => changes.push(change(at, "opened")),
                Err(error) => {
                    let why = format!("{error}; {}", listen_mend(at, &error));
                    tracing::warn!(address = %at, %why, "cannot listen");
                    self.not_listening.push(NotDone::Listen { address: at, kind: error.kind(), why });
                }
            }
        }
        for (stream, remote) in self.household.listening.close(&gone, &mut self.listeners) {
            self.accepted(stream, remote);
        }
        changes.extend(gone.into_iter().map(|at| change(at, "closed; sessions that came through it go on")));
        if !changes.is_empty() {
            self.shared.note_reconfigured();
        }
        self.tell_listeners();
        changes
    }

    /// Tries again what could not be had: an address may come to this node later.
    pub(super) fn listen_again(&mut self) {
        if self.not_listening.is_empty() {
            return;
        }
        for missing in std::mem::take(&mut self.not_listening) {
            let NotDone::Listen { address, .. } = missing else { continue };
            match self.household.listening.open(address, &mut self.listeners, &[]) {
                Ok(()) => tracing::info!(%address, "listening"),
                Err(_) => self.not_listening.push(missing),
            }
        }
        self.tell_listeners();
    }

    fn tell_listeners(&self) {
        let missing = self.not_listening.iter().filter_map(|missing| match missing {
            NotDone::Listen { address, why, .. } => Some((*address, why.clone())),
            NotDone::Kernel { .. } | NotDone::Learn { .. } => None,
        });
        self.shared.set_listen(self.household.listening.addresses(), missing.collect());
    }
}

fn change(at: SocketAddr, why: &str) -> Change {
    Change { subject: Subject::Listener(at), class: ChangeClass::Soft, why: why.to_owned() }
}
