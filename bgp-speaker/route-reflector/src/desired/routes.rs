//! The routes that a file originates.

use bgp_speaker::policy::Discard;
use bgp_speaker::{Aggregation, Asn, Origin, Policy, Route};

use crate::config::{self, Config};

pub(super) fn originated(config: &Config) -> Vec<Route> {
    let routes = config.route.iter().map(route);
    routes.chain(config.aggregate.iter().map(|from| aggregate(config, from))).collect()
}

fn aggregate(config: &Config, from: &config::Aggregate) -> Route {
    let except = from.except.as_ref().map(|name| config.policies.get(name.get_ref()));
    let aggregation = Aggregation {
        always: from.always,
        suppress: from.suppress,
        except: except.unwrap_or_else(Policy::reject_all),
    };
    let mut route = Route::new(from.prefix.get_ref().0).aggregation(aggregation);
    route.local_pref = from.local_pref;
    route.med = from.med;
    route.communities = from.communities.iter().map(|community| community.0).collect();
    route.extended_communities = from.extended_communities.iter().map(|community| community.0).collect();
    route.ipv6_extended_communities =
        from.ipv6_extended_communities.iter().map(|community| community.0).collect();
    route.large_communities = from.large_communities.iter().map(|community| community.0).collect();
    route.origin = from.origin.map(Origin::from).unwrap_or_default();
    route.tag = from.tag;
    route.discard = from.discard.map(Discard::from);
    route
}

fn route(from: &config::StaticRoute) -> Route {
    let mut route = Route::new(from.prefix.get_ref().0);
    route.preference = from.preference;
    route.next_hop = from.next_hop.as_ref().map(|next_hop| next_hop.get_ref().0);
    route.local_pref = from.local_pref;
    route.med = from.med;
    route.communities = from.communities.iter().map(|community| community.0).collect();
    route.extended_communities = from.extended_communities.iter().map(|community| community.0).collect();
    route.ipv6_extended_communities =
        from.ipv6_extended_communities.iter().map(|community| community.0).collect();
    route.large_communities = from.large_communities.iter().map(|community| community.0).collect();
    route.origin = from.origin.map(Origin::from).unwrap_or_default();
    route.tag = from.tag;
    route.as_path = from.as_path.iter().map(|asn| Asn(asn.0)).collect();
    route.aigp = from.aigp;
    route
}
