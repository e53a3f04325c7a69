//! Routes of this speaker's own, with all that they may carry.

use bgp_speaker::policy::{Condition, Policy, PolicyConfig, Rule, Span, Verdict};
use bgp_speaker::{
    Asn, ExtendedCommunity, Ipv6ExtendedCommunity, LargeCommunity, Origin, Route, RouteFilter, SpeakerError,
};
use bgp_wire::AttributeBlock;

use crate::support::{ASN, OWNER, builder, established, has_exactly, ip, net, peer_of, waiting_for};

#[tokio::test]
async fn an_own_route_carries_all_that_it_was_given_and_policies_know_its_tag() {
    let a = builder(ip(205, 1), ASN).start().await.unwrap();
    let b = builder(ip(205, 2), ASN).start().await.unwrap();
    let tagged = Rule::accept("tagged").when(Condition::Tag(Span::exactly(5)));
    let export = Policy::compile(PolicyConfig::new("export", Verdict::Reject).rule(tagged)).unwrap();
    let mut config = waiting_for(ip(205, 2), ASN);
    config.options.export = Some(export);
    a.add_peer(config).await.unwrap();
    b.add_peer(peer_of(&a)).await.unwrap();
    established(&a, 1).await;
    let ipv6 = Ipv6ExtendedCommunity::route_target("2001:db8::1".parse().unwrap(), 7);
    let large = LargeCommunity { global: 65000, local1: 1, local2: 2 };
    let route = Route {
        ipv6_extended_communities: vec![ipv6],
        ..Route::new(net("10.1.0.0/16"))
            .large_community(large)
            .extended_community(ExtendedCommunity::route_target(65000, 100))
            .as_path([Asn(65009), Asn(65010)])
            .origin(Origin::Incomplete)
            .aigp(70)
            .tag(5)
    };
    a.announce(OWNER, [route, Route::new(net("10.2.0.0/16"))]).await.unwrap();
    has_exactly(&b, &["10.1.0.0/16"]).await;
    let page = b.routes(RouteFilter::default(), None, 10).await.unwrap();
    let block = AttributeBlock::parse(&page.routes[0].attributes.block).unwrap();
    assert_eq!((block.origin(), block.aigp()), (Origin::Incomplete, Some(70)));
    assert_eq!((block.as_path().length(), block.as_path().first()), (2, Some(Asn(65009))));
    assert_eq!(block.large_communities().iter().collect::<Vec<_>>(), [large]);
    assert_eq!(block.extended_communities().iter().count(), 1);
    assert_eq!(block.ipv6_extended_communities().iter().collect::<Vec<_>>(), [ipv6]);
}

#[tokio::test]
async fn nothing_is_originated_behind_as_0() {
    let a = builder(ip(206, 1), ASN).start().await.unwrap();
    let prefix = net("10.3.0.0/16");
    let error = a.announce(OWNER, [Route::new(prefix).as_path([Asn(0)])]).await.unwrap_err();
    assert_eq!(error, SpeakerError::ZeroAsnInPath(prefix));
}
