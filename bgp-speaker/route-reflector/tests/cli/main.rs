//! The program as a user meets it: exit statuses, messages, and the control socket.

mod daemon;
mod dry_run;
mod reload;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::daemon::{Daemon, Directory, LIMIT, config, free_port, http, program, run, text};

#[test]
fn check_accepts_a_good_file_and_says_what_it_describes() {
    let directory = Directory::new("good");
    let rest = "[[neighbor]]\naddress = \"10.0.0.2\"\nasn = 65001\n";
    let file = directory.write("rr.toml", &config("10.0.0.1:179", "/run/x", rest));
    let output = run(&["check", "--config", &file]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("is valid: AS 65000, router id 10.0.0.1, 1 neighbor\n"));
    assert!(text(&output.stdout).contains("RFC 8212"), "an external neighbor without policy is remarked on");
}

#[test]
fn bad_input_is_one_message_with_its_place_and_exit_status_2() {
    let directory = Directory::new("bad");
    let peer = "[[neighbor]]\naddress = \"10.0.0.2\"\nasn = 65000\n";
    let wrong_key = format!("{peer}route-reflector-cleint = true\n");
    let wrong_type = format!("{peer}passive = \"yes\"\n");
    let twice = format!("{peer}{peer}");
    let mixed = "[[neighbor]]\naddress = \"2001:db8::2\"\nasn = 65000\nnext-hop-ipv6 = \"2001:db8::1\"\n";
    for (name, rest, place, mend) in [
        ("key", wrong_key.as_str(), ":8:1", "did you mean `route-reflector-client`?"),
        ("type", &wrong_type, ":8:11", "write true or false"),
        ("twice", &twice, ":9:11", "give each [[neighbor]] its own address"),
        ("mixed", mixed, ":8:17", "remove next-hop-ipv6"),
    ] {
        let file = directory.write(name, &config("10.0.0.1:179", "/run/x", rest));
        for verb in ["check", "run"] {
            let output = run(&[verb, "--config", &file]);
            let message = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{verb} {name}: {message}");
            assert_eq!(message.matches("error").count(), 1, "{verb} {name}: {message}");
            assert!(message.contains(&format!("{file}{place}")), "{verb} {name}: {message}");
            assert!(message.contains(mend), "{verb} {name}: {message}");
            assert!(output.stdout.is_empty());
        }
    }
    let missing = run(&["check", "--config", &directory.path("missing")]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(text(&missing.stderr).contains("No such file or directory"));
}

#[test]
fn without_a_daemon_the_message_says_how_to_start_one() {
    let output = run(&["status", "--socket", "/nonexistent/rr.sock"]);
    assert_eq!(output.status.code(), Some(1));
    let message = text(&output.stderr);
    assert!(message.contains("no route-reflector answers on /nonexistent/rr.sock"), "{message}");
    assert!(message.contains("route-reflector run --config FILE"), "{message}");
}

#[test]
fn a_port_in_use_is_told_in_words_and_exit_status_1() {
    let directory = Directory::new("port");
    let taken = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let listen = taken.local_addr().expect("it is bound").to_string();
    let file = directory.write("rr.toml", &config(&listen, &directory.path("s"), ""));
    let output = run(&["run", "--config", &file]);
    assert_eq!(output.status.code(), Some(1));
    let message = text(&output.stderr);
    assert!(message.contains(&format!("cannot listen on {listen}")), "{message}");
    assert!(message.contains("another BGP speaker holds this port"), "{message}");
}

#[test]
fn two_daemons_exchange_routes_and_show_them() {
    let directory = Directory::new("pair");
    let port = free_port();
    let (first, second) = (directory.path("a.sock"), directory.path("b.sock"));
    let reflector = format!(
        "[[neighbor]]\naddress = \"127.0.0.2\"\nasn = 65000\npassive = true\nroute-reflector-client = true\n\
         description = \"the client\"\n[[neighbor]]\naddress = \"127.0.0.9\"\nasn = 65009\nport = {port}\n"
    );
    let client = format!(
        "[[neighbor]]\naddress = \"127.0.0.1\"\nasn = \"internal\"\nport = {port}\nlocal-address = \"127.0.0.2\"\n\
         scope = \"global\"\n\
         [[route]]\nprefix = \"10.64.0.0/26\"\ncommunities = [\"65000:7\"]\n[[route]]\nprefix = \"10.200.0.1/32\"\n"
    );
    let a = directory.write("a.toml", &config(&format!("127.0.0.1:{port}"), &first, &reflector));
    let b = directory.write(
        "b.toml",
        &config(&format!("127.0.0.2:{port}"), &second, &client).replace("\"10.0.0.1\"", "\"10.0.0.2\""),
    );
    let a = Daemon::start(&a, &first);
    let b = Daemon::start(&b, &second);

    let status = a.eventually("has the client's routes", |status| status["prefixes"] == 2);
    let peer = &status["peers"][0];
    assert_eq!(peer["address"], "127.0.0.2");
    assert_eq!(peer["peer-type"], "reflector client");
    assert_eq!(peer["state"], "Established");
    assert_eq!(peer["description"], "the client");
    assert_eq!(peer["prefixes-received"], 2);
    assert_eq!(b.status()["peers"][0]["peer-type"], "global");

    let table = text(&a.ask(&["status"]).stdout);
    let line = table.lines().find(|line| line.contains("│ 127.0.0.2")).expect("the client is listed");
    for part in ["reflector client", "up", "Established", "the client"] {
        assert!(line.contains(part), "no {part:?} in {line}");
    }
    let unreachable =
        table.lines().find(|line| line.contains("│ 127.0.0.9")).expect("the other one is listed");
    assert!(!unreachable.contains(" up "), "{unreachable}");
    assert!(text(&a.ask(&["status", "-v"]).stdout).contains("hold time"));

    let routes: Value = serde_json::from_slice(&a.ask(&["routes", "--json"]).stdout).expect("an array");
    assert_eq!(routes.as_array().map(Vec::len), Some(2), "{routes:#}");
    let block =
        routes.as_array().into_iter().flatten().find(|r| r["prefix"] == "10.64.0.0/26").expect("the block");
    assert_eq!(block["best"], true);
    assert_eq!(block["from"], "127.0.0.2");
    assert_eq!(block["next-hop"], "127.0.0.2");
    assert_eq!(block["communities"][0], "65000:7");
    let listing = text(&a.ask(&["routes"]).stdout);
    assert!(
        listing.lines().any(|line| line.starts_with(" > ") && line.contains("10.64.0.0/26")),
        "{listing}"
    );
    let none: Value = serde_json::from_slice(&a.ask(&["routes", "--json", "-6"]).stdout).expect("an array");
    assert_eq!(none, Value::Array(Vec::new()));

    let explained = text(&a.ask(&["routes", "10.64.0.0/26"]).stdout);
    assert!(explained.contains("> from 127.0.0.2: best: the only eligible path"), "{explained}");
    assert_eq!(
        text(&a.ask(&["routes", "10.64.0.9"]).stdout),
        explained,
        "an address stands for its longest prefix"
    );
    let inside = text(&a.ask(&["routes", "10.0.0.0/8", "--longer"]).stdout);
    assert!(inside.ends_with("2 prefixes, 2 paths (> best, s stale)\n"), "{inside}");
    let unknown = a.ask(&["routes", "192.0.2.0/24"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(text(&unknown.stderr).contains("there is no route to 192.0.2.0/24"));
    let stranger = a.ask(&["routes", "--peer", "192.0.2.1"]);
    assert_eq!(stranger.status.code(), Some(1));

    let more = format!("{reflector}[[route]]\nprefix = \"10.9.0.0/26\"\n");
    directory.write("a.toml", &config(&format!("127.0.0.1:{port}"), &first, &more));
    a.signal(Signal::HUP);
    let status = a.eventually("reloads", |status| status["prefixes"] == 3);
    assert_eq!(
        status["peers"][0]["established"], 1,
        "a reload leaves the sessions that it does not change alone"
    );
    b.eventually("hears of the new route", |status| status["prefixes"] == 3);

    b.signal(Signal::TERM);
    assert_eq!(b.end().0, Some(0));
    let status = a.eventually("misses the client", |status| status["peers"][0]["state"] != "Established");
    let error = status["peers"][0]["last-error"].as_str().unwrap_or_default().to_owned();
    assert!(error.contains("Administrative Shutdown"), "{error}");
    a.eventually("drops its routes", |status| status["prefixes"] == 1);
}

#[test]
fn a_socket_has_one_daemon_and_survives_a_killed_one() {
    let directory = Directory::new("socket");
    let socket = directory.path("s");
    let listen = || format!("127.0.0.1:{}", free_port());
    let file = directory.write("a.toml", &config(&listen(), &socket, ""));
    let mut first = Daemon::start(&file, &socket);
    let other = directory.write("b.toml", &config(&listen(), &socket, ""));
    let second = run(&["run", "--config", &other]);
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second.stderr).contains("another route-reflector has the control socket"));
    first.child.kill().expect("it runs");
    first.child.wait().expect("ours to wait for");
    assert!(Path::new(&socket).exists(), "a killed daemon leaves its socket behind");
    let third = Daemon::start(&other, &socket);
    third.signal(Signal::INT);
    assert_eq!(third.end().0, Some(0));
    assert!(!Path::new(&socket).exists(), "a daemon that ends in order removes its socket");
}

/// A socket that was left tells that peers may still keep the routes of who left it.
#[test]
fn a_start_that_fails_does_not_make_the_next_one_forget_that_a_daemon_was_killed() {
    let directory = Directory::new("mark");
    let socket = directory.path("s");
    let port = free_port();
    let neighbor = "[[neighbor]]\naddress = \"127.0.0.78\"\nasn = 65000\npassive = true\n";
    let file = directory.write("rr.toml", &config(&format!("127.0.0.1:{port}"), &socket, neighbor));
    let mut first = Daemon::start(&file, &socket);
    assert!(!says_restarted("127.0.0.78", port), "it is the first");
    first.child.kill().expect("it runs");
    first.child.wait().expect("ours to wait for");
    let metrics = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let taken = metrics.local_addr().expect("it is bound");
    let failing =
        config(&format!("127.0.0.1:{port}"), &socket, &format!("[metrics]\nlisten = \"{taken}\"\n"));
    let failed = run(&["run", "--config", &directory.write("failing.toml", &failing)]);
    assert_eq!(failed.status.code(), Some(1), "{}", text(&failed.stderr));
    let third = Daemon::start(&file, &socket);
    assert!(says_restarted("127.0.0.78", port), "peers keep the routes of the one that was killed");
    third.signal(Signal::INT);
    assert_eq!(third.end().0, Some(0));
    assert!(!Path::new(&socket).exists(), "a daemon that ends in order removes its socket");
}

#[test]
fn readers_of_listings_that_stop_reading_keep_nobody_from_short_answers() {
    let directory = Directory::new("readers");
    let socket = directory.path("s");
    let routes: String =
        (0..5000).map(|n| format!("[[route]]\nprefix = \"10.{}.{}.0/24\"\n", n / 256, n % 256)).collect();
    let file = directory.write("rr.toml", &config(&format!("127.0.0.1:{}", free_port()), &socket, &routes));
    let _daemon = Daemon::start(&file, &socket);
    let ask = |_| {
        let mut stream = UnixStream::connect(&socket).expect("there is a queue");
        stream.write_all(b"GET /routes HTTP/1.1\r\nHost: x\r\n\r\n").expect("it fits the buffer");
        stream
    };
    let readers: Vec<UnixStream> = (0..40).map(ask).collect();
    let answer = http(&socket, "GET /status HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let answer = http(&socket, "GET /routes HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("as many listings"), "{answer}");
    drop(readers);
}

#[test]
fn a_listing_of_many_pages_has_every_route_once() {
    let directory = Directory::new("pages");
    let socket = directory.path("s");
    let routes: String =
        (0..1300).map(|n| format!("[[route]]\nprefix = \"10.{}.{}.0/24\"\n", n / 256, n % 256)).collect();
    let file = directory.write("rr.toml", &config(&format!("127.0.0.1:{}", free_port()), &socket, &routes));
    let daemon = Daemon::start(&file, &socket);
    let listing: Value = serde_json::from_slice(&daemon.ask(&["routes", "--json"]).stdout).expect("an array");
    let prefixes: BTreeSet<&str> =
        listing.as_array().into_iter().flatten().filter_map(|route| route["prefix"].as_str()).collect();
    assert_eq!((prefixes.len(), listing.as_array().map(Vec::len)), (1300, Some(1300)));
    let table = text(&daemon.ask(&["routes"]).stdout);
    assert!(table.ends_with("1300 prefixes, 1300 paths (> best, s stale)\n"));
    assert_eq!(table.matches("PREFIX").count(), 1, "one header");
}

#[test]
fn nodes_of_a_mesh_find_each_other_from_one_list() {
    let directory = Directory::new("mesh");
    let port = free_port();
    let list: Vec<String> =
        (1..=3).map(|n| format!("{{ name = \"n{n}\", address = \"127.0.0.{n}\", port = {port} }}")).collect();
    let nodes: Vec<Daemon> = (1..=3)
        .map(|n| {
            let socket = directory.path(&format!("{n}.sock"));
            let mesh = format!(
                "[[route]]\nprefix = \"10.64.{n}.0/26\"\n[mesh]\nlocal = \"127.0.0.{n}\"\nnodes = [{}]\n",
                list.join(", ")
            );
            let text = config(&format!("127.0.0.{n}:{port}"), &socket, &mesh);
            let file = directory
                .write(&format!("{n}.toml"), &text.replace("\"10.0.0.1\"", &format!("\"10.0.0.{n}\"")));
            Daemon::start(&file, &socket)
        })
        .collect();
    for node in &nodes {
        let status = node.eventually("holds every block", |status| status["prefixes"] == 3);
        let peers = status["peers"].as_array().expect("peers").len();
        assert_eq!(peers, 2);
        assert_eq!(status["peers"][0]["peer-type"], "node-to-node mesh");
    }
}

#[test]
fn the_service_manager_is_told_when_all_is_ready() {
    let directory = Directory::new("notify");
    let (socket, notify) = (directory.path("s"), directory.path("notify"));
    let manager = UnixDatagram::bind(&notify).expect("free");
    manager.set_read_timeout(Some(LIMIT)).expect("a timeout");
    let file = directory.write("rr.toml", &config(&format!("127.0.0.1:{}", free_port()), &socket, ""));
    let child = program()
        .args(["run", "--config", &file])
        .env("NOTIFY_SOCKET", &notify)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let daemon = Daemon { child, socket };
    let mut told = [0; 256];
    let length = manager.recv(&mut told).expect("a notification");
    assert_eq!(text(&told[..length]).trim_end(), "READY=1");
    assert!(daemon.status()["version"].is_string(), "ready means that it answers");
    daemon.signal(Signal::TERM);
    let length = manager.recv(&mut told).expect("a notification");
    assert_eq!(text(&told[..length]).trim_end(), "STOPPING=1");
    assert_eq!(daemon.end().0, Some(0));
}

#[test]
fn who_is_answered_on_the_control_socket_finds_the_daemon_listening() {
    let directory = Directory::new("ready");
    let socket = directory.path("rr.sock");
    for _ in 0..5 {
        let listen = format!("127.0.0.1:{}", free_port());
        let file = directory.write("rr.toml", &config(&listen, &socket, ""));
        let child = program().args(["run", "--config", &file]).stderr(Stdio::null()).spawn();
        let daemon = Daemon { child: child.expect("the program starts"), socket: socket.clone() };
        let deadline = Instant::now() + LIMIT;
        let answer = loop {
            // One that it finds bound and not answered yet waits.
            if let Ok(mut stream) = UnixStream::connect(&socket) {
                stream.set_read_timeout(Some(LIMIT)).expect("a timeout");
                stream.write_all(b"GET /status HTTP/1.0\r\n\r\n").expect("it reads");
                let mut first = [0; 12];
                stream.read_exact(&mut first).expect("it answers");
                break first;
            }
            assert!(Instant::now() < deadline, "nobody answers");
            std::thread::sleep(Duration::from_micros(200));
        };
        TcpStream::connect(&listen).unwrap_or_else(|error| panic!("{listen}: {error}"));
        assert!(answer.ends_with(b"200"), "{}", text(&answer));
        daemon.signal(Signal::TERM);
        daemon.end();
    }
}

#[test]
fn the_control_socket_speaks_http() {
    let directory = Directory::new("http");
    let socket = directory.path("s");
    let file = directory.write("rr.toml", &config(&format!("127.0.0.1:{}", free_port()), &socket, ""));
    let _daemon = Daemon::start(&file, &socket);
    let status = http(&socket, "GET /status HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(status.starts_with("HTTP/1.1 200 OK\r\n"), "{status}");
    assert!(status.contains("content-type: application/json"), "{status}");
    for (request, code) in [
        ("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", "404"),
        ("GET /routes?colour=red HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ("GET /explain?prefix=10.0.0.0/8 HTTP/1.1\r\nHost: x\r\n\r\n", "404"),
        ("POST /status HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "405"),
        ("POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "404"),
        ("GET /clear?peer=10.0.0.1 HTTP/1.1\r\nHost: x\r\n\r\n", "405"),
        ("DELETE /status HTTP/1.1\r\nHost: x\r\n\r\n", "405"),
        ("\u{1}\u{2}\u{3} garbage\r\n\r\n", "400"),
    ] {
        let answer = http(&socket, request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{request:?}: {answer}");
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(100_000));
    let mut stream = UnixStream::connect(&socket).expect("the daemon listens");
    stream.set_read_timeout(Some(LIMIT)).expect("a timeout");
    // The daemon may close before it has read everything.
    let _ = stream.write_all(long.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(!text(&answer).contains("200 OK"));
}

/// The value of a series whose name and labels are written so.
fn series(metrics: &str, name: &str) -> Option<u64> {
    metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn prometheus_is_told_of_sessions_routes_and_messages() {
    let directory = Directory::new("metrics");
    let (socket, other) = (directory.path("s"), directory.path("t"));
    let (port, asked) = (free_port(), free_port());
    let rest = format!(
        "[metrics]\nlisten = \"127.0.0.1:{asked}\"\n[[neighbor]]\naddress = \"127.0.61.2\"\nasn = 65000\npassive = true\n\
         [[route]]\nprefix = \"10.64.0.0/26\"\n[[route]]\nprefix = \"10.64.0.64/26\"\n"
    );
    let file = directory.write("rr.toml", &config(&format!("127.0.61.1:{port}"), &socket, &rest));
    let _daemon = Daemon::start(&file, &socket);
    let rest = format!(
        "[metrics]\nper-peer = false\n[[neighbor]]\naddress = \"127.0.61.1\"\nasn = 65000\nport = {port}\n"
    );
    let far = config(&format!("127.0.61.2:{port}"), &other, &rest).replace("10.0.0.1", "10.0.0.2");
    let file = directory.write("far.toml", &far);
    let _far = Daemon::start(&file, &other);

    let request = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    let peer = "{peer=\"127.0.61.2\",peer_as=\"65000\"}";
    let routes = "bgp_peer_routes{peer=\"127.0.61.2\",peer_as=\"65000\",view=\"advertised\"}";
    let begin = Instant::now();
    let metrics = loop {
        let metrics = http(&socket, request);
        if series(&metrics, routes) == Some(2) || begin.elapsed() > LIMIT {
            break metrics;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(metrics.contains("content-type: application/openmetrics-text"), "{metrics}");
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
    assert_eq!(series(&metrics, routes), Some(2), "{metrics}");
    assert_eq!(series(&metrics, &format!("bgp_peer_state{peer}")), Some(6), "{metrics}");
    assert_eq!(series(&metrics, &format!("bgp_peer_established_total{peer}")), Some(1), "{metrics}");
    assert_eq!(series(&metrics, "bgp_rib_prefixes"), Some(2), "{metrics}");

    let class = "bgp_routes{class=\"node specific\",view=\"received\"}";
    // What one end has told, the other takes a moment to read and count.
    let far = loop {
        let far = http(&other, request);
        if series(&far, class) == Some(2) || begin.elapsed() > LIMIT {
            break far;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(series(&far, class), Some(2), "{far}");
    assert!(!far.contains("127.0.61.1"), "{far}");

    let mut stream = TcpStream::connect(("127.0.0.1", asked)).expect("it listens");
    stream.set_read_timeout(Some(LIMIT)).expect("a timeout");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    assert_eq!(series(&answer, "bgp_rib_prefixes"), Some(2), "{answer}");
    let mut stream = TcpStream::connect(("127.0.0.1", asked)).expect("it listens");
    stream.write_all(b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    assert!(answer.starts_with("HTTP/1.1 404"), "measurements alone are told over TCP: {answer}");
}

#[test]
fn clients_that_say_nothing_do_not_keep_others_out() {
    let directory = Directory::new("many");
    let socket = directory.path("s");
    let file = directory.write("rr.toml", &config(&format!("127.0.0.1:{}", free_port()), &socket, ""));
    let _daemon = Daemon::start(&file, &socket);
    let silent: Vec<UnixStream> =
        (0..40).map(|_| UnixStream::connect(&socket).expect("there is a queue")).collect();
    let answer = http(&socket, "GET /status HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    drop(silent);
}

#[test]
fn the_demonstration_ends_well_and_in_time() {
    let begin = Instant::now();
    let output = run(&["demo"]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{shown}\n{}", text(&output.stderr));
    assert!(begin.elapsed() < LIMIT);
    for part in [
        "node-5",
        "Established",
        "10.64.0.64/26",
        "node-3 is killed",
        "Summary: 5 sessions came up, 10 routes",
    ] {
        assert!(shown.contains(part), "no {part:?} in {shown}");
    }
}

/// A limit ends the session until the operator says otherwise.
#[test]
fn a_peer_that_is_held_down_is_let_in_again() {
    let directory = Directory::new("clear");
    let port = free_port();
    let socket = directory.path("rr.sock");
    let rest = "[[neighbor]]\naddress = \"127.0.0.77\"\nasn = 65000\npassive = true\nmax-prefixes = 1\n";
    let file = directory.write("rr.toml", &config(&format!("127.0.0.1:{port}"), &socket, rest));
    let daemon = Daemon::start(&file, &socket);
    assert!(text(&daemon.ask(&["clear", "127.0.0.77"]).stdout).contains("was not held down"));
    let stream = exceeding_peer("127.0.0.77", port);
    let held =
        |status: &Value| status["peers"][0]["info"].as_str().is_some_and(|info| info.contains("held down"));
    daemon.eventually("holds the peer down", held);
    drop(stream);
    let output = daemon.ask(&["clear", "127.0.0.77"]);
    assert_eq!(text(&output.stdout), "127.0.0.77 is let in again\n", "{}", text(&output.stderr));
    daemon.eventually("lets the peer in", |status| !held(status));
    let output = daemon.ask(&["clear", "127.0.0.78"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("127.0.0.78"), "{}", text(&output.stderr));
    let output = daemon.ask(&["reset", "127.0.0.77"]);
    assert_eq!(text(&output.stdout), "127.0.0.77: hard reset\n", "{}", text(&output.stderr));
    let output = daemon.ask(&["reset", "127.0.0.77", "--mode", "soft-in"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("is not up"), "{}", text(&output.stderr));
    let answer = http(&socket, "POST /reset?peer=127.0.0.77&mode=gently HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("soft-in"), "{answer}");
    let answer = http(&socket, "POST /routes HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
    let answer = http(&socket, "PUT /clear?peer=127.0.0.77 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 405") && answer.contains("GET, POST"), "{answer}");
}

/// Whether the daemon's OPEN to this neighbor has the R bit (RFC 4724 §3).
fn says_restarted(from: &str, port: u16) -> bool {
    let mut stream = connect(from, port);
    let mut open = vec![0; 29];
    stream.read_exact(&mut open).expect("an OPEN");
    let mut parameters = vec![0; open[28].into()];
    stream.read_exact(&mut parameters).expect("its parameters");
    let mut rest = &parameters[..];
    while let [2, length, ..] = *rest {
        let (parameter, after) = rest[2..].split_at(length.into());
        let mut capabilities = parameter;
        while let [code, length, ..] = *capabilities {
            if code == 64 {
                return capabilities[2] & 0x80 != 0;
            }
            capabilities = &capabilities[2 + usize::from(length)..];
        }
        rest = after;
    }
    panic!("no graceful restart in {parameters:?}");
}

/// A connection from this address of loopback.
fn connect(from: &str, port: u16) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    let address = |text: String| text.parse::<std::net::SocketAddr>().expect("an address").into();
    socket.bind(&address(format!("{from}:0"))).expect("loopback has it");
    socket.connect(&address(format!("127.0.0.1:{port}"))).expect("the daemon listens");
    TcpStream::from(socket)
}

/// An internal peer that announces two prefixes as soon as it may.
fn exceeding_peer(from: &str, port: u16) -> TcpStream {
    let message = |kind: u8, body: &[u8]| {
        let length = u16::try_from(19 + body.len()).expect("short");
        [&[0xff; 16][..], &length.to_be_bytes(), &[kind], body].concat()
    };
    let open = [&[4, 0xfd, 0xe8, 0, 90, 10, 9, 9, 9, 8][..], &[2, 6, 1, 4, 0, 1, 0, 1]].concat();
    // ORIGIN, AS_PATH, NEXT_HOP and LOCAL_PREF; 10.1.0.0/16 and 10.2.0.0/16.
    let attributes =
        [&[0x40, 1, 1, 0, 0x40, 2, 0, 0x40, 3, 4, 127, 0, 0, 77][..], &[0x40, 5, 4, 0, 0, 0, 100]].concat();
    let length = u16::try_from(attributes.len()).expect("short").to_be_bytes();
    let update = [&[0, 0][..], &length, &attributes, &[16, 10, 1, 16, 10, 2]].concat();
    let mut stream = connect(from, port);
    stream.write_all(&[message(1, &open), message(4, &[]), message(2, &update)].concat()).expect("it reads");
    stream
}
