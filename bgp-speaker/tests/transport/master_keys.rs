//! TCP-AO (RFC 5925). Where the kernel does not have it, a peer with keys is held down and says why, and that is what is told
//! here; where it does, who has the keys is heard.

use std::sync::OnceLock;
use std::time::Duration;

use bgp_speaker::{AoAlgorithm, AoKey, Desired, Password, PeerAddress, PeerConfig, RangeConfig, Secret};

use crate::lab::{ASN, Lab, Node, peer, quick, stories};

stories![a_peer_with_keys_and_no_secret_is_held_down];

// For kernels with TCP-AO.
stories![ABLE:
    the_same_keys_at_both_ends_bring_a_session_up,
    other_keys_keep_the_session_down,
    keys_are_rolled_over_without_ending_the_session,
    a_range_takes_only_peers_with_its_keys,
];

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
