//! Reads kernel routes of others: dumps and events, in full.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use netlink_packet_core::NLM_F_DUMP_INTR;
use netlink_packet_core::Parseable;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{RouteAttribute, RouteMessage};
use rustix::fd::OwnedFd;

use super::socket::{Channel, RECEIVE_BUFFER};
use super::{DUMP_TRIES, GROUPS, decode, encode, end_of_dump, new_eventfd, wait_for, waker_of};
use crate::kernel::error::FibError;
use crate::kernel::fib::Waker;
use crate::kernel::route::{Protocols, RouteKey};

/// A route of anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kernel) struct Alien {
    pub(in crate::kernel) key: RouteKey,
    pub(in crate::kernel) protocol: u8,
    pub(in crate::kernel) unicast: bool,
    pub(in crate::kernel) devices: Vec<u32>,
    /// No leg has a gateway.
    pub(in crate::kernel) on_link: bool,
    /// It has several legs.
    pub(in crate::kernel) several: bool,
}

/// What happened to routes of others.
pub(in crate::kernel) enum AlienEvent {
    Added(Alien),
    Removed(Alien),
    /// A link or its addresses changed.
    Link(u32),
}

/// Hears of every route in the namespace of the thread that opened it.
pub(in crate::kernel) struct Listener {
    /// Protocols of the kernel export, of which nothing is told.
    own: Protocols,
    requests: Channel,
    events: Channel,
    wake: Arc<OwnedFd>,
    pending: VecDeque<AlienEvent>,
    sequence: u32,
    out: Vec<u8>,
}

impl Listener {
    pub(in crate::kernel) fn open(own: Protocols) -> Result<Self, FibError> {
        let requests = Channel::requests(RECEIVE_BUFFER)?;
        let events = Channel::events(&GROUPS, requests.port, RECEIVE_BUFFER)?;
        Ok(Self {
            own,
            requests,
            events,
            wake: Arc::new(new_eventfd()?),
            pending: VecDeque::new(),
            sequence: 0,
            out: Vec::new(),
        })
    }

    /// Reports the routes of a table.
    pub(in crate::kernel) fn dump(
        &mut self,
        table: u32,
        found: &mut dyn FnMut(Alien),
    ) -> Result<(), FibError> {
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            for _ in 0..DUMP_TRIES {
                if !self.dump_family(family, table, found)? {
                    break;
                }
            }
        }
        Ok(())
    }

    fn dump_family(
        &mut self,
        family: AddressFamily,
        table: u32,
        found: &mut dyn FnMut(Alien),
    ) -> Result<bool, FibError> {
        self.sequence = self.sequence.wrapping_add(1);
        self.out.clear();
        encode::dump(&mut self.out, family, table, 0, self.sequence);
        self.requests.send(&self.out)?;
        let own = self.own.clone();
        let mut inconsistent = false;
        loop {
            let Some(messages) = self.requests.receive()? else { return Err(FibError::Overrun) };
            for (header, payload) in messages.filter(|(header, _)| header.sequence_number == self.sequence) {
                inconsistent |= header.flags & NLM_F_DUMP_INTR != 0;
                let end = match header.message_type {
                    decode::NLMSG_DONE => decode::done(payload),
                    decode::NLMSG_ERROR => decode::verdict(&header, payload),
                    decode::RTM_NEWROUTE => {
                        if let Some(alien) = alien(payload, &own).filter(|alien| alien.key.table == table) {
                            found(alien);
                        }
                        continue;
                    }
                    _ => continue,
                };
                return end_of_dump(end, inconsistent);
            }
        }
    }

    /// The next event; never blocks. `Err(Overrun)` = some were lost.
    pub(in crate::kernel) fn poll(&mut self) -> Result<Option<AlienEvent>, FibError> {
        while self.pending.is_empty() {
            let own = &self.own;
            let Some(messages) = self.events.receive()? else { return Ok(None) };
            self.pending.extend(messages.filter_map(|(header, payload)| match header.message_type {
                decode::RTM_NEWROUTE => alien(payload, own).map(AlienEvent::Added),
                decode::RTM_DELROUTE => alien(payload, own).map(AlienEvent::Removed),
                decode::RTM_NEWLINK | decode::RTM_DELLINK | decode::RTM_NEWADDR | decode::RTM_DELADDR => {
                    payload.get(4..8).and_then(decode::number).map(AlienEvent::Link)
                }
                _ => None,
            }));
        }
        Ok(self.pending.pop_front())
    }

    pub(in crate::kernel) fn device_name(&self, index: u32) -> Option<String> {
        rustix::net::netdevice::index_to_name(&self.requests, index).ok()
    }

    pub(in crate::kernel) fn wait(&self, timeout: Option<Duration>) -> Result<(), FibError> {
        wait_for(&self.events, &self.wake, timeout)
    }

    pub(in crate::kernel) fn waker(&self) -> Waker {
        waker_of(&self.wake)
    }
}

/// A route, unless it is of one of these protocols: of those there may be a million, and only their outline is read.
fn alien(payload: &[u8], own: &Protocols) -> Option<Alien> {
    let outline = decode::outline(payload)?;
    if !outline.plain || own.contains(outline.protocol) {
        return None;
    }
    let unicast = decode::is_unicast(payload);
    let message = RouteMessage::parse(payload).ok()?;
    let (mut devices, mut on_link, mut several) = (Vec::new(), true, false);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => devices.push(*index),
            RouteAttribute::Gateway(_) | RouteAttribute::Via(_) => on_link = false,
            RouteAttribute::MultiPath(hops) => {
                several = true;
                devices.extend(hops.iter().map(|hop| hop.interface_index));
                let gateway = |hop: &netlink_packet_route::route::RouteNextHop| {
                    let is =
                        |a: &RouteAttribute| matches!(a, RouteAttribute::Gateway(_) | RouteAttribute::Via(_));
                    hop.attributes.iter().any(is)
                };
                on_link &= !hops.iter().any(gateway);
            }
            _ => {}
        }
    }
    Some(Alien { key: outline.key, protocol: outline.protocol, unicast, devices, on_link, several })
}
