//! Next hops that other routes lead to.

use super::*;

#[test]
fn a_recursive_next_hop_follows_the_route_that_leads_to_it() {
    let mut story = Story::new();
    story.fib.lead(net("172.16.0.0/16"), "10.0.0.1".parse().unwrap(), 2, 0);
    story.set(via("192.0.2.0/24", "172.16.5.5"));
    assert_eq!(story.fib.routes(), [(key("192.0.2.0/24"), OURS, leg("10.0.0.1", 2))]);
    story.fib.take_log();
    story.fib.lead(net("172.16.0.0/16"), "10.0.0.2".parse().unwrap(), 2, 0);
    story.settle();
    assert_eq!(story.fib.take_log(), [FibOp::Replace(key("192.0.2.0/24"), leg("10.0.0.2", 2))]);
}

#[test]
fn a_next_hop_inside_its_own_route_does_not_go_in_circles() {
    let mut story = Story::new();
    story.fib.lead(net("0.0.0.0/0"), "10.0.0.1".parse().unwrap(), 2, 0);
    story.set(via("172.16.0.0/12", "172.16.5.5"));
    story.fib.take_log();
    story.pass(1);
    story.fib.connect(net("10.0.0.0/24"), 2);
    story.pass(1);
    assert_eq!(story.fib.take_log(), []);
    assert_eq!(story.state("172.16.0.0/12"), Some(RouteState::Installed));
}

#[test]
fn a_next_hop_inside_its_own_route_follows_what_lies_beneath() {
    let mut story = Story::new();
    let default = net("0.0.0.0/0");
    story.fib.lead(default, "10.0.0.1".parse().unwrap(), 2, 0);
    story.set(via("172.16.0.0/12", "172.16.5.5"));
    story.set(via("192.0.2.0/24", "172.16.5.5"));
    story.fib.take_log();
    story.fib.lead(default, "10.0.0.2".parse().unwrap(), 2, 0);
    story.settle();
    let mut log = story.fib.take_log();
    log.sort_by_key(FibOp::key);
    assert_eq!(log, ["172.16.0.0/12", "192.0.2.0/24"].map(|at| FibOp::Replace(key(at), leg("10.0.0.2", 2))));
    story.fib.lead_away(default);
    story.settle();
    assert_eq!(story.fib.routes(), [], "nothing beneath, so nothing leads there");
    assert_eq!(story.state("172.16.0.0/12"), Some(RouteState::Unresolved));
    story.fib.lead(default, "10.0.0.3".parse().unwrap(), 2, 0);
    story.settle();
    assert_eq!(story.fib.routes().len(), 2);
}

#[test]
fn a_route_that_moves_to_a_next_hop_inside_itself_loses_its_way() {
    let mut story = Story::new();
    story.set(via("172.16.0.0/12", "10.0.0.1"));
    story.set(via("192.0.2.0/24", "172.16.5.5"));
    assert_eq!(story.fib.routes().len(), 2);
    story.set(via("172.16.0.0/12", "172.16.5.5"));
    assert_eq!(story.state("172.16.0.0/12"), Some(RouteState::Unresolved));
    assert_eq!(story.fib.routes(), [], "the way that it came by is no longer wanted");
    // That it is there by another way again is no reason to turn it back.
    story.set(via("172.16.0.0/12", "10.0.0.1"));
    assert_eq!(story.fib.routes(), [(key("172.16.0.0/12"), OURS, leg("10.0.0.1", 2))]);
    story.follower.ask_resync(story.now);
    story.settle();
    assert_eq!(story.fib.routes().len(), 2, "a comparison forgets the circle");
}

#[test]
fn a_next_hop_behind_what_a_former_process_left_waits_for_bgp_to_speak_of_it() {
    let fib = MemoryFib::new(OURS);
    fib.put_foreign(key("172.16.0.0/12"), OURS, leg("10.0.0.1", 2));
    let mut story = Story::over(fib, KernelConfig::default());
    story.set(via("172.16.0.0/12", "172.16.5.5"));
    assert_eq!(story.state("172.16.0.0/12"), Some(RouteState::Unresolved));
    story.set(via("192.0.2.0/24", "172.16.6.6"));
    assert_eq!(story.state("192.0.2.0/24"), Some(RouteState::Unresolved));
    story.set(via("172.16.0.0/12", "10.0.0.1"));
    assert_eq!(story.state("192.0.2.0/24"), Some(RouteState::Installed));
    story.follower.synced();
    story.settle();
    assert_eq!(story.fib.routes().len(), 2);
}

#[test]
fn a_next_hop_behind_a_direct_bgp_route_is_resolved_and_behind_a_recursive_one_is_not() {
    let mut story = Story::new();
    story.set(via("172.16.0.0/16", "10.0.0.1"));
    story.set(via("192.0.2.0/24", "172.16.5.5"));
    assert!(story.fib.routes().contains(&(key("192.0.2.0/24"), OURS, leg("10.0.0.1", 2))));
    story.set(via("198.51.100.0/24", "192.0.2.1"));
    assert_eq!(story.state("198.51.100.0/24"), Some(RouteState::Unresolved));
    story.set(via("172.16.0.0/16", "10.0.0.2"));
    assert!(story.fib.routes().contains(&(key("192.0.2.0/24"), OURS, leg("10.0.0.2", 2))));
}

#[test]
fn without_the_default_route_a_far_next_hop_is_unresolved() {
    let config = KernelConfig { resolve_via_default: false, ..KernelConfig::default() };
    let mut story = Story::over(MemoryFib::new(OURS), config);
    story.fib.lead(net("0.0.0.0/0"), "10.0.0.1".parse().unwrap(), 2, 0);
    story.set(via("192.0.2.0/24", "172.16.5.5"));
    assert_eq!(story.state("192.0.2.0/24"), Some(RouteState::Unresolved));
    let report = story.follower.report(&net("192.0.2.0/24")).unwrap();
    assert!(report.error.unwrap().text.contains("default route"));
}

/// After a restart everything in the kernel may be recursive, so what lies beneath it counts.
#[test]
fn a_thousand_next_hops_behind_what_a_former_process_left_are_looked_up_together() {
    let fib = MemoryFib::new(OURS);
    fib.put_foreign(key("172.16.0.0/12"), OURS, leg("10.0.0.1", 2));
    let mut story = Story::over(fib, KernelConfig::default());
    story.fib.lead(net("172.16.0.0/16"), "10.0.0.9".parse().unwrap(), 2, 10);
    let route = |n: u32| {
        let prefix = IpNet::new(std::net::Ipv4Addr::from_bits(0x6400_0000 + (n << 8)).into(), 24).unwrap();
        FibRoute::via(prefix, std::net::Ipv4Addr::from_bits(0xac10_0000 + n).into())
    };
    story.follower.apply((0..1000).map(|n| FibChange::Set(route(n))).collect());
    story.settle();
    assert_eq!(story.follower.status().routes.get(RouteState::Installed), 1000);
    assert!(story.fib.dumps_beneath() <= 5, "{} dumps", story.fib.dumps_beneath());
    let through = story.fib.routes().iter().filter(|(_, _, action)| *action == leg("10.0.0.9", 2)).count();
    assert_eq!(through, 1000);
}
