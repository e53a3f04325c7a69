//! [`Fib`] over rtnetlink: batches with one acknowledgement, nexthop objects, filtered dumps, events.

mod decode;
mod encode;
mod listener;
mod lookup;
mod objects;
mod socket;

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use netlink_packet_core::NLM_F_DUMP_INTR;
use netlink_packet_route::AddressFamily;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fd::OwnedFd;

use super::config::KernelConfig;
use super::error::{FibError, RouteError, errno};
use super::fib::{DumpScope, Fib, FibEvent, FibOp, Found, Lookup, Probe, Waker};
use super::route::{Device, KernelAction, KernelHop, RouteKey};
pub(super) use listener::{Alien, AlienEvent, Listener};
use lookup::{Asker, Beneath, ask, index_of};
use objects::Objects;
use socket::{Channel, RECEIVE_BUFFER, SMALL_BUFFER};

/// Operations per send: from 256 on the kernel's own work is all that is left. If each of them fails, the answers
/// with their texts need about 128 KiB.
const BATCH: usize = 256;
/// With the small receive buffer half of that.
const SMALL_BATCH: usize = 128;
/// Bytes per send: the default send buffer takes 207 KiB, and multipath routes are long.
const BATCH_BYTES: usize = 96 * 1024;
/// A dump that the kernel calls inconsistent is repeated this often; then what was seen counts, and events tell the rest.
const DUMP_TRIES: usize = 4;

/// How often another number is tried for an object when somebody has taken one since the last look.
const ID_TRIES: usize = 16;

/// RT_TABLE_MAIN: where the ways to next hops are that are not ours.
const TABLE_MAIN: u32 = 254;
/// RTNLGRP_NEXTHOP.
const NEXTHOP_GROUP: u32 = 32;
/// RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_ROUTE.
const GROUPS: [u32; 5] = [1, 5, 7, 9, 11];

/// The Linux kernel's routing table, of the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Netlink {
    own: Own,
    requests: Channel,
    events: Channel,
    wake: Arc<OwnedFd>,
    pending: VecDeque<FibEvent>,
    sequence: u32,
    out: Vec<u8>,
    objects: Objects,
    /// Whether routes are written over objects.
    sharing: bool,
    /// Whether the kernel has them.
    has_objects: bool,
    /// Routes of ours that stand under a former protocol, as last seen.
    elders: HashMap<RouteKey, u8>,
}

/// What makes a route ours.
#[derive(Clone, Debug)]
struct Own {
    tables: Arc<[u32]>,
    protocol: u8,
    /// Protocols under which routes of ours may still stand.
    former: Vec<u8>,
    /// Where next hops are looked up, ...
    vrf: Option<Device>,
    /// ... and the table in which others have their routes to them.
    ways: u32,
}

impl Own {
    fn new(config: &KernelConfig) -> Self {
        Self {
            tables: config.own_tables().collect(),
            protocol: config.protocol,
            former: Vec::new(),
            vrf: config.vrf.clone(),
            ways: if config.vrf.is_some() { config.table } else { TABLE_MAIN },
        }
    }

    /// A dumped route, if the dump was to tell it (an old kernel may filter less than asked for).
    fn seen(&self, payload: &[u8], scope: DumpScope, objects: &Objects) -> Option<Found> {
        let outline = decode::outline(payload)?;
        let elder = self.former.contains(&outline.protocol);
        let ours = outline.protocol == self.protocol || elder;
        if !self.tables.contains(&outline.key.table) || !outline.plain || (scope == DumpScope::Own && !ours) {
            return None;
        }
        let action = match decode::object(payload) {
            _ if !ours || elder => KernelAction::Other,
            Some(id) => objects.legs(id).cloned().map_or(KernelAction::Other, KernelAction::Unicast),
            None => decode::action(payload),
        };
        let protocol = if elder { self.protocol } else { outline.protocol };
        Some(Found { key: outline.key, protocol, action })
    }

    /// The protocol under which a route of ours stands, if that is a former one.
    fn elder(&self, payload: &[u8]) -> Option<u8> {
        let protocol = decode::outline(payload).filter(|_| !self.former.is_empty())?.protocol;
        self.former.contains(&protocol).then_some(protocol)
    }

    fn is_ours(&self, protocol: u8) -> bool {
        protocol == self.protocol || self.former.contains(&protocol)
    }

    /// What the kernel's route to a next hop says.
    fn way(&self, gateway: IpAddr, payload: &[u8]) -> Lookup {
        let unreachable = |text| Lookup::Unreachable(RouteError::new(errno::ENETUNREACH, text));
        let Some(outline) = decode::outline(payload) else {
            return unreachable(format!("the kernel's route to next hop {gateway} cannot be read"));
        };
        let prefix = outline.key.prefix;
        if decode::is_local(payload) {
            return Lookup::Own;
        }
        if let Some(vrf) = self.vrf.as_ref().filter(|_| outline.key.table != self.ways) {
            // Where the VRF's table has no default, Linux goes on in the main table.
            return unreachable(format!("no route of VRF {vrf} leads to next hop {gateway}"));
        }
        if !decode::is_unicast(payload) {
            return unreachable(format!("the kernel's route to next hop {gateway} ({prefix}) drops packets"));
        }
        match decode::live_legs(payload) {
            Some(legs) if legs.is_empty() => {
                unreachable(format!("the link of the route to next hop {gateway} ({prefix}) is down"))
            }
            Some(legs) => Lookup::Route {
                legs,
                prefix,
                metric: outline.key.metric,
                ours: self.is_ours(outline.protocol) && self.tables.contains(&outline.key.table),
            },
            None => unreachable(format!(
                "the kernel's route to next hop {gateway} ({prefix}) has an encapsulation or a nexthop object"
            )),
        }
    }
}

impl Netlink {
    /// Opens the table of `config`, and makes sure that the kernel lets us write to it.
    pub fn open(config: &KernelConfig) -> Result<Self, FibError> {
        config.check()?;
        let requests = Channel::requests(RECEIVE_BUFFER)?;
        let events = Channel::events(&GROUPS, requests.port, RECEIVE_BUFFER)?;
        let mut netlink = Self {
            own: Own::new(config),
            requests,
            events,
            wake: Arc::new(new_eventfd()?),
            pending: VecDeque::new(),
            sequence: 0,
            out: Vec::new(),
            objects: Objects::new(config.protocol),
            sharing: false,
            has_objects: false,
            elders: HashMap::new(),
        };
        netlink.try_out(config)?;
        // Without objects in the kernel their group cannot be joined either.
        netlink.has_objects = netlink.look_at_objects()?;
        netlink.sharing = netlink.has_objects && config.nexthop_objects;
        netlink.events.join(NEXTHOP_GROUP);
        Ok(netlink)
    }

    /// Asks for the removal of a route that cannot be there: EPERM comes before everything else.
    fn try_out(&mut self, config: &KernelConfig) -> Result<(), FibError> {
        let prefix = IpAddr::from([0, 0, 0, 0]).into();
        let (table, metric) = (config.table, config.metric);
        let mut results = Vec::with_capacity(1);
        self.write(&[FibOp::Delete(RouteKey { prefix, table, metric })], &mut results)?;
        match results.pop() {
            Some(Err(error)) if error.errno == errno::EPERM => Err(FibError::NotPermitted),
            Some(Err(error)) => Err(FibError::Refused(error)),
            _ => Ok(()),
        }
    }

    fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    /// Reads which objects there are; false = this kernel has none.
    fn look_at_objects(&mut self) -> Result<bool, FibError> {
        let sequence = self.next_sequence();
        self.out.clear();
        objects::dump(&mut self.out, sequence);
        self.requests.send(&self.out)?;
        let mut told = Vec::new();
        loop {
            let Some(messages) = self.requests.receive()? else { return Err(FibError::Overrun) };
            for (header, payload) in messages.filter(|(header, _)| header.sequence_number == sequence) {
                match header.message_type {
                    objects::RTM_NEWNEXTHOP => told.extend(self.objects.read(payload)),
                    decode::NLMSG_DONE | decode::NLMSG_ERROR => {
                        let there = header.message_type == decode::NLMSG_DONE;
                        self.objects.take(&told);
                        return Ok(there);
                    }
                    _ => {}
                }
            }
        }
    }

    /// Makes the objects that these operations are to name. What the kernel does not take is written without: its
    /// verdict about the route then says why.
    fn provide(&mut self, operations: &[FibOp]) -> Result<(), FibError> {
        if !self.sharing {
            return Ok(());
        }
        let mut former = None;
        for operation in operations {
            let Some(legs) = self.objects.wanted(operation) else { continue };
            if former.is_some_and(|former| Arc::ptr_eq(former, legs)) {
                continue;
            }
            former = Some(legs);
            for part in self.objects.missing(legs) {
                if !self.make_object(part)? {
                    break;
                }
            }
        }
        Ok(())
    }

    fn make_object(&mut self, legs: Arc<[KernelHop]>) -> Result<bool, FibError> {
        for _ in 0..ID_TRIES {
            let sequence = self.next_sequence();
            self.out.clear();
            let id = self.objects.make(&mut self.out, &legs, sequence);
            match self.say(sequence)? {
                Ok(()) => {
                    self.objects.made(id, legs);
                    return Ok(true);
                }
                Err(error) if error.errno == errno::EEXIST => self.objects.taken(id),
                Err(_) => return Ok(false),
            }
        }
        Ok(false)
    }

    /// Sends what is in `out`, one message, and reads the verdict.
    fn say(&mut self, sequence: u32) -> Result<Result<(), RouteError>, FibError> {
        self.requests.send(&self.out)?;
        let mut result = [Ok(())];
        self.collect(sequence, sequence, &mut result)?;
        let [result] = result;
        Ok(result)
    }

    /// Finds the objects of ours that no route names.
    fn look_for_unused(&mut self, mut used: HashSet<u32>) -> Result<(), FibError> {
        if self.objects.unused(&used).is_empty() {
            return Ok(());
        }
        // With an object go the routes that use it, and not every route of ours need be in the tables of today.
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            self.dump_routes(family, 0, 0, &mut |payload, _| used.extend(decode::object(payload)))?;
        }
        let unused = self.objects.unused(&used);
        self.objects.doom(unused);
        Ok(())
    }

    /// Sends as many operations as fit and collects their results.
    fn send_some(
        &mut self,
        operations: &[FibOp],
        results: &mut Vec<Result<(), RouteError>>,
    ) -> Result<(), FibError> {
        self.out.clear();
        let first = self.sequence.wrapping_add(1);
        let mut count = 0;
        for operation in operations {
            let sequence = self.next_sequence();
            count += 1;
            // Whether it is the last is only known with its length; a message is at most MAX_LEGS legs long.
            let last = count == operations.len() || self.out.len() >= BATCH_BYTES;
            let object = self.objects.wanted(operation).filter(|_| self.sharing);
            let object = object.and_then(|legs| self.objects.id(legs));
            let elder = self.elders.get(&operation.key()).filter(|_| operation.is_removal());
            let protocol = elder.copied().unwrap_or(self.own.protocol);
            encode::write(&mut self.out, operation, object, protocol, sequence, last);
            if last {
                break;
            }
        }
        self.requests.send(&self.out)?;
        let last = self.sequence;
        let base = results.len();
        results.extend(operations[..count].iter().map(|_| Ok(())));
        let collected = self.collect(first, last, &mut results[base..]);
        if collected.is_err() {
            results.truncate(base);
        }
        for (operation, result) in operations.iter().zip(&mut results[base..]) {
            let gone = |error: &RouteError| matches!(error.errno, errno::ESRCH | errno::ENOENT);
            if operation.is_removal() && result.as_ref().is_err_and(gone) {
                *result = Ok(());
            }
            if result.is_ok() && !self.elders.is_empty() {
                self.elders.remove(&operation.key());
            }
        }
        collected
    }

    /// Objects went with a link before we heard of it: those that are left are read, and the rest is made again.
    fn write_again(
        &mut self,
        operations: &[FibOp],
        results: &mut [Result<(), RouteError>],
    ) -> Result<(), FibError> {
        self.look_at_objects()?;
        for (operation, result) in operations.iter().zip(results) {
            if is_about_object(result) {
                let one = std::slice::from_ref(operation);
                self.provide(one)?;
                let mut again = Vec::with_capacity(1);
                self.send_some(one, &mut again)?;
                *result = again.pop().unwrap_or(Ok(()));
            }
        }
        Ok(())
    }

    /// Reads answers until the one for `last`; silence about the others is success.
    fn collect(
        &mut self,
        first: u32,
        last: u32,
        results: &mut [Result<(), RouteError>],
    ) -> Result<(), FibError> {
        loop {
            let Some(messages) = self.requests.receive()? else { return Err(FibError::Overrun) };
            for (header, payload) in messages.filter(|(header, _)| header.message_type == decode::NLMSG_ERROR)
            {
                let at = header.sequence_number.wrapping_sub(first) as usize;
                if let Some(result) = results.get_mut(at) {
                    *result = decode::verdict(&header, payload);
                }
                if header.sequence_number == last {
                    return Ok(());
                }
            }
        }
    }

    /// One dump of one family's routes, of all tables for table 0; true = the kernel says that it was not consistent.
    fn dump_routes(
        &mut self,
        family: AddressFamily,
        table: u32,
        protocol: u8,
        found: &mut dyn FnMut(&[u8], &Objects),
    ) -> Result<bool, FibError> {
        let sequence = self.next_sequence();
        self.out.clear();
        encode::dump(&mut self.out, family, table, protocol, sequence);
        self.requests.send(&self.out)?;
        let mut inconsistent = false;
        loop {
            let Some(messages) = self.requests.receive()? else { return Err(FibError::Overrun) };
            for (header, payload) in messages.filter(|(header, _)| header.sequence_number == sequence) {
                inconsistent |= header.flags & NLM_F_DUMP_INTR != 0;
                let end = match header.message_type {
                    decode::NLMSG_DONE => decode::done(payload),
                    decode::NLMSG_ERROR => decode::verdict(&header, payload),
                    decode::RTM_NEWROUTE => {
                        found(payload, &self.objects);
                        continue;
                    }
                    _ => continue,
                };
                return end_of_dump(end, inconsistent);
            }
        }
    }
}

fn new_eventfd() -> Result<OwnedFd, FibError> {
    eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
        .map_err(|error| FibError::Io("making an eventfd", error.into()))
}

/// Blocks until there are events, somebody wakes us, or the time is over.
fn wait_for(events: &Channel, wake: &OwnedFd, timeout: Option<Duration>) -> Result<(), FibError> {
    let timeout = timeout.map(|timeout| Timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    let mut fds = [PollFd::new(events, PollFlags::IN), PollFd::new(wake, PollFlags::IN)];
    match poll(&mut fds, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(FibError::Io("waiting for the kernel", error.into())),
    }
    // Empty or not, the counter is zero afterwards.
    let _ = rustix::io::read(wake, &mut [0; 8]);
    Ok(())
}

fn waker_of(wake: &Arc<OwnedFd>) -> Waker {
    let wake = wake.clone();
    // A full counter wakes as well.
    Waker::new(move || {
        let _ = rustix::io::write(&*wake, &1u64.to_ne_bytes());
    })
}

/// Whether a dump that ended so was of a table that changed meanwhile.
fn end_of_dump(end: Result<(), RouteError>, inconsistent: bool) -> Result<bool, FibError> {
    match end {
        Ok(()) => Ok(inconsistent),
        // The table has no routes and so does not exist yet, or the family is switched off.
        Err(RouteError { errno: errno::ENOENT | errno::EOPNOTSUPP | errno::EAFNOSUPPORT, .. }) => Ok(false),
        Err(error) => Err(FibError::Refused(error)),
    }
}

/// Whether the kernel does not know the object that a route was to name. It has no number of its own for that.
fn is_about_object(result: &Result<(), RouteError>) -> bool {
    const WORDS: &str = "Nexthop id does not exist";
    result.as_ref().is_err_and(|error| error.errno == errno::EINVAL && error.text.contains(WORDS))
}

impl Fib for Netlink {
    fn write(
        &mut self,
        operations: &[FibOp],
        results: &mut Vec<Result<(), RouteError>>,
    ) -> Result<(), FibError> {
        let base = results.len();
        while let Some(rest) = operations.get(results.len() - base..).filter(|rest| !rest.is_empty()) {
            let size = rest.len().min(self.batch());
            self.provide(&rest[..size])?;
            self.send_some(&rest[..size], results)?;
        }
        if self.sharing && results.iter().skip(base).any(is_about_object) {
            self.write_again(operations, &mut results[base..])?;
        }
        let done = operations.iter().zip(&results[base..]).filter(|(_, result)| result.is_ok());
        self.objects.wrote(done.map(|(operation, _)| operation));
        Ok(())
    }

    fn dump(&mut self, scope: DumpScope, found: &mut dyn FnMut(Found)) -> Result<(), FibError> {
        self.look_at_objects()?;
        let own = self.own.clone();
        let protocol = if scope == DumpScope::Own && own.former.is_empty() { own.protocol } else { 0 };
        let (mut used, mut elders, mut routes) = (HashSet::new(), HashMap::new(), 0);
        for &table in own.tables.iter() {
            for family in [AddressFamily::Inet, AddressFamily::Inet6] {
                for _ in 0..DUMP_TRIES {
                    let mut ours = 0;
                    let inconsistent =
                        self.dump_routes(family, table, protocol, &mut |payload, objects| {
                            used.extend(decode::object(payload));
                            if let Some(seen) = own.seen(payload, scope, objects) {
                                elders.extend(own.elder(payload).map(|elder| (seen.key, elder)));
                                ours += usize::from(seen.protocol == own.protocol);
                                found(seen);
                            }
                        })?;
                    if !inconsistent {
                        routes += ours;
                        break;
                    }
                }
            }
        }
        self.elders = elders;
        self.objects.saw_routes(routes);
        self.look_for_unused(used)
    }

    fn tidy(&mut self) -> Result<bool, FibError> {
        let (condemned, more) = self.objects.condemned();
        let Some(last) = condemned.len().checked_sub(1) else { return Ok(false) };
        let first = self.sequence.wrapping_add(1);
        self.out.clear();
        for (at, id) in condemned.iter().enumerate() {
            let sequence = self.next_sequence();
            objects::remove(&mut self.out, *id, sequence, at == last);
        }
        self.requests.send(&self.out)?;
        // One that is gone is as good as removed; another refusal shows again at the next look.
        self.collect(first, self.sequence, &mut [])?;
        Ok(more)
    }

    fn lookup(&mut self, gateway: IpAddr) -> Result<Lookup, FibError> {
        let sequence = self.next_sequence();
        ask(&mut self.requests, &self.own, &mut self.out, sequence, gateway)
    }

    fn lookup_beneath(&mut self, gateways: &[IpAddr]) -> Result<Option<Vec<Lookup>>, FibError> {
        let mut beneath: Vec<Beneath> = gateways.iter().map(|gateway| Beneath::new(*gateway)).collect();
        let own = self.own.clone();
        let ways = own.ways;
        for (family, ipv6) in [(AddressFamily::Inet, false), (AddressFamily::Inet6, true)] {
            if beneath.iter().any(|one| one.gateway.is_ipv6() == ipv6) {
                self.dump_routes(family, ways, 0, &mut |payload, _| {
                    let Some(route) = decode::outline(payload) else { return };
                    if route.plain && route.key.table == ways && !own.is_ours(route.protocol) {
                        beneath.iter_mut().for_each(|one| one.see(&own, &route.key, payload));
                    }
                })?;
            }
        }
        Ok(Some(beneath.into_iter().map(Beneath::lookup).collect()))
    }

    fn probe(&self) -> Option<Box<dyn Probe>> {
        // Without a second socket the follower's own answers have to do; they come a moment later.
        let requests = Channel::requests(SMALL_BUFFER).ok()?;
        Some(Box::new(Asker { own: self.own.clone(), requests, sequence: 0, out: Vec::new() }))
    }

    fn device_index(&mut self, name: &str) -> Result<Option<u32>, FibError> {
        index_of(&self.requests, &name.into())
    }

    fn device_name(&mut self, index: u32) -> Result<Option<String>, FibError> {
        // One that is gone has no name, and nothing else can be wrong with it.
        Ok(rustix::net::netdevice::index_to_name(&self.requests, index).ok())
    }

    fn reconfigure(&mut self, config: &KernelConfig) -> Result<(), FibError> {
        let own = Own { former: std::mem::take(&mut self.own.former), ..Own::new(config) };
        let former = std::mem::replace(&mut self.own, own).protocol;
        if former != config.protocol {
            self.own.former.push(former);
            self.own.former.retain(|former| *former != config.protocol);
        } else if self.elders.is_empty() {
            // Nothing of ours stands under them any more: what does from now on is another's.
            self.own.former.clear();
        }
        self.objects.reconfigure(self.own.protocol, &self.own.former);
        self.sharing = self.has_objects && config.nexthop_objects;
        Ok(())
    }

    fn poll_event(&mut self) -> Result<Option<FibEvent>, FibError> {
        while self.pending.is_empty() {
            let port = self.requests.port;
            let (tables, protocol) = (&self.own.tables, self.own.protocol);
            let Some(messages) = self.events.receive()? else { return Ok(None) };
            let foreign = messages.filter(|(header, _)| header.port_number != port);
            self.pending.extend(
                foreign.filter_map(|(header, payload)| decode::event(&header, payload, tables, protocol)),
            );
        }
        Ok(self.pending.pop_front())
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<(), FibError> {
        wait_for(&self.events, &self.wake, timeout)
    }

    fn waker(&self) -> Waker {
        waker_of(&self.wake)
    }

    fn batch(&self) -> usize {
        if self.requests.roomy { BATCH } else { SMALL_BATCH }
    }
}
