//! Peers that vanish without a word: a path that is cut in the middle, a link that goes down or away, and what comes back.

use std::time::{Duration, Instant};

use bgp_speaker::{OwnerId, PeerConfig, Route, SpeakerError, State};

use crate::lab::{ASN, Lab, Node, await_that, peer, stories};

stories![
    an_idle_peer_that_vanishes_is_found_by_the_hold_time,
    a_peer_that_vanishes_with_octets_on_the_way_is_found_by_the_hold_time,
    a_peer_that_vanishes_with_octets_on_the_way_is_found_by_the_user_timeout,
    without_a_hold_time_the_user_timeout_finds_who_vanished,
    a_path_that_loses_one_direction_is_found_by_the_user_timeout,
    a_short_cut_is_bridged_by_tcp,
    a_link_that_goes_down_and_comes_back_brings_the_session_back,
    an_interface_that_is_deleted_and_made_again_brings_the_session_back,
    a_peer_bound_to_an_interface_waits_for_it_and_outlives_its_return,
];

/// The shortest hold time that there is.
const HOLD: Duration = Duration::from_secs(3);
/// How late a loaded machine may be with what is due.
const SLACK: Duration = Duration::from_secs(3);
/// How long a session may take to come back over a path that works again: a pause, an attempt, and what a first attempt
/// that was lost costs.
const RETURN: Duration = Duration::from_secs(6);

const LEFT: &str = "10.0.0.1";
const RIGHT: &str = "10.0.1.2";

/// A speaker at each end of three nodes in a row.
struct Ends {
    left: Node,
    right: Node,
    lab: Lab,
}

impl Ends {
    fn with(change: impl Fn(&mut PeerConfig)) -> Self {
        let lab = Lab::row(3);
        let (left, right) = (lab.speaker(0), lab.speaker(2));
        let config = |address| {
            let mut config = peer(address, ASN);
            config.options.timers.hold_time = HOLD;
            change(&mut config);
            config
        };
        left.add(config(RIGHT));
        right.add(config(LEFT));
        left.await_up(RIGHT);
        right.await_up(LEFT);
        Self { left, right, lab }
    }

    /// The node in the middle drops what is for this end, without a word.
    fn cut_towards(&self, end: &str) {
        self.lab.ip(1, &format!("route add blackhole {end}/32"));
    }

    fn cut(&self) {
        self.cut_towards(LEFT);
        self.cut_towards(RIGHT);
    }

    fn mend(&self) {
        self.lab.ip(1, &format!("route del blackhole {LEFT}/32"));
        self.lab.ip(1, &format!("route del blackhole {RIGHT}/32"));
    }

    /// The left end has something to say.
    fn announce(&self) {
        let route = Route::new("10.9.0.0/16".parse::<ipnet::IpNet>().unwrap());
        let announced: Result<(), SpeakerError> =
            self.left.wait(self.left.speaker.announce(OwnerId(1), [route]));
        announced.unwrap();
    }

    fn come_back(&self, start: Instant) {
        self.left.await_up(RIGHT);
        self.right.await_up(LEFT);
        assert!(start.elapsed() < RETURN, "back after {:?}", start.elapsed());
    }
}

/// How long it takes until this node has lost its session.
fn lost_after(node: &Node, address: &str) -> Duration {
    let start = Instant::now();
    await_that("the loss of the session", || match node.peer(address).state {
        State::Established => Err(node.peer(address).info),
        _ => Ok(()),
    });
    start.elapsed()
}

fn about(took: Duration, due: Duration) {
    // Keepalives are up to a third of the hold time old, and the cut is noticed a moment later.
    assert!(
        took + Duration::from_millis(1500) >= due && took < due + SLACK,
        "{took:?} where {due:?} was due"
    );
}

fn an_idle_peer_that_vanishes_is_found_by_the_hold_time() {
    let ends = Ends::with(|_| {});
    ends.cut();
    about(lost_after(&ends.left, RIGHT), HOLD);
    assert!(ends.left.peer(RIGHT).info.contains("Hold timer expired"), "{}", ends.left.peer(RIGHT).info);
    lost_after(&ends.right, LEFT);
    ends.mend();
    ends.come_back(Instant::now());
}

fn a_peer_that_vanishes_with_octets_on_the_way_is_found_by_the_hold_time() {
    let ends = Ends::with(|_| {});
    ends.cut();
    ends.announce();
    about(lost_after(&ends.left, RIGHT), HOLD);
    assert!(ends.left.peer(RIGHT).info.contains("Hold timer expired"), "{}", ends.left.peer(RIGHT).info);
    ends.mend();
    ends.come_back(Instant::now());
    // What was lost on the way is told again.
    await_that("the route", || {
        let got = ends.right.peer(LEFT).prefixes.received;
        if got == 1 { Ok(()) } else { Err(format!("{got} routes")) }
    });
}

fn a_peer_that_vanishes_with_octets_on_the_way_is_found_by_the_user_timeout() {
    let ends = Ends::with(|config| {
        config.options.timers.hold_time = Duration::from_secs(90);
        config.options.timers.tcp_user_timeout = Some(Duration::from_secs(4));
    });
    ends.cut();
    ends.announce();
    about(lost_after(&ends.left, RIGHT), Duration::from_secs(4));
    assert!(ends.left.peer(RIGHT).info.contains("Connection timed out"), "{}", ends.left.peer(RIGHT).info);
    ends.mend();
    // The other end still believes in the former session, and takes the new one in its place (RFC 4724 §5).
    ends.come_back(Instant::now());
}

fn without_a_hold_time_the_user_timeout_finds_who_vanished() {
    let ends = Ends::with(|config| {
        config.options.timers.hold_time = Duration::ZERO;
        config.options.timers.tcp_user_timeout = Some(Duration::from_secs(4));
    });
    ends.cut();
    ends.announce();
    about(lost_after(&ends.left, RIGHT), Duration::from_secs(4));
}

/// The peer is heard and does not hear: no hold timer of ours finds that.
fn a_path_that_loses_one_direction_is_found_by_the_user_timeout() {
    let ends = Ends::with(|config| {
        config.options.timers.hold_time = Duration::from_secs(30);
        config.options.timers.tcp_user_timeout = Some(Duration::from_secs(4));
    });
    ends.cut_towards(RIGHT);
    ends.announce();
    about(lost_after(&ends.left, RIGHT), Duration::from_secs(4));
}

fn a_short_cut_is_bridged_by_tcp() {
    let ends = Ends::with(|config| config.options.timers.hold_time = Duration::from_secs(30));
    ends.cut();
    ends.announce();
    std::thread::sleep(Duration::from_secs(2));
    ends.mend();
    await_that("the route", || {
        let got = ends.right.peer(LEFT).prefixes.received;
        if got == 1 { Ok(()) } else { Err(format!("{got} routes")) }
    });
    for (node, other) in [(&ends.left, RIGHT), (&ends.right, LEFT)] {
        assert_eq!(node.peer(other).established, 1);
    }
}

fn a_link_that_goes_down_and_comes_back_brings_the_session_back() {
    let ends = Ends::with(|_| {});
    for _ in 0..2 {
        ends.lab.ip(1, "link set right down");
        lost_after(&ends.left, RIGHT);
        lost_after(&ends.right, LEFT);
        ends.lab.ip(1, "link set right up");
        ends.lab.ip(2, "route replace 10.0.0.0/24 via 10.0.1.1");
        ends.come_back(Instant::now());
    }
}

fn an_interface_that_is_deleted_and_made_again_brings_the_session_back() {
    let ends = Ends::with(|_| {});
    ends.lab.ip(2, "link del left");
    lost_after(&ends.right, LEFT);
    lost_after(&ends.left, RIGHT);
    ends.lab.join(1, 2);
    ends.lab.ip(2, "route replace 10.0.0.0/24 via 10.0.1.1");
    ends.come_back(Instant::now());
}

/// The kernel knows an interface by its number; ours is by its name, and looked up for each connection.
fn a_peer_bound_to_an_interface_waits_for_it_and_outlives_its_return() {
    let lab = Lab::row(2);
    lab.ip(0, "link del right");
    let (left, right) = (lab.speaker(0), lab.speaker(1));
    let bound = |address: &str, link: &str| {
        let mut config = peer(address, ASN).interface(link);
        config.options.timers.hold_time = HOLD;
        config
    };
    left.add(bound("fe80::2", "right"));
    right.add(bound("fe80::1", "left"));
    left.await_words("fe80::2", "there is no interface right");
    for turn in 0..2 {
        lab.join(0, 1);
        for (n, link, address) in [(0, "right", "fe80::1"), (1, "left", "fe80::2")] {
            lab.ip(n, &format!("addr add {address}/64 dev {link} nodad"));
        }
        left.await_up("fe80::2");
        right.await_up("fe80::1");
        assert_eq!(left.peer("fe80::2").established, turn + 1);
        if turn == 0 {
            lab.ip(0, "link del right");
            lost_after(&left, "fe80::2");
            lost_after(&right, "fe80::1");
        }
    }
}
