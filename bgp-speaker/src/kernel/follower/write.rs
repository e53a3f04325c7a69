//! Batches of writes, and what becomes of each.

use std::time::Duration;

use ipnet::IpNet;

use super::Follower;
use crate::kernel::error::{FibError, RouteError, errno};
use crate::kernel::fib::{DumpScope, FibOp};
use crate::kernel::resolver::Target;
use crate::kernel::status::{FibNotice, ResyncReason, RouteState};
use crate::kernel::table::{Desired, Entry, Installed, Step, taken};

/// Prefixes looked at per turn, written or not: bounds a turn in which nothing needs a write.
const STEPS_PER_TURN: usize = 4096;

impl Follower {
    /// Writes one batch.
    pub(super) fn flush(&mut self, now: Duration) {
        let mut operations = std::mem::take(&mut self.operations);
        let limit = self.fib.batch();
        for _ in 0..STEPS_PER_TURN {
            if operations.len() >= limit {
                break;
            }
            let Some((prefix, desired)) = self.table.dequeue() else { break };
            match self.step(now, prefix, desired) {
                Ok(operation) => operations.extend(operation),
                Err(error) => {
                    self.table.enqueue(prefix);
                    self.broken(now, &error);
                    break;
                }
            }
        }
        if !operations.is_empty() {
            self.write(now, &operations);
        }
        operations.clear();
        self.operations = operations;
    }

    fn step(
        &mut self,
        now: Duration,
        prefix: IpNet,
        desired: Option<Desired>,
    ) -> Result<Option<FibOp>, FibError> {
        let target = match desired {
            Some(desired) if !self.config.own_tables().any(|table| table == desired.slot.table) => {
                let text = format!("table {} is not one of the kernel export's tables", desired.slot.table);
                Target::Unresolved(RouteError::new(errno::EINVAL, text))
            }
            Some(desired) => {
                self.resolver.target(self.fib.as_mut(), &self.table, &self.config, prefix, &desired)?
            }
            None => Target::Skip,
        };
        if matches!(target, Target::Later) {
            self.refresh_at = Some(now);
        }
        let known = self.known;
        let Some(entry) = self.table.get_mut(&prefix) else { return Ok(None) };
        let before = entry.may_be_recursive();
        match entry.step(prefix, target, known) {
            Step::Write(operation) => Ok(Some(operation)),
            Step::Rest(state, fault) => {
                self.rest(prefix, state, fault);
                // What is written marks the next hops inside; so does what only leads elsewhere now.
                let after = self.table.get(&prefix).is_some_and(Entry::may_be_recursive);
                if before != after && self.resolver.mark_inside(&prefix) {
                    self.schedule_refresh(now);
                }
                Ok(None)
            }
            Step::Forget => {
                self.table.forget(&prefix);
                Ok(None)
            }
        }
    }

    fn rest(&mut self, prefix: IpNet, state: RouteState, fault: Option<RouteError>) {
        if let Some(entry) = self.table.settle(&prefix, state) {
            if state == RouteState::Installed && std::mem::take(&mut entry.adoptable) {
                self.status.adopted += 1;
            }
            let news = fault.is_some() && entry.fault.as_deref() != fault.as_ref();
            if state == RouteState::Conflict
                && entry.fault.as_ref().is_none_or(|former| former.errno != errno::EEXIST)
            {
                self.status.conflicts += 1;
            }
            entry.fault = fault.map(Box::new);
            if news && let Some(error) = entry.fault.as_deref().cloned() {
                self.say(format!("{prefix}: {error}"));
            }
        }
    }

    fn write(&mut self, now: Duration, operations: &[FibOp]) {
        let mut results = std::mem::take(&mut self.results);
        let outcome = self.fib.write(operations, &mut results);
        let (mut installed, mut removed) = (Vec::new(), Vec::new());
        for (operation, result) in operations.iter().zip(results.drain(..)) {
            let prefix = operation.key().prefix;
            match result {
                Ok(()) => {
                    if operation.is_removal() { &mut removed } else { &mut installed }.push(prefix);
                    self.done(now, operation);
                }
                Err(error) => self.refused(now, operation, error),
            }
        }
        self.results = results;
        if let Err(error) = outcome {
            // Operations without a result may have happened or not; the next comparison tells.
            for operation in operations {
                self.table.enqueue(operation.key().prefix);
            }
            self.broken(now, &error);
        }
        if !installed.is_empty() || !removed.is_empty() {
            self.notify(FibNotice::Written { installed, removed });
        }
    }

    fn done(&mut self, now: Duration, operation: &FibOp) {
        let key = operation.key();
        match operation {
            FibOp::Add(..) => self.status.added += 1,
            FibOp::Replace(..) => self.status.replaced += 1,
            FibOp::Delete(_) | FibOp::DeleteLegs(..) => self.status.removed += 1,
        }
        if self.resolver.mark_inside(&key.prefix) {
            self.schedule_refresh(now);
        }
        match operation {
            FibOp::Add(key, action) | FibOp::Replace(key, action) => {
                let Some(entry) = self.table.settle(&key.prefix, RouteState::Installed) else { return };
                entry.installed = Some(Installed { slot: (*key).into(), action: action.clone() });
                entry.adoptable = false;
                if entry.others.is_empty() {
                    entry.fault = None;
                    return;
                }
            }
            FibOp::Delete(key) | FibOp::DeleteLegs(key, _) => {
                if key.metric == 0 && key.prefix.addr().is_ipv4() {
                    // A removal without a metric takes one of any metric, if that one has gone already.
                    self.schedule_resync(now, DumpScope::Own, ResyncReason::Interference);
                }
                let Some(entry) = self.table.get_mut(&key.prefix) else { return };
                entry.removed((*key).into());
                if entry.desired.is_none() && entry.installed.is_none() && entry.others.is_empty() {
                    return self.table.forget(&key.prefix);
                }
            }
        }
        self.table.enqueue(key.prefix);
    }

    fn refused(&mut self, now: Duration, operation: &FibOp, error: RouteError) {
        let prefix = operation.key().prefix;
        *self.status.refused.entry(error.errno).or_default() += 1;
        if matches!(operation, FibOp::Add(..)) && error.errno == errno::EEXIST {
            if let Some(entry) = self.table.get_mut(&prefix) {
                entry.foreign = Some(0);
                self.table.contested();
            }
            self.rest(prefix, RouteState::Conflict, Some(taken(0)));
            self.conflict(prefix, 0);
            return self.schedule_foreign_dump(now);
        }
        if matches!(operation, FibOp::Replace(..)) {
            // A multipath replacement in IPv6 is several inner steps: see what is left.
            self.schedule_resync(now, DumpScope::Own, ResyncReason::Interference);
        }
        self.rest(prefix, RouteState::Refused, Some(error.clone()));
        self.notify(FibNotice::Refused { prefix, error });
        self.schedule_retry(now);
    }
}
