//! Peers behind one interface, link-local ones among them.

use crate::lab::{ASN, Lab, peer, stories};

stories![
    link_local_peers_come_up_over_their_interface,
    a_peer_bound_to_an_interface_comes_up_over_it_alone,
    an_interface_that_is_missing_is_named,
];

fn link_local_peers_come_up_over_their_interface() {
    let lab = Lab::row(2);
    for (n, link, address) in [(0, "right", "fe80::1"), (1, "left", "fe80::2")] {
        lab.ip(n, &format!("addr add {address}/64 dev {link} nodad"));
    }
    let (left, right) = (lab.speaker(0), lab.speaker(1));
    left.add(peer("fe80::2", ASN).interface("right"));
    right.add(peer("fe80::1", ASN).interface("left").passive());
    left.await_up("fe80::2");
    let session = right.peer("fe80::1").negotiated.expect("it is up");
    assert!(session.local.to_string().starts_with("[fe80::"), "{}", session.local);

    // As an unnumbered network does it: the password and the hops are checked as well.
    left.wait(left.speaker.remove_peer("fe80::2".parse().unwrap())).unwrap();
    right.wait(right.speaker.remove_peer("fe80::1".parse().unwrap())).unwrap();
    let guarded = |address: &str, link: &str| {
        let password = bgp_speaker::Password::new("s3cret").unwrap();
        peer(address, ASN).interface(link).password(password).ttl_security(1)
    };
    left.add(guarded("fe80::2", "right").passive());
    right.add(guarded("fe80::1", "left"));
    left.await_up("fe80::2");
}

fn a_peer_bound_to_an_interface_comes_up_over_it_alone() {
    let lab = Lab::row(3);
    let (middle, left, right) = (lab.speaker(1), lab.speaker(0), lab.speaker(2));
    middle.add(peer("10.0.0.1", ASN).interface("left"));
    middle.add(peer("10.0.1.2", ASN).interface("left"));
    left.add(peer("10.0.0.2", ASN));
    right.add(peer("10.0.1.1", ASN));
    middle.await_up("10.0.0.1");
    middle.stays_down("10.0.1.2");
}

fn an_interface_that_is_missing_is_named() {
    let lab = Lab::row(1);
    let node = lab.speaker(0);
    node.add(peer("192.0.2.1", ASN).interface("eth7"));
    node.await_words("192.0.2.1", "there is no interface eth7");
}
