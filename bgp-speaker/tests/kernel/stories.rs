//! What must hold on Linux, told with `ip route` as the witness.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use bgp_speaker::kernel::{
    Device, Fib, FibAction, FibChange, FibError, FibEvent, FibNextHop, FibOp, FibRoute, FollowerHandle,
    KernelAction, KernelConfig, KernelHop, Netlink, NextHopAction, NextHopHook, RouteKey, RouteReport,
    RouteState,
};
use ipnet::IpNet;

use crate::namespace::{Namespace, await_that};

stories![
    routes_come_change_and_go_in_both_families,
    single_and_multipath_replace_each_other,
    weights_of_legs_reach_the_kernel,
    dropping_routes_come_and_turn_into_others,
    an_ipv4_route_may_have_an_ipv6_gateway,
    a_replacement_is_in_place,
    a_foreign_route_is_never_overwritten,
    a_foreign_route_that_takes_our_key_keeps_it,
    a_foreign_leg_beside_ours_stays_when_ours_goes,
    a_foreign_route_on_a_key_that_ours_leaves_is_no_conflict_and_stays,
    a_foreign_route_that_goes_with_its_link_makes_room_for_ours,
    a_restart_adopts_without_a_write_and_sweeps_when_synced,
    routes_stay_when_the_follower_ends,
    routes_go_when_none_shall_stay,
    where_none_shall_stay_those_of_a_former_process_go_as_well,
    only_our_protocol_in_our_table_is_touched,
    a_table_beyond_255_works,
    routes_come_back_after_the_link_does,
    a_link_flap_within_the_debounce_loses_no_route,
    routes_come_back_after_the_address_does,
    a_route_that_somebody_deletes_comes_back,
    a_gateway_that_is_not_reachable_yet_is_waited_for,
    a_recursive_next_hop_follows_the_system_route,
    the_hook_leads_into_a_tunnel,
    many_refusals_in_a_batch_harm_no_other_route,
    without_the_capability_the_error_says_what_is_missing,
    a_flood_of_foreign_changes_is_told_as_an_overrun,
    a_hundred_thousand_routes_cause_no_events_for_ourselves,
];

pub(crate) fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn via(prefix: &str, gateway: &str) -> FibChange {
    FibChange::Set(FibRoute::via(net(prefix), address(gateway)))
}

pub(crate) fn ecmp(prefix: &str, gateways: &[&str]) -> FibChange {
    let hops = gateways.iter().map(|gateway| FibNextHop::new(address(gateway)));
    FibChange::Set(FibRoute::unicast(net(prefix), hops))
}

fn dropping(prefix: &str, action: FibAction) -> FibChange {
    FibChange::Set(FibRoute::new(net(prefix), action))
}

pub(crate) fn remove(prefix: &str) -> FibChange {
    FibChange::Remove(net(prefix))
}

pub(crate) fn follow(config: KernelConfig) -> FollowerHandle {
    let netlink = Netlink::open(&config).expect("root may write routes");
    FollowerHandle::spawn(config, Box::new(netlink)).expect("a thread can be started")
}

pub(crate) fn started() -> (Namespace, FollowerHandle) {
    let namespace = Namespace::enter();
    let follower = follow(KernelConfig::default());
    (namespace, follower)
}

pub(crate) fn update(follower: &FollowerHandle, changes: impl IntoIterator<Item = FibChange>) {
    follower.blocking_update(changes.into_iter().collect()).expect("it runs");
}

pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn report(follower: &FollowerHandle, prefix: &str) -> Option<RouteReport> {
    wait(follower.route(net(prefix))).expect("it runs")
}

pub(crate) fn await_state(follower: &FollowerHandle, prefix: &str, state: RouteState) -> RouteReport {
    await_that(&format!("{prefix} {state}"), || match report(follower, prefix) {
        Some(report) if report.state == state => Ok(()),
        other => Err(format!("{other:?}")),
    });
    report(follower, prefix).expect("it was just there")
}

pub(crate) fn await_installed(follower: &FollowerHandle, count: usize) {
    await_that(&format!("{count} routes"), || {
        let status = follower.status();
        let done = status.following
            && status.routes.get(RouteState::Installed) == count
            && status.routes.get(RouteState::Pending) == 0;
        if done { Ok(()) } else { Err(format!("{status:?}")) }
    });
}

fn routes_come_change_and_go_in_both_families() {
    let (namespace, follower) = started();
    update(&follower, [via("192.0.2.0/24", "10.0.0.2"), via("2001:db8:f::/48", "2001:db8::2")]);
    namespace.await_route("192.0.2.0/24", &["via 10.0.0.2", "dev e0", "metric 186"]);
    namespace.await_route("2001:db8:f::/48", &["via 2001:db8::2", "dev e0", "metric 186"]);
    update(&follower, [via("192.0.2.0/24", "10.0.1.2"), via("2001:db8:f::/48", "2001:db8:1::2")]);
    namespace.await_route("192.0.2.0/24", &["via 10.0.1.2", "dev e1"]);
    namespace.await_route("2001:db8:f::/48", &["via 2001:db8:1::2", "dev e1"]);
    assert_eq!(namespace.ours().len(), 2);
    update(&follower, [remove("192.0.2.0/24"), remove("2001:db8:f::/48")]);
    namespace.await_no_route("192.0.2.0/24");
    namespace.await_no_route("2001:db8:f::/48");
    let status = follower.status();
    assert_eq!((status.routes.total(), status.last_error.clone()), (0, None));
}

fn single_and_multipath_replace_each_other() {
    let (namespace, follower) = started();
    for (prefix, one, other) in
        [("192.0.2.0/24", "10.0.0.2", "10.0.1.2"), ("2001:db8:f::/48", "2001:db8::2", "2001:db8:1::2")]
    {
        update(&follower, [via(prefix, one)]);
        namespace.await_route(prefix, &[&format!("via {one}")]);
        update(&follower, [ecmp(prefix, &[one, other])]);
        namespace.await_route(prefix, &[&format!("nexthop via {one}"), &format!("nexthop via {other}")]);
        update(&follower, [via(prefix, other)]);
        namespace.await_route(prefix, &[&format!("{prefix} via {other}")]);
        update(&follower, [ecmp(prefix, &[other, one])]);
        namespace.await_route(prefix, &[&format!("nexthop via {one}"), &format!("nexthop via {other}")]);
        update(&follower, [remove(prefix)]);
        namespace.await_no_route(prefix);
    }
    assert_eq!(follower.status().replaced, 6);
}

fn weights_of_legs_reach_the_kernel() {
    let (namespace, follower) = started();
    let hops = [("10.0.0.2", 3), ("10.0.1.2", 1)]
        .map(|(gateway, weight)| FibNextHop { weight, ..FibNextHop::new(address(gateway)) });
    update(&follower, [FibChange::Set(FibRoute::unicast(net("192.0.2.0/24"), hops))]);
    namespace.await_route("192.0.2.0/24", &["via 10.0.0.2 dev e0 weight 3", "via 10.0.1.2 dev e1 weight 1"]);
}

fn dropping_routes_come_and_turn_into_others() {
    let (namespace, follower) = started();
    for prefix in ["192.0.2.0/24", "2001:db8:f::/48"] {
        let gateway = if prefix.contains(':') { "2001:db8::2" } else { "10.0.0.2" };
        update(&follower, [dropping(prefix, FibAction::Blackhole)]);
        namespace.await_route(prefix, &["blackhole"]);
        update(&follower, [dropping(prefix, FibAction::Unreachable)]);
        namespace.await_route(prefix, &["unreachable"]);
        update(&follower, [via(prefix, gateway)]);
        namespace.await_route(prefix, &[&format!("via {gateway}")]);
        update(&follower, [dropping(prefix, FibAction::Prohibit)]);
        namespace.await_route(prefix, &["prohibit"]);
    }
    assert_eq!(namespace.ours().len(), 2);
    wait(follower.resync()).expect("it runs");
    await_that("a second comparison", || match follower.status() {
        status if status.resyncs > 1 && status.repaired == 0 => Ok(()),
        status => Err(format!("{status:?}")),
    });
}

fn an_ipv4_route_may_have_an_ipv6_gateway() {
    let (namespace, follower) = started();
    let link_local = FibNextHop::new(address("fe80::2")).on("e0");
    update(
        &follower,
        [
            via("192.0.2.0/24", "2001:db8::2"),
            FibChange::Set(FibRoute::unicast(net("198.51.100.0/24"), [link_local])),
        ],
    );
    namespace.await_route("192.0.2.0/24", &["via inet6 2001:db8::2", "dev e0"]);
    namespace.await_route("198.51.100.0/24", &["via inet6 fe80::2", "dev e0"]);
}

fn a_replacement_is_in_place() {
    let (namespace, follower) = started();
    let prefixes = ["192.0.2.0/24", "2001:db8:f::/48"];
    update(&follower, [via(prefixes[0], "10.0.0.2"), via(prefixes[1], "2001:db8::2")]);
    await_installed(&follower, 2);
    let monitor = namespace.monitor();
    update(&follower, [via(prefixes[0], "10.0.1.2"), via(prefixes[1], "2001:db8:1::2")]);
    namespace.await_route(prefixes[0], &["via 10.0.1.2"]);
    namespace.await_route(prefixes[1], &["via 2001:db8:1::2"]);
    update(
        &follower,
        [ecmp(prefixes[0], &["10.0.0.2", "10.0.1.2"]), ecmp(prefixes[1], &["2001:db8::2", "2001:db8:1::2"])],
    );
    namespace.await_route(prefixes[0], &["nexthop via 10.0.0.2"]);
    namespace.await_route(prefixes[1], &["nexthop via 2001:db8::2"]);
    update(
        &follower,
        [dropping(prefixes[0], FibAction::Blackhole), dropping(prefixes[1], FibAction::Blackhole)],
    );
    namespace.await_route(prefixes[0], &["blackhole"]);
    namespace.await_route(prefixes[1], &["blackhole"]);
    let seen = namespace.seen(&monitor);
    assert!(seen.len() >= 6, "{seen:#?}");
    assert!(!seen.iter().any(|line| line.contains("Deleted")), "{seen:#?}");
}

fn a_foreign_route_is_never_overwritten() {
    let (namespace, follower) = started();
    for (prefix, theirs, ours) in
        [("192.0.2.0/24", "10.0.0.9", "10.0.0.2"), ("2001:db8:f::/48", "2001:db8::9", "2001:db8::2")]
    {
        namespace.ip(&format!("route add {prefix} via {theirs} proto static metric 186"));
        update(&follower, [via(prefix, ours)]);
        let report = await_state(&follower, prefix, RouteState::Conflict);
        assert!(report.error.is_some_and(|error| error.to_string().contains("another program")));
        let theirs_line = &namespace.routes(254, "proto static")[0];
        assert!(theirs_line.contains(&format!("{prefix} via {theirs}")), "{theirs_line}");
        assert_eq!(namespace.ours(), [""; 0]);
        await_that("the owner is known", || match self::report(&follower, prefix) {
            Some(report) if report.foreign == Some(4) => Ok(()),
            other => Err(format!("{other:?}")),
        });
        namespace.ip(&format!("route del {prefix} proto static metric 186"));
        namespace.await_route(prefix, &[&format!("via {ours}")]);
        update(&follower, [remove(prefix)]);
        namespace.await_no_route(prefix);
    }
}

fn a_foreign_route_that_takes_our_key_keeps_it() {
    let (namespace, follower) = started();
    for (prefix, theirs, ours) in
        [("192.0.2.0/24", "10.0.0.9", "10.0.0.2"), ("2001:db8:f::/48", "2001:db8::9", "2001:db8::2")]
    {
        update(&follower, [via(prefix, ours)]);
        namespace.await_route(prefix, &[&format!("via {ours}")]);
        namespace.ip(&format!("route replace {prefix} via {theirs} proto static metric 186"));
        await_state(&follower, prefix, RouteState::Conflict);
        update(&follower, [dropping(prefix, FibAction::Blackhole)]);
        await_state(&follower, prefix, RouteState::Conflict);
        update(&follower, [remove(prefix)]);
        await_that("no more interest", || match report(&follower, prefix) {
            None => Ok(()),
            other => Err(format!("{other:?}")),
        });
        let theirs_line = &namespace.routes(254, "proto static")[0];
        assert!(theirs_line.contains(&format!("{prefix} via {theirs}")), "{theirs_line}");
        namespace.ip(&format!("route del {prefix} proto static metric 186"));
    }
}

fn a_foreign_leg_beside_ours_stays_when_ours_goes() {
    let (namespace, follower) = started();
    update(
        &follower,
        [via("192.0.2.0/24", "10.0.0.2"), ecmp("2001:db8:f::/48", &["2001:db8::2", "2001:db8::3"])],
    );
    await_installed(&follower, 2);
    namespace.ip("route append 192.0.2.0/24 via 10.0.1.9 proto static metric 186");
    namespace.ip("-6 route append 2001:db8:f::/48 via 2001:db8:1::9 proto static metric 186");
    await_state(&follower, "192.0.2.0/24", RouteState::Conflict);
    await_that("the conflict", || match report(&follower, "2001:db8:f::/48") {
        Some(report) if report.foreign == Some(4) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    update(&follower, [remove("192.0.2.0/24"), remove("2001:db8:f::/48")]);
    only_theirs_at_the_metric(&namespace);
}

/// At our metric stand the routes that a test let somebody else add, and none of ours.
fn only_theirs_at_the_metric(namespace: &Namespace) {
    await_that("only theirs", || {
        let routes = namespace.routes(254, "metric 186");
        match routes.as_slice() {
            [v4, v6]
                if v4.starts_with("192.0.2.0/24 via 10.0.1.9")
                    && v6.starts_with("2001:db8:f::/48 via 2001:db8:1::9") =>
            {
                Ok(())
            }
            _ => Err(format!("{routes:#?}")),
        }
    });
}

/// Linux says nothing of IPv4 routes that go with a link.
fn a_foreign_route_that_goes_with_its_link_makes_room_for_ours() {
    let (namespace, follower) = started();
    namespace.ip("route add 192.0.2.0/24 via 10.0.1.9 proto static metric 186");
    update(&follower, [via("192.0.2.0/24", "10.0.0.2")]);
    await_state(&follower, "192.0.2.0/24", RouteState::Conflict);
    namespace.ip("link set e1 down");
    await_state(&follower, "192.0.2.0/24", RouteState::Installed);
}

/// The agent moves to another metric while somebody else comes to the former one.
fn a_foreign_route_on_a_key_that_ours_leaves_is_no_conflict_and_stays() {
    let (namespace, follower) = started();
    update(
        &follower,
        [via("192.0.2.0/24", "10.0.0.2"), ecmp("2001:db8:f::/48", &["2001:db8::2", "2001:db8::3"])],
    );
    await_installed(&follower, 2);
    drop(follower);
    namespace.ip("route append 192.0.2.0/24 via 10.0.1.9 proto static metric 186");
    namespace.ip("-6 route append 2001:db8:f::/48 via 2001:db8:1::9 proto static metric 186");
    let follower = follow(KernelConfig { metric: 50, ..KernelConfig::default() });
    update(
        &follower,
        [via("192.0.2.0/24", "10.0.0.2"), ecmp("2001:db8:f::/48", &["2001:db8::2", "2001:db8::3"])],
    );
    await_installed(&follower, 2);
    assert_eq!(follower.status().conflicts, 0);
    only_theirs_at_the_metric(&namespace);
}

fn a_restart_adopts_without_a_write_and_sweeps_when_synced() {
    let (namespace, follower) = started();
    let kept = [
        via("192.0.2.0/24", "10.0.0.2"),
        ecmp("198.51.100.0/24", &["10.0.1.2", "10.0.0.2"]),
        ecmp("2001:db8:f::/48", &["2001:db8:1::2", "2001:db8::2"]),
        dropping("2001:db8:e::/48", FibAction::Blackhole),
        dropping("203.0.113.0/24", FibAction::Unreachable),
    ];
    update(&follower, kept.clone());
    update(&follower, [via("172.16.0.0/16", "10.0.0.2"), via("172.17.0.0/16", "10.0.0.2")]);
    await_installed(&follower, 7);
    drop(follower);

    let monitor = namespace.monitor();
    let follower = follow(KernelConfig::default());
    update(&follower, kept);
    update(&follower, [via("172.16.0.0/16", "10.0.1.2")]);
    namespace.await_route("172.16.0.0/16", &["via 10.0.1.2"]);
    await_installed(&follower, 6);
    assert_eq!(follower.status().routes.get(RouteState::Leftover), 1);
    assert_eq!(follower.status().adopted, 5);
    let seen = namespace.seen(&monitor);
    assert_eq!(seen.len(), 1, "only the route that differs is written: {seen:#?}");
    wait(follower.synced()).expect("it runs");
    namespace.await_no_route("172.17.0.0/16");
    assert_eq!(namespace.ours().len(), 6);
    assert_eq!(follower.status().added, 0);
}

fn routes_stay_when_the_follower_ends() {
    let (namespace, follower) = started();
    update(&follower, [via("192.0.2.0/24", "10.0.0.2")]);
    await_installed(&follower, 1);
    let before = Instant::now();
    drop(follower);
    assert!(before.elapsed() < Duration::from_secs(1), "the end took {:?}", before.elapsed());
    assert_eq!(namespace.ours().len(), 1);
}

fn routes_go_when_none_shall_stay() {
    let namespace = Namespace::enter();
    namespace.ip("route add 203.0.113.0/24 via 10.0.0.9 proto static metric 186");
    let follower = follow(KernelConfig { keep_routes_at_exit: false, ..KernelConfig::default() });
    update(&follower, [via("192.0.2.0/24", "10.0.0.2"), via("2001:db8:f::/48", "2001:db8::2")]);
    await_installed(&follower, 2);
    drop(follower);
    assert_eq!(namespace.ours(), [""; 0]);
    assert_eq!(namespace.objects(), [""; 0]);
    assert_eq!(namespace.routes(254, "proto static").len(), 1);
}

fn where_none_shall_stay_those_of_a_former_process_go_as_well() {
    let namespace = Namespace::enter();
    namespace.ip("route add 203.0.113.0/24 via 10.0.0.9 proto bgp metric 186");
    // It may end before it has read the table for the first time.
    drop(follow(KernelConfig { keep_routes_at_exit: false, ..KernelConfig::default() }));
    assert_eq!(namespace.ours(), [""; 0]);
}

fn only_our_protocol_in_our_table_is_touched() {
    let namespace = Namespace::enter();
    for (prefix, gateway) in [("203.0.113.0/24", "10.0.0.9"), ("2001:db8:e::/48", "2001:db8::9")] {
        namespace.ip(&format!("route add {prefix} via {gateway} proto static metric 186"));
        namespace.ip(&format!("route add {prefix} via {gateway} proto static metric 20"));
        namespace.ip(&format!("route add {prefix} via {gateway} proto bgp metric 20 table 100"));
        namespace.ip(&format!("route add {prefix} via {gateway} proto bgp metric 30"));
    }
    let follower = follow(KernelConfig::default());
    wait(follower.synced()).expect("it runs");
    namespace.await_no_route("203.0.113.0/24");
    namespace.await_no_route("2001:db8:e::/48");
    assert_eq!(namespace.routes(254, "proto static").len(), 4);
    assert_eq!(namespace.routes(100, "").len(), 2);
    assert_eq!(follower.status().removed, 2);
}

fn a_table_beyond_255_works() {
    let namespace = Namespace::enter();
    let config = KernelConfig { table: 1000, ..KernelConfig::default() };
    let follower = follow(config.clone());
    update(&follower, [via("192.0.2.0/24", "10.0.0.2"), via("2001:db8:f::/48", "2001:db8::2")]);
    await_installed(&follower, 2);
    assert_eq!(namespace.routes(1000, "proto bgp").len(), 2);
    assert_eq!(namespace.ours(), [""; 0]);
    drop(follower);
    let follower = follow(config);
    update(&follower, [via("192.0.2.0/24", "10.0.0.2")]);
    wait(follower.synced()).expect("it runs");
    await_installed(&follower, 1);
    await_that("the sweep", || match namespace.routes(1000, "").len() {
        1 => Ok(()),
        other => Err(other.to_string()),
    });
    assert_eq!(follower.status().adopted, 1);
}

fn routes_come_back_after_the_link_does() {
    let (namespace, follower) = started();
    let changes = [
        via("192.0.2.0/24", "10.0.0.2"),
        ecmp("198.51.100.0/24", &["10.0.0.2", "10.0.1.2"]),
        via("2001:db8:f::/48", "2001:db8::2"),
    ];
    update(&follower, changes);
    await_installed(&follower, 3);
    namespace.ip("link set e0 down");
    await_state(&follower, "192.0.2.0/24", RouteState::Unresolved);
    await_state(&follower, "2001:db8:f::/48", RouteState::Unresolved);
    namespace.await_route("198.51.100.0/24", &["via 10.0.1.2"]);
    namespace.ip("link set e0 up");
    // IPv6 addresses are removed with the link and have to be given again.
    namespace.ip("addr replace 2001:db8::1/64 dev e0 nodad");
    namespace.await_route("192.0.2.0/24", &["via 10.0.0.2"]);
    namespace.await_route("198.51.100.0/24", &["nexthop via 10.0.0.2", "nexthop via 10.0.1.2"]);
    namespace.await_route("2001:db8:f::/48", &["via 2001:db8::2"]);
    await_installed(&follower, 3);
}

fn a_link_flap_within_the_debounce_loses_no_route() {
    let (namespace, follower) = started();
    update(&follower, [via("192.0.2.0/24", "10.0.0.2"), via("2001:db8:f::/48", "2001:db8::2")]);
    await_installed(&follower, 2);
    namespace.batch(
        "link set e0 down\nlink set e0 up\naddr replace 2001:db8::1/64 dev e0 nodad\n\
         addr del 10.0.0.1/24 dev e0\naddr add 10.0.0.1/24 dev e0\n",
    );
    namespace.await_route("192.0.2.0/24", &["via 10.0.0.2"]);
    namespace.await_route("2001:db8:f::/48", &["via 2001:db8::2"]);
    await_installed(&follower, 2);
}

fn routes_come_back_after_the_address_does() {
    let (namespace, follower) = started();
    update(&follower, [via("192.0.2.0/24", "10.0.0.2")]);
    await_installed(&follower, 1);
    namespace.ip("addr del 10.0.0.1/24 dev e0");
    await_state(&follower, "192.0.2.0/24", RouteState::Unresolved);
    namespace.await_no_route("192.0.2.0/24");
    namespace.ip("addr add 10.0.0.3/24 dev e0");
    namespace.await_route("192.0.2.0/24", &["via 10.0.0.2"]);
}

fn a_route_that_somebody_deletes_comes_back() {
    let (namespace, follower) = started();
    update(&follower, [via("192.0.2.0/24", "10.0.0.2"), via("2001:db8:f::/48", "2001:db8::2")]);
    await_installed(&follower, 2);
    namespace.ip("route del 192.0.2.0/24 proto bgp");
    namespace.ip("route del 2001:db8:f::/48 proto bgp");
    namespace.await_route("192.0.2.0/24", &["via 10.0.0.2"]);
    namespace.await_route("2001:db8:f::/48", &["via 2001:db8::2"]);
    await_that("two repairs", || match follower.status().repaired {
        2 => Ok(()),
        other => Err(other.to_string()),
    });
}

fn a_gateway_that_is_not_reachable_yet_is_waited_for() {
    let (namespace, follower) = started();
    let direct = FibNextHop::new(address("10.0.9.2")).on("e0");
    update(
        &follower,
        [
            via("192.0.2.0/24", "10.0.9.2"),
            FibChange::Set(FibRoute::unicast(net("198.51.100.0/24"), [direct])),
        ],
    );
    let unresolved = await_state(&follower, "192.0.2.0/24", RouteState::Unresolved);
    assert!(unresolved.error.is_some_and(|error| error.text.contains("10.0.9.2")));
    let refused = await_state(&follower, "198.51.100.0/24", RouteState::Refused);
    let words = refused.error.map(|error| error.to_string()).unwrap_or_default();
    assert!(words.contains("Nexthop has invalid gateway"), "the kernel's own words: {words}");
    namespace.ip("addr add 10.0.9.1/24 dev e0");
    namespace.await_route("192.0.2.0/24", &["via 10.0.9.2 dev e0"]);
    namespace.await_route("198.51.100.0/24", &["via 10.0.9.2 dev e0"]);
}

fn a_recursive_next_hop_follows_the_system_route() {
    let (namespace, follower) = started();
    namespace.ip("route add 172.16.0.0/16 via 10.0.0.9");
    namespace.ip("route add 2001:db8:a::/48 via 2001:db8::9");
    update(&follower, [via("192.0.2.0/24", "172.16.1.1"), via("2001:db8:f::/48", "2001:db8:a::1")]);
    namespace.await_route("192.0.2.0/24", &["via 10.0.0.9 dev e0"]);
    namespace.await_route("2001:db8:f::/48", &["via 2001:db8::9 dev e0"]);
    namespace.ip("route replace 172.16.0.0/16 via 10.0.1.9");
    namespace.ip("route replace 2001:db8:a::/48 via 2001:db8:1::9");
    namespace.await_route("192.0.2.0/24", &["via 10.0.1.9 dev e1"]);
    namespace.await_route("2001:db8:f::/48", &["via 2001:db8:1::9 dev e1"]);
    namespace.ip("route replace 172.16.0.0/16 nexthop via 10.0.1.9 nexthop via 10.0.0.9");
    namespace.await_route("192.0.2.0/24", &["nexthop via 10.0.0.9", "nexthop via 10.0.1.9"]);
    namespace.ip("route del 172.16.0.0/16");
    namespace.await_no_route("192.0.2.0/24");
    let report = await_state(&follower, "192.0.2.0/24", RouteState::Unresolved);
    assert!(report.error.is_some_and(|error| error.text.contains("172.16.1.1")));
}

fn the_hook_leads_into_a_tunnel() {
    let namespace = Namespace::enter();
    namespace.ip("link add tun0 type veth peer name tun0p");
    let hook = NextHopHook::new(|query| match query.next_hop {
        IpAddr::V4(next_hop) if next_hop.octets()[2] == 0 => NextHopAction::Direct,
        next_hop => NextHopAction::Encap { device: Device::from("tun0"), gateway: next_hop },
    });
    let follower = follow(KernelConfig { next_hop: Some(hook), ..KernelConfig::default() });
    update(&follower, [via("192.0.2.0/24", "10.0.0.2"), via("198.51.100.0/24", "10.99.99.2")]);
    namespace.await_route("192.0.2.0/24", &["via 10.0.0.2 dev e0"]);
    let report = await_state(&follower, "198.51.100.0/24", RouteState::Refused);
    assert!(report.error.is_some_and(|error| error.to_string().contains("down")));
    namespace.ip("link set tun0 up");
    namespace.await_route("198.51.100.0/24", &["via 10.99.99.2 dev tun0", "onlink"]);
}

fn many_refusals_in_a_batch_harm_no_other_route() {
    let (namespace, follower) = started();
    let changes = (0..1000u32).map(|number| {
        // Every third leads where its device does not.
        let gateway = if number % 3 == 0 { "10.77.0.1" } else { "10.0.0.2" };
        let hop = FibNextHop::new(address(gateway)).on("e0");
        let prefix = format!("172.16.{}.{}/30", number / 64, number % 64 * 4);
        FibChange::Set(FibRoute::unicast(net(&prefix), [hop]))
    });
    update(&follower, changes);
    await_that("all verdicts", || {
        let routes = follower.status().routes;
        match (routes.get(RouteState::Installed), routes.get(RouteState::Refused)) {
            (666, 334) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    assert_eq!(namespace.ours().len(), 666);
    assert_eq!(follower.status().overruns, 0);
}

fn without_the_capability_the_error_says_what_is_missing() {
    let _namespace = Namespace::enter();
    let mut sets = rustix::thread::capabilities(None).expect("they can be read");
    sets.effective.remove(rustix::thread::CapabilitySet::NET_ADMIN);
    rustix::thread::set_capabilities(None, sets).expect("a capability may be laid down");
    let error = Netlink::open(&KernelConfig::default()).expect_err("routes cannot be written");
    sets.effective.insert(rustix::thread::CapabilitySet::NET_ADMIN);
    rustix::thread::set_capabilities(None, sets).expect("and taken up again");
    assert!(matches!(error, FibError::NotPermitted), "{error:?}");
    assert!(error.to_string().contains("CAP_NET_ADMIN"), "{error}");
}

fn a_flood_of_foreign_changes_is_told_as_an_overrun() {
    let namespace = Namespace::enter();
    let mut netlink = Netlink::open(&KernelConfig::default()).expect("root may write routes");
    let lines = |verb: &str| {
        let line =
            |number: u32| format!("route {verb} blackhole 100.{}.{}.0/24\n", number / 256, number % 256);
        (0..40_000).map(line).collect::<String>()
    };
    namespace.batch(&lines("add"));
    namespace.batch(&lines("del"));
    let mut events = 0;
    let overrun = loop {
        match netlink.poll_event() {
            Ok(Some(_)) => events += 1,
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    assert!(matches!(overrun, Some(FibError::Overrun)), "{overrun:?} after {events} events");
    while netlink.poll_event().expect("one report is enough").is_some() {}
    namespace.ip("route add blackhole 203.0.113.0/24");
    assert!(netlink.poll_event().expect("it goes on").is_some());
}

fn a_hundred_thousand_routes_cause_no_events_for_ourselves() {
    let namespace = Namespace::enter();
    let mut netlink = Netlink::open(&KernelConfig::default()).expect("root may write routes");
    while netlink.poll_event().expect("few events").is_some() {}
    let index = netlink.device_index("e0").expect("it can be asked").expect("it is there");
    let leg = KernelHop { gateway: Some(address("10.0.0.2")), device: index, onlink: false, weight: 1 };
    let action = KernelAction::unicast(vec![leg]);
    let keys: Vec<RouteKey> = (0..100_000u32)
        .map(|number| {
            let octets = [100 + u8::try_from(number >> 16).unwrap(), (number >> 8) as u8, number as u8, 0];
            RouteKey { prefix: IpNet::new(octets.into(), 24).unwrap(), table: 254, metric: 186 }
        })
        .collect();
    let mut write = |what: &str, operation: &dyn Fn(RouteKey) -> FibOp| {
        let operations: Vec<FibOp> = keys.iter().map(|key| operation(*key)).collect();
        let start = Instant::now();
        let mut results = Vec::new();
        netlink.write(&operations, &mut results).expect("the way is open");
        let seconds = start.elapsed().as_secs_f64();
        println!("information: {what} 100,000 routes took {seconds:.2} s");
        assert_eq!(results.iter().filter(|result| result.is_err()).count(), 0);
        while let Some(event) = netlink.poll_event().expect("no overrun") {
            // A new link still tells of its own addresses.
            assert!(!matches!(event, FibEvent::Route { our_table: true, .. }), "{event:?}");
        }
    };
    write("adding", &|key| FibOp::Add(key, action.clone()));
    write("replacing", &|key| FibOp::Replace(key, action.clone()));
    write("deleting", &FibOp::Delete);
    assert_eq!(namespace.ours(), [""; 0]);

    let follower = follow(KernelConfig::default());
    let start = Instant::now();
    let changes = keys.iter().map(|key| FibChange::Set(FibRoute::via(key.prefix, address("10.0.0.2"))));
    update(&follower, changes);
    await_installed(&follower, 100_000);
    println!("information: the follower had them installed after {:.2} s", start.elapsed().as_secs_f64());
    let start = Instant::now();
    update(&follower, keys.iter().map(|key| FibChange::Remove(key.prefix)));
    await_that("an empty table", || match follower.status().routes.total() {
        0 => Ok(()),
        other => Err(other.to_string()),
    });
    println!("information: and removed after {:.2} s", start.elapsed().as_secs_f64());
    assert_eq!(follower.status().overruns, 0);
}
