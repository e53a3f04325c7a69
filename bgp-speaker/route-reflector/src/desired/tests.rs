//! Every key reaches what it is for.

use std::net::IpAddr;
use std::time::Duration;

use bgp_speaker::policy::{RouteSource, RouteView};
use bgp_speaker::{AddPath, AddPathSend, Community, Family};
use bgp_wire::{AsPath, AttributeBlock, PathAttributes, PeerKind};

use bgp_speaker::kernel::LearnConfig;
use bgp_speaker::policy::Discard;
use bgp_speaker::{
    Aggregation, AoAlgorithm, AoKey, FamilySet, KernelExport, Learning, Limit, LimitAction, Multipath,
    NextHopMode, PeerAs, PeerClass, PeerConfig, Policy, Route, RouteRules, Secret, SessionOptions, Timers,
};

use super::*;
use crate::config;

fn desired(rest: &str) -> Desired {
    let head = "asn = 65000\nrouter-id = \"10.0.0.1\"\nlisten = \"10.0.0.1:179\"\nhold-time = 30\n";
    Desired::of(&config::parse(&format!("{head}{rest}")).expect("valid"))
}

fn neighbor(host: u8, more: &str) -> String {
    format!("[[neighbor]]\naddress = \"10.0.0.{host}\"\nasn = 65000\n{more}\n")
}

#[test]
fn every_key_of_a_route_reaches_it() {
    let keys = "[[route]]\nprefix = \"10.64.0.0/26\"\npreference = 10\nextended-communities = [\"rt:65000:7\"]\n\
                ipv6-extended-communities = [\"rt:2001:db8::1:7\"]\nlarge-communities = [\"65000:1:2\"]\n\
                origin = \"egp\"\ntag = 5\nas-path = [65009, 65010]\naigp = 70\n";
    let routes: Vec<_> = desired(keys).speaker.routes.into_values().flatten().collect();
    let address = "2001:db8::1".parse().expect("an address");
    let expected = Route {
        preference: Some(10),
        extended_communities: vec![bgp_wire::ExtendedCommunity::route_target(65000, 7)],
        ipv6_extended_communities: vec![bgp_wire::Ipv6ExtendedCommunity::route_target(address, 7)],
        large_communities: vec![bgp_wire::LargeCommunity { global: 65000, local1: 1, local2: 2 }],
        origin: bgp_wire::Origin::Egp,
        tag: 5,
        as_path: vec![Asn(65009), Asn(65010)],
        aigp: Some(70),
        ..Route::new("10.64.0.0/26".parse::<ipnet::IpNet>().expect("a prefix"))
    };
    assert_eq!(routes, [expected]);
}

#[test]
fn what_a_policy_of_the_file_sets_beside_attributes_is_set() {
    let policy = "[[policy]]\nname = \"p\"\ndefault = \"reject\"\n[[policy.rule]]\nthen = \"accept\"\n\
                  match.source = [\"external\"]\nmatch.communities = [\"blackhole\"]\n\
                  set.discard = \"blackhole\"\nset.preference = 200\nset.aigp = 9\n\
                  set.add-communities = [\"no-export\"]\n\
                  set.add-ipv6-extended-communities = [\"rt:2001:db8::1:7\"]\n";
    let desired = desired(&format!("{}{policy}", neighbor(2, "import = \"p\"")));
    let import = desired.speaker.peers[0].options.import.clone().expect("named");
    let marked = PathAttributes { communities: vec![Community::BLACKHOLE], ..PathAttributes::default() };
    let taken = judged(&import, "192.0.2.1/32", &marked).expect("it passes");
    assert_eq!((taken.aigp(), taken.communities.len()), (Some(9), 2));
    let actions = format!("{:?}", import.rules()[0].then);
    for action in ["Preference(200)", "Discard(Blackhole)", "Ipv6ExtendedCommunities(Add("] {
        assert!(actions.contains(action), "{action} in {actions}");
    }
}

#[test]
fn every_key_of_an_aggregate_reaches_its_route() {
    let keys = "[[aggregate]]\nprefix = \"10.64.0.0/26\"\nalways = true\nsuppress = true\nexcept = \"accept\"\n\
                discard = \"unreachable\"\nlocal-pref = 7\nmed = 8\ncommunities = [\"65000:7\"]\n";
    let desired = desired(keys);
    let aggregation = Aggregation { always: true, suppress: true, except: Policy::accept_all() };
    let prefix: ipnet::IpNet = "10.64.0.0/26".parse().expect("a prefix");
    let route = Route::new(prefix).local_pref(7).med(8).community(Community::new(65000, 7));
    let route = route.discard(Discard::Unreachable).aggregation(aggregation);
    assert_eq!(desired.speaker.routes[&OWNER], [route]);
}

#[test]
fn every_key_of_a_session_reaches_its_peer() {
    let keys = "port = 1179\npassive = true\nroute-reflector-client = true\nlocal-as = 65000\n\
                local-address = \"10.0.0.7\"\nfamilies = [\"ipv4-unicast\", \"ipv6-unicast\"]\nkeepalive-interval = 4\n\
                send-hold-time = 40\ntcp-user-timeout = 20\nconnect-retry = 7\nimport = \"reject\"\nexport = \"accept\"\nnext-hop = \"self\"\n\
                next-hop-ipv6 = \"2001:db8::1\"\nttl = 3\npassword = \"s3cret\"\n\
                interface = \"eth0\"\nallow-own-as = 2\nrestart-time = 60\nextended-message = false\nadd-path-receive = true\nadd-path-send = \"best 3\"\nsame-domain = true";
    let desired = desired(&neighbor(2, keys));
    let peer = desired.speaker.peers.first().expect("one peer");
    let expected = PeerConfig {
        address: IpAddr::from([10, 0, 0, 2]),
        port: 1179,
        peer_as: PeerAs::Exact(Asn(65000)),
        class: PeerClass::ReflectorClient,
        options: SessionOptions {
            local_as: Some(Asn(65000)),
            source: Some(IpAddr::from([10, 0, 0, 7])),
            passive: true,
            route_reflector_client: true,
            families: Some(FamilySet::of(&[Family::IPV4_UNICAST, Family::IPV6_UNICAST])),
            timers: Timers {
                hold_time: Duration::from_secs(30),
                keepalive: Some(Duration::from_secs(4)),
                connect_retry: Duration::from_secs(7),
                send_hold: Some(Duration::from_secs(40)),
                tcp_user_timeout: Some(Duration::from_secs(20)),
                ..Timers::default()
            },
            import: Some(Policy::reject_all()),
            export: Some(Policy::accept_all()),
            next_hop: NextHopMode::SelfAlways,
            next_hop_v6: Some("2001:db8::1".parse().expect("an address")),
            ttl: Some(3),
            password: Some(Secret::Value("s3cret".parse().expect("a password"))),
            interface: Some("eth0".into()),
            allow_own_as: 2,
            add_path: AddPath { receive: true, send: Some(AddPathSend::Best(3)), ..AddPath::default() },
            same_domain: true,
            graceful_restart: Some(Duration::from_secs(60)),
            extended_message: false,
            ..SessionOptions::default()
        },
    };
    assert_eq!(peer, &expected);
}

/// Each key that every table of sessions has, with what it is for.
const SESSION_KEYS: &[&str] = &[
    "local-as = 65003",
    "local-as-mode = \"no-prepend\"",
    "require = [\"route-refresh\"]",
    "require = [\"add-path\", \"extended-next-hop\"]",
    "require-families = [\"ipv4-unicast\"]",
    "extended-next-hop = true",
    "idle-hold-min = 2",
    "idle-hold-max = 70",
    "idle-hold-forgive = 9",
    "open-hold-time = 20",
    "families = [\"ipv4-unicast\"]",
    "hold-time = 31",
    "keepalive-interval = 4",
    "delay-open = 2",
    "collision-wait = 3",
    "send-hold-time = 40",
    "tcp-user-timeout = 20",
    "import = \"reject\"",
    "export = \"accept\"",
    "next-hop = \"self\"",
    "next-hop-ipv6 = \"2001:db8::1\"",
    "ttl = 3",
    "ttl-security = 2",
    "password = \"s3cret\"",
    "tcp-ao = [{ send-id = 1, password = \"s3cret\" }]",
    "interface = \"eth0\"",
    "add-path-receive = true",
    "add-path-receive = 4",
    "add-path-receive = { ipv4-unicast = true, ipv6-unicast = 4 }",
    "add-path-send = \"all\"",
    "add-path-send = { ipv6-unicast = \"best 2\" }",
    "same-domain = true",
    "allow-own-as = 1",
    "max-prefixes = 10",
    "max-prefixes = 10\nmax-prefixes-action = \"warn\"\nlimit-restart = 9",
    "max-prefixes-accepted = { ipv4-unicast = 10 }",
    "max-prefixes-sent = { ipv6-unicast = { max = 9, action = \"drop\", warn-at = 50 } }",
    "max-memory = { max = 100000, action = \"warn\" }",
    "graceful-restart = false",
    "restart-time = 7",
    "extended-message = false",
    "long-lived-time = 3600",
    "role = \"customer\"",
    "collision-detect-established = true",
    "enforce-first-as = false",
    "route-server-client = true",
    "aigp = true",
    "best-per-client = true",
    "cluster-id = \"10.0.0.9\"",
    "honour-graceful-shutdown = false",
    "long-lived-partial = true",
    "consecutive-restarts = \"keep\"",
    "private-as = \"remove\"",
    "as-override = true",
];

/// A field that comes new does not compile here before somebody says which key it has, or why none.
#[test]
fn every_option_of_a_session_has_a_key_or_a_reason_not_to() {
    let SessionOptions {
        local_as: _,
        source: _,
        passive: _,
        route_reflector_client: _,
        families: _,
        timers: _,
        import: _,
        export: _,
        next_hop: _,
        next_hop_v4: _,
        next_hop_v6: _,
        ttl: _,
        ttl_security: _,
        password: _,
        tcp_ao: _,
        interface: _,
        add_path: _,
        allow_own_as: _,
        rules: _,
        limits: _,
        limit_restart: _,
        same_domain: _,
        graceful_restart: _,
        extended_message: _,
        long_lived: _,
        extended_next_hop: _,
        required: _,
        role: _,
        role_strict: _,
        // Nothing tells this program what a BFD says.
        bfd_strict: _,
        collision_detect_established: _,
    } = SessionOptions::default();
    let Timers {
        hold_time: _,
        keepalive: _,
        connect_retry: _,
        idle_hold_min: _,
        idle_hold_max: _,
        idle_hold_forgive: _,
        open_hold: _,
        delay_open: _,
        collision_wait: _,
        send_hold: _,
        tcp_user_timeout: _,
    } = Timers::default();
    let RouteRules {
        enforce_first_as: _,
        route_server_client: _,
        best_per_client: _,
        cluster_id: _,
        client_to_client: _,
        aigp: _,
        honour_graceful_shutdown: _,
        // Said of a session for a while, and not by a file.
        leaving: _,
        long_lived_partial: _,
        consecutive_restarts: _,
        private_as: _,
        as_override: _,
        local_as: _,
        shared_network: _,
    } = RouteRules::default();
    let options = |keys: &str| {
        let neighbor = format!("[[neighbor]]\naddress = \"10.0.0.2\"\nasn = 65009\n{keys}\n");
        desired(&neighbor).speaker.peers[0].options.clone()
    };
    let plain = options("");
    for key in
        SESSION_KEYS.iter().chain(&["local-address = \"10.0.0.7\"", "passive = true", "connect-retry = 7"])
    {
        assert_ne!(options(key), plain, "{key} changes nothing");
    }
    let client = "local-as = 65009\nroute-reflector-client = true\n";
    let meshed = options(&format!("{client}client-to-client = false"));
    assert!(options(client).rules.client_to_client && !meshed.rules.client_to_client);
    let bounded = options("max-prefixes = 10\nmax-prefixes-action = \"warn\"\nlimit-restart = 9");
    assert_eq!(bounded.limit_restart, Some(Duration::from_secs(9)));
    assert!(options("role = \"customer\"\nrole-strict = true").role_strict);
    let bound = bounded.limits.of(Family::IPV4_UNICAST).received;
    assert_eq!(bound, Some(Limit::new(10, LimitAction::Warn)));
}

#[test]
fn limits_are_said_by_direction_and_by_family_each_with_what_becomes_of_more() {
    let limits = |keys: &str| desired(&neighbor(2, keys)).speaker.peers[0].options.limits.clone();
    let (v4, v6) = (Family::IPV4_UNICAST, Family::IPV6_UNICAST);
    let stop = |max| Some(Limit::new(max, LimitAction::Stop));
    let both = limits("max-prefixes = 10");
    assert_eq!((both.of(v4).received, both.of(v6).received), (stop(10), stop(10)));
    let all = limits(
        "max-prefixes = { ipv4-unicast = 10, ipv6-unicast = { max = 20, warn-at = 50 } }
         max-prefixes-accepted = { ipv4-unicast = { max = 5, action = \"warn\" } }
         max-prefixes-sent = 100
         max-memory = { max = 9_000_000_000, action = \"drop\" }",
    );
    let half = Limit { max: 20, warn_at: 50, action: LimitAction::Stop };
    assert_eq!((all.of(v4).received, all.of(v6).received), (stop(10), Some(half)));
    assert_eq!(all.of(v4).accepted, Some(Limit::new(5, LimitAction::Warn)));
    assert_eq!(all.of(v6).accepted, None);
    assert_eq!(all.of(v6).advertised, Some(Limit::new(100, LimitAction::Drop)), "what is too much waits");
    assert_eq!(all.memory, Some(Limit::new(9_000_000_000, LimitAction::Drop)));
    let usual = limits("max-prefixes-sent = 100\nmax-memory = 7\nmax-prefixes-action = \"warn\"");
    assert_eq!(usual.of(v4).advertised, Some(Limit::new(100, LimitAction::Warn)));
    assert_eq!(usual.memory, Some(Limit::new(7, LimitAction::Warn)));
}

#[test]
fn networks_whose_prefixes_are_to_have_one_origin_are_named() {
    assert!(desired("").speaker.unique_origins.is_empty());
    let named = desired("unique-origins = [\"10.65.0.0/16\", \"2001:db8:65::/48\"]\n");
    let expected: Vec<ipnet::IpNet> =
        ["10.65.0.0/16", "2001:db8:65::/48"].map(|net| net.parse().unwrap()).into();
    assert_eq!(named.speaker.unique_origins, expected);
}

/// A mesh with this among its keys.
fn mesh(keys: &str) -> String {
    format!(
        "[mesh]\nlocal = \"10.0.0.1\"\nnodes = [{{ address = \"10.0.0.1\" }}, {{ address = \"10.0.0.2\" }}]\n{keys}\n"
    )
}

#[test]
fn what_a_neighbor_can_say_of_its_session_a_mesh_can_say_of_all() {
    let of_mesh = |keys: &str| desired(&mesh(keys)).speaker.mesh_options.expect("there is a mesh");
    // Roles and route servers are for external neighbors alone.
    let external = |keys: &str| neighbor(2, keys).replace("asn = 65000", "asn = 65001");
    let of_peer = |keys: &str| desired(&external(keys)).speaker.peers[0].options.clone();
    let plain = of_mesh("");
    for key in SESSION_KEYS.iter().chain(&["connect-retry = 7"]) {
        assert_ne!(of_mesh(key), plain, "{key} changes nothing");
        assert_eq!(of_mesh(key), of_peer(key), "{key}");
    }
    let fast = of_mesh("hold-time = 9\nkeepalive-interval = 2\nconnect-retry = 1").timers;
    let expected = Timers {
        hold_time: Duration::from_secs(9),
        keepalive: Some(Duration::from_secs(2)),
        connect_retry: Duration::from_secs(1),
        ..Timers::default()
    };
    assert_eq!(fast, expected);
}

#[test]
fn several_paths_are_said_for_every_family_or_for_each() {
    let paths = |keys: &str| desired(&neighbor(2, keys)).speaker.peers[0].options.add_path.clone();
    let (v4, v6) = (Family::IPV4_UNICAST, Family::IPV6_UNICAST);
    assert_eq!(
        paths("add-path-receive = 4"),
        AddPath { receive: true, limit: Some(4), ..AddPath::default() }
    );
    assert_eq!(paths("add-path-receive = false"), AddPath::default());
    let each = paths("add-path-receive = { ipv4-unicast = true, ipv6-unicast = 4, evpn = false }");
    let expected =
        AddPath { receive_in: FamilySet::of(&[v4, v6]), limit_in: vec![(v6, 4)], ..AddPath::default() };
    assert_eq!(each, expected);
    let send_in = vec![(v4, AddPathSend::All), (v6, AddPathSend::Best(2))];
    let each = paths("add-path-send = { ipv4-unicast = \"all\", ipv6-unicast = \"best 2\" }");
    assert_eq!(each, AddPath { send_in, ..AddPath::default() });
}

#[test]
fn every_key_of_the_kernel_export_reaches_it() {
    let text = "kernel-export = true\n[kernel]\ntable = 100\nprotocol = 77\nmetric = 5\n\
                vrf = \"red\"\ntables = [101, 102]\nnexthop-objects = false\ntrack-next-hops = false\nresolve-via-default = false\npolicy = \"reject\"\n";
    let desired = desired(text);
    let Some(KernelExport::On(config)) = desired.speaker.kernel else { panic!("it is on") };
    assert_eq!((config.table, config.protocol, config.metric), (100, 77, 5));
    assert_eq!((config.tables, config.policy), (vec![101, 102], Some(Policy::reject_all())));
    assert!(!config.nexthop_objects && !config.track_next_hops && !config.resolve_via_default);
    assert_eq!(config.vrf, Some("red".into()));
}

#[test]
fn every_key_of_what_is_learned_reaches_it() {
    assert_eq!(desired("").speaker.learn, Some(Learning::Off));
    assert_eq!(desired("[learn]\n").speaker.learn, Some(Learning::On(LearnConfig::default())));
    let keys = "[learn]\ntables = [100]\nprotocols = [80]\ninterfaces = [\"cali*\"]\n\
                ignored-interfaces = [\"cali-x\"]\nwithin = [\"10.65.0.0/16\"]\non-link-only = true\nlimit = 7\n";
    let Some(Learning::On(config)) = desired(keys).speaker.learn else { panic!("it is on") };
    let glob = |text: &str| text.parse().expect("a pattern");
    let expected = LearnConfig {
        tables: vec![100],
        protocols: Some(vec![80]),
        interfaces: Some(vec![glob("cali*")]),
        ignored_interfaces: vec![glob("cali-x")],
        within: Some(vec!["10.65.0.0/16".parse().expect("a prefix")]),
        on_link_only: true,
        limit: 7,
        ..LearnConfig::default()
    };
    assert_eq!(config, expected);
}

#[test]
fn what_protects_a_session_is_told_the_speaker() {
    let keys = "ttl-security = 2\npassword-file = \"/run/secret\"";
    let chain = "tcp-ao = [{ send-id = 1, recv-id = 2, algorithm = \"aes-128-cmac-96\", password = \"s3cret\" },\n\
                 { send-id = 3, password-file = \"/run/secret\" }]";
    let link_local = "[[neighbor]]\naddress = \"fe80::1%eth1\"\nasn = 65001\n";
    let desired = desired(&[&neighbor(2, keys), link_local, &neighbor(3, chain)].concat());
    let options: Vec<_> = desired.speaker.peers.iter().map(|peer| &peer.options).collect();
    assert_eq!(options[0].ttl_security, Some(2));
    assert_eq!(options[0].password, Some(Secret::File("/run/secret".into())));
    assert_eq!(options[1].interface.as_deref(), Some("eth1"));
    let secret = "s3cret".parse::<bgp_speaker::Password>().expect("a password").into();
    let first = AoKey { send_id: 1, recv_id: 2, algorithm: AoAlgorithm::CmacAes128, secret };
    assert_eq!(options[2].tcp_ao, [first, AoKey::new(3, Secret::File("/run/secret".into()))]);
}

#[test]
fn what_a_process_is_born_with_needs_a_restart_and_nothing_else() {
    let before = desired("");
    let keys = |file: &str| desired(file).keep_until_restart(&before);
    let paths = desired("max-paths = 4\nmax-paths-internal = 2\nmultipath-relax = true\n");
    assert_eq!(paths.clone().keep_until_restart(&before), [""; 0]);
    assert_eq!(before.speaker.multipath, Some(Multipath::default()));
    assert_eq!(paths.speaker.multipath, Some(Multipath { paths: 4, internal: Some(2), relax: true }));
    assert_eq!(before.speaker.decision, Some(DecisionOptions::default()));
    let options = |always_compare_med, missing_med_as_worst, prefer_oldest| {
        Some(DecisionOptions { always_compare_med, missing_med_as_worst, prefer_oldest })
    };
    for (key, options) in [
        ("always-compare-med", options(true, false, false)),
        ("missing-med-as-worst", options(false, true, false)),
        ("prefer-oldest", options(false, false, true)),
    ] {
        let mut wanted = desired(&format!("[decision]\n{key} = true\n"));
        assert_eq!(wanted.keep_until_restart(&before), [""; 0], "{key}");
        assert_eq!(wanted.speaker.decision, options, "{key}");
    }
    assert_eq!(keys("selection-deferral-time = 10\n"), ["selection-deferral-time"]);
    let mut patient = desired("migration-patience = 600\n");
    assert_eq!(patient.keep_until_restart(&before), [""; 0]);
    assert_eq!(patient.speaker.migration_patience, Some(Duration::from_secs(600)));
    assert_eq!(keys("kernel-export = true\n"), [""; 0]);
    assert_eq!(keys("cluster-id = \"10.0.0.9\"\n"), [""; 0]);
    assert_eq!(keys("[log]\nfilter = \"debug\"\n[metrics]\nlisten = \"127.0.0.1:9\"\n"), [""; 0]);
    assert_eq!(
        keys("control-socket = \"/run/other\"\n[log]\nformat = \"json\"\n"),
        ["control-socket", "format of [log]"]
    );
    // What waits for a restart is told again by the next reload.
    let mut next = desired("selection-deferral-time = 10\n");
    next.keep_until_restart(&before);
    assert_eq!(
        desired("selection-deferral-time = 10\n").keep_until_restart(&next),
        ["selection-deferral-time"]
    );
}

/// What a policy of the file makes of a route with these attributes.
fn judged(policy: &Policy, prefix: &str, attributes: &PathAttributes) -> Option<PathAttributes> {
    let mut block = Vec::new();
    attributes.encode_block(&mut block).expect("they fit");
    let block = AttributeBlock::parse(&block).expect("they were just written");
    let route = RouteView {
        source: RouteSource::Peer {
            kind: PeerKind::External,
            client: false,
            address: "10.0.0.253".parse().expect("an address"),
        },
        peer: PeerKind::External,
        ..RouteView::new(prefix.parse().expect("a prefix"), block, OwnerId(0))
    };
    let outcome = policy.evaluate(&route);
    let mut edited = block.as_bytes().to_vec();
    if let Some(edits) = &outcome.edits {
        edited.clear();
        edits.apply(block, &mut edited).expect("they fit");
    }
    let edited = AttributeBlock::parse(&edited).expect("edits keep attributes lawful");
    outcome.is_accepted().then(|| PathAttributes::from_block(edited))
}

#[test]
fn the_policies_of_the_example_judge_as_its_remarks_say() {
    let config = config::parse(include_str!("../../example.toml")).expect("valid");
    let desired = Desired::of(&config);
    let peer = desired.speaker.peers.iter().find(|p| p.address.to_string() == "10.0.0.253").expect("there");
    let (import, export) = (peer.options.import.clone(), peer.options.export.clone());
    let (import, export) = (import.expect("named"), export.expect("named"));
    let path = |asns: &[u32]| PathAttributes {
        as_path: AsPath::sequence(asns.iter().copied().map(Asn)),
        ..PathAttributes::default()
    };
    let taken = judged(&import, "10.9.0.0/24", &path(&[65100, 64512, 65009])).expect("it passes");
    assert_eq!(taken.local_pref, Some(200));
    assert_eq!(taken.large_communities.len(), 1);
    assert_eq!(judged(&import, "10.9.0.0/24", &path(&[65100, 1, 65009])), None, "another path");
    assert_eq!(judged(&import, "0.0.0.0/0", &path(&[65100, 65009])), None, "the default route");
    assert_eq!(judged(&import, "10.9.0.1/32", &path(&[65100, 65009])), None, "a host route");
    let marked = PathAttributes { communities: vec![Community::new(65100, 666)], ..path(&[65100, 65009]) };
    assert_eq!(judged(&import, "10.9.0.0/24", &marked), None, "a community that it must not have");
    assert!(judged(&export, "10.64.3.0/26", &path(&[65100])).is_some());
    assert_eq!(judged(&export, "10.64.3.7/32", &path(&[65100])), None, "longer than the pools' blocks");
    let line = import.rules().first().and_then(|rule| rule.line).expect("a line");
    let text = include_str!("../../example.toml").lines().nth(line as usize - 1).expect("in the file");
    assert!(text.starts_with("[[policy.rule]]"), "rules know their lines");
}
