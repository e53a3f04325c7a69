//! Peers behind one interface, link-local ones among them.

use bgp_speaker::{OwnerId, PeerAddress, Route, SpeakerError, State};

use crate::lab::{ASN, Lab, Node, await_that, peer, stories};

stories![
    link_local_peers_come_up_over_their_interface,
    the_same_link_local_address_on_two_links_is_two_peers,
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
    right.await_up("fe80::1");
    let session = right.peer("fe80::1").negotiated.expect("it is up");
    assert!(session.local.to_string().starts_with("[fe80::"), "{}", session.local);

    // As an unnumbered network does it: the password and the hops are checked as well.
    left.wait(left.speaker.remove_peer("fe80::2".parse::<PeerAddress>().unwrap())).unwrap();
    right.wait(right.speaker.remove_peer("fe80::1".parse::<PeerAddress>().unwrap())).unwrap();
    let guarded = |address: &str, link: &str| {
        let password = bgp_speaker::Password::new("s3cret").unwrap();
        peer(address, ASN).interface(link).password(password).ttl_security(1)
    };
    left.add(guarded("fe80::2", "right").passive());
    right.add(guarded("fe80::1", "left"));
    left.await_up("fe80::2");
}

/// As on the ports of a fabric that has no numbers: whoever is at the other end is fe80::1, and we are fe80::2.
fn the_same_link_local_address_on_two_links_is_two_peers() {
    let lab = Lab::row(3);
    for (n, link, address) in [(0, "right", 1), (1, "left", 2), (1, "right", 2), (2, "left", 1)] {
        lab.ip(n, &format!("addr add fe80::{address}/64 dev {link} nodad"));
    }
    let (left, middle, right) = (lab.speaker(0), lab.speaker(1), lab.speaker(2));
    let password = || bgp_speaker::Password::new("s3cret").unwrap();
    let to = |address: &str, link: &str| peer(address, ASN).interface(link).password(password());
    // Once they dial, once they are dialled.
    left.add(to("fe80::2", "right"));
    right.add(to("fe80::2", "left").passive());
    middle.add(to("fe80::1", "left").passive());
    middle.add(to("fe80::1", "right"));
    left.await_up("fe80::2");
    right.await_up("fe80::2");
    let at = |text: &str| text.parse::<PeerAddress>().unwrap();
    let state = |node: &Node, name: &str| node.speaker.status().peer(at(name)).map(|peer| peer.state);
    for name in ["fe80::1%left", "fe80::1%right"] {
        middle.await_up(name);
    }
    let routes = |filter: &str| {
        let filter = bgp_speaker::RouteFilter { peer: Some(at(filter)), ..Default::default() };
        middle.wait(middle.speaker.routes(filter, None, 10))
    };
    let ambiguous = routes("fe80::1").err();
    assert_eq!(ambiguous, Some(SpeakerError::UnknownPeer(at("fe80::1"))), "it could be either");
    assert!(routes("fe80::1%left").is_ok());

    // There is no IPv4 address on these links, and IPv4 routes pass (RFC 8950).
    let prefix: ipnet::IpNet = "10.77.0.0/24".parse().unwrap();
    for (node, owner) in [(&left, 1), (&right, 2)] {
        node.wait(node.speaker.announce(OwnerId(owner), [Route::new(prefix)])).unwrap();
    }
    await_that("the route from both", || {
        let from = |name: &str| routes(name).map_or(0, |page| page.routes.len());
        let counts = (from("fe80::1%left"), from("fe80::1%right"));
        if counts == (1, 1) { Ok(()) } else { Err(format!("{counts:?}")) }
    });

    let refused = middle.wait(middle.speaker.add_peer(to("fe80::1", "left")));
    assert_eq!(refused, Err(SpeakerError::DuplicatePeer(at("fe80::1%left"))));
    middle.wait(middle.speaker.remove_peer(at("fe80::1%left"))).unwrap();
    assert_eq!(state(&middle, "fe80::1%left"), None);
    assert_eq!(state(&middle, "fe80::1%right"), Some(State::Established));

    // What is alone may be called by its address, and is still guarded.
    middle.wait(middle.speaker.remove_peer(at("fe80::1"))).unwrap();
    middle.add(to("fe80::1", "right").passive());
    middle.wait(middle.speaker.add_peer(peer("fe80::1", ASN).interface("left"))).unwrap();
    middle.wait(middle.speaker.remove_peer(at("fe80::1%left"))).unwrap();
    right.wait(right.speaker.remove_peer(at("fe80::2"))).unwrap();
    right.add(peer("fe80::2", ASN).interface("left"));
    middle.stays_down("fe80::1%right");
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
