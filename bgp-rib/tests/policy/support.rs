//! Routes and policies for the stories.

use bgp_rib::OwnerId;
use bgp_rib::policy::{Condition, Outcome, Policy, PolicyConfig, RouteSource, RouteView, Rule, Verdict};
use bgp_wire::{AsPath, Asn, AttributeBlock, NextHop, PathAttributes, PeerKind};
use ipnet::IpNet;

/// A route with its attributes beside it.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) prefix: IpNet,
    pub(crate) attributes: PathAttributes,
    pub(crate) next_hop: Option<NextHop>,
    pub(crate) source: RouteSource,
    pub(crate) peer: PeerKind,
    pub(crate) metric: Option<u32>,
    pub(crate) interface: Option<&'static str>,
}

pub(crate) fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

pub(crate) fn asns(list: &[u32]) -> Vec<Asn> {
    list.iter().copied().map(Asn).collect()
}

/// A peer as a source.
pub(crate) fn from(kind: PeerKind) -> RouteSource {
    RouteSource::Peer { kind, client: false, address: [10, 0, 0, 9].into() }
}

impl Route {
    /// A route of this speaker's own.
    pub(crate) fn own(prefix: &str) -> Self {
        Self {
            prefix: net(prefix),
            attributes: PathAttributes::default(),
            next_hop: None,
            source: RouteSource::Local(OwnerId(0)),
            peer: PeerKind::Internal,
            metric: None,
            interface: None,
        }
    }

    /// A route that an internal peer told.
    pub(crate) fn internal(prefix: &str) -> Self {
        let attributes = PathAttributes { local_pref: Some(100), ..PathAttributes::default() };
        let next_hop = Some(NextHop::V4([10, 0, 0, 9].into()));
        Self { attributes, next_hop, source: from(PeerKind::Internal), ..Self::own(prefix) }
    }

    /// A route that an external peer told over this path.
    pub(crate) fn external(prefix: &str, path: &[u32]) -> Self {
        let attributes =
            PathAttributes { as_path: AsPath::sequence(asns(path)), ..PathAttributes::default() };
        Self { attributes, source: from(PeerKind::External), ..Self::internal(prefix) }
    }

    pub(crate) fn to(self, peer: PeerKind) -> Self {
        Self { peer, ..self }
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut PathAttributes)) -> Self {
        change(&mut self.attributes);
        self
    }

    pub(crate) fn block(&self) -> Vec<u8> {
        let mut block = Vec::new();
        self.attributes.encode_block(&mut block).unwrap();
        block
    }

    pub(crate) fn view<'a>(&self, block: &'a [u8]) -> RouteView<'a> {
        let mut view = RouteView::new(self.prefix, AttributeBlock::parse(block).unwrap(), OwnerId(0));
        view.next_hop = self.next_hop;
        view.source = self.source;
        view.peer = self.peer;
        view.local_as = Asn(65000);
        view.metric = self.metric;
        view.interface = self.interface;
        view
    }
}

pub(crate) fn evaluate(policy: &Policy, route: &Route) -> Outcome {
    policy.evaluate(&route.view(&route.block()))
}

/// The attributes of a route behind a policy; `None` where it does not pass.
pub(crate) fn passed(policy: &Policy, route: &Route) -> Option<PathAttributes> {
    let outcome = evaluate(policy, route);
    let mut block = route.block();
    if let Some(edits) = &outcome.edits {
        let before = std::mem::take(&mut block);
        edits.apply(AttributeBlock::parse(&before).unwrap(), &mut block).unwrap();
    }
    let block = AttributeBlock::parse(&block).expect("what is edited is canonical");
    outcome.is_accepted().then(|| PathAttributes::from_block(block))
}

/// A policy of one rule that accepts; everything else is rejected.
pub(crate) fn only(condition: Condition) -> Policy {
    compile(PolicyConfig::new("only", Verdict::Reject).rule(Rule::accept("rule").when(condition)))
}

pub(crate) fn compile(config: PolicyConfig) -> Policy {
    Policy::compile(config).unwrap()
}

/// Whether a condition holds for a route.
pub(crate) fn holds(condition: Condition, route: &Route) -> bool {
    evaluate(&only(condition), route).is_accepted()
}
