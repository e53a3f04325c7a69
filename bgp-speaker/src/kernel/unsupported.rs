//! Kernel export where there is no netlink.

use std::convert::Infallible;
use std::net::IpAddr;
use std::time::Duration;

use super::config::KernelConfig;
use super::error::{FibError, RouteError};
use super::fib::{DumpScope, Fib, FibEvent, FibOp, Found, Lookup, Waker};

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
