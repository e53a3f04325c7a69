//! A reflector under load keeps every session.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{io::Write as _, net::TcpStream};

use super::{OUR_AS, record};
use crate::Scenario;
use crate::lab::{Lab, eventually};
use crate::ours::Reflector;
use crate::scripted::message::{self, Attributes, NOTIFICATION, UPDATE};
use crate::scripted::{Identity, read};

/// What a reflector has to do.
#[derive(Clone, Copy)]
struct Load {
    /// Routes that one client announces.
    routes: u32,
    /// Clients that they are reflected to.
    clients: u8,
    /// Seconds; a keepalive is due in each third of it.
    hold_time: u16,
}

/// As many clients as one rack has, at an everyday hold time.
const MANY: Load = Load { routes: 100_000, clients: 50, hold_time: 9 };
/// The shortest hold time there is (RFC 4271 §4.2), while the tables are busy for longer than that. `INTEROP_ROUTES` asks for
/// a table of another size.
const SHORT: Load = Load { routes: 200_000, clients: 12, hold_time: 3 };
/// Routes with the same attributes: what a node or a customer announces, so that packing is put to work but not
/// everything fits one message.
const ROUTES_OF_A_SET: u32 = 20;
/// Time for all of it on two slow cores with an unoptimised build.
const LIMIT: Duration = Duration::from_secs(120);

pub(super) fn scenarios() -> Vec<Scenario> {
    let asked = std::env::var("INTEROP_ROUTES").ok().and_then(|n| n.parse().ok());
    let short = Load { routes: asked.unwrap_or(SHORT.routes), ..SHORT };
    vec![
        Scenario::new("hundred_thousand_routes_to_fifty_clients", |lab| reflect(lab, MANY)).alone(),
        Scenario::new("a_full_table_to_clients_with_a_hold_time_of_three_seconds", move |lab| {
            reflect(lab, short);
        })
        .alone(),
    ]
}

/// What one receiving client has seen.
#[derive(Default)]
struct Tally {
    /// Which of the routes it has; one bit each.
    have: Mutex<Vec<bool>>,
    count: AtomicUsize,
    /// The longest silence between two messages.
    silence: Mutex<Duration>,
    failure: Mutex<Option<String>>,
}

fn reflect(lab: &Lab, load: Load) {
    let Load { routes, clients, hold_time } = load;
    let node = lab.node("rr", 1);
    let config = format!(
        "asn = {OUR_AS}\nrouter-id = \"10.9.0.1\"\nlisten = \"127.0.0.1:179\"\nhold-time = {hold_time}\n\
         control-socket = \"{}\"\n[[neighbor-range]]\nprefix = \"127.0.1.0/24\"\nasn = {OUR_AS}\n\
         route-reflector-client = true\n",
        lab.path(&node, "rr.sock").display()
    );
    let reflector = Reflector::start_with(lab, &node, &config);
    let identity = |host: u8| Identity {
        ns: node.ns.clone(),
        local: Ipv4Addr::new(127, 0, 1, host),
        remote: SocketAddr::from(([127, 0, 0, 1], 179)),
        asn: OUR_AS,
        hold_time,
    };
    let done = Arc::new(AtomicBool::new(false));
    let (receivers, threads): (Vec<_>, Vec<_>) = (1..=clients)
        .map(|host| {
            let tally = Arc::new(Tally::default());
            tally.have.lock().unwrap_or_else(PoisonError::into_inner).resize(routes as usize, false);
            let stream = identity(host).establish().unwrap_or_else(|error| panic!("client {host}: {error}"));
            let thread = receive(stream, Arc::clone(&tally), Arc::clone(&done));
            (tally, thread)
        })
        .unzip();

    let mut source = identity(200).establish().unwrap_or_else(|error| panic!("the source: {error}"));
    let keepalives = keep_alive(source.try_clone().expect("a socket can be shared"), Arc::clone(&done));
    announce_all(&mut source, routes);
    let everybody = |wanted: usize| {
        for (client, tally) in receivers.iter().enumerate() {
            if let Some(failure) = tally.failure.lock().unwrap_or_else(PoisonError::into_inner).clone() {
                return Err(format!("client {client} is lost: {failure}"));
            }
        }
        let counts = receivers.iter().map(|tally| tally.count.load(Ordering::Relaxed));
        let (least, most) = counts.fold((usize::MAX, 0), |(least, most), n| (least.min(n), most.max(n)));
        if (least, most) == (wanted, wanted) { Ok(()) } else { Err(format!("{least} to {most} routes")) }
    };
    eventually("every client has every route", LIMIT, || everybody(routes as usize));

    let status = reflector.status().expect("it answers under load");
    let peers = status["peers"].as_array().expect("a list of peers");
    assert_eq!(peers.len(), usize::from(clients) + 1, "one peer for each client");
    for peer in peers {
        assert!(peer["state"] == "Established" && peer["established"] == 1, "no session was lost: {peer}");
    }

    // A session that is lost under load would be lost now: two hold times later everybody is still there.
    thread::sleep(Duration::from_secs(2 * u64::from(hold_time)));
    everybody(routes as usize).expect("nobody was lost and nothing withdrawn");

    drop(source.shutdown(std::net::Shutdown::Both));
    eventually("every client has lost every route", LIMIT, || everybody(0));
    done.store(true, Ordering::Relaxed);
    for tally in &receivers {
        let silence = *tally.silence.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(
            silence < Duration::from_secs(hold_time.into()),
            "a keepalive was missed: silence for {silence:?}"
        );
    }
    let lateness = &status["keepalive-lateness"];
    record(&format!("{routes} routes to {clients} clients, hold time {hold_time} s: {lateness}"));
    // A third of the hold time is between two keepalives: as late again is still in time.
    let latest = Duration::from_micros(lateness["max-microseconds"].as_u64().expect("a time"));
    assert!(latest < Duration::from_secs(hold_time.into()) / 3, "keepalives wait for the tables: {lateness}");
    for thread in threads.into_iter().chain([keepalives]) {
        thread.join().expect("a client does not panic");
    }
}

/// Sends all routes: /24 networks, with a MED that tells the sets apart.
fn announce_all(source: &mut TcpStream, routes: u32) {
    let mut attributes = Attributes::plain(Ipv4Addr::new(10, 9, 0, 1), Vec::new());
    let mut batch = Vec::new();
    for first in (0..routes).step_by(ROUTES_OF_A_SET as usize) {
        attributes.med = Some(first);
        let prefixes: Vec<String> = (first..routes.min(first + ROUTES_OF_A_SET)).map(prefix).collect();
        let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
        batch.extend(message::announce(&attributes, &prefixes));
        if batch.len() > 1 << 16 {
            source.write_all(&batch).expect("the source's session is up");
            batch.clear();
        }
    }
    source.write_all(&batch).expect("the source's session is up");
}

fn prefix(index: u32) -> String {
    let [_, high, middle, low] = index.to_be_bytes();
    format!("{}.{middle}.{low}.0/24", 16 + high)
}

/// The number of the route that this prefix is.
fn index(prefix: &str) -> Option<usize> {
    let [first, middle, low, 0] = prefix.strip_suffix("/24")?.parse::<Ipv4Addr>().ok()?.octets() else {
        return None;
    };
    let index = u32::from_be_bytes([0, first.checked_sub(16)?, middle, low]);
    Some(index as usize)
}

fn receive(mut stream: TcpStream, tally: Arc<Tally>, done: Arc<AtomicBool>) -> JoinHandle<()> {
    let keepalives = keep_alive(stream.try_clone().expect("a socket can be shared"), Arc::clone(&done));
    thread::spawn(move || {
        let failure = loop {
            let before = Instant::now();
            let message = read(&mut stream);
            let mut silence = tally.silence.lock().unwrap_or_else(PoisonError::into_inner);
            *silence = silence.max(before.elapsed());
            drop(silence);
            match message {
                Ok((UPDATE, body)) => {
                    if let Err(failure) = tally.apply(&body) {
                        break failure;
                    }
                }
                Ok((NOTIFICATION, body)) => break format!("NOTIFICATION {body:?}"),
                Ok(_) if done.load(Ordering::Relaxed) => break String::new(),
                Ok(_) => {}
                Err(error) => break error.to_string(),
            }
        };
        tally.failure.lock().unwrap_or_else(PoisonError::into_inner).replace(failure);
        drop(stream.shutdown(std::net::Shutdown::Both));
        keepalives.join().expect("it only writes");
    })
}

/// A client's own keepalives, until the end.
fn keep_alive(mut stream: TcpStream, done: Arc<AtomicBool>) -> JoinHandle<()> {
    thread::spawn(move || {
        while !done.load(Ordering::Relaxed) && stream.write_all(&message::keepalive()).is_ok() {
            thread::sleep(Duration::from_secs(1));
        }
    })
}

impl Tally {
    fn apply(&self, body: &[u8]) -> Result<(), String> {
        let update = message::Update::parse(body).ok_or_else(|| format!("unreadable: {body:02x?}"))?;
        let mut have = self.have.lock().unwrap_or_else(PoisonError::into_inner);
        let announced = update.announced.iter().map(|(prefix, _)| (prefix, true));
        for (prefix, now) in update.withdrawn.iter().map(|prefix| (prefix, false)).chain(announced) {
            let index = index(prefix).filter(|index| *index < have.len());
            let index = index.ok_or_else(|| format!("{prefix} was never announced"))?;
            if now && update.attributes.med != Some(index as u32 / ROUTES_OF_A_SET * ROUTES_OF_A_SET) {
                return Err(format!("{prefix} with the attributes of another: {:?}", update.attributes));
            }
            match (have[index], now) {
                (false, true) => self.count.fetch_add(1, Ordering::Relaxed),
                (true, false) => self.count.fetch_sub(1, Ordering::Relaxed),
                _ => 0,
            };
            have[index] = now;
        }
        Ok(())
    }
}
