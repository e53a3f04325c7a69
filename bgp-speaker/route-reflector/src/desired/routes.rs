//! The routes that a file originates.

use bgp_speaker::policy::Discard;
use bgp_speaker::{Aggregation, Asn, Origin, Policy, Route};

use ipnet::IpNet;

use crate::config::{self, Config, RouteKeys};

pub(super) fn originated(config: &Config) -> Vec<Route> {
    let routes = config.route.iter().map(route);
    routes.chain(config.aggregate.iter().map(|from| aggregate(config, from))).collect()
}

fn aggregate(config: &Config, from: &config::Aggregate) -> Route {
    let except = from.except.as_ref().map(|name| config.policies.get(name.get_ref()));
    let aggregation = Aggregation {
        always: from.always.unwrap_or(false),
        suppress: from.suppress.unwrap_or(false),
        except: except.unwrap_or_else(Policy::reject_all),
    };
    let mut route = with(&from.attributes, from.prefix.get_ref().0).aggregation(aggregation);
    route.discard = from.discard.map(Discard::from);
    route
}

fn route(from: &config::StaticRoute) -> Route {
    let mut route = with(&from.attributes, from.prefix.get_ref().0);
    route.preference = from.preference;
    route.next_hop = from.next_hop.as_ref().map(|next_hop| next_hop.get_ref().0);
    route.as_path = from.as_path.iter().flatten().map(|asn| Asn(asn.0)).collect();
    route.aigp = from.aigp;
    route
}

/// A route with the attributes that every table of routes can give.
fn with(keys: &RouteKeys, prefix: IpNet) -> Route {
    let mut route = Route::new(prefix);
    route.local_pref = keys.local_pref;
    route.med = keys.med;
    route.communities = keys.communities.iter().flatten().map(|community| community.0).collect();
    route.extended_communities =
        keys.extended_communities.iter().flatten().map(|community| community.0).collect();
    route.ipv6_extended_communities =
        keys.ipv6_extended_communities.iter().flatten().map(|community| community.0).collect();
    route.large_communities = keys.large_communities.iter().flatten().map(|community| community.0).collect();
    route.origin = keys.origin.map(Origin::from).unwrap_or_default();
    route.tag = keys.tag.unwrap_or(0);
    route
}
