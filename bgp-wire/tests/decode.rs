//! The `decode` example: what people paste into it, and what they get.
use std::io::Cursor;

use proptest::prelude::*;
use serde_json::{Value, json};

#[path = "../examples/decode.rs"]
mod decode;

fn run(args: &[&str], input: &[u8]) -> (u8, String) {
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let args = args.iter().map(|a| (*a).to_owned());
    let status = decode::run(args, &mut Cursor::new(input), &mut out, &mut errors);
    out.extend(errors);
    (status, String::from_utf8(out).expect("only text is printed"))
}

fn lines(args: &[&str], input: &[u8]) -> (u8, Vec<Value>) {
    let args: Vec<_> = ["--json"].iter().chain(args).copied().collect();
    let (status, text) = run(&args, input);
    (status, text.lines().map(|l| serde_json::from_str(l).expect("a JSON object in each line")).collect())
}

const MARKER: &str = "ffffffffffffffffffffffffffffffff";
const KEEPALIVE: &str = "ffffffffffffffffffffffffffffffff001304";
/// 10.1.0.0/16 and 10.2.3.0/24 from AS 65001, next hop 10.0.0.1, community 65000:1; 192.0.2.0/24 is withdrawn.
const BODY: &str =
    "0004 18c00002 001b 40010100 40020602010000fde9 4003040a000001 c00804fde80001 100a01 180a0203";

fn update(body: &str) -> String {
    let body: String = body.split_whitespace().collect();
    format!("{MARKER}{:04x}02{body}", 19 + body.len() / 2)
}

#[test]
fn paths_of_two_octets_are_shown_with_what_the_four_octet_ones_make_of_them() {
    let run = |aggregator: &str| {
        let path = "4002 06 0202 5ba0 fdea c011 0a 0202 00030d40 0000fdea";
        let attributes =
            format!("40010100 {path} 4003040a000001 c00706 {aggregator} 0a000009 c01208 00030d40 0a000008");
        let len = attributes.split_whitespace().collect::<String>().len() / 2;
        let body = format!("0000 {len:04x} {attributes} 180a0102");
        let (_, mut lines) = lines(&["--two-octet-as"], update(&body).as_bytes());
        lines.remove(0)
    };
    let told = run("5ba0");
    assert_eq!(told["attributes"][1]["value"], json!([{ "sequence": [23456, 65002] }]));
    assert_eq!(
        told["merged"],
        json!({
            "as_path": [{ "sequence": [200_000, 65002] }],
            "aggregator": { "asn": 200_000, "router_id": "10.0.0.8" },
        })
    );
    // Somebody of two octets aggregated since (RFC 6793 §4.2.3).
    assert_eq!(
        run("fde9")["merged"],
        json!({
            "as_path": [{ "sequence": [23456, 65002] }],
            "aggregator": { "asn": 65001, "router_id": "10.0.0.9" },
        })
    );
}

/// Checks the messages of one group, and says which come out otherwise.
fn strays(flags: &str, group: &[&str]) -> Vec<String> {
    let flags: Vec<_> = flags.split_whitespace().collect();
    let parts: Vec<Vec<&str>> = group.iter().map(|line| line.splitn(4, ' ').collect()).collect();
    let octets = |hex: &str| hex.strip_prefix('!').map_or_else(|| format!("{MARKER}{hex}"), str::to_owned);
    let input: Vec<_> = parts.iter().map(|p| octets(p[2])).collect();
    let (_, lines) = lines(&flags, input.join("\n").as_bytes());
    assert_eq!(lines.len(), parts.len(), "one line for each message: {flags:?}");
    let told = |line: &Value| {
        let code = &line["notification"];
        (
            line["outcome"].as_str().unwrap_or_default().to_owned(),
            format!("{}/{}", code["code"], code["subcode"]),
        )
    };
    let stray = |(part, line): (&Vec<&str>, &Value)| {
        let (outcome, code) = told(line);
        let fits = outcome == part[0] && (part[1] == "-" || code == part[1]);
        (!fits).then(|| format!("{} {flags:?}: {outcome} {code}, not {} {}", part[3], part[0], part[1]))
    };
    parts.iter().zip(&lines).filter_map(stray).collect()
}

#[test]
fn each_message_of_the_list_has_its_outcome() {
    let list = include_str!("outcomes.txt");
    let (mut strays_found, mut messages) = (vec![], 0);
    for group in list.split("\n= ").skip(1) {
        let mut group = group.lines();
        let flags = group.next().expect("a group begins with its flags");
        let group: Vec<_> = group.collect();
        messages += group.len();
        strays_found.extend(strays(flags, &group));
    }
    assert!(messages > 800, "{messages}");
    assert!(strays_found.is_empty(), "{strays_found:#?}");
}

#[test]
fn labels_are_shown_where_they_mean_something() {
    let vpn = "70 000641 0000fde800000064 0a0102";
    let shown = |attribute: &str, value: &str, field: &str| {
        let value: String = value.split_whitespace().collect();
        let attribute = format!("80{attribute}{:02x}{value}", value.len() / 2);
        let mandatory = "40010100 40020602010000fde9";
        let len = (attribute.len() + mandatory.len()) / 2;
        let (_, lines) = lines(&[], update(&format!("0000 {len:04x} {mandatory}{attribute}")).as_bytes());
        lines[0][field][0]["prefixes"][0]["prefix"].clone()
    };
    let reach = format!("0001 80 0c 0000000000000000 0a000001 00 {vpn}");
    assert_eq!(shown("0e", &reach, "reach"), "65000:100:10.1.2.0/24 label 100");
    assert_eq!(shown("0f", &format!("0001 80 {vpn}"), "unreach"), "65000:100:10.1.2.0/24");
    assert_eq!(shown("0f", "0001 04 30 800000 0a0102", "unreach"), "10.1.2.0/24");
}

#[test]
fn an_update_comes_out_as_one_json_line() {
    let (status, lines) = lines(&[], update(BODY).as_bytes());
    assert_eq!(status, 0);
    assert_eq!(
        lines,
        [json!({
            "source": "line 1",
            "type": "UPDATE",
            "length": 61,
            "outcome": "ok",
            "attributes": [
                {"type": "ORIGIN", "code": 1, "flags": 0x40, "value": "igp"},
                {"type": "AS_PATH", "code": 2, "flags": 0x40, "value": [{"sequence": [65001]}]},
                {"type": "NEXT_HOP", "code": 3, "flags": 0x40, "value": "10.0.0.1"},
                {"type": "COMMUNITIES", "code": 8, "flags": 0xc0, "value": ["65000:1"]},
            ],
            "reach": [{
                "family": "ipv4-unicast",
                "next_hop": "10.0.0.1",
                "prefixes": [{"prefix": "10.1.0.0/16"}, {"prefix": "10.2.3.0/24"}],
            }],
            "unreach": [{"family": "ipv4-unicast", "prefixes": [{"prefix": "192.0.2.0/24"}]}],
            "faults": [],
        })]
    );
}

#[test]
fn the_same_in_words() {
    let (_, text) = run(&[], update(BODY).as_bytes());
    assert!(text.starts_with("line 1: UPDATE, 61 octets: ok\n"), "{text}");
    assert!(text.contains("AS_PATH              65001\n"), "{text}");
    assert!(
        text.contains("reach                ipv4-unicast via 10.0.0.1: 10.1.0.0/16 10.2.3.0/24\n"),
        "{text}"
    );
    assert!(text.contains("unreach              ipv4-unicast: 192.0.2.0/24\n"), "{text}");
}

/// Octets of a message in every way in which a log or a tool prints them.
#[test]
fn every_way_to_write_hex_means_the_same() {
    let hex = update(BODY);
    let octets: Vec<&str> = (0..hex.len()).step_by(2).filter_map(|i| hex.get(i..i + 2)).collect();
    let dump = |digits: usize, colon: &str, gap: &str, text: &str| {
        let row = |(n, row): (usize, &[&str])| {
            format!(
                "{:0digits$x}{colon}  {}{gap}{}{text}\n",
                16 * n,
                row[..8.min(row.len())].join(" "),
                row.get(8..).unwrap_or(&[]).join(" ")
            )
        };
        octets.chunks(16).enumerate().map(row).collect::<String>()
    };
    let words: Vec<String> = octets.chunks(2).map(<[&str]>::concat).collect();
    let tcpdump: String = words
        .chunks(8)
        .enumerate()
        .map(|(n, row)| format!("\t0x{:04x}:  {}  ..E.ab\n", 16 * n, row.join(" ")))
        .collect();
    let forms = [
        hex.to_uppercase(),
        octets.join(" "),
        octets.join(":"),
        octets.join(", "),
        octets.iter().map(|o| format!("0x{o}, ")).collect(),
        format!("b'{}'", octets.iter().map(|o| format!("\\x{o}")).collect::<String>()),
        format!("{hex} # a comment"),
        format!("2026-11-22T10:00:00 bgpd[7]: 10.0.0.2 rcvd UPDATE {hex} (61 bytes)"),
        dump(4, "", " ", ""),
        dump(8, "", "  ", "  |................|"),
        dump(4, "", "  ", "   ................"),
        dump(8, ":", " ", ""),
        tcpdump,
        format!("10:15:32.123456 {hex}"),
        format!("[10:15:32] {}", octets.join(" ")),
        format!("12:00:01 {} 61", octets.join(":")),
        format!("20261122 120001 {hex}"),
        format!("{{\"time\": \"2026-11-22T10:00:00Z\", \"data\": \"{hex}\", \"peer\": \"10.0.0.2\"}}"),
        format!("[]byte{{{}}}", octets.iter().map(|o| format!("0x{o}, ")).collect::<String>()),
        format!("{hex}\r\n"),
        // As `od` and `hexdump` end.
        format!("{}00003d\n", dump(6, "", " ", "")),
        format!("{}0000003d\n", dump(8, "", "  ", "  |................|")),
        hex.as_bytes().chunks(38).map(|c| String::from_utf8_lossy(c) + "\n").collect(),
    ];
    for form in forms {
        let (status, lines) = lines(&[], form.as_bytes());
        assert_eq!((status, lines.len()), (0, 1), "{form}\n{lines:?}");
        assert_eq!(lines[0]["reach"][0]["prefixes"][1]["prefix"], "10.2.3.0/24", "{form}");
    }
}

/// Hex digits of a packet from the Ethernet header on.
fn packet_hex(sequence: u32, data: &[u8]) -> String {
    packet(sequence, 0x18, data).iter().map(|octet| format!("{octet:02x}")).collect()
}

/// What tcpdump prints of a packet with `-x`: from the IP header on.
fn tcpdump(sequence: u32, data: &[u8]) -> String {
    let hex = packet_hex(sequence, data).split_off(28);
    let words: Vec<&str> =
        (0..hex.len()).step_by(4).filter_map(|i| hex.get(i..(i + 4).min(hex.len()))).collect();
    let rows =
        words.chunks(8).enumerate().map(|(n, row)| format!("\t0x{:04x}:  {}\n", 16 * n, row.join(" ")));
    let summary = "10:15:32.123456 IP 10.0.0.2.4711 > 10.0.0.1.179: Flags [P.], length 61: BGP\n".to_owned();
    summary + &rows.collect::<String>()
}

#[test]
fn packets_that_were_copied_out_are_read_like_a_capture() {
    let (update, keepalive) = (octets(&update(BODY)), octets(KEEPALIVE));
    let types = |text: &str| {
        let (status, lines) = lines(&[], text.as_bytes());
        (status, lines.iter().filter_map(|l| l["type"].as_str().map(str::to_owned)).collect::<Vec<_>>())
    };
    assert_eq!(types(&packet_hex(1000, &update)), (0, vec!["UPDATE".to_owned()]));
    // A message in two packets, an acknowledgement between them, another message.
    let (front, back) = update.split_at(30);
    let text =
        [tcpdump(1000, front), tcpdump(1030, &[]), tcpdump(1030, back), tcpdump(1061, &keepalive)].concat();
    assert_eq!(types(&text), (0, vec!["UPDATE".to_owned(), "KEEPALIVE".to_owned()]));
}

#[test]
fn dumps_of_single_messages_follow_one_another() {
    let one =
        "0000   ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff   ................\n0010   00 13 04   ...\n";
    let (status, all) = lines(&[], one.repeat(2).as_bytes());
    let sources: Vec<_> = all.iter().map(|l| l["source"].as_str().unwrap_or_default()).collect();
    assert_eq!((status, sources), (0, vec!["line 1", "line 3"]), "{all:?}");
}

#[test]
fn families_go_by_other_names_too() {
    for name in ["ipv4", "IPv4-Unicast", "ipv4_unicast", "ipv4/unicast", "1/1", "afi-1-safi-1"] {
        assert_eq!(run(&["--families", name], KEEPALIVE.as_bytes()).0, 0, "{name}");
    }
    assert_eq!(run(&["--add-path", "evpn,vpnv4"], KEEPALIVE.as_bytes()).0, 0);
    assert_eq!(run(&["--families", "1/77"], b"").0, 2);
}

#[test]
fn bad_hex_is_reported_with_its_line_and_the_rest_is_read() {
    let input = format!("{KEEPALIVE}\n\nnot hex\nfff\n{}\n{KEEPALIVE}{KEEPALIVE}\n", &KEEPALIVE[..36]);
    let (status, lines) = lines(&[], input.as_bytes());
    assert_eq!(status, 2);
    let sources: Vec<_> = lines.iter().map(|l| l["source"].as_str().unwrap_or_default()).collect();
    assert_eq!(sources, ["line 1", "line 3", "line 4", "line 5", "line 6", "line 6"]);
    assert!(lines[1]["error"].as_str().is_some_and(|e| e.contains("column 1")), "{}", lines[1]);
    assert!(lines[3]["error"].as_str().is_some_and(|e| e.contains("cut short")), "{}", lines[3]);
    assert!(lines[4]["outcome"] == "ok" && lines[5]["outcome"] == "ok");
}

/// Withdrawn and attributes empty, then what the case adds.
#[test]
fn the_outcome_names_the_reaction() {
    let reach = "40010100 40020602010000fde9 4003040a000001";
    let with = |attributes: &str| {
        let octets: String = format!("{reach}{attributes}").split_whitespace().collect();
        update(&format!("0000 {:04x} {octets} 100a01", octets.len() / 2))
    };
    let outcome = |args: &[&str], hex: &str| {
        let (status, lines) = lines(args, hex.as_bytes());
        assert_eq!(lines.len(), 1, "{lines:?}");
        (status, lines[0].clone())
    };
    // LOCAL_PREF: from an external peer it is not wanted.
    let local_pref = with("40050400000064");
    assert_eq!(outcome(&["--ibgp"], &local_pref).1["outcome"], "ok");
    let (status, line) = outcome(&["--ebgp"], &local_pref);
    assert_eq!((status, &line["outcome"]), (1, &json!("attribute-discard")));
    // COMMUNITIES of three octets.
    let (_, line) = outcome(&[], &with("c00803000001"));
    assert_eq!(line["outcome"], "treat-as-withdraw");
    assert_eq!(line["unreach"][0]["prefixes"][0]["prefix"], "10.1.0.0/16");
    assert_eq!(line["reach"], json!([]));
    // MP_UNREACH_NLRI with a prefix of 129 bits.
    let mp = with("800f04 000201 81");
    assert_eq!(outcome(&[], &mp).1["outcome"], "afi-safi-disable");
    let (status, line) = outcome(&["--no-afi-safi-disable"], &mp);
    assert_eq!((status, &line["outcome"]), (1, &json!("session-reset")));
    assert_eq!((&line["notification"]["code"], &line["notification"]["subcode"]), (&json!(3), &json!(9)));
    // Not synchronized.
    let (_, line) = outcome(&[], &KEEPALIVE.replacen("ff", "fe", 1));
    assert_eq!((&line["notification"]["code"], &line["notification"]["subcode"]), (&json!(1), &json!(1)));
}

#[test]
fn the_session_is_told_by_flags() {
    let two = update("0000 0012 40010100 4002040201fde9 4003040a000001 100a01");
    let (_, narrow) = lines(&["--two-octet-as"], two.as_bytes());
    assert_eq!(narrow[0]["attributes"][1]["value"], json!([{"sequence": [65001]}]));
    assert_eq!(lines(&[], two.as_bytes()).1[0]["outcome"], "treat-as-withdraw");

    let add_path = update("0000 0014 40010100 40020602010000fde9 4003040a000001 00000007 100a01");
    let (_, paths) = lines(&["--add-path", "ipv4-unicast"], add_path.as_bytes());
    assert_eq!(paths[0]["reach"][0]["prefixes"], json!([{"prefix": "10.1.0.0/16", "path_id": 7}]));

    let mp = "900e001a 000101 10 20010db8000000000000000000000001 00 100a01";
    let v6_hop = update(
        &format!("0000 002b 40010100 40020602010000fde9 {mp}")
            .replace("001a", "0018")
            .replace("002b", "0029"),
    );
    let (_, hop) = lines(&["--extended-next-hop=ipv4-unicast"], v6_hop.as_bytes());
    assert_eq!(hop[0]["reach"][0]["next_hop"], "2001:db8::1", "{}", hop[0]);
    assert_eq!(lines(&[], v6_hop.as_bytes()).1[0]["outcome"], "afi-safi-disable");

    let (_, other) = lines(&["--families", "ipv6-unicast"], update(BODY).as_bytes());
    assert_eq!(other[0]["reach"], json!([]));
    assert_eq!(run(&["--families", "ipv5"], b"").0, 2);
    assert_eq!(run(&["--no-such-flag"], b"").0, 2);
}

#[test]
fn a_label_without_the_bottom_bit_is_one_of_several_or_alone() {
    let reach = |nlri: &str| {
        let nlri: String = nlri.split_whitespace().collect();
        let len = 9 + nlri.len() / 2;
        update(&format!("0000 {:04x} 800e{len:02x} 000104 04 0a000001 00 {nlri} 40010100 400200", len + 10))
    };
    let prefix =
        |args: &[&str], nlri: &str| lines(args, reach(nlri).as_bytes()).1[0]["reach"][0]["prefixes"].clone();
    assert_eq!(prefix(&[], "48 000100 000111 c00002"), json!([{"prefix": "192.0.2.0/24 label 16/17"}]));
    assert_eq!(prefix(&["--single-label"], "30 000100 c00002"), json!([{"prefix": "192.0.2.0/24 label 16"}]));
}

#[test]
fn a_long_message_needs_the_flag() {
    // 4,097 octets: 1,018 times 10.0.0.0/24 and two /8 behind 23 octets without attributes.
    let body = format!("0ff0{}{}0000", "180a0000".repeat(1019), "0800".repeat(2));
    let long = update(&body);
    assert_eq!(&long[32..36], "1007");
    assert_eq!(lines(&[], long.as_bytes()).1[0]["notification"]["subcode"], 2);
    let (status, read) = lines(&["--extended-message"], long.as_bytes());
    assert_eq!((status, &read[0]["outcome"]), (0, &json!("ok")));
}

#[test]
fn open_notification_and_refresh_are_spelled_out() {
    let open = format!("{MARKER}002d01 04 fde8 005a 0a000001 10 020e 010400010001 41040000fde80200");
    let cease = format!("{MARKER}001e03 0602 08 676f6f646279652e");
    let refresh = format!("{MARKER}001705 0002 01 01");
    let (status, all) = lines(&[], format!("{open}\n{cease}\n{refresh}\n").as_bytes());
    assert_eq!(status, 0, "{all:?}");
    assert_eq!(all[0]["asn"], 65000);
    assert_eq!(
        all[0]["capabilities"][0],
        json!({"type": "multiprotocol", "code": 1, "value": "ipv4-unicast"})
    );
    assert_eq!(all[1]["text"], "Cease / Administrative Shutdown: \"goodbye.\"");
    assert_eq!((&all[2]["family"], &all[2]["kind"]), (&json!("ipv6-unicast"), &json!("begin")));
}

#[test]
fn the_capability_of_several_labels_has_its_rows() {
    let open = format!("{MARKER}002501 04 fde8 005a 0a000001 08 0206 0804 0001 0403");
    let (status, all) = lines(&[], open.as_bytes());
    assert_eq!(status, 0, "{all:?}");
    let rows = json!([{"family": "ipv4-labeled-unicast", "labels": 3}]);
    assert_eq!(all[0]["capabilities"][0], json!({"type": "multiple-labels", "code": 8, "value": rows}));
}

#[test]
fn input_beyond_the_bound_is_refused_and_not_cut() {
    assert_eq!(decode::whole(&mut Cursor::new([7; 8]), 8).expect("as long as the bound"), [7; 8]);
    let why = decode::whole(&mut Cursor::new([7; 9]), 8).expect_err("one octet more");
    assert_eq!(why.to_string(), "longer than 8 octets, of which nothing is shown: give it in parts");
}

fn octets(hex: &str) -> Vec<u8> {
    let hex: String = hex.split_whitespace().collect();
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).expect("hex")).collect()
}

#[test]
fn a_raw_stream_goes_on_behind_garbage() {
    let mut stream = octets(KEEPALIVE);
    stream.extend(octets(&update(BODY)));
    stream.extend([0; 7]);
    stream.extend(octets(KEEPALIVE));
    stream.extend(octets(&KEEPALIVE[..36]));
    let (status, all) = lines(&[], &stream);
    let outcomes: Vec<_> = all.iter().map(|l| (l["source"].as_str(), l["outcome"].as_str())).collect();
    let expected = [
        (Some("octet 0"), Some("ok")),
        (Some("octet 19"), Some("ok")),
        (Some("octet 80"), Some("session-reset")),
        (Some("octet 87"), Some("ok")),
        (Some("octet 106"), None),
    ];
    assert_eq!((status, outcomes), (2, expected.to_vec()));
}

#[test]
fn an_mrt_file_gives_its_messages() {
    let message = octets(&update(BODY));
    let mut body = octets("0000fde9 0000fde8 0000 0001 0a000002 0a000001");
    body.extend(&message);
    let mut file = octets("5f5e1000 0010 0004");
    file.extend(u32::try_from(body.len()).expect("short").to_be_bytes());
    file.extend(&body);
    // A state change, which is no message; then a record that is cut short.
    file.extend(octets("5f5e1000 0010 0005 00000004 00000000"));
    file.extend(octets("5f5e1000 0010 0004 00000100 00"));
    let (status, all) = lines(&[], &file);
    assert_eq!((status, all.len()), (2, 2), "{all:?}");
    assert_eq!(all[0]["source"], "record 1, from 10.0.0.2");
    assert_eq!(all[0]["reach"][0]["next_hop"], "10.0.0.1");
    assert_eq!(all[1]["source"], "record 3");
}

/// LOCAL_PREF counts from an internal peer alone.
#[test]
fn the_ases_of_an_mrt_record_tell_whether_the_peer_is_external() {
    let body = "0000 001b 40010100 40020602010000fde9 4003040a000001 40050400000064 100a01";
    let message = octets(&update(body));
    let outcome = |ases: &str, flags: &[&str]| {
        let mut body = octets(&format!("{ases} 0000 0001 0a000002 0a000001"));
        body.extend(&message);
        let mut file = octets("5f5e1000 0010 0004");
        file.extend(u32::try_from(body.len()).expect("short").to_be_bytes());
        file.extend(&body);
        lines(flags, &file).1[0]["outcome"].clone()
    };
    assert_eq!(outcome("0000fde9 0000fde8", &[]), "attribute-discard");
    assert_eq!(outcome("0000fde8 0000fde8", &[]), "ok");
    assert_eq!(outcome("0000fde9 00000000", &[]), "ok", "a collector that does not tell its AS");
    assert_eq!(outcome("0000fde9 0000fde8", &["--ibgp"]), "ok");
    assert_eq!(outcome("0000fde8 0000fde8", &["--ebgp"]), "attribute-discard");
}

#[test]
fn tunnels_and_metrics_of_external_peers_are_heard_when_told_so() {
    let of = |flags: &[&str], attribute: &str| {
        let len = 20 + octets(&attribute.replace(' ', "")).len();
        let body = format!("0000 {len:04x} 40010100 40020602010000fde9 4003040a000001 {attribute} 100a01");
        lines(flags, update(&body).as_bytes()).1[0]["outcome"].clone()
    };
    let (segments, metric) = ("c028 0a 01 0007 00000000000064", "801a 0b 01 000b 0000000000000064");
    assert_eq!(of(&["--ebgp"], segments), "attribute-discard");
    assert_eq!(of(&["--ebgp", "--same-domain"], segments), "ok");
    assert_eq!(of(&["--ebgp"], metric), "attribute-discard");
    assert_eq!(of(&["--ebgp", "--aigp"], metric), "ok");
}

/// A record of TABLE_DUMP_V2.
fn table_dump(subtype: u16, body: &str) -> Vec<u8> {
    let body = octets(body);
    let mut record = octets("5f5e1000 000d");
    record.extend(subtype.to_be_bytes());
    record.extend(u32::try_from(body.len()).expect("short").to_be_bytes());
    record.extend(body);
    record
}

#[test]
fn each_path_of_a_table_dump_is_the_update_that_would_tell_it() {
    const PATH: &str = "400101 00 400206 0201 0000fde9";
    let next_hop = "20010db8 00000000 00000000 00000001";
    let file = [
        // Two peers: 10.0.0.2 with an AS of two octets, 2001:db8::2 with one of four.
        table_dump(
            1,
            &format!("c0000201 0001 41 0002 00 0a000002 0a000002 fde9 03 0a000003 {next_hop} 0000fdea"),
        ),
        table_dump(2, &format!("00000000 12 0a0140 0001 0000 5f5e1000 0014 {PATH} 400304 0a000001")),
        // The next hop alone, as the standard has it, then the attribute as a message has it.
        table_dump(
            4,
            &format!(
                "00000001 20 20010db8 0002 0001 5f5e1000 0021 {PATH} 800e11 10 {next_hop}
                 0001 5f5e1000 002a {PATH} 800e1a 000201 10 {next_hop} 00 20 20010db8"
            ),
        ),
        // With a path identifier; by a peer that the index does not have.
        table_dump(8, &format!("00000002 18 0a0200 0001 0009 5f5e1000 00000007 0014 {PATH} 400304 0a000001")),
        // More entries than there are.
        table_dump(2, "00000003 18 0a0300 0001"),
    ];
    let (status, all) = lines(&["--ebgp"], &file.concat());
    assert_eq!((status, all.len()), (2, 5), "{all:?}");
    let reach = |line: &Value| {
        let reach = &line["reach"][0];
        let prefix = &reach["prefixes"][0];
        (
            line["outcome"].clone(),
            prefix["prefix"].clone(),
            reach["next_hop"].clone(),
            prefix["path_id"].clone(),
        )
    };
    let ok = Value::from("ok");
    let v6 = || (ok.clone(), Value::from("2001:db8::/32"), Value::from("2001:db8::1"), Value::Null);
    let v4 = |prefix: &str, id: Value| (ok.clone(), Value::from(prefix), Value::from("10.0.0.1"), id);
    assert_eq!(reach(&all[0]), v4("10.1.64.0/18", Value::Null));
    assert_eq!(all[0]["source"], "record 2, from 10.0.0.2");
    assert_eq!(reach(&all[1]), v6());
    assert_eq!(all[1]["source"], "record 3, from 2001:db8::1");
    assert_eq!(reach(&all[2]), v6());
    assert_eq!(reach(&all[3]), v4("10.2.0.0/24", 7.into()));
    assert_eq!(all[4]["error"], "an entry is cut short");
}

/// Ethernet, IPv4, TCP from 10.0.0.2 port 4711 to 10.0.0.1 port 179.
fn packet(sequence: u32, flags: u8, data: &[u8]) -> Vec<u8> {
    let total = u16::try_from(40 + data.len()).expect("short");
    let mut frame = octets("020000000001 020000000002 0800 4500");
    frame.extend(total.to_be_bytes());
    frame.extend(octets("0000 4000 40 06 0000 0a000002 0a000001 1267 00b3"));
    frame.extend(sequence.to_be_bytes());
    frame.extend([0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    frame.extend(data);
    frame
}

fn pcap(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file = octets("d4c3b2a1 0200 0400 00000000 00000000 ffff0000 01000000");
    for packet in packets {
        let len = u32::try_from(packet.len()).expect("short").to_le_bytes();
        file.extend([0; 8]);
        file.extend(len);
        file.extend(len);
        file.extend(packet);
    }
    file
}

#[test]
fn a_capture_is_put_in_order_first() {
    let mut stream = octets(KEEPALIVE);
    stream.extend(octets(&update(BODY)));
    let (a, rest) = stream.split_at(30);
    let (b, c) = rest.split_at(20);
    let syn = packet(999, 2, &[]);
    // The last segment comes before the middle one, the first twice; sequence numbers begin at 1,000.
    let packets =
        [syn, packet(1000, 0x18, a), packet(1050, 0x18, c), packet(1000, 0x18, a), packet(1030, 0x18, b)];
    let (status, all) = lines(&[], &pcap(&packets));
    let kinds: Vec<_> = all.iter().map(|l| l["type"].as_str()).collect();
    assert_eq!((status, kinds), (0, vec![Some("KEEPALIVE"), Some("UPDATE")]), "{all:?}");
}

#[test]
fn a_hole_in_a_capture_is_told_and_passed_over() {
    let keepalive = octets(KEEPALIVE);
    let packets = [packet(999, 2, &[]), packet(1000, 0x18, &keepalive[..10]), packet(1019, 0x18, &keepalive)];
    let (status, all) = lines(&[], &pcap(&packets));
    assert_eq!((status, all.len()), (2, 3), "{all:?}");
    assert!(all[0]["error"].as_str().is_some_and(|e| e.contains("9 octets are missing")), "{all:?}");
    assert_eq!(all[2]["type"], "KEEPALIVE");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), form in 0..4usize) {
        let form = ["--hex", "--raw", "--pcap", "--mrt"][form];
        run(&[form], &bytes);
    }

    #[test]
    fn no_damaged_input_panics(at in 0..200usize, with in any::<u8>(), cut in 0..400usize) {
        let stream = octets(&update(BODY));
        let mut record = octets("5f5e1000 0010 0004 00000055 0000fde9 0000fde8 0000 0001 0a000002 0a000001");
        record.extend(&stream);
        for mut file in [pcap(&[packet(999, 2, &[]), packet(1000, 0x18, &stream)]), record, stream.clone(), update(BODY).into_bytes()] {
            if let Some(octet) = file.get_mut(at) {
                *octet = with;
            }
            file.truncate(cut);
            run(&[], &file);
            run(&["--json"], &file);
        }
    }
}
