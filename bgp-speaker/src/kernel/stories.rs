//! Stories of the follower over a table in memory, in virtual time.

mod faults;
mod recursion;
mod weights;

use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::mpsc;

use super::error::errno;
use super::follower::{Follower, Turn};
use super::*;

const OURS: u8 = 186;
const STATIC: u8 = 4;

struct Story {
    fib: MemoryFib,
    follower: Follower,
    notices: mpsc::Receiver<FibNotice>,
    now: Duration,
}

impl Story {
    fn new() -> Self {
        Self::over(MemoryFib::new(OURS), KernelConfig::default())
    }

    fn over(fib: MemoryFib, config: KernelConfig) -> Self {
        let config = KernelConfig { verify_interval: None, ..config };
        let (sender, notices) = mpsc::channel(64);
        let board = std::sync::Arc::<next_hops::Board>::default();
        let follower = Follower::new(config, Box::new(fib.clone()), sender, board.clone());
        fib.connect(net("10.0.0.0/24"), 2);
        let mut story = Self { fib, follower, notices, now: Duration::ZERO };
        story.settle();
        story
    }

    /// Turns until nothing is due within the debounce.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            match self.follower.turn(self.now) {
                Turn::Busy => {}
                Turn::Idle(Some(at)) if at <= self.now + Duration::from_millis(200) => {
                    self.now = at.max(self.now);
                }
                Turn::Idle(_) => return,
            }
        }
        panic!("the follower never rests");
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.settle();
    }

    fn set(&mut self, route: FibRoute) {
        self.follower.apply(vec![FibChange::Set(route)]);
        self.settle();
    }

    fn remove(&mut self, prefix: &str) {
        self.follower.apply(vec![FibChange::Remove(net(prefix))]);
        self.settle();
    }

    fn state(&self, prefix: &str) -> Option<RouteState> {
        self.follower.report(&net(prefix)).map(|report| report.state)
    }

    fn notices(&mut self) -> Vec<FibNotice> {
        std::iter::from_fn(|| self.notices.try_recv().ok()).collect()
    }
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn key(prefix: &str) -> RouteKey {
    RouteKey { prefix: net(prefix), table: 254, metric: KernelConfig::default().metric }
}

fn via(prefix: &str, gateway: &str) -> FibRoute {
    FibRoute::via(net(prefix), gateway.parse().unwrap())
}

fn leg(gateway: &str, device: u32) -> KernelAction {
    let gateway = Some(gateway.parse().unwrap());
    KernelAction::unicast(vec![KernelHop { gateway, device, onlink: false, weight: 1 }])
}

#[test]
fn the_last_change_of_a_prefix_wins_with_one_write() {
    let mut story = Story::new();
    let changes = (1..=9).map(|last| FibChange::Set(via("192.0.2.0/24", &format!("10.0.0.{last}"))));
    story.follower.apply(changes.collect());
    story.settle();
    assert_eq!(story.fib.take_log(), [FibOp::Add(key("192.0.2.0/24"), leg("10.0.0.9", 2))]);
}

#[test]
fn an_unchanged_route_writes_nothing() {
    let mut story = Story::new();
    story.set(via("192.0.2.0/24", "10.0.0.1"));
    story.fib.take_log();
    story.set(via("192.0.2.0/24", "10.0.0.1"));
    assert_eq!(story.fib.take_log(), []);
}

#[test]
fn what_a_former_process_left_is_adopted_replaced_or_swept() {
    let fib = MemoryFib::new(OURS);
    for prefix in ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"] {
        fib.put_foreign(key(prefix), OURS, leg("10.0.0.1", 2));
    }
    let mut story = Story::over(fib, KernelConfig::default());
    assert_eq!(story.follower.status().routes.get(RouteState::Leftover), 3);
    story.set(via("192.0.2.0/24", "10.0.0.1"));
    story.set(via("198.51.100.0/24", "10.0.0.9"));
    assert_eq!(story.fib.take_log(), [FibOp::Replace(key("198.51.100.0/24"), leg("10.0.0.9", 2))]);
    story.pass(3600);
    assert_eq!(story.fib.routes().len(), 3, "nothing is swept before the table is synced");
    story.follower.synced();
    story.settle();
    assert_eq!(story.fib.take_log(), [FibOp::Delete(key("203.0.113.0/24"))]);
    let status = story.follower.status();
    assert_eq!((status.adopted, status.removed, status.routes.get(RouteState::Installed)), (1, 1, 2));
}

#[test]
fn a_former_process_of_another_metric_is_replaced_without_a_gap() {
    let fib = MemoryFib::new(OURS);
    let old = RouteKey { metric: 20, ..key("192.0.2.0/24") };
    fib.put_foreign(old, OURS, leg("10.0.0.1", 2));
    let mut story = Story::over(fib, KernelConfig::default());
    story.set(via("192.0.2.0/24", "10.0.0.1"));
    assert_eq!(
        story.fib.take_log(),
        [FibOp::Add(key("192.0.2.0/24"), leg("10.0.0.1", 2)), FibOp::Delete(old)]
    );
}

#[test]
fn what_a_blink_of_a_link_took_comes_back_at_once_and_a_flapping_link_is_answered_in_time() {
    let mut story = Story::new();
    story.set(via("192.0.2.0/24", "10.0.0.1"));
    story.fib.take_log();
    let add = FibOp::Add(key("192.0.2.0/24"), leg("10.0.0.1", 2));
    for blink in 0..5 {
        story.fib.carrier(2, false);
        story.fib.carrier(2, true);
        while story.follower.turn(story.now) == Turn::Busy {}
        let answered = if blink == 0 { vec![add.clone()] } else { Vec::new() };
        assert_eq!(story.fib.take_log(), answered, "blink {blink}");
    }
    story.settle();
    assert_eq!(story.fib.take_log(), [add], "all of it is settled after the debounce");
    assert_eq!(story.follower.status().removed, 0);
}

#[test]
fn a_foreign_route_holds_ours_back_until_it_goes() {
    let mut story = Story::new();
    story.fib.put_foreign(key("192.0.2.0/24"), STATIC, KernelAction::Blackhole);
    story.set(via("192.0.2.0/24", "10.0.0.1"));
    assert_eq!(story.state("192.0.2.0/24"), Some(RouteState::Conflict));
    assert_eq!(story.fib.routes(), [(key("192.0.2.0/24"), STATIC, KernelAction::Blackhole)]);
    story.fib.remove_foreign(key("192.0.2.0/24"), STATIC);
    story.settle();
    assert_eq!(story.fib.routes(), [(key("192.0.2.0/24"), OURS, leg("10.0.0.1", 2))]);
    assert!(story.notices().contains(&FibNotice::ConflictEnded { prefix: net("192.0.2.0/24") }));
}

#[test]
fn a_foreign_route_that_takes_our_key_is_never_taken_back() {
    let mut story = Story::new();
    story.set(via("192.0.2.0/24", "10.0.0.1"));
    story.fib.put_foreign(key("192.0.2.0/24"), STATIC, KernelAction::Blackhole);
    story.settle();
    story.set(via("192.0.2.0/24", "10.0.0.2"));
    assert_eq!(story.fib.routes(), [(key("192.0.2.0/24"), STATIC, KernelAction::Blackhole)]);
    let conflict = FibNotice::Conflict { prefix: net("192.0.2.0/24"), protocol: STATIC };
    assert!(story.notices().contains(&conflict));
    story.remove("192.0.2.0/24");
    assert_eq!(story.fib.routes().len(), 1, "withdrawing ours leaves theirs");
}

#[test]
fn the_owner_of_a_key_found_taken_is_learned_from_a_dump() {
    let fib = MemoryFib::new(OURS);
    fib.put_foreign(key("192.0.2.0/24"), STATIC, KernelAction::Blackhole);
    let mut story = Story::over(fib, KernelConfig::default());
    story.set(via("192.0.2.0/24", "10.0.0.1"));
    story.pass(10);
    assert_eq!(story.follower.report(&net("192.0.2.0/24")).unwrap().foreign, Some(STATIC));
}

#[test]
fn routes_that_vanish_with_a_link_come_back_with_it() {
    let mut story = Story::new();
    story.set(via("192.0.2.0/24", "10.0.0.1"));
    story.fib.disconnect(net("10.0.0.0/24"));
    story.settle();
    assert_eq!(story.fib.routes(), []);
    assert_eq!(story.state("192.0.2.0/24"), Some(RouteState::Unresolved));
    story.fib.connect(net("10.0.0.0/24"), 2);
    story.settle();
    assert_eq!(story.state("192.0.2.0/24"), Some(RouteState::Installed));
    assert_eq!(story.fib.routes().len(), 1);
}

#[test]
fn a_link_that_flaps_faster_than_the_debounce_takes_no_route_away() {
    let mut story = Story::new();
    story.set(via("192.0.2.0/24", "10.0.0.1"));
    story.fib.disconnect(net("10.0.0.0/24"));
    story.fib.connect(net("10.0.0.0/24"), 2);
    assert_eq!(story.fib.routes(), [], "the kernel has dropped it without a word");
    story.settle();
    assert_eq!(story.fib.routes(), [(key("192.0.2.0/24"), OURS, leg("10.0.0.1", 2))]);
}

#[test]
fn the_hook_sends_a_next_hop_into_a_tunnel_and_is_asked_again() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    let tunnel = Arc::new(AtomicBool::new(true));
    let asked = tunnel.clone();
    let hook = NextHopHook::new(move |query| {
        if query.prefix == net("203.0.113.0/24") {
            return NextHopAction::Skip;
        }
        match asked.load(Ordering::Relaxed) {
            true => NextHopAction::Encap { device: "tunl0".into(), gateway: query.next_hop },
            false => NextHopAction::Direct,
        }
    });
    let config = KernelConfig { next_hop: Some(hook), ..KernelConfig::default() };
    let mut story = Story::over(MemoryFib::new(OURS), config);
    story.set(via("192.0.2.0/24", "10.0.0.7"));
    story.set(via("203.0.113.0/24", "10.0.0.7"));
    assert_eq!(story.state("192.0.2.0/24"), Some(RouteState::Unresolved), "no tunl0 yet");
    assert_eq!(story.state("203.0.113.0/24"), Some(RouteState::Skipped));
    story.fib.name_link("tunl0", 9);
    story.settle();
    let gateway = Some("10.0.0.7".parse().unwrap());
    let tunnelled = KernelAction::unicast(vec![KernelHop { gateway, device: 9, onlink: true, weight: 1 }]);
    assert_eq!(story.fib.routes(), [(key("192.0.2.0/24"), OURS, tunnelled)]);
    tunnel.store(false, Ordering::Relaxed);
    story.follower.rehook();
    story.settle();
    assert_eq!(story.fib.routes(), [(key("192.0.2.0/24"), OURS, leg("10.0.0.7", 2))]);
}

#[test]
fn a_refused_route_is_tried_again_with_back_off_and_harms_no_other() {
    let mut story = Story::new();
    story.fib.refuse(net("192.0.2.0/24"), Some(RouteError::new(errno::ENOMEM, "")));
    story.follower.apply(vec![
        FibChange::Set(via("192.0.2.0/24", "10.0.0.1")),
        FibChange::Set(via("198.51.100.0/24", "10.0.0.1")),
    ]);
    story.settle();
    assert_eq!(story.state("198.51.100.0/24"), Some(RouteState::Installed));
    assert_eq!(story.state("192.0.2.0/24"), Some(RouteState::Refused));
    for _ in 0..600 {
        story.pass(1);
    }
    let tries = story.follower.status().refused[&errno::ENOMEM];
    assert!((8..20).contains(&tries), "{tries} tries in ten minutes");
    assert!(story.follower.status().last_error.unwrap().contains("out of memory"));
    story.fib.refuse(net("192.0.2.0/24"), None);
    story.pass(60);
    assert_eq!(story.state("192.0.2.0/24"), Some(RouteState::Installed));
}

#[test]
fn lost_results_are_settled_by_reading_the_table() {
    let mut story = Story::new();
    story.fib.lose_results_after(3);
    let routes = (0..10).map(|third| FibChange::Set(via(&format!("192.0.{third}.0/24"), "10.0.0.1")));
    story.follower.apply(routes.collect());
    story.settle();
    story.pass(2);
    assert_eq!(story.fib.routes().len(), 10);
    let status = story.follower.status();
    assert_eq!((status.overruns, status.routes.get(RouteState::Installed)), (1, 10));
    assert_eq!(status.conflicts, 0, "our own routes are no conflict");
}

#[test]
fn lost_events_lead_to_a_full_comparison() {
    let mut story = Story::new();
    story.set(via("192.0.2.0/24", "10.0.0.1"));
    story.set(via("198.51.100.0/24", "10.0.0.1"));
    story.fib.drop_silently(key("192.0.2.0/24"));
    story.fib.overrun();
    story.settle();
    assert_eq!(story.fib.routes().len(), 2);
    assert_eq!(story.follower.status().repaired, 1);
}

#[test]
fn the_periodic_comparison_repairs_what_no_event_told() {
    let fib = MemoryFib::new(OURS);
    let (sender, _notices) = mpsc::channel(64);
    let mut follower =
        Follower::new(KernelConfig::default(), Box::new(fib.clone()), sender, std::sync::Arc::default());
    follower.turn(Duration::ZERO);
    fib.connect(net("10.0.0.0/24"), 2);
    follower.apply(vec![FibChange::Set(via("192.0.2.0/24", "10.0.0.1"))]);
    while follower.turn(Duration::from_secs(1)) == Turn::Busy {}
    fib.drop_silently(key("192.0.2.0/24"));
    for second in 1..400 {
        while follower.turn(Duration::from_secs(second)) == Turn::Busy {}
    }
    assert_eq!(fib.routes().len(), 1);
}

#[test]
fn an_event_on_an_unused_interface_costs_no_comparison() {
    let mut story = Story::new();
    story.set(via("192.0.2.0/24", "10.0.0.1"));
    let before = story.follower.status().resyncs;
    for index in 100..200 {
        story.fib.name_link(&format!("veth{index}"), index);
    }
    story.settle();
    assert_eq!(story.follower.status().resyncs, before);
}

#[test]
fn an_ipv6_route_over_an_ipv4_next_hop_is_refused_in_words() {
    let mut story = Story::new();
    story.set(via("2001:db8::/32", "10.0.0.1"));
    let error = story.follower.report(&net("2001:db8::/32")).unwrap().error.unwrap();
    assert!(error.to_string().contains("IPv4 next hop 10.0.0.1"), "{error}");
}

#[test]
fn before_synced_an_unresolved_next_hop_leaves_a_former_process_route_alone() {
    let fib = MemoryFib::new(OURS);
    fib.put_foreign(key("192.0.2.0/24"), OURS, leg("172.16.0.1", 3));
    let mut story = Story::over(fib, KernelConfig::default());
    story.set(via("192.0.2.0/24", "172.16.0.1"));
    assert_eq!(story.state("192.0.2.0/24"), Some(RouteState::Unresolved));
    assert_eq!(story.fib.routes().len(), 1, "it goes on forwarding");
    story.fib.connect(net("172.16.0.0/24"), 3);
    story.settle();
    assert_eq!(story.state("192.0.2.0/24"), Some(RouteState::Installed));
    assert_eq!((story.fib.take_log(), story.follower.status().adopted), (vec![], 1));
}

#[test]
fn legs_that_nobody_has_told_of_again_stay_until_those_that_are_there_have_told_their_tables() {
    let gateways = ["10.0.0.1", "10.0.0.2"];
    let legs = gateways.map(|gateway| KernelHop {
        gateway: Some(gateway.parse().unwrap()),
        device: 2,
        onlink: false,
        weight: 1,
    });
    let over = |prefix: &str, gateways: &[&str]| {
        let hops = gateways.iter().map(|gateway| FibNextHop::new(gateway.parse().unwrap()));
        FibRoute::unicast(net(prefix), hops)
    };
    let fib = MemoryFib::new(OURS);
    for prefix in ["192.0.2.0/24", "198.51.100.0/24"] {
        fib.put_foreign(key(prefix), OURS, KernelAction::unicast(legs.to_vec()));
    }
    let mut story = Story::over(fib, KernelConfig::default());
    story.set(over("192.0.2.0/24", &gateways[..1]));
    story.set(over("198.51.100.0/24", &gateways[1..]));
    story.pass(3600);
    story.set(over("192.0.2.0/24", &gateways));
    assert_eq!(story.fib.take_log(), []);
    story.follower.told();
    story.settle();
    assert_eq!(story.fib.take_log(), [FibOp::Replace(key("198.51.100.0/24"), leg("10.0.0.2", 2))]);
    assert_eq!(story.follower.status().adopted, 1);
}

#[test]
fn a_link_local_next_hop_needs_its_interface() {
    let mut story = Story::new();
    story.fib.connect(net("fe80::/64"), 2);
    story.set(via("2001:db8::/32", "fe80::1"));
    assert_eq!(story.state("2001:db8::/32"), Some(RouteState::Unresolved));
    let hop = FibNextHop::new("fe80::1".parse().unwrap()).on("e0");
    story.set(FibRoute::unicast(net("2001:db8::/32"), [hop]));
    story.fib.name_link("e0", 2);
    story.settle();
    assert_eq!(story.fib.routes(), [(key("2001:db8::/32"), OURS, leg("fe80::1", 2))]);
}

#[test]
fn host_bits_of_a_prefix_make_no_second_route() {
    let mut story = Story::new();
    story.set(via("192.0.2.7/24", "10.0.0.1"));
    story.set(via("192.0.2.0/24", "10.0.0.1"));
    assert_eq!(story.fib.routes().len(), 1);
    story.remove("192.0.2.9/24");
    assert_eq!(story.fib.routes(), []);
    assert_eq!(story.follower.status().routes.total(), 0);
}

mod random {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Move {
        Set(u8, u8, Option<u32>),
        Remove(u8),
        Foreign(u8),
        ForeignGone(u8),
        LinkDown,
        LinkUp,
        SilentLoss(u8),
        LoseResults,
        Overrun,
        Refuse(u8, bool),
    }

    fn moves() -> impl Strategy<Value = Move> {
        let prefix = 0..6u8;
        prop_oneof![
            6 => (prefix.clone(), 1..5u8, prop_oneof![Just(None), Just(Some(20))])
                .prop_map(|(prefix, gateway, metric)| Move::Set(prefix, gateway, metric)),
            3 => prefix.clone().prop_map(Move::Remove),
            1 => prefix.clone().prop_map(Move::Foreign),
            2 => prefix.clone().prop_map(Move::ForeignGone),
            1 => Just(Move::LinkDown),
            2 => Just(Move::LinkUp),
            1 => prefix.clone().prop_map(Move::SilentLoss),
            1 => Just(Move::LoseResults),
            1 => Just(Move::Overrun),
            1 => (prefix, any::<bool>()).prop_map(|(prefix, on)| Move::Refuse(prefix, on)),
        ]
    }

    fn prefix(number: u8) -> IpNet {
        net(&format!("192.0.{number}.0/24"))
    }

    fn keys(number: u8) -> [RouteKey; 2] {
        [20, 186].map(|metric| RouteKey { prefix: prefix(number), table: 254, metric })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever happened: once the faults are over, the table holds exactly what is wanted, and a route of
        /// somebody else was never written over.
        #[test]
        fn after_faults_the_table_is_what_is_wanted(moves in proptest::collection::vec((moves(), any::<bool>()), 1..40)) {
            let mut story = Story::new();
            let mut wanted = std::collections::BTreeMap::new();
            let mut foreign = std::collections::BTreeSet::new();
            for (number, (step, settle)) in moves.into_iter().enumerate() {
                match step {
                    Move::Set(number, gateway, metric) => {
                        let mut route = via(&prefix(number).to_string(), &format!("10.0.0.{gateway}"));
                        route.metric = metric;
                        wanted.insert(number, (gateway, metric));
                        story.follower.apply(vec![FibChange::Set(route)]);
                    }
                    Move::Remove(number) => {
                        wanted.remove(&number);
                        story.follower.apply(vec![FibChange::Remove(prefix(number))]);
                    }
                    Move::Foreign(number) => {
                        // The event is heard before the next write: the window in between is documented.
                        story.fib.put_foreign(keys(number)[1], STATIC, KernelAction::Blackhole);
                        foreign.insert(number);
                    }
                    Move::ForeignGone(number) => {
                        story.fib.remove_foreign(keys(number)[1], STATIC);
                        foreign.remove(&number);
                    }
                    Move::LinkDown => story.fib.disconnect(net("10.0.0.0/24")),
                    Move::LinkUp => story.fib.connect(net("10.0.0.0/24"), 2),
                    Move::SilentLoss(number) if !foreign.contains(&number) => story.fib.drop_silently(keys(number)[1]),
                    Move::SilentLoss(_) => {}
                    Move::LoseResults => story.fib.lose_results_after(number % 3),
                    Move::Overrun => story.fib.overrun(),
                    Move::Refuse(number, on) => story.fib.refuse(
                        prefix(number),
                        on.then(|| RouteError::new(errno::ENOMEM, "")),
                    ),
                }
                if settle {
                    story.settle();
                }
            }
            for number in &foreign {
                prop_assert!(
                    story.fib.routes().contains(&(keys(*number)[1], STATIC, KernelAction::Blackhole)),
                    "the foreign route for {} is gone", prefix(*number)
                );
                story.fib.remove_foreign(keys(*number)[1], STATIC);
            }
            (0..6).for_each(|number| story.fib.refuse(prefix(number), None));
            story.fib.connect(net("10.0.0.0/24"), 2);
            story.fib.overrun();
            story.pass(0);
            story.pass(120);
            let expected: Vec<_> = wanted
                .iter()
                .map(|(number, (gateway, metric))| {
                    let metric = metric.unwrap_or(186);
                    let key = RouteKey { prefix: prefix(*number), table: 254, metric };
                    (key, OURS, leg(&format!("10.0.0.{gateway}"), 2))
                })
                .collect();
            prop_assert_eq!(story.fib.routes(), expected);
        }
    }
}
