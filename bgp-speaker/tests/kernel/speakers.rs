//! Whole speakers in a namespace: what they learn from each other, decide with the kernel's help, and write.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bgp_speaker::kernel::{KernelConfig, MemoryFib};
use bgp_speaker::policy::{Action, Discard, Policy, PolicyConfig, Rule, Verdict};
use bgp_speaker::{
    Asn, Builder, Ineligible, NextHop, OwnerId, PathVerdict, PeerConfig, Route, RouteFilter, RouterId,
    SessionOptions, ShutdownMode, Speaker,
};
use ipnet::IpNet;

use crate::namespace::{Namespace, PATIENCE};
pub(crate) use crate::quick::quick as options;

stories![
    a_lost_next_hop_moves_the_best_path_and_its_return_moves_it_back,
    a_route_without_a_way_is_neither_written_nor_passed_on,
    of_equal_routes_the_one_with_the_nearer_next_hop_wins,
    a_lost_carrier_is_a_lost_next_hop,
    without_kernel_every_next_hop_counts_as_reachable,
    policy_says_metric_table_and_weight,
    tables_that_policy_used_are_swept_after_a_restart,
    a_block_of_our_own_drops_what_no_more_specific_route_takes,
    a_blackhole_community_drops_in_the_kernel,
    what_we_originate_over_an_address_of_our_own_is_told,
    a_peer_whose_next_hop_is_our_own_address_is_not_followed,
    a_next_hop_behind_its_own_route_is_not_used,
    an_ipv4_address_within_an_ipv6_next_hop_is_looked_up_as_such,
];

const ASN: Asn = Asn(65000);
pub(crate) const OWNER: OwnerId = OwnerId(1);

pub(crate) fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The sockets and the follower belong to the namespace of the thread that makes them.
pub(crate) fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

pub(crate) fn builder(last: u8) -> Builder {
    let own = std::net::Ipv4Addr::new(127, 50, 0, last);
    Speaker::builder(ASN, RouterId::from(own)).listen(SocketAddr::new(own.into(), 0))
}

/// A speaker that tells these routes, and keeps what it is told to itself.
pub(crate) async fn teller(last: u8, routes: impl IntoIterator<Item = Route>) -> Speaker {
    builder(last).announce(OWNER, routes).start().await.unwrap()
}

fn peer_of(speaker: &Speaker, options: SessionOptions) -> PeerConfig {
    let at = speaker.status().listen[0];
    let mut peer = PeerConfig::new(at.ip(), ASN).port(at.port());
    peer.options = options;
    peer
}

/// `us` dials each of them.
pub(crate) async fn join(us: &Speaker, others: &[&Speaker], options: &SessionOptions) {
    for other in others {
        let mut waiting = peer_of(us, self::options());
        waiting.options.passive = true;
        other.add_peer(waiting).await.unwrap();
        us.add_peer(peer_of(other, options.clone())).await.unwrap();
    }
}

/// A reflector's client options, so that what one tells is passed on to the other.
fn client() -> SessionOptions {
    SessionOptions { route_reflector_client: true, ..options() }
}

pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> Result<(), String>) {
    let start = Instant::now();
    loop {
        match holds().await {
            Ok(()) => return,
            Err(words) => assert!(start.elapsed() < PATIENCE, "waited for {what}; at the end: {words}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The best next hop of each prefix that a speaker knows.
pub(crate) async fn best(speaker: &Speaker) -> Vec<(IpNet, Option<IpAddr>)> {
    let filter = RouteFilter { best_only: true, ..RouteFilter::default() };
    let page = speaker.routes(filter, None, 100).await.unwrap();
    let next_hop = |route: &bgp_speaker::RouteInfo| {
        (route.destination.prefix().unwrap(), route.attributes.next_hop.as_ref().map(NextHop::address))
    };
    let mut best: Vec<_> = page.routes.iter().map(next_hop).collect();
    best.sort_unstable();
    best
}

pub(crate) async fn await_best(speaker: &Speaker, expected: &[(&str, &str)]) {
    let expected: Vec<_> =
        expected.iter().map(|(prefix, next_hop)| (net(prefix), Some(address(next_hop)))).collect();
    eventually("these best routes", async || {
        let best = best(speaker).await;
        if best == expected { Ok(()) } else { Err(format!("{best:?} and not {expected:?}")) }
    })
    .await;
}

pub(crate) async fn await_kernel(namespace: &Namespace, prefix: &str, words: &[&str]) {
    eventually(&format!("{prefix} {words:?}"), async || {
        let ours = namespace.ours();
        let found = |route: &&String| {
            let route = format!("{route} ");
            route.contains(&format!("{prefix} "))
                && words.iter().all(|word| route.contains(&format!("{word} ")))
        };
        ours.iter().find(found).map(|_| ()).ok_or_else(|| format!("{ours:#?}"))
    })
    .await;
}

pub(crate) async fn await_no_kernel(namespace: &Namespace, prefix: &str) {
    eventually(&format!("no {prefix}"), async || {
        let ours = namespace.ours();
        if ours.iter().any(|route| route.contains(prefix)) { Err(format!("{ours:#?}")) } else { Ok(()) }
    })
    .await;
}

fn a_lost_next_hop_moves_the_best_path_and_its_return_moves_it_back() {
    let namespace = Namespace::enter();
    run(async {
        let told = |next_hop: &str| Route::new(net("192.0.2.0/24")).next_hop(address(next_hop));
        let one = teller(1, [told("10.0.0.9").local_pref(200)]).await;
        let two = teller(2, [told("10.0.1.9").local_pref(100)]).await;
        let listener = teller(4, []).await;
        let us = builder(3).kernel(KernelConfig::default()).start().await.unwrap();
        join(&us, &[&one, &two, &listener], &client()).await;
        await_best(&us, &[("192.0.2.0/24", "10.0.0.9")]).await;
        await_kernel(&namespace, "192.0.2.0/24", &["via 10.0.0.9"]).await;
        await_best(&listener, &[("192.0.2.0/24", "10.0.0.9")]).await;
        namespace.ip("link set e0 down");
        await_best(&us, &[("192.0.2.0/24", "10.0.1.9")]).await;
        await_kernel(&namespace, "192.0.2.0/24", &["via 10.0.1.9"]).await;
        await_best(&listener, &[("192.0.2.0/24", "10.0.1.9")]).await;
        namespace.ip("link set e0 up");
        await_best(&us, &[("192.0.2.0/24", "10.0.0.9")]).await;
        await_kernel(&namespace, "192.0.2.0/24", &["via 10.0.0.9"]).await;
        await_best(&listener, &[("192.0.2.0/24", "10.0.0.9")]).await;
    });
}

fn a_route_without_a_way_is_neither_written_nor_passed_on() {
    let namespace = Namespace::enter();
    run(async {
        let lost = Route::new(net("192.0.2.0/24")).next_hop(address("10.77.0.9"));
        let found = Route::new(net("198.51.100.0/24")).next_hop(address("10.0.0.9"));
        let one = teller(1, [lost, found]).await;
        let listener = teller(2, []).await;
        let mut deltas = listener.subscribe();
        let us = builder(3).kernel(KernelConfig::default()).start().await.unwrap();
        join(&us, &[&listener, &one], &client()).await;
        await_best(&listener, &[("198.51.100.0/24", "10.0.0.9")]).await;
        await_kernel(&namespace, "198.51.100.0/24", &["via 10.0.0.9"]).await;
        assert!(!namespace.ours().iter().any(|route| route.contains("192.0.2.0/24")));
        let mut heard = Vec::new();
        while let Ok(Some(batch)) = tokio::time::timeout(Duration::from_millis(200), deltas.next()).await {
            let bgp_speaker::RouteNews::Batch(batch) = batch else { panic!("it keeps up") };
            heard.extend(batch.changes.into_iter().map(|change| change.prefix));
        }
        assert_eq!(heard, [net("198.51.100.0/24")], "the other one was never told, not even for a moment");
        namespace.ip("route add 10.77.0.0/16 via 10.0.1.9");
        await_best(&listener, &[("192.0.2.0/24", "10.77.0.9"), ("198.51.100.0/24", "10.0.0.9")]).await;
        await_kernel(&namespace, "192.0.2.0/24", &["via 10.0.1.9"]).await;
        namespace.ip("route del 10.77.0.0/16");
        await_best(&listener, &[("198.51.100.0/24", "10.0.0.9")]).await;
        await_no_kernel(&namespace, "192.0.2.0/24").await;
    });
}

fn of_equal_routes_the_one_with_the_nearer_next_hop_wins() {
    let namespace = Namespace::enter();
    namespace.ip("route add 10.77.0.0/16 via 10.0.0.9 metric 20");
    namespace.ip("route add 10.78.0.0/16 via 10.0.1.9 metric 30");
    run(async {
        let told = |next_hop: &str| Route::new(net("192.0.2.0/24")).next_hop(address(next_hop));
        let one = teller(1, [told("10.78.0.1")]).await;
        let two = teller(2, [told("10.77.0.1")]).await;
        let us = builder(3).kernel(KernelConfig::default()).max_paths(4).start().await.unwrap();
        join(&us, &[&one, &two], &options()).await;
        await_best(&us, &[("192.0.2.0/24", "10.77.0.1")]).await;
        await_kernel(&namespace, "192.0.2.0/24", &["via 10.0.0.9"]).await;
        namespace.ip("route replace 10.77.0.0/16 via 10.0.0.9 metric 40");
        namespace.ip("route del 10.77.0.0/16 metric 20");
        await_best(&us, &[("192.0.2.0/24", "10.78.0.1")]).await;
        namespace.ip("route replace 10.77.0.0/16 via 10.0.0.9 metric 30");
        namespace.ip("route del 10.77.0.0/16 metric 40");
        await_kernel(&namespace, "192.0.2.0/24", &["nexthop via 10.0.0.9", "nexthop via 10.0.1.9"]).await;
    });
}

fn a_lost_carrier_is_a_lost_next_hop() {
    let namespace = Namespace::enter();
    run(async {
        let told = |next_hop: &str| Route::new(net("192.0.2.0/24")).next_hop(address(next_hop));
        let one = teller(1, [told("10.0.0.9").local_pref(200)]).await;
        let two = teller(2, [told("10.0.1.9")]).await;
        let us = builder(3).kernel(KernelConfig::default()).start().await.unwrap();
        join(&us, &[&one, &two], &options()).await;
        await_kernel(&namespace, "192.0.2.0/24", &["via 10.0.0.9"]).await;
        namespace.ip("link set e0p down");
        await_kernel(&namespace, "192.0.2.0/24", &["via 10.0.1.9"]).await;
        await_best(&us, &[("192.0.2.0/24", "10.0.1.9")]).await;
        namespace.ip("link set e0p up");
        await_kernel(&namespace, "192.0.2.0/24", &["via 10.0.0.9"]).await;
    });
}

fn without_kernel_every_next_hop_counts_as_reachable() {
    let _namespace = Namespace::enter();
    run(async {
        let one = teller(1, [Route::new(net("192.0.2.0/24")).next_hop(address("10.77.0.9"))]).await;
        let us = builder(3).start().await.unwrap();
        join(&us, &[&one], &options()).await;
        await_best(&us, &[("192.0.2.0/24", "10.77.0.9")]).await;
        let untracked = KernelConfig { track_next_hops: false, ..KernelConfig::default() };
        let other = builder(4).fib(untracked, MemoryFib::new(186)).start().await.unwrap();
        join(&other, &[&one], &options()).await;
        await_best(&other, &[("192.0.2.0/24", "10.77.0.9")]).await;
    });
}

fn importing(actions: impl IntoIterator<Item = Action>) -> SessionOptions {
    let rule = actions.into_iter().fold(Rule::accept("all"), Rule::then);
    let import = Policy::compile(PolicyConfig::new("kernel", Verdict::Accept).rule(rule)).unwrap();
    SessionOptions { import: Some(import), ..options() }
}

fn policy_says_metric_table_and_weight() {
    let namespace = Namespace::enter();
    run(async {
        let told = |prefix: &str, next_hop: &str| Route::new(net(prefix)).next_hop(address(next_hop));
        let one = teller(1, [told("192.0.2.0/24", "10.0.0.9"), told("198.51.100.0/24", "10.0.0.9")]).await;
        let two = teller(2, [told("192.0.2.0/24", "10.0.1.9")]).await;
        let three =
            teller(5, [told("203.0.113.0/24", "10.0.0.9"), told("2001:db8:f::/48", "2001:db8::9")]).await;
        let kernel = KernelConfig { tables: vec![1000], ..KernelConfig::default() };
        let us = builder(3).kernel(kernel).max_paths(4).start().await.unwrap();
        join(&us, &[&one], &importing([Action::MetricFromLocalPref, Action::Weight(3)])).await;
        join(&us, &[&two], &importing([Action::MetricFromLocalPref])).await;
        join(&us, &[&three], &importing([Action::Table(1000)])).await;
        await_kernel(&namespace, "198.51.100.0/24", &["metric 2147483547"]).await;
        await_kernel(
            &namespace,
            "192.0.2.0/24",
            &["via 10.0.0.9 dev e0 weight 3", "via 10.0.1.9 dev e1 weight 1"],
        )
        .await;
        eventually("table 1000", async || match namespace.routes(1000, "proto bgp") {
            routes if routes.len() == 2 => Ok(()),
            routes => Err(format!("{routes:?}")),
        })
        .await;
        assert_eq!(namespace.ours().len(), 2);
    });
}

fn tables_that_policy_used_are_swept_after_a_restart() {
    let namespace = Namespace::enter();
    namespace.ip("route add 198.18.0.0/15 via 10.0.0.9 proto static table 1000 metric 186");
    run(async {
        let told = |prefix: &str| Route::new(net(prefix)).next_hop(address("10.0.0.9"));
        let one = teller(1, [told("192.0.2.0/24"), told("198.51.100.0/24")]).await;
        let kernel = || KernelConfig { tables: vec![1000], ..KernelConfig::default() };
        let us = builder(3).kernel(kernel()).start().await.unwrap();
        join(&us, &[&one], &importing([Action::Table(1000)])).await;
        let count = async |expected: usize| {
            eventually("that many routes", async || match namespace.routes(1000, "proto bgp").len() {
                count if count == expected => Ok(()),
                count => Err(count.to_string()),
            })
            .await;
        };
        count(2).await;
        let port = us.status().listen[0];
        us.shutdown(ShutdownMode::Restart).await;
        assert_eq!(namespace.routes(1000, "proto bgp").len(), 2);
        one.withdraw(OWNER, [net("198.51.100.0/24")]).await.unwrap();
        let us = Speaker::builder(ASN, RouterId::from(std::net::Ipv4Addr::new(127, 50, 0, 3)))
            .listen(port)
            .kernel(kernel())
            .peer(peer_of(&one, importing([Action::Table(1000)])))
            .start()
            .await
            .unwrap();
        count(1).await;
        assert_eq!(us.status().kernel.as_ref().unwrap().adopted, 1);
        assert_eq!(namespace.routes(1000, "proto static").len(), 1);
    });
}

fn a_block_of_our_own_drops_what_no_more_specific_route_takes() {
    let namespace = Namespace::enter();
    run(async {
        let block = Route::new(net("10.65.0.0/26")).discard(Discard::Blackhole);
        let plain = Route::new(net("10.66.0.0/26"));
        let us =
            builder(3).announce(OWNER, [block, plain]).kernel(KernelConfig::default()).start().await.unwrap();
        await_kernel(&namespace, "10.65.0.0/26", &["blackhole"]).await;
        // A workload's route, which is not ours, stays and goes as it will.
        namespace.ip("route add 10.65.0.7/32 dev e0 proto static");
        assert!(namespace.ip("route get 10.65.0.7").contains("dev e0"));
        assert_eq!(namespace.ours().len(), 1);
        // The block itself may be the network behind an interface.
        namespace.ip("route add 10.65.0.0/26 dev e0 proto static metric 1024");
        assert!(namespace.ip("route get 10.65.0.9").contains("dev e0"));
        us.withdraw(OWNER, [net("10.65.0.0/26")]).await.unwrap();
        await_no_kernel(&namespace, "10.65.0.0/26").await;
    });
}

fn a_blackhole_community_drops_in_the_kernel() {
    let namespace = Namespace::enter();
    run(async {
        let told = Route::new(net("192.0.2.66/32")).next_hop(address("10.0.0.9"));
        let one = teller(1, [told]).await;
        let us = builder(3).kernel(KernelConfig::default()).start().await.unwrap();
        join(&us, &[&one], &importing([Action::Discard(Discard::Blackhole)])).await;
        await_kernel(&namespace, "192.0.2.66", &["blackhole"]).await;
    });
}

fn what_we_originate_over_an_address_of_our_own_is_told() {
    let namespace = Namespace::enter();
    namespace.ip("address add 10.9.9.9/32 dev lo");
    run(async {
        let anycast = Route::new(net("192.0.2.0/24")).next_hop(address("10.9.9.9"));
        let us = builder(3).kernel(KernelConfig::default()).announce(OWNER, [anycast]).start().await.unwrap();
        let listener = teller(2, []).await;
        join(&us, &[&listener], &options()).await;
        eventually("192.0.2.0/24", async || match best(&listener).await {
            best if best == [(net("192.0.2.0/24"), Some(address("10.9.9.9")))] => Ok(()),
            best => Err(format!("{best:?}")),
        })
        .await;
        // Also when no session is there whose address is known as ours.
        listener.shutdown(ShutdownMode::HardReset).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        await_best(&us, &[("192.0.2.0/24", "10.9.9.9")]).await;
    });
}

fn a_peer_whose_next_hop_is_our_own_address_is_not_followed() {
    let namespace = Namespace::enter();
    namespace.ip("address add 10.9.9.9/32 dev lo");
    run(async {
        let told = |prefix: &str, next_hop: &str| Route::new(net(prefix)).next_hop(address(next_hop));
        let one = teller(1, [told("192.0.2.0/24", "10.9.9.9"), told("198.51.100.0/24", "10.0.0.9")]).await;
        let us = builder(3).kernel(KernelConfig::default()).start().await.unwrap();
        join(&us, &[&one], &options()).await;
        await_best(&us, &[("198.51.100.0/24", "10.0.0.9")]).await;
        await_kernel(&namespace, "198.51.100.0/24", &["via 10.0.0.9"]).await;
        assert_eq!(namespace.ours().len(), 1);
        let explained = us.explain(net("192.0.2.0/24")).await.unwrap().unwrap();
        let own = PathVerdict::Ineligible(Ineligible::OwnNextHop);
        assert_eq!(explained.paths.first().map(|path| path.verdict), Some(own));
    });
}

fn a_next_hop_behind_its_own_route_is_not_used() {
    let namespace = Namespace::enter();
    run(async {
        let told = |prefix: &str, next_hop: &str| Route::new(net(prefix)).next_hop(address(next_hop));
        let one = teller(1, [told("172.16.0.0/12", "10.0.0.9").local_pref(200)]).await;
        let two = teller(2, [told("172.16.0.0/12", "172.16.5.5").local_pref(100)]).await;
        let us = builder(3).kernel(KernelConfig::default()).start().await.unwrap();
        join(&us, &[&one], &options()).await;
        await_kernel(&namespace, "172.16.0.0/12", &["via 10.0.0.9"]).await;
        join(&us, &[&two], &options()).await;
        one.withdraw(OWNER, [net("172.16.0.0/12")]).await.unwrap();
        // Its own former way does not keep it.
        await_no_kernel(&namespace, "172.16.0.0/12").await;
        await_best(&us, &[]).await;
        namespace.ip("route add default via 10.0.0.8");
        await_best(&us, &[("172.16.0.0/12", "172.16.5.5")]).await;
        await_kernel(&namespace, "172.16.0.0/12", &["via 10.0.0.8"]).await;
        namespace.ip("route replace default via 10.0.1.8");
        await_kernel(&namespace, "172.16.0.0/12", &["via 10.0.1.8"]).await;
        namespace.ip("route del default");
        await_no_kernel(&namespace, "172.16.0.0/12").await;
        await_best(&us, &[]).await;
    });
}

fn an_ipv4_address_within_an_ipv6_next_hop_is_looked_up_as_such() {
    let namespace = Namespace::enter();
    namespace.ip("-6 route add unreachable ::ffff:0:0/96");
    run(async {
        let told = |next_hop: &str| Route::new(net("2001:db8:f::/48")).next_hop(address(next_hop));
        let one = teller(1, [told("::ffff:10.77.0.9")]).await;
        let us = builder(3).kernel(KernelConfig::default()).start().await.unwrap();
        join(&us, &[&one], &options()).await;
        eventually("the path", async || match us.status().table.paths {
            1 => Ok(()),
            paths => Err(format!("{paths} paths")),
        })
        .await;
        await_best(&us, &[]).await;
        namespace.ip("route add 10.77.0.0/16 via 10.0.1.9");
        await_best(&us, &[("2001:db8:f::/48", "::ffff:10.77.0.9")]).await;
        namespace.ip("route del 10.77.0.0/16");
        await_best(&us, &[]).await;
    });
}
