//! Which sessions there are, and what they are made with.

use std::time::Duration;

use super::{bird, head, neighbor};
use crate::Scenario;
use crate::lab::{Lab, eventually, holds};
use crate::ours::{Agent, Reflector, kernel_has, kernel_keys};
use crate::peer::{HOLD_TIME, Kind, Neighbor, SOON, Setup};
use crate::scenario::{OUR_AS, THEIR_AS};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        bird("mesh_with_an_as_and_a_port_for_each_node", ases_and_ports),
        bird("reverse_peering", reverse_peering),
        bird("missing_secret_holds_down_its_own_peer", missing_secret),
    ]
}

/// External sessions in a mesh, from and to other ports, a session for each family, with the mesh's restart time.
fn ases_and_ports(lab: &Lab) {
    let ours = lab.node("ours", 5);
    // As text the first sorts lower, so that we call it, and the other calls us.
    let theirs = [("dialled", 2, 1791_u16), ("dialling", 7, 179)];
    let nodes = theirs.map(|(name, index, port)| (lab.node(name, index), OUR_AS + u32::from(index), port));
    let own = OUR_AS + 5;
    let mut text = format!(
        "asn = {own}\nrouter-id = \"{v4}\"\nlisten = [\"{v4}:1790\", \"[{v6}]:1790\"]\nhold-time = {HOLD_TIME}\n\
         control-socket = \"{socket}\"\n{keys}[[route]]\nprefix = \"10.65.5.0/26\"\n[[route]]\nprefix = \"fd65:5::/122\"\n\
         [mesh]\nlocal = \"{v4}\"\ndialer = \"calico-string\"\nrestart-time = 33\nnodes = [\n\
         {{ name = \"ours\", address = [\"{v4}\", \"{v6}\"], port = 1790 }},\n",
        v4 = ours.v4(),
        v6 = ours.v6(),
        socket = lab.path(&ours, "rr.sock").display(),
        keys = kernel_keys(),
    );
    for (node, asn, port) in &nodes {
        let (name, v4, v6) = (&node.name, node.v4(), node.v6());
        text += &format!(
            "{{ name = \"{name}\", address = [\"{v4}\", \"{v6}\"], asn = {asn}, port = {port} }},\n"
        );
    }
    let reflector = Reflector::start_with(lab, &ours, &(text + "]\n"));
    for (node, asn, port) in &nodes {
        let neighbors = ours.addresses().map(|address| {
            let words = format!("local port {port}; neighbor port 1790;");
            let neighbor = if node.index < ours.index {
                Neighbor::passive(address, own)
            } else {
                Neighbor::active(address, own)
            };
            neighbor.words(&words)
        });
        let block = format!("10.65.{}.0/26", node.index);
        let daemon = Kind::Bird.start(lab, node, Setup::new(*asn, neighbors.into(), &[&block]).calico());
        for address in node.addresses() {
            reflector.comes_up_with(address);
        }
        assert_eq!(daemon.learns("10.65.5.0/26").as_path, [own]);
        assert_eq!(daemon.learns("fd65:5::/122").as_path, [own]);
        eventually("our kernel has its block", SOON, || kernel_has(&ours, &block, &node.v4().to_string()));
        let shown = daemon.ask(&["show", "protocols", "all"]).expect("BIRD answers");
        assert_eq!(shown.matches("Restart time: 33").count(), 2, "{shown}");
        // Each session is of its own family alone.
        for (address, family) in node.addresses().into_iter().zip(["ipv4-unicast", "ipv6-unicast"]) {
            let peer = reflector.peer(address).expect("it answers");
            assert_eq!(peer["negotiated"]["families"], serde_json::json!([family]), "{peer}");
        }
    }
}

/// Our node is told of a session by the other one's resource; with `Manual` it is not, and a stranger calls, until a resource
/// of its own says so.
fn reverse_peering(lab: &Lab) {
    let (ours, theirs) = (lab.node("ours", 1), lab.node("theirs", 2));
    let cluster = |peerings: &str| {
        format!(
            "asn = {OUR_AS}\n[mesh]\nenabled = false\ndialer = \"calico-string\"\nhold-time = {HOLD_TIME}\n\
             [[node]]\nname = \"ours\"\naddresses = [\"{}/24\"]\nblocks = [\"10.65.1.0/26\"]\n\
             [[node]]\nname = \"theirs\"\naddresses = [\"{}/24\"]\n{peerings}",
            ours.v4(),
            theirs.v4()
        )
    };
    let peering = |nodes: &str, with: &str, reverse: bool| {
        format!(
            "[[peering]]\nnodes = {{ name = \"{nodes}\" }}\nwith = {{ name = \"{with}\" }}\nreverse = {reverse}\n"
        )
    };
    let agent = Agent::described(lab, &ours, &cluster(&peering("theirs", "ours", true)));
    // Sessions of single nodes are dialled from both ends.
    let to_us = vec![Neighbor::active(ours.v4(), OUR_AS)];
    let setup = Setup::new(OUR_AS, to_us, &["10.65.2.0/26"]);
    let daemon = Kind::Bird.start(lab, &theirs, setup);
    daemon.comes_up_with(ours.v4());
    daemon.learns("10.65.1.0/26");
    agent.installs("10.65.2.0/26", &theirs.v4().to_string());
    holds("one session comes out of two connections, and stays", Duration::from_secs(2), || {
        daemon.established(ours.v4().into())
    });

    agent.describe(&cluster(&peering("theirs", "ours", false)));
    daemon.forgets("10.65.1.0/26");
    agent.removes("10.65.2.0/26");
    holds("a stranger is turned away", Duration::from_secs(3), || {
        match daemon.established(ours.v4().into()) {
            Ok(()) => Err("established".to_owned()),
            Err(_) => Ok(()),
        }
    });

    let both = peering("theirs", "ours", false) + &peering("ours", "theirs", false);
    agent.describe(&cluster(&both));
    daemon.comes_up_with(ours.v4());
    daemon.learns("10.65.1.0/26");
    agent.installs("10.65.2.0/26", &theirs.v4().to_string());
}

/// Where Calico would go on without one, a peer whose password cannot be had stays down, and the others do not notice.
fn missing_secret(lab: &Lab) {
    let [ours, open, signed, fine] =
        [("ours", 1), ("open", 51), ("signed", 52), ("fine", 53)].map(|(name, index)| lab.node(name, index));
    let file = lab.path(&ours, "secret").display().to_string();
    let missing = format!("password-file = \"{file}\"\nconnect-retry = 1\nidle-hold-max = 1");
    let text = [
        head(lab, &ours),
        "[[route]]\nprefix = \"10.65.1.0/26\"\n".to_owned(),
        neighbor(open.v4(), THEIR_AS, &missing),
        neighbor(signed.v4(), THEIR_AS, &missing),
        neighbor(fine.v4(), THEIR_AS, "password = \"of the rack\""),
    ];
    let reflector = Reflector::start_with(lab, &ours, &text.concat());
    let start = |node, words: &str| {
        let to_us = vec![Neighbor::active(ours.v4(), OUR_AS).words(words)];
        Kind::Bird.start(lab, node, Setup::new(THEIR_AS, to_us, &[]))
    };
    let daemons = [
        start(&open, ""),
        start(&signed, "password \"of the rack\";"),
        start(&fine, "password \"of the rack\";"),
    ];
    reflector.comes_up_with(fine.v4());
    daemons[2].learns("10.65.1.0/26");
    holds("without their password peers stay down, and say why", Duration::from_secs(3), || {
        for node in [&open, &signed] {
            let peer = reflector.peer(node.v4().into())?;
            if peer["established"] != 0 || !peer.to_string().contains("held down: password file") {
                return Err(peer.to_string());
            }
        }
        reflector.established(fine.v4().into()).map(drop)
    });
    lab.write(&ours, "secret", "of the rack\n");
    reflector.comes_up_with(signed.v4());
    daemons[1].learns("10.65.1.0/26");
    let peer = reflector.peer(fine.v4().into()).expect("it answers");
    assert_eq!(peer["established"], 1, "its session went on: {peer}");
    let peer = reflector.peer(open.v4().into()).expect("it answers");
    assert_eq!(peer["established"], 0, "one that does not sign is not heard: {peer}");
}
