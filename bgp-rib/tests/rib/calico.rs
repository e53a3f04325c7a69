//! Calico's BGPFilter, row by row: the rule that expresses each of its fields, and which routes a peer then has, from the
//! bytes that it was sent.

use bgp_rib::policy::{
    Action, CommunityEdit, CommunityPattern, Condition, LargeCommunityPattern, Number, PolicyConfig,
    PrefixRange, PrefixSet, Quantifier, Rule, SourceKind, Span, Verdict, local_pref_of_metric,
};
use bgp_rib::{Input, Origination, PeerId, PeerParams, Policy};
use bgp_wire::{AsPath, Asn, Community, LargeCommunity, PathAttributes, PeerKind};

use crate::support::*;

const BIRDS: LargeCommunity = LargeCommunity { global: 65000, local1: 1, local2: 2 };

/// What is in the tables, by name: the prefixes of both families that each row picks from.
///
/// | name | prefix | from |
/// |---|---|---|
/// | `pod` | 10.244.1.5/32 | this node, interface `cali123` |
/// | `block` | 10.244.1.0/26 | this node |
/// | `pool` | 10.244.0.0/16 | this node |
/// | `tunnel` | 10.244.9.0/26 | this node, interface `vxlan.calico` |
/// | `node` | 10.244.2.0/26 | an internal peer, priority 512, community 65000:100 |
/// | `fabric` | 198.51.100.0/24 | an external peer, path 64512 64513, large community 65000:1:2 |
/// | `six` | fd00:10:244::/122 | this node |
const ROUTES: [(&str, &str); 7] = [
    ("pod", "10.244.1.5/32"),
    ("block", "10.244.1.0/26"),
    ("pool", "10.244.0.0/16"),
    ("tunnel", "10.244.9.0/26"),
    ("node", "10.244.2.0/26"),
    ("fabric", "198.51.100.0/24"),
    ("six", "fd00:10:244::/122"),
];

fn prefix(name: &str) -> ipnet::IpNet {
    net(ROUTES.iter().find(|(other, _)| *other == name).unwrap().1)
}

/// The tables, with a peer under this export policy.
fn with_export(params: PeerParams, export: Policy) -> (Lab, PeerId) {
    let mut lab = Lab::new();
    let (node, fabric) = (lab.up(1, client(1)), lab.up(2, external(2, 64512)));
    let own = |name, interface: Option<&str>| Origination {
        interface: interface.map(Into::into),
        ..Origination::new(prefix(name))
    };
    let routes = [
        own("pod", Some("cali123")),
        own("block", None),
        own("pool", None),
        own("tunnel", Some("vxlan.calico")),
        own("six", None),
    ];
    lab.originate(0, &routes);
    let told = PathAttributes {
        local_pref: Some(local_pref_of_metric(512)),
        communities: vec![Community::new(65000, 100)],
        ..attributes(&[])
    };
    lab.announce(node, &[prefix("node")], next_hop(1), &told);
    let told = PathAttributes { large_communities: vec![BIRDS], ..external_attributes(&[64512, 64513]) };
    lab.announce(fabric, &[prefix("fabric")], next_hop(2), &told);
    let to = lab.up(3, PeerParams { export, ..params });
    lab.drain_all();
    (lab, to)
}

/// The names of the routes that a peer has.
fn has(lab: &Lab, peer: PeerId) -> Vec<&'static str> {
    let view = lab.view(peer);
    ROUTES.iter().filter(|(name, _)| view.contains_key(&prefix(name))).map(|(name, _)| *name).collect()
}

fn filter(rule: Rule, default: Verdict) -> Policy {
    Policy::compile(PolicyConfig::new("filter", default).rule(rule)).unwrap()
}

/// `cidr` with `matchOperator`, and `prefixLength` where it is given, clamped to the CIDR and the family.
fn cidr(operator: &str, cidr: &str, lengths: Option<(u8, u8)>) -> Condition {
    let cidr = net(cidr);
    let clamp = |length: u8| length.clamp(cidr.prefix_len(), cidr.max_prefix_len());
    let within = match lengths {
        Some((min, max)) => PrefixSet::from(PrefixRange::lengths(cidr, clamp(min)..=clamp(max)).unwrap()),
        None => PrefixSet::or_longer(&[cidr]),
    };
    match operator {
        "Equal" => Condition::Prefix(PrefixSet::equal(&[cidr])),
        "NotEqual" => Condition::Prefix(PrefixSet::equal(&[cidr])).negated(),
        "In" => Condition::Prefix(within),
        "NotIn" => Condition::Prefix(within).negated(),
        other => panic!("{other}"),
    }
}

#[test]
fn each_field_of_a_filter_picks_its_routes() {
    let all: Vec<&str> = ROUTES.iter().map(|(name, _)| *name).collect();
    let but = |names: &[&str]| all.iter().filter(|name| !names.contains(name)).copied().collect::<Vec<_>>();
    let community = |c| Condition::Communities(Quantifier::Any, vec![CommunityPattern::from(c)]);
    let large = |c| Condition::LargeCommunities(Quantifier::Any, vec![LargeCommunityPattern::from(c)]);
    let interface = |glob: &str| Condition::Interface(glob.parse().unwrap());
    let path = |asns: &[u32]| Condition::AsPathStartsWith(asns.iter().copied().map(Asn).collect());
    let priority = |metric| Condition::LocalPref(Span::exactly(local_pref_of_metric(metric)));
    let peers = || Condition::Source(SourceKind::PEERS.to_vec());
    #[rustfmt::skip]
    let rows: Vec<(&str, Vec<Condition>, Vec<&str>)> = vec![
        ("matchOperator Equal",    vec![cidr("Equal", "10.244.1.0/26", None)],     vec!["block"]),
        ("matchOperator NotEqual", vec![cidr("NotEqual", "10.244.1.0/26", None)],  but(&["block"])),
        ("matchOperator In",       vec![cidr("In", "10.244.1.0/26", None)],        vec!["pod", "block"]),
        ("matchOperator NotIn",    vec![cidr("NotIn", "10.244.0.0/16", None)],     vec!["fabric", "six"]),
        ("In, IPv6",               vec![cidr("In", "fd00:10:244::/48", None)],     vec!["six"]),
        ("NotIn, IPv6",            vec![cidr("NotIn", "fd00:10:244::/48", None)],  but(&["six"])),
        ("prefixLength min",       vec![cidr("In", "10.244.0.0/16", Some((27, 32)))], vec!["pod"]),
        ("prefixLength max",       vec![cidr("In", "10.244.0.0/16", Some((0, 26)))],  vec!["block", "pool", "tunnel", "node"]),
        ("prefixLength both",      vec![cidr("In", "10.244.0.0/16", Some((26, 26)))], vec!["block", "tunnel", "node"]),
        ("prefixLength, NotIn",    vec![cidr("NotIn", "10.244.0.0/16", Some((26, 26)))], but(&["block", "tunnel", "node"])),
        ("source RemotePeers",     vec![peers()],                                  vec!["node", "fabric"]),
        ("no source",              vec![],                                         all.clone()),
        ("interface",              vec![interface("vxlan*")],                      vec!["tunnel"]),
        ("interface, any of cali", vec![interface("cali*")],                       vec!["pod"]),
        ("peerType iBGP",          vec![Condition::PeerKind(PeerKind::Internal)],  all.clone()),
        ("peerType eBGP",          vec![Condition::PeerKind(PeerKind::External)],  vec![]),
        ("communities",            vec![community(Community::new(65000, 100))],    vec!["node"]),
        ("communities, another",   vec![community(Community::new(65000, 101))],    vec![]),
        ("communities, large",     vec![large(BIRDS)],                             vec!["fabric"]),
        ("asPathPrefix",           vec![path(&[64512])],                           vec!["fabric"]),
        ("asPathPrefix, whole",    vec![path(&[64512, 64513])],                    vec!["fabric"]),
        ("asPathPrefix, inside",   vec![path(&[64513])],                           vec![]),
        ("priority",               vec![priority(512)],                            vec!["node"]),
        ("priority, another",      vec![priority(1024)],                           vec![]),
        ("all fields must match",  vec![peers(), cidr("In", "10.244.0.0/16", None)], vec!["node"]),
        ("all, one does not",      vec![peers(), interface("vxlan*")],             vec![]),
    ];
    for (name, conditions, picked) in rows {
        let rule = |rule: Rule| conditions.iter().cloned().fold(rule, Rule::when);
        let (lab, to) = with_export(internal(3), filter(rule(Rule::accept(name)), Verdict::Reject));
        assert_eq!(has(&lab, to), picked, "{name}: accepted");
        let (lab, to) = with_export(internal(3), filter(rule(Rule::reject(name)), Verdict::Accept));
        assert_eq!(has(&lab, to), but(&picked), "{name}: rejected");
    }
}

#[test]
fn peer_type_is_that_of_the_session_with_the_as_in_effect() {
    let fabric =
        || filter(Rule::accept("ToR").when(Condition::PeerKind(PeerKind::External)), Verdict::Reject);
    let (lab, to) = with_export(external(3, 65003), fabric());
    assert_eq!(has(&lab, to).len(), ROUTES.len());
    // Of another AS here than elsewhere, and so internal: `localASNumber`.
    let own = Asn(65003);
    let params = PeerParams::new(own, own, router_id(3), address(3), address(254), internal_codec());
    let (lab, to) = with_export(params, fabric());
    assert!(has(&lab, to).is_empty());
}

/// The attributes that a peer has a route with.
fn told(lab: &Lab, peer: PeerId, name: &str) -> PathAttributes {
    lab.view(peer)[&prefix(name)].attributes.clone()
}

#[test]
fn each_operation_of_a_filter_changes_what_is_told() {
    let operation = |action| filter(Rule::accept("operation").then(action), Verdict::Reject);
    let new = Community::new(65000, 7);
    let add = || operation(Action::Communities(CommunityEdit::Add(vec![new])));
    let (lab, to) = with_export(internal(3), add());
    assert_eq!(told(&lab, to, "node").communities, [Community::new(65000, 100), new]);
    let large = Action::LargeCommunities(CommunityEdit::Add(vec![BIRDS]));
    let (lab, to) = with_export(internal(3), operation(large));
    assert_eq!(told(&lab, to, "fabric").large_communities, [BIRDS], "no second time");
    assert_eq!(told(&lab, to, "block").large_communities, [BIRDS]);
    let prepend = || operation(Action::Prepend(vec![Asn(65101), Asn(65102)]));
    let path = |asns: &[u32]| AsPath::sequence(asns.iter().copied().map(Asn));
    let (lab, to) = with_export(internal(3), prepend());
    assert_eq!(
        told(&lab, to, "fabric").as_path,
        path(&[65101, 65102, 64512, 64513]),
        "the list keeps its order"
    );
    let (lab, to) = with_export(external(3, 65003), prepend());
    assert_eq!(told(&lab, to, "fabric").as_path, path(&[65000, 65101, 65102, 64512, 64513]));
    // setPriority is LOCAL_PREF, which crosses no border.
    let priority = || operation(Action::LocalPref(Number::Set(local_pref_of_metric(100))));
    let (lab, to) = with_export(internal(3), priority());
    assert_eq!(told(&lab, to, "node").local_pref, Some(2_147_483_547));
    let (lab, to) = with_export(external(3, 65003), priority());
    assert_eq!((told(&lab, to, "node").local_pref, told(&lab, to, "node").med), (None, None));
}

/// The whole export filter of a node: the mapping of priorities, the filters of the peer, and the steps behind them.
fn pipeline(filters: Vec<Rule>) -> Policy {
    let block = || [prefix("block"), prefix("six")];
    let from_peers = || Condition::Source(SourceKind::PEERS.to_vec());
    let config = PolicyConfig::new("export", Verdict::Reject)
        .rule(Rule::go_on("1 of BGP").when(from_peers()).then(Action::MetricFromLocalPref))
        .rule(
            Rule::go_on("1 of others")
                .when(from_peers().negated())
                .then(Action::LocalPrefFromMetric { default: 1024 }),
        );
    let config = filters.into_iter().fold(config, PolicyConfig::rule);
    let tunnels =
        Condition::AnyOf(["*.cali", "*.calico"].map(|g| Condition::Interface(g.parse().unwrap())).into());
    let moving = Condition::Metric(Span::from(0..=1023));
    let inside = || Condition::Prefix(PrefixSet::or_longer(&block()));
    let config = config
        .rule(Rule::reject("4 tunnels").when(Condition::PeerKind(PeerKind::Internal)).when(tunnels))
        .rule(Rule::accept("7 block").when(Condition::Prefix(PrefixSet::equal(&block()))))
        .rule(Rule::accept("7 moving").when(inside()).when(moving))
        .rule(Rule::reject("7 more specific").when(inside()))
        .rule(Rule::accept("10 pools").when(cidr("In", "10.244.0.0/16", None)));
    Policy::compile(config).unwrap()
}

#[test]
fn the_export_pipeline_tells_blocks_and_pools_with_their_priorities() {
    let (lab, to) = with_export(internal(3), pipeline(Vec::new()));
    assert_eq!(has(&lab, to), ["block", "pool", "node", "six"], "no pod of a block, no tunnel, no fabric");
    assert_eq!(told(&lab, to, "block").local_pref, Some(2_147_482_623), "2147483647 less 1024");
    assert_eq!(told(&lab, to, "node").local_pref, Some(2_147_483_135), "as it came");
    let (lab, to) = with_export(external(3, 65003), pipeline(Vec::new()));
    assert_eq!(
        has(&lab, to),
        ["block", "pool", "tunnel", "node", "six"],
        "tunnels stay from internal peers alone"
    );
}

#[test]
fn a_filter_that_accepts_ends_the_pipeline_and_a_pod_that_moves_escapes_its_block() {
    let pods = Rule::accept("2 pods").when(Condition::Interface("cali*".parse().unwrap()));
    let (lab, to) = with_export(internal(3), pipeline(vec![pods]));
    assert_eq!(has(&lab, to), ["pod", "block", "pool", "node", "six"]);
    let none = Rule::reject("2 none").when(cidr("NotIn", "10.244.1.0/26", None));
    let (mut lab, to) = with_export(internal(3), pipeline(vec![none]));
    assert_eq!(has(&lab, to), ["block"]);
    let moving = Origination {
        metric: Some(512),
        interface: Some("cali123".into()),
        ..Origination::new(prefix("pod"))
    };
    lab.originate(0, &[moving]);
    lab.drain_all();
    assert_eq!(has(&lab, to), ["pod", "block"]);
    assert_eq!(told(&lab, to, "pod").local_pref, Some(2_147_483_135));
}

#[test]
fn on_import_a_filter_decides_what_takes_part_and_elevation_comes_behind_it() {
    let elevated = Condition::LocalPref(Span::from(local_pref_of_metric(1024) + 1..=u32::MAX));
    let elevation = || Rule::go_on("elevation").when(elevated.clone()).then(Action::Preference(200));
    let import = |filters: Vec<Rule>| {
        let rules = filters.into_iter().chain([elevation()]).collect();
        Policy::compile(PolicyConfig { rules, ..PolicyConfig::new("import", Verdict::Accept) }).unwrap()
    };
    let mut lab = Lab::new();
    let from = lab.up(1, PeerParams { import: import(Vec::new()), ..internal(1) });
    let reader = lab.rib.open_reader();
    let raised = PathAttributes { local_pref: Some(local_pref_of_metric(512)), ..attributes(&[]) };
    lab.announce(from, &[prefix("pod")], next_hop(1), &raised);
    lab.announce(from, &[prefix("block")], next_hop(1), &attributes(&[]));
    let preferences = |lab: &mut Lab| {
        lab.settle();
        let mut seen = Vec::new();
        while let Some(batch) = lab.rib.poll_reader(reader, 10) {
            let of = |change: bgp_rib::RouteChange| {
                (change.prefix, change.best.map(|b| b.attributes.kernel.preference))
            };
            seen.extend(batch.changes.into_iter().map(of));
        }
        seen
    };
    assert_eq!(preferences(&mut lab), [(prefix("pod"), Some(Some(200))), (prefix("block"), Some(None))]);
    // A filter that accepts comes before the elevation; one that rejects takes the route out.
    let mine = Rule::accept("mine").when(cidr("Equal", "10.244.1.5/32", None));
    let not = Rule::reject("not").when(cidr("Equal", "10.244.1.0/26", None));
    lab.input(Input::SetPolicy { peer: from, import: Some(import(vec![mine, not])), export: None });
    assert_eq!(preferences(&mut lab), [(prefix("pod"), Some(None)), (prefix("block"), None)]);
}
