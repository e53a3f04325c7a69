//! BGPFilter, row by row, and communities by prefix.

use super::{bird, head, neighbor, told};
use crate::Scenario;
use crate::lab::{Lab, eventually};
use crate::ours::Reflector;
use crate::peer::{Daemon, Kind, Neighbor, SOON, Setup};
use crate::scenario::{OUR_AS, THEIR_AS};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![bird("filters_and_communities", filters), bird("filters_row_by_row", rows)]
}

/// What a rule makes of routes: of the prefix, with these words of BIRD's about it, passes or not.
struct Row {
    /// Whether the internal peer tells them, and not the external one.
    internal: bool,
    rules: &'static str,
    routes: &'static [(&'static str, &'static str, bool)],
}

const fn external(rules: &'static str, routes: &'static [(&'static str, &'static str, bool)]) -> Row {
    Row { internal: false, rules, routes }
}

/// Each field of a rule, alone; each row has a network of its own.
const ROWS: &[Row] = &[
    // Equal
    external(
        r#"match = { prefix = ["198.18.1.0/25"] }, then = "reject""#,
        &[("198.18.1.0/25", "", false), ("198.18.1.0/26", "", true), ("198.18.1.128/25", "", true)],
    ),
    // NotEqual
    external(
        r#"match = { prefix = ["198.18.2.0/24 orlonger"], not = { prefix = ["198.18.2.0/25"] } }, then = "reject""#,
        &[("198.18.2.0/25", "", true), ("198.18.2.0/26", "", false), ("198.18.2.128/25", "", false)],
    ),
    // In
    external(
        r#"match = { prefix = ["198.18.3.0/25 orlonger"] }, then = "reject""#,
        &[("198.18.3.0/25", "", false), ("198.18.3.64/26", "", false), ("198.18.3.128/25", "", true)],
    ),
    // NotIn
    external(
        r#"match = { prefix = ["198.18.4.0/24 orlonger"], not = { prefix = ["198.18.4.0/25 orlonger"] } }, then = "reject""#,
        &[("198.18.4.0/26", "", true), ("198.18.4.128/25", "", false)],
    ),
    // prefixLength
    external(
        r#"match = { prefix = ["198.18.5.0/24 ge 26 le 27"] }, then = "reject""#,
        &[
            ("198.18.5.0/25", "", true),
            ("198.18.5.0/26", "", false),
            ("198.18.5.64/27", "", false),
            ("198.18.5.128/28", "", true),
        ],
    ),
    // peerType
    external(
        r#"match = { prefix = ["198.18.6.0/24 orlonger"], peer = "external" }, then = "reject""#,
        &[("198.18.6.0/25", "", false)],
    ),
    external(
        r#"match = { prefix = ["198.18.7.0/24 orlonger"], peer = "internal" }, then = "reject""#,
        &[("198.18.7.0/25", "", true)],
    ),
    // communities
    external(
        r#"match = { communities = ["65010:8"] }, then = "reject""#,
        &[
            ("198.18.8.0/25", "bgp_community.add((65010,8)); bgp_community.add((65010,1));", false),
            ("198.18.8.128/25", "bgp_community.add((65010,9));", true),
        ],
    ),
    external(
        r#"match = { large-communities = ["65010:1:9"] }, then = "reject""#,
        &[
            ("198.18.9.0/25", "bgp_large_community.add((65010,1,9));", false),
            ("198.18.9.128/25", "bgp_large_community.add((65010,9,1));", true),
        ],
    ),
    // asPathPrefix
    external(
        r#"match = { as-path-starts-with = [65010, 65099] }, then = "reject""#,
        &[
            ("198.18.10.0/25", "bgp_path.prepend(65098); bgp_path.prepend(65099);", false),
            ("198.18.10.128/25", "bgp_path.prepend(65099); bgp_path.prepend(65098);", true),
        ],
    ),
    // Accept ends it
    external(
        r#"match = { prefix = ["198.18.11.0/25"] }, then = "accept" }, { match = { prefix = ["198.18.11.0/24 orlonger"] }, then = "reject""#,
        &[("198.18.11.0/25", "", true), ("198.18.11.128/25", "", false)],
    ),
    // All fields of a rule must hold
    external(
        r#"match = { prefix = ["198.18.12.0/24 orlonger"], communities = ["65010:12"] }, then = "reject""#,
        &[("198.18.12.0/25", "bgp_community.add((65010,12));", false), ("198.18.12.128/25", "", true)],
    ),
    // priority
    Row {
        internal: true,
        rules: r#"match = { local-pref = 2147483135 }, then = "reject""#,
        routes: &[
            ("198.18.13.0/25", "bgp_local_pref = 2147483135;", false),
            ("198.18.13.128/25", "bgp_local_pref = 2147482623;", true),
        ],
    },
    // An internal peer is of the other type
    Row {
        internal: true,
        rules: r#"match = { prefix = ["198.18.14.0/24 orlonger"], peer = "internal" }, then = "reject""#,
        routes: &[("198.18.14.0/25", "", false)],
    },
];

/// A daemon that tells the routes of these rows.
fn teller<'a>(
    lab: &'a Lab,
    node: &crate::lab::Node,
    asn: u32,
    to: std::net::Ipv4Addr,
    internal: bool,
) -> Box<dyn Daemon + 'a> {
    let told: Vec<_> =
        ROWS.iter().filter(|row| row.internal == internal).flat_map(|row| row.routes).collect();
    let words: String =
        told.iter().map(|(prefix, words, _)| format!("if net = {prefix} then {{ {words} }} ")).collect();
    let filter = format!("if source != RTS_STATIC then reject; {words} accept;");
    let networks: Vec<&str> = told.iter().map(|(prefix, ..)| *prefix).collect();
    Kind::Bird.start(
        lab,
        node,
        Setup::new(asn, vec![Neighbor::active(to, OUR_AS).filter(&filter)], &networks),
    )
}

/// On import by what reaches the kernel; on export a rule on where routes come from, one that changes them, and one without
/// any field, which all routes match.
fn rows(lab: &Lab) {
    let [ours, tor, inside, other] =
        [("ours", 1), ("tor", 51), ("inside", 2), ("other", 52)].map(|(name, index)| lab.node(name, index));
    let rules: Vec<String> = ROWS.iter().map(|row| format!("{{ {} }}", row.rules)).collect();
    let policies = format!(
        "[[route]]\nprefix = \"10.65.1.0/26\"\n[[policy]]\nname = \"rows\"\ndefault = \"accept\"\nrule = [{}]\n\
         [[policy]]\nname = \"own\"\ndefault = \"accept\"\n\
         rule = [{{ match = {{ source = [\"external\", \"internal\"] }}, then = \"reject\" }}]\n\
         [[policy]]\nname = \"all\"\ndefault = \"reject\"\n\
         rule = [{{ set = {{ local-pref = 2147483135, prepend = [64901, 64902] }}, then = \"accept\" }}]\n",
        rules.join(", ")
    );
    let with = |address, asn, export: &str| {
        neighbor(address, asn, "")
            .replace("import = \"accept\"", "import = \"rows\"")
            .replace("export = \"accept\"", &format!("export = \"{export}\""))
    };
    let peers = [
        with(tor.v4(), THEIR_AS, "own"),
        with(inside.v4(), OUR_AS, "all"),
        with(other.v4(), THEIR_AS + 1, "all"),
    ];
    let reflector = Reflector::start_with(lab, &ours, &(head(lab, &ours) + &policies + &peers.concat()));
    let tors = teller(lab, &tor, THEIR_AS, ours.v4(), false);
    let insides = teller(lab, &inside, OUR_AS, ours.v4(), true);
    let to_us = vec![Neighbor::active(ours.v4(), OUR_AS)];
    let others = Kind::Bird.start(lab, &other, Setup::new(THEIR_AS + 1, to_us, &[]));

    let mut wanted: Vec<&str> = ROWS
        .iter()
        .flat_map(|row| row.routes)
        .filter(|(.., passes)| *passes)
        .map(|(prefix, ..)| *prefix)
        .collect();
    wanted.sort_unstable();
    eventually("the kernel has what passes", SOON, || {
        let routes = reflector.kernel()?;
        let mut found: Vec<&str> = routes.iter().filter_map(|route| route["dst"].as_str()).collect();
        found.sort_unstable();
        if found == wanted { Ok(()) } else { Err(format!("{found:?}, and not {wanted:?}")) }
    });
    // What all are told comes after what they are not: nothing that was late is missed.
    assert_eq!(tors.learns("10.65.1.0/26").as_path, [OUR_AS]);
    assert_eq!(tors.route("198.18.13.128/25"), Ok(None), "only what is ours");
    let shown = told(&*insides, "198.18.7.0/25");
    assert!(shown.contains("BGP.local_pref: 2147483135"), "a priority: {shown}");
    assert_eq!(
        others.learns("198.18.7.0/25").as_path,
        [OUR_AS, 64901, 64902, THEIR_AS],
        "in the order of the list"
    );
    // LOCAL_PREF does not leave the AS: BIRD has its own for what comes without one.
    assert!(told(&*others, "198.18.7.0/25").contains("BGP.local_pref: 100"));
}

/// A BGPFilter each way: rules on prefix, length, AS_PATH and community, with communities added, a path prepended and a
/// priority set; and communities by prefix.
fn filters(lab: &Lab) {
    const POLICIES: &str = r#"
[[policy]]
name = "import"
default = "accept"
[[policy.rule]]
match = { prefix = ["198.51.100.0/24 orlonger"], communities = ["65010:666"] }
then = "reject"
[[policy.rule]]
match = { as-path-starts-with = [65010, 65099] }
then = "reject"
[[policy.rule]]
match = { prefix = ["203.0.113.0/24 ge 25 le 25"] }
set = { local-pref = 2147483135 }
then = "accept"
[[policy]]
name = "export"
default = "reject"
[[policy.rule]]
match = { prefix = ["10.65.0.0/16 orlonger"] }
set = { add-communities = ["65000:7"], add-large-communities = ["65000:1:2"] }
then = "continue"
[[policy.rule]]
match = { prefix = ["10.65.1.0/26"] }
set = { prepend = [64901, 64902] }
then = "accept"
[[policy.rule]]
match = { prefix = ["10.65.2.0/26"] }
then = "accept"
[[policy.rule]]
match = { source = ["external"] }
then = "reject"
"#;
    let [ours, tor, inside] =
        [("ours", 1), ("tor", 51), ("inside", 2)].map(|(name, index)| lab.node(name, index));
    let routes: String = ["10.65.1.0/26", "10.65.2.0/26", "10.65.3.0/26"]
        .map(|p| format!("[[route]]\nprefix = \"{p}\"\n"))
        .concat();
    let external = neighbor(tor.v4(), THEIR_AS, "")
        .replace("import = \"accept\"\nexport = \"accept\"", "import = \"import\"\nexport = \"export\"");
    let text = [head(lab, &ours), routes, POLICIES.to_owned(), external, neighbor(inside.v4(), OUR_AS, "")];
    let reflector = Reflector::start_with(lab, &ours, &text.concat());
    let filter = "if source != RTS_STATIC then reject; if net = 198.51.100.0/25 then bgp_community.add((65010,666)); \
                  if net = 192.0.2.0/24 then bgp_path.prepend(65099); accept;";
    let networks = ["198.51.100.0/25", "198.51.100.128/25", "192.0.2.0/24", "203.0.113.0/25"];
    let to_us = Neighbor::active(ours.v4(), OUR_AS).filter(filter);
    let tors = Kind::Bird.start(lab, &tor, Setup::new(THEIR_AS, vec![to_us], &networks));
    let to_us = Neighbor::active(ours.v4(), OUR_AS);
    let insides = Kind::Bird.start(lab, &inside, Setup::new(OUR_AS, vec![to_us], &[]));
    reflector.comes_up_with(tor.v4());
    reflector.comes_up_with(inside.v4());

    let first = told(&*tors, "10.65.1.0/26");
    assert_eq!(tors.learns("10.65.1.0/26").as_path, [OUR_AS, 64901, 64902]);
    for words in ["(65000,7)", "(65000, 1, 2)"] {
        assert!(first.contains(words), "{words}: {first}");
    }
    assert_eq!(tors.learns("10.65.2.0/26").as_path, [OUR_AS]);
    let preferred = told(&*insides, "203.0.113.0/25");
    assert!(preferred.contains("BGP.local_pref: 2147483135"), "{preferred}");
    assert!(told(&*insides, "198.51.100.128/25").contains("BGP.local_pref: 100"));
    for refused in ["198.51.100.0/25", "192.0.2.0/24"] {
        assert_eq!(insides.route(refused), Ok(None), "{refused} is refused");
    }
    assert_eq!(tors.route("10.65.3.0/26"), Ok(None), "what no rule accepts is not told");
    let mut kernel: Vec<String> =
        reflector.kernel().expect("the kernel answers").iter().map(|r| r["dst"].to_string()).collect();
    kernel.sort_unstable();
    assert_eq!(kernel, ["\"198.51.100.128/25\"", "\"203.0.113.0/25\""]);
}
