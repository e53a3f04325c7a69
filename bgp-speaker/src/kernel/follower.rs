//! The follower: applies changes, writes batches, hears events, compares with the kernel's table.
//!
//! Everything here runs in bounded turns with `now` as an argument; the thread around it is in `handle`.

mod compare;
mod hear;
mod write;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::mpsc;

use super::config::KernelConfig;
use super::error::{FibError, RouteError};
use super::fib::{DumpScope, Fib, FibOp};
use super::next_hops::Board;
use super::resolver::Resolver;
use super::route::FibChange;
use super::status::{FibNotice, FollowerStatus, ResyncReason, RouteReport, RouteState};
use super::table::{Knowledge, Slot, Table};

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
    known: Knowledge,
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
    /// Links of ours that were told to be down.
    dark: BTreeSet<u32>,
    /// When a link that came back may next be answered at once.
    prompt_at: Duration,
    /// A link came back: what went with it is looked for in this turn.
    prompt: bool,
    /// The last comparison left something to tidy up.
    untidy: bool,
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
            known: Knowledge::default(),
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
            dark: BTreeSet::new(),
            prompt_at: Duration::ZERO,
            prompt: false,
            untidy: false,
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

    /// BGP has said what it knows from those that are there: further legs that a former process left may go.
    pub(super) fn told(&mut self) {
        if self.known == Knowledge::Partial {
            self.known = Knowledge::Told;
            self.table.enqueue_where(|entry| entry.adoptable && entry.desired.is_some());
        }
    }

    /// BGP has said all it knows: leftovers may go.
    pub(super) fn synced(&mut self) {
        if !self.status.synced {
            self.status.synced = true;
            self.known = Knowledge::Synced;
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
        if !busy && !self.blocked && std::mem::take(&mut self.prompt) {
            self.compare(now, Resync { at: now, scope: DumpScope::Own, reason: ResyncReason::Topology });
            self.resolve_again(now);
        }
        self.run_timers(now);
        // What is heard decides about conflicts, so nothing is written past unheard events.
        if !busy && !self.blocked {
            self.flush(now);
            busy = !self.blocked && self.table.queued() > 0;
            if !busy && self.table.counts().get(RouteState::Refused) == 0 {
                self.retry_wait = RETRY_FIRST;
            }
        }
        // Routes come before tidiness.
        if !busy && self.untidy {
            self.tidy(now);
            busy = self.untidy;
        }
        if busy { Turn::Busy } else { Turn::Idle(self.next_timer()) }
    }

    pub(super) fn tidy(&mut self, now: Duration) {
        match self.fib.tidy() {
            Ok(more) => self.untidy = more,
            Err(error) => {
                self.untidy = false;
                self.broken(now, &error);
            }
        }
    }

    /// Removes every route of ours, for an end that keeps none. `turn` until it is idle does the work. What a comparison finds
    /// afterwards is left until this is called again.
    pub(super) fn withdraw_all(&mut self) {
        let prefixes: Vec<IpNet> = self.table.entries().map(|(prefix, _)| *prefix).collect();
        for prefix in prefixes {
            self.table.unset(&prefix);
        }
    }

    /// Whether the table was read and has no route of ours, and none is wanted.
    pub(super) fn is_empty(&self) -> bool {
        !self.blocked && self.table.counts().total() == 0
    }

    /// How often the kernel's table was read.
    pub(super) fn comparisons(&self) -> u32 {
        self.table.comparisons()
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
        let (resolver, fib) = (&mut self.resolver, self.fib.as_mut());
        let known: Vec<_> = asked
            .into_iter()
            .filter_map(|(at, watched)| Some((at, resolver.watch(fib, at, watched)?)))
            .collect();
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
