//! What a refusal, a removal that hits another route, and an end that takes long come to.

use std::time::Instant;

use super::*;

fn busy() -> RouteError {
    RouteError::new(12, "")
}

/// How long a refused route waits for the next attempt, in seconds.
fn wait_of(story: &mut Story, prefix: &str) -> u64 {
    story.fib.take_log();
    for second in 1..100 {
        story.pass(1);
        if story.fib.take_log().iter().any(|operation| operation.key().prefix == net(prefix)) {
            return second;
        }
    }
    panic!("{prefix} is never tried again");
}

#[test]
fn a_route_that_is_refused_after_others_had_their_trouble_is_tried_again_soon() {
    let mut story = Story::new();
    story.fib.refuse(net("192.0.2.0/24"), Some(busy()));
    story.set(via("192.0.2.0/24", "10.0.0.1"));
    (0..200).for_each(|_| story.pass(1));
    wait_of(&mut story, "192.0.2.0/24");
    assert!(wait_of(&mut story, "192.0.2.0/24") > 30, "long trouble is asked about seldom");
    story.fib.refuse(net("192.0.2.0/24"), None);
    story.pass(100);
    assert_eq!(story.state("192.0.2.0/24"), Some(RouteState::Installed));
    story.fib.refuse(net("198.51.100.0/24"), Some(busy()));
    story.set(via("198.51.100.0/24", "10.0.0.1"));
    assert!(wait_of(&mut story, "198.51.100.0/24") <= 2);
}

/// In IPv4 the kernel takes a removal of metric 0 as one of any metric.
#[test]
fn the_removal_of_a_route_without_metric_that_has_gone_costs_no_other_for_long() {
    let mut story = Story::new();
    let (prefix, zero) = ("192.0.2.0/24", RouteKey { metric: 0, ..key("192.0.2.0/24") });
    story.set(FibRoute { metric: Some(0), ..via(prefix, "10.0.0.1") });
    assert_eq!(story.fib.routes(), [(zero, OURS, leg("10.0.0.1", 2))]);
    story.fib.drop_silently(zero);
    story.set(via(prefix, "10.0.0.1"));
    assert_eq!(story.fib.routes(), [(key(prefix), OURS, leg("10.0.0.1", 2))]);
    let add = FibOp::Add(key(prefix), leg("10.0.0.1", 2));
    assert_eq!(
        story.fib.take_log()[1..],
        [add.clone(), FibOp::Delete(zero), add],
        "the removal hit the new one"
    );
}

fn routes(count: u32) -> Vec<FibChange> {
    let prefix =
        |n: u32| IpNet::new(std::net::Ipv4Addr::from_bits(0x6400_0000 + (n << 8)).into(), 24).unwrap();
    (0..count).map(|n| FibChange::Set(FibRoute::via(prefix(n), "10.0.0.1".parse().unwrap()))).collect()
}

/// A running follower with so many routes in the kernel.
fn full(count: u32) -> (MemoryFib, FollowerHandle) {
    let fib = MemoryFib::new(OURS);
    fib.connect(net("10.0.0.0/24"), 2);
    let follower = FollowerHandle::spawn(KernelConfig::default(), Box::new(fib.clone())).unwrap();
    follower.blocking_update(routes(count)).unwrap();
    while follower.status().routes.get(RouteState::Installed) < count as usize {
        std::thread::sleep(Duration::from_millis(1));
    }
    (fib, follower)
}

fn withdraw(follower: FollowerHandle) -> Option<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(follower.withdraw()).expect("its thread ends").1
}

#[test]
fn to_take_all_routes_away_takes_time_in_proportion_to_them() {
    let time = |count| {
        let once = || {
            let (fib, follower) = full(count);
            let begin = Instant::now();
            assert_eq!(withdraw(follower), None);
            assert_eq!(fib.routes(), []);
            begin.elapsed()
        };
        (0..3).map(|_| once()).min().unwrap()
    };
    let (few, many) = (time(5_000), time(40_000));
    assert!(many < few * 24, "8 times the routes, not 64 times the time: {few:?} and {many:?}");
}

#[test]
fn routes_that_cannot_be_taken_away_are_told() {
    let (fib, follower) = full(3);
    fib.refuse(net("100.0.1.0/24"), Some(busy()));
    let left = withdraw(follower).expect("one stays");
    assert!(left.starts_with("1 routes are left in the kernel"), "{left}");
    assert_eq!(fib.routes().len(), 1);
}
