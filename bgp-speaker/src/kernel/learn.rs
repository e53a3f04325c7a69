//! Kernel routes of others, learned as originations: what an agent beside us (Felix, say) writes for its workloads.
//!
//! A thread reads the kernel's tables once and then hears of changes. It keeps what passes the filter, tells differences in
//! batches, and reads everything again when messages were lost, when a link or an address changed (IPv4 routes go with
//! those without a word) and at a slow pace. Routes of the kernel export are never among it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bgp_rib::policy::Glob;
use bgp_rib::preference;
use ipnet::IpNet;
use tokio::sync::mpsc;

use super::error::FibError;
use super::fib::Waker;
use super::netlink::{Alien, AlienEvent, Listener};
use super::route::{Protocols, RouteKey};

/// Changes in one batch: a batch of the tables or two.
const BATCH: usize = 512;
/// Batches that may wait; the thread waits as well then, and the kernel's queue holds what comes meanwhile.
const BATCHES: usize = 4;
/// Events taken before what they come to is told.
const EVENTS_PER_TURN: usize = 1024;
/// The pause after the way to the kernel failed, and the longest one after messages were lost: who changes routes faster
/// than they can be heard of shall not make us read all of them without end.
const RETRY: Duration = Duration::from_secs(1);
/// RTPROT_REDIRECT and RTPROT_KERNEL: the host's own networks and addresses.
const OF_THE_HOST: [u8; 2] = [1, 2];

/// Which kernel routes are originated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LearnConfig {
    /// Tables; default main alone.
    pub tables: Vec<u32>,
    /// Protocols; `None` = every one but the kernel's own (connected networks, redirects). Never that of the kernel export.
    pub protocols: Option<Vec<u8>>,
    /// Interfaces; `None` = all. A route over several is learned when one of them matches.
    pub interfaces: Option<Vec<Glob>>,
    /// Interfaces whose routes are left out, before `interfaces` is looked at; default none.
    pub ignored_interfaces: Vec<Glob>,
    /// Prefixes inside which routes are learned; `None` = everywhere.
    pub within: Option<Vec<IpNet>>,
    /// Whether only routes to what is on the link are learned (`scope link`: no gateway), as those of workloads are;
    /// default no.
    pub on_link_only: bool,
    /// Preference over routes of other sources; `None` = by whose they are: 240 for the kernel's own, connected networks
    /// mostly, and 10 for those of other programs, which routes of peers come before.
    pub preference: Option<u32>,
    /// Most routes: what is beyond is left out and counted; default 16,384, a hundred times what a full node has.
    pub limit: usize,
    /// How long link and address changes are gathered before the tables are read again; default 100 ms.
    pub debounce: Duration,
    /// How often the tables are read without any event; default 5 min, `None` = never.
    pub verify_interval: Option<Duration>,
}

impl Default for LearnConfig {
    fn default() -> Self {
        Self {
            tables: vec![254],
            protocols: None,
            interfaces: None,
            ignored_interfaces: Vec::new(),
            within: None,
            on_link_only: false,
            preference: None,
            limit: 16 * 1024,
            debounce: Duration::from_millis(100),
            verify_interval: Some(Duration::from_secs(300)),
        }
    }
}

impl LearnConfig {
    fn takes_protocol(&self, protocol: u8) -> bool {
        match &self.protocols {
            Some(protocols) => protocols.contains(&protocol),
            None => !OF_THE_HOST.contains(&protocol),
        }
    }

    fn preference_of(&self, protocol: u8) -> u32 {
        let usual = if OF_THE_HOST.contains(&protocol) { preference::DIRECT } else { preference::LEARNED };
        self.preference.unwrap_or(usual)
    }

    fn takes(&self, own: &Protocols, alien: &Alien, interfaces: &[Arc<str>]) -> bool {
        let among =
            |globs: &[Glob]| interfaces.iter().any(|name| globs.iter().any(|glob| glob.matches(name)));
        alien.unicast
            && !bgp_rib::is_martian(alien.key.prefix)
            && self.tables.contains(&alien.key.table)
            && !own.contains(alien.protocol)
            && self.takes_protocol(alien.protocol)
            && !among(&self.ignored_interfaces)
            && self.interfaces.as_ref().is_none_or(|globs| among(globs))
            && self.within.as_ref().is_none_or(|nets| nets.iter().any(|net| net.contains(&alien.key.prefix)))
            && (alien.on_link || !self.on_link_only)
    }
}

/// A kernel route that is originated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LearnedRoute {
    /// Destination.
    pub prefix: IpNet,
    /// Its metric in the kernel.
    pub metric: u32,
    /// Whose it is.
    pub protocol: u8,
    /// Its preference over routes of other sources.
    pub preference: u32,
    /// The interface that it leaves by, the first where there are several.
    pub interface: Option<Arc<str>>,
}

/// What changed about the kernel's routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LearnChange {
    /// New, or another than before.
    Set(LearnedRoute),
    /// Gone.
    Gone(IpNet),
}

/// A thread that learns. Dropping it ends the thread and waits for that.
#[derive(Debug)]
pub struct Learner {
    changes: mpsc::Receiver<Vec<LearnChange>>,
    stop: Arc<AtomicBool>,
    settings: Settings,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

/// Settings for the thread to take.
type Settings = Arc<Mutex<Option<LearnConfig>>>;

impl Learner {
    /// Starts; `own_protocol` is that of the kernel export.
    pub fn spawn(config: LearnConfig, own_protocol: Option<u8>) -> Result<Self, FibError> {
        let own = Protocols::default();
        own_protocol.into_iter().for_each(|protocol| own.insert(protocol));
        Self::spawn_beside(config, own)
    }

    /// The same beside a kernel export that may change its protocol.
    pub(crate) fn spawn_beside(config: LearnConfig, own: Protocols) -> Result<Self, FibError> {
        let listener = Listener::open(own.clone())?;
        let (waker, stop) = (listener.waker(), Arc::new(AtomicBool::new(false)));
        let (sender, changes) = mpsc::channel(BATCHES);
        let learning = Learning {
            config,
            settings: Settings::default(),
            own,
            listener,
            names: HashMap::new(),
            seen: BTreeMap::new(),
            told: BTreeMap::new(),
            touched: BTreeSet::new(),
            crowded: HashSet::new(),
            sender,
            left_out: 0,
        };
        let (stopped, settings) = (stop.clone(), learning.settings.clone());
        let thread = std::thread::Builder::new()
            .name("kernel-learn".into())
            .spawn(move || learning.run(&stopped))
            .map_err(|error| FibError::Io("starting the thread that learns kernel routes", error))?;
        Ok(Self { changes, stop, settings, waker, thread: Some(thread) })
    }

    /// Learns by other settings from now on; what differs is told.
    pub fn reconfigure(&self, config: LearnConfig) {
        // A value, whole after every statement.
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = Some(config);
        self.waker.wake();
    }

    /// The next batch of changes: first everything that there is, then what comes and goes. `None` once it has ended.
    pub async fn next(&mut self) -> Option<Vec<LearnChange>> {
        self.changes.recv().await
    }
}

impl Drop for Learner {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Wakes a thread that waits for room.
        self.changes.close();
        self.waker.wake();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that learns kernel routes panicked");
        }
    }
}

/// Routes that pass, of one prefix: by metric and table, the best first.
type Candidates = BTreeMap<(u32, u32), LearnedRoute>;

struct Learning {
    config: LearnConfig,
    settings: Settings,
    own: Protocols,
    listener: Listener,
    /// Interfaces by index, as last heard.
    names: HashMap<u32, Arc<str>>,
    seen: BTreeMap<IpNet, Candidates>,
    told: BTreeMap<IpNet, LearnedRoute>,
    /// Prefixes of which there may be something to tell.
    touched: BTreeSet<IpNet>,
    /// Keys under which there was more than one route since everything was read: what goes from there may not be the last.
    crowded: HashSet<RouteKey>,
    sender: mpsc::Sender<Vec<LearnChange>>,
    left_out: usize,
}

impl Learning {
    fn run(mut self, stop: &AtomicBool) {
        let mut read_at = Some(Instant::now());
        let mut after_loss = self.config.debounce;
        while !stop.load(Ordering::Acquire) {
            let now = Instant::now();
            if let Some(config) = self.settings.lock().unwrap_or_else(PoisonError::into_inner).take() {
                self.config = config;
                read_at = Some(now);
            }
            if read_at.is_some_and(|at| at <= now) {
                read_at = match self.read_all() {
                    Ok(()) => {
                        after_loss = (after_loss / 2).max(self.config.debounce);
                        self.config.verify_interval.map(|interval| now + interval)
                    }
                    Err(error) => {
                        tracing::warn!("learning kernel routes: {error}");
                        Some(now + RETRY)
                    }
                };
            }
            match self.hear() {
                Ok(false) => {}
                Ok(true) => {
                    let soon = Instant::now() + self.config.debounce;
                    read_at = Some(read_at.map_or(soon, |at| at.min(soon)));
                }
                Err(error) => {
                    tracing::warn!("learning kernel routes: {error}");
                    read_at = Some(Instant::now() + after_loss);
                    after_loss = (after_loss * 4).min(RETRY).max(self.config.debounce);
                }
            }
            if !self.tell() {
                return;
            }
            let timeout = read_at.map(|at| at.saturating_duration_since(Instant::now()));
            if let Err(error) = self.listener.wait(timeout) {
                tracing::warn!("learning kernel routes: {error}");
                std::thread::sleep(RETRY);
            }
        }
    }

    /// Everything anew. Names may be others by now.
    fn read_all(&mut self) -> Result<(), FibError> {
        self.names.clear();
        self.left_out = 0;
        let mut found = Vec::new();
        let config = &self.config;
        for &table in &config.tables {
            // What can be left out without knowing interfaces is not even kept: there may be a million of others.
            self.listener.dump(table, &mut |alien| {
                if config.takes_protocol(alien.protocol) {
                    found.push(alien);
                }
            })?;
        }
        self.touched.extend(self.told.keys().copied());
        self.seen.clear();
        self.crowded.clear();
        for alien in found {
            self.take(&alien);
        }
        Ok(())
    }

    /// Takes events; true when the tables have to be read again.
    fn hear(&mut self) -> Result<bool, FibError> {
        let mut again = false;
        for _ in 0..EVENTS_PER_TURN {
            match self.listener.poll()? {
                None => break,
                Some(AlienEvent::Link(index)) => again |= self.names.contains_key(&index),
                Some(AlienEvent::Added(alien)) => again |= self.take(&alien),
                Some(AlienEvent::Removed(alien)) => {
                    again |= self.lose(&alien);
                }
            }
        }
        Ok(again)
    }

    /// A route went; true when only reading tells what is left under its key.
    fn lose(&mut self, alien: &Alien) -> bool {
        let at = (alien.key.metric, alien.key.table);
        let Some(held) = self.seen.get_mut(&alien.key.prefix) else { return false };
        if held.get(&at).is_none_or(|route| route.protocol != alien.protocol) {
            return false;
        }
        // Another one of the same key may stand behind it, and a route of several legs goes leg by leg.
        if alien.several || self.crowded.contains(&alien.key) {
            return true;
        }
        held.remove(&at);
        self.touched.insert(alien.key.prefix);
        false
    }

    /// A route is there; true when only reading tells what else is under its key.
    fn take(&mut self, alien: &Alien) -> bool {
        let names: Vec<Arc<str>> = alien.devices.iter().filter_map(|index| self.name(*index)).collect();
        let at = (alien.key.metric, alien.key.table);
        let held = self.seen.get(&alien.key.prefix).is_some_and(|held| held.contains_key(&at));
        if held || alien.several {
            self.crowded.insert(alien.key);
        }
        if !self.config.takes(&self.own, alien, &names) {
            // It may have taken the place of the one that was, or stand beside it.
            return held;
        }
        self.touched.insert(alien.key.prefix);
        let route = LearnedRoute {
            prefix: alien.key.prefix,
            metric: alien.key.metric,
            protocol: alien.protocol,
            preference: self.config.preference_of(alien.protocol),
            interface: names.into_iter().next(),
        };
        self.seen.entry(route.prefix).or_default().insert(at, route);
        false
    }

    fn name(&mut self, index: u32) -> Option<Arc<str>> {
        if let Some(name) = self.names.get(&index) {
            return Some(name.clone());
        }
        let name: Arc<str> = self.listener.device_name(index)?.into();
        self.names.insert(index, name.clone());
        Some(name)
    }

    /// One that finds no room is looked at again when everything is read.
    fn leave_out(&mut self) {
        if self.left_out == 0 {
            tracing::warn!(limit = self.config.limit, "more kernel routes than may be learned");
        }
        self.left_out += 1;
    }

    /// Tells what differs from what was told; false when nobody listens any more.
    fn tell(&mut self) -> bool {
        let mut changes: Vec<LearnChange> = Vec::new();
        let (mut waiting, touched) = (Vec::new(), std::mem::take(&mut self.touched));
        for prefix in touched {
            if self.seen.get(&prefix).is_some_and(Candidates::is_empty) {
                self.seen.remove(&prefix);
            }
            match self.seen.get(&prefix).and_then(|held| held.values().next()) {
                None if self.told.remove(&prefix).is_some() => changes.push(LearnChange::Gone(prefix)),
                Some(best) if self.told.get(&prefix) != Some(best) => waiting.push(best.clone()),
                _ => {}
            }
        }
        // What goes makes room first.
        for best in waiting {
            if self.told.len() >= self.config.limit && !self.told.contains_key(&best.prefix) {
                self.leave_out();
                continue;
            }
            self.told.insert(best.prefix, best.clone());
            changes.push(LearnChange::Set(best));
        }
        let mut changes = changes.into_iter().peekable();
        while changes.peek().is_some() {
            if self.sender.blocking_send(changes.by_ref().take(BATCH).collect()).is_err() {
                return false;
            }
        }
        true
    }
}
