//! Everything that a speaker starts ends with it: tasks, threads and file descriptors are counted, one story at a time, in a
//! process that does nothing else.

#![allow(clippy::unwrap_used, reason = "a test may fail by panic; clippy does not see that this is one")]

#[path = "../quick/mod.rs"]
mod quick;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use bgp_speaker::kernel::{KernelConfig, LearnConfig, MemoryFib};
use bgp_speaker::{
    Asn, Builder, Desired, KernelExport, OwnerId, PeerConfig, Route, RouterId, ShutdownMode, Speaker,
};
use libtest_mimic::{Arguments, Trial};
use tokio::runtime::{Handle, Runtime};

use quick::quick;

/// How long an end may take: sessions have three seconds for their last words.
const PATIENCE: Duration = Duration::from_secs(20);
const ASN: Asn = Asn(65000);
const OWNER: OwnerId = OwnerId(1);

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn count(directory: &str) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}

/// Threads and descriptors of this process.
fn held() -> (usize, usize) {
    (count("/proc/self/task"), count("/proc/self/fd"))
}

/// Names of the threads.
fn threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok()).collect()
}

fn sockets() -> usize {
    let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let links = links.filter_map(|fd| std::fs::read_link(fd.path()).ok());
    links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
}

/// Waits until it holds, in words what is there instead.
fn await_that(what: &str, mut holds: impl FnMut() -> Result<(), String>) {
    let start = Instant::now();
    while let Err(words) = holds() {
        assert!(start.elapsed() < PATIENCE, "waited for {what}; at the end: {words}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Plays a story in a runtime of its own, and looks that nothing is left: no task when it has ended, nor a thread or socket of
/// a speaker, and nothing at all once the runtime has ended too.
fn leaves_nothing<F: Future<Output = ()>>(story: impl FnOnce() -> F) {
    let before = held();
    let runtime = runtime();
    let sockets_before = sockets();
    runtime.block_on(story());
    let metrics = runtime.metrics();
    await_that("no task", || match metrics.num_alive_tasks() {
        0 => Ok(()),
        tasks => Err(format!("{tasks} tasks")),
    });
    await_that("no thread of a speaker", || match threads() {
        threads if threads.iter().any(|name| name.starts_with("kernel-")) => Err(format!("{threads:?}")),
        _ => Ok(()),
    });
    await_that("no socket", || match sockets() {
        sockets if sockets <= sockets_before => Ok(()),
        sockets => Err(format!("{sockets} and not {sockets_before}")),
    });
    // Which keeps what the runtime waits with.
    drop(metrics);
    drop(runtime);
    await_that("what there was before", || match held() {
        now if now == before => Ok(()),
        now => Err(format!("{now:?} and not {before:?}: {:?}", threads())),
    });
}

fn net(text: &str) -> ipnet::IpNet {
    text.parse().unwrap()
}

fn fib() -> MemoryFib {
    let fib = MemoryFib::new(186);
    fib.connect(net("127.0.0.0/8"), 1);
    fib
}

/// A speaker with everything that one can have, where the system lets it.
fn builder(last: u8, fib: &MemoryFib) -> Builder {
    let own = Ipv4Addr::new(127, 60, 0, last);
    let builder = Speaker::builder(ASN, RouterId::from(own))
        .listen(SocketAddr::new(own.into(), 0))
        .announce(OWNER, [Route::new(net(&format!("10.{last}.0.0/16")))])
        .fib(KernelConfig::default(), fib.clone());
    if cfg!(target_os = "linux") { builder.learn(LearnConfig::default()) } else { builder }
}

/// Two of them with a session, and routes in the tables of both.
async fn pair() -> (Speaker, Speaker, MemoryFib) {
    let fib = fib();
    let (a, b) = (builder(1, &fib).start().await.unwrap(), builder(2, &self::fib()).start().await.unwrap());
    let peer = |of: &Speaker| {
        let at = of.status().listen[0];
        let mut peer = PeerConfig::new(at.ip(), ASN).port(at.port());
        peer.options = quick();
        peer
    };
    a.add_peer(peer(&b).passive()).await.unwrap();
    b.add_peer(peer(&a)).await.unwrap();
    // One that is never there: its task is between attempts.
    b.add_peer(PeerConfig::new(Ipv4Addr::new(127, 60, 0, 99).into(), ASN).port(1)).await.unwrap();
    let start = Instant::now();
    while a.status().established() + b.status().established() < 2 || fib.routes().is_empty() {
        assert!(start.elapsed() < PATIENCE, "no session: {:?}", a.status().peers);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    (a, b, fib)
}

fn the_last_handle_is_dropped() {
    leaves_nothing(|| async {
        let (a, b, _) = pair().await;
        let (subscription, events) = (a.subscribe(), a.events());
        #[cfg(feature = "metrics")]
        let metrics = bgp_speaker::metrics::SpeakerMetrics::new(&a);
        let other = a.clone();
        drop((a, b));
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(Handle::current().metrics().num_alive_tasks() > 0, "a clone is left");
        drop(other);
        // What follows a speaker does not keep it.
        let mut routes = subscription;
        while tokio::time::timeout(PATIENCE, routes.next()).await.expect("it ends").is_some() {}
        let mut events = events;
        while tokio::time::timeout(PATIENCE, events.next()).await.expect("they end").is_some() {}
        #[cfg(feature = "metrics")]
        drop(metrics);
    });
}

fn it_is_shut_down() {
    for mode in [ShutdownMode::Restart, ShutdownMode::HardReset, ShutdownMode::Admin { text: "bye".into() }] {
        leaves_nothing(|| async move {
            let (a, b, fib) = pair().await;
            a.shutdown(mode).await;
            assert!(!fib.routes().is_empty(), "routes outlive the process");
            b.shutdown(ShutdownMode::Restart).await;
        });
    }
}

/// Begins a call, and gives it up after so many looks at it.
async fn give_up<T>(call: impl Future<Output = T>, looks: usize) {
    let mut call = pin!(call);
    for _ in 0..looks {
        if call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

fn calls_are_given_up_in_the_middle() {
    leaves_nothing(|| async {
        for looks in [1, 2, 3, 5, 10] {
            let (a, b, _) = pair().await;
            let desired = Desired {
                peers: vec![PeerConfig::new(Ipv4Addr::new(127, 60, 0, 98).into(), ASN)],
                listen: Some(vec!["127.60.0.3:0".parse().unwrap()]),
                kernel: Some(KernelExport::On(KernelConfig { table: 100, ..KernelConfig::default() })),
                routes: BTreeMap::from([(OWNER, vec![Route::new(net("10.7.0.0/16"))])]),
                ..Desired::default()
            };
            give_up(a.apply(desired), looks).await;
            give_up(b.shutdown(ShutdownMode::Restart), looks).await;
        }
    });
}

fn the_start_is_given_up_in_the_middle() {
    leaves_nothing(|| async {
        let busy = std::net::TcpListener::bind("127.60.0.4:0").unwrap();
        let refused = builder(1, &fib()).listen(busy.local_addr().unwrap()).start().await;
        assert!(refused.is_err());
        for looks in [1, 2, 3, 5, 10, 100] {
            give_up(builder(1, &fib()).start(), looks).await;
        }
    });
}

fn the_runtime_ends_first() {
    let before = held();
    let runtime = runtime();
    let speakers = runtime.block_on(pair());
    let subscription = speakers.0.subscribe();
    let mut events = speakers.0.events();
    drop(runtime);
    let other = self::runtime();
    let ends = async { while events.next().await.is_some() {} };
    other
        .block_on(async { tokio::time::timeout(PATIENCE, ends).await.expect("events end with the speaker") });
    drop((other, events));
    drop((speakers, subscription));
    await_that("what there was before", || match held() {
        now if now == before => Ok(()),
        now => Err(format!("{now:?} and not {before:?}: {:?}", threads())),
    });
}

fn one_of_several_ends_and_the_others_do_not_notice() {
    leaves_nothing(|| async {
        let (a, b, fib) = pair().await;
        let third = builder(3, &self::fib()).start().await.unwrap();
        third.announce(OWNER, [Route::new(net("10.33.0.0/16"))]).await.unwrap();
        let since = a.status().peers[0].since;
        third.shutdown(ShutdownMode::HardReset).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!((a.status().established(), a.status().peers[0].since), (1, since));
        assert_eq!(a.status().table.prefixes, b.status().table.prefixes);
        assert!(fib.routes().iter().all(|(key, ..)| key.prefix != net("10.33.0.0/16")));
    });
}

fn main() {
    let mut arguments = Arguments::from_args();
    // What is counted is the whole process.
    arguments.test_threads = Some(1);
    let stories: [(&str, fn()); 6] = [
        ("the_last_handle_is_dropped", the_last_handle_is_dropped),
        ("it_is_shut_down", it_is_shut_down),
        ("calls_are_given_up_in_the_middle", calls_are_given_up_in_the_middle),
        ("the_start_is_given_up_in_the_middle", the_start_is_given_up_in_the_middle),
        ("the_runtime_ends_first", the_runtime_ends_first),
        (
            "one_of_several_ends_and_the_others_do_not_notice",
            one_of_several_ends_and_the_others_do_not_notice,
        ),
    ];
    // What tokio keeps for the whole process is there from now on.
    drop(runtime());
    let there = std::path::Path::new("/proc/self/task").exists();
    let trial = |(name, story): (&str, fn())| {
        Trial::test(name, move || {
            story();
            Ok(())
        })
        .with_ignored_flag(!there)
    };
    libtest_mimic::run(&arguments, stories.map(trial).into()).exit();
}
