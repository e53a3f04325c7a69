//! Calico's BGPFilter and its export, import and kernel pipelines as policies, and a walk through their traps.

use bgp_rib::OwnerId;
use bgp_rib::policy::{
    Action, AsPathPattern, CommunityEdit, Condition, KernelTag, LargeCommunityPattern, Number, Policy,
    PolicyConfig, PrefixRange, PrefixSet, Quantifier, RouteSource, Rule, SourceKind, Span, Verdict,
    local_pref_of_metric,
};
use bgp_wire::{AsPath, Asn, Community, LargeCommunity, PeerKind};
use ipnet::IpNet;

use crate::support::{Route, asns, compile, evaluate, holds, net, passed};

/// Who originates: blocks of addresses, services; and what was learned from the kernel.
const BLOCKS: OwnerId = OwnerId(1);
const SERVICES: OwnerId = OwnerId(2);
const KERNEL: OwnerId = OwnerId(3);

/// The metric of a route that nobody gave one.
const NORMAL: u32 = 1024;

/// What a node knows when it makes its export policy for one peer.
#[derive(Clone)]
struct Node {
    filters: Vec<Rule>,
    blocks: Vec<IpNet>,
    pools: Vec<IpNet>,
    unexported_pools: Vec<IpNet>,
    communities: Vec<(IpNet, Community)>,
    load_balancers: Vec<IpNet>,
    reflector: bool,
    kernel_programs_ipip: bool,
}

fn node() -> Node {
    Node {
        filters: Vec::new(),
        blocks: vec![net("10.244.1.0/26"), net("fd00:1::/122")],
        pools: vec![net("10.244.0.0/16"), net("fd00:1::/48")],
        unexported_pools: vec![net("10.250.0.0/16")],
        communities: vec![(net("10.244.0.0/16"), Community::new(65000, 7))],
        load_balancers: vec![net("203.0.113.0/24")],
        reflector: false,
        kernel_programs_ipip: false,
    }
}

fn within(nets: &[IpNet]) -> Condition {
    Condition::Prefix(PrefixSet::or_longer(nets))
}

fn interface(glob: &str) -> Condition {
    Condition::Interface(glob.parse().unwrap())
}

/// The eleven steps of the export filter, in order; the first with a verdict decides.
fn export(node: &Node) -> Policy {
    let from_peers = || Condition::Source(SourceKind::PEERS.to_vec());
    let to_internal = || Condition::PeerKind(PeerKind::Internal);
    let mut rules = vec![
        Rule::go_on("1 metric of BGP routes").when(from_peers()).then(Action::MetricFromLocalPref),
        Rule::go_on("1 priority of others")
            .when(from_peers().negated())
            .then(Action::LocalPrefFromMetric { default: NORMAL }),
    ];
    rules.extend(node.filters.iter().cloned()); // 2
    rules.push(Rule::reject("3 unexported pools").when(within(&node.unexported_pools)));
    let tunnels = Condition::AnyOf(vec![interface("*.cali"), interface("*.calico")]);
    rules.push(Rule::reject("4 tunnels").when(to_internal()).when(tunnels));
    if node.kernel_programs_ipip {
        rules.push(Rule::reject("4 tunl0").when(to_internal()).when(interface("tunl0")));
    }
    rules.push(Rule::reject("5 bpf").when(interface("bpf*.cali")));
    for &(cidr, community) in &node.communities {
        let add = Action::Communities(CommunityEdit::Add(vec![community]));
        rules.push(Rule::go_on("6 communities").when(within(&[cidr])).then(add));
    }
    let migrating = Condition::Metric(Span::from(0..=NORMAL - 1));
    rules.push(Rule::accept("7 block").when(Condition::Prefix(PrefixSet::equal(&node.blocks))));
    rules.push(Rule::accept("7 migration").when(within(&node.blocks)).when(migrating));
    rules.push(Rule::reject("7 more specific").when(within(&node.blocks)));
    rules.push(Rule::accept("8 services").when(Condition::Owner(vec![SERVICES])));
    if node.reflector {
        rules.push(Rule::accept("9 load balancers").when(within(&node.load_balancers)));
    }
    rules.push(Rule::accept("10 pools").when(within(&node.pools)));
    compile(PolicyConfig { rules, ..PolicyConfig::new("calico-export", Verdict::Reject) }) // 11
}

/// A pod of this node, as the kernel has it.
fn kernel(prefix: &str, interface: &'static str) -> Route {
    Route { source: RouteSource::Local(KERNEL), interface: Some(interface), ..Route::own(prefix) }
}

fn owned(owner: OwnerId, prefix: &str) -> Route {
    Route { source: RouteSource::Local(owner), ..Route::own(prefix) }
}

fn decided(policy: &Policy, route: &Route) -> (Verdict, String) {
    let outcome = evaluate(policy, route);
    let words = policy.describe(outcome.decided);
    let name = words.split('"').nth(3).map_or("11", |name| name.split(' ').next().unwrap());
    (outcome.verdict, name.to_owned())
}

#[test]
fn every_step_of_the_export_pipeline_decides_its_routes() {
    use Verdict::{Accept, Reject};
    let policy = export(&node());
    let rr = export(&Node { reflector: true, kernel_programs_ipip: true, ..node() });
    let wireguard = Route { interface: Some("wireguard.cali"), ..Route::internal("10.244.9.0/26") };
    let tunnel = Route { interface: Some("tunl0"), ..Route::internal("10.244.9.0/26") };
    #[rustfmt::skip]
    let rows = [
        (&policy, owned(BLOCKS, "10.244.1.0/26"), Accept, "7"),
        (&policy, owned(BLOCKS, "fd00:1::/122"), Accept, "7"),
        (&policy, kernel("10.244.1.5/32", "cali123"), Reject, "7"),
        (&policy, kernel("fd00:1::5/128", "cali123"), Reject, "7"),
        (&policy, kernel("10.250.0.0/26", "cali123"), Reject, "3"),
        (&policy, wireguard.clone(), Reject, "4"),
        (&policy, wireguard.to(PeerKind::External), Accept, "10"),
        (&policy, tunnel.clone(), Accept, "10"),
        (&rr, tunnel, Reject, "4"),
        (&policy, kernel("10.244.9.0/26", "bpfin.cali").to(PeerKind::External), Reject, "5"),
        (&policy, owned(SERVICES, "10.96.0.0/12"), Accept, "8"),
        (&policy, Route::internal("203.0.113.7/32"), Reject, "11"),
        (&rr, Route::internal("203.0.113.7/32"), Accept, "9"),
        (&rr, Route::internal("10.96.0.0/12"), Reject, "11"),
        (&policy, Route::internal("10.244.9.0/26"), Accept, "10"),
        (&policy, kernel("0.0.0.0/0", "eth0"), Reject, "11"),
        (&policy, kernel("192.168.0.0/24", "eth0"), Reject, "11"),
    ];
    for (policy, route, verdict, step) in rows {
        assert_eq!(
            decided(policy, &route),
            (verdict, step.to_owned()),
            "{} {:?}",
            route.prefix,
            route.interface
        );
    }
}

#[test]
fn normal_routes_carry_the_priority_that_other_nodes_expect() {
    let attributes = passed(&export(&node()), &owned(BLOCKS, "10.244.1.0/26")).unwrap();
    assert_eq!(attributes.local_pref, Some(2_147_482_623));
}

#[test]
fn the_local_pref_of_a_bgp_route_stays_and_gives_it_its_metric() {
    let route = Route::internal("10.244.9.0/26").with(|a| a.local_pref = Some(2_147_483_135));
    let edits = evaluate(&export(&node()), &route).edits.unwrap();
    assert_eq!((edits.local_pref, edits.kernel.metric), (None, Some(512)));
    let from_fabric = Route::external("10.244.9.0/26", &[64512]);
    let edits = evaluate(&export(&node()), &from_fabric).edits.unwrap();
    assert_eq!(edits.kernel.metric, Some(2_147_483_547));
}

#[test]
fn a_migrating_pod_escapes_its_block_with_a_greater_priority() {
    let pod = Route { metric: Some(512), ..kernel("10.244.1.5/32", "cali123") };
    let attributes = passed(&export(&node()), &pod).unwrap();
    assert_eq!(attributes.local_pref, Some(2_147_483_135));
    let settled = Route { metric: Some(1024), ..pod };
    assert_eq!(passed(&export(&node()), &settled), None);
}

#[test]
fn a_borrowed_address_is_under_no_own_block_and_goes_out() {
    assert_eq!(
        decided(&export(&node()), &kernel("10.244.7.9/32", "cali9")),
        (Verdict::Accept, "10".to_owned())
    );
}

#[test]
fn prefix_advertisements_give_their_communities_to_what_lies_inside() {
    let policy = export(&node());
    let inside = passed(&policy, &owned(BLOCKS, "10.244.1.0/26")).unwrap();
    assert_eq!(inside.communities, [Community::new(65000, 7)]);
    assert_eq!(passed(&policy, &owned(SERVICES, "10.96.0.0/12")).unwrap().communities, []);
}

#[test]
fn an_accepting_filter_bypasses_aggregation_and_the_communities_behind_it() {
    let all = Rule::accept("2 filter").when(within(&[net("10.244.1.0/26")]));
    let policy = export(&Node { filters: vec![all], ..node() });
    let pod = kernel("10.244.1.5/32", "cali123");
    assert_eq!(decided(&policy, &pod), (Verdict::Accept, "2".to_owned()));
    let attributes = passed(&policy, &pod).unwrap();
    assert_eq!(attributes.communities, []);
    assert_eq!(attributes.local_pref, Some(2_147_482_623), "the priority was mapped before");
}

#[test]
fn operations_of_a_filter_run_before_its_accept() {
    let filter = Rule::accept("2 filter")
        .then(Action::Communities(CommunityEdit::Add(vec![Community::new(65000, 100)])))
        .then(Action::LargeCommunities(CommunityEdit::Add(vec![LargeCommunity {
            global: 65000,
            local1: 1,
            local2: 2,
        }])))
        .then(Action::Prepend(asns(&[65001, 65002])))
        .then(Action::LocalPref(Number::Set(local_pref_of_metric(512))));
    let policy = export(&Node { filters: vec![filter], ..node() });
    let attributes = passed(&policy, &Route::external("198.51.100.0/24", &[64512])).unwrap();
    assert_eq!(
        attributes.as_path,
        AsPath::sequence(asns(&[65001, 65002, 64512])),
        "the list keeps its order"
    );
    assert_eq!(attributes.communities, [Community::new(65000, 100)]);
    assert_eq!(attributes.large_communities.len(), 1);
    assert_eq!(attributes.local_pref, Some(2_147_483_135));
}

#[test]
fn a_rejecting_filter_stops_what_the_pipeline_would_accept() {
    let not_fabric = Rule::reject("2 filter").when(Condition::PeerKind(PeerKind::External));
    let policy = export(&Node { filters: vec![not_fabric], ..node() });
    let block = owned(BLOCKS, "10.244.1.0/26");
    assert_eq!(decided(&policy, &block), (Verdict::Accept, "7".to_owned()));
    assert_eq!(decided(&policy, &block.to(PeerKind::External)), (Verdict::Reject, "2".to_owned()));
}

/// Equal, NotEqual, In, NotIn; with lengths, the prefix alone.
fn cidr(operator: &str, cidr: &str) -> Condition {
    let cidr = net(cidr);
    match operator {
        "Equal" => Condition::Prefix(PrefixSet::equal(&[cidr])),
        "NotEqual" => Condition::Prefix(PrefixSet::equal(&[cidr])).negated(),
        "In" => within(&[cidr]),
        _ => within(&[cidr]).negated(),
    }
}

#[test]
fn the_match_operators_of_a_filter() {
    #[rustfmt::skip]
    let rows = [
        ("Equal",    "10.0.0.0/16", true),  ("Equal",    "10.0.1.0/24", false), ("Equal",    "11.0.0.0/16", false),
        ("NotEqual", "10.0.0.0/16", false), ("NotEqual", "10.0.1.0/24", true),  ("NotEqual", "11.0.0.0/16", true),
        ("In",       "10.0.0.0/16", true),  ("In",       "10.0.1.0/24", true),  ("In",       "10.0.0.0/8", false),
        ("NotIn",    "10.0.0.0/16", false), ("NotIn",    "10.0.1.0/24", false), ("NotIn",    "10.0.0.0/8", true),
    ];
    for (operator, prefix, expected) in rows {
        assert_eq!(
            holds(cidr(operator, "10.0.0.0/16"), &Route::own(prefix)),
            expected,
            "{operator} {prefix}"
        );
    }
}

#[test]
fn prefix_lengths_are_clamped_to_the_cidr() {
    let (cidr, min, max) = (net("10.0.0.0/16"), 8u8, 40u8);
    let clamp = |length: u8| length.clamp(cidr.prefix_len(), cidr.max_prefix_len());
    let range = PrefixRange::lengths(cidr, clamp(min)..=clamp(max)).unwrap();
    let condition = || Condition::Prefix(PrefixSet::from(range));
    assert!(holds(condition(), &Route::own("10.0.0.0/16")) && holds(condition(), &Route::own("10.0.0.1/32")));
    assert!(!holds(condition(), &Route::own("10.0.0.0/8")));
}

#[test]
fn every_other_field_of_a_filter() {
    let learned = Route::external("10.0.0.0/24", &[64512, 64513, 64514]).with(|a| {
        a.communities = vec![Community::new(65000, 100)];
        a.large_communities = vec![LargeCommunity { global: 65000, local1: 1, local2: 2 }];
        a.local_pref = Some(local_pref_of_metric(512));
    });
    let learned = Route { interface: Some("vxlan.calico"), ..learned };
    let large = LargeCommunityPattern::from(LargeCommunity { global: 65000, local1: 1, local2: 2 });
    let conditions = [
        Condition::Source(SourceKind::PEERS.to_vec()),
        interface("vxlan*"),
        Condition::PeerKind(PeerKind::Internal),
        Condition::Communities(Quantifier::Any, vec!["65000:100".parse().unwrap()]),
        Condition::LargeCommunities(Quantifier::Any, vec![large]),
        Condition::AsPathStartsWith(asns(&[64512, 64513])),
        Condition::LocalPref(Span::exactly(local_pref_of_metric(512))),
    ];
    let other = Route::own("10.0.0.0/24").to(PeerKind::External);
    for condition in &conditions {
        assert!(holds(condition.clone(), &learned), "{condition:?}");
        assert!(!holds(condition.clone(), &other), "{condition:?}");
    }
    let all = conditions.into_iter().fold(Rule::accept("all fields"), Rule::when);
    let policy = compile(PolicyConfig::new("filter", Verdict::Reject).rule(all));
    assert!(evaluate(&policy, &learned).is_accepted());
    let without = Route { interface: Some("eth0"), ..learned };
    assert!(!evaluate(&policy, &without).is_accepted(), "all stated fields must match");
}

#[test]
fn an_empty_filter_rule_matches_everything() {
    let policy = compile(PolicyConfig::new("filter", Verdict::Accept).rule(Rule::reject("empty")));
    assert!(!evaluate(&policy, &Route::own("10.0.0.0/24")).is_accepted());
}

/// User filters, then the elevation of migrating workloads, then everything.
fn import(filters: Vec<Rule>) -> Policy {
    let elevated = Condition::LocalPref(Span::from(local_pref_of_metric(NORMAL) + 1..=u32::MAX));
    let elevation = Rule::go_on("elevation").when(elevated).then(Action::Preference(200));
    let rules = filters.into_iter().chain([elevation]).collect();
    compile(PolicyConfig { rules, ..PolicyConfig::new("calico-import", Verdict::Accept) })
}

#[test]
fn a_migrating_workload_is_preferred_on_import_unless_a_filter_accepts_it_first() {
    let elevated = Route::internal("10.244.1.5/32").with(|a| a.local_pref = Some(local_pref_of_metric(512)));
    let normal = Route::internal("10.244.1.5/32").with(|a| a.local_pref = Some(local_pref_of_metric(1024)));
    let preference =
        |policy: &Policy, route| evaluate(policy, route).edits.and_then(|edits| edits.kernel.preference);
    let plain = import(Vec::new());
    assert_eq!(preference(&plain, &elevated), Some(200));
    assert_eq!(preference(&plain, &normal), None);
    let filtered = import(vec![Rule::accept("mine").when(within(&[net("10.244.0.0/16")]))]);
    assert!(evaluate(&filtered, &elevated).is_accepted());
    assert_eq!(preference(&filtered, &elevated), None);
}

#[test]
fn the_kernel_gets_metrics_and_neither_services_nor_tunnels() {
    let policy = compile(
        PolicyConfig::new("calico-kernel", Verdict::Accept)
            .rule(Rule::reject("services").when(within(&[net("10.96.0.0/12")])))
            .rule(
                Rule::go_on("metric")
                    .when(Condition::Source(SourceKind::PEERS.to_vec()))
                    .then(Action::MetricFromLocalPref),
            )
            .rule(
                Rule::reject("wireguard")
                    .when(Condition::NextHop(PrefixSet::hosts(&["10.0.0.8".parse().unwrap()]))),
            )
            .rule(Rule::reject("vxlan").when(within(&[net("10.251.0.0/16")]))),
    );
    assert!(!evaluate(&policy, &owned(SERVICES, "10.96.0.1/32")).is_accepted());
    assert!(!evaluate(&policy, &Route::internal("10.251.3.0/26")).is_accepted());
    let normal = Route::internal("10.244.9.0/26").with(|a| a.local_pref = Some(2_147_482_623));
    let kernel = evaluate(&policy, &normal).edits.unwrap().kernel;
    assert_eq!(kernel, KernelTag { metric: Some(1024), ..KernelTag::default() });
    let fabric = Route::external("10.244.9.0/26", &[64512]);
    assert_eq!(evaluate(&policy, &fabric).edits.unwrap().kernel.metric, Some(2_147_483_547));
    let through_wireguard =
        Route { next_hop: Some("10.0.0.8".parse::<std::net::IpAddr>().unwrap().into()), ..normal };
    assert!(!evaluate(&policy, &through_wireguard).is_accepted());
}

#[test]
fn a_path_prefix_can_be_an_expression_too() {
    let route = Route::external("10.0.0.0/24", &[64512, 64513, 64514]);
    let expression: AsPathPattern = "^64512 64513".parse().unwrap();
    assert!(holds(Condition::AsPathMatches(expression), &route));
    assert!(!holds(Condition::AsPathStartsWith(vec![Asn(64513)]), &route));
}
