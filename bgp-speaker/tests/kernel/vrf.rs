//! Next hops of routes in the table of a VRF.

use std::process::Command;

use bgp_speaker::kernel::{KernelConfig, RouteState};

use crate::namespace::{Namespace, await_that};
use crate::netns;
use crate::stories::{await_state, follow, update, via};

stories![next_hops_of_a_vrf_are_looked_up_in_it_and_not_in_the_main_table];

/// Why there can be none.
pub(crate) fn obstacle() -> Option<String> {
    let name = format!("bgp-kernel-{}-vrf", std::process::id());
    netns::run(Command::new("ip").args(["netns", "add", &name]));
    let added =
        Command::new("ip").args(["-n", &name, "link", "add", "red", "type", "vrf", "table", "100"]).output();
    netns::remove(&name);
    let there = added.is_ok_and(|output| output.status.success());
    (!there).then(|| "this kernel has no VRF (CONFIG_NET_VRF)".to_owned())
}

fn next_hops_of_a_vrf_are_looked_up_in_it_and_not_in_the_main_table() {
    let namespace = Namespace::enter();
    namespace.ip("link add red type vrf table 100");
    namespace.ip("link set red up");
    namespace.ip("link set e1 master red");
    namespace.ip("addr replace 2001:db8:1::1/64 dev e1 nodad");
    namespace.ip("route add default via 10.0.0.2 dev e0");
    namespace.ip("route add 172.16.0.0/16 via 10.0.1.3 table 100");
    namespace.ip("route add 172.16.0.0/24 via 10.0.1.4 table 100 metric 50 proto 186");
    let config = KernelConfig { table: 100, vrf: Some("red".into()), ..KernelConfig::default() };
    let follower = follow(config);
    update(
        &follower,
        [
            via("192.0.2.0/24", "10.0.1.9"),
            via("198.51.100.0/24", "198.18.0.1"),
            via("203.0.113.0/24", "172.16.0.7"),
            via("2001:db8:f::/48", "2001:db8:1::9"),
            via("2001:db8:e::/48", "2001:db8::9"),
        ],
    );
    let through = |prefix: &str, words: &str| {
        await_that(prefix, || {
            let routes = namespace.routes(100, "proto bgp");
            let found = routes.iter().any(|route| route.starts_with(&format!("{prefix} {words} ")));
            if found { Ok(()) } else { Err(format!("{routes:#?}")) }
        });
    };
    through("192.0.2.0/24", "via 10.0.1.9 dev e1");
    // What a former process left may lead anywhere: what lies beneath it in the VRF counts.
    through("203.0.113.0/24", "via 10.0.1.3 dev e1");
    through("2001:db8:f::/48", "via 2001:db8:1::9 dev e1");
    // Only routes of the main table lead there.
    for prefix in ["198.51.100.0/24", "2001:db8:e::/48"] {
        await_state(&follower, prefix, RouteState::Unresolved);
    }
}
