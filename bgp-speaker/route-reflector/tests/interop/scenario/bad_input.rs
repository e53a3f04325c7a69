//! What strangers and broken peers send, and that only they suffer from it.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, TcpStream};
use std::time::Duration;

use super::OUR_AS;
use crate::Scenario;
use crate::lab::{Lab, Node, eventually, holds};
use crate::ours::{PeerEntry, Reflector};
use crate::peer::{Daemon, HOLD_TIME, SOON};
use crate::scripted::message::{self, HEADER, KEEPALIVE, UPDATE, attribute};
use crate::scripted::{Identity, Scripted, read_notification};

/// What the well-behaved peer announces.
const GOOD: &str = "10.65.1.0/26";
/// What the broken peer announces before it breaks.
const VICTIM: &str = "10.65.2.0/26";

/// Connections of a stranger.
const CALLS: u64 = 200;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("garbage_from_a_stranger_harms_no_session", stranger),
        Scenario::new("garbage_from_a_configured_peer_is_answered_by_notification", broken_header),
        Scenario::new("malformed_update_withdraws_its_routes_and_keeps_the_session", treat_as_withdraw),
        Scenario::new("malformed_attribute_of_no_weight_is_discarded", attribute_discard),
        Scenario::new("unreadable_update_ends_the_session_with_notification", session_reset),
    ]
}

/// A reflector with two good clients that exchange routes, and a place for a bad one.
struct Stage<'a> {
    reflector: Reflector<'a>,
    ours: Node,
    bad: Node,
    good: [Scripted; 2],
}

impl<'a> Stage<'a> {
    fn new(lab: &'a Lab) -> Self {
        let (ours, bad) = (lab.node("rr", 1), lab.node("bad", 2));
        let nodes = [lab.node("one", 3), lab.node("two", 4)];
        let entry = |node: &Node| PeerEntry::new(node.v4(), OUR_AS).client().passive();
        let entries = [entry(&bad), entry(&nodes[0]), entry(&nodes[1])];
        let reflector = Reflector::start(lab, &ours, OUR_AS, &entries, "");
        let good = nodes.map(|node| {
            let networks: &[&str] = if node.index == 3 { &[GOOD] } else { &[] };
            Scripted::start(identity(&node, &ours), networks)
        });
        let stage = Self { reflector, ours, bad, good };
        stage.witness().learns(GOOD);
        stage
    }

    /// The client that shows what the reflector tells others.
    fn witness(&self) -> &dyn Daemon {
        &self.good[1]
    }

    fn bad_peer(&self, networks: &[&str]) -> Scripted {
        Scripted::start(identity(&self.bad, &self.ours), networks)
    }

    /// The good sessions are the ones that came up at the start, and their route is still there.
    fn others_are_unharmed(&self) {
        for (good, index) in self.good.iter().zip([3, 4]) {
            good.established(self.ours.v4().into()).expect("a good session stays up");
            let status = self.reflector.peer(IpAddr::from([10, 9, 0, index])).expect("it is configured");
            assert!(status["state"] == "Established" && status["established"] == 1, "{status}");
        }
        assert!(matches!(self.witness().route(GOOD), Ok(Some(_))), "the good route stays");
    }
}

fn identity(node: &Node, remote: &Node) -> Identity {
    let remote = (remote.v4(), 179).into();
    Identity { ns: node.ns.clone(), local: node.v4(), remote, asn: OUR_AS, hold_time: HOLD_TIME }
}

/// Somebody who is nobody's peer calls many times and sends what is not BGP.
fn stranger(lab: &Lab) {
    let stage = Stage::new(lab);
    let stranger = lab.node("stranger", 66);
    let caller = identity(&stranger, &stage.ours);
    for call in 0..CALLS {
        let mut stream = caller.dial().expect("the port is open");
        let garbage: &[u8] = if call % 2 == 0 { b"GET / HTTP/1.1\r\n\r\n" } else { &[0xff; 64] };
        stream.write_all(garbage).ok();
        if call % 10 == 0 {
            closes_without_words(&mut stream);
        }
    }
    eventually("every call is counted", SOON, || {
        let status = stage.reflector.status()?;
        if status["strangers"] == CALLS { Ok(()) } else { Err(status["strangers"].to_string()) }
    });
    let address = stranger.v4().to_string();
    let log = stage.reflector.process().log();
    let lines = log.lines().filter(|line| line.contains(&address)).count();
    assert!((1..=3).contains(&lines), "{CALLS} calls are worth a line or two, not {lines}");
    stage.others_are_unharmed();
}

/// A stranger is told nothing: the connection ends, by whichever kind of close.
fn closes_without_words(stream: &mut TcpStream) {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
    assert!(answer.is_empty(), "a stranger gets no BGP message");
}

/// Message headers that are wrong, each with the NOTIFICATION that RFC 4271 §6.1 demands.
fn broken_header(lab: &Lab) {
    let stage = Stage::new(lab);
    let peer = identity(&stage.bad, &stage.ours);
    let mut no_marker = message::keepalive();
    no_marker[3] = 0;
    let with = |length: u16, kind: u8| {
        let mut bytes = message::message(kind, &[]);
        bytes[16..18].copy_from_slice(&length.to_be_bytes());
        bytes
    };
    let cases = [
        ("a marker that is not all ones", no_marker, (1, 1)),
        ("a length below the header's", with(18, KEEPALIVE), (1, 2)),
        ("a length above the limit", with(u16::MAX, KEEPALIVE), (1, 2)),
        ("an UPDATE too short for its fields", with(20, UPDATE), (1, 2)),
        ("a message of no known type", message::message(77, &[]), (1, 3)),
    ];
    for (what, bytes, expected) in cases {
        let mut stream = eventually(what, SOON, || peer.establish());
        stream.write_all(&bytes).expect("the session is up");
        let notification = read_notification(&mut stream).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(notification, expected, "{what}");
        stage.others_are_unharmed();
    }
    // Garbage in place of an OPEN; while the peer is in disgrace its calls are not even answered.
    let notification = eventually("garbage in place of an OPEN is answered", SOON, || {
        let mut stream = peer.dial().map_err(|error| error.to_string())?;
        stream.write_all(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n").map_err(|error| error.to_string())?;
        read_notification(&mut stream)
    });
    assert_eq!(notification, (1, 1), "garbage in place of an OPEN");
    stage.others_are_unharmed();
}

/// RFC 7606 §2: the routes of a broken UPDATE go, the session stays.
fn treat_as_withdraw(lab: &Lab) {
    let stage = Stage::new(lab);
    let mut bad = stage.bad_peer(&[]);
    let origin = attribute(0x40, 1, &[0]);
    let path = attribute(0x40, 2, &[]);
    let next_hop = attribute(0x40, 3, &stage.bad.v4().octets());
    let local_pref = attribute(0x40, 5, &[0, 0, 0, 100]);
    let cases = [
        ("ORIGIN 9", [attribute(0x40, 1, &[9]), path.clone(), next_hop.clone(), local_pref.clone()].concat()),
        ("an AS_PATH that overruns", {
            [origin.clone(), attribute(0x40, 2, &[2, 9, 0, 0]), next_hop.clone(), local_pref.clone()].concat()
        }),
        ("a NEXT_HOP of three octets", {
            [origin.clone(), path.clone(), attribute(0x40, 3, &[10, 9, 0]), local_pref.clone()].concat()
        }),
        ("no NEXT_HOP", [origin.clone(), path.clone(), local_pref.clone()].concat()),
        ("no ORIGIN", [path.clone(), next_hop.clone(), local_pref].concat()),
        ("a LOCAL_PREF of one octet", [origin, path, next_hop, attribute(0x40, 5, &[1])].concat()),
    ];
    for (what, attributes) in cases {
        let sound = message::announce(&bad.own_attributes(), &[VICTIM]);
        bad.send(&sound);
        stage.witness().learns(VICTIM);
        bad.send(&message::update(&[], &attributes, &message::encode_prefixes(&[VICTIM])));
        eventually(&format!("{what}: the route is withdrawn"), SOON, || {
            match stage.witness().route(VICTIM)? {
                None => Ok(()),
                Some(route) => Err(format!("{route:?}")),
            }
        });
        bad.established(stage.ours.v4().into())
            .unwrap_or_else(|error| panic!("{what}: the session stays: {error}"));
        stage.others_are_unharmed();
    }
}

/// RFC 7606 §7: an attribute without weight in the choice of routes is dropped, the route stays.
fn attribute_discard(lab: &Lab) {
    let stage = Stage::new(lab);
    let mut bad = stage.bad_peer(&[]);
    let sound = [
        attribute(0x40, 1, &[0]),
        attribute(0x40, 2, &[]),
        attribute(0x40, 3, &stage.bad.v4().octets()),
        attribute(0x40, 5, &[0, 0, 0, 100]),
    ]
    .concat();
    let cases = [
        ("ATOMIC_AGGREGATE with a value", attribute(0x40, 6, &[1]), VICTIM),
        ("AGGREGATOR of five octets", attribute(0xc0, 7, &[1, 2, 3, 4, 5]), "10.65.2.64/26"),
    ];
    for (what, broken, prefix) in cases {
        let attributes = [sound.clone(), broken].concat();
        bad.send(&message::update(&[], &attributes, &message::encode_prefixes(&[prefix])));
        stage.witness().learns(prefix);
        bad.established(stage.ours.v4().into())
            .unwrap_or_else(|error| panic!("{what}: the session stays: {error}"));
    }
    holds("both routes stay", Duration::from_secs(1), || {
        let both = [stage.witness().route(VICTIM)?, stage.witness().route("10.65.2.64/26")?];
        if both.iter().all(Option::is_some) { Ok(()) } else { Err(format!("{both:?}")) }
    });
    stage.others_are_unharmed();
}

/// RFC 7606 §3 (j), §5.3: reachability that cannot be read leaves nothing to withdraw by.
fn session_reset(lab: &Lab) {
    let stage = Stage::new(lab);
    let peer = identity(&stage.bad, &stage.ours);
    let sound = [
        attribute(0x40, 1, &[0]),
        attribute(0x40, 2, &[]),
        attribute(0x40, 3, &stage.bad.v4().octets()),
        attribute(0x40, 5, &[0, 0, 0, 100]),
    ]
    .concat();
    // Attributes that claim to be longer than the message.
    let mut overlong = message::update(&[], &sound, &message::encode_prefixes(&[VICTIM]));
    overlong[HEADER + 2..HEADER + 4].copy_from_slice(&1000_u16.to_be_bytes());
    let cases = [
        ("attributes longer than the message", overlong, (3, 1)),
        ("a prefix of 33 bits", message::update(&[], &sound, &[33, 10, 65, 2, 0, 0]), (3, 10)),
        ("a prefix that is cut off", message::update(&[], &sound, &[26, 10, 65]), (3, 10)),
    ];
    for (what, bytes, expected) in cases {
        let mut stream = eventually(what, SOON, || peer.establish());
        let attributes = message::Attributes::plain(stage.bad.v4(), Vec::new());
        stream.write_all(&message::announce(&attributes, &[VICTIM])).expect("the session is up");
        stage.witness().learns(VICTIM);
        stream.write_all(&bytes).expect("the session is up");
        let notification = read_notification(&mut stream).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(notification, expected, "{what}");
        stage.witness().forgets(VICTIM);
        stage.others_are_unharmed();
    }
}
