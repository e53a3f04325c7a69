//! A route server whose clients are each told the best of what may go to them (RFC 7947 §2.3).

use bgp_speaker::policy::{Condition, PolicyConfig, PrefixSet, Rule, Verdict};
use bgp_speaker::{Asn, NextHop, PeerConfig, Policy, RouteFilter, RouteRules, Speaker};
use std::net::IpAddr;

use crate::support::{ASN, OWNER, announce, builder, established, eventually, ip, net, peer_of, waiting_for};

const HERE: &str = "10.1.0.0/24";

/// Where the route of a client leads, once it has one.
async fn next_hop(client: &Speaker) -> Option<IpAddr> {
    let filter = RouteFilter { best_only: true, ..RouteFilter::default() };
    let page = client.routes(filter, None, 10).await.unwrap();
    let route = page.routes.iter().find(|route| route.destination.prefix() == Some(net(HERE)))?;
    route.attributes.next_hop.as_ref().map(NextHop::address)
}

#[tokio::test]
async fn a_path_that_policy_keeps_from_a_client_does_not_hide_the_next_one() {
    let server = builder(ip(197, 1), ASN).start().await.unwrap();
    let mut clients = Vec::new();
    for n in 2..=4u8 {
        let client = builder(ip(197, n), Asn(65000 + u32::from(n))).start().await.unwrap();
        let mut config = waiting_for(ip(197, n), Asn(65000 + u32::from(n)));
        let rules = RouteRules { route_server_client: true, best_per_client: true, ..RouteRules::default() };
        config.options.rules = rules;
        config.options.import = Some(Policy::accept_all());
        let first = Condition::SourcePeer(PrefixSet::hosts(&[ip(197, 2)]));
        let not_of_the_first = Rule::reject("not of the first").when(first);
        let wary = PolicyConfig::new("wary", Verdict::Accept).rule(not_of_the_first);
        let export = if n == 4 { Policy::compile(wary).unwrap() } else { Policy::accept_all() };
        config.options.export = Some(export);
        server.add_peer(config).await.unwrap();
        let mut config: PeerConfig = peer_of(&server);
        config.options.rules.enforce_first_as = false;
        (config.options.import, config.options.export) =
            (Some(Policy::accept_all()), Some(Policy::accept_all()));
        client.add_peer(config).await.unwrap();
        clients.push(client);
    }
    established(&server, 3).await;
    for client in &clients[..2] {
        announce(client, &[HERE]).await;
    }
    // The first is best, by its BGP identifier; who told it hears of the second, and so does who must not have it.
    let third = &clients[2];
    eventually("the third client has the route of the second", async || {
        next_hop(third).await == Some(ip(197, 3))
    })
    .await;
    let explained = server.explain(net(HERE)).await.unwrap().expect("it is there");
    let told = explained.peers.iter().find(|told| told.peer == ip(197, 4)).expect("it is up");
    assert_eq!(told.verdict.as_ref().map(NextHop::address), Ok(ip(197, 3)));
    clients[1].withdraw(OWNER, vec![net(HERE)]).await.unwrap();
    eventually("the third client has none", async || next_hop(third).await.is_none()).await;
    announce(&clients[1], &[HERE]).await;
    eventually("it is back", async || next_hop(third).await == Some(ip(197, 3))).await;
}
