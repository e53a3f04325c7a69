//! SIGHUP.

use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::daemon::{Daemon, Directory, config, free_port, text};

#[test]
fn a_reload_changes_what_differs_and_a_bad_file_changes_nothing() {
    let directory = Directory::new("reload");
    let socket = directory.path("s");
    let listen = format!("127.0.0.1:{}", free_port());
    let with = |rest: &str| config(&listen, &socket, rest);
    let file = directory
        .write("rr.toml", &with("[[neighbor]]\naddress = \"127.0.0.2\"\nasn = 65000\npassive = true\n"));
    let daemon = Daemon::start(&file, &socket);
    directory.write(
        "rr.toml",
        &with("[[neighbor]]\naddress = \"127.0.0.3\"\nasn = 65000\npassive = true\n[[route]]\nprefix = \"10.1.0.0/26\"\n"),
    );
    daemon.signal(Signal::HUP);
    let status = daemon.eventually("reloads", |status| status["prefixes"] == 1);
    daemon.eventually("has the new peer", |status| status["peers"][0]["address"] == "127.0.0.3");
    assert_eq!(status["asn"], 65000);
    directory.write("rr.toml", &with("colour = 1\n"));
    daemon.signal(Signal::HUP);
    directory.write("other.toml", "");
    std::thread::sleep(Duration::from_millis(300));
    let status = daemon.status();
    assert_eq!(status["peers"][0]["address"], "127.0.0.3");
    assert_eq!(status["prefixes"], 1);
    let rest = with("[decision]\nprefer-oldest = true\n");
    directory.write("rr.toml", &format!("max-paths = 2\nselection-deferral-time = 10\n{rest}"));
    // What waits for a restart keeps nothing else from being done.
    daemon.signal(Signal::HUP);
    daemon.eventually("reloads the rest", |status| status["prefixes"] == 0);
    daemon.signal(Signal::TERM);
    let (code, log) = daemon.end();
    assert_eq!(code, Some(0));
    assert!(log.contains("unknown key `colour`"), "{log}");
    assert!(log.contains("selection-deferral-time") && log.contains("changes with a restart only"), "{log}");
    assert!(log.contains("decision process: changed: every route is decided anew"), "{log}");
}

#[test]
fn a_reload_changes_what_is_logged_and_where_measurements_are_given() {
    let directory = Directory::new("around");
    let socket = directory.path("s");
    let [listen, first, second] = [(); 3].map(|()| format!("127.0.0.1:{}", free_port()));
    let holder = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let taken = holder.local_addr().expect("it is bound").to_string();
    let around = |filter: &str, metrics: &str, routes: &str| {
        let around = format!("[log]\nfilter = \"{filter}\"\n[metrics]\nlisten = \"{metrics}\"\n{routes}");
        config(&listen, &socket, &around)
    };
    let file = directory.write("rr.toml", &around("warn", &first, ""));
    let daemon = Daemon::start(&file, &socket);
    TcpStream::connect(&first).expect("it listens there");
    directory.write("rr.toml", &around("info", &second, "[[route]]\nprefix = \"10.1.0.0/26\"\n"));
    daemon.signal(Signal::HUP);
    daemon.eventually("reloads", |status| status["prefixes"] == 1);
    daemon.eventually("listens elsewhere", |_| TcpStream::connect(&second).is_ok());
    TcpStream::connect(&first).expect_err("and there no more");
    // An address that another holds: the rest is done, and the former stays.
    directory.write("rr.toml", &around("info", &taken, ""));
    daemon.signal(Signal::HUP);
    daemon.eventually("reloads the rest", |status| status["prefixes"] == 0);
    TcpStream::connect(&second).expect("it listens there still");
    daemon.signal(Signal::TERM);
    let (code, log) = daemon.end();
    assert_eq!(code, Some(0));
    assert!(!log.contains("running"), "nothing below a warning at first: {log}");
    assert!(log.contains("the log has another filter") && log.contains("configuration reloaded"), "{log}");
    assert!(log.contains(&format!("cannot listen on {taken}")), "{log}");
}

#[test]
fn a_reload_moves_the_listener_and_tells_what_it_could_not_do() {
    let directory = Directory::new("listen");
    let socket = directory.path("s");
    let taken = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let [first, second] = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
    let file = directory.write("rr.toml", &config(&first, &socket, ""));
    let daemon = Daemon::start(&file, &socket);
    let refused = format!("127.0.0.1:{}", taken.local_addr().expect("it is bound").port());
    let both = config(&second, &socket, "[[route]]\nprefix = \"10.1.0.0/26\"\n");
    directory
        .write("rr.toml", &both.replace(&format!("\"{second}\""), &format!("[\"{second}\", \"{refused}\"]")));
    daemon.signal(Signal::HUP);
    daemon.eventually("reloads", |status| status["prefixes"] == 1);
    daemon.eventually("listens elsewhere", |status| status["listen"] == serde_json::json!([second]));
    TcpStream::connect(&second).expect("it listens there");
    TcpStream::connect(&first).expect_err("and there no more");
    daemon.eventually("tells where it does not", |status| {
        status["not-listening"][0]["address"] == refused.as_str()
    });
    let status = text(&daemon.ask(&["status"]).stdout);
    assert!(status.contains(&format!("not listening on {refused}: ")), "{status}");
    daemon.signal(Signal::TERM);
    let (code, log) = daemon.end();
    assert_eq!(code, Some(0));
    assert!(log.contains(&format!("cannot listen on {refused}")), "{log}");
    assert!(log.contains("another BGP speaker holds this port"), "{log}");
}

#[test]
fn a_reload_reads_the_payloads_of_origin_validation_again_and_keeps_them_where_it_cannot() {
    let directory = Directory::new("rpki");
    let socket = directory.path("s");
    let roa =
        |asn: u32| format!("{{\"asn\": \"AS{asn}\", \"prefix\": \"10.{asn}.0.0/16\", \"maxLength\": 16}}");
    let payloads = directory.write("vrps.json", &format!("{{\"roas\": [{}]}}", roa(1)));
    let text =
        config(&format!("127.0.0.1:{}", free_port()), &socket, &format!("[rpki]\nfile = \"{payloads}\"\n"));
    let file = directory.write("rr.toml", &text);
    let daemon = Daemon::start(&file, &socket);
    let first = daemon.eventually("knows one", |status| status["rpki"]["ipv4"] == 1);
    directory.write("vrps.json", &format!("{{\"roas\": [{}, {}]}}", roa(1), roa(2)));
    daemon.signal(Signal::HUP);
    let second = daemon.eventually("knows two", |status| status["rpki"]["ipv4"] == 2);
    assert_eq!((&first["rpki"]["ipv6"], &second["rpki"]["passed-over"]), (&Value::from(0), &Value::from(0)));
    directory.write("vrps.json", "none");
    directory.write("rr.toml", &format!("{text}[[route]]\nprefix = \"10.1.0.0/26\"\n"));
    daemon.signal(Signal::HUP);
    let third = daemon.eventually("reloads the rest", |status| status["prefixes"] == 1);
    assert_eq!(third["rpki"], second["rpki"]);
    daemon.signal(Signal::TERM);
    let (code, log) = daemon.end();
    assert_eq!(code, Some(0));
    assert!(log.contains("origin validation goes on by what was read before"), "{log}");
}
