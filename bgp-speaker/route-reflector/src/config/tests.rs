//! Bad input: one message each, with line, column and the mend.

use super::*;

const HEAD: &str = "asn = 65000\nrouter-id = \"10.0.0.1\"\nlisten = \"10.0.0.1:179\"\n";

/// The message for `HEAD` followed by `rest`; its line numbers count from the first line of `HEAD`.
fn fault(rest: &str) -> String {
    fault_of(&format!("{HEAD}{rest}"))
}

fn fault_of(source: &str) -> String {
    match parse(source) {
        Ok(_) => panic!("accepted:\n{source}"),
        Err(diagnostic) => ConfigError::invalid(Path::new("rr.toml"), source, diagnostic).to_string(),
    }
}

/// One message that has each of `parts`.
#[track_caller]
fn says(message: &str, parts: &[&str]) {
    assert_eq!(message.matches("error: ").count(), 1, "not one message:\n{message}");
    assert!(message.contains("help: "), "no mend in:\n{message}");
    for part in parts {
        assert!(message.contains(part), "no {part:?} in:\n{message}");
    }
}

const PEER: &str = "[[neighbor]]\naddress = \"10.0.0.2\"\nasn = 65000\n";

#[test]
fn a_full_file_is_accepted() {
    let config = parse(include_str!("../../example.toml")).expect("the example is valid");
    assert_eq!(config.neighbor.len(), 4);
}

#[test]
fn a_wrong_key_is_named_with_the_one_that_was_meant() {
    let message = fault(&format!("{PEER}route-reflector-cleint = true\n"));
    says(
        &message,
        &["unknown key `route-reflector-cleint`", "rr.toml:7:1", "did you mean `route-reflector-client`?"],
    );
    says(&fault("router_id = \"10.0.0.2\"\n"), &["rr.toml:4:1", "did you mean `router-id`?"]);
    says(&fault("colour = 1\n"), &["unknown key `colour`", "known here: asn, router-id"]);
}

#[test]
fn a_wrong_type_says_what_to_write() {
    let message = fault(&format!("{PEER}passive = \"true\"\n"));
    says(
        &message,
        &["text \"true\" does not belong here", "rr.toml:7:11", "write true or false, without quotes"],
    );
    says(&fault("hold-time = \"90\"\n"), &["rr.toml:4:13", "such as 90 (without quotes)"]);
    says(&fault("kernel-export = yes\n"), &["`yes` is no value", "write kernel-export = true"]);
    says(&fault("kernel-export = true\n[kernel]\nprotocol = 300\n"), &["the number 300", "from 0 to 255"]);
    says(&fault("neighbor = 5\n"), &["the number 5 does not belong here", "write a list"]);
    says(&fault("log = \"info\"\n"), &["write a table"]);
    says(&fault("neighbor = [[\"10.0.0.2\", 65000]]\n"), &["a list does not belong here", "write a table"]);
    says(&fault_of("asn = \"65000\"\n"), &["rr.toml:1:7", "an AS number, such as 65000"]);
}

#[test]
fn two_neighbors_with_one_address_are_both_pointed_at() {
    let message = fault(&format!("{PEER}{PEER}"));
    says(
        &message,
        &["two neighbors have the address 10.0.0.2", "rr.toml:8:11", "the first one", "the second one"],
    );
    says(&message, &["5 | address = \"10.0.0.2\""]);
}

#[test]
fn an_ipv4_address_is_not_written_as_one_of_ipv6() {
    let mapped = PEER.replace("10.0.0.2", "::ffff:10.0.0.2");
    says(&fault(&mapped), &["\"::ffff:10.0.0.2\" is an IPv4 address", "rr.toml:5:11", "write \"10.0.0.2\""]);
    let range = "[[neighbor-range]]\nprefix = \"::ffff:10.0.0.0/120\"\nasn = 65000\n";
    says(&fault(range), &["holds IPv4 addresses", "rr.toml:5:10", "write \"10.0.0.0/24\""]);
}

#[test]
fn what_is_between_two_as_is_not_said_of_an_internal_neighbor() {
    for (line, words) in [
        ("role = \"customer\"", ["RFC 9234", "rr.toml:7:8", "remove role, or write the neighbor's own AS"]),
        ("route-server-client = true", ["RFC 7947", "rr.toml:7:23", "remove route-server-client"]),
    ] {
        for asn in ["65000", "\"internal\"", "[65000]"] {
            let peer = PEER.replace("asn = 65000", &format!("asn = {asn}"));
            let message = fault(&format!("{peer}{line}\n"));
            says(&message, &words);
            says(&message, &["our AS is 65000, so this neighbor is internal"]);
            let range = format!("[[neighbor-range]]\nprefix = \"10.0.0.0/24\"\nasn = {asn}\n{line}\n");
            says(&fault(&range), &words);
        }
        for asn in ["65001", "\"external\"", "\"any\"", "[65000, 65001]"] {
            let peer = PEER.replace("asn = 65000", &format!("asn = {asn}"));
            parse(&format!("{HEAD}{peer}{line}\n")).expect("it may be external");
        }
        let other = PEER.replace("asn = 65000", "asn = 65000\nlocal-as = 65009");
        parse(&format!("{HEAD}{other}{line}\n")).expect("on this session our AS is another");
    }
    parse(&format!("{HEAD}{PEER}route-server-client = false\n")).expect("nothing is asked for");
}

#[test]
fn an_ipv6_neighbor_with_an_ipv4_option_is_refused() {
    let peer = PEER.replace("10.0.0.2", "2001:db8::2");
    says(
        &fault(&format!("{peer}local-address = \"10.0.0.1\"\n")),
        &["cannot be reached from 10.0.0.1", "rr.toml:7:17", "an IPv4 address; the neighbor has an IPv6 one"],
    );
    says(
        &fault(&format!("{peer}families = [\"ipv6-unicast\"]\nnext-hop-ipv4 = \"10.0.0.1\"\n")),
        &["next-hop-ipv4 is for IPv4 routes", "rr.toml:8:17", "add \"ipv4-unicast\" to families"],
    );
    says(
        &fault(&format!("{peer}passive = true\n")),
        &["passive neighbor over IPv6", "rr.toml:7:11", "\"[::]:179\""],
    );
    says(&fault("cluster-id = \"2001:db8::1\"\n"), &["identifiers have 32 bits", "rr.toml:4:14"]);
    says(
        &fault("[[route]]\nprefix = \"2001:db8::/64\"\nnext-hop = \"10.0.0.1\"\n"),
        &["IPv4 next hop 10.0.0.1", "rr.toml:6:12"],
    );
    let both = format!("{peer}next-hop-ipv4 = \"10.0.0.1\"\n");
    parse(&format!("{HEAD}{both}")).expect("IPv4 routes over IPv6 have an IPv4 next hop");
}

#[test]
fn values_out_of_range_are_refused_with_their_rfc() {
    for hold in [1, 2] {
        let message = fault(&format!("{PEER}hold-time = {hold}\n"));
        says(&message, &[&format!("a hold time of {hold} s is not allowed (RFC 4271 §4.2)"), "rr.toml:7:13"]);
    }
    says(&fault(&PEER.replace("65000", "0")), &["AS 0 is reserved", "rr.toml:6:7"]);
    says(&fault_of(&HEAD.replace("65000", "4294967296")), &["4294967296 is not an AS number", "rr.toml:1:7"]);
    says(&fault_of(&HEAD.replace(":179", ":99999")), &["\"99999\" is not a port"]);
    says(
        &fault("[[route]]\nprefix = \"10.1.0.1/26\"\n"),
        &["bits set beyond", "rr.toml:5:10", "write \"10.1.0.0/26\""],
    );
    says(&fault("[[route]]\nprefix = \"10.1.0.1\"\n"), &["no prefix length", "write \"10.1.0.1/32\""]);
    says(&fault(&format!("{PEER}ttl = 0\n")), &["0 is not a TTL"]);
    says(&fault(&format!("{PEER}restart-time = 4096\n")), &["12 bits"]);
    says(
        &fault(&format!("{PEER}hold-time = 9\nkeepalive-interval = 9\n")),
        &["rr.toml:8:22", "write at most 3"],
    );
    says(&fault(&format!("{PEER}import = \"acept\"\n")), &["did you mean \"accept\"?"]);
    says(
        &fault(&format!("{PEER}families = [\"ipv5\"]\n")),
        &["there is no family \"ipv5\"", "write one of ipv4-unicast,", "route-target"],
    );
    says(&fault(&format!("{PEER}families = []\n")), &["exchanges no routes"]);
}

#[test]
fn an_address_without_quotes_is_shown_in_quotes() {
    says(
        &fault(&PEER.replace("\"10.0.0.2\"", "10.0.0.2")),
        &["rr.toml:5:11", "write address = \"10.0.0.2\""],
    );
    says(
        &fault(&PEER.replace("\"10.0.0.2\"", "2001:db8::2")),
        &["rr.toml:5:11", "write address = \"2001:db8::2\""],
    );
    says(&fault("[[route]]\nprefix = 10.0.0.0/24\n"), &["rr.toml:5:10", "write prefix = \"10.0.0.0/24\""]);
    says(&fault(&PEER.replace("65000", "\"65000\"")), &["the AS number 65000 is in quotes"]);
}

#[test]
fn an_address_is_that_of_one_host() {
    for (address, words) in [
        ("fe80::1", "is a link-local address without an interface"),
        ("fe80::1%a-name-of-16-let", "is not the name of an interface"),
        ("2001:db8::1%eth0", "only link-local addresses have an interface"),
        ("0.0.0.0", "stands for every address"),
        ("224.0.0.5", "is a multicast address"),
        ("255.255.255.255", "is the broadcast address"),
        ("10.0.0.2:179", "give the port in its own key"),
        ("10.0.0.0/24", "go into [[neighbor-range]]"),
        ("router-2", "is not an IP address"),
    ] {
        says(&fault(&PEER.replace("10.0.0.2", address)), &[words, "rr.toml:5:11"]);
    }
}

#[test]
fn a_link_local_neighbor_names_its_interface_once() {
    let peer = PEER.replace("10.0.0.2", "fe80::1%eth0");
    parse(&format!("{HEAD}{peer}")).expect("it names its interface");
    let peer = PEER.replace("10.0.0.2", "fe80::1");
    parse(&format!("{HEAD}{peer}interface = \"eth0\"\n")).expect("it names its interface");
    let peer = PEER.replace("10.0.0.2", "fe80::1%eth0");
    says(
        &fault(&format!("{peer}interface = \"eth1\"\n")),
        &["behind eth0 and behind eth1", "rr.toml:7:13", "the address names its interface"],
    );
    says(
        &fault(&format!("{PEER}interface = \"a/b\"\n")),
        &["is not the name of an interface", "rr.toml:7:13"],
    );
    says(&fault(&format!("{peer}{peer}")), &["two neighbors have the address fe80::1%eth0"]);
    let other = peer.replace("eth0", "eth1");
    parse(&format!("{HEAD}{peer}{other}")).expect("the same address on two links is two neighbors");
}

#[test]
fn ttl_security_leaves_no_choice_of_ttl() {
    parse(&format!("{HEAD}{PEER}ttl-security = 1\n")).expect("a direct neighbor");
    says(&fault(&format!("{PEER}ttl-security = 0\n")), &["0 is not a number of hops", "rr.toml:7:16"]);
    says(
        &fault(&format!("{PEER}ttl = 1\nttl-security = 1\n")),
        &["sends with TTL 255", "rr.toml:8:16", "remove ttl, or remove ttl-security"],
    );
}

#[test]
fn a_session_has_one_password_that_no_message_repeats() {
    parse(&format!("{HEAD}{PEER}password = \"s3cret\"\n")).expect("a password");
    parse(&format!("{HEAD}{PEER}password-file = \"/run/secret\"\n")).expect("a password");
    let both = format!("{PEER}password = \"s3cret\"\npassword-file = \"/run/secret\"\n");
    let long = format!("{PEER}password = \"{}\"\n", "s3cret".repeat(14));
    let open = format!("{PEER}password = s3cret\n");
    let number = format!("{PEER}password = 123s3cret\n");
    let near = format!("{PEER}pasword = \"s3cret\"\n");
    let list = format!("{PEER}password = [\"s3cret\"]\n");
    let unended = format!("{PEER}password = \"s3cret\n");
    let empty = format!("{PEER}password = \"\"\n");
    for (text, words) in [
        (&both, "not both"),
        (&long, "84 octets"),
        (&open, "cannot be read"),
        (&number, "cannot be read"),
        (&near, "did you mean `password`?"),
        (&list, "cannot be read"),
        (&unended, "cannot be read"),
        (&empty, "the password is empty"),
    ] {
        let message = fault(text);
        says(&message, &[words]);
        assert!(!message.contains("s3cret"), "{message}");
    }
    says(&fault(&format!("{PEER}password-file = \"\"\n")), &["the password file has no name"]);
}

#[test]
fn a_neighbor_cannot_be_this_speaker() {
    says(
        &fault(&PEER.replace(".2", ".1")),
        &["this speaker's own address", "rr.toml:5:11", "we listen here"],
    );
}

#[test]
fn a_client_of_another_as_is_refused() {
    let message = fault(&format!("{}route-reflector-client = true\n", PEER.replace("65000", "65001")));
    says(&message, &["RFC 4456 §2", "rr.toml:7:26", "our AS is 65000", "write asn = 65000"]);
}

#[test]
fn client_to_client_of_a_session_that_is_no_clients_is_refused() {
    let message = fault(&format!("{PEER}client-to-client = false\n"));
    says(&message, &["route-reflector client", "rr.toml:7:20", "add route-reflector-client = true"]);
    parse(&format!("{HEAD}{PEER}route-reflector-client = true\nclient-to-client = false\n"))
        .expect("a client");
}

#[test]
fn the_next_hop_of_a_third_party_goes_with_a_network() {
    let message = fault(&format!("{PEER}next-hop = \"third-party\"\n"));
    says(&message, &["rr.toml:7:12", "add shared-network"]);
    let message = fault(&format!("{PEER}shared-network = \"10.0.0.0/24\"\n"));
    says(&message, &["rr.toml:7:18", "third-party"]);
}

#[test]
fn a_mesh_names_this_node_once() {
    let mesh = |local: &str, second: &str| {
        format!(
            "[mesh]\nlocal = \"{local}\"\nnodes = [{{ address = \"10.0.0.1\" }}, {{ address = \"{second}\" }}]\n"
        )
    };
    parse(&format!("{HEAD}{}", mesh("10.0.0.1", "10.0.0.2"))).expect("a mesh of two");
    says(
        &fault(&mesh("10.0.0.9", "10.0.0.2")),
        &["no node of the mesh has the address 10.0.0.9", "rr.toml:5:9"],
    );
    says(&fault(&mesh("10.0.0.1", "10.0.0.1")), &["two peers have the address 10.0.0.1", "rr.toml:6:48"]);
    says(
        &fault(&format!("{PEER}{}", mesh("10.0.0.1", "10.0.0.2"))),
        &["two peers have the address 10.0.0.2"],
    );
    let elsewhere = mesh("10.0.0.1", "10.0.0.2").replace("10.0.0.1\" }", "10.0.0.1\", port = 1790 }");
    says(
        &fault(&elsewhere),
        &["the other nodes dial this one at port 1790", "rr.toml:6:41", "we listen at port 179"],
    );
    let apart = mesh("10.0.0.3", "10.0.0.3");
    says(
        &fault(&apart),
        &["this node does not listen on 10.0.0.3", "rr.toml:5:9", "add \"10.0.0.3:179\" to listen"],
    );
    let two = "[mesh]\nlocal = \"10.0.0.1\"\nnodes = [{ address = [\"10.0.0.1\", \"10.0.0.3\"] }]\n";
    says(&fault(two), &["a node has one IPv4 address"]);
}

#[test]
fn headers_take_the_brackets_that_they_need() {
    says(&fault("[neighbor]\naddress = \"10.0.0.2\"\n"), &["rr.toml:4:1", "two brackets: [[neighbor]]"]);
    says(&fault("[[mesh]]\nlocal = \"10.0.0.1\"\n"), &["rr.toml:4:1", "one bracket: [mesh]"]);
}

#[test]
fn what_is_missing_is_named() {
    says(&fault_of("asn = 65000\n"), &["the key `router-id` is missing", "rr.toml:1:1"]);
    says(
        &fault("[[neighbor]]\nasn = 65000\n"),
        &["the key `address` is missing in [[neighbor]]", "rr.toml:4:1"],
    );
    says(&fault_of(""), &["the file is empty", "rr.toml:1:1"]);
    says(&fault_of(" \n\n"), &["the file is empty"]);
}

#[test]
fn a_text_that_is_no_toml_says_where() {
    says(&fault("asn = 65001\n"), &["duplicate key", "rr.toml:4:1", "keep one of the two lines"]);
    says(&fault("hold-time 90\n"), &["rr.toml:4:11", "write key = value"]);
    says(&fault("[[neighbor]\n"), &["unclosed", "rr.toml:4:12"]);
    says(&fault("control-socket = \"/run/x\n"), &["rr.toml:4:25", "quotation mark"]);
}

#[test]
fn options_without_effect_are_refused() {
    says(&fault("[kernel]\ntable = 100\n"), &["no effect without kernel export", "rr.toml:4:1"]);
    says(&fault("kernel-export = true\n[kernel]\nvrf = \"red\"\n"), &["table of its own", "write table ="]);
    says(&fault("[learn]\ntables = [255]\n"), &["hold no routes to learn", "rr.toml:5:10"]);
    says(
        &fault("kernel-export = true\n[learn]\nprotocols = [80, 186]\n"),
        &["routes of protocol 186 are what we write ourselves", "rr.toml:6:13"],
    );
    says(
        &fault(&format!("{PEER}graceful-restart = false\nrestart-time = 5\n")),
        &["no effect", "rr.toml:8:16"],
    );
    says(
        &fault_of(&HEAD.replace("\"10.0.0.1:179\"", "[\"0.0.0.0:179\", \"10.0.0.1:179\"]")),
        &["cannot both"],
    );
}

#[test]
fn a_file_that_cannot_be_read_is_told_from_one_that_is_wrong() {
    let message = load(Path::new("/nonexistent/rr.toml")).expect_err("there is no such file").to_string();
    says(&message, &["cannot read /nonexistent/rr.toml: No such file or directory", "--config FILE"]);
    says(&load(Path::new("/")).expect_err("a directory").to_string(), &["Is a directory"]);
    says(&load(Path::new("/dev/zero")).expect_err("endless").to_string(), &["larger than 64 MiB"]);
}

#[test]
fn the_first_byte_that_is_not_utf8_is_pointed_at() {
    let bytes = b"asn = 65000\nrouter-id = \"10.\xff0.0.1\"\n".to_vec();
    let error = String::from_utf8(bytes).expect_err("0xff is no UTF-8");
    says(
        &not_utf8(Path::new("rr.toml"), &error).to_string(),
        &["rr.toml:2:17", "the byte 0xff", "save the file as UTF-8"],
    );
}

#[test]
fn terminal_escapes_in_a_file_do_not_reach_the_terminal() {
    let message = fault("\"\\u001b[31m\" = 1\n# \u{1b}[31m\n");
    assert!(!message.contains('\u{1b}'), "{message:?}");
}

#[test]
fn a_line_that_fills_the_screen_is_named_and_not_shown() {
    let message = fault(&format!("# {}\n{} = 1\n", "é".repeat(600), "x".repeat(1 << 20)));
    says(&message, &["unknown key `xxx", "rr.toml:5:1"]);
    assert!(message.len() < 2000, "{} bytes", message.len());
    let message = fault(&format!("hold-time = {}2\n", " ".repeat(600)));
    says(&message, &["a hold time of 2 s", "rr.toml:4:613"]);
}

#[test]
fn an_aggregate_says_what_it_means() {
    let block = "[[aggregate]]\nprefix = \"10.1.0.0/26\"\n";
    says(
        &fault(&format!("{block}except = \"accept\"\n")),
        &["nothing is suppressed", "write suppress = true"],
    );
    says(
        &fault(&format!("{block}suppress = true\nexcept = \"acept\"\n")),
        &["there is no policy", "did you mean"],
    );
    says(&fault(&format!("{block}[[route]]\nprefix = \"10.1.0.0/26\"\n")), &["two routes have the prefix"]);
}

#[test]
fn a_damaged_file_is_accepted_or_told_and_never_a_panic() {
    let whole = include_str!("../../example.toml");
    let damages: [fn(&str, &str) -> String; 3] = [
        |before, _| before.to_owned(),
        |before, after| format!("{before}{after}"),
        |before, after| format!("{before}[{after}"),
    ];
    // Every second character, damaged in one way after the other: each line in several places, in all ways.
    for ((at, lost), damage) in whole.char_indices().step_by(2).zip(damages.into_iter().cycle()) {
        let (before, after) = (&whole[..at], &whole[at + lost.len_utf8()..]);
        let source = damage(before, after);
        if let Err(diagnostic) = parse(&source) {
            let message = ConfigError::invalid(Path::new("rr.toml"), &source, diagnostic).to_string();
            assert!(message.starts_with("error: ") && message.contains("rr.toml:"), "{message}");
            assert!(message.contains("help: "), "no mend in:\n{message}");
        }
    }
}

const POLICY: &str = "[[policy]]\nname = \"p\"\ndefault = \"reject\"\n[[policy.rule]]\nthen = \"accept\"\n";

#[test]
fn what_is_wrong_with_a_policy_is_shown_at_its_rule() {
    let unknown = format!("{PEER}import = \"q\"\n{POLICY}");
    says(&fault(&unknown), &["there is no policy \"q\"", "rr.toml:7:10", "write \"p\""]);
    let unknown = format!("{PEER}export = \"to-the-fabric\"\n{POLICY}");
    says(&fault(&unknown), &["there is no policy \"to-the-fabric\"", "add a [[policy]] with this name"]);
    says(
        &fault(&format!("{POLICY}{POLICY}")),
        &["two policies have the name \"p\"", "rr.toml:10:8", "the first one"],
    );
    says(&fault(&POLICY.replace("\"p\"", "\"accept\"")), &["\"accept\" is a policy already"]);
    says(&fault(&POLICY.replace("default", "defualt")), &["did you mean `default`?"]);
    says(&fault("[[policy]]\nname = \"p\"\n"), &["`default` is missing", "default = \"reject\""]);
    let sets = "[[prefix-set]]\nname = \"pools\"\nprefixes = [\"10.0.0.0/8\"]\n";
    let rule = format!("{sets}{POLICY}match = {{ any = [{{ prefix-set = [\"pool\"] }}] }}\n");
    says(&fault(&rule), &["there is no prefix set \"pool\"", "rr.toml:12:34", "write \"pools\""]);
    for (key, parts) in [
        ("match.prefix = [\"10.0.0.0/8 le 33\"]", ["rr.toml:9:17", "lengths go from 8 to 32"]),
        ("match.prefix = [\"10.0.0.1/8\"]", ["has bits set beyond its length", "write \"10.0.0.0/8\""]),
        ("match.as-path = [\"^65001 (\"]", ["rr.toml:9:18", "AS numbers stand for themselves"]),
        ("match.communities = [\"65000\"]", ["not a pattern over communities", "65000:*"]),
        ("match.local-pref = \"200-100\"", ["ends before it begins", "write \"100-200\""]),
        ("match.colour = 1", ["unknown key `colour`", "as-path-length"]),
        ("set.med = \"10+\"", ["not a change of a number", "\"+10\""]),
        ("set.next-hop = \"me\"", ["\"me\" is no next hop", "\"self\""]),
        ("set.extended-communities = [\"rt:1\"]", ["not an extended community", "rt:65000:100"]),
        (
            "match.ipv6-extended-communities = [\"rt:1:1\"]",
            ["not an IPv6 extended community", "rt:2001:db8::1:*"],
        ),
        ("set.discard = \"drop\"", ["rr.toml:9", "blackhole"]),
        ("set.preference = -1", ["rr.toml:9", "-1"]),
        ("match.owner = []", ["rr.toml:7:1", "the list is empty"]),
        ("set.prepend = [0]", ["AS 0 is reserved", "64512 to 65534"]),
        ("match.source = []", ["rr.toml:7:1", "the list is empty"]),
    ] {
        says(&fault(&format!("{POLICY}{key}\n")), &parts);
    }
    let rejecting = POLICY.replace("then = \"accept\"", "then = \"reject\"\nset.med = 1");
    says(&fault(&rejecting), &["a rule that rejects changes nothing", "rr.toml:7:1"]);
}

#[test]
fn a_strict_role_needs_a_role() {
    let message = fault("[[neighbor]]\naddress = \"10.0.0.2\"\nasn = 65001\nrole-strict = true\n");
    says(&message, &["role-strict has no effect without a role", "rr.toml:7:15", "role = \"customer\""]);
}

#[test]
fn a_long_lived_time_has_24_bits() {
    for time in ["86400", "16777215"] {
        parse(&format!("{HEAD}{PEER}long-lived-time = {time}\n")).expect("RFC 9494 has room for it");
    }
    says(&fault(&format!("{PEER}long-lived-time = 16777216\n")), &["rr.toml:7:19", "16777215"]);
}

#[test]
fn several_paths_by_family_are_pointed_at_where_they_cannot_be() {
    let peer = |keys: &str| fault(&format!("{PEER}{keys}\n"));
    says(
        &peer("families = [\"ipv4-unicast\"]\nadd-path-receive = { ipv6-unicast = true }"),
        &["the session does not carry ipv6-unicast", "rr.toml:8:22", "add \"ipv6-unicast\" to families"],
    );
    says(
        &peer("add-path-send = { evpn = \"all\", l2vpn-evpn = \"all\" }"),
        &["l2vpn-evpn is there twice", "rr.toml:7:33", "keep one of the two"],
    );
    says(&peer("add-path-receive = { ipv4-unicast = 0 }"), &["0 is no number of paths", "rr.toml:7:37"]);
    says(&peer("add-path-receive = { ipv5 = 1 }"), &["there is no family \"ipv5\"", "rr.toml:7:22"]);
    says(&peer("add-path-receive = \"all\""), &["write true, false, a number of paths", "rr.toml:7:20"]);
    says(&peer("add-path-send = { ipv4-unicast = \"some\" }"), &["which paths to send", "rr.toml:7:34"]);
    says(&peer("add-path-send = true"), &["which paths to send", "rr.toml:7:17"]);
}

#[test]
fn what_a_mesh_says_of_its_sessions_is_checked_as_that_of_a_neighbor() {
    let mesh = |keys: &str| {
        let nodes = "local = \"10.0.0.1\"\nnodes = [{ address = \"10.0.0.1\" }, { address = \"10.0.0.2\" }]";
        fault(&format!("[mesh]\n{keys}\n{nodes}\n"))
    };
    says(&mesh("keepalive-intervall = 3"), &["rr.toml:5:1", "did you mean `keepalive-interval`?"]);
    says(&mesh("hold-time = 9\nkeepalive-interval = 9"), &["rr.toml:6:22", "write at most 3"]);
    says(&mesh("ttl = 3\nttl-security = 1"), &["rr.toml:6:16", "ttl-security sends with TTL 255"]);
    says(&mesh("role-strict = true"), &["rr.toml:5:15", "role-strict has no effect without a role"]);
    says(&mesh("asn = 65000"), &["unknown key `asn`", "rr.toml:5:1"]);
}
