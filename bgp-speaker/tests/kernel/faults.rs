//! What goes wrong in the middle of much work: restarts, links that vanish, lost messages.

use std::net::IpAddr;

use bgp_speaker::kernel::{FibChange, FibRoute, KernelConfig, RouteState};
use ipnet::IpNet;

use crate::namespace::{Namespace, await_that};
use crate::stories::{address, await_installed, follow, started, update, via, wait};

stories![
    a_restart_over_many_routes_writes_only_what_changed,
    a_link_that_vanishes_in_the_middle_of_the_work_harms_no_other_route,
    lost_messages_in_the_middle_of_the_work_lose_no_route,
];

/// `count` routes by number over one of these next hops in turn.
pub(crate) fn many(count: u32, next_hops: &[IpAddr]) -> Vec<FibChange> {
    let route = |number: u32| {
        let octets = (0x6400_0000 + (number << 8)).to_be_bytes();
        let prefix = IpNet::new(octets.into(), 24).unwrap();
        FibRoute::via(prefix, next_hops[number as usize % next_hops.len()])
    };
    (0..count).map(|number| FibChange::Set(route(number))).collect()
}

fn a_restart_over_many_routes_writes_only_what_changed() {
    const COUNT: u32 = 50_000;
    let namespace = Namespace::enter();
    let hops = [address("10.0.0.2"), address("10.0.1.2")];
    let follower = follow(KernelConfig::default());
    update(&follower, many(COUNT, &hops));
    await_installed(&follower, COUNT as usize);
    drop(follower);
    let monitor = namespace.monitor();
    // Twice in a row, the first time without ever being told everything.
    let follower = follow(KernelConfig::default());
    update(&follower, many(COUNT / 2, &hops));
    await_that("half of it adopted", || match follower.status().adopted {
        adopted if adopted == u64::from(COUNT / 2) => Ok(()),
        other => Err(other.to_string()),
    });
    drop(follower);
    let follower = follow(KernelConfig::default());
    let mut all = many(COUNT, &hops);
    all[17] = via("100.0.17.0/24", "10.0.0.9");
    update(&follower, all);
    await_installed(&follower, COUNT as usize);
    wait(follower.synced()).expect("it runs");
    await_installed(&follower, COUNT as usize);
    let seen = namespace.seen(&monitor);
    assert_eq!(seen.len(), 1, "{:#?}", &seen[..seen.len().min(10)]);
    assert!(seen[0].contains("100.0.17.0/24"), "{seen:#?}");
    let status = follower.status();
    assert_eq!((status.adopted, status.replaced, status.removed), (u64::from(COUNT) - 1, 1, 0));
}

fn a_link_that_vanishes_in_the_middle_of_the_work_harms_no_other_route() {
    const COUNT: usize = 20_000;
    let (namespace, follower) = started();
    update(&follower, many(20_000, &[address("10.0.0.2"), address("10.0.1.2")]));
    await_that("some routes", || match follower.status().added {
        0 => Err("none".into()),
        _ => Ok(()),
    });
    namespace.ip("link del e1");
    await_that("half of the routes", || {
        let routes = follower.status().routes;
        let counts = (routes.get(RouteState::Installed), routes.get(RouteState::Unresolved));
        if counts == (COUNT / 2, COUNT / 2) { Ok(()) } else { Err(format!("{:?}", follower.status())) }
    });
    assert_eq!(namespace.ours().len(), COUNT / 2);
    namespace.ip("link add e1 type veth peer name e1p");
    namespace.ip("link set e1p up");
    namespace.ip("link set e1 up");
    namespace.ip("addr add 10.0.1.1/24 dev e1");
    await_installed(&follower, COUNT);
    assert_eq!(namespace.ours().len(), COUNT);
}

fn lost_messages_in_the_middle_of_the_work_lose_no_route() {
    const COUNT: u32 = 20_000;
    let (namespace, follower) = started();
    let lines = |verb: &str| -> String {
        let line = |n: u32| format!("route {verb} blackhole 200.{}.{}.0/24 table 77\n", n / 256, n % 256);
        (0..30_000).map(line).collect()
    };
    // The follower has little time to listen while it writes; whether the kernel drops messages or not, the end is the same.
    update(&follower, many(COUNT, &[address("10.0.0.2")]));
    namespace.batch(&lines("add"));
    update(&follower, many(COUNT, &[address("10.0.1.2")]));
    namespace.batch(&lines("del"));
    await_installed(&follower, COUNT as usize);
    let right = namespace.ours().iter().filter(|route| route.contains("via 10.0.1.2 dev e1")).count();
    assert_eq!(right, COUNT as usize);
    assert_eq!(follower.status().refused, std::collections::BTreeMap::new());
}
