//! Nexthop objects: shared by routes, made again when they are lost, gone when nobody needs them.

use bgp_speaker::kernel::{FibChange, FibNextHop, FibRoute, KernelConfig, RouteState};

use crate::namespace::{Namespace, await_that};
use crate::stories::{await_installed, await_state, ecmp, follow, remove, started, update, via, wait};

stories![
    routes_over_the_same_next_hops_share_one_object,
    objects_that_no_route_uses_are_removed,
    a_former_process_objects_are_used_again,
    routes_written_without_objects_are_adopted_as_they_are,
    without_objects_routes_carry_their_next_hops,
    numbers_that_others_have_are_left_to_them,
    objects_that_somebody_removes_come_back_with_their_routes,
    a_group_that_loses_a_leg_with_its_link_is_whole_again_with_it,
    an_object_that_the_kernel_refuses_leaves_the_kernels_words,
];

fn await_objects(namespace: &Namespace, count: usize) {
    await_that(&format!("{count} objects"), || match namespace.objects() {
        objects if objects.len() == count => Ok(()),
        objects => Err(format!("{objects:#?}")),
    });
}

/// Several routes over each of one next hop, another, and both.
fn changes() -> Vec<FibChange> {
    let mut changes = Vec::new();
    for third in 0..10 {
        changes.push(via(&format!("172.16.{third}.0/24"), "10.0.0.2"));
        changes.push(via(&format!("172.17.{third}.0/24"), "10.0.1.2"));
        changes.push(ecmp(&format!("172.18.{third}.0/24"), &["10.0.0.2", "10.0.1.2"]));
        changes.push(ecmp(&format!("2001:db8:{third}1::/48"), &["2001:db8::2", "2001:db8:1::2"]));
    }
    changes
}

fn routes_over_the_same_next_hops_share_one_object() {
    let (namespace, follower) = started();
    update(&follower, changes());
    await_installed(&follower, 40);
    // Four next hops, and a group of two for each family.
    assert_eq!(namespace.objects().len(), 6);
    let shown = namespace.ip("route show 172.18.3.0/24");
    assert!(shown.contains("nhid") && shown.contains("10.0.0.2") && shown.contains("10.0.1.2"), "{shown}");
}

fn objects_that_no_route_uses_are_removed() {
    let (namespace, follower) = started();
    update(&follower, changes());
    await_installed(&follower, 40);
    update(&follower, (0..10).map(|third| remove(&format!("172.18.{third}.0/24"))));
    await_installed(&follower, 30);
    wait(follower.resync()).expect("it runs");
    await_objects(&namespace, 3);
    assert_eq!(namespace.ours().len(), 30);
}

fn a_former_process_objects_are_used_again() {
    let (namespace, follower) = started();
    update(&follower, changes());
    await_installed(&follower, 40);
    let before = namespace.objects();
    drop(follower);
    assert_eq!(namespace.objects(), before);
    let monitor = namespace.monitor();
    let follower = follow(KernelConfig::default());
    update(&follower, changes());
    update(&follower, [via("172.19.0.0/16", "10.0.0.2")]);
    await_installed(&follower, 41);
    assert_eq!(namespace.objects(), before);
    assert_eq!(namespace.seen(&monitor).len(), 1);
    assert_eq!(follower.status().adopted, 40);
    drop(follower);
    // A process that wants none of it leaves none of it.
    let follower = follow(KernelConfig::default());
    wait(follower.synced()).expect("it runs");
    await_installed(&follower, 0);
    await_that("an empty table", || match namespace.ours().len() {
        0 => Ok(()),
        other => Err(other.to_string()),
    });
    wait(follower.resync()).expect("it runs");
    await_objects(&namespace, 0);
}

fn routes_written_without_objects_are_adopted_as_they_are() {
    let namespace = Namespace::enter();
    let follower = follow(KernelConfig { nexthop_objects: false, ..KernelConfig::default() });
    update(&follower, changes());
    await_installed(&follower, 40);
    assert_eq!(namespace.objects(), [""; 0]);
    drop(follower);
    let monitor = namespace.monitor();
    let follower = follow(KernelConfig::default());
    update(&follower, changes());
    await_installed(&follower, 40);
    assert_eq!((follower.status().adopted, namespace.seen(&monitor).len()), (40, 0));
    // What is changed later comes over objects where they win, in place.
    update(&follower, [ecmp("172.16.0.0/24", &["10.0.0.2", "10.0.1.2"])]);
    update(&follower, [ecmp("2001:db8:11::/48", &["2001:db8::2", "2001:db8:1::3"])]);
    namespace.await_route("172.16.0.0/24", &["nexthop via 10.0.0.2", "nexthop via 10.0.1.2"]);
    namespace.await_route("2001:db8:11::/48", &["nexthop via 2001:db8:1::3"]);
    let seen = namespace.seen(&monitor);
    assert!(!seen.iter().any(|line| line.starts_with("Deleted")), "{seen:#?}");
    assert_eq!(namespace.ours().len(), 40);
}

fn without_objects_routes_carry_their_next_hops() {
    let namespace = Namespace::enter();
    let plain = || KernelConfig { nexthop_objects: false, ..KernelConfig::default() };
    let follower = follow(KernelConfig::default());
    update(&follower, changes());
    await_installed(&follower, 40);
    drop(follower);
    let follower = follow(plain());
    // In one: of two, the first may be adopted before the second comes.
    update(&follower, changes().into_iter().chain([via("172.16.0.0/24", "10.0.1.7")]));
    await_installed(&follower, 40);
    assert_eq!(follower.status().adopted, 39);
    assert!(!namespace.ip("route show 172.16.0.0/24").contains("nhid"));
    assert_eq!(namespace.objects().len(), 6);
}

fn numbers_that_others_have_are_left_to_them() {
    let namespace = Namespace::enter();
    namespace.ip("nexthop add id 191299584 via 10.0.0.7 dev e0 proto static");
    let follower = follow(KernelConfig::default());
    // Since the follower looked:
    namespace.ip("nexthop add id 191299585 via 10.0.0.8 dev e0 proto static");
    update(&follower, changes());
    await_installed(&follower, 40);
    assert_eq!(namespace.objects().len(), 6);
    drop(follower);
    let follower = follow(KernelConfig::default());
    wait(follower.synced()).expect("it runs");
    await_that("the sweep", || match namespace.ours().len() {
        0 => Ok(()),
        other => Err(other.to_string()),
    });
    wait(follower.resync()).expect("it runs");
    await_objects(&namespace, 0);
    let others = namespace.ip("nexthop show");
    assert!(others.contains("10.0.0.7") && others.contains("10.0.0.8"), "{others}");
}

fn objects_that_somebody_removes_come_back_with_their_routes() {
    let (namespace, follower) = started();
    update(&follower, changes());
    await_installed(&follower, 40);
    namespace.ip("nexthop flush proto 186");
    namespace.await_route("172.16.3.0/24", &["via 10.0.0.2"]);
    namespace.await_route("172.18.3.0/24", &["nexthop via 10.0.0.2", "nexthop via 10.0.1.2"]);
    await_installed(&follower, 40);
    assert_eq!(namespace.ours().len(), 40);
}

fn a_group_that_loses_a_leg_with_its_link_is_whole_again_with_it() {
    let (namespace, follower) = started();
    update(&follower, changes());
    await_installed(&follower, 40);
    for _ in 0..3 {
        namespace.ip("link set e0 down");
        await_state(&follower, "172.16.0.0/24", RouteState::Unresolved);
        namespace.await_route("172.18.0.0/24", &["via 10.0.1.2"]);
        namespace.ip("link set e0 up");
        namespace.ip("addr replace 2001:db8::1/64 dev e0 nodad");
        namespace.await_route("172.18.0.0/24", &["nexthop via 10.0.0.2", "nexthop via 10.0.1.2"]);
        namespace.await_route("2001:db8:11::/48", &["nexthop via 2001:db8::2", "nexthop via 2001:db8:1::2"]);
        await_installed(&follower, 40);
    }
    wait(follower.resync()).expect("it runs");
    await_objects(&namespace, 6);
}

fn an_object_that_the_kernel_refuses_leaves_the_kernels_words() {
    let (_namespace, follower) = started();
    let hop = |gateway: &str, link: &str| FibNextHop::new(gateway.parse().unwrap()).on(link);
    let prefix = "192.0.2.0/24".parse().unwrap();
    let route = FibRoute::unicast(prefix, [hop("10.77.0.1", "e0"), hop("10.0.1.2", "e1")]);
    update(&follower, [FibChange::Set(route), via("198.51.100.0/24", "10.0.0.2")]);
    let report = await_state(&follower, "192.0.2.0/24", RouteState::Refused);
    let words = report.error.map(|error| error.to_string()).unwrap_or_default();
    assert!(words.contains("Nexthop has invalid gateway"), "{words}");
    await_state(&follower, "198.51.100.0/24", RouteState::Installed);
}
