//! Links that lose their carrier for a moment: what stays, and how soon all is back.

use std::time::{Duration, Instant};

use bgp_speaker::kernel::{FollowerHandle, KernelConfig};

use crate::faults::many;
use crate::namespace::{Namespace, await_that};
use crate::stories::{address, await_installed, ecmp, follow, update, via};

stories![
    a_blink_of_the_only_link_takes_no_route,
    a_blink_of_one_of_two_links_leaves_the_other,
    a_large_table_is_written_again_at_once_after_a_blink_of_its_link,
];

/// How long the carrier is away: shorter than the time for which events are gathered.
const BLINK: Duration = Duration::from_millis(30);
/// For how long events are gathered, and the network is watched afterwards: a busy machine makes a blink longer.
const GATHERED: Duration = Duration::from_secs(2);
const AFTERWARDS: Duration = Duration::from_millis(2500);
/// Longer than a test waits: what comes back by then does not come of events that were gathered.
const NEVER: Duration = Duration::from_secs(3600);

fn gathering(debounce: Duration) -> (Namespace, FollowerHandle) {
    let namespace = Namespace::enter();
    (namespace, follow(KernelConfig { debounce, ..KernelConfig::default() }))
}

/// The carrier of `e0` goes for a moment; what `meanwhile` says before it returns, and when it does.
fn blink<T>(namespace: &Namespace, meanwhile: impl FnOnce() -> T) -> (T, Instant) {
    namespace.ip("link set e0p down");
    let start = Instant::now();
    await_that("the carrier's loss", || match namespace.ip("link show e0").contains("NO-CARRIER") {
        true => Ok(()),
        false => Err("it is there".to_owned()),
    });
    let said = meanwhile();
    std::thread::sleep(BLINK.saturating_sub(start.elapsed()));
    namespace.ip("link set e0p up");
    (said, Instant::now())
}

fn a_blink_of_the_only_link_takes_no_route() {
    const COUNT: u32 = 1000;
    let (namespace, follower) = gathering(GATHERED);
    update(&follower, many(COUNT, &[address("10.0.0.2")]));
    update(
        &follower,
        [ecmp("192.0.2.0/24", &["10.0.0.2", "10.0.0.3"]), via("2001:db8:f::/48", "2001:db8::2")],
    );
    await_installed(&follower, COUNT as usize + 2);
    let (written, monitor) = (follower.status().added, namespace.monitor());
    let (held, _) = blink(&namespace, || namespace.ours().len());
    assert_eq!(held, COUNT as usize + 2, "the kernel keeps them meanwhile");
    std::thread::sleep(AFTERWARDS);
    let seen = namespace.seen(&monitor);
    assert!(seen.is_empty(), "nobody wrote anything: {} lines, {:?}", seen.len(), seen.first());
    let status = follower.status();
    assert_eq!((status.added, status.replaced, status.removed), (written, 0, 0), "{status:?}");
    await_installed(&follower, COUNT as usize + 2);
}

fn a_blink_of_one_of_two_links_leaves_the_other() {
    let (namespace, follower) = gathering(NEVER);
    let both = (0..100).map(|third| ecmp(&format!("172.18.{third}.0/24"), &["10.0.0.2", "10.0.1.2"]));
    update(&follower, both.chain([ecmp("2001:db8:f::/48", &["2001:db8::2", "2001:db8:1::2"])]));
    await_installed(&follower, 101);
    let (meanwhile, back) = blink(&namespace, || namespace.ours());
    assert_eq!(meanwhile.len(), 101);
    assert!(
        !meanwhile.iter().any(|route| route.contains("dev e0")),
        "the dead leg is out of all: {meanwhile:#?}"
    );
    await_that("both legs", || {
        let routes = namespace.ours();
        match routes.iter().filter(|route| route.contains("dev e0") && route.contains("dev e1")).count() {
            101 => Ok(()),
            _ => Err(format!("{routes:#?}")),
        }
    });
    println!("100 routes over two links whole {:?} after the carrier", back.elapsed());
    assert_eq!(follower.status().removed, 0, "none is deleted by us");
}

fn a_large_table_is_written_again_at_once_after_a_blink_of_its_link() {
    const COUNT: u32 = 20_000;
    let (namespace, follower) = gathering(NEVER);
    update(&follower, many(COUNT, &[address("10.0.0.2")]));
    await_installed(&follower, COUNT as usize);
    let objects = namespace.objects().len();
    assert_eq!(objects, 1, "so many share an object");
    let (_, back) = blink(&namespace, || ());
    await_that("all routes", || match namespace.ours().len() {
        count if count == COUNT as usize => Ok(()),
        count => Err(format!("{count} routes")),
    });
    println!("{COUNT} routes over one link whole {:?} after the carrier", back.elapsed());
    assert_eq!(follower.status().removed, 0, "none is deleted by us");
}
