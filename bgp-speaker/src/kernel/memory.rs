//! A forwarding table in memory that behaves as Linux does, for tests and for trying things out.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipnet::IpNet;

use super::config::KernelConfig;
use super::error::{FibError, RouteError, errno};
use super::fib::{DumpScope, Fib, FibEvent, FibOp, Found, Lookup, Probe, Signal, Waker};
use super::route::{KernelAction, KernelHop, RouteKey};

/// A forwarding table in memory. Clones are views of the same table, so a test keeps one and gives one away.
#[derive(Clone, Debug)]
pub struct MemoryFib {
    protocol: u8,
    /// Protocols that its owner had before.
    former: Vec<u8>,
    state: Arc<Mutex<State>>,
    signal: Signal,
}

#[derive(Debug, Default)]
struct State {
    routes: BTreeMap<RouteKey, Vec<(u8, KernelAction)>>,
    links: HashMap<String, u32>,
    next_hops: BTreeMap<IpNet, (u32, KernelHop)>,
    events: VecDeque<Result<FibEvent, ()>>,
    refusals: HashMap<IpNet, RouteError>,
    fail_write_after: Option<usize>,
    log: Vec<FibOp>,
    #[cfg(test)]
    dumps_beneath: usize,
}

impl State {
    fn name_of(&self, index: u32) -> Option<String> {
        self.links.iter().find(|(_, at)| **at == index).map(|(name, _)| name.clone())
    }

    fn lose(&mut self, device: u32) {
        self.routes.retain(|_, held| {
            held.retain(|(_, action)| match action {
                KernelAction::Unicast(legs) => !legs.iter().all(|leg| leg.device == device),
                _ => true,
            });
            !held.is_empty()
        });
    }
}

impl MemoryFib {
    /// An empty table whose owner has this protocol number.
    pub fn new(protocol: u8) -> Self {
        Self { protocol, former: Vec::new(), state: Arc::default(), signal: Signal::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connected network on interface `device`.
    pub fn connect(&self, network: IpNet, device: u32) {
        let leg = KernelHop { gateway: None, device, onlink: false, weight: 1 };
        self.state().next_hops.insert(network, (0, leg));
        self.tell(FibEvent::Address { index: device });
        self.tell_route(network, false);
    }

    /// A route of the system towards next hops, at this metric.
    pub fn lead(&self, network: IpNet, gateway: IpAddr, device: u32, metric: u32) {
        let leg = KernelHop { gateway: Some(gateway), device, onlink: false, weight: 1 };
        self.state().next_hops.insert(network, (metric, leg));
        self.tell_route(network, false);
    }

    /// Takes away what [`MemoryFib::connect`] or [`MemoryFib::lead`] gave, and without a word the IPv4 routes that
    /// used it, as Linux does when a link goes down.
    pub fn disconnect(&self, network: IpNet) {
        let mut state = self.state();
        let Some((_, gone)) = state.next_hops.remove(&network) else { return };
        state.lose(gone.device);
        drop(state);
        self.tell(FibEvent::Link { index: gone.device, name: None, up: false });
        self.tell_route(network, true);
    }

    /// A link loses its carrier or has it again. What leaves through it is lost without a word, as routes over nexthop
    /// objects are in Linux; the networks on it stay.
    pub fn carrier(&self, device: u32, up: bool) {
        if !up {
            self.state().lose(device);
        }
        self.tell(FibEvent::Link { index: device, name: None, up });
    }

    /// Gives an interface name an index.
    pub fn name_link(&self, name: &str, index: u32) {
        let mut state = self.state();
        state.links.retain(|_, at| *at != index);
        state.links.insert(name.into(), index);
        drop(state);
        self.tell(FibEvent::Link { index, name: Some(name.into()), up: true });
    }

    /// Another program's `ip route replace`: it takes the key whoever holds it.
    pub fn put_foreign(&self, key: RouteKey, protocol: u8, action: KernelAction) {
        self.state().routes.insert(key, vec![(protocol, action)]);
        self.tell(FibEvent::Route { key, protocol, our_table: true, removed: false });
    }

    /// Another program removes a route of that protocol.
    pub fn remove_foreign(&self, key: RouteKey, protocol: u8) {
        if let Some(held) = self.state().routes.get_mut(&key) {
            held.retain(|(owner, _)| *owner != protocol);
        }
        self.tell(FibEvent::Route { key, protocol, our_table: true, removed: true });
    }

    /// Every write for this prefix is refused from now on; `None` ends it.
    pub fn refuse(&self, prefix: IpNet, error: Option<RouteError>) {
        match error {
            Some(error) => drop(self.state().refusals.insert(prefix, error)),
            None => drop(self.state().refusals.remove(&prefix)),
        }
    }

    /// The next write loses its results after this many operations, though all are done.
    pub fn lose_results_after(&self, operations: usize) {
        self.state().fail_write_after = Some(operations);
    }

    /// Changes a route without any event, as after lost messages.
    pub fn drop_silently(&self, key: RouteKey) {
        self.state().routes.remove(&key);
    }

    /// The listener is told that events were lost.
    pub fn overrun(&self) {
        self.state().events.push_back(Err(()));
        self.signal.set();
    }

    /// Routes with their protocols, in order.
    pub fn routes(&self) -> Vec<(RouteKey, u8, KernelAction)> {
        let state = self.state();
        let flat = state.routes.iter().flat_map(|(key, held)| held.iter().map(move |held| (key, held)));
        flat.map(|(key, (protocol, action))| (*key, *protocol, action.clone())).collect()
    }

    /// The writes since the last call.
    pub fn take_log(&self) -> Vec<FibOp> {
        std::mem::take(&mut self.state().log)
    }

    /// How often it was asked what lies beneath routes of ours: in Linux each time costs a dump.
    #[cfg(test)]
    pub(super) fn dumps_beneath(&self) -> usize {
        self.state().dumps_beneath
    }

    /// Takes away what [`MemoryFib::lead`] gave and nothing else.
    pub fn lead_away(&self, network: IpNet) {
        self.state().next_hops.remove(&network);
        self.tell_route(network, true);
    }

    fn tell(&self, event: FibEvent) {
        self.state().events.push_back(Ok(event));
        self.signal.set();
    }

    fn tell_route(&self, prefix: IpNet, removed: bool) {
        let key = RouteKey { prefix, table: 254, metric: 0 };
        self.tell(FibEvent::Route { key, protocol: 2, our_table: false, removed });
    }
}

impl State {
    fn lookup(&self, gateway: IpAddr, beneath: bool) -> Lookup {
        // Legs are copied for the one that is found: every route is looked at.
        let system = self
            .next_hops
            .iter()
            .map(|(prefix, (metric, leg))| (*prefix, std::slice::from_ref(leg), *metric, false));
        let ours = self.routes.iter().flat_map(|(key, held)| {
            held.iter().filter_map(move |(_, action)| match action {
                KernelAction::Unicast(legs) => Some((key.prefix, &legs[..], key.metric, true)),
                _ => None,
            })
        });
        let best = system
            .chain(ours.filter(|_| !beneath))
            .filter(|(prefix, ..)| prefix.contains(&gateway))
            .max_by_key(|(prefix, ..)| prefix.prefix_len());
        match best {
            Some((prefix, legs, metric, ours)) => Lookup::Route { legs: legs.to_vec(), prefix, metric, ours },
            None => Lookup::Unreachable(RouteError::new(errno::ENETUNREACH, "")),
        }
    }

    fn apply(&mut self, protocol: u8, former: &[u8], operation: &FibOp) -> Result<(), RouteError> {
        if let Some(error) = self.refusals.get(&operation.key().prefix) {
            return Err(error.clone());
        }
        match operation {
            FibOp::Add(key, action) => {
                let held = self.routes.entry(*key).or_default();
                if !held.is_empty() {
                    return Err(RouteError::new(errno::EEXIST, ""));
                }
                held.push((protocol, action.clone()));
            }
            // As in Linux, whose it was makes no difference.
            FibOp::Replace(key, action) => {
                let held = self.routes.entry(*key).or_default();
                held.clear();
                held.push((protocol, action.clone()));
            }
            FibOp::Delete(key) | FibOp::DeleteLegs(key, _) => {
                let ours = |owner: u8| owner == protocol || former.contains(&owner);
                // In IPv4 no metric means any, the lowest first.
                let last = if key.metric == 0 && key.prefix.addr().is_ipv4() { u32::MAX } else { key.metric };
                let mut all = self.routes.range_mut(*key..=RouteKey { metric: last, ..*key });
                let found = all.find(|(_, held)| held.iter().any(|(owner, _)| ours(*owner)));
                if let Some((key, held)) = found {
                    held.retain(|(owner, _)| !ours(*owner));
                    let (key, empty) = (*key, held.is_empty());
                    if empty {
                        self.routes.remove(&key);
                    }
                }
            }
        }
        Ok(())
    }
}

impl Probe for MemoryFib {
    fn lookup(&mut self, gateway: IpAddr) -> Result<Lookup, FibError> {
        Ok(self.state().lookup(gateway, false))
    }

    fn device_name(&mut self, index: u32) -> Option<String> {
        self.state().name_of(index)
    }
}

impl Fib for MemoryFib {
    fn write(
        &mut self,
        operations: &[FibOp],
        results: &mut Vec<Result<(), RouteError>>,
    ) -> Result<(), FibError> {
        let mut state = self.state();
        let lost_after = state.fail_write_after.take();
        for (done, operation) in operations.iter().enumerate() {
            let result = state.apply(self.protocol, &self.former, operation);
            state.log.push(operation.clone());
            if lost_after.is_none_or(|after| done < after) {
                results.push(result);
            }
        }
        lost_after.map_or(Ok(()), |_| Err(FibError::Overrun))
    }

    fn dump(&mut self, scope: DumpScope, found: &mut dyn FnMut(Found)) -> Result<(), FibError> {
        for (key, protocol, action) in self.routes() {
            if self.former.contains(&protocol) {
                found(Found { key, protocol: self.protocol, action: KernelAction::Other });
            } else if scope == DumpScope::All || protocol == self.protocol {
                found(Found { key, protocol, action });
            }
        }
        Ok(())
    }

    fn lookup(&mut self, gateway: IpAddr) -> Result<Lookup, FibError> {
        Ok(self.state().lookup(gateway, false))
    }

    fn lookup_beneath(&mut self, gateways: &[IpAddr]) -> Result<Option<Vec<Lookup>>, FibError> {
        #[cfg(test)]
        {
            self.state().dumps_beneath += 1;
        }
        let state = self.state();
        Ok(Some(gateways.iter().map(|gateway| state.lookup(*gateway, true)).collect()))
    }

    fn probe(&self) -> Option<Box<dyn Probe>> {
        Some(Box::new(self.clone()))
    }

    fn device_index(&mut self, name: &str) -> Result<Option<u32>, FibError> {
        Ok(self.state().links.get(name).copied())
    }

    fn device_name(&mut self, index: u32) -> Result<Option<String>, FibError> {
        Ok(self.state().name_of(index))
    }

    fn reconfigure(&mut self, config: &KernelConfig) -> Result<(), FibError> {
        let before = std::mem::replace(&mut self.protocol, config.protocol);
        if before != config.protocol {
            self.former.push(before);
            self.former.retain(|former| *former != config.protocol);
        } else if self.routes().iter().all(|(_, protocol, _)| !self.former.contains(protocol)) {
            self.former.clear();
        }
        Ok(())
    }

    fn poll_event(&mut self) -> Result<Option<FibEvent>, FibError> {
        match self.state().events.pop_front() {
            Some(Ok(event)) => Ok(Some(event)),
            Some(Err(())) => Err(FibError::Overrun),
            None => Ok(None),
        }
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<(), FibError> {
        self.signal.wait(timeout);
        Ok(())
    }

    fn waker(&self) -> Waker {
        self.signal.waker()
    }
}
