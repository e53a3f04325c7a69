//! Agents of a small cluster on loopback addresses.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use bgp_speaker::{MeshDialer, PeerClass};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::{Agent, Arguments, desired, status};

/// Every address of 127.0.0.0/8 is there; nothing else listens on this port of these.
const PORT: u16 = 17917;

fn cluster(text: &str) -> Cluster {
    let cluster: Cluster = toml::from_str(text).expect("a description");
    cluster.check().expect("a lawful one");
    cluster
}

fn nodes(subnet: u8, more: [&str; 3]) -> String {
    let node = |n: usize, more: &str| {
        format!(
            "[[node]]\nname = \"n{n}\"\naddresses = [\"127.41.{subnet}.{n}/24\"]\nport = {PORT}\n{more}\n"
        )
    };
    (1..).zip(more).map(|(n, more)| node(n, more)).collect()
}

struct Started {
    agent: Agent,
    path: PathBuf,
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

async fn start(text: &str, node: &str) -> Started {
    let name = format!("node-agent-story-{}-{node}-{:x}.toml", std::process::id(), text.len());
    let path = std::env::temp_dir().join(name);
    fs::write(&path, text).expect("a file");
    let arguments = Arguments {
        cluster: path.clone(),
        node: node.to_owned(),
        status: None,
        listen: Vec::new(),
        kernel: None,
    };
    Started { agent: Agent::start(arguments).await.expect("it starts"), path }
}

async fn eventually(started: &Started, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..1000 {
        let now = status::status(&started.agent.speaker);
        if holds(&now) {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what}: {:#}", status::status(&started.agent.speaker));
}

#[tokio::test]
async fn a_password_that_is_missing_holds_down_its_peer_alone_and_status_says_why() {
    let missing = "/nonexistent/node-agent-password";
    let router = format!(
        "[[peer]]\naddress = \"127.41.1.9\"\nasn = 64600\npassword-file = \"{missing}\"\n\
         [[peer]]\naddress = \"127.41.1.8\"\nasn = 64600\n"
    );
    let text = format!("asn = 64512\n{}{router}", nodes(1, ["", "blocks = [\"10.2.0.0/26\"]", ""]));
    let (first, _second) = (start(&text, "n1").await, start(&text, "n2").await);
    let now = eventually(&first, "the mesh session is up", |now| now["established"] == 1).await;
    let peer = |address: &str| {
        let peers = now["peers"].as_array().expect("a list");
        peers.iter().find(|peer| peer["address"] == address).expect("it is there").clone()
    };
    let held = peer("127.41.1.9");
    assert_eq!(held["state"], "Idle");
    assert!(held["info"].as_str().is_some_and(|info| info.contains(missing)), "{held}");
    assert_eq!(peer("127.41.1.2")["state"], "Established");
    // Nobody answers there, but that one is tried.
    assert!(!peer("127.41.1.8")["info"].to_string().contains(missing));
}

#[tokio::test]
async fn next_hops_and_reflectors_change_in_an_agent_that_runs() {
    let plain = nodes(2, ["", "", ""]);
    let mut first = start(&format!("asn = 64512\n{plain}"), "n1").await;
    let second = start(&format!("asn = 64512\n{plain}"), "n2").await;
    eventually(&first, "the mesh session is up", |now| now["established"] == 1).await;
    let more = cluster(&format!("asn = 64512\n[mesh]\nmax-paths = 2\n{plain}"));
    let changes = first.agent.apply(&more).await.expect("it is applied");
    assert_eq!(changes, ["next hops of a prefix: changed, to at most 2 (soft)"]);
    // The other node is the reflector from now on: the session stands, and it is out of the mesh.
    let reflecting = nodes(2, ["", "cluster-id = \"244.0.0.1\"", ""]);
    let reflecting = cluster(&format!("asn = 64512\n[mesh]\nmax-paths = 2\n{reflecting}"));
    first.agent.apply(&reflecting).await.expect("it is applied");
    let peer = first.agent.speaker.status().peer([127, 41, 2, 2]).expect("it is there").clone();
    assert_eq!((peer.class, peer.established), (PeerClass::Global, 1));
    assert_eq!(second.agent.speaker.status().established(), 1);
}

#[test]
fn a_description_says_who_peers_with_whom() {
    let reflectors = [
        "labels = { rack = \"7\" }",
        "cluster-id = \"244.0.0.1\"\nlabels = { rack = \"7\" }",
        "cluster-id = \"244.0.0.2\"",
    ];
    let text = |rest: &str| format!("asn = 64512\n{rest}{}", nodes(3, reflectors));
    let of = |rest: &str| {
        let cluster = cluster(&text(rest));
        let this = cluster.node("n1").expect("it is there");
        desired::of(&cluster, this).expect("lawful")
    };
    let plain = of("[mesh]\nenabled = false\ndialer = \"calico-string\"\n");
    assert!(plain.mesh_off && plain.mesh.len() == 3);
    assert_eq!(plain.mesh_dialer, Some(MeshDialer::CalicoString));
    let with = |desired: &bgp_speaker::Desired| {
        let bgp_speaker::PeeringWith::Nodes(with) = &desired.peerings[0].with else { panic!("nodes") };
        desired
            .mesh
            .iter()
            .filter(|node| with.selects(node))
            .map(|node| node.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(with(&plain), ["n2", "n3"]);
    let rack = "[[peering]]\nnodes = { label = \"rack\", value = \"7\" }\n\
                with = { reflectors = true, label = \"rack\" }\nreverse = false\n";
    let rack = of(rack);
    assert_eq!(with(&rack), ["n2"]);
    assert!(!rack.peerings[0].reverse && rack.peerings.len() == 1);
    let strange = toml::from_str::<Cluster>(&text("[[peering]]\nwith = { value = \"7\" }\n"));
    assert!(strange.expect("TOML").check().is_err());
}
