//! Passwords and hops with other BGP daemons, each in its own namespace: what they mean by them is what we mean.

use bgp_speaker::{Asn, Password, PeerConfig};

use crate::lab::{Lab, Node, Program, peer};

const BIRD: &str = "bird";
const FRR: &str = "/usr/lib/frr/bgpd";
const GOBGP: &str = "gobgpd";

/// Every test of this file, with the program that it needs.
pub(crate) const ALL: &[(&str, fn(), &str)] = &[
    ("bird_and_we_agree_on_a_password", bird_and_we_agree_on_a_password, BIRD),
    ("frr_and_we_agree_on_a_password", frr_and_we_agree_on_a_password, FRR),
    ("gobgp_and_we_agree_on_a_password", gobgp_and_we_agree_on_a_password, GOBGP),
    ("bird_and_we_agree_on_hops", bird_and_we_agree_on_hops, BIRD),
    ("frr_and_we_agree_on_hops", frr_and_we_agree_on_hops, FRR),
];

const OURS: Asn = Asn(65001);
const THEIRS: Asn = Asn(65002);

fn bird(lab: &Lab, option: &str) -> Program {
    let config = format!(
        "log stderr all;\nrouter id 10.0.0.2;\nprotocol device {{}}\n\
         protocol bgp peer {{ local 10.0.0.2 as 65002; neighbor 10.0.0.1 as 65001; {option}; \
         connect delay time 1; connect retry time 1; error wait time 1, 2; ipv4 {{ import all; export all; }}; }}\n"
    );
    let path = lab.file("bird.conf", &config);
    let socket = lab.path("bird.ctl");
    lab.spawn(1, &["bird", "-f", "-c", path.to_str().unwrap(), "-s", socket.to_str().unwrap()])
}

fn frr(lab: &Lab, option: &str) -> Program {
    let config = format!(
        "log stdout\nrouter bgp 65002\n bgp router-id 10.0.0.2\n no bgp ebgp-requires-policy\n \
         neighbor 10.0.0.1 remote-as 65001\n neighbor 10.0.0.1 {option}\n neighbor 10.0.0.1 timers connect 1\n"
    );
    let path = lab.file("frr.conf", &config);
    let (pid, vty) = (lab.path("bgpd.pid"), lab.path(""));
    let line = [FRR, "-S", "-Z", "--no_kernel", "--log", "stdout", "-P", "0", "-l", "10.0.0.2"];
    let files =
        ["-f", path.to_str().unwrap(), "-i", pid.to_str().unwrap(), "--vty_socket", vty.to_str().unwrap()];
    lab.spawn(1, &[&line[..], &files[..]].concat())
}

fn gobgp(lab: &Lab, password: &str) -> Program {
    let config = format!(
        "[global.config]\nas = 65002\nrouter-id = \"10.0.0.2\"\nlocal-address-list = [\"10.0.0.2\"]\n\
         [[neighbors]]\n[neighbors.config]\nneighbor-address = \"10.0.0.1\"\npeer-as = 65001\n\
         auth-password = \"{password}\"\n[neighbors.timers.config]\nconnect-retry = 1\n"
    );
    let path = lab.file("gobgp.toml", &config);
    lab.spawn(1, &[GOBGP, "-f", path.to_str().unwrap(), "--api-hosts", "127.0.0.1:50051"])
}

fn ours(lab: &Lab) -> Node {
    lab.speaker_with(0, OURS)
}

fn theirs() -> PeerConfig {
    peer("10.0.0.2", THEIRS)
}

fn password(text: &str) -> PeerConfig {
    theirs().password(Password::new(text).unwrap())
}

/// One end dials, then the other, then the passwords differ.
fn passwords_agree(daemon: fn(&Lab, &str) -> Program) {
    for passive in [false, true] {
        let lab = Lab::row(2);
        let node = ours(&lab);
        let mut config = password("s3cret");
        config.options.passive = passive;
        node.add(config);
        let _daemon = daemon(&lab, "s3cret");
        node.await_up("10.0.0.2");
    }
    let lab = Lab::row(2);
    let node = ours(&lab);
    node.add(password("other"));
    let _daemon = daemon(&lab, "s3cret");
    node.await_words("10.0.0.2", "do not have the same password");
    node.stays_down("10.0.0.2");
}

fn bird_and_we_agree_on_a_password() {
    passwords_agree(|lab, password| bird(lab, &format!("password \"{password}\"")));
}

fn frr_and_we_agree_on_a_password() {
    passwords_agree(|lab, password| frr(lab, &format!("password {password}")));
}

fn gobgp_and_we_agree_on_a_password() {
    passwords_agree(gobgp);
}

/// One end dials, then the other; then we have no part in it, and the daemon does not hear us.
fn hops_agree(daemon: fn(&Lab) -> Program) {
    for passive in [false, true] {
        let lab = Lab::row(2);
        let node = ours(&lab);
        let mut config = theirs().ttl_security(1);
        config.options.passive = passive;
        node.add(config);
        let _daemon = daemon(&lab);
        node.await_up("10.0.0.2");
    }
    let lab = Lab::row(2);
    let node = ours(&lab);
    let mut config = theirs();
    config.options.ttl = Some(254);
    // The daemon dials: its socket checks before the first octet, one that it has accepted may not.
    config.options.passive = true;
    node.add(config);
    let _daemon = daemon(&lab);
    node.stays_down("10.0.0.2");
}

fn bird_and_we_agree_on_hops() {
    hops_agree(|lab| bird(lab, "ttl security on"));
}

fn frr_and_we_agree_on_hops() {
    hops_agree(|lab| frr(lab, "ttl-security hops 1"));
}
