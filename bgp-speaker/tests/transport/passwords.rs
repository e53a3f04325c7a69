//! TCP-MD5 (RFC 2385): who does not have the password is not heard, and who does is not disturbed.

use std::net::IpAddr;

use bgp_speaker::{
    Asn, MeshNode, OwnerId, Password, PeerAddress, PeerConfig, RangeConfig, Route, Secret, SessionOptions,
    Speaker,
};

use crate::lab::{ASN, Lab, Node, await_that, peer, quick, stories};

stories![
    the_same_password_at_both_ends_brings_a_session_up,
    another_password_keeps_the_session_down_and_the_status_says_why,
    a_peer_without_the_password_is_not_heard,
    a_range_takes_only_peers_with_its_password,
    a_range_whose_password_file_is_back_is_in_no_trouble,
    a_missing_password_file_holds_down_that_peer_alone,
    a_password_that_the_caller_could_not_get_holds_the_peer_down,
    a_changed_password_does_not_end_a_session,
    a_changed_password_reaches_the_peers_of_a_range,
    a_changed_password_file_is_put_in_use,
    to_begin_with_a_password_takes_a_new_session,
    routes_are_kept_while_both_ends_begin_or_end_with_a_password,
    routes_of_a_range_are_kept_while_it_begins_with_a_password,
    to_begin_with_a_password_that_cannot_be_had_holds_the_peer_down,
    a_mesh_shares_a_password_and_changes_it,
    peers_that_find_no_room_for_their_key_still_dial,
];

fn key(text: &str) -> Password {
    Password::new(text).unwrap()
}

fn with(address: &str, password: &str) -> PeerConfig {
    peer(address, ASN).password(key(password))
}

fn range(prefix: &str) -> RangeConfig {
    let mut range = RangeConfig::new(prefix.parse().unwrap(), ASN);
    range.options.timers = quick();
    range
}

fn the_same_password_at_both_ends_brings_a_session_up() {
    let lab = Lab::row(2);
    let (left, right) = (lab.speaker(0), lab.speaker(1));
    for (own, other) in [("10.0.0.1", "10.0.0.2"), ("2001:db8:0::1", "2001:db8:0::2")] {
        left.add(with(other, "s3cret"));
        right.add(with(own, "s3cret").passive());
    }
    for other in ["10.0.0.2", "2001:db8:0::2"] {
        left.await_up(other);
    }
    assert_eq!(lab.counter(1, "TCPMD5Failure") + lab.counter(1, "TCPMD5NotFound"), 0);
    let shown = format!("{:?}", left.speaker.status());
    assert!(!shown.contains("s3cret"), "{shown}");
}

fn another_password_keeps_the_session_down_and_the_status_says_why() {
    let lab = Lab::row(2);
    let (left, right) = (lab.speaker(0), lab.speaker(1));
    right.add(with("10.0.0.1", "one"));
    left.add(with("10.0.0.2", "other"));
    left.stays_down("10.0.0.2");
    right.stays_down("10.0.0.1");
    left.await_words("10.0.0.2", "do not have the same password");
    assert!(lab.counter(1, "TCPMD5Failure") > 0);
    await_that("the counter in the status", || match right.speaker.status().signatures {
        Some(failures) if failures.md5_wrong > 0 => Ok(()),
        failures => Err(format!("{failures:?}")),
    });
}

fn a_peer_without_the_password_is_not_heard() {
    let lab = Lab::row(2);
    let (left, right) = (lab.speaker(0), lab.speaker(1));
    right.add(with("10.0.0.1", "s3cret"));
    left.add(peer("10.0.0.2", ASN));
    right.stays_down("10.0.0.1");
    assert!(!left.is_up("10.0.0.2"));
    assert!(lab.counter(1, "TCPMD5NotFound") > 0, "it tried");
}

fn a_range_takes_only_peers_with_its_password() {
    let lab = Lab::row(3);
    let (middle, left, right) = (lab.speaker(1), lab.speaker(0), lab.speaker(2));
    for prefix in ["10.0.0.0/16", "2001:db8::/32"] {
        let mut range = range(prefix);
        range.options.password = Some(key("shared").into());
        middle.wait(middle.speaker.add_listen_range(range)).unwrap();
    }
    left.add(with("10.0.0.2", "shared"));
    left.add(with("2001:db8:0::2", "shared"));
    right.add(peer("10.0.1.1", ASN));
    right.add(with("2001:db8:1::1", "other"));
    left.await_up("10.0.0.2");
    left.await_up("2001:db8:0::2");
    right.stays_down("10.0.1.1");
    right.stays_down("2001:db8:1::1");
    assert_eq!(middle.speaker.status().peers.len(), 2);
}

fn a_range_whose_password_file_is_back_is_in_no_trouble() {
    let lab = Lab::row(2);
    let left = lab.speaker(0);
    let path = lab.path("password");
    std::fs::write(&path, "shared\n").unwrap();
    let mut range = range("10.0.0.0/16");
    range.options.password = Some(Secret::File(path.clone()));
    left.wait(left.speaker.add_listen_range(range)).unwrap();
    let trouble = || left.speaker.status().ranges[0].trouble.clone();
    assert_eq!(trouble(), None);
    std::fs::remove_file(&path).unwrap();
    await_that("the missing file in the status", || trouble().map(drop).ok_or_else(String::new));
    std::fs::write(&path, "shared\n").unwrap();
    await_that("the end of the trouble", || trouble().map_or(Ok(()), Err));
}

fn a_missing_password_file_holds_down_that_peer_alone() {
    let lab = Lab::row(3);
    let (middle, left, right) = (lab.speaker(1), lab.speaker(0), lab.speaker(2));
    let path = lab.path("password");
    middle.add(peer("10.0.0.1", ASN).password(Secret::File(path.clone())));
    middle.add(peer("10.0.1.2", ASN));
    // This end tries without a password, too.
    left.add(peer("10.0.0.2", ASN));
    right.add(peer("10.0.1.1", ASN));
    middle.await_up("10.0.1.2");
    middle.await_words("10.0.0.1", "held down: password file");
    middle.stays_down("10.0.0.1");

    left.wait(
        left.speaker.set_peer_password("10.0.0.2".parse::<PeerAddress>().unwrap(), Some(key("late").into())),
    )
    .unwrap();
    std::fs::write(path, "late\n").unwrap();
    middle.await_up("10.0.0.1");
    assert_eq!(middle.peer("10.0.0.1").info, "Established");
    assert_eq!(middle.peer("10.0.1.2").established, 1);
}

fn a_password_that_the_caller_could_not_get_holds_the_peer_down() {
    let lab = Lab::row(2);
    let (left, right) = (lab.speaker(0), lab.speaker(1));
    left.add(peer("10.0.0.2", ASN).password(Secret::Unavailable("no secret bgp/fabric".into())));
    right.add(peer("10.0.0.1", ASN));
    left.stays_down("10.0.0.2");
    assert!(left.peer("10.0.0.2").info.contains("no secret bgp/fabric"));
    left.wait(left.speaker.remove_peer("10.0.0.2".parse::<PeerAddress>().unwrap())).unwrap();
    left.add(peer("10.0.0.2", ASN));
    left.await_up("10.0.0.2");
}

fn a_changed_password_does_not_end_a_session() {
    let lab = Lab::row(3);
    let (middle, left, right) = (lab.speaker(1), lab.speaker(0), lab.speaker(2));
    middle.add(with("10.0.0.1", "first"));
    middle.add(with("10.0.1.2", "its own"));
    left.add(with("10.0.0.2", "first"));
    right.add(with("10.0.1.1", "its own"));
    left.await_up("10.0.0.2");
    right.await_up("10.0.1.1");

    let second = || Some(Secret::from(key("second")));
    middle
        .wait(middle.speaker.set_peer_password("10.0.0.1".parse::<PeerAddress>().unwrap(), second()))
        .unwrap();
    left.wait(left.speaker.set_peer_password("10.0.0.2".parse::<PeerAddress>().unwrap(), second())).unwrap();
    // Longer than the hold time: what is heard was signed with the second password.
    std::thread::sleep(std::time::Duration::from_secs(11));
    for (node, address) in [(&left, "10.0.0.2"), (&middle, "10.0.0.1"), (&middle, "10.0.1.2")] {
        assert!(node.is_up(address));
        assert_eq!(node.peer(address).established, 1);
    }
    // And a new connection needs it.
    left.wait(left.speaker.remove_peer("10.0.0.2".parse::<PeerAddress>().unwrap())).unwrap();
    left.add(with("10.0.0.2", "first"));
    left.stays_down("10.0.0.2");
}

fn a_changed_password_reaches_the_peers_of_a_range() {
    let lab = Lab::row(2);
    let (left, right) = (lab.speaker(0), lab.speaker(1));
    let mut clients = range("10.0.0.0/24");
    clients.options.password = Some(key("first").into());
    right.wait(right.speaker.add_listen_range(clients)).unwrap();
    left.add(with("10.0.0.2", "first"));
    left.await_up("10.0.0.2");
    let second = || Some(Secret::from(key("second")));
    let prefix = "10.0.0.0/24".parse().unwrap();
    right.wait(right.speaker.set_range_password(prefix, second())).unwrap();
    left.wait(left.speaker.set_peer_password("10.0.0.2".parse::<PeerAddress>().unwrap(), second())).unwrap();
    std::thread::sleep(std::time::Duration::from_secs(11));
    assert!(left.is_up("10.0.0.2"));
    assert_eq!(left.peer("10.0.0.2").established, 1);
}

fn a_changed_password_file_is_put_in_use() {
    let lab = Lab::row(2);
    let (left, right) = (lab.speaker(0), lab.speaker(1));
    let path = lab.file("password", "first\n");
    left.add(peer("10.0.0.2", ASN).password(Secret::File(path.clone())));
    right.add(peer("10.0.0.1", ASN).password(Secret::File(path.clone())));
    left.await_up("10.0.0.2");
    std::fs::write(&path, "second\n").unwrap();
    // Both ends look again within five seconds; the hold time has passed once more after that.
    std::thread::sleep(std::time::Duration::from_secs(15));
    assert!(left.is_up("10.0.0.2"));
    assert_eq!(left.peer("10.0.0.2").established, 1);

    std::fs::remove_file(&path).unwrap();
    left.await_words("10.0.0.2", "the former password stays in use");
    assert!(left.is_up("10.0.0.2"));
}

fn to_begin_with_a_password_takes_a_new_session() {
    let lab = Lab::row(2);
    let (left, right) = (lab.speaker(0), lab.speaker(1));
    left.add(peer("10.0.0.2", ASN));
    right.add(peer("10.0.0.1", ASN));
    left.await_up("10.0.0.2");
    let secret = || Some(Secret::from(key("s3cret")));
    left.wait(left.speaker.set_peer_password("10.0.0.2".parse::<PeerAddress>().unwrap(), secret())).unwrap();
    await_that("the end of the session", || if left.is_up("10.0.0.2") { Err(String::new()) } else { Ok(()) });
    left.stays_without_session("10.0.0.2");
    right
        .wait(right.speaker.set_peer_password("10.0.0.1".parse::<PeerAddress>().unwrap(), secret()))
        .unwrap();
    left.await_up("10.0.0.2");
}

/// Each end announces a route of its own.
fn with_routes(left: &Node, right: &Node) {
    for (node, prefix) in [(left, "192.0.2.0/25"), (right, "192.0.2.128/25")] {
        let route = Route::new(prefix.parse::<ipnet::IpNet>().unwrap());
        node.wait(node.speaker.announce(OwnerId(1), [route])).unwrap();
    }
}

fn await_routes(node: &Node, peer: &str, stale: u64) {
    await_that(&format!("a route of {peer}, {stale} stale"), || {
        let status = node.peer(peer);
        let counted = (status.prefixes.received, status.prefixes.stale);
        if counted == (1, stale) { Ok(()) } else { Err(format!("{status:?}")) }
    });
}

fn set_password(node: &Node, peer: &str, password: Option<&str>) {
    let peer: PeerAddress = peer.parse().unwrap();
    node.wait(node.speaker.set_peer_password(peer, password.map(|text| key(text).into()))).unwrap();
}

fn routes_are_kept_while_both_ends_begin_or_end_with_a_password() {
    let lab = Lab::row(2);
    let (left, right) = (lab.speaker(0), lab.speaker(1));
    left.add(peer("10.0.0.2", ASN));
    right.add(peer("10.0.0.1", ASN).passive());
    with_routes(&left, &right);
    left.await_up("10.0.0.2");
    await_routes(&left, "10.0.0.2", 0);
    await_routes(&right, "10.0.0.1", 0);
    for password in [Some("s3cret"), None] {
        set_password(&left, "10.0.0.2", password);
        // The peer is told by a NOTIFICATION that is signed as the session was, and keeps the routes (RFC 8538).
        await_routes(&right, "10.0.0.1", 1);
        await_routes(&left, "10.0.0.2", 1);
        left.stays_without_session("10.0.0.2");
        set_password(&right, "10.0.0.1", password);
        left.await_up("10.0.0.2");
        await_routes(&left, "10.0.0.2", 0);
        await_routes(&right, "10.0.0.1", 0);
    }
    assert_eq!(right.peer("10.0.0.1").established, 3);
    let heard = right.peer("10.0.0.1").last_notification.unwrap();
    assert!(heard.text.contains("Other Configuration Change"), "{heard:?}");
}

fn routes_of_a_range_are_kept_while_it_begins_with_a_password() {
    let lab = Lab::row(2);
    let (left, right) = (lab.speaker(0), lab.speaker(1));
    right.wait(right.speaker.add_listen_range(range("10.0.0.0/24"))).unwrap();
    left.add(peer("10.0.0.2", ASN));
    left.await_up("10.0.0.2");
    with_routes(&left, &right);
    await_routes(&right, "10.0.0.1", 0);
    let prefix = "10.0.0.0/24".parse().unwrap();
    right.wait(right.speaker.set_range_password(prefix, Some(key("s3cret").into()))).unwrap();
    await_routes(&left, "10.0.0.2", 1);
    await_routes(&right, "10.0.0.1", 1);
    set_password(&left, "10.0.0.2", Some("s3cret"));
    left.await_up("10.0.0.2");
    await_routes(&right, "10.0.0.1", 0);
    await_routes(&left, "10.0.0.2", 0);
}

fn to_begin_with_a_password_that_cannot_be_had_holds_the_peer_down() {
    let lab = Lab::row(2);
    let (left, right) = (lab.speaker(0), lab.speaker(1));
    left.add(peer("10.0.0.2", ASN));
    right.add(peer("10.0.0.1", ASN));
    left.await_up("10.0.0.2");
    let there: PeerAddress = "10.0.0.2".parse().unwrap();
    let missing = Secret::File(lab.path("nowhere"));
    left.wait(left.speaker.set_peer_password(there, Some(missing))).unwrap();
    left.await_words("10.0.0.2", "held down: password file");
    left.stays_without_session("10.0.0.2");
    set_password(&left, "10.0.0.2", None);
    left.await_up("10.0.0.2");
}

fn a_mesh_shares_a_password_and_changes_it() {
    let lab = Lab::row(3);
    let addresses = ["10.0.0.1", "10.0.0.2", "10.0.1.2"].map(|a| a.parse::<IpAddr>().unwrap());
    let nodes: Vec<MeshNode> =
        addresses.iter().map(|address| MeshNode::new(address.to_string(), *address, ASN)).collect();
    let members: Vec<_> = (0..3)
        .map(|n: u8| {
            let options = SessionOptions {
                timers: quick(),
                password: Some(key("mesh").into()),
                ..SessionOptions::default()
            };
            let builder = Speaker::builder(Asn(65000), bgp_speaker::RouterId(u32::from(n) + 1))
                .listen("0.0.0.0:179".parse().unwrap())
                .local_address(addresses[usize::from(n)])
                .mesh_options(options);
            let node = lab.start(n.into(), builder);
            node.wait(node.speaker.mesh(&nodes)).unwrap();
            node
        })
        .collect();
    let all_up = || match members.iter().map(|m| m.speaker.status().established()).sum::<usize>() {
        6 => Ok(()),
        n => Err(format!("{n} of 6 ends")),
    };
    await_that("the mesh", all_up);
    for member in &members {
        member.wait(member.speaker.set_mesh_password(Some(key("second").into()))).unwrap();
        member.wait(member.speaker.mesh(&nodes)).unwrap();
    }
    std::thread::sleep(std::time::Duration::from_secs(11));
    await_that("the mesh", all_up);
    let sessions = members.iter().flat_map(|m| m.speaker.status().peers.clone());
    assert!(sessions.into_iter().all(|peer| peer.established == 1));
}

fn peers_that_find_no_room_for_their_key_still_dial() {
    let lab = Lab::row(2);
    let (left, right) = (lab.speaker(0), lab.speaker(1));
    right.add(with("10.0.0.1", "s3cret"));
    // Newer kernels have the bound in each namespace: less is fuller sooner.
    lab.try_exec(0, &["sysctl", "-q", "-w", "net.core.optmem_max=8192"]);
    let full = (0..2000_u32).find(|n| {
        let address = IpAddr::from((0x0b00_0001 + n).to_be_bytes());
        left.add(with(&address.to_string(), "s3cret").passive());
        left.peer(&address.to_string()).info.contains("net.core.optmem_max")
    });
    if full.is_none() {
        return;
    }
    left.add(with("10.0.0.2", "s3cret"));
    left.await_up("10.0.0.2");
    assert!(left.peer("10.0.0.2").info.contains("dials only"));
}
