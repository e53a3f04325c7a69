//! Connections from addresses that no peer and no range has: counted, and told now and then.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::event::Event;
use crate::shared::Shared;

/// One telling in this time, however many come: a port scan does not fill the log.
pub(crate) const INTERVAL: Duration = Duration::from_secs(10);
/// When nothing is to be told, look again.
const IDLE: Duration = Duration::from_secs(3600);

#[derive(Debug)]
pub(crate) struct Strangers {
    shared: Arc<Shared>,
    untold: u64,
    example: Option<IpAddr>,
    told: Option<Instant>,
}

impl Strangers {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, untold: 0, example: None, told: None }
    }

    pub(crate) fn count(&mut self, address: IpAddr) {
        self.shared.count_stranger();
        self.untold += 1;
        self.example = Some(address);
        if self.told.is_none_or(|told| told.elapsed() >= INTERVAL) {
            self.report();
        }
    }

    /// When the next telling is due.
    pub(crate) fn due(&self) -> Instant {
        match self.told {
            Some(told) if self.untold > 0 => told + INTERVAL,
            _ => Instant::now() + IDLE,
        }
    }

    pub(crate) fn report(&mut self) {
        let count = std::mem::take(&mut self.untold);
        if let Some(example) = self.example.take() {
            tracing::warn!(count, %example, "connections from addresses that are no peers");
            self.shared.emit(Event::Strangers { count, example });
            self.told = Some(Instant::now());
        }
    }
}
