//! TCP-AO (RFC 5925). Where the kernel does not have it, a peer with keys is held down and says why, and that is what is told
//! here; where it does, who has the keys is heard.

use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use bgp_speaker::{
    AoAlgorithm, AoKey, Desired, OwnerId, Password, PeerAddress, PeerConfig, RangeConfig, Reset, Route,
    Secret,
};

use crate::lab::{ASN, Lab, Node, Program, await_that, peer, quick, stories};

stories![a_peer_with_keys_and_no_secret_is_held_down];

// For kernels with TCP-AO.
stories![ABLE:
    the_same_keys_at_both_ends_bring_a_session_up,
    other_keys_keep_the_session_down,
    keys_are_rolled_over_without_ending_the_session,
    a_range_takes_only_peers_with_its_keys,
    segments_are_signed_and_what_is_not_is_counted,
    the_keys_of_a_range_are_rolled_over_without_ending_its_sessions,
    a_peer_of_its_own_keys_that_a_range_shares_rolls_over_too,
    the_keys_of_a_range_do_not_speak_for_a_peer_with_its_own,
    a_key_may_be_replaced_by_one_that_shares_an_id,
    a_peer_and_a_range_around_it_may_have_a_key_in_common,
    a_session_goes_over_from_a_password_to_keys_and_its_routes_stay,
];

// With a daemon that has TCP-AO as well: BIRD, since 2.17.
stories![BIRD: bird_and_we_agree_on_keys, bird_and_we_roll_keys_over];

// For kernels without.
stories![UNABLE: without_tcp_ao_in_the_kernel_the_peer_is_held_down_and_says_so];

fn secret(text: &str) -> Password {
    Password::new(text).unwrap()
}

fn key(id: u8, text: &str) -> AoKey {
    AoKey::new(id, secret(text))
}

fn with(address: &str, keys: impl IntoIterator<Item = AoKey>) -> PeerConfig {
    peer(address, ASN).tcp_ao(keys)
}

/// Whether this kernel has TCP-AO: it takes a key for a peer.
pub(crate) fn in_the_kernel() -> bool {
    static ABLE: OnceLock<bool> = OnceLock::new();
    *ABLE.get_or_init(|| {
        let lab = Lab::row(1);
        let node = lab.speaker(0);
        node.add(with("192.0.2.1", [key(1, "probe")]));
        !node.peer("192.0.2.1").info.contains("this kernel has no TCP-AO")
    })
}

fn pair() -> (Lab, Node, Node) {
    let lab = Lab::row(2);
    let (left, right) = (lab.speaker(0), lab.speaker(1));
    (lab, left, right)
}

fn without_tcp_ao_in_the_kernel_the_peer_is_held_down_and_says_so() {
    let lab = Lab::row(3);
    let (middle, left, right) = (lab.speaker(1), lab.speaker(0), lab.speaker(2));
    middle.add(with("10.0.0.1", [key(1, "s3cret")]));
    middle.add(peer("10.0.1.2", ASN));
    let mut range = RangeConfig::new("10.0.0.0/24".parse().unwrap(), ASN);
    range.options.timers = quick();
    range.options.tcp_ao = vec![key(1, "s3cret")];
    middle.wait(middle.speaker.add_listen_range(range)).unwrap();
    // Both would talk without any protection.
    left.add(peer("10.0.0.2", ASN));
    right.add(peer("10.0.1.1", ASN));
    middle.await_up("10.0.1.2");
    middle.await_words(
        "10.0.0.1",
        "held down: this kernel has no TCP-AO (it needs Linux 6.7 with CONFIG_TCP_AO)",
    );
    middle.stays_down("10.0.0.1");
    left.stays_down("10.0.0.2");
    // Nor is a dialled connection left open.
    left.wait(left.speaker.remove_peer("10.0.0.2".parse::<PeerAddress>().unwrap())).unwrap();
    left.add(with("10.0.0.2", [key(1, "s3cret")]));
    left.stays_down("10.0.0.2");
    let shown = format!("{:?}", middle.speaker.status());
    assert!(!shown.contains("s3cret"), "{shown}");
}

fn a_peer_with_keys_and_no_secret_is_held_down() {
    let (lab, left, right) = pair();
    let missing = AoKey { secret: Secret::File(lab.path("nowhere")), ..key(3, "unused") };
    left.add(with("10.0.0.2", [key(1, "s3cret"), missing]));
    right.add(peer("10.0.0.1", ASN));
    left.await_words("10.0.0.2", "held down: TCP-AO key 3: password file");
    left.stays_down("10.0.0.2");
}

fn the_same_keys_at_both_ends_bring_a_session_up() {
    let (_lab, left, right) = pair();
    for (own, other, algorithm) in [
        ("10.0.0.1", "10.0.0.2", AoAlgorithm::HmacSha1),
        ("2001:db8:0::1", "2001:db8:0::2", AoAlgorithm::CmacAes128),
    ] {
        // What one sends with, the other receives.
        let ours = AoKey { send_id: 10, recv_id: 20, algorithm, secret: secret("s3cret").into() };
        let theirs = AoKey { send_id: 20, recv_id: 10, ..ours.clone() };
        left.add(with(other, [ours]));
        right.add(with(own, [theirs]).passive());
        left.await_up(other);
    }
}

fn other_keys_keep_the_session_down() {
    let (_lab, left, right) = pair();
    left.add(with("10.0.0.2", [key(1, "one")]));
    right.add(with("10.0.0.1", [key(1, "other")]));
    left.add(peer("2001:db8:0::2", ASN));
    right.add(with("2001:db8:0::1", [key(1, "s3cret")]));
    left.await_words("10.0.0.2", "do not have the same keys (TCP-AO)");
    left.stays_down("10.0.0.2");
    right.stays_down("2001:db8:0::1");
}

fn keys_are_rolled_over_without_ending_the_session() {
    let (_lab, left, right) = pair();
    let apply = |node: &Node, address: &str, keys: &[AoKey]| {
        let desired = Desired { peers: vec![with(address, keys.to_vec())], ..Desired::default() };
        node.wait(node.speaker.apply(desired)).unwrap();
    };
    let both = |keys: &[AoKey]| {
        apply(&left, "10.0.0.2", keys);
        std::thread::sleep(Duration::from_secs(2));
        apply(&right, "10.0.0.1", keys);
    };
    let (first, second) = (key(1, "first"), key(2, "second"));
    both(std::slice::from_ref(&first));
    left.await_up("10.0.0.2");
    both(&[first.clone(), second.clone()]);
    both(&[second.clone(), first]);
    std::thread::sleep(Duration::from_secs(4));
    both(&[second]);
    // Longer than the hold time.
    std::thread::sleep(Duration::from_secs(11));
    assert!(left.is_up("10.0.0.2"));
    assert_eq!(left.peer("10.0.0.2").established, 1);
}

fn a_range_takes_only_peers_with_its_keys() {
    let (_lab, left, right) = pair();
    let mut range = RangeConfig::new("10.0.0.0/24".parse().unwrap(), ASN);
    range.options.timers = quick();
    range.options.tcp_ao = vec![key(1, "shared")];
    right.wait(right.speaker.add_listen_range(range)).unwrap();
    left.add(peer("10.0.0.2", ASN));
    left.stays_down("10.0.0.2");
    left.wait(left.speaker.remove_peer("10.0.0.2".parse::<PeerAddress>().unwrap())).unwrap();
    left.add(with("10.0.0.2", [key(1, "shared")]));
    left.await_up("10.0.0.2");
}

fn segments_are_signed_and_what_is_not_is_counted() {
    let (lab, left, right) = pair();
    left.add(with("10.0.0.2", [key(1, "s3cret")]));
    right.add(with("10.0.0.1", [key(1, "s3cret")]).passive());
    left.await_up("10.0.0.2");
    assert!(lab.counter(0, "TCPAOGood") > 0 && lab.counter(1, "TCPAOGood") > 0);
    assert_eq!(lab.counter(1, "TCPAOBad") + lab.counter(1, "TCPAORequired"), 0);

    left.add(peer("2001:db8:0::2", ASN));
    right.add(with("2001:db8:0::1", [key(1, "s3cret")]).passive());
    left.stays_down("2001:db8:0::2");
    assert!(lab.counter(1, "TCPAORequired") > 0, "it tried");
    await_that("the counter in the status", || match right.speaker.status().signatures {
        Some(failures) if failures.ao_missing > 0 => Ok(()),
        failures => Err(format!("{failures:?}")),
    });
}

/// Steps of a rollover: one end, and before that end asks for what the other does not have, the other.
fn step(change: impl FnOnce()) {
    change();
    std::thread::sleep(Duration::from_secs(1));
}

/// Longer than the hold time of a session that was cut off in silence.
fn outlast_hold_time() {
    std::thread::sleep(quick().hold_time + Duration::from_secs(2));
}

/// A range with keys on the right, to which the left dials.
fn range_with(keys: &[AoKey]) -> RangeConfig {
    let mut range = RangeConfig::new("10.0.0.0/24".parse().unwrap(), ASN);
    range.options.timers = quick();
    range.options.tcp_ao = keys.to_vec();
    range
}

fn the_keys_of_a_range_are_rolled_over_without_ending_its_sessions() {
    let (lab, left, right) = pair();
    let dialler = |keys: &[AoKey]| {
        let peers = vec![with("10.0.0.2", keys.to_vec())];
        left.wait(left.speaker.apply(Desired { peers, ..Desired::default() })).unwrap();
    };
    let range = |keys: &[AoKey]| {
        let ranges = vec![range_with(keys)];
        right.wait(right.speaker.apply(Desired { ranges, ..Desired::default() })).unwrap();
    };
    let (first, second) = (key(1, "first"), key(2, "second"));
    range(std::slice::from_ref(&first));
    dialler(std::slice::from_ref(&first));
    left.await_up("10.0.0.2");
    step(|| range(&[first.clone(), second.clone()]));
    step(|| dialler(&[second.clone(), first.clone()]));
    step(|| range(&[second.clone(), first]));
    step(|| range(std::slice::from_ref(&second)));
    step(|| dialler(&[second]));
    outlast_hold_time();
    assert!(left.is_up("10.0.0.2"));
    assert_eq!(left.peer("10.0.0.2").established, 1, "{:?}", left.peer("10.0.0.2"));
    assert_eq!(lab.counter(0, "TCPAOBad") + lab.counter(1, "TCPAOBad"), 0);
}

fn a_peer_of_its_own_keys_that_a_range_shares_rolls_over_too() {
    let (_lab, left, right) = pair();
    let (first, second) = (key(1, "first"), key(2, "second"));
    let right_has = |keys: &[AoKey]| {
        let peers = vec![with("10.0.0.1", keys.to_vec()).passive()];
        // The peer takes no key of its own on the listening socket while the range has the same.
        let ranges = vec![range_with(std::slice::from_ref(&first))];
        right.wait(right.speaker.apply(Desired { peers, ranges, ..Desired::default() })).unwrap();
    };
    let left_has = |keys: &[AoKey]| {
        let peers = vec![with("10.0.0.2", keys.to_vec())];
        left.wait(left.speaker.apply(Desired { peers, ..Desired::default() })).unwrap();
    };
    right_has(std::slice::from_ref(&first));
    left_has(std::slice::from_ref(&first));
    left.await_up("10.0.0.2");
    step(|| left_has(&[first.clone(), second.clone()]));
    step(|| right_has(std::slice::from_ref(&second)));
    step(|| left_has(&[second]));
    outlast_hold_time();
    assert!(left.is_up("10.0.0.2"));
    assert_eq!(left.peer("10.0.0.2").established, 1, "{:?}", left.peer("10.0.0.2"));
}

fn the_keys_of_a_range_do_not_speak_for_a_peer_with_its_own() {
    let (_lab, left, right) = pair();
    right.wait(right.speaker.add_listen_range(range_with(&[key(1, "shared")]))).unwrap();
    right.add(with("10.0.0.1", [key(2, "own")]).passive());
    left.add(with("10.0.0.2", [key(1, "shared")]));
    right.stays_down("10.0.0.1");
    assert!(!left.is_up("10.0.0.2"));
    left.wait(left.speaker.remove_peer("10.0.0.2".parse::<PeerAddress>().unwrap())).unwrap();
    left.add(with("10.0.0.2", [key(2, "own")]));
    left.await_up("10.0.0.2");
}

fn a_key_may_be_replaced_by_one_that_shares_an_id() {
    let (_lab, left, right) = pair();
    let one = |send_id, recv_id| AoKey { send_id, recv_id, ..key(0, "s3cret") };
    let has = |node: &Node, address: &str, key: AoKey| {
        let desired = Desired { peers: vec![with(address, [key])], ..Desired::default() };
        node.wait(node.speaker.apply(desired)).unwrap();
    };
    for (ours, theirs) in [((1, 1), (1, 1)), ((1, 2), (2, 1))] {
        has(&left, "10.0.0.2", one(ours.0, ours.1));
        has(&right, "10.0.0.1", one(theirs.0, theirs.1));
        left.await_up("10.0.0.2");
        right.await_up("10.0.0.1");
    }
}

fn a_session_goes_over_from_a_password_to_keys_and_its_routes_stay() {
    let (_lab, left, right) = pair();
    let has = |node: &Node, config: PeerConfig| {
        let route = Route::new("192.0.2.0/24".parse::<ipnet::IpNet>().unwrap());
        let routes = [(OwnerId(1), vec![route])].into();
        node.wait(node.speaker.apply(Desired { peers: vec![config], routes, ..Desired::default() })).unwrap();
    };
    let holds = |stale: u64| {
        await_that(&format!("a route, {stale} stale"), || {
            let status = right.peer("10.0.0.1");
            let counted = (status.prefixes.received, status.prefixes.stale);
            if counted == (1, stale) { Ok(()) } else { Err(format!("{status:?}")) }
        });
    };
    has(&left, peer("10.0.0.2", ASN).password(secret("s3cret")));
    has(&right, peer("10.0.0.1", ASN).password(secret("s3cret")));
    left.await_up("10.0.0.2");
    holds(0);
    has(&left, with("10.0.0.2", [key(1, "s3cret")]));
    holds(1);
    has(&right, with("10.0.0.1", [key(1, "s3cret")]));
    left.await_up("10.0.0.2");
    holds(0);
    assert!(right.peer("10.0.0.1").established >= 2);
}

/// BIRD at 10.0.0.2, with these keys.
fn bird(lab: &Lab, keys: &str) -> Program {
    let config = format!(
        "log stderr all;\nrouter id 10.0.0.2;\nprotocol device {{}}\n\
         protocol bgp ours {{ local 10.0.0.2 as 65000; neighbor 10.0.0.1 as 65000; authentication ao; \
         keys {{ {keys} }}; connect delay time 1; connect retry time 1; error wait time 1, 2; \
         ipv4 {{ import all; export all; }}; }}\n"
    );
    let path = lab.file("bird.conf", &config);
    let socket = lab.path("bird.ctl");
    lab.spawn(1, &["bird", "-f", "-c", path.to_str().unwrap(), "-s", socket.to_str().unwrap()])
}

/// Why BIRD is of no use here, if it is not.
pub(crate) fn bird_obstacle() -> Option<String> {
    let version = Command::new("bird").arg("--version").output().ok()?;
    // It tells its version on standard error.
    let words = String::from_utf8_lossy(&[version.stdout, version.stderr].concat()).into_owned();
    let numbers: Vec<u32> =
        words.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
    let able = matches!(numbers.as_slice(), [2, minor, ..] if *minor >= 17)
        || matches!(numbers.as_slice(), [3, minor, ..] if *minor >= 1)
        || numbers.first().is_some_and(|major| *major > 3);
    (!able).then(|| format!("it has no TCP-AO: {}", words.trim()))
}

fn bird_and_we_agree_on_keys() {
    for (algorithm, theirs) in
        [(AoAlgorithm::HmacSha1, "hmac sha1"), (AoAlgorithm::CmacAes128, "cmac aes128")]
    {
        for passive in [false, true] {
            let lab = Lab::row(2);
            let left = lab.speaker(0);
            let ours = AoKey { send_id: 10, recv_id: 20, algorithm, secret: secret("s3cret").into() };
            let mut config = with("10.0.0.2", [ours]);
            config.options.passive = passive;
            left.add(config);
            let keys = format!("key {{ send id 20; recv id 10; secret \"s3cret\"; algorithm {theirs}; }};");
            let _bird = bird(&lab, &keys);
            left.await_up("10.0.0.2");
            assert!(lab.counter(0, "TCPAOGood") > 0);
        }
    }
    let lab = Lab::row(2);
    let left = lab.speaker(0);
    left.add(with("10.0.0.2", [key(1, "other")]));
    let _bird = bird(&lab, "key { id 1; secret \"s3cret\"; };");
    left.stays_down("10.0.0.2");
}

fn bird_and_we_roll_keys_over() {
    let lab = Lab::row(2);
    let left = lab.speaker(0);
    let has = |keys: &[AoKey]| {
        let peers = vec![with("10.0.0.2", keys.to_vec())];
        left.wait(left.speaker.apply(Desired { peers, ..Desired::default() })).unwrap();
    };
    let (first, second) = (key(1, "first"), key(2, "second"));
    has(std::slice::from_ref(&first));
    let _bird = bird(&lab, "key { id 1; secret \"first\"; preferred; }; key { id 2; secret \"second\"; };");
    left.await_up("10.0.0.2");
    // We ask for the second; it asks for the first, and is heard until we have that no more.
    step(|| has(&[second.clone(), first]));
    step(|| has(&[second]));
    outlast_hold_time();
    assert!(left.is_up("10.0.0.2"));
    assert_eq!(left.peer("10.0.0.2").established, 1, "{:?}", left.peer("10.0.0.2"));
}

fn a_peer_and_a_range_around_it_may_have_a_key_in_common() {
    let (_lab, left, right) = pair();
    let (first, second) = (key(1, "first"), key(2, "second"));
    let here: PeerAddress = "10.0.0.1".parse().unwrap();
    let there: PeerAddress = "10.0.0.2".parse().unwrap();
    left.add(with("10.0.0.2", [first.clone()]));
    let own = || right.add(with("10.0.0.1", [second.clone(), first.clone()]).passive());
    // The peer before the range, and the range before the peer.
    own();
    right.wait(right.speaker.add_listen_range(range_with(std::slice::from_ref(&first)))).unwrap();
    assert_eq!(right.speaker.status().ranges[0].trouble, None);
    left.await_up("10.0.0.2");
    right.wait(right.speaker.remove_peer(here)).unwrap();
    left.wait(left.speaker.reset(there, Reset::Hard { text: "anew".into() })).unwrap();
    own();
    right.await_up("10.0.0.1");
    assert!(!right.peer("10.0.0.1").info.contains("dials only"));
    // What it had through the range it has by itself.
    right.wait(right.speaker.remove_listen_range("10.0.0.0/24".parse().unwrap())).unwrap();
    left.wait(left.speaker.reset(there, Reset::Hard { text: "anew".into() })).unwrap();
    await_that("another session", || match right.peer("10.0.0.1").established {
        2.. => Ok(()),
        _ => Err(right.peer("10.0.0.1").info),
    });
}
