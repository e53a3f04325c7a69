//! Events: what others and the kernel itself changed.

use std::time::Duration;

use ipnet::IpNet;

use super::{Follower, RETRY_FIRST};
use crate::kernel::fib::{DumpScope, FibEvent};
use crate::kernel::route::RouteKey;
use crate::kernel::status::{FibNotice, ResyncReason};

/// Events taken per turn: a flood of them must not keep writes waiting for more than about a millisecond.
const EVENTS_PER_TURN: usize = 1024;

impl Follower {
    /// Takes events; true when more may be waiting.
    pub(super) fn hear(&mut self, now: Duration) -> bool {
        for _ in 0..EVENTS_PER_TURN {
            match self.fib.poll_event() {
                Ok(Some(event)) => self.event(now, event),
                Ok(None) => return false,
                Err(error) => {
                    self.broken(now, &error);
                    return false;
                }
            }
        }
        true
    }

    fn event(&mut self, now: Duration, event: FibEvent) {
        match event {
            FibEvent::Link { index, name, up } => {
                self.link(now, index, name.as_deref());
                self.carrier(now, index, up);
                if !up {
                    self.look_for_conflicts(now);
                }
            }
            FibEvent::Address { index } => {
                self.link(now, index, None);
                self.look_for_conflicts(now);
            }
            FibEvent::Shared => self.schedule_resync(now, DumpScope::Own, ResyncReason::Interference),
            FibEvent::Route { key, protocol, our_table, removed } => {
                if our_table && protocol == self.config.protocol {
                    self.schedule_resync(now, DumpScope::Own, ResyncReason::Interference);
                } else if our_table {
                    self.foreign(now, key, protocol, removed);
                }
                if self.resolver.mark_inside(&key.prefix) {
                    self.schedule_refresh(now);
                }
            }
        }
    }

    fn link(&mut self, now: Duration, index: u32, name: Option<&str>) {
        if self.resolver.uses(index, name) {
            self.schedule_resync(now, DumpScope::Own, ResyncReason::Topology);
            self.retry_wait = RETRY_FIRST;
            self.retry_at = self.retry_at.map(|at| at.min(now + self.config.debounce));
        }
        if self.resolver.mark_link(index, name) {
            self.schedule_refresh(now);
        }
    }

    /// A link or an address takes IPv4 routes along without a word, and so perhaps what stands in our way.
    fn look_for_conflicts(&mut self, now: Duration) {
        if self.table.is_contested() {
            self.schedule_foreign_dump(now + self.config.debounce);
        }
    }

    /// A link that comes back has lost the routes whose nexthop objects were over it: they are written again at once, not
    /// when the dust has settled. One that flaps is answered once per debounce time, and all of it is settled then.
    fn carrier(&mut self, now: Duration, index: u32, up: bool) {
        if !up {
            if self.resolver.uses(index, None) {
                self.dark.insert(index);
            }
        } else if self.dark.remove(&index) && now >= self.prompt_at {
            self.prompt_at = now + self.config.debounce;
            self.prompt = true;
        }
    }

    fn foreign(&mut self, now: Duration, key: RouteKey, protocol: u8, removed: bool) {
        let Some(entry) = self.table.get_mut(&key.prefix).filter(|entry| entry.holds(key.into())) else {
            return;
        };
        let ours_there = entry.installed.is_some();
        if !removed {
            if entry.foreign.replace(protocol) != Some(protocol) {
                self.conflict(key.prefix, protocol);
            }
            self.table.contested();
            self.table.enqueue(key.prefix);
            if ours_there {
                self.schedule_resync(now, DumpScope::Own, ResyncReason::Interference);
            }
        } else if ours_there {
            // There may be another one still: only a look at all routes tells.
            self.schedule_resync(now, DumpScope::All, ResyncReason::Interference);
        } else if entry.foreign.take().is_some() {
            self.table.enqueue(key.prefix);
            self.notify(FibNotice::ConflictEnded { prefix: key.prefix });
        }
    }

    pub(super) fn conflict(&mut self, prefix: IpNet, protocol: u8) {
        self.notify(FibNotice::Conflict { prefix, protocol });
    }
}
