//! Asking the kernel for the way to a next hop: by a lookup of its own, or among the routes of others.

use std::net::IpAddr;

use super::socket::Channel;
use super::{Own, decode, encode};
use crate::kernel::error::{FibError, RouteError, errno};
use crate::kernel::fib::{Lookup, Probe};
use crate::kernel::route::{Device, RouteKey};

/// Asks the kernel for the route to `gateway`.
pub(super) fn ask(
    requests: &mut Channel,
    own: &Own,
    out: &mut Vec<u8>,
    sequence: u32,
    gateway: IpAddr,
) -> Result<Lookup, FibError> {
    let vrf = match &own.vrf {
        None => None,
        Some(device) => match index_of(requests, device)? {
            Some(index) => Some(index),
            None => {
                let text = format!("there is no VRF {device} to look next hop {gateway} up in");
                return Ok(Lookup::Unreachable(RouteError::new(errno::ENODEV, text)));
            }
        },
    };
    out.clear();
    encode::lookup(out, gateway, vrf, sequence);
    requests.send(out)?;
    loop {
        let Some(messages) = requests.receive()? else { return Err(FibError::Overrun) };
        let mut answers = messages.filter(|(header, _)| header.sequence_number == sequence);
        let Some((header, payload)) = answers.next() else { continue };
        if header.message_type != decode::NLMSG_ERROR {
            return Ok(own.way(gateway, payload));
        }
        if let Err(mut error) = decode::verdict(&header, payload) {
            error.text = format!("no route to next hop {gateway} {}", error.text).trim_end().into();
            return Ok(Lookup::Unreachable(error));
        }
    }
}

/// The index of an interface.
pub(super) fn index_of(requests: &Channel, device: &Device) -> Result<Option<u32>, FibError> {
    let name = match device {
        Device::Index(index) => return Ok(Some(*index)),
        Device::Name(name) => name,
    };
    match rustix::net::netdevice::name_to_index(requests, name) {
        Ok(index) => Ok(Some(index)),
        Err(rustix::io::Errno::NODEV) => Ok(None),
        Err(error) => Err(FibError::Io("looking up an interface name", error.into())),
    }
}

/// The best route of others to a next hop, from a dump.
pub(super) struct Beneath {
    pub(super) gateway: IpAddr,
    best: Option<(RouteKey, Lookup)>,
}

impl Beneath {
    pub(super) fn new(gateway: IpAddr) -> Self {
        Self { gateway, best: None }
    }

    pub(super) fn see(&mut self, own: &Own, key: &RouteKey, payload: &[u8]) {
        let rank = |key: &RouteKey| (key.prefix.prefix_len(), std::cmp::Reverse(key.metric));
        // One whose link is down is passed over, as the kernel does.
        if !key.prefix.contains(&self.gateway)
            || self.best.as_ref().is_some_and(|(best, _)| rank(best) >= rank(key))
            || decode::live_legs(payload).is_some_and(|legs| legs.is_empty())
        {
            return;
        }
        self.best = Some((*key, own.way(self.gateway, payload)));
    }

    pub(super) fn lookup(self) -> Lookup {
        let none = || RouteError::new(errno::ENETUNREACH, format!("no route to next hop {}", self.gateway));
        self.best.map_or_else(|| Lookup::Unreachable(none()), |(_, lookup)| lookup)
    }
}

/// [`Probe`] over a socket of its own.
pub(super) struct Asker {
    pub(super) own: Own,
    pub(super) requests: Channel,
    pub(super) sequence: u32,
    pub(super) out: Vec<u8>,
}

impl Probe for Asker {
    fn lookup(&mut self, gateway: IpAddr) -> Result<Lookup, FibError> {
        self.sequence = self.sequence.wrapping_add(1);
        ask(&mut self.requests, &self.own, &mut self.out, self.sequence, gateway)
    }

    fn device_name(&mut self, index: u32) -> Option<String> {
        rustix::net::netdevice::index_to_name(&self.requests, index).ok()
    }
}
