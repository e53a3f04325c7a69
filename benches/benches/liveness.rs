//! Liveness beside work: how late the speaker's keepalives go out while it reflects a whole table to all clients again and
//! again, and how soon many sessions come up.
//!
//! `cargo bench -p benches --bench liveness` takes 200 clients and a table of 200,000 prefixes, and ends once more than 5,000
//! keepalives have gone out; `-- clients=1000 prefixes=0` measures sessions alone. Hold times are 3 s, the shortest there
//! are, so that each session owes a keepalive every second. The clients read everything and run on a thread of their own,
//! which shares the machine with the speaker: figures are those of a machine at work. Lateness is from the moment at which a
//! keepalive is due to that at which the socket has taken it.
#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use benches::tables::{AS, feed};
use bgp_speaker::{PeerClass, RangeConfig, RouterId, Speaker};
use bgp_wire::{Capability, Family, Open, keepalive};
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Builder;

/// As short as a hold time may be (RFC 4271 §4.2).
const HOLD: u16 = 3;
/// Clients speak seldom enough that the speaker's own timers send its keepalives, and not the answers to theirs.
const CLIENT_KEEPALIVE: Duration = Duration::from_secs(2);
/// A run that has not come to its keepalives by then will not.
const LIMIT: Duration = Duration::from_secs(600);
/// How often the clock looks whether all sessions are up.
const LOOK: Duration = Duration::from_millis(2);

/// What is asked for on the command line, as `name=number`.
struct Asked {
    clients: usize,
    prefixes: usize,
    keepalives: u64,
}

impl Asked {
    fn of(arguments: impl Iterator<Item = String>) -> Self {
        let mut asked = Self { clients: 200, prefixes: 200_000, keepalives: 5_000 };
        for argument in arguments {
            let Some((name, Ok(number))) =
                argument.split_once('=').map(|(name, n)| (name, n.parse::<usize>()))
            else {
                continue;
            };
            match name {
                "clients" => asked.clients = number.clamp(1, 60_000),
                "prefixes" => asked.prefixes = number,
                "keepalives" => asked.keepalives = number as u64,
                _ => println!("{name} is not known: clients, prefixes, keepalives are"),
            }
        }
        asked
    }
}

fn main() -> io::Result<()> {
    let asked = Asked::of(std::env::args().skip(1));
    let speaker = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    speaker.block_on(measure(asked))
}

async fn measure(asked: Asked) -> io::Result<()> {
    let host = |n: usize| Ipv4Addr::from(0x7f40_0000 + n as u32);
    let (us, feeder, first) = (host(1), host(2), host(3));
    let mut range = RangeConfig::new("127.64.0.0/16".parse().expect("a prefix"), AS).reflector_clients();
    range.class = PeerClass::ReflectorClient;
    range.limit = asked.clients + 1;
    range.options.timers.hold_time = Duration::from_secs(HOLD.into());
    let speaker = Speaker::builder(AS, RouterId(1)).listen((us, 0).into()).listen_range(range).start().await;
    let speaker = speaker.map_err(io::Error::other)?;
    let at = *speaker.status().listen.first().expect("it listens where it was told to");

    let (read, told) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let begun = Instant::now();
    let (heard, passes) = (read.clone(), told.clone());
    std::thread::spawn(move || {
        let generator = Builder::new_current_thread().enable_all().build()?;
        generator.block_on(async move {
            for n in 0..asked.clients {
                let from = Ipv4Addr::from(u32::from(first) + n as u32);
                tokio::spawn(client(from.into(), at, heard.clone()));
            }
            feed_for_ever(feeder.into(), at, asked.prefixes, asked.clients, &heard, &passes).await
        })
    });
    while speaker.status().established() <= asked.clients {
        give_up(begun)?;
        tokio::time::sleep(LOOK).await;
    }
    println!("{} sessions up after {:.2} s", asked.clients + 1, begun.elapsed().as_secs_f64());

    let (begun, before) = (Instant::now(), read.load(Ordering::Relaxed));
    while speaker.status().keepalive_lateness.keepalives <= asked.keepalives {
        give_up(begun)?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (status, elapsed) = (speaker.status(), begun.elapsed().as_secs_f64());
    let mib = (read.load(Ordering::Relaxed) - before) as f64 / f64::from(1 << 20);
    let passes = told.load(Ordering::Relaxed);
    println!(
        "{} prefixes told {passes} times to {} clients: {:.0} MiB/s for {elapsed:.0} s",
        asked.prefixes,
        asked.clients,
        mib / elapsed
    );
    let late = status.keepalive_lateness;
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    println!(
        "{} keepalives late by {:.2} ms (p50), {:.2} ms (p99.9), {:.2} ms (max)",
        late.keepalives,
        ms(late.median),
        ms(late.p999),
        ms(late.max)
    );
    let lost: u64 = status.peers.iter().map(|peer| peer.established.saturating_sub(1)).sum();
    println!("{lost} sessions were lost, {} are up", status.established());
    Ok(())
}

fn give_up(begun: Instant) -> io::Result<()> {
    if begun.elapsed() < LIMIT { Ok(()) } else { Err(io::Error::other("not within ten minutes")) }
}

async fn connect(from: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(from, 0))?;
    let mut stream = socket.connect(to).await?;
    let IpAddr::V4(id) = from else { return Err(io::Error::other("of IPv4")) };
    let mut open = Open::new(AS, HOLD, id.into());
    open.capabilities.push(Capability::Multiprotocol(Family::IPV4_UNICAST));
    let mut hello = BytesMut::new();
    open.encode(&mut hello);
    hello.extend_from_slice(keepalive());
    stream.write_all(&hello).await?;
    Ok(stream)
}

/// Reads all that it is sent, and says now and then that it lives.
async fn client(from: IpAddr, to: SocketAddr, heard: Arc<AtomicU64>) -> io::Result<()> {
    let mut stream = connect(from, to).await?;
    let mut buffer = vec![0; 64 * 1024];
    let mut due = tokio::time::interval(CLIENT_KEEPALIVE);
    loop {
        tokio::select! {
            read = stream.read(&mut buffer) => match read? {
                0 => return Ok(()),
                octets => _ = heard.fetch_add(octets as u64, Ordering::Relaxed),
            },
            _ = due.tick() => stream.write_all(keepalive()).await?,
        }
    }
}

/// Tells a whole table, and then another one of the same prefixes, as soon as all clients have read the one before.
async fn feed_for_ever(
    from: IpAddr,
    to: SocketAddr,
    prefixes: usize,
    clients: usize,
    heard: &AtomicU64,
    passes: &AtomicU64,
) -> io::Result<()> {
    let tables = [feed(prefixes, 0), feed(prefixes, 1)];
    let size = |table: &[BytesMut]| table.iter().map(BytesMut::len).sum::<usize>() as u64;
    let (mut reading, mut writing) = connect(from, to).await?.into_split();
    tokio::spawn(async move { tokio::io::copy(&mut reading, &mut tokio::io::sink()).await });
    let mut due = tokio::time::interval(CLIENT_KEEPALIVE);
    for table in tables.iter().cycle() {
        // What is reflected has ORIGINATOR_ID and CLUSTER_LIST more, and prefixes of one attribute set go together: about as
        // much in all, of which half is enough to say that the clients keep up.
        let enough = heard.load(Ordering::Relaxed) + size(table) * clients as u64 / 2;
        for messages in table.chunks(64) {
            for message in messages {
                writing.write_all(message).await?;
            }
            tokio::select! {
                biased;
                _ = due.tick() => writing.write_all(keepalive()).await?,
                () = std::future::ready(()) => {}
            }
            tokio::task::yield_now().await;
        }
        passes.fetch_add(1, Ordering::Relaxed);
        while table.is_empty() || heard.load(Ordering::Relaxed) < enough {
            due.tick().await;
            writing.write_all(keepalive()).await?;
        }
    }
    Ok(())
}
