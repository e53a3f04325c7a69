//! Kernel export where there is no netlink.

use std::convert::Infallible;
use std::net::IpAddr;
use std::time::Duration;

use super::config::KernelConfig;
use super::error::{FibError, RouteError};
use super::fib::{DumpScope, Fib, FibEvent, FibOp, Found, Lookup, Waker};
use super::route::{Protocols, RouteKey};

/// The kernel's routing table; on this platform it cannot be opened.
#[derive(Debug)]
pub struct Netlink(Infallible);

impl Netlink {
    /// Always an error: kernel export needs Linux.
    pub fn open(_: &KernelConfig) -> Result<Self, FibError> {
        Err(FibError::Unsupported("kernel export needs Linux (netlink); run without it on this system"))
    }
}

impl Fib for Netlink {
    fn write(&mut self, _: &[FibOp], _: &mut Vec<Result<(), RouteError>>) -> Result<(), FibError> {
        match self.0 {}
    }

    fn dump(&mut self, _: DumpScope, _: &mut dyn FnMut(Found)) -> Result<(), FibError> {
        match self.0 {}
    }

    fn lookup(&mut self, _: IpAddr) -> Result<Lookup, FibError> {
        match self.0 {}
    }

    fn device_index(&mut self, _: &str) -> Result<Option<u32>, FibError> {
        match self.0 {}
    }

    fn reconfigure(&mut self, _: &KernelConfig) -> Result<(), FibError> {
        match self.0 {}
    }

    fn poll_event(&mut self) -> Result<Option<FibEvent>, FibError> {
        match self.0 {}
    }

    fn wait(&mut self, _: Option<Duration>) -> Result<(), FibError> {
        match self.0 {}
    }

    fn waker(&self) -> Waker {
        match self.0 {}
    }
}

/// Routes of others; on this platform nobody can be asked for them.
pub(super) struct Listener(Infallible);

/// A route of anybody.
pub(super) struct Alien {
    pub(super) key: RouteKey,
    pub(super) protocol: u8,
    pub(super) unicast: bool,
    pub(super) devices: Vec<u32>,
    pub(super) on_link: bool,
    pub(super) several: bool,
}

/// What happened to routes of others.
#[allow(dead_code, reason = "nothing happens here")]
pub(super) enum AlienEvent {
    Added(Alien),
    Removed(Alien),
    Link(u32),
}

impl Listener {
    pub(super) fn open(_: Protocols) -> Result<Self, FibError> {
        Err(FibError::Unsupported(
            "learning kernel routes needs Linux (netlink); run without it on this system",
        ))
    }

    pub(super) fn dump(&mut self, _: u32, _: &mut dyn FnMut(Alien)) -> Result<(), FibError> {
        match self.0 {}
    }

    pub(super) fn poll(&mut self) -> Result<Option<AlienEvent>, FibError> {
        match self.0 {}
    }

    pub(super) fn device_name(&self, _: u32) -> Option<String> {
        match self.0 {}
    }

    pub(super) fn wait(&self, _: Option<Duration>) -> Result<(), FibError> {
        match self.0 {}
    }

    pub(super) fn waker(&self) -> Waker {
        match self.0 {}
    }
}
