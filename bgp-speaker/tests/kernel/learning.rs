//! Kernel routes of others become originations, and go with them.

use bgp_speaker::kernel::{KernelConfig, LearnConfig};
use bgp_speaker::policy::{
    Action, Condition, Glob, Policy, PolicyConfig, Rule, Span, Verdict, local_pref_of_metric,
};
use bgp_speaker::{
    Desired, Learning, PathVerdict, Route, RouteFilter, RouteNews, Rung, SessionOptions, Source, Speaker,
    Subject, preference,
};
use ipnet::IpNet;

use crate::namespace::Namespace;
use crate::speakers::{
    OWNER, address, await_best, await_kernel, await_no_kernel, builder, eventually, join, net, options, run,
    teller,
};

stories![
    routes_of_workloads_come_and_go_with_the_kernels,
    only_what_passes_the_filter_is_learned,
    what_the_kernel_export_writes_is_never_learned,
    a_link_that_goes_takes_its_learned_routes_and_gives_them_back,
    no_more_than_the_limit_is_learned,
    ten_thousand_changes_at_once_lose_none,
    the_desired_state_of_the_caller_leaves_learned_routes_alone,
    a_route_that_loses_one_of_several_under_its_key_is_never_withdrawn,
    what_is_learned_is_part_of_the_desired_state,
    a_protocol_that_the_kernel_export_takes_up_is_not_learned_from_any_more,
    a_route_of_a_peer_comes_before_a_learned_one_which_stays_where_it_is,
    a_workload_that_moves_away_is_followed_although_its_route_is_still_here,
    connected_networks_that_are_learned_come_before_all_else,
];

/// Prefixes that a speaker knows, in order.
async fn known(speaker: &Speaker) -> Vec<IpNet> {
    let mut known = Vec::new();
    let mut from = None;
    loop {
        let page = speaker.routes(RouteFilter::default(), from, 1000).await.unwrap();
        known.extend(page.routes.iter().filter_map(|route| route.destination.prefix()));
        from = page.next;
        if from.is_none() {
            known.sort_unstable();
            known.dedup();
            return known;
        }
    }
}

async fn await_known(speaker: &Speaker, expected: &[&str]) {
    let mut expected: Vec<IpNet> = expected.iter().map(|prefix| net(prefix)).collect();
    expected.sort_unstable();
    eventually("these prefixes", async || match known(speaker).await {
        known if known == expected => Ok(()),
        known => Err(format!("{known:?} and not {expected:?}")),
    })
    .await;
}

fn routes_of_workloads_come_and_go_with_the_kernels() {
    let namespace = Namespace::enter();
    namespace.ip("route add 10.65.0.2/32 dev e0 scope link proto 80");
    run(async {
        let listener = teller(4, []).await;
        let us = builder(3).learn(LearnConfig::default()).start().await.unwrap();
        join(&us, &[&listener], &options()).await;
        await_known(&listener, &["10.65.0.2/32"]).await;
        namespace.ip("route add 10.65.0.3/32 dev e1 scope link proto 80");
        namespace.ip("route add 2001:db8:65::3/128 dev e1 proto 80");
        namespace.ip("route add default via 10.0.0.9 proto static");
        await_known(&us, &["0.0.0.0/0", "10.65.0.2/32", "10.65.0.3/32", "2001:db8:65::3/128"]).await;
        namespace.ip("route del 10.65.0.2/32");
        namespace.ip("route del 2001:db8:65::3/128");
        await_known(&listener, &["0.0.0.0/0", "10.65.0.3/32"]).await;
        // One of two metrics goes, the other stays.
        namespace.ip("route add 10.65.0.3/32 dev e0 scope link proto 80 metric 512");
        namespace.ip("route del 10.65.0.3/32 dev e1 metric 0");
        namespace.ip("route del default");
        await_known(&listener, &["10.65.0.3/32"]).await;
        namespace.ip("route replace blackhole 10.65.0.3/32 proto 80 metric 512");
        await_known(&listener, &[]).await;
    });
}

fn only_what_passes_the_filter_is_learned() {
    let namespace = Namespace::enter();
    let glob = |text: &str| text.parse::<Glob>().unwrap();
    let config = LearnConfig {
        tables: vec![254, 1000],
        protocols: Some(vec![80]),
        interfaces: Some(vec![glob("e*")]),
        ignored_interfaces: vec![glob("e1")],
        within: Some(vec![net("10.65.0.0/16")]),
        on_link_only: true,
        ..LearnConfig::default()
    };
    for route in [
        "10.65.0.1/32 dev e0 proto 80",
        "10.65.0.2/32 dev e0 proto 80 table 1000",
        "10.65.0.3/32 dev e0 proto 80 table 1001",
        "10.65.0.4/32 dev e0 proto static",
        "10.65.0.5/32 dev e1 proto 80",
        "10.65.0.6/32 dev lo proto 80",
        "10.66.0.7/32 dev e0 proto 80",
        "10.65.0.8/32 via 10.0.0.9 proto 80",
        "blackhole 10.65.0.9/32 proto 80",
    ] {
        namespace.ip(&format!("route add {route}"));
    }
    run(async {
        let us = builder(3).learn(config).start().await.unwrap();
        await_known(&us, &["10.65.0.1/32", "10.65.0.2/32"]).await;
        namespace.ip("route add 10.65.0.10/32 dev e1 proto 80");
        namespace.ip("route add 10.65.0.11/32 dev e0 proto 80");
        await_known(&us, &["10.65.0.1/32", "10.65.0.2/32", "10.65.0.11/32"]).await;
    });
}

fn what_the_kernel_export_writes_is_never_learned() {
    let namespace = Namespace::enter();
    run(async {
        let one = teller(1, [Route::new(net("192.0.2.0/24")).next_hop(address("10.0.0.9"))]).await;
        let us =
            builder(3).kernel(KernelConfig::default()).learn(LearnConfig::default()).start().await.unwrap();
        join(&us, &[&one], &options()).await;
        eventually("the route in the kernel", async || match namespace.ours().len() {
            1 => Ok(()),
            other => Err(other.to_string()),
        })
        .await;
        namespace.ip("route add 10.65.0.1/32 dev e0 proto 80");
        await_known(&us, &["10.65.0.1/32", "192.0.2.0/24"]).await;
        let own = RouteFilter::default();
        let page = us.routes(own, None, 100).await.unwrap();
        assert_eq!(page.routes.len(), 2, "one path each");
    });
}

fn a_link_that_goes_takes_its_learned_routes_and_gives_them_back() {
    let namespace = Namespace::enter();
    namespace.ip("route add 10.65.0.1/32 dev e0 proto 80");
    namespace.ip("route add 10.65.0.2/32 dev e1 proto 80");
    run(async {
        let us = builder(3).learn(LearnConfig::default()).start().await.unwrap();
        await_known(&us, &["10.65.0.1/32", "10.65.0.2/32"]).await;
        namespace.ip("link set e0 down");
        await_known(&us, &["10.65.0.2/32"]).await;
        namespace.ip("link set e0 up");
        namespace.ip("route add 10.65.0.1/32 dev e0 proto 80");
        await_known(&us, &["10.65.0.1/32", "10.65.0.2/32"]).await;
        namespace.ip("link del e0");
        await_known(&us, &["10.65.0.2/32"]).await;
    });
}

fn no_more_than_the_limit_is_learned() {
    let namespace = Namespace::enter();
    for last in 0..20 {
        namespace.ip(&format!("route add 10.65.0.{last}/32 dev e0 proto 80"));
    }
    run(async {
        let config = LearnConfig { limit: 12, ..LearnConfig::default() };
        let us = builder(3).learn(config).start().await.unwrap();
        eventually("twelve", async || match known(&us).await.len() {
            12 => Ok(()),
            other => Err(other.to_string()),
        })
        .await;
        namespace.ip("route add 10.65.1.1/32 dev e0 proto 80");
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        assert_eq!(known(&us).await.len(), 12);
    });
}

fn ten_thousand_changes_at_once_lose_none() {
    let namespace = Namespace::enter();
    run(async {
        let us = builder(3).learn(LearnConfig::default()).start().await.unwrap();
        let lines = |verb: &str, from: u32| -> String {
            let line = |n: u32| {
                format!(
                    "route {verb} 10.{}.{}.{}/32 dev e0 proto 80\n",
                    64 + n / 65536,
                    n / 256 % 256,
                    n % 256
                )
            };
            (from..10_000).map(line).collect()
        };
        namespace.batch(&lines("add", 0));
        eventually("all of them", async || match known(&us).await.len() {
            10_000 => Ok(()),
            other => Err(other.to_string()),
        })
        .await;
        namespace.batch(&lines("del", 1));
        await_known(&us, &["10.64.0.0/32"]).await;
    });
}

fn the_desired_state_of_the_caller_leaves_learned_routes_alone() {
    let namespace = Namespace::enter();
    namespace.ip("route add 10.65.0.1/32 dev e0 proto 80");
    run(async {
        let us = builder(3).learn(LearnConfig::default()).start().await.unwrap();
        await_known(&us, &["10.65.0.1/32"]).await;
        let mut desired = Desired::default();
        desired.routes.insert(OWNER, vec![Route::new(net("10.66.0.0/26"))]);
        us.apply(desired).await.unwrap();
        await_known(&us, &["10.65.0.1/32", "10.66.0.0/26"]).await;
        us.apply(Desired::default()).await.unwrap();
        await_known(&us, &["10.65.0.1/32"]).await;
    });
}

fn a_route_that_loses_one_of_several_under_its_key_is_never_withdrawn() {
    let namespace = Namespace::enter();
    run(async {
        let us = builder(3).learn(LearnConfig::default()).start().await.unwrap();
        namespace.ip("route add 10.65.0.1/32 dev e0 proto 80");
        namespace.ip("route append 10.65.0.1/32 dev e1 proto 80");
        namespace.ip("route add 2001:db8:65::/64 proto 80 nexthop via 2001:db8::9 nexthop via 2001:db8:1::9");
        let both = ["10.65.0.1/32", "2001:db8:65::/64"];
        await_known(&us, &both).await;
        let mut told = us.subscribe();
        let _ = told.next().await;
        namespace.ip("route del 10.65.0.1/32 dev e1 proto 80");
        namespace.ip("route del 2001:db8:65::/64 via 2001:db8::9");
        // Nor does a route that is none of ours to learn take the place of the one that it stands beside.
        namespace.ip("route append blackhole 10.65.0.1/32 proto 80");
        let quiet = std::time::Duration::from_millis(600);
        while let Ok(Some(batch)) = tokio::time::timeout(quiet, told.next()).await {
            let RouteNews::Batch(batch) = batch else { panic!("it keeps up") };
            for change in batch.changes {
                assert!(change.best.is_some(), "{change:?}");
            }
        }
        assert_eq!(known(&us).await.len(), 2);
        namespace.ip("route del 10.65.0.1/32 dev e0 proto 80");
        namespace.ip("route del 2001:db8:65::/64");
        await_known(&us, &[]).await;
    });
}

fn what_is_learned_is_part_of_the_desired_state() {
    let namespace = Namespace::enter();
    namespace.ip("route add 10.65.0.1/32 dev e0 proto 80");
    namespace.ip("route add 10.66.0.1/32 dev e1 proto 81");
    run(async {
        let us = builder(3).start().await.unwrap();
        let learning = |edit: fn(&mut LearnConfig)| {
            let mut config = LearnConfig::default();
            edit(&mut config);
            Desired { learn: Some(Learning::On(config)), ..Desired::default() }
        };
        let all = learning(|_| {});
        let report = us.apply(all.clone()).await.unwrap();
        assert_eq!((report.changes[0].subject, report.changes[0].why.as_str()), (Subject::Learning, "begun"));
        await_known(&us, &["10.65.0.1/32", "10.66.0.1/32"]).await;
        assert_eq!(us.apply(all).await.unwrap().changes, []);
        let mut told = us.subscribe();
        us.apply(learning(|config| config.protocols = Some(vec![80]))).await.unwrap();
        await_known(&us, &["10.65.0.1/32"]).await;
        while let Some(RouteNews::Batch(batch)) = told.next().await {
            let stays = |change: &&bgp_speaker::RouteChange| change.prefix == net("10.65.0.1/32");
            assert!(batch.changes.iter().filter(stays).all(|change| change.best.is_some()), "{batch:?}");
            if batch.changes.iter().any(|change| change.best.is_none()) {
                break;
            }
        }
        us.apply(Desired { learn: Some(Learning::Off), ..Desired::default() }).await.unwrap();
        await_known(&us, &[]).await;
        // Nobody hears of the kernel any more.
        namespace.ip("route add 10.65.0.2/32 dev e0 proto 80");
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        await_known(&us, &[]).await;
    });
}

fn a_protocol_that_the_kernel_export_takes_up_is_not_learned_from_any_more() {
    let namespace = Namespace::enter();
    run(async {
        let one = teller(1, [Route::new(net("192.0.2.0/24")).next_hop(address("10.0.0.9"))]).await;
        let us =
            builder(3).learn(LearnConfig::default()).kernel(KernelConfig::default()).start().await.unwrap();
        join(&us, &[&one], &options()).await;
        let own = async |speaker: &Speaker| {
            let filter = RouteFilter { prefix: Some(net("192.0.2.0/24")), ..RouteFilter::default() };
            speaker.routes(filter, None, 10).await.unwrap().routes.len()
        };
        for protocol in [99, 98, 186] {
            let config = KernelConfig { protocol, ..KernelConfig::default() };
            let mut waiting = bgp_speaker::PeerConfig::new(one.status().listen[0].ip(), one.status().asn)
                .port(one.status().listen[0].port());
            waiting.options = options();
            let kernel = Some(bgp_speaker::KernelExport::On(config));
            us.apply(Desired { peers: vec![waiting], kernel, ..Desired::default() }).await.unwrap();
            eventually("it is written", async || {
                match namespace.routes(254, &format!("proto {protocol}")).len() {
                    1 => Ok(()),
                    other => Err(format!("{other} routes of {protocol}")),
                }
            })
            .await;
            tokio::time::sleep(std::time::Duration::from_millis(400)).await;
            assert_eq!(own(&us).await, 1, "the path of the peer, and none that came back from the kernel");
        }
    });
}

/// What the kernel holds of another program for a prefix.
fn foreign(namespace: &Namespace, prefix: &str) -> Vec<String> {
    namespace.routes(254, "proto 80").into_iter().filter(|route| route.starts_with(prefix)).collect()
}

fn a_route_of_a_peer_comes_before_a_learned_one_which_stays_where_it_is() {
    let namespace = Namespace::enter();
    namespace.ip("route add 10.65.0.2/32 dev e1 scope link proto 80 metric 1024");
    let before = foreign(&namespace, "10.65.0.2");
    run(async {
        let one = teller(1, []).await;
        let listener = teller(4, []).await;
        let us =
            builder(3).kernel(KernelConfig::default()).learn(LearnConfig::default()).start().await.unwrap();
        let clients = SessionOptions { route_reflector_client: true, ..options() };
        join(&us, &[&one, &listener], &clients).await;
        await_known(&one, &["10.65.0.2/32"]).await;
        await_best(&listener, &[("10.65.0.2/32", "127.50.0.3")]).await;
        let told = Route::new(net("10.65.0.2/32")).next_hop(address("10.0.0.9"));
        one.announce(OWNER, [told]).await.unwrap();
        await_kernel(&namespace, "10.65.0.2", &["via", "10.0.0.9", "metric", "186"]).await;
        await_best(&listener, &[("10.65.0.2/32", "10.0.0.9")]).await;
        assert_eq!(foreign(&namespace, "10.65.0.2"), before);
        // The other way round, the other one all the time in its place.
        one.withdraw(OWNER, [net("10.65.0.2/32")]).await.unwrap();
        await_no_kernel(&namespace, "10.65.0.2").await;
        await_best(&listener, &[("10.65.0.2/32", "127.50.0.3")]).await;
        assert_eq!(foreign(&namespace, "10.65.0.2"), before);
    });
}

fn a_workload_that_moves_away_is_followed_although_its_route_is_still_here() {
    let namespace = Namespace::enter();
    namespace.ip("route add 10.65.0.2/32 dev e1 scope link proto 80 metric 1024");
    let normal = local_pref_of_metric(1024);
    let elevated = Condition::LocalPref(Span::from(normal + 1..=u32::MAX));
    let import = PolicyConfig::new("import", Verdict::Accept)
        .rule(Rule::go_on("elevation").when(elevated).then(Action::Preference(200)))
        .rule(Rule::go_on("metric").then(Action::MetricFromLocalPref));
    let import = Some(Policy::compile(import).unwrap());
    run(async {
        let one = teller(1, []).await;
        // Without a kernel of its own to learn from: the agent tells what its workloads have.
        let own = Route::new(net("10.65.0.2/32")).metric(1024).preference(preference::LEARNED + 100);
        let us = builder(3).kernel(KernelConfig::default()).announce(OWNER, [own]).start().await.unwrap();
        join(&us, &[&one], &SessionOptions { import, ..options() }).await;
        await_known(&one, &["10.65.0.2/32"]).await;
        let route = |metric| {
            Route::new(net("10.65.0.2/32"))
                .next_hop(address("10.0.0.9"))
                .local_pref(local_pref_of_metric(metric))
        };
        one.announce(OWNER, [route(1024)]).await.unwrap();
        one.announce(OWNER, [route(512)]).await.unwrap();
        await_kernel(&namespace, "10.65.0.2", &["via", "10.0.0.9", "metric", "512"]).await;
        let way = namespace.ip("route get 10.65.0.2");
        assert!(way.contains("via 10.0.0.9"), "before the workload's own, whose metric is 1024: {way}");
        assert_eq!(foreign(&namespace, "10.65.0.2").len(), 1);
        // It is an ordinary route again, and ours counts.
        one.announce(OWNER, [route(1024)]).await.unwrap();
        await_no_kernel(&namespace, "10.65.0.2").await;
        assert_eq!(foreign(&namespace, "10.65.0.2").len(), 1);
    });
}

fn connected_networks_that_are_learned_come_before_all_else() {
    let _namespace = Namespace::enter();
    run(async {
        let one = teller(1, [Route::new(net("10.0.1.0/24")).next_hop(address("10.0.0.9"))]).await;
        let learn = LearnConfig {
            protocols: Some(vec![2]),
            within: Some(vec![net("10.0.1.0/24")]),
            ..LearnConfig::default()
        };
        let us = builder(3).learn(learn).start().await.unwrap();
        us.announce(OWNER, [Route::new(net("10.0.1.0/24"))]).await.unwrap();
        join(&us, &[&one], &options()).await;
        eventually("three paths", async || {
            let explained = us.explain(net("10.0.1.0/24")).await.unwrap();
            let verdicts: Vec<_> = explained
                .iter()
                .flat_map(|told| &told.paths)
                .map(|path| (path.source, path.verdict))
                .collect();
            let lost = |at: usize| verdicts.get(at).map(|(_, verdict)| *verdict);
            let learned = verdicts
                .first()
                .is_some_and(|(source, _)| matches!(source, Source::Local(owner) if *owner != OWNER));
            let fell = Some(PathVerdict::Lost(Rung::Preference));
            if learned && lost(1) == fell && lost(2) == fell { Ok(()) } else { Err(format!("{verdicts:?}")) }
        })
        .await;
    });
}
