//! Routes as the caller sees them: what it originates, and what it asks for.

use std::net::IpAddr;
use std::sync::Arc;

use bgp_rib::policy::Discard;
use bgp_rib::{
    Aggregation, Destination, ExportChange, HeldBack, PageToken, PathExplanation, PathSent, RouteInfo,
};
use bgp_wire::{
    Asn, Community, ExtendedCommunity, Family, Ipv6ExtendedCommunity, LargeCommunity, NextHop, Origin,
};
use ipnet::IpNet;

use crate::config::is_host;
use crate::error::SpeakerError;
use crate::peer_address::PeerAddress;

/// A route that this speaker originates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Where it leads.
    pub prefix: IpNet,
    /// Next hop; `None` is our own address on each session.
    pub next_hop: Option<IpAddr>,
    /// LOCAL_PREF towards iBGP; `None` is 100.
    pub local_pref: Option<u32>,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// COMMUNITIES (RFC 1997).
    pub communities: Vec<Community>,
    /// EXTENDED_COMMUNITIES (RFC 4360).
    pub extended_communities: Vec<ExtendedCommunity>,
    /// IPv6 extended communities (RFC 5701).
    pub ipv6_extended_communities: Vec<Ipv6ExtendedCommunity>,
    /// LARGE_COMMUNITIES (RFC 8092).
    pub large_communities: Vec<LargeCommunity>,
    /// AS numbers that stand in its AS_PATH before it is told, the foremost first; external sessions put ours in front.
    pub as_path: Vec<Asn>,
    /// ORIGIN.
    pub origin: Origin,
    /// AIGP, for sessions on which it counts (RFC 7311).
    pub aigp: Option<u64>,
    /// A number for policies, which ask for it; 0 is none.
    pub tag: u32,
    /// The metric that it has outside BGP: for policies, and of its kernel route if `discard` makes one.
    pub metric: Option<u32>,
    /// The interface that it leaves by, for policies.
    pub interface: Option<Arc<str>>,
    /// Its preference over routes of other sources, the greater wins; `None` is 200 ([`preference::OWN`]). A route that
    /// another program has in the kernel has [`preference::LEARNED`], so that routes of peers come before it.
    ///
    /// [`preference::OWN`]: crate::preference::OWN
    /// [`preference::LEARNED`]: crate::preference::LEARNED
    pub preference: Option<u32>,
    /// What the kernel export makes of packets that no other route takes, as for the address block of a node; without a
    /// `metric` the kernel route ranks behind all others of its prefix. `None` leaves the kernel as it is.
    pub discard: Option<Discard>,
    /// It is an aggregate: it stands for the routes inside it. `None`: it stands for itself.
    pub aggregation: Option<Arc<Aggregation>>,
}

impl Route {
    /// A route to `prefix` over this node, with default attributes.
    pub fn new(prefix: impl Into<IpNet>) -> Self {
        Self {
            prefix: prefix.into().trunc(),
            next_hop: None,
            local_pref: None,
            med: None,
            communities: Vec::new(),
            extended_communities: Vec::new(),
            ipv6_extended_communities: Vec::new(),
            large_communities: Vec::new(),
            as_path: Vec::new(),
            origin: Origin::Igp,
            aigp: None,
            tag: 0,
            metric: None,
            interface: None,
            preference: None,
            discard: None,
            aggregation: None,
        }
    }

    /// The same route, with a kernel route that drops its packets in this way.
    #[must_use]
    pub fn discard(mut self, discard: Discard) -> Self {
        self.discard = Some(discard);
        self
    }

    /// The same route as an aggregate, which stands for the routes inside it (RFC 4271 §9.2.2.2).
    #[must_use]
    pub fn aggregation(mut self, aggregation: Aggregation) -> Self {
        self.aggregation = Some(Arc::new(aggregation));
        self
    }

    /// The same route with this metric outside BGP.
    #[must_use]
    pub fn metric(mut self, metric: u32) -> Self {
        self.metric = Some(metric);
        self
    }

    /// The same route with this preference over routes of other sources.
    #[must_use]
    pub fn preference(mut self, preference: u32) -> Self {
        self.preference = Some(preference);
        self
    }

    /// The same route with this next hop.
    #[must_use]
    pub fn next_hop(mut self, next_hop: IpAddr) -> Self {
        self.next_hop = Some(next_hop);
        self
    }

    /// The same route with this LOCAL_PREF.
    #[must_use]
    pub fn local_pref(mut self, local_pref: u32) -> Self {
        self.local_pref = Some(local_pref);
        self
    }

    /// The same route with this MULTI_EXIT_DISC.
    #[must_use]
    pub fn med(mut self, med: u32) -> Self {
        self.med = Some(med);
        self
    }

    /// The same route with one more community.
    #[must_use]
    pub fn community(mut self, community: Community) -> Self {
        self.communities.push(community);
        self
    }

    /// The same route with one more large community.
    #[must_use]
    pub fn large_community(mut self, community: LargeCommunity) -> Self {
        self.large_communities.push(community);
        self
    }

    /// The same route with one more extended community.
    #[must_use]
    pub fn extended_community(mut self, community: ExtendedCommunity) -> Self {
        self.extended_communities.push(community);
        self
    }

    /// The same route behind these AS, the foremost first.
    #[must_use]
    pub fn as_path(mut self, asns: impl IntoIterator<Item = Asn>) -> Self {
        self.as_path = asns.into_iter().collect();
        self
    }

    /// The same route with this ORIGIN.
    #[must_use]
    pub fn origin(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// The same route with this AIGP.
    #[must_use]
    pub fn aigp(mut self, metric: u64) -> Self {
        self.aigp = Some(metric);
        self
    }

    /// The same route with this number for policies.
    #[must_use]
    pub fn tag(mut self, tag: u32) -> Self {
        self.tag = tag;
        self
    }

    pub(crate) fn check(&self) -> Result<(), SpeakerError> {
        if self.as_path.contains(&Asn(0)) {
            return Err(SpeakerError::ZeroAsnInPath(self.prefix));
        }
        match (self.prefix, self.next_hop) {
            // An IPv4 prefix may have an IPv6 next hop (RFC 8950), not the other way round.
            (IpNet::V6(_), Some(next_hop @ IpAddr::V4(_))) => {
                Err(SpeakerError::NextHopFamily { prefix: self.prefix, next_hop })
            }
            // Peers would treat it as withdrawn (RFC 7606 §7.3).
            (prefix, Some(next_hop)) if !is_host(next_hop) => {
                Err(SpeakerError::NotANextHop { prefix, next_hop })
            }
            _ => Ok(()),
        }
    }
}

impl From<IpNet> for Route {
    fn from(prefix: IpNet) -> Self {
        Self::new(prefix)
    }
}

/// Which routes to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteFilter {
    /// Of this family only; both unicast families otherwise.
    pub family: Option<Family>,
    /// This prefix only.
    pub prefix: Option<IpNet>,
    /// With `prefix`: also everything inside it.
    pub longer: bool,
    /// Learned from this peer only.
    pub peer: Option<PeerAddress>,
    /// What this peer is told, with the attributes and path identifiers that it is told (its Adj-RIB-Out), instead of what
    /// the tables hold.
    pub advertised_to: Option<PeerAddress>,
    /// Best paths only.
    pub best_only: bool,
}

/// One page of a listing.
#[derive(Debug, Clone, Default)]
pub struct RoutePage {
    /// The paths, grouped by prefix.
    pub routes: Vec<RouteInfo>,
    /// Hand this in to get the next page; `None` when this was the last.
    pub next: Option<RouteCursor>,
}

/// Where a listing goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteCursor {
    pub(crate) family: Family,
    pub(crate) token: PageToken,
}

/// Everything there is to say about one destination.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// Where the paths lead.
    pub destination: Destination,
    /// Its paths, the best first, each with what became of it.
    pub paths: Vec<PathExplanation>,
    /// What each peer that is up hears of it.
    pub peers: Vec<PeerTold>,
}

/// What one peer hears of a destination.
#[derive(Debug, Clone)]
pub struct PeerTold {
    /// The peer.
    pub peer: PeerAddress,
    /// The next hop that it is told, or the rule that holds the route back.
    pub verdict: Result<NextHop, HeldBack>,
    /// The policy and the rule of it that decided, where one did.
    pub policy: Option<String>,
    /// Where it is told several paths, or the best of what may go to it: each of them. `verdict` is of the best then.
    pub paths: Vec<PathSent>,
    /// Whether the newest state has been handed out to it.
    pub sent: bool,
}

/// One page of what a peer would be told by another export policy.
#[derive(Debug, Clone, Default)]
pub struct DryRunPage {
    /// Where it would be told something else.
    pub changes: Vec<ExportChange>,
    /// Hand this in to get the next page; `None` when this was the last.
    pub next: Option<RouteCursor>,
}
