//! What a peer would be told by another policy, and what BFD says, by the command line and over the control socket.

use rustix::process::Signal;
use serde_json::Value;

use super::daemon::{Daemon, Directory, free_port, http, text};

/// One speaker of AS 65000; the other end of its one session.
fn config(address: &str, port: u16, socket: &str, neighbor: &str) -> String {
    format!(
        "asn = 65000\nrouter-id = \"{address}\"\nlisten = \"{address}:{port}\"\ncontrol-socket = \"{socket}\"\n{neighbor}"
    )
}

const POLICIES: &str = "[[policy]]\nname = \"some\"\ndefault = \"reject\"\n\
    [[policy.rule]]\nmatch.prefix = [\"10.1.0.0/26\"]\nset.local-pref = 300\nthen = \"accept\"\n";

#[test]
fn a_policy_is_tried_on_a_peer_and_nothing_is_sent() {
    let directory = Directory::new("dry-run");
    let [first, second] = [directory.path("a.sock"), directory.path("b.sock")];
    let ports = [free_port(), free_port()];
    let routes = "[[route]]\nprefix = \"10.1.0.0/26\"\n[[route]]\nprefix = \"10.2.0.0/26\"\n";
    let dials = format!("[[neighbor]]\naddress = \"127.0.0.82\"\nasn = 65000\nport = {}\n", ports[1]);
    let waits = "[[neighbor]]\naddress = \"127.0.0.81\"\nasn = 65000\npassive = true\n";
    let file =
        directory.write("a.toml", &config("127.0.0.81", ports[0], &first, &format!("{dials}{routes}")));
    let other = directory.write("b.toml", &config("127.0.0.82", ports[1], &second, waits));
    let (a, b) = (Daemon::start(&file, &first), Daemon::start(&other, &second));
    b.eventually("is told both routes", |status| status["prefixes"] == 2);

    let policies = directory.write("policies.toml", POLICIES);
    let output = a.ask(&["dry-run", "127.0.0.82", "--policy", &policies]);
    let shown = text(&output.stdout);
    for line in [
        "- 10.1.0.0/26 via 127.0.0.81, local-pref 100",
        "+ 10.1.0.0/26 via 127.0.0.81, local-pref 300",
        "- 10.2.0.0/26 via 127.0.0.81, local-pref 100",
        "+ 10.2.0.0/26 not told: ",
        "2 changes",
    ] {
        assert!(shown.contains(line), "no {line:?} in {shown}{}", text(&output.stderr));
    }
    let output =
        a.ask(&["dry-run", "127.0.0.82", "--policy", &policies, "--json", "--family", "ipv4-unicast"]);
    let mut lines: Vec<Value> = output
        .stdout
        .split(|b| *b == b'\n')
        .filter(|l| !l.is_empty())
        .map(|line| serde_json::from_slice(line).expect("JSON"))
        .collect();
    // In no particular order.
    lines.sort_by_key(|line| line["prefix"].to_string());
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["now"]["local-pref"], &lines[0]["then"]["local-pref"]), (&100.into(), &300.into()));
    assert_eq!(lines[1]["then"]["told"], false);
    // As the file will be: the whole of it, with the neighbor told by the policy.
    let told = format!(
        "{dials}export = \"some\"\n{routes}{POLICIES}[[policy]]\nname = \"other\"\ndefault = \"accept\"\n"
    );
    let next = directory.write("next.toml", &config("127.0.0.81", ports[0], &first, &told));
    assert!(text(&a.ask(&["dry-run", "127.0.0.82", "--policy", &next]).stdout).contains("2 changes"));
    let output = a.ask(&["dry-run", "127.0.0.82", "--policy", &next, "--name", "other"]);
    assert_eq!(text(&output.stdout), "127.0.0.82 would be told the same\n", "{}", text(&output.stderr));
    // Nobody was told anything else.
    let heard = b.ask(&["routes", "--json"]);
    assert!(text(&heard.stdout).matches("\"local-pref\":100").count() == 2, "{}", text(&heard.stdout));

    let wrong = directory.write("wrong.toml", &POLICIES.replace("accept", "acept"));
    let output = a.ask(&["dry-run", "127.0.0.82", "--policy", &wrong]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("wrong.toml:7"), "{}", text(&output.stderr));
    let output = a.ask(&["dry-run", "127.0.0.82", "--policy", &policies, "--name", "none"]);
    assert!(text(&output.stderr).contains("there is no policy \"none\""), "{}", text(&output.stderr));
    let output = a.ask(&["dry-run", "127.0.0.99", "--policy", &policies]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("no peer 127.0.0.99"), "{}", text(&output.stderr));
    let post = |body: &str| {
        let head = "POST /dry-run?peer=127.0.0.82 HTTP/1.1\r\nHost: x\r\nContent-Length: ";
        http(&first, &format!("{head}{}\r\n\r\n{body}", body.len()))
    };
    assert!(post(POLICIES).starts_with("HTTP/1.1 200"));
    let refused = post("policy = 1\n");
    assert!(refused.starts_with("HTTP/1.1 400"), "{refused}");
    let refused = http(&first, "GET /dry-run?peer=127.0.0.82 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(refused.starts_with("HTTP/1.1 405"), "{refused}");

    // BFD that was never up says nothing by being down.
    let bfd = |state: &str| text(&a.ask(&["bfd", "127.0.0.82", state]).stdout).to_owned();
    assert_eq!(bfd("down"), "127.0.0.82: BFD is down\n");
    let session =
        |status: &Value| (status["peers"][0]["state"].clone(), status["peers"][0]["established"].clone());
    assert_eq!(session(&a.status()), ("Established".into(), 1.into()));
    bfd("up");
    assert_eq!(a.status()["peers"][0]["bfd"], "up");
    bfd("down-independent");
    b.eventually("is told why", |status| {
        status["peers"][0]["last-notification"]["text"].as_str().is_some_and(|text| text.contains("BFD Down"))
    });
    let output = a.ask(&["bfd", "127.0.0.99", "up"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    a.signal(Signal::TERM);
    assert_eq!(a.end().0, Some(0));
}
