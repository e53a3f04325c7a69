//! The kernel export while it changes: on, off, and from one table, metric or protocol to another.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bgp_speaker::kernel::{FibOp, KernelAction, KernelConfig, MemoryFib, RouteKey};
use bgp_speaker::policy::{
    Action, CommunityEdit, Condition, Discard, Number, Policy, PolicyConfig, PrefixRange, PrefixSet,
    Quantifier, Rule, Verdict,
};
use bgp_speaker::{
    Change, ChangeClass, Community, Desired, KernelExport, NotDone, Route, ShutdownMode, Speaker,
    SpeakerError, Subject,
};
use ipnet::IpNet;

use crate::scripted::{Scripted, update};
use crate::support::{
    ASN, OWNER, announce, builder, connect, eventually, has_exactly, ip, listening, net, peer, peer_of,
    prefixes, speaker, waiting_for,
};

const PREFIXES: [&str; 3] = ["10.1.0.0/26", "10.1.1.0/26", "10.1.2.0/26"];

/// One that tells the prefixes, and one that exports them, with the desired state that led there.
async fn exporting(test: u8, fib: &MemoryFib) -> (Speaker, Speaker, Desired) {
    let (a, b) = (ip(test, 1), builder(ip(test, 2), ASN));
    let a = speaker(a).await;
    fib.connect(net("127.0.0.0/8"), 1);
    let b = b.fib(KernelConfig::default(), fib.clone()).start().await.unwrap();
    announce(&a, &PREFIXES).await;
    connect(&b, &a).await;
    eventually("all are written", async || fib.routes().len() == PREFIXES.len()).await;
    eventually("leftovers may go", async || b.status().kernel.as_ref().is_some_and(|k| k.synced)).await;
    let desired = Desired { peers: vec![waiting_for(ip(test, 1), ASN)], ..Desired::default() };
    b.apply(desired.clone()).await.unwrap();
    fib.take_log();
    (a, b, desired)
}

fn with(edit: impl FnOnce(&mut KernelConfig)) -> Option<KernelExport> {
    let mut config = KernelConfig::default();
    edit(&mut config);
    Some(KernelExport::On(config))
}

/// The change of the kernel export that a desired state makes.
async fn change(speaker: &Speaker, desired: &Desired) -> Change {
    let report = speaker.apply(desired.clone()).await.unwrap();
    let [change] = &report.changes[..] else { panic!("not one change: {report:?}") };
    assert_eq!(
        (change.subject, change.class, &report.not_done[..]),
        (Subject::Kernel, ChangeClass::Soft, &[][..])
    );
    change.clone()
}

/// Tables, metrics and protocols that there are routes with.
fn places(fib: &MemoryFib) -> BTreeSet<(u32, u32, u8)> {
    fib.routes().into_iter().map(|(key, protocol, _)| (key.table, key.metric, protocol)).collect()
}

async fn all_at(fib: &MemoryFib, table: u32, metric: u32, protocol: u8) {
    let there = || fib.routes().len() == PREFIXES.len() && places(fib) == [(table, metric, protocol)].into();
    eventually(&format!("all are at {:?}", (table, metric, protocol)), async || there()).await;
}

/// Whether no prefix was ever without a route in what was written.
fn never_gone(log: &[FibOp], mut there: BTreeSet<RouteKey>) -> bool {
    log.iter().all(|operation| {
        match operation.is_removal() {
            true => there.remove(&operation.key()),
            false => there.insert(operation.key()),
        };
        let prefixes: BTreeSet<IpNet> = there.iter().map(|key| key.prefix).collect();
        prefixes.len() == PREFIXES.len()
    })
}

fn keys(fib: &MemoryFib) -> BTreeSet<RouteKey> {
    fib.routes().into_iter().map(|(key, ..)| key).collect()
}

#[tokio::test]
async fn another_table_and_metric_are_written_before_the_former_are_removed() {
    let fib = MemoryFib::new(186);
    let (_a, b, mut desired) = exporting(120, &fib).await;
    for (table, metric) in [(100, 186), (100, 77), (254, 20)] {
        let before = keys(&fib);
        desired.kernel = with(|config| (config.table, config.metric) = (table, metric));
        assert!(change(&b, &desired).await.why.starts_with("changed: "));
        all_at(&fib, table, metric, 186).await;
        let log = fib.take_log();
        assert!(never_gone(&log, before), "{log:?}");
        assert_eq!(log.len(), 2 * PREFIXES.len(), "each is written once and removed once: {log:?}");
    }
    assert_eq!(b.apply(desired).await.unwrap().changes, []);
}

#[tokio::test]
async fn another_protocol_takes_the_place_of_the_former_route_by_route() {
    let fib = MemoryFib::new(186);
    let (a, b, mut desired) = exporting(121, &fib).await;
    desired.kernel = with(|config| config.protocol = 99);
    assert_eq!(change(&b, &desired).await.why, "changed: protocol");
    all_at(&fib, 254, 186, 99).await;
    let log = fib.take_log();
    assert!(log.iter().all(|operation| matches!(operation, FibOp::Replace(..))), "{log:?}");
    // The former one is nobody's of ours once that is done: a route of it is another's.
    tokio::time::sleep(Duration::from_millis(700)).await;
    let key = RouteKey { prefix: net("10.1.0.0/26"), table: 254, metric: 186 };
    a.withdraw(OWNER, [net("10.1.0.0/26")]).await.unwrap();
    eventually("it goes", async || fib.routes().len() == 2).await;
    fib.put_foreign(key, 186, KernelAction::Blackhole);
    b.apply(Desired { kernel: with(|config| config.protocol = 98), ..desired }).await.unwrap();
    let moved = || places(&fib) == [(254, 186, 98), (254, 186, 186)].into();
    eventually("the others move on", async || moved()).await;
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert!(moved(), "what is another's stays: {:?}", fib.routes());
}

#[tokio::test]
async fn settings_that_move_no_route_touch_none() {
    let fib = MemoryFib::new(186);
    let (_a, b, mut desired) = exporting(122, &fib).await;
    desired.kernel = with(|config| {
        config.verify_interval = None;
        config.resolve_via_default = false;
        config.tables = vec![100];
    });
    change(&b, &desired).await;
    eventually("they are adopted", async || {
        b.status().kernel.as_ref().is_some_and(|k| k.synced && k.adopted == 3)
    })
    .await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(fib.take_log(), []);
    assert_eq!(peer(&b, ip(122, 1)).established, 1);
}

#[tokio::test]
async fn what_is_withdrawn_while_the_export_changes_goes() {
    let fib = MemoryFib::new(186);
    let (a, b, mut desired) = exporting(123, &fib).await;
    desired.kernel = with(|config| config.table = 100);
    let (applied, withdrawn) = tokio::join!(b.apply(desired), a.withdraw(OWNER, [net("10.1.1.0/26")]));
    applied.unwrap();
    withdrawn.unwrap();
    has_exactly(&b, &["10.1.0.0/26", "10.1.2.0/26"]).await;
    let wanted: BTreeSet<IpNet> = [net("10.1.0.0/26"), net("10.1.2.0/26")].into();
    let there =
        || keys(&fib).iter().filter(|key| key.table == 100).map(|key| key.prefix).collect::<BTreeSet<_>>();
    eventually("the two are moved and nothing is left", async || {
        there() == wanted && fib.routes().len() == 2
    })
    .await;
}

#[tokio::test]
async fn the_export_ends_and_begins_again() {
    let fib = MemoryFib::new(186);
    let (_a, b, mut desired) = exporting(124, &fib).await;
    desired.kernel = Some(KernelExport::Off);
    assert_eq!(change(&b, &desired).await.why, "ended: our routes are removed");
    assert!(fib.routes().is_empty());
    assert!(b.status().kernel.is_none());
    has_exactly(&b, &PREFIXES).await;
    desired.kernel = None;
    assert_eq!(change(&b, &desired).await.why, "begun");
    all_at(&fib, 254, 186, 186).await;
}

#[tokio::test]
async fn next_hops_count_only_while_there_is_an_export_that_looks_after_them() {
    let fib = MemoryFib::new(186);
    let (_a, b, mut desired) = exporting(125, &fib).await;
    fib.disconnect(net("127.0.0.0/8"));
    has_exactly(&b, &[]).await;
    desired.kernel = with(|config| config.track_next_hops = false);
    change(&b, &desired).await;
    has_exactly(&b, &PREFIXES).await;
    desired.kernel = with(|_| {});
    change(&b, &desired).await;
    has_exactly(&b, &[]).await;
    desired.kernel = Some(KernelExport::Off);
    change(&b, &desired).await;
    has_exactly(&b, &PREFIXES).await;
}

#[tokio::test]
async fn a_policy_says_what_is_exported_and_with_which_metric() {
    let fib = MemoryFib::new(186);
    let (_a, b, mut desired) = exporting(126, &fib).await;
    let within = |prefix| Condition::Prefix(PrefixRange::equal(net(prefix)).into());
    let policy = PolicyConfig::new("kernel", Verdict::Accept)
        .rule(Rule::reject("no").when(within("10.1.1.0/26")))
        .rule(Rule::accept("far").when(within("10.1.2.0/26")).then(Action::Metric(Number::Set(7))));
    let policy = Policy::compile(policy).unwrap();
    desired.kernel = with(|config| config.policy = Some(policy));
    assert_eq!(change(&b, &desired).await.why, "changed: policy");
    let wanted: BTreeSet<(IpNet, u32)> = [(net("10.1.0.0/26"), 186), (net("10.1.2.0/26"), 7)].into();
    let there = || keys(&fib).iter().map(|key| (key.prefix, key.metric)).collect::<BTreeSet<_>>();
    eventually("one is not there, one has another metric", async || there() == wanted).await;
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_and_nothing_is_changed() {
    let fib = MemoryFib::new(186);
    let (_a, b, mut desired) = exporting(127, &fib).await;
    desired.kernel = with(|config| config.protocol = 3);
    desired.peers.clear();
    let refused = b.apply(desired).await;
    assert!(matches!(refused, Err(SpeakerError::Kernel(_))), "{refused:?}");
    assert_eq!(b.status().established(), 1);
    assert_eq!(fib.take_log(), []);
}

#[tokio::test]
async fn a_kernel_that_may_not_be_written_is_told_and_the_rest_is_done() {
    if may_write_routes() {
        return;
    }
    let b = speaker(ip(128, 2)).await;
    let desired = Desired {
        kernel: with(|_| {}),
        peers: vec![waiting_for(IpAddr::from([127, 40, 128, 1]), ASN)],
        ..Desired::default()
    };
    let report = b.apply(desired).await.unwrap();
    assert!(matches!(&report.not_done[..], [NotDone::Kernel { .. }]), "{report:?}");
    assert!(report.peer(ip(128, 1)).is_some());
}

/// Whether this process may write kernel routes: then nothing stands against the export here.
fn may_write_routes() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(u64::MAX);
    mask & (1 << 12) != 0
}

#[tokio::test]
async fn routes_that_do_not_stay_go_after_the_peers_have_heard_the_last_word() {
    let fib = MemoryFib::new(186);
    let (a, b, mut desired) = exporting(129, &fib).await;
    desired.kernel = with(|config| config.keep_routes_at_exit = false);
    change(&b, &desired).await;
    eventually("they are adopted", async || b.status().kernel.as_ref().is_some_and(|k| k.synced)).await;
    // The way to the kernel fails as often as it is tried: removing takes its time.
    for prefix in PREFIXES {
        let error = bgp_speaker::kernel::RouteError::new(12, "");
        fib.refuse(net(prefix), Some(error));
    }
    let ending = tokio::spawn(async move { b.shutdown(ShutdownMode::HardReset).await });
    eventually("the peer has heard it", async || a.status().established() == 0).await;
    assert!(!ending.is_finished(), "the routes are still there");
    for prefix in PREFIXES {
        fib.refuse(net(prefix), None);
    }
    ending.await.unwrap();
}

/// Nothing that leaves by a tunnel.
fn no_tunnels() -> Policy {
    let tunnel = Condition::Interface("vxlan*".parse().unwrap());
    let rule = Rule::reject("tunnel").when(tunnel);
    Policy::compile(PolicyConfig::new("no tunnels", Verdict::Accept).rule(rule)).unwrap()
}

#[tokio::test]
async fn policies_follow_the_interface_by_which_a_peers_routes_leave() {
    let fib = MemoryFib::new(186);
    fib.name_link("vxlan.calico", 7);
    fib.name_link("eth0", 8);
    fib.connect(net("127.0.0.0/8"), 7);
    let a = speaker(ip(139, 1)).await;
    let config = KernelConfig { policy: Some(no_tunnels()), ..KernelConfig::default() };
    let b = builder(ip(139, 2), ASN).fib(config, fib.clone()).start().await.unwrap();
    announce(&a, &PREFIXES).await;
    connect(&b, &a).await;
    let c = speaker(ip(139, 3)).await;
    let mut client = waiting_for(ip(139, 3), ASN).reflector_client();
    client.options.export = Some(no_tunnels());
    b.add_peer(client).await.unwrap();
    c.add_peer(peer_of(&b)).await.unwrap();
    has_exactly(&b, &PREFIXES).await;
    let both = async |there: usize| {
        let what = format!("{there} routes in the kernel and at the client");
        eventually(&what, async || fib.routes().len() == there && prefixes(&c).await.len() == there).await;
    };
    eventually("all is told", async || peer(&b, ip(139, 3)).prefixes.export_rejected == 3).await;
    both(0).await;
    fib.connect(net("127.0.0.0/8"), 8);
    both(3).await;
    fib.name_link("vxlan-v6.calico", 8);
    both(0).await;
    assert_eq!(peer(&b, ip(139, 1)).established, 1);
    assert_eq!(peer(&b, ip(139, 3)).established, 1);
}

/// Takes what asks for a black hole (RFC 7999) of one's own addresses as such, keeps it inside the AS, and takes nothing
/// else that asks for one.
fn black_holes(own: &str) -> Policy {
    let asks = || Condition::Communities(Quantifier::Any, vec![Community::BLACKHOLE.into()]);
    let hosts = PrefixSet::from(PrefixRange::lengths(net(own), 32..=32).unwrap());
    let stays = Action::Communities(CommunityEdit::Add(vec![Community::NO_EXPORT]));
    let take = Rule::accept("black hole of its own").when(asks()).when(Condition::Prefix(hosts));
    let take = take.then(Action::Discard(Discard::Blackhole)).then(stays);
    let refuse = Rule::reject("black hole of others").when(asks());
    Policy::compile(PolicyConfig::new("black holes", Verdict::Accept).rule(take).rule(refuse)).unwrap()
}

#[tokio::test]
async fn a_blackhole_route_becomes_a_black_hole_of_the_kernel_where_policy_lets_it() {
    let fib = MemoryFib::new(186);
    fib.connect(net("127.0.0.0/8"), 1);
    let a = speaker(ip(146, 1)).await;
    let b = builder(ip(146, 2), ASN).fib(KernelConfig::default(), fib.clone()).start().await.unwrap();
    let mut customer = waiting_for(ip(146, 1), ASN);
    customer.options.import = Some(black_holes("10.1.0.0/24"));
    b.add_peer(customer).await.unwrap();
    a.add_peer(peer_of(&b)).await.unwrap();
    let asks = |prefix: &str| Route::new(net(prefix)).community(Community::BLACKHOLE);
    let routes =
        [asks("10.1.0.66/32"), asks("10.2.0.66/32"), asks("10.1.0.0/25"), Route::new(net("10.1.0.0/24"))];
    a.announce(OWNER, routes).await.unwrap();
    has_exactly(&b, &["10.1.0.0/24", "10.1.0.66/32"]).await;
    let there = |prefix: &str, black: bool| {
        fib.routes().iter().any(|(key, _, action)| {
            key.prefix == net(prefix) && (*action == KernelAction::Blackhole) == black
        })
    };
    let both = async |black: bool| {
        eventually("the kernel has both", async || {
            fib.routes().len() == 2 && there("10.1.0.66/32", black) && there("10.1.0.0/24", false)
        })
        .await;
    };
    both(true).await;
    // The attack is over.
    a.announce(OWNER, [Route::new(net("10.1.0.66/32"))]).await.unwrap();
    both(false).await;
}

#[tokio::test]
async fn a_prefix_that_belongs_to_no_network_is_neither_written_nor_told_nor_originated() {
    let fib = MemoryFib::new(186);
    fib.connect(net("127.0.0.0/8"), 1);
    let mut from = waiting_for(ip(133, 9), ASN);
    from.options.route_reflector_client = true;
    let kernel = KernelConfig { protocol: 186, ..KernelConfig::default() };
    let a = builder(ip(133, 1), ASN).peer(from).fib(kernel, fib.clone()).start().await.unwrap();
    let b = speaker(ip(133, 2)).await;
    connect(&a, &b).await;
    announce(&a, &["fe80::/64"]).await;
    let IpAddr::V4(hop) = ip(133, 9) else { unreachable!("loopback is IPv4") };
    let mut life = Scripted::connect(ip(133, 9), listening(&a)).await;
    life.establish(ASN, Ipv4Addr::new(192, 0, 2, 99), 90).await;
    let martians = ["224.0.1.0/24", "127.0.0.0/8", "0.0.0.0/8"];
    for prefix in martians.into_iter().chain(["10.1.0.0/24"]) {
        life.send(&update(hop, [prefix.parse().unwrap()])).await;
    }
    has_exactly(&b, &["10.1.0.0/24"]).await;
    eventually("the good one is written", async || !fib.routes().is_empty()).await;
    assert_eq!(fib.routes().iter().map(|(key, ..)| key.prefix).collect::<Vec<_>>(), [net("10.1.0.0/24")]);
}
