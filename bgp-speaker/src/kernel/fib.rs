//! The door to a forwarding table: [`Fib`], and [`NoFib`] for a speaker that forwards nothing.

use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use ipnet::IpNet;

use super::config::KernelConfig;
use super::error::{FibError, RouteError};
use super::route::{KernelAction, KernelHop, RouteKey};

/// A forwarding table: synchronous, used by one thread of its own.
///
/// An implementation acts for one protocol number in one table, both given when it is opened: `Delete` and
/// `Replace` never name a route of another protocol, except that `Replace` on a key which another program took in
/// the same instant cannot be told from ours (the kernel's key has no protocol).
pub trait Fib: Send {
    /// Does `operations` in order and pushes one result for each. An error means that the outcome of the rest
    /// (those without a result) is unknown.
    fn write(
        &mut self,
        operations: &[FibOp],
        results: &mut Vec<Result<(), RouteError>>,
    ) -> Result<(), FibError>;

    /// Reports the routes of our table; a route may be reported twice when the table changes meanwhile.
    fn dump(&mut self, scope: DumpScope, found: &mut dyn FnMut(Found)) -> Result<(), FibError>;

    /// Removes some of what the last dump showed that no route needs, bounded in time; true = there is more.
    fn tidy(&mut self) -> Result<bool, FibError> {
        Ok(false)
    }

    /// How packets to `gateway` leave this host.
    fn lookup(&mut self, gateway: IpAddr) -> Result<Lookup, FibError>;

    /// How packets to each of `gateways` would leave this host if there were no routes of ours; answers in the same order,
    /// at the cost of one dump. `None` = it cannot be told.
    fn lookup_beneath(&mut self, _gateways: &[IpAddr]) -> Result<Option<Vec<Lookup>>, FibError> {
        Ok(None)
    }

    /// Index of the interface of this name.
    fn device_index(&mut self, name: &str) -> Result<Option<u32>, FibError>;

    /// Name of the interface with this index; `None` = there is none, or it cannot be told.
    fn device_name(&mut self, _index: u32) -> Result<Option<String>, FibError> {
        Ok(None)
    }

    /// Next change that somebody else made; never blocks. `Err(Overrun)` = changes were lost.
    fn poll_event(&mut self) -> Result<Option<FibEvent>, FibError>;

    /// Blocks until an event may be there, the waker was called, or the time is over.
    fn wait(&mut self, timeout: Option<Duration>) -> Result<(), FibError>;

    /// Acts for the tables and the protocol of these settings from now on. Routes under the protocol of before are still ours:
    /// they are reported as ours with [`KernelAction::Other`], so that they are written anew, and deleted under the protocol
    /// that they have.
    fn reconfigure(&mut self, config: &KernelConfig) -> Result<(), FibError>;

    /// Ends a [`Fib::wait`] from another thread, the present one or the next.
    fn waker(&self) -> Waker;

    /// A second way to ask for next hops, for another thread than the one that writes; `None` = there is none.
    fn probe(&self) -> Option<Box<dyn Probe>> {
        None
    }

    /// How many operations one [`Fib::write`] takes well.
    fn batch(&self) -> usize {
        256
    }
}

/// Answers how packets to a next hop leave this host; an answer takes microseconds.
pub trait Probe: Send + Sync {
    /// As [`Fib::lookup`].
    fn lookup(&mut self, gateway: IpAddr) -> Result<Lookup, FibError>;

    /// As [`Fib::device_name`].
    fn device_name(&mut self, _index: u32) -> Option<String> {
        None
    }
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FibOp {
    /// Make the route; `EEXIST` when anybody's route is on the key.
    Add(RouteKey, KernelAction),
    /// Put it in the place of ours on the key.
    Replace(RouteKey, KernelAction),
    /// Remove ours from the key; a route that is gone is a success.
    Delete(RouteKey),
    /// The same leg by leg: in IPv6 a foreign route on the key is one multipath route with ours, and its legs stay.
    DeleteLegs(RouteKey, KernelAction),
}

impl FibOp {
    /// Whether it takes a route away.
    pub fn is_removal(&self) -> bool {
        matches!(self, Self::Delete(_) | Self::DeleteLegs(..))
    }

    /// The key that it writes.
    pub fn key(&self) -> RouteKey {
        match self {
            Self::Add(key, _) | Self::Replace(key, _) | Self::Delete(key) | Self::DeleteLegs(key, _) => *key,
        }
    }
}

/// Which routes of our table a dump reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DumpScope {
    /// Those of our protocol.
    Own,
    /// Those of every protocol.
    All,
}

/// A route in a dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it stands.
    pub key: RouteKey,
    /// Whose it is.
    pub protocol: u8,
    /// What it does; routes of others may be reported as [`KernelAction::Other`].
    pub action: KernelAction,
}

/// How an address is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Through the best matching route.
    Route {
        /// Its legs; no gateway = the address is on that link.
        legs: Vec<KernelHop>,
        /// Its destination.
        prefix: IpNet,
        /// Its metric.
        metric: u32,
        /// Whether it is one of ours.
        ours: bool,
    },
    /// It is an address of this host.
    Own,
    /// Not at all.
    Unreachable(RouteError),
}

/// Something that another program or the kernel changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FibEvent {
    /// A link came, went, or changed its state.
    Link {
        /// Interface index.
        index: u32,
        /// Its name, when the kernel says it.
        name: Option<String>,
        /// Whether it is there and has a carrier.
        up: bool,
    },
    /// An address was added to or removed from an interface.
    Address {
        /// Interface index.
        index: u32,
    },
    /// What several routes of ours share was changed.
    Shared,
    /// A route was added, changed or removed, not by us.
    Route {
        /// Where it stands.
        key: RouteKey,
        /// Whose it is.
        protocol: u8,
        /// Whether it is in our table.
        our_table: bool,
        /// Whether it was removed.
        removed: bool,
    },
}

/// Ends a [`Fib::wait`].
#[derive(Clone)]
pub struct Waker(Arc<dyn Fn() + Send + Sync>);

impl Waker {
    /// Wraps a function that may be called from any thread.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(wake))
    }

    /// Ends the present wait, or the next.
    pub fn wake(&self) {
        (self.0)();
    }
}

impl std::fmt::Debug for Waker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waker")
    }
}

/// A flag to sleep on, for a [`Fib`] without a file descriptor.
#[derive(Clone, Debug, Default)]
pub(super) struct Signal(Arc<(Mutex<bool>, Condvar)>);

impl Signal {
    pub(super) fn set(&self) {
        let (flag, changed) = &*self.0;
        *flag.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_one();
    }

    pub(super) fn wait(&self, timeout: Option<Duration>) {
        let (flag, changed) = &*self.0;
        let mut set = flag.lock().unwrap_or_else(PoisonError::into_inner);
        match timeout {
            Some(timeout) => {
                set = changed
                    .wait_timeout_while(set, timeout, |set| !*set)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
            }
            None => set = changed.wait_while(set, |set| !*set).unwrap_or_else(PoisonError::into_inner),
        }
        *set = false;
    }

    pub(super) fn waker(&self) -> Waker {
        let signal = self.clone();
        Waker::new(move || signal.set())
    }
}

/// No forwarding table at all: every write succeeds and goes nowhere.
#[derive(Debug, Default)]
pub struct NoFib {
    signal: Signal,
}

impl Fib for NoFib {
    fn write(
        &mut self,
        operations: &[FibOp],
        results: &mut Vec<Result<(), RouteError>>,
    ) -> Result<(), FibError> {
        results.extend(operations.iter().map(|_| Ok(())));
        Ok(())
    }

    fn dump(&mut self, _: DumpScope, _: &mut dyn FnMut(Found)) -> Result<(), FibError> {
        Ok(())
    }

    fn lookup(&mut self, gateway: IpAddr) -> Result<Lookup, FibError> {
        let leg = KernelHop { gateway: None, device: 0, onlink: false, weight: 1 };
        Ok(Lookup::Route { legs: vec![leg], prefix: gateway.into(), metric: 0, ours: false })
    }

    fn device_index(&mut self, _: &str) -> Result<Option<u32>, FibError> {
        Ok(Some(0))
    }

    fn reconfigure(&mut self, _: &KernelConfig) -> Result<(), FibError> {
        Ok(())
    }

    fn poll_event(&mut self) -> Result<Option<FibEvent>, FibError> {
        Ok(None)
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<(), FibError> {
        self.signal.wait(timeout);
        Ok(())
    }

    fn waker(&self) -> Waker {
        self.signal.waker()
    }
}
