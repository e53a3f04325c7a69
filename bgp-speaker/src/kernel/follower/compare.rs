//! Comparison with the kernel's table, and next hops that are looked up again.

use std::time::Duration;

use super::{Follower, LOOKUPS_PER_TURN, Resync};
use crate::kernel::fib::DumpScope;
use crate::kernel::resolver::Changed;
use crate::kernel::route::FibAction;
use crate::kernel::status::{FibNotice, ResyncReason, RouteState};

impl Follower {
    /// Reads the kernel's table and queues what differs.
    pub(super) fn compare(&mut self, now: Duration, resync: Resync) {
        let Self { table, fib, config, .. } = self;
        let starting = !self.status.following;
        let all = resync.scope == DumpScope::All || starting;
        let (mut differing, mut conflicts) = (0, Vec::new());
        let passes: &[DumpScope] = match (all, starting) {
            // At start ours come first: only then can others' routes on the same keys be told.
            (true, true) => &[DumpScope::Own, DumpScope::All],
            (true, false) => &[DumpScope::All],
            (false, _) => &[DumpScope::Own],
        };
        table.begin_dump();
        for scope in passes {
            let outcome = fib.dump(*scope, &mut |found| {
                if found.protocol == config.protocol {
                    differing += u64::from(table.saw_ours(found, starting));
                } else if let Some(prefix) = table.saw_foreign(found.key, found.protocol) {
                    conflicts.push((prefix, found.protocol));
                }
            });
            if let Err(error) = outcome {
                return self.broken(now, &error);
            }
        }
        let (vanished, freed) = table.end_dump(passes.contains(&DumpScope::All));
        for (prefix, protocol) in conflicts {
            self.conflict(prefix, protocol);
        }
        for prefix in freed {
            self.notify(FibNotice::ConflictEnded { prefix });
        }
        if all && !starting {
            self.last_foreign_dump = Some(now);
        }
        self.blocked = false;
        self.untidy = true;
        if !matches!(resync.reason, ResyncReason::Topology | ResyncReason::Interference) {
            // What leads to next hops may have changed unheard as well.
            self.resolver.mark_all();
            self.refresh_at = Some(now);
        }
        self.status.following = true;
        self.status.resyncs += 1;
        let repaired = if starting { 0 } else { differing + vanished };
        self.status.repaired += repaired;
        self.verify_at = self.config.verify_interval.map(|interval| now + interval);
        tracing::debug!(reason = %resync.reason, repaired, "kernel table compared");
        self.notify(FibNotice::Resynced { reason: resync.reason, repaired });
    }

    pub(super) fn resolve_again(&mut self, now: Duration) {
        let Self { resolver, fib, table, config, .. } = self;
        let mut changed = Changed::default();
        let outcome = resolver.refresh(fib.as_mut(), table, config, LOOKUPS_PER_TURN, &mut changed);
        if self.resolver.is_marked() {
            self.refresh_at = Some(now);
        }
        self.board.answer(std::mem::take(&mut changed.ways));
        if let Err(error) = outcome {
            self.broken(now, &error);
        }
        let refused = self.table.counts().get(RouteState::Refused);
        if !changed.names && changed.gateways.is_empty() && refused == 0 {
            return;
        }
        let hooked = self.config.next_hop.is_some();
        self.table.enqueue_where(|entry| {
            if entry.state() == RouteState::Refused {
                return true;
            }
            let Some(FibAction::Unicast(hops)) = entry.desired.as_ref().map(|desired| &desired.action) else {
                return false;
            };
            changed.names && (hooked || hops.iter().any(|hop| hop.device.is_some()))
                || hops.iter().any(|hop| changed.gateways.contains(&hop.gateway))
        });
    }
}
