//! A scripted speaker that helps others restart (RFC 4724 §4.2): it keeps what it was told when a session ends without a
//! word, calls again at once, and writes down whatever it would have had to take out of a forwarding table.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::message::{self, Attributes, NOTIFICATION, UPDATE, Update};
use super::{Identity, read};

/// Seconds for which others keep the helper's own routes.
const RESTART_TIME: u16 = 120;
/// Between two calls: a router's own connect retry, hurried.
const PAUSE: Duration = Duration::from_millis(100);
/// Between two bursts of changes, and how many routes change in one: a thousand a second.
const BURST: Duration = Duration::from_millis(20);
const BURST_OF: usize = 20;

/// A router beside the speakers under test. It ends with its drop.
pub(crate) struct Helper {
    ledger: Arc<Mutex<Ledger>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What a helper saw, over all sessions.
#[derive(Default)]
pub(crate) struct Ledger {
    /// Routes that it holds, and the number of the session that told them last.
    routes: BTreeMap<String, u32>,
    /// Times at which sessions came up; the present one is the last.
    sessions: Vec<Session>,
    stream: Option<TcpStream>,
    /// What was withdrawn, or had not been told again at End-of-RIB.
    lost: Vec<String>,
    up: bool,
}

struct Session {
    established: Instant,
    told: BTreeMap<String, Duration>,
    ended: BTreeSet<bool>,
}

/// What a helper announces.
#[derive(Clone, Default)]
pub(crate) struct Load {
    /// Routes that stay as they are.
    pub(crate) steady: Vec<String>,
    /// Routes whose attributes change all the time.
    pub(crate) restless: Vec<String>,
    pub(crate) as_path: Vec<u32>,
}

impl Helper {
    /// Calls, and calls again whenever the session has ended.
    pub(crate) fn start(identity: Identity, load: Load) -> Self {
        let (ledger, over) = (Arc::<Mutex<Ledger>>::default(), Arc::<AtomicBool>::default());
        let thread = {
            let (ledger, over) = (Arc::clone(&ledger), Arc::clone(&over));
            thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    if let Ok(stream) = identity.establish_with(&open(&identity)) {
                        session(stream, &identity, &load, &ledger, &over);
                    }
                    thread::sleep(PAUSE);
                }
            })
        };
        Self { ledger, over, thread: Some(thread) }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many sessions there have been, if the present one is up.
    pub(crate) fn sessions(&self) -> Option<usize> {
        let ledger = self.ledger();
        ledger.up.then_some(ledger.sessions.len())
    }

    /// How many sessions there have been, up or not.
    pub(crate) fn begun(&self) -> usize {
        self.ledger().sessions.len()
    }

    /// Whether every one of these was told in the present session, and how long after it came up the last one was.
    pub(crate) fn has<S: AsRef<str>>(&self, prefixes: &[S]) -> Result<Duration, String> {
        let ledger = self.ledger();
        let session = ledger.sessions.last().filter(|_| ledger.up).ok_or("no session")?;
        let mut last = Duration::ZERO;
        for prefix in prefixes.iter().map(AsRef::as_ref) {
            last = last.max(*session.told.get(prefix).ok_or_else(|| format!("{prefix} is not told yet"))?);
        }
        Ok(last)
    }

    /// Whether the present session has told End-of-RIB for so many families.
    pub(crate) fn has_all(&self, families: usize) -> Result<(), String> {
        let ledger = self.ledger();
        let session = ledger.sessions.last().filter(|_| ledger.up).ok_or("no session")?;
        if session.ended.len() == families { Ok(()) } else { Err(format!("End-of-RIB: {:?}", session.ended)) }
    }

    /// What it had to let go.
    pub(crate) fn lost(&self) -> Vec<String> {
        self.ledger().lost.clone()
    }

    pub(crate) fn holds(&self) -> usize {
        self.ledger().routes.len()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(stream) = self.ledger().stream.take() {
            stream.shutdown(Shutdown::Both).ok();
        }
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// OPEN with graceful restart for both families, NOTIFICATIONs included (RFC 8538), forwarding kept.
fn open(identity: &Identity) -> Vec<u8> {
    let mut value = (0x4000 | RESTART_TIME).to_be_bytes().to_vec();
    value.extend([0, 1, 1, 0x80, 0, 2, 1, 0x80]);
    message::open_with(identity.asn, identity.hold_time, identity.local, &[(64, &value)])
}

/// One session from Established to its end.
fn session(
    mut stream: TcpStream,
    identity: &Identity,
    load: &Load,
    ledger: &Mutex<Ledger>,
    over: &AtomicBool,
) {
    let lock = || ledger.lock().unwrap_or_else(PoisonError::into_inner);
    let Ok(writer) = stream.try_clone() else { return };
    stream.set_read_timeout(Some(Duration::from_secs(3600))).ok();
    {
        let mut ledger = lock();
        if over.load(Ordering::Relaxed) {
            return;
        }
        ledger.stream = stream.try_clone().ok();
        ledger.begin();
    }
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| tell(writer, identity, load, &ended));
        loop {
            match read(&mut stream) {
                Ok((UPDATE, body)) => match Update::parse(&body) {
                    Some(update) => lock().apply(&body, update),
                    None => break lock().lost.push(format!("an UPDATE that cannot be read: {body:02x?}")),
                },
                // Sessions that end with one keep their routes as well: both sides said so.
                Ok((NOTIFICATION, _)) | Err(_) => break,
                Ok(_) => {}
            }
        }
        lock().up = false;
        ended.store(true, Ordering::Relaxed);
        stream.shutdown(Shutdown::Both).ok();
    });
}

/// Tells everything, End-of-RIB, and then changes and keepalives until the session has ended.
fn tell(mut writer: TcpStream, identity: &Identity, load: &Load, ended: &AtomicBool) {
    let announce = |prefixes: &[String], med: u32| {
        let mut attributes = Attributes::plain(identity.local, load.as_path.clone());
        attributes.med = Some(med);
        prefixes.iter().flat_map(move |prefix| message::announce(&attributes, &[prefix])).collect::<Vec<u8>>()
    };
    let mut bytes = announce(&load.steady, 0);
    bytes.extend(announce(&load.restless, 0));
    bytes.extend(message::update(&[], &[], &[]));
    bytes.extend(message::end_of_rib_ipv6());
    let (mut med, mut kept_alive) = (0, Instant::now());
    while writer.write_all(&bytes).is_ok() && !ended.load(Ordering::Relaxed) {
        thread::sleep(BURST);
        bytes.clear();
        for burst in load
            .restless
            .chunks(BURST_OF)
            .skip(med as usize % load.restless.len().div_ceil(BURST_OF).max(1))
            .take(1)
        {
            bytes.extend(announce(burst, med));
        }
        med += 1;
        if kept_alive.elapsed() > Duration::from_secs(u64::from(identity.hold_time) / 3) {
            kept_alive = Instant::now();
            bytes.extend(message::keepalive());
        }
    }
    writer.shutdown(Shutdown::Both).ok();
}

impl Ledger {
    fn begin(&mut self) {
        self.up = true;
        self.sessions.push(Session {
            established: Instant::now(),
            told: BTreeMap::new(),
            ended: BTreeSet::new(),
        });
    }

    fn apply(&mut self, body: &[u8], update: Update) {
        let number = self.sessions.len() as u32;
        let Some(session) = self.sessions.last_mut() else { return };
        if let Some(v6) = message::is_end_of_rib(body) {
            session.ended.insert(v6);
            let stale = |(prefix, told): (&String, &u32)| {
                (prefix.contains(':') == v6 && *told != number).then(|| prefix.clone())
            };
            let stale: Vec<String> = self.routes.iter().filter_map(stale).collect();
            for prefix in stale {
                self.routes.remove(&prefix);
                self.lost.push(format!("{prefix} was not told again"));
            }
            return;
        }
        for prefix in update.withdrawn {
            if self.routes.remove(&prefix).is_some() {
                self.lost.push(format!("{prefix} was withdrawn"));
            }
        }
        let after = session.established.elapsed();
        for (prefix, _) in update.announced {
            session.told.entry(prefix.clone()).or_insert(after);
            self.routes.insert(prefix, number);
        }
    }
}
