//! The export of a whole speaker on a real kernel while its settings change.

use bgp_speaker::kernel::KernelConfig;
use bgp_speaker::{Desired, KernelExport, PeerConfig, Route, RouteFilter, Speaker};

use crate::namespace::Namespace;
use crate::speakers::{address, builder, eventually, net, options, run, teller};

stories![
    another_table_holds_a_route_before_the_former_one_lets_it_go,
    another_protocol_and_its_objects_take_the_place_of_the_former,
    an_export_that_ends_leaves_nothing_and_begins_again,
];

const PREFIXES: [&str; 4] = ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8:f::/48"];

/// A speaker that exports four routes over two next hops; the state that leads there, with these settings.
async fn exporting() -> (Speaker, Speaker, Desired) {
    let told = PREFIXES.map(|prefix| {
        let next_hop = if prefix.contains(':') { "2001:db8::9" } else { "10.0.0.9" };
        Route::new(net(prefix)).next_hop(address(next_hop))
    });
    let one = teller(1, told).await;
    let us = builder(3).start().await.unwrap();
    let at = one.status().listen[0];
    let mut to_one = PeerConfig::new(at.ip(), one.status().asn).port(at.port());
    to_one.options = options();
    let mut waiting = PeerConfig::new(us.status().listen[0].ip(), one.status().asn).passive();
    waiting.options = bgp_speaker::SessionOptions { passive: true, ..options() };
    one.add_peer(waiting).await.unwrap();
    let desired = Desired {
        peers: vec![to_one],
        kernel: Some(KernelExport::On(KernelConfig::default())),
        ..Desired::default()
    };
    us.apply(desired.clone()).await.unwrap();
    (one, us, desired)
}

async fn await_routes(namespace: &Namespace, table: u32, select: &str, count: usize) {
    eventually(&format!("{count} routes in table {table}, {select}"), async || {
        let routes = namespace.routes(table, select);
        if routes.len() == count { Ok(()) } else { Err(format!("{routes:#?}")) }
    })
    .await;
}

fn with(edit: impl FnOnce(&mut KernelConfig)) -> Option<KernelExport> {
    let mut config = KernelConfig::default();
    edit(&mut config);
    Some(KernelExport::On(config))
}

fn another_table_holds_a_route_before_the_former_one_lets_it_go() {
    let namespace = Namespace::enter();
    run(async {
        let (_one, us, mut desired) = exporting().await;
        await_routes(&namespace, 254, "proto bgp", 4).await;
        let monitor = namespace.monitor();
        desired.kernel = with(|config| config.table = 100);
        let report = us.apply(desired).await.unwrap();
        assert_eq!(report.not_done, []);
        await_routes(&namespace, 100, "proto bgp", 4).await;
        await_routes(&namespace, 254, "proto bgp", 0).await;
        let seen = namespace.seen(&monitor);
        for prefix in PREFIXES {
            let of: Vec<&String> = seen.iter().filter(|line| line.contains(prefix)).collect();
            let [added, deleted] = of[..] else { panic!("{of:#?}") };
            assert!(added.contains("table 100") && !added.starts_with("Deleted"), "{of:#?}");
            assert!(deleted.starts_with("Deleted"), "{of:#?}");
        }
    });
}

fn another_protocol_and_its_objects_take_the_place_of_the_former() {
    let namespace = Namespace::enter();
    run(async {
        let (one, us, mut desired) = exporting().await;
        await_routes(&namespace, 254, "proto bgp", 4).await;
        let monitor = namespace.monitor();
        desired.kernel = with(|config| config.protocol = 99);
        us.apply(desired).await.unwrap();
        await_routes(&namespace, 254, "proto 99", 4).await;
        await_routes(&namespace, 254, "proto bgp", 0).await;
        let deleted: Vec<String> =
            namespace.seen(&monitor).into_iter().filter(|line| line.starts_with("Deleted")).collect();
        assert_eq!(deleted, [""; 0]);
        eventually("its objects are gone", async || match namespace.objects() {
            objects if objects.is_empty() => Ok(()),
            objects => Err(format!("{objects:#?}")),
        })
        .await;
        one.withdraw(crate::speakers::OWNER, PREFIXES.map(net)).await.unwrap();
        await_routes(&namespace, 254, "proto 99", 0).await;
    });
}

fn an_export_that_ends_leaves_nothing_and_begins_again() {
    let namespace = Namespace::enter();
    run(async {
        let (_one, us, mut desired) = exporting().await;
        await_routes(&namespace, 254, "proto bgp", 4).await;
        for _ in 0..2 {
            desired.kernel = Some(KernelExport::Off);
            us.apply(desired.clone()).await.unwrap();
            await_routes(&namespace, 254, "proto bgp", 0).await;
            assert_eq!(namespace.objects(), [""; 0]);
            let page = us.routes(RouteFilter::default(), None, 10).await.unwrap();
            assert_eq!(page.routes.len(), 4, "the tables still have them");
            desired.kernel = with(|_| {});
            us.apply(desired.clone()).await.unwrap();
            await_routes(&namespace, 254, "proto bgp", 4).await;
        }
    });
}
