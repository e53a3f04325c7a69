//! The follower: applies changes, writes batches, hears events, compares with the kernel's table.
//!
//! Everything here runs in bounded turns with `now` as an argument; the thread around it is in `handle`.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::mpsc;

use super::config::KernelConfig;
use super::error::{FibError, RouteError, errno};
use super::fib::{DumpScope, Fib, FibEvent, FibOp};
use super::next_hops::Board;
use super::resolver::{Changed, Resolver, Target};
use super::route::{FibAction, FibChange, RouteKey};
use super::status::{FibNotice, FollowerStatus, ResyncReason, RouteReport, RouteState};
use super::table::{Entry, Installed, Slot, Step, Table, taken};

/// Events taken per turn: a flood of them must not keep writes waiting for more than about a millisecond.
const EVENTS_PER_TURN: usize = 1024;
/// Prefixes looked at per turn, written or not: bounds a turn in which nothing needs a write.
const STEPS_PER_TURN: usize = 4096;
/// Next hops looked up again per turn: some milliseconds, and writes go on in between.
const LOOKUPS_PER_TURN: usize = 256;
/// First and longest wait before refused routes are tried again. Links, addresses and routes that change try them
/// at once, so the timer only serves causes without an event (memory, permissions).
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_LAST: Duration = Duration::from_secs(60);
/// Shortest time between two dumps of every protocol's routes to learn who holds our keys: such a dump is as long
/// as the table of the other programs.
const FOREIGN_DUMP_SPACING: Duration = Duration::from_secs(5);

/// Log lines per interval: a cause that hits every route shall not fill the log; counters and reports tell the rest.
const LOGGED_PER_INTERVAL: u32 = 20;
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// What a turn leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// More can be done at once.
    Busy,
    /// Nothing until an event, a command, or this time.
    Idle(Option<Duration>),
}

#[derive(Clone, Copy, Debug)]
struct Resync {
    at: Duration,
    scope: DumpScope,
    reason: ResyncReason,
}

/// The follower without its thread.
pub(super) struct Follower {
    config: KernelConfig,
    fib: Box<dyn Fib>,
    table: Table,
    resolver: Resolver,
    status: FollowerStatus,
    notices: mpsc::Sender<FibNotice>,
    board: Arc<Board>,
    resync: Option<Resync>,
    /// Nothing is written until the kernel's table was read (again).
    blocked: bool,
    refresh_at: Option<Duration>,
    retry_at: Option<Duration>,
    retry_wait: Duration,
    verify_at: Option<Duration>,
    foreign_dump_at: Option<Duration>,
    last_foreign_dump: Option<Duration>,
    logged: u32,
    log_until: Duration,
    operations: Vec<FibOp>,
    results: Vec<Result<(), RouteError>>,
}

impl Follower {
    pub(super) fn new(
        config: KernelConfig,
        fib: Box<dyn Fib>,
        notices: mpsc::Sender<FibNotice>,
        board: Arc<Board>,
    ) -> Self {
        let start = Resync { at: Duration::ZERO, scope: DumpScope::All, reason: ResyncReason::Start };
        Self {
            config,
            fib,
            table: Table::default(),
            resolver: Resolver::default(),
            status: FollowerStatus::default(),
            notices,
            board,
            resync: Some(start),
            blocked: true,
            refresh_at: None,
            retry_at: None,
            retry_wait: RETRY_FIRST,
            verify_at: None,
            foreign_dump_at: None,
            last_foreign_dump: None,
            logged: 0,
            log_until: Duration::ZERO,
            operations: Vec::new(),
            results: Vec::new(),
        }
    }

    pub(super) fn apply(&mut self, changes: Vec<FibChange>) {
        let default = Slot { table: self.config.table, metric: self.config.metric };
        for change in changes {
            match change {
                FibChange::Set(mut route) => {
                    route.prefix = route.prefix.trunc();
                    self.table.set(route, default);
                }
                FibChange::Remove(prefix) => self.table.unset(&prefix.trunc()),
            }
        }
    }

    /// BGP has said all it knows: leftovers may go.
    pub(super) fn synced(&mut self) {
        if !self.status.synced {
            self.status.synced = true;
            self.table.enqueue_where(|entry| entry.leftover || entry.adoptable);
        }
    }

    /// Asks the hook again about every route.
    pub(super) fn rehook(&mut self) {
        self.resolver.rehook();
        self.table.enqueue_where(|entry| entry.desired.is_some());
    }

    pub(super) fn ask_resync(&mut self, now: Duration) {
        self.schedule_resync(now, DumpScope::All, ResyncReason::Asked);
    }

    pub(super) fn report(&self, prefix: &IpNet) -> Option<RouteReport> {
        self.table.report(&prefix.trunc())
    }

    pub(super) fn page(&self, after: Option<IpNet>, limit: usize) -> Vec<RouteReport> {
        self.table.page(after, limit)
    }

    pub(super) fn status(&self) -> FollowerStatus {
        let mut status = self.status.clone();
        status.routes = self.table.counts();
        (status.next_hops, status.unreachable_next_hops) = self.resolver.counts();
        status
    }

    pub(super) fn fib(&mut self) -> &mut dyn Fib {
        self.fib.as_mut()
    }

    pub(super) fn into_fib(self) -> Box<dyn Fib> {
        self.fib
    }

    /// One bounded piece of work.
    pub(super) fn turn(&mut self, now: Duration) -> Turn {
        self.renew_log_budget(now);
        let mut busy = self.hear(now);
        self.take_requests(now);
        self.run_timers(now);
        // What is heard decides about conflicts, so nothing is written past unheard events.
        if !busy && !self.blocked {
            self.flush(now);
            busy = !self.blocked && self.table.queued() > 0;
        }
        if busy { Turn::Busy } else { Turn::Idle(self.next_timer()) }
    }

    /// Removes every route of ours, for an end that keeps none. `turn` until it is idle does the work.
    pub(super) fn withdraw_all(&mut self) {
        let prefixes: Vec<IpNet> = self.table.entries().map(|(prefix, _)| *prefix).collect();
        for prefix in prefixes {
            self.table.unset(&prefix);
        }
    }

    /// Whether the table was read and has no route of ours, and none is wanted.
    pub(super) fn is_empty(&self) -> bool {
        !self.blocked && self.table.entries().next().is_none()
    }

    fn next_timer(&self) -> Option<Duration> {
        [
            self.resync.map(|resync| resync.at),
            self.refresh_at,
            self.retry_at,
            self.verify_at,
            self.foreign_dump_at,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn run_timers(&mut self, now: Duration) {
        let due = |at: Option<Duration>| at.is_some_and(|at| at <= now);
        if due(self.verify_at) {
            self.verify_at = None;
            self.schedule_resync(now, DumpScope::All, ResyncReason::Verify);
        }
        if due(self.foreign_dump_at) {
            self.foreign_dump_at = None;
            self.schedule_resync(now, DumpScope::All, ResyncReason::Interference);
        }
        if let Some(resync) = self.resync.filter(|resync| resync.at <= now) {
            self.resync = None;
            self.compare(now, resync);
        }
        if due(self.refresh_at) {
            self.refresh_at = None;
            self.resolve_again(now);
        }
        if due(self.retry_at) {
            self.retry_at = None;
            self.table.enqueue_where(|entry| entry.state() == RouteState::Refused);
        }
    }

    fn schedule_resync(&mut self, now: Duration, scope: DumpScope, reason: ResyncReason) {
        let at = now + self.config.debounce;
        match &mut self.resync {
            Some(planned) => {
                if scope == DumpScope::All {
                    planned.scope = scope;
                }
            }
            none => *none = Some(Resync { at, scope, reason }),
        }
    }

    /// Next hops that somebody outside asks for are looked up in this turn.
    fn take_requests(&mut self, now: Duration) {
        let asked = self.board.take_asked();
        if asked.is_empty() {
            return;
        }
        let resolver = &mut self.resolver;
        let known = asked.into_iter().filter_map(|(at, watched)| Some((at, resolver.watch(at, watched)?)));
        self.board.answer(known);
        if self.resolver.is_marked() {
            self.refresh_at = Some(now);
        }
    }

    fn schedule_refresh(&mut self, now: Duration) {
        self.refresh_at.get_or_insert(now + self.config.debounce);
    }

    fn schedule_foreign_dump(&mut self, now: Duration) {
        let earliest = self.last_foreign_dump.map_or(now, |last| last + FOREIGN_DUMP_SPACING);
        self.foreign_dump_at.get_or_insert(earliest.max(now));
    }

    fn schedule_retry(&mut self, now: Duration) {
        if self.retry_at.is_none() {
            self.retry_at = Some(now + self.retry_wait);
            self.retry_wait = (self.retry_wait * 2).min(RETRY_LAST);
        }
    }

    /// Takes events; true when more may be waiting.
    fn hear(&mut self, now: Duration) -> bool {
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
            FibEvent::Link { index, name } => self.link(now, index, name.as_deref()),
            FibEvent::Address { index } => self.link(now, index, None),
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

    fn foreign(&mut self, now: Duration, key: RouteKey, protocol: u8, removed: bool) {
        let Some(entry) = self.table.get_mut(&key.prefix).filter(|entry| entry.holds(key.into())) else {
            return;
        };
        let ours_there = entry.installed.is_some();
        if !removed {
            if entry.foreign.replace(protocol) != Some(protocol) {
                self.conflict(key.prefix, protocol);
            }
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

    fn conflict(&mut self, prefix: IpNet, protocol: u8) {
        self.notify(FibNotice::Conflict { prefix, protocol });
    }

    /// Reads the kernel's table and queues what differs.
    fn compare(&mut self, now: Duration, resync: Resync) {
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

    fn resolve_again(&mut self, now: Duration) {
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

    /// Writes one batch.
    fn flush(&mut self, now: Duration) {
        let mut operations = std::mem::take(&mut self.operations);
        let limit = self.fib.batch();
        for _ in 0..STEPS_PER_TURN {
            if operations.len() >= limit {
                break;
            }
            let Some(prefix) = self.table.dequeue() else { break };
            match self.step(now, prefix) {
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

    fn step(&mut self, now: Duration, prefix: IpNet) -> Result<Option<FibOp>, FibError> {
        let Some(entry) = self.table.get(&prefix) else { return Ok(None) };
        let target = match entry.desired.clone() {
            Some(desired) if !self.config.own_tables().any(|table| table == desired.slot.table) => {
                let text = format!("table {} is not one of the kernel export's tables", desired.slot.table);
                Target::Unresolved(RouteError::new(errno::EINVAL, text))
            }
            Some(desired) => {
                self.resolver.target(self.fib.as_mut(), &self.table, &self.config, prefix, &desired)?
            }
            None => Target::Skip,
        };
        let synced = self.status.synced;
        let Some(entry) = self.table.get_mut(&prefix) else { return Ok(None) };
        let before = entry.may_be_recursive();
        match entry.step(prefix, target, synced) {
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
        if let Some(entry) = self.table.get_mut(&prefix) {
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
        self.table.set_state(&prefix, state);
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
        let Some(entry) = self.table.get_mut(&key.prefix) else { return };
        match operation {
            FibOp::Add(key, action) | FibOp::Replace(key, action) => {
                entry.installed = Some(Installed { slot: (*key).into(), action: action.clone() });
                entry.adoptable = false;
                if entry.others.is_empty() {
                    return self.rest(key.prefix, RouteState::Installed, None);
                }
            }
            FibOp::Delete(key) | FibOp::DeleteLegs(key, _) => {
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

    /// The way to the kernel failed: nothing is written until its table was read again.
    fn broken(&mut self, now: Duration, error: &FibError) {
        self.say(error.to_string());
        self.blocked = true;
        let wait = match error {
            FibError::Overrun => {
                self.status.overruns += 1;
                self.config.debounce
            }
            _ => RETRY_FIRST,
        };
        let reason = if self.status.following { ResyncReason::Overrun } else { ResyncReason::Start };
        self.resync = Some(Resync { at: now + wait, scope: DumpScope::All, reason });
    }

    /// Remembers what went wrong, and logs it unless much did.
    fn say(&mut self, words: String) {
        if self.status.last_error.as_deref() == Some(words.as_str()) {
            return;
        }
        if self.logged < LOGGED_PER_INTERVAL {
            tracing::warn!("kernel routes: {words}");
        }
        self.logged = self.logged.saturating_add(1);
        self.status.last_error = Some(words.into());
    }

    fn renew_log_budget(&mut self, now: Duration) {
        if now < self.log_until {
            return;
        }
        if let Some(silent @ 1..) = self.logged.checked_sub(LOGGED_PER_INTERVAL) {
            tracing::warn!("kernel routes: {silent} further messages left out");
        }
        self.logged = 0;
        self.log_until = now + LOG_INTERVAL;
    }

    fn notify(&mut self, notice: FibNotice) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.notices.try_send(notice) {
            self.status.notices_lost += 1;
        }
    }
}
