//! The follower's thread and the handle to it.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use tokio::sync::{mpsc, oneshot, watch};

use super::config::KernelConfig;
use super::error::FibError;
use super::fib::{DumpScope, Fib, Probe, Waker};
use super::follower::{Follower, Turn};
use super::next_hops::{Board, NextHopWatch};
use super::route::FibChange;
use super::status::{FibNotice, FollowerStatus, RouteReport};

/// Batches that may wait for the follower. Its table coalesces, so a longer queue would only hold older news; the
/// reader that feeds it keeps its place in the log instead.
const COMMANDS: usize = 16;
/// Notices that may wait for the embedding program; further ones are counted as lost.
const NOTICES: usize = 1024;
/// Commands taken between two batches of writes.
const COMMANDS_PER_TURN: usize = 4;
/// Longest page of [`FollowerSender::routes`]: about 1 MiB of reports.
pub const MAX_PAGE: usize = 4096;
/// Shortest time between two status snapshots while work goes on.
const STATUS_SPACING: Duration = Duration::from_millis(100);
/// Longest time that removing all routes at the end may take; the rest stays and is swept by the next start.
const WITHDRAW_LIMIT: Duration = Duration::from_secs(30);
/// The longest time without any progress: a table that takes no word must not hold up the end.
const WITHDRAW_PATIENCE: Duration = Duration::from_secs(3);
/// The longest wait in between: a way to the kernel that failed is tried again by then.
const WITHDRAW_LOOK: Duration = Duration::from_millis(100);

enum Command {
    Update(Vec<FibChange>),
    Told,
    Synced,
    Rehook,
    Resync,
    Route(IpNet, oneshot::Sender<Option<RouteReport>>),
    Page(Option<IpNet>, usize, oneshot::Sender<Vec<RouteReport>>),
}

/// The follower has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowerGone;

impl fmt::Display for FollowerGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the kernel follower has ended")
    }
}

impl std::error::Error for FollowerGone {}

/// A follower on its own thread. Dropping it ends the thread after the batch at hand and waits for that.
pub struct FollowerHandle {
    commands: FollowerSender,
    status: watch::Receiver<Arc<FollowerStatus>>,
    notices: Option<mpsc::Receiver<FibNotice>>,
    probe: Option<Box<dyn Probe>>,
    next_hops: NextHopWatch,
    ending: Arc<AtomicU8>,
    fib: Option<oneshot::Receiver<Given>>,
    thread: Option<JoinHandle<()>>,
}

/// What a follower gives back at its end: its table, and why routes of ours are left there that were to be removed.
type Given = (Box<dyn Fib>, Option<String>);

/// How a follower ends, as a number: not yet, ...
const GOES_ON: u8 = 0;
/// ... as its settings say, ...
const AS_CONFIGURED: u8 = 1;
/// ... leaving every route where it is, ...
const KEEPING: u8 = 2;
/// ... or removing all of them.
const WITHDRAWING: u8 = 3;

/// Feeds a follower from another task; clones feed the same one.
#[derive(Clone)]
pub struct FollowerSender {
    commands: mpsc::Sender<Command>,
    waker: Waker,
}

impl FollowerSender {
    async fn send(&self, command: Command) -> Result<(), FollowerGone> {
        self.commands.send(command).await.map_err(|_| FollowerGone)?;
        self.waker.wake();
        Ok(())
    }

    /// Changes of the desired state; waits while the follower has enough to do. Some thousand changes make a good batch.
    pub async fn update(&self, changes: Vec<FibChange>) -> Result<(), FollowerGone> {
        self.send(Command::Update(changes)).await
    }

    /// [`FollowerSender::update`] for a caller without a runtime.
    pub fn blocking_update(&self, changes: Vec<FibChange>) -> Result<(), FollowerGone> {
        self.commands.blocking_send(Command::Update(changes)).map_err(|_| FollowerGone)?;
        self.waker.wake();
        Ok(())
    }

    /// What can be known soon is known: a route that a former process left over several next hops is held to those that are
    /// wanted. Until then one that lost some of them, and has no other, stays as it was, as those who tell of the others
    /// may be slower.
    pub async fn told(&self) -> Result<(), FollowerGone> {
        self.send(Command::Told).await
    }

    /// The desired state is complete (End-of-RIB from all that matter, or the cap has passed): routes that a former
    /// process left and that nobody wants now are removed.
    pub async fn synced(&self) -> Result<(), FollowerGone> {
        self.send(Command::Synced).await
    }

    /// Asks the next-hop hook again about every route, after what it answers from has changed.
    pub async fn rehook(&self) -> Result<(), FollowerGone> {
        self.send(Command::Rehook).await
    }

    /// Compares with the kernel's table now.
    pub async fn resync(&self) -> Result<(), FollowerGone> {
        self.send(Command::Resync).await
    }

    /// All about one prefix; `None` = neither wanted nor found.
    pub async fn route(&self, prefix: IpNet) -> Result<Option<RouteReport>, FollowerGone> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Route(prefix, reply)).await?;
        answer.await.map_err(|_| FollowerGone)
    }

    /// The next prefixes above `after` in order, at most `limit` and at most [`MAX_PAGE`].
    pub async fn routes(&self, after: Option<IpNet>, limit: usize) -> Result<Vec<RouteReport>, FollowerGone> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Page(after, limit.min(MAX_PAGE), reply)).await?;
        answer.await.map_err(|_| FollowerGone)
    }
}

impl std::ops::Deref for FollowerHandle {
    type Target = FollowerSender;

    fn deref(&self) -> &FollowerSender {
        &self.commands
    }
}

impl FollowerHandle {
    /// Starts a follower of `fib` on a thread of its own.
    pub fn spawn(config: KernelConfig, fib: Box<dyn Fib>) -> Result<Self, FibError> {
        config.check()?;
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let (notify, notices) = mpsc::channel(NOTICES);
        let (publish, status) = watch::channel(Arc::default());
        let ending = Arc::new(AtomicU8::new(GOES_ON));
        let (give_back, given_back) = oneshot::channel();
        let waker = fib.waker();
        let keep = config.keep_routes_at_exit;
        let probe = fib.probe();
        let board = Arc::<Board>::default();
        let next_hops = NextHopWatch::new(board.clone(), waker.clone());
        let follower = Follower::new(config, fib, notify, board);
        let run = Run { follower, inbox, publish, ending: ending.clone(), keep, start: Instant::now() };
        let thread = std::thread::Builder::new()
            .name("kernel-routes".into())
            .spawn(move || {
                // Who does not want it lets it go.
                let _ = give_back.send(run.run());
            })
            .map_err(|error: io::Error| FibError::Io("starting the kernel follower's thread", error))?;
        let commands = FollowerSender { commands, waker };
        let notices = Some(notices);
        let fib = Some(given_back);
        Ok(Self { commands, status, notices, probe, next_hops, ending, fib, thread: Some(thread) })
    }

    /// A sender for another task.
    pub fn sender(&self) -> FollowerSender {
        self.commands.clone()
    }

    /// The latest snapshot; never waits for the follower.
    pub fn status(&self) -> Arc<FollowerStatus> {
        self.status.borrow().clone()
    }

    /// The snapshots as they come.
    pub fn watch(&self) -> watch::Receiver<Arc<FollowerStatus>> {
        self.status.clone()
    }

    /// The notices, once.
    pub fn take_notices(&mut self) -> Option<mpsc::Receiver<FibNotice>> {
        self.notices.take()
    }

    /// Where the ways to next hops are told.
    pub fn next_hops(&self) -> NextHopWatch {
        self.next_hops.clone()
    }

    /// A way to ask for next hops at once, if the table has one; given once.
    pub fn take_probe(&mut self) -> Option<Box<dyn Probe>> {
        self.probe.take()
    }

    /// Ends the follower without blocking the caller's thread.
    pub async fn stop(mut self) {
        self.request_stop(AS_CONFIGURED);
        // The thread drops its end of the channel as the last thing it does.
        while self.status.changed().await.is_ok() {}
    }

    /// Ends the follower and gives its table back, every route where it is.
    pub(crate) async fn hand_over(self) -> Option<Box<dyn Fib>> {
        self.give_back(KEEPING).await.map(|(fib, _)| fib)
    }

    /// Ends the follower, removes its routes and gives its table back; with words if some could not be removed.
    pub(crate) async fn withdraw(self) -> Option<(Box<dyn Fib>, Option<String>)> {
        self.give_back(WITHDRAWING).await
    }

    async fn give_back(mut self, ending: u8) -> Option<Given> {
        self.request_stop(ending);
        // A thread that panicked has none.
        self.fib.take()?.await.ok()
    }

    fn request_stop(&self, ending: u8) {
        // What was said first holds.
        let _ = self.ending.compare_exchange(GOES_ON, ending, Ordering::AcqRel, Ordering::Acquire);
        self.commands.waker.wake();
    }
}

impl Drop for FollowerHandle {
    fn drop(&mut self) {
        self.request_stop(AS_CONFIGURED);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("kernel routes: the follower's thread panicked");
        }
    }
}

impl fmt::Debug for FollowerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FollowerHandle").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl fmt::Debug for FollowerSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FollowerSender")
    }
}

struct Run {
    follower: Follower,
    inbox: mpsc::Receiver<Command>,
    publish: watch::Sender<Arc<FollowerStatus>>,
    ending: Arc<AtomicU8>,
    keep: bool,
    start: Instant,
}

impl Run {
    fn run(mut self) -> Given {
        let mut published = Instant::now();
        while self.ending.load(Ordering::Acquire) == GOES_ON {
            let more = self.commands();
            let turn = self.follower.turn(self.start.elapsed());
            if more || turn == Turn::Busy {
                if published.elapsed() >= STATUS_SPACING {
                    self.publish_status();
                    published = Instant::now();
                }
                continue;
            }
            self.publish_status();
            published = Instant::now();
            let Turn::Idle(until) = turn else { continue };
            let timeout = until.map(|at| at.saturating_sub(self.start.elapsed()));
            if let Err(error) = self.follower.fib().wait(timeout) {
                tracing::warn!("kernel routes: {error}");
                // Waiting itself is broken: the timers still work at this pace.
                std::thread::sleep(STATUS_SPACING);
            }
        }
        let keep = match self.ending.load(Ordering::Acquire) {
            KEEPING => true,
            WITHDRAWING => false,
            _ => self.keep,
        };
        let left = if keep { None } else { self.withdraw() };
        if let Some(left) = &left {
            tracing::warn!("kernel routes: at the end: {left}");
        }
        self.publish_status();
        (self.follower.into_fib(), left)
    }

    fn publish_status(&self) {
        let status = self.follower.status();
        self.publish.send_if_modified(|former| {
            let changed = **former != status;
            if changed {
                *former = Arc::new(status);
            }
            changed
        });
    }

    /// Takes some commands; true when more are waiting.
    fn commands(&mut self) -> bool {
        for _ in 0..COMMANDS_PER_TURN {
            let Ok(command) = self.inbox.try_recv() else { return false };
            match command {
                Command::Update(changes) => self.follower.apply(changes),
                Command::Told => self.follower.told(),
                Command::Synced => self.follower.synced(),
                Command::Rehook => self.follower.rehook(),
                Command::Resync => self.follower.ask_resync(self.start.elapsed()),
                // An asker that went away wants no answer.
                Command::Route(prefix, reply) => drop(reply.send(self.follower.report(&prefix))),
                Command::Page(after, limit, reply) => drop(reply.send(self.follower.page(after, limit))),
            }
        }
        true
    }

    /// Removes all routes of ours; what stood against it, if some are left.
    fn withdraw(&mut self) -> Option<String> {
        let end = Instant::now() + WITHDRAW_LIMIT;
        let mut patience = Instant::now() + WITHDRAW_PATIENCE;
        let mut compared = None;
        loop {
            // Whatever a comparison finds meanwhile goes as well. Each call goes through all routes.
            let comparisons = Some(self.follower.comparisons());
            if std::mem::replace(&mut compared, comparisons) != comparisons {
                self.follower.withdraw_all();
            }
            let turn = self.follower.turn(self.start.elapsed());
            let now = Instant::now();
            if self.follower.is_empty() || now >= end || now >= patience {
                break;
            }
            if turn == Turn::Busy {
                patience = now + WITHDRAW_PATIENCE;
            } else if let Turn::Idle(until) = turn {
                let until = until.map_or(WITHDRAW_LOOK, |at| at.saturating_sub(self.start.elapsed()));
                let _ = self.follower.fib().wait(Some(until.min(WITHDRAW_LOOK).min(end - now)));
            }
        }
        let left = self.left();
        // A look at the table removes what the routes shared.
        let fib = self.follower.fib();
        let mut tidied = fib.dump(DumpScope::Own, &mut |_| {}).map(|()| true);
        while matches!(tidied, Ok(true)) && Instant::now() < end {
            tidied = fib.tidy();
        }
        if let Err(error) = tidied {
            tracing::warn!("kernel routes: at the end: {error}");
        }
        left
    }

    fn left(&self) -> Option<String> {
        if self.follower.is_empty() {
            return None;
        }
        let status = self.follower.status();
        let why = status.last_error.as_deref().unwrap_or("it took too long");
        Some(match status.routes.total() {
            0 => format!("the kernel's table cannot be read: {why}"),
            left => format!("{left} routes are left in the kernel: {why}"),
        })
    }
}
